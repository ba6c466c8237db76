//! What a trained model answers: through the library, through the commands, and on every device.

use crate::program::{content, elbo, trained};
use crate::support::{ROUNDING, compare, executors};
use elbo::checkpoint::load_latest;
use elbo::config::Config;
use elbo::data::{self, Dataset, Values};
use elbo::eval;
use elbo::exec::Executor;
use elbo::exec::cpu::Cpu;
use elbo::model::tasks::ENCODE;
use elbo::rng::{Philox, Stream};
use elbo::run::Run;
use elbo::session::{Purpose, Session};
use serde_json::Value;
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// The data of [`trained`] runs, and their examples as the model is shown them.
fn examples(config: &Config) -> (Dataset, Vec<f32>) {
    let data = data::open(config, None).unwrap();
    let rows = (0..data.len()).flat_map(|i| data.example(i).unwrap()).collect();
    (data, rows)
}

fn open(folder: &Path) -> Run {
    Run::open(&folder.join("run"), "cpu").unwrap()
}

/// The numbers of an .npy file of f32 and their shape, as its header says.
fn array(path: &Path) -> (String, Vec<f32>) {
    let bytes = fs::read(path).unwrap();
    let end = bytes.iter().position(|&b| b == b'\n').unwrap() + 1;
    let header = String::from_utf8_lossy(&bytes[10..end]).into_owned();
    let shape = header.split_once("'shape': (").unwrap().1.split_once(",)").unwrap().0.to_owned();
    (shape, bytes[end..].as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect())
}

#[test]
fn a_row_is_answered_alike_whatever_rows_come_with_it() {
    let folder = trained();
    let mut run = open(folder.path());
    let (_, rows) = examples(&run.config().clone());
    let width = run.shape().iter().product::<usize>();
    let whole = run.encode(&rows).unwrap();
    let decoded = run.decode(&whole.means).unwrap();
    assert_eq!((whole.len(), whole.latent, decoded.len()), (300, 2, rows.len()));
    for batch in [1, 7, 128, 129] {
        let (mut means, mut log_variances, mut back) = (vec![], vec![], vec![]);
        for part in rows.chunks(batch * width) {
            let posterior = run.encode(part).unwrap();
            back.extend(run.decode(&posterior.means).unwrap());
            means.extend(posterior.means);
            log_variances.extend(posterior.log_variances);
        }
        assert!(means == whole.means && log_variances == whole.log_variances, "encoded {batch} at a time");
        assert!(back == decoded, "decoded {batch} at a time");
    }
}

#[test]
fn a_run_without_its_data_answers_as_a_session_with_them() {
    let folder = trained();
    let mut run = open(folder.path());
    let (data, rows) = examples(&run.config().clone());
    let (checkpoint, _) = load_latest(&folder.path().join("run")).unwrap();
    let executor = elbo::exec::select::open("cpu", 0).unwrap().0;
    let mut session = Session::new(checkpoint.config.clone(), data, executor).unwrap();
    session.plan(Purpose::Train).unwrap();
    session.plan(Purpose::task(ENCODE, 128)).unwrap();
    session.restore(0, &checkpoint).unwrap();

    let all: Vec<u32> = (0..300).collect();
    let posterior = run.encode(&rows).unwrap();
    assert_eq!(posterior, session.encode(&all, 0).unwrap());
    let (originals, reconstructions) = session.reconstruct(&all, None, 0).unwrap();
    assert!(originals == rows && reconstructions == run.decode(&posterior.means).unwrap());
    assert_eq!(run.sample(70, 5).unwrap(), session.sample(70, 5).unwrap());
    assert_ne!(run.sample(70, 6).unwrap(), session.sample(70, 5).unwrap());

    // The first rows of a data set have the noise that an evaluation gives them.
    let scores = run.score(&rows, 3).unwrap();
    assert_eq!(scores, run.score(&rows, 3).unwrap());
    assert_ne!(scores, run.score(&rows, 4).unwrap());
    let summary = eval::summary(&mut session, 0..100, 3).unwrap();
    for (found, expected) in [
        (scores[..100].iter().map(|s| s.distortion).sum::<f64>(), 100.0 * summary.terms.distortion),
        (scores[..100].iter().map(|s| s.rate).sum::<f64>(), 100.0 * summary.terms.rate),
    ] {
        assert!((found - expected).abs() < 1e-9 * expected, "{found} instead of {expected}");
    }
    // Rows of the next window have noise of their own.
    let twice = run.score(&[&rows[..128 * 784], &rows[..784]].concat(), 3).unwrap();
    assert_eq!(twice[0].rate, twice[128].rate);
    assert_ne!(twice[0].distortion, twice[128].distortion);
}

