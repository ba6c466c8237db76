//! Independent normal distributions of each value whose mean and log-variance the decoder gives (Kingma and Welling 2014,
//! appendix C.2).

use super::columns::range;
use super::gaussian::{MEAN, normal};
use super::{Density, Likelihood, Outcomes, Outside, Python};
use crate::config;
use crate::graph::columns::Distribution;
use crate::graph::op::Variance;
use crate::graph::{Clamp, Op};

pub static LIKELIHOOD: Likelihood = Likelihood {
    kind: config::Likelihood::GaussianLearned,
    outcomes: Outcomes::Intervals,
    density: Density::Values(
        Distribution::Normal,
        Some(|config, out, x| Op::Gaussian { out, x, variance: Variance::Learned(range(config)) }),
    ),
    heads: 2,
    globals: None,
    mean: |_, _, out| Ok(out),
    baseline: Some(|config, x, mean, variance| {
        let Clamp { low, high } = range(config);
        normal(x, mean, variance.max(1e-30).ln().clamp(low.into(), high.into()).exp())
    }),
    outside: Outside {
        heads: &["decoder.mean", "decoder.log_variance"],
        mean: MEAN,
        natural: None,
        gives: |_| "mean and log-variance of a normal distribution per value".into(),
        decode: |to| {
            let deviations = if to.scales() { " + 2 * scale.log()" } else { "" };
            let (mean, log_variance) = ((to.head)("decoder.mean"), to.held(&(to.head)("decoder.log_variance")));
            Python::returns(&format!("{mean}{}, {log_variance}{deviations}", to.units()))
        },
    },
};
