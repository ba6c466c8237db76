//! What a model with codes is asked for: the codes of examples, and what codes decode to.

use super::{BATCH, Purpose, Session};
use crate::error::{Error, Result};
use crate::model::CODES;
use crate::model::tasks::{DECODE, ENCODE, SAMPLE};
use crate::plan::Role;
use crate::rng::{Philox, Stream};

impl Session {
    /// Refuses a question about codes where there are none.
    fn check_has_codes(&self) -> Result<()> {
        if self.model.has_codes() {
            return Ok(());
        }
        Err(Error::Usage("the latents of this model are numbers, and no codes (model.codes = 0)".into()))
    }

    /// The codes of the given examples of the data set, row by row of their grids, [examples, S] with S codes of an example
    /// ([`crate::model::Model::cells`]). `seed` is that of dynamic binarisation.
    ///
    /// # Errors
    /// [`Error::Usage`] for an example that there is not, and where latents are no codes.
    pub fn codes(&mut self, examples: &[u32], seed: u64) -> Result<Vec<u32>> {
        self.check_has_codes()?;
        let (plan, cells) = (self.plan(Purpose::task(ENCODE, BATCH))?, self.model.cells());
        let mut codes = Vec::with_capacity(examples.len() * cells);
        for part in examples.chunks(BATCH) {
            self.set_order(part)?;
            let scalars = self.scalars(seed, Stream::Evaluate, 0, part.len());
            self.run(plan, &[scalars])?;
            codes.extend(self.output_codes(part.len())?);
        }
        Ok(codes)
    }

    /// The codes of the examples of the run just made.
    ///
    /// # Errors
    /// Those of [`Session::output`].
    pub fn output_codes(&mut self, rows: usize) -> Result<Vec<u32>> {
        let cells = self.model.cells();
        Ok(self.output(CODES, rows, cells)?.into_iter().map(|code| code as u32).collect())
    }

    /// The means of p(x|e) for the codes of examples, [N, S] to [N, D] in the units of the model.
    ///
    /// # Errors
    /// [`Error::Usage`] where they are no grids of codes, or one of them is none of the codebook.
    pub fn decode_codes(&mut self, codes: &[u32]) -> Result<Vec<f32>> {
        self.check_codes(codes)?;
        let (plan, cells) = (self.plan(Purpose::task(DECODE, BATCH))?, self.model.cells());
        let mut means = Vec::with_capacity(codes.len() / cells * self.model.width);
        for part in codes.chunks(BATCH * cells) {
            self.write_codes(0, part)?;
            let rows = part.len() / cells;
            let scalars = self.scalars(0, Stream::Evaluate, 0, rows);
            self.run(plan, &[scalars])?;
            means.extend(self.means(rows)?);
        }
        Ok(means)
    }

    /// Checks codes that somebody gives.
    ///
    /// # Errors
    /// Those of [`Session::decode_codes`].
    pub fn check_codes(&self, codes: &[u32]) -> Result<()> {
        self.check_has_codes()?;
        let (cells, most) = (self.model.cells(), self.model.config.codes - 1);
        if !codes.len().is_multiple_of(cells) {
            let [height, width] = self.model.grid();
            let count = codes.len();
            return Err(Error::Usage(format!("{count} codes are no examples of {height}x{width} codes each")));
        }
        match codes.iter().position(|&code| code as usize > most) {
            Some(at) => {
                let (example, cell, code) = (at / cells, at % cells, codes[at]);
                Err(Error::Usage(format!("code {cell} of example {example} is {code}: they go from 0 to {most}")))
            }
            None => Ok(()),
        }
    }

    /// Tells a member which codes it decodes in the next run, after the plan that does is loaded.
    fn write_codes(&mut self, member: usize, codes: &[u32]) -> Result<()> {
        let codes: Vec<f32> = codes.iter().map(|&code| code as f32).collect();
        self.executor.write_to(member, &Role::Input(CODES.into()), 0, bytemuck::cast_slice(&codes))
    }

    /// The draws of these numbers by the prior, [numbers, S]: each code as likely as any other, a function of seed and number.
    fn draw_codes(&self, numbers: &[u32], seed: u64) -> Vec<u32> {
        let (cells, codes) = (self.model.cells(), self.model.config.codes);
        let draw = |random: &mut Philox| ((random.uniform() * codes as f32) as usize).min(codes - 1) as u32;
        let of_number = |&number: &u32| {
            let mut random = Philox::new(seed, Stream::Prior, number, 0);
            (0..cells).map(|_| draw(&mut random)).collect::<Vec<u32>>()
        };
        numbers.iter().flat_map(of_number).collect()
    }

    /// The draws of these numbers, decoded by every member, each with a seed of its own.
    pub(super) fn drawn_codes(&mut self, numbers: &[u32], seeds: &[u64]) -> Result<Vec<Vec<f32>>> {
        let plan = self.plan(Purpose::task(SAMPLE, BATCH))?;
        let mut all = vec![Vec::with_capacity(numbers.len() * self.model.width); seeds.len()];
        for numbers in numbers.chunks(BATCH) {
            for (member, &seed) in seeds.iter().enumerate() {
                let codes = self.draw_codes(numbers, seed);
                self.write_codes(member, &codes)?;
            }
            let scalars: Vec<_> =
                seeds.iter().map(|&seed| self.scalars(seed, Stream::Prior, 0, numbers.len())).collect();
            self.run(plan, &scalars)?;
            for (member, drawn) in all.iter_mut().enumerate() {
                drawn.extend(self.means_of(member, numbers.len())?);
            }
        }
        Ok(all)
    }
}
