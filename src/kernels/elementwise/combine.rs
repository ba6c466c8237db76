//! Two tensors of one shape into one, element by element: alpha·a + beta·b, a·b, or alpha·a.

use crate::kernels::{Call, Kernel, f32s, f32s_mut, read, write};

/// `OP` for alpha·a + beta·b.
pub const WEIGHTED_SUM: u32 = 0;
/// `OP` for a·b.
pub const PRODUCT: u32 = 1;
/// `OP` for alpha·a; b is not touched.
pub const SCALED: u32 = 2;

crate::kernels::params! {
    /// Constants of one use.
    pub struct Params {
        /// Elements.
        pub count: u32,
        /// Weight of a.
        pub alpha: f32,
        /// Weight of b.
        pub beta: f32,
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "combine",
    wgsl: include_str!("../../../shaders/elementwise/combine.wgsl"),
    bindings: &[read("a"), read("b"), write("y")],
    params: FIELDS,
    entry: &[],
    consts: &["OP"],
    workgroup: [256, 1, 1],
    cpu,
    fast: None,
    sums: crate::kernels::short,
    loop_iterations: crate::kernels::few_iterations,
    family: crate::kernels::Family::Alone,
};

/// The grid of a dispatch.
pub fn grid(params: &Params) -> [u32; 3] {
    crate::kernels::grid((params.count as usize).div_ceil(256))
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, consts, reads, mut writes, .. } = call;
    let (a, b) = (f32s(reads[0]), f32s(reads[1]));
    for (i, y) in f32s_mut(writes[0]).iter_mut().enumerate().take(range.len()) {
        *y = match consts[0] {
            WEIGHTED_SUM => p.alpha * a[i] + p.beta * b[i],
            PRODUCT => a[i] * b[i],
            _ => p.alpha * a[i],
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{StepScalars, testing};
    use bytemuck::Zeroable;

    #[test]
    fn the_operations_are_weighted_sum_product_and_scaling() {
        let (params, step) = (Params { count: 3, alpha: 2.0, beta: -0.5 }, StepScalars::zeroed());
        for (op, b, expected) in [
            (WEIGHTED_SUM, &[4.0, -2.0, 1.0][..], [0.0, 5.0, 5.5]),
            (PRODUCT, &[4.0, -2.0, 1.0], [4.0, -4.0, 3.0]),
            (SCALED, &[], [2.0, 4.0, 6.0]),
        ] {
            let mut y = [f32::NAN; 3];
            cpu(testing::call(0..3, &params, &[op], &step, &[&[1.0, 2.0, 3.0], b], vec![&mut y]));
            assert_eq!(y, expected, "OP {op}");
        }
    }
}
