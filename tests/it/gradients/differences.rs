//! Central differences of what a plan computes.

use super::cases::{BATCH, Case};
use bytemuck::Zeroable;
use elbo::exec::{Executor, PlanId};
use elbo::graph::grad::{gradients, gradients_from};
use elbo::graph::{Graph, Id, Op};
use elbo::kernels::StepScalars;
use elbo::plan::{Resident, Role, lower};

/// The distance of central differences. Rounding of f32 is divided by it, and no kink lies within twice of it.
pub const STEP: f64 = 1.0 / 16.0;

/// How far from a slope the central difference may be, in root mean squares of the gradient.
const TRUNCATION: f64 = 1e-3;

/// No case reads resident data, and one step's terms are enough.
pub const RESIDENT: Resident = Resident { data_words: 4, window: 0, order_words: 4, metric_slots: 1 };

/// The loss is the sum of what comes out, times random numbers: the cotangents.
pub fn check_with_cotangents(executor: &mut Executor, mut case: Case) {
    let seeds: Vec<(Id, Id)> = case
        .out
        .clone()
        .into_iter()
        .map(|out| {
            let extents = case.graph.shape(out).extents().to_vec();
            (out, case.constant(&extents))
        })
        .collect();
    let mut graph = case.graph.clone();
    let found =
        gradients_from(&mut graph, &seeds, &case.variable_ids()).unwrap_or_else(|e| panic!("{}: {e}", case.name));
    let loaded = load(executor, &case, graph, &found);
    let cotangents: Vec<Vec<f32>> =
        case.inputs[case.inputs.len() - seeds.len()..].iter().map(|(_, v)| v.clone()).collect();
    let loss = |executor: &mut Executor| {
        run(executor, loaded.plan, &step(BATCH));
        let products = cotangents.iter().enumerate().flat_map(|(at, cotangent)| {
            let role = Role::Output(format!("{}, out {at}", case.name));
            let out = executor.read_f32(&role, 0, cotangent.len()).expect("the output is there");
            out.into_iter().zip(cotangent).map(|(a, &b)| f64::from(a) * f64::from(b)).collect::<Vec<_>>()
        });
        products.sum()
    };
    compare(executor, &case.name, &loaded, usize::MAX, loss);
}

/// The loss is the weighted sum of the terms, means over those examples that count.
pub fn check_as_terms(executor: &mut Executor, mut case: Case, rows: usize) {
    case.name = format!("{}, as terms over {rows} examples", case.name);
    let mut graph = case.graph.clone();
    for (weight, &out) in case.out.iter().enumerate() {
        graph.term(&format!("term {weight}"), out, weight);
    }
    let terms = case.out.len();
    let found = gradients(&mut graph, &case.variable_ids()).unwrap_or_else(|e| panic!("{}: {e}", case.name));
    let loaded = load(executor, &case, graph, &found);
    let step = step(rows);
    let loss = |executor: &mut Executor| {
        run(executor, loaded.plan, &step);
        let metrics = executor.read_f32(&Role::Metrics, 0, terms).expect("the metrics are there");
        metrics.iter().zip(step.weights).map(|(&m, w)| f64::from(m) * f64::from(w)).sum()
    };
    // What terms change of a rule is which rows count: on an adapter, where each element costs four runs, some of each tensor show
    // it. Cotangents try all.
    let most = if matches!(executor, Executor::Cpu(_)) { usize::MAX } else { 8 };
    compare(executor, &case.name, &loaded, most, loss);
}

/// An executor's plan of a case, and how to give it values.
struct Loaded {
    plan: PlanId,
    inputs: Vec<(Role, Vec<f32>)>,
    variables: Vec<usize>,
}

