//! Examples that stay in files, read before they are wanted: a thread goes through the order of an epoch ahead of what trains, a block
//! of positions at a time, and waits where one block is done and not yet taken.

use super::Session;
use crate::data::Values;
use crate::data::batches::MIXED;
use crate::error::{Error, Result};
use std::ops::Range;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, sync_channel};

/// Bytes of a block where no shards ask for more.
const BLOCK: usize = 1 << 23;

/// What is read ahead for one member.
#[derive(Debug)]
pub(super) struct ReadAhead {
    coming: Mutex<Receiver<Result<Block>>>,
    current: Block,
    words: usize,
}

/// The examples at some positions of the order, as a device stores them.
#[derive(Debug, Default)]
struct Block {
    /// Positions that follow each other, in ascending order.
    positions: Vec<Range<usize>>,
    words: Vec<u32>,
}

impl Block {
    /// Where the example of a position stands among those of the block, and how many follow it without a gap, itself included.
    fn find(&self, position: usize) -> Option<(usize, usize)> {
        let mut before = 0;
        for range in &self.positions {
            if range.contains(&position) {
                return Some((before + position - range.start, range.end - position));
            }
            before += range.len();
        }
        None
    }
}

impl ReadAhead {
    /// The examples from position `wanted.start` on as far as they have been read together, at least one, if they are those that
    /// come next.
    ///
    /// # Errors
    /// [`Error::Data`] where they cannot be read from their file.
    pub fn take(&mut self, wanted: Range<usize>) -> Result<Option<&[u32]>> {
        if self.current.find(wanted.start).is_none() {
            let coming = self.coming.get_mut().map_err(|_| Error::Bug("whoever reads ahead has panicked".into()))?;
            // Nothing comes behind the last one.
            let Ok(next) = coming.recv() else { return Ok(None) };
            self.current = next?;
        }
        let Some((at, following)) = self.current.find(wanted.start) else { return Ok(None) };
        let count = following.min(wanted.len());
        Ok(Some(&self.current.words[at * self.words..(at + count) * self.words]))
    }
}

impl Session {
    /// Begins to read what a member trains on next, where examples are not in memory: those at some positions of its order, ranges
    /// in ascending order. Whatever else is wanted meanwhile is read when it is.
    ///
    /// # Errors
    /// [`Error::Device`] where no thread can be started for it.
    pub fn read_ahead(&mut self, member: usize, positions: impl Iterator<Item = Range<usize>>) -> Result<()> {
        let Some(data) = self.data.as_ref().filter(|data| matches!(data.values, Values::Disk(_))) else {
            return Ok(());
        };
        if self.resident.window == 0 || self.window.orders.len() != self.member_count() {
            return Ok(());
        }
        let (values, extents) = (data.values.clone(), (data.width(), data.stored_words()));
        let size = match self.config.data.shard {
            0 => (BLOCK / (4 * extents.1).max(1)).max(1),
            // All of what is shuffled together, so that it is read in one go.
            shard => MIXED * shard,
        };
        let order = self.window.orders[member].clone();
        let blocks = blocks(positions, size);
        let (done, coming) = sync_channel(1);
        let read = move || {
            for positions in blocks {
                let examples: Vec<u32> = positions.iter().flat_map(|range| &order[range.clone()]).copied().collect();
                let words = values.stored(extents, &examples);
                let failed = words.is_err();
                if done.send(words.map(|words| Block { positions, words })).is_err() || failed {
                    return;
                }
            }
        };
        let started = std::thread::Builder::new().name("read-ahead".into()).spawn(read);
        started.map_err(|why| Error::Device(format!("cannot start a thread that reads examples: {why}")))?;
        let ahead = ReadAhead { coming: Mutex::new(coming), current: Block::default(), words: extents.1 };
        self.window.ahead[member] = Some(ahead);
        Ok(())
    }
}

/// Cuts positions into blocks that end where their number is a multiple of `size`; neighbours become one range.
fn blocks(positions: impl Iterator<Item = Range<usize>>, size: usize) -> Vec<Vec<Range<usize>>> {
    let mut all: Vec<Vec<Range<usize>>> = Vec::new();
    for mut range in positions {
        while !range.is_empty() {
            let end = range.end.min((range.start / size + 1) * size);
            let part = range.start..end;
            let same =
                |block: &Vec<Range<usize>>| block.last().is_some_and(|last| last.start / size == part.start / size);
            match all.last_mut().filter(|block| same(block)) {
                Some(block) => match block.last_mut().filter(|last| last.end == part.start) {
                    Some(last) => last.end = end,
                    None => block.push(part),
                },
                None => all.push(vec![part]),
            }
            range.start = end;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::single_range_in_vec_init, reason = "a block may be one range")]
    fn blocks_end_at_multiples_and_join_neighbours() {
        let joined: [&[Range<usize>]; 3] = [&[3..9], &[11..20], &[20..30]];
        assert_eq!(blocks([3..5, 5..9, 9..9, 11..12, 12..30].into_iter(), 10), joined);
        let of_a_rank: [&[Range<usize>]; 3] = [&[0..2, 4..6], &[8..10], &[12..14]];
        assert_eq!(blocks([0..2, 4..6, 8..10, 12..14].into_iter(), 6), of_a_rank);
    }
}
