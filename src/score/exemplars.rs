//! The rows that a model was trained on as a prior: where their latents lie says which latents are usual.
//!
//! N(0, 1) is a poor account of the latents of real data, and a row between two clusters of them is as likely under it as one
//! within. The mixture of the posteriors of M training rows, r(z) = (1/M) Σ q(z|xₘ), is their own density (the prior of the
//! exemplar VAE, Norouzi, Fleet and Norouzi 2020, [arXiv 2004.04795](https://arxiv.org/abs/2004.04795); the aggregated
//! posterior of Tomczak and Welling 2018). A row's rate is then KL(q(z|x) ‖ r), by the variational bound of Hershey and Olsen
//! 2007 ("Approximating the Kullback Leibler divergence between Gaussian mixture models", section 8):
//!
//! rate(x) = −log (1/M) Σ exp(−KL(q(z|x) ‖ q(z|xₘ)))

use super::{Contributions, PORTION, explained, finite_or_infinite};
use crate::checkpoint::{Checkpoint, Tensor, tensors};
use crate::config::Condition;
use crate::data::Dataset;
use crate::durable;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::model::tasks::Need;
use crate::session::{Rows, Session};
use rayon::prelude::{IndexedParallelIterator, ParallelIterator, ParallelSlice};
use std::path::{Path, PathBuf};

/// The most rows that are exemplars, and the most of the training rows that are looked at for them.
const MOST: usize = 10_000;
const LOOKED_AT: usize = 4 * MOST;

/// The share of the rows, the strangest by their mean-field scores, that are no exemplars: anomalies among the training rows
/// would vouch for themselves.
const STRANGEST: f64 = 0.2;

/// What their files begin with in a run's folder.
const FILE: &str = "exemplars-";
const MEANS: &str = "means";
const LOG_VARIANCES: &str = "log_variances";

/// Posteriors of rows that were trained on: normal distributions with independent dimensions.
#[derive(Debug, Clone, PartialEq)]
pub struct Exemplars {
    /// Z.
    latent: usize,
    /// [M, Z].
    means: Vec<f32>,
    /// [M, Z], within the range that the model allows.
    log_variances: Vec<f32>,
    /// M.
    count: usize,
    /// All of them, [`AT_ONCE`] at a time: the last ones are filled up with such as no row is near.
    blocks: Vec<Block>,
}

/// Exemplars that are compared with a row together: their sums stay in registers.
const AT_ONCE: usize = 16;

/// Rows that are compared with the exemplars of a block before the next one.
const ROWS: usize = 16;

/// What a divergence may be above the least one: beyond, its exponential adds nothing to that of the least. Larger ones count as if they
/// were this far.
const COUNTS: f64 = 60.0;

/// Exemplars side by side, so that a loop over them has vectors.
#[derive(Debug, Clone, PartialEq)]
struct Block {
    /// [Z] of means.
    means: Vec<[f64; AT_ONCE]>,
    /// [Z] of 1/σ².
    precisions: Vec<[f64; AT_ONCE]>,
    /// Σ log σ² − Z of each.
    constants: [f64; AT_ONCE],
}

impl Block {
    /// Of up to [`AT_ONCE`] means and log-variances, [M, Z] each.
    fn new(latent: usize, means: &[f32], log_variances: &[f32]) -> Self {
        let mut block = Self {
            means: vec![[0.0; AT_ONCE]; latent],
            precisions: vec![[0.0; AT_ONCE]; latent],
            constants: [f64::INFINITY; AT_ONCE],
        };
        for (at, (means, log_variances)) in
            means.chunks_exact(latent).zip(log_variances.chunks_exact(latent)).enumerate()
        {
            for (d, (&mean, &lv)) in means.iter().zip(log_variances).enumerate() {
                block.means[d][at] = mean.into();
                block.precisions[d][at] = (-f64::from(lv)).exp();
            }
            block.constants[at] = log_variances.iter().map(|&lv| f64::from(lv) - 1.0).sum();
        }
        block
    }

    /// KL(q ‖ q of each exemplar) with q of these means and variances, whose log-variances add up to `own`.
    #[inline(always)]
    fn divergences(&self, means: &[f64], variances: &[f64], own: f64) -> [f64; AT_ONCE] {
        let mut sums = [0.0; AT_ONCE];
        for ((others, precisions), (&mean, &variance)) in
            self.means.iter().zip(&self.precisions).zip(means.iter().zip(variances))
        {
            for ((sum, other), precision) in sums.iter_mut().zip(others).zip(precisions) {
                *sum += (variance + (mean - other) * (mean - other)) * precision;
            }
        }
        for (sum, constant) in sums.iter_mut().zip(&self.constants) {
            *sum = 0.5 * (*sum + constant - own);
        }
        sums
    }
}

