//! Initial parameters: a function of the seed alone, the same for every device.

use super::Model;
use super::autoregressive;
use super::codebook;
use super::likelihood;
use super::network::{Map, MapKind};
use super::parts::{Start, Tensor};
use super::sequence;
use crate::config::Init;
use crate::rng::{Philox, Stream};

/// What initial values are taken from, beside the seed.
#[derive(Debug, Clone, Copy, Default)]
pub struct OfData<'a> {
    /// The training means of the D values, where the configuration wants the decoder to start at the mean of the data (Burda,
    /// Grosse and Salakhutdinov 2015, in the authors' code).
    pub means: &'a [f32],
    /// Examples as encoders are shown them, [N, D], for tensors that start as such ([`Start::Examples`]).
    pub examples: &'a [f32],
    /// log p(y) of each class, where a model keeps it; otherwise all classes are as likely.
    pub class_prior: &'a [f32],
    /// The logarithm of the median library size, where means are shares of one.
    pub log_library: f32,
}

/// The standard deviation of positions before the first step (Dosovitskiy et al. 2020, arXiv 2010.11929, in the authors' code).
const POSITIONS: f32 = 0.02;

/// Initial values of every trainable tensor, in the order of [`Model::parameters`].
pub fn initial(
    model: &Model,
    seed: u64,
    OfData { means, examples, class_prior, log_library }: OfData,
) -> Vec<Vec<f32>> {
    if model.is_prior_of_codes() {
        let start = |(at, tensor): (usize, Tensor)| {
            started(model.config.init, &mut Philox::new(seed, Stream::Init, at as u32, 0), &tensor, examples)
        };
        return autoregressive::tensors(&model.config, model.classes).into_iter().enumerate().map(start).collect();
    }
    let parameters = model.parameters();
    let maps = model.maps();
    let last = maps.len() - 1;
    let scales = if model.is_residual() { model.top_down().expect("a model's layers fit").scales() } else { vec![] };
    let tensors = parameters.iter().zip(&maps).enumerate().map(|(at, (parameter, map))| {
        let (rows, columns) = (parameter.shape.rows(), parameter.shape.columns());
        let heads = match parameter.name.as_str() {
            "decoder.head" => model.likelihood().heads,
            // What the posterior wants to know stands beside mean and log-variance.
            "encoder.head" => map.outputs / model.config.latent,
            // Those of all encoders, and of decoders above the lowest, give mean and log-variance.
            name if name.rsplit('.').next() == Some("head") => 2,
            _ => 1,
        };
        let mut rng = Philox::new(seed, Stream::Init, at as u32, 0);
        let mut values = match map.kind {
            MapKind::Dense { .. } | MapKind::Conv(_) | MapKind::Depthwise(_) | MapKind::Pixels(_) => {
                drawn(&mut rng, bounds(model.config.init, map, heads), rows - 1, columns)
            }
            // Scale and shift change nothing at first.
            MapKind::Norm { .. } | MapKind::PixelNorm(_) | MapKind::BatchNorm(_) => {
                [vec![1.0; columns], vec![0.0; columns]].concat()
            }
            MapKind::Positions => (0..rows * columns).map(|_| POSITIONS * rng.normal()).collect(),
        };
        if let Some((_, scale)) = scales.iter().find(|(name, _)| *name == parameter.name) {
            for value in &mut values {
                *value *= scale;
            }
        }
        if at == last && model.config.output_bias_from_data {
            let starts = match map.kind {
                MapKind::Dense { .. } => likelihood::starts(model, means),
                _ => likelihood::starts(model, &per_channel(means, model.shape)),
            };
            values[(rows - 1) * columns..][..starts.len()].copy_from_slice(&starts);
        }
        values
    });
    let mut tensors: Vec<_> = tensors.collect();
    tensors.extend(likelihood::global(model).map(|global| vec![global.start; global.count]));
    for tensor in [model.posterior_tensors(), model.prior_tensors()].concat() {
        let mut rng = Philox::new(seed, Stream::Init, tensors.len() as u32, 0);
        tensors.push(started(model.config.init, &mut rng, &tensor, examples));
    }
    for map in model.discriminator() {
        let mut rng = Philox::new(seed, Stream::Init, tensors.len() as u32, 0);
        tensors.push(match map.kind {
            MapKind::Dense { .. } | MapKind::Conv(_) | MapKind::Depthwise(_) | MapKind::Pixels(_) => {
                drawn(&mut rng, bounds(model.config.init, &map, 1), map.taps() * map.inputs, map.outputs)
            }
            MapKind::Norm { .. } | MapKind::PixelNorm(_) | MapKind::BatchNorm(_) => {
                [vec![1.0; map.outputs], vec![0.0; map.outputs]].concat()
            }
            MapKind::Positions => (0..map.inputs * map.outputs).map(|_| POSITIONS * rng.normal()).collect(),
        });
    }
    for tensor in codebook::tensors(&model.config) {
        let mut rng = Philox::new(seed, Stream::Init, tensors.len() as u32, 0);
        tensors.push(started(model.config.init, &mut rng, &tensor, examples));
    }
    for tensor in sequence::tensors(model) {
        let mut rng = Philox::new(seed, Stream::Init, tensors.len() as u32, 0);
        tensors.push(started(model.config.init, &mut rng, &tensor, examples));
    }
    for map in model.classifier() {
        let mut rng = Philox::new(seed, Stream::Init, tensors.len() as u32, 0);
        tensors.push(drawn(&mut rng, bounds(model.config.init, &map, 1), map.inputs, map.outputs));
    }
    let class_prior = model.class_prior().map(|shape| {
        let uniform = -(shape.count() as f32).ln();
        (0..shape.count()).map(|class| class_prior.get(class).copied().unwrap_or(uniform)).collect()
    });
    tensors.extend(class_prior);
    for tensor in model.spectral_tensors() {
        let mut rng = Philox::new(seed, Stream::Init, tensors.len() as u32, 0);
        tensors.push(started(model.config.init, &mut rng, &tensor, examples));
    }
    for tensor in model.running_moments() {
        let mut rng = Philox::new(seed, Stream::Init, tensors.len() as u32, 0);
        tensors.push(started(model.config.init, &mut rng, &tensor, examples));
    }
    tensors.extend(model.has_library().then(|| vec![log_library]));
    tensors
}

