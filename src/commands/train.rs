//! `elbo train`: a model from examples, or several side by side, in a run folder that holds everything.

mod codes;
mod events;
mod files;
mod finish;
mod pictures;
mod stop;
mod summary;
mod sweep;
mod together;

use super::{describe, folder, open, show};
use crate::checkpoint::find::steps_beyond;
use crate::checkpoint::sweep::{Sweep, load_common, one_model};
use crate::checkpoint::{self, Checkpoint, DataRecord, Which};
use crate::cli::TrainArgs;
use crate::config::{self, Config, Curve};
use crate::data::{self, Dataset, grids};
use crate::durable;
use crate::error::{Error, Result};
use crate::exec::{measure, select};
use crate::model::prior;
use crate::ranks::Ranks;
use crate::report::Report;
use crate::report::human::count;
use crate::report::progress::EpochRow;
use crate::session::{Purpose, Session};
use crate::train::{self, Epoch, Event, Member, Options};
use codes::Encoded;
use events::Events;
use files::{Metrics, edited, flush_metrics, header, numbers, run_folder};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
pub use stop::{STOP, catch_announcements, keep_ignored, own_process};

/// Epochs after each of which samples are drawn, however quickly they follow each other.
const DRAWN: usize = 50;

/// What is warned of where an event file cannot be written.
const UNTOLD: &str = "nothing was written for TensorBoard";

/// A rate in nats below which latents say nothing, and the steps after which they should.
const COLLAPSED: f64 = 0.1;
const ENOUGH: u64 = 500;

/// Where a run is kept.
struct RunFolders {
    /// The run folder, or the one around those of all members.
    folder: PathBuf,
    /// The run folder of each member: `folder` itself where it is no sweep.
    folders: Vec<PathBuf>,
    /// The metrics of each member so far.
    metrics: Vec<Metrics>,
    /// The best score of each member so far.
    best: Vec<Option<f64>>,
    sweep: Option<Sweep>,
    /// When samples were drawn last.
    drawn: Option<Instant>,
    /// What epochs are compared by, in a word.
    score: &'static str,
    /// Whether the learning rate is the same for many epochs, and then another one.
    stepped: bool,
    /// The rate of the last epoch of each member, and its learning rate.
    last: Vec<Option<[f64; 2]>>,
    /// What TensorBoard is told of each member; nothing where nobody asks.
    events: Vec<Events>,
}

impl RunFolders {
    /// That of members that were not trained as yet in this sitting.
    fn new(
        session: &Session,
        members: &[Member],
        folder: PathBuf,
        folders: Vec<PathBuf>,
        metrics: Vec<Metrics>,
        sweep: Option<Sweep>,
    ) -> Self {
        let best = members.iter().map(|member| member.progress.best).collect();
        let (score, last) = (session.config.score(), vec![None; members.len()]);
        let stepped = matches!(session.config.schedule.curve, Curve::Steps | Curve::Plateau);
        let events = vec![];
        Self { folder, folders, metrics, best, sweep, drawn: None, score, stepped, last, events }
    }
}

impl RunFolders {
    /// Where TensorBoard finds a member: below `folder` by the name of its run, of a member of a sweep by both names.
    fn shown_in(&self, folder: &Path, member: usize) -> PathBuf {
        let run = self.folder.file_name().map_or_else(|| folder.to_owned(), |name| folder.join(name));
        match (&self.sweep, self.folders[member].file_name()) {
            (Some(_), Some(name)) => run.join(name),
            _ => run,
        }
    }

    /// Hands on the pictures that were drawn after an epoch.
    fn tell_pictures(&mut self, epoch: usize) -> Result<()> {
        for (events, folder) in self.events.iter_mut().zip(&self.folders) {
            for (kind, name) in [("epoch", "samples"), ("reconstruction", "reconstructions")] {
                events.picture(epoch, name, &folder.join("samples").join(format!("{kind}-{epoch:04}.png")))?;
            }
        }
        Ok(())
    }
}

