//! Whole training plans against the update rules in f64, as PyTorch documents them.

use crate::support::adapters;
use bytemuck::Zeroable;
use elbo::config::{Activation, Binarise, Config, OptimizerConfig, OptimizerKind};
use elbo::exec::Executor;
use elbo::exec::cpu::Cpu;
use elbo::graph::op::Source;
use elbo::graph::{Axis, Graph, Op, Reduction};
use elbo::kernels::StepScalars;
use elbo::model::{Model, Weights, init};
use elbo::plan::{GRADIENT_NORM, Resident, Role, Target, UpdateStep, lower};
use elbo::rng::{Philox, Stream};
use elbo::shape::Shape;

const BATCH: usize = 5;
const WIDTH: usize = 9;
const LATENT: usize = 2;
const STEPS: usize = 3;

/// The state of one parameter's rule: the parameter, the first moment or momentum, the second moment.
#[derive(Debug, Clone, Copy)]
struct State {
    value: f64,
    first: f64,
    second: f64,
}

/// One step of a rule, t counted from 1, with a gradient that is already clipped.
fn update(config: &OptimizerConfig, t: i32, gradient: f64, state: &mut State) {
    let given = |x: f32| f64::from(x);
    let (lr, eps, decay, momentum) =
        (given(config.lr), given(config.eps), given(config.weight_decay), given(config.momentum));
    let decoupled = config.kind == OptimizerKind::Adamw;
    let g = if decoupled { gradient } else { gradient + decay * state.value };
    match config.kind {
        OptimizerKind::Adam | OptimizerKind::Adamw => {
            let (beta1, beta2) = (given(config.beta1), given(config.beta2));
            if decoupled {
                state.value *= 1.0 - lr * decay;
            }
            state.first = beta1 * state.first + (1.0 - beta1) * g;
            state.second = beta2 * state.second + (1.0 - beta2) * g * g;
            let (m, v) = (state.first / (1.0 - beta1.powi(t)), state.second / (1.0 - beta2.powi(t)));
            state.value -= lr * m / (v.sqrt() + eps);
        }
        OptimizerKind::Rmsprop => {
            let alpha = given(config.alpha);
            state.second = alpha * state.second + (1.0 - alpha) * g * g;
            state.first = momentum * state.first + g / (state.second.sqrt() + eps);
            state.value -= lr * state.first;
        }
        OptimizerKind::Sgd => {
            state.first = momentum * state.first + g;
            state.value -= lr * state.first;
        }
    }
}

fn scalars(at: usize, config: &OptimizerConfig) -> StepScalars {
    let t = at as i32 + 1;
    StepScalars {
        step: at as u32,
        rows: BATCH as u32,
        row_weight: 1.0 / BATCH as f32,
        lr: config.lr,
        correction1: (1.0 - f64::from(config.beta1).powi(t)) as f32,
        correction2: (1.0 - f64::from(config.beta2).powi(t)) as f32,
        weights: Weights::elbo(1.0).at(0.0, 1.0),
        ..StepScalars::zeroed()
    }
}