/// 1/k! of k from 0 to 13.
const INVERSE_FACTORIALS: [f64; 14] = {
    let mut all = [1.0; 14];
    let mut k = 1;
    while k < all.len() {
        all[k] = all[k - 1] / k as f64;
        k += 1;
    }
    all
};

/// eˣ from −[`COUNTS`] to 0, off by two units in the last place at most. There is no branch, so loops over it have vectors. x is n·ln 2 + r
/// with r between ±ln 2 / 2, of which the Taylor series is summed up.
#[inline(always)]
fn exp(x: f64) -> f64 {
    /// Added to a small number, it leaves its nearest whole number in the last bits.
    const WHOLE: f64 = 1.5 * (1_u64 << 52) as f64;
    /// ln 2 in two parts, of which the first times n is exact.
    const LN_2: [f64; 2] = [6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10];
    const BIAS: u64 = 1023;
    let shifted = x * std::f64::consts::LOG2_E + WHOLE;
    let n = shifted - WHOLE;
    let r = x - n * LN_2[0] - n * LN_2[1];
    let sum = INVERSE_FACTORIALS.iter().rev().fold(0.0, |sum, inverse| sum * r + inverse);
    sum * f64::from_bits(shifted.to_bits().wrapping_add(BIAS) << 52)
}

/// Rows of which some are to be exemplars.
#[derive(Debug, Default)]
pub struct Candidates {
    scores: Vec<f64>,
    means: Vec<f32>,
    log_variances: Vec<f32>,
}

impl Candidates {
    /// Adds rows, which are as the model takes them.
    ///
    /// # Errors
    /// Those of [`super::contributions`].
    pub fn add(&mut self, session: &mut Session, rows: Rows) -> Result<()> {
        explained(session, rows, &mut |_| (), &mut |row: Contributions, means, log_variances| {
            self.scores.push(finite_or_infinite(row.score()));
            self.means.extend_from_slice(means);
            self.log_variances.extend_from_slice(log_variances);
        })
    }

    /// The exemplars among them: up to [`MOST`], spread over all but the strangest.
    ///
    /// # Errors
    /// [`Error::Diverged`] where no row has a finite score; [`Error::Usage`] where there is no row.
    pub fn choose(self) -> Result<Exemplars> {
        if self.scores.is_empty() {
            return Err(Error::Usage("there is no row that others could be compared with".into()));
        }
        let latent = self.means.len() / self.scores.len();
        let mut order: Vec<usize> = (0..self.scores.len()).collect();
        order.sort_by(|&a, &b| self.scores[a].total_cmp(&self.scores[b]));
        order.truncate(((order.len() as f64 * (1.0 - STRANGEST)).round() as usize).max(1));
        order.retain(|&row| self.scores[row].is_finite());
        if order.is_empty() {
            return Err(Error::Diverged("no training row has a finite score: the model has diverged".into()));
        }
        // In the order in which they came, so that what is spread over them is spread over the data.
        order.sort_unstable();
        let count = order.len().min(MOST);
        let chosen: Vec<usize> = (0..count).map(|at| order[at * order.len() / count]).collect();
        let of = |all: &[f32]| chosen.iter().flat_map(|&row| &all[row * latent..][..latent]).copied().collect();
        Ok(Exemplars::new(latent, of(&self.means), of(&self.log_variances)))
    }
}

impl Exemplars {
    /// Those of means and log-variances, [M, Z] each.
    fn new(latent: usize, means: Vec<f32>, log_variances: Vec<f32>) -> Self {
        let parts = means.chunks(AT_ONCE * latent).zip(log_variances.chunks(AT_ONCE * latent));
        let blocks = parts.map(|(means, log_variances)| Block::new(latent, means, log_variances)).collect();
        Self { latent, count: means.len() / latent, means, log_variances, blocks }
    }

    /// Whether rows of a model can be held against exemplars.
    ///
    /// # Errors
    /// [`Error::Usage`] that names `what`, and what is in its way.
    pub fn check(model: &Model, what: &str) -> Result<()> {
        model.need(&[Need::Numbers, Need::NoCategories, Need::OneLayer, Need::GaussianPosterior], what)?;
        match model.config.condition {
            Condition::None => Ok(()),
            condition => Err(Error::Usage(format!(
                "{what} is for models that know no classes; this one has model.condition = {}",
                condition.word()
            ))),
        }
    }

    /// Those of the training part of a data set.
    ///
    /// # Errors
    /// As for [`Candidates::add`] and [`Candidates::choose`]; those of reading the rows.
    pub fn of_training(session: &mut Session, data: &Dataset) -> Result<Self> {
        let (part, count) = (&data.train, data.train.len().min(LOOKED_AT));
        let examples: Vec<u32> = (0..count).map(|at| (part.start + at * part.len() / count) as u32).collect();
        let mut candidates = Candidates::default();
        for part in examples.chunks(PORTION) {
            candidates.add(session, Rows { values: &data.examples(part)?, classes: &[] })?;
        }
        candidates.choose()
    }

