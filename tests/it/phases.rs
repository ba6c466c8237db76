//! Training steps of several phases: who changes what, by which rule, and that nothing else about training notices.

use crate::program::{TINY, elbo};
use crate::support::{ROUNDING, Tolerance, compare, executors};
use bytemuck::Zeroable;
use elbo::checkpoint::{Checkpoint, TrainerState, Which, load, locate};
use elbo::config::{self, Config, NotFinite, OptimizerConfig, OptimizerKind};
use elbo::data;
use elbo::data::batches::Batch;
use elbo::error::Error;
use elbo::graph::{Axis, Graph, Group, Op, Reduction};
use elbo::kernels::StepScalars;
use elbo::model::factor::exchanged;
use elbo::model::phases;
use elbo::plan::{Resident, Role, Target, UpdateStep, lower};
use elbo::session::{Purpose, Session};
use elbo::shape::Shape;
use elbo::train::{Epoch, Event, Member, Options, Update, scalars_of, train};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

const SETTINGS: &[(&str, &str)] = &[
    ("epochs", "2"),
    ("batch", "20"),
    ("latent", "3"),
    ("hidden", "[12]"),
    ("discriminator", "[8,6]"),
    ("examples", "130"),
    ("factor", "4"),
    ("seed", "3"),
];

fn config(settings: &[(&str, &str)]) -> Config {
    let usual = SETTINGS.iter().filter(|(key, _)| settings.iter().all(|(other, _)| other != key));
    let pairs = usual.chain(settings).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    config::resolve(Some("factor"), &pairs.collect::<Vec<_>>()).expect("the settings are valid")
}

/// A session with its first parameters, on the executor of this number.
fn session(device: usize, config: &Config) -> Session {
    let data = data::open(config, None).expect("glyphs are drawn");
    let mut session = Session::new(config.clone(), data, executors().swap_remove(device)).expect("the model fits");
    session.plan(Purpose::Train).expect("the plans fit");
    session.initialise().expect("the parameters fit");
    session.set_order(&(0..100).collect::<Vec<_>>()).expect("the order fits");
    session
}

/// Runs a phase of a step that takes the same 20 examples each time, or those of them that count.
fn run(session: &mut Session, phase: usize, step: u64, rows: usize) {
    let plan = session.phases().expect("they are loaded")[phase];
    let config = session.config.clone();
    let update = Update { step, per_epoch: 10, slot: 0, batch: Batch { first: 0, rows } };
    let told = |part| scalars_of(&config, &phases(&config)[phase], &TrainerState::default(), &update, part);
    let told: Vec<StepScalars> = (0..config.train.accumulate).map(told).collect();
    session.run(plan, &told).expect("it runs");
}

/// What a buffer holds for the discriminator, or for all others.
fn of(session: &mut Session, role: &Role, discriminator: bool) -> Vec<f32> {
    let ranges = session.ranges().into_iter().filter(|range| range.name.starts_with("discriminator") == discriminator);
    let ranges: Vec<_> = ranges.collect();
    let read =
        |range: &elbo::plan::ParameterSlot| session.read(0, role, range.offset, range.count()).expect("it is there");
    ranges.iter().flat_map(read).collect()
}

