//! `elbo train`: a model from examples, in a run folder that holds everything.

use super::folder::{self, Folder};
use super::{describe, open, show};
use crate::checkpoint::{self, Progress};
use crate::cli::TrainArgs;
use crate::config::{self, Config};
use crate::data;
use crate::durable;
use crate::error::{Error, Result};
use crate::exec::{measure, select};
use crate::plan::Role;
use crate::report::Report;
use crate::report::human::{bytes, count};
use crate::report::progress::EpochRow;
use crate::rng::{Philox, Stream};
use crate::session::{Purpose, Session};
use crate::train::{self, Epoch, Event, Options};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Set by the first Ctrl-C; the second one ends the process.
static STOP: AtomicBool = AtomicBool::new(false);

/// Samples and reconstructed examples in a picture.
const SAMPLES: usize = 64;
const RECONSTRUCTIONS: usize = 32;

/// Trains, or continues a run.
pub fn run(args: &TrainArgs, report: &Report) -> Result<()> {
    match &args.resume {
        Some(run) => {
            args.check_resume()?;
            resume(args, run, report)
        }
        None => begin(args, report),
    }
}

fn begin(args: &TrainArgs, report: &Report) -> Result<()> {
    let config = config::resolve(args.recipe.recipe.as_deref(), &args.overrides())?;
    let mut session = prepare(config, args, report)?;
    if args.dry_run {
        session.plan(Purpose::Train)?;
        describe(&mut session, report)?;
        if args.profile {
            session.initialise()?;
            profile(&mut session, report)?;
        }
        report.result(&config::to_toml(&session.config));
        return Ok(());
    }
    let folder = run_folder(args.out.as_deref(), &session.config.name)?;
    let made = Folder::new(&folder)?;
    let done = (|| {
        super::tune(&mut session, args.tune.unwrap_or_default(), report)?;
        session.plan(Purpose::Train)?;
        session.initialise()?;
        describe(&mut session, report)?;
        let progress = train::beginning(&session);
        durable::replace_file(&folder.join("config.toml"), header(&session).as_bytes())?;
        go(&mut session, progress, Metrics::default(), args, &folder, report)
    })();
    // A run that never began leaves nothing behind.
    if done.is_err() && checkpoint::locate(&folder, checkpoint::Which::Last).is_err() {
        made.remove();
    }
    done
}

fn resume(args: &TrainArgs, run: &Path, report: &Report) -> Result<()> {
    let (saved, warnings) = checkpoint::load_latest(run)?;
    for warning in warnings {
        report.warn(&warning);
    }
    let folder = open::folder_of(run);
    let mut config = saved.config.clone();
    if let Some(epochs) = args.epochs {
        if epochs < saved.progress.epoch as usize {
            let done = saved.progress.epoch;
            return Err(Error::Usage(format!(
                "--epochs {epochs} is the new total, and {done} epochs are done already"
            )));
        }
        config.train.epochs = epochs;
        config::validate(&config)?;
    }
    let mut session = prepare(config, args, report)?;
    if session.record != saved.progress.data {
        return Err(Error::Data(format!(
            "{}: the data are not those of the run: its hash was {}, now it is {}; put the original data back",
            session.record.name, saved.progress.data.hash, session.record.hash
        )));
    }
    if saved.progress.step > 0 && session.executor.name() != saved.progress.adapter {
        report.warn(&format!(
            "the run was trained on {}; on {} it goes on with other rounding, so not with the same bits",
            saved.progress.adapter,
            session.executor.name()
        ));
    }
    // Other tilings would round differently.
    session.tuning.clone_from(&saved.progress.tuning);
    session.plan(Purpose::Train)?;
    session.restore(&saved)?;
    describe(&mut session, report)?;
    let metrics = Metrics::read(&folder, saved.progress.epoch as usize)?;
    if saved.progress.epoch as usize >= session.config.train.epochs {
        report.note(&format!("all {} epochs are done: to go on, give a larger --epochs", saved.progress.epoch));
    } else {
        report.note(&format!("going on after epoch {}, step {}", saved.progress.epoch, saved.progress.step));
    }
    durable::replace_file(&folder.join("config.toml"), header(&session).as_bytes())?;
    go(&mut session, saved.progress, metrics, args, &folder, report)
}

