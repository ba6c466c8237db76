//! Gradients against central differences: of every operation, and of whole models.

mod cases;
mod differences;
mod general;

use crate::support::{adapters, executors};
use cases::{BATCH, CLAMP, Case, ROWS, cases, columns, draw, term_cases};
use differences::{RESIDENT, STEP, assert_close, check_as_terms, check_with_cotangents, slope, step};
use elbo::config::{
    Activation, Binarise, Bound, Condition, Config, Domain, Hierarchy, Layers, Likelihood, Norm, Prior, Scales,
};
use elbo::exec::cpu::Cpu;
use elbo::exec::{Executor, PlanId};
use elbo::graph::columns::{Column, Columns, Distribution};
use elbo::graph::grad::gradients_from;
use elbo::graph::mixture::Mixture;
use elbo::graph::op::{Source, Variance};
use elbo::graph::{Graph, Group, Id, Op};
use elbo::kernels::StepScalars;
use elbo::model::library::LIBRARY;
use elbo::model::network::batch_norm::RUNNING;
use elbo::model::{CLASS, Model, init};
use elbo::plan::{ParameterSlot, Resident, Role, UpdateStep, lower};
use elbo::shape::Shape;
use std::collections::BTreeSet;
use std::sync::Arc;

/// All operations on one executor.
fn rules_agree(executor: &mut Executor) {
    for case in cases().into_iter().chain(general::cases()) {
        check_with_cotangents(executor, case);
    }
    for rows in [BATCH, BATCH - 1] {
        for case in term_cases().into_iter().chain(general::cases().into_iter().filter(cases::per_row)) {
            check_as_terms(executor, case, rows);
        }
    }
}

/// The gradient of a training step in every parameter, with the last example not counted or counted.
fn models_agree(new: &dyn Fn() -> Executor) {
    use Likelihood::{
        Bernoulli, Categorical, Gaussian, GaussianLearned, GaussianShared, Laplace, LogisticMixture, Multinomial,
        NegativeBinomial, Poisson, ZeroInflatedNegativeBinomial,
    };
    for likelihood in [
        Bernoulli,
        Gaussian,
        Laplace,
        GaussianLearned,
        GaussianShared,
        LogisticMixture,
        Poisson,
        NegativeBinomial,
        ZeroInflatedNegativeBinomial,
        Multinomial,
        Categorical,
    ] {
        for (rows, shape, classes, above) in [
            (BATCH, [1, 1, 8], 0, &[][..]),
            (BATCH - 1, [1, 1, 8], 3, &[]),
            (BATCH - 1, [1, 1, 8], 0, &["4-2", "2"]),
            (BATCH - 1, [3, 4, 2], 0, &[]),
            (BATCH, [3, 4, 2], 2, &[]),
            (BATCH - 1, [2, 4, 4], 0, &[]),
        ] {
            // Categories are no pictures.
            if likelihood != Categorical || shape[1] == 1 {
                model_agrees(&mut new(), likelihood, rows, shape, (classes, above));
            }
        }
    }
}

/// Values of four categories each in a row of so many places.
fn categories(width: usize) -> Columns {
    let column = Column { distribution: Distribution::Categorical, places: 4 };
    Columns { all: vec![column; width / 4], clamp: CLAMP, fixed_log_variance: 0.0 }
}

/// Networks of convolutions, with all that may surround them, and with blocks within blocks.
const NETWORKS: [[&[&str]; 2]; 3] = [
    [
        &["conv 3 kernel 2 stride 2", "tanh", "conv 2 kernel 3 padding 1", "silu"],
        &["dense data/2x2", "tanh", "conv-transpose out kernel 2 stride 2"],
    ],
    [
        &[
            "residual conv 4 kernel 1 {",
            "layer-norm",
            "silu",
            "conv 4 kernel 3 padding 1",
            "batch-norm",
            "}",
            "avg-pool 2",
            "group-norm 2",
        ],
        &["dense data/2x2", "batch-norm", "layer-norm", "upsample 2", "residual {", "group-norm 2", "tanh", "}"],
    ],
    [
        &[
            "conv 2 kernel 1",
            "residual conv 3 kernel 1 {",
            "tanh",
            "residual {",
            "conv 2 kernel 3 padding 1",
            "tanh",
            "residual conv 2 kernel 1 {",
            "silu",
            "}",
            "}",
            "conv 3 kernel 1",
            "}",
            "avg-pool 2",
        ],
        &[
            "dense data/2x2",
            "residual {",
            "tanh",
            "residual conv 2 kernel 1 {",
            "conv 2 kernel 1",
            "tanh",
            "}",
            "}",
            "upsample 2",
            "conv out kernel 1",
        ],
    ],
];

