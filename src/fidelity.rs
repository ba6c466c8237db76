//! How drawn rows differ from those that a model was trained on: column by column, pair by pair, by their nearest neighbours,
//! and by a classifier that is to tell them apart. Beside each figure stands that of held-out rows, which differ from training
//! rows by chance alone.

pub mod near;

use crate::disentangle::forest::{Columns, forest};
use crate::rng::{Philox, Stream};
use rand::seq::SliceRandom;
use rayon::prelude::*;
use serde::Serialize;

/// Parts of the rows that a classifier is tested on in turn.
const FOLDS: usize = 5;

/// The most places of a row whose correlations are looked at.
const MAX_PLACES: usize = 1000;

/// Rows of cells: a number, or the place of a level; NaN where it is missing.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Levels of each column; 0 for numbers.
    pub levels: Vec<usize>,
    /// Row-major.
    pub cells: Vec<f64>,
}

/// What is compared.
#[derive(Debug, Clone, Copy)]
pub struct Compared<'a> {
    /// Rows from the model.
    pub drawn: &'a Table,
    /// Rows that it was trained on.
    pub train: &'a Table,
    /// Rows that it never saw; none where there are none.
    pub held_out: Option<&'a Table>,
}

/// Of drawn rows, and of held-out rows in their place.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Beside {
    /// Of drawn rows.
    pub drawn: f64,
    /// Of held-out rows.
    pub held_out: Option<f64>,
}

/// How drawn rows differ from real ones.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fidelity {
    /// Of each column the distance of its distribution from that of the training rows: of numbers Kolmogorov and Smirnov's, the
    /// largest difference of the distribution functions; of levels the total variation, half the sum of differences.
    pub marginals: Vec<Beside>,
    /// The mean absolute difference of correlations (Pearson's, a 1 among zeros for a level) from those of the training rows, over
    /// pairs of places in different columns.
    pub correlations: Option<Beside>,
    /// The largest.
    pub largest_correlation: Option<Beside>,
    /// The share of rows that are the same as a training row. Of training and held-out rows those without a missing cell are
    /// looked at; nothing where there are none.
    pub copies: Option<Beside>,
    /// The median distance to the nearest of these training rows, in deviations of the training rows: √ of the mean over columns
    /// of squared differences, 1 for levels that differ.
    pub nearest: Option<Beside>,
    /// How often a classifier tells drawn from real rows, of as many each; ½ is chance.
    pub classifier: Classifier,
}

/// A classifier two-sample test (Lopez-Paz and Oquab 2017, arXiv 1610.06545): a forest of trees, cross validation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Classifier {
    /// The share of held-out rows that it tells rightly.
    pub accuracy: f64,
    /// The standard error of that share if nothing could be told: ½/√n.
    pub standard_error: f64,
    /// Rows of each kind.
    pub rows: usize,
    /// Whether the real rows are held-out ones; training rows where there are none.
    pub held_out: bool,
}

impl Table {
    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.cells.len() / self.levels.len().max(1)
    }

    fn column(&self, at: usize) -> impl Iterator<Item = f64> + '_ {
        self.cells.iter().skip(at).step_by(self.levels.len()).copied()
    }

    /// The same rows without the cells that are missing from those of `other`, row by row and again from its first: what is
    /// missing is no difference then.
    #[must_use]
    pub fn missing_as(&self, other: &Self) -> Self {
        let masks = other.cells.iter().cycle();
        let cells = self.cells.iter().zip(masks).map(|(&cell, mask)| if mask.is_nan() { f64::NAN } else { cell });
        Self { levels: self.levels.clone(), cells: cells.collect() }
    }

    /// The rows of which no cell is missing.
    fn complete(&self) -> Self {
        let rows =
            self.cells.chunks_exact(self.levels.len().max(1)).filter(|row| !row.iter().any(|cell| cell.is_nan()));
        Self { levels: self.levels.clone(), cells: rows.flatten().copied().collect() }
    }

    /// Places of a row: one for a number, one for each level.
    fn places(&self) -> usize {
        self.levels.iter().map(|&levels| levels.max(1)).sum()
    }
}

