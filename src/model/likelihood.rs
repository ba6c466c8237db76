//! The distribution of the data given what the decoder puts out. Each is a file with all that is particular to it, from the
//! graph to the words of a card, and a line in [`LIKELIHOODS`]; its word and the values that it is for are a row of
//! `config/likelihood.rs`.

mod bernoulli;
mod categorical;
mod columns;
pub mod draw;
mod gaussian;
mod gaussian_learned;
mod gaussian_shared;
mod heterogeneous;
mod laplace;
mod logistic_mixture;
mod multinomial;
mod negative_binomial;
mod outside;
mod poisson;
#[cfg(test)]
mod tests;
mod tokens;
mod zero_inflated;

use super::Model;
use crate::config::{self, Domain, ModelConfig};
use crate::error::Result;
use crate::graph::columns::{Columns, Distribution};
use crate::graph::{Graph, Id, Op};
pub use columns::columns;
pub use logistic_mixture::mixture;
pub use outside::{Decode, Gives, Natural, Outside, Python};
use serde::{Serialize, Serializer};
use std::sync::Arc;

/// A likelihood. Letters: R rows, D values of an example, O numbers that the decoder puts out for one.
#[derive(Debug)]
pub struct Likelihood {
    /// The word for it in a configuration, and with it the values that it is for.
    pub kind: config::Likelihood,
    /// What the figures of a model are figures of.
    pub outcomes: Outcomes,
    /// How it is computed.
    pub density: Density,
    /// How many equal heads stand in the decoder's last map side by side: two where log-variances stand behind the means.
    pub heads: usize,
    /// What the decoder has once for all examples, where it may have something.
    pub globals: Option<Globals>,
    /// The mean of p(x|z) out of what the decoder's network puts out, [R, D]; with log-variances [R, O], whose first D are
    /// the mean.
    pub mean: fn(&mut Graph, &Model, Id) -> Result<Id>,
    /// Minus the log density of a value under what is fitted to its mean and variance alone, in nats, where that is a formula: what
    /// an imported model that came in rightly does better than.
    pub baseline: Option<Baseline>,
    /// What it is called where models leave the house.
    pub outside: Outside,
}

/// Minus the log density of a value x, for its mean and variance over examples.
pub type Baseline = fn(&ModelConfig, x: f64, mean: f64, variance: f64) -> f64;

/// What a likelihood gives a probability to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcomes {
    /// 0 and 1: of what lies between, figures are no bounds of a likelihood.
    Binary,
    /// Each of 256 levels, so that figures are code lengths of pictures.
    Levels,
    /// Counts or categories, or columns of several kinds.
    Others,
    /// Intervals of numbers: figures are those of a density, also where data are levels.
    Intervals,
}

/// How a likelihood is computed.
#[derive(Debug)]
pub enum Density {
    /// Each value by itself: by this distribution, which masks what is missing, or where nothing can be missing by an
    /// operation of the output and the examples that is fused with the product before it.
    Values(Distribution, Option<fn(&ModelConfig, Id, Id) -> Op>),
    /// Each column of the data by a distribution of its own: [`Model::columns`].
    Columns,
    /// The values of an example together.
    Joint(Joint),
}

/// A likelihood of values that hang together.
#[derive(Debug)]
pub struct Joint {
    /// Numbers that the decoder's network puts out for examples of this shape: channels, height, width.
    pub outputs: fn(&ModelConfig, [usize; 3]) -> usize,
    /// −log p(x|z) of each row in nats, from the decoder's output [R, O] and the examples [B, D] with NaN for what is
    /// missing; gives [R].
    pub distortion: fn(&mut Graph, &Model, out: Id, x: Id) -> Result<Id>,
    /// The same of one example on the host, as D terms that add up to it; of a missing value 0.
    pub terms: fn(&Model, out: &[f32], x: &[f32]) -> Vec<f64>,
    /// The biases at which the decoder's last map puts out the means of values, plane by plane.
    pub starts: fn(&Model, means: &[f32]) -> Vec<f32>,
    /// The distribution of each value that is missing from an example: [`draw::Values::missing`].
    pub given: draw::Missing,
}

