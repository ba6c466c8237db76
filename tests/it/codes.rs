//! Models whose latents are codes of a codebook: a step by the formulas in double precision, how codes begin, what they are
//! asked, and that nothing else about training notices.

mod prior;

use crate::program::elbo;
use crate::support::{Tolerance, compare, computed, executors};
use elbo::checkpoint::{Checkpoint, TrainerState, Which, load, locate};
use elbo::config::{self, Config};
use elbo::data::batches::Batch;
use elbo::model::codebook::nearest;
use elbo::model::{Model, phases};
use elbo::plan::Role;
use elbo::rng::{Philox, Stream};
use elbo::session::{Purpose, Session};
use elbo::train::{Update, scalars};
use elbo::{data, eval};
use std::collections::BTreeSet;
use std::path::Path;

/// One code of three numbers for an example, by a network without hidden layers.
const SETTINGS: &[(&str, &str)] = &[
    ("batch", "20"),
    ("latent", "3"),
    ("hidden", "[]"),
    ("codes", "6"),
    ("examples", "120"),
    ("likelihood", "gaussian"),
    ("sigma", "0.8"),
    ("seed", "3"),
];

/// Other orders of the same sums.
const ROUNDING: Tolerance = Tolerance { nmse: 1e-9, element: 1e-4, absolute: 1e-6 };

fn config(settings: &[(&str, &str)]) -> Config {
    let usual = SETTINGS.iter().filter(|(key, _)| settings.iter().all(|(other, _)| other != key));
    let all = usual.chain(settings).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    config::resolve(None, &all.collect::<Vec<_>>()).expect("the settings are valid")
}

/// A session with its first parameters, on the executor of this number.
fn session(device: usize, settings: &[(&str, &str)]) -> Session {
    let config = config(settings);
    let data = data::open(&config, None).expect("glyphs are drawn");
    let mut session = Session::new(config, data, executors().swap_remove(device)).expect("the model fits");
    session.plan(Purpose::Train).expect("the plan fits");
    session.initialise().expect("the parameters fit");
    session.set_order(&(0..100).collect::<Vec<_>>()).expect("the order fits");
    session
}

/// A step of training on the same examples each time, of which `rows` count.
fn run(session: &mut Session, step: u64, rows: usize) {
    let plan = session.plan(Purpose::Train).expect("it is loaded");
    let update = Update { step, per_epoch: 10, slot: 0, batch: Batch { first: 0, rows } };
    let told = scalars(&session.config, &TrainerState::default(), &update, 0);
    session.run(plan, &[told]).expect("it runs");
}

fn read(session: &mut Session, role: &Role, name: &str) -> Vec<f32> {
    let range = session.ranges().into_iter().find(|range| range.name == name).expect(name);
    session.read(0, role, range.offset, range.count()).expect("it is there")
}

fn write(session: &mut Session, name: &str, values: &[f32]) {
    let range = session.ranges().into_iter().find(|range| range.name == name).expect(name);
    let words = bytemuck::cast_slice(values);
    session.executor.write_to(0, &Role::Parameters, range.offset, words).expect("it fits");
}

/// x·W + b of rows, in double precision; the last row of `w` is b.
fn affine(x: &[f64], w: &[f64], [inputs, outputs]: [usize; 2]) -> Vec<f64> {
    let row = |x: &[f64]| -> Vec<f64> {
        let bias = &w[inputs * outputs..];
        (0..outputs).map(|j| bias[j] + (0..inputs).map(|i| x[i] * w[i * outputs + j]).sum::<f64>()).collect()
    };
    x.chunks_exact(inputs).flat_map(row).collect()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}

/// What a step is by the formulas of the module, in double precision: one code for each of B examples.
struct Twin {
    index: Vec<usize>,
    terms: Vec<f64>,
    /// Those of `encoder.head`, `decoder.head` and the codes.
    gradients: [Vec<f64>; 3],
    size: Vec<f64>,
    sums: Vec<f64>,
}

const LATENT: usize = 3;
const CODES: usize = 6;
const WIDTH: usize = 784;
const BATCH: usize = 20;

