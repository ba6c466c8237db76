//! `elbo export`: a model for other programs.

use super::{folder, open};
use crate::checkpoint::{Checkpoint, sweep};
use crate::cli::{ExportArgs, Format};
use crate::config::Condition;
use crate::durable;
use crate::error::{Error, Result};
use crate::exec::{Executor, cpu::Cpu};
use crate::interop;
use crate::model::tasks::{ENCODE, Need};
use crate::report::Report;
use crate::report::human::bytes;
use crate::session::{BATCH, Posterior, Purpose, Rows, Session};
use crate::web::{self, Measured};
use serde_json::json;

/// Examples whose codes are looked at.
const EXAMPLES: usize = 1024;

/// Writes a folder with a model. No device is opened, and the data are not needed; a page says more of latent dimensions
/// where they are there.
///
/// # Errors
/// Those of [`folder::check_empty`] and [`open::load`]; [`crate::error::Error::Usage`] for a model that has no form in
/// the format, [`crate::error::Error::Disk`] where the folder cannot be written.
pub fn run(args: &ExportArgs, report: &Report) -> Result<()> {
    folder::check_empty(&args.out, "")?;
    let run = &sweep::one_model(&args.run)?;
    let checkpoint = open::load_any(run, report)?;
    if args.format != Format::Onnx {
        only_onnx(&checkpoint)?;
    }
    let run = open::folder_of(run);
    let files = match args.format {
        Format::Onnx if checkpoint.config.model.prior_codes > 0 => interop::prior(&checkpoint, &run)?,
        Format::Safetensors => interop::safetensors(&checkpoint, &run)?,
        Format::Onnx => interop::onnx(&checkpoint, &run)?,
        Format::Web => {
            let needs = [Need::Numbers, Need::NoCategories, Need::Values, Need::DirectDraws];
            interop::model(&checkpoint)?.need(&needs, "elbo export --format web")?;
            web::files(&checkpoint, &run, &measured(&checkpoint, report)?)?
        }
    };
    if let (Format::Onnx, Some(line)) = (args.format, interop::imprecise(&checkpoint)) {
        report.warn(&line);
    }
    durable::publish_folder(&args.out, &files)?;
    let paths: Vec<_> = files.iter().map(|(name, _)| args.out.join(name)).collect();
    if args.format == Format::Web {
        let (out, all) = (args.out.display(), files.iter().map(|(_, content)| content.len() as u64).sum());
        report.note(&format!("wrote    {out}: {} files, {}", files.len(), bytes(all)));
        report.note(&format!("serve    python3 -m http.server --directory {out}"));
    } else {
        for (path, (_, content)) in paths.iter().zip(&files) {
            report.note(&format!("wrote    {}: {}", path.display(), bytes(content.len() as u64)));
        }
    }
    report.json(&json!({ "epoch": checkpoint.progress.epoch, "step": checkpoint.progress.step, "files": paths }));
    report.result(&args.out.display().to_string());
    Ok(())
}

/// Refuses models that only ONNX has a form for.
fn only_onnx(checkpoint: &Checkpoint) -> Result<()> {
    let model = &checkpoint.config.model;
    if model.prior_codes > 0 {
        return Err(Error::Usage(format!(
            "this is the prior of the codes of a VQ-VAE (model.prior_codes = {}), and no autoencoder: it is exported by --format onnx",
            model.prior_codes
        )));
    }
    if model.condition == Condition::Inferred {
        return Err(Error::Usage(
            "model.condition = inferred: pages and safetensors have no form for a classifier beside encoder and decoder; take \
             --format onnx"
                .into(),
        ));
    }
    Ok(())
}

/// What latent dimensions tell of the data or, where these are not to be had, of samples of the model itself.
fn measured(checkpoint: &Checkpoint, report: &Report) -> Result<Measured> {
    match of_data(checkpoint, report) {
        Ok(measured) => Ok(measured),
        Err(why) => {
            report.warn(&format!("latent dimensions are ordered by what they tell of the model's own samples: {why}"));
            of_samples(checkpoint)
        }
    }
}

/// The same of examples of the test part, or of the training part where there is none.
fn of_data(checkpoint: &Checkpoint, report: &Report) -> Result<Measured> {
    let (config, data) = open::dataset(checkpoint, None, None, None, report)?;
    let (part, name) = open::part(&data, None).or_else(|_| open::part(&data, Some(crate::cli::DataPart::Train)))?;
    let count = EXAMPLES.min(part.len());
    // Spread evenly, so that sorted data show all of their kinds.
    let shown: Vec<u32> = (0..count).map(|i| (part.start + i * part.len() / count) as u32).collect();
    let of = format!("{count} examples of the {name} part of {}", data.name);
    let mut session = Session::new(config, data, Executor::Cpu(Cpu::new(0)?))?;
    session.plan(Purpose::task(ENCODE, BATCH))?;
    session.restore(0, checkpoint)?;
    let seed = session.config.train.seed;
    Ok(Measured::new(of, &session.encode(&shown, seed)?))
}

fn of_samples(checkpoint: &Checkpoint) -> Result<Measured> {
    let mut session = Session::without_data(checkpoint, Executor::Cpu(Cpu::new(0)?))?;
    let (seed, classes) = (session.config.train.seed, session.model.classes as u32);
    let samples = session.sample(EXAMPLES, seed)?;
    let classes: Vec<u32> = (0..classes).cycle().take(if classes > 0 { EXAMPLES } else { 0 }).collect();
    let mut posterior = Posterior::empty(session.model.config.latent);
    let (all, width) = (Rows { values: &samples, classes: &classes }, session.model.width);
    for rows in all.portions(BATCH, width) {
        session.show_encoded(rows)?;
        let shown: Vec<u32> = (0..(rows.values.len() / width) as u32).collect();
        posterior.extend(session.encode(&shown, seed)?);
    }
    Ok(Measured::new(format!("{EXAMPLES} samples of the model itself"), &posterior))
}
