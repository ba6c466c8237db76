//! What is particular to single likelihoods: levels and bits, counts and their dispersions, one deviation for all values.

use crate::program::{elbo, json, losses};
use crate::support::{ROUNDING, compare, executors, of_rows};
use bytemuck::Zeroable;
use elbo::config::resolve;
use elbo::graph::columns::{Column, Columns, Distribution};
use elbo::graph::mixture::Mixture;
use elbo::graph::op::Source;
use elbo::graph::{Clamp, Graph, Op};
use elbo::kernels::StepScalars;
use elbo::model::{Model, likelihood};
use elbo::plan::{Resident, Role, lower};
use elbo::report::npy;
use elbo::rng::{Philox, Stream};
use elbo::run::Run;
use elbo::shape::Shape;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// Counts of cells in a few states: half of the numbers are zeros, and the others vary more than their means.
fn counts(rows: usize, columns: usize) -> Vec<f32> {
    let mut rng = Philox::new(3, Stream::Choice, 0, 0);
    let mut all = Vec::new();
    for _ in 0..rows {
        let (state, size) = ((3.0 * rng.uniform()) as usize, (0.4 * rng.normal()).exp());
        for column in 0..columns {
            let mean = if column % 3 == state { 6.0 } else { 0.8 };
            // Exponential, which is a dispersion of 1, and rounded.
            all.push((-mean * size * rng.uniform().max(1e-6).ln()).floor());
        }
    }
    all
}

#[test]
fn counts_are_learnt_and_answered_for_on_every_executor() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let mut values = counts(600, 12);
    // Some were not counted.
    values.iter_mut().skip(7).step_by(29).for_each(|value| *value = f32::NAN);
    npy::save(&at.join("counts.npy"), &values, &[600, 12]).unwrap();
    let adapters = crate::support::adapters(true).len();
    let all = std::iter::once("cpu".to_owned()).chain((0..adapters).map(|adapter| adapter.to_string()));
    for adapter in all {
        let line = format!("train --data counts.npy --recipe counts --epochs 12 --batch 50 --adapter {adapter}");
        elbo(at, &format!("{line} --out run-{adapter}")).succeeded();
        let [first, last] = losses(&at.join(format!("run-{adapter}")));
        assert!(last < first - 2.0, "{adapter}: from {first} to {last} nats");
    }
    let eval = json(at, "eval run-cpu --samples 20");
    assert_eq!(eval["inverse_dispersion"].as_array().unwrap().len(), 12);
    assert!(eval["neg_log_px"].as_f64().unwrap() <= eval["neg_elbo"].as_f64().unwrap() + 0.5, "{eval}");
    assert_eq!(eval["bits_per_dim"], Value::Null, "counts have no levels");
    elbo(at, "sample run-cpu -n 5 --out sample.csv --adapter cpu").succeeded();
    for row in csv::Reader::from_path(at.join("sample.csv")).unwrap().records() {
        let row = row.unwrap();
        assert!(row.iter().all(|rate| (0.0..200.0).contains(&rate.parse::<f32>().unwrap())), "{row:?}");
    }
    elbo(at, "export run-cpu --format safetensors --out model").succeeded();
    let bytes = fs::read(at.join("model/model.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(tensors.tensor("decoder.log_dispersion").unwrap().shape(), [12]);
    elbo(at, "score run-cpu --data counts.npy --features --out scores.csv --adapter cpu").succeeded();
    // The dispersion is worth something: Poisson does worse on the same counts.
    let line = "train --data counts.npy --recipe counts --set model.likelihood=poisson --epochs 12 --batch 50";
    elbo(at, &format!("{line} --adapter cpu --out poisson")).succeeded();
    let poisson = json(at, "eval poisson");
    assert!(poisson["neg_elbo"].as_f64().unwrap() > eval["neg_elbo"].as_f64().unwrap(), "{poisson} {eval}");
    // A program is told what is no count.
    let mut run = Run::open(&at.join("run-cpu"), "cpu").unwrap();
    assert!(run.score(&values[..24], 1).unwrap().iter().all(|terms| terms.neg_elbo().is_finite()));
    for wrong in [0.5, -1.0, 1e9] {
        let error = run.encode(&[&[3.0; 11][..], &[wrong]].concat()).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("value 11 of example 0"), "{error}");
        assert!(error.to_string().contains("takes counts"), "{error}");
    }
}

