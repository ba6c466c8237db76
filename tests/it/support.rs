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
