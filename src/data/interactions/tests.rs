use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::{Compression, write::GzEncoder};

use super::super::testing::{fixture, plain};
use super::super::{Dataset, FittedPreprocessing, Format, ReadOptions, Values, check, read_file};
use super::*;
use crate::config::{DataConfig, Likelihood, Unknown};

/// What `make.py` writes.
const MATRIX: [[f32; 4]; 5] = [[1., 0., 2., 0.], [0., 0., 0., 1.], [0.; 4], [0., 3., 0., 0.], [1., 1., 0., 5.]];

fn request<'a>(config: &'a DataConfig, known: Option<&'a [String]>) -> ReadOptions<'a> {
    let known =
        known.map(|items| FittedPreprocessing { items: Some(items), floats: true, ..FittedPreprocessing::default() });
    ReadOptions { config, takes: Likelihood::Multinomial.takes(), known, holes: false }
}

fn opened(path: &Path, config: &DataConfig) -> Result<Dataset> {
    read_file(path, &request(config, None))
}

/// Opens a file of this name with this content.
fn written(name: &str, bytes: &[u8], config: &DataConfig, known: Option<&[String]>) -> Result<Dataset> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    read_file(&path, &request(config, known))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn words(of: &[&str]) -> Vec<String> {
    of.iter().map(|&word| word.to_owned()).collect()
}

#[test]
fn what_scipy_wrote_is_read_the_same_in_every_format() {
    for name in ["sparse-coo.npz", "sparse-csr.npz", "sparse-csc.npz", "sparse.mtx"] {
        let data = opened(&fixture(name), &plain()).unwrap();
        assert_eq!((data.shape, data.len(), data.format), ([1, 1, 4], 5, Format::Interactions), "{name}");
        assert_eq!(data.examples(&[0, 1, 2, 3, 4]).unwrap(), MATRIX.as_flattened(), "{name}");
        assert_eq!((data.items.clone(), data.users.as_deref()), (Some(numbered(4)), None), "{name}");
        assert_eq!(data.means(0..5).unwrap(), [0.4, 0.8, 0.4, 1.2], "{name}");
        check(&data, Likelihood::Multinomial.takes()).unwrap();
    }
    let [first, second] = ["sparse-coo.npz", "sparse.mtx"].map(|name| opened(&fixture(name), &plain()).unwrap().hash);
    assert_eq!(first, second);
    let packed = gzip(&fs::read(fixture("sparse.mtx")).unwrap());
    assert_eq!(written("sparse.mtx.gz", &packed, &plain(), None).unwrap().hash, first);
    let error = opened(&fixture("sparse-bsr.npz"), &plain()).unwrap_err().to_string();
    assert!(error.contains("\"bsr\" is not read: scipy.sparse.save_npz(PATH, matrix.tocsr())"), "{error}");
}

#[test]
fn lists_become_rows_of_users_with_names_in_order() {
    let list = b"when,item,user,value\n1,film b,9,2\n2,film a,10,1\n3,film b,10,0\n4,film c,9,4\n";
    for (name, bytes) in [("list.csv", list.to_vec()), ("list.csv.gz", gzip(list))] {
        let data = written(name, &bytes, &plain(), None).unwrap();
        // Numbers are in the order of numbers, and what has no interaction is no item.
        assert_eq!(
            (data.users.clone(), data.items.clone()),
            (Some(words(&["9", "10"])), Some(words(&["film a", "film b", "film c"])))
        );
        assert_eq!(data.examples(&[0, 1]).unwrap(), [0., 2., 4., 1., 0., 0.]);
        let liked = DataConfig { at_least: 2.0, ..plain() };
        let data = written(name, &bytes, &liked, None).unwrap();
        assert_eq!((data.users.clone().unwrap().len(), data.example(0).unwrap()), (1, vec![1., 1.]));
        let bare = written("bare.csv", b"user,item\n9,film b\n", &liked, None).unwrap();
        assert_eq!(bare.example(0).unwrap(), [1.0], "a line without a value is a choice");
        let named = DataConfig { pairs: "when, item".into(), ..plain() };
        assert_eq!(written(name, &bytes, &named, None).unwrap().len(), 4);
    }
    // Users are divided like any examples, and keep their names.
    let many: String = (0..40)
        .map(|user| [format!("u{user:02},i{}\n", user % 3), format!("u{user:02},j{user}\n")].concat())
        .collect::<Vec<_>>()
        .concat();
    let data = written("many.csv", format!("user,item\n{many}").as_bytes(), &DataConfig::default(), None).unwrap();
    let names: Vec<String> = (0..40).map(|at| data.user(at)).collect();
    assert!(names != *data.users.as_ref().unwrap() && data.test.len() == 4);
    for (at, name) in names.iter().enumerate() {
        let own = data
            .items
            .as_ref()
            .unwrap()
            .iter()
            .position(|item| item.as_str() == format!("j{}", name[1..].parse::<u32>().unwrap()));
        assert_eq!(data.example(at).unwrap()[own.unwrap()], 1.0, "{name}");
    }
}

