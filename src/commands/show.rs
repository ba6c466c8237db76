//! Examples to look at: a picture where they are pictures, rows of a table where they come from one. Values that are
//! categories are shown as the most probable one.

use std::path::Path;

use super::files;
use crate::checkpoint::DataRecord;
use crate::data;
use crate::data::table::Encoding;
use crate::durable;
use crate::error::Result;
use crate::report::{csv, grid, npy};

/// How the name of a file with examples ends.
pub fn extension(record: &DataRecord) -> &'static str {
    match (record.table(), categories(record)) {
        _ if record.text.as_ref().is_some_and(|text| text.music.is_some()) => "mid",
        _ if record.text.is_some() => "txt",
        // Of items, of which there are thousands, there is nothing to see.
        _ if record.items.is_some() => "npy",
        (None, _) => "png",
        // A plane of categories is a picture, or several.
        (Some(_), Some((extents, _))) if extents.len() > 1 => "png",
        (Some(_), _) => "csv",
    }
}

/// Whether examples in a file are drawn, and no rows or numbers.
pub fn is_drawn(path: Option<&Path>, record: &DataRecord) -> bool {
    match path {
        None => extension(record) == "png",
        Some(path) if ends_in(path, "npy") => false,
        Some(path) => named(record).is_none() || ends_in(path, "png"),
    }
}

/// From the numbers of an example, in the units of the model, to its cells.
type Cells<'a> = Box<dyn Fn(&[f32]) -> Vec<String> + 'a>;

/// Examples as rows whose columns have names: those of a table, or items.
struct Named<'a> {
    names: Vec<String>,
    /// Numbers of an example.
    width: usize,
    cells: Cells<'a>,
}

fn named(record: &DataRecord) -> Option<Named<'_>> {
    if let Some(encoding) = record.table() {
        let names = encoding.columns.iter().map(|column| column.name.clone()).collect();
        let cells = Box::new(|row: &[f32]| encoding.cells(&encoding.undo(row)));
        return Some(Named { names, width: encoding.width(), cells });
    }
    let names = record.items.clone()?;
    let cells = Box::new(|row: &[f32]| row.iter().map(f32::to_string).collect());
    Some(Named { width: names.len(), names, cells })
}

impl Named<'_> {
    fn rows(&self, examples: &[f32]) -> impl Iterator<Item = Vec<String>> {
        examples.chunks_exact(self.width).map(|row| (self.cells)(row))
    }

    /// A file of rows below the names of the columns, of which there may be more in front.
    fn file(&self, path: &Path, first: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Result<Vec<u8>> {
        let header = first.iter().map(|&name| name.to_owned()).chain(self.names.iter().cloned()).collect::<Vec<_>>();
        csv::file(path, &header, rows)
    }
}

/// Checks that a name is of a file that examples are written to.
///
/// # Errors
/// [`crate::error::Error::Usage`] for another ending.
pub fn check_name(path: Option<&Path>, record: &DataRecord) -> Result<()> {
    if matches!(extension(record), "mid" | "txt") {
        return Ok(());
    }
    let known = if named(record).is_some() { &["csv", "npy", "png"][..] } else { &["png", "npy"] };
    path.map_or(Ok(()), |path| files::format("--out ", path, known).map(drop))
}

/// Writes examples [n, D], in the units of the model. A table is drawn as strips only where the name asks for a picture.
///
/// # Errors
/// [`crate::error::Error::Disk`] where the file cannot be written, [`crate::error::Error::Usage`] where a picture is
/// asked for that cannot be drawn.
pub fn save(path: &Path, examples: &[f32], record: &DataRecord, columns: usize) -> Result<()> {
    durable::replace_file(path, &file(path, examples, NO_MARKS, record, columns)?)
}