fn both(session: &mut Session, role: &Role) -> [Vec<f32>; 2] {
    [false, true].map(|discriminator| of(session, role, discriminator))
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// With all that an update may be made of.
#[test]
fn a_phase_changes_its_own_group_and_nothing_else() {
    let all = [("clip_norm", "0.5"), ("weight_decay", "0.1"), ("ema", "0.9"), ("accumulate", "2"), ("batch", "40")];
    for settings in [&[][..], &[("ema", "0.9")], &[("clip_norm", "0.5"), ("weight_decay", "0.1")], &all] {
        for device in 0..executors().len() {
            let mut session = session(device, &config(settings));
            let averages = settings.iter().any(|(key, _)| *key == "ema");
            let kept =
                [Some(Role::Parameters), Some(Role::Moment1), Some(Role::Moment2), averages.then_some(Role::Average)];
            for (step, phase) in [(0, 0), (0, 1), (1, 1), (1, 0)] {
                let before: Vec<_> = kept.iter().flatten().map(|role| both(&mut session, role)).collect();
                run(&mut session, phase, step, 20);
                for (role, before) in kept.iter().flatten().zip(before) {
                    let after = both(&mut session, role);
                    for (group, (before, after)) in before.iter().zip(&after).enumerate() {
                        let same = bits(before) == bits(after);
                        assert_eq!(same, group != phase, "{role:?} of group {group} by phase {phase}, {settings:?}");
                        assert!(after.iter().all(|value| value.is_finite()));
                    }
                }
            }
        }
    }
}

/// Every second step only, so the corrections count the updates and not the steps.
#[test]
fn a_phase_follows_the_rule_that_it_has_for_itself() {
    let config = config(&[("discriminator_every", "2"), ("discriminator_lr", "0.03"), ("lr", "0.01")]);
    let rules: Vec<OptimizerConfig> = phases(&config).into_iter().map(|phase| phase.optimizer).collect();
    assert_eq!((rules[1].lr, rules[1].beta1, rules[1].beta2, rules[0].beta1), (0.03, 0.5, 0.9, 0.9));
    for device in 0..executors().len() {
        let mut session = session(device, &config);
        for step in 0..5 {
            for (phase, rule) in rules.iter().enumerate() {
                if phase == 1 && step % 2 == 1 {
                    continue;
                }
                let roles = [Role::Parameters, Role::Moment1, Role::Moment2];
                let [value, first, second] = roles.map(|role| of(&mut session, &role, phase == 1));
                run(&mut session, phase, step, 17);
                let gradient = of(&mut session, &Role::Gradients, phase == 1);
                let t = 1 + if phase == 1 { step as i32 / 2 } else { step as i32 };
                let [lr, beta1, beta2, eps] = [rule.lr, rule.beta1, rule.beta2, rule.eps].map(f64::from);
                let expected: Vec<f32> = (0..value.len())
                    .map(|at| {
                        let [p, m, v, g] = [&value, &first, &second, &gradient].map(|of| f64::from(of[at]));
                        let (m, v) = (beta1 * m + (1.0 - beta1) * g, beta2 * v + (1.0 - beta2) * g * g);
                        let (m, v) = (m / (1.0 - beta1.powi(t)), v / (1.0 - beta2.powi(t)));
                        (p - lr * m / (v.sqrt() + eps)) as f32
                    })
                    .collect();
                let found = of(&mut session, &Role::Parameters, phase == 1);
                let near = found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-3 * rule.lr);
                assert!(near, "phase {phase} of step {step} on {}", session.executor.name());
            }
        }
    }
}

