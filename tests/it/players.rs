//! VAE-GAN and the discriminators' aids: losses, features and singular values are those of their formulas in double precision.

use crate::program::{TINY, elbo, json};
use crate::support::{Tolerance, compare, computed, executors};
use elbo::checkpoint::{TrainerState, Which, load, locate};
use elbo::config::{self, Config};
use elbo::data;
use elbo::data::batches::Batch;
use elbo::eval::judgement;
use elbo::graph::Graph;
use elbo::model::{gan, phases, spectral};
use elbo::plan::Role;
use elbo::rng::{Philox, Stream, key, normal, philox};
use elbo::session::{Purpose, Session};
use elbo::train::{Update, scalars_of};

/// Other orders of the same sums.
const SUMS: Tolerance = Tolerance { nmse: 1e-9, element: 2e-4, absolute: 1e-5 };
/// Examples that count.
const ROWS: usize = 13;
/// The step that is run, of which noise is a function.
const STEP: u64 = 7;

const SETTINGS: &[(&str, &str)] = &[
    ("batch", "20"),
    ("latent", "3"),
    ("hidden", "[6]"),
    ("activation", "tanh"),
    ("examples", "130"),
    ("seed", "3"),
    ("features", "0.7"),
    ("discriminator_layers", "[dense 5, tanh, dense 4, tanh]"),
];

fn config(settings: &[(&str, &str)]) -> Config {
    let usual = SETTINGS.iter().filter(|(key, _)| settings.iter().all(|(other, _)| other != key));
    let all = usual.chain(settings).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    config::resolve(None, &all.collect::<Vec<_>>()).expect("the settings are valid")
}

fn session(device: usize, config: &Config) -> Session {
    let data = data::open(config, None).expect("glyphs are drawn");
    let mut session = Session::new(config.clone(), data, executors().swap_remove(device)).expect("the model fits");
    session.plan(Purpose::Train).expect("the plans fit");
    session.initialise().expect("the parameters fit");
    session.set_order(&(0..100).collect::<Vec<_>>()).expect("the order fits");
    session
}

/// Runs both phases of a step, and gives their metrics.
fn step(session: &mut Session) -> Vec<f32> {
    let plans = session.phases().expect("they are loaded");
    let config = session.config.clone();
    let update = Update { step: STEP, per_epoch: 10, slot: 0, batch: Batch { first: 0, rows: ROWS } };
    for (phase, plan) in phases(&config).iter().zip(&plans) {
        let told = scalars_of(&config, phase, &TrainerState::default(), &update, 0);
        session.run(*plan, &[told]).expect("it runs");
    }
    let terms: usize = plans.iter().map(|&plan| session.executor.plan(plan).terms.len()).sum();
    session.read(0, &Role::Metrics, 0, terms).expect("they are there")
}

/// A parameter in double precision.
fn parameter(session: &mut Session, name: &str) -> Vec<f64> {
    let range = session.ranges().into_iter().find(|range| range.name == name).unwrap_or_else(|| panic!("{name}"));
    let found = session.read(0, &Role::Parameters, range.offset, range.count()).expect("it is there");
    found.into_iter().map(f64::from).collect()
}

/// The noise of a row of an example in the step: the row is the `sample`-th of the example.
pub fn noise(seed: u64, layer: u32, example: u32, sample: u32, width: usize) -> Vec<f64> {
    noise_of((Stream::Noise, STEP as u32), seed, layer, [example, sample], width)
}

/// The same of a stream and a step.
fn noise_of((stream, step): (Stream, u32), seed: u64, layer: u32, row: [u32; 2], width: usize) -> Vec<f64> {
    let blocks = width.div_ceil(4) as u32;
    let stream = stream as u32 | layer << 16;
    let block = |at: u32| philox([stream, step, row[0], row[1] * blocks + at], key(seed));
    (0..blocks).flat_map(block).take(width).map(|word| f64::from(normal(word))).collect()
}

/// x·W + b of a row, W [inputs + 1, outputs].
pub fn affine(x: &[f64], w: &[f64]) -> Vec<f64> {
    let outputs = w.len() / (x.len() + 1);
    let of = |o: usize| x.iter().chain([&1.0]).enumerate().map(|(i, x)| x * w[i * outputs + o]).sum();
    (0..outputs).map(of).collect()
}

