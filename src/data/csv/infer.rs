//! What the columns of a table hold, from what is in them.
//!
//! | all values that are there | type |
//! |---|---|
//! | 0 and 1, both | binary |
//! | whole numbers from 0 up, 0 among them | count |
//! | other numbers, or always the same one | numeric |
//! | two different words | binary |
//! | few different words | category |
//! | many different words | text, which has to be left out or called a category |

use std::collections::HashSet;

use super::super::table::{Column, Kind, MOST_LEVELS};
use super::{Decoded, missing};
use crate::config::ColumnType;

/// The most levels of a column that is taken for a category unasked, and those that are few in any case.
const INFERRED_LEVELS: usize = 100;
const FEW_LEVELS: usize = 10;

/// What was seen in a column.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Values that are there.
    present: usize,
    /// Whether all of them are numbers.
    numbers: bool,
    /// Whether all of them are whole numbers from 0 up.
    counts: bool,
    smallest: f64,
    largest: f64,
    /// Different values, at most one more than may be levels.
    distinct: HashSet<String>,
    /// The first value that is no number, and its line.
    word: Option<(String, u64)>,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            present: 0,
            numbers: true,
            counts: true,
            smallest: f64::INFINITY,
            largest: f64::NEG_INFINITY,
            distinct: HashSet::new(),
            word: None,
        }
    }
}

impl Seen {
    /// Takes note of a cell.
    pub fn add(&mut self, line: u64, field: &str) {
        if missing(field) {
            return;
        }
        self.present += 1;
        if let Ok(number) = field.parse::<f64>() {
            self.counts &= number >= 0.0 && number.fract() == 0.0;
            (self.smallest, self.largest) = (self.smallest.min(number), self.largest.max(number));
        } else {
            (self.numbers, self.counts) = (false, false);
            self.word.get_or_insert_with(|| (field.to_owned(), line));
        }
        if self.distinct.len() <= MOST_LEVELS && !self.distinct.contains(field) {
            self.distinct.insert(field.to_owned());
        }
    }

    fn is_constant(&self) -> bool {
        self.distinct.len() <= 1 || (self.numbers && self.smallest == self.largest)
    }

    fn infer(&self) -> Kind {
        let zero_one = self.counts && self.smallest == 0.0 && self.largest == 1.0;
        let distinct = self.distinct.len();
        if self.numbers {
            return match () {
                () if zero_one && distinct == 2 => self.binary(),
                () if self.counts && self.smallest == 0.0 && !self.is_constant() => Kind::Count,
                () => Kind::PLAIN,
            };
        }
        match distinct {
            2 => self.binary(),
            _ if distinct <= INFERRED_LEVELS && (distinct <= FEW_LEVELS || 2 * distinct <= self.present) => {
                Kind::Category { levels: self.levels() }
            }
            _ => Kind::Text { example: self.word.as_ref().map_or(String::new(), |(word, _)| word.clone()), distinct },
        }
    }

    fn binary(&self) -> Kind {
        let [zero, one] = self.levels().try_into().expect("there are two levels");
        Kind::Binary { levels: [zero, one] }
    }

    /// The different values: numbers by size, others by the alphabet.
    fn levels(&self) -> Vec<String> {
        let mut levels: Vec<String> = self.distinct.iter().cloned().collect();
        if self.numbers {
            let number = |level: &String| level.parse::<f64>().unwrap_or_default();
            levels.sort_by(|a, b| number(a).total_cmp(&number(b)).then(a.cmp(b)));
        } else {
            levels.sort();
        }
        levels
    }

    /// The type that was stated, if the column can be of it.
    fn stated(&self, stated: ColumnType) -> Decoded<Kind> {
        let distinct = self.distinct.len();
        match stated {
            ColumnType::Numeric | ColumnType::Count => match &self.word {
                Some((word, line)) => Err(format!("line {line} has `{word}`, which is no number")),
                None if stated == ColumnType::Numeric => Ok(Kind::PLAIN),
                None if self.counts => Ok(Kind::Count),
                None => Err("there are numbers below 0 or that are not whole".into()),
            },
            ColumnType::Binary if distinct == 2 => Ok(self.binary()),
            ColumnType::Binary => Err(format!("it has {distinct} different values, not 2")),
            ColumnType::Category if distinct <= MOST_LEVELS => Ok(Kind::Category { levels: self.levels() }),
            ColumnType::Category => Err(format!(
                "it has more than {MOST_LEVELS} different values, too many for categories; leave the column out with \
                 `ignore`"
            )),
            ColumnType::Ignore => Ok(Kind::Text { distinct, example: String::new() }),
        }
    }
}

/// The columns that a model is to learn, and their places in the file: all but the labels and what is to be ignored.
pub fn columns(
    header: &[String],
    seen: &[Seen],
    stated: &[Option<ColumnType>],
    label: Option<usize>,
    notes: &mut Vec<String>,
) -> Decoded<(Vec<Column>, Vec<usize>)> {
    let (mut columns, mut picked) = (Vec::new(), Vec::new());
    for (place, name) in header.iter().enumerate() {
        let (seen, stated) = (&seen[place], stated[place]);
        if Some(place) == label || stated == Some(ColumnType::Ignore) {
            continue;
        }
        if seen.present == 0 {
            notes.push(format!("column `{name}` is left out: it has no values"));
            continue;
        }
        let kind = match stated {
            Some(stated) => seen.stated(stated).map_err(|what| format!("data.columns.{name}: {what}"))?,
            None => seen.infer(),
        };
        if seen.is_constant() {
            notes.push(format!("column `{name}` has the same value in every row: it tells nothing"));
        } else if let (Kind::Text { .. }, Some((word, line)), true) = (&kind, &seen.word, seen.smallest.is_finite()) {
            notes.push(format!("column `{name}` has numbers, and words: the first is `{word}` in line {line}"));
        }
        columns.push(Column { name: name.clone(), kind });
        picked.push(place);
    }
    Ok((columns, picked))
}
