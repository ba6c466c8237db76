//! What is computed again on the way back, in place of being kept.

use super::models::{Setup, TARGETS, batches, blocks, ending, hierarchy, images};
use super::runs::{cpu, kept_resident, load_plan, results, steps};
use crate::support::executors;
use elbo::exec::Executor;
use elbo::model::Model;
use elbo::plan::{Plan, Role, Target, UpdateStep, lower};

const BATCH: usize = 5;

/// A step of training with everything kept, and with residual blocks computed again.
fn both(setup: &Setup, target: Target) -> [Plan; 2] {
    [false, true].map(|recompute| {
        let graph = Model::train(&setup.model, BATCH).expect("the model's shapes meet");
        let ending = UpdateStep { recompute, ..ending(setup) };
        lower("train", graph, Some(ending), kept_resident(setup), target).expect("the plan is legal")
    })
}

/// All that is left after ten steps.
fn trained(executor: &mut Executor, setup: &Setup, plan: Plan) -> Vec<(Role, Vec<u32>)> {
    let id = load_plan(executor, setup, plan);
    for _ in 0..5 {
        executor.run(id, &steps(setup, BATCH, BATCH - 2)).expect("the plan runs");
    }
    results(executor, id)
}

#[test]
fn ten_steps_have_the_same_bits_whether_blocks_are_kept_or_computed_again() {
    for setup in [blocks(), hierarchy(), batches()] {
        for target in TARGETS {
            let [kept, again] = both(&setup, target).map(|plan| trained(&mut cpu(2), &setup, plan));
            for ((role, expected), (other, found)) in kept.iter().zip(&again) {
                assert!(role == other && expected == found, "{}, {target:?}: {role:?}", setup.name);
            }
            assert_eq!(kept.len(), again.len());
        }
        for (mut one, mut other) in executors().into_iter().zip(executors()) {
            let [kept, again] = both(&setup, one.target());
            let (kept, again) = (trained(&mut one, &setup, kept), trained(&mut other, &setup, again));
            assert!(kept == again, "{} on {}", setup.name, one.name());
        }
    }
}

#[test]
fn what_lies_between_layers_takes_less_where_blocks_are_computed_again() {
    for target in TARGETS {
        let [kept, again] = both(&hierarchy(), target);
        assert!(again.steps.len() > kept.steps.len(), "{target:?}");
        let [all, less] = [&kept, &again].map(Plan::own_bytes);
        // On devices places are shared anyway.
        let most = if target == Target::Cpu { 14 } else { 17 };
        assert!(20 * less < most * all, "{target:?}: {less} of {all} bytes");
    }
}

#[test]
fn a_model_without_blocks_has_nothing_to_compute_again() {
    let setup = images();
    let graph = Model::train(&setup.model, BATCH).expect("the model's shapes meet");
    let ending = UpdateStep { recompute: true, ..UpdateStep::plain(&setup.config.optimizer) };
    let error = lower("train", graph, Some(ending), kept_resident(&setup), Target::Cpu).expect_err("there are none");
    assert!(error.exit_code() == 2 && error.to_string().contains("train.checkpointing"), "{error}");
}
