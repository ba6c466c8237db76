//! `elbo data`: what is in a source, and what is wrong with it.

mod columns;
#[cfg(test)]
mod mutations;

use super::{files, open, show};
use crate::checkpoint::DataRecord;
use crate::cli::DataArgs;
use crate::config::{self, DataConfig, Domain, Likelihood, Takes};
use crate::data::sparse::Sparse;
use crate::data::table::{Column, ColumnKind, Encoding};
use crate::data::text::vocabulary::{END, FIRST, PADDING, Vocabulary};
use crate::data::{self, Dataset, Format, NO_LABEL, Values, images};
use crate::error::{Error, Result};
use crate::report::Report;
use crate::report::human::{bytes, count};
use crate::report::table::table;
use columns::{Described, describe, shortened, significant};
use serde_json::{Value, json};
use std::path::Path;

/// Classes that are shown.
const SHOWN_CLASSES: usize = 12;
/// Tokens that are shown.
const SHOWN_TOKENS: usize = 24;
/// Columns that are shown as text.
const SHOWN_COLUMNS: usize = 60;

/// Describes a source.
///
/// # Errors
/// [`Error::Usage`] for a setting that makes no sense, [`Error::Data`] where the source cannot be read.
pub fn run(args: &DataArgs, report: &Report) -> Result<()> {
    let drawn = open::check_pictures(args.count.unwrap_or(64))?;
    let config = config::resolve(args.recipe.recipe.as_deref(), &args.overrides())?;
    if let Some(path) = &args.out {
        files::spare(path, &[&config.data.source, &config.data.labels], None)?;
    }
    let data = match open::data(&config, None, report) {
        Ok(data) => data,
        Err(Error::Data(why)) => return describe_refused(&config.data, why, report),
        Err(error) => return Err(error),
    };
    if let (Some(path), Some(_)) = (&args.out, &data.text) {
        return Err(Error::Usage(format!("--out {}: text and music are not drawn", path.display())));
    }
    let columns = describe(&data)?;
    let refusal = refusal(&data, config.model.likelihood.takes(), args.recipe.recipe.is_some());
    report.result(&as_text(&data, &columns)?);
    if let Some(refusal) = &refusal {
        report.result(&format!("refused  {refusal}"));
    }
    let mut value = as_json(&data, &columns)?;
    value["problems"] = json!(data.notes.iter().chain(&refusal).collect::<Vec<_>>());
    if let Some(path) = &args.out {
        let count = drawn.min(data.len());
        let examples = (0..count).map(|i| data.example(i * data.len() / count));
        let examples = examples.collect::<Result<Vec<_>>>()?.concat();
        let columns = (count as f64).sqrt().ceil() as usize;
        show::save(path, &examples, &DataRecord::of(&data), columns)?;
        report.result(&path.display().to_string());
        value["out"] = json!(path.display().to_string());
    }
    report.json(&value);
    Ok(())
}

/// Describes images that do not go together, with the reason; what else is refused cannot be described.
fn describe_refused(config: &DataConfig, why: String, report: &Report) -> Result<()> {
    let Ok(survey) = images::survey(Path::new(&config.source), config) else { return Err(Error::Data(why)) };
    let images::Survey { images, unreadable, widths, heights, grey, deep, classes } = &survey;
    let between = |[low, high]: &[usize; 2]| if low == high { low.to_string() } else { format!("{low} to {high}") };
    report.result(&format!(
        "source   {}: images\nexamples {}, of which {} cannot be read\neach     {} pixels wide, {} high; {} grey, {} of 16 \
         bits\n{}refused  {why}",
        config.source,
        count(*images as u64),
        count(*unreadable as u64),
        between(widths),
        between(heights),
        count(*grey as u64),
        count(*deep as u64),
        labels(classes),
    ));
    report.json(&json!({
        "source": config.source, "kind": "images", "examples": images, "unreadable": unreadable,
        "widths": widths, "heights": heights, "grey": grey, "deep": deep, "classes": classes, "problems": [why],
    }));
    Ok(())
}

/// The line about classes, where there are any.
fn labels(classes: &[(String, usize)]) -> String {
    if classes.is_empty() {
        return String::new();
    }
    let shown: Vec<String> = classes.iter().map(|(name, n)| format!("{name}: {}", count(*n as u64))).collect();
    format!("labels   {} classes: {}\n", classes.len(), shortened(&shown, SHOWN_CLASSES))
}

