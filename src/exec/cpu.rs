//! The CPU engine: walks a plan with the kernels' CPU functions, several threads side by side.
//!
//! Threads meet as rarely as possible. [`segments`] cuts a plan into stretches in which every thread can follow its own
//! part of the batch (or of a parameter) through many steps without waiting for the others, because nothing that one
//! thread writes is read by another. A training step needs two meetings, before and after the gradients of the weights.
//! How the work is divided does not change a bit of the result: every element is computed by the same operations in the
//! same order. So it may be divided by how fast the threads are ([`load_balance`]), or be left to one
//! ([`crew`]). Where there are several, nobody sleeps while a plan runs (see [`awake`]): to wake a thread up takes longer than many a
//! step.
//!
//! Threads take [`subnormal`] numbers for zeros, so all that is computed is computed by them and not by the caller's.
//!
//! Members of a plan need nothing of each other: as many as there are threads run side by side, each on one thread, and
//! only those that are left over share the threads among them.

mod crew;
mod load_balance;
mod profile;
mod room;
mod segments;
mod subnormal;

use super::submission::SubmissionSize;
use super::{Counts, PlanId, Shortage, compare};
use crate::error::{Error, Result};
use crate::kernels::{Access, Call, Kernel, StepScalars};
use crate::plan::{Buffer, Plan, Role, Step, Target, View, cost};
use crew::Crew;
use load_balance::LoadBalance;
use rayon::prelude::{
    IndexedParallelIterator, IntoParallelRefMutIterator, ParallelIterator, ParallelSlice, ParallelSliceMut,
};
use segments::{DividedRegion, Segment};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

/// Buffers, plans and threads.
#[derive(Debug)]
pub struct Cpu {
    pool: rayon::ThreadPool,
    /// The buffers that all members share; no kernel writes them.
    shared: Vec<Vec<u32>>,
    /// The buffers of each member.
    own: Vec<Vec<Vec<u32>>>,
    roles: BTreeMap<Role, Place>,
    plans: Vec<Loaded>,
    counts: Counts,
    /// Bytes that plans may take further, if fewer than the machine has.
    most: u64,
}

#[derive(Debug)]
struct Loaded {
    plan: Plan,
    /// For each buffer of the plan, where it is among the engine's.
    places: Vec<Place>,
    segments: Vec<Segment>,
    /// Whether all threads work on a member that has no threads of its own.
    crew: Crew,
    /// How each segment is divided between them then.
    balances: Vec<LoadBalance>,
    submission: SubmissionSize,
}

/// Where a buffer is.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// Among those that all members share.
    Shared(usize),
    /// Among those of each member.
    Own(usize),
}

/// What the buffers of a plan are for one member.
struct Buffers<'a> {
    places: &'a [Place],
    shared: &'a [Vec<u32>],
    own: &'a mut [Vec<u32>],
}

impl Buffers<'_> {
    fn words(&self, view: &View) -> &[u32] {
        let buffer = match self.places[view.buffer] {
            Place::Shared(at) => &self.shared[at],
            Place::Own(at) => &self.own[at],
        };
        &buffer[view.offset..view.offset + view.words]
    }

    /// A buffer that kernels may write.
    fn written(&mut self, buffer: usize) -> &mut Vec<u32> {
        match self.places[buffer] {
            Place::Own(at) => &mut self.own[at],
            Place::Shared(_) => unreachable!("what members share is never written"),
        }
    }
}

impl Cpu {
    /// An engine with `threads` threads; 0 takes as many as the machine has cores.
    ///
    /// # Errors
    /// [`Error::Device`] where the threads cannot be started.
    pub fn new(threads: usize) -> Result<Self> {
        let builder = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let pool = builder.start_handler(|_| subnormal::become_zeros()).build().map_err(|error| {
            let wanted = if threads == 0 { "a thread on each core".to_owned() } else { format!("{threads} threads") };
            Error::Device(format!("cannot start {wanted}: {error}; --threads 1 takes fewest"))
        })?;
        let (shared, own, roles) = (vec![], vec![], BTreeMap::new());
        Ok(Self { pool, shared, own, roles, plans: vec![], counts: Counts::default(), most: u64::MAX })
    }

    /// Lets plans that are loaded from now on take so many bytes each at most, where the machine has more.
    pub fn limit_memory(&mut self, bytes: u64) {
        self.most = bytes;
    }

