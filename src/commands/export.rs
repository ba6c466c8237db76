//! `elbo export`: a model for other programs.

use super::{folder, open};
use crate::cli::{ExportArgs, Format};
use crate::durable;
use crate::error::Result;
use crate::exchange;
use crate::report::Report;
use crate::report::human::bytes;
use serde_json::json;

/// Writes a folder with a model. No device is opened, and the data are not needed.
///
/// # Errors
/// Those of [`folder::check_empty`] and [`open::load`]; [`crate::error::Error::Usage`] for a model that has no form in
/// the format, [`crate::error::Error::Disk`] where the folder cannot be written.
pub fn run(args: &ExportArgs, report: &Report) -> Result<()> {
    folder::check_empty(&args.out, "")?;
    let checkpoint = open::load(&args.run, report)?;
    let run = open::folder_of(&args.run);
    let files = match args.format {
        Format::Safetensors => exchange::safetensors(&checkpoint, &run)?,
        Format::Onnx => exchange::onnx(&checkpoint, &run)?,
    };
    if let (Format::Onnx, Some(line)) = (args.format, exchange::imprecise(&checkpoint)) {
        report.warn(&line);
    }
    durable::publish_folder(&args.out, &files)?;
    let paths: Vec<_> = files.iter().map(|(name, _)| args.out.join(name)).collect();
    for (path, (_, content)) in paths.iter().zip(&files) {
        report.note(&format!("wrote    {}: {}", path.display(), bytes(content.len() as u64)));
    }
    report.json(&json!({ "epoch": checkpoint.progress.epoch, "step": checkpoint.progress.step, "files": paths }));
    report.result(&args.out.display().to_string());
    Ok(())
}