/// Two groups that are no neighbours, with a norm that is theirs together; the parameter between them is a constant.
#[test]
fn groups_that_are_no_neighbours_are_clipped_together_and_what_lies_between_is_a_constant() {
    let optimizer = OptimizerConfig { kind: OptimizerKind::Sgd, clip_norm: 0.5, ..Config::default().optimizer };
    let sizes = [("one", 5_usize), ("between", 100), ("two", 7), ("two.more", 70)];
    for mut executor in executors() {
        for target in [executor.target(), Target::Cpu, Target::Gpu] {
            let mut graph = Graph::new(1);
            let mut loss = None;
            for (name, size) in sizes {
                let w = graph.parameter(name, Shape::new(&[1, size])).unwrap();
                let squares = graph.reduce_map(Reduction::Sum, Axis::Columns, [w], |[w]| 0.5 * w.squared()).unwrap();
                loss = Some(loss.map_or(squares, |sum| graph.add(Op::Add { a: sum, b: squares }).unwrap()));
            }
            graph.term("loss", loss.unwrap(), 0);
            let trains = Group::Except(&["between"]);
            let ending = UpdateStep { trains, ..UpdateStep::plain(&optimizer) };
            let resident = Resident { data_words: 4, window: 0, order_words: 4, metric_slots: 1 };
            let plan = lower("groups", graph, Some(ending), resident, target).expect("the plan is legal");
            let updates = plan.steps.iter().filter(|step| step.kernel.name.starts_with("update")).count();
            assert_eq!(updates, if target == Target::Cpu { 3 } else { 2 }, "{target:?}");
            let ranges = plan.parameters.clone();
            let id = executor.load(plan).expect("the plan fits");
            let start = |at: usize| (at as f32 * 0.37).sin();
            for range in &ranges {
                let values: Vec<f32> = (0..range.count()).map(start).collect();
                executor.write_f32(&Role::Parameters, range.offset, &values).unwrap();
            }
            let (lr, mut weights) = (0.25, [0.0; 8]);
            weights[0] = 1.0;
            let told = StepScalars { rows: 1, row_weight: 1.0, lr, weights, ..StepScalars::zeroed() };
            executor.run(id, &[told]).expect("it runs");
            // The gradient of half the square is the value.
            let trained = ranges.iter().filter(|range| trains.contains(&range.name));
            let squares: f64 =
                trained.flat_map(|range| (0..range.count()).map(|at| f64::from(start(at)).powi(2))).sum();
            let factor = 0.5 / squares.sqrt();
            assert!(factor < 0.2, "the limit binds");
            for range in &ranges {
                let step = if trains.contains(&range.name) { f64::from(lr) * factor } else { 0.0 };
                let expected: Vec<f32> =
                    (0..range.count()).map(|at| (f64::from(start(at)) * (1.0 - step)) as f32).collect();
                let found = executor.read_f32(&Role::Parameters, range.offset, range.count()).unwrap();
                compare(&expected, &found, ROUNDING).unwrap_or_else(|why| panic!("{}: {why}", range.name));
                assert_eq!(expected == found && step == 0.0, range.name == "between", "{target:?}");
            }
        }
    }
}

#[test]
fn a_phase_that_trains_nothing_is_refused() {
    let mut graph = Graph::new(1);
    let w = graph.parameter("one", Shape::new(&[1])).unwrap();
    graph.term("loss", w, 0);
    let optimizer = Config::default().optimizer;
    let ending = UpdateStep { trains: Group::Of(&["none"]), ..UpdateStep::plain(&optimizer) };
    let resident = Resident { data_words: 4, window: 0, order_words: 4, metric_slots: 1 };
    let error = lower("nothing", graph, Some(ending), resident, Target::Cpu).unwrap_err().to_string();
    assert!(error.contains("nothing to train"), "{error}");
}

/// Each column on its own, those that count among each other, another way at each step; and all devices alike.
#[test]
fn latents_are_exchanged_by_a_permutation_of_each_dimension() {
    let (batch, latent) = (9, 4);
    let z: Vec<f32> = (0..batch * latent).map(|at| at as f32 + 0.5).collect();
    let mut of_devices = Vec::new();
    for mut executor in executors() {
        let mut graph = Graph::new(batch);
        let given = graph.add(Op::Input { name: "z".into(), shape: Shape::new(&[batch, latent]) }).unwrap();
        let made = exchanged(&mut graph, given, 1).unwrap();
        graph.output("exchanged", made);
        let resident = Resident { data_words: 4, window: 0, order_words: batch, metric_slots: 1 };
        let plan = lower("interop", graph, None, resident, executor.target()).expect("the plan is legal");
        let id = executor.load(plan).expect("the plan fits");
        executor.write_f32(&Role::Input("z".into()), 0, &z).unwrap();
        executor.write(&Role::Order, 0, &(0..batch as u32).collect::<Vec<_>>()).unwrap();
        let mut all = Vec::new();
        for (step, rows) in [(0, 9), (1, 9), (2, 6), (3, 1)] {
            let told = StepScalars { step, rows, key: [5, 6], ..StepScalars::zeroed() };
            executor.run(id, &[told]).expect("it runs");
            let found = executor.read_f32(&Role::Output("exchanged".into()), 0, batch * latent).unwrap();
            let column =
                |of: &[f32], j: usize| -> Vec<f32> { (0..rows as usize).map(|i| of[i * latent + j]).collect() };
            let columns: Vec<Vec<f32>> = (0..latent).map(|j| column(&found, j)).collect();
            for (j, found) in columns.iter().enumerate() {
                let mut sorted = found.clone();
                sorted.sort_by(f32::total_cmp);
                assert_eq!(sorted, column(&z, j), "column {j} of step {step}");
            }
            let orders: BTreeSet<Vec<usize>> =
                (0..latent).map(|j| columns[j].iter().map(|&value| (value as usize - j) / latent).collect()).collect();
            assert!(rows == 1 || orders.len() > 2, "dimensions have ways of their own: {orders:?}");
            all.push(found);
        }
        assert_ne!(all[0], all[1], "each step has another way");
        of_devices.push(all);
    }
    assert!(of_devices.windows(2).all(|pair| pair[0] == pair[1]));
}

