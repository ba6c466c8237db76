//! What the unit tests of the kernels share.

use super::{Call, StepScalars};
use bytemuck::{Pod, Zeroable};
use std::ops::Range;

/// The scalars of a training step of `rows` examples that count, with two weights of the loss: 1 and 0.5.
pub fn step(rows: u32) -> StepScalars {
    StepScalars {
        step: 3,
        rows,
        key: crate::rng::key(11),
        stream: crate::rng::Stream::Noise as u32,
        row_weight: 1.0 / rows as f32,
        weights: [1.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        ..StepScalars::zeroed()
    }
}

/// Words of a binding, to pass where the others are floats. The bits stay as they are.
pub fn floats(words: &[u32]) -> &[f32] {
    bytemuck::cast_slice(words)
}

/// A call on floats, to hand to a kernel's CPU function.
pub fn call<'a, P: Pod>(
    range: Range<usize>,
    params: &'a P,
    consts: &'a [u32],
    step: &'a StepScalars,
    reads: &[&'a [f32]],
    writes: Vec<&'a mut [f32]>,
) -> Call<'a> {
    Call {
        range,
        params: bytemuck::cast_slice(std::slice::from_ref(params)),
        consts,
        step,
        reads: reads.iter().map(|values| bytemuck::cast_slice(values)).collect(),
        writes: writes.into_iter().map(bytemuck::cast_slice_mut).collect(),
    }
}

/// Fails unless both agree to `tolerance` of the larger of 1 and the expected magnitude.
#[track_caller]
pub fn assert_close(actual: &[f32], expected: &[impl Into<f64> + Copy], tolerance: f64) {
    assert_eq!(actual.len(), expected.len());
    for (i, (&a, &e)) in actual.iter().zip(expected).enumerate() {
        let e = e.into();
        let error = (f64::from(a) - e).abs();
        assert!(error <= tolerance * e.abs().max(1.0), "element {i}: {a} is not {e}");
    }
}
