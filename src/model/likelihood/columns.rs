//! Likelihoods of which every column of an example, often a single value, has a distribution of its own.

use super::Model;
use crate::config::ModelConfig;
use crate::data::table::{ColumnKind, Encoding};
use crate::error::Result;
use crate::graph::columns::{Column, Columns, Distribution, LOG_DISPERSION, LOG_RATE};
use crate::graph::{Clamp, Graph, Id, Op};
use std::ops::Range;
use std::sync::Arc;

/// The columns of a heterogeneous or a categorical likelihood: of what has no types, numbers.
pub fn columns(config: &ModelConfig, width: usize, encoding: Option<&Encoding>) -> Columns {
    let column = |kind: &ColumnKind| {
        let distribution = match kind {
            ColumnKind::Numeric { .. } => Distribution::Normal,
            ColumnKind::Binary { .. } => Distribution::Bernoulli,
            ColumnKind::Category { .. } | ColumnKind::Numbered { .. } => Distribution::Categorical,
            ColumnKind::Count => Distribution::Poisson,
            ColumnKind::Text { .. } => return None,
        };
        Some(Column { distribution, places: kind.width() })
    };
    let all = match encoding {
        Some(encoding) => encoding.columns.iter().filter_map(|given| column(&given.kind)).collect(),
        None => vec![Column { distribution: Distribution::Normal, places: 1 }; width],
    };
    of(config, all)
}

/// The range to which log-variances of values are limited.
pub(super) fn range(config: &ModelConfig) -> Clamp {
    let [low, high] = config.decoder_log_variance;
    Clamp { low, high }
}

/// Values of one kind.
pub(crate) fn uniform(config: &ModelConfig, distribution: Distribution, width: usize) -> Columns {
    of(config, vec![Column { distribution, places: 1 }; width])
}

/// Columns with the ranges and the deviation of a configuration.
fn of(config: &ModelConfig, all: Vec<Column>) -> Columns {
    Columns { all, clamp: range(config), fixed_log_variance: 2.0 * config.sigma.ln() }
}

/// −log p of each column of an example, of a column of which a place is missing 0.
pub(super) fn terms(columns: &Columns, out: &[f32], x: &[f32]) -> Vec<f64> {
    let held = |at: usize, clamp: Clamp| out[at].clamp(clamp.low, clamp.high);
    let term =
        |((distribution, places, second), third): ((Distribution, Range<usize>, Option<usize>), Option<usize>)| {
            let second = match (distribution, second) {
                (_, None) => columns.fixed_log_variance,
                (Distribution::NegativeBinomial, Some(at)) => held(at, LOG_DISPERSION),
                (Distribution::ZeroInflated, Some(at)) => out[at],
                (_, Some(at)) => held(at, columns.clamp),
            };
            let third = third.map_or(0.0, |at| held(at, LOG_DISPERSION));
            let (out, x) = (&out[places.clone()], &x[places]);
            let beside = [second, third].map(f64::from);
            if x.iter().any(|x| x.is_nan()) { 0.0 } else { column_distortion(distribution, out, x, beside) }
        };
    columns.spans().into_iter().zip(columns.third_places()).map(term).collect()
}

/// The biases at which the decoder puts out the means of the places of columns; none for places without a mean.
pub(super) fn starts(columns: &Columns, means: &[f32]) -> Vec<f32> {
    let places = |(distribution, span, _): (Distribution, Range<usize>, _)| {
        means.get(span).unwrap_or_default().iter().map(move |&mean| start(distribution, mean))
    };
    columns.spans().into_iter().flat_map(places).collect()
}

/// The bias at which the decoder puts out `mean`.
pub(super) fn start(distribution: Distribution, mean: f32) -> f32 {
    match distribution {
        Distribution::Bernoulli => {
            let p = mean.clamp(0.001, 0.999);
            (p / (1.0 - p)).ln()
        }
        Distribution::Normal | Distribution::FixedNormal => mean,
        Distribution::Categorical
        | Distribution::Poisson
        | Distribution::NegativeBinomial
        | Distribution::ZeroInflated => mean.max(0.001).ln(),
    }
}

/// The mean of each place out of what the decoder puts out, with the second numbers behind them.
pub(super) fn means(graph: &mut Graph, columns: Arc<Columns>, out: Id) -> Result<Id> {
    graph.add(Op::TableMean { out, columns })
}

/// The means of a model whose columns differ.
pub(super) fn means_by_type(graph: &mut Graph, model: &Model, out: Id) -> Result<Id> {
    let columns = super::by_column(model).unwrap_or_else(|| Arc::new(columns(&model.config, model.width, None)));
    means(graph, columns, out)
}

/// Rates from their logarithms.
pub(super) fn rates(graph: &mut Graph, model: &Model, out: Id) -> Result<Id> {
    means(graph, Arc::new(uniform(&model.config, Distribution::Poisson, model.width)), out)
}

/// −log p of the places of one column, of which none is missing, with the second and the third number of those that have them.
fn column_distortion(distribution: Distribution, out: &[f32], x: &[f32], [second, third]: [f64; 2]) -> f64 {
    let (first, value) = (f64::from(out[0]), f64::from(x[0]));
    match distribution {
        Distribution::Normal | Distribution::FixedNormal => {
            let square = (value - first).powi(2) * (-second).exp();
            0.5 * ((2.0 * std::f64::consts::PI).ln() + second + square)
        }
        Distribution::Bernoulli => first.max(0.0) - first * value + (-first.abs()).exp().ln_1p(),
        Distribution::Categorical => {
            let logits = || out.iter().map(|&logit| f64::from(logit));
            let largest = logits().fold(f64::NEG_INFINITY, f64::max);
            let total = largest + logits().map(|logit| (logit - largest).exp()).sum::<f64>().ln();
            logits().zip(x).map(|(logit, &x)| f64::from(x) * (total - logit)).sum()
        }
        Distribution::Poisson => {
            let log_rate = first.clamp(LOG_RATE.low.into(), LOG_RATE.high.into());
            log_rate.exp() - value * log_rate + ln_gamma(value + 1.0)
        }
        Distribution::ZeroInflated => {
            let count = column_distortion(Distribution::NegativeBinomial, out, x, [third, 0.0]);
            let added = second.min(0.0) - (-second.abs()).exp().ln_1p();
            let not_added = added - second;
            if value > 0.0 {
                return count - not_added;
            }
            let [more, less] = [added.max(not_added - count), added.min(not_added - count)];
            -(more + (less - more).exp().ln_1p())
        }
        Distribution::NegativeBinomial => {
            let (mean, theta) = (first.clamp(LOG_RATE.low.into(), LOG_RATE.high.into()).exp(), second.exp());
            let choices = ln_gamma(value + theta) - ln_gamma(theta) - ln_gamma(value + 1.0);
            (theta + value) * (theta + mean).ln() - theta * second - value * mean.ln() - choices
        }
    }
}

/// log Γ(z) for z > 0, from Stirling's series at z + 10, where it leaves out 1e-12.
pub(super) fn ln_gamma(z: f64) -> f64 {
    let shifted = z + 10.0;
    let series = 1.0 / (12.0 * shifted) - 1.0 / (360.0 * shifted.powi(3)) + 1.0 / (1260.0 * shifted.powi(5))
        - 1.0 / (1680.0 * shifted.powi(7));
    let stirling = (shifted - 0.5) * shifted.ln() - shifted + 0.5 * (2.0 * std::f64::consts::PI).ln() + series;
    stirling - (0..10).map(|n| (z + f64::from(n)).ln()).sum::<f64>()
}