/// A batch in parts is the batch, for the phase whose loss is a mean over examples.
#[test]
fn a_phase_adds_up_the_parts_of_a_batch() {
    const PARTS: Tolerance = Tolerance { nmse: 1e-6, element: 0.02, absolute: 1e-6 };
    for device in 0..executors().len() {
        let after = |parts: &str| {
            let mut session = session(device, &config(&[("accumulate", parts), ("kind", "sgd"), ("lr", "0.1")]));
            for phase in [0, 1] {
                run(&mut session, phase, 0, 20);
            }
            both(&mut session, &Role::Parameters)
        };
        let ([whole, player], [parts, other]) = (after("1"), after("4"));
        compare(&whole, &parts, PARTS).unwrap();
        // Latents are exchanged within a part.
        assert_ne!(player, other);
    }
}

#[test]
fn a_player_whose_gradient_is_no_number_is_left_out_alone() {
    for device in 0..executors().len() {
        let mut config = config(&[]);
        config.train.not_finite = NotFinite::Skip;
        let mut session = session(device, &config);
        // What the discriminator is told has no bearing on the model where the weight of its estimate is zero.
        let before = both(&mut session, &Role::Parameters);
        let range = session.ranges().into_iter().find(|range| range.name == "discriminator.0").unwrap();
        session.executor.write_f32(&Role::Parameters, range.offset, &[f32::NAN]).unwrap();
        let broken = of(&mut session, &Role::Parameters, true);
        run(&mut session, 1, 0, 20);
        let after = both(&mut session, &Role::Parameters);
        assert_eq!(bits(&after[1]), bits(&broken), "the update is left out");
        assert_eq!(bits(&after[0]), bits(&before[0]));
    }
}

/// A discriminator that has learned something tells latents from exchanged ones, and what the model is told is then a positive
/// total correlation.
#[test]
fn the_estimate_has_the_sign_of_a_total_correlation() {
    for device in 0..executors().len() {
        let mut session = session(device, &config(&[("discriminator_lr", "0.02"), ("lr", "1e-9"), ("latent", "6")]));
        let range = session.ranges().into_iter().find(|range| range.name == "encoder.head").unwrap();
        // One unit moves all means far, so that dimensions go together.
        let mut head = vec![0.0; range.count()];
        head[..6].fill(20.0);
        head[6..12].fill(-5.0);
        session.executor.write_f32(&Role::Parameters, range.offset, &head).unwrap();
        for step in 0..300 {
            run(&mut session, 1, step, 20);
        }
        run(&mut session, 0, 0, 20);
        let terms = session.read(0, &Role::Metrics, 0, 4).expect("four terms");
        // Who guesses has a loss of log 2.
        assert!(terms[3] < 0.65, "the loss of the discriminator is {}", terms[3]);
        assert!(terms[2] > 0.1, "the density ratio is {}", terms[2]);
    }
}

