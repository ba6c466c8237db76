//! The plans that the tests look at.

use elbo::config::{Activation, Binarise, Config, Layers, Likelihood, OptimizerKind, resolve};
use elbo::error::Result;
use elbo::graph::Graph;
use elbo::graph::op::Source;
use elbo::model::{Model, Phase};
use elbo::plan::{Plan, Resident, Target, UpdateStep, lower, unshared};

/// A configuration, and the model that it makes of data that is described rather than read.
pub struct Setup {
    pub name: &'static str,
    pub config: Config,
    pub model: Model,
}

fn layers(words: &[&str]) -> Layers {
    Layers::words(words).expect("they are layers")
}

fn setup(name: &'static str, config: Config, width: usize, source: Source) -> Setup {
    let model = Model {
        config: config.model.clone(),
        width,
        shape: [1, 1, width],
        source,
        binarise: config.data.binarise,
        columns: None,
        missing: false,
        classes: 0,
    };
    Setup { name, config, model }
}

/// The default recipe on 28×28 images.
pub fn classic() -> Setup {
    setup("classic", resolve(Some("classic"), &[]).expect("the recipe is valid"), 784, Source::Bytes)
}

/// Everything that the classic recipe does not have: three layers on each side, a non-linearity whose derivative needs
/// its input, a learned variance, floats as data, a limited gradient.
pub fn deep() -> Setup {
    let mut config = Config::default();
    config.model.hidden = vec![64, 48, 32];
    config.model.latent = 8;
    config.model.activation = Activation::Silu;
    config.model.likelihood = Likelihood::GaussianLearned;
    config.optimizer.clip_norm = 10.0;
    setup("deep", config, 100, Source::Floats)
}

/// Few numbers, and one latent dimension: products with one column.
pub fn small() -> Setup {
    let mut config = Config::default();
    config.data.binarise = Binarise::Dynamic;
    config.model.hidden = vec![6, 5];
    config.model.latent = 1;
    config.optimizer.clip_norm = 0.5;
    setup("small", config, 10, Source::Bytes)
}

/// Convolutions both ways, between images and numbers.
pub fn images() -> Setup {
    let mut config = Config::default();
    config.data.binarise = Binarise::Dynamic;
    config.model.hidden = vec![];
    config.model.encoder_layers = layers(&["conv 5 kernel 3 stride 2 padding 1", "relu", "dense 7"]);
    config.model.decoder_layers = layers(&[
        "dense data/2x4",
        "silu",
        "conv 6 kernel 3 padding 1",
        "tanh",
        "conv-transpose out kernel 4 stride 2 padding 1",
    ]);
    config.model.latent = 2;
    let mut setup = setup("images", config, 3 * 6 * 8, Source::Bytes);
    setup.model.shape = [3, 6, 8];
    setup
}

/// The recipe of convolutions on 28×28 images.
pub fn pictures() -> Setup {
    let config = resolve(Some("conv"), &[]).expect("the recipe is valid");
    let mut setup = setup("pictures", config, 784, Source::Bytes);
    setup.model.shape = [1, 28, 28];
    setup
}

/// All that may surround convolutions: blocks, normalisation of images and of numbers, pixels put together and repeated, and
/// numbers left out in training.
pub fn blocks() -> Setup {
    let mut config = Config::default();
    config.model.hidden = vec![];
    config.model.encoder_layers = layers(&[
        "conv 4 kernel 3 padding 1",
        "residual conv 6 kernel 1 stride 2 {",
        "group-norm 2",
        "silu",
        "dropout 0.2",
        "avg-pool 2",
        "conv 6 kernel 3 padding 1",
        "}",
        "dense 7",
        "layer-norm",
    ]);
    config.model.decoder_layers = layers(&[
        "dense data/2x3",
        "residual {",
        "layer-norm",
        "relu",
        "dropout 0.4",
        "}",
        "upsample 2",
        "conv out kernel 1",
    ]);
    config.model.latent = 2;
    let mut setup = setup("blocks", config, 3 * 6 * 8, Source::Bytes);
    setup.model.shape = [3, 6, 8];
    setup
}

