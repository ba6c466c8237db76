//! Processes that train one model together, its ranks: each takes its part of every batch, and gradients are added up over all.
//!
//! What they can do with each other is a [`Transport`]: two exchanges, and memory where they have some in common, from which sums and
//! agreements are made here. Sums have one order, that of the ranks, so a run repeats to the bit whatever the network does. `mpi` (the
//! cargo feature of that name) carries words between processes, [`threads`] between threads of one, for tests and for programs that
//! have the library within them.

#[cfg(feature = "mpi")]
pub mod mpi;
mod threads;

use crate::error::{Error, Result};
use std::fmt::Debug;
use std::sync::Arc;

pub use threads::{threads, threads_apart};

/// What launchers of MPI tell the processes that they start.
const TOLD: [&str; 4] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK", "MPI_LOCALNRANKS"];

/// Whether a launcher of MPI (`mpirun`, `mpiexec`, `srun`) started this process.
pub fn were_launched() -> bool {
    TOLD.iter().any(|name| std::env::var_os(name).is_some())
}

/// How many processes a launcher started, where it says so.
pub fn launched() -> Option<usize> {
    launched_of(&|name| std::env::var(name).ok())
}

/// The same by what variables of the environment say. `PMIx` has a rank for each process and no count; Slurm, which starts processes
/// by it, says how many tasks a step has.
fn launched_of(variable: &dyn Fn(&str) -> Option<String>) -> Option<usize> {
    let number = |name: &str| variable(name)?.parse().ok();
    let of_step = || variable("PMIX_RANK").and_then(|_| number("SLURM_STEP_NUM_TASKS"));
    TOLD[..2].iter().find_map(|name| number(name)).or_else(of_step)
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

    /// The ranks that share the memory of this one's machine, itself included, in ascending order.
    fn beside(&self) -> Vec<usize> {
        vec![self.rank()]
    }

    /// Gives the ranks beside each other the bytes that the first of them has; all have room for as many.
    ///
    /// # Errors
    /// As [`Transport::scatter`].
    fn hand_over(&self, bytes: &mut [u8]) -> Result<()> {
        let _ = bytes;
        Ok(())
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

    /// Whether all ranks see memory of each other.
    fn shares_memory(&self) -> bool {
        false
    }

    /// Lets each rank fill so many words that all can see and then, once all have, look at those of all. Gives false, and does
    /// nothing, where they have no memory in common. What a rank does not fill is what it happens to be.
    ///
    /// # Errors
    /// As [`Transport::scatter`], and those of `hand`.
    fn in_memory(&self, words: usize, hand: &mut dyn FnMut(Hand) -> Result<()>) -> Result<bool> {
        let _ = (words, hand);
        Ok(false)
    }
}

/// What a rank is asked to do with memory that all see.
#[derive(Debug)]
pub enum Hand<'a> {
    /// To fill its own.
    Fill(&'a mut [u32]),
    /// To look at that of all ranks, in their order.
    Look(&'a [&'a [u32]]),
}

/// What a rank is asked for in an exchange of blocks of floats.
#[derive(Debug)]
pub enum Turn<'a> {
    /// To put down what it has for the rank of this number. What it leaves as it is has no meaning.
    Give(usize, &'a mut [f32]),
    /// To take what ranks have put down, in their order.
    Take(&'a [&'a [f32]]),
}

/// Room for what is exchanged by messages.
#[derive(Debug, Default)]
pub struct Room {
    given: Vec<f32>,
    come: Vec<f32>,
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

    /// The ranks that share the memory of this one's machine, itself included, in ascending order.
    pub fn beside(&self) -> Vec<usize> {
        self.0.as_ref().map_or_else(|| vec![0], |transport| transport.beside())
    }

    /// Gives the ranks beside each other the bytes that the first of them has; all have room for as many.
    ///
    /// # Errors
    /// Those of [`Transport::scatter`].
    pub fn hand_over(&self, bytes: &mut [u8]) -> Result<()> {
        self.0.as_ref().map_or(Ok(()), |transport| transport.hand_over(bytes))
    }

    /// Gives the ranks beside each other the text that the first of them has.
    ///
    /// # Errors
    /// Those of [`Transport::scatter`].
    pub fn hand_over_text(&self, text: &str) -> Result<String> {
        let mut length = (text.len() as u64).to_le_bytes();
        self.hand_over(&mut length)?;
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize(u64::from_le_bytes(length) as usize, 0);
        self.hand_over(&mut bytes)?;
        String::from_utf8(bytes).map_err(|_| Error::Bug("what was handed over is no text".into()))
    }

    /// Whether this is the one that writes and prints.
    pub fn is_first(&self) -> bool {
        self.rank() == 0
    }

    /// Whether there are others.
    pub fn are_several(&self) -> bool {
        self.count() > 1
    }

    /// Whether they see memory of each other.
    pub fn share_memory(&self) -> bool {
        self.0.as_ref().is_some_and(|transport| transport.shares_memory())
    }

