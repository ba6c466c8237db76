//! What the columns of a table hold, from what is in them.
//!
//! | all values that are there | type |
//! |---|---|
//! | 0 and 1, both | binary |
//! | whole numbers from 0 up, 0 among them, that spread and lie as counts do | count |
//! | other numbers, or always the same one | numeric |
//! | digits that begin with a zero | words |
//! | two different words | binary |
//! | few different words | category |
//! | many different words | text, which has to be left out or called a category |

use std::collections::HashMap;

use super::super::table::{Column, ColumnKind, MAX_LEVELS};
use super::Decoded;
use super::dialect::{Dialect, Line, Stored};
use super::marks::{Marks, hint, is_padded};
use crate::config::ColumnType;

/// The most levels of a column that is taken for a category unasked, and those that are few in any case.
const INFERRED_LEVELS: usize = 100;
const FEW_LEVELS: usize = 10;

/// The largest variance over mean that whole numbers are taken for counts with, and that without a word.
const MAX_DISPERSION: f64 = 20.0;
const ODD_DISPERSION: f64 = 3.0;

/// So many values that all of them being multiples of a number is no chance.
const MANY: usize = 20;

/// Up to here double precision has every whole number.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// What was seen in a column.
#[expect(clippy::struct_excessive_bools, reason = "facts that do not depend on each other")]
#[derive(Debug, Clone)]
pub struct Seen {
    /// What the file says that the column holds.
    stored: Stored,
    /// Rows gone through, and values that are there.
    rows: usize,
    present: usize,
    /// Whether all of them are numbers.
    numbers: bool,
    /// Whether all of them are whole numbers from 0 up.
    counts: bool,
    smallest: f64,
    largest: f64,
    sum: f64,
    squares: f64,
    /// The greatest common divisor of whole numbers.
    step: u64,
    /// Different values, at most one more than may be levels, and the number that each is.
    distinct: HashMap<String, f64>,
    /// The first value that is no number, and its line; how many there are, and whether all are alike.
    word: Option<(String, Line)>,
    words: usize,
    alike: bool,
    /// A number with a point, one with a decimal comma, and digits that begin with a zero, the first of each.
    point: Option<String>,
    comma: Option<String>,
    padded: Option<String>,
    /// Whether all numbers with a point could be whole numbers with points between their thousands.
    thousands: bool,
    /// The first whole number that is larger than those that double precision tells apart.
    endless: Option<String>,
    /// The number that the next row would hold if the column counted the rows.
    next: Option<f64>,
    /// Of the numbers below 0, how many are the one that stands in `smallest`, and whether there are others.
    below: usize,
    others_below: bool,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            stored: Stored::Cells,
            rows: 0,
            present: 0,
            numbers: true,
            counts: true,
            smallest: f64::INFINITY,
            largest: f64::NEG_INFINITY,
            sum: 0.0,
            squares: 0.0,
            step: 0,
            distinct: HashMap::new(),
            word: None,
            words: 0,
            alike: true,
            point: None,
            comma: None,
            padded: None,
            thousands: true,
            endless: None,
            next: None,
            below: 0,
            others_below: false,
        }
    }
}

impl Seen {
    /// Nothing of a column that was stored as this.
    pub fn new(stored: Stored) -> Self {
        Self { stored, ..Self::default() }
    }

    /// Takes note of a cell.
    pub fn add(&mut self, line: Line, field: &str, marks: &Marks) {
        let number = if marks.missing(field) { None } else { marks.number(field) };
        let counts_on = number.is_some_and(|number| match self.next {
            None => self.rows == 0 && (number == 0.0 || number == 1.0),
            Some(next) => number == next,
        });
        self.next = if counts_on { number.map(|number| number + 1.0) } else { None };
        self.rows += 1;
        if marks.missing(field) {
            return;
        }
        self.present += 1;
        if let Some(number) = number {
            self.add_number(number);
            self.thousands &= !field.contains('.') || marks.may_be_thousands(field);
            if self.endless.is_none() && number.abs() > MAX_EXACT && is_whole(field) {
                self.endless = Some(field.to_owned());
            }
            let mark = if marks.has_comma(field) { Some(&mut self.comma) } else { None };
            let mark = mark.or(field.contains('.').then_some(&mut self.point));
            if let Some(mark) = mark.or(is_padded(field).then_some(&mut self.padded)) {
                mark.get_or_insert_with(|| field.to_owned());
            }
        } else {
            (self.numbers, self.counts) = (false, false);
            self.words += 1;
            let (first, _) = self.word.get_or_insert_with(|| (field.to_owned(), line));
            self.alike &= first == field;
        }
        if self.distinct.len() <= MAX_LEVELS && !self.distinct.contains_key(field) {
            self.distinct.insert(field.to_owned(), number.unwrap_or(f64::NAN));
        }
    }

