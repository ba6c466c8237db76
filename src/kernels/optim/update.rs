//! The update of the parameters, and beside it the means of the terms of the loss: all that ends a training step.
//!
//! `RULE` is one of four, arranged as in PyTorch; g is the gradient, clipped, plus weight decay times the parameter p.
//!
//! - [`SGD`], stochastic gradient descent without dampening and Nesterov's variant: p ← p − lr·g.
//! - [`RMSPROP`], not centred, from Hinton's course "Neural networks for machine learning", lecture 6e:
//!   v ← β2·v + (1 − β2)·g², p ← p − lr·g/(√v + eps). PyTorch calls this β2 α.
//! - [`ADAM`], Kingma, Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1:
//!   m ← β1·m + (1 − β1)·g, v ← β2·v + (1 − β2)·g², p ← p − lr/c1 · m / (√v/√c2 + eps).
//! - [`ADAMW`], Loshchilov, Hutter, "Decoupled weight decay regularization", ICLR 2019, algorithm 2: the same, but the
//!   decay is taken off the parameter, p ← p − lr·decay·p, and not added to the gradient.
//!
//! Where `MOMENTUM` is 1, the first two take lr times b instead of lr times their change c: b ← β1·b + c.
//!
//! A moment that is smaller than the smallest normal number becomes 0 (see [`crate::kernels::math::lasting`]): where a gradient stays 0, it
//! would otherwise shrink to a subnormal number that no factor makes smaller, and stay there.
//!
//! c1 and c2, the corrections 1 − β^t, come from the host, since powers on a device are inexact. They have to be made
//! from the β that the device sees, an f32: 1 − 0.999 in f32 is off by 10⁻⁵, and that cancels only against the same β.

use crate::config::OptimizerKind;
pub(in crate::kernels) use crate::kernels::batch_mean::ENTRY;
use crate::kernels::batch_mean::{Entry, means};
use crate::kernels::math::lasting;
use crate::kernels::{Call, Kernel, all_f32s_mut, f32s, read, read_write};

crate::kernels::params! {
    /// Constants of one use.
    pub struct Params {
        /// Parameters to update.
        pub count: u32,
        /// Decay of the first moment: β1 of Adam, the momentum of the other rules.
        pub beta1: f32,
        /// Decay of the second moment, the mean square of the gradient.
        pub beta2: f32,
        /// Added to the root of the second moment.
        pub eps: f32,
        /// Weight decay: added to the gradient, or taken off the parameter by AdamW.
        pub weight_decay: f32,
        /// B, examples of the batch.
        pub batch: u32,
        /// Columns of the metrics.
        pub columns: u32,
        /// Entries of the table that are used; 0 where other steps compute the means.
        pub terms: u32,
    }
}

/// `RULE`: stochastic gradient descent.
pub const SGD: u32 = 0;
/// `RULE`: RMSprop.
pub const RMSPROP: u32 = 1;
/// `RULE`: Adam.
pub const ADAM: u32 = 2;
/// `RULE`: Adam with decoupled weight decay.
pub const ADAMW: u32 = 3;

/// `MEANS`: the table is empty.
pub const NONE: u32 = 0;
/// `MEANS`: a term's numbers are added up by one thread, without barriers. Software drivers run every workgroup of a
/// kernel that has barriers at half the speed, also those that do not reach them.
pub const THREAD: u32 = 1;
/// `MEANS`: a term's numbers are added up by a workgroup.
pub const WORKGROUP: u32 = 2;

/// Which of the constants is `MEANS`.
pub const MEANS: usize = 3;

/// The value of `RULE` for an update rule.
pub const fn rule(kind: OptimizerKind) -> u32 {
    match kind {
        OptimizerKind::Sgd => SGD,
        OptimizerKind::Rmsprop => RMSPROP,
        OptimizerKind::Adam => ADAM,
        OptimizerKind::Adamw => ADAMW,
    }
}

