//! What makes long runs comfortable: schedules, early stopping, averages, accumulation, time limits, going back.

use crate::program::{TINY, checkpoint, elbo};
use crate::support::{Tolerance, compare, executors};
use elbo::checkpoint::{Checkpoint, load};
use elbo::config::{self, Config, DataConfig};
use elbo::data;
use elbo::error::Error;
use elbo::model::tasks::{EVALUATE, IMPORTANCE, SAMPLE, SCORE};
use elbo::plan::Role;
use elbo::session::{BATCH, Purpose, Session};
use elbo::train::{Epoch, Event, Member, Options, train};
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

const SETTINGS: &[(&str, &str)] = &[
    ("epochs", "3"),
    ("batch", "32"),
    ("latent", "3"),
    ("hidden", "[24]"),
    ("examples", "300"),
    ("validation", "40"),
    ("checkpoint_steps", "3"),
];

fn config(settings: &[(&str, &str)]) -> Config {
    let pairs = SETTINGS.iter().filter(|(key, _)| settings.iter().all(|(other, _)| other != key)).chain(settings);
    let pairs: Vec<_> = pairs.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    config::resolve(None, &pairs).expect("the settings are valid")
}

/// What a run came to: its last checkpoint, what it said, and the session.
struct Outcome {
    last: Checkpoint,
    said: Vec<String>,
    epochs: Vec<Epoch>,
    error: Option<Error>,
    session: Session,
}

/// Trains on the executor of this number in a folder, from where `last` stands if it is given.
fn run_in(
    folder: &Path,
    device: usize,
    config: &Config,
    last: Option<&Checkpoint>,
    deadline: Option<Instant>,
) -> Outcome {
    let data = data::open(config, None).expect("glyphs are drawn");
    let mut session = Session::new(config.clone(), data, executors().swap_remove(device)).unwrap();
    session.plan(Purpose::Train).expect("it fits");
    session.initialise().expect("parameters fit");
    let mut member = Member::new(&session, folder);
    if let Some(last) = last {
        session.restore(0, last).expect("it fits");
        member.progress = last.progress.clone();
    }
    let stop = AtomicBool::new(false);
    let options = Options { stop: &stop, deadline, check_steps: false };
    let (mut said, mut epochs) = (vec![], vec![]);
    let done = train(&mut session, vec![member], &options, &mut |event| {
        match event {
            Event::Back { why, epoch, .. } => said.push(format!("back to {epoch}: {why}")),
            Event::Stopped(_, epoch) => said.push(format!("stopped after {epoch}")),
            Event::Warning(why) => said.push(why),
            Event::Epoch(all) => epochs.extend_from_slice(all),
            _ => {}
        }
        Ok(())
    });
    let last = elbo::checkpoint::load_latest(folder).expect("there is a checkpoint").0;
    Outcome { last, said, epochs, error: done.err(), session }
}

fn run(device: usize, config: &Config) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    run_in(folder.path(), device, config, None, None)
}

fn all(checkpoint: &Checkpoint) -> Vec<f32> {
    checkpoint.parameters.iter().flat_map(|(_, tensor)| tensor.values.iter().copied()).collect()
}

/// Other orders of summation, through a few steps of an optimiser.
const SUMS: Tolerance = Tolerance { nmse: 1e-7, element: 2e-2, absolute: 0.0 };

#[test]
fn a_batch_in_parts_is_the_batch() {
    for device in 0..executors().len() {
        // Plain descent shows a wrong scale, which Adam hides; the last batch of 4 does not divide evenly.
        for settings in [&[("optimizer.kind", "sgd"), ("lr", "1e-3")][..], &[("clip_norm", "20")], &[("ema", "0.9")]] {
            let whole = run(device, &config(settings));
            let parts = run(device, &config(&[settings, &[("accumulate", "8")]].concat()));
            compare(&all(&whole.last), &all(&parts.last), SUMS).unwrap_or_else(|why| panic!("{settings:?}: {why}"));
            assert_eq!(whole.last.progress.step, parts.last.progress.step);
            let best = |outcome: &Outcome| outcome.last.progress.best.expect("an epoch is complete");
            assert!((best(&whole) - best(&parts)).abs() < 1e-2, "{} and {}", best(&whole), best(&parts));
            // What is clipped is the gradient of the batch, and no part of it.
            let told = [&whole, &parts].map(|outcome| outcome.epochs[0].clipped());
            assert!(told.iter().all(|told| told.is_some() == (settings[0].0 == "clip_norm")), "{settings:?}: {told:?}");
            if let [Some([norm, share]), Some([same, other])] = told {
                assert!(norm > 1.0 && (norm - same).abs() < 1e-3 * norm && share == other, "{told:?}");
            }
        }
    }
}

