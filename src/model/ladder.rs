//! The ladder (Sønderby et al., "Ladder variational autoencoders", 2016, arXiv 1602.02282, section 2.2): a posterior of several
//! stochastic layers that goes from the top down, as the generative model does, and shares its networks.
//!
//! The encoders go up without drawing anything: dₗ is the last hidden layer of encoder l, which reads dₗ₋₁ (d₀ = x), and its head
//! gives what the data say of layer l, N(μ̂ₗ, σ̂ₗ²). Of the highest layer that is the posterior. Below it the decoder gives
//! p(zₗ|zₗ₊₁) = N(μₚ, σₚ²), and the posterior is the product of both, normalised: its precision is the sum of theirs, its mean
//! their mean weighted by precision.
//!
//! Given zₗ₊₁, q(zₗ|zₗ₊₁, x) and p(zₗ|zₗ₊₁) are normal distributions with independent dimensions. So the rate of each layer is
//! estimated by their KL divergence at a sample of the layers above, which has the same mean as log q − log p at zₗ and a lower
//! variance. Importance weights have log q − log p.

use super::Model;
use super::network::{self, Image, Map, MapKind, Step};
use super::stack::{Encoded, Forward, Inferred, LatentSample, Network, Networks, sum};
use crate::error::{Error, Result};
use crate::expr::Expr;
use crate::graph::{Axis, Clamp, Graph, Id, Op, Reduction};

/// The numbers that the head of a network reads, and the image that they are, if they are one.
pub(super) fn below_head(steps: &[Step]) -> (usize, Option<Image>) {
    match steps.last() {
        Some(Step::Map(Map { inputs, kind: MapKind::Dense { from, .. }, .. })) => (*inputs, *from),
        Some(Step::Map(head)) => (head.inputs, None),
        _ => (0, None),
    }
}

/// What the last hidden layer of a network puts out, and what its head makes of that.
fn apply(graph: &mut Graph, x: Id, (steps, weights): &Network, class: Option<Id>) -> Result<[Id; 2]> {
    let (Some((head, hidden)), Some((w, others))) = (steps.split_last(), weights.split_last()) else {
        return Err(Error::Bug("an encoder of a ladder has no head".into()));
    };
    let hidden = network::apply(graph, x, hidden, others, class)?;
    let stats = network::apply(graph, hidden, std::slice::from_ref(head), &[*w], None)?;
    Ok([hidden, stats])
}

impl Model {
    /// What is drawn in all layers given examples, from the top down, with the noise of each layer.
    pub(super) fn infer_downwards(
        &self,
        graph: &mut Graph,
        networks: &Networks,
        x: Id,
        noise: &[Id],
        class: Option<Id>,
    ) -> Result<Inferred> {
        let clamp = self.clamp();
        let (mut hidden, mut found) = (self.presentation().encoder_input(graph, x)?, Vec::new());
        for (at, encoder) in networks.encoders.iter().enumerate() {
            let stats;
            [hidden, stats] = apply(graph, hidden, encoder, class.filter(|_| at == 0))?;
            found.push(stats);
        }
        let (mut layers, mut priors): (Vec<LatentSample>, Vec<Id>) = (vec![], vec![]);
        for (at, (&stats, &eps)) in found.iter().zip(noise).enumerate().rev() {
            let stats = match layers.last() {
                None => stats,
                Some(above) => {
                    let (steps, weights) = &networks.decoders[at + 1];
                    let prior = network::apply(graph, above.z, steps, weights, None)?;
                    priors.push(prior);
                    merged(graph, stats, prior, clamp)?
                }
            };
            let z = graph.add(Op::Sample { stats, eps, clamp })?;
            layers.push(LatentSample { stats, eps, z, log_det: None });
        }
        layers.reverse();
        priors.reverse();
        let read = layers[0].z;
        Ok(Inferred { encoded: Encoded { stats: found[0], context: found[0] }, layers, priors, read })
    }