/// Compares drawn rows with real ones. All tables have the same columns, and a row at least.
pub fn compare(of: Compared, seed: u64) -> Fidelity {
    let Compared { drawn, train, held_out } = of;
    // In the place of held-out rows: with their missing cells.
    let drawn = &drawn.missing_as(held_out.unwrap_or(train));
    let beside = |figure: &dyn Fn(&Table) -> f64| Beside { drawn: figure(drawn), held_out: held_out.map(figure) };
    let marginals = (0..train.levels.len()).map(|at| beside(&|table| marginal(table, train, at))).collect();
    let correlations = (train.places() <= MAX_PLACES).then(|| {
        let real = Correlations::of(train);
        let differences = |table: &Table| Correlations::of(table).differences(&real);
        let (drawn, held_out) = (differences(drawn), held_out.map(differences));
        [0, 1].map(|at| Beside { drawn: drawn[at], held_out: held_out.map(|both| both[at]) })
    });
    let [copies, nearest] = neighbours(of);
    Fidelity {
        marginals,
        correlations: correlations.map(|[mean, _]| mean),
        largest_correlation: correlations.map(|[_, largest]| largest),
        copies,
        nearest,
        classifier: told_apart(drawn, held_out.unwrap_or(train), held_out.is_some(), seed),
    }
}

/// The distance of the distributions of a column in two tables.
fn marginal(a: &Table, b: &Table, at: usize) -> f64 {
    let there = |table: &Table| table.column(at).filter(|cell| !cell.is_nan()).collect::<Vec<f64>>();
    let [mut a_cells, mut b_cells] = [there(a), there(b)];
    if a_cells.is_empty() || b_cells.is_empty() {
        return if a_cells.is_empty() == b_cells.is_empty() { 0.0 } else { 1.0 };
    }
    if a.levels[at] > 0 {
        let share = |cells: &[f64], level: usize| {
            cells.iter().filter(|&&cell| cell == level as f64).count() as f64 / cells.len() as f64
        };
        return 0.5 * (0..a.levels[at]).map(|l| (share(&a_cells, l) - share(&b_cells, l)).abs()).sum::<f64>();
    }
    a_cells.sort_by(f64::total_cmp);
    b_cells.sort_by(f64::total_cmp);
    let below = |cells: &[f64], x: f64| cells.partition_point(|&cell| cell <= x) as f64 / cells.len() as f64;
    let differ = |&x: &f64| (below(&a_cells, x) - below(&b_cells, x)).abs();
    a_cells.iter().chain(&b_cells).map(differ).fold(0.0, f64::max)
}

/// Mean and deviation of each column of numbers.
struct Scale(Vec<[f64; 2]>);

impl Scale {
    fn of(table: &Table) -> Self {
        let moments = |at: usize| {
            let there = || table.column(at).filter(|cell| !cell.is_nan());
            let count = there().count().max(1) as f64;
            let mean = there().sum::<f64>() / count;
            let deviation = (there().map(|cell| (cell - mean).powi(2)).sum::<f64>() / count).sqrt();
            [mean, if deviation > 0.0 { deviation } else { 1.0 }]
        };
        Self((0..table.levels.len()).map(moments).collect())
    }
}

/// The correlation of every place with every other.
struct Correlations {
    /// The column of each place.
    columns: Vec<usize>,
    /// Places × places.
    all: Vec<f64>,
}

impl Correlations {
    /// What is missing counts as the mean.
    fn of(table: &Table) -> Self {
        let mut columns = Vec::new();
        let mut places: Vec<Vec<f64>> = Vec::new();
        for (at, &levels) in table.levels.iter().enumerate() {
            for level in 0..levels.max(1) {
                let value = |cell: f64| {
                    if levels > 0 && !cell.is_nan() { f64::from(u8::from(cell == level as f64)) } else { cell }
                };
                places.push(standardised(table.column(at).map(value).collect()));
                columns.push(at);
            }
        }
        let correlation = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let all = places.par_iter().flat_map_iter(|a| places.iter().map(|b| correlation(a, b))).collect();
        Self { columns, all }
    }

    /// The mean and the largest absolute difference over pairs of different columns.
    fn differences(&self, other: &Self) -> [f64; 2] {
        let count = self.columns.len();
        let pairs = (0..count).flat_map(|a| (0..a).map(move |b| (a, b)));
        let apart = pairs.filter(|&(a, b)| self.columns[a] != self.columns[b]);
        let differences: Vec<f64> =
            apart.map(|(a, b)| (self.all[a * count + b] - other.all[a * count + b]).abs()).collect();
        let mean = differences.iter().sum::<f64>() / differences.len().max(1) as f64;
        [mean, differences.iter().copied().fold(0.0, f64::max)]
    }
}