/// Batch normalisation of numbers and of images, in blocks and beside them.
pub fn batches() -> Setup {
    let mut config = Config::default();
    config.model.hidden = vec![];
    config.model.encoder_layers = layers(&[
        "conv 4 kernel 3 padding 1 stride 2",
        "residual {",
        "batch-norm",
        "silu",
        "conv 4 kernel 3 padding 1",
        "batch-norm",
        "}",
        "dense 7",
        "batch-norm",
        "tanh",
    ]);
    config.model.decoder_layers = layers(&["dense data/2x3", "batch-norm", "silu", "upsample 2", "conv out kernel 1"]);
    config.model.latent = 2;
    // Gradients that are 0 but for rounding, as of a bias before a batch is normalised, make whole steps of Adam.
    (config.optimizer.kind, config.optimizer.lr) = (OptimizerKind::Sgd, 1e-2);
    let mut setup = setup("batches", config, 3 * 6 * 8, Source::Bytes);
    setup.model.shape = [3, 6, 8];
    setup
}

/// Groups of latents on images, with cells of all kinds of layers on both ways.
pub fn hierarchy() -> Setup {
    let pairs = [
        ("hierarchy", "residual"),
        ("resolutions", "[data/2 groups 2 latent 2 cells 2, data/4 groups 2 latent 3]"),
        ("hidden", "[]"),
        ("encoder_layers", "[conv 6 kernel 4 stride 2 padding 1]"),
        ("decoder_layers", "[silu, conv-transpose out kernel 4 stride 2 padding 1]"),
        (
            "encoder_cell",
            "[silu, conv 3 kernel 1, relu, conv 3 kernel 3 padding 1, silu, conv 6 kernel 1, squeeze-excite 2]",
        ),
        (
            "decoder_cell",
            "[group-norm 2, silu, conv 8 kernel 1, dropout 0.2, silu, depthwise 3 padding 1, silu, conv 6 kernel 1]",
        ),
    ];
    let all: Vec<_> = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let mut setup = setup("hierarchy", resolve(None, &all).expect("it is valid"), 3 * 8 * 12, Source::Bytes);
    setup.model.shape = [3, 8, 12];
    setup
}

/// Sums longer, and layers narrower, than the sizes at which a library of products changes its ways.
pub fn long() -> Setup {
    let mut config = Config::default();
    config.model.hidden = vec![48];
    config.model.latent = 8;
    setup("long", config, 600, Source::Floats)
}

pub const TARGETS: [Target; 4] = [Target::Cpu, Target::Gpu, Target::Software, Target::Simd8];

/// What stays on the device when `examples` examples are resident.
pub fn resident(setup: &Setup, examples: usize, metric_slots: usize) -> Resident {
    let values = examples * setup.model.width;
    let data_words = if setup.model.source == Source::Bytes { values.div_ceil(4) } else { values };
    Resident { data_words, window: 0, order_words: examples, metric_slots }
}

/// A graph of a model.
pub type Make = fn(&Model, usize) -> Result<Graph>;

/// What a model can be asked for; the first is trained.
pub const PURPOSES: [(&str, Make); 7] = [
    ("train", Model::train),
    ("evaluate", Model::evaluate),
    ("importance", |model, batch| model.importance(batch, 4)),
    ("reconstruct", Model::reconstruct),
    ("sample", Model::sample),
    ("encode", Model::encode),
    ("decode", Model::decode),
];

/// The plan for a purpose.
pub fn plan(setup: &Setup, purpose: &str, batch: usize, resident: Resident, target: Target) -> Plan {
    make(lower, setup, purpose, batch, resident, target)
}

/// The same without sharing of buffers.
pub fn plan_unshared(setup: &Setup, purpose: &str, batch: usize, resident: Resident, target: Target) -> Plan {
    make(unshared, setup, purpose, batch, resident, target)
}

/// How a step of training ends.
pub fn ending(setup: &Setup) -> UpdateStep<'_> {
    UpdateStep { trains: Phase::whole(&setup.config).trains, ..UpdateStep::plain(&setup.config.optimizer) }
}

type Lower = fn(&str, Graph, Option<UpdateStep>, Resident, Target) -> Result<Plan>;

fn make(lower: Lower, setup: &Setup, purpose: &str, batch: usize, resident: Resident, target: Target) -> Plan {
    let (name, graph) = PURPOSES.iter().find(|(name, _)| *name == purpose).expect("a purpose of the table");
    let graph = graph(&setup.model, batch).expect("the model's shapes meet");
    let optimizer = (*name == "train").then_some(ending(setup));
    let plan = lower(name, graph, optimizer, resident, target);
    plan.unwrap_or_else(|error| panic!("{}, {name} for {target:?}: {error}", setup.name))
}
