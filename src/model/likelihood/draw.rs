//! Values of p(x|z) on the host: draws, means and modes of what is missing from an example, from what the decoder puts out
//! for its latents. What is there stays; of values that hang together the others are told what is there.

use super::columns::ln_gamma;
use super::{Density, Model, by_column};
use crate::error::{Error, Result};
use crate::graph::Clamp;
use crate::graph::columns::{Columns, Distribution, LOG_DISPERSION, LOG_RATE};
use crate::rng::Philox;
use rand::RngExt;
use std::ops::Range;
use std::sync::Arc;

/// The distribution of one column of an example given its latents.
#[derive(Debug, Clone, PartialEq)]
pub enum Given {
    /// A normal one of this mean and deviation.
    Normal(f64, f64),
    /// A Laplace distribution of this mean and scale.
    Laplace(f64, f64),
    /// 1 with this probability, else 0.
    Bernoulli(f64),
    /// One of several places with these probabilities.
    Categorical(Vec<f64>),
    /// Poisson's of this rate.
    Poisson(f64),
    /// A negative binomial of this mean and inverse dispersion.
    NegativeBinomial(f64, f64),
    /// The same, but 0 with this probability whatever it would be.
    ZeroInflated(f64, f64, f64),
    /// One of 256 levels from 0 to 1 in each channel of a pixel, of a mixture of logistic distributions of levels from −1 to
    /// 1: the weight of each component, and its mean and scale in each channel.
    Levels(Vec<(f64, Vec<[f64; 2]>)>),
}

/// The distributions of what is missing from an example, by the decoder's output for it and its values.
pub type Missing = fn(&Model, out: &[f32], x: &[f32]) -> Result<Vec<Factor>>;

/// A column of an example, or a pixel: where it is, and its distribution.
#[derive(Debug, Clone, PartialEq)]
pub struct Factor {
    /// Its first place.
    pub first: usize,
    /// From one place to the next.
    pub step: usize,
    /// How many places it has.
    pub count: usize,
    /// Their distribution.
    pub given: Given,
}

impl Factor {
    /// A column whose places follow each other.
    pub fn column(span: &Range<usize>, given: Given) -> Self {
        Self { first: span.start, step: 1, count: span.len(), given }
    }

    /// Its places in an example.
    pub fn places(&self) -> impl Iterator<Item = usize> + use<> {
        let (first, step) = (self.first, self.step);
        (0..self.count).map(move |at| first + at * step)
    }

    /// Puts values into its places; of a pixel into those that are missing.
    pub fn put(&self, x: &mut [f32], values: impl Iterator<Item = f32>) {
        for (place, value) in self.places().zip(values) {
            if x[place].is_nan() || !matches!(self.given, Given::Levels(_)) {
                x[place] = value;
            }
        }
    }

    /// The channels of a pixel each by itself; what is no pixel stays.
    pub fn apart(self) -> Vec<Self> {
        let Given::Levels(components) = &self.given else { return vec![self] };
        let channel = |(channel, first): (usize, usize)| {
            let components = components.iter().map(|(weight, of)| (*weight, vec![of[channel]])).collect();
            Self { first, step: 1, count: 1, given: Given::Levels(components) }
        };
        self.places().enumerate().map(channel).collect()
    }
}

/// The distributions of the values of a model's examples.
#[derive(Debug)]
pub struct Values<'a> {
    model: &'a Model,
    /// The columns, where values are computed by column, and where each is.
    columns: Option<Arc<Columns>>,
    spans: Vec<Span>,
    /// The place of the third number of each column, where it has one.
    thirds: Vec<Option<usize>>,
}

/// A column: its distribution, its places, and the place of its second number in what the decoder puts out.
type Span = (Distribution, Range<usize>, Option<usize>);

impl<'a> Values<'a> {
    /// Those of a model.
    pub fn of(model: &'a Model) -> Self {
        // As if values could be missing, whatever the likelihood.
        let columns = by_column(&Model { missing: true, ..model.clone() });
        let spans = columns.as_ref().map_or(vec![], |columns| columns.spans());
        let thirds = columns.as_ref().map_or(vec![], |columns| columns.third_places());
        Self { model, columns, spans, thirds }
    }