/// Trains, or continues a run.
///
/// # Errors
/// [`Error::Usage`] for a setting that makes no sense; [`Error::Data`] where data or the run cannot be read;
/// [`Error::Diverged`], [`Error::Device`] and [`Error::Disk`] of the training; [`Error::Interrupted`] where it was
/// stopped after a checkpoint.
pub fn run(args: &TrainArgs, ranks: &Ranks, report: &Report) -> Result<()> {
    if args.profile && ranks.are_several() {
        return Err(Error::Usage("--profile times the steps of one process: leave out mpirun".into()));
    }
    match &args.resume {
        Some(run) => {
            args.check_resume()?;
            resume(args, run, (ranks, report))
        }
        None => begin(args, (ranks, report)),
    }
}

fn begin(args: &TrainArgs, (ranks, report): (&Ranks, &Report)) -> Result<()> {
    let mut encoded = args.prior_of.as_ref().map(|run| Encoded::of(run, args, report)).transpose()?;
    let recipe = args.recipe.recipe.as_deref().or_else(|| encoded.as_ref().map(|_| codes::RECIPE));
    let overrides = codes::overrides(args, encoded.as_ref())?;
    let config::Sweep { varied, members } = config::sweep(recipe, &overrides, args.seeds.as_deref())?;
    codes::check(&members, encoded.is_some())?;
    let ready = encoded.as_mut().map(|encoded| encoded.dataset(&members[0])).transpose()?;
    let sweep = (!varied.is_empty()).then(|| Sweep::new(varied, members.len()));
    // Members differ in few settings; what is said of one is not said again.
    let mut advice: Vec<String> = members.iter().flat_map(config::advice).collect();
    advice.dedup();
    let mut session = prepare(members, ready, None, args, (ranks, report))?;
    for line in &advice {
        report.warn(line);
    }
    if args.dry_run {
        session.plan(Purpose::Train)?;
        summary::model(&mut session, report)?;
        if let Some(sweep) = &sweep {
            report.result(&sweep::settings(&session, sweep));
        }
        if args.profile {
            session.initialise()?;
            profile(&mut session, report)?;
        }
        report.result(&config::to_toml(&session.config));
        return Ok(());
    }
    together::agree(&session, None)?;
    // The first rank writes, and the others know where.
    let made = ranks.is_first().then(|| run_folder(args.out.as_deref(), &session.config.name, report)).transpose();
    let named = made.as_ref().map(|made| made.as_ref().map_or(String::new(), |made| made.path().display().to_string()));
    let named = ranks.outcome_of_first(named.map_err(Clone::clone))?;
    let mut made = made?;
    let folder = made.as_ref().map_or_else(|| PathBuf::from(named), |made| made.path().to_owned());
    let folders = sweep.as_ref().map_or(vec![folder.clone()], |sweep| sweep.folders(&folder));
    let done = (|| {
        if let Some(made) = &mut made {
            made.add(&folders, report)?;
        }
        if let Some(encoded) = encoded.as_ref().filter(|_| ranks.is_first()) {
            encoded.write(&folder)?;
        }
        tune(&mut session, args, report)?;
        session.plan(Purpose::Train)?;
        session.initialise()?;
        summary::model(&mut session, report)?;
        let metrics = folders.iter().map(|_| Metrics::default()).collect();
        let mut members: Vec<_> =
            folders.iter().map(|folder| Member::new(&session, folder.join("checkpoints"))).collect();
        let from = open::meant_from(&session.config);
        for member in &mut members {
            member.progress.folder.clone_from(&from);
        }
        let place = RunFolders::new(&session, &members, folder, folders.clone(), metrics, sweep);
        go(&mut session, members, place, args, report)
    })();
    // A run that never began leaves nothing behind, nor does one that diverged before it had learnt anything: its folder
    // is free for the next attempt.
    let Some(made) = made else { return done };
    match done {
        Err(Error::Diverged(why)) if !folders.iter().any(|folder| has_learnt(folder)) => {
            made.remove();
            Err(Error::Diverged(format!("{why}; nothing was learnt, so nothing is kept")))
        }
        Err(error) if folders.iter().all(|folder| checkpoint::locate(folder, Which::Last).is_err()) => {
            made.remove();
            Err(error)
        }
        done => done,
    }
}

