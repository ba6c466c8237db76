//! Formulas as plans: what is joined, and what one costs beside a kernel that was written for the same.

use crate::support::{ROUNDING, adapters, compare, executors};
use bytemuck::Zeroable;
use elbo::config::{Activation, Config};
use elbo::exec::Executor;
use elbo::exec::cpu::Cpu;
use elbo::expr::Expr;
use elbo::graph::{Axis, Graph, Id, Op, Reduction};
use elbo::kernels::StepScalars;
use elbo::kernels::matmul::FORMULA;
use elbo::plan::{Plan, Resident, Role, Target, UpdateStep, lower};
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

#[test]
fn a_formula_of_twelve_tensors_is_two_steps_of_which_the_first_stores_no_more_than_it_must() {
    for target in [Target::Gpu, Target::Software, Target::Cpu] {
        let of = |extents: fn(usize) -> Vec<usize>| {
            let twelve = plan(target, 8, |graph| {
                let all: [Id; 12] = std::array::from_fn(|k| input(graph, &format!("x{k}"), &extents(k)));
                let sum = |all: [Expr; 12]| all.into_iter().reduce(|sum, x| sum + x).expect("there are twelve");
                let sum = graph.map(all, sum).expect("they repeat");
                graph.reduce(Reduction::Sum, Axis::Columns, sum).expect("any tensor")
            });
            let made: Vec<u32> = twelve.steps.iter().map(|step| step.views.last().expect("y").words as u32).collect();
            (kernels(&twelve).join(" "), made)
        };
        assert_eq!(of(|_| vec![8, 6]), ("map reduce".into(), vec![48, 8]), "{target:?}");
        // What is alike in all columns is stored as one, what all rows share as a row.
        let found = of(|k| if k < 7 { vec![8] } else { vec![8, 6] });
        assert_eq!(found, ("map reduce".into(), vec![8, 8]), "{target:?}");
        let found = of(|k| if k < 7 { vec![1, 6] } else { vec![8, 6] });
        assert_eq!(found, ("map reduce".into(), vec![6, 8]), "{target:?}");
    }
}

/// log Σₖ wₖ N(z; μₖ, σₖ²) with K = 500: what pairs of all examples and all rows of parameters have in Z dimensions each is not
/// stored on the way there, nor on the way back.
#[test]
fn the_pairs_of_a_mixture_are_never_stored_in_all_their_dimensions() {
    let (batch, components, latent) = (16, 500, 10);
    for target in [Target::Gpu, Target::Software, Target::Cpu] {
        let mut graph = Graph::training(batch);
        let parameter = |graph: &mut Graph, name: &str, extents: &[usize]| {
            graph.parameter(name, Shape::new(extents)).expect("a parameter reads nothing")
        };
        let z = parameter(&mut graph, "z", &[batch, latent]);
        let [mean, log_variance] = ["mean", "log variance"].map(|name| {
            let all = parameter(&mut graph, name, &[components, latent]);
            graph.tile(all, batch).expect("any tensor")
        });
        let weight = parameter(&mut graph, "weight", &[1, components]);
        let pair = |[z, mean, lv]: [Expr; 3]| -0.5 * ((z - mean).squared() * (-lv.clone()).exp() + lv);
        let density = graph
            .reduce_map(Reduction::Sum, Axis::Columns, [z, mean, log_variance], pair)
            .and_then(|pairs| graph.reshape(pairs, &[batch, components]))
            .and_then(|pairs| graph.reduce_map(Reduction::LogSumExp, Axis::Columns, [pairs, weight], |[p, w]| p + w))
            .expect("they repeat");
        graph.term("rate", density, 0);
        let optimizer = Config::default().optimizer;
        let plan =
            lower("mixture", graph, Some(UpdateStep::plain(&optimizer)), RESIDENT, target).expect("the plan is legal");
        let stored = plan.buffers.iter().filter(|buffer| matches!(buffer.role, Role::Slot(_) | Role::Workspace));
        let most = stored.map(|buffer| buffer.words).max().expect("something is stored");
        assert!(most < batch * components * latent / 2, "{target:?}: {most} words, of {:?}", kernels(&plan));
    }
}

/// Leaky `ReLU`.
fn leaky(x: Expr) -> Expr {
    x.clone().max(0.25 * x)
}

const ROWS: usize = 8;
const INPUTS: usize = 12;
const OUTPUTS: usize = 20;

