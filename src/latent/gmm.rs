//! A mixture of normal distributions fitted to points: expectation maximisation (Dempster, Laird and Rubin 1977), with a
//! covariance of its own for each component. Fitted to the codes of examples it takes the place of the prior after training
//! (Ghosh et al., "From variational to deterministic autoencoders", 2020, arXiv 1903.12436, section 4).

use crate::error::{Error, Result};
use crate::rng::{Philox, Stream};
use rayon::prelude::*;

/// The most rounds.
const ROUNDS: usize = 100;

/// The mean log-likelihood of a point grows less than this in the last round, in nats.
const STILL: f64 = 1e-3;

/// What is added to each variance, as a share of the mean variance of all points: components keep a width.
const LEAST: f64 = 1e-6;

/// K components over Z dimensions.
#[derive(Debug, Clone, PartialEq)]
pub struct Gmm {
    /// What each weighs; they add up to 1.
    pub weights: Vec<f64>,
    /// The means, [K, Z].
    pub means: Vec<f64>,
    /// The lower triangular factors L of the covariances `LLᵀ`, [K, Z, Z].
    pub factors: Vec<f64>,
    /// The mean log-density of the points that it was fitted to, in nats.
    pub log_likelihood: f64,
    width: usize,
}

/// Sums of points by how much they belong to a component.
#[derive(Clone)]
struct Sums {
    log_likelihood: f64,
    weights: Vec<f64>,
    means: Vec<f64>,
    products: Vec<f64>,
}

impl Sums {
    fn zero(count: usize, width: usize) -> Self {
        let [weights, means, products] = [1, width, width * width].map(|each| vec![0.0; count * each]);
        Self { log_likelihood: 0.0, weights, means, products }
    }

    fn add(mut self, other: &Self) -> Self {
        self.log_likelihood += other.log_likelihood;
        for (own, others) in [
            (&mut self.weights, &other.weights),
            (&mut self.means, &other.means),
            (&mut self.products, &other.products),
        ] {
            own.iter_mut().zip(others).for_each(|(sum, other)| *sum += other);
        }
        self
    }
}

impl Gmm {
    /// Fits `count` components to points, [N, `width`]. Components start at points that lie far apart (k-means++, Arthur and
    /// Vassilvitskii 2007), drawn by `seed`.
    ///
    /// # Errors
    /// [`Error::Usage`] where there are fewer points than components or dimensions and one; [`Error::Diverged`] where points are
    /// not finite.
    pub fn fit(points: &[f32], width: usize, count: usize, seed: u64) -> Result<Self> {
        let rows = points.len() / width;
        if count == 0 || rows < count.max(width + 1) {
            return Err(Error::Usage(format!(
                "{count} components over {width} dimensions: a mixture is fitted to at least {} examples, and there are {rows}",
                count.max(width + 1)
            )));
        }
        if points.iter().any(|value| !value.is_finite()) {
            return Err(Error::Diverged("codes of examples are not finite: the model has diverged".into()));
        }
        let points: Vec<f64> = points.iter().map(|&value| f64::from(value)).collect();
        let mut mixture = Self::start(&points, width, count, seed);
        for round in 0..ROUNDS {
            let sums = mixture.expectation(&points);
            let (before, now) = (mixture.log_likelihood, sums.log_likelihood / rows as f64);
            let still = round > 0 && now - before < STILL;
            if !still {
                mixture.maximise(&sums, &points);
            }
            mixture.log_likelihood = now;
            if still {
                break;
            }
        }
        Ok(mixture)
    }

    /// Components at points that lie far apart, all of the covariance of all points divided by K.
    fn start(points: &[f64], width: usize, count: usize, seed: u64) -> Self {
        let mut random = Philox::new(seed, Stream::Choice, 2, 0);
        let row = |at: usize| &points[at * width..][..width];
        let rows = points.len() / width;
        let mut nearest = vec![f64::INFINITY; rows];
        let mut means = Vec::new();
        for component in 0..count {
            let total: f64 = nearest.iter().sum();
            let mut left = f64::from(random.uniform()) * total;
            let chosen = if component == 0 {
                (random.uniform() * rows as f32) as usize % rows
            } else {
                let past = nearest.iter().position(|distance| {
                    left -= distance;
                    left < 0.0
                });
                past.unwrap_or(rows - 1)
            };
            means.extend(row(chosen));
            for (at, nearest) in nearest.iter_mut().enumerate() {
                let distance: f64 = row(at).iter().zip(row(chosen)).map(|(a, b)| (a - b) * (a - b)).sum();
                *nearest = nearest.min(distance);
            }
        }
        let mut sums = Sums::zero(1, width);
        for point in points.chunks_exact(width) {
            accumulate(&mut sums, 0, 1.0, point);
        }
        let mut whole = covariance(&sums, 0, width);
        for value in &mut whole {
            *value /= count as f64;
        }
        let factor = cholesky(whole, width, LEAST * variance(points, width));
        let weights = vec![1.0 / count as f64; count];
        Self { weights, means, factors: factor.repeat(count), log_likelihood: f64::NEG_INFINITY, width }
    }

