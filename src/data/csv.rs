//! CSV with a header: columns whose types are inferred, or stated under `data.columns`.
//!
//! A file is gone through twice, once to see what the columns hold and once to read them, so that only numbers are ever
//! held in memory, and where they are too many not even these. Fields are separated by commas; where the header has
//! none, by tabs or semicolons, and in a `.tsv` by tabs. Quoted fields may hold separators and line breaks.
//!
//! Parquet and Arrow files (feature `parquet`) come as the same rows of text, with what their columns were stored as.

mod column;
mod dialect;
mod extend;
mod infer;
mod levels;
mod marks;
mod pairs;
mod refill;
mod rows;
#[cfg(feature = "parquet")]
mod stored;
#[cfg(test)]
mod tests;
mod words;

use std::collections::HashSet;
use std::path::Path;

use ::csv::ByteRecord;

use super::cells::Growing;
use super::table::{Column, Encoding, Frame};
use super::{Dataset, Labels, ReadOptions, places};
use crate::config::{ColumnType, Domain, MAX_WIDTH, nearest};
use crate::error::{Error, Result};
pub use column::each_text;
use dialect::Dialect;
pub use extend::{Added, Said, columns, extend, texts};
use infer::Seen;
use levels::Strangers;
use marks::Marks;
pub use marks::hint;
pub use refill::{Cells, refill};
use rows::{Rows, for_each_row, text};
use words::Words;

/// What can be wrong inside a file, as the text after its name.
type Decoded<T> = std::result::Result<T, String>;

/// Opens a table as a data set: each row is an example.
///
/// # Errors
/// [`Error::Data`] in one line that begins with the path and gives the line, [`Error::Usage`] where the configuration
/// names columns that are not there, or validation would leave nothing to train on.
pub fn dataset(path: &Path, request: &ReadOptions) -> Result<Dataset> {
    let name = path.display().to_string();
    let complain = |what: String| Error::Data(format!("{name}: {what}"));
    let (header, dialect) = header(path).map_err(complain)?;
    if let Some(columns) = pairs::columns(&name, &header, request)? {
        return pairs::dataset(path, header.len(), &columns, request);
    }
    let marks = Marks::new(request.config, &dialect);
    let (mut notes, mut units) = (Vec::new(), None);
    let label = label_column(&name, &header, request, &mut notes)?;
    let known = request.known.and_then(|known| known.encoding);
    if let Some(place) = label {
        dialect.check(place, &header[place]).map_err(complain)?;
    }
    let (columns, picked) = if let Some(encoding) = known {
        let (columns, picked) = known_columns(encoding, &header).map_err(complain)?;
        picked.iter().try_for_each(|&place| dialect.check(place, &header[place])).map_err(complain)?;
        (columns, picked)
    } else {
        let types = stated(&name, &header, request)?;
        let seen = scan(path, &header, &dialect, &marks)?;
        let own = |name: &str| request.config.columns.contains_key(name);
        units = infer::units(&seen);
        notes.extend(units.clone());
        infer::columns(&header, &seen, &types, &own, label, &dialect, &mut notes).map_err(complain)?
    };
    let width: usize = columns.iter().map(|column| column.kind.width()).sum();
    if width > MAX_WIDTH {
        return Err(complain(format!("its columns take {width} places in a row, allowed are {MAX_WIDTH}")));
    }
    let (frame, labels) = cells(path, columns, &picked, label, &marks, request, &mut notes)?;
    let rows = frame.rows();
    let (order, test) = places(rows, None, request.config);
    let training = (rows - test).saturating_sub(request.validation(rows - test));
    let encoding = match known {
        Some(encoding) => encoding.clone(),
        None => Encoding::fit(&frame, &order[..training], request.scale(true))?,
    };
    let labels = labels.map(|labels| labels.reordered(&order, request.classes()));
    let data = frame.dataset(&name, encoding, order, test, labels, request).map_err(|error| match (error, units) {
        (Error::Data(why), Some(units)) => Error::Data(format!("{why}; {units}")),
        (error, _) => error,
    })?;
    Ok(Dataset { notes, ..data })
}

/// The first cell of every line of a table, and that of the column of this name; nothing where there is no such column.
///
/// # Errors
/// [`Error::Data`] in one line that begins with the path and gives the line.
pub fn table_of(path: &Path, column: &str) -> Result<Option<Vec<(String, String)>>> {
    let (header, _) = header(path).map_err(|what| Error::Data(format!("{}: {what}", path.display())))?;
    let Some(place) = header.iter().position(|name| name == column) else { return Ok(None) };
    let mut all = Vec::new();
    for_each_row(path, header.len(), |_, fields| {
        all.push((fields[0].to_owned(), fields[place].to_owned()));
        Ok(())
    })?;
    Ok(Some(all))
}

