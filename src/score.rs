//! Anomaly scores: how strange a row is to a trained model, in nats. **The higher, the more anomalous**, always.
//!
//! A score is a function of the model, the [`Method`] and the row alone. Whatever would be drawn is fixed: every row
//! meets the same noise, so neither its place, nor the rows beside it, nor how many are scored at a time changes a bit.
//!
//! [`threshold`] says from which score on a row is called an anomaly, [`ranking`] how well scores tell known anomalies
//! from normal rows.

pub mod exemplars;
pub mod ranking;
mod strangers;
pub mod threshold;

use std::ops::Range;

use serde::{Deserialize, Serialize};

use self::exemplars::Exemplars;
use crate::error::{Error, Result};
use crate::eval::Terms;
use crate::kernels::sample::kl_term;
use crate::model::RATES;
use crate::model::tasks::{EXPLAIN, SCORE};
use crate::model::{likelihood, named, of_layer};
use crate::plan::Role;
use crate::rng::{Stream, key, normal, philox};
use crate::session::{BATCH, Purpose, Rows, Session};

/// Latent samples per row where nothing else is asked for: more change the order of rows hardly, and cost in proportion.
pub const SAMPLES: usize = 128;

/// The most latent samples per row.
pub const MAX_SAMPLES: usize = 1 << 20;

/// Rows of a data set that are made ready for the device at a time.
pub const PORTION: usize = 8192;

/// Rows per run of the importance plan, whatever the samples.
const ROWS: usize = 16;

/// The most samples per run.
const MAX_PER_RUN: usize = 128;

/// What a score is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Method {
    /// −log p(x), estimated with importance-weighted samples (Burda et al. 2015, eq. 8) whose noise is a function of the
    /// seed and the sample's number, the same for every row.
    Importance {
        /// Latent samples per row.
        samples: usize,
        /// The key of the noise.
        seed: u64,
    },
    /// −ELBO with the posterior's mean in place of a sample: distortion at the mean, plus the rate. Nothing is drawn.
    MeanField,
    /// The same with the rate against the posteriors of training rows ([`Exemplars`]).
    Exemplars,
}

impl Method {
    /// What it is, for titles; a `conditional` model is told the class y of a row.
    pub fn name(self, conditional: bool) -> &'static str {
        match (self, conditional) {
            (Self::Importance { .. }, false) => "-log p(x)",
            (Self::Importance { .. }, true) => "-log p(x|y)",
            (Self::MeanField, false) => "-ELBO at the posterior mean",
            (Self::MeanField, true) => "-ELBO given y at the posterior mean",
            (Self::Exemplars, _) => "-ELBO at the posterior mean, training rows for the prior",
        }
    }
}

/// The mean-field score of a row, or that against exemplars, in parts that add up to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Contributions {
    /// −log p(x|z) at the posterior's mean of each column of the row, in nats: of each of its D values where all are of
    /// one kind. What is missing contributes nothing.
    pub distortions: Vec<f64>,
    /// The KL divergence from the prior to the posterior, in nats; where it has no closed form log q(z|x) − log p(z) at the
    /// latents without noise, log q with its noise at the mean. Of several stochastic layers the sum of both kinds. Against
    /// exemplars [`Exemplars::rate`].
    pub rate: f64,
}

impl Contributions {
    /// Distortion and rate.
    pub fn terms(&self) -> Terms {
        Terms { distortion: self.distortions.iter().sum(), rate: self.rate }
    }

    /// The mean-field score: the sum of all parts.
    pub fn score(&self) -> f64 {
        self.terms().neg_elbo()
    }
}

