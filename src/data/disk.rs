//! Examples that stay in their files, since there are too many for the memory: rows of bytes or of floats one after the
//! other, read when they are wanted.
//!
//! Files are read at positions and not mapped into memory: one that is cut off or taken away while a model trains is then
//! an error that names it, where a mapped one would end the process.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use crate::error::{Error, Result};

/// Rows that are read at a time where all of them are wanted.
const ROWS: usize = 4096;

/// How a file stores a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A byte.
    Bytes,
    /// A float of 32 bits, its lowest byte first.
    Floats,
    /// A float of 32 bits, its highest byte first.
    BigFloats,
}

impl Kind {
    /// Bytes of a value.
    pub fn bytes(self) -> usize {
        if self == Self::Bytes { 1 } else { 4 }
    }
}

/// Rows in a file.
#[derive(Debug, Clone)]
pub struct Part {
    path: PathBuf,
    file: Arc<File>,
    /// Where the first row begins, in bytes.
    start: u64,
    rows: usize,
}

impl Part {
    /// So many rows of a file, from byte `start` on.
    ///
    /// # Errors
    /// [`Error::Data`] where it cannot be opened.
    pub fn open(path: &Path, start: u64, rows: usize) -> Result<Self> {
        let complain = |error: io::Error| Error::Data(format!("{}: cannot be opened: {error}", path.display()));
        let file = Arc::new(File::open(path).map_err(complain)?);
        Ok(Self { path: path.to_owned(), file, start, rows })
    }
}

/// Examples in files.
#[derive(Debug, Clone)]
pub struct Disk {
    /// The type of the values.
    pub kind: Kind,
    /// Values of an example.
    pub width: usize,
    /// Files, whose rows are counted through.
    parts: Vec<Part>,
    /// The row of each example.
    order: Arc<[u32]>,
    /// Channels and pixels of an image whose channels come last in the file.
    channels_last: Option<[usize; 2]>,
}

/// Two are the same where they read the same rows of the same files.
impl PartialEq for Disk {
    fn eq(&self, other: &Self) -> bool {
        let places = |disk: &Self| -> Vec<(PathBuf, u64, usize)> {
            disk.parts.iter().map(|part| (part.path.clone(), part.start, part.rows)).collect()
        };
        let rest = |disk: &Self| (disk.kind, disk.width, disk.channels_last);
        places(self) == places(other) && rest(self) == rest(other) && self.order == other.order
    }
}

impl Disk {
    /// The rows of files as examples in their order. `channels_last` are the channels and the pixels of images that are
    /// stored with their channels last.
    pub fn new(kind: Kind, width: usize, parts: Vec<Part>, channels_last: Option<[usize; 2]>) -> Self {
        let rows: usize = parts.iter().map(|part| part.rows).sum();
        Self { kind, width, parts, order: (0..rows as u32).collect(), channels_last }
    }

    /// The same rows in another order.
    #[must_use]
    pub fn reordered(self, order: &[u32]) -> Self {
        Self { order: order.iter().map(|&at| self.order[at as usize]).collect(), ..self }
    }

