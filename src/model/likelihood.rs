//! The distribution of the data given what the decoder puts out.

use super::Model;
use crate::config::{Activation, Likelihood, ModelConfig};
use crate::data::table::{Encoding, Kind};
use crate::error::Result;
use crate::graph::columns::{Column, Columns, Distribution, LOG_RATE};
use crate::graph::op::Variance;
use crate::graph::{Clamp, Graph, Id, Op};
use std::ops::Range;
use std::sync::Arc;

/// Numbers that the decoder puts out per value of the data; for columns of different kinds, the most there can be.
pub fn outputs_per_value(likelihood: Likelihood) -> usize {
    match likelihood {
        Likelihood::Bernoulli | Likelihood::Gaussian => 1,
        Likelihood::GaussianLearned | Likelihood::Heterogeneous => 2,
    }
}

/// −log p(x|z) per row in nats, [R].
pub fn distortion(graph: &mut Graph, model: &Model, out: Id, x: Id) -> Result<Id> {
    match (by_column(model), variance(&model.config)) {
        (Some(columns), _) => graph.add(Op::Table { out, x, columns }),
        (None, None) => graph.add(Op::Bernoulli { logits: out, x }),
        (None, Some(variance)) => graph.add(Op::Gaussian { out, x, variance }),
    }
}

/// The mean of p(x|z), [R, D]; with learned variances [R, O], whose first D are the mean.
pub fn mean(graph: &mut Graph, model: &Model, out: Id) -> Result<Id> {
    match (&model.columns, model.config.likelihood) {
        (Some(columns), _) => graph.add(Op::TableMean { out, columns: columns.clone() }),
        (None, Likelihood::Bernoulli) => graph.add(Op::Activation { x: out, kind: Activation::Sigmoid }),
        (None, _) => Ok(out),
    }
}

/// The columns of a heterogeneous likelihood: of what has no types, numbers.
pub fn columns(config: &ModelConfig, width: usize, encoding: Option<&Encoding>) -> Columns {
    let column = |kind: &Kind| {
        let distribution = match kind {
            Kind::Numeric { .. } => Distribution::Normal,
            Kind::Binary { .. } => Distribution::Bernoulli,
            Kind::Category { .. } => Distribution::Categorical,
            Kind::Count => Distribution::Poisson,
            Kind::Text { .. } => return None,
        };
        Some(Column { distribution, places: kind.width() })
    };
    let all = match encoding {
        Some(encoding) => encoding.columns.iter().filter_map(|given| column(&given.kind)).collect(),
        None => vec![Column { distribution: Distribution::Normal, places: 1 }; width],
    };
    of(config, all)
}

/// What computes the likelihood column by column: because columns differ, or because values may be missing.
pub fn by_column(model: &Model) -> Option<Arc<Columns>> {
    if model.columns.is_some() || !model.missing {
        return model.columns.clone();
    }
    let distribution = match model.config.likelihood {
        Likelihood::Bernoulli => Distribution::Bernoulli,
        Likelihood::Gaussian => Distribution::FixedNormal,
        Likelihood::GaussianLearned | Likelihood::Heterogeneous => Distribution::Normal,
    };
    Some(Arc::new(of(&model.config, vec![Column { distribution, places: 1 }; model.width])))
}

fn of(config: &ModelConfig, all: Vec<Column>) -> Columns {
    let [low, high] = config.log_variance;
    Columns { all, clamp: Clamp { low, high }, fixed_log_variance: 2.0 * config.sigma.ln() }
}

fn variance(config: &ModelConfig) -> Option<Variance> {
    let [low, high] = config.log_variance;
    match config.likelihood {
        Likelihood::Bernoulli => None,
        Likelihood::Gaussian => Some(Variance::Fixed(2.0 * config.sigma.ln())),
        Likelihood::GaussianLearned | Likelihood::Heterogeneous => Some(Variance::Learned(Clamp { low, high })),
    }
}

/// −log p(x|z) of each column of one example, in nats: what each contributes to its distortion. `out` is what the
/// decoder puts out for it before any non-linearity, [`Model::output_width`] numbers; `x` are the D numbers that the
/// model is shown, NaN where a value is missing. Values are columns of their own where all are of one kind; a category
/// is one column with several places ([`Columns`](crate::graph::columns::Columns)). A column of which a place is
/// missing contributes nothing.
pub fn column_distortions(model: &Model, out: &[f32], x: &[f32]) -> Vec<f64> {
    // As if values could be missing, whatever the likelihood.
    let Some(columns) = by_column(&Model { missing: true, ..model.clone() }) else { return vec![] };
    let term = |(distribution, places, lv): (Distribution, Range<usize>, Option<usize>)| {
        let log_variance =
            lv.map_or(columns.fixed_log_variance, |at| out[at].clamp(columns.clamp.low, columns.clamp.high));
        let (out, x) = (&out[places.clone()], &x[places]);
        if x.iter().any(|x| x.is_nan()) { 0.0 } else { column_distortion(distribution, out, x, log_variance.into()) }
    };
    columns.spans().into_iter().map(term).collect()
}