/// Seven steps an epoch, of which the discriminator takes part in the first, fourth and so on of the run.
#[test]
fn a_phase_takes_part_in_the_steps_in_which_it_is_due() {
    for device in 0..executors().len() {
        let config = config(&[("discriminator_every", "3"), ("accumulate", "2"), ("epochs", "2")]);
        let mut session = session(device, &config);
        let steps: Vec<u64> =
            session.phases().unwrap().iter().map(|&id| session.executor.plan(id).steps.len() as u64).collect();
        let (folder, stop) = (tempfile::tempdir().unwrap(), AtomicBool::new(false));
        let options = Options { stop: &stop, deadline: None, check_steps: false };
        let (member, before) = (Member::new(&session, folder.path()), session.executor.counts().dispatches);
        let examples = session.data().unwrap().train.len();
        let updates = 2 * examples.div_ceil(20) as u64;
        train(&mut session, vec![member], &options, &mut |_| Ok(())).expect("it trains");
        let dispatches = session.executor.counts().dispatches - before;
        assert_eq!(dispatches, 2 * (updates * steps[0] + updates.div_ceil(3) * steps[1]));
    }
}

/// Trains in a folder from where `last` stands, if it is given, and stops when told so many steps of an epoch are done.
fn train_in(
    folder: &Path,
    device: usize,
    config: &Config,
    last: Option<&Checkpoint>,
    stop_at: Option<usize>,
) -> Trained {
    let mut session = session(device, config);
    let plans = session.phases().unwrap();
    for &plan in &plans {
        session.executor.fix_portion(plan, 2 * config.train.accumulate);
    }
    let mut member = Member::new(&session, folder);
    if let Some(last) = last {
        session.restore(0, last).expect("it fits");
        member.progress = last.progress.clone();
    }
    let stop = AtomicBool::new(false);
    let options = Options { stop: &stop, deadline: None, check_steps: true };
    let mut epochs = Vec::new();
    let done = train(&mut session, vec![member], &options, &mut |event: Event| {
        match event {
            Event::Step(done, _) if Some(done) == stop_at => stop.store(true, Ordering::Relaxed),
            Event::Epoch(found) => epochs.extend_from_slice(found),
            Event::Warning(why) => panic!("{why}"),
            _ => {}
        }
        Ok(())
    });
    let last = load(&locate(folder, Which::Last).unwrap()).unwrap();
    Trained { last, epochs, error: done.err() }
}

struct Trained {
    last: Checkpoint,
    epochs: Vec<Epoch>,
    error: Option<Error>,
}

/// Steps are compared with their twins, too; the last batch of an epoch is partial.
#[test]
fn a_run_of_several_phases_that_was_stopped_within_an_epoch_resumes_to_the_same_bits() {
    for settings in [&[][..], &[("discriminator_every", "3"), ("accumulate", "2"), ("ema", "0.9"), ("clip_norm", "1")]]
    {
        let config = config(settings);
        for device in 0..executors().len() {
            let [whole, parts] = [(), ()].map(|()| tempfile::tempdir().unwrap());
            let expected = train_in(whole.path(), device, &config, None, None);
            assert!(expected.error.is_none(), "{:?}", expected.error);
            let stopped = train_in(parts.path(), device, &config, None, Some(4));
            assert!(matches!(stopped.error, Some(Error::Interrupted(_))), "{:?}", stopped.error);
            assert_eq!(stopped.last.progress.step_in_epoch, 4);
            let found = train_in(parts.path(), device, &config, Some(&stopped.last), None);
            assert!(found.error.is_none(), "{:?}", found.error);
            assert_eq!(expected.last.parameters, found.last.parameters, "{settings:?}");
            assert_eq!(expected.last.moments, found.last.moments, "{settings:?}");
            let terms =
                |epochs: &[Epoch]| epochs.iter().map(|e| (e.distortion, e.rate, e.others.clone())).collect::<Vec<_>>();
            assert_eq!(terms(&expected.epochs), terms(&found.epochs), "{settings:?}");
            let names: Vec<&str> = found.epochs[0].others.iter().map(|(name, _)| name.as_str()).collect();
            let norms =
                ["gradient norm model", "clipped model", "gradient norm discriminator", "clipped discriminator"];
            let clips = settings.iter().any(|(key, _)| *key == "clip_norm");
            assert_eq!(names[..2], ["density ratio", "discriminator"]);
            assert_eq!(names[2..], norms[..if clips { 4 } else { 0 }]);
            // A discriminator that has hardly begun guesses: its loss is log 2.
            let guess = found.epochs[0].others[1].1;
            assert!((guess - std::f64::consts::LN_2).abs() < 0.1, "{guess}");
        }
    }
}

