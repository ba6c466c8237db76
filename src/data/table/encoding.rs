//! How rows become numbers, and the way back.

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::super::Values;
use super::super::codes::Codes;
use super::super::csv::hint;
use super::super::elements::Elements;
use super::{Column, ColumnKind, Frame, NEITHER, STRANGER};
use crate::config::{Domain, Scale, Takes};
use crate::error::{Error, Result};

/// Numbers that differ by less than this share of their mean differ by rounding: the column is constant.
const ROUNDING: f64 = 1e-13;

/// The share of a column on either side that says nothing of a robust scale, and the least part of the whole deviation that such a
/// scale is: what lies far outside would make losses that drown all others.
const OUTSIDE: f64 = 0.05;
const LEAST: f64 = 0.1;

/// Rows and cells that are sorted for robust scales, at the most.
const SORTED_ROWS: usize = 1 << 17;
const SORTED_CELLS: usize = 1 << 24;

/// How rows became numbers, and the way back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Encoding {
    /// The columns in the order of their spans.
    pub columns: Vec<Column>,
    /// The smallest and the largest number of the numeric columns in the training part: black and white of a picture.
    pub range: [f64; 2],
    /// The extents of an example in the array that it comes from, where all of its values are [`ColumnKind::Numbered`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub array: Option<Vec<usize>>,
}

