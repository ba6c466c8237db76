//! Checkpoints: everything that a run needs to go on as if it had never stopped.
//!
//! ```text
//! RUN/checkpoints/step-0000001234/parameters.safetensors   what the model has learnt
//!                                 moments.safetensors      what the optimiser remembers
//!                                 progress.json            where the run is: see `Progress`
//!                                 config.toml              what it was asked to do
//!                                 manifest.json            size and SHA-256 of the four files above
//! RUN/checkpoints/last            one line: the name of the newest checkpoint
//! RUN/checkpoints/best            one line: the name of the one with the best validation score, which is what a run came
//!                                 to if it stopped early
//! ```
//!
//! A checkpoint is written beside its final name, every file and the folder fsynced, then renamed, the parent fsynced,
//! and only then does `last` move. So at every moment `last` names a whole checkpoint, whatever kills the process.
//! Where saves follow each other quickly not each is flushed ([`Saving::flush`]): the last one that was stays beside them.
//! Nothing is overwritten: a second checkpoint of the same step is `step-0000001234.2`, and the first goes once `last`
//! has moved. The loader trusts nothing that the manifest does not vouch for, and steps back to the previous good one.

mod check;
pub mod find;
mod manifest;
#[cfg(test)]
mod mutations;
pub mod sweep;
pub(crate) mod tensors;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::config::{Config, Domain, LibrarySize, ModelConfig};
use crate::data::table::{ColumnKind, Encoding};
use crate::data::text::vocabulary::Vocabulary;
use crate::data::{Dataset, FittedPreprocessing};
use crate::durable::{self, Flush};
use crate::error::{Error, Result};
use crate::plan::tuning::Tuning;
use find::Name;
pub use find::{Which, find_latest, give_up_from, load_latest, load_result, locate};

const PARAMETERS: &str = "parameters.safetensors";
const MOMENTS: &str = "moments.safetensors";
const PROGRESS: &str = "progress.json";
const CONFIG: &str = "config.toml";

/// A named array's content.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Lengths, slowest dimension first; no length at all is a scalar.
    pub shape: Vec<usize>,
    /// Row-major values, as many as the product of `shape`.
    pub values: Vec<f32>,
}

/// How far a run has come. The order of examples and all noise follow from the seed and these counters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Epochs completed.
    pub epoch: u32,
    /// Steps taken over the whole run.
    pub step: u64,
    /// Steps taken in the epoch under way.
    pub step_in_epoch: u64,
    /// Sums of the epoch under way, from which its metrics come, in nats.
    pub sums: Vec<f64>,
    /// The best validation score so far, in nats per example.
    pub best: Option<f64>,
    /// The epoch that gave `best`.
    pub best_epoch: Option<u32>,
    /// Time spent training, over all sittings.
    pub elapsed_seconds: f64,
    /// The adapter that trained: another one rounds differently.
    pub adapter: String,
    /// What the model was trained on.
    pub data: DataRecord,
    /// The working directory in which relative paths of the configuration were meant; none where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// How products are tiled: another tiling rounds differently.
    #[serde(default)]
    pub tuning: Tuning,
    /// What happened on the way that decides how it goes on.
    #[serde(default)]
    pub course: TrainerState,
}

/// What happened to a run that decides how it goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainerState {
    /// How often it went back to a checkpoint because a loss was not finite.
    pub rollbacks: u32,
    /// How often a plateau lowered the learning rate.
    pub reductions: u32,
    /// The epoch after which it did so last.
    pub reduced_after: u32,
    /// The epoch from which patience counts; the best one counts where it is later.
    pub patient_from: u32,
    /// Whether the run stopped early. What it came to is then its best checkpoint.
    pub stopped: bool,
    /// Examples of the epoch under way whose loss was not finite, and that were left out.
    pub left_out: u64,
    /// The processes that trained it together, whose number decides how sums are rounded; 0 for one alone.
    #[serde(skip_serializing_if = "is_zero")]
    pub ranks: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// What a model has to know of its data to be used without them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataRecord {
    /// The data set's name.
    pub name: String,
    /// Channels, height and width of an example.
    pub shape: [usize; 3],
    /// Whether values are stored as f32; otherwise they are bytes.
    pub floats: bool,
    /// Whether all values are black or white, as bits become; not known of older runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<bool>,
    /// The data set's hash.
    pub hash: String,
    /// How numbers were encoded, fitted to the training part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    /// The tokens of text, fitted to the training part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Vocabulary>,
    /// The names of the classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,
    /// How many examples of each of them the training part had; not known of older runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_classes: Option<Vec<u64>>,
    /// How many digits behind the point the numbers of each column have, where there is an end to them; not known of older
    /// runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decimals: Vec<Option<u8>>,
    /// The names of the items, where examples are what users chose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<Vec<String>>,
    /// Whether some value was missing; not known of older runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<bool>,
}

