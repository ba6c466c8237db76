//! Independent Poisson distributions of each value, from the logarithms of their rates: counts.

use super::{Density, Likelihood, Natural, Outcomes, Outside, Python, columns};
use crate::config;
use crate::graph::columns::Distribution;

pub static LIKELIHOOD: Likelihood = Likelihood {
    kind: config::Likelihood::Poisson,
    outcomes: Outcomes::Others,
    density: Density::Values(Distribution::Poisson, None),
    heads: 1,
    globals: None,
    mean: columns::rates,
    baseline: None,
    outside: Outside {
        heads: &["decoder.log_rate"],
        mean: RATE,
        natural: Some(Natural {
            name: "log_rate",
            what: "the logarithm of each value's rate",
            why: Natural::LOGARITHM,
            distortion: None,
        }),
        gives: |_| "the logarithm of the rate of a Poisson distribution per value".into(),
        decode: |to| Python::returns(&format!("{}.clamp(-20, 20).exp()", to.log_means("decoder.log_rate"))),
    },
};

/// What a mean is that counts have.
pub(super) const RATE: &str = "the mean of p(x|z), a rate of counts";