fn twin(
    x: &[f64],
    [encoder, decoder]: [&[f64]; 2],
    codes: &[f64],
    (size, sums): (&[f64], &[f64]),
    rows: usize,
) -> Twin {
    let variance = f64::from(0.8_f32).powi(2);
    let z = affine(x, encoder, [WIDTH, LATENT]);
    let of = |all: &[f64], at: usize, width: usize| all[at * width..][..width].to_vec();
    let distance = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
    let mut index = Vec::new();
    let [mut distortion, mut committed] = [0.0; 2];
    let mut d_encoder = vec![0.0; encoder.len()];
    let mut d_decoder = vec![0.0; decoder.len()];
    let mut d_codes = vec![0.0; codes.len()];
    let (mut counts, mut added) = (vec![0.0; CODES], vec![0.0; codes.len()]);
    for row in 0..BATCH {
        let (x, own) = (of(x, row, WIDTH), of(&z, row, LATENT));
        let far = |k: &usize| distance(&own, &of(codes, *k, LATENT));
        let k = (0..CODES).min_by(|a, b| far(a).total_cmp(&far(b))).unwrap();
        index.push(k);
        if row >= rows {
            continue;
        }
        let (e, weight) = (of(codes, k, LATENT), 1.0 / rows as f64);
        let mean = affine(&e, decoder, [LATENT, WIDTH]);
        let log = (2.0 * std::f64::consts::PI * variance).ln();
        distortion += weight * 0.5 * (distance(&x, &mean) / variance + WIDTH as f64 * log);
        committed += weight * distance(&own, &e);
        let dy: Vec<f64> = mean.iter().zip(&x).map(|(mean, x)| weight * (mean - x) / variance).collect();
        let mut dz = [0.0; LATENT];
        for j in 0..LATENT {
            for i in 0..WIDTH {
                dz[j] += dy[i] * decoder[j * WIDTH + i];
                d_decoder[j * WIDTH + i] += dy[i] * e[j];
            }
            dz[j] += 0.25 * weight * 2.0 * (own[j] - e[j]);
            d_codes[k * LATENT + j] += weight * 2.0 * (e[j] - own[j]);
            added[k * LATENT + j] += own[j];
        }
        (0..WIDTH).for_each(|i| d_decoder[LATENT * WIDTH + i] += dy[i]);
        for j in 0..LATENT {
            (0..WIDTH).for_each(|i| d_encoder[i * LATENT + j] += x[i] * dz[j]);
            d_encoder[WIDTH * LATENT + j] += dz[j];
        }
        counts[k] += 1.0;
    }
    let gamma = f64::from(0.99_f32);
    let average = |old: &[f64], new: &[f64]| -> Vec<f64> {
        old.iter().zip(new).map(|(old, new)| gamma * old + (1.0 - gamma) * new).collect()
    };
    let rate = (CODES as f64).ln();
    let terms = vec![distortion, rate, committed, committed];
    Twin {
        index,
        terms,
        gradients: [d_encoder, d_decoder, d_codes],
        size: average(size, &counts),
        sums: average(sums, &added),
    }
}

/// Codes that lie among the outputs of the encoder, of which none is dead, as tensors: size, sum or start, and codes.
fn placed(session: &mut Session, gradient: bool) -> (Vec<f64>, [Vec<f32>; 2]) {
    let mut random = Philox::new(7, Stream::Choice, 0, 0);
    let size: Vec<f32> = (0..CODES).map(|k| 2.0 + k as f32).collect();
    let codes: Vec<f32> = (0..CODES * LATENT).map(|_| 0.4 * random.normal()).collect();
    let total: f64 = wide(&size).iter().sum();
    let smooth = |k: usize| (f64::from(size[k]) + 1e-5) / (total + CODES as f64 * 1e-5) * total;
    let exact: Vec<f64> = if gradient {
        let start: Vec<f32> = codes.iter().map(|code| code - 0.5).collect();
        write(session, "codebook.start", &start);
        write(session, "codebook.codes", &vec![0.5; codes.len()]);
        start.iter().map(|&start| f64::from(start) + 0.5).collect()
    } else {
        let sums: Vec<f32> = (0..codes.len()).map(|at| (f64::from(codes[at]) * smooth(at / LATENT)) as f32).collect();
        write(session, "codebook.sum", &sums);
        (0..codes.len()).map(|at| f64::from(sums[at]) / smooth(at / LATENT)).collect()
    };
    write(session, "codebook.size", &size);
    let base = read(session, &Role::Parameters, if gradient { "codebook.start" } else { "codebook.sum" });
    (exact, [size, base])
}

