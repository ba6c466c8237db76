//! N(0, 1) seen through affine coupling layers (Dinh, Sohl-Dickstein and Bengio, "Density estimation using Real NVP", 2017,
//! arXiv 1605.08803, section 3.2). Each layer leaves one half of the dimensions as they are and computes from them how the
//! other half is scaled and shifted; which half takes turns.
//!
//! From latents to noise a layer is b' = (b − t(a))·exp(−s(a)), whose log-determinant is −Σ s. The last map of each network starts
//! at 0, so the prior starts as N(0, 1).

use super::{Prior, standard};
use crate::config;
use crate::error::Result;
use crate::graph::{Axis, Graph, Id, Op, Reduction};
use crate::model::Model;
use crate::model::parts::{Start, Tensor};

/// The prior.
pub static PRIOR: Prior =
    Prior { kind: config::Prior::Flow, parameters, encoded: false, log_prob: Some(log_prob), kl: None, sample };

/// Log-scales of one layer lie between ± this: e² at most.
const MAX_SCALE: f32 = 2.0;

/// Maps of the network of a layer.
const MAPS: usize = 3;

/// Of each layer three maps: from the half that stays to the first hidden layer, to the second, to log-scale and shift of the
/// other half.
fn parameters(model: &Model) -> Vec<Tensor> {
    let (latent, width) = (model.prior_latent(), model.config.prior_width);
    let layer = |layer: usize| {
        let [stays, moves] = halves(layer, latent).map(|(_, size)| size);
        let name = |map: usize| format!("prior.{layer}.{map}");
        let last = Tensor::new(name(2), &[width + 1, 2 * moves], Start::Constant(0.0));
        [Tensor::map(name(0), stays, width), Tensor::map(name(1), width, width), last]
    };
    (0..model.config.prior_layers).flat_map(layer).collect()
}

/// First column and size of the half that stays in a layer, and of the one that moves.
fn halves(layer: usize, latent: usize) -> [(usize, usize); 2] {
    let (low, high) = ((0, latent / 2), (latent / 2, latent - latent / 2));
    if layer.is_multiple_of(2) { [low, high] } else { [high, low] }
}

/// Both halves of latents, and log-scale and shift of the second.
fn network(graph: &mut Graph, model: &Model, prior: &[Id], layer: usize, z: Id) -> Result<[Id; 4]> {
    let [(from, stays), (to, moves)] = halves(layer, graph.shape(z).columns());
    let (a, b) = (graph.columns(z, from as i32, stays)?, graph.columns(z, to as i32, moves)?);
    let mut h = a;
    for &w in &prior[MAPS * layer..][..MAPS - 1] {
        h = graph.add(Op::Affine { x: h, w })?;
        h = graph.add(Op::Activation { x: h, kind: model.hidden_activation() })?;
    }
    let out = graph.add(Op::Affine { x: h, w: prior[MAPS * layer + MAPS - 1] })?;
    let scale = graph.columns(out, 0, moves)?;
    let scale = graph.map([scale], |[s]| MAX_SCALE * (s * (1.0 / MAX_SCALE)).tanh())?;
    Ok([a, b, scale, graph.columns(out, moves as i32, moves)?])
}

/// A layer's halves in their places.
fn joined(graph: &mut Graph, layer: usize, stays: Id, moves: Id) -> Result<Id> {
    graph.concatenate(&if layer.is_multiple_of(2) { [stays, moves] } else { [moves, stays] })
}

/// log N(f(z); 0, 1) − Σ s over all layers.
fn log_prob(graph: &mut Graph, model: &Model, prior: &[Id], z: Id) -> Result<Id> {
    let (noise, scales) = noise_of(graph, model, prior, z)?;
    let mut total = standard::log_prob(graph, noise)?;
    for scale in scales {
        total = graph.map([total, scale], |[total, scale]| total - scale)?;
    }
    Ok(total)
}

/// f(z), the noise that latents are made of, [R, Z], and Σ s of each layer, [R]. `prior` are the tensors of the prior.
///
/// # Errors
/// None for the tensors of such a prior.
pub fn noise_of(graph: &mut Graph, model: &Model, prior: &[Id], z: Id) -> Result<(Id, Vec<Id>)> {
    let (mut u, mut scales) = (z, Vec::new());
    for layer in 0..prior.len() / MAPS {
        let [a, b, scale, shift] = network(graph, model, prior, layer, u)?;
        let moved = graph.map([b, scale, shift], |[b, s, t]| (b - t) * (-s).exp())?;
        u = joined(graph, layer, a, moved)?;
        scales.push(graph.reduce(Reduction::Sum, Axis::Columns, scale)?);
    }
    Ok((u, scales))
}

/// Noise back through the layers: b = b'·exp s(a) + t(a), from the last layer to the first.
fn sample(graph: &mut Graph, model: &Model, prior: &[Id], noise: Id) -> Result<Id> {
    let mut z = noise;
    for layer in (0..prior.len() / MAPS).rev() {
        let [a, b, scale, shift] = network(graph, model, prior, layer, z)?;
        let moved = graph.map([b, scale, shift], |[b, s, t]| b * s.exp() + t)?;
        z = joined(graph, layer, a, moved)?;
    }
    Ok(z)
}
