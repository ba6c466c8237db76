//! Every value one of a few categories, from a logit for each: tokens, label maps, genotypes, answers.

use super::{Decode, Density, Likelihood, Natural, Outcomes, Outside, Python, columns};
use crate::config;

pub static LIKELIHOOD: Likelihood = Likelihood {
    kind: config::Likelihood::Categorical,
    outcomes: Outcomes::Others,
    density: Density::Columns,
    heads: 1,
    globals: None,
    mean: columns::means_by_type,
    baseline: None,
    outside: Outside {
        heads: &["decoder.logits"],
        mean: "the probability of each category of each value, one value after the other",
        natural: Some(Natural {
            name: "logits",
            what: "a logit for each category of each value, one value after the other",
            why: Natural::ROUNDED,
            distortion: None,
        }),
        gives: |_| "a logit for each category of each value, one value after the other".into(),
        decode: |to| Python::returns(&probabilities(to, &(to.head)("decoder.logits"))),
    },
};

/// The probabilities of categories, from their logits: an expression in Python.
fn probabilities(to: &Decode, logits: &str) -> String {
    let Some(encoding) = to.encoding else { return logits.to_owned() };
    if let Some((_, categories)) = encoding.categories() {
        return format!("{logits}.unflatten(1, ({}, {categories})).softmax(2).flatten(1)", encoding.columns.len());
    }
    let widths: Vec<usize> = encoding.columns.iter().map(|column| column.kind.width()).collect();
    format!("torch.cat([column.softmax(1) for column in {logits}.split({widths:?}, 1)], 1)")
}
