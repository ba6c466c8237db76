//! What is known of examples beside the examples: the factors that sprites are drawn by, a column of a table, a column of a
//! file that has a row for each example.

use super::files;
use crate::config::DataConfig;
use crate::data::array::Array;
use crate::data::{self, Dataset, Format, NO_LABEL, sprites};
use crate::error::{Error, Result};
use std::path::Path;

/// A factor of all examples of a data set.
#[derive(Debug, Clone, PartialEq)]
pub struct Factor {
    /// Its name.
    pub name: String,
    /// The value of each example, by its place in the data set: the place of the value among `names`, or [`NO_LABEL`] where it is
    /// missing.
    pub values: Vec<u32>,
    /// What each value is called, in their order.
    pub names: Vec<String>,
    /// Whether values have an order; otherwise they are kinds.
    pub ordered: bool,
}

/// A column as a file has it, with nothing where a cell is missing.
enum Column {
    Numbers(Vec<Option<f64>>),
    Words(Vec<Option<String>>),
}

/// The factors that a data set was drawn with; nothing where it was drawn by nobody who knows them.
pub fn drawn(data: &Dataset) -> Option<Vec<Factor>> {
    if data.format != Format::Sprites {
        return None;
    }
    let coloured = data.shape[0] == 3;
    let values: Vec<Vec<u32>> = (0..data.len() as u32).map(|number| sprites::values(number, coloured)).collect();
    let named = |(k, factor): (usize, &sprites::Factor)| Factor {
        name: factor.name.into(),
        values: values.iter().map(|values| values[k]).collect(),
        names: match &data.classes {
            Some(shapes) if k == 0 => shapes.clone(),
            _ => (0..factor.count).map(|value| value.to_string()).collect(),
        },
        ordered: factor.ordered,
    };
    Some(sprites::factors(coloured).iter().enumerate().map(named).collect())
}

/// The labels of a data set under this name, where it has some.
pub fn labels(data: &Dataset, name: &str) -> Option<Factor> {
    let values = data.labels.clone()?;
    let number = || (0..data.class_count()).map(|class| class.to_string()).collect();
    let names = data.classes.clone().unwrap_or_else(number);
    Some(Factor { name: name.to_owned(), values, names, ordered: false })
}

/// Takes the values of the factors of these names for kinds.
///
/// # Errors
/// [`Error::Usage`] for a name that none of them has.
pub fn unordered(factors: &mut [Factor], kinds: Option<&str>) -> Result<()> {
    for kind in kinds.into_iter().flat_map(|kinds| kinds.split(',')) {
        let names = factors.iter().map(|factor| factor.name.clone()).collect::<Vec<_>>().join(", ");
        let factor = factors.iter_mut().find(|factor| factor.name == kind.trim());
        factor
            .ok_or_else(|| Error::Usage(format!("--kinds {kind}: there is no such factor; there are {names}")))?
            .ordered = false;
    }
    Ok(())
}

/// Reads the factors of a data set, whose examples stand in the file as in their source. Columns of words are kinds, and have
/// names from a header; columns of an array are called by their places, from 0. Cells may be empty where there may be `holes`.
///
/// # Errors
/// [`Error::Usage`] for another kind of file, [`Error::Data`] where it cannot be read, has no columns or a number that is none,
/// or does not have as many rows as there are examples.
pub fn read(path: &Path, data: &Dataset, holes: bool) -> Result<Vec<Factor>> {
    let wrong = |why: String| Error::Data(format!("{}: {why}", path.display()));
    let columns = match files::format("--factors ", path, &["npy", "csv"])? {
        "npy" => array(data::npy::open(path)?),
        _ => table(path, holes),
    };
    let columns = columns.map_err(wrong)?;
    let factor = |(name, column): (String, Column)| {
        let found = factor(name, &column, data);
        found.map_err(|rows| {
            let examples = data.len();
            wrong(format!("it has {rows} rows of factors, and {} has {examples} examples", data.name))
        })
    };
    columns.into_iter().map(factor).collect()
}

/// Columns of the table that a data set was read from, whether the model knows them or not.
///
/// # Errors
/// [`Error::Usage`] for a column that there is not; [`Error::Data`] where the table cannot be read.
pub fn columns(config: &DataConfig, data: &Dataset, names: &[String]) -> Result<Vec<Factor>> {
    let path = Path::new(&config.source);
    let cells = data::csv::columns(path, config, names)?;
    let typed = |cells: Vec<data::csv::Said>| {
        if cells.iter().flatten().all(|(_, number)| number.is_some_and(f64::is_finite)) {
            Column::Numbers(cells.into_iter().map(|cell| cell.and_then(|(_, number)| number)).collect())
        } else {
            Column::Words(cells.into_iter().map(|cell| cell.map(|(word, _)| word)).collect())
        }
    };
    let factor = |(name, cells): (&String, Vec<data::csv::Said>)| {
        factor(name.clone(), &typed(cells), data)
            .map_err(|rows| Error::Data(format!("{}: it has {rows} rows now, and had others", path.display())))
    };
    names.iter().zip(cells).map(factor).collect()
}

