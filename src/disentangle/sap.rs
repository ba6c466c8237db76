//! The separated attribute predictability (Kumar, Sattigeri and Balakrishnan 2018).

use super::{Examples, Varied, top_two};

/// Quantiles at which thresholds may lie.
const INTERVALS: usize = 100;
/// Latents whose variance is less than this have collapsed and tell nothing.
const COLLAPSED: f64 = 1e-12;

/// How well single latents tell factors.
#[derive(Debug, Clone, PartialEq)]
pub struct Sap {
    /// How well each latent tells each factor, [Z, K]: for a factor whose values have an order the square of the correlation,
    /// for kinds the balanced accuracy.
    pub told: Vec<f64>,
    /// For each factor the best less the next best, [K].
    pub gaps: Vec<f64>,
    /// The mean gap.
    pub sap: f64,
}

/// The gap between the latent that tells a factor best and the next, averaged over factors.
///
/// A factor with an order is told by a linear regression on one latent: R² is the square of the correlation. A kind is told by
/// thresholds on one latent, one fewer than there are kinds, which make the balanced accuracy largest over the first two thirds
/// of the examples; counted is the balanced accuracy over the others.
pub fn sap(examples: &Examples) -> Sap {
    let (factors, moments) = (examples.factors(), examples.moments());
    let mut told = Vec::with_capacity(examples.latent() * factors.len());
    for (latent, &[_, variance]) in moments.iter().enumerate() {
        let codes: Vec<f32> = examples.column(latent).collect();
        told.extend(factors.iter().map(|factor| match factor.ordered {
            _ if variance < COLLAPSED => 0.0,
            true => squared_correlation(&codes, &factor.values),
            false => by_thresholds(&codes, factor, examples.held_out()),
        }));
    }
    let gaps: Vec<f64> = (0..factors.len())
        .map(|k| {
            let [first, second] = top_two(told.iter().skip(k).step_by(factors.len()).copied());
            first - second
        })
        .collect();
    let sap = gaps.iter().sum::<f64>() / gaps.len() as f64;
    Sap { told, gaps, sap }
}

/// R² of a linear regression on one latent.
pub(super) fn squared_correlation(codes: &[f32], values: &[u32]) -> f64 {
    let rows = codes.len() as f64;
    let mean = codes.iter().map(|&code| f64::from(code)).sum::<f64>() / rows;
    let middle = values.iter().map(|&value| f64::from(value)).sum::<f64>() / rows;
    let [mut product, mut first, mut second] = [0.0; 3];
    for (&code, &value) in codes.iter().zip(values) {
        let (a, b) = (f64::from(code) - mean, f64::from(value) - middle);
        product += a * b;
        first += a * a;
        second += b * b;
    }
    product * product / (first * second)
}

/// The balanced accuracy with which thresholds tell a kind: the mean over kinds of the share that is told right.
fn by_thresholds(codes: &[f32], factor: &Varied, fitted: usize) -> f64 {
    let mut sorted = codes[..fitted].to_vec();
    sorted.sort_by(f32::total_cmp);
    let mut edges: Vec<f32> = (1..INTERVALS).map(|i| sorted[i * fitted / INTERVALS]).collect();
    edges.dedup();
    let interval = |code: &f32| edges.partition_point(|edge| edge <= code);
    let shares = |from: usize, to: usize| {
        let mut shares = vec![0.0; (edges.len() + 1) * factor.count];
        let mut counts = vec![0_usize; factor.count];
        factor.values[from..to].iter().for_each(|&value| counts[value as usize] += 1);
        let kinds = counts.iter().filter(|count| **count > 0).count() as f64;
        for (code, &value) in codes[from..to].iter().zip(&factor.values[from..to]) {
            let value = value as usize;
            shares[interval(code) * factor.count + value] += 1.0 / (counts[value] as f64 * kinds);
        }
        shares
    };
    let kinds = segments(&shares(0, fitted), factor.count);
    let held_out = shares(fitted, codes.len());
    kinds.iter().enumerate().map(|(at, kind)| held_out[at * factor.count + kind]).sum()
}

/// The kind of each interval, in at most as many segments of one kind as there are kinds, for which the shares of what is told
/// right, [intervals, kinds], add up to most.
pub(super) fn segments(shares: &[f64], kinds: usize) -> Vec<usize> {
    let intervals = shares.len() / kinds;
    let place = |segment: usize, kind: usize| segment * kinds + kind;
    // The most up to an interval that is of a kind and in a segment, and from where it came.
    let mut most = vec![f64::NEG_INFINITY; kinds * kinds];
    (0..kinds).for_each(|kind| most[place(0, kind)] = shares[kind]);
    let mut came = Vec::with_capacity(intervals);
    for interval in shares.chunks_exact(kinds).skip(1) {
        let mut next = vec![f64::NEG_INFINITY; kinds * kinds];
        let mut from = vec![0; kinds * kinds];
        for segment in 0..kinds {
            for (kind, share) in interval.iter().enumerate() {
                let here = place(segment, kind);
                let others = (0..kinds).filter(|_| segment > 0).map(|kind| place(segment - 1, kind));
                let best = others.fold(here, |best, other| if most[other] > most[best] { other } else { best });
                (next[here], from[here]) = (most[best] + share, best);
            }
        }
        came.push(from);
        most = next;
    }
    let mut at = (0..most.len()).rev().max_by(|&a, &b| most[a].total_cmp(&most[b])).unwrap_or(0);
    let mut told = vec![at % kinds];
    for from in came.iter().rev() {
        at = from[at];
        told.push(at % kinds);
    }
    told.reverse();
    told
}
