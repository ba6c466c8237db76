//! A trained run in the hands of a program: load it, encode, decode, sample, score.
//!
//! Examples and reconstructions are rows of D numbers in the units of the data: pixels from 0 to 1, numbers as they were
//! in a table or an array. Latents are rows of Z numbers. Both are flat and row-major. Rows are scaled and binarised as in
//! training.
//!
//! The crate's first page shows it at work, and so does `examples/answers.rs`.

use crate::checkpoint::{self, Checkpoint};
use crate::config::Config;
use crate::data;
use crate::data::table::Encoding;
use crate::error::{Error, Result};
use crate::eval::{self, Terms};
use crate::exec::{Executor, select};
use crate::impute::{self, Asked, Filled};
use crate::score::exemplars::{Candidates, Exemplars};
use crate::score::{self, Contributions, Method};
use crate::session::{BATCH, Posterior, Rows, Session};
use std::path::Path;

/// A trained model on a device, and no data set.
#[derive(Debug)]
pub struct Run {
    session: Session,
    warnings: Vec<String>,
    given: Vec<u32>,
    exemplars: Option<Exemplars>,
}

impl Run {
    /// Loads the newest whole checkpoint of a run folder, or the checkpoint that is named, onto a device: `auto`, `cpu`
    /// or whatever `--adapter` takes.
    ///
    /// # Errors
    /// [`Error::Data`] where there is no whole checkpoint, [`Error::Usage`] and [`Error::Device`] where the device
    /// cannot be had.
    pub fn open(path: &Path, adapter: &str) -> Result<Self> {
        let (checkpoint, warnings) = checkpoint::load_result(path)?;
        let (executor, _) = select::open(adapter, 0)?;
        Ok(Self { warnings, ..Self::new(&checkpoint, executor)? })
    }

    /// A checkpoint on a device.
    ///
    /// # Errors
    /// [`Error::Data`] where the checkpoint does not belong to its configuration; otherwise those of the executor.
    pub fn new(checkpoint: &Checkpoint, executor: Executor) -> Result<Self> {
        Ok(Self {
            session: Session::without_data(checkpoint, executor)?,
            warnings: vec![],
            given: vec![],
            exemplars: None,
        })
    }

    /// What was wrong with newer checkpoints, where [`Run::open`] had to step back to an older one.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// What the run was asked to do.
    pub fn config(&self) -> &Config {
        &self.session.config
    }

    /// The shape of an example: channels, height, width. D is their product.
    pub fn shape(&self) -> [usize; 3] {
        self.session.record.shape
    }

    /// Z, the number of latent dimensions.
    pub fn latent(&self) -> usize {
        self.session.model.config.latent
    }

    /// The names of the classes that a conditional model (`model.condition = label`) is told, in the order of their
    /// numbers; of other models those that the data had, if any.
    pub fn classes(&self) -> &[String] {
        self.session.record.classes.as_deref().unwrap_or_default()
    }

    /// Tells a conditional model the classes of the rows that the next question is about, by their numbers: one for each,
    /// or one for all. Without them it answers no question, but draws from the prior as its classes in turn.
    ///
    /// ```no_run
    /// # fn main() -> elbo::error::Result<()> {
    /// # let mut run = elbo::run::Run::open("runs/first".as_ref(), "auto")?;
    /// let sevens = run.given(&[7]).sample(64, 0)?;
    /// let posterior = run.given(&[7]).encode(&sevens)?;
    /// let as_ones = run.given(&[1]).decode(&posterior.means)?;
    /// # let _ = as_ones;
    /// # Ok(())
    /// # }
    /// ```
    pub fn given(&mut self, classes: &[u32]) -> &mut Self {
        classes.clone_into(&mut self.given);
        self
    }

    /// The classes that were given for so many rows of this question: the next one is given its own.
    fn told(&self, given: Vec<u32>, rows: usize) -> Result<Vec<u32>> {
        let all = if given.len() == 1 { vec![given[0]; rows] } else { given };
        self.session.check_classes(&all, rows).map(|()| all)
    }

    /// The posteriors of examples [N, D].
    ///
    /// # Errors
    /// [`Error::Usage`] where the numbers are no rows of D finite ones that the likelihood can have. For a model of a
    /// table, of an array or of levels a NaN is a missing value, of a category in all of its places.
    pub fn encode(&mut self, examples: &[f32]) -> Result<Posterior> {
        let classes = self.check(examples)?;
        let mut all = Posterior::empty(self.latent());
        let (seed, width) = (self.session.config.train.seed, self.session.model.width);
        for part in (Rows { values: examples, classes: &classes }).portions(BATCH, width) {
            self.session.show(part)?;
            all.extend(self.session.encode(&self.shown(part), seed)?);
        }
        Ok(all)
    }

