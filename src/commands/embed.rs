//! `elbo embed`: the latents of examples, in a file.

use super::{files, open};
use crate::cli::{EmbedArgs, Stochastic};
use crate::data::Dataset;
use crate::error::Result;
use crate::model::tasks::{ENCODE, Need};
use crate::report::human::count;
use crate::report::{Report, csv, npy, scatter};
use crate::session::{BATCH, Posterior, Purpose, Session};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Encodes examples and writes the means, and where asked for the deviations, of their posteriors.
///
/// # Errors
/// Those of [`open::with_data`], [`open::part`] and [`open::layer`]; [`crate::error::Error::Usage`] for a file of another format,
/// [`crate::error::Error::Disk`] where it cannot be written.
pub fn run(args: &EmbedArgs, report: &Report) -> Result<()> {
    let known: &[&str] = if cfg!(feature = "h5ad") { &["npy", "csv", "h5ad"] } else { &["npy", "csv"] };
    let format = files::format("--out ", &args.out, known)?;
    let mut trained = open::with_data(&args.run, args.data.as_deref(), Purpose::task(ENCODE, BATCH), report)?;
    trained.spare(&args.out)?;
    trained.spare(&deviations(&args.out))?;
    let session = &mut trained.session;
    if args.std {
        session.model.need(&[Need::Numbers, Need::GaussianPosterior], "elbo embed --std")?;
    }
    let (part, name) = match args.part {
        Some(_) => open::part(session.data()?, args.part)?,
        None => (0..session.data()?.len(), "whole"),
    };
    let seed = args.seed.unwrap_or(session.config.train.seed);
    // In the order of the source, so that rows can be put beside those that they came from.
    let mut examples: Vec<u32> = part.map(|i| i as u32).collect();
    examples.sort_by_key(|&i| session.data().map_or(0, |data| data.row(i as usize)));
    if session.model.has_codes() {
        if format == "h5ad" {
            session.model.need(&[Need::Numbers], "elbo embed --out FILE.h5ad")?;
        }
        if args.layer.is_some() {
            session.model.need(&[Need::Numbers], "elbo embed --layer")?;
        }
        return codes(session, args, (&examples, name, seed), report);
    }
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
        #[cfg(feature = "h5ad")]
        "h5ad" => cells(&args.out, &posterior, &examples, session, args.std)?,
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

/// The codes of examples of a part, under its name: as an array [examples, S] or as a table.
fn codes(
    session: &mut Session,
    args: &EmbedArgs,
    (examples, name, seed): (&[u32], &str, u64),
    report: &Report,
) -> Result<()> {
    let (codes, cells) = (session.codes(examples, seed)?, session.model.cells());
    if args.out.extension().is_some_and(|end| end.eq_ignore_ascii_case("npy")) {
        npy::save_whole(&args.out, &codes, &[examples.len(), cells])?;
    } else {
        let data = session.data()?;
        let header = header(data, (0..cells).map(|cell| format!("code_{cell}")));
        let row = |(at, &example): (usize, &u32)| {
            let own = codes[at * cells..][..cells].iter().map(u32::to_string);
            first(data, example).into_iter().chain(own).collect()
        };
        csv::save(&args.out, &header, examples.iter().enumerate().map(row))?;
    }
    let ([height, width], of) = (session.model.grid(), session.model.config.codes);
    let data = &session.record.name;
    report.note(&format!(
        "codes    of {} examples ({name} part of {data}), {height}x{width} each, of {of}",
        count(examples.len() as u64)
    ));
    report.json(&json!({
        "data": data, "part": name, "examples": examples.len(), "grid": [height, width], "codes": of, "seed": seed,
        "files": [args.out],
    }));
    report.result(&args.out.display().to_string());
    Ok(())
}

/// What columns of a table are called: where an example stood in the source, its label, then others.
fn header(data: &Dataset, others: impl Iterator<Item = String>) -> Vec<String> {
    let label = data.labels.as_ref().map(|_| "label".to_owned());
    std::iter::once("index".to_owned()).chain(label).chain(others).collect()
}

/// The first cells of the row of an example, of what a user chose the name of the user.
fn first(data: &Dataset, example: u32) -> Vec<String> {
    let label = data.labels.as_ref().map(|labels| labels[example as usize]);
    let label = label.map(|label| scatter::name(label, data.classes.as_deref()));
    std::iter::once(data.user(example as usize)).chain(label).collect()
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

/// An `AnnData` file of all examples, with their labels and the means, and where asked for the deviations.
#[cfg(feature = "h5ad")]
fn cells(path: &Path, posterior: &Posterior, examples: &[u32], session: &Session, std: bool) -> Result<Vec<PathBuf>> {
    use crate::report::anndata;
    let data = session.data()?;
    let names: Vec<String> = examples.iter().map(|&example| data.user(example as usize)).collect();
    let codes: Option<Vec<u32>> =
        data.labels.as_ref().map(|labels| examples.iter().map(|&example| labels[example as usize]).collect());
    let numbered: Vec<String> = (0..data.class_count()).map(|class| class.to_string()).collect();
    let classes = data.classes.as_ref().unwrap_or(&numbered);
    let column = Some(session.config.data.labels.as_str()).filter(|name| !name.is_empty() && !name.contains('/'));
    let label = codes.as_ref().map(|codes| (column.unwrap_or("label"), &codes[..], &classes[..]));
    let deviations = if std { posterior.deviations() } else { vec![] };
    let mut arrays = vec![("X_elbo", &posterior.means[..], posterior.latent)];
    if std {
        arrays.push(("X_elbo_std", &deviations[..], posterior.latent));
    }
    anndata::save(path, &anndata::Cells { names: &names, label, arrays: &arrays })?;
    Ok(vec![path.to_owned()])
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
    let deviations = if std { numbered("std") } else { vec![] };
    let header = header(data, numbered("mean").into_iter().chain(deviations));
    let deviations = posterior.deviations();
    let row = |(at, &example): (usize, &u32)| {
        let mut cells = first(data, example);
        cells.extend(posterior.mean(at).iter().map(f32::to_string));
        if std {
            cells.extend(deviations[at * posterior.latent..][..posterior.latent].iter().map(f32::to_string));
        }
        cells
    };
    csv::save(path, &header, examples.iter().enumerate().map(row))?;
    Ok(vec![path.to_owned()])
}
