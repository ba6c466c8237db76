//! `elbo decode`: what latents from a file stand for.

use super::{classes, files, open, show};
use crate::cli::DecodeArgs;
use crate::error::Result;
use crate::report::human::count;
use crate::report::{Report, csv, npy};
use serde_json::json;

/// Decodes latents and writes the decoder's means.
///
/// # Errors
/// Those of [`files::latents`], [`open::without_data`] and [`classes::one`]; [`crate::error::Error::Disk`] where the
/// file cannot be written.
pub fn run(args: &DecodeArgs, report: &Report) -> Result<()> {
    let format = files::format("--out ", &args.out, &["npy", "csv", "png"])?;
    files::spare(&args.out, &[&args.latents.to_string_lossy()], None)?;
    let mut trained = open::without_data(&args.run, report)?;
    trained.spare(&args.out)?;
    let session = &mut trained.session;
    let class = classes::one(session, "--class", args.class.as_deref())?;
    classes::say_unseen(session, &classes::repeated(class, 1), report);
    let latents = files::latents(&args.latents, session.model.config.latent)?;
    let rows = latents.len() / session.model.config.latent;
    if format == "png" {
        open::check_pictures(rows)?;
    }
    let means = session.decode(&latents, &classes::repeated(class, rows))?;
    let (shape, wide) = (show::shape_of_means(rows, &session.record), session.record.scales());
    match format {
        "npy" => npy::save_original(&args.out, &session.record.original(&means), wide, &shape)?,
        // Without columns of its own a table has a column for each value.
        "csv" if session.record.table().is_none() => {
            let header: Vec<String> = (0..session.model.width).map(|i| format!("x_{i}")).collect();
            let means = session.record.original(&means);
            let number = |&number: &f64| if wide { number.to_string() } else { (number as f32).to_string() };
            let rows = means.chunks_exact(header.len()).map(|row| row.iter().map(number).collect());
            csv::save(&args.out, &header, rows)?;
        }
        _ => show::save(&args.out, &means, &session.record, open::columns(rows))?,
    }
    report.note(&format!("decoded  {} latents", count(rows as u64)));
    report.json(&json!({ "count": rows, "shape": shape[1..], "files": [args.out] }));
    report.result(&args.out.display().to_string());
    Ok(())
}
