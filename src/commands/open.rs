//! A trained model, ready to use: the checkpoint that RUN means, on a device, with data where a command needs them.

use super::{files, show};
use crate::checkpoint::{self, Checkpoint, Which};
use crate::cli::{DataPart, RunArgs};
use crate::config::{Config, ModelConfig, Unknown};
use crate::data::{self, Dataset, FittedPreprocessing, fetch, grids};
use crate::durable;
use crate::error::{Error, Result};
use crate::exec::select;
use crate::report::Report;
use crate::report::human::{bytes, counted};
use crate::session::{Purpose, Session};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A model on a device.
pub struct Trained {
    /// The model, its parameters in place.
    pub session: Session,
    /// The run that it belongs to, or the folder around a checkpoint that belongs to none.
    pub folder: PathBuf,
    /// Epochs that it was trained for.
    pub epoch: u32,
    /// Steps that it was trained for.
    pub step: u64,
    /// What the run was trained on, and what was opened here: sources and files of labels.
    sources: Vec<String>,
}

impl Trained {
    /// Checks that a file that is to be made is none that the run, or this command, is made from.
    ///
    /// # Errors
    /// [`Error::Usage`] that names the file.
    pub fn spare(&self, out: &Path) -> Result<()> {
        let sources: Vec<&str> = self.sources.iter().map(String::as_str).collect();
        files::spare(out, &sources, Some(&self.folder))
    }
}

/// Opens a model and the data to use it on: those it was trained on, or `data` of the same shape. `purpose` is what
/// will be computed first.
///
/// # Errors
/// [`Error::Data`] where the run or the data are missing, damaged, or of another shape than the model takes;
/// [`Error::Usage`] where the run is a whole sweep; otherwise those of [`device`] and of [`Session::plan`].
pub fn with_data(run: &RunArgs, data: Option<&str>, purpose: Purpose, report: &Report) -> Result<Trained> {
    let path = &checkpoint::sweep::one_model(&run.run)?;
    let checkpoint = load(path, report)?;
    let opened = dataset(&checkpoint, data, None, Some(run), report)?;
    with(run, path, &checkpoint, opened, purpose, report)
}

/// The same of a checkpoint that is loaded, with data that are opened by a configuration ([`dataset`]).
///
/// # Errors
/// As those of [`with_data`].
pub fn with(
    run: &RunArgs,
    path: &Path,
    checkpoint: &Checkpoint,
    (config, dataset): (Config, Dataset),
    purpose: Purpose,
    report: &Report,
) -> Result<Trained> {
    let mut session = Session::new(config, dataset, device(run, report)?)?;
    // Before anything is built for what may be another model.
    checkpoint::match_parameters(checkpoint, &session.expected())?;
    session.plan(purpose)?;
    session.restore(0, checkpoint)?;
    Ok(trained(session, path, checkpoint))
}

/// Lets other words stand for what is missing or unknown, as the command line says.
fn as_asked(config: &mut Config, asked: &RunArgs) {
    config.data.unknown = match asked.unknown.as_deref() {
        Some("refuse") => Unknown::Refuse,
        Some("missing") => Unknown::Missing,
        Some("anomalous") => Unknown::Anomalous,
        _ => config.data.unknown,
    };
    config.data.missing.extend(asked.missing.iter().cloned());
}

