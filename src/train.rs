//! Training: epochs of steps on the device, and what is kept of them.

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
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Checkpoints that are kept beside the best one.
const KEEP: usize = 2;

/// What an epoch came to; losses are means over its examples in nats.
#[derive(Debug, Clone, PartialEq)]
pub struct Epoch {
    /// Which one, from 1.
    pub epoch: usize,
    /// Of how many.
    pub epochs: usize,
    /// −log p(x|z) under the posterior.
    pub distortion: f64,
    /// KL from the prior to the posterior.
    pub rate: f64,
    /// −ELBO of the validation part, where there is one.
    pub validation: Option<f64>,
    /// Examples trained on per second, in this sitting.
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
}

/// What training tells its caller as it goes.
#[derive(Debug)]
pub enum Event<'a> {
    /// An epoch begins: its number from 1, of how many, with how many steps.
    Begin(usize, usize, usize),
    /// Steps of the epoch that were handed over, and examples per second.
    Step(usize, f64),
    /// An epoch is complete and evaluated, and about to be saved. What is kept of it is kept now: a run that is killed
    /// in the save meets the epoch again, but not one that is killed after it.
    Epoch(&'a Epoch),
    /// The session is at rest after this many epochs: the moment to draw samples.
    Pictures(&'a mut Session, usize),
    /// Something went wrong that does not end the run.
    Warning(String),
}

/// How a run is made.
#[derive(Debug)]
pub struct Options<'a> {
    /// The run's folder of checkpoints.
    pub checkpoints: &'a Path,
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
    progress: Progress,
    sitting: Instant,
    before: Duration,
}

/// The state of a run that has not taken a step.
pub fn beginning(session: &Session) -> Progress {
    Progress {
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
    }
}

/// Trains until the configured number of epochs is done. The session holds the parameters that `progress` speaks of.
///
/// Before the first step everything is tried that could fail later: plans are loaded, a checkpoint is written, pictures
/// are drawn. Fails with [`Error::Diverged`] when the loss is not finite (the last good checkpoint stays), with
/// [`Error::Interrupted`] after saving when `stop` was set.
pub fn train(
    session: &mut Session,
    progress: Progress,
    options: &Options,
    observe: &mut dyn FnMut(Event) -> Result<()>,
) -> Result<Progress> {
    let examples = session.data()?.train.len();
    if session.config.train.batch > examples {
        return Err(crate::config::batch_exceeds(session.config.train.batch, examples));
    }
    session.plan(Purpose::Train)?;
    session.plan(Purpose::Evaluate(BATCH))?;
    let before = Duration::from_secs_f64(progress.elapsed_seconds);
    let mut run = Run { session, options, observe, progress, sitting: Instant::now(), before };
    run.begin()?;
    run.sitting = Instant::now();
    while (run.progress.epoch as usize) < run.session.config.train.epochs {
        run.epoch()?;
    }
    Ok(run.progress)
}

impl Run<'_, '_> {
    /// Saves and draws before the first step of a sitting. A run that was killed may not have come to this after its
    /// last epoch. Pictures belong to whole epochs.
    fn begin(&mut self) -> Result<()> {
        let path = self.save()?;
        if self.progress.step_in_epoch > 0 {
            return Ok(());
        }
        if self.progress.best_epoch == Some(self.progress.epoch) {
            crate::checkpoint::mark_best(self.options.checkpoints, &path)?;
        }
        (self.observe)(Event::Pictures(self.session, self.progress.epoch as usize))
    }

    fn epoch(&mut self) -> Result<()> {
        let config = self.session.config.train.clone();
        let data = self.session.data()?;
        let (examples, order) = (data.train.len(), order(data.train.clone(), config.seed, self.progress.epoch));
        self.session.set_order(&order)?;
        let steps: Vec<Batch> = batches(examples, config.batch).collect();
        let (number, epochs) = (self.progress.epoch as usize + 1, config.epochs);
        (self.observe)(Event::Begin(number, epochs, steps.len()))?;
        if self.options.check_steps {
            self.check(&steps)?;
        }
        let begun = Instant::now();
        let first = self.progress.step_in_epoch as usize;
        self.walk(&steps, first, begun)?;
        let [distortion, rate] = self.progress.sums[..] else {
            return Err(Error::Bug("an epoch has two sums".into()));
        };
        let trained = (examples - first.min(examples) * config.batch.min(examples)).max(1);
        let images_per_second = trained as f64 / begun.elapsed().as_secs_f64();
        self.progress.epoch += 1;
        self.progress.step_in_epoch = 0;
        self.progress.sums.clear();
        self.finish_epoch(distortion / examples as f64, rate / examples as f64, images_per_second)
    }

