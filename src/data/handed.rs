//! Data as one process hands them to others on its machine, so that a source is read once for all of them: a text that says what they
//! are, and blocks of bytes. Values in memory are such blocks; of those that stay in files the files are opened, and have to be the
//! same ones.

use std::fs::{self, File, Metadata};
use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::codes::Codes;
use super::disk::{Disk, Told};
use super::fetch;
use super::sparse::Sparse;
use super::table::Encoding;
use super::text::vocabulary::Vocabulary;
use super::{Dataset, Format, Values, is_drawn};
use crate::config::DataConfig;
use crate::error::{Error, Result};

/// Which file it is, of all on a machine: its device, its number there, its size, and when it was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity([u64; 5]);

impl Identity {
    /// That of an open file; nothing where the system does not tell.
    pub(super) fn of(file: &File) -> Option<Self> {
        file.metadata().ok().as_ref().and_then(Self::told)
    }

    #[cfg(unix)]
    #[expect(clippy::unnecessary_wraps, reason = "other systems do not tell")]
    fn told(found: &Metadata) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        Some(Self([found.dev(), found.ino(), found.size(), found.mtime() as u64, found.mtime_nsec() as u64]))
    }

    #[cfg(not(unix))]
    fn told(_: &Metadata) -> Option<Self> {
        None
    }
}

/// Which source a configuration names, so that processes of one machine for which this is the same text read the same files. Nothing
/// where there is no file to be read, or none to be found.
pub fn source(config: &DataConfig) -> Option<String> {
    if is_drawn(&config.source) {
        return None;
    }
    let of = |path: &str| {
        let found = Identity::told(&fs::metadata(path).ok()?)?;
        Some(format!("{} {found:?}", fs::canonicalize(path).ok()?.display()))
    };
    // What is fetched is compared with a checksum wherever it lies.
    let named = fetch::source(&config.source).map(|source| source.name.to_owned());
    // Labels may also be a column, or an array of the archive.
    let labels = if Path::new(&config.labels).is_file() { of(&config.labels)? } else { String::new() };
    Some(format!("{} {labels}", named.or_else(|| of(&config.source))?))
}

/// All of a data set but its blocks.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Head {
    name: String,
    format: Format,
    shape: [usize; 3],
    values: Kind,
    encoding: Option<Encoding>,
    missing: bool,
    decimals: Vec<Option<u8>>,
    text: Option<Vocabulary>,
    labels: Option<usize>,
    classes: Option<Vec<String>>,
    items: Option<Vec<String>>,
    users: Option<Vec<String>>,
    rows: Option<usize>,
    notes: Vec<String>,
    parts: [Range<usize>; 3],
    hash: String,
    /// Bytes of each block.
    blocks: Vec<usize>,
}

/// What values are.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Kind {
    U8(usize),
    F32(usize),
    Codes { numbers: usize, columns: Vec<u32> },
    Sparse { rows: usize, entries: usize, width: usize, longest: usize },
    Disk(Box<Told>),
}

/// What is said of a data set that is handed over; nothing where it cannot be.
pub fn head(data: &mut Dataset) -> Option<String> {
    let values = match &data.values {
        Values::U8(bytes) => Kind::U8(bytes.len()),
        Values::F32(floats) => Kind::F32(floats.len()),
        Values::Codes(codes) => Kind::Codes { numbers: codes.numbers.len(), columns: codes.columns.to_vec() },
        Values::Sparse(sparse) => {
            let longest = (sparse.row_words() - 1) / 2;
            Kind::Sparse { rows: sparse.len(), entries: sparse.count(), width: sparse.width(), longest }
        }
        Values::Disk(disk) => Kind::Disk(Box::new(disk.told()?)),
    };
    let blocks = blocks(data).iter().map(|block| block.len()).collect();
    let head = Head {
        name: data.name.clone(),
        format: data.format,
        shape: data.shape,
        values,
        encoding: data.encoding.clone(),
        missing: data.missing,
        decimals: data.decimals.clone(),
        text: data.text.clone(),
        labels: data.labels.as_ref().map(Vec::len),
        classes: data.classes.clone(),
        items: data.items.clone(),
        users: data.users.clone(),
        rows: data.rows.as_ref().map(Vec::len),
        notes: data.notes.clone(),
        parts: [data.train.clone(), data.validation.clone(), data.test.clone()],
        hash: data.hash.clone(),
        blocks,
    };
    // What does not come out as it went in (numbers that JSON lacks) is read by everybody.
    let text = serde_json::to_string(&head).ok()?;
    (serde_json::from_str::<Head>(&text).ok()? == head).then_some(text)
}

/// The blocks of a data set, in the order in which they are handed over.
pub fn blocks(data: &mut Dataset) -> Vec<&mut [u8]> {
    let mut blocks: Vec<&mut [u8]> = Vec::new();
    match &mut data.values {
        Values::U8(bytes) => blocks.push(bytes),
        Values::F32(floats) => blocks.push(bytemuck::cast_slice_mut(floats)),
        Values::Codes(codes) => blocks.push(bytemuck::cast_slice_mut(&mut codes.numbers)),
        Values::Sparse(sparse) => blocks.extend(sparse.blocks()),
        Values::Disk(disk) => blocks.push(bytemuck::cast_slice_mut(disk.order_mut())),
    }
    let words = [data.labels.as_mut(), data.rows.as_mut()].into_iter().flatten();
    blocks.extend(words.map(|words| bytemuck::cast_slice_mut(&mut words[..])));
    blocks
}

/// A data set of which a text is there, and whose blocks are not.
#[derive(Debug)]
pub struct Coming {
    /// The bytes of its blocks, one after the other.
    pub blocks: Vec<usize>,
    /// The data set with blocks of zeros; nothing where this process cannot open its files, or finds others.
    pub data: Option<Dataset>,
}

/// What [`head`] has said of a data set, as another process has read it.
///
/// # Errors
/// [`Error::Bug`] where it is no such text.
pub fn coming(head: &str) -> Result<Coming> {
    let head: Head = serde_json::from_str(head).map_err(|error| Error::Bug(format!("data that came: {error}")))?;
    let values = match head.values {
        Kind::U8(count) => Some(Values::U8(vec![0; count])),
        Kind::F32(count) => Some(Values::F32(vec![0.0; count])),
        Kind::Codes { numbers, columns } => {
            Some(Values::Codes(Codes { numbers: vec![0.0; numbers], columns: columns.into() }))
        }
        Kind::Sparse { rows, entries, width, longest } => {
            Some(Values::Sparse(Sparse::zeros(rows, entries, width, longest)))
        }
        Kind::Disk(told) => Disk::as_told(*told).map(Values::Disk),
    };
    let [train, validation, test] = head.parts;
    let data = values.map(|values| Dataset {
        name: head.name,
        format: head.format,
        shape: head.shape,
        values,
        encoding: head.encoding,
        missing: head.missing,
        decimals: head.decimals,
        text: head.text,
        labels: head.labels.map(|count| vec![0; count]),
        classes: head.classes,
        items: head.items,
        users: head.users,
        rows: head.rows.map(|count| vec![0; count]),
        notes: head.notes,
        train,
        validation,
        test,
        hash: head.hash,
    });
    Ok(Coming { blocks: head.blocks, data })
}
