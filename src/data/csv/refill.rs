//! A table as it was written, with other cells in the place of those that are missing.

use std::path::Path;

use ::csv::{ByteRecord, QuoteStyle, Writer, WriterBuilder};

use super::marks::Marks;
use super::rows::{Rows, for_each_row};
use super::{Decoded, header};
use crate::config::DataConfig;
use crate::error::{Error, Result};

/// The new cell of a row, counted from 0 below the header, and of a column; nothing where the cell stays.
pub type Cells<'a> = &'a dyn Fn(usize, &str) -> Option<String>;

/// The bytes of the table with the cells that `cells` has, once for each copy. Of several copies a column in front, `numbered`,
/// has the number of each from 1 up. All other cells have the text that they had, and numbers a decimal comma where those of
/// their column do.
///
/// # Errors
/// [`Error::Data`] where the table cannot be read.
pub fn refill(path: &Path, config: &DataConfig, numbered: &str, copies: &[Cells]) -> Result<Vec<u8>> {
    let complain = |what: String| Error::Data(format!("{}: {what}", path.display()));
    let (names, dialect) = header(path).map_err(complain)?;
    dialect.check_text(&names).map_err(complain)?;
    if copies.len() > 1 && names.iter().any(|name| name == numbered) {
        return Err(complain(format!(
            "a column is called `{numbered}`, as the one that would number the copies: rename it"
        )));
    }
    let commas = commas(path, &names, &Marks::new(config, &dialect))?;
    let mut builder = WriterBuilder::new();
    builder.delimiter(dialect.delimiter).quote_style(QuoteStyle::Necessary);
    let mut writer = builder.from_writer(Vec::new());
    for (copy, &cells) in (1..).zip(copies) {
        let number = (copies.len() > 1).then_some(copy);
        let of = Copy { number, names: &names, commas: &commas, cells, numbered };
        of.write(path, &mut writer).map_err(complain)?;
    }
    writer.into_inner().map_err(|error| complain(error.to_string()))
}

/// Whether the numbers of each column have decimal commas.
pub(super) fn commas(path: &Path, names: &[String], marks: &Marks) -> Result<Vec<bool>> {
    let mut commas = vec![marks.are_commas(); names.len()];
    for_each_row(path, names.len(), |_, fields| {
        commas.iter_mut().zip(fields).for_each(|(comma, field)| *comma |= marks.has_comma(field));
        Ok(())
    })?;
    Ok(commas)
}

struct Copy<'a> {
    /// None where there is one copy only.
    number: Option<usize>,
    names: &'a [String],
    commas: &'a [bool],
    cells: Cells<'a>,
    numbered: &'a str,
}

impl Copy<'_> {
    /// Adds the rows; the header comes before those of the first copy.
    fn write(&self, path: &Path, writer: &mut Writer<Vec<u8>>) -> Decoded<()> {
        let (mut rows, mut record) = (Rows::open(path)?, ByteRecord::new());
        let mut row = 0;
        let mut first = true;
        while rows.next(&mut record)? {
            let mut written = ByteRecord::new();
            match self.number {
                Some(_) if first => written.push_field(self.numbered.as_bytes()),
                Some(number) => written.push_field(number.to_string().as_bytes()),
                None => {}
            }
            for (at, field) in record.iter().enumerate() {
                let cell = if first { None } else { self.names.get(at).and_then(|name| (self.cells)(row, name)) };
                match cell {
                    // A level has the text that it has.
                    Some(cell) if self.commas[at] && cell.parse::<f64>().is_ok() => {
                        written.push_field(cell.replace('.', ",").as_bytes());
                    }
                    Some(cell) => written.push_field(cell.as_bytes()),
                    None => written.push_field(field),
                }
            }
            if !first || self.number.is_none_or(|number| number == 1) {
                writer.write_byte_record(&written).map_err(|error| error.to_string())?;
            }
            row += usize::from(!first);
            first = false;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_that_stay_have_their_text_and_numbers_the_comma_of_their_column() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        let refilled = |text: &str, cells: &[Cells]| {
            std::fs::write(&path, text).unwrap();
            String::from_utf8(refill(&path, &DataConfig::default(), "copy", cells).unwrap()).unwrap()
        };
        let nothing: Cells = &|_, _| None;
        let whole = "a,\"b, c\",d\n 1.50,x,\"say \"\"it\"\"\"\n,007,1e3\n";
        assert_eq!(refilled(whole, &[nothing]), whole);
        let some: Cells = &|row, name| (row == 1 && name == "a").then(|| "2.5".to_owned());
        assert_eq!(refilled("a;b\n1,5;x\n;y\n", &[some]), "a;b\n1,5;x\n2,5;y\n");
        let other: Cells = &|row, name| (row == 1 && name == "a").then(|| "3, 4".to_owned());
        let twice = "copy,a,b\n1,1,x\n1,2.5,\n2,1,x\n2,\"3, 4\",\n";
        assert_eq!(refilled("a,b\n1,x\n,\n", &[some, other]), twice);
    }
}
