//! Sources of data from outside: from raw files to models and back, and what is said to files that are wrong.

use crate::program::{command, content, elbo, trained};
use serde_json::Value;
use std::fs;
use std::io::{Cursor, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// Settings of a run that takes no time.
const SMALL: &str = "--adapter cpu --epochs 2 --batch 10 --latent 2 --set model.hidden=[8] --set data.validation=5";

/// A file that `NumPy` or Pillow wrote.
fn fixture(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/data").join(name)).unwrap()
}

fn write(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// A grey PNG image.
fn png(width: u32, height: u32, value: impl Fn(u32) -> u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Grayscale);
    let pixels: Vec<u8> = (0..width * height).map(value).collect();
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    bytes
}

/// An array of 64-bit floats as `NumPy` stores it.
fn npy(dims: &[usize], numbers: &[f64]) -> Vec<u8> {
    let extents = dims.iter().map(|extent| format!("{extent}, ")).collect::<Vec<_>>().concat();
    let header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({extents}), }}\n");
    let length = (header.len() as u16).to_le_bytes();
    let body = numbers.iter().flat_map(|number| number.to_le_bytes());
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes()].concat().into_iter().chain(body).collect()
}

fn npz(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in arrays {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Rows of two numbers that depend on each other, around 1000 and -0.002.
fn rows() -> Vec<[f64; 2]> {
    (0..60).map(|i| f64::from(i * 37 % 60)).map(|t| [1000.0 + 5.0 * t, -0.002 + 1e-5 * t]).collect()
}

/// A folder with one source of every kind.
fn sources() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let lines = rows().iter().map(|[a, b]| format!("{a},{b},x\n")).collect::<Vec<_>>().concat();
    write(folder.path(), "table.csv", format!("size,\"depth, m\",note\n{lines}").as_bytes());
    let flags = (0..60).map(|i| format!("{},{}\n", i % 2, i % 3 % 2)).collect::<Vec<_>>().concat();
    write(folder.path(), "flags.csv", format!("left,right\n{flags}").as_bytes());
    let numbers: Vec<f64> = rows().concat();
    let labels: Vec<f64> = (0..60).map(|i| f64::from(i % 3)).collect();
    write(folder.path(), "array.npy", &npy(&[60, 2], &numbers));
    write(folder.path(), "arrays.npz", &npz(&[("X.npy", npy(&[60, 2], &numbers)), ("y.npy", npy(&[60], &labels))]));
    for i in 0..40_u8 {
        let class = ["circles", "squares"][usize::from(i % 2)];
        write(folder.path(), &format!("photos/{class}/{i}.png"), &png(6, 5, |at| (at as u8).wrapping_mul(i)));
    }
    folder
}

#[test]
fn every_kind_of_source_is_described_trained_on_and_drawn_from() {
    let folder = sources();
    for (source, settings, examples, shape, end) in [
        ("table.csv", "--set model.likelihood=gaussian --set data.columns.note=ignore", 60, [1, 1, 2], "csv"),
        ("flags.csv", "", 60, [1, 1, 2], "csv"),
        ("array.npy", "--set model.likelihood=gaussian-learned", 60, [1, 1, 2], "csv"),
        ("arrays.npz", "--set model.likelihood=gaussian", 60, [1, 1, 2], "csv"),
        ("photos", "", 40, [1, 5, 6], "png"),
        ("photos", "--set data.resize=4x4 --set data.fit=crop --set data.colour=rgb", 40, [3, 4, 4], "png"),
    ] {
        let described = elbo(folder.path(), &format!("data {source} {settings} --json")).succeeded();
        let value: Value = serde_json::from_str(&described.out).unwrap();
        assert_eq!(
            (value["examples"].as_u64(), value["test"].as_u64()),
            (Some(examples), Some(examples / 10)),
            "{value}"
        );
        assert_eq!(value["shape"], serde_json::json!(shape), "{value}");
        assert_eq!(value["problems"], serde_json::json!([]), "{value}");
        let text = elbo(folder.path(), &format!("data {source} {settings}")).succeeded();
        assert!(text.out.contains(value["hash"].as_str().unwrap()), "{text:?}");

        let run = tempfile::tempdir_in(folder.path()).unwrap();
        let run = run.path().display();
        elbo(folder.path(), &format!("train --data {source} {settings} {SMALL} --out {run}")).succeeded();
        for line in ["eval", "sample -n 4", "reconstruct -n 4"] {
            let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
            let said = elbo(folder.path(), &format!("{verb} {run} {rest} --adapter cpu")).succeeded();
            assert!(verb == "eval" || said.out.trim_end().ends_with(end), "{said:?}");
        }
        let resumed = elbo(folder.path(), &format!("train --resume {run} --epochs 3 --adapter cpu")).succeeded();
        assert!(resumed.err.contains("going on after epoch 2"), "{resumed:?}");
    }
}

#[test]
fn what_was_scaled_for_the_model_comes_out_in_the_units_of_the_data() {
    let folder = sources();
    let line = format!("train --data table.csv --set data.columns.note=ignore --set model.likelihood=gaussian {SMALL}");
    elbo(folder.path(), &format!("{line} --out run")).succeeded();
    for (line, columns) in [("sample run -n 9", 2), ("reconstruct run -n 3", 3)] {
        let path = elbo(folder.path(), &format!("{line} --adapter cpu")).succeeded().out;
        let mut table = csv::Reader::from_path(folder.path().join(path.trim_end())).unwrap();
        let names = table.headers().unwrap().clone();
        assert_eq!(names.iter().skip(columns - 2).collect::<Vec<_>>(), ["size", "depth, m"], "{line}");
        for row in table.records() {
            let row = row.unwrap();
            let number = |at: usize| row[at].parse::<f64>().unwrap_or_else(|error| panic!("{row:?}: {error}"));
            // An untrained decoder stays near the mean: 1147.5 and -0.001705.
            assert!((900.0..1400.0).contains(&number(columns - 2)), "{line}: {row:?}");
            assert!((-0.0025..-0.001).contains(&number(columns - 1)), "{line}: {row:?}");
        }
    }
}

#[test]
fn a_table_for_a_trained_model_is_read_as_the_model_needs_it() {
    let folder = sources();
    let line = "train --data flags.csv --set data.shuffle=false";
    elbo(folder.path(), &format!("{line} {SMALL} --out run")).succeeded();
    for (name, text) in [
        ("turned.csv", "more,right,left\n9,1,0\n8,0,1\n"),
        ("missing.csv", "left\n1\n0\n"),
        ("unknown.csv", "left,right\n1,0\n0,2\n"),
        ("empty.csv", "left,right\n1,0\n,1\n"),
    ] {
        write(folder.path(), name, text.as_bytes());
    }
    let eval = |name: &str| elbo(folder.path(), &format!("eval run --data {name} --part train --adapter cpu"));
    eval("turned.csv").succeeded();
    eval("empty.csv").succeeded();
    for (name, words) in [
        ("missing.csv", "missing.csv: the column `right`, which the model was trained on, is missing"),
        ("unknown.csv", "unknown.csv: line 3, column `right`: `2` is none of the values that the model knows: 0, 1"),
        ("array.npy", "array.npy: an array has numbers only, but the model's column `left` is of type binary"),
        ("photos", "an example has shape [1, 5, 6], and the model takes [1, 1, 2]"),
    ] {
        eval(name).failed(3, words);
    }
    write(folder.path(), "flags.csv", b"left,right\n1,0\n0,1\n1,1\n");
    elbo(folder.path(), "train --resume run --epochs 3 --adapter cpu").failed(3, "the data are not those of the run");
}

/// Wrong sources, each under a name that says what is wrong.
fn write_wrong_sources(folder: &Path) {
    let good = png(6, 5, |at| at as u8);
    let mut absurd = good.clone();
    absurd[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    let mut sum = flate2::Crc::new();
    sum.update(&absurd[12..29]);
    absurd[29..33].copy_from_slice(&sum.sum().to_be_bytes());
    let jpeg = fixture("grey.jpg");
    let mut header = npy(&[2, 2], &[0.0; 4]);
    header[8..10].copy_from_slice(&u16::MAX.to_le_bytes());
    let array = npy(&[4, 2], &[0.5; 8]);
    for (name, bytes) in [
        ("sizes/a.png", good.clone()),
        ("sizes/b.png", png(5, 5, |_| 0)),
        ("absurd/a.png", absurd),
        ("absurd/b.png", good),
        ("cut/a.jpg", jpeg[..jpeg.len() - 30].to_vec()),
        ("cut/b.png", png(16, 12, |at| at as u8)),
        ("nothing/readme.txt", vec![]),
        ("pickled.npy", fixture("object.npy")),
        ("header.npy", header),
        ("overflow.npy", npy(&[usize::MAX, usize::MAX], &[])),
        ("cut.npy", array[..array.len() - 1].to_vec()),
        ("nan.npy", npy(&[2, 2], &[0.0, 1.0, f64::NAN, 0.5])),
        ("inf.npy", npy(&[2, 2], &[0.0, 1.0, 0.5, f64::INFINITY])),
        ("large.npy", npy(&[20, 2], &[100.0; 40])),
        ("scalar.npy", npy(&[], &[1.0])),
        ("up.npz", npz(&[("../X.npy", array.clone())])),
        ("two.npz", npz(&[("a.npy", array.clone()), ("b.npy", array)])),
        ("no.npz", b"PK\x05\x06 no archive".to_vec()),
        ("ragged.csv", b"a,b\n0,1\n1\n".to_vec()),
        ("quoted.csv", b"a,b\n\"0\n\",1\n1,0,1\n".to_vec()),
        ("header.csv", b"a,b\n".to_vec()),
        ("numbers.csv", b"1,2\n3,4\n".to_vec()),
        ("empty.csv", vec![]),
        ("inf.csv", b"a,b\n0.5,inf\n0.25,1\n".to_vec()),
        ("nan.csv", b"a,b\n0.5,0.25\nNaN,1\n".to_vec()),
        ("kinds.csv", b"a,b\n0.5,x\n0.25,y\n0.125,z\n".to_vec()),
        ("bytes.csv", b"a,b\n0.5,\xff\n".to_vec()),
        ("photo.jpg", jpeg),
    ] {
        write(folder, name, &bytes);
    }
}

#[test]
fn wrong_sources_are_one_clear_line_and_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    write_wrong_sources(folder.path());
    let before = content(folder.path());
    for (arguments, code, culprit) in [
        ("sizes", 3, "b.png has 5x5: bring all to one size with `--set data.resize=6x5`"),
        ("sizes --set data.resize=4x4", 3, "data.fit=crop"),
        ("sizes --set data.resize=4", 2, "data.resize = 4 is not allowed"),
        ("absurd", 3, "a.png: it claims to have 60000x60000 pixels; allowed are 1 to 134217728 (1 of 2 images"),
        ("cut", 3, "a.jpg: the image is damaged or truncated: its data end too early (1 of 2 images cannot be read)"),
        ("nothing", 3, "nothing: there are no data in this folder to train on"),
        ("photo.jpg", 3, "photo.jpg: this is one image; pass the folder"),
        ("pickled.npy", 3, "pickled.npy: it holds pickled Python objects"),
        ("header.npy", 3, "header.npy: the header is damaged: it claims to be 65535 bytes long"),
        ("overflow.npy", 3, "overflow.npy: the header is damaged"),
        ("cut.npy", 3, "cut.npy: file is truncated"),
        ("nan.npy", 3, "nan.npy: value 0 of row 1 (both from 0) is NaN"),
        ("inf.npy --set model.likelihood=gaussian", 3, "inf.npy: value 1 of row 1 (both from 0) is inf"),
        ("large.npy", 3, "`--set data.scale=unit`"),
        ("scalar.npy", 3, "scalar.npy: 0 dimensions"),
        ("up.npz", 3, "up.npz: the entry \"../X.npy\" points out of the archive"),
        ("two.npz", 3, "two.npz: which array holds the examples? there are a [4, 2], b [4, 2]"),
        ("two.npz --set data.array=c", 2, "data.array = c"),
        ("no.npz", 3, "no.npz: this is no .npz file"),
        ("ragged.csv", 3, "ragged.csv: line 3 has 1 fields, and the header has 2"),
        ("quoted.csv", 3, "quoted.csv: line 4 has 3 fields"),
        ("header.csv", 3, "header.csv: there are no rows"),
        ("numbers.csv", 3, "numbers.csv: the first line has only numbers"),
        ("empty.csv", 3, "empty.csv: the file is empty"),
        ("inf.csv", 3, "inf.csv: column `b` of row 1 below the header is inf"),
        ("kinds.csv --recipe classic", 3, "kinds.csv: column `b` is of type category"),
        ("kinds.csv --set data.columns.b=numeric", 3, "data.columns.b: line 2 has `x`, which is no number"),
        ("kinds.csv --set data.columns.c=ignore", 2, "data.columns.c: kinds.csv has no column of this name"),
        ("kinds.csv --set data.columns.b=words", 2, "numeric, binary, category, count, ignore"),
        ("kinds.csv --set data.labels=c", 2, "data.labels = c"),
        ("bytes.csv", 3, "bytes.csv: line 2 is no UTF-8 text"),
    ] {
        let line = format!("train --data {arguments} --adapter cpu --batch 1 --out new/run");
        elbo(folder.path(), &line).failed(code, culprit);
        assert!(content(folder.path()) == before, "{arguments} left something behind");
    }
}

#[test]
fn a_damaged_image_is_left_out_where_that_is_asked_for_and_said() {
    let folder = tempfile::tempdir().unwrap();
    write_wrong_sources(folder.path());
    let said = elbo(folder.path(), "data cut --set data.damaged=skip --json").succeeded();
    let value: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(value["examples"], 1, "{value}");
    assert!(value["problems"][0].as_str().unwrap().contains("a.jpg"), "{value}");
    assert!(said.err.contains("warning: cut: left out: "), "{said:?}");
}

#[test]
fn images_that_do_not_go_together_are_described_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    write_wrong_sources(folder.path());
    let value = |source: &str| {
        let said = elbo(folder.path(), &format!("data {source} --json")).succeeded();
        serde_json::from_str::<Value>(&said.out).unwrap()
    };
    let sizes = value("sizes");
    assert_eq!(
        (&sizes["widths"], &sizes["heights"]),
        (&serde_json::json!([5, 6]), &serde_json::json!([5, 5])),
        "{sizes}"
    );
    assert!(sizes["problems"][0].as_str().unwrap().contains("--set data.resize=6x5"), "{sizes}");
    let absurd = value("absurd");
    assert_eq!(
        (&absurd["examples"], &absurd["unreadable"], &absurd["grey"]),
        (&2.into(), &1.into(), &1.into()),
        "{absurd}"
    );
    let text = elbo(folder.path(), "data sizes").succeeded();
    assert!(text.out.contains("5 to 6 pixels wide, 5 high; 2 grey") && text.out.contains("refused  sizes"), "{text:?}");
    elbo(folder.path(), "data nothing").failed(3, "no data in this folder");
    elbo(folder.path(), "data ragged.csv").failed(3, "ragged.csv: line 3");
}