#[test]
fn a_step_is_that_of_the_formulas_in_double_precision() {
    for device in 0..executors().len() {
        for (follows, rows) in [("ema", 20), ("ema", 13), ("gradient", 20), ("gradient", 13)] {
            let gradient = follows == "gradient";
            let mut session = session(device, &[("codebook", follows)]);
            let (codes, [size, base]) = placed(&mut session, gradient);
            let maps = ["encoder.head", "decoder.head"].map(|name| read(&mut session, &Role::Parameters, name));
            let x = session.data().unwrap().examples(&(0..20).collect::<Vec<_>>()).unwrap();
            let [encoder, decoder] = maps.map(|map| wide(&map));
            let twin = twin(&wide(&x), [&encoder, &decoder], &codes, (&wide(&size), &wide(&base)), rows);
            assert!(twin.index.iter().collect::<BTreeSet<_>>().len() > 2, "several codes are used");
            run(&mut session, 5, rows);
            let what = format!("{follows} with {rows} of 20 on {}", session.executor.name());
            let terms = if gradient { 4 } else { 3 };
            let found = session.read(0, &Role::Metrics, 0, terms).unwrap();
            compare(&narrow(&twin.terms[..terms]), &found, ROUNDING).unwrap_or_else(|why| panic!("{what}: {why}"));
            let names = ["encoder.head", "decoder.head", "codebook.codes"];
            for (name, expected) in names.iter().zip(&twin.gradients).take(if gradient { 3 } else { 2 }) {
                let found = read(&mut session, &Role::Gradients, name);
                compare(&narrow(expected), &found, ROUNDING).unwrap_or_else(|why| panic!("{name}, {what}: {why}"));
            }
            let found = read(&mut session, &Role::Parameters, "codebook.size");
            compare(&narrow(&twin.size), &found, ROUNDING).unwrap_or_else(|why| panic!("size, {what}: {why}"));
            if gradient {
                assert_eq!(read(&mut session, &Role::Parameters, "codebook.start"), base, "{what}");
            } else {
                let found = read(&mut session, &Role::Parameters, "codebook.sum");
                compare(&narrow(&twin.sums), &found, ROUNDING).unwrap_or_else(|why| panic!("sums, {what}: {why}"));
            }
        }
    }
}

/// The codes that a session has, from its tensors.
fn codes_of(session: &mut Session, gradient: bool) -> Vec<f64> {
    let mut tensor = |name: &str| wide(&read(session, &Role::Parameters, name));
    if gradient {
        let (start, moved) = (tensor("codebook.start"), tensor("codebook.codes"));
        return start.iter().zip(&moved).map(|(start, moved)| start + moved).collect();
    }
    let (size, sums) = (tensor("codebook.size"), tensor("codebook.sum"));
    let (total, count) = (size.iter().sum::<f64>(), size.len() as f64);
    let smooth = |k: usize| (size[k] + 1e-5) / (total + count * 1e-5) * total;
    sums.iter().enumerate().map(|(at, sum)| sum / smooth(at / LATENT)).collect()
}

/// The rows of the encoder's outputs that codes lie on, where they do.
fn rows_of(codes: &[f64], z: &[f64]) -> Vec<Option<usize>> {
    let near = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4);
    codes.chunks_exact(LATENT).map(|code| z.chunks_exact(LATENT).position(|z| near(code, z))).collect()
}

