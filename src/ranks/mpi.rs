//! Ranks that are processes, started together by `mpirun`, `mpiexec` or `srun`, by way of the `mpi` crate.
//!
//! Every exchange is begun and then asked after, so that a rank that waits for one that has gone can say so. Those on its own
//! machine it sees by their process numbers; those elsewhere are the launcher's affair, which ends all when one has ended.

mod window;

use super::{Hand, Ranks, Transport};
use crate::error::{Error, Result};
use ::mpi::Threading;
use ::mpi::environment::{Universe, initialize_with_threading, processor_name};
use ::mpi::request::{Request, Scope, scope};
use ::mpi::topology::SimpleCommunicator;
use ::mpi::traits::{Communicator, CommunicatorCollectives, Root};
use std::sync::Arc;
use std::time::{Duration, Instant};
use window::Window;

/// How long a rank that failed waits for the others to end likewise, before it ends them: on a busy machine they may be slow to find
/// what it has found.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a rank that has said why it ends then waits, so that the launcher has passed that on: it ends all ranks as soon as one
/// has ended with an error, and what it has not read by then is lost.
const SAID: Duration = Duration::from_millis(200);

/// How often a rank that waits looks whether others are still there.
const LOOK: Duration = Duration::from_millis(50);

/// How long a rank that waits stays awake: words come on only while it asks after them. Longer waits are for a save.
const AWAKE: Duration = Duration::from_millis(100);

/// Bytes that are handed over at a time: counts of MPI have 31 bits.
const HANDED: usize = 1 << 26;

/// Words of what ranks tell each other when they end: the exit code, then the beginning of a text.
const WORDS: usize = 128;

/// This process among those that were started with it.
pub struct World {
    /// On which only the end is exchanged, whatever else is under way.
    farewell: SimpleCommunicator,
    carrier: Carrier,
    /// Ends MPI for this process when it goes, after all that belongs to it.
    _universe: Universe,
}

/// A rank that panics would wait for the others at the end of MPI, and they for it: it ends them.
impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.farewell.abort(101);
        }
    }
}

/// What a rank ends with: its exit code, and what it has to say.
pub type Ending = (u8, String);

impl World {
    /// Meets the others. What is to be said where one of them is missed goes to `lost`, which ends the process.
    ///
    /// # Errors
    /// [`Error::Device`] where MPI does not begin.
    pub fn join(lost: fn(&str) -> !) -> Result<Self> {
        let begun = initialize_with_threading(Threading::Funneled);
        let (universe, _) = begun.ok_or_else(|| Error::Device("MPI was initialised already".into()))?;
        let world = universe.world();
        let (rank, count) = (world.rank() as usize, world.size() as usize);
        let among = world.split_shared(rank as i32);
        let mut beside = vec![0; among.size() as usize];
        among.all_gather_into(&(rank as u32), &mut beside[..]);
        let beside: Vec<usize> = beside.into_iter().map(|rank| rank as usize).collect();
        let own = beside.iter().position(|&other| other == rank).unwrap_or(0);
        let window = Arc::new(Window::new(among, own, beside.len()));
        let mut carrier = Carrier { rank, count, place: (0, 1), neighbours: vec![], beside, window, lost };
        let farewell = world.duplicate();
        let alone = Ranks::new(carrier.clone());
        let machines = alone.texts(&machine())?;
        let processes: Vec<u32> = alone.gather(&[std::process::id()])?.into_iter().flatten().collect();
        let here: Vec<usize> = (0..count).filter(|&other| machines[other] == machines[rank]).collect();
        carrier.place = (here.iter().filter(|&&other| other < rank).count(), here.len());
        carrier.neighbours =
            here.into_iter().filter(|&other| other != rank).map(|other| (other, processes[other])).collect();
        Ok(Self { farewell, carrier, _universe: universe })
    }

    /// The ranks.
    pub fn ranks(&self) -> Ranks {
        Ranks::new(self.carrier.clone())
    }

    /// Ends together with the others, and gives what each ends with. All of them go through `say`, which gets the same and tells whether it
    /// said something, before one of them ends, or for five seconds. A rank that failed while the others go on ends them: `alone` is called
    /// before.
    pub fn end(self, (code, text): Ending, alone: impl FnOnce(), say: impl FnOnce(&[Ending]) -> bool) -> Vec<Ending> {
        let mut own = vec![u32::from(code)];
        own.extend(text.bytes().map(u32::from).chain(std::iter::repeat(0)).take(WORDS - 1));
        let mut all = vec![0; WORDS * self.carrier.count];
        scope(|scope| {
            let request = self.farewell.immediate_all_gather_into(scope, &own[..], &mut all[..]);
            self.part(code, request, alone);
        });
        let read = |words: &[u32]| {
            let bytes: Vec<u8> = words[1..].iter().map(|&byte| byte as u8).take_while(|&byte| byte != 0).collect();
            (words[0] as u8, String::from_utf8_lossy(&bytes).into_owned())
        };
        let all: Vec<Ending> = all.chunks_exact(WORDS).map(read).collect();
        if say(&all) {
            std::thread::sleep(SAID);
        }
        self.part(code, self.farewell.immediate_barrier(), || ());
        self.carrier.window.free();
        all
    }