#[test]
fn examples_of_a_source_are_drawn_where_they_are_asked_for() {
    let folder = sources();
    let drawn = elbo(folder.path(), "data photos --out sheet.png -n 9").succeeded();
    assert!(drawn.out.trim_end().ends_with("sheet.png"), "{drawn:?}");
    assert!(fs::read(folder.path().join("sheet.png")).unwrap().starts_with(b"\x89PNG"));
    let refused = elbo(folder.path(), "data photos --out no/sheet.png");
    assert!(refused.code == Some(6) && refused.err.starts_with("error: cannot write no"), "{refused:?}");
    elbo(folder.path(), "data photos --out sheet.png -n 0").failed(2, "-n 0");
}

#[cfg(feature = "download")]
#[test]
fn data_by_name_that_cannot_be_had_say_why_and_where_to_put_them() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nfake");
        }
    });
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let folder = trained();
    let before = content(folder.path());
    let cache = folder.path().join("cache");
    for (source, mirror, words) in [
        ("mnist", address, "it has 4 bytes, and should have 9912422"),
        ("fashion-mnist", address, "it has 4 bytes, and should have 26421880"),
        ("mnist", nobody, "could not be fetched"),
    ] {
        let line = format!("train --data {source} --adapter cpu --out new/run");
        let mut command = command(folder.path(), &line);
        command.env("XDG_CACHE_HOME", &cache).env("ELBO_MIRROR", format!("http://{mirror}/"));
        let said = crate::program::outcome(command);
        said.failed(3, words);
        let place = cache.join("elbo").join(source).display().to_string();
        assert!(said.err.contains(&format!("into {place}")) && said.err.contains("--data FOLDER"), "{said:?}");
        assert!(content(folder.path()) == before, "{source} left something behind");
    }
}

#[test]
fn data_are_refused_by_the_model_of_the_recipe_that_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("t.csv"), "ward,age\nicu,3\nheart,4\nicu,7\nheart,9\nicu,5\n").unwrap();
    fs::write(folder.path().join("own.toml"), "[data.columns]\nage = \"numeric\"\n").unwrap();
    for (recipe, refused) in [("", false), ("--recipe table", false), ("--recipe own.toml", true)] {
        let said = elbo(folder.path(), &format!("data t.csv {recipe}")).succeeded().out;
        assert_eq!(said.contains("refused  t.csv: column `age`"), refused, "{recipe}: {said}");
        assert_eq!(said.contains("model.likelihood=heterogeneous"), refused, "{recipe}: {said}");
    }
}