impl DataRecord {
    /// The record of a data set.
    pub fn of(data: &Dataset) -> Self {
        Self {
            name: data.name.clone(),
            shape: data.shape,
            floats: !data.values.are_bytes(),
            bits: Some(data.values.are_bits()),
            hash: data.hash.clone(),
            encoding: data.encoding.clone(),
            text: data.text.clone(),
            classes: data.classes.clone(),
            of_classes: data.classes.is_some().then(|| data.trained_of_classes()),
            decimals: data.decimals.clone(),
            items: data.items.clone(),
            missing: Some(data.missing),
        }
    }

    /// Whether these are the data of a run: all but their name is what the run knows of its own.
    pub fn is_of(&self, own: &Self) -> bool {
        let of_classes = own.of_classes.as_ref().and(self.of_classes.clone());
        // Older runs do not know them, and the hash says the same.
        let (decimals, missing, bits) = (own.decimals.clone(), own.missing, own.bits);
        Self { name: own.name.clone(), of_classes, decimals, missing, bits, ..self.clone() } == *own
    }

    /// The names of those of some classes of which there was no example to train on.
    pub fn unseen(&self, classes: &[u32]) -> Vec<&str> {
        let (Some(names), Some(of_classes)) = (&self.classes, &self.of_classes) else { return vec![] };
        let seen = |class: u32| of_classes.get(class as usize).is_none_or(|&examples| examples > 0);
        let unseen = classes.iter().filter(|&&class| !seen(class));
        unseen.filter_map(|&class| names.get(class as usize).map(String::as_str)).collect()
    }

    /// Whether numbers are other than they were stored.
    pub fn scales(&self) -> bool {
        self.encoding.as_ref().is_some_and(Encoding::scales)
    }

    /// Rows [n, D] as a model has them in the units of the data.
    pub fn original(&self, rows: &[f32]) -> Vec<f64> {
        match &self.encoding {
            Some(encoding) => encoding.undo(rows),
            None => rows.iter().map(|&number| number.into()).collect(),
        }
    }

    /// Gives numbers of rows [n, D], in the units of the model, as many digits behind the point as those of their columns have
    /// in the units of the data: of whole numbers, and of counts, none.
    pub fn round(&self, rows: &mut [f32]) {
        let Some(encoding) = self.encoding.as_ref().filter(|encoding| encoding.width() > 0) else { return };
        let width = encoding.width();
        let decimals = self.decimals.iter().chain(std::iter::repeat(&None));
        for (span, (column, decimals)) in encoding.spans().iter().zip(encoding.columns.iter().zip(decimals)) {
            let (shift, scale, decimals) = match (&column.kind, decimals) {
                (&ColumnKind::Numeric { shift, scale }, &Some(decimals)) => (shift, scale, decimals),
                (ColumnKind::Count, _) => (0.0, 1.0, 0),
                _ => continue,
            };
            for number in rows.iter_mut().skip(span.start).step_by(width).filter(|number| number.is_finite()) {
                let power = 10_f64.powi(decimals.into());
                let rounded = ((f64::from(*number) * scale + shift) * power).round() / power;
                *number = ((rounded - shift) / scale) as f32;
            }
        }
    }

