//! Whether the latents of all examples together look like the prior.
//!
//! The aggregate posterior q(z) = 1/N Σ q(z|x) of a good model is near the prior N(0, I): only then is what is decoded
//! from the prior like the data. Its mean and covariance are exact; MMD² compares draws.

use crate::model::pairs::similarity;
use crate::rng::{Philox, Stream};

/// The most examples that MMD² is estimated from: its cost grows with the square.
const DRAWS: usize = 1000;

/// Moments of the aggregate posterior over Z latent dimensions, and its distance from the prior.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    /// E[z], \[Z\].
    pub mean: Vec<f64>,
    /// Cov[z] by rows, \[Z, Z\]: the covariance of the posterior means and the mean of the posterior variances.
    pub covariance: Vec<f64>,
    /// Var\[E\[z|x\]\], \[Z\]: how much the posterior means alone vary over the data.
    pub spread: Vec<f64>,
    /// MMD² between one draw from the posterior of each of `draws` examples and as many draws from the prior, by the
    /// unbiased estimate with inverse multiquadratic kernels: around 0, of either sign, where they are alike.
    pub mmd: f64,
    /// Examples that MMD² was estimated from.
    pub draws: usize,
}

impl Aggregate {
    /// The latent mean that is farthest from 0.
    pub fn largest_mean(&self) -> f64 {
        self.mean.iter().copied().fold(0.0, |most: f64, mean| if mean.abs() > most.abs() { mean } else { most })
    }

    /// The least and the largest variance of a dimension.
    pub fn variances(&self) -> [f64; 2] {
        let variances = (0..self.mean.len()).map(|j| self.covariance[j * self.mean.len() + j]);
        variances.fold([f64::INFINITY, 0.0], |[least, most], v| [least.min(v), most.max(v)])
    }

    /// The correlation of two dimensions that is farthest from 0; 0 for a single dimension.
    pub fn largest_correlation(&self) -> f64 {
        let width = self.mean.len();
        let variance = |j: usize| self.covariance[j * width + j];
        let pairs = (0..width).flat_map(|i| (0..i).map(move |j| (i, j)));
        let correlations = pairs.map(|(i, j)| self.covariance[i * width + j] / (variance(i) * variance(j)).sqrt());
        correlations.fold(0.0, |most: f64, c| if c.abs() > most.abs() { c } else { most })
    }
}

/// The posteriors seen so far.
#[derive(Debug)]
pub struct Gathered {
    seen: usize,
    sums: Vec<f64>,
    products: Vec<f64>,
    variances: Vec<f64>,
    /// Sums and squares of what stands for examples, where that is not the mean of their posterior.
    located: [Vec<f64>; 2],
    draws: Vec<f64>,
    /// One example of every this many gives a draw.
    every: usize,
    random: Philox,
}

impl Gathered {
    /// Nothing yet of `examples` posteriors over `width` dimensions; `seed` is the key of the draws.
    pub fn new(width: usize, examples: usize, seed: u64) -> Self {
        Self {
            seen: 0,
            sums: vec![0.0; width],
            products: vec![0.0; width * width],
            variances: vec![0.0; width],
            located: [vec![], vec![]],
            draws: vec![],
            every: examples.div_ceil(DRAWS).max(1),
            random: Philox::new(seed, Stream::Choice, 1, 0),
        }
    }

    /// Takes a draw from a posterior whose moments are not known, and the latents that stand for its example, \[Z\] each.
    pub fn add_draw(&mut self, z: &[f32], location: &[f32]) {
        let z: Vec<f64> = z.iter().map(|&z| f64::from(z)).collect();
        self.add_point(&z);
        self.located.iter_mut().for_each(|sums| sums.resize(z.len(), 0.0));
        for (i, &location) in location.iter().enumerate() {
            self.located[0][i] += f64::from(location);
            self.located[1][i] += f64::from(location).powi(2);
        }
        if self.seen.is_multiple_of(self.every) {
            self.draws.extend(z);
        }
        self.seen += 1;
    }

    fn add_point(&mut self, point: &[f64]) {
        for (i, value) in point.iter().enumerate() {
            self.sums[i] += value;
            for (sum, other) in self.products[i * point.len()..].iter_mut().zip(&point[..=i]) {
                *sum += value * other;
            }
        }
    }

    /// Takes a posterior: means and log-variances, \[Z\] each.
    pub fn add(&mut self, means: &[f64], log_variances: &[f64]) {
        self.add_point(means);
        self.variances.iter_mut().zip(log_variances).for_each(|(sum, log)| *sum += log.exp());
        if self.seen.is_multiple_of(self.every) {
            let draw = |(mean, lv): (&f64, &f64)| mean + (0.5 * lv).exp() * f64::from(self.random.normal());
            self.draws.extend(means.iter().zip(log_variances).map(draw));
        }
        self.seen += 1;
    }