    /// The distribution of each column of which a place is missing from `x` (D numbers as the model is shown them), from the
    /// decoder's output `out` ([`super::append_globals`], O numbers). Columns are independent given these. Of a pixel the channels
    /// that are there have a part in it as well.
    ///
    /// # Errors
    /// [`Error::Usage`] for a multinomial, whose values are not independent: [`items`] draws them.
    pub fn missing(&self, out: &[f32], x: &[f32]) -> Result<Vec<Factor>> {
        if let Some(columns) = &self.columns {
            let is_missing = |((_, span, _), _): &(&Span, _)| x[span.clone()].iter().any(|x| x.is_nan());
            let part =
                |(span, third): (&Span, &Option<usize>)| Factor::column(&span.1, of_column(columns, span, *third, out));
            return Ok(self.spans.iter().zip(&self.thirds).filter(is_missing).map(part).collect());
        }
        match &self.model.likelihood().density {
            Density::Joint(joint) => (joint.given)(self.model, out, x),
            Density::Values(..) | Density::Columns => unreachable!("they are computed by column"),
        }
    }

    /// Draws what is missing from an example, NaN in `x`, whose decoder puts out `out`.
    ///
    /// # Errors
    /// As [`Values::missing`].
    pub fn fill(&self, out: &[f32], x: &mut [f32], random: &mut Philox) -> Result<()> {
        for part in self.missing(out, x)? {
            part.put(x, part.given.draw(random).into_iter());
        }
        Ok(())
    }
}

fn of_column(columns: &Columns, (distribution, span, second_place): &Span, third: Option<usize>, out: &[f32]) -> Given {
    let first = f64::from(out[span.start]);
    let held = |value: f64, clamp: Clamp| value.clamp(clamp.low.into(), clamp.high.into());
    let second = |clamp| second_place.map_or(f64::from(columns.fixed_log_variance), |at| held(out[at].into(), clamp));
    match distribution {
        Distribution::Normal | Distribution::FixedNormal => Given::Normal(first, (0.5 * second(columns.clamp)).exp()),
        Distribution::Bernoulli => Given::Bernoulli(1.0 / (1.0 + (-first).exp())),
        Distribution::Categorical => Given::Categorical(softmax(&out[span.clone()])),
        Distribution::Poisson => Given::Poisson(held(first, LOG_RATE).exp()),
        Distribution::NegativeBinomial => {
            Given::NegativeBinomial(held(first, LOG_RATE).exp(), second(LOG_DISPERSION).exp())
        }
        Distribution::ZeroInflated => {
            let [logit, log_theta] = [*second_place, third].map(|at| at.map_or(0.0, |at| f64::from(out[at])));
            let theta = held(log_theta, LOG_DISPERSION).exp();
            Given::ZeroInflated(held(first, LOG_RATE).exp(), theta, 1.0 / (1.0 + (-logit).exp()))
        }
    }
}

/// So many items drawn one by one from the distribution of a multinomial: how often each came, [D].
pub fn items(out: &[f32], total: u64, random: &mut Philox) -> Vec<f32> {
    let mut counts = vec![0.0; out.len()];
    let ends: Vec<f64> = softmax(out)
        .iter()
        .scan(0.0, |sum, p| {
            *sum += p;
            Some(*sum)
        })
        .collect();
    for _ in 0..total {
        let u: f64 = random.random::<f64>() * ends.last().copied().unwrap_or(1.0);
        counts[ends.partition_point(|&end| end <= u).min(out.len() - 1)] += 1.0;
    }
    counts
}

/// Probabilities from logits.
pub(super) fn softmax(logits: &[f32]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let masses: Vec<f64> = logits.iter().map(|&logit| f64::from(logit - largest).exp()).collect();
    let total: f64 = masses.iter().sum();
    masses.iter().map(|mass| mass / total).collect()
}

