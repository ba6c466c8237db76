//! Tensors that share a buffer are never needed at the same time.

use super::models::{PURPOSES, Setup, TARGETS, classic, deep, plan, plan_unshared, resident, small};
use elbo::kernels::Access;
use elbo::plan::{Plan, Role, Target};

const BATCH: usize = 8;

fn both(setup: &Setup, purpose: &str, target: Target) -> (Plan, Plan) {
    let resident = resident(setup, 20, 4);
    (plan_unshared(setup, purpose, BATCH, resident, target), plan(setup, purpose, BATCH, resident, target))
}

/// Walks both plans side by side. A tensor is known by its buffer in the unshared plan; a written tensor marks its
/// buffer in the shared plan, and a read one has to find its own mark there.
fn misread(unshared: &Plan, shared: &Plan) -> Option<String> {
    let mut holds: Vec<Option<usize>> = vec![None; shared.buffers.len()];
    let mut written = vec![false; unshared.buffers.len()];
    assert_eq!(unshared.steps.len(), shared.steps.len());
    for (at, (alone, together)) in unshared.steps.iter().zip(&shared.steps).enumerate() {
        assert_eq!(alone.kernel.name, together.kernel.name);
        for write in [false, true] {
            for ((access, tensor), (_, place)) in alone.accesses().zip(together.accesses()) {
                let is_slot = matches!(unshared.buffers[tensor.buffer].role, Role::Slot(_));
                assert_eq!((tensor.offset, tensor.words, tensor.split), (place.offset, place.words, place.split));
                if !is_slot {
                    let roles = [&unshared.buffers[tensor.buffer].role, &shared.buffers[place.buffer].role];
                    assert_eq!(roles[0], roles[1], "step {at}");
                } else if write && access != Access::Read {
                    holds[place.buffer] = Some(tensor.buffer);
                    written[tensor.buffer] = true;
                } else if !write && written[tensor.buffer] && holds[place.buffer] != Some(tensor.buffer) {
                    return Some(format!("step {at} ({}) does not find its tensor {}", alone.what, tensor.buffer));
                }
            }
        }
    }
    None
}

fn slot_words(plan: &Plan) -> usize {
    plan.buffers.iter().filter(|b| matches!(b.role, Role::Slot(_))).map(|b| b.words).sum()
}

#[test]
fn no_step_of_any_model_plan_reads_what_another_tensor_left() {
    for setup in [classic(), deep(), small()] {
        for target in TARGETS {
            for (purpose, _) in PURPOSES {
                let (unshared, shared) = both(&setup, purpose, target);
                assert_eq!(misread(&unshared, &shared), None, "{}, {purpose} for {target:?}", setup.name);
            }
        }
    }
}

#[test]
fn a_tensor_that_is_put_where_another_lives_is_noticed() {
    let (unshared, shared) = both(&deep(), "train", Target::Gpu);
    let slots: Vec<usize> =
        (0..shared.buffers.len()).filter(|&b| matches!(shared.buffers[b].role, Role::Slot(_))).collect();
    for &into in &slots[1..] {
        let mut wrong = shared.clone();
        for view in wrong.steps.iter_mut().flat_map(|step| &mut step.views).filter(|view| view.buffer == into) {
            view.buffer = slots[0];
        }
        assert!(misread(&unshared, &wrong).is_some(), "slots {} and {into} as one", slots[0]);
    }
}

#[test]
fn sharing_saves_memory_in_deep_models() {
    for target in [Target::Gpu, Target::Software, Target::Lanes] {
        let (unshared, shared) = both(&deep(), "train", target);
        let (before, after) = (slot_words(&unshared), slot_words(&shared));
        assert!(5 * after < 4 * before, "{after} words instead of {before} for {target:?}");
    }
}
