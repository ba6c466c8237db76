//! What models are trained by: each objective beside the others, and its refusals.

use crate::program::{TINY, elbo};
use crate::support::{ROUNDING, Tolerance, compare, executors};
use elbo::checkpoint::TrainerState;
use elbo::config;
use elbo::data;
use elbo::data::batches::Batch;
use elbo::plan::Role;
use elbo::session::{Purpose, Session};
use elbo::train::{Update, scalars};

const SETTINGS: &[(&str, &str)] =
    &[("batch", "20"), ("latent", "4"), ("hidden", "[12]"), ("examples", "120"), ("lr", "1e-3"), ("seed", "3")];

/// The gradient of the first step for encoder and decoder, and the terms of the loss, on the executor of this number.
fn step(device: usize, settings: &[(&str, &str)], rows: usize) -> ([Vec<f32>; 2], Vec<f32>) {
    let pairs = SETTINGS.iter().chain(settings).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let config = config::resolve(None, &pairs.collect::<Vec<_>>()).expect("the settings are valid");
    let data = data::open(&config, None).expect("glyphs are drawn");
    let mut session = Session::new(config.clone(), data, executors().swap_remove(device)).unwrap();
    let plan = session.plan(Purpose::Train).expect("it fits");
    session.initialise().expect("it fits");
    session.set_order(&(0..20).collect::<Vec<_>>()).expect("it fits");
    let update = Update { step: 7, per_epoch: 10, slot: 0, batch: Batch { first: 0, rows } };
    session.run(plan, &[scalars(&config, &TrainerState::default(), &update, 0)]).expect("it runs");
    let gradients = ["encoder", "decoder"].map(|of| {
        let ranges = session.ranges().into_iter().filter(|range| range.name.starts_with(of)).collect::<Vec<_>>();
        let read = |range: &elbo::plan::ParameterSlot| {
            session.read(0, &Role::Gradients, range.offset, range.count()).expect("the gradient is there")
        };
        ranges.iter().flat_map(read).collect::<Vec<f32>>()
    });
    let terms = session.executor.plan(plan).terms.len();
    let terms = session.read(0, &Role::Metrics, 0, terms).expect("the metrics are there");
    assert!(gradients.iter().all(|gradient| gradient.iter().any(|value| *value != 0.0)));
    (gradients, terms)
}

/// Sums of many samples in other orders.
const SUMS: Tolerance = Tolerance { nmse: 1e-9, element: 1e-3, absolute: 0.0 };

#[track_caller]
fn same(a: &[f32], b: &[f32], what: &str) {
    compare(a, b, SUMS).unwrap_or_else(|why| panic!("{what}: {why}"));
}

#[test]
fn the_family_of_importance_weighted_bounds_is_one() {
    for device in 0..executors().len() {
        for (rows, above) in [(20, "[]"), (13, "[]"), (13, "[5-3]")] {
            let of = |bound, groups| {
                let share = if bound == "ciwae" { "0.25" } else { "0.5" };
                let settings = [("bound", bound), ("samples", "6"), ("groups", groups), ("share", share)];
                step(device, &[&settings[..], &[("above", above)]].concat(), rows)
            };
            let (iwae, terms) = of("iwae", "1");
            let (miwae, _) = of("miwae", "2");
            let (piwae, _) = of("piwae", "2");
            let (alone, each) = of("miwae", "6");
            let (ciwae, _) = of("ciwae", "1");
            same(&iwae[1], &piwae[1], "the decoder of PIWAE follows IWAE");
            same(&miwae[0], &piwae[0], "the encoder of PIWAE follows MIWAE");
            for part in [0, 1] {
                let mixed: Vec<f32> = iwae[part].iter().zip(&alone[part]).map(|(i, v)| 0.75 * i + 0.25 * v).collect();
                same(&mixed, &ciwae[part], "CIWAE is between ELBO and IWAE");
                assert!(compare(&iwae[part], &miwae[part], SUMS).is_err(), "groups make a difference");
            }
            // Distortion and rate are those of the ELBO whatever is optimised; more samples are a tighter bound.
            assert_eq!(terms[..2], each[..2]);
            assert!(terms[2] < each[2], "{terms:?} and {each:?}");
        }
    }
}

#[test]
fn one_sample_is_the_elbo_in_expectation_and_several_average_the_distortion() {
    let (_, one) = step(0, &[("bound", "iwae")], 20);
    let (_, elbo) = step(0, &[], 20);
    assert_eq!(one[..2], elbo[..2]);
    let ((many, terms), (same, _)) =
        (step(0, &[("samples", "64")], 20), step(0, &[("bound", "miwae"), ("samples", "64"), ("groups", "64")], 20));
    assert!((terms[0] - elbo[0]).abs() < 10.0, "{terms:?} and {elbo:?}");
    // The log ratio of many samples is near the KL that is known in closed form.
    compare(&many[1], &same[1], ROUNDING).unwrap();
    compare(&many[0], &same[0], Tolerance { nmse: 0.05, element: 2.0, absolute: 0.0 }).unwrap();
}

