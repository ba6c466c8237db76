//! A trained model as a page: a folder that any web server serves and that needs no build.
//!
//! The page asks what [`crate::session`] asks, by plans of its own that are exported as data. Where the browser has WebGPU it
//! runs the shaders of this program; elsewhere small functions in JavaScript follow plans that are made for the CPU engine.
//!
//! | file | holds |
//! |---|---|
//! | `index.html`, `*.css`, `*.js` | the page, the same for every model: `assets/web` |
//! | [`DESCRIPTION`] | what the model is: its data, latent dimensions, where parameters lie, numbers to check a device by |
//! | [`PARAMETERS`] | the parameters as they lie in plans, f32 |
//! | [`WEBGPU`], [`PLAIN`] | the plans, and the texts of shaders |
//! | [`training`] | where the page trains: the plan of a step, examples, what the host tells a step |
//! | [`interop::CARD`] | the model card |

pub mod plans;
pub mod training;

use crate::checkpoint::{Checkpoint, tensors};
use crate::config::Prior;
use crate::error::{Error, Result};
use crate::exec::Executor;
use crate::exec::cpu::Cpu;
use crate::interop;
use crate::model::Weights;
use crate::model::tasks::{DECODE, ENCODE, EVALUATE, SAMPLE};
use crate::plan::{self, ParameterSlot, Plan, Resident, Target};
use crate::rng::Stream;
use crate::session::{Posterior, Purpose, Session, plan_for};
use serde_json::{Value, json};
use std::path::Path;

/// What the model is, in an exported folder.
pub const DESCRIPTION: &str = "model.json";
/// The parameters.
pub const PARAMETERS: &str = "parameters.safetensors";
/// Plans and shaders for WebGPU.
pub const WEBGPU: &str = "webgpu.json";
/// Plans for the executor in JavaScript.
pub const PLAIN: &str = "plain.json";
/// Raised whenever what is exported changes its meaning.
pub const FORMAT: u32 = 1;

/// The files of the page that are the same for every model.
pub const PAGE: &[(&str, &str)] = &[
    ("index.html", include_str!("../assets/web/index.html")),
    ("style.css", include_str!("../assets/web/style.css")),
    ("icon.svg", include_str!("../assets/web/icon.svg")),
    ("main.js", include_str!("../assets/web/main.js")),
    ("model.js", include_str!("../assets/web/model.js")),
    ("webgpu.js", include_str!("../assets/web/webgpu.js")),
    ("plain.js", include_str!("../assets/web/plain.js")),
    ("elements.js", include_str!("../assets/web/elements.js")),
    ("formulas.js", include_str!("../assets/web/formulas.js")),
    ("latents.js", include_str!("../assets/web/latents.js")),
    ("likelihoods.js", include_str!("../assets/web/likelihoods.js")),
    ("math.js", include_str!("../assets/web/math.js")),
    ("products.js", include_str!("../assets/web/products.js")),
    ("random.js", include_str!("../assets/web/random.js")),
    ("safetensors.js", include_str!("../assets/web/safetensors.js")),
    ("examples.js", include_str!("../assets/web/examples.js")),
    ("samples.js", include_str!("../assets/web/samples.js")),
    ("explore.js", include_str!("../assets/web/explore.js")),
    ("own.js", include_str!("../assets/web/own.js")),
    ("between.js", include_str!("../assets/web/between.js")),
    ("card.js", include_str!("../assets/web/card.js")),
    ("curve.js", include_str!("../assets/web/curve.js")),
    ("gradients.js", include_str!("../assets/web/gradients.js")),
    ("order.js", include_str!("../assets/web/order.js")),
    ("schedule.js", include_str!("../assets/web/schedule.js")),
    ("training.js", include_str!("../assets/web/training.js")),
    ("train.js", include_str!("../assets/web/train.js")),
];

/// Samples that are drawn at a time, latents that are decoded side by side, and draws behind the loss of an example.
const SAMPLES: usize = 64;
const STRIP: usize = 12;
const DRAWS: usize = 16;
/// Numbers of the mean that a device is checked by.
const CHECKED: usize = 256;

/// What is known of latent dimensions from examples.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// Which examples.
    pub of: String,
    /// The KL divergence of each dimension in nats, where dimensions have one of their own.
    pub rates: Option<Vec<f64>>,
    /// Mean and standard deviation of the codes, [Z] each.
    pub moments: [Vec<f64>; 2],
}

impl Measured {
    /// What the posteriors of some examples say.
    pub fn new(of: String, posterior: &Posterior) -> Self {
        Self { of, rates: posterior.rates(), moments: posterior.moments() }
    }
}

