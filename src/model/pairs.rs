//! Terms of a loss that compare the latents of a batch with each other, as formulas of all pairs: row i·B + j is the pair of
//! the examples i and j.
//!
//! Letters: B examples of the batch, n of them that count, Z latent dimensions.

use super::prior::log_normal;
use crate::error::Result;
use crate::expr::Expr;
use crate::graph::{Axis, Clamp, Graph, Id, Op, Reduction};

/// A logarithm of what is no part of a sum.
const NEVER: f32 = -1e30;

/// Scales of the similarity of two points.
const SCALES: [f64; 7] = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];

/// The density of one dimension of a posterior, whose log-variance is held within its bounds.
fn log_density(z: Expr, mean: Expr, log_variance: Expr, clamp: Clamp) -> Expr {
    log_normal(z, mean, log_variance.clamp(clamp.low, clamp.high))
}

/// The total correlation of the aggregate posterior, [B, 2Z], [B, Z] → [B]: log q(z) less the sum over dimensions of log q of
/// each, with the minibatch-weighted estimate q(z) ∝ 1/n Σⱼ q(z|xⱼ) over the examples that count (Chen et al., "Isolating
/// sources of disentanglement in variational autoencoders", 2018, section 4.1). The paper's estimate divides by the number of
/// all examples, too: a constant, which is left out.
///
/// # Errors
/// None for statistics and latents of the same rows.
pub fn total_correlation(graph: &mut Graph, stats: Id, z: Id, clamp: Clamp) -> Result<Id> {
    let (batch, latent) = (graph.shape(z).rows(), graph.shape(z).columns());
    let counts = |of: Expr| of.less(Expr::count());
    let mut of_posteriors = |start: usize| {
        let part = graph.columns(stats, start as i32, latent)?;
        graph.tile(part, batch)
    };
    let (mean, log_variance) = (of_posteriors(0)?, of_posteriors(latent)?);
    let of_pair = [z, mean, log_variance];
    let joint = graph
        .reduce_map(Reduction::Sum, Axis::Columns, of_pair, |[z, mean, lv]| log_density(z, mean, lv, clamp))
        .and_then(|joint| graph.reshape(joint, &[batch, batch]))?;
    let joint = graph.reduce_map(Reduction::LogSumExp, Axis::Columns, [joint], |[density]| {
        counts(Expr::column()).select(density, NEVER)
    })?;
    let alone = graph.reduce_map(Reduction::LogSumExp, Axis::Rows(batch), of_pair, |[z, mean, lv]| {
        counts(Expr::row(batch)).select(log_density(z, mean, lv, clamp), NEVER)
    })?;
    let alone = graph.reduce(Reduction::Sum, Axis::Columns, alone)?;
    graph.map([joint, alone], |[joint, alone]| {
        let sizes = (latent as f32 - 1.0) * Expr::count().ln();
        counts(Expr::row(batch)).select(joint - alone + sizes, 0.0)
    })
}

/// The squared maximum mean discrepancy between the batch's latents and as many draws from the prior, [B, Z], [2B, Z] → [B], of
/// whose draws the second of each pair is taken (the first is the noise of the latent itself). Its mean over the batch is the
/// unbiased estimate (Gretton et al., "A kernel two-sample test", 2012, lemma 6):
/// Σⱼ≠ᵢ (k(zᵢ, zⱼ) + k(pᵢ, pⱼ))/(n − 1) − 2 Σⱼ k(zᵢ, pⱼ)/n, with k of [`similarity`].
///
/// # Errors
/// None for latents and draws of the same shape.
pub fn mmd(graph: &mut Graph, z: Id, draws: Id) -> Result<Id> {
    let (batch, latent) = (graph.shape(z).rows(), graph.shape(z).columns());
    let draws = graph.reshape(draws, &[batch, 2 * latent])?;
    let prior = graph.columns(draws, latent as i32, latent)?;
    let mut distances = |a: Id, b: Id| {
        let b = graph.tile(b, batch)?;
        let all = graph.reduce_map(Reduction::Sum, Axis::Columns, [a, b], |[a, b]| (a - b).squared())?;
        graph.reshape(all, &[batch, batch])
    };
    let of_pair = [distances(z, z)?, distances(prior, prior)?, distances(z, prior)?];
    graph.reduce_map(Reduction::Sum, Axis::Columns, of_pair, |of_pair| {
        let [latents, priors, both] = of_pair.map(|distance| similar(&distance, latent));
        let (i, j, n) = (Expr::row(batch), Expr::column(), Expr::count());
        let others = i.clone().equal(j.clone()).select(0.0, (latents + priors) / (n.clone() - 1.0).max(1.0));
        let counts = i.max(j).less(n.clone()) * Expr::constant(1.0).less(n.clone());
        counts.select(others - 2.0 * both / n, 0.0)
    })
}

