//! What is missing from rows, from what is there: `p(x_missing | x_observed)` by importance-weighted latents (Mattei and Frellsen
//! 2019, "MIWAE: Deep generative modelling and imputation of incomplete data sets", arXiv 1812.02633, section 4).
//!
//! K latents of a row come from the encoder and, one in five, from the prior, all of them where nothing is known of the row; their
//! weights `w ∝ p(x_observed|z) p(z) / (⅘ q(z|x) + ⅕ p(z))` add up to 1 ([`Model::impute`]). The mean of a
//! missing value is Σ w·E[x|z]; a draw takes one of the latents by its weight and draws from p(x|z) of it (sampling importance
//! resampling). An encoder that never saw rows with holes is shown 0 in their place, and proposes latents that few of have any
//! weight. Iterations fill the rows with draws and encode them again, each of the K by itself (as Rezende, Mohamed, Wierstra
//! 2014, appendix F, did for one), with the same weights: so every iteration is right for any encoder, and its proposals come
//! from rows without holes (population Monte Carlo: Cappé, Guillin, Marin, Robert 2004).
//!
//! An answer is a function of the model, the row, its number, the seed and what is asked for: neither the rows beside it nor how
//! many go to the device at a time changes a bit.

use crate::error::{Error, Result};
use crate::model::likelihood::draw::{Factor, Given, Values, pick};
use crate::model::tasks::{IMPUTE, Need};
use crate::model::{CLASS, Model, of_layer, sized};
use crate::plan::Role;
use crate::rng::{Philox, Stream};
use crate::score::samples_per_run;
use crate::session::{Purpose, Rows, Session};
use rayon::prelude::*;

/// Latent samples per row where nothing else is asked for.
pub const SAMPLES: usize = 500;

/// Rows per run of the plan.
const ROWS: usize = 16;

/// The most bytes that the decoder's outputs for the rows of a run may take.
const MAX_BYTES: usize = 2 << 30;

/// Of so many latents of a row one is drawn from the prior: an encoder that is surer than the row allows misses what else it could
/// be.
const DEFENSIVE: usize = 5;

/// The heaviest latents whose modes are candidates for that of all.
const CANDIDATES: usize = 64;

/// With what a missing value is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// The mean of a number; the probabilities of levels.
    Mean,
    /// The most probable value.
    Mode,
    /// So many draws of the whole row.
    Draws(usize),
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// With what.
    pub fill: Fill,
    /// K, latent samples of a row.
    pub samples: usize,
    /// How often rows are filled and encoded again.
    pub iterations: usize,
    /// The key of all random numbers.
    pub seed: u64,
}

/// Rows without holes.
#[derive(Debug, Clone, PartialEq)]
pub struct Filled {
    /// [N, D] for each draw, of means and modes once.
    pub copies: Vec<Vec<f32>>,
    /// Of each row that had holes how many latents of equal weight would say as much, 1 to K: (Σw)²/Σw².
    pub effective: Vec<f64>,
}

/// The latents of a row: what the decoder puts out for each, [K, O], and their weights, which add up to 1.
struct Latents {
    out: Vec<f32>,
    weights: Vec<f64>,
}

/// Fills what is missing, NaN, from rows as the model takes them ([`crate::data::Dataset::example`]). `numbers` are what rows
/// are called, [N], on which their draws depend. `done` is told how many rows are finished.
///
/// # Errors
/// [`Error::Usage`] for no samples or too many, and for a likelihood that cannot be asked.
pub fn impute(
    session: &mut Session,
    rows: Rows,
    numbers: &[u32],
    asked: Asked,
    done: &mut dyn FnMut(usize),
) -> Result<Filled> {
    check(&session.model, asked)?;
    // Values may be missing now, whatever the training had, and afterwards as before.
    let missing = std::mem::replace(&mut session.model.missing, true);
    let filled = fill(session, rows, numbers, asked, done);
    session.model.missing = missing;
    filled
}

