//! The same numbers beside every row: a parameter that the decoder has once, where a likelihood looks for a number for each
//! value of each row. Each of N numbers stands for T/N neighbours of the tail.
//!
//! | `OP` | x | y |
//! |---|---|---|
//! | [`APPEND`] | \[R, D\] | \[R, D + T\]: the row, then w |
//! | [`FIRST`] | \[R, D + T\] | \[R, D\]: the row without its tail, which is the gradient for the rows |
//! | [`SUMS`] | \[R, D + T\] | \[R, N\]: of each row the sum of what one number stands for; over rows it is the gradient for w |

use crate::kernels::{Asked, Call, Kernel, Sum, f32s, f32s_mut, params, read, write};

/// `OP`: numbers beside each row.
pub const APPEND: u32 = 0;
/// `OP`: rows without them.
pub const FIRST: u32 = 1;
/// `OP`: sums over the places of each.
pub const SUMS: u32 = 2;

params! {
    /// Shapes: x and y as above, w \[N\].
    pub struct Params {
        /// R, rows.
        pub rows: u32,
        /// D, numbers of a row.
        pub width: u32,
        /// T, numbers that are put beside it; a multiple of N.
        pub tail: u32,
        /// N, different ones.
        pub count: u32,
    }
}

/// The kernel. Its outer axis is the rows.
pub static KERNEL: Kernel = Kernel {
    name: "append",
    wgsl: include_str!("../../../shaders/elementwise/append.wgsl"),
    bindings: &[read("x"), read("w"), write("y")],
    params: FIELDS,
    entry: &[],
    consts: &["OP"],
    workgroup: [64, 1, 1],
    cpu,
    fast: None,
    sums,
    loop_iterations: |asked| (loop_iterations(&asked.params(), asked.consts), "examples of fewer values"),
    family: crate::kernels::Family::Alone,
};

/// One workgroup per row.
pub fn grid(p: &Params) -> [u32; 3] {
    crate::kernels::grid(p.rows as usize)
}

/// Iterations of the loops of a thread, at most ([`crate::kernels::MAX_LOOP_ITERATIONS`]): places of a row, or those of all numbers that
/// it sums up by itself.
fn loop_iterations(p: &Params, consts: &[u32]) -> usize {
    let (width, tail, count) = (p.width as usize, p.tail as usize, p.count as usize);
    match consts[0] {
        SUMS if count > 1 => count.div_ceil(64) * (2 + tail / count),
        SUMS => tail.div_ceil(64),
        _ => width.div_ceil(64) + tail.div_ceil(64),
    }
}

fn sums(asked: &Asked, size: &dyn Fn(usize) -> f64) -> Sum {
    let p: Params = asked.params();
    if asked.consts[0] == SUMS { Sum::of((p.tail / p.count) as usize, size(0)) } else { Sum::SHORT }
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, consts, reads, mut writes, .. } = call;
    let (x, w, y) = (f32s(reads[0]), f32s(reads[1]), f32s_mut(writes[0]));
    let (width, tail, count) = (p.width as usize, p.tail as usize, p.count as usize);
    let (wide, each) = (width + tail, tail / count);
    for row in 0..range.len() {
        match consts[0] {
            APPEND => {
                let (head, rest) = y[row * wide..][..wide].split_at_mut(width);
                head.copy_from_slice(&x[row * width..][..width]);
                rest.chunks_exact_mut(each).zip(w).for_each(|(places, &w)| places.fill(w));
            }
            FIRST => y[row * width..][..width].copy_from_slice(&x[row * wide..][..width]),
            _ => {
                let places = x[row * wide + width..][..tail].chunks_exact(each);
                for (sum, places) in y[row * count..][..count].iter_mut().zip(places) {
                    *sum = places.iter().map(|&x| f64::from(x)).sum::<f64>() as f32;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{call, step};

    #[test]
    fn numbers_stand_beside_each_row_and_their_sums_come_back() {
        let p = Params { rows: 2, width: 2, tail: 4, count: 2 };
        let run = |op: u32, x: &[f32], size: usize| {
            let mut y = vec![f32::NAN; size];
            cpu(call(0..2, &p, &[op], &step(2), &[x, &[7.0, 8.0]], vec![&mut y]));
            y
        };
        let beside = run(APPEND, &[1.0, 2.0, 3.0, 4.0], 12);
        assert_eq!(beside, [1.0, 2.0, 7.0, 7.0, 8.0, 8.0, 3.0, 4.0, 7.0, 7.0, 8.0, 8.0]);
        assert_eq!(run(FIRST, &beside, 4), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(run(SUMS, &beside, 4), [14.0, 16.0, 14.0, 16.0]);
    }
}