/// Trains for a few steps on random inputs, and follows with the reference from the gradients that the plan made. Gives
/// the gradient's norms, so that the caller can see whether clipping took place.
fn follow(executor: &mut Executor, target: Target, what: &str, optimizer: &OptimizerConfig) -> Vec<f64> {
    let mut config = Config::default().model;
    (config.hidden, config.latent, config.activation) = (vec![4], LATENT, Activation::Tanh);
    let model = Model {
        config,
        width: WIDTH,
        shape: [1, 1, WIDTH],
        source: Source::Floats,
        binarise: Binarise::None,
        columns: None,
        missing: false,
        classes: 0,
    };
    let graph = model.train_on_inputs(BATCH).expect("the model's shapes meet");
    let resident = Resident { data_words: 4, window: 0, order_words: 4, metric_slots: 1 };
    let plan = lower(what, graph, Some(UpdateStep::plain(optimizer)), resident, target).expect("the plan is legal");
    let id = executor.load(plan).expect("the plan fits");
    let ranges = executor.plan(id).parameters.clone();
    let start = init::initial(&model, 1, init::OfData::default());
    for (range, values) in ranges.iter().zip(&start) {
        executor.write_f32(&Role::Parameters, range.offset, values).expect("the parameters fit");
    }
    let fresh = |&value: &f32| State { value: value.into(), first: 0.0, second: 0.0 };
    let mut states: Vec<State> = start.iter().flatten().map(fresh).collect();
    let read = |executor: &mut Executor, role: &Role| -> Vec<f64> {
        let parts = ranges.iter().map(|r| executor.read_f32(role, r.offset, r.count()).expect("the buffer is there"));
        parts.flatten().map(f64::from).collect()
    };
    let mut norms = Vec::new();
    for at in 0..STEPS {
        let mut rng = Philox::new(2, Stream::Choice, at as u32, 0);
        let x: Vec<f32> = (0..BATCH * WIDTH).map(|_| rng.uniform()).collect();
        let eps: Vec<f32> = (0..BATCH * LATENT).map(|_| rng.normal()).collect();
        executor.write_f32(&Role::Input("x".into()), 0, &x).expect("x fits");
        executor.write_f32(&Role::Input("eps".into()), 0, &eps).expect("eps fits");
        executor.run(id, &[scalars(at, optimizer)]).expect("the step runs");
        let gradient = read(executor, &Role::Gradients);
        let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        let limit = f64::from(optimizer.clip_norm);
        let terms = executor.plan(id).terms.clone();
        assert_eq!(terms.iter().any(|term| term == GRADIENT_NORM), limit > 0.0, "{what}: {terms:?}");
        if limit > 0.0 {
            let told = executor.read_f32(&Role::Metrics, 0, terms.len()).expect("the buffer is there");
            let told = f64::from(told[terms.len() - 1]);
            assert!((told - norm).abs() < 1e-5 * norm, "{what}, {target:?}, step {at}: a norm of {told} is {norm}");
        }
        let factor = if limit > 0.0 && norm > limit { limit / norm } else { 1.0 };
        for (state, g) in states.iter_mut().zip(&gradient) {
            update(optimizer, at as i32 + 1, g * factor, state);
        }
        norms.push(norm);
        for (i, (found, state)) in read(executor, &Role::Parameters).iter().zip(&states).enumerate() {
            let error = (found - state.value).abs();
            assert!(
                error < 1e-3 * f64::from(optimizer.lr),
                "{what}, {target:?}, step {at}, value {i}: {found} instead of {}",
                state.value
            );
        }
    }
    norms
}

/// Every rule, with and without what it can do besides.
fn rules() -> Vec<(&'static str, OptimizerConfig)> {
    use OptimizerKind::{Adam, Adamw, Rmsprop, Sgd};
    let rule = |kind, momentum, weight_decay| OptimizerConfig {
        kind,
        momentum,
        weight_decay,
        lr: 0.02,
        eps: 1e-3,
        ..Config::default().optimizer
    };
    vec![
        ("adam", rule(Adam, 0.0, 0.0)),
        ("adam with decay", rule(Adam, 0.0, 0.3)),
        ("adamw", rule(Adamw, 0.0, 0.3)),
        ("rmsprop", rule(Rmsprop, 0.0, 0.0)),
        ("rmsprop with momentum", rule(Rmsprop, 0.9, 0.0)),
        ("rmsprop with momentum and decay", rule(Rmsprop, 0.9, 0.3)),
        ("sgd", rule(Sgd, 0.0, 0.0)),
        ("sgd with momentum", rule(Sgd, 0.9, 0.0)),
        ("sgd with momentum and decay", rule(Sgd, 0.9, 0.3)),
    ]
}

