//! What a trained model is asked for: posteriors of examples, what latents decode to, draws from the prior.

use super::posterior::{DimensionRates, Posterior};
use super::{Purpose, Session};
use crate::config;
use crate::data::{Dataset, classes};
use crate::error::{Error, Result};
use crate::model::likelihood::draw;
use crate::model::tasks::{CLASSIFY, DECODE, DESCEND, ENCODE, NATURAL, Need, RECONSTRUCT, SAMPLE};
use crate::model::topdown::COOLING;
use crate::model::{CLASS, CLASS_LOG_PROBABILITIES, LOCATION, RATES, of_layer};
use crate::plan::Role;
use crate::rng::{Philox, Stream};

/// Examples, or latents, that are asked about at a time: the same for every question, since the programs of a session
/// share the buffers of what they put out. The answers are those of each by itself: neither how many are asked for nor
/// their order changes a bit.
pub const BATCH: usize = 128;

/// Examples that are shown to a session without data: N rows, and of a conditional model the class of each.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// Row-major, [N, D].
    pub values: &'a [f32],
    /// [N]; empty where the model is told nothing.
    pub classes: &'a [u32],
}

impl<'a> Rows<'a> {
    /// The same rows with other values, where there are some.
    #[must_use]
    pub fn with(self, values: Option<&'a [f32]>) -> Self {
        Self { values: values.unwrap_or(self.values), ..self }
    }

    /// The same rows in portions of up to `count`; `width` is D.
    pub fn portions(self, count: usize, width: usize) -> impl Iterator<Item = Self> + use<'a> {
        let classes = self.classes.chunks(count).map(Some).chain(std::iter::repeat(None));
        let portion =
            |(values, classes): (&'a [f32], Option<&'a [u32]>)| Self { values, classes: classes.unwrap_or(&[]) };
        self.values.chunks(count * width).zip(classes).map(portion)
    }
}

/// The likeliest of each row of C numbers; of several the first.
pub fn likeliest(log_probabilities: &[f32], classes: usize) -> Vec<u32> {
    let of_row = |row: &[f32]| (1..row.len()).fold(0, |best, at| if row[at] > row[best] { at } else { best }) as u32;
    log_probabilities.chunks_exact(classes).map(of_row).collect()
}

impl Session {
    /// The posteriors of the given examples of the data set, of several stochastic layers those of the lowest. `seed` is that
    /// of dynamic binarisation.
    ///
    /// # Errors
    /// [`Error::Usage`] for an example that there is not.
    pub fn encode(&mut self, examples: &[u32], seed: u64) -> Result<Posterior> {
        Ok(self.encode_layers(examples, seed)?.swap_remove(0))
    }

    /// The same of all stochastic layers, the lowest first, each given the mean of the layer that it depends on.
    ///
    /// # Errors
    /// Those of [`Session::encode`].
    pub fn encode_layers(&mut self, examples: &[u32], seed: u64) -> Result<Vec<Posterior>> {
        self.model.need(&[Need::Numbers], "a posterior of latents")?;
        let plan = self.plan(Purpose::task(ENCODE, BATCH))?;
        let mut all: Vec<Posterior> = self.model.latents().into_iter().map(Posterior::empty).collect();
        let highest = all.len() - 1;
        for (layer, posterior) in all.iter_mut().enumerate() {
            // The prior of a lower layer is another for every example.
            posterior.rates = if layer < highest || !self.model.has_closed_rate() {
                DimensionRates::Joint
            } else if self.model.tells_rates() {
                DimensionRates::Told(vec![0.0; posterior.latent])
            } else {
                DimensionRates::Standard
            };
        }
        for part in examples.chunks(BATCH) {
            self.set_order(part)?;
            let scalars = self.scalars(seed, Stream::Evaluate, 0, part.len());
            self.run(plan, &[scalars])?;
            for (layer, posterior) in all.iter_mut().enumerate() {
                self.add_posteriors(posterior, layer, part.len())?;
            }
        }
        Ok(all)
    }

