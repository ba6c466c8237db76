//! The values of an example under p(x|z), as symbols with probabilities.

use super::ans::{Ans, Interval, Shares};
use super::portable::{exp, ln, ln_1p, sigmoid};
use crate::config::Likelihood;
use crate::error::{Error, Result};
use crate::graph::columns::Distribution;
use crate::graph::mixture::{LOG_SCALE, Mixture};
use crate::model::{Model, likelihood};
use std::ops::Range;

/// Bits in which probabilities of values are told. The rarest value costs no more than that.
const BITS: u32 = 24;
/// Levels of a picture.
const LEVELS: u32 = 256;

/// What values can be, and how the decoder's output gives them probabilities.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// 0 or 1, from a logit.
    Bits,
    /// Levels of pictures, from mixtures of logistics.
    Levels(Mixture),
    /// A 1 among zeros in each of these places, from a logit for each.
    Categories(Vec<Range<usize>>),
}

impl Values {
    /// Those of a model.
    ///
    /// # Errors
    /// [`Error::Usage`] for a likelihood whose values are not discrete, or that is not known here.
    pub fn of(model: &Model) -> Result<Self> {
        match model.config.likelihood {
            Likelihood::Bernoulli => Ok(Self::Bits),
            Likelihood::LogisticMixture => Ok(Self::Levels(likelihood::mixture(model))),
            Likelihood::Categorical => {
                let spans = model.columns.as_ref().map(|columns| columns.spans()).unwrap_or_default();
                let places = |(distribution, places, _): (Distribution, Range<usize>, _)| {
                    (distribution == Distribution::Categorical).then_some(places)
                };
                let all: Option<Vec<_>> = spans.into_iter().map(places).collect();
                all.map(Self::Categories)
                    .ok_or_else(|| Error::Usage("elbo compress takes categories of arrays alone".into()))
            }
            other => Err(Error::Usage(format!(
                "without loss, elbo compress is for models whose likelihood is bernoulli, logistic-mixture or categorical: \
                 pixels of two values or 256 levels, or categories; this one has model.likelihood = {}; --lossy takes it \
                 where it is of pictures",
                other.name()
            ))),
        }
    }

    /// Values as a decoder gives them back, of an example as a model is shown it.
    ///
    /// # Errors
    /// The place of a value that has no probability, and what it had to be.
    pub fn exact(&self, x: &[f32]) -> std::result::Result<Vec<f32>, (usize, &'static str)> {
        let each = |is: &dyn Fn(f32) -> Option<f32>, what| {
            x.iter().enumerate().map(|(at, &x)| is(x).ok_or((at, what))).collect::<std::result::Result<Vec<f32>, _>>()
        };
        let bit = |x: f32| [0.0, 1.0].into_iter().find(|&bit| bit == x);
        match self {
            Self::Bits => each(&bit, "0 or 1 (set data.binarise when the model is trained)"),
            Self::Levels(_) => {
                let level = |x: f32| level(x).map(of_level).filter(|&exact| (exact - x).abs() < 1e-6);
                each(&level, "one of the 256 levels k/255")
            }
            Self::Categories(places) => {
                let bits = each(&bit, "0 or 1")?;
                match places.iter().find(|places| bits[(*places).clone()].iter().sum::<f32>() != 1.0) {
                    Some(places) => Err((places.start, "a category")),
                    None => Ok(bits),
                }
            }
        }
    }

    /// Puts an example on a stack, the last value first. `x` are exact.
    pub fn push(&self, ans: &mut Ans, out: &[f64], x: &[f32]) {
        let shares: Vec<Interval> = match self {
            Self::Bits => x.iter().zip(out).map(|(&x, &logit)| share_of_bit(logit, x > 0.5)).collect(),
            Self::Levels(mixture) => {
                let mut shares = Vec::with_capacity(x.len());
                each_level(*mixture, out, x.len(), |at, below| {
                    let symbol = level(x[at]).unwrap_or(0);
                    shares.push(LEVEL.of(symbol, below));
                    symbol
                });
                shares
            }
            Self::Categories(places) => {
                let share = |places: &Range<usize>| {
                    let symbol = x[places.clone()].iter().position(|&x| x > 0.5).unwrap_or(0);
                    let below = below_categories(&out[places.clone()]);
                    categories(places).of(symbol as u32, |at| below[at as usize])
                };
                places.iter().map(share).collect()
            }
        };
        shares.into_iter().rev().for_each(|share| ans.push(share, BITS));
    }

    /// Takes an example of `width` values off a stack.
    pub fn pop(&self, ans: &mut Ans, out: &[f64], width: usize) -> Vec<f32> {
        match self {
            Self::Bits => {
                let bit = |&logit: &f64| {
                    let zero = share_of_bit(logit, false);
                    let is_one = ans.peek(BITS) >= zero.size;
                    ans.pop(if is_one { share_of_bit(logit, true) } else { zero }, BITS);
                    f32::from(u8::from(is_one))
                };
                out.iter().map(bit).collect()
            }
            Self::Levels(mixture) => {
                let mut x = vec![0.0; width];
                each_level(*mixture, out, width, |at, below| {
                    let symbol = LEVEL.pop(ans, below);
                    x[at] = of_level(symbol);
                    symbol
                });
                x
            }
            Self::Categories(places) => {
                let mut x = vec![0.0; width];
                for places in places {
                    let below = below_categories(&out[places.clone()]);
                    let symbol = categories(places).pop(ans, |at| below[at as usize]);
                    x[places.start + symbol as usize] = 1.0;
                }
                x
            }
        }
    }
}

