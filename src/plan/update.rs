//! The steps after the gradients: their sum over the parts of a batch, clipping, the update rule, the parameters' average.

use super::lower::{Dispatch, Lowering, Target};
use super::{Role, View};
use crate::config::{OptimizerConfig, OptimizerKind};
use crate::kernels::update::{self, KERNEL, Params, grid, rule};
use crate::kernels::{MOST_TEXEL_WORDS, clip_factor, running, squared_norm, update_texels};

/// Partial sums of the gradient's squared norm: enough for many threads, few enough for one workgroup to add up.
const PARTIALS: usize = 256;

/// How a step of training ends.
#[derive(Debug, Clone, Copy)]
pub struct Ending<'a> {
    /// The update rule.
    pub optimizer: &'a OptimizerConfig,
    /// Runs of the plan whose gradients one update adds up.
    pub parts: usize,
    /// Whether an update whose gradient is not a finite number is left out.
    pub skip: bool,
}

impl<'a> Ending<'a> {
    /// One update for each run, whatever its gradient is.
    pub const fn plain(optimizer: &'a OptimizerConfig) -> Self {
        Self { optimizer, parts: 1, skip: false }
    }

    /// The constant `PARTS` of kernels.
    fn parts(&self) -> u32 {
        if self.parts > 1 { self.parts as u32 } else { 0 }
    }

    /// Whether the gradient's norm is looked at.
    fn clips(&self) -> bool {
        self.skip || self.optimizer.clip_norm > 0.0
    }
}

/// A part of the parameters, and of all that is laid out as they are: offset, count, rows.
type Part = (usize, usize, usize);

/// Clips the gradient where the configuration asks for it, then updates the parameters: all in one step, or on the CPU
/// engine one parameter at a time, so that the thread that made a part of a gradient also applies it.
pub(super) fn steps(lowering: &mut Lowering, ending: &Ending) {
    let whole = (0, lowering.parameter_words, lowering.parameter_words, String::from("all parameters"));
    let parts: Vec<(usize, usize, usize, String)> = if lowering.target == Target::Cpu {
        let ranges = lowering.plan.parameters.iter();
        ranges.map(|range| (range.offset, range.count(), range.shape[0], range.name.clone())).collect()
    } else {
        vec![whole]
    };
    let gradient = if ending.parts > 1 { Role::Total } else { Role::Gradients };
    if ending.parts > 1 {
        for (offset, count, rows, name) in &parts {
            let kept = (Role::Gradients, Role::Total);
            keep(lowering, running::SUM, ending, kept, (*offset, *count, *rows), &format!("sum of gradients: {name}"));
        }
    }
    let factor = if ending.clips() { clip(lowering, gradient.clone(), ending) } else { lowering.nothing() };
    for (offset, count, rows, name) in &parts {
        apply(lowering, ending, (gradient.clone(), factor), (*offset, *count, *rows), name);
    }
    if ending.optimizer.ema > 0.0 {
        for (offset, count, rows, name) in &parts {
            let kept = (Role::Parameters, Role::Average);
            keep(lowering, running::AVERAGE, ending, kept, (*offset, *count, *rows), &format!("average: {name}"));
        }
    }
}

/// A part of a buffer that is laid out as the parameters are.
fn part_of(lowering: &mut Lowering, role: Role, (offset, count, _): Part) -> View {
    let words = lowering.parameter_words;
    View { offset, words: count, split: true, ..lowering.whole(role, words) }
}

/// The step that keeps the sum or the average of a tensor.
fn keep(lowering: &mut Lowering, what: u32, ending: &Ending, (x, kept): (Role, Role), part: Part, name: &str) {
    let (_, count, rows) = part;
    let p = running::Params { count: count as u32, decay: ending.optimizer.ema };
    let dispatch = Dispatch {
        kernel: &running::KERNEL,
        consts: &[what, ending.parts()],
        outer: count,
        unit: count / rows,
        grid: running::grid(&p),
        what: name,
    };
    let views = vec![part_of(lowering, x, part), part_of(lowering, kept, part)];
    lowering.push(&dispatch, &p, views);
}

/// The factor by which every gradient is multiplied.
fn clip(lowering: &mut Lowering, gradient: Role, ending: &Ending) -> View {
    let count = lowering.parameter_words;
    let gradients = lowering.whole(gradient, count);
    // Without a limit only gradients that are no numbers matter; all others are shorter than this.
    let clip = if ending.optimizer.clip_norm > 0.0 { ending.optimizer.clip_norm } else { 1e18 };
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
    let p = clip_factor::Params { partials: PARTIALS as u32, clip, skip: ending.skip.into() };
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

fn apply(lowering: &mut Lowering, ending: &Ending, (gradient, factor): (Role, View), part: Part, name: &str) {
    use OptimizerKind::{Adam, Adamw, Rmsprop, Sgd};
    let config = ending.optimizer;
    let adam = matches!(config.kind, Adam | Adamw);
    let momentum = !adam && config.momentum > 0.0;
    let (_, count, rows) = part;
    let mut used = |used, role| if used { part_of(lowering, role, part) } else { lowering.sink() };
    let (gradient, parameter) = (used(true, gradient), used(true, Role::Parameters));
    let (first, second) = (used(adam || momentum, Role::Moment1), used(config.kind != Sgd, Role::Moment2));
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
    let clips = u32::from(ending.clips());
    let dispatch = Dispatch {
        kernel,
        consts: &[rule(config.kind), clips, u32::from(momentum), update::NONE, ending.parts()],
        outer: count,
        unit: count / rows,
        grid,
        what: &format!("{:?}: {name}", config.kind),
    };
    // Means of the loss's terms may come to it later, in `levels`.
    let (terms, metrics) = (lowering.nothing(), lowering.sink());
    lowering.push(&dispatch, &p, vec![gradient, factor, terms, parameter, first, second, metrics]);
}
