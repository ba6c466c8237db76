//! `elbo impute`: what is missing from rows or pictures, filled by what the model makes of the rest.

mod mask;

use super::{files, open, show};
use crate::checkpoint::{DataRecord, sweep};
use crate::cli::{FillWith, ImputeArgs};
use crate::config::Config;
use crate::data::{Dataset, Format, array, csv, npy as source};
use crate::durable;
use crate::error::{Error, Result};
use crate::impute::{self, Asked, Fill, SAMPLES};
use crate::interop;
use crate::model::tasks::{IMPUTE, Need};
use crate::report::human::{count, counted};
use crate::report::{Report, npy};
use crate::session::{Rows, Session};
use serde_json::json;
use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

/// Rows that are made ready for the device at a time.
const PORTION: usize = 4096;

/// Iterations that are suggested where the training had no missing values.
const SUGGESTED: usize = 1;

/// The column of a table that numbers imputations.
const NUMBERED: &str = "imputation";

/// Rows without holes, in the order of their source.
struct Done {
    /// Their places in the data.
    examples: Vec<u32>,
    /// All rows as the model has them, once for each draw.
    copies: Vec<Vec<f32>>,
    /// The rows as they were, NaN where something is missing.
    before: Vec<f32>,
    /// Of each row with holes: see [`impute::Filled`].
    effective: Vec<f64>,
}

/// Fills what is missing and writes all rows.
///
/// # Errors
/// Those of [`open::load`], [`open::dataset`] and [`impute::impute`]; [`Error::Usage`] for flags that make no sense and where
/// nothing is missing.
pub fn run(args: &ImputeArgs, report: &Report) -> Result<()> {
    let path = &sweep::one_model(&args.run.run)?;
    let checkpoint = open::load(path, report)?;
    // Refused before anything is read.
    let model = interop::model(&checkpoint)?;
    model.need(&[Need::Numbers, Need::NoCategories, Need::Values, Need::NoLibrary, Need::Decoder], "elbo impute")?;
    model.task(IMPUTE)?;
    let asked = asked(args, checkpoint.config.train.seed)?;
    let (config, data) = open::dataset(&checkpoint, args.data.as_deref(), None, Some(&args.run), report)?;
    check_out(args, &data)?;
    let sources = open::sources(&[&checkpoint.config, &config]);
    let mut sources: Vec<&str> = sources.iter().map(String::as_str).collect();
    let mask = args.mask.as_ref().map(|path| path.display().to_string());
    sources.extend(mask.as_deref());
    files::spare(&args.out, &sources, Some(&open::folder_of(path)))?;
    let mask = args.mask.as_deref().map(|path| mask::read(path, &data)).transpose()?;
    let mut session = Session::without_data(&checkpoint, open::device(&args.run, report)?)?;
    warn(&session.record, asked, report);
    let done = fill(&mut session, &data, mask.as_deref(), asked, report)?;
    let record = &session.record;
    let holes = done.before.iter().filter(|x| x.is_nan()).count();
    if holes == 0 {
        let what = if mask.is_some() { "the mask is black everywhere" } else { "no value is missing" };
        return Err(Error::Usage(format!("{}: {what}, so there is nothing to fill", data.name)));
    }
    match data.format {
        Format::Table => table(args, &config, &data, record, &done)?,
        _ => pictures(args, &data, record, &done, asked)?,
    }
    say(args, &data, record, &done, asked, report);
    Ok(())
}

fn asked(args: &ImputeArgs, seed: u64) -> Result<Asked> {
    let fill = match (args.draws, args.fill) {
        (Some(0), _) => return Err(Error::Usage("--draws 0: one draw at least".into())),
        (Some(draws), _) => Fill::Draws(draws),
        (None, Some(FillWith::Draw)) => Fill::Draws(1),
        (None, Some(FillWith::Mode)) => Fill::Mode,
        (None, Some(FillWith::Mean) | None) => Fill::Mean,
    };
    let (samples, iterations) = (args.samples.unwrap_or(SAMPLES), args.iterations.unwrap_or(0));
    Ok(Asked { fill, samples, iterations, seed: args.seed.unwrap_or(seed) })
}

