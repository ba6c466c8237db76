use std::fs;

use super::super::array::Elements;
use super::super::testing::{fixture, known, plain, standardised, unscaled};
use super::super::{FittedPreprocessing, Values, check};
use super::*;
use crate::config::{DataConfig, Layout, Likelihood, Scale};

/// A file with this dictionary and this body.
fn npy(dictionary: &str, body: &[u8]) -> Vec<u8> {
    let mut file = [MAGIC, &[1, 0]].concat();
    file.extend((dictionary.len() as u16).to_le_bytes());
    file.extend(dictionary.as_bytes());
    file.extend(body);
    file
}

/// Bytes 0, 1, 2, … in this shape.
fn counting(dims: &[usize]) -> Vec<u8> {
    let body: Vec<u8> = (0..dims.iter().product::<usize>()).map(|i| i as u8).collect();
    let extents = dims.iter().map(|extent| format!("{extent}, ")).collect::<Vec<_>>().concat();
    npy(&format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({extents}), }}"), &body)
}

/// A folder with one file in it.
fn file(bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("array.npy");
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

#[test]
fn every_version_and_both_orders_of_bytes_and_axes_are_read_as_numpy_wrote_them() {
    for version in 1..=3 {
        let array = open(&fixture(&format!("version{version}.npy"))).unwrap();
        let elements = Elements::F32(vec![0.5, -1.5, 2.25, 3.0, 4.0, -5.0]);
        assert_eq!(array, Array { dims: vec![2, 3], elements }, "version {version}");
    }
}

#[test]
fn what_holds_no_numbers_is_refused_by_what_it_holds() {
    for (name, reason) in [
        ("object.npy", "pickled Python objects, which are programs and are never run"),
        ("records.npy", "records of several fields"),
        ("complex.npy", "elements of type '<c8': complex numbers are not read"),
        ("words.npy", "elements of type '<U5': texts are not read"),
    ] {
        let path = fixture(name);
        let error = open(&path).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        let text = error.to_string();
        assert!(text.starts_with(path.to_str().unwrap()) && text.contains(reason) && !text.contains('\n'), "{text}");
    }
}

#[test]
fn hostile_headers_are_refused_with_the_reason() {
    let shape = |shape: &str| npy(&format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}"), &[0; 8]);
    let mut long = [MAGIC, &[2, 0]].concat();
    long.extend(u32::MAX.to_le_bytes());
    let good = counting(&[2, 3]);
    let mut longer = good.clone();
    longer.push(0);
    let damaged = "not the dictionary that NumPy writes";
    for (bytes, reason) in [
        (vec![], "ends within its header"),
        (b"\x93NUMPZ\x01\x00\x10\x00".to_vec(), "no .npy file"),
        ([MAGIC, &[9, 0, 0, 0]].concat(), "version 9"),
        (long, "claims to be 4294967295 bytes long"),
        (good[..40].to_vec(), "ends within its header"),
        (good[..good.len() - 1].to_vec(), "file is truncated: header promises"),
        (longer, "goes on after"),
        (shape("(18446744073709551615, 18446744073709551615)"), "more than any file holds"),
        (shape("(4294967296, 536870912)"), "more than any file holds"),
        (shape("(99999999999999999999,)"), "an extent of 99999999999999999999"),
        (shape("(9223372036854775807, 2)"), "more than any file holds"),
        (shape("(1000000000000, 1)"), "file is truncated"),
        (shape(&format!("({})", "1, ".repeat(65))), "more than 64 dimensions"),
        (shape(&"(".repeat(5000)), damaged),
        (shape("(-1, 3)"), damaged),
        (shape("[1, 3]"), damaged),
        (shape("(1 3)"), damaged),
        (npy("", &[]), damaged),
        (npy("{", &[]), damaged),
        (npy(&"{".repeat(9000), &[]), damaged),
        (npy("{'descr': '<f8', 'fortran_order': False, }", &[]), damaged),
        (npy("{'descr': '<f8', 'fortran_order': 0, 'shape': (1,), }", &[0; 8]), damaged),
        (npy("{'descr': '<f8', 'descr': '<f8', 'fortran_order': False, 'shape': (1,), }", &[0; 8]), damaged),
        (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), 'more': 1, }", &[0; 8]), damaged),
        (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), } import os", &[0; 8]), damaged),
        (npy("{'descr': '<f\\x38', 'fortran_order': False, 'shape': (1,), }", &[0; 8]), damaged),
        (npy("{'descr': 'f8', 'fortran_order': False, 'shape': (1,), }", &[0; 8]), "this type is not read"),
        (npy("{'descr': '=f8', 'fortran_order': False, 'shape': (1,), }", &[0; 8]), "order of their bytes"),
        (npy("{'descr': '<f2', 'fortran_order': False, 'shape': (1,), }", &[0; 2]), "floats of this size"),
        (npy("{'descr': '|b1', 'fortran_order': False, 'shape': (2,), }", &[1, 2]), "element 1 is 2"),
        (npy("{'descr': '<u8', 'fortran_order': False, 'shape': (1,), }", &[255; 8]), "larger than 2^63"),
        (npy("{'descr': '\u{e9}', 'fortran_order': False, 'shape': (1,), }", &[]), "this type is not read"),
    ] {
        let found = read(&bytes[..]).expect_err(reason);
        assert!(found.contains(reason) && !found.contains('\n'), "expected '{reason}', found '{found}'");
    }
}

