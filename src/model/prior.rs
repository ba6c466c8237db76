//! Priors: what latents are like before any example is seen.
//!
//! A prior is one file with a [`Prior`], a table of what it offers, and its line in [`PRIORS`]. Everything else follows from
//! that: in training the rate is the closed KL divergence where there is one, else log q(z|x) − log p(z) at the samples; importance
//! weights use the exact density; `sample` draws from it; its parameters are trained, saved and averaged like all others.

pub mod energy;
pub mod flow;
mod gaussian;
mod laplace;
mod mixture;
mod standard;
mod vamp;

use super::Model;
use super::parts::Tensor;
use crate::config;
use crate::error::Result;
use crate::expr::Expr;
use crate::graph::{Axis, Clamp, Graph, Id, Op, Reduction};

/// log p of latents, given what [`Prior::parameters`] declares, [R, Z] → [R], in nats.
type LogProb = fn(&mut Graph, &Model, &[Id], Id) -> Result<Id>;
/// The KL divergence of each dimension from the prior to the posteriors, [S, 2Z] → [S, Z], in nats.
type Kl = fn(&mut Graph, &[Id], Id, Clamp) -> Result<Id>;
/// Latents from standard normal noise, [R, Z] → [R, Z].
type Sample = fn(&mut Graph, &Model, &[Id], Id) -> Result<Id>;

/// What a prior offers. Letters: R rows of latents, S of statistics, Z latent dimensions.
#[derive(Debug)]
pub struct Prior {
    /// The word for it in a configuration.
    pub kind: config::Prior,
    /// Its trainable tensors.
    pub parameters: fn(&Model) -> Vec<Tensor>,
    /// Whether the first of them are examples, [K, D], in whose place the other functions are given what the encoder says of
    /// them, [K, 2Z].
    pub encoded: bool,
    /// The density; nothing for N(0, 1), which the operation [`Op::LogRatio`] has inside.
    pub log_prob: Option<LogProb>,
    /// The KL divergence of each dimension from a normal posterior, in closed form; nothing for N(0, 1), which [`Op::Kl`] has
    /// inside, and where there is none.
    pub kl: Option<Kl>,
    /// Draws.
    pub sample: Sample,
}

/// Every prior there is.
pub static PRIORS: &[&Prior] =
    &[&standard::PRIOR, &gaussian::PRIOR, &laplace::PRIOR, &mixture::PRIOR, &vamp::PRIOR, &flow::PRIOR, &energy::PRIOR];

/// log N(z; mean, exp(log-variance)) of one dimension, in nats.
pub fn log_normal(z: Expr, mean: Expr, log_variance: Expr) -> Expr {
    let log_2pi = (2.0 * std::f32::consts::PI).ln();
    -0.5 * ((z - mean).squared() * (-log_variance.clone()).exp() + log_variance + log_2pi)
}

/// The prior of a configuration.
pub fn of(kind: config::Prior) -> &'static Prior {
    PRIORS.iter().find(|prior| prior.kind == kind).expect("every word has a prior")
}

impl Model {
    /// The prior of the highest stochastic layer.
    pub fn prior(&self) -> &'static Prior {
        of(self.config.prior)
    }

    /// The latent dimensions of the highest stochastic layer, which the prior is of.
    pub fn prior_latent(&self) -> usize {
        self.latents().last().copied().unwrap_or(self.config.latent)
    }

    /// The trainable tensors of the prior.
    pub fn prior_tensors(&self) -> Vec<Tensor> {
        (self.prior().parameters)(self)
    }

    /// Whether the rate of the highest layer is a KL divergence in closed form; otherwise it is log q(z|x) − log p(z) at a sample.
    pub fn has_closed_rate(&self) -> bool {
        let closed = self.config.prior == config::Prior::Standard || self.prior().kl.is_some();
        closed && self.config.posterior == config::Posterior::Gaussian
    }

    /// Whether plans put out the rate of each dimension ([`super::RATES`]): where it has a closed form that is not that of
    /// N(0, 1), which the host computes.
    pub fn tells_rates(&self) -> bool {
        self.has_closed_rate() && (self.prior().kl.is_some() || self.has_categories())
    }

    /// The KL divergence of each dimension of the highest layer, [S, 2Z] → [S, Z], where [`Model::tells_rates`].
    pub(super) fn dimension_rates(&self, graph: &mut Graph, prior: &[Id], stats: Id) -> Result<Option<Id>> {
        match self.prior().kl {
            Some(kl) if self.tells_rates() => kl(graph, prior, stats, self.clamp()).map(Some),
            _ => Ok(None),
        }
    }

    /// The rate of the highest layer: [S] from its statistics, or where it has no closed form [R], the log ratio.
    pub(super) fn highest_rate(&self, graph: &mut Graph, prior: &[Id], stats: Id, ratio: Option<Id>) -> Result<Id> {
        match (self.dimension_rates(graph, prior, stats)?, ratio) {
            (Some(rates), _) => graph.reduce(Reduction::Sum, Axis::Columns, rates),
            (None, Some(ratio)) if !self.has_closed_rate() => Ok(ratio),
            (None, _) => graph.add(Op::Kl { stats, clamp: self.clamp() }),
        }
    }

    /// log q(z|x) − log p(z), [R], from `ratio`, which has N(0, 1) in the place of the prior.
    pub(super) fn with_prior(&self, graph: &mut Graph, prior: &[Id], ratio: Id, z: Id) -> Result<Id> {
        let Some(log_prob) = self.prior().log_prob else { return Ok(ratio) };
        let own = log_prob(graph, self, prior, z)?;
        let standard = standard::log_prob(graph, z)?;
        graph.map([ratio, standard, own], |[ratio, standard, own]| ratio + standard - own)
    }
}
