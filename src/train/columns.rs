//! The columns of the metrics: a term of the loss each, of all phases of a step side by side, and where gradients are clipped
//! their norms. What they add up to in an epoch is part of a member's progress.

use crate::config::OptimizerConfig;
use crate::data::batches::Batch;
use crate::error::Result;
use crate::kernels::clip_factor::{is_clipped, is_number};
use crate::model::phases;
use crate::plan::GRADIENT_NORM;
use crate::session::Session;

/// What the share of updates whose gradient was scaled down is called.
pub const CLIPPED: &str = "clipped";

/// Sums of a norm: of its values, of the updates whose gradient was clipped, of all updates.
const OF_NORM: usize = 3;

/// A column of a phase.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Column {
    /// What it is called.
    pub name: String,
    /// Its phase, as an index into [`Columns::phases`].
    phase: usize,
    /// The place of its sum, or of the first of [`OF_NORM`].
    at: usize,
    /// The limit of the norm of a gradient; none of a term of the loss.
    limit: Option<f32>,
}

/// When a phase takes part, and where its examples are counted.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Count {
    every: u64,
    /// The place among the sums; none for a phase of every step, whose examples are those of the epoch.
    at: Option<usize>,
}

/// All columns.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Columns {
    pub all: Vec<Column>,
    phases: Vec<Count>,
    sums: usize,
}

/// The norm above which an update is not what its gradient asks for: scaled down, or left out.
fn limit(optimizer: &OptimizerConfig) -> f32 {
    let limits = [optimizer.clip_norm, optimizer.skip_norm].into_iter().filter(|limit| *limit > 0.0);
    limits.fold(f32::INFINITY, f32::min)
}

impl Columns {
    /// Those of a session's training step.
    ///
    /// # Errors
    /// Those of [`Session::phases`].
    pub fn of(session: &mut Session) -> Result<Self> {
        let (plans, rules) = (session.phases()?, phases(&session.config));
        let several = rules.len() > 1;
        let mut all = Vec::new();
        for (phase, (&plan, rule)) in plans.iter().zip(&rules).enumerate() {
            all.extend(session.executor.plan(plan).terms.iter().map(|name| {
                let limit = (name == GRADIENT_NORM).then(|| limit(&rule.optimizer));
                let player = if limit.is_some() && several { format!(" {}", rule.name) } else { String::new() };
                Column { name: format!("{name}{player}"), phase, at: 0, limit }
            }));
        }
        Ok(Self::placed(all, rules.iter().map(|rule| rule.every as u64)))
    }

    /// Columns of phases that take part in every so many steps, with the places of their sums. Norms come last: older versions
    /// had none, and a run that they left within an epoch goes on with the sums that it has.
    fn placed(mut all: Vec<Column>, every: impl Iterator<Item = u64>) -> Self {
        let mut sums = 0;
        let mut take = |count: usize| {
            sums += count;
            sums - count
        };
        all.iter_mut().filter(|column| column.limit.is_none()).for_each(|column| column.at = take(1));
        let phases = every.map(|every| Count { every, at: (every > 1).then(|| take(1)) }).collect();
        all.iter_mut().filter(|column| column.limit.is_some()).for_each(|column| column.at = take(OF_NORM));
        Self { all, phases, sums }
    }

    /// Columns of a row of the metrics.
    pub fn width(&self) -> usize {
        self.all.len()
    }

    /// Numbers that an epoch adds up: the terms, the examples of phases that do not take part in every step, and what is said
    /// of norms.
    pub fn sums(&self) -> usize {
        self.sums
    }

    fn is_due(&self, column: &Column, step: u64) -> bool {
        step.is_multiple_of(self.phases[column.phase].every)
    }

    /// Whether all that a step put into the rows of its parts is finite. What was not its affair is left from other steps.
    pub fn are_finite(&self, step: u64, terms: &[f32]) -> bool {
        let finite = |(term, column): (&f32, &Column)| term.is_finite() || !self.is_due(column, step);
        terms.chunks_exact(self.width()).all(|terms| terms.iter().zip(&self.all).all(finite))
    }

    /// Adds the terms of a part of a step, which are means over its examples.
    pub fn add(&self, sums: &mut [f64], step: u64, terms: &[f32], part: Batch) {
        let rows = part.rows as f64;
        for (column, term) in self.due(step, terms).filter(|(column, _)| column.limit.is_none()) {
            sums[column.at] += term * rows;
        }
        for (at, _) in self
            .phases
            .iter()
            .filter_map(|phase| Some((phase.at?, phase.every)))
            .filter(|(_, every)| step.is_multiple_of(*every))
        {
            sums[at] += rows;
        }
    }

