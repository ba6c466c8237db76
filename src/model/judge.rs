//! What a discriminator makes of examples, so that what two players came to can be told of data that neither was trained on.
//!
//! Letters: B examples of the batch, Z latent dimensions.

use super::factor::{exchanged, logit};
use super::gan::distance;
use super::tasks::Need;
use super::weights::Weights;
use super::{Model, gan};
use crate::error::{Error, Result};
use crate::graph::{Graph, Id, Op};

/// Half the squared distance of the features of an example and of its reconstruction, [B]: an output of [`Model::judge`].
pub const APART: &str = "features";
/// Logits of examples, their reconstructions and what is made of draws of the prior, [B, 3]: an output of [`Model::judge`].
pub const OF_PICTURES: &str = "verdicts";
/// Logits of latents, [B]: an output of [`Model::judge`].
pub const OF_LATENTS: &str = "verdict of latents";
/// Logits of latents whose dimensions were exchanged between the examples of a batch, [B]: an output of [`Model::judge`].
pub const OF_EXCHANGED: &str = "verdict of exchanged";
/// Logits of draws of the prior, [B], where these are no chains: an output of [`Model::judge`].
pub const OF_DRAWS: &str = "verdict of draws";

impl Model {
    /// The logits of the discriminator, without the noise and the smoothed labels of training.
    ///
    /// # Errors
    /// [`Error::Usage`] for a model without one; those of [`Model::networks`].
    pub fn judge(&self, batch: usize) -> Result<Graph> {
        let mut graph = Graph::new(batch);
        if !self.config.discriminator_layers.is_empty() {
            let (_, gan::Judged { features, logits }) = self.players_see(&mut graph, &Weights::default())?;
            let apart = distance(&mut graph, features)?;
            graph.output(APART, apart);
            graph.output(OF_PICTURES, logits);
            return Ok(graph);
        }
        if self.config.discriminator.is_empty() {
            return Err(Error::Usage("there is nothing to judge without a discriminator".into()));
        }
        let pass = self.pass(&mut graph, 1)?;
        let (z, layers) = (pass.lowest().z, self.latents().len());
        let mut judged: Vec<(&str, Id)> = vec![(OF_LATENTS, z), (OF_EXCHANGED, exchanged(&mut graph, z, layers)?)];
        if self.need(&[Need::DirectDraws], OF_DRAWS).is_ok() {
            let noise = graph.add(Op::Noise { rows: batch, width: self.config.latent, layer: layers })?;
            judged.push((OF_DRAWS, (self.prior().sample)(&mut graph, self, &pass.prior, noise)?));
        }
        for (name, latents) in judged {
            let found = logit(&mut graph, latents, &pass.discriminator.weights)?;
            graph.output(name, found);
        }
        Ok(graph)
    }
}