/// Images go through convolutions, data in a row through dense layers.
fn model_agrees(
    executor: &mut Executor,
    likelihood: Likelihood,
    rows: usize,
    shape: [usize; 3],
    (classes, above): (usize, &[&str]),
) {
    let mut config = Config::default();
    if shape[1] == 1 {
        config.model.hidden = vec![6, 5];
    } else {
        let list = |layers: &[&str]| Layers::words(layers).expect("they are layers");
        config.model.hidden = vec![];
        let network = match shape {
            [1, 4, 4] => 2,
            [_, _, wide] => usize::from(wide == 4),
        };
        let [encoder, decoder] = NETWORKS[network];
        (config.model.encoder_layers, config.model.decoder_layers) = (list(encoder), list(decoder));
    }
    config.model.latent = 3;
    config.model.above = above.iter().map(|&layer| layer.to_owned()).collect();
    config.model.activation = Activation::Tanh;
    config.model.likelihood = likelihood;
    config.model.sigma = 0.8;
    if classes == 3 {
        config.model.normalise_input = likelihood == Likelihood::Multinomial;
        config.model.prior = Prior::Gaussian;
    }
    if classes == 2 {
        config.model.scales = Scales::Shared;
    }
    let what = format!("{likelihood:?}, {rows} of {BATCH} examples of {shape:?}, {classes} classes, {above:?}");
    // A norm is the more curved, the closer the numbers of a group, or of two examples, lie together.
    let apart = if shape == [2, 4, 4] { STEP / 32.0 } else { STEP };
    training_agrees(executor, &config, (rows, shape, classes), (0.0, apart), &what);
}

/// The training step of a model on examples of this shape, started `off` from its initial values by normal deviates.
fn training_agrees(
    executor: &mut Executor,
    config: &Config,
    (rows, shape, classes): (usize, [usize; 3], usize),
    (off, apart): (f32, f64),
    what: &str,
) {
    let (width, likelihood) = (shape.iter().product(), config.model.likelihood);
    let model = Model {
        config: config.model.clone(),
        width,
        shape,
        source: Source::Floats,
        binarise: Binarise::None,
        columns: (likelihood == Likelihood::Categorical).then(|| Arc::new(categories(width))),
        missing: false,
        classes,
    };
    let graph = model.train_on_inputs(BATCH).expect("the model's shapes meet");
    let trains = Group::Except(&[LIBRARY, RUNNING]);
    let ending = UpdateStep { trains, ..UpdateStep::plain(&config.optimizer) };
    let plan = lower("model", graph, Some(ending), RESIDENT, executor.target()).expect("the plan is legal");
    let id = executor.load(plan).expect("the plan fits");
    let as_data = |v: f32| match likelihood {
        Likelihood::LogisticMixture => (128.0 + 80.0 * v).round() / 255.0,
        _ if likelihood.domain() == Domain::Counts => (3.0 * v.abs()).round(),
        // On either side of the kink, and not near it.
        Likelihood::Laplace => 1.5 * v.signum() + 0.25 * v,
        _ => 0.5 + 0.25 * v,
    };
    let mut x: Vec<f32> = draw(0, BATCH * width).into_iter().map(as_data).collect();
    if let Some(columns) = &model.columns {
        for (row, x) in x.chunks_exact_mut(width).enumerate() {
            x.fill(0.0);
            columns.spans().into_iter().for_each(|(_, span, _)| x[span.start + row % span.len()] = 1.0);
        }
    }
    executor.write_f32(&Role::Input("x".into()), 0, &x).expect("x fits");
    let lowest = model.latents()[0];
    executor.write_f32(&Role::Input("eps".into()), 0, &draw(1, BATCH * lowest)).expect("eps fits");
    for (layer, latent) in (1..).zip(model.latents()).skip(1) {
        let name = Role::Input(format!("eps {layer}"));
        executor.write_f32(&name, 0, &draw(layer, BATCH * latent)).expect("eps fits");
    }
    if classes > 0 {
        executor.write_f32(&Role::Input(CLASS.into()), 0, &[1.0, 0.0, 1.0]).expect("the classes fit");
    }
    let of_data = init::OfData { examples: &x, ..init::OfData::default() };
    let mut start = init::initial(&model, 3, of_data);
    for (which, values) in (5..).zip(&mut start) {
        let count = values.len();
        values.iter_mut().zip(draw(which, count)).for_each(|(value, by)| *value += off * by);
    }
    parameters_agree(executor, id, (&start, trains), (&step(rows), &[Some(0), Some(1)]), apart, what);
}

/// Counts whose means are shares of the total of their example.
fn library_agrees(executor: &mut Executor, likelihood: Likelihood, rows: usize, classes: usize) {
    let mut config = Config::default();
    let model = &mut config.model;
    (model.hidden, model.latent, model.activation) = (vec![6, 5], 3, Activation::Tanh);
    (model.likelihood, model.library_size) = (likelihood, elbo::config::LibrarySize::Observed);
    let what = format!("{likelihood:?} of a library, {classes} classes");
    training_agrees(executor, &config, (rows, [1, 1, 8], classes), (0.2, STEP), &what);
}