/// The names of the columns, and how their cells are written. One without a name is called after its place.
fn header(path: &Path) -> Decoded<(Vec<String>, Dialect)> {
    let mut record = ByteRecord::new();
    let mut rows = Rows::open(path)?;
    if !rows.next(&mut record)? {
        return Err("the file is empty; a table begins with a line of column names".into());
    }
    let mut names = Vec::new();
    for (field, number) in record.iter().zip(1..) {
        let name = text(field, rows.line(&record))?;
        names.push(if name.is_empty() { format!("column {number}") } else { name.to_owned() });
    }
    let dialect = rows.dialect();
    if dialect.stored.is_none() && names.iter().all(|name| name.parse::<f64>().is_ok()) {
        return Err("the first line has only numbers; a table begins with a line of column names".into());
    }
    let mut known = HashSet::new();
    match names.iter().find(|name| !known.insert(name.as_str())) {
        Some(twice) => Err(format!("two columns are called `{twice}`; give each a name of its own")),
        None => Ok((names, dialect)),
    }
}

/// The place of the column that holds the labels, where there is one.
fn label_column(
    name: &str,
    header: &[String],
    request: &ReadOptions,
    notes: &mut Vec<String>,
) -> Result<Option<usize>> {
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

/// The types that the configuration states, by its likelihood or by column.
fn stated(name: &str, header: &[String], request: &ReadOptions) -> Result<Vec<Option<ColumnType>>> {
    let columns = &request.config.columns;
    if let Some(missing) = columns.keys().find(|column| *column != "*" && !header.contains(column)) {
        return Err(Error::Usage(format!("data.columns.{missing}: {}", no_column(name, header, missing))));
    }
    // Where every value is one of a few categories, a column is that unless something else is said of it.
    let unsaid = (request.takes.domain == Domain::Categories).then_some(ColumnType::Category);
    let stated = |column: &String| columns.get(column).or_else(|| columns.get("*")).copied().or(unsaid);
    Ok(header.iter().map(stated).collect())
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
fn scan(path: &Path, header: &[String], dialect: &Dialect, marks: &Marks) -> Result<Vec<Seen>> {
    let mut seen: Vec<Seen> = (0..header.len()).map(|place| Seen::new(dialect.stored(place))).collect();
    for_each_row(path, header.len(), |line, fields| {
        for (seen, field) in seen.iter_mut().zip(fields) {
            seen.add(line, field, marks);
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
    marks: &Marks,
    request: &ReadOptions,
    notes: &mut Vec<String>,
) -> Result<(Frame, Option<Labels>)> {
    let name = path.display().to_string();
    let complain = |what: String| Error::Data(format!("{name}: {what}"));
    if picked.is_empty() {
        return Err(complain("there is no column to learn from".into()));
    }
    let readers: Vec<levels::Reader> = columns.iter().map(|column| levels::Reader::new(&column.kind, marks)).collect();
    let mut cells = Growing::new(&name, columns.len(), 8 * columns.len(), request.memory());
    let mut labels = Words::default();
    let mut strangers = Strangers::default();
    let width = header(path).map_err(complain)?.0.len();
    for_each_row(path, width, |line, fields| {
        for (at, ((column, reader), &place)) in columns.iter().zip(&readers).zip(picked).enumerate() {
            let field = fields[place];
            let cell = reader.cell(field);
            let cell = cell.map_err(|what| {
                let way_out = if request.known.is_some() { levels::way_out(field) } else { String::new() };
                complain(format!("{line}, column `{}`: {what}{way_out}", column.name))
            })?;
            // None is a word that the model does not know.
            cells.push(cell.unwrap_or_else(|| strangers.add(at, field, line, request.config.unknown)));
        }
        if let Some(place) = label {
            let added = labels.add(fields[place], marks.missing(fields[place]), request.holes);
            added.map_err(|what| complain(format!("{line}: {what}")))?;
        }
        cells.end_row()
    })?;
    notes.extend(strangers.judged(&columns, request.config.unknown).map_err(complain)?);
    let labels = label.map(|_| labels.classes()).transpose().map_err(complain)?;
    Ok((Frame { cells: cells.finish()?, columns }, labels))
}