#[test]
fn one_column_of_counts_has_a_dispersion_and_no_deviation() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let rows: Vec<String> = counts(200, 1).iter().map(|count| format!("{count}\n")).collect();
    fs::write(at.join("visits.csv"), format!("visits\n{}", rows.concat())).unwrap();
    let line = "train --data visits.csv --recipe counts --latent 2 --epochs 2 --batch 20 --out run --adapter cpu";
    let said = elbo(at, line).succeeded().err;
    assert!(said.contains("\ntheta") && !said.contains("\nsigma"), "{said}");
    assert!(said.contains("decoder.log_dispersion: 1 for all examples"), "{said}");
    let eval = json(at, "eval run");
    let theta = eval["inverse_dispersion"][0].as_f64().unwrap();
    assert!(theta > 0.0 && eval["inverse_dispersion"].as_array().unwrap().len() == 1, "{eval}");
    assert_eq!(eval["sigma"], Value::Null);
    let text = elbo(at, "eval run --adapter cpu").succeeded().out;
    assert!(text.contains("theta") && !text.contains("sigma"), "{text}");
    // What is learned once for all examples leaves the house in every format, and does not come back.
    for format in ["onnx", "safetensors"] {
        elbo(at, &format!("export run --format {format} --out {format}")).succeeded();
        let config: Value = serde_json::from_slice(&fs::read(at.join(format).join("config.json")).unwrap()).unwrap();
        assert_eq!(config["learned"]["inverse_dispersion"], eval["inverse_dispersion"], "{format}");
    }
    elbo(at, "import safetensors --out back").failed(2, "the folder holds a model of likelihood negative-binomial");
    assert!(!at.join("back").exists());
}

/// Bytes as `NumPy` stores them.
fn save_bytes(path: &Path, bytes: &[u8], dims: &[usize]) {
    let dims: Vec<String> = dims.iter().map(usize::to_string).collect();
    let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({}), }}", dims.join(", "));
    let header = format!("{header:<117}\n");
    let all = [&b"\x93NUMPY\x01\x00"[..], &(header.len() as u16).to_le_bytes(), header.as_bytes(), bytes].concat();
    fs::write(path, all).unwrap();
}

#[test]
fn levels_are_the_same_as_bytes_and_as_numbers_of_which_some_may_be_missing() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let mut rng = Philox::new(8, Stream::Choice, 0, 0);
    let bytes: Vec<u8> = (0..80 * 30).map(|_| (256.0 * rng.uniform()) as u8).collect();
    let mut levels: Vec<f32> = bytes.iter().map(|&byte| f32::from(byte) / 255.0).collect();
    save_bytes(&at.join("bytes.npy"), &bytes, &[80, 5, 6]);
    npy::save(&at.join("levels.npy"), &levels, &[80, 5, 6]).unwrap();
    levels.iter_mut().skip(4).step_by(7).for_each(|level| *level = f32::NAN);
    npy::save(&at.join("holed.npy"), &levels, &[80, 5, 6]).unwrap();
    let small = "--set encoder_layers=[] --set decoder_layers=[] --set model.hidden=[8] --latent 2 --set components=2";
    for trained in ["bytes", "levels"] {
        let line = format!("train --data {trained}.npy --recipe mixture {small} --epochs 2 --batch 20 --out {trained}");
        elbo(at, &format!("{line} --adapter cpu")).succeeded();
        let [of_bytes, of_levels] = ["bytes", "levels"]
            .map(|data| json(at, &format!("eval {trained} --data {data}.npy"))["neg_elbo"].as_f64().unwrap());
        assert!((of_bytes / of_levels - 1.0).abs() < 1e-6, "{trained}: {of_bytes} is not {of_levels}");
        for data in ["bytes", "levels", "holed"] {
            let line = format!("score {trained} --data {data}.npy --features --out scores.csv --adapter cpu");
            let said = elbo(at, &line).succeeded();
            let scores = fs::read_to_string(at.join("scores.csv")).unwrap();
            assert!(scores.lines().count() == 81 && !scores.contains("inf"), "{line}\n{}\n{scores}", said.err);
        }
        let mut run = Run::open(&at.join(trained), "cpu").unwrap();
        assert!(run.encode(&levels[..60]).unwrap().means.iter().all(|mean| mean.is_finite()));
        let error = run.encode(&[0.3; 30]).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("256 levels"), "{error}");
    }
    // Whatever the likelihood, they are the same data.
    let hash = |likelihood: &str| {
        let source = at.join("levels.npy").display().to_string();
        let settings = [("data.source", source.as_str()), ("model.likelihood", likelihood), ("validation", "0")];
        let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
        elbo::data::open(&resolve(None, &settings).unwrap(), None).unwrap().hash
    };
    for likelihood in ["gaussian", "logistic-mixture", "poisson"] {
        assert_eq!(hash(likelihood), hash("bernoulli"), "{likelihood}");
    }
}