/// An affine map of the input `x`.
fn affine(graph: &mut Graph, name: &str) -> Id {
    let x = input(graph, "x", &[ROWS, INPUTS]);
    let w = graph.parameter(name, Shape::new(&[INPUTS + 1, OUTPUTS])).expect("a parameter reads nothing");
    graph.add(Op::Affine { x, w }).expect("they meet")
}

fn numbers(count: usize, stream: Stream) -> Vec<f32> {
    let mut random = Philox::new(3, stream, 0, 0);
    (0..count).map(|_| random.normal()).collect()
}

/// What a plan puts in a place, of which there are so many words.
fn run(executor: &mut Executor, plan: Plan, role: &Role, words: usize) -> Vec<f32> {
    let inputs: Vec<(Role, usize)> = plan.buffers.iter().map(|buffer| (buffer.role.clone(), buffer.words)).collect();
    let id = executor.load(plan).expect("the plan fits");
    for (role, words) in inputs {
        if matches!(role, Role::Input(_) | Role::Parameters) {
            executor.write_f32(&role, 0, &numbers(words, Stream::Choice)).expect("it is as long");
        }
    }
    let weights = [0.5, 0.25, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0];
    let step = StepScalars {
        rows: 7,
        row_weight: 1.0 / 7.0,
        weights,
        correction1: 1.0,
        correction2: 1.0,
        ..StepScalars::zeroed()
    };
    executor.run(id, &[step]).expect("the plan runs");
    executor.read_f32(role, 0, words).expect("it is there")
}

/// The targets whose plans an executor can run.
fn targets(executor: &Executor) -> Vec<Target> {
    match executor.target() {
        Target::Cpu => vec![Target::Cpu, Target::Gpu, Target::Software, Target::Simd8],
        target => vec![target],
    }
}

#[test]
fn a_formula_that_alone_reads_a_product_is_its_way_out() {
    type Build = fn(&mut Graph) -> Id;
    let cases: [(&str, Build, &str); 8] = [
        (
            "of nothing else",
            |graph| {
                let h = affine(graph, "w");
                graph.map([h], |[h]| leaky(h.clone()) + Expr::weight(1) * h).expect("alike")
            },
            "P",
        ),
        (
            "of another tensor and the place",
            |graph| {
                let (h, z) = (affine(graph, "w"), input(graph, "z", &[ROWS, OUTPUTS]));
                let place = || Expr::row(ROWS).less(Expr::count()).select(Expr::column_of(3), Expr::row(2));
                graph.map([z, h], |[z, h]| z.clone() + leaky(h) * place() - z.sigmoid()).expect("alike")
            },
            "P",
        ),
        (
            "of two products",
            |graph| {
                let [a, b] = ["v", "w"].map(|name| affine(graph, name));
                graph.map([a, b], |[a, b]| a * b.sigmoid()).expect("alike")
            },
            "P P",
        ),
        (
            "of computed tensors",
            |graph| {
                let [a, b] = [("x", ROWS), ("z", OUTPUTS)].map(|(name, rows)| input(graph, name, &[rows, INPUTS]));
                let h = graph.add(Op::Product { a, b, batch: 1, transposed: [false, true] }).expect("they meet");
                graph.map([h], |[h]| leaky(h)).expect("alike")
            },
            "P",
        ),
        (
            "that decides by the product",
            |graph| {
                let h = affine(graph, "w");
                graph.map([h], |[h]| h.clone().less(0.0).select(0.25 * h.clone(), h)).expect("alike")
            },
            "P map",
        ),
        (
            "read twice",
            |graph| {
                let h = affine(graph, "w");
                let total = graph.reduce(Reduction::Sum, Axis::Columns, h).expect("any");
                graph.map([h, total], |[h, total]| leaky(h) - total).expect("rows repeat")
            },
            "P reduce map",
        ),
        (
            "beside a row",
            |graph| {
                let (h, z) = (affine(graph, "w"), input(graph, "z", &[1, OUTPUTS]));
                graph.map([h, z], |[h, z]| leaky(h) * z).expect("rows repeat")
            },
            "P map",
        ),
        (
            "of several products",
            |graph| {
                let [a, b] = ["x", "z"].map(|name| input(graph, name, &[ROWS, 4]));
                let h = graph.add(Op::Product { a, b, batch: 2, transposed: [false, true] }).expect("they meet");
                graph.map([h], |[h]| leaky(h)).expect("alike")
            },
            "batched_product map",
        ),
    ];
    for (what, build, expected) in cases {
        let made = |target: Target| plan(target, ROWS, build);
        for (target, product) in
            [(Target::Gpu, "matmul"), (Target::Software, "matmul_direct"), (Target::Simd8, "matmul_texels")]
        {
            assert_eq!(kernels(&made(target)).join(" "), expected.replace('P', product), "{what}, {target:?}");
        }
        let plain = made(Target::Cpu);
        assert!(plain.steps.iter().any(|step| step.kernel.name == "map"), "{what}: the CPU engine takes two steps");
        let words = plain.words(&Role::Output("y".into()));
        let role = Role::Output("y".into());
        let expected = run(&mut Executor::Cpu(Cpu::new(2).expect("threads")), plain, &role, words);
        for mut executor in executors() {
            for target in targets(&executor) {
                let found = run(&mut executor, made(target), &role, words);
                let verdict = compare(&expected, &found, ROUNDING);
                verdict.unwrap_or_else(|why| panic!("{what}, {target:?} on {}: {why}", executor.name()));
            }
        }
    }
}