    /// M, how many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none, which [`Candidates::choose`] does not make.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The rates of posteriors against them, in nats: 0 at the least for one that is that of every exemplar, log M for one that is
    /// far from all but one. Means and log-variances are [R, Z].
    pub fn rates(&self, means: &[f32], log_variances: &[f32]) -> Vec<f64> {
        let wide = ROWS * self.latent;
        let rates = |(means, log_variances)| {
            pulp::Arch::new().dispatch(
                #[inline(always)]
                || self.rates_of_few(means, log_variances),
            )
        };
        means.par_chunks(wide).zip(log_variances.par_chunks(wide)).flat_map_iter(rates).collect()
    }

    /// The same of up to [`ROWS`] posteriors.
    #[inline(always)]
    fn rates_of_few(&self, means: &[f32], log_variances: &[f32]) -> Vec<f64> {
        let means: Vec<f64> = means.iter().map(|&mean| mean.into()).collect();
        let variances: Vec<f64> = log_variances.iter().map(|&lv| f64::from(lv).exp()).collect();
        let own = log_variances.chunks_exact(self.latent).map(|row| row.iter().map(|&lv| f64::from(lv)).sum::<f64>());
        let rows = means.chunks_exact(self.latent).zip(variances.chunks_exact(self.latent)).zip(own);
        let rows: Vec<_> = rows.collect();
        let mut all = vec![Vec::with_capacity(self.blocks.len() * AT_ONCE); rows.len()];
        for block in &self.blocks {
            for (((means, variances), own), all) in rows.iter().zip(&mut all) {
                all.extend_from_slice(&block.divergences(means, variances, *own));
            }
        }
        all.iter().map(|divergences| self.rate(&divergences[..self.count])).collect()
    }

    /// What divergences from all of them come to.
    #[inline(always)]
    fn rate(&self, divergences: &[f64]) -> f64 {
        let least = divergences.iter().copied().fold(f64::INFINITY, f64::min);
        if !least.is_finite() {
            return f64::INFINITY;
        }
        let (parts, rest) = divergences.as_chunks::<AT_ONCE>();
        let mut sums = [0.0; AT_ONCE];
        for part in parts {
            for (sum, divergence) in sums.iter_mut().zip(part) {
                *sum += exp((least - divergence).max(-COUNTS));
            }
        }
        let rest = rest.iter().map(|divergence| exp((least - divergence).max(-COUNTS)));
        least - ((sums.iter().sum::<f64>() + rest.sum::<f64>()) / self.count as f64).ln()
    }

    /// The file of those of a checkpoint, by its parameters and its data.
    fn file(folder: &Path, checkpoint: &Checkpoint) -> PathBuf {
        let short = |hash: &str| hash.chars().take(16).collect::<String>();
        let (parameters, data) = (short(&checkpoint.parameters_hash()), short(&checkpoint.progress.data.hash));
        folder.join(format!("{FILE}{parameters}-{data}.safetensors"))
    }

    /// Those that a run's folder keeps for a checkpoint, if it does and they are whole.
    pub fn kept(folder: &Path, checkpoint: &Checkpoint) -> Option<Self> {
        let file = std::fs::read(Self::file(folder, checkpoint)).ok()?;
        let mut tensors = tensors::decode(&file).ok()?.into_iter();
        let (means, log_variances) = (tensors.next()?, tensors.next()?);
        let latent = *means.1.shape.get(1)?;
        let named = means.0 == MEANS && log_variances.0 == LOG_VARIANCES;
        let fits = latent == checkpoint.config.model.latent && means.1.shape == log_variances.1.shape;
        let finite = [&means, &log_variances].iter().all(|(_, tensor)| tensor.values.iter().all(|x| x.is_finite()));
        (named && fits && finite && !means.1.values.is_empty())
            .then(|| Self::new(latent, means.1.values, log_variances.1.values))
    }