#[test]
fn pictures_of_256_levels_are_told_in_bits_per_value() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let small = "--set encoder_layers=[] --set decoder_layers=[] --set model.hidden=[32] --latent 4 --set components=3";
    let line = format!("train --recipe mixture {small} --set data.examples=600 --epochs 3 --batch 50 --adapter cpu");
    let said = elbo(at, &format!("{line} --out run")).succeeded();
    let [first, last] = losses(&at.join("run"));
    assert!(last < first - 100.0, "from {first} to {last} nats\n{}", said.err);
    let eval = json(at, "eval run --samples 10");
    for (nats, bits) in [("neg_elbo", "bits_per_dim"), ("neg_log_px", "neg_log_px_bits_per_dim")] {
        let expected = eval[nats].as_f64().unwrap() / (784.0 * 2.0_f64.ln());
        let found = eval[bits].as_f64().unwrap();
        assert!((found - expected).abs() < 1e-9 && (0.1..8.0).contains(&found), "{bits}: {found}");
    }
    let text = elbo(at, "eval run --adapter cpu").succeeded().out;
    assert!(text.contains("bits/dim"), "{text}");
    for line in ["sample run -n 9 --out s.png", "reconstruct run --out r.png", "score run --features --out s.csv"] {
        elbo(at, &format!("{line} --adapter cpu")).succeeded();
    }
}

#[test]
fn one_deviation_for_all_values_is_learnt_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let settings = "--recipe gaussian --set model.likelihood=gaussian-shared --set sigma=0.4 --set validation=0 \
                    --set hidden=[32] --latent 4 --set data.examples=600 --batch 50 --lr 3e-3";
    let said = elbo(at, &format!("train {settings} --epochs 20 --out run --adapter cpu")).succeeded();
    let sigma = json(at, "eval run")["sigma"].as_f64().unwrap();
    let evaluated = elbo(at, "eval run --adapter cpu").succeeded();
    assert!(evaluated.err.contains("the figures are those of a density"), "{}", evaluated.err);
    // It began at 0.4, and a step of Adam changes its logarithm by half the learning rate.
    assert!((0.1..0.35).contains(&sigma), "{sigma}");
    assert!(said.err.contains(&format!("sigma    {sigma:.4}")), "{}", said.err);
    elbo(at, "export run --format safetensors --out model").succeeded();
    let bytes = fs::read(at.join("model/model.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let stored = tensors.tensor("decoder.log_variance").unwrap().data().to_vec();
    let log_variance = f32::from_le_bytes(stored.try_into().unwrap());
    assert!((f64::from(0.5 * log_variance).exp() - sigma).abs() < 1e-6);
    let config: Value = serde_json::from_slice(&fs::read(at.join("model/config.json")).unwrap()).unwrap();
    assert_eq!(config["learned"]["sigma"].as_f64().unwrap(), sigma);
    let card = fs::read_to_string(at.join("model/README.md")).unwrap();
    assert!(card.contains("learned and the same for all, 0.") && card.contains("`decoder.log_variance` [1]"), "{card}");
    elbo(at, "import model --out back").failed(2, "the folder holds a model of likelihood gaussian-shared");
}

#[test]
fn scales_of_a_mixture_are_learnt_once_for_all_pixels_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    // Levels of a logistic distribution with a scale of 3 around 128, of which a model can learn nothing else.
    let mut rng = Philox::new(8, Stream::Choice, 0, 0);
    let mut level = || {
        let u = rng.uniform().clamp(1e-6, 1.0 - 1e-6);
        (128.0 + 3.0 * (u / (1.0 - u)).ln()).round().clamp(0.0, 255.0) / 255.0
    };
    let levels: Vec<f32> = (0..600 * 64).map(|_| level()).collect();
    npy::save(&at.join("x.npy"), &levels, &[600, 8, 8]).unwrap();
    let line = "train --recipe mixture --data x.npy --set encoder_layers=[] --set decoder_layers=[] --set model.hidden=[8] \
                --latent 2 --set components=1 --set scales=shared --batch 50 --lr 3e-2 --epochs 30 --adapter cpu --out run";
    let said = elbo(at, line).succeeded();
    let eval = json(at, "eval run");
    let scale = eval["scale"][0].as_f64().unwrap();
    assert!((2.8..3.3).contains(&scale), "{scale}");
    // The entropy of that distribution is log(3) + 2 nats.
    let bits = eval["bits_per_dim"].as_f64().unwrap();
    let entropy = (3.0_f64.ln() + 2.0) / 2.0_f64.ln();
    assert!((bits - entropy).abs() < 0.1, "{bits} bits, of {entropy}");
    assert!(said.err.contains(&format!("scale    {scale:.2}")), "{}", said.err);
    elbo(at, "export run --format safetensors --out model").succeeded();
    let card = fs::read_to_string(at.join("model/README.md")).unwrap();
    assert!(card.contains("`learned.scale`") && card.contains("`decoder.log_scale` [1]"), "{card}");
    let config: Value = serde_json::from_slice(&fs::read(at.join("model/config.json")).unwrap()).unwrap();
    assert_eq!(config["learned"]["scale"][0].as_f64().unwrap(), scale);
}