fn resume(args: &TrainArgs, run: &Path, (ranks, report): (&Ranks, &Report)) -> Result<()> {
    if folder::is_start(run) {
        let shown = run.display();
        return Err(Error::Data(format!(
            "{shown}: the run was ended before its first checkpoint; begin it again: elbo train with --out {shown} takes \
             the folder over"
        )));
    }
    let sweep = Sweep::read(run)?;
    let (folder, folders) = if let Some(sweep) = &sweep {
        (run.to_owned(), sweep.folders(run))
    } else {
        let folder = open::folder_of(&one_model(run)?);
        (folder.clone(), vec![folder])
    };
    // From here on nobody else changes what is read.
    let whole: Vec<PathBuf> = sweep.iter().map(|_| folder.clone()).chain(folders.iter().cloned()).collect();
    let runs: Vec<PathBuf> = whole.into_iter().filter(|folder| durable::is_run(folder)).collect();
    let locks = ranks.is_first().then(|| folder::go_on(&runs, report)).transpose();
    ranks.outcome_of_first(locks.as_ref().map(|_| String::new()).map_err(Clone::clone))?;
    let _locks = locks?;
    let (mut saved, warnings) = if let Some(sweep) = &sweep {
        saved_members(run, sweep)?
    } else {
        let run = one_model(run)?;
        let (path, saved, warnings) = checkpoint::find_latest(&run)?;
        if let Some(step) = steps_beyond(&path).filter(|_| run.file_name() == path.file_name() || run.ends_with("best"))
        {
            report.warn(&format!(
                "going on from {}: the checkpoints of later steps, up to step {step}, are given up and go now",
                path.display()
            ));
        }
        (vec![saved], warnings)
    };
    for warning in
        warnings.into_iter().chain(folders.iter().zip(&saved).filter_map(|(at, saved)| edited(at, &saved.config)))
    {
        report.warn(&warning);
    }
    let lost = |at: usize| sweep.as_ref().and_then(|sweep| sweep.lost.get(&sweep.members[at]).cloned());
    let trains = |at: &usize| lost(*at).is_none() && !saved[*at].progress.course.stopped;
    let alive = (0..saved.len()).find(trains).or((0..saved.len()).find(|&at| lost(at).is_none()));
    let Some(progress) = alive.map(|at| saved[at].progress.clone()) else {
        return Err(Error::Diverged(format!("{}: every member has diverged", run.display())));
    };
    let mut configs: Vec<Config> = saved.iter().map(|saved| saved.config.clone()).collect();
    if let Some(epochs) = args.epochs {
        if epochs < progress.epoch as usize {
            return Err(Error::Usage(format!(
                "--epochs {epochs} is the new total, and {} epochs are done already",
                progress.epoch
            )));
        }
        let more = configs.iter().any(|config| epochs > config.train.epochs);
        if more && sweep.is_none() && progress.course.stopped {
            // More epochs are a wish to go on, also where the run had stopped early: patience begins anew.
            let course = &mut saved[0].progress.course;
            (course.stopped, course.patient_from) = (false, progress.epoch);
        }
        for config in &mut configs {
            config.train.epochs = epochs;
            config::validate(config)?;
        }
    }
    for config in &mut configs {
        if let Some(source) = &args.data {
            source.clone_into(&mut config.data.source);
        }
        if config.model.prior_codes == 0 {
            open::place(config, progress.folder.as_deref(), report);
        } else if args.data.is_some() {
            return Err(Error::Usage(format!(
                "--data: the data of a prior of codes are those in {} in the folder of its run",
                grids::FOLDER
            )));
        }
    }
    config::check_members(&configs)?;
    let is_prior = configs[0].model.prior_codes > 0;
    let own = is_prior.then(|| open::codes(&configs[0], Some(progress.data.known()), &folder)).transpose()?;
    let mut session =
        prepare(configs, own, Some(&progress.data), args, (ranks, report)).map_err(|error| match error {
            Error::Data(why) if args.data.is_none() => Error::Data(format!(
                "{why} (these are the run's data; where they have moved, --data PLACE names them beside --resume)"
            )),
            error => error,
        })?;
    check_same_data(&session.record, &progress.data, args.data.is_some())?;
    let folder_now = open::meant_from(&session.config);
    for saved in &mut saved {
        saved.progress.data.name.clone_from(&session.record.name);
        saved.progress.folder.clone_from(&folder_now);
    }
    saved.iter().try_for_each(|saved| checkpoint::match_parameters(saved, &session.expected()))?;
    if progress.step > 0 && session.executor.name() != progress.adapter {
        report.warn(&format!(
            "the run was trained on {}; on {} it goes on with other rounding, so not with the same bits",
            progress.adapter,
            session.executor.name()
        ));
    }
    together::agree(&session, Some(&progress))?;
    if let Some(line) = together::changed(&progress, ranks) {
        report.warn(&line);
    }
    // Other tilings would round differently.
    session.tuning.clone_from(&progress.tuning);
    session.plan(Purpose::Train)?;
    saved.iter().enumerate().try_for_each(|(member, saved)| session.restore(member, saved))?;
    summary::model(&mut session, report)?;
    let mut metrics = Vec::with_capacity(saved.len());
    for (folder, saved) in folders.iter().zip(&saved) {
        let (found, warning) = Metrics::read(folder, saved.progress.epoch as usize)?;
        metrics.push(found);
        if let Some(warning) = warning {
            report.warn(&warning);
        }
    }
    if saved.iter().enumerate().all(|(at, saved)| saved.progress.course.stopped || lost(at).is_some()) {
        let text = match &sweep {
            None => format!("stopped early after epoch {}: to go on, give a larger --epochs", progress.epoch),
            Some(_) => "every member has stopped early or was given up: there is nothing to go on with".to_owned(),
        };
        report.note(&text);
    } else if progress.epoch as usize >= session.config.train.epochs {
        let all =
            if progress.epoch == 1 { "the epoch is".into() } else { format!("all {} epochs are", progress.epoch) };
        report.note(&format!("{all} done: to go on, give a larger --epochs"));
    } else {
        report.note(&format!("going on after epoch {}, step {}", progress.epoch, progress.step));
    }
    let member = |(at, saved): (usize, Checkpoint)| Member {
        progress: saved.progress,
        checkpoints: folders[at].join("checkpoints"),
        lost: lost(at),
    };
    let members: Vec<Member> = saved.into_iter().enumerate().map(member).collect();
    let place = RunFolders::new(&session, &members, folder, folders, metrics, sweep);
    go(&mut session, members, place, args, report)
}