    /// Keeps them in a run's folder, in place of those before.
    ///
    /// # Errors
    /// [`Error::Disk`].
    pub fn save(&self, folder: &Path, checkpoint: &Checkpoint) -> Result<()> {
        let path = Self::file(folder, checkpoint);
        let tensor = |values: &[f32]| Tensor { shape: vec![self.len(), self.latent], values: values.to_vec() };
        let file = tensors::encode(&[
            (MEANS.into(), tensor(&self.means)),
            (LOG_VARIANCES.into(), tensor(&self.log_variances)),
        ])?;
        durable::replace_file(&path, &file)?;
        let is_old =
            |name: &str| name.starts_with(FILE) && Path::new(name).extension().is_some_and(|e| e == "safetensors");
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.path() != path && entry.file_name().to_str().is_some_and(is_old) {
                // One that stays is in nobody's way.
                let _ = std::fs::remove_file(entry.path());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(scores: &[f64]) -> Candidates {
        let means = (0..scores.len()).map(|row| row as f32).collect();
        Candidates { scores: scores.to_vec(), means, log_variances: vec![0.0; scores.len()] }
    }

    #[test]
    fn the_rate_is_minus_the_log_of_the_mean_of_exponentials_of_divergences() {
        let exemplars = Exemplars::new(2, vec![0.0, 1.0, 2.0, -1.0], vec![0.0, -1.0, 0.5, 0.2]);
        let (mean, lv) = ([0.3_f32, -0.4], [-0.7_f32, 0.1]);
        // KL of two normal distributions, written out.
        let kl = |at: usize| -> f64 {
            (0..2)
                .map(|d| {
                    let [m, v] =
                        [f64::from(exemplars.means[2 * at + d]), f64::from(exemplars.log_variances[2 * at + d])];
                    let [mine, my_lv] = [f64::from(mean[d]), f64::from(lv[d])];
                    0.5 * (v - my_lv) + (my_lv.exp() + (mine - m).powi(2)) / (2.0 * v.exp()) - 0.5
                })
                .sum()
        };
        let expected = -(f64::midpoint((-kl(0)).exp(), (-kl(1)).exp())).ln();
        assert!((exemplars.rates(&mean, &lv)[0] - expected).abs() < 1e-12, "{expected}");
        // That of all exemplars costs nothing, and one that is far from all others at most log M.
        let same = Exemplars::new(1, vec![1.5; 3], vec![-2.0; 3]);
        assert!(same.rates(&[1.5], &[-2.0])[0].abs() < 1e-12);
        let apart = Exemplars::new(1, vec![0.0, 1e6, -1e6], vec![0.0; 3]);
        assert!((apart.rates(&[1e6], &[0.0])[0] - 3.0_f64.ln()).abs() < 1e-12);
        let far = apart.rates(&[f32::MAX, f32::INFINITY], &[0.0; 2]);
        assert!(far[0] > 1e12 && far[1].is_infinite());
    }

    #[test]
    fn exponentials_are_those_of_the_library() {
        for at in 0..=600_000 {
            let x = -COUNTS * f64::from(at) / 600_000.0;
            assert!((exp(x) / x.exp() - 1.0).abs() <= 2.0 * f64::EPSILON, "{x}");
        }
        assert_eq!(exp(0.0), 1.0);
    }

    /// More exemplars than a block has, and more rows than are compared at once.
    #[test]
    fn rates_of_many_are_those_of_each() {
        let number = |at: usize| ((at * 7919) % 1000) as f32 / 250.0 - 2.0;
        let (count, rows, latent) = (2 * AT_ONCE + 3, ROWS + 5, 3);
        let values = |count: usize, from: usize| (from..from + count * latent).map(number).collect::<Vec<_>>();
        let (means, log_variances) = (values(count, 1), values(count, 5));
        let (asked, widths) = (values(rows, 11), values(rows, 3));
        let rates = Exemplars::new(latent, means.clone(), log_variances.clone()).rates(&asked, &widths);
        assert_eq!(rates.len(), rows);
        for ((mean, lv), rate) in asked.chunks(latent).zip(widths.chunks(latent)).zip(rates) {
            let one = |(m, v): (&[f32], &[f32])| {
                let alone = Exemplars::new(latent, m.to_vec(), v.to_vec());
                (-alone.rates(mean, lv)[0]).exp()
            };
            let sum: f64 = means.chunks(latent).zip(log_variances.chunks(latent)).map(one).sum();
            assert!((rate + (sum / count as f64).ln()).abs() < 1e-9, "{rate}");
        }
    }

    #[test]
    fn the_strangest_fifth_is_no_exemplar_and_many_are_spread_over_all() {
        let chosen = candidates(&[1.0, 9.0, 3.0, 2.0, 4.0, 0.5, 8.0, 1.5, 2.5, 3.5]).choose().unwrap();
        assert_eq!(chosen.means, [0.0, 2.0, 3.0, 4.0, 5.0, 7.0, 8.0, 9.0], "rows 1 and 6 are the strangest");
        assert_eq!(candidates(&[7.0]).choose().unwrap().len(), 1);
        let many = candidates(&vec![1.0; 3 * MOST]).choose().unwrap();
        let [first, last] = [many.means[0], many.means[MOST - 1]];
        assert!(many.len() == MOST && first == 0.0 && f64::from(last) > 2.3 * MOST as f64, "{first} to {last}");
        assert_eq!(candidates(&[]).choose().unwrap_err().exit_code(), 2);
        assert_eq!(candidates(&[f64::INFINITY]).choose().unwrap_err().exit_code(), 4);
    }
}
