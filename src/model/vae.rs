//! The variational autoencoder (Kingma and Welling 2014, arXiv 1312.6114), as graphs of all that it is asked. Its
//! stochastic layers, mostly one, are in [`super::stack`].

use super::likelihood::Density;
use super::stack::{Forward, Networks, sum};
use super::weights::{DISTORTION, RATE, Weights};
use super::{autoregressive, codebook, library, likelihood, network, presentation, sequence};
use crate::config::{Binarise, Condition, Config, Domain, Hierarchy, MAX_PARAMETERS, ModelConfig};
use crate::data::table::Encoding;
use crate::data::text::vocabulary::Vocabulary;
use crate::data::{Dataset, NO_CATEGORIES};
use crate::error::{Error, Result};
use crate::graph::columns::Columns;
use crate::graph::op::Source;
use crate::graph::{Clamp, Graph, Id, Op, Parameter};
use crate::shape::Shape;
use std::sync::Arc;

/// A model and what it needs to know of its data.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Networks and distributions.
    pub config: ModelConfig,
    /// D, values per example.
    pub width: usize,
    /// Channels, height and width of an example; data in a row are an image of height 1.
    pub shape: [usize; 3],
    /// How the data set stores them.
    pub source: Source,
    /// How they are presented.
    pub binarise: Binarise,
    /// The distribution of each column, where columns differ.
    pub columns: Option<Arc<Columns>>,
    /// Whether values may be missing, which is a NaN in their place.
    pub missing: bool,
    /// Classes of examples, where the model is told them; 0 where it is not.
    pub classes: usize,
}

/// The name of the input with the class of each latent that a conditional model decodes, [B].
pub const CLASS: &str = "class";

/// The name of the output with the rate of each dimension of the highest stochastic layer, [S, Z]: of models that
/// [`Model::tells_rates`].
pub const RATES: &str = "rates of dimensions";

/// The name of the output with the latents that stand for examples without noise, [B, Z]: of models whose posterior is more than
/// a normal distribution with independent dimensions, of which they are the mean.
pub const LOCATION: &str = "location";

/// The name of the output with what the decoder's network puts out, where a mean does not say all of p(x|z), in
/// [`Model::decode_for_export`].
pub const NATURAL: &str = "natural";

/// What to say where a conditional model has no classes.
const NO_CLASSES: &str = "model.condition = label wants the classes of the data, and there are no labels";

/// What to say where a model that infers classes has none to choose from.
const FEW_CLASSES: &str = "model.condition = inferred wants two classes or more, named by the labels of some examples";

/// What to say where the total of an example is not known.
const MISSING_OF_LIBRARY: &str = "model.library_size = observed takes the total of an example's counts, and some counts are missing: \
                                  fill them, or train with model.library_size = none";

/// The name of what [`Model::score`] takes or puts out for K samples: buffers are shared by name and keep their size.
pub fn named(what: &str, samples: usize) -> String {
    format!("{what} {samples}")
}

/// The name of what [`Model::impute`] takes or puts out for so many examples and K samples of each.
pub fn sized(what: &str, batch: usize, samples: usize) -> String {
    format!("{what} {batch}x{samples}")
}

/// The name of what a stochastic layer, counted from 0, takes or puts out: of the lowest `what`, of the next `what 2`.
pub fn of_layer(what: &str, layer: usize) -> String {
    if layer == 0 { what.to_owned() } else { format!("{what} {}", layer + 1) }
}

/// The numbers of a map's tensor.
fn count(map: &network::Map) -> u64 {
    map.shape().extents().iter().map(|&n| n as u64).product()
}

fn check_parameters(count: u64) -> Result<()> {
    if count > MAX_PARAMETERS {
        return Err(Error::Usage(format!(
            "the model would have {count} parameters: allowed are up to {MAX_PARAMETERS}"
        )));
    }
    Ok(())
}

