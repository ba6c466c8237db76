//! Evaluation: the terms of the ELBO, the importance-weighted likelihood, and which latent dimensions are used.

mod aggregate;
mod codes;
mod judgement;

pub use aggregate::{Aggregate, mmd};
pub use codes::Usage;
pub use judgement::{Judgement, judgement};

use crate::data::NO_LABEL;
use crate::data::batches::batches;
use crate::error::{Error, Result};
use crate::kernels::StepScalars;
use crate::kernels::sample::kl_term;
use crate::model::tasks::{EVALUATE, IMPORTANCE, Need};
use crate::model::{LOCATION, RATES, of_layer};
use crate::plan::Role;
use crate::rng::Stream;
use crate::session::{BATCH, Purpose, Rows, Session, likeliest};
use std::ops::Range;

/// Rows (examples times samples) per run of the importance plan, at most.
const ROWS: usize = 2048;

/// A latent dimension is active when its posterior mean varies more than this over the data (Burda et al. 2015).
const ACTIVE: f64 = 0.01;

/// Means over a part of the data, in nats per example.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Terms {
    /// −log p(x|z), from one sample of each posterior.
    pub distortion: f64,
    /// KL from the prior to the posterior, or where that has no closed form log q − log p at a sample; of several stochastic
    /// layers the sum of their rates, of which those below the highest are such differences, in a ladder KL divergences given a
    /// sample of the layers above.
    pub rate: f64,
}

impl Terms {
    /// −ELBO.
    pub fn neg_elbo(&self) -> f64 {
        self.distortion + self.rate
    }
}

/// Distortion and rate of each of these rows in nats, as the model takes them, from one sample of each posterior. The noise
/// of row i is a function of `seed` and i. Only for a session that was opened without data.
///
/// # Errors
/// As for [`Session::show_encoded`].
pub fn terms_of(session: &mut Session, rows: Rows, seed: u64) -> Result<Vec<Terms>> {
    let (plan, width) = (session.plan(Purpose::task(EVALUATE, BATCH))?, session.model.width);
    let mut all = Vec::with_capacity(rows.values.len() / width);
    for (at, part) in rows.portions(BATCH, width).enumerate() {
        session.show_encoded(part)?;
        let order: Vec<u32> = (0..(part.values.len() / width) as u32).collect();
        session.set_order(&order)?;
        let scalars = session.scalars(seed, Stream::Evaluate, 0, order.len());
        // Rows of one window have noise of their own by their place in it, windows by this word.
        session.executor.run(plan, &[StepScalars { step: scalars.step - at as u32, ..scalars }])?;
        let distortions = session.output("distortion", order.len(), 1)?;
        let rates = session.output("rate", order.len(), 1)?;
        let terms = |(&d, &r): (&f32, &f32)| Terms { distortion: f64::from(d), rate: f64::from(r) };
        all.extend(distortions.iter().zip(&rates).map(terms));
    }
    Ok(all)
}

/// The share of the examples of a part whose label is the class that a member's classifier finds the likeliest, for each member.
/// Nothing where classes are not inferred, and where no example of the part has a label.
///
/// # Errors
/// Those of [`Session::classify`].
pub fn accuracies(session: &mut Session, part: Range<usize>) -> Result<Option<Vec<f64>>> {
    if !session.model.infers_classes() {
        return Ok(None);
    }
    let Some(labels) = &session.data()?.labels else { return Ok(None) };
    let known = |at: &usize| labels[*at] != NO_LABEL;
    let (examples, labels): (Vec<u32>, Vec<u32>) = part.filter(known).map(|at| (at as u32, labels[at])).unzip();
    if examples.is_empty() {
        return Ok(None);
    }
    let classes = session.model.classes;
    let right = |all: Vec<f32>| likeliest(&all, classes).iter().zip(&labels).filter(|(a, b)| a == b).count();
    let share = |all: Vec<f32>| right(all) as f64 / labels.len() as f64;
    Ok(Some(session.classify(&examples)?.into_iter().map(share).collect()))
}

