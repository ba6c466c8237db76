//! The columns of the metrics: a term of the loss each, of all phases of a step side by side. What they add up to in an epoch
//! is part of a member's progress.

use crate::data::batches::Batch;
use crate::error::Result;
use crate::model::phases;
use crate::session::Session;

/// A term of the loss of a phase.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Column {
    /// What the term is called.
    pub name: String,
    /// Its phase, as an index into [`Columns::phases`].
    phase: usize,
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
}

impl Columns {
    /// Those of a session's training step.
    ///
    /// # Errors
    /// Those of [`Session::phases`].
    pub fn of(session: &mut Session) -> Result<Self> {
        let (plans, rules) = (session.phases()?, phases(&session.config));
        let mut all = Vec::new();
        for (phase, &plan) in plans.iter().enumerate() {
            let names = session.executor.plan(plan).terms.iter();
            all.extend(names.map(|name| Column { name: name.clone(), phase }));
        }
        let mut places = all.len()..;
        let phases = rules.iter().map(|rule| {
            let at = if rule.every > 1 { places.next() } else { None };
            Count { every: rule.every as u64, at }
        });
        Ok(Self { phases: phases.collect(), all })
    }

    /// Columns of a row of the metrics.
    pub fn width(&self) -> usize {
        self.all.len()
    }

    /// Numbers that an epoch adds up: the terms, then the examples of phases that do not take part in every step.
    pub fn sums(&self) -> usize {
        self.width() + self.phases.iter().filter(|phase| phase.at.is_some()).count()
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
        for ((sum, term), _) in
            sums.iter_mut().zip(terms).zip(&self.all).filter(|(_, column)| self.is_due(column, step))
        {
            *sum += f64::from(*term) * rows;
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

    /// The mean of each column over `examples`, or over those of the steps in which its phase took part; not a number where
    /// that was none.
    pub fn means(&self, sums: &[f64], examples: u64) -> Vec<(String, f64)> {
        let mean = |(column, sum): (&Column, &f64)| {
            let counted = self.phases[column.phase].at.map_or(examples as f64, |at| sums[at]);
            (column.name.clone(), sum / counted)
        };
        self.all.iter().zip(sums).map(mean).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two terms of every step, and one of every third.
    fn columns() -> Columns {
        let column = |name: &str, phase| Column { name: name.into(), phase };
        let all = vec![column("distortion", 0), column("rate", 0), column("other", 1)];
        Columns { all, phases: vec![Count { every: 1, at: None }, Count { every: 3, at: Some(3) }] }
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
        }
        assert!(!columns.are_finite(6, &[1.0, 1.0, f32::NAN]));
        assert!(!columns.are_finite(5, &[1.0, f32::INFINITY, 1.0]));
        let means: Vec<f64> = columns.means(&sums, 10).into_iter().map(|(_, mean)| mean).collect();
        assert_eq!(means, [2.8, 1.0, 7.0]);
    }
}
