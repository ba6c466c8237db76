//! The score of `FactorVAE` (Kim and Mnih 2018, section 4).

use super::Examples;
use crate::rng::{Philox, Stream};
use rand::RngExt;

/// Groups of examples that the classifier learns from, and on which it is tested.
const GROUPS: [usize; 2] = [10_000, 5000];
/// Examples of a group.
const GROUP: usize = 64;
/// Latents that deviate less than this have collapsed and are never chosen.
const COLLAPSED: f64 = 0.05;

/// The accuracy with which the latent that varies least, relative to its variance over all examples, says which factor is the
/// same throughout a group. Each latent stands for the factor that it was chosen for most often: a majority vote.
///
/// A group is drawn, with replacement, from the examples that have one value of one factor; factors are drawn evenly, values as
/// often as examples have them. 0 where all latents have collapsed.
pub fn factor_vae(examples: &Examples, seed: u64) -> f64 {
    let variances: Vec<f64> = examples.moments().iter().map(|[_, variance]| *variance).collect();
    let active: Vec<usize> = (0..examples.latent()).filter(|&j| variances[j].sqrt() >= COLLAPSED).collect();
    let factors = examples.factors();
    if active.is_empty() {
        return 0.0;
    }
    let members: Vec<Vec<Vec<u32>>> = factors
        .iter()
        .map(|factor| {
            let mut members = vec![vec![]; factor.count];
            factor.values.iter().zip(0..).for_each(|(&value, at)| members[value as usize].push(at));
            members
        })
        .collect();
    let mut rng = Philox::new(seed, Stream::Choice, 0x6661_6374, 0);
    let mut vote = |_| {
        let factor = rng.random_range(0..factors.len());
        // One example alone would be a group in which nothing varies.
        let group = loop {
            let value = factors[factor].values[rng.random_range(0..examples.len())];
            let group = &members[factor][value as usize];
            if group.len() > 1 || members[factor].iter().all(|group| group.len() < 2) {
                break group;
            }
        };
        let chosen: Vec<u32> = (0..GROUP).map(|_| group[rng.random_range(0..group.len())]).collect();
        let share = |&j: &usize| variance(examples, &chosen, j) / variances[j];
        let least = active.iter().copied().min_by(|a, b| share(a).total_cmp(&share(b)));
        (least.unwrap_or(0), factor)
    };
    let mut votes = vec![0_usize; examples.latent() * factors.len()];
    (0..GROUPS[0]).map(&mut vote).for_each(|(latent, factor)| votes[latent * factors.len() + factor] += 1);
    let stands_for: Vec<usize> = votes
        .chunks_exact(factors.len())
        .map(|votes| (0..votes.len()).rev().max_by_key(|&k| votes[k]).unwrap_or(0))
        .collect();
    let right = (0..GROUPS[1]).map(vote).filter(|&(latent, factor)| stands_for[latent] == factor).count();
    right as f64 / GROUPS[1] as f64
}

/// The variance of a latent in a group.
fn variance(examples: &Examples, group: &[u32], latent: usize) -> f64 {
    let code = |&at: &u32| f64::from(examples.codes[at as usize * examples.latent + latent]);
    let mean = group.iter().map(code).sum::<f64>() / group.len() as f64;
    group.iter().map(|at| (code(at) - mean).powi(2)).sum::<f64>() / group.len() as f64
}