#[test]
fn headers_may_be_written_as_python_may_write_them() {
    for dictionary in [
        "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 1)}",
        "{\"shape\": (2L, 1L,), \"fortran_order\": False, \"descr\": \"|u1\"}   \n",
        "{'fortran_order':True,'shape':(2,1),'descr':'<u1'}",
    ] {
        let array = read(&npy(dictionary, &[7, 8])[..]).unwrap();
        assert_eq!(array, Array { dims: vec![2, 1], elements: Elements::U8(vec![7, 8]) }, "{dictionary}");
    }
}

#[test]
fn no_truncation_is_accepted_and_no_flipped_byte_makes_the_reader_panic() {
    let good = counting(&[3, 2, 4]);
    for length in 0..good.len() {
        assert!(read(&good[..length]).is_err(), "{length} bytes");
    }
    for at in 0..good.len() {
        for flip in 1..=255 {
            let mut bytes = good.clone();
            bytes[at] ^= flip;
            if let Ok(array) = read(&bytes[..]) {
                assert_eq!(array.dims.iter().product::<usize>(), array.elements.len(), "byte {at} ^ {flip:#x}");
            }
        }
    }
}

#[test]
fn an_array_becomes_examples_of_the_shape_that_its_axes_say() {
    let config = |layout| DataConfig { layout, ..plain() };
    for (dims, layout, shape, first) in [
        (vec![2, 5], Layout::Auto, [1, 1, 5], vec![0, 1, 2, 3, 4]),
        (vec![2, 2, 3], Layout::Auto, [1, 2, 3], vec![0, 1, 2, 3, 4, 5]),
        (vec![2, 3, 2, 1], Layout::ChannelsFirst, [3, 2, 1], vec![0, 1, 2, 3, 4, 5]),
        (vec![2, 3, 2, 2], Layout::Auto, [3, 2, 2], (0..12).collect()),
        (vec![2, 2, 2, 3], Layout::Auto, [3, 2, 2], vec![0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]),
        (
            vec![2, 3, 2, 3],
            Layout::ChannelsLast,
            [3, 3, 2],
            [0, 3, 6, 9, 12, 15].repeat(3).into_iter().enumerate().map(|(at, x)| x + at as u8 / 6).collect(),
        ),
    ] {
        let (_folder, path) = file(&counting(&dims));
        let data = dataset(&path, &unscaled(&config(layout))).unwrap();
        let Values::U8(bytes) = &data.values else { panic!("bytes stay bytes") };
        assert_eq!((data.shape, &bytes[..first.len()]), (shape, &first[..]), "{dims:?} {layout:?}");
    }
    for (dims, reason) in [
        (vec![], "0 dimensions"),
        (vec![4], "1 dimensions"),
        (vec![1; 5], "5 dimensions"),
        (vec![2, 3, 2, 3], "which axis holds the channels"),
        (vec![2, 4, 4, 4], "which axis holds the channels"),
        (vec![0, 3], "there are no values"),
        (vec![3, 0], "there are no values"),
    ] {
        let (_folder, path) = file(&counting(&dims));
        let error = dataset(&path, &unscaled(&plain())).expect_err(reason);
        assert!(error.exit_code() == 3 && error.to_string().contains(reason), "{error}");
    }
}