impl Model {
    /// The model of a configuration for a data set.
    ///
    /// # Errors
    /// Those of [`Model::with`].
    pub fn new(config: &Config, data: &Dataset) -> Result<Self> {
        let source = match data.values.codes() {
            _ if data.text.is_some() => Source::Tokens(data.text.as_ref().map_or(0, Vocabulary::len)),
            _ if data.sparse().is_some() => Source::Sparse(data.stored_words()),
            Some(columns) => Source::Codes(columns),
            None if data.values.are_bytes() => Source::Bytes,
            None => Source::Floats,
        };
        Self::with(config, data.shape, source, data.encoding.as_ref(), data.missing, data.class_count())
    }

    /// The model for examples of this shape (channels, height, width), of which some values may be `missing`, and which
    /// are of so many classes, or of none that is known.
    ///
    /// # Errors
    /// [`Error::Usage`] where the layers of the configuration do not fit together or not to the data, or have too many
    /// parameters; [`Error::Data`] where the model wants classes and there are none, or categories and the values are pixels.
    pub fn with(
        config: &Config,
        shape: [usize; 3],
        source: Source,
        encoding: Option<&Encoding>,
        missing: bool,
        classes: usize,
    ) -> Result<Self> {
        let classes = match config.model.condition {
            Condition::None => 0,
            Condition::Label if classes == 0 => return Err(Error::Data(NO_CLASSES.into())),
            Condition::Inferred if classes < 2 => return Err(Error::Data(FEW_CLASSES.into())),
            Condition::Label | Condition::Inferred => classes,
        };
        let width = shape.iter().try_fold(1_usize, |width, &extent| width.checked_mul(extent));
        let width = width
            .filter(|&width| width > 0 && u32::try_from(width).is_ok())
            .ok_or_else(|| Error::Data(format!("an example of shape {shape:?}: examples have 1 to 2^32 - 1 values")))?;
        if config.model.latent == 0 {
            return Err(Error::Usage("model.latent = 0: a model has one latent dimension at least".into()));
        }
        if config.model.likelihood.domain() == Domain::Categories && encoding.is_none() {
            return Err(Error::Data(NO_CATEGORIES.into()));
        }
        if (config.model.likelihood.domain() == Domain::Tokens) != matches!(source, Source::Tokens(_)) {
            return Err(Error::Data(
                "model.likelihood = tokens is for text, and text for that likelihood alone".into(),
            ));
        }
        if config.data.binarise != Binarise::None && encoding.is_some_and(Encoding::scales) {
            let drawn = format!("{:?}", config.data.binarise).to_lowercase();
            return Err(Error::Usage(format!(
                "data.binarise = {drawn} is for pixels, and numbers that are scaled are no probabilities of a 1: `--set binarise=none`"
            )));
        }
        if matches!(source, Source::Sparse(_)) && config.data.binarise != Binarise::None {
            return Err(Error::Usage(
                "data.binarise is for pictures; of interactions `--set data.at_least=V` makes a 1 of a value from V on"
                    .into(),
            ));
        }
        if config.model.prior_codes > 0 {
            return Self::of_codes(config, shape, source, classes);
        }
        let columns = match likelihood::of(config.model.likelihood).density {
            Density::Columns => Some(Arc::new(likelihood::columns(&config.model, width, encoding))),
            Density::Values(..) | Density::Joint(_) => None,
        };
        if missing && library::is_observed(&config.model) {
            return Err(Error::Data(MISSING_OF_LIBRARY.into()));
        }
        let (config, binarise) = (config.model.clone(), config.data.binarise);
        let mut model = Self { config, width, shape, source, binarise, columns, missing, classes };
        if model.is_residual() {
            let lowest = &model.top_down()?.groups[0];
            model.config.latent = lowest.pixels() * lowest.latent;
        }
        let count: u64 = model.all_maps()?.iter().map(count).sum();
        let count = count + likelihood::global(&model).map_or(0, |global| global.count as u64);
        let own = [model.posterior_tensors(), model.prior_tensors(), codebook::tensors(&model.config)].concat();
        let own = [own, sequence::tensors(&model)].concat();
        let count = count + own.iter().map(|tensor| tensor.shape.count() as u64).sum::<u64>();
        let count = count + model.class_prior().map_or(0, |shape| shape.count() as u64);
        let count = count + u64::from(model.has_library());
        if !model.config.discriminator_layers.is_empty() {
            network::discriminator(&model.config, shape)?;
            if missing {
                return Err(Error::Data(
                    "objective.features is for data without missing values, and some are missing: its discriminator would be \
                     shown holes"
                        .into(),
                ));
            }
        }
        let players = [model.discriminator(), model.classifier()].concat();
        let count = count + players.iter().map(|map| map.shape().count() as u64).sum::<u64>();
        check_parameters(count)?;
        Ok(model)
    }

