//! What will happen: complete, validated, saved with every run as `config.toml`.
//!
//! A configuration starts from [`Config::default`], is changed by a recipe and then by single settings ([`resolve`]),
//! and is checked as a whole ([`validate`]) before anything is read, allocated or written.

mod above;
mod advice;
mod data;
pub mod keys;
mod layers;
mod likelihood;
mod objective;
mod recipes;
mod resolve;
mod sweep;
mod training;
mod validate;

use serde::{Deserialize, Serialize};

pub use above::{Above, Hierarchy, Resolution, Sides};
pub use advice::advice;
pub use data::{
    Background, Binarise, Colour, ColumnType, Damaged, DataConfig, Decimal, Fit, Layout, Longer, Rounding, Scale,
    Tokens, Unknown, White,
};
pub use keys::nearest;
pub use layers::{Block, BlockKind, Channels, Conv, Dense, Layer, Layers};
pub use likelihood::{Domain, Likelihood, Takes};
pub use objective::{Anneal, Bound, Moments, ObjectiveConfig};
pub use recipes::RECIPES;
pub use resolve::{from_json, from_toml, resolve, to_toml};
pub use sweep::{MAX_MEMBERS, SWEPT, Sweep, check_members, sweep, value};
pub use training::{Curve, Monitor, NotFinite, Reduction, ScheduleConfig};
pub use validate::{
    MAX_GRID, MAX_PARAMETERS, MAX_UNITS, MAX_WIDTH, OF_NOTE, batch_exceeds, check_ranks, parameter_count,
    pseudo_inputs_exceed, validate,
};

/// Everything that decides the result of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The recipe's name; run folders are called after it.
    pub name: String,
    /// Where the examples come from and how they are presented.
    pub data: DataConfig,
    /// The networks and distributions.
    pub model: ModelConfig,
    /// The loss.
    pub objective: ObjectiveConfig,
    /// The update rule.
    pub optimizer: OptimizerConfig,
    /// How the learning rate changes.
    pub schedule: ScheduleConfig,
    /// How long, in which portions, from which seed.
    pub train: TrainConfig,
}

