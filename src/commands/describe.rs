//! `elbo data`: what is in a source, and what is wrong with it.

use super::{open, show};
use crate::checkpoint::DataRecord;
use crate::cli::DataArgs;
use crate::config::{self, Likelihood};
use crate::data::table::{Column, Kind};
use crate::data::{self, Dataset, Format, Values};
use crate::error::Result;
use crate::report::Report;
use crate::report::human::{bytes, count};
use crate::report::table::table;
use serde_json::{Value, json};

/// Levels of a column that are shown, and classes.
const SHOWN: usize = 6;
const SHOWN_CLASSES: usize = 12;
/// Columns that are shown as text.
const SHOWN_COLUMNS: usize = 60;

/// What is known of one column, over all rows.
struct Summary {
    missing: usize,
    /// The smallest, the mean and the largest number that is there, where there are numbers.
    range: Option<[f64; 3]>,
    /// How often each level occurs.
    levels: Vec<usize>,
}

/// Describes a source.
pub fn run(args: &DataArgs, report: &Report) -> Result<()> {
    let drawn = open::check_count(args.count.unwrap_or(64))?;
    let config = config::resolve(args.recipe.recipe.as_deref(), &args.overrides())?;
    let data = open::data(&config, None, report)?;
    let columns: Vec<(Column, Summary)> = summaries(&data);
    let refusal = refusal(&data);
    report.result(&as_text(&data, &columns));
    if let Some(refusal) = &refusal {
        report.result(&format!("refused  {refusal}"));
    }
    let mut value = as_json(&data, &columns);
    value["problems"] = json!(data.notes.iter().chain(&refusal).collect::<Vec<_>>());
    if let Some(path) = &args.out {
        let count = drawn.min(data.len());
        let examples: Vec<f32> = (0..count).flat_map(|i| in_units(&data, i * data.len() / count)).collect();
        let columns = (count as f64).sqrt().ceil() as usize;
        show::save(path, &examples, &DataRecord::of(&data), columns)?;
        report.result(&path.display().to_string());
        value["out"] = json!(path.display().to_string());
    }
    report.json(&value);
    Ok(())
}

/// An example in the units of the source.
fn in_units(data: &Dataset, index: usize) -> Vec<f32> {
    let mut row = data.example(index);
    if let Some(encoding) = &data.encoding {
        encoding.undo(&mut row);
    }
    row
}

/// What an example is, for the line of a run that describes its data.
pub fn each(data: &Dataset) -> String {
    match (&data.encoding, data.shape) {
        (Some(encoding), [1, 1, width]) => {
            let scaled = |column: &Column| matches!(column.kind, Kind::Numeric { .. }) && column.kind != Kind::PLAIN;
            let scaled = encoding.columns.iter().filter(|column| scaled(column)).count();
            let rest = if encoding.columns.len() == width { String::new() } else { format!(" in {width} values") };
            format!("{} columns each{rest}, {scaled} of them scaled", encoding.columns.len())
        }
        (_, shape) => format!("{shape:?} each"),
    }
}

/// Why no model can be trained on these data as they are, whatever its likelihood.
fn refusal(data: &Dataset) -> Option<String> {
    data::check(data, Likelihood::Bernoulli).err()?;
    data::check(data, Likelihood::GaussianLearned).err().map(|error| error.to_string())
}

fn summaries(data: &Dataset) -> Vec<(Column, Summary)> {
    let Some(encoding) = &data.encoding else { return vec![] };
    let spans = encoding.spans();
    let empty = |column: &Column| Summary { missing: 0, range: None, levels: vec![0; column.kind.levels().len()] };
    let mut all: Vec<(Column, Summary)> =
        encoding.columns.iter().map(|column| (column.clone(), empty(column))).collect();
    let mut sums = vec![0.0; all.len()];
    for index in 0..data.len() {
        let row = in_units(data, index);
        for (at, (column, summary)) in all.iter_mut().enumerate() {
            let Some(&first) = row[spans[at].clone()].first() else { continue };
            if first.is_nan() {
                summary.missing += 1;
                continue;
            }
            match column.kind {
                Kind::Numeric { .. } | Kind::Count => {
                    let x = f64::from(first);
                    sums[at] += x;
                    let [low, _, high] = summary.range.unwrap_or([x; 3]);
                    summary.range = Some([low.min(x), 0.0, high.max(x)]);
                }
                Kind::Binary { .. } => summary.levels[usize::from(first >= 0.5)] += 1,
                Kind::Category { .. } => {
                    let level = row[spans[at].clone()].iter().position(|&place| place == 1.0);
                    summary.levels[level.unwrap_or(0)] += 1;
                }
                Kind::Text { .. } => {}
            }
        }
    }
    for ((_, summary), sum) in all.iter_mut().zip(sums) {
        let present = data.len() - summary.missing;
        if let Some(range) = &mut summary.range {
            range[1] = sum / present as f64;
        }
    }
    all
}

