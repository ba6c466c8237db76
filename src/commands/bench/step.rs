//! `elbo bench step`: how long a training step takes.

use super::{Rounds, check, data, merged, name, peak, rates};
use crate::checkpoint::TrainerState;
use crate::cli::BenchStepArgs;
use crate::commands::profile;
use crate::config;
use crate::data::batches::{Batch, batches, order};
use crate::error::{Error, Result};
use crate::exec::{PlanId, measure, select};
use crate::kernels::StepScalars;
use crate::model::{network, phases};
use crate::plan::Role;
use crate::plan::cost::{Cost, total};
use crate::report::Report;
use crate::session::Session;
use crate::train::{self, Update};
use serde_json::json;
use std::ops::{Add, Range};
use std::time::Instant;

/// Times training steps.
///
/// # Errors
/// [`Error::Usage`] for a setting that makes no sense, [`Error::Data`] where data cannot be read; otherwise those of
/// the device.
pub fn run(args: &BenchStepArgs, report: &Report) -> Result<()> {
    let members = args.members.unwrap_or(1);
    if !(1..=config::MAX_MEMBERS).contains(&members) {
        return Err(Error::Usage(format!("--members {members}: expected 1 to {}", config::MAX_MEMBERS)));
    }
    let seeds = members.to_string();
    let mut members = config::sweep(args.recipe.recipe.as_deref(), &args.overrides(), Some(&seeds))?.members;
    let (others, config) = (members.split_off(1), members.swap_remove(0));
    if config.train.accumulate > 1 {
        return Err(Error::Usage(format!(
            "train.accumulate = {}: what is timed is one run of the plan; choose its size by --batch",
            config.train.accumulate
        )));
    }
    let data = data(args.data.is_some(), &config, report)?;
    let begun = Instant::now();
    let (executor, line) = select::open(args.adapter.as_deref().unwrap_or("auto"), args.threads.count()?)?;
    let target = executor.target();
    let rounds = Rounds::new(args.steps, args.rounds, target)?;
    report.note(&format!("device   {line}"));
    let mut session = Session::with_members(config, others, data, executor)?;
    super::super::tune(&mut session, args.tune.unwrap_or_default(), report)?;
    let plans = session.phases()?;
    session.initialise()?;
    let seeds: Vec<u64> = session.members().map(|config| config.train.seed).collect();
    for (member, seed) in seeds.into_iter().enumerate() {
        let order = order(session.data()?.train.clone(), seed, 0);
        session.set_order_of(member, &order)?;
    }
    let first = scalars(&mut session, 0..1)?;
    session.run_phases(&first)?;
    session.executor.finish()?;
    let first_step = begun.elapsed().as_secs_f64();
    for (plan, scalars) in &first {
        check(&mut session, *plan, scalars, report)?;
    }
    let before = session.executor.counts();
    let time = rounds.time(report, &mut |steps| {
        let scalars = scalars(&mut session, steps.start + 1..steps.end + 1)?;
        session.run_phases(&scalars)?;
        // Reading waits for the device.
        let terms = session.executor.read_f32(&Role::Metrics, 0, 2)?;
        if terms.iter().any(|term| !term.is_finite()) {
            return Err(Error::Diverged("the loss is not finite: choose other settings to time".into()));
        }
        Ok(())
    })?;
    let submissions = session.executor.counts().submissions - before.submissions;
    let per_submission = ((rounds.rounds + 1) * rounds.steps) as f64 / submissions as f64;
    let loaded = || plans.iter().map(|&plan| session.executor.plan(plan));
    let cost = loaded().map(total).fold(Cost::default(), Add::add);
    let dispatches: usize = loaded().map(|plan| plan.steps.len()).sum();
    let products = measure::products(session.executor.plan(plans[0]));
    let peak = peak(&mut session.executor, &products, report)?;
    let profile = args.profile.then(|| profile::run(&mut session, &peak, report)).transpose()?;
    let (batch, members) = (session.config.train.batch, session.member_count());
    let images = (batch * members) as f64 / time.median;
    let [median, least, most] = [time.median, time.least, time.most].map(|seconds| seconds * 1e3);
    let (rates, values) = rates(cost, time.median, &peak);
    report.result(&format!(
        "{median:.4} ms a step ({least:.4} to {most:.4}), {images:.0} images/s\n\
         {rates}\n\
         {dispatches} dispatches a step, {per_submission:.1} steps a submission, {first_step:.2} s to the first step"
    ));
    let [encoder, decoder] = session.model.networks()?.map(|steps| network::describe(&steps));
    let above: Vec<[Vec<String>; 2]> =
        session.model.between()?.into_iter().map(|pair| pair.map(|steps| network::describe(&steps))).collect();
    let config = &session.config;
    let value = json!({
        "name": name(target), "device": session.executor.name(), "recipe": config.name,
        "batch": batch, "members": members, "encoder": encoder, "decoder": decoder, "latent": config.model.latent,
        "above": above,
        "hidden": config.model.hidden,
        "ms_per_step": median, "ms_min": least, "ms_max": most, "steps": rounds.steps, "rounds": rounds.rounds,
        "images_per_second": images, "dispatches_per_step": dispatches, "steps_per_submission": per_submission,
        "first_step_seconds": first_step, "profile": profile,
    });
    report.json(&merged(value, values));
    Ok(())
}

/// All phases of some steps of a run, with the scalars of each for each member. All batches are full; epochs repeat the first
/// one's order.
fn scalars(session: &mut Session, steps: Range<usize>) -> Result<Vec<(PlanId, Vec<StepScalars>)>> {
    let plans = session.phases()?;
    let (config, rules) = (&session.config, session.members().map(phases).collect::<Vec<_>>());
    let full: Vec<Batch> = batches(session.data()?.train.len(), config.train.batch)
        .filter(|batch| batch.rows == config.train.batch)
        .collect();
    let mut all = Vec::new();
    for step in steps {
        let slot = step % full.len();
        let update = Update { step: step as u64, per_epoch: full.len(), slot, batch: full[slot] };
        let due = plans.iter().enumerate().filter(|(phase, _)| rules[0][*phase].is_due(step as u64));
        all.extend(due.map(|(phase, &plan)| {
            let members = session.members().zip(&rules);
            let told = members
                .map(|(member, rules)| train::scalars_of(member, &rules[phase], &TrainerState::default(), &update, 0));
            (plan, told.collect())
        }));
    }
    Ok(all)
}
