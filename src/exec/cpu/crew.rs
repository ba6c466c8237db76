//! Whether one thread works on a run of a plan or all do, whatever is faster. To meet costs threads some microseconds, more where
//! other programs want their processors, and a run of a small network takes no longer than that. How many there are changes no bit of
//! what is computed, so it may follow the clock.

use crate::plan::cost::Cost;
use std::time::Duration;

/// Runs that are measured together, at most: to begin with them takes little beside them.
pub const PORTION: usize = 32;

/// Portions that are measured of either number.
const TRIES: usize = 8;

/// What the other number has to take of the time to be better.
const BETTER: f64 = 0.95;

/// Seconds of work until the other number is tried again: what was better need not stay so.
const AGAIN: f64 = 10.0;

/// Seconds of a run from which on all threads work and nothing is tried: then it is worth while to meet, and a trial would be long.
const LONG: f64 = 2e-3;

/// Seconds that a run may take by its cost for one thread to begin with it.
const SHORT: f64 = 1e-4;

/// The threads of a plan.
#[derive(Debug)]
pub struct Crew {
    /// Whether there are several threads.
    several: bool,
    alone: bool,
    /// The seconds of a run with the number that was better so far, while the other is tried.
    known: Option<f64>,
    /// Seconds of work until a trial.
    rest: f64,
    /// What was measured since: portions, runs and seconds.
    portions: usize,
    runs: usize,
    seconds: f64,
}

impl Crew {
    /// Up to so many threads for a plan whose run costs so much.
    pub fn new(threads: usize, cost: Cost) -> Self {
        let several = threads > 1;
        // What one thread of an old processor does.
        let alone = !several || cost.flops / 1e10 + cost.bytes / 5e9 < SHORT;
        Self { several, alone, known: None, rest: 0.0, portions: 0, runs: 0, seconds: 0.0 }
    }

    /// Whether one thread works by itself now.
    pub fn is_alone(&self) -> bool {
        self.alone
    }

    /// So many runs took so long.
    pub fn took(&mut self, runs: usize, time: Duration) {
        let seconds = time.as_secs_f64();
        if !self.several || self.rest > 0.0 {
            self.rest -= seconds;
            return;
        }
        self.portions += 1;
        self.runs += runs;
        self.seconds += seconds;
        let pace = self.seconds / self.runs.max(1) as f64;
        if self.alone && pace > LONG {
            // One portion says so, and others would be long.
            return self.begin(false, None, AGAIN);
        }
        if self.portions < TRIES {
            return;
        }
        match self.known {
            Some(known) if pace > BETTER * known => self.begin(!self.alone, None, AGAIN),
            None if pace < LONG => self.begin(!self.alone, Some(pace), 0.0),
            _ => self.begin(self.alone, None, AGAIN),
        }
    }

    fn begin(&mut self, alone: bool, known: Option<f64>, rest: f64) {
        let several = self.several;
        *self = Self { several, alone, known, rest, portions: 0, runs: 0, seconds: 0.0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Cost = Cost { flops: 1e5, bytes: 1e4 };
    const LARGE: Cost = Cost { flops: 3e8, bytes: 1e7 };

    /// Whether one works in each portion, where a run takes so many seconds with one and with all.
    fn portions(crew: &mut Crew, count: usize, [one, all]: [f64; 2]) -> Vec<bool> {
        let portion = |_| {
            let alone = crew.is_alone();
            crew.took(PORTION, Duration::from_secs_f64(PORTION as f64 * if alone { one } else { all }));
            alone
        };
        (0..count).map(portion).collect()
    }

    #[test]
    fn whatever_is_faster_is_kept_however_it_began() {
        for cost in [SMALL, LARGE] {
            for (seconds, alone) in [([3e-5, 1e-4], true), ([1e-3, 6e-4], false), ([1e-4, 9.9e-5], cost == SMALL)] {
                let found = portions(&mut Crew::new(2, cost), 3 * TRIES, seconds);
                assert_eq!(found[0], cost == SMALL);
                assert!(found[2 * TRIES..].iter().all(|&found| found == alone), "{cost:?}, {seconds:?}: {found:?}");
            }
        }
    }

    #[test]
    fn long_runs_are_left_to_all() {
        for cost in [SMALL, LARGE] {
            let found = portions(&mut Crew::new(16, cost), 1000, [5e-3, 3e-3]);
            assert!(found[1..].iter().all(|alone| !alone), "{found:?}");
        }
        assert!(portions(&mut Crew::new(1, LARGE), 1000, [5e-3, 3e-3]).iter().all(|&alone| alone));
    }

    #[test]
    fn the_other_number_is_tried_seldom_and_taken_once_it_is_better() {
        let mut crew = Crew::new(2, SMALL);
        // Half a minute of work.
        let found = portions(&mut crew, 30_000, [3e-5, 1e-4]);
        assert_eq!(found.iter().filter(|alone| !**alone).count(), 3 * TRIES);
        portions(&mut crew, 30_000, [3e-5, 1e-6]);
        assert!(!crew.is_alone());
    }

    /// A moment in which others do not want the processors is no measure of the time that they do.
    #[test]
    fn what_counts_is_the_time_of_all_runs_and_not_of_the_fastest() {
        let mut crew = Crew::new(2, LARGE);
        for portion in 0..TRIES {
            crew.took(PORTION, Duration::from_micros(PORTION as u64 * if portion == 3 { 20 } else { 80 }));
        }
        assert!(portions(&mut crew, 2 * TRIES, [2.5e-5, 8e-5]).iter().all(|&alone| alone));
    }
}
