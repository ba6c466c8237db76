//! One file per subcommand: each turns what was typed into what happens, and reports it.

mod adapters;
mod bench;
mod describe;
mod doctor;
mod eval;
mod open;
mod plan;
mod profile;
mod reconstruct;
mod sample;
mod show;
mod train;

use crate::cli::{BenchCommand, Cli, Command};
use crate::error::Result;
use crate::report::{Options, Report};
use std::process::ExitCode;

/// Runs a command; an error is printed as one line and becomes the exit code.
pub fn run(cli: Cli) -> ExitCode {
    let (quiet, json) = match &cli.command {
        Command::Train(args) => (args.quiet, false),
        Command::Eval(args) => (false, args.json),
        Command::Data(args) => (false, args.json),
        Command::Plan(args) => (false, args.json),
        Command::Adapters(args) => (false, args.json),
        Command::Doctor(args) => (false, args.json),
        Command::Bench(args) => match &args.what {
            BenchCommand::Step(args) => (false, args.json),
            BenchCommand::Eval(args) => (false, args.json),
            BenchCommand::Matmul(args) => (false, args.json),
        },
        Command::Sample(_) | Command::Reconstruct(_) => (false, false),
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
        Command::Eval(args) => eval::run(&args, report),
        Command::Sample(args) => sample::run(&args, report),
        Command::Reconstruct(args) => reconstruct::run(&args, report),
        Command::Data(args) => describe::run(&args, report),
        Command::Plan(args) => plan::run(&args, report),
        Command::Adapters(_) => adapters::run(report),
        Command::Doctor(args) => doctor::run(&args, report),
        Command::Bench(args) => bench::run(&args.what, report),
    }
}

/// Chooses tilings for the products of a training step, and says so where something was measured.
fn tune(session: &mut crate::session::Session, mode: crate::tune::Mode, report: &Report) -> Result<()> {
    let plan = session.untuned(crate::session::Purpose::Train)?;
    let begun = std::time::Instant::now();
    let tuned = crate::tune::tune(&mut session.executor, &plan, mode, crate::tune::cache_folder().as_deref())?;
    if tuned.measured > 0 {
        let (measured, seconds) = (tuned.measured, begun.elapsed().as_secs_f64());
        report.note(&format!("tuned    {measured} products in {seconds:.1} s, {} left as they were", tuned.left));
    }
    session.tuning = tuned.tuning;
    Ok(())
}
