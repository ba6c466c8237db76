//! What a prior of codes is asked for: grids of codes that it draws, and how likely given ones are.

use super::{BATCH, Purpose, Session};
use crate::error::{Error, Result};
use crate::model::tasks::NEXT;
use crate::model::{CELL, CODES, LOGITS};
use crate::plan::Role;
use crate::rng::{Philox, Stream};

impl Session {
    /// Grids of codes drawn by their prior cell by cell, [numbers, S]: the draw of a number is a function of it, the seed and the
    /// temperature T alone, with p(code) ∝ exp(logit/T), of T = 0 the likeliest code. Draws are made on the host in double
    /// precision from the logits of the device, by a uniform number for each cell; so devices draw the same but where their
    /// rounding of logits lies on either side of it.
    ///
    /// # Errors
    /// [`Error::Usage`] for a model that is no prior of codes, and a temperature that is none; [`Error::Diverged`] where logits
    /// are not finite; those of the executor.
    pub fn draw_grids(&mut self, numbers: &[u32], seed: u64, temperature: f32) -> Result<Vec<u32>> {
        self.draw_grids_as(numbers, &[], seed, temperature)
    }

    /// The same of a prior that is told classes, one for each number.
    ///
    /// # Errors
    /// Those of [`Session::draw_grids`] and [`Session::check_classes`].
    pub fn draw_grids_as(&mut self, numbers: &[u32], classes: &[u32], seed: u64, temperature: f32) -> Result<Vec<u32>> {
        self.check_classes(classes, numbers.len())?;
        if !(0.0..=f32::MAX).contains(&temperature) {
            return Err(Error::Usage(format!("a temperature of {temperature}: expected a finite number from 0 up")));
        }
        let cells = self.model.width;
        let mut all = Vec::with_capacity(numbers.len() * cells);
        for (at, numbers) in numbers.chunks(BATCH).enumerate() {
            let told: Vec<u32> = classes.iter().skip(at * BATCH).take(numbers.len()).copied().collect();
            let mut grids = vec![0; numbers.len() * cells];
            for cell in 0..cells {
                let logits = self.next_logits_as(&grids, &told, cell)?;
                for ((&number, grid), logits) in numbers
                    .iter()
                    .zip(grids.chunks_exact_mut(cells))
                    .zip(logits.chunks_exact(logits.len() / numbers.len()))
                {
                    let uniform = Philox::new(seed, Stream::Prior, number, cell as u32).uniform();
                    grid[cell] = drawn(logits, temperature, uniform)?;
                }
            }
            all.extend(grids);
        }
        Ok(all)
    }

    /// The logits of the codes of a cell of up to [`BATCH`] grids, [N, S] to [N, K]. Codes of this cell and of those behind it
    /// change nothing.
    ///
    /// # Errors
    /// [`Error::Usage`] for a model that is no prior of codes, and for what are no such grids; those of the executor.
    pub fn next_logits(&mut self, grids: &[u32], cell: usize) -> Result<Vec<f32>> {
        self.next_logits_as(grids, &[], cell)
    }

    /// The same of a prior that is told classes, one for each grid.
    ///
    /// # Errors
    /// Those of [`Session::next_logits`] and [`Session::check_classes`].
    pub fn next_logits_as(&mut self, grids: &[u32], classes: &[u32], cell: usize) -> Result<Vec<f32>> {
        let plan = self.plan(Purpose::task(NEXT, BATCH))?;
        let (cells, codes) = (self.model.width, self.model.config.prior_codes);
        let rows = grids.len() / cells;
        if !grids.len().is_multiple_of(cells) || !(1..=BATCH).contains(&rows) || cell >= cells {
            let count = grids.len();
            return Err(Error::Usage(format!(
                "cell {cell} of {count} codes: these are no cell of 1 to {BATCH} grids of {cells} codes each"
            )));
        }
        if let Some(code) = grids.iter().find(|&&code| code as usize >= codes) {
            return Err(Error::Usage(format!("code {code}: they go from 0 to {}", codes - 1)));
        }
        self.check_classes(classes, rows)?;
        self.decode_as(0, classes.iter().copied())?;
        let numbers: Vec<f32> = grids.iter().map(|&code| code as f32).collect();
        let places: Vec<f32> = (0..BATCH).map(|row| (row * cells + cell) as f32).collect();
        for (name, values) in [(CODES, &numbers), (CELL, &places)] {
            self.executor.write_to(0, &Role::Input(name.into()), 0, bytemuck::cast_slice(values))?;
        }
        let scalars = self.scalars(0, Stream::Prior, 0, rows);
        self.run(plan, &[scalars])?;
        self.output(LOGITS, rows, codes)
    }
}

/// The code that a uniform number stands for: the first one up to which the probabilities add up to more.
fn drawn(logits: &[f32], temperature: f32, uniform: f32) -> Result<u32> {
    if logits.iter().any(|logit| !logit.is_finite()) {
        return Err(Error::Diverged("logits of codes are not finite: the prior has diverged".into()));
    }
    let likeliest = (0..logits.len()).rev().max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap_or(0);
    if temperature == 0.0 {
        return Ok(likeliest as u32);
    }
    let most = f64::from(logits[likeliest]);
    let weights = logits.iter().map(|&logit| ((f64::from(logit) - most) / f64::from(temperature)).exp());
    let mut rest = f64::from(uniform) * weights.clone().sum::<f64>();
    for (code, weight) in weights.enumerate() {
        rest -= weight;
        if rest < 0.0 {
            return Ok(code as u32);
        }
    }
    Ok(likeliest as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uniform_numbers_become_codes_by_their_probabilities() {
        // Probabilities of 1/8, 5/8 and 2/8.
        let logits = [1.0_f32, 5.0, 2.0].map(f32::ln);
        for (uniform, expected) in [(0.01, 0), (0.124, 0), (0.126, 1), (0.74, 1), (0.76, 2), (0.999, 2)] {
            assert_eq!(drawn(&logits, 1.0, uniform), Ok(expected), "{uniform}");
        }
        // Those of T = 1/2 are squares: 1/30, 25/30 and 4/30.
        for (uniform, expected) in [(0.033, 0), (0.034, 1), (0.866, 1), (0.867, 2)] {
            assert_eq!(drawn(&logits, 0.5, uniform), Ok(expected), "{uniform}");
        }
        assert_eq!(drawn(&logits, 0.0, 0.999), Ok(1));
        assert_eq!(drawn(&[3.0, 3.0], 0.0, 0.999), Ok(0), "of several as likely the first");
        assert!(drawn(&[0.0, f32::NAN], 1.0, 0.5).is_err());
    }
}