#[test]
fn a_trained_model_is_given_its_own_items() {
    let known = words(&["a", "b", "c"]);
    let list = b"user,item\nx,c\ny,d\nx,b\nz,e\n";
    let error = written("new.csv", list, &plain(), Some(&known)).unwrap_err().to_string();
    assert!(error.contains("items that the model was not trained on: `d`, `e` (first in line 3)"), "{error}");
    let passes = DataConfig { unknown: Unknown::Missing, ..plain() };
    let data = written("new.csv", list, &passes, Some(&known)).unwrap();
    assert_eq!((data.items.as_ref(), data.len()), (Some(&known), 1));
    assert_eq!(data.example(0).unwrap(), [0., 1., 1.]);
    assert!(data.notes[0].contains("passed over"), "{:?}", data.notes);
    assert!(data.notes[1].contains("are left out: 2, such as `y`"), "{:?}", data.notes);
    // What counts for nothing is no item that one could know.
    let liked = DataConfig { at_least: 2.0, ..plain() };
    let data = written("new.csv", b"user,item,value\nx,c,3\nx,d,1\n", &liked, Some(&known)).unwrap();
    assert_eq!((data.example(0).unwrap(), data.notes.len()), (vec![0., 0., 1.], 0));
    let error = read_file(&fixture("sparse.mtx"), &request(&plain(), Some(&known))).unwrap_err().to_string();
    assert!(error.contains("give such a list (user,item)"), "{error}");
    let error = read_file(&fixture("sparse.mtx"), &request(&plain(), Some(&numbered(3)))).unwrap_err().to_string();
    assert!(error.contains("there are 4 items, and the model was trained on a matrix of 3"), "{error}");
}