    /// The prior of codes in grids of this shape, as numbers.
    fn of_codes(config: &Config, shape: [usize; 3], source: Source, classes: usize) -> Result<Self> {
        if shape[0] != 1 || source != Source::Floats {
            return Err(Error::Data(
                "model.prior_codes is for the codes of a VQ-VAE: elbo train --prior-of RUN".into(),
            ));
        }
        let (config, binarise) = (config.model.clone(), config.data.binarise);
        let width = shape.iter().product();
        let tensors = autoregressive::tensors(&config, classes);
        check_parameters(tensors.iter().map(|tensor| tensor.shape.count() as u64).sum())?;
        Ok(Self { config, width, shape, source, binarise, columns: None, missing: false, classes })
    }

    /// The steps of encoder and decoder, of several stochastic layers those of the lowest; of a residual hierarchy all of the encoder,
    /// and what follows the groups of latents.
    ///
    /// # Errors
    /// [`Error::Usage`] where layers do not fit together; never of a model that [`Model::with`] made.
    pub fn networks(&self) -> Result<[Vec<network::Step>; 2]> {
        if self.is_sequence() {
            return Ok(self.sequence_heads());
        }
        if self.is_residual() {
            let network::TopDown { groups, output } = self.top_down()?;
            return Ok([groups.into_iter().flat_map(|group| group.encoder).collect(), output]);
        }
        let encoder = network::encoder(&self.config, self.shape, self.classes)?;
        Ok([encoder, network::decoder(&self.config, self.shape, self.outputs(), self.classes)?])
    }

    /// The numbers that the likelihood wants of a decoder.
    pub(super) fn outputs(&self) -> usize {
        self.columns.as_ref().map_or_else(|| likelihood::outputs(&self.config, self.shape), |c| c.outputs())
    }

    /// The trainable maps in the order of [`Model::parameters`].
    pub fn maps(&self) -> Vec<network::Map> {
        if self.is_prior_of_codes() {
            return vec![];
        }
        self.all_maps().expect("a model's layers fit")
    }

    /// The trainable tensors in the order in which they are stored.
    pub fn parameters(&self) -> Vec<Parameter> {
        let mut graph = Graph::new(1);
        let declared = if self.is_prior_of_codes() {
            self.declare_prior_of_codes(&mut graph).map(drop)
        } else {
            self.declare(&mut graph).map(drop)
        };
        declared.expect("a model's layers fit");
        graph.parameters
    }

    /// One training step by the ELBO: terms `distortion` and `rate` of a batch.
    ///
    /// # Errors
    /// Those of [`Model::networks`].
    pub fn train(&self, batch: usize) -> Result<Graph> {
        let mut graph = Graph::training(batch);
        let networks = self.declare(&mut graph)?;
        self.terms(&mut graph, &networks, 1)?;
        Ok(graph)
    }