    /// See [`super::Executor::shortage`].
    pub fn shortage(&self, plan: &Plan) -> Option<Shortage> {
        let lasting = |role: &Role| !matches!(role, Role::Slot(_) | Role::Workspace);
        let missing =
            plan.buffers.iter().filter(|buffer| !(lasting(&buffer.role) && self.roles.contains_key(&buffer.role)));
        let takes = missing.map(|buffer| plan.bytes_of(buffer)).sum();
        let has = room::free().unwrap_or(u64::MAX).min(self.most);
        (takes > has).then_some(Shortage { takes, has })
    }

    /// The device's name, whatever the number of threads: it does not matter to what is computed.
    pub fn name(&self) -> String {
        "CPU engine".to_owned()
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// See [`super::Executor::identity`].
    pub fn identity(&self) -> String {
        self.name()
    }

    /// What plans should be made for.
    pub fn target(&self) -> Target {
        Target::Cpu
    }

    /// See [`super::Executor::can_run`].
    pub fn can_run(&self, _: &Kernel) -> bool {
        true
    }

    /// See [`super::Executor::load`].
    ///
    /// # Errors
    /// [`Error::Device`] where there is no memory for the plan; [`Error::Bug`] where it does not go with those that are
    /// loaded already.
    pub fn load(&mut self, plan: Plan) -> Result<PlanId> {
        if self.own.is_empty() {
            self.own = vec![vec![]; plan.members];
        } else if self.own.len() != plan.members {
            let (has, members) = (self.own.len(), plan.members);
            return Err(Error::Bug(format!("plan {} has {members} members, earlier ones have {has}", plan.name)));
        }
        let mut places = Vec::new();
        for buffer in &plan.buffers {
            let lasting = !matches!(buffer.role, Role::Slot(_) | Role::Workspace);
            let place = match self.roles.get(&buffer.role).copied().filter(|_| lasting) {
                Some(place) if self.length(place) >= buffer.words => place,
                Some(place) => {
                    let (role, has) = (&buffer.role, self.length(place));
                    return Err(Error::Bug(format!(
                        "{role:?} has {has} words, plan {} needs {}",
                        plan.name, buffer.words
                    )));
                }
                None => self.make(buffer, &plan)?,
            };
            if lasting {
                self.roles.insert(buffer.role.clone(), place);
            }
            places.push(place);
        }
        // A plan for devices keeps all its tensors in one buffer, which threads could not divide: it runs step by step.
        let segments = if plan.words(&Role::Workspace) > 0 { vec![] } else { segments::cut(&plan) };
        let crew = Crew::new(self.threads(), cost::total(&plan));
        let balances = equal_balances(&segments, self.threads());
        let submission = SubmissionSize::guess(&plan, Target::Cpu);
        self.plans.push(Loaded { plan, places, segments, crew, balances, submission });
        Ok(PlanId(self.plans.len() - 1))
    }

    /// A new buffer of zeros, for each member if they do not share it.
    fn make(&mut self, buffer: &Buffer, plan: &Plan) -> Result<Place> {
        self.counts.allocations += 1;
        if buffer.role.is_shared() {
            let mut made = zeros(buffer.words, plan)?;
            if let Role::Constants(words) = &buffer.role {
                made[..words.len()].copy_from_slice(words);
            }
            self.shared.push(made);
            return Ok(Place::Shared(self.shared.len() - 1));
        }
        for own in &mut self.own {
            own.push(zeros(buffer.words, plan)?);
        }
        Ok(Place::Own(self.own[0].len() - 1))
    }

    fn length(&self, place: Place) -> usize {
        match place {
            Place::Shared(at) => self.shared[at].len(),
            Place::Own(at) => self.own[0][at].len(),
        }
    }

    /// The plan behind an id.
    pub fn plan(&self, id: PlanId) -> &Plan {
        &self.plans[id.0].plan
    }

    /// See [`super::Executor::portion`].
    pub fn portion(&self, id: PlanId) -> usize {
        self.plans[id.0].submission.steps()
    }

    /// See [`super::Executor::fix_portion`].
    pub fn fix_portion(&mut self, id: PlanId, runs: usize) {
        self.plans[id.0].submission = SubmissionSize::fixed(runs);
    }

    /// See [`super::Executor::run`].
    ///
    /// # Errors
    /// None: the engine does not fail while it runs.
    pub fn run(&mut self, id: PlanId, steps: &[StepScalars]) -> Result<()> {
        let Loaded { plan, places, segments, crew, balances, submission } = &mut self.plans[id.0];
        let (plan, places, segments) = (&*plan, &*places, &*segments);
        let (shared, members, threads) = (&self.shared, plan.members, self.pool.current_num_threads());
        // A member takes all its steps before the next one begins, so that its parameters stay in the caches.
        let walk = |member: usize, own: &mut Vec<Vec<u32>>, steps: &[StepScalars], balances: &mut [LoadBalance]| {
            let mut buffers = Buffers { places, shared, own };
            for scalars in steps.iter().skip(member).step_by(members) {
                for (segment, balance) in segments.iter().zip(&mut *balances) {
                    run_segment(plan, segment, balance, &mut buffers, scalars);
                }
                for step in plan.steps.iter().filter(|_| segments.is_empty()) {
                    run_on_copies(plan, step, &mut buffers, scalars);
                }
            }
        };
        let begun = Instant::now();
        if let [own] = &mut self.own[..] {
            for steps in steps.chunks(crew::PORTION) {
                let (begun, alone) = (Instant::now(), crew.is_alone());
                self.pool.install(|| {
                    if alone {
                        walk(0, own, steps, &mut equal_balances(segments, 1));
                    } else {
                        awake(|| walk(0, own, steps, balances));
                    }
                });
                crew.took(steps.len(), begun.elapsed());
            }
        } else {
            let side_by_side = if threads > 1 { members / threads * threads } else { 0 };
            let (many, few) = self.own.split_at_mut(side_by_side);
            let all = || {
                let alone = |(member, own)| walk(member, own, steps, &mut equal_balances(segments, 1));
                many.par_iter_mut().enumerate().with_max_len(1).for_each(alone);
                few.iter_mut().enumerate().for_each(|(at, own)| walk(side_by_side + at, own, steps, balances));
            };
            self.pool.install(|| awake(all));
        }
        submission.took(steps.len() / members, begun.elapsed());
        self.counts.submissions += 1;
        self.counts.dispatches += (steps.len() / members * plan.steps.len()) as u64;
        Ok(())
    }

    /// See [`super::Executor::check`]: the fast functions against the twins.
    ///
    /// # Errors
    /// None: a difference is no error.
    pub fn check(&mut self, id: PlanId, scalars: &[StepScalars]) -> Result<Option<String>> {
        let Loaded { plan, places, .. } = &self.plans[id.0];
        let shared = &self.shared;
        let mut members = scalars.iter().zip(&mut self.own);
        let check = |(scalars, own): (&StepScalars, &mut Vec<Vec<u32>>)| {
            check_member(plan, &mut Buffers { places, shared, own }, scalars)
        };
        Ok(self.pool.install(|| members.find_map(check)))
    }

    /// See [`super::Executor::write_to`].
    ///
    /// # Errors
    /// [`Error::Bug`] where no loaded plan has such a buffer, or it is shorter.
    pub fn write(&mut self, member: usize, role: &Role, offset: usize, words: &[u32]) -> Result<()> {
        let buffer = match self.find(role, offset + words.len())? {
            Place::Shared(at) => &mut self.shared[at],
            Place::Own(at) => &mut self.own[member][at],
        };
        copy(&self.pool, words, &mut buffer[offset..offset + words.len()]);
        Ok(())
    }

    /// See [`super::Executor::change`].
    ///
    /// # Errors
    /// As [`Cpu::read`] and [`Cpu::write`].
    pub fn change(
        &mut self,
        member: usize,
        (from, to): (&Role, &Role),
        words: Range<usize>,
        change: &(dyn Fn(usize, &mut [u32]) + Sync),
    ) -> Result<()> {
        let (source, target) = (self.find(from, words.end)?, self.find(to, words.end)?);
        let Place::Own(target) = target else {
            return Err(Error::Bug(format!("{to:?} is shared by all members, and cannot be changed for one")));
        };
        let mut taken = std::mem::take(&mut self.own[member][target]);
        let source: Option<&[u32]> = match source {
            Place::Own(source) if source == target => None,
            Place::Own(source) => Some(&self.own[member][source][words.clone()]),
            Place::Shared(source) => Some(&self.shared[source][words.clone()]),
        };
        let work = |(number, piece): (usize, &mut [u32])| {
            let at = number * PIECE;
            if let Some(source) = source {
                piece.copy_from_slice(&source[at..at + piece.len()]);
            }
            change(at, piece);
        };
        self.pool.install(|| taken[words].par_chunks_mut(PIECE).enumerate().for_each(work));
        self.own[member][target] = taken;
        Ok(())
    }

    /// See [`super::Executor::read_from`].
    ///
    /// # Errors
    /// [`Error::Bug`] where no loaded plan has such a buffer, or it is shorter.
    pub fn read(&mut self, member: usize, role: &Role, offset: usize, words: usize) -> Result<Vec<u32>> {
        self.counts.bytes_read += 4 * words as u64;
        Ok(self.held(member, role, offset, words)?.to_vec())
    }

    /// See [`super::Executor::read_into`].
    ///
    /// # Errors
    /// As [`Cpu::read`].
    pub fn read_into(&mut self, member: usize, role: &Role, offset: usize, words: &mut [u32]) -> Result<()> {
        self.counts.bytes_read += 4 * words.len() as u64;
        copy(&self.pool, self.held(member, role, offset, words.len())?, words);
        Ok(())
    }

    fn held(&self, member: usize, role: &Role, offset: usize, words: usize) -> Result<&[u32]> {
        let buffer = match self.find(role, offset + words)? {
            Place::Shared(at) => &self.shared[at],
            Place::Own(at) => &self.own[member][at],
        };
        Ok(&buffer[offset..offset + words])
    }

    /// See [`super::Executor::counts`].
    pub fn counts(&self) -> Counts {
        self.counts
    }

    fn find(&self, role: &Role, end: usize) -> Result<Place> {
        match self.roles.get(role) {
            Some(&place) if end <= self.length(place) => Ok(place),
            Some(&place) => Err(Error::Bug(format!("{role:?} has {} words, not {end}", self.length(place)))),
            None => Err(Error::Bug(format!("no loaded plan has a buffer {role:?}"))),
        }
    }
}

/// Words that are changed at a time: what is done to them finds them in the nearest cache.
const PIECE: usize = 1 << 12;

/// Words that each thread copies at a time, where there are more of them.
const COPIED: usize = 1 << 16;

/// Copies words, on several threads where there are many.
fn copy(pool: &rayon::ThreadPool, from: &[u32], to: &mut [u32]) {
    if pool.current_num_threads() > 1 && to.len() > COPIED {
        let parts = from.par_chunks(COPIED).zip(to.par_chunks_mut(COPIED));
        return pool.install(|| parts.for_each(|(from, to)| to.copy_from_slice(from)));
    }
    to.copy_from_slice(from);
}

/// A buffer, if there is memory for it.
fn zeros(words: usize, plan: &Plan) -> Result<Vec<u32>> {
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(words).map_err(|_| {
        let (mib, remedy) = (plan.bytes().div_ceil(1 << 20), super::remedy(plan.members));
        Error::Device(format!("there is no memory for the {mib} MiB that the plan {} takes: {remedy}", plan.name))
    })?;
    buffer.resize(words, 0);
    Ok(buffer)
}

/// Runs each step by its twin and by its fast function, and says where the two differ.
fn check_member(plan: &Plan, buffers: &mut Buffers, scalars: &StepScalars) -> Option<String> {
    for (at, step) in plan.steps.iter().enumerate() {
        let mut twin: Vec<Vec<u32>> = step.views.iter().map(|view| buffers.words(view).to_vec()).collect();
        let (mut fast, tolerance) = (twin.clone(), compare::of_step(step, &twin));
        call_whole(step, step.kernel.cpu, scalars, &mut twin);
        call_whole(step, step.kernel.fast.unwrap_or(step.kernel.cpu), scalars, &mut fast);
        for (i, view) in written(plan, step) {
            if let Some(difference) = compare::difference(&twin[i], &fast[i], tolerance) {
                let (name, what) = (step.kernel.name, &step.what);
                let binding = step.kernel.bindings[i].name;
                return Some(format!("step {at} ({name}, {what}) differs at binding {binding}: {difference}"));
            }
            put(buffers, &view, &fast[i]);
        }
    }
    None
}

/// Runs a step by its twin, on copies of what it binds.
fn run_on_copies(plan: &Plan, step: &Step, buffers: &mut Buffers, scalars: &StepScalars) {
    let mut copies: Vec<Vec<u32>> = step.views.iter().map(|view| buffers.words(view).to_vec()).collect();
    call_whole(step, step.kernel.cpu, scalars, &mut copies);
    for (i, view) in written(plan, step) {
        put(buffers, &view, &copies[i]);
    }
}

/// The bindings that a step writes, as it is configured.
fn written<'a>(plan: &'a Plan, step: &'a Step) -> impl Iterator<Item = (usize, View)> + 'a {
    let all = step.accesses().enumerate().filter(|(_, (access, _))| *access != Access::Read);
    all.map(|(i, (_, view))| (i, view)).filter(|(_, view)| plan.buffers[view.buffer].role != Role::Discard)
}

fn put(buffers: &mut Buffers, view: &View, words: &[u32]) {
    buffers.written(view.buffer)[view.offset..view.offset + view.words].copy_from_slice(words);
}

/// Runs a step's function over its whole outer axis on copies of its views.
fn call_whole(step: &Step, function: fn(Call), scalars: &StepScalars, views: &mut [Vec<u32>]) {
    let first_write = step.kernel.bindings.iter().take_while(|b| b.access == Access::Read).count();
    let (reads, writes) = views.split_at_mut(first_write);
    function(Call {
        range: 0..step.outer,
        params: &step.params,
        consts: &step.consts,
        step: scalars,
        reads: reads.iter().map(Vec::as_slice).collect(),
        writes: writes.iter_mut().map(Vec::as_mut_slice).collect(),
    });
}

/// Does `work` on this thread of the pool, while the others look out for parts of it without falling asleep.
fn awake(work: impl FnOnce() + Send) {
    let (done, own) = (&AtomicBool::new(false), rayon::current_thread_index());
    rayon::scope(|scope| {
        scope.spawn_broadcast(move |_, thread| {
            if Some(thread.index()) != own {
                wait(|| done.load(Ordering::Acquire), || rayon::yield_now() == Some(rayon::Yield::Executed));
            }
        });
        let _done = OnDrop(|| done.store(true, Ordering::Release));
        work();
    });
}

/// How often a thread looks whether there is something to do before it lets others have the processor: some 10 µs.
const LOOKS: usize = 200;

/// Waits until it is `over`, and meanwhile does what there is to do, if there is anything.
fn wait(over: impl Fn() -> bool, did_something: impl Fn() -> bool) {
    let mut idle = 0;
    while !over() {
        idle = if did_something() { 0 } else { idle + 1 };
        if idle < LOOKS {
            std::hint::spin_loop();
        } else {
            // The thread that is waited for may need this very processor.
            std::thread::yield_now();
        }
    }
}

/// Calls a function at the end of its scope, also when that ends in a panic: nobody waits for what never comes.
struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        self.0();
    }
}

