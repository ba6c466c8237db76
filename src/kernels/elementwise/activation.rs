//! y = f(x), element by element, for the activations of [`crate::config::Activation`].

use crate::kernels::{Call, Kernel, f32s, f32s_mut, math, read, write};

crate::kernels::params! {
    /// Constants of one use.
    pub struct Params {
        /// Elements.
        pub count: u32,
    }
}

/// The kernel; `ACTIVATION` is a code of `shaders/shared/math.wgsl`.
pub static KERNEL: Kernel = Kernel {
    name: "activation",
    wgsl: include_str!("../../../shaders/elementwise/activation.wgsl"),
    bindings: &[read("x"), write("y")],
    params: FIELDS,
    entry: &[],
    consts: &["ACTIVATION"],
    workgroup: [256, 1, 1],
    cpu,
    fast: Some(fast),
    sums: crate::kernels::short,
    loop_iterations: crate::kernels::few_iterations,
    family: crate::kernels::Family::Link(crate::kernels::chain::ACTIVATION),
};

/// The grid of a dispatch.
pub fn grid(params: &Params) -> [u32; 3] {
    crate::kernels::grid((params.count as usize).div_ceil(256))
}

fn cpu(call: Call) {
    let Call { range, consts, reads, mut writes, .. } = call;
    let kind = math::from_code(consts[0]);
    for (y, &x) in f32s_mut(writes[0]).iter_mut().zip(f32s(reads[0])).take(range.len()) {
        *y = math::activate(kind, x);
    }
}

fn fast(call: Call) {
    let Call { range, consts, reads, mut writes, .. } = call;
    let y = &mut f32s_mut(writes[0])[..range.len()];
    y.copy_from_slice(&f32s(reads[0])[..range.len()]);
    math::activate_all(math::from_code(consts[0]), y);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{StepScalars, testing};
    use bytemuck::Zeroable;

    #[test]
    fn the_activations_have_their_known_values() {
        for (code, x, y) in [
            (0, -1.5, -1.5),
            (1, -1.5, 0.0),
            (1, 1.5, 1.5),
            (2, 0.5, 0.462_117_157_260_009_8),
            (3, 2.0, 0.880_797_077_977_882_3),
            (3, -100.0, 0.0),
            (4, 1.0, 0.731_058_578_630_004_9),
            (5, 1.0, 0.841_191_990_607_477_2),
            (6, 0.0, std::f64::consts::LN_2),
            (6, 100.0, 100.0),
        ] {
            let (params, step, mut out) = (Params { count: 1 }, StepScalars::zeroed(), [f32::NAN; 2]);
            cpu(testing::call(0..1, &params, &[code], &step, &[&[x, 9.0]], vec![&mut out]));
            testing::assert_close(&out[..1], &[y], 1e-6);
            assert!(out[1].is_nan(), "written beyond the range");
        }
    }
}