impl Given {
    /// Draws the places of the column.
    pub fn draw(&self, random: &mut Philox) -> Vec<f32> {
        let value = match self {
            &Self::Normal(mean, deviation) => mean + deviation * f64::from(random.normal()),
            &Self::Laplace(mean, scale) => {
                let u = f64::from(random.uniform()) - 0.5;
                mean - scale * u.signum() * (1.0 - 2.0 * u.abs()).ln()
            }
            &Self::Bernoulli(p) => f64::from(u8::from(random.random::<f64>() < p)),
            Self::Categorical(p) => return one_of(p.len(), pick(p, random)),
            &Self::Poisson(rate) => poisson(rate, random),
            &Self::NegativeBinomial(mean, theta) => poisson(gamma(theta, random) * mean / theta, random),
            &Self::ZeroInflated(mean, theta, zero) => {
                if random.random::<f64>() < zero {
                    0.0
                } else {
                    poisson(gamma(theta, random) * mean / theta, random)
                }
            }
            Self::Levels(components) => {
                let weights: Vec<f64> = components.iter().map(|(weight, _)| *weight).collect();
                let component = pick(&weights, random);
                let level = |[mean, scale]: &[f64; 2]| {
                    let u = f64::from(random.uniform());
                    nearest_level(mean + scale * (u / (1.0 - u)).ln()) as f32
                };
                return components[component].1.iter().map(level).collect();
            }
        };
        vec![value as f32]
    }

    /// The mean of each place.
    pub fn mean(&self) -> Vec<f64> {
        match self {
            &Self::Normal(mean, _)
            | &Self::Laplace(mean, _)
            | &Self::NegativeBinomial(mean, _)
            | &Self::Bernoulli(mean)
            | &Self::Poisson(mean) => vec![mean],
            &Self::ZeroInflated(mean, _, zero) => vec![(1.0 - zero) * mean],
            Self::Categorical(p) => p.clone(),
            // That of the logistics, held between the ends, as pictures of means show it.
            Self::Levels(components) => {
                let mut means = vec![0.0; components.first().map_or(0, |(_, channels)| channels.len())];
                for (weight, channels) in components {
                    for (sum, [mean, _]) in means.iter_mut().zip(channels) {
                        *sum += weight * (0.5 + 0.5 * mean.clamp(-1.0, 1.0));
                    }
                }
                means
            }
        }
    }

    /// Values among which the most probable one of a mixture of such distributions is looked for; of one place, see
    /// [`Factor::apart`].
    pub fn candidates(&self) -> Vec<f64> {
        match self {
            &Self::Normal(mean, _) | &Self::Laplace(mean, _) => vec![mean],
            Self::Bernoulli(_) => vec![0.0, 1.0],
            Self::Categorical(p) => (0..p.len()).map(|place| place as f64).collect(),
            &Self::Poisson(rate) => vec![rate.floor()],
            &Self::NegativeBinomial(mean, theta) => vec![(mean * (theta - 1.0) / theta).floor().max(0.0)],
            &Self::ZeroInflated(mean, theta, _) => vec![0.0, (mean * (theta - 1.0) / theta).floor().max(0.0)],
            Self::Levels(components) => components.iter().map(|(_, channels)| nearest_level(channels[0][0])).collect(),
        }
    }

    /// The density up to a factor, or the probability, of a value; of a category by its place, of levels in one place.
    pub fn density(&self, x: f64) -> f64 {
        match self {
            &Self::Normal(mean, deviation) => (-0.5 * ((x - mean) / deviation).powi(2)).exp() / deviation,
            &Self::Laplace(mean, scale) => (-(x - mean).abs() / scale).exp() / scale,
            &Self::Bernoulli(p) => {
                if x > 0.5 {
                    p
                } else {
                    1.0 - p
                }
            }
            Self::Categorical(p) => p[x as usize],
            &Self::Poisson(rate) => (x * rate.max(1e-300).ln() - rate - ln_gamma(x + 1.0)).exp(),
            &Self::NegativeBinomial(mean, theta) => {
                let choices = ln_gamma(x + theta) - ln_gamma(theta) - ln_gamma(x + 1.0);
                (choices + theta * (theta / (theta + mean)).ln() + x * (mean / (theta + mean)).ln()).exp()
            }
            &Self::ZeroInflated(mean, theta, zero) => {
                let added = if x == 0.0 { zero } else { 0.0 };
                added + (1.0 - zero) * Self::NegativeBinomial(mean, theta).density(x)
            }
            Self::Levels(components) => {
                let mass = |(weight, channels): &(f64, Vec<[f64; 2]>)| {
                    let [mean, scale] = channels[0];
                    let at = |level: f64| 1.0 / (1.0 + (-(2.0 * level - 1.0 - mean) / scale).exp());
                    let below = if x <= 0.0 { 0.0 } else { at(x - 0.5 / 255.0) };
                    let above = if x >= 1.0 { 1.0 } else { at(x + 0.5 / 255.0) };
                    weight * (above - below)
                };
                components.iter().map(mass).sum()
            }
        }
    }

