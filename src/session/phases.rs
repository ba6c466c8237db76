//! The phases of a training step on an executor: their plans, and how they take turns.

use super::{Purpose, Session};
use crate::config::{Config, NotFinite};
use crate::error::{Error, Result};
use crate::exec::PlanId;
use crate::graph::Graph;
use crate::kernels::StepScalars;
use crate::model::{Model, Phase, phases};
use crate::plan::{ALIGNMENT, Plan, Resident, Role, Row, Stage, Target, UpdateStep, lower, reports_norm};
use crate::ranks::{Turn, add_in_order};
use std::ops::Range;

impl Purpose {
    /// Which phase of a training step it is, or belongs to, if it does.
    pub fn phase(self) -> Option<usize> {
        match self {
            Self::Train => Some(0),
            Self::Further(phase) | Self::Update(phase) => Some(phase),
            Self::Task { .. } => None,
        }
    }

    /// A phase of a training step.
    pub fn of_phase(phase: usize) -> Self {
        if phase == 0 { Self::Train } else { Self::Further(phase) }
    }
}

impl Session {
    /// The plans of all phases of a training step, in their order.
    ///
    /// # Errors
    /// Those of [`Session::plan`].
    pub fn phases(&mut self) -> Result<Vec<PlanId>> {
        (0..phases(&self.config).len()).map(|phase| self.plan(Purpose::of_phase(phase))).collect()
    }

    /// Runs phases of training steps one after the other: each with its plan and, run by run, what each member is told.
    ///
    /// # Errors
    /// Those of [`Session::run`], and where there are several ranks those of [`crate::ranks::Transport`].
    pub fn run_phases(&mut self, all: &[(PlanId, Vec<StepScalars>)]) -> Result<()> {
        if self.ranks.are_several() {
            return all.iter().try_for_each(|(plan, told)| self.run_together(*plan, told));
        }
        let turns = all.chunk_by(|(a, _), (b, _)| a == b);
        let turns: Vec<(PlanId, Vec<StepScalars>)> =
            turns.map(|same| (same[0].0, same.iter().flat_map(|(_, told)| told).copied().collect())).collect();
        match &turns[..] {
            [(plan, told)] => self.run(*plan, told),
            turns => self.run_in_turn(turns),
        }
    }
}

impl Session {
    /// Runs a phase of a step on this rank's part of the batch, adds its gradients up over all ranks, and updates by the sum. Each rank
    /// updates the share of the parameters that it has added up, and gives it to the others; where the update looks at all
    /// gradients or keeps more than moments, every rank does the same to the same numbers.
    fn run_together(&mut self, plan: PlanId, told: &[StepScalars]) -> Result<()> {
        let of_plan = |(purpose, &id): (&Purpose, &PlanId)| purpose.phase().filter(|_| id == plan);
        let phase = self.plans.iter().find_map(of_plan).ok_or_else(|| Error::Bug("a step is made of phases".into()))?;
        let update = self.plan(Purpose::Update(phase))?;
        let members = self.member_count();
        let last = told.len().checked_sub(members).ok_or_else(|| Error::Bug("a step has a run".into()))?;
        let (ranges, own) = (self.exchanged(phase), self.own_share(phase));
        let made = if self.config.train.accumulate > 1 { Role::Total } else { Role::Gradients };
        self.run(plan, told)?;
        if let Some(own) = own {
            self.add_share(&made, &ranges[0], &own)?;
            self.executor.run(update, &told[last..])?;
            return self.give_share(&Role::Parameters, &ranges[0], &own);
        }
        let mut values = std::mem::take(&mut self.exchanged_values);
        let words: usize = ranges.iter().map(ExactSizeIterator::len).sum();
        values.resize(members * words, 0.0);
        let places = (0..members).flat_map(|member| ranges.iter().map(move |range| (member, range)));
        let mut rest = &mut values[..];
        for (member, range) in places.clone() {
            let (part, others) = rest.split_at_mut(range.len());
            self.executor.read_into(member, &made, range.start, bytemuck::cast_slice_mut(part))?;
            rest = others;
        }
        self.ranks.sum(&mut values, &mut self.room)?;
        let mut rest = &values[..];
        for (member, range) in places {
            let (part, others) = rest.split_at(range.len());
            self.executor.write_to(member, &Role::Total, range.start, bytemuck::cast_slice(part))?;
            rest = others;
        }
        self.exchanged_values = values;
        self.executor.run(update, &told[last..])
    }

    /// Leaves in [`Role::Total`] the sum of what all ranks have in `made`, for the words that this rank updates of those of all.
    fn add_share(&mut self, made: &Role, all: &Range<usize>, own: &Range<usize>) -> Result<()> {
        let Self { executor, ranks, room, .. } = self;
        let (rank, share) = (ranks.rank(), ranks.share(all.len()));
        // What a device has is read at once: each time it is waited for.
        let read = if executor.is_host() { vec![] } else { executor.read_from(0, made, all.start, all.len())? };
        ranks.scatter(share, room, &mut |turn| match turn {
            Turn::Give(other, block) => {
                let part = part(all, share, other);
                let block = bytemuck::cast_slice_mut(&mut block[..part.len()]);
                if executor.is_host() {
                    return executor.read_into(0, made, part.start, block);
                }
                block.copy_from_slice(&read[part.start - all.start..part.end - all.start]);
                Ok(())
            }
            Turn::Take(blocks) => {
                let add = |at: usize, sums: &mut [u32]| {
                    add_in_order(rank, blocks, at, bytemuck::cast_slice_mut(sums));
                };
                if executor.is_host() {
                    return executor.change(0, (made, &Role::Total), own.clone(), &add);
                }
                let mut sums = read[own.start - all.start..own.end - all.start].to_vec();
                add(0, &mut sums);
                executor.write_to(0, &Role::Total, own.start, &sums)
            }
        })
    }

