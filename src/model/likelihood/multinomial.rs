//! An example is a set of items, each drawn from one distribution over all of them: −Σ xᵢ log softmax(logits)ᵢ of counts x
//! (Liang, Krishnan, Hoffman, Jebara 2018, "Variational autoencoders for collaborative filtering", arXiv 1802.05814,
//! equation 2). As there, the number of items is given, and what no parameter depends on is left out: log N!/Πxᵢ!, the
//! orders in which the items could have come.

use super::draw::not_by_value;
use super::{Density, Joint, Likelihood, Model, Natural, Outcomes, Outside, Python, columns, uniform};
use crate::config;
use crate::error::Result;
use crate::graph::columns::{Column, Columns, Distribution};
use crate::graph::{Axis, Graph, Id, Op, Reduction};
use std::sync::Arc;

pub static LIKELIHOOD: Likelihood = Likelihood {
    kind: config::Likelihood::Multinomial,
    outcomes: Outcomes::Others,
    density: Density::Joint(Joint {
        outputs: |_, shape| shape.iter().product(),
        distortion,
        terms,
        starts: |_, means| means.iter().map(|&mean| columns::start(Distribution::Categorical, mean)).collect(),
        given: |_, _, _| Err(not_by_value()),
    }),
    heads: 1,
    globals: None,
    // One column that all items are the levels of.
    mean: |graph, model, out| {
        let all = vec![Column { distribution: Distribution::Categorical, places: model.width }];
        columns::means(
            graph,
            Arc::new(Columns { all, clamp: columns::range(&model.config), fixed_log_variance: 0.0 }),
            out,
        )
    },
    baseline: None,
    outside: Outside {
        heads: &["decoder.logits"],
        mean: "the probability of each item to be the next one",
        natural: Some(Natural {
            name: "logits",
            what: "a logit for each item",
            why: Natural::ROUNDED,
            distortion: Some("(x * (numpy.logaddexp.reduce(logits, 1, keepdims=True) - logits)).sum(1)"),
        }),
        gives: |_| "a logit for each item of a multinomial distribution".into(),
        decode: |to| Python::returns(&format!("{}.softmax(1)", (to.head)("decoder.logits"))),
    },
};

/// Σ xᵢ (log Σ exp l − lᵢ).
fn distortion(graph: &mut Graph, model: &Model, out: Id, x: Id) -> Result<Id> {
    // Formulas know no NaN: what is missing has not been chosen.
    let columns = model.missing.then(|| uniform(model, Distribution::FixedNormal));
    let x = columns.map_or(Ok(x), |columns| graph.add(Op::TableInput { x, columns }))?;
    let total = graph.reduce(Reduction::LogSumExp, Axis::Columns, out)?;
    graph.reduce_map(Reduction::Sum, Axis::Columns, [out, x, total], |[logit, x, total]| x * (total - logit))
}

fn terms(_: &Model, out: &[f32], x: &[f32]) -> Vec<f64> {
    let logits = || out.iter().map(|&logit| f64::from(logit));
    let largest = logits().fold(f64::NEG_INFINITY, f64::max);
    let total = largest + logits().map(|logit| (logit - largest).exp()).sum::<f64>().ln();
    logits().zip(x).map(|(logit, &x)| if x.is_nan() { 0.0 } else { f64::from(x) * (total - logit) }).collect()
}
