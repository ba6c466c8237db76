//! From what a person names (a run, a folder in it, a pointer) to the checkpoint that is meant.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::{Checkpoint, load};
use crate::durable::{self, Flush};
use crate::error::{Error, Result};

/// Which of a run's checkpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The newest.
    Last,
    /// The one with the best validation score.
    Best,
}

impl Which {
    /// The file in the checkpoints folder that names this one.
    fn pointer(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::Best => "best",
        }
    }
}

/// The checkpoint folder that `run` means: a run folder, its `checkpoints` folder, `last` or `best` in it, or a
/// checkpoint folder itself. The last two say which one they mean; `which` decides for the first two.
///
/// # Errors
/// [`Error::Data`] if there is none; whether the one found is whole is for [`load`] to say.
pub fn locate(run: &Path, which: Which) -> Result<PathBuf> {
    let folder = match place(run)? {
        Located::Checkpoint(path) => return Ok(path),
        Located::Last(folder) => return newest(&folder),
        Located::Folder(folder) => folder,
    };
    match which {
        Which::Last => newest(&folder),
        Which::Best => named_by(&folder, Which::Best),
    }
}

/// The newest checkpoint that is whole, and one warning for each newer one that is not, saying what is wrong with it.
///
/// Accepts what [`locate`] accepts. Only a run has something to fall back on: a checkpoint that is itself named, or
/// `best`, is loaded or is an error.
///
/// # Errors
/// [`Error::Data`] if no checkpoint is whole, saying what is wrong with each.
pub fn load_latest(run: &Path) -> Result<(Checkpoint, Vec<String>)> {
    find_latest(run).map(|(_, checkpoint, warnings)| (checkpoint, warnings))
}

/// [`load_latest`], and the folder of the checkpoint that it found.
///
/// # Errors
/// Those of [`load_latest`].
pub fn find_latest(run: &Path) -> Result<(PathBuf, Checkpoint, Vec<String>)> {
    let folder = match place(run)? {
        Located::Checkpoint(path) => {
            let checkpoint = load(&path)?;
            return Ok((path, checkpoint, Vec::new()));
        }
        Located::Last(folder) | Located::Folder(folder) => folder,
    };
    let mut wrong = Vec::new();
    let last = pointed(&folder, Which::Last).unwrap_or_else(|e| {
        wrong.push(e.to_string());
        None
    });
    let all = list(&folder)?;
    if let Some(name) = last.filter(|name| !all.contains(name)) {
        wrong.push(format!("{} names {name}, which does not exist", folder.join("last").display()));
    }
    // What lies beyond `last` belongs to a save that did not finish or a course that was given up: only if all else fails.
    let beyond = |name: &Name| last.is_some_and(|last| *name > last);
    let (late, early): (Vec<Name>, Vec<Name>) = all.into_iter().partition(beyond);
    for name in early.into_iter().chain(late) {
        let path = folder.join(name.to_string());
        match load(&path) {
            Ok(checkpoint) => {
                let warnings = wrong.into_iter().map(|why| format!("{why}; going on from {name}")).collect();
                return Ok((path, checkpoint, warnings));
            }
            Err(error) => wrong.push(error.to_string()),
        }
    }
    if wrong.is_empty() {
        return Err(none_in(&folder));
    }
    Err(Error::Data(format!("no whole checkpoint in {}: {}", folder.display(), wrong.join("; "))))
}

/// Lets `last` of each of these folders of checkpoints name the newest one before `step`, since what comes from there on
/// turned out to be useless; the next save removes it. Where one of them has none before, nothing changes, and it is false.
///
/// # Errors
/// [`Error::Data`] and [`Error::Disk`] where a folder cannot be read, or `last` in it not be written.
pub fn give_up_from(folders: &[PathBuf], step: u64) -> Result<bool> {
    let before = |folder: &PathBuf| Ok(list(folder)?.into_iter().filter(|name| name.step < step).max());
    let Some(names) = folders.iter().map(before).collect::<Result<Option<Vec<Name>>>>()? else { return Ok(false) };
    folders.iter().zip(names).try_for_each(|(folder, name)| point(folder, Which::Last, name, Flush::Now))?;
    Ok(true)
}

/// How many steps the newest checkpoint in the folder of this one has, where they are more than its own.
pub fn steps_beyond(path: &Path) -> Option<u64> {
    let own = Name::parse(&path.file_name()?.to_string_lossy())?;
    list(path.parent()?).ok()?.first().filter(|newest| newest.step > own.step).map(|newest| newest.step)
}

/// What a run came to: the newest checkpoint, as [`load_latest`] finds it, or the best one of a run that stopped early.
/// A checkpoint that is itself named is what it is.
///
/// # Errors
/// Those of [`load_latest`].
pub fn load_result(run: &Path) -> Result<(Checkpoint, Vec<String>)> {
    let (latest, mut warnings) = load_latest(run)?;
    if !latest.progress.course.stopped || !matches!(place(run)?, Located::Folder(_)) {
        return Ok((latest, warnings));
    }
    match locate(run, Which::Best).and_then(|best| load(&best)) {
        Ok(best) => Ok((best, warnings)),
        Err(error) => {
            warnings.push(format!("{error}; taking the newest checkpoint in place of the best one"));
            Ok((latest, warnings))
        }
    }
}

