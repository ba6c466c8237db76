//! What a page trains with: the plan of a training step, the examples, and what the host tells a step.
//!
//! The page orders examples, and works out learning rates and weights, as [`crate::train`] does; a model whose training
//! asks the host for more is refused by name.

use super::plans;
use crate::checkpoint::{Checkpoint, Tensor, tensors};
use crate::config::{Config, Curve, NotFinite, Reduction};
use crate::data::batches::Batch;
use crate::data::{Dataset, Values};
use crate::error::{Error, Result};
use crate::interop;
use crate::model::network::{Map, MapKind};
use crate::model::tasks::Need;
use crate::model::weights::{Schedule, Weight};
use crate::model::{Phase, phases};
use crate::plan::{ParameterSlot, Plan, Role, Target};
use crate::rng::{Stream, key};
use crate::session::{Purpose, Session, plan_for, resident};
use crate::train::{Update, scalars};
use serde_json::{Value, json};

/// What a step is told, and what the page says of the training.
pub const TRAINING: &str = "training.json";
/// The plan for WebGPU.
pub const STEP: &str = "training-webgpu.json";
/// The plan for WebGPU on software drivers, which are slow at barriers, where their loops are long enough for it.
pub const SOFTWARE_STEP: &str = "training-software.json";
/// The plan for the executor in JavaScript, where that has all kernels.
pub const PLAIN_STEP: &str = "training-plain.json";
/// The examples, as a device stores them.
pub const EXAMPLES: &str = "training.bin";
/// What the update rule kept: only where that is not zero.
pub const MOMENTS: &str = "training.safetensors";

/// Bytes of examples that a page may carry.
const MOST_BYTES: usize = 64 << 20;
/// Parts of a step that a page gives a device at a time: `RUNS` of `webgpu.js`.
const MOST_PARTS: usize = 32;

/// The files of a page that trains. The session has the data, and its model is that of the checkpoint.
///
/// # Errors
/// [`Error::Usage`] that names what asks for more than a page does; [`Error::Data`] for data that are not those of the
/// checkpoint.
pub fn files(session: &Session, checkpoint: &Checkpoint) -> Result<Vec<(String, Vec<u8>)>> {
    let (config, data) = (&session.config, session.data()?);
    check(config)?;
    if config.train.batch > data.train.len() {
        return Err(crate::config::batch_exceeds(config.train.batch, data.train.len()));
    }
    if !session.record.is_of(&checkpoint.progress.data) {
        return Err(Error::Data(format!(
            "{}: the data are not those of the run, with which alone its training goes on; put the original data back, or \
             name them by --data",
            data.name
        )));
    }
    let examples = examples(data)?;
    let mut kept = resident(data, config, usize::MAX);
    (kept.data_words, kept.order_words) = (examples.len() / 4, data.train.end.max(1024));
    let plan = |target| plan_for(&session.model, config, Purpose::Train, kept, target);
    let step = plan(Target::Gpu)?;
    let mut described = describe(session, checkpoint, &step, examples.len())?;
    let plain = plans::plain_training(plan(Target::Cpu)?)?;
    let moments: Vec<(String, Tensor)> = checkpoint.moments.iter().filter(|(_, t)| is_told(t)).cloned().collect();
    let software = plan(Target::Software).and_then(|plan| plans::webgpu(&[("train", plan)])).ok();
    described["plain"] = plain.is_some().into();
    described["software"] = software.is_some().into();
    described["moments"] = (!moments.is_empty()).into();
    let mut files = vec![
        super::text(TRAINING, &described)?,
        super::text(STEP, &plans::webgpu(&[("train", step)])?)?,
        (EXAMPLES.to_owned(), examples),
    ];
    if let Some(software) = software {
        files.push(super::text(SOFTWARE_STEP, &software)?);
    }
    if let Some(plain) = plain {
        files.push(super::text(PLAIN_STEP, &plain)?);
    }
    if !moments.is_empty() {
        files.push((MOMENTS.to_owned(), tensors::encode(&moments)?));
    }
    Ok(files)
}

/// Refuses what the page does not know how to drive.
fn check(config: &Config) -> Result<()> {
    let phases = phases(config);
    let refused = if phases.len() > 1 {
        let names: Vec<&str> = phases.iter().map(|phase| phase.name).collect();
        format!("its training step has several phases that take turns ({})", names.join(", "))
    } else if config.schedule.curve == Curve::Plateau {
        "schedule.curve = plateau follows a validation, which the page has none of".to_owned()
    } else if config.train.accumulate > MOST_PARTS {
        format!("train.accumulate = {}, and a page takes {MOST_PARTS} parts of a step at most", config.train.accumulate)
    } else if config.train.patience > 0 {
        "train.patience stops by a validation, which the page has none of".to_owned()
    } else {
        return Ok(());
    };
    Err(Error::Usage(format!("--train: {refused}: leave --train out, or train by `elbo train`")))
}

