use super::super::elements::Elements;
use super::super::testing::{plain, standardised};
use super::encoding::rounded;
use super::*;
use crate::config::{DataConfig, Likelihood, Scale};

fn column(name: &str, kind: ColumnKind) -> Column {
    Column { name: name.into(), kind }
}

fn words(levels: &[&str]) -> Vec<String> {
    levels.iter().map(|&level| level.to_owned()).collect()
}

fn encode(encoding: &Encoding, frame: &Frame, order: &[u32]) -> Vec<f32> {
    let Cells::Memory(cells) = &frame.cells else { panic!("they are in memory") };
    numbers(encoding, cells, order)
}

/// What a model sees of cells.
fn numbers(encoding: &Encoding, cells: &Elements, order: &[u32]) -> Vec<f32> {
    let all: Vec<u32> = (0..order.len() as u32).collect();
    encoding.values(cells, order).numbers(encoding.width(), &all).unwrap()
}

/// A number, a count, a binary and a category with three levels; one value of each is missing.
fn mixed() -> Frame {
    let columns = vec![
        column("size", ColumnKind::PLAIN),
        column("visits", ColumnKind::Count),
        column("smoker", ColumnKind::Binary { levels: ["no".into(), "yes".into()] }),
        column("city", ColumnKind::Category { levels: words(&["Bonn", "Rome", "Ulm"]) }),
    ];
    let nan = f64::NAN;
    let cells = vec![1.0, 2.0, 0.0, 2.0, 3.0, nan, 1.0, 0.0, nan, 0.0, 1.0, 1.0, 5.0, 1.0, nan, nan];
    Frame { columns, cells: Cells::Memory(Elements::F64(cells)) }
}

#[test]
fn columns_take_spans_of_the_encoded_row_and_what_is_missing_is_nan_in_all_of_its_span() {
    let frame = mixed();
    let encoding = Encoding::fit(&frame, &[0, 1], Scale::Standardise).unwrap();
    assert_eq!(encoding.spans(), [0..1, 1..2, 2..3, 3..6]);
    assert_eq!((encoding.width(), encoding.range), (6, [1.0, 3.0]));
    assert_eq!(encoding.columns[0].kind, ColumnKind::Numeric { shift: 2.0, scale: 1.0 });
    assert_eq!(encoding.columns[1..], frame.columns[1..], "only numbers are fitted");
    let nan = f32::NAN;
    let expected = [
        [-1.0, 2.0, 0.0, 0.0, 0.0, 1.0],
        [1.0, nan, 1.0, 1.0, 0.0, 0.0],
        [nan, 0.0, 1.0, 0.0, 1.0, 0.0],
        [3.0, 1.0, nan, nan, nan, nan],
    ];
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<u32>>();
    assert_eq!(bits(&encode(&encoding, &frame, &[0, 1, 2, 3])), bits(&expected.concat()));
    assert_eq!(bits(&encode(&encoding, &frame, &[3, 0])), bits(&[expected[3], expected[0]].concat()));
    for (place, name) in [(0, Some("size")), (2, Some("smoker")), (5, Some("city")), (6, None)] {
        assert_eq!(encoding.column_at(place).map(|column| column.name.as_str()), name);
    }
}

#[test]
fn an_encoded_row_goes_back_to_the_cells_that_it_came_from() {
    let frame = mixed();
    let encoding = Encoding::fit(&frame, &[0, 1, 2, 3], Scale::Standardise).unwrap();
    let rows = encoding.undo(&encode(&encoding, &frame, &[0, 1, 2, 3]));
    let cells: Vec<Vec<String>> = rows.chunks_exact(6).map(|row| encoding.cells(row)).collect();
    assert_eq!(
        cells,
        [["1", "2", "no", "Ulm"], ["3", "", "yes", "Bonn"], ["", "0", "yes", "Rome"], ["5", "1", "", ""]]
            .map(|row| words(&row))
    );
    // What a decoder puts out are probabilities; of equal ones the first level counts.
    assert_eq!(encoding.cells(&[0.5, 2.25, 0.4, 0.3, 0.4, 0.3]), ["0.5", "2.25", "no", "Rome"]);
    assert_eq!(encoding.cells(&[0.5, 2.25, 0.5, 0.4, 0.2, 0.4]), ["0.5", "2.25", "yes", "Bonn"]);
}

