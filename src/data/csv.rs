//! CSV with a header: columns whose types are inferred, or stated under `data.columns`.
//!
//! A file is gone through twice, once to see what the columns hold and once to read them, so that only numbers are ever
//! held in memory. Fields are separated by commas; where the header has none, by tabs or semicolons, and in a `.tsv` by
//! tabs. Quoted fields may hold separators and line breaks.

mod infer;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use ::csv::{ByteRecord, Reader, ReaderBuilder};

use super::array::{self, Array, Elements};
use super::table::{Column, Encoding, Frame, Kind};
use super::{Dataset, Labels, Request, places};
use crate::config::{ColumnType, MAX_WIDTH, nearest};
use crate::error::{Error, Result};
use infer::Seen;

/// The longest first line in which a separator is looked for.
const MOST_SNIFFED: u64 = 1 << 20;

/// Cells that say that a value is missing, in capitals; so does an empty one.
const MISSING: [&str; 7] = ["", "NA", "N/A", "#N/A", "<NA>", "NAN", "NULL"];

/// What can be wrong inside a file, as the text after its name.
type Decoded<T> = std::result::Result<T, String>;

/// Opens a table as a data set: each row is an example.
///
/// # Errors
/// [`Error::Data`] in one line that begins with the path and gives the line, [`Error::Usage`] where the configuration
/// names columns that are not there, or validation would leave nothing to train on.
pub fn dataset(path: &Path, request: &Request) -> Result<Dataset> {
    let name = path.display().to_string();
    let complain = |what: String| Error::Data(format!("{name}: {what}"));
    let header = header(path).map_err(complain)?;
    let mut notes = Vec::new();
    let label = label_column(&name, &header, request, &mut notes)?;
    let known = request.known.and_then(|known| known.encoding);
    let (columns, picked) = if let Some(encoding) = known {
        known_columns(encoding, &header).map_err(complain)?
    } else {
        let types = stated(&name, &header, request)?;
        let seen = scan(path, &header).map_err(complain)?;
        infer::columns(&header, &seen, &types, label, &mut notes).map_err(complain)?
    };
    let width: usize = columns.iter().map(|column| column.kind.width()).sum();
    if width > MAX_WIDTH {
        return Err(complain(format!("its columns take {width} places in a row, allowed are {MAX_WIDTH}")));
    }
    let (frame, labels) = cells(path, columns, &picked, label).map_err(complain)?;
    let rows = frame.cells.len() / frame.columns.len().max(1);
    let (order, test) = places(rows, None, request.config);
    let training = (rows - test).saturating_sub(request.validation(rows - test));
    let encoding = known.cloned().unwrap_or_else(|| Encoding::fit(&frame, &order[..training], request.scale(true)));
    let labels = labels.map(|labels| labels.reordered(&order, request.classes()));
    let data = frame.dataset(&name, encoding, order, test, labels, request)?;
    Ok(Dataset { notes, ..data })
}

/// The names of the columns. One without a name is called after its place.
fn header(path: &Path) -> Decoded<Vec<String>> {
    let mut reader = reader(path)?;
    let mut record = ByteRecord::new();
    if !reader.read_byte_record(&mut record).map_err(|error| error.to_string())? {
        return Err("the file is empty; a table begins with a line of column names".into());
    }
    let mut names = Vec::new();
    for (field, number) in record.iter().zip(1..) {
        let name = text(field, 1)?;
        names.push(if name.is_empty() { format!("column {number}") } else { name.to_owned() });
    }
    if names.iter().all(|name| name.parse::<f64>().is_ok()) {
        return Err("the first line has only numbers; a table begins with a line of column names".into());
    }
    let mut known = HashSet::new();
    match names.iter().find(|name| !known.insert(name.as_str())) {
        Some(twice) => Err(format!("two columns are called `{twice}`; give each a name of its own")),
        None => Ok(names),
    }
}