/// The bytes of the file that [`marked`] writes.
///
/// # Errors
/// [`crate::error::Error::Usage`] where a picture is asked for that cannot be drawn.
pub fn file(
    path: &Path,
    examples: &[f32],
    (names, marks): Marks,
    record: &DataRecord,
    columns: usize,
) -> Result<Vec<u8>> {
    if ends_in(path, "npy") {
        let (numbers, shape) = numbers(examples, record);
        return npy::original(path, &numbers, record.scales(), &shape);
    }
    match named(record).filter(|_| !ends_in(path, "png")) {
        Some(named) if marks.is_empty() => named.file(path, &[], named.rows(examples)),
        Some(named) => {
            let rows = named.rows(examples).zip(marks).map(|(row, marks)| [&marks[..], &row].concat());
            named.file(path, names, rows)
        }
        None => grid::sheet(path, &drawn(examples, record), pictured(record), columns),
    }
}

/// What marks examples: names of columns, and for each example what stands there.
pub type Marks<'a> = (&'a [&'a str], &'a [Vec<String>]);

const NO_MARKS: Marks = (&[], &[]);

/// Writes examples and what marks each: in a table in columns of these names in front, in a picture as [`save`] does. Without
/// marks there are no such columns.
///
/// # Errors
/// Those of [`save`].
pub fn marked(path: &Path, examples: &[f32], marks: Marks, record: &DataRecord, columns: usize) -> Result<()> {
    durable::replace_file(path, &file(path, examples, marks, record, columns)?)
}

/// [`marked`] with the names of classes.
///
/// # Errors
/// Those of [`save`].
pub fn classes(path: &Path, examples: &[f32], names: &[&str], record: &DataRecord, columns: usize) -> Result<()> {
    marked(path, examples, (CLASS, &of_classes(names)), record, columns)
}

/// What examples of classes are marked with; without classes nothing.
pub const CLASS: &[&str] = &["class"];

/// The marks of examples of classes.
pub fn of_classes(names: &[&str]) -> Vec<Vec<String>> {
    names.iter().map(|&name| vec![name.to_owned()]).collect()
}

/// Draws a table of examples [rows · columns, D] below others, [columns, D], and to the right of others, [rows, D]. The corner is
/// empty.
///
/// # Errors
/// Those of [`save`].
pub fn crossed(path: &Path, [above, left, made]: [&[f32]; 3], record: &DataRecord) -> Result<()> {
    let [above, left, made] = [above, left, made].map(|examples| drawn(examples, record));
    let (shape, mut cells) = (pictured(record), vec![None]);
    let size: usize = shape.iter().product();
    let columns = above.len() / size;
    cells.extend(above.chunks_exact(size).map(Some));
    for (first, rest) in left.chunks_exact(size).zip(made.chunks_exact(size * columns)) {
        cells.push(Some(first));
        cells.extend(rest.chunks_exact(size).map(Some));
    }
    grid::cells(path, cells, shape, columns + 1)
}

/// Writes examples and their reconstructions: in a picture below each other, in a table one after the other, in an array
/// first all examples, then all reconstructions, [2, n, …].
///
/// # Errors
/// [`crate::error::Error::Disk`] where the file cannot be written, [`crate::error::Error::Usage`] where a picture is
/// asked for that cannot be drawn.
pub fn pairs(path: &Path, originals: &[f32], reconstructed: &[f32], record: &DataRecord, columns: usize) -> Result<()> {
    durable::replace_file(path, &file_of_pairs(path, originals, reconstructed, record, columns)?)
}

/// The bytes of the file that [`pairs`] writes.
///
/// # Errors
/// [`crate::error::Error::Usage`] where a picture is asked for that cannot be drawn.
pub fn file_of_pairs(
    path: &Path,
    originals: &[f32],
    reconstructed: &[f32],
    record: &DataRecord,
    columns: usize,
) -> Result<Vec<u8>> {
    if ends_in(path, "npy") {
        let (numbers, mut shape) = numbers(&[originals, reconstructed].concat(), record);
        shape[0] /= 2;
        return npy::original(path, &numbers, record.scales(), &[&[2], &shape[..]].concat());
    }
    let Some(named) = named(record).filter(|_| !ends_in(path, "png")) else {
        let [originals, reconstructed] = [originals, reconstructed].map(|examples| drawn(examples, record));
        return grid::sheet_of_pairs(path, &originals, &reconstructed, pictured(record), columns);
    };
    let both = named.rows(originals).zip(named.rows(reconstructed));
    let rows = both.flat_map(|(original, reconstruction)| {
        [("original", original), ("reconstruction", reconstruction)].map(|(what, mut cells)| {
            cells.insert(0, what.to_owned());
            cells
        })
    });
    named.file(path, &["row"], rows)
}

