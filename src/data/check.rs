//! Whether a model can take the values of a data set.

use super::sparse::Sparse;
use super::{Dataset, Format, table};
use crate::config::{Domain, Takes};
use crate::error::{Error, Result};

/// The largest count: rates end at exp 20, and beyond 2²⁴ single precision has not every whole number.
const MAX_COUNTED: f32 = 16_777_216.0;

/// What to say where values are pixels, and categories are wanted.
pub const NO_CATEGORIES: &str = "these are pixels, and the categorical likelihood takes categories; give an array (.npy, .npz) \
                                 of whole numbers or a table, or for pictures choose `--set \
                                 model.likelihood=logistic-mixture`";

/// Tells whether a model can take the data: columns of types that it knows, counts that a rate can
/// reach, values that are finite, for Bernoulli from 0 to 1, for a mixture of logistics one of 256 levels, for counts
/// whole. Values of tables and arrays may be missing.
///
/// # Errors
/// [`Error::Data`], with the first thing that does not fit and what to do about it.
pub fn check(dataset: &Dataset, takes: Takes) -> Result<()> {
    let Takes { domain, likelihood } = takes;
    if (domain == Domain::Tokens) != matches!(dataset.format, Format::Text | Format::Music) {
        let name = &dataset.name;
        return Err(Error::Data(if domain == Domain::Tokens {
            format!("{name}: the likelihood tokens takes text, a .txt or .smi file of lines, or music, .mid files")
        } else {
            format!("{name}: this is text, and the likelihood {likelihood} takes none; choose `--recipe text`")
        }));
    }
    if let Some(encoding) = &dataset.encoding {
        encoding.check(&dataset.name, takes)?;
    } else if domain == Domain::Categories {
        return Err(Error::Data(format!("{}: {NO_CATEGORIES}", dataset.name)));
    } else if let Some(sparse) = dataset.sparse() {
        return check_sparse(dataset, sparse, takes);
    } else if domain == Domain::Columns {
        return Err(Error::Data(format!(
            "{}: the heterogeneous likelihood is for the columns of tables and of arrays of two dimensions; for pixels \
             choose `--set model.likelihood=bernoulli` or gaussian-learned",
            dataset.name
        )));
    }
    if dataset.values.are_bytes() && domain == Domain::Counts {
        return Err(Error::Data(format!(
            "{}: pixels are read as numbers from 0 to 1, and the likelihood {likelihood} takes counts; give an array (.npy) or a \
             table of them, or for pictures choose `--set model.likelihood=logistic-mixture`",
            dataset.name
        )));
    }
    if dataset.values.are_bytes() {
        return Ok(());
    }
    // What is missing from a table or an array is a NaN; anywhere else there is nothing that a NaN could mean.
    let may_be_missing = dataset.encoding.is_some();
    let fits = |x: f32| if x.is_nan() { may_be_missing } else { x.is_finite() && can_be(x, domain) };
    let mut largest = vec![0.0_f32; dataset.width()];
    dataset.visit(0..dataset.len(), |example, row| {
        if let Some(at) = row.iter().position(|&x| !fits(x)) {
            return Err(unfit(dataset, takes, example, at, row[at])?);
        }
        largest.iter_mut().zip(row).for_each(|(largest, &x)| *largest = largest.max(x));
        Ok(())
    })?;
    check_counts(dataset, &largest)
}

/// The same of interactions: every value by itself, since none is zero.
fn check_sparse(dataset: &Dataset, sparse: &Sparse, takes: Takes) -> Result<()> {
    let Takes { domain, likelihood } = takes;
    if domain == Domain::Columns {
        let (what, recipe) = match dataset.format {
            Format::Cells => ("counts of genes in cells", "cells"),
            _ => ("users and what each chose", "recommend"),
        };
        return Err(Error::Data(format!(
            "{}: these are {what}, and the likelihood {likelihood} takes columns of a table; choose `--recipe {recipe}`",
            dataset.name
        )));
    }
    for row in 0..sparse.len() {
        let entries = sparse.row(row);
        if let Some(at) = entries.values.iter().position(|&x| !can_be(x, domain)) {
            let items = dataset.items.as_deref().unwrap_or_default();
            let item = items.get(entries.items[at] as usize).map_or("", String::as_str);
            if dataset.format == Format::Cells {
                return Err(Error::Data(format!(
                    "{}: gene `{item}` of cell `{}` is {}{}; counts are for `--recipe cells`",
                    dataset.name,
                    dataset.user(row),
                    entries.values[at],
                    taken(takes)
                )));
            }
            return Err(Error::Data(format!(
                "{}: the value of user `{}` and item `{item}` is {}{}; choices are made of values by `--set data.at_least=V`, from \
                 V on",
                dataset.name,
                dataset.user(row),
                entries.values[at],
                taken(takes)
            )));
        }
    }
    Ok(())
}

