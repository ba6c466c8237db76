//! Kernels for latents: noise, samples, densities and divergences.

pub mod kl_means;
pub mod log_prior;
pub mod log_ratio;
pub mod log_ratio_grad;
pub mod noise;
pub mod posterior_grad;
pub mod sample;
pub mod shaped_kl;