/// The networks and distributions. Capitals: D values per example, H hidden units, Z latent dimensions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "switches that do not depend on each other")]
pub struct ModelConfig {
    /// Widths of the encoder's hidden layers, from the data inwards.
    pub hidden: Vec<usize>,
    /// Widths of the decoder's hidden layers, from the latent outwards; empty means `hidden` backwards.
    pub decoder: Vec<usize>,
    /// The encoder layer by layer, in place of `hidden`: `{ conv = 32, kernel = 4, stride = 2, padding = 1 }`, `"relu"`,
    /// `{ dense = 256 }`. What gives the posterior follows by itself.
    pub encoder_layers: Layers,
    /// The decoder likewise, in place of `decoder`. Its last layer may give `out`, what the likelihood wants; otherwise
    /// such a layer follows by itself.
    pub decoder_layers: Layers,
    /// Z, the number of latent dimensions; of models with `codes` D, the numbers of each code.
    pub latent: usize,
    /// N and K: of the latents N are one of K categories each, which take the first N·K of the `latent` places; none where empty.
    pub categories: Vec<usize>,
    /// K, the codes of a codebook that stands for the latents (VQ-VAE); 0 for latents that are numbers.
    pub codes: usize,
    /// What the codes follow.
    pub codebook: Codebook,
    /// `ema`: what of the averages of a code stays from one step to the next.
    pub codebook_decay: f32,
    /// A code that is used less than this share of the even use is started again as an output of the encoder.
    pub codebook_restart: f32,
    /// Stochastic layers above that one, from the lowest up: each by the widths of the layers to it and its latent
    /// dimensions, `100-100-50`.
    pub above: Vec<String>,
    /// How the posterior goes through several stochastic layers; of one it says nothing.
    pub hierarchy: Hierarchy,
    /// Where groups of latents are images, from the data up: their sides, or a part of those of the data, how many groups have them, latent
    /// dimensions of each pixel and cells between groups, `14x14 groups 6 latent 4 cells 2`, `data/4 latent 8`. Of the hierarchy `residual`.
    pub resolutions: Vec<String>,
    /// The layers of a residual cell on the way up, likewise: what they make of an image is added to it.
    pub encoder_cell: Layers,
    /// Those of a cell on the way down.
    pub decoder_cell: Layers,
    /// What encoder and decoder are told beside what they read.
    pub condition: Condition,
    /// Widths of the hidden layers of the classifier q(y|x), where the condition is `inferred`; empty for a linear one.
    pub classifier: Vec<usize>,
    /// p(y), where the condition is `inferred`.
    pub class_prior: ClassPrior,
    /// What latents are like before any example is seen: the prior of the highest stochastic layer.
    pub prior: Prior,
    /// K, the components of the priors `mixture` and `vamp`; others ignore it.
    pub prior_components: usize,
    /// What components of a prior weigh; priors without components ignore it.
    pub prior_weights: MixtureWeights,
    /// Coupling layers of the prior `flow`, hidden layers of the network of `energy`, and layers of a prior of codes; others
    /// ignore it.
    pub prior_layers: usize,
    /// The width of the hidden layers in each of them; of a prior of codes its channels.
    pub prior_width: usize,
    /// Langevin steps that a draw of the prior `energy` takes from N(0, 1); others ignore it.
    pub prior_steps: usize,
    /// Their size s: z' = z - s^2/2 times the slope of the energy + s times noise.
    pub prior_step: f32,
    /// K, the codes of a VQ-VAE of whose grids the model is the prior, by masked convolutions; 0 for autoencoders. `elbo train
    /// --prior-of` sets it.
    pub prior_codes: usize,
    /// What the encoder says of the latents of an example.
    pub posterior: Posterior,
    /// Steps of the posteriors `planar` and `iaf`; others ignore it.
    pub posterior_layers: usize,
    /// The width of the hidden layer in each step of `iaf`.
    pub posterior_width: usize,
    /// Widths of the hidden layers of a discriminator of latents, for `objective.factor` and `objective.adversary`; empty for
    /// none.
    pub discriminator: Vec<usize>,
    /// The layers of a discriminator of examples, for `objective.features`; empty for none. What gives its verdict follows by
    /// itself.
    pub discriminator_layers: Layers,
    /// After which of these layers, counted from 1, its features are taken; 0 takes those after the last.
    pub discriminator_features: usize,
    /// Whether the weights of a discriminator are divided by their largest singular value (spectral normalisation).
    pub discriminator_spectral: bool,
    /// The non-linearity after each hidden layer.
    pub activation: Activation,
    /// What stands between each hidden layer of `hidden`, `decoder` and `above` and its non-linearity.
    pub norm: Norm,
    /// The distribution of the data given the latent.
    pub likelihood: Likelihood,
    /// The standard deviation of `gaussian`, and the one that `gaussian-shared` and shared scales of a mixture start with;
    /// other likelihoods ignore it.
    pub sigma: f32,
    /// Whether the means of counts are shares of the total of their example; of other likelihoods nothing but `none`.
    pub library_size: LibrarySize,
    /// What recurrent layers consist of, whose widths are `hidden` and `decoder`, or `transformer` for attention in their place: of the
    /// likelihood `tokens`.
    pub cell: Cell,
    /// Heads of attention, which share the numbers of an embedding: of the cell `transformer`.
    pub heads: usize,
    /// Whether the encoder also reads each sequence from its end, likewise.
    pub bidirectional: bool,
    /// The numbers that stand for a token before the first of these layers, likewise.
    pub embedding: usize,
    /// The share of the tokens before the next one that the decoder is not shown in training, likewise.
    pub word_dropout: f32,
    /// K, the components of a `logistic-mixture`; other likelihoods ignore it.
    pub components: usize,
    /// Where the scales of a `logistic-mixture` come from; other likelihoods ignore it.
    pub scales: Scales,
    /// Whether the encoder is shown each example divided by its length (the root of the sum of squares), as one is shown what users
    /// chose: how many items that was then changes nothing.
    pub normalise_input: bool,
    /// How initial parameters are drawn.
    pub init: Init,
    /// Whether the last layer's bias starts at the training mean (logits for Bernoulli, logarithms for counts; the
    /// components of a mixture with scales of their own are spread over all levels).
    pub output_bias_from_data: bool,
    /// Log-variances of the posterior are clamped to this range before exp; the gradient outside is zero.
    pub log_variance: [f32; 2],
    /// Those of the data given the latent likewise. Where only `log_variance` is set, its range is also that of these.
    pub decoder_log_variance: [f32; 2],
}