/// Whether the last checkpoint of a run is of some step.
fn has_learnt(folder: &Path) -> bool {
    checkpoint::glance(folder, Which::Last).is_ok_and(|(_, progress)| progress.step > 0)
}

/// Checks that data are those of the run, wherever they lie now.
fn check_same_data(found: &DataRecord, own: &DataRecord, moved: bool) -> Result<()> {
    if found.is_of(own) {
        return Ok(());
    }
    let advice = if moved { "name those" } else { "put the original data back, or name them by --data" };
    let why = if found.hash == own.hash {
        "they are the same numbers, read in another way".to_owned()
    } else {
        format!("its hash was {}, now it is {}", own.hash, found.hash)
    };
    Err(Error::Data(format!("{}: the data are not those of the run: {why}; {advice}", found.name)))
}

/// Where the members of a sweep go on: all after the same step, but those that were given up or stopped early, of which
/// their last checkpoint tells what they were. Also what to warn of.
fn saved_members(run: &Path, sweep: &Sweep) -> Result<(Vec<Checkpoint>, Vec<String>)> {
    let glance = |name: &str| checkpoint::glance(&run.join(name), Which::Last);
    let stopped = |name: &str| glance(name).is_ok_and(|(_, progress)| progress.course.stopped);
    let done = |name: &&String| sweep.lost.contains_key(*name) || stopped(name);
    let (gone, alive): (Vec<&String>, Vec<&String>) = sweep.members.iter().partition(done);
    let folders: Vec<PathBuf> = alive.iter().map(|name| run.join(name)).collect();
    let (found, warnings) = if folders.is_empty() { (vec![], vec![]) } else { load_common(&folders)? };
    let mut all: Vec<(&String, Checkpoint)> = alive.into_iter().zip(found).collect();
    for name in gone {
        all.push((name, checkpoint::load_latest(&run.join(name))?.0));
    }
    all.sort_by_key(|(name, _)| sweep.members.iter().position(|other| other == *name));
    Ok((all.into_iter().map(|(_, checkpoint)| checkpoint).collect(), warnings))
}