#[test]
fn the_gradient_of_shares_of_a_library_agrees_with_central_differences() {
    use Likelihood::{NegativeBinomial, Poisson, ZeroInflatedNegativeBinomial};
    library_agrees(&mut cpu(), Poisson, BATCH, 0);
    library_agrees(&mut cpu(), NegativeBinomial, BATCH - 1, 3);
    library_agrees(&mut cpu(), ZeroInflatedNegativeBinomial, BATCH - 1, 0);
    for mut executor in adapters(true) {
        library_agrees(&mut executor, ZeroInflatedNegativeBinomial, BATCH - 1, 0);
    }
}

/// Pixels that look at each other, with one head and several, alone and in blocks; away from where they start, or norms would scale
/// nothing.
fn attention_agrees(executor: &mut Executor) {
    let list = |layers: &[&str]| Layers::words(layers).expect("they are layers");
    let mut config = Config::default();
    let model = &mut config.model;
    (model.hidden, model.latent) = (vec![], 3);
    (model.likelihood, model.sigma) = (Likelihood::Gaussian, 0.8);
    model.encoder_layers =
        list(&["conv 4 kernel 2 stride 2", "positions", "transformer 2 width 3", "residual {", "attention 1", "}"]);
    model.decoder_layers =
        list(&["dense data/2x4", "positions", "pixel-norm", "attention 4", "conv-transpose out kernel 2 stride 2"]);
    training_agrees(executor, &config, (BATCH - 1, [1, 4, 6], 0), (0.2, STEP / 4.0), "attention");
}

#[test]
fn the_gradient_of_attention_agrees_with_central_differences() {
    attention_agrees(&mut cpu());
    for mut executor in adapters(true) {
        attention_agrees(&mut executor);
    }
}

/// Groups of latents at two resolutions, away from where they start: there priors are N(0, 1).
#[test]
fn the_gradient_of_a_residual_hierarchy_agrees_with_central_differences() {
    let list = |layers: &[&str]| Layers::words(layers).expect("they are layers");
    let mut config = Config::default();
    let model = &mut config.model;
    (model.hidden, model.hierarchy) = (vec![], Hierarchy::Residual);
    model.resolutions = ["data/2 groups 2 latent 1 cells 2", "1x1 latent 3"].map(str::to_owned).to_vec();
    // Four pixels of one dimension each in the lowest group.
    (model.latent, model.likelihood, model.sigma) = (4, Likelihood::Gaussian, 0.8);
    model.encoder_layers = list(&["conv 3 kernel 2 stride 2"]);
    model.decoder_layers = list(&["tanh", "conv-transpose out kernel 2 stride 2"]);
    model.encoder_cell = list(&["silu", "conv 3 kernel 3 padding 1"]);
    model.decoder_cell = list(&["tanh", "conv 2 kernel 3 padding 1", "silu", "conv 3 kernel 1"]);
    for rows in [BATCH, BATCH - 1] {
        training_agrees(&mut cpu(), &config, (rows, [1, 4, 4], 0), (0.3, STEP / 4.0), "a residual hierarchy");
    }
}

/// Each prior and each posterior, away from where they start: there some are N(0, 1) whatever their first layers are.
fn parts_agree(new: &dyn Fn() -> Executor) {
    use elbo::config::{MixtureWeights, Posterior};
    for (prior, posterior, weights) in [
        (Prior::Laplace, Posterior::Gaussian, MixtureWeights::Uniform),
        (Prior::Laplace, Posterior::Full, MixtureWeights::Uniform),
        (Prior::Vamp, Posterior::Full, MixtureWeights::Learned),
        (Prior::Mixture, Posterior::Iaf, MixtureWeights::Uniform),
        (Prior::Flow, Posterior::Planar, MixtureWeights::Uniform),
        (Prior::Gaussian, Posterior::Full, MixtureWeights::Uniform),
        (Prior::Mixture, Posterior::Gaussian, MixtureWeights::Learned),
        (Prior::Vamp, Posterior::Gaussian, MixtureWeights::Uniform),
        (Prior::Flow, Posterior::Gaussian, MixtureWeights::Uniform),
        (Prior::Standard, Posterior::Planar, MixtureWeights::Uniform),
        (Prior::Standard, Posterior::Iaf, MixtureWeights::Uniform),
        (Prior::Standard, Posterior::Full, MixtureWeights::Uniform),
    ] {
        let mut config = Config::default();
        let model = &mut config.model;
        (model.hidden, model.latent) = (vec![6, 5], 3);
        (model.activation, model.likelihood, model.sigma) = (Activation::Tanh, Likelihood::Gaussian, 0.8);
        (model.prior, model.prior_components, model.prior_weights) = (prior, 4, weights);
        (model.prior_layers, model.prior_width) = (3, 4);
        (model.posterior, model.posterior_layers, model.posterior_width) = (posterior, 3, 4);
        let what = format!("{prior:?}, {posterior:?}, {weights:?}");
        // Flows on top of each other bend the loss more than one network does.
        training_agrees(&mut new(), &config, (BATCH - 1, [1, 1, 8], 0), (0.2, STEP / 2.0), &what);
    }
}

