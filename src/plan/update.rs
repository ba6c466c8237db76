//! The steps after the gradients: clipping and the update rule.

use super::lower::{Dispatch, Lowering, Target};
use super::{Role, View};
use crate::config::{OptimizerConfig, OptimizerKind};
use crate::kernels::update::{self, KERNEL, Params, grid, rule};
use crate::kernels::{MOST_TEXEL_WORDS, clip_factor, squared_norm, update_texels};

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
    use OptimizerKind::{Adam, Adamw, Rmsprop, Sgd};
    let adam = matches!(config.kind, Adam | Adamw);
    let momentum = !adam && config.momentum > 0.0;
    let words = lowering.parameter_words;
    let mut part = |used, role| {
        if used { View { offset, words: count, split: true, ..lowering.whole(role, words) } } else { lowering.sink() }
    };
    let (gradient, parameter) = (part(true, Role::Gradients), part(true, Role::Parameters));
    let (first, second) = (part(adam || momentum, Role::Moment1), part(config.kind != Sgd, Role::Moment2));
    let p = Params {
        count: count as u32,
        beta1: if adam { config.beta1 } else { config.momentum },
        beta2: if config.kind == Rmsprop { config.alpha } else { config.beta2 },
        eps: config.eps,
        weight_decay: config.weight_decay,
        batch: lowering.graph.batch as u32,
        columns: lowering.graph.terms.len() as u32,
        terms: 0,
    };
    let texels = lowering.target == Target::Lanes && count.is_multiple_of(4) && count <= MOST_TEXEL_WORDS;
    let (kernel, grid) = if texels { (&update_texels::KERNEL, update_texels::grid(&p)) } else { (&KERNEL, grid(&p)) };
    let dispatch = Dispatch {
        kernel,
        consts: &[rule(config.kind), u32::from(config.clip_norm > 0.0), u32::from(momentum), update::NONE],
        outer: count,
        unit: count / rows,
        grid,
        what: &format!("{:?}: {name}", config.kind),
    };
    // Means of the loss's terms may come to it later, in `levels`.
    let (terms, metrics) = (lowering.nothing(), lowering.sink());
    lowering.push(&dispatch, &p, vec![gradient, factor, terms, parameter, first, second, metrics]);
}
