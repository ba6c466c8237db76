//! Kernels for the update of parameters.

pub mod accumulate;
pub mod clip_factor;
pub mod squared_norm;
pub mod update;
pub mod update_texels;
