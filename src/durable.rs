//! Writing so that a crash, a full disk or a pulled plug leaves either the old file or the new one, never a half.
//!
//! A new name is only given to bytes that have reached the disk: write under another name, fsync, rename, fsync the
//! folder that holds the name. What can be made again may wait for its fsync: see [`Flush`].

pub mod lock;
pub mod scratch;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Unfinished files and folders start with this, then with the process that writes them. Nobody but that process takes
/// one away, unless a [`lock`] says that there is none.
pub const TEMPORARY: &str = ".tmp-";

/// When bytes have to reach the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flush {
    /// Before they get their name: a power cut leaves the old or the new.
    Now,
    /// When the operating system likes. A process that is killed still leaves the old or the new; a power cut may leave
    /// less, even an empty file, so something that was flushed has to stand beside it, or nothing be lost with it but a picture.
    Later,
}

/// What this process calls `name` while it is unfinished.
pub fn temporary(name: &str) -> String {
    format!("{TEMPORARY}{}-{name}", std::process::id())
}

/// Whether a name is an unfinished one of this process.
pub fn is_own_temporary(name: &str) -> bool {
    name.starts_with(&temporary(""))
}

/// Puts `bytes` at `path`, atomically: a reader finds the old content or the new one, also after a crash.
///
/// What is no regular file, such as `/dev/stdout`, is written in place: renaming would put a file where it was.
///
/// # Errors
/// [`Error::Disk`], naming the path and the cause.
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<()> {
    replace_file_with(path, bytes, Flush::Now)
}

/// [`replace_file`] that flushes now or later.
///
/// # Errors
/// Those of [`replace_file`].
pub fn replace_file_with(path: &Path, bytes: &[u8], flush: Flush) -> Result<()> {
    let path = match fs::metadata(path) {
        Ok(found) if found.is_file() => fs::canonicalize(path).map_err(|e| cannot("write", path, &e))?,
        Ok(_) => return fs::write(path, bytes).map_err(|e| cannot("write", path, &e)),
        Err(_) => path.to_path_buf(),
    };
    let temporary = temporary_beside(&path)?;
    write_as(&temporary, &path, bytes, flush)?;
    if let Err(error) = rename(&temporary, &path) {
        // The error that counts is the first one; the leftover's name says that it is one.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    if flush == Flush::Now { sync_folder(parent(&path)) } else { Ok(()) }
}

/// Whether a folder is that of a run or of a sweep.
pub fn is_run(folder: &Path) -> bool {
    folder.join("checkpoints").is_dir() || folder.join("sweep.toml").is_file()
}

/// Writes `bytes` to a file at `path` and returns once they are on the disk; after a failure there is no such file.
///
/// The name itself is safe only after [`sync_folder`] of its parent. To change a file that matters use [`replace_file`].
///
/// # Errors
/// [`Error::Disk`], naming the path and the cause.
pub fn write_durably(path: &Path, bytes: &[u8]) -> Result<()> {
    write_as(path, path, bytes, Flush::Now)
}

/// Writes `bytes` to a file at `path`; errors name `shown`.
pub(crate) fn write_as(path: &Path, shown: &Path, bytes: &[u8], flush: Flush) -> Result<()> {
    let written = (|| {
        step()?;
        let mut file = File::create(path)?;
        step()?;
        file.write_all(bytes)?;
        if flush == Flush::Later {
            return Ok(());
        }
        step()?;
        file.sync_all()
    })();
    written.map_err(|e| {
        let _ = fs::remove_file(path);
        cannot("write", shown, &e)
    })
}

/// Appends `bytes` to a file that exists, and flushes them later.
///
/// # Errors
/// [`Error::Disk`], naming the path and the cause.
pub fn append(path: &Path, bytes: &[u8]) -> Result<()> {
    let opened = step().and_then(|()| File::options().append(true).open(path));
    opened.and_then(|mut file| file.write_all(bytes)).map_err(|e| cannot("write", path, &e))
}

/// Flushes what was written to a file, if there is such a file.
///
/// # Errors
/// [`Error::Disk`], naming the path and the cause.
pub fn flush_file(path: &Path) -> Result<()> {
    match step().and_then(|()| File::options().append(true).open(path)?.sync_all()) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(cannot("write", path, &e)),
        _ => Ok(()),
    }
}

/// Puts a folder with these files at `path`, atomically: it is there whole or not at all. What stands there may only be
/// an empty folder.
///
/// # Errors
/// [`Error::Disk`], naming the path and the cause.
pub fn publish_folder(path: &Path, files: &[(String, Vec<u8>)]) -> Result<()> {
    publish(path, |temporary| files.iter().try_for_each(|(name, bytes)| write_durably(&temporary.join(name), bytes)))
}

