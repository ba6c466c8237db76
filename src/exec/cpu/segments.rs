//! Cutting a plan into stretches that threads walk side by side without meeting.

use crate::kernels::Access;
use crate::plan::{Plan, Role, Step, View};
use std::collections::BTreeSet;

/// Steps between two meetings of the threads.
#[derive(Debug)]
pub struct Segment {
    /// Which steps of the plan, in its order.
    pub steps: Vec<usize>,
    /// Buffers that the segment writes, as indices into the plan's buffers.
    pub written: Vec<usize>,
    /// What the segment touches in those buffers, by buffer and offset. Each thread owns a share of each part.
    pub parts: Vec<DividedRegion>,
    /// Per step and binding, where the words come from.
    pub sources: Vec<Vec<Source>>,
    /// Whether there is anything to divide between threads.
    pub divisible: bool,
}

/// A region of a written buffer that is divided between the threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DividedRegion {
    /// Index into [`Segment::written`].
    pub written: usize,
    /// The region.
    pub view: View,
    /// Into how many equal pieces it may be cut.
    pub units: usize,
}

/// Where a binding's words come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The thread's share of a part, by index.
    Own(usize),
    /// A buffer that nobody writes in this segment, or a binding that the kernel does not use.
    Shared,
}

/// One use of a region within a segment.
#[derive(Debug, Clone, Copy)]
struct Use {
    view: View,
    units: usize,
    split: bool,
    writes: bool,
}

/// Cuts a plan wherever a thread would need what another thread writes. A step that needs nothing of the kind is taken
/// ahead of those that have to wait for a meeting, so there are as few meetings as the plan allows.
pub fn cut(plan: &Plan) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut left: Vec<usize> = (0..plan.steps.len()).collect();
    while !left.is_empty() {
        let (mut taken, mut waiting) = (Vec::new(), Vec::new());
        let (mut uses, mut later): (Vec<Use>, Vec<Use>) = (Vec::new(), Vec::new());
        for at in left {
            let new = uses_of(plan, &plan.steps[at]);
            let any =
                |others: &[Use], meet: fn(&Use, &Use) -> bool| new.iter().any(|a| others.iter().any(|b| meet(a, b)));
            if any(&uses, conflict) || any(&later, ordered) || (!uses.is_empty() && shared_differently(&uses, &new)) {
                waiting.push(at);
                later.extend(new);
            } else {
                taken.push(at);
                uses.extend(new);
            }
        }
        segments.push(segment(plan, taken, &uses));
        left = waiting;
    }
    segments
}

/// Cuts a plan after every step.
pub fn singly(plan: &Plan) -> Vec<Segment> {
    plan.steps.iter().enumerate().map(|(at, step)| segment(plan, vec![at], &uses_of(plan, step))).collect()
}

fn uses_of(plan: &Plan, step: &Step) -> Vec<Use> {
    let units = step.outer / step.unit;
    let bound =
        step.accesses().filter(|(_, view)| !matches!(plan.buffers[view.buffer].role, Role::Unbound | Role::Discard));
    bound
        .map(|(access, view)| Use { view, units, split: view.split || units == 1, writes: access != Access::Read })
        .collect()
}

/// Whether the order of two uses matters: they touch the same words, and one of them writes.
fn ordered(a: &Use, b: &Use) -> bool {
    (a.writes || b.writes) && overlap(a, b)
}

fn overlap(a: &Use, b: &Use) -> bool {
    let end = |u: &Use| u.view.offset + u.view.words;
    let apart = end(a) <= b.view.offset || end(b) <= a.view.offset;
    a.view.buffer == b.view.buffer && !apart
}

/// Whether two uses give each thread the same words.
fn alike(a: &Use, b: &Use) -> bool {
    a.view.offset == b.view.offset && a.view.words == b.view.words && a.units == b.units
}

/// Whether words would be read by shares that differ, in a buffer of which other words are written: all that a segment touches
/// in such a buffer belongs to one thread each.
fn shared_differently(uses: &[Use], new: &[Use]) -> bool {
    let all = || uses.iter().chain(new);
    let differ = |a: &Use| all().any(|b| overlap(a, b) && !alike(a, b));
    let is_written = |a: &Use| all().any(|b| b.writes && b.view.buffer == a.view.buffer);
    new.iter().any(|a| is_written(a) && all().any(|b| b.view.buffer == a.view.buffer && differ(b)))
}

/// Whether threads have to meet between two uses. They need not if neither writes, or if a buffer is shared out in both
/// and the uses lie apart or give each thread the same words.
fn conflict(a: &Use, b: &Use) -> bool {
    if a.view.buffer != b.view.buffer || !(a.writes || b.writes) {
        return false;
    }
    !(a.split && b.split && (alike(a, b) || !ordered(a, b)))
}

