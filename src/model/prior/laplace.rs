//! A Laplace distribution whose location and scale are learned for each dimension by itself: Π exp(−|z − m|/b)/2b. Its peak and
//! its tails favour codes of which most dimensions are near their location and a few are far from it.
//!
//! Letters: R rows of latents, Z latent dimensions; b is kept as its logarithm.

use super::Prior;
use crate::config;
use crate::error::Result;
use crate::graph::{Axis, Graph, Id, Op, Reduction};
use crate::model::Model;
use crate::model::parts::{Start, Tensor};
use std::f32::consts::LN_2;

pub static PRIOR: Prior =
    Prior { kind: config::Prior::Laplace, parameters, encoded: false, log_prob: Some(log_prob), kl: None, sample };

/// The place among the stochastic layers whose noise says how wide the normal distribution of a draw is: no model has as many.
const WIDTHS: usize = 128;

/// Location and log-scale, [1, Z] each. They start at mean 0 and variance 2b² = 1, those of N(0, 1).
fn parameters(model: &Model) -> Vec<Tensor> {
    let of = |name, start| Tensor::new(name, &[1, model.prior_latent()], Start::Constant(start));
    vec![of("prior.location", 0.0), of("prior.log_scale", -0.5 * LN_2)]
}

/// Σ −|z − m|/b − log 2b.
fn log_prob(graph: &mut Graph, _: &Model, prior: &[Id], z: Id) -> Result<Id> {
    graph.reduce_map(Reduction::Sum, Axis::Columns, [z, prior[0], prior[1]], |[z, m, log_b]| {
        -((z - m).abs() * (-log_b.clone()).exp()) - log_b - LN_2
    })
}

/// m + b·√(2e)·noise with e exponential: a normal distribution whose variance is drawn is a Laplace distribution (Andrews and
/// Mallows, "Scale mixtures of normal distributions", 1974), and half the sum of two squared normal deviates is exponential.
fn sample(graph: &mut Graph, _: &Model, prior: &[Id], noise: Id) -> Result<Id> {
    let (rows, latent) = (graph.shape(noise).rows(), graph.shape(noise).columns());
    let pairs = graph.add(Op::Noise { rows, width: 2 * latent, layer: WIDTHS })?;
    let (a, c) = (graph.columns(pairs, 0, latent)?, graph.columns(pairs, latent as i32, latent)?);
    graph.map([noise, a, c, prior[0], prior[1]], |[noise, a, c, m, log_b]| {
        m + log_b.exp() * (a.squared() + c.squared()).sqrt() * noise
    })
}
