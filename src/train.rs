//! Training: epochs of steps on the device, and what is kept of them.
//!
//! Several models of one session, its members, train side by side: every step is a step of each. A member whose loss is
//! no longer finite goes back to its last checkpoint, and is given up in the end; the others go on. A member that stops
//! early is left as it was at its best.

mod columns;
mod epoch;
mod players;
mod recover;
mod run;
mod save;
mod schedule;

use crate::checkpoint::{Progress, TrainerState};
use crate::error::{Error, Result};
use crate::eval;
use crate::model::tasks::{EVALUATE, IMPORTANCE};
use crate::plan::GRADIENT_NORM;
use crate::session::{BATCH, Purpose, Session};
use run::Run;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

pub use columns::CLIPPED;
pub use schedule::{Update, learning_rate, scalars, scalars_of, scalars_of_rank};

/// One of the models that train side by side, and how far it has come.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// The state that its next checkpoint will have.
    pub progress: Progress,
    /// Its folder of checkpoints.
    pub checkpoints: PathBuf,
    /// Why it was given up. Its progress is then where that was noticed, its last checkpoint a good one before.
    pub lost: Option<String>,
}

impl Member {
    /// A member that has not taken a step.
    pub fn new(session: &Session, checkpoints: impl Into<PathBuf>) -> Self {
        let progress = Progress {
            epoch: 0,
            step: 0,
            step_in_epoch: 0,
            sums: vec![],
            best: None,
            best_epoch: None,
            elapsed_seconds: 0.0,
            adapter: session.executor.name(),
            data: session.record.clone(),
            folder: None,
            tuning: session.tuning.clone(),
            course: TrainerState::default(),
        };
        Self { progress, checkpoints: checkpoints.into(), lost: None }
    }

    /// Whether it still trains: it was not given up and did not stop early.
    pub fn trains(&self) -> bool {
        self.lost.is_none() && !self.progress.course.stopped
    }
}

/// What an epoch came to for one member; losses are means over its examples in nats.
#[derive(Debug, Clone, PartialEq)]
pub struct Epoch {
    /// Which member, from 0.
    pub member: usize,
    /// Which epoch, from 1.
    pub epoch: usize,
    /// Of how many.
    pub epochs: usize,
    /// −log p(x|z) under the posterior.
    pub distortion: f64,
    /// KL from the prior to the posterior; of several stochastic layers the sum of their rates, of which only the highest
    /// is a KL: those below it are log q − log p at a sample.
    pub rate: f64,
    /// The rate of each of several stochastic layers, the lowest first; none of one.
    pub layer_rates: Vec<f64>,
    /// −ELBO of the validation part, where there is one.
    pub validation: Option<f64>,
    /// Minus the importance-weighted bound, where that is what is minimised.
    pub neg_bound: Option<f64>,
    /// −log of the mean of as many importance weights for the validation part, where there are both.
    pub validation_neg_bound: Option<f64>,
    /// What else the loss is made of or is reported, by name: penalty, total correlation, MMD, further bounds, [`GRADIENT_NORM`]
    /// and [`CLIPPED`].
    pub others: Vec<(String, f64)>,
    /// The learning rate of the epoch's last update.
    pub lr: f32,
    /// β at the epoch's last update, where the objective has one.
    pub beta: Option<f32>,
    /// The capacity at the epoch's last update, where the objective has one.
    pub capacity: Option<f32>,
    /// What `train.monitor` names, where that is neither −ELBO nor the bound.
    pub monitored: Option<f64>,
    /// The best score of any epoch so far.
    pub best: f64,
    /// Examples trained on per second, in this sitting, by all members together.
    pub images_per_second: f64,
    /// Time spent training over all sittings.
    pub elapsed: Duration,
    /// Time that the remaining epochs will take at this speed.
    pub left: Duration,
}

impl Epoch {
    /// Where gradients are clipped, the mean of their norms before that, and the share of updates whose gradient was too long: of
    /// several players those of the first.
    pub fn clipped(&self) -> Option<[f64; 2]> {
        let of = |name: &str| self.others.iter().find(|(other, _)| other.starts_with(name)).map(|(_, mean)| *mean);
        Some([of(GRADIENT_NORM)?, of(CLIPPED)?])
    }

    /// −ELBO: distortion + rate, whatever β is.
    pub fn neg_elbo(&self) -> f64 {
        self.distortion + self.rate
    }

