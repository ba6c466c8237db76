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

use super::array::Elements;
use super::{Dataset, Format, Labels, Request, Values, hex};
use crate::error::{Error, Result};
pub use encoding::Encoding;

/// What a file held, before anything is fitted.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// The columns, in the order of the cells.
    pub columns: Vec<Column>,
    /// Rows × columns, row-major. A level is its index; NaN is a missing value.
    pub cells: Elements,
}

/// A column: its name, what it holds, and how that becomes numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// From the header of the table; for an array the index.
    pub name: String,
    /// What it holds.
    #[serde(flatten)]
    pub kind: Kind,
}

/// What a column holds, and how that becomes numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Kind {
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

impl Kind {
    /// Numbers as they are.
    pub const PLAIN: Self = Self::Numeric { shift: 0.0, scale: 1.0 };

    /// Places in the encoded row.
    pub fn width(&self) -> usize {
        match self {
            Self::Numeric { .. } | Self::Binary { .. } | Self::Count => 1,
            Self::Category { levels } => levels.len(),
            Self::Text { .. } => 0,
        }
    }

    /// The word for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Numeric { .. } => "numeric",
            Self::Binary { .. } => "binary",
            Self::Category { .. } => "category",
            Self::Count => "count",
            Self::Text { .. } => "text",
        }
    }

    /// What the indices of cells stand for; nothing where cells are numbers.
    pub fn levels(&self) -> &[String] {
        match self {
            Self::Binary { levels } => levels,
            Self::Category { levels } => levels,
            Self::Numeric { .. } | Self::Count | Self::Text { .. } => &[],
        }
    }
}

impl Frame {
    /// The cell of a row and a column.
    pub fn cell(&self, row: usize, column: usize) -> f64 {
        self.cells.at(row * self.columns.len() + column)
    }

    /// The data set of these rows in the order given, of which the last `test` are the test part.
    ///
    /// # Errors
    /// [`Error::Data`] where no column can be learnt; those of [`Dataset::new`].
    pub fn dataset(
        &self,
        name: &str,
        encoding: Encoding,
        order: Vec<u32>,
        test: usize,
        labels: Option<Labels>,
        request: &Request,
    ) -> Result<Dataset> {
        let width = encoding.width();
        if width == 0 {
            return Err(Error::Data(format!("{name}: there is no column that a model could learn")));
        }
        let values = Values::F32(encoding.encode(self, &order));
        let hash = self.hash(&order, labels.as_ref(), test);
        let data = Dataset::new(name, [1, 1, width], values, None, test, request.validation(order.len() - test))?;
        let data = Dataset { format: Format::Table, encoding: Some(encoding), ..data };
        Ok(Dataset { hash, ..data.with_labels(labels)?.with_rows(order) })
    }

    /// The identity of the rows before anything is fitted, so that it does not depend on what is set aside.
    fn hash(&self, order: &[u32], labels: Option<&Labels>, test: usize) -> String {
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
        for &row in order {
            (0..self.columns.len()).for_each(|at| sha.update(self.cell(row as usize, at).to_le_bytes()));
        }
        for label in labels.map_or(&[][..], |labels| &labels.of) {
            sha.update(label.to_le_bytes());
        }
        hex(sha)
    }
}