#[test]
fn the_gradient_of_every_prior_and_posterior_agrees_with_central_differences() {
    parts_agree(&cpu);
}

/// Compares the gradients of a group of parameters of a loaded plan with differences of its loss between places `apart` from
/// each other. The loss is the sum of its terms, each by the weight of the step that it names; without one it does not count.
fn parameters_agree(
    executor: &mut Executor,
    id: PlanId,
    (start, trained): (&[Vec<f32>], Group),
    (step, weights): (&StepScalars, &[Option<usize>]),
    apart: f64,
    what: &str,
) {
    let ranges = executor.plan(id).parameters.clone();
    for (range, values) in ranges.iter().zip(start) {
        executor.write_f32(&Role::Parameters, range.offset, values).expect("the parameters fit");
    }
    let loss = |executor: &mut Executor| -> f64 {
        executor.run(id, &[*step]).expect("the plan runs");
        let metrics = executor.read_f32(&Role::Metrics, 0, weights.len()).expect("the metrics are there");
        let weight = |weight: &Option<usize>| weight.map_or(0.0, |at| f64::from(step.weights[at]));
        metrics.iter().zip(weights).map(|(&m, w)| f64::from(m) * weight(w)).sum()
    };
    let level = loss(executor);
    let trained: Vec<(ParameterSlot, &Vec<f32>)> =
        ranges.into_iter().zip(start).filter(|(range, _)| trained.contains(&range.name)).collect();
    let read = |(range, _): &(ParameterSlot, _)| executor.read_f32(&Role::Gradients, range.offset, range.count());
    let found: Vec<Vec<f32>> = trained.iter().map(read).map(|found| found.expect("it is there")).collect();
    for ((range, values), found) in trained.iter().zip(&found) {
        // The kernels of an adapter are held against their twins one by one, and each rule is tried there element by element.
        // What is left is how they are put together, which some elements of each tensor show.
        let every = if matches!(executor, Executor::Cpu(_)) { 1 } else { values.len().div_ceil(8) };
        let mut slopes = Vec::new();
        for (at, &value) in values.iter().enumerate().step_by(every) {
            slopes.push(slope(f64::from(value), apart, |v| {
                executor.write_f32(&Role::Parameters, range.offset + at, &[v]).expect("the element is there");
                loss(executor)
            }));
            executor.write_f32(&Role::Parameters, range.offset + at, &[value]).expect("the element is there");
        }
        let found: Vec<f32> = found.iter().copied().step_by(every).collect();
        assert_close(&format!("{}: {what}, {}", executor.name(), range.name), &found, &slopes, level / apart);
    }
}

/// The gradient of several stochastic layers with two samples of each example, whose noise the device draws: alike in every
/// run, since the step is.
fn bound_agrees(executor: &mut Executor, what: &str, apart: f64, change: impl Fn(&mut Config)) {
    let mut config = Config::default();
    config.model.hidden = vec![6, 5];
    config.model.latent = 3;
    config.model.above = ["4-2", "2"].map(str::to_owned).to_vec();
    config.model.activation = Activation::Tanh;
    config.model.likelihood = Likelihood::Gaussian;
    config.model.sigma = 0.8;
    config.objective.samples = 2;
    change(&mut config);
    let (width, shape) = (8, [1, 1, 8]);
    let model = Model {
        config: config.model,
        width,
        shape,
        source: Source::Floats,
        binarise: Binarise::None,
        columns: None,
        missing: false,
        classes: 0,
    };
    let graph = model.train_by(&config.objective, BATCH).expect("the model's shapes meet");
    let weights: Vec<Option<usize>> = graph.terms.iter().map(|term| term.weight).collect();
    let resident = Resident { data_words: BATCH * width, ..RESIDENT };
    let trains = Group::Except(&[RUNNING]);
    let ending = UpdateStep { trains, ..UpdateStep::plain(&config.optimizer) };
    let plan = lower("bound", graph, Some(ending), resident, executor.target()).expect("the plan is legal");
    let id = executor.load(plan).expect("the plan fits");
    let x: Vec<f32> = draw(0, BATCH * width).into_iter().map(|v| 0.5 + 0.25 * v).collect();
    executor.write_f32(&Role::Data, 0, &x).expect("the data fit");
    executor.write(&Role::Order, 0, &[0, 1, 2][..BATCH]).expect("the order fits");
    let start = init::initial(&model, 3, init::OfData::default());
    parameters_agree(executor, id, (&start, trains), (&step(BATCH), &weights), apart, what);
}

