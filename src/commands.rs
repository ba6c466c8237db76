//! One file per subcommand: each turns what was typed into what happens, and reports it.

mod adapters;
mod attributes;
mod augment;
mod bench;
mod cells;
mod classes;
mod compare;
mod compress;
mod decode;
mod decompress;
mod describe;
mod disentangle;
mod doctor;
mod edit;
mod embed;
mod eval;
mod export;
mod factors;
mod files;
mod folder;
mod import;
mod impute;
mod interpolate;
mod latent;
mod music;
mod open;
mod plan;
mod predict;
mod profile;
mod recommend;
mod reconstruct;
mod report;
mod runs;
mod sample;
mod score;
mod shell;
mod show;
mod text;
mod together;
mod train;
mod transfer;
mod traverse;

use crate::cli::{BenchCommand, Cli, Command, TrainArgs};
use crate::error::{Error, Result};
use crate::ranks::Ranks;
use crate::report::{Options, Report};
use clap::Parser;
use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use together::Together;

/// Runs a command; an error is printed as one line and becomes the exit code.
pub fn run(cli: Cli) -> ExitCode {
    prepare(&cli.command);
    let (quiet, json) = switches(&cli.command);
    let options = Options::detect(quiet, json);
    let together = Together::begin(&cli.command);
    let report = together.report(options);
    if let Some(line) = Together::advice(&cli.command) {
        report.warn(&line);
    }
    let done = dispatch(cli.command, &together.ranks(), &report);
    together.end(done.and_then(|()| report.finish()), &report)
}

/// Runs a command for a program that has the library within it: `words` are what would be typed behind `elbo`, results go to
/// `out` and all else to `err`. Signals, environment and threads of the process stay as they are; [`interrupt`] does what
/// Ctrl-C does.
///
/// # Errors
/// Those of the command; [`Error::Usage`] for words that are none.
pub fn call(words: &[String], out: Box<dyn Write + Send>, err: Box<dyn Write + Send>) -> Result<()> {
    let typed = std::iter::once("elbo").chain(words.iter().map(String::as_str));
    let cli = Cli::try_parse_from(typed).map_err(|problem| {
        let text = problem.to_string();
        let line = text.lines().next().unwrap_or_default();
        Error::Usage(line.strip_prefix("error: ").unwrap_or(line).to_owned())
    })?;
    train::STOP.store(false, Ordering::Relaxed);
    let (quiet, json) = switches(&cli.command);
    let report = Report::to(Options { quiet, json, ..Options::default() }, out, err);
    let done = dispatch(cli.command, &Ranks::default(), &report);
    done.and_then(|()| report.finish())
}

/// Lets training that [`call`] began save and stop, with [`Error::Interrupted`].
pub fn interrupt() {
    train::STOP.store(true, Ordering::Relaxed);
}

/// Makes of what would end the process something that can be told. What is blocked for this thread is blocked for those
/// that it starts, so it comes before them.
fn prepare(command: &Command) {
    give_runtime_folder();
    if let Command::Train(TrainArgs { dry_run: false, .. }) = command {
        train::own_process();
        train::keep_ignored();
        train::catch_announcements();
    }
    // Writing beyond the limit on the size of files then fails like writing to a full disk.
    #[cfg(unix)]
    {
        use nix::sys::signal::{SigSet, Signal};
        let limit: SigSet = std::iter::once(Signal::SIGXFSZ).collect();
        // Where it cannot be blocked the process ends as it would have.
        let _ = limit.thread_block();
    }
    // Where no thread can be started the work of readers is done by this one.
    if rayon::ThreadPoolBuilder::new().build_global().is_err() {
        let _ = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build_global();
    }
}

/// Gives Mesa's drivers the folder that they look for at every start: without one they write a line that begins with
/// `error:`, as if it were the program's. The variable is one of the whole process, so the program starts once more with it;
/// where no folder can be made, or no driver is asked, everything stays as it is.
fn give_runtime_folder() {
    #[cfg(all(target_os = "linux", feature = "gpu"))]
    {
        use std::os::unix::process::CommandExt;
        const NAME: &str = "XDG_RUNTIME_DIR";
        let has_one = std::env::var_os(NAME).is_some_and(|folder| std::path::Path::new(&folder).is_absolute());
        let on_cpu = std::env::args_os().any(|argument| argument == "cpu" || argument == "--adapter=cpu");
        let folder = crate::durable::cache().map(|cache| cache.join("runtime"));
        let folder = folder.filter(|folder| !has_one && !on_cpu && std::fs::create_dir_all(folder).is_ok());
        if let (Some(folder), Ok(program)) = (folder, std::env::current_exe()) {
            // Returns only where it failed.
            let _ = std::process::Command::new(program).args(std::env::args_os().skip(1)).env(NAME, folder).exec();
        }
    }
}

