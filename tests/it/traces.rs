//! Ten training steps as PyTorch computed them (`tests/fixtures/torch_trace.py`, `torch_attention.py`, `torch_batch_norm.py`, `torch_residual.py`, `torch_sequence.py`), on every
//! executor.

use crate::support::adapters;
use bytemuck::Zeroable;
use elbo::config::{Activation, Binarise, Cell, Config, Hierarchy, Layers, Likelihood, OptimizerConfig, resolve};
use elbo::exec::{Executor, PlanId};
use elbo::graph::Group;
use elbo::graph::op::Source;
use elbo::kernels::StepScalars;
use elbo::model::network::batch_norm::RUNNING;
use elbo::model::{Model, Weights, of_layer};
use elbo::plan::{Resident, Role, Target, UpdateStep, lower};
use safetensors::SafeTensors;
use std::collections::BTreeMap;

const BATCH: usize = 16;

/// Recorded tensors by name.
type Trace = BTreeMap<String, Vec<f32>>;

/// A file of recorded tensors.
fn recorded(name: &str) -> Trace {
    let path = format!("{}/tests/fixtures/{name}.safetensors", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(path).expect("the fixture is part of the repository");
    let file = SafeTensors::deserialize(&bytes).expect("the fixture is whole");
    let floats = |bytes: &[u8]| bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    file.tensors().into_iter().map(|(name, tensor)| (name, floats(tensor.data()))).collect()
}

/// PyTorch's layers side by side as one affine map [inputs + 1, outputs], bias last.
fn joined(trace: &Trace, prefix: &str, layers: &[&str], inputs: usize) -> Vec<f32> {
    let tensor = |layer: &str, kind: &str| &trace[&format!("{prefix}.{layer}.{kind}")];
    let mut out = Vec::new();
    for row in 0..=inputs {
        for layer in layers {
            let (weight, bias) = (tensor(layer, "weight"), tensor(layer, "bias"));
            match row {
                row if row == inputs => out.extend(bias),
                row => out.extend((0..bias.len()).map(|output| weight[output * inputs + row])),
            }
        }
    }
    out
}

/// All parameters in the model's order.
fn parameters(trace: &Trace, prefix: &str) -> Vec<Vec<f32>> {
    vec![
        joined(trace, prefix, &["enc"], 196),
        joined(trace, prefix, &["mu", "lv"], 48),
        joined(trace, prefix, &["dec"], 12),
        joined(trace, prefix, &["out"], 48),
    ]
}

fn model(likelihood: Likelihood) -> Model {
    let mut config = Config::default().model;
    config.hidden = vec![48];
    config.decoder = vec![];
    config.latent = 12;
    config.activation = Activation::Relu;
    config.likelihood = likelihood;
    config.sigma = 1.0;
    Model {
        config,
        width: 196,
        shape: [1, 1, 196],
        source: Source::Floats,
        binarise: Binarise::None,
        columns: None,
        missing: false,
        classes: 0,
    }
}

/// What was recorded, and the model that it is of.
struct Recorded {
    name: String,
    trace: Trace,
    model: Model,
    batch: usize,
    /// All parameters in the model's order, of the tensors whose names begin so.
    parameters: fn(&Trace, &str) -> Vec<Vec<f32>>,
}

fn of_likelihood(name: &str, likelihood: Likelihood) -> Recorded {
    let name = format!("torch_trace_{name}");
    Recorded { trace: recorded(&name), name, model: model(likelihood), batch: BATCH, parameters }
}

/// A model of pictures whose patches look at each other: `tests/fixtures/torch_attention.py`.
fn of_attention() -> Recorded {
    let mut model = model(Likelihood::Bernoulli);
    let list = |layers: &[&str]| Layers::words(layers).expect("they are layers");
    let config = &mut model.config;
    (config.hidden, config.latent) = (vec![], 3);
    config.encoder_layers = list(&["conv 6 kernel 2 stride 2", "positions", "transformer 2 width 10", "pixel-norm"]);
    config.decoder_layers = list(&[
        "dense 2x2x6",
        "positions",
        "transformer 3 width 8",
        "pixel-norm",
        "conv-transpose out kernel 4 stride 4",
    ]);
    (model.width, model.shape) = (64, [1, 8, 8]);
    let name = "torch_attention".to_owned();
    Recorded { trace: recorded(&name), name, model, batch: 4, parameters: of_blocks }
}

/// The parameters of a model of sequences by attention.
fn of_tokens(trace: &Trace, prefix: &str) -> Vec<Vec<f32>> {
    let embedding = |name: &str| vec![trace[&format!("{prefix}.{name}.weight")].clone()];
    let mut all = vec![joined(trace, prefix, &["mu", "lv"], 4), joined(trace, prefix, &["out"], 4)];
    all.extend([embedding("enc_emb"), of_side(trace, prefix, "enc")].concat());
    all.extend([embedding("dec_emb"), of_side(trace, prefix, "dec")].concat());
    all.push(joined(trace, prefix, &["begin"], 3));
    all
}

/// Positions, a block and the norm behind it.
fn of_side(trace: &Trace, prefix: &str, name: &str) -> Vec<Vec<f32>> {
    let tensor = |what: &str| &trace[&format!("{prefix}.{name}.{what}")];
    let scaled = |what: &str| ["weight", "bias"].map(|kind| tensor(&format!("{what}.{kind}")).clone()).concat();
    // Of each output a row there, of each input a row here.
    let turned = |weight: &str, bias: &str| {
        let (weight, bias) = (tensor(weight), tensor(bias));
        let inputs = weight.len() / bias.len();
        let rows = (0..inputs).flat_map(|row| (0..bias.len()).map(move |output| weight[output * inputs + row]));
        rows.chain(bias.iter().copied()).collect::<Vec<f32>>()
    };
    vec![
        tensor("positions").clone(),
        scaled("block.norm1"),
        turned("block.attention.in_proj_weight", "block.attention.in_proj_bias"),
        turned("block.attention.out_proj.weight", "block.attention.out_proj.bias"),
        scaled("block.norm2"),
        turned("block.up.weight", "block.up.bias"),
        turned("block.down.weight", "block.down.bias"),
        scaled("norm"),
    ]
}

/// The parameters of the model of pictures.
fn of_blocks(trace: &Trace, prefix: &str) -> Vec<Vec<f32>> {
    let tensor = |name: &str| &trace[&format!("{prefix}.{name}")];
    // One channel of pictures: taps alone, [6, 1, 2, 2] into patches and [6, 1, 4, 4] out of them.
    let out = tensor("out.weight");
    let taps = (0..16).flat_map(|tap| (0..6).map(move |input| out[input * 16 + tap]));
    let mut all = vec![joined(trace, prefix, &["patches"], 4)];
    all.extend(of_side(trace, prefix, "enc"));
    all.extend([joined(trace, prefix, &["mu", "lv"], 96), joined(trace, prefix, &["begin"], 3)]);
    all.extend(of_side(trace, prefix, "dec"));
    all.push(taps.chain(tensor("out.bias").iter().copied()).collect());
    all
}

/// Groups of latents on images of two resolutions: `tests/fixtures/torch_residual.py`.
fn of_hierarchy() -> Recorded {
    let mut model = model(Likelihood::Bernoulli);
    let list = |layers: &[&str]| Layers::words(layers).expect("they are layers");
    let config = &mut model.config;
    (config.hidden, config.hierarchy, config.latent) = (vec![], Hierarchy::Residual, 32);
    config.resolutions = ["4x4 groups 2 latent 2", "2x2 latent 3"].map(str::to_owned).to_vec();
    config.encoder_layers = list(&["conv 5 kernel 2 stride 2"]);
    config.encoder_cell = list(&["silu", "conv 5 kernel 3 padding 1"]);
    config.decoder_cell = list(&[
        "silu",
        "conv 6 kernel 1",
        "silu",
        "depthwise 3 padding 1",
        "silu",
        "conv 5 kernel 1",
        "squeeze-excite 2",
    ]);
    config.decoder_layers = list(&["silu", "conv-transpose out kernel 2 stride 2"]);
    (model.width, model.shape) = (64, [1, 8, 8]);
    let name = "torch_residual".to_owned();
    Recorded { trace: recorded(&name), name, model, batch: 4, parameters: of_groups }
}

/// The parameters of the hierarchy: up through the groups, then down.
fn of_groups(trace: &Trace, prefix: &str) -> Vec<Vec<f32>> {
    let tensor = |name: &str| &trace[&format!("{prefix}.{name}")];
    // A row for each tap and input, [outputs, inputs, taps] there, or [inputs, outputs, taps] of a transposed one.
    let map = |name: &str, taps: usize, transposed: bool| {
        let (weight, bias) = (tensor(&format!("{name}.weight")), tensor(&format!("{name}.bias")));
        let (outputs, inputs) = (bias.len(), weight.len() / bias.len() / taps);
        let at = move |tap: usize, input: usize, output: usize| {
            let pair = if transposed { input * outputs + output } else { output * inputs + input };
            weight[pair * taps + tap]
        };
        let rows =
            (0..taps * inputs).flat_map(|row| (0..outputs).map(move |output| (row / inputs, row % inputs, output)));
        rows.map(|(tap, input, output)| at(tap, input, output)).chain(bias.iter().copied()).collect::<Vec<f32>>()
    };
    let conv = |name: &str, taps: usize| map(name, taps, false);
    let cell = |name: &str| {
        let layers = [("wide", 1), ("each", 9), ("narrow", 1), ("squeeze", 1), ("excite", 1)];
        layers.map(|(layer, taps)| conv(&format!("{name}.{layer}"), taps)).to_vec()
    };
    let mut all = vec![conv("stem", 4), conv("up1.1", 9), conv("q1", 9), conv("up2.1", 9), conv("q2", 9)];
    all.extend([conv("shrink", 4), conv("up3.1", 9), conv("q3", 9), conv("z3", 1)]);
    let place = tensor("place");
    all.push((0..4).flat_map(|pixel| (0..5).map(move |channel| place[channel * 4 + pixel])).collect());
    all.extend([cell("down3"), cell("grown")].concat());
    for group in [2, 1] {
        all.extend([conv(&format!("p{group}"), 1), conv(&format!("z{group}"), 1)]);
        all.extend(cell(&format!("down{group}")));
    }
    all.push(map("out", 4, true));
    all
}

/// Batch normalisation of images and of numbers: `tests/fixtures/torch_batch_norm.py`.
fn of_batch_norm() -> Recorded {
    let mut model = model(Likelihood::Bernoulli);
    let list = |layers: &[&str]| Layers::words(layers).expect("they are layers");
    let config = &mut model.config;
    (config.hidden, config.latent) = (vec![], 3);
    config.encoder_layers =
        list(&["conv 5 kernel 2 stride 2", "batch-norm", "leaky-relu 0.2", "dense 12", "batch-norm", "tanh"]);
    config.decoder_layers = list(&[
        "dense 9",
        "batch-norm",
        "tanh",
        "dense 4x4x6",
        "batch-norm",
        "relu",
        "conv-transpose out kernel 2 stride 2",
    ]);
    (model.width, model.shape) = (64, [1, 8, 8]);
    let name = "torch_batch_norm".to_owned();
    Recorded { trace: recorded(&name), name, model, batch: 4, parameters: of_normalised }
}

/// The parameters of that model, then running moments.
fn of_normalised(trace: &Trace, prefix: &str) -> Vec<Vec<f32>> {
    let tensor = |name: &str, kind: &str| &trace[&format!("{prefix}.{name}.{kind}")];
    // An image lies one plane after the other there: what stands in the place of each number, of so many channels of 16 pixels.
    let plane = |channels: usize| (0..16 * channels).map(move |at| at % channels * 16 + at / channels);
    let (dense, image) = (joined(trace, prefix, &["dense"], 80), joined(trace, prefix, &["image"], 9));
    let dense = plane(5).chain([80]).flat_map(|row| dense[12 * row..][..12].to_vec()).collect();
    let image = (0..10).flat_map(|row| plane(6).map(move |at| 96 * row + at)).map(|at| image[at]).collect();
    // One channel of pictures: taps alone, [6, 1, 2, 2] out of images.
    let out = tensor("out", "weight");
    let taps = (0..4).flat_map(|tap| (0..6).map(move |input| out[input * 4 + tap]));
    let out = taps.chain(tensor("out", "bias").iter().copied()).collect();
    let norm = |name: &str, kinds: [&str; 2]| kinds.map(|kind| tensor(name, kind).clone()).concat();
    let scaled = |name: &str| norm(name, ["weight", "bias"]);
    let (conv, heads) = (joined(trace, prefix, &["conv"], 4), joined(trace, prefix, &["mu", "lv"], 12));
    let mut all = vec![conv, scaled("norm1"), dense, scaled("norm2"), heads];
    all.extend([joined(trace, prefix, &["begin"], 3), scaled("norm3"), image, scaled("norm4"), out]);
    all.extend(["norm1", "norm2", "norm3", "norm4"].map(|name| norm(name, ["running_mean", "running_var"])));
    all
}

/// Models of sequences of nine tokens: `tests/fixtures/torch_sequence.py`.
fn of_sequences() -> Vec<Recorded> {
    let model_of = |cell: Cell, bidirectional: bool| {
        let mut config = resolve(Some("text"), &[]).expect("the recipe is valid").model;
        (config.hidden, config.decoder, config.embedding, config.latent) = (vec![5, 6], vec![6, 4], 4, 3);
        (config.cell, config.bidirectional) = (cell, bidirectional);
        Model { config, width: 7, shape: [1, 1, 7], source: Source::Tokens(9), ..model(Likelihood::Bernoulli) }
    };
    let all = [
        ("torch_sequence", Cell::Gru, false),
        ("torch_lstm", Cell::Lstm, false),
        ("torch_bidirectional", Cell::Gru, true),
        ("torch_bidirectional_lstm", Cell::Lstm, true),
    ];
    let recorded = |(name, cell, both): (&str, Cell, bool)| Recorded {
        trace: recorded(name),
        name: name.to_owned(),
        model: model_of(cell, both),
        batch: 6,
        parameters: of_recurrent,
    };
    let name = "torch_attention_sequence".to_owned();
    let mut model = model_of(Cell::Transformer, false);
    (model.config.hidden, model.config.decoder, model.config.heads) = (vec![6], vec![5], 2);
    let attention = Recorded { trace: self::recorded(&name), name, model, batch: 6, parameters: of_tokens };
    all.into_iter().map(recorded).chain([attention]).collect()
}

/// The parameters of such a model: maps, then what reads tokens and what writes them.
fn of_recurrent(trace: &Trace, prefix: &str) -> Vec<Vec<f32>> {
    // PyTorch has a row for each gate of each unit, here it is a column.
    let turned = |layer: &str, kind: &str| {
        let [weight, bias] = ["weight", "bias"].map(|what| &trace[&format!("{prefix}.{layer}.{what}_{kind}")]);
        let inputs = weight.len() / bias.len();
        let rows = (0..inputs).flat_map(|row| (0..bias.len()).map(move |gate| weight[gate * inputs + row]));
        rows.chain(bias.iter().copied()).collect::<Vec<f32>>()
    };
    let both = trace.contains_key("init.enc.0.weight_ih_l0_reverse");
    let layer = |name: &str| {
        let reverse = both && name.starts_with("enc");
        let kinds: &[&str] =
            if reverse { &["ih_l0", "hh_l0", "ih_l0_reverse", "hh_l0_reverse"] } else { &["ih_l0", "hh_l0"] };
        kinds.iter().map(|kind| turned(name, kind)).collect::<Vec<_>>()
    };
    let embedding = |name: &str| trace[&format!("{prefix}.{name}.weight")].clone();
    let top = if both { 12 } else { 6 };
    let mut all =
        vec![joined(trace, prefix, &["mu", "lv"], top), joined(trace, prefix, &["out"], 4), embedding("enc_emb")];
    all.extend(["enc.0", "enc.1"].map(layer).concat());
    all.extend([embedding("dec_emb"), joined(trace, prefix, &["begin"], 3)]);
    all.extend(["dec.0", "dec.1"].map(layer).concat());
    all
}

fn step(at: usize, rows: usize, optimizer: &OptimizerConfig) -> StepScalars {
    let t = at as i32 + 1;
    StepScalars {
        step: at as u32,
        rows: rows as u32,
        slot: at as u32,
        row_weight: 1.0 / rows as f32,
        lr: optimizer.lr,
        correction1: (1.0 - f64::from(optimizer.beta1).powi(t)) as f32,
        correction2: (1.0 - f64::from(optimizer.beta2).powi(t)) as f32,
        weights: Weights::elbo(1.0).at(0.0, 1.0),
        ..StepScalars::zeroed()
    }
}

/// The largest distance between two tensors, as a share of the recorded one's norm.
fn distance(expected: &[f32], actual: &[f32]) -> f64 {
    assert_eq!(expected.len(), actual.len());
    let square = |x: f64| x * x;
    let norm: f64 = expected.iter().map(|&e| square(f64::from(e))).sum();
    let error: f64 = expected.iter().zip(actual).map(|(&e, &a)| square(f64::from(e) - f64::from(a))).sum();
    (error / norm).sqrt()
}

fn read(executor: &mut Executor, id: PlanId, role: &Role) -> Vec<Vec<f32>> {
    let ranges = executor.plan(id).parameters.clone();
    ranges.iter().map(|r| executor.read_f32(role, r.offset, r.count()).expect("the buffer is there")).collect()
}

/// Ten steps from the recorded start with the recorded inputs and noise. The bound is 1e-4 for losses,
/// gradients and parameters alike.
fn follow(executor: &mut Executor, of: &Recorded, target: Target) {
    let Recorded { name, trace, model, batch, parameters } = of;
    let batch = *batch;
    let optimizer = Config::default().optimizer;
    let graph = model.train_on_inputs(batch).expect("the model's shapes meet");
    let resident = Resident { data_words: 4, window: 0, order_words: 4, metric_slots: 10 };
    let ending = UpdateStep { trains: Group::Except(&[RUNNING]), ..UpdateStep::plain(&optimizer) };
    let plan = lower("trace", graph, Some(ending), resident, target).expect("the plan is legal");
    let id = executor.load(plan).expect("the plan fits");
    for (range, values) in executor.plan(id).parameters.clone().iter().zip(parameters(trace, "init")) {
        executor.write_f32(&Role::Parameters, range.offset, &values).expect("the parameters fit");
    }
    let device = executor.name();
    for at in 0..10 {
        let part = |tensor: &str, width: usize| trace[tensor][at * batch * width..][..batch * width].to_vec();
        executor.write_f32(&Role::Input("x".into()), 0, &part("x", model.width)).expect("x fits");
        for (layer, latent) in model.latents().into_iter().enumerate() {
            let eps = of_layer("eps", layer);
            executor.write_f32(&Role::Input(eps.clone()), 0, &part(&eps, latent)).expect("eps fits");
        }
        executor.run(id, &[step(at, batch, &optimizer)]).expect("the step runs");
        let terms = executor.read_f32(&Role::Metrics, 2 * at, 2).expect("the metrics are there");
        for (term, recorded) in terms.iter().zip([trace["rec"][at], trace["kl"][at]]) {
            let error = (term - recorded).abs() / recorded.abs();
            assert!(error < 1e-4, "{device}, {name}, step {at}: {term} instead of {recorded}");
        }
        if at == 0 {
            let found = read(executor, id, &Role::Gradients);
            for (i, (gradient, recorded)) in found.iter().zip(parameters(trace, "step1.grad")).enumerate() {
                let error = distance(&recorded, gradient);
                assert!(error < 1e-4, "{device}, {name}: gradient {i} is {error:.1e} off");
            }
        }
    }
    for (i, (values, recorded)) in
        read(executor, id, &Role::Parameters).iter().zip(parameters(trace, "step10")).enumerate()
    {
        // A softmax does not see the biases of keys, nor batch normalisation those before it: their gradients are 0 but for
        // rounding, of which Adam makes whole steps. The means that follow are compared after the first step alone.
        let gradient = &parameters(trace, "step1.grad")[i];
        let least = gradient.iter().fold(0.0_f32, |most, g| most.max(g.abs())) * 1e-5;
        let running = executor.plan(id).parameters[i].name.starts_with(RUNNING);
        let blind = name.starts_with("torch_attention") || name == "torch_batch_norm";
        let counts = |at: usize| if running { at >= recorded.len() / 2 } else { !blind || gradient[at].abs() > least };
        let counting =
            |values: &[f32]| (0..values.len()).filter(|&at| counts(at)).map(|at| values[at]).collect::<Vec<_>>();
        let error = distance(&counting(&recorded), &counting(values));
        assert!(error < 1e-4, "{device}, {name}: parameter {i} is {error:.1e} off after ten steps");
    }
}

#[test]
fn ten_steps_are_those_of_pytorch_on_the_cpu_engine() {
    for threads in [1, 2, 3] {
        for (name, likelihood) in [("bernoulli", Likelihood::Bernoulli), ("gaussian", Likelihood::Gaussian)] {
            let mut executor = Executor::Cpu(elbo::exec::cpu::Cpu::new(threads).expect("threads start"));
            follow(&mut executor, &of_likelihood(name, likelihood), Target::Cpu);
        }
        for of in of_sequences().into_iter().chain([of_attention(), of_hierarchy(), of_batch_norm()]) {
            let mut executor = Executor::Cpu(elbo::exec::cpu::Cpu::new(threads).expect("threads start"));
            follow(&mut executor, &of, Target::Cpu);
        }
    }
}

#[test]
fn ten_steps_are_those_of_pytorch_on_every_adapter() {
    let images = [("bernoulli", Likelihood::Bernoulli), ("gaussian", Likelihood::Gaussian)];
    let images = images.map(|(name, likelihood)| of_likelihood(name, likelihood));
    for recorded in images.into_iter().chain(of_sequences()).chain([of_attention(), of_hierarchy(), of_batch_norm()]) {
        // A plan is right on every device, and fast on the one that it is made for.
        for target in [Target::Gpu, Target::Software, Target::Simd8] {
            // Each begins with moments of its own.
            for mut executor in adapters(true) {
                if target != Target::Simd8 || executor.target() == target {
                    follow(&mut executor, &recorded, target);
                }
            }
        }
    }
}