#[test]
fn answers_agree_on_every_device() {
    let folder = trained();
    let mut cpu = open(folder.path());
    let (_, rows) = examples(&cpu.config().clone());
    let expected = cpu.encode(&rows).unwrap();
    let decoded = cpu.decode(&expected.means).unwrap();
    let (checkpoint, _) = load_latest(&folder.path().join("run")).unwrap();
    for executor in executors() {
        let device = executor.name();
        let mut run = Run::new(&checkpoint, executor).unwrap();
        let found = run.encode(&rows).unwrap();
        for (expected, found) in [
            (&expected.means, &found.means),
            (&expected.log_variances, &found.log_variances),
            (&decoded, &run.decode(&expected.means).unwrap()),
        ] {
            compare(expected, found, ROUNDING).unwrap_or_else(|why| panic!("{device}: {why}"));
        }
        let other = run.encode(&rows[..784 * 200]).unwrap();
        assert_eq!(other.means, found.means[..400], "{device}: another number of rows");
    }
}

#[test]
fn rows_that_are_none_are_refused() {
    let folder = trained();
    let mut run = open(folder.path());
    for (error, why) in [
        (run.encode(&[0.0; 783]).unwrap_err(), "783 numbers are no examples of 784 values each"),
        (run.score(&[0.0; 785], 0).unwrap_err(), "785 numbers"),
        (run.encode(&[[0.0; 784], [f32::NAN; 784]].concat()).unwrap_err(), "value 0 of example 1 is NaN"),
        (run.decode(&[0.0; 3]).unwrap_err(), "3 numbers are no latents of 2 dimensions"),
    ] {
        assert!(error.exit_code() == 2 && error.to_string().contains(why), "{error}");
    }
    assert_eq!(run.encode(&[]).unwrap().len(), 0);
    assert!(run.decode(&[]).unwrap().is_empty());
    assert!(run.sample(0, 0).unwrap().is_empty());
}

#[test]
fn embedded_examples_are_those_of_the_library_in_every_format() {
    let folder = trained();
    let mut run = open(folder.path());
    let (data, rows) = examples(&run.config().clone());
    let posterior = run.encode(&rows).unwrap();
    let said = elbo(folder.path(), "embed run --adapter cpu --std --out z.npy").succeeded();
    assert_eq!(said.out, "z.npy\nz.std.npy\n");
    assert_eq!(array(&folder.path().join("z.npy")), ("300,2".into(), posterior.means.clone()));
    assert_eq!(array(&folder.path().join("z.std.npy")), ("300,2".into(), posterior.deviations()));

    elbo(folder.path(), "embed run --adapter cpu --std --part test --out z.csv").succeeded();
    let text = fs::read_to_string(folder.path().join("z.csv")).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("index,label,mean_0,mean_1,std_0,std_1"));
    let labels = data.labels.unwrap();
    let deviations = posterior.deviations();
    for (line, index) in lines.zip(250..) {
        let cells: Vec<f32> = line.split(',').map(|cell| cell.parse().unwrap()).collect();
        let [mean, std] = [&posterior.means, &deviations].map(|all| &all[2 * index..2 * index + 2]);
        assert_eq!(cells, [&[index as f32, labels[index] as f32], mean, std].concat(), "{line}");
    }
    assert_eq!(text.lines().count(), 51);

    elbo(folder.path(), "embed run --adapter cpu --out plain.csv").succeeded();
    let text = fs::read_to_string(folder.path().join("plain.csv")).unwrap();
    assert!(text.starts_with("index,label,mean_0,mean_1\n0,") && text.lines().count() == 301);
}

