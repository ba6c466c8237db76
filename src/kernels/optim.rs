//! Kernels for the update of parameters.

pub mod clip_factor;
pub mod running;
pub mod squared_norm;
pub mod update;
pub mod update_texels;
