//! dx = dy·f′, element by element: the gradient of [`crate::kernels::activation`].
//!
//! `v` is the output y where that is enough for the derivative, else the input x; see `math::derivative_needs_input`.

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
    name: "activation_grad",
    wgsl: include_str!("../../../shaders/elementwise/activation_grad.wgsl"),
    bindings: &[read("dy"), read("v"), write("dx")],
    params: FIELDS,
    entry: &[],
    consts: &["ACTIVATION"],
    workgroup: [256, 1, 1],
    cpu,
    fast: Some(fast),
    sums: crate::kernels::short,
    loop_iterations: crate::kernels::few_iterations,
    family: crate::kernels::Family::Alone,
};

/// The grid of a dispatch.
pub fn grid(params: &Params) -> [u32; 3] {
    crate::kernels::grid((params.count as usize).div_ceil(256))
}

fn cpu(call: Call) {
    let Call { range, consts, reads, mut writes, .. } = call;
    let kind = math::from_code(consts[0]);
    let (dy, v) = (f32s(reads[0]), f32s(reads[1]));
    for (i, dx) in f32s_mut(writes[0]).iter_mut().enumerate().take(range.len()) {
        *dx = dy[i] * math::derivative(kind, v[i]);
    }
}

fn fast(call: Call) {
    let Call { range, consts, reads, mut writes, .. } = call;
    let dx = &mut f32s_mut(writes[0])[..range.len()];
    dx.copy_from_slice(&f32s(reads[0])[..range.len()]);
    math::derivative_all(math::from_code(consts[0]), &f32s(reads[1])[..range.len()], dx);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{StepScalars, testing};
    use bytemuck::Zeroable;

    #[test]
    fn derivatives_are_those_of_the_activations() {
        for code in 0..7 {
            let kind = math::from_code(code);
            for x in [-2.5_f32, -0.4, 0.3, 1.7] {
                let v = if math::derivative_needs_input(kind) { x } else { math::activate(kind, x) };
                let (params, step, mut out) = (Params { count: 1 }, StepScalars::zeroed(), [0.0]);
                cpu(testing::call(0..1, &params, &[code], &step, &[&[3.0], &[v]], vec![&mut out]));
                let rise = f64::from(math::activate(kind, x + 0.01)) - f64::from(math::activate(kind, x - 0.01));
                testing::assert_close(&out, &[3.0 * rise / 0.02], 3e-4);
            }
        }
    }
}
