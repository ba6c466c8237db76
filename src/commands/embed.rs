//! `elbo embed`: the latents of examples, in a file.

use super::{files, open};
use crate::cli::{EmbedArgs, Stochastic};
use crate::data::Dataset;
use crate::error::Result;
use crate::model::tasks::{ENCODE, Need};
use crate::report::human::count;
use crate::report::{Report, csv, npy, scatter};
use crate::session::{BATCH, Posterior, Purpose};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Encodes examples and writes the means, and where asked for the deviations, of their posteriors.
///
/// # Errors
/// Those of [`open::with_data`], [`open::part`] and [`open::layer`]; [`crate::error::Error::Usage`] for a file of another format,
/// [`crate::error::Error::Disk`] where it cannot be written.
pub fn run(args: &EmbedArgs, report: &Report) -> Result<()> {
    let format = files::format("--out ", &args.out, &["npy", "csv"])?;
    let mut trained = open::with_data(&args.run, args.data.as_deref(), Purpose::task(ENCODE, BATCH), report)?;
    trained.spare(&args.out)?;
    trained.spare(&deviations(&args.out))?;
    let session = &mut trained.session;
    if args.std {
        session.model.need(&[Need::GaussianPosterior], "elbo embed --std")?;
    }
    let (part, name) = match args.part {
        Some(_) => open::part(session.data()?, args.part)?,
        None => (0..session.data()?.len(), "whole"),
    };
    let seed = args.seed.unwrap_or(session.config.train.seed);
    // In the order of the source, so that rows can be put beside those that they came from.
    let mut examples: Vec<u32> = part.map(|i| i as u32).collect();
    examples.sort_by_key(|&i| session.data().map_or(0, |data| data.row(i as usize)));
    let layer = match args.layer {
        Some(Stochastic::All) => None,
        Some(Stochastic::One(asked)) => Some(open::layer(session, Some(asked), 0)?),
        None => Some(0),
    };
    let mut layers = session.encode_layers(&examples, seed)?;
    let posterior = match layer {
        Some(layer) => layers.swap_remove(layer),
        None => Posterior::side_by_side(&layers),
    };
    let latents = if layer.is_none() { session.model.latents() } else { vec![posterior.latent] };
    let made = match format {
        "npy" => arrays(&args.out, &posterior, args.std)?,
        _ => table(&args.out, &posterior, &dimensions(&latents), &examples, session.data()?, args.std)?,
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
        let path = deviations(path);
        npy::save(&path, &posterior.deviations(), &shape)?;
        made.push(path);
    }
    Ok(made)
}

/// Where the deviations go that belong to an array of means.
fn deviations(path: &Path) -> PathBuf {
    path.with_extension("std.npy")
}

/// What the dimensions of stochastic layers are called: by their number, of several layers that of the layer before it.
fn dimensions(latents: &[usize]) -> Vec<String> {
    let of_layer = |(layer, &latent): (usize, &usize)| {
        let before = if latents.len() > 1 { format!("{layer}_") } else { String::new() };
        (0..latent).map(move |dimension| format!("{before}{dimension}")).collect::<Vec<_>>()
    };
    (1..).zip(latents).flat_map(of_layer).collect()
}

/// One row per example: where it stood in the source, its label, its mean, its deviation.
fn table(
    path: &Path,
    posterior: &Posterior,
    dimensions: &[String],
    examples: &[u32],
    data: &Dataset,
    std: bool,
) -> Result<Vec<PathBuf>> {
    let numbered = |name: &str| dimensions.iter().map(|j| format!("{name}_{j}")).collect::<Vec<_>>();
    let mut header = vec!["index".to_owned()];
    header.extend(data.labels.as_ref().map(|_| "label".to_owned()));
    header.extend(numbered("mean"));
    header.extend(if std { numbered("std") } else { vec![] });
    let deviations = posterior.deviations();
    let row = |(at, &example): (usize, &u32)| {
        let mut cells = vec![data.row(example as usize).to_string()];
        let label = data.labels.as_ref().map(|labels| labels[example as usize]);
        cells.extend(label.map(|label| scatter::name(label, data.classes.as_deref())));
        cells.extend(posterior.mean(at).iter().map(f32::to_string));
        if std {
            cells.extend(deviations[at * posterior.latent..][..posterior.latent].iter().map(f32::to_string));
        }
        cells
    };
    csv::save(path, &header, examples.iter().enumerate().map(row))?;
    Ok(vec![path.to_owned()])
}
