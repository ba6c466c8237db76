//! An energy-based prior (Pang, Han, Nijkamp, Zhu and Wu, "Learning latent space energy-based prior model", 2020, arXiv 2006.08205):
//! p(z) = exp(−E(z))·N(z; 0, 1)/Z, E a network of a number, a correction of N(0, 1). Its last map starts at 0, so the prior starts as
//! N(0, 1).
//!
//! Draws are short runs of Langevin dynamics (eq. 8 of the paper): z₀ from N(0, 1), then K times
//!
//! ```text
//! z ← z − s²/2·(∇E(z) + z) + s·ε,
//! ```
//!
//! which is not the distribution itself but near it, and nearer with more steps; K and s are `model.prior_steps` and
//! `model.prior_step`. The noise is that of stochastic layers that no model has, so a draw is a function of seed and number.
//!
//! In training log p(z) has, beside −E(z) + log N(z; 0, 1), the gradient of −log Z, which is the mean of ∇E over draws of the prior
//! (eq. 7). They are a draw for each example, through which no gradient goes.
//!
//! Z itself is an integral. Graphs take its logarithm from a tensor that no gradient changes, [`PARTITION`]. In training it becomes
//! a running mean of exp(−E) over the draws of N(0, 1) at which chains begin; whoever evaluates puts a better estimate in its place
//! (`session/partition.rs`).
//!
//! Letters: R rows of latents, B examples, Z latent dimensions, K steps.

use super::{Prior, standard};
use crate::config;
use crate::error::{Error, Result};
use crate::expr::Expr;
use crate::graph::grad::gradients_from;
use crate::graph::{Axis, Elements, Graph, Id, Op, Reduction};
use crate::model::Model;
use crate::model::parts::{Start, Tensor};

/// The prior.
pub static PRIOR: Prior =
    Prior { kind: config::Prior::Energy, parameters, encoded: false, log_prob: Some(log_prob), kl: None, sample };

/// The tensor of log Z.
pub const PARTITION: &str = "prior.log_partition";

/// The place among the stochastic layers of the noise at which chains of training begin; that of their steps follows. No model has
/// as many.
const CHAIN: usize = 256;
/// What the draws of a step count in the running mean of exp(−E).
const NEWEST: f32 = 0.05;
/// A logarithm of what is no part of a sum.
const NEVER: f32 = -1e30;

/// The maps of the network, and log Z, [1].
fn parameters(model: &Model) -> Vec<Tensor> {
    let (layers, width) = (model.config.prior_layers, model.config.prior_width);
    let map = |layer: usize| {
        let inputs = if layer == 0 { model.prior_latent() } else { width };
        let name = format!("prior.{layer}");
        // The energy starts at 0.
        if layer == layers {
            Tensor::new(name, &[inputs + 1, 1], Start::Constant(0.0))
        } else {
            Tensor::map(name, inputs, width)
        }
    };
    (0..=layers).map(map).chain([Tensor::new(PARTITION, &[1], Start::Constant(0.0))]).collect()
}

/// E(z), [R, Z] → [R], of the maps of the network.
///
/// # Errors
/// None for maps and latents of one model.
pub fn energy(graph: &mut Graph, model: &Model, maps: &[Id], z: Id) -> Result<Id> {
    let rows = graph.shape(z).rows();
    let mut h = z;
    for (layer, &w) in maps.iter().enumerate() {
        h = graph.add(Op::Affine { x: h, w })?;
        if layer + 1 < maps.len() {
            h = graph.add(Op::Activation { x: h, kind: model.hidden_activation() })?;
        }
    }
    graph.reshape(h, &[rows])
}

impl Model {
    /// Energies of draws of N(0, 1), by which Z is estimated: output `energy` [B].
    ///
    /// # Errors
    /// [`Error::Usage`] for a model with another prior.
    pub fn energies(&self, batch: usize) -> Result<Graph> {
        if self.config.prior != config::Prior::Energy {
            let word = self.config.prior.word();
            return Err(Error::Usage(format!("energies are those of model.prior = energy; this one is {word}")));
        }
        let mut graph = Graph::new(batch);
        let networks = self.declare(&mut graph)?;
        let z = graph.add(Op::Noise { rows: batch, width: self.prior_latent(), layer: 0 })?;
        let energies = energy(&mut graph, self, parts(&networks.prior)?.0, z)?;
        graph.output("energy", energies);
        Ok(graph)
    }
}