#[test]
fn latents_from_files_are_decoded_into_every_format() {
    let folder = trained();
    for line in [
        "embed run --adapter cpu --part test --out z.npy",
        "embed run --adapter cpu --part test --out z.csv",
        "decode run z.npy --adapter cpu --out x.npy",
        "decode run z.csv --adapter cpu --out x.csv",
        "decode run z.npy --adapter cpu --out x.png",
    ] {
        elbo(folder.path(), line).succeeded();
    }
    let mut run = open(folder.path());
    let (_, rows) = examples(&run.config().clone());
    let posterior = run.encode(&rows[250 * 784..]).unwrap();
    let expected = run.decode(&posterior.means).unwrap();
    assert_eq!(array(&folder.path().join("x.npy")), ("50,1,28,28".into(), expected.clone()));
    let text = fs::read_to_string(folder.path().join("x.csv")).unwrap();
    let found: Vec<f32> = text.lines().skip(1).flat_map(|line| line.split(',').map(|c| c.parse().unwrap())).collect();
    assert!(text.starts_with("x_0,x_1,") && found == expected);
    assert!(fs::read(folder.path().join("x.png")).unwrap().starts_with(b"\x89PNG"));
}

/// Width and height of a picture.
fn size(path: &Path) -> (u32, u32) {
    let bytes = fs::read(path).unwrap();
    assert!(bytes.starts_with(b"\x89PNG"));
    let number = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    (number(16), number(20))
}

#[test]
fn every_picture_has_its_rows_and_columns_and_is_named_last() {
    let folder = trained();
    // A cell of 28 pixels is drawn at twice its size, with a line between cells.
    let cells = |columns: u32, rows: u32| (57 * columns - 1, 57 * rows - 1);
    let map = (800 + 2 * 40 + 232, 800 + 2 * 40);
    for (line, files) in [
        ("interpolate run", &[("run/samples/interpolation-step-10.png", cells(11, 6))][..]),
        ("interpolate run --pair 0,49 --steps 4 --path linear --part test --out i.png", &[("i.png", cells(6, 1))]),
        ("interpolate run --pair 0,1 --pair 9,9 --pair 2,1 --part train --out j.png", &[("j.png", cells(11, 3))]),
        ("traverse run", &[("run/samples/traversal-step-10.png", cells(9, 2))]),
        ("traverse run -n 1 --steps 3 --range 0.5 --example 7 --out t.png", &[("t.png", cells(3, 1))]),
        (
            "latent run",
            &[("run/samples/latent-step-10.png", map), ("run/samples/latent-step-10-manifold.png", cells(20, 20))],
        ),
        ("latent run --method pca -n 30 --out m.png", &[("m.png", map), ("m-manifold.png", cells(20, 20))]),
    ] {
        let said = elbo(folder.path(), &format!("{line} --adapter cpu")).succeeded();
        let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
        assert!(said.out.trim_end().ends_with(&names.join("\n")), "{line}: {said:?}");
        for (name, expected) in files {
            assert_eq!(size(&folder.path().join(name)), *expected, "{line}: {name}");
        }
        let json = elbo(folder.path(), &format!("{line} --adapter cpu --json --quiet")).succeeded();
        let value: Value = serde_json::from_str(&json.out).unwrap();
        let found: Vec<&str> = value["files"].as_array().unwrap().iter().map(|f| f.as_str().unwrap()).collect();
        assert_eq!((found, json.err.as_str()), (names, ""), "{line}");
    }
}

#[test]
fn a_traversal_sorts_dimensions_by_the_rates_that_eval_prints() {
    let folder = trained();
    let json = |line: &str| -> Value {
        serde_json::from_str(&elbo(folder.path(), &format!("{line} --adapter cpu --json")).succeeded().out).unwrap()
    };
    let rates: Vec<f64> = serde_json::from_value(json("eval run")["rates"].clone()).unwrap();
    let embedded: Vec<f64> =
        serde_json::from_value(json("embed run --part test --out z.npy")["rates"].clone()).unwrap();
    let traversed = json("traverse run");
    let order: Vec<usize> = serde_json::from_value(traversed["dimensions"].clone()).unwrap();
    let sorted: Vec<f64> = serde_json::from_value(traversed["rates"].clone()).unwrap();
    assert_eq!(order.len(), 2);
    assert!(sorted[0] > sorted[1], "{sorted:?}");
    for (at, &dimension) in order.iter().enumerate() {
        assert!((rates[dimension] - sorted[at]).abs() < 1e-9 && (embedded[dimension] - sorted[at]).abs() < 1e-9);
    }
}