/// The share of a bit: of 1 the upper end, as large as the logit says.
fn share_of_bit(logit: f64, one: bool) -> Interval {
    let whole = 1_u32 << BITS;
    let size = ((sigmoid(logit) * f64::from(whole)).floor() as u32).clamp(1, whole - 1);
    if one { Interval { start: whole - size, size } } else { Interval { start: 0, size: whole - size } }
}

/// Shares of the levels of a value.
const LEVEL: Shares = Shares { count: LEVELS, bits: BITS };

/// The nearest level of a number from 0 to 1.
fn level(x: f32) -> Option<u32> {
    let level = (255.0 * x).round();
    (0.0..=255.0).contains(&level).then_some(level as u32)
}

fn of_level(level: u32) -> f32 {
    level as f32 / 255.0
}

/// Goes over the values of a picture, pixel by pixel: `next` is given the place of a value and the mass of the levels below
/// each, and says which level it has. The channels of a pixel share a component, so each says something of those after it
/// ([`Mixture`]).
fn each_level(mixture: Mixture, out: &[f64], width: usize, mut next: impl FnMut(usize, &dyn Fn(u32) -> f64) -> u32) {
    let Mixture { components, channels, .. } = mixture;
    let pixels = width / channels;
    let (means, scales) = (components * pixels, components * (pixels + width));
    let (mut logs, mut weights) = (vec![0.0; components], vec![0.0; components]);
    let mut logistics = vec![[0.0; 2]; components];
    for pixel in 0..pixels {
        (0..components).for_each(|k| logs[k] = out[k * pixels + pixel]);
        for channel in 0..channels {
            let at = channel * pixels + pixel;
            softmax(&logs, &mut weights);
            for (k, logistic) in logistics.iter_mut().enumerate() {
                let log_scale = out[scales + k * width + at].clamp(LOG_SCALE.low.into(), LOG_SCALE.high.into());
                *logistic = [out[means + k * width + at], exp(-log_scale)];
            }
            let below = |level: u32| {
                let mass =
                    |(weight, [mean, inverse]): (&f64, &[f64; 2])| weight * sigmoid(inverse * (edge(level) - mean));
                weights.iter().zip(&logistics).fold(0.0, |sum, of| sum + mass(of))
            };
            let found = next(at, &below);
            for (log, &[mean, inverse]) in logs.iter_mut().zip(&logistics).filter(|_| channel + 1 < channels) {
                *log += log_mass(found, mean, inverse);
            }
        }
    }
}

/// Where a level begins, of levels that reach from −1 to 1.
fn edge(level: u32) -> f64 {
    (2.0 * f64::from(level) - 1.0) / 255.0 - 1.0
}

/// The logarithm of the mass that a logistic distribution gives to a level: exact also where the mass is next to nothing.
fn log_mass(level: u32, mean: f64, inverse: f64) -> f64 {
    let log_sigmoid = |x: f64| (if x < 0.0 { x } else { 0.0 }) - ln_1p(exp(-x.abs()));
    let [below, above] = [level, level + 1].map(|level| inverse * (edge(level) - mean));
    match level {
        0 => log_sigmoid(above),
        255 => log_sigmoid(-below),
        _ => log_sigmoid(above) + log_sigmoid(-below) + ln(1.0 - exp(below - above)),
    }
}

/// Weights in proportion to exponentials.
fn softmax(logs: &[f64], weights: &mut [f64]) {
    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, |a, b| if b > a { b } else { a });
    weights.iter_mut().zip(logs).for_each(|(weight, log)| *weight = exp(log - largest));
    let total = weights.iter().fold(0.0, |sum, weight| sum + weight);
    for weight in weights {
        *weight /= total;
    }
}

fn categories(places: &Range<usize>) -> Shares {
    Shares { count: places.len() as u32, bits: BITS }
}

