//! The distribution of the data given what the decoder puts out.

use super::Model;
use crate::config::{Activation, Likelihood, ModelConfig, Scales};
use crate::data::table::{Encoding, Kind};
use crate::error::Result;
use crate::graph::columns::{Column, Columns, Distribution, LOG_DISPERSION, LOG_RATE};
use crate::graph::mixture::{LOG_SCALE, Mixture};
use crate::graph::op::Variance;
use crate::graph::{Clamp, Graph, Id, Op};
use serde::Serialize;
use std::ops::Range;
use std::sync::Arc;

/// Numbers that the decoder's network puts out for examples of so many values in so many channels; columns of different
/// kinds say by themselves how many they want.
pub fn outputs(config: &ModelConfig, [channels, height, wide]: [usize; 3]) -> usize {
    let width = channels * height * wide;
    match config.likelihood {
        Likelihood::Bernoulli
        | Likelihood::Gaussian
        | Likelihood::GaussianShared
        | Likelihood::Poisson
        | Likelihood::NegativeBinomial
        | Likelihood::Categorical => width,
        Likelihood::GaussianLearned | Likelihood::Heterogeneous => 2 * width,
        Likelihood::LogisticMixture => mixtures(config, channels).of_network(width),
    }
}

/// How many equal heads stand in the decoder's last map side by side.
pub fn heads(likelihood: Likelihood) -> usize {
    match likelihood {
        Likelihood::GaussianLearned | Likelihood::Heterogeneous => 2,
        Likelihood::Bernoulli
        | Likelihood::Gaussian
        | Likelihood::GaussianShared
        | Likelihood::LogisticMixture
        | Likelihood::Poisson
        | Likelihood::NegativeBinomial
        | Likelihood::Categorical => 1,
    }
}

/// What the decoder has once for all examples: a trainable tensor of so many numbers beside its network, under this name.
/// One log-variance for all values is that of Rybkin, Daniilidis, Levine 2021, "Simple and effective VAE training with
/// calibrated decoders", section 3; a dispersion for each place that of Lopez et al. 2018, where places are genes; a scale
/// for each component and channel of a mixture of logistics that of Kingma et al. 2016 ([`Mixture`]).
pub fn shared(model: &Model) -> Option<(&'static str, usize)> {
    match model.config.likelihood {
        Likelihood::GaussianShared => Some(("decoder.log_variance", 1)),
        Likelihood::NegativeBinomial => Some(("decoder.log_dispersion", model.width)),
        Likelihood::LogisticMixture if mixture(model).shared_scales => {
            Some(("decoder.log_scale", model.config.components * model.shape[0]))
        }
        _ => None,
    }
}

/// How many places of each row the numbers of [`shared`] take.
pub fn beside(model: &Model) -> usize {
    match (model.config.likelihood, shared(model)) {
        (_, None) => 0,
        (Likelihood::LogisticMixture, _) => mixture(model).beside(model.width),
        _ => model.width,
    }
}

/// What a decoder has learned once for all examples, as it is told to people and programs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Learned {
    /// The deviation of every value, in the units of the model.
    Sigma(f32),
    /// The inverse dispersion of each value.
    InverseDispersion(Vec<f32>),
    /// Of each component of a mixture the scale of each channel, in levels of 256.
    Scale(Vec<f32>),
}

/// What the numbers of the tensor of [`shared`] stand for, each held within its range.
pub fn learned(model: &Model, logs: &[f32]) -> Option<Learned> {
    match (model.config.likelihood, logs) {
        (Likelihood::GaussianShared, &[log_variance]) => {
            let [low, high] = model.config.decoder_log_variance;
            Some(Learned::Sigma((0.5 * log_variance.clamp(low, high)).exp()))
        }
        (Likelihood::NegativeBinomial, logs) => {
            let held = |log: &f32| log.clamp(LOG_DISPERSION.low, LOG_DISPERSION.high).exp();
            Some(Learned::InverseDispersion(logs.iter().map(held).collect()))
        }
        (Likelihood::LogisticMixture, logs) => {
            let levels = |log: &f32| 127.5 * log.clamp(LOG_SCALE.low, LOG_SCALE.high).exp();
            Some(Learned::Scale(logs.iter().map(levels).collect()))
        }
        _ => None,
    }
}

