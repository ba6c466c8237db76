//! The comparator of arrays of finite floats, and the devices that tests run on.

use elbo::exec::Executor;
use elbo::exec::compare as comparator;
pub use elbo::exec::compare::{ROUNDING, Tolerance};
use elbo::exec::cpu::Cpu;
use elbo::graph::{Graph, Id, Op};
use elbo::kernels::StepScalars;
use elbo::plan::{Resident, Role, lower};
use elbo::shape::Shape;
use std::io::Write;
use std::sync::Once;

/// Whether `actual` is `expected` within a tolerance, as the program's own comparator has it; tests expect finite numbers.
pub fn compare(expected: &[f32], actual: &[f32], tolerance: Tolerance) -> Result<(), String> {
    match expected.iter().position(|e| !e.is_finite()) {
        Some(at) => Err(format!("not finite: element {at} is expected to be {}", expected[at])),
        None => comparator::compare(expected, actual, tolerance),
    }
}

/// What an operation on two matrices of so many rows, a decoder's output and examples, makes of each row. Buffers are shared
/// by name and keep their size: `name` tells calls on one executor apart.
pub fn of_rows(
    executor: &mut Executor,
    name: &str,
    rows: usize,
    given: [&[f32]; 2],
    op: &dyn Fn([Id; 2]) -> Op,
) -> Vec<f32> {
    let mut graph = Graph::new(rows);
    let names = ["out", "x"].map(|what| format!("{what} of {name}"));
    let ids = [0, 1].map(|at| {
        let shape = Shape::new(&[rows, given[at].len() / rows]);
        graph.add(Op::Input { name: names[at].clone(), shape }).unwrap()
    });
    let made = graph.add(op(ids)).unwrap();
    let name = format!("rows of {name}");
    graph.output(&name, made);
    let resident = Resident { data_words: 4, window: 0, order_words: 4, metric_slots: 1 };
    let id = executor.load(lower("rows", graph, None, resident, executor.target()).unwrap()).unwrap();
    for (name, values) in names.into_iter().zip(given) {
        executor.write_f32(&Role::Input(name), 0, values).unwrap();
    }
    let scalars = StepScalars { rows: rows as u32, row_weight: 1.0 / rows as f32, ..bytemuck::Zeroable::zeroed() };
    executor.run(id, &[scalars]).unwrap();
    executor.read_f32(&Role::Output(name), 0, rows).unwrap()
}

/// What a graph makes of inputs, each a name, extents and values: its outputs in their order.
pub fn computed(
    executor: &mut Executor,
    batch: usize,
    inputs: &[(&str, &[usize], &[f32])],
    build: impl Fn(&mut Graph, &[Id]) -> Vec<Id>,
) -> Vec<Vec<f32>> {
    let mut graph = Graph::new(batch);
    let ids: Vec<Id> = inputs
        .iter()
        .map(|(name, extents, _)| {
            graph.add(Op::Input { name: (*name).into(), shape: Shape::new(extents) }).expect("an input reads nothing")
        })
        .collect();
    let outputs = build(&mut graph, &ids);
    let named: Vec<(String, usize)> =
        (0..outputs.len()).map(|at| (format!("computed {at}"), graph.shape(outputs[at]).count())).collect();
    outputs.iter().zip(&named).for_each(|(&id, (name, _))| graph.output(name, id));
    let resident = Resident { data_words: 4, window: 0, order_words: batch, metric_slots: 1 };
    let plan = lower("computed", graph, None, resident, executor.target()).expect("the plan is legal");
    let id = executor.load(plan).expect("the plan fits");
    for (name, _, values) in inputs {
        executor.write_f32(&Role::Input((*name).into()), 0, values).expect("the input fits");
    }
    executor.run(id, &[StepScalars { rows: batch as u32, ..bytemuck::Zeroable::zeroed() }]).expect("the plan runs");
    let read = |(name, count): (String, usize)| executor.read_f32(&Role::Output(name), 0, count);
    named.into_iter().map(read).collect::<Result<_, _>>().expect("the outputs are there")
}