    /// Runs the steps of an epoch from `first` on, in portions; saves in between where the configuration wants it.
    fn walk(&mut self, steps: &[Batch], first: usize, begun: Instant) -> Result<()> {
        let plan = self.session.plan(Purpose::Train)?;
        let (every, mut at, mut unread) = (self.session.config.train.checkpoint_steps, first, first);
        self.progress.sums.resize(2, 0.0);
        while at < steps.len() {
            // The next step after which a checkpoint is due: a multiple of `every`, or the end of the epoch.
            let due = at.checked_div(every).map_or(steps.len(), |saved| (saved + 1) * every);
            let end = (at + self.session.executor.portion(plan)).min(due).min(steps.len());
            let scalars: Vec<StepScalars> = (at..end).map(|slot| self.scalars(&steps[slot], slot)).collect();
            self.session.executor.run(plan, &scalars)?;
            self.progress.step += (end - at) as u64;
            at = end;
            self.progress.step_in_epoch = at as u64;
            let done: usize = steps[first..at].iter().map(|batch| batch.rows).sum();
            (self.observe)(Event::Step(at, done as f64 / begun.elapsed().as_secs_f64()))?;
            let stop = self.options.stop.load(Ordering::Relaxed);
            if at == steps.len() || stop || at == due {
                self.add_metrics(steps, unread..at)?;
                unread = at;
            }
            if at < steps.len() && (stop || at == due) {
                let saved = self.save();
                if stop {
                    let path = saved?;
                    return Err(Error::Interrupted(format!(
                        "stopped after step {}; saved {}",
                        self.progress.step,
                        path.display()
                    )));
                }
                self.keep_going(saved.map(|_| ()))?;
            }
        }
        Ok(())
    }

    fn scalars(&self, batch: &Batch, slot: usize) -> StepScalars {
        let step = self.progress.step - self.progress.step_in_epoch + slot as u64;
        scalars(&self.session.config, step, batch, slot)
    }

    /// Reads the terms of some steps and adds them up in the order of the steps.
    fn add_metrics(&mut self, steps: &[Batch], slots: std::ops::Range<usize>) -> Result<()> {
        let terms = self.session.executor.read_f32(&Role::Metrics, 2 * slots.start, 2 * slots.len())?;
        for (batch, pair) in steps[slots.clone()].iter().zip(terms.chunks_exact(2)) {
            for (sum, term) in self.progress.sums.iter_mut().zip(pair) {
                *sum += f64::from(*term) * batch.rows as f64;
            }
        }
        if let Some(at) = terms.chunks_exact(2).position(|pair| pair.iter().any(|term| !term.is_finite())) {
            let step = self.progress.step - self.progress.step_in_epoch + (slots.start + at) as u64;
            return Err(Error::Diverged(format!(
                "the loss is not finite at step {step} (distortion {}, rate {}): lower --lr, or set optimizer.clip_norm; the last \
                 good checkpoint is in {}",
                terms[2 * at],
                terms[2 * at + 1],
                self.options.checkpoints.display()
            )));
        }
        Ok(())
    }

    fn check(&mut self, steps: &[Batch]) -> Result<()> {
        let plan = self.session.plan(Purpose::Train)?;
        let first = self.progress.step_in_epoch as usize;
        let Some(batch) = steps.get(first) else { return Ok(()) };
        // The comparison takes the step for real, so parameters and moments are put back.
        let kept = self.checkpoint()?;
        let scalars = self.scalars(batch, first);
        let difference = self.session.executor.check(plan, &scalars)?;
        self.session.restore(&kept)?;
        match difference {
            Some(difference) => Err(Error::Device(format!("{}: {difference}", self.session.executor.name()))),
            None => Ok(()),
        }
    }

    /// Evaluates, saves and reports a complete epoch.
    fn finish_epoch(&mut self, distortion: f64, rate: f64, images_per_second: f64) -> Result<()> {
        let validation = self.session.data()?.validation.clone();
        let validated = match validation.len() {
            0 => None,
            _ => Some(eval::terms(self.session, validation)?.neg_elbo()),
        };
        let score = validated.unwrap_or(distortion + rate);
        if !score.is_finite() {
            return Err(Error::Diverged(format!("the validation loss is {score}: lower --lr")));
        }
        let best = self.progress.best.is_none_or(|best| score < best);
        if best {
            self.progress.best = Some(score);
            self.progress.best_epoch = Some(self.progress.epoch);
        }
        let (done, epochs) = (self.progress.epoch as usize, self.session.config.train.epochs);
        let elapsed = self.elapsed();
        let per_epoch = self.session.data()?.train.len() as f64 / images_per_second;
        let epoch = Epoch {
            epoch: done,
            epochs,
            distortion,
            rate,
            validation: validated,
            images_per_second,
            elapsed,
            left: Duration::from_secs_f64(per_epoch * (epochs - done) as f64),
        };
        (self.observe)(Event::Epoch(&epoch))?;
        let mark = |path: PathBuf| {
            if best { crate::checkpoint::mark_best(self.options.checkpoints, &path) } else { Ok(()) }
        };
        let saved = self.save().and_then(mark);
        let stop = done < epochs && self.options.stop.load(Ordering::Relaxed);
        // Who is told that everything is saved can rely on it.
        if stop { saved } else { self.keep_going(saved) }?;
        (self.observe)(Event::Pictures(self.session, done))?;
        if stop {
            return Err(Error::Interrupted(format!("stopped after epoch {done}; everything is saved")));
        }
        Ok(())
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

    fn checkpoint(&mut self) -> Result<Checkpoint> {
        let mut progress = self.progress.clone();
        progress.elapsed_seconds = self.elapsed().as_secs_f64();
        Ok(Checkpoint {
            parameters: self.session.parameters()?,
            moments: self.session.moment_tensors()?,
            progress,
            config: self.session.config.clone(),
        })
    }

    fn save(&mut self) -> Result<PathBuf> {
        let checkpoint = self.checkpoint()?;
        crate::checkpoint::save(self.options.checkpoints, &checkpoint, KEEP)
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
