//! Whether two computations of the same numbers agree: the one comparator of the program and of its tests.

use crate::kernels::f32s;
use crate::plan::Step;

/// How far two arrays may be apart.
#[derive(Debug, Clone, Copy)]
pub struct Tolerance {
    /// Bound of the normalised mean squared error, Σ(a − e)²/Σe².
    pub nmse: f64,
    /// Bound of each element's error, relative to its magnitude or the root mean square of all, whichever is larger.
    pub element: f64,
    /// What the rounding of sums may add to every element, in the elements' own unit; a single element may be off by four
    /// times as much.
    pub absolute: f64,
}

/// Errors of a handful of roundings in f32, as between a kernel and its twin, which sums in f64 and calls the host's exp
/// and log. A wrong index causes errors of the magnitude of the values.
pub const ROUNDING: Tolerance = Tolerance { nmse: 1e-10, element: 1e-4, absolute: 0.0 };

/// Below this root mean square expected values count as zero.
const ZERO: f64 = 1e-10;

/// How many times as far as all elements in their mean a single one may be off by the rounding of sums.
const WORST: f64 = 4.0;

/// The tolerance for what a step writes. `bindings` are the words of its bindings: those that are only read say how large
/// the numbers are that it sums up.
///
/// Each of n additions in f32 is off by half a unit in the last place of the sum so far, which is no more than the sum of
/// the terms' magnitudes. The errors have either sign, so that √n of them add up. What is left of the sum after terms of
/// both signs may be far smaller.
pub fn of_step(step: &Step, bindings: &[Vec<u32>]) -> Tolerance {
    let mean_square = |words: &[f32]| {
        let finite = words.iter().map(|&x| f64::from(x)).filter(|x| x.is_finite());
        finite.map(|x| x * x).sum::<f64>() / words.len().max(1) as f64
    };
    let sum = (step.kernel.sums)(&step.asked(), &|binding| mean_square(f32s(&bindings[binding])).sqrt());
    let absolute = f64::from(f32::EPSILON) / 2.0 * (sum.length as f64).sqrt() * sum.magnitude;
    Tolerance { absolute, ..ROUNDING }
}

/// Says how the words of floats of two results differ, if they do.
pub fn difference(expected: &[u32], actual: &[u32], tolerance: Tolerance) -> Option<String> {
    compare(f32s(expected), f32s(actual), tolerance).err()
}

