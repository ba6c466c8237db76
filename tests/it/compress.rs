//! Compression with a trained model: what comes out is what went in, at the rate that −ELBO promises, and what does not fit
//! is refused by name.

use crate::program::{elbo, json, trained};
use elbo::checkpoint::load_result;
use elbo::compress::file::{File, Kind};
use elbo::compress::lossless::{Examples, Lossless};
use elbo::data::{self, array::Array, npy};
use elbo::interop;
use elbo::report::npy as writer;
use elbo::rng::{Philox, Stream};
use std::fs;
use std::path::Path;

/// All numbers of an array.
fn read(path: &Path) -> (Vec<usize>, Vec<f64>) {
    let Array { dims, elements } = npy::open(path).unwrap();
    (dims, (0..elements.len()).map(|at| elements.at(at)).collect())
}

/// The examples of a run's whole data in the order of the source, from 0 to 1.
fn source(run: &Path) -> Vec<f32> {
    let (checkpoint, _) = load_result(run).unwrap();
    let data = data::open(&checkpoint.config, None).unwrap();
    let mut order: Vec<u32> = (0..data.len() as u32).collect();
    order.sort_by_key(|&at| data.row(at as usize));
    data.examples(&order).unwrap()
}

/// What the program compresses and gives back, and what it says of that.
fn round(at: &Path, run: &str, more: &str) -> (serde_json::Value, Vec<usize>, Vec<f64>) {
    let said = json(at, &format!("compress {run} {more} --out x.elbo"));
    let again = json(at, &format!("decompress {run} x.elbo --out x.npy"));
    assert_eq!(again["count"], said["examples"]);
    assert_eq!(said["bytes"], fs::metadata(at.join("x.elbo")).unwrap().len());
    let (dims, values) = read(&at.join("x.npy"));
    (said, dims, values)
}

/// The rate is that of the same model on the same data by `elbo eval`, but for the first bits, the header and rounding.
#[track_caller]
fn costs_its_bound(at: &Path, run: &str, said: &serde_json::Value, part: &str) {
    let eval = json(at, &format!("eval {run} {part}"));
    let bound = eval["neg_elbo"].as_f64().unwrap() / std::f64::consts::LN_2;
    let count = said["examples"].as_f64().unwrap();
    // The header is 88 bytes. The first draws take their bits from nowhere: what is begun with.
    let beside = 8.0 * 88.0 + said["begun_bits"].as_f64().unwrap();
    let bits = (said["bytes"].as_f64().unwrap() * 8.0 - beside) / count;
    // Both draw one latent an example, and not the same. Where a model puts examples beyond ±5, which no bin takes for as unlikely
    // as the prior does, they cost less.
    let share = bits / bound;
    assert!((0.93..1.01).contains(&share), "{run}: {bits} bits an example, and -ELBO is {bound}");
}

/// Bytes of which none is larger than 1 are read as black and white; all commands have to read them as the training did.
#[test]
fn bytes_of_0_and_1_stay_the_data_of_their_run() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let bytes: Vec<u8> =
        (0..60 * 16).map(|place: u32| u8::from(place.wrapping_mul(2_654_435_761) >> 30 == 0)).collect();
    writer::save_bytes(&at.join("bits.npy"), &bytes, &[60, 4, 4]).unwrap();
    let settings = "--set hidden=[8] --latent 2 --batch 20 --set validation=0 --adapter cpu";
    elbo(at, &format!("train --recipe binary --data bits.npy {settings} --epochs 2 --out run")).succeeded();
    let eval = elbo(at, "eval run --part train").succeeded();
    assert!(!eval.err.contains("255") && !eval.err.contains("hash"), "{}", eval.err);
    elbo(at, "train --resume run --epochs 3").succeeded();
    let (_, dims, values) = round(at, "run", "");
    assert_eq!(dims, [60, 1, 4, 4]);
    assert!(values.iter().zip(&bytes).all(|(&value, &bit)| value == 255.0 * f64::from(bit)), "{values:?}");
}

