//! Training: epochs of steps on the device, and what is kept of them.
//!
//! Several models of one session, its members, train side by side: every step is a step of each. A member whose loss is
//! no longer finite is given up, and the others go on.

use crate::checkpoint::{Checkpoint, Progress};
use crate::config::{Config, OptimizerConfig};
use crate::data::batches::{Batch, batches, order};
use crate::error::{Error, Result};
use crate::eval;
use crate::kernels::StepScalars;
use crate::model::weights;
use crate::plan::Role;
use crate::rng::{Stream, key};
use crate::session::{BATCH, Purpose, Session};
use bytemuck::Zeroable;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Checkpoints that are kept beside the best one.
const KEEP: usize = 2;

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
            tuning: session.tuning.clone(),
        };
        Self { progress, checkpoints: checkpoints.into(), lost: None }
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
    /// KL from the prior to the posterior.
    pub rate: f64,
    /// −ELBO of the validation part, where there is one.
    pub validation: Option<f64>,
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
    /// −ELBO: distortion + rate, whatever β is.
    pub fn neg_elbo(&self) -> f64 {
        self.distortion + self.rate
    }

    /// What epochs and members are compared by: −ELBO of the validation part, or else of what was trained on.
    pub fn score(&self) -> f64 {
        self.validation.unwrap_or(self.neg_elbo())
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
    /// One member of several is given up, and why. What is kept of this is kept now.
    Lost(usize, &'a str),
    /// The session is at rest: the moment to draw samples of the members that were not given up.
    Pictures {
        /// The models.
        session: &'a mut Session,
        /// All members; those that are lost included.
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
    /// Compare every dispatch of the first step of each epoch with its twin.
    pub check_steps: bool,
}

/// A run under way.
struct Run<'a, 'b> {
    session: &'a mut Session,
    options: &'a Options<'a>,
    observe: &'a mut (dyn FnMut(Event) -> Result<()> + 'b),
    members: Vec<Member>,
    sitting: Instant,
    before: Duration,
}

/// Trains until the configured number of epochs is done. The session holds the parameters that the progress of
/// `members` speaks of, in the same order; those that are not lost have come equally far.
///
/// Before the first step everything is tried that could fail later: plans are loaded, checkpoints are written, pictures
/// are drawn. Fails with [`Error::Diverged`] when the loss of the last member that was left is not finite (its last
/// good checkpoint stays), with [`Error::Interrupted`] after saving when `stop` was set.
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
    let mut alive = members.iter().filter(|member| member.lost.is_none()).map(|member| &member.progress);
    let Some(progress) = alive.next().filter(|_| members.len() == session.member_count()) else {
        return Err(Error::Bug("a run has as many members as its session, and one that is not lost".into()));
    };
    if alive.any(|other| (other.step, other.epoch) != (progress.step, progress.epoch)) {
        return Err(Error::Bug("members have come equally far".into()));
    }
    session.plan(Purpose::Train)?;
    session.plan(Purpose::Evaluate(BATCH))?;
    let before = Duration::from_secs_f64(progress.elapsed_seconds);
    let mut run = Run { session, options, observe, members, sitting: Instant::now(), before };
    run.begin()?;
    run.sitting = Instant::now();
    while (run.at().epoch as usize) < run.session.config.train.epochs {
        run.epoch()?;
    }
    Ok(run.members)
}

impl Run<'_, '_> {
    /// Members that were not given up.
    fn alive(&self) -> Vec<usize> {
        (0..self.members.len()).filter(|&member| self.members[member].lost.is_none()).collect()
    }

    /// How far the run has come: the counters of a member that is not lost, of which there always is one.
    fn at(&self) -> &Progress {
        let alive = self.members.iter().find(|member| member.lost.is_none());
        &alive.unwrap_or(&self.members[0]).progress
    }

    /// Changes the progress of every member that was not given up.
    fn advance(&mut self, change: impl Fn(&mut Progress)) {
        let alive = self.members.iter_mut().filter(|member| member.lost.is_none());
        alive.for_each(|member| change(&mut member.progress));
    }

