//! Several runs in one folder: models that trained side by side.
//!
//! ```text
//! SWEEP/sweep.toml     which members there are, what they differ in, which of them were given up and why
//! SWEEP/best           one line: the name of the member with the best score
//! SWEEP/member-00      the run folder of the first member, like any other
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::find::{self, Name};
use super::{Checkpoint, Which, load};
use crate::durable;
use crate::error::{Error, Result};

/// The file that makes a folder a sweep.
const FILE: &str = "sweep.toml";

/// The file that names the best member.
const BEST: &str = "best";

/// Which members there are, and what became of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    /// The keys of the configuration in which members differ.
    pub varied: Vec<String>,
    /// Names of the members' folders, in order.
    pub members: Vec<String>,
    /// Members that were given up, and why.
    #[serde(default)]
    pub lost: BTreeMap<String, String>,
}

impl Sweep {
    /// A sweep of so many members.
    pub fn new(varied: Vec<String>, members: usize) -> Self {
        let width = members.saturating_sub(1).to_string().len().max(2);
        let members = (0..members).map(|member| format!("member-{member:0width$}")).collect();
        Self { varied, members, lost: BTreeMap::new() }
    }

    /// The sweep in a folder, if it is one.
    ///
    /// # Errors
    /// [`Error::Data`] if its file is damaged.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
            Err(error) => return Err(Error::Data(format!("cannot read {}: {error}", path.display()))),
        };
        let damaged = |why: &str| Error::Data(format!("{} is damaged: {why}", path.display()));
        let sweep: Self = toml::from_str(&text).map_err(|error| damaged(error.message()))?;
        // Names come from a file, and must not lead out of its folder.
        let outside = |name: &&String| !name.starts_with("member-") || name.contains(['/', '\\']);
        match sweep.members.iter().find(outside) {
            Some(name) => Err(damaged(&format!("{name:?} is no name of a member"))),
            None if sweep.members.is_empty() => Err(damaged("it names no members")),
            None => Ok(Some(sweep)),
        }
    }

    /// Writes the file that makes `folder` a sweep.
    ///
    /// # Errors
    /// [`Error::Disk`] if writing fails; what stood there before still stands.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let text = toml::to_string(self).map_err(|error| Error::Bug(error.to_string()))?;
        let title = concat!("# elbo ", env!("CARGO_PKG_VERSION"), ": models that trained side by side\n");
        durable::replace_file(&folder.join(FILE), format!("{title}{text}").as_bytes())
    }

    /// The run folders of all members.
    pub fn folders(&self, folder: &Path) -> Vec<PathBuf> {
        self.members.iter().map(|name| folder.join(name)).collect()
    }

    /// Lets `best` name a member.
    ///
    /// # Errors
    /// [`Error::Disk`] if writing fails; `best` then names what it named before.
    pub fn mark_best(&self, folder: &Path, member: usize) -> Result<()> {
        let (path, text) = (folder.join(BEST), format!("{}\n", self.members[member]));
        if fs::read_to_string(&path).is_ok_and(|there| there == text) {
            return Ok(());
        }
        durable::replace_file(&path, text.as_bytes())
    }
}

