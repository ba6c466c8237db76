//! The program as its users meet it: a process with arguments, two streams and an exit code.

use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use tempfile::TempDir;

/// Settings of a run that takes no time: 250 examples to train on, five steps an epoch.
pub const TINY: &str = "--adapter cpu --set data.examples=300 --set model.hidden=[16] --latent 2 --batch 50";

/// What a process left behind.
#[derive(Debug)]
pub struct Outcome {
    /// Exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Outcome {
    /// The outcome, which must be a success.
    #[track_caller]
    pub fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// Fails unless the process ended with an exit code and one line that says why and names `culprit`.
    #[track_caller]
    pub fn failed(&self, code: i32, culprit: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        let errors: Vec<&str> = self.err.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "{self:?}");
        assert!(errors[0].contains(culprit), "\"{culprit}\" is not in \"{}\"", errors[0]);
        assert!(!self.err.contains("panicked") && !self.err.contains("internal error"), "{self:?}");
        assert!(self.out.is_empty(), "{self:?}");
    }
}

/// The program with arguments, separated by spaces, in a folder.
pub fn command(folder: &Path, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_elbo"));
    command.args(arguments.split_whitespace()).current_dir(folder).stdin(Stdio::null());
    // Mesa's software driver writes an error of its own where there is none.
    command.env("XDG_RUNTIME_DIR", folder).env_remove("NO_COLOR");
    command
}

/// Runs the program to its end.
pub fn elbo(folder: &Path, arguments: &str) -> Outcome {
    outcome(command(folder, arguments))
}

/// Runs a command to its end.
pub fn outcome(mut command: Command) -> Outcome {
    let output = command.output().expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Outcome { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
}

/// What a command says with `--json` on the CPU engine, which must be one JSON text.
#[track_caller]
pub fn json(folder: &Path, arguments: &str) -> Value {
    let said = elbo(folder, &format!("{arguments} --json --adapter cpu")).succeeded().out;
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error} in {said}"))
}

/// The losses of a run's first and last epoch, in nats per example.
pub fn losses(run: &Path) -> [f64; 2] {
    let text = fs::read_to_string(run.join("metrics.csv")).expect("a run has metrics");
    let loss = |line: &str| line.split(',').skip(1).take(2).map(|cell| cell.parse::<f64>().expect("a number")).sum();
    [text.lines().nth(1), text.lines().last()].map(|line| loss(line.expect("epochs were trained")))
}

/// A folder with a run in `run`: [`TINY`], two epochs, so that there is a checkpoint before the last.
pub fn trained() -> TempDir {
    static RUN: OnceLock<TempDir> = OnceLock::new();
    let run = RUN.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        elbo(folder.path(), &format!("train {TINY} --epochs 2 --out run")).succeeded();
        folder
    });
    let copy = tempfile::tempdir().unwrap();
    for path in files(run.path()) {
        let target = copy.path().join(path.strip_prefix(run.path()).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(path, target).unwrap();
    }
    copy
}

/// All files in and below a folder, sorted.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Everything in and below a folder by name, with the content of files.
pub fn content(folder: &Path) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(content(&path));
            found.push((path, None));
        } else {
            found.push((path.clone(), Some(fs::read(&path).unwrap())));
        }
    }
    found.sort();
    found
}

/// The folder of the checkpoint that `last` or `best` names.
pub fn checkpoint(run: &Path, pointer: &str) -> PathBuf {
    let name = fs::read_to_string(run.join("checkpoints").join(pointer)).unwrap();
    run.join("checkpoints").join(name.trim_end())
}

/// What a script of `tests/fixtures`, which needs this module of Python, prints of a folder as JSON; nothing where no Python here has the
/// module.
pub fn read_by(module: &str, script: &str, folder: &Path) -> Option<serde_json::Value> {
    let python = std::env::var_os("ELBO_PYTHON").filter(|value| !value.is_empty()).unwrap_or_else(|| "python3".into());
    let import = format!("import {module}");
    if !Command::new(&python).args(["-c", &import]).output().is_ok_and(|output| output.status.success()) {
        let _ = writeln!(std::io::stderr(), "the check of files by {module} is skipped: no Python here has it");
        return None;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(script);
    let done = Command::new(python).arg(script).arg(folder).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Some(serde_json::from_slice(&done.stdout).unwrap())
}