/// Loads a graph whose gradients are given; they are read as outputs called after the case.
fn load(executor: &mut Executor, case: &Case, mut graph: Graph, gradients: &[Option<Id>]) -> Loaded {
    let name = &case.name;
    for (at, gradient) in gradients.iter().enumerate() {
        let x = gradient.unwrap_or_else(|| panic!("{name}: the loss does not depend on variable {at}"));
        // A gradient may be a tensor that already has a place, such as the cotangent itself.
        let copy = graph.add(Op::Scale { x, factor: 1.0 }).expect("a tensor can be scaled");
        graph.output(&format!("{name}, gradient {at}"), copy);
    }
    for (at, &id) in case.out.iter().enumerate() {
        graph.output(&format!("{name}, out {at}"), id);
    }
    let input = |&(id, ref values): &(Id, Vec<f32>)| match graph.op(id) {
        Op::Input { name, .. } => (Role::Input(name.clone()), values.clone()),
        other => panic!("{} is no input", other.name()),
    };
    let inputs = case.inputs.iter().map(input).collect();
    let plan = lower(name, graph, None, RESIDENT, executor.target()).unwrap_or_else(|error| panic!("{name}: {error}"));
    let plan = executor.load(plan).unwrap_or_else(|error| panic!("{name}: {error}"));
    Loaded { plan, inputs, variables: case.variables.clone() }
}

/// Holds about `most` elements of every gradient, in even distances, against the slope of `loss`, which runs the plan.
fn compare(executor: &mut Executor, name: &str, loaded: &Loaded, most: usize, loss: impl Fn(&mut Executor) -> f64) {
    for (role, values) in &loaded.inputs {
        executor.write_f32(role, 0, values).expect("the input fits");
    }
    let level = loss(executor);
    let counts = loaded.variables.iter().map(|&at| loaded.inputs[at].1.len());
    let read = |(at, count)| executor.read_f32(&Role::Output(format!("{name}, gradient {at}")), 0, count);
    let found: Vec<Vec<f32>> = counts.enumerate().map(read).map(|found| found.expect("it is there")).collect();
    for (variable, (&input, found)) in loaded.variables.iter().zip(&found).enumerate() {
        let (role, values) = &loaded.inputs[input];
        let mut slopes = Vec::new();
        let every = values.len().div_ceil(most);
        for (element, &at) in values.iter().enumerate().step_by(every) {
            slopes.push(slope(f64::from(at), STEP, |x| {
                executor.write_f32(role, element, &[x]).expect("the element is there");
                loss(executor)
            }));
            executor.write_f32(role, element, &[at]).expect("the element is there");
        }
        let what = format!("{}: {name}, gradient {variable}", executor.name());
        let found: Vec<f32> = found.iter().copied().step_by(every).collect();
        assert_close(&what, &found, &slopes, level / STEP);
    }
}

/// The derivative at `x` from four values at a distance of one or two steps, off by step⁴/30 of the fifth derivative.
pub fn slope(x: f64, step: f64, mut f: impl FnMut(f32) -> f64) -> f64 {
    let mut difference = |h: f64| {
        let (above, below) = ((x + h) as f32, (x - h) as f32);
        (f(above) - f(below)) / (f64::from(above) - f64::from(below))
    };
    (4.0 * difference(step) - difference(2.0 * step)) / 3.0
}

/// Each element may be off by the truncation, a small part of the gradient's root mean square, and by the rounding of
/// the four losses, each about as large as `loss`, which is divided by the step.
pub fn assert_close(what: &str, found: &[f32], slopes: &[f64], loss: f64) {
    assert_eq!(found.len(), slopes.len(), "{what}");
    let scale = (slopes.iter().map(|s| s * s).sum::<f64>() / slopes.len() as f64).sqrt();
    assert!(scale.is_finite() && scale > 1e-4, "{what}: slopes of the scale {scale} prove nothing");
    let allowed = TRUNCATION * scale + 2.0 * f64::from(f32::EPSILON) * loss.abs();
    for (at, (&found, &slope)) in found.iter().zip(slopes).enumerate() {
        let error = (f64::from(found) - slope).abs();
        assert!(error < allowed, "{what}, element {at}: {found} instead of {slope} (allowed ±{allowed:.1e})");
    }
}

/// The scalars of a step with `rows` examples that count; its learning rate is 0.
pub fn step(rows: usize) -> StepScalars {
    let weights = [0.7, 1.3, -0.4, 0.0, 0.9, -0.6, 1.1, 0.5];
    let row_weight = 1.0 / rows as f32;
    StepScalars { rows: rows as u32, row_weight, correction1: 1.0, correction2: 1.0, weights, ..StepScalars::zeroed() }
}

fn run(executor: &mut Executor, plan: PlanId, step: &StepScalars) {
    executor.run(plan, &[*step]).expect("the plan runs");
}
