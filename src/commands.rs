//! One file per subcommand: each turns what was typed into what happens, and reports it.

mod train;

use crate::cli::{Cli, Command};
use crate::error::Result;
use crate::report::{Options, Report};
use std::process::ExitCode;

/// Runs a command; an error is printed as one line and becomes the exit code.
pub fn run(cli: Cli) -> ExitCode {
    let (quiet, json) = match &cli.command {
        Command::Train(args) => (args.quiet, false),
        Command::Eval(args) => (false, args.json),
        Command::Plan(args) => (false, args.json),
        Command::Adapters(args) => (false, args.json),
        Command::Doctor(args) => (false, args.json),
        Command::Bench(_) | Command::Sample(_) | Command::Reconstruct(_) => (false, false),
    };
    let report = Report::new(Options::detect(quiet, json));
    let done = dispatch(cli.command, &report);
    match done.and_then(|()| report.finish()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report.error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

fn dispatch(command: Command, report: &Report) -> Result<()> {
    match command {
        Command::Train(args) => train::run(&args, report),
        _ => Err(crate::error::Error::Bug("not there yet".into())),
    }
}
