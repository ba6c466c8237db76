//! The `elbo` program: parse, run, exit code.

use clap::Parser;
use elbo::cli::Cli;
use elbo::commands;
use std::process::ExitCode;

fn main() -> ExitCode {
    commands::run(Cli::parse())
}