    /// Adds what the run just made says of a stochastic layer.
    fn add_posteriors(&mut self, posterior: &mut Posterior, layer: usize, rows: usize) -> Result<()> {
        let (latent, [low, high]) = (posterior.latent, self.model.config.log_variance);
        let gaussian = self.model.has_gaussian_posterior();
        for row in self.output(&of_layer("stats", layer), rows, 2 * latent)?.chunks_exact(2 * latent) {
            posterior.means.extend(row[..latent].iter().filter(|_| gaussian));
            posterior.log_variances.extend(row[latent..].iter().map(|lv| lv.clamp(low, high)));
        }
        if !gaussian {
            posterior.means.extend(self.output(LOCATION, rows, latent)?);
        }
        if let DimensionRates::Told(sums) = &mut posterior.rates {
            for row in self.output(RATES, rows, latent)?.chunks_exact(latent) {
                sums.iter_mut().zip(row).for_each(|(sum, &rate)| *sum += f64::from(rate));
            }
        }
        Ok(())
    }

    /// Checks the classes of so many rows.
    ///
    /// # Errors
    /// [`Error::Usage`] where the model is told classes and there is not one for each row, or where it does not know one;
    /// where it is told nothing and there are classes all the same.
    pub fn check_classes(&self, given: &[u32], rows: usize) -> Result<()> {
        let (known, count) = (self.record.classes.as_deref().unwrap_or_default(), given.len());
        let wrong = |why: String| Err(Error::Usage(why));
        if self.model.classes == 0 && count > 0 {
            return wrong("the model is told no classes (model.condition = none), and classes are given".into());
        }
        if self.model.classes > 0 && count != rows {
            let names = classes::list(known);
            return wrong(format!(
                "the model is told the class of each of {rows} rows (model.condition = label), and {count} are given; \
                 its classes are {names}"
            ));
        }
        match given.iter().find(|&&class| class as usize >= self.model.classes) {
            Some(class) => {
                wrong(format!("there is no class number {class}: the model's go from 0 to {}", self.model.classes - 1))
            }
            None => Ok(()),
        }
    }

    /// Tells a member which classes it decodes in the next run, after a plan that decodes is loaded.
    pub(super) fn decode_as(&mut self, member: usize, classes: impl Iterator<Item = u32>) -> Result<()> {
        if self.model.classes == 0 {
            return Ok(());
        }
        let classes: Vec<f32> = classes.map(|class| class as f32).collect();
        self.executor.write_to(member, &Role::Input(CLASS.into()), 0, bytemuck::cast_slice(&classes))
    }

    /// log q(y|x) of examples of the data set by each member, [examples, C]. Data of dynamic binarisation are taken as they are stored.
    ///
    /// # Errors
    /// [`Error::Usage`] for an example that there is not, and for a model that infers no classes.
    pub fn classify(&mut self, examples: &[u32]) -> Result<Vec<Vec<f32>>> {
        self.model.need(&[Need::Classifier], "a class")?;
        let (plan, classes) = (self.plan(Purpose::task(CLASSIFY, BATCH))?, self.model.classes);
        let mut all = vec![Vec::with_capacity(examples.len() * classes); self.member_count()];
        for part in examples.chunks(BATCH) {
            self.set_order(part)?;
            let scalars = vec![self.scalars(0, Stream::Evaluate, 0, part.len()); all.len()];
            self.run(plan, &scalars)?;
            for (member, all) in all.iter_mut().enumerate() {
                all.extend(self.output_of(member, CLASS_LOG_PROBABILITIES, part.len(), classes)?);
            }
        }
        Ok(all)
    }

    /// The means of p(x|z) for latents [N, Z], as [N, D] in the units of the model ([`crate::checkpoint::DataRecord::original`] knows those of
    /// the data): probabilities for a Bernoulli decoder. A conditional model decodes each as one of `classes`, [N]; for others there are none.
    ///
    /// # Errors
    /// [`Error::Usage`] for numbers that are no rows of latents, and for classes that are none of the model's; those of
    /// the executor.
    pub fn decode(&mut self, latents: &[f32], classes: &[u32]) -> Result<Vec<f32>> {
        self.decode_layer(0, latents, classes)
    }

    /// The same for latents of a stochastic layer, counted from 0 for the lowest: those below it are the means of their
    /// priors.
    ///
    /// # Errors
    /// [`Error::Usage`] for numbers that are no such latents, or a layer that there is not.
    pub fn decode_layer(&mut self, layer: usize, latents: &[f32], classes: &[u32]) -> Result<Vec<f32>> {
        if layer + 1 < self.model.latents().len() {
            self.model.need(&[Need::Decoder], "decoding latents of one layer")?;
        }
        self.decode_from(layer, &[latents], classes)
    }

