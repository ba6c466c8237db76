//! Priors beside N(0, 1): the same numbers where they are the same distribution, and every command with each.

use crate::program::{TINY, elbo};
use crate::support::{Tolerance, compare, computed, executors, log_determinants};
use elbo::checkpoint::TrainerState;
use elbo::data::batches::Batch;
use elbo::model::Model;
use elbo::model::prior::{PRIORS, Prior, flow};
use elbo::model::tasks::{EVALUATE, SAMPLE};
use elbo::plan::Role;
use elbo::rng::{Philox, Stream};
use elbo::session::{Purpose, Session};
use elbo::train::{Update, scalars};
use elbo::{config, data, eval};
use serde_json::Value;

const SETTINGS: &[(&str, &str)] =
    &[("batch", "20"), ("latent", "4"), ("hidden", "[12]"), ("examples", "120"), ("seed", "3")];

/// Other formulas of the same numbers.
const ROUNDING: Tolerance = Tolerance { nmse: 1e-9, element: 1e-4, absolute: 0.0 };

fn session(device: usize, settings: &[(&str, &str)]) -> Session {
    let usual = SETTINGS.iter().filter(|(key, _)| settings.iter().all(|(other, _)| other != key));
    let all = usual.chain(settings).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let config = config::resolve(None, &all.collect::<Vec<_>>()).expect("the settings are valid");
    let data = data::open(&config, None).expect("glyphs are drawn");
    Session::new(config, data, executors().swap_remove(device)).unwrap()
}

/// The model of these settings on the glyphs.
pub fn model(settings: &[(&str, &str)]) -> Model {
    session(0, settings).model
}

/// Terms of the first step and the gradient of encoder and decoder, by name.
fn step(session: &mut Session) -> (Vec<f32>, Vec<f32>) {
    let plan = session.plan(Purpose::Train).expect("it fits");
    session.initialise().expect("it fits");
    session.set_order(&(0..20).collect::<Vec<_>>()).expect("it fits");
    let update = Update { step: 7, per_epoch: 10, slot: 0, batch: Batch { first: 0, rows: 13 } };
    let scalars = scalars(&session.config, &TrainerState::default(), &update, 0);
    session.run(plan, &[scalars]).expect("it runs");
    let ranges: Vec<_> = session.ranges().into_iter().filter(|range| !range.name.starts_with("prior")).collect();
    let read = |range: &elbo::plan::ParameterSlot| {
        session.read(0, &Role::Gradients, range.offset, range.count()).expect("the gradient is there")
    };
    let gradient = ranges.iter().flat_map(read).collect();
    let terms = session.executor.plan(plan).terms.len();
    (session.read(0, &Role::Metrics, 0, terms).expect("the metrics are there"), gradient)
}

/// Whether the loss is made of importance weights, which have no closed form of any prior.
fn is_weighted(settings: &[(&str, &str)]) -> bool {
    settings.iter().any(|(key, _)| *key == "bound")
}

#[test]
fn a_prior_that_starts_as_the_standard_one_has_its_numbers() {
    for device in 0..executors().len() {
        let piwae = &[("bound", "piwae"), ("samples", "4"), ("groups", "2")][..];
        for settings in [&[][..], piwae, &[("bound", "iwae"), ("samples", "3")], &[("above", "[6-2]")], &[("mmd", "5")]]
        {
            let (terms, gradient) = step(&mut session(device, settings));
            // Pseudo-inputs are no N(0, 1), nor is a Laplace distribution.
            let can = |prior: &&&Prior| !prior.encoded && prior.kind != config::Prior::Laplace;
            for prior in PRIORS.iter().filter(can) {
                let closed = prior.kl.is_some() || prior.kind == config::Prior::Standard;
                if !closed && !is_weighted(settings) {
                    continue;
                }
                let settings = [settings, &[("prior", prior.kind.word()), ("prior_components", "1")]].concat();
                let (mut found, of_found) = step(&mut session(device, &settings));
                // What is reported beside the bound: the rate has a closed form or is that of the samples.
                found[1] = if closed { found[1] } else { terms[1] };
                for (what, expected, found) in [("terms", &terms, &found), ("gradient", &gradient, &of_found)] {
                    compare(expected, found, ROUNDING).unwrap_or_else(|why| panic!("{what} of {settings:?}: {why}"));
                }
            }
        }
    }
}