/// Data, device and model.
fn prepare(config: Config, args: &TrainArgs, report: &Report) -> Result<Session> {
    let threads = args.threads.count()?;
    let data = open::data(&config, None, report)?;
    data::check(&data, config.model.likelihood)?;
    if config.train.batch > data.train.len() {
        return Err(config::batch_exceeds(config.train.batch, data.train.len()));
    }
    let (executor, line) = select::open(args.adapter.as_deref().unwrap_or("auto"), threads)?;
    report.note(&format!("device   {line}"));
    report.note(&format!(
        "data     {}: {} to train on, {} for validation, {} for the test, {}",
        data.name,
        count(data.train.len() as u64),
        count(data.validation.len() as u64),
        count(data.test.len() as u64),
        describe::each(&data)
    ));
    Ok(Session::new(config, data, executor))
}

/// The model in a few lines, before any time is spent.
fn describe(session: &mut Session, report: &Report) -> Result<()> {
    let id = session.plan(Purpose::Train)?;
    let plan = session.executor.plan(id);
    let (parameters, memory) = (plan.parameter_count(), plan.buffers.iter().map(|b| 4 * b.words as u64).sum());
    let resident = 4 * plan.words(&Role::Data) as u64;
    let layers: Vec<String> =
        plan.parameters.iter().map(|p| format!("{} {}x{}", p.name, p.shape[0] - 1, p.shape[1])).collect();
    let config = &session.config;
    report.note(&format!("model    {}: {}", config.name, layers.join(", ")));
    report.note(&format!(
        "         {} parameters, loss = distortion + {} x rate; {} on the device ({} of it data), {} a checkpoint",
        count(parameters as u64),
        config.objective.beta,
        bytes(memory),
        bytes(resident),
        bytes(checkpoint::size_estimate(parameters))
    ));
    Ok(())
}

/// Shows where the time of a training step goes. The session is as it was afterwards.
fn profile(session: &mut Session, report: &Report) -> Result<()> {
    let id = session.plan(Purpose::Train)?;
    let products = measure::products(session.executor.plan(id));
    let peak = measure::peak(&mut session.executor, &products)?;
    super::profile::run(session, &peak, report).map(drop)
}

/// Trains a prepared session and reports.
fn go(
    session: &mut Session,
    progress: Progress,
    mut metrics: Metrics,
    args: &TrainArgs,
    folder: &Path,
    report: &Report,
) -> Result<()> {
    if args.profile {
        profile(session, report)?;
    }
    catch_interrupts();
    let checkpoints = folder.join("checkpoints");
    durable::create_folder(&checkpoints)?;
    durable::create_folder(&folder.join("samples"))?;
    let options = Options { checkpoints: &checkpoints, stop: &STOP, check_steps: args.check_steps };
    let begun = progress.step > 0;
    let done = train::train(session, progress, &options, &mut |event| {
        match event {
            Event::Begin(epoch, epochs, steps) => report.begin_epoch(epoch, epochs, steps),
            Event::Step(done, rate) => report.step(done, None, rate),
            Event::Warning(text) => report.warn(&text),
            Event::Epoch(epoch) => {
                report.epoch(&row(epoch));
                if let Err(Error::Disk(why)) = metrics.add(folder, epoch) {
                    report.warn(&format!("metrics.csv was not written: {why}"));
                }
            }
            Event::Pictures(session, epoch) => {
                let drawn = pictures(session, folder, epoch);
                match drawn {
                    // Before the first step a folder that cannot be written to ends the run; later it does not.
                    Err(Error::Disk(why)) if epoch > 0 || begun => report.warn(&format!("no picture: {why}")),
                    other => other?,
                }
            }
        }
        Ok(())
    });
    report.clear();
    if let Err(Error::Interrupted(why)) = done {
        let how = format!("elbo train --resume {}", folder.display());
        return Err(Error::Interrupted(format!("{why}; go on with: {how}")));
    }
    let progress = done?;
    finish(session, &progress, folder, report)
}

/// The result on the test part, the files made, what to do next.
fn finish(session: &mut Session, progress: &Progress, folder: &Path, report: &Report) -> Result<()> {
    let test = session.data()?.test.clone();
    if !test.is_empty() {
        let terms = crate::eval::terms(session, test)?;
        report.result(&format!(
            "test     distortion {:.2} + rate {:.2} = -ELBO {:.2} nats per example",
            terms.distortion,
            terms.rate,
            terms.neg_elbo()
        ));
    }
    if let (Some(best), Some(epoch)) = (progress.best, progress.best_epoch) {
        let part = if session.data()?.validation.is_empty() { "training" } else { "validation" };
        report.note(&format!("best     epoch {epoch}, by its {part} -ELBO of {best:.2} nats"));
    }
    let shown = folder.display();
    let last = format!("epoch-{:04}.{}", progress.epoch, show::extension(&session.record));
    report.note(&format!("samples  {}", folder.join("samples").join(last).display()));
    report.note(&format!("metrics  {}", folder.join("metrics.csv").display()));
    report.note(&format!("model    {}", folder.join("checkpoints").display()));
    report.note(&format!("next     elbo eval {shown} --samples 100"));
    report.note(&format!("         elbo sample {shown} -n 100"));
    report.note(&format!("         elbo reconstruct {shown}"));
    Ok(())
}

