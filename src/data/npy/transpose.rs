//! Arrays that lie column by column, as Fortran has them, brought into the order of rows.

use crate::data::disk::{FileRows, PORTION};
use crate::durable::scratch::Scratch;
use crate::error::Result;

/// Elements of `size` bytes in the order in which the last index runs fastest; in Fortran's, which they come in, the
/// first one does.
pub fn row_major(dims: &[usize], size: usize, all: &[u8]) -> Vec<u8> {
    let mut strides = vec![size; dims.len()];
    for axis in 1..dims.len() {
        strides[axis] = strides[axis - 1] * dims[axis - 1];
    }
    let mut index = vec![0; dims.len()];
    let mut place = 0;
    let mut sorted = Vec::with_capacity(all.len());
    for _ in 0..all.len() / size {
        sorted.extend_from_slice(&all[place..place + size]);
        // Counts up like an odometer, from the last axis.
        for axis in (0..dims.len()).rev() {
            index[axis] += 1;
            place += strides[axis];
            if index[axis] < dims[axis] {
                break;
            }
            place -= strides[axis] * dims[axis];
            index[axis] = 0;
        }
    }
    sorted
}

/// Copies an array of the source of this name to a scratch file, row by row. `part` is the array as it lies.
///
/// # Errors
/// [`crate::Error::Data`] where it cannot be read, [`crate::Error::Disk`] where the copy cannot be written.
pub fn row_by_row(name: &str, part: &FileRows, dims: &[usize]) -> Result<FileRows> {
    row_by_row_in(PORTION, name, part, dims)
}

/// [`row_by_row`] with so many bytes in memory at a time.
fn row_by_row_in(portion: usize, name: &str, part: &FileRows, dims: &[usize]) -> Result<FileRows> {
    let (size, rows) = (part.element().kind.bytes(), dims.first().copied().unwrap_or(0));
    let columns: usize = dims.iter().skip(1).product();
    let at_once = (portion / (size * columns).max(1)).max(1);
    let mut scratch = Scratch::new(name)?;
    let mut inner = dims.to_vec();
    for first in (0..rows).step_by(at_once) {
        let count = at_once.min(rows - first);
        // Some rows of all columns, one column after the other, are an array of the same order with fewer rows.
        let mut bytes = vec![0; count * columns * size];
        for (column, bytes) in bytes.chunks_exact_mut(count * size).enumerate() {
            part.read(bytes, ((column * rows + first) * size) as u64, &|| format!("column {column}"))?;
        }
        inner[0] = count;
        scratch.write(&row_major(&inner, size, &bytes))?;
    }
    Ok(FileRows::unpacked(name, scratch.finish()?, part.element(), rows))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Values;
    use crate::data::disk::Disk;
    use crate::data::elements::{Element, ElementType};

    #[test]
    fn an_array_that_lies_column_by_column_is_copied_row_by_row_in_portions_of_any_size() {
        let dims = [5, 2, 3];
        let bytes: Vec<u8> = (0..30).collect();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, &bytes).unwrap();
        // Element (i, j, k) is at i + 5 j + 10 k.
        let expected = |row: u8| [0, 10, 20, 5, 15, 25].map(|place| row + place);
        let expected: Vec<u8> = (0..5).flat_map(expected).collect();
        assert_eq!(row_major(&dims, 1, &bytes), expected);
        for portion in [1, 6, 12, 18, 1000] {
            let part = FileRows::open(&path, Element::little(ElementType::U8), 0, 5).unwrap();
            let part = row_by_row_in(portion, "x", &part, &dims).unwrap();
            let rows = Disk::new(6, vec![part]).unwrap().values(&[0, 1, 2, 3, 4]).unwrap();
            assert_eq!(rows, Values::U8(expected.clone()), "{portion} bytes at a time");
        }
    }
}