    fn add_number(&mut self, number: f64) {
        self.counts &= number >= 0.0 && number.fract() == 0.0;
        if number < 0.0 {
            self.others_below |= self.below > 0 && number != self.smallest;
            self.below += 1;
        }
        (self.smallest, self.largest) = (self.smallest.min(number), self.largest.max(number));
        (self.sum, self.squares) = (self.sum + number, self.squares + number * number);
        if self.counts {
            let [mut a, mut b] = [self.step, number as u64];
            while b > 0 {
                (a, b) = (b, a % b);
            }
            self.step = a;
        }
    }

    /// Whether all values that are there are numbers, and not codes that are written with digits.
    fn are_numbers(&self) -> bool {
        let words = matches!(self.stored, Stored::Words | Stored::Category);
        !words && self.numbers && self.padded.is_none() && !(self.point.is_some() && self.comma.is_some())
    }

    /// Whether the column does nothing but count the rows, from 0 or 1.
    fn counts_rows(&self) -> bool {
        self.next.is_some() && self.rows > 1
    }

    fn is_constant(&self) -> bool {
        self.distinct.len() <= 1 || (self.numbers && self.smallest == self.largest)
    }

    /// Variance over mean: 1 of a Poisson distribution, more of a mixture of several.
    fn dispersion(&self) -> f64 {
        let mean = self.sum / self.present.max(1) as f64;
        (self.squares / self.present.max(1) as f64 - mean * mean) / mean
    }

    /// Why whole numbers from 0 up are no counts, where they are none.
    fn no_counts(&self) -> Option<String> {
        if self.present >= MANY && self.step > 1 {
            return Some(format!("all of them are multiples of {}", self.step));
        }
        let dispersion = self.dispersion();
        (dispersion > MAX_DISPERSION)
            .then(|| format!("their variance is {dispersion:.0} times their mean, and that of counts about once"))
    }

    fn infer(&self) -> ColumnKind {
        let zero_one = self.counts && self.smallest == 0.0 && self.largest == 1.0;
        let distinct = self.distinct.len();
        if matches!(self.stored, Stored::Category | Stored::Codes) && distinct <= MAX_LEVELS {
            return if distinct == 2 { self.binary() } else { ColumnKind::Category { levels: self.levels() } };
        }
        if self.are_numbers() {
            return match () {
                () if self.stored == Stored::Numbers => ColumnKind::PLAIN,
                () if zero_one => self.binary(),
                () if self.whole_from_zero() && self.no_counts().is_none() => ColumnKind::Count,
                () => ColumnKind::PLAIN,
            };
        }
        match distinct {
            2 => self.binary(),
            _ if distinct <= INFERRED_LEVELS && (distinct <= FEW_LEVELS || 2 * distinct <= self.present) => {
                ColumnKind::Category { levels: self.levels() }
            }
            _ => ColumnKind::Text { example: self.example(), distinct },
        }
    }

    fn whole_from_zero(&self) -> bool {
        self.counts && self.smallest == 0.0 && !self.is_constant()
    }

    /// The first value that is no number.
    fn example(&self) -> String {
        let first = self.word.as_ref().map(|(word, _)| word.clone());
        first.or(self.padded.clone()).or(self.comma.clone()).unwrap_or_default()
    }

    fn binary(&self) -> ColumnKind {
        match <[String; 2]>::try_from(self.levels()) {
            Ok(levels) => ColumnKind::Binary { levels },
            Err(levels) => ColumnKind::Category { levels },
        }
    }

    /// The different values: numbers by size and each once, others by the alphabet.
    fn levels(&self) -> Vec<String> {
        let mut levels: Vec<(&String, f64)> = self.distinct.iter().map(|(level, &number)| (level, number)).collect();
        if self.are_numbers() {
            levels.sort_by_key(|(level, _)| (level.len(), *level));
            // Zero has two signs. The shortest way to write a number stays.
            levels.sort_by(|(_, a), (_, b)| (a + 0.0).total_cmp(&(b + 0.0)));
            levels.dedup_by(|(_, b), (_, a)| a == b);
        } else {
            levels.sort_by_key(|(level, _)| *level);
        }
        levels.into_iter().map(|(level, _)| level.clone()).collect()
    }