/// With a decay of 0.999999 a code is hardly moved by what it stands for in its first step; of
/// codes that follow the gradient it is moved by as much as the learning rate.
#[test]
fn codes_begin_as_outputs_of_the_encoder_and_begin_again_where_they_are_dead() {
    for device in 0..executors().len() {
        let mut seen = BTreeSet::new();
        for (follows, seed) in [("ema", "3"), ("ema", "4"), ("gradient", "3")] {
            let gradient = follows == "gradient";
            let settings = [("codebook", follows), ("seed", seed), ("lr", "1e-6"), ("codebook_decay", "0.999999")];
            let mut session = session(device, &settings);
            let encoder = read(&mut session, &Role::Parameters, "encoder.head");
            let x = session.data().unwrap().examples(&(0..20).collect::<Vec<_>>()).unwrap();
            let z = affine(&wide(&x), &wide(&encoder), [WIDTH, LATENT]);
            // A batch that is not whole says too little of the data.
            run(&mut session, 0, 13);
            // All codes are 0, so the first of them stands for everything.
            assert!(codes_of(&mut session, gradient)[LATENT..].iter().all(|&code| code == 0.0));
            write(&mut session, "encoder.head", &encoder);
            write(&mut session, "codebook.size", &[0.0; CODES]);
            run(&mut session, 1, 20);
            let codes = codes_of(&mut session, gradient);
            let rows = rows_of(&codes, &z);
            assert!(rows.iter().all(Option::is_some), "{follows}: {rows:?}");
            assert_eq!(rows.iter().collect::<BTreeSet<_>>().len(), CODES, "no two begin as one: {rows:?}");
            seen.insert(rows.clone());
            // One dies; the others stay where they are.
            write(&mut session, "encoder.head", &encoder);
            let mut size = read(&mut session, &Role::Parameters, "codebook.size");
            size[2] = 0.01;
            write(&mut session, "codebook.size", &size);
            let name = if gradient { "codebook.start" } else { "codebook.sum" };
            let mut base = read(&mut session, &Role::Parameters, name);
            base[2 * LATENT..3 * LATENT].fill(50.0);
            write(&mut session, name, &base);
            run(&mut session, 2, 20);
            let now = rows_of(&codes_of(&mut session, gradient), &z);
            assert!(now[2].is_some() && now[2] != rows[2], "{follows}: {rows:?} to {now:?}");
            let others = |rows: &[Option<usize>]| [&rows[..2], &rows[3..]].concat();
            assert_eq!(others(&now), others(&rows), "{follows}");
            let size = read(&mut session, &Role::Parameters, "codebook.size");
            assert!((size[2] - 0.2 * 20.0 / 6.0).abs() < 1e-3, "it weighs twice what is dead of an even use: {size:?}");
        }
        assert!(seen.len() > 1, "another seed draws others: {seen:?}");
    }
}

#[test]
fn the_nearest_code_is_that_of_all_distances_and_of_equal_ones_the_first() {
    let (rows, codes, width) = (37, 11, 5);
    let mut random = Philox::new(1, Stream::Choice, 0, 0);
    let z: Vec<f32> = (0..rows * width).map(|_| random.normal()).collect();
    let mut e: Vec<f32> = (0..codes * width).map(|_| random.normal()).collect();
    // Two codes that are one.
    let (front, back) = e.split_at_mut(7 * width);
    back[..width].copy_from_slice(&front[2 * width..3 * width]);
    let far = |r: usize, k: usize| -> f64 {
        let pairs = z[r * width..][..width].iter().zip(&e[k * width..][..width]);
        pairs.map(|(z, e)| (f64::from(*z) - f64::from(*e)).powi(2)).sum()
    };
    let best = |r: usize| (0..codes).min_by(|&a, &b| far(r, a).total_cmp(&far(r, b))).unwrap();
    let expected: Vec<f32> = (0..rows).map(|r| best(r) as f32).collect();
    assert!(expected.contains(&2.0) && !expected.contains(&7.0));
    for mut executor in executors() {
        let inputs = [("z", &[rows, width][..], &z[..]), ("e", &[codes, width], &e)];
        let found = computed(&mut executor, rows, &inputs, |graph, ids| {
            let found = nearest(graph, ids[0], ids[1]).unwrap();
            vec![found.index, found.codes]
        });
        assert_eq!(found[0], expected, "{}", executor.name());
        let taken: Vec<f32> = expected.iter().flat_map(|&k| e[k as usize * width..][..width].to_vec()).collect();
        assert_eq!(found[1], taken, "{}", executor.name());
    }
}

/// A grid of 7 by 7 codes.
const GRID: &str = "train --set data.examples=240 --set hidden=[] --set codes=12 --latent 3 --batch 40 \
                    --set validation=40 --set binarise=dynamic --seed 5 --set checkpoint_steps=2";
