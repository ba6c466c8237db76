//! The files of a run folder: where it lies, its configuration and its metrics.

use crate::commands::folder;
use crate::config::{self, Config};
use crate::durable;
use crate::error::{Error, Result};
use crate::session::Session;
use crate::train::Epoch;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The folder of a new run: the one asked for, or the next free `runs/NAME-N`.
///
/// # Errors
/// Those of [`folder::check_empty`].
pub fn run_folder(asked: Option<&Path>, name: &str) -> Result<PathBuf> {
    if let Some(folder) = asked {
        folder::check_empty(folder, ", or continue the run in it with --resume")?;
        return Ok(folder.to_owned());
    }
    let taken = |n: &usize| Path::new("runs").join(format!("{name}-{n}")).exists();
    let free = (1..usize::MAX).find(|n| !taken(n)).unwrap_or(1);
    Ok(Path::new("runs").join(format!("{name}-{free}")))
}

/// `metrics.csv`: one line per epoch. It is rewritten whole, so that it is never half a line.
#[derive(Debug, Default)]
pub struct Metrics {
    lines: Vec<String>,
}

const COLUMNS: &str = "epoch,distortion,rate,neg_elbo,validation_neg_elbo,images_per_second,elapsed_seconds";

/// What follows where a bound of importance-weighted samples is minimised.
const OF_BOUNDS: &str = ",neg_bound,validation_neg_bound";

impl Metrics {
    /// The lines of the epochs that a checkpoint knows of; later ones will be written again.
    ///
    /// # Errors
    /// [`Error::Data`] where the file is there but cannot be read.
    pub fn read(folder: &Path, epochs: usize) -> Result<Self> {
        let path = folder.join("metrics.csv");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Error::Data(format!("cannot read {}: {error}", path.display()))),
        };
        Ok(Self { lines: text.lines().skip(1).take(epochs).map(str::to_owned).collect() })
    }

    /// Forgets the lines of epochs that will be trained again.
    pub fn forget_after(&mut self, epochs: usize) {
        self.lines.truncate(epochs);
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
        let more = if epoch.neg_bound.is_some() { OF_BOUNDS } else { "" };
        let layers = listed((1..=epoch.layer_rates.len()).map(|layer| format!("rate_{layer}")));
        let text = format!("{COLUMNS}{more}{layers}\n{}\n", self.lines.join("\n"));
        durable::replace_file(&folder.join("metrics.csv"), text.as_bytes())
    }
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