/// The data that a model was trained on, or other data of the same shape, with labels from where `labels` says, their cells
/// read as the command line says (`asked`) or as in the training; and the configuration that opened them.
///
/// # Errors
/// [`Error::Data`] where the data are missing or malformed, or do not fit the model; otherwise those of [`data`].
pub fn dataset(
    checkpoint: &Checkpoint,
    data: Option<&str>,
    labels: Option<&str>,
    asked: Option<&RunArgs>,
    report: &Report,
) -> Result<(Config, Dataset)> {
    let mut config = checkpoint.config.clone();
    if let Some(asked) = asked {
        as_asked(&mut config, asked);
    }
    if let Some(source) = data {
        source.clone_into(&mut config.data.source);
        // Labels in a file of their own belong to the data that the model was trained on; and beside an array no column of
        // a table is a file.
        let array = |name: &str| Path::new(name).extension().is_some_and(|end| end.eq_ignore_ascii_case("npy"));
        if array(&config.data.labels) || array(source) {
            config.data.labels.clear();
        }
    }
    place(&mut config, checkpoint.progress.folder.as_deref(), report);
    if let Some(labels) = labels {
        labels.clone_into(&mut config.data.labels);
    }
    // The hash of data has their labels in it: with others there is none to compare with.
    let other = data.is_some() || labels.is_some_and(|labels| labels != checkpoint.config.data.labels);
    let dataset = open_data(&config, checkpoint, other, report)?;
    data::check(&dataset, config.model.takes())?;
    match labels.and_then(|labels| data::no_labels(labels, dataset.format)) {
        Some(kinds) => {
            let (labels, name) = (labels.unwrap_or_default(), &dataset.name);
            Err(Error::Usage(format!("--labels {labels} is for {kinds}, and {name} is none of these; leave it out")))
        }
        None => Ok((config, dataset)),
    }
}

/// The working directory, where the data of a configuration are named by paths from there.
pub fn meant_from(config: &Config) -> Option<String> {
    let relative = |path: &&String| !path.is_empty() && Path::new(path).is_relative() && Path::new(path).exists();
    [&config.data.source, &config.data.labels].into_iter().find(relative)?;
    std::env::current_dir().ok().map(|folder| folder.display().to_string())
}

/// Names the data of a run from where they were meant, where they are not found from here.
pub fn place(config: &mut Config, folder: Option<&str>, report: &Report) {
    let Some(folder) = folder.map(Path::new) else { return };
    // Sources that have a name of their own, and columns and arrays with labels, lie nowhere.
    let named = data::is_drawn(&config.data.source) || fetch::source(&config.data.source).is_some();
    let in_file = Path::new(&config.data.labels).extension().is_some_and(|end| end.eq_ignore_ascii_case("npy"));
    for (path, is_one) in [(&mut config.data.source, !named), (&mut config.data.labels, in_file)] {
        let there = folder.join(&**path);
        if is_one && !Path::new(path).exists() && there.exists() {
            report.note(&format!("found    {path} in {}, where the run began", folder.display()));
            *path = there.display().to_string();
        }
    }
}

/// Opens a model alone.
///
/// # Errors
/// [`Error::Data`] where the run is missing or damaged; [`Error::Usage`] where it is a whole sweep; otherwise those of
/// [`device`].
pub fn without_data(run: &RunArgs, report: &Report) -> Result<Trained> {
    let path = &checkpoint::sweep::one_model(&run.run)?;
    let checkpoint = load(path, report)?;
    let session = Session::without_data(&checkpoint, device(run, report)?)?;
    Ok(trained(session, path, &checkpoint))
}

/// What a run was asked to be, for commands that answer by its kind. What cannot be read is none, and is complained of when it is
/// loaded.
pub fn glanced(run: &RunArgs) -> Option<ModelConfig> {
    let of = checkpoint::sweep::one_model(&run.run).and_then(|path| checkpoint::glance(&path, Which::Last));
    of.ok().map(|(config, _)| config.model)
}

/// Opens a prior of codes with the codes in the folder of its run. `purpose` is what will be computed first.
///
/// # Errors
/// [`Error::Data`] where run or codes are missing or damaged, or the codes are not those of the training; otherwise those of
/// [`device`] and of [`Session::plan`].
pub fn prior(run: &RunArgs, purpose: Purpose, report: &Report) -> Result<Trained> {
    let path = &checkpoint::sweep::one_model(&run.run)?;
    let checkpoint = load_any(path, report)?;
    let (config, record) = (checkpoint.config.clone(), &checkpoint.progress.data);
    let data = codes(&config, Some(record.known()), &folder_of(path))?;
    if data.hash != record.hash {
        let place = folder_of(path).join(grids::FOLDER);
        return Err(Error::Data(format!("{}: these are not the codes that the prior was trained on", place.display())));
    }
    let mut session = Session::new(config, data, device(run, report)?)?;
    checkpoint::match_parameters(&checkpoint, &session.expected())?;
    session.plan(purpose)?;
    session.restore(0, &checkpoint)?;
    Ok(trained(session, path, &checkpoint))
}