#[test]
#[cfg(feature = "tsne")]
fn a_map_by_neighbours_is_the_same_at_every_call() {
    let folder = trained();
    let draw = |name: &str| {
        let line = format!("latent run --adapter cpu --method tsne --perplexity 10 --out {name}");
        elbo(folder.path(), &line).succeeded();
        fs::read(folder.path().join(name)).unwrap()
    };
    assert_eq!(draw("a.png"), draw("b.png"));
    assert_ne!(draw("a.png"), {
        elbo(folder.path(), "latent run --adapter cpu --method pca --out c.png").succeeded();
        fs::read(folder.path().join("c.png")).unwrap()
    });
}

#[test]
fn wrong_questions_are_one_clear_line_and_leave_nothing_behind() {
    let folder = trained();
    let array = |shape: &str, values: &[f32]| {
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.bytes());
        bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        bytes
    };
    for (name, bytes) in [
        ("three.npy", array("(2, 3)", &[0.0; 6])),
        ("short.npy", array("(2, 2)", &[0.0; 3])),
        ("nan.npy", array("(2, 2)", &[0.0, 1.0, f32::NAN, 0.0])),
        ("none.npy", array("(0, 2)", &[])),
        ("many.npy", array("(10001, 2)", &vec![0.0; 20002])),
        ("flat.npy", array("(4,)", &[0.0; 4])),
        ("text.npy", b"1,2\n".to_vec()),
        ("words.csv", b"mean_0,mean_1\n1,two\n".to_vec()),
        ("other.csv", b"a,b\n1,2\n".to_vec()),
        ("small.idx", [&[0, 0, 8, 3, 0, 0, 0, 20, 0, 0, 0, 2, 0, 0, 0, 2][..], &[7; 80]].concat()),
    ] {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    let before = content(folder.path());
    for (line, code, culprit) in [
        ("embed run --out z.txt", 2, "--out z.txt: the file's name is to end in .npy or .csv"),
        ("sample run --out x.csv", 2, "--out x.csv: the file's name is to end in .png or .npy"),
        ("reconstruct run --out x.jpg", 2, "--out x.jpg: the file's name is to end in .png or .npy"),
        ("latent run --out x.npy", 2, "--out x.npy: the file's name is to end in .png"),
        ("embed run --out z", 2, "--out z:"),
        ("embed run --out missing/z.npy", 6, "missing"),
        ("embed run --out z.npy --data small.idx", 3, "small.idx: an example has shape [1, 2, 2]"),
        ("embed run --out z.npy --part validation", 2, "it has train and test"),
        ("embed nothing --out z.npy", 3, "nothing"),
        ("decode run missing.npy --out x.npy", 3, "missing.npy: cannot be opened"),
        ("decode run three.npy --out x.npy", 3, "a row has 3 numbers, and the model has 2"),
        ("decode run short.npy --out x.npy", 3, "short.npy: file is truncated"),
        ("decode run nan.npy --out x.npy", 3, "nan.npy: number 0 of row 1 is NaN"),
        ("decode run none.npy --out x.npy", 3, "none.npy: there are no rows"),
        ("decode run many.npy --out x.png", 2, "10001"),
        ("decode run text.npy --out x.npy", 3, "text.npy: this is no .npy file"),
        ("decode run flat.npy --out x.npy", 3, "flat.npy: its shape is [4], and latents are a matrix"),
        ("decode run words.csv --out x.npy", 3, "words.csv: line 2: \"two\""),
        ("decode run other.csv --out x.npy", 3, "other.csv: the header has no columns mean_0"),
        ("decode run small.idx --out x.npy", 2, "small.idx: the file's name is to end in .npy or .csv"),
        ("decode run three.npy --out x.jpg", 2, ".npy, .csv or .png"),
        ("interpolate run --pair 0,50", 2, "--pair 0,50: there is no example 50: the test part has 0 to 49"),
        ("interpolate run --pair 0", 2, "I,J"),
        ("interpolate run --steps 1", 2, "--steps 1"),
        ("interpolate run --steps 5000", 2, "--steps 5000"),
        ("interpolate run --path crooked", 2, "crooked"),
        ("traverse run --range 0", 2, "--range 0"),
        ("traverse run --range -1", 2, "--range -1"),
        ("traverse run --range NaN", 2, "--range NaN"),
        ("traverse run --example 50", 2, "--example: there is no example 50"),
        ("traverse run -n 0", 2, "-n 0"),
        ("traverse run --steps 501", 2, "--steps 501"),
        ("latent run -n 0", 2, "-n 0"),
        ("latent run --perplexity 5", 2, "--method tsne"),
        (
            "latent run --method tsne",
            2,
            if cfg!(feature = "tsne") { "for 50 examples it can be 1 to 16" } else { "tsne" },
        ),
        ("latent run --method umap", 2, "umap"),
    ] {
        elbo(folder.path(), &format!("{line} --adapter cpu")).failed(code, culprit);
        assert!(content(folder.path()) == before, "{line} left something behind");
    }
}

