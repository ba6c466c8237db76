//! Data that are larger than the memory that they may take: whatever kind of source they are, what is learnt and
//! answered has the bits of data that are in memory.

use crate::program::{command, content, elbo, outcome};
use elbo::checkpoint::load_latest;
use elbo::config::{self, Config, Likelihood};
use elbo::data::{self, Dataset, Values};
use elbo::rng::{Philox, Stream};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use std::fs::{self, File};
use std::io::{Cursor, Write};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// Examples of each source.
const ROWS: usize = 90;

fn random() -> Philox {
    Philox::new(11, Stream::Choice, 0, 0)
}

fn bytes(rng: &mut Philox, count: usize) -> Vec<u8> {
    (0..count).map(|_| (256.0 * rng.uniform()) as u8).collect()
}

/// Numbers in the units of nobody in particular, some of which are missing.
fn numbers(rng: &mut Philox, count: usize) -> Vec<f64> {
    let number = |at| if at % 17 == 5 { f64::NAN } else { f64::from(rng.uniform()) * 300.0 - 1e-7 * at as f64 };
    (0..count).map(number).collect()
}

/// An `.npy` file.
fn npy(kind: &str, fortran: bool, dims: &[usize], body: &[u8]) -> Vec<u8> {
    let extents = dims.iter().map(|extent| format!("{extent}, ")).collect::<Vec<_>>().concat();
    let order = if fortran { "True" } else { "False" };
    let header = format!("{{'descr': '{kind}', 'fortran_order': {order}, 'shape': ({extents}), }}\n");
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), body].concat()
}