/// Everything `elbo eval` reports but the likelihood.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Examples evaluated.
    pub examples: usize,
    /// Means over them.
    pub terms: Terms,
    /// Standard error of the mean −ELBO over the examples.
    pub standard_error: f64,
    /// KL of each latent dimension, a mean over the examples, in nats; of several stochastic layers those of the highest.
    /// Nothing where the rate has no closed form ([`crate::model::Model::has_closed_rate`]): it is then no sum over dimensions.
    pub rates: Option<Vec<f64>>,
    /// Dimensions of all layers whose posterior mean has a variance over the data above 0.01.
    pub active: usize,
    /// All posteriors together, beside the prior: of several stochastic layers those of the highest, given samples of the
    /// ones below.
    pub aggregate: Aggregate,
    /// Each stochastic layer, the lowest first. Of models with codes one: their cells, and as active the codes in use.
    pub layers: Vec<Layer>,
    /// How codes are used, where latents are codes. Then no dimension has a rate, and `aggregate` is of none.
    pub codes: Option<Usage>,
}

/// A stochastic layer over the data.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Its latent dimensions.
    pub latent: usize,
    /// Its rate, a mean over the examples in nats: the KL divergence where it has a closed form, that of the highest layer and
    /// in a ladder of all, else log q − log p at a sample.
    pub rate: f64,
    /// Dimensions whose posterior mean, given a sample of the layer below (in a ladder the means of those above), has a variance over the data above 0.01.
    pub active: usize,
}

/// An estimate of −log p(x).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Likelihood {
    /// Latent samples per example.
    pub samples: usize,
    /// The mean over the examples, in nats. An upper bound in expectation that tightens as `samples` grows.
    pub neg_log_px: f64,
    /// Standard error of that mean over the examples.
    pub standard_error: f64,
}

/// Distortion and rate of a part of the data for every member, without reading anything back but their means.
///
/// # Errors
/// Those of the executor; [`crate::error::Error::Data`] where examples cannot be read from their file;
/// [`crate::error::Error::Bug`] where the session has no data.
pub fn terms(session: &mut Session, part: Range<usize>) -> Result<Vec<Terms>> {
    let plan = session.plan(Purpose::task(EVALUATE, BATCH))?;
    let seeds: Vec<u64> = session.members().map(|config| config.train.seed).collect();
    let order: Vec<u32> = part.map(|i| i as u32).collect();
    session.set_order(&order)?;
    let all: Vec<_> = batches(order.len(), BATCH).collect();
    let mut sums = vec![[0.0; 2]; seeds.len()];
    for group in all.chunks(session.metric_slots()) {
        let of_member = |slot: usize, seed: u64| {
            let scalars = session.scalars(seed, Stream::Evaluate, group[slot].first, group[slot].rows);
            StepScalars { slot: slot as u32, ..scalars }
        };
        let scalars: Vec<StepScalars> =
            (0..group.len()).flat_map(|slot| seeds.iter().map(move |&seed| of_member(slot, seed))).collect();
        session.run(plan, &scalars)?;
        for (member, sums) in sums.iter_mut().enumerate() {
            let means = session.read(member, &Role::Metrics, 0, 2 * group.len())?;
            for (batch, pair) in group.iter().zip(means.chunks_exact(2)) {
                for (sum, mean) in sums.iter_mut().zip(pair) {
                    *sum += f64::from(*mean) * batch.rows as f64;
                }
            }
        }
    }
    let count = order.len() as f64;
    Ok(sums.iter().map(|[distortion, rate]| Terms { distortion: distortion / count, rate: rate / count }).collect())
}

