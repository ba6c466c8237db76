//! Ladders of stochastic layers: against the formulas in double precision, and what every command makes of them.

use crate::program::{checkpoint, elbo, files, json, losses};
use crate::support::executors;
use elbo::config::{self, Config, Hierarchy, Norm, ObjectiveConfig};
use elbo::data::{Dataset, Values};
use elbo::eval;
use elbo::model::named;
use elbo::model::tasks::{EVALUATE, SCORE};
use elbo::plan::{Resident, Role, lower};
use elbo::rng::Stream;
use elbo::session::{BATCH, Purpose, Session};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use tempfile::TempDir;

/// Values of an example, and latent dimensions from the lowest layer up.
const WIDTH: usize = 6;
const LATENTS: [usize; 3] = [4, 3, 2];
/// Examples of the data set, all of which are looked at.
const COUNT: usize = 20;

/// Numbers between −1 and 1 that depend on their place alone.
fn draw(which: usize, count: usize) -> Vec<f32> {
    let number = |at: usize| ((1 + at + 977 * which) as f64 * 0.754_877_666_246_692_7).fract() * 2.0 - 1.0;
    (0..count).map(|at| number(at) as f32).collect()
}

fn configured(settings: &[(&str, &str)]) -> Config {
    let usual = [("hidden", "[5,7]"), ("latent", "4"), ("above", "[6-5-3,2]"), ("activation", "tanh")];
    let all = usual.iter().chain(settings).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    config::resolve(None, &all.collect::<Vec<_>>()).unwrap()
}

/// A model of three layers on grey values, all of whose networks say something.
fn session(device: usize, settings: &[(&str, &str)]) -> Session {
    let values = draw(1, WIDTH * COUNT).into_iter().map(|v| 0.5 + 0.5 * v).collect();
    let data = Dataset::new("grey", [1, 1, WIDTH], Values::F32(values), None, 4, 0).unwrap();
    let mut session = Session::new(configured(settings), data, executors().swap_remove(device)).unwrap();
    session.plan(Purpose::task(EVALUATE, BATCH)).unwrap();
    for (which, range) in (2..).zip(session.ranges()) {
        let mut values: Vec<f32> = draw(which, range.count()).iter().map(|v| 0.8 * v).collect();
        if range.name.starts_with("running") {
            // A variance is positive.
            values.iter_mut().skip(range.count() / 2).for_each(|variance| *variance = variance.abs() + 0.3);
        }
        session.executor.write_f32(&Role::Parameters, range.offset, &values).unwrap();
    }
    session
}

/// The same model, written down once more.
struct Formulas {
    tensors: BTreeMap<String, (usize, Vec<f64>)>,
    hierarchy: Hierarchy,
    norm: Norm,
}

/// What a pass came to: −log p(x|z), log q − log p and the KL divergence of each layer, and the mean of p(x|z).
struct Passed {
    distortion: f64,
    ratios: Vec<f64>,
    divergences: Vec<f64>,
    out: Vec<f64>,
}

impl Formulas {
    fn of(session: &mut Session) -> Self {
        let tensor = |(name, tensor): (String, elbo::checkpoint::Tensor)| {
            (name, (tensor.shape[1], tensor.values.into_iter().map(f64::from).collect()))
        };
        let tensors = session.parameters(0).unwrap().into_iter().map(tensor).collect();
        Self { tensors, hierarchy: session.config.model.hierarchy, norm: session.config.model.norm }
    }

    fn affine(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let (columns, w) = &self.tensors[name];
        assert_eq!(w.len(), (x.len() + 1) * columns, "{name}");
        let one = [1.0];
        let sum = |column: usize| x.iter().chain(&one).enumerate().map(|(row, x)| x * w[row * columns + column]).sum();
        (0..*columns).map(sum).collect()
    }