#[test]
fn the_average_is_evaluated_whatever_was_planned_first() {
    for device in 0..executors().len() {
        let config = config(&[("ema", "0.9"), ("epochs", "1")]);
        let folder = tempfile::tempdir().unwrap();
        let saved = run_in(folder.path(), device, &config, None, None).last;
        let evaluated = |first: &[Purpose]| {
            let data = data::open(&config, None).expect("glyphs are drawn");
            let mut session = Session::new(config.clone(), data, executors().swap_remove(device)).unwrap();
            for &purpose in first {
                session.plan(purpose).expect("it fits");
            }
            session.restore(0, &saved).expect("it fits");
            let terms = elbo::eval::terms(&mut session, 0..40).expect("it runs");
            (terms, session.parameters(0).expect("they are there"))
        };
        let [train, evaluate] = [Purpose::Train, Purpose::task(EVALUATE, BATCH)];
        let expected = evaluated(&[evaluate]);
        assert_eq!(expected.1, saved.parameters);
        for first in [&[train][..], &[train, evaluate], &[evaluate, train]] {
            assert_eq!(evaluated(first), expected, "{first:?}");
        }
    }
}

#[test]
fn the_average_is_that_of_the_parameters_after_each_update() {
    for device in 0..executors().len() {
        // One update an epoch, so that the checkpoints between them hold what was trained.
        let settings = &[("batch", "210"), ("ema", "0.6"), ("epochs", "4"), ("checkpoint_steps", "0")];
        let folder = tempfile::tempdir().unwrap();
        let mut expected: Option<Vec<f64>> = None;
        let mut last = None;
        for epoch in 1..=4 {
            let mut config = config(settings);
            config.train.epochs = epoch;
            if let Some(average) = &mut expected {
                let _: &mut Vec<f64> = average;
            } else {
                let data = data::open(&config, None).unwrap();
                let mut session = Session::new(config.clone(), data, executors().swap_remove(device)).unwrap();
                session.plan(Purpose::Train).unwrap();
                session.initialise().unwrap();
                let start = session.parameters(0).unwrap();
                expected = Some(start.iter().flat_map(|(_, t)| t.values.iter().map(|&v| f64::from(v))).collect());
            }
            let outcome = run_in(folder.path(), device, &config, last.as_ref(), None);
            let is_raw = |name: &str| name.starts_with("trained.");
            let raw = outcome.last.moments.iter().filter(|(name, _)| is_raw(name));
            let raw: Vec<f32> = raw.flat_map(|(_, tensor)| tensor.values.iter().copied()).collect();
            let t = f64::from(epoch as u32) - 1.0;
            let decay = 0.6_f64.min((1.0 + t) / (10.0 + t));
            let average = expected.as_mut().unwrap();
            average.iter_mut().zip(&raw).for_each(|(a, &x)| *a = decay * *a + (1.0 - decay) * f64::from(x));
            let average: Vec<f32> = average.iter().map(|&a| a as f32).collect();
            compare(&average, &all(&outcome.last), crate::support::ROUNDING).unwrap_or_else(|why| panic!("{why}"));
            assert_ne!(raw, all(&outcome.last));
            last = Some(outcome.last);
        }
    }
}