/// The place of the column that holds the labels, where there is one.
fn label_column(name: &str, header: &[String], request: &Request, notes: &mut Vec<String>) -> Result<Option<usize>> {
    let asked = request.config.labels.as_str();
    if matches!(asked, "" | "none") {
        return Ok(None);
    }
    let place = header.iter().position(|column| column == asked);
    if place.is_none() && request.known.is_some() {
        notes.push(format!("there is no column `{asked}`, so there are no labels"));
    } else if place.is_none() {
        return Err(Error::Usage(format!("data.labels = {asked}: {}", no_column(name, header, asked))));
    }
    Ok(place)
}

/// The types that the configuration states, by column.
fn stated(name: &str, header: &[String], request: &Request) -> Result<Vec<Option<ColumnType>>> {
    let columns = &request.config.columns;
    if let Some(missing) = columns.keys().find(|column| *column != "*" && !header.contains(column)) {
        return Err(Error::Usage(format!("data.columns.{missing}: {}", no_column(name, header, missing))));
    }
    Ok(header.iter().map(|column| columns.get(column).or_else(|| columns.get("*")).copied()).collect())
}

/// What to say about a column that is not there.
fn no_column(name: &str, header: &[String], asked: &str) -> String {
    let hint = nearest(asked, header.iter().map(String::as_str)).map(|near| format!(" (did you mean `{near}`?)"));
    let shown: Vec<&str> = header.iter().take(12).map(String::as_str).collect();
    let rest = if header.len() > 12 { ", …" } else { "" };
    format!("{name} has no column of this name{}; it has {}{rest}", hint.unwrap_or_default(), shown.join(", "))
}

/// The columns that a trained model takes, and their places in this file. What else the file has does not matter.
fn known_columns(encoding: &Encoding, header: &[String]) -> Decoded<(Vec<Column>, Vec<usize>)> {
    let place = |column: &Column| {
        let found = header.iter().position(|name| *name == column.name);
        found.ok_or_else(|| format!("the column `{}`, which the model was trained on, is missing", column.name))
    };
    let picked = encoding.columns.iter().map(place).collect::<Decoded<Vec<usize>>>()?;
    Ok((encoding.columns.clone(), picked))
}

/// Goes through the file to see what its columns hold.
fn scan(path: &Path, header: &[String]) -> Decoded<Vec<Seen>> {
    let mut seen = vec![Seen::default(); header.len()];
    for_each_row(path, header.len(), |line, fields| {
        for (seen, field) in seen.iter_mut().zip(fields) {
            seen.add(line, field);
        }
        Ok(())
    })?;
    Ok(seen)
}

/// Reads the columns that are picked, and the labels.
fn cells(
    path: &Path,
    columns: Vec<Column>,
    picked: &[usize],
    label: Option<usize>,
) -> Decoded<(Frame, Option<Labels>)> {
    let levels: Vec<HashMap<&str, usize>> = columns
        .iter()
        .map(|column| column.kind.levels().iter().enumerate().map(|(at, level)| (level.as_str(), at)).collect())
        .collect();
    let (mut cells, mut labels) = (Vec::new(), Vec::new());
    for_each_row(path, header(path)?.len(), |line, fields| {
        for ((column, levels), &place) in columns.iter().zip(&levels).zip(picked) {
            let cell = cell(&column.kind, levels, fields[place]);
            cells.push(cell.map_err(|what| format!("line {line}, column `{}`: {what}", column.name))?);
        }
        if let Some(place) = label {
            if missing(fields[place]) {
                return Err(format!("line {line}: the label is missing"));
            }
            labels.push(fields[place].to_owned());
        }
        Ok(())
    })?;
    if picked.is_empty() {
        return Err("there is no column to learn from".into());
    }
    let labels = label.map(|_| classes(&labels)).transpose()?;
    Ok((Frame { columns, cells: Elements::F64(cells) }, labels))
}