/// The mass of the categories before each.
fn below_categories(logits: &[f64]) -> Vec<f64> {
    let mut weights = vec![0.0; logits.len()];
    softmax(logits, &mut weights);
    let before = |sum: &mut f64, weight: f64| {
        let below = *sum;
        *sum += weight;
        Some(below)
    };
    weights.into_iter().scan(0.0, before).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Philox, Stream};

    /// Random decoders' outputs.
    fn outputs(count: usize, seed: u32) -> Vec<f64> {
        let mut random = Philox::new(9, Stream::Choice, seed, 0);
        (0..count).map(|_| 6.0 * f64::from(random.uniform()) - 3.0).collect()
    }

    /// The information of each kind of values by its formula, in bits.
    fn information(values: &Values, out: &[f64], x: &[f32]) -> f64 {
        let nats = match values {
            Values::Bits => {
                let one =
                    |(&x, &logit): (&f32, &f64)| if x > 0.5 { (-logit).exp().ln_1p() } else { logit.exp().ln_1p() };
                x.iter().zip(out).map(one).sum::<f64>()
            }
            Values::Categories(places) => {
                let of = |places: &Range<usize>| {
                    let out = &out[places.clone()];
                    let at = x[places.clone()].iter().position(|&x| x > 0.5).unwrap();
                    out.iter().map(|logit| logit.exp()).sum::<f64>().ln() - out[at]
                };
                places.iter().map(of).sum()
            }
            Values::Levels(Mixture { components, channels, .. }) => {
                let (width, pixels) = (x.len(), x.len() / channels);
                let pixel = |pixel: usize| {
                    let total: f64 = (0..*components).map(|k| out[k * pixels + pixel].exp()).sum();
                    let of_component = |k: usize| {
                        let mass = |channel: usize| {
                            let at = channel * pixels + pixel;
                            let mean = out[components * pixels + k * width + at];
                            let scale = out[components * (pixels + width) + k * width + at].exp();
                            let below = |edge: f64| 1.0 / (1.0 + (-(edge - mean) / scale).exp());
                            let u = 2.0 * f64::from(x[at]) - 1.0;
                            let above = if x[at] == 1.0 { 1.0 } else { below(u + 1.0 / 255.0) };
                            above - if x[at] == 0.0 { 0.0 } else { below(u - 1.0 / 255.0) }
                        };
                        out[k * pixels + pixel].exp() / total * (0..*channels).map(mass).product::<f64>()
                    };
                    -(0..*components).map(of_component).sum::<f64>().ln()
                };
                (0..pixels).map(pixel).sum()
            }
        };
        nats / std::f64::consts::LN_2
    }

    #[test]
    fn values_come_back_and_cost_their_information() {
        let mixture = |components, channels| Values::Levels(Mixture { components, channels, shared_scales: false });
        for (values, width, wide) in [
            (Values::Bits, 2000, 2000),
            (mixture(1, 1), 300, 900),
            (mixture(3, 3), 300, 3 * 700),
            (Values::Categories((0..200).map(|at| 5 * at..5 * at + 5).collect()), 1000, 1000),
        ] {
            // Levels far from narrow components would cost more than the bits in which probabilities are told.
            let scale = if matches!(values, Values::Levels(_)) { 0.3 } else { 1.0 };
            let (out, mut ans): (Vec<f64>, _) = (outputs(wide, 1).iter().map(|u| scale * u).collect(), Ans::encoder());
            let x: Vec<f32> = match &values {
                Values::Bits => outputs(width, 2).iter().map(|&u| f32::from(u8::from(u > 0.0))).collect(),
                Values::Levels(_) => outputs(width, 2).iter().map(|u| of_level(((u + 3.0) * 42.5) as u32)).collect(),
                Values::Categories(_) => (0..width).map(|at| f32::from(u8::from(at % 5 == at / 5 % 5))).collect(),
            };
            assert_eq!(values.exact(&x), Ok(x.clone()));
            values.push(&mut ans, &out, &x);
            let (state, words) = ans.into_parts();
            let bits = 32.0 * words.len() as f64 + (state as f64).log2() - 32.0;
            let expected = information(&values, &out, &x);
            assert!((bits / expected - 1.0).abs() < 2e-3, "{values:?}: {bits} bits for {expected}");
            let mut ans = Ans::decoder(state, words).unwrap();
            assert_eq!(values.pop(&mut ans, &out, width), x);
            assert!(ans.is_as_begun(1));
        }
    }

    #[test]
    fn outputs_beyond_all_bounds_still_code() {
        for size in [1e3, 1e30] {
            let mixture = Values::Levels(Mixture { components: 2, channels: 3, shared_scales: false });
            let out: Vec<f64> = outputs(2 * 7 * 4, 3).iter().map(|u| u * size).collect();
            let x: Vec<f32> = (0..12).map(|at| of_level(at * 23)).collect();
            let mut ans = Ans::encoder();
            mixture.push(&mut ans, &out, &x);
            let (state, words) = ans.into_parts();
            assert_eq!(mixture.pop(&mut Ans::decoder(state, words).unwrap(), &out, 12), x);
        }
    }

    #[test]
    fn values_without_a_probability_are_named() {
        let levels = Values::Levels(Mixture { components: 1, channels: 1, shared_scales: false });
        let categories = Values::Categories(vec![0..2, 2..4]);
        for (values, x, at) in [
            (&Values::Bits, vec![0.0, 1.0, 0.5], 2),
            (&Values::Bits, vec![f32::NAN], 0),
            (&levels, vec![0.0, 0.501], 1),
            (&levels, vec![f32::NAN], 0),
            (&levels, vec![1.2], 0),
            (&categories, vec![1.0, 0.0, 0.0, 0.0], 2),
            (&categories, vec![1.0, 1.0, 1.0, 0.0], 0),
        ] {
            assert_eq!(values.exact(&x).unwrap_err().0, at, "{x:?}");
        }
    }
}