/// The codes that a prior is trained on, which lie in the folder of its run wherever that is.
///
/// # Errors
/// [`Error::Data`] where they are missing or damaged, or of another codebook.
pub fn codes(config: &Config, known: Option<FittedPreprocessing>, run: &Path) -> Result<Dataset> {
    let place = run.join(grids::FOLDER);
    if !grids::is_in(&place) {
        let place = place.display();
        return Err(Error::Data(format!("{place}: the codes that the prior is trained on are missing; put them back")));
    }
    let (found, own) = (grids::about(&place)?.codes, config.model.prior_codes);
    if found != own {
        let place = place.display();
        return Err(Error::Data(format!("{place}: these are codes of {found}, and the prior is one of {own}")));
    }
    let mut config = config.clone();
    config.data.source = place.display().to_string();
    data::open(&config, known)
}

/// The VQ-VAE whose codes a prior draws, out of the folder of its run.
///
/// # Errors
/// [`Error::Data`] where it is missing or damaged, or its grids are others; otherwise those of [`device`].
pub fn of_prior(prior: &Trained, run: &RunArgs) -> Result<Session> {
    let place = prior.folder.join(grids::FOLDER).join(grids::MODEL);
    let (checkpoint, _) = checkpoint::load_result(&place)?;
    let (executor, _) = select::open(run.adapter.as_deref().unwrap_or("auto"), run.threads.count()?)?;
    let session = Session::without_data(&checkpoint, executor)?;
    let (own, model) = (&prior.session.model, &session.model);
    if !model.has_codes() || (model.config.codes, model.cells()) != (own.config.prior_codes, own.width) {
        let place = place.display();
        return Err(Error::Data(format!("{place}: this is no VQ-VAE with grids of the codes that the prior draws")));
    }
    Ok(session)
}

/// The examples of a part, the test part where none is asked for, and its name.
///
/// # Errors
/// [`Error::Usage`] where the data have no such part.
pub fn part(data: &Dataset, asked: Option<DataPart>) -> Result<(Range<usize>, &'static str)> {
    let named = |part| match part {
        DataPart::Train => (&data.train, "train"),
        DataPart::Validation => (&data.validation, "validation"),
        DataPart::Test => (&data.test, "test"),
    };
    let (range, name) = named(asked.unwrap_or(DataPart::Test));
    if range.is_empty() {
        let all = [DataPart::Train, DataPart::Validation, DataPart::Test].map(named);
        let there: Vec<&str> = all.iter().filter(|(range, _)| !range.is_empty()).map(|(_, name)| *name).collect();
        return Err(Error::Usage(format!(
            "--part {name}: {} has no such part; it has {}",
            data.name,
            there.join(" and ")
        )));
    }
    Ok((range.clone(), name))
}

/// Where a picture goes: where it was asked for, or under `name` in the run's `samples`, which is made if need be.
///
/// # Errors
/// [`Error::Disk`] where the folder cannot be made.
pub fn picture(trained: &Trained, asked: Option<&Path>, name: &str) -> Result<PathBuf> {
    if let Some(path) = asked {
        show::check_name(asked.filter(|path| path.extension().is_some()), &trained.session.record)?;
        trained.spare(path)?;
        return Ok(path.to_owned());
    }
    let folder = trained.folder.join("samples");
    durable::create_folder(&folder)?;
    Ok(folder.join(name))
}

/// The most pictures in one file.
pub(super) const MAX_PICTURES: usize = 10_000;

