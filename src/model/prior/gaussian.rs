//! A normal distribution whose mean and variance are learned for each dimension by itself: N(m, exp v). Dimensions may
//! become wide or narrow as the data want it (an anisotropic prior); with one stochastic layer and a dense decoder the same
//! densities of x can be had with N(0, 1), so what it changes is the way there.

use super::{Prior, log_normal};
use crate::config;
use crate::error::Result;
use crate::expr::Expr;
use crate::graph::{Axis, Clamp, Graph, Id, Reduction};
use crate::model::Model;
use crate::model::parts::{Start, Tensor};

pub static PRIOR: Prior =
    Prior { kind: config::Prior::Gaussian, parameters, encoded: false, log_prob: Some(log_prob), kl: Some(kl), sample };

/// Mean and log-variance, [1, Z] each. Both start at 0, which is N(0, 1).
fn parameters(model: &Model) -> Vec<Tensor> {
    let of = |name| Tensor::new(name, &[1, model.prior_latent()], Start::Constant(0.0));
    vec![of("prior.mean"), of("prior.log_variance")]
}

/// Σ −½((z − m)²/exp v + v + log 2π).
fn log_prob(graph: &mut Graph, _: &Model, prior: &[Id], z: Id) -> Result<Id> {
    graph.reduce_map(Reduction::Sum, Axis::Columns, [z, prior[0], prior[1]], |[z, m, v]| log_normal(z, m, v))
}

/// ½(exp(l − v) + (μ − m)²/exp v − 1 − (l − v)) of posteriors N(μ, exp l).
fn kl(graph: &mut Graph, prior: &[Id], stats: Id, clamp: Clamp) -> Result<Id> {
    let latent = graph.shape(stats).columns() / 2;
    let (mean, log_variance) = (graph.columns(stats, 0, latent)?, graph.columns(stats, latent as i32, latent)?);
    graph.map([mean, log_variance, prior[0], prior[1]], |[mu, l, m, v]: [Expr; 4]| {
        let ratio = l.clamp(clamp.low, clamp.high) - v.clone();
        0.5 * (ratio.clone().exp() + (mu - m).squared() * (-v).exp() - 1.0 - ratio)
    })
}

/// m + exp(v/2)·noise.
fn sample(graph: &mut Graph, _: &Model, prior: &[Id], noise: Id) -> Result<Id> {
    graph.map([noise, prior[0], prior[1]], |[noise, m, v]| m + (0.5 * v).exp() * noise)
}