const LAYERS: [&str; 4] = [
    "--set",
    "encoder_layers=[conv 6 kernel 4 stride 4, relu]",
    "--set",
    "decoder_layers=[conv 6 kernel 3 padding 1, relu, conv-transpose out kernel 4 stride 4]",
];

fn trained(folder: &Path, adapter: &str, more: &str) {
    let mut command = crate::program::command(folder, &format!("{GRID} --adapter {adapter} {more}"));
    command.args(LAYERS);
    crate::program::outcome(command).succeeded();
}

fn last(run: &Path) -> Checkpoint {
    load(&locate(run, Which::Last).expect("there is a checkpoint")).expect("it is whole")
}

#[test]
fn a_run_in_two_sittings_has_the_bits_of_one() {
    let devices = std::iter::once("cpu".to_owned())
        .chain((0..crate::support::adapters(true).len()).map(|index| index.to_string()));
    for adapter in devices {
        for follows in ["ema", "gradient"] {
            let folder = tempfile::tempdir().unwrap();
            let how = format!("--set codebook={follows} --set optimizer.ema=0.9");
            let line = |epochs: usize, out: &str| format!("--epochs {epochs} --out {out} {how}");
            let of = |line: &str| trained(folder.path(), &adapter, line);
            of(&line(3, "whole"));
            // Nor does the number of threads change a bit.
            of(&format!("{} --threads 1", line(1, "parts")));
            elbo(folder.path(), &format!("train --resume parts --epochs 3 --adapter {adapter}")).succeeded();
            let [whole, parts] = ["whole", "parts"].map(|run| last(&folder.path().join(run)));
            assert_eq!(whole.parameters, parts.parameters, "{follows} on {adapter}");
            assert_eq!(whole.moments, parts.moments, "{follows} on {adapter}");
            // Averages are taken as they are: what is evaluated has the codes of what is trained.
            let size = |all: &[(String, elbo::checkpoint::Tensor)], name: &str| {
                all.iter().find(|(found, _)| found == name).expect(name).1.values.clone()
            };
            let size = [size(&whole.parameters, "codebook.size"), size(&whole.moments, "trained.codebook.size")];
            assert!(size[0] == size[1] && size[0].iter().sum::<f32>() > 100.0, "{size:?}");
        }
    }
}

#[test]
fn members_have_the_codes_that_they_would_have_alone() {
    let folder = tempfile::tempdir().unwrap();
    trained(folder.path(), "cpu", "--epochs 2 --out both --set commitment=[0.25,1]");
    for commitment in ["0.25", "1"] {
        trained(folder.path(), "cpu", &format!("--epochs 2 --out alone-{commitment} --set commitment={commitment}"));
        let alone = last(&folder.path().join(format!("alone-{commitment}")));
        let of_both = |entry: std::io::Result<std::fs::DirEntry>| entry.ok().map(|entry| entry.path());
        let members = std::fs::read_dir(folder.path().join("both")).unwrap().filter_map(of_both);
        let same = members.filter(|path| path.join("checkpoints").is_dir()).filter(|path| {
            let member = last(path);
            member.parameters == alone.parameters
        });
        assert_eq!(same.count(), 1, "commitment {commitment}");
    }
}

