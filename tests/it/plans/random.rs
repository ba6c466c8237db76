//! Small networks put together at random: whatever a plan is made for, it computes the same.

use super::runs::cpu;
use crate::support::{ROUNDING, compare};
use bytemuck::Zeroable;
use elbo::config::{Activation, Config};
use elbo::expr::Expr;
use elbo::graph::op::Variance;
use elbo::graph::{Axis, Clamp, Graph, Id, Op, Reduction};
use elbo::kernels::StepScalars;
use elbo::plan::{Resident, Role, Target, UpdateStep, lower};
use elbo::rng::{Philox, Stream};
use elbo::shape::Shape;

const KINDS: [Activation; 5] =
    [Activation::Tanh, Activation::Silu, Activation::Sigmoid, Activation::Softplus, Activation::Gelu];

/// Numbers drawn for one network.
struct Draw(Philox);

impl Draw {
    fn below(&mut self, end: usize) -> usize {
        ((self.0.uniform() * end as f32) as usize).min(end - 1)
    }
}

fn add(graph: &mut Graph, op: Op) -> Id {
    graph.add(op).expect("the shapes meet")
}

fn input(graph: &mut Graph, name: &str, extents: &[usize]) -> Id {
    add(graph, Op::Input { name: name.to_owned(), shape: Shape::new(extents) })
}

/// Up to four layers of random widths, the last of a given one.
fn tower(graph: &mut Graph, draw: &mut Draw, name: &str, mut x: Id, width: usize) -> Id {
    let layers = 1 + draw.below(4);
    for layer in 1..=layers {
        let outputs = if layer == layers { width } else { 1 + draw.below(7) };
        let shape = Shape::new(&[graph.shape(x).columns() + 1, outputs]);
        let w = graph.parameter(&format!("{name}.{layer}"), shape).expect("a parameter reads nothing");
        x = add(graph, Op::Affine { x, w });
        if layer < layers && draw.below(3) > 0 {
            x = add(graph, Op::Activation { x, kind: KINDS[draw.below(KINDS.len())] });
        }
    }
    x
}

/// A posterior, its samples, pseudo-inputs that belong to no example, a decoder, and two or three terms.
fn network(draw: &mut Draw) -> Graph {
    let clamp = Clamp { low: -4.0, high: 4.0 };
    let mut graph = Graph::training(3 + draw.below(40));
    let (batch, latent, samples, data) = (graph.batch, 1 + draw.below(4), 1 + draw.below(2), 2 + draw.below(5));
    let x = input(&mut graph, "x", &[batch, data]);
    let stats = tower(&mut graph, draw, "encoder", x, 2 * latent);
    let eps = add(&mut graph, Op::Noise { rows: batch * samples, width: latent, layer: 0 });
    let z = add(&mut graph, Op::Sample { stats, eps, clamp });
    let h = if draw.below(2) == 0 {
        let pseudo_inputs = 1 + draw.below(3 * batch);
        let pseudo = input(&mut graph, "pseudo", &[pseudo_inputs, 3]);
        let pseudo = tower(&mut graph, draw, "pseudo", pseudo, latent);
        let v = add(&mut graph, Op::SumColumns { x: pseudo });
        let rows = add(&mut graph, Op::BroadcastColumns { v, rows: batch * samples });
        let rows = add(&mut graph, Op::Scale { x: rows, factor: 1.0 / pseudo_inputs as f32 });
        add(&mut graph, Op::Add { a: z, b: rows })
    } else {
        z
    };
    let out = tower(&mut graph, draw, "decoder", h, data);
    let distortion = match draw.below(2) {
        0 => Op::Bernoulli { logits: out, x },
        _ => Op::Gaussian { out, x, variance: Variance::Fixed(-0.5) },
    };
    let distortion = add(&mut graph, distortion);
    graph.term("distortion", distortion, 0);
    let rate = if draw.below(2) == 0 {
        add(&mut graph, Op::Kl { stats, clamp })
    } else {
        add(&mut graph, Op::LogRatio { stats, eps, z, clamp })
    };
    graph.term("rate", rate, 1);
    if draw.below(2) == 0 {
        let square = add(&mut graph, Op::Multiply { a: out, b: out });
        let penalty = add(&mut graph, Op::SumRows { x: square });
        graph.term("penalty", penalty, 2);
    }
    graph
}

/// A formula of many numbers, some of them read again and again, of so many operations. None of its functions lets small
/// differences grow, so that what is left between targets is rounding.
fn formula(draw: &mut Draw, operands: &[Expr], operations: usize) -> Expr {
    let mut all = operands.to_vec();
    for _ in 0..operations {
        let [a, b] = [0; 2].map(|_| all[draw.below(all.len())].clone());
        all.push(match draw.below(7) {
            0 => (a * 0.8 + b * 0.4).tanh(),
            1 => a.sigmoid() * b,
            2 => (a - b) * 0.5,
            3 => (a.abs() * -1.0).exp() + b * 0.25,
            4 => a.clone().less(b.clone()).select(a.softplus() * 0.5, b * 0.5),
            5 => a.max(b) * 0.75 + Expr::column_of(2) * 0.125,
            _ => (a.squared() + 1.0).ln() - Expr::row(3) * 0.0625 * b,
        });
    }
    let last = all[operands.len()..].iter().rev().take(4);
    // Every operand is looked at.
    last.chain(operands).cloned().reduce(|sum, x| sum + x.tanh()).expect("there are operands")
}