#[test]
fn what_is_evaluated_is_the_average() {
    for device in 0..executors().len() {
        let mut outcome = run(device, &config(&[("ema", "0.9"), ("epochs", "1")]));
        let part = outcome.session.data().unwrap().validation.clone();
        let while_training = elbo::eval::terms(&mut outcome.session, part.clone()).unwrap()[0];
        let config = outcome.last.config.clone();
        let data = data::open(&config, None).unwrap();
        let mut session = Session::new(config, data, executors().swap_remove(device)).unwrap();
        session.plan(Purpose::task(EVALUATE, BATCH)).unwrap();
        session.restore(0, &outcome.last).unwrap();
        assert_eq!(elbo::eval::terms(&mut session, part).unwrap()[0], while_training);
    }
}

#[test]
fn a_run_stops_early_and_is_what_it_was_at_its_best() {
    // So large a learning rate that the first epochs are not reached again.
    let settings = &[("epochs", "40"), ("patience", "2"), ("lr", "0.05"), ("checkpoint_steps", "0")];
    for device in 0..executors().len() {
        let folder = tempfile::tempdir().unwrap();
        let mut outcome = run_in(folder.path(), device, &config(settings), None, None);
        let progress = &outcome.last.progress;
        assert!(progress.epoch < 40 && progress.course.stopped, "{progress:?}");
        assert_eq!(outcome.said, [format!("stopped after {}", progress.epoch)]);
        assert_eq!(progress.best_epoch.unwrap() + 2, progress.epoch);
        let (best, _) = elbo::checkpoint::load_result(folder.path()).unwrap();
        assert_eq!(Some(best.progress.epoch), progress.best_epoch);
        assert_eq!(outcome.session.parameters(0).unwrap(), best.parameters);
        assert_ne!(best.parameters, outcome.last.parameters);
        // Nothing is left to do; with more epochs it goes on from its last one.
        let again = run_in(folder.path(), device, &config(settings), Some(&outcome.last), None);
        assert_eq!(again.last, outcome.last);
    }
}

/// The bound of the validation part is what `eval` estimates there, and not the loss of the training part or −ELBO.
#[test]
fn a_run_by_importance_weights_is_judged_by_its_bound() {
    for device in 0..executors().len() {
        for bound in ["iwae", "piwae"] {
            let settings = &[("bound", bound), ("samples", "4"), ("groups", "2"), ("epochs", "2")];
            let settings = if bound == "iwae" { &[&settings[..2], &settings[3..]].concat()[..] } else { settings };
            let config = config(settings);
            let mut outcome = run(device, &config);
            let last = outcome.epochs.last().expect("an epoch is complete").clone();
            let part = outcome.session.data().unwrap().validation.clone();
            let expected = elbo::eval::likelihood(&mut outcome.session, part, 4, 0, &mut |_| {}).unwrap().neg_log_px;
            assert_eq!((last.validation_neg_bound, last.score()), (Some(expected), expected));
            assert!(last.validation.unwrap() > expected && last.neg_bound.unwrap() < last.neg_elbo(), "{last:?}");
            let scores = outcome.epochs.iter().map(Epoch::score);
            assert_eq!(outcome.last.progress.best, scores.min_by(f64::total_cmp));
            let alone = run(device, &Config { data: DataConfig { validation: 0, ..config.data.clone() }, ..config });
            let last = alone.epochs.last().unwrap();
            assert_eq!((last.validation_neg_bound, Some(last.score())), (None, last.neg_bound));
        }
    }
}

