//! What follows the header of a file: exactly as many bytes as the header promises, in memory or in a scratch file.
//!
//! Memory is taken as bytes arrive, so that no header can ask for too much.

use std::cmp::Ordering;
use std::fs::File;
use std::io::{self, Read};

use crate::durable::scratch::Scratch;
use crate::error::{Error, Result};

/// Bytes that are moved at a time.
const PORTION: u64 = 1 << 20;

/// Bytes between a header and the end of its file.
#[derive(Debug, Clone, Copy)]
pub struct Body {
    /// Where they begin.
    pub start: u64,
    /// Where they must end.
    pub end: u64,
}

impl Body {
    /// Tells whether a file of so many bytes is the one that the header promises.
    ///
    /// # Errors
    /// That it is not, as the text after its name.
    pub fn check(self, found: u64) -> std::result::Result<(), String> {
        let promised = self.end;
        match found.cmp(&promised) {
            Ordering::Less => Err(format!("file is truncated: header promises {promised} bytes, file has {found}")),
            Ordering::Greater => Err(format!("the file goes on after the {promised} bytes that its header promises")),
            Ordering::Equal => Ok(()),
        }
    }

    /// Reads the bytes that follow the header. `complain` puts into words what went wrong while they were read.
    ///
    /// # Errors
    /// Why they are not what was promised, as the text after the name of the file.
    pub fn read(
        self,
        bytes: impl Read,
        complain: impl Fn(io::Error) -> String,
    ) -> std::result::Result<Vec<u8>, String> {
        let mut body = Vec::new();
        // One byte more than is promised: it shows what is left over, and makes whoever unpacks compare a checksum.
        bytes.take(self.end - self.start + 1).read_to_end(&mut body).map_err(complain)?;
        self.check(self.start + body.len() as u64)?;
        Ok(body)
    }

    /// [`Body::read`] into a scratch file, for a source of this name.
    ///
    /// # Errors
    /// [`Error::Data`] as [`Body::read`]; [`Error::Disk`] where the file cannot be written.
    pub fn unpack(self, bytes: impl Read, complain: impl Fn(io::Error) -> String, name: &str) -> Result<File> {
        let wrong = |what: String| Error::Data(format!("{name}: {what}"));
        let mut scratch = Scratch::new(name)?;
        let mut bytes = bytes.take(self.end - self.start + 1);
        let mut portion = Vec::new();
        loop {
            portion.clear();
            bytes.by_ref().take(PORTION).read_to_end(&mut portion).map_err(|error| wrong(complain(error)))?;
            if portion.is_empty() {
                break;
            }
            scratch.write(&portion)?;
        }
        self.check(self.start + scratch.written()).map_err(wrong)?;
        scratch.finish()
    }
}