/// Forward the number before the formula is stored, since the way back looks at it; the way back itself is joined.
#[test]
fn a_product_that_the_way_back_looks_at_is_stored_and_its_gradient_takes_the_formula_along() {
    let made = |target: Target| {
        let mut graph = Graph::training(ROWS);
        let h = affine(&mut graph, "w");
        let x = graph.map([h], |[h]| leaky(h)).expect("alike");
        let w = graph.parameter("v", Shape::new(&[OUTPUTS + 1, 4])).expect("a parameter reads nothing");
        let y = graph.add(Op::Affine { x, w }).expect("they meet");
        let loss = graph.reduce_map(Reduction::Sum, Axis::Columns, [y], |[y]| y.squared()).expect("any");
        graph.term("loss", loss, 0);
        let optimizer = Config::default().optimizer;
        lower("leaky", graph, Some(UpdateStep::plain(&optimizer)), RESIDENT, target).expect("the plan is legal")
    };
    let maps = |plan: &Plan| kernels(plan).iter().filter(|name| **name == "map").count();
    let plain = made(Target::Cpu);
    for target in [Target::Gpu, Target::Software, Target::Simd8] {
        let plan = made(target);
        let joined =
            plan.steps.iter().filter(|step| step.kernel.name.starts_with("matmul") && step.consts[4] == FORMULA);
        let joined: Vec<&str> = joined.map(|step| step.what.as_str()).collect();
        assert_eq!((joined.len(), maps(&plan) + 1), (1, maps(&plain)), "{target:?}: {joined:?}");
        assert!(joined[0].ends_with(", a = v: d input"), "{joined:?}");
    }
    let words = plain.words(&Role::Gradients);
    let expected = run(&mut Executor::Cpu(Cpu::new(2).expect("threads")), plain, &Role::Gradients, words);
    for mut executor in executors() {
        for target in targets(&executor) {
            let found = run(&mut executor, made(target), &Role::Gradients, words);
            let verdict = compare(&expected, &found, ROUNDING);
            verdict.unwrap_or_else(|why| panic!("{target:?} on {}: {why}", executor.name()));
        }
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

/// What a product and the formula after it take as one step, and as two: `cargo test --test it as_one_step_and_as_two`.
#[test]
fn a_product_and_its_formula_as_one_step_and_as_two() {
    let x = numbers(128 * 400, Stream::Choice);
    for mut executor in adapters(true) {
        let target = executor.target();
        let made = |twice: bool| {
            plan(target, 128, |graph| {
                let x = input(graph, "x", &[128, 400]);
                let w = graph.parameter("w", Shape::new(&[401, 400])).expect("a parameter reads nothing");
                let h = graph.add(Op::Affine { x, w }).expect("they meet");
                if twice {
                    graph.output("h", h);
                }
                graph.map([h], |[h]| leaky(h)).expect("alike")
            })
        };
        let [(one, _), (two, _)] = [false, true].map(|twice| shortest(&mut executor, made(twice), &x));
        writeln!(std::io::stderr(), "{}: one step {one:?}, two {two:?}", executor.name()).expect("stderr takes a line");
    }
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