    /// What the last of so many hidden layers puts out, and the head.
    fn network(&self, name: &str, x: &[f64], hidden: usize) -> (Vec<f64>, Vec<f64>) {
        let (mut h, mut at) = (x.to_vec(), 0);
        for _ in 0..hidden {
            h = self.affine(&format!("{name}.{at}"), &h);
            at += 1;
            if self.norm == Norm::Batch {
                let (columns, w) = &self.tensors[&format!("{name}.{at}")];
                let (_, running) = &self.tensors[&format!("running.{name}.{at}")];
                for (unit, h) in h.iter_mut().enumerate() {
                    let normal = (*h - running[unit]) / (running[columns + unit] + 1e-5).sqrt();
                    *h = normal * w[unit] + w[columns + unit];
                }
                at += 1;
            }
            if self.norm == Norm::Layer {
                let (columns, w) = &self.tensors[&format!("{name}.{at}")];
                let mean = h.iter().sum::<f64>() / *columns as f64;
                let variance = h.iter().map(|h| (h - mean).powi(2)).sum::<f64>() / *columns as f64;
                for (unit, h) in h.iter_mut().enumerate() {
                    *h = (*h - mean) / (variance + 1e-5).sqrt() * w[unit] + w[columns + unit];
                }
                at += 1;
            }
            h = h.into_iter().map(f64::tanh).collect();
        }
        let head = self.affine(&format!("{name}.head"), &h);
        (h, head)
    }

    /// The statistics of p(zₗ|zₗ₊₁), layers counted from 0.
    fn prior(&self, layer: usize, above: &[f64]) -> Vec<f64> {
        self.network(&format!("decoder{}", layer + 2), above, [2, 0][layer]).1
    }

    fn decoded(&self, z: &[f64]) -> Vec<f64> {
        self.network("decoder", z, 2).1.into_iter().map(|logit| 1.0 / (1.0 + (-logit).exp())).collect()
    }

    /// Statistics and latents of all layers.
    fn posterior(&self, x: &[f64], noise: &[Vec<f64>]) -> Vec<(Vec<f64>, Vec<f64>)> {
        let drawn = |stats: &[f64], eps: &[f64]| {
            let (mean, lv) = stats.split_at(eps.len());
            mean.iter().zip(lv).zip(eps).map(|((mean, lv), eps)| mean + (0.5 * lv).exp() * eps).collect::<Vec<f64>>()
        };
        let names = ["encoder", "encoder2", "encoder3"].into_iter().zip([2, 2, 0]);
        if self.hierarchy == Hierarchy::Stacked {
            let (mut all, mut below): (Vec<(Vec<f64>, Vec<f64>)>, _) = (vec![], x.to_vec());
            for ((name, hidden), eps) in names.zip(noise) {
                let stats = self.network(name, &below, hidden).1;
                below = drawn(&stats, eps);
                all.push((stats, below.clone()));
            }
            return all;
        }
        let (mut h, mut found) = (x.to_vec(), vec![]);
        for (name, hidden) in names {
            let stats;
            (h, stats) = self.network(name, &h, hidden);
            found.push(stats);
        }
        let mut all: Vec<(Vec<f64>, Vec<f64>)> = vec![];
        for layer in (0..3).rev() {
            let mut stats = found[layer].clone();
            if let Some((_, above)) = all.last() {
                let (prior, width) = (self.prior(layer, above), LATENTS[layer]);
                for at in 0..width {
                    // Precisions add up, and means are weighted by them.
                    let [found, given] = [&found[layer], &prior].map(|stats| (-stats[width + at]).exp());
                    stats[at] = (stats[at] * found + prior[at] * given) / (found + given);
                    stats[width + at] = (1.0 / (found + given)).ln();
                }
            }
            let z = drawn(&stats, &noise[layer]);
            all.push((stats, z));
        }
        all.reverse();
        all
    }

