//! `elbo embed`: the latents of examples, in a file.

use super::{files, open};
use crate::cli::EmbedArgs;
use crate::error::Result;
use crate::report::csv::Csv;
use crate::report::human::count;
use crate::report::{Report, npy};
use crate::session::{BATCH, Posterior, Purpose};
use serde_json::json;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Encodes examples and writes the means, and where asked for the deviations, of their posteriors.
pub fn run(args: &EmbedArgs, report: &Report) -> Result<()> {
    let format = files::format("--out ", &args.out, &["npy", "csv"])?;
    let mut trained = open::with_data(&args.run, args.data.as_deref(), Purpose::Encode(BATCH), report)?;
    let session = &mut trained.session;
    let (part, name) = match args.part {
        Some(_) => open::part(session.data()?, args.part)?,
        None => (0..session.data()?.len(), "whole"),
    };
    let seed = args.seed.unwrap_or(session.config.train.seed);
    let examples: Vec<u32> = part.clone().map(|i| i as u32).collect();
    let posterior = session.encode(&examples, seed)?;
    let labels = session.data()?.labels.as_deref();
    let made = match format {
        "npy" => arrays(&args.out, &posterior, args.std)?,
        _ => table(&args.out, &posterior, part, labels, args.std)?,
    };
    report.note(&format!(
        "latents  of {} examples ({name} part of {}), {} dimensions",
        count(posterior.len() as u64),
        session.record.name,
        posterior.latent
    ));
    report.json(&json!({
        "data": session.record.name, "part": name, "examples": posterior.len(), "latent": posterior.latent,
        "seed": seed, "rates": posterior.rates(), "files": made,
    }));
    for path in &made {
        report.result(&path.display().to_string());
    }
    Ok(())
}

/// The means as one array, the deviations as another beside it.
fn arrays(path: &Path, posterior: &Posterior, std: bool) -> Result<Vec<PathBuf>> {
    let shape = [posterior.len(), posterior.latent];
    let mut made = vec![path.to_owned()];
    npy::save(path, &posterior.means, &shape)?;
    if std {
        let path = path.with_extension("std.npy");
        npy::save(&path, &posterior.deviations(), &shape)?;
        made.push(path);
    }
    Ok(made)
}

/// One row per example: its index in the data, its label, its mean, its deviation.
fn table(
    path: &Path,
    posterior: &Posterior,
    part: Range<usize>,
    labels: Option<&[u32]>,
    std: bool,
) -> Result<Vec<PathBuf>> {
    let numbered = |name: &str| (0..posterior.latent).map(|j| format!("{name}_{j}")).collect::<Vec<_>>();
    let mut columns = vec!["index".to_owned()];
    columns.extend(labels.map(|_| "label".to_owned()));
    columns.extend(numbered("mean"));
    columns.extend(if std { numbered("std") } else { vec![] });
    let mut table = Csv::new(columns);
    let deviations = posterior.deviations();
    for (row, index) in part.enumerate() {
        let mut cells = vec![index.to_string()];
        cells.extend(labels.map(|labels| labels[index].to_string()));
        cells.extend(posterior.mean(row).iter().map(f32::to_string));
        if std {
            cells.extend(deviations[row * posterior.latent..][..posterior.latent].iter().map(f32::to_string));
        }
        table.row(cells);
    }
    table.save(path)?;
    Ok(vec![path.to_owned()])
}
