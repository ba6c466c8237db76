//! Steps that are joined, and tensors that share a place, compute what they compute apart.

use super::models::{PURPOSES, Setup, batches, blocks, classic, deep, images, plan, plan_unshared, small};
use super::runs::{cpu, kept_resident, load_plan, results, steps};
use crate::support::{ROUNDING, compare};
use bytemuck::Zeroable;
use elbo::error::Error;
use elbo::graph::{Graph, Op};
use elbo::kernels::{StepScalars, f32s};
use elbo::plan::{Plan, Resident, Role, Target, UpdateStep, lower, unshared};
use elbo::shape::Shape;

const DEVICES: [Target; 3] = [Target::Gpu, Target::Software, Target::Simd8];

/// What two runs of a plan leave behind, on the CPU engine.
fn outcome(setup: &Setup, batch: usize, plan: Plan) -> Vec<(Role, Vec<u32>)> {
    let mut executor = cpu(2);
    let id = load_plan(&mut executor, setup, plan);
    executor.run(id, &steps(setup, batch, batch - 3)).expect("the plan runs");
    results(&mut executor, id)
}

/// How two outcomes differ, if they do.
fn difference(apart: &[(Role, Vec<u32>)], together: &[(Role, Vec<u32>)]) -> Option<String> {
    let is_input = |role: &Role| matches!(role, Role::Data | Role::Order | Role::Input(_));
    for (role, expected) in apart.iter().filter(|(role, _)| !is_input(role)) {
        let Some((_, found)) = together.iter().find(|(other, _)| other == role) else {
            return Some(format!("there is no {role:?}"));
        };
        if let Err(what) = compare(f32s(expected), f32s(found), ROUNDING) {
            return Some(format!("{role:?}: {what}"));
        }
    }
    None
}

#[test]
fn every_model_plan_computes_what_its_steps_compute_apart() {
    for (setup, batch) in [(small(), 7), (deep(), 7), (images(), 7), (blocks(), 7), (batches(), 7)] {
        for target in DEVICES {
            for (purpose, _) in PURPOSES {
                let resident = kept_resident(&setup);
                let apart = outcome(&setup, batch, plan_unshared(&setup, purpose, batch, resident, target));
                let together = outcome(&setup, batch, plan(&setup, purpose, batch, resident, target));
                assert_eq!(difference(&apart, &together), None, "{}, {purpose} for {target:?}", setup.name);
            }
        }
    }
}

#[test]
fn a_tensor_that_is_put_where_another_lives_is_noticed() {
    let setup = classic();
    let right = plan(&setup, "train", 7, kept_resident(&setup), Target::Gpu);
    let expected = outcome(&setup, 7, right.clone());
    let in_workspace = |buffer: usize| right.buffers[buffer].role == Role::Workspace;
    // The first product's result is put where the batch lies, for the step that makes it and for those that read it.
    let product = right.steps.iter().position(|step| step.kernel.name == "matmul").expect("there is a product");
    let (batch, result) = (right.steps[product].views[0], right.steps[product].views[3]);
    assert!(in_workspace(batch.buffer) && in_workspace(result.buffer) && batch.offset != result.offset);
    let mut wrong = right.clone();
    for view in wrong.steps.iter_mut().skip(product).flat_map(|step| &mut step.views) {
        if (view.buffer, view.offset) == (result.buffer, result.offset) && view.words == result.words {
            view.offset = batch.offset;
        }
    }
    assert!(difference(&expected, &outcome(&setup, 7, wrong)).is_some());
}

/// Joining is what keeps a step of the classic model to eight dispatches; what cannot be joined costs one each. Drivers
/// that emulate a GPU follow no chains: see `fuse_dispatches::group`.
#[test]
fn a_training_step_has_few_dispatches() {
    for (setup, target, most) in [
        (classic(), Target::Gpu, 8),
        (deep(), Target::Gpu, 9),
        (small(), Target::Gpu, 9),
        (classic(), Target::Software, 12),
        (classic(), Target::Simd8, 12),
    ] {
        let steps = plan(&setup, "train", 128, kept_resident(&setup), target).steps;
        let names: Vec<&str> = steps.iter().map(|step| step.what.as_str()).collect();
        assert!(steps.len() <= most, "{} for {target:?}: {} steps, {names:#?}", setup.name, steps.len());
    }
}