fn segment(plan: &Plan, steps: Vec<usize>, uses: &[Use]) -> Segment {
    let written: BTreeSet<usize> = uses.iter().filter(|u| u.writes).map(|u| u.view.buffer).collect();
    let written: Vec<usize> = written.into_iter().collect();
    let mut parts: Vec<DividedRegion> = Vec::new();
    for u in uses {
        if let Some(at) = written.iter().position(|&buffer| buffer == u.view.buffer) {
            let part = DividedRegion { written: at, view: u.view, units: u.units };
            if !parts.iter().any(|p| same_place(&p.view, &part.view)) {
                parts.push(part);
            }
        }
    }
    parts.sort_by_key(|part| (part.written, part.view.offset));
    let source = |view: &View| match parts.iter().position(|part| same_place(&part.view, view)) {
        Some(part) => Source::Own(part),
        None => Source::Shared,
    };
    let sources = steps.iter().map(|&step| plan.steps[step].views.iter().map(source).collect()).collect();
    let divisible = uses.iter().any(|u| u.writes && u.units > 1);
    Segment { steps, written, parts, sources, divisible }
}

fn same_place(a: &View, b: &View) -> bool {
    (a.buffer, a.offset, a.words) == (b.buffer, b.offset, b.words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::graph::op::Source;
    use crate::model::Model;
    use crate::plan::{Resident, Target, UpdateStep, lower};

    #[test]
    fn a_training_step_needs_the_stated_number_of_meetings() {
        let resident = Resident { data_words: 4, window: 0, order_words: 4, metric_slots: 1 };
        let mut config = Config::default();
        for (hidden, clip, meetings) in [(vec![400], 0.0, 2), (vec![64, 48, 32], 0.0, 2), (vec![400], 1.0, 5)] {
            config.model.hidden = hidden;
            config.optimizer.clip_norm = clip;
            let (source, binarise) = (Source::Bytes, config.data.binarise);
            let model = Model {
                config: config.model.clone(),
                width: 784,
                shape: [1, 1, 784],
                source,
                binarise,
                columns: None,
                missing: false,
                classes: 0,
            };
            let graph = model.train(128).expect("the model's shapes meet");
            let plan = lower("train", graph, Some(UpdateStep::plain(&config.optimizer)), resident, Target::Cpu)
                .expect("it is legal");
            let segments = cut(&plan);
            assert_eq!(segments.len(), meetings, "{:?}, clip {clip}", config.model.hidden);
            let order: Vec<usize> = segments.iter().flat_map(|segment| segment.steps.clone()).collect();
            assert_eq!(order.iter().copied().collect::<BTreeSet<_>>(), (0..plan.steps.len()).collect());
            assert_eq!(order.len(), plan.steps.len());
            assert_eq!(out_of_order(&plan, &order), None, "{:?}, clip {clip}", config.model.hidden);
        }
    }

    /// Two steps, the first of which has to come before the second and does not.
    fn out_of_order(plan: &Plan, order: &[usize]) -> Option<(usize, usize)> {
        let uses: Vec<Vec<Use>> = plan.steps.iter().map(|step| uses_of(plan, step)).collect();
        let depend = |a: usize, b: usize| uses[a].iter().any(|a| uses[b].iter().any(|b| ordered(a, b)));
        let pairs = order.iter().enumerate().flat_map(|(at, &a)| order[at + 1..].iter().map(move |&b| (b, a)));
        pairs.into_iter().find(|&(earlier, later)| earlier < later && depend(earlier, later))
    }

    #[test]
    fn an_order_in_which_a_step_comes_before_what_it_needs_is_noticed() {
        let config = Config::default();
        let model = Model {
            config: config.model.clone(),
            width: 784,
            shape: [1, 1, 784],
            source: Source::Bytes,
            binarise: config.data.binarise,
            columns: None,
            missing: false,
            classes: 0,
        };
        let resident = Resident { data_words: 4, window: 0, order_words: 4, metric_slots: 1 };
        let graph = model.train(128).expect("the model's shapes meet");
        let plan = lower("train", graph, Some(UpdateStep::plain(&config.optimizer)), resident, Target::Cpu)
            .expect("it is legal");
        let mut order: Vec<usize> = (0..plan.steps.len()).collect();
        assert_eq!(out_of_order(&plan, &order), None);
        order.swap(1, 2);
        assert_eq!(out_of_order(&plan, &order), Some((1, 2)));
    }
}