#[test]
fn rows_are_standardised_for_gaussians_and_images_stay_as_they_are() {
    let body: Vec<u8> =
        [1.0_f64, 10.0, 3.0, 10.0, 5.0, 10.0, 99.0, 10.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let table = npy("{'descr': '<f8', 'fortran_order': False, 'shape': (4, 2), }", &body);
    let images = npy("{'descr': '<f8', 'fortran_order': False, 'shape': (4, 2, 1), }", &body);
    let config = DataConfig { test: 0.25, ..plain() };
    let (_folder, path) = file(&table);
    let data = dataset(&path, &standardised(&config)).unwrap();
    // 1, 3 and 5 have the mean 3 and the deviation √(8/3); the fourth row is not trained on. The second column is
    // constant.
    let scaled = |x: f64| ((x - 3.0) / (8.0_f64 / 3.0).sqrt()) as f32;
    assert_eq!(data.values, Values::F32([1.0, 3.0, 5.0, 99.0].iter().flat_map(|&x| [scaled(x), 0.0]).collect()));
    assert_eq!(data.original_example(3).unwrap(), [99.0, 10.0]);
    let unit = dataset(&path, &standardised(&DataConfig { scale: Scale::Unit, ..config.clone() })).unwrap();
    assert_eq!(unit.example(0).unwrap(), [0.0, 1.0]);
    assert_eq!(unit.encoding.unwrap().range, [1.0, 10.0]);
    let (_folder, path) = file(&images);
    let data = dataset(&path, &standardised(&config)).unwrap();
    assert_eq!((data.example(3).unwrap(), data.encoding), (vec![99.0, 10.0], None));
}

#[test]
fn labels_come_from_a_file_of_their_own_where_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let [x, y] = ["x.npy", "y.npy"].map(|name| folder.path().join(name));
    fs::write(&x, counting(&[3, 2])).unwrap();
    let labels = y.display().to_string();
    let config = DataConfig { labels: labels.clone(), ..plain() };
    let signed = npy("{'descr': '|i1', 'fortran_order': False, 'shape': (3,), }", &[1, 255, 1]);
    fs::write(&y, signed).unwrap();
    let data = dataset(&x, &unscaled(&config)).unwrap();
    assert_eq!(data.labels, Some(vec![1, 0, 1]));
    assert_eq!(data.classes, Some(vec!["-1".into(), "1".into()]));
    fs::write(&y, counting(&[3])).unwrap();
    assert_eq!(dataset(&x, &unscaled(&config)).unwrap().labels, Some(vec![0, 1, 2]));
    let half = npy(
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }",
        &[0.0_f32, 0.5, 1.0].map(f32::to_le_bytes).concat(),
    );
    for (bytes, reason) in [(counting(&[4]), "3 labels are expected"), (half, "label 1 is 0.5")] {
        fs::write(&y, bytes).unwrap();
        let error = dataset(&x, &unscaled(&config)).unwrap_err();
        assert!(error.to_string().starts_with(&labels) && error.to_string().contains(reason), "{error}");
    }
    let missing = DataConfig { labels: "no.npy".into(), ..plain() };
    assert!(dataset(&x, &unscaled(&missing)).unwrap_err().to_string().contains("no.npy: cannot be opened"));
}

#[test]
fn an_infinite_value_is_named_by_its_row_and_column() {
    for (value, words) in [
        (f64::INFINITY, "value 1 of row 2 (both from 0) is inf; remove"),
        (1e300, "value 1 of row 2 (both from 0) is inf; remove"),
    ] {
        let body: Vec<u8> = [0.0, 1.0, 2.0, 3.0, 4.0, value].iter().flat_map(|x: &f64| x.to_le_bytes()).collect();
        let (_folder, path) = file(&npy("{'descr': '<f8', 'fortran_order': False, 'shape': (3, 2), }", &body));
        let data = dataset(&path, &standardised(&DataConfig { shuffle: true, ..plain() })).unwrap();
        let error = check(&data, Likelihood::GaussianLearned.takes()).unwrap_err();
        assert!(error.exit_code() == 3 && error.to_string().contains(words), "{error}");
    }
}

#[test]
fn nothing_is_fitted_anew_for_a_model_that_was_trained_without_a_scale() {
    let body: Vec<u8> = [1.0_f64, 10.0, 3.0, 20.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let (_folder, path) = file(&npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 2), }", &body));
    let config = plain();
    let data = dataset(&path, &known(&config, FittedPreprocessing { floats: true, ..FittedPreprocessing::default() }))
        .unwrap();
    assert_eq!((data.values, data.encoding), (Values::F32(vec![1.0, 10.0, 3.0, 20.0]), None));
}
