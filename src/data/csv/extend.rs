//! A table as it was written, with new rows below and a column that tells them apart.

use std::collections::HashMap;
use std::path::Path;

use ::csv::{ByteRecord, QuoteStyle, WriterBuilder};

use super::marks::Marks;
use super::refill::commas;
use super::rows::{Rows, for_each_row};
use super::{header, no_column};
use crate::config::DataConfig;
use crate::error::{Error, Result};

/// What is added to a table.
#[derive(Clone, Copy)]
pub struct Added<'a> {
    /// Whether a row of the table, counted from 0 below the header, is written.
    pub kept: &'a dyn Fn(usize) -> bool,
    /// The name of the column behind all others, which has 0 in rows of the table and 1 in new ones.
    pub mark: &'a str,
    /// How many rows are new.
    pub count: usize,
    /// The columns that a new row has cells of; all others are empty.
    pub columns: &'a [&'a str],
    /// The cells of a new row, one for each of these columns.
    pub cells: &'a dyn Fn(usize) -> Vec<String>,
}

/// The bytes of the table. Rows that are kept have the text that they had, and new numbers a decimal comma where those of their
/// column do.
///
/// # Errors
/// [`Error::Data`] where the table cannot be read, or has a column that is called as the new one is.
pub fn extend(path: &Path, config: &DataConfig, added: Added) -> Result<Vec<u8>> {
    let complain = |what: String| Error::Data(format!("{}: {what}", path.display()));
    let (names, dialect) = header(path).map_err(complain)?;
    dialect.check_text(&names).map_err(complain)?;
    if names.iter().any(|name| name == added.mark) {
        let mark = added.mark;
        return Err(complain(format!("a column is called `{mark}`, as the one that marks new rows: rename it")));
    }
    let commas = commas(path, &names, &Marks::new(config, &dialect))?;
    let mut builder = WriterBuilder::new();
    builder.delimiter(dialect.delimiter).quote_style(QuoteStyle::Necessary);
    let mut writer = builder.from_writer(Vec::new());
    let mut write = |record: &ByteRecord| writer.write_byte_record(record).map_err(|error| complain(error.to_string()));
    let (mut rows, mut record) = (Rows::open(path).map_err(complain)?, ByteRecord::new());
    // The header comes first.
    let mut row = None;
    while rows.next(&mut record).map_err(complain)? {
        if row.is_none_or(added.kept) {
            record.push_field(if row.is_none() { added.mark.as_bytes() } else { b"0" });
            write(&record)?;
        }
        row = Some(row.map_or(0, |row| row + 1));
    }
    let places: HashMap<&str, usize> = added.columns.iter().copied().zip(0..).collect();
    for new in 0..added.count {
        let cells = (added.cells)(new);
        let mut record = ByteRecord::new();
        for (name, &comma) in names.iter().zip(&commas) {
            match places.get(name.as_str()).and_then(|&at| cells.get(at)) {
                Some(cell) if comma && cell.parse::<f64>().is_ok() => {
                    record.push_field(cell.replace('.', ",").as_bytes());
                }
                Some(cell) => record.push_field(cell.as_bytes()),
                None => record.push_field(b""),
            }
        }
        record.push_field(b"1");
        write(&record)?;
    }
    writer.into_inner().map_err(|error| complain(error.to_string()))
}

/// The texts that some rows of the table have in a column, in the order of `rows`.
///
/// # Errors
/// [`Error::Data`] where the table cannot be read, or has no such column or row.
pub fn texts(path: &Path, column: &str, rows: &[usize]) -> Result<Vec<String>> {
    let complain = |what: String| Error::Data(format!("{}: {what}", path.display()));
    let (names, _) = header(path).map_err(complain)?;
    let place = names.iter().position(|name| name == column);
    let place = place.ok_or_else(|| complain(format!("there is no column `{column}`")))?;
    let mut found: HashMap<usize, String> = rows.iter().map(|&row| (row, String::new())).collect();
    let mut row = 0;
    for_each_row(path, names.len(), |_, fields| {
        if let Some(text) = found.get_mut(&row) {
            fields[place].clone_into(text);
        }
        row += 1;
        Ok(())
    })?;
    Ok(rows.iter().map(|row| found[row].clone()).collect())
}

/// What a cell says, and the number that it is, if it is one; nothing where it is missing.
pub type Said = Option<(String, Option<f64>)>;

/// All cells of some columns of the table, column by column.
///
/// # Errors
/// [`Error::Usage`] for a column that there is not; [`Error::Data`] where the table cannot be read.
pub fn columns(path: &Path, config: &DataConfig, columns: &[String]) -> Result<Vec<Vec<Said>>> {
    let complain = |what: String| Error::Data(format!("{}: {what}", path.display()));
    let (names, dialect) = header(path).map_err(complain)?;
    let place = |column: &String| {
        let found = names.iter().position(|name| name == column);
        found.ok_or_else(|| {
            Error::Usage(format!("column `{column}`: {}", no_column(&path.display().to_string(), &names, column)))
        })
    };
    let places = columns.iter().map(place).collect::<Result<Vec<usize>>>()?;
    places.iter().try_for_each(|&place| dialect.check(place, &names[place])).map_err(complain)?;
    let marks = Marks::new(config, &dialect);
    let mut all = vec![Vec::new(); places.len()];
    for_each_row(path, names.len(), |_, fields| {
        for (column, &place) in all.iter_mut().zip(&places) {
            let field = fields[place];
            column.push((!marks.missing(field)).then(|| (field.to_owned(), marks.number(field))));
        }
        Ok(())
    })?;
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stay_as_they_are_and_new_ones_stand_below_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        std::fs::write(&path, "a;\"b; c\";d\n 1,50;x;\"say \"\"it\"\"\"\n2,5;y;\n3;x;z\n").unwrap();
        let cells = |at: usize| vec![["x", "y"][at].to_owned(), ["0.25", "7"][at].to_owned()];
        let added = Added { kept: &|row| row != 1, mark: "new", count: 2, columns: &["b; c", "a"], cells: &cells };
        let bytes = extend(&path, &DataConfig::default(), added).unwrap();
        let expected = "a;\"b; c\";d;new\n 1,50;x;\"say \"\"it\"\"\";0\n3;x;z;0\n0,25;x;;1\n7;y;;1\n";
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
        assert_eq!(texts(&path, "d", &[2, 0]).unwrap(), ["z", "say \"it\""]);
        let error = extend(&path, &DataConfig::default(), Added { mark: "d", ..added }).unwrap_err();
        assert!(error.to_string().contains("a column is called `d`"), "{error}");
        assert!(texts(&path, "e", &[0]).is_err());
        let found = columns(&path, &DataConfig::default(), &["d".into(), "a".into()]).unwrap();
        assert_eq!(found[0], [Some(("say \"it\"".into(), None)), None, Some(("z".into(), None))]);
        assert_eq!(found[1][0], Some(("1,50".into(), Some(1.5))));
        assert!(columns(&path, &DataConfig::default(), &["e".into()]).unwrap_err().exit_code() == 2);
    }
}
