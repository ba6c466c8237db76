//! Images of 256 levels: for each pixel a mixture of discretised logistics (Salimans et al. 2017, without their chain of
//! channels), whose scales the decoder puts out, or which are learned once for all pixels (Kingma et al. 2016).

use super::draw::{Factor, Given};
use super::gaussian::MEAN;
use super::{Density, Gives, Global, Globals, Joint, Likelihood, Model, Natural, Outcomes, Outside, Python};
use crate::config::{self, ModelConfig, Scales};
use crate::graph::Op;
use crate::graph::mixture::{LOG_SCALE, Mixture};

pub static LIKELIHOOD: Likelihood = Likelihood {
    kind: config::Likelihood::LogisticMixture,
    outcomes: Outcomes::Levels,
    density: Density::Joint(Joint {
        outputs: |config, shape| mixtures(config, shape[0]).of_network(shape.iter().product()),
        distortion: |graph, model, out, x| graph.add(Op::LogisticMixture { out, x, mixture: mixture(model) }),
        terms: |model, out, x| terms(mixture(model), out, x),
        starts: spread,
        given: |model, out, x| Ok(given(mixture(model), out, x)),
    }),
    heads: 1,
    globals: Some(Globals {
        tensor: |model| mixture(model).shared_scales.then(|| log_scales(model)),
        value: |_, log| 127.5 * log.clamp(LOG_SCALE.low, LOG_SCALE.high).exp(),
        key: "scale",
        single: false,
        words: |all, _| {
            let [least, most] = [f32::min, f32::max].map(|best| all.iter().copied().reduce(best).unwrap_or(f32::NAN));
            let what = "levels, the smallest scale of a component and channel".to_owned();
            ["scale".into(), format!("{least:.2}"), format!("{what}; the largest is {most:.2}")]
        },
    }),
    mean: |graph, model, out| graph.add(Op::LogisticMixtureMean { out, mixture: mixture(model) }),
    baseline: None,
    outside: Outside {
        heads: &["decoder.mixture"],
        mean: MEAN,
        natural: Some(Natural {
            name: "mixture",
            what: "the mixture of each pixel, plane by plane",
            why: Natural::MORE,
            distortion: None,
        }),
        gives,
        decode: |to| {
            let (out, [channels, height, width]) = ((to.head)("decoder.mixture"), to.shape);
            let (components, pixels) = (to.config.components, height * width);
            let lines = format!("    return mixture_mean({out}, {components}, {channels}, {pixels}){}\n", to.units());
            Python { functions: MEAN_OF_MIXTURE, lines }
        },
    },
};

/// The mean of a mixture of logistics, in Python.
const MEAN_OF_MIXTURE: &str = "\
def mixture_mean(out, components, channels, pixels):
    planes = out.unflatten(1, (-1, pixels))
    weights = planes[:, :components].softmax(1).unsqueeze(2)
    means = planes[:, components:components * (1 + channels)].clamp(-1, 1).unflatten(1, (components, channels))
    return (0.5 + 0.5 * (weights * means).sum(1)).flatten(1)


";

/// The mixtures of a model of images.
pub fn mixture(model: &Model) -> Mixture {
    mixtures(&model.config, model.shape[0])
}

fn mixtures(config: &ModelConfig, channels: usize) -> Mixture {
    Mixture { components: config.components, channels, shared_scales: config.scales == Scales::Shared }
}

/// A scale for each component and channel.
fn log_scales(model: &Model) -> Global {
    Global {
        name: "decoder.log_scale",
        count: model.config.components * model.shape[0],
        places: mixture(model).beside(model.width),
        start: shared_log_scale(model),
    }
}

fn gives(of: &Gives) -> String {
    let scales = match of.config.scales {
        Scales::Each => "then likewise log-scales, where levels reach from -1 to 1",
        Scales::Shared => &format!(
            "where levels reach from -1 to 1; scales are learned for each component and in it for each channel, in levels \
             of 256 (127.5 times those of the means) in `learned.scale` of `{}`",
            of.file
        ),
    };
    format!(
        "mixtures of {} discretised logistics, one for each pixel, as planes: logits, then for each component a mean for each \
         channel, {scales}",
        of.config.components
    )
}

/// What is left of the components after each channel of a pixel. The channels are not independent: each contributes
/// −log p given those before it.
fn terms(mixture: Mixture, out: &[f32], x: &[f32]) -> Vec<f64> {
    let Mixture { components, channels, .. } = mixture;
    let (width, pixels) = (x.len(), x.len() / channels);
    let (means, scales) = (components * pixels, components * (pixels + width));
    let mut terms = vec![0.0; width];
    for pixel in 0..pixels {
        let mut logs = log_weights(mixture, out, pixel, pixels);
        for at in (0..channels).map(|channel| channel * pixels + pixel).filter(|&at| !x[at].is_nan()) {
            let before = log_sum(&logs);
            for (k, log) in logs.iter_mut().enumerate() {
                let place = k * width + at;
                *log += level_log_mass(x[at].into(), out[means + place].into(), out[scales + place]);
            }
            terms[at] = before - log_sum(&logs);
        }
    }
    terms
}

/// The logarithms of the weights of a pixel's components.
fn log_weights(mixture: Mixture, out: &[f32], pixel: usize, pixels: usize) -> Vec<f64> {
    let logs: Vec<f64> = (0..mixture.components).map(|k| out[k * pixels + pixel].into()).collect();
    let total = log_sum(&logs);
    logs.iter().map(|log| log - total).collect()
}

/// The logarithm of a sum, of which nothing may overflow, nor all underflow.
fn log_sum(logs: &[f64]) -> f64 {
    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    largest + logs.iter().map(|log| (log - largest).exp()).sum::<f64>().ln()
}

/// The distribution of each pixel of which a channel is missing: those that are there say which component it is.
fn given(mixture: Mixture, out: &[f32], x: &[f32]) -> Vec<Factor> {
    let Mixture { components, channels, .. } = mixture;
    let (width, pixels) = (x.len(), x.len() / channels);
    let (means, scales) = (components * pixels, components * (pixels + width));
    let mut parts = Vec::new();
    for pixel in 0..pixels {
        let places = || (0..channels).map(|channel| channel * pixels + pixel);
        if !places().any(|at| x[at].is_nan()) {
            continue;
        }
        let mut logs = log_weights(mixture, out, pixel, pixels);
        for at in places().filter(|&at| !x[at].is_nan()) {
            for (k, log) in logs.iter_mut().enumerate() {
                let place = k * width + at;
                *log += level_log_mass(x[at].into(), out[means + place].into(), out[scales + place]);
            }
        }
        let total = log_sum(&logs);
        let channel = |place: usize| {
            let scale = f64::from(out[scales + place].clamp(LOG_SCALE.low, LOG_SCALE.high)).exp();
            [out[means + place].into(), scale]
        };
        let component =
            |(k, log): (usize, &f64)| ((log - total).exp(), places().map(|at| channel(k * width + at)).collect());
        let given = Given::Levels(logs.iter().enumerate().map(component).collect());
        parts.push(Factor { first: pixel, step: pixels, count: channels, given });
    }
    parts
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

/// The biases of mixtures around the means of so many values, for components of the same weight. Those whose scales are the
/// decoder's stand side by side over all levels, whatever the means, since one that is far from them all would learn
/// nothing. Shared scales hold for all pixels: components start a scale apart around the mean.
fn spread(model: &Model, means: &[f32]) -> Vec<f32> {
    let mixture = mixture(model);
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
