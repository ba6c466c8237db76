//! Parquet and Arrow files that pandas and pyarrow wrote: `tests/fixtures/data/tables.py`.

use super::*;
use crate::data::testing::{Mutations, fixture};

fn opened(name: &str, config: &DataConfig) -> Result<Dataset> {
    dataset(&fixture(name), &standardised(config))
}

/// All numbers as bits, by which one that is missing is like another.
fn cells(data: &Dataset) -> Vec<u32> {
    let all: Vec<u32> = (0..data.len() as u32).collect();
    data.examples(&all).unwrap().into_iter().map(f32::to_bits).collect()
}

/// The numbers of a column, None where there is none.
fn numbers(name: &str, column: &str) -> Vec<Option<f64>> {
    let found = columns(&fixture(name), &plain(), &[column.to_owned()]).unwrap();
    found[0].iter().map(|said| said.as_ref().and_then(|(_, number)| *number)).collect()
}

#[test]
fn parquet_and_arrow_columns_keep_their_types_and_nulls() {
    let expected = [
        ("double", "numeric"),
        ("single", "numeric"),
        ("half", "numeric"),
        // Floats are measurements, whatever they are.
        ("zeros", "numeric"),
        ("money", "numeric"),
        ("count", "count"),
        ("small", "numeric"),
        ("bit", "binary"),
        ("truth", "binary"),
        ("word", "category"),
        ("digits", "category"),
        ("level", "category"),
        ("code", "category"),
    ];
    let mut hashes = Vec::new();
    for name in ["types.parquet", "types.feather", "types.arrow"] {
        let data = opened(name, &plain()).unwrap();
        assert_eq!(types(&data), expected, "{name}");
        assert!(data.missing && data.notes.iter().any(|note| note.contains("`empty` is left out")), "{:?}", data.notes);
        let kinds = &data.encoding.as_ref().unwrap().columns;
        let levels = |at: usize| kinds[at].kind.levels().iter().map(String::as_str).collect::<Vec<_>>();
        assert_eq!(levels(8), ["False", "True"]);
        // What says in text that a value is missing is a word of a file that has nulls.
        assert_eq!((levels(9), levels(11)), (vec!["Bonn", "NA", "Rome", "nan"], vec!["Bonn", "NA", "Rome", "nan"]));
        assert_eq!((levels(10), levels(12)), (vec!["0", "1", "2"], vec!["0", "10", "20"]));
        let rows = rows(&data);
        assert_eq!(rows[1][8..13], [""; 5], "{name}");
        assert_eq!(rows[9][8..13], ["True", "", "0", "", "0"], "{name}");
        assert_eq!(rows[6][8..13], ["True", "NA", "0", "NA", "0"], "{name}");
        hashes.push(data.hash);
    }
    assert!(hashes.iter().all(|hash| *hash == hashes[0]), "three files of one table are one data set");
    // What is said of a column counts.
    let data = opened("types.parquet", &stated(&[("digits", ColumnType::Numeric), ("*", ColumnType::Ignore)])).unwrap();
    assert_eq!(types(&data), [("digits", "numeric")]);
}

#[test]
fn parquet_and_arrow_numbers_are_read_to_the_same_bits() {
    let doubles = [
        Some(0.1 + 0.2),
        None,
        Some(1e300),
        Some(5e-324),
        Some(-0.0),
        Some(1.0 / 3.0),
        Some(9_007_199_254_740_992.0),
        Some(-1.5e-7),
        Some(123_456_789.123_456),
        None,
    ];
    let bits = |all: &[Option<f64>]| all.iter().map(|number| number.map(f64::to_bits)).collect::<Vec<_>>();
    for name in ["types.parquet", "types.feather", "types.arrow"] {
        assert_eq!(bits(&numbers(name, "double")), bits(&doubles), "{name}");
        for (at, number) in numbers(name, "single").into_iter().enumerate() {
            // The shortest digits of the number that the file has.
            let expected = (0.1 * at as f64) as f32;
            assert_eq!(number.map(|number| number as f32), (at != 1).then_some(expected), "{name}");
        }
        assert_eq!((numbers(name, "half")[3], numbers(name, "money")[3]), (Some(0.375), Some(0.75)), "{name}");
        assert_eq!((numbers(name, "small")[9], numbers(name, "code")[2]), (Some(12.0), Some(20.0)), "{name}");
    }
    // Marks of text are none of these files.
    let commas = DataConfig { decimal: crate::config::Decimal::Comma, ..plain() };
    let [point, comma] = [plain(), commas].map(|config| opened("types.parquet", &config).unwrap());
    assert_eq!((&point.hash, cells(&point)), (&comma.hash, cells(&comma)));
}