    /// How much each point belongs to each component, added up in a fixed order.
    fn expectation(&self, points: &[f64]) -> Sums {
        let count = self.weights.len();
        let part = |points: &[f64]| {
            let mut sums = Sums::zero(count, self.width);
            for point in points.chunks_exact(self.width) {
                let logs = self.log_densities(point);
                let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let total: f64 = logs.iter().map(|log| (log - largest).exp()).sum();
                sums.log_likelihood += largest + total.ln();
                for (component, log) in logs.iter().enumerate() {
                    let share = (log - largest).exp() / total;
                    if share > 1e-12 {
                        accumulate(&mut sums, component, share, point);
                    }
                }
            }
            sums
        };
        let parts: Vec<Sums> = points.par_chunks(1024 * self.width).map(part).collect();
        parts.iter().fold(Sums::zero(count, self.width), Sums::add)
    }

    /// The components that fit best to points which belong to them so.
    fn maximise(&mut self, sums: &Sums, points: &[f64]) {
        let (width, rows) = (self.width, (points.len() / self.width) as f64);
        let least = LEAST * variance(points, width);
        for component in 0..self.weights.len() {
            let weight = sums.weights[component];
            // A component that nothing belongs to stays where it is and weighs nothing.
            self.weights[component] = weight / rows;
            if weight < 1e-6 {
                continue;
            }
            for (mean, sum) in self.means[component * width..][..width].iter_mut().zip(&sums.means[component * width..])
            {
                *mean = sum / weight;
            }
            let factor = cholesky(covariance(sums, component, width), width, least);
            self.factors[component * width * width..][..width * width].copy_from_slice(&factor);
        }
    }

    /// log (wₖ N(point; mₖ, `LₖLₖᵀ`)) of each component, in nats.
    fn log_densities(&self, point: &[f64]) -> Vec<f64> {
        let width = self.width;
        let constant = 0.5 * width as f64 * (2.0 * std::f64::consts::PI).ln();
        let of = |component: usize| {
            let (mean, factor) = (&self.means[component * width..], &self.factors[component * width * width..]);
            // Forward substitution: |L⁻¹(x − m)|².
            let (mut solved, mut log_det, mut square) = (vec![0.0; width], 0.0, 0.0);
            for i in 0..width {
                let row = &factor[i * width..][..i];
                let known: f64 = row.iter().zip(&solved).map(|(l, s)| l * s).sum();
                let pivot = factor[i * width + i];
                solved[i] = (point[i] - mean[i] - known) / pivot;
                square += solved[i] * solved[i];
                log_det += pivot.ln();
            }
            self.weights[component].ln() - constant - log_det - 0.5 * square
        };
        (0..self.weights.len()).map(of).collect()
    }

    /// `count` draws, [count, Z]; the same seed gives the same.
    pub fn sample(&self, count: usize, seed: u64) -> Vec<f32> {
        let width = self.width;
        let draw = |number: usize| {
            let mut random = Philox::new(seed, Stream::Choice, 3, number as u32);
            let mut left = f64::from(random.uniform());
            let past = self.weights.iter().position(|weight| {
                left -= weight;
                left < 0.0
            });
            let component = past.unwrap_or(self.weights.len() - 1);
            let noise: Vec<f64> = (0..width).map(|_| f64::from(random.normal())).collect();
            let (mean, factor) = (&self.means[component * width..], &self.factors[component * width * width..]);
            let value = |i: usize| {
                let row = &factor[i * width..][..=i];
                (mean[i] + row.iter().zip(&noise).map(|(l, e)| l * e).sum::<f64>()) as f32
            };
            (0..width).map(value).collect::<Vec<_>>()
        };
        (0..count).flat_map(draw).collect()
    }
}

fn accumulate(sums: &mut Sums, component: usize, share: f64, point: &[f64]) {
    let width = point.len();
    sums.weights[component] += share;
    for (i, value) in point.iter().enumerate() {
        let part = share * value;
        sums.means[component * width + i] += part;
        let row = &mut sums.products[(component * width + i) * width..][..=i];
        row.iter_mut().zip(point).for_each(|(sum, other)| *sum += part * other);
    }
}

