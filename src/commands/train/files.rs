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
    /// What the header names. Columns that an older version did not write come behind those that are there.
    columns: Vec<String>,
    lines: Vec<String>,
    /// Whether the file holds these lines and nothing else.
    written: bool,
}

impl Metrics {
    /// The lines of the epochs that a checkpoint knows of, and what to warn of where they are not all there; later ones
    /// will be written again.
    ///
    /// # Errors
    /// [`Error::Data`] where the file is there but cannot be read, or is no longer the table that a run writes: what a
    /// spreadsheet has made of it would be lost.
    pub fn read(folder: &Path, epochs: usize) -> Result<(Self, Option<String>)> {
        let path = folder.join("metrics.csv");
        let text = match std::fs::read(&path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Error::Data(format!("cannot read {}: {error}", path.display()))),
        };
        // Editors and spreadsheets put a mark before the text, and line breaks of two characters into it.
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text).replace("\r\n", "\n");
        let (columns, mut lines) = whole_lines(&text).map_err(|why| {
            let shown = path.display();
            Error::Data(format!(
                "{shown}: {why}, so this is no longer the table that the run wrote; give the file another name, and the run \
                 begins a new one"
            ))
        })?;
        let mut last = 0;
        lines.retain(|line| {
            let number = number_of(line).filter(|number| (last + 1..=epochs).contains(number));
            last = number.unwrap_or(last);
            number.is_some()
        });
        let (there, shown) = (lines.len(), path.display());
        let warning =
            format!("{shown} has lines of {there} of the {epochs} epochs that are done; the others are missing");
        Ok((Self { columns, lines, written: false }, (there < epochs).then_some(warning)))
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
        let cells = cells(epoch);
        for (column, _) in &cells {
            if !self.columns.contains(column) {
                self.columns.push(column.clone());
                self.written = false;
            }
        }
        let cell = |name| cells.iter().find(|(column, _)| column == name).map_or("", |(_, cell)| cell);
        let line = self.columns.iter().map(cell).collect::<Vec<_>>().join(",");
        let end = format!("{line}\n");
        self.lines.push(line);
        let path = folder.join("metrics.csv");
        // What cannot be appended, since the file is gone or has been cut, is written whole.
        if !(std::mem::take(&mut self.written) && durable::append(&path, end.as_bytes()).is_ok()) {
            let lines = self.lines.iter().map(|line| filled(line, self.columns.len()) + "\n");
            let text = self.columns.join(",") + "\n" + &lines.collect::<String>();
            durable::replace_file(&path, text.as_bytes())?;
        }
        self.written = true;
        Ok(())
    }
}

/// The columns that a table names, and its lines below them. A line that a power cut left half is none.
///
/// # Errors
/// What is wrong where others have written in it.
fn whole_lines(text: &str) -> std::result::Result<(Vec<String>, Vec<String>), String> {
    let mut lines: Vec<&str> = text.split('\n').collect();
    // Behind the last line break there is nothing, or what a process did not come to end; an editor may leave it out.
    let rest = lines.pop().unwrap_or_default();
    let Some((header, lines)) = lines.split_first() else { return Ok((vec![], vec![])) };
    if !header.starts_with("epoch,") {
        let shown: String = header.chars().take(40).collect();
        return Err(format!("its first line begins with `{shown}`, not with `epoch,`"));
    }
    let columns: Vec<String> = header.split(',').map(str::to_owned).collect();
    let mut whole: Vec<String> = Vec::with_capacity(lines.len());
    for (line, number) in lines.iter().zip(2..).filter(|(line, _)| !line.is_empty()) {
        let cells = line.split(',').count();
        if number_of(line).is_none() || cells > columns.len() {
            return Err(format!("line {number} is none of an epoch, with {cells} cells for {} columns", columns.len()));
        }
        whole.push((*line).to_owned());
    }
    let ended = rest.split(',').count() == columns.len() && !rest.ends_with(',') && number_of(rest).is_some();
    whole.extend(ended.then(|| rest.to_owned()));
    Ok((columns, whole))
}

/// The columns of an epoch that are numbers, by their names in `metrics.csv`, but for the epoch itself.
pub fn numbers(epoch: &Epoch) -> Vec<(String, f64)> {
    let number = |(name, cell): (String, String)| Some((name, cell.parse().ok()?));
    cells(epoch).into_iter().skip(1).filter_map(number).collect()
}

