//! The order of examples: a function of seed and epoch alone, so that a resumed run meets the same batches.

use std::ops::Range;

use rand::seq::SliceRandom;

use crate::rng::{Philox, Stream};

/// The examples of `range` in the order in which epoch `epoch` of a run with this seed visits them, each exactly once.
///
/// The order for a seed and an epoch is part of what a checkpoint relies on and does not change between versions.
pub fn order(range: Range<usize>, seed: u64, epoch: u32) -> Vec<u32> {
    let mut order: Vec<u32> = range.map(|example| example as u32).collect();
    order.shuffle(&mut Philox::new(seed, Stream::Order, epoch, 0));
    order
}

/// Shards whose examples are shuffled together.
pub const MIXED: usize = 16;

/// The examples of `range` in an order in which a disk reads long stretches, each exactly once. In the order of the source, which
/// `row` tells, so many of them are a shard (the last may be smaller). The shards are shuffled, and of each [`MIXED`] that then
/// follow each other the examples. A function of seed and epoch, which does not change between versions.
pub fn order_of_shards(
    range: Range<usize>,
    row: impl Fn(usize) -> usize,
    shard: usize,
    seed: u64,
    epoch: u32,
) -> Vec<u32> {
    let mut rows: Vec<u32> = range.map(|example| example as u32).collect();
    rows.sort_unstable_by_key(|&example| row(example as usize));
    let mut shards: Vec<&[u32]> = rows.chunks(shard.max(1)).collect();
    let mut random = Philox::new(seed, Stream::Order, epoch, 2);
    shards.shuffle(&mut random);
    let mut order = Vec::with_capacity(rows.len());
    for mixed in shards.chunks(MIXED) {
        let from = order.len();
        for shard in mixed {
            order.extend_from_slice(shard);
        }
        order[from..].shuffle(&mut random);
    }
    order
}

/// A portion of an order: the places `first..first + rows`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// The place of the first example in the order.
    pub first: usize,
    /// Number of examples; fewer than the batch size in the last portion where the size does not divide the whole.
    pub rows: usize,
}

/// Cuts `examples` places into portions of `batch`; the last may be partial. A batch size of 0 counts as 1.
pub fn batches(examples: usize, batch: usize) -> impl Iterator<Item = Batch> {
    let batch = batch.max(1);
    (0..examples).step_by(batch).map(move |first| Batch { first, rows: batch.min(examples - first) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_visits_every_example_exactly_once() {
        for (range, batch) in [(0..1, 1), (0..10, 10), (3..20, 4), (100..1101, 128), (5..5, 3), (0..7, 1000)] {
            let order = order(range.clone(), 7, 2);
            let mut visited: Vec<u32> =
                batches(order.len(), batch).flat_map(|b| order[b.first..b.first + b.rows].to_vec()).collect();
            assert_eq!(visited, order, "{range:?} in batches of {batch}");
            visited.sort_unstable();
            assert!(visited.iter().map(|&i| i as usize).eq(range.clone()), "{range:?} in batches of {batch}");
        }
    }

    #[test]
    fn only_the_last_batch_is_partial() {
        let rows = |examples, batch| batches(examples, batch).map(|b| b.rows).collect::<Vec<_>>();
        assert_eq!(rows(10, 4), [4, 4, 2]);
        assert_eq!(rows(8, 4), [4, 4]);
        assert_eq!(rows(3, 4), [3]);
        assert_eq!(rows(0, 4), [0; 0]);
        assert_eq!(rows(2, 0), [1, 1]);
    }

    #[test]
    fn seeds_and_epochs_have_orders_of_their_own() {
        let first = order(0..1000, 1, 0);
        assert_eq!(first, order(0..1000, 1, 0));
        for (seed, epoch) in [(1, 1), (2, 0), (1 << 32 | 1, 0)] {
            assert_ne!(first, order(0..1000, seed, epoch), "seed {seed}, epoch {epoch}");
        }
    }

    #[test]
    fn shards_are_rows_that_follow_each_other_and_are_mixed_a_few_at_a_time() {
        // The source has the examples the other way round.
        let (count, shard) = (1000, 7);
        let order = order_of_shards(3..count, |example| count - example, shard, 5, 1);
        let mut visited = order.clone();
        visited.sort_unstable();
        assert!(visited.iter().map(|&example| example as usize).eq(3..count));
        let shard_of = |&example: &u32| (count - 1 - example as usize) / shard;
        let groups: Vec<Vec<usize>> = order
            .chunks(MIXED * shard)
            .map(|group| {
                let mut shards: Vec<usize> = group.iter().map(shard_of).collect();
                assert!(!shards.is_sorted(), "they are mixed");
                shards.sort_unstable();
                shards.dedup();
                shards
            })
            .collect();
        // The shard that is smaller shifts what follows it by the four rows that it lacks, which may be of as many shards.
        assert!(groups.iter().all(|shards| shards.len() <= MIXED + 4), "{groups:?}");
        assert!(groups[0].windows(2).any(|pair| pair[1] != pair[0] + 1), "they come from everywhere: {:?}", groups[0]);
        for (seed, epoch) in [(6, 1), (5, 2)] {
            assert_ne!(order, order_of_shards(3..count, |example| count - example, shard, seed, epoch));
        }
        assert_eq!(order_of_shards(0..20, |row| row, 20, 1, 0).len(), 20);
        assert_eq!(order_of_shards(0..0, |row| row, 3, 1, 0), [0; 0]);
    }

    #[test]
    fn the_order_of_shards_never_changes() {
        let first = [21520, 17290, 19947, 35947, 26034, 45418, 34345, 40974];
        assert_eq!(order_of_shards(0..60_000, |row| row, 100, 1, 0)[..8], first);
    }

    /// Resuming a run under a newer version relies on this: a failure means that old checkpoints would go on with
    /// other batches than they were made with.
    #[test]
    fn the_order_of_a_seed_never_changes() {
        for (seed, epoch, prefix) in [
            (1, 0, [55112, 23043, 15705, 39737, 17161, 31786, 45121, 1684]),
            (1, 1, [44341, 1175, 37635, 3831, 39676, 19390, 48324, 24741]),
            (0xdead_beef_0000_0007, 3, [49452, 1697, 3605, 55181, 27116, 27956, 11857, 20125]),
        ] {
            assert_eq!(order(0..60_000, seed, epoch)[..8], prefix, "seed {seed}, epoch {epoch}");
        }
    }
}