fn npz(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in arrays {
        writer.start_file(format!("{name}.npy"), SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn idx(dims: &[u32], body: &[u8]) -> Vec<u8> {
    let sizes: Vec<u8> = dims.iter().flat_map(|size| size.to_be_bytes()).collect();
    [&[0, 0, 8, dims.len() as u8], &sizes[..], body].concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A PNG image of 8 or 16 bits a sample.
fn png(colour: png::ColorType, depth: png::BitDepth, pixels: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 4, 3);
    encoder.set_color(colour);
    encoder.set_depth(depth);
    encoder.write_header().unwrap().write_image_data(pixels).unwrap();
    bytes
}

/// A number, a count, one of two words and one of three, some of them missing; the last column are the labels.
fn mixed(rng: &mut Philox) -> String {
    let mut text = "size,visits,smoker,city,kind\n".to_owned();
    for row in 0..ROWS {
        let cell = |at: usize, cell: String| if (row + 3 * at).is_multiple_of(11) { String::new() } else { cell };
        let cells = [
            cell(0, (1e3 * rng.uniform()).to_string()),
            cell(1, ((9.0 * rng.uniform()) as u32).to_string()),
            cell(2, ["no", "yes"][row % 2].to_owned()),
            cell(3, ["Bonn", "Rome", "\"Ulm,\nold\""][(3.0 * rng.uniform()) as usize].to_owned()),
            ["good", "bad"][row % 5 / 4].to_owned(),
        ];
        text += &(cells.join(",") + "\n");
    }
    text
}

/// A folder with a source of every kind, and a way of storing it that cannot be read where it lies.
fn sources() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: Vec<u8>| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    let mut rng = random();
    let doubles = numbers(&mut rng, ROWS * 6);
    let all = |to: fn(f64) -> Vec<u8>| doubles.iter().flat_map(|&x| to(x)).collect::<Vec<u8>>();
    let (f8, f4) = (all(|x| x.to_le_bytes().to_vec()), all(|x| (x as f32).to_le_bytes().to_vec()));
    let units = |to: fn(f32) -> [u8; 4], rng: &mut Philox| -> Vec<u8> {
        (0..ROWS * 24).flat_map(|_| to(rng.uniform())).collect()
    };
    write("bytes.npy", npy("|u1", false, &[ROWS, 3, 5], &bytes(&mut rng, ROWS * 15)));
    write("colour.npy", npy("|u1", false, &[ROWS, 4, 2, 3], &bytes(&mut rng, ROWS * 24)));
    write(
        "flags.npy",
        npy("|b1", false, &[ROWS, 7], &bytes(&mut rng, ROWS * 7).iter().map(|x| x % 2).collect::<Vec<_>>()),
    );
    write("little.npy", npy("<f4", false, &[ROWS, 4, 6], &units(f32::to_le_bytes, &mut rng)));
    write("big.npy", npy(">f4", false, &[ROWS, 4, 6], &units(f32::to_be_bytes, &mut rng)));
    write("big16.npy", npy(">i2", false, &[ROWS, 6], &bytes(&mut rng, ROWS * 12)));
    write("f8.npy", npy("<f8", false, &[ROWS, 6], &f8));
    write("big8.npy", npy(">f8", false, &[ROWS, 6], &all(|x| x.to_be_bytes().to_vec())));
    write("f4.npy", npy("<f4", false, &[ROWS, 6], &f4));
    write("fortran.npy", npy("<f8", true, &[ROWS, 6], &f8));
    write("fortran3.npy", npy("|u1", true, &[ROWS, 4, 2, 3], &bytes(&mut rng, ROWS * 24)));
    let tokens: Vec<u8> =
        (0..ROWS * 24).flat_map(|at| ([0.0, 4.0, f32::NAN, 2.0][at * 7 % 11 % 4]).to_le_bytes()).collect();
    write("tokens.npy", npy("<f4", false, &[ROWS, 2, 3, 2, 2], &tokens));
    write("tokens.npz", npz(&[("X", npy("<f4", true, &[ROWS, 24], &tokens))]));
    let labels = npy("|u1", false, &[ROWS], &(0..ROWS).map(|row| (row % 3) as u8).collect::<Vec<_>>());
    write("table.npz", npz(&[("X", npy("<f8", false, &[ROWS, 6], &f8)), ("y", labels.clone())]));
    write("column.npz", npz(&[("X", npy("<f4", true, &[ROWS, 6], &f4)), ("y", labels)]));
    let part = |rows: usize, rng: &mut Philox| npy("|u1", false, &[rows, 3, 3], &bytes(rng, rows * 9));
    write("keras.npz", npz(&[("x_train", part(70, &mut rng)), ("x_test", part(20, &mut rng))]));
    let names = ["train-images-idx3-ubyte", "t10k-images-idx3-ubyte"];
    let parts = [idx(&[70, 3, 3], &bytes(&mut rng, 70 * 9)), idx(&[20, 3, 3], &bytes(&mut rng, 20 * 9))];
    for (kind, packed) in [("plain", [false, false]), ("packed", [true, true]), ("half", [false, true])] {
        for ((name, part), packed) in names.iter().zip(&parts).zip(packed) {
            let bytes = if packed { gzip(part) } else { part.clone() };
            write(&format!("{kind}/{name}{}", if packed { ".gz" } else { "" }), bytes);
        }
    }
    write("mixed.csv", mixed(&mut rng).into_bytes());
    for row in 0..ROWS {
        let class = ["circles", "squares"][row % 2];
        let grey = png(png::ColorType::Grayscale, png::BitDepth::Eight, &bytes(&mut rng, 12));
        write(&format!("photos/{class}/{row}.png"), grey);
        let deep = png(png::ColorType::Rgb, png::BitDepth::Sixteen, &bytes(&mut rng, 72));
        write(&format!("deep/{row}.png"), deep);
    }
    write("photos/circles/broken.png", b"\x89PNG and nothing else".to_vec());
    folder
}

fn settings(source: &Path, line: &str) -> Config {
    let mut pairs = vec![("data.source".to_owned(), source.display().to_string())];
    pairs.extend(line.split_whitespace().map(|pair| {
        let (key, value) = pair.split_once('=').expect("KEY=VALUE");
        (key.to_owned(), value.to_owned())
    }));
    config::resolve(None, &pairs).expect("the settings are valid")
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Asserts that a data set that is on the disk is the one that is in memory.
fn compare(whole: &Dataset, large: &Dataset, name: &str) {
    assert!(matches!(large.values, Values::Disk(_)) && !matches!(whole.values, Values::Disk(_)), "{name}");
    assert_eq!(whole.hash, large.hash, "{name}");
    assert_eq!((&whole.shape, &whole.train, &whole.test), (&large.shape, &large.train, &large.test), "{name}");
    assert_eq!((&whole.labels, &whole.classes, &whole.rows), (&large.labels, &large.classes, &large.rows), "{name}");
    assert_eq!((&whole.encoding, whole.missing), (&large.encoding, large.missing), "{name}");
    assert_eq!(&whole.notes, &large.notes, "{name}");
    let mut all: Vec<u32> = (0..whole.len() as u32).collect();
    assert!(whole.stored(&all).unwrap() == large.stored(&all).unwrap(), "{name}");
    all.reverse();
    assert_eq!(bits(&whole.examples(&all).unwrap()), bits(&large.examples(&all).unwrap()), "{name}");
    let means = |data: &Dataset| bits(&data.means(data.train.clone()).unwrap());
    assert_eq!(means(whole), means(large), "{name}");
    let visited = |data: &Dataset| {
        let mut seen = Vec::new();
        data.visit(data.train.clone(), |example, row| {
            seen.push((example, bits(row)));
            Ok(())
        })
        .unwrap();
        seen
    };
    assert!(visited(whole) == visited(large), "{name}");
    for likelihood in [Likelihood::Bernoulli, Likelihood::Gaussian, Likelihood::Heterogeneous] {
        assert_eq!(
            data::check(whole, likelihood.takes()),
            data::check(large, likelihood.takes()),
            "{name}, {likelihood:?}"
        );
    }
}

#[test]
fn examples_that_are_not_in_memory_are_those_that_are_whatever_holds_them() {
    let folder = sources();
    let gaussian = "model.likelihood=gaussian";
    let table = "model.likelihood=heterogeneous data.labels=kind";
    for (name, line) in [
        ("bytes.npy", ""),
        ("bytes.npy", "data.scale=standardise"),
        ("colour.npy", ""),
        ("colour.npy", "data.scale=unit"),
        ("flags.npy", ""),
        ("little.npy", ""),
        ("big.npy", ""),
        ("big.npy", "data.scale=standardise"),
        ("big16.npy", ""),
        ("big16.npy", gaussian),
        ("f8.npy", ""),
        ("f8.npy", gaussian),
        ("big8.npy", gaussian),
        ("f4.npy", gaussian),
        ("f4.npy", "data.scale=unit data.shuffle=false"),
        ("flags.npy", "model.likelihood=categorical"),
        ("tokens.npy", "model.likelihood=categorical"),
        ("tokens.npz", "model.likelihood=categorical data.shuffle=false"),
        ("fortran.npy", gaussian),
        ("fortran3.npy", ""),
        ("table.npz", gaussian),
        ("table.npz", ""),
        ("column.npz", gaussian),
        ("keras.npz", ""),
        ("plain", ""),
        ("packed", ""),
        ("half", ""),
        ("packed/train-images-idx3-ubyte.gz", ""),
        ("mixed.csv", table),
        ("mixed.csv", "model.likelihood=heterogeneous data.columns.city=ignore data.shuffle=false"),
        ("photos", "data.damaged=skip"),
        ("photos", "data.damaged=skip data.resize=6x6 data.fit=crop data.colour=rgb data.labels=none"),
        ("deep", ""),
    ] {
        let open = |memory: usize| {
            let line = format!("data.validation=7 data.memory={memory} {line}");
            let config = settings(&folder.path().join(name), &line);
            data::open(&config, None).unwrap_or_else(|error| panic!("{name} {line}: {error}"))
        };
        let (whole, large) = (open(4096), open(0));
        compare(&whole, &large, &format!("{name} {line}"));
        // So many MiB are 2⁶⁴ bytes, which is more than any of them takes.
        assert!(!matches!(open(1 << 44).values, Values::Disk(_)), "{name} {line}");
        // For a trained model they are read as it takes them.
        let known = data::FittedPreprocessing {
            encoding: whole.encoding.as_ref(),
            classes: whole.classes.as_deref(),
            floats: true,
            ..data::FittedPreprocessing::default()
        };
        let for_model = |memory: usize| {
            let line = format!("data.memory={memory} {line}");
            data::open(&settings(&folder.path().join(name), &line), Some(known)).unwrap()
        };
        compare(&for_model(4096), &for_model(0), &format!("{name} {line}, for a model"));
    }
}

#[test]
fn only_what_takes_more_than_its_share_of_the_memory_leaves_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut rng = random();
    let rows = 1 << 15;
    let bytes = bytes(&mut rng, 32 * rows);
    for (name, dims, on_disk) in [("full.npy", [rows, 32], false), ("more.npy", [rows + 1, 32], true)] {
        let path = folder.path().join(name);
        let more = vec![7; 32 * (dims[0] - rows)];
        fs::write(&path, npy("|u1", false, &dims, &[&bytes[..], &more].concat())).unwrap();
        let open = |line: &str| data::open(&settings(&path, line), None).unwrap();
        assert_eq!(matches!(open("data.memory=1").values, Values::Disk(_)), on_disk, "{name}");
        // Scaled, a byte becomes a float.
        for (memory, on_disk) in [(1, true), (3, true), (5, false)] {
            let data = open(&format!("data.memory={memory} data.scale=standardise"));
            assert_eq!(matches!(data.values, Values::Disk(_)), on_disk, "{name} in {memory} MiB");
        }
    }
}

#[test]
fn what_is_learnt_answered_and_resumed_does_not_depend_on_where_the_examples_are() {
    let folder = sources();
    let small = "--adapter cpu --batch 10 --latent 2 --set hidden=[8] --set validation=5";
    for (source, line) in [
        ("f8.npy", "--set model.likelihood=gaussian-learned"),
        ("mixed.csv", "--recipe table --set data.labels=kind"),
        ("table.npz", "--recipe anomaly"),
        ("photos", "--set data.damaged=skip --set window=40"),
        ("packed", "--set window=40"),
        ("f4.npy", "--set model.likelihood=gaussian --set data.shard=2 --set checkpoint_steps=3"),
    ] {
        let mut runs = Vec::new();
        for (kind, memory) in [("whole", 4096), ("large", 0)] {
            let run = format!("{}-{kind}", source.replace('.', "-"));
            let train = format!("train --data {source} {line} {small} --set memory={memory} --out {run}");
            elbo(folder.path(), &format!("{train} --epochs 1")).succeeded();
            elbo(folder.path(), &format!("train --resume {run} --epochs 2 --adapter cpu")).succeeded();
            elbo(folder.path(), &format!("score {run} --out {run}.csv --adapter cpu")).succeeded();
            let scores = fs::read(folder.path().join(format!("{run}.csv"))).unwrap();
            let eval = elbo(folder.path(), &format!("eval {run} --adapter cpu --json")).succeeded();
            let value: Value = serde_json::from_str(&eval.out).unwrap();
            let checkpoint = load_latest(&folder.path().join(&run)).unwrap().0;
            assert_eq!(checkpoint.progress.epoch, 2, "{source}");
            runs.push((checkpoint.parameters, checkpoint.progress.data, scores, value["neg_elbo"].as_f64().unwrap()));
        }
        assert!(runs[0] == runs[1], "{source}: {:?} {:?}", runs[0].1, runs[1].1);
    }
}

#[test]
fn what_is_wrong_in_the_middle_of_a_large_source_is_named_and_nothing_is_left_of_it() {
    let folder = sources();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    let text = fs::read_to_string(folder.path().join("mixed.csv")).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    // Some lines end within quotation marks; the next one behind the fiftieth that does not.
    let whole = |end: &usize| lines[..*end].concat().matches('"').count() % 2 == 0;
    let cut = (50..lines.len()).find(whole).unwrap();
    let with = |line: &str| [&lines[..cut].concat(), line, &lines[cut..].concat()].concat();
    write("ragged.csv", with("1,2\n").as_bytes());
    write("word.csv", with("large,2,no,Bonn,good\n").as_bytes());
    write("label.csv", with("1.5,2,no,Bonn,\n").as_bytes());
    write("latin.csv", &[lines[..cut].concat().as_bytes(), b"1.5,2,no,K\xf6ln,good\n"].concat());
    let line = cut + 1;
    let inf: Vec<u8> =
        (0..ROWS * 6).flat_map(|at| if at == 400 { f64::INFINITY } else { 0.5 * at as f64 }.to_le_bytes()).collect();
    write("inf.npy", &npy("<f8", false, &[ROWS, 6], &inf));
    let good = fs::read(folder.path().join("f8.npy")).unwrap();
    write("cut.npy", &good[..good.len() - 1]);
    let flags: Vec<u8> = (0..ROWS * 7).map(|at| if at == 400 { 2 } else { 1 }).collect();
    write("flags.npy", &npy("|b1", false, &[ROWS, 7], &flags));
    let packed = fs::read(folder.path().join("packed/train-images-idx3-ubyte.gz")).unwrap();
    write("packed/train-images-idx3-ubyte.gz", &packed[..packed.len() - 12]);
    let archive = fs::read(folder.path().join("table.npz")).unwrap();
    let mut damaged = archive.clone();
    damaged[200] ^= 0x55;
    write("damaged.npz", &damaged);
    fs::create_dir(folder.path().join("cache")).unwrap();
    let before = content(folder.path());
    for (source, words) in [
        ("ragged.csv --recipe table", &*format!("ragged.csv: line {line} has 2 fields, and the header has 5")),
        ("word.csv --recipe table --set data.columns.size=numeric", &*format!("size: line {line} has `large`")),
        ("label.csv --recipe table --set data.labels=kind", &*format!("label.csv: line {line}: the label is missing")),
        ("latin.csv --recipe table", &*format!("latin.csv: line {line} is no UTF-8 text")),
        (
            "inf.npy --set model.likelihood=gaussian",
            "inf.npy: value 4 of row 66 (both from 0) is inf; remove or replace",
        ),
        ("cut.npy --set model.likelihood=gaussian", "cut.npy: file is truncated: header promises "),
        ("flags.npy", "flags.npy: in rows 0 to 89 (from 0): element 400 is 2, and booleans are 0 or 1"),
        ("packed", "train-images-idx3-ubyte.gz: file is truncated: its gzip data end too early"),
        ("damaged.npz --recipe table", "damaged.npz: array X: "),
        ("photos", "broken.png"),
    ] {
        let mut program =
            command(folder.path(), &format!("train --data {source} --set memory=0 --adapter cpu --out new"));
        program.env("XDG_CACHE_HOME", folder.path().join("cache"));
        outcome(program).failed(3, words);
        let _ = fs::remove_dir(folder.path().join("cache/elbo"));
        assert!(content(folder.path()) == before, "{source} left something behind");
    }
}

#[test]
fn a_quotation_mark_that_is_not_closed_does_not_bring_the_rest_of_a_file_into_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("endless.csv");
    fs::write(&path, "a,b\n1.5,2.5\n3.5,\"4.5\n5.5,6.5\n").unwrap();
    // What follows takes no room on most disks.
    File::options().append(true).open(&path).unwrap().set_len(70 << 20).unwrap();
    let words = "endless.csv: the row that begins in line 3 is longer than 64 MiB; look for a quotation mark";
    elbo(folder.path(), "data endless.csv").failed(3, words);
}

/// The program where files may have no more than so many blocks of 512 or 1024 bytes.
#[cfg(unix)]
fn limited(folder: &Path, blocks: usize, arguments: &str) -> Command {
    let mut shell = Command::new("sh");
    let line = format!("trap '' XFSZ; ulimit -f {blocks}; exec {} {arguments}", env!("CARGO_BIN_EXE_elbo"));
    shell.args(["-c", &line]).current_dir(folder).env("XDG_CACHE_HOME", folder.join("cache"));
    shell.env("TMPDIR", folder.join("cache")).env("XDG_RUNTIME_DIR", folder);
    shell
}

#[cfg(unix)]
#[test]
fn a_disk_without_room_is_a_clear_error_and_leaves_nothing_behind() {
    let folder = sources();
    fs::create_dir_all(folder.path().join("cache/elbo")).unwrap();
    let before = content(folder.path());
    let disk = folder.path().join("cache/elbo");
    for (source, name) in [
        ("mixed.csv --recipe table --set data.labels=kind", "mixed.csv"),
        ("table.npz --recipe anomaly", "table.npz: array X"),
        ("photos --set data.damaged=skip", "photos"),
        ("packed", "train-images-idx3-ubyte.gz"),
        ("fortran.npy --recipe anomaly", "fortran.npy"),
    ] {
        let said = outcome(limited(folder.path(), 0, &format!("data {source} --set data.memory=0")));
        said.failed(6, &format!("cannot write in {}: ", disk.display()));
        said.failed(6, &format!("{name} is larger than data.memory and is unpacked there"));
        said.failed(6, "raise data.memory, or name another folder in XDG_CACHE_HOME");
        assert!(content(folder.path()) == before, "{source} left something behind");
        outcome(limited(folder.path(), 1000, &format!("data {source} --set data.memory=0"))).succeeded();
        assert!(content(folder.path()) == before, "{source} left something behind");
    }
}

#[test]
fn a_missing_value_that_a_source_cannot_have_is_told_how_to_be_one() {
    let folder = sources();
    let number = |at: usize| if at == 2 { f64::NAN } else { (at % 7) as f64 / 7.0 };
    let missing: Vec<u8> = (0..80).flat_map(|at| number(at).to_le_bytes()).collect();
    fs::write(folder.path().join("x.npz"), npz(&[("X", npy("<f8", false, &[40, 2], &missing))])).unwrap();
    fs::write(folder.path().join("y.npy"), npy("<f8", false, &[40, 2, 1], &missing)).unwrap();
    for (line, words) in [
        (
            "x.npz",
            "value 0 of row 1 (both from 0) is NaN; for a model that takes NaN for a missing value choose `--recipe table`",
        ),
        (
            "x.npz --recipe anomaly --set data.scale=none",
            "choose `--recipe table` or `--recipe anomaly`, without `data.scale=none`, else replace it",
        ),
        (
            "y.npy",
            "is NaN; NaN stands for a missing value where numbers are scaled: choose `--set data.scale=standardise`",
        ),
    ] {
        for memory in [4096, 0] {
            let said = elbo(folder.path(), &format!("data {line} --set data.memory={memory}")).succeeded();
            assert!(said.out.contains("refused  ") && said.out.contains(words), "{said:?}");
        }
    }
    for line in ["x.npz --recipe table", "x.npz --recipe anomaly", "y.npy --set data.scale=standardise"] {
        let said = elbo(folder.path(), &format!("data {line}")).succeeded();
        assert!(!said.out.contains("refused"), "{said:?}");
    }
}