/// Evaluates examples one sample each: terms, rate of each latent dimension, active units.
///
/// # Errors
/// Those of the executor; [`crate::error::Error::Data`] where examples cannot be read from their file;
/// [`crate::error::Error::Bug`] where the session has no data.
pub fn summary(session: &mut Session, part: Range<usize>, seed: u64) -> Result<Summary> {
    if session.model.has_codes() {
        return summary_of_codes(session, part, seed);
    }
    if session.model.has_categories() {
        return summary_of_categories(session, part, seed);
    }
    session.model.need(&[Need::Numbers], "a summary of latents")?;
    let plan = session.plan(Purpose::task(EVALUATE, BATCH))?;
    let latents = session.model.latents();
    let order: Vec<u32> = part.map(|i| i as u32).collect();
    session.set_order(&order)?;
    let (mut distortions, mut rates_of_examples) = (Vec::new(), Vec::new());
    let mut gathered: Vec<_> =
        latents.iter().map(|&latent| aggregate::Gathered::new(latent, order.len(), seed)).collect();
    let mut rates_of_layers = vec![0.0; latents.len()];
    let highest = latents[latents.len() - 1];
    let mut rates = vec![0.0; highest];
    let (closed, told) = (session.model.has_closed_rate(), session.model.tells_rates());
    let gaussian = session.model.has_gaussian_posterior();
    for batch in batches(order.len(), BATCH) {
        let scalars = session.scalars(seed, Stream::Evaluate, batch.first, batch.rows);
        session.run(plan, &[scalars])?;
        distortions.extend(session.output("distortion", batch.rows, 1)?);
        rates_of_examples.extend(session.output("rate", batch.rows, 1)?);
        if told {
            for row in session.output(RATES, batch.rows, highest)?.chunks_exact(highest) {
                rates.iter_mut().zip(row).for_each(|(sum, &rate)| *sum += f64::from(rate));
            }
        }
        for (layer, gathered) in gathered.iter_mut().enumerate() {
            let all = posteriors(session, layer, batch.rows)?;
            if gaussian {
                for (means, log_variances) in &all {
                    gathered.add(means, log_variances);
                }
            } else {
                add_draws(session, gathered, batch.rows)?;
            }
            if latents.len() > 1 {
                let found = session.output(&format!("rate {}", layer + 1), batch.rows, 1)?;
                rates_of_layers[layer] += found.iter().map(|&rate| f64::from(rate)).sum::<f64>();
            }
            for (means, log_variances) in all.iter().filter(|_| layer + 1 == latents.len() && closed && !told) {
                for ((rate, mean), log_variance) in rates.iter_mut().zip(means).zip(log_variances) {
                    *rate += kl_term(*mean, *log_variance);
                }
            }
        }
    }
    let count = order.len() as f64;
    let losses: Vec<f64> =
        distortions.iter().zip(&rates_of_examples).map(|(d, r)| f64::from(*d) + f64::from(*r)).collect();
    let mean_of = |values: &[f32]| values.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
    let (_, standard_error) = mean_and_error(&losses);
    let mut aggregates: Vec<Aggregate> = gathered.into_iter().map(aggregate::Gathered::finish).collect();
    if latents.len() == 1 {
        rates_of_layers[0] = rates_of_examples.iter().map(|&rate| f64::from(rate)).sum();
    }
    let layer = |((&latent, rate), aggregate): ((&usize, &f64), &Aggregate)| {
        let active = aggregate.spread.iter().filter(|&&spread| spread > ACTIVE).count();
        Layer { latent, rate: rate / count, active }
    };
    let layers: Vec<Layer> = latents.iter().zip(&rates_of_layers).zip(&aggregates).map(layer).collect();
    let aggregate = aggregates.swap_remove(latents.len() - 1);
    Ok(Summary {
        examples: order.len(),
        terms: Terms { distortion: mean_of(&distortions), rate: mean_of(&rates_of_examples) },
        standard_error,
        rates: closed.then(|| rates.iter().map(|sum| sum / count).collect()),
        active: layers.iter().map(|layer| layer.active).sum(),
        aggregate,
        layers,
        codes: None,
    })
}

/// The same of a model with codes, of which nothing is drawn.
fn summary_of_codes(session: &mut Session, part: Range<usize>, seed: u64) -> Result<Summary> {
    let plan = session.plan(Purpose::task(EVALUATE, BATCH))?;
    let order: Vec<u32> = part.map(|i| i as u32).collect();
    session.set_order(&order)?;
    let (cells, mut losses, mut sums) = (session.model.cells(), Vec::new(), [0.0; 2]);
    let mut usage = Usage::new(session.model.config.codes, cells);
    for batch in batches(order.len(), BATCH) {
        let scalars = session.scalars(seed, Stream::Evaluate, batch.first, batch.rows);
        session.run(plan, &[scalars])?;
        let [distortions, rates] = ["distortion", "rate"].map(|name| session.output(name, batch.rows, 1));
        for (&distortion, &rate) in distortions?.iter().zip(&rates?) {
            let (distortion, rate) = (f64::from(distortion), f64::from(rate));
            losses.push(distortion + rate);
            sums[0] += distortion;
            sums[1] += rate;
        }
        usage.add(&session.output_codes(batch.rows)?);
    }
    let count = order.len() as f64;
    let [distortion, rate] = sums.map(|sum| sum / count);
    let (_, standard_error) = mean_and_error(&losses);
    let active = usage.used();
    Ok(Summary {
        examples: order.len(),
        terms: Terms { distortion, rate },
        standard_error,
        rates: None,
        active,
        aggregate: Aggregate { mean: vec![], covariance: vec![], spread: vec![], mmd: 0.0, draws: 0 },
        layers: vec![Layer { latent: cells, rate, active }],
        codes: Some(usage),
    })
}

