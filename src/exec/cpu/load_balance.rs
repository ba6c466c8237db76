//! How much of the work each thread gets: as much as keeps all of them busy for the same time.
//!
//! Threads are not equally fast. Processors have cores of two kinds, a core may have another program or another virtual
//! machine on it, and with equal parts everybody would wait for the slowest. How the work is divided changes no bit of
//! what is computed, so it may follow the clock.

/// What part of the work is each thread's; they add up to 1.
#[derive(Debug, Clone)]
pub struct LoadBalance(Vec<f64>);

/// How much of what one run says about the threads is believed. What lasts shows within some ten runs; an interruption
/// of a single run hardly does.
const BELIEF: f64 = 0.1;

/// The least that a thread gets, of an equal part: one that got nothing could not show that it is fast again.
const LEAST: f64 = 0.2;

/// Parts are multiples of a unit's 1/16 of an equal part, where there are that many: products like even numbers of rows,
/// and the division does not change with every run.
const STEPS: usize = 16;

impl LoadBalance {
    /// As much for each thread.
    pub fn equal(threads: usize) -> Self {
        Self(vec![1.0 / threads as f64; threads])
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.0.len()
    }

    /// Where a thread's part of `units` begins; that of the thread behind the last is the end.
    pub fn begin(&self, units: usize, thread: usize) -> usize {
        if thread == self.0.len() {
            return units;
        }
        let quantum = (units / (STEPS * self.0.len())).max(1);
        let before = units as f64 * self.0[..thread].iter().sum::<f64>();
        ((before / quantum as f64).round() as usize * quantum).min(units)
    }

    /// Takes in how long each thread was at work on its part.
    pub fn learn(&mut self, times: &[u64]) {
        let speeds: Vec<f64> = self.0.iter().zip(times).map(|(share, &time)| share / time.max(1) as f64).collect();
        let all: f64 = speeds.iter().sum();
        let least = LEAST / self.0.len() as f64;
        for (share, speed) in self.0.iter_mut().zip(speeds) {
            *share = (*share + BELIEF * (speed / all - *share)).max(least);
        }
        let sum: f64 = self.0.iter().sum();
        self.0.iter_mut().for_each(|share| *share /= sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shares after many runs of threads that take so long for a unit of work.
    fn learnt(paces: &[f64], runs: usize) -> LoadBalance {
        let mut balance = LoadBalance::equal(paces.len());
        for _ in 0..runs {
            let times: Vec<u64> =
                balance.0.iter().zip(paces).map(|(share, pace)| (1e6 * share * pace) as u64).collect();
            balance.learn(&times);
        }
        balance
    }

    #[test]
    fn every_unit_belongs_to_one_thread_however_many_there_are() {
        for balance in
            [LoadBalance::equal(1), LoadBalance::equal(3), LoadBalance::equal(16), learnt(&[1.0, 1.7, 0.3], 40)]
        {
            let threads = balance.threads();
            for units in [1, 2, 5, 16, 128, 401, 785] {
                assert_eq!((balance.begin(units, 0), balance.begin(units, threads)), (0, units));
                assert!((0..threads).all(|t| balance.begin(units, t) <= balance.begin(units, t + 1)), "{balance:?}");
            }
        }
    }

    #[test]
    fn equal_threads_keep_equal_parts() {
        let balance = learnt(&[1.0, 1.02], 100);
        assert_eq!((balance.begin(128, 1), balance.begin(401, 1)), (64, 204));
    }

    #[test]
    fn a_slow_thread_gets_as_much_as_it_does_in_the_same_time() {
        let balance = learnt(&[2.0, 1.0, 1.0], 100);
        assert!((balance.0[0] - 0.2).abs() < 1e-3 && (balance.0[1] - 0.4).abs() < 1e-3, "{balance:?}");
        assert_eq!(balance.begin(128, 1), 26);
    }

    #[test]
    fn one_interruption_hardly_counts_and_a_long_one_leaves_something_to_do() {
        let mut balance = LoadBalance::equal(2);
        balance.learn(&[1_000_000, 1000]);
        assert!(balance.0[0] > 0.44, "{balance:?}");
        let balance = learnt(&[1000.0, 1.0], 1000);
        assert!((balance.0[0] - 0.1).abs() < 0.02, "{balance:?}");
    }
}