    /// The same of a residual hierarchy for latents of a group and of all groups above it, in this order. Others are given those of
    /// the layer alone, which are all that is decoded.
    ///
    /// # Errors
    /// Those of [`Session::decode_layer`]; [`Error::Bug`] where groups above the layer have no latents, or not as many.
    pub fn decode_from(&mut self, layer: usize, given: &[&[f32]], classes: &[u32]) -> Result<Vec<f32>> {
        self.model.need(&[Need::Numbers, Need::Values], "decoding latents to values")?;
        let (all, latents) = (self.model.latents(), given.first().copied().unwrap_or_default());
        let Some(&latent) = all.get(layer) else {
            let count = all.len();
            return Err(Error::Usage(format!("there is no stochastic layer {}: the model has {count}", layer + 1)));
        };
        let residual = self.model.is_residual();
        let plan = self.plan(Purpose::task(if layer == 0 && !residual { DECODE } else { DESCEND }, BATCH))?;
        if !latents.len().is_multiple_of(latent) {
            let count = latents.len();
            return Err(Error::Usage(format!("{count} numbers are no latents of {latent} dimensions each")));
        }
        self.check_classes(classes, latents.len() / latent)?;
        let above: Vec<(usize, &[f32])> = all[layer..].iter().copied().zip(given.iter().copied()).collect();
        let fits = |&(wide, values): &(usize, &[f32])| values.len() == latents.len() / latent * wide;
        if residual && (above.len() < all.len() - layer || !above.iter().all(fits)) {
            return Err(Error::Bug("groups above those that are decoded have no latents".into()));
        }
        if layer > 0 || residual {
            self.executor.write_f32(&Role::Input("layer".into()), 0, &[layer as f32; BATCH])?;
        }
        let mut means = Vec::with_capacity(latents.len() / latent * self.model.width);
        for (at, part) in latents.chunks(BATCH * latent).enumerate() {
            let rows = part.len() / latent;
            self.decode_as(0, classes.iter().skip(at * BATCH).take(rows).copied())?;
            self.executor.write_f32(&Role::Input(of_layer("z", layer)), 0, part)?;
            for (beyond, (wide, values)) in above.iter().enumerate().skip(1).filter(|_| residual) {
                let part = &values[at * BATCH * wide..][..rows * wide];
                self.executor.write_f32(&Role::Input(of_layer("z", layer + beyond)), 0, part)?;
            }
            let scalars = self.scalars(0, Stream::Evaluate, 0, rows);
            self.run(plan, &[scalars])?;
            means.extend(self.means(rows)?);
        }
        Ok(means)
    }

    /// Puts examples, N up to [`BATCH`] and in the units of the data, in the place of a data set: they are the examples 0
    /// to N − 1 from now on. Only for a session that was opened without data.
    ///
    /// # Errors
    /// Those of [`Session::show_encoded`].
    pub fn show(&mut self, rows: Rows) -> Result<()> {
        let mut values = rows.values.to_vec();
        if let Some(encoding) = &self.record.encoding {
            encoding.scale(&mut values);
        }
        self.show_encoded(Rows { values: &values, ..rows })
    }

    /// The same with examples as the model takes them, as [`crate::data::Dataset::example`] gives them.
    ///
    /// # Errors
    /// [`Error::Bug`] for a session with data, more rows than [`BATCH`], or rows of another width; [`Error::Usage`] for
    /// classes that are none of the model's.
    pub fn show_encoded(&mut self, rows: Rows) -> Result<()> {
        let (count, width) = (rows.values.len(), self.model.width);
        if self.data.is_some() || count > BATCH * width || !count.is_multiple_of(width) {
            return Err(Error::Bug(format!("{count} values of width {width} cannot be shown to this session")));
        }
        if self.model.is_told_classes() || !rows.classes.is_empty() {
            self.check_classes(rows.classes, count / width)?;
        }
        // The buffers are made with the first plan that reads them.
        self.plan(Purpose::task(ENCODE, BATCH))?;
        if self.model.is_told_classes() {
            let classes: Vec<f32> = rows.classes.iter().map(|&class| class as f32).collect();
            self.executor.write_f32(&Role::Labels, 0, &classes)?;
        }
        self.executor.write_f32(&Role::Data, 0, rows.values)
    }

    /// Reads an output of the run just made: `rows` rows of `width` floats of the first member.
    ///
    /// # Errors
    /// [`Error::Bug`] for a name that no plan puts out; those of the executor.
    pub fn output(&mut self, name: &str, rows: usize, width: usize) -> Result<Vec<f32>> {
        self.output_of(0, name, rows, width)
    }