/// Whether a finite number can be a value.
pub fn can_be(x: f32, domain: Domain) -> bool {
    match domain {
        // A category is a 1 among zeros; what a model puts out are probabilities.
        Domain::Unit | Domain::Categories => (0.0..=1.0).contains(&x),
        // A level in single precision, or read as text.
        Domain::Levels => (0.0..=1.0).contains(&x) && (255.0 * x - (255.0 * x).round()).abs() < 1e-3,
        Domain::Counts => (0.0..=MAX_COUNTED).contains(&x) && x.fract() == 0.0,
        Domain::Tokens => x >= 0.0 && x.fract() == 0.0,
        Domain::Numbers | Domain::Columns => true,
    }
}

/// What values a model takes, in words that follow a value that is none.
pub fn taken(Takes { domain, likelihood }: Takes) -> String {
    let values = match domain {
        Domain::Levels => "the 256 levels of pictures, bytes or multiples of 1/255 from 0 to 1",
        Domain::Counts => &format!("counts, whole numbers from 0 to {MAX_COUNTED}"),
        Domain::Unit => "values from 0 to 1",
        Domain::Categories => "a 1 among zeros for each value, or probabilities",
        Domain::Tokens => "numbers of tokens",
        Domain::Numbers | Domain::Columns => "finite values",
    };
    format!(", but the {likelihood} likelihood takes {values}")
}

/// What to do with values that are none of a domain.
fn advice(domain: Domain, format: Format) -> &'static str {
    match domain {
        Domain::Levels => "store the pixels as bytes (uint8), or choose `--set model.likelihood=gaussian-shared`",
        Domain::Counts => "for measurements choose `--set model.likelihood=gaussian-shared`",
        _ if format == Format::Table => {
            "give each column the distribution of its type (`--set model.likelihood=heterogeneous`), or scale the data \
             (`--set data.scale=unit`)"
        }
        _ => "scale the data (`--set data.scale=unit`), or choose `--set model.likelihood=gaussian`",
    }
}

/// What to say of a value that no model, or not this one, can take.
fn unfit(dataset: &Dataset, takes: Takes, example: usize, at: usize, value: f32) -> Result<Error> {
    let advice = if value.is_finite() {
        &format!("{}; {}", taken(takes), advice(takes.domain, dataset.format))
    } else if !value.is_nan() || dataset.format != Format::Array {
        "; remove or replace values that are not finite"
    } else if dataset.shape[..2] == [1, 1] {
        "; for a model that takes NaN for a missing value choose `--recipe table` or `--recipe anomaly`, without \
         `data.scale=none`, else replace it"
    } else {
        "; NaN stands for a missing value where numbers are scaled: choose `--set data.scale=standardise`, else replace it"
    };
    let place = place(dataset, example, at);
    let row = dataset.example(example)?;
    let original = dataset.encoding.as_ref().map_or(row[at].into(), |encoding| encoding.undo(&row)[at]);
    Ok(Error::Data(format!("{}: {place} is {original}{advice}", dataset.name)))
}

/// A value of an example in words: its row and column, as the source has them.
fn place(dataset: &Dataset, example: usize, value: usize) -> String {
    let row = dataset.row(example);
    let column = dataset.encoding.as_ref().and_then(|encoding| encoding.column_at(value));
    match (dataset.format, column) {
        (Format::Table, Some(column)) => format!("column `{}` of row {} below the header", column.name, row + 1),
        (Format::Array, _) => format!("value {value} of row {row} (both from 0)"),
        _ => format!("value {value} of example {row}"),
    }
}

/// Tells whether counts are such that a rate can reach them, from the largest number in each place of a row.
fn check_counts(dataset: &Dataset, largest: &[f32]) -> Result<()> {
    let Some(encoding) = &dataset.encoding else { return Ok(()) };
    let counts =
        encoding.columns.iter().zip(encoding.spans()).filter(|(column, _)| column.kind == table::ColumnKind::Count);
    for (column, span) in counts {
        let largest = largest[span.start];
        if largest > MAX_COUNTED {
            return Err(Error::Data(format!(
                "{}: column `{1}` has counts up to {largest}, and those of a Poisson distribution may go to \
                 {MAX_COUNTED}; take them as measurements with `--set data.columns.{1}=numeric`",
                dataset.name, column.name
            )));
        }
    }
    Ok(())
}
