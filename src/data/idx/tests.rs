use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use tempfile::TempDir;

use super::super::testing::unscaled;
use super::*;
use crate::config::DataConfig;

/// An IDX file with these dimensions and this body.
fn idx(kind: u8, dims: &[u32], body: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, kind, dims.len() as u8];
    file.extend(dims.iter().flat_map(|size| size.to_be_bytes()));
    file.extend(body);
    file
}

/// Unsigned bytes 0, 1, 2, … in these dimensions.
fn counting(dims: &[u32]) -> Vec<u8> {
    let body: Vec<u8> = (0..dims.iter().product::<u32>()).map(|i| i as u8).collect();
    idx(8, dims, &body)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A folder with these files.
fn folder_with(files: &[(&str, Vec<u8>)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

fn validated(validation: usize) -> DataConfig {
    DataConfig { validation, ..DataConfig::default() }
}

#[test]
fn bytes_and_floats_are_read_plain_and_gzipped() {
    let floats: Vec<u8> = [0.5_f32, -2.0].iter().flat_map(|x| x.to_be_bytes()).collect();
    for (file, dims, values) in [
        (counting(&[3]), vec![3], Values::U8(vec![0, 1, 2])),
        (counting(&[2, 3]), vec![2, 3], Values::U8((0..6).collect())),
        (counting(&[2, 1, 3]), vec![2, 1, 3], Values::U8((0..6).collect())),
        (counting(&[2, 3, 4, 5]), vec![2, 3, 4, 5], Values::U8((0..120).collect())),
        (idx(0x0d, &[1, 2], &floats), vec![1, 2], Values::F32(vec![0.5, -2.0])),
    ] {
        let array = Array { dims, values };
        assert_eq!(decode(&file[..]), Ok(array.clone()));
        assert_eq!(decode(&gzip(&file)[..]), Ok(array));
    }
}

#[test]
fn damaged_files_are_refused_with_the_reason() {
    let good = counting(&[4, 2, 2]);
    let (mut checksum, mut longer) = (gzip(&good), good.clone());
    let trailer = checksum.len() - 8;
    checksum[trailer] ^= 1;
    longer.push(0);
    let two_members = [gzip(&good), gzip(&[7])].concat();
    for (file, reason) in [
        (vec![], "no IDX file: it is empty"),
        (b"\x89PNG".to_vec(), "no IDX file: it begins with 89 50 4e 47"),
        (vec![0, 0, 8], "no IDX file: it begins with 00 00 08"),
        (idx(0x0b, &[1, 1], &[0, 0]), "type 0x0b"),
        (idx(8, &[], &[1]), "0 dimensions"),
        (idx(8, &[1, 1, 1, 1, 1], &[1]), "5 dimensions"),
        (good[..10].to_vec(), "header promises 16 bytes, file has 10"),
        (good[..31].to_vec(), "header promises 32 bytes, file has 31"),
        (gzip(&good[..31]), "header promises 32 bytes, file has 31"),
        (idx(8, &[0, 2, 2], &[]), "no values: the header promises 0 × 2 × 2"),
        (idx(8, &[2, 0, 2], &[]), "no values: the header promises 2 × 0 × 2"),
        (idx(8, &[u32::MAX; 4], &[1]), "more than any file holds"),
        (idx(0x0d, &[u32::MAX, u32::MAX], &[1]), "more than any file holds"),
        (idx(8, &[u32::MAX, u32::MAX], &[1]), "header promises 18446744065119617037 bytes, file has 13"),
        (longer.clone(), "goes on after the 32 bytes"),
        (gzip(&longer), "goes on after the 32 bytes"),
        (two_members, "goes on after the 32 bytes"),
        (gzip(&good)[..20].to_vec(), "gzip data end too early"),
        (gzip(&good)[..trailer].to_vec(), "gzip data end too early"),
        (checksum, "gzip data are damaged"),
        ([gzip(&good), b"rubbish!".repeat(4)].concat(), "gzip data are damaged"),
    ] {
        let found = decode(&file[..]).expect_err(reason);
        assert!(found.contains(reason) && !found.contains('\n'), "expected '{reason}', found '{found}'");
    }
}

#[test]
fn no_truncation_is_accepted() {
    let good = counting(&[5, 3, 3]);
    for file in [good.clone(), gzip(&good)] {
        for length in 0..file.len() {
            assert!(decode(&file[..length]).is_err(), "{length} of {} bytes", file.len());
        }
    }
}

/// Whatever bytes are hit, the reader returns, and what it accepts is consistent in itself.
#[test]
fn no_flipped_byte_makes_the_reader_panic() {
    let good = counting(&[5, 3, 3]);
    for file in [good.clone(), gzip(&good)] {
        for at in 0..file.len() {
            for flip in 1..=255 {
                let mut file = file.clone();
                file[at] ^= flip;
                if let Ok(array) = decode(&file[..]) {
                    assert_eq!(array.dims.iter().product::<usize>(), array.values.len(), "byte {at} ^ {flip:#x}");
                }
            }
        }
    }
}

#[test]
fn a_folder_is_read_under_every_spelling_of_the_names() {
    for (separator, end) in [("-", ""), ("-", ".gz"), (".", ""), (".", ".gz")] {
        let pack = |file: Vec<u8>| if end.is_empty() { file } else { gzip(&file) };
        let name = |stem: &str, rank: u8| format!("{stem}{separator}idx{rank}-ubyte{end}");
        let folder_of = folder_with(&[
            (&name("train-images", 3), pack(counting(&[6, 2, 3]))),
            (&name("train-labels", 1), pack(counting(&[6]))),
            (&name("t10k-images", 3), pack(counting(&[2, 2, 3]))),
            (&name("t10k-labels", 1), pack(counting(&[2]))),
        ]);
        let data = folder(folder_of.path(), &unscaled(&validated(2))).unwrap();
        assert_eq!((data.shape, data.len()), ([1, 2, 3], 8));
        assert_eq!((data.train, data.validation, data.test), (0..4, 4..6, 6..8));
        assert_eq!(data.labels, Some(vec![0, 1, 2, 3, 4, 5, 0, 1]));
        assert_eq!(data.values, Values::U8((0..36).chain(0..12).collect()));
    }
}

#[test]
fn without_test_files_the_last_tenth_is_the_test_part() {
    for (examples, tested) in [(1, 0), (9, 0), (10, 1), (19, 1), (20, 2)] {
        let only = folder_with(&[(TRAIN_IMAGES, counting(&[examples, 1, 1]))]);
        for data in [
            folder(only.path(), &unscaled(&validated(0))).unwrap(),
            file(&only.path().join(TRAIN_IMAGES), &unscaled(&validated(0))).unwrap(),
        ] {
            assert_eq!(data.test, (examples - tested) as usize..examples as usize);
            assert_eq!(data.labels, None);
        }
    }
}

#[test]
fn a_single_file_finds_its_labels_and_its_shape() {
    for (images, labels, dims, shape) in [
        ("my-images", Some("my-labels"), vec![3, 5], [1, 1, 5]),
        ("images-idx4.gz", Some("labels-idx1"), vec![3, 2, 4, 5], [2, 4, 5]),
        ("images.idx3-ubyte", Some("labels.idx1-ubyte.gz"), vec![3, 4, 5], [1, 4, 5]),
        ("pictures", None, vec![3, 4, 5], [1, 4, 5]),
    ] {
        let folder = folder_with(&[(images, counting(&dims)), (labels.unwrap_or("labels"), counting(&[3]))]);
        let data = file(&folder.path().join(images), &unscaled(&validated(0))).unwrap();
        assert_eq!((data.shape, data.labels.is_some()), (shape, labels.is_some()), "{images}");
    }
}

#[test]
fn files_that_do_not_belong_together_are_refused_by_name() {
    let images = counting(&[4, 2, 2]);
    for (files, named, reason) in [
        (vec![], "", "looked for train-images-idx3-ubyte and train-images.idx3-ubyte, each also with .gz"),
        (vec![(TRAIN_IMAGES, counting(&[4]))], TRAIN_IMAGES, "has 1 dimension, as labels have"),
        (vec![(TRAIN_IMAGES, images[..20].to_vec())], TRAIN_IMAGES, "truncated"),
        (vec![(TRAIN_IMAGES, images.clone()), (TRAIN_LABELS, counting(&[3]))], TRAIN_LABELS, "3 labels, but"),
        (vec![(TRAIN_IMAGES, images.clone()), (TRAIN_LABELS, counting(&[4, 1]))], TRAIN_LABELS, "this file has 2"),
        (
            vec![(TRAIN_IMAGES, images.clone()), (TRAIN_LABELS, idx(0x0d, &[4], &[0; 16]))],
            TRAIN_LABELS,
            "this file has floats",
        ),
        (vec![(TRAIN_IMAGES, images.clone()), (TEST_IMAGES, counting(&[4, 2, 3]))], TEST_IMAGES, "[2, 3]"),
        (
            vec![(TRAIN_IMAGES, images.clone()), (TEST_IMAGES, idx(0x0d, &[1, 2, 2], &[0; 16]))],
            TEST_IMAGES,
            "type of values",
        ),
        (
            vec![(TRAIN_IMAGES, images.clone()), (TRAIN_LABELS, counting(&[4])), (TEST_IMAGES, images.clone())],
            "",
            "t10k-labels-idx1-ubyte is missing",
        ),
    ] {
        let folder_of = folder_with(&files);
        let error = folder(folder_of.path(), &unscaled(&validated(0))).expect_err(reason);
        let text = error.to_string();
        let path = folder_of.path().join(named);
        assert_eq!(error.exit_code(), 3, "{text}");
        assert!(text.starts_with(path.to_str().unwrap().trim_end_matches('/')), "{text}");
        assert!(text.contains(reason) && !text.contains('\n'), "expected '{reason}', found '{text}'");
    }
}
