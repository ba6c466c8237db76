//! Fewer dispatches: which steps of a plan become one.
//!
//! A device runs the dispatches of a pass one after the other, each waiting for the last, so a step costs a meeting of
//! all threads however little it computes. Two rules, over steps and not over models:
//!
//! - **Side by side.** Products whose results nobody reads until the same later step (the gradients of the weights,
//!   until the update) wait for each other and share a dispatch, each in its own range of workgroups. The means that
//!   become metrics, which nobody reads, go along with the update where one thread can add them up.
//! - **One after the other.** Thin products and what lies between them (a posterior, its samples, its gradient) form a
//!   chain that a workgroup can follow on its own rows without meeting the others.
//!
//! Members keep their own tensors; where those lie is decided afterwards, in [`super::memory`], which then makes each
//! group one step.

use super::cost::is_product;
use super::lower::Target;
use super::lower::products::{lay_out, variant};
use super::{Buffer, Role, Step, View};
use crate::kernels::{Access, Family, TABLE, batch_mean, chain, matmul, update};
use bytemuck::Pod;

/// What becomes one step.
#[derive(Debug, Clone)]
pub(super) enum FusedSteps {
    /// A step as it is.
    One(Step),
    /// Products side by side.
    Products(Vec<Step>),
    /// Steps one after the other on the same rows, as entries of a chain's table.
    Chain(Vec<(Step, chain::Entry)>),
    /// Means of terms of the loss, and the update that takes them along, if there is one.
    Means(Vec<Step>, Option<Step>),
}

/// The most words of a weight matrix that each workgroup of a chain reads for itself.
const THIN: usize = 32_768;

/// The most numbers that a thread of an emulated device adds up beside an update: far fewer than it may
/// ([`crate::kernels::MAX_LOOP_ITERATIONS`]), since a dispatch with many threads is faster.
const FEW: usize = 16_384;

impl FusedSteps {
    /// Steps that are computed together.
    pub fn members(&self) -> Vec<&Step> {
        match self {
            Self::One(step) => vec![step],
            Self::Products(steps) => steps.iter().collect(),
            Self::Chain(steps) => steps.iter().map(|(step, _)| step).collect(),
            Self::Means(means, update) => means.iter().chain(update).collect(),
        }
    }
}

/// Groups the steps of a plan; every tensor still has a buffer of its own. Only GPUs follow chains: a driver that
/// emulates one takes a few microseconds for a dispatch, and many for workgroup memory and barriers.
pub(super) fn group(target: Target, steps: Vec<Step>, buffers: &[Buffer], batch: usize) -> Vec<FusedSteps> {
    let groups = side_by_side(target, steps, buffers);
    if target == Target::Gpu { chains(groups, buffers, batch) } else { groups }
}

/// Lets the gradients of weights wait for each other, and means for the update.
fn side_by_side(target: Target, steps: Vec<Step>, buffers: &[Buffer]) -> Vec<FusedSteps> {
    let mut groups = Vec::new();
    let (mut waiting, mut means): (Vec<Step>, Vec<Step>) = (vec![], vec![]);
    let role = |view: &View| &buffers[view.buffer].role;
    let short = |step: &Step| target == Target::Gpu || step.views[0].words <= FEW;
    for step in steps {
        // What reads a gradient cannot wait for others that write one.
        let reads_gradients = |step: &Step| step.views[..2].iter().any(|view| *role(view) == Role::Gradients);
        let is_plain = is_product(&step) && step.consts[4] != matmul::FORMULA;
        if is_plain && *role(&step.views[3]) == Role::Gradients && !reads_gradients(&step) {
            waiting.push(step);
        } else if matches!(step.kernel.family, Family::Means)
            && matches!(role(&step.views[0]), Role::Slot(_))
            && means.len() < TABLE
            && short(&step)
        {
            means.push(step);
        } else {
            // What only adds to the gradients, as convolutions do, has nothing to wait for.
            if step.accesses().any(|(access, view)| access != Access::Write && *role(&view) == Role::Gradients) {
                groups.extend(products(&mut waiting, buffers));
            }
            groups.push(match step.kernel.family {
                Family::Update(_) if !means.is_empty() => FusedSteps::Means(std::mem::take(&mut means), Some(step)),
                _ => FusedSteps::One(step),
            });
        }
    }
    groups.extend(products(&mut waiting, buffers));
    match means.len() {
        0 => {}
        1 => groups.extend(means.into_iter().map(FusedSteps::One)),
        _ => groups.push(FusedSteps::Means(means, None)),
    }
    groups
}