    /// Adds the norms of the gradients of a step, from the row of its last part, before which they are none of an update. Those
    /// of gradients that are no numbers are left out.
    pub fn add_norms(&self, sums: &mut [f64], step: u64, last: &[f32]) {
        for (column, norm) in self.due(step, last).filter(|(_, norm)| is_number(*norm)) {
            let Some(limit) = column.limit else { continue };
            let clipped = f64::from(u8::from(is_clipped(norm, limit)));
            let of_norm = sums[column.at..].iter_mut().zip([norm, clipped, 1.0]);
            of_norm.for_each(|(sum, more)| *sum += more);
        }
    }

    /// The columns that are a step's affair, with what stands in them.
    fn due(&self, step: u64, terms: &[f32]) -> impl Iterator<Item = (&Column, f64)> {
        let all = self.all.iter().zip(terms).map(|(column, &term)| (column, f64::from(term)));
        all.filter(move |(column, _)| self.is_due(column, step))
    }

    /// The mean of each term over `examples`, or over those of the steps in which its phase took part; not a number where
    /// that was none. Then of each norm the mean over the updates, and the share of these that were clipped.
    pub fn means(&self, sums: &[f64], examples: u64) -> Vec<(String, f64)> {
        let terms = self.all.iter().filter(|column| column.limit.is_none()).map(|column| {
            let counted = self.phases[column.phase].at.map_or(examples as f64, |at| sums[at]);
            (column.name.clone(), sums[column.at] / counted)
        });
        let norms = self.all.iter().filter(|column| column.limit.is_some()).flat_map(|column| {
            let [norm, clipped, updates] = [0, 1, 2].map(|at| sums[column.at + at]);
            let share = column.name.replacen(GRADIENT_NORM, CLIPPED, 1);
            [(column.name.clone(), norm / updates), (share, clipped / updates)]
        });
        terms.chain(norms).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, phase: usize, limit: Option<f32>) -> Column {
        Column { name: name.into(), phase, at: 0, limit }
    }

    /// Two terms of every step, and one of every third.
    fn columns() -> Columns {
        let all = vec![column("distortion", 0, None), column("rate", 0, None), column("other", 1, None)];
        Columns::placed(all, [1, 3].into_iter())
    }

    #[test]
    fn a_phase_that_does_not_take_part_in_a_step_neither_counts_nor_is_looked_at() {
        let columns = columns();
        let mut sums = vec![0.0; columns.sums()];
        for (step, rows) in [(2, 4), (3, 4), (4, 2)] {
            // What lies in the last column is from another step.
            let other = if step == 3 { 7.0 } else { f32::NAN };
            let terms = [step as f32, 1.0, other];
            assert!(columns.are_finite(step, &terms), "step {step}");
            columns.add(&mut sums, step, &terms, Batch { first: 0, rows });
            columns.add_norms(&mut sums, step, &terms);
        }
        assert!(!columns.are_finite(6, &[1.0, 1.0, f32::NAN]));
        assert!(!columns.are_finite(5, &[1.0, f32::INFINITY, 1.0]));
        let means: Vec<f64> = columns.means(&sums, 10).into_iter().map(|(_, mean)| mean).collect();
        assert_eq!(means, [2.8, 1.0, 7.0]);
    }

    #[test]
    fn norms_are_means_over_updates_and_leave_the_places_of_other_sums_alone() {
        let norm = |phase, limit| column(GRADIENT_NORM, phase, Some(limit));
        let terms = columns().all;
        let all = vec![terms[0].clone(), terms[1].clone(), norm(0, 4.0), terms[2].clone(), norm(1, 4.0)];
        let columns = Columns::placed(all, [1, 3].into_iter());
        assert_eq!((columns.width(), columns.sums()), (5, 4 + 2 * OF_NORM));
        let mut sums = vec![0.0; columns.sums()];
        for (step, length) in [(1, 3.0), (2, 5.0), (3, 6.0), (4, 3.5e17)] {
            let row = [8.0, 2.0, length, 7.0, 1.0];
            columns.add(&mut sums, step, &row, Batch { first: 0, rows: 5 });
            columns.add_norms(&mut sums, step, &row);
        }
        assert_eq!(sums[..4], [160.0, 40.0, 35.0, 5.0], "as without norms");
        let means = columns.means(&sums, 20);
        let expected = [8.0, 2.0, 7.0, 14.0 / 3.0, 2.0 / 3.0, 1.0, 0.0];
        assert!(means.iter().map(|(_, mean)| *mean).eq(expected), "{means:?}");
        let names: Vec<&str> = means.iter().map(|(name, _)| &name[..]).collect();
        assert_eq!(names[3..], [GRADIENT_NORM, CLIPPED, GRADIENT_NORM, CLIPPED]);
    }
}