/// The same, and tanh of it.
pub fn bent(x: &[f64], w: &[f64]) -> Vec<f64> {
    affine(x, w).into_iter().map(f64::tanh).collect()
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// Weights divided by ‖Wᵀv‖, v = Wu/‖Wu‖, and Wᵀv over its length.
fn normalised(w: &[f64], u: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let (outputs, inputs) = (u.len(), w.len() / u.len() - 1);
    let length = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
    let v: Vec<f64> = (0..inputs).map(|i| (0..outputs).map(|o| w[i * outputs + o] * u[o]).sum()).collect();
    let v: Vec<f64> = v.iter().map(|x| x / length(&v)).collect();
    let next: Vec<f64> = (0..outputs).map(|o| (0..inputs).map(|i| w[i * outputs + o] * v[i]).sum()).collect();
    let sigma = length(&next);
    let weight = |(at, w): (usize, &f64)| if at < inputs * outputs { w / sigma } else { *w };
    (w.iter().enumerate().map(weight).collect(), next.iter().map(|x| x / sigma).collect())
}

/// The means over the examples that count: distortion, rate, features, deceit, the decoder's loss and the discriminator's; and
/// what the vectors of the power method become. `draws` are the stream and the step of the noise.
fn expected(session: &mut Session, draws: (Stream, u32), smoothing: f64, level: f64) -> (Vec<f64>, Vec<Vec<f64>>) {
    let noise = |seed, layer, example, sample, width| noise_of(draws, seed, layer, [example, sample], width);
    let names = ["encoder.0", "encoder.head", "decoder.0", "decoder.head"];
    let [encoder, statistics, decoder, logits] = names.map(|name| parameter(session, name));
    let mut player = ["discriminator.0", "discriminator.1", "discriminator.head"].map(|name| parameter(session, name));
    let mut vectors = vec![];
    if session.config.model.discriminator_spectral {
        for (name, w) in ["0", "1", "head"].iter().zip(&mut player) {
            let u = parameter(session, &format!("spectral.discriminator.{name}"));
            let (normal, next) = normalised(w, &u);
            *w = normal;
            vectors.push(next);
        }
    }
    let x = session.originals(&(0..ROWS as u32).collect::<Vec<_>>()).expect("they are there");
    let (width, seed) = (session.model.width, session.config.train.seed);
    let mut sums = vec![0.0; 6];
    for (example, x) in x.chunks_exact(width).enumerate() {
        let example = example as u32;
        let x: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
        let stats = affine(&bent(&x, &encoder), &statistics);
        let decoded = |z: &[f64]| affine(&bent(z, &decoder), &logits);
        let eps = noise(seed, 0, example, 0, 3);
        let z: Vec<f64> = (0..3).map(|d| stats[d] + (0.5 * stats[3 + d]).exp() * eps[d]).collect();
        let (again, drawn) = (decoded(&z), decoded(&noise(seed, 1, example, 0, 3)));
        let picture = |logits: &[f64]| logits.iter().map(|l| 1.0 / (1.0 + (-l).exp())).collect::<Vec<f64>>();
        let kinds = [x.clone(), picture(&again), picture(&drawn)];
        let judged: Vec<(Vec<f64>, f64)> = (0..3)
            .map(|kind| {
                let noise = noise(seed, 2, example, kind as u32, width);
                let shown: Vec<f64> = kinds[kind].iter().zip(noise).map(|(x, noise)| x + level * noise).collect();
                let features = bent(&shown, &player[0]);
                let verdict = affine(&bent(&features, &player[1]), &player[2])[0];
                (features, verdict)
            })
            .collect();
        let apart = judged[0].0.iter().zip(&judged[1].0).map(|(a, b)| 0.5 * (a - b).powi(2)).sum::<f64>();
        let deceit = softplus(-judged[1].1) + softplus(-judged[2].1);
        let target = 1.0 - smoothing;
        let real = target * softplus(-judged[0].1) + (1.0 - target) * softplus(judged[0].1);
        let terms = [
            again.iter().zip(&x).map(|(l, x)| softplus(*l) - x * l).sum(),
            (0..3).map(|d| 0.5 * (stats[3 + d].exp() + stats[d].powi(2) - 1.0 - stats[3 + d])).sum(),
            apart,
            deceit,
            0.7 * apart + deceit,
            (real + softplus(judged[1].1) + softplus(judged[2].1)) / 3.0,
        ];
        sums.iter_mut().zip(terms).for_each(|(sum, term): (&mut f64, f64)| *sum += term / ROWS as f64);
    }
    (sums, vectors)
}

/// Features are those of the first hidden layer; the noise falls to 0 in two epochs, of which 0.7 are over.
#[test]
fn the_losses_of_a_vae_gan_are_those_of_their_formulas() {
    let features = ("discriminator_features", "2");
    let noisy = [features, ("instance_noise", "0.5"), ("instance_noise_epochs", "2"), ("label_smoothing", "0.1")];
    let spectral = [features, ("discriminator_spectral", "true")];
    for (settings, smoothing, level) in
        [(&[features][..], 0.0, 0.0), (&noisy, 0.1, 0.5 * (1.0 - 0.7 / 2.0)), (&spectral, 0.0, 0.0)]
    {
        for device in 0..executors().len() {
            let config = config(settings);
            let mut session = session(device, &config);
            // Learning rates of nothing leave the second phase with the parameters of the first.
            let (expected, vectors) = expected(&mut session, (Stream::Noise, STEP as u32), smoothing, level);
            session.config.optimizer.lr = 1e-20;
            let found = step(&mut session);
            let expected: Vec<f32> = expected.into_iter().map(|x| x as f32).collect();
            compare(&expected, &found, SUMS).unwrap_or_else(|why| panic!("{settings:?}: {why}"));
            for (name, expected) in ["0", "1", "head"].iter().zip(vectors) {
                let found = parameter(&mut session, &format!("spectral.discriminator.{name}"));
                let [expected, found] = [expected, found].map(|all| all.iter().map(|&x| x as f32).collect::<Vec<_>>());
                compare(&expected, &found, SUMS).unwrap_or_else(|why| panic!("{name}: {why}"));
            }
        }
    }
}

/// What `elbo eval` tells of a discriminator is the same, without noise on pictures and smoothed labels, with draws of its own.
#[test]
fn what_is_judged_of_a_part_are_the_losses_of_the_formulas() {
    let aids = [("instance_noise", "0.5"), ("label_smoothing", "0.1"), ("discriminator_spectral", "true")];
    let settings = [&[("discriminator_features", "2")][..], &aids].concat();
    for device in 0..executors().len() {
        let mut session = session(device, &config(&settings));
        let seed = session.config.train.seed;
        let step = session.scalars(seed, Stream::Evaluate, 0, ROWS).step;
        let (expected, _) = expected(&mut session, (Stream::Evaluate, step), 0.0, 0.0);
        let judged = judgement(&mut session, 0..ROWS, seed).expect("it is judged").expect("there is a discriminator");
        let names: Vec<&str> = judged.terms.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["features", "deceit", "discriminator"]);
        let found: Vec<f32> = judged.terms.iter().map(|(_, term)| *term as f32).collect();
        let expected = [expected[2], expected[3], expected[5]].map(|term| term as f32);
        compare(&expected, &found, SUMS).unwrap_or_else(|why| panic!("{why}"));
        assert!(judged.verdicts.iter().all(|(_, verdict)| (0.0..1.0).contains(verdict)), "{judged:?}");
    }
}