/// The scores of rows, which are as the model takes them ([`crate::data::Dataset::example`]). The session must
/// have been opened without data. `exemplars` are what [`Method::Exemplars`] asks for; others take no notice of them. `done` is
/// told how many rows are finished. A row that is too strange for single precision has the score +∞.
///
/// # Errors
/// [`Error::Usage`] for a model that has no such scores, or where exemplars are missing; otherwise those of the session.
pub fn scores(
    session: &mut Session,
    rows: Rows,
    method: Method,
    exemplars: Option<&Exemplars>,
    done: &mut dyn FnMut(usize),
) -> Result<Vec<f64>> {
    let parts = |session: &mut Session, exemplars, done: &mut dyn FnMut(usize)| {
        let all = contributions(session, rows, exemplars, done)?;
        Ok(all.iter().map(|row| finite_or_infinite(row.score())).collect())
    };
    match method {
        Method::Importance { samples, seed } => {
            let score = |session: &mut Session, rows: Rows| importance(session, rows, samples, seed, &mut |_| ());
            let resolved = strangers::resolved(session, rows, score)?;
            importance(session, rows.with(resolved.as_deref()), samples, seed, done)
        }
        Method::MeanField => parts(session, None, done),
        Method::Exemplars if exemplars.is_none() => {
            Err(Error::Usage("scores against training rows need these: learn exemplars first".into()))
        }
        Method::Exemplars => parts(session, exemplars, done),
    }
}

fn importance(
    session: &mut Session,
    rows: Rows,
    samples: usize,
    seed: u64,
    done: &mut dyn FnMut(usize),
) -> Result<Vec<f64>> {
    let per_run = samples_per_run(samples)?;
    let plan = session.plan(Purpose::samples(SCORE, ROWS, per_run))?;
    let output = named("weights", per_run);
    let noise: Vec<(Role, Noise)> = session
        .model
        .latents()
        .into_iter()
        .enumerate()
        .map(|(layer, latent)| (Role::Input(of_layer(&named("noise", per_run), layer)), Noise { seed, layer, latent }))
        .collect();
    let runs = samples / per_run;
    let show = |session: &mut Session, samples: Range<usize>| {
        noise.iter().try_for_each(|(input, noise)| session.executor.write_f32(input, 0, &noise.tile(samples.clone())))
    };
    if runs == 1 {
        show(session, 0..samples)?;
    }
    let width = session.model.width;
    let mut scores = Vec::with_capacity(rows.values.len() / width);
    for part in rows.portions(ROWS, width) {
        let count = part.values.len() / width;
        session.show_encoded(part)?;
        session.set_order(&indices(count))?;
        for run in 0..runs {
            let first = run * per_run;
            if runs > 1 {
                show(session, first..first + per_run)?;
            }
            let scalars = session.scalars(seed, Stream::Evaluate, 0, count);
            let scalars = crate::kernels::StepScalars { sample: first as u32, ..scalars };
            session.executor.run(plan, &[scalars])?;
        }
        for state in session.output(&output, count, 2)?.chunks_exact(2) {
            let [largest, sum] = [state[0], state[1]].map(f64::from);
            scores.push(finite_or_infinite((samples as f64).ln() - largest - sum.ln()));
        }
        done(scores.len());
    }
    Ok(scores)
}

/// The parts of the mean-field scores of rows, in double precision from what the networks put out; with `exemplars` those of
/// the scores against them. Session and `done` as for [`scores`].
///
/// # Errors
/// [`Error::Usage`] for a model that has no such scores; otherwise those of the session.
pub fn contributions(
    session: &mut Session,
    rows: Rows,
    exemplars: Option<&Exemplars>,
    done: &mut dyn FnMut(usize),
) -> Result<Vec<Contributions>> {
    if exemplars.is_some() {
        Exemplars::check(&session.model, "a score against training rows")?;
    }
    let all = |session: &mut Session, rows: Rows, done: &mut dyn FnMut(usize)| {
        let width = session.model.width;
        let mut all: Vec<Contributions> = Vec::with_capacity(rows.values.len() / width);
        for part in rows.portions(BATCH, width) {
            let (first, mut all_means, mut all_log_variances) = (all.len(), vec![], vec![]);
            explained(session, part, &mut |_| (), &mut |row: Contributions, means, log_variances| {
                all.push(row);
                all_means.extend_from_slice(means);
                all_log_variances.extend_from_slice(log_variances);
            })?;
            if let Some(exemplars) = exemplars {
                let rates = exemplars.rates(&all_means, &all_log_variances);
                all[first..].iter_mut().zip(rates).for_each(|(row, rate)| row.rate = rate);
            }
            done(all.len());
        }
        Ok(all)
    };
    let score = |session: &mut Session, rows: Rows| {
        let all = all(session, rows, &mut |_| ())?;
        Ok(all.iter().map(|row: &Contributions| finite_or_infinite(row.score())).collect())
    };
    let resolved = strangers::resolved(session, rows, score)?;
    all(session, rows.with(resolved.as_deref()), done)
}

