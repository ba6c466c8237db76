//! `elbo reconstruct`: examples, and below each what the model makes of it.

use super::{classes, open, show, text};
use crate::cli::ReconstructArgs;
use crate::error::{Error, Result};
use crate::model::tasks::RECONSTRUCT;
use crate::report::Report;
use crate::session::{BATCH, Purpose, Session};
use serde_json::json;
use std::ops::Range;

/// Pictures in a row.
const COLUMNS: usize = 8;

/// Examples where nothing else is asked for: in pairs, and with a row for each.
const PAIRS: usize = 32;
const SWAPPED: usize = 10;

/// Encodes examples, decodes the means of their posteriors, and writes both.
///
/// # Errors
/// Those of [`open::with_data`], [`open::part`] and [`show::pairs`]; [`Error::Usage`] for a number of pictures or a
/// class that makes no sense.
pub fn run(args: &ReconstructArgs, report: &Report) -> Result<()> {
    if text::is_one(&args.run) {
        return text::reconstruct(args, shown, report);
    }
    if args.beam.is_some() {
        return Err(Error::Usage(
            "--beam is for models of sequences: those of other data have no tokens to search".into(),
        ));
    }
    let all = args.as_class.as_deref() == Some("all");
    let named = (!args.example.is_empty()).then_some(args.example.len());
    let wanted = open::check_pictures(named.or(args.count).unwrap_or(if all { SWAPPED } else { PAIRS }))?;
    let purpose = Purpose::task(RECONSTRUCT, BATCH);
    let mut trained = open::with_data(&args.run, args.examples.data.as_deref(), purpose, report)?;
    let session = &mut trained.session;
    let swapped = swapped(session, args.as_class.as_deref())?;
    classes::say_unseen(session, &swapped, report);
    let (part, name) = open::part(session.data()?, args.examples.part)?;
    let count = if named.is_some() { wanted } else { wanted.min(part.len()) };
    if count < wanted {
        report.note(&format!("the {name} part has only {count} examples"));
    }
    if all {
        classes::check_pictures(count, swapped.len(), 1, "--as-class")?;
    }
    let shown = shown(&args.example, count, &part, name)?;
    if named.is_none() && count < part.len() {
        report.note(&format!(
            "{count} of {} examples, spread over the {name} part (`--example` names others)",
            part.len()
        ));
    }
    let seed = session.config.train.seed;
    let extension = show::extension(&session.record);
    let of = args.as_class.as_ref().map_or(String::new(), |_| "-swapped".into());
    let file = format!("{name}-step-{}{of}.{extension}", trained.step);
    let path = open::picture(&trained, args.out.as_deref(), &file)?;
    let session = &mut trained.session;
    if all {
        let rows = every_class(session, &shown, &swapped, seed)?;
        show::save(&path, &rows, &session.record, 1 + swapped.len())?;
    } else {
        let (originals, reconstructions) = session.reconstruct(&shown, swapped.first().copied(), seed)?;
        show::pairs(&path, &originals, &reconstructions, &session.record, COLUMNS.min(count))?;
    }
    report.json(&json!({ "part": name, "examples": shown, "as_class": args.as_class, "files": [path] }));
    report.result(&path.display().to_string());
    Ok(())
}

/// The examples of a part that are named by their index in it, or else some.
///
/// # Errors
/// Those of [`open::example`].
pub fn shown(named: &[usize], count: usize, part: &Range<usize>, name: &str) -> Result<Vec<u32>> {
    if !named.is_empty() {
        return named.iter().map(|&index| open::example("--example", index, part, name)).collect();
    }
    // Spread evenly, so that sorted data show all of their kinds.
    Ok((0..count).map(|i| (part.start + i * part.len() / count) as u32).collect())
}

/// The classes as which examples are decoded; none where each is decoded as its own.
fn swapped(session: &Session, asked: Option<&str>) -> Result<Vec<u32>> {
    match asked {
        Some("all") if session.model.classes > 0 => Ok((0..session.model.classes as u32).collect()),
        Some(_) => match classes::typed(session, "--as-class", asked)? {
            found if found.len() == 1 => Ok(found),
            _ => Err(Error::Usage("--as-class takes one class, or all".into())),
        },
        None => Ok(vec![]),
    }
}

/// A row for each example: itself, and what it is as each class, [examples · (1 + classes), D].
fn every_class(session: &mut Session, shown: &[u32], classes: &[u32], seed: u64) -> Result<Vec<f32>> {
    let mut columns = vec![session.originals(shown)?];
    for &class in classes {
        columns.push(session.reconstruct(shown, Some(class), seed)?.1);
    }
    let width = session.model.width;
    let row = |row: usize| columns.iter().flat_map(move |column| &column[row * width..][..width]).copied();
    Ok((0..shown.len()).flat_map(row).collect())
}
