//! `elbo decompress`: the examples of a file that `elbo compress` wrote.

use super::{compress, files, open, show};
use crate::checkpoint::DataRecord;
use crate::cli::DecompressArgs;
use crate::compress::file::{File, Kind};
use crate::compress::lossless::Lossless;
use crate::compress::{lossy, model_hash};
use crate::durable;
use crate::error::{Error, Result};
use crate::report::human::count;
use crate::report::{Report, grid, npy};
use crate::session::Session;
use serde_json::json;
use std::path::Path;

/// Gives back the examples of a file.
///
/// # Errors
/// [`Error::Data`] where the file is damaged, or of another model or arithmetic; those of [`open::without_data`];
/// [`Error::Usage`] for a name of a kind that is not written, [`Error::Disk`] where nothing can be written.
pub fn run(args: &DecompressArgs, report: &Report) -> Result<()> {
    let target = Target::of(&args.out)?;
    files::spare_file(&args.out, &args.file)?;
    let file = compress::read(&args.file)?;
    let mut trained = open::without_data(&args.run, report)?;
    trained.spare(&args.out)?;
    let session = &mut trained.session;
    if target == Target::Grid {
        let count = usize::try_from(file.count).unwrap_or(usize::MAX);
        open::check_pictures(count).map_err(|_| {
            Error::Usage(format!(
                "--out {}: the file has {} examples, and one picture takes 1 to {}: name a folder, or a .npy file",
                args.out.display(),
                file.count,
                open::MAX_PICTURES
            ))
        })?;
    }
    let (values, classes) = restored(session, &file, &args.file, report)?;
    let rows = values.len() / session.model.width;
    target.write(&args.out, &values, &session.record, file.kind == Kind::BitsBack)?;
    let how = if file.kind == Kind::BitsBack { "as the model was shown them" } else { "as the model decodes them" };
    report.note(&format!("restored {} examples, {how}", count(rows as u64)));
    report.json(&json!({
        "count": rows, "shape": session.record.shape, "lossy": file.kind != Kind::BitsBack, "classes": classes,
        "files": [args.out],
    }));
    report.result(&args.out.display().to_string());
    Ok(())
}

/// The examples of a file in the units of the model, and the class of each where the model is told classes.
fn restored(session: &mut Session, file: &File, path: &Path, report: &Report) -> Result<(Vec<f32>, Vec<u32>)> {
    let named = |error| match error {
        Error::Data(why) => Error::Data(format!("{}: {why}", path.display())),
        error => error,
    };
    let parameters = session.parameters(0)?;
    let (hash, model) = (model_hash(&parameters), &session.model);
    let (dimensions, shape) = (model.config.latent, model.shape);
    // Another model may not even be of the kind.
    if file.model != hash {
        file.check_model(hash, shape, file.probe).map_err(named)?;
    }
    match file.kind {
        Kind::BitsBack => {
            let codec = Lossless::new(model.clone(), &parameters)?;
            report.begin("decompress", usize::try_from(file.count).unwrap_or(usize::MAX));
            let restored = codec.decompress(file, &mut |done| report.advance(done as u64));
            report.clear();
            restored.map_err(named)
        }
        Kind::Latents => {
            let latents = lossy::latents(file, dimensions, hash, shape).map_err(named)?;
            Ok((session.decode(&latents, &[])?, vec![]))
        }
        Kind::Codes => {
            let codes = lossy::codes(file, model.cells(), model.config.codes as u32, hash, shape).map_err(named)?;
            Ok((session.decode_codes(&codes)?, vec![]))
        }
    }
}

/// What is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    /// An array of all examples.
    Array,
    /// One picture of all.
    Grid,
    /// A folder with a picture of each.
    Folder,
}

impl Target {
    /// What a path asks for.
    fn of(path: &Path) -> Result<Self> {
        let says_folder = path.as_os_str().to_string_lossy().ends_with(std::path::is_separator);
        if path.extension().is_some() && !says_folder && !path.is_dir() {
            let format = files::format("--out ", path, &["npy", "png"])?;
            return Ok(if format == "npy" { Self::Array } else { Self::Grid });
        }
        match std::fs::read_dir(path).map(|mut found| found.next().is_some()) {
            Ok(true) => Err(Error::Usage(format!(
                "--out {}: there is something in this folder already; name a new one, or a file in .npy or .png",
                path.display()
            ))),
            _ => Ok(Self::Folder),
        }
    }

    /// Writes examples, `exact` as they were in their source.
    fn write(self, path: &Path, values: &[f32], record: &DataRecord, exact: bool) -> Result<()> {
        let rows = values.len() / record.shape.iter().product::<usize>();
        match self {
            Self::Array if exact => exactly(path, values, record, rows),
            Self::Array | Self::Grid => show::save(path, values, record, open::columns(rows)),
            Self::Folder => {
                let (pictures, shape) = show::pictures(values, record);
                let digits = rows.saturating_sub(1).to_string().len();
                durable::publish(path, |folder| {
                    for (at, picture) in pictures.chunks_exact(shape.iter().product()).enumerate() {
                        grid::single(&folder.join(format!("{at:0digits$}.png")), picture, shape)?;
                    }
                    Ok(())
                })
            }
        }
    }
}

/// Writes an array of the type that the data had: bytes, whole numbers of categories, or floats.
fn exactly(path: &Path, values: &[f32], record: &DataRecord, rows: usize) -> Result<()> {
    if record.encoding.as_ref().is_some_and(|encoding| encoding.categories().is_some()) {
        let (numbers, shape) = show::numbers(values, record);
        let codes: Vec<u32> = numbers.into_iter().map(|number| number as u32).collect();
        return npy::save_whole(path, &codes, &shape);
    }
    if record.floats {
        return show::save(path, values, record, 1);
    }
    let bytes: Vec<u8> = values.iter().map(|value| (255.0 * value).round() as u8).collect();
    npy::save_bytes(path, &bytes, &[&[rows], &record.shape[..]].concat())
}
