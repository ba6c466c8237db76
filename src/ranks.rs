//! Processes that train one model together, its ranks: each takes its part of every batch, and gradients are added up over all.
//!
//! What they can do with each other is a [`Transport`]: two exchanges, from which sums and agreements are made here. Sums have one
//! order, that of the ranks, so a run repeats to the bit whatever the network does. `mpi` (the cargo feature of that name) carries
//! words between processes, [`threads`] between threads of one, for tests and for programs that have the library within them.

#[cfg(feature = "mpi")]
pub mod mpi;
mod threads;

use crate::error::{Error, Result};
use std::fmt::Debug;
use std::sync::Arc;

pub use threads::threads;

/// What launchers of MPI tell the processes that they start.
const TOLD: [&str; 4] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK", "MPI_LOCALNRANKS"];

/// Whether a launcher of MPI (`mpirun`, `mpiexec`, `srun`) started this process.
pub fn were_launched() -> bool {
    TOLD.iter().any(|name| std::env::var_os(name).is_some())
}

/// How many processes a launcher started, where it says so.
pub fn launched() -> Option<usize> {
    TOLD[..2].iter().find_map(|name| std::env::var(name).ok()?.parse().ok())
}

/// What carries words between ranks. Every rank makes the same calls in the same order.
pub trait Transport: Debug + Send + Sync {
    /// The number of this rank, from 0.
    fn rank(&self) -> usize;

    /// How many ranks there are.
    fn count(&self) -> usize;

    /// The number of this rank among those on its machine, and how many these are.
    fn place(&self) -> (usize, usize) {
        (0, 1)
    }

    /// Of blocks of one length, as many as there are ranks, gives the one in place r to rank r; what all ranks had for this one, in
    /// their order, comes to `theirs`, which is as long.
    ///
    /// # Errors
    /// [`Error::Device`] where another rank has gone.
    fn scatter(&self, blocks: &[u32], theirs: &mut [u32]) -> Result<()>;

    /// The words of all ranks, equally many of each, in their order come to `all`.
    ///
    /// # Errors
    /// As [`Transport::scatter`].
    fn gather(&self, words: &[u32], all: &mut [u32]) -> Result<()>;
}

/// The processes that train a model together; usually it is one alone.
#[derive(Debug, Clone, Default)]
pub struct Ranks(Option<Arc<dyn Transport>>);

impl Ranks {
    /// Those that a transport reaches.
    pub fn new(transport: impl Transport + 'static) -> Self {
        Self(Some(Arc::new(transport)))
    }

    /// The number of this one, from 0.
    pub fn rank(&self) -> usize {
        self.0.as_ref().map_or(0, |transport| transport.rank())
    }

    /// How many there are, 1 at least.
    pub fn count(&self) -> usize {
        self.0.as_ref().map_or(1, |transport| transport.count())
    }

    /// The number of this one among those on its machine, and how many these are.
    pub fn place(&self) -> (usize, usize) {
        self.0.as_ref().map_or((0, 1), |transport| transport.place())
    }

    /// Whether this is the one that writes and prints.
    pub fn is_first(&self) -> bool {
        self.rank() == 0
    }

    /// Whether there are others.
    pub fn are_several(&self) -> bool {
        self.count() > 1
    }

    /// Adds values up over all ranks, in their order: each adds a share of the places, and gives it to all. So every rank has the
    /// same bits, which depend on the values alone, and sends 2·(N − 1)/N times the values. `spare` is room for what comes.
    ///
    /// # Errors
    /// Those of [`Transport::scatter`].
    pub fn sum(&self, values: &mut Vec<f32>, spare: &mut Vec<f32>) -> Result<()> {
        if !self.are_several() || values.is_empty() {
            return Ok(());
        }
        let words = values.len();
        let total = self.sum_share(values, spare)?;
        self.gather_shares(total, values)?;
        values.truncate(words);
        Ok(())
    }