fn as_text(data: &Dataset, columns: &[(Column, Summary)]) -> String {
    let parts = [("train", &data.train), ("validation", &data.validation), ("test", &data.test)];
    let parts: Vec<String> = parts.map(|(name, part)| format!("{} {name}", count(part.len() as u64))).into();
    let mut lines = vec![
        format!("source   {}: {}", data.name, kind(data)),
        format!("examples {}: {}", count(data.len() as u64), parts.join(", ")),
        format!("each     {}; {} as stored on a device", shape(data), bytes(size(data))),
    ];
    if columns.is_empty() {
        let [low, mean, high] = range(data);
        lines.push(format!("values   {} to {}, mean {}", significant(low), significant(high), significant(mean)));
    }
    if data.labels.is_some() {
        let classes: Vec<String> =
            classes(data).iter().map(|(name, n)| format!("{name}: {}", count(*n as u64))).collect();
        lines.push(format!("labels   {} classes: {}", classes.len(), shortened(&classes, SHOWN_CLASSES)));
    }
    if !columns.is_empty() {
        let shown =
            columns.iter().take(SHOWN_COLUMNS).map(|(column, summary)| row(column, summary)).collect::<Vec<_>>();
        lines.push(table(&["column", "type", "missing", "least", "mean", "most", "values"], &shown));
        if columns.len() > SHOWN_COLUMNS {
            lines.push(format!("and {} more columns", columns.len() - SHOWN_COLUMNS));
        }
    }
    lines.push(format!("hash     {}", data.hash));
    lines.join("\n")
}

fn kind(data: &Dataset) -> &'static str {
    match (data.format, &data.values) {
        (Format::Glyphs, _) => "digits that the program draws",
        (Format::Idx, Values::U8(_)) => "IDX, bytes",
        (Format::Idx, Values::F32(_)) => "IDX, floats",
        (Format::Array, Values::U8(_)) => "NumPy, bytes",
        (Format::Array, Values::F32(_)) => "NumPy, numbers",
        (Format::Images, Values::U8(_)) => "images",
        (Format::Images, Values::F32(_)) => "images of 16 bits",
        (Format::Table, _) => "table",
    }
}

fn shape(data: &Dataset) -> String {
    match (&data.encoding, data.shape) {
        (Some(encoding), [1, 1, width]) => format!("{} columns, {width} values", encoding.columns.len()),
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
    match &data.values {
        Values::U8(all) => all.len() as u64,
        Values::F32(all) => 4 * all.len() as u64,
    }
}

/// The smallest, the mean and the largest value, as a model sees them.
fn range(data: &Dataset) -> [f64; 3] {
    let sum: f64 = data.means(0..data.len()).iter().map(|&mean| f64::from(mean)).sum();
    let values = (0..data.len()).flat_map(|index| data.example(index)).map(f64::from);
    let [low, high] = values.fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], x| [low.min(x), high.max(x)]);
    [low, sum / data.width() as f64, high]
}

/// The classes with the number of their examples.
fn classes(data: &Dataset) -> Vec<(String, usize)> {
    let labels = data.labels.as_deref().unwrap_or_default();
    let most = labels.iter().max().map_or(0, |&most| most as usize + 1);
    let mut counts = vec![0; most];
    for &label in labels {
        counts[label as usize] += 1;
    }
    let name = |class: usize| match &data.classes {
        Some(names) => names.get(class).cloned().unwrap_or_default(),
        None => class.to_string(),
    };
    counts.into_iter().enumerate().filter(|(_, n)| *n > 0).map(|(class, n)| (name(class), n)).collect()
}

fn row(column: &Column, summary: &Summary) -> Vec<String> {
    let number = |at: usize| summary.range.map_or(String::new(), |range| significant(range[at]));
    let levels: Vec<String> = column
        .kind
        .levels()
        .iter()
        .zip(&summary.levels)
        .map(|(level, n)| format!("{level}: {}", count(*n as u64)))
        .collect();
    let described = match &column.kind {
        Kind::Text { distinct, example } => format!("{example}, … ({} different)", count(*distinct as u64)),
        _ => shortened(&levels, SHOWN),
    };
    vec![
        column.name.clone(),
        column.kind.name().to_owned(),
        count(summary.missing as u64),
        number(0),
        number(1),
        number(2),
        described,
    ]
}

/// A number with four significant digits.
fn significant(x: f64) -> String {
    let digits = 3 - x.abs().max(1e-9).log10().floor() as i32;
    if (0..=9).contains(&digits) && x.fract() != 0.0 { format!("{x:.*}", digits as usize) } else { format!("{x:.0}") }
}

fn shortened(items: &[String], most: usize) -> String {
    let more = items.len().saturating_sub(most);
    let rest = if more > 0 { format!(", and {more} more") } else { String::new() };
    format!("{}{rest}", items[..items.len() - more].join(", "))
}

fn as_json(data: &Dataset, columns: &[(Column, Summary)]) -> Value {
    let column = |(column, summary): &(Column, Summary)| {
        let mut value = json!({ "name": column.name, "type": column.kind.name(), "missing": summary.missing });
        if let Some([low, mean, high]) = summary.range {
            value["min"] = json!(low);
            value["mean"] = json!(mean);
            value["max"] = json!(high);
        }
        let levels: Vec<Value> =
            column.kind.levels().iter().zip(&summary.levels).map(|(level, n)| json!([level, n])).collect();
        if !levels.is_empty() {
            value["levels"] = json!(levels);
        }
        value
    };
    let mut value = json!({
        "source": data.name, "kind": kind(data), "examples": data.len(), "shape": data.shape,
        "train": data.train.len(), "validation": data.validation.len(), "test": data.test.len(),
        "bytes": size(data), "hash": data.hash,
    });
    if columns.is_empty() {
        let [low, mean, high] = range(data);
        (value["min"], value["mean"], value["max"]) = (json!(low), json!(mean), json!(high));
    } else {
        value["columns"] = json!(columns.iter().map(column).collect::<Vec<_>>());
    }
    if data.labels.is_some() {
        value["classes"] = json!(classes(data));
    }
    value
}