/// Whether this is the name of a checkpoint.
pub fn is_name(name: &str) -> bool {
    Name::parse(name).is_some()
}

/// Whether this is the name of a checkpoint from before the first step.
pub fn is_first(name: &str) -> bool {
    Name::parse(name).is_some_and(|name| name.step == 0)
}

/// A checkpoint folder's name: `step-0000001234`, or `step-0000001234.2` for the second of that step. Later is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) step: u64,
    copy: u32,
}

impl Name {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let number = text.strip_prefix("step-")?;
        let (step, copy) = number.split_once('.').unwrap_or((number, "1"));
        let name = Self { step: step.parse().ok()?, copy: copy.parse().ok()? };
        // Other ways to write the same numbers would not lead back to the folder.
        (name.to_string() == text).then_some(name)
    }

    /// The first name for this step that nothing in the folder has.
    pub(super) fn unused(folder: &Path, step: u64) -> Self {
        let mut name = Self { step, copy: 1 };
        while folder.join(name.to_string()).symlink_metadata().is_ok() {
            name.copy += 1;
        }
        name
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.copy {
            1 => write!(f, "step-{:010}", self.step),
            copy => write!(f, "step-{:010}.{copy}", self.step),
        }
    }
}

/// All checkpoints in a folder, the newest first.
pub(super) fn list(folder: &Path) -> Result<Vec<Name>> {
    let unreadable = |e| Error::Data(format!("cannot read {}: {e}", folder.display()));
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if entry.path().is_dir() {
            names.extend(Name::parse(&entry.file_name().to_string_lossy()));
        }
    }
    names.sort_unstable_by(|a, b| b.cmp(a));
    Ok(names)
}

/// Lets a pointer name a checkpoint, atomically.
pub(super) fn point(folder: &Path, which: Which, name: Name, flush: Flush) -> Result<()> {
    durable::replace_file_with(&folder.join(which.pointer()), format!("{name}\n").as_bytes(), flush)
}

/// What a pointer names, if there is such a pointer.
pub(super) fn pointed(folder: &Path, which: Which) -> Result<Option<Name>> {
    let path = folder.join(which.pointer());
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::Data(format!("cannot read {}: {e}", path.display()))),
    };
    match Name::parse(text.trim_end()) {
        Some(name) => Ok(Some(name)),
        None => Err(Error::Data(format!("{} is damaged: it does not name a checkpoint", path.display()))),
    }
}

/// What a path turned out to be.
enum Located {
    /// One checkpoint, wherever it lies.
    Checkpoint(PathBuf),
    /// The newest in this checkpoints folder, whichever that is.
    Last(PathBuf),
    /// A checkpoints folder, without a word on which one is meant.
    Folder(PathBuf),
}

fn place(run: &Path) -> Result<Located> {
    let name = run.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    if run.is_file() {
        let folder = run.parent().unwrap_or(Path::new("")).to_path_buf();
        return match name.as_str() {
            "last" => Ok(Located::Last(folder)),
            "best" => named_by(&folder, Which::Best).map(Located::Checkpoint),
            _ => Err(Error::Data(format!("{} is a file, not a run folder", run.display()))),
        };
    }
    if !run.is_dir() {
        return Err(Error::Data(format!(
            "no such folder: {}; expected a run folder or a checkpoint in it (`elbo runs` lists the runs in ./runs)",
            run.display()
        )));
    }
    if Name::parse(&name).is_some() || run.join(super::manifest::FILE).is_file() {
        return Ok(Located::Checkpoint(run.to_path_buf()));
    }
    let folder = run.join("checkpoints");
    Ok(Located::Folder(if folder.is_dir() { folder } else { run.to_path_buf() }))
}

/// Where `last` points; a killed first save may have left a checkpoint and no pointer yet.
fn newest(folder: &Path) -> Result<PathBuf> {
    if pointed(folder, Which::Last)?.is_some() {
        return named_by(folder, Which::Last);
    }
    match list(folder)?.first() {
        Some(name) => Ok(folder.join(name.to_string())),
        None => Err(none_in(folder)),
    }
}

fn named_by(folder: &Path, which: Which) -> Result<PathBuf> {
    let pointer = which.pointer();
    let Some(name) = pointed(folder, which)? else {
        if list(folder)?.is_empty() {
            return Err(none_in(folder));
        }
        let folder = folder.display();
        return Err(Error::Data(format!("no checkpoint in {folder} is marked as {pointer}: name one of them")));
    };
    let path = folder.join(name.to_string());
    if path.is_dir() {
        return Ok(path);
    }
    let folder = folder.display();
    Err(Error::Data(format!("{folder}/{pointer} names {name}, which does not exist: name another checkpoint")))
}

fn none_in(folder: &Path) -> Error {
    Error::Data(format!("no checkpoint in {}: train it first", folder.display()))
}