fn fill(
    session: &mut Session,
    rows: Rows,
    numbers: &[u32],
    asked: Asked,
    done: &mut dyn FnMut(usize),
) -> Result<Filled> {
    let width = session.model.width;
    let shown = |x: &f32| if x.is_nan() { *x } else { session.model.shown(*x) };
    let values: Vec<f32> = rows.values.iter().map(shown).collect();
    let copies = if let Fill::Draws(count) = asked.fill { count } else { 1 };
    let mut filled = Filled { copies: vec![rows.values.to_vec(); copies], effective: vec![] };
    let holes: Vec<usize> =
        (0..values.len() / width).filter(|row| has_holes(&values[row * width..][..width])).collect();
    for (at, part) in holes.chunks(ROWS).enumerate() {
        let of = Portion {
            x: part.iter().flat_map(|row| &values[row * width..][..width]).copied().collect(),
            classes: part.iter().filter_map(|&row| rows.classes.get(row)).copied().collect(),
            numbers: part.iter().map(|&row| numbers[row]).collect(),
        };
        let latents = of.latents(session, asked)?;
        let model = &session.model;
        let all = Values::of(model);
        let answers: Result<Vec<Vec<Vec<f32>>>> =
            latents.par_iter().enumerate().map(|(row, latents)| of.answers(row, latents, &all, asked)).collect();
        for (&row, answers) in part.iter().zip(answers?) {
            for (copy, answer) in filled.copies.iter_mut().zip(answers) {
                let row = &mut copy[row * width..][..width];
                // What was there stays, however it was presented.
                row.iter_mut().zip(answer).filter(|(x, _)| x.is_nan()).for_each(|(x, answer)| *x = answer);
            }
        }
        filled.effective.extend(latents.iter().map(|of| 1.0 / of.weights.iter().map(|w| w * w).sum::<f64>()));
        done(at * ROWS + part.len());
    }
    Ok(filled)
}

fn check(model: &Model, asked: Asked) -> Result<()> {
    samples_per_run(asked.samples)?;
    model.need(&[Need::NoLibrary], "filling what is missing")?;
    if asked.fill == Fill::Draws(0) {
        return Err(Error::Usage("--draws 0: one draw at least".into()));
    }
    let (wide, most) = (model.output_width(), MAX_BYTES / (4 * ROWS));
    if asked.samples.saturating_mul(wide) > most {
        return Err(Error::Usage(format!(
            "--samples {}: the decoder puts out {wide} numbers for each, so at most {} can be held",
            asked.samples,
            most / wide
        )));
    }
    Ok(())
}

fn has_holes(row: &[f32]) -> bool {
    row.iter().any(|x| x.is_nan())
}

/// Rows that go to the device together.
struct Portion {
    /// [rows, D], as they are presented, NaN where something is missing.
    x: Vec<f32>,
    classes: Vec<u32>,
    numbers: Vec<u32>,
}

impl Portion {
    fn rows(&self) -> usize {
        self.numbers.len()
    }

    fn row(&self, row: usize) -> &[f32] {
        let width = self.x.len() / self.rows();
        &self.x[row * width..][..width]
    }

    /// Whether a sample of a row is drawn from the prior, 1 or 0, and the share of those that are: all where nothing is known, else
    /// every [`DEFENSIVE`]-th.
    fn is_from_prior(&self, row: usize, sample: usize, samples: usize) -> [f32; 2] {
        if self.row(row).iter().all(|x| x.is_nan()) {
            return [1.0, 1.0];
        }
        let chosen = sample % DEFENSIVE == DEFENSIVE - 1;
        [f32::from(u8::from(chosen)), (samples / DEFENSIVE) as f32 / samples as f32]
    }

    /// Latents of each row, after all iterations.
    fn latents(&self, session: &mut Session, asked: Asked) -> Result<Vec<Latents>> {
        let per_run = samples_per_run(asked.samples)?;
        let shape = [ROWS, per_run];
        let mut all: Vec<(Vec<f32>, Vec<f32>)> = vec![(vec![], vec![]); self.rows()];
        let mut noise = Noise::new(self, &session.model, asked.seed, 0);
        for run in 0..asked.samples / per_run {
            let tiles: Vec<usize> = (0..self.rows()).collect();
            let noise = noise.next(&tiles, per_run, ROWS);
            let from_prior: Vec<f32> = tiles
                .iter()
                .flat_map(|&row| (0..per_run).map(move |sample| (row, run * per_run + sample)))
                .flat_map(|(row, sample)| self.is_from_prior(row, sample, asked.samples))
                .collect();
            let (out, logs) = pass(session, shape, [&self.x, &self.x, &from_prior], &self.classes, &noise)?;
            let wide = session.model.output_width();
            for (row, (outs, all)) in all.iter_mut().enumerate() {
                outs.extend_from_slice(&out[row * per_run * wide..][..per_run * wide]);
                all.extend_from_slice(&logs[row * per_run..][..per_run]);
            }
        }
        let mut latents: Vec<Latents> = all.into_iter().map(Latents::new).collect();
        for round in 1..=asked.iterations {
            latents = self.again(session, &latents, asked, round as u32)?;
        }
        Ok(latents)
    }

