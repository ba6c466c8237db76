//! Priors beside N(0, 1): the same numbers where they are the same distribution, and every command with each.

use crate::program::{TINY, elbo};
use crate::support::{Tolerance, compare, executors};
use elbo::checkpoint::Course;
use elbo::data::batches::Batch;
use elbo::model::prior::PRIORS;
use elbo::plan::Role;
use elbo::session::{Purpose, Session};
use elbo::train::{Update, scalars};
use elbo::{config, data, eval};
use serde_json::Value;

const SETTINGS: &[(&str, &str)] =
    &[("batch", "20"), ("latent", "4"), ("hidden", "[12]"), ("examples", "120"), ("seed", "3")];

/// Other formulas of the same numbers.
const ROUNDING: Tolerance = Tolerance { nmse: 1e-9, element: 1e-4, absolute: 0.0 };

fn session(device: usize, settings: &[(&str, &str)]) -> Session {
    let all = SETTINGS.iter().chain(settings).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let config = config::resolve(None, &all.collect::<Vec<_>>()).expect("the settings are valid");
    let data = data::open(&config, None).expect("glyphs are drawn");
    Session::new(config, data, executors().swap_remove(device)).unwrap()
}

/// Terms of the first step and the gradient of encoder and decoder.
fn step(session: &mut Session) -> (Vec<f32>, Vec<f32>) {
    let plan = session.plan(Purpose::Train).expect("it fits");
    session.initialise().expect("it fits");
    session.set_order(&(0..20).collect::<Vec<_>>()).expect("it fits");
    let update = Update { step: 7, per_epoch: 10, slot: 0, batch: Batch { first: 0, rows: 13 } };
    let scalars = scalars(&session.config, &Course::default(), &update, 0);
    session.run(plan, &[scalars]).expect("it runs");
    let ranges: Vec<_> = session.ranges().into_iter().filter(|range| !range.name.starts_with("prior")).collect();
    let read = |range: &elbo::plan::Range| {
        session.read(0, &Role::Gradients, range.offset, range.count()).expect("the gradient is there")
    };
    let gradient = ranges.iter().flat_map(read).collect();
    let terms = session.executor.plan(plan).terms.len();
    (session.read(0, &Role::Metrics, 0, terms).expect("the metrics are there"), gradient)
}

#[test]
fn a_prior_that_starts_as_the_standard_one_has_its_numbers() {
    for device in 0..executors().len() {
        let piwae = &[("bound", "piwae"), ("samples", "4"), ("groups", "2")][..];
        for settings in [&[][..], piwae, &[("bound", "iwae"), ("samples", "3")], &[("above", "[6-2]")], &[("mmd", "5")]]
        {
            let (terms, gradient) = step(&mut session(device, settings));
            for prior in PRIORS {
                let settings = [settings, &[("prior", prior.kind.word())]].concat();
                let (found, of_found) = step(&mut session(device, &settings));
                for (what, expected, found) in [("terms", &terms, &found), ("gradient", &gradient, &of_found)] {
                    compare(expected, found, ROUNDING).unwrap_or_else(|why| panic!("{what} of {settings:?}: {why}"));
                }
            }
        }
    }
}