#[test]
fn the_program_shows_every_phase_and_a_model_leaves_without_its_discriminator() {
    let folder = tempfile::tempdir().unwrap();
    let settings = format!("--recipe factor {TINY} --set model.discriminator=[8]");
    let said = elbo(folder.path(), &format!("train {settings} --epochs 1 --out run --profile")).succeeded();
    for words in ["phase model", "phase discriminator", "Adam: discriminator.head"] {
        assert!(said.out.contains(words), "{words}: {said:?}");
    }
    assert!(said.err.contains("discriminator 8, 1"), "{said:?}");
    let metrics = std::fs::read_to_string(folder.path().join("run/metrics.csv")).unwrap();
    assert!(metrics.lines().next().unwrap().contains("density_ratio,discriminator,lr"), "{metrics}");
    let plan = elbo(folder.path(), "plan --recipe factor --target cpu").succeeded();
    assert!(plan.out.contains("train model") && plan.out.contains("train discriminator"), "{plan:?}");
    elbo(folder.path(), "eval run --adapter cpu").succeeded();
    elbo(folder.path(), "export run --format safetensors --out exported").succeeded();
    let said = elbo(folder.path(), "import exported --out imported").succeeded();
    assert!(said.err.contains("the run has none"), "{said:?}");
    elbo(folder.path(), "sample imported -n 4 --adapter cpu").succeeded();
}

/// Told together, phases have the bits that they have one by one; and on devices many steps are few submissions.
#[test]
fn phases_take_turns_within_a_submission() {
    let config = config(&[("discriminator_every", "2")]);
    let window =
        self::config(&[("discriminator_every", "2"), ("window", "256"), ("examples", "1000"), ("batch", "100")]);
    for config in [config, window] {
        for device in 0..executors().len() {
            let [mut alone, mut together] = [(), ()].map(|()| {
                let mut session = session(device, &config);
                let plans = session.phases().unwrap();
                for &plan in &plans {
                    session.executor.fix_portion(plan, 8);
                }
                let examples = config.data.examples.min(200) as u32;
                session.set_order(&(0..examples).rev().collect::<Vec<_>>()).expect("the order fits");
                session
            });
            let (plans, rules, rows) = (together.phases().unwrap(), phases(&config), config.train.batch);
            assert_eq!(together.executor.plan(plans[0]).words(&Role::Window) > 0, config.data.window > 0);
            let mut all = Vec::new();
            for step in 0..20 {
                let slot = step % 5;
                let first = slot * 20;
                let update = Update { step: step as u64, per_epoch: 20, slot, batch: Batch { first, rows } };
                for phase in (0..2).filter(|&phase| rules[phase].is_due(step as u64)) {
                    let told = vec![scalars_of(&config, &rules[phase], &TrainerState::default(), &update, 0)];
                    alone.run(plans[phase], &told).unwrap();
                    all.push((plans[phase], told));
                }
            }
            let before = together.executor.counts();
            together.run_phases(&all).unwrap();
            let after = together.executor.counts();
            assert_eq!(after.dispatches, alone.executor.counts().dispatches, "{}", alone.executor.name());
            if device > 0 && config.data.window == 0 {
                // Twenty runs of the model, eight to a submission.
                assert_eq!(after.submissions - before.submissions, 3);
            }
            for role in [Role::Parameters, Role::Moment1, Role::Moment2] {
                let [a, b] = [&mut alone, &mut together].map(|session| both(session, &role));
                assert_eq!(a.map(|values| bits(&values)), b.map(|values| bits(&values)), "{role:?}");
            }
        }
    }
}
