//! What running a plan has to keep to, however the work is divided.

use super::models::{PURPOSES, Setup, TARGETS, batches, blocks, deep, images, long, plan, resident, small};
use crate::support::{ROUNDING, compare, executors};
use bytemuck::Zeroable;
use elbo::config::Norm;
use elbo::exec::cpu::Cpu;
use elbo::exec::{Executor, PlanId};
use elbo::graph::op::Source;
use elbo::kernels::StepScalars;
use elbo::model::network::batch_norm::RUNNING;
use elbo::model::{Weights, init};
use elbo::plan::{Plan, Resident, Role, Target};
use elbo::rng::{Philox, Stream};

const EXAMPLES: usize = 300;
const SLOTS: usize = 4;

pub fn cpu(threads: usize) -> Executor {
    Executor::Cpu(Cpu::new(threads).expect("threads start"))
}

/// What stays on the device.
pub fn kept_resident(setup: &Setup) -> Resident {
    resident(setup, EXAMPLES, SLOTS)
}

/// Loads the plan for a purpose as [`load_plan`] does.
pub fn load(executor: &mut Executor, setup: &Setup, purpose: &str, batch: usize, target: Target) -> PlanId {
    load_plan(executor, setup, plan(setup, purpose, batch, kept_resident(setup), target))
}

/// Loads a plan, with resident data, an order and parameters that are functions of the model alone.
pub fn load_plan(executor: &mut Executor, setup: &Setup, plan: Plan) -> PlanId {
    let id = executor.load(plan).expect("the plan fits");
    write_data(executor, setup, id);
    write_member(executor, setup, id, 0, 0);
    id
}

/// Writes the resident data, where the plan reads them.
pub fn write_data(executor: &mut Executor, setup: &Setup, id: PlanId) {
    if executor.plan(id).words(&Role::Data) > 0 {
        let mut rng = Philox::new(11, Stream::Choice, 0, 0);
        let mut word = || match setup.model.source {
            Source::Bytes => u32::from_le_bytes([0; 4].map(|_: u8| (256.0 * rng.uniform()) as u8)),
            Source::Floats | Source::Codes(_) => rng.uniform().to_bits(),
            Source::Tokens(count) => (count as f32 * rng.uniform()).floor().to_bits(),
            // Nothing stands in any row.
            Source::Sparse(_) => 0,
        };
        let data: Vec<u32> = (0..kept_resident(setup).data_words).map(|_| word()).collect();
        executor.write(&Role::Data, 0, &data).expect("the data fit");
    }
}

/// Writes the order and the parameters of a member, of which there are several to choose from.
pub fn write_member(executor: &mut Executor, setup: &Setup, id: PlanId, member: usize, choice: usize) {
    if executor.plan(id).words(&Role::Order) > 0 {
        // None of these has a divisor in common with the number of examples, so each order is a permutation.
        let stride = [7, 11, 13][choice];
        let order: Vec<u32> = (0..EXAMPLES as u32).map(|i| i * stride % EXAMPLES as u32).collect();
        executor.write_to(member, &Role::Order, 0, &order).expect("the order fits");
    }
    let initial = init::initial(&setup.model, 5 + choice as u64, init::OfData::default());
    for (range, values) in executor.plan(id).parameters.clone().iter().zip(initial) {
        let words = bytemuck::cast_slice(&values);
        executor.write_to(member, &Role::Parameters, range.offset, words).expect("the parameters fit");
    }
}

/// Steps of an epoch: whole batches, and one in which only `last` examples count.
pub fn steps(setup: &Setup, batch: usize, last: usize) -> Vec<StepScalars> {
    let optimizer = &setup.config.optimizer;
    let step = |at: usize, rows: usize| StepScalars {
        step: at as u32,
        rows: rows as u32,
        first: (at * batch) as u32,
        slot: at as u32,
        key: [3, 4],
        stream: Stream::Noise as u32,
        row_weight: 1.0 / rows as f32,
        lr: optimizer.lr,
        correction1: 1.0 - optimizer.beta1.powi(at as i32 + 1),
        correction2: 1.0 - optimizer.beta2.powi(at as i32 + 1),
        weights: Weights::elbo(0.5).at(0.0, 1.0),
        ..StepScalars::zeroed()
    };
    vec![step(0, batch), step(1, last)]
}

/// Everything that a plan leaves behind.
pub fn results(executor: &mut Executor, id: PlanId) -> Vec<(Role, Vec<u32>)> {
    results_of(executor, id, 0)
}

/// The same of one of its members.
pub fn results_of(executor: &mut Executor, id: PlanId, member: usize) -> Vec<(Role, Vec<u32>)> {
    let buffers = executor.plan(id).buffers.clone();
    let passes = |role: &Role| matches!(role, Role::Slot(_) | Role::Workspace | Role::Discard | Role::Unbound);
    let kept = buffers.into_iter().filter(|b| !passes(&b.role));
    kept.map(|b| {
        let words = executor.read_from(member, &b.role, 0, b.words).expect("the buffer is there");
        (b.role, words)
    })
    .collect()
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let small_batches = [small(), deep(), images(), blocks(), batches()].map(|setup| (setup, 7));
    for (setup, batch) in small_batches.into_iter().chain([(long(), 130), (small(), 130)]) {
        for target in TARGETS {
            for (purpose, _) in PURPOSES {
                let run = |threads| {
                    let mut executor = cpu(threads);
                    let id = load(&mut executor, &setup, purpose, batch, target);
                    executor.run(id, &steps(&setup, batch, batch - 3)).expect("the plan runs");
                    results(&mut executor, id)
                };
                let one = run(1);
                for threads in [2, 3, 5, 16] {
                    for ((role, expected), (_, found)) in one.iter().zip(run(threads)) {
                        let what = format!("{}, {purpose}, batch {batch}, {target:?}", setup.name);
                        assert!(*expected == found, "{what}: {role:?} is another with {threads} threads");
                    }
                }
            }
        }
    }
}