/// Verdicts of latents by the parameters of a discriminator that was made by hand: D of a latent is the sigmoid of its first value.
#[test]
fn latents_are_judged_by_the_discriminator_that_is_theirs() {
    for (settings, names) in [
        ([("adversary", "1"), ("model.discriminator", "[2]")], ["draws", "latents"]),
        ([("factor", "1"), ("model.discriminator", "[2]")], ["latents", "exchanged"]),
    ] {
        let plain = [("features", "0"), ("discriminator_layers", "[]"), ("monitor", "elbo")];
        let config = config(&[&settings[..], &plain].concat());
        for device in 0..executors().len() {
            let mut session = session(device, &config);
            // max(z, 0.2 z) and max(-z, -0.2 z) of the first dimension; their difference is 1.2 z.
            for (name, values) in [
                ("discriminator.0", &[1.0, -1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0][..]),
                ("discriminator.head", &[1.0, -1.0, 0.0]),
            ] {
                let range = session.ranges().into_iter().find(|range| range.name == name).expect("it is there");
                let words: Vec<u32> = values.iter().map(|x: &f32| x.to_bits()).collect();
                session.executor.write(&Role::Parameters, range.offset, &words).expect("it fits");
            }
            let judged = judgement(&mut session, 0..ROWS, 3).expect("it is judged").expect("there is a discriminator");
            let kinds: Vec<&str> = judged.verdicts.iter().map(|(name, _)| *name).collect();
            assert_eq!(kinds, names);
            let z = latents(&mut session, 3);
            let sigmoid = |x: f64| 1.0 / (1.0 + (-1.2 * x).exp());
            let mean = |of: &dyn Fn(f64) -> f64, z: &[f64]| z.iter().map(|&z| of(z)).sum::<f64>() / z.len() as f64;
            let draws: Vec<f64> = draws(&session, 3);
            let [plus, minus] = [|x: f64| softplus(1.2 * x), |x: f64| softplus(-1.2 * x)];
            // Exchanged latents are the same values in another order.
            let (terms, verdicts) = if names[0] == "draws" {
                let loss = 0.5 * (mean(&minus, &draws) + mean(&plus, &z));
                ([mean(&minus, &z), loss], [mean(&sigmoid, &draws), mean(&sigmoid, &z)])
            } else {
                ([1.2 * mean(&|z| z, &z), 0.5 * (mean(&minus, &z) + mean(&plus, &z))], [mean(&sigmoid, &z); 2])
            };
            let found = judged.terms.iter().chain(&judged.verdicts).map(|(_, value)| *value as f32);
            let expected: Vec<f32> = terms.into_iter().chain(verdicts).map(|x| x as f32).collect();
            compare(&expected, &found.collect::<Vec<_>>(), SUMS).unwrap_or_else(|why| panic!("{names:?}: {why}"));
        }
    }
}