#[test]
fn a_learned_normal_prior_has_the_rates_and_draws_of_its_parameters() {
    let mut session = session(0, &[("prior", "gaussian")]);
    session.plan(Purpose::Sample(128)).expect("it fits");
    session.initialise().expect("it fits");
    let (mean, log_variance) = ([1.0_f32, -2.0, 0.0, 0.5], [0.5_f32, -1.0, 0.0, 1.0]);
    for (name, values) in [("prior.mean", mean), ("prior.log_variance", log_variance)] {
        let range = session.ranges().into_iter().find(|range| range.name == name).expect("it has one");
        session.executor.write_f32(&Role::Parameters, range.offset, &values).expect("it fits");
    }
    let summary = eval::summary(&mut session, 0..100, 1).expect("it runs");
    let posterior = session.encode(&(0..100).collect::<Vec<_>>(), 1).expect("it runs");
    let mut expected = [0.0_f64; 4];
    for (at, (&mu, &l)) in posterior.means.iter().zip(&posterior.log_variances).enumerate() {
        let (m, v) = (f64::from(mean[at % 4]), f64::from(log_variance[at % 4]));
        let (mu, ratio) = (f64::from(mu), f64::from(l) - v);
        expected[at % 4] += 0.5 * (ratio.exp() + (mu - m).powi(2) * (-v).exp() - 1.0 - ratio) / 100.0;
    }
    for (found, of) in [(summary.rates, "eval"), (posterior.rates(), "encode")] {
        let [expected, found] = [&expected[..], &found].map(|all| all.iter().map(|&x| x as f32).collect::<Vec<_>>());
        compare(&expected, &found, ROUNDING).unwrap_or_else(|why| panic!("{of}: {why}"));
    }
    assert!((summary.terms.rate - expected.iter().sum::<f64>()).abs() < 1e-3, "{:?}", summary.terms);
    // Many samples of each example are worth the same whichever way the rate is computed: the bound is no better than −log p.
    let likelihood = eval::likelihood(&mut session, 0..20, 2000, 1, &mut |_| {}).expect("it runs");
    let terms = eval::summary(&mut session, 0..20, 1).expect("it runs").terms;
    assert!(likelihood.neg_log_px < terms.neg_elbo() + 0.5, "{likelihood:?} {terms:?}");
    let z: Vec<f32> = (0..16)
        .flat_map(|run| {
            let plan = session.plan(Purpose::Sample(128)).expect("it fits");
            let scalars = session.scalars(run, elbo::rng::Stream::Prior, 0, 128);
            session.run(plan, &[scalars]).expect("it runs");
            session.read(0, &Role::Output("z".into()), 0, 128 * 4).expect("it is there")
        })
        .collect();
    for d in 0..4 {
        let of: Vec<f64> = z.iter().skip(d).step_by(4).map(|&z| f64::from(z)).collect();
        let average = of.iter().sum::<f64>() / of.len() as f64;
        let variance = of.iter().map(|z| (z - average).powi(2)).sum::<f64>() / of.len() as f64;
        let (m, v) = (f64::from(mean[d]), f64::from(log_variance[d]).exp());
        let error = (v / of.len() as f64).sqrt();
        assert!((average - m).abs() < 5.0 * error && (variance / v - 1.0).abs() < 0.16, "{d}: {average} {variance}");
    }
}

#[test]
fn commands_know_the_prior_or_refuse_it_in_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &str| elbo(folder.path(), arguments);
    run(&format!("train {TINY} --set prior=gaussian --lr 1e-2 --epochs 2 --out run")).succeeded();
    let text = run("eval run --adapter cpu --samples 20 --json").succeeded().out;
    let found: Value = serde_json::from_str(&text).unwrap();
    let of = |key: &str| found[key].as_f64().unwrap_or_else(|| panic!("{key}: {found}"));
    assert!(of("neg_log_px") < of("neg_elbo") && of("rate") > 0.0, "{found}");
    run("sample run --adapter cpu -n 4 --out s.png").succeeded();
    run("reconstruct run --adapter cpu --out r.png").succeeded();
    run("embed run --adapter cpu --out z.npy").succeeded();
    run("score run --adapter cpu --data glyphs --samples 4 --out s.csv").succeeded();
    run("interpolate run --adapter cpu --out i.png").succeeded();
    run("interpolate run --adapter cpu --path spherical").failed(2, "model.prior = gaussian");
    run("train --resume run --epochs 3 --adapter cpu").succeeded();
    run(&format!("train {TINY} --set prior=gaussian --set above=[6-2] --epochs 1 --out above")).succeeded();
    run("eval above --adapter cpu").succeeded();
    run("embed above --adapter cpu --out a.npy").succeeded();
    run("traverse run --adapter cpu").failed(2, "model.prior = gaussian");
    run("export run --format onnx --out o").failed(2, "model.prior = gaussian");
    run(&format!("train {TINY} --set prior=gaussian --set free_bits=0.1 --out f")).failed(2, "objective.free_bits");
    run(&format!("train {TINY} --set prior=cauchy --out f")).failed(2, "model.prior");
}
