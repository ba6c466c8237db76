//! `.npy`, `NumPy`'s file of one array: a magic word, a version, a header in a tiny part of Python's grammar, then the
//! elements.
//!
//! The header is a dictionary of three keys, so it is read by a strict scanner of its own: the crates that read it
//! multiply its sizes unchecked, believe any length of header, and parse by recursion. Like all readers here, this one
//! takes memory as bytes arrive, so that no header can ask for too much.
//! Source: `NumPy` enhancement proposal 1, and the documentation of `numpy.lib.format`.

mod header;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use super::array::{self, Array, Elements, Large};
use super::{Dataset, Request, disk};
use crate::error::{Error, Result};
pub use header::Header;
use header::{Kind, MOST_HEADER};

/// The bytes that every file begins with.
pub const MAGIC: &[u8] = b"\x93NUMPY";

/// What can be wrong inside a file, as the text after its name.
type Decoded<T> = std::result::Result<T, String>;

/// Opens an array as a data set: its first axis are the examples. Labels are in another file, where one is named.
///
/// # Errors
/// [`Error::Data`] in one line that begins with the path, [`Error::Usage`] where validation would leave nothing.
pub fn dataset(path: &Path, request: &Request) -> Result<Dataset> {
    let large = large(path, request)?;
    let array = if large.is_none() { Some(open(path)?) } else { None };
    let dims = large.as_ref().map(|large| &large.dims).or(array.as_ref().map(|array| &array.dims));
    let count = dims.and_then(|dims| dims.first()).copied().unwrap_or(0);
    let labels = match request.config.labels.as_str() {
        "" | "none" => None,
        labels => {
            let found = array::labels(&open(Path::new(labels))?, count);
            Some(found.map_err(|what| Error::Data(format!("{labels}: {what}")))?)
        }
    };
    let name = path.display().to_string();
    match (array, large) {
        (Some(array), _) => array::dataset(&name, array, None, labels, request),
        (None, Some(large)) => array::on_disk(&name, &large, labels, request),
        (None, None) => Err(Error::Bug(format!("{name}: neither in memory nor in its file"))),
    }
}

/// The array of a file that is to stay there, since it takes more memory than it may.
fn large(path: &Path, request: &Request) -> Result<Option<Large>> {
    let complain = |what: String| Error::Data(format!("{}: {what}", path.display()));
    let file = File::open(path).map_err(|error| complain(format!("cannot be opened: {error}")))?;
    let found = file.metadata().map_err(|error| complain(format!("cannot be read: {error}")))?.len();
    if found <= request.memory() {
        return Ok(None);
    }
    let (header, start) = header(&mut BufReader::new(file)).map_err(complain)?;
    let kind = match header.kind {
        Kind::U8 => disk::Kind::Bytes,
        Kind::F32 if header.big => disk::Kind::BigFloats,
        Kind::F32 => disk::Kind::Floats,
        _ => {
            return Err(complain(format!(
                "its {} MiB are more than data.memory = {} allows, and only bytes and floats of 32 bits can be read from \
                 the file while a model trains; store it as one of them, or raise data.memory",
                found >> 20,
                request.config.memory
            )));
        }
    };
    if header.fortran {
        return Err(complain(
            "it is too large for data.memory, and stored column by column; store it row by row".into(),
        ));
    }
    match header.bytes().and_then(|body| body.checked_add(start)) {
        Some(promised) if promised == found => {
            Ok(Some(Large { path: path.to_owned(), kind, start, dims: header.dims }))
        }
        promised => Err(complain(format!(
            "file is damaged: header promises {} bytes, file has {found}",
            promised.map_or("too many".to_owned(), |bytes| bytes.to_string())
        ))),
    }
}

/// Reads the array of a file.
///
/// # Errors
/// [`Error::Data`] in one line that begins with the path.
pub fn open(path: &Path) -> Result<Array> {
    let complain = |what: String| Error::Data(format!("{}: {what}", path.display()));
    let file = File::open(path).map_err(|error| complain(format!("cannot be opened: {error}")))?;
    read(BufReader::with_capacity(1 << 16, file)).map_err(complain)
}

/// Reads an array from its bytes, of which none may be left over.
pub fn read(mut bytes: impl Read) -> Decoded<Array> {
    let (header, start) = header(&mut bytes)?;
    let promised = header.bytes().and_then(|body| body.checked_add(start));
    let promised = promised.ok_or_else(|| {
        format!("the header is damaged: it promises an array of shape {:?}, more than any file holds", header.dims)
    })?;
    let mut body = Vec::new();
    // One byte more than is promised: it shows what is left over, and makes an archive compare its checksum.
    let read = bytes.take(promised - start + 1).read_to_end(&mut body);
    read.map_err(|error| format!("cannot be read: {error}"))?;
    let found = start + body.len() as u64;
    match found.cmp(&promised) {
        Ordering::Less => Err(format!("file is truncated: header promises {promised} bytes, file has {found}")),
        Ordering::Greater => Err(format!("the file goes on after the {promised} bytes that its header promises")),
        Ordering::Equal => Ok(Array { elements: elements(&header, &body)?, dims: header.dims }),
    }
}

