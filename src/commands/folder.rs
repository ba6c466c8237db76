//! Folders that commands make: new ones, made by one process alone, and runs that one process alone trains.

use crate::checkpoint::sweep::Sweep;
use crate::checkpoint::{self, find};
use crate::data::grids;
use crate::durable::lock::{self, Lock, create_new_folder};
use crate::durable::{self, TEMPORARY};
use crate::error::{Error, Result};
use crate::report::Report;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// How often a folder is made that another process takes away again.
const ATTEMPTS: usize = 10;

/// Checks that `--out` names a folder that is new or empty; `else_do` is what else may be done where it is not.
///
/// # Errors
/// [`Error::Usage`] where the folder is not empty, [`Error::Disk`] where it cannot be looked into.
pub fn check_empty(folder: &Path, else_do: &str) -> Result<()> {
    match fs::read_dir(folder).map(|mut entries| entries.next().is_none()) {
        Ok(false) => Err(not_empty(folder, else_do)),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(durable::cannot("write", folder, &error)),
        _ => Ok(()),
    }
}

fn not_empty(folder: &Path, else_do: &str) -> Error {
    Error::Usage(format!("--out {}: the folder is not empty; name a new one{else_do}", folder.display()))
}

/// A run folder that this process has to itself, and that can be taken away again while it holds nothing of worth.
pub struct Folder {
    path: PathBuf,
    /// It and those above it that did not exist before, the innermost first.
    made: Vec<PathBuf>,
    /// Its own, and those of the members in it.
    locks: Vec<Lock>,
}

impl Folder {
    /// Makes the folder and those above it that are missing. One that exists has to be empty, or to hold nothing but the
    /// start of a run that never came to a checkpoint, which goes.
    ///
    /// # Errors
    /// [`Error::Disk`] where it cannot be made; [`Error::Usage`] where others keep their files there or train in it.
    pub fn take(path: &Path, else_do: &str, report: &Report) -> Result<Self> {
        let occupied = || check_empty(path, else_do).is_err() && !is_start(path);
        // Nothing is written where others keep their files; but who trains there is told by the lock.
        if path.is_dir() && occupied() && !path.join(lock::FILE).exists() {
            return Err(not_empty(path, else_do));
        }
        let missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
        let made = path.ancestors().take_while(missing).map(Path::to_owned).collect();
        let attempt = || durable::create_folder(path).and_then(|()| Lock::take(path));
        // Whoever has a folder to itself and does not begin takes it away.
        let vanished = |taken: &Result<Lock>| matches!(taken, Err(Error::Disk(_))) && !path.exists();
        let mut taken = attempt();
        for _ in 1..ATTEMPTS {
            if vanished(&taken) {
                taken = attempt();
            }
        }
        let folder = Self { path: path.to_owned(), made, locks: vec![told(taken?, path, report)] };
        if check_empty(path, else_do).is_ok() || names(path) == [lock::FILE] {
            return Ok(folder);
        }
        if !is_start(path) {
            return Err(not_empty(path, else_do));
        }
        report.note(&format!("taken    {}: what was begun there came to no checkpoint", path.display()));
        clear(path);
        Ok(folder)
    }

