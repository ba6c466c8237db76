//! WHERE: an executor holds buffers, loads plans and walks them. The steps of a plan mean the same on each.

pub mod adapter;
pub mod compare;
pub mod cpu;
#[cfg(feature = "gpu")]
pub mod gpu;
pub mod measure;
pub mod profile;
pub mod select;
pub mod selftest;
pub mod submission;
pub mod twin;

use crate::error::{Error, Result};
use crate::kernels::{Kernel, StepScalars};
use crate::plan::{Plan, Role, Target};
use std::ops::Range;

/// A plan that an executor has loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlanId(pub usize);

/// A device with its buffers and plans.
#[derive(Debug)]
pub enum Executor {
    /// The CPU engine.
    Cpu(cpu::Cpu),
    /// An adapter that wgpu reaches.
    #[cfg(feature = "gpu")]
    Gpu(Box<gpu::Gpu>),
}

/// What an executor has done so far; tests assert these counts instead of times.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Kernels started, each for all members of its plan.
    pub dispatches: u64,
    /// Command buffers handed to the device; on the CPU engine, calls of `run`.
    pub submissions: u64,
    /// Buffers made.
    pub allocations: u64,
    /// Pipelines built.
    pub pipelines: u64,
    /// Bytes read back by the host.
    pub bytes_read: u64,
}

/// Calls the method of whichever executor it is.
macro_rules! each {
    ($self:expr, $executor:ident => $call:expr) => {
        match $self {
            Executor::Cpu($executor) => $call,
            #[cfg(feature = "gpu")]
            Executor::Gpu($executor) => $call,
        }
    };
}

impl Executor {
    /// The device's name, as it is printed and recorded.
    pub fn name(&self) -> String {
        each!(self, e => e.name())
    }

    /// The device to the version of its driver: what a measurement is good for.
    pub fn identity(&self) -> String {
        each!(self, e => e.identity())
    }

    /// What plans for this executor should be made for.
    pub fn target(&self) -> Target {
        each!(self, e => e.target())
    }

    /// Whether it can run a kernel. All can run those that plans for [`Target::Gpu`] and [`Target::Cpu`] have.
    pub fn can_run(&self, kernel: &Kernel) -> bool {
        each!(self, e => e.can_run(kernel))
    }

    /// Allocates what a plan needs beyond what is there, and compiles its kernels. Afterwards [`Executor::run`] neither
    /// allocates nor compiles. Buffers that outlive a run are shared by role and start out as zeros; a role keeps the
    /// size that it had first.
    ///
    /// # Errors
    /// [`Error::Device`] where the limits or the memory of the device are too small, saying what to lower;
    /// [`Error::Bug`] where the plan does not go with those that are loaded already.
    pub fn load(&mut self, plan: Plan) -> Result<PlanId> {
        each!(self, e => e.load(plan))
    }

    /// What is too little for a plan, before any memory is taken: on the CPU engine that of the machine, on devices what one buffer
    /// may have. A device may still have less memory than that, which [`Executor::load`] finds.
    pub fn shortage(&self, plan: &Plan) -> Option<Shortage> {
        match self {
            Self::Cpu(cpu) => cpu.shortage(plan),
            #[cfg(feature = "gpu")]
            Self::Gpu(gpu) => {
                let copies = if plan.members > 1 { plan.members as u64 } else { 1 };
                let [takes, has] =
                    [plan.words(&Role::Workspace) as u64 * copies, gpu.most_words() as u64].map(|n| 4 * n);
                (takes > has).then_some(Shortage { takes, has })
            }
        }
    }

    /// The plan behind an id.
    pub fn plan(&self, id: PlanId) -> &Plan {
        each!(self, e => e.plan(id))
    }