/// Refuses a file that cannot hold what is filled.
fn check_out(args: &ImputeArgs, data: &Dataset) -> Result<()> {
    let known: &[&str] = match data.format {
        Format::Table => &["csv", "tsv"],
        Format::Array if data.shape[..2] == [1, 1] => &["npy"],
        _ => &["npy", "png"],
    };
    files::format("--out ", &args.out, known).map(drop)
}

/// Says what a model whose training data were whole knows of rows with holes.
fn warn(record: &DataRecord, asked: Asked, report: &Report) {
    if record.missing == Some(false) && asked.iterations == 0 {
        report.warn(&format!(
            "no value was missing from the data that the model was trained on, so its encoder knows no rows with holes, which \
             it is shown as 0; --iterations {SUGGESTED} fills rows and encodes them again, or train on rows with holes"
        ));
    }
}

/// Fills all rows, in the order of the source.
fn fill(session: &mut Session, data: &Dataset, mask: Option<&[bool]>, asked: Asked, report: &Report) -> Result<Done> {
    let mut examples: Vec<u32> = (0..data.len() as u32).collect();
    examples.sort_by_key(|&i| data.row(i as usize));
    let width = data.width();
    let begun = Instant::now();
    report.begin("impute", examples.len());
    let copies = if let Fill::Draws(count) = asked.fill { count } else { 1 };
    let mut done = Done { copies: vec![vec![]; copies], before: vec![], effective: vec![], examples: vec![] };
    for part in examples.chunks(PORTION) {
        let mut values = data.examples(part)?;
        if let Some(mask) = mask {
            let first = done.before.len() % mask.len().max(1);
            let masked = values.iter_mut().zip(mask.iter().cycle().skip(first));
            masked.filter(|(_, masked)| **masked).for_each(|(value, _)| *value = f32::NAN);
        }
        let classes = session.classes_of(data, part);
        let numbers: Vec<u32> = part.iter().map(|&example| data.row(example as usize) as u32).collect();
        let before = done.before.len() / width;
        let rows = Rows { values: &values, classes: &classes };
        let filled = impute::impute(session, rows, &numbers, asked, &mut |rows| {
            report.step(before + rows, None, (before + rows) as f64 / begun.elapsed().as_secs_f64());
        })?;
        done.copies.iter_mut().zip(filled.copies).for_each(|(all, part)| all.extend(part));
        done.effective.extend(filled.effective);
        done.before.extend(values);
    }
    report.clear();
    Ok(Done { examples, ..done })
}

/// The table as it was written, with what is filled in the place of what is missing.
fn table(args: &ImputeArgs, config: &Config, data: &Dataset, record: &DataRecord, done: &Done) -> Result<()> {
    let Some(encoding) = &record.encoding else { return Err(Error::Bug("a table has columns".into())) };
    let width = encoding.width();
    let spans: HashMap<&str, (usize, usize)> = encoding
        .columns
        .iter()
        .zip(encoding.spans())
        .enumerate()
        .filter(|(_, (column, _))| column.kind.width() > 0)
        .map(|(at, (column, span))| (column.name.as_str(), (at, span.start)))
        .collect();
    let places: HashMap<usize, usize> =
        done.examples.iter().enumerate().map(|(at, &example)| (data.row(example as usize), at)).collect();
    let rounded: Vec<Vec<f32>> = done
        .copies
        .iter()
        .map(|copy| {
            let mut copy = copy.clone();
            record.round(&mut copy);
            copy
        })
        .collect();
    let cell = |copy: &[f32], row: usize, name: &str| {
        let (&at, &(column, place)) = (places.get(&row)?, spans.get(name)?);
        let row = at * width..(at + 1) * width;
        done.before[row.start + place].is_nan().then(|| encoding.cells(&encoding.undo(&copy[row])).swap_remove(column))
    };
    let cells: Vec<_> = rounded.iter().map(|copy| move |row: usize, name: &str| cell(copy, row, name)).collect();
    let cells: Vec<csv::Cells> = cells.iter().map(|cells| cells as csv::Cells).collect();
    let bytes = csv::refill(Path::new(&config.data.source), &config.data, NUMBERED, &cells)?;
    durable::replace_file(&args.out, &bytes)
}

