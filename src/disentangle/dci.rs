//! Disentanglement, completeness and informativeness (Eastwood and Williams 2018).

use super::Examples;
use super::forest::{Columns, Found, forest};

/// The three scores, and what they follow from.
#[derive(Debug, Clone, PartialEq)]
pub struct Dci {
    /// How important each latent is for each factor, [Z, K]; the importances for a factor add up to 1.
    pub importance: Vec<f64>,
    /// The share of held-out examples whose value of a factor is told from the code, [K].
    pub accuracies: Vec<f64>,
    /// How far each latent is important for one factor alone, averaged by how important latents are.
    pub disentanglement: f64,
    /// How far one latent alone is important for each factor.
    pub completeness: f64,
    /// The mean accuracy over factors.
    pub informativeness: f64,
}

/// Tells each factor from codes by a forest, which is fitted to the first two thirds of the examples and tested on the others,
/// and looks at how important latents are for it: by how much splits on them make the impurity smaller.
///
/// With `R[j, k]` the importance of latent j for factor k, the disentanglement of a latent is `1 − H(R[j, ·] / Σ R[j, ·])`,
/// entropy to the base K, weighted by `Σ R[j, ·] / Σ R`; the completeness of a factor is `1 − H(R[·, k] / Σ R[·, k])`, entropy
/// to the base Z.
pub fn dci(examples: &Examples, seed: u64) -> Dci {
    let (latents, fitted) = (examples.latent(), examples.held_out());
    let columns = Columns::new((0..latents).map(|latent| examples.column(latent).collect()), fitted);
    let factors = examples.factors();
    let found: Vec<Found> =
        factors.iter().map(|factor| forest(&columns, &factor.values, factor.count, fitted, seed)).collect();
    let importance: Vec<f64> = (0..latents).flat_map(|j| found.iter().map(move |found| found.importance[j])).collect();
    let accuracies: Vec<f64> = found.iter().map(|found| found.accuracy).collect();
    let [disentanglement, completeness] = scores(&importance, factors.len());
    let informativeness = accuracies.iter().sum::<f64>() / accuracies.len() as f64;
    Dci { importance, accuracies, disentanglement, completeness, informativeness }
}

/// Disentanglement and completeness of importances, [Z, K].
pub(super) fn scores(importance: &[f64], factors: usize) -> [f64; 2] {
    let all: f64 = importance.iter().sum();
    if all == 0.0 {
        return [0.0; 2];
    }
    let latents = importance.len() / factors;
    let disentanglement =
        importance.chunks_exact(factors).map(|row| row.iter().sum::<f64>() / all * concentration(row));
    let completeness = (0..factors).map(|k| {
        let column: Vec<f64> = (0..latents).map(|j| importance[j * factors + k]).collect();
        concentration(&column)
    });
    [disentanglement.sum(), completeness.sum::<f64>() / factors as f64]
}

/// 1 less the entropy of shares to the base of their number: 1 where one has all, 0 where all are alike or there is nothing.
fn concentration(parts: &[f64]) -> f64 {
    let all: f64 = parts.iter().sum();
    if all == 0.0 {
        return 0.0;
    }
    let shares = parts.iter().filter(|part| **part > 0.0).map(|part| part / all);
    1.0 + shares.map(|share| share * share.ln()).sum::<f64>() / (parts.len() as f64).ln()
}
