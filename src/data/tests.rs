use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;

use super::cells::Cells;
use super::elements::Element;
use super::*;
use crate::config::{DataConfig, Likelihood, Scale};

fn config(source: &str) -> Config {
    let data = DataConfig { source: source.to_owned(), examples: 60, ..DataConfig::default() };
    Config { data, ..Config::default() }
}

/// Four examples of two values each, the last one for the test.
fn floats(values: [f32; 8]) -> Dataset {
    Dataset::new("table.csv", [1, 1, 2], Values::F32(values.to_vec()), None, 1, 0).unwrap()
}

#[test]
fn examples_that_are_too_many_for_a_portion_are_handed_over_in_several() {
    // Twenty rows of a MiB, each of zeros behind its number.
    let (rows, width) = (20_u32, 1 << 20);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows");
    let mut file = File::create(&path).unwrap();
    for row in 0..rows {
        file.seek(SeekFrom::Start(u64::from(row) * width as u64)).unwrap();
        file.write_all(&[row as u8]).unwrap();
    }
    file.set_len(u64::from(rows) * width as u64).unwrap();
    let part = disk::FileRows::open(&path, Element::little(elements::ElementType::U8), 0, rows as usize).unwrap();
    let disk = disk::Disk::new(width, vec![part]).unwrap();
    assert_eq!(disk.portion(), 4, "as floats they are four times as large");
    let order: Vec<u32> = (0..rows).map(|at| (at * 7 + 3) % rows).collect();
    let mut seen = Vec::new();
    Cells::Disk(disk.clone()).visit(width, &order, &mut |row| seen.push(row[0] as u32)).unwrap();
    assert_eq!(seen, order);
    let data = Dataset::new("rows", [1, 1, width], Values::Disk(disk.reordered(&order)), None, 0, 0).unwrap();
    let mut seen = Vec::new();
    let visit = |example, row: &[f32]| {
        seen.push((example, (255.0 * row[0]).round() as u32));
        Ok(())
    };
    data.visit(2..20, visit).unwrap();
    assert_eq!(seen, (2..20).map(|example| (example, order[example])).collect::<Vec<_>>());
    let words = data.stored(&(0..rows).collect::<Vec<_>>()).unwrap();
    assert!(words.chunks(width / 4).map(|row| row[0]).eq(order.iter().copied()));
}

/// The folder of the real data, or a line that says what is not tested without it.
fn shared(what: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("ELBO_SHARED").map(PathBuf::from);
    if folder.is_none() {
        // Not by a macro: the output of those is hidden where a test passes.
        let _ = writeln!(std::io::stderr(), "ELBO_SHARED is not set: {what} skipped");
    }
    folder
}

#[test]
fn what_a_recipe_sets_aside_for_validation_is_a_share_at_most() {
    for (settings, expected, told) in [
        (&[("examples", "1200")][..], 200, true),
        (&[("examples", "12000")], 1000, false),
        (&[("examples", "1200"), ("validation", "400")], 400, false),
        (&[("examples", "1200"), ("validation_share", "0.5")], 500, true),
    ] {
        let pairs: Vec<(String, String)> = settings.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect();
        let config = crate::config::resolve(Some("binary"), &pairs).unwrap();
        let data = open(&config, None).unwrap();
        assert_eq!((data.validation.len(), data.notes.len()), (expected, usize::from(told)), "{settings:?}");
        let known = FittedPreprocessing { floats: true, ..FittedPreprocessing::default() };
        assert_eq!(open(&config, Some(known)).unwrap().validation, data.validation);
        // A run that was saved before there was a share keeps what it had.
        let old: String = crate::config::to_toml(&config)
            .lines()
            .filter(|line| !line.starts_with("validation_share"))
            .fold(String::new(), |text, line| text + line + "\n");
        let old = crate::config::from_toml(&old, "config.toml").unwrap();
        assert_eq!(old.data.validation_share, 1.0);
    }
}

#[test]
fn a_share_is_that_of_the_number_that_was_typed_and_old_runs_keep_theirs() {
    for (examples, share, exact, single) in [
        (500, 0.29, 145, 144),
        (100, 0.57, 57, 56),
        (10, 0.1, 1, 1),
        (1000, 0.001, 1, 1),
        (7, 0.3, 2, 2),
        (60_000, 0.7, 42_000, 41_999),
        (5, 0.0, 0, 0),
    ] {
        let config = crate::config::DataConfig::default();
        let old = crate::config::DataConfig { rounding: crate::config::Rounding::Single, ..config.clone() };
        let found = [&config, &old].map(|config| config.share_of(examples, share));
        assert_eq!(found, [exact, single], "{share} of {examples}");
    }
}

