//! Rows of columns of which some are categories, kept as one number for each column: a category with thousands of levels takes
//! no more room than a measurement. A model sees a one among zeros for it, which is made where a batch is.

use std::sync::Arc;

use super::Row;

/// What stands for all categories of a column at once.
const ALL: f32 = super::table::STRANGER as f32;

/// Rows of S numbers, which stand for D values each.
#[derive(Debug, Clone, PartialEq)]
pub struct Codes {
    /// Row-major, [N, S]: a category as its number from 0 up, other columns as a model takes them. What is missing is NaN.
    pub numbers: Vec<f32>,
    /// The categories of each of the S columns; 0 where a number is taken as it is.
    pub columns: Arc<[u32]>,
}

impl Codes {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.numbers.len() / self.columns.len().max(1)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// D, values of a row as a model sees it.
    pub fn width(&self) -> usize {
        self.columns.iter().map(|&categories| categories.max(1) as usize).sum()
    }

    /// A row.
    pub(super) fn row(&self, row: u32) -> Row<'_> {
        let columns = &self.columns;
        Row::Codes(&self.numbers[row as usize * columns.len()..][..columns.len()], columns)
    }
}

/// Appends what a model sees of a row of S numbers: of a category a one among zeros, ones alone where it is every one of them,
/// and NaN in all places where it is missing.
pub(super) fn spread(numbers: &[f32], columns: &[u32], all: &mut Vec<f32>) {
    for (&number, &categories) in numbers.iter().zip(columns) {
        if categories == 0 {
            all.push(number);
            continue;
        }
        let first = all.len();
        let rest = match number {
            _ if number.is_nan() => f32::NAN,
            ALL => 1.0,
            _ => 0.0,
        };
        all.resize(first + categories as usize, rest);
        if rest == 0.0 {
            all[first + number as usize] = 1.0;
        }
    }
}