    /// A member among others whose loss is not finite is given up; that of the last one ends the run.
    fn spare<T>(&mut self, member: usize, outcome: Result<T>) -> Result<Option<T>> {
        match outcome {
            Err(Error::Diverged(why)) if self.alive() != [member] => {
                (self.observe)(Event::Lost(member, &why))?;
                self.members[member].lost = Some(why);
                Ok(None)
            }
            other => other.map(Some),
        }
    }

    /// Saves and draws before the first step of a sitting. A run that was killed may not have come to this after its
    /// last epoch. Pictures belong to whole epochs.
    fn begin(&mut self) -> Result<()> {
        self.save()?;
        if self.at().step_in_epoch > 0 {
            return Ok(());
        }
        self.pictures()
    }

    fn pictures(&mut self) -> Result<()> {
        let epoch = self.at().epoch as usize;
        (self.observe)(Event::Pictures { session: self.session, members: &self.members, epoch })
    }

    fn epoch(&mut self) -> Result<()> {
        let config = self.session.config.train.clone();
        let part = self.session.data()?.train.clone();
        let seeds: Vec<u64> = self.session.members().map(|config| config.train.seed).collect();
        for (member, seed) in seeds.into_iter().enumerate() {
            let order = order(part.clone(), seed, self.at().epoch);
            self.session.set_order_of(member, &order)?;
        }
        let (examples, epochs) = (part.len(), config.epochs);
        let steps: Vec<Batch> = batches(examples, config.batch).collect();
        let number = self.at().epoch as usize + 1;
        (self.observe)(Event::Begin(number, epochs, steps.len()))?;
        if self.options.check_steps {
            self.check(&steps)?;
        }
        let begun = Instant::now();
        let first = self.at().step_in_epoch as usize;
        self.walk(&steps, first, begun)?;
        let trained = (examples - first.min(examples) * config.batch.min(examples)).max(1) * self.alive().len();
        let images_per_second = trained as f64 / begun.elapsed().as_secs_f64();
        self.advance(|progress| {
            progress.epoch += 1;
            progress.step_in_epoch = 0;
        });
        self.finish_epoch(images_per_second)
    }

    /// Runs the steps of an epoch from `first` on, in portions; saves in between where the configuration wants it.
    fn walk(&mut self, steps: &[Batch], first: usize, begun: Instant) -> Result<()> {
        let plan = self.session.plan(Purpose::Train)?;
        let (every, mut at, mut unread) = (self.session.config.train.checkpoint_steps, first, first);
        self.advance(|progress| progress.sums.resize(2, 0.0));
        while at < steps.len() {
            // The next step after which a checkpoint is due: a multiple of `every`, or the end of the epoch.
            let due = at.checked_div(every).map_or(steps.len(), |saved| (saved + 1) * every);
            let end = (at + self.session.executor.portion(plan)).min(due).min(steps.len());
            let scalars: Vec<StepScalars> = (at..end).flat_map(|slot| self.scalars(&steps[slot], slot)).collect();
            self.session.run(plan, &scalars)?;
            self.advance(|progress| {
                progress.step += (end - at) as u64;
                progress.step_in_epoch = end as u64;
            });
            at = end;
            let done: usize = steps[first..at].iter().map(|batch| batch.rows).sum::<usize>() * self.alive().len();
            (self.observe)(Event::Step(at, done as f64 / begun.elapsed().as_secs_f64()))?;
            let stop = self.options.stop.load(Ordering::Relaxed);
            if at == steps.len() || stop || at == due {
                self.add_metrics(steps, unread..at)?;
                unread = at;
            }
            if at < steps.len() && (stop || at == due) {
                let saved = self.save();
                if stop {
                    return Err(Error::Interrupted(format!("stopped after step {}; {}", self.at().step, saved?)));
                }
                self.keep_going(saved.map(drop))?;
            }
        }
        Ok(())
    }