    /// log q(y|x) of examples [N, D], [N, C], of models that infer classes (`model.condition = inferred`).
    ///
    /// # Errors
    /// As for [`Run::encode`].
    pub fn classify(&mut self, examples: &[f32]) -> Result<Vec<f32>> {
        let classes = self.check(examples)?;
        let (mut all, width) = (Vec::new(), self.session.model.width);
        for part in (Rows { values: examples, classes: &classes }).portions(BATCH, width) {
            self.session.show(part)?;
            all.extend(self.session.classify(&self.shown(part))?.swap_remove(0));
        }
        Ok(all)
    }

    /// The codes of examples [N, D], [N, S] with S codes of an example, of models that have some (`model.codes`).
    ///
    /// # Errors
    /// As [`Run::encode`].
    pub fn codes(&mut self, examples: &[f32]) -> Result<Vec<u32>> {
        let classes = self.check(examples)?;
        let mut all = Vec::new();
        let (seed, width) = (self.session.config.train.seed, self.session.model.width);
        for part in (Rows { values: examples, classes: &classes }).portions(BATCH, width) {
            self.session.show(part)?;
            all.extend(self.session.codes(&self.shown(part), seed)?);
        }
        Ok(all)
    }

    /// The means of p(x|e) for codes [N, S], as [N, D].
    ///
    /// # Errors
    /// [`Error::Usage`] where the numbers are no such rows of codes of the codebook.
    pub fn decode_codes(&mut self, codes: &[u32]) -> Result<Vec<f32>> {
        let means = self.session.decode_codes(codes)?;
        Ok(self.original(&means))
    }

    /// The means of p(x|z) for latents [N, Z], as [N, D]: probabilities for a Bernoulli decoder.
    ///
    /// # Errors
    /// [`Error::Usage`] where the numbers are no rows of Z.
    pub fn decode(&mut self, latents: &[f32]) -> Result<Vec<f32>> {
        let given = std::mem::take(&mut self.given);
        let classes = self.told(given, latents.len() / self.latent())?;
        let means = self.session.decode(latents, &classes)?;
        Ok(self.original(&means))
    }

    /// `count` draws from the prior, decoded, [count, D]. The same seed gives the same draws.
    ///
    /// # Errors
    /// Those of [`Session::sample`].
    pub fn sample(&mut self, count: usize, seed: u64) -> Result<Vec<f32>> {
        let given = std::mem::take(&mut self.given);
        let drawn = if given.is_empty() {
            self.session.sample(count, seed)?
        } else {
            let classes = self.told(given, count)?;
            self.session.sample_as(&classes, seed)?
        };
        Ok(self.original(&drawn))
    }

    /// The same with values drawn from p(x|z), not its means, [count, D]: whole counts, a 1 among zeros for a category. Row i is
    /// a function of `seed` and i.
    ///
    /// # Errors
    /// Those of [`Session::draw`]; [`Error::Usage`] for a multinomial, which does not say how many items a row has.
    pub fn draw(&mut self, count: usize, seed: u64) -> Result<Vec<f32>> {
        let given = std::mem::take(&mut self.given);
        let turns = || (0..self.session.model.classes as u32).cycle().take(count).collect();
        let classes = if given.is_empty() { turns() } else { self.told(given, count)? };
        let numbers: Vec<u32> = (0..count as u32).collect();
        let latents = self.session.latents(&numbers, seed)?;
        let drawn = self.session.draw(&latents, &classes, None, seed)?;
        Ok(self.original(&drawn))
    }

    /// Examples [N, D] without holes: NaN is what is missing, of a category in all of its places, whatever the model. What is
    /// there stays to the bit. Row i is a function of the seed and i. Levels have their probabilities where means are asked for.
    ///
    /// # Errors
    /// As for [`Run::encode`], and those of [`impute::impute`].
    pub fn impute(&mut self, examples: &[f32], asked: Asked) -> Result<Filled> {
        let missing = std::mem::replace(&mut self.session.model.missing, true);
        let classes = self.check(examples);
        self.session.model.missing = missing;
        let (classes, rows) = (classes?, self.encoded(examples));
        let numbers: Vec<u32> = (0..(rows.len() / self.session.model.width) as u32).collect();
        let rows = Rows { values: &rows, classes: &classes };
        let filled = impute::impute(&mut self.session, rows, &numbers, asked, &mut |_| ())?;
        let whole = |copy: &Vec<f32>| {
            let filled = self.original(copy);
            examples.iter().zip(filled).map(|(&x, filled)| if x.is_nan() { filled } else { x }).collect()
        };
        Ok(Filled { copies: filled.copies.iter().map(whole).collect(), ..filled })
    }

    /// Rows of the model in the units of the data.
    fn original(&self, rows: &[f32]) -> Vec<f32> {
        self.session.record.original(rows).into_iter().map(|number| number as f32).collect()
    }