    /// Fills each row K times with draws, encodes all of them, and gives a latent of each.
    fn again(&self, session: &mut Session, before: &[Latents], asked: Asked, round: u32) -> Result<Vec<Latents>> {
        let (samples, size) = (asked.samples, ROWS * samples_per_run(asked.samples)?);
        let (width, wide) = (session.model.width, session.model.output_width());
        let all = Values::of(&session.model);
        let seen: Result<Vec<Vec<f32>>> = (0..self.rows())
            .into_par_iter()
            .map(|row| {
                let mut random = Philox::new(asked.seed, Stream::Draw, self.numbers[row], u32::MAX - round);
                let mut seen = Vec::with_capacity(samples * width);
                for _ in 0..samples {
                    let start = seen.len();
                    seen.extend_from_slice(self.row(row));
                    before[row].draw(&all, &mut seen[start..], &mut random)?;
                }
                Ok(seen)
            })
            .collect();
        let seen = seen?.concat();
        let mut noise = Noise::new(self, &session.model, asked.seed, round);
        let mut found: Vec<(Vec<f32>, Vec<f32>)> = vec![(vec![], vec![]); self.rows()];
        let pairs: Vec<usize> = (0..self.rows()).flat_map(|row| std::iter::repeat_n(row, samples)).collect();
        for (at, part) in pairs.chunks(size).enumerate() {
            let x: Vec<f32> = part.iter().flat_map(|&row| self.row(row)).copied().collect();
            let classes: Vec<u32> = part.iter().filter_map(|&row| self.classes.get(row)).copied().collect();
            let seen = &seen[at * size * width..][..part.len() * width];
            let noise = noise.next(part, 1, size);
            let from_prior: Vec<f32> =
                (at * size..).zip(part).flat_map(|(at, &row)| self.is_from_prior(row, at % samples, samples)).collect();
            let (out, logs) = pass(session, [size, 1], [seen, &x, &from_prior], &classes, &noise)?;
            for (at, &row) in part.iter().enumerate() {
                found[row].0.extend_from_slice(&out[at * wide..][..wide]);
                found[row].1.push(logs[at]);
            }
        }
        Ok(found.into_iter().map(Latents::new).collect())
    }

    /// A row without holes, once or as often as draws are asked for.
    fn answers(&self, row: usize, latents: &Latents, all: &Values, asked: Asked) -> Result<Vec<Vec<f32>>> {
        let draw = |copy: usize| {
            let mut x = self.row(row).to_vec();
            let mut random = Philox::new(asked.seed, Stream::Draw, self.numbers[row], copy as u32);
            latents.draw(all, &mut x, &mut random).map(|()| x)
        };
        match asked.fill {
            Fill::Draws(count) => (0..count).map(draw).collect(),
            Fill::Mean => Ok(vec![latents.mean(all, self.row(row))?]),
            Fill::Mode => Ok(vec![latents.mode(all, self.row(row))?]),
        }
    }
}

/// One run of the plan: what the decoder puts out, [examples · samples, O], and the logarithms of the weights.
fn pass(
    session: &mut Session,
    [batch, samples]: [usize; 2],
    [seen, x, from_prior]: [&[f32]; 3],
    classes: &[u32],
    noise: &[Vec<f32>],
) -> Result<(Vec<f32>, Vec<f32>)> {
    let mixed = session.model.imputes_from_prior();
    let plan = session.plan(Purpose::samples(IMPUTE, batch, samples))?;
    let name = |what| sized(what, batch, samples);
    let mut write = |name: String, values: &[f32]| session.executor.write_f32(&Role::Input(name), 0, values);
    write(name("seen"), seen)?;
    write(name("x"), x)?;
    if mixed {
        write(name("from prior"), from_prior)?;
    }
    if !classes.is_empty() {
        write(name(CLASS), &classes.iter().map(|&class| class as f32).collect::<Vec<f32>>())?;
    }
    for (layer, noise) in noise.iter().enumerate() {
        write(of_layer(&name("noise"), layer), noise)?;
    }
    let rows = x.len() / session.model.width;
    let scalars = session.scalars(0, Stream::Evaluate, 0, rows);
    session.executor.run(plan, &[scalars])?;
    let wide = session.model.output_width();
    let out = session.output(&name("out"), rows * samples, wide)?;
    Ok((out, session.output(&name("log weights"), rows * samples, 1)?))
}

