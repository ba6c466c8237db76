//! min(1, clip / (‖g‖ + 10⁻⁶)): what all gradients are multiplied with so that their common norm is at most `clip`.
//!
//! As `torch.nn.utils.clip_grad_norm_` does it (Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent
//! neural networks", ICML 2013). Where ‖g‖² is no number, or 10³⁸ and more, the factor is 0, which leaves the update out. ‖g‖² comes in the parts that [`super::squared_norm`] made, of one tensor or of many.

use super::{Call, Kernel, f32s, f32s_mut, read_u32, write};

super::params! {
    /// Constants of one use.
    pub struct Params {
        /// How many parts the squared norm comes in.
        pub partials: u32,
        /// The largest norm allowed.
        pub clip: f32,
    }
}

/// A squared norm from here on counts as no number.
const MOST: f64 = 1e38;

/// The kernel; one workgroup, not split.
pub static KERNEL: Kernel = Kernel {
    name: "clip_factor",
    wgsl: include_str!("../../shaders/clip_factor.wgsl"),
    bindings: &[read_u32("partials"), write("factor")],
    params: FIELDS,
    entry: &[],
    consts: &[],
    workgroup: [256, 1, 1],
    cpu,
    fast: None,
};

/// The grid of a dispatch.
pub fn grid(_: &Params) -> [u32; 3] {
    [1, 1, 1]
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { reads, mut writes, .. } = call;
    let squares: f64 = f32s(reads[0])[..p.partials as usize].iter().map(|&x| f64::from(x)).sum();
    let factor = (f64::from(p.clip) / (squares.sqrt() + 1e-6)).min(1.0);
    f32s_mut(writes[0])[0] = if squares < MOST { factor as f32 } else { 0.0 };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{StepScalars, testing};
    use bytemuck::Zeroable;

    #[test]
    fn only_gradients_longer_than_the_limit_are_scaled() {
        for (clip, expected) in [(10.0, 1.0), (2.5, 0.5), (0.05, 0.01)] {
            let (params, step, mut out) = (Params { partials: 2, clip }, StepScalars::zeroed(), [f32::NAN]);
            cpu(testing::call(0..1, &params, &[], &step, &[&[9.0, 16.0, 99.0]], vec![&mut out]));
            testing::assert_close(&out, &[expected], 1e-6);
        }
    }

    #[test]
    fn a_gradient_that_is_no_number_is_left_out() {
        for parts in [[f32::NAN, 1.0], [1.0, f32::INFINITY], [f32::MAX, f32::MAX]] {
            let params = Params { partials: 2, clip: f32::MAX };
            let (step, mut out) = (StepScalars::zeroed(), [f32::NAN]);
            cpu(testing::call(0..1, &params, &[], &step, &[&parts], vec![&mut out]));
            assert_eq!(out, [0.0], "{parts:?}");
        }
    }
}
