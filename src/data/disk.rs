//! Examples that stay in files, since there are too many for the memory: rows of elements one after the other, read
//! when they are wanted, and then treated as those that were in memory from the start.
//!
//! Files are read at positions and not mapped into memory: one that is cut off or taken away while a model trains is then
//! an error that names it, where a mapped one would end the process.

mod told;

use std::fs::File;
use std::io;
#[cfg(target_os = "linux")]
use std::num::NonZeroU64;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

use super::Values;
use super::elements::{Element, ElementType, Elements};
use super::table::Encoding;
use crate::error::{Error, Result};

pub use told::Told;

/// Bytes of rows that are in memory at a time.
pub const PORTION: usize = 1 << 24;

/// Bytes that are read at once.
const READ: usize = 1 << 20;

/// Bytes that the kernel is told of at a time: of more it takes what it would read ahead, and that is at least so much.
#[cfg(target_os = "linux")]
const ASKED: u64 = 1 << 17;

/// Rows that are read and thrown away, rather than begin anew behind them.
const GAP: u32 = 8;

/// Rows in a file.
#[derive(Debug, Clone)]
pub struct FileRows {
    /// What the file is called in messages.
    name: String,
    file: Arc<File>,
    /// Whether the file is ours, and has no name.
    scratch: bool,
    element: Element,
    /// Where the first row begins, in bytes.
    start: u64,
    rows: usize,
}

impl FileRows {
    /// So many rows of a file, from byte `start` on.
    ///
    /// # Errors
    /// [`Error::Data`] where it cannot be opened.
    pub fn open(path: &Path, element: Element, start: u64, rows: usize) -> Result<Self> {
        let complain = |error: io::Error| Error::Data(format!("{}: cannot be opened: {error}", path.display()));
        let file = read_in_pieces(File::open(path).map_err(complain)?);
        Ok(Self { name: path.display().to_string(), file, scratch: false, element, start, rows })
    }

    /// So many rows of a scratch file, which were unpacked from the source of this name.
    pub fn unpacked(name: &str, file: File, element: Element, rows: usize) -> Self {
        Self {
            name: format!("{name}, as unpacked"),
            file: read_in_pieces(file),
            scratch: true,
            element,
            start: 0,
            rows,
        }
    }

    /// How elements are stored.
    pub fn element(&self) -> Element {
        self.element
    }

    /// Reads bytes that follow each other; `offset` counts from the first row on.
    ///
    /// # Errors
    /// [`Error::Data`] with the name of the file; `what` says what could not be read.
    pub fn read(&self, bytes: &mut [u8], offset: u64, what: &dyn Fn() -> String) -> Result<()> {
        read_at(&self.file, bytes, self.start + offset).map_err(|error| {
            let why = if error.kind() == io::ErrorKind::UnexpectedEof {
                "the file is shorter than it was".to_owned()
            } else {
                error.to_string()
            };
            Error::Data(format!("{}: {} cannot be read: {why}", self.name, what()))
        })
    }