    /// What epochs and members are compared by: −ELBO, or the bound that is minimised in its place, or what
    /// `train.monitor` names, of the validation part, or else of what was trained on.
    pub fn score(&self) -> f64 {
        match self.neg_bound {
            _ if self.monitored.is_some() => self.monitored.unwrap_or_default(),
            Some(neg_bound) => self.validation_neg_bound.unwrap_or(neg_bound),
            None => self.validation.unwrap_or(self.neg_elbo()),
        }
    }
}

/// What training tells its caller as it goes.
#[derive(Debug)]
pub enum Event<'a> {
    /// An epoch begins: its number from 1, of how many, with how many steps.
    Begin(usize, usize, usize),
    /// Steps of the epoch that were handed over, and examples per second.
    Step(usize, f64),
    /// An epoch is complete and evaluated, and about to be saved: one for each member that was not given up. What is
    /// kept of it is kept now: a run that is killed in the save meets the epoch again, but not one that is killed after
    /// it.
    Epoch(&'a [Epoch]),
    /// A checkpoint follows that a power cut cannot undo. What was kept of earlier epochs is flushed now, so that it does
    /// not fall behind.
    Flush,
    /// One member of several is given up, and why. What is kept of this is kept now.
    Lost(usize, &'a str),
    /// A loss was not finite, and all that still train go back to their last checkpoints.
    Back {
        /// Whose loss it was.
        member: usize,
        /// Where, and what it was.
        why: &'a str,
        /// How many epochs are complete in those checkpoints.
        epoch: usize,
        /// Which members go back.
        members: &'a [usize],
    },
    /// A member stops early, after so many epochs: it will be as it was in its best epoch.
    Stopped(usize, usize),
    /// The session is at rest: the moment to draw samples of the members that still train.
    Pictures {
        /// The models.
        session: &'a mut Session,
        /// All members, also those that do not train any more.
        members: &'a [Member],
        /// Epochs that are done.
        epoch: usize,
    },
    /// Something went wrong that does not end the run.
    Warning(String),
}

/// How a run is made.
#[derive(Debug)]
pub struct Options<'a> {
    /// Set from outside to stop after the steps under way.
    pub stop: &'a AtomicBool,
    /// When to stop as if asked from outside.
    pub deadline: Option<Instant>,
    /// Compare every dispatch of the first step of each epoch with its twin.
    pub check_steps: bool,
}

/// Trains until the configured number of epochs is done. The session holds the parameters that the progress of
/// `members` speaks of, in the same order; those that still train have come equally far. In the end the session holds, for
/// members that stopped early, the parameters of their best epoch.
///
/// Before the first step everything is tried that could fail later: plans are loaded, checkpoints are written, pictures
/// are drawn. Fails with [`Error::Diverged`] when the last member that was left is given up (its last good checkpoint
/// stays), with [`Error::Interrupted`] after saving when `stop` was set or the deadline has passed.
pub fn train(
    session: &mut Session,
    members: Vec<Member>,
    options: &Options,
    observe: &mut dyn FnMut(Event) -> Result<()>,
) -> Result<Vec<Member>> {
    let examples = session.data()?.train.len();
    if session.config.train.batch > examples {
        return Err(crate::config::batch_exceeds(session.config.train.batch, examples));
    }
    if members.len() != session.member_count() {
        return Err(Error::Bug("a run has as many members as its session".into()));
    }
    let ranks = if session.ranks().are_several() { session.ranks().count() as u32 } else { 0 };
    let mut members = members;
    for member in &mut members {
        member.progress.course.ranks = ranks;
    }
    session.plan(Purpose::Train)?;
    session.plan(Purpose::task(EVALUATE, BATCH))?;
    let objective = &session.config.objective;
    if objective.bound.is_weighted() && !session.data()?.validation.is_empty() {
        let (examples, samples) = eval::portions(objective.samples);
        session.plan(Purpose::samples(IMPORTANCE, examples, samples))?;
    }
    let mut run = Run::new(session, members, options, observe);
    let mut alive = run.members.iter().filter(|member| member.trains()).map(|member| &member.progress);
    let Some(progress) = alive.next() else { return run.finish() };
    if alive.any(|other| (other.step, other.epoch) != (progress.step, progress.epoch)) {
        return Err(Error::Bug("members have come equally far".into()));
    }
    run.begin()?;
    run.sitting = Instant::now();
    while !run.alive().is_empty() && (run.at().epoch as usize) < run.session.config.train.epochs {
        let done = run.epoch();
        run.recover(done)?;
    }
    run.finish()
}