impl Encoding {
    /// Fits shifts and scales to the training rows. Missing values and infinities do not count.
    ///
    /// Rows are gone through in the order of the source, once for means and once for deviations, so that the same bits
    /// come out wherever the cells are.
    ///
    /// # Errors
    /// [`Error::Data`] where cells cannot be read from their file.
    pub fn fit(frame: &Frame, training: &[u32], scale: Scale) -> Result<Self> {
        let mut training = training.to_vec();
        training.sort_unstable();
        let numeric: Vec<bool> =
            frame.columns.iter().map(|column| matches!(column.kind, ColumnKind::Numeric { .. })).collect();
        let mut all = vec![Moments::default(); frame.columns.len()];
        let mut visit = |add: fn(&mut Moments, f64)| {
            frame.cells.visit(frame.columns.len(), &training, &mut |row| {
                for ((moments, cell), _) in all.iter_mut().zip(row).zip(&numeric).filter(|(_, numeric)| **numeric) {
                    if cell.is_finite() {
                        add(moments, *cell);
                    }
                }
            })
        };
        visit(Moments::add)?;
        if matches!(scale, Scale::Standardise | Scale::Robust) {
            visit(Moments::add_square)?;
        }
        if scale == Scale::Robust {
            for (moments, middle) in all.iter_mut().zip(middles(frame, &training)?) {
                moments.middle = middle;
            }
        }
        let ends = all.iter().fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], moments| {
            [low.min(moments.low), high.max(moments.high)]
        });
        let range = if ends[0] > ends[1] { [0.0, 1.0] } else { ends };
        let fitted = |((column, moments), numeric): ((&Column, &Moments), &bool)| {
            // A deviation is that from a mean, which is off by more than the rounding of one number; extremes are not.
            let spread = match scale {
                Scale::Standardise | Scale::Robust => moments.high - moments.low,
                Scale::Auto | Scale::None | Scale::Unit => range[1] - range[0],
            };
            let [shift, scale] = match scale {
                _ if !numeric => return column.clone(),
                Scale::Auto | Scale::None => [0.0, 1.0],
                Scale::Unit => [range[0], range[1] - range[0]],
                Scale::Standardise => [moments.mean(), moments.deviation()],
                Scale::Robust => match moments.middle {
                    Some([mean, deviation]) => [mean, deviation.max(LEAST * moments.deviation())],
                    None => [moments.mean(), moments.deviation()],
                },
            };
            let [shift, scale] = match scale {
                // Too large for a mean: it stays, and is refused for its size.
                _ if !shift.is_finite() || !scale.is_finite() => [0.0, 1.0],
                // It does not vary: it becomes 0, and what differs from it is measured by it, whatever its unit.
                _ if spread <= ROUNDING * shift.abs() || !scale.is_normal() => {
                    [shift, if shift == 0.0 { 1.0 } else { shift.abs() }]
                }
                _ => [shift, scale],
            };
            Column { name: column.name.clone(), kind: ColumnKind::Numeric { shift, scale } }
        };
        let columns = frame.columns.iter().zip(&all).zip(&numeric).map(fitted).collect();
        Ok(Self { columns, range, array: None })
    }

    /// Values of an array whose examples have these extents, all of them of one `kind`.
    pub fn alike(extents: &[usize], kind: &ColumnKind) -> Self {
        let column = |at: usize| Column { name: at.to_string(), kind: kind.clone() };
        let array = matches!(kind, ColumnKind::Numbered { .. }).then(|| extents.to_vec());
        let range = [0.0, kind.width().max(2) as f64 - 1.0];
        Self { columns: (0..extents.iter().product()).map(column).collect(), range, array }
    }

    /// The extents of an example in the array that it comes from and how many categories a value has, where all of them
    /// are [`ColumnKind::Numbered`].
    pub fn categories(&self) -> Option<(&[usize], usize)> {
        match (&self.array, self.columns.first()?) {
            (Some(extents), Column { kind: ColumnKind::Numbered { categories }, .. }) => Some((extents, *categories)),
            _ => None,
        }
    }

    /// The number of the most probable category of each value of rows of [`ColumnKind::Numbered`], NaN where it is missing.
    pub fn most_probable(rows: &[f32], categories: usize) -> Vec<f32> {
        let number = |places: &[f32]| {
            let places: Vec<f64> = places.iter().map(|&place| place.into()).collect();
            if places[0].is_nan() { f32::NAN } else { largest(&places) as f32 }
        };
        rows.chunks_exact(categories.max(1)).map(number).collect()
    }

    /// This encoding for an array of so many values, which has numbers only and no names.
    ///
    /// # Errors
    /// Why an array cannot stand for the table that this was fitted to.
    pub fn for_numbers(&self, width: usize) -> std::result::Result<Self, String> {
        if self.columns.len() != width {
            let trained = self.columns.len();
            return Err(format!("an example has {width} values, and the model was trained on {trained} columns"));
        }
        match self.columns.iter().find(|column| !matches!(column.kind, ColumnKind::Numeric { .. })) {
            None => Ok(self.clone()),
            Some(Column { name, kind }) => Err(format!(
                "an array has numbers only, but the model's column `{name}` is of type {}; give a table with a header",
                kind.name()
            )),
        }
    }

    /// The places of every column in an encoded row.
    pub fn spans(&self) -> Vec<Range<usize>> {
        let ends = self.columns.iter().scan(0, |end, column| {
            let start = *end;
            *end += column.kind.width();
            Some(start..*end)
        });
        ends.collect()
    }

    /// Places of an encoded row.
    pub fn width(&self) -> usize {
        self.columns.iter().map(|column| column.kind.width()).sum()
    }

    /// The column that holds a place of the encoded row.
    pub fn column_at(&self, place: usize) -> Option<&Column> {
        let at = self.spans().iter().position(|span| span.contains(&place))?;
        self.columns.get(at)
    }

    /// Rows of cells as they are kept, in the order given: one number for each column, however many categories it has.
    pub fn values(&self, cells: &Elements, order: &[u32]) -> Values {
        let learnt: Vec<(usize, &ColumnKind)> =
            self.columns.iter().map(|it| &it.kind).enumerate().filter(|(_, kind)| kind.width() > 0).collect();
        let mut numbers = Vec::with_capacity(order.len() * learnt.len());
        for &row in order {
            for &(at, kind) in &learnt {
                let cell = cells.at(row as usize * self.columns.len() + at);
                numbers.push(match kind {
                    ColumnKind::Numeric { shift, scale } => ((cell - shift) / scale) as f32,
                    ColumnKind::Binary { .. } if cell == STRANGER => NEITHER,
                    _ => cell as f32,
                });
            }
        }
        match self.codes() {
            Some(columns) => Values::Codes(Codes { numbers, columns }),
            None => Values::F32(numbers),
        }
    }

    /// The categories of each number of a row as it is kept, 0 where it is none; nothing where no column has any.
    pub fn codes(&self) -> Option<Arc<[u32]>> {
        let categories = |kind: &ColumnKind| match kind {
            ColumnKind::Category { .. } | ColumnKind::Numbered { .. } => kind.width() as u32,
            ColumnKind::Numeric { .. } | ColumnKind::Binary { .. } | ColumnKind::Count | ColumnKind::Text { .. } => 0,
        };
        let learnt = self.columns.iter().map(|column| &column.kind).filter(|kind| kind.width() > 0);
        let all: Arc<[u32]> = learnt.map(categories).collect();
        all.iter().any(|&categories| categories > 0).then_some(all)
    }

    /// Encoded numbers in the units of the data; `rows` is [n, width]. Places of levels hold probabilities, and stay. In
    /// double precision, since single precision has no room for what is small beside its distance from 0.
    pub fn undo(&self, rows: &[f32]) -> Vec<f64> {
        let fitted = self.fitted();
        let undone = |(&number, [shift, scale]): (&f32, &[f64; 2])| f64::from(number) * scale + shift;
        rows.chunks_exact(fitted.len().max(1)).flat_map(|row| row.iter().zip(&fitted).map(undone)).collect()
    }

    /// Brings numbers in the units of the data to those of the model, in place: the inverse of [`Encoding::undo`].
    pub fn scale(&self, rows: &mut [f32]) {
        let fitted = self.fitted();
        for row in rows.chunks_exact_mut(fitted.len().max(1)) {
            for (number, [shift, scale]) in row.iter_mut().zip(&fitted).filter(|(_, fitted)| **fitted != [0.0, 1.0]) {
                *number = ((f64::from(*number) - shift) / scale) as f32;
            }
        }
    }

    /// Whether numbers are other than they were stored.
    pub fn scales(&self) -> bool {
        self.columns
            .iter()
            .any(|column| matches!(column.kind, ColumnKind::Numeric { .. }) && column.kind != ColumnKind::PLAIN)
    }

    /// Whether nothing is known of an example but that it is numbers as they were stored.
    pub fn is_plain(&self) -> bool {
        self.columns.iter().all(|column| column.kind == ColumnKind::PLAIN)
    }

    /// Shift and scale of every place of an encoded row; 0 and 1 where nothing was fitted.
    pub fn fitted(&self) -> Vec<[f64; 2]> {
        let places = |column: &Column| match column.kind {
            ColumnKind::Numeric { shift, scale } => vec![[shift, scale]],
            _ => vec![[0.0, 1.0]; column.kind.width()],
        };
        self.columns.iter().flat_map(places).collect()
    }

    /// One row, from [`Encoding::undo`], as the cells of a table: numbers, and the most probable level.
    pub fn cells(&self, row: &[f64]) -> Vec<String> {
        let cell = |(column, span): (&Column, Range<usize>)| {
            let places = &row[span];
            match &column.kind {
                ColumnKind::Text { .. } => String::new(),
                _ if places[0].is_nan() => String::new(),
                &ColumnKind::Numeric { shift, scale } if column.kind != ColumnKind::PLAIN => {
                    rounded(places[0], shift, scale)
                }
                ColumnKind::Numeric { .. } | ColumnKind::Count => (places[0] as f32).to_string(),
                ColumnKind::Binary { levels } => levels[usize::from(places[0] >= 0.5)].clone(),
                ColumnKind::Category { levels } => levels[largest(places)].clone(),
                ColumnKind::Numbered { .. } => largest(places).to_string(),
            }
        };
        self.columns.iter().zip(self.spans()).map(cell).collect()
    }

    /// A number of a column, from [`Encoding::undo`], without the digits that were lost while it was scaled.
    pub fn settled(kind: &ColumnKind, number: f64) -> f64 {
        match kind {
            &ColumnKind::Numeric { shift, scale } if *kind != ColumnKind::PLAIN && number.is_finite() => {
                settled(number, shift, scale)
            }
            _ => number,
        }
    }

    /// Rows [n, width], from [`Encoding::undo`], likewise.
    pub fn settle(&self, rows: &mut [f64]) {
        let fitted = self.fitted();
        for row in rows.chunks_exact_mut(fitted.len().max(1)) {
            let scaled = row.iter_mut().zip(&fitted).filter(|(number, fit)| number.is_finite() && **fit != [0.0, 1.0]);
            scaled.for_each(|(number, &[shift, scale])| *number = settled(*number, shift, scale));
        }
    }

    /// The mean of many numbers of a column, from [`Encoding::undo`], without the digits that are noise of their rounding.
    pub fn settled_mean(kind: &ColumnKind, mean: f64) -> f64 {
        match kind {
            &ColumnKind::Numeric { scale, .. } if *kind != ColumnKind::PLAIN && mean.is_finite() => {
                let decimals = -(f64::from(f32::EPSILON) * scale).log10().ceil() as i32;
                let power = 10_f64.powi(decimals.abs());
                // A quotient is the number that its digits name, and zero has two signs.
                if decimals < 0 { (mean / power).round() * power } else { (mean * power).round() / power + 0.0 }
            }
            _ => mean,
        }
    }

    /// Tells whether columns are of types that a model can take.
    ///
    /// # Errors
    /// [`Error::Data`] with the first that is not, and what to do.
    pub fn check(&self, name: &str, takes: Takes) -> Result<()> {
        let Takes { domain, likelihood } = takes;
        let fits = |kind: &ColumnKind| match domain {
            Domain::Unit => matches!(kind, ColumnKind::Binary { .. } | ColumnKind::Numeric { .. }),
            Domain::Numbers | Domain::Levels => matches!(kind, ColumnKind::Numeric { .. }),
            Domain::Counts => *kind == ColumnKind::Count || *kind == ColumnKind::PLAIN,
            Domain::Categories => matches!(kind, ColumnKind::Category { .. } | ColumnKind::Numbered { .. }),
            Domain::Columns => !matches!(kind, ColumnKind::Text { .. }),
            Domain::Tokens => false,
        };
        let Some(Column { name: column, kind }) = self.columns.iter().find(|column| !fits(&column.kind)) else {
            return Ok(());
        };
        let pairs =
            "; of a list of who chose what, `--set data.pairs=USER,ITEM` or `USER,ITEM,VALUE` names the columns";
        let pairs = if takes.is_of_choices() { pairs } else { "" };
        Err(Error::Data(match kind {
            ColumnKind::Text { distinct, example } => format!(
                "{name}: column `{column}` holds text (`{example}` and others, {distinct} different ones), which no \
                 model learns; leave it out with `--set data.columns.{column}=ignore`{}{}",
                hint(example).map_or(String::new(), |hint| format!("; {hint}")),
                pairs
            ),
            kind if domain == Domain::Categories => format!(
                "{name}: column `{column}` is of type {}, and the categorical likelihood takes categories, which all columns \
                 are unless data.columns says otherwise; for columns of several types choose `--recipe table`",
                kind.name()
            ),
            ColumnKind::Numeric { .. } => format!(
                "{name}: column `{column}` holds scaled numbers (data.scale), and the likelihood {likelihood} takes counts as \
                 they are: leave data.scale out, or choose `--set model.likelihood=gaussian-shared`"
            ),
            kind if domain == Domain::Counts => format!(
                "{name}: column `{column}` is of type {}, and the likelihood {likelihood} takes counts: say that all are with \
                 `--set data.columns.*=count`, or leave it out with `--set data.columns.{column}=ignore`{pairs}",
                kind.name()
            ),
            ColumnKind::Binary { .. }
                if self.columns.iter().all(|column| matches!(column.kind, ColumnKind::Binary { .. })) =>
            {
                format!(
                    "{name}: all columns are of type binary, and the likelihood is none for two values: choose `--set \
                 model.likelihood=bernoulli`"
                )
            }
            kind => format!(
                "{name}: column `{column}` is of type {}, which this likelihood has no distribution for: choose `--recipe \
                 table` or `--set model.likelihood=heterogeneous`, or leave it out with `--set \
                 data.columns.{column}=ignore`",
                kind.name()
            ),
        }))
    }
}