    /// Makes the next free `above/NAME-N`: of several processes each gets another.
    ///
    /// # Errors
    /// Those of making a folder and of its lock.
    pub fn next(above: &Path, name: &str, report: &Report) -> Result<Self> {
        let mut made: Vec<PathBuf> = if above.exists() { vec![] } else { vec![above.to_owned()] };
        durable::create_folder(above)?;
        for n in 1..usize::MAX {
            let path = above.join(format!("{name}-{n}"));
            if !path.exists() && create_new_folder(&path)? {
                made.insert(0, path.clone());
                let lock = told(Lock::take(&path)?, &path, report);
                return Ok(Self { path, made, locks: vec![lock] });
            }
        }
        Err(Error::Disk(format!("{}: there is no free number for {name}", above.display())))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes folders in it, for this process alone, too.
    ///
    /// # Errors
    /// Those of making a folder and of its lock.
    pub fn add(&mut self, inner: &[PathBuf], report: &Report) -> Result<()> {
        for path in inner.iter().filter(|path| **path != self.path) {
            if !path.exists() {
                self.made.insert(0, path.clone());
            }
            durable::create_folder(path)?;
            self.locks.push(told(Lock::take(path)?, path, report));
        }
        Ok(())
    }

    /// Takes it away again, with what a run writes in it; what others put there stays.
    pub fn remove(mut self) {
        clear(&self.path);
        self.made.iter().filter(|made| made.parent() == Some(&self.path)).for_each(|member| clear(member));
        self.locks.clear();
        // What cannot be removed is left; the error that led here is the one to report.
        for folder in &self.made {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Takes the folders of a run that goes on for this process alone, and removes what killed processes left in them.
///
/// # Errors
/// [`Error::Usage`] that names the process which holds the lock of one of them.
pub fn go_on(folders: &[PathBuf], report: &Report) -> Result<Vec<Lock>> {
    let mut locks = Vec::new();
    for folder in folders {
        locks.push(told(Lock::take(folder)?, folder, report));
        checkpoint::clear_leftovers(&folder.join("checkpoints"));
        // Other commands may be writing pictures and tables just now.
        let of_runs = |name: &str| WRITTEN.contains(&name) || name.starts_with("epoch-") || is_reconstruction(name);
        for inside in [folder.clone(), folder.join("samples")] {
            for name in names(&inside).iter().filter(|name| finished(name).is_some_and(of_runs)) {
                let _ = fs::remove_file(inside.join(name));
            }
        }
    }
    Ok(locks)
}

/// What a training process writes in a run's folder beside checkpoints and samples.
const WRITTEN: [&str; 5] = ["config.toml", "sweep.toml", "metrics.csv", "members.csv", "best"];

/// Whether a name is that of a picture of reconstructions after an epoch.
fn is_reconstruction(name: &str) -> bool {
    name.strip_prefix("reconstruction-").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// What an unfinished file was to be called; those of older programs name no process.
fn finished(name: &str) -> Option<&str> {
    let rest = name.strip_prefix(TEMPORARY)?;
    let named = rest.split_once('-').filter(|(process, _)| process.bytes().all(|c| c.is_ascii_digit()));
    Some(named.map_or(rest, |(_, name)| name))
}

/// Passes a lock on; where the file system knows none, that is said.
fn told(lock: Lock, folder: &Path, report: &Report) -> Lock {
    if !lock.holds() {
        let folder = folder.display();
        report.warn(&format!(
            "{folder}: the file system has no locks, so nothing keeps another process from training here"
        ));
    }
    lock
}

/// Whether a folder holds what was begun and came to no checkpoint, and nothing else: of a sweep, to none of some member.
/// Whatever may be somebody's own makes it none.
pub fn is_start(folder: &Path) -> bool {
    let inside = names(folder);
    let members = match Sweep::read(folder) {
        Ok(sweep) => sweep.map(|sweep| sweep.folders(folder)),
        Err(_) => return false,
    };
    let has_none = |member: &PathBuf| !names(&member.join("checkpoints")).iter().any(|name| find::is_name(name));
    if members.as_ref().is_some_and(|members| !members.iter().any(has_none)) {
        return false;
    }
    // What is there before the configuration is empty.
    let began = members.is_some() || inside.iter().any(|name| name == "config.toml");
    let of_start = |name: &String| {
        let path = folder.join(name);
        match members.as_ref().filter(|members| is_folder(&path) && members.contains(&path)) {
            Some(_) => names(&path).iter().all(|inner| belongs(&path, inner, true)),
            None if name == "sweep.toml" => members.is_some(),
            None if began => belongs(folder, name, false),
            None => name == lock::FILE || (is_place(&path, name) && names(&path).is_empty()),
        }
    };
    inside.iter().any(|name| name != lock::FILE) && inside.iter().all(of_start)
}

/// Whether an entry of a run's folder may be there before its first checkpoint; `first`: or beside its first.
fn belongs(folder: &Path, name: &str, first: bool) -> bool {
    let path = folder.join(name);
    match name {
        lock::FILE => true,
        name if is_codes(&path, name) => true,
        "config.toml" => fs::read(&path).is_ok_and(|text| text.starts_with(b"# elbo ")),
        "samples" => is_folder(&path) && names(&path).iter().all(|name| is_unfinished(name)),
        "checkpoints" => {
            let beginning = |name: &String| first && (name == "last" || find::is_first(name));
            is_folder(&path) && names(&path).iter().all(|name| is_unfinished(name) || beginning(name))
        }
        name => is_unfinished(name),
    }
}

/// Whether a path is a folder itself and no link to one.
fn is_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.is_dir())
}

/// Whether a path is a folder in which a run keeps what it makes.
fn is_place(path: &Path, name: &str) -> bool {
    ["checkpoints", "samples"].contains(&name) && is_folder(path)
}

/// Whether a path is the folder of the codes that a prior is trained on.
fn is_codes(path: &Path, name: &str) -> bool {
    name == grids::FOLDER && is_folder(path) && grids::is_in(path)
}

/// Whether a name is that of what a process was writing when it ended.
fn is_unfinished(name: &str) -> bool {
    let named = name.strip_prefix(TEMPORARY).and_then(|rest| rest.split_once('-'));
    named.is_some_and(|(process, _)| !process.is_empty() && process.bytes().all(|c| c.is_ascii_digit()))
}

/// Removes what a run writes in its folder, and that of the members of a sweep.
fn clear(folder: &Path) {
    let members = Sweep::read(folder).ok().flatten().map_or(vec![], |sweep| sweep.folders(folder));
    for name in names(folder) {
        let path = folder.join(&name);
        if is_place(&path, &name)
            || is_codes(&path, &name)
            || (members.contains(&path) && path != folder && is_folder(&path))
        {
            let _ = fs::remove_dir_all(&path);
        } else if WRITTEN.contains(&name.as_str()) || is_unfinished(&name) {
            let _ = if is_folder(&path) { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
    }
}

/// The names in a folder; none where it cannot be read.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Options;

    fn silent() -> Report {
        Report::to(Options::default(), Box::new(std::io::sink()), Box::new(std::io::sink()))
    }

    /// A folder with these files, and folders where a name ends in a slash.
    fn with(paths: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in paths {
            let whole = folder.path().join(path);
            if path.ends_with('/') {
                fs::create_dir_all(whole).unwrap();
            } else {
                fs::create_dir_all(whole.parent().unwrap()).unwrap();
                fs::write(whole, text).unwrap();
            }
        }
        folder
    }

    #[test]
    fn only_what_came_to_no_checkpoint_is_taken_over() {
        const CONFIG: (&str, &str) = ("config.toml", "# elbo 0.1.0\n");
        const SWEEP: (&str, &str) = ("sweep.toml", "varied = []\nmembers = [\"member-00\", \"member-01\"]\n");
        let first = ("member-00/checkpoints/step-0000000000/manifest.json", "{}");
        for (paths, expected) in [
            (&[][..], false),
            (&[(".lock", "process 1\n")], false),
            (&[("checkpoints/", ""), ("samples/", ""), CONFIG, (".lock", "")], true),
            (&[("checkpoints/.tmp-7-step-0000000000/progress.json", "{"), CONFIG], true),
            (&[("checkpoints/step-0000000000/manifest.json", "{}"), CONFIG], false),
            (&[("samples/mine.png", ""), CONFIG], false),
            (&[("config.toml", "name = \"mine\"\n")], false),
            (&[CONFIG, ("codes/codes.json", "{}"), ("codes/codes.npy", "")], true),
            (&[("codes/codes.json", "{}")], false),
            (&[CONFIG, ("codes/mine.npy", "")], false),
            (&[CONFIG, ("notes.txt", "")], false),
            (&[CONFIG, ("metrics.csv", "")], false),
            (&[SWEEP, first, ("member-00/checkpoints/last", ""), ("member-01/checkpoints/", "")], true),
            (&[first, ("member-01/checkpoints/", "")], false),
            // What a sweep that was killed before it named its members left might be somebody's.
            (&[("member-00/checkpoints/", ""), ("member-01/config.toml", "# elbo 0.1.0\n")], false),
            (&[("checkpoints/", "")], true),
            (&[("member-data.csv", "1,2\n")], false),
            (&[("member-notes/", ""), CONFIG], false),
            (&[("samples", "precious"), CONFIG], false),
            (&[("checkpoints", "precious")], false),
            (&[(".tmp-mine", "precious"), CONFIG], false),
            (&[SWEEP, ("member-data.csv", "1,2\n")], false),
            (&[SWEEP, first, ("member-01/checkpoints/step-0000000000/manifest.json", "{}")], false),
            (&[SWEEP, ("member-00/checkpoints/step-0000000005/x", ""), ("member-01/checkpoints/", "")], false),
            (&[SWEEP, ("member-00/notes.txt", "")], false),
        ] {
            let folder = with(paths);
            assert_eq!(is_start(folder.path()), expected, "{paths:?}");
            let report = silent();
            let taken = Folder::take(folder.path(), "", &report);
            let free = expected || paths.is_empty() || paths[0].0 == ".lock";
            assert_eq!(taken.is_ok(), free, "{paths:?}");
            if let Ok(taken) = taken {
                assert_eq!(names(folder.path()), [lock::FILE], "{paths:?}");
                fs::write(folder.path().join("config.toml"), "").unwrap();
                fs::write(folder.path().join("of-others.txt"), "").unwrap();
                taken.remove();
                assert_eq!(names(folder.path()), ["of-others.txt"], "{paths:?}");
            } else {
                assert!(paths.iter().all(|(path, _)| folder.path().join(path).exists()), "{paths:?}");
            }
        }
    }

    #[test]
    fn of_many_that_begin_at_a_time_each_has_a_folder_of_its_own_or_is_refused() {
        let above = tempfile::tempdir().unwrap();
        let begin = |path: Option<&Path>| {
            let report = silent();
            match path {
                None => Folder::next(&above.path().join("runs"), "classic", &report),
                Some(path) => Folder::take(path, "", &report),
            }
        };
        let all = |path: Option<&Path>| {
            std::thread::scope(|scope| {
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(move || begin(path))).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
            })
        };
        let mut paths: Vec<PathBuf> = all(None).into_iter().map(|made| made.unwrap().path().to_owned()).collect();
        paths.sort();
        paths.dedup();
        assert_eq!(paths.len(), 8, "{paths:?}");
        let same = above.path().join("a/b");
        let made = all(Some(&same));
        let (won, lost): (Vec<_>, Vec<_>) = made.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1);
        for lost in lost {
            let Err(Error::Usage(why)) = lost else { panic!("it is a matter of usage") };
            assert!(
                why.contains(&format!("process {}", std::process::id())) || why.contains("another process"),
                "{why}"
            );
        }
        assert_eq!(names(&same), [lock::FILE], "the winner's folder is as it was");
    }

    #[test]
    fn what_killed_processes_left_goes_and_what_others_write_stays() {
        let left = [
            "checkpoints/.tmp-7-step-0000000005/x",
            ".tmp-7-metrics.csv",
            ".tmp-config.toml",
            "samples/.tmp-7-epoch-0001.png",
        ];
        let others =
            [".tmp-7-threshold.json", "samples/.tmp-7-prior-step-5.png", "samples/.tmp-7-reconstruction-step-5.png"];
        let folder = with(&[&left[..], &others[..]].concat().iter().map(|path| (*path, "")).collect::<Vec<_>>());
        drop(go_on(&[folder.path().to_owned()], &silent()).unwrap());
        for (paths, stays) in [(&left[..], false), (&others[..], true)] {
            for path in paths {
                assert_eq!(folder.path().join(path).exists(), stays, "{path}");
            }
        }
    }
}
