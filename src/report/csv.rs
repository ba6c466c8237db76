//! Tables for other programs: comma-separated values with a header.

use std::fmt::{Display, Write};
use std::path::Path;

use crate::durable;
use crate::error::Result;

/// A table that is being put together.
#[derive(Debug, Default)]
pub struct Csv {
    text: String,
}

impl Csv {
    /// A table with these columns. Names hold no comma and no quote.
    pub fn new<T: Display>(columns: impl IntoIterator<Item = T>) -> Self {
        let mut table = Self::default();
        table.row(columns);
        table
    }

    /// Adds a row. Floats are written with as many digits as it takes to read them back unchanged.
    pub fn row<T: Display>(&mut self, cells: impl IntoIterator<Item = T>) {
        for (at, cell) in cells.into_iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            // Writing to a string cannot fail.
            let _ = write!(self.text, "{comma}{cell}");
        }
        self.text.push('\n');
    }

    /// Writes the file.
    ///
    /// # Errors
    /// [`crate::error::Error::Disk`] if it cannot be written; then whatever was there before still is.
    pub fn save(&self, path: &Path) -> Result<()> {
        durable::replace_file(path, self.text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_end_with_a_newline_and_floats_read_back_unchanged() {
        let mut table = Csv::new(["a", "b"]);
        table.row([0.1_f32, f32::MIN_POSITIVE]);
        let cells: Vec<f32> = table.text.lines().nth(1).unwrap().split(',').map(|cell| cell.parse().unwrap()).collect();
        assert!(table.text.starts_with("a,b\n0.1,") && table.text.ends_with('\n'), "{}", table.text);
        assert_eq!(cells, [0.1, f32::MIN_POSITIVE]);
    }
}