    /// Runs a plan once for every `plan.members` elements of `steps`, which are what each member is told of that run.
    /// May return while the device still works; [`Executor::read`] waits. No more than two calls are ever in flight: a
    /// third waits for the first.
    ///
    /// # Errors
    /// [`Error::Bug`] where `steps` is no multiple of the members; [`Error::Device`] where the device failed, in this
    /// run or in an earlier one.
    pub fn run(&mut self, id: PlanId, steps: &[StepScalars]) -> Result<()> {
        let members = self.plan(id).members;
        if !steps.len().is_multiple_of(members) {
            return Err(Error::Bug(format!("{} elements of steps for {members} members", steps.len())));
        }
        each!(self, e => e.run(id, steps))
    }

    /// Runs plans in turn: of each the runs that it is given, as [`Executor::run`] does. Many turns go into one submission.
    ///
    /// # Errors
    /// Those of [`Executor::run`].
    pub fn run_in_turn(&mut self, turns: &[(PlanId, Vec<StepScalars>)]) -> Result<()> {
        for (id, steps) in turns {
            let members = self.plan(*id).members;
            if !steps.len().is_multiple_of(members) {
                return Err(Error::Bug(format!("{} elements of steps for {members} members", steps.len())));
            }
        }
        match self {
            // The engine goes through a plan as fast alone.
            Self::Cpu(cpu) => turns.iter().try_for_each(|(id, steps)| cpu.run(*id, steps)),
            #[cfg(feature = "gpu")]
            Self::Gpu(gpu) => gpu.run_in_turn(turns),
        }
    }

    /// Runs a plan once, each step on the device and on its twin with the same inputs, and compares what they wrote.
    /// Gives the first difference as a message, if there is one. `step` has one element for each member.
    ///
    /// # Errors
    /// [`Error::Bug`] where `step` has not one element for each member; [`Error::Device`] where the device failed. A
    /// difference is no error.
    pub fn check(&mut self, id: PlanId, step: &[StepScalars]) -> Result<Option<String>> {
        let members = self.plan(id).members;
        if step.len() != members {
            return Err(Error::Bug(format!("{} elements of a step for {members} members", step.len())));
        }
        each!(self, e => e.check(id, step))
    }

    /// How many runs of a plan take about [`submission::PORTION`], as far as is known. Whoever hands over as many at a time
    /// comes back soon enough to look at the clock and the keyboard.
    pub fn portion(&self, id: PlanId) -> usize {
        each!(self, e => e.portion(id))
    }

    /// Fixes [`Executor::portion`], whatever the clock says.
    pub fn fix_portion(&mut self, id: PlanId, runs: usize) {
        each!(self, e => e.fix_portion(id, runs));
    }

    /// Waits until everything that was started has finished.
    ///
    /// # Errors
    /// [`Error::Device`] where the device failed or does not answer.
    pub fn finish(&mut self) -> Result<()> {
        match self {
            // `run` of the engine returns when all is done.
            Self::Cpu(_) => Ok(()),
            #[cfg(feature = "gpu")]
            Self::Gpu(gpu) => gpu.finish(),
        }
    }

    /// Measures how long each step of a plan takes, all of its members told the same. Afterwards every buffer that
    /// outlives a run holds what it held before, so training can go on as if nothing had been measured.
    ///
    /// # Errors
    /// Those of [`Executor::run`], [`Executor::read`] and [`Executor::write`].
    pub fn profile(&mut self, id: PlanId, step: &StepScalars, effort: profile::Effort) -> Result<profile::Profile> {
        profile::profile(self, id, step, effort)
    }

    /// Overwrites words of a member's copy of a buffer that outlives runs, from word `offset` on.
    ///
    /// # Errors
    /// [`Error::Bug`] where no loaded plan has such a buffer, or it is shorter; [`Error::Device`] where the device
    /// failed.
    pub fn write_to(&mut self, member: usize, role: &Role, offset: usize, words: &[u32]) -> Result<()> {
        each!(self, e => e.write(member, role, offset, words))
    }