#[test]
fn data_that_do_not_fit_a_likelihood_are_refused_in_a_line_with_advice() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    npy::save(&at.join("halves.npy"), &[0.5; 40], &[20, 2]).unwrap();
    npy::save(&at.join("minus.npy"), &[-1.0; 40], &[20, 2]).unwrap();
    npy::save(&at.join("counts.npy"), &counts(20, 2), &[20, 2]).unwrap();
    fs::write(at.join("flags.csv"), format!("a,b\n{}", "0,1\n1,0\n".repeat(20))).unwrap();
    for (line, code, words) in [
        ("--data halves.npy --recipe mixture --set encoder_layers=[] --set decoder_layers=[]", 3, "256 levels"),
        ("--data halves.npy --recipe counts", 3, "value 0 of row 0 (both from 0) is 0.5, but the negative-binomial"),
        ("--data minus.npy --recipe counts --set model.likelihood=poisson", 3, "whole numbers from 0"),
        ("--data flags.csv --recipe counts", 3, "data.columns.*=count"),
        ("--data counts.npy --recipe counts --set data.scale=standardise", 3, "leave data.scale out"),
        ("--data counts.npy --recipe counts --set data.binarise=dynamic", 2, "data.binarise = dynamic"),
        ("--recipe counts", 3, "logistic-mixture"),
        ("--recipe mixture --set data.binarise=dynamic", 2, "data.binarise = dynamic"),
        ("--recipe mixture --set components=0", 2, "model.components = 0"),
        ("--recipe mixture --set components=257", 2, "model.components = 257"),
    ] {
        let line = format!("train {line} --set data.shuffle=false --batch 2 --out run --adapter cpu");
        elbo(at, &line).failed(code, words);
        assert!(!at.join("run").exists(), "{line}");
    }
    // With its type said, a column of zeros and ones is one of counts.
    let said = "train --data flags.csv --recipe counts --set data.columns.*=count --batch 4 --epochs 1 --out run";
    elbo(at, &format!("{said} --adapter cpu")).succeeded();
}

/// Single precision against double, over counts up to a million and all means and dispersions that there may be. Where the
/// mean is near the count a term is a few nats, and may be off by a few units of single precision of what it is made of.
#[test]
fn terms_of_counts_are_exact_in_single_precision_wherever_they_lie() {
    for (word, distribution, logits) in [
        ("negative-binomial", Distribution::NegativeBinomial, &[0.0][..]),
        ("zero-inflated-negative-binomial", Distribution::ZeroInflated, &[-18.0, -3.0, -0.2, 4.0]),
    ] {
        for &logit in logits {
            terms_are_exact(word, distribution, logit);
        }
    }
}

