//! Examples that pass through a window on the device, where not all of them stay there.
//!
//! Each member has a window of its own, since each takes the examples in its own order. An example lies in the place of
//! its position in the order, modulo the number of places ([`crate::plan::Role::Window`]); before runs are handed over,
//! those that they take are written there, from where they were read ahead ([`super::read_ahead`]). What was handed over before still computes meanwhile: the driver carries out
//! writes and runs in the order in which they were asked for. Orders, noise and results are those of a data set that is
//! on the device as a whole, to the bit.

use std::ops::Range;

use super::read_ahead::ReadAhead;
use super::{BATCH, Session};
use crate::config::Config;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::exec::PlanId;
use crate::kernels::StepScalars;
use crate::plan::Role;

/// Words of a window that nobody chose the size of: 64 MiB.
const WORDS: usize = 1 << 24;

/// What passes through the window.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// The order of each member.
    pub(super) orders: Vec<Vec<u32>>,
    /// The positions whose examples are in each member's window.
    filled: Vec<Range<usize>>,
    /// What is read before it is wanted.
    pub(super) ahead: Vec<Option<ReadAhead>>,
}

/// Places of the window on a data set, 0 where it fits on a device that can hold so many words in a buffer, and no
/// window was asked for.
pub(super) fn places(data: &Dataset, config: &Config, most_words: usize) -> usize {
    let row = data.stored_words().max(1);
    let fits = data.values.words().is_some_and(|words| words <= most_words);
    let places = match config.data.window {
        0 if fits => return 0,
        0 => WORDS.min(most_words) / row,
        asked => asked,
    };
    // A run takes its whole batch at once.
    let least = config.train.batch.max(BATCH);
    if fits && places >= data.len() { 0 } else { places.max(least).min(data.len().max(least)) }
}

impl Session {
    /// Runs a plan once per element of `scalars`, as [`crate::exec::Executor::run`] does, on the examples that
    /// [`Session::set_order`] named.
    ///
    /// # Errors
    /// Those of the executor, and [`Error::Data`] where examples cannot be read from their file.
    pub fn run(&mut self, plan: PlanId, scalars: &[StepScalars]) -> Result<()> {
        if self.resident.window == 0 || self.executor.plan(plan).words(&Role::Window) == 0 {
            return self.executor.run(plan, scalars);
        }
        let mut rest = scalars;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(self.fitting(rest));
            self.supply(now)?;
            self.executor.run(plan, now)?;
            rest = later;
        }
        Ok(())
    }

    /// The same for plans in turn, as [`crate::exec::Executor::run_in_turn`] runs them.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub(super) fn run_in_turn(&mut self, turns: &[(PlanId, Vec<StepScalars>)]) -> Result<()> {
        if self.resident.window == 0 {
            return self.executor.run_in_turn(turns);
        }
        let mut rest = turns;
        while !rest.is_empty() {
            let mut told = Vec::new();
            let fits = |(_, scalars): &&(PlanId, Vec<StepScalars>)| {
                told.extend_from_slice(scalars);
                self.fitting(&told) == told.len()
            };
            let (now, later) = rest.split_at(rest.iter().take_while(fits).count());
            if let ([], [(plan, scalars), ..]) = (now, later) {
                // The parts of one batch may be more than fit.
                self.run(*plan, scalars)?;
                rest = &later[1..];
                continue;
            }
            self.supply(&now.iter().flat_map(|(_, scalars)| scalars).copied().collect::<Vec<_>>())?;
            self.executor.run_in_turn(now)?;
            rest = later;
        }
        Ok(())
    }

    /// Brings the examples of some runs onto the device, where they are not there. They must fit into the window.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn supply(&mut self, scalars: &[StepScalars]) -> Result<()> {
        let members = self.member_count();
        if self.resident.window == 0 || self.window.orders.len() != members {
            return Ok(());
        }
        for member in 0..members {
            let wanted = span(scalars.iter().skip(member).step_by(members));
            if self.window.filled[member] != wanted {
                self.fill(member, wanted)?;
            }
        }
        Ok(())
    }

    /// How many of these runs take examples that are in the window together: all members' runs of at least one step.
    fn fitting(&self, scalars: &[StepScalars]) -> usize {
        let members = self.member_count();
        let fits = |end: &usize| {
            let steps = &scalars[..*end];
            (0..members).all(|m| span(steps.iter().skip(m).step_by(members)).len() <= self.resident.window)
        };
        let ends = (members..=scalars.len()).step_by(members);
        ends.take_while(fits).last().unwrap_or(members.min(scalars.len()))
    }

    /// Writes the examples at some positions of a member's order.
    fn fill(&mut self, member: usize, wanted: Range<usize>) -> Result<()> {
        let places = self.resident.window;
        let data = self.data.as_ref().ok_or_else(|| Error::Bug("there is no data to supply".into()))?;
        let row = data.stored_words();
        let mut at = wanted.start;
        while at < wanted.end {
            let place = at % places;
            let end = wanted.end.min(at + places - place);
            let ahead = self.window.ahead[member].as_mut().map(|ahead| ahead.take(at..end)).transpose()?.flatten();
            if let Some(words) = ahead {
                self.executor.write_to(member, &Role::Window, place * row, words)?;
                at += words.len() / row;
                continue;
            }
            self.window.ahead[member] = None;
            let words = data.stored(&self.window.orders[member][at..end])?;
            self.executor.write_to(member, &Role::Window, place * row, &words)?;
            at = end;
        }
        self.window.filled[member] = wanted;
        Ok(())
    }

    /// Takes note of a member's order.
    pub(super) fn note_order(&mut self, member: usize, order: &[u32]) {
        if self.resident.window > 0 {
            let members = self.member_count();
            let Window { orders, filled, ahead } = &mut self.window;
            orders.resize(members, vec![]);
            filled.resize(members, 0..0);
            ahead.resize_with(members, || None);
            ahead[member] = None;
            order.clone_into(&mut orders[member]);
            filled[member] = 0..0;
        }
    }
}

/// The positions from the first to the last that runs take.
fn span<'a>(scalars: impl Iterator<Item = &'a StepScalars>) -> Range<usize> {
    let ranges = scalars.map(|run| run.first as usize..(run.first + run.rows) as usize);
    ranges.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end)).unwrap_or(0..0)
}