    /// Waits for the others at the end, but not for ever where this rank failed.
    fn part<'a, D: ?Sized, S: Scope<'a>>(&self, code: u8, mut request: Request<'a, D, S>, alone: impl FnOnce()) {
        let begun = Instant::now();
        let mut looked = begun;
        while let Err(same) = request.test() {
            request = same;
            if code != 0 && begun.elapsed() > PATIENCE {
                alone();
                std::thread::sleep(SAID);
                self.farewell.abort(code.into());
            }
            std::thread::sleep(Duration::from_millis(1));
            // Who failed says that, whatever the others do.
            if code == 0 && looked.elapsed() > LOOK {
                looked = Instant::now();
                self.carrier.look("all of them end together");
            }
        }
    }
}

/// The machine that this process is on, as far as process numbers go.
fn machine() -> String {
    let numbers = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("{} {}", processor_name().unwrap_or_default(), numbers.display())
}

/// The exchanges.
#[derive(Debug, Clone)]
struct Carrier {
    rank: usize,
    count: usize,
    place: (usize, usize),
    /// The other ranks on this machine, and their processes.
    neighbours: Vec<(usize, u32)>,
    /// The ranks that share memory with this one, itself included.
    beside: Vec<usize>,
    /// That memory, which is used where it is that of all ranks.
    window: Arc<Window>,
    lost: fn(&str) -> !,
}

impl Carrier {
    fn wait<'a, D: ?Sized, S: Scope<'a>>(&self, mut request: Request<'a, D, S>) {
        let begun = Instant::now();
        let mut looked = begun;
        while let Err(same) = request.test() {
            request = same;
            if begun.elapsed() < AWAKE {
                std::thread::yield_now();
                continue;
            }
            std::thread::sleep(Duration::from_micros(100));
            if looked.elapsed() > LOOK {
                looked = Instant::now();
                self.look(&format!("a step takes all {} ranks", self.count));
            }
        }
    }

    /// Ends this process where another one of its machine has gone.
    fn look(&self, why: &str) {
        if let Some((rank, process)) = self.neighbours.iter().find(|(_, process)| is_gone(*process)) {
            (self.lost)(&format!(
                "rank {rank} (process {process}) has ended, and {why}; go on from the last checkpoint with --resume"
            ));
        }
    }
}

/// Whether a process of this machine has ended.
fn is_gone(process: u32) -> bool {
    #[cfg(unix)]
    {
        use nix::errno::Errno;
        use nix::sys::signal::kill;
        use nix::unistd::Pid;
        kill(Pid::from_raw(process as i32), None) == Err(Errno::ESRCH)
    }
    #[cfg(not(unix))]
    {
        let _ = process;
        false
    }
}

impl Transport for Carrier {
    fn rank(&self) -> usize {
        self.rank
    }

    fn count(&self) -> usize {
        self.count
    }

    fn place(&self) -> (usize, usize) {
        self.place
    }

    fn beside(&self) -> Vec<usize> {
        self.beside.clone()
    }

    fn hand_over(&self, bytes: &mut [u8]) -> Result<()> {
        let first = self.window.among().process_at_rank(0);
        for part in bytes.chunks_mut(HANDED) {
            scope(|scope| self.wait(first.immediate_broadcast_into(scope, part)));
        }
        Ok(())
    }

    fn scatter(&self, blocks: &[u32], theirs: &mut [u32]) -> Result<()> {
        let world = SimpleCommunicator::world();
        scope(|scope| self.wait(world.immediate_all_to_all_into(scope, blocks, theirs)));
        Ok(())
    }

    fn gather(&self, words: &[u32], all: &mut [u32]) -> Result<()> {
        let world = SimpleCommunicator::world();
        scope(|scope| self.wait(world.immediate_all_gather_into(scope, words, all)));
        Ok(())
    }

    fn shares_memory(&self) -> bool {
        self.beside.len() == self.count
    }

    fn in_memory(&self, words: usize, hand: &mut dyn FnMut(Hand) -> Result<()>) -> Result<bool> {
        // All or none: where one rank is elsewhere, each has fewer than all beside it.
        if !self.shares_memory() {
            return Ok(false);
        }
        let meet = |among: &SimpleCommunicator| self.wait(among.immediate_barrier());
        let agree = |made: bool| {
            let mut all = vec![0; self.count];
            self.gather(&[u32::from(made)], &mut all)?;
            Ok(!all.contains(&0))
        };
        self.window.exchange(words, &meet, &agree, hand)
    }
}