/// Standard normal noise of each row, one sample after the other.
struct Noise {
    of: Vec<Philox>,
    latents: Vec<usize>,
}

impl Noise {
    fn new(portion: &Portion, model: &Model, seed: u64, round: u32) -> Self {
        let of = portion.numbers.iter().map(|&number| Philox::new(seed, Stream::Impute, number, round)).collect();
        Self { of, latents: model.latents() }
    }

    /// So many further samples of each of these rows, for each stochastic layer [rows · samples, Z], filled up to `batch` rows.
    fn next(&mut self, rows: &[usize], samples: usize, batch: usize) -> Vec<Vec<f32>> {
        let mut noise: Vec<Vec<f32>> = self.latents.iter().map(|z| Vec::with_capacity(batch * samples * z)).collect();
        for &row in rows {
            for _ in 0..samples {
                for (noise, &latent) in noise.iter_mut().zip(&self.latents) {
                    noise.extend((0..latent).map(|_| self.of[row].normal()));
                }
            }
        }
        noise.iter_mut().zip(&self.latents).for_each(|(noise, z)| noise.resize(batch * samples * z, 0.0));
        noise
    }
}

impl Latents {
    /// From logarithms of weights; what is no number has no weight.
    fn new((out, logs): (Vec<f32>, Vec<f32>)) -> Self {
        let logs: Vec<f64> =
            logs.iter().map(|&log| if log.is_nan() { f64::NEG_INFINITY } else { log.into() }).collect();
        let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        // Of a row that is too strange for single precision all latents are as good.
        let mass = |log: f64| if largest.is_finite() { (log - largest).exp() } else { 1.0 };
        let weights: Vec<f64> = logs.iter().map(|&log| mass(log)).collect();
        let total: f64 = weights.iter().sum();
        Self { out, weights: weights.iter().map(|weight| weight / total).collect() }
    }

    fn out(&self, at: usize) -> &[f32] {
        let wide = self.out.len() / self.weights.len();
        &self.out[at * wide..][..wide]
    }

    /// Draws what is missing, given one of the latents.
    fn draw(&self, all: &Values, x: &mut [f32], random: &mut Philox) -> Result<()> {
        all.fill(self.out(pick(&self.weights, random)), x, random)
    }

    fn mean(&self, all: &Values, x: &[f32]) -> Result<Vec<f32>> {
        let mut sums = vec![0.0; x.len()];
        for (at, &weight) in self.weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
            for part in all.missing(self.out(at), x)? {
                part.places().zip(part.given.mean()).for_each(|(place, mean)| sums[place] += weight * mean);
            }
        }
        Ok(x.iter().zip(sums).map(|(&x, sum)| if x.is_nan() { sum as f32 } else { x }).collect())
    }

    /// The value at which the density of the mixture of all latents is largest, each value by itself: among the modes of the
    /// heaviest.
    fn mode(&self, all: &Values, x: &[f32]) -> Result<Vec<f32>> {
        let mut order: Vec<usize> = (0..self.weights.len()).filter(|&at| self.weights[at] > 0.0).collect();
        order.sort_by(|&a, &b| self.weights[b].total_cmp(&self.weights[a]).then(a.cmp(&b)));
        let parts = |&at: &usize| -> Result<Vec<Factor>> {
            Ok(all.missing(self.out(at), x)?.into_iter().flat_map(Factor::apart).collect())
        };
        let of: Vec<Vec<Factor>> = order.iter().map(parts).collect::<Result<_>>()?;
        let mut filled = x.to_vec();
        for column in 0..of[0].len() {
            let density = |value: f64| -> f64 {
                let of = order.iter().zip(&of);
                of.map(|(&at, parts)| self.weights[at] * parts[column].given.density(value)).sum()
            };
            let mut candidates: Vec<f64> =
                of.iter().take(CANDIDATES).flat_map(|parts| parts[column].given.candidates()).collect();
            candidates.sort_by(f64::total_cmp);
            candidates.dedup();
            let best = candidates
                .into_iter()
                .map(|value| (value, density(value)))
                .reduce(|best, other| if other.1 > best.1 { other } else { best });
            let (part, (value, _)) = (&of[0][column], best.unwrap_or_default());
            if let Given::Levels(_) = part.given
                && !x[part.first].is_nan()
            {
                continue;
            }
            part.put(&mut filled, part.given.places(value).into_iter());
        }
        Ok(filled)
    }
}