/// The same of a model with latents that are categories: a rate for each variable, then for each number. How all posteriors
/// together lie beside N(0, 1) says nothing of them.
fn summary_of_categories(session: &mut Session, part: Range<usize>, seed: u64) -> Result<Summary> {
    let plan = session.plan(Purpose::task(EVALUATE, BATCH))?;
    let order: Vec<u32> = part.map(|i| i as u32).collect();
    session.set_order(&order)?;
    let (latent, categories) = (session.model.config.latent, session.model.config.variables().unwrap_or_default()[1]);
    let places = session.model.config.places_of_categories();
    let (mut losses, mut sums, mut rates) = (Vec::new(), [0.0; 2], vec![0.0; latent]);
    for batch in batches(order.len(), BATCH) {
        let scalars = session.scalars(seed, Stream::Evaluate, batch.first, batch.rows);
        session.run(plan, &[scalars])?;
        let [distortions, of_examples] = ["distortion", "rate"].map(|name| session.output(name, batch.rows, 1));
        for (&distortion, &rate) in distortions?.iter().zip(&of_examples?) {
            let (distortion, rate) = (f64::from(distortion), f64::from(rate));
            losses.push(distortion + rate);
            sums[0] += distortion;
            sums[1] += rate;
        }
        for row in session.output(RATES, batch.rows, latent)?.chunks_exact(latent) {
            rates.iter_mut().zip(row).for_each(|(sum, &rate)| *sum += f64::from(rate));
        }
    }
    let count = order.len() as f64;
    let [distortion, rate] = sums.map(|sum| sum / count);
    let (_, standard_error) = mean_and_error(&losses);
    // The rate of a variable stands in its first place.
    let rates: Vec<f64> =
        (0..places).step_by(categories.max(1)).chain(places..latent).map(|place| rates[place] / count).collect();
    let active = rates.iter().filter(|&&rate| rate > ACTIVE).count();
    Ok(Summary {
        examples: order.len(),
        terms: Terms { distortion, rate },
        standard_error,
        active,
        aggregate: Aggregate { mean: vec![], covariance: vec![], spread: vec![], mmd: 0.0, draws: 0 },
        layers: vec![Layer { latent: rates.len(), rate, active }],
        rates: Some(rates),
        codes: None,
    })
}

/// −log p of the codes of a part by their prior: the mean over its examples in nats, and the standard error of that.
///
/// # Errors
/// Those of the executor; [`crate::error::Error::Usage`] and [`crate::error::Error::Bug`] where the session has no such model,
/// or no data.
pub fn of_codes(session: &mut Session, part: Range<usize>) -> Result<(f64, f64)> {
    let plan = session.plan(Purpose::task(EVALUATE, BATCH))?;
    let order: Vec<u32> = part.map(|i| i as u32).collect();
    session.set_order(&order)?;
    let mut nats = Vec::with_capacity(order.len());
    for batch in batches(order.len(), BATCH) {
        let scalars = session.scalars(0, Stream::Evaluate, batch.first, batch.rows);
        session.run(plan, &[scalars])?;
        nats.extend(session.output("distortion", batch.rows, 1)?.into_iter().map(f64::from));
    }
    Ok(mean_and_error(&nats))
}

/// Adds what was drawn from the posterior of each example of the run just made, where it is no normal distribution.
fn add_draws(session: &mut Session, gathered: &mut aggregate::Gathered, rows: usize) -> Result<()> {
    let latent = session.model.config.latent;
    let [drawn, located] = ["z", LOCATION].map(|name| session.output(name, rows, latent));
    let (drawn, located) = (drawn?, located?);
    for (z, location) in drawn.chunks_exact(latent).zip(located.chunks_exact(latent)) {
        gathered.add_draw(z, location);
    }
    Ok(())
}

/// Means and log-variances of the posteriors of a stochastic layer, counted from 0, of each example of the run just made.
fn posteriors(session: &mut Session, layer: usize, rows: usize) -> Result<Vec<(Vec<f64>, Vec<f64>)>> {
    let (latent, [low, high]) = (session.model.latents()[layer], session.model.config.log_variance);
    let stats = session.output(&of_layer("stats", layer), rows, 2 * latent)?;
    let both = stats.chunks_exact(2 * latent).map(|row| {
        let means = row[..latent].iter().map(|&mean| f64::from(mean)).collect();
        let held = |lv: &f32| f64::from(lv.clamp(low, high));
        (means, row[latent..].iter().map(held).collect())
    });
    Ok(both.collect())
}

