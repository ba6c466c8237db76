//! A run under way: its epochs and their steps.

use super::save::Saved;
use super::schedule::{Update, scalars};
use super::{Event, Member, Options};
use crate::checkpoint::Progress;
use crate::config::NotFinite;
use crate::data::batches::{Batch, batches, order};
use crate::error::{Error, Result};
use crate::kernels::StepScalars;
use crate::plan::Role;
use crate::session::{Purpose, Session};
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// A run under way.
pub(super) struct Run<'a, 'b> {
    pub session: &'a mut Session,
    pub options: &'a Options<'a>,
    pub observe: &'a mut (dyn FnMut(Event) -> Result<()> + 'b),
    pub members: Vec<Member>,
    /// When training began in this sitting, and how long it took in those before.
    pub sitting: Instant,
    pub before: Duration,
    /// Members that train in this epoch, those that it stops or gives up included.
    pub running: Vec<usize>,
    /// The step that the run last went back to.
    pub back_to: Option<u64>,
    /// What is known of the saves so far.
    pub saved: Saved,
    /// The member whose loss is not finite, and why, while the run goes back.
    pub diverged: Option<(usize, String)>,
}

impl<'a, 'b> Run<'a, 'b> {
    pub fn new(
        session: &'a mut Session,
        members: Vec<Member>,
        options: &'a Options<'a>,
        observe: &'a mut (dyn FnMut(Event) -> Result<()> + 'b),
    ) -> Self {
        let seconds = |member: &Member| member.trains().then_some(member.progress.elapsed_seconds);
        let before = Duration::from_secs_f64(members.iter().find_map(seconds).unwrap_or_default());
        Self {
            session,
            options,
            observe,
            members,
            sitting: Instant::now(),
            before,
            running: vec![],
            back_to: None,
            saved: Saved::default(),
            diverged: None,
        }
    }

    /// Members that still train.
    pub fn alive(&self) -> Vec<usize> {
        (0..self.members.len()).filter(|&member| self.members[member].trains()).collect()
    }

    /// How far the run has come: the counters of those that still train, or of the one that came furthest.
    pub fn at(&self) -> &Progress {
        let kept = self.members.iter().filter(|member| member.lost.is_none());
        let furthest = kept.max_by_key(|member| (member.trains(), member.progress.step));
        &furthest.unwrap_or(&self.members[0]).progress
    }

    /// Changes the progress of every member that still trains.
    fn advance(&mut self, change: impl Fn(&mut Progress)) {
        let alive = self.members.iter_mut().filter(|member| member.trains());
        alive.for_each(|member| change(&mut member.progress));
    }

    /// Where a member's loss is not finite, the run goes back, if the configuration wants it and not for ever. Otherwise a
    /// member among others is given up, and the last one ends the run.
    pub fn spare<T>(&mut self, member: usize, outcome: Result<T>) -> Result<Option<T>> {
        match outcome {
            Err(Error::Diverged(why)) if self.goes_back(member) => {
                self.diverged = Some((member, why.clone()));
                Err(Error::Diverged(why))
            }
            Err(Error::Diverged(why)) if self.has_others(member) => {
                (self.observe)(Event::Lost(member, &why))?;
                self.members[member].lost = Some(why);
                Ok(None)
            }
            other => other.map(Some),
        }
    }

    /// Whether something of the run is left without this member: one that trains, or one that stopped early.
    fn has_others(&self, member: usize) -> bool {
        self.members.iter().enumerate().any(|(at, other)| at != member && other.lost.is_none())
    }

    /// Saves and draws before the first step of a sitting. A run that was killed may not have come to this after its
    /// last epoch. Pictures belong to whole epochs.
    pub fn begin(&mut self) -> Result<()> {
        self.running = self.alive();
        self.save(&self.alive(), true)?;
        if self.at().step_in_epoch > 0 {
            return Ok(());
        }
        self.pictures()
    }

    pub fn pictures(&mut self) -> Result<()> {
        let epoch = self.at().epoch as usize;
        (self.observe)(Event::Pictures { session: self.session, members: &self.members, epoch })
    }

    pub fn epoch(&mut self) -> Result<()> {
        self.running = self.alive();
        let config = self.session.config.train.clone();
        let part = self.session.data()?.train.clone();
        let seeds: Vec<u64> = self.session.members().map(|config| config.train.seed).collect();
        for (member, seed) in seeds.into_iter().enumerate() {
            let stored = || part.clone().map(|example| example as u32).collect();
            let order = if config.reorder { order(part.clone(), seed, self.at().epoch) } else { stored() };
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
        if self.alive().is_empty() {
            return Ok(());
        }
        let trained = (examples - first.min(examples) * config.batch.min(examples)).max(1) * self.alive().len();
        let images_per_second = rate(trained, begun);
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
        let (parts, terms) = (self.session.config.train.accumulate, self.session.executor.plan(plan).terms.len());
        self.advance(|progress| progress.sums.resize(terms, 0.0));
        while at < steps.len() {
            // The next step after which a checkpoint is due: a multiple of `every`, or the end of the epoch.
            let due = at.checked_div(every).map_or(steps.len(), |saved| (saved + 1) * every);
            let portion = (self.session.executor.portion(plan) / parts).max(1);
            let end = (at + portion).min(due).min(steps.len());
            let scalars: Vec<StepScalars> = (at..end).flat_map(|slot| self.scalars(steps, slot)).collect();
            self.session.run(plan, &scalars)?;
            self.advance(|progress| {
                progress.step += (end - at) as u64;
                progress.step_in_epoch = end as u64;
            });
            at = end;
            let done: usize = steps[first..at].iter().map(|batch| batch.rows).sum::<usize>() * self.alive().len();
            (self.observe)(Event::Step(at, rate(done, begun)))?;
            let stop = self.stops();
            if at == steps.len() || stop.is_some() || at == due {
                self.add_metrics(steps, unread..at)?;
                unread = at;
                if self.alive().is_empty() {
                    return Ok(());
                }
            }
            if at < steps.len() && (stop.is_some() || at == due) {
                let saved = self.save(&self.alive(), stop.is_some());
                if let Some(why) = stop {
                    let saved = self.insist(saved, &self.alive())?;
                    return Err(Error::Interrupted(format!("{why} after step {}; {saved}", self.at().step)));
                }
                self.keep_going(saved.map(drop))?;
            }
        }
        Ok(())
    }

    /// Why the run stops now, if it does.
    pub fn stops(&self) -> Option<&'static str> {
        if self.options.stop.load(Ordering::Relaxed) {
            return Some("stopped");
        }
        let late = self.options.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        late.then_some("the time is up: stopped")
    }

    /// What each member is told of the runs of a step of the epoch.
    fn scalars(&self, steps: &[Batch], slot: usize) -> Vec<StepScalars> {
        let step = self.at().step - self.at().step_in_epoch + slot as u64;
        let update = Update { step, per_epoch: steps.len(), slot, batch: steps[slot] };
        let of_members = |part| {
            let told = self.session.members().zip(&self.members);
            told.map(move |(config, member)| scalars(config, &member.progress.course, &update, part))
        };
        (0..self.session.config.train.accumulate).flat_map(of_members).collect()
    }

    /// Reads the terms of some steps and adds them up in the order of the steps.
    fn add_metrics(&mut self, steps: &[Batch], slots: Range<usize>) -> Result<()> {
        for member in self.alive() {
            let added = self.add_metrics_of(member, steps, slots.clone());
            self.spare(member, added)?;
        }
        Ok(())
    }

    fn add_metrics_of(&mut self, member: usize, steps: &[Batch], slots: Range<usize>) -> Result<()> {
        let train = &self.session.config.train;
        let (parts, skip) = (train.accumulate, train.not_finite == NotFinite::Skip);
        let columns = self.members[member].progress.sums.len();
        let row = columns * parts;
        let terms = self.session.read(member, &Role::Metrics, row * slots.start, row * slots.len())?;
        let progress = &mut self.members[member].progress;
        for (slot, terms) in slots.zip(terms.chunks_exact(row)) {
            let step = progress.step - progress.step_in_epoch + slot as u64;
            let update = Update { step, per_epoch: steps.len(), slot, batch: steps[slot] };
            let finite = terms.iter().all(|term| term.is_finite());
            if !finite && skip {
                progress.course.left_out += steps[slot].rows as u64;
                continue;
            }
            for (part, terms) in terms.chunks_exact(columns).enumerate() {
                let rows = update.part(part, parts).rows as f64;
                progress.sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += f64::from(*term) * rows);
            }
            if !finite {
                return Err(Error::Diverged(format!(
                    "the loss is not finite at step {step} (distortion {}, rate {}): lower --lr, or set \
                     optimizer.clip_norm",
                    terms[0], terms[1]
                )));
            }
        }
        Ok(())
    }

    fn check(&mut self, steps: &[Batch]) -> Result<()> {
        let plan = self.session.plan(Purpose::Train)?;
        let first = self.at().step_in_epoch as usize;
        if first >= steps.len() {
            return Ok(());
        }
        // The comparison takes the step for real, so parameters and moments are put back.
        let kept = self.alive().into_iter().map(|member| Ok((member, self.checkpoint(member)?)));
        let kept: Vec<_> = kept.collect::<Result<_>>()?;
        // Of the runs of an update the last, which is the one that changes parameters.
        let mut scalars = self.scalars(steps, first);
        scalars.drain(..scalars.len() - self.members.len());
        self.session.supply(&scalars)?;
        let difference = self.session.executor.check(plan, &scalars)?;
        kept.iter().try_for_each(|(member, checkpoint)| self.session.restore(*member, checkpoint))?;
        match difference {
            Some(difference) => Err(Error::Device(format!("{}: {difference}", self.session.executor.name()))),
            None => Ok(()),
        }
    }
}

/// So many per second since then. A clock may stand still for a moment.
fn rate(count: usize, begun: Instant) -> f64 {
    count as f64 / begun.elapsed().as_secs_f64().max(1e-6)
}