/// The place of the largest of some numbers, of equal ones the first.
fn largest(places: &[f64]) -> usize {
    let best = places.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0)));
    best.map_or(0, |(at, _)| at)
}

/// A number as the shortest text that a model would take for the same: it sees (x − shift)/scale in single precision.
/// Digits before the point that this leaves open are zeros.
pub(super) fn rounded(number: f64, shift: f64, scale: f64) -> String {
    /// Digits behind the point that are tried.
    const MOST: usize = 40;
    let off = resolution(number, shift, scale);
    let near = |text: &String| text.parse::<f64>().is_ok_and(|read| (read - number).abs() <= off);
    if off >= 1.0 {
        return (0..17)
            .map(|digits| format!("{number:.digits$e}"))
            .find(near)
            .map_or(number.to_string(), |it| plain(&it));
    }
    let text = (0..=MOST).map(|decimals| format!("{number:.decimals$}")).find(near);
    match text {
        Some(text) if text == "-0" => "0".to_owned(),
        Some(text) => text,
        None => number.to_string(),
    }
}

/// What [`rounded`] gives, as a number.
fn settled(number: f64, shift: f64, scale: f64) -> f64 {
    /// 10²² is the largest power of ten that double precision has, and 2⁵³ the last of its whole numbers without gaps: a
    /// quotient of such is the number that its digits name.
    const MOST: i32 = 22;
    const WHOLE: f64 = 9_007_199_254_740_992.0;
    let off = resolution(number, shift, scale);
    let rounded = |decimals: i32| {
        let power = 10_f64.powi(decimals);
        let whole = (number * power).round();
        (whole.abs() <= WHOLE).then_some(whole / power)
    };
    let found = (0..=MOST).map_while(rounded).find(|settled| (settled - number).abs() <= off);
    match found.filter(|_| off < 1.0) {
        // Zero has two signs.
        Some(settled) => settled + 0.0,
        None => self::rounded(number, shift, scale).parse().unwrap_or(number),
    }
}

