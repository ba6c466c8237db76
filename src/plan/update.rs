//! The steps after the gradients: their sum over the parts of a batch, clipping, the update rule, the parameters' average.

use super::lower::{Dispatch, Lowering, Target};
use super::{ALIGNMENT, ParameterSlot, Role, View};
use crate::config::{OptimizerConfig, OptimizerKind};
use crate::graph::Group;
use crate::kernels::update::{self, KERNEL, Params, grid, rule};
use crate::kernels::{MAX_TEXEL_WORDS, accumulate, clip_factor, squared_norm, update_texels};

/// Partial sums of the gradient's squared norm: enough for many threads, few enough for one workgroup to add up.
const PARTIALS: usize = 256;

/// How a step of training ends.
#[derive(Debug, Clone, Copy)]
pub struct UpdateStep<'a> {
    /// The update rule.
    pub optimizer: &'a OptimizerConfig,
    /// Runs of the plan whose gradients one update adds up.
    pub parts: usize,
    /// Whether an update whose gradient is not a finite number is left out.
    pub skip: bool,
    /// The parameters that are changed. All others keep their values, and nothing is differentiated for them.
    pub trains: Group,
    /// Where the terms stand in a row of the metrics, if others stand beside them.
    pub row: Option<Row>,
    /// How much of the step the plan is.
    pub stage: Stage,
    /// Whether what lies within residual blocks is computed again on the way back, in place of being kept ([`crate::graph::Graph::cells`]).
    pub recompute: bool,
}

/// How much of a step of training a plan is. Where processes train one model together, the host adds their gradients up between
/// the two halves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// All of it.
    Whole,
    /// Up to the gradients, which are left in [`UpdateStep::gradients`].
    Gradients,
    /// What follows, from gradients that the host puts into [`Role::Total`], of the parameters in the words from `first` to before
    /// `end`: multiples of [`ALIGNMENT`], or beyond all of them. A part knows no norm and keeps no average.
    Update {
        /// The first word.
        first: usize,
        /// The word behind the last.
        end: usize,
    },
}

impl Stage {
    /// Whether the gradients come from the host.
    pub fn is_update(self) -> bool {
        matches!(self, Self::Update { .. })
    }

    /// The part of a tensor that is updated, if there is one.
    fn of(self, (offset, count, rows): Part) -> Option<Part> {
        let Self::Update { first, end } = self else { return Some((offset, count, rows)) };
        let (from, to) = (offset.max(first), (offset + count).min(end));
        match to.checked_sub(from) {
            None | Some(0) => None,
            Some(all) if all == count => Some((offset, count, rows)),
            Some(some) => Some((from, some, some)),
        }
    }
}

/// What the metrics call the norm of the gradient before it is clipped.
pub const GRADIENT_NORM: &str = "gradient norm";

/// Whether the norm of the gradient stands in the metrics, behind the terms of the loss: wherever an update depends on it.
pub fn reports_norm(optimizer: &OptimizerConfig) -> bool {
    optimizer.clip_norm > 0.0 || optimizer.skip_norm > 0.0
}

/// The place of a plan's terms in a row of the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The column of the first term.
    pub first: usize,
    /// All columns.
    pub columns: usize,
}

impl<'a> UpdateStep<'a> {
    /// One update of all parameters for each run, whatever the gradient is.
    pub const fn plain(optimizer: &'a OptimizerConfig) -> Self {
        Self { optimizer, parts: 1, skip: false, trains: Group::All, row: None, stage: Stage::Whole, recompute: false }
    }

    /// Where the gradients of all parts of a batch are in the end.
    pub fn gradients(&self) -> Role {
        if self.parts > 1 { Role::Total } else { Role::Gradients }
    }

    /// The constant `PARTS` of kernels.
    fn parts(&self) -> u32 {
        if self.parts > 1 { self.parts as u32 } else { 0 }
    }

    /// Whether the gradient's norm is looked at.
    fn clips(&self) -> bool {
        self.skip || reports_norm(self.optimizer)
    }
}

/// A part of the parameters, and of all that is laid out as they are: offset, count, rows.
type Part = (usize, usize, usize);

/// Clips the gradient where the configuration asks for it, then updates the parameters: all neighbours in one step, or on
/// the CPU engine one parameter at a time, so that the thread that made a part of a gradient also applies it.
pub(super) fn steps(lowering: &mut Lowering, ending: &UpdateStep) {
    let runs = runs(&lowering.plan.parameters, ending.trains, lowering.parameter_words);
    let parts: Vec<(Part, String)> = if lowering.target == Target::Cpu {
        let trained = lowering.plan.parameters.iter().filter(|range| ending.trains.contains(&range.name));
        trained.map(|range| ((range.offset, range.count(), range.shape[0]), range.name.clone())).collect()
    } else {
        runs.iter().map(|(offset, count, name)| ((*offset, *count, *count), name.clone())).collect()
    };
    let parts: Vec<(Part, String)> =
        parts.into_iter().filter_map(|(part, name)| Some((ending.stage.of(part)?, name))).collect();
    if ending.parts > 1 && !ending.stage.is_update() {
        for (part, name) in &parts {
            let kept = (Role::Gradients, Role::Total);
            keep(lowering, accumulate::SUM, ending, kept, *part, &format!("sum of gradients: {name}"));
        }
    }
    if ending.stage == Stage::Gradients {
        return;
    }
    let gradient = if ending.stage.is_update() { Role::Total } else { ending.gradients() };
    let factor = if ending.clips() { clip(lowering, &gradient, &runs, ending) } else { lowering.nothing() };
    for (part, name) in &parts {
        apply(lowering, ending, (gradient.clone(), factor), *part, name);
    }
    if ending.optimizer.ema > 0.0 {
        for (part, name) in &parts {
            let kept = (Role::Parameters, Role::Average);
            keep(lowering, accumulate::AVERAGE, ending, kept, *part, &format!("average: {name}"));
        }
    }
    assign(lowering, ending);
}

