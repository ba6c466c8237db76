//! log Z of an energy-based prior, whose density is known but for that: p(z) = exp(−E(z))·N(z; 0, 1)/Z.
//!
//! Z is the mean of exp(−E) over draws of N(0, 1). Its estimate by many draws is put where the graphs of a trained model look for
//! log Z, so that rates, bounds and scores are normalised by one number. The draws have a seed of their own: the number is a function
//! of the model alone.

use super::{Purpose, Session};
use crate::config::Prior;
use crate::error::{Error, Result};
use crate::model::prior::energy::PARTITION;
use crate::model::tasks::ENERGIES;
use crate::rng::Stream;

/// Draws of N(0, 1) for the estimate.
const DRAWS: usize = 1 << 17;
/// Draws at a time.
const AT_ONCE: usize = 1024;
/// Their seed.
const SEED: u64 = 0;

/// An estimate of log Z by importance sampling from N(0, 1).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Partition {
    /// log Z in nats. Z itself is unbiased; its logarithm is too low by half the square of its error.
    pub log: f64,
    /// The standard error of that.
    pub standard_error: f64,
    /// So many draws of the prior itself would tell as much: (Σw)²/Σw², w = exp(−E).
    pub effective: f64,
    /// Draws.
    pub draws: usize,
}

impl Partition {
    /// From −E of each draw.
    pub fn of(logs: &[f64]) -> Self {
        let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let count = logs.len() as f64;
        let weights = logs.iter().map(|log| (log - largest).exp());
        let (sum, squares) = weights.fold((0.0, 0.0), |(sum, squares), w| (sum + w, squares + w * w));
        let (mean, effective) = (sum / count, sum * sum / squares);
        // The relative error of the mean: the delta method for its logarithm.
        let variance = ((squares / count - mean * mean) * count / (count - 1.0).max(1.0)).max(0.0);
        Self {
            log: largest + mean.ln(),
            standard_error: (variance / count).sqrt() / mean,
            effective,
            draws: logs.len(),
        }
    }
}

impl Session {
    /// Estimates log Z of a member's prior, where it is one of an energy, and lets its plans take the estimate. Training keeps a
    /// running one of its own, and what is saved has that.
    ///
    /// # Errors
    /// [`Error::Diverged`] where energies are no numbers; those of the device.
    pub fn normalise(&mut self, member: usize) -> Result<Option<Partition>> {
        if self.model.config.prior != Prior::Energy {
            return Ok(None);
        }
        let plan = self.plan(Purpose::task(ENERGIES, AT_ONCE))?;
        let mut logs = Vec::with_capacity(DRAWS);
        for first in (0..DRAWS).step_by(AT_ONCE) {
            let numbers: Vec<u32> = (first..first + AT_ONCE).map(|at| at as u32).collect();
            (0..self.member_count()).try_for_each(|member| self.number(member, &numbers))?;
            let scalars = self.scalars(SEED, Stream::Partition, 0, AT_ONCE);
            self.run(plan, &vec![scalars; self.member_count()])?;
            logs.extend(self.output_of(member, "energy", AT_ONCE, 1)?.into_iter().map(|energy| -f64::from(energy)));
        }
        let found = Partition::of(&logs);
        if !found.log.is_finite() {
            return Err(Error::Diverged(
                "log Z of the prior is not finite: its energy has diverged; lower --lr".into(),
            ));
        }
        let range = self.ranges().into_iter().find(|range| range.name == PARTITION);
        let range = range.ok_or_else(|| Error::Bug("an energy without its log Z".into()))?;
        self.write(member, &self.held(), range.offset, &[found.log as f32])?;
        self.partition = Some(found);
        Ok(self.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_and_its_error_are_those_of_a_mean() {
        let found = Partition::of(&[1.0_f64, 2.0, 3.0].map(f64::ln));
        assert!((found.log - 2.0_f64.ln()).abs() < 1e-12);
        // The deviation of 1, 2, 3 is 1; that of their mean 1/√3, half of which is the relative one.
        assert!((found.standard_error - 0.5 / 3.0_f64.sqrt()).abs() < 1e-12);
        assert!((found.effective - 36.0 / 14.0).abs() < 1e-12);
        let same = Partition::of(&[-800.0; 5]);
        assert_eq!((same.log, same.standard_error, same.effective), (-800.0, 0.0, 5.0));
    }
}
