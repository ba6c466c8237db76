//! What is known of the columns of a table.

use crate::data::Dataset;
use crate::data::table::{Column, Kind};
use crate::error::Result;
use crate::report::human::count;
use serde_json::{Value, json};

/// Levels that are shown of one column.
const SHOWN: usize = 6;

/// A column, and what is known of it over all rows.
pub struct Described<'a> {
    column: &'a Column,
    missing: usize,
    /// The smallest and the largest number, and the sum of all, where there are numbers.
    numbers: Option<[f64; 3]>,
    /// How often each level occurs.
    levels: Vec<usize>,
    rows: usize,
}

/// Goes through a table; what is none has no columns.
///
/// # Errors
/// [`crate::error::Error::Data`] where rows cannot be read from their file.
pub fn describe(data: &Dataset) -> Result<Vec<Described<'_>>> {
    let Some(encoding) = data.encoding.as_ref().filter(|_| data.shape[..2] == [1, 1]) else {
        return Ok(vec![]);
    };
    let (spans, rows) = (encoding.spans(), data.len());
    let empty = |column| Described { column, missing: 0, numbers: None, levels: vec![], rows };
    let mut all: Vec<Described> = encoding.columns.iter().map(empty).collect();
    for described in &mut all {
        described.levels = match &described.column.kind {
            Kind::Numbered { categories } => vec![0; *categories],
            kind => vec![0; kind.levels().len()],
        };
    }
    data.visit(0..rows, |_, row| {
        let mut row = row.to_vec();
        encoding.undo(&mut row);
        for (described, span) in all.iter_mut().zip(&spans) {
            described.add(&row[span.clone()]);
        }
        Ok(())
    })?;
    Ok(all)
}

impl Described<'_> {
    /// Takes note of a cell, given by its places in a row.
    fn add(&mut self, places: &[f32]) {
        match (&self.column.kind, places) {
            (_, []) | (Kind::Text { .. }, _) => {}
            (_, [first, ..]) if first.is_nan() => self.missing += 1,
            (Kind::Numeric { .. } | Kind::Count, [x, ..]) => {
                let x = f64::from(*x);
                let [low, high, sum] = self.numbers.unwrap_or([x, x, 0.0]);
                self.numbers = Some([low.min(x), high.max(x), sum + x]);
            }
            (Kind::Binary { .. }, [x, ..]) => self.levels[usize::from(*x >= 0.5)] += 1,
            (Kind::Category { .. } | Kind::Numbered { .. }, places) => {
                let level = places.iter().position(|&place| place == 1.0);
                self.levels[level.unwrap_or(0)] += 1;
            }
        }
    }

    /// The smallest, the mean and the largest number.
    fn range(&self) -> Option<[f64; 3]> {
        self.numbers.map(|[low, high, sum]| [low, sum / (self.rows - self.missing) as f64, high])
    }

    /// The levels, each with how often it occurs.
    fn levels(&self) -> impl Iterator<Item = (String, usize)> {
        let names = self.column.kind.levels();
        let name = |at: usize| names.get(at).cloned().unwrap_or_else(|| at.to_string());
        self.levels.iter().enumerate().map(move |(at, &count)| (name(at), count))
    }

    /// A row of the table that describes a table: name, type, missing, least, mean, most, values.
    pub fn row(&self) -> Vec<String> {
        let number = |at: usize| self.range().map_or(String::new(), |range| significant(range[at]));
        let values = if let Kind::Text { distinct, example } = &self.column.kind {
            format!("{example}, … ({} different)", count(*distinct as u64))
        } else {
            let levels = self.levels().map(|(level, n)| format!("{level}: {}", count(n as u64)));
            shortened(&levels.collect::<Vec<String>>(), SHOWN)
        };
        let (name, kind) = (self.column.name.clone(), self.column.kind.name().to_owned());
        vec![name, kind, count(self.missing as u64), number(0), number(1), number(2), values]
    }

    /// The row of a column as JSON, for programs.
    pub fn as_json(&self) -> Value {
        let mut value = json!({ "name": self.column.name, "type": self.column.kind.name(), "missing": self.missing });
        if let Some([low, mean, high]) = self.range() {
            (value["min"], value["mean"], value["max"]) = (json!(low), json!(mean), json!(high));
        }
        if !self.levels.is_empty() {
            value["levels"] = json!(self.levels().collect::<Vec<_>>());
        }
        value
    }
}

/// How often each category occurs over all values, where these are categories without names.
pub fn all_levels(columns: &[Described]) -> Option<Vec<String>> {
    let numbered = |described: &Described| matches!(described.column.kind, Kind::Numbered { .. });
    let all: Vec<&Described> = columns.iter().filter(|described| numbered(described)).collect();
    let sum = |at: usize| all.iter().map(|described| described.levels[at]).sum::<usize>();
    let levels = (0..all.first()?.levels.len()).map(|at| format!("{at}: {}", count(sum(at) as u64)));
    let missing = all.iter().map(|described| described.missing).sum::<usize>();
    let holes = (missing > 0).then(|| format!("missing: {}", count(missing as u64)));
    Some(holes.into_iter().chain(levels).collect())
}

/// A number with four significant digits.
pub fn significant(x: f64) -> String {
    let digits = 3 - x.abs().max(1e-9).log10().floor() as i32;
    if (0..=9).contains(&digits) && x.fract() != 0.0 { format!("{x:.*}", digits as usize) } else { format!("{x:.0}") }
}

/// The first few of many.
pub fn shortened(items: &[String], most: usize) -> String {
    let more = items.len().saturating_sub(most);
    let rest = if more > 0 { format!(", and {more} more") } else { String::new() };
    format!("{}{rest}", items[..items.len() - more].join(", "))
}