/// The first dimension of a draw of the prior for each example, as an evaluation draws them.
fn draws(session: &Session, seed: u64) -> Vec<f64> {
    let step = session.scalars(seed, Stream::Evaluate, 0, ROWS).step;
    (0..ROWS as u32).map(|example| noise_of((Stream::Evaluate, step), seed, 1, [example, 0], 3)[0]).collect()
}

/// The first dimension of a sample of the posterior of each example, likewise.
fn latents(session: &mut Session, seed: u64) -> Vec<f64> {
    let [encoder, statistics] = ["encoder.0", "encoder.head"].map(|name| parameter(session, name));
    let x = session.originals(&(0..ROWS as u32).collect::<Vec<_>>()).expect("they are there");
    let step = session.scalars(seed, Stream::Evaluate, 0, ROWS).step;
    let of = |(example, x): (usize, &[f32])| {
        let x: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
        let stats = affine(&bent(&x, &encoder), &statistics);
        let noise = noise_of((Stream::Evaluate, step), seed, 0, [example as u32, 0], 3);
        stats[0] + (0.5 * stats[3]).exp() * noise[0]
    };
    x.chunks_exact(session.model.width).enumerate().map(of).collect()
}

/// Encoder and decoder follow losses of their own: with γ = 0 in the decoder's loss nothing but the verdict moves the decoder, and
/// the encoder never follows it.
#[test]
fn encoder_and_decoder_follow_losses_of_their_own() {
    let gradients = |settings: &[(&str, &str)]| {
        let mut session = session(0, &config(settings));
        step(&mut session);
        ["encoder.0", "decoder.0"].map(|name| {
            let range = session.ranges().into_iter().find(|range| range.name == name).expect("it is there");
            session.read(0, &Role::Gradients, range.offset, range.count()).expect("it is there")
        })
    };
    let [encoder, decoder] = gradients(&[]);
    let [same, other] = gradients(&[("features", "7")]);
    assert_eq!(encoder, same, "gamma is the decoder's affair");
    assert_ne!(decoder, other);
    let [other, same] = gradients(&[("beta", "3")]);
    assert_ne!(encoder, other);
    assert_eq!(decoder, same, "the rate is the encoder's affair");
}