    /// How other data have to be read to be used with the model.
    pub fn known(&self) -> FittedPreprocessing<'_> {
        FittedPreprocessing {
            encoding: self.encoding.as_ref(),
            classes: self.classes.as_deref(),
            text: self.text.as_ref(),
            items: self.items.as_deref(),
            floats: self.floats,
            bits: self.bits.unwrap_or(true),
        }
    }

    /// How many classes a conditional model was told; of others, how many have names.
    pub fn class_count(&self) -> usize {
        self.classes.as_ref().map_or(0, Vec::len)
    }

    /// Whether an example for a model of such values may have a NaN for what is missing: rows of tables and arrays,
    /// and levels, which may come as numbers though those of the training were bytes; but nothing of an example whose total is
    /// looked at.
    pub fn may_miss(&self, model: &ModelConfig) -> bool {
        let of_total = model.library_size == LibrarySize::Observed;
        !of_total && (self.encoding.is_some() || model.likelihood.domain() == Domain::Levels)
    }

    /// The columns, where examples are rows of a table and no pictures.
    pub fn table(&self) -> Option<&Encoding> {
        self.encoding.as_ref().filter(|_| self.shape[..2] == [1, 1])
    }
}

/// Everything that a run needs to go on, bit for bit.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// The model's parameters, in the model's order.
    pub parameters: Vec<(String, Tensor)>,
    /// The optimiser's moments, in the optimiser's order; may be empty.
    pub moments: Vec<(String, Tensor)>,
    /// How far the run has come.
    pub progress: Progress,
    /// What the run was asked to do, completely resolved.
    pub config: Config,
}

impl Checkpoint {
    /// [`digest`] of the parameters, in hex: two checkpoints with the same are the same model.
    pub fn parameters_hash(&self) -> String {
        digest(&self.parameters).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
    }
}

/// SHA-256 of parameters, by their names and bits.
pub fn digest(parameters: &[(String, Tensor)]) -> [u8; 32] {
    let mut sha = Sha256::new();
    for (name, tensor) in parameters {
        sha.update(name);
        tensor.values.iter().for_each(|value| sha.update(value.to_le_bytes()));
    }
    sha.finalize().into()
}

/// How a checkpoint is saved.
#[derive(Debug, Clone, Copy)]
pub struct Saving<'a> {
    /// How many stay, this one included.
    pub keep: usize,
    /// Whether it is on the disk before `last` names it.
    pub flush: Flush,
    /// One that stays in any case: the last that was flushed.
    pub held: Option<&'a Path>,
    /// Whether `best` is to name it, too.
    pub best: bool,
}

impl Saving<'_> {
    /// The newest `keep`, flushed.
    pub fn flushed(keep: usize) -> Self {
        Self { keep, flush: Flush::Now, held: None, best: false }
    }
}

/// [`save_with`] what [`Saving::flushed`] says.
///
/// # Errors
/// Those of [`save_with`].
pub fn save(folder: &Path, checkpoint: &Checkpoint, keep: usize) -> Result<PathBuf> {
    save_with(folder, checkpoint, Saving::flushed(keep))
}

/// Writes a checkpoint into `folder` (`RUN/checkpoints`), moves `last` to it, and returns where it lies.
///
/// Of the earlier ones the newest `keep − 1` stay, and those that `best` names and that are held; later steps, left over
/// from a course that was given up by resuming further back, go.
///
/// # Errors
/// [`Error::Diverged`] if a number is not finite: nothing is written, so that a good checkpoint is never replaced by a
/// useless one. [`Error::Disk`] if writing fails: what stood before still stands, and the caller may go on training.
pub fn save_with(folder: &Path, checkpoint: &Checkpoint, saving: Saving) -> Result<PathBuf> {
    refuse_non_finite(checkpoint)?;
    durable::create_folder(folder)?;
    remove_leftovers(folder, durable::is_own_temporary);
    let name = Name::unused(folder, checkpoint.progress.step);
    let path = folder.join(name.to_string());
    let temporary = folder.join(durable::temporary(&name.to_string()));
    let flush = saving.flush;
    if let Err(error) = write_folder(&temporary, checkpoint, flush).and_then(|()| durable::rename(&temporary, &path)) {
        // The error that counts is the first one; what cannot be removed now is removed before the next save.
        let _ = fs::remove_dir_all(&temporary);
        return Err(error);
    }
    if flush == Flush::Now {
        durable::sync_folder(folder)?;
    }
    find::point(folder, Which::Last, name, flush)?;
    prune(folder, name, &saving);
    if saving.best {
        find::point(folder, Which::Best, name, flush)?;
    }
    Ok(path)
}

