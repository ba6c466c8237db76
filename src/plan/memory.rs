//! Sharing: intermediate tensors that are not needed at the same time use the same buffer.

use super::{Buffer, Plan, Role};

/// Rewrites the plan's slots so that tensors with disjoint lifetimes share one. A tensor lives from the first step
/// that binds it to the last. The largest tensors choose first; each takes the first slot that is free all its life.
pub fn share(mut plan: Plan) -> Plan {
    struct Slot {
        words: usize,
        lives: Vec<(usize, usize)>,
    }
    let mut lives: Vec<Option<(usize, usize)>> = vec![None; plan.buffers.len()];
    for (at, step) in plan.steps.iter().enumerate() {
        for view in &step.views {
            let (first, _) = lives[view.buffer].unwrap_or((at, at));
            lives[view.buffer] = Some((first, at));
        }
    }
    let is_slot = |buffer: usize| matches!(plan.buffers[buffer].role, Role::Slot(_));
    let mut order: Vec<usize> = (0..plan.buffers.len()).filter(|&b| is_slot(b) && lives[b].is_some()).collect();
    order.sort_by_key(|&b| std::cmp::Reverse(plan.buffers[b].words));
    let mut slots: Vec<Slot> = Vec::new();
    let mut slot_of = vec![usize::MAX; plan.buffers.len()];
    for buffer in order {
        let Some((first, last)) = lives[buffer] else { continue };
        let free = |slot: &Slot| slot.lives.iter().all(|&(from, to)| to < first || last < from);
        let chosen = slots.iter().position(free).unwrap_or_else(|| {
            slots.push(Slot { words: 0, lives: Vec::new() });
            slots.len() - 1
        });
        slots[chosen].words = slots[chosen].words.max(plan.buffers[buffer].words);
        slots[chosen].lives.push((first, last));
        slot_of[buffer] = chosen;
    }
    let mut buffers: Vec<Buffer> = Vec::new();
    let mut new_index = vec![usize::MAX; plan.buffers.len()];
    for (old, buffer) in plan.buffers.iter().enumerate() {
        if lives[old].is_some() && !matches!(buffer.role, Role::Slot(_)) {
            new_index[old] = buffers.len();
            buffers.push(buffer.clone());
        }
    }
    let first_slot = buffers.len();
    buffers.extend(slots.iter().enumerate().map(|(i, slot)| Buffer { role: Role::Slot(i), words: slot.words }));
    for step in &mut plan.steps {
        for view in &mut step.views {
            let slot = slot_of[view.buffer];
            view.buffer = if slot == usize::MAX { new_index[view.buffer] } else { first_slot + slot };
        }
    }
    plan.buffers = buffers;
    plan
}
