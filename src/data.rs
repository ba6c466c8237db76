//! Data sets: what was read, and which part of it is for what.

pub mod batches;
pub mod glyphs;
pub mod idx;

use std::ops::Range;

/// Values as they were stored: bytes stay bytes, also on the device.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Pixels 0…255, read as x/255.
    U8(Vec<u8>),
    /// Numbers as they are.
    F32(Vec<f32>),
}

/// Examples in one block, training part first, then validation, then test.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// What was asked for, for titles: `glyphs`, or a path.
    pub name: String,
    /// The shape of one example: channels, height, width.
    pub shape: [usize; 3],
    /// Row-major, examples × channels × height × width.
    pub values: Values,
    /// One class per example where the source has them.
    pub labels: Option<Vec<u32>>,
    /// Which examples are trained on.
    pub train: Range<usize>,
    /// Which examples choose the best checkpoint; may be empty.
    pub validation: Range<usize>,
    /// Which examples are only ever evaluated; may be empty.
    pub test: Range<usize>,
    /// SHA-256 of shape, values and labels, in hex: two data sets with the same hash are the same.
    pub hash: String,
}

impl Dataset {
    /// Values per example.
    pub fn width(&self) -> usize {
        self.shape.iter().product()
    }

    /// Number of examples over all parts.
    pub fn len(&self) -> usize {
        match &self.values {
            Values::U8(v) => v.len() / self.width(),
            Values::F32(v) => v.len() / self.width(),
        }
    }

    /// Whether there is no example at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