/// Data, which may be there already, device and models. What a run that goes on knows of its data is not looked for anew.
fn prepare(
    mut configs: Vec<Config>,
    ready: Option<Dataset>,
    known: Option<&DataRecord>,
    args: &TrainArgs,
    (ranks, report): (&Ranks, &Report),
) -> Result<Session> {
    configs.iter().try_for_each(|config| config::check_ranks(config, ranks.count()))?;
    let others = configs.split_off(1);
    let config = configs.swap_remove(0);
    let threads = together::threads(args.threads.count()?, ranks);
    let data = ready.map_or_else(|| together::data(&config, known, (ranks, report)), Ok)?;
    data::check(&data, config.model.takes())?;
    // Of a run that goes on it is told that its data are others.
    if known.is_none() && config.train.batch > data.train.len() {
        return Err(config::batch_exceeds(config.train.batch, data.train.len()));
    }
    // Pseudo-inputs start as examples once: a run that goes on has them.
    let components = config.model.prior_components;
    if known.is_none() && prior::of(config.model.prior).encoded && components > data.train.len() {
        return Err(config::pseudo_inputs_exceed(components, data.train.len()));
    }
    let (executor, line) = select::open_beside(args.adapter.as_deref().unwrap_or("auto"), threads, ranks.place().0)?;
    report.note(&format!("device   {line}"));
    report.note(&format!(
        "data     {}: {} to train on, {} for validation, {} for the test, {}",
        data.name,
        count(data.train.len() as u64),
        count(data.validation.len() as u64),
        count(data.test.len() as u64),
        describe::each(&data)
    ));
    let mut session = Session::with_members(config, others, data, executor)?;
    session.join(ranks.clone())?;
    if let Some(line) = together::line(&session) {
        report.note(&line);
    }
    if session.model.infers_classes() {
        session.labelled()?;
    }
    Ok(session)
}