/// log |det| of the Jacobian of what is made of each of `rows` rows of `width` numbers by itself, from central differences.
pub fn log_determinants(rows: usize, width: usize, at: &[f32], mut of: impl FnMut(&[f32]) -> Vec<f32>) -> Vec<f64> {
    const STEP: f32 = 1.0 / 64.0;
    let mut jacobians = vec![vec![0.0; width * width]; rows];
    for column in 0..width {
        let mut moved = |by: f32| {
            let mut values = at.to_vec();
            values.iter_mut().skip(column).step_by(width).for_each(|value| *value += by);
            of(&values)
        };
        // From differences over one and two steps, off by the fourth power of the step.
        let [near, far] =
            [STEP, 2.0 * STEP].map(|step| [moved(step), moved(-step)].map(|made| (made, f64::from(step))));
        for place in 0..rows * width {
            let slope = |[(above, step), (below, _)]: &[(Vec<f32>, f64); 2]| {
                (f64::from(above[place]) - f64::from(below[place])) / (2.0 * step)
            };
            jacobians[place / width][place % width * width + column] = (4.0 * slope(&near) - slope(&far)) / 3.0;
        }
    }
    jacobians.into_iter().map(|jacobian| log_determinant(jacobian, width)).collect()
}

/// log |det| by Gaussian elimination with the largest pivot of each column.
fn log_determinant(mut matrix: Vec<f64>, width: usize) -> f64 {
    let mut total = 0.0;
    for column in 0..width {
        let largest = (column..width)
            .max_by(|&a, &b| matrix[a * width + column].abs().total_cmp(&matrix[b * width + column].abs()));
        let pivot = largest.expect("there is a row");
        (0..width).for_each(|at| matrix.swap(column * width + at, pivot * width + at));
        total += matrix[column * width + column].abs().ln();
        for row in column + 1..width {
            let factor = matrix[row * width + column] / matrix[column * width + column];
            (column..width).for_each(|at| matrix[row * width + at] -= factor * matrix[column * width + at]);
        }
    }
    total
}

/// The CPU engine, and all adapters that [`adapters`] gives.
pub fn executors() -> Vec<Executor> {
    let mut executors = vec![Executor::Cpu(Cpu::new(2).expect("threads start"))];
    executors.extend(adapters(true));
    executors
}

/// The adapters to test on, with shaders that check their indices or with those of the released program.
/// `ELBO_TEST_ADAPTER` says which: `auto` (or nothing) takes all that are found and says so where there are none,
/// `require` fails there, `off` takes none.
pub fn adapters(checked: bool) -> Vec<Executor> {
    static SKIPPED: Once = Once::new();
    let wanted = std::env::var("ELBO_TEST_ADAPTER").unwrap_or_else(|_| "auto".into());
    assert!(["auto", "require", "off"].contains(&&wanted[..]), "ELBO_TEST_ADAPTER is \"{wanted}\"");
    let found = if wanted == "off" { vec![] } else { open(checked) };
    if found.is_empty() {
        assert_ne!(wanted, "require", "no adapter was found; install a Vulkan driver, such as Mesa's");
        // Not by a macro, whose output is shown only when a test fails.
        let why = if wanted == "off" { "ELBO_TEST_ADAPTER=off" } else { "no adapter was found" };
        SKIPPED.call_once(|| drop(writeln!(std::io::stderr(), "tests on adapters are skipped: {why}")));
    }
    found
}

#[cfg(feature = "gpu")]
fn open(checked: bool) -> Vec<Executor> {
    use elbo::exec::gpu::{Gpu, adapters};
    let open = |adapter| Executor::Gpu(Box::new(Gpu::open(adapter, checked).expect("the adapter opens")));
    adapters().iter().map(open).collect()
}

#[cfg(not(feature = "gpu"))]
fn open(_: bool) -> Vec<Executor> {
    vec![]
}

mod tests {
    use super::*;

    #[test]
    fn tests_expect_finite_numbers() {
        for number in [f32::NAN, f32::INFINITY] {
            assert!(compare(&[number], &[number], ROUNDING).is_err());
        }
        assert_eq!(compare(&[1.0], &[1.0], ROUNDING), Ok(()));
    }
}