/// Every tensor of the prior away from where it starts, by normal deviates.
fn disturb(session: &mut Session, by: f32) {
    let mut random = Philox::new(9, Stream::Choice, 0, 0);
    for range in session.ranges().into_iter().filter(|range| range.name.starts_with("prior")) {
        let start = session.read(0, &Role::Parameters, range.offset, range.count()).expect("it is there");
        let moved: Vec<f32> = start.iter().map(|value| value + by * random.normal()).collect();
        session.executor.write_f32(&Role::Parameters, range.offset, &moved).expect("it fits");
    }
}

/// Settings of each prior with more than a closed form, and of each posterior.
const PARTS: [&[(&str, &str)]; 9] = [
    &[("prior", "mixture"), ("prior_components", "5"), ("prior_weights", "learned")],
    &[("prior", "vamp"), ("prior_components", "7")],
    &[("prior", "flow"), ("prior_layers", "3"), ("prior_width", "6")],
    &[("posterior", "full")],
    &[("posterior", "planar"), ("posterior_layers", "3")],
    &[("posterior", "iaf"), ("posterior_width", "6")],
    &[("prior", "vamp"), ("prior_components", "20"), ("posterior", "iaf"), ("posterior_width", "6"), ("bound", "iwae")],
    &[("prior", "laplace")],
    &[("prior", "energy"), ("prior_layers", "2"), ("prior_width", "6"), ("prior_steps", "3")],
];

#[test]
fn devices_and_the_cpu_engine_agree_on_every_prior_and_posterior() {
    for settings in PARTS {
        let of = |device: usize| {
            let mut session = session(device, settings);
            session.plan(Purpose::Train).expect("it fits");
            session.initialise().expect("it fits");
            disturb(&mut session, 0.1);
            let (terms, gradient) = step(&mut session);
            let samples = session.sample(9, 4).expect("it fits");
            let summary = eval::summary(&mut session, 0..30, 1).expect("it runs");
            let (rate, mmd) = (summary.terms.rate as f32, summary.aggregate.mmd as f32);
            let likelihood = eval::likelihood(&mut session, 0..6, 30, 1, &mut |_| {}).expect("it runs");
            vec![terms, gradient, samples, vec![rate, mmd, likelihood.neg_log_px as f32]]
        };
        let expected = of(0);
        for device in 1..executors().len() {
            for (expected, found) in expected.iter().zip(of(device)) {
                compare(expected, &found, ROUNDING).unwrap_or_else(|why| panic!("{settings:?}: {why}"));
            }
        }
    }
}

/// log N(z; mean, exp lv) of independent dimensions.
fn log_normal(z: &[f32], mean: &[f32], log_variance: &[f32]) -> f64 {
    let term = |((z, mean), lv): ((&f32, &f32), &f32)| {
        let (distance, lv) = (f64::from(*z) - f64::from(*mean), f64::from(*lv));
        -0.5 * (distance.powi(2) * (-lv).exp() + lv + (2.0 * std::f64::consts::PI).ln())
    };
    z.iter().zip(mean).zip(log_variance).map(term).sum()
}