    fn pass(&self, x: &[f64], noise: &[Vec<f64>]) -> Passed {
        let layers = self.posterior(x, noise);
        let density = |z: &[f64], stats: &[f64]| -> f64 {
            let (mean, lv) = stats.split_at(z.len());
            let of = |((z, mean), lv): ((&f64, &f64), &f64)| {
                -0.5 * ((z - mean).powi(2) / lv.exp() + lv + (2.0 * std::f64::consts::PI).ln())
            };
            z.iter().zip(mean).zip(lv).map(of).sum()
        };
        let (mut ratios, mut divergences) = (vec![], vec![]);
        for (layer, (stats, z)) in layers.iter().enumerate() {
            let prior = match layers.get(layer + 1) {
                Some((_, above)) => self.prior(layer, above),
                None => vec![0.0; 2 * z.len()],
            };
            ratios.push(density(z, stats) - density(z, &prior));
            let width = z.len();
            let kl = |at: usize| {
                let [a, b] = [stats, &prior].map(|stats| stats[width + at]);
                0.5 * (b - a + (a.exp() + (stats[at] - prior[at]).powi(2)) / b.exp() - 1.0)
            };
            divergences.push((0..width).map(kl).sum());
        }
        let out = self.decoded(&layers[0].1);
        let distortion = x.iter().zip(&out).map(|(x, p)| -x * p.ln() - (1.0 - x) * (1.0 - p).ln()).sum();
        Passed { distortion, ratios, divergences, out }
    }
}

/// The noise of a row in all layers, from what was given for all rows.
fn of_row(noise: &[Vec<f32>], row: usize) -> Vec<Vec<f64>> {
    let layer = |(noise, width): (&Vec<f32>, usize)| {
        noise[row * width..][..width].iter().map(|&eps| f64::from(eps)).collect::<Vec<f64>>()
    };
    noise.iter().zip(LATENTS).map(layer).collect()
}

/// Ladders and stacks, with normalisation and without.
const KINDS: [[(&str, &str); 2]; 4] = [
    [("hierarchy", "ladder"), ("norm", "none")],
    [("hierarchy", "ladder"), ("norm", "layer")],
    [("hierarchy", "ladder"), ("norm", "batch")],
    [("hierarchy", "stacked"), ("norm", "none")],
];

#[test]
fn importance_weights_are_those_of_the_formulas_in_double_precision() {
    const SAMPLES: usize = 3;
    for (device, kind) in (0..executors().len()).flat_map(|device| KINDS.map(|kind| (device, kind))) {
        let mut session = session(device, &kind);
        let plan = session.plan(Purpose::samples(SCORE, COUNT, SAMPLES)).unwrap();
        let mut noise = vec![];
        for (layer, width) in LATENTS.into_iter().enumerate() {
            let eps: Vec<f32> = draw(50 + layer, COUNT * SAMPLES * width).iter().map(|v| 1.7 * v).collect();
            let name = elbo::model::of_layer(&named("noise", SAMPLES), layer);
            session.executor.write_f32(&Role::Input(name), 0, &eps).unwrap();
            noise.push(eps);
        }
        session.set_order(&(0..COUNT as u32).collect::<Vec<_>>()).unwrap();
        let scalars = session.scalars(1, Stream::Evaluate, 0, COUNT);
        session.run(plan, &[scalars]).unwrap();
        let found = session.output(&named("weights", SAMPLES), COUNT, 2).unwrap();
        let formulas = Formulas::of(&mut session);
        let x = session.originals(&(0..COUNT as u32).collect::<Vec<_>>()).unwrap();
        for (row, state) in found.chunks_exact(2).enumerate() {
            let x: Vec<f64> = x[row * WIDTH..][..WIDTH].iter().map(|&x| f64::from(x)).collect();
            let weight = |sample: usize| {
                let passed = formulas.pass(&x, &of_row(&noise, row * SAMPLES + sample));
                (-passed.distortion - passed.ratios.iter().sum::<f64>()).exp()
            };
            let expected = (0..SAMPLES).map(weight).sum::<f64>().ln();
            let found = f64::from(state[0]) + f64::from(state[1]).ln();
            assert!((found - expected).abs() < 2e-5, "{kind:?}, device {device}, row {row}: {found}, not {expected}");
        }
    }
}

