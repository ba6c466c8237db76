//! Scores from mutual information: the mutual information gap and modularity.

use super::{Examples, top_two};

/// Intervals of equal width into which a latent is cut, from its least to its largest value in the examples, as
/// `disentanglement_lib` has it (Locatello et al. 2019).
pub const BINS: usize = 20;

/// What latents tell about factors.
#[derive(Debug, Clone, PartialEq)]
pub struct Information {
    /// I(z; v) of latents and factors in nats, [Z, K].
    pub mutual: Vec<f64>,
    /// The entropy of each factor in nats, [K].
    pub entropies: Vec<f64>,
    /// The gap of each factor, [K].
    pub gaps: Vec<f64>,
    /// The modularity of each latent, [Z].
    pub modular: Vec<f64>,
    /// The mutual information gap (MIG; Chen, Li, Grosse and Duvenaud 2018): by how much the latent that tells most about a
    /// factor tells more than the next, as a share of the factor's entropy; the mean over factors.
    pub mig: f64,
    /// Modularity (Ridgeway and Mozer 2018): `1 − Σ I[j, k]² / (I[j, l]² (K − 1))` with a sum over the factors k besides l, the one
    /// about which latent j tells most; 0 where it tells nothing. The mean over latents.
    pub modularity: f64,
}

/// Mutual information of every latent with every factor, and what follows from it.
pub fn information(examples: &Examples) -> Information {
    let (latents, factors) = (examples.latent(), examples.factors());
    let mut mutual = Vec::with_capacity(latents * factors.len());
    for latent in 0..latents {
        let bins = binned(&examples.column(latent).collect::<Vec<f32>>(), BINS);
        mutual.extend(factors.iter().map(|factor| mutual_information(&bins, BINS, &factor.values, factor.count)));
    }
    let entropies: Vec<f64> = factors.iter().map(|factor| entropy(&counts(&factor.values, factor.count))).collect();
    let gap = |(k, entropy): (usize, &f64)| {
        let [first, second] = top_two(mutual.iter().skip(k).step_by(factors.len()).copied());
        (first - second) / entropy
    };
    let gaps: Vec<f64> = entropies.iter().enumerate().map(gap).collect();
    let modular: Vec<f64> = mutual.chunks_exact(factors.len()).map(modular).collect();
    let [mig, modularity] = [&gaps, &modular].map(|scores| scores.iter().sum::<f64>() / scores.len() as f64);
    Information { mutual, entropies, gaps, modular, mig, modularity }
}

/// The modularity of a latent that tells so much about each factor.
pub(super) fn modular(told: &[f64]) -> f64 {
    let squares: Vec<f64> = told.iter().map(|nats| nats * nats).collect();
    let most = squares.iter().copied().fold(0.0, f64::max);
    if most == 0.0 {
        return 0.0;
    }
    1.0 - (squares.iter().sum::<f64>() - most) / (most * (told.len() - 1) as f64)
}

/// The interval of each number among so many of equal width between the least and the largest; all 0 where they are equal.
pub fn binned(numbers: &[f32], bins: usize) -> Vec<u32> {
    let least = numbers.iter().copied().fold(f32::INFINITY, f32::min);
    let most = numbers.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let [least, most] = [f64::from(least), f64::from(most)];
    let bin = |&number: &f32| {
        let share = (f64::from(number) - least) / (most - least);
        // Of equal numbers the share is none, which becomes 0.
        ((share * bins as f64) as usize).min(bins - 1) as u32
    };
    numbers.iter().map(bin).collect()
}

/// The entropy in nats of a distribution by counts: −Σ p ln p.
pub fn entropy(counts: &[usize]) -> f64 {
    let all = counts.iter().sum::<usize>() as f64;
    let shares = counts.iter().filter(|count| **count > 0).map(|&count| count as f64 / all);
    -shares.map(|share| share * share.ln()).sum::<f64>()
}

fn counts(values: &[u32], count: usize) -> Vec<usize> {
    let mut counts = vec![0; count];
    for &value in values {
        counts[value as usize] += 1;
    }
    counts
}

/// I(a; b) = H(a) + H(b) − H(a, b) in nats, of two columns with so many values each. It is no less than 0.
pub(super) fn mutual_information(a: &[u32], of_a: usize, b: &[u32], of_b: usize) -> f64 {
    let mut joint = vec![0; of_a * of_b];
    a.iter().zip(b).for_each(|(&a, &b)| joint[a as usize * of_b + b as usize] += 1);
    (entropy(&counts(a, of_a)) + entropy(&counts(b, of_b)) - entropy(&joint)).max(0.0)
}