    /// What each member is told of a step of the epoch.
    fn scalars(&self, batch: &Batch, slot: usize) -> Vec<StepScalars> {
        let step = self.at().step - self.at().step_in_epoch + slot as u64;
        self.session.members().map(|config| scalars(config, step, batch, slot)).collect()
    }

    /// Reads the terms of some steps and adds them up in the order of the steps.
    fn add_metrics(&mut self, steps: &[Batch], slots: std::ops::Range<usize>) -> Result<()> {
        for member in self.alive() {
            let added = self.add_metrics_of(member, steps, slots.clone());
            self.spare(member, added)?;
        }
        Ok(())
    }

    fn add_metrics_of(&mut self, member: usize, steps: &[Batch], slots: std::ops::Range<usize>) -> Result<()> {
        let terms = self.session.read(member, &Role::Metrics, 2 * slots.start, 2 * slots.len())?;
        let Member { progress, checkpoints, .. } = &mut self.members[member];
        for (batch, pair) in steps[slots.clone()].iter().zip(terms.chunks_exact(2)) {
            for (sum, term) in progress.sums.iter_mut().zip(pair) {
                *sum += f64::from(*term) * batch.rows as f64;
            }
        }
        if let Some(at) = terms.chunks_exact(2).position(|pair| pair.iter().any(|term| !term.is_finite())) {
            let step = progress.step - progress.step_in_epoch + (slots.start + at) as u64;
            return Err(Error::Diverged(format!(
                "the loss is not finite at step {step} (distortion {}, rate {}): lower --lr, or set optimizer.clip_norm; the last \
                 good checkpoint is in {}",
                terms[2 * at],
                terms[2 * at + 1],
                checkpoints.display()
            )));
        }
        Ok(())
    }

    fn check(&mut self, steps: &[Batch]) -> Result<()> {
        let plan = self.session.plan(Purpose::Train)?;
        let first = self.at().step_in_epoch as usize;
        let Some(batch) = steps.get(first) else { return Ok(()) };
        // The comparison takes the step for real, so parameters and moments are put back.
        let kept = self.alive().into_iter().map(|member| Ok((member, self.checkpoint(member)?)));
        let kept: Vec<_> = kept.collect::<Result<_>>()?;
        let scalars = self.scalars(batch, first);
        self.session.supply(&scalars)?;
        let difference = self.session.executor.check(plan, &scalars)?;
        kept.iter().try_for_each(|(member, checkpoint)| self.session.restore(*member, checkpoint))?;
        match difference {
            Some(difference) => Err(Error::Device(format!("{}: {difference}", self.session.executor.name()))),
            None => Ok(()),
        }
    }

    /// Evaluates, saves and reports a complete epoch.
    fn finish_epoch(&mut self, images_per_second: f64) -> Result<()> {
        let validation = self.session.data()?.validation.clone();
        let validated = if validation.is_empty() { None } else { Some(eval::terms(self.session, validation)?) };
        let mut found = Vec::new();
        for member in self.alive() {
            let validated = validated.as_ref().map(|terms| terms[member].neg_elbo());
            let epoch = self.score(member, validated, images_per_second);
            found.extend(self.spare(member, epoch)?);
        }
        (self.observe)(Event::Epoch(&found))?;
        let saved = self.save();
        let (done, epochs) = (self.at().epoch as usize, self.session.config.train.epochs);
        let stop = done < epochs && self.options.stop.load(Ordering::Relaxed);
        // Who is told that everything is saved can rely on it.
        if stop { saved.map(drop) } else { self.keep_going(saved.map(drop)) }?;
        self.pictures()?;
        if stop {
            return Err(Error::Interrupted(format!("stopped after epoch {done}; everything is saved")));
        }
        Ok(())
    }

