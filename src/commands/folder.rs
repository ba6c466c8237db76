//! Folders that commands make.

use crate::durable;
use crate::error::{Error, Result};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Checks that `--out` names a folder that is new or empty; `else_do` is what else may be done where it is not.
///
/// # Errors
/// [`Error::Usage`] where the folder is not empty, [`Error::Disk`] where it cannot be looked into.
pub fn check_empty(folder: &Path, else_do: &str) -> Result<()> {
    match std::fs::read_dir(folder).map(|mut entries| entries.next().is_none()) {
        Ok(false) => {
            Err(Error::Usage(format!("--out {}: the folder is not empty; name a new one{else_do}", folder.display())))
        }
        Err(error) if error.kind() != ErrorKind::NotFound => Err(durable::cannot("write", folder, &error)),
        _ => Ok(()),
    }
}

/// A run folder that can be taken away again while it holds nothing of worth.
pub struct Folder {
    path: PathBuf,
    /// It and those above it that did not exist before, the innermost first.
    made: Vec<PathBuf>,
}

impl Folder {
    /// Makes the folder and those above it that are missing.
    ///
    /// # Errors
    /// [`Error::Disk`] where it cannot be made.
    pub fn new(path: &Path) -> Result<Self> {
        let missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
        let made = path.ancestors().take_while(missing).map(Path::to_owned).collect();
        durable::create_folder(path)?;
        Ok(Self { path: path.to_owned(), made })
    }

    /// Takes it away again, with everything in it.
    pub fn remove(self) {
        // What cannot be removed is left; the error that led here is the one to report.
        for entry in std::fs::read_dir(&self.path).into_iter().flatten().flatten() {
            let path = entry.path();
            let _ = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
        }
        for folder in self.made {
            let _ = std::fs::remove_dir(folder);
        }
    }
}