/// One update an epoch, so that the epoch's terms are those that the step left in the metrics.
#[test]
fn an_epoch_tells_all_terms_and_what_is_in_force_at_its_end() {
    for device in 0..executors().len() {
        let rising: &[_] = &[("tc", "6"), ("mmd", "5"), ("anneal", "linear"), ("anneal_epochs", "4"), ("beta", "8")];
        let capacity: &[_] = &[
            ("capacity", "20"),
            ("capacity_epochs", "10"),
            ("curve", "steps"),
            ("after", "[2]"),
            ("factors", "[0.5]"),
        ];
        let ciwae: &[_] = &[("bound", "ciwae"), ("samples", "4"), ("share", "0.25")];
        for (settings, names, lr, beta, room) in [
            (rising, &["total correlation", "MMD"][..], [1e-3, 1e-3, 1e-3], Some([0.0, 2.0, 4.0]), None),
            (capacity, &["penalty"], [1e-3, 1e-3, 5e-4], Some([1.0; 3]), Some([0.0, 2.0, 4.0])),
            (ciwae, &["log ratio"], [1e-3, 1e-3, 1e-3], None, None),
        ] {
            let whole = [("batch", "200"), ("validation", "0"), ("examples", "240"), ("lr", "1e-3")];
            let mut outcome = run(device, &config(&[settings, &whole].concat()));
            let plan = outcome.session.plan(Purpose::Train).unwrap();
            let terms = outcome.session.executor.plan(plan).terms.clone();
            let last = outcome.session.read(0, &Role::Metrics, 0, terms.len()).unwrap();
            let told = &outcome.epochs[2].others;
            assert!(told.iter().map(|(name, _)| name).eq(names), "{told:?}");
            for (name, mean) in told {
                let at = terms.iter().position(|term| term == name).unwrap();
                assert!(mean.is_finite() && *mean != 0.0 && *mean == f64::from(last[at]), "{name}: {mean}, {last:?}");
            }
            for (at, epoch) in outcome.epochs.iter().enumerate() {
                let then = |values: Option<[f32; 3]>| values.map(|values| values[at]);
                assert_eq!((epoch.lr, epoch.beta, epoch.capacity), (lr[at], then(beta), then(room)), "{settings:?}");
            }
        }
    }
}

#[test]
fn a_run_shows_further_terms_by_name_also_where_an_older_version_began_it() {
    let folder = tempfile::tempdir().unwrap();
    elbo(folder.path(), &format!("train {TINY} --epochs 2 --set tc=6 --set mmd=5 --out run")).succeeded();
    let path = folder.path().join("run/metrics.csv");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.lines().next().unwrap().ends_with(",elapsed_seconds,total_correlation,mmd,lr,beta"), "{text}");
    let rows = |text: &str| -> Vec<Vec<String>> {
        text.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect()
    };
    let found = rows(&text);
    assert!(found[1..].iter().flat_map(|row| &row[7..]).all(|cell| cell.parse::<f64>().unwrap().is_finite()), "{text}");
    assert_ne!(found[1][7..9], found[2][7..9], "they follow the terms: {text}");
    assert_eq!(found[2][9..], ["0.001", "1"], "{text}");

    // As it was written before there were such columns, and with one that this version does not know.
    let old: String = found.iter().map(|row| row[..7].join(",") + ",own\n").collect();
    fs::write(&path, &old).unwrap();
    elbo(folder.path(), "train --resume run --epochs 4 --adapter cpu").succeeded();
    let new = rows(&fs::read_to_string(&path).unwrap());
    assert_eq!(new[0].join(","), found[0][..7].join(",") + ",own,total_correlation,mmd,lr,beta");
    for (row, old) in new[1..3].iter().zip(old.lines().skip(1)) {
        assert_eq!(row.join(","), format!("{old},,,,"));
    }
    assert!(new.len() == 5 && new.iter().all(|row| row.len() == 12), "{new:?}");
    for row in &new[3..] {
        assert!(row[7].is_empty() && row[8..].iter().all(|cell| cell.parse::<f64>().is_ok()), "{new:?}");
    }
}

#[test]
fn a_loss_that_is_not_finite_leads_back_and_in_the_end_to_a_stop() {
    for device in 0..executors().len() {
        let outcome = run(device, &config(&[("lr", "1e30")]));
        assert_eq!(outcome.said.len(), 3, "{:?}", outcome.said);
        assert!(outcome.said.iter().all(|said| said.starts_with("back to 0: the loss is not finite")));
        assert!(matches!(outcome.error, Some(Error::Diverged(_))), "{:?}", outcome.error);
        assert_eq!(outcome.last.progress.step, 0, "the good checkpoint stands");
        let stopped = run(device, &config(&[("lr", "1e30"), ("not_finite", "stop")]));
        assert!(stopped.said.is_empty() && matches!(stopped.error, Some(Error::Diverged(_))));
    }
}

