//! Factors of variation from a file: a row for each example, a column for each factor.

use super::Factor;
use crate::commands::files;
use crate::data::array::Array;
use crate::data::{self, Dataset};
use crate::error::{Error, Result};
use std::path::Path;

/// A column as a file has it.
enum Column {
    Numbers(Vec<f64>),
    Words(Vec<String>),
}

/// Reads the factors of a data set, whose examples stand in the file as in their source. Columns of words are kinds, and have
/// names from a header; columns of an array are called by their places, from 0.
///
/// # Errors
/// [`Error::Usage`] for another kind of file, [`Error::Data`] where it cannot be read, has no columns or a number that is none,
/// or does not have as many rows as there are examples.
pub fn read(path: &Path, data: &Dataset) -> Result<Vec<Factor>> {
    let wrong = |why: String| Error::Data(format!("{}: {why}", path.display()));
    let columns = match files::format("--factors ", path, &["npy", "csv"])? {
        "npy" => array(data::npy::open(path)?),
        _ => table(path),
    };
    let columns = columns.map_err(wrong)?;
    let factor = |(name, column): (String, Column)| {
        let (values, ordered) = match column {
            Column::Numbers(numbers) => (numbered(&numbers, f64::total_cmp), true),
            Column::Words(words) => (numbered(&words, Ord::cmp), false),
        };
        if values.len() != data.len() {
            let (rows, examples) = (values.len(), data.len());
            return Err(wrong(format!("it has {rows} rows of factors, and {} has {examples} examples", data.name)));
        }
        Ok(Factor { name, values: (0..data.len()).map(|at| values[data.row(at)]).collect(), ordered })
    };
    columns.into_iter().map(factor).collect()
}

fn array(Array { dims, elements }: Array) -> std::result::Result<Vec<(String, Column)>, String> {
    let &[rows, width] = &dims[..] else {
        return Err(format!("its shape is {dims:?}, and factors are a matrix [examples, factors]"));
    };
    let column = |column: usize| {
        let numbers: Vec<f64> = (0..rows).map(|row| elements.at(row * width + column)).collect();
        match numbers.iter().position(|number| !number.is_finite()) {
            Some(row) => Err(format!("factor {column} of row {row} is {}", numbers[row])),
            None => Ok((column.to_string(), Column::Numbers(numbers))),
        }
    };
    (0..width).map(column).collect()
}

fn table(path: &Path) -> std::result::Result<Vec<(String, Column)>, String> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(|e| e.to_string())?;
    let names: Vec<String> = reader.headers().map_err(|e| e.to_string())?.iter().map(str::to_owned).collect();
    let mut columns = vec![vec![]; names.len()];
    for record in reader.records() {
        let record = record.map_err(|e| e.to_string())?;
        for ((column, cell), name) in columns.iter_mut().zip(&record).zip(&names) {
            if cell.is_empty() {
                let line = record.position().map_or(0, csv::Position::line);
                return Err(format!("line {line}: factor `{name}` is missing"));
            }
            column.push(cell.to_owned());
        }
    }
    let number = |word: &String| word.parse().ok().filter(|number: &f64| number.is_finite());
    let typed = |words: Vec<String>| match words.iter().map(number).collect() {
        Some(numbers) => Column::Numbers(numbers),
        None => Column::Words(words),
    };
    Ok(names.into_iter().zip(columns.into_iter().map(typed)).collect())
}

/// The place of each value among all different ones, in their order.
fn numbered<T: Clone>(values: &[T], order: impl Fn(&T, &T) -> std::cmp::Ordering) -> Vec<u32> {
    let mut all = values.to_vec();
    all.sort_by(&order);
    all.dedup_by(|a, b| order(a, b).is_eq());
    let place = |value: &T| all.partition_point(|other| order(other, value).is_lt()) as u32;
    values.iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Values;

    #[test]
    fn columns_are_numbers_or_words_and_stand_as_the_examples_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("factors.csv");
        let data = Dataset::new("odd", [1, 1, 1], Values::U8(vec![0; 3]), None, 0, 0).unwrap();
        let data = Dataset { rows: Some(vec![2, 0, 1]), ..data };
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read(&path, &data)
        };
        let found = read("size,kind\n0.5,b\n10,a\n2,b\n").unwrap();
        let values: Vec<_> =
            found.iter().map(|factor| (&factor.name[..], &factor.values[..], factor.ordered)).collect();
        assert_eq!(values, [("size", &[1, 0, 2][..], true), ("kind", &[1, 1, 0], false)]);
        for (text, why) in [
            ("a,b\n1,2\n", "it has 1 rows of factors, and odd has 3 examples"),
            ("a,b\n1,\n", "line 2: factor `b` is missing"),
            ("a,b\n1\n", "2 fields"),
        ] {
            let error = read(text).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("factors.csv"), "{error}");
        }
    }
}
