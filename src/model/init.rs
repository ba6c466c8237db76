//! Initial parameters: a function of the seed alone, the same for every device.

use super::likelihood::{self, heads};
use super::network::Kind;
use super::{Model, network::Map};
use crate::config::{Init, Likelihood, Scales};
use crate::graph::columns::Distribution;
use crate::graph::mixture::LOG_SCALE;
use crate::rng::{Philox, Stream};
use std::ops::Range;

/// Initial values of every trainable tensor, in the order of [`Model::parameters`].
///
/// `means` are the training means of the D values; they are used where the configuration wants the decoder to start at
/// the mean of the data (Burda, Grosse and Salakhutdinov 2015, in the authors' code).
pub fn initial(model: &Model, seed: u64, means: &[f32]) -> Vec<Vec<f32>> {
    let parameters = model.parameters();
    let maps = model.maps();
    let last = maps.len() - 1;
    let tensors = parameters.iter().zip(&maps).enumerate().map(|(at, (parameter, map))| {
        let (rows, columns) = (parameter.shape.rows(), parameter.shape.columns());
        let heads = match parameter.name.as_str() {
            "decoder.head" => heads(model.config.likelihood),
            // Those of all encoders, and of decoders above the lowest, give mean and log-variance.
            name if name.rsplit('.').next() == Some("head") => 2,
            _ => 1,
        };
        let mut rng = Philox::new(seed, Stream::Init, at as u32, 0);
        let mut values = match map.kind {
            Kind::Dense { .. } | Kind::Conv(_) => {
                drawn(&mut rng, bounds(model.config.init, map, heads), rows - 1, columns)
            }
            // Scale and shift change nothing at first.
            Kind::Norm { .. } => [vec![1.0; columns], vec![0.0; columns]].concat(),
        };
        if at == last && model.config.output_bias_from_data {
            let starts = match map.kind {
                Kind::Dense { .. } => starts(model, means),
                Kind::Conv(_) | Kind::Norm { .. } => starts(model, &per_channel(means, model.shape)),
            };
            values[(rows - 1) * columns..][..starts.len()].copy_from_slice(&starts);
        }
        values
    });
    let mut tensors: Vec<_> = tensors.collect();
    // What stands beside the networks starts at the given deviation, or at a variance twice that of a Poisson
    // distribution where the mean is 1.
    tensors.extend(likelihood::shared(model).map(|(_, count)| match model.config.likelihood {
        Likelihood::GaussianShared => {
            let [low, high] = model.config.decoder_log_variance;
            vec![(2.0 * model.config.sigma.ln()).clamp(low, high); count]
        }
        Likelihood::LogisticMixture => vec![shared_log_scale(model); count],
        _ => vec![0.0; count],
    }));
    tensors.extend(model.prior_tensors().iter().map(|tensor| vec![tensor.start; tensor.shape.count()]));
    tensors
}

/// The bounds of weights and biases of a map that consists of `heads` equal ones side by side, each drawn as if it stood
/// alone.
fn bounds(init: Init, map: &Map, heads: usize) -> (f32, f32) {
    let (taps, outputs) = (map.taps(), map.outputs / heads);
    match init {
        Init::Pytorch => {
            // What PyTorch takes for the inputs of a transposed convolution is what it puts out.
            let inputs = if matches!(map.kind, Kind::Conv(window) if window.up) { outputs } else { map.inputs };
            let bound = 1.0 / ((taps * inputs) as f32).sqrt();
            (bound, bound)
        }
        Init::Glorot => ((6.0 / (taps * (map.inputs + outputs)) as f32).sqrt(), 0.0),
    }
}

/// A matrix [inputs + 1, outputs], uniform within the bounds.
fn drawn(rng: &mut Philox, (weight_bound, bias_bound): (f32, f32), inputs: usize, outputs: usize) -> Vec<f32> {
    let mut draw = |bound: f32| bound * (2.0 * rng.uniform() - 1.0);
    let mut values: Vec<f32> = (0..inputs * outputs).map(|_| draw(weight_bound)).collect();
    values.extend((0..outputs).map(|_| draw(bias_bound)));
    values
}

/// The means over the pixels of each channel; none if there are no means.
fn per_channel(means: &[f32], [_, height, width]: [usize; 3]) -> Vec<f32> {
    means.chunks_exact(height * width).map(|plane| plane.iter().sum::<f32>() / plane.len() as f32).collect()
}

/// The biases at which the decoder puts out the means of the D values.
fn starts(model: &Model, means: &[f32]) -> Vec<f32> {
    let Some(columns) = &model.columns else {
        let distribution = match model.config.likelihood {
            Likelihood::Bernoulli => Distribution::Bernoulli,
            Likelihood::Gaussian
            | Likelihood::GaussianLearned
            | Likelihood::GaussianShared
            | Likelihood::Heterogeneous => Distribution::Normal,
            Likelihood::Poisson | Likelihood::NegativeBinomial => Distribution::Poisson,
            Likelihood::Categorical => Distribution::Categorical,
            Likelihood::LogisticMixture => return spread(model, means),
        };
        return means.iter().map(|&mean| start(distribution, mean)).collect();
    };
    let places = |(distribution, span, _): (Distribution, Range<usize>, _)| {
        means.get(span).unwrap_or_default().iter().map(move |&mean| start(distribution, mean))
    };
    columns.spans().into_iter().flat_map(places).collect()
}

