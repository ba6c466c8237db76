//! Runs the CPU side of a kernel in unit tests.

use super::{Call, StepScalars};
use bytemuck::Pod;
use std::ops::Range;

/// The scalars of a training step of `rows` examples that count, with two weights of the loss: 1 and 0.5.
pub fn step(rows: u32) -> StepScalars {
    StepScalars {
        step: 3,
        rows,
        first: 0,
        slot: 0,
        key: crate::rng::key(11),
        sample: 0,
        stream: crate::rng::Stream::Noise as u32,
        row_weight: 1.0 / rows as f32,
        lr: 1e-3,
        correction1: 0.1,
        correction2: 0.001,
        weights: [1.0, 0.5, 0.0, 0.0],
    }
}

/// Calls a CPU function on bindings of words or floats; see [`words`].
pub fn run<P: Pod>(
    function: fn(Call),
    range: Range<usize>,
    (params, consts, step): (&P, &[u32], &StepScalars),
    reads: &[&[u32]],
    writes: &mut [&mut [f32]],
) {
    let writes = writes.iter_mut().map(|floats| bytemuck::cast_slice_mut(floats)).collect();
    let params = bytemuck::cast_slice(std::slice::from_ref(params));
    function(Call { range, params, consts, step, reads: reads.to_vec(), writes });
}

/// Floats as the words of a binding.
pub fn words(floats: &[f32]) -> &[u32] {
    bytemuck::cast_slice(floats)
}

/// Asserts that all values are equal within `tolerance`, relative to 1 or to the expected value if that is larger.
#[track_caller]
pub fn assert_close(actual: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(actual.len(), expected.len());
    for (i, (a, e)) in actual.iter().zip(expected).enumerate() {
        assert!((a - e).abs() <= tolerance * e.abs().max(1.0), "element {i}: {a} instead of {e}");
    }
}