/// Both losses of a model with a discriminator, each in the parameters that follow it.
fn players_agree(new: &dyn Fn() -> Executor, rows: usize, what: &str, change: Change) {
    let mut config = Config::default();
    config.model.hidden = vec![6, 5];
    config.model.latent = 3;
    config.model.activation = Activation::Tanh;
    config.model.likelihood = Likelihood::Gaussian;
    change(&mut config);
    let (width, shape) = (8, [1, 1, 8]);
    let model = Model {
        config: config.model.clone(),
        width,
        shape,
        source: Source::Floats,
        binarise: Binarise::None,
        columns: None,
        missing: false,
        classes: 0,
    };
    let mut start = init::initial(&model, 3, init::OfData::default());
    let parameters = model.parameters();
    let kinks = config.model.discriminator_layers.is_empty();
    let players = parameters.iter().zip(&mut start).filter(|(p, _)| kinks && p.name.starts_with("discriminator"));
    for (parameter, values) in players {
        // On either side of the kink of each unit, and not near it.
        let columns = parameter.shape.columns();
        let biases = values.len() - columns;
        values[..biases].iter_mut().for_each(|weight| *weight *= 0.5);
        values[biases..].iter_mut().enumerate().for_each(|(at, bias)| *bias = if at % 2 == 0 { 2.5 } else { -2.5 });
    }
    settle_spectra(&parameters, &mut start);
    for (phase, graph) in model.phase_graphs(&config, BATCH).expect("the model's shapes meet") {
        let mut executor = new();
        let terms = graph.terms.clone();
        let resident = Resident { data_words: BATCH * width, order_words: BATCH, ..RESIDENT };
        let ending = UpdateStep { trains: phase.trains, ..UpdateStep::plain(&config.optimizer) };
        let plan = lower(phase.name, graph, Some(ending), resident, executor.target()).expect("the plan is legal");
        let id = executor.load(plan).expect("the plan fits");
        let x: Vec<f32> = draw(0, BATCH * width).into_iter().map(|v| 0.5 + 0.25 * v).collect();
        executor.write_f32(&Role::Data, 0, &x).expect("the data fit");
        executor.write(&Role::Order, 0, &[0, 1, 2][..BATCH]).expect("the order fits");
        let what = format!("{what}, {} with {rows} of {BATCH} examples", phase.name);
        // Every slot has a weight.
        let told = StepScalars { weights: [0.9, 1.1, 0.8, 1.2, 0.7, 0.3, 0.6, 0.5], ..step(rows) };
        let mut groups: Vec<Group> = terms.iter().filter(|term| term.weight.is_some()).map(|term| term.of).collect();
        groups.dedup();
        for of in groups {
            // Parameters follow the terms of their group alone.
            let weights: Vec<_> = terms.iter().map(|term| term.weight.filter(|_| term.of == of)).collect();
            let trained = if of == Group::All { phase.trains } else { of };
            parameters_agree(&mut executor, id, (&start, trained), (&told, &weights), STEP / 4.0, &what);
        }
    }
}

/// Brings the vectors of spectral normalisation to rest, where a small change of them changes no singular value.
fn settle_spectra(parameters: &[elbo::graph::Parameter], start: &mut [Vec<f32>]) {
    for at in 0..parameters.len() {
        let Some(name) = parameters[at].name.strip_prefix("spectral.") else { continue };
        let map = parameters.iter().position(|parameter| parameter.name == name).expect("the map is there");
        let (w, outputs) = (start[map].clone(), start[at].len());
        let inputs = w.len() / outputs - 1;
        for _ in 0..400 {
            let u = &start[at];
            let v: Vec<f32> = (0..inputs).map(|i| (0..outputs).map(|o| w[i * outputs + o] * u[o]).sum()).collect();
            let next: Vec<f32> = (0..outputs).map(|o| (0..inputs).map(|i| w[i * outputs + o] * v[i]).sum()).collect();
            let length = next.iter().map(|x| x * x).sum::<f32>().sqrt();
            start[at] = next.into_iter().map(|x| x / length).collect();
        }
    }
}

fn pictures(config: &mut Config, spectral: bool) {
    config.model.discriminator_layers =
        Layers::words(&["dense 5", "tanh", "dense 4", "tanh"]).expect("they are layers");
    (config.model.discriminator_features, config.model.discriminator_spectral) = (2, spectral);
    (config.objective.features, config.objective.label_smoothing) = (0.7, 0.1);
    config.objective.instance_noise = if spectral { 0.0 } else { 0.3 };
}

type Change = fn(&mut Config);

/// Games of two players, and what makes a configuration one.
const PLAYERS: [(&str, Change); 4] = [
    ("factor", |c| (c.objective.factor, c.model.discriminator) = (2.0, vec![5, 4])),
    ("adversary", |c| {
        (c.objective.adversary, c.model.discriminator) = (2.0, vec![5, 4]);
        c.objective.label_smoothing = 0.1;
    }),
    ("features", |c| pictures(c, false)),
    ("features with spectral normalisation", |c| pictures(c, true)),
];

#[test]
fn the_gradients_of_two_players_agree_with_central_differences() {
    for rows in [BATCH, BATCH - 1] {
        for (what, change) in PLAYERS {
            players_agree(&cpu, rows, what, change);
            for at in 0..adapters(true).len() {
                players_agree(&|| adapters(true).swap_remove(at), rows, what, change);
            }
        }
    }
}

