//! The coordinate format of `MatrixMarket`: a line that says what it is, comments, the extents, then row, column and value of each entry,
//! rows and columns counted from 1. Rows are users, columns are items.
//! Source: Boisvert, Pozo and Remington, "The Matrix Market exchange formats: initial design", NIST 1996.

use std::io::{BufRead, Read};
use std::path::Path;

use super::{Decoded, Interactions, check_room, check_shape, dataset as made, numbered, weight};
use crate::data::{Dataset, ReadOptions, packed};
use crate::error::{Error, Result};

/// The words that every file begins with.
pub const MAGIC: &[u8] = b"%%MatrixMarket";

/// The longest line.
const MAX_LINE: u64 = 1 << 12;

/// Opens a matrix as a data set: each row is an example.
///
/// # Errors
/// [`Error::Data`] in one line that begins with the path and gives the line; those of [`made`].
pub fn dataset(path: &Path, request: &ReadOptions) -> Result<Dataset> {
    let name = path.display().to_string();
    let complain = |what: String| Error::Data(format!("{name}: {what}"));
    let found = packed::open(path).and_then(|file| read(file, request)).map_err(complain)?;
    made(&name, found, request)
}

/// The lines of a file, none of which may be longer than [`MAX_LINE`].
struct Lines<R> {
    from: R,
    text: Vec<u8>,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    /// The next line, without the spaces around it; nothing behind the last.
    fn next(&mut self) -> Decoded<Option<&str>> {
        self.text.clear();
        self.number += 1;
        let read = self.from.by_ref().take(MAX_LINE).read_until(b'\n', &mut self.text);
        let read = read.map_err(|error| format!("cannot be read: {error}"))?;
        if read as u64 == MAX_LINE {
            return Err(format!("line {} is longer than {MAX_LINE} bytes", self.number));
        }
        let text = std::str::from_utf8(&self.text).map_err(|_| format!("line {} is no UTF-8 text", self.number))?;
        Ok((read > 0).then(|| text.trim()))
    }

    /// The next line that is neither empty nor a comment.
    fn told(&mut self) -> Decoded<Option<String>> {
        while let Some(line) = self.next()? {
            if !line.is_empty() && !line.starts_with('%') {
                return Ok(Some(line.to_owned()));
            }
        }
        Ok(None)
    }
}

/// Reads a matrix.
///
/// # Errors
/// What is wrong inside, and in which line.
pub fn read(from: impl BufRead, request: &ReadOptions) -> Decoded<Interactions> {
    let mut lines = Lines { from, text: vec![], number: 0 };
    let has_values = kind(lines.next()?.unwrap_or_default())?;
    let truncated = || "file is truncated: it ends before its first entry".to_owned();
    let extents = lines.told()?.ok_or_else(truncated)?;
    let wrong =
        |line: u64, what: &str, found: &str| format!("line {line}: {what} expected, found {:?}", shortened(found));
    let counts: Vec<Option<u64>> = extents.split_whitespace().map(|word| word.parse().ok()).collect();
    let [Some(rows), Some(columns), Some(promised)] = counts[..] else {
        return Err(wrong(lines.number, "the numbers of rows, columns and entries", &extents));
    };
    check_room(promised, 0, request)?;
    let extents = check_shape(rows, columns, promised)?;
    let mut entries = Vec::new();
    let mut found = 0_u64;
    while let Some(text) = lines.told()? {
        let (line, mut words) = (lines.number, text.split_ascii_whitespace());
        let mut place = |extent: u64| {
            let place = words.next().and_then(|word| word.parse().ok());
            place.filter(|place| (1..=extent).contains(place))
        };
        let (Some(row), Some(column)) = (place(rows), place(columns)) else {
            return Err(wrong(line, &format!("a row from 1 to {rows} and a column from 1 to {columns}"), &text));
        };
        let value = if has_values { words.next().and_then(|word| word.parse::<f64>().ok()) } else { Some(1.0) };
        let (Some(value), None) = (value, words.next()) else {
            let what = if has_values { "row, column and value" } else { "row and column" };
            return Err(wrong(line, what, &text));
        };
        found += 1;
        if found > promised {
            return Err(format!("line {line} is an entry more than the {promised} that the file promises"));
        }
        // What has no value is a choice, whatever a value would have to be.
        let weight = if has_values { weight(value, request) } else { Ok(Some(1.0)) };
        let weight = weight.map_err(|what| format!("line {line}: {what}"))?;
        entries.extend(weight.map(|weight| ((row - 1) as u32, (column - 1) as u32, weight)));
    }
    if found < promised {
        return Err(format!("file is truncated: it promises {promised} entries and has {found}"));
    }
    let [rows, columns] = extents;
    Ok(Interactions { rows, entries, users: None, items: numbered(columns), notes: vec![] })
}

/// Whether entries have values, by the first line.
fn kind(line: &str) -> Decoded<bool> {
    let words: Vec<String> = line.split_whitespace().map(str::to_ascii_lowercase).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["%%matrixmarket", "matrix", "coordinate", "pattern", "general"] => Ok(false),
        ["%%matrixmarket", "matrix", "coordinate", "integer" | "real" | "double" | "unsigned-integer", "general"] => {
            Ok(true)
        }
        ["%%matrixmarket", "matrix", "array", ..] => {
            Err("this is a matrix with all its zeros: numpy.save(\"x.npy\", scipy.io.mmread(PATH))".into())
        }
        ["%%matrixmarket", "matrix", "coordinate", _, symmetry] if symmetry != "general" => Err(format!(
            "the matrix is {}, and one of users and items is general: scipy.io.mmwrite(PATH, matrix, symmetry=\"general\")",
            shortened(symmetry)
        )),
        _ => Err(format!(
            "`{}` is not read: a matrix of users and items begins with `%%MatrixMarket matrix coordinate integer general` \
             (or real, or pattern)",
            shortened(line)
        )),
    }
}

/// The beginning of a text, for messages.
fn shortened(text: &str) -> String {
    text.chars().take(60).collect()
}