/// Chooses how products and convolutions are tiled, the first of several ranks for all of them: others would round differently.
fn tune(session: &mut Session, args: &TrainArgs, report: &Report) -> Result<()> {
    let ranks = session.ranks().clone();
    let tuned = if ranks.is_first() { super::tune(session, args.tune.unwrap_or_default(), report) } else { Ok(()) };
    if !ranks.are_several() {
        return tuned;
    }
    let bug = |error: serde_json::Error| Error::Bug(error.to_string());
    let told = tuned.and_then(|()| serde_json::to_string(&session.tuning).map_err(bug));
    session.tuning = serde_json::from_str(&ranks.outcome_of_first(told)?).map_err(bug)?;
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
    members: Vec<Member>,
    mut place: RunFolders,
    args: &TrainArgs,
    report: &Report,
) -> Result<()> {
    if args.profile {
        profile(session, report)?;
    }
    stop::catch_interrupts();
    let first = session.ranks().is_first();
    for (folder, config) in place.folders.iter().zip(session.members()).filter(|_| first) {
        durable::create_folder(&folder.join("checkpoints"))?;
        durable::create_folder(&folder.join("samples"))?;
        durable::replace_file(&folder.join("config.toml"), header(session, config).as_bytes())?;
    }
    if let Some(sweep) = place.sweep.as_ref().filter(|_| first) {
        sweep.write(&place.folder)?;
    }
    if let Some(folder) = args.tensorboard.as_ref().filter(|_| first) {
        let epoch = |member: &Member| member.progress.epoch as usize + 1;
        let begin = |(at, member): (usize, &Member)| Events::begin(&place.shown_in(folder, at), epoch(member));
        place.events = members.iter().enumerate().map(begin).collect::<Result<_>>()?;
    }
    let deadline = args.max_time.and_then(|time| Instant::now().checked_add(time));
    let options = Options { stop: &STOP, deadline, check_steps: args.check_steps };
    let begun = members.iter().any(|member| member.progress.step > 0);
    let done = train::train(session, members, &options, &mut |event| {
        match event {
            _ if !first => {}
            Event::Begin(epoch, epochs, steps) => report.begin_epoch(epoch, epochs, steps),
            Event::Step(done, rate) => report.step(done, None, rate),
            Event::Warning(text) => report.warn(&text),
            Event::Epoch(epochs) => keep(epochs, &mut place, report)?,
            Event::Lost(member, why) => sweep::give_up(&mut place, member, why, report)?,
            Event::Back { member, why, epoch, members } => {
                say_back(&place, member, why, epoch, report);
                for &member in members {
                    place.metrics[member].forget_after(epoch);
                    let told = place.events.get_mut(member).map_or(Ok(()), |events| events.go_back(epoch + 1));
                    warned(UNTOLD, told, report)?;
                }
            }
            Event::Stopped(member, epoch) => report.note(&stopped(&place, member, epoch)),
            Event::Flush => {
                if let Err(error) = flush_metrics(&place.folders) {
                    report.warn(&error.to_string());
                }
            }
            Event::Pictures { session, members, epoch } if due(session, members, place.drawn, epoch) => {
                place.drawn = Some(Instant::now());
                match pictures::draw(session, members, &place.folders, epoch) {
                    // Before the first step a folder that cannot be written to ends the run; later it does not.
                    Err(Error::Disk(why)) if epoch > 0 || begun => report.warn(&format!("no picture: {why}")),
                    other => other?,
                }
                warned(UNTOLD, place.tell_pictures(epoch), report)?;
            }
            Event::Pictures { .. } => {}
        }
        Ok(())
    });
    report.clear();
    let members = done.map_err(|error| match error {
        Error::Interrupted(why) => {
            Error::Interrupted(format!("{why}; go on with: elbo train --resume {}", place.folder.display()))
        }
        Error::Diverged(why) => match place.folders.iter().find(|folder| has_learnt(folder)) {
            Some(folder) => Error::Diverged(format!(
                "{why}; the last good checkpoint is in {}",
                folder.join("checkpoints").display()
            )),
            None => Error::Diverged(why),
        },
        error => error,
    })?;
    match &place.sweep {
        _ if !first => {}
        Some(sweep) => sweep::finish(session, &members, sweep, &place.folder, report)?,
        None => finish::finish(session, &members[0], &place.folder, !args.no_report, report)?,
    }
    if let Some(line) = collapsed(&place, &members).filter(|_| !session.model.is_prior_of_codes()) {
        report.warn(&line);
    }
    Ok(())
}

/// What to warn of where the latents of a model say next to nothing in the end; of several members which ones.
fn collapsed(place: &RunFolders, members: &[Member]) -> Option<String> {
    let rates = place.last.iter().zip(members).enumerate().filter_map(|(at, (last, member))| {
        let [rate, _] = (*last)?;
        (member.lost.is_none() && rate < COLLAPSED && member.progress.step >= ENOUGH).then_some((at, rate))
    });
    let rates: Vec<(usize, f64)> = rates.collect();
    let (_, rate) = *rates.first()?;
    let found = match &place.sweep {
        None => format!("the rate is {rate:.3} nats: the latents say"),
        Some(sweep) => {
            let shown = rates.iter().take(8).map(|(at, rate)| format!("{} {rate:.3}", sweep.members[*at]));
            let rest = if rates.len() > 8 { ", …" } else { "" };
            let (all, shown) = (members.len(), shown.collect::<Vec<_>>().join(", "));
            format!(
                "the rate of {} of {all} members is below {COLLAPSED} nats ({shown}{rest}): their latents say",
                rates.len()
            )
        }
    };
    Some(format!(
        "{found} next to nothing about an example (posterior collapse); a smaller --beta, objective.anneal or \
         objective.free_bits may help"
    ))
}

