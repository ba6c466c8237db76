//! The distribution of the data given what the decoder puts out.

use crate::config::{Activation, Likelihood, ModelConfig};
use crate::error::Result;
use crate::graph::op::Variance;
use crate::graph::{Clamp, Graph, Id, Op};

/// Numbers that the decoder puts out per value of the data.
pub fn outputs_per_value(likelihood: Likelihood) -> usize {
    match likelihood {
        Likelihood::Bernoulli | Likelihood::Gaussian => 1,
        Likelihood::GaussianLearned => 2,
    }
}

/// −log p(x|z) per row in nats, [R].
pub fn distortion(graph: &mut Graph, config: &ModelConfig, out: Id, x: Id) -> Result<Id> {
    match variance(config) {
        None => graph.add(Op::Bernoulli { logits: out, x }),
        Some(variance) => graph.add(Op::Gaussian { out, x, variance }),
    }
}

/// The mean of p(x|z), [R, D]; for a learned variance [R, 2D], whose first half is the mean.
pub fn mean(graph: &mut Graph, config: &ModelConfig, out: Id) -> Result<Id> {
    match config.likelihood {
        Likelihood::Bernoulli => graph.add(Op::Activation { x: out, kind: Activation::Sigmoid }),
        Likelihood::Gaussian | Likelihood::GaussianLearned => Ok(out),
    }
}

fn variance(config: &ModelConfig) -> Option<Variance> {
    let [low, high] = config.log_variance;
    match config.likelihood {
        Likelihood::Bernoulli => None,
        Likelihood::Gaussian => Some(Variance::Fixed(2.0 * config.sigma.ln())),
        Likelihood::GaussianLearned => Some(Variance::Learned(Clamp { low, high })),
    }
}

/// −log p(x|z) of each of the D values of a row in nats, [D]: the terms whose sum is [`distortion`], from what the
/// decoder puts out for the row, in double precision.
pub fn distortions(config: &ModelConfig, out: &[f32], x: &[f32]) -> Vec<f64> {
    let places = x.iter().map(|&x| f64::from(x)).enumerate();
    let width = x.len();
    let at = |place: usize| f64::from(out[place]);
    match variance(config) {
        None => places.map(|(i, x)| bernoulli(at(i), x)).collect(),
        Some(Variance::Fixed(lv)) => places.map(|(i, x)| gaussian(at(i), lv.into(), x)).collect(),
        Some(Variance::Learned(Clamp { low, high })) => {
            places.map(|(i, x)| gaussian(at(i), out[width + i].clamp(low, high).into(), x)).collect()
        }
    }
}

/// max(l, 0) − l·x + log(1 + exp(−|l|)).
fn bernoulli(logit: f64, x: f64) -> f64 {
    logit.max(0.0) - logit * x + (-logit.abs()).exp().ln_1p()
}

/// ½log 2π + ½lv + ½(x − μ)²·exp(−lv).
fn gaussian(mean: f64, log_variance: f64, x: f64) -> f64 {
    0.5 * (std::f64::consts::TAU.ln() + log_variance + (x - mean).powi(2) * (-log_variance).exp())
}
