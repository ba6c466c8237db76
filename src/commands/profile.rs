//! Where the time of a training step goes: a line for each step of the plan.

use crate::checkpoint::TrainerState;
use crate::data::batches::{batches, order};
use crate::error::{Error, Result};
use crate::exec::measure::Peak;
use crate::exec::profile::{Effort, Profile};
use crate::model::phases;
use crate::plan::Plan;
use crate::plan::cost::{Cost, cost, total};
use crate::report::Report;
use crate::report::table::table;
use crate::session::Session;
use crate::train::{self, Update};
use serde_json::{Value, json};
use std::time::Duration;

/// Enough for a median, within a few seconds.
const EFFORT: Effort = Effort { repeats: 20, time: Duration::from_secs(3) };

/// Profiles a training step of a session that has its parameters, and prints a table for each of its phases. Parameters and
/// moments stay as they are. Gives the same figures for programs.
///
/// # Errors
/// [`Error::Bug`] where there are no examples; otherwise those of the device.
pub fn run(session: &mut Session, peak: &Peak, report: &Report) -> Result<Value> {
    let (seed, batch) = (session.config.train.seed, session.config.train.batch);
    let examples = order(session.data()?.train.clone(), seed, 0);
    session.set_order(&examples)?;
    let first = batches(examples.len(), batch).next();
    let first = first.ok_or_else(|| Error::Bug("there are no examples".into()))?;
    let update = Update { step: 0, per_epoch: 1, slot: 0, batch: first };
    let mut all = Vec::new();
    let phases = phases(&session.config);
    for (id, phase) in session.phases()?.into_iter().zip(&phases) {
        let scalars = train::scalars_of(&session.config, phase, &TrainerState::default(), &update, 0);
        session.supply(&[scalars])?;
        let profile = session.executor.profile(id, &scalars, EFFORT)?;
        let plan = session.executor.plan(id);
        if phases.len() > 1 {
            report.result(&format!("phase {}", phase.name));
        }
        report.result(&as_text(plan, &profile, peak));
        all.push(as_json(plan, &profile));
    }
    let mut value = all[0].clone();
    if all.len() > 1 {
        value["phases"] = json!(all);
    }
    Ok(value)
}

/// Rates of something that took `seconds` seconds: GFLOP/s, GB/s, and how near it is to the peak of whichever binds it.
fn rates(cost: Cost, seconds: f64, peak: &Peak) -> [String; 3] {
    let [flops, bytes] = [cost.flops, cost.bytes].map(|amount| amount / seconds.max(1e-9));
    [
        if cost.flops > 0.0 { format!("{:.1}", flops / 1e9) } else { "-".to_owned() },
        format!("{:.1}", bytes / 1e9),
        format!("{:.0}%", 100.0 * (flops / peak.flops).max(bytes / peak.bytes)),
    ]
}

fn as_text(plan: &Plan, profile: &Profile, peak: &Peak) -> String {
    let sum: f64 = profile.steps.iter().map(|step| step.median).sum();
    let row = |number: String, kernel: &str, grid: String, seconds: f64, cost: Cost, what: &str| {
        let [flops, bytes, share] = rates(cost, seconds, peak);
        let time = [format!("{:.1}", seconds * 1e6), format!("{:.1}%", 100.0 * seconds / sum.max(1e-12))];
        let [microseconds, part] = time;
        vec![number, kernel.to_owned(), grid, microseconds, part, flops, bytes, share, what.to_owned()]
    };
    let steps = plan.steps.iter().zip(&profile.steps).enumerate();
    let mut rows: Vec<Vec<String>> = steps
        .map(|(at, (step, time))| {
            let [x, y, z] = step.grid;
            let grid = if z == 1 { format!("{x}x{y}") } else { format!("{x}x{y}x{z}") };
            row(at.to_string(), step.kernel.name, grid, time.median, cost(plan, step), &step.what)
        })
        .collect();
    rows.push(row(String::new(), "all steps", String::new(), sum, total(plan), ""));
    rows.push(row(String::new(), "in a run", String::new(), profile.run, total(plan), "many steps, by the wall clock"));
    let header = ["", "kernel", "grid", "µs", "share", "GFLOP/s", "GB/s", "of peak", "what"];
    let repeats = profile.steps.iter().map(|step| step.repeats).min().unwrap_or(0);
    format!(
        "{}\nclock: {}; medians of {repeats} repeats\npeak: {:.1} GFLOP/s and {:.1} GB/s, by {}",
        table(&header, &rows),
        profile.clock.describe(),
        peak.flops / 1e9,
        peak.bytes / 1e9,
        peak.how
    )
}

fn as_json(plan: &Plan, profile: &Profile) -> Value {
    let step = |(step, time): (&crate::plan::Step, &crate::exec::profile::Timing)| {
        let cost = cost(plan, step);
        json!({
            "kernel": step.kernel.name, "what": step.what, "grid": step.grid, "us": time.median * 1e6,
            "us_min": time.least * 1e6, "us_max": time.most * 1e6, "flop": cost.flops, "bytes": cost.bytes,
        })
    };
    json!({
        "clock": profile.clock.describe(),
        "us": profile.steps.iter().map(|step| step.median * 1e6).sum::<f64>(),
        "us_in_a_run": profile.run * 1e6,
        "steps": plan.steps.iter().zip(&profile.steps).map(step).collect::<Vec<Value>>(),
    })
}