/// What the means of counts are shares of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LibrarySize {
    /// Nothing: the decoder gives the means.
    None,
    /// The total of the example's counts.
    Observed,
}

/// What encoder and decoder are told beside what they read (Kingma et al. 2014; Sohn, Lee and Yan 2015). The class joins
/// what the first dense layer of each reads, as a one among zeros; the prior stays N(0, 1) for all classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// Nothing.
    None,
    /// The class of the example, by the labels of the data.
    Label,
    /// The class of the example, which is a latent where no label says it (M2): a classifier infers it.
    Inferred,
}

/// Priors; `crate::model::prior` says what each is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prior {
    /// N(0, 1).
    Standard,
    /// A normal distribution whose mean and variance are learned for each dimension.
    Gaussian,
    /// A Laplace distribution whose location and scale are learned for each dimension.
    Laplace,
    /// A mixture of normal distributions like those of `gaussian`.
    Mixture,
    /// The mixture of the posteriors of learned pseudo-inputs.
    Vamp,
    /// N(0, 1) seen through invertible layers.
    Flow,
    /// N(0, 1) times exp(−E), E a network that is learned.
    Energy,
}

impl Config {
    /// What epochs are compared by, in a word.
    pub fn score(&self) -> &'static str {
        match self.train.monitor {
            Monitor::Elbo => self.objective.bound.score(),
            Monitor::Objective => "loss",
            Monitor::Distortion => "distortion",
            Monitor::Rate => "rate",
        }
    }
}

/// How likely classes are before any example is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassPrior {
    /// All alike.
    Uniform,
    /// As often as the labelled examples have them, each class counted once more, so that none is impossible.
    Labelled,
}

impl Condition {
    /// The word for it in a configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Label => "label",
            Self::Inferred => "inferred",
        }
    }
}

impl Prior {
    /// The word for it in a configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Gaussian => "gaussian",
            Self::Laplace => "laplace",
            Self::Mixture => "mixture",
            Self::Vamp => "vamp",
            Self::Flow => "flow",
            Self::Energy => "energy",
        }
    }
}

/// What the codes of a codebook follow; `crate::model::codebook` says how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Codebook {
    /// Exponential moving averages of the encoder's outputs that they were the nearest to.
    Ema,
    /// The gradient of their squared distance from them.
    Gradient,
}

/// What components of a mixture weigh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MixtureWeights {
    /// The same for each.
    Uniform,
    /// What is learned.
    Learned,
}

/// Posteriors; `crate::model::posterior` says what each is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Posterior {
    /// A normal distribution, each dimension by itself.
    Gaussian,
    /// A normal distribution whose dimensions are correlated.
    Full,
    /// A normal distribution that planar flows bend.
    Planar,
    /// A normal distribution that inverse autoregressive flows bend.
    Iaf,
}

impl Posterior {
    /// The word for it in a configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::Gaussian => "gaussian",
            Self::Full => "full",
            Self::Planar => "planar",
            Self::Iaf => "iaf",
        }
    }
}

