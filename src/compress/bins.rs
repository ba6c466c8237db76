//! Latents as whole numbers: bins, the mass that the prior gives to each, and the mass that a posterior gives to each
//! (Townsend, Bird and Barber 2019, section 2.5.1). Theirs have the same mass under N(0, 1), so that none lies beyond ±4 where a model that
//! was trained for a while still puts examples; these have the same mass under N(0, 2²), reach to ±8 and are narrower from ±1.7 on.
//! Since no bin has less than 2⁻²⁷, what lies beyond ±5 costs less than N(0, 1) says.

use super::ans::{Ans, Shares};
use super::portable::{normal_below, normal_density};
use std::sync::OnceLock;

/// Bins of a latent dimension: so many that even those of the tails are narrow beside the posteriors of usual models.
pub const BINS: u32 = 1 << 14;
/// By how much they spread more than the prior; a power of two, so that no rounding comes in.
const SPREAD: f64 = 2.0;
/// Bits in which the masses of bins are told.
const MASS_BITS: u32 = 28;

/// Where bins lie.
#[derive(Debug)]
pub struct Bins {
    /// For k from 1 to 2·[`BINS`] − 1, in the place k − 1, the number below which N(0, 2²) has k/(2·[`BINS`]) of its mass: centres
    /// and edges in turn.
    quantiles: Vec<f64>,
    /// What N(0, 1) has below each bin.
    prior: Vec<f64>,
}

/// A normal distribution of a latent dimension.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normal {
    /// Its mean.
    pub mean: f64,
    /// Its standard deviation, above 0.
    pub deviation: f64,
}

impl Bins {
    /// The bins, which are worked out once.
    pub fn get() -> &'static Self {
        static ALL: OnceLock<Bins> = OnceLock::new();
        ALL.get_or_init(Self::new)
    }

    fn new() -> Self {
        // Newton's method upwards from the median, each from the one before: the distribution function is concave there, so
        // that steps fall short and come closer. What is below the median is its mirror image.
        let half: Vec<f64> = (1..BINS)
            .scan(0.0, |x, k| {
                let mass = 0.5 + f64::from(k) / f64::from(2 * BINS);
                for _ in 0..6 {
                    *x += (mass - normal_below(*x)) / normal_density(*x);
                }
                Some(*x)
            })
            .collect();
        let whole = half.iter().rev().map(|x| -x).chain([0.0]).chain(half.iter().copied());
        let quantiles: Vec<f64> = whole.map(|x| SPREAD * x).collect();
        let edges = quantiles.iter().skip(1).step_by(2).map(|&edge| normal_below(edge));
        let prior = std::iter::once(0.0).chain(edges).collect();
        Self { quantiles, prior }
    }

    /// The latent that stands for a bin.
    pub fn centre(&self, bin: u32) -> f64 {
        self.quantiles[2 * bin as usize]
    }

    /// Takes a bin off a stack that was pushed under the prior.
    pub fn pop_prior(&self, ans: &mut Ans) -> u32 {
        SHARES.pop(ans, |bin| self.prior[bin as usize])
    }

    /// Puts a bin on a stack under the prior.
    pub fn push_prior(&self, ans: &mut Ans, bin: u32) {
        SHARES.push(ans, bin, |bin| self.prior[bin as usize]);
    }

    /// Where bins lie, for a checksum.
    pub fn quantiles(&self) -> &[f64] {
        &self.quantiles
    }

    /// Takes a bin off a stack, drawn from a posterior.
    pub fn pop(&self, ans: &mut Ans, posterior: Normal) -> u32 {
        SHARES.pop(ans, |bin| self.below(posterior, bin))
    }

    /// Puts a bin back on a stack.
    pub fn push(&self, ans: &mut Ans, bin: u32, posterior: Normal) {
        SHARES.push(ans, bin, |bin| self.below(posterior, bin));
    }

    /// What a posterior has below a bin that is not the first.
    fn below(&self, Normal { mean, deviation }: Normal, bin: u32) -> f64 {
        normal_below((self.quantiles[2 * bin as usize - 1] - mean) / deviation)
    }
}

const SHARES: Shares = Shares { count: BINS, bits: MASS_BITS };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_have_the_same_mass_and_lie_around_their_centres() {
        let bins = Bins::get();
        assert_eq!(bins.quantiles().len(), 2 * BINS as usize - 1);
        for (at, pair) in bins.quantiles().windows(2).enumerate() {
            assert!(pair[0] < pair[1], "{at}");
            let mass = normal_below(pair[1] / SPREAD) - normal_below(pair[0] / SPREAD);
            assert!((mass * f64::from(2 * BINS) - 1.0).abs() < 1e-9, "{at}: {mass}");
        }
        assert!(bins.centre(0) < -7.9 && bins.centre(BINS - 1) > 7.9);
    }

    /// KL divergence of the discretised posterior from the prior against its closed form: what bits-back pays for a latent.
    #[test]
    fn a_latent_costs_its_divergence_from_the_prior() {
        let bins = Bins::get();
        for (mean, deviation) in [(0.0_f64, 1.0_f64), (1.3, 0.05), (-2.5, 0.3), (3.0, 0.1), (0.2, 0.9)] {
            let posterior = Normal { mean, deviation };
            let cost = |bin: u32| {
                let posterior = f64::from(SHARES.of(bin, |bin| bins.below(posterior, bin)).size);
                let prior = f64::from(SHARES.of(bin, |bin| bins.prior[bin as usize]).size);
                posterior / f64::from(1 << MASS_BITS) * (posterior / prior).log2()
            };
            let found: f64 = (0..BINS).map(cost).sum();
            let closed = 0.5 * (deviation * deviation + mean * mean - 1.0) - deviation.ln();
            let expected = closed / std::f64::consts::LN_2;
            assert!((found - expected).abs() < 0.01, "N({mean}, {deviation}²): {found} bits for {expected}");
        }
    }

    #[test]
    fn posteriors_far_from_everything_still_come_back() {
        let bins = Bins::get();
        for (mean, deviation) in [(50.0, 0.01), (-50.0, 3.0), (0.0, 1e-9), (0.0, 1e9)] {
            let (posterior, mut ans) = (Normal { mean, deviation }, Ans::encoder());
            let bin = bins.pop(&mut ans, posterior);
            bins.push(&mut ans, bin, posterior);
            bins.push_prior(&mut ans, bin);
            assert_eq!(bins.pop_prior(&mut ans), bin);
        }
    }
}
