//! What a trained model can be asked: tasks, each of which is a graph. A family lists its own; whoever asks for another is
//! refused by name, here and nowhere else. What a question takes for granted of a model ([`Need`]) is held here too.

use super::{Model, family};
use crate::config::Prior;
use crate::error::{Error, Result};
use crate::graph::Graph;

/// Terms, statistics and rates of examples: [`Model::evaluate`].
pub const EVALUATE: &str = "evaluate";
/// Importance weights of samples of examples: [`Model::importance`].
pub const IMPORTANCE: &str = "importance";
/// The same with noise that the host gives: [`Model::score`].
pub const SCORE: &str = "score";
/// Examples without any noise: [`Model::explain`].
pub const EXPLAIN: &str = "explain";
/// Examples and what becomes of them: [`Model::reconstruct`].
pub const RECONSTRUCT: &str = "reconstruct";
/// Draws from the prior: [`Model::sample`].
pub const SAMPLE: &str = "sample";
/// What the encoder says of examples: [`Model::encode`].
pub const ENCODE: &str = "encode";
/// What given latents stand for: [`Model::decode`].
pub const DECODE: &str = "decode";
/// What given latents of any stochastic layer stand for: [`Model::descend`].
pub const DESCEND: &str = "descend";
/// All that p(x|z) of given latents is computed from: [`Model::natural`].
pub const NATURAL: &str = "natural";
/// Latents of examples with holes, weighed by what is there: [`Model::impute`].
pub const IMPUTE: &str = "impute";
/// Energies of draws of N(0, 1): [`Model::energies`].
pub const ENERGIES: &str = "energies";
/// What a discriminator makes of examples: [`Model::judge`].
pub const JUDGE: &str = "judge";
/// Which class an example is of: [`Model::classify`].
pub const CLASSIFY: &str = "classify";
/// Which code a cell may have by those before it, of a prior of codes: [`super::autoregressive`]. Of a model of sequences which
/// token may follow: [`super::sequence`].
pub const NEXT: &str = "next";
/// What the decoder of sequences begins with, given latents: [`super::sequence`].
pub const BEGIN: &str = "begin";

/// The graph of a task for so many examples, and for so many samples of each where it takes samples.
pub type Answer = fn(&Model, usize, usize) -> Result<Graph>;

/// A question and the graph that answers it. Its inputs and outputs are those that the graph names.
#[derive(Debug, Clone, Copy)]
pub struct Task {
    /// Its name, as plans have it and `elbo plan --for` takes it.
    pub name: &'static str,
    /// Whether it takes several samples of each example.
    pub takes_samples: bool,
    /// The graph.
    pub build: Answer,
}

/// What a question takes for granted of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Latents that are numbers.
    Numbers,
    /// Examples that are numbers or categories of pictures and tables, and no text.
    Values,
    /// Latents of which none is a category.
    NoCategories,
    /// Classes that are inferred.
    Classifier,
    /// A single stochastic layer.
    OneLayer,
    /// A decoder that reads the latents of the lowest stochastic layer alone.
    Decoder,
    /// N(0, 1) as the prior.
    StandardPrior,
    /// A prior whose draws are a formula, and no chain of steps.
    DirectDraws,
    /// A posterior that is a normal distribution with independent dimensions.
    GaussianPosterior,
    /// Values whose distribution depends on the latents alone, and on no total of their example.
    NoLibrary,
}

impl Model {
    /// What it can be asked.
    pub fn tasks(&self) -> &'static [Task] {
        family::of(&self.config).tasks
    }

    /// The task of this name.
    ///
    /// # Errors
    /// [`Error::Usage`] that names the tasks of such a model, if it is none of them.
    pub fn task(&self, name: &str) -> Result<&'static Task> {
        self.tasks().iter().find(|task| task.name == name).ok_or_else(|| {
            let others: Vec<&str> = self.tasks().iter().map(|task| task.name).collect();
            match name {
                IMPUTE => Error::Usage("elbo impute is not for models of this kind".into()),
                EXPLAIN => Error::Usage(
                    "elbo score: models of this kind have no terms of columns, which --features writes".into(),
                ),
                _ => Error::Usage(format!("a model of this kind has no task {name:?}; it has {}", others.join(", "))),
            }
        })
    }

    /// Refuses `what` for a model that lacks one of these.
    ///
    /// # Errors
    /// [`Error::Usage`] that names `what`, and the setting which is in its way.
    pub fn need(&self, needs: &[Need], what: &str) -> Result<()> {
        match needs.iter().find_map(|need| self.lack(*need)) {
            Some(lack) => Err(Error::Usage(format!("{what} is for models {lack}"))),
            None => Ok(()),
        }
    }

    /// What a model would have to be, and what it is, if it lacks that.
    fn lack(&self, need: Need) -> Option<String> {
        let config = &self.config;
        match need {
            _ if self.is_prior_of_codes() => Some(format!(
                "with latents; this one is the prior of the codes of a VQ-VAE (model.prior_codes = {})",
                config.prior_codes
            )),
            Need::Values if self.is_sequence() => Some(format!(
                "of pictures, tables and arrays; this one is of sequences of tokens (model.likelihood = {})",
                config.likelihood.name()
            )),
            Need::Numbers if self.has_codes() => Some(format!(
                "whose latents are numbers; those of this one are codes (model.codes = {}), with nothing between them",
                config.codes
            )),
            Need::NoCategories | Need::GaussianPosterior if self.has_categories() => {
                let [variables, categories] = config.variables().unwrap_or_default();
                Some(format!(
                    "whose latents are all numbers; of this one {variables} are one of {categories} categories each \
                     (model.categories)"
                ))
            }
            Need::OneLayer if config.is_deep().is_some() => {
                let (layers, key) = (self.latents().len(), config.is_deep().unwrap_or_default());
                Some(format!("of one stochastic layer; this one has {layers} ({key})"))
            }
            Need::Decoder if self.is_residual() => Some(format!(
                "whose decoder reads the latents of one layer; that of this one reads what {} groups leave (model.resolutions)",
                self.latents().len()
            )),
            Need::StandardPrior if config.prior != Prior::Standard => {
                Some(format!("whose prior is N(0, 1); this one has model.prior = {}", config.prior.word()))
            }
            Need::DirectDraws if config.prior == Prior::Energy => Some(format!(
                "whose draws are a formula; those of this one are chains of {} steps (model.prior = energy)",
                config.prior_steps
            )),
            Need::GaussianPosterior if !self.has_gaussian_posterior() => Some(format!(
                "whose posterior is a normal distribution with independent dimensions; this one has model.posterior = {}",
                config.posterior.word()
            )),
            Need::Classifier if !self.infers_classes() => Some(format!(
                "that infer classes (model.condition = inferred); this one has model.condition = {}",
                config.condition.word()
            )),
            Need::NoLibrary if self.has_library() => Some(
                "whose values hang on the latents alone; the means of this one are shares of the total of an example \
                 (model.library_size = observed), which nobody knows where a count is missing"
                    .into(),
            ),
            Need::NoLibrary
            | Need::Classifier
            | Need::Numbers
            | Need::NoCategories
            | Need::Values
            | Need::OneLayer
            | Need::Decoder
            | Need::StandardPrior
            | Need::DirectDraws
            | Need::GaussianPosterior => None,
        }
    }
}