/// Groups of products of one meaning whose operands lie in the same buffers, at most as many as a table has room for.
fn products(waiting: &mut Vec<Step>, buffers: &[Buffer]) -> Vec<FusedSteps> {
    let place = |view: View| match buffers[view.buffer].role {
        Role::Slot(_) => None,
        _ => Some(view.buffer),
    };
    let places = |step: &Step| (step.consts[..matmul::MEANING].to_vec(), place(step.views[0]), place(step.views[1]));
    let mut groups: Vec<Vec<Step>> = Vec::new();
    for step in waiting.drain(..) {
        match groups.iter_mut().find(|group| group.len() < TABLE && places(&group[0]) == places(&step)) {
            Some(group) => group.push(step),
            None => groups.push(vec![step]),
        }
    }
    let group = |mut steps: Vec<Step>| match steps.len() {
        1 => FusedSteps::One(steps.remove(0)),
        _ => FusedSteps::Products(steps),
    };
    groups.into_iter().map(group).collect()
}

/// Joins neighbours that a chain can compute.
fn chains(groups: Vec<FusedSteps>, buffers: &[Buffer], batch: usize) -> Vec<FusedSteps> {
    let mut joined: Vec<FusedSteps> = Vec::new();
    for group in groups {
        let entry = match &group {
            FusedSteps::One(step) => entry(step, buffers, batch),
            FusedSteps::Products(_) | FusedSteps::Chain(_) | FusedSteps::Means(..) => None,
        };
        match (group, entry, joined.last_mut()) {
            (FusedSteps::One(step), Some(entry), Some(FusedSteps::Chain(chain))) if chain.len() < TABLE => {
                chain.push((step, entry));
            }
            (FusedSteps::One(step), Some(entry), _) => joined.push(FusedSteps::Chain(vec![(step, entry)])),
            (group, ..) => joined.push(group),
        }
    }
    for group in &mut joined {
        if let FusedSteps::Chain(members) = group
            && members.len() == 1
        {
            *group = FusedSteps::One(members.remove(0).0);
        }
    }
    joined
}

/// A step as a member of a chain, without its offsets: if the kernel `chain` can compute it, if its weights are few,
/// and if all else that it touches are intermediate results.
fn entry(step: &Step, buffers: &[Buffer], batch: usize) -> Option<chain::Entry> {
    let role = |at: usize| &buffers[step.views[at].buffer].role;
    let among_values = |at: &usize| matches!(role(*at), Role::Slot(_) | Role::Unbound | Role::Discard);
    let params = &step.params;
    match step.kernel.family {
        // A chain follows whole examples.
        Family::Link(chain::SAMPLE | chain::POSTERIOR_GRAD) if step.outer != batch => None,
        Family::Link(chain::SAMPLE) if (1..5).all(|at| among_values(&at)) => {
            Some(chain::Entry::sample(&read(params), &step.consts))
        }
        Family::Link(chain::POSTERIOR_GRAD) if (0..5).all(|at| among_values(&at)) => {
            chain::Entry::posterior_grad(&read(params), &step.consts)
        }
        // What a step of elements keeps together are the rows of an example.
        Family::Link(chain::ACTIVATION) if (0..2).all(|at| among_values(&at)) && step.outer == step.unit * batch => {
            Some(chain::Entry::activation(step.unit as u32, 1, &step.consts))
        }
        // Rows of no example, such as pseudo-inputs, may be more or fewer than those that a chain goes through.
        Family::Product if step.outer == step.unit * batch => {
            let weights = *role(1) == Role::Parameters && step.views[1].words <= THIN;
            let fits = weights && [0, 2, 3, 4].iter().all(among_values);
            fits.then(|| chain::Entry::product(&product(step), step.unit as u32, &step.consts)).flatten()
        }
        _ => None,
    }
}

/// The product of a step that has one.
fn product(step: &Step) -> matmul::Entry {
    read(&step.params[matmul::KERNEL.params.len()..])
}

fn read<P: Pod>(words: &[u32]) -> P {
    bytemuck::pod_read_unaligned(bytemuck::cast_slice(&words[..size_of::<P>() / 4]))
}

/// Buffers that a joined step binds whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whole {
    pub workspace: View,
    pub nothing: View,
    pub sink: View,
}

