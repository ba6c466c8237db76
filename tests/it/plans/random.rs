//! Small networks put together at random: whatever a plan is made for, it computes the same.

use super::runs::cpu;
use crate::support::{ROUNDING, compare};
use bytemuck::Zeroable;
use elbo::config::{Activation, Config};
use elbo::graph::op::Variance;
use elbo::graph::{Clamp, Graph, Id, Op};
use elbo::kernels::StepScalars;
use elbo::plan::{Ending, Resident, Role, Target, lower};
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

/// Gradients and metrics of one step, on the CPU engine.
fn outcome(graph: &Graph, target: Target) -> Vec<Vec<f32>> {
    let (batch, config) = (graph.batch, Config::default());
    let resident = Resident { data_words: 4, window: 0, order_words: batch, metric_slots: 1 };
    let plan = lower("random", graph.clone(), Some(Ending::plain(&config.optimizer)), resident, target);
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
