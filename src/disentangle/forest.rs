//! A forest of decision trees that says which columns of numbers tell about a class, and how well.
//!
//! Bagged classification trees (Breiman 1996, 2001) with the Gini impurity. Every column may make every split, so that a column
//! that tells nothing is not chosen for want of others. Numbers are cut into intervals that hold equally many examples, and
//! splits lie between these. Nothing depends on threads or on the order of sums: counts are whole numbers.

use crate::rng::{Philox, Stream};
use rand::RngExt;
use rayon::prelude::*;

/// Trees of a forest.
const TREES: u32 = 20;
/// Splits from the root to a leaf.
const DEPTH: usize = 10;
/// The fewest drawn examples in a leaf.
const LEAF: usize = 5;
/// Intervals of a column.
const INTERVALS: usize = 64;

/// Columns of numbers, cut into intervals.
pub struct Columns {
    /// The interval of each number, [columns, rows].
    bins: Vec<Vec<u8>>,
    rows: usize,
}

impl Columns {
    /// Cuts columns by the quantiles of their first `fitted` rows.
    pub fn new(columns: impl Iterator<Item = Vec<f32>>, fitted: usize) -> Self {
        let mut rows = 0;
        let cut = |column: Vec<f32>| {
            rows = column.len();
            let mut sorted = column[..fitted].to_vec();
            sorted.sort_by(f32::total_cmp);
            let mut edges: Vec<f32> = (1..INTERVALS).map(|i| sorted[i * fitted / INTERVALS]).collect();
            edges.dedup();
            column.iter().map(|number| edges.partition_point(|edge| edge <= number) as u8).collect()
        };
        let bins = columns.map(cut).collect();
        Self { bins, rows }
    }
}

/// What a forest found.
pub struct Found {
    /// The share of each column in the decrease of impurity; they add up to 1, or are all 0 where no split was made.
    pub importance: Vec<f64>,
    /// The share of held-out rows whose class it says.
    pub accuracy: f64,
}

/// Fits a forest to the classes of the first `fitted` rows and tests it on the others.
pub fn forest(columns: &Columns, classes: &[u32], count: usize, fitted: usize, seed: u64) -> Found {
    let trees: Vec<Tree> = (0..TREES)
        .into_par_iter()
        .map(|number| {
            let mut rng = Philox::new(seed, Stream::Choice, 0x7472_6565, number);
            let drawn = (0..fitted).map(|_| rng.random_range(0..fitted) as u32).collect();
            let mut tree = Tree { columns, classes, count, nodes: vec![], decrease: vec![0.0; columns.bins.len()] };
            tree.grow(drawn, DEPTH);
            tree
        })
        .collect();
    let mut importance = vec![0.0; columns.bins.len()];
    for tree in &trees {
        importance.iter_mut().zip(&tree.decrease).for_each(|(sum, decrease)| *sum += decrease);
    }
    let all: f64 = importance.iter().sum();
    importance.iter_mut().filter(|_| all > 0.0).for_each(|share| *share /= all);
    let right = (fitted..columns.rows).into_par_iter().filter(|&row| {
        let mut votes = vec![0.0; count];
        for tree in &trees {
            tree.vote(row, &mut votes);
        }
        let most = (0..count).rev().max_by(|&a, &b| votes[a].total_cmp(&votes[b]));
        most == Some(classes[row] as usize)
    });
    Found { importance, accuracy: right.count() as f64 / (columns.rows - fitted) as f64 }
}

enum Node {
    /// Rows whose interval is at most `at` go to the next node, others to `right`.
    Split { column: usize, at: u8, right: usize },
    /// The share of each class.
    Leaf(Vec<f64>),
}

struct Tree<'a> {
    columns: &'a Columns,
    classes: &'a [u32],
    count: usize,
    nodes: Vec<Node>,
    decrease: Vec<f64>,
}

/// The best split of a node: rows in intervals up to `at` of `column`, and by how much it makes the impurity smaller, in rows.
struct Split {
    column: usize,
    at: u8,
    decrease: f64,
}

impl Tree<'_> {
    /// Grows a node, and what is below it, from the rows that reach it.
    fn grow(&mut self, rows: Vec<u32>, depth: usize) {
        let mut counts = vec![0; self.count];
        for &row in &rows {
            counts[self.classes[row as usize] as usize] += 1;
        }
        let best = if depth == 0 { None } else { self.best(&rows, &counts) };
        let Some(Split { column, at, decrease }) = best else {
            let share = |count: usize| count as f64 / rows.len() as f64;
            self.nodes.push(Node::Leaf(counts.into_iter().map(share).collect()));
            return;
        };
        self.decrease[column] += decrease;
        let bins = &self.columns.bins[column];
        let (left, right): (Vec<u32>, Vec<u32>) = rows.into_iter().partition(|&row| bins[row as usize] <= at);
        let node = self.nodes.len();
        self.nodes.push(Node::Leaf(vec![]));
        self.grow(left, depth - 1);
        self.nodes[node] = Node::Split { column, at, right: self.nodes.len() };
        self.grow(right, depth - 1);
    }

    /// The split that makes the Gini impurity smallest. Of n rows, n times the impurity is n less the sum of the
    /// squared counts of classes over n.
    fn best(&self, rows: &[u32], counts: &[usize]) -> Option<Split> {
        let purity = |squares: u64, rows: usize| squares as f64 / rows as f64;
        let square = |count: usize| (count * count) as u64;
        let before = purity(counts.iter().map(|&count| square(count)).sum(), rows.len());
        let mut best: Option<Split> = None;
        let mut table = vec![0_u32; INTERVALS * self.count];
        for (column, bins) in self.columns.bins.iter().enumerate() {
            table.fill(0);
            for &row in rows {
                table[usize::from(bins[row as usize]) * self.count + self.classes[row as usize] as usize] += 1;
            }
            let (mut left, mut right) = (vec![0; self.count], counts.to_vec());
            let mut squares = [0, right.iter().map(|&count| square(count)).sum::<u64>()];
            let mut of_left = 0;
            for (at, interval) in table.chunks_exact(self.count).enumerate() {
                for (class, &moved) in interval.iter().enumerate().filter(|(_, moved)| **moved > 0) {
                    let moved = moved as usize;
                    squares[0] += square(left[class] + moved) - square(left[class]);
                    squares[1] -= square(right[class]) - square(right[class] - moved);
                    left[class] += moved;
                    right[class] -= moved;
                    of_left += moved;
                }
                if of_left < LEAF || rows.len() - of_left < LEAF {
                    continue;
                }
                let decrease = purity(squares[0], of_left) + purity(squares[1], rows.len() - of_left) - before;
                // What is less than rounding is no decrease.
                if decrease > best.as_ref().map_or(1e-9 * rows.len() as f64, |best| best.decrease) {
                    best = Some(Split { column, at: at as u8, decrease });
                }
            }
        }
        best
    }

    /// Adds the shares of the leaf that a row reaches.
    fn vote(&self, row: usize, votes: &mut [f64]) {
        let mut at = 0;
        loop {
            match &self.nodes[at] {
                Node::Split { column, at: edge, right } => {
                    at = if self.columns.bins[*column][row] <= *edge { at + 1 } else { *right };
                }
                Node::Leaf(shares) => {
                    votes.iter_mut().zip(shares).for_each(|(vote, share)| *vote += share);
                    return;
                }
            }
        }
    }
}
