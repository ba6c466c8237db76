//! A sequence of tokens, each one of a vocabulary: −Σ log softmax(logits) of the token in each place, given those before it, which
//! [`crate::model::sequence`] shows to the decoder. Places behind the end weigh nothing.

use super::draw::not_by_value;
use super::{Density, Joint, Likelihood, Model, Outcomes, Outside, Python};
use crate::config;
use crate::data::text::vocabulary::PADDING;
use crate::error::{Error, Result};
use crate::expr::Expr;
use crate::graph::{Axis, Graph, Id, Reduction};

pub static LIKELIHOOD: Likelihood = Likelihood {
    kind: config::Likelihood::Tokens,
    outcomes: Outcomes::Others,
    density: Density::Joint(Joint {
        // How many tokens there are is told by the data: the model knows ([`Model::output_width`]).
        outputs: |_, shape| shape.iter().product(),
        distortion,
        terms,
        starts: |_, _| vec![],
        given: |_, _, _| Err(not_by_value()),
    }),
    heads: 1,
    globals: None,
    mean: |_, _, _| Err(Error::Bug("tokens have no mean".into())),
    baseline: None,
    outside: Outside {
        heads: &["decoder.logits"],
        mean: "the probability of each token",
        natural: None,
        gives: |_| "a logit for each token".into(),
        decode: |to| Python::returns(&(to.head)("decoder.logits")),
    },
};

/// Of logits [R·T, V] and tokens [B, T] the nats of each row, [R].
fn distortion(graph: &mut Graph, model: &Model, out: Id, x: Id) -> Result<Id> {
    let rows = graph.shape(out).rows() / model.width;
    let x = graph.repeat(x, rows)?;
    let index = graph.reshape(x, &[rows * model.width])?;
    let all = graph.reduce(Reduction::LogSumExp, Axis::Columns, out)?;
    let own = graph.reduce_map(Reduction::Sum, Axis::Columns, [out, index], |[logit, token]| {
        token.equal(Expr::column()).select(logit, 0.0)
    })?;
    let nats = graph.map([all, own, index], |[all, own, token]| token.equal(PADDING as f32).select(0.0, all - own))?;
    let nats = graph.reshape(nats, &[rows, model.width])?;
    graph.reduce(Reduction::Sum, Axis::Columns, nats)
}

/// The same of one example, in double precision: a term for each place.
fn terms(model: &Model, out: &[f32], x: &[f32]) -> Vec<f64> {
    let term = |(logits, &token): (&[f32], &f32)| {
        if token == PADDING as f32 {
            return 0.0;
        }
        let logits: Vec<f64> = logits.iter().map(|&logit| logit.into()).collect();
        let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total = largest + logits.iter().map(|logit| (logit - largest).exp()).sum::<f64>().ln();
        total - logits[token as usize]
    };
    out.chunks_exact(out.len() / model.width.max(1)).zip(x).map(term).collect()
}
