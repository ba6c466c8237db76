//! Rows by their index, and its gradient: rows added to those of their index, in their order.

use crate::kernels::{Asked, Call, Kernel, Sum, f32s, f32s_mut, read, write};

crate::kernels::params! {
    /// Constants of one use.
    pub struct Params {
        /// R, rows that come out.
        pub rows: u32,
        /// W.
        pub width: u32,
        /// Rows to take from or, with `ADD`, rows to add.
        pub count: u32,
    }
}

/// The kernel; its outer axis are the rows that come out. Shapes: x [count, W], y [R, W], index \[R\] or, with `ADD`,
/// \[count\], whole numbers. An index that names no row takes zeros and is added nowhere.
pub static KERNEL: Kernel = Kernel {
    name: "take_rows",
    wgsl: include_str!("../../../shaders/elementwise/take_rows.wgsl"),
    bindings: &[read("x"), read("index"), write("y")],
    params: FIELDS,
    entry: &[],
    consts: &["ADD"],
    workgroup: [256, 1, 1],
    cpu,
    fast: None,
    sums,
    loop_iterations,
    family: crate::kernels::Family::Alone,
};

/// The grid of a dispatch.
pub fn grid(p: &Params) -> [u32; 3] {
    crate::kernels::grid((p.rows as usize * p.width as usize).div_ceil(256))
}

/// Rounds of a thread: all rows that may have to be added.
fn loop_iterations(asked: &Asked) -> (usize, &'static str) {
    (if asked.consts[0] == 1 { asked.params::<Params>().count as usize } else { 0 }, "a smaller batch")
}

/// All rows, if they have one index.
fn sums(asked: &Asked, size: &dyn Fn(usize) -> f64) -> Sum {
    match asked.consts[0] {
        1 => Sum::of(asked.params::<Params>().count as usize, size(0)),
        _ => Sum::SHORT,
    }
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, consts, reads, mut writes, .. } = call;
    let (x, index, width) = (f32s(reads[0]), f32s(reads[1]), p.width as usize);
    let y = &mut f32s_mut(writes[0])[..range.len() * width];
    let row = |index: f32, rows: u32| (index >= 0.0 && index < rows as f32).then_some(index as usize);
    if consts[0] == 0 {
        for (y, &index) in y.chunks_exact_mut(width).zip(index) {
            match row(index, p.count) {
                Some(row) => y.copy_from_slice(&x[row * width..][..width]),
                None => y.fill(0.0),
            }
        }
        return;
    }
    y.fill(0.0);
    for (&index, x) in index.iter().zip(x.chunks_exact(width)).take(p.count as usize) {
        let Some(row) = row(index, p.rows).filter(|row| range.contains(row) && *row as f32 == index) else { continue };
        y[(row - range.start) * width..][..width].iter_mut().zip(x).for_each(|(y, x)| *y += x);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{StepScalars, testing};
    use bytemuck::Zeroable;

    #[test]
    fn rows_are_taken_and_added_by_their_index() {
        let step = StepScalars::zeroed();
        let (x, index) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [2.0, 0.0, 2.0, 7.0]);
        let mut y = [f32::NAN; 8];
        let p = Params { rows: 4, width: 2, count: 3 };
        cpu(testing::call(0..4, &p, &[0], &step, &[&x, &index], vec![&mut y]));
        assert_eq!(y, [5.0, 6.0, 1.0, 2.0, 5.0, 6.0, 0.0, 0.0]);
        let (p, mut y) = (Params { rows: 3, width: 2, count: 3 }, [f32::NAN; 4]);
        cpu(testing::call(1..3, &p, &[1], &step, &[&x, &index], vec![&mut y]));
        assert_eq!(y, [0.0, 0.0, 6.0, 8.0]);
    }
}
