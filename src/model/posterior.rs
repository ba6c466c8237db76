//! Posteriors: what the encoder says of the latents of an example.
//!
//! All begin with a normal distribution, mean and log-variance of each dimension by itself, and noise: z₀ = μ + σ·ε. A posterior
//! is one file with a [`Posterior`], a table of what becomes of it, and its line in [`POSTERIORS`]: further numbers that the
//! encoder puts out for each example (its context), trainable tensors of its own, and the way from z₀ to z with the logarithm
//! of how much it stretches space. Density, rate, importance weights, reconstructions and scores follow.

mod full;
mod iaf;
mod planar;

use super::Model;
use super::parts::Tensor;
use crate::config::{self, Activation, ModelConfig};
use crate::error::Result;
use crate::graph::{Graph, Id, Op};

/// What a transform is given. Letters: B examples, R = B·K samples of them, Z latent dimensions, C numbers of context.
pub struct Given<'a> {
    /// Mean and log-variance of z₀, [B, 2Z].
    pub stats: Id,
    /// What else the encoder puts out, [B, C].
    pub context: Id,
    /// Standard normal noise, [R, Z].
    pub eps: Id,
    /// The tensors of [`Posterior::parameters`].
    pub parameters: &'a [Id],
}

/// Latents of a posterior.
#[derive(Debug, Clone, Copy)]
pub struct Transformed {
    /// z, [R, Z].
    pub z: Id,
    /// log |det ∂z/∂z₀|, [R]; nothing where it is 0 everywhere.
    pub log_det: Option<Id>,
}

/// From z₀ to z.
type Transform = fn(&mut Graph, &Model, &Given) -> Result<Transformed>;

/// What a posterior offers.
#[derive(Debug)]
pub struct Posterior {
    /// The word for it in a configuration.
    pub kind: config::Posterior,
    /// C, what the encoder puts out beside mean and log-variance.
    pub context: fn(&ModelConfig) -> usize,
    /// Its trainable tensors. Their names begin with `encoder`, since they are part of the inference network.
    pub parameters: fn(&Model) -> Vec<Tensor>,
    /// What becomes of z₀; nothing where it stays.
    pub transform: Option<Transform>,
}

/// A normal distribution, each dimension by itself (Kingma and Welling 2014).
static GAUSSIAN: Posterior =
    Posterior { kind: config::Posterior::Gaussian, context: |_| 0, parameters: |_| vec![], transform: None };

/// Every posterior there is.
pub static POSTERIORS: &[&Posterior] = &[&GAUSSIAN, &full::POSTERIOR, &planar::POSTERIOR, &iaf::POSTERIOR];

/// The posterior of a configuration.
pub fn of(kind: config::Posterior) -> &'static Posterior {
    POSTERIORS.iter().find(|posterior| posterior.kind == kind).expect("every word has a posterior")
}

impl Model {
    /// The posterior of the lowest stochastic layer.
    pub fn posterior(&self) -> &'static Posterior {
        of(self.config.posterior)
    }

    /// The trainable tensors of the posterior.
    pub fn posterior_tensors(&self) -> Vec<Tensor> {
        (self.posterior().parameters)(self)
    }

    /// Whether latents given an example are a normal distribution with independent dimensions, whose mean and log-variance
    /// say all of it.
    pub fn has_gaussian_posterior(&self) -> bool {
        self.posterior().transform.is_none() && !self.has_categories()
    }

    /// The non-linearity within priors and posteriors: that of the networks, where it is one.
    pub(super) fn hidden_activation(&self) -> Activation {
        if self.config.activation == Activation::Identity { Activation::Tanh } else { self.config.activation }
    }

    /// Latents of the lowest layer from what its encoder put out, [B, 2Z + C], and noise.
    pub(super) fn latents_of(&self, graph: &mut Graph, given: &Given) -> Result<Transformed> {
        match self.posterior().transform {
            None => {
                let z = graph.add(Op::Sample { stats: given.stats, eps: given.eps, clamp: self.clamp() })?;
                Ok(Transformed { z, log_det: None })
            }
            Some(transform) => transform(graph, self, given),
        }
    }
}
