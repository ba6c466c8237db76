//! Text files that may be packed by gzip, which their first bytes say.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

/// The bytes that every gzip file begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Opens a file at its start, and unpacks it on the way where it is packed. Whoever reads takes memory as bytes arrive.
///
/// # Errors
/// That it cannot be opened or read, as the text after its name.
pub fn open(path: &Path) -> Result<Box<dyn BufRead>, String> {
    let file = File::open(path).map_err(|error| format!("cannot be opened: {error}"))?;
    let mut file = BufReader::with_capacity(1 << 16, file);
    let start = file.fill_buf().map_err(|error| format!("cannot be read: {error}"))?;
    if start.starts_with(&GZIP) {
        return Ok(Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(file))));
    }
    Ok(Box::new(file))
}

/// A path without the `.gz` at its end.
pub fn plain(path: &Path) -> PathBuf {
    let is_packed = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("gz"));
    if is_packed { path.with_extension("") } else { path.to_owned() }
}
