//! Planar flows (Rezende and Mohamed, "Variational inference with normalizing flows", 2015, arXiv 1505.05770, eq. 10 to 12):
//! each step is z ← z + û·tanh(wᵀz + b), which pushes and pulls along one direction. The encoder gives u, w and b of every
//! step for each example. û = u + (m(wᵀu) − wᵀu)·w/‖w‖² with m(a) = log(1 + eᵃ) − 1 keeps wᵀû above −1, so that every step can be
//! inverted (appendix A.1), and log |det| = log(1 + (1 − tanh²)·wᵀû).

use super::{Given, Posterior, Transformed};
use crate::config::{self, ModelConfig};
use crate::error::Result;
use crate::graph::{Axis, Graph, Id, Op, Reduction};
use crate::model::Model;

pub static POSTERIOR: Posterior =
    Posterior { kind: config::Posterior::Planar, context, parameters: |_| vec![], transform: Some(transform) };

/// The least squared length of w: what is shorter is no direction, and its step is to push by u as it is. An example whose
/// encoder puts out zeros, as one of zeros does where biases start at 0, has such steps.
const LEAST: f32 = 1e-12;

/// u, w and b of every step.
fn context(config: &ModelConfig) -> usize {
    config.posterior_layers * (2 * config.latent + 1)
}

fn transform(graph: &mut Graph, model: &Model, given: &Given) -> Result<Transformed> {
    let mut z = graph.add(Op::Sample { stats: given.stats, eps: given.eps, clamp: model.clamp() })?;
    let latent = model.config.latent;
    let mut log_det: Option<Id> = None;
    for step in 0..model.config.posterior_layers {
        let start = (step * (2 * latent + 1)) as i32;
        let u = graph.columns(given.context, start, latent)?;
        let w = graph.columns(given.context, start + latent as i32, latent)?;
        let b = graph.columns(given.context, start + 2 * latent as i32, 1)?;
        let along = graph.reduce_map(Reduction::Sum, Axis::Columns, [w, u], |[w, u]| w * u)?;
        let length = graph.reduce_map(Reduction::Sum, Axis::Columns, [w], |[w]| w.squared())?;
        // wᵀû, [B], and û, [B, Z].
        let held =
            graph.map([along, length], |[a, length]| length.less(LEAST).select(a.clone(), a.softplus() - 1.0))?;
        let u =
            graph.map([u, w, along, held, length], |[u, w, a, held, length]| u + (held - a) * w / length.max(LEAST))?;
        let bent = graph.reduce_map(Reduction::Sum, Axis::Columns, [z, w], |[z, w]| z * w)?;
        let bent = graph.map([bent, b], |[sum, b]| (sum + b).tanh())?;
        z = graph.map([z, u, bent], |[z, u, bent]| z + u * bent)?;
        let stretched = graph.map([bent, held], |[bent, held]| ((1.0 - bent.squared()) * held).ln_1p())?;
        log_det = Some(match log_det {
            None => stretched,
            Some(sum) => graph.map([sum, stretched], |[sum, stretched]| sum + stretched)?,
        });
    }
    Ok(Transformed { z, log_det })
}