/// After some steps of the power method the largest singular value is 1 (what its slope is, `gradients.rs` says).
#[test]
fn spectral_normalisation_divides_by_the_largest_singular_value() {
    let (inputs, outputs) = (6, 4);
    let mut random = Philox::new(5, Stream::Choice, 0, 0);
    let w: Vec<f32> = (0..(inputs + 1) * outputs).map(|_| 3.0 * random.normal()).collect();
    let mut u: Vec<f32> = (0..outputs).map(|_| random.normal()).collect();
    for mut executor in executors() {
        let mut normal = vec![];
        for _ in 0..60 {
            let given = [("w", &[inputs + 1, outputs][..], &w[..]), ("u", &[1, outputs], &u[..])];
            let found = computed(&mut executor, 1, &given, |graph, ids| {
                let (normal, next) = spectral::normalised(graph, ids[0], ids[1]).expect("shapes meet");
                vec![normal, next]
            });
            (normal, u) = (found[0].clone(), found[1].clone());
        }
        assert_eq!(normal[inputs * outputs..], w[inputs * outputs..], "biases stay");
        let exact: Vec<f64> = normal.iter().map(|&w| f64::from(w)).collect();
        let vector: Vec<f64> = u.iter().map(|&u| f64::from(u)).collect();
        let stretch = (0..inputs)
            .map(|i| (0..outputs).map(|o| exact[i * outputs + o] * vector[o]).sum::<f64>().powi(2))
            .sum::<f64>()
            .sqrt();
        assert!((stretch - 1.0).abs() < 1e-5, "{stretch}");
    }
}

#[test]
fn a_discriminator_of_pictures_is_told_kinds_apart_by_their_place() {
    let logits = [0.3_f32, -1.2, 2.0, -0.4, 0.0, 5.0];
    let features = [1.0_f32, 2.0, 1.5, 0.0, 9.0, 9.0, 0.0, 0.0, -1.0, 3.0, 7.0, 7.0];
    for mut executor in executors() {
        let given = [("logits", &[2, 3][..], &logits[..]), ("features", &[2, 6], &features[..])];
        let found = computed(&mut executor, 2, &given, |graph: &mut Graph, ids| {
            vec![
                gan::deceit(graph, ids[0]).expect("shapes meet"),
                gan::verdict(graph, ids[0], 0.2).expect("shapes meet"),
                gan::distance(graph, ids[1]).expect("shapes meet"),
            ]
        });
        let of = |row: usize, kind: usize| f64::from(logits[3 * row + kind]);
        let deceit = |row: usize| softplus(-of(row, 1)) + softplus(-of(row, 2));
        let real = |row: usize| 0.8 * softplus(-of(row, 0)) + 0.2 * softplus(of(row, 0));
        let verdict = |row: usize| (real(row) + softplus(of(row, 1)) + softplus(of(row, 2))) / 3.0;
        let expected = [[deceit(0), deceit(1)], [verdict(0), verdict(1)], [0.5 * (0.25 + 4.0), 0.5 * (1.0 + 9.0)]];
        for (found, expected) in found.iter().zip(expected) {
            compare(&expected.map(|x| x as f32), found, SUMS).unwrap_or_else(|why| panic!("{why}"));
        }
    }
}

#[test]
fn what_a_vae_gan_cannot_be_is_refused_in_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let base = format!("train {TINY} --set features=1 --out run");
    let layers = "--set discriminator_layers=[{dense=8},\"relu\"]";
    for (arguments, words) in [
        (base.clone(), "model.discriminator_layers = [] is not allowed"),
        (format!("{base} {layers} --set likelihood=gaussian-learned"), "model.likelihood = gaussian-learned"),
        (format!("{base} {layers} --set binarise=dynamic"), "data.binarise = dynamic"),
        (format!("{base} {layers} --set monitor=objective"), "train.monitor = objective"),
        (format!("{base} {layers} --set mmd=1"), "objective.mmd = 1"),
        (format!("{base} {layers} --set adversary=1"), "objective.features = 1"),
        (format!("{base} {layers} --set condition=label"), "model.condition = label"),
        (format!("{base} {layers} --set model.discriminator=[8]"), "model.discriminator = [8]"),
        (format!("{base} {layers} --set discriminator_features=3"), "model.discriminator_features = 3"),
        (format!("{base} {layers} --set label_smoothing=0.5"), "objective.label_smoothing = 0.5"),
        (format!("{base} --set discriminator_layers=[{{conv=4,kernel=99}}]"), "model.discriminator_layers[0]"),
        (format!("{base} {layers} --set discriminator_spectral=true --set accumulate=2"), "train.accumulate = 2"),
        (format!("train {TINY} {layers} --out run"), "model.discriminator_layers = 2 layers"),
    ] {
        elbo(folder.path(), &arguments).failed(2, words);
    }
}