#[test]
fn parts_are_contiguous_and_validation_is_the_end_of_training() {
    for (examples, test, validation, parts) in [
        (10, 2, 3, Some([0..5, 5..8, 8..10])),
        (10, 0, 0, Some([0..10, 10..10, 10..10])),
        (10, 2, 7, Some([0..1, 1..8, 8..10])),
        (10, 2, 8, None),
        (10, 2, usize::MAX, None),
    ] {
        let data = Dataset::new("ten", [1, 1, 1], Values::U8(vec![0; examples]), None, test, validation);
        match (data, parts) {
            (Ok(data), Some(parts)) => assert_eq!([data.train, data.validation, data.test], parts),
            (Err(error), None) => {
                assert_eq!(error.exit_code(), 2);
                assert!(error.to_string().contains("ten has 8 examples"), "{error}");
            }
            (data, parts) => panic!("expected {parts:?}, found {data:?}"),
        }
    }
}

#[test]
fn parts_that_do_not_add_up_are_refused() {
    for (values, labels, test) in [(5, None, 0), (6, Some(2), 0), (6, None, 3), (0, None, 0)] {
        let labels = labels.map(|count| vec![0; count]);
        let data = Dataset::new("odd", [1, 1, 2], Values::U8(vec![0; values]), labels, test, 0);
        assert_eq!(data.unwrap_err().exit_code(), 1, "{values} values");
    }
}

#[test]
fn the_hash_sees_every_difference_but_validation() {
    let make = |shape, values, labels: &[u32], test, validation| {
        Dataset::new("any", shape, values, Some(labels.to_vec()), test, validation).unwrap().hash
    };
    let bytes = Values::U8(vec![1, 2, 3, 4, 5, 6]);
    let hash = make([1, 2, 1], bytes.clone(), &[0, 1, 2], 1, 0);
    assert_eq!(hash.len(), 64);
    assert_eq!(hash, make([1, 2, 1], bytes.clone(), &[0, 1, 2], 1, 1));
    for other in [
        make([1, 1, 2], bytes.clone(), &[0, 1, 2], 1, 0),
        make([1, 2, 1], bytes.clone(), &[0, 1, 3], 1, 0),
        make([1, 2, 1], bytes.clone(), &[0, 1, 2], 2, 0),
        make([1, 2, 1], Values::U8(vec![1, 2, 3, 4, 5, 7]), &[0, 1, 2], 1, 0),
        make([1, 2, 1], Values::F32(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), &[0, 1, 2], 1, 0),
    ] {
        assert_ne!(hash, other);
    }
}

#[test]
fn examples_and_means_are_on_the_scale_from_zero_to_one() {
    let bytes = Dataset::new("bytes", [1, 1, 2], Values::U8(vec![0, 255, 51, 255, 102, 0]), None, 1, 0).unwrap();
    assert_eq!(bytes.example(1).unwrap(), [0.2, 1.0]);
    assert_eq!(bytes.means(0..2).unwrap(), [0.1, 1.0]);
    assert_eq!(bytes.means(1..3).unwrap(), [0.3, 0.5]);
    assert_eq!(bytes.means(1..1).unwrap(), [0.0, 0.0]);
    let numbers = floats([0.0, -1.0, 2.0, 1.0, 4.0, 3.0, 0.0, 0.0]);
    assert_eq!(numbers.example(2).unwrap(), [4.0, 3.0]);
    assert_eq!(numbers.means(0..3).unwrap(), [2.0, 1.0]);
}

#[test]
fn values_that_do_not_fit_the_likelihood_are_named() {
    use Likelihood::{
        Bernoulli, Gaussian, GaussianLearned, GaussianShared, LogisticMixture, NegativeBinomial, Poisson,
    };
    let all = [Bernoulli, Gaussian, GaussianLearned, GaussianShared, LogisticMixture, NegativeBinomial, Poisson];
    for (value, refusing) in [
        (0.0, vec![]),
        (1.0, vec![]),
        (77.0 / 255.0, vec![Poisson, NegativeBinomial]),
        (0.5, vec![LogisticMixture, Poisson, NegativeBinomial]),
        (7.0, vec![Bernoulli, LogisticMixture]),
        (-1.0, vec![Bernoulli, LogisticMixture, Poisson, NegativeBinomial]),
        (2e7, vec![Bernoulli, LogisticMixture, Poisson, NegativeBinomial]),
        (1.01, vec![Bernoulli, LogisticMixture, Poisson, NegativeBinomial]),
        (f32::NAN, all.to_vec()),
        (f32::INFINITY, all.to_vec()),
    ] {
        let data = floats([0.0, 1.0, 0.0, 1.0, 1.0, value, 1.0, 0.0]);
        for likelihood in all {
            match check(&data, likelihood.takes()) {
                Ok(()) => assert!(!refusing.contains(&likelihood), "{value} passes as {likelihood:?}"),
                Err(error) => {
                    assert!(refusing.contains(&likelihood), "{value} is refused as {likelihood:?}");
                    assert_eq!(error.exit_code(), 3);
                    assert!(error.to_string().starts_with("table.csv: value 1 of example 2 is "), "{error}");
                }
            }
        }
    }
}