/// The kernel. Gradients are multiplied with `factor[0]` where `CLIP` is 1; where the factor is 0, the update is left out.
/// Of `PARTS` runs that belong to one update only the last changes anything but the metrics (0 stands for 1). `first` is m or b, `second` is v; a rule
/// without one does not touch it. The table is that of [`crate::kernels::batch_mean`].
///
/// The outer axis are the parameters; whoever has the first of them also computes the means.
pub static KERNEL: Kernel = Kernel {
    name: "update",
    wgsl: include_str!("../../../shaders/optim/update.wgsl"),
    bindings: &[
        read("grad"),
        read("factor"),
        read("terms"),
        read_write("param"),
        read_write("first"),
        read_write("second"),
        read_write("metrics"),
    ],
    params: FIELDS,
    entry: ENTRY,
    consts: &["RULE", "CLIP", "MOMENTUM", "MEANS", "PARTS"],
    workgroup: [256, 1, 1],
    cpu,
    fast: Some(fast),
    sums: crate::kernels::short,
    loop_iterations: crate::kernels::few_iterations,
    family: crate::kernels::Family::Update(grid),
};

/// The grid of a dispatch: a workgroup for 256 parameters, then one for each term.
pub fn grid(params: &Params) -> [u32; 3] {
    crate::kernels::grid(params.count.div_ceil(256) as usize + params.terms as usize)
}

#[inline(always)]
pub(in crate::kernels) fn cpu(call: Call) {
    let p: Params = call.params();
    let entries = call.entries::<Params, Entry>();
    let Call { range, consts, step, reads, writes, .. } = call;
    let (rule, clip, momentum) = (consts[0], consts[1] == 1, consts[2] == 1);
    let [param, first, second, metrics] = all_f32s_mut(writes);
    if range.start == 0 {
        means(&entries, p.batch, p.columns, step, f32s(reads[2]), metrics);
    }
    let factor = if clip { f32s(reads[1])[0] } else { 1.0 };
    if factor == 0.0 || !step.is_last_part(consts[4]) {
        return;
    }
    // So that the loops become vectors, there is one for each rule, on slices of one length, and none writes under a
    // condition. A moment is cut where it is used, since nothing is bound where it is not.
    let n = range.len();
    let (grad, param) = (&f32s(reads[0])[..n], &mut param[..n]);
    let decayed = |i: usize, param: f32| grad[i] * factor + p.weight_decay * param;
    match rule {
        SGD => descend(param, momentum.then_some(first), &p, step.lr, decayed),
        RMSPROP => {
            let v = &mut second[..n];
            descend(param, momentum.then_some(first), &p, step.lr, |i, param| {
                let g = decayed(i, param);
                v[i] = lasting(p.beta2 * v[i] + (1.0 - p.beta2) * g * g);
                g / (v[i].sqrt() + p.eps)
            });
        }
        _ => {
            let (m, v) = (&mut first[..n], &mut second[..n]);
            // What divides every element is inverted once.
            let (rate, root) = (step.lr / step.correction1, 1.0 / step.correction2.sqrt());
            for i in 0..n {
                let (mut g, mut value) = (grad[i] * factor, param[i]);
                if rule == ADAMW {
                    value -= step.lr * p.weight_decay * value;
                } else {
                    g += p.weight_decay * value;
                }
                m[i] = lasting(p.beta1 * m[i] + (1.0 - p.beta1) * g);
                v[i] = lasting(p.beta2 * v[i] + (1.0 - p.beta2) * g * g);
                param[i] = value - rate * m[i] / (v[i].sqrt() * root + p.eps);
            }
        }
    }
}

/// Takes lr times the change of each parameter off it, or lr times the change with momentum.
#[inline(always)]
fn descend(
    param: &mut [f32],
    momentum: Option<&mut [f32]>,
    p: &Params,
    lr: f32,
    mut change: impl FnMut(usize, f32) -> f32,
) {
    let Some(momentum) = momentum else {
        for (i, param) in param.iter_mut().enumerate() {
            *param -= lr * change(i, *param);
        }
        return;
    };
    for (i, (param, b)) in param.iter_mut().zip(momentum).enumerate() {
        *b = lasting(change(i, *param) + p.beta1 * *b);
        *param -= lr * *b;
    }
}