#[test]
fn what_is_undone_can_be_scaled_again() {
    let frame = mixed();
    let encoding = Encoding::fit(&frame, &[0, 1], Scale::Standardise).unwrap();
    assert_eq!(encoding.fitted(), [[2.0, 1.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]);
    let rows = encode(&encoding, &frame, &[0, 3]);
    let undone = encoding.undo(&rows);
    assert_eq!((undone[0], undone[6]), (1.0, 5.0));
    let mut again: Vec<f32> = undone.into_iter().map(|number| number as f32).collect();
    encoding.scale(&mut again);
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<u32>>();
    assert_eq!(bits(&again), bits(&rows));
}

#[test]
fn numbers_come_back_with_the_digits_that_the_file_had() {
    // In units of the model single precision carries seven digits, of the difference from the shift.
    for (text, shift, scale) in [
        ("1", 0.0, 1.5),
        ("0", 0.0, 1.5),
        ("-1.25", 0.0, 0.5),
        ("176.78", 171.3, 9.93),
        ("0.0001234567", 0.0, 1e-4),
        ("1234567", 0.0, 1e6),
        ("1500000000000", 0.0, 3e11),
        ("100", 0.0, 2e7),
        ("0.000000001", 5e-10, 3e-10),
        ("-0.0000000025", 1e-9, 1e-9),
        // Milliseconds since 1970 within ten seconds, and metres from the equator.
        ("1700000003123", 1.7e12 + 5000.0, 2886.7),
        ("1700000003124", 1.7e12 + 5000.0, 2886.7),
        ("5399979.417", 5_400_000.2, 57.3),
        ("7", 7.0, 7.0),
    ] {
        let encoded = ((text.parse::<f64>().unwrap() - shift) / scale) as f32;
        let column = column("x", ColumnKind::Numeric { shift, scale });
        let encoding = Encoding { columns: vec![column], range: [0.0, 1.0], array: None };
        assert_eq!(encoding.cells(&encoding.undo(&[encoded])), [text], "{shift} {scale}");
    }
    assert_eq!(rounded(-2.5e-17, 0.0, 1.0), "-0.000000000000000025", "what a model puts out is what it is");
    assert_eq!(rounded(-0.0, 0.0, 1.0), "0");
}

#[test]
fn digits_that_nobody_knows_are_zeros() {
    let (shift, scale) = (4_000_123_456_789_012_000.0, 2.5e15);
    for (number, expected) in
        [(shift + scale, "4002623456800000000"), (shift, "4000123456789012000"), (shift + 0.5, "4000123456789012000")]
    {
        let encoded = ((number - shift) / scale) as f32;
        let column = column("id", ColumnKind::Numeric { shift, scale });
        let encoding = Encoding { columns: vec![column], range: [0.0, 1.0], array: None };
        let cell = encoding.cells(&encoding.undo(&[encoded])).swap_remove(0);
        assert_eq!(cell, expected, "{number}");
        let read = numbers(&encoding, &Elements::F64(vec![cell.parse().unwrap()]), &[0]);
        assert_eq!(read[0].to_bits(), encoded.to_bits(), "{cell} is the same to the model");
    }
    assert_eq!(rounded(123_456_789.0, 0.0, 1e9), "123456790");
}

#[test]
fn numbers_are_settled_as_they_are_written() {
    let mut random = crate::rng::Philox::new(7, crate::rng::Stream::Choice, 0, 0);
    for at in 0..2000 {
        let scale = 1.25 * 10_f64.powi(at % 31 - 15);
        let shift = if at % 2 == 0 { 0.0 } else { scale * f64::from(random.uniform()) * 1e3 };
        let kind = ColumnKind::Numeric { shift, scale };
        let encoding = Encoding { columns: vec![column("x", kind.clone())], range: [0.0, 1.0], array: None };
        let mut undone = encoding.undo(&[4.0 * random.uniform() - 2.0]);
        let written: f64 = encoding.cells(&undone)[0].parse().unwrap();
        assert_eq!(Encoding::settled(&kind, undone[0]), written, "{shift} {scale}");
        encoding.settle(&mut undone);
        assert_eq!(undone[0], written);
    }
    // Bytes up to 15, scaled.
    let kind = ColumnKind::Numeric { shift: 0.0, scale: 15.0 };
    let encoding = Encoding { columns: vec![column("0", kind.clone())], range: [0.0, 15.0], array: None };
    for byte in 0..16 {
        let encoded = numbers(&encoding, &Elements::U8(vec![byte]), &[0]);
        let mut undone = encoding.undo(&encoded);
        encoding.settle(&mut undone);
        assert_eq!(undone, [f64::from(byte)]);
    }
}

#[test]
fn the_mean_of_a_column_has_no_noise_behind_its_digits() {
    for (scale, mean, expected) in [
        (0.58, 2.681e-8, 0.0),
        (0.58, -0.012_345_678_9, -0.012_345_7),
        (1e7, 1_234_567.89, 1_234_570.0),
        (2e9, 1_234_567_890.0, 1_234_568_000.0),
        (1e-9, 5.123_456_78e-10, 5.123_46e-10),
    ] {
        let found = Encoding::settled_mean(&ColumnKind::Numeric { shift: 0.0, scale }, mean);
        assert!((found - expected).abs() <= 1e-12 * expected.abs(), "{scale} {mean}: {found}");
    }
    assert_eq!(Encoding::settled_mean(&ColumnKind::Count, 0.123_456_789), 0.123_456_789);
}

#[test]
fn scales_are_fitted_on_the_training_rows_and_what_is_finite_in_them() {
    let frame = |cells: &[f64]| Frame {
        columns: vec![column("x", ColumnKind::PLAIN)],
        cells: Cells::Memory(Elements::F64(cells.to_vec())),
    };
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    for (cells, training, scale, expected) in [
        (vec![2.0, 4.0, 100.0], vec![0, 1], Scale::Standardise, [3.0, 1.0]),
        (vec![2.0, 4.0, nan, inf, -inf], vec![4, 3, 2, 1, 0], Scale::Standardise, [3.0, 1.0]),
        (vec![2.0, 4.0, 100.0], vec![0, 1], Scale::Unit, [2.0, 2.0]),
        (vec![2.0, 4.0], vec![0, 1], Scale::None, [0.0, 1.0]),
        (vec![7.0, 7.0], vec![0, 1], Scale::Standardise, [7.0, 7.0]),
        (vec![0.0, 0.0], vec![0, 1], Scale::Standardise, [0.0, 1.0]),
        (vec![-7.0, -7.0], vec![0, 1], Scale::Unit, [-7.0, 7.0]),
        (vec![0.1 + 0.2, 0.3], vec![0, 1], Scale::Standardise, [0.3, 0.3]),
        (vec![1e9, 1e9 + 1.0], vec![0, 1], Scale::Standardise, [1e9 + 0.5, 0.5]),
        // Milliseconds since 1970 within a tenth of a second.
        (vec![1.7e12, 1.7e12 + 100.0], vec![0, 1], Scale::Standardise, [1.7e12 + 50.0, 50.0]),
        (vec![nan, nan], vec![0, 1], Scale::Standardise, [0.0, 1.0]),
        (vec![1e308, -1e308, 1e308], vec![0, 1, 2], Scale::Standardise, [0.0, 1.0]),
        (vec![], vec![], Scale::Standardise, [0.0, 1.0]),
        // Of 0 to 20 and 100 the least counts as 1, and the largest as 20; a million makes a tenth of the whole deviation more.
        (
            (0..21).map(f64::from).chain([100.0]).collect(),
            (0..22).collect(),
            Scale::Robust,
            [10.5, 6.199_340_140_839_038],
        ),
        (
            (0..21).map(f64::from).chain([1e6]).collect(),
            (0..22).collect(),
            Scale::Robust,
            [10.5, 20_829.681_232_032_79],
        ),
        // More than half are one number: all of them count.
        (vec![0.0, 0.0, 0.0, 4.0], vec![0, 1, 2, 3], Scale::Robust, [1.0, 3.0_f64.sqrt()]),
        (vec![7.0, 7.0], vec![0, 1], Scale::Robust, [7.0, 7.0]),
        (vec![nan], vec![0], Scale::Robust, [0.0, 1.0]),
    ] {
        let encoding = Encoding::fit(&frame(&cells), &training, scale).unwrap();
        let ColumnKind::Numeric { shift, scale: found } = encoding.columns[0].kind else {
            panic!("numbers stay numbers")
        };
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-12 * b.abs();
        assert!(near(shift, expected[0]) && near(found, expected[1]), "{cells:?} {scale:?}: {shift} {found}");
    }
}

#[test]
fn the_hash_does_not_depend_on_what_is_set_aside_or_fitted_and_sees_all_else() {
    let hash = |frame: &Frame, validation: usize, scale: Scale, labels: &[u32]| {
        let config = DataConfig { validation, ..plain() };
        let encoding = Encoding::fit(frame, &[0, 1], scale).unwrap();
        let labels = Some(Labels { of: labels.to_vec(), names: None });
        frame.clone().dataset("t", encoding, vec![0, 1, 2, 3], 1, labels, &standardised(&config)).unwrap().hash
    };
    let frame = mixed();
    let first = hash(&frame, 0, Scale::Standardise, &[0, 1, 0, 1]);
    assert_eq!(first, hash(&frame, 2, Scale::Standardise, &[0, 1, 0, 1]));
    assert_eq!(first, hash(&frame, 0, Scale::None, &[0, 1, 0, 1]));
    let mut renamed = frame.clone();
    renamed.columns[0].name = "length".into();
    let mut other_levels = frame.clone();
    other_levels.columns[3].kind = ColumnKind::Category { levels: words(&["Bonn", "Rome", "York"]) };
    let mut other_cell = frame.clone();
    let Cells::Memory(Elements::F64(cells)) = &mut other_cell.cells else { unreachable!() };
    cells[0] = 1.5;
    for (what, other) in [
        ("a label", hash(&frame, 0, Scale::None, &[0, 1, 0, 2])),
        ("a name", hash(&renamed, 0, Scale::None, &[0, 1, 0, 1])),
        ("a level", hash(&other_levels, 0, Scale::None, &[0, 1, 0, 1])),
        ("a cell", hash(&other_cell, 0, Scale::None, &[0, 1, 0, 1])),
    ] {
        assert_ne!(first, other, "{what}");
    }
}

#[test]
fn columns_that_a_likelihood_does_not_take_are_refused_by_name() {
    use Likelihood::{Bernoulli, Gaussian, GaussianLearned, Heterogeneous, NegativeBinomial, Poisson};
    let text = ColumnKind::Text { distinct: 30, example: "Ann".into() };
    let binary = ColumnKind::Binary { levels: ["0".into(), "1".into()] };
    let category = ColumnKind::Category { levels: words(&["a", "b", "c"]) };
    for (kind, takers) in [
        (ColumnKind::PLAIN, vec![Bernoulli, Gaussian, GaussianLearned, Heterogeneous, Poisson, NegativeBinomial]),
        (ColumnKind::Numeric { shift: 1.0, scale: 2.0 }, vec![Bernoulli, Gaussian, GaussianLearned, Heterogeneous]),
        (binary, vec![Bernoulli, Heterogeneous]),
        (ColumnKind::Count, vec![Heterogeneous, Poisson, NegativeBinomial]),
        (category, vec![Heterogeneous]),
        (text, vec![]),
    ] {
        let name = kind.name();
        let encoding = Encoding {
            columns: vec![column("a", ColumnKind::PLAIN), column("b", kind)],
            range: [0.0, 1.0],
            array: None,
        };
        for likelihood in [Bernoulli, Gaussian, GaussianLearned, Heterogeneous, Poisson, NegativeBinomial] {
            match encoding.check("t.csv", likelihood.takes()) {
                Ok(()) => assert!(takers.contains(&likelihood), "{name} {likelihood:?}"),
                Err(error) => {
                    assert!(!takers.contains(&likelihood), "{name} {likelihood:?}");
                    assert!(error.to_string().starts_with("t.csv: column `b` ") && error.exit_code() == 3, "{error}");
                    assert!(error.to_string().contains("--set data.columns.b=ignore") || name != "text", "{error}");
                }
            }
        }
    }
}

#[test]
fn categories_stay_among_themselves() {
    let category = || ColumnKind::Category { levels: words(&["a", "b", "c"]) };
    let encoding =
        |kind| Encoding { columns: vec![column("a", category()), column("b", kind)], range: [0.0, 1.0], array: None };
    assert_eq!(encoding(category()).check("t.csv", Likelihood::Categorical.takes()), Ok(()));
    assert_eq!(
        encoding(ColumnKind::Numbered { categories: 2 }).check("t.csv", Likelihood::Categorical.takes()),
        Ok(())
    );
    let binary = ColumnKind::Binary { levels: ["0".into(), "1".into()] };
    for kind in [ColumnKind::PLAIN, ColumnKind::Count, binary] {
        let (name, error) = (kind.name(), encoding(kind).check("t.csv", Likelihood::Categorical.takes()).unwrap_err());
        assert!(error.to_string().starts_with(&format!("t.csv: column `b` is of type {name}, and")), "{error}");
    }
}

#[test]
fn numbered_categories_are_ones_among_zeros_and_come_back_as_numbers() {
    let encoding = Encoding::alike(&[2], &ColumnKind::Numbered { categories: 3 });
    let rows = numbers(&encoding, &Elements::F64(vec![0.0, 2.0, f64::NAN, 1.0]), &[0, 1]);
    assert_eq!(rows[..6], [1.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    assert!(rows[6..9].iter().all(|place| place.is_nan()) && rows[9..] == [0.0, 1.0, 0.0]);
    assert_eq!(encoding.cells(&encoding.undo(&rows[..6])), ["0", "2"]);
    assert_eq!(encoding.cells(&encoding.undo(&rows[6..])), ["", "1"]);
    // Of equally probable ones the first.
    assert_eq!(Encoding::most_probable(&[0.2, 0.4, 0.4, 0.6, 0.3, 0.1], 3), [1.0, 0.0]);
    assert!(!encoding.scales());
    let text = serde_json::to_string(&encoding).unwrap();
    assert_eq!(serde_json::from_str::<Encoding>(&text).unwrap(), encoding, "{text}");
}

#[test]
fn numbers_are_scaled_where_they_are_not_as_they_were_stored() {
    let kept = Encoding::alike(&[2], &ColumnKind::PLAIN);
    let scaled = Encoding::alike(&[2], &ColumnKind::Numeric { shift: 0.0, scale: 2.0 });
    assert_eq!([kept.scales(), scaled.scales()], [false, true]);
}

#[test]
fn a_table_of_two_values_each_is_told_which_likelihood_it_wants() {
    let binary = || ColumnKind::Binary { levels: ["0".into(), "1".into()] };
    let encoding =
        Encoding { columns: vec![column("a", binary()), column("b", binary())], range: [0.0, 1.0], array: None };
    assert_eq!(encoding.check("t.csv", Likelihood::Bernoulli.takes()), Ok(()));
    let error = encoding.check("t.csv", Likelihood::GaussianLearned.takes()).unwrap_err();
    assert!(error.to_string().contains("--set model.likelihood=bernoulli"), "{error}");
}

#[test]
fn an_array_stands_for_a_table_only_where_all_columns_are_numbers() {
    let numbers = Encoding {
        columns: vec![column("a", ColumnKind::PLAIN), column("b", ColumnKind::PLAIN)],
        range: [0.0, 1.0],
        array: None,
    };
    assert_eq!(numbers.for_numbers(2), Ok(numbers.clone()));
    assert!(numbers.for_numbers(3).unwrap_err().contains("3 values, and the model was trained on 2 columns"));
    let mixed = Encoding {
        columns: vec![column("a", ColumnKind::PLAIN), column("b", ColumnKind::Count)],
        range: [0.0, 1.0],
        array: None,
    };
    assert!(mixed.for_numbers(2).unwrap_err().contains("column `b` is of type count"));
}

#[test]
fn an_encoding_is_kept_to_the_bit() {
    let mut encoding = Encoding::fit(&mixed(), &[0, 1, 3], Scale::Standardise).unwrap();
    encoding.range = [-1.0 / 3.0, 1e300];
    encoding.columns[0].kind = ColumnKind::Numeric { shift: 0.1 + 0.2, scale: f64::MIN_POSITIVE };
    let text = serde_json::to_string(&encoding).unwrap();
    assert_eq!(serde_json::from_str::<Encoding>(&text).unwrap(), encoding, "{text}");
}
