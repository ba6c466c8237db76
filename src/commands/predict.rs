//! `elbo predict`: the class of examples, in a file.

use super::{files, open};
use crate::cli::PredictArgs;
use crate::error::Result;
use crate::model::tasks::{CLASSIFY, Need};
use crate::report::human::count;
use crate::report::{Report, csv, npy, scatter};
use crate::session::{BATCH, Purpose, likeliest};
use crate::{checkpoint, eval, interop};
use serde_json::json;

/// Writes q(y|x) of examples.
///
/// # Errors
/// Those of [`open::with_data`] and [`open::part`]; [`crate::error::Error::Usage`] for a model that infers no classes, or a file of
/// another format, [`crate::error::Error::Disk`] where it cannot be written.
pub fn run(args: &PredictArgs, report: &Report) -> Result<()> {
    let format = files::format("--out ", &args.out, &["npy", "csv"])?;
    let path = checkpoint::sweep::one_model(&args.run.run)?;
    let model = interop::model(&checkpoint::load_result(&path)?.0)?;
    model.need(&[Need::Classifier], "elbo predict")?;
    let mut trained = open::with_data(&args.run, args.data.as_deref(), Purpose::task(CLASSIFY, BATCH), report)?;
    trained.spare(&args.out)?;
    let session = &mut trained.session;
    let (part, name) = match args.part {
        Some(_) => open::part(session.data()?, args.part)?,
        None => (0..session.data()?.len(), "whole"),
    };
    let accuracy = eval::accuracies(session, part.clone())?.map(|all| all[0]);
    // In the order of the source, so that rows can be put beside those that they came from.
    let mut examples: Vec<u32> = part.map(|at| at as u32).collect();
    examples.sort_by_key(|&at| session.data().map_or(0, |data| data.row(at as usize)));
    let (all, classes) = (session.classify(&examples)?.swap_remove(0), session.model.classes);
    let chosen = likeliest(&all, classes);
    let probabilities: Vec<f32> = all.iter().map(|log| log.exp()).collect();
    let names = session.record.classes.clone().unwrap_or_default();
    if format == "npy" {
        npy::save(&args.out, &probabilities, &[examples.len(), classes])?;
    } else {
        let data = session.data()?;
        let label = data.labels.as_ref().map(|_| "label".to_owned());
        let each = names.iter().map(|name| format!("p_{name}"));
        let header: Vec<String> =
            std::iter::once("index".to_owned()).chain(label).chain(["class".to_owned()]).chain(each).collect();
        let row = |(at, &example): (usize, &u32)| {
            let label = data.labels.as_ref().map(|labels| scatter::name(labels[example as usize], Some(&names)));
            let own = probabilities[at * classes..][..classes].iter().map(f32::to_string);
            let index = std::iter::once(data.row(example as usize).to_string());
            index.chain(label).chain([names[chosen[at] as usize].clone()]).chain(own).collect()
        };
        csv::save(&args.out, &header, examples.iter().enumerate().map(row))?;
    }
    report.note(&format!(
        "classes  of {} examples ({name} part of {}), {classes} of them",
        count(examples.len() as u64),
        session.record.name
    ));
    if let Some(accuracy) = accuracy {
        report.note(&format!("accuracy {:.2} % of the labels that there are", 100.0 * accuracy));
    }
    report.json(&json!({
        "data": session.record.name, "part": name, "examples": examples.len(), "classes": names, "accuracy": accuracy,
        "files": [&args.out],
    }));
    report.result(&args.out.display().to_string());
    Ok(())
}