fn terms_are_exact(word: &str, distribution: Distribution, logit: f32) {
    let settings = [("model.likelihood".to_owned(), word.to_owned())];
    let config = resolve(Some("counts"), &settings).unwrap();
    let model = Model::with(&config, [1, 1, 1], Source::Floats, None, false, 0).unwrap();
    let (mut out, mut x) = (vec![], vec![]);
    for count in [0.0, 1.0, 2.0, 7.0, 8.0, 30.0, 1000.0, 65_536.0, 1e6_f32] {
        for near in [-9.0, -1.0, -0.1, 0.0, 0.01, 1.0, 6.0] {
            for log_theta in [-10.0, -3.0, 0.0, 1.5, 5.0, 10.0] {
                let zeros = (distribution == Distribution::ZeroInflated).then_some(logit);
                let log_mean = (count.max(0.5).ln() + near).clamp(-20.0, 20.0);
                out.extend([Some(log_mean), zeros, Some(log_theta)].into_iter().flatten());
                x.push(count);
            }
        }
    }
    let wide = out.len() / x.len();
    let expected: Vec<f64> =
        out.chunks_exact(wide).zip(&x).map(|(out, &x)| likelihood::column_distortions(&model, out, &[x])[0]).collect();
    let column = Column { distribution, places: 1 };
    let columns =
        Arc::new(Columns { all: vec![column], clamp: Clamp { low: 0.0, high: 1.0 }, fixed_log_variance: 0.0 });
    for mut executor in executors() {
        let table = |[out, x]: [_; 2]| Op::Table { out, x, columns: columns.clone() };
        let found = of_rows(&mut executor, "counts", x.len(), [&out, &x], &table);
        for (at, (&found, &expected)) in found.iter().zip(&expected).enumerate() {
            let allowed = 2e-5 * expected.abs().max(1.0);
            let error = (f64::from(found) - expected).abs();
            let given = (x[at], &out[wide * at..wide * (at + 1)]);
            assert!(error < allowed, "{}, {given:?}: {found} is not {expected}", executor.name());
        }
    }
}

/// Many items, large logits, several samples of an example, and items that are missing: on every executor as on the host in
/// double precision.
#[test]
fn the_items_of_an_example_have_the_terms_of_their_formula() {
    const BATCH: usize = 6;
    for (width, samples, missing, scale) in
        [(5, 1, false, 1.0), (5, 3, true, 30.0), (700, 2, true, 4.0), (1, 1, true, 1.0)]
    {
        let settings = [("model.likelihood".to_owned(), "multinomial".to_owned())];
        let config = resolve(Some("counts"), &settings).unwrap();
        let model = Model::with(&config, [1, 1, width], Source::Floats, None, missing, 0).unwrap();
        let mut rng = Philox::new(5, Stream::Choice, width as u32, 0);
        let out: Vec<f32> = (0..BATCH * samples * width).map(|_| scale * rng.normal()).collect();
        let mut x: Vec<f32> = (0..BATCH * width).map(|_| (3.0 * rng.uniform()).floor()).collect();
        if missing {
            x.iter_mut().step_by(7).for_each(|x| *x = f32::NAN);
        }
        let of_row = |row: usize| -> f64 {
            let (out, x) = (&out[row * width..][..width], &x[row / samples * width..][..width]);
            likelihood::column_distortions(&model, out, x).iter().sum()
        };
        let expected: Vec<f32> = (0..BATCH * samples).map(|row| of_row(row) as f32).collect();
        for mut executor in executors() {
            let name = format!("items {width} {samples}");
            let mut graph = Graph::new(BATCH);
            let mut input = |what: &str, rows: usize| {
                let name = format!("{name} {what}");
                graph.add(Op::Input { name, shape: Shape::new(&[rows, width]) }).unwrap()
            };
            let [given, shown] = [input("out", BATCH * samples), input("x", BATCH)];
            let rows = likelihood::distortion(&mut graph, &model, given, shown).unwrap();
            graph.output(&name, rows);
            let resident = Resident { data_words: 4, window: 0, order_words: 4, metric_slots: 1 };
            let id = executor.load(lower(&name, graph, None, resident, executor.target()).unwrap()).unwrap();
            for (what, values) in [("out", &out), ("x", &x)] {
                executor.write_f32(&Role::Input(format!("{name} {what}")), 0, values).unwrap();
            }
            executor.run(id, &[StepScalars { rows: BATCH as u32, ..StepScalars::zeroed() }]).unwrap();
            let found = executor.read_f32(&Role::Output(name.clone()), 0, BATCH * samples).unwrap();
            compare(&expected, &found, ROUNDING).unwrap_or_else(|why| panic!("{name} on {}: {why}", executor.name()));
        }
    }
}

