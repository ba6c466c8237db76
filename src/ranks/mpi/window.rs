//! Memory that all ranks of a machine see: a window of MPI, into which each puts what it has, and where the others read it.
//!
//! There are two areas, which are used in turn. So ranks meet once an exchange: who fills an area again has met all others since they
//! looked at it.
#![expect(unsafe_code, reason = "a window of MPI is raw memory; bounds and turns are kept here, once")]

use super::super::Hand;
use crate::error::{Error, Result};
use ::mpi::ffi;
use ::mpi::raw::AsRaw;
use ::mpi::topology::SimpleCommunicator;
use std::ffi::{c_int, c_void};
use std::fmt::{self, Debug};
use std::sync::{Mutex, PoisonError};

/// The memory of the ranks of one machine.
pub struct Window {
    among: SimpleCommunicator,
    ranks: usize,
    rank: usize,
    state: Mutex<State>,
}

/// What is there as yet.
enum State {
    /// Nothing was exchanged.
    Untouched,
    Made(Areas),
    /// There is no memory to be had.
    Refused,
}

/// Both areas of all ranks.
struct Areas {
    window: ffi::MPI_Win,
    /// Where the memory of each rank begins.
    begins: Vec<*mut u32>,
    /// Words of an area of a rank.
    words: usize,
    /// Which area is the next, 0 or 1.
    next: usize,
}

// SAFETY: communicator and memory belong to the process, not to a thread; whoever has the areas holds their lock, and MPI is called
// by the thread that trains alone.
unsafe impl Send for Window {}
// SAFETY: as above.
unsafe impl Sync for Window {}

impl Debug for Window {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        to.debug_struct("Window").field("rank", &self.rank).field("ranks", &self.ranks).finish_non_exhaustive()
    }
}

impl Window {
    /// For the ranks of a communicator that are all on one machine. Memory is taken when it is first asked for.
    pub fn new(among: SimpleCommunicator, rank: usize, ranks: usize) -> Self {
        Self { among, ranks, rank, state: Mutex::new(State::Untouched) }
    }

    /// The ranks of the machine.
    pub fn among(&self) -> &SimpleCommunicator {
        &self.among
    }

    /// Lets this rank fill so many words, and look at those of all once all have. Everybody calls it with as many words.
    /// `meet` waits until all ranks have come to it. Gives false where there is no memory, on all ranks.
    ///
    /// # Errors
    /// Those of `meet` and `hand`.
    pub fn exchange(
        &self,
        words: usize,
        meet: &dyn Fn(&SimpleCommunicator),
        agree: &dyn Fn(bool) -> Result<bool>,
        hand: &mut dyn FnMut(Hand) -> Result<()>,
    ) -> Result<bool> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_enough = match &*state {
            State::Refused => return Ok(false),
            State::Made(areas) => areas.words >= words,
            State::Untouched => false,
        };
        if !is_enough {
            // What follows waits for all without asking whether they are there.
            meet(&self.among);
            if let State::Made(areas) = std::mem::replace(&mut *state, State::Refused) {
                areas.free();
            }
            let made = self.make(words);
            if agree(made.is_ok())? {
                *state = State::Made(made?);
            } else {
                made.into_iter().for_each(Areas::free);
                return Ok(false);
            }
        }
        let State::Made(areas) = &mut *state else { return Err(Error::Bug("a window is there or is not".into())) };
        let area = areas.next;
        areas.next = 1 - area;
        // SAFETY: of this rank's memory, `words` of `areas.words` in either area; no rank looks at this area between its last
        // exchange, which all have left when they meet for the one after it, and the meeting below.
        hand(Hand::Fill(unsafe { std::slice::from_raw_parts_mut(areas.begin(self.rank, area), words) }))?;
        areas.settle();
        meet(&self.among);
        areas.settle();
        // SAFETY: as much of the memory of each rank; all have filled theirs, and fill this area no sooner than all have met again.
        let all: Vec<&[u32]> =
            (0..self.ranks).map(|rank| unsafe { std::slice::from_raw_parts(areas.begin(rank, area), words) }).collect();
        hand(Hand::Look(&all))?;
        Ok(true)
    }

    /// Takes memory for two areas of so many words.
    fn make(&self, words: usize) -> Result<Areas> {
        let complain = || Error::Device("MPI has no memory that the ranks of a machine could share".into());
        let bytes = 2 * 4 * words;
        let mut base = std::ptr::null_mut::<c_void>();
        // SAFETY: a constant of the library of MPI.
        let mut made = unsafe { ffi::RSMPI_WIN_NULL };
        // SAFETY: all ranks of the communicator call this, with places for what comes back; a failure comes back too.
        let code = unsafe {
            ffi::MPI_Comm_set_errhandler(self.among.as_raw(), ffi::RSMPI_ERRORS_RETURN);
            ffi::MPI_Win_allocate_shared(
                bytes as ffi::MPI_Aint,
                4,
                ffi::RSMPI_INFO_NULL,
                self.among.as_raw(),
                (&raw mut base).cast(),
                &raw mut made,
            )
        };
        if code != ffi::MPI_SUCCESS as c_int {
            return Err(complain());
        }
        let window = made;
        let mut begins = Vec::with_capacity(self.ranks);
        for rank in 0..self.ranks {
            let (mut size, mut unit, mut begin) = (0, 0, std::ptr::null_mut::<c_void>());
            // SAFETY: the window is one of shared memory; what comes back has a place.
            let code = unsafe {
                ffi::MPI_Win_shared_query(window, rank as c_int, &raw mut size, &raw mut unit, (&raw mut begin).cast())
            };
            let aligned = begin.cast::<u32>().is_aligned();
            if code != ffi::MPI_SUCCESS as c_int || (size as usize) < bytes || begin.is_null() || !aligned {
                return Err(complain());
            }
            begins.push(begin.cast());
        }
        // SAFETY: an epoch in which memory may be settled, for as long as the window is there.
        unsafe { ffi::MPI_Win_lock_all(ffi::MPI_MODE_NOCHECK as c_int, window) };
        Ok(Areas { window, begins, words, next: 0 })
    }

    /// Gives the memory back, once all ranks have come to their end.
    pub fn free(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Made(areas) = std::mem::replace(&mut *state, State::Refused) {
            areas.free();
        }
    }
}

impl Areas {
    /// Where an area of a rank begins.
    fn begin(&self, rank: usize, area: usize) -> *mut u32 {
        // SAFETY: each rank has two areas behind each other.
        unsafe { self.begins[rank].add(area * self.words) }
    }

    /// Makes what was written visible to others, and what they wrote to this rank.
    fn settle(&self) {
        // SAFETY: the window is there, and its epoch is open.
        unsafe { ffi::MPI_Win_sync(self.window) };
    }

    /// Gives the memory back; all ranks do so.
    fn free(mut self) {
        // SAFETY: the window is there, and nobody looks at its memory after this.
        unsafe {
            ffi::MPI_Win_unlock_all(self.window);
            ffi::MPI_Win_free(&raw mut self.window);
        }
    }
}
