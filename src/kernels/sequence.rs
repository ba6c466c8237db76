//! Kernels for layers that go along a sequence step by step.

pub mod recurrent;
pub mod recurrent_grad;

/// Rows that a workgroup computes.
pub(super) const TILE: usize = 4;