#[test]
fn bits_of_pictures_come_back_at_the_rate_of_the_bound() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let tiny = "--adapter cpu --set data.examples=600 --set hidden=[24] --latent 3 --batch 50 --epochs 4";
    elbo(at, &format!("train --recipe binary {tiny} --out run")).succeeded();
    let (said, dims, values) = round(at, "run", "");
    assert_eq!(dims, [600, 1, 28, 28]);
    let cut: Vec<f64> = source(&at.join("run")).iter().map(|&x| if x >= 0.5 { 255.0 } else { 0.0 }).collect();
    assert!(values == cut, "pixels cut at one half, as bytes");
    assert_eq!(said["part"], "whole");
    // What eval looks at is one part; the training part is nearly all.
    let (said, _, _) = round(at, "run", "--part train");
    costs_its_bound(at, "run", &said, "--part train");
    // Of few epochs, where deviations are near 1: latents of neighbouring examples have nothing to do with each other.
    let early = "--adapter cpu --set data.examples=600 --batch 50 --epochs 5";
    elbo(at, &format!("train --recipe binary {early} --out early")).succeeded();
    let (said, _, _) = round(at, "early", "--part train");
    costs_its_bound(at, "early", &said, "--part train");
    // Drawn pixels: the draw of the seed, the same as that of eval.
    elbo(at, &format!("train --recipe dynamic {tiny} --out drawn")).succeeded();
    let (said, _, first) = round(at, "drawn", "--part train --seed 5");
    costs_its_bound(at, "drawn", &said, "--part train --seed 5");
    let (_, _, second) = round(at, "drawn", "--part train --seed 5");
    let (_, _, other) = round(at, "drawn", "--part train --seed 6");
    assert!(first == second && first != other);
    // Pictures, too.
    elbo(at, "decompress run x.elbo --out pictures --adapter cpu")
        .failed(3, "x.elbo: the file was compressed with another model");
    elbo(at, "compress run --part test --out y.elbo --adapter cpu").succeeded();
    elbo(at, "decompress run y.elbo --out pictures --adapter cpu").succeeded();
    assert_eq!(fs::read_dir(at.join("pictures")).unwrap().count(), 100);
    elbo(at, "decompress run y.elbo --out grid.png --adapter cpu").succeeded();
    elbo(at, "decompress run y.elbo --out pictures --adapter cpu").failed(2, "there is something in this folder");
}

/// Colour pictures whose channels hang together.
fn colours(count: usize) -> Vec<f32> {
    let picture = |number: usize| {
        let mut random = Philox::new(4, Stream::Choice, number as u32, 0);
        let hue = [random.uniform(), random.uniform(), random.uniform()];
        let mut values = Vec::new();
        for hue in hue {
            let level = |place: usize| 255.0 * hue * (0.5 + 0.5 * (place / 4) as f32 / 3.0);
            values
                .extend((0..16).map(|place| (level(place) + 9.0 * (random.uniform() - 0.5)).round().clamp(0.0, 255.0)));
        }
        values
    };
    (0..count).flat_map(picture).collect()
}

#[test]
fn levels_and_categories_come_back_at_the_rate_of_the_bound() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let levels: Vec<u8> = colours(500).into_iter().map(|level| level as u8).collect();
    writer::save_bytes(&at.join("colours.npy"), &levels, &[500, 3, 4, 4]).unwrap();
    // Convolutions, a normalisation, a residual block, and scales that lie beside the network.
    fs::write(
        at.join("colours.toml"),
        "[data]\nbinarise = \"none\"\n[model]\nhidden = []\nencoder_layers = [\"conv 6 kernel 4 stride 2 padding 1\", \"group-norm 2\", \"batch-norm\", \"silu\", \"attention 2\", \"pixel-norm\"]\n\
         decoder_layers = [\"dense 2x2x6\", \"gelu\", \"conv-transpose out kernel 4 stride 2 padding 1\"]\n\
         latent = 3\nlikelihood = \"logistic-mixture\"\ncomponents = 2\n",
    )
    .unwrap();
    let short = "--adapter cpu --batch 50 --epochs 6 --lr 5e-3";
    elbo(at, &format!("train --data colours.npy --recipe colours.toml {short} --out run")).succeeded();
    let (said, dims, values) = round(at, "run", "");
    assert_eq!((dims, said["bits_per_value"].as_f64().unwrap() < 8.0), (vec![500, 3, 4, 4], true), "{said}");
    assert!(values.iter().zip(&levels).all(|(value, &level)| *value == f64::from(level)));
    let (said, _, _) = round(at, "run", "--part train");
    costs_its_bound(at, "run", &said, "--part train");

    let codes: Vec<u32> =
        levels.chunks(16).take(900).flat_map(|plane| plane.iter().map(|&x| u32::from(x) / 64)).collect();
    writer::save_whole(&at.join("maps.npy"), &codes, &[900, 4, 4]).unwrap();
    elbo(at, &format!("train --data maps.npy --recipe categories {short} --set hidden=[16] --latent 2 --out maps"))
        .succeeded();
    let (_, dims, values) = round(at, "maps", "");
    assert_eq!(dims, [900, 4, 4]);
    assert!(values.iter().zip(&codes).all(|(value, &code)| *value == f64::from(code)));
    let (said, _, _) = round(at, "maps", "--part train");
    costs_its_bound(at, "maps", &said, "--part train");
}