/// For each segment an equal share for each of `threads` threads, where it can be divided.
fn equal_balances(segments: &[Segment], threads: usize) -> Vec<LoadBalance> {
    segments.iter().map(|segment| LoadBalance::equal(if segment.divisible { threads } else { 1 })).collect()
}

/// Lets every thread that gets a share walk its part of a segment.
fn run_segment(
    plan: &Plan,
    segment: &Segment,
    balance: &mut LoadBalance,
    buffers: &mut Buffers,
    scalars: &StepScalars,
) {
    let mut taken: Vec<Vec<u32>> =
        segment.written.iter().map(|&buffer| std::mem::take(buffers.written(buffer))).collect();
    let shared: &Buffers = buffers;
    let division = &*balance;
    let walk = |thread: usize, mut own: Vec<Option<&mut [u32]>>| {
        for (step, sources) in segment.steps.iter().map(|&step| &plan.steps[step]).zip(&segment.sources) {
            let range = chunk(step, division, thread);
            if !range.is_empty() {
                run_step(step, sources, range, &mut own, shared, scalars);
            }
        }
    };
    let mut parts = divide(segment, division, &mut taken);
    if parts.len() == 1 {
        walk(0, parts.pop().unwrap_or_default());
    } else {
        let times = side_by_side(parts, walk);
        balance.learn(&times);
    }
    for (&buffer, words) in segment.written.iter().zip(taken) {
        *buffers.written(buffer) = words;
    }
}