/// −log p of the places of one column, of which none is missing.
fn column_distortion(distribution: Distribution, out: &[f32], x: &[f32], log_variance: f64) -> f64 {
    let (first, value) = (f64::from(out[0]), f64::from(x[0]));
    match distribution {
        Distribution::Normal | Distribution::FixedNormal => {
            let square = (value - first).powi(2) * (-log_variance).exp();
            0.5 * ((2.0 * std::f64::consts::PI).ln() + log_variance + square)
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
            log_rate.exp() - value * log_rate + ln_factorial(value)
        }
    }
}

/// ln n! of a whole number, from Stirling's series at n + 10 where it holds to 1e-14.
fn ln_factorial(n: f64) -> f64 {
    let m = n + 10.0;
    let series = 1.0 / (12.0 * m) - 1.0 / (360.0 * m.powi(3)) + 1.0 / (1260.0 * m.powi(5)) - 1.0 / (1680.0 * m.powi(7));
    let at_m = m * m.ln() - m + 0.5 * (2.0 * std::f64::consts::PI * m).ln() + series;
    at_m - (1..=10).map(|step| (n + f64::from(step)).ln()).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Binarise, Config};
    use crate::graph::op::Source;

    fn model(likelihood: Likelihood, width: usize) -> Model {
        let config = ModelConfig { likelihood, sigma: 0.5, log_variance: [-4.0, 2.0], ..Config::default().model };
        Model {
            config,
            width,
            shape: [1, 1, width],
            source: Source::Floats,
            binarise: Binarise::None,
            columns: None,
            missing: true,
            classes: 0,
        }
    }

    #[track_caller]
    fn assert_terms(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        let far = found.iter().zip(expected).any(|(f, e)| (f - e).abs() > 1e-6);
        assert!(!far, "{found:?} is not {expected:?}");
    }

    #[test]
    fn each_value_contributes_minus_the_log_of_its_density_and_missing_ones_nothing() {
        let half_log_two_pi = 0.918_938_533_204_672_7;
        let found = column_distortions(&model(Likelihood::Bernoulli, 3), &[2.0, -1.0, 5.0], &[1.0, 0.0, f32::NAN]);
        assert_terms(&found, &[(1.0 + (-2.0_f64).exp()).ln(), (1.0 + (-1.0_f64).exp()).ln(), 0.0]);
        let found = column_distortions(&model(Likelihood::Gaussian, 2), &[1.0, 0.0], &[2.0, f32::NAN]);
        assert_terms(&found, &[half_log_two_pi + 0.5_f64.ln() + 2.0, 0.0]);
        let learned = model(Likelihood::GaussianLearned, 2);
        let found = column_distortions(&learned, &[1.0, 0.0, -9.0, 1.0], &[1.5, 1.0]);
        let expected = [half_log_two_pi - 2.0 + 0.125 * 4.0_f64.exp(), half_log_two_pi + 0.5 + 0.5 * (-1.0_f64).exp()];
        assert_terms(&found, &expected);
    }

    #[test]
    fn columns_of_different_kinds_contribute_by_their_own_distributions() {
        use Distribution::{Bernoulli, Categorical, Normal, Poisson};
        let kinds = [(Normal, 1), (Categorical, 3), (Bernoulli, 1), (Normal, 1), (Poisson, 1)];
        let all = kinds.map(|(distribution, places)| Column { distribution, places }).to_vec();
        let columns = Columns { all, clamp: Clamp { low: -4.0, high: 2.0 }, fixed_log_variance: 0.0 };
        assert_eq!((columns.width(), columns.outputs()), (7, 9));
        let model = Model { columns: Some(Arc::new(columns)), ..model(Likelihood::Gaussian, 7) };
        let out = [1.0, 0.5, -1.0, 0.0, 2.0, 0.0, 1.5, 0.0, 1.0];
        let mut x = [1.0, 0.0, 0.0, 1.0, 1.0, 2.0, 12.0];
        let half_log_two_pi = 0.918_938_533_204_672_7;
        let softmax = (0.5_f64.exp() + (-1.0_f64).exp() + 1.0).ln();
        let factorial: f64 = (1..=12).map(|n| f64::from(n).ln()).sum();
        let expected = [
            half_log_two_pi,
            softmax,
            (1.0 + (-2.0_f64).exp()).ln(),
            half_log_two_pi + 0.5 + 2.0 * (-1.0_f64).exp(),
            1.5_f64.exp() - 12.0 * 1.5 + factorial,
        ];
        assert_terms(&column_distortions(&model, &out, &x), &expected);
        x[1..4].fill(f32::NAN);
        x[6] = f32::NAN;
        let expected = [expected[0], 0.0, expected[2], expected[3], 0.0];
        assert_terms(&column_distortions(&model, &out, &x), &expected);
    }

    #[test]
    fn factorials_are_those_of_the_definition() {
        for n in [0.0, 1.0, 2.0, 7.0, 30.0] {
            let expected: f64 = (1..=n as u32).map(|k| f64::from(k).ln()).sum();
            assert!((ln_factorial(n) - expected).abs() < 1e-11, "{n}");
        }
    }
}
