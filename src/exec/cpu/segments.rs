//! Cutting a plan into stretches that threads walk side by side without meeting.

use crate::kernels::Access;
use crate::plan::{Plan, Role, Step, View};
use std::collections::BTreeSet;
use std::ops::Range;

/// Steps between two meetings of the threads.
#[derive(Debug)]
pub struct Segment {
    /// Which steps of the plan.
    pub steps: Range<usize>,
    /// Buffers that the segment writes, as indices into the plan's buffers.
    pub written: Vec<usize>,
    /// What the segment touches in those buffers, by buffer and offset. Each thread owns a share of each part.
    pub parts: Vec<Part>,
    /// Per step and binding, where the words come from.
    pub sources: Vec<Vec<Source>>,
    /// Whether there is anything to divide between threads.
    pub divisible: bool,
}

/// A region of a written buffer that is divided between the threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
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

/// Cuts a plan wherever a thread would need what another thread writes.
pub fn cut(plan: &Plan) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut begin = 0;
    let mut uses: Vec<Use> = Vec::new();
    for (at, step) in plan.steps.iter().enumerate() {
        let new = uses_of(plan, step);
        if new.iter().any(|a| uses.iter().any(|b| conflict(a, b))) {
            segments.push(segment(plan, begin..at, &uses));
            begin = at;
            uses.clear();
        }
        uses.extend(new);
    }
    if begin < plan.steps.len() {
        segments.push(segment(plan, begin..plan.steps.len(), &uses));
    }
    segments
}

/// Cuts a plan after every step.
pub fn singly(plan: &Plan) -> Vec<Segment> {
    plan.steps.iter().enumerate().map(|(at, step)| segment(plan, at..at + 1, &uses_of(plan, step))).collect()
}

fn uses_of(plan: &Plan, step: &Step) -> Vec<Use> {
    let units = step.outer / step.unit;
    let bound =
        step.accesses().filter(|(_, view)| !matches!(plan.buffers[view.buffer].role, Role::Nothing | Role::Sink));
    bound
        .map(|(access, view)| Use { view, units, split: view.split || units == 1, writes: access != Access::Read })
        .collect()
}

/// Two uses go together if neither writes, if they lie apart, or if each thread touches the same words in both.
fn conflict(a: &Use, b: &Use) -> bool {
    if a.view.buffer != b.view.buffer || !(a.writes || b.writes) {
        return false;
    }
    let end = |u: &Use| u.view.offset + u.view.words;
    let apart = end(a) <= b.view.offset || end(b) <= a.view.offset;
    let same = a.view.offset == b.view.offset && a.view.words == b.view.words && a.units == b.units;
    !(a.split && b.split && (apart || same))
}

fn segment(plan: &Plan, steps: Range<usize>, uses: &[Use]) -> Segment {
    let written: BTreeSet<usize> = uses.iter().filter(|u| u.writes).map(|u| u.view.buffer).collect();
    let written: Vec<usize> = written.into_iter().collect();
    let mut parts: Vec<Part> = Vec::new();
    for u in uses {
        if let Some(at) = written.iter().position(|&buffer| buffer == u.view.buffer) {
            let part = Part { written: at, view: u.view, units: u.units };
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
    let sources = plan.steps[steps.clone()].iter().map(|step| step.views.iter().map(source).collect()).collect();
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
    use crate::plan::{Resident, Target, lower};

    #[test]
    fn a_training_step_needs_the_stated_number_of_meetings() {
        let resident = Resident { data_words: 4, order_words: 4, metric_slots: 1 };
        let mut config = Config::default();
        for (hidden, meetings) in [(vec![400], 3), (vec![64, 48, 32], 4)] {
            config.model.hidden = hidden;
            let (source, binarise) = (Source::Bytes, config.data.binarise);
            let model = Model { config: config.model.clone(), width: 784, source, binarise };
            let graph = model.train(128).expect("the model's shapes meet");
            let plan = lower("train", graph, Some(&config.optimizer), resident, Target::Cpu).expect("it is legal");
            let segments = cut(&plan);
            assert_eq!(segments.len(), meetings, "{:?}", config.model.hidden);
            let steps: Vec<usize> = segments.iter().flat_map(|segment| segment.steps.clone()).collect();
            assert!(steps.iter().copied().eq(0..plan.steps.len()));
        }
    }
}