#[test]
fn free_bits_and_capacity_change_the_gradient_of_the_encoder_alone() {
    for device in 0..executors().len() {
        let (plain, terms) = step(device, &[], 13);
        for (settings, as_plain) in [
            // Below every rate, above all, and above that of one group at least.
            (&[("free_bits", "1e-9")][..], true),
            (&[("free_bits", "1000")], false),
            (&[("free_bits", "0.06"), ("free_group", "2")], false),
            // The capacity at step 7 of 10 of its only epoch.
            (&[("capacity", "1e-9")], true),
            (&[("capacity", "100"), ("capacity_epochs", "1")], false),
        ] {
            let (shaped, found) = step(device, settings, 13);
            same(&plain[1], &shaped[1], "the decoder");
            assert_eq!(compare(&plain[0], &shaped[0], SUMS).is_ok(), as_plain, "{settings:?}");
            assert_eq!(found[..2], terms[..2], "{settings:?}");
            if settings[0].0 == "capacity" && !as_plain {
                assert!((found[2] - (70.0 - terms[1])).abs() < 1e-3, "{found:?}");
            }
            if settings[0].1 == "1000" {
                assert!((found[2] - 4000.0).abs() < 1e-2, "{found:?}");
            }
        }
    }
}

#[test]
fn a_summed_gradient_is_the_mean_times_the_examples() {
    for bound in ["elbo", "iwae"] {
        let (mean, terms) = step(0, &[("bound", bound)], 13);
        let (sum, same_terms) = step(0, &[("bound", bound), ("optimizer.gradient", "sum")], 13);
        assert_eq!(terms, same_terms);
        for (mean, sum) in mean.iter().zip(&sum) {
            let times: Vec<f32> = mean.iter().map(|value| 13.0 * value).collect();
            same(&times, sum, bound);
        }
    }
}

#[test]
fn every_objective_trains_saves_resumes_and_is_evaluated_alike() {
    let folder = tempfile::tempdir().unwrap();
    for (at, settings) in [
        "--set bound=iwae --set samples=5",
        "--set bound=miwae --set samples=6 --set groups=2",
        "--set bound=piwae --set samples=6 --set groups=3",
        "--set bound=ciwae --set samples=4 --set share=0.3",
        "--set free_bits=0.1",
        "--set capacity=5 --set capacity_epochs=2 --beta 10",
        "--set tc=6",
        "--set tc=6 --set capacity=5 --set capacity_epochs=2 --set mmd=3",
        "--set mmd=10 --beta 0",
        "--set anneal=linear --set anneal_epochs=1.5",
        "--set anneal=cyclical --set anneal_epochs=1",
    ]
    .into_iter()
    .enumerate()
    {
        let run = |out: &str, epochs: usize| format!("train {TINY} {settings} --epochs {epochs} --out {out}-{at}");
        elbo(folder.path(), &run("whole", 2)).succeeded();
        elbo(folder.path(), &run("parts", 1)).succeeded();
        elbo(folder.path(), &format!("train --resume parts-{at} --adapter cpu --epochs 2")).succeeded();
        let eval = |out: &str| elbo(folder.path(), &format!("eval {out}-{at} --json --adapter cpu")).succeeded().out;
        assert_eq!(eval("whole"), eval("parts"), "{settings}");
        let value: serde_json::Value = serde_json::from_str(&eval("whole")).unwrap();
        let [distortion, rate, sum] = ["distortion", "rate", "neg_elbo"].map(|key| value[key].as_f64().unwrap());
        assert!((distortion + rate - sum).abs() < 1e-6, "{settings}");
    }
}

#[test]
fn objectives_that_make_no_sense_are_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    for (settings, culprit) in [
        ("--set bound=iwae --set samples=0", "objective.samples = 0"),
        ("--set bound=miwae --set samples=5 --set groups=2", "objective.groups = 2"),
        ("--set bound=iwae --set samples=4 --set groups=2", "miwae or piwae"),
        ("--set bound=iwae --set free_bits=1", "objective.free_bits = 1"),
        ("--set bound=iwae --beta 2", "objective.beta = 2"),
        ("--set bound=vimco", "elbo, iwae, miwae, piwae, ciwae"),
        ("--set free_bits=1 --set capacity=1", "objective.capacity = 1"),
        ("--set free_group=3 --latent 4", "a divisor of model.latent = 4"),
        ("--set tc=2 --set samples=3", "objective.samples = 3"),
        ("--set bound=iwae --set mmd=3", "objective.mmd = 3"),
        ("--set curve=steps", "schedule.milestones"),
        ("--set accumulate=3", "a divisor of train.batch = 50"),
        ("--set accumulate=2 --set free_bits=1", "train.accumulate = 2"),
    ] {
        elbo(
            folder.path(),
            &format!("train {TINY} {settings}")
                .replace("--latent 2 ", if settings.contains("latent") { "" } else { "--latent 2 " }),
        )
        .failed(2, culprit);
        assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "{settings}");
    }
}

#[test]
fn latents_that_are_pulled_towards_the_prior_as_a_whole_get_there() {
    let folder = tempfile::tempdir().unwrap();
    // Without any rate nothing holds the latents together; the discrepancy to the prior does.
    let train = |settings: &str, out: &str| {
        elbo(folder.path(), &format!("train {TINY} --epochs 30 --lr 0.01 --beta 0 {settings} --out {out}")).succeeded();
        elbo(folder.path(), &format!("embed {out} --part train --out {out}.csv --adapter cpu")).succeeded();
        let text = std::fs::read_to_string(folder.path().join(format!("{out}.csv"))).unwrap();
        let column = text.lines().next().unwrap().split(',').position(|name| name.contains('0')).unwrap();
        let values: Vec<f64> =
            text.lines().skip(1).map(|l| l.split(',').nth(column).unwrap().parse().unwrap()).collect();
        values.iter().map(|value| value * value).sum::<f64>() / values.len() as f64
    };
    let (free, held) = (train("", "free"), train("--set mmd=1000", "held"));
    assert!(held < 0.5 * free && held < 3.0, "mean squares of the latents: {free} and {held}");
}