    /// Evaluation of a batch: the terms of [`Model::train`] from one sample each, and per example the outputs
    /// `distortion` [B], `rate` [B] and `stats` [B, 2Z], the posterior's mean and log-variance, where they do not say all of it
    /// its sample `z` [B, Z] and [`LOCATION`]; of several stochastic layers the rate of each too, `rate 1` from the lowest up,
    /// and the statistics of those above the lowest, `stats 2`, which in a ladder are given the means of the layers above.
    ///
    /// # Errors
    /// Those of [`Model::networks`].
    pub fn evaluate(&self, batch: usize) -> Result<Graph> {
        let mut graph = Graph::new(batch);
        let networks = self.declare(&mut graph)?;
        let (pass, rates) = self.terms(&mut graph, &networks, 1)?;
        let [distortion, rate] = [graph.terms[0].rows, graph.terms[1].rows];
        graph.output("distortion", distortion);
        graph.output("rate", rate);
        // Below the highest of a ladder a mean varies with the sample above, also where the data say nothing.
        let layers = match self.config.hierarchy {
            Hierarchy::Ladder | Hierarchy::Residual if !pass.priors.is_empty() => {
                let class = self.class(&mut graph, &networks, pass.x)?;
                self.infer_means(&mut graph, &networks, pass.x, class)?.layers
            }
            Hierarchy::Stacked | Hierarchy::Ladder | Hierarchy::Residual => pass.layers.clone(),
        };
        graph.output("stats", layers[0].stats);
        if !self.has_gaussian_posterior() {
            let location = self.location(&mut graph, &networks, pass.encoded)?;
            graph.output("z", pass.lowest().z);
            graph.output(LOCATION, location);
        }
        let highest = pass.layers[pass.layers.len() - 1].stats;
        if let Some(rates) = self.dimension_rates(&mut graph, &pass.prior, highest)? {
            graph.output(RATES, rates);
        }
        for (layer, (drawn, &rate)) in (1..).zip(layers.iter().zip(&rates)).filter(|_| rates.len() > 1) {
            graph.output(&format!("rate {layer}"), rate);
            if layer > 1 {
                graph.output(&format!("stats {layer}"), drawn.stats);
            }
        }
        Ok(graph)
    }

    /// Importance weights of `samples` latent samples per example, accumulated over runs into `weights` [B, 2]: the
    /// largest log weight, and the sum of exp(log weight − largest) (Burda et al. 2015, arXiv 1509.00519, eq. 8).
    ///
    /// # Errors
    /// Those of [`Model::networks`].
    pub fn importance(&self, batch: usize, samples: usize) -> Result<Graph> {
        let mut graph = Graph::new(batch);
        let pass = self.pass(&mut graph, samples)?;
        let distortion = likelihood::distortion(&mut graph, self, pass.out, pass.x)?;
        let ratios = self.log_ratios(&mut graph, &pass)?;
        let ratio = sum(&mut graph, &ratios)?;
        let weights = graph.add(Op::LogMeanExp { distortion, ratio })?;
        graph.output("weights", weights);
        Ok(graph)
    }

    /// The same with noise that is given: input `noise` [B·K, Z] (see [`named`]), of layers above the lowest `noise … 2` and so on,
    /// so that it can be alike for all examples. Nothing is drawn: data of dynamic binarisation are taken as they are stored.
    ///
    /// # Errors
    /// Those of [`Model::networks`].
    pub fn score(&self, batch: usize, samples: usize) -> Result<Graph> {
        let mut graph = Graph::new(batch);
        let networks = self.declare(&mut graph)?;
        let x = self.gather_as_stored(&mut graph)?;
        let noise = self.given_noise(&mut graph, &named("noise", samples), samples)?;
        let class = self.class(&mut graph, &networks, x)?;
        let pass = self.forward(&mut graph, &networks, x, &noise, class)?;
        let distortion = likelihood::distortion(&mut graph, self, pass.out, pass.x)?;
        let ratios = self.log_ratios(&mut graph, &pass)?;
        let ratio = sum(&mut graph, &ratios)?;
        let weights = graph.add(Op::LogMeanExp { distortion, ratio })?;
        graph.output(&named("weights", samples), weights);
        Ok(graph)
    }

