//! The processes that a launcher of MPI started together: how this one begins and ends among them.

use crate::cli::{Command, TrainArgs};
use crate::error::Result;
use crate::ranks::{self, Ranks};
use crate::report::{Options, Report};
use std::process::ExitCode;

#[cfg(feature = "mpi")]
use crate::{error::Error, ranks::mpi::World};

/// Without MPI there is no world.
#[cfg(not(feature = "mpi"))]
#[derive(Clone, Copy)]
enum World {}

#[cfg(not(feature = "mpi"))]
impl World {
    fn ranks(self) -> Ranks {
        match self {}
    }
}

/// This process among others, or alone.
pub struct Together {
    world: Option<World>,
}

impl Together {
    /// Meets the others, where the command is one for several processes and there are others.
    pub fn begin(command: &Command) -> Self {
        let trains = matches!(command, Command::Train(TrainArgs { .. }));
        let world = if trains && ranks::were_launched() { join() } else { None };
        Self { world }
    }

    /// What to warn of: a program that cannot meet the others does all of their work.
    pub fn advice(command: &Command) -> Option<String> {
        let trains = matches!(command, Command::Train(TrainArgs { .. }));
        let count = ranks::launched().filter(|&count| trains && count > 1 && cfg!(not(feature = "mpi")))?;
        Some(format!(
            "{count} processes were started together, and this program was built without MPI: each of them trains by itself; build it \
             with --features mpi (docs/cluster.md)"
        ))
    }

    /// The ranks.
    pub fn ranks(&self) -> Ranks {
        match &self.world {
            Some(world) => world.ranks(),
            None => Ranks::default(),
        }
    }

    /// Where this process reports to: nowhere, where it is not the first.
    pub fn report(&self, options: Options) -> Report {
        if self.ranks().is_first() {
            return Report::new(options);
        }
        Report::to(Options { live: false, ..options }, Box::new(std::io::sink()), Box::new(std::io::sink()))
    }

    /// Says why the work ended, and ends: of processes that end alike the first speaks, and all end with one exit code.
    pub fn end(self, done: Result<()>, report: &Report) -> ExitCode {
        if let Some(world) = self.world {
            return end_together(world, &done, report);
        }
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                report.error(&error);
                ExitCode::from(error.exit_code())
            }
        }
    }
}

#[cfg(feature = "mpi")]
fn join() -> Option<World> {
    match World::join(lost) {
        Ok(world) => Some(world),
        Err(error) => lost(&error.to_string()),
    }
}

#[cfg(not(feature = "mpi"))]
fn join() -> Option<World> {
    None
}

#[cfg(not(feature = "mpi"))]
fn end_together(world: World, _: &Result<()>, _: &Report) -> ExitCode {
    match world {}
}

#[cfg(feature = "mpi")]
fn end_together(world: World, done: &Result<()>, report: &Report) -> ExitCode {
    let rank = world.ranks().rank();
    let own = done.as_ref().err().map_or((0, String::new()), |error| (error.exit_code(), error.to_string()));
    let say = |error: &Error| {
        let named = Error::of_code(error.exit_code().into(), format!("rank {rank}: {error}"));
        Report::new(report.options()).error(&named);
    };
    let alone = || {
        report.clear();
        done.as_ref().err().into_iter().for_each(say);
    };
    let all = world.end(own.clone(), alone, |all| match done {
        Err(error) if rank == 0 => {
            report.error(error);
            true
        }
        // What the first says needs no repetition.
        Err(error) if all.iter().position(|other| other.0 == own.0) == Some(rank) => {
            say(error);
            true
        }
        _ => false,
    });
    let code = if own.0 == 0 { all.iter().map(|(code, _)| *code).find(|code| *code != 0) } else { Some(own.0) };
    ExitCode::from(code.unwrap_or(0))
}

/// Says that the others are missed, or one of them, and ends this process: nothing that it could do would be of use.
#[cfg(feature = "mpi")]
fn lost(why: &str) -> ! {
    let error = Error::Device(why.to_owned());
    Report::new(Options::detect(false, false)).error(&error);
    std::process::exit(error.exit_code().into())
}