/// How far a covariance C is from the unit matrix, [B, 2Z] → [B] each: Σᵢ≠ⱼ Cᵢⱼ² and Σᵢ (Cᵢᵢ − 1)². Of the batch's posterior
/// means it is C = 1/n Σ (μ − m)(μ − m)ᵀ over the examples that count, m their mean (Kumar et al., "Variational inference of
/// disentangled latent concepts from unlabeled observations", 2018, section 3: DIP-VAE-I). That of the latents has the mean of the
/// posterior variances on its diagonal besides (DIP-VAE-II, eq. 4 there: Cov z = E Σ(x) + Cov μ(x)); it is asked for by the bounds of
/// their logarithms. Both numbers are of the batch as a whole, so every example that counts has the same.
///
/// # Errors
/// None for statistics of so many dimensions.
pub fn moments(graph: &mut Graph, stats: Id, latent: usize, of_latents: Option<Clamp>) -> Result<[Id; 2]> {
    let batch = graph.shape(stats).rows();
    let counts = || Expr::row(batch).less(Expr::count());
    let mean = graph.columns(stats, 0, latent)?;
    let center = graph
        .reduce_map(Reduction::Sum, Axis::Rows(batch), [mean], |[mean]| counts().select(mean / Expr::count(), 0.0))?;
    let center = graph.reshape(center, &[1, latent])?;
    let apart = graph.map([mean, center], |[mean, center]| counts().select(mean - center, 0.0))?;
    let products = graph.add(Op::Product { a: apart, b: apart, batch: 1, transposed: [true, false] })?;
    let own = || Expr::row(latent).equal(Expr::column());
    let spread = of_latents.map(|clamp| mean_variances(graph, stats, latent, clamp)).transpose()?;
    let mut of_batch = |term: fn(Expr, Expr) -> Expr| {
        let of_pair = |c: Expr| term(own(), c / Expr::count());
        let (kind, axis) = (Reduction::Sum, Axis::Columns);
        let of_dimension = match spread {
            None => graph.reduce_map(kind, axis, [products], |[c]| of_pair(c))?,
            Some(spread) => graph.reduce_map(kind, axis, [products, spread], |[c, spread]| {
                term(own(), c / Expr::count() + own().select(spread, 0.0))
            })?,
        };
        let all = graph.as_row(of_dimension)?;
        let all = graph.reduce(Reduction::Sum, Axis::Columns, all)?;
        let all = graph.tile(all, batch)?;
        graph.map([all], |[all]| counts().select(all, 0.0))
    };
    Ok([of_batch(|own, c| own.select(0.0, c.squared()))?, of_batch(|own, c| own.select((c - 1.0).squared(), 0.0))?])
}

/// The means of the posterior variances over the examples that count, [1, Z].
fn mean_variances(graph: &mut Graph, stats: Id, latent: usize, clamp: Clamp) -> Result<Id> {
    let batch = graph.shape(stats).rows();
    let log_variance = graph.columns(stats, latent as i32, latent)?;
    let mean = graph.reduce_map(Reduction::Sum, Axis::Rows(batch), [log_variance], |[v]| {
        Expr::row(batch).less(Expr::count()).select(v.clamp(clamp.low, clamp.high).exp() / Expr::count(), 0.0)
    })?;
    graph.reshape(mean, &[1, latent])
}

/// The similarity of two points of Z coordinates whose squared distance is s: Σ C/(C + s), C = 2·Z·scale, which is the inverse
/// multiquadratic kernel of Tolstikhin et al., "Wasserstein auto-encoders", 2018, in the sum over scales of the authors' program.
fn similar(s: &Expr, latent: usize) -> Expr {
    let of_scale = |scale: &f64| {
        let c = (2.0 * latent as f64 * scale) as f32;
        c / (s.clone() + c)
    };
    SCALES[1..].iter().fold(of_scale(&SCALES[0]), |sum, scale| sum + of_scale(scale))
}

/// [`similar`] of a number.
pub fn similarity(s: f64, latent: usize) -> f64 {
    let c = |scale: &f64| 2.0 * latent as f64 * scale;
    SCALES.iter().map(|scale| c(scale) / (c(scale) + s)).sum()
}
