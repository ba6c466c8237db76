//! The settings that flags stand for.

use std::time::Duration;

use super::{BenchEvalArgs, BenchStepArgs, DataArgs, ExportArgs, Format, PlanArgs, ThreadsArgs, TrainArgs};
use crate::error::{Error, Result};

impl TrainArgs {
    /// The settings that flags and `--set` ask for, in the form that [`crate::config::resolve`] takes.
    pub fn overrides(&self) -> Vec<(String, String)> {
        let flags = [
            ("data.source", self.data.clone()),
            ("train.epochs", text(self.epochs.as_ref())),
            ("train.batch", text(self.batch.as_ref())),
            ("optimizer.lr", text(self.lr.as_ref())),
            ("objective.beta", text(self.beta.as_ref())),
            ("train.seed", text(self.seed.as_ref())),
            ("model.latent", self.latent.clone()),
        ];
        with_flags(&flags, &self.recipe.set)
    }

    /// Checks that nothing contradicts `--resume`, with which only what cannot change the run may be given.
    ///
    /// # Errors
    /// [`Error::Usage`], naming the first flag that conflicts.
    pub fn check_resume(&self) -> Result<()> {
        if self.resume.is_none() {
            return Ok(());
        }
        let flags = [
            ("--recipe", self.recipe.recipe.is_some()),
            ("--set", !self.recipe.set.is_empty()),
            ("--batch", self.batch.is_some()),
            ("--lr", self.lr.is_some()),
            ("--beta", self.beta.is_some()),
            ("--seed", self.seed.is_some()),
            ("--seeds", self.seeds.is_some()),
            ("--latent", self.latent.is_some()),
            ("--prior-of", self.prior_of.is_some()),
            ("--out", self.out.is_some()),
            ("--tune", self.tune.is_some()),
            ("--check-steps", self.check_steps),
            ("--dry-run", self.dry_run),
        ];
        match flags.iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((flag, _)) => Err(Error::Usage(format!(
                "{flag} cannot be given with --resume: a resumed run keeps its settings and its folder; only --epochs, \
                 --data, --max-time, --tensorboard, --no-report, --adapter, --threads, --profile and --quiet may be given"
            ))),
        }
    }
}

/// More threads than any machine has cores.
const MAX_THREADS: usize = 1024;

impl ThreadsArgs {
    /// How many threads are asked for; 0, which cannot be typed, stands for one on each core.
    ///
    /// # Errors
    /// [`Error::Usage`] for a number that makes no sense.
    pub fn count(&self) -> Result<usize> {
        match self.threads {
            None => Ok(0),
            Some(threads @ 1..=MAX_THREADS) => Ok(threads),
            Some(threads) => Err(Error::Usage(format!(
                "--threads {threads}: expected 1 to {MAX_THREADS}; leave it out for one thread per core"
            ))),
        }
    }
}

impl DataArgs {
    /// The settings that the source and `--set` ask for, in the form that [`crate::config::resolve`] takes.
    pub fn overrides(&self) -> Vec<(String, String)> {
        with_flags(&[("data.source", Some(self.source.clone()))], &self.recipe.set)
    }
}

impl ExportArgs {
    /// The settings that --data and `--set` ask for, in the form that [`crate::config::resolve`] takes.
    pub fn overrides(&self) -> Vec<(String, String)> {
        with_flags(&[("data.source", self.data.clone())], &self.recipe.set)
    }

    /// Checks that what is given belongs together.
    ///
    /// # Errors
    /// [`Error::Usage`], naming what is missing or too much.
    pub fn check(&self) -> Result<()> {
        let is_set = self.recipe.recipe.is_some() || !self.recipe.set.is_empty();
        let wrong = if self.train && self.format != Format::Web {
            "--train lets a page train: give --format web with it, or leave it out"
        } else if self.run.is_none() && !self.train {
            "which run? give its folder; without one, --format web --train makes a page that trains from the start"
        } else if self.run.is_some() && is_set {
            "--recipe and --set are for a page that trains from the start: leave RUN out, or them; a run keeps its settings"
        } else if self.data.is_some() && !self.train {
            "--data goes with --train: nothing else of an export reads examples that can be chosen"
        } else {
            return Ok(());
        };
        Err(Error::Usage(wrong.into()))
    }
}

impl PlanArgs {
    /// The settings that flags and `--set` ask for, in the form that [`crate::config::resolve`] takes.
    pub fn overrides(&self) -> Vec<(String, String)> {
        let flags = [("data.source", self.data.clone()), ("train.batch", text(self.batch.as_ref()))];
        with_flags(&flags, &self.recipe.set)
    }
}

impl BenchEvalArgs {
    /// The settings that flags and `--set` ask for, in the form that [`crate::config::resolve`] takes. `--batch` is none
    /// of them: a recipe's batch is that of its training.
    pub fn overrides(&self) -> Vec<(String, String)> {
        with_flags(&[("data.source", self.data.clone())], &self.recipe.set)
    }
}

impl BenchStepArgs {
    /// The settings that flags and `--set` ask for, in the form that [`crate::config::resolve`] takes.
    pub fn overrides(&self) -> Vec<(String, String)> {
        let flags = [("data.source", self.data.clone()), ("train.batch", text(self.batch.as_ref()))];
        with_flags(&flags, &self.recipe.set)
    }
}