#[test]
fn rates_of_a_ladder_are_divergences_given_the_sample_above() {
    // A step of training normalises by the batch, which the formulas know nothing of: tests/it/traces.rs.
    let kinds = || KINDS.into_iter().filter(|[_, (_, norm)]| *norm != "batch");
    for (device, kind) in (0..executors().len()).flat_map(|device| kinds().map(move |kind| (device, kind))) {
        let mut session = session(device, &kind);
        let graph = session.model.train_on_inputs(COUNT).unwrap();
        let resident = Resident { data_words: 4, window: 0, order_words: 4, metric_slots: 1 };
        let plan = lower("given", graph, None, resident, session.executor.target()).unwrap();
        // Its buffers are none of the session's, which are larger.
        let mut executor = executors().swap_remove(device);
        let id = executor.load(plan).unwrap();
        let x = draw(1, WIDTH * COUNT).into_iter().map(|v| 0.5 + 0.5 * v).collect::<Vec<f32>>();
        executor.write_f32(&Role::Input("x".into()), 0, &x).unwrap();
        for range in session.ranges() {
            let values = session.read(0, &Role::Parameters, range.offset, range.count()).unwrap();
            executor.write_f32(&Role::Parameters, range.offset, &values).unwrap();
        }
        let mut noise = vec![];
        for (layer, width) in LATENTS.into_iter().enumerate() {
            let eps: Vec<f32> = draw(50 + layer, COUNT * width).iter().map(|v| 1.7 * v).collect();
            let name = elbo::model::of_layer("eps", layer);
            executor.write_f32(&Role::Input(name), 0, &eps).unwrap();
            noise.push(eps);
        }
        let scalars = session.scalars(1, Stream::Evaluate, 0, COUNT);
        executor.run(id, &[scalars]).unwrap();
        let found = executor.read_f32(&Role::Metrics, 0, 2).unwrap();
        let formulas = Formulas::of(&mut session);
        let mut expected = [0.0; 2];
        for (row, x) in x.chunks_exact(WIDTH).enumerate() {
            let x: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
            let Passed { distortion, ratios, divergences, .. } = formulas.pass(&x, &of_row(&noise, row));
            let closed = |layer: usize| formulas.hierarchy == Hierarchy::Ladder || layer == 2;
            let rate = |layer: usize| if closed(layer) { divergences[layer] } else { ratios[layer] };
            expected[0] += distortion / COUNT as f64;
            expected[1] += (0..3).map(rate).sum::<f64>() / COUNT as f64;
        }
        for (found, expected) in found.into_iter().zip(expected) {
            assert!((f64::from(found) - expected).abs() < 2e-5, "{kind:?}, {device}: {found}, not {expected}");
        }
    }
}

#[test]
fn means_of_all_layers_and_what_they_decode_to_are_those_of_the_formulas() {
    for (device, kind) in (0..executors().len()).flat_map(|device| KINDS.map(|kind| (device, kind))) {
        let mut session = session(device, &kind);
        let examples: Vec<u32> = (0..COUNT as u32).collect();
        let found = session.encode_layers(&examples, 1).unwrap();
        let (formulas, x) = (Formulas::of(&mut session), session.originals(&examples).unwrap());
        let still = LATENTS.map(|width| vec![0.0; width]);
        let close = |found: &[f32], expected: &[f64]| {
            found.len() == expected.len()
                && found.iter().zip(expected).all(|(&found, expected)| (f64::from(found) - expected).abs() < 2e-5)
        };
        for (row, x) in x.chunks_exact(WIDTH).enumerate() {
            let x: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
            for (found, (stats, _)) in found.iter().zip(formulas.posterior(&x, &still)) {
                assert!(close(found.mean(row), &stats[..found.latent]), "{kind:?}, device {device}, row {row}");
                let found = &found.log_variances[row * found.latent..][..found.latent];
                assert!(close(found, &stats[found.len()..]), "{kind:?}, device {device}, row {row}");
            }
        }
        let seen = session.reconstruct(&examples, None, 1).unwrap().1;
        for (layer, posterior) in found.iter().enumerate() {
            let means = session.decode_layer(layer, &posterior.means, &[]).unwrap();
            for (row, means) in means.chunks_exact(WIDTH).enumerate() {
                let mut z: Vec<f64> = posterior.mean(row).iter().map(|&z| f64::from(z)).collect();
                for below in (0..layer).rev() {
                    z = formulas.prior(below, &z)[..LATENTS[below]].to_vec();
                }
                assert!(close(means, &formulas.decoded(&z)), "{kind:?}, device {device}, layer {layer}, row {row}");
            }
            if layer == 0 {
                assert_eq!(means, seen, "a reconstruction is what the lowest means decode to");
            }
        }
        assert!(session.decode_layer(3, &[0.0], &[]).unwrap_err().to_string().contains("no stochastic layer 4"));
        assert!(close(&session.decode(&found[0].means[..4], &[]).unwrap(), &{
            let x: Vec<f64> = x[..WIDTH].iter().map(|&x| f64::from(x)).collect();
            formulas.pass(&x, &still).out
        }));
    }
}

