//! Attributes of examples as directions in latent space: the way from codes of examples without one to codes of those with
//! it. Learnt from labelled codes, they move any example along it.
//!
//! A direction is learnt in one of three ways, from codes z of rows with and without the attribute, means m₁ and m₀:
//!
//! - the difference of means, v = m₁ − m₀ (Larsen, Sønderby, Larochelle and Winther, "Autoencoding beyond pixels using a learned
//!   similarity metric", 2016, arXiv 1512.09300, section 4.2);
//! - the normal w of the plane that separates both groups by logistic regression, the least of
//!   ½ λ |w|² + Σ log(1 + exp(−y (w·z + b))), y = ±1;
//! - that of linear discriminant analysis, w = Σ⁻¹ (m₁ − m₀), Σ = (1 − λ) S + λ tr(S)/Z · I with S the covariance within groups
//!   (Hastie, Tibshirani and Friedman, "The elements of statistical learning", 2009, section 4.3).
//!
//! A normal has no length of its own: with u = w/|w| the direction is |(m₁ − m₀)·u| u, so that whatever the way, a strength of 1
//! goes as far as the means of both groups lie apart along the direction.
//!
//! Attributes that come together in the data are learnt together: where most who smile wear glasses, the direction of a smile puts
//! glasses on. [`balanced`] weighs rows so that other columns are alike in both groups (White, "Sampling generative networks",
//! 2016, arXiv 1609.04468: bias-corrected vectors, by replicated data there).

mod kept;
mod separators;

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use kept::{Attribute, Attributes, FILE};

/// How a direction is learnt.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "method", content = "penalty")]
pub enum Method {
    /// The difference of means.
    Mean,
    /// Logistic regression with this penalty λ, above 0.
    Logistic(f64),
    /// Linear discriminant analysis with this shrinkage λ of the covariance, from 0 to 1.
    Lda(f64),
}

/// Rows of codes and which of them have the attribute.
#[derive(Debug, Clone, Copy)]
pub struct Labelled<'a> {
    /// Row-major, [N, Z].
    pub codes: &'a [f32],
    /// Z.
    pub latent: usize,
    /// Whether a row has it, [N].
    pub with: &'a [bool],
    /// What a row counts, [N].
    pub weights: &'a [f64],
}

/// What was learnt of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub struct Learnt {
    /// The way that a strength of 1 goes, [Z].
    pub direction: Vec<f64>,
    /// A code has the attribute where `normal`·z + `bias` is above 0, [Z].
    pub normal: Vec<f64>,
    /// See `normal`.
    pub bias: f64,
}

impl Learnt {
    /// How far a code lies on the side of those with the attribute.
    pub fn score(&self, code: &[f32]) -> f64 {
        dot(&self.normal, code) + self.bias
    }
}

impl<'a> Labelled<'a> {
    fn rows(self) -> impl Iterator<Item = (&'a [f32], bool, f64)> {
        let marks = self.with.iter().copied().zip(self.weights.iter().copied());
        self.codes.chunks_exact(self.latent).zip(marks).map(|(row, (with, weight))| (row, with, weight))
    }

    /// The sum of weights and the mean code of the rows with the attribute, or of those without.
    fn mean(self, wanted: bool) -> (f64, Vec<f64>) {
        let (mut total, mut sums) = (0.0, vec![0.0; self.latent]);
        for (row, _, weight) in self.rows().filter(|row| row.1 == wanted) {
            total += weight;
            sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += weight * f64::from(value));
        }
        for sum in &mut sums {
            *sum /= total;
        }
        (total, sums)
    }
}

/// Learns the direction of an attribute.
///
/// # Errors
/// [`Error::Data`] where no row has it or all have it, or where codes say nothing of it at all.
pub fn learn(of: Labelled, method: Method) -> Result<Learnt> {
    let [(without, low), (with, high)] = [false, true].map(|wanted| of.mean(wanted));
    if !(without > 0.0 && with > 0.0) {
        return Err(Error::Data("rows with it and rows without it are needed, and one of both is missing".into()));
    }
    let apart: Vec<f64> = high.iter().zip(&low).map(|(high, low)| high - low).collect();
    let middle: Vec<f64> = high.iter().zip(&low).map(|(high, low)| 0.5 * (high + low)).collect();
    let (normal, bias) = match method {
        Method::Mean => (apart.clone(), -product(&apart, &middle)),
        Method::Logistic(penalty) => separators::logistic(of, penalty),
        Method::Lda(shrinkage) => {
            let normal = separators::discriminant(of, [&low, &high], &apart, shrinkage);
            let bias = (with / without).ln() - product(&normal, &middle);
            (normal, bias)
        }
    };
    let square = product(&normal, &normal);
    let along = product(&apart, &normal).abs() / square;
    let direction: Vec<f64> = normal.iter().map(|value| along * value).collect();
    let length = product(&direction, &direction);
    if !(length.is_finite() && length > 0.0) {
        return Err(Error::Data("rows with it and rows without it have the same codes".into()));
    }
    Ok(Learnt { direction, normal, bias })
}

/// What rows count, so that in both groups each stratum counts the same, and a group as much as it has rows. Strata of which
/// only one group has rows count nothing. `None` where no stratum is left.
pub fn balanced(with: &[bool], strata: &[u32]) -> Option<Vec<f64>> {
    let mut counts: BTreeMap<u32, [usize; 2]> = BTreeMap::new();
    for (&with, &stratum) in with.iter().zip(strata) {
        counts.entry(stratum).or_default()[usize::from(with)] += 1;
    }
    counts.retain(|_, [without, with]| *without > 0 && *with > 0);
    let all = with.iter().filter(|&&with| with).count();
    let sizes = [with.len() - all, all].map(|rows| rows as f64 / counts.len() as f64);
    let weight = |(&with, stratum): (&bool, &u32)| {
        counts.get(stratum).map_or(0.0, |counts| sizes[usize::from(with)] / counts[usize::from(with)] as f64)
    };
    (!counts.is_empty()).then(|| with.iter().zip(strata).map(weight).collect())
}

/// The share of the variance of all codes [N, Z] that lies along a direction [Z].
pub fn share_of_variance(codes: &[f32], direction: &[f64]) -> f64 {
    let (latent, length) = (direction.len(), product(direction, direction).sqrt());
    let variance = |values: &dyn Fn(&[f32]) -> f64| {
        let rows = codes.chunks_exact(latent);
        let count = rows.len() as f64;
        let mean = rows.clone().map(values).sum::<f64>() / count;
        rows.map(|row| (values(row) - mean).powi(2)).sum::<f64>() / count
    };
    let total: f64 = (0..latent).map(|at| variance(&|row| f64::from(row[at]))).sum();
    variance(&|row| dot(direction, row) / length) / total
}

/// The angle between two directions, in degrees.
pub fn angle(a: &[f64], b: &[f64]) -> f64 {
    (product(a, b) / (product(a, a) * product(b, b)).sqrt()).clamp(-1.0, 1.0).acos().to_degrees()
}

fn dot(a: &[f64], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, &b)| a * f64::from(b)).sum()
}

fn product(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests;