/// The same with what `fill` puts into the folder that it is given.
///
/// # Errors
/// Those of `fill`; [`Error::Disk`], naming the path and the cause.
pub fn publish(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    // A path such as `a/..` has no name of its own to write beside.
    let path =
        &if path.is_dir() { fs::canonicalize(path).map_err(|e| cannot("write", path, &e))? } else { path.into() };
    create_folder(parent(path))?;
    let temporary = temporary_beside(path)?;
    let published = (|| {
        // Whatever bears this name was left behind by a process that was killed.
        let _ = fs::remove_dir_all(&temporary);
        create_folder(&temporary)?;
        fill(&temporary)?;
        sync_folder(&temporary)?;
        if path.is_dir() {
            fs::remove_dir(path).map_err(|e| cannot("write", path, &e))?;
        }
        rename(&temporary, path)
    })();
    if published.is_err() {
        let _ = fs::remove_dir_all(&temporary);
    }
    published.and_then(|()| sync_folder(parent(path)))
}

/// Makes the names in a folder (new, renamed or removed files) survive a crash.
///
/// # Errors
/// [`Error::Disk`], naming the folder and the cause.
pub fn sync_folder(path: &Path) -> Result<()> {
    // Windows has no handle for this and keeps names in its journal; some network file systems refuse and do likewise.
    if cfg!(windows) {
        return Ok(());
    }
    match step().and_then(|()| File::open(path)?.sync_all()) {
        Err(e) if !matches!(e.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => {
            Err(cannot("sync", path, &e))
        }
        _ => Ok(()),
    }
}

/// Gives a file or folder another name on the same disk, atomically.
///
/// # Errors
/// [`Error::Disk`], naming the new path and the cause.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    step().and_then(|()| fs::rename(from, to)).map_err(|e| cannot("write", to, &e))
}

/// Makes a folder and those above it, where missing.
///
/// # Errors
/// [`Error::Disk`], naming the folder and the cause.
pub fn create_folder(path: &Path) -> Result<()> {
    create_folder_with(path, Flush::Now)
}

/// [`create_folder`] that flushes now or later.
pub(crate) fn create_folder_with(path: &Path, flush: Flush) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    create_folder_with(parent(path), flush)?;
    // Not `create_dir`: another process may have been faster.
    step().and_then(|()| fs::create_dir_all(path)).map_err(|e| cannot("create", path, &e))?;
    if flush == Flush::Now { sync_folder(parent(path)) } else { Ok(()) }
}

/// The error for an attempt at `path` that the operating system refused: "cannot write a/b: no space left on the disk".
pub fn cannot(verb: &str, path: &Path, cause: &io::Error) -> Error {
    let cause = match cause.kind() {
        ErrorKind::StorageFull => "no space left on the disk".to_string(),
        ErrorKind::QuotaExceeded => "the disk quota is used up".to_string(),
        ErrorKind::FileTooLarge => "files may not be that large here (ulimit -f)".to_string(),
        ErrorKind::PermissionDenied => "permission denied".to_string(),
        ErrorKind::ReadOnlyFilesystem => "the file system is read-only".to_string(),
        ErrorKind::NotFound => "there is no such folder".to_string(),
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => "a file stands where a folder should be".to_string(),
        ErrorKind::IsADirectory => "there is a folder of that name".to_string(),
        _ => cause.to_string(),
    };
    Error::Disk(format!("cannot {verb} {}: {cause}", path.display()))
}

/// The user's folder for what can be made or fetched again.
pub fn cache() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = std::env::home_dir();
    let system = match () {
        () if cfg!(windows) => folder("LOCALAPPDATA"),
        () if cfg!(target_os = "macos") => home.map(|home| home.join("Library/Caches")),
        () => home.map(|home| home.join(".cache")),
    };
    folder("XDG_CACHE_HOME").or(system).map(|cache| cache.join("elbo"))
}

/// `folder/.tmp-PROCESS-name` for `folder/name`.
fn temporary_beside(path: &Path) -> Result<PathBuf> {
    let Some(name) = path.file_name() else {
        return Err(Error::Disk(format!("cannot write {}: it is no file name", path.display())));
    };
    let mut unfinished = OsString::from(temporary(""));
    unfinished.push(name);
    Ok(path.with_file_name(unfinished))
}

/// The folder that holds a name; a bare name lies in the working directory.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Stands before everything that touches the disk, so that tests can make each such step fail.
#[cfg(not(test))]
#[expect(clippy::unnecessary_wraps, reason = "the variant for tests fails")]
fn step() -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
use fault::step;

/// Faults on demand: the n-th step of this thread that touches the disk finds it full, or is the process's last.
#[cfg(test)]
pub(crate) mod fault {
    use std::cell::Cell;
    use std::io;
    use std::panic;