/// A model of three layers whose networks say nothing of what they read.
fn silent(device: usize, objective: ObjectiveConfig) -> Session {
    let config = Config { objective, ..configured(&[("hierarchy", "ladder")]) };
    let data = Dataset::new("zeros", [1, 1, WIDTH], Values::U8(vec![0; WIDTH * 200]), None, 50, 0).unwrap();
    let mut session = Session::new(config, data, executors().swap_remove(device)).unwrap();
    session.plan(Purpose::Train).unwrap();
    for range in session.ranges() {
        session.executor.write_f32(&Role::Parameters, range.offset, &vec![0.0; range.count()]).unwrap();
    }
    // p(z1|z2) = N(0.5, e^0.2) and p(z2|z3) = N(-0.3, 1); the data say N(1.5, e^1.5) of z1, N(-0.3, e^4) of z2, N(0.4, e^-0.3)
    // of z3.
    for (head, width, [mean, lv]) in [
        ("decoder2.head", 4, [0.5, 0.2]),
        ("decoder3.head", 3, [-0.3, 0.0]),
        ("encoder.head", 4, [1.5, 1.5]),
        ("encoder2.head", 3, [-0.3, 4.0]),
        ("encoder3.head", 2, [0.4, -0.3]),
    ] {
        let range = session.ranges().into_iter().find(|range| range.name == head).expect("there is such a layer");
        let biases = [vec![mean; width], vec![lv; width]].concat();
        session.executor.write_f32(&Role::Parameters, range.offset + range.count() - 2 * width, &biases).unwrap();
    }
    session
}

/// What each layer of [`silent`] costs.
fn solved() -> [f64; 3] {
    let merged = |[a, b]: [[f64; 2]; 2]| {
        let [p, q] = [a, b].map(|stats| (-stats[1]).exp());
        [(a[0] * p + b[0] * q) / (p + q), (1.0 / (p + q)).ln()]
    };
    let kl = |q: [f64; 2], p: [f64; 2]| 0.5 * (p[1] - q[1] + ((q[0] - p[0]).powi(2) + q[1].exp()) / p[1].exp() - 1.0);
    let [lower, middle] = [[0.5, 0.2], [-0.3, 0.0]];
    let first = kl(merged([[1.5, 1.5], lower]), lower);
    [4.0 * first, 3.0 * kl(merged([[-0.3, 4.0], middle]), middle), 2.0 * kl([0.4, -0.3], [0.0; 2])]
}

#[test]
fn a_ladder_that_can_be_solved_has_its_rates_without_noise_and_its_likelihood() {
    for device in 0..executors().len() {
        let mut session = silent(device, ObjectiveConfig::elbo(1.0));
        let summary = eval::summary(&mut session, 0..200, 1).unwrap();
        for (layer, expected) in summary.layers.iter().zip(solved()) {
            assert!((layer.rate - expected).abs() < 1e-5, "{:?}, device {device}: {:?}", summary.layers, solved());
            assert_eq!(layer.active, 0);
        }
        let found = eval::likelihood(&mut session, 0..40, 2000, 1, &mut |_| ()).unwrap();
        let expected = WIDTH as f64 * 2.0_f64.ln();
        assert!((found.neg_log_px - expected).abs() < 0.05, "{} instead of {expected}", found.neg_log_px);
        assert!(summary.terms.neg_elbo() > found.neg_log_px + 0.25);
    }
}