    /// [`Session::output`] of a member.
    ///
    /// # Errors
    /// Those of [`Session::output`].
    pub fn output_of(&mut self, member: usize, name: &str, rows: usize, width: usize) -> Result<Vec<f32>> {
        self.read(member, &Role::Output(name.to_owned()), 0, rows * width)
    }

    /// The first D of each row of the output `mean`: the mean of p(x|z) in the units of the model.
    ///
    /// # Errors
    /// Those of [`Session::output`].
    pub fn means(&mut self, rows: usize) -> Result<Vec<f32>> {
        self.means_of(0, rows)
    }

    pub(super) fn means_of(&mut self, member: usize, rows: usize) -> Result<Vec<f32>> {
        let (width, wide) = (self.model.width, self.model.mean_width());
        let all = self.output_of(member, "mean", rows, wide)?;
        Ok(all.chunks_exact(wide).flat_map(|row| row[..width].iter().copied()).collect())
    }

    /// The classes of examples of the data set, as a conditional model is told them or infers them; none for other models.
    ///
    /// # Errors
    /// Those of [`Session::check_examples`], and of the executor.
    pub fn labels(&mut self, examples: &[u32]) -> Result<Vec<u32>> {
        self.check_examples(examples)?;
        if self.model.infers_classes() {
            return Ok(likeliest(&self.classify(examples)?.swap_remove(0), self.model.classes));
        }
        Ok(self.classes_of(self.data()?, examples))
    }

    /// The same of examples of another data set, whose labels are places among the classes of the model.
    pub fn classes_of(&self, data: &Dataset, examples: &[u32]) -> Vec<u32> {
        match &data.labels {
            Some(labels) if self.model.is_told_classes() => examples.iter().map(|&i| labels[i as usize]).collect(),
            _ => vec![],
        }
    }

    /// Examples of the data set, [examples, D], in the units of the model and before any binarisation.
    ///
    /// # Errors
    /// Those of [`Session::check_examples`], and of reading data that are on the disk.
    pub fn originals(&self, examples: &[u32]) -> Result<Vec<f32>> {
        self.check_examples(examples)?;
        self.data()?.examples(examples)
    }

    /// `count` examples drawn from the prior and decoded by the first member, [count, D], in the units of the model. The
    /// same seed gives the same latents. A conditional model decodes them as its classes in turn.
    ///
    /// # Errors
    /// Those of [`Session::samples`].
    pub fn sample(&mut self, count: usize, seed: u64) -> Result<Vec<f32>> {
        let seeds = vec![seed; self.member_count()];
        Ok(self.samples(count, &seeds)?.swap_remove(0))
    }

    /// [`Session::sample`] of every member, each with a seed of its own.
    ///
    /// # Errors
    /// [`Error::Usage`] where there are more than a draw has numbers.
    pub fn samples(&mut self, count: usize, seeds: &[u64]) -> Result<Vec<Vec<f32>>> {
        if u32::try_from(count).is_err() {
            return Err(Error::Usage(format!("{count} samples: at most {} can be drawn with one seed", u32::MAX)));
        }
        let classes = self.model.classes as u32;
        let turns: Vec<u32> = if classes > 0 { (0..classes).cycle().take(count).collect() } else { vec![] };
        self.drawn(&(0..count as u32).collect::<Vec<_>>(), &turns, seeds)
    }

    /// As many draws from the prior, decoded by the first member as these classes, [classes, D], in the units of the model.
    ///
    /// # Errors
    /// [`Error::Usage`] for classes that are none of the model's; those of the executor.
    pub fn sample_as(&mut self, classes: &[u32], seed: u64) -> Result<Vec<f32>> {
        self.check_classes(classes, classes.len())?;
        let (numbers, seeds) = ((0..classes.len() as u32).collect::<Vec<_>>(), vec![seed; self.member_count()]);
        Ok(self.drawn(&numbers, classes, &seeds)?.swap_remove(0))
    }