impl ModelConfig {
    /// Whether hidden layers are given by their widths, at least on one side.
    pub fn has_widths(&self) -> bool {
        match self.hierarchy {
            Hierarchy::Residual => false,
            Hierarchy::Ladder | Hierarchy::Stacked => {
                !self.above.is_empty() || self.encoder_layers.is_empty() || self.decoder_layers.is_empty()
            }
        }
    }

    /// N and K, where latents are N variables of K categories, some or all.
    pub fn variables(&self) -> Option<[usize; 2]> {
        self.categories.as_slice().try_into().ok()
    }

    /// N·K, the places of a latent that are those of categories.
    pub fn places_of_categories(&self) -> usize {
        self.variables().map_or(0, |[variables, categories]| variables.saturating_mul(categories))
    }

    /// Ways in which the encoder of sequences reads: from the beginning, and from the end.
    pub fn directions(&self) -> usize {
        1 + usize::from(self.bidirectional)
    }

    /// The values that a model takes, as data are told them.
    pub fn takes(&self) -> Takes {
        if self.prior_codes > 0 { Takes::CODES } else { self.likelihood.takes() }
    }

    /// The stochastic layers above the lowest.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::error::Error::Usage) where one of them is none.
    pub fn levels(&self) -> crate::error::Result<Vec<Above>> {
        let level = |(at, text): (usize, &String)| {
            let wrong = |why| crate::error::Error::Usage(format!("model.above[{at}] `{text}` {why}"));
            Above::parse(text).map_err(wrong)
        };
        self.above.iter().enumerate().map(level).collect()
    }

    /// Where groups of latents are images, from the data up.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::error::Error::Usage) where one of them is none.
    pub fn resolved(&self) -> crate::error::Result<Vec<Resolution>> {
        let resolution = |(at, text): (usize, &String)| {
            let wrong = |why| crate::error::Error::Usage(format!("model.resolutions[{at}] `{text}` {why}"));
            Resolution::parse(text).map_err(wrong)
        };
        self.resolutions.iter().enumerate().map(resolution).collect()
    }

    /// Whether it has several stochastic layers, and the key that says so.
    pub fn is_deep(&self) -> Option<&'static str> {
        match (self.hierarchy, self.above.is_empty()) {
            (Hierarchy::Residual, _) => Some("model.resolutions"),
            (_, false) => Some("model.above"),
            (_, true) => None,
        }
    }
}

/// What a recurrent layer consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cell {
    /// Gated units (Cho et al. 2014) by the equations of `torch.nn.GRU`.
    Gru,
    /// Long short-term memory (Hochreiter and Schmidhuber 1997) by the equations of `torch.nn.LSTM`.
    Lstm,
    /// Nothing that recurs: blocks of attention and of two maps, which see a line at once (Vaswani et al. 2017).
    Transformer,
}

impl Cell {
    /// The word in settings.
    pub fn word(self) -> &'static str {
        match self {
            Self::Gru => "gru",
            Self::Lstm => "lstm",
            Self::Transformer => "transformer",
        }
    }

    /// Gates of a unit: reset, update and new; or input, forget, cell and output. What does not recur has none.
    pub fn gates(self) -> usize {
        match self {
            Self::Gru => 3,
            Self::Lstm => 4,
            Self::Transformer => 0,
        }
    }

    /// Numbers that a unit remembers from step to step: its own, and what is in its cell.
    pub fn states(self) -> usize {
        match self {
            Self::Gru | Self::Transformer => 1,
            Self::Lstm => 2,
        }
    }
}

/// Where the scales of a mixture of logistics come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scales {
    /// The decoder puts out those of each pixel.
    Each,
    /// One is learned for each component and channel, for all pixels of all examples.
    Shared,
}

