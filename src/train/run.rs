//! A run under way: its epochs and their steps.

use super::columns::Columns;
use super::players::Watch;
use super::save::Saved;
use super::schedule::{Update, scalars_of_rank};
use super::{Event, Member, Options};
use crate::checkpoint::Progress;
use crate::config::NotFinite;
use crate::data::batches::{Batch, batches, order, order_of_shards};
use crate::data::labelled::spread;
use crate::error::{Error, Result};
use crate::exec::PlanId;
use crate::kernels::{StepScalars, f32s};
use crate::model::{Phase, phases};
use crate::plan::Role;
use crate::session::Session;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// A run under way.
pub(super) struct Run<'a, 'b> {
    pub session: &'a mut Session,
    pub options: &'a Options<'a>,
    pub observe: &'a mut (dyn FnMut(Event) -> Result<()> + 'b),
    pub members: Vec<Member>,
    /// The phases of a step, as each member has them.
    phases: Vec<Vec<Phase>>,
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
    /// Whether a player has won.
    pub watch: Watch,
}

impl<'a, 'b> Run<'a, 'b> {
    pub fn new(
        session: &'a mut Session,
        members: Vec<Member>,
        options: &'a Options<'a>,
        observe: &'a mut (dyn FnMut(Event) -> Result<()> + 'b),
    ) -> Self {
        let seconds = |member: &Member| member.trains().then_some(member.progress.elapsed_seconds);
        let phases = session.members().map(phases).collect();
        let before = Duration::from_secs_f64(members.iter().find_map(seconds).unwrap_or_default());
        Self {
            session,
            options,
            observe,
            members,
            phases,
            sitting: Instant::now(),
            before,
            running: vec![],
            back_to: None,
            saved: Saved::default(),
            watch: Watch::default(),
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
    ///
    /// # Errors
    /// What concerns all members alike.
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
    ///
    /// # Errors
    /// Those of the observer and of the executor.
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
            let epoch = self.at().epoch;
            let data = self.session.data()?;
            let mut order = match self.session.config.data.shard {
                _ if !config.shuffle => stored(),
                0 => order(part.clone(), seed, epoch),
                shard => order_of_shards(part.clone(), |example| data.row(example), shard, seed, epoch),
            };
            if self.session.model.infers_classes() && config.labelled > 0 {
                spread(&mut order, &self.session.labelled()?, (config.batch, config.labelled), seed, epoch);
            }
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
        for member in self.alive() {
            let ranks = self.session.ranks().clone();
            let of = |slot: usize| Update { step: 0, per_epoch: steps.len(), slot, batch: steps[slot] };
            let mine = (first..steps.len()).map(|slot| of(slot).positions(config.accumulate, &ranks));
            self.session.read_ahead(member, mine)?;
        }
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
        let (every, mut at, mut unread) = (self.session.config.train.checkpoint_steps, first, first);
        let sums = Columns::of(self.session)?.sums();
        self.advance(|progress| progress.sums.resize(sums, 0.0));
        while at < steps.len() {
            // The next step after which a checkpoint is due: a multiple of `every`, or the end of the epoch.
            let due = at.checked_div(every).map_or(steps.len(), |saved| (saved + 1) * every);
            let end = (at + self.portion()?).min(due).min(steps.len());
            let mut runs = Vec::new();
            for slot in at..end {
                runs.extend(self.runs(steps, slot)?);
            }
            self.session.run_phases(&runs)?;
            self.advance(|progress| {
                progress.step += (end - at) as u64;
                progress.step_in_epoch = end as u64;
            });
            at = end;
            let done: usize = steps[first..at].iter().map(|batch| batch.rows).sum::<usize>() * self.alive().len();
            (self.observe)(Event::Step(at, rate(done, begun)))?;
            let stop = self.stops()?;
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

    /// Why the run stops now, if it does: because of what any of its ranks was told.
    ///
    /// # Errors
    /// Those of [`crate::ranks::Transport`].
    pub fn stops(&self) -> Result<Option<&'static str>> {
        const WHY: [Option<&str>; 3] = [None, Some("the time is up: stopped"), Some("stopped")];
        let late = self.options.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        let asked = if self.options.stop.load(Ordering::Relaxed) { 2 } else { u32::from(late) };
        Ok(WHY[self.session.ranks().largest(asked)? as usize])
    }

    /// Steps that are handed over at a time; ranks go by the clock of the first.
    fn portion(&mut self) -> Result<usize> {
        let plans = self.session.phases()?;
        let runs = plans.iter().map(|&plan| self.session.executor.portion(plan)).min().unwrap_or(1);
        let steps = (runs / self.session.config.train.accumulate).max(1);
        Ok(self.session.ranks().of_first(steps as u64)? as usize)
    }

    /// The phases that take part in a step of the epoch: the plan of each, and what each member is told of its runs.
    fn runs(&mut self, steps: &[Batch], slot: usize) -> Result<Vec<(PlanId, Vec<StepScalars>)>> {
        let step = self.at().step - self.at().step_in_epoch + slot as u64;
        let update = Update { step, per_epoch: steps.len(), slot, batch: steps[slot] };
        let plans = self.session.phases()?;
        let due = plans.into_iter().enumerate().filter(|(phase, _)| self.phases[0][*phase].is_due(step));
        Ok(due.map(|(phase, plan)| (plan, self.told(phase, &update))).collect())
    }

    /// What each member is told of the runs that make up a phase of an update.
    fn told(&self, phase: usize, update: &Update) -> Vec<StepScalars> {
        let mut all = Vec::new();
        for part in 0..self.session.config.train.accumulate {
            let told = self.session.members().zip(&self.members).zip(&self.phases);
            all.extend(told.map(|((config, member), phases)| {
                let (course, part) = (&member.progress.course, (part, self.session.ranks()));
                scalars_of_rank(config, &phases[phase], course, update, part)
            }));
        }
        all
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
        let columns = Columns::of(self.session)?;
        let train = &self.session.config.train;
        let (parts, skip) = (train.accumulate, train.not_finite == NotFinite::Skip);
        let row = columns.width() * parts;
        let terms = self.session.read(member, &Role::Metrics, row * slots.start, row * slots.len())?;
        // The rows of all ranks follow each other as those of all parts do in one process.
        let ranks = self.session.ranks();
        let (of_ranks, parts) = (ranks.gather(bytemuck::cast_slice(&terms))?, parts * ranks.count());
        let progress = &mut self.members[member].progress;
        for (at, slot) in slots.enumerate() {
            let terms: Vec<f32> =
                of_ranks.iter().flat_map(|words| f32s(&words[at * row..(at + 1) * row])).copied().collect();
            let terms = &terms[..];
            let step = progress.step - progress.step_in_epoch + slot as u64;
            let update = Update { step, per_epoch: steps.len(), slot, batch: steps[slot] };
            let finite = columns.are_finite(step, terms);
            if !finite && skip {
                progress.course.left_out += steps[slot].rows as u64;
                continue;
            }
            for (part, terms) in terms.chunks_exact(columns.width()).enumerate() {
                columns.add(&mut progress.sums, step, terms, update.part(part, parts));
            }
            columns.add_norms(&mut progress.sums, step, &terms[terms.len() - columns.width()..]);
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
        let first = self.at().step_in_epoch as usize;
        if first >= steps.len() {
            return Ok(());
        }
        // The comparison takes the step for real, so parameters and moments are put back.
        let kept = self.alive().into_iter().map(|member| Ok((member, self.checkpoint(member)?)));
        let kept: Vec<_> = kept.collect::<Result<_>>()?;
        let mut difference = None;
        for (plan, mut scalars) in self.runs(steps, first)? {
            // Of the runs of an update the last, which is the one that changes parameters.
            scalars.drain(..scalars.len() - self.members.len());
            self.session.supply(&scalars)?;
            difference = difference.or(self.session.executor.check(plan, &scalars)?);
        }
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