/// A factor of the examples of a data set, of which the column has one for each row of its source; otherwise how many it has.
fn factor(name: String, column: &Column, data: &Dataset) -> std::result::Result<Factor, usize> {
    let ((values, names), ordered) = match column {
        Column::Numbers(numbers) => {
            let (values, all) = numbered(numbers, f64::total_cmp);
            ((values, all.iter().map(f64::to_string).collect()), true)
        }
        Column::Words(words) => (numbered(words, Ord::cmp), false),
    };
    match values.len() {
        rows if rows == data.len() => {
            Ok(Factor { name, values: (0..rows).map(|at| values[data.row(at)]).collect(), names, ordered })
        }
        rows => Err(rows),
    }
}

fn array(Array { dims, elements }: Array) -> std::result::Result<Vec<(String, Column)>, String> {
    let &[rows, width] = &dims[..] else {
        return Err(format!("its shape is {dims:?}, and factors are a matrix [examples, factors]"));
    };
    let column = |column: usize| {
        let numbers: Vec<f64> = (0..rows).map(|row| elements.at(row * width + column)).collect();
        match numbers.iter().position(|number| !number.is_finite()) {
            Some(row) => Err(format!("factor {column} of row {row} is {}", numbers[row])),
            None => Ok((column.to_string(), Column::Numbers(numbers.into_iter().map(Some).collect()))),
        }
    };
    (0..width).map(column).collect()
}

fn table(path: &Path, holes: bool) -> std::result::Result<Vec<(String, Column)>, String> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(|e| e.to_string())?;
    let names: Vec<String> = reader.headers().map_err(|e| e.to_string())?.iter().map(str::to_owned).collect();
    let mut columns: Vec<Vec<Option<String>>> = vec![vec![]; names.len()];
    for record in reader.records() {
        let record = record.map_err(|e| e.to_string())?;
        for ((column, cell), name) in columns.iter_mut().zip(&record).zip(&names) {
            if cell.is_empty() && !holes {
                let line = record.position().map_or(0, csv::Position::line);
                return Err(format!("line {line}: factor `{name}` is missing"));
            }
            column.push((!cell.is_empty()).then(|| cell.to_owned()));
        }
    }
    let number = |word: &Option<String>| match word {
        Some(word) => word.parse().ok().filter(|number: &f64| number.is_finite()).map(Some),
        None => Some(None),
    };
    let typed = |words: Vec<Option<String>>| match words.iter().map(number).collect() {
        Some(numbers) => Column::Numbers(numbers),
        None => Column::Words(words),
    };
    Ok(names.into_iter().zip(columns.into_iter().map(typed)).collect())
}

/// The place of each value among all different ones, and these in their order.
fn numbered<T: Clone>(values: &[Option<T>], order: impl Fn(&T, &T) -> std::cmp::Ordering) -> (Vec<u32>, Vec<T>) {
    let mut all: Vec<T> = values.iter().flatten().cloned().collect();
    all.sort_by(&order);
    all.dedup_by(|a, b| order(a, b).is_eq());
    let place = |value: &T| all.partition_point(|other| order(other, value).is_lt()) as u32;
    let places = values.iter().map(|value| value.as_ref().map_or(NO_LABEL, place)).collect();
    (places, all)
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
        let read = |text: &str, holes: bool| {
            std::fs::write(&path, text).unwrap();
            super::read(&path, &data, holes)
        };
        let found = read("size,kind\n0.5,b\n10,a\n2,b\n", false).unwrap();
        let values: Vec<_> =
            found.iter().map(|factor| (&factor.name[..], &factor.values[..], factor.ordered)).collect();
        assert_eq!(values, [("size", &[1, 0, 2][..], true), ("kind", &[1, 1, 0], false)]);
        let holed = read("size,kind\n0.5,b\n10,\n,a\n", true).unwrap();
        assert_eq!(holed[0].values, [NO_LABEL, 0, 1]);
        assert_eq!((&holed[1].values[..], &holed[1].names[..]), (&[0, 1, NO_LABEL][..], &["a".into(), "b".into()][..]));
        for (text, why) in [
            ("a,b\n1,2\n", "it has 1 rows of factors, and odd has 3 examples"),
            ("a,b\n1,\n", "line 2: factor `b` is missing"),
            ("a,b\n1\n", "2 fields"),
        ] {
            let error = read(text, false).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("factors.csv"), "{error}");
        }
    }
}
