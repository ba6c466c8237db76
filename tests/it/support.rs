//! The comparator of arrays of floats, and the devices that tests run on.

use elbo::exec::Executor;
use elbo::exec::cpu::Cpu;
use elbo::graph::{Graph, Id, Op};
use elbo::kernels::StepScalars;
use elbo::plan::{Resident, Role, lower};
use elbo::shape::Shape;
use std::io::Write;
use std::sync::Once;

/// How far two arrays may be apart.
#[derive(Debug, Clone, Copy)]
pub struct Tolerance {
    /// Bound of the normalised mean squared error, Σ(a − e)²/Σe².
    pub nmse: f64,
    /// Bound of each element's error, relative to its magnitude or the root mean square of all, whichever is larger.
    pub element: f64,
}

/// Errors of a handful of roundings in f32, as between a kernel and its twin.
pub const ROUNDING: Tolerance = Tolerance { nmse: 1e-10, element: 1e-4 };

/// Below this root mean square expected values count as zero.
const ZERO: f64 = 1e-10;

/// Whether `actual` is `expected` within a tolerance; if not, the message names the worst place by its flat index.
pub fn compare(expected: &[f32], actual: &[f32], tolerance: Tolerance) -> Result<(), String> {
    compare_shaped(expected, actual, &[expected.len()], tolerance)
}

/// The same for a tensor of a shape, whose coordinates the message gives.
pub fn compare_shaped(expected: &[f32], actual: &[f32], shape: &[usize], tolerance: Tolerance) -> Result<(), String> {
    if expected.len() != actual.len() || shape.iter().product::<usize>() != expected.len() {
        let (e, a) = (expected.len(), actual.len());
        return Err(format!("lengths differ: {e} values are expected and {a} were found, in a tensor of {shape:?}"));
    }
    let place = |i: usize| {
        let (e, a) = (expected[i], actual[i]);
        format!("element {i} at {:?} of {shape:?}: expected {e}, found {a}", coordinates(i, shape))
    };
    if let Some(i) = (0..expected.len()).find(|&i| !(expected[i].is_finite() && actual[i].is_finite())) {
        return Err(format!("not finite: {}", place(i)));
    }
    let error = |i: usize| f64::from(actual[i]) - f64::from(expected[i]);
    let energy: f64 = expected.iter().map(|&e| f64::from(e).powi(2)).sum();
    let energy = energy.max(expected.len() as f64 * ZERO * ZERO);
    let scale = (energy / expected.len() as f64).sqrt();
    let relative = |i: usize| error(i).abs() / f64::from(expected[i].abs()).max(scale);
    let Some(worst) = (0..expected.len()).max_by(|&i, &j| relative(i).total_cmp(&relative(j))) else {
        return Ok(());
    };
    let nmse = (0..expected.len()).map(|i| error(i).powi(2)).sum::<f64>() / energy;
    if nmse > tolerance.nmse || relative(worst) > tolerance.element {
        return Err(format!(
            "too far apart: normalised mean squared error {nmse:.2e} (allowed {:.2e}), largest relative error {:.2e} \
             (allowed {:.2e}) in {}",
            tolerance.nmse,
            relative(worst),
            tolerance.element,
            place(worst)
        ));
    }
    Ok(())
}

/// The row-major coordinates of a flat index.
fn coordinates(mut index: usize, shape: &[usize]) -> Vec<usize> {
    let mut coordinates = vec![0; shape.len()];
    for (coordinate, &size) in coordinates.iter_mut().zip(shape).rev() {
        *coordinate = index % size;
        index /= size;
    }
    coordinates
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

    fn wave() -> Vec<f32> {
        (0..600).map(|i| (i as f32 * 0.1).sin() * 3.0).collect()
    }

    fn changed(change: impl FnOnce(&mut Vec<f32>)) -> Vec<f32> {
        let mut values = wave();
        change(&mut values);
        values
    }

    #[test]
    fn equal_and_nearly_equal_arrays_pass() {
        for actual in [wave(), wave().iter().map(|x| x * (1.0 + 1e-6)).collect(), changed(|x| x[0] = 1e-6)] {
            assert_eq!(compare(&wave(), &actual, ROUNDING), Ok(()));
        }
        assert_eq!(compare(&[], &[], ROUNDING), Ok(()));
        assert_eq!(compare(&[0.0; 4], &[0.0, -0.0, 0.0, 0.0], ROUNDING), Ok(()));
    }

    #[test]
    fn every_kind_of_difference_fails() {
        for (what, actual, message) in [
            ("one value less", changed(|x| x.truncate(599)), "lengths differ: 600 values are expected and 599"),
            ("one value more", changed(|x| x.push(0.0)), "lengths differ"),
            ("nothing at all", vec![], "lengths differ"),
            ("a NaN", changed(|x| x[7] = f32::NAN), "not finite: element 7 at [0, 1, 2] of [20, 6, 5]"),
            ("an infinity", changed(|x| x[7] = f32::INFINITY), "not finite: element 7"),
            ("one wrong element", changed(|x| x[599] += 0.01), "element 599 at [19, 5, 4] of [20, 6, 5]"),
            ("one slightly wrong element", changed(|x| x[599] += 4e-4), "largest relative error 1.89e-4"),
            ("a shift by one", changed(|x| x.rotate_left(1)), "too far apart"),
            ("all zeros", vec![0.0; 600], "normalised mean squared error 1.00e0"),
            ("a wrong sign", wave().iter().map(|x| -x).collect(), "too far apart"),
            ("a systematic error", wave().iter().map(|x| x * (1.0 + 5e-5)).collect(), "too far apart"),
        ] {
            let verdict = compare_shaped(&wave(), &actual, &[20, 6, 5], ROUNDING).expect_err(what);
            assert!(verdict.contains(message), "{what}: {verdict}");
        }
    }

    #[test]
    fn values_that_should_be_finite_or_zero_are_held_to_it() {
        assert!(compare(&[f32::NAN], &[f32::NAN], ROUNDING).is_err());
        assert!(compare(&[f32::INFINITY], &[f32::INFINITY], ROUNDING).is_err());
        assert!(compare(&[0.0; 3], &[0.0, 1e-6, 0.0], ROUNDING).is_err());
        assert!(compare_shaped(&[1.0; 6], &[1.0; 6], &[2, 2], ROUNDING).is_err(), "the shape is another");
    }

    #[test]
    fn the_message_gives_both_values() {
        let verdict = compare(&[1.0, 2.0], &[1.0, 2.5], ROUNDING).unwrap_err();
        assert!(verdict.ends_with("element 1 at [1] of [2]: expected 2, found 2.5"), "{verdict}");
    }
}