/// For each thread what it owns of a segment's parts. `taken` are the buffers that the segment writes.
fn divide<'a>(segment: &Segment, balance: &LoadBalance, taken: &'a mut [Vec<u32>]) -> Vec<Vec<Option<&'a mut [u32]>>> {
    let mut owned: Vec<Vec<Option<&mut [u32]>>> =
        (0..balance.threads()).map(|_| Vec::with_capacity(segment.parts.len())).collect();
    for (at, buffer) in taken.iter_mut().enumerate() {
        let mut rest: &mut [u32] = buffer;
        let mut begin = 0;
        for part in segment.parts.iter().filter(|part| part.written == at) {
            rest = &mut std::mem::take(&mut rest)[part.view.offset - begin..];
            begin = part.view.offset;
            for (thread, owned) in owned.iter_mut().enumerate() {
                let count = words_of(part, balance, thread);
                let (own, others) = std::mem::take(&mut rest).split_at_mut(count);
                owned.push(Some(own));
                (rest, begin) = (others, begin + count);
            }
        }
    }
    owned
}

/// Hands each thread of the pool its part and waits for all; gives the nanoseconds that each was at work. A thread
/// always gets the part of its index: what it has in its caches is of use, and its speed can be learnt.
fn side_by_side<T: Send>(parts: Vec<T>, work: impl Fn(usize, T) + Sync) -> Vec<u64> {
    let working = &AtomicUsize::new(parts.len());
    let times: Vec<AtomicU64> = parts.iter().map(|_| AtomicU64::new(0)).collect();
    let parts: Vec<Mutex<Option<T>>> = parts.into_iter().map(|part| Mutex::new(Some(part))).collect();
    let own = |thread: usize| {
        let part = parts[thread].lock().ok().and_then(|mut part| part.take());
        if let Some(part) = part {
            let _done = OnDrop(|| _ = working.fetch_sub(1, Ordering::Release));
            let begun = Instant::now();
            work(thread, part);
            times[thread].store(begun.elapsed().as_nanos() as u64, Ordering::Relaxed);
        }
    };
    rayon::scope(|scope| {
        scope.spawn_broadcast(|_, thread| own(thread.index()));
        if let Some(thread) = rayon::current_thread_index() {
            own(thread);
        }
        wait(|| working.load(Ordering::Acquire) == 0, || false);
    });
    times.into_iter().map(AtomicU64::into_inner).collect()
}