    /// What the epoch that is now complete came to for a member.
    fn score(&mut self, member: usize, validation: Option<f64>, images_per_second: f64) -> Result<Epoch> {
        let (examples, epochs) = (self.session.data()?.train.len(), self.session.config.train.epochs);
        let (elapsed, alive) = (self.elapsed(), self.alive().len());
        let progress = &mut self.members[member].progress;
        let [distortion, rate] = progress.sums[..] else {
            return Err(Error::Bug("an epoch has two sums".into()));
        };
        progress.sums.clear();
        let (distortion, rate) = (distortion / examples as f64, rate / examples as f64);
        let score = validation.unwrap_or(distortion + rate);
        if !score.is_finite() {
            return Err(Error::Diverged(format!("the validation loss is {score}: lower --lr")));
        }
        if progress.best.is_none_or(|best| score < best) {
            progress.best = Some(score);
            progress.best_epoch = Some(progress.epoch);
        }
        let per_epoch = (examples * alive) as f64 / images_per_second;
        Ok(Epoch {
            member,
            epoch: progress.epoch as usize,
            epochs,
            distortion,
            rate,
            validation,
            best: progress.best.unwrap_or(score),
            images_per_second,
            elapsed,
            left: Duration::from_secs_f64(per_epoch * (epochs - progress.epoch as usize) as f64),
        })
    }

    /// A disk that is full or gone does not end a run; a loss that is not finite does.
    fn keep_going(&mut self, saved: Result<()>) -> Result<()> {
        match saved {
            Err(Error::Disk(why)) => {
                (self.observe)(Event::Warning(format!("this checkpoint was not saved: {why}; training goes on")))
            }
            other => other,
        }
    }

    fn elapsed(&self) -> Duration {
        self.before + self.sitting.elapsed()
    }

    fn checkpoint(&mut self, member: usize) -> Result<Checkpoint> {
        let mut progress = self.members[member].progress.clone();
        progress.elapsed_seconds = self.elapsed().as_secs_f64();
        let config = self.session.members().nth(member).unwrap_or(&self.session.config).clone();
        let parameters = self.session.parameters(member)?;
        Ok(Checkpoint { parameters, moments: self.session.moment_tensors(member)?, progress, config })
    }

    /// Saves every member that was not given up; says where.
    fn save(&mut self) -> Result<String> {
        let mut last = None;
        for member in self.alive() {
            let saved = self.save_member(member);
            last = self.spare(member, saved)?.or(last);
        }
        Ok(match (last, self.members.len()) {
            (Some(path), 1) => format!("saved {}", path.display()),
            _ => "every member is saved".to_owned(),
        })
    }

    /// Saves a member, and marks the checkpoint of its best epoch.
    fn save_member(&mut self, member: usize) -> Result<PathBuf> {
        let checkpoint = self.checkpoint(member)?;
        let Member { progress, checkpoints, .. } = &self.members[member];
        let path = crate::checkpoint::save(checkpoints, &checkpoint, KEEP)?;
        if progress.step_in_epoch == 0 && progress.best_epoch == Some(progress.epoch) {
            crate::checkpoint::mark_best(checkpoints, &path)?;
        }
        Ok(path)
    }
}

/// What the device is told of a training step, counted from 0 over the run; its terms go to row `slot` of the metrics.
pub fn scalars(config: &Config, step: u64, batch: &Batch, slot: usize) -> StepScalars {
    let [correction1, correction2] = corrections(&config.optimizer, step);
    StepScalars {
        step: step as u32,
        rows: batch.rows as u32,
        first: batch.first as u32,
        slot: slot as u32,
        key: key(config.train.seed),
        stream: Stream::Noise as u32,
        row_weight: 1.0 / batch.rows as f32,
        lr: config.optimizer.lr,
        correction1,
        correction2,
        weights: weights(config.objective.beta),
        ..StepScalars::zeroed()
    }
}

/// 1 − β1ᵗ and 1 − β2ᵗ for the step counted from 0, from the betas as the device knows them.
fn corrections(optimizer: &OptimizerConfig, step: u64) -> [f32; 2] {
    [optimizer.beta1, optimizer.beta2].map(|beta| (1.0 - f64::from(beta).powf((step + 1) as f64)) as f32)
}