/// Estimates −log p(x) with `samples` importance-weighted samples per example (Burda et al. 2015, eq. 8). The weights
/// are added up on the device in a numerically stable way, so any number of samples is possible. `done` is told how
/// many examples are finished.
///
/// # Errors
/// Those of the executor; [`crate::error::Error::Data`] where examples cannot be read from their file;
/// [`crate::error::Error::Bug`] where the session has no data.
pub fn likelihood(
    session: &mut Session,
    part: Range<usize>,
    samples: usize,
    seed: u64,
    done: &mut dyn FnMut(usize),
) -> Result<Likelihood> {
    let losses = of_samples(session, part, samples, &[seed], done)?;
    let (neg_log_px, standard_error) = mean_and_error(&losses[0]);
    Ok(Likelihood { samples, neg_log_px, standard_error })
}

/// The estimate of −log p(x) by [`likelihood`] for every member, with its own seed: the mean over a part of the data.
///
/// # Errors
/// Those of [`likelihood`].
pub fn bounds(session: &mut Session, part: Range<usize>, samples: usize) -> Result<Vec<f64>> {
    let seeds: Vec<u64> = session.members().map(|config| config.train.seed).collect();
    let losses = of_samples(session, part, samples, &seeds, &mut |_| {})?;
    Ok(losses.iter().map(|losses| mean_and_error(losses).0).collect())
}

/// −log of the mean of `samples` importance weights of each example, for each member, of which `seeds` has one each.
fn of_samples(
    session: &mut Session,
    part: Range<usize>,
    samples: usize,
    seeds: &[u64],
    done: &mut dyn FnMut(usize),
) -> Result<Vec<Vec<f64>>> {
    if samples == 0 {
        return Err(Error::Usage("0 samples: the estimate takes 1 at least".into()));
    }
    let (batch, per_run) = portions(samples);
    let plan = session.plan(Purpose::samples(IMPORTANCE, batch, per_run))?;
    let order: Vec<u32> = part.map(|i| i as u32).collect();
    session.set_order(&order)?;
    let mut losses = vec![Vec::with_capacity(order.len()); seeds.len()];
    for examples in batches(order.len(), batch) {
        let of_member = |run: usize, seed: u64| {
            let scalars = session.scalars(seed, Stream::Evaluate, examples.first, examples.rows);
            StepScalars { sample: (run * per_run) as u32, ..scalars }
        };
        let runs = 0..samples / per_run;
        let runs: Vec<StepScalars> = runs.flat_map(|run| seeds.iter().map(move |&seed| of_member(run, seed))).collect();
        session.run(plan, &runs)?;
        for (member, losses) in losses.iter_mut().enumerate() {
            for state in session.output_of(member, "weights", examples.rows, 2)?.chunks_exact(2) {
                let [largest, sum] = [state[0], state[1]].map(f64::from);
                losses.push((samples as f64).ln() - largest - sum.ln());
            }
        }
        done(examples.first + examples.rows);
    }
    Ok(losses)
}

/// Examples per run and samples of each: the largest divisor of `samples` that leaves many examples to share out.
pub fn portions(samples: usize) -> (usize, usize) {
    let per_run = (1..=samples.min(BATCH)).rev().find(|&k| samples.is_multiple_of(k)).unwrap_or(1);
    ((ROWS / per_run).clamp(1, BATCH), per_run)
}

/// The mean and its standard error.
fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0).max(1.0) / count).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_divided_into_runs_without_a_rest() {
        for (samples, expected) in
            [(1, (128, 1)), (50, (40, 50)), (5000, (16, 125)), (2053, (128, 1)), (2048, (16, 128))]
        {
            assert_eq!(portions(samples), expected, "{samples} samples");
        }
    }

    #[test]
    fn the_standard_error_is_that_of_a_mean() {
        let (mean, error) = mean_and_error(&[1.0, 2.0, 3.0, 4.0]);
        assert_eq!(mean, 2.5);
        assert!((error - (5.0_f64 / 3.0 / 4.0).sqrt()).abs() < 1e-12);
    }
}