/// What messages call a picture that is no file of its own.
const INSIDE: &str = "the picture";

/// The bytes of the picture that [`save`] draws.
///
/// # Errors
/// [`crate::error::Error::Usage`] where the examples cannot be drawn.
pub fn picture(examples: &[f32], record: &DataRecord, columns: usize) -> Result<Vec<u8>> {
    grid::sheet(Path::new(INSIDE), &drawn(examples, record), pictured(record), columns)
}

/// The bytes of a picture of examples side by side as they are ([`grid::close`]), and height and width of each.
///
/// # Errors
/// As those of [`picture`].
pub fn close_picture(examples: &[f32], record: &DataRecord, columns: usize) -> Result<(Vec<u8>, [usize; 2])> {
    let shape = pictured(record);
    Ok((grid::close(Path::new(INSIDE), &drawn(examples, record), shape, columns)?, [shape[1], shape[2]]))
}

/// The bytes of the picture that [`pairs`] draws.
///
/// # Errors
/// As those of [`picture`].
pub fn picture_of_pairs(
    originals: &[f32],
    reconstructed: &[f32],
    record: &DataRecord,
    columns: usize,
) -> Result<Vec<u8>> {
    let [originals, reconstructed] = [originals, reconstructed].map(|examples| drawn(examples, record));
    grid::sheet_of_pairs(Path::new(INSIDE), &originals, &reconstructed, pictured(record), columns)
}

/// The extents of an array in which the means of `rows` examples have a place: of categories their probabilities.
pub fn shape_of_means(rows: usize, record: &DataRecord) -> Vec<usize> {
    match categories(record) {
        Some((extents, categories)) => [&[rows], extents, &[categories]].concat(),
        None => [&[rows], &record.shape[..]].concat(),
    }
}

fn ends_in(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|end| end.eq_ignore_ascii_case(ending))
}

/// The extents of an example and the number of categories, where examples are an array of categories.
fn categories(record: &DataRecord) -> Option<(&[usize], usize)> {
    record.encoding.as_ref().and_then(Encoding::categories)
}

/// Examples as numbers in the units of the data, and the extents of an array of them: the most probable categories lie as in the data.
pub fn numbers(examples: &[f32], record: &DataRecord) -> (Vec<f64>, Vec<usize>) {
    let rows = examples.len() / record.shape.iter().product::<usize>();
    if let Some((extents, categories)) = categories(record) {
        let numbers = Encoding::most_probable(examples, categories).into_iter().map(f64::from).collect();
        return (numbers, [&[rows], extents].concat());
    }
    let mut numbers = record.original(examples);
    record.encoding.iter().for_each(|encoding| encoding.settle(&mut numbers));
    (numbers, shape_of_means(rows, record))
}

/// Examples as pictures, with black at 0 and white at 1, and the shape of each.
pub fn pictures(examples: &[f32], record: &DataRecord) -> (Vec<f32>, [usize; 3]) {
    (drawn(examples, record), pictured(record))
}

/// The shape in which an example is drawn.
fn pictured(record: &DataRecord) -> [usize; 3] {
    categories(record).map_or(record.shape, |(extents, _)| data::categories::shape_of(extents))
}

/// Examples as they are drawn: with black at 0 and white at 1.
fn drawn(examples: &[f32], record: &DataRecord) -> Vec<f32> {
    let Some(Encoding { range: [low, high], .. }) = record.encoding else { return examples.to_vec() };
    let (examples, _) = numbers(examples, record);
    let scale = if high > low { high - low } else { 1.0 };
    examples.iter().map(|&value| ((value - low) / scale) as f32).collect()
}