/// An array, or pictures.
fn pictures(args: &ImputeArgs, data: &Dataset, record: &DataRecord, done: &Done, asked: Asked) -> Result<()> {
    if args.out.extension().is_some_and(|end| end.eq_ignore_ascii_case("png")) {
        let all = done.copies.concat();
        open::check_pictures(all.len() / data.width())?;
        return show::save(&args.out, &all, record, open::columns(all.len() / data.width()));
    }
    let rows = data.len();
    let written = written(data)?;
    let mut all = Vec::with_capacity(done.copies.len() * done.before.len());
    let mut shape = vec![rows];
    for copy in &done.copies {
        let mut copy = copy.clone();
        // A mean of whole numbers is none, and an array of floats has room for it.
        if asked.fill != Fill::Mean {
            record.round(&mut copy);
        }
        let (numbers, extents) = show::numbers(&copy, record);
        let (before, _) = show::numbers(&done.before, record);
        // Rows of an array stay rows.
        let rows_of_numbers = data.shape[..2] == [1, 1] && extents.len() == 4;
        shape = if rows_of_numbers { vec![rows, data.width()] } else { extents };
        all.extend(numbers.iter().zip(before).enumerate().map(|(at, (&filled, before))| match &written {
            _ if before.is_nan() => filled,
            Some(written) => written.at(at),
            None => filled,
        }));
    }
    if done.copies.len() > 1 {
        shape.insert(0, done.copies.len());
    }
    let wide = record.scales() || matches!(written, Some(array::Elements::F64(_)));
    npy::save_original(&args.out, &all, wide, &shape)
}

/// The numbers of an `.npy` file of rows, as they were written: of other sources the model's own are as good.
fn written(data: &Dataset) -> Result<Option<array::Elements>> {
    let path = Path::new(&data.name);
    let is_rows = data.format == Format::Array && data.shape[..2] == [1, 1];
    let is_npy = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("npy"));
    if is_rows && is_npy { source::open(path).map(|array| Some(array.elements)) } else { Ok(None) }
}

fn say(args: &ImputeArgs, data: &Dataset, record: &DataRecord, done: &Done, asked: Asked, report: &Report) {
    let width = data.width();
    // A category that is missing is one cell.
    let firsts: Vec<usize> = match &record.encoding {
        Some(encoding) => encoding.spans().into_iter().filter(|span| !span.is_empty()).map(|span| span.start).collect(),
        None => (0..width).collect(),
    };
    let missing = |row: &[f32]| firsts.iter().filter(|&&at| row[at].is_nan()).count();
    let cells: usize = done.before.chunks_exact(width).map(missing).sum();
    let empty = done.before.chunks_exact(width).filter(|row| missing(row) == firsts.len()).count();
    let rows = done.effective.len();
    let mut effective = done.effective.clone();
    effective.sort_by(f64::total_cmp);
    let [low, median] = [effective[rows / 10], effective[rows / 2]];
    let cells_of = match data.format {
        Format::Table | Format::Array => "cells",
        _ => "values",
    };
    report.note(&format!(
        "filled   {} {cells_of} of {} in {}, {} samples each; as good as {median:.1} of equal weight (median), {low:.1} in the \
         worst tenth",
        count(cells as u64),
        counted(rows as u64, "row"),
        data.name,
        count(asked.samples as u64)
    ));
    if empty > 0 {
        report.warn(&format!(
            "{} had nothing that the model knows: filled from the prior, as `elbo sample` draws",
            counted(empty as u64, "row")
        ));
    }
    if low < 2.0 {
        report.note("a few latents have all the weight in some rows: more --samples, or --iterations, make draws of them better");
    }
    let fill = match asked.fill {
        Fill::Mean => "mean",
        Fill::Mode => "mode",
        Fill::Draws(_) => "draw",
    };
    report.json(&json!({
        "data": data.name, "rows": data.len(), "rows_filled": rows, "cells_filled": cells, "rows_empty": empty, "fill": fill,
        "imputations": done.copies.len(), "samples": asked.samples, "iterations": asked.iterations, "seed": asked.seed,
        "effective_samples": { "median": median, "lowest_tenth": low }, "files": [args.out],
    }));
    report.result(&args.out.display().to_string());
}