/// The first numbers of a tensor of a prior or posterior. Examples that there are too few of begin again.
fn started(init: Init, rng: &mut Philox, tensor: &Tensor, examples: &[f32]) -> Vec<f32> {
    let (rows, outputs, count) = (tensor.shape.rows(), tensor.shape.columns(), tensor.shape.count());
    match tensor.start {
        Start::Constant(value) => vec![value; count],
        Start::Norm => [vec![1.0; outputs], vec![0.0; outputs]].concat(),
        Start::Moments => [vec![0.0; outputs], vec![1.0; outputs]].concat(),
        Start::Positions => (0..count).map(|_| POSITIONS * rng.normal()).collect(),
        Start::Normal(deviation) => (0..count).map(|_| deviation * rng.normal()).collect(),
        Start::Uniform(bound) => (0..count).map(|_| bound * (2.0 * rng.uniform() - 1.0)).collect(),
        Start::Map => {
            let kind = MapKind::Dense { from: None, to: None };
            let map = Map { name: tensor.name.clone(), inputs: rows - 1, outputs, kind };
            drawn(rng, bounds(init, &map, 1), rows - 1, outputs)
        }
        Start::Examples => examples.iter().copied().cycle().chain(std::iter::repeat(0.0)).take(count).collect(),
    }
}

/// The bounds of weights and biases of a map that consists of `heads` equal ones side by side, each drawn as if it stood
/// alone.
fn bounds(init: Init, map: &Map, heads: usize) -> (f32, f32) {
    let (taps, outputs) = (map.taps(), map.outputs / heads);
    match init {
        Init::Pytorch => {
            // What PyTorch takes for the inputs of a transposed convolution is what it puts out.
            let inputs = if matches!(map.kind, MapKind::Conv(window) if window.up) { outputs } else { map.inputs };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::ConvGeometry;

    #[test]
    fn bounds_are_those_of_the_named_schemes() {
        let mut rng = Philox::new(1, Stream::Init, 0, 0);
        let largest = |values: &[f32]| values.iter().fold(0.0_f32, |a, v| a.max(v.abs()));
        let kind = MapKind::Dense { from: None, to: None };
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
        let down = ConvGeometry::down([8, 8], 4, 2, 1).unwrap();
        let up = ConvGeometry::up([8, 8], 4, 2, 1, 0).unwrap();
        for (window, init, expected) in [
            (down, Init::Pytorch, 1.0 / 128.0_f32),
            (up, Init::Pytorch, 1.0 / 512.0),
            (down, Init::Glorot, 6.0 / 640.0),
            (up, Init::Glorot, 6.0 / 640.0),
        ] {
            let map = Map { name: String::new(), inputs: 8, outputs: 32, kind: MapKind::Conv(window) };
            let (bound, _) = bounds(init, &map, 1);
            assert!((bound - expected.sqrt()).abs() < 1e-7, "{init:?}, {window:?}: {bound}");
        }
        assert_eq!(per_channel(&[1.0, 3.0, 0.0, 4.0], [2, 1, 2]), [2.0, 2.0]);
    }
}