    /// The rates of all layers, in which each group of dimensions costs `bound` nats at least, in the mean over examples and
    /// samples (Kingma et al. 2016, arXiv 1606.04934, the objective with free bits): [R]. A layer of fewer dimensions than
    /// `group` is one group.
    pub(super) fn free_bits(&self, graph: &mut Graph, pass: &Forward, bound: f32, group: usize) -> Result<Id> {
        let mut all = Vec::new();
        for (at, drawn) in pass.layers.iter().enumerate() {
            let rates = divergences(graph, drawn.stats, pass.priors.get(at).copied(), self.clamp())?;
            all.push(held(graph, rates, bound, group)?);
        }
        sum(graph, &all)
    }
}

/// Mean and log-variance of the normalised product of two normal distributions, [B, 2Z] and [R, 2Z] → [R, 2Z].
///
/// With log-variances a and b, that of the product is −log(e⁻ᵃ + e⁻ᵇ) = b − softplus(b − a), and the first has the weight
/// e⁻ᵃ/(e⁻ᵃ + e⁻ᵇ) = sigmoid(b − a), neither of which overflows.
fn merged(graph: &mut Graph, found: Id, prior: Id, clamp: Clamp) -> Result<Id> {
    let latent = graph.shape(prior).columns() / 2;
    let [(mean, a), (prior_mean, b)] = [halves(graph, found, latent)?, halves(graph, prior, latent)?];
    let held = |lv: Expr| lv.clamp(clamp.low, clamp.high);
    let mean = graph.map([mean, a, prior_mean, b], |[mean, a, prior, b]| {
        prior.clone() + (mean - prior) * (held(b) - held(a)).sigmoid()
    })?;
    let log_variance = graph.map([a, b], |[a, b]| held(b.clone()) - (held(b) - held(a)).softplus())?;
    graph.concatenate(&[mean, log_variance])
}

fn halves(graph: &mut Graph, stats: Id, latent: usize) -> Result<(Id, Id)> {
    Ok((graph.columns(stats, 0, latent)?, graph.columns(stats, latent as i32, latent)?))
}

/// KL(q ‖ p) of each dimension of two normal distributions, [S, 2Z] and [R, 2Z], or N(0, 1) where there is no p, in nats:
/// ½(b − a + (eᵃ + (μ − m)²)·e⁻ᵇ − 1), a and b the log-variances, μ and m the means.
pub(super) fn divergences(graph: &mut Graph, q: Id, p: Option<Id>, clamp: Clamp) -> Result<Id> {
    let latent = graph.shape(q).columns() / 2;
    let held = |lv: Expr| lv.clamp(clamp.low, clamp.high);
    let (mean, a) = halves(graph, q, latent)?;
    let Some(p) = p else {
        return graph.map([mean, a], |[mean, a]| 0.5 * (held(a.clone()).exp() + mean.squared() - 1.0 - held(a)));
    };
    let (prior, b) = halves(graph, p, latent)?;
    graph.map([mean, a, prior, b], |[mean, a, prior, b]| {
        let (a, b) = (held(a), held(b));
        0.5 * (b.clone() - a.clone() + (a.exp() + (mean - prior).squared()) * (-b).exp() - 1.0)
    })
}

/// Σ over groups of max(bound, mean over the rows that count), [S, Z] → [S]: each row has the bound where the mean is below it, and
/// what the row itself costs elsewhere, so that the mean over rows is that sum and its slope the one of the groups above.
fn held(graph: &mut Graph, rates: Id, bound: f32, group: usize) -> Result<Id> {
    let (rows, latent) = (graph.shape(rates).rows(), graph.shape(rates).columns());
    let size = group.min(latent);
    let groups = latent / size;
    // A group is a row of its own.
    let rates = graph.reshape(rates, &[rows * groups, size])?;
    let rates = graph.reduce(Reduction::Sum, Axis::Columns, rates)?;
    let rates = graph.reshape(rates, &[rows, groups])?;
    let samples = (rows / graph.batch) as f32;
    let count = || samples * Expr::count();
    let means = graph.reduce_map(Reduction::Sum, Axis::Rows(rows), [rates], |[rates]| {
        Expr::row(rows).less(count()).select(rates / count(), 0.0)
    })?;
    let means = graph.reshape(means, &[1, groups])?;
    let means = graph.stop_gradient(means)?;
    graph.reduce_map(Reduction::Sum, Axis::Columns, [rates, means], |[rates, means]| {
        means.less(bound).select(bound, rates)
    })
}