/// Reads the header alone, and says how many bytes it took.
pub fn header(bytes: &mut impl Read) -> Decoded<(Header, u64)> {
    let mut taken = 0;
    let mut take_up_to = |count: u64| -> Decoded<Vec<u8>> {
        let mut part = Vec::new();
        let read = bytes.by_ref().take(count).read_to_end(&mut part);
        read.map_err(|error| format!("cannot be read: {error}"))?;
        taken += count;
        Ok(part)
    };
    let magic = take_up_to(8)?;
    if magic.iter().zip(MAGIC).any(|(found, expected)| found != expected) {
        return Err("this is no .npy file: it does not begin with \\x93NUMPY".into());
    }
    let whole = |part: Vec<u8>, count: u64| {
        if part.len() as u64 == count {
            Ok(part)
        } else {
            Err("file is truncated: it ends within its header".to_owned())
        }
    };
    let magic = whole(magic, 8)?;
    let mut take = |count: u64| whole(take_up_to(count)?, count);
    let length = match magic[6] {
        1 => take(2)?.iter().rev().fold(0, |length, &byte| length << 8 | u64::from(byte)),
        2 | 3 => take(4)?.iter().rev().fold(0, |length, &byte| length << 8 | u64::from(byte)),
        version => return Err(format!("version {version} of the .npy format is not known; there are 1, 2 and 3")),
    };
    if length > MOST_HEADER {
        return Err(format!("the header is damaged: it claims to be {length} bytes long, allowed are {MOST_HEADER}"));
    }
    let text = String::from_utf8(take(length)?).map_err(|_| "the header is damaged: it is no text".to_owned())?;
    Ok((Header::parse(&text)?, taken))
}

/// The elements in row-major order.
fn elements(header: &Header, body: &[u8]) -> Decoded<Elements> {
    let (dims, fortran, big) = (&header.dims, header.fortran, header.big);
    macro_rules! all {
        ($kind:ty) => {
            row_major(dims, fortran, numbers(body, big, <$kind>::from_le_bytes))
        };
    }
    macro_rules! integers {
        ($kind:ty) => {
            Elements::Int(all!($kind).into_iter().map(i64::from).collect())
        };
    }
    Ok(match header.kind {
        Kind::Bool => {
            if let Some(at) = body.iter().position(|&byte| byte > 1) {
                return Err(format!("element {at} is {}, and booleans are 0 or 1", body[at]));
            }
            Elements::Bool(all!(u8))
        }
        Kind::U8 => Elements::U8(all!(u8)),
        Kind::U16 => integers!(u16),
        Kind::U32 => integers!(u32),
        Kind::I8 => integers!(i8),
        Kind::I16 => integers!(i16),
        Kind::I32 => integers!(i32),
        Kind::I64 => Elements::Int(all!(i64)),
        Kind::U64 => {
            let signed: Option<Vec<i64>> = all!(u64).into_iter().map(|number| i64::try_from(number).ok()).collect();
            Elements::Int(signed.ok_or("an integer is larger than 2^63 - 1; store floats")?)
        }
        Kind::F32 => Elements::F32(all!(f32)),
        Kind::F64 => Elements::F64(all!(f64)),
    })
}

/// Bytes as numbers.
fn numbers<const N: usize, T>(body: &[u8], big: bool, from: impl Fn([u8; N]) -> T) -> Vec<T> {
    let number = |bytes: &[u8; N]| {
        let mut bytes = *bytes;
        if big {
            bytes.reverse();
        }
        from(bytes)
    };
    body.as_chunks().0.iter().map(number).collect()
}

/// Elements in the order of which the last index runs fastest; in Fortran's the first one does.
fn row_major<T: Copy>(dims: &[usize], fortran: bool, all: Vec<T>) -> Vec<T> {
    if !fortran || dims.len() < 2 {
        return all;
    }
    let mut strides = vec![1; dims.len()];
    for axis in 1..dims.len() {
        strides[axis] = strides[axis - 1] * dims[axis - 1];
    }
    let mut index = vec![0; dims.len()];
    let mut place = 0;
    let mut sorted = Vec::with_capacity(all.len());
    for _ in 0..all.len() {
        sorted.push(all[place]);
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
