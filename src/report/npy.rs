//! Arrays for `NumPy`: the `.npy` format, version 1.0.

use std::path::Path;

use crate::durable;
use crate::error::{Error, Result};

/// The values begin at a multiple of this many bytes.
const ALIGNMENT: usize = 64;

/// Writes `values`, row-major in `shape`, as little-endian f32.
///
/// # Errors
/// [`Error::Disk`] if the file cannot be written; then whatever was there before still is.
pub fn save(path: &Path, values: &[f32], shape: &[usize]) -> Result<()> {
    if shape.iter().product::<usize>() != values.len() {
        return Err(Error::Bug(format!("{}: {} values are no array of shape {shape:?}", path.display(), values.len())));
    }
    let mut file = header(shape, "f4");
    file.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    durable::replace_file(path, &file)
}

/// [`save`] of numbers in the units of the data: as f64 where these are `wide`, so that nothing of them is lost.
///
/// # Errors
/// As [`save`].
pub fn save_original(path: &Path, values: &[f64], wide: bool, shape: &[usize]) -> Result<()> {
    if !wide {
        return save(path, &values.iter().map(|&value| value as f32).collect::<Vec<f32>>(), shape);
    }
    if shape.iter().product::<usize>() != values.len() {
        return Err(Error::Bug(format!("{}: {} values are no array of shape {shape:?}", path.display(), values.len())));
    }
    let mut file = header(shape, "f8");
    file.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    durable::replace_file(path, &file)
}

/// [`save`] of whole numbers, as i64, in which arrays are indexed.
///
/// # Errors
/// As [`save`].
pub fn save_whole(path: &Path, values: &[u32], shape: &[usize]) -> Result<()> {
    if shape.iter().product::<usize>() != values.len() {
        return Err(Error::Bug(format!("{}: {} values are no array of shape {shape:?}", path.display(), values.len())));
    }
    let mut file = header(shape, "i8");
    file.extend(values.iter().flat_map(|&value| i64::from(value).to_le_bytes()));
    durable::replace_file(path, &file)
}

/// Magic string, version, and the dictionary with what `NumPy` has to know, padded with blanks.
fn header(shape: &[usize], kind: &str) -> Vec<u8> {
    let extents = shape.iter().fold(String::new(), |text, n| format!("{text}{n},"));
    let dictionary = format!("{{'descr': '<{kind}', 'fortran_order': False, 'shape': ({extents}), }}");
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    let before = file.len() + 2;
    let whole = (before + dictionary.len() + 1).next_multiple_of(ALIGNMENT);
    file.extend(((whole - before) as u16).to_le_bytes());
    file.extend(dictionary.bytes());
    file.resize(whole - 1, b' ');
    file.push(b'\n');
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_what_numpy_writes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("z.npy");
        save(&path, &[1.0, -2.0, 0.5, 0.0, 0.0, 0.25], &[3, 2]).unwrap();
        let file = std::fs::read(&path).unwrap();
        assert_eq!(file.len(), 128 + 24);
        assert_eq!(file[..10], *b"\x93NUMPY\x01\x00\x76\x00");
        let text = std::str::from_utf8(&file[10..128]).unwrap();
        assert_eq!(text.trim_end_matches([' ', '\n']), "{'descr': '<f4', 'fortran_order': False, 'shape': (3,2,), }");
        assert!(text.ends_with(" \n"));
        assert_eq!(file[128..136], [0, 0, 128, 63, 0, 0, 0, 192]);
    }

    #[test]
    fn a_shape_that_the_values_contradict_is_a_bug() {
        let error = save(Path::new("z.npy"), &[0.0; 5], &[3, 2]).unwrap_err();
        assert!(matches!(error, Error::Bug(_)), "{error}");
    }
}