#[test]
fn a_parquet_file_is_the_data_set_of_the_csv_of_its_frame() {
    let config = DataConfig { labels: "ill".into(), ..plain() };
    let [parquet, csv] = ["frame.parquet", "frame.csv"].map(|name| opened(name, &config).unwrap());
    assert_eq!((&parquet.hash, cells(&parquet)), (&csv.hash, cells(&csv)));
    assert_eq!((&parquet.labels, &parquet.classes), (&csv.labels, &csv.classes));
    assert!(parquet.notes.iter().any(|note| note.contains("`__index_level_0__` is the index")), "{:?}", parquet.notes);
    let kept = stated(&[("__index_level_0__", ColumnType::Numeric)]);
    assert_eq!(opened("frame.parquet", &kept).unwrap().encoding.unwrap().columns.len(), 6);
    // A model that was trained on one takes the other.
    let fitted =
        FittedPreprocessing { encoding: csv.encoding.as_ref(), floats: true, ..FittedPreprocessing::default() };
    let again = dataset(&fixture("frame.parquet"), &known(&config, fitted)).unwrap();
    assert_eq!(cells(&again), cells(&csv));
    let strange =
        FittedPreprocessing { encoding: parquet.encoding.as_ref(), floats: true, ..FittedPreprocessing::default() };
    let error = dataset(&fixture("types.parquet"), &known(&config, strange)).unwrap_err().to_string();
    assert!(error.contains("the column `weight`, which the model was trained on, is missing"), "{error}");
    // Rows are written as text, and nulls filled.
    let filled: Cells = &|row, column| (row == 0 && column == "weight").then(|| "70.5".to_owned());
    let written = String::from_utf8(refill(&fixture("frame.parquet"), &config, "copy", &[filled]).unwrap()).unwrap();
    let mut lines = written.lines();
    assert_eq!(lines.next(), Some("weight,visits,smoker,city,ill,__index_level_0__"));
    let expected = std::fs::read_to_string(fixture("frame.csv")).unwrap();
    let first = expected.lines().nth(1).unwrap();
    assert_eq!(lines.next(), Some(format!("70.5{first},0").as_str()));
}

#[test]
fn what_no_table_can_hold_is_refused_by_its_column() {
    for (name, column, words) in [
        ("times.parquet", "moment", "column `day` holds dates, which no distribution fits"),
        ("lists.parquet", "x", "column `list` holds lists, which are no cell of a table"),
    ] {
        let error = opened(name, &plain()).expect_err(words);
        assert!(error.exit_code() == 3 && error.to_string().contains(words), "{error}");
        assert!(error.to_string().contains("=ignore'`") && !error.to_string().contains('\n'), "{error}");
        let label = DataConfig { labels: if column == "x" { "list".into() } else { "moment".into() }, ..plain() };
        assert!(opened(name, &label).unwrap_err().to_string().contains("holds"), "{name}");
    }
    let ignored = [("day", ColumnType::Ignore), ("moment", ColumnType::Ignore)];
    assert_eq!(rows(&opened("times.parquet", &stated(&ignored)).unwrap()), [["0.5"], [""], ["2.5"]]);
    let lists = opened("lists.parquet", &stated(&[("list", ColumnType::Ignore)])).unwrap();
    assert_eq!(rows(&lists), [["0.5"], ["1.5"]]);
    // Times have a text, and lists have none.
    let stay: Cells = &|_, _| None;
    let written = refill(&fixture("times.parquet"), &plain(), "copy", &[stay]).unwrap();
    let expected =
        "x,day,moment\n0.5,2024-02-29,2024-02-29 12:30:15+00:00\n,,\n2.5,2024-02-29,2024-02-29 12:30:15+00:00\n";
    assert_eq!(String::from_utf8(written).unwrap(), expected);
    let error = refill(&fixture("lists.parquet"), &plain(), "copy", &[stay]).unwrap_err().to_string();
    assert!(error.contains("column `list` holds lists, which a table in text has no cells for"), "{error}");
    // Rows are called so.
    let error = opened("types.parquet", &stated(&[("word", ColumnType::Numeric)])).unwrap_err().to_string();
    assert!(error.contains("data.columns.word: row 1 has `Rome`, which is no number"), "{error}");
}

#[test]
fn parquet_files_are_unpacked_whatever_usual_codec_packed_them() {
    let expected: Vec<Vec<String>> = (0..200).map(|at| vec![format!("{}.5", at % 7)]).collect();
    for codec in ["none", "snappy", "gzip", "zstd", "lz4"] {
        assert_eq!(rows(&opened(&format!("{codec}.parquet"), &plain()).unwrap()), expected, "{codec}");
    }
    let error = opened("brotli.parquet", &plain()).unwrap_err().to_string();
    assert!(error.contains("write it with snappy, zstd, gzip or LZ4"), "{error}");
}

#[test]
fn damaged_parquet_and_arrow_files_are_an_error_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let mut refused = 0;
    for name in ["none.parquet", "types.arrow", "frame.parquet", "types.feather"] {
        let whole = fs::read(fixture(name)).unwrap();
        let mut mutations = Mutations::new(7);
        for _ in 0..60 {
            let path = folder.path().join(name);
            fs::write(&path, mutations.of(&whole)).unwrap();
            if let Err(error) = dataset(&path, &standardised(&plain())) {
                let said = error.to_string();
                assert!(said.contains(name) && !said.contains('\n') && error.exit_code() == 3, "{said}");
                refused += 1;
            }
        }
    }
    assert!(refused > 60, "{refused}");
}
