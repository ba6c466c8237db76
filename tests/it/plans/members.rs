//! Plans of several models: on every device, each member gets what it would get alone.

use super::models::{PURPOSES, Setup, TARGETS, batches, blocks, deep, images, plan, small};
use super::runs::{kept_resident, results_of, steps, write_data, write_member};
use crate::support::executors;
use elbo::exec::{Executor, PlanId};
use elbo::kernels::StepScalars;
use elbo::model::Weights;
use elbo::plan::{Plan, Role, Target};

/// One more than the threads of the CPU engine, which divides the one that is left over.
const MEMBERS: usize = 3;

const BATCH: usize = 7;

/// What a member is told of two steps; members differ in seed, learning rate and β.
fn told(setup: &Setup, choice: usize) -> Vec<StepScalars> {
    let differs = |step: StepScalars| StepScalars {
        key: [3 + choice as u32, 4],
        lr: step.lr * (1 + choice) as f32,
        weights: Weights::elbo(0.5 + choice as f32).at(0.0, 1.0),
        ..step
    };
    steps(setup, BATCH, BATCH - 3).into_iter().map(differs).collect()
}

/// What each member of a plan leaves behind.
fn together(executor: &mut Executor, setup: &Setup, plan: Plan) -> Vec<Vec<(Role, Vec<u32>)>> {
    let id = executor.load(Plan { members: MEMBERS, ..plan }).expect("the plan fits");
    write_data(executor, setup, id);
    (0..MEMBERS).for_each(|member| write_member(executor, setup, id, member, member));
    let told: Vec<_> = (0..MEMBERS).map(|member| told(setup, member)).collect();
    let steps: Vec<_> = (0..told[0].len()).flat_map(|at| told.iter().map(move |steps| steps[at])).collect();
    executor.run(id, &steps).expect("the plan runs");
    (0..MEMBERS).map(|member| results_of(executor, id, member)).collect()
}

/// What a model leaves behind that is alone on a device on which others may have been before.
fn alone(executor: &mut Executor, setup: &Setup, id: PlanId, choice: usize) -> Vec<(Role, Vec<u32>)> {
    for (role, words) in results_of(executor, id, 0) {
        executor.write(&role, 0, &vec![0; words.len()]).expect("the buffer is there");
    }
    write_data(executor, setup, id);
    write_member(executor, setup, id, 0, choice);
    executor.run(id, &told(setup, choice)).expect("the plan runs");
    results_of(executor, id, 0)
}

/// The CPU engine computes every plan. On adapters, where each takes long to compile, training is tried with plans that
/// are made for other ones, if these have no kernels that it lacks.
fn is_tried(executor: &Executor, plan: &Plan, target: Target) -> bool {
    let runs = plan.steps.iter().all(|step| executor.can_run(step.kernel));
    let chosen = plan.name == "train" && ![Target::Cpu, executor.target()].contains(&target);
    runs && (matches!(executor, Executor::Cpu(_)) || chosen)
}

#[test]
fn each_member_of_a_plan_gets_the_bits_that_it_would_get_alone() {
    for setup in [small(), deep(), images(), blocks(), batches()] {
        for target in TARGETS {
            for (purpose, _) in PURPOSES {
                let plan = plan(&setup, purpose, BATCH, kept_resident(&setup), target);
                let tried = |executor: &Executor| is_tried(executor, &plan, target);
                for (mut one, mut many) in executors().into_iter().zip(executors()).filter(|(one, _)| tried(one)) {
                    let (what, found) = (one.name(), together(&mut many, &setup, plan.clone()));
                    assert!(found[0] != found[1] && found[1] != found[2], "members differ");
                    let id = one.load(plan.clone()).expect("the plan fits");
                    for (member, found) in found.iter().enumerate() {
                        for ((role, expected), (_, found)) in alone(&mut one, &setup, id, member).iter().zip(found) {
                            let what = format!("{}, {purpose} for {target:?} on {what}", setup.name);
                            assert!(expected == found, "{what}: {role:?} of member {member} is another");
                        }
                    }
                    assert_eq!(many.counts().dispatches * MEMBERS as u64, one.counts().dispatches, "{what}");
                }
            }
        }
    }
}