/// The examples up to the last one that is trained on, as a device stores them.
fn examples(data: &Dataset) -> Result<Vec<u8>> {
    let (count, words) = (data.train.end, data.stored_words());
    let too_many = |size: usize| {
        Error::Usage(format!(
            "--train: the examples of {} take {} MiB, and a page carries {} at most: train on fewer (glyphs: --set \
             data.examples=N), or leave --train out",
            data.name,
            size.div_ceil(1 << 20),
            MOST_BYTES >> 20
        ))
    };
    let Some(_) = data.values.words() else { return Err(too_many(4 * count * words)) };
    let mut all: Vec<u8> = match &data.values {
        Values::U8(pixels) => pixels[..count * data.width()].to_vec(),
        Values::F32(floats) => little(floats[..count * words].iter().map(|value| value.to_bits())),
        Values::Codes(codes) => little(codes.numbers[..count * words].iter().map(|value| value.to_bits())),
        Values::Sparse(sparse) => {
            let mut stored = vec![0; sparse.words()];
            sparse.store(1 << 20, |at, words| {
                stored[at..at + words.len()].copy_from_slice(words);
                Ok(())
            })?;
            little(stored.into_iter())
        }
        Values::Disk(_) => return Err(Error::Bug("data on the disk have words in memory".into())),
    };
    all.resize(all.len().next_multiple_of(4), 0);
    if all.len() > MOST_BYTES { Err(too_many(all.len())) } else { Ok(all) }
}

fn little(words: impl Iterator<Item = u32>) -> Vec<u8> {
    words.flat_map(u32::to_le_bytes).collect()
}

/// Whether a tensor has anything but zeros.
fn is_told(tensor: &Tensor) -> bool {
    tensor.values.iter().any(|&value| value != 0.0)
}

fn describe(session: &Session, checkpoint: &Checkpoint, step: &Plan, size: usize) -> Result<Value> {
    let (config, data, progress) = (&session.config, session.data()?, &checkpoint.progress);
    let (train, schedule, phase) = (&config.train, &config.schedule, &phases(config)[0]);
    let examples = data.train.len();
    // What a run that went back to a checkpoint has of it: other noise, and half the learning rate each time.
    let batch = Batch { first: 0, rows: train.batch };
    let first = Update { step: 0, per_epoch: examples.div_ceil(train.batch), slot: 0, batch };
    let noise = scalars(config, &progress.course, &first, 0).key;
    let lowered =
        if train.not_finite == NotFinite::Rollback { 0.5_f64.powi(progress.course.rollbacks as i32) } else { 1.0 };
    let wants_labels = step.words(&Role::Labels) > 0;
    let labels = data.labels.as_deref().filter(|_| wants_labels).map(|labels| &labels[..data.train.end]);
    let kept = if config.optimizer.ema > 0.0 { Role::Average } else { Role::Parameters };
    Ok(json!({
        "data": data.name,
        "bytes": size,
        "examples": [data.train.start, data.train.end],
        "labels": labels,
        "batch": train.batch,
        "parts": train.accumulate,
        "skip": train.not_finite == NotFinite::Skip,
        "shuffle": train.shuffle,
        "key": key(train.seed),
        "noise": noise,
        "streams": { "noise": Stream::Noise as u32, "order": Stream::Order as u32 },
        "epochs": train.epochs,
        "step": progress.step,
        "terms": step.terms,
        "objective": crate::model::objective::formula(config, &config.objective.beta.to_string()),
        "kept": crate::plan::print::role(&kept),
        "rule": rule(phase, lowered),
        "schedule": {
            "curve": schedule.curve,
            "warmup": f64::from(schedule.warmup),
            "milestones": schedule.milestones,
            "gamma": schedule.gamma.iter().map(|&factor| f64::from(factor)).collect::<Vec<_>>(),
            "min_factor": f64::from(schedule.min_factor),
        },
        "layers": layers(session),
        "weights": phase.weights.all().iter().map(weight).collect::<Vec<_>>(),
    }))
}

/// Where the layers lie of a model that `elbo import` takes back, if it is one of dense layers alone: the names of the heads
/// side by side, offset, inputs and outputs of each.
fn layers(session: &Session) -> Option<Vec<Value>> {
    let model = &session.model;
    let needs = [Need::Values, Need::OneLayer, Need::StandardPrior, Need::GaussianPosterior];
    model.need(&needs, "elbo import").ok()?;
    let plain = |map: &Map| matches!(map.kind, MapKind::Dense { from: None, to: None });
    let (maps, ranges) = (model.maps(), session.ranges());
    if maps.len() != ranges.len() || !maps.iter().all(plain) || model.classes > 0 {
        return None;
    }
    let layer = |(map, range): (&Map, &ParameterSlot)| {
        json!([interop::outside(&model.config, &range.name), range.offset, map.inputs, map.outputs])
    };
    Some(maps.iter().zip(&ranges).map(layer).collect())
}

/// The numbers of the update rule that change from step to step, with all their digits.
fn rule(phase: &Phase, lowered: f64) -> Value {
    let rule = &phase.optimizer;
    json!({
        "lr": f64::from(rule.lr),
        "lowered": lowered,
        "betas": [f64::from(rule.beta1), f64::from(rule.beta2)],
        "eps_hat": rule.eps_hat,
        "sum": rule.gradient == Reduction::Sum,
    })
}

fn weight(weight: &Weight) -> Value {
    let schedule = match weight.schedule {
        Schedule::Constant => json!({ "kind": "constant" }),
        Schedule::Rise { epochs } => json!({ "kind": "rise", "epochs": f64::from(epochs) }),
        Schedule::Until { epochs } => json!({ "kind": "until", "epochs": f64::from(epochs) }),
        Schedule::Vanish { epochs } => json!({ "kind": "vanish", "epochs": f64::from(epochs) }),
        Schedule::Cycle { epochs, share } => {
            json!({ "kind": "cycle", "epochs": f64::from(epochs), "share": f64::from(share) })
        }
        Schedule::Fall { from, epochs } => {
            json!({ "kind": "fall", "from": f64::from(from), "epochs": f64::from(epochs) })
        }
    };
    json!({ "name": weight.name, "value": f64::from(weight.value), "level": weight.is_level, "schedule": schedule })
}
