mod habits;
#[cfg(feature = "parquet")]
mod stored;

use std::fs;

use super::super::table::ColumnKind;
use super::super::testing::{known, plain, standardised};
use super::super::{FittedPreprocessing, Values, check};
use super::*;
use crate::config::{DataConfig, Likelihood};

fn open_with(text: &[u8], request: &ReadOptions) -> Result<Dataset> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.csv");
    fs::write(&path, text).unwrap();
    dataset(&path, request)
}

fn open(text: &str, config: &DataConfig) -> Result<Dataset> {
    open_with(text.as_bytes(), &standardised(config))
}

/// The names and types of the columns.
fn types(data: &Dataset) -> Vec<(&str, &str)> {
    let columns = &data.encoding.as_ref().unwrap().columns;
    columns.iter().map(|column| (column.name.as_str(), column.kind.name())).collect()
}

/// The rows as cells, in the order of the source.
fn rows(data: &Dataset) -> Vec<Vec<String>> {
    let encoding = data.encoding.as_ref().unwrap();
    let mut rows: Vec<(usize, Vec<String>)> = (0..data.len())
        .map(|index| {
            let row = encoding.undo(&data.example(index).unwrap());
            (data.row(index), encoding.cells(&row))
        })
        .collect();
    rows.sort();
    rows.into_iter().map(|(_, cells)| cells).collect()
}

fn stated(columns: &[(&str, ColumnType)]) -> DataConfig {
    let columns = columns.iter().map(|(name, of)| ((*name).to_owned(), *of)).collect();
    DataConfig { columns, ..plain() }
}

/// A column of these cells beside one of numbers.
fn one(cells: &[&str]) -> String {
    let rows = cells.iter().enumerate().map(|(at, cell)| format!("{cell},{at}.5\n"));
    format!("x,other\n{}", rows.collect::<String>())
}

