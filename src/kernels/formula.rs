//! Kernels for formulas.

pub(super) mod expression;
pub mod map;
pub mod reduce;