fn text(value: Option<&impl ToString>) -> Option<String> {
    value.map(ToString::to_string)
}

/// The flags that were given, then the settings of `--set`.
fn with_flags(flags: &[(&str, Option<String>)], set: &[(String, String)]) -> Vec<(String, String)> {
    let given = flags.iter().filter_map(|(key, value)| Some(((*key).to_owned(), value.clone()?)));
    given.chain(set.iter().cloned()).collect()
}

/// Splits `key=value`.
pub(super) fn assignment(typed: &str) -> std::result::Result<(String, String), String> {
    match typed.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.trim().to_owned())),
        _ => Err("expected KEY=VALUE, for example model.latent=2".into()),
    }
}

/// Reads a time: numbers with the units d, h, m and s, such as `1h30m`.
pub(super) fn time(typed: &str) -> std::result::Result<Duration, String> {
    let wrong = || "expected a time such as 90s, 30m, 1h30m or 2d".to_owned();
    let mut seconds = 0_f64;
    let mut rest = typed.trim();
    while !rest.is_empty() {
        let at = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let number: f64 = rest[..at].parse().map_err(|_| wrong())?;
        let unit = match rest.as_bytes()[at] {
            b's' => 1.0,
            b'm' => 60.0,
            b'h' => 3600.0,
            b'd' => 86_400.0,
            _ => return Err(wrong()),
        };
        seconds += number * unit;
        rest = &rest[at + 1..];
    }
    let time = Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?;
    if seconds > 0.0 { Ok(time) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn train(line: &str) -> TrainArgs {
        match Cli::try_parse_from(line.split_whitespace()).map(|cli| cli.command) {
            Ok(Command::Train(args)) => args,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn the_flags_of_train_become_settings() {
        let line =
            "elbo train --data d --epochs 3 --batch 64 --lr 3e-4 --beta 2 --seed 9 --latent 5 --set model.sigma=0.5";
        let config = crate::config::resolve(None, &train(line).overrides()).unwrap();
        let mut expected = crate::config::Config::default();
        expected.data.source = "d".into();
        (expected.train.epochs, expected.train.batch, expected.train.seed) = (3, 64, 9);
        (expected.optimizer.lr, expected.objective.beta) = (3e-4, 2.0);
        (expected.model.latent, expected.model.sigma) = (5, 0.5);
        assert_eq!(config, expected);
        assert_eq!(train("elbo train").overrides(), []);
    }

    #[test]
    fn a_flag_with_a_value_that_makes_no_sense_is_refused_by_its_key() {
        for (line, word) in [
            ("elbo train --lr NaN", "optimizer.lr"),
            ("elbo train --lr -1", "optimizer.lr"),
            ("elbo train --beta -1", "objective.beta"),
            ("elbo train --latent 0", "model.latent"),
            ("elbo train --batch 0", "train.batch"),
            ("elbo train --epochs 0", "train.epochs"),
            ("elbo train --seed 18446744073709551615", "train.seed"),
            ("elbo train --lr 1 --set lr=2", "set twice"),
        ] {
            let error = crate::config::resolve(None, &train(line).overrides()).expect_err(line);
            assert!(error.exit_code() == 2 && error.to_string().contains(word), "{line}: {error}");
        }
    }

    #[test]
    fn times_are_numbers_with_units() {
        for (typed, seconds) in [("90s", 90), ("30m", 1800), ("1h30m", 5400), ("2d", 172_800), ("0.5h", 1800)] {
            assert_eq!(time(typed), Ok(Duration::from_secs(seconds)), "{typed}");
        }
        for typed in ["", "90", "-1s", "0s", "1w", "h", "1hh", "1m30", "9e9d", "1é", "99999999999999999999d", "1 h x"]
        {
            assert!(time(typed).is_err(), "{typed}");
        }
    }

    #[test]
    fn threads_are_as_many_as_asked_for_and_a_senseless_number_is_refused() {
        let count = |line: &str| train(line).threads.count();
        assert_eq!((count("elbo train"), count("elbo train --threads 3")), (Ok(0), Ok(3)));
        for line in ["elbo train --threads 0", "elbo train --threads 1025"] {
            let error = count(line).expect_err(line);
            assert!(error.exit_code() == 2 && error.to_string().starts_with("--threads"), "{line}: {error}");
        }
    }

    #[test]
    fn with_resume_only_what_cannot_change_the_run_may_be_given() {
        for flags in [
            "",
            "--epochs 20",
            "--data d",
            "--max-time 1h",
            "--no-report",
            "--adapter cpu --threads 3 --profile --quiet",
        ] {
            assert_eq!(train(&format!("elbo train --resume r {flags}")).check_resume(), Ok(()), "{flags}");
        }
        for flags in [
            "--recipe plane",
            "--set latent=2",
            "--batch 1",
            "--lr 1",
            "--beta 1",
            "--seed 1",
            "--seeds 2",
            "--latent 1",
            "--out o",
            "--check-steps",
            "--dry-run",
        ] {
            assert_eq!(train(&format!("elbo train {flags}")).check_resume(), Ok(()), "{flags}");
            let error = train(&format!("elbo train --resume r {flags}")).check_resume().expect_err(flags);
            let flag = flags.split(' ').next().unwrap();
            assert!(error.exit_code() == 2 && error.to_string().starts_with(flag), "{flags}: {error}");
        }
    }
}