    /// Distortion and rate of each of the examples [N, D] in nats, from one sample of its posterior: their sum is −ELBO,
    /// the higher the stranger. The noise of row i is a function of `seed` and i, so the same call gives the same bits.
    ///
    /// # Errors
    /// As for [`Run::encode`].
    pub fn score(&mut self, examples: &[f32], seed: u64) -> Result<Vec<Terms>> {
        let classes = self.check(examples)?;
        let rows = self.encoded(examples);
        eval::terms_of(&mut self.session, Rows { values: &rows, classes: &classes }, seed)
    }

    /// The anomaly score of each of the examples [N, D], in nats: **the higher, the more anomalous**. Unlike
    /// [`Run::score`] a row has the same score at every call, wherever it stands and whatever stands beside it.
    ///
    /// # Errors
    /// As for [`Run::encode`]; [`Error::Usage`] for no samples, and for [`Method::Exemplars`] before [`Run::learn_exemplars`].
    pub fn anomaly_scores(&mut self, examples: &[f32], method: Method) -> Result<Vec<f64>> {
        let classes = self.check(examples)?;
        let rows = Rows { values: &self.encoded(examples), classes: &classes };
        score::scores(&mut self.session, rows, method, self.exemplars.as_ref(), &mut |_| ())
    }

    /// Takes the usual ones of these examples [N, D], which are to be those that were trained on, for what others are compared
    /// with by [`Method::Exemplars`], and gives their number.
    ///
    /// # Errors
    /// As for [`Run::encode`]; [`Error::Usage`] for a model of classes or several stochastic layers, or whose posterior is no
    /// normal distribution.
    pub fn learn_exemplars(&mut self, examples: &[f32]) -> Result<usize> {
        Exemplars::check(&self.session.model, "a score against training rows")?;
        let classes = self.check(examples)?;
        let rows = Rows { values: &self.encoded(examples), classes: &classes };
        let mut candidates = Candidates::default();
        candidates.add(&mut self.session, rows)?;
        let exemplars = candidates.choose()?;
        Ok(self.exemplars.insert(exemplars).len())
    }

    /// What makes the mean-field score of each of the examples [N, D]: the distortion of each value, and the rate.
    ///
    /// # Errors
    /// As for [`Run::encode`].
    pub fn contributions(&mut self, examples: &[f32]) -> Result<Vec<Contributions>> {
        let classes = self.check(examples)?;
        let rows = Rows { values: &self.encoded(examples), classes: &classes };
        score::contributions(&mut self.session, rows, None, &mut |_| ())
    }

    /// Examples as the model takes them.
    fn encoded(&self, examples: &[f32]) -> Vec<f32> {
        let mut rows = examples.to_vec();
        if let Some(encoding) = &self.session.record.encoding {
            encoding.scale(&mut rows);
        }
        rows
    }

    /// The session underneath, for everything else.
    pub fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// The order that takes each of the rows of a window once.
    fn shown(&self, part: Rows) -> Vec<u32> {
        (0..(part.values.len() / self.session.model.width) as u32).collect()
    }

    /// Checks examples and the classes that were given for them, and gives the classes.
    fn check(&mut self, examples: &[f32]) -> Result<Vec<u32>> {
        // Taken whatever follows: classes of a question that failed belong to no other.
        let given = std::mem::take(&mut self.given);
        let width = self.session.model.width;
        if !examples.len().is_multiple_of(width) {
            let count = examples.len();
            return Err(Error::Usage(format!("{count} numbers are no examples of {width} values each")));
        }
        let (may_miss, takes) = (self.session.model.missing, self.session.config.model.likelihood.takes());
        let fitted = self.session.record.encoding.as_ref().map(Encoding::fitted);
        // What came out in single precision may be off by half a unit, which scaling brings to light.
        let can_be = |at: usize, x: f32| {
            let [shift, scale] = fitted.as_ref().map_or([0.0, 1.0], |fitted| fitted[at % width]);
            let scaled = |x: f32| ((f64::from(x) - shift) / scale) as f32;
            [x, x.next_up(), x.next_down()].into_iter().any(|x| data::can_be(scaled(x), takes.domain))
        };
        let fits = |at: usize, x: f32| if x.is_nan() { may_miss } else { x.is_finite() && can_be(at, x) };
        match examples.iter().enumerate().find(|&(at, &x)| !fits(at, x)) {
            Some((at, value)) => {
                let (row, column) = (at / width, at % width);
                let why = if value.is_finite() { data::taken(takes) } else { ": examples must be finite".into() };
                Err(Error::Usage(format!("value {column} of example {row} is {value}{why}")))
            }
            None if self.session.model.infers_classes() && given.is_empty() => Ok(given),
            None => self.told(given, examples.len() / width),
        }
    }
}