/// Who is given the parts of the mean-field score of a row, and the means and log-variances of its posterior.
type Visit<'a> = dyn FnMut(Contributions, &[f32], &[f32]) + 'a;

/// Gives `visit` the parts of the mean-field score of each row, with the means and log-variances of its posterior in the highest
/// stochastic layer.
fn explained(session: &mut Session, rows: Rows, done: &mut dyn FnMut(usize), visit: &mut Visit) -> Result<()> {
    let plan = session.plan(Purpose::task(EXPLAIN, BATCH))?;
    let (width, wide) = (session.model.width, session.model.output_width());
    let (latent, [low, high]) = (session.model.config.latent, session.model.config.log_variance);
    let mut finished = 0;
    for part in rows.portions(BATCH, width) {
        let count = part.values.len() / width;
        session.show_encoded(part)?;
        session.set_order(&indices(count))?;
        let scalars = session.scalars(0, Stream::Evaluate, 0, count);
        session.executor.run(plan, &[scalars])?;
        let stats = session.output("stats", count, 2 * latent)?;
        let out = session.output("out", count, wide)?;
        let several = session.model.latents().len() > 1;
        let told = match (session.model.tells_rates(), session.model.has_closed_rate()) {
            _ if several => Some((session.output("rate", count, 1)?, 1)),
            (true, _) => Some((session.output(RATES, count, latent)?, latent)),
            (_, true) => None,
            _ => Some((session.output("rate", count, 1)?, 1)),
        };
        for (row, x) in part.values.chunks_exact(width).enumerate() {
            let x: Vec<f32> = x.iter().map(|&value| session.model.shown(value)).collect();
            let distortions = likelihood::column_distortions(&session.model, &out[row * wide..][..wide], &x);
            let (means, log_variances) = stats[row * 2 * latent..][..2 * latent].split_at(latent);
            let log_variances: Vec<f32> = log_variances.iter().map(|lv| lv.clamp(low, high)).collect();
            let rates = means.iter().zip(&log_variances).map(|(&mean, &lv)| kl_term(mean.into(), lv.into()));
            let rate = match &told {
                Some((told, wide)) => told[row * wide..][..*wide].iter().map(|&rate| f64::from(rate)).sum(),
                None => rates.sum(),
            };
            visit(Contributions { distortions, rate }, means, &log_variances);
        }
        finished += count;
        done(finished);
    }
    Ok(())
}

/// The largest divisor of the samples that a run may have.
///
/// # Errors
/// [`Error::Usage`] for none, or too many.
pub(crate) fn samples_per_run(samples: usize) -> Result<usize> {
    let fits = |per_run: &usize| samples.is_multiple_of(*per_run);
    match samples {
        1..=MAX_SAMPLES => Ok((1..=samples.min(MAX_PER_RUN)).rev().find(fits).unwrap_or(1)),
        _ => Err(Error::Usage(format!("{samples} samples: the estimate takes 1 to {MAX_SAMPLES}"))),
    }
}

/// Noise that every row meets.
struct Noise {
    seed: u64,
    /// The stochastic layer, counted from 0.
    layer: usize,
    latent: usize,
}

impl Noise {
    /// The noise of samples for [`ROWS`] rows, which is the same for each: [rows · samples, Z].
    fn tile(&self, samples: Range<usize>) -> Vec<f32> {
        let mut block = Vec::with_capacity(samples.len() * self.latent);
        for sample in samples {
            for from in (0..self.latent).step_by(4) {
                let counter = [Stream::Score as u32, self.layer as u32, sample as u32, (from / 4) as u32];
                let words = philox(counter, key(self.seed));
                block.extend(words.iter().take(self.latent - from).map(|&word| normal(word)));
            }
        }
        block.repeat(ROWS)
    }
}

fn indices(count: usize) -> Vec<u32> {
    (0..count as u32).collect()
}

/// Distances that overflow leave infinities behind, or the difference of two.
fn finite_or_infinite(score: f64) -> f64 {
    if score.is_finite() { score } else { f64::INFINITY }
}