/// Parameters that become a tensor of the step, which lies where their gradient would. They are averages already, so where
/// averages are kept of the others, they are taken as they are.
fn assign(lowering: &mut Lowering, ending: &UpdateStep) {
    let averages = (ending.optimizer.ema > 0.0).then_some(Role::Average);
    for at in lowering.graph.assigned.iter().map(|&(at, _)| at) {
        let range = lowering.plan.parameters[at].clone();
        let part = (range.offset, range.count(), range.shape[0]);
        for role in std::iter::once(Role::Parameters).chain(averages.clone()) {
            let whole = UpdateStep { parts: 1, ..*ending };
            keep(lowering, accumulate::SUM, &whole, (Role::Gradients, role), part, &format!("becomes: {}", range.name));
        }
    }
}

/// Neighbouring parameters of a group, as offset, words and name. Words between tensors belong to the one before them.
type Run = (usize, usize, String);

/// The parameters of a group, neighbours together: all of them are one run.
fn runs(ranges: &[ParameterSlot], trains: Group, words: usize) -> Vec<Run> {
    if ranges.iter().all(|range| trains.contains(&range.name)) {
        return vec![(0, words, String::from("all parameters"))];
    }
    let neighbours = ranges.chunk_by(|a, b| trains.contains(&a.name) == trains.contains(&b.name));
    let trained = neighbours.filter(|ranges| trains.contains(&ranges[0].name));
    trained
        .map(|ranges| {
            let (first, last) = (&ranges[0], &ranges[ranges.len() - 1]);
            let end = (last.offset + last.count()).next_multiple_of(ALIGNMENT);
            let name = if ranges.len() == 1 { first.name.clone() } else { format!("{} to {}", first.name, last.name) };
            (first.offset, end - first.offset, name)
        })
        .collect()
}

/// A part of a buffer that is laid out as the parameters are.
fn part_of(lowering: &mut Lowering, role: Role, (offset, count, _): Part) -> View {
    let words = lowering.parameter_words;
    View { offset, words: count, split: true, ..lowering.whole(role, words) }
}

/// The step that keeps the sum or the average of a tensor.
fn keep(lowering: &mut Lowering, what: u32, ending: &UpdateStep, (x, kept): (Role, Role), part: Part, name: &str) {
    let (_, count, rows) = part;
    let p = accumulate::Params { count: count as u32, decay: ending.optimizer.ema };
    let dispatch = Dispatch {
        kernel: &accumulate::KERNEL,
        consts: &[what, ending.parts()],
        outer: count,
        unit: count / rows,
        grid: accumulate::grid(&p),
        what: name,
    };
    let views = vec![part_of(lowering, x, part), part_of(lowering, kept, part)];
    lowering.push(&dispatch, &p, views);
}

/// The factor by which every gradient of the group is multiplied.
fn clip(lowering: &mut Lowering, gradient: &Role, runs: &[Run], ending: &UpdateStep) -> View {
    // Without a limit only gradients that are no numbers matter; all others are shorter than this.
    let clip = if ending.optimizer.clip_norm > 0.0 { ending.optimizer.clip_norm } else { 1e18 };
    let all = PARTIALS * runs.len();
    let parts: Vec<View> =
        runs.iter().map(|&(offset, count, _)| part_of(lowering, gradient.clone(), (offset, count, 1))).collect();
    let partials = lowering.scratch(all);
    for (at, (&(_, count, _), gradients)) in runs.iter().zip(parts).enumerate() {
        let p = squared_norm::Params { count: count as u32, partials: PARTIALS as u32 };
        let dispatch = Dispatch {
            kernel: &squared_norm::KERNEL,
            consts: &[],
            outer: PARTIALS,
            unit: 1,
            grid: squared_norm::grid(&p),
            what: "squared norm of the gradient",
        };
        let own = View { offset: at * PARTIALS, words: PARTIALS, split: true, ..partials };
        lowering.push(&dispatch, &p, vec![View { split: false, ..gradients }, own]);
    }
    let factor = lowering.scratch(1);
    let report = reports_norm(ending.optimizer);
    let index = lowering.row.first + lowering.graph.terms.len();
    let metrics = if report { lowering.metrics() } else { lowering.sink() };
    let p = clip_factor::Params {
        partials: all as u32,
        clip,
        skip: match ending.optimizer.skip_norm {
            limit if limit > 0.0 => limit,
            _ if ending.skip => clip_factor::NO_NUMBER,
            _ => 0.0,
        },
        columns: if report { lowering.row.columns as u32 } else { 0 },
        index: if report { index as u32 } else { 0 },
    };
    let dispatch = Dispatch {
        kernel: &clip_factor::KERNEL,
        consts: &[report.into()],
        outer: 1,
        unit: 1,
        grid: clip_factor::grid(&p),
        what: "clipping factor",
    };
    lowering.push(&dispatch, &p, vec![partials, factor, metrics]);
    factor
}

fn apply(lowering: &mut Lowering, ending: &UpdateStep, (gradient, factor): (Role, View), part: Part, name: &str) {
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
        columns: lowering.row.columns as u32,
        terms: 0,
    };
    let texels = lowering.target == Target::Simd8 && count.is_multiple_of(4) && count <= MAX_TEXEL_WORDS;
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