#[test]
fn the_density_of_a_mixture_is_that_of_its_formula() {
    let (count, latent, rows) = (5, 3, 6);
    let mut random = Philox::new(2, Stream::Choice, 0, 0);
    let mut draw = |count: usize, scale: f32| -> Vec<f32> { (0..count).map(|_| scale * random.normal()).collect() };
    let [mean, lv, logits, z] =
        [draw(count * latent, 2.0), draw(count * latent, 1.0), draw(count, 1.0), draw(rows * latent, 2.0)];
    let total: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
    let expected = |weights: &[f32], total: f64| -> Vec<f32> {
        let of_row = |z: &[f32]| {
            let part = |k: usize| {
                let [mean, lv] = [&mean, &lv].map(|of| &of[k * latent..][..latent]);
                f64::from(weights[k]).exp() / total * log_normal(z, mean, lv).exp()
            };
            (0..count).map(part).sum::<f64>().ln() as f32
        };
        z.chunks_exact(latent).map(of_row).collect()
    };
    // What an encoder puts out for pseudo-inputs: mean and log-variance side by side.
    let stats: Vec<f32> =
        mean.chunks_exact(latent).zip(lv.chunks_exact(latent)).flat_map(|(mean, lv)| [mean, lv].concat()).collect();
    let (square, wide, row) = ([count, latent], [count, 2 * latent], [1, count]);
    let of_rows = [rows, latent];
    let of_z = ("z", &of_rows[..], &z[..]);
    let [of_mean, of_lv] = [("mean", &square[..], &mean[..]), ("log-variance", &square[..], &lv[..])];
    let [of_stats, of_logits] = [("stats", &wide[..], &stats[..]), ("logits", &row[..], &logits[..])];
    for (prior, inputs, learned) in [
        (config::Prior::Mixture, vec![of_z, of_mean, of_lv], false),
        (config::Prior::Mixture, vec![of_z, of_mean, of_lv, of_logits], true),
        (config::Prior::Vamp, vec![of_z, of_stats], false),
        (config::Prior::Vamp, vec![of_z, of_stats, of_logits], true),
    ] {
        let model = model(&[("latent", "3"), ("prior", prior.word())]);
        let expected = if learned { expected(&logits, total) } else { expected(&[0.0; 5], 5.0) };
        for mut executor in executors() {
            let density = model.prior().log_prob.expect("it has one");
            let found = computed(&mut executor, rows, &inputs, |graph, ids| {
                vec![density(graph, &model, &ids[1..], ids[0]).expect("shapes meet")]
            });
            compare(&expected, &found[0], ROUNDING).unwrap_or_else(|why| panic!("{prior:?}, {learned}: {why}"));
        }
    }
}

#[test]
fn latents_of_a_flow_go_back_to_their_noise_with_the_density_of_the_change_of_variables() {
    let model = model(&[("latent", "5"), ("prior", "flow"), ("prior_layers", "5"), ("prior_width", "7")]);
    let (latent, rows) = (5, 4);
    let mut random = Philox::new(4, Stream::Choice, 0, 0);
    let tensors = model.prior_tensors();
    let values: Vec<Vec<f32>> =
        tensors.iter().map(|t| (0..t.shape.count()).map(|_| 0.3 * random.normal()).collect()).collect();
    let noise: Vec<f32> = (0..rows * latent).map(|_| random.normal()).collect();
    for mut executor in executors() {
        let mut run = |noise: &[f32]| {
            let mut inputs = vec![("noise", vec![rows, latent], noise)];
            inputs.extend(tensors.iter().zip(&values).map(|(t, v)| (&t.name[..], t.shape.extents().to_vec(), &v[..])));
            let inputs: Vec<_> = inputs.iter().map(|(name, extents, values)| (*name, &extents[..], *values)).collect();
            computed(&mut executor, rows, &inputs, |graph, ids| {
                let z = (model.prior().sample)(graph, &model, &ids[1..], ids[0]).expect("shapes meet");
                let (back, _) = flow::noise_of(graph, &model, &ids[1..], z).expect("shapes meet");
                let density = model.prior().log_prob.expect("it has one")(graph, &model, &ids[1..], z);
                vec![z, back, density.expect("shapes meet")]
            })
        };
        let found = run(&noise);
        let back = found[1].iter().zip(&noise).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(back < 1e-4, "{back}");
        let moved = found[0].iter().zip(&noise).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(moved > 0.3, "the flow does next to nothing: {moved}");
        let determinants = log_determinants(rows, latent, &noise, |noise| run(noise).swap_remove(0));
        for (row, (density, determinant)) in found[2].iter().zip(determinants).enumerate() {
            let zeros = vec![0.0; latent];
            let expected = log_normal(&noise[row * latent..][..latent], &zeros, &zeros) - determinant;
            // Differences of numbers of single precision.
            assert!((f64::from(*density) - expected).abs() < 5e-3, "row {row}: {density} instead of {expected}");
        }
    }
}

