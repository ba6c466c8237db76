//! What the unit tests of the kernels share.

use super::{Call, StepScalars};
use bytemuck::Pod;
use std::ops::Range;

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
pub fn assert_close(actual: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(actual.len(), expected.len());
    for (i, (&a, &e)) in actual.iter().zip(expected).enumerate() {
        let error = (f64::from(a) - e).abs();
        assert!(error <= tolerance * e.abs().max(1.0), "element {i}: {a} is not {e}");
    }
}