/// Lets `best` name a checkpoint that [`save`] returned.
///
/// # Errors
/// [`Error::Disk`] if writing fails; `best` then names what it named before.
pub fn mark_best(folder: &Path, path: &Path) -> Result<()> {
    let name = path.file_name().and_then(|n| Name::parse(&n.to_string_lossy()));
    match name {
        Some(name) if folder.join(name.to_string()).is_dir() => find::point(folder, Which::Best, name, Flush::Now),
        _ => Err(Error::Bug(format!("{} is no checkpoint in {}", path.display(), folder.display()))),
    }
}

/// Removes what killed saves of any process left in a folder of checkpoints. Only for who holds the lock of the run: to
/// others it may be a save under way.
pub fn clear_leftovers(folder: &Path) {
    remove_leftovers(folder, |name| name.starts_with(durable::TEMPORARY));
}

/// Removes the checkpoints that neither `last` nor `best` names, so that another one may fit.
pub fn make_room(folder: &Path) {
    if let Ok(Some(last)) = find::pointed(folder, Which::Last) {
        prune(folder, last, &Saving::flushed(1));
    }
}

/// Reads one checkpoint folder.
///
/// # Errors
/// [`Error::Data`], naming the file, if anything is missing, cut short, damaged or malformed.
pub fn load(path: &Path) -> Result<Checkpoint> {
    if !path.is_dir() {
        return Err(Error::Data(format!("no such checkpoint: {}", path.display())));
    }
    let [parameters, moments, progress, config] =
        manifest::read_verified(path, [PARAMETERS, MOMENTS, PROGRESS, CONFIG])?;
    let in_file = |name: &str, why: String| Error::Data(format!("{}: {why}", path.join(name).display()));
    Ok(Checkpoint {
        parameters: tensors::decode(&parameters).map_err(|why| in_file(PARAMETERS, why))?,
        moments: tensors::decode(&moments).map_err(|why| in_file(MOMENTS, why))?,
        progress: decode_progress(&progress).map_err(|why| in_file(PROGRESS, why))?,
        config: decode_config(&config, &path.join(CONFIG))?,
    })
}

/// What a checkpoint of a run says of itself, without its tensors: configuration and progress.
///
/// # Errors
/// [`Error::Data`], naming the file, if there is no checkpoint or it is damaged.
pub fn glance(run: &Path, which: Which) -> Result<(Config, Progress)> {
    let path = locate(run, which)?;
    let [progress, config] = manifest::read_verified(&path, [PROGRESS, CONFIG])?;
    let wrong = |why: String| Error::Data(format!("{}: {why}", path.join(PROGRESS).display()));
    let progress = decode_progress(&progress).map_err(wrong)?;
    Ok((decode_config(&config, &path.join(CONFIG))?, progress))
}

/// Checks that a checkpoint belongs to the model whose parameters have these names and shapes; the order is free.
///
/// # Errors
/// [`Error::Data`], naming the first tensor that differs, with both shapes.
pub fn match_parameters(checkpoint: &Checkpoint, expected: &[(String, Vec<usize>)]) -> Result<()> {
    let differs = |why: String| Err(Error::Data(format!("the checkpoint is of another model: {why}")));
    for (name, shape) in expected {
        match checkpoint.parameters.iter().find(|(n, _)| n == name) {
            None => return differs(format!("the model has `{name}` of shape {shape:?}, the checkpoint has none")),
            Some((_, tensor)) if tensor.shape != *shape => {
                let found = &tensor.shape;
                return differs(format!("`{name}` has shape {found:?} there, and {shape:?} in the model"));
            }
            Some(_) => {}
        }
    }
    match checkpoint.parameters.iter().find(|(n, _)| expected.iter().all(|(name, _)| n != name)) {
        Some((name, tensor)) => differs(format!("it has `{name}` of shape {:?}, the model has none", tensor.shape)),
        None => Ok(()),
    }
}