/// Checks a number of pictures that was asked for by `-n`, or by what is to be drawn.
///
/// # Errors
/// [`Error::Usage`] where a file does not take that many.
pub fn check_pictures(count: usize) -> Result<usize> {
    match count {
        1..=MAX_PICTURES => Ok(count),
        _ => Err(Error::Usage(format!("-n {count}: a file takes 1 to {MAX_PICTURES} pictures"))),
    }
}

/// The most rows in one table.
const MAX_ROWS: usize = 10_000_000;

/// Checks a number of examples, which are drawn or become rows of a table or an array.
///
/// # Errors
/// [`Error::Usage`] where a file does not take that many.
pub fn check_count(count: usize, drawn: bool) -> Result<usize> {
    match count {
        _ if drawn => check_pictures(count),
        1..=MAX_ROWS => Ok(count),
        _ => Err(Error::Usage(format!("-n {count}: a file takes 1 to {MAX_ROWS} rows"))),
    }
}

/// Checks the value of `--steps` where a picture has `rows` rows.
///
/// # Errors
/// [`Error::Usage`] where a file does not take that many.
pub fn check_steps(steps: usize, rows: usize) -> Result<usize> {
    let most = MAX_PICTURES / rows.max(1);
    match steps {
        _ if (2..=most).contains(&steps) => Ok(steps),
        _ => Err(Error::Usage(format!("--steps {steps}: it can be 2 to {most} where there are {rows} rows"))),
    }
}

/// As many columns as rows, or one row less.
pub fn columns(count: usize) -> usize {
    (count as f64).sqrt().ceil() as usize
}

/// The example that stands at `index` in a part; `flag` is what asked for it.
///
/// # Errors
/// [`Error::Usage`] where the part has no such example.
pub fn example(flag: &str, index: usize, part: &Range<usize>, name: &str) -> Result<u32> {
    if index < part.len() {
        return Ok((part.start + index) as u32);
    }
    let last = part.len() - 1;
    Err(Error::Usage(format!("{flag}: there is no example {index}: the {name} part has 0 to {last}")))
}

/// The run folder that a path belongs to: itself, or one above it. A checkpoint that lies outside of any run is given
/// the folder that it lies in.
pub fn folder_of(path: &Path) -> PathBuf {
    let run = |path: &Path| path.ancestors().find(|folder| folder.join("checkpoints").is_dir()).map(Path::to_owned);
    // A relative path may say too little of what is above it.
    let whole = || path.canonicalize().ok();
    run(path)
        .or_else(|| run(&whole()?))
        .or_else(|| whole()?.parent().map(Path::to_owned))
        .unwrap_or_else(|| path.to_owned())
}

/// The checkpoint that RUN means, with a line that says which.
///
/// # Errors
/// [`Error::Data`], naming the file, where there is no checkpoint or all are damaged; [`Error::Usage`] for a prior of codes, for
/// which there is [`prior`].
pub fn load(run: &Path, report: &Report) -> Result<Checkpoint> {
    let checkpoint = load_any(run, report)?;
    if checkpoint.config.model.prior_codes > 0 {
        return Err(Error::Usage(format!(
            "{}: this is the prior of the codes of a VQ-VAE, and no autoencoder: elbo eval, elbo sample and elbo train \
             --resume are for it; of its VQ-VAE, in {} in its folder, anything may be asked",
            run.display(),
            Path::new(grids::FOLDER).join(grids::MODEL).display()
        )));
    }
    Ok(checkpoint)
}

/// The same, also of a prior of codes.
///
/// # Errors
/// Those of [`checkpoint::load_result`].
pub fn load_any(run: &Path, report: &Report) -> Result<Checkpoint> {
    let (checkpoint, warnings) = checkpoint::load_result(run)?;
    for warning in warnings {
        report.warn(&warning);
    }
    let progress = &checkpoint.progress;
    let best = match (progress.best_epoch, run.join("checkpoints/best").is_file()) {
        (Some(epoch), true) if epoch != progress.epoch => {
            format!("; the best one, of epoch {epoch}, is {}", run.join("checkpoints/best").display())
        }
        _ => String::new(),
    };
    report.note(&format!(
        "model    {} from {}: {}, {}{best}",
        checkpoint.config.name,
        run.display(),
        counted(progress.epoch.into(), "epoch"),
        counted(progress.step, "step")
    ));
    Ok(checkpoint)
}