/// Squared errors by plain descent: from some learning rate on every step overshoots by more than the one before.
#[test]
fn a_run_that_went_back_goes_on_and_always_in_the_same_way() {
    let at = |lr: f32| {
        let lr = lr.to_string();
        config(&[("likelihood", "gaussian"), ("optimizer.kind", "sgd"), ("lr", &lr), ("validation", "0")])
    };
    for power in 0..30 {
        let config = at(1e-6 * 2.0_f32.powi(power));
        let outcome = run(0, &config);
        let course = outcome.last.progress.course;
        if course.rollbacks == 0 && outcome.error.is_none() {
            continue;
        }
        // The first rate that is too large: half of it is not.
        assert_eq!((outcome.error, outcome.last.progress.epoch), (None, 3), "{:?}", outcome.said);
        assert_eq!(outcome.said.len(), course.rollbacks as usize);
        let again = run(0, &config).last;
        assert_eq!((again.parameters, again.progress.course), (outcome.last.parameters, course));
        return;
    }
    panic!("no learning rate is too large");
}

/// Data of which one example is so large that its gradient is not finite.
fn spoiled(device: usize, not_finite: &str) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spoiled.csv");
    let row = |i: usize| format!("{},{}\n", (i as f32).sin(), if i == 17 { 1e25 } else { (i as f32).cos() });
    fs::write(&path, format!("a,b\n{}", (0..120).map(row).collect::<String>())).unwrap();
    let source = path.to_str().unwrap();
    let settings = [
        ("data.source", source),
        ("likelihood", "gaussian"),
        ("data.scale", "none"),
        ("data.shuffle", "false"),
        ("batch", "8"),
        ("validation", "10"),
        ("not_finite", not_finite),
        ("output_bias_from_data", "false"),
        ("latent", "2"),
    ];
    run(device, &config(&settings))
}

#[test]
fn updates_whose_gradient_is_no_number_are_left_out() {
    for device in 0..executors().len() {
        let skipped = spoiled(device, "skip");
        assert_eq!(skipped.error, None);
        let expected: Vec<String> = (1..=3)
            .map(|epoch| format!("epoch {epoch}: the loss of 8 examples is not finite, and they were left out"))
            .collect();
        assert_eq!(skipped.said, expected);
        assert!(all(&skipped.last).iter().all(|value| value.is_finite()));
        assert!(matches!(spoiled(device, "stop").error, Some(Error::Diverged(_))));
    }
}

#[test]
fn when_the_time_is_up_a_run_stops_after_a_checkpoint_and_goes_on_to_the_same_bits() {
    for device in 0..executors().len() {
        let config = config(&[("warmup", "0.5"), ("schedule.curve", "cosine"), ("ema", "0.99"), ("accumulate", "2")]);
        let whole = run(device, &config);
        let folder = tempfile::tempdir().unwrap();
        let (mut last, mut sittings) = (None, 0);
        loop {
            // The time is up at once: every sitting takes the portion that it began.
            let outcome = run_in(folder.path(), device, &config, last.as_ref(), Some(Instant::now()));
            let finished = outcome.error.is_none();
            if let Some(error) = outcome.error {
                assert!(matches!(&error, Error::Interrupted(why) if why.starts_with("the time is up")), "{error}");
            }
            (last, sittings) = (Some(outcome.last), sittings + 1);
            if finished {
                break;
            }
        }
        let (mut last, mut whole) = (last.unwrap(), whole.last);
        (last.progress.elapsed_seconds, whole.progress.elapsed_seconds) = (0.0, 0.0);
        assert!(sittings >= 3, "{sittings}");
        assert!(last == whole, "in {sittings} sittings");
    }
}

