//! Rows with the class of their example behind them, as a one among zeros: [R, N] and [B] to [R, N + C], which is what
//! a dense layer of a conditional model reads (Sohn, Lee and Yan 2015). With `REMOVE` the way back, which is that of
//! gradients: rows without their last C columns, [R, N + C] to [R, N].

use crate::kernels::{Call, Kernel, f32s, f32s_mut, read, write};

crate::kernels::params! {
    /// Constants of one use.
    pub struct Params {
        /// R.
        pub rows: u32,
        /// N, columns of a row without the class.
        pub width: u32,
        /// C.
        pub classes: u32,
        /// Rows for each example.
        pub per_example: u32,
    }
}

/// The kernel; its outer axis are the rows.
pub static KERNEL: Kernel = Kernel {
    name: "with_class",
    wgsl: include_str!("../../../shaders/elementwise/with_class.wgsl"),
    bindings: &[read("x"), read("labels"), write("y")],
    params: FIELDS,
    entry: &[],
    consts: &["REMOVE"],
    workgroup: [256, 1, 1],
    cpu,
    fast: None,
    sums: crate::kernels::short,
    loop_iterations: crate::kernels::few_iterations,
    family: crate::kernels::Family::Alone,
};

/// The grid of a dispatch.
pub fn grid(p: &Params, remove: bool) -> [u32; 3] {
    let width = if remove { p.width } else { p.width + p.classes };
    crate::kernels::grid((p.rows as usize * width as usize).div_ceil(256))
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, consts, reads, mut writes, .. } = call;
    let (x, y) = (f32s(reads[0]), f32s_mut(writes[0]));
    let [width, wide] = [p.width, p.width + p.classes].map(|n| n as usize);
    if consts[0] == 1 {
        for (y, x) in y.chunks_exact_mut(width).zip(x.chunks_exact(wide)) {
            y.copy_from_slice(&x[..width]);
        }
        return;
    }
    let (labels, per_example) = (f32s(reads[1]), p.per_example as usize);
    let first = range.start / per_example;
    for (row, (y, x)) in range.zip(y.chunks_exact_mut(wide).zip(x.chunks_exact(width))) {
        y[..width].copy_from_slice(x);
        y[width..].fill(0.0);
        if let Some(place) = y[width..].get_mut(labels[row / per_example - first] as usize) {
            *place = 1.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{StepScalars, testing};
    use bytemuck::Zeroable;

    #[test]
    fn a_class_stands_behind_each_row_of_its_example_and_goes_again() {
        let (p, step) = (Params { rows: 4, width: 2, classes: 3, per_example: 2 }, StepScalars::zeroed());
        let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
        let (mut wide, mut again) = ([f32::NAN; 20], [f32::NAN; 8]);
        cpu(testing::call(0..4, &p, &[0], &step, &[&x, &[2.0, 0.0]], vec![&mut wide]));
        #[rustfmt::skip]
        assert_eq!(wide, [
            1.0, 2.0, 0.0, 0.0, 1.0, 3.0, 4.0, 0.0, 0.0, 1.0,
            5.0, 6.0, 1.0, 0.0, 0.0, 7.0, 8.0, 1.0, 0.0, 0.0,
        ]);
        cpu(testing::call(0..4, &p, &[1], &step, &[&wide, &[0.0; 4]], vec![&mut again]));
        assert_eq!(again, x);
        // A part of the rows is given the classes of its examples.
        let mut part = [f32::NAN; 10];
        cpu(testing::call(2..4, &p, &[0], &step, &[&x[4..], &[0.0]], vec![&mut part]));
        assert_eq!(part, wide[10..]);
    }
}