    /// Draws from the prior by every member of a conditional model, a row of `columns` for each of these classes: a column
    /// is one latent, decoded as each of them. [classes · columns, D] of each member.
    ///
    /// # Errors
    /// Those of [`Session::sample_as`].
    pub fn class_grid(&mut self, classes: &[u32], columns: usize, seeds: &[u64]) -> Result<Vec<Vec<f32>>> {
        let numbers: Vec<u32> = classes.iter().flat_map(|_| 0..columns as u32).collect();
        let classes: Vec<u32> = classes.iter().flat_map(|&class| std::iter::repeat_n(class, columns)).collect();
        self.check_classes(&classes, numbers.len())?;
        self.drawn(&numbers, &classes, seeds)
    }

    /// The draws of these numbers, decoded by every member as these classes, where it is conditional.
    fn drawn(&mut self, numbers: &[u32], classes: &[u32], seeds: &[u64]) -> Result<Vec<Vec<f32>>> {
        if self.model.has_codes() {
            return self.drawn_codes(numbers, seeds);
        }
        self.model.need(&[Need::Values], "drawing values")?;
        let (plan, count) = (self.plan(Purpose::task(SAMPLE, BATCH))?, numbers.len());
        let mut all = vec![Vec::with_capacity(count * self.model.width); seeds.len()];
        for begin in (0..count).step_by(BATCH) {
            let mut order: Vec<u32> = numbers.iter().skip(begin).take(BATCH).copied().collect();
            order.resize(BATCH, 0);
            for member in 0..seeds.len() {
                self.number(member, &order)?;
                self.decode_as(member, classes.iter().skip(begin).take(BATCH).copied())?;
            }
            let scalars: Vec<_> = seeds.iter().map(|&seed| self.scalars(seed, Stream::Prior, 0, BATCH)).collect();
            self.run(plan, &scalars)?;
            for (member, drawn) in all.iter_mut().enumerate() {
                drawn.extend(self.means_of(member, BATCH.min(count - begin))?);
            }
        }
        Ok(all)
    }

    /// Lets draws of a residual hierarchy have these temperatures from now on, of each group from the lowest up: what the deviation
    /// of its prior is multiplied by, 1 for the model as it is.
    ///
    /// # Errors
    /// [`Error::Usage`] for a model without groups, a number of temperatures that is not theirs, and temperatures that are none.
    pub fn cool(&mut self, temperatures: &[f32]) -> Result<()> {
        let count = self.model.latents().len();
        if !self.model.is_residual() || temperatures.len() != count {
            let given = temperatures.len();
            return Err(Error::Usage(format!(
                "{given} temperatures: a residual hierarchy takes one for each of its groups"
            )));
        }
        if let Some(wrong) = temperatures.iter().find(|it| !(0.0..=f32::MAX).contains(*it)) {
            return Err(Error::Usage(format!("--temperature {wrong}: expected a finite number from 0 up")));
        }
        self.plan(Purpose::task(SAMPLE, BATCH))?;
        let lacking: Vec<f32> = temperatures.iter().map(|it| 1.0 - it).collect();
        self.executor.write_f32(&Role::Input(COOLING.into()), 0, &lacking)
    }

    /// The latents of draws from the prior of these numbers, [N, Z]: what [`Session::sample`] decodes with the same seed.
    ///
    /// # Errors
    /// Those of [`Session::plan`] and of the device.
    pub fn latents(&mut self, numbers: &[u32], seed: u64) -> Result<Vec<f32>> {
        let (plan, latent) = (self.plan(Purpose::task(SAMPLE, BATCH))?, self.model.config.latent);
        let mut latents = Vec::with_capacity(numbers.len() * latent);
        for part in numbers.chunks(BATCH) {
            let mut order = part.to_vec();
            order.resize(BATCH, 0);
            self.number(0, &order)?;
            let scalars = self.scalars(seed, Stream::Prior, 0, BATCH);
            self.run(plan, &[scalars])?;
            latents.extend(self.output("z", part.len(), latent)?);
        }
        Ok(latents)
    }

