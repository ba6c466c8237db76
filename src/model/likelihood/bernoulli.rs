//! Independent Bernoulli distributions of each value, from logits (Kingma and Welling 2014, appendix C.1).

use super::{Density, Likelihood, Natural, Outcomes, Outside, Python};
use crate::config::{self, Activation};
use crate::graph::Op;
use crate::graph::columns::Distribution;

pub static LIKELIHOOD: Likelihood = Likelihood {
    kind: config::Likelihood::Bernoulli,
    outcomes: Outcomes::Binary,
    density: Density::Values(Distribution::Bernoulli, Some(|_, logits, x| Op::Bernoulli { logits, x })),
    heads: 1,
    globals: None,
    mean: |graph, _, x| graph.add(Op::Activation { x, kind: Activation::Sigmoid }),
    baseline: Some(|_, x, mean, _| {
        let mean = mean.clamp(1e-3, 1.0 - 1e-3);
        -(x * mean.ln() + (1.0 - x) * (1.0 - mean).ln())
    }),
    outside: Outside {
        heads: &["decoder.logits"],
        mean: "the probability of each value to be 1",
        natural: Some(Natural {
            name: "logits",
            what: "the logit of each value's probability",
            why: Natural::ROUNDED,
            distortion: Some("(numpy.logaddexp(0, logits) - x * logits).sum(1)"),
        }),
        gives: |_| "the logits of a Bernoulli distribution per value".into(),
        decode: |to| Python::returns(&format!("torch.sigmoid({}){}", (to.head)("decoder.logits"), to.units())),
    },
};