    /// Puts the rows of others behind these, in the order of their files; false where they are stored in another way.
    pub fn append(&mut self, others: &Self) -> bool {
        let alike = (self.kind, self.width, self.channels_last) == (others.kind, others.width, others.channels_last);
        if alike {
            let rows: usize = self.parts.iter().map(|part| part.rows).sum();
            self.order = self.order.iter().copied().chain(others.order.iter().map(|&row| rows as u32 + row)).collect();
            self.parts.extend_from_slice(&others.parts);
        }
        alike
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Bytes of an example.
    fn stride(&self) -> usize {
        self.width * self.kind.bytes()
    }

    /// Examples one after the other, as bytes: floats with the lowest byte first.
    ///
    /// # Errors
    /// [`Error::Data`] with the name of the file that cannot be read.
    pub fn read(&self, examples: &[u32]) -> Result<Vec<u8>> {
        let mut all = vec![0; examples.len() * self.stride()];
        let rows = all.par_chunks_exact_mut(self.stride()).zip(examples);
        rows.try_for_each(|(bytes, &example)| self.read_rows(self.order[example as usize] as usize, bytes))?;
        Ok(all)
    }

    /// Goes through examples in the order of the file, which is what disks are fast at; `visit` gets the number of an
    /// example and its bytes.
    ///
    /// # Errors
    /// Those of [`Disk::read`], and those of `visit`.
    pub fn visit(&self, examples: Range<usize>, mut visit: impl FnMut(usize, &[u8]) -> Result<()>) -> Result<()> {
        let mut sorted: Vec<(u32, usize)> = examples.map(|example| (self.order[example], example)).collect();
        sorted.sort_unstable();
        for group in sorted.chunks(ROWS) {
            let (first, last) = (group[0].0 as usize, group[group.len() - 1].0 as usize);
            let dense = last - first < 2 * group.len();
            let bytes = if dense {
                let mut bytes = vec![0; (last - first + 1) * self.stride()];
                self.read_rows(first, &mut bytes)?;
                bytes
            } else {
                self.read(&group.iter().map(|&(_, example)| example as u32).collect::<Vec<_>>())?
            };
            for (at, &(row, example)) in group.iter().enumerate() {
                let at = if dense { row as usize - first } else { at };
                visit(example, &bytes[at * self.stride()..][..self.stride()])?;
            }
        }
        Ok(())
    }

    /// Reads rows that follow each other, in the order of the files, and puts their values in ours.
    fn read_rows(&self, mut row: usize, mut bytes: &mut [u8]) -> Result<()> {
        let mut before = 0;
        for part in &self.parts {
            if row < before + part.rows && !bytes.is_empty() {
                let here = (before + part.rows - row).min(bytes.len() / self.stride());
                let (now, rest) = std::mem::take(&mut bytes).split_at_mut(here * self.stride());
                let offset = part.start + ((row - before) * self.stride()) as u64;
                read_at(&part.file, now, offset).map_err(|error| {
                    let why = if error.kind() == io::ErrorKind::UnexpectedEof {
                        "the file is shorter than it was".to_owned()
                    } else {
                        error.to_string()
                    };
                    Error::Data(format!("{}: row {} cannot be read: {why}", part.path.display(), row - before))
                })?;
                now.chunks_exact_mut(self.stride()).for_each(|row| self.arrange(row));
                (bytes, row) = (rest, row + here);
            }
            before += part.rows;
        }
        Ok(())
    }

    /// Brings a row into the order that a model takes: lowest bytes and channels first.
    fn arrange(&self, row: &mut [u8]) {
        if self.kind == Kind::BigFloats {
            row.as_chunks_mut::<4>().0.iter_mut().for_each(|value| value.reverse());
        }
        if let Some([channels, pixels]) = self.channels_last {
            let (stored, size) = (row.to_vec(), self.kind.bytes());
            for (at, value) in row.chunks_exact_mut(size).enumerate() {
                let (channel, pixel) = (at / pixels, at % pixels);
                value.copy_from_slice(&stored[(pixel * channels + channel) * size..][..size]);
            }
        }
    }
}

/// The floats of a row.
pub fn floats(bytes: &[u8]) -> impl Iterator<Item = f32> {
    bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes))
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(windows)]
fn read_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, bytes, offset)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => (bytes, offset) = (&mut bytes[read..], offset + read as u64),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(folder: &Path, name: &str, bytes: &[u8], start: u64, rows: usize) -> Part {
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        Part::open(&path, start, rows).unwrap()
    }

    #[test]
    fn rows_of_two_files_are_one_set_in_any_order() {
        let folder = tempfile::tempdir().unwrap();
        let parts = vec![part(folder.path(), "a", b"..abcdef", 2, 3), part(folder.path(), "b", b"ghij", 0, 2)];
        let disk = Disk::new(Kind::Bytes, 2, parts, None);
        assert_eq!(disk.read(&[4, 0, 2, 2]).unwrap(), b"ijabefef");
        let turned = disk.clone().reordered(&[4, 3, 2, 1, 0]);
        assert_eq!((turned.len(), turned.read(&[0, 4]).unwrap()), (5, b"ijab".to_vec()));
        for (disk, expected) in [(&disk, "1cd 2ef 3gh "), (&turned, "3cd 2ef 1gh ")] {
            let mut seen = String::new();
            let visit = |example: usize, bytes: &[u8]| {
                seen.extend([&example.to_string(), &*String::from_utf8_lossy(bytes), " "]);
                Ok(())
            };
            disk.visit(1..4, visit).unwrap();
            assert_eq!(seen, expected);
        }
        assert_ne!(disk, turned);
    }

    #[test]
    fn examples_far_apart_are_found_as_well() {
        let folder = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..200).collect();
        let disk = Disk::new(Kind::Bytes, 1, vec![part(folder.path(), "a", &bytes, 0, 200)], None);
        let sparse = disk.reordered(&[7, 190, 3, 60]);
        let mut seen = vec![];
        let visit = |example, bytes: &[u8]| {
            seen.push((example, bytes[0]));
            Ok(())
        };
        sparse.visit(0..4, visit).unwrap();
        assert_eq!(seen, [(2, 3), (0, 7), (3, 60), (1, 190)]);
    }

    #[test]
    fn bytes_and_channels_come_in_the_order_that_a_model_takes() {
        let folder = tempfile::tempdir().unwrap();
        let parts = vec![part(folder.path(), "rgb", b"rgbRGB", 0, 1)];
        assert_eq!(Disk::new(Kind::Bytes, 6, parts, Some([3, 2])).read(&[0]).unwrap(), b"rRgGbB");
        let values: Vec<u8> = [1.5_f32, -2.0].iter().flat_map(|value| value.to_be_bytes()).collect();
        let disk = Disk::new(Kind::BigFloats, 2, vec![part(folder.path(), "big", &values, 0, 1)], None);
        assert!(floats(&disk.read(&[0]).unwrap()).eq([1.5, -2.0]));
    }

    #[test]
    fn a_file_that_is_cut_off_is_named_with_the_row() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(Kind::Bytes, 4, vec![part(folder.path(), "cut", b"abcdefg", 0, 2)], None);
        let error = disk.read(&[1]).unwrap_err().to_string();
        assert!(error.contains("cut: row 1 cannot be read: the file is shorter than it was"), "{error}");
    }
}