#[test]
fn codes_that_are_written_decode_to_reconstructions_and_what_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |line: &str| elbo(folder.path(), &format!("{line} --adapter cpu"));
    trained(folder.path(), "cpu", "--epochs 3 --out run");
    at("embed run --part test --out codes.npy").succeeded();
    at("embed run --part test --out codes.csv").succeeded();
    at("decode run codes.npy --out of-npy.npy").succeeded();
    at("decode run codes.csv --out of-csv.npy").succeeded();
    let bytes = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    assert_eq!(bytes("of-npy.npy"), bytes("of-csv.npy"));
    assert!(String::from_utf8(bytes("codes.csv")).unwrap().starts_with("index,label,code_0,code_1,"));
    at("sample run -n 4 --out drawn.png").succeeded();
    at("reconstruct run -n 4 --out again.png").succeeded();
    let found = crate::program::json(folder.path(), "eval run");
    let number = |name: &str| found[name].as_f64().unwrap_or_else(|| panic!("{name} in {found}"));
    assert!((number("rate") - 49.0 * 12.0_f64.ln()).abs() < 1e-3);
    assert!((number("neg_elbo") - number("rate") - number("distortion")).abs() < 1e-9);
    let bits = number("neg_elbo") / (784.0 * std::f64::consts::LN_2);
    assert!((number("bits_per_value") - bits).abs() < 1e-9);
    let perplexity = number("perplexity");
    assert!(perplexity > 1.0 && perplexity <= number("codes_used") && number("codes_used") <= 12.0, "{found}");
    for (line, code, culprit) in [
        ("interpolate run", 2, "elbo interpolate is for models whose latents are numbers"),
        ("traverse run", 2, "elbo traverse is for models"),
        ("latent run", 2, "elbo latent is for models"),
        ("score run", 2, "elbo score is for models"),
        ("disentangle run", 2, "elbo disentangle is for models"),
        ("attributes run", 2, "elbo attributes is for models"),
        ("transfer run --content 0 --style 1", 2, "elbo transfer is for models"),
        ("eval run --samples 5", 2, "--samples is for models"),
        ("sample run --ex-post gmm", 2, "elbo sample --ex-post is for models"),
        ("embed run --std --out other.npy", 2, "elbo embed --std is for models"),
    ] {
        at(line).failed(code, culprit);
    }
    let row = |code: &str| [&["0"; 48][..], &[code]].concat().join(",");
    for (name, text, culprit) in [
        ("beyond.csv", row("12"), "code 48 of row 0 is 12: codes are whole numbers from 0 to 11"),
        ("half.csv", row("0.5"), "code 48 of row 0 is 0.5"),
        ("below.csv", row("-1"), "code 48 of row 0 is -1"),
        ("short.csv", "1,2,3".into(), "a row has 3 numbers, and the model has 49 codes for an example"),
        ("none.csv", String::new(), "there are no rows"),
    ] {
        std::fs::write(folder.path().join(name), format!("{text}\n")).unwrap();
        let culprit = if name == "none.csv" { "none.csv" } else { culprit };
        at(&format!("decode run {name} --out x.npy")).failed(3, culprit);
    }
}

/// The codes of an example decode to what it is reconstructed as, to the bit; figures of evaluation are those of the codes.
#[test]
fn codes_are_the_whole_of_what_the_decoder_is_told() {
    for device in 0..executors().len() {
        let mut session = session(device, &[]);
        (0..30).for_each(|step| run(&mut session, step, 20));
        let examples: Vec<u32> = (0..37).collect();
        let codes = session.codes(&examples, 0).unwrap();
        let (_, again) = session.reconstruct(&examples, None, 0).unwrap();
        assert_eq!(session.decode_codes(&codes).unwrap(), again);
        let summary = eval::summary(&mut session, 0..37, 0).unwrap();
        let usage = summary.codes.expect("it has codes");
        for (code, &count) in usage.counts.iter().enumerate() {
            assert_eq!(codes.iter().filter(|&&found| found as usize == code).count() as u64, count);
        }
        for (wrong, why) in [(vec![6], "code 0 of example 0 is 6: they go from 0 to 5"), (vec![0, 9], "example 1 is 9")]
        {
            let error = session.decode_codes(&wrong).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        assert!(session.encode(&[0], 0).unwrap_err().to_string().contains("model.codes = 6"));
    }
}

#[test]
fn the_codebook_belongs_to_no_group_that_is_trained() {
    for (follows, kept) in
        [("ema", ["codebook.size", "codebook.sum"]), ("gradient", ["codebook.size", "codebook.start"])]
    {
        let config = config(&[("codebook", follows)]);
        let model = Model::with(&config, [1, 28, 28], elbo::graph::op::Source::Bytes, None, false, 0).unwrap();
        let (phase, graph) = model.phase_graphs(&config, 20).unwrap().swap_remove(0);
        let names: Vec<_> = graph.assigned.iter().map(|&(at, _)| graph.parameters[at].name.as_str()).collect();
        assert_eq!(names, kept);
        assert!(kept.iter().all(|name| !phase.trains.contains(name)));
        assert_eq!(phases(&config).len(), 1);
        assert!(phase.trains.contains("codebook.codes"));
    }
}
