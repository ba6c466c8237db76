//! Who chose what, and how often: a list of users and items, or a sparse matrix with a row for each user.
//!
//! Both become compressed sparse rows ([`super::sparse`]). Lists are read by `csv/pairs.rs`, archives of `SciPy` by
//! `npz/sparse.rs`, `MatrixMarket` files by [`mtx`]. Users and items of a list have names, those of a matrix are the numbers of its
//! rows and columns, counted from 0.

pub mod mtx;
#[cfg(test)]
mod tests;

use super::sparse::{Entry, MAX_ENTRIES, Sparse};
use super::{Dataset, Format, ReadOptions, Values, places};
use crate::config::MAX_WIDTH;
use crate::error::{Error, Result};

/// What can be wrong inside a file, as the text after its name.
type Decoded<T> = std::result::Result<T, String>;

/// Rows or columns without any entry that a matrix may have beside those that have some: what takes memory is there in the file.
const MAX_EMPTY: u64 = 1 << 16;

/// Bytes that an entry takes while it is read.
const ENTRY_BYTES: u64 = 12;

/// What a file held.
#[derive(Debug)]
pub struct Interactions {
    /// Users.
    pub rows: usize,
    /// What each chose: user, item, and how often or how much.
    pub entries: Vec<Entry>,
    /// The names of the users; nothing where they are numbers.
    pub users: Option<Vec<String>>,
    /// The names of the items.
    pub items: Vec<String>,
    /// What was odd about it.
    pub notes: Vec<String>,
}

/// The names of things that have none: their numbers from 0.
pub fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|at| at.to_string()).collect()
}

/// What an entry of this value counts: the value itself, or where values from some number on are taken for choices, 1. Nothing
/// where it is none.
///
/// # Errors
/// Why it is no value of an interaction.
pub fn weight(value: f64, request: &ReadOptions) -> Decoded<Option<f32>> {
    let at_least = f64::from(request.config.at_least);
    if !value.is_finite() || value < 0.0 {
        return Err(format!("the value is {value}, and it says how often or how much: a number from 0 up"));
    }
    if at_least > 0.0 {
        return Ok((value >= at_least).then_some(1.0));
    }
    Ok((value != 0.0).then_some(value as f32))
}

/// Tells whether so many entries have a place, and names that take so many bytes beside them.
///
/// # Errors
/// What to do where they have none.
pub fn check_room(entries: u64, names: u64, request: &ReadOptions) -> Decoded<()> {
    if entries > MAX_ENTRIES as u64 {
        return Err(format!("{entries} entries are too many, allowed are {MAX_ENTRIES}"));
    }
    let (takes, may) = (entries.saturating_mul(ENTRY_BYTES).saturating_add(names), request.memory());
    if takes > may {
        let [takes, may] = [takes, may].map(|bytes| bytes >> 20);
        return Err(format!(
            "{entries} entries take {takes} MiB, and data.memory allows {may}: raise it (`--set data.memory=MIB`)"
        ));
    }
    Ok(())
}

/// Tells whether a matrix of this shape can be one of users and items, of which so many entries are there.
///
/// # Errors
/// What is wrong with the shape.
pub fn check_shape(rows: u64, columns: u64, entries: u64) -> Decoded<[usize; 2]> {
    if rows == 0 || columns == 0 {
        return Err(format!("there are no values: the matrix has {rows} rows and {columns} columns"));
    }
    if columns > MAX_WIDTH as u64 {
        return Err(format!(
            "the matrix has {columns} columns, allowed are {MAX_WIDTH}: rows are users, columns are items"
        ));
    }
    let most = entries.saturating_add(MAX_EMPTY);
    if u32::try_from(rows).is_err() || rows.max(columns) > most {
        return Err(format!(
            "the matrix claims to have {rows} rows and {columns} columns, and {entries} entries are there"
        ));
    }
    Ok([rows as usize, columns as usize])
}

/// Makes a data set of what a file of this name held.
///
/// # Errors
/// [`Error::Data`] where it holds nothing, something twice, or items that are not those of a trained model; those of
/// [`Dataset::new`].
pub fn dataset(name: &str, from: Interactions, request: &ReadOptions) -> Result<Dataset> {
    let complain = |what: String| Error::Data(format!("{name}: {what}"));
    let Interactions { rows, entries, users, items, notes } = from;
    if let Some(known) = request.known.and_then(|known| known.items).filter(|known| *known != items) {
        return Err(complain(other_items(&items, known)));
    }
    if rows == 0 || (entries.is_empty() && request.known.is_none()) {
        let most = request.config.at_least;
        let left_out =
            if most > 0.0 { format!(" of a value of {most} or more (data.at_least)") } else { String::new() };
        return Err(complain(format!("there is no interaction{left_out}")));
    }
    check_room(entries.len() as u64, 0, request).map_err(complain)?;
    let named = |user: u32| users.as_ref().map_or_else(|| user.to_string(), |users| users[user as usize].clone());
    let sparse = Sparse::new(rows, items.len(), entries).map_err(|(user, item)| {
        let (user, item) = (named(user), &items[item as usize]);
        complain(format!("the user `{user}` has the item `{item}` twice: add the values up, or leave one out"))
    })?;
    let (order, test) = places(rows, None, request.config);
    let sparse = sparse.picked(&order);
    let (shape, validation) = ([1, 1, items.len()], request.validation(rows - test));
    let data = Dataset::parted(name, shape, Values::Sparse(sparse), test, validation)?.with_rows(order).hashed()?;
    Ok(Dataset { format: Format::Interactions, items: Some(items), users, notes, ..data })
}

/// What to say where items are not those of a trained model.
fn other_items(own: &[String], known: &[String]) -> String {
    let (own, count) = (own.len(), known.len());
    if *known == numbered(count) {
        return format!("there are {own} items, and the model was trained on a matrix of {count}");
    }
    format!(
        "the items are {own} columns without a name, and the model was trained on a list of {count} items that have one: give \
         such a list (user,item)"
    )
}
