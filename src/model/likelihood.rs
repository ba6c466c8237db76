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
