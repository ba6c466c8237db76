//! A normal distribution with a covariance of its own for each example, by its Cholesky factor L (Kingma and Welling, "An
//! introduction to variational autoencoders", 2019, section 2.5): z = μ + Lε with L = diag(σ)·(I + N), N strictly lower
//! triangular. log q(z|x) = −½ Σ (ε² + log 2π) − Σ log σ, whatever N is.
//!
//! The encoder puts out N as a square of which the part below the diagonal is read.

use super::{Given, Posterior, Transformed};
use crate::config;
use crate::error::Result;
use crate::expr::Expr;
use crate::graph::{Graph, Id, Op};
use crate::model::Model;

pub static POSTERIOR: Posterior = Posterior {
    kind: config::Posterior::Full,
    context: |config| config.latent * config.latent,
    parameters: |_| vec![],
    transform: Some(transform),
};

fn transform(graph: &mut Graph, model: &Model, given: &Given) -> Result<Transformed> {
    let (latent, clamp) = (model.config.latent, model.clamp());
    let mixed = correlated(graph, given.context, given.eps)?;
    let mean = graph.columns(given.stats, 0, latent)?;
    let log_variance = graph.columns(given.stats, latent as i32, latent)?;
    let z = graph.map([mean, log_variance, given.eps, mixed], |[mean, lv, eps, mixed]: [Expr; 4]| {
        mean + (0.5 * lv.clamp(clamp.low, clamp.high)).exp() * (eps + mixed)
    })?;
    Ok(Transformed { z, log_det: None })
}

/// Nε, [B, Z·Z], [R, Z] → [R, Z].
fn correlated(graph: &mut Graph, context: Id, eps: Id) -> Result<Id> {
    let (batch, latent) = (graph.shape(context).rows(), graph.shape(eps).columns());
    let square = graph.reshape(context, &[batch * latent, latent])?;
    let below = graph.map([square], |[n]| Expr::column().less(Expr::row(latent)).select(n, 0.0))?;
    graph.add(Op::Product { a: eps, b: below, batch, transposed: [false, true] })
}
