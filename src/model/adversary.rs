//! The adversarial autoencoder (Makhzani et al., "Adversarial autoencoders", 2015, arXiv 1511.05644): a second player tells latents
//! of a batch from draws of the prior, and the encoder makes its latents look like those draws. With β = 0 that takes the place
//! of the rate.
//!
//! Two phases take turns: the model by its objective and −log D(z), the loss that does not saturate (Goodfellow et al.,
//! "Generative adversarial nets", 2014, section 3), the player by the logistic loss.
//!
//! Letters: B examples of the batch, Z latent dimensions, D the sigmoid of a logit that is large for draws of the prior.

use super::factor::{self, logit};
use super::phases::Phase;
use super::{Model, Weights};
use crate::config::Config;
use crate::error::Result;
use crate::graph::{Graph, Id, Op};

/// The model, then the player.
pub(super) fn phases(config: &Config) -> Vec<Phase> {
    factor::players(config, Model::tell_from_prior)
}

impl Model {
    /// The loss of the player: −½(log D(p) + log(1 − D(z))) of each example and a draw p of the prior.
    fn tell_from_prior(&self, config: &Config, weights: &Weights, batch: usize) -> Result<Graph> {
        let mut graph = Graph::training(batch);
        let pass = self.pass(&mut graph, 1)?;
        let z = pass.lowest().z;
        // The noise of the layer above the highest is nobody's latent.
        let noise = graph.add(Op::Noise { rows: batch, width: self.config.latent, layer: self.latents().len() })?;
        let draws = (self.prior().sample)(&mut graph, self, &pass.prior, noise)?;
        let smoothing = config.objective.label_smoothing;
        factor::add_judgement(&mut graph, weights, [draws, z], &pass.discriminator, smoothing)?;
        Ok(graph)
    }
}

/// −log D(z) of latents, [R, Z] → [R]: what the encoder makes smaller to look like the prior.
///
/// # Errors
/// Those of [`logit`].
pub fn deceit(graph: &mut Graph, z: Id, discriminator: &[Id]) -> Result<Id> {
    let logit = logit(graph, z, discriminator)?;
    graph.map([logit], |[logit]| (-logit).softplus())
}