    /// The type that was stated, if the column can be of it.
    fn stated(&self, stated: ColumnType) -> Decoded<ColumnKind> {
        let distinct = if self.are_numbers() { self.levels().len() } else { self.distinct.len() };
        match stated {
            ColumnType::Numeric | ColumnType::Count => match &self.word {
                Some((word, line)) => Err(format!("{line} has `{word}`, which is no number{}", self.advice())),
                None if stated == ColumnType::Numeric => Ok(ColumnKind::PLAIN),
                None if self.counts => Ok(ColumnKind::Count),
                None => Err("there are numbers below 0 or that are not whole".into()),
            },
            ColumnType::Binary if distinct == 2 => Ok(self.binary()),
            ColumnType::Binary => Err(format!("it has {distinct} different values, not 2")),
            ColumnType::Category if distinct <= MAX_LEVELS => Ok(ColumnKind::Category { levels: self.levels() }),
            ColumnType::Category => Err(format!(
                "it has more than {MAX_LEVELS} different values, too many for categories; leave the column out with \
                 `ignore`"
            )),
            ColumnType::Ignore => Ok(ColumnKind::Text { distinct, example: String::new() }),
        }
    }
}

impl Seen {
    /// What to say about a column that was taken for a kind.
    fn oddities(&self, name: &str, kind: &ColumnKind, stated: bool) -> Vec<String> {
        let mut notes = Vec::new();
        if self.is_constant() {
            notes.push(format!("column `{name}` has the same value in every row: it tells nothing"));
        } else if matches!(self.stored, Stored::Words | Stored::Category | Stored::Codes) {
            // The file says what they are.
            return notes;
        } else if let (false, Some((word, line)), true) = (stated || self.has_unit(), &self.word, self.has_numbers()) {
            let all = match (self.words, self.alike) {
                (1, _) => format!("and `{word}` in {line}"),
                (n, true) => format!("and {n} times `{word}`, first in {line}"),
                (n, false) => format!("and {n} words: the first is `{word}` in {line}"),
            };
            notes.push(format!("column `{name}` has numbers, {all}{}", self.advice()));
        }
        if let (true, Some(point), Some(comma)) = (self.numbers && !stated, &self.point, &self.comma) {
            notes.push(format!(
                "column `{name}` has both `{point}` and `{comma}`, so it is not taken for numbers: say which mark separates \
                 decimals with `--set data.decimal=comma` or point"
            ));
        } else if let (true, Some(padded)) = (self.numbers && !stated, &self.padded) {
            notes.push(format!(
                "column `{name}` is taken for words, since `{padded}` begins with a zero; `--set \
                 data.columns.{name}=numeric` takes it for numbers"
            ));
        } else if let (Some(comma), ColumnKind::Numeric { .. } | ColumnKind::Count) = (&self.comma, kind) {
            notes.push(format!(
                "column `{name}` has decimal commas: `{comma}` is read as {} (data.decimal=point reads commas as marks of \
                 thousands)",
                comma.replacen(',', ".", 1)
            ));
        }
        if let (Some(point), true, ColumnKind::Numeric { .. } | ColumnKind::Count) = (&self.point, self.thousands, kind)
        {
            notes.push(format!(
                "column `{name}`: `{point}` is read as a number with a point; where points separate thousands, as commas do \
                 decimals, `--set data.decimal=comma` (data.decimal=point: they do not)"
            ));
        }
        if let (Some(endless), ColumnKind::Numeric { .. } | ColumnKind::Count) = (&self.endless, kind) {
            notes.push(format!(
                "column `{name}` has whole numbers such as `{endless}`, of which about 16 digits are kept: where they name \
                 the rows, `--set 'data.columns.{name}=ignore'`"
            ));
        }
        if let (ColumnKind::Numeric { .. }, false, true) =
            (kind, stated || self.stored == Stored::Numbers, self.whole_from_zero())
        {
            let why = self.no_counts().unwrap_or_default();
            notes.push(format!(
                "column `{name}` has whole numbers from 0 up, but {why}: it is numeric (`--set data.columns.{name}=count` \
                 takes it for counts)"
            ));
        } else if let (ColumnKind::Count, true) = (kind, self.dispersion() > ODD_DISPERSION) {
            notes.push(format!(
                "column `{name}` is taken for counts, whose variance is about their mean, and its is {:.1} times its mean: \
                 where these are amounts or codes, `--set data.columns.{name}=numeric`",
                self.dispersion()
            ));
        }
        if let (ColumnKind::Numeric { .. }, true) = (kind, self.is_marked()) {
            let number = self.smallest;
            notes.push(format!(
                "column `{name}` has {} times {number} and no other number below 0: where that stands for a missing value, \
                 `--set data.missing={number}`",
                self.below
            ));
        }
        notes
    }

