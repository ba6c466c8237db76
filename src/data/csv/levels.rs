//! From the cells of a column to numbers: levels by their words or by their values, and words that no model knows.

use std::collections::{BTreeMap, HashMap};

use super::super::table::{Column, ColumnKind, STRANGER};
use super::Decoded;
use super::dialect::Line;
use super::marks::Marks;
use crate::config::Unknown;

/// Words that are named in a message.
const SHOWN: usize = 8;

/// The most different words that are kept for a message.
const MAX_STRANGERS: usize = 1 << 12;

/// How the cells of a column are read.
pub struct Reader<'a> {
    kind: &'a ColumnKind,
    marks: &'a Marks,
    words: HashMap<&'a str, usize>,
    /// The levels by their values, where all of them are numbers: 0 is also 0.0 and 00.
    values: HashMap<u64, usize>,
}

/// A number by which equal ones are found.
fn bits(number: f64) -> u64 {
    // Zero has two signs.
    (number + 0.0).to_bits()
}

impl<'a> Reader<'a> {
    /// A reader of a column of this kind.
    pub fn new(kind: &'a ColumnKind, marks: &'a Marks) -> Self {
        let levels = kind.levels();
        let words = levels.iter().enumerate().map(|(at, level)| (level.as_str(), at)).collect();
        let numbers: Option<Vec<f64>> = levels.iter().map(|level| marks.number(level)).collect();
        let numbers = numbers.unwrap_or_default();
        // Of levels that have one value the first counts.
        let values = numbers.iter().enumerate().rev().map(|(at, &number)| (bits(number), at)).collect();
        Self { kind, marks, words, values }
    }

    /// A cell as a number: a level is its index, what is missing is NaN. None is a word that is no level.
    pub fn cell(&self, field: &str) -> Decoded<Option<f64>> {
        if self.marks.missing(field) {
            return Ok(Some(f64::NAN));
        }
        let number = || self.marks.number(field).ok_or_else(|| format!("`{field}` is no number"));
        Ok(match self.kind {
            ColumnKind::Numeric { .. } => Some(number()?),
            ColumnKind::Count => match number()? {
                count if count >= 0.0 && count.fract() == 0.0 => Some(count),
                _ => return Err(format!("`{field}` is no count, which is a whole number from 0 up")),
            },
            ColumnKind::Numbered { categories } => match number()? {
                category if (0.0..*categories as f64).contains(&category) && category.fract() == 0.0 => Some(category),
                _ => {
                    let last = categories - 1;
                    return Err(format!("`{field}` is none of the categories that the model knows, 0 to {last}"));
                }
            },
            ColumnKind::Binary { .. } | ColumnKind::Category { .. } => self.level(field).map(|level| level as f64),
            ColumnKind::Text { .. } => Some(f64::NAN),
        })
    }

    fn level(&self, field: &str) -> Option<usize> {
        let by_value = || self.values.get(&bits(self.marks.number(field)?)).copied();
        self.words.get(field).copied().or_else(|| if self.values.is_empty() { None } else { by_value() })
    }
}

/// What to do with a word where a model that is used wants a number, as the end of a sentence.
pub fn way_out(field: &str) -> String {
    format!("; where it stands for a missing value, `--missing '{field}'`")
}

/// Words that a model was not trained on.
#[derive(Default)]
pub struct Strangers {
    /// By column and word: the first line, and how many cells.
    found: BTreeMap<(usize, String), (Line, usize)>,
    cells: usize,
}

impl Strangers {
    /// Takes note of a word, and gives the number that stands for it.
    pub fn add(&mut self, column: usize, word: &str, line: Line, unknown: Unknown) -> f64 {
        self.cells += 1;
        if let Some((_, cells)) = self.found.get_mut(&(column, word.to_owned())) {
            *cells += 1;
        } else if self.found.len() < MAX_STRANGERS {
            self.found.insert((column, word.to_owned()), (line, 1));
        }
        if unknown == Unknown::Anomalous { STRANGER } else { f64::NAN }
    }

    /// What to say of the words; an error where they are refused.
    pub fn judged(&self, columns: &[Column], unknown: Unknown) -> Decoded<Option<String>> {
        let Some(((column, word), (line, _))) = self.found.iter().min_by_key(|(_, (line, _))| *line) else {
            return Ok(None);
        };
        let Column { name, kind } = &columns[*column];
        let known: Vec<&str> = kind.levels().iter().take(SHOWN).map(String::as_str).collect();
        let rest = if kind.levels().len() > SHOWN { ", …" } else { "" };
        let first = format!(
            "{line}, column `{name}`: `{word}` is none of the values that the model knows: {}{rest}",
            known.join(", ")
        );
        let all =
            self.found.iter().take(SHOWN).map(|((column, word), (_, cells))| {
                format!("`{word}` in {cells} of column `{}`", columns[*column].name)
            });
        let more = if self.found.len() > SHOWN { ", …" } else { "" };
        let all = format!("{} such cells: {}{more}", self.cells, all.collect::<Vec<String>>().join(", "));
        match unknown {
            Unknown::Refuse => Err(format!(
                "{first} ({all}); go on with `--unknown missing`, which judges rows by their other columns, or `--unknown \
                 anomalous`, or name words that stand for a missing value by `--missing WORD`"
            )),
            Unknown::Missing => Ok(Some(format!("{all}: words that the model does not know are taken for missing"))),
            Unknown::Anomalous => {
                Ok(Some(format!("{all}: words that the model does not know count against their rows")))
            }
        }
    }
}