/// A model that infers classes, by a batch in which some labels are known.
fn inferred_agrees(executor: &mut Executor, labels: [f32; BATCH], rows: usize) {
    let mut config = Config::default();
    (config.model.hidden, config.model.classifier) = (vec![5], vec![4]);
    (config.model.latent, config.model.activation) = (2, Activation::Tanh);
    config.model.condition = Condition::Inferred;
    let (width, shape) = (8, [1, 1, 8]);
    let model = Model {
        config: config.model.clone(),
        width,
        shape,
        source: Source::Floats,
        binarise: Binarise::None,
        columns: None,
        missing: false,
        classes: 3,
    };
    let start = init::initial(&model, 3, init::OfData::default());
    let (phase, graph) = model.phase_graphs(&config, BATCH).expect("the model's shapes meet").swap_remove(0);
    let weights: Vec<Option<usize>> = graph.terms.iter().map(|term| term.weight).collect();
    let resident = Resident { data_words: BATCH * width, order_words: BATCH, ..RESIDENT };
    let plan = lower(phase.name, graph, Some(UpdateStep::plain(&config.optimizer)), resident, executor.target());
    let id = executor.load(plan.expect("the plan is legal")).expect("the plan fits");
    let x: Vec<f32> = draw(0, BATCH * width).into_iter().map(|v| 0.5 + 0.25 * v).collect();
    executor.write_f32(&Role::Data, 0, &x).expect("the data fit");
    executor.write_f32(&Role::Labels, 0, &labels).expect("the labels fit");
    executor.write(&Role::Order, 0, &[0, 1, 2][..BATCH]).expect("the order fits");
    let what = format!("labels {labels:?} with {rows} of {BATCH} examples");
    parameters_agree(executor, id, (&start, phase.trains), (&step(rows), &weights), STEP / 4.0, &what);
}

#[test]
fn the_gradient_of_a_model_that_infers_classes_agrees_with_central_differences() {
    for (labels, rows) in [([-1.0, 2.0, 0.0], BATCH), ([1.0, -1.0, 0.0], BATCH - 1), ([-1.0; BATCH], BATCH)] {
        for mut executor in executors() {
            // Without a label nothing is asked of the classifier by itself.
            inferred_agrees(&mut executor, labels, rows);
        }
    }
}

/// A model with categories, alone and beside numbers; the temperature is among the weights.
fn relaxed_agrees(executor: &mut Executor, numbers: usize, classes: usize, rows: usize) {
    let mut config = Config::default();
    (config.model.hidden, config.model.activation) = (vec![5], Activation::Tanh);
    (config.model.categories, config.model.latent) = (vec![2, 3], 6 + numbers);
    config.model.condition = if classes > 0 { Condition::Label } else { Condition::None };
    let (width, shape) = (8, [1, 1, 8]);
    let model = Model {
        config: config.model.clone(),
        width,
        shape,
        source: Source::Floats,
        binarise: Binarise::None,
        columns: None,
        missing: false,
        classes,
    };
    let start = init::initial(&model, 3, init::OfData::default());
    let (phase, graph) = model.phase_graphs(&config, BATCH).expect("the model's shapes meet").swap_remove(0);
    let weights: Vec<Option<usize>> = graph.terms.iter().map(|term| term.weight).collect();
    let resident = Resident { data_words: BATCH * width, order_words: BATCH, ..RESIDENT };
    let plan = lower(phase.name, graph, Some(UpdateStep::plain(&config.optimizer)), resident, executor.target());
    let id = executor.load(plan.expect("the plan is legal")).expect("the plan fits");
    let x: Vec<f32> = draw(0, BATCH * width).into_iter().map(|v| 0.5 + 0.25 * v).collect();
    executor.write_f32(&Role::Data, 0, &x).expect("the data fit");
    if classes > 0 {
        executor.write_f32(&Role::Labels, 0, &[0.0, 1.0, 0.0][..BATCH]).expect("the labels fit");
    }
    executor.write(&Role::Order, 0, &[0, 1, 2][..BATCH]).expect("the order fits");
    let what = format!("categories beside {numbers} numbers, {classes} classes, {rows} of {BATCH} examples");
    let mut told = step(rows);
    told.weights[2] = 0.8;
    parameters_agree(executor, id, (&start, phase.trains), (&told, &weights), STEP / 4.0, &what);
}

#[test]
fn the_gradient_of_relaxed_categories_agrees_with_central_differences() {
    for (numbers, classes, rows) in [(0, 0, BATCH), (2, 0, BATCH - 1), (1, 2, BATCH)] {
        for mut executor in executors() {
            relaxed_agrees(&mut executor, numbers, classes, rows);
        }
    }
}

#[test]
fn the_gradient_of_several_samples_through_several_layers_agrees_with_central_differences() {
    for bound in [Bound::Elbo, Bound::Iwae] {
        // Latents that reach the loss through two layers above them bend it more than one does.
        bound_agrees(&mut cpu(), &format!("{bound:?}"), STEP / 2.0, |config| config.objective.bound = bound);
    }
}

