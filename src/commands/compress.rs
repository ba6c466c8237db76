//! `elbo compress`: examples in a file, as few bits as a trained model can say them in.

use super::open;
use crate::checkpoint::{DataRecord, sweep};
use crate::cli::CompressArgs;
use crate::compress::file::File;
use crate::compress::lossless::{Examples, Lossless};
use crate::compress::{lossy, model_hash};
use crate::config::Binarise;
use crate::data::table::Encoding;
use crate::durable;
use crate::error::{Error, Result};
use crate::interop;
use crate::model::Model;
use crate::model::tasks::{ENCODE, Need, RECONSTRUCT};
use crate::report::Report;
use crate::report::human::{bytes, count};
use crate::session::{BATCH, Purpose, Session};
use serde_json::json;
use std::path::Path;

/// The step of latents where none is asked for.
const STEP: f64 = 0.5;

/// Compresses examples and says at what rate.
///
/// # Errors
/// Those of [`open::load`], [`open::dataset`] and [`open::with`]; [`Error::Usage`] for a model or a step that makes no sense here,
/// [`Error::Data`] for values that have no probability, [`Error::Disk`] where the file cannot be written.
pub fn run(args: &CompressArgs, report: &Report) -> Result<()> {
    let path = &sweep::one_model(&args.run.run)?;
    let checkpoint = open::load(path, report)?;
    // Refused before anything is read.
    let (model, record) = (interop::model(&checkpoint)?, &checkpoint.progress.data);
    let codec = if args.lossy {
        check_lossy(&model, record, args.step)?;
        None
    } else {
        check_lossless(&model, record)?;
        Some(Lossless::new(model, &checkpoint.parameters)?)
    };
    let opened = open::dataset(&checkpoint, args.data.as_deref(), None, Some(&args.run), report)?;
    let purpose = Purpose::task(if args.lossy { ENCODE } else { RECONSTRUCT }, BATCH);
    let mut trained = open::with(&args.run, path, &checkpoint, opened, purpose, report)?;
    trained.spare(&args.out)?;
    let session = &mut trained.session;
    let (part, name) = match args.part {
        Some(_) => open::part(session.data()?, args.part)?,
        None => (0..session.data()?.len(), "whole"),
    };
    let seed = args.seed.unwrap_or(session.config.train.seed);
    // In the order of the source, so that what comes out can be put beside it.
    let mut examples: Vec<u32> = part.map(|i| i as u32).collect();
    examples.sort_by_key(|&i| session.data().map_or(0, |data| data.row(i as usize)));
    let (file, error) = if let Some(codec) = codec {
        (lossless(&codec, session, &examples, seed, report)?, None)
    } else {
        let (file, error) = lossily(session, &examples, args.step.unwrap_or(STEP), seed)?;
        (file, Some(error))
    };
    let written = file.to_bytes();
    durable::replace_file(&args.out, &written)?;
    say(args, report, session, (name, examples.len()), &file, (written.len(), error));
    Ok(())
}

/// Says what came of it. `error` is the mean squared error of what comes back, where something was lost.
fn say(
    args: &CompressArgs,
    report: &Report,
    session: &Session,
    (part, examples): (&str, usize),
    file: &File,
    (size, error): (usize, Option<f64>),
) {
    let bits = 8.0 * size as f64 / examples.max(1) as f64;
    let values = values(&session.record);
    let begun = 32 * file.borrowed;
    let data = &session.record.name;
    report.note(&format!("data     {data}, {part} part: {} examples", count(examples as u64)));
    report.note(&format!(
        "file     {}: {bits:.2} bits an example, {:.4} bits a value; {} bits of it to begin with",
        bytes(size as u64),
        bits / values,
        count(begun)
    ));
    let psnr = error.map(psnr);
    if let Some(psnr) = psnr {
        report.note(&format!("loss     PSNR {psnr:.2} dB"));
    }
    report.json(&json!({
        "data": data, "part": part, "examples": examples, "bytes": size, "bits_per_example": bits,
        "bits_per_value": bits / values, "begun_bits": begun, "lossy": args.lossy, "psnr": psnr,
        "files": [args.out],
    }));
    report.result(&args.out.display().to_string());
}

/// The values of an example, as its source has them: a category is one.
fn values(record: &DataRecord) -> f64 {
    let categories = record.encoding.as_ref().and_then(Encoding::categories);
    categories.map_or(record.shape.iter().product::<usize>(), |(extents, _)| extents.iter().product()) as f64
}

