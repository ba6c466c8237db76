//! Tables: rows of typed columns, how they become numbers that a model can learn from, and the way back.
//!
//! A column takes a span of the encoded row: one place for a number, for a count and for one of two values, as many
//! places as there are levels for a category. A missing value is NaN in every place of its span. What is fitted, the
//! shift and scale of numbers, is fitted on the training part alone and kept with the model.

mod encoding;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::cells::Cells;
use super::{Dataset, Format, Labels, ReadOptions, hex};
use crate::error::{Error, Result};
pub use encoding::Encoding;

/// The most categories of a value. Each takes a place in what the networks read and put out, so what has more is a number, or
/// a name for the row.
pub const MAX_LEVELS: usize = 4096;

/// A cell that stands for a word that the model does not know: all levels at once.
pub const STRANGER: f64 = -1.0;

/// What it is in the one place of a column of two words: neither of them.
pub const NEITHER: f32 = 0.5;

/// What a file held, before anything is fitted.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// The columns, in the order of the cells.
    pub columns: Vec<Column>,
    /// Rows × columns, row-major. A level is its index; NaN is a missing value.
    pub cells: Cells,
}

/// A column: its name, what it holds, and how that becomes numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// From the header of the table; for an array the index.
    pub name: String,
    /// What it holds.
    #[serde(flatten)]
    pub kind: ColumnKind,
}

/// What a column holds, and how that becomes numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ColumnKind {
    /// Measurements, encoded as (x − shift)/scale: one place.
    Numeric {
        /// What becomes 0.
        shift: f64,
        /// What is added to it to become 1.
        scale: f64,
    },
    /// One of two values, encoded as 0 and 1: one place.
    Binary {
        /// What 0 and 1 stand for.
        levels: [String; 2],
    },
    /// One of several values, encoded as a 1 among zeros: a place for each.
    Category {
        /// What each place stands for.
        levels: Vec<String>,
    },
    /// One of so many categories, which have numbers from 0 up and no names, encoded likewise.
    Numbered {
        /// How many there are.
        categories: usize,
    },
    /// Whole numbers from 0 up, as they are: one place.
    Count,
    /// Words of which too many are different to be levels: no place, and nothing that a model can learn.
    Text {
        /// How many different ones there are.
        distinct: usize,
        /// The first one that is no number.
        example: String,
    },
}

impl ColumnKind {
    /// Numbers as they are.
    pub const PLAIN: Self = Self::Numeric { shift: 0.0, scale: 1.0 };

    /// Places in the encoded row.
    pub fn width(&self) -> usize {
        match self {
            Self::Numeric { .. } | Self::Binary { .. } | Self::Count => 1,
            Self::Category { levels } => levels.len(),
            Self::Numbered { categories } => *categories,
            Self::Text { .. } => 0,
        }
    }

    /// The word for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Numeric { .. } => "numeric",
            Self::Binary { .. } => "binary",
            Self::Category { .. } | Self::Numbered { .. } => "category",
            Self::Count => "count",
            Self::Text { .. } => "text",
        }
    }

    /// What the indices of cells stand for; nothing where cells are numbers, or categories that are.
    pub fn levels(&self) -> &[String] {
        match self {
            Self::Binary { levels } => levels,
            Self::Category { levels } => levels,
            Self::Numeric { .. } | Self::Numbered { .. } | Self::Count | Self::Text { .. } => &[],
        }
    }
}

impl Frame {
    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.cells.rows(self.columns.len())
    }

    /// The data set of these rows in the order given, of which the last `test` are the test part.
    ///
    /// # Errors
    /// [`Error::Data`] where no column can be learnt, or cells cannot be read from their file; those of
    /// [`Dataset::new`].
    pub fn dataset(
        self,
        name: &str,
        encoding: Encoding,
        order: Vec<u32>,
        test: usize,
        labels: Option<Labels>,
        request: &ReadOptions,
    ) -> Result<Dataset> {
        let width = encoding.width();
        if width == 0 {
            return Err(Error::Data(format!("{name}: there is no column that a model could learn{}", self.words())));
        }
        let (hash, missing, decimals) = self.hash(&order, labels.as_ref(), test)?;
        let values = self.cells.encoded(&encoding, &order);
        let data = Dataset::parted(name, [1, 1, width], values, test, request.validation(order.len() - test))?;
        let data = Dataset { format: Format::Table, encoding: Some(encoding), missing, decimals, hash, ..data };
        Ok(data.with_labels(labels)?.with_rows(order))
    }

    /// The columns of words, each with one of them, and what they may mean.
    fn words(&self) -> String {
        let text = |column: &Column| match &column.kind {
            ColumnKind::Text { example, .. } => Some((column.name.clone(), example.clone())),
            _ => None,
        };
        let texts: Vec<(String, String)> = self.columns.iter().filter_map(text).collect();
        let shown: Vec<String> = texts.iter().take(6).map(|(name, word)| format!("`{name}` (`{word}`)")).collect();
        let rest = if texts.len() > shown.len() { ", …" } else { "" };
        let hint = texts.iter().find_map(|(_, word)| super::csv::hint(word));
        let hint = hint.map_or(String::new(), |hint| format!("; {hint}"));
        if shown.is_empty() { String::new() } else { format!(": words are in {}{rest}{hint}", shown.join(", ")) }
    }

    /// The identity of the rows before anything is fitted, so that it does not depend on what is set aside; and whether
    /// some value that could be learnt is missing, and how many digits behind the point its numbers have.
    fn hash(&self, order: &[u32], labels: Option<&Labels>, test: usize) -> Result<(String, bool, Vec<Option<u8>>)> {
        let mut sha = Sha256::new();
        let mut text = |text: &str| {
            sha.update((text.len() as u64).to_le_bytes());
            sha.update(text);
        };
        for Column { name, kind } in &self.columns {
            text(name);
            text(kind.name());
            kind.levels().iter().for_each(|level| text(level));
        }
        for size in [self.columns.len(), order.len(), test] {
            sha.update((size as u64).to_le_bytes());
        }
        let learnt: Vec<bool> = self.columns.iter().map(|column| column.kind.width() > 0).collect();
        let mut missing = false;
        let mut decimals: Vec<Option<u8>> =
            self.columns.iter().map(|column| matches!(column.kind, ColumnKind::Numeric { .. }).then_some(0)).collect();
        self.cells.visit(self.columns.len(), order, &mut |row| {
            for cell in row {
                sha.update(cell.to_le_bytes());
            }
            missing |= row.iter().zip(&learnt).any(|(cell, learnt)| *learnt && cell.is_nan());
            for (known, &cell) in decimals.iter_mut().zip(row).filter(|(_, cell)| cell.is_finite()) {
                *known = known.and_then(|from| (from..=MAX_DECIMALS).find(|&digits| ends_after(cell, digits)));
            }
        })?;
        for label in labels.map_or(&[][..], |labels| &labels.of) {
            sha.update(label.to_le_bytes());
        }
        if decimals.iter().all(Option::is_none) {
            decimals.clear();
        }
        Ok((hex(sha), missing, decimals))
    }
}

/// The most digits behind the point that are no measurement of any length.
const MAX_DECIMALS: u8 = 6;

/// Whether a number is the nearest to one of so many digits behind the point.
fn ends_after(number: f64, digits: u8) -> bool {
    let power = 10_f64.powi(digits.into());
    (number * power).round() / power == number
}
