//! The files of a run folder: where it lies, its configuration and its metrics.

use crate::commands::folder::Folder;
use crate::config::{self, Config};
use crate::durable;
use crate::error::{Error, Result};
use crate::report::Report;
use crate::session::Session;
use crate::train::Epoch;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The folder of a new run: the one asked for, or the next free `runs/NAME-N`.
///
/// # Errors
/// [`Error::Usage`](crate::error::Error::Usage) where the folder is not empty, or others train in it.
pub fn run_folder(asked: Option<&Path>, name: &str, report: &Report) -> Result<Folder> {
    match asked {
        Some(folder) => Folder::take(folder, ", or continue the run in it with --resume", report),
        None => Folder::next(Path::new("runs"), name, report),
    }
}

/// What to warn of where `config.toml` of a run is not what its checkpoint was trained with.
pub fn edited(folder: &Path, trained: &Config) -> Option<String> {
    let path = folder.join("config.toml");
    let text = std::fs::read_to_string(&path).ok()?;
    let kept = "a resumed run keeps the settings that it was begun with, and the file is written anew";
    let config = match config::from_toml(&text, &path.display().to_string()) {
        Ok(config) => config,
        Err(error) => return Some(format!("{error}; {kept}")),
    };
    let [found, own] = [&config, trained].map(config::keys::tree);
    // How many epochs there are to be is changed by a sitting that may end before it saves.
    let differs =
        |key: &String| key != "train.epochs" && config::keys::get(&found, key) != config::keys::get(&own, key);
    let keys: Vec<String> = config::keys::keys(&own).into_iter().filter(differs).collect();
    let shown = path.display();
    (!keys.is_empty())
        .then(|| format!("{shown} was edited ({}): {kept}; begin a new run to change them", keys.join(", ")))
}

/// `metrics.csv`: one line per epoch. The first of a sitting writes it whole, the others append to it.
#[derive(Debug, Default)]
pub struct Metrics {
    lines: Vec<String>,
    /// Whether the file holds these lines and nothing else.
    written: bool,
}

const COLUMNS: &str = "epoch,distortion,rate,neg_elbo,validation_neg_elbo,images_per_second,elapsed_seconds";

/// What follows where a bound of importance-weighted samples is minimised.
const OF_BOUNDS: &str = ",neg_bound,validation_neg_bound";

impl Metrics {
    /// The lines of the epochs that a checkpoint knows of, and what to warn of where they are not all there; later ones
    /// will be written again.
    ///
    /// # Errors
    /// [`Error::Data`] where the file is there but cannot be read.
    pub fn read(folder: &Path, epochs: usize) -> Result<(Self, Option<String>)> {
        let path = folder.join("metrics.csv");
        let text = match std::fs::read(&path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Error::Data(format!("cannot read {}: {error}", path.display()))),
        };
        // A line that a power cut left half is none, and neither is one out of its place.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let (mut lines, mut last): (Vec<String>, usize) = (vec![], 0);
        for line in whole.lines().skip(1) {
            if let Some(number) = number_of(line).filter(|number| (last + 1..=epochs).contains(number)) {
                lines.push(line.to_owned());
                last = number;
            }
        }
        let (there, shown) = (lines.len(), path.display());
        let warning =
            format!("{shown} has lines of {there} of the {epochs} epochs that are done; the others are missing");
        Ok((Self { lines, written: false }, (there < epochs).then_some(warning)))
    }

    /// Forgets the lines of epochs that will be trained again.
    pub fn forget_after(&mut self, epochs: usize) {
        self.lines.retain(|line| number_of(line).is_some_and(|number| number <= epochs));
        self.written = false;
    }

    /// Adds the line of an epoch.
    ///
    /// # Errors
    /// [`Error::Disk`] where the file cannot be written.
    pub fn add(&mut self, folder: &Path, epoch: &Epoch) -> Result<()> {
        self.lines.push(format!(
            "{},{},{},{},{},{:.0},{:.1}{}{}",
            epoch.epoch,
            epoch.distortion,
            epoch.rate,
            epoch.neg_elbo(),
            number(epoch.validation),
            epoch.images_per_second,
            epoch.elapsed.as_secs_f64(),
            epoch
                .neg_bound
                .map_or(String::new(), |neg_bound| { format!(",{neg_bound},{}", number(epoch.validation_neg_bound)) }),
            listed(epoch.layer_rates.iter().map(f64::to_string)),
        ));
        let path = folder.join("metrics.csv");
        if std::mem::take(&mut self.written) {
            let line = self.lines.last().map_or("", String::as_str);
            durable::append(&path, format!("{line}\n").as_bytes())?;
            self.written = true;
            return Ok(());
        }
        let more = if epoch.neg_bound.is_some() { OF_BOUNDS } else { "" };
        let layers = listed((1..=epoch.layer_rates.len()).map(|layer| format!("rate_{layer}")));
        let text = format!("{COLUMNS}{more}{layers}\n{}\n", self.lines.join("\n"));
        durable::replace_file(&path, text.as_bytes())?;
        self.written = true;
        Ok(())
    }
}

/// Lets a power cut take nothing of what was added to `metrics.csv` of these runs.
pub fn flush_metrics(folders: &[PathBuf]) -> Result<()> {
    folders.iter().try_for_each(|folder| durable::flush_file(&folder.join("metrics.csv")))
}

/// Which epoch a line is of.
fn number_of(line: &str) -> Option<usize> {
    line.split(',').next()?.parse().ok()
}

/// Further cells of a line.
fn listed(cells: impl Iterator<Item = String>) -> String {
    cells.fold(String::new(), |line, cell| line + "," + &cell)
}

fn number(value: Option<f64>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

/// The saved configuration, with what else decided the result as comments.
pub fn header(session: &Session, config: &Config) -> String {
    format!(
        "# elbo {}\n# data {} ({})\n# device {}\n{}",
        env!("CARGO_PKG_VERSION"),
        session.record.name,
        session.record.hash,
        session.executor.name(),
        config::to_toml(config)
    )
}