/// A cell as a number: a level is its index, what is missing is NaN.
fn cell(kind: &Kind, levels: &HashMap<&str, usize>, field: &str) -> Decoded<f64> {
    if missing(field) {
        return Ok(f64::NAN);
    }
    let number = || field.parse::<f64>().map_err(|_| format!("`{field}` is no number"));
    match kind {
        Kind::Numeric { .. } => number(),
        Kind::Count => match number()? {
            count if count >= 0.0 && count.fract() == 0.0 => Ok(count),
            _ => Err(format!("`{field}` is no count, which is a whole number from 0 up")),
        },
        Kind::Binary { .. } | Kind::Category { .. } => levels.get(field).map(|&level| level as f64).ok_or_else(|| {
            let known: Vec<&str> = kind.levels().iter().take(8).map(String::as_str).collect();
            let rest = if kind.levels().len() > 8 { ", …" } else { "" };
            format!("`{field}` is none of the values that the model knows: {}{rest}", known.join(", "))
        }),
        Kind::Text { .. } => Ok(f64::NAN),
    }
}

/// The classes that texts stand for: whole numbers as they are, others in alphabetical order.
fn classes(labels: &[String]) -> Decoded<Labels> {
    let numbers: Option<Vec<f64>> = labels.iter().map(|label| label.parse().ok()).collect();
    if let Some(numbers) = numbers {
        let array = Array { dims: vec![numbers.len()], elements: Elements::F64(numbers) };
        return array::labels(&array, labels.len()).map_err(|what| format!("the labels: {what}"));
    }
    let mut names = labels.to_vec();
    names.sort();
    names.dedup();
    if names.len() > infer::MOST_LEVELS {
        return Err(format!("the labels have {} different values, which are too many for classes", names.len()));
    }
    let class = |label: &String| names.partition_point(|name| name < label) as u32;
    Ok(Labels { of: labels.iter().map(class).collect(), names: Some(names) })
}

/// Whether a cell says that its value is missing.
fn missing(field: &str) -> bool {
    field.len() <= 4 && MISSING.contains(&field.to_ascii_uppercase().as_str())
}

/// Hands over every row below the header: its line, and its fields without the spaces around them.
fn for_each_row(path: &Path, width: usize, mut row: impl FnMut(u64, &[&str]) -> Decoded<()>) -> Decoded<()> {
    let mut reader = reader(path)?;
    let mut record = ByteRecord::new();
    let mut next = |record: &mut ByteRecord| reader.read_byte_record(record).map_err(|error| error.to_string());
    next(&mut record)?;
    let mut empty = true;
    while next(&mut record)? {
        let line = record.position().map_or(0, ::csv::Position::line);
        if record.len() != width {
            return Err(format!("line {line} has {} fields, and the header has {width}", record.len()));
        }
        let fields = record.iter().map(|field| text(field, line)).collect::<Decoded<Vec<&str>>>()?;
        row(line, &fields)?;
        empty = false;
    }
    if empty { Err("there are no rows below the header".into()) } else { Ok(()) }
}

fn text(field: &[u8], line: u64) -> Decoded<&str> {
    let text = std::str::from_utf8(field).map_err(|_| format!("line {line} is no UTF-8 text"))?;
    Ok(text.trim())
}

/// A reader at the start of the file, which hands over the header as the first row.
fn reader(path: &Path) -> Decoded<Reader<BufReader<File>>> {
    let open = || File::open(path).map_err(|error| format!("cannot be opened: {error}"));
    let mut first = Vec::new();
    let start = BufReader::new(open()?).take(MOST_SNIFFED).read_until(b'\n', &mut first);
    start.map_err(|error| format!("cannot be read: {error}"))?;
    let tabs = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("tsv"));
    let found = *b",\t;".iter().find(|mark| first.contains(mark)).unwrap_or(&b',');
    let delimiter = if tabs { b'\t' } else { found };
    let mut builder = ReaderBuilder::new();
    builder.has_headers(false).flexible(true).delimiter(delimiter);
    Ok(builder.from_reader(BufReader::with_capacity(1 << 16, open()?)))
}
