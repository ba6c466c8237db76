//! The steps after the gradients: clipping and the update rule.

use super::lower::{Dispatch, Lowering, Target};
use super::{Role, View};
use crate::config::{OptimizerConfig, OptimizerKind};
use crate::kernels::{MOST_TEXEL_WORDS, adam, adam_texels, clip_factor, rmsprop, sgd, squared_norm};

/// Partial sums of the gradient's squared norm: enough for many threads, few enough for one workgroup to add up.
const PARTIALS: usize = 256;

/// Clips the gradient where the configuration asks for it, then updates the parameters: all in one step, or on the CPU
/// engine one parameter at a time, so that the thread that made a part of a gradient also applies it.
pub(super) fn steps(lowering: &mut Lowering, config: &OptimizerConfig) {
    let factor = if config.clip_norm > 0.0 { clip(lowering, config.clip_norm) } else { lowering.nothing() };
    let whole = (0, lowering.parameter_words, lowering.parameter_words, String::from("all parameters"));
    let parts = if lowering.target == Target::Cpu {
        let ranges = lowering.plan.parameters.iter();
        ranges.map(|range| (range.offset, range.count(), range.shape[0], range.name.clone())).collect()
    } else {
        vec![whole]
    };
    for (offset, count, rows, name) in parts {
        apply(lowering, config, factor, (offset, count, rows), &name);
    }
}

/// The factor by which every gradient is multiplied.
fn clip(lowering: &mut Lowering, clip: f32) -> View {
    let count = lowering.parameter_words;
    let gradients = lowering.whole(Role::Gradients, count);
    let partials = lowering.scratch(PARTIALS);
    let p = squared_norm::Params { count: count as u32, partials: PARTIALS as u32 };
    let dispatch = Dispatch {
        kernel: &squared_norm::KERNEL,
        consts: &[],
        outer: PARTIALS,
        unit: 1,
        grid: squared_norm::grid(&p),
        what: "squared norm of the gradient",
    };
    lowering.push(&dispatch, &p, vec![gradients, View { split: true, ..partials }]);
    let factor = lowering.scratch(1);
    let p = clip_factor::Params { partials: PARTIALS as u32, clip };
    let dispatch = Dispatch {
        kernel: &clip_factor::KERNEL,
        consts: &[],
        outer: 1,
        unit: 1,
        grid: clip_factor::grid(&p),
        what: "clipping factor",
    };
    lowering.push(&dispatch, &p, vec![partials, factor]);
    factor
}

fn apply(
    lowering: &mut Lowering,
    config: &OptimizerConfig,
    factor: View,
    (offset, count, rows): (usize, usize, usize),
    name: &str,
) {
    let words = lowering.parameter_words;
    let mut part = |role| View { offset, words: count, split: true, ..lowering.whole(role, words) };
    let (gradient, parameter) = (part(Role::Gradients), part(Role::Parameters));
    let (first, second) = (part(Role::Moment1), part(Role::Moment2));
    let clip = u32::from(config.clip_norm > 0.0);
    let momentum = u32::from(config.momentum > 0.0);
    let what = format!("update {name}");
    let (outer, unit) = (count, count / rows);
    let count = count as u32;
    match config.kind {
        OptimizerKind::Adam | OptimizerKind::Adamw => {
            let p = adam::Params {
                count,
                beta1: config.beta1,
                beta2: config.beta2,
                eps: config.eps,
                weight_decay: config.weight_decay,
            };
            let consts = [u32::from(config.kind == OptimizerKind::Adamw), clip];
            let texels = lowering.target == Target::Lanes
                && count.is_multiple_of(4)
                && gradient.words.max(first.words) <= MOST_TEXEL_WORDS;
            let (kernel, grid) = match texels {
                true => (&adam_texels::KERNEL, adam_texels::grid(&p)),
                false => (&adam::KERNEL, adam::grid(&p)),
            };
            let dispatch = Dispatch { kernel, consts: &consts, outer, unit, grid, what: &what };
            lowering.push(&dispatch, &p, vec![gradient, factor, parameter, first, second]);
        }
        OptimizerKind::Rmsprop => {
            let p = rmsprop::Params {
                count,
                alpha: config.alpha,
                eps: config.eps,
                momentum: config.momentum,
                weight_decay: config.weight_decay,
            };
            let consts = [momentum, clip];
            let dispatch = Dispatch {
                kernel: &rmsprop::KERNEL,
                consts: &consts,
                outer,
                unit,
                grid: rmsprop::grid(&p),
                what: &what,
            };
            lowering.push(&dispatch, &p, vec![gradient, factor, parameter, second, first]);
        }
        OptimizerKind::Sgd => {
            let p = sgd::Params { count, momentum: config.momentum, weight_decay: config.weight_decay };
            let consts = [momentum, clip];
            let dispatch =
                Dispatch { kernel: &sgd::KERNEL, consts: &consts, outer, unit, grid: sgd::grid(&p), what: &what };
            lowering.push(&dispatch, &p, vec![gradient, factor, parameter, first]);
        }
    }
}