#[test]
fn types_are_inferred_from_all_values_that_are_there() {
    let many: Vec<String> = (0..40).map(|i| format!("name {i}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let twenty: Vec<String> = (0..40).map(|i| format!("city {}", i % 20)).collect();
    let twenty: Vec<&str> = twenty.iter().map(String::as_str).collect();
    for (cells, expected) in [
        (vec!["1.5", "2", "-3e2"], "numeric"),
        (vec!["0", "1", "0"], "binary"),
        (vec!["0", "1", "", "NA"], "binary"),
        (vec!["0.0", "1", "0"], "binary"),
        (vec!["1", "2", "1"], "numeric"),
        (vec!["0", "3", "1"], "count"),
        (vec!["3", "4", "17"], "numeric"),
        (vec!["0", "-1", "2"], "numeric"),
        (vec!["0", "0.5", "2"], "numeric"),
        (vec!["0", "0", "0"], "numeric"),
        (vec!["7", "7", "7"], "numeric"),
        (vec!["inf", "1", "2"], "numeric"),
        (vec!["yes", "no", "yes"], "binary"),
        (vec!["a", "b", "c"], "category"),
        (vec!["a", "a", "a"], "category"),
        (vec!["a", "1", "2", "a"], "category"),
        (twenty, "category"),
        (many, "text"),
    ] {
        let data = open(&one(&cells), &plain()).unwrap_or_else(|error| panic!("{cells:?}: {error}"));
        assert_eq!(types(&data)[0], ("x", expected), "{cells:?}");
    }
}

#[test]
fn types_that_are_stated_come_before_those_that_are_inferred() {
    use ColumnType::{Binary, Category, Count, Ignore, Numeric};
    let text = "a,b,c,d,e\n0,1,x,5,9\n1,2,y,6,9\n3,1,z,7,9\n";
    let config = stated(&[("a", Numeric), ("b", Binary), ("c", Ignore), ("d", Category), ("e", Count)]);
    let data = open(text, &config).unwrap();
    assert_eq!(types(&data), [("a", "numeric"), ("b", "binary"), ("d", "category"), ("e", "count")]);
    assert_eq!(rows(&data), [["0", "1", "5", "9"], ["1", "2", "6", "9"], ["3", "1", "7", "9"]]);
    let all = open("a,b\n0,0\n1,2\n3,1\n", &stated(&[("*", Numeric), ("b", Count)])).unwrap();
    assert_eq!(types(&all), [("a", "numeric"), ("b", "count")]);
    for (columns, code, words) in [
        (vec![("f", Numeric)], 2, "data.columns.f: "),
        (vec![("c", Numeric)], 3, "data.columns.c: line 2 has `x`, which is no number"),
        (vec![("c", Count)], 3, "data.columns.c: line 2 has `x`, which is no number"),
        (vec![("a", Binary)], 3, "data.columns.a: it has 3 different values, not 2"),
        (vec![("e", Binary)], 3, "data.columns.e: it has 1 different values, not 2"),
        (vec![("*", Ignore)], 3, "there is no column to learn from"),
    ] {
        let error = open(text, &stated(&columns)).expect_err(words);
        assert!(error.exit_code() == code && error.to_string().contains(words), "{error}");
    }
    let error = open("n\n-1\n2\n0.5\n", &stated(&[("n", Count)])).unwrap_err();
    assert!(error.to_string().contains("data.columns.n: there are numbers below 0"), "{error}");
}

#[test]
fn quotes_line_breaks_and_separators_are_read_as_they_are_meant() {
    for (text, expected) in [
        ("a,b\n1.5,2.5\n3.5,4.5\n", vec![["1.5", "2.5"], ["3.5", "4.5"]]),
        ("\u{feff}a,b\r\n1.5,2.5\r\n3.5,4.5", vec![["1.5", "2.5"], ["3.5", "4.5"]]),
        ("a;b\n1.5;2.5\n3.5;4.5\n", vec![["1.5", "2.5"], ["3.5", "4.5"]]),
        ("a\tb\n1.5\t2.5\n\n3.5\t4.5\n", vec![["1.5", "2.5"], ["3.5", "4.5"]]),
        ("\"a\",\"b\"\n\"1.5\", 2.5 \n3.5,4.5\n", vec![["1.5", "2.5"], ["3.5", "4.5"]]),
        ("a,b\n\"x\ny, z\",1.5\n\"say \"\"hi\"\"\",2.5\n", vec![["x\ny, z", "1.5"], ["say \"hi\"", "2.5"]]),
    ] {
        assert_eq!(rows(&open(text, &plain()).unwrap()), expected, "{text:?}");
    }
}

#[test]
fn every_way_to_say_that_a_value_is_missing_is_understood() {
    for word in ["", " ", "NA", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null"] {
        let data = open(&format!("a,b\n1.5,2.5\n{word},4.5\n5.5,6.5\n"), &plain()).unwrap();
        assert_eq!(types(&data), [("a", "numeric"), ("b", "numeric")], "{word:?}");
        assert_eq!(rows(&data)[1], ["", "4.5"], "{word:?}");
        assert_eq!(check(&data, Likelihood::GaussianLearned.takes()), Ok(()), "{word:?}");
    }
}

#[test]
fn numbers_are_standardised_on_the_training_part_alone() {
    let text = (0..20).map(|i| format!("{i}.5,7.25\n")).collect::<Vec<_>>().concat();
    let config = DataConfig { test: 0.25, validation: 5, shuffle: true, ..DataConfig::default() };
    let data = open(&format!("a,b\n{text}"), &config).unwrap();
    assert_eq!((data.train.clone(), data.validation.clone(), data.test.clone()), (0..10, 10..15, 15..20));
    let mut training: Vec<f64> = (0..10).map(|at| data.row(at) as f64 + 0.5).collect();
    // Sums go in the order of the source.
    training.sort_by(f64::total_cmp);
    let mean = training.iter().sum::<f64>() / 10.0;
    let deviation = (training.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 10.0).sqrt();
    let columns = &data.encoding.as_ref().unwrap().columns;
    assert_eq!(columns[0].kind, ColumnKind::Numeric { shift: mean, scale: deviation });
    assert_eq!(columns[1].kind, ColumnKind::Numeric { shift: 7.25, scale: 7.25 }, "a constant column becomes 0");
    for at in 0..20 {
        let expected = ((data.row(at) as f64 + 0.5 - mean) / deviation) as f32;
        assert_eq!(data.example(at).unwrap(), [expected, 0.0]);
    }
    assert_eq!(data.notes, ["column `b` has the same value in every row: it tells nothing"]);
    let rows: Vec<usize> = (0..20).map(|at| data.row(at)).collect();
    assert!(rows.iter().enumerate().any(|(at, &row)| at != row), "rows are in a random order");
    assert_eq!(rows, (0..20).map(|at| open(&format!("a,b\n{text}"), &config).unwrap().row(at)).collect::<Vec<_>>());
}

#[test]
fn labels_are_a_column_that_is_named_and_not_learnt() {
    let config = DataConfig { labels: "kind".into(), ..plain() };
    for (text, labels, classes) in [
        ("a,kind\n1.5,0\n2.5,3\n", vec![0, 3], None),
        ("a,kind\n1.5,-1\n2.5,1\n", vec![0, 1], Some(vec!["-1", "1"])),
        ("kind,a\nrose,1.5\nlily,2.5\nrose,3.5\n", vec![1, 0, 1], Some(vec!["lily", "rose"])),
    ] {
        let data = open(text, &config).unwrap();
        assert_eq!((types(&data), &data.labels), (vec![("a", "numeric")], &Some(labels)), "{text}");
        assert_eq!(data.classes, classes.map(|names| names.into_iter().map(String::from).collect()), "{text}");
    }
    for (text, words) in [
        ("a,b\n1.5,0\n", "has no column of this name; it has a, b"),
        ("a,kinds\n1.5,0\n", "did you mean `kinds`?"),
        ("a,kind\n1.5,0\n2.5,\n", "line 3: the label is missing"),
        ("a,kind\n1.5,0\n2.5,0.5\n", "the labels: label 1 is 0.5"),
    ] {
        let error = open(text, &config).expect_err(words);
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn a_trained_model_finds_its_columns_by_name_and_scales_as_in_training() {
    let config = DataConfig { labels: "kind".into(), ..plain() };
    let trained = open("kind,a,city\nx,1.0,Rome\ny,3.0,Bonn\n", &config).unwrap();
    let as_known = FittedPreprocessing {
        encoding: trained.encoding.as_ref(),
        classes: trained.classes.as_deref(),
        floats: true,
        ..FittedPreprocessing::default()
    };
    let request = known(&config, as_known);
    let data = open_with(b"more,city,kind,a\n9,Bonn,y,7.0\n8,Rome,z,1.0\n7,NA,x,NA\n", &request).unwrap();
    assert_eq!(data.encoding, trained.encoding);
    assert_eq!((data.example(0).unwrap(), data.example(1).unwrap()), (vec![5.0, 0.0], vec![-1.0, 1.0]));
    assert!(data.example(2).unwrap().iter().all(|value| value.is_nan()));
    assert_eq!(data.labels, Some(vec![1, 2, 0]), "known classes keep their numbers");
    let unlabelled = open_with(b"city,a\nBonn,7.0\n", &request).unwrap();
    assert_eq!((unlabelled.labels, unlabelled.notes.len()), (None, 1));
    for (text, words) in [
        ("a,kind\n1.0,x\n", "the column `city`, which the model was trained on, is missing"),
        (
            "a,city,kind\n1.0,Rome,x\n1.0,Paris,x\n",
            "line 3, column `city`: `Paris` is none of the values that the model knows: Bonn, Rome",
        ),
        ("a,city,kind\nbig,Rome,x\n", "line 2, column `a`: `big` is no number"),
    ] {
        let error = open_with(text.as_bytes(), &request).expect_err(words);
        assert!(error.exit_code() == 3 && error.to_string().contains(words), "{error}");
    }
}

#[test]
fn wrong_tables_are_refused_with_the_line() {
    let wide = format!("{}\n", (0..3000).map(|i| format!("c{i}")).collect::<Vec<_>>().join(","));
    for (text, words) in [
        (&b""[..], "the file is empty"),
        (b"a,b\n", "there are no rows"),
        (b"1.5,2.5\n3.5,4.5\n", "the first line has only numbers"),
        (b"a,b,a\n1,2,3\n", "two columns are called `a`"),
        (b"a,b\n1,2\n3,4,5\n", "line 3 has 3 fields, and the header has 2"),
        (b"a,b\n1,2\n3\n", "line 3 has 1 fields, and the header has 2"),
        (b"a,b\n\"1\n\",2\n3\n", "line 4 has 1 fields"),
        (b"a,b\n1,\xff\n", "line 2 is no UTF-8 text"),
        (b"\xff\xfea\x00", "line 1 is no UTF-8 text"),
        (b"a\nNA\n\"\"\n", "there is no column to learn from"),
        (wide.as_bytes(), "there are no rows"),
    ] {
        let error = open_with(text, &standardised(&plain())).expect_err(words);
        assert!(error.exit_code() == 3 && error.to_string().contains(words), "{words}: {error}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}

#[test]
fn an_infinite_number_is_named_by_its_row_and_column() {
    let data = open("a,b\n1.5,2.5\n3.5,inf\n", &plain()).unwrap();
    let error = check(&data, Likelihood::Gaussian.takes()).unwrap_err();
    assert!(error.to_string().contains("column `b` of row 2 below the header is inf"), "{error}");
    assert!(matches!(data.values, Values::F32(_)));
}

#[test]
fn missing_values_do_not_count_in_what_is_fitted() {
    let data = open("a,b\n1.5,NA\n3.5,2.5\nNA,NA\n5.5,4.5\n", &plain()).unwrap();
    let columns = &data.encoding.as_ref().unwrap().columns;
    let fitted = |at: usize| match columns[at].kind {
        ColumnKind::Numeric { shift, .. } => shift,
        _ => f64::NAN,
    };
    assert_eq!((fitted(0), fitted(1)), (3.5, 3.5));
    // In the units of the model the means are 0 over the values that are there.
    assert_eq!(data.means(0..data.len()).unwrap(), [0.0, 0.0]);
}

#[test]
fn of_several_infinite_values_the_first_in_the_file_is_named() {
    let rows: Vec<String> =
        (0..40).map(|i| if i % 9 == 5 { format!("{i}.5,inf") } else { format!("{i}.5,{i}.5") }).collect();
    let data = open(&format!("a,b\n{}\n", rows.join("\n")), &DataConfig::default()).unwrap();
    let error = check(&data, Likelihood::Gaussian.takes()).unwrap_err().to_string();
    assert!(error.contains("column `b` of row 6 below the header is inf"), "{error}");
}

#[test]
fn counts_beyond_what_a_rate_can_reach_are_to_be_measurements() {
    let data = open("a,b\n0,1.5\n20000000,2.5\n3,3.5\n", &stated(&[("a", ColumnType::Count)])).unwrap();
    let error = check(&data, Likelihood::Heterogeneous.takes()).unwrap_err().to_string();
    assert!(error.contains("--set data.columns.a=numeric"), "{error}");
}
