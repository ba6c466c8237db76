//! Bits-back coding, chained over examples. To write an example: draw its latent from the posterior *by taking bits off the
//! stack*, then push the example under p(x|z) and the latent under the prior. The reader takes both off again, knows the
//! posterior, and puts the bits back which the draw took: an example so costs −log p(x|z) − log p(z) + log q(z|x), in the mean
//! −ELBO. The bits of the first draws come from a fixed supply and stay in the file.

use super::ans::{Ans, Shares};
use super::bins::{BINS, Bins, Normal};
use super::file::{File, Kind, checksum, damaged};
use super::network::{Given, Network};
use super::portable::exp;
use super::values::Values;
use super::{check_room, content, model_hash};
use crate::checkpoint::Tensor;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::model::tasks::Need;

/// Bits in which the probability of a class is told.
const CLASS_BITS: u32 = 24;

/// Examples as a model is shown them, after any binarisation.
#[derive(Debug, Clone, Copy)]
pub struct Examples<'a> {
    /// Row-major, [N, D].
    pub values: &'a [f32],
    /// The class of each, [N], of a model that is told classes; else empty.
    pub classes: &'a [u32],
}

/// A model as a code for examples.
#[derive(Debug)]
pub struct Lossless {
    model: Model,
    encoder: Network,
    decoder: Network,
    values: Values,
    hash: u64,
    probe: u64,
}

impl Lossless {
    /// The code of a model with its parameters.
    ///
    /// # Errors
    /// [`Error::Usage`] for a model that makes none: of several stochastic layers, another prior than N(0, 1), another posterior
    /// than a normal one, values that are not discrete, classes that are inferred, tables and text; [`Error::Data`] where parameters
    /// are missing or not finite.
    pub fn new(model: Model, parameters: &[(String, Tensor)]) -> Result<Self> {
        model.need(
            &[
                Need::Values,
                Need::Numbers,
                Need::NoCategories,
                Need::OneLayer,
                Need::StandardPrior,
                Need::GaussianPosterior,
            ],
            "elbo compress without --lossy",
        )?;
        if model.infers_classes() {
            return Err(Error::Usage(
                "elbo compress is for models without classes, or that are told them; this one infers them (model.condition = \
                 inferred)"
                    .into(),
            ));
        }
        let values = Values::of(&model)?;
        let encoder = Network::new(model.encode(1)?, "stats", parameters)?;
        let decoder = Network::new(model.natural(1)?, "out", parameters)?;
        let mut codec = Self { model, encoder, decoder, values, hash: model_hash(parameters), probe: 0 };
        codec.probe = codec.probed()?;
        Ok(codec)
    }

    /// The checksum of what the networks and the bins are here, for a fixed example and a fixed latent.
    fn probed(&self) -> Result<u64> {
        let example: Vec<f32> = (0..self.model.width).map(|at| f32::from(u8::from(at * at % 7 < 3))).collect();
        let latent: Vec<f64> =
            (0..self.model.config.latent).map(|at| Bins::get().centre((at as u32 * 7919 + 1234) % BINS)).collect();
        let given = Given { example: &example, class: Some(0), latent: &latent };
        let posterior = self.posterior(&example, Some(0))?;
        let encoded = posterior.iter().flat_map(|normal| [normal.mean, normal.deviation]);
        let made: Vec<f64> =
            encoded.chain(self.decoder.run(given)?).chain(Bins::get().quantiles().iter().copied()).collect();
        let bits = made.iter().flat_map(|number| number.to_bits().to_le_bytes());
        Ok(checksum(&bits.collect::<Vec<u8>>()))
    }

    /// Compresses examples; `each` is told how many are done.
    ///
    /// # Errors
    /// [`Error::Usage`] for classes that do not fit, and numbers that are no rows; [`Error::Data`] for a value that has no
    /// probability; [`Error::Diverged`] where a network puts out what is not finite.
    pub fn compress(&self, examples: Examples, each: &mut dyn FnMut(usize)) -> Result<File> {
        let Examples { values, classes } = examples;
        let width = self.model.width;
        let count = values.len() / width;
        let told = if self.model.is_told_classes() { count } else { 0 };
        if !values.len().is_multiple_of(width) || classes.len() != told {
            let (numbers, given) = (values.len(), classes.len());
            return Err(Error::Usage(format!(
                "{numbers} numbers and {given} classes are no examples of {width} values each, with {told} classes"
            )));
        }
        if let Some(class) = classes.iter().find(|&&class| class as usize >= self.model.classes) {
            return Err(Error::Usage(format!("there is no class number {class}")));
        }
        let mut exact = Vec::with_capacity(values.len());
        for (number, x) in values.chunks_exact(width).enumerate() {
            exact.extend(self.values.exact(x).map_err(|(at, what)| {
                Error::Data(format!(
                    "value {at} of example {number} is {}: it has to be {what} to be compressed",
                    x[at]
                ))
            })?);
        }
        let mut ans = Ans::encoder();
        // The last first, so that a reader meets them in their order.
        for (done, (at, x)) in exact.chunks_exact(width).enumerate().rev().enumerate() {
            self.push(&mut ans, x, classes.get(at).copied())?;
            each(done + 1);
        }
        let borrowed = ans.borrowed();
        let (state, words) = ans.into_parts();
        Ok(File {
            kind: Kind::BitsBack,
            model: self.hash,
            probe: self.probe,
            shape: self.model.shape.map(|extent| extent as u32),
            count: count as u64,
            content: content(&exact, classes),
            about: vec![],
            borrowed,
            state,
            words,
        })
    }

