//! `elbo bench eval`: how long it takes to evaluate a batch, for the ELBO or for the importance-weighted likelihood.

use super::{Rounds, check, data, merged, name, peak, rates};
use crate::cli::BenchEvalArgs;
use crate::config;
use crate::error::{Error, Result};
use crate::eval;
use crate::exec::{measure, select};
use crate::kernels::StepScalars;
use crate::model::tasks::{EVALUATE, IMPORTANCE};
use crate::plan::cost::total;
use crate::report::Report;
use crate::rng::Stream;
use crate::session::{BATCH, Purpose, Session};
use serde_json::json;

/// Times the evaluation of batches by a model that has its initial parameters.
///
/// # Errors
/// [`Error::Usage`] for a setting that makes no sense, [`Error::Data`] where data cannot be read; otherwise those of
/// the device.
pub fn run(args: &BenchEvalArgs, report: &Report) -> Result<()> {
    let mut config = config::resolve(args.recipe.recipe.as_deref(), &args.overrides())?;
    if args.samples == Some(0) {
        return Err(Error::Usage("--samples 0: the estimate takes at least 1 sample".into()));
    }
    let (usual, per_run) = args.samples.map_or((BATCH, 1), eval::portions);
    let batch = args.batch.unwrap_or(usual);
    config.train.batch = batch;
    config::validate(&config)?;
    let data = data(args.data.is_some(), &config, report)?;
    let (executor, line) = select::open(args.adapter.as_deref().unwrap_or("auto"), args.threads.count()?)?;
    let target = executor.target();
    let rounds = Rounds::new(args.steps, args.rounds, target)?;
    report.note(&format!("device   {line}"));
    let mut session = Session::new(config, data, executor)?;
    let plan = session.plan(match args.samples {
        None => Purpose::task(EVALUATE, batch),
        Some(_) => Purpose::samples(IMPORTANCE, batch, per_run),
    })?;
    session.initialise()?;
    let order: Vec<u32> = (0..session.data()?.train.len() as u32).collect();
    session.set_order(&order)?;
    // An example takes as many runs as it takes to draw all its samples.
    let runs = args.samples.map_or(1, |samples| samples / per_run);
    let (seed, batches) = (session.config.train.seed, order.len() / batch);
    let scalars = |session: &Session, step: usize| {
        let at = step / runs % batches;
        let scalars = session.scalars(seed, Stream::Evaluate, at * batch, batch);
        StepScalars { slot: at as u32, sample: (step % runs * per_run) as u32, ..scalars }
    };
    let first = scalars(&session, 0);
    check(&mut session, plan, &[first], report)?;
    let time = rounds.time(report, &mut |steps| {
        let scalars: Vec<StepScalars> = steps.map(|step| scalars(&session, step)).collect();
        session.run(plan, &scalars)?;
        session.executor.finish()
    })?;
    let loaded = session.executor.plan(plan);
    let (cost, products, dispatches) = (total(loaded), measure::products(loaded), loaded.steps.len());
    let peak = peak(&mut session.executor, &products, report)?;
    let images = batch as f64 / (time.median * runs as f64);
    let [median, least, most] = [time.median, time.least, time.most].map(|seconds| seconds * 1e3);
    let (rates, values) = rates(cost, time.median, &peak);
    let what = match args.samples {
        None => format!("{images:.0} images/s"),
        Some(samples) => format!("{per_run} samples each of {batch} images, {images:.1} images/s at {samples} samples"),
    };
    report.result(&format!(
        "{median:.4} ms a run ({least:.4} to {most:.4}), {what}\n{rates}\n{dispatches} dispatches a run"
    ));
    let config = &session.config;
    let value = json!({
        "name": name(target), "device": session.executor.name(), "recipe": config.name,
        "batch": batch, "hidden": config.model.hidden, "latent": config.model.latent, "samples": args.samples,
        "samples_per_step": per_run, "ms_per_step": median, "ms_min": least, "ms_max": most,
        "steps": rounds.steps, "rounds": rounds.rounds, "images_per_second": images,
        "dispatches_per_step": dispatches,
    });
    report.json(&merged(value, values));
    Ok(())
}