#[test]
fn free_bits_hold_the_groups_of_each_layer_by_themselves() {
    let [first, second, third] = solved();
    let held = |cost: f64, count: usize, bound: f64| count as f64 * (cost / count as f64).max(bound);
    for (bound, group, samples, expected) in [
        (0.1, 1, 1, held(first, 4, 0.1) + held(second, 3, 0.1) + held(third, 2, 0.1)),
        (0.1, 1, 3, held(first, 4, 0.1) + held(second, 3, 0.1) + held(third, 2, 0.1)),
        (0.15, 4, 2, held(first, 1, 0.15) + held(second, 1, 0.15) + held(third, 1, 0.15)),
    ] {
        let objective =
            ObjectiveConfig { free_bits: bound as f32, free_group: group, samples, ..ObjectiveConfig::elbo(1.0) };
        let mut session = silent(0, objective);
        let plan = session.plan(Purpose::Train).unwrap();
        session.set_order(&(0..200).collect::<Vec<_>>()).unwrap();
        // A part of the batch does not count.
        let scalars = session.scalars(1, Stream::Evaluate, 0, 70);
        session.run(plan, &[scalars]).unwrap();
        let metrics = session.read(0, &Role::Metrics, 0, 6).unwrap();
        let names: Vec<String> = session.executor.plan(plan).terms.clone();
        let of = |name: &str| f64::from(metrics[names.iter().position(|known| known == name).expect(name)]);
        assert!((of("penalty") - expected).abs() < 1e-4, "{names:?} {metrics:?}: {expected}");
        assert!((of("rate") - first - second - third).abs() < 1e-4, "{names:?} {metrics:?}");
        assert!((expected - first - second - third).abs() > 0.05, "nothing is held");
    }
}

/// Where a decoder passes on what is drawn above and the data say nothing, means vary by noise alone.
#[test]
fn dimensions_that_vary_by_noise_alone_are_not_active() {
    let mut session = silent(0, ObjectiveConfig::elbo(1.0));
    let range = session.ranges().into_iter().find(|range| range.name == "decoder3.head").unwrap();
    let mut weights = [vec![1.0; 3], vec![0.0; 3], vec![1.0; 3], vec![0.0; 3]].concat();
    weights.extend([-0.3, -0.3, -0.3, 0.0, 0.0, 0.0]);
    assert_eq!(weights.len(), range.count());
    session.executor.write_f32(&Role::Parameters, range.offset, &weights).unwrap();
    let summary = eval::summary(&mut session, 0..200, 1).unwrap();
    assert_eq!(summary.layers.iter().map(|layer| layer.active).collect::<Vec<_>>(), [0; 3]);
}

/// Three layers above convolutions, of a model that is told classes.
const TINY: &str = "--adapter cpu --set data.examples=300 --set hierarchy=ladder --set norm=layer --set hidden=[] --set \
                    encoder_layers=[{conv=4,kernel=4,stride=4},\"relu\"] --set decoder=[12] --latent 4 --set above=[7-3,2] --set \
                    condition=label --set data.validation=30 --batch 50 --epochs 2 --lr 0.003";

fn trained() -> &'static Path {
    static RUN: OnceLock<TempDir> = OnceLock::new();
    let folder = RUN.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        elbo(folder.path(), &format!("train {TINY} --out run")).succeeded();
        folder
    });
    folder.path()
}

