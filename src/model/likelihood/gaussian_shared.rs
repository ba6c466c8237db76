//! Independent normal distributions of each value with one deviation for all, which is learned: Rybkin, Daniilidis, Levine
//! 2021, "Simple and effective VAE training with calibrated decoders", section 3.

use super::columns::range;
use super::gaussian::MEAN;
use super::{Density, Global, Globals, Likelihood, Model, Outcomes, Outside, Python};
use crate::config;
use crate::graph::columns::Distribution;
use crate::graph::op::Variance;
use crate::graph::{Clamp, Op};

pub static LIKELIHOOD: Likelihood = Likelihood {
    kind: config::Likelihood::GaussianShared,
    outcomes: Outcomes::Intervals,
    density: Density::Values(
        Distribution::Normal,
        Some(|config, out, x| Op::Gaussian { out, x, variance: Variance::Learned(range(config)) }),
    ),
    heads: 1,
    globals: Some(Globals {
        tensor: |model| Some(log_variance(model)),
        value: |model, log_variance| {
            let Clamp { low, high } = range(&model.config);
            (0.5 * log_variance.clamp(low, high)).exp()
        },
        key: "sigma",
        single: true,
        words: |sigma, units| {
            let sigma = sigma.first().copied().unwrap_or(f32::NAN);
            ["sigma".into(), format!("{sigma:.4}"), format!("of every value, learned{units}")]
        },
    }),
    mean: |_, _, out| Ok(out),
    baseline: None,
    outside: Outside {
        heads: &["decoder.mean"],
        mean: MEAN,
        natural: None,
        gives: |of| {
            format!(
                "the mean of a normal distribution per value, whose deviation is learned and the same for all, {}{} \
                 (`learned.sigma` in `{}`)",
                of.sigma, of.units, of.file
            )
        },
        decode: |to| Python::returns(&format!("{}{}", (to.head)("decoder.mean"), to.units())),
    },
};

/// One log-variance, which starts at that of `sigma`.
fn log_variance(model: &Model) -> Global {
    let Clamp { low, high } = range(&model.config);
    let start = (2.0 * model.config.sigma.ln()).clamp(low, high);
    Global { name: "decoder.log_variance", count: 1, places: model.width, start }
}