/// Whether `actual` is `expected` within a tolerance. NaN is equal to NaN alone, and an infinity to that of its sign.
///
/// # Errors
/// What differs: the lengths, a number that is not finite, or the worst place by its flat index.
pub fn compare(expected: &[f32], actual: &[f32], tolerance: Tolerance) -> Result<(), String> {
    if expected.len() != actual.len() {
        return Err(format!("lengths differ: {} values are expected and {} were found", expected.len(), actual.len()));
    }
    let place = |i: usize| format!("element {i}: expected {:e}, found {:e}", expected[i], actual[i]);
    let is_finite = |i: usize| expected[i].is_finite() && actual[i].is_finite();
    let is_same = |i: usize| expected[i] == actual[i] || expected[i].is_nan() && actual[i].is_nan();
    if let Some(i) = (0..expected.len()).find(|&i| !is_finite(i) && !is_same(i)) {
        return Err(place(i));
    }
    let finite = || (0..expected.len()).filter(|&i| is_finite(i));
    let (count, error) = (finite().count() as f64, |i: usize| (f64::from(actual[i]) - f64::from(expected[i])).abs());
    let energy: f64 = finite().map(|i| f64::from(expected[i]).powi(2)).sum();
    let energy = energy.max(count * ZERO * ZERO);
    let scale = (energy / count.max(1.0)).sqrt();
    let allowed = |i: usize| tolerance.element * f64::from(expected[i].abs()).max(scale) + WORST * tolerance.absolute;
    let share = |i: usize| error(i) / allowed(i).max(f64::MIN_POSITIVE);
    let Some(worst) = finite().max_by(|&i, &j| share(i).total_cmp(&share(j))) else { return Ok(()) };
    let squared: f64 = finite().map(|i| error(i).powi(2)).sum();
    if squared > tolerance.nmse * energy + count * tolerance.absolute.powi(2) || share(worst) > 1.0 {
        return Err(format!(
            "{}: an error of {:.1e} where {:.1e} is allowed, normalised mean squared error {:.1e}",
            place(worst),
            error(worst),
            allowed(worst),
            squared / energy
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::selftest::cases::{Size, case};
    use crate::exec::twin;
    use crate::kernels::matmul_direct;

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
            ("a NaN", changed(|x| x[7] = f32::NAN), "element 7: expected"),
            ("an infinity", changed(|x| x[7] = f32::INFINITY), "element 7: expected"),
            ("one wrong element", changed(|x| x[599] += 0.01), "element 599"),
            ("one slightly wrong element", changed(|x| x[599] += 4e-4), "element 599"),
            ("a shift by one", changed(|x| x.rotate_left(1)), "normalised mean squared error"),
            ("all zeros", vec![0.0; 600], "normalised mean squared error 1.0e0"),
            ("a wrong sign", wave().iter().map(|x| -x).collect(), "normalised mean squared error"),
            ("a systematic error", wave().iter().map(|x| x * (1.0 + 5e-5)).collect(), "normalised mean squared error"),
        ] {
            let verdict = compare(&wave(), &actual, ROUNDING).expect_err(what);
            assert!(verdict.contains(message), "{what}: {verdict}");
        }
        assert!(compare(&[0.0; 3], &[0.0, 1e-6, 0.0], ROUNDING).is_err());
    }

    #[test]
    fn numbers_that_are_not_finite_are_compared_exactly() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        for (expected, actual, agree) in [
            (nan, nan, true),
            (inf, inf, true),
            (-inf, -inf, true),
            (nan, inf, false),
            (inf, nan, false),
            (inf, -inf, false),
            (inf, f32::MAX, false),
            (1.0, nan, false),
        ] {
            let verdict = compare(&[1.0, expected, 2.0], &[1.0, actual, 2.0], ROUNDING);
            assert_eq!(verdict.is_ok(), agree, "{expected} and {actual}: {verdict:?}");
        }
        assert!(compare(&[nan, 1.0], &[nan, 1.1], ROUNDING).is_err(), "the others still count");
    }

    /// Sums in f32, one term after the other, as a simple kernel makes them.
    fn in_f32(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).fold(0.0, |sum, (x, y)| x * y + sum)
    }

    #[test]
    fn the_rounding_of_long_sums_is_no_difference_and_a_wrong_term_is() {
        // Half of the terms lift the sum up, the other half takes all but a little of it away.
        const LENGTH: usize = 100_000;
        let mut case = case(&matmul_direct::KERNEL, &[0, 0, 0, 0, 0, 0], Size { rows: 1, width: 1, depth: LENGTH })
            .expect("there is a case");
        let a: Vec<f32> = (0..LENGTH).map(|at| 0.5 + (at * 7919 % 1000) as f32 / 1000.0).collect();
        let b: Vec<f32> = (0..LENGTH).map(|at| if at < LENGTH / 2 { 1.0 } else { -0.9995 }).collect();
        case.buffers[0] = bytemuck::cast_slice(&a).to_vec();
        case.buffers[1] = bytemuck::cast_slice(&b).to_vec();
        twin::call_whole(case.step.kernel.cpu, &case.step, &case.scalars, &mut case.buffers);
        let (expected, tolerance) = (f32s(&case.buffers[3]).to_vec(), of_step(&case.step, &case.buffers));
        let rounded = in_f32(&a, &b);
        assert!(compare(&expected, &[rounded], ROUNDING).is_err(), "{expected:?} and {rounded}: nothing is shown");
        assert_eq!(compare(&expected, &[rounded], tolerance), Ok(()));
        // One term of a thousand is left out.
        let wrong = in_f32(&a[..LENGTH - 100], &b);
        assert!(compare(&expected, &[wrong], tolerance).is_err(), "{expected:?} and {wrong} agree");
    }
}
