//! How long each step of a loaded plan takes, without leaving a trace.

use super::{Executor, PlanId};
use crate::error::Result;
use crate::kernels::{Access, StepScalars};
use crate::plan::{Role, Step};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Which clock was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The device's own, before and after each step.
    Timestamps,
    /// The host's, around submissions that repeat one step, on devices without timestamps.
    Submissions,
    /// The host's, around each step of the CPU engine: all threads work at it and meet at its end.
    Host,
}

impl Clock {
    /// The clock in the words of a report.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Timestamps => "timestamps of the device",
            Self::Submissions => "wall clock around submissions of one step repeated: the device has no timestamps",
            Self::Host => "wall clock around each step, one after the other, on all threads",
        }
    }
}

/// How much is spent on a measurement: a number of repeats, or those that fit into a time; one at least, after one that
/// does not count.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// The most repeats.
    pub repeats: usize,
    /// After this time no other repeat begins.
    pub time: Duration,
}

/// Counts the repeats of an [`Effort`].
#[derive(Debug)]
pub(super) struct Repeats {
    effort: Effort,
    begun: Instant,
    done: usize,
}

impl Effort {
    pub(super) fn begin(self) -> Repeats {
        Repeats { effort: self, begun: Instant::now(), done: 0 }
    }
}

impl Repeats {
    /// Whether there is another repeat to make. The first one is the rehearsal, the second always counts.
    pub fn another(&mut self) -> bool {
        let more = self.done < 2 || self.done <= self.effort.repeats && self.begun.elapsed() < self.effort.time;
        self.done += usize::from(more);
        more
    }
}

/// Seconds that steps took: for each, one number per repeat, the rehearsal left out.
#[derive(Debug)]
pub(super) struct Samples {
    pub clock: Clock,
    pub steps: Vec<Vec<f64>>,
}

/// How long one thing took over several repeats, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timing {
    /// The one in the middle.
    pub median: f64,
    /// The shortest.
    pub least: f64,
    /// The longest.
    pub most: f64,
    /// How many there were.
    pub repeats: usize,
}

impl Timing {
    /// Of at least one number of seconds.
    pub fn of(mut seconds: Vec<f64>) -> Self {
        seconds.sort_by(f64::total_cmp);
        let repeats = seconds.len();
        let median = f64::midpoint(seconds[(repeats - 1) / 2], seconds[repeats / 2]);
        Self { median, least: seconds[0], most: seconds[repeats - 1], repeats }
    }
}

/// How long the steps of a plan took.
#[derive(Debug, Clone)]
pub struct Profile {
    /// How the steps were timed.
    pub clock: Clock,
    /// One for each step of the plan.
    pub steps: Vec<Timing>,
    /// Seconds for a run of the whole plan among many, by the host's clock: it has no gaps for a clock between its
    /// steps, and the CPU engine lets threads run through several of them.
    pub run: f64,
}

/// See [`Executor::profile`].
pub(super) fn profile(executor: &mut Executor, id: PlanId, scalars: &StepScalars, effort: Effort) -> Result<Profile> {
    let mut kept = Vec::new();
    for role in lasting(executor, id) {
        let words = executor.plan(id).words(&role);
        for member in 0..executor.plan(id).members {
            kept.push((member, executor.read_from(member, &role, 0, words)?, role.clone()));
        }
    }
    let measured = measure(executor, id, scalars, effort);
    for (member, words, role) in kept {
        executor.write_to(member, &role, 0, &words)?;
    }
    measured
}

fn measure(executor: &mut Executor, id: PlanId, scalars: &StepScalars, effort: Effort) -> Result<Profile> {
    let samples = match executor {
        Executor::Cpu(cpu) => cpu.profile(id, scalars, effort),
        #[cfg(feature = "gpu")]
        Executor::Gpu(gpu) => gpu.profile(id, scalars, effort)?,
    };
    let steps: Vec<Timing> = samples.steps.into_iter().map(Timing::of).collect();
    let expected: f64 = steps.iter().map(|step| step.median).sum();
    let runs = (effort.time.as_secs_f64() / 2.0 / expected.max(1e-6)).clamp(1.0, effort.repeats.max(1) as f64) as usize;
    let many = vec![*scalars; runs * executor.plan(id).members];
    // The first time the executor may still be finding its pace.
    executor.run(id, &many)?;
    executor.finish()?;
    let begun = Instant::now();
    executor.run(id, &many)?;
    executor.finish()?;
    Ok(Profile { clock: samples.clock, steps, run: begun.elapsed().as_secs_f64() / runs as f64 })
}

/// What a plan writes and leaves behind.
fn lasting(executor: &Executor, id: PlanId) -> BTreeSet<Role> {
    let plan = executor.plan(id);
    let written = plan.steps.iter().flat_map(Step::accesses).filter(|(access, _)| *access != Access::Read);
    let roles = written.map(|(_, view)| plan.buffers[view.buffer].role.clone());
    roles.filter(|role| !matches!(role, Role::Slot(_) | Role::Workspace | Role::Discard | Role::Unbound)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_one_in_the_middle_or_between_two() {
        for (seconds, median) in [(vec![3.0], 3.0), (vec![9.0, 1.0, 2.0], 2.0), (vec![4.0, 1.0, 2.0, 8.0], 3.0)] {
            let timing = Timing::of(seconds.clone());
            assert_eq!((timing.median, timing.repeats), (median, seconds.len()));
        }
    }

    #[test]
    fn repeats_end_with_their_number_or_with_the_time_but_one_counts() {
        for (repeats, time, expected) in
            [(3, Duration::MAX, 4), (0, Duration::MAX, 2), (100, Duration::ZERO, 2), (1, Duration::ZERO, 2)]
        {
            let mut counter = Effort { repeats, time }.begin();
            let mut made = 0;
            while counter.another() {
                made += 1;
            }
            assert_eq!(made, expected, "{repeats} repeats within {time:?}");
        }
    }
}
