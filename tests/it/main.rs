//! Tests that use the crate from outside.

mod gradients;
mod shaders;
mod support;
mod tidy;
mod traces;
mod updates;