/// Whether `--quiet` and `--json` were given.
fn switches(command: &Command) -> (bool, bool) {
    let run = match command {
        Command::Train(args) => return (args.quiet, false),
        Command::Export(args) => return (args.quiet, args.json),
        Command::Import(args) => return (args.quiet, false),
        Command::Runs(args) => return (false, args.json),
        Command::Compare(args) => return (args.quiet, args.json),
        Command::Completions(_) | Command::Man(_) => return (false, false),
        Command::Data(args) => return (false, args.json),
        Command::Plan(args) => return (false, args.json),
        Command::Adapters(args) => return (false, args.json),
        Command::Doctor(args) => return (false, args.json),
        Command::Bench(args) => {
            let json = match &args.what {
                BenchCommand::Step(args) => args.json,
                BenchCommand::Eval(args) => args.json,
                BenchCommand::Matmul(args) => args.json,
            };
            return (false, json);
        }
        Command::Eval(args) => &args.run,
        Command::Sample(args) => &args.run,
        Command::Reconstruct(args) => &args.run,
        Command::Embed(args) => &args.run,
        Command::Predict(args) => &args.run,
        Command::Recommend(args) => &args.run,
        Command::Report(args) => &args.run,
        Command::Decode(args) => &args.run,
        Command::Compress(args) => &args.run,
        Command::Decompress(args) => &args.run,
        Command::Score(args) => &args.run,
        Command::Impute(args) => &args.run,
        Command::Augment(args) => &args.run,
        Command::Interpolate(args) => &args.run,
        Command::Traverse(args) => &args.run,
        Command::Latent(args) => &args.run,
        Command::Disentangle(args) => &args.run,
        Command::Attributes(args) => &args.run,
        Command::Edit(args) => &args.run,
        Command::Transfer(args) => &args.run,
    };
    (run.quiet, run.json)
}

fn dispatch(command: Command, ranks: &Ranks, report: &Report) -> Result<()> {
    match command {
        Command::Train(args) => train::run(&args, ranks, report),
        Command::Eval(args) => eval::run(&args, report),
        Command::Compare(args) => compare::run(&args, report),
        Command::Sample(args) => sample::run(&args, report),
        Command::Reconstruct(args) => reconstruct::run(&args, report),
        Command::Embed(args) => embed::run(&args, report),
        Command::Predict(args) => predict::run(&args, report),
        Command::Recommend(args) => recommend::run(&args, report),
        Command::Report(args) => report::run(&args, report),
        Command::Decode(args) => decode::run(&args, report),
        Command::Compress(args) => compress::run(&args, report),
        Command::Decompress(args) => decompress::run(&args, report),
        Command::Score(args) => score::run(&args, report),
        Command::Impute(args) => impute::run(&args, report),
        Command::Augment(args) => augment::run(&args, report),
        Command::Interpolate(args) => interpolate::run(&args, report),
        Command::Traverse(args) => traverse::run(&args, report),
        Command::Latent(args) => latent::run(&args, report),
        Command::Disentangle(args) => disentangle::run(&args, report),
        Command::Attributes(args) => attributes::run(&args, report),
        Command::Edit(args) => edit::run(&args, report),
        Command::Transfer(args) => transfer::run(&args, report),
        Command::Export(args) => export::run(&args, report),
        Command::Import(args) => import::run(&args, report),
        Command::Runs(args) => runs::run(&args, report),
        Command::Completions(args) => {
            shell::completions(&args, report);
            Ok(())
        }
        Command::Man(args) => shell::man(&args, report),
        Command::Data(args) => describe::run(&args, report),
        Command::Plan(args) => plan::run(&args, report),
        Command::Adapters(_) => adapters::run(report),
        Command::Doctor(args) => doctor::run(&args, report),
        Command::Bench(args) => bench::run(&args.what, report),
    }
}

/// Chooses tilings for the products and convolutions of a training step, and says so where something was measured.
fn tune(session: &mut crate::session::Session, mode: crate::tune::Mode, report: &Report) -> Result<()> {
    // The steps of all phases, as if they were one plan.
    let mut plan = session.untuned(crate::session::Purpose::Train)?;
    for phase in 1..crate::model::phases(&session.config).len() {
        plan.steps.extend(session.untuned(crate::session::Purpose::Further(phase))?.steps);
    }
    let begun = std::time::Instant::now();
    let tuned = crate::tune::tune(&mut session.executor, &plan, mode, crate::durable::cache().as_deref())?;
    if tuned.measured > 0 {
        let (measured, seconds) = (tuned.measured, begun.elapsed().as_secs_f64());
        let (what, left) = ("products and convolutions", tuned.left);
        report.note(&format!("tuned    {measured} {what} in {seconds:.1} s, {left} left as they were"));
    }
    if tuned.wrong > 0 {
        let tilings = if tuned.wrong == 1 { "tiling" } else { "tilings" };
        let wrong = tuned.wrong;
        report.warn(&format!("{wrong} {tilings} gave other results than the program's own guess and were left out"));
    }
    session.tuning = tuned.tuning;
    Ok(())
}
