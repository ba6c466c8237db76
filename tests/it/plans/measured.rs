//! What measuring promises: it finds what is wrong, it says how long each step takes, and nothing is another for it.

use super::models::{Setup, blocks, deep, images, plan, resident, small};
use super::runs::{load, results, steps};
use crate::support::{adapters, executors};
use elbo::exec::Executor;
use elbo::exec::measure::{self, Outcome};
use elbo::exec::profile::{Clock, Effort};
use elbo::exec::selftest::cases::{Size, case, settings};
use elbo::kernels::{Call, KERNELS, Kernel, combine, matmul, matmul_direct};
use std::time::Duration;

const EFFORT: Effort = Effort { repeats: 3, time: Duration::from_secs(60) };

fn loaded(executor: &mut Executor, setup: &Setup) -> elbo::exec::PlanId {
    let target = executor.target();
    load(executor, setup, "train", 7, target)
}

#[test]
fn a_profile_times_every_step_and_leaves_no_trace() {
    for setup in [small(), deep(), images(), blocks()] {
        for (mut plain, mut profiled) in executors().into_iter().zip(executors()) {
            let [expected, found] = [(&mut plain, false), (&mut profiled, true)].map(|(executor, profiled)| {
                let id = loaded(executor, &setup);
                let steps = steps(&setup, 7, 4);
                executor.run(id, &steps[..1]).expect("the plan runs");
                if profiled {
                    let before = results(executor, id);
                    let profile = executor.profile(id, &steps[1], EFFORT).expect("it is measured");
                    assert!(before == results(executor, id), "{} on {}", setup.name, executor.name());
                    assert_eq!(profile.steps.len(), executor.plan(id).steps.len());
                    for (at, step) in profile.steps.iter().enumerate() {
                        let ordered = 0.0 <= step.least && step.least <= step.median && step.median <= step.most;
                        assert!(ordered && step.most > 0.0 && step.repeats == 3, "step {at}: {step:?}");
                    }
                    let host = matches!(executor, Executor::Cpu(_));
                    assert_eq!(profile.clock == Clock::Host, host, "{}", executor.name());
                    assert!(profile.run > 0.0);
                }
                executor.run(id, &steps[1..]).expect("the plan runs");
                results(executor, id)
            });
            assert!(expected == found, "{} on {}: training went on differently", setup.name, plain.name());
        }
    }
}

#[test]
fn every_kernel_can_be_timed_alone_beside_a_loaded_plan() {
    for mut executor in executors() {
        let setup = small();
        let id = loaded(&mut executor, &setup);
        executor.run(id, &steps(&setup, 7, 4)).expect("the plan runs");
        let before = results(&mut executor, id);
        for kernel in KERNELS.iter().filter(|kernel| executor.can_run(kernel)).collect::<Vec<_>>() {
            let consts = settings(kernel).pop().expect("there is one");
            let case = case(kernel, &consts, Size { rows: 21, width: 37, depth: 3 }).expect("there is a case");
            let outcome = measure::time(&mut executor, &case, EFFORT).expect("it is measured");
            let Outcome::Right(timing, _) = outcome else { panic!("{} {outcome:?}", kernel.name) };
            assert!(timing.most > 0.0 && timing.repeats == 3, "{}: {timing:?}", kernel.name);
        }
        assert!(before == results(&mut executor, id), "{}", executor.name());
    }
}

/// Kernels of which the very last element is not what the twin says.
static WRONG: [Kernel; 2] = [
    Kernel { cpu: |call| spoilt(call, matmul::KERNEL.cpu), ..matmul::KERNEL },
    Kernel { cpu: |call| spoilt(call, matmul_direct::KERNEL.cpu), ..matmul_direct::KERNEL },
];

fn spoilt(mut call: Call, twin: fn(Call)) {
    let rows = call.entries::<matmul::Params, matmul::Entry>()[0].m as usize;
    let ends = call.range.end == rows;
    let writes = call.writes.iter_mut().map(|words| &mut **words).collect();
    let (range, params, consts, step, reads) =
        (call.range.clone(), call.params, call.consts, call.step, call.reads.clone());
    twin(Call { range, params, consts, step, reads, writes });
    if let (true, Some(word)) = (ends, call.writes[0].last_mut()) {
        *word = 7.0_f32.to_bits();
    }
}

#[test]
fn what_is_wrong_is_not_timed_even_if_only_parts_of_it_can_be_checked() {
    for mut executor in executors() {
        let wrong = if executor.target() == elbo::plan::Target::Gpu { &WRONG[0] } else { &WRONG[1] };
        for (shape, quick) in [([21, 37, 3], true), ([401, 397, 413], false)] {
            // The larger product is more than the twin has the time for.
            assert_eq!(2 * shape.iter().product::<usize>() < 100_000_000, quick);
            let case =
                measure::product_case(wrong, &measure::variants(wrong, [false; 2])[0], shape).expect("there is a case");
            let outcome = measure::time(&mut executor, &case, EFFORT).expect("it runs");
            assert!(matches!(&outcome, Outcome::Wrong(why) if why.contains("binding c")), "{shape:?}: {outcome:?}");
            let error = measure::time_right(&mut executor, &case, EFFORT).expect_err("it is wrong");
            assert_eq!(error.exit_code(), 1, "{error}");
        }
    }
}

#[test]
fn the_variants_of_a_product_are_those_of_its_layout_without_an_epilogue() {
    for kernel in [&matmul::KERNEL, &matmul_direct::KERNEL] {
        for layout in [[false, false], [true, false], [false, true], [true, true]] {
            let found = measure::variants(kernel, layout);
            assert!(!found.is_empty(), "{} {layout:?}", kernel.name);
            for consts in found {
                assert_eq!(consts[..6], [u32::from(layout[0]), u32::from(layout[1]), 0, 0, 0, 0], "{}", kernel.name);
            }
        }
    }
    assert_eq!(measure::variant_name(&combine::KERNEL, &[2]), "combine op=2");
}

#[test]
fn training_steps_give_the_same_bits_with_and_without_runtime_checks() {
    // Models differ in the sizes of what outlives a run, so each takes devices of its own.
    for setup in [small(), deep(), images(), blocks()] {
        for (mut checked, mut unchecked) in adapters(true).into_iter().zip(adapters(false)) {
            let [expected, found] = [&mut checked, &mut unchecked].map(|executor| {
                let id = loaded(executor, &setup);
                for _ in 0..5 {
                    executor.run(id, &steps(&setup, 7, 4)).expect("the plan runs");
                }
                results(executor, id)
            });
            assert!(expected == found, "{} on {}", setup.name, checked.name());
        }
    }
}

#[test]
fn a_large_plan_begins_with_few_runs_until_its_speed_is_known() {
    for mut executor in executors() {
        let (setup, target) = (super::models::classic(), executor.target());
        let id = executor.load(plan(&setup, "train", 2048, resident(&setup, 2048, 1), target)).expect("it fits");
        let portion = executor.portion(id);
        assert!(portion < 16, "{portion} runs of 6.7 GFLOP each before anything was measured, {}", executor.name());
    }
}
