//! Tests that use the crate from outside.

mod devices;
mod gradients;
mod kernels;
mod shaders;
mod support;
mod tidy;
mod traces;
