//! Tests that use the crate from outside.

mod cli;
mod curves;
mod devices;
mod epochs;
mod gradients;
mod kernels;
mod members;
mod plans;
mod program;
mod resume;
mod shaders;
mod sources;
mod support;
mod tidy;
mod traces;
mod updates;