/// The bytes that one checkpoint with so many numbers takes on disk: parameters, their moments, their average.
pub fn size_estimate(numbers: usize) -> u64 {
    /// Headers, progress, config and manifest.
    const REST: u64 = 16 * 1024;
    (numbers as u64).saturating_mul(4).saturating_add(REST)
}

/// Writes the files of a checkpoint, the manifest last. Each is made when it is written: a large model has no room for all.
fn write_folder(folder: &Path, checkpoint: &Checkpoint, flush: Flush) -> Result<()> {
    let Checkpoint { parameters, moments, progress, config } = checkpoint;
    durable::create_folder_with(folder, flush)?;
    let write = |name: &'static str, bytes: Vec<u8>| {
        let path = folder.join(name);
        durable::write_as(&path, &path, &bytes, flush).map(|()| manifest::Entry::of(name, &bytes))
    };
    let entries = vec![
        write(PARAMETERS, tensors::encode(parameters)?)?,
        write(MOMENTS, tensors::encode(moments)?)?,
        write(PROGRESS, serde_json::to_vec_pretty(progress).map_err(|e| Error::Bug(e.to_string()))?)?,
        write(CONFIG, crate::config::to_toml(config).into_bytes())?,
    ];
    write(manifest::FILE, manifest::of(entries)?)?;
    if flush == Flush::Now { durable::sync_folder(folder) } else { Ok(()) }
}

fn refuse_non_finite(checkpoint: &Checkpoint) -> Result<()> {
    let refuse = |what: String| {
        Err(Error::Diverged(format!("training has diverged: {what} is not finite; no checkpoint was written")))
    };
    for (kind, tensors) in [("parameter", &checkpoint.parameters), ("moment", &checkpoint.moments)] {
        for (name, tensor) in tensors {
            if let Some(index) = tensor.values.iter().position(|v| !v.is_finite()) {
                return refuse(format!("{kind} `{name}` at index {index}"));
            }
        }
    }
    let Progress { sums, best, elapsed_seconds, .. } = &checkpoint.progress;
    if sums.iter().chain(best).chain([elapsed_seconds]).all(|v| v.is_finite()) {
        return Ok(());
    }
    refuse(format!("a metric of step {}", checkpoint.progress.step))
}

/// Removes what saves left behind that did not come to their end.
fn remove_leftovers(folder: &Path, is_one: impl Fn(&str) -> bool) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if is_one(&entry.file_name().to_string_lossy()) {
            // Not being able to is no reason to stop a run: if it is the disk, the save that follows says so.
            let _ = fs::remove_dir_all(entry.path()).or_else(|_| fs::remove_file(entry.path()));
        }
    }
}

/// Removes the checkpoints that `current`, just saved, makes superfluous.
fn prune(folder: &Path, current: Name, saving: &Saving) {
    let Ok(all) = find::list(folder) else { return };
    let earlier = all.iter().copied().filter(|name| name.step < current.step);
    let mut kept: Vec<Name> = earlier.take(saving.keep.max(1) - 1).collect();
    kept.push(current);
    let held = saving.held.and_then(Path::file_name).and_then(|name| Name::parse(&name.to_string_lossy()));
    kept.extend(held.filter(|held| held.step < current.step));
    kept.extend(find::pointed(folder, Which::Best).ok().flatten());
    for name in all.into_iter().filter(|n| !kept.contains(n)) {
        // Renamed first, so that a folder half deleted never looks like a checkpoint; a failure leaves it for next time.
        let dying = folder.join(durable::temporary(&name.to_string()));
        if durable::rename(&folder.join(name.to_string()), &dying).is_ok() {
            let _ = fs::remove_dir_all(&dying);
        }
    }
}

fn decode_progress(bytes: &[u8]) -> std::result::Result<Progress, String> {
    let progress = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    check::progress(&progress)?;
    Ok(progress)
}

fn decode_config(bytes: &[u8], path: &Path) -> Result<Config> {
    crate::config::from_toml(&String::from_utf8_lossy(bytes), &path.display().to_string())
}
