//! `elbo bench step`: how long a training step takes, after a check that it computes what it should.

use crate::cli::BenchStepArgs;
use crate::config::{self, Config};
use crate::data::batches::{Batch, batches, order};
use crate::data::{self, Dataset, Values};
use crate::error::{Error, Result};
use crate::exec::{PlanId, select};
use crate::kernels::StepScalars;
use crate::plan::{Plan, Role, Target};
use crate::report::Report;
use crate::rng::{Philox, Stream};
use crate::session::{Purpose, Session};
use crate::train;
use serde_json::json;
use std::time::Instant;

/// The size of MNIST's training part, which the synthetic data have too.
const EXAMPLES: usize = 60_000;
const SHAPE: [usize; 3] = [1, 28, 28];

/// Steps of a round: an epoch of MNIST in full batches of 128, and what a software driver does in a few seconds.
const STEPS: usize = 468;
const SOFTWARE_STEPS: usize = 64;
const ROUNDS: usize = 5;

/// Times training steps.
pub fn run(args: &BenchStepArgs, report: &Report) -> Result<()> {
    let config = config::resolve(args.recipe.recipe.as_deref(), &args.overrides())?;
    let data = match &args.data {
        Some(_) => data::open(&config.data)?,
        None => synthetic(config.train.seed)?,
    };
    data::check(&data, config.model.likelihood)?;
    if config.train.batch > data.train.len() {
        return Err(config::batch_exceeds(config.train.batch, data.train.len()));
    }
    let (executor, line) = select::open(args.adapter.as_deref().unwrap_or("auto"))?;
    report.note(&format!("device   {line}"));
    let name = match executor.target() {
        Target::Cpu => "elbo-cpu",
        Target::Software | Target::Lanes => "elbo-software",
        Target::Gpu => "elbo-gpu",
    };
    let steps = args.steps.unwrap_or(if name == "elbo-software" { SOFTWARE_STEPS } else { STEPS });
    let rounds = args.rounds.unwrap_or(ROUNDS);
    if args.members.is_some_and(|members| !(1..=config::MOST_MEMBERS).contains(&members)) {
        return Err(Error::Usage(format!("--members: expected 1 to {}", config::MOST_MEMBERS)));
    }
    if steps == 0 || rounds == 0 {
        return Err(Error::Usage("--steps and --rounds must be at least 1".into()));
    }
    let others = (1..args.members.unwrap_or(1)).map(|member| {
        let mut other = config.clone();
        other.train.seed = config.train.seed.saturating_add(member as u64);
        other
    });
    let mut session = Session::with_members(config.clone(), others.collect(), data, executor);
    let plan = check(&mut session, report)?;
    let times = measure(&mut session, plan, steps, rounds, report)?;
    let median = f64::midpoint(times[(times.len() - 1) / 2], times[times.len() / 2]);
    let (least, most) = (times[0], times[times.len() - 1]);
    let (config, loaded) = (&session.config, session.executor.plan(plan));
    let (batch, dispatches) = (config.train.batch, loaded.steps.len());
    let members = session.members().len();
    let images = (batch * members) as f64 / median * 1e3;
    let gflops = members as f64 * product_flops(loaded) / median / 1e6;
    report.result(&format!(
        "{median:.4} ms a step ({least:.4} to {most:.4}), {images:.0} images/s, {dispatches} dispatches a step, \
         {gflops:.1} GFLOP/s in products"
    ));
    report.json(&json!({
        "name": name, "device": session.executor.name(), "recipe": config.name,
        "batch": batch, "members": members, "hidden": config.model.hidden, "latent": config.model.latent,
        "ms_per_step": median, "ms_min": least, "ms_max": most, "steps": steps, "rounds": rounds,
        "images_per_second": images, "dispatches_per_step": dispatches, "gflop_per_second": gflops,
    }));
    Ok(())
}

/// Prepares a training step and compares it with the twins of its kernels.
fn check(session: &mut Session, report: &Report) -> Result<PlanId> {
    let plan = session.plan(Purpose::Train)?;
    session.initialise()?;
    let seeds: Vec<u64> = session.members().map(|config| config.train.seed).collect();
    for (member, seed) in seeds.into_iter().enumerate() {
        let order = order(session.data()?.train.clone(), seed, 0);
        session.set_order_of(member, &order)?;
    }
    let scalars = scalars(session, 0..1)?;
    if let Some(difference) = session.executor.check(plan, &scalars)? {
        return Err(Error::Device(format!("{}: {difference}; nothing was timed", session.executor.name())));
    }
    report.note("check    every kernel of a step agrees with its twin");
    Ok(plan)
}

/// Milliseconds per step of each round, sorted. The first round, in which devices wake up, does not count.
fn measure(session: &mut Session, plan: PlanId, steps: usize, rounds: usize, report: &Report) -> Result<Vec<f64>> {
    let mut times = Vec::with_capacity(rounds);
    for round in 0..=rounds {
        let scalars = scalars(session, 1 + round * steps..1 + (round + 1) * steps)?;
        let begun = Instant::now();
        session.executor.run(plan, &scalars)?;
        // Reading waits for the device.
        let terms = session.executor.read_f32(&Role::Metrics, 0, 2)?;
        let time = begun.elapsed().as_secs_f64() * 1e3 / steps as f64;
        if terms.iter().any(|term| !term.is_finite()) {
            return Err(Error::Diverged("the loss is not finite: choose other settings to time".into()));
        }
        if round > 0 {
            report.note(&format!("round    {round} of {rounds}: {time:.4} ms a step"));
            times.push(time);
        }
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

/// The scalars of some steps of a run, for each member. All batches are full; epochs repeat the first one's order.
fn scalars(session: &Session, steps: std::ops::Range<usize>) -> Result<Vec<StepScalars>> {
    let config: &Config = &session.config;
    let full: Vec<Batch> = batches(session.data()?.train.len(), config.train.batch)
        .filter(|batch| batch.rows == config.train.batch)
        .collect();
    let scalars = |step: usize| {
        let slot = step % full.len();
        let batch = full[slot];
        session.members().map(move |config| train::scalars(config, step as u64, &batch, slot))
    };
    Ok(steps.flat_map(scalars).collect())
}

/// Random bytes in the shape of MNIST.
fn synthetic(seed: u64) -> Result<Dataset> {
    let mut rng = Philox::new(seed, Stream::Choice, 0, 0);
    let mut bytes = vec![0; EXAMPLES * SHAPE.iter().product::<usize>()];
    rand::Rng::fill_bytes(&mut rng, &mut bytes);
    Dataset::new("random bytes", SHAPE, Values::U8(bytes), None, 0, 0)
}

/// Floating-point operations in the products of one run of a plan: 2·m·n·k each.
fn product_flops(plan: &Plan) -> f64 {
    let products = plan.steps.iter().filter(|step| step.kernel.name.starts_with("matmul"));
    products.map(|step| 2.0 * step.params[..3].iter().map(|&extent| f64::from(extent)).product::<f64>()).sum()
}
