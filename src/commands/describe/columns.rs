//! What is known of the columns of a table.

use crate::data::Dataset;
use crate::data::table::{Column, ColumnKind, Encoding};
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
            ColumnKind::Numbered { categories } => vec![0; *categories],
            kind => vec![0; kind.levels().len()],
        };
    }
    data.visit(0..rows, |_, row| {
        let row = encoding.undo(row);
        for (described, span) in all.iter_mut().zip(&spans) {
            described.add(&row[span.clone()]);
        }
        Ok(())
    })?;
    Ok(all)
}

impl Described<'_> {
    /// Takes note of a cell, given by its places in a row.
    fn add(&mut self, places: &[f64]) {
        match (&self.column.kind, places) {
            (_, []) | (ColumnKind::Text { .. }, _) => {}
            (_, [first, ..]) if first.is_nan() => self.missing += 1,
            (ColumnKind::Numeric { .. } | ColumnKind::Count, [x, ..]) => {
                let x = *x;
                let [low, high, sum] = self.numbers.unwrap_or([x, x, 0.0]);
                self.numbers = Some([low.min(x), high.max(x), sum + x]);
            }
            (ColumnKind::Binary { .. }, [x, ..]) => self.levels[usize::from(*x >= 0.5)] += 1,
            (ColumnKind::Category { .. } | ColumnKind::Numbered { .. }, places) => {
                let level = places.iter().position(|&place| place == 1.0);
                self.levels[level.unwrap_or(0)] += 1;
            }
        }
    }

    /// The smallest, the mean and the largest number.
    fn range(&self) -> Option<[f64; 3]> {
        self.numbers.map(|[low, high, sum]| {
            let [low, high] = [low, high].map(|number| Encoding::settled(&self.column.kind, number));
            let mean = Encoding::settled_mean(&self.column.kind, sum / (self.rows - self.missing) as f64);
            // Sums are rounded, too.
            [low, if mean.is_finite() { mean.clamp(low, high) } else { mean }, high]
        })
    }

    /// The levels, each with how often it occurs.
    fn levels(&self) -> impl Iterator<Item = (String, usize)> {
        let names = self.column.kind.levels();
        let name = |at: usize| names.get(at).cloned().unwrap_or_else(|| at.to_string());
        self.levels.iter().enumerate().map(move |(at, &count)| (name(at), count))
    }

    /// A row of the table that describes a table: name, type, missing, least, mean, most, values.
    pub fn row(&self) -> Vec<String> {
        let numbers = self.range().map(distinct).unwrap_or_default();
        let values = if let ColumnKind::Text { distinct, example } = &self.column.kind {
            format!("{example}, … ({} different)", count(*distinct as u64))
        } else {
            let levels = self.levels().map(|(level, n)| format!("{level}: {}", count(n as u64)));
            shortened(&levels.collect::<Vec<String>>(), SHOWN)
        };
        let (name, kind) = (self.column.name.clone(), self.column.kind.name().to_owned());
        let [least, mean, most] = numbers;
        vec![name, kind, count(self.missing as u64), least, mean, most, values]
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
    let numbered = |described: &Described| matches!(described.column.kind, ColumnKind::Numbered { .. });
    let all: Vec<&Described> = columns.iter().filter(|described| numbered(described)).collect();
    let sum = |at: usize| all.iter().map(|described| described.levels[at]).sum::<usize>();
    let levels = (0..all.first()?.levels.len()).map(|at| format!("{at}: {}", count(sum(at) as u64)));
    let missing = all.iter().map(|described| described.missing).sum::<usize>();
    let holes = (missing > 0).then(|| format!("missing: {}", count(missing as u64)));
    Some(holes.into_iter().chain(levels).collect())
}

/// A number with four significant digits.
pub fn significant(x: f64) -> String {
    with_digits(x, 4)
}

fn with_digits(x: f64, digits: i32) -> String {
    /// Digits behind the point where four are significant; what is smaller has an exponent.
    const MOST: i32 = 9;
    if x.fract() == 0.0 || !x.is_finite() {
        return format!("{x:.0}");
    }
    let decimals = digits - 1 - x.abs().log10().floor() as i32;
    if decimals - digits > MOST - 4 {
        format!("{x:.*e}", (digits - 1) as usize)
    } else {
        format!("{x:.*}", decimals.max(0) as usize)
    }
}

/// Numbers with four significant digits, or as many as tell those apart that differ.
pub fn distinct(numbers: [f64; 3]) -> [String; 3] {
    /// Digits that double precision carries.
    const MOST: i32 = 17;
    let alike =
        |texts: &[String; 3], a: usize, b: usize| texts[a] == texts[b] && numbers[a].to_bits() != numbers[b].to_bits();
    let texts = (4..MOST).map(|digits| numbers.map(|x| with_digits(x, digits)));
    let told = texts.into_iter().find(|texts| !alike(texts, 0, 1) && !alike(texts, 1, 2));
    told.unwrap_or_else(|| numbers.map(|x| with_digits(x, MOST)))
}

/// The first few of many.
pub fn shortened(items: &[String], most: usize) -> String {
    let more = items.len().saturating_sub(most);
    let rest = if more > 0 { format!(", and {more} more") } else { String::new() };
    format!("{}{rest}", items[..items.len() - more].join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_differ_look_different() {
        for (numbers, texts) in [
            ([0.5, 1.234_567, 20.25], ["0.5000", "1.235", "20.25"]),
            ([1.7e12, 1.7e12 + 4999.5, 1.7e12 + 9999.0], ["1700000000000", "1700000004999.5", "1700000009999"]),
            ([5_399_979.417, 5_399_990.1, 5_399_997.5], ["5399979.42", "5399990.10", "5399997.50"]),
            ([1e-9, 2e-9, 3.5e-9], ["1.000e-9", "2.000e-9", "3.500e-9"]),
            ([-1e-9, 0.0, 0.25], ["-1.000e-9", "0", "0.2500"]),
            ([7.25, 7.25, 7.25], ["7.250", "7.250", "7.250"]),
        ] {
            let found = distinct(numbers);
            assert!(found[0] != found[2] || numbers[0] == numbers[2], "{found:?}");
            for (found, text) in found.iter().zip(texts) {
                let [found, text] = [found.as_str(), text].map(|text| text.parse::<f64>().unwrap());
                assert!((found - text).abs() <= 1e-6 * text.abs(), "{found} {text}");
            }
        }
        assert_eq!(significant(1.234_567), "1.235");
    }
}