#[test]
fn three_steps_of_every_rule_are_those_of_the_reference_in_plans_for_every_target() {
    for (name, rule) in rules() {
        for target in [Target::Cpu, Target::Gpu, Target::Software, Target::Simd8] {
            // Not at all, at every step, and at none.
            for clip_norm in [0.0, 0.1, 1e3] {
                let optimizer = OptimizerConfig { clip_norm, ..rule.clone() };
                let mut executor = Executor::Cpu(Cpu::new(2).expect("threads start"));
                let what = format!("{name}, clipped at {clip_norm}");
                let norms = follow(&mut executor, target, &what, &optimizer);
                assert!(norms.iter().all(|norm| (0.2..500.0).contains(norm)), "{what} has gradients of {norms:?}");
            }
        }
    }
}

/// What the moments of weights become whose gradient, after one step, is 0 for good.
fn of_dead_weights(executor: &mut Executor, target: Target, name: &str, optimizer: &OptimizerConfig) -> Vec<Vec<f32>> {
    const WEIGHTS: usize = 64;
    let mut graph = Graph::training(BATCH);
    let x = graph.add(Op::Input { name: "x".into(), shape: Shape::new(&[BATCH, WEIGHTS]) }).expect("it reads nothing");
    let w = graph.parameter("w", Shape::new(&[1, WEIGHTS])).expect("it reads nothing");
    let rows = graph.reduce_map(Reduction::Sum, Axis::Columns, [x, w], |[x, w]| x * w).expect("rows repeat");
    graph.term("distortion", rows, 0);
    let resident = Resident { data_words: 4, window: 0, order_words: 4, metric_slots: 1 };
    let plan = lower(name, graph, Some(UpdateStep::plain(optimizer)), resident, target).expect("the plan is legal");
    let roles: Vec<Role> = plan.buffers.iter().map(|buffer| buffer.role.clone()).collect();
    let id = executor.load(plan).expect("the plan fits");
    executor.write_f32(&Role::Parameters, 0, &[0.0; WEIGHTS]).expect("the parameters fit");
    let mut rng = Philox::new(3, Stream::Choice, 0, 0);
    let x: Vec<f32> = (0..BATCH * WEIGHTS).map(|_| rng.normal()).collect();
    executor.write_f32(&Role::Input("x".into()), 0, &x).expect("x fits");
    executor.run(id, &[scalars(0, optimizer)]).expect("the step runs");
    executor.write_f32(&Role::Input("x".into()), 0, &vec![0.0; x.len()]).expect("x fits");
    let steps: Vec<StepScalars> = (1..1200).map(|at| scalars(at, optimizer)).collect();
    executor.run(id, &steps).expect("the steps run");
    let kept = [Role::Moment1, Role::Moment2].into_iter().filter(|role| roles.contains(role));
    kept.map(|role| executor.read_f32(&role, 0, WEIGHTS).expect("it is there")).collect()
}

/// They would come to a subnormal number, for which processors take long, and stay there: 4 units of the last place times 0.9
/// are rounded to 4.
#[test]
fn moments_of_weights_without_a_gradient_end_at_zero_and_not_at_subnormal_numbers() {
    let rules = rules().into_iter().filter(|(name, _)| !name.contains("decay"));
    for (at, (name, rule)) in rules.enumerate() {
        // The second moment, too, is to come to its end within the steps of a test.
        let optimizer = OptimizerConfig { beta2: 0.9, alpha: 0.9, ..rule };
        for target in [Target::Cpu, Target::Software, Target::Simd8] {
            let mut executor = Executor::Cpu(Cpu::new(2).expect("threads start"));
            for kept in of_dead_weights(&mut executor, target, name, &optimizer) {
                let subnormal = kept.iter().filter(|x| x.is_subnormal()).count();
                assert_eq!(subnormal, 0, "{name} for {target:?}: {kept:?}");
            }
        }
        if at == 0 {
            for mut executor in adapters(true) {
                let target = executor.target();
                for kept in of_dead_weights(&mut executor, target, name, &optimizer) {
                    assert!(!kept.iter().any(|x| x.is_subnormal()), "{name} on {}", executor.name());
                }
            }
        }
    }
}
