//! elbo: variational autoencoders on any GPU, from one small binary.
#![deny(unsafe_code)]

pub mod checkpoint;
pub mod cli;
pub mod commands;
pub mod config;
pub mod data;
pub mod durable;
pub mod error;
pub mod eval;
pub mod exec;
pub mod graph;
pub mod kernels;
pub mod model;
pub mod plan;
pub mod report;
pub mod rng;
pub mod session;
pub mod shape;
pub mod train;