    /// What happens at the chosen step.
    #[derive(Debug, Clone, Copy, PartialEq)]
    pub enum Fault {
        /// The step fails, and the code gets to clean up behind itself.
        DiskFull,
        /// The process is gone: the step unwinds, and nothing after it runs.
        Killed,
    }

    thread_local! {
        static ARMED: Cell<Option<(usize, Fault)>> = const { Cell::new(None) };
    }

    /// Lets `steps` steps pass and hits the next one.
    pub fn arm(steps: usize, fault: Fault) {
        ARMED.set(Some((steps, fault)));
    }

    /// Takes back a fault; whether it had struck.
    pub fn disarm() -> bool {
        ARMED.take().is_none()
    }

    pub(super) fn step() -> io::Result<()> {
        match ARMED.get() {
            None => Ok(()),
            Some((0, fault)) => {
                ARMED.set(None);
                match fault {
                    Fault::DiskFull => Err(io::ErrorKind::StorageFull.into()),
                    Fault::Killed => panic::resume_unwind(Box::new(Fault::Killed)),
                }
            }
            Some((steps, fault)) => {
                ARMED.set(Some((steps - 1, fault)));
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all_wherever_the_disk_fills_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        replace_file(&path, b"old").unwrap();
        let mut steps = 0;
        loop {
            fault::arm(steps, fault::Fault::DiskFull);
            let result = replace_file(&path, b"new and longer");
            if !fault::disarm() {
                break assert_eq!(result, Ok(()));
            }
            let Err(Error::Disk(message)) = result else { panic!("step {steps}: {result:?}") };
            assert!(message.ends_with("no space left on the disk"), "{message}");
            let content = fs::read(&path).unwrap();
            assert!(content == b"old" || content == b"new and longer", "step {steps}: {content:?}");
            assert_eq!(names(folder.path()), ["metrics.csv"], "step {steps}");
            steps += 1;
        }
        assert_eq!(steps, 5, "create, write, fsync, rename, fsync of the folder");
        assert_eq!(fs::read(&path).unwrap(), b"new and longer");
    }

    #[test]
    fn a_folder_is_published_whole_or_not_at_all_wherever_the_disk_fills_up() {
        let files = [("a".to_owned(), b"1".to_vec()), ("b".to_owned(), b"22".to_vec())];
        for empty in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("model");
            let mut steps = 0;
            loop {
                if empty {
                    create_folder(&path).unwrap();
                }
                fault::arm(steps, fault::Fault::DiskFull);
                let result = publish_folder(&path, &files);
                if !fault::disarm() {
                    break assert_eq!(result, Ok(()));
                }
                assert!(matches!(result, Err(Error::Disk(_))), "step {steps}: {result:?}");
                let there = names(folder.path());
                assert!(there.is_empty() || there == ["model"], "step {steps}: {there:?}");
                let inside = if path.is_dir() { names(&path) } else { vec![] };
                assert!(inside.is_empty() || inside == ["a", "b"], "step {steps}: {inside:?}");
                let _ = fs::remove_dir_all(&path);
                steps += 1;
            }
            assert!(steps >= 9, "{steps}");
            assert_eq!(fs::read(path.join("b")).unwrap(), b"22");
            fs::write(path.join("c"), "in the way").unwrap();
            assert!(publish_folder(&path, &files).is_err());
            assert_eq!(names(&path), ["a", "b", "c"], "what is there stays");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_really_full_device_is_named_with_its_cause() {
        let folder = tempfile::tempdir().unwrap();
        // A link, because what could not be written is removed, and /dev/full is not ours to remove.
        let link = folder.path().join("full");
        std::os::unix::fs::symlink("/dev/full", &link).unwrap();
        let message = format!("cannot write {}: no space left on the disk", link.display());
        assert_eq!(replace_file(&link, b"x"), Err(Error::Disk(message.clone())));
        assert!(link.exists(), "a device is written in place and stays");
        assert_eq!(write_durably(&link, b"x"), Err(Error::Disk(message)));
        assert!(!link.exists() && Path::new("/dev/full").exists());
    }

    #[test]
    fn each_obstacle_is_a_disk_error_that_names_the_path_and_the_cause() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "in the way").unwrap();
        for (result, path, cause) in [
            (replace_file(&file.join("x"), b""), file.join("x"), "a file stands where a folder should be"),
            (create_folder(&file), file.clone(), "a file stands where a folder should be"),
            (replace_file(&folder.path().join("no/x"), b""), folder.path().join("no/x"), "there is no such folder"),
            (replace_file(folder.path(), b""), folder.path().to_path_buf(), "there is a folder of that name"),
        ] {
            let Err(Error::Disk(message)) = result else { panic!("{result:?}") };
            assert!(message.contains(&path.display().to_string()) && message.ends_with(cause), "{message}");
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), "in the way");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_a_file_stays_a_link_and_the_file_gets_the_content() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        replace_file(&link, b"new").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
    }
}
