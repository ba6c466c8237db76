//! elbo: variational autoencoders on any GPU, from one small binary.
#![deny(unsafe_code)]

pub mod cli;
pub mod config;
pub mod data;
pub mod error;
pub mod report;
pub mod rng;