/// A table of two classes in four columns of which each has units of its own; rows of one class come first.
fn write_table(path: &Path) {
    let mut rng = Philox::new(2, Stream::Choice, 4, 0);
    let mut text = String::from("height,weight,age,score,class\n");
    for row in 0..200 {
        let class = if row < 100 { "a, b" } else { "c" };
        let shift = if row < 100 { 0.0 } else { 2.0 };
        let [height, weight, age, score] = [(170.0, 8.0), (70.0, 12.0), (40.0, 15.0), (0.0, 0.01)]
            .map(|(mean, scale)| mean + scale * (rng.normal() + shift));
        let _ = writeln!(text, "{height},{weight},{age},{score},\"{class}\"");
    }
    fs::write(path, text).unwrap();
}

#[test]
fn a_table_is_answered_in_its_own_units_and_in_its_own_order() {
    let folder = tempfile::tempdir().unwrap();
    write_table(&folder.path().join("t.csv"));
    let train = "train --data t.csv --recipe gaussian --set data.labels=class --set sigma=0.3 --set validation=0 \
                 --set hidden=[16] --latent 2 --batch 30 --epochs 40 --adapter cpu --out run";
    elbo(folder.path(), train).succeeded();
    elbo(folder.path(), "embed run --adapter cpu --out z.csv").succeeded();
    let text = fs::read_to_string(folder.path().join("z.csv")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0] == "index,label,mean_0,mean_1" && lines.len() == 201, "{}", lines[0]);
    assert!(lines[1].starts_with("0,\"a, b\",") && lines[200].starts_with("199,c,"), "{} {}", lines[1], lines[200]);

    // The library takes and gives rows in the units of the table.
    let table = fs::read_to_string(folder.path().join("t.csv")).unwrap();
    let row = |line: &str| line.split(',').take(4).map(|cell| cell.parse::<f32>().unwrap()).collect::<Vec<_>>();
    let rows: Vec<f32> = table.lines().skip(1).flat_map(row).collect();
    let mut run = open(folder.path());
    let posterior = run.encode(&rows).unwrap();
    let embedded: Vec<f32> = lines[1..]
        .iter()
        .flat_map(|line| line.rsplit(',').take(2).map(|c| c.parse().unwrap()).collect::<Vec<f32>>())
        .collect();
    for (at, pair) in embedded.chunks_exact(2).enumerate() {
        // Scaling there and back costs a rounding.
        let distance = (pair[1] - posterior.mean(at)[0]).abs().max((pair[0] - posterior.mean(at)[1]).abs());
        assert!(distance < 1e-4, "row {at} is {distance} off");
    }
    let decoded = run.decode(&posterior.means).unwrap();
    let mean = |of: &[f32], column: usize| of.iter().skip(column).step_by(4).sum::<f32>() / 200.0;
    for (column, deviation) in [8.0, 12.0, 15.0, 0.01].into_iter().enumerate() {
        let (given, found) = (mean(&rows, column), mean(&decoded, column));
        assert!((given - found).abs() < 0.5 * deviation, "column {column}: {found} instead of {given}");
    }

    for (line, files, header) in [
        ("decode run z.csv --out x.csv", "x.csv", "height,weight,age,score"),
        ("interpolate run --pair 0,1 --steps 5 --out i.csv", "i.csv", "height,weight,age,score"),
        ("traverse run", "run/samples/traversal-step-240.csv", "height,weight,age,score"),
    ] {
        elbo(folder.path(), &format!("{line} --adapter cpu")).succeeded();
        let text = fs::read_to_string(folder.path().join(files)).unwrap();
        assert_eq!(text.lines().next(), Some(header), "{line}");
    }
    assert_eq!(fs::read_to_string(folder.path().join("i.csv")).unwrap().lines().count(), 1 + 7);
    let json = elbo(folder.path(), "latent run --part train --adapter cpu --json").succeeded();
    let value: Value = serde_json::from_str(&json.out).unwrap();
    let labels: Vec<&str> = value["labels"].as_array().unwrap().iter().map(|l| l["label"].as_str().unwrap()).collect();
    assert_eq!(labels, ["a, b", "c"]);
    assert!(folder.path().join("run/samples/latent-step-240-manifold.csv").is_file(), "{value}");
}

