//! Independent normal distributions of each value with the deviation `sigma`: half the squared error over its square, and a
//! constant.

use super::{Density, Likelihood, Outcomes, Outside, Python};
use crate::config;
use crate::graph::Op;
use crate::graph::columns::Distribution;
use crate::graph::op::Variance;
use std::f64::consts::TAU;

pub static LIKELIHOOD: Likelihood = Likelihood {
    kind: config::Likelihood::Gaussian,
    outcomes: Outcomes::Intervals,
    density: Density::Values(
        Distribution::FixedNormal,
        Some(|config, out, x| Op::Gaussian { out, x, variance: Variance::Fixed(2.0 * config.sigma.ln()) }),
    ),
    heads: 1,
    globals: None,
    mean: |_, _, out| Ok(out),
    baseline: Some(|config, x, mean, _| normal(x, mean, f64::from(config.sigma).powi(2))),
    outside: Outside {
        heads: &["decoder.mean"],
        mean: MEAN,
        natural: None,
        gives: |of| format!("the mean of a normal distribution with deviation {}{} per value", of.sigma, of.units),
        decode: |to| Python::returns(&format!("{}{}", (to.head)("decoder.mean"), to.units())),
    },
};

/// What a mean is that has the units of the data.
pub(super) const MEAN: &str = "the mean of p(x|z), in the units of the data";

/// −log N(x; mean, variance).
pub(super) fn normal(x: f64, mean: f64, variance: f64) -> f64 {
    0.5 * ((x - mean).powi(2) / variance + (TAU * variance).ln())
}
