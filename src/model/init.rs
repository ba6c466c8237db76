//! Initial parameters: a function of the seed alone, the same for every device.

use super::Model;
use super::likelihood::outputs_per_value;
use crate::config::{Init, Likelihood};
use crate::rng::{Philox, Stream};

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
            for (bias, &mean) in values[(rows - 1) * columns..].iter_mut().zip(means) {
                *bias = start(model.config.likelihood, mean);
            }
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

/// The bias at which the decoder puts out `mean`.
fn start(likelihood: Likelihood, mean: f32) -> f32 {
    match likelihood {
        Likelihood::Bernoulli => {
            let p = mean.clamp(0.001, 0.999);
            (p / (1.0 - p)).ln()
        }
        Likelihood::Gaussian | Likelihood::GaussianLearned => mean,
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
        let logit = start(Likelihood::Bernoulli, 0.2);
        assert!((1.0 / (1.0 + (-logit).exp()) - 0.2).abs() < 1e-6);
        assert_eq!(start(Likelihood::Bernoulli, 0.0), start(Likelihood::Bernoulli, 0.001));
        assert_eq!(start(Likelihood::Gaussian, 0.3), 0.3);
    }
}