fn row(epoch: &Epoch) -> EpochRow {
    EpochRow {
        epoch: epoch.epoch,
        epochs: epoch.epochs,
        distortion: epoch.distortion,
        rate: epoch.rate,
        neg_elbo: epoch.neg_elbo(),
        validation: epoch.validation,
        images_per_second: epoch.images_per_second,
        elapsed: epoch.elapsed,
        eta: epoch.left,
    }
}

/// Samples from the prior, the same latents after every epoch, and reconstructions of examples that are not trained on.
fn pictures(session: &mut Session, folder: &Path, epoch: usize) -> Result<()> {
    let seed = session.config.train.seed;
    let samples = session.sample(SAMPLES, seed)?;
    let end = show::extension(&session.record);
    let name = |kind: &str| folder.join("samples").join(format!("{kind}-{epoch:04}.{end}"));
    show::save(&name("epoch"), &samples, &session.record, 8)?;
    let shown = examples(session, RECONSTRUCTIONS, seed)?;
    let (originals, reconstructions) = session.reconstruct(&shown, seed)?;
    show::pairs(&name("reconstruction"), &originals, &reconstructions, &session.record, 8)
}

/// Examples to show: of the test part if there is one, else of validation, else of what is trained on.
fn examples(session: &Session, wanted: usize, seed: u64) -> Result<Vec<u32>> {
    let data = session.data()?;
    let part = [&data.test, &data.validation, &data.train].into_iter().find(|part| !part.is_empty());
    let part = part.cloned().unwrap_or(0..1);
    let mut rng = Philox::new(seed, Stream::Choice, 0, 0);
    let pick = |_| part.start as u32 + (rng.uniform() * part.len() as f32) as u32 % part.len() as u32;
    Ok((0..wanted.min(part.len())).map(pick).collect())
}

/// `metrics.csv`: one line per epoch. It is rewritten whole, so that it is never half a line.
#[derive(Debug, Default)]
struct Metrics {
    lines: Vec<String>,
}

const COLUMNS: &str = "epoch,distortion,rate,neg_elbo,validation_neg_elbo,images_per_second,elapsed_seconds";

impl Metrics {
    /// The lines of the epochs that a checkpoint knows of; later ones will be written again.
    fn read(folder: &Path, epochs: usize) -> Result<Self> {
        let path = folder.join("metrics.csv");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Error::Data(format!("cannot read {}: {error}", path.display()))),
        };
        Ok(Self { lines: text.lines().skip(1).take(epochs).map(str::to_owned).collect() })
    }

    fn add(&mut self, folder: &Path, epoch: &Epoch) -> Result<()> {
        self.lines.push(format!(
            "{},{},{},{},{},{:.0},{:.1}",
            epoch.epoch,
            epoch.distortion,
            epoch.rate,
            epoch.neg_elbo(),
            epoch.validation.map_or(String::new(), |v| v.to_string()),
            epoch.images_per_second,
            epoch.elapsed.as_secs_f64()
        ));
        let text = format!("{COLUMNS}\n{}\n", self.lines.join("\n"));
        durable::replace_file(&folder.join("metrics.csv"), text.as_bytes())
    }
}

/// The saved configuration, with what else decided the result as comments.
fn header(session: &Session) -> String {
    format!(
        "# elbo {}\n# data {} ({})\n# device {}\n{}",
        env!("CARGO_PKG_VERSION"),
        session.record.name,
        session.record.hash,
        session.executor.name(),
        config::to_toml(&session.config)
    )
}

/// The folder of a new run: the one asked for, or the next free `runs/NAME-N`.
fn run_folder(asked: Option<&Path>, name: &str) -> Result<PathBuf> {
    if let Some(folder) = asked {
        folder::check_empty(folder, ", or continue the run in it with --resume")?;
        return Ok(folder.to_owned());
    }
    let taken = |n: &usize| Path::new("runs").join(format!("{name}-{n}")).exists();
    let free = (1..usize::MAX).find(|n| !taken(n)).unwrap_or(1);
    Ok(Path::new("runs").join(format!("{name}-{free}")))
}

fn catch_interrupts() {
    // A handler can be set once per process, which is all a command needs; in a process that has one, it stays.
    let _ = ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    });
}