/// What people chose of two kinds of things, by two kinds of people.
#[test]
fn what_is_chosen_is_learnt_and_answered_for() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let mut rng = Philox::new(6, Stream::Choice, 0, 0);
    let mut chosen = vec![0.0; 400 * 10];
    for (row, chosen) in chosen.chunks_exact_mut(10).enumerate() {
        for _ in 0..12 {
            let liked = if rng.uniform() < 0.9 { row % 2 } else { 1 - row % 2 };
            chosen[5 * liked + (5.0 * rng.uniform()) as usize] += 1.0;
        }
    }
    npy::save(&at.join("chosen.npy"), &chosen, &[400, 10]).unwrap();
    let line =
        "train --data chosen.npy --recipe counts --set model.likelihood=multinomial --latent 2 --epochs 15 --batch 40";
    elbo(at, &format!("{line} --set output_bias_from_data=true --adapter cpu --out run")).succeeded();
    let [first, last] = losses(&at.join("run"));
    assert!(last < first - 1.0, "from {first} to {last} nats");
    let eval = json(at, "eval run --samples 20");
    // Twelve items out of ten cost at most 12 log 10.
    let nats = eval["neg_log_px"].as_f64().unwrap();
    assert!(nats < 12.0 * 10.0_f64.ln() && nats <= eval["neg_elbo"].as_f64().unwrap() + 0.5, "{eval}");
    assert_eq!(eval["bits_per_dim"], Value::Null, "items have no levels");
    elbo(at, "sample run -n 4 --out sample.csv --adapter cpu").succeeded();
    for row in csv::Reader::from_path(at.join("sample.csv")).unwrap().records() {
        let sum: f32 = row.unwrap().iter().map(|share| share.parse::<f32>().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-4, "shares of items add up to {sum}");
    }
    elbo(at, "score run --data chosen.npy --features --out scores.csv --adapter cpu").succeeded();
    elbo(at, "export run --format onnx --out model").succeeded();
    let card = fs::read_to_string(at.join("model/README.md")).unwrap();
    assert!(card.contains("numpy.logaddexp.reduce(logits, 1, keepdims=True)"), "{card}");
    let halves: Vec<f32> = chosen.iter().map(|x| x + 0.5).collect();
    npy::save(&at.join("halves.npy"), &halves, &[400, 10]).unwrap();
    elbo(at, "train --data halves.npy --recipe counts --set model.likelihood=multinomial --adapter cpu --out no")
        .failed(3, "the multinomial likelihood takes counts, whole numbers");
}

/// Colour pixels of which channels are missing, worked out on the host by the chain rule.
#[test]
fn a_mixture_of_colours_is_the_product_of_each_channel_given_those_before_it() {
    let settings =
        [("model.components", "3"), ("model.scales", "each")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    let config = resolve(Some("mixture"), &settings).unwrap();
    let model = Model::with(&config, [3, 4, 4], Source::Floats, None, true, 0).unwrap();
    let mixture = Mixture { components: 3, channels: 3, shared_scales: false };
    assert_eq!(likelihood::mixture(&model), mixture);
    let (count, wide) = (5, mixture.outputs(48));
    let mut rng = Philox::new(6, Stream::Choice, 0, 0);
    let mut out: Vec<f32> = (0..count * wide).map(|_| 1.5 * rng.normal()).collect();
    // Scales, behind logits and means, down to the narrowest that there are.
    for row in out.chunks_exact_mut(wide) {
        row[3 * 16 + 3 * 48..].iter_mut().for_each(|scale| *scale = 1.0 - 9.0 * rng.uniform());
    }
    let mut x: Vec<f32> = (0..count * 48).map(|_| (300.0 * rng.uniform()).floor().min(255.0) / 255.0).collect();
    x.iter_mut().skip(3).step_by(7).for_each(|value| *value = f32::NAN);
    let terms = |(out, x): (&[f32], &[f32])| -> f64 {
        let terms = likelihood::column_distortions(&model, out, x);
        assert!(terms.len() == 48 && terms.iter().zip(x).all(|(&term, x)| (term == 0.0) == x.is_nan()));
        terms.iter().sum()
    };
    let expected: Vec<f32> = out.chunks_exact(wide).zip(x.chunks_exact(48)).map(|row| terms(row) as f32).collect();
    for mut executor in executors() {
        let op = |[out, x]: [_; 2]| Op::LogisticMixture { out, x, mixture };
        let found = of_rows(&mut executor, "mixture", count, [&out, &x], &op);
        crate::support::compare(&expected, &found, crate::support::ROUNDING)
            .unwrap_or_else(|why| panic!("{}: {why}", executor.name()));
    }
}
