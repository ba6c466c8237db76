//! Files for what is too large for the memory while the program runs. They have no name, so nothing is left of them
//! when the process ends, however it ends.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use super::{cannot, create_folder, step};
use crate::error::{Error, Result};

/// A file without a name that is being written.
#[derive(Debug)]
pub struct Scratch {
    file: BufWriter<File>,
    folder: PathBuf,
    /// What is unpacked, for messages.
    source: String,
    written: u64,
}

impl Scratch {
    /// An empty file in the user's cache folder, or in the system's folder for temporary files where that cannot be
    /// written: the latter is often a part of the memory.
    ///
    /// # Errors
    /// [`Error::Disk`] where neither can be written.
    pub fn new(source: &str) -> Result<Self> {
        let system = std::env::temp_dir();
        let folders = super::cache().into_iter().chain([system.clone()]);
        let mut failure = None;
        for folder in folders {
            let made = create_folder(&folder).and_then(|()| {
                step().and_then(|()| tempfile::tempfile_in(&folder)).map_err(|e| cannot("write in", &folder, &e))
            });
            match made {
                Ok(file) => {
                    let file = BufWriter::with_capacity(1 << 20, file);
                    return Ok(Self { file, folder, source: source.to_owned(), written: 0 });
                }
                Err(error) => _ = failure.get_or_insert(error),
            }
        }
        Err(failure.unwrap_or_else(|| Error::Disk(format!("cannot write in {}", system.display()))))
    }

    /// Bytes so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// [`Error::Disk`], naming the folder, the cause and what to do.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.written += bytes.len() as u64;
        step().and_then(|()| self.file.write_all(bytes)).map_err(|e| self.full(&e))
    }

    /// The file, to be read.
    ///
    /// # Errors
    /// As [`Scratch::write`].
    pub fn finish(mut self) -> Result<File> {
        step().and_then(|()| self.file.flush()).map_err(|e| self.full(&e))?;
        // Nothing is left in the buffer.
        self.file.into_inner().map_err(|error| cannot("write in", &self.folder, error.error()))
    }

    fn full(&self, cause: &std::io::Error) -> Error {
        let Error::Disk(why) = cannot("write in", &self.folder, cause) else {
            return Error::Bug("a disk error is no disk error".into());
        };
        Error::Disk(format!(
            "{why}; {} is larger than data.memory and is unpacked there (so far {} MiB); make room, raise data.memory, or \
             name another folder in XDG_CACHE_HOME",
            self.source,
            self.written >> 20
        ))
    }
}