/// The part of a step's outer axis that belongs to a thread.
fn chunk(step: &Step, balance: &LoadBalance, thread: usize) -> Range<usize> {
    let units = step.outer / step.unit;
    balance.begin(units, thread) * step.unit..balance.begin(units, thread + 1) * step.unit
}

/// How many words of a part belong to a thread.
fn words_of(part: &DividedRegion, balance: &LoadBalance, thread: usize) -> usize {
    let units = balance.begin(part.units, thread + 1) - balance.begin(part.units, thread);
    units * (part.view.words / part.units)
}

fn run_step(
    step: &Step,
    sources: &[segments::Source],
    range: Range<usize>,
    share: &mut [Option<&mut [u32]>],
    shared: &Buffers,
    scalars: &StepScalars,
) {
    use segments::Source;
    let written = |i: usize| step.kernel.bindings[i].access != Access::Read;
    let mut writes: Vec<(Option<usize>, &mut [u32])> = Vec::with_capacity(3);
    for (_, source) in sources.iter().enumerate().filter(|&(i, _)| written(i)) {
        writes.push(match *source {
            Source::Own(part) => (Some(part), share[part].take().expect("a step writes each of its parts once")),
            Source::Shared => (None, &mut []),
        });
    }
    let mut reads: Vec<&[u32]> = Vec::with_capacity(4);
    for (i, source) in sources.iter().enumerate().filter(|&(i, _)| !written(i)) {
        let view = &step.views[i];
        reads.push(match *source {
            Source::Own(part) => share[part].as_deref().expect("a step does not read what it writes"),
            Source::Shared => {
                let all = shared.words(view);
                let stride = view.words / (step.outer / step.unit);
                let unit = |at: usize| at / step.unit * stride;
                if view.split { &all[unit(range.start)..unit(range.end)] } else { all }
            }
        });
    }
    let function = step.kernel.fast.unwrap_or(step.kernel.cpu);
    function(Call {
        range,
        params: &step.params,
        consts: &step.consts,
        step: scalars,
        reads,
        writes: writes.iter_mut().map(|(_, words)| &mut **words).collect(),
    });
    for (part, words) in writes {
        if let Some(part) = part {
            share[part] = Some(words);
        }
    }
}