/// The device that is asked for, with a line that says which it is.
///
/// # Errors
/// Those of [`select::open`].
pub fn device(run: &RunArgs, report: &Report) -> Result<crate::exec::Executor> {
    let (executor, line) = select::open(run.adapter.as_deref().unwrap_or("auto"), run.threads.count()?)?;
    report.note(&format!("device   {line}"));
    Ok(executor)
}

/// The data, of the model's shape. That the run's own data have changed is no error: the model is as it was.
fn open_data(config: &Config, checkpoint: &Checkpoint, other: bool, report: &Report) -> Result<Dataset> {
    let record = &checkpoint.progress.data;
    let data = self::data(config, Some(record.known()), report).map_err(|error| match error {
        Error::Data(why) if !other => Error::Data(format!("{why} (these are the run's data; --data names others)")),
        error => error,
    })?;
    if let (Some(items), true) = (&data.items, data.shape != record.shape) {
        let trained = record.shape.iter().product::<usize>();
        return Err(Error::Data(format!(
            "{}: there are {} items, and the model takes {trained}",
            data.name,
            items.len()
        )));
    }
    if data.shape != record.shape {
        return Err(Error::Data(format!(
            "{}: an example has shape {:?}, and the model takes {:?} (channels, height, width)",
            data.name, data.shape, record.shape
        )));
    }
    if !other && data.hash != record.hash {
        report.warn(&format!(
            "{}: the data are not those of the training any more: their hash was {}, now it is {}",
            data.name, record.hash, data.hash
        ));
    }
    Ok(data)
}

/// Opens the data that a configuration names, as a trained model takes them where there is one; says what is fetched for
/// it, and what is odd about it.
///
/// # Errors
/// Those of [`data::open`], and of fetching what is fetched.
pub fn data(config: &Config, known: Option<FittedPreprocessing>, report: &Report) -> Result<Dataset> {
    if let Some(source) = fetch::source(&config.data.source) {
        let mut under_way = String::new();
        fetch::ensure(source, &mut |file, done, all| {
            if under_way != file {
                file.clone_into(&mut under_way);
                report.note(&format!("fetching {}/{file}: {}", source.name, bytes(all)));
                report.begin("fetch", all as usize);
            }
            report.advance(done);
        })?;
        report.clear();
    }
    let data = data::open(config, known)?;
    for note in &data.notes {
        report.warn(&format!("{}: {note}", data.name));
    }
    Ok(data)
}

fn trained(session: Session, run: &Path, checkpoint: &Checkpoint) -> Trained {
    let sources = sources(&[&checkpoint.config, &session.config]);
    let (epoch, step) = (checkpoint.progress.epoch, checkpoint.progress.step);
    Trained { session, folder: folder_of(run), epoch, step, sources }
}

/// The sources of data that configurations name, and their files of labels.
pub fn sources(configs: &[&Config]) -> Vec<String> {
    configs.iter().flat_map(|config| [config.data.source.clone(), config.data.labels.clone()]).collect()
}
/// A stochastic layer that is asked for by its number from 1, counted from 0.
///
/// # Errors
/// [`Error::Usage`] for one that there is not.
pub fn layer(session: &Session, asked: Option<usize>, usual: usize) -> Result<usize> {
    let count = session.model.latents().len();
    match asked {
        None => Ok(usual),
        Some(layer) if (1..=count).contains(&layer) => Ok(layer - 1),
        Some(layer) => Err(Error::Usage(format!(
            "--layer {layer}: the stochastic layers of this model go from 1, the lowest, to {count}"
        ))),
    }
}