/// How far a number may be off after it was scaled, kept in single precision, and scaled back: half the distance to the next
/// number, and what rounding in double precision adds.
fn resolution(number: f64, shift: f64, scale: f64) -> f64 {
    let encoded = ((number - shift) / scale).abs();
    1.01 * 0.5 * f64::from(f32::EPSILON) * scale * encoded + 2.0 * f64::EPSILON * number.abs()
}

/// A whole number that is written with an exponent, without it.
fn plain(text: &str) -> String {
    let (digits, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (whole, rest) = digits.split_once('.').unwrap_or((digits, ""));
    let zeros = exponent.parse::<usize>().unwrap_or(0).saturating_sub(rest.len());
    format!("{whole}{rest}{}", "0".repeat(zeros))
}

/// Winsorised mean and deviation of each column: of rows that are spread over the training rows, where those are many. None where
/// more than half of the finite cells are one number.
fn middles(frame: &Frame, training: &[u32]) -> Result<Vec<Option<[f64; 2]>>> {
    let columns = frame.columns.len();
    let most = SORTED_ROWS.min((SORTED_CELLS / columns.max(1)).max(1000));
    let count = training.len().min(most);
    let rows: Vec<u32> =
        (0..count).map(|at| training[(at as u64 * training.len() as u64 / count as u64) as usize]).collect();
    let mut cells: Vec<Vec<f64>> = vec![Vec::with_capacity(count); columns];
    frame.cells.visit(columns, &rows, &mut |row| {
        for (column, cell) in cells.iter_mut().zip(row).filter(|(_, cell)| cell.is_finite()) {
            column.push(*cell);
        }
    })?;
    Ok(cells.into_iter().map(middle).collect())
}

/// That of one column.
fn middle(mut cells: Vec<f64>) -> Option<[f64; 2]> {
    cells.sort_by(f64::total_cmp);
    let longest = cells.chunk_by(|a, b| a == b).map(<[f64]>::len).max()?;
    if 2 * longest > cells.len() {
        return None;
    }
    // As many on either side take the value of the next one inside.
    let outside = (OUTSIDE * (cells.len() - 1) as f64) as usize;
    let [low, high] = [cells[outside], cells[cells.len() - 1 - outside]];
    let clamped = cells.iter().map(|cell| cell.clamp(low, high));
    let count = cells.len() as f64;
    let mean = clamped.clone().sum::<f64>() / count;
    let deviation = (clamped.map(|cell| (cell - mean).powi(2)).sum::<f64>() / count).sqrt();
    Some([mean, deviation])
}

/// What is known of the numbers of a column after they have been gone through, once or twice.
#[derive(Debug, Clone)]
struct Moments {
    count: usize,
    sum: f64,
    low: f64,
    high: f64,
    /// Of the differences from the mean.
    squares: f64,
    /// Mean and deviation of the Winsorised column, where these are its scale.
    middle: Option<[f64; 2]>,
}

impl Default for Moments {
    fn default() -> Self {
        Self { count: 0, sum: 0.0, low: f64::INFINITY, high: f64::NEG_INFINITY, squares: 0.0, middle: None }
    }
}

impl Moments {
    fn add(&mut self, number: f64) {
        self.count += 1;
        self.sum += number;
        (self.low, self.high) = (self.low.min(number), self.high.max(number));
    }

    /// Adds a number once more, after all have been added.
    fn add_square(&mut self, number: f64) {
        self.squares += (number - self.mean()).powi(2);
    }

    fn mean(&self) -> f64 {
        self.sum / self.count.max(1) as f64
    }

    /// The deviation of the whole, not of a sample.
    fn deviation(&self) -> f64 {
        (self.squares / self.count.max(1) as f64).sqrt()
    }
}