/// The files of a page for the model of a checkpoint. With a session that has the data it goes on with the training.
///
/// # Errors
/// Those of [`plans::webgpu`], [`plans::plain`] and [`training::files`]; [`Error::Data`] if the checkpoint does not belong to its
/// configuration.
pub fn files(
    checkpoint: &Checkpoint,
    run: &Path,
    measured: &Measured,
    trains: Option<&Session>,
) -> Result<Vec<(String, Vec<u8>)>> {
    interop::plainly_shown(&checkpoint.config.model, "web")?;
    let mut session = Session::without_data(checkpoint, Executor::Cpu(Cpu::new(0)?))?;
    let mut description = description(&mut session, checkpoint, measured)?;
    description["trains"] = trains.is_some().into();
    let parameters: Vec<_> = session.parameters(0)?;
    let examples = trains.map(|session| Ok::<_, Error>(session.data()?.train.end)).transpose()?;
    let mut files = vec![
        text(DESCRIPTION, &description)?,
        text(WEBGPU, &plans::webgpu(&plans_of(&session, Target::Gpu)?)?)?,
        text(PLAIN, &plans::plain(&plans_of(&session, Target::Cpu)?)?)?,
        (PARAMETERS.to_owned(), tensors::encode(&parameters)?),
        (interop::CARD.to_owned(), interop::card::web(checkpoint, run, examples).into_bytes()),
    ];
    if let Some(trains) = trains {
        files.extend(training::files(trains, checkpoint)?);
    }
    files.extend(PAGE.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())));
    Ok(files)
}

/// A file of JSON.
fn text(name: &str, value: &Value) -> Result<(String, Vec<u8>)> {
    let text = serde_json::to_vec(value).map_err(|e| Error::Bug(format!("writing {name}: {e}")))?;
    Ok((name.to_owned(), text))
}

/// The plans of all that the page asks.
fn plans_of(session: &Session, target: Target) -> Result<Vec<(&'static str, Plan)>> {
    let asked = [
        ("sample", Purpose::task(SAMPLE, SAMPLES), SAMPLES),
        ("decode", Purpose::task(DECODE, 1), 1),
        ("strip", Purpose::task(DECODE, STRIP), STRIP),
        ("encode", Purpose::task(ENCODE, 1), 1),
        ("evaluate", Purpose::task(EVALUATE, DRAWS), DRAWS),
    ];
    let plan = |(name, purpose, batch): (&'static str, Purpose, usize)| {
        let resident =
            Resident { data_words: batch * session.model.width, window: 0, order_words: batch, metric_slots: 1 };
        Ok((name, plan_for(&session.model, &session.config, purpose, resident, target)?))
    };
    asked.into_iter().map(plan).collect()
}

fn description(session: &mut Session, checkpoint: &Checkpoint, measured: &Measured) -> Result<Value> {
    let check = check(session)?;
    let (model, record, config) = (&session.model, &session.record, &session.config);
    let classes = record.classes.as_deref().filter(|_| model.classes > 0).unwrap_or_default();
    let ranges = session.ranges();
    // As plans bind them: the last tensor is followed by what is missing to the next aligned place.
    let (_, words) = plan::layout(&model.parameters());
    let parameter = |range: &ParameterSlot| json!({ "name": range.name, "offset": range.offset });
    Ok(json!({
        "format": FORMAT,
        "program": concat!("elbo ", env!("CARGO_PKG_VERSION")),
        "name": config.name,
        "data": record.name,
        "epoch": checkpoint.progress.epoch,
        "likelihood": config.model.likelihood,
        "latent": config.model.latent,
        "width": model.width,
        "mean_width": model.mean_width(),
        "shape": model.shape,
        "encoding": record.encoding,
        "classes": classes,
        "gaussian": model.has_gaussian_posterior(),
        "log_variance": config.model.log_variance,
        "standard": config.model.prior == Prior::Standard && config.model.is_deep().is_none(),
        "dimensions": dimensions(measured),
        "size": if measured.rates.is_some() { "rate in nats" } else { "deviation of the codes" },
        "measured": measured.of,
        "sizes": { "samples": SAMPLES, "strip": STRIP, "draws": DRAWS },
        "streams": { "prior": Stream::Prior as u32, "evaluate": Stream::Evaluate as u32 },
        "weights": Weights::elbo(1.0).at(0.0, 1.0),
        "seed": config.train.seed,
        "parameters": ranges.iter().map(parameter).collect::<Vec<_>>(),
        "words": words,
        "check": check,
    }))
}

/// Latent dimensions, those that tell most first.
fn dimensions(measured: &Measured) -> Vec<Value> {
    let [means, deviations] = &measured.moments;
    let sizes = measured.rates.as_ref().unwrap_or(deviations);
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by(|&a, &b| sizes[b].total_cmp(&sizes[a]));
    let entry = |&at: &usize| json!({ "index": at, "size": sizes[at], "mean": means[at], "deviation": deviations[at] });
    order.iter().map(entry).collect()
}

/// A latent and the beginning of what the CPU engine decodes it to: a device that says otherwise is not used.
fn check(session: &mut Session) -> Result<Value> {
    let z: Vec<f32> = (0..session.model.config.latent).map(|at| 0.5 * ((at * 2 + 1) % 5) as f32 - 1.0).collect();
    let classes = vec![0; usize::from(session.model.classes > 0)];
    let mut mean = session.decode(&z, &classes)?;
    mean.truncate(CHECKED);
    Ok(json!({ "z": z, "mean": mean }))
}
