use std::fs;
use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::super::array::Elements;
use super::super::testing::{fixture, plain, standardised, unscaled};
use super::super::{Values, check};
use super::*;
use crate::config::{DataConfig, Likelihood, White};

/// An array of bytes 0, 1, 2, … in this shape.
fn bytes(dims: &[usize]) -> Vec<u8> {
    let extents = dims.iter().map(|extent| format!("{extent}, ")).collect::<Vec<_>>().concat();
    let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({extents}), }}");
    let mut file = [npy::MAGIC, &[1, 0]].concat();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend((0..dims.iter().product::<usize>()).map(|i| i as u8));
    file
}

fn zip(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        writer.start_file(*name, options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn open(bytes: &[u8], config: &DataConfig) -> Result<Dataset> {
    requested(bytes, &unscaled(config))
}

fn requested(bytes: &[u8], request: &ReadOptions) -> Result<Dataset> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("arrays.npz");
    fs::write(&path, bytes).unwrap();
    dataset(&path, request)
}

#[test]
fn what_numpy_wrote_is_read_the_same_in_every_type_and_order() {
    let mut archive = Archive::open(File::open(fixture("numbers.npz")).unwrap()).unwrap();
    let names: Vec<String> = archive.arrays.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(names.len(), 42, "{names:?}");
    for name in names {
        let array = archive.read(&name).unwrap();
        assert_eq!(array.dims, [2, 3, 4], "{name}");
        let numbers: Vec<f64> = (0..24).map(|at| array.elements.at(at)).collect();
        let expected: Vec<f64> = (0..24).map(|at| f64::from(if name.starts_with('b') { at % 2 } else { at })).collect();
        assert_eq!(numbers, expected, "{name}");
        let kind = match &name[..2] {
            "b1" => "booleans",
            "u1" => "bytes",
            "f4" => "32-bit floats",
            "f8" => "64-bit floats",
            _ => "integers",
        };
        assert_eq!(array.elements.name(), kind, "{name}");
    }
}

#[test]
fn training_and_test_arrays_are_the_parts() {
    let config = DataConfig { test: 0.5, validation: 1, ..plain() };
    let data = dataset(&fixture("keras.npz"), &unscaled(&config)).unwrap();
    assert_eq!(
        (data.shape, data.train.clone(), data.validation.clone(), data.test.clone()),
        ([1, 2, 2], 0..3, 3..4, 4..6)
    );
    assert_eq!(data.values, Values::U8((0..24).collect()));
    assert_eq!(data.labels, Some(vec![3, 1, 4, 1, 5, 9]));
    let tested = zip(&[("x_train.npy", bytes(&[0, 2])), ("x_test.npy", bytes(&[3, 2]))]);
    let error = open(&tested, &plain()).unwrap_err();
    assert!(error.exit_code() == 3 && error.to_string().contains("nothing to train on"), "{error}");
    let shuffled = dataset(&fixture("keras.npz"), &unscaled(&DataConfig { shuffle: true, ..config })).unwrap();
    let rows = shuffled.rows.clone().unwrap();
    assert_eq!(rows[4..], [4, 5], "the test part stays apart");
    for (at, &row) in rows.iter().enumerate() {
        assert_eq!(shuffled.example(at).unwrap(), data.example(row as usize).unwrap());
        assert_eq!(shuffled.labels.as_ref().unwrap()[at], data.labels.as_ref().unwrap()[row as usize]);
    }
}

#[test]
fn what_is_odd_about_labels_stands_beside_what_is_odd_about_examples() {
    // The values 0, 1, 2 and 255, and three labels for two examples.
    let mut x = bytes(&[2, 2]);
    *x.last_mut().unwrap() = 255;
    let (file, config) = (zip(&[("X.npy", x), ("y.npy", bytes(&[3]))]), plain());
    let request = ReadOptions { takes: Likelihood::Categorical.takes(), ..unscaled(&config) };
    let notes = requested(&file, &request).unwrap().notes;
    assert!(notes.len() == 2 && notes[0].contains("only 4 occur") && notes[1].contains('y'), "{notes:?}");
}

#[test]
fn the_array_of_the_examples_is_known_by_name_or_asked_for() {
    let (x, y) = (bytes(&[3, 2]), bytes(&[3]));
    let with = |array: &str, labels: &str| DataConfig {
        array: array.into(),
        labels: labels.into(),
        white: White::Full,
        ..plain()
    };
    for (entries, config, labels) in [
        (vec![("X.npy", x.clone()), ("y.npy", y.clone())], with("", ""), Some(vec![0, 1, 2])),
        (vec![("y.npy", y.clone()), ("x.npy", x.clone())], with("", ""), Some(vec![0, 1, 2])),
        (vec![("X.npy", x.clone()), ("y.npy", y.clone())], with("", "none"), None),
        (vec![("X.npy", x.clone()), ("y.npy", bytes(&[4]))], with("", ""), None),
        (vec![("arr_0.npy", x.clone())], with("", ""), None),
        (vec![("a.npy", y.clone()), ("b.npy", x.clone())], with("b", "a"), Some(vec![0, 1, 2])),
        (vec![("readme.txt", vec![1]), ("data.npy", x.clone())], with("", ""), None),
    ] {
        let names: Vec<&str> = entries.iter().map(|(name, _)| *name).collect();
        let data = open(&zip(&entries), &config).unwrap_or_else(|error| panic!("{names:?}: {error}"));
        assert_eq!((data.values, &data.labels), (Values::U8((0..6).collect()), &labels), "{names:?}");
        let noted = entries.iter().any(|(_, bytes)| *bytes == self::bytes(&[4]));
        assert_eq!(data.notes.len(), usize::from(noted), "{:?}", data.notes);
    }
    let two = zip(&[("a.npy", x.clone()), ("b.npy", x.clone()), ("c.npy", y)]);
    for (config, code, words) in [
        (with("", ""), 3, "which array holds the examples? there are a [3, 2], b [3, 2], c [3]"),
        (with("d", ""), 2, "data.array = d: "),
        (with("a", "d"), 2, "data.labels = d: "),
        (with("a", "b"), 3, "array b: its shape is [3, 2], and 3 labels are expected"),
        (with("c", ""), 3, "1 dimensions are not supported"),
    ] {
        let error = open(&two, &config).expect_err(words);
        assert!(error.exit_code() == code && error.to_string().contains(words), "{error}");
    }
}

#[test]
fn hostile_archives_are_refused_before_anything_is_unpacked() {
    let good = zip(&[("X.npy", bytes(&[50, 20]))]);
    let (mut checksum, mut bomb) = (good.clone(), good.clone());
    // The checksum and the unpacked size in the central directory (PKWARE's APPNOTE, section 4.3.12).
    let directory = good.windows(4).rposition(|mark| mark == b"PK\x01\x02").unwrap();
    checksum[directory + 16] ^= 1;
    bomb[directory + 24..directory + 28].copy_from_slice(&0x7fff_ffff_u32.to_le_bytes());
    let mut short = zip(&[("X.npy", bytes(&[50, 20])[..900].to_vec())]);
    for (bytes, reason) in [
        (b"PK\x03\x04 and nothing else".to_vec(), "no .npz file, or it is damaged"),
        (vec![], "no .npz file, or it is damaged"),
        (good[..good.len() / 2].to_vec(), "no .npz file, or it is damaged"),
        (zip(&[("../X.npy", bytes(&[2, 2]))]), "\"../X.npy\" points out of the archive"),
        (zip(&[("a/../../X.npy", bytes(&[2, 2]))]), "points out of the archive"),
        (zip(&[("/etc/X.npy", bytes(&[2, 2]))]), "points out of the archive"),
        (zip(&[("..\\X.npy", bytes(&[2, 2]))]), "points out of the archive"),
        (zip(&[("X.npy", b"no array".to_vec())]), "array X: this is no .npy file"),
        (zip(&[("readme.txt", vec![1])]), "there is no array"),
        (bomb, "claims to hold 2147483647 bytes in"),
        (checksum, "array X: cannot be read"),
        (std::mem::take(&mut short), "array X: file is truncated"),
    ] {
        let error = open(&bytes, &plain()).expect_err(reason);
        let text = error.to_string();
        assert_eq!(error.exit_code(), 3, "{text}");
        assert!(text.contains(reason) && text.contains("arrays.npz: ") && !text.contains('\n'), "{reason}: {text}");
    }
}

#[test]
fn no_truncation_is_accepted_and_no_flipped_byte_makes_the_reader_panic() {
    let good = zip(&[("X.npy", bytes(&[5, 4])), ("y.npy", bytes(&[5]))]);
    for length in 0..good.len() {
        assert!(open(&good[..length], &plain()).is_err(), "{length} of {} bytes", good.len());
    }
    for at in 0..good.len() {
        for flip in [1, 0x80, 0xff] {
            let mut bytes = good.clone();
            bytes[at] ^= flip;
            if let Ok(data) = open(&bytes, &plain()) {
                assert_eq!(data.len() * data.width(), data.values.len(), "byte {at} ^ {flip:#x}");
            }
        }
    }
}

#[test]
fn the_tables_of_the_anomaly_collection_can_be_trained_on() {
    let Some(shared) = std::env::var_os("ELBO_SHARED").map(std::path::PathBuf::from) else { return };
    for (name, rows, columns, anomalies) in
        [("30_satellite", 6435, 36, 2036), ("32_shuttle", 49097, 9, 3511), ("42_WBC", 223, 9, 10)]
    {
        let path = shared.join(format!("data/adbench/{name}.npz"));
        let config = DataConfig::default();
        let data = dataset(&path, &standardised(&config)).unwrap();
        assert_eq!((data.len(), data.shape), (rows, [1, 1, columns]), "{name}");
        assert_eq!(data.labels.as_ref().unwrap().iter().sum::<u32>(), anomalies, "{name}");
        check(&data, Likelihood::GaussianLearned.takes()).unwrap();
        let means = data.means(data.train.clone()).unwrap();
        assert!(means.iter().all(|mean| mean.abs() < 1e-4), "{name}: {means:?}");
        assert_eq!(data.test.len(), rows / 10);
    }
}

#[test]
fn arrays_of_different_kinds_are_not_joined() {
    let array = |dims: &[usize], elements| Array { dims: dims.to_vec(), elements };
    let first = || array(&[1, 2], Elements::U8(vec![0, 1]));
    assert_eq!(joined(first(), first()).unwrap(), array(&[2, 2], Elements::U8(vec![0, 1, 0, 1])));
    for second in [array(&[1, 3], Elements::U8(vec![0; 3])), array(&[1, 2], Elements::F32(vec![0.0; 2]))] {
        assert!(joined(first(), second).unwrap_err().contains("do not go together"));
    }
}