/// What an epoch came to, by column: what every run has had from the first version on, then the rest.
fn cells(epoch: &Epoch) -> Vec<(String, String)> {
    let number = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    let mut cells = vec![
        ("epoch", epoch.epoch.to_string()),
        ("distortion", epoch.distortion.to_string()),
        ("rate", epoch.rate.to_string()),
        ("neg_elbo", epoch.neg_elbo().to_string()),
        ("validation_neg_elbo", number(epoch.validation)),
        ("images_per_second", format!("{:.0}", epoch.images_per_second)),
        ("elapsed_seconds", format!("{:.1}", epoch.elapsed.as_secs_f64())),
    ];
    if epoch.neg_bound.is_some() {
        cells.push(("neg_bound", number(epoch.neg_bound)));
        cells.push(("validation_neg_bound", number(epoch.validation_neg_bound)));
    }
    let layers = (1..).zip(&epoch.layer_rates).map(|(layer, rate)| (format!("rate_{layer}"), rate.to_string()));
    let others = epoch.others.iter().map(|(name, mean)| (name.to_lowercase().replace(' ', "_"), mean.to_string()));
    let in_force = [("lr", Some(epoch.lr)), ("beta", epoch.beta), ("capacity", epoch.capacity)];
    let in_force = in_force.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.to_string())));
    let cells = cells.into_iter().map(|(name, cell)| (name.to_owned(), cell));
    cells.chain(layers).chain(others).chain(in_force).collect()
}

/// A line with so many cells: columns that came later are empty in it.
fn filled(line: &str, cells: usize) -> String {
    line.split(',').chain(std::iter::repeat("")).take(cells).collect::<Vec<_>>().join(",")
}

/// Lets a power cut take nothing of what was added to `metrics.csv` of these runs.
///
/// # Errors
/// Those of the file system, with the name of the file.
pub fn flush_metrics(folders: &[PathBuf]) -> Result<()> {
    folders.iter().try_for_each(|folder| durable::flush_file(&folder.join("metrics.csv")))
}

/// Which epoch a line is of.
fn number_of(line: &str) -> Option<usize> {
    line.split(',').next()?.parse().ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "epoch,distortion,lr\n1,5.5,0.001\n2,4.25,0.001\n";

    fn read(text: &str, epochs: usize) -> Result<(Metrics, Option<String>)> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("metrics.csv"), text).unwrap();
        Metrics::read(folder.path(), epochs)
    }

    #[test]
    fn what_editors_do_to_a_table_changes_nothing_of_it() {
        let (expected, said) = read(TABLE, 2).unwrap();
        assert!(expected.lines.len() == 2 && said.is_none(), "{expected:?} {said:?}");
        for text in [
            TABLE.replace('\n', "\r\n"),
            format!("\u{feff}{TABLE}"),
            format!("\u{feff}{}", TABLE.replace('\n', "\r\n")),
            TABLE.trim_end().to_owned(),
            TABLE.replace('\n', "\r\n").trim_end().to_owned(),
            format!("{TABLE}\n\n"),
        ] {
            let (found, said) = read(&text, 2).unwrap();
            assert_eq!((found.columns, found.lines), (expected.columns.clone(), expected.lines.clone()), "{text:?}");
            assert!(said.is_none(), "{text:?}: {said:?}");
        }
        // Half a line is none, and later epochs come again.
        for (text, epochs, lines) in
            [(&format!("{TABLE}3,1."), 3, 2), (&TABLE.to_owned(), 1, 1), (&String::new(), 2, 0)]
        {
            let (found, said) = read(text, epochs).unwrap();
            assert_eq!((found.lines.len(), said.is_some()), (lines, lines < epochs), "{text:?}");
        }
    }

    #[test]
    fn a_table_that_a_spreadsheet_has_made_another_is_not_written_over() {
        for (text, why) in [
            (TABLE.replace(',', ";"), "its first line begins with `epoch;distortion;lr`"),
            (TABLE.replace("epoch", "\"epoch\""), "not with `epoch,`"),
            (TABLE.replace("5.5", "5,5"), "line 2 is none of an epoch, with 4 cells for 3 columns"),
            (TABLE.replace("\n2,", "\n\"2\","), "line 3 is none of an epoch"),
        ] {
            let error = read(&text, 2).unwrap_err();
            assert!(error.exit_code() == 3 && error.to_string().contains(why), "{error}");
        }
    }
}