/// Numbers that the decoder has once for all examples: a trainable tensor of logarithms beside its network.
#[derive(Debug)]
pub struct Globals {
    /// The tensor; nothing where the configuration wants none.
    pub tensor: fn(&Model) -> Option<Global>,
    /// What one of its numbers stands for, held within its range.
    pub value: fn(&Model, f32) -> f32,
    /// What these are called for programs.
    pub key: &'static str,
    /// Whether there is a single one, for all values.
    pub single: bool,
    /// Name, value and meaning in words, with the unit of what the model sees where that is not that of the data.
    pub words: fn(&[f32], &str) -> [String; 3],
}

/// The tensor of [`Globals`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Global {
    /// Its name among the parameters.
    pub name: &'static str,
    /// Numbers in it.
    pub count: usize,
    /// How many places of each row of the decoder's output they take.
    pub places: usize,
    /// What they start at.
    pub start: f32,
}

/// Every likelihood there is.
pub static LIKELIHOODS: &[&Likelihood] = &[
    &bernoulli::LIKELIHOOD,
    &gaussian::LIKELIHOOD,
    &laplace::LIKELIHOOD,
    &gaussian_learned::LIKELIHOOD,
    &gaussian_shared::LIKELIHOOD,
    &logistic_mixture::LIKELIHOOD,
    &poisson::LIKELIHOOD,
    &negative_binomial::LIKELIHOOD,
    &zero_inflated::LIKELIHOOD,
    &multinomial::LIKELIHOOD,
    &categorical::LIKELIHOOD,
    &heterogeneous::LIKELIHOOD,
    &tokens::LIKELIHOOD,
];

/// The likelihood of a configuration.
pub fn of(kind: config::Likelihood) -> &'static Likelihood {
    LIKELIHOODS.iter().find(|likelihood| likelihood.kind == kind).expect("every word has a likelihood")
}

impl Model {
    /// The likelihood of the data.
    pub fn likelihood(&self) -> &'static Likelihood {
        of(self.config.likelihood)
    }
}

/// Numbers that the decoder's network puts out for examples of so many values in so many channels; columns of different
/// kinds say by themselves how many they want.
pub fn outputs(config: &ModelConfig, shape: [usize; 3]) -> usize {
    let likelihood = of(config.likelihood);
    match &likelihood.density {
        Density::Joint(joint) => (joint.outputs)(config, shape),
        Density::Values(..) | Density::Columns => likelihood.heads * shape.iter().product::<usize>(),
    }
}

/// What the decoder has once for all examples.
pub fn global(model: &Model) -> Option<Global> {
    model.likelihood().globals.as_ref().and_then(|globals| (globals.tensor)(model))
}

/// What a decoder has learned once for all examples, as it is told to people and programs.
#[derive(Debug, Clone)]
pub struct Learned {
    /// What the values are, and of what.
    pub of: &'static Globals,
    /// The values.
    pub values: Vec<f32>,
}

impl Learned {
    /// Name, value and meaning in words. `scaled` tells whether the model sees numbers of another unit than the data have.
    pub fn in_words(&self, scaled: bool) -> [String; 3] {
        (self.of.words)(&self.values, if scaled { ", in units of the scaled numbers" } else { "" })
    }
}

impl Serialize for Learned {
    /// A map of one key: `{"sigma": 0.3}`, `{"inverse_dispersion": [1.5, 2.0]}`.
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        if let ([value], true) = (&self.values[..], self.of.single) {
            return serializer.collect_map([(self.of.key, value)]);
        }
        serializer.collect_map([(self.of.key, &self.values)])
    }
}

/// What the numbers of the tensor of [`global`] stand for.
pub fn learned(model: &Model, logs: &[f32]) -> Option<Learned> {
    let of = model.likelihood().globals.as_ref()?;
    Some(Learned { of, values: logs.iter().map(|&log| (of.value)(model, log)).collect() })
}

/// What the decoder's network put out, with what it has for all examples beside each row: what the other functions here
/// call `out`, [R, O]. `tensor` is that of [`global`].
///
/// # Errors
/// None for what a model's decoder puts out.
pub fn append_globals(graph: &mut Graph, model: &Model, out: Id, tensor: Option<Id>) -> Result<Id> {
    match (tensor, global(model)) {
        (Some(w), Some(global)) => graph.add(Op::ConcatBroadcast { x: out, w, tail: global.places }),
        _ => Ok(out),
    }
}