    /// Reads words of a member's copy of a buffer that outlives runs, after everything that was started has finished.
    ///
    /// # Errors
    /// [`Error::Bug`] where no loaded plan has such a buffer, or it is shorter; [`Error::Device`] where the device
    /// failed.
    pub fn read_from(&mut self, member: usize, role: &Role, offset: usize, words: usize) -> Result<Vec<u32>> {
        each!(self, e => e.read(member, role, offset, words))
    }

    /// Reads words as [`Executor::read_from`] does, to where there is room for them already.
    ///
    /// # Errors
    /// Those of [`Executor::read_from`].
    pub fn read_into(&mut self, member: usize, role: &Role, offset: usize, words: &mut [u32]) -> Result<()> {
        match self {
            Self::Cpu(cpu) => cpu.read_into(member, role, offset, words),
            #[cfg(feature = "gpu")]
            Self::Gpu(gpu) => {
                words.copy_from_slice(&gpu.read(member, role, offset, words.len())?);
                Ok(())
            }
        }
    }

    /// Whether its buffers are in the memory of this process, so that reading them costs no more than a copy.
    pub fn is_host(&self) -> bool {
        matches!(self, Self::Cpu(_))
    }

    /// Puts words of one buffer of a member into another, in the same places, and changes them there: `change` gets pieces, each
    /// with its place from the first word on, on several threads. Both may be one buffer.
    ///
    /// # Errors
    /// Those of [`Executor::read_from`] and [`Executor::write_to`].
    pub fn change(
        &mut self,
        member: usize,
        (from, to): (&Role, &Role),
        words: Range<usize>,
        change: &(dyn Fn(usize, &mut [u32]) + Sync),
    ) -> Result<()> {
        match self {
            Self::Cpu(cpu) => cpu.change(member, (from, to), words, change),
            #[cfg(feature = "gpu")]
            Self::Gpu(gpu) => {
                let mut read = gpu.read(member, from, words.start, words.len())?;
                change(0, &mut read);
                gpu.write(member, to, words.start, &read)
            }
        }
    }

    /// [`Executor::write_to`] of the first member, which is the only one unless a plan says otherwise.
    ///
    /// # Errors
    /// Those of [`Executor::write_to`].
    pub fn write(&mut self, role: &Role, offset: usize, words: &[u32]) -> Result<()> {
        self.write_to(0, role, offset, words)
    }

    /// [`Executor::read_from`] of the first member.
    ///
    /// # Errors
    /// Those of [`Executor::read_from`].
    pub fn read(&mut self, role: &Role, offset: usize, words: usize) -> Result<Vec<u32>> {
        self.read_from(0, role, offset, words)
    }

    /// [`Executor::write`] of floats.
    ///
    /// # Errors
    /// Those of [`Executor::write`].
    pub fn write_f32(&mut self, role: &Role, offset: usize, values: &[f32]) -> Result<()> {
        self.write(role, offset, bytemuck::cast_slice(values))
    }

    /// [`Executor::read`] of floats.
    ///
    /// # Errors
    /// Those of [`Executor::read`].
    pub fn read_f32(&mut self, role: &Role, offset: usize, count: usize) -> Result<Vec<f32>> {
        Ok(crate::kernels::f32s(&self.read(role, offset, count)?).to_vec())
    }

    /// The most words that a buffer can have.
    pub fn most_words(&self) -> usize {
        match self {
            Self::Cpu(_) => usize::MAX,
            #[cfg(feature = "gpu")]
            Self::Gpu(gpu) => gpu.most_words(),
        }
    }

    /// What has been done so far.
    pub fn counts(&self) -> Counts {
        each!(self, e => e.counts())
    }
}

/// Memory that a plan takes and a device does not have, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortage {
    /// What the plan takes beyond what is there already; on devices, its largest buffer.
    pub takes: u64,
    /// What there is.
    pub has: u64,
}

/// What makes a plan smaller.
fn remedy(members: usize) -> &'static str {
    if members > 1 { "train fewer members side by side" } else { "lower --batch, or make the model smaller" }
}