/// The covariance of the points of a component, of which the lower half is filled, [Z, Z].
fn covariance(sums: &Sums, component: usize, width: usize) -> Vec<f64> {
    let weight = sums.weights[component];
    let mean: Vec<f64> = sums.means[component * width..][..width].iter().map(|sum| sum / weight).collect();
    let mut all = vec![0.0; width * width];
    for i in 0..width {
        for j in 0..=i {
            all[i * width + j] = sums.products[(component * width + i) * width + j] / weight - mean[i] * mean[j];
        }
    }
    all
}

/// The mean variance of a dimension over all points, or a tiny number where they are all the same.
fn variance(points: &[f64], width: usize) -> f64 {
    let rows = (points.len() / width) as f64;
    let of = |d: usize| {
        let values = points.iter().skip(d).step_by(width);
        let mean = values.clone().sum::<f64>() / rows;
        values.map(|value| (value - mean).powi(2)).sum::<f64>() / rows
    };
    ((0..width).map(of).sum::<f64>() / width as f64).max(1e-12)
}

/// The lower triangular factor of a covariance whose lower half is given, with `least` added to each variance.
pub(crate) fn cholesky(mut matrix: Vec<f64>, width: usize, least: f64) -> Vec<f64> {
    for i in 0..width {
        for j in 0..=i {
            let known: f64 = (0..j).map(|k| matrix[i * width + k] * matrix[j * width + k]).sum();
            let rest = matrix[i * width + j] - known;
            matrix[i * width + j] =
                if i == j { (rest + least).max(least).sqrt() } else { rest / matrix[j * width + j] };
        }
    }
    matrix
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points of two components, three in ten of the first: one round, one long in a direction between the axes.
    fn points(count: usize) -> Vec<f32> {
        let mut random = Philox::new(3, Stream::Choice, 9, 0);
        let point = |_| {
            let [a, b] = [random.normal(), random.normal()];
            if random.uniform() < 0.3 { [a - 6.0, b] } else { [4.0 + 2.0 * a, 1.8 * a + 0.6 * b] }
        };
        (0..count).flat_map(point).collect()
    }

    #[test]
    fn components_are_found_with_their_weights_means_and_covariances() {
        let found = Gmm::fit(&points(20_000), 2, 2, 1).unwrap();
        let [round, long] = if found.means[0] < found.means[2] { [0, 1] } else { [1, 0] };
        assert!((found.weights[round] - 0.3).abs() < 0.01, "{found:?}");
        for (at, expected) in [(2 * round, -6.0), (2 * round + 1, 0.0), (2 * long, 4.0), (2 * long + 1, 0.0)] {
            assert!((found.means[at] - expected).abs() < 0.06, "{found:?}");
        }
        for (component, expected) in [(round, [1.0, 0.0, 1.0]), (long, [2.0, 1.8, 0.6])] {
            let factor = &found.factors[4 * component..][..4];
            for (value, expected) in [factor[0], factor[2], factor[3]].into_iter().zip(expected) {
                assert!((value - expected).abs() < 0.04, "{found:?}");
            }
        }
        // The entropy of the mixture, whose components hardly overlap.
        let entropy = |log_det: f64| 1.0 + (2.0 * std::f64::consts::PI).ln() + log_det;
        let choice = -0.3 * 0.3_f64.ln() - 0.7 * 0.7_f64.ln();
        let expected = -(choice + 0.3 * entropy(0.0) + 0.7 * entropy((2.0 * 0.6_f64).ln()));
        assert!((found.log_likelihood - expected).abs() < 0.05, "{} {expected}", found.log_likelihood);
    }

    #[test]
    fn draws_fit_to_the_same_mixture_again() {
        let first = Gmm::fit(&points(20_000), 2, 2, 1).unwrap();
        let draws = first.sample(20_000, 5);
        assert_eq!(draws[..8], first.sample(4, 5)[..]);
        let again = Gmm::fit(&draws, 2, 2, 2).unwrap();
        assert!((first.log_likelihood - again.log_likelihood).abs() < 0.06, "{first:?} {again:?}");
    }

    #[test]
    fn points_that_are_too_few_or_all_the_same_end_in_no_panic() {
        let same = Gmm::fit(&[1.0; 40], 2, 3, 1).unwrap();
        assert!(same.sample(5, 1).iter().all(|value| (value - 1.0).abs() < 1e-3), "{same:?}");
        assert!(Gmm::fit(&[1.0; 4], 2, 3, 1).unwrap_err().to_string().contains("at least 3 examples, and there are 2"));
        assert!(matches!(Gmm::fit(&[f32::NAN; 40], 2, 3, 1), Err(Error::Diverged(_))));
        assert!(matches!(Gmm::fit(&[1.0; 40], 2, 0, 1), Err(Error::Usage(_))));
    }
}