/// Whether samples are drawn after an epoch: of the first ones always, then now and then; and where a member ends.
fn due(session: &Session, members: &[Member], drawn: Option<Instant>, epoch: usize) -> bool {
    let train = &session.config.train;
    let wait = Duration::from_secs(train.sample_seconds as u64);
    // Its draws take the VQ-VAE, and as many passes as there are cells.
    if session.model.is_prior_of_codes() {
        return false;
    }
    let ends = |member: &Member| member.progress.epoch as usize == epoch && member.progress.course.stopped;
    epoch <= DRAWN
        || epoch >= train.epochs
        || members.iter().any(ends)
        || drawn.is_none_or(|drawn| drawn.elapsed() >= wait)
}

/// Says that a run goes back.
fn say_back(place: &RunFolders, member: usize, why: &str, epoch: usize, report: &Report) {
    let who = place.sweep.as_ref().map_or(String::new(), |sweep| format!("{}: ", sweep.members[member]));
    report.warn(&format!(
        "{who}{why}; going back to the last checkpoint, after epoch {epoch}, with half the learning rate and other noise"
    ));
}

/// That a run stopped early, in a line.
fn stopped(place: &RunFolders, member: usize, epoch: usize) -> String {
    let who = place.sweep.as_ref().map_or(String::new(), |sweep| format!("{} ", sweep.members[member]));
    format!("stopped {who}early after epoch {epoch}: what it came to is its best epoch")
}

/// Shows and notes what an epoch came to.
fn keep(epochs: &[Epoch], place: &mut RunFolders, report: &Report) -> Result<()> {
    for epoch in epochs {
        place.best[epoch.member] = Some(epoch.best);
        let before = place.last[epoch.member].replace([epoch.rate, epoch.lr.into()]);
        let lowered = before.and_then(|[_, lr]| lowered(lr, epoch)).filter(|_| place.stepped && place.sweep.is_none());
        if let Some(line) = lowered {
            report.note(&line);
        }
    }
    match (&place.sweep, epochs) {
        (None, [epoch]) => {
            report.epoch(&row(epoch));
        }
        (None, _) => return Err(Error::Bug(format!("{} members and no sweep", epochs.len()))),
        (Some(sweep), _) => {
            let kept = sweep::keep(epochs, place.score, &place.best, sweep, &place.folder, report);
            warned("the name of the best member was not written", kept, report)?;
        }
    }
    let (mut noted, mut told) = (Ok(()), Ok(()));
    for epoch in epochs {
        noted = noted.and(place.metrics[epoch.member].add(&place.folders[epoch.member], epoch));
        if let Some(events) = place.events.get_mut(epoch.member) {
            told = told.and(events.numbers(epoch.epoch, &numbers(epoch)));
        }
    }
    warned(UNTOLD, told, report)?;
    warned("metrics.csv was not written", noted, report)
}

/// That an epoch was trained with a lower learning rate than the one before.
fn lowered(before: f64, epoch: &Epoch) -> Option<String> {
    // Single precision has more digits than anybody typed.
    let short = |lr: f64| format!("{lr:.3e}").parse().unwrap_or(lr);
    let line = || format!("learning rate {} -> {} in epoch {}", short(before), short(epoch.lr.into()), epoch.epoch);
    (f64::from(epoch.lr) < before).then(line)
}

/// A file that could not be written is no reason to end a run.
fn warned(what: &str, written: Result<()>, report: &Report) -> Result<()> {
    match written {
        Err(Error::Disk(why)) => {
            report.warn(&format!("{what}: {why}"));
            Ok(())
        }
        other => other,
    }
}

fn row(epoch: &Epoch) -> EpochRow {
    EpochRow {
        epoch: epoch.epoch,
        epochs: epoch.epochs,
        distortion: epoch.distortion,
        rate: epoch.rate,
        neg_elbo: epoch.neg_elbo(),
        score: match (epoch.neg_bound, epoch.validation_neg_bound) {
            _ if epoch.monitored.is_some() => epoch.monitored.map(|score| ("monitored", score)),
            (Some(_), Some(validation)) => Some(("val. bound", validation)),
            (Some(training), None) => Some(("-bound", training)),
            (None, _) => epoch.validation.map(|validation| ("validation", validation)),
        },
        images_per_second: epoch.images_per_second,
        elapsed: epoch.elapsed,
        eta: epoch.left,
        clipped: epoch.clipped(),
    }
}
