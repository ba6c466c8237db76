//! Kernels for group and layer normalisation.

pub mod group_moments;
pub mod group_norm;
pub mod group_norm_grad;
pub mod group_norm_weight;
pub(super) mod groups;