    /// Examples through the posterior without any noise, at its mean or [`LOCATION`]: outputs `stats` [B, 2Z] and `out`, what
    /// the decoder puts out before it becomes a mean, [B, [`Model::output_width`]]. Where the rate has no closed form, `rate` [B]
    /// is log q(z|x) − log p(z) there, with Σ ½ε² of the noise at its mean, Z/2; of several stochastic layers it is the sum of
    /// their rates, each by its closed form or so.
    ///
    /// # Errors
    /// Those of [`Model::networks`].
    pub fn explain(&self, batch: usize) -> Result<Graph> {
        let mut graph = Graph::new(batch);
        let networks = self.declare(&mut graph)?;
        let x = self.gather_as_stored(&mut graph)?;
        let noise = self.given_noise(&mut graph, "zero noise", 1)?;
        let class = self.class(&mut graph, &networks, x)?;
        let pass = self.forward(&mut graph, &networks, x, &noise, class)?;
        graph.output("stats", pass.lowest().stats);
        graph.output("out", pass.out);
        if !pass.priors.is_empty() {
            let rates = self.rates_of_means(&mut graph, &pass)?;
            let rate = sum(&mut graph, &rates)?;
            graph.output("rate", rate);
            return Ok(graph);
        }
        if let Some(rates) = self.dimension_rates(&mut graph, &pass.prior, pass.lowest().stats)? {
            graph.output(RATES, rates);
        }
        if !self.has_closed_rate() {
            let rate = self.rates_of_means(&mut graph, &pass)?[0];
            graph.output("rate", rate);
        }
        Ok(graph)
    }

    /// Reconstructions through the posterior's mean or [`LOCATION`], of several stochastic layers that of the lowest (in a ladder
    /// given the means of those above): outputs `x` [B, D] as presented and `mean` of p(x|z). A conditional model encodes an example as its class and
    /// decodes it as the one in the input [`CLASS`].
    ///
    /// # Errors
    /// Those of [`Model::networks`].
    pub fn reconstruct(&self, batch: usize) -> Result<Graph> {
        let mut graph = Graph::new(batch);
        let networks = self.declare(&mut graph)?;
        let x = self.gather(&mut graph)?;
        let class = self.class(&mut graph, &networks, x)?;
        let z = match self.config.hierarchy {
            Hierarchy::Stacked => {
                let encoded = self.encoder(&mut graph, &networks, x, class)?;
                self.location(&mut graph, &networks, encoded)?
            }
            Hierarchy::Ladder => self.infer_means(&mut graph, &networks, x, class)?.read,
            Hierarchy::Residual => {
                let found = self.infer_means(&mut graph, &networks, x, class)?;
                match self.given_class(&mut graph)? {
                    None => found.read,
                    given => {
                        let z: Vec<Id> = found.layers.iter().map(|layer| layer.z).collect();
                        self.read_again(&mut graph, &networks, &z, given)?
                    }
                }
            }
        };
        let class = match (self.given_class(&mut graph)?, class) {
            // A negative number stands for the class that was inferred.
            (Some(given), Some(class)) if self.infers_classes() => {
                Some(graph.map([given, class], |[given, class]| given.clone().less(0.0).select(class, given))?)
            }
            (given, _) => given,
        };
        let out = networks.decode(&mut graph, z, class)?;
        let out = self.with_library_of(&mut graph, out, x)?;
        let mean = likelihood::mean(&mut graph, self, out)?;
        graph.output("x", x);
        graph.output("mean", mean);
        Ok(graph)
    }

    /// Draws from the prior, of several stochastic layers from the top down, decoded, of a conditional model as the classes
    /// in the input [`CLASS`]: outputs `z` [B, Z] and `mean` of p(x|z).
    ///
    /// # Errors
    /// Those of [`Model::networks`].
    pub fn sample(&self, batch: usize) -> Result<Graph> {
        let mut graph = Graph::new(batch);
        let networks = self.declare(&mut graph)?;
        let [z, read] = self.sample_prior(&mut graph, &networks)?;
        self.decoded(&mut graph, &networks, read)?;
        graph.output("z", z);
        Ok(graph)
    }

