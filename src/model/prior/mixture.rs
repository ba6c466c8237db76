//! A mixture of K normal distributions, Σₖ wₖ N(mₖ, exp vₖ), all of which are learned; the weights too where that is asked for
//! (`model.prior_weights`).

use super::Prior;
use crate::config::{self, MixtureWeights};
use crate::error::Result;
use crate::graph::{Axis, Graph, Id, Op, Reduction};
use crate::model::Model;
use crate::model::parts::{Start, Tensor};

pub static PRIOR: Prior =
    Prior { kind: config::Prior::Mixture, parameters, encoded: false, log_prob: Some(log_prob), kl: None, sample };

/// The place among the stochastic layers whose noise says which component is drawn: no model has as many.
const CHOICE: usize = 128;

/// Deviation of the means at the start; a single component starts as N(0, 1).
const SPREAD: f32 = 0.5;

/// Components of normal distributions, K of them.
pub struct Components {
    /// The means, [K, Z].
    pub mean: Id,
    /// The log-variances, [K, Z].
    pub log_variance: Id,
    /// The logits of the weights, [1, K], where they are not all the same.
    pub logits: Option<Id>,
}

/// Means and log-variances, [K, Z] each, and where they are learned the logits of the weights, [1, K].
fn parameters(model: &Model) -> Vec<Tensor> {
    let (components, latent) = (model.config.prior_components, model.prior_latent());
    let spread = if components == 1 { 0.0 } else { SPREAD };
    let mean = Tensor::new("prior.mean", &[components, latent], Start::Normal(spread));
    let log_variance = Tensor::new("prior.log_variance", &[components, latent], Start::Constant(0.0));
    [mean, log_variance].into_iter().chain(weights(model)).collect()
}

/// The logits of the weights, where they are learned; they start as the same for all.
pub fn weights(model: &Model) -> Option<Tensor> {
    let learned = model.config.prior_weights == MixtureWeights::Learned;
    learned.then(|| Tensor::new("prior.logits", &[1, model.config.prior_components], Start::Constant(0.0)))
}

fn components(prior: &[Id]) -> Components {
    Components { mean: prior[0], log_variance: prior[1], logits: prior.get(2).copied() }
}

fn log_prob(graph: &mut Graph, _: &Model, prior: &[Id], z: Id) -> Result<Id> {
    components(prior).log_prob(graph, z)
}

fn sample(graph: &mut Graph, _: &Model, prior: &[Id], noise: Id) -> Result<Id> {
    components(prior).sample(graph, noise)
}

impl Components {
    /// log Σₖ wₖ N(z; mₖ, exp vₖ) of latents, [R, Z] → [R]. The square is taken apart, so that all pairs of latents and
    /// components are one product: −½ Σ z²/exp v + Σ z·m/exp v − ½ Σ (m²/exp v + v + log 2π).
    ///
    /// # Errors
    /// None for latents of as many dimensions.
    pub fn log_prob(&self, graph: &mut Graph, z: Id) -> Result<Id> {
        let log_2pi = (2.0 * std::f32::consts::PI).ln();
        let of = [self.mean, self.log_variance];
        let quadratic = graph.map([self.log_variance], |[v]| -0.5 * (-v).exp())?;
        let linear = graph.map(of, |[m, v]| m * (-v).exp())?;
        let constant = graph.reduce_map(Reduction::Sum, Axis::Columns, of, |[m, v]| {
            -0.5 * (m.squared() * (-v.clone()).exp() + v + log_2pi)
        })?;
        let squares = graph.map([z], |[z]| z.squared())?;
        let (of_z, of_components) = (graph.concatenate(&[squares, z])?, graph.concatenate(&[quadratic, linear])?);
        let pairs = graph.add(Op::Product { a: of_z, b: of_components, batch: 1, transposed: [false, true] })?;
        let constant = graph.as_row(constant)?;
        let count = (graph.shape(self.mean).rows() as f32).ln();
        let Some(logits) = self.logits else {
            return graph
                .reduce_map(Reduction::LogSumExp, Axis::Columns, [pairs, constant], |[pairs, c]| pairs + c - count);
        };
        let all = graph.reduce(Reduction::LogSumExp, Axis::Columns, logits)?;
        let constant = graph.map([constant, logits, all], |[c, logit, all]| c + logit - all)?;
        graph.reduce_map(Reduction::LogSumExp, Axis::Columns, [pairs, constant], |[pairs, c]| pairs + c)
    }

    /// Draws: of each row the component by a race of exponential deviates, of which the first to end is k with probability
    /// wₖ (half the sum of two squared normal deviates is one), then mₖ + exp(vₖ/2)·noise, [R, Z] → [R, Z].
    ///
    /// # Errors
    /// None for noise of as many dimensions.
    pub fn sample(&self, graph: &mut Graph, noise: Id) -> Result<Id> {
        let (rows, count) = (graph.shape(noise).rows(), graph.shape(self.mean).rows());
        let race = graph.add(Op::Noise { rows, width: 2 * count, layer: CHOICE })?;
        let (a, b) = (graph.columns(race, 0, count)?, graph.columns(race, count as i32, count)?);
        let (kind, axis) = (Reduction::ArgMin, Axis::Columns);
        let component = match self.logits {
            None => graph.reduce_map(kind, axis, [a, b], |[a, b]| a.squared() + b.squared())?,
            Some(logits) => graph
                .reduce_map(kind, axis, [a, b, logits], |[a, b, logit]| (a.squared() + b.squared()) * (-logit).exp())?,
        };
        let mean = graph.add(Op::TakeRows { x: self.mean, index: component })?;
        let log_variance = graph.add(Op::TakeRows { x: self.log_variance, index: component })?;
        graph.map([noise, mean, log_variance], |[noise, m, v]| m + (0.5 * v).exp() * noise)
    }
}