#[test]
fn sources_that_cannot_be_opened_say_what_to_do() {
    for (source, code, advice) in [
        ("no/such/path", 3, "'no/such/path' does not exist; the data can be 'glyphs' or 'sprites' (built in)"),
        ("", 3, "does not exist"),
        ("src", 3, "src: there are no data in this folder to train on: neither .png or .jpg images nor IDX files"),
        ("Cargo.toml", 3, "Cargo.toml: this is text: a table is read from a file that ends in .csv"),
        ("tests/fixtures/data/colour.jpg", 3, "this is one image; pass the folder"),
    ] {
        let error = open(&config(source), None).expect_err(source);
        assert_eq!(error.exit_code(), code, "{error}");
        assert!(error.to_string().contains(advice), "{error}");
    }
}

#[test]
fn glyphs_are_opened_by_name() {
    let data = open(&config("glyphs"), None).unwrap();
    assert_eq!((data.name.as_str(), data.train, data.test), ("glyphs", 0..50, 50..60));
}

#[test]
fn mnist_is_read_as_it_is_known() {
    let Some(shared) = shared("reading MNIST") else { return };
    let source = shared.join("data/mnist");
    let mut config = config(source.to_str().unwrap());
    config.data.validation = 5000;
    let data = open(&config, None).unwrap();
    assert_eq!(
        (data.train.clone(), data.validation.clone(), data.test.clone()),
        (0..55_000, 55_000..60_000, 60_000..70_000)
    );
    assert_eq!(data.shape, [1, 28, 28]);
    let labels = data.labels.as_deref().unwrap();
    assert_eq!(labels[..10], [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]);
    assert_eq!(labels[60_000..60_005], [7, 2, 1, 0, 4]);
    let means = data.means(0..60_000).unwrap();
    let mean = means.iter().sum::<f32>() / means.len() as f32;
    assert!((mean - 0.1307).abs() < 5e-5, "{mean}");

    let file = source.join("train-images-idx3-ubyte.gz");
    let single = open(&self::config(file.to_str().unwrap()), None).unwrap();
    assert_eq!((single.train, single.test), (0..54_000, 54_000..60_000));
    assert_eq!(single.labels.as_deref(), Some(&labels[..60_000]));
}

#[test]
fn a_setting_that_has_no_meaning_for_a_source_is_refused() {
    type Change = fn(&mut DataConfig);
    let rows: &[(&str, &str, Change)] = &[
        ("glyphs", "scale", |data| data.scale = Scale::Standardise),
        ("glyphs", "labels", |data| data.labels = "none".into()),
        ("glyphs", "resize", |data| data.resize = "7x7".into()),
        ("tests/fixtures/data/version1.npy", "colour", |data| data.colour = crate::config::Colour::Grey),
        ("tests/fixtures/data/version1.npy", "columns", |data| {
            data.columns.insert("*".into(), crate::config::ColumnType::Numeric);
        }),
    ];
    for (source, key, change) in rows {
        let mut config = config(source);
        assert!(open(&config, None).is_ok(), "{source}");
        change(&mut config.data);
        let error = open(&config, None).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().starts_with(&format!("data.{key} is set")), "{error}");
        assert!(
            open(&config, Some(FittedPreprocessing { floats: true, ..FittedPreprocessing::default() })).is_ok(),
            "{source} for a model"
        );
    }
}

#[test]
fn sprites_are_opened_by_name_and_have_colours_where_they_are_asked_for() {
    let mut config = config("sprites");
    let data = open(&config, None).unwrap();
    assert_eq!((data.name.as_str(), data.shape, data.test), ("sprites", [1, 64, 64], 50..60));
    config.data.colour = crate::config::Colour::Rgb;
    assert_eq!(open(&config, None).unwrap().shape, [3, 64, 64]);
    config.data.resize = "7x7".into();
    assert!(open(&config, None).unwrap_err().to_string().starts_with("data.resize is set"));
}