    /// A value as the places of its column.
    pub fn places(&self, value: f64) -> Vec<f32> {
        match self {
            Self::Categorical(p) => one_of(p.len(), value as usize),
            _ => vec![value as f32],
        }
    }
}

/// The level from 0 to 1 that is nearest to one from −1 to 1.
fn nearest_level(level: f64) -> f64 {
    (255.0 * (0.5 + 0.5 * level)).round().clamp(0.0, 255.0) / 255.0
}

/// A 1 among zeros.
fn one_of(places: usize, at: usize) -> Vec<f32> {
    (0..places).map(|place| f32::from(u8::from(place == at))).collect()
}

/// A place drawn by weights, which need not add up to 1.
pub fn pick(weights: &[f64], random: &mut Philox) -> usize {
    let mut left = random.random::<f64>() * weights.iter().sum::<f64>();
    for (at, weight) in weights.iter().enumerate() {
        left -= weight;
        if left < 0.0 {
            return at;
        }
    }
    // What is left is rounding: the last that can be.
    weights.iter().rposition(|&weight| weight > 0.0).unwrap_or(0)
}

/// A number of Poisson's distribution: by the product of uniform numbers below a rate of 10, from there on Hörmann's
/// rejection PTRS ("The transformed rejection method for generating Poisson random variables", 1993).
fn poisson(rate: f64, random: &mut Philox) -> f64 {
    if rate < 10.0 {
        let (end, mut product, mut count) = ((-rate).exp(), random.random::<f64>(), 0.0);
        while product > end {
            (product, count) = (product * random.random::<f64>(), count + 1.0);
        }
        return count;
    }
    let b = 0.931 + 2.53 * rate.sqrt();
    let a = -0.059 + 0.02483 * b;
    let (inverse, v_r) = (1.1239 + 1.1328 / (b - 3.4), 0.9277 - 3.6224 / (b - 2.0));
    loop {
        let (u, v) = (random.random::<f64>() - 0.5, random.random::<f64>());
        let us = 0.5 - u.abs();
        let k = ((2.0 * a / us + b) * u + rate + 0.43).floor();
        if us >= 0.07 && v <= v_r {
            return k;
        }
        if k < 0.0 || (us < 0.013 && v > us) {
            continue;
        }
        if (v * inverse / (a / (us * us) + b)).ln() <= k * rate.ln() - rate - ln_gamma(k + 1.0) {
            return k;
        }
    }
}

/// A number of the gamma distribution of this shape and scale 1 (Marsaglia and Tsang 2000).
fn gamma(shape: f64, random: &mut Philox) -> f64 {
    if shape < 1.0 {
        let u = f64::from(random.uniform());
        return gamma(shape + 1.0, random) * u.powf(1.0 / shape);
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = f64::from(random.normal());
        let v = (1.0 + c * x).powi(3);
        let u = f64::from(random.uniform());
        if v > 0.0 && u.ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return d * v;
        }
    }
}

/// What to say of a multinomial whose values are not independent.
pub(super) fn not_by_value() -> Error {
    Error::Usage(
        "the multinomial likelihood says which items are chosen and not how many, so counts that are missing cannot be \
         filled"
            .into(),
    )
}

#[cfg(test)]
mod tests;