/// Beyond that a driver that emulates a GPU leaves the loop and the metric is wrong.
#[test]
fn no_thread_of_an_emulated_device_adds_up_more_than_65535_terms() {
    let setup = classic();
    for target in [Target::Software, Target::Simd8] {
        for (batch, alone) in [(128, 0), (4096, 1)] {
            let steps = plan(&setup, "train", batch, kept_resident(&setup), target).steps;
            let means: Vec<_> = steps.iter().filter(|step| step.kernel.name == "batch_mean").collect();
            assert_eq!(means.len(), alone, "batch {batch} for {target:?}");
            assert!(means.iter().all(|step| step.views[0].words > 65_535), "{means:#?}");
        }
    }
}

#[test]
fn sums_that_an_emulated_device_would_not_finish_are_refused() {
    // (units of the hidden layer, whether plans are made for GPUs, software drivers, and those with lanes)
    for (width, made) in [(65_000, [true, true, true]), (70_001, [true, false, false]), (70_000, [true, false, true])] {
        let mut setup = small();
        // All other extents are whole texels.
        (setup.model.width, setup.model.shape) = (12, [1, 1, 12]);
        (setup.model.config.latent, setup.model.config.hidden) = (4, vec![width]);
        for (target, made) in DEVICES.into_iter().zip(made) {
            let graph = setup.model.train(8).expect("the shapes meet");
            let plan =
                lower("train", graph, Some(UpdateStep::plain(&setup.config.optimizer)), kept_resident(&setup), target);
            match plan {
                Ok(_) => assert!(made, "{width} for {target:?}"),
                Err(Error::Device(why)) => {
                    assert!(!made && why.contains("--adapter cpu") && why.contains(&width.to_string()), "{why}");
                }
                Err(other) => panic!("{width} for {target:?}: {other}"),
            }
        }
    }
}

#[test]
fn sharing_saves_memory_in_deep_models() {
    let (setup, resident) = (deep(), kept_resident(&deep()));
    let words = |plan: &Plan| -> usize {
        let passes = |role: &Role| matches!(role, Role::Slot(_) | Role::Workspace);
        plan.buffers.iter().filter(|b| passes(&b.role)).map(|b| b.words).sum()
    };
    for target in DEVICES {
        let before = words(&plan_unshared(&setup, "train", 128, resident, target));
        let after = words(&plan(&setup, "train", 128, resident, target));
        assert!(after < before, "{after} words instead of {before} for {target:?}");
    }
}

/// A chain follows the rows of whole examples; a product of more or fewer rows, such as pseudo-inputs, is none of its links.
#[test]
fn products_of_rows_that_belong_to_no_example_are_computed_for_all_rows() {
    const BATCH: usize = 128;
    for rows in [500, 64, 130, 256] {
        let graph = || {
            let mut graph = Graph::new(BATCH);
            let x = graph.add(Op::Input { name: "x".into(), shape: Shape::new(&[rows, 6]) }).unwrap();
            let mut h = x;
            for layer in 0..4 {
                let w = graph.parameter(&format!("w {layer}"), Shape::new(&[7, 6])).unwrap();
                h = graph.add(Op::Affine { x: h, w }).unwrap();
            }
            let made = graph.add(Op::Scale { x: h, factor: 2.0 }).unwrap();
            graph.output("made", made);
            graph
        };
        let resident = Resident { data_words: 4, window: 0, order_words: BATCH, metric_slots: 1 };
        let results = [lower, unshared].map(|lower| {
            let mut executor = cpu(2);
            let plan = lower("rows", graph(), None, resident, Target::Gpu).unwrap();
            let (words, id) = (plan.words(&Role::Parameters), executor.load(plan).unwrap());
            let wave = |count: usize| (0..count).map(|at| (at as f32 * 0.7).sin()).collect::<Vec<_>>();
            executor.write_f32(&Role::Input("x".into()), 0, &wave(rows * 6)).unwrap();
            executor.write_f32(&Role::Parameters, 0, &wave(words)).unwrap();
            executor.run(id, &[StepScalars { rows: BATCH as u32, ..StepScalars::zeroed() }]).unwrap();
            executor.read_f32(&Role::Output("made".into()), 0, rows * 6).unwrap()
        });
        compare(&results[1], &results[0], ROUNDING).unwrap_or_else(|why| panic!("{rows} rows: {why}"));
    }
}