/// With mean 0 and length 1; 0 where a value is missing or none differs.
fn standardised(mut values: Vec<f64>) -> Vec<f64> {
    let there = values.iter().filter(|value| !value.is_nan()).count().max(1) as f64;
    let mean = values.iter().filter(|value| !value.is_nan()).sum::<f64>() / there;
    for value in &mut values {
        *value = if value.is_nan() { 0.0 } else { *value - mean };
    }
    let length = values.iter().map(|value| value * value).sum::<f64>().sqrt();
    values.iter_mut().filter(|_| length > 0.0).for_each(|value| *value /= length);
    values
}

/// Copies among rows, and how far they are from their neighbours among the training rows.
fn neighbours(of: Compared) -> [Option<Beside>; 2] {
    let (train, held_out) = (of.train.complete(), of.held_out.map(Table::complete));
    if train.cells.is_empty() {
        return [None; 2];
    }
    let scale = Scale::of(of.train);
    let drawn = nearest(of.drawn, &train, &scale);
    let held_out = held_out.filter(|held_out| !held_out.cells.is_empty());
    let held_out = held_out.map(|held_out| nearest(&held_out, &train, &scale));
    let copies = |found: &[f64]| found.iter().filter(|&&distance| distance == 0.0).count() as f64 / found.len() as f64;
    let copies = Beside { drawn: copies(&drawn), held_out: held_out.as_deref().map(copies) };
    [Some(copies), Some(Beside { drawn: median(drawn), held_out: held_out.map(median) })]
}

/// The distance of each row to the nearest training row; no cell is missing.
fn nearest(table: &Table, train: &Table, scale: &Scale) -> Vec<f64> {
    let width = table.levels.len();
    let distance = |a: &[f64], b: &[f64]| {
        let square = |(at, (&a, &b)): (usize, (&f64, &f64))| match table.levels[at] {
            0 => ((a - b) / scale.0[at][1]).powi(2),
            _ => f64::from(u8::from(a != b)),
        };
        (a.iter().zip(b).enumerate().map(square).sum::<f64>() / width as f64).sqrt()
    };
    let of =
        |row: &[f64]| train.cells.chunks_exact(width).map(|other| distance(row, other)).fold(f64::INFINITY, f64::min);
    table.cells.par_chunks_exact(width).map(of).collect()
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

/// How often drawn rows and as many real ones are told apart.
fn told_apart(drawn: &Table, real: &Table, held_out: bool, seed: u64) -> Classifier {
    let width = drawn.levels.len();
    let rows = drawn.rows().min(real.rows());
    let mut order: Vec<usize> = (0..2 * rows).collect();
    order.shuffle(&mut Philox::new(seed, Stream::Choice, 0x6332_7374, 0));
    // A row of either has its class by its place: drawn ones come first.
    let cell = |row: usize, at: usize| match row {
        _ if row < rows => drawn.cells[row * width + at],
        _ => real.cells[(row - rows) * width + at],
    };
    let mut right = 0.0;
    let (mut tested, size) = (0, (2 * rows).div_ceil(FOLDS).max(1));
    for fold in order.chunks(size) {
        // Those that are tested stand behind the others.
        let others = order.iter().filter(|row| !fold.contains(row));
        let placed: Vec<usize> = others.chain(fold).copied().collect();
        let fitted = placed.len() - fold.len();
        if fitted == 0 {
            continue;
        }
        let columns =
            Columns::new((0..width).map(|at| placed.iter().map(|&row| cell(row, at) as f32).collect()), fitted);
        let classes: Vec<u32> = placed.iter().map(|&row| u32::from(row < rows)).collect();
        right += forest(&columns, &classes, 2, fitted, seed).accuracy * fold.len() as f64;
        tested += fold.len();
    }
    let count = tested.max(1) as f64;
    Classifier { accuracy: right / count, standard_error: 0.5 / count.sqrt(), rows, held_out }
}

#[cfg(test)]
mod tests;