    /// Tells the kernel which bytes will be read, counted from the first row on: a disk is quick where it has much to do.
    #[cfg(target_os = "linux")]
    fn ask_for(&self, bytes: Range<u64>) {
        use rustix::fs::{Advice, fadvise};
        for at in bytes.clone().step_by(ASKED as usize) {
            let length = NonZeroU64::new(ASKED.min(bytes.end - at));
            let _ = fadvise(&*self.file, self.start + at, length, Advice::WillNeed);
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn ask_for(&self, _: Range<u64>) {}

    /// Some rows of `columns` elements, in ascending order.
    fn rows(&self, rows: &[u32], columns: usize) -> Result<Elements> {
        let stride = columns * self.element.kind.bytes();
        let at_once = (READ / stride.max(1)).max(1);
        let runs: Vec<&[u32]> = rows.chunk_by(|a, b| b - a < GAP).flat_map(|run| run.chunks(at_once)).collect();
        for run in &runs {
            let (first, last) = (u64::from(run[0]), u64::from(run[run.len() - 1]));
            self.ask_for(first * stride as u64..(last + 1) * stride as u64);
        }
        let read = |run: &&[u32]| {
            let (first, last) = (run[0], run[run.len() - 1]);
            let mut bytes = vec![0; (last - first + 1) as usize * stride];
            self.read(&mut bytes, u64::from(first) * stride as u64, &|| format!("row {first}"))?;
            for (at, row) in run.iter().enumerate() {
                let from = (row - first) as usize * stride;
                bytes.copy_within(from..from + stride, at * stride);
            }
            bytes.truncate(run.len() * stride);
            Ok(bytes)
        };
        let bytes = runs.par_iter().map(read).collect::<Result<Vec<Vec<u8>>>>()?.concat();
        self.element.decode(&bytes).map_err(|what| {
            let [first, last] = [rows.first(), rows.last()].map(|row| row.copied().unwrap_or(0));
            Error::Data(format!("{}: in rows {first} to {last} (from 0): {what}", self.name))
        })
    }
}

/// Two are the same where they are rows of one file.
impl PartialEq for FileRows {
    fn eq(&self, other: &Self) -> bool {
        let file = Arc::ptr_eq(&self.file, &other.file) || !self.scratch && !other.scratch && self.name == other.name;
        let rest = |part: &Self| (part.element, part.start, part.rows);
        file && rest(self) == rest(other)
    }
}

/// Examples in files.
#[derive(Debug, Clone, PartialEq)]
pub struct Disk {
    /// Elements of a row.
    columns: usize,
    /// Files, whose rows are counted through.
    parts: Vec<FileRows>,
    /// The row of each example.
    order: Arc<[u32]>,
    /// The shape of an image whose channels come last in the file: channels, height, width.
    channels_last: Option<[usize; 3]>,
    /// How elements become the numbers of a model, where they are not taken as they are.
    encoding: Option<Arc<Encoding>>,
}

impl Disk {
    /// Rows of so many elements, in files, as examples in their order.
    ///
    /// # Errors
    /// [`Error::Data`] where there are more rows than an index of 32 bits can name, or where the files hold elements that
    /// do not go together.
    pub fn new(columns: usize, parts: Vec<FileRows>) -> Result<Self> {
        let rows = parts.iter().map(|part| part.rows as u64).sum::<u64>();
        let name = |part: Option<&FileRows>| part.map_or(String::new(), |part| part.name.clone());
        let rows = u32::try_from(rows).map_err(|_| too_many(&name(parts.first()), rows))?;
        let kind = |part: &FileRows| part.element.kind.name();
        if let Some(pair) = parts.windows(2).find(|pair| kind(&pair[0]) != kind(&pair[1])) {
            return Err(Error::Data(format!(
                "{} and {}: {} and {} do not go together",
                pair[0].name,
                pair[1].name,
                kind(&pair[0]),
                kind(&pair[1])
            )));
        }
        Ok(Self { columns, parts, order: (0..rows).collect(), channels_last: None, encoding: None })
    }

    /// The same rows in another order.
    #[must_use]
    pub fn reordered(self, order: &[u32]) -> Self {
        Self { order: order.iter().map(|&at| self.order[at as usize]).collect(), ..self }
    }

    /// The same rows, which are images of this shape stored with their channels last.
    #[must_use]
    pub fn channels_last(self, shape: [usize; 3]) -> Self {
        Self { channels_last: Some(shape), ..self }
    }

    /// The same rows as a model takes them, instead of as they are stored.
    #[must_use]
    pub fn encoded(self, encoding: &Encoding) -> Self {
        Self { encoding: Some(Arc::new(encoding.clone())), ..self }
    }

    /// The same rows of bytes, of which none is larger than 1, as false and true.
    #[must_use]
    pub fn into_bits(mut self) -> Self {
        self.parts.iter_mut().for_each(|part| part.element.kind = ElementType::Bool);
        self
    }

    /// The largest element, or the first that is larger than a byte that is `enough`; and whether elements are false and
    /// true, of which nothing needs to be known.
    ///
    /// # Errors
    /// [`Error::Data`] with the name of the file that cannot be read.
    pub fn largest(&self, enough: u8) -> Result<(f32, bool)> {
        let mut largest = 0.0_f32;
        if self.parts.iter().any(|part| part.element.kind == ElementType::Bool) {
            return Ok((1.0, true));
        }
        let enough = if self.are_bytes() { enough.into() } else { 1.0 };
        let examples: Vec<u32> = (0..self.len() as u32).collect();
        for portion in examples.chunks(self.portion()) {
            let (elements, _) = self.elements(portion)?;
            largest = (0..elements.len()).map(|at| elements.at(at) as f32).fold(largest, f32::max);
            if largest > enough {
                break;
            }
        }
        Ok((largest, false))
    }

    /// Puts the rows of others behind these, in the order of their files.
    ///
    /// # Errors
    /// As [`Disk::new`].
    pub fn append(self, others: Self) -> Result<Self> {
        Self::new(self.columns, [self.parts, others.parts].concat())
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Values of an example.
    pub fn width(&self) -> usize {
        self.encoding.as_ref().map_or(self.columns, |encoding| encoding.width())
    }

    /// Whether values are bytes, and not floats.
    pub fn are_bytes(&self) -> bool {
        self.encoding.is_none() && self.parts.iter().all(|part| part.element.kind.is_byte())
    }

    /// Whether values are false and true.
    pub fn are_bits(&self) -> bool {
        self.are_bytes() && self.parts.iter().all(|part| part.element.kind == ElementType::Bool)
    }

    /// The categories of each number of an example as it is kept, where some are categories: [`Encoding::codes`].
    pub fn codes(&self) -> Option<Arc<[u32]>> {
        self.encoding.as_ref().and_then(|encoding| encoding.codes())
    }

    /// Whether they were unpacked, and are not read from their source.
    pub fn are_unpacked(&self) -> bool {
        self.parts.iter().any(|part| part.scratch)
    }

    /// How many examples are to be asked for at a time where all of them are wanted.
    pub fn portion(&self) -> usize {
        let stored = self.parts.iter().map(|part| self.columns * part.element.kind.bytes()).max().unwrap_or(0);
        let kept = self.codes().map_or(self.width(), |columns| columns.len());
        (PORTION / stored.max(4 * kept).max(1)).max(1)
    }

    /// The row of an example, counted through all files.
    pub fn row(&self, example: u32) -> u32 {
        self.order[example as usize]
    }

    /// Examples in the order given, as a block in memory.
    ///
    /// # Errors
    /// [`Error::Data`] with the name of the file that cannot be read.
    pub fn values(&self, examples: &[u32]) -> Result<Values> {
        let (elements, places) = self.elements(examples)?;
        Ok(match &self.encoding {
            None => elements.stored(self.columns, &places),
            Some(encoding) => encoding.values(&elements, &places),
        })
    }

    /// The elements of the rows of some examples, and at which of these rows each example is.
    ///
    /// # Errors
    /// As [`Disk::values`].
    pub fn elements(&self, examples: &[u32]) -> Result<(Elements, Vec<u32>)> {
        #[cfg(test)]
        ROWS_READ.set(ROWS_READ.get() + examples.len());
        let wanted: Vec<u32> = examples.iter().map(|&example| self.order[example as usize]).collect();
        let mut rows = wanted.clone();
        // Disks are fast where the order is that of the file.
        rows.sort_unstable();
        rows.dedup();
        let places = wanted.iter().map(|row| rows.binary_search(row).unwrap_or_default() as u32).collect();
        let mut elements: Option<Elements> = None;
        let (mut rest, mut before) = (&rows[..], 0);
        for part in &self.parts {
            let end = before + part.rows as u64;
            let (here, others) = rest.split_at(rest.partition_point(|&row| u64::from(row) < end));
            if !here.is_empty() {
                let here: Vec<u32> = here.iter().map(|row| row - before as u32).collect();
                let found = part.rows(&here, self.columns)?;
                match &mut elements {
                    None => elements = Some(found),
                    // What files hold was compared when they were put together.
                    Some(all) => _ = all.append(found),
                }
            }
            (rest, before) = (others, end);
        }
        let elements = match (elements, self.parts.first()) {
            (Some(elements), _) => elements,
            (None, Some(part)) => part.rows(&[], self.columns)?,
            (None, None) => Elements::F32(vec![]),
        };
        Ok((
            match self.channels_last {
                None => elements,
                Some(shape) => elements.channels_first(shape),
            },
            places,
        ))
    }
}

#[cfg(test)]
thread_local! {
    /// Rows that this thread has asked for.
    pub static ROWS_READ: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// What to say of more examples than an index can name.
pub fn too_many(name: &str, rows: u64) -> Error {
    Error::Data(format!("{name}: {rows} examples are too many, {} is the most", u32::MAX))
}

/// A file of which pieces are read: the kernel is not to read on behind them, which is in vain where the next piece lies elsewhere.
fn read_in_pieces(file: File) -> Arc<File> {
    // What does not know of advice reads as it likes.
    #[cfg(target_os = "linux")]
    let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::Random);
    Arc::new(file)
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

    const BYTE: Element = Element::little(ElementType::U8);

    fn part(folder: &Path, name: &str, bytes: &[u8], start: u64, rows: usize) -> FileRows {
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        FileRows::open(&path, BYTE, start, rows).unwrap()
    }

    fn bytes(disk: &Disk, examples: &[u32]) -> String {
        let Values::U8(bytes) = disk.values(examples).unwrap() else { panic!("bytes stay bytes") };
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn rows_of_two_files_are_one_set_in_any_order() {
        let folder = tempfile::tempdir().unwrap();
        let parts = vec![part(folder.path(), "a", b"..abcdef", 2, 3), part(folder.path(), "b", b"ghij", 0, 2)];
        let [first, second] = [&parts[..1], &parts[1..]].map(|parts| Disk::new(2, parts.to_vec()).unwrap());
        let disk = Disk::new(2, parts).unwrap();
        assert_eq!(first.append(second).unwrap(), disk);
        assert_eq!(bytes(&disk, &[4, 0, 2, 2]), "ijabefef");
        let turned = disk.clone().reordered(&[4, 3, 2, 1, 0]);
        assert_eq!((turned.len(), &*bytes(&turned, &[0, 4])), (5, "ijab"));
        assert_eq!(bytes(&turned, &[1, 2, 3]), "ghefcd");
        assert_eq!(bytes(&turned, &[]), "");
        assert_ne!(disk, turned);
    }

    #[test]
    fn rows_that_are_close_together_or_far_apart_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let all: Vec<u8> = (0..120).collect();
        let disk = Disk::new(1, vec![part(folder.path(), "a", &all, 0, 120)]).unwrap();
        for examples in [vec![7, 119, 3, 60], vec![0, 2, 4, 9, 17, 25, 32], (0..120).rev().collect()] {
            let expected: Vec<u8> = examples.iter().map(|&row| row as u8).collect();
            assert_eq!(disk.values(&examples).unwrap(), Values::U8(expected), "{examples:?}");
        }
    }

    #[test]
    fn every_type_is_read_from_a_file_as_it_is_from_memory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        for (kind, big, body, expected) in [
            (ElementType::F32, true, [1.5_f32, -2.0].map(f32::to_be_bytes).concat(), Values::F32(vec![-2.0, 1.5])),
            (ElementType::F64, false, [1.5_f64, 0.1].map(f64::to_le_bytes).concat(), Values::F32(vec![0.1, 1.5])),
            (ElementType::I16, true, [-3_i16, 300].map(i16::to_be_bytes).concat(), Values::F32(vec![300.0, -3.0])),
            (ElementType::Bool, false, vec![1, 0], Values::U8(vec![0, 255])),
        ] {
            std::fs::write(&path, body).unwrap();
            let disk = Disk::new(1, vec![FileRows::open(&path, Element { kind, big }, 0, 2).unwrap()]).unwrap();
            assert_eq!(disk.values(&[1, 0]).unwrap(), expected, "{kind:?}");
        }
        std::fs::write(&path, [0, 1, 2]).unwrap();
        let disk =
            Disk::new(1, vec![FileRows::open(&path, Element::little(ElementType::Bool), 0, 3).unwrap()]).unwrap();
        let error = disk.values(&[0, 2]).unwrap_err().to_string();
        assert!(error.ends_with("x: in rows 0 to 2 (from 0): element 1 is 2, and booleans are 0 or 1"), "{error}");
    }

    #[test]
    fn channels_come_in_the_order_that_a_model_takes() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(6, vec![part(folder.path(), "rgb", b"rgbRGB", 0, 1)]).unwrap();
        assert_eq!(bytes(&disk.channels_last([3, 1, 2]), &[0]), "rRgGbB");
    }

    #[test]
    fn what_does_not_fit_together_or_into_an_index_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut parts =
            vec![part(folder.path(), "a", b"ab", 0, u32::MAX as usize), part(folder.path(), "b", b"c", 0, 1)];
        let error = Disk::new(1, parts.clone()).unwrap_err().to_string();
        assert!(error.ends_with("a: 4294967296 examples are too many, 4294967295 is the most"), "{error}");
        parts[0].rows = 1;
        parts[1].element = Element::little(ElementType::F32);
        let error = Disk::new(1, parts).unwrap_err().to_string();
        assert!(error.ends_with("b: bytes and 32-bit floats do not go together"), "{error}");
    }

    #[test]
    fn a_file_that_is_cut_off_is_named_with_the_row() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(4, vec![part(folder.path(), "cut", b"abcdefg", 0, 2)]).unwrap();
        let error = disk.values(&[1]).unwrap_err().to_string();
        assert!(error.contains("cut: row 1 cannot be read: the file is shorter than it was"), "{error}");
    }
}
