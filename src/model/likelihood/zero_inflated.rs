//! Independent negative binomial distributions of each value to which zeros are added: a value is 0 with a probability whose logit the
//! decoder gives, whatever it would be otherwise (Lopez, Regier, Cole, Jordan, Yosef 2018, "Deep generative modeling for single-cell
//! transcriptomics", methods; in scVI `zinb`).

use super::negative_binomial::DISPERSION;
use super::poisson::RATE;
use super::{Density, Likelihood, Model, Natural, Outcomes, Outside, Python};
use crate::config;
use crate::error::Result;
use crate::graph::columns::{Distribution, LOG_RATE};
use crate::graph::{Graph, Id};

pub static LIKELIHOOD: Likelihood = Likelihood {
    kind: config::Likelihood::ZeroInflatedNegativeBinomial,
    outcomes: Outcomes::Others,
    density: Density::Values(Distribution::ZeroInflated, None),
    heads: 2,
    globals: Some(DISPERSION),
    mean,
    baseline: None,
    outside: Outside {
        heads: &["decoder.log_mean", "decoder.zero_logit"],
        mean: RATE,
        natural: Some(Natural {
            name: "log_mean_and_zero_logit",
            what: "the logarithms of the means that values have where no zero is added, then the logits of added zeros",
            why: Natural::MORE,
            distortion: None,
        }),
        gives: |of| {
            format!(
                "the logarithm of the mean of a negative binomial distribution per value, whose inverse dispersion is in \
                 `learned.inverse_dispersion` of `{}`, and the logit of the probability that it is 0 all the same",
                of.file
            )
        },
        decode: |to| {
            let (log_mean, logit) = (to.log_means("decoder.log_mean"), (to.head)("decoder.zero_logit"));
            Python::returns(&format!("({log_mean}.clamp(-20, 20) - F.softplus({logit})).exp()"))
        },
    },
};

/// exp l·(1 − π), with the zeros that are added: [R, D] of the network's output [R, 2D].
fn mean(graph: &mut Graph, model: &Model, out: Id) -> Result<Id> {
    let width = model.width;
    let (log_mean, logit) = (graph.columns(out, 0, width)?, graph.columns(out, width as i32, width)?);
    // exp l·sigmoid −r, whose second factor some runtimes round to 0 where the first is large.
    graph.map([log_mean, logit], |[log_mean, logit]| {
        (log_mean.clamp(LOG_RATE.low, LOG_RATE.high) - logit.softplus()).exp()
    })
}