    /// What the posterior is of a batch: output `stats` [B, 2Z], its mean and log-variance before the clamp, and where they do
    /// not say all of it [`LOCATION`]; of several stochastic layers those of the lowest, and `stats 2` and so on of those above,
    /// each given the mean of the layer that it depends on.
    ///
    /// # Errors
    /// Those of [`Model::networks`].
    pub fn encode(&self, batch: usize) -> Result<Graph> {
        let mut graph = Graph::new(batch);
        let networks = self.declare(&mut graph)?;
        let x = self.gather(&mut graph)?;
        let class = self.class(&mut graph, &networks, x)?;
        if self.latents().len() > 1 {
            let layers = self.infer_means(&mut graph, &networks, x, class)?.layers;
            for (at, drawn) in layers.iter().enumerate() {
                graph.output(&of_layer("stats", at), drawn.stats);
            }
            let prior = self.prior_parts(&mut graph, &networks)?;
            if let Some(rates) = self.dimension_rates(&mut graph, &prior, layers[layers.len() - 1].stats)? {
                graph.output(RATES, rates);
            }
            return Ok(graph);
        }
        let encoded = self.encoder(&mut graph, &networks, x, class)?;
        graph.output("stats", encoded.stats);
        if !self.has_gaussian_posterior() {
            let location = self.location(&mut graph, &networks, encoded)?;
            graph.output(LOCATION, location);
        }
        if let Some(rates) = self.dimension_rates(&mut graph, &networks.prior, encoded.stats)? {
            graph.output(RATES, rates);
        }
        Ok(graph)
    }

    /// Given latents of the lowest stochastic layer, decoded: input `z` [B, Z], of a conditional model [`CLASS`] too, output
    /// `mean` of p(x|z).
    ///
    /// # Errors
    /// Those of [`Model::networks`].
    pub fn decode(&self, batch: usize) -> Result<Graph> {
        let mut graph = Graph::new(batch);
        let networks = self.declare(&mut graph)?;
        let z = graph.add(Op::Input { name: "z".into(), shape: Shape::new(&[batch, self.config.latent]) })?;
        self.decoded(&mut graph, &networks, z)?;
        Ok(graph)
    }

    /// The same as [`Model::decode`] with output `out`, all that p(x|z) is computed from, [B, [`Model::output_width`]].
    ///
    /// # Errors
    /// Those of [`Model::networks`].
    pub fn natural(&self, batch: usize) -> Result<Graph> {
        let mut graph = Graph::new(batch);
        let networks = self.declare(&mut graph)?;
        let z = graph.add(Op::Input { name: "z".into(), shape: Shape::new(&[batch, self.config.latent]) })?;
        let class = self.given_class(&mut graph)?;
        let out = networks.decode(&mut graph, z, class)?;
        let out = self.with_library(&mut graph, out, networks.library)?;
        let out = likelihood::append_globals(&mut graph, self, out, networks.shared)?;
        graph.output("out", out);
        Ok(graph)
    }

    /// Given latents of any stochastic layer, decoded through the means of the layers below it: inputs `z` [B, Z] of the lowest,
    /// `z 2` and so on of those above, `layer` [B], which of them, counted from 0, a row begins in, and of a conditional model
    /// [`CLASS`]; output `mean` of p(x|z).
    ///
    /// # Errors
    /// Those of [`Model::networks`].
    pub fn descend(&self, batch: usize) -> Result<Graph> {
        let mut graph = Graph::new(batch);
        let networks = self.declare(&mut graph)?;
        let z = self.descended(&mut graph, &networks)?;
        self.decoded(&mut graph, &networks, z)?;
        Ok(graph)
    }

    /// Numbers of a row of what the likelihood is told: what the decoder's network puts out, and what stands beside it.
    pub fn output_width(&self) -> usize {
        if let Some(columns) = &self.columns {
            return columns.outputs();
        }
        if self.is_sequence() {
            return self.width * self.vocabulary();
        }
        let beside = likelihood::global(self).map_or(0, |global| global.places);
        likelihood::outputs(&self.config, self.shape) + beside
    }

    /// Numbers per row of the output `mean`; the first D of them are the mean.
    pub fn mean_width(&self) -> usize {
        likelihood::mean_width(self)
    }