/// Non-linearities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// x
    Identity,
    /// max(x, 0)
    Relu,
    /// tanh x
    Tanh,
    /// 1/(1 + exp(−x))
    Sigmoid,
    /// x·sigmoid(x)
    Silu,
    /// x·Φ(x), with the tanh form
    Gelu,
    /// x·Φ(x) itself, by the error function
    GeluErf,
    /// log(1 + exp x)
    Softplus,
}

/// Normalisation of hidden layers that are given by their widths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Norm {
    /// None.
    None,
    /// Layer normalisation (Ba, Kiros and Hinton 2016), with a scale and a shift for each unit.
    Layer,
    /// Batch normalisation (Ioffe and Szegedy 2015), likewise.
    Batch,
}

impl Norm {
    /// The word for it in a configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Layer => "layer",
            Self::Batch => "batch",
        }
    }
}

/// How initial parameters are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Init {
    /// Weights and biases uniform in ±1/√(inputs), as `torch.nn.Linear`.
    Pytorch,
    /// Weights uniform in ±√(6/(inputs + outputs)), biases zero (Glorot and Bengio 2010).
    Glorot,
}

/// The update rule. Fields that a rule does not have are ignored by it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimizerConfig {
    /// Which rule.
    pub kind: OptimizerKind,
    /// Learning rate.
    pub lr: f32,
    /// Decay of the first moment (adam, adamw).
    pub beta1: f32,
    /// Decay of the second moment (adam, adamw).
    pub beta2: f32,
    /// Added to the root of the second moment (adam, adamw, rmsprop).
    pub eps: f32,
    /// Decay of the mean square (rmsprop).
    pub alpha: f32,
    /// Momentum (sgd, rmsprop).
    pub momentum: f32,
    /// L2 term added to the gradient; for adamw taken off the parameter directly.
    pub weight_decay: f32,
    /// The gradient's global norm is scaled down to this; 0 switches clipping off.
    pub clip_norm: f32,
    /// An update whose gradient has this norm or more, or is no number, is left out; 0 leaves none out for its norm.
    pub skip_norm: f32,
    /// Whether the gradient is the mean or the sum over the batch's examples. The loss is reported as a mean.
    pub gradient: Reduction,
    /// What the second moment starts at (adam, adamw, rmsprop).
    pub initial_second_moment: f32,
    /// Whether eps is added before the correction of the second moment, not after it (adam, adamw): the epsilon-hat of
    /// Kingma and Ba 2015, end of section 2, as programs for `TensorFlow` and Theano have it.
    pub eps_hat: bool,
    /// Decay of the moving average of the parameters, which is what is then evaluated, sampled and saved; 0 for none.
    pub ema: f32,
    /// Learning rate of the discriminator, if there is one; it follows the schedule, too.
    pub discriminator_lr: f32,
    /// Decay of the discriminator's first moment (adam, adamw).
    pub discriminator_beta1: f32,
    /// Decay of the discriminator's second moment (adam, adamw).
    pub discriminator_beta2: f32,
    /// Steps from one update of the discriminator to the next.
    pub discriminator_every: usize,
}

/// Update rules, each as `PyTorch` defines it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerKind {
    /// Kingma and Ba 2015.
    Adam,
    /// Loshchilov and Hutter 2019.
    Adamw,
    /// Tieleman and Hinton 2012.
    Rmsprop,
    /// Stochastic gradient descent with momentum.
    Sgd,
}

