//! The rows of a file, one at a time.

use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::path::Path;
use std::rc::Rc;

use ::csv::{ByteRecord, Reader, ReaderBuilder};

use super::Decoded;
use super::dialect::{Dialect, Line};
#[cfg(feature = "parquet")]
use super::stored;
use crate::data::packed;
use crate::error::{Error, Result};

/// The longest first line in which a separator is looked for.
const MAX_SNIFFED: u64 = 1 << 20;

/// The longest row.
const MAX_ROW: u64 = 1 << 26;

/// Hands over every row below the header: where it stands, and its fields without the spaces around them.
///
/// # Errors
/// [`Error::Data`] that names file and line, and what `row` says.
pub fn for_each_row(path: &Path, width: usize, mut row: impl FnMut(Line, &[&str]) -> Result<()>) -> Result<()> {
    let complain = |what: String| Error::Data(format!("{}: {what}", path.display()));
    let mut rows = Rows::open(path).map_err(complain)?;
    let mut record = ByteRecord::new();
    rows.next(&mut record).map_err(complain)?;
    let mut empty = true;
    while rows.next(&mut record).map_err(complain)? {
        let line = rows.line(&record);
        if record.len() != width {
            return Err(complain(format!("{line} has {} fields, and the header has {width}", record.len())));
        }
        let fields = record.iter().map(|field| text(field, line)).collect::<Decoded<Vec<&str>>>().map_err(complain)?;
        row(line, &fields)?;
        empty = false;
    }
    if empty { Err(complain("there are no rows below the header".into())) } else { Ok(()) }
}

/// A field as text, without the spaces around it.
pub fn text(field: &[u8], line: Line) -> Decoded<&str> {
    let text = std::str::from_utf8(field).map_err(|_| format!("{line} is no UTF-8 text: save the file as UTF-8"))?;
    Ok(text.trim())
}

/// The rows of a file, the header first.
pub enum Rows {
    /// Of text.
    Text(Text),
    /// Of a file that says what its columns hold.
    #[cfg(feature = "parquet")]
    Stored(stored::Rows),
}

/// The rows of text.
pub struct Text {
    /// What separates fields.
    delimiter: u8,
    reader: Reader<Bounded>,
    /// Bytes that may be read before the row must end.
    left: Rc<Cell<u64>>,
    /// Lines before the header.
    before: u64,
}

/// The separator that the first line names and does nothing else, as spreadsheets write it: `sep=;`.
fn stated(first: &[u8]) -> Option<u8> {
    let line = first.strip_prefix(b"\xef\xbb\xbf").unwrap_or(first).trim_ascii_end();
    let quoted = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")).unwrap_or(line);
    match quoted.strip_prefix(b"sep=") {
        Some([mark]) => Some(*mark),
        // A tab at the end of a line looks like a space.
        Some([]) if first.contains(&b'\t') => Some(b'\t'),
        _ => None,
    }
}

impl Rows {
    /// Opens a file at its start.
    pub fn open(path: &Path) -> Decoded<Self> {
        #[cfg(feature = "parquet")]
        if let Some(rows) = stored::Rows::open(path)? {
            return Ok(Self::Stored(rows));
        }
        Text::open(path).map(Self::Text)
    }

    /// Reads a row; false where there is none any more.
    pub fn next(&mut self, record: &mut ByteRecord) -> Decoded<bool> {
        match self {
            Self::Text(rows) => rows.next(record),
            #[cfg(feature = "parquet")]
            Self::Stored(rows) => rows.next(record),
        }
    }

    /// Where the row stands that was read last.
    pub fn line(&self, record: &ByteRecord) -> Line {
        match self {
            Self::Text(rows) => Line::Text(rows.before + record.position().map_or(0, ::csv::Position::line)),
            #[cfg(feature = "parquet")]
            Self::Stored(rows) => Line::Row(rows.count()),
        }
    }

    /// How cells are written.
    pub fn dialect(&self) -> Dialect {
        match self {
            Self::Text(rows) => Dialect::text(rows.delimiter),
            #[cfg(feature = "parquet")]
            Self::Stored(rows) => Dialect { delimiter: b',', stored: Some(rows.stored.clone()) },
        }
    }
}

impl Text {
    fn open(path: &Path) -> Decoded<Self> {
        let mut first = Vec::new();
        let start = packed::open(path)?.take(MAX_SNIFFED).read_until(b'\n', &mut first);
        start.map_err(|error| format!("cannot be read: {error}"))?;
        let tabs = packed::plain(path).extension().is_some_and(|end| end.eq_ignore_ascii_case("tsv"));
        let found = *b",\t;".iter().find(|mark| first.contains(mark)).unwrap_or(&b',');
        let stated = stated(&first);
        let delimiter = stated.unwrap_or(if tabs { b'\t' } else { found });
        let left = Rc::new(Cell::new(MAX_ROW));
        let mut file = packed::open(path)?;
        if stated.is_some() {
            let skipped = file.by_ref().take(MAX_SNIFFED).read_until(b'\n', &mut vec![]);
            skipped.map_err(|error| format!("cannot be read: {error}"))?;
        }
        let file = Bounded { file, left: left.clone() };
        let mut builder = ReaderBuilder::new();
        builder.has_headers(false).flexible(true).delimiter(delimiter);
        Ok(Self { delimiter, reader: builder.from_reader(file), left, before: stated.is_some().into() })
    }

    fn next(&mut self, record: &mut ByteRecord) -> Decoded<bool> {
        self.left.set(MAX_ROW);
        let line = self.before + self.reader.position().line();
        self.reader.read_byte_record(record).map_err(|error| {
            if self.left.get() > 0 {
                return error.to_string();
            }
            format!(
                "the row that begins in line {line} is longer than {} MiB; look for a quotation mark that is not closed",
                MAX_ROW >> 20
            )
        })
    }
}

/// A file that ends with an error where a row has no end: a quotation mark that is not closed must not bring all that
/// follows into memory.
struct Bounded {
    file: Box<dyn BufRead>,
    left: Rc<Cell<u64>>,
}

impl Read for Bounded {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 {
            return Err(io::Error::other("the row is too long"));
        }
        let most = bytes.len().min(left as usize);
        let read = self.file.read(&mut bytes[..most])?;
        self.left.set(left - read as u64);
        Ok(read)
    }
}