/// One step for products side by side, whose views are in their final places.
pub(super) fn join_products(target: Target, steps: &[Step], buffers: &[Buffer], whole: Whole) -> Step {
    let mut entries: Vec<matmul::Entry> = steps
        .iter()
        .map(|step| {
            let offset = |at: usize| step.views[at].offset as u32;
            matmul::Entry { a: offset(0), b: offset(1), aux: 0, c: offset(3), ..product(step) }
        })
        .collect();
    let all = |at: usize| {
        let buffer = steps[0].views[at].buffer;
        View { buffer, offset: 0, words: buffers[buffer].words, split: false }
    };
    let mut step = Step {
        views: vec![all(0), all(1), whole.nothing, all(3), whole.sink],
        outer: 1,
        unit: 1,
        what: format!("d W and d b of {} layers", steps.len()),
        ..steps[0].clone()
    };
    let variant = variant(target, &entries, &step.consts[..matmul::MEANING], &step.views);
    lay_out(&mut step, &variant, &mut entries);
    step
}

/// One step for a chain, whose members' views are in their final places.
pub(super) fn join_chain(batch: usize, members: &[(Step, chain::Entry)], buffers: &[Buffer], whole: Whole) -> Step {
    let entries: Vec<chain::Entry> = members.iter().map(|(step, entry)| placed(step, *entry)).collect();
    let bound = |role: Role| {
        let buffer = buffers.iter().position(|buffer| buffer.role == role);
        let all = |buffer: usize| View { buffer, offset: 0, words: buffers[buffer].words, split: false };
        buffer.map_or(whole.nothing, all)
    };
    let draws = entries.iter().any(|entry| entry.kind == chain::SAMPLE && entry.option == 1);
    let multiplies = entries.iter().any(|entry| entry.kind == chain::PRODUCT);
    let order = if draws { bound(Role::Order) } else { whole.nothing };
    let weights = if multiplies { bound(Role::Parameters) } else { whole.nothing };
    let most = entries.iter().map(|entry| entry.per_example as usize).max().unwrap_or(1);
    let group = (chain::ROWS / most).max(1) as u32;
    let p = chain::Params { ops: entries.len() as u32, examples: batch as u32, group, spare: 0 };
    Step {
        kernel: &chain::KERNEL,
        consts: vec![],
        params: [bytemuck::cast_slice(&[p]), bytemuck::cast_slice(&entries)].concat(),
        views: vec![order, weights, whole.workspace],
        outer: 1,
        unit: 1,
        grid: chain::grid(&p),
        what: members.iter().map(|(step, _)| step.what.as_str()).collect::<Vec<_>>().join("; "),
    }
}

/// One step for means, or for an update with means, whose views are in their final places.
pub(super) fn join_means(target: Target, means: &[Step], update: Option<&Step>, whole: Whole) -> Step {
    let entry = |step: &Step| -> batch_mean::Entry { read(&step.params[batch_mean::KERNEL.params.len()..]) };
    let entries: Vec<batch_mean::Entry> =
        means.iter().map(|step| batch_mean::Entry { offset: step.views[0].offset as u32, ..entry(step) }).collect();
    let (metrics, table) = (means[0].views[1], bytemuck::cast_slice::<_, u32>(&entries));
    let terms = entries.len() as u32;
    let mut step = update.unwrap_or(&means[0]).clone();
    if update.is_some() {
        let p = update::Params { terms, ..read(&step.params) };
        // The metrics are not divided as the parameters are, so the axis stays in one piece.
        step.unit = step.outer;
        step.params = [bytemuck::cast_slice(&[p]), table].concat();
        step.consts[update::MEANS] = if target == Target::Gpu { update::WORKGROUP } else { update::THREAD };
        if let Family::Update(grid) = step.kernel.family {
            step.grid = grid(&p);
        }
        (step.views[2], step.views[6]) = (whole.workspace, metrics);
        step.what.push_str(", metrics");
    } else {
        let p = batch_mean::Params { terms, ..read(&step.params) };
        step.params = [bytemuck::cast_slice(&[p]), table].concat();
        step.grid = batch_mean::grid(&p);
        step.views[0] = whole.workspace;
        "metrics".clone_into(&mut step.what);
    }
    step
}

/// The entry with the offsets of the step's views.
fn placed(step: &Step, entry: chain::Entry) -> chain::Entry {
    let at = |binding: usize| step.views[binding].offset as u32;
    match entry.kind {
        chain::PRODUCT => chain::Entry { x: at(0), w: at(1), aux: at(2), y: at(3), ..entry },
        chain::SAMPLE => chain::Entry { x: at(1), aux: at(2), y: at(3), w: at(4), ..entry },
        chain::ACTIVATION => chain::Entry { x: at(0), y: at(1), ..entry },
        _ => chain::Entry { w: at(0), aux: at(1), x: at(2), y: at(4), ..entry },
    }
}
