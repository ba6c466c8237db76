//! Arrays for `NumPy`: the `.npy` format, version 1.0, and archives of them.

use std::io::{Cursor, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{DateTime, ZipWriter};

use crate::durable;
use crate::error::{Error, Result};

/// The values begin at a multiple of this many bytes.
const ALIGNMENT: usize = 64;

/// Writes `values`, row-major in `shape`, as little-endian f32.
///
/// # Errors
/// [`Error::Disk`] if the file cannot be written; then whatever was there before still is.
pub fn save(path: &Path, values: &[f32], shape: &[usize]) -> Result<()> {
    durable::replace_file(path, &file(path, Content::Single(values), shape)?)
}

/// [`save`] of whole numbers, as i64, in which arrays are indexed.
///
/// # Errors
/// As [`save`].
pub fn save_whole(path: &Path, values: &[u32], shape: &[usize]) -> Result<()> {
    let values: Vec<i64> = values.iter().map(|&value| value.into()).collect();
    durable::replace_file(path, &file(path, Content::Whole(&values), shape)?)
}

/// [`save`] of bytes, as u8.
///
/// # Errors
/// As [`save`].
pub fn save_bytes(path: &Path, values: &[u8], shape: &[usize]) -> Result<()> {
    durable::replace_file(path, &file(path, Content::Bytes(values), shape)?)
}

/// [`save`] of numbers in the units of the data: as f64 where these are `wide`, so that nothing of them is lost.
///
/// # Errors
/// As [`save`].
pub fn save_original(path: &Path, values: &[f64], wide: bool, shape: &[usize]) -> Result<()> {
    durable::replace_file(path, &original(path, values, wide, shape)?)
}

/// The bytes of the file that [`save_original`] writes; `path` is what it is called in messages.
///
/// # Errors
/// [`Error::Bug`] where the shape is another's.
pub fn original(path: &Path, values: &[f64], wide: bool, shape: &[usize]) -> Result<Vec<u8>> {
    if wide {
        return file(path, Content::Double(values), shape);
    }
    let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
    file(path, Content::Single(&values), shape)
}

/// The bytes of a file.
fn file(path: &Path, content: Content, shape: &[usize]) -> Result<Vec<u8>> {
    if shape.iter().product::<usize>() != content.len() {
        let why = format!("{} values are no array of shape {shape:?}", content.len());
        return Err(Error::Bug(format!("{}: {why}", path.display())));
    }
    Ok(content.file(shape))
}

/// What an array in an archive holds, row-major.
#[derive(Debug, Clone, Copy)]
pub enum Content<'a> {
    /// Bytes.
    Bytes(&'a [u8]),
    /// Whole numbers.
    Whole(&'a [i64]),
    /// Single precision.
    Single(&'a [f32]),
    /// Double precision.
    Double(&'a [f64]),
    /// Texts, which `NumPy` has at the length of the longest.
    Texts(&'a [String]),
}

impl Content<'_> {
    fn len(self) -> usize {
        match self {
            Self::Bytes(all) => all.len(),
            Self::Whole(all) => all.len(),
            Self::Single(all) => all.len(),
            Self::Double(all) => all.len(),
            Self::Texts(all) => all.len(),
        }
    }

    /// The bytes of an `.npy` file.
    fn file(self, shape: &[usize]) -> Vec<u8> {
        match self {
            Self::Bytes(all) => [&header(shape, "u1"), all].concat(),
            Self::Whole(all) => with(header(shape, "i8"), all.iter().flat_map(|number| number.to_le_bytes())),
            Self::Single(all) => with(header(shape, "f4"), all.iter().flat_map(|number| number.to_le_bytes())),
            Self::Double(all) => with(header(shape, "f8"), all.iter().flat_map(|number| number.to_le_bytes())),
            Self::Texts(all) => {
                let longest = all.iter().map(|text| text.chars().count()).max().unwrap_or(0).max(1);
                let padded = |text: &String| {
                    let points = text.chars().map(u32::from).chain(std::iter::repeat(0)).take(longest);
                    points.flat_map(u32::to_le_bytes).collect::<Vec<u8>>()
                };
                with(header(shape, &format!("U{longest}")), all.iter().flat_map(padded))
            }
        }
    }
}

fn with(mut file: Vec<u8>, bytes: impl Iterator<Item = u8>) -> Vec<u8> {
    file.extend(bytes);
    file
}

/// Writes an `.npz` archive of arrays: the name of each, its shape, and what it holds.
///
/// # Errors
/// As [`save`].
pub fn save_archive(path: &Path, arrays: &[(&str, &[usize], Content)]) -> Result<()> {
    let bug = |what: String| Error::Bug(format!("{}: {what}", path.display()));
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    // The time of an entry is no part of what it holds.
    let options = SimpleFileOptions::default().last_modified_time(DateTime::default()).large_file(true);
    for &(name, shape, content) in arrays {
        archive.start_file(format!("{name}.npy"), options).map_err(|error| bug(error.to_string()))?;
        archive.write_all(&file(path, content, shape)?).map_err(|error| bug(error.to_string()))?;
    }
    let file = archive.finish().map_err(|error| bug(error.to_string()))?;
    durable::replace_file(path, &file.into_inner())
}

/// Magic string, version, and the dictionary with what `NumPy` has to know, padded with blanks.
fn header(shape: &[usize], kind: &str) -> Vec<u8> {
    let extents = shape.iter().fold(String::new(), |text, n| format!("{text}{n},"));
    let order = if kind == "u1" { '|' } else { '<' };
    let dictionary = format!("{{'descr': '{order}{kind}', 'fortran_order': False, 'shape': ({extents}), }}");
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
    fn an_archive_is_read_back() {
        use crate::config::DataConfig;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("z.npz");
        let names = ["é".to_owned(), "two".to_owned()];
        let arrays: [(&str, &[usize], Content); 4] = [
            ("x", &[2, 3], Content::Double(&[1.0, 2.5, -3.0, 4.0, 0.1, 1e300])),
            ("y", &[2], Content::Whole(&[1, 0])),
            ("bytes", &[2, 1], Content::Bytes(&[7, 255])),
            ("classes", &[2], Content::Texts(&names)),
        ];
        save_archive(&path, &arrays).unwrap();
        let first = std::fs::read(&path).unwrap();
        let found = crate::data::npz::array(&path, &DataConfig::default()).unwrap();
        assert_eq!((found.dims, found.elements.at(5)), (vec![2, 3], 1e300));
        let bytes = DataConfig { array: "bytes".into(), ..DataConfig::default() };
        assert_eq!(crate::data::npz::array(&path, &bytes).unwrap().elements.at(1), 255.0);
        save_archive(&path, &arrays).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), first, "bytes depend on what is written alone");
        let texts = Content::Texts(&names).file(&[2]);
        let points: Vec<u32> =
            texts[128..].chunks_exact(4).map(|it| u32::from_le_bytes(it.try_into().unwrap())).collect();
        assert_eq!(points, [0xe9, 0, 0, 0x74, 0x77, 0x6f], "a text has the length of the longest");
    }

    #[test]
    fn a_shape_that_the_values_contradict_is_a_bug() {
        let error = save(Path::new("z.npy"), &[0.0; 5], &[3, 2]).unwrap_err();
        assert!(matches!(error, Error::Bug(_)), "{error}");
    }
}