    /// The examples of a file as they were shown to the model, and their classes where it is told classes; `each` is told how many are
    /// done.
    ///
    /// # Errors
    /// [`Error::Data`] where the file is of another model or was written by other arithmetic, or what comes out is not what went in.
    pub fn decompress(&self, file: &File, each: &mut dyn FnMut(usize)) -> Result<(Vec<f32>, Vec<u32>)> {
        if file.kind != Kind::BitsBack {
            return Err(Error::Data("the file holds latents or codes, and no examples without loss".into()));
        }
        file.check_model(self.hash, self.model.shape, self.probe)?;
        let count = usize::try_from(file.count).unwrap_or(usize::MAX);
        check_room(file.count, count.saturating_mul(12 * self.model.width))?;
        let mut ans = file.coder()?;
        let (mut values, mut classes) = (Vec::new(), Vec::new());
        for done in 0..count {
            let (x, class) = self.pop(&mut ans)?;
            values.extend(x);
            classes.extend(class);
            if ans.is_exhausted() {
                return Err(damaged(&format!("its bits end within example {done} of {count}")));
            }
            each(done + 1);
        }
        if !ans.is_as_begun(file.borrowed) || content(&values, &classes) != file.content {
            return Err(damaged("what comes out is not what went in, by its checksum"));
        }
        Ok((values, classes))
    }

    /// Puts an example on the stack.
    fn push(&self, ans: &mut Ans, x: &[f32], class: Option<u32>) -> Result<()> {
        let posterior = self.posterior(x, class)?;
        let bins = Bins::get();
        // The bits on top are those of the latents of the example before, in the same order: by these z would be drawn as
        // mean + deviation·(z before), which wanders off where deviations are near 1.
        let drawn = |&posterior: &Normal| {
            ans.mix();
            bins.pop(ans, posterior)
        };
        let latent: Vec<u32> = posterior.iter().map(drawn).collect();
        self.values.push(ans, &self.decoded(&latent, class)?, x);
        latent.iter().rev().for_each(|&bin| bins.push_prior(ans, bin));
        if let Some(class) = class {
            self.classes().push(ans, class, |at| self.below_class(at));
        }
        Ok(())
    }

    /// Takes an example off the stack.
    fn pop(&self, ans: &mut Ans) -> Result<(Vec<f32>, Option<u32>)> {
        let told = self.model.is_told_classes();
        let class = told.then(|| self.classes().pop(ans, |at| self.below_class(at)));
        let latent: Vec<u32> = (0..self.model.config.latent).map(|_| Bins::get().pop_prior(ans)).collect();
        let x = self.values.pop(ans, &self.decoded(&latent, class)?, self.model.width);
        let posterior = self.posterior(&x, class)?;
        for (&bin, &posterior) in latent.iter().zip(&posterior).rev() {
            Bins::get().push(ans, bin, posterior);
            ans.unmix();
        }
        Ok((x, class))
    }

    /// Classes, all as likely.
    fn classes(&self) -> Shares {
        Shares { count: self.model.classes as u32, bits: CLASS_BITS }
    }

    fn below_class(&self, class: u32) -> f64 {
        f64::from(class) / self.model.classes as f64
    }

    /// What the encoder says of an example.
    fn posterior(&self, x: &[f32], class: Option<u32>) -> Result<Vec<Normal>> {
        let stats = self.encoder.run(Given { example: x, class, latent: &[] })?;
        let [low, high] = self.model.config.log_variance.map(f64::from);
        let (means, log_variances) = stats.split_at(stats.len() / 2);
        let normal =
            |(&mean, &log_variance): (&f64, &f64)| Normal { mean, deviation: exp(0.5 * log_variance.clamp(low, high)) };
        Ok(means.iter().zip(log_variances).map(normal).collect())
    }

    /// What the decoder puts out for a latent.
    fn decoded(&self, latent: &[u32], class: Option<u32>) -> Result<Vec<f64>> {
        let latent: Vec<f64> = latent.iter().map(|&bin| Bins::get().centre(bin)).collect();
        self.decoder.run(Given { example: &[], class, latent: &latent })
    }
}
