//! Independent negative binomial distributions of each value, from the logarithms of their means, with a learned dispersion
//! for each place: counts that vary more. The form is that of Lopez et al. 2018, where places are genes.

use super::poisson::RATE;
use super::{Density, Global, Globals, Likelihood, Natural, Outcomes, Outside, Python, columns};
use crate::config;
use crate::graph::columns::{Distribution, LOG_DISPERSION};

pub static LIKELIHOOD: Likelihood = Likelihood {
    kind: config::Likelihood::NegativeBinomial,
    outcomes: Outcomes::Others,
    density: Density::Values(Distribution::NegativeBinomial, None),
    heads: 1,
    globals: Some(DISPERSION),
    mean: columns::rates,
    baseline: None,
    outside: Outside {
        heads: &["decoder.log_mean"],
        mean: RATE,
        natural: Some(Natural {
            name: "log_mean",
            what: "the logarithm of each value's mean",
            why: Natural::LOGARITHM,
            distortion: None,
        }),
        gives: |of| {
            format!(
                "the logarithm of the mean of a negative binomial distribution per value, whose inverse dispersion is in \
                 `learned.inverse_dispersion` of `{}`",
                of.file
            )
        },
        decode: |to| Python::returns(&format!("{}.clamp(-20, 20).exp()", to.log_means("decoder.log_mean"))),
    },
};

/// An inverse dispersion for each place.
pub(super) const DISPERSION: Globals = Globals {
    // The variance starts at twice that of a Poisson distribution where the mean is 1.
    tensor: |model| {
        let width = model.width;
        Some(Global { name: "decoder.log_dispersion", count: width, places: width, start: 0.0 })
    },
    value: |_, log| log.clamp(LOG_DISPERSION.low, LOG_DISPERSION.high).exp(),
    key: "inverse_dispersion",
    single: false,
    words: |all, _| in_words(all),
};

fn in_words(dispersions: &[f32]) -> [String; 3] {
    let mut sorted = dispersions.to_vec();
    sorted.sort_by(f32::total_cmp);
    let at = |place: usize| sorted.get(place).copied().unwrap_or(f32::NAN);
    let [least, middle, most] = [0, sorted.len() / 2, sorted.len().saturating_sub(1)].map(at);
    let what = format!("the median inverse dispersion, of {least:.3} to {most:.3}");
    ["theta".into(), format!("{middle:.3}"), what]
}