/// What the decoder's network put out, with what it has for all examples beside each row: what the other functions here
/// call `out`, [R, O]. `shared` is the tensor of [`shared`].
pub fn complete(graph: &mut Graph, model: &Model, out: Id, shared: Option<Id>) -> Result<Id> {
    match shared {
        Some(w) => graph.add(Op::Append { x: out, w, tail: beside(model) }),
        None => Ok(out),
    }
}

/// −log p(x|z) per row in nats, [R].
pub fn distortion(graph: &mut Graph, model: &Model, out: Id, x: Id) -> Result<Id> {
    match (by_column(model), &model.config) {
        (Some(columns), _) => graph.add(Op::Table { out, x, columns }),
        (None, config) if config.likelihood == Likelihood::LogisticMixture => {
            graph.add(Op::LogisticMixture { out, x, mixture: mixture(model) })
        }
        (None, config) => match variance(config) {
            None => graph.add(Op::Bernoulli { logits: out, x }),
            Some(variance) => graph.add(Op::Gaussian { out, x, variance }),
        },
    }
}

/// The mean of p(x|z) out of what the decoder's network puts out, [R, D]; with learned variances [R, O], whose first D are
/// the mean.
pub fn mean(graph: &mut Graph, model: &Model, out: Id) -> Result<Id> {
    let rates = |distribution| Arc::new(uniform(&model.config, distribution, model.width));
    match (&model.columns, model.config.likelihood) {
        (_, Likelihood::Poisson | Likelihood::NegativeBinomial) => {
            graph.add(Op::TableMean { out, columns: rates(Distribution::Poisson) })
        }
        (Some(columns), _) => graph.add(Op::TableMean { out, columns: columns.clone() }),
        (None, Likelihood::Bernoulli) => graph.add(Op::Activation { x: out, kind: Activation::Sigmoid }),
        (None, Likelihood::LogisticMixture) => graph.add(Op::LogisticMixtureMean { out, mixture: mixture(model) }),
        (None, _) => Ok(out),
    }
}

/// Numbers per row of what [`mean`] gives.
pub fn mean_width(model: &Model) -> usize {
    match model.config.likelihood {
        Likelihood::GaussianLearned | Likelihood::Heterogeneous => model.output_width(),
        _ => model.width,
    }
}

/// What the encoder is shown of examples [B, D]: zeros for what is missing, logarithms of counts.
pub fn shown(graph: &mut Graph, model: &Model, x: Id) -> Result<Id> {
    let masked = model.missing && model.config.likelihood == Likelihood::LogisticMixture;
    let levels = || Arc::new(uniform(&model.config, Distribution::FixedNormal, model.width));
    match by_column(model).or_else(|| masked.then(levels)) {
        Some(columns) => graph.add(Op::TableInput { x, columns }),
        None => Ok(x),
    }
}

/// The mixtures of a model of images.
pub fn mixture(model: &Model) -> Mixture {
    mixtures(&model.config, model.shape[0])
}

fn mixtures(config: &ModelConfig, channels: usize) -> Mixture {
    Mixture { components: config.components, channels, shared_scales: config.scales == Scales::Shared }
}

