//! What users may choose next: items in the order in which a model expects them, and how good that order is on items that were
//! held back.
//!
//! A user whom the model was not trained on is encoded by what is known of them (fold-in), and all items are ranked by the logits
//! of the decoder at the posterior's mean, those that are known already left out (Liang, Krishnan, Hoffman and Jebara 2018, arXiv
//! 1802.05814, section 4.2).

use crate::data::sparse::{Entry, Sparse};
use crate::data::{Dataset, Values};
use crate::error::{Error, Result};
use crate::model::tasks::EXPLAIN;
use crate::rng::{Philox, Stream};
use crate::session::{BATCH, Purpose, Session};
use rayon::prelude::*;

/// The share of a user's items that is held back.
pub const HELD: f64 = 0.2;

/// Users of whom some items are held back.
#[derive(Debug)]
pub struct Held {
    /// What a model is shown: each user without the items held back.
    pub shown: Dataset,
    /// The items held back of each user, rising; at least one.
    pub items: Vec<Vec<u32>>,
    /// Users with fewer than two items, of whom none can be held back.
    pub left_out: usize,
}

/// Holds back a fifth of the items of each of these users: of n items n·[`HELD`] rounded, but at least one, and all but one at
/// most. Which ones depends on the seed and the user's place in the source alone.
///
/// # Errors
/// [`Error::Usage`] where no user has two items; [`Error::Bug`] for data that are no interactions.
pub fn hold_back(data: &Dataset, users: &[u32], seed: u64) -> Result<Held> {
    let sparse = data.sparse().ok_or_else(|| Error::Bug("these are no interactions".into()))?;
    let (mut entries, mut kept, mut items) = (Vec::<Entry>::new(), Vec::new(), Vec::new());
    for &user in users {
        let own = sparse.row(user as usize);
        let count = own.items.len();
        if count < 2 {
            continue;
        }
        let back = ((count as f64 * HELD).round() as usize).clamp(1, count - 1);
        // The first of an order drawn anew (Fisher and Yates).
        let mut random = Philox::new(seed, Stream::Choice, data.row(user as usize) as u32, 1);
        let mut order: Vec<usize> = (0..count).collect();
        for place in 0..back {
            let other = place + (f64::from(random.uniform()) * (count - place) as f64) as usize;
            order.swap(place, other.min(count - 1));
        }
        let mut held: Vec<u32> = order[..back].iter().map(|&at| own.items[at]).collect();
        held.sort_unstable();
        let row = kept.len() as u32;
        entries.extend(order[back..].iter().map(|&at| (row, own.items[at], own.values[at])));
        kept.push(user);
        items.push(held);
    }
    if kept.is_empty() {
        return Err(Error::Usage(format!(
            "{}: no user of the part has two items, of which one could be held back",
            data.name
        )));
    }
    let shown = Sparse::new(kept.len(), sparse.width(), entries);
    let shown = shown.map_err(|_| Error::Bug("an item was there twice".into()))?;
    let left_out = users.len() - kept.len();
    Ok(Held { shown: of_users(data, &kept, shown), items, left_out })
}

/// A data set of some users of another, with these entries.
fn of_users(data: &Dataset, users: &[u32], entries: Sparse) -> Dataset {
    let rows = users.iter().map(|&user| data.row(user as usize) as u32).collect();
    let all = users.len();
    Dataset {
        name: data.name.clone(),
        values: Values::Sparse(entries),
        rows: Some(rows),
        train: 0..all,
        validation: all..all,
        test: all..all,
        ..data.clone_without_values()
    }
}

/// Items in the order in which a user is expected to choose them, and log p of each.
pub type Ranking = Vec<(u32, f32)>;

/// Ranks the items of users of a session's data, up to `most` of each, and hands them over with the number of the user, counted
/// from 0. What a user has already is left out; of two items that are as likely the one with the smaller number comes first.
///
/// # Errors
/// Those of the session, and of `each`.
pub fn rank(
    session: &mut Session,
    users: &[u32],
    most: usize,
    mut each: impl FnMut(usize, Ranking) -> Result<()>,
) -> Result<()> {
    let plan = session.plan(Purpose::task(EXPLAIN, BATCH))?;
    let width = session.model.output_width();
    for (number, part) in users.chunks(BATCH).enumerate() {
        session.set_order(part)?;
        let scalars = session.scalars(0, Stream::Evaluate, 0, part.len());
        session.run(plan, &[scalars])?;
        let logits = session.output("out", part.len(), width)?;
        let sparse = session.data()?.sparse().ok_or_else(|| Error::Bug("these are no interactions".into()))?;
        let rows = logits.par_chunks_exact(width).zip(part);
        let found: Vec<Ranking> = rows.map(|(row, &user)| top(row, sparse.row(user as usize).items, most)).collect();
        for (at, ranking) in found.into_iter().enumerate() {
            each(number * BATCH + at, ranking)?;
        }
    }
    Ok(())
}