/// What an example is, for the line of a run that describes its data.
pub fn each(data: &Dataset) -> String {
    match (&data.encoding, data.shape) {
        _ if data.text.is_some() => shape(data),
        (Some(encoding), _) if encoding.categories().is_some() => shape(data),
        (Some(encoding), [1, 1, width]) => {
            let scaled =
                |column: &Column| matches!(column.kind, ColumnKind::Numeric { .. }) && column.kind != ColumnKind::PLAIN;
            let scaled = encoding.columns.iter().filter(|column| scaled(column)).count();
            let rest = if encoding.columns.len() == width { String::new() } else { format!(" in {width} values") };
            format!("{} columns each{rest}, {scaled} of them scaled", encoding.columns.len())
        }
        (_, [.., width]) if data.format == Format::Cells => format!("{width} genes"),
        (_, [.., width]) if data.items.is_some() => format!("{width} items"),
        (_, shape) => format!("{shape:?} each"),
    }
}

/// What a model takes the columns for where it is asked for nothing else; nothing for what has no typed columns.
pub fn distributions(data: &Dataset) -> Option<String> {
    let encoding = data.encoding.as_ref().filter(|_| data.shape[..2] == [1, 1])?;
    if let Some((_, categories)) = encoding.categories() {
        return Some(format!("likelihood categorical: {} values of {categories} categories", encoding.columns.len()));
    }
    let kinds = [
        ("numeric", "normal with a learned variance"),
        ("binary", "Bernoulli"),
        ("category", "categorical"),
        ("count", "Poisson"),
    ];
    let count = |kind: &str| encoding.columns.iter().filter(|column| column.kind.name() == kind).count();
    let parts: Vec<String> = kinds
        .iter()
        .filter(|(kind, _)| count(kind) > 0)
        .map(|(kind, distribution)| format!("{} {kind} ({distribution})", count(kind)))
        .collect();
    let asked = if data.format == Format::Table { "" } else { " with --recipe table" };
    Some(format!("likelihood heterogeneous{asked}: {}", parts.join(", ")))
}

/// Why no model can be trained on these data as they are: not the one of the recipe that is named, none that knows counts,
/// levels or categories alone, where one is asked for, else none at all.
fn refusal(data: &Dataset, asked: Takes, named: bool) -> Option<String> {
    if named || matches!(asked.domain, Domain::Levels | Domain::Counts | Domain::Categories | Domain::Tokens) {
        return data::check(data, asked).err().map(|error| error.to_string());
    }
    data::check(data, Likelihood::Bernoulli.takes()).err()?;
    // A table can have columns of any type that is no text.
    let widest = if data.encoding.is_some() { Likelihood::Heterogeneous } else { Likelihood::GaussianLearned };
    data::check(data, widest.takes()).err().map(|error| error.to_string())
}

fn as_text(data: &Dataset, columns: &[Described]) -> Result<String> {
    let parts = [("train", &data.train), ("validation", &data.validation), ("test", &data.test)];
    let parts: Vec<String> = parts.map(|(name, part)| format!("{} {name}", count(part.len() as u64))).into();
    let mut lines = vec![
        format!("source   {}: {}", data.name, kind(data)),
        format!("examples {}: {}", count(data.len() as u64), parts.join(", ")),
        format!("each     {}; {} as stored on a device", shape(data), bytes(size(data))),
    ];
    if let Some(text) = &data.text {
        lines.extend(of_text(data, text)?);
    } else if let Some(sparse) = data.sparse() {
        lines.push(interactions(data, sparse));
    } else if columns.is_empty() {
        let [low, mean, high] = range(data)?;
        lines.push(format!("values   {} to {}, mean {}", significant(low), significant(high), significant(mean)));
    }
    if let Some(all) = columns::all_levels(columns) {
        lines.push(format!("values   {}", shortened(&all, SHOWN_CLASSES)));
    }
    lines.extend(labels(&classes(data)).lines().map(str::to_owned));
    if !columns.is_empty() {
        let shown = columns.iter().take(SHOWN_COLUMNS).map(Described::row).collect::<Vec<_>>();
        lines.push(table(&["column", "type", "missing", "least", "mean", "most", "values"], &shown));
        if columns.len() > SHOWN_COLUMNS {
            lines.push(format!("and {} more columns", columns.len() - SHOWN_COLUMNS));
        }
    }
    lines.extend(distributions(data).map(|text| format!("model    {text}")));
    lines.push(format!("hash     {}", data.hash));
    Ok(lines.join("\n"))
}

