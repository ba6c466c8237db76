//! Inverse autoregressive flows (Kingma et al., "Improving variational inference with inverse autoregressive flow", 2016, arXiv
//! 1606.04934, eq. 12 to 14 in the stable form): z ← σ·z + (1 − σ)·m with σ = sigmoid(s + 2), where m and s of a dimension depend
//! on those before it alone, so that log |det| = Σ log σ. From step to step the order is reversed. The encoder gives a context h
//! that joins the hidden layer of every step.
//!
//! m and s are a masked network with one hidden layer (Germain et al., "MADE", 2015, arXiv 1502.03509). Hidden unit k of H has the
//! degree k·(Z − 1)/H: it sees the dimensions up to that, and is seen by those above.

use super::{Given, Posterior, Transformed};
use crate::config;
use crate::error::Result;
use crate::expr::Expr;
use crate::graph::{Axis, Graph, Id, Op, Reduction};
use crate::model::Model;
use crate::model::parts::Tensor;

pub static POSTERIOR: Posterior = Posterior {
    kind: config::Posterior::Iaf,
    context: |config| config.posterior_width,
    parameters,
    transform: Some(transform),
};

/// What is added to s: steps begin by changing little.
const OPEN: f32 = 2.0;

/// Maps of a step.
const MAPS: usize = 3;

/// Of each step the maps to the hidden layer, and from there to m and to s.
fn parameters(model: &Model) -> Vec<Tensor> {
    let (latent, width) = (model.config.latent, model.config.posterior_width);
    let step = |step: usize| {
        let name = |what| format!("encoder.iaf.{step}.{what}");
        [
            Tensor::map(name("hidden"), latent, width),
            Tensor::map(name("shift"), width, latent),
            Tensor::map(name("scale"), width, latent),
        ]
    };
    (0..model.config.posterior_layers).flat_map(step).collect()
}

/// The place of a dimension in the order of a step.
fn place(dimension: Expr, step: usize, latent: usize) -> Expr {
    if step.is_multiple_of(2) { dimension } else { (latent as f32 - 1.0) - dimension }
}

/// A map to the hidden layer, [Z + 1, H], or from it, [H + 1, Z], without what an order of the dimensions does not allow. The
/// last row is the bias, which stays.
fn masked(graph: &mut Graph, w: Id, step: usize, [latent, width]: [usize; 2], inward: bool) -> Result<Id> {
    let inputs = if inward { latent } else { width };
    let (row, column) = (Expr::row(inputs + 1), Expr::column());
    let degree = |unit: Expr| unit * (latent as f32 - 1.0);
    let position = |dimension: Expr| place(dimension, step, latent) * width as f32;
    let sees =
        if inward { position(row.clone()).at_most(degree(column)) } else { degree(row.clone()).less(position(column)) };
    let is_bias = row.equal(inputs as f32);
    graph.map([w], |[w]| sees.max(is_bias).select(w, 0.0))
}

fn transform(graph: &mut Graph, model: &Model, given: &Given) -> Result<Transformed> {
    let mut z = graph.add(Op::Sample { stats: given.stats, eps: given.eps, clamp: model.clamp() })?;
    let extents = [model.config.latent, model.config.posterior_width];
    let mut log_det: Option<Id> = None;
    for (step, maps) in given.parameters.chunks_exact(MAPS).enumerate() {
        let [hidden, shift, scale] =
            [(0, true), (1, false), (2, false)].map(|(map, inward)| masked(graph, maps[map], step, extents, inward));
        let h = graph.add(Op::Affine { x: z, w: hidden? })?;
        let h = graph.map([h, given.context], |[h, context]| h + context)?;
        let h = graph.add(Op::Activation { x: h, kind: model.hidden_activation() })?;
        let m = graph.add(Op::Affine { x: h, w: shift? })?;
        let s = graph.add(Op::Affine { x: h, w: scale? })?;
        z = graph.map([z, m, s], |[z, m, s]| {
            let gate = (s + OPEN).sigmoid();
            gate.clone() * z + (1.0 - gate) * m
        })?;
        // log sigmoid(a) = −log(1 + e⁻ᵃ).
        let stretched = graph.reduce_map(Reduction::Sum, Axis::Columns, [s], |[s]| -(-(s + OPEN)).softplus())?;
        log_det = Some(match log_det {
            None => stretched,
            Some(sum) => graph.map([sum, stretched], |[sum, stretched]| sum + stretched)?,
        });
    }
    Ok(Transformed { z, log_det })
}
