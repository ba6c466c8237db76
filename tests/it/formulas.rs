//! Formulas as plans: what is joined, and what one costs beside a kernel that was written for the same.

use crate::support::{ROUNDING, compare, executors};
use bytemuck::Zeroable;
use elbo::config::Activation;
use elbo::exec::Executor;
use elbo::graph::{Axis, Graph, Id, Op, Reduction};
use elbo::kernels::StepScalars;
use elbo::plan::{Plan, Resident, Role, Target, lower};
use elbo::rng::{Philox, Stream};
use elbo::shape::Shape;
use std::io::Write;
use std::time::{Duration, Instant};

const RESIDENT: Resident = Resident { data_words: 4, window: 0, order_words: 4, metric_slots: 1 };

fn input(graph: &mut Graph, name: &str, extents: &[usize]) -> Id {
    graph.add(Op::Input { name: name.into(), shape: Shape::new(extents) }).expect("an input reads nothing")
}

/// A plan with one output, `y`.
fn plan(target: Target, batch: usize, build: impl Fn(&mut Graph) -> Id) -> Plan {
    let mut graph = Graph::new(batch);
    let y = build(&mut graph);
    graph.output("y", y);
    lower("formula", graph, None, RESIDENT, target).expect("the plan is legal")
}

fn kernels(plan: &Plan) -> Vec<&str> {
    plan.steps.iter().map(|step| step.kernel.name).collect()
}

#[test]
fn neighbouring_formulas_are_one_step_and_what_is_read_twice_is_stored_once() {
    for target in [Target::Gpu, Target::Software, Target::Cpu] {
        let chain = plan(target, 8, |graph| {
            let x = input(graph, "x", &[8, 6]);
            let [left, right] = [0, 3].map(|start| graph.columns(x, start, 3).expect("columns"));
            let both = graph.map([left, right], |[l, r]| l.tanh() * r).expect("alike");
            let scaled = graph.map([both], |[b]| 0.5 * b).expect("alike");
            graph.reduce(Reduction::Sum, Axis::Columns, scaled).expect("any")
        });
        assert_eq!(kernels(&chain), ["reduce"], "{target:?}");
        assert_eq!(chain.steps[0].what, "sum over columns of 0.5 * (tanh(a) * b)");
        let twice = plan(target, 8, |graph| {
            let x = input(graph, "x", &[8, 6]);
            let dear = graph.map([x], |[x]| x.exp()).expect("alike");
            let total = graph.reduce(Reduction::Sum, Axis::Columns, dear).expect("any");
            graph.map([dear, total], |[e, t]| e / t).expect("rows repeat")
        });
        assert_eq!(kernels(&twice), ["map", "reduce", "map"], "{target:?}");
    }
}

/// The shortest of some runs, each of a few.
fn shortest(executor: &mut Executor, plan: Plan, x: &[f32]) -> (Duration, Vec<f32>) {
    let id = executor.load(plan).expect("the plan fits");
    executor.write_f32(&Role::Input("x".into()), 0, x).expect("x fits");
    let mut best = Duration::MAX;
    let mut y = vec![];
    for _ in 0..40 {
        let begun = Instant::now();
        executor.run(id, &[StepScalars { rows: 128, ..StepScalars::zeroed() }; 4]).expect("the plan runs");
        y = executor.read_f32(&Role::Output("y".into()), 0, x.len()).expect("y is there");
        best = best.min(begun.elapsed());
    }
    (best / 4, y)
}

/// Times depend on what else a machine does, so they are printed and not judged:
/// `cargo test --test it a_formula_of_ten`.
#[test]
fn a_formula_of_ten_operations_is_the_kernel_that_was_written_for_it() {
    let mut random = Philox::new(1, Stream::Choice, 0, 0);
    let x: Vec<f32> = (0..128 * 800).map(|_| random.normal()).collect();
    for mut executor in executors() {
        let target = executor.target();
        let written = plan(target, 128, |graph| {
            let x = input(graph, "x", &[128, 800]);
            graph.add(Op::Activation { x, kind: Activation::Gelu }).expect("any shape")
        });
        let formula = plan(target, 128, |graph| {
            let x = input(graph, "x", &[128, 800]);
            let gelu = |x: elbo::expr::Expr| {
                let cube = 0.044_715 * x.clone().squared() * x.clone();
                0.5 * x.clone() * (1.0 + (0.797_884_6 * (x + cube)).tanh())
            };
            graph.map([x], |[x]| gelu(x)).expect("any shape")
        });
        assert_eq!((kernels(&written), kernels(&formula)), (vec!["activation"], vec!["map"]));
        let (of_written, expected) = shortest(&mut executor, written, &x);
        let (of_formula, found) = shortest(&mut executor, formula, &x);
        compare(&expected, &found, ROUNDING).unwrap_or_else(|why| panic!("{}: {why}", executor.name()));
        let ratio = of_formula.as_secs_f64() / of_written.as_secs_f64();
        let line = format!("{}: kernel {of_written:?}, formula {of_formula:?}, ratio {ratio:.2}", executor.name());
        writeln!(std::io::stderr(), "{line}").expect("stderr takes a line");
    }
}