/// −log p(x|z) per row in nats, [R].
///
/// # Errors
/// None for what [`append_globals`] and the data give.
pub fn distortion(graph: &mut Graph, model: &Model, out: Id, x: Id) -> Result<Id> {
    match (by_column(model), &model.likelihood().density) {
        (Some(columns), _) => graph.add(Op::Table { out, x, columns }),
        (None, Density::Joint(joint)) => (joint.distortion)(graph, model, out, x),
        (None, Density::Values(_, Some(operation))) => graph.add(operation(&model.config, out, x)),
        (None, Density::Values(_, None) | Density::Columns) => unreachable!("they are computed by column"),
    }
}

/// The mean of p(x|z): [`Likelihood::mean`].
///
/// # Errors
/// None for what [`append_globals`] gives.
pub fn mean(graph: &mut Graph, model: &Model, out: Id) -> Result<Id> {
    (model.likelihood().mean)(graph, model, out)
}

/// Numbers per row of what [`mean`] gives.
pub fn mean_width(model: &Model) -> usize {
    match &model.likelihood().density {
        // Log-variances stand behind the means.
        Density::Values(Distribution::Normal, _) if model.likelihood().heads == 2 => model.output_width(),
        Density::Columns => model.output_width(),
        Density::Values(..) | Density::Joint(_) => model.width,
    }
}

/// What computes the likelihood column by column: because columns differ, because there is no other operation, or because
/// values may be missing. Values that hang together are masked by themselves.
pub fn by_column(model: &Model) -> Option<Arc<Columns>> {
    match (&model.columns, &model.likelihood().density) {
        (Some(columns), _) => Some(columns.clone()),
        (None, Density::Joint(_)) => None,
        (None, Density::Values(_, Some(_))) if !model.missing => None,
        (None, Density::Values(distribution, _)) => Some(uniform(model, *distribution)),
        (None, Density::Columns) => Some(Arc::new(columns::columns(&model.config, model.width, None))),
    }
}

fn uniform(model: &Model, distribution: Distribution) -> Arc<Columns> {
    Arc::new(columns::uniform(&model.config, distribution, model.width))
}

/// What an encoder is shown of values that hang together: as of other values, 0 for what is missing, and logarithms of
/// counts.
pub(super) fn shown_columns(model: &Model) -> Option<Arc<Columns>> {
    let joint = || match model.config.likelihood.domain() {
        Domain::Counts => Some(uniform(model, Distribution::Poisson)),
        _ => model.missing.then(|| uniform(model, Distribution::FixedNormal)),
    };
    by_column(model).or_else(joint)
}

/// The biases at which the decoder puts out these means: of the D values, or of the channels where its last map is the same
/// for all pixels.
pub(super) fn starts(model: &Model, means: &[f32]) -> Vec<f32> {
    match (&model.columns, &model.likelihood().density) {
        (Some(columns), _) => columns::starts(columns, means),
        (None, Density::Joint(joint)) => (joint.starts)(model, means),
        (None, Density::Values(distribution, _)) => {
            means.iter().map(|&mean| columns::start(*distribution, mean)).collect()
        }
        (None, Density::Columns) => means.to_vec(),
    }
}

/// −log p(x|z) of each column of one example, in nats: what each contributes to its distortion. `out` is what the
/// decoder puts out for it before any non-linearity ([`append_globals`]), [`Model::output_width`] numbers; `x` are the D
/// numbers that the model is shown, NaN where a value is missing. Values are columns of their own where all are of one
/// kind; a category is one column with several places ([`Columns`]). A column of which a place is missing contributes
/// nothing.
pub fn column_distortions(model: &Model, out: &[f32], x: &[f32]) -> Vec<f64> {
    // As if values could be missing, whatever the likelihood.
    match (by_column(&Model { missing: true, ..model.clone() }), &model.likelihood().density) {
        (None, Density::Joint(joint)) => (joint.terms)(model, out, x),
        (columns, _) => columns.map_or(vec![], |columns| columns::terms(&columns, out, x)),
    }
}