    /// Gives the others this rank's share of a buffer, and takes theirs.
    fn give_share(&mut self, role: &Role, all: &Range<usize>, own: &Range<usize>) -> Result<()> {
        let Self { executor, ranks, room, .. } = self;
        let (rank, share) = (ranks.rank(), ranks.share(all.len()));
        ranks.gather_floats(share, room, &mut |turn| match turn {
            Turn::Give(_, block) => {
                executor.read_into(0, role, own.start, bytemuck::cast_slice_mut(&mut block[..own.len()]))
            }
            Turn::Take(blocks) => {
                blocks.iter().enumerate().filter(|(other, _)| *other != rank).try_for_each(|(other, block)| {
                    let part = part(all, share, other);
                    executor.write_to(0, role, part.start, bytemuck::cast_slice(&block[..part.len()]))
                })
            }
        })
    }

    /// The words that this rank updates of a phase, where each updates a share.
    fn own_share(&self, phase: usize) -> Option<Range<usize>> {
        let rule = &phases(&self.config)[phase].optimizer;
        let skips = self.config.train.not_finite == NotFinite::Skip;
        let plain = !skips && !reports_norm(rule) && rule.ema == 0.0 && self.member_count() == 1;
        let [all] = &self.exchanged(phase)[..] else { return None };
        let share = self.ranks.share(all.len());
        // The last share may be smaller than the others; none is empty.
        let full = plain && self.ranks.are_several() && (self.ranks.count() - 1) * share < all.len();
        full.then(|| part(all, share, self.ranks.rank()))
    }

    /// What the plan of an update is made of.
    pub(super) fn update_stage(&self, phase: usize) -> Stage {
        let own = self.own_share(phase).unwrap_or(0..usize::MAX);
        Stage::Update { first: own.start, end: own.end }
    }

    /// Gives every rank the moments that others keep, before they are saved.
    ///
    /// # Errors
    /// Those of the executor and of the exchange.
    pub fn collect_moments(&mut self) -> Result<()> {
        for phase in 0..phases(&self.config).len() {
            let Some(own) = self.own_share(phase) else { continue };
            let all = self.exchanged(phase).swap_remove(0);
            for role in [Role::Moment1, Role::Moment2] {
                if self.moments().iter().any(|(other, _)| *other == role) {
                    self.give_share(&role, &all, &own)?;
                }
            }
        }
        Ok(())
    }

    /// The words of the gradients that ranks add up for a phase, neighbours together.
    fn exchanged(&self, phase: usize) -> Vec<Range<usize>> {
        let trains = phases(&self.config)[phase].trains;
        let mut all: Vec<Range<usize>> = Vec::new();
        for slot in self.ranges().into_iter().filter(|slot| trains.contains(&slot.name)) {
            let end = slot.offset + slot.count();
            match all.last_mut() {
                Some(last) if last.end.next_multiple_of(ALIGNMENT) == slot.offset => last.end = end,
                _ => all.push(slot.offset..end),
            }
        }
        all
    }

    /// Bytes that a rank sends to others in a step that all phases take part in; 0 where it is alone.
    pub fn bytes_exchanged(&self) -> usize {
        let words = |phase| self.exchanged(phase).iter().map(ExactSizeIterator::len).sum::<usize>();
        let of_phase = |phase| self.ranks.bytes_of_sum(words(phase) * self.member_count());
        (0..phases(&self.config).len()).map(of_phase).sum()
    }
}

/// The words that a rank updates of those of all.
fn part(all: &Range<usize>, share: usize, rank: usize) -> Range<usize> {
    (all.start + rank * share).min(all.end)..(all.start + (rank + 1) * share).min(all.end)
}

/// The plan of a phase of a training step. The terms of all phases share a row of the metrics.
pub(super) fn plan(model: &Model, config: &Config, at: usize, resident: Resident, target: Target) -> Result<Plan> {
    plan_of(model, config, (at, Stage::Whole), 1, (resident, target))
}

/// The same, or a half of it, where so many ranks take a part of each batch.
pub(super) fn plan_of(
    model: &Model,
    config: &Config,
    (at, stage): (usize, Stage),
    ranks: usize,
    (resident, target): (Resident, Target),
) -> Result<Plan> {
    let mut all = model.phase_graphs(config, config.train.batch.div_ceil(config.train.accumulate * ranks))?;
    let width = |(phase, graph): &(Phase, Graph)| graph.terms.len() + usize::from(reports_norm(&phase.optimizer));
    let widths: Vec<usize> = all.iter().map(width).collect();
    if at >= all.len() {
        return Err(Error::Bug(format!("a training step has {} phases, and no number {at}", all.len())));
    }
    let row = Row { first: widths[..at].iter().sum(), columns: widths.iter().sum() };
    let (phase, graph) = all.swap_remove(at);
    let ending = UpdateStep {
        optimizer: &phase.optimizer,
        parts: config.train.accumulate,
        skip: config.train.not_finite == NotFinite::Skip,
        trains: phase.trains,
        row: Some(row),
        stage,
        recompute: config.train.checkpointing,
    };
    let verb = if stage.is_update() { "update" } else { "train" };
    let name = if widths.len() == 1 { verb.to_owned() } else { format!("{verb} {}", phase.name) };
    lower(&name, graph, Some(ending), resident, target)
}