    /// Adds values up over all ranks, in their order: each adds a share of the places, and gives it to all. So every rank has the
    /// same bits, which depend on the values alone, and sends 2·(N − 1)/N times the values.
    ///
    /// # Errors
    /// Those of [`Transport::scatter`].
    pub fn sum(&self, values: &mut [f32], room: &mut Room) -> Result<()> {
        if !self.are_several() || values.is_empty() {
            return Ok(());
        }
        let (rank, share, all) = (self.rank(), self.share(values.len()), values.len());
        let part = |rank: usize| (rank * share).min(all)..((rank + 1) * share).min(all);
        self.scatter(share, room, &mut |turn| {
            match turn {
                Turn::Give(other, block) => fill(block, &values[part(other)]),
                Turn::Take(blocks) => add_in_order(rank, blocks, 0, &mut values[part(rank)]),
            }
            Ok(())
        })?;
        self.gather_floats(share, room, &mut |turn| {
            match turn {
                Turn::Give(_, block) => fill(block, &values[part(rank)]),
                Turn::Take(blocks) => {
                    for (other, block) in blocks.iter().enumerate().filter(|(other, _)| *other != rank) {
                        let own = &mut values[part(other)];
                        own.copy_from_slice(&block[..own.len()]);
                    }
                }
            }
            Ok(())
        })
    }

    /// Every rank gives each of the others a block of so many floats, and takes those that the others have for it. Its own block
    /// among these has no meaning.
    ///
    /// # Errors
    /// Those of [`Transport::scatter`] and of `deal`.
    pub fn scatter(&self, block: usize, room: &mut Room, deal: &mut dyn FnMut(Turn) -> Result<()>) -> Result<()> {
        let Some(transport) = &self.0 else { return deal(Turn::Take(&[&[]])) };
        let (own, all) = (self.rank(), self.count() * block);
        let give = |words: &mut [f32], deal: &mut dyn FnMut(Turn) -> Result<()>| {
            let mut blocks = words.chunks_exact_mut(block.max(1)).enumerate().filter(|(rank, _)| *rank != own);
            blocks.try_for_each(|(rank, block)| deal(Turn::Give(rank, block)))
        };
        let shared = transport.in_memory(all, &mut |hand| match hand {
            Hand::Fill(words) => give(bytemuck::cast_slice_mut(words), deal),
            Hand::Look(of_ranks) => {
                let here = own * block..(own + 1) * block;
                let blocks: Vec<&[f32]> =
                    of_ranks.iter().map(|words| bytemuck::cast_slice(&words[here.clone()])).collect();
                deal(Turn::Take(&blocks))
            }
        })?;
        if shared {
            return Ok(());
        }
        room.given.resize(all, 0.0);
        room.come.resize(all, 0.0);
        give(&mut room.given, deal)?;
        transport.scatter(bytemuck::cast_slice(&room.given), bytemuck::cast_slice_mut(&mut room.come))?;
        deal(Turn::Take(&room.come.chunks_exact(block.max(1)).collect::<Vec<_>>()))
    }

    /// Every rank gives a block of so many floats, and takes those of all.
    ///
    /// # Errors
    /// Those of [`Transport::gather`] and of `deal`.
    pub fn gather_floats(&self, block: usize, room: &mut Room, deal: &mut dyn FnMut(Turn) -> Result<()>) -> Result<()> {
        let own = self.rank();
        let shared = match &self.0 {
            None => false,
            Some(transport) => transport.in_memory(block, &mut |hand| match hand {
                Hand::Fill(words) => deal(Turn::Give(own, bytemuck::cast_slice_mut(words))),
                Hand::Look(of_ranks) => {
                    let blocks: Vec<&[f32]> = of_ranks.iter().map(|words| bytemuck::cast_slice(words)).collect();
                    deal(Turn::Take(&blocks))
                }
            })?,
        };
        if shared {
            return Ok(());
        }
        room.given.resize(block, 0.0);
        deal(Turn::Give(own, &mut room.given))?;
        let Some(transport) = &self.0 else { return deal(Turn::Take(&[&room.given])) };
        room.come.resize(self.count() * block, 0.0);
        transport.gather(bytemuck::cast_slice(&room.given), bytemuck::cast_slice_mut(&mut room.come))?;
        deal(Turn::Take(&room.come.chunks_exact(block.max(1)).collect::<Vec<_>>()))
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

/// Floats that are added up at a time, of which a copy is kept meanwhile: few enough for the nearest cache.
const ADDED: usize = 1024;

/// Makes `own`, which are values of this rank, the sums of those of all ranks in their order. Those of the others lie in their
/// blocks from place `at` on; what lies in the block of this rank is not looked at.
pub fn add_in_order(rank: usize, blocks: &[&[f32]], at: usize, own: &mut [f32]) {
    let mut kept = [0.0; ADDED];
    for (number, sums) in own.chunks_mut(ADDED).enumerate() {
        let (kept, from, count) = (&mut kept[..sums.len()], at + number * ADDED, sums.len());
        kept.copy_from_slice(sums);
        let of = |other: usize| if other == rank { &*kept } else { &blocks[other][from..from + count] };
        sums.copy_from_slice(of(0));
        for other in 1..blocks.len() {
            sums.iter_mut().zip(of(other)).for_each(|(sum, more)| *sum += more);
        }
    }
}

/// Puts values at the beginning of a block.
fn fill(block: &mut [f32], values: &[f32]) {
    block[..values.len()].copy_from_slice(values);
}

fn halves(value: u64) -> [u32; 2] {
    [value as u32, (value >> 32) as u32]
}

fn whole(words: &[u32]) -> u64 {
    u64::from(words[0]) | u64::from(words[1]) << 32
}

#[cfg(test)]
mod tests;