#[test]
fn the_class_of_an_example_is_kept_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let line =
        "--set data.examples=200 --set data.binarise=threshold --set hidden=[12] --latent 2 --batch 50 --epochs 1";
    elbo(at, &format!("train --recipe conditional --adapter cpu {line} --out run")).succeeded();
    json(at, "compress run --out x.elbo");
    let again = json(at, "decompress run x.elbo --out x.npy");
    let (checkpoint, _) = load_result(&at.join("run")).unwrap();
    let data = data::open(&checkpoint.config, None).unwrap();
    let mut order: Vec<usize> = (0..200).collect();
    order.sort_by_key(|&example| data.row(example));
    let labels: Vec<u32> = order.iter().map(|&example| data.labels.as_ref().unwrap()[example]).collect();
    assert_eq!(again["classes"], serde_json::json!(labels));
    let cut: Vec<f64> = source(&at.join("run")).iter().map(|&x| if x >= 0.5 { 255.0 } else { 0.0 }).collect();
    assert!(read(&at.join("x.npy")).1 == cut);
    elbo(at, "compress run --lossy --out y.elbo --adapter cpu").failed(2, "given a class");
}

#[test]
fn rounded_latents_and_codes_give_what_the_model_decodes() {
    let folder = trained();
    let at = folder.path();
    let mut last = (f64::INFINITY, f64::INFINITY);
    for step in ["0.01", "0.5", "2"] {
        let (said, dims, values) = round(at, "run", &format!("--lossy --step {step}"));
        assert_eq!(dims, [300, 1, 28, 28]);
        let (bits, psnr) = (said["bits_per_example"].as_f64().unwrap(), said["psnr"].as_f64().unwrap());
        assert!(bits < last.0 && psnr < last.1 + 0.01, "{step}: {bits} bits, {psnr} dB after {last:?}");
        last = (bits, psnr);
        let originals = source(&at.join("run"));
        let squares = originals.iter().zip(&values).map(|(x, y)| (f64::from(*x) - y).powi(2));
        let found = -10.0 * (squares.sum::<f64>() / values.len() as f64).log10();
        assert!((found - psnr).abs() < 0.01, "{step}: {found} dB, and {psnr} is said");
    }
    assert!(last.0 < 10.0, "{last:?}");
    elbo(at, "compress run --lossy --step -1 --out x.elbo --adapter cpu").failed(2, "--step -1");
    elbo(at, "compress run --step 1 --out x.elbo --adapter cpu").failed(2, "required arguments");
    let codes = "--recipe vq --adapter cpu --set data.examples=100 --set codes=9 --latent 3 --batch 50 --epochs 1";
    elbo(at, &format!("train {codes} --set hidden=[8] --set encoder_layers=[] --set decoder_layers=[] --out codes"))
        .succeeded();
    let (said, _, values) = round(at, "codes", "--lossy --part test");
    elbo(at, "embed codes --part test --out codes.npy --adapter cpu").succeeded();
    elbo(at, "decode codes codes.npy --out decoded.npy --adapter cpu").succeeded();
    assert!(read(&at.join("decoded.npy")).1 == values);
    assert_eq!(said["examples"], 16);
    elbo(at, "compress codes --out x.elbo --adapter cpu").failed(2, "--lossy");
}

