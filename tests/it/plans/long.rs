//! Sums that are as long as software drivers finish them, and longer ones.

use super::models::TARGETS;
use crate::support::{ROUNDING, compare, executors};
use bytemuck::Zeroable;
use elbo::error::Error;
use elbo::exec::Executor;
use elbo::exec::cpu::Cpu;
use elbo::graph::mixture::Mixture;
use elbo::graph::{ConvGeometry, Graph, Id, Op};
use elbo::kernels::{MAX_LOOP_ITERATIONS, StepScalars};
use elbo::plan::{Resident, Role, Target, lower};
use elbo::shape::Shape;

const RESIDENT: Resident = Resident { data_words: 4, window: 0, order_words: 4, metric_slots: 1 };

/// A sum over so many terms: how it is made of an input of given extents.
struct Sum {
    name: &'static str,
    /// The most terms that software drivers are given.
    most: usize,
    build: fn(&mut Graph, usize) -> Id,
}

/// An input of small whole numbers, so that sums are exact.
fn input(graph: &mut Graph, name: &str, extents: &[usize]) -> Id {
    graph.add(Op::Input { name: name.to_owned(), shape: Shape::new(extents) }).expect("an input reads nothing")
}

/// One pixel that sees one.
fn single() -> ConvGeometry {
    ConvGeometry::down([1, 1], 1, 1, 0).expect("the kernel fits")
}

const SUMS: [Sum; 8] = [
    Sum {
        name: "conv",
        most: MAX_LOOP_ITERATIONS - 4,
        build: |graph, terms| {
            let (x, w) = (input(graph, "x", &[2, terms]), input(graph, "w", &[terms + 1, 3]));
            graph.add(Op::Conv { x, w, window: single() }).expect("the shapes meet")
        },
    },
    Sum {
        name: "conv d input",
        most: MAX_LOOP_ITERATIONS - 4,
        build: |graph, terms| {
            let (x, w) = (input(graph, "unread", &[2, 3]), input(graph, "w", &[4, terms]));
            let of = graph.add(Op::Conv { x, w, window: single() }).expect("the shapes meet");
            let dy = input(graph, "x", &[2, terms]);
            graph.add(Op::Vjp { of, input: 0, dy }).expect("the shapes meet")
        },
    },
    Sum {
        name: "conv of several taps",
        most: (MAX_LOOP_ITERATIONS - 12) / 4,
        build: |graph, terms| {
            let window = ConvGeometry::down([2, 2], 2, 1, 0).expect("the kernel fits");
            let (x, w) = (input(graph, "x", &[2, 4 * terms]), input(graph, "w", &[4 * terms + 1, 3]));
            graph.add(Op::Conv { x, w, window }).expect("the shapes meet")
        },
    },
    Sum {
        name: "moments",
        most: MAX_LOOP_ITERATIONS / 2 * 64,
        build: |graph, terms| {
            let x = input(graph, "x", &[1, terms]);
            graph.add(Op::GroupMoments { x, channels: 1, groups: 1 }).expect("the shapes meet")
        },
    },
    Sum {
        name: "norm d input",
        most: MAX_LOOP_ITERATIONS / 2 * 64,
        build: |graph, terms| {
            let (x, dy) = (input(graph, "x", &[1, terms]), input(graph, "dy", &[1, terms]));
            let (w, moments) = (input(graph, "w", &[2, 1]), input(graph, "moments", &[1, 2]));
            let of = graph.add(Op::GroupNorm { x, w, moments }).expect("the shapes meet");
            graph.add(Op::Vjp { of, input: 0, dy }).expect("the shapes meet")
        },
    },
    Sum {
        name: "norm d scale",
        most: 8 * MAX_LOOP_ITERATIONS,
        build: |graph, terms| {
            let (x, dy) = (input(graph, "x", &[1, terms]), input(graph, "dy", &[1, terms]));
            let (w, moments) = (input(graph, "unread", &[2, 1]), input(graph, "moments", &[1, 2]));
            let of = graph.add(Op::GroupNorm { x, w, moments }).expect("the shapes meet");
            graph.add(Op::Vjp { of, input: 1, dy }).expect("the shapes meet")
        },
    },
    Sum {
        name: "columns",
        most: 8 * MAX_LOOP_ITERATIONS,
        build: |graph, terms| {
            let x = input(graph, "x", &[terms, 1]);
            graph.add(Op::SumColumns { x }).expect("an input has columns")
        },
    },
    Sum {
        name: "mean of a mixture",
        most: MAX_LOOP_ITERATIONS / 4 * 64,
        build: |graph, terms| {
            let mixture = Mixture { components: 1, channels: 1, shared_scales: false };
            let out = input(graph, "x", &[1, mixture.outputs(terms)]);
            graph.add(Op::LogisticMixtureMean { out, mixture }).expect("each pixel has its numbers")
        },
    },
];

fn graph(sum: &Sum, terms: usize) -> Graph {
    let mut graph = Graph::new(1);
    let out = (sum.build)(&mut graph, terms);
    graph.output("out", out);
    graph
}

/// What a device makes of a sum.
fn made(executor: &mut Executor, sum: &Sum, terms: usize) -> Vec<f32> {
    let graph = graph(sum, terms);
    let inputs: Vec<(Role, usize)> = graph
        .ids()
        .filter_map(|id| match graph.op(id) {
            Op::Input { name, shape } => Some((Role::Input(name.clone()), shape.count())),
            _ => None,
        })
        .collect();
    let unread = Role::Input("unread".into());
    let count = graph.shape(graph.outputs[0].1).count();
    let plan = lower(sum.name, graph, None, RESIDENT, executor.target());
    let id = executor.load(plan.unwrap_or_else(|error| panic!("{}: {error}", sum.name))).expect("the plan fits");
    // What only tells a shape is bound nowhere.
    for (which, (role, count)) in inputs.iter().enumerate().filter(|(_, (role, _))| *role != unread) {
        let values: Vec<f32> = (0..*count).map(|at| ((at + which) % (2 + which)) as f32).collect();
        executor.write_f32(role, 0, &values).expect("the input fits");
    }
    executor.run(id, &[StepScalars { rows: 1, ..StepScalars::zeroed() }]).expect("the plan runs");
    executor.read_f32(&Role::Output("out".into()), 0, count).expect("the output is there")
}

#[test]
fn the_longest_sums_of_layers_are_finished_by_every_device() {
    for sum in &SUMS {
        let expected = made(&mut Executor::Cpu(Cpu::new(1).expect("threads start")), sum, sum.most);
        // A device for each: buffers keep the size that they had first.
        for mut executor in executors() {
            let found = made(&mut executor, sum, sum.most);
            if let Err(difference) = compare(&expected, &found, ROUNDING) {
                panic!("{} on {}: {difference}", sum.name, executor.name());
            }
        }
    }
}

#[test]
fn longer_sums_of_layers_are_refused_for_software_drivers_alone() {
    for sum in &SUMS {
        for target in TARGETS {
            for (terms, fits) in [(sum.most, true), (sum.most + 64, false)] {
                let plan = lower(sum.name, graph(sum, terms), None, RESIDENT, target);
                match plan {
                    Ok(_) => {
                        assert!(fits || matches!(target, Target::Cpu | Target::Gpu), "{} for {target:?}", sum.name);
                    }
                    Err(Error::Device(why)) => {
                        assert!(!fits && why.contains("--adapter cpu"), "{} for {target:?}: {why}", sum.name);
                    }
                    Err(other) => panic!("{} for {target:?}: {other}", sum.name),
                }
            }
        }
    }
}