#[test]
fn a_plateau_lowers_the_learning_rate_and_remembers_it() {
    let settings = &[("epochs", "20"), ("lr", "0.05"), ("schedule.curve", "plateau"), ("wait", "1")];
    let outcome = run(0, &config(settings));
    let course = outcome.last.progress.course;
    assert!(course.reductions > 0 && course.reduced_after > 0, "{course:?}");
    let constant = run(0, &config(&[("epochs", "20"), ("lr", "0.05")]));
    assert_ne!(all(&constant.last), all(&outcome.last));
}

#[test]
fn members_stop_early_each_by_itself_and_are_what_they_would_be_alone() {
    let folder = tempfile::tempdir().unwrap();
    let common = format!("train {TINY} --epochs 30 --lr 0.05 --set patience=2 --set validation=40");
    elbo(folder.path(), &format!("{common} --seeds 3 --out sweep")).succeeded();
    for (seed, member) in [(0, "member-00"), (1, "member-01"), (2, "member-02")] {
        elbo(folder.path(), &format!("{common} --seed {seed} --out alone-{seed}")).succeeded();
        let of = |run: &str, pointer: &str| load(&checkpoint(&folder.path().join(run), pointer)).unwrap();
        let (alone, beside) = (format!("alone-{seed}"), format!("sweep/{member}"));
        for pointer in ["last", "best"] {
            let (alone, beside) = (of(&alone, pointer), of(&beside, pointer));
            assert_eq!(alone.parameters, beside.parameters, "{pointer} of {member}");
            assert_eq!(alone.progress.course, beside.progress.course);
        }
        assert!(of(&beside, "last").progress.course.stopped);
    }
    let said = elbo(folder.path(), "train --resume sweep --adapter cpu").succeeded();
    assert!(said.err.contains("stopped early"), "{said:?}");
}

#[test]
fn commands_take_the_best_checkpoint_of_a_run_that_stopped_early() {
    let folder = tempfile::tempdir().unwrap();
    let line = format!("train {TINY} --epochs 30 --lr 0.05 --set patience=2 --set validation=40 --out run");
    let said = elbo(folder.path(), &line).succeeded();
    assert!(said.err.contains("stopped early after epoch"), "{said:?}");
    let test = said.out.lines().find(|line| line.starts_with("test")).expect("the result on the test part").to_owned();
    let elbo_of = |text: &str| text.rsplit("-ELBO ").next().unwrap().split(' ').next().unwrap().to_owned();
    let eval = |run: &str| elbo(folder.path(), &format!("eval {run} --json --adapter cpu")).succeeded().out;
    let value: serde_json::Value = serde_json::from_str(&eval("run")).unwrap();
    assert_eq!(format!("{:.2}", value["neg_elbo"].as_f64().unwrap()), elbo_of(&test));
    assert_eq!(eval("run"), eval("run/checkpoints/best"));
    assert_ne!(eval("run"), eval("run/checkpoints/last"));
    // Without patience the run folder means the last epoch, and the best one is a checkpoint in it.
    let epochs = said.err.split("stopped early after epoch ").nth(1).unwrap().split(':').next().unwrap().to_owned();
    let line = format!("train {TINY} --epochs {epochs} --lr 0.05 --set validation=40 --out whole");
    let whole = elbo(folder.path(), &line).succeeded();
    let last = format!("last     epoch {epochs}; epoch ");
    assert!(said.err.contains("best     epoch ") && !said.err.contains("last     "), "{said:?}");
    assert!(whole.err.contains(&last) && !whole.err.contains("best     epoch"), "{whole:?}");
}

#[test]
fn time_limits_that_make_no_sense_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for time in ["0s", "90", "1w"] {
        let said = elbo(folder.path(), &format!("train {TINY} --max-time {time}"));
        assert!(said.code == Some(2) && said.err.contains("90s, 30m"), "{said:?}");
    }
    let said = elbo(folder.path(), &format!("train {TINY} --epochs 100000 --max-time 0.2s --out run"));
    assert_eq!(said.code, Some(130), "{said:?}");
    assert!(said.err.lines().any(|line| line.starts_with("the time is up: stopped after")), "{said:?}");
}