#[test]
fn a_pseudo_input_that_is_an_example_has_the_posterior_of_that_example() {
    let mut session = session(0, &[("prior", "vamp"), ("prior_components", "1")]);
    session.plan(Purpose::task(EVALUATE, 128)).expect("it fits");
    session.initialise().expect("it fits");
    let example = session.originals(&[5]).expect("there is one");
    let range = session.ranges().into_iter().find(|range| range.name == "prior.pseudo_inputs").expect("it has some");
    let start = session.read(0, &Role::Parameters, range.offset, range.count()).expect("it is there");
    let is_start = |i: u32| session.data().unwrap().example(i as usize).unwrap() == start;
    assert!((0..100).any(is_start), "it starts as an example of the training part");
    session.executor.write_f32(&Role::Parameters, range.offset, &example).expect("it fits");
    let same = eval::summary(&mut session, 5..6, 1).expect("it runs").terms.rate;
    let others = eval::summary(&mut session, 6..40, 1).expect("it runs").terms.rate;
    assert!(same.abs() < 1e-4 && others.abs() > 1e-3, "{same} {others}");
}

#[test]
fn components_are_drawn_as_often_as_they_weigh() {
    for prior in ["mixture", "vamp"] {
        let settings = [("prior", prior), ("prior_components", "3"), ("prior_weights", "learned"), ("latent", "1")];
        let mut session = session(0, &settings);
        let plan = session.plan(Purpose::task(SAMPLE, 128)).expect("it fits");
        session.initialise().expect("it fits");
        for range in session.ranges() {
            let values = match &range.name[..] {
                "prior.logits" => vec![0.5_f32.ln(), 0.3_f32.ln(), 0.2_f32.ln()],
                "prior.mean" => vec![-9.0, 0.0, 9.0],
                "prior.log_variance" => vec![-2.0; 3],
                // The encoder says a deviation of e⁻¹ and, by its first input alone, the mean.
                "prior.pseudo_inputs" => (0..range.count())
                    .map(|at| if at % range.shape[1] == 0 { (at / range.shape[1]) as f32 } else { 0.0 })
                    .collect(),
                "encoder.0" => (0..range.count()).map(|at| f32::from(u8::from(at == 0))).collect(),
                "encoder.head" => {
                    let last = range.count() - 2;
                    (0..range.count())
                        .map(|at| {
                            [(0, 9.0), (last, -9.0), (last + 1, -2.0)]
                                .iter()
                                .find(|(place, _)| *place == at)
                                .map_or(0.0, |(_, value)| *value)
                        })
                        .collect()
                }
                _ => continue,
            };
            session.executor.write_f32(&Role::Parameters, range.offset, &values).expect("it fits");
        }
        // A draw is a function of its number, which stands where the places of examples do.
        session.set_order(&(0..100).collect::<Vec<_>>()).expect("it fits");
        let mut counts = [0.0_f64; 3];
        let (runs, draws) = (40, 4000.0);
        for run in 0..runs {
            let scalars = session.scalars(run, Stream::Prior, 0, 100);
            session.run(plan, &[scalars]).expect("it runs");
            for z in session.read(0, &Role::Output("z".into()), 0, 100).expect("it is there") {
                let component = ((z + 9.0) / 9.0).round();
                assert!((0.0..=2.0).contains(&component) && (z - 9.0 * (component - 1.0)).abs() < 3.0, "{prior}: {z}");
                counts[component as usize] += 1.0 / draws;
            }
        }
        for (found, expected) in counts.iter().zip([0.5_f64, 0.3, 0.2]) {
            let error = (expected * (1.0 - expected) / draws).sqrt();
            assert!((found - expected).abs() < 4.0 * error, "{prior}: {counts:?}");
        }
    }
}