/// The network's maps, and log Z.
fn parts(prior: &[Id]) -> Result<(&[Id], Id)> {
    let (&partition, maps) = prior.split_last().ok_or_else(|| Error::Bug("an energy without tensors".into()))?;
    Ok((maps, partition))
}

/// −E(z) + log N(z; 0, 1) − log Z.
fn log_prob(graph: &mut Graph, model: &Model, prior: &[Id], z: Id) -> Result<Id> {
    let (maps, partition) = parts(prior)?;
    let own = energy(graph, model, maps, z)?;
    let standard = standard::log_prob(graph, z)?;
    let own = graph.map([own, standard, partition], |[own, standard, log_z]| standard - own - log_z)?;
    if !graph.training {
        return Ok(own);
    }
    let (rows, width) = (graph.batch, graph.shape(z).columns());
    let start = graph.add(Op::Noise { rows, width, layer: CHAIN })?;
    keep_partition(graph, model, maps, partition, start)?;
    let drawn = chain(graph, model, maps, start)?;
    let drawn = energy(graph, model, maps, drawn)?;
    // A number that is 0 and has the gradient of −log Z.
    let level = graph.stop_gradient(drawn)?;
    graph.map([own, drawn, level], |[own, drawn, level]| own + (drawn - level))
}

/// Lets log Z become the logarithm of the running mean of exp(−E) over draws of N(0, 1), [B, Z].
fn keep_partition(graph: &mut Graph, model: &Model, maps: &[Id], partition: Id, draws: Id) -> Result<()> {
    let batch = graph.batch;
    let energies = energy(graph, model, maps, draws)?;
    let here = graph.reduce_map(Reduction::LogSumExp, Axis::Rows(batch), [energies], |[energy]| {
        Expr::row(batch).less(Expr::count()).select(-energy, NEVER)
    })?;
    let next = graph.map([partition, here], |[before, here]| {
        let (before, here) = (before + (1.0 - NEWEST).ln(), here - Expr::count().ln() + NEWEST.ln());
        // log(exp a + exp b) = max + log(1 + exp −|a − b|).
        before.clone().max(here.clone()) + (-(before - here).abs()).exp().ln_1p()
    })?;
    let next = graph.stop_gradient(next)?;
    graph.assign(partition, next)
}

/// A draw of the prior from each row of noise.
fn sample(graph: &mut Graph, model: &Model, prior: &[Id], noise: Id) -> Result<Id> {
    chain(graph, model, parts(prior)?.0, noise)
}

/// Latents after K steps from those at which chains begin, [R, Z] → [R, Z]. No gradient goes through.
///
/// # Errors
/// None for maps and latents of one model.
pub fn chain(graph: &mut Graph, model: &Model, maps: &[Id], start: Id) -> Result<Id> {
    let (rows, width) = (graph.shape(start).rows(), graph.shape(start).columns());
    let step = model.config.prior_step;
    let one = graph.add(Op::Map(Elements { operands: vec![], f: Expr::constant(1.0), rows, columns: 1 }))?;
    let mut z = graph.stop_gradient(start)?;
    for turn in 1..=model.config.prior_steps {
        let energies = energy(graph, model, maps, z)?;
        let slope = gradients_from(graph, &[(energies, one)], &[z])?[0];
        let slope = slope.ok_or_else(|| Error::Bug("an energy does not depend on latents".into()))?;
        let noise = graph.add(Op::Noise { rows, width, layer: CHAIN + turn })?;
        let moved = graph
            .map([z, slope, noise], |[z, slope, noise]| z.clone() - (0.5 * step * step) * (slope + z) + step * noise)?;
        z = graph.stop_gradient(moved)?;
    }
    Ok(z)
}