#[test]
fn epochs_are_compared_by_what_the_user_names() {
    let folder = tempfile::tempdir().unwrap();
    for (monitor, beta, score) in [
        ("rate", 1.0, [0.0, 1.0]),
        ("distortion", 1.0, [1.0, 0.0]),
        ("objective", 4.0, [1.0, 4.0]),
        ("elbo", 4.0, [1.0, 1.0]),
    ] {
        let line =
            format!("train {TINY} --epochs 6 --lr 0.01 --beta {beta} --set train.monitor={monitor} --out {monitor}");
        let said = elbo(folder.path(), &line).succeeded();
        assert_eq!(
            said.err.contains("`--set train.monitor=objective` follows that one"),
            monitor == "elbo" && beta > 1.0
        );
        let run = folder.path().join(monitor);
        let text = fs::read_to_string(run.join("metrics.csv")).unwrap();
        let cells = |line: &str| -> Vec<f64> { line.split(',').take(3).map(|cell| cell.parse().unwrap()).collect() };
        let scores = text.lines().skip(1).map(cells).map(|row| (row[0], score[0] * row[1] + score[1] * row[2]));
        let (epoch, best) = scores.min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
        let kept = load(&checkpoint(&run, "best")).unwrap().progress;
        assert_eq!(f64::from(kept.epoch), epoch, "{monitor}: {text}");
        assert!((kept.best.unwrap() - best).abs() < 1e-9 * best.abs(), "{monitor}: {:?} is not {best}", kept.best);
    }
}

#[test]
fn a_learning_rate_that_is_lowered_leaves_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let steps = "--set schedule.curve=steps --set schedule.milestones=[1] --set schedule.gamma=[0.1]";
    let said = elbo(folder.path(), &format!("train {TINY} --epochs 3 {steps} --out run")).succeeded();
    assert!(said.err.contains("learning rate 0.001 -> 0.0001 in epoch 2"), "{said:?}");
    assert_eq!(said.err.matches("learning rate 0").count(), 1, "{said:?}");
}

#[test]
fn members_whose_latents_say_nothing_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let line = format!("train {TINY} --batch 10 --epochs 21 --lr 0.003 --set beta=[1,1000] --out run");
    let said = elbo(folder.path(), &line.replace("--batch 50 ", "")).succeeded();
    assert!(said.err.contains("the rate of 1 of 2 members is below 0.1 nats (member-01 "), "{said:?}");
}

#[test]
fn settings_of_nothing_through_public_fields_are_errors() {
    type Change = fn(&mut Config);
    let changes: [(&str, Change); 7] = [
        ("objective.samples", |config| config.objective.samples = 0),
        ("objective.groups", |config| config.objective.groups = 0),
        ("objective.free_group", |config| config.objective.free_group = 0),
        ("train.epochs", |config| config.train.epochs = 0),
        ("train.batch", |config| config.train.batch = 0),
        ("train.accumulate", |config| config.train.accumulate = 0),
        ("schedule.wait", |config| config.schedule.wait = 0),
    ];
    for (key, change) in changes {
        let config = config(&[]);
        let data = data::open(&config, None).unwrap();
        let mut session = Session::new(config, data, executors().swap_remove(0)).unwrap();
        change(&mut session.config);
        let error = session.plan(Purpose::Train).expect_err(key);
        assert!(error.exit_code() == 2 && error.to_string().contains(key), "{key}: {error}");
    }
    let config = config(&[]);
    let data = data::open(&config, None).unwrap();
    let mut session = Session::new(config, data, executors().swap_remove(0)).unwrap();
    for purpose in [
        Purpose::task(EVALUATE, 0),
        Purpose::samples(IMPORTANCE, 8, 0),
        Purpose::samples(SCORE, 0, 8),
        Purpose::task(SAMPLE, 0),
    ] {
        assert_eq!(session.plan(purpose).expect_err("of nothing").exit_code(), 2, "{purpose:?}");
    }
    let none = elbo::eval::likelihood(&mut session, 0..4, 0, 0, &mut |_| {});
    assert_eq!(none.expect_err("of no samples").exit_code(), 2);
}