#[test]
fn a_learned_normal_prior_has_the_rates_and_draws_of_its_parameters() {
    let mut session = session(0, &[("prior", "gaussian")]);
    session.plan(Purpose::task(SAMPLE, 128)).expect("it fits");
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
    for (found, of) in [(summary.rates.unwrap(), "eval"), (posterior.rates().unwrap(), "encode")] {
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
            let plan = session.plan(Purpose::task(SAMPLE, 128)).expect("it fits");
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
fn a_laplace_prior_has_the_density_and_draws_of_its_parameters() {
    let (latent, rows) = (3, 6);
    let model = model(&[("latent", "3"), ("prior", "laplace")]);
    let mut random = Philox::new(6, Stream::Choice, 0, 0);
    let mut draw = |count: usize| -> Vec<f32> { (0..count).map(|_| random.normal()).collect() };
    let [location, log_scale, z] = [draw(latent), draw(latent), draw(rows * latent)];
    let term = |at: usize| {
        let [m, log_b] = [&location, &log_scale].map(|of| f64::from(of[at % latent]));
        -(f64::from(z[at]) - m).abs() / log_b.exp() - (2.0 * log_b.exp()).ln()
    };
    let expected: Vec<f32> =
        (0..rows).map(|row| (row * latent..(row + 1) * latent).map(term).sum::<f64>() as f32).collect();
    let inputs = [
        ("z", &[rows, latent][..], &z[..]),
        ("location", &[1, latent], &location[..]),
        ("log-scale", &[1, latent], &log_scale[..]),
    ];
    for mut executor in executors() {
        let density = model.prior().log_prob.expect("it has one");
        let found = computed(&mut executor, rows, &inputs, |graph, ids| {
            vec![density(graph, &model, &ids[1..], ids[0]).expect("shapes meet")]
        });
        compare(&expected, &found[0], ROUNDING).unwrap_or_else(|why| panic!("{}: {why}", executor.name()));
    }
    let mut session = session(0, &[("prior", "laplace"), ("latent", "3")]);
    let plan = session.plan(Purpose::task(SAMPLE, 128)).expect("it fits");
    session.initialise().expect("it fits");
    for (name, values) in [("prior.location", &location), ("prior.log_scale", &log_scale)] {
        let range = session.ranges().into_iter().find(|range| range.name == name).expect("it has one");
        session.executor.write_f32(&Role::Parameters, range.offset, values).expect("it fits");
    }
    // A draw is a function of its number, which stands where the places of examples do.
    session.set_order(&(0..100).collect::<Vec<_>>()).expect("it fits");
    let mut draws = Vec::new();
    for run in 0..40 {
        let scalars = session.scalars(run, Stream::Prior, 0, 100);
        session.run(plan, &[scalars]).expect("it runs");
        draws.extend(session.read(0, &Role::Output("z".into()), 0, 100 * latent).expect("it is there"));
    }
    // |z − m|/b is exponential: its mean and deviation are 1, and half of the draws lie on either side, ln 2 away in the median.
    for d in 0..latent {
        let of = |z: &f32| f64::from(z - location[d]) / f64::from(log_scale[d]).exp();
        let apart: Vec<f64> = draws.iter().skip(d).step_by(latent).map(of).collect();
        let count = apart.len() as f64;
        let mean = apart.iter().map(|x| x.abs()).sum::<f64>() / count;
        let share = |holds: &dyn Fn(f64) -> bool| apart.iter().filter(|&&x| holds(x)).count() as f64 / count;
        let (left, near) = (share(&|x| x < 0.0), share(&|x| x.abs() < std::f64::consts::LN_2));
        assert!((mean - 1.0).abs() < 5.0 / count.sqrt(), "{d}: {mean}");
        assert!(
            (left - 0.5).abs() < 2.5 / count.sqrt() && (near - 0.5).abs() < 2.5 / count.sqrt(),
            "{d}: {left} {near}"
        );
    }
}

#[test]
fn commands_know_every_prior_and_posterior_or_refuse_it_in_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &str| elbo(folder.path(), arguments);
    for (at, settings) in PARTS.iter().enumerate() {
        let sets: Vec<String> = settings.iter().map(|(key, value)| format!("--set {key}={value}")).collect();
        let [_, (key, value)] = [settings[0], settings[settings.len().min(2) - 1]];
        let refused = format!("model.{} = {}", settings[0].0, settings[0].1);
        let name = format!("run{at}");
        let trained = run(&format!("train {TINY} {} --epochs 2 --lr 1e-2 --out {name}", sets.join(" "))).succeeded();
        assert!(trained.err.contains("rates, also in metrics.csv, are log q(z|x)"), "{}", trained.err);
        let text = run(&format!("eval {name} --adapter cpu --samples 20 --json")).succeeded().out;
        let found: Value = serde_json::from_str(&text).unwrap();
        let of = |key: &str| found[key].as_f64().unwrap_or_else(|| panic!("{key}: {found}"));
        assert!(of("neg_log_px").is_finite() && of("neg_elbo").is_finite() && found["rates"].is_null(), "{found}");
        let text = run(&format!("eval {name} --adapter cpu")).succeeded().out;
        assert!(text.contains("at a sample"), "{key}={value}: {text}");
        run(&format!("sample {name} --adapter cpu -n 4 --out {name}/s.png")).succeeded();
        run(&format!("sample {name} --adapter cpu -n 4 --ex-post gmm --components 3 --out {name}/g.png")).succeeded();
        run(&format!("reconstruct {name} --adapter cpu --out {name}/r.png")).succeeded();
        run(&format!("embed {name} --adapter cpu --out {name}/z.npy")).succeeded();
        run(&format!("traverse {name} --adapter cpu --out {name}/t.png")).succeeded();
        run(&format!("interpolate {name} --adapter cpu --out {name}/i.png")).succeeded();
        run(&format!("latent {name} --adapter cpu --out {name}/l.png")).succeeded();
        run(&format!("score {name} --adapter cpu --data glyphs --samples 4 --out {name}/s.csv")).succeeded();
        run(&format!("score {name} --adapter cpu --data glyphs --mean-field --out {name}/m.csv")).succeeded();
        run(&format!("export {name} --format onnx --out {name}/o")).failed(2, &refused);
        run(&format!("train --resume {name} --epochs 3 --adapter cpu")).succeeded();
    }
    for (arguments, words) in [
        ("sample run0 --components 3", "required arguments"),
        ("sample run0 --ex-post gmm --components 0", "--components 0"),
        ("sample run0 --ex-post gmm --components 9999", "9999 components"),
        ("embed run4 --std --out z.npy", "model.posterior = planar"),
        ("interpolate run2 --path spherical", "model.prior = flow"),
    ] {
        run(&format!("{arguments} --adapter cpu")).failed(2, words);
    }
    for (settings, words) in [
        ("prior=mixture --set prior_components=0", "model.prior_components = 0"),
        ("prior=flow --set latent=1", "model.latent = 1"),
        ("prior=flow --set prior_layers=0", "model.prior_layers = 0"),
        ("prior=vamp --set prior_components=5000", "model.prior_components = 5000 is more than"),
        ("prior=vamp --set condition=label", "model.condition = label"),
        ("prior=vamp --set above=[6-2]", "model.above"),
        ("prior=mixture --set free_bits=0.1", "objective.free_bits"),
        ("posterior=iaf --set free_bits=0.1", "objective.free_bits"),
        ("posterior=planar --set capacity=3", "objective.capacity"),
        ("posterior=full --set tc=3", "objective.tc"),
        ("posterior=iaf --set latent=1", "model.latent = 1"),
        ("posterior=planar --set posterior_layers=0", "model.posterior_layers = 0"),
        ("posterior=iaf --set above=[6-2]", "model.above"),
        ("posterior=iaf --set latent=20000 --set posterior_width=1000", "model.posterior_width = 1000"),
        ("posterior=full --set latent=2000", "model.latent = 2000"),
    ] {
        // Latent dimensions can be set once.
        let tiny = TINY.replace("--latent 2 ", "");
        run(&format!("train {tiny} --set {settings} --out refused")).failed(2, words);
        assert!(!folder.path().join("refused").exists(), "{settings}");
        run(&format!("train {tiny} --set {settings} --dry-run")).failed(2, words);
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
    run("traverse run --adapter cpu").succeeded();
    run("traverse above --steps 3 --adapter cpu").succeeded();
    run("export run --format onnx --out o").failed(2, "model.prior = gaussian");
    run(&format!("train {TINY} --set prior=gaussian --set free_bits=0.1 --out f")).failed(2, "objective.free_bits");
    run(&format!("train {TINY} --set prior=cauchy --out f")).failed(2, "model.prior");
}