/// How long, in which portions, from which seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Passes over the training part.
    pub epochs: usize,
    /// B, examples per update.
    pub batch: usize,
    /// M2: of the examples of a batch so many that have a label, each of them in turn; 0 leaves labels to chance.
    pub labelled: usize,
    /// In how many parts a batch is computed, so that it takes less memory; the update is that of the whole batch.
    pub accumulate: usize,
    /// Whether what lies within residual blocks is computed again on the way back, in place of being kept: less memory for more time.
    pub checkpointing: bool,
    /// Whether examples come in another order in every epoch; otherwise always as they are stored.
    pub shuffle: bool,
    /// The key of every random number of the run.
    pub seed: u64,
    /// Steps between checkpoints within an epoch; 0 saves at the end of each epoch only.
    pub checkpoint_steps: usize,
    /// Seconds of training that a power cut may cost: of the checkpoints within so long, each of which a process that is
    /// killed goes on from, one is flushed to the disk. 0 flushes every one.
    pub sync_seconds: usize,
    /// Seconds between pictures and tables of samples, once there are some of fifty epochs; the last epoch has its own.
    /// 0 draws after every epoch.
    pub sample_seconds: usize,
    /// What epochs are compared by: the best checkpoint, `patience` and `schedule.curve = plateau` follow it.
    pub monitor: Monitor,
    /// Epochs without a better score after which the run stops, and its best checkpoint is the result; 0 for never.
    pub patience: usize,
    /// What is done when a loss is not finite.
    pub not_finite: NotFinite,
}

impl Default for Config {
    /// The recipe `classic` on 12,000 glyphs: what `elbo train` does when nothing is asked for.
    fn default() -> Self {
        Self {
            name: "classic".into(),
            data: DataConfig::default(),
            model: ModelConfig {
                hidden: vec![400],
                decoder: vec![],
                encoder_layers: Layers::default(),
                decoder_layers: Layers::default(),
                latent: 20,
                categories: vec![],
                codes: 0,
                codebook: Codebook::Ema,
                codebook_decay: 0.99,
                codebook_restart: 0.1,
                above: vec![],
                hierarchy: Hierarchy::Stacked,
                resolutions: vec![],
                encoder_cell: Layers::default(),
                decoder_cell: Layers::default(),
                condition: Condition::None,
                classifier: vec![500],
                class_prior: ClassPrior::Uniform,
                prior: Prior::Standard,
                prior_components: 10,
                prior_weights: MixtureWeights::Uniform,
                prior_layers: 4,
                prior_width: 100,
                prior_steps: 20,
                prior_step: 0.4,
                prior_codes: 0,
                posterior: Posterior::Gaussian,
                posterior_layers: 2,
                posterior_width: 100,
                discriminator: vec![],
                discriminator_layers: Layers::default(),
                discriminator_features: 0,
                discriminator_spectral: false,
                activation: Activation::Relu,
                norm: Norm::None,
                likelihood: Likelihood::Bernoulli,
                sigma: 1.0,
                library_size: LibrarySize::None,
                cell: Cell::Gru,
                heads: 4,
                bidirectional: false,
                embedding: 64,
                word_dropout: 0.0,
                components: 5,
                scales: Scales::Each,
                normalise_input: false,
                init: Init::Pytorch,
                output_bias_from_data: false,
                log_variance: [-20.0, 20.0],
                decoder_log_variance: [-20.0, 20.0],
            },
            objective: ObjectiveConfig::elbo(1.0),
            optimizer: OptimizerConfig {
                kind: OptimizerKind::Adam,
                lr: 1e-3,
                beta1: 0.9,
                beta2: 0.999,
                eps: 1e-8,
                alpha: 0.99,
                momentum: 0.0,
                weight_decay: 0.0,
                clip_norm: 0.0,
                skip_norm: 0.0,
                gradient: Reduction::Mean,
                initial_second_moment: 0.0,
                eps_hat: false,
                ema: 0.0,
                discriminator_lr: 1e-4,
                discriminator_beta1: 0.5,
                discriminator_beta2: 0.9,
                discriminator_every: 1,
            },
            schedule: ScheduleConfig::default(),
            train: TrainConfig {
                epochs: 10,
                batch: 128,
                labelled: 0,
                accumulate: 1,
                checkpointing: false,
                shuffle: true,
                seed: 0,
                checkpoint_steps: 0,
                sync_seconds: 10,
                sample_seconds: 60,
                monitor: Monitor::Elbo,
                patience: 0,
                not_finite: NotFinite::Rollback,
            },
        }
    }
}
