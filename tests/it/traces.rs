//! Ten training steps as PyTorch computed them (`tests/fixtures/torch_trace.py`), on every executor.

use crate::support::adapters;
use bytemuck::Zeroable;
use elbo::config::{Activation, Binarise, Config, Likelihood, OptimizerConfig};
use elbo::exec::{Executor, PlanId};
use elbo::graph::op::Source;
use elbo::kernels::StepScalars;
use elbo::model::{Model, Weights};
use elbo::plan::{Resident, Role, Target, UpdateStep, lower};
use safetensors::SafeTensors;
use std::collections::BTreeMap;

const BATCH: usize = 16;

/// The recorded tensors by name.
fn recorded(likelihood: &str) -> BTreeMap<String, Vec<f32>> {
    let path = format!("{}/tests/fixtures/torch_trace_{likelihood}.safetensors", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(path).expect("the fixture is part of the repository");
    let file = SafeTensors::deserialize(&bytes).expect("the fixture is whole");
    let floats = |bytes: &[u8]| bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    file.tensors().into_iter().map(|(name, tensor)| (name, floats(tensor.data()))).collect()
}

/// PyTorch's layers side by side as one affine map [inputs + 1, outputs], bias last.
fn joined(trace: &BTreeMap<String, Vec<f32>>, prefix: &str, layers: &[&str], inputs: usize) -> Vec<f32> {
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
fn parameters(trace: &BTreeMap<String, Vec<f32>>, prefix: &str) -> Vec<Vec<f32>> {
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

fn step(at: usize, optimizer: &OptimizerConfig) -> StepScalars {
    let t = at as i32 + 1;
    StepScalars {
        step: at as u32,
        rows: BATCH as u32,
        slot: at as u32,
        row_weight: 1.0 / BATCH as f32,
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
fn follow(executor: &mut Executor, name: &str, likelihood: Likelihood, target: Target) {
    let trace = recorded(name);
    let optimizer = Config::default().optimizer;
    let graph = model(likelihood).train_on_inputs(BATCH).expect("the model's shapes meet");
    let resident = Resident { data_words: 4, window: 0, order_words: 4, metric_slots: 10 };
    let plan = lower("trace", graph, Some(UpdateStep::plain(&optimizer)), resident, target).expect("the plan is legal");
    let id = executor.load(plan).expect("the plan fits");
    for (range, values) in executor.plan(id).parameters.clone().iter().zip(parameters(&trace, "init")) {
        executor.write_f32(&Role::Parameters, range.offset, &values).expect("the parameters fit");
    }
    let device = executor.name();
    for at in 0..10 {
        let part = |tensor: &str, width: usize| trace[tensor][at * BATCH * width..][..BATCH * width].to_vec();
        executor.write_f32(&Role::Input("x".into()), 0, &part("x", 196)).expect("x fits");
        executor.write_f32(&Role::Input("eps".into()), 0, &part("eps", 12)).expect("eps fits");
        executor.run(id, &[step(at, &optimizer)]).expect("the step runs");
        let terms = executor.read_f32(&Role::Metrics, 2 * at, 2).expect("the metrics are there");
        for (term, recorded) in terms.iter().zip([trace["rec"][at], trace["kl"][at]]) {
            let error = (term - recorded).abs() / recorded.abs();
            assert!(error < 1e-4, "{device}, {name}, step {at}: {term} instead of {recorded}");
        }
        if at == 0 {
            let found = read(executor, id, &Role::Gradients);
            for (i, (gradient, recorded)) in found.iter().zip(parameters(&trace, "step1.grad")).enumerate() {
                let error = distance(&recorded, gradient);
                assert!(error < 1e-4, "{device}, {name}: gradient {i} is {error:.1e} off");
            }
        }
    }
    for (i, (values, recorded)) in
        read(executor, id, &Role::Parameters).iter().zip(parameters(&trace, "step10")).enumerate()
    {
        let error = distance(&recorded, values);
        assert!(error < 1e-4, "{device}, {name}: parameter {i} is {error:.1e} off after ten steps");
    }
}

#[test]
fn ten_steps_are_those_of_pytorch_on_the_cpu_engine() {
    for threads in [1, 2, 3] {
        for (name, likelihood) in [("bernoulli", Likelihood::Bernoulli), ("gaussian", Likelihood::Gaussian)] {
            let mut executor = Executor::Cpu(elbo::exec::cpu::Cpu::new(threads).expect("threads start"));
            follow(&mut executor, name, likelihood, Target::Cpu);
        }
    }
}

#[test]
fn ten_steps_are_those_of_pytorch_on_every_adapter() {
    for (name, likelihood) in [("bernoulli", Likelihood::Bernoulli), ("gaussian", Likelihood::Gaussian)] {
        // A plan is right on every device, and fast on the one that it is made for.
        for target in [Target::Gpu, Target::Software, Target::Simd8] {
            // Each begins with moments of its own.
            for mut executor in adapters(true) {
                if target != Target::Simd8 || executor.target() == target {
                    follow(&mut executor, name, likelihood, target);
                }
            }
        }
    }
}
