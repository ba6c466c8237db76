//! `elbo export`: a model for other programs.

use super::{folder, open};
use crate::checkpoint::{Checkpoint, sweep};
use crate::cli::{ExportArgs, Format};
use crate::config::{self, Condition, ModelConfig};
use crate::data;
use crate::durable;
use crate::error::{Error, Result};
use crate::exec::{Executor, cpu::Cpu};
use crate::interop;
use crate::model::tasks::{ENCODE, Need};
use crate::report::Report;
use crate::report::human::bytes;
use crate::session::{BATCH, Posterior, Purpose, Rows, Session};
use crate::train::Member;
use crate::web::{self, Measured};
use serde_json::json;
use std::path::PathBuf;

/// Examples whose codes are looked at.
const EXAMPLES: usize = 1024;

/// Writes a folder with a model. No device is opened, and the data are not needed; a page says more of latent dimensions
/// where they are there.
///
/// # Errors
/// Those of [`folder::check_empty`] and [`open::load`]; [`crate::error::Error::Usage`] for a model that has no form in
/// the format, [`crate::error::Error::Disk`] where the folder cannot be written.
pub fn run(args: &ExportArgs, report: &Report) -> Result<()> {
    args.check()?;
    folder::check_empty(&args.out, "")?;
    let (checkpoint, run, fresh) = if let Some(run) = &args.run {
        let run = sweep::one_model(run)?;
        (open::load_any(&run, report)?, open::folder_of(&run), None)
    } else {
        // The card says with what command it was made.
        let (session, checkpoint) = fresh(args, report)?;
        (checkpoint, PathBuf::from("--train"), Some(session))
    };
    if args.format != Format::Onnx {
        only_onnx(&checkpoint.config.model)?;
    }
    let files = match args.format {
        Format::Onnx if checkpoint.config.model.prior_codes > 0 => interop::prior(&checkpoint, &run)?,
        Format::Safetensors => interop::safetensors(&checkpoint, &run)?,
        Format::Onnx => interop::onnx(&checkpoint, &run)?,
        Format::Web => {
            let needs = [Need::Numbers, Need::NoCategories, Need::Values, Need::DirectDraws];
            interop::model(&checkpoint)?.need(&needs, "elbo export --format web")?;
            let mut trains = match (fresh, args.train) {
                (None, true) => Some(with_examples(&checkpoint, args, report)?),
                (fresh, _) => fresh,
            };
            let measured = match &mut trains {
                Some(session) => of_session(session, &checkpoint)?,
                None => measured(&checkpoint, report)?,
            };
            web::files(&checkpoint, &run, &measured, trains.as_ref())?
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
        if args.train {
            report.note("holds    the training examples: whoever has the page has them");
        }
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
fn only_onnx(model: &ModelConfig) -> Result<()> {
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

/// A model that has not taken a step, with its data, as a checkpoint of a run that is about to begin.
fn fresh(args: &ExportArgs, report: &Report) -> Result<(Session, Checkpoint)> {
    let config = config::resolve(args.recipe.recipe.as_deref(), &args.overrides())?;
    only_onnx(&config.model)?;
    let data = open::data(&config, None, report)?;
    data::check(&data, config.model.takes())?;
    let mut session = Session::new(config, data, Executor::Cpu(Cpu::new(0)?))?;
    session.plan(Purpose::Train)?;
    session.initialise()?;
    let progress = Member::new(&session, "").progress;
    let (parameters, moments) = (session.parameters(0)?, session.moment_tensors(0)?);
    let config = session.config.clone();
    Ok((session, Checkpoint { parameters, moments, progress, config }))
}

/// A session with the data that a run was trained on.
fn with_examples(checkpoint: &Checkpoint, args: &ExportArgs, report: &Report) -> Result<Session> {
    let (config, data) = open::dataset(checkpoint, args.data.as_deref(), None, None, report)?;
    Session::new(config, data, Executor::Cpu(Cpu::new(0)?))
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
    of_session(&mut Session::new(config, data, Executor::Cpu(Cpu::new(0)?))?, checkpoint)
}

/// The same of a session that has the data.
fn of_session(session: &mut Session, checkpoint: &Checkpoint) -> Result<Measured> {
    let data = session.data()?;
    let (part, name) = open::part(data, None).or_else(|_| open::part(data, Some(crate::cli::DataPart::Train)))?;
    let count = EXAMPLES.min(part.len());
    // Spread evenly, so that sorted data show all of their kinds.
    let shown: Vec<u32> = (0..count).map(|i| (part.start + i * part.len() / count) as u32).collect();
    let of = format!("{count} examples of the {name} part of {}", data.name);
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
