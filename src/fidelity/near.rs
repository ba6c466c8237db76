//! Whether new rows are copies of rows that were there, or nearly.

use super::{Scale, Table};
use rayon::prelude::*;
use serde::Serialize;

/// The share of rows that are called near to another although they are as far from the others as chance has it.
pub const SHARE: f64 = 0.05;

/// The most rows of which the distance to the nearest other one is looked at.
const MAX_PROBES: usize = 2000;

/// How near new rows are to rows that were there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Nearness {
    /// New rows that are the same as one that was there.
    pub copies: usize,
    /// New rows that are nearer to one than 95 % of those that were there are to their nearest other one; copies are among them.
    pub near: usize,
}

/// Compares new rows with `before`, of the same class; nothing where of these no row is without a missing cell. Distances are in
/// deviations of the columns of `all`: √ of the mean over columns of squared differences, 1 for levels that differ.
pub fn nearness(new: &Table, before: &Table, all: &Table) -> Option<Nearness> {
    let (before, scale) = (before.complete(), Scale::of(all));
    let width = before.levels.len();
    let rows: Vec<&[f64]> = before.cells.chunks_exact(width.max(1)).collect();
    if rows.is_empty() {
        return None;
    }
    // Spread evenly, so that sorted rows show all of their kinds.
    let count = rows.len().min(MAX_PROBES);
    let probes: Vec<usize> = (0..count).map(|at| at * rows.len() / count).collect();
    let mut apart: Vec<f64> = probes
        .par_iter()
        .map(|&own| {
            let others = rows.iter().enumerate().filter(|(at, _)| *at != own).map(|(_, row)| *row);
            nearest(rows[own], others, &before.levels, &scale)
        })
        .collect();
    apart.sort_by(f64::total_cmp);
    let threshold = apart[(SHARE * count as f64) as usize];
    // Of a single row nothing is known of how far others are.
    let threshold = if rows.len() > 1 { threshold } else { 0.0 };
    let found: Vec<f64> = new
        .cells
        .par_chunks_exact(width)
        .map(|row| nearest(row, rows.iter().copied(), &before.levels, &scale))
        .collect();
    let copies = found.iter().filter(|&&square| square == 0.0).count();
    let near = found.iter().filter(|&&square| square == 0.0 || square < threshold).count();
    Some(Nearness { copies, near })
}

/// The sum of squared differences to the nearest of some rows.
fn nearest<'a>(row: &[f64], others: impl Iterator<Item = &'a [f64]>, levels: &[usize], scale: &Scale) -> f64 {
    /// Columns after which a row that is too far already is given up.
    const LOOKED_AT: usize = 16;
    let mut best = f64::INFINITY;
    for other in others {
        let mut sum = 0.0;
        for begin in (0..row.len()).step_by(LOOKED_AT) {
            for at in begin..row.len().min(begin + LOOKED_AT) {
                sum += match levels[at] {
                    0 => ((row[at] - other[at]) / scale.0[at][1]).powi(2),
                    _ => f64::from(u8::from(row[at] != other[at])),
                };
            }
            if sum >= best {
                break;
            }
        }
        best = best.min(sum);
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Philox, Stream};

    fn table(rows: usize, seed: u64) -> Table {
        let mut random = Philox::new(seed, Stream::Choice, 0, 0);
        let cells =
            (0..rows).flat_map(|row| [f64::from(random.normal()), (row % 3) as f64, f64::from(random.normal())]);
        let cells = cells.collect();
        Table { levels: vec![0, 3, 0], cells }
    }

    #[test]
    fn copies_and_rows_nearer_than_chance_has_it_are_counted() {
        let before = table(400, 1);
        let found = |new: &Table| nearness(new, &before, &before).unwrap();
        // Rows of the same distribution: one in twenty is as near.
        let fresh = found(&table(400, 2));
        assert!(fresh.copies == 0 && (8..40).contains(&fresh.near), "{fresh:?}");
        assert_eq!(found(&before), Nearness { copies: 400, near: 400 });
        let mut moved = before.clone();
        moved.cells.iter_mut().step_by(3).for_each(|cell| *cell += 1e-4);
        assert_eq!(found(&moved), Nearness { copies: 0, near: 400 });
        // Another level is far.
        moved.cells.iter_mut().skip(1).step_by(3).for_each(|cell| *cell = (*cell + 1.0) % 3.0);
        assert!(found(&moved).near < 40);
        let mut far = before.clone();
        far.cells.iter_mut().step_by(3).for_each(|cell| *cell += 100.0);
        assert_eq!(found(&far), Nearness { copies: 0, near: 0 });
    }

    #[test]
    fn of_one_row_only_copies_are_near_and_of_none_without_holes_nothing_is_known() {
        let one = Table { levels: vec![0, 2], cells: vec![1.0, 0.0] };
        let new = Table { levels: vec![0, 2], cells: vec![1.0, 0.0, 1.0 + 1e-9, 0.0] };
        assert_eq!(nearness(&new, &one, &one), Some(Nearness { copies: 1, near: 1 }));
        let holes = Table { levels: vec![0, 2], cells: vec![f64::NAN, 0.0] };
        assert_eq!(nearness(&new, &holes, &holes), None);
    }
}
