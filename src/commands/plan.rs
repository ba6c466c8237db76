//! `elbo plan`: what would be computed, step by step. No device is opened.

use super::open;
use crate::cli::{self, PlanArgs};
use crate::config::{self, Config};
use crate::data::glyphs;
use crate::error::{Error, Result};
use crate::graph::op::Source;
use crate::kernels::Members;
use crate::model::tasks::{EVALUATE, IMPORTANCE};
use crate::model::{Model, phases};
use crate::plan::print::{print, role};
use crate::plan::{Plan, Resident, Step, Target};
use crate::report::Report;
use crate::session::{Purpose, plan_for, resident};
use serde_json::{Value, json};

/// Importance samples per example and run in the plan that is shown.
const SAMPLES: usize = 50;

/// Prints a plan.
///
/// # Errors
/// [`crate::error::Error::Usage`] for a setting that makes no sense or layers that do not meet, and
/// [`crate::error::Error::Data`] where data that were named cannot be read.
pub fn run(args: &PlanArgs, report: &Report) -> Result<()> {
    let config = config::resolve(args.recipe.recipe.as_deref(), &args.overrides())?;
    let (model, resident) = shapes(&config, report)?;
    let batch = config.train.batch;
    let purpose = purpose(&model, args.task.as_deref().unwrap_or("train"), batch)?;
    let target = match args.target.unwrap_or(cli::Target::Gpu) {
        cli::Target::Gpu => Target::Gpu,
        cli::Target::Software => Target::Software,
        cli::Target::Simd8 => Target::Simd8,
        cli::Target::Cpu => Target::Cpu,
    };
    // A training step may have several phases, each with a plan of its own.
    let further = if purpose == Purpose::Train { 1..phases(&config).len() } else { 1..1 };
    let purposes = std::iter::once(purpose).chain(further.map(Purpose::Further));
    let plans: Vec<Plan> =
        purposes.map(|purpose| plan_for(&model, &config, purpose, resident, target)).collect::<Result<_>>()?;
    if let Some(at) = args.wgsl {
        let steps: Vec<&Step> = plans.iter().flat_map(|plan| &plan.steps).collect();
        let step = steps.get(at).ok_or_else(|| {
            let of = if plans.len() > 1 { ", those of all phases one after the other" } else { "" };
            Error::Usage(format!("--wgsl {at}: the plan has the steps 0 to {}{of}", steps.len().saturating_sub(1)))
        })?;
        report.result(step.kernel.source(&step.consts, &Members::ONE).trim_end());
        return Ok(());
    }
    report.result(plans.iter().map(print).collect::<Vec<_>>().join("\n").trim_end());
    let mut value = as_json(&plans[0]);
    if plans.len() > 1 {
        value["phases"] = plans.iter().map(as_json).collect();
    }
    report.json(&value);
    Ok(())
}

/// What the word of a task stands for.
fn purpose(model: &Model, word: &str, batch: usize) -> Result<Purpose> {
    let name = match word {
        "train" => return Ok(Purpose::Train),
        "eval" => EVALUATE,
        "likelihood" => IMPORTANCE,
        name => name,
    };
    let task = model.task(name)?;
    Ok(Purpose::samples(task.name, batch, if task.takes_samples { SAMPLES } else { 1 }))
}

/// The model for the data that are configured, and the sizes of what would stay on the device. Glyphs have a known
/// shape and are not drawn.
pub(super) fn shapes(config: &Config, report: &Report) -> Result<(Model, Resident)> {
    if config.data.source != "glyphs" {
        let data = open::data(config, None, report)?;
        return Ok((Model::new(config, &data)?, resident(&data, config, usize::MAX)));
    }
    let (width, examples) = (28 * 28, config.data.examples);
    let model = Model::with(config, [1, 28, 28], Source::Bytes, None, false, glyphs::CLASSES)?;
    let resident = Resident {
        data_words: (examples * width).div_ceil(4),
        window: 0,
        order_words: examples,
        metric_slots: examples.div_ceil(config.train.batch),
    };
    Ok((model, resident))
}

fn as_json(plan: &Plan) -> Value {
    let step = |step: &crate::plan::Step| {
        let consts: serde_json::Map<String, Value> =
            step.kernel.consts.iter().zip(&step.consts).map(|(name, value)| ((*name).into(), json!(value))).collect();
        let bindings: Vec<Value> = step
            .kernel
            .bindings
            .iter()
            .zip(&step.views)
            .map(|(binding, view)| {
                json!({
                    "name": binding.name, "access": format!("{:?}", binding.access).to_lowercase(),
                    "buffer": view.buffer, "offset": view.offset, "words": view.words,
                })
            })
            .collect();
        json!({
            "kernel": step.kernel.name, "what": step.what, "consts": consts, "params": step.params,
            "bindings": bindings, "grid": step.grid,
        })
    };
    json!({
        "name": plan.name,
        "batch": plan.batch,
        "terms": plan.terms,
        "parameters": plan.parameters.iter()
            .map(|p| json!({ "name": p.name, "shape": p.shape, "offset": p.offset })).collect::<Vec<_>>(),
        "buffers": plan.buffers.iter()
            .map(|b| json!({ "role": role(&b.role), "words": b.words })).collect::<Vec<_>>(),
        "steps": plan.steps.iter().map(step).collect::<Vec<_>>(),
    })
}
