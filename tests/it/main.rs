//! Tests that use the crate from outside.

mod answers;
mod cli;
mod comforts;
mod curves;
mod devices;
mod epochs;
mod examples;
mod exchange;
mod gradients;
mod habits;
mod kernels;
mod members;
mod objectives;
mod plans;
mod program;
mod resume;
mod score;
mod shaders;
mod sources;
mod support;
mod tables;
mod tidy;
mod traces;
mod tutorials;
mod updates;
mod windows;
