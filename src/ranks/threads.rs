//! Ranks that are threads of one process.

use super::{Hand, Ranks, Transport};
use crate::error::{Error, Result};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Ranks for as many threads. A thread that drops its own leaves, and the others are told at their next call.
pub fn threads(count: usize) -> Vec<Ranks> {
    seats(count, true)
}

/// The same, but as if they were on several machines, with no memory in common.
pub fn threads_apart(count: usize) -> Vec<Ranks> {
    seats(count, false)
}

fn seats(count: usize, beside: bool) -> Vec<Ranks> {
    let table = Arc::new(Table { state: Mutex::new(State::default()), changed: Condvar::new() });
    (0..count).map(|rank| Ranks::new(Seat { rank, count, beside, table: Arc::clone(&table) })).collect()
}

/// A rank's place at the table.
#[derive(Debug)]
struct Seat {
    rank: usize,
    count: usize,
    /// Whether it looks at what others put down.
    beside: bool,
    table: Arc<Table>,
}

/// Where ranks put down what they have for each other.
#[derive(Debug)]
struct Table {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// What each rank has put down in this round.
    given: Vec<Option<Arc<Vec<u32>>>>,
    /// How many have taken it.
    taken: usize,
    /// The rounds that are over.
    round: u64,
    /// The first rank that has left.
    gone: Option<usize>,
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// What all ranks put down in this round.
    fn meet(&self, words: &[u32]) -> Result<Vec<Arc<Vec<u32>>>> {
        let mut state = self.table.lock();
        if state.given.is_empty() {
            state.given = vec![None; self.count];
        }
        let round = state.round;
        state.given[self.rank] = Some(Arc::new(words.to_vec()));
        self.table.changed.notify_all();
        while state.given.iter().any(Option::is_none) {
            if let Some(gone) = state.gone {
                return Err(Error::Device(format!("rank {gone} has ended, and a step takes all ranks")));
            }
            state = self.table.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let all = state.given.iter().flatten().cloned().collect();
        state.taken += 1;
        if state.taken == self.count {
            (state.given, state.taken, state.round) = (vec![None; self.count], 0, round + 1);
            self.table.changed.notify_all();
        }
        // Nobody begins the next round before all have taken what is there.
        while state.round == round {
            state = self.table.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(all)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.table.lock().gone.get_or_insert(self.rank);
        self.table.changed.notify_all();
    }
}

impl Transport for Seat {
    fn rank(&self) -> usize {
        self.rank
    }

    fn count(&self) -> usize {
        self.count
    }

    fn beside(&self) -> Vec<usize> {
        if self.beside { (0..self.count).collect() } else { vec![self.rank] }
    }

    fn hand_over(&self, bytes: &mut [u8]) -> Result<()> {
        if !self.beside {
            return Ok(());
        }
        let mut words = vec![0_u32; if self.rank == 0 { bytes.len().div_ceil(4) } else { 0 }];
        if self.rank == 0 {
            bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(bytes);
        }
        let all = self.meet(&words)?;
        bytes.copy_from_slice(&bytemuck::cast_slice(&all[0])[..bytes.len()]);
        Ok(())
    }

    fn scatter(&self, blocks: &[u32], theirs: &mut [u32]) -> Result<()> {
        let words = blocks.len() / self.count;
        let all = self.meet(blocks)?;
        for (block, other) in theirs.chunks_exact_mut(words.max(1)).zip(&all) {
            block.copy_from_slice(&other[self.rank * words..(self.rank + 1) * words]);
        }
        Ok(())
    }

    fn gather(&self, words: &[u32], all: &mut [u32]) -> Result<()> {
        let given = self.meet(words)?;
        for (part, other) in all.chunks_exact_mut(words.len().max(1)).zip(&given) {
            part.copy_from_slice(other);
        }
        Ok(())
    }

    fn shares_memory(&self) -> bool {
        self.beside
    }

    fn in_memory(&self, words: usize, hand: &mut dyn FnMut(Hand) -> Result<()>) -> Result<bool> {
        if self.beside {
            let mut own = vec![0; words];
            hand(Hand::Fill(&mut own))?;
            let all = self.meet(&own)?;
            hand(Hand::Look(&all.iter().map(|words| &words[..]).collect::<Vec<_>>()))?;
        }
        Ok(self.beside)
    }
}