/// The likeliest items of one user by the logits of all, without those in `known`, which rise.
pub fn top(logits: &[f32], known: &[u32], most: usize) -> Ranking {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|&logit| f64::from(logit - largest).exp()).sum();
    let total = f64::from(largest) + sum.ln();
    let before = |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b));
    let mut items: Vec<u32> = (0..logits.len() as u32).filter(|item| known.binary_search(item).is_err()).collect();
    if most < items.len() {
        items.select_nth_unstable_by(most, before);
        items.truncate(most);
    }
    items.sort_unstable_by(before);
    items.into_iter().map(|item| (item, (f64::from(logits[item as usize]) - total) as f32)).collect()
}

/// How good a ranking is among its first K items.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quality {
    /// The share of the items held back that are among the first K; of more than K items the share of K.
    pub recall: f64,
    /// Σ 1/log₂(place + 1) of those, over what it would be if the first places were theirs, as many as K allows.
    pub ndcg: f64,
}

/// How good a ranking is, for items held back, which rise.
pub fn quality(ranking: &[u32], held: &[u32], k: usize) -> Quality {
    let gain = |place: usize| 1.0 / (place as f64 + 2.0).log2();
    let hits = ranking.iter().take(k).enumerate().filter(|(_, item)| held.binary_search(item).is_ok());
    let places: Vec<usize> = hits.map(|(place, _)| place).collect();
    let ideal = held.len().min(k).max(1);
    Quality {
        recall: places.len() as f64 / ideal as f64,
        ndcg: places.iter().map(|&place| gain(place)).sum::<f64>() / (0..ideal).map(gain).sum::<f64>(),
    }
}

/// Means over users, and their standard errors.
#[derive(Debug, Clone, Copy)]
pub struct Means {
    /// K.
    pub at: usize,
    /// Recall@K and its standard error.
    pub recall: [f64; 2],
    /// NDCG@K and its standard error.
    pub ndcg: [f64; 2],
}

/// The means of rankings of users, for each K.
pub fn means(rankings: &[Vec<u32>], held: &[Vec<u32>], ks: &[usize]) -> Vec<Means> {
    let of = |at: usize| {
        let all: Vec<Quality> = rankings.iter().zip(held).map(|(ranking, held)| quality(ranking, held, at)).collect();
        let mean = |of: fn(&Quality) -> f64| {
            let count = all.len().max(1) as f64;
            let mean = all.iter().map(of).sum::<f64>() / count;
            let variance = all.iter().map(|quality| (of(quality) - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
            [mean, (variance / count).sqrt()]
        };
        Means { at, recall: mean(|quality| quality.recall), ndcg: mean(|quality| quality.ndcg) }
    };
    ks.iter().map(|&k| of(k)).collect()
}

/// How many users of the training part have each item, as if it were a logit.
///
/// # Errors
/// [`Error::Bug`] for data that are no interactions.
pub fn popularity(data: &Dataset) -> Result<Vec<f32>> {
    let sparse = data.sparse().ok_or_else(|| Error::Bug("these are no interactions".into()))?;
    let mut counts = vec![0.0; sparse.width()];
    for user in data.train.clone() {
        sparse.row(user).items.iter().for_each(|&item| counts[item as usize] += 1.0);
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recall_and_ndcg_are_those_worked_out_by_hand() {
        // Places 1 and 4 are hits, of three items held back.
        let (ranking, held) = ([7, 1, 2, 9, 3], [5, 7, 9]);
        let log2 = |x: f64| x.log2();
        let ideal = 1.0 + 1.0 / log2(3.0) + 1.0 / log2(4.0);
        for (k, recall, ndcg) in [
            (1, 1.0, 1.0),
            (2, 0.5, 1.0 / (1.0 + 1.0 / log2(3.0))),
            (3, 1.0 / 3.0, 1.0 / ideal),
            (5, 2.0 / 3.0, (1.0 + 1.0 / log2(5.0)) / ideal),
            (100, 2.0 / 3.0, (1.0 + 1.0 / log2(5.0)) / ideal),
        ] {
            let found = quality(&ranking, &held, k);
            assert!((found.recall - recall).abs() < 1e-12 && (found.ndcg - ndcg).abs() < 1e-12, "{k}: {found:?}");
        }
        assert_eq!(quality(&[], &held, 5), Quality { recall: 0.0, ndcg: 0.0 });
        let both = means(&[vec![5, 7, 9], vec![0]], &[held.to_vec(), held.to_vec()], &[3]);
        assert_eq!((both[0].recall, both[0].ndcg[0]), ([0.5, 0.5], 0.5));
    }

    #[test]
    fn the_likeliest_items_that_are_not_known_come_in_order_with_their_log_probabilities() {
        let logits = [0.0, 3.0, 1.0, 3.0, -1.0];
        let total = (1.0 + 2.0 * 3.0_f64.exp() + 1.0_f64.exp() + (-1.0_f64).exp()).ln();
        let found = top(&logits, &[1], 3);
        assert_eq!(found.iter().map(|&(item, _)| item).collect::<Vec<u32>>(), [3, 2, 0]);
        assert!((f64::from(found[1].1) - (1.0 - total)).abs() < 1e-6);
        // Those that are as likely come by their numbers, and there are no more than there are.
        assert_eq!(top(&logits, &[], 1)[0].0, 1);
        assert_eq!(top(&logits, &[0, 1, 2, 3], 10).len(), 1);
    }
}
