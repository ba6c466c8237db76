//! `FactorVAE` (Kim and Mnih, "Disentangling by factorising", 2018, arXiv 1802.05983): a VAE whose latents are to be independent
//! of each other over the data. The loss has γ times the total correlation, KL(q(z) ‖ Π q(zⱼ)), which a discriminator estimates
//! by the density ratio: it tells latents of a batch from latents whose dimensions were exchanged between its examples, each
//! dimension by a permutation of its own.
//!
//! Two phases take turns (algorithm 2): the model by its ELBO and the discriminator's estimate, the discriminator by the logistic
//! loss. As in the authors' later benchmark (Locatello et al. 2019, arXiv 1811.12359) the exchanged latents are those of the same
//! batch, where the paper takes a second one.
//!
//! Letters: B examples of the batch, n of them that count, Z latent dimensions.

use super::library::LIBRARY;
use super::network::{self, Map};
use super::phases::{Build, Phase};
use super::prior::energy;
use super::spectral::{self, Player};
use super::weights::Weight;
use super::{Model, Weights};
use crate::config::{Config, OptimizerConfig};
use crate::error::Result;
use crate::expr::Expr;
use crate::graph::{Axis, Elements, Graph, Group, Id, Op, Reduction};

/// What the names of the discriminator's tensors begin with.
pub const PLAYER: &str = "discriminator";
/// The slope below zero of the discriminator's non-linearity (appendix A of the paper).
const LEAK: f32 = 0.2;

/// The model, then the discriminator.
pub(super) fn phases(config: &Config) -> Vec<Phase> {
    players(config, |model, _, weights, batch| model.tell_apart(weights, batch))
}

/// The model, then a discriminator with this loss.
pub(super) fn players(config: &Config, build: Build) -> Vec<Phase> {
    let rule = &config.optimizer;
    let optimizer = OptimizerConfig {
        lr: rule.discriminator_lr,
        beta1: rule.discriminator_beta1,
        beta2: rule.discriminator_beta2,
        ..rule.clone()
    };
    let whole = Phase::whole(config);
    let player = Phase {
        name: PLAYER,
        trains: Group::Of(&[PLAYER]),
        optimizer,
        weights: Weights::default().with(Weight::constant(PLAYER, 1.0)),
        every: rule.discriminator_every,
        build,
    };
    vec![Phase { trains: Group::Except(&[PLAYER, spectral::KEPT, energy::PARTITION, LIBRARY]), ..whole }, player]
}

impl Model {
    /// The maps of the discriminator, from latents [R, Z] or examples [R, D] to a logit; none where there is no discriminator.
    pub fn discriminator(&self) -> Vec<Map> {
        if !self.config.discriminator_layers.is_empty() {
            let (steps, _) = network::discriminator(&self.config, self.shape).expect("a model's layers fit");
            return network::maps(&steps).cloned().collect();
        }
        let widths = &self.config.discriminator;
        if widths.is_empty() {
            return vec![];
        }
        network::beside(PLAYER, self.config.latent, widths, 1)
    }

    /// The loss of the discriminator: −½(log D(z) + log(1 − D(z′))) of each example, D the sigmoid of the logit.
    fn tell_apart(&self, weights: &Weights, batch: usize) -> Result<Graph> {
        let mut graph = Graph::training(batch);
        let pass = self.pass(&mut graph, 1)?;
        let z = pass.lowest().z;
        // The noise of the layer above the highest is nobody's latent.
        let exchanged = exchanged(&mut graph, z, self.latents().len())?;
        add_judgement(&mut graph, weights, [z, exchanged], &pass.discriminator, 0.0)?;
        Ok(graph)
    }
}

/// Adds the logistic loss of a discriminator whose logit is to be large for the first of two kinds of latents, [B, Z] each:
/// −½(log D(a) + log(1 − D(b))) of each example. `smoothing` is what the target of the first kind lacks of 1.
pub(super) fn add_judgement(
    graph: &mut Graph,
    weights: &Weights,
    kinds: [Id; 2],
    discriminator: &Player,
    smoothing: f32,
) -> Result<()> {
    let (batch, latent) = (graph.shape(kinds[0]).rows(), graph.shape(kinds[0]).columns());
    // Both are two rows of an example, so that the discriminator is asked once.
    let both = graph.concatenate(&kinds)?;
    let both = graph.reshape(both, &[2 * batch, latent])?;
    let logits = logit(graph, both, &discriminator.weights)?;
    let logits = graph.reshape(logits, &[batch, 2])?;
    let loss = graph.reduce_map(Reduction::Sum, Axis::Columns, [logits], |[logit]| {
        let loss = ((2.0 * Expr::column() - 1.0) * logit.clone()).softplus();
        if smoothing == 0.0 {
            return 0.5 * loss;
        }
        // −t·log D − (1 − t)·log(1 − D) is the loss of the target 1 and 1 − t times the logit.
        0.5 * (loss + Expr::column().less(0.5).select(smoothing * logit, 0.0))
    })?;
    graph.term(PLAYER, loss, weights.slot(PLAYER)?);
    discriminator.keep(graph)
}

/// What the discriminator makes of latents, [R, Z] → [R]: the logit log D(z)/(1 − D(z)), the larger the more they look like
/// latents of examples. It is the estimate of the total correlation.
///
/// # Errors
/// A bug, where its tensors do not go with the latents.
pub fn logit(graph: &mut Graph, z: Id, discriminator: &[Id]) -> Result<Id> {
    let (mut h, rows) = (z, graph.shape(z).rows());
    for (at, &w) in discriminator.iter().enumerate() {
        h = graph.add(Op::Affine { x: h, w })?;
        if at + 1 < discriminator.len() {
            h = graph.map([h], |[h]| h.clone().less(0.0).select(LEAK * h.clone(), h))?;
        }
    }
    graph.reshape(h, &[rows])
}

/// Latents whose dimensions were exchanged between the examples that count, each by a permutation of its own, [B, Z] → [B, Z]:
/// row i of column j takes the row whose number is the rank of the i-th of n draws of noise, that of a stochastic layer.
///
/// # Errors
/// None that depends on shapes.
pub fn exchanged(graph: &mut Graph, z: Id, layer: usize) -> Result<Id> {
    let (batch, latent) = (graph.shape(z).rows(), graph.shape(z).columns());
    let noise = graph.add(Op::Noise { rows: batch, width: latent, layer })?;
    let others = graph.tile(noise, batch)?;
    let row = Elements { operands: vec![], f: Expr::row(batch), rows: batch, columns: 1 };
    let row = graph.add(Op::Map(row))?;
    // Row i·B + k is the pair of i and k. Of equal draws the first has the lower rank, so ranks are a permutation.
    let rank = graph.reduce_map(Reduction::Sum, Axis::Rows(batch), [noise, others, row], |[own, other, row]| {
        let k = || Expr::row(batch);
        let before = other.clone().less(own.clone()).max(other.equal(own) * k().less(row));
        k().less(Expr::count()).select(before, 0.0)
    })?;
    let place = graph.map([rank], |[rank]| latent as f32 * rank + Expr::column())?;
    let (index, x) = (graph.reshape(place, &[batch * latent])?, graph.reshape(z, &[batch * latent])?);
    let taken = graph.add(Op::TakeRows { x, index })?;
    graph.reshape(taken, &[batch, latent])
}