    /// What all of them come to. There is at least one.
    pub fn finish(mut self) -> Aggregate {
        let (width, count) = (self.sums.len(), self.seen as f64);
        let mean: Vec<f64> = self.sums.iter().map(|sum| sum / count).collect();
        let mut covariance = vec![0.0; width * width];
        for i in 0..width {
            for j in 0..=i {
                let diagonal = if i == j { self.variances[i] / count } else { 0.0 };
                let value = self.products[i * width + j] / count - mean[i] * mean[j] + diagonal;
                (covariance[i * width + j], covariance[j * width + i]) = (value, value);
            }
        }
        let spread = |j: usize| match &self.located {
            [sums, squares] if !sums.is_empty() => squares[j] / count - (sums[j] / count).powi(2),
            _ => self.products[j * width + j] / count - mean[j] * mean[j],
        };
        let spread = (0..width).map(spread).collect();
        let prior: Vec<f64> = self.draws.iter().map(|_| f64::from(self.random.normal())).collect();
        let draws = self.draws.len() / width;
        Aggregate { mean, covariance, spread, mmd: mmd(&self.draws, &prior, width), draws }
    }
}

/// The unbiased estimate of MMD² (Gretton et al. 2012, eq. 4) between as many points `x` as `y` of `width` coordinates, by
/// the [`similarity`] that training has; 0 for fewer than two points.
pub fn mmd(x: &[f64], y: &[f64], width: usize) -> f64 {
    let count = x.len() / width;
    if count < 2 {
        return 0.0;
    }
    let kernel = |a: &[f64], b: &[f64]| -> f64 {
        let distance = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
        similarity(distance, width)
    };
    let mut sum = 0.0;
    for i in 0..count {
        let [xi, yi] = [x, y].map(|of| &of[i * width..][..width]);
        for j in 0..i {
            let [xj, yj] = [x, y].map(|of| &of[j * width..][..width]);
            sum += 2.0 * (kernel(xi, xj) + kernel(yi, yj) - kernel(xi, yj) - kernel(yi, xj));
        }
    }
    sum / (count as f64 * (count as f64 - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deviates(count: usize, purpose: u32) -> Vec<f64> {
        let mut random = Philox::new(5, Stream::Choice, purpose, 0);
        (0..count).map(|_| f64::from(random.normal())).collect()
    }

    #[test]
    fn moments_are_those_of_the_mixture_of_all_posteriors() {
        let mut gathered = Gathered::new(2, 2, 0);
        gathered.add(&[1.0, 2.0], &[0.0, 4_f64.ln()]);
        gathered.add(&[-1.0, 4.0], &[2_f64.ln(), 0.0]);
        let found = gathered.finish();
        assert_eq!(found.mean, [0.0, 3.0]);
        // Means vary by 1 and 1 in opposite directions; the variances are 1.5 and 2.5 on average.
        for (value, expected) in found.covariance.iter().zip([2.5, -1.0, -1.0, 3.5]) {
            assert!((value - expected).abs() < 1e-12, "{:?}", found.covariance);
        }
        assert_eq!((found.largest_mean(), found.draws), (3.0, 2));
        assert_eq!(found.spread, [1.0, 1.0]);
        assert!((found.largest_correlation() + 1.0 / (2.5_f64 * 3.5).sqrt()).abs() < 1e-12);
        assert_eq!(found.variances().map(|v| (v * 1e9).round() / 1e9), [2.5, 3.5]);
    }

    #[test]
    fn the_distance_is_near_zero_for_the_prior_and_large_elsewhere() {
        let gather = |shift: f64, log_variance: f64| {
            let mut gathered = Gathered::new(3, 600, 1);
            for mean in deviates(1800, 2).chunks_exact(3) {
                gathered.add(&[mean[0] * 0.8 + shift, mean[1] * 0.8, mean[2] * 0.8], &[log_variance; 3]);
            }
            gathered.finish()
        };
        // 0.8² + 0.36 = 1: the prior.
        let (same, shifted, narrow) = (gather(0.0, 0.36_f64.ln()), gather(0.7, 0.36_f64.ln()), gather(0.0, -9.0));
        assert!(same.mmd.abs() < 5e-3, "{}", same.mmd);
        assert!(shifted.mmd > 0.1 && narrow.mmd > 0.01, "{} {}", shifted.mmd, narrow.mmd);
        assert!((shifted.largest_mean() - 0.7).abs() < 0.1, "{}", shifted.largest_mean());
    }

    #[test]
    fn the_estimate_is_the_sum_over_pairs() {
        // One coordinate, two points each.
        let (x, y) = ([0.0, 1.0], [3.0, 5.0]);
        let k = |d: f64| -> f64 { [0.2, 0.4, 1.0, 2.0, 4.0, 10.0, 20.0].iter().map(|c| c / (c + d * d)).sum() };
        let expected = k(1.0) + k(2.0) - k(5.0) - k(2.0);
        assert!((mmd(&x, &y, 1) - expected).abs() < 1e-12);
        assert_eq!(mmd(&[1.0], &[2.0], 1), 0.0);
    }

    #[test]
    fn of_many_examples_some_give_a_draw() {
        let mut gathered = Gathered::new(1, 2500, 0);
        (0..2500).for_each(|_| gathered.add(&[0.0], &[0.0]));
        assert_eq!(gathered.finish().draws, 834);
    }
}