/// The biases of mixtures around the means of so many values, for components of the same weight. Those whose scales are the
/// decoder's stand side by side over all levels, whatever the means, since one that is far from them all would learn
/// nothing. Shared scales hold for all pixels: components start a scale apart around the mean.
fn spread(model: &Model, means: &[f32]) -> Vec<f32> {
    let mixture = likelihood::mixture(model);
    let components = mixture.components;
    let mut biases = vec![0.0; components * (means.len() / mixture.channels)];
    for k in 0..components {
        let place = k as f32 - 0.5 * (components as f32 - 1.0);
        biases.extend(means.iter().map(|mean| match model.config.scales {
            Scales::Each => 2.0 * place / components as f32,
            Scales::Shared => 2.0 * mean - 1.0 + place * shared_log_scale(model).exp(),
        }));
    }
    biases.resize(mixture.of_network(means.len()), -(components as f32).ln());
    biases
}

/// The log-scale of logistic distributions with the deviation `sigma` (s·π/√3, of levels twice as far apart). One that is
/// small beside the first errors is a good start: shared scales learn slowly, and while errors count for more than the rate,
/// latents become of use.
fn shared_log_scale(model: &Model) -> f32 {
    let log = (2.0 * 3.0_f32.sqrt() / std::f32::consts::PI * model.config.sigma).ln();
    log.clamp(LOG_SCALE.low, LOG_SCALE.high)
}

/// The bias at which the decoder puts out `mean`.
fn start(distribution: Distribution, mean: f32) -> f32 {
    match distribution {
        Distribution::Bernoulli => {
            let p = mean.clamp(0.001, 0.999);
            (p / (1.0 - p)).ln()
        }
        Distribution::Normal | Distribution::FixedNormal => mean,
        Distribution::Categorical | Distribution::Poisson | Distribution::NegativeBinomial => mean.max(0.001).ln(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Window;

    #[test]
    fn bounds_are_those_of_the_named_schemes() {
        let mut rng = Philox::new(1, Stream::Init, 0, 0);
        let largest = |values: &[f32]| values.iter().fold(0.0_f32, |a, v| a.max(v.abs()));
        let kind = Kind::Dense { from: None, to: None };
        let map = Map { name: String::new(), inputs: 400, outputs: 40, kind };
        let pytorch = drawn(&mut rng, bounds(Init::Pytorch, &map, 2), 400, 40);
        assert!(largest(&pytorch) <= 0.05 && largest(&pytorch) > 0.0499);
        let glorot = drawn(&mut rng, bounds(Init::Glorot, &map, 2), 400, 40);
        let bound = (6.0_f32 / 420.0).sqrt();
        assert!(largest(&glorot) <= bound && largest(&glorot) > 0.999 * bound);
        assert!(glorot[400 * 40..].iter().all(|&bias| bias == 0.0));
    }

    /// The bounds of `torch.nn.Conv2d(8, 32, 4)` and `torch.nn.ConvTranspose2d(8, 32, 4)`, and those of
    /// `torch.nn.init.xavier_uniform_`.
    #[test]
    fn the_bounds_of_convolutions_count_their_taps() {
        let down = Window::down([8, 8], 4, 2, 1).unwrap();
        let up = Window::up([8, 8], 4, 2, 1, 0).unwrap();
        for (window, init, expected) in [
            (down, Init::Pytorch, 1.0 / 128.0_f32),
            (up, Init::Pytorch, 1.0 / 512.0),
            (down, Init::Glorot, 6.0 / 640.0),
            (up, Init::Glorot, 6.0 / 640.0),
        ] {
            let map = Map { name: String::new(), inputs: 8, outputs: 32, kind: Kind::Conv(window) };
            let (bound, _) = bounds(init, &map, 1);
            assert!((bound - expected.sqrt()).abs() < 1e-7, "{init:?}, {window:?}: {bound}");
        }
        assert_eq!(per_channel(&[1.0, 3.0, 0.0, 4.0], [2, 1, 2]), [2.0, 2.0]);
    }

    #[test]
    fn a_mean_becomes_the_bias_that_gives_it_back() {
        let logit = start(Distribution::Bernoulli, 0.2);
        assert!((1.0 / (1.0 + (-logit).exp()) - 0.2).abs() < 1e-6);
        assert_eq!(start(Distribution::Bernoulli, 0.0), start(Distribution::Bernoulli, 0.001));
        assert_eq!(start(Distribution::Normal, 0.3), 0.3);
    }
}