/// A ladder shares its decoders between posterior and prior, so each of their parameters is reached on two ways.
#[test]
fn the_gradient_of_a_ladder_agrees_with_central_differences() {
    type Change = fn(&mut Config);
    let changes: [(&str, Change); 6] = [
        ("ELBO of two samples", |_| ()),
        ("batch normalisation", |c| c.model.norm = Norm::Batch),
        ("one sample and layer normalisation", |c| (c.objective.samples, c.model.norm) = (1, Norm::Layer)),
        ("IWAE", |c| c.objective.bound = Bound::Iwae),
        ("free bits of dimensions", |c| c.objective.free_bits = 0.1),
        ("free bits of layers", |c| (c.objective.free_bits, c.objective.free_group) = (0.2, 3)),
    ];
    for (what, change) in changes {
        for mut executor in executors() {
            // Three examples whose moments are their own bend the loss more.
            let apart = if what == "batch normalisation" { STEP / 32.0 } else { STEP / 4.0 };
            bound_agrees(&mut executor, what, apart, |config| {
                config.model.hierarchy = Hierarchy::Ladder;
                change(config);
            });
        }
    }
}

/// Values that the loss or the host wants where they do not lie: parameters whose gradients are one and the same tensor,
/// and outputs that are parameters, inputs or each other.
fn places_are_kept(executor: &mut Executor) {
    let mut graph = Graph::new(BATCH);
    let [a, b] = ["a", "b"].map(|name| graph.parameter(name, Shape::new(&[BATCH])).expect("a name and a shape"));
    let x = graph.add(Op::Input { name: "given".into(), shape: Shape::new(&[2]) }).expect("an input reads nothing");
    let sum = graph.add(Op::Add { a, b }).expect("the shapes are equal");
    graph.term("sum", sum, 0);
    for (name, id) in [("a", a), ("x", x), ("sum", sum), ("again", sum)] {
        graph.output(&format!("place of {name}"), id);
    }
    let optimizer = Config::default().optimizer;
    let plan = lower("places", graph, Some(UpdateStep::plain(&optimizer)), RESIDENT, executor.target())
        .expect("the plan is legal");
    let id = executor.load(plan).expect("the plan fits");
    let offset = executor.plan(id).parameters[1].offset;
    executor.write_f32(&Role::Parameters, 0, &[1.0, 2.0, 3.0]).expect("a fits");
    executor.write_f32(&Role::Parameters, offset, &[0.5, 0.25, 0.125]).expect("b fits");
    executor.write_f32(&Role::Input("given".into()), 0, &[7.0, 8.0]).expect("the input fits");
    executor.run(id, &[step(2)]).expect("the plan runs");
    for (at, name) in [(0, "a"), (offset, "b")] {
        let gradient = executor.read_f32(&Role::Gradients, at, BATCH).expect("the gradient is there");
        assert_eq!(gradient, [0.35, 0.35, 0.0], "gradient of {name}");
    }
    for (name, expected) in
        [("a", &[1.0, 2.0, 3.0][..]), ("x", &[7.0, 8.0]), ("sum", &[1.5, 2.25, 3.125]), ("again", &[1.5, 2.25, 3.125])]
    {
        let role = Role::Output(format!("place of {name}"));
        let found = executor.read_f32(&role, 0, expected.len()).expect("the output is there");
        assert_eq!(found, expected, "output {name}");
    }
}

fn cpu() -> Executor {
    Executor::Cpu(Cpu::new(2).expect("threads start"))
}

#[test]
fn every_rule_agrees_with_central_differences_on_the_cpu_engine() {
    rules_agree(&mut cpu());
}

#[test]
fn every_rule_agrees_with_central_differences_on_every_adapter() {
    for mut executor in adapters(true) {
        rules_agree(&mut executor);
    }
}

#[test]
fn what_is_wanted_in_several_places_is_in_each_of_them() {
    for mut executor in executors() {
        places_are_kept(&mut executor);
    }
}

#[test]
fn the_gradient_of_whole_models_agrees_with_central_differences_on_the_cpu_engine() {
    models_agree(&cpu);
}

#[test]
fn the_gradient_of_blocks_within_blocks_agrees_with_central_differences() {
    for mut executor in executors() {
        model_agrees(&mut executor, Likelihood::Bernoulli, BATCH - 1, [1, 4, 4], (0, &[]));
    }
}

/// What a gradient rule says of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It has a rule, which is to be in one of the [`cases`].
    Rule,
    /// It reads nothing, so there is nothing to pass a gradient on to.
    Leaf,
    /// It may not be differentiated.
    Constant,
}

/// Writes the table of operations once as data and once as a match that a new operation does not compile with.
macro_rules! operations {
    ($($kind:ident: $($name:ident)*;)*) => {
        const OPERATIONS: &[(&str, Kind)] = &[$($((stringify!($name), Kind::$kind),)*)*];

        fn kind(op: &Op) -> Kind {
            match op {
                $($(Op::$name { .. } => Kind::$kind,)*)*
            }
        }
    };
}