    /// Whether the only number below 0 is one that people write where there is none.
    fn is_marked(&self) -> bool {
        self.below > 1 && !self.others_below && [-9.0, -99.0, -999.0, -9999.0, -99_999.0].contains(&self.smallest)
    }

    fn has_numbers(&self) -> bool {
        self.smallest.is_finite()
    }

    /// Whether all is numbers but for what stands right below the header, and may be their unit.
    fn has_unit(&self) -> bool {
        let is_unit = |word: &str| word.chars().any(|c| c.is_alphabetic() || "%°$€£µ".contains(c));
        let named = self.word.as_ref().is_some_and(|(word, line)| *line == Line::Text(2) && is_unit(word));
        named && self.words == 1 && self.has_numbers()
    }

    /// What a word may mean in a column that has numbers, too, as the end of a sentence.
    fn advice(&self) -> String {
        let Some((word, _)) = &self.word else { return String::new() };
        match hint(word) {
            _ if self.has_unit() => "; if that is a row of units, take it out of the file".to_owned(),
            Some(hint) => format!("; {hint}"),
            None if self.has_numbers() && self.alike => {
                format!("; where it stands for a missing value, `--set 'data.missing={word}'`")
            }
            None => String::new(),
        }
    }
}

/// Whether a number is written with digits alone.
fn is_whole(field: &str) -> bool {
    field.trim_start_matches(['+', '-']).bytes().all(|byte| byte.is_ascii_digit())
}

/// What to say where the second line has the units of columns that are numbers below it.
pub fn units(seen: &[Seen]) -> Option<String> {
    /// Units that are shown.
    const SHOWN: usize = 6;
    let words: Vec<String> = seen
        .iter()
        .filter(|seen| seen.has_unit())
        .filter_map(|seen| Some(format!("`{}`", seen.word.as_ref()?.0)))
        .collect();
    let rest = if words.len() > SHOWN { ", …" } else { "" };
    let shown: Vec<String> = words.iter().take(SHOWN).cloned().collect();
    (!words.is_empty()).then(|| {
        format!(
            "line 2 has {}{rest} where all lines below it have numbers: if that is a row of units, take it out of the file",
            shown.join(", ")
        )
    })
}

/// Whether a first column of this name may be an index that was written with the table: pandas and R give it none, and
/// what reads that once more calls it `Unnamed: 0`.
fn is_index(name: &str) -> bool {
    matches!(name, "column 1" | "Unnamed: 0")
}

/// Whether a column has the index of a frame that was stored by pandas without a name.
fn is_stored_index(name: &str, dialect: &Dialect) -> bool {
    dialect.stored.is_some() && name.starts_with("__index_level_")
}

/// The columns that a model is to learn, and their places in the file: all but the labels, what is to be ignored, and a
/// first one that counts the rows, unless something is said of it (`own`).
pub fn columns(
    header: &[String],
    seen: &[Seen],
    stated: &[Option<ColumnType>],
    own: &dyn Fn(&str) -> bool,
    label: Option<usize>,
    dialect: &Dialect,
    notes: &mut Vec<String>,
) -> Decoded<(Vec<Column>, Vec<usize>)> {
    let (mut columns, mut picked) = (Vec::new(), Vec::new());
    for (place, name) in header.iter().enumerate() {
        let (seen, stated) = (&seen[place], stated[place]);
        if Some(place) == label || stated == Some(ColumnType::Ignore) {
            continue;
        }
        dialect.check(place, name)?;
        if is_stored_index(name, dialect) && !own(name) {
            notes.push(format!(
                "column `{name}` is the index that pandas stored with the table: it is left out (`--set 'data.columns.{name}=numeric'` \
                 keeps it)"
            ));
            continue;
        }
        if seen.present == 0 {
            notes.push(format!("column `{name}` is left out: it has no values"));
            continue;
        }
        if place == 0 && !own(name) && is_index(name) && seen.counts_rows() {
            notes.push(format!(
                "column `{name}` counts the rows, as an index does that was written with the table: it is left out \
                 (`--set 'data.columns.{name}=numeric'` keeps it)"
            ));
            continue;
        }
        let kind = match stated {
            Some(stated) => seen.stated(stated).map_err(|what| format!("data.columns.{name}: {what}"))?,
            None => seen.infer(),
        };
        notes.extend(seen.oddities(name, &kind, stated.is_some()));
        columns.push(Column { name: name.clone(), kind });
        picked.push(place);
    }
    Ok((columns, picked))
}