/// The twin's loops on the processor's vectors.
pub(in crate::kernels) fn fast(call: Call) {
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || cpu(call),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{assert_close, call, step};
    use crate::kernels::{StepScalars, words};
    use bytemuck::Zeroable;

    const PARAMS: Params =
        Params { count: 1, beta1: 0.0, beta2: 0.0, eps: 0.0, weight_decay: 0.0, batch: 0, columns: 0, terms: 0 };

    /// Updates one parameter p with the first moment m and the second moment v; `factor` limits the gradient.
    fn update(
        params: &Params,
        [rule, clip, momentum]: [u32; 3],
        step: &StepScalars,
        g: f32,
        factor: f32,
        [p, m, v]: [&mut f32; 3],
    ) {
        let slice = std::slice::from_mut;
        let writes = vec![slice(p), slice(m), slice(v), &mut []];
        cpu(call(0..1, params, &[rule, clip, momentum, NONE, 0], step, &[&[g], &[factor], &[]], writes));
    }

    /// Three steps of Adam in f64 by the formulas of the papers, with m̂ and v̂ made explicit.
    fn reference(decoupled: bool, clip: bool) -> f64 {
        let (mut p, mut m, mut v) = (0.5_f64, 0.0_f64, 0.0_f64);
        for (t, g) in [(1, 0.3), (2, -1.2), (3, 0.7)] {
            let mut g = if clip { g * 0.25 } else { g };
            if decoupled {
                p *= 1.0 - 0.01 * 0.1;
            } else {
                g += 0.1 * p;
            }
            m = 0.9 * m + 0.1 * g;
            v = 0.999 * v + 0.001 * g * g;
            let (m_hat, v_hat) = (m / (1.0 - 0.9_f64.powi(t)), v / (1.0 - 0.999_f64.powi(t)));
            p -= 0.01 * m_hat / (v_hat.sqrt() + 1e-3);
        }
        p
    }

    #[test]
    fn three_steps_of_adam_are_those_of_the_papers() {
        let params = Params { beta1: 0.9, beta2: 0.999, eps: 1e-3, weight_decay: 0.1, ..PARAMS };
        for (rule, clip) in [(ADAM, 0), (ADAM, 1), (ADAMW, 0), (ADAMW, 1)] {
            let (mut p, mut m, mut v) = (0.5, 0.0, 0.0);
            for (t, g) in [(1, 0.3), (2, -1.2), (3, 0.7)] {
                let step = StepScalars {
                    lr: 0.01,
                    correction1: (1.0 - f64::from(params.beta1).powi(t)) as f32,
                    correction2: (1.0 - f64::from(params.beta2).powi(t)) as f32,
                    ..StepScalars::zeroed()
                };
                update(&params, [rule, clip, 0], &step, g, 0.25, [&mut p, &mut m, &mut v]);
            }
            assert_close(&[p], &[reference(rule == ADAMW, clip == 1)], 1e-6);
        }
    }

    /// With β2 = 0 the mean square is g², so that every step without momentum is ±lr: simple enough to do by hand.
    #[test]
    fn steps_of_rmsprop_have_the_length_of_the_learning_rate_and_momentum_adds_up() {
        let params = Params { beta1: 0.5, ..PARAMS };
        let step = StepScalars { lr: 0.1, ..StepScalars::zeroed() };
        for (momentum, expected) in [(0, [0.9, 0.8, 0.9]), (1, [0.9, 0.75, 0.775])] {
            let (mut p, mut b, mut v) = (1.0, 0.0, 0.0);
            for (g, expected) in [3.0, 0.2, -7.0].into_iter().zip(expected) {
                update(&params, [RMSPROP, 0, momentum], &step, g, f32::NAN, [&mut p, &mut b, &mut v]);
                assert_close(&[p], &[expected], 1e-6);
            }
        }
    }

    #[test]
    fn the_mean_square_of_rmsprop_decays_and_gradients_are_clipped_and_decayed() {
        let params = Params { beta2: 0.99, eps: 0.1, weight_decay: 0.25, ..PARAMS };
        let step = StepScalars { lr: 0.1, ..StepScalars::zeroed() };
        let (mut p, mut v) = (2.0, 4.0);
        update(&params, [RMSPROP, 1, 0], &step, 3.0, 0.5, [&mut p, &mut 0.0, &mut v]);
        let square: f64 = 0.99 * 4.0 + 0.01 * 4.0;
        assert_close(&[v], &[square], 1e-6);
        assert_close(&[p], &[2.0 - 0.1 * 2.0 / (square.sqrt() + 0.1)], 1e-6);
    }

    #[test]
    fn two_steps_of_gradient_descent_match_those_done_by_hand() {
        let params = Params { beta1: 0.5, weight_decay: 0.25, ..PARAMS };
        let step = StepScalars { lr: 0.5, ..StepScalars::zeroed() };
        // Gradients 4 and then 2, at p = 2 and the p that follows; clipped by a factor of 1/4 in the last two rows.
        for (momentum, clip, expected) in
            [(0, 0, [-0.25, -1.218_75]), (1, 0, [-0.25, -2.343_75]), (0, 1, [1.25, 0.843_75]), (1, 1, [1.25, 0.468_75])]
        {
            let (mut p, mut b) = (2.0, 0.0);
            for (g, expected) in [4.0, 2.0].into_iter().zip(expected) {
                let mut unused = f32::NAN;
                update(&params, [SGD, clip, momentum], &step, g, 0.25, [&mut p, &mut b, &mut unused]);
                assert_eq!(p, expected, "MOMENTUM {momentum}, CLIP {clip}");
            }
        }
    }

    #[test]
    fn only_the_last_part_of_a_batch_with_a_gradient_that_is_a_number_changes_anything() {
        for (slot, parts, factor, updates) in [
            (0, 0, 1.0, true),
            (2, 3, 0.5, true),
            (5, 3, 1.0, true),
            (0, 3, 1.0, false),
            (4, 3, 1.0, false),
            (2, 3, 0.0, false),
        ] {
            for rule in [SGD, RMSPROP, ADAM, ADAMW] {
                let step = StepScalars { slot, lr: 0.5, correction1: 1.0, correction2: 1.0, ..StepScalars::zeroed() };
                let (mut p, mut m, mut v) = ([2.0], [3.0], [4.0]);
                let writes: Vec<&mut [f32]> = vec![&mut p, &mut m, &mut v, &mut []];
                let reads: [&[f32]; 3] = [&[if updates { 1.0 } else { f32::NAN }], &[factor], &[]];
                cpu(call(0..1, &PARAMS, &[rule, 1, 1, NONE, parts], &step, &reads, writes));
                let same = (p, m, v) == ([2.0], [3.0], [4.0]);
                assert_eq!(same, !updates, "part {slot} of {parts}, factor {factor}, rule {rule}");
            }
        }
    }

    #[test]
    fn what_is_kept_becomes_zero_in_place_of_a_subnormal_number() {
        let params = Params { beta1: 0.9, beta2: 0.9, ..PARAMS };
        let step = StepScalars { lr: 0.5, correction1: 1.0, correction2: 1.0, ..StepScalars::zeroed() };
        // 0.9 of the second is a normal number, which stays.
        for (start, kept) in [(1e-38, 0.0), (2e-38, 0.9 * 2e-38)] {
            for kind in [SGD, RMSPROP, ADAM, ADAMW] {
                let (mut p, mut m, mut v) = (2.0, start, start);
                let params = Params { eps: 1e-8, ..params };
                update(&params, [kind, 0, 1], &step, 0.0, 1.0, [&mut p, &mut m, &mut v]);
                let second = if kind == SGD { start } else { kept };
                assert_eq!([m, v], [kept, second], "rule {kind} from {start}");
            }
        }
    }

    #[test]
    fn the_means_come_with_the_first_parameter_and_with_no_other() {
        let params = Params { count: 2, batch: 3, columns: 2, terms: 1, ..PARAMS };
        let table = words(&params, &[Entry { offset: 1, width: 1, per_example: 1, index: 1 }]);
        for (range, expected) in [(0..1, [-1.0, 3.0]), (0..2, [-1.0, 3.0]), (1..2, [-1.0, -1.0])] {
            let (mut p, mut metrics) = ([1.0; 2], [-1.0; 2]);
            let step = step(2);
            let reads: [&[f32]; 3] = [&[0.0; 2], &[], &[100.0, 2.0, 4.0, 100.0]];
            let writes: Vec<&mut [f32]> = vec![&mut p, &mut [], &mut [], &mut metrics];
            cpu(Call {
                params: &table,
                ..call(range.clone(), &params, &[SGD, 0, 0, THREAD, 0], &step, &reads, writes)
            });
            assert_eq!(metrics, expected, "{range:?}");
        }
    }
}
