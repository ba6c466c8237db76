//! Examples to look at: a picture where they are pictures, rows of a table where they come from one.

use std::path::Path;

use crate::checkpoint::DataRecord;
use crate::data::table::Encoding;
use crate::error::Result;
use crate::report::{csv, grid};

/// How the name of a file with examples ends.
pub fn extension(record: &DataRecord) -> &'static str {
    if record.table().is_some() { "csv" } else { "png" }
}

/// Writes examples [n, D], in the units of the data. A table is drawn as strips only where the name asks for a picture.
pub fn save(path: &Path, examples: &[f32], record: &DataRecord, columns: usize) -> Result<()> {
    match record.table().filter(|_| !is_picture(path)) {
        Some(encoding) => {
            let rows = examples.chunks_exact(encoding.width()).map(|row| encoding.cells(row));
            write(path, encoding, None, rows)
        }
        None => grid::save(path, &drawn(examples, record), record.shape, columns),
    }
}

/// Writes examples of classes: in a table with the name of its class before each, in a picture as [`save`] does. Without
/// classes there are no names.
pub fn classes(path: &Path, examples: &[f32], names: &[&str], record: &DataRecord, columns: usize) -> Result<()> {
    let Some(encoding) = record.table().filter(|_| !is_picture(path) && !names.is_empty()) else {
        return save(path, examples, record, columns);
    };
    let rows = examples.chunks_exact(encoding.width()).zip(names).map(|(row, &name)| {
        let mut cells = encoding.cells(row);
        cells.insert(0, name.to_owned());
        cells
    });
    write(path, encoding, Some("class"), rows)
}

/// Writes examples and their reconstructions: in a picture below each other, in a table one after the other.
pub fn pairs(path: &Path, originals: &[f32], reconstructed: &[f32], record: &DataRecord, columns: usize) -> Result<()> {
    let Some(encoding) = record.table().filter(|_| !is_picture(path)) else {
        let [originals, reconstructed] = [originals, reconstructed].map(|examples| drawn(examples, record));
        return grid::pairs(path, &originals, &reconstructed, record.shape, columns);
    };
    let width = encoding.width();
    let both = originals.chunks_exact(width).zip(reconstructed.chunks_exact(width));
    let rows = both.flat_map(|(original, reconstruction)| {
        [("original", original), ("reconstruction", reconstruction)].map(|(what, row)| {
            let mut cells = encoding.cells(row);
            cells.insert(0, what.to_owned());
            cells
        })
    });
    write(path, encoding, Some("row"), rows)
}

fn is_picture(path: &Path) -> bool {
    path.extension().is_some_and(|end| end.eq_ignore_ascii_case("png"))
}

/// The same examples with black at 0 and white at 1.
fn drawn(examples: &[f32], record: &DataRecord) -> Vec<f32> {
    let Some(Encoding { range: [low, high], .. }) = record.encoding else { return examples.to_vec() };
    let scale = if high > low { high - low } else { 1.0 };
    examples.iter().map(|&value| ((f64::from(value) - low) / scale) as f32).collect()
}

/// Writes rows below the names of the columns, of which there may be one more in front.
fn write(path: &Path, encoding: &Encoding, first: Option<&str>, rows: impl Iterator<Item = Vec<String>>) -> Result<()> {
    let names = encoding.columns.iter().map(|column| column.name.clone());
    let header: Vec<String> = first.map(str::to_owned).into_iter().chain(names).collect();
    csv::save(path, &header, rows)
}
