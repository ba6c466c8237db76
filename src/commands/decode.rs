//! `elbo decode`: what latents from a file stand for.

use super::{classes, files, open, show};
use crate::cli::DecodeArgs;
use crate::error::Result;
use crate::model::tasks::Need;
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
    files::spare_file(&args.out, &args.latents)?;
    let mut trained = open::without_data(&args.run, report)?;
    trained.spare(&args.out)?;
    let session = &mut trained.session;
    session.model.need(&[Need::Decoder], "elbo decode")?;
    let class = classes::one(session, "--class", args.class.as_deref())?;
    classes::say_unseen(session, &classes::repeated(class, 1), report);
    let has_codes = session.model.has_codes();
    let (means, rows) = if has_codes {
        let codes = files::codes(&args.latents, session.model.cells(), session.model.config.codes)?;
        let rows = codes.len() / session.model.cells();
        check(format, rows)?;
        (session.decode_codes(&codes)?, rows)
    } else {
        let latents = files::latents(&args.latents, session.model.config.latent)?;
        let rows = latents.len() / session.model.config.latent;
        check(format, rows)?;
        (session.decode(&latents, &classes::repeated(class, rows))?, rows)
    };
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
    let what = if has_codes { "grids of codes" } else { "latents" };
    report.note(&format!("decoded  {} {what}", count(rows as u64)));
    report.json(&json!({ "count": rows, "shape": shape[1..], "files": [args.out] }));
    report.result(&args.out.display().to_string());
    Ok(())
}

/// Checks that a picture of so many rows can be drawn, where one is asked for.
fn check(format: &str, rows: usize) -> Result<()> {
    if format == "png" { open::check_pictures(rows).map(drop) } else { Ok(()) }
}
