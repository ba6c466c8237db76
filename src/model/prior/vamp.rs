//! The variational mixture of posteriors (Tomczak and Welling, "VAE with a `VampPrior`", 2018, arXiv 1705.07120, eq. 9): the prior
//! is Σₖ wₖ q(z|uₖ), what the encoder says of K pseudo-inputs, which are learned. They start as examples of the training part.
//!
//! A pseudo-input may leave the range of the data: it is nothing but a way to write a component, and any is a proper prior. The
//! authors' program holds those of pixels between 0 and 1.

use super::Prior;
use super::mixture::{Components, weights};
use crate::config;
use crate::error::Result;
use crate::graph::{Graph, Id};
use crate::model::Model;
use crate::model::parts::{Start, Tensor};

pub static PRIOR: Prior =
    Prior { kind: config::Prior::Vamp, parameters, encoded: true, log_prob: Some(log_prob), kl: None, sample };

/// The pseudo-inputs, [K, D], and where they are learned the logits of the weights, [1, K].
fn parameters(model: &Model) -> Vec<Tensor> {
    let inputs = Tensor::new("prior.pseudo_inputs", &[model.config.prior_components, model.width], Start::Examples);
    std::iter::once(inputs).chain(weights(model)).collect()
}

/// The posteriors of the pseudo-inputs.
fn components(graph: &mut Graph, model: &Model, prior: &[Id]) -> Result<Components> {
    let (latent, clamp) = (model.config.latent, model.clamp());
    let mean = graph.columns(prior[0], 0, latent)?;
    let log_variance = graph.columns(prior[0], latent as i32, latent)?;
    let log_variance = graph.map([log_variance], |[v]| v.clamp(clamp.low, clamp.high))?;
    Ok(Components { mean, log_variance, logits: prior.get(1).copied() })
}

fn log_prob(graph: &mut Graph, model: &Model, prior: &[Id], z: Id) -> Result<Id> {
    components(graph, model, prior)?.log_prob(graph, z)
}

fn sample(graph: &mut Graph, model: &Model, prior: &[Id], noise: Id) -> Result<Id> {
    components(graph, model, prior)?.sample(graph, noise)
}