/// A term of a formula of many tensors of all extents that repeat, some of them joined, reversed or cut before.
fn formulas(draw: &mut Draw) -> Graph {
    let mut graph = Graph::training(2 * (2 + draw.below(5)));
    let (batch, width) = (graph.batch, 1 + draw.below(6));
    let count = 2 + draw.below(14);
    let mut tensors = Vec::new();
    for at in 0..count {
        let extents: [&[usize]; 5] = [&[batch, width], &[batch], &[1, width], &[batch / 2, width], &[batch / 2]];
        let shape = Shape::new(extents[if at == 0 { 0 } else { draw.below(5) }]);
        let x = graph.parameter(&format!("p{at}"), shape).expect("a parameter reads nothing");
        tensors.push(match (draw.below(6), shape.columns() == width, shape.rows() == batch) {
            (0, ..) => graph.reverse(x).expect("any tensor"),
            (1, true, true) => {
                let parts = [0, 1].map(|start| graph.columns(x, start, width).expect("any tensor"));
                let wide = graph.concatenate(&parts).expect("as many rows");
                graph.columns(wide, width as i32 / 2, width).expect("any tensor")
            }
            (2, _, false) if shape.rows() > 1 => graph.tile(x, 2).expect("any tensor"),
            _ => x,
        });
    }
    let all: [Id; 16] = std::array::from_fn(|at| tensors[at % count]);
    let operations = 5 + draw.below(150);
    let total = graph.map(all, |all| formula(draw, &all[..count], operations)).expect("they repeat");
    let kind = [Reduction::Sum, Reduction::Max, Reduction::LogSumExp][draw.below(3)];
    let rows = graph.reduce(kind, Axis::Columns, total).expect("any tensor");
    graph.term("distortion", rows, 0);
    let halves = graph.reduce(kind, [Axis::Rows(2), Axis::Tiles(2)][draw.below(2)], total).expect("an even batch");
    let halves = graph.map([rows, halves], |[rows, x]| rows * 0.1 + x * Expr::column()).expect("rows repeat");
    let rate = graph.reduce(Reduction::Sum, Axis::Columns, halves).expect("any tensor");
    graph.term("rate", rate, 1);
    graph
}

/// Gradients and metrics of one step, on the CPU engine.
fn outcome(graph: &Graph, target: Target) -> Vec<Vec<f32>> {
    let (batch, config) = (graph.batch, Config::default());
    let resident = Resident { data_words: 4, window: 0, order_words: batch, metric_slots: 1 };
    let plan = lower("random", graph.clone(), Some(UpdateStep::plain(&config.optimizer)), resident, target);
    let plan = plan.unwrap_or_else(|error| panic!("{target:?}: {error}"));
    let mut executor = cpu(2);
    let buffers = plan.buffers.clone();
    let id = executor.load(plan).expect("the plan fits");
    for buffer in &buffers {
        if matches!(buffer.role, Role::Input(_) | Role::Parameters) {
            let values: Vec<f32> = (0..buffer.words).map(|at| 0.6 * (at as f32 * 1.3 + 0.4).sin()).collect();
            executor.write_f32(&buffer.role, 0, &values).expect("the values fit");
        }
    }
    let scalars = StepScalars {
        rows: batch as u32 - 1,
        row_weight: 1.0 / (batch as f32 - 1.0),
        stream: Stream::Noise as u32,
        lr: 1e-3,
        correction1: 0.1,
        correction2: 0.001,
        weights: [1.0, 0.7, 0.3, 0.0, 0.0, 0.0, 0.0, 0.0],
        ..StepScalars::zeroed()
    };
    executor.run(id, &[scalars]).expect("the plan runs");
    let kept = buffers.iter().filter(|buffer| matches!(buffer.role, Role::Gradients | Role::Metrics));
    let mut kept: Vec<_> = kept.map(|buffer| (buffer.role.clone(), buffer.words)).collect();
    kept.sort();
    kept.into_iter().map(|(role, words)| executor.read_f32(&role, 0, words).expect("it is there")).collect()
}

#[test]
fn random_formulas_of_any_size_compute_the_same_whatever_they_are_planned_for() {
    let mut most = 0;
    for seed in 0..40 {
        let graph = formulas(&mut Draw(Philox::new(6, Stream::Choice, seed, 0)));
        most = most.max(graph.ids().filter(|&id| matches!(graph.op(id), Op::Map(_))).count());
        let expected = outcome(&graph, Target::Cpu);
        for target in [Target::Software, Target::Gpu] {
            for (expected, found) in expected.iter().zip(&outcome(&graph, target)) {
                compare(expected, found, ROUNDING).unwrap_or_else(|why| panic!("formula {seed} for {target:?}: {why}"));
            }
        }
    }
    assert!(most > 20, "no formula was cut");
}

#[test]
fn random_networks_compute_the_same_whatever_they_are_planned_for() {
    for seed in 0..60 {
        let graph = network(&mut Draw(Philox::new(5, Stream::Choice, seed, 0)));
        let expected = outcome(&graph, Target::Cpu);
        for target in [Target::Software, Target::Gpu] {
            let found = outcome(&graph, target);
            assert_eq!(expected.len(), found.len());
            for (expected, found) in expected.iter().zip(&found) {
                compare(expected, found, ROUNDING).unwrap_or_else(|why| panic!("network {seed} for {target:?}: {why}"));
            }
        }
    }
}