#[test]
fn what_cannot_be_compressed_is_refused_by_name() {
    let folder = trained();
    let at = folder.path();
    elbo(at, "compress run --out x.elbo --adapter cpu").failed(3, "it has to be 0 or 1 (set data.binarise");
    let line = "--adapter cpu --set data.examples=60 --set data.binarise=threshold --set hidden=[8] --latent 2 --batch 20 --epochs 1";
    for (number, (settings, culprit)) in [
        ("--set likelihood=gaussian", "model.likelihood = gaussian"),
        ("--set prior=gaussian", "model.prior = gaussian"),
        ("--set posterior=full", "model.posterior = full"),
        ("--recipe m2 --set data.labelled=10", "model.condition = inferred"),
        ("--recipe ladder --set data.validation=0", "stochastic layer"),
    ]
    .into_iter()
    .enumerate()
    {
        let line =
            if settings.contains("ladder") { line.replace("--set hidden=[8] --latent 2", "") } else { line.into() };
        elbo(at, &format!("train {line} {settings} --out refused-{number}")).succeeded();
        elbo(at, &format!("compress refused-{number} --out x.elbo --adapter cpu")).failed(2, culprit);
    }
    fs::write(at.join("rows.csv"), format!("a,b\n{}", "1,x\n2,y\n".repeat(30))).unwrap();
    elbo(at, "train --recipe table --data rows.csv --adapter cpu --epochs 1 --batch 10 --out rows").succeeded();
    elbo(at, "compress rows --out x.elbo --adapter cpu").failed(2, "rows of a table");
    elbo(at, "compress rows --lossy --out x.elbo --adapter cpu").failed(2, "is for pictures");
    assert!(!at.join("x.elbo").exists());
}

/// A small model without a program around it.
fn codec(at: &Path) -> (Lossless, Vec<f32>) {
    let (checkpoint, _) = load_result(&at.join("run")).unwrap();
    let bits = source(&at.join("run")).iter().take(20 * 784).map(|&x| f32::from(u8::from(x >= 0.5))).collect();
    (Lossless::new(interop::model(&checkpoint).unwrap(), &checkpoint.parameters).unwrap(), bits)
}

#[test]
fn files_of_other_models_other_arithmetic_and_other_content_are_refused() {
    let folder = trained();
    let at = folder.path();
    let (codec, bits) = codec(at);
    let file = codec.compress(Examples { values: &bits, classes: &[] }, &mut |_| {}).unwrap();
    assert_eq!(codec.decompress(&file, &mut |_| {}).unwrap().0, bits);
    for (bad, reason) in [
        (File { model: file.model ^ 1, ..file.clone() }, "another model"),
        (File { probe: file.probe ^ 1, ..file.clone() }, "arithmetic of this machine"),
        (File { shape: [1, 28, 27], ..file.clone() }, "of shape"),
        (File { content: file.content ^ 1, ..file.clone() }, "not what went in"),
        (File { borrowed: file.borrowed + 1, ..file.clone() }, "not what went in"),
        (File { count: 19, ..file.clone() }, "not what went in"),
        (File { count: 21, ..file.clone() }, "cannot be decompressed"),
        (File { count: u64::MAX, ..file.clone() }, "no memory"),
        (File { words: file.words[..9].to_vec(), ..file.clone() }, "cannot be decompressed"),
        (File { words: file.words[1..].to_vec(), ..file.clone() }, "cannot be decompressed"),
        (File { kind: Kind::Codes, ..file.clone() }, "latents or codes"),
    ] {
        let error = codec.decompress(&bad, &mut |_| {}).unwrap_err();
        assert!(error.exit_code() == 3 && error.to_string().contains(reason), "{reason}: {error}");
    }
    // Through the program: the file is named.
    fs::write(at.join("bad.elbo"), File { probe: 1, ..file.clone() }.to_bytes()).unwrap();
    elbo(at, "decompress run bad.elbo --out x.npy --adapter cpu")
        .failed(3, "bad.elbo: the model puts out other numbers");
    fs::write(at.join("bad.elbo"), &file.to_bytes()[..100]).unwrap();
    elbo(at, "decompress run bad.elbo --out x.npy --adapter cpu")
        .failed(3, "bad.elbo: the file is truncated or damaged");
    elbo(at, "decompress run none.elbo --out x.npy --adapter cpu").failed(3, "none.elbo: cannot be read");
    elbo(at, "decompress run bad.elbo --out bad.elbo --adapter cpu").failed(2, "--out");
    assert!(!at.join("x.npy").exists());
    let wrong = codec.compress(Examples { values: &bits[1..], classes: &[] }, &mut |_| {}).unwrap_err();
    assert!(wrong.to_string().contains("are no examples of 784 values"), "{wrong}");
}
