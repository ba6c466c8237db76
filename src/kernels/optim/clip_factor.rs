//! min(1, clip / (‖g‖ + 10⁻⁶)): what all gradients are multiplied with so that their common norm is at most `clip`.
//!
//! As `torch.nn.utils.clip_grad_norm_` does it (Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent
//! neural networks", ICML 2013). ‖g‖² comes in the parts that [`crate::kernels::squared_norm`] made, of one tensor or of many. From
//! 10³⁵ on it counts as no number: then, and where ‖g‖ is `skip` or more, the factor is 0 where such updates are left out, and elsewhere that of 10³⁵, so that
//! what is no number stays none and is noticed. With `REPORT` ‖g‖ goes to a column of the step's row of the metrics too.

use crate::kernels::{Call, Kernel, f32s, f32s_mut, read_u32, read_write, write};

crate::kernels::params! {
    /// Constants of one use. Shapes: metrics \[slots, columns\].
    pub struct Params {
        /// How many parts the squared norm comes in.
        pub partials: u32,
        /// The largest norm allowed.
        pub clip: f32,
        /// The norm from which on an update is left out; 0 where none is.
        pub skip: f32,
        /// Columns of the metrics.
        pub columns: u32,
        /// The column of the norm.
        pub index: u32,
    }
}

/// A squared norm from here on counts as no number.
const MOST: f64 = 1e35;

/// The limit from which on updates are left out where only gradients that are no numbers are.
pub const NO_NUMBER: f32 = 3.1e17;

/// Whether a norm that was reported is that of a gradient of numbers.
pub fn is_number(norm: f64) -> bool {
    norm < 0.999 * MOST.sqrt()
}

/// Whether a gradient of this norm is scaled down to a limit.
pub fn is_clipped(norm: f64, clip: f32) -> bool {
    f64::from(clip) < norm + 1e-6
}

/// The kernel; one workgroup, not split.
pub static KERNEL: Kernel = Kernel {
    name: "clip_factor",
    wgsl: include_str!("../../../shaders/optim/clip_factor.wgsl"),
    bindings: &[read_u32("partials"), write("factor"), read_write("metrics")],
    params: FIELDS,
    entry: &[],
    consts: &["REPORT"],
    workgroup: [256, 1, 1],
    cpu,
    fast: None,
    sums: crate::kernels::short,
    loop_iterations: crate::kernels::few_iterations,
    family: crate::kernels::Family::Alone,
};

/// The grid of a dispatch.
pub fn grid(_: &Params) -> [u32; 3] {
    [1, 1, 1]
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { consts, step, reads, mut writes, .. } = call;
    let parts = &f32s(reads[0])[..p.partials as usize];
    let finite = parts.iter().all(|x| x.is_finite());
    let squares = if finite { parts.iter().map(|&x| f64::from(x)).sum::<f64>().min(MOST) } else { MOST };
    let factor = (f64::from(p.clip) / (squares.sqrt() + 1e-6)).min(1.0);
    f32s_mut(writes[0])[0] =
        if p.skip > 0.0 && (squares >= MOST || squares.sqrt() >= f64::from(p.skip)) { 0.0 } else { factor as f32 };
    if consts[0] == 1 {
        f32s_mut(writes[1])[(step.slot * p.columns + p.index) as usize] = squares.sqrt() as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{StepScalars, testing};
    use bytemuck::Zeroable;

    #[test]
    fn only_gradients_longer_than_the_limit_are_scaled() {
        for (clip, expected) in [(10.0, 1.0), (2.5, 0.5), (0.05, 0.01)] {
            let params = Params { partials: 2, clip, skip: 0.0, columns: 3, index: 1 };
            let (step, mut out, mut metrics) =
                (StepScalars { slot: 1, ..StepScalars::zeroed() }, [f32::NAN], [-1.0; 6]);
            cpu(testing::call(0..1, &params, &[1], &step, &[&[9.0, 16.0, 99.0]], vec![&mut out, &mut metrics]));
            testing::assert_close(&out, &[expected], 1e-6);
            assert_eq!(metrics, [-1.0, -1.0, -1.0, -1.0, 5.0, -1.0], "the norm goes to its column of the slot");
            assert_eq!(is_clipped(metrics[4].into(), clip), expected < 1.0);
            cpu(testing::call(0..1, &params, &[0], &step, &[&[1.0, 0.0, 99.0]], vec![&mut out, &mut metrics]));
            assert_eq!(metrics[4], 5.0, "nothing is reported where it is not wanted");
        }
    }

    #[test]
    fn a_gradient_as_long_as_the_limit_is_left_out() {
        for (skip, expected) in [(5.0, 0.0), (5.1, 1.0), (0.0, 1.0), (NO_NUMBER, 1.0)] {
            let params = Params { partials: 2, clip: 10.0, skip, columns: 1, index: 0 };
            let (step, mut out, mut norm) = (StepScalars::zeroed(), [f32::NAN], [f32::NAN]);
            cpu(testing::call(0..1, &params, &[1], &step, &[&[9.0, 16.0]], vec![&mut out, &mut norm]));
            assert_eq!((out[0], norm[0]), (expected, 5.0), "from {skip} on");
        }
    }

    #[test]
    fn a_gradient_that_is_no_number_is_left_out_only_where_that_is_wanted() {
        for parts in [[f32::NAN, 1.0], [1.0, f32::INFINITY], [f32::MAX, f32::MAX]] {
            for (skip, left_out) in [(NO_NUMBER, true), (100.0, true), (0.0, false)] {
                let params = Params { partials: 2, clip: 1.0, skip, columns: 1, index: 0 };
                let (step, mut out, mut norm) = (StepScalars::zeroed(), [f32::NAN], [f32::NAN]);
                cpu(testing::call(0..1, &params, &[1], &step, &[&parts], vec![&mut out, &mut norm]));
                assert!(norm[0].is_finite() && !is_number(norm[0].into()), "{parts:?}");
                assert_eq!((out[0] == 0.0, out[0].is_finite()), (left_out, true), "{parts:?}, skip {skip}");
            }
        }
    }
}