/// Programs of a GPU read whatever place they are told, so that the library must not tell them any that there is not.
#[test]
fn examples_and_settings_that_there_are_not_are_refused_at_the_door() {
    let folder = trained();
    let (checkpoint, _) = load_latest(&folder.path().join("run")).unwrap();
    let (data, _) = examples(&checkpoint.config);
    let (count, cpu) = (data.len() as u32, || Executor::Cpu(Cpu::new(1).unwrap()));
    let mut session = Session::new(checkpoint.config.clone(), data.clone(), cpu()).unwrap();
    session.plan(Purpose::task(ENCODE, 128)).unwrap();
    session.restore(0, &checkpoint).unwrap();
    let wrong = [count, u32::MAX];
    for example in wrong {
        let said = format!("there is no example {example}");
        for error in [
            session.encode(&[0, example], 0).unwrap_err(),
            session.reconstruct(&[0, example], None, 0).unwrap_err(),
            session.originals(&[example]).unwrap_err(),
            session.labels(&[example]).unwrap_err(),
            session.set_order(&[example]).unwrap_err(),
        ] {
            assert!(error.exit_code() == 2 && error.to_string().contains(&said), "{error}");
        }
    }
    assert!(session.encode(&[], 0).unwrap().is_empty());
    assert!(session.reconstruct(&[], None, 0).unwrap().0.is_empty());
    assert!(session.sample(0, 0).unwrap().is_empty() && session.decode(&[], &[]).unwrap().is_empty());
    // More draws than there are examples have numbers of their own.
    assert_eq!(session.sample(400, 0).unwrap().len(), 400 * 784);
    for change in [
        |config: &mut Config| config.model.latent = 0,
        |config: &mut Config| config.train.batch = 0,
        |config: &mut Config| config.train.accumulate = 0,
    ] {
        let mut config = checkpoint.config.clone();
        change(&mut config);
        assert_eq!(Session::new(config, data.clone(), cpu()).unwrap_err().exit_code(), 2);
    }
    for shape in [[usize::MAX, 2, 2], [1 << 32, 1 << 31, 2], [0, 28, 28]] {
        let mut checkpoint = checkpoint.clone();
        checkpoint.progress.data.shape = shape;
        assert_eq!(Session::without_data(&checkpoint, cpu()).unwrap_err().exit_code(), 3, "{shape:?}");
        assert!(Dataset::new("huge", shape, Values::U8(vec![1; 64]), None, 0, 0).is_err(), "{shape:?}");
    }
}
