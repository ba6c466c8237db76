//! `elbo transfer`: the content of examples in the style of others.

use super::{open, show};
use crate::cli::TransferArgs;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::model::tasks::{ENCODE, Need};
use crate::report::Report;
use crate::session::{BATCH, Purpose};
use serde_json::json;

/// Decodes the latents that are style of the one with those that are content, and the class, of the other: of each content with
/// each style.
///
/// # Errors
/// Those of [`open::with_data`], [`open::part`] and [`open::example`]; [`Error::Usage`] for a model in which nothing says what is style,
/// and for dimensions that there are not.
pub fn run(args: &TransferArgs, report: &Report) -> Result<()> {
    let data = args.examples.data.as_deref();
    let mut trained = open::with_data(&args.run, data, Purpose::task(ENCODE, BATCH), report)?;
    let session = &mut trained.session;
    session.model.need(&[Need::Numbers, Need::Values, Need::OneLayer], "elbo transfer")?;
    show::check_name(args.out.as_deref(), &session.record)?;
    let is_style = styles(&session.model, &args.dims)?;
    let (part, name) = open::part(session.data()?, args.examples.part)?;
    let found = |flag: &str, places: &[usize]| -> Result<Vec<u32>> {
        places.iter().map(|&index| open::example(flag, index, &part, name)).collect()
    };
    let (contents, styles) = (found("--content", &args.content)?, found("--style", &args.style)?);
    let count = contents.len() * styles.len();
    open::check_count(count, show::is_drawn(args.out.as_deref(), &session.record))?;
    let seed = session.config.train.seed;
    let [content, style] = [session.encode(&contents, seed)?, session.encode(&styles, seed)?];
    let mut latents = Vec::with_capacity(count * content.latent);
    for i in 0..contents.len() {
        let own = settled(&session.model, content.mean(i));
        for j in 0..styles.len() {
            let pairs = own.iter().zip(style.mean(j)).zip(&is_style);
            latents.extend(pairs.map(|((&content, &style), &is_style)| if is_style { style } else { content }));
        }
    }
    let labels = session.labels(&contents)?;
    let classes: Vec<u32> = labels.iter().flat_map(|&label| std::iter::repeat_n(label, styles.len())).collect();
    let decoded = session.decode(&latents, &classes)?;
    let (left, above) = (session.originals(&contents)?, session.originals(&styles)?);
    let record = &trained.session.record;
    let file = format!("transfer-step-{}.{}", trained.step, show::extension(record));
    let file = open::picture(&trained, args.out.as_deref(), &file)?;
    if show::is_drawn(Some(&file), record) {
        show::crossed(&file, [&above, &left, &decoded], record)?;
    } else {
        let data = trained.session.data()?;
        let row = |example: u32| data.row(example as usize).to_string();
        let marks = contents.iter().flat_map(|&i| styles.iter().map(move |&j| vec![row(i), row(j)]));
        let marks: Vec<Vec<String>> = marks.collect();
        show::marked(&file, &decoded, (&["content", "style"], &marks), record, styles.len())?;
    }
    let dimensions: Vec<usize> = (0..is_style.len()).filter(|&at| is_style[at]).collect();
    report.json(&json!({
        "part": name, "content": args.content, "style": args.style, "dims": dimensions, "files": [file],
    }));
    report.result(&file.display().to_string());
    Ok(())
}

/// Which latents are style: those that are named or, where there are others that are content by what they are, those.
fn styles(model: &Model, named: &[usize]) -> Result<Vec<bool>> {
    let latent = model.config.latent;
    let categories = model.config.variables().map_or(0, |[variables, categories]| variables * categories);
    if categories == latent {
        return Err(Error::Usage(
            "elbo transfer is for models with latents that are numbers, which can be style; those of this one are all categories \
             (model.categories)"
                .into(),
        ));
    }
    if let Some(wrong) = named.iter().find(|&&at| !(categories..latent).contains(&at)) {
        let (last, before) = (latent - 1, if categories > 0 { ", since those before are categories" } else { "" });
        return Err(Error::Usage(format!(
            "--dims {wrong}: the latents of this model that can be style go from {categories} to {last}{before}"
        )));
    }
    match named {
        [_, ..] => Ok((0..latent).map(|at| named.contains(&at)).collect()),
        [] if model.classes > 0 || categories > 0 => Ok((0..latent).map(|at| at >= categories).collect()),
        [] => Err(Error::Usage(format!(
            "elbo transfer is for models that are told or infer a class (model.condition = label or inferred), or have both \
             categories and numbers for latents; this one has model.condition = {}: say by --dims which latents are style",
            model.config.condition.word()
        ))),
    }
}

/// A code in which each variable of categories is its likeliest one: between them there is nothing to decode.
fn settled(model: &Model, code: &[f32]) -> Vec<f32> {
    let mut code = code.to_vec();
    let [variables, categories] = model.config.variables().unwrap_or_default();
    for probabilities in code[..variables * categories].chunks_exact_mut(categories.max(1)) {
        let best = (1..categories).fold(0, |best, at| if probabilities[at] > probabilities[best] { at } else { best });
        probabilities.fill(0.0);
        probabilities[best] = 1.0;
    }
    code
}