/// What a path stands for: the best checkpoint of the best member where it is the `best` of a sweep, else itself.
///
/// # Errors
/// [`Error::Usage`] if it is a whole sweep where one model is wanted, [`Error::Data`] if the sweep is damaged.
pub fn one_model(path: &Path) -> Result<PathBuf> {
    if let Some(sweep) = Sweep::read(path)? {
        let shown = path.display();
        return Err(Error::Usage(format!(
            "{shown} holds {} models that trained side by side: name one of them, such as {shown}/{}, or {shown}/{BEST}",
            sweep.members.len(),
            sweep.members[0]
        )));
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let is_best = path.file_name().is_some_and(|name| name == BEST) && path.is_file();
    let Some(sweep) = Sweep::read(folder)?.filter(|_| is_best) else { return Ok(path.to_owned()) };
    let text = fs::read_to_string(path).map_err(|e| Error::Data(format!("cannot read {}: {e}", path.display())))?;
    match sweep.members.iter().find(|name| **name == text.trim_end()) {
        Some(name) => Ok(folder.join(name).join("checkpoints").join(BEST)),
        None => Err(Error::Data(format!("{} is damaged: it does not name a member", path.display()))),
    }
}

/// The newest checkpoints of several runs that belong to the same step, one for each run, and a warning for each that
/// is not whole. A process that is killed while it saves leaves some members a step ahead of the others.
///
/// # Errors
/// [`Error::Data`] if there is no such step.
pub fn load_common(runs: &[PathBuf]) -> Result<(Vec<Checkpoint>, Vec<String>)> {
    let folders: Vec<PathBuf> = runs.iter().map(|run| run.join("checkpoints")).collect();
    load_same_step(&folders)
}

/// [`load_common`] for the folders in which the checkpoints lie.
///
/// # Errors
/// [`Error::Data`] if there is no such step.
pub fn load_same_step(folders: &[PathBuf]) -> Result<(Vec<Checkpoint>, Vec<String>)> {
    let names: Vec<Vec<Name>> = folders.iter().map(|folder| vouched_for(folder)).collect::<Result<_>>()?;
    let mut warnings = Vec::new();
    let mut steps: Vec<u64> = names.first().into_iter().flatten().map(|name| name.step).collect();
    steps.dedup();
    'steps: for step in steps {
        if !names.iter().all(|names| names.iter().any(|name| name.step == step)) {
            continue;
        }
        let mut found = Vec::with_capacity(folders.len());
        for (folder, names) in folders.iter().zip(&names) {
            let copies = names.iter().filter(|name| name.step == step);
            let loaded = copies.map(|name| load(&folder.join(name.to_string())));
            let (mut whole, mut damaged) = (None, vec![]);
            for attempt in loaded {
                match attempt {
                    Ok(checkpoint) => whole = whole.or(Some(checkpoint)),
                    Err(error) => damaged.push(error.to_string()),
                }
            }
            warnings.extend(damaged);
            let Some(whole) = whole else { continue 'steps };
            found.push(whole);
        }
        return Ok((found, warnings));
    }
    let run = |folder: &PathBuf| folder.parent().unwrap_or(folder).display().to_string();
    let shown: Vec<String> = folders.iter().map(run).collect();
    let why = if warnings.is_empty() { String::new() } else { format!(" ({})", warnings.join("; ")) };
    Err(Error::Data(format!(
        "{} have no whole checkpoint of the same step{why}: resume them one by one",
        shown.join(", ")
    )))
}

/// The checkpoints up to the one that `last` names, the newest first: later ones belong to a save that did not finish,
/// or to a course that was given up.
fn vouched_for(folder: &Path) -> Result<Vec<Name>> {
    // A pointer that a power cut damaged vouches for nothing and rules out nothing: each checkpoint says itself whether
    // it is whole.
    let last = find::pointed(folder, Which::Last).unwrap_or_default();
    Ok(find::list(folder)?.into_iter().filter(|name| last.is_none_or(|last| *name <= last)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_is_read_as_it_was_written_and_names_its_best() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Sweep::read(folder.path()), Ok(None));
        let mut sweep = Sweep::new(vec!["objective.beta".into()], 101);
        assert_eq!((&sweep.members[0][..], &sweep.members[100][..]), ("member-000", "member-100"));
        sweep.lost.insert("member-007".into(), "the loss is \"NaN\"\nat step 3".into());
        sweep.write(folder.path()).unwrap();
        assert_eq!(Sweep::read(folder.path()), Ok(Some(sweep.clone())));
        sweep.mark_best(folder.path(), 42).unwrap();
        let best = one_model(&folder.path().join("best")).unwrap();
        assert_eq!(best, folder.path().join("member-042/checkpoints/best"));
        for other in ["member-001", "member-001/checkpoints/best", "nothing"] {
            assert_eq!(one_model(&folder.path().join(other)), Ok(folder.path().join(other)));
        }
        let error = one_model(folder.path()).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("101 models"), "{error}");
    }

    #[test]
    fn a_damaged_sweep_is_named_and_leads_nowhere() {
        for (text, word) in [
            ("", "varied"),
            ("varied = []\nmembers = []\n", "no members"),
            ("varied = []\nmembers = [\"member-00/../../home\"]\n", "no name of a member"),
            ("varied = []\nmembers = [\"run\"]\n", "no name of a member"),
            ("varied = []\nmembers = [\"member-00\"]\nextra = 1\n", "extra"),
            ("varied = [", "sweep.toml is damaged"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join(FILE), text).unwrap();
            let error = Sweep::read(folder.path()).expect_err(text);
            assert!(error.exit_code() == 3 && error.to_string().contains(word), "{text}: {error}");
        }
        let folder = tempfile::tempdir().unwrap();
        Sweep::new(vec![], 2).write(folder.path()).unwrap();
        fs::write(folder.path().join(BEST), "member-02\n").unwrap();
        let error = one_model(&folder.path().join(BEST)).unwrap_err();
        assert!(error.exit_code() == 3 && error.to_string().contains("does not name a member"), "{error}");
    }
}
