//! One process at a time: a lock on a folder, in a file that says whose it is.
//!
//! The operating system lets go of a lock when its process ends, however it ends, so nothing is ever left locked. The
//! file goes with the lock; where a process was killed it stays, and means nothing.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::{cannot, step};
use crate::error::{Error, Result};

/// The file in a folder that is locked.
pub const FILE: &str = ".lock";

/// The most of a note that is shown.
const NOTE: u64 = 200;

/// A folder that this process alone writes to, until this is dropped.
#[derive(Debug)]
pub struct Lock {
    /// None where the file system knows no locks.
    file: Option<File>,
    path: PathBuf,
}

impl Lock {
    /// Locks a folder that exists.
    ///
    /// # Errors
    /// [`Error::Usage`] where another process has it, which is named; [`Error::Disk`] where nothing can be written.
    pub fn take(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        loop {
            let opened = step()
                .and_then(|()| OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path));
            let mut file = opened.map_err(|e| cannot("write", &path, &e))?;
            match file.try_lock() {
                // Whoever had it has taken the file away since it was opened here: it is no one's.
                Ok(()) if !is_at(&file, &path) => continue,
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(taken(folder, &mut file)),
                Err(TryLockError::Error(_)) => {
                    drop(file);
                    let _ = fs::remove_file(&path);
                    return Ok(Self { file: None, path });
                }
            }
            // Without the note others are refused all the same, so it is no reason to stop.
            let _ = file.set_len(0).and_then(|()| file.write_all(note().as_bytes()));
            return Ok(Self { file: Some(file), path });
        }
    }

    /// Whether others are kept out: not every file system has locks.
    pub fn holds(&self) -> bool {
        self.file.is_some()
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.file.is_some() {
            // Before the lock is let go, so that nobody's file is taken away but this one.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Who has the lock, in words.
fn note() -> String {
    let named = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let host = named.or_else(|| std::env::var("HOSTNAME").ok()).or_else(|| std::env::var("COMPUTERNAME").ok());
    let host = host.map_or(String::new(), |host| format!(" on {}", host.trim()));
    format!("process {}{host}\n", std::process::id())
}

fn taken(folder: &Path, file: &mut File) -> Error {
    let mut text = Vec::new();
    // On some systems nobody else can read what is locked.
    let read = file.rewind().and_then(|()| file.take(NOTE).read_to_end(&mut text));
    let text = String::from_utf8_lossy(&text);
    let who =
        text.lines().next().filter(|line| read.is_ok() && line.starts_with("process ")).unwrap_or("another process");
    let who: String = who.chars().filter(|c| !c.is_control()).collect();
    Error::Usage(format!("{}: {who} trains in this folder; wait until it is done, or stop it", folder.display()))
}

/// Whether a path still leads to an open file.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let place = |found: &fs::Metadata| (found.dev(), found.ino());
    matches!((file.metadata(), fs::metadata(path)), (Ok(own), Ok(there)) if place(&own) == place(&there))
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

/// Makes a folder that nobody has made before, below one that exists; whether it did.
///
/// # Errors
/// [`Error::Disk`], naming the folder and the cause.
pub fn create_new_folder(path: &Path) -> Result<bool> {
    match step().and_then(|()| fs::create_dir(path)) {
        Ok(()) => super::sync_folder(super::parent(path)).map(|()| true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(cannot("create", path, &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_locked_once_and_the_second_is_told_by_whom() {
        let folder = tempfile::tempdir().unwrap();
        let lock = Lock::take(folder.path()).unwrap();
        assert!(lock.holds());
        let Err(Error::Usage(why)) = Lock::take(folder.path()) else { panic!("it is locked") };
        assert!(why.contains(&format!("process {}", std::process::id())), "{why}");
        drop(lock);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left of it");
        // What a killed process leaves is no lock.
        fs::write(folder.path().join(FILE), "process 1 on elsewhere\n").unwrap();
        let lock = Lock::take(folder.path()).unwrap();
        let note = fs::read_to_string(folder.path().join(FILE)).unwrap();
        assert!(
            lock.holds() && note.contains(&std::process::id().to_string()) && !note.contains("elsewhere"),
            "{note}"
        );
    }

    #[test]
    fn of_many_that_want_a_folder_at_a_time_one_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let inside = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let Ok(_lock) = Lock::take(folder.path()) else { continue };
                        assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                    }
                });
            }
        });
        let made = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let new = create_new_folder(&folder.path().join("run")).unwrap();
                    made.fetch_add(usize::from(new), std::sync::atomic::Ordering::SeqCst);
                });
            }
        });
        assert_eq!(made.into_inner(), 1, "one of them has made it");
    }
}
