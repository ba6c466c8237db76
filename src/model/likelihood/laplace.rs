//! Independent Laplace distributions of each value with the deviation `sigma`: the distance from the mean over the scale
//! b = sigma/√2, and log 2b. What is far off counts less than with a normal distribution, so the median is learned.

use super::draw::{Factor, Given};
use super::gaussian::MEAN;
use super::{Density, Joint, Likelihood, Model, Outcomes, Outside, Python, uniform};
use crate::config::{self, ModelConfig};
use crate::error::Result;
use crate::expr::Expr;
use crate::graph::columns::{Columns, Distribution};
use crate::graph::{Axis, Elements, Graph, Id, Op, Reduction};
use std::sync::Arc;

pub static LIKELIHOOD: Likelihood = Likelihood {
    kind: config::Likelihood::Laplace,
    outcomes: Outcomes::Intervals,
    density: Density::Joint(Joint {
        outputs: |_, shape| shape.iter().product(),
        distortion,
        terms,
        starts: |_, means| means.to_vec(),
        given: |model, out, x| {
            let missing = (0..x.len()).filter(|&at| x[at].is_nan());
            Ok(missing
                .map(|at| Factor::column(&(at..at + 1), Given::Laplace(out[at].into(), scale(&model.config))))
                .collect())
        },
    }),
    heads: 1,
    globals: None,
    mean: |_, _, out| Ok(out),
    baseline: Some(|config, x, mean, _| distance(x, mean, scale(config))),
    outside: Outside {
        heads: &["decoder.mean"],
        mean: MEAN,
        natural: None,
        gives: |of| format!("the mean of a Laplace distribution with deviation {}{} per value", of.sigma, of.units),
        decode: |to| Python::returns(&format!("{}{}", (to.head)("decoder.mean"), to.units())),
    },
};

/// b of a deviation.
fn scale(config: &ModelConfig) -> f64 {
    f64::from(config.sigma) * std::f64::consts::FRAC_1_SQRT_2
}

/// −log p(x) of a value.
fn distance(x: f64, mean: f64, scale: f64) -> f64 {
    (x - mean).abs() / scale + (2.0 * scale).ln()
}

/// Σ |x − m|/b + log 2b over the values that are there.
fn distortion(graph: &mut Graph, model: &Model, out: Id, x: Id) -> Result<Id> {
    let b = scale(&model.config);
    let (factor, level) = ((1.0 / b) as f32, (2.0 * b).ln() as f32);
    if !model.missing {
        return graph.reduce_map(Reduction::Sum, Axis::Columns, [out, x], |[m, x]| (x - m).abs() * factor + level);
    }
    let columns = uniform(model, Distribution::FixedNormal);
    let shown = graph.add(Op::TableInput { x, columns: columns.clone() })?;
    let slope = slope(graph, x, shown, &columns)?;
    graph.reduce_map(Reduction::Sum, Axis::Columns, [out, shown, slope], |[m, x, slope]| {
        Expr::constant(0.5).less(slope).select((x - m).abs() * factor + level, 0.0)
    })
}

/// 1 or more where a value is there, 0 where it is missing, [B, D]. Formulas know no NaN and `shown` has a 0 in its place, but the
/// slope of a normal density 1 or more away from a value is 0 only where there is none.
fn slope(graph: &mut Graph, x: Id, shown: Id, columns: &Columns) -> Result<Id> {
    let columns = Arc::new(Columns { fixed_log_variance: 0.0, ..columns.clone() });
    let away = graph.map([shown], |[x]| x.clone() + x.abs().max(1.0))?;
    let of = graph.add(Op::Table { out: away, x, columns })?;
    let ones = Elements { operands: vec![], f: Expr::constant(1.0), rows: graph.batch, columns: 1 };
    let dy = graph.add(Op::Map(ones))?;
    graph.add(Op::Vjp { of, input: 0, dy })
}

fn terms(model: &Model, out: &[f32], x: &[f32]) -> Vec<f64> {
    let term = |(&m, &x): (&f32, &f32)| {
        if x.is_nan() { 0.0 } else { distance(x.into(), m.into(), scale(&model.config)) }
    };
    out.iter().zip(x).map(term).collect()
}
