//! Initial parameters: a function of the seed alone, the same for every device.

use super::Model;
use super::likelihood::outputs_per_value;
use crate::config::{Init, Likelihood};
use crate::graph::columns::Distribution;
use crate::rng::{Philox, Stream};
use std::ops::Range;

/// Initial values of every trainable tensor, in the order of [`Model::parameters`].
///
/// `means` are the training means of the D values; they are used where the configuration wants the decoder to start at
/// the mean of the data (Burda, Grosse and Salakhutdinov 2015, in the authors' code).
pub fn initial(model: &Model, seed: u64, means: &[f32]) -> Vec<Vec<f32>> {
    let parameters = model.parameters();
    let last = parameters.len() - 1;
    let tensors = parameters.iter().enumerate().map(|(at, parameter)| {
        let (rows, columns) = (parameter.shape.rows(), parameter.shape.columns());
        let heads = match parameter.name.as_str() {
            "encoder.head" => 2,
            "decoder.head" => outputs_per_value(model.config.likelihood),
            _ => 1,
        };
        let mut rng = Philox::new(seed, Stream::Init, at as u32, 0);
        let mut values = affine(&mut rng, model.config.init, rows - 1, columns, heads);
        if at == last && model.config.output_bias_from_data {
            let starts = starts(model, means);
            values[(rows - 1) * columns..][..starts.len()].copy_from_slice(&starts);
        }
        values
    });
    tensors.collect()
}

/// An affine map [inputs + 1, outputs] of `heads` equal ones side by side, each drawn as if it stood alone.
fn affine(rng: &mut Philox, init: Init, inputs: usize, outputs: usize, heads: usize) -> Vec<f32> {
    let (weight_bound, bias_bound) = match init {
        Init::Pytorch => {
            let bound = 1.0 / (inputs as f32).sqrt();
            (bound, bound)
        }
        Init::Glorot => ((6.0 / (inputs + outputs / heads) as f32).sqrt(), 0.0),
    };
    let mut draw = |bound: f32| bound * (2.0 * rng.uniform() - 1.0);
    let mut values: Vec<f32> = (0..inputs * outputs).map(|_| draw(weight_bound)).collect();
    values.extend((0..outputs).map(|_| draw(bias_bound)));
    values
}

/// The biases at which the decoder puts out the means of the D values.
fn starts(model: &Model, means: &[f32]) -> Vec<f32> {
    let Some(columns) = &model.columns else {
        let distribution = match model.config.likelihood {
            Likelihood::Bernoulli => Distribution::Bernoulli,
            Likelihood::Gaussian | Likelihood::GaussianLearned | Likelihood::Heterogeneous => Distribution::Normal,
        };
        return means.iter().map(|&mean| start(distribution, mean)).collect();
    };
    let places = |(distribution, span, _): (Distribution, Range<usize>, _)| {
        means.get(span).unwrap_or_default().iter().map(move |&mean| start(distribution, mean))
    };
    columns.spans().into_iter().flat_map(places).collect()
}

/// The bias at which the decoder puts out `mean`.
fn start(distribution: Distribution, mean: f32) -> f32 {
    match distribution {
        Distribution::Bernoulli => {
            let p = mean.clamp(0.001, 0.999);
            (p / (1.0 - p)).ln()
        }
        Distribution::Normal | Distribution::FixedNormal => mean,
        Distribution::Categorical | Distribution::Poisson => mean.max(0.001).ln(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_those_of_the_named_schemes() {
        let mut rng = Philox::new(1, Stream::Init, 0, 0);
        let largest = |values: &[f32]| values.iter().fold(0.0_f32, |a, v| a.max(v.abs()));
        let pytorch = affine(&mut rng, Init::Pytorch, 400, 40, 2);
        assert!(largest(&pytorch) <= 0.05 && largest(&pytorch) > 0.0499);
        let glorot = affine(&mut rng, Init::Glorot, 400, 40, 2);
        let bound = (6.0_f32 / 420.0).sqrt();
        assert!(largest(&glorot) <= bound && largest(&glorot) > 0.999 * bound);
        assert!(glorot[400 * 40..].iter().all(|&bias| bias == 0.0));
    }

    #[test]
    fn a_mean_becomes_the_bias_that_gives_it_back() {
        let logit = start(Distribution::Bernoulli, 0.2);
        assert!((1.0 / (1.0 + (-logit).exp()) - 0.2).abs() < 1e-6);
        assert_eq!(start(Distribution::Bernoulli, 0.0), start(Distribution::Bernoulli, 0.001));
        assert_eq!(start(Distribution::Normal, 0.3), 0.3);
    }
}
