//! Whether a device computed what the twin computes.

/// Largest normalised squared error between a device and its twin. The twin sums in f64 and calls the host's exp and
/// log, the device sums in f32 and may be off by a few units in the last place per function: 1e-9 is an error of
/// 3e-5 of the tensor's norm, two orders above what correct kernels show and far below what a wrong index causes.
const NORMALISED: f64 = 1e-9;

/// Says how two results differ, if they do: lengths, numbers that are not finite, then the normalised squared error
/// with the worst element.
pub fn difference(expected: &[u32], actual: &[u32]) -> Option<String> {
    if expected.len() != actual.len() {
        return Some(format!("{} values expected, {} found", expected.len(), actual.len()));
    }
    let pairs =
        || expected.iter().zip(actual).map(|(&e, &a)| (f64::from(f32::from_bits(e)), f64::from(f32::from_bits(a))));
    if let Some((at, (e, a))) = pairs().enumerate().find(|(_, (e, a))| e.is_finite() != a.is_finite()) {
        return Some(format!("element {at}: expected {e}, found {a}"));
    }
    let finite = || pairs().enumerate().filter(|(_, (e, _))| e.is_finite());
    let norm: f64 = finite().map(|(_, (e, _))| e * e).sum();
    let error: f64 = finite().map(|(_, (e, a))| (e - a).powi(2)).sum();
    if error <= NORMALISED * norm + 1e-24 {
        return None;
    }
    let (at, (e, a)) = finite().max_by(|(_, x), (_, y)| (x.0 - x.1).abs().total_cmp(&(y.0 - y.1).abs()))?;
    Some(format!(
        "element {at}: expected {e:e}, found {a:e}, normalised squared error {:.1e}",
        error / norm.max(1e-300)
    ))
}
