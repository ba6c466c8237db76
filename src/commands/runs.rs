//! `elbo runs`: which runs there are.

use crate::checkpoint::{self, Progress};
use crate::cli::RunsArgs;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::report::Report;
use crate::report::table::table;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A run, as far as it is shown.
struct Run {
    path: PathBuf,
    config: Config,
    progress: Progress,
}

/// Lists runs by their names.
///
/// # Errors
/// [`Error::Data`] where a folder that was named does not exist. A damaged run is a warning.
pub fn run(args: &RunsArgs, report: &Report) -> Result<()> {
    let named = !args.folders.is_empty();
    let folders = if named { args.folders.clone() } else { vec![PathBuf::from("runs")] };
    let mut runs = Vec::new();
    for folder in &folders {
        if named && !folder.is_dir() {
            return Err(Error::Data(format!("no such folder: {}", folder.display())));
        }
        for path in inside(folder) {
            match checkpoint::glance(&path, checkpoint::Which::Last) {
                Ok((config, progress)) => runs.push(Run { path, config, progress }),
                Err(error) => report.warn(&error.to_string()),
            }
        }
    }
    if runs.is_empty() {
        let list: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
        report.note(&format!("there are no runs in {}; `elbo train` makes one", list.join(", ")));
    } else {
        report.result(&as_text(&runs));
    }
    report.json(&json!({ "runs": runs.iter().map(as_json).collect::<Vec<_>>() }));
    Ok(())
}

/// The folder itself if it is a run, or the runs in it, by name.
fn inside(folder: &Path) -> Vec<PathBuf> {
    let is_run = |path: &PathBuf| path.join("checkpoints").is_dir();
    if is_run(&folder.to_owned()) {
        return vec![folder.to_owned()];
    }
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_run).collect();
    found.sort();
    found
}

fn as_text(runs: &[Run]) -> String {
    let row = |run: &Run| {
        let Run { path, config, progress } = run;
        let (best, epoch) = match (progress.best, progress.best_epoch) {
            (Some(best), Some(epoch)) => (format!("{best:.2}"), epoch.to_string()),
            _ => ("-".into(), "-".into()),
        };
        vec![
            path.display().to_string(),
            config.name.clone(),
            progress.data.name.clone(),
            format!("{} of {}", progress.epoch, config.train.epochs),
            best,
            scored(config),
            epoch,
        ]
    };
    let rows: Vec<Vec<String>> = runs.iter().map(row).collect();
    table(&["run", "recipe", "data", "epochs", "best", "of", "at epoch"], &rows)
}

fn as_json(run: &Run) -> Value {
    let Run { path, config, progress } = run;
    json!({
        "run": path, "recipe": config.name, "data": progress.data.name, "data_hash": progress.data.hash,
        "epoch": progress.epoch, "epochs": config.train.epochs, "step": progress.step, "seed": config.train.seed,
        "best_score": progress.best, "best_epoch": progress.best_epoch, "best_of": scored(config),
        "elapsed_seconds": progress.elapsed_seconds, "device": progress.adapter,
    })
}

/// What chose the best epoch, such as `validation -ELBO`.
fn scored(config: &Config) -> String {
    let part = if config.data.validation > 0 { "validation" } else { "training" };
    format!("{part} {}", config.score())
}
