//! `elbo bench`: how fast this machine is, after a check that what is timed is right.

mod eval;
mod matmul;
mod step;

use crate::cli::BenchCommand;
use crate::data::{self, Dataset, Values};
use crate::error::{Error, Result};
use crate::exec::measure::{self, Peak};
use crate::exec::profile::Timing;
use crate::exec::{Executor, PlanId};
use crate::kernels::{Kernel, StepScalars};
use crate::plan::Target;
use crate::plan::cost::Cost;
use crate::report::Report;
use crate::rng::{Philox, Stream};
use crate::session::Session;
use serde_json::{Value, json};
use std::ops::Range;
use std::time::Instant;

/// The size of MNIST's training part, which the synthetic data have too.
const EXAMPLES: usize = 60_000;
const SHAPE: [usize; 3] = [1, 28, 28];

/// Steps of a round: an epoch of MNIST in full batches of 128, and what a software driver does in a few seconds.
const STEPS: usize = 468;
const SOFTWARE_STEPS: usize = 64;
const ROUNDS: usize = 5;

/// Times what was asked for.
///
/// # Errors
/// [`Error::Usage`] for a size or a number that makes no sense; otherwise those of the device.
pub fn run(what: &BenchCommand, report: &Report) -> Result<()> {
    match what {
        BenchCommand::Step(args) => step::run(args, report),
        BenchCommand::Eval(args) => eval::run(args, report),
        BenchCommand::Matmul(args) => matmul::run(args, report),
    }
}

/// What a line of figures is called: it tells the kinds of device apart.
fn name(target: Target) -> &'static str {
    match target {
        Target::Cpu => "elbo-cpu",
        Target::Software | Target::Simd8 => "elbo-software",
        Target::Gpu => "elbo-gpu",
    }
}

/// The data asked for, or random bytes in the shape of MNIST.
fn data(asked: bool, config: &crate::config::Config, report: &Report) -> Result<Dataset> {
    let data = if asked { super::open::data(config, None, report)? } else { synthetic(config.train.seed)? };
    data::check(&data, config.model.likelihood.takes())?;
    if config.train.batch > data.train.len() {
        return Err(crate::config::batch_exceeds(config.train.batch, data.train.len()));
    }
    Ok(data)
}

fn synthetic(seed: u64) -> Result<Dataset> {
    let mut rng = Philox::new(seed, Stream::Choice, 0, 0);
    let mut bytes = vec![0; EXAMPLES * SHAPE.iter().product::<usize>()];
    rand::Rng::fill_bytes(&mut rng, &mut bytes);
    Dataset::new("random bytes", SHAPE, Values::U8(bytes), None, 0, 0)
}

/// How much is run: a number of rounds of a number of steps each, of which the median counts.
#[derive(Debug, Clone, Copy)]
struct Rounds {
    steps: usize,
    rounds: usize,
}

impl Rounds {
    fn new(steps: Option<usize>, rounds: Option<usize>, target: Target) -> Result<Self> {
        let usual = if matches!(target, Target::Software | Target::Simd8) { SOFTWARE_STEPS } else { STEPS };
        let asked = Self { steps: steps.unwrap_or(usual), rounds: rounds.unwrap_or(ROUNDS) };
        if asked.steps == 0 || asked.rounds == 0 {
            return Err(Error::Usage("--steps and --rounds must be at least 1".into()));
        }
        Ok(asked)
    }

    /// Seconds per step of each round. The first round, in which devices wake up and find their pace, does not count.
    fn time(self, report: &Report, round: &mut dyn FnMut(Range<usize>) -> Result<()>) -> Result<Timing> {
        let mut times = Vec::with_capacity(self.rounds);
        for number in 0..=self.rounds {
            let begun = Instant::now();
            round(number * self.steps..(number + 1) * self.steps)?;
            let time = begun.elapsed().as_secs_f64() / self.steps as f64;
            if number > 0 {
                report.note(&format!("round    {number} of {}: {:.4} ms a step", self.rounds, time * 1e3));
                times.push(time);
            }
        }
        Ok(Timing::of(times))
    }
}

/// Compares a run of a plan with the twins of its kernels.
fn check(session: &mut Session, plan: PlanId, scalars: &[StepScalars], report: &Report) -> Result<()> {
    session.supply(scalars)?;
    if let Some(difference) = session.executor.check(plan, scalars)? {
        return Err(Error::Bug(format!("{}: {difference}; nothing was timed", session.executor.name())));
    }
    report.note("check    every kernel agrees with its twin");
    Ok(())
}

/// Measures what the device can do at best.
pub(super) fn peak(executor: &mut Executor, products: &[&'static Kernel], report: &Report) -> Result<Peak> {
    let peak = measure::peak(executor, products)?;
    report.note(&format!("peak     {:.1} GFLOP/s and {:.1} GB/s: {}", peak.flops / 1e9, peak.bytes / 1e9, peak.how));
    Ok(peak)
}

/// Rates of something that took `seconds` seconds, as text and as the keys of a JSON object.
fn rates(cost: Cost, seconds: f64, peak: &Peak) -> (String, Value) {
    let (flops, bytes) = (cost.flops / seconds, cost.bytes / seconds);
    let text = format!(
        "{:.1} GFLOP/s in products ({:.0}% of the peak), {:.1} GB/s ({:.0}%)",
        flops / 1e9,
        flops / peak.flops * 100.0,
        bytes / 1e9,
        bytes / peak.bytes * 100.0
    );
    let value = json!({
        "gflop_per_second": flops / 1e9, "gb_per_second": bytes / 1e9,
        "peak_gflop_per_second": peak.flops / 1e9, "peak_gb_per_second": peak.bytes / 1e9, "peak": peak.how,
        "share_of_peak_flops": flops / peak.flops, "share_of_peak_bytes": bytes / peak.bytes,
    });
    (text, value)
}

/// One object with the keys of both.
fn merged(mut first: Value, second: Value) -> Value {
    if let (Value::Object(first), Value::Object(second)) = (&mut first, second) {
        first.extend(second);
    }
    first
}