/// One number of a channel has no variance: the step is normalised by the running moments, which stay what they are.
#[test]
fn a_batch_of_one_example_leaves_running_moments_alone() {
    let mut setup = small();
    setup.config.model.norm = Norm::Batch;
    setup.model.config.norm = Norm::Batch;
    for mut executor in executors() {
        let target = executor.target();
        let id = load(&mut executor, &setup, "train", 4, target);
        let ranges = executor.plan(id).parameters.clone();
        let read = |executor: &mut Executor, role: &Role, name: &str| -> Vec<f32> {
            let found = ranges.iter().filter(|range| range.name.starts_with(name));
            found.flat_map(|range| executor.read_f32(role, range.offset, range.count()).expect("it is there")).collect()
        };
        let before = read(&mut executor, &Role::Parameters, RUNNING);
        executor.run(id, &steps(&setup, 4, 1)[1..]).expect("the plan runs");
        assert!(read(&mut executor, &Role::Parameters, RUNNING) == before, "{}", executor.name());
        // Of its own moments nothing would be left of it.
        let gradient = read(&mut executor, &Role::Gradients, "encoder.0");
        assert!(gradient.iter().all(|g| g.is_finite()) && gradient.iter().any(|g| g.abs() > 1e-4), "{gradient:?}");
        executor.run(id, &steps(&setup, 4, 2)[1..]).expect("the plan runs");
        assert!(read(&mut executor, &Role::Parameters, RUNNING) != before, "{}", executor.name());
    }
}

/// A batch of which only some examples count makes the gradient of a plan for just so many.
fn partial_batches_agree(new: &dyn Fn() -> Executor, target: Target) {
    for setup in [small(), deep(), images(), blocks(), batches()] {
        let gradient = |batch: usize| {
            let mut executor = new();
            let id = load(&mut executor, &setup, "train", batch, target);
            executor.run(id, &steps(&setup, 4, 4)[1..]).expect("the plan runs");
            let words = executor.plan(id).words(&Role::Gradients);
            let metrics = executor.read_f32(&Role::Metrics, 2, 2).expect("the metrics are there");
            (executor.read_f32(&Role::Gradients, 0, words).expect("the gradient is there"), metrics)
        };
        let (expected, metrics) = gradient(4);
        for batch in [5, 7] {
            let (found, terms) = gradient(batch);
            let what = format!("{}, 4 of {batch} examples for {target:?}", setup.name);
            compare(&expected, &found, ROUNDING).unwrap_or_else(|difference| panic!("{what}: {difference}"));
            compare(&metrics, &terms, ROUNDING).unwrap_or_else(|difference| panic!("{what}: {difference}"));
        }
    }
}

#[test]
fn examples_that_do_not_count_change_nothing() {
    for target in TARGETS {
        partial_batches_agree(&|| cpu(2), target);
    }
}

/// A run starts one kernel per step of the plan, and makes nothing.
fn counts_agree(executor: &mut Executor) {
    let setup = small();
    let target = executor.target();
    let train = load(executor, &setup, "train", 7, target);
    let evaluate = load(executor, &setup, "evaluate", 7, target);
    // How many runs are submitted at a time must not depend on the clock here.
    for plan in [train, evaluate] {
        executor.fix_portion(plan, 3);
    }
    let loaded = executor.counts();
    assert!(loaded.allocations > 0, "{}", executor.name());
    let mut dispatches = loaded.dispatches;
    for id in [train, evaluate, train] {
        let steps = steps(&setup, 7, 3);
        executor.run(id, &steps).expect("the plan runs");
        dispatches += (steps.len() * executor.plan(id).steps.len()) as u64;
        executor.read(&Role::Metrics, 0, 4).expect("the metrics are there");
        let counts = executor.counts();
        assert_eq!(counts.dispatches, dispatches, "{}", executor.name());
        assert_eq!(
            (counts.allocations, counts.pipelines),
            (loaded.allocations, loaded.pipelines),
            "{}",
            executor.name()
        );
    }
    let counts = executor.counts();
    assert_eq!(counts.bytes_read, loaded.bytes_read + 3 * 16, "{}", executor.name());
    assert_eq!(counts.submissions - loaded.submissions, 3, "{}", executor.name());
    // A plan whose buffers are all there needs none but its own intermediate tensors, textures where kernels read them,
    // and on a device its params and its table of steps.
    let passes = |role: &Role| matches!(role, Role::Slot(_) | Role::Workspace);
    let textures = |plan: &Plan| plan.steps.iter().flat_map(|s| s.kernel.bindings).filter(|b| b.texels).count();
    let slots = |plan: &Plan| (plan.buffers.iter().filter(|b| passes(&b.role)).count() + textures(plan)) as u64;
    let again = load(executor, &setup, "train", 7, target);
    let made = executor.counts().allocations - counts.allocations;
    assert!(made <= slots(executor.plan(again)) + 2, "{made}: {}", executor.name());
}

#[test]
fn a_run_starts_each_step_once_and_makes_nothing() {
    for mut executor in executors() {
        counts_agree(&mut executor);
    }
}