/// Lengths of lines and the tokens that they consist of, with how often the training part has each.
fn of_text(data: &Dataset, text: &Vocabulary) -> Result<Vec<String>> {
    let [least, mean, most] = lengths(data)?;
    let counts = frequencies(data, text)?;
    let shown: Vec<String> =
        text.words.iter().zip(counts).map(|(word, n)| format!("{}: {}", word.escape_debug(), count(n))).collect();
    let mut lines = vec![
        format!("lengths  {least} to {most} tokens, {mean:.1} in the mean, and an end"),
        format!("tokens   {} {}: {}", text.words.len(), text.tokens.word(), shortened(&shown, SHOWN_TOKENS)),
    ];
    lines.extend(text.music.map(|music| format!("time     {}", music.describe())));
    if !text.unseen.is_empty() {
        let unseen: Vec<String> = text.unseen.iter().map(|word| word.escape_debug().to_string()).collect();
        lines.push(format!(
            "unknown  {} outside of the training part alone: {}",
            unseen.len(),
            shortened(&unseen, SHOWN_TOKENS)
        ));
    }
    Ok(lines)
}

/// Tokens of the shortest and the longest line and of all in the mean, without the end.
fn lengths(data: &Dataset) -> Result<[f64; 3]> {
    let (mut least, mut most, mut all) = (f64::INFINITY, 0.0_f64, 0.0);
    data.visit(0..data.len(), |_, row| {
        let length = row.iter().filter(|&&code| code != PADDING as f32 && code != END as f32).count() as f64;
        (least, most, all) = (least.min(length), most.max(length), all + length);
        Ok(())
    })?;
    Ok([least, all / data.len() as f64, most])
}

/// How often the training part has each token of the text.
fn frequencies(data: &Dataset, text: &Vocabulary) -> Result<Vec<u64>> {
    let mut counts = vec![0; text.len()];
    data.visit(data.train.clone(), |_, row| {
        for &code in row {
            counts[code as usize] += 1;
        }
        Ok(())
    })?;
    Ok(counts.split_off(FIRST as usize))
}

fn kind(data: &Dataset) -> String {
    let stored = match (data.format, data.values.are_bytes()) {
        (Format::Glyphs, _) => "digits that the program draws",
        (Format::Sprites, _) => "shapes of known factors that the program draws",
        (Format::Idx, true) => "IDX, bytes",
        (Format::Idx, false) => "IDX, floats",
        (Format::Array, _) if data.encoding.as_ref().is_some_and(|it| it.categories().is_some()) => "NumPy, categories",
        (Format::Array, true) => "NumPy, bytes",
        (Format::Array, false) => "NumPy, numbers",
        (Format::Images, true) => "images",
        (Format::Images, false) => "images of 16 bits",
        (Format::Table, _) => "table",
        (Format::Text, _) => "text",
        (Format::Music, _) => "music",
        (Format::Interactions, _) => "who chose what",
        (Format::Cells, _) => "counts of genes in cells",
    };
    let place = match &data.values {
        Values::Disk(disk) if disk.are_unpacked() => ", too large for data.memory: unpacked in a temporary file",
        Values::Disk(_) => ", too large for data.memory: read from the file when wanted",
        _ => "",
    };
    format!("{stored}{place}")
}

fn shape(data: &Dataset) -> String {
    if let Some(text) = &data.text {
        return format!("up to {} {} of {}", text.places - 1, text.tokens.word(), count(text.words.len() as u64));
    }
    if let Some((extents, categories)) = data.encoding.as_ref().and_then(Encoding::categories) {
        let extents: Vec<String> = extents.iter().map(usize::to_string).collect();
        let values = if extents.is_empty() { "1".to_owned() } else { extents.join(" x ") };
        return format!("{values} values of {categories} categories");
    }
    match (&data.encoding, data.shape) {
        (Some(encoding), [1, 1, width]) => format!("{} columns, {width} values", encoding.columns.len()),
        (None, [1, 1, width]) if data.format == Format::Cells => format!("{width} genes"),
        (None, [1, 1, width]) if data.items.is_some() => format!("{width} items"),
        (None, [1, 1, width]) => format!("{width} values"),
        (_, [channels, height, width]) => {
            let colour = match channels {
                1 => "grey".to_owned(),
                3 => "red, green, blue".to_owned(),
                n => format!("{n} channels"),
            };
            format!("{width}x{height}, {colour}")
        }
    }
}

