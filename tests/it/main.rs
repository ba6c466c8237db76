//! Tests that use the crate from outside.

mod kernels;
mod shaders;
mod support;
mod tidy;
mod traces;
