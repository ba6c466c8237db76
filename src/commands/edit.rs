//! `elbo edit`: examples moved along the directions of attributes.

use super::reconstruct::shown;
use super::{files, open, show};
use crate::attributes::{Attributes, FILE};
use crate::checkpoint::sweep;
use crate::cli::EditArgs;
use crate::error::{Error, Result};
use crate::interop;
use crate::model::tasks::{ENCODE, Need};
use crate::report::Report;
use crate::session::{BATCH, Purpose};
use serde_json::json;

/// Examples where no number is asked for.
const COUNT: usize = 8;

/// How far they are moved where nothing is said.
const STRENGTHS: [f32; 5] = [-1.0, -0.5, 0.0, 0.5, 1.0];

/// Encodes examples, adds strength times direction to the means of their posteriors, and writes what these decode to.
///
/// # Errors
/// Those of [`open::load`], [`open::dataset`], [`Attributes::load`] and [`open::part`]; [`Error::Data`] for directions of another model;
/// [`Error::Usage`] for an attribute that there is not, and for numbers that make no sense.
pub fn run(args: &EditArgs, report: &Report) -> Result<()> {
    let strengths = if args.strength.is_empty() { STRENGTHS.to_vec() } else { args.strength.clone() };
    if let Some(strength) = strengths.iter().find(|strength| !strength.is_finite()) {
        return Err(Error::Usage(format!("--strength {strength}: it is to be a finite number")));
    }
    let path = &sweep::one_model(&args.run.run)?;
    let checkpoint = open::load(path, report)?;
    let model = interop::model(&checkpoint)?;
    model.need(&[Need::Numbers, Need::Values, Need::NoCategories, Need::Decoder], "elbo edit")?;
    let kept = args.attributes.clone().unwrap_or_else(|| open::folder_of(path).join(FILE));
    let learnt = Attributes::load(&kept)?;
    if let Some(out) = &args.out {
        files::spare_file(out, &kept)?;
    }
    let latent = model.latents().get(learnt.layer - 1).copied().unwrap_or(0);
    if learnt.model != checkpoint.parameters_hash() || learnt.attributes[0].direction.len() != latent {
        return Err(Error::Data(format!(
            "{}: these directions belong to other parameters, of step {}, and the model is at step {}: learn them anew with \
             `elbo attributes`, or name the checkpoint that they belong to",
            kept.display(),
            learnt.step,
            checkpoint.progress.step
        )));
    }
    let direction = direction(&learnt, &args.attribute)?;
    show::check_name(args.out.as_deref(), &checkpoint.progress.data)?;
    let opened = open::dataset(&checkpoint, args.examples.data.as_deref(), None, Some(&args.run), report)?;
    let mut trained = open::with(&args.run, path, &checkpoint, opened, Purpose::task(ENCODE, BATCH), report)?;
    let session = &mut trained.session;
    let (part, name) = open::part(session.data()?, args.examples.part)?;
    let wanted = if args.example.is_empty() { args.count.unwrap_or(COUNT) } else { args.example.len() };
    let drawn = show::is_drawn(args.out.as_deref(), &session.record);
    let count = if args.example.is_empty() { wanted.min(part.len()) } else { wanted };
    open::check_count(count.saturating_mul(strengths.len() + 1), drawn)?;
    let examples = shown(&args.example, count, &part, name)?;
    let (seed, layer) = (session.config.train.seed, learnt.layer - 1);
    let posterior = session.encode_layers(&examples, seed)?.swap_remove(layer);
    let mut latents = Vec::with_capacity(examples.len() * strengths.len() * latent);
    for at in 0..examples.len() {
        for &strength in &strengths {
            latents.extend(posterior.mean(at).iter().zip(&direction).map(|(mean, way)| mean + strength * way));
        }
    }
    // An example stays what it is, whatever it is moved along.
    let labels = session.labels(&examples)?;
    let classes: Vec<u32> = labels.iter().flat_map(|&label| std::iter::repeat_n(label, strengths.len())).collect();
    let (decoded, originals) = (session.decode_layer(layer, &latents, &classes)?, session.originals(&examples)?);
    let (width, data) = (session.model.width, session.data()?);
    let mut rows = Vec::with_capacity(originals.len() + decoded.len());
    let mut marks = Vec::new();
    let moved = decoded.chunks_exact(strengths.len() * width);
    for ((original, moved), &example) in originals.chunks_exact(width).zip(moved).zip(&examples) {
        rows.extend(original);
        rows.extend(moved);
        let row = data.row(example as usize).to_string();
        marks.push(vec![row.clone(), "original".to_owned()]);
        marks.extend(strengths.iter().map(|strength| vec![row.clone(), strength.to_string()]));
    }
    let record = &trained.session.record;
    let file = format!("edit-step-{}.{}", trained.step, show::extension(record));
    let file = open::picture(&trained, args.out.as_deref(), &file)?;
    show::marked(&file, &rows, (&["row", "strength"], &marks), record, strengths.len() + 1)?;
    report.note(&format!(
        "moved    {count} of {} examples of the {name} part along {}",
        part.len(),
        args.attribute.join(" and ")
    ));
    report.json(&json!({
        "part": name, "examples": examples.iter().map(|&at| at as usize - part.start).collect::<Vec<_>>(),
        "attributes": args.attribute, "strengths": strengths, "layer": learnt.layer, "files": [file],
    }));
    report.result(&file.display().to_string());
    Ok(())
}

/// The sum of the directions of these attributes, [Z].
fn direction(learnt: &Attributes, names: &[String]) -> Result<Vec<f32>> {
    let mut sum = vec![0.0; learnt.attributes.first().map_or(0, |first| first.direction.len())];
    for name in names {
        let of = learnt.named(name)?;
        sum.iter_mut().zip(&of.direction).for_each(|(sum, value)| *sum += value);
    }
    Ok(sum.into_iter().map(|value: f64| value as f32).collect())
}
