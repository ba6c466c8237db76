//! A tensor that is kept from run to run: the sum of another over the runs of an update, or its moving average.
//!
//! - [`SUM`]: the gradient of a batch that is computed in `PARTS` runs. The first of them begins anew.
//! - [`AVERAGE`]: a ← d·a + (1 − d)·x after each update (Polyak and Juditsky, "Acceleration of stochastic approximation by
//!   averaging", 1992, with weights that decay), with d = min(decay, (1 + t)/(10 + t)) after update t, counted from 0: an
//!   average of few values forgets where it began, as in TensorFlow's `ExponentialMovingAverage`.

use crate::kernels::math::lasting;
use crate::kernels::{Call, Kernel, f32s, f32s_mut, read, read_write};

/// `WHAT`: the sum over the parts of a batch.
pub const SUM: u32 = 0;
/// `WHAT`: the moving average over updates.
pub const AVERAGE: u32 = 1;

crate::kernels::params! {
    /// Constants of one use.
    pub struct Params {
        /// Elements.
        pub count: u32,
        /// What of an average stays from one update to the next.
        pub decay: f32,
    }
}

/// The kernel; its outer axis are the elements.
pub static KERNEL: Kernel = Kernel {
    name: "accumulate",
    wgsl: include_str!("../../../shaders/optim/accumulate.wgsl"),
    bindings: &[read("x"), read_write("kept")],
    params: FIELDS,
    entry: &[],
    consts: &["WHAT", "PARTS"],
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
    let Call { range, consts, step, reads, mut writes, .. } = call;
    let (x, kept) = (&f32s(reads[0])[..range.len()], &mut f32s_mut(writes[0])[..range.len()]);
    let [what, parts] = [consts[0], consts[1]];
    if what == SUM && step.is_first_part(parts) {
        kept.copy_from_slice(x);
    } else if what == SUM {
        kept.iter_mut().zip(x).for_each(|(sum, x)| *sum += x);
    } else if step.is_last_part(parts) {
        let t = step.step as f32;
        let decay = p.decay.min((1.0 + t) / (10.0 + t));
        let next = |x: f32, average: f32| lasting(average + (1.0 - decay) * (x - average));
        kept.iter_mut().zip(x).for_each(|(average, x)| *average = next(*x, *average));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{StepScalars, testing};
    use bytemuck::Zeroable;

    /// What is kept after runs that fill rows 0, 1, … of the metrics, with x = 1, 2, …
    fn kept(what: u32, parts: u32, runs: u32) -> f32 {
        let mut kept = [if what == SUM { f32::NAN } else { 0.0 }];
        for run in 0..runs {
            let params = Params { count: 1, decay: 0.25 };
            let step = StepScalars { slot: run, step: 100 + run / parts.max(1), ..StepScalars::zeroed() };
            let x = [(run + 1) as f32];
            cpu(testing::call(0..1, &params, &[what, parts], &step, &[&x], vec![&mut kept]));
        }
        kept[0]
    }

    #[test]
    fn a_sum_begins_anew_with_the_first_part_whatever_was_there() {
        for (parts, runs, expected) in [(0, 3, 3.0), (1, 3, 3.0), (3, 2, 3.0), (3, 3, 6.0), (3, 4, 4.0), (3, 6, 15.0)] {
            assert_eq!(kept(SUM, parts, runs), expected, "{runs} runs, {parts} for an update");
        }
    }

    #[test]
    fn an_average_takes_in_what_an_update_made_and_nothing_between() {
        for (parts, runs, expected) in [(0, 1, 0.75), (0, 2, 1.6875), (2, 1, 0.0), (2, 2, 1.5), (2, 3, 1.5)] {
            assert_eq!(kept(AVERAGE, parts, runs), expected, "{runs} runs, {parts} for an update");
        }
    }

    #[test]
    fn a_young_average_forgets_where_it_began() {
        let (params, step) = (Params { count: 1, decay: 0.999 }, StepScalars { step: 2, ..StepScalars::zeroed() });
        let mut kept = [8.0];
        cpu(testing::call(0..1, &params, &[AVERAGE, 0], &step, &[&[0.0]], vec![&mut kept]));
        assert_eq!(kept, [2.0]);
    }
}