/// The peak signal-to-noise ratio of pictures from 0 to 1, in decibels.
fn psnr(error: f64) -> f64 {
    -10.0 * error.max(f64::MIN_POSITIVE).log10()
}

/// Refuses rows of a table: a file keeps neither names nor words.
fn check_lossless(model: &Model, record: &DataRecord) -> Result<()> {
    match record.table() {
        Some(encoding) if encoding.categories().is_none() => Err(Error::Usage(format!(
            "elbo compress is for pictures, and arrays of bits or categories; this model is of rows of a table \
             (model.likelihood = {})",
            model.config.likelihood.name()
        ))),
        _ => Ok(()),
    }
}

/// Refuses what has no pictures, or latents that do not say all.
fn check_lossy(model: &Model, record: &DataRecord, step: Option<f64>) -> Result<()> {
    let refuse = |why: String| Err(Error::Usage(why));
    model.need(&[Need::Values, Need::NoCategories, Need::OneLayer], "elbo compress --lossy")?;
    let categories = record.encoding.as_ref().is_some_and(|encoding| encoding.categories().is_some());
    if record.shape[..2] == [1, 1] || categories {
        return refuse("elbo compress --lossy is for pictures, of which what comes back may differ a little".into());
    }
    if model.classes > 0 {
        return refuse(format!(
            "elbo compress --lossy keeps latents alone, and this model decodes them given a class (model.condition = {}); \
             without --lossy the class is kept, too",
            model.config.condition.word()
        ));
    }
    match step {
        Some(step) if model.has_codes() => refuse(format!(
            "--step {step}: the latents of this model are codes (model.codes = {}), which are written as they are",
            model.config.codes
        )),
        Some(step) => lossy::check_step(step),
        None => Ok(()),
    }
}

/// Compresses examples without loss.
fn lossless(codec: &Lossless, session: &mut Session, examples: &[u32], seed: u64, report: &Report) -> Result<File> {
    let mut shown = Vec::with_capacity(examples.len() * session.model.width);
    for part in examples.chunks(BATCH) {
        shown.extend(session.reconstruct(part, None, seed)?.0);
    }
    let classes = session.labels(examples)?;
    report.begin("compress", examples.len());
    let file = codec.compress(Examples { values: &shown, classes: &classes }, &mut |done| report.advance(done as u64));
    report.clear();
    match session.config.data.binarise {
        Binarise::None => {}
        Binarise::Threshold => report.note("pixels   as they are cut at one half (data.binarise = threshold)"),
        Binarise::Dynamic => {
            report.note(&format!("pixels   as they are drawn by seed {seed} (data.binarise = dynamic)"));
        }
    }
    file.map_err(|error| match error {
        Error::Data(why) => Error::Data(format!("{}: {why}", session.record.name)),
        error => error,
    })
}

/// Keeps latents or codes of examples, and gives the mean squared error of what will come back.
fn lossily(session: &mut Session, examples: &[u32], step: f64, seed: u64) -> Result<(File, f64)> {
    let (model, shape) = (model_hash(&session.parameters(0)?), session.model.shape);
    let (file, means) = if session.model.has_codes() {
        let (codes, cells) = (session.codes(examples, seed)?, session.model.cells());
        let file = lossy::compress_codes(&codes, cells, session.model.config.codes as u32, model, shape)?;
        (file, session.decode_codes(&codes)?)
    } else {
        let latents = session.encode(examples, seed)?.means;
        let dimensions = session.model.config.latent;
        let file = lossy::compress_latents(&latents, dimensions, step, model, shape)?;
        let restored = lossy::latents(&file, dimensions, model, shape)?;
        (file, session.decode(&restored, &[])?)
    };
    let mut squares = 0.0;
    for (part, means) in examples.chunks(BATCH).zip(means.chunks(BATCH * session.model.width)) {
        let originals = session.originals(part)?;
        let [before, after] = [&originals[..], means].map(|rows| super::show::pictures(rows, &session.record).0);
        let error = |(before, after): (&f32, &f32)| f64::from(session.model.shown(*before) - after).powi(2);
        squares += before.iter().zip(&after).map(error).sum::<f64>();
    }
    Ok((file, squares / means.len().max(1) as f64))
}

/// Reads a file.
///
/// # Errors
/// [`Error::Data`] where it cannot be read, or is none of `elbo compress`.
pub(super) fn read(path: &Path) -> Result<File> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| Error::Data(format!("{name}: cannot be read: {error}")))?;
    File::of(&name, &bytes)
}