#[test]
fn every_command_knows_the_layers_of_a_ladder() {
    let folder = trained();
    let said = elbo(folder, "eval run --samples 20 --adapter cpu").succeeded();
    assert!(said.out.contains("by layer") && said.out.contains("of 4 + 3 + 2 latent dimensions"), "{}", said.out);
    let eval = json(folder, "eval run --samples 20");
    assert!(eval["neg_log_px"].as_f64() < eval["neg_elbo"].as_f64(), "{eval}");
    let losses = losses(&folder.join("run"));
    assert!(losses[1] < losses[0], "{losses:?}");
    for line in [
        "sample run -n 9 --out sample.png",
        "reconstruct run -n 8 --out pairs.png",
        "embed run --part test --out z.csv",
        "embed run --part test --layer 2 --std --out z2.csv",
        "embed run --part test --layer all --out all.csv",
        "decode run z.csv --class 0 --out x.npy",
        "interpolate run --steps 3 --out between.png",
        "interpolate run --steps 3 --layer 3 --out between3.png",
        "traverse run --steps 3 --class 0 --out traversal.png",
        "traverse run --steps 3 --layer 1 --example 2 --out traversal1.png",
        "latent run -n 40 --out map.png",
        "score run --samples 8 --out scores.csv",
        "score run --mean-field --features --out fields.csv",
        "compare run",
    ] {
        elbo(folder, &format!("{line} --adapter cpu")).succeeded();
    }
    let header = |file: &str| fs::read_to_string(folder.join(file)).unwrap().lines().next().unwrap().to_owned();
    assert_eq!(header("z2.csv"), "index,label,mean_0,mean_1,mean_2,std_0,std_1,std_2");
    assert!(
        header("all.csv").ends_with("mean_1_3,mean_2_0,mean_2_1,mean_2_2,mean_3_0,mean_3_1"),
        "{}",
        header("all.csv")
    );
    let traversed = json(folder, "traverse run --steps 3 --class 1 --out again.png");
    assert_eq!((&traversed["layer"], traversed["rates"].as_array().unwrap().len()), (&3.into(), 2), "{traversed}");
    let before = files(folder).len();
    for (line, culprit) in [
        ("traverse run --layer 4 --adapter cpu", "--layer 4: the stochastic layers of this model go from 1"),
        ("embed run --layer 0 --out no.csv --adapter cpu", "--layer 0"),
        ("embed run --layer two --out no.csv --adapter cpu", "expected `all`"),
        ("sample run --ex-post gmm --adapter cpu", "elbo sample --ex-post is for models of one stochastic layer"),
    ] {
        elbo(folder, line).failed(2, culprit);
    }
    assert_eq!(files(folder).len(), before);
}

#[test]
fn a_ladder_resumes_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for line in [
        format!("train {TINY} --out whole"),
        format!("train {} --out parts", TINY.replace("--epochs 2", "--epochs 1")),
        "train --resume parts --epochs 2 --adapter cpu".to_owned(),
    ] {
        elbo(folder, &line).succeeded();
    }
    let parameters =
        |run: &str| fs::read(checkpoint(&folder.join(run), "last").join("parameters.safetensors")).unwrap();
    assert_eq!(parameters("parts"), parameters("whole"));
}

#[test]
fn what_a_ladder_is_not_for_is_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    for (settings, culprit) in [
        (
            "--set above=[4-2] --set free_bits=1",
            "objective.free_bits = 1 is not allowed: it must be 0 with model.hierarchy = stacked",
        ),
        ("--set hierarchy=ladder --set above=[4-2] --set free_bits=1 --set free_group=3", "objective.free_group = 3"),
        ("--set hierarchy=ladder --set above=[4-2] --set capacity=1", "objective.capacity = 1"),
        ("--set hierarchy=ladder --set above=[4-2] --set posterior=iaf", "model.above"),
        ("--set hierarchy=ladder --set above=[4-2] --set prior=vamp", "model.above"),
        ("--set hierarchy=ladder --set above=[1-2] --set norm=layer", "model.above = 1"),
        ("--set hierarchy=rope --set above=[4-2]", "model.hierarchy"),
    ] {
        elbo(folder.path(), &format!("train --adapter cpu --set data.examples=300 {settings}")).failed(2, culprit);
        assert!(fs::read_dir(folder.path()).unwrap().next().is_none(), "{settings}");
    }
}
