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
mod transpose;

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use super::array::{self, Array};
use super::cells::Cells;
use super::disk::{Disk, FileRows};
use super::{Dataset, ReadOptions};
use crate::error::{Error, Result};
pub use header::Header;
use header::MAX_HEADER;

/// The bytes that every file begins with.
pub const MAGIC: &[u8] = b"\x93NUMPY";

/// What can be wrong inside a file, as the text after its name.
type Decoded<T> = std::result::Result<T, String>;

/// Opens an array as a data set: its first axis are the examples. Labels are in another file, where one is named.
///
/// # Errors
/// [`Error::Data`] in one line that begins with the path, [`Error::Usage`] where validation would leave nothing,
/// [`Error::Disk`] where an array that is too large for the memory cannot be unpacked.
pub fn dataset(path: &Path, request: &ReadOptions) -> Result<Dataset> {
    let name = path.display().to_string();
    let complain = |what: String| Error::Data(format!("{name}: {what}"));
    let (header, _) = header(&mut reader(path)?).map_err(complain)?;
    let (dims, cells) = if is_large(&[&header], request) {
        (header.dims.clone(), Cells::Disk(Disk::new(header.columns(), vec![on_disk(path)?])?))
    } else {
        let Array { dims, elements } = open(path)?;
        (dims, Cells::Memory(elements))
    };
    let labels = match request.config.labels.as_str() {
        "" | "none" => None,
        labels => {
            let found = array::labels(&open(Path::new(labels))?, dims.first().copied().unwrap_or(0));
            Some(found.map_err(|what| Error::Data(format!("{labels}: {what}")))?)
        }
    };
    array::dataset(&name, &dims, cells, None, labels, request)
}

/// Whether arrays take more memory than they may, as they are stored or as a model takes them.
pub fn is_large(headers: &[&Header], request: &ReadOptions) -> bool {
    let takes = |header: &&Header| {
        let kind = header.element.kind;
        let plain = kind.is_byte() && !request.scales(header.dims.len() == 2);
        let each = if plain { 1 } else { kind.bytes().max(4) };
        // What no file can hold is told when it is read.
        header.elements().unwrap_or(0).saturating_mul(each as u64)
    };
    headers.iter().map(takes).fold(0, u64::saturating_add) > request.memory()
}

/// The rows of a file that stay there; they are copied where they lie column by column.
fn on_disk(path: &Path) -> Result<FileRows> {
    let name = path.display().to_string();
    let complain = |what: String| Error::Data(format!("{name}: {what}"));
    let mut file = reader(path)?;
    let (header, start) = header(&mut file).map_err(complain)?;
    let found = file.get_ref().metadata().map_err(|error| complain(format!("cannot be read: {error}")))?.len();
    header.body(start).and_then(|body| body.check(found)).map_err(complain)?;
    let part = FileRows::open(path, header.element, start, header.rows())?;
    if header.fortran { transpose::row_by_row(&name, &part, &header.dims) } else { Ok(part) }
}

/// The rows of an array in a scratch file, from the bytes of its `.npy` file in the archive of this name.
///
/// # Errors
/// [`Error::Data`] where they are no such file, [`Error::Disk`] where they cannot be written.
pub fn unpack(mut bytes: impl Read, archive: &str, array: &str) -> Result<FileRows> {
    let name = format!("{archive}: array {array}");
    let complain = |what: String| Error::Data(format!("{name}: {what}"));
    let (header, start) = header(&mut bytes).map_err(complain)?;
    let body = header.body(start).map_err(complain)?;
    let file = body.unpack(bytes, |error| format!("cannot be read: {error}"), &name)?;
    let part = FileRows::unpacked(&name, file, header.element, header.rows());
    if header.fortran { transpose::row_by_row(&name, &part, &header.dims) } else { Ok(part) }
}

/// Reads the array of a file.
///
/// # Errors
/// [`Error::Data`] in one line that begins with the path.
pub fn open(path: &Path) -> Result<Array> {
    read(reader(path)?).map_err(|what| Error::Data(format!("{}: {what}", path.display())))
}

fn reader(path: &Path) -> Result<BufReader<File>> {
    let complain = |error: std::io::Error| Error::Data(format!("{}: cannot be opened: {error}", path.display()));
    Ok(BufReader::with_capacity(1 << 16, File::open(path).map_err(complain)?))
}

/// Reads an array from its bytes, of which none may be left over.
pub fn read(mut bytes: impl Read) -> Decoded<Array> {
    let (header, start) = header(&mut bytes)?;
    let mut body = header.body(start)?.read(bytes, |error| format!("cannot be read: {error}"))?;
    if header.fortran {
        body = transpose::row_major(&header.dims, header.element.kind.bytes(), &body);
    }
    Ok(Array { elements: header.element.decode(&body)?, dims: header.dims })
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
    if length > MAX_HEADER {
        return Err(format!("the header is damaged: it claims to be {length} bytes long, allowed are {MAX_HEADER}"));
    }
    let text = String::from_utf8(take(length)?).map_err(|_| "the header is damaged: it is no text".to_owned())?;
    Ok((Header::parse(&text)?, taken))
}