    /// Draws from p(x|z), one for each of the latents [N, Z], [N, D] in the units of the model: a draw depends on the seed, its
    /// place and its latent alone. A conditional model decodes each as one of `classes`, [N]. `total` is how many items a row of
    /// a multinomial has.
    ///
    /// # Errors
    /// [`Error::Usage`] where a multinomial is told no total, or another likelihood is told one.
    pub fn draw(&mut self, latents: &[f32], classes: &[u32], total: Option<u64>, seed: u64) -> Result<Vec<f32>> {
        self.model.need(&[Need::Decoder], "a draw from p(x|z) of latents")?;
        let (plan, latent) = (self.plan(Purpose::task(NATURAL, BATCH))?, self.model.config.latent);
        let (width, wide) = (self.model.width, self.model.output_width());
        let multinomial = self.model.config.likelihood == config::Likelihood::Multinomial;
        match (multinomial, total) {
            (true, None | Some(0)) => {
                return Err(Error::Usage(
                    "a multinomial says which items are chosen and not how many: say how many a row has by --total"
                        .into(),
                ));
            }
            (false, Some(total)) => {
                let likelihood = self.model.config.likelihood.name();
                return Err(Error::Usage(format!(
                    "--total {total}: it is for models whose likelihood is multinomial, and that of this one is {likelihood}"
                )));
            }
            _ => {}
        }
        self.check_classes(classes, latents.len() / latent)?;
        let mut rows = Vec::with_capacity(latents.len() / latent * width);
        for (at, part) in latents.chunks(BATCH * latent).enumerate() {
            let count = part.len() / latent;
            self.decode_as(0, classes.iter().skip(at * BATCH).take(count).copied())?;
            self.executor.write_f32(&Role::Input("z".into()), 0, part)?;
            let scalars = self.scalars(0, Stream::Evaluate, 0, count);
            self.run(plan, &[scalars])?;
            for (row, out) in self.output("out", count, wide)?.chunks_exact(wide).enumerate() {
                let mut random = Philox::new(seed, Stream::Draw, (at * BATCH + row) as u32, 0);
                if let (true, Some(total)) = (multinomial, total) {
                    rows.extend(draw::items(out, total, &mut random));
                    continue;
                }
                let start = rows.len();
                rows.resize(start + width, f32::NAN);
                draw::Values::of(&self.model).fill(out, &mut rows[start..], &mut random)?;
            }
        }
        self.record.round(&mut rows);
        Ok(rows)
    }

    /// The given examples as the first member is shown them, and their reconstructions through the posterior's mean;
    /// both [examples, D], in the units of the model. A conditional model decodes all of them as the class `swapped`, or
    /// each as its own.
    ///
    /// # Errors
    /// [`Error::Usage`] for an example that there is not, or a class that is none of the model's; those of the
    /// executor.
    pub fn reconstruct(&mut self, examples: &[u32], swapped: Option<u32>, seed: u64) -> Result<(Vec<f32>, Vec<f32>)> {
        let (examples, seeds) = (vec![examples.to_vec(); self.member_count()], vec![seed; self.member_count()]);
        Ok(self.reconstructions(&examples, swapped, &seeds)?.swap_remove(0))
    }

    /// [`Session::reconstruct`] of every member, each with as many examples of its own and a seed of its own.
    ///
    /// # Errors
    /// Those of [`Session::reconstruct`].
    pub fn reconstructions(
        &mut self,
        examples: &[Vec<u32>],
        swapped: Option<u32>,
        seeds: &[u64],
    ) -> Result<Vec<(Vec<f32>, Vec<f32>)>> {
        if let Some(class) = swapped {
            self.check_classes(&[class], 1)?;
        }
        let plan = self.plan(Purpose::task(RECONSTRUCT, BATCH))?;
        let mut all = vec![(vec![], vec![]); seeds.len()];
        let count = examples.first().map_or(0, Vec::len);
        for begin in (0..count).step_by(BATCH) {
            let rows = BATCH.min(count - begin);
            for (member, examples) in examples.iter().enumerate() {
                let examples = &examples[begin..begin + rows];
                self.set_order_of(member, examples)?;
                match swapped {
                    Some(class) => self.decode_as(member, std::iter::repeat_n(class, rows))?,
                    None if self.model.infers_classes() => {
                        // What stands for the class that is inferred.
                        let role = Role::Input(CLASS.into());
                        self.executor.write_to(member, &role, 0, bytemuck::cast_slice(&vec![-1.0_f32; rows]))?;
                    }
                    None => {
                        let classes = self.labels(examples)?;
                        self.decode_as(member, classes.into_iter())?;
                    }
                }
            }
            let scalars: Vec<_> = seeds.iter().map(|&seed| self.scalars(seed, Stream::Evaluate, 0, rows)).collect();
            self.run(plan, &scalars)?;
            for (member, (originals, reconstructions)) in all.iter_mut().enumerate() {
                let shown = self.output_of(member, "x", rows, self.model.width)?;
                originals.extend(shown);
                reconstructions.extend(self.means_of(member, rows)?);
            }
        }
        Ok(all)
    }
}