#[test]
fn what_is_wrong_is_one_line_that_names_the_place() {
    let mtx = |rest: &str| format!("%%MatrixMarket matrix coordinate integer general\n{rest}");
    for (name, bytes, words) in [
        ("a.csv", "user,item\nx,a\nx,b\nx,a\n".to_owned(), "the user `x` has the item `a` twice"),
        ("a.csv", "user,item,value\nx,a,-1\n".into(), "line 2: the value is -1, and it says how often"),
        ("a.csv", "user,item,value\nx,a,\n".into(), "line 2: the value is ``, and a number is expected"),
        ("a.csv", "user,item,value\nx,a,inf\n".into(), "line 2: the value is inf"),
        ("a.csv", "user,item,value\nx,a,0\n".into(), "there is no interaction"),
        ("a.csv", "user,item\n,a\n".into(), "line 2: the user is empty"),
        ("a.csv", "user,item\nx,a,7\n".into(), "line 2 has 3 fields, and the header has 2"),
        ("m.mtx", mtx("2 2 1\n1 1 1\n1 2 1\n"), "line 4 is an entry more than the 1"),
        ("m.mtx", mtx("2 2 3\n1 1 1\n"), "file is truncated: it promises 3 entries and has 1"),
        (
            "m.mtx",
            mtx("2 2 1\n1 3 1\n"),
            "line 3: a row from 1 to 2 and a column from 1 to 2 expected, found \"1 3 1\"",
        ),
        ("m.mtx", mtx("2 2 1\n0 1 1\n"), "line 3: a row from 1"),
        ("m.mtx", mtx("2 2 1\n1 1\n"), "line 3: row, column and value expected"),
        ("m.mtx", mtx("2 2 1\n1 1 -3\n"), "line 3: the value is -3"),
        ("m.mtx", mtx("2 2 2\n1 1 1\n1 1 1\n"), "the user `0` has the item `0` twice"),
        ("m.mtx", mtx("2 2\n"), "line 2: the numbers of rows, columns and entries expected"),
        ("m.mtx", mtx(""), "file is truncated"),
        ("m.mtx", mtx("4000000000 3 1\n1 1 1\n"), "claims to have 4000000000 rows and 3 columns"),
        ("m.mtx", mtx("3 1000000 1\n1 1 1\n"), "claims to have 3 rows and 1000000 columns"),
        ("m.mtx", mtx("3 2000000 1\n1 1 1\n"), "2000000 columns, allowed are 1048576"),
        ("m.mtx", mtx("3 3 99999999999\n1 1 1\n"), "99999999999 entries are too many"),
        ("m.mtx", "%%MatrixMarket matrix array real general\n1 1\n1\n".into(), "with all its zeros"),
        ("m.mtx", "%%MatrixMarket matrix coordinate real symmetric\n".into(), "the matrix is symmetric"),
        ("m.mtx", "%%MatrixMarket matrix coordinate complex general\n".into(), "is not read: a matrix of users"),
        ("m.mtx", "\n".into(), "is not read"),
        ("m.mtx", format!("%%MatrixMarket {}", "x".repeat(9000)), "line 1 is longer than 4096 bytes"),
    ] {
        let error = written(name, bytes.as_bytes(), &plain(), None).expect_err(words);
        let text = error.to_string();
        assert_eq!(error.exit_code(), 3, "{text}");
        assert!(text.contains(words) && !text.contains('\n'), "expected '{words}', found '{text}'");
    }
    let named = DataConfig { pairs: "user,film".into(), ..plain() };
    let error = written("a.csv", b"user,item\nx,a\n", &named, None).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("data.pairs = user,film: "), "{error}");
    let small = DataConfig { memory: 1, ..plain() };
    let error = written("m.mtx", mtx("9 9 200000\n").as_bytes(), &small, None).unwrap_err().to_string();
    assert!(error.contains("200000 entries take 2 MiB, and data.memory allows 1"), "{error}");
    let half = written("m.mtx", mtx("2 2 1\n1 1 0.5\n").as_bytes(), &plain(), None).unwrap();
    let error = check(&half, Likelihood::Multinomial.takes()).unwrap_err().to_string();
    assert!(error.contains("the value of user `0` and item `0` is 0.5, but the multinomial"), "{error}");
}

#[test]
fn every_truncation_and_every_flipped_byte_is_read_or_refused_in_one_line() {
    let list = b"user,item,value\nu1,i1,1\nu1,i2,2\nu2,i2,1\n".to_vec();
    let files = ["sparse-coo.npz", "sparse-csr.npz", "sparse-csc.npz", "sparse.mtx"]
        .map(|name| (name, fs::read(fixture(name)).unwrap()));
    let packed = ("packed.csv.gz", gzip(&list));
    let config = plain();
    let folder = tempfile::tempdir().unwrap();
    let mut read = 0;
    for (name, bytes) in files.into_iter().chain([("list.csv", list), packed]) {
        let path = folder.path().join(name);
        let mut tried = |bytes: &[u8], what: &str| {
            fs::write(&path, bytes).unwrap();
            match read_file(&path, &request(&config, None)) {
                Ok(data) => {
                    // Whatever it is, it is rows of items.
                    let Values::Sparse(sparse) = &data.values else { panic!("{name}, {what}") };
                    assert!(
                        (0..sparse.len()).all(|row| sparse
                            .row(row)
                            .items
                            .iter()
                            .all(|&item| (item as usize) < sparse.width()))
                    );
                    read += 1;
                }
                Err(Error::Data(text)) => {
                    assert!(!text.contains('\n') && text.contains(name), "{name}, {what}: {text}");
                }
                // A column that is called otherwise makes a table of a list.
                Err(error) => panic!("{name}, {what}: {error}"),
            }
        };
        for end in 0..bytes.len() {
            tried(&bytes[..end], &format!("truncated to {end}"));
        }
        if name == "list.csv" {
            continue;
        }
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x10;
            tried(&flipped, &format!("byte {at} flipped"));
        }
    }
    assert!(read > 20, "{read}");
}

#[test]
fn labels_have_no_place_here() {
    let labelled = DataConfig { labels: "kind".into(), ..plain() };
    let found = super::super::read_options::misplaced(&labelled, Format::Interactions);
    assert_eq!(found.map(|(key, _)| key), Some("labels"));
    let listed = DataConfig { pairs: "user,item".into(), ..plain() };
    assert_eq!(super::super::read_options::misplaced(&listed, Format::Table).map(|(key, _)| key), Some("pairs"));
}
