//! What the encoder says of examples.

use crate::kernels::sample::kl_term;

/// What the encoder says of N examples: q(z|x) = N(mean, variance), each latent dimension by itself; of models with another
/// posterior ([`Model::has_gaussian_posterior`]) the latents that stand for the examples.
#[derive(Debug, Clone, PartialEq)]
pub struct Posterior {
    /// Z, the number of latent dimensions.
    pub latent: usize,
    /// The means, [N, Z]: what an example is decoded from.
    pub means: Vec<f32>,
    /// The log-variances, within the range that the model allows, [N, Z]; of other posteriors those of the normal distribution
    /// that they begin with.
    pub log_variances: Vec<f32>,
    pub(super) rates: DimensionRates,
}

/// Who knows the rate of each dimension.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum DimensionRates {
    /// It is the KL divergence from N(0, 1).
    Standard,
    /// The device told it: of each dimension the sum over the examples.
    Told(Vec<f64>),
    /// No dimension has one of its own.
    Joint,
}

impl Posterior {
    /// That of no example, of Z dimensions.
    pub fn empty(latent: usize) -> Self {
        Self { latent, means: vec![], log_variances: vec![], rates: DimensionRates::Standard }
    }

    /// Appends that of further examples of the same model.
    pub fn extend(&mut self, other: Self) {
        if other.is_empty() {
            return;
        }
        self.means.extend(other.means);
        self.log_variances.extend(other.log_variances);
        self.rates = match (std::mem::replace(&mut self.rates, DimensionRates::Joint), other.rates) {
            (DimensionRates::Told(sums), DimensionRates::Told(others)) => {
                DimensionRates::Told(sums.iter().zip(others).map(|(sum, other)| sum + other).collect())
            }
            (_, other) => other,
        };
    }

    /// Those of several stochastic layers of the same examples as one: their dimensions side by side, which then have no rates.
    #[must_use]
    pub fn side_by_side(layers: &[Self]) -> Self {
        let latent = layers.iter().map(|layer| layer.latent).sum();
        let mut all = Self { rates: DimensionRates::Joint, ..Self::empty(latent) };
        for example in 0..layers.first().map_or(0, Self::len) {
            for layer in layers {
                let places = example * layer.latent..(example + 1) * layer.latent;
                all.means.extend(&layer.means[places.clone()]);
                all.log_variances.extend(&layer.log_variances[places]);
            }
        }
        all
    }

    /// N, the number of examples.
    pub fn len(&self) -> usize {
        self.means.len() / self.latent
    }

    /// Whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.means.is_empty()
    }

    /// The mean of one example, [Z].
    pub fn mean(&self, example: usize) -> &[f32] {
        &self.means[example * self.latent..][..self.latent]
    }

    /// The standard deviations, [N, Z].
    pub fn deviations(&self) -> Vec<f32> {
        self.log_variances.iter().map(|lv| (0.5 * lv).exp()).collect()
    }

    /// The KL divergence of each latent dimension from the prior, a mean over the examples, in nats (Kingma and Welling
    /// 2014, appendix B). Nothing where dimensions have none of their own: the prior is no product over them, or the posterior
    /// is not.
    pub fn rates(&self) -> Option<Vec<f64>> {
        match &self.rates {
            DimensionRates::Standard => Some(self.standard_rates()),
            DimensionRates::Told(sums) => Some(sums.iter().map(|sum| sum / self.len() as f64).collect()),
            DimensionRates::Joint => None,
        }
    }

    fn standard_rates(&self) -> Vec<f64> {
        let mut rates = vec![0.0; self.latent];
        for (at, (&mean, &lv)) in self.means.iter().zip(&self.log_variances).enumerate() {
            let (mean, lv) = (f64::from(mean), f64::from(lv));
            rates[at % self.latent] += kl_term(mean, lv) / self.len() as f64;
        }
        rates
    }

    /// Mean and standard deviation over the examples of the mean of each dimension, [Z] each.
    pub fn moments(&self) -> [Vec<f64>; 2] {
        let count = self.len() as f64;
        let mut moments = [vec![0.0; self.latent], vec![0.0; self.latent]];
        for row in self.means.chunks_exact(self.latent) {
            moments[0].iter_mut().zip(row).for_each(|(sum, &mean)| *sum += f64::from(mean) / count);
        }
        let [centre, spread] = &mut moments;
        for row in self.means.chunks_exact(self.latent) {
            for ((sum, &mean), centre) in spread.iter_mut().zip(row).zip(&*centre) {
                *sum += (f64::from(mean) - centre).powi(2) / count;
            }
        }
        for variance in spread {
            *variance = variance.sqrt();
        }
        moments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_deviations_follow_their_formulas() {
        let ln4 = 4.0_f32.ln();
        let posterior = Posterior {
            latent: 2,
            means: vec![0.0, 3.0, 0.0, -1.0],
            log_variances: vec![0.0, ln4, 0.0, -ln4],
            rates: DimensionRates::Standard,
        };
        let ln4 = f64::from(ln4);
        let expected = 0.5 * (0.5 * (9.0 + 4.0 - 1.0 - ln4) + 0.5 * (1.0 + 0.25 - 1.0 + ln4));
        assert_eq!(posterior.len(), 2);
        assert_eq!(posterior.mean(1), [0.0, -1.0]);
        let rates = posterior.rates().unwrap();
        assert!(rates[0] == 0.0 && (rates[1] - expected).abs() < 1e-6, "{rates:?}");
        for (found, expected) in posterior.deviations().iter().zip([1.0, 2.0, 1.0, 0.5]) {
            assert!((found - expected).abs() < 1e-6);
        }
    }
}
