//! Tests that use the crate from outside.

mod shaders;
mod support;
mod tidy;
mod traces;