operations! {
    Rule: Affine Conv Depthwise Pool GroupNorm Dropout NchwNhwc ConcatOneHot Activation Sample Kl ShapedKl LogRatio LogPrior Bound
        Bernoulli Gaussian LogisticMixture ConcatBroadcast Table Add Multiply Scale SumRows SumColumns BroadcastRows BroadcastColumns
        Map Reduce Product TakeRows AddRows Recurrent Reshape StopGradient;
    Leaf: Parameter Input Gather Class Noise RowWeights;
    Constant: GroupMoments KlMeans LogMeanExp LogisticMixtureMean TableInput TableMean Vjp;
}

#[test]
fn every_operation_that_has_a_rule_is_in_a_case() {
    let covered: BTreeSet<String> = cases()
        .iter()
        .chain(&general::cases())
        .flat_map(|case| case.graph.ids().map(|id| case.graph.op(id).clone()).collect::<Vec<_>>())
        .filter(|op| kind(op) == Kind::Rule)
        .map(|op| op.name())
        .collect();
    let expected: BTreeSet<String> =
        OPERATIONS.iter().filter(|(_, kind)| *kind == Kind::Rule).map(|(name, _)| (*name).into()).collect();
    assert_eq!(covered, expected);
}

/// One operation of each kind that may not be differentiated, and those inputs of others that count as data.
fn constants() -> Vec<(&'static str, Case)> {
    use Op::*;
    let mut all = Vec::new();
    let mut case = |what: &'static str, build: &dyn Fn(&mut Case) -> Op| {
        let mut case = Case::new(what);
        let op = build(&mut case);
        let out = case.add(op);
        case.out = vec![out];
        all.push((what, case));
    };
    let clamp = CLAMP;
    case("Vjp", &|c| {
        let (x, dy) = (c.constant(&[4]), c.variable(&[4]));
        let of = c.add(Activation { x, kind: elbo::config::Activation::Tanh });
        Vjp { of, input: 0, dy }
    });
    case("GroupMoments", &|c| GroupMoments { x: c.variable(&[ROWS, 8]), channels: 4, groups: 2 });
    case("LogRatio", &|c| {
        let (stats, eps) = (c.constant(&[BATCH, 4]), c.variable(&[ROWS, 2]));
        LogRatio { stats, eps, z: c.constant(&[ROWS, 2]), clamp }
    });
    case("ConcatOneHot", &|c| {
        let (x, class) = (c.constant(&[ROWS, 3]), c.variable(&[BATCH]));
        ConcatOneHot { x, class, classes: 2 }
    });
    case("KlMeans", &|c| KlMeans { stats: c.variable(&[BATCH, 4]), clamp, size: 1 });
    case("LogMeanExp", &|c| LogMeanExp { distortion: c.variable(&[ROWS]), ratio: c.constant(&[ROWS]) });
    let mixture = Mixture { components: 2, channels: 1, shared_scales: false };
    case("LogisticMixtureMean", &|c| LogisticMixtureMean { out: c.variable(&[BATCH, 12]), mixture });
    case("LogisticMixture", &|c| {
        let (out, x) = (c.constant(&[BATCH, 12]), c.variable(&[BATCH, 2]));
        LogisticMixture { out, x, mixture }
    });
    case("TableInput", &|c| TableInput { x: c.variable(&[BATCH, 6]), columns: columns() });
    case("TableMean", &|c| TableMean { out: c.variable(&[BATCH, 7]), columns: columns() });
    case("Table", &|c| Table { out: c.constant(&[BATCH, 7]), x: c.variable(&[BATCH, 6]), columns: columns() });
    case("Sample", &|c| Sample { stats: c.constant(&[BATCH, 4]), eps: c.variable(&[ROWS, 2]), clamp });
    case("Bernoulli", &|c| Bernoulli { logits: c.constant(&[BATCH, 2]), x: c.variable(&[BATCH, 2]) });
    case("Gaussian", &|c| {
        let (out, x) = (c.constant(&[BATCH, 2]), c.variable(&[BATCH, 2]));
        Gaussian { out, x, variance: Variance::Fixed(0.0) }
    });
    all
}

#[test]
fn what_may_not_be_differentiated_says_so() {
    let mut refused = BTreeSet::new();
    for (name, mut case) in constants() {
        let out = case.out[0];
        let extents = case.graph.shape(out).extents().to_vec();
        let seed = case.constant(&extents);
        let wanted: Vec<Id> = case.variable_ids();
        let error = gradients_from(&mut case.graph, &[(out, seed)], &wanted).expect_err(name).to_string();
        assert!(error.contains(&format!("{name} has no gradient rule")), "{name}: {error}");
        refused.insert(name);
    }
    for (name, _) in OPERATIONS.iter().filter(|(_, kind)| *kind == Kind::Constant) {
        assert!(refused.contains(name), "{name} is in no case");
    }
}