    /// The training loss of given inputs instead of the resident data: inputs `x` [B, D], `eps` [B, Z], of further
    /// stochastic layers `eps 2` and so on, and, of a conditional model, [`CLASS`]. For comparison with other
    /// implementations, which would draw other numbers to leave out: dropout does nothing, but beside batch normalisation, which
    /// is that of training.
    ///
    /// # Errors
    /// Those of [`Model::networks`].
    pub fn train_on_inputs(&self, batch: usize) -> Result<Graph> {
        let normalises = !self.running_moments().is_empty();
        let mut graph = if normalises { Graph::training(batch) } else { Graph::new(batch) };
        let networks = self.declare(&mut graph)?;
        let x = graph.add(Op::Input { name: "x".into(), shape: Shape::new(&[batch, self.width]) })?;
        let noise = self.given_noise(&mut graph, "eps", 1)?;
        let class = self.given_class(&mut graph)?;
        let pass = self.forward(&mut graph, &networks, x, &noise, class)?;
        self.add_terms(&mut graph, &pass)?;
        Ok(graph)
    }

    fn terms(&self, graph: &mut Graph, networks: &Networks, samples: usize) -> Result<(Forward, Vec<Id>)> {
        let pass = self.pass_of(graph, networks, samples)?;
        let rates = self.add_terms(graph, &pass)?;
        Ok((pass, rates))
    }

    /// Adds distortion and rate, and gives the rate of each stochastic layer.
    fn add_terms(&self, graph: &mut Graph, pass: &Forward) -> Result<Vec<Id>> {
        let distortion = likelihood::distortion(graph, self, pass.out, pass.x)?;
        let rates = self.rates(graph, pass)?;
        let rate = sum(graph, &rates)?;
        let weights = Weights::elbo(1.0);
        graph.term("distortion", distortion, weights.slot(DISTORTION)?);
        graph.term("rate", rate, weights.slot(RATE)?);
        Ok(rates)
    }

    /// Data in, decoder's output out, with `samples` latent samples per example.
    pub(super) fn pass(&self, graph: &mut Graph, samples: usize) -> Result<Forward> {
        let networks = self.declare(graph)?;
        self.pass_of(graph, &networks, samples)
    }

    pub(super) fn pass_of(&self, graph: &mut Graph, networks: &Networks, samples: usize) -> Result<Forward> {
        let x = self.gather(graph)?;
        let noise = self.noise(graph, samples)?;
        let class = self.class(graph, networks, x)?;
        self.forward(graph, networks, x, &noise, class)
    }

    /// The classes of the batch's examples, [B], where the model is told them or infers them.
    pub(super) fn class(&self, graph: &mut Graph, networks: &Networks, x: Id) -> Result<Option<Id>> {
        match self.config.condition {
            Condition::None => Ok(None),
            Condition::Label => graph.add(Op::Class).map(Some),
            Condition::Inferred => self.likeliest(graph, networks, x).map(Some),
        }
    }

    /// Classes that the host gives, likewise.
    pub(super) fn given_class(&self, graph: &mut Graph) -> Result<Option<Id>> {
        let shape = Shape::new(&[graph.batch]);
        if self.classes == 0 { Ok(None) } else { graph.shared(Op::Input { name: CLASS.into(), shape }).map(Some) }
    }

    /// Adds the output `mean`, and gives what it is made of.
    pub(super) fn decoded(&self, graph: &mut Graph, networks: &Networks, z: Id) -> Result<Id> {
        let class = self.given_class(graph)?;
        let out = networks.decode(graph, z, class)?;
        let out = self.with_library(graph, out, networks.library)?;
        let mean = likelihood::mean(graph, self, out)?;
        graph.output("mean", mean);
        Ok(out)
    }

    pub(super) fn gather(&self, graph: &mut Graph) -> Result<Id> {
        graph.add(Op::Gather { width: self.width, source: self.source.clone(), binarise: self.binarise })
    }

    pub(super) fn gather_as_stored(&self, graph: &mut Graph) -> Result<Id> {
        graph.add(Op::Gather {
            width: self.width,
            source: self.source.clone(),
            binarise: presentation::drawn_never(self.binarise),
        })
    }

    /// What [`Model::score`] and [`Model::explain`] show of a value.
    pub fn shown(&self, value: f32) -> f32 {
        presentation::as_stored(self.binarise, value)
    }

    /// The range to which log-variances are limited.
    pub fn clamp(&self) -> Clamp {
        let [low, high] = self.config.log_variance;
        Clamp { low, high }
    }
}