/// The columns of a heterogeneous or a categorical likelihood: of what has no types, numbers.
pub fn columns(config: &ModelConfig, width: usize, encoding: Option<&Encoding>) -> Columns {
    let column = |kind: &Kind| {
        let distribution = match kind {
            Kind::Numeric { .. } => Distribution::Normal,
            Kind::Binary { .. } => Distribution::Bernoulli,
            Kind::Category { .. } | Kind::Numbered { .. } => Distribution::Categorical,
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

/// What computes the likelihood column by column: because columns differ, because they are counts, or because values may
/// be missing. A mixture of logistics masks values itself.
pub fn by_column(model: &Model) -> Option<Arc<Columns>> {
    let distribution = match model.config.likelihood {
        _ if model.columns.is_some() => return model.columns.clone(),
        Likelihood::LogisticMixture => return None,
        Likelihood::Poisson => Distribution::Poisson,
        Likelihood::NegativeBinomial => Distribution::NegativeBinomial,
        Likelihood::Categorical => Distribution::Categorical,
        _ if !model.missing => return None,
        Likelihood::Bernoulli => Distribution::Bernoulli,
        Likelihood::Gaussian => Distribution::FixedNormal,
        Likelihood::GaussianLearned | Likelihood::GaussianShared | Likelihood::Heterogeneous => Distribution::Normal,
    };
    Some(Arc::new(uniform(&model.config, distribution, model.width)))
}

/// Columns of one kind.
fn uniform(config: &ModelConfig, distribution: Distribution, width: usize) -> Columns {
    of(config, vec![Column { distribution, places: 1 }; width])
}

fn of(config: &ModelConfig, all: Vec<Column>) -> Columns {
    let [low, high] = config.decoder_log_variance;
    Columns { all, clamp: Clamp { low, high }, fixed_log_variance: 2.0 * config.sigma.ln() }
}

fn variance(config: &ModelConfig) -> Option<Variance> {
    let [low, high] = config.decoder_log_variance;
    match config.likelihood {
        Likelihood::Gaussian => Some(Variance::Fixed(2.0 * config.sigma.ln())),
        Likelihood::GaussianLearned | Likelihood::GaussianShared => Some(Variance::Learned(Clamp { low, high })),
        Likelihood::Bernoulli
        | Likelihood::Heterogeneous
        | Likelihood::LogisticMixture
        | Likelihood::Poisson
        | Likelihood::NegativeBinomial
        | Likelihood::Categorical => None,
    }
}

/// −log p(x|z) of each column of one example, in nats: what each contributes to its distortion. `out` is what the
/// decoder puts out for it before any non-linearity ([`complete`]), [`Model::output_width`] numbers; `x` are the D
/// numbers that the model is shown, NaN where a value is missing. Values are columns of their own where all are of one
/// kind; a category is one column with several places ([`Columns`](crate::graph::columns::Columns)). A column of which a
/// place is missing contributes nothing. The channels of a pixel are not independent in a mixture: each contributes
/// −log p given those before it.
pub fn column_distortions(model: &Model, out: &[f32], x: &[f32]) -> Vec<f64> {
    // As if values could be missing, whatever the likelihood.
    let Some(columns) = by_column(&Model { missing: true, ..model.clone() }) else {
        return mixture_distortions(mixture(model), out, x);
    };
    let term = |(distribution, places, second): (Distribution, Range<usize>, Option<usize>)| {
        let clamp = if distribution == Distribution::NegativeBinomial { LOG_DISPERSION } else { columns.clamp };
        let second = second.map_or(columns.fixed_log_variance, |at| out[at].clamp(clamp.low, clamp.high));
        let (out, x) = (&out[places.clone()], &x[places]);
        if x.iter().any(|x| x.is_nan()) { 0.0 } else { column_distortion(distribution, out, x, second.into()) }
    };
    columns.spans().into_iter().map(term).collect()
}

/// Those of a mixture of logistics: what is left of the components after each channel of a pixel.
fn mixture_distortions(mixture: Mixture, out: &[f32], x: &[f32]) -> Vec<f64> {
    let Mixture { components, channels, .. } = mixture;
    let (width, pixels) = (x.len(), x.len() / channels);
    let (means, scales) = (components * pixels, components * (pixels + width));
    // Nothing may overflow, nor all underflow.
    let total = |logs: &[f64]| {
        let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        largest + logs.iter().map(|log| (log - largest).exp()).sum::<f64>().ln()
    };
    let mut terms = vec![0.0; width];
    for pixel in 0..pixels {
        let mut logs: Vec<f64> = (0..components).map(|k| out[k * pixels + pixel].into()).collect();
        let prior = total(&logs);
        for log in &mut logs {
            *log -= prior;
        }
        for at in (0..channels).map(|channel| channel * pixels + pixel).filter(|&at| !x[at].is_nan()) {
            let before = total(&logs);
            for (k, log) in logs.iter_mut().enumerate() {
                let place = k * width + at;
                *log += level_log_mass(x[at].into(), out[means + place].into(), out[scales + place]);
            }
            terms[at] = before - total(&logs);
        }
    }
    terms
}

/// The logarithm of the mass of a level, a number from 0 to 1, under a logistic distribution of levels from −1 to 1.
fn level_log_mass(level: f64, mean: f64, log_scale: f32) -> f64 {
    let inverse = (-f64::from(log_scale.clamp(LOG_SCALE.low, LOG_SCALE.high))).exp();
    let edge = |level: f64| inverse * (2.0 * level - 1.0 - mean);
    let (above, below) = (edge(level + 0.5 / 255.0), edge(level - 0.5 / 255.0));
    // log σ, which nothing of makes zero.
    let log_sigmoid = |x: f64| x.min(0.0) - (-x.abs()).exp().ln_1p();
    match (255.0 * level).round() {
        0.0 => log_sigmoid(above),
        255.0 => log_sigmoid(-below),
        _ => log_sigmoid(above) + log_sigmoid(-below) + (-(below - above).exp_m1()).ln(),
    }
}

/// −log p of the places of one column, of which none is missing.
fn column_distortion(distribution: Distribution, out: &[f32], x: &[f32], second: f64) -> f64 {
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
        Distribution::NegativeBinomial => {
            let (mean, theta) = (first.clamp(LOG_RATE.low.into(), LOG_RATE.high.into()).exp(), second.exp());
            let choices = ln_gamma(value + theta) - ln_gamma(theta) - ln_gamma(value + 1.0);
            (theta + value) * (theta + mean).ln() - theta * second - value * mean.ln() - choices
        }
    }
}

/// log Γ(z) for z > 0, from Stirling's series at z + 10, where it leaves out 1e-12.
fn ln_gamma(z: f64) -> f64 {
    let shifted = z + 10.0;
    let series = 1.0 / (12.0 * shifted) - 1.0 / (360.0 * shifted.powi(3)) + 1.0 / (1260.0 * shifted.powi(5))
        - 1.0 / (1680.0 * shifted.powi(7));
    let stirling = (shifted - 0.5) * shifted.ln() - shifted + 0.5 * (2.0 * std::f64::consts::PI).ln() + series;
    stirling - (0..10).map(|n| (z + f64::from(n)).ln()).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Binarise, Config};
    use crate::graph::op::Source;

    fn model(likelihood: Likelihood, width: usize) -> Model {
        let config =
            ModelConfig { likelihood, sigma: 0.5, decoder_log_variance: [-4.0, 2.0], ..Config::default().model };
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
    fn the_weights_of_a_mixture_count_relative_to_each_other_however_large_they_are() {
        let mut model = model(Likelihood::LogisticMixture, 1);
        model.config.components = 2;
        // Logits, means, log-scales of two components; the second has an eighth of the first one's weight.
        let out = |shift: f32| [shift, shift - 8.0_f32.ln(), 0.0, 0.5, -2.0, -3.0];
        let expected = column_distortions(&model, &out(0.0), &[0.5]);
        for shift in [-2000.0, 2000.0] {
            let found = column_distortions(&model, &out(shift), &[0.5]);
            // A logit of thousands has four digits left behind its point.
            assert!((found[0] - expected[0]).abs() < 1e-3, "{shift}: {found:?} is not {expected:?}");
        }
    }

    #[test]
    fn factorials_are_those_of_the_definition() {
        for n in [0.0, 1.0, 2.0, 7.0, 30.0] {
            let expected: f64 = (1..=n as u32).map(|k| f64::from(k).ln()).sum();
            assert!((ln_gamma(n + 1.0) - expected).abs() < 1e-11, "{n}");
        }
    }
}
