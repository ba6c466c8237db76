//! Priors: what latents are like before any example is seen.
//!
//! A prior is one file with a [`Prior`], a table of what it offers, and its line in [`PRIORS`]. Everything else follows from
//! that: in training the rate is the closed KL divergence where there is one, else log q(z|x) − log p(z) at the samples; importance
//! weights use the exact density; `sample` draws from it; its parameters are trained, saved and averaged like all others.

mod gaussian;
mod standard;

use super::Model;
use crate::config;
use crate::error::{Error, Result};
use crate::expr::Expr;
use crate::graph::{Axis, Clamp, Graph, Id, Op, Reduction};
use crate::shape::Shape;

/// A trainable tensor of a prior.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Its name, as in checkpoints: `prior.mean`.
    pub name: &'static str,
    /// Its shape.
    pub shape: Shape,
    /// What all of its numbers are at the start.
    pub start: f32,
}

/// log p of latents, given the prior's parameters, [R, Z] → [R], in nats.
type LogProb = fn(&mut Graph, &[Id], Id) -> Result<Id>;
/// The KL divergence of each dimension from the prior to the posteriors, [S, 2Z] → [S, Z], in nats.
type Kl = fn(&mut Graph, &[Id], Id, Clamp) -> Result<Id>;

/// What a prior offers. Letters: R rows of latents, S of statistics, Z latent dimensions.
#[derive(Debug)]
pub struct Prior {
    /// The word for it in a configuration.
    pub kind: config::Prior,
    /// Its trainable tensors for Z dimensions.
    pub parameters: fn(usize) -> Vec<Tensor>,
    /// The density; nothing for N(0, 1), which the operation [`Op::LogRatio`] has inside.
    pub log_prob: Option<LogProb>,
    /// The KL divergence of each dimension, in closed form; nothing for N(0, 1), which [`Op::Kl`] has inside. A prior without
    /// one needs the host to know: rates of dimensions (`eval`, `embed`) and the mean-field score are told by it.
    pub kl: Option<Kl>,
    /// Latents from standard normal noise, [R, Z] → [R, Z].
    pub sample: fn(&mut Graph, &[Id], Id) -> Result<Id>,
}

/// Every prior there is.
pub static PRIORS: &[&Prior] = &[&standard::PRIOR, &gaussian::PRIOR];

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

    /// The trainable tensors of the prior.
    pub fn prior_tensors(&self) -> Vec<Tensor> {
        (self.prior().parameters)(self.latents().last().copied().unwrap_or(self.config.latent))
    }

    /// Refuses what is right for N(0, 1) alone.
    ///
    /// # Errors
    /// [`Error::Usage`] that names `what`.
    pub fn standard_prior(&self, what: &str) -> Result<()> {
        if self.config.prior == config::Prior::Standard {
            return Ok(());
        }
        let word = self.config.prior.word();
        Err(Error::Usage(format!("{what} is for models whose prior is N(0, 1); this one has model.prior = {word}")))
    }

    /// The KL divergence of each dimension of the highest layer, [S, 2Z] → [S, Z], where the prior has a closed form of its own.
    pub(super) fn dimension_rates(&self, graph: &mut Graph, prior: &[Id], stats: Id) -> Result<Option<Id>> {
        let Some(kl) = self.prior().kl else { return Ok(None) };
        kl(graph, prior, stats, self.clamp()).map(Some)
    }

    /// The rate of the highest layer, [S], from its statistics, or where it has no closed form from its log ratio.
    pub(super) fn highest_rate(&self, graph: &mut Graph, prior: &[Id], stats: Id, ratio: Option<Id>) -> Result<Id> {
        match (self.dimension_rates(graph, prior, stats)?, ratio) {
            (Some(rates), _) => graph.reduce(Reduction::Sum, Axis::Columns, rates),
            (None, Some(ratio)) if self.prior().log_prob.is_some() => Ok(ratio),
            (None, _) => graph.add(Op::Kl { stats, clamp: self.clamp() }),
        }
    }

    /// log q(z|x) − log p(z), [R], from `ratio`, which has N(0, 1) in the place of the prior.
    pub(super) fn with_prior(&self, graph: &mut Graph, prior: &[Id], ratio: Id, z: Id) -> Result<Id> {
        let Some(log_prob) = self.prior().log_prob else { return Ok(ratio) };
        let own = log_prob(graph, prior, z)?;
        let standard = standard::log_prob(graph, z)?;
        graph.map([ratio, standard, own], |[ratio, standard, own]| ratio + standard - own)
    }
}