fn size(data: &Dataset) -> u64 {
    if let Some(sparse) = data.sparse() {
        return 4 * sparse.words() as u64;
    }
    let each = if data.values.are_bytes() { data.width() } else { 4 * data.stored_words() };
    data.len() as u64 * each as u64
}

/// The line about interactions: how many there are, how much of the matrix that is, and their values.
fn interactions(data: &Dataset, sparse: &Sparse) -> String {
    let ([low, mean, high], all) = (chosen(sparse), data.len() as f64 * data.width() as f64);
    let what = if data.format == Format::Cells { "values that are not 0" } else { "interactions" };
    format!(
        "values   {} {what}, {} % of all; {} to {}, mean {}",
        count(sparse.count() as u64),
        significant(100.0 * sparse.count() as f64 / all),
        significant(low),
        significant(high),
        significant(mean)
    )
}

/// The smallest, the mean and the largest value of an interaction.
fn chosen(sparse: &Sparse) -> [f64; 3] {
    let ([mut low, mut high], mut sum) = ([f64::INFINITY, f64::NEG_INFINITY], 0.0);
    for row in 0..sparse.len() {
        for &value in sparse.row(row).values {
            let value = f64::from(value);
            (low, high, sum) = (low.min(value), high.max(value), sum + value);
        }
    }
    [low, sum / sparse.count().max(1) as f64, high]
}

/// The smallest, the mean and the largest value, as a model sees them.
fn range(data: &Dataset) -> Result<[f64; 3]> {
    let sum: f64 = data.means(0..data.len())?.iter().map(|&mean| f64::from(mean)).sum();
    let [mut low, mut high] = [f64::INFINITY, f64::NEG_INFINITY];
    data.visit(0..data.len(), |_, row| {
        for &x in row {
            (low, high) = (low.min(x.into()), high.max(x.into()));
        }
        Ok(())
    })?;
    Ok([low, sum / data.width() as f64, high])
}

/// The classes with the number of their examples.
fn classes(data: &Dataset) -> Vec<(String, usize)> {
    let labels: Vec<u32> = data.labels.iter().flatten().copied().filter(|&label| label != NO_LABEL).collect();
    let most = labels.iter().max().map_or(0, |&most| most as usize + 1);
    let mut counts = vec![0; most];
    for label in labels {
        counts[label as usize] += 1;
    }
    let name = |class: usize| match &data.classes {
        Some(names) => names.get(class).cloned().unwrap_or_default(),
        None => class.to_string(),
    };
    counts.into_iter().enumerate().filter(|(_, n)| *n > 0).map(|(class, n)| (name(class), n)).collect()
}

fn as_json(data: &Dataset, columns: &[Described]) -> Result<Value> {
    let mut value = json!({
        "source": data.name, "kind": kind(data), "examples": data.len(), "shape": data.shape,
        "train": data.train.len(), "validation": data.validation.len(), "test": data.test.len(),
        "bytes": size(data), "hash": data.hash,
    });
    if let Some(text) = &data.text {
        let [least, mean, most] = lengths(data)?;
        value["tokens"] = json!({
            "kind": text.tokens, "places": text.places, "words": text.words, "counts": frequencies(data, text)?,
            "unseen": text.unseen, "least": least, "mean": mean, "most": most, "music": text.music,
        });
    } else if let Some(sparse) = data.sparse() {
        let [low, mean, high] = chosen(sparse);
        (value["interactions"], value["items"]) = (json!(sparse.count()), json!(sparse.width()));
        (value["min"], value["mean"], value["max"]) = (json!(low), json!(mean), json!(high));
    } else if columns.is_empty() {
        let [low, mean, high] = range(data)?;
        (value["min"], value["mean"], value["max"]) = (json!(low), json!(mean), json!(high));
    } else {
        value["columns"] = json!(columns.iter().map(Described::as_json).collect::<Vec<_>>());
    }
    if data.labels.is_some() {
        value["classes"] = json!(classes(data));
    }
    Ok(value)
}
