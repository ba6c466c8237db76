//! Kernels for layers that go along a sequence step by step.

pub mod gru;
pub mod gru_grad;

/// The most units of a recurrent layer: what the memory of a workgroup holds of four rows.
pub const MAX_UNITS: usize = 1024;

/// Rows that a workgroup computes.
pub(super) const TILE: usize = 4;
