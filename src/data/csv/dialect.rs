//! How the cells of a table are written, and what a file says of its columns beside their names.

use std::fmt;

use super::Decoded;

/// How the cells of a table are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialect {
    /// What separates fields.
    pub delimiter: u8,
    /// What each column was stored as, where the file has types: Parquet and Arrow.
    pub stored: Option<Vec<Stored>>,
}

/// What a column was stored as.
#[cfg_attr(not(feature = "parquet"), expect(dead_code, reason = "text has no types"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stored {
    /// Text that may be anything: the column is what its cells are.
    #[default]
    Cells,
    /// Whole numbers.
    Whole,
    /// Other numbers.
    Numbers,
    /// Words, even where all of them are written with digits.
    Words,
    /// Words that are said to be categories.
    Category,
    /// Numbers that are said to be categories.
    Codes,
    /// Dates and times, called so, which have a text and no distribution.
    Times(&'static str),
    /// What has no text that a table could have, called so.
    Nested(&'static str),
}

impl Dialect {
    /// Text whose fields are separated by this.
    pub fn text(delimiter: u8) -> Self {
        Self { delimiter, stored: None }
    }

    /// What a column was stored as.
    pub fn stored(&self, place: usize) -> Stored {
        self.stored.as_ref().and_then(|stored| stored.get(place)).copied().unwrap_or_default()
    }

    /// Tells whether a column is one that a model, or its labels, can be made of.
    ///
    /// # Errors
    /// What it holds instead, and what to do.
    pub fn check(&self, place: usize, name: &str) -> Decoded<()> {
        match self.stored(place) {
            Stored::Times(what) => Err(format!(
                "column `{name}` holds {what}, which no distribution fits: make numbers of them, such as days, or leave it out \
                 with `--set 'data.columns.{name}=ignore'`"
            )),
            Stored::Nested(what) => Err(format!(
                "column `{name}` holds {what}, which are no cell of a table: give each of their parts a column, or leave it out \
                 with `--set 'data.columns.{name}=ignore'`"
            )),
            _ => Ok(()),
        }
    }

    /// Tells whether all columns can be written as text.
    ///
    /// # Errors
    /// The first that cannot.
    pub fn check_text(&self, names: &[String]) -> Decoded<()> {
        for (place, name) in names.iter().enumerate() {
            if let Stored::Nested(what) = self.stored(place) {
                return Err(format!(
                    "column `{name}` holds {what}, which a table in text has no cells for: take it out of the file"
                ));
            }
        }
        Ok(())
    }
}

/// Where a row stands, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Line {
    /// A line of text, from 1.
    Text(u64),
    /// A row, from 1, of a file that has no lines.
    #[cfg_attr(not(feature = "parquet"), expect(dead_code, reason = "text has lines"))]
    Row(u64),
}

impl Line {
    /// Its number.
    pub fn number(self) -> u64 {
        let (Self::Text(number) | Self::Row(number)) = self;
        number
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Text(number) => write!(f, "line {number}"),
            Self::Row(number) => write!(f, "row {number}"),
        }
    }
}