    /// The first half of that: the sum of this rank's share of the places, which begins at the number of the rank times [`Ranks::share`].
    /// Makes `values` as long as all shares.
    ///
    /// # Errors
    /// Those of [`Transport::scatter`].
    pub fn sum_share<'a>(&self, values: &mut Vec<f32>, spare: &'a mut Vec<f32>) -> Result<&'a [f32]> {
        let share = self.share(values.len());
        values.resize(self.count() * share, 0.0);
        spare.resize(values.len(), 0.0);
        match &self.0 {
            Some(transport) => transport.scatter(bytemuck::cast_slice(values), bytemuck::cast_slice_mut(spare))?,
            None => spare.copy_from_slice(values),
        }
        let (total, others) = spare.split_at_mut(share);
        for other in others.chunks_exact(share.max(1)) {
            total.iter_mut().zip(other).for_each(|(sum, more)| *sum += more);
        }
        Ok(total)
    }

    /// The second half: `values`, which is as long as all shares, becomes those of all ranks.
    ///
    /// # Errors
    /// Those of [`Transport::gather`].
    pub fn gather_shares(&self, own: &[f32], values: &mut [f32]) -> Result<()> {
        if let Some(transport) = &self.0 {
            return transport.gather(bytemuck::cast_slice(own), bytemuck::cast_slice_mut(values));
        }
        values.copy_from_slice(own);
        Ok(())
    }

    /// Gives all ranks the words that rank 0 has.
    ///
    /// # Errors
    /// Those of [`Transport::scatter`].
    pub fn take_from_first(&self, words: &mut [u32]) -> Result<()> {
        let Some(transport) = self.0.as_ref().filter(|_| self.are_several() && !words.is_empty()) else {
            return Ok(());
        };
        let share = self.share(words.len());
        let mut blocks = words.to_vec();
        blocks.resize(transport.count() * share, 0);
        let mut theirs = blocks.clone();
        transport.scatter(&blocks, &mut theirs)?;
        transport.gather(&theirs[..share], &mut blocks)?;
        words.copy_from_slice(&blocks[..words.len()]);
        Ok(())
    }

    /// Places of so many values that each rank adds up. Shares begin where devices can bind a part of a buffer, at multiples of 64
    /// words.
    pub fn share(&self, values: usize) -> usize {
        values.div_ceil(self.count()).next_multiple_of(64)
    }

    /// Bytes that a rank sends to others when so many values are added up.
    pub fn bytes_of_sum(&self, values: usize) -> usize {
        2 * 4 * (self.count() - 1) * self.share(values)
    }

    /// The words of each rank, equally many.
    ///
    /// # Errors
    /// Those of [`Transport::gather`].
    pub fn gather(&self, words: &[u32]) -> Result<Vec<Vec<u32>>> {
        let mut all = words.repeat(self.count());
        if let Some(transport) = &self.0 {
            transport.gather(words, &mut all)?;
        }
        let words = words.len();
        Ok((0..self.count()).map(|rank| all[rank * words..(rank + 1) * words].to_vec()).collect())
    }

    /// Adds a few numbers up over all ranks, in their order.
    ///
    /// # Errors
    /// Those of [`Transport::gather`].
    pub fn sum_f64(&self, values: &[f64]) -> Result<Vec<f64>> {
        if !self.are_several() {
            return Ok(values.to_vec());
        }
        let words: Vec<u32> = values.iter().map(|value| value.to_bits()).flat_map(halves).collect();
        let mut sums = vec![0.0; values.len()];
        for theirs in self.gather(&words)? {
            let numbers = theirs.chunks_exact(2).map(|word| f64::from_bits(whole(word)));
            sums.iter_mut().zip(numbers).for_each(|(sum, more)| *sum += more);
        }
        Ok(sums)
    }

    /// The largest of a number over all ranks.
    ///
    /// # Errors
    /// Those of [`Transport::gather`].
    pub fn largest(&self, value: u32) -> Result<u32> {
        Ok(self.gather(&[value])?.into_iter().flatten().max().unwrap_or(value))
    }

    /// A number as rank 0 knows it.
    ///
    /// # Errors
    /// Those of [`Transport::gather`].
    pub fn of_first(&self, value: u64) -> Result<u64> {
        Ok(whole(&self.gather(&halves(value))?[0]))
    }

    /// The text of each rank.
    ///
    /// # Errors
    /// Those of [`Transport::gather`].
    pub fn texts(&self, text: &str) -> Result<Vec<String>> {
        if !self.are_several() {
            return Ok(vec![text.to_owned()]);
        }
        let lengths = self.gather(&[text.len() as u32])?;
        let longest = lengths.iter().flatten().copied().max().unwrap_or_default() as usize;
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize(longest.next_multiple_of(4), 0);
        let words: Vec<u32> =
            bytes.chunks_exact(4).map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect();
        let read = |(words, length): (Vec<u32>, &Vec<u32>)| {
            let bytes: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).take(length[0] as usize).collect();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Ok(self.gather(&words)?.into_iter().zip(&lengths).map(read).collect())
    }

    /// What something came to that rank 0 alone does: the others, who give anything, get what it gives.
    ///
    /// # Errors
    /// That of rank 0; those of [`Transport::gather`].
    pub fn outcome_of_first(&self, outcome: Result<String>) -> Result<String> {
        if !self.are_several() {
            return outcome;
        }
        let (code, text) = match &outcome {
            Ok(text) => (0, text.clone()),
            Err(error) => (u32::from(error.exit_code()), error.to_string()),
        };
        let code = self.gather(&[code])?[0][0];
        let text = self.texts(if self.is_first() { &text } else { "" })?.swap_remove(0);
        if self.is_first() {
            return outcome;
        }
        match code {
            0 => Ok(text),
            code => Err(Error::of_code(code, text)),
        }
    }

    /// Compares what ranks have to have in common, each a name and a text, before any of them begins.
    ///
    /// # Errors
    /// [`Error::Usage`] that names the first rank and the first thing in which it differs from rank 0, the same on all ranks; those of
    /// [`Transport::gather`].
    pub fn agree(&self, facts: &[(String, String)]) -> Result<()> {
        let own: Vec<String> = facts.iter().map(|(name, text)| format!("{name}\u{1f}{text}")).collect();
        let all = self.texts(&own.join("\u{1e}"))?;
        let read = |text: &str| -> Vec<(String, String)> {
            let pairs = text.split('\u{1e}').filter_map(|fact| fact.split_once('\u{1f}'));
            pairs.map(|(name, text)| (name.to_owned(), text.to_owned())).collect()
        };
        let first = read(&all[0]);
        for (rank, theirs) in all.iter().enumerate().skip(1) {
            let theirs = read(theirs);
            let of = |facts: &[(String, String)], name: &str| {
                facts.iter().find(|(other, _)| other == name).map_or("nothing".to_owned(), |(_, text)| text.clone())
            };
            let names = first.iter().chain(&theirs).map(|(name, _)| name);
            let differs = |name: &&String| of(&first, name) != of(&theirs, name);
            if let Some(name) = names.into_iter().find(differs) {
                return Err(Error::Usage(format!(
                    "rank {rank} has another {name} than rank 0: {} and {}; start every rank with the same program, settings and \
                     data",
                    of(&theirs, name),
                    of(&first, name)
                )));
            }
        }
        Ok(())
    }
}

fn halves(value: u64) -> [u32; 2] {
    [value as u32, (value >> 32) as u32]
}

fn whole(words: &[u32]) -> u64 {
    u64::from(words[0]) | u64::from(words[1]) << 32
}

#[cfg(test)]
mod tests;
