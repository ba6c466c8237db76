//! Sparse matrices as `scipy.sparse.save_npz` writes them: the arrays of one of its formats, and the name of the format. Rows are
//! users, columns are items.

use super::{Archive, Decoded};
use crate::data::ReadOptions;
use crate::data::elements::Elements;
use crate::data::interactions::{Interactions, check_room, check_shape, numbered, weight};
use std::io::Read;

/// The longest entry with the name of a format.
const MAX_NAME: u64 = 4096;

impl Archive {
    /// Whether it is one of `SciPy`'s, and of no arrays of examples.
    pub(super) fn is_sparse(&self) -> bool {
        ["data", "shape", "format"].iter().all(|name| self.has(name))
    }

    /// The name of the format: an array of one text of bytes or of UTF-32.
    fn format(&mut self) -> Decoded<String> {
        let mut bytes = Vec::new();
        let read = self.entry("format")?.take(MAX_NAME).read_to_end(&mut bytes);
        read.map_err(|error| format!("array format: cannot be read: {error}"))?;
        // What follows the line that ends the header are its letters.
        let start = bytes.iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |at| at + 1);
        Ok(bytes[start..].iter().filter(|byte| byte.is_ascii_alphanumeric()).map(|&byte| char::from(byte)).collect())
    }

    /// The numbers of an array of one dimension; `entries` of them where that many are wanted.
    fn numbers(&mut self, name: &str, entries: Option<usize>) -> Decoded<Elements> {
        if !self.has(name) {
            return Err(format!("there is no array {name}; it was not made by scipy.sparse.save_npz"));
        }
        let array = self.read(name)?;
        if array.dims.len() != 1 || entries.is_some_and(|entries| entries != array.dims[0]) {
            let wanted = entries.map_or_else(String::new, |entries| format!(" of {entries}"));
            return Err(format!("array {name}: its shape is {:?}, and one dimension{wanted} is expected", array.dims));
        }
        Ok(array.elements)
    }

    /// The numbers of an array that are places below `end`, or `end` itself where `last` says so.
    fn places(&mut self, name: &str, entries: Option<usize>, end: u64) -> Decoded<Vec<u32>> {
        let Elements::Int(all) = self.numbers(name, entries)? else {
            return Err(format!("array {name}: whole numbers are expected"));
        };
        let place = |(at, number): (usize, i64)| match u64::try_from(number).ok().filter(|&number| number < end) {
            Some(number) => Ok(number as u32),
            None => Err(format!("array {name}: number {at} is {number}, and it goes from 0 to {}", end - 1)),
        };
        all.into_iter().enumerate().map(place).collect()
    }

    /// The matrix.
    pub(super) fn matrix(&mut self, request: &ReadOptions) -> Decoded<Interactions> {
        let format = self.format()?;
        if !["csr", "csc", "coo"].contains(&format.as_str()) {
            return Err(format!(
                "a sparse matrix of the format {format:?} is not read: scipy.sparse.save_npz(PATH, matrix.tocsr())"
            ));
        }
        let promised = self
            .arrays
            .iter()
            .find(|(name, _)| name == "data")
            .and_then(|(_, header)| header.as_ref().ok()?.elements());
        check_room(promised.unwrap_or(0), 0, request)?;
        let values = self.numbers("data", None)?;
        let entries = values.len();
        let Elements::Int(shape) = self.numbers("shape", Some(2))? else {
            return Err("array shape: whole numbers are expected".into());
        };
        let [rows, columns] = [0, 1].map(|at| u64::try_from(shape[at]).unwrap_or(0));
        let [rows, columns] = check_shape(rows, columns, entries as u64)?;
        let (row, column) = match format.as_str() {
            "csr" => {
                let row = self.major(rows, entries)?;
                (row, self.places("indices", Some(entries), columns as u64)?)
            }
            "csc" => {
                let column = self.major(columns, entries)?;
                (self.places("indices", Some(entries), rows as u64)?, column)
            }
            "coo" if self.has("coords") => {
                return Err("a COO array of this kind is not read: scipy.sparse.save_npz(PATH, matrix.tocsr())".into());
            }
            _ => (self.places("row", Some(entries), rows as u64)?, self.places("col", Some(entries), columns as u64)?),
        };
        let mut all = Vec::new();
        for (at, (row, column)) in row.into_iter().zip(column).enumerate() {
            let weight =
                weight(values.at(at), request).map_err(|what| format!("row {row}, column {column}: {what}"))?;
            all.extend(weight.map(|weight| (row, column, weight)));
        }
        Ok(Interactions { rows, entries: all, users: None, items: numbered(columns), notes: vec![] })
    }

    /// The row (or column) of each entry, by where the entries of each begin.
    fn major(&mut self, count: usize, entries: usize) -> Decoded<Vec<u32>> {
        let starts = self.places("indptr", Some(count + 1), entries as u64 + 1)?;
        if starts[0] != 0 || starts[count] as usize != entries || starts.windows(2).any(|pair| pair[0] > pair[1]) {
            return Err(format!("array indptr: it does not rise from 0 to {entries}, the number of entries"));
        }
        let own = |(major, pair): (usize, &[u32])| std::iter::repeat_n(major as u32, (pair[1] - pair[0]) as usize);
        Ok(starts.windows(2).enumerate().flat_map(own).collect())
    }
}
