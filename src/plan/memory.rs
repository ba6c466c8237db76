//! Where intermediate tensors lie: all in one buffer, the workspace, those that are never needed at the same time in
//! the same place.

use super::fuse_dispatches::{FusedSteps, Whole, join_chain, join_means, join_products};
use super::lower::Target;
use super::{ALIGNMENT, Buffer, Plan, Role, Step, View};

/// The first and the last group that binds a tensor.
type Life = (usize, usize);

/// Gives every slot of a plan a place in the workspace and makes each group one step. A tensor lives from the first
/// group that binds it to the last.
pub(super) fn place(plan: Plan, groups: Vec<FusedSteps>, target: Target) -> Plan {
    let steps: Vec<Vec<&Step>> = groups.iter().map(FusedSteps::members).collect();
    let lives = lives(&steps, plan.buffers.len());
    let (offsets, words) = offsets(&plan.buffers, &lives);
    let mut new_index = vec![usize::MAX; plan.buffers.len()];
    let mut buffers: Vec<Buffer> = Vec::new();
    for (old, buffer) in plan.buffers.iter().enumerate() {
        if lives[old].is_some() && !matches!(buffer.role, Role::Slot(_)) {
            new_index[old] = buffers.len();
            buffers.push(buffer.clone());
        }
    }
    let workspace = buffers.len();
    if words > 0 {
        buffers.push(Buffer { role: Role::Workspace, words });
    }
    let whole = Whole {
        workspace: View { buffer: workspace, offset: 0, words, split: false },
        nothing: unused(&mut buffers, Role::Unbound),
        sink: unused(&mut buffers, Role::Discard),
    };
    let moved = |mut step: Step| {
        for view in &mut step.views {
            *view = match offsets[view.buffer] {
                Some(offset) => View { buffer: workspace, offset: offset + view.offset, ..*view },
                None => View { buffer: new_index[view.buffer], ..*view },
            };
        }
        step
    };
    let steps: Vec<Step> = groups
        .into_iter()
        .map(|group| match group {
            FusedSteps::One(step) => moved(step),
            FusedSteps::Products(steps) => {
                let steps: Vec<Step> = steps.into_iter().map(moved).collect();
                join_products(target, &steps, &buffers, whole)
            }
            FusedSteps::Chain(members) => {
                let members: Vec<_> = members.into_iter().map(|(step, entry)| (moved(step), entry)).collect();
                join_chain(plan.batch, &members, &buffers, whole)
            }
            FusedSteps::Means(means, update) => {
                let means: Vec<Step> = means.into_iter().map(moved).collect();
                join_means(target, &means, update.map(moved).as_ref(), whole)
            }
        })
        .collect();
    Plan { buffers, steps, ..plan }
}

/// The buffer for unused bindings, made if the plan has none.
fn unused(buffers: &mut Vec<Buffer>, role: Role) -> View {
    let buffer = buffers.iter().position(|buffer| buffer.role == role).unwrap_or_else(|| {
        buffers.push(Buffer { role, words: ALIGNMENT.min(4) });
        buffers.len() - 1
    });
    View { buffer, offset: 0, words: buffers[buffer].words, split: false }
}

/// Lets slots of a plan of single steps lie in the place of others of the same size that are no longer needed, so that threads divide
/// a buffer alike whatever it holds.
pub(super) fn share(mut plan: Plan) -> Plan {
    let steps: Vec<Vec<&Step>> = plan.steps.iter().map(|step| vec![step]).collect();
    let lives = lives(&steps, plan.buffers.len());
    let slots = (0..plan.buffers.len()).filter(|&at| matches!(plan.buffers[at].role, Role::Slot(_)));
    let mut order: Vec<(usize, Life)> = slots.filter_map(|at| Some((at, lives[at]?))).collect();
    order.sort_by_key(|&(_, (first, _))| first);
    let mut place: Vec<usize> = (0..plan.buffers.len()).collect();
    // Those that are there, with the last step that binds them.
    let mut holders: Vec<(usize, usize)> = vec![];
    for (at, (first, last)) in order {
        let words = plan.buffers[at].words;
        let free = holders.iter_mut().filter(|(holder, until)| plan.buffers[*holder].words == words && *until < first);
        match free.max_by_key(|(_, until)| *until) {
            Some(holder) => (place[at], holder.1) = (holder.0, last),
            None => holders.push((at, last)),
        }
    }
    let mut new_index = vec![usize::MAX; plan.buffers.len()];
    let mut buffers = Vec::new();
    for (at, buffer) in plan.buffers.into_iter().enumerate().filter(|&(at, _)| place[at] == at) {
        new_index[at] = buffers.len();
        buffers.push(buffer);
    }
    for view in plan.steps.iter_mut().flat_map(|step| &mut step.views) {
        view.buffer = new_index[place[view.buffer]];
    }
    Plan { buffers, ..plan }
}

fn lives(groups: &[Vec<&Step>], buffers: usize) -> Vec<Option<Life>> {
    let mut lives: Vec<Option<Life>> = vec![None; buffers];
    for (at, group) in groups.iter().enumerate() {
        for view in group.iter().flat_map(|step| &step.views) {
            let (first, _) = lives[view.buffer].unwrap_or((at, at));
            lives[view.buffer] = Some((first, at));
        }
    }
    lives
}

/// The first word of each slot, and the size of the workspace. The largest tensors choose first; each takes the lowest
/// place that is free all its life.
fn offsets(buffers: &[Buffer], lives: &[Option<Life>]) -> (Vec<Option<usize>>, usize) {
    let mut offsets = vec![None; buffers.len()];
    let slots = (0..buffers.len()).filter(|&b| matches!(buffers[b].role, Role::Slot(_)));
    let mut order: Vec<(usize, Life)> = slots.filter_map(|b| Some((b, lives[b]?))).collect();
    order.sort_by_key(|&(b, _)| std::cmp::Reverse(buffers[b].words));
    let mut taken: Vec<(usize, usize, Life)> = Vec::new();
    for (buffer, life) in order {
        let words = buffers[buffer].words.next_multiple_of(ALIGNMENT);
        let mut offset = 0;
        for &(begin, end, other) in &taken {
            let together = life.0 <= other.1 && other.0 <= life.1;
            if together && begin < offset + words {
                offset = offset.max(end);
            }
        }
        offsets[buffer] = Some(offset);
        taken.push((offset, offset + words, life));
        taken.sort_unstable();
    }
    (offsets, taken.iter().map(|&(_, end, _)| end).max().unwrap_or(0))
}