#[test]
fn the_program_trains_evaluates_and_resumes_a_vae_gan() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &str| elbo(folder.path(), arguments);
    let settings = "--set features=1 --set discriminator_layers=[{dense=8},\"relu\"] --set discriminator_spectral=true \
                    --set instance_noise=0.1";
    let said = run(&format!("train {TINY} {settings} --epochs 2 --out run")).succeeded();
    assert!(said.err.contains("VAE-GAN") && said.err.contains("discriminator 8, 1"), "{}", said.err);
    let metrics = std::fs::read_to_string(folder.path().join("run/metrics.csv")).unwrap();
    assert!(metrics.lines().next().unwrap().contains("features,deceit,decoder,discriminator"), "{metrics}");
    let text = run("eval run --adapter cpu --samples 20").succeeded().out;
    assert!(text.contains("distortion") && text.contains("-log p(x)"), "{text}");
    assert!(text.contains("0.6365 where it guesses; D is 0.") && text.contains("of reconstructions"), "{text}");
    let told = json(folder.path(), "eval run");
    let judged = ["features", "deceit", "discriminator"].map(|name| told[name].as_f64().expect("it is told"));
    assert!(judged.iter().all(|term| *term > 0.0) && told["verdicts"]["samples"].is_number(), "{told}");
    run("sample run --adapter cpu -n 4 --out s.png").succeeded();
    run("train --resume run --epochs 3 --adapter cpu").succeeded();
    // Exports have encoder and decoder, and no player.
    run("export run --format onnx --out o").succeeded();
}

#[test]
fn the_recipes_of_pictures_train() {
    let folder = tempfile::tempdir().unwrap();
    for recipe in ["vae-gan", "vae-gan-colour"] {
        let small = "--set examples=60 --epochs 1 --batch 10 --adapter cpu";
        elbo(folder.path(), &format!("train --recipe {recipe} {small} --out {recipe}")).succeeded();
        let metrics = std::fs::read_to_string(folder.path().join(recipe).join("metrics.csv")).unwrap();
        let last = metrics.lines().last().unwrap();
        assert!(last.split(',').filter(|cell| !cell.is_empty()).all(|cell| cell.parse::<f64>().unwrap().is_finite()));
    }
}

#[test]
fn a_run_that_goes_on_has_the_bits_of_one_that_was_never_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &str| elbo(folder.path(), arguments).succeeded();
    let gan = "--set features=1 --set discriminator_layers=[{dense=8},\"relu\"] --set discriminator_spectral=true --set \
               instance_noise=0.1 --set instance_noise_epochs=3";
    let energy = "--set prior=energy --set prior_layers=1 --set prior_width=6 --set prior_steps=3";
    for (name, settings) in [("gan", gan), ("energy", energy)] {
        run(&format!("train {TINY} {settings} --epochs 3 --out {name}-whole"));
        run(&format!("train {TINY} {settings} --epochs 2 --out {name}-parts"));
        run(&format!("train --resume {name}-parts --epochs 3 --adapter cpu"));
        let [whole, parts] = ["whole", "parts"].map(|part| {
            let checkpoints = folder.path().join(format!("{name}-{part}")).join("checkpoints");
            load(&locate(&checkpoints, Which::Last).expect("there is one")).expect("it is whole")
        });
        assert_eq!(whole.parameters, parts.parameters, "{name}");
        assert_eq!(whole.moments, parts.moments, "{name}");
    }
}
