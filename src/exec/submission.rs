//! How many runs of a plan a device is given at a time.
//!
//! Many runs in one submission cost the least; but while it lasts nobody hears Ctrl-C, and drivers reset a device that
//! is busy for seconds. So a submission may take about [`PORTION`], and how many runs that is has to be measured: the
//! first guess comes from what the plan asks for, at a speed that the slowest device of a kind has.

use crate::plan::cost::total;
use crate::plan::{Plan, Target};
use std::time::Duration;

/// How long a device may be busy before the host looks again at the clock, the keyboard and the bar.
pub const PORTION: Duration = Duration::from_millis(400);

/// The most runs at a time: beyond this, submitting costs nothing any more.
pub const MAX_STEPS: usize = 128;

/// How much more than what was just measured is tried next.
const GROWTH: usize = 8;

/// What is known of a plan's speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubmissionSize {
    steps: usize,
    settled: bool,
    /// Whether a portion was measured. The first one counts less: drivers compile when a kernel is first run.
    tried: bool,
    fixed: bool,
}

impl SubmissionSize {
    /// A guess that is too slow rather than too fast. A plan that is small enough needs no measurement.
    pub fn guess(plan: &Plan, target: Target) -> Self {
        // Operations and bytes per second, and what starting a kernel takes.
        let (flops, bytes, start) = match target {
            Target::Gpu => (2e10, 5e9, 50e-6),
            Target::Software | Target::Simd8 => (5e8, 1e9, 100e-6),
            Target::Cpu => (2e9, 1e9, 20e-6),
        };
        let cost = total(plan);
        let seconds = cost.flops / flops + cost.bytes / bytes + start * plan.steps.len() as f64;
        let steps = fitting(seconds).clamp(1, MAX_STEPS);
        Self { steps, settled: steps == MAX_STEPS, tried: false, fixed: false }
    }

    /// So many runs, whatever the clock says: for measurements and tests, whose counts must not depend on it.
    pub fn fixed(steps: usize) -> Self {
        Self { steps: steps.clamp(1, MAX_STEPS), settled: true, tried: true, fixed: true }
    }

    /// Runs that go into one portion.
    pub fn steps(self) -> usize {
        self.steps
    }

    /// Whether the next portion need not be measured.
    pub fn settled(self) -> bool {
        self.settled
    }

    /// So many runs, with the device at rest before them, took so long.
    pub fn took(&mut self, runs: usize, time: Duration) {
        if runs == 0 || self.fixed {
            return;
        }
        // Few runs, as at the end of an epoch, do not take back what was tried before.
        let most = (runs * GROWTH).max(self.steps).min(MAX_STEPS);
        self.steps = fitting(time.as_secs_f64() / runs as f64).clamp(1, most);
        // A measurement of much less than a portion is mostly one of how long it takes to begin.
        self.settled = self.steps == MAX_STEPS || self.tried && self.steps <= 2 * runs;
        self.tried = true;
    }

    /// A portion took at least so long: too long a one is halved.
    pub fn took_at_least(&mut self, time: Duration) {
        if time > 2 * PORTION && !self.fixed {
            self.steps = (self.steps / 2).max(1);
        }
    }
}

/// How many runs that take `seconds` each fit into a portion.
fn fitting(seconds: f64) -> usize {
    (PORTION.as_secs_f64() / seconds.max(1e-9)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a device is given, portion by portion, that takes `milliseconds` per run and 20 to begin.
    fn portions(mut submission: SubmissionSize, milliseconds: u64, count: usize) -> Vec<usize> {
        let portion = |_| {
            let given = submission.steps();
            if !submission.settled() {
                submission.took(given, Duration::from_millis(20 + milliseconds * given as u64));
            }
            given
        };
        (0..count).map(portion).collect()
    }

    fn unknown() -> SubmissionSize {
        SubmissionSize { steps: 1, settled: false, tried: false, fixed: false }
    }

    #[test]
    fn a_first_portion_that_was_slow_is_not_the_last_word() {
        let mut submission = unknown();
        submission.took(1, Duration::from_secs(2));
        assert!(!submission.settled(), "{submission:?}");
        submission.took(1, Duration::from_millis(1));
        assert!(!submission.settled() && submission.steps() == GROWTH, "{submission:?}");
    }

    #[test]
    fn what_is_fixed_stays_whatever_the_clock_says() {
        let mut submission = SubmissionSize::fixed(100);
        submission.took(1, Duration::from_secs(2));
        submission.took_at_least(Duration::from_secs(5));
        assert_eq!((submission.steps(), submission.settled()), (100, true));
    }

    #[test]
    fn portions_grow_to_the_bound_of_time_and_then_stay() {
        for (milliseconds, expected) in
            [(0, [1, 8, 64, 128, 128]), (3, [1, 8, 64, 120, 120]), (50, [1, 5, 7, 7, 7]), (900, [1, 1, 1, 1, 1])]
        {
            assert_eq!(portions(unknown(), milliseconds, 5), expected, "{milliseconds} ms a run");
        }
    }

    #[test]
    fn a_device_that_slows_down_is_given_less() {
        let mut submission = SubmissionSize { steps: 5, settled: true, ..unknown() };
        for (milliseconds, expected) in [(700, 5), (900, 2), (900, 1), (5000, 1)] {
            submission.took_at_least(Duration::from_millis(milliseconds));
            assert_eq!(submission.steps(), expected, "{milliseconds} ms");
        }
    }

    #[test]
    fn small_plans_need_no_measurement_and_large_ones_begin_with_few_runs() {
        use crate::config::Config;
        use crate::graph::op::Source;
        use crate::model::Model;
        use crate::plan::{Resident, UpdateStep, lower};
        let resident = Resident { data_words: 784, window: 0, order_words: 4, metric_slots: 1 };
        for (hidden, target, settled) in [
            (4, Target::Gpu, true),
            (4, Target::Cpu, true),
            (400, Target::Cpu, false),
            (400, Target::Software, false),
            (8192, Target::Gpu, false),
        ] {
            let mut config = Config::default();
            config.model.hidden = vec![hidden];
            let (source, binarise) = (Source::Bytes, config.data.binarise);
            let model = Model {
                config: config.model.clone(),
                width: 784,
                shape: [1, 1, 784],
                source,
                binarise,
                columns: None,
                missing: false,
                classes: 0,
            };
            let graph = model.train(16).expect("the model's shapes meet");
            let plan = lower("train", graph, Some(UpdateStep::plain(&config.optimizer)), resident, target)
                .expect("it is legal");
            let submission = SubmissionSize::guess(&plan, target);
            assert_eq!(submission.settled(), settled, "{hidden} hidden units for {target:?}: {submission:?}");
        }
    }
}
