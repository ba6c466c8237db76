//! Tables as people and programs write them.

use super::*;
use crate::config::{Decimal, Unknown};

fn noted(data: &Dataset, words: &str) -> bool {
    data.notes.iter().any(|note| note.contains(words))
}

/// So many lines.
fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(line).collect::<Vec<String>>().join("\n") + "\n"
}

/// A column of these cells, `x`, beside one of numbers.
fn column(cells: impl Iterator<Item = String>) -> String {
    let cells: Vec<String> = cells.collect();
    one(&cells.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn whole_numbers_that_do_not_lie_as_counts_do_are_numeric() {
    let amounts = |i: u32| if i.is_multiple_of(10) { 100 * i + 7 } else { 0 };
    let few = [0, 2, 1, 0, 3, 1, 1, 5, 0, 2];
    for (text, kind, words) in [
        (column((0..200).map(|i| amounts(i).to_string())), "numeric", "its variance"),
        (column((0..200).map(|i| (5 * (i % 4)).to_string())), "numeric", "all of them are multiples of 5"),
        (column((0..200).map(|i| few[i % 10].to_string())), "count", ""),
        (column((0..200).map(|i| (20 * (i % 2) + i % 3).to_string())), "count", "data.columns.x=numeric`"),
    ] {
        let data = open(&text, &plain()).unwrap();
        assert_eq!(types(&data)[0], ("x", kind), "{words}");
        let words = if words == "its variance" { "variance is" } else { words };
        assert!(if words.is_empty() { data.notes.is_empty() } else { noted(&data, words) }, "{:?}", data.notes);
    }
    // What is said of a column counts.
    let text = column((0..200).map(|i| amounts(i).to_string()));
    let data = open(&text, &stated(&[("x", ColumnType::Count)])).unwrap();
    assert_eq!(types(&data)[0], ("x", "count"));
}

#[test]
fn codes_that_begin_with_a_zero_are_words() {
    let data = open(&one(&["01067", "80331", "01067", "20095"]), &plain()).unwrap();
    assert_eq!(types(&data)[0], ("x", "category"));
    assert!(noted(&data, "`01067` begins with a zero"), "{:?}", data.notes);
    let data = open(&one(&["01067", "80331"]), &stated(&[("x", ColumnType::Numeric)])).unwrap();
    assert_eq!((types(&data)[0], rows(&data)[0][0].as_str()), (("x", "numeric"), "1067"));
    assert_eq!(types(&open(&one(&["0", "0.5", "07.5"]), &plain()).unwrap())[0], ("x", "numeric"));
}

#[test]
fn an_index_that_was_written_with_the_table_is_left_out() {
    for (header, first, left_out) in
        [("", 0, true), ("", 1, true), ("Unnamed: 0", 0, true), ("id", 0, false), ("", 2, false)]
    {
        let rows = lines(9, |i| format!("{},{}.5", i + first, i * i));
        let text = format!("{header},b\n{rows}");
        let data = open(&text, &plain()).unwrap();
        assert_eq!(types(&data).len(), if left_out { 1 } else { 2 }, "{header} {first}");
        assert_eq!(noted(&data, "counts the rows"), left_out);
        let name = if header.is_empty() { "column 1" } else { header };
        let kept = open(&text, &stated(&[(name, ColumnType::Numeric)])).unwrap();
        assert_eq!(types(&kept)[0], (name, "numeric"));
    }
}

#[test]
fn a_constant_column_is_measured_by_itself_whatever_its_unit() {
    let request = |unit: f64| {
        let rows = lines(9, |i| format!("{i}.5,{}", 0.002 * unit));
        let data = open(&format!("a,gap\n{rows}"), &plain()).unwrap();
        let encoding = data.encoding.unwrap();
        let seen = encoding.values(&super::super::super::elements::Elements::F64(vec![4.5, 0.0021 * unit]), &[0]);
        (seen.numbers(2, &[0]).unwrap()[1] * 1e4).round()
    };
    assert_eq!((request(1.0), request(1000.0)), (500.0, 500.0));
}

#[test]
fn codes_are_compared_by_value() {
    let trained = open("a,b\n0,1\n1,2\n1,3\n0,2\n", &stated(&[("b", ColumnType::Category)])).unwrap();
    assert_eq!(types(&trained), [("a", "binary"), ("b", "category")]);
    let as_known =
        FittedPreprocessing { encoding: trained.encoding.as_ref(), floats: true, ..FittedPreprocessing::default() };
    let config = plain();
    let request = known(&config, as_known);
    let [plain, floats] = ["a,b\n0,1\n1,3\n,2\n", "a,b\n0.0,1.0\n1.0,3.00\n,2e0\n"]
        .map(|text| open_with(text.as_bytes(), &request).unwrap());
    assert_eq!(rows(&plain), rows(&floats));
    assert_eq!(
        (&plain.hash, rows(&plain)),
        (&floats.hash, vec![words(["0", "1"]), words(["1", "3"]), words(["", "2"])])
    );
    // Words stay what they are.
    let trained = open(&one(&["a", "1", "b"]), &config).unwrap();
    let as_known =
        FittedPreprocessing { encoding: trained.encoding.as_ref(), floats: true, ..FittedPreprocessing::default() };
    let error = open_with(one(&["1.0", "a"]).as_bytes(), &known(&config, as_known)).unwrap_err();
    assert!(error.to_string().contains("`1.0` is none of the values"), "{error}");
}

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

#[test]
fn words_that_a_model_does_not_know_are_refused_or_missing_or_anomalous() {
    let trained = open("a,c,d\n1.5,x,0\n2.5,y,1\n3.5,z,0\n", &plain()).unwrap();
    let as_known =
        FittedPreprocessing { encoding: trained.encoding.as_ref(), floats: true, ..FittedPreprocessing::default() };
    let text = "a,c,d\n1.5,q,0\n2.5,x,7\n3.5,q,1\n";
    let read = |unknown: Unknown| {
        let config = DataConfig { unknown, ..plain() };
        open_with(text.as_bytes(), &known(&config, as_known))
    };
    let error = read(Unknown::Refuse).unwrap_err().to_string();
    for words in [
        "line 2, column `c`: `q` is none of the values that the model knows: x, y, z (3 such cells: ",
        "`q` in 2 of column `c`, `7` in 1 of column `d`",
        "`--unknown missing`",
    ] {
        assert!(error.contains(words), "{error}");
    }
    let missing = read(Unknown::Missing).unwrap();
    assert!(missing.missing && noted(&missing, "3 such cells"), "{:?}", missing.notes);
    assert!(missing.example(0).unwrap()[1..4].iter().all(|place| place.is_nan()));
    let anomalous = read(Unknown::Anomalous).unwrap();
    assert!(noted(&anomalous, "count against"), "{:?}", anomalous.notes);
    assert_eq!(anomalous.example(0).unwrap()[1..], [1.0, 1.0, 1.0, 0.0]);
    assert_eq!(anomalous.example(1).unwrap()[1..], [1.0, 0.0, 0.0, 0.5]);
}

#[test]
fn markers_of_ones_own_are_missing_and_the_hint_names_them() {
    let cells = (0..40).map(|i| if i % 7 == 0 { "?".to_owned() } else { format!("{i}.25") });
    let text = column(cells);
    let data = open(&text, &plain()).unwrap();
    assert!(noted(
        &data,
        "6 times `?`, first in line 2; where `?` stands for a missing value, `--set 'data.missing=?'`"
    ));
    let data = open(&text, &DataConfig { missing: vec!["?".into()], ..plain() }).unwrap();
    assert_eq!((types(&data)[0], data.missing, data.notes.len()), (("x", "numeric"), true, 0));
    // A number that stands for what is not there is known by what it looks like.
    let text = column((0..40).map(|i| if i % 7 == 0 { "-999".to_owned() } else { format!("{i}") }));
    assert!(noted(&open(&text, &plain()).unwrap(), "`--set data.missing=-999`"));
    let data = open(&text, &DataConfig { missing: vec!["-999.0".into()], ..plain() }).unwrap();
    assert!(data.missing && data.notes.is_empty(), "{:?}", data.notes);
}

#[test]
fn a_row_of_units_is_named_also_where_nothing_else_keeps_columns_from_being_numbers() {
    let told = "line 2 has `m`, `%` where all lines below it have numbers: if that is a row of units";
    let data = open("a,b\nm,%\n1.5,2.5\n2.5,3.5\n", &plain()).unwrap();
    assert!(data.notes[0].starts_with(told) && data.notes.len() == 1, "{:?}", data.notes);
    let rows = lines(300, |i| format!("{i}.5,{i}.25"));
    let error = open(&format!("a,b\nm,%\n{rows}"), &plain()).unwrap_err().to_string();
    assert!(error.contains(": words are in `a` (`m`), `b` (`%`)") && error.contains(told), "{error}");
    // A word further down is none.
    let error =
        open(&format!("a\n{}x\n{}", lines(150, |i| format!("{i}.5")), lines(150, |i| format!("{i}.25"))), &plain());
    assert!(!error.unwrap_err().to_string().contains("units"));
}

#[test]
fn points_that_may_separate_thousands_are_told() {
    let note = "column `a`: `1.206` is read as a number with a point; where points separate thousands";
    for (text, decimal, told) in [
        ("a;b\n1.206;1\n48.679;2\n", Decimal::Auto, true),
        ("a;b\n1.206;1\n986;2\n", Decimal::Auto, true),
        ("a;b\n1.206;1\n48.67;2\n", Decimal::Auto, false),
        ("a;b\n1.206;1\n0.679;2\n", Decimal::Auto, false),
        ("a,b\n1.206,1\n48.679,2\n", Decimal::Auto, false),
        ("a;b\n1.206;1\n48.679;2\n", Decimal::Point, false),
        ("a;b\n1.206;1\n48.679;2\n", Decimal::Comma, false),
    ] {
        let data = open(text, &DataConfig { decimal, ..plain() }).unwrap();
        assert_eq!(noted(&data, note), told, "{text:?} {decimal:?}: {:?}", data.notes);
    }
}

#[test]
fn numbers_that_are_too_long_to_be_kept_are_told() {
    let ids = |digits: &str| lines(9, |i| format!("{digits}{i},{i}.5"));
    for (digits, told) in [("40001234567890123", true), ("90071992547409", false)] {
        let data = open(&format!("id,b\n{}", ids(digits)), &plain()).unwrap();
        assert_eq!(noted(&data, "`--set 'data.columns.id=ignore'`"), told, "{:?}", data.notes);
    }
}

#[test]
fn a_marker_that_comes_after_the_training_is_refused_with_the_way_out() {
    let trained = open("a,c\n1.5,x\n2.5,y\n3.5,z\n", &plain()).unwrap();
    let as_known =
        FittedPreprocessing { encoding: trained.encoding.as_ref(), floats: true, ..FittedPreprocessing::default() };
    for (text, why) in [("a,c\n?,x\n", "`?` is no number; where"), ("a,c\n1.5,?\n", "`?` is none of the values")] {
        let error = open_with(text.as_bytes(), &known(&plain(), as_known)).unwrap_err().to_string();
        assert!(error.contains(why) && error.contains("--missing"), "{error}");
        let config = DataConfig { missing: vec!["?".into()], ..plain() };
        assert!(open_with(text.as_bytes(), &known(&config, as_known)).unwrap().missing);
    }
}

#[test]
fn decimal_commas_are_read_or_named() {
    let data = open("a;b\n51,257;1\n48,679;2\n", &plain()).unwrap();
    assert_eq!((types(&data)[0], rows(&data)[0][0].as_str()), (("a", "numeric"), "51.257"));
    assert!(noted(&data, "`51,257` is read as 51.257"), "{:?}", data.notes);
    for (decimal, expected) in [(Decimal::Comma, "51.257"), (Decimal::Point, "51257")] {
        let data = open("a;b\n51,257;1\n48,679;2\n", &DataConfig { decimal, ..plain() }).unwrap();
        assert_eq!(rows(&data)[0][0], expected);
    }
    // Other data for the model are read alike.
    let as_known =
        FittedPreprocessing { encoding: data.encoding.as_ref(), floats: true, ..FittedPreprocessing::default() };
    let config = plain();
    let again = open_with(b"a;b\n51,257;1\n", &known(&config, as_known)).unwrap();
    assert_eq!(again.example(0).unwrap(), data.example(0).unwrap());
    let quoted = lines(20, |i| format!("\"{i},5\""));
    let error = open(&format!("a\n{quoted}"), &plain()).unwrap_err().to_string();
    assert!(error.contains("no column that a model could learn: words are in `a` (`0,5`)"), "{error}");
    assert!(error.contains("`0,5` is 0.5 with `--set data.decimal=comma`"), "{error}");
    let data = open("a;b\n1.5;1\n2,5;2\n", &plain()).unwrap();
    assert!(noted(&data, "has both `1.5` and `2,5`"), "{:?}", data.notes);
}

#[test]
fn a_line_that_names_the_separator_is_no_header() {
    for text in ["sep=;\na;b\n1.5;2.5\n", "\u{feff}sep=;\r\na;b\r\n1.5;2.5\r\n", "\"sep=;\"\na;b\n1.5;2.5\n"] {
        let data = open(text, &plain()).unwrap();
        assert_eq!((types(&data).len(), rows(&data)), (2, vec![words(["1.5", "2.5"])]), "{text}");
    }
    let error = open("sep=;\na;b\n1.5\n", &plain()).unwrap_err().to_string();
    assert!(error.contains("line 3 has 1 fields"), "{error}");
}
