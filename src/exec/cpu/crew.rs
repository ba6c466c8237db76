//! How many threads work on a run of a plan: as many as do it fastest. To meet costs threads some microseconds, more where other
//! programs want their processors, and the steps of a small network take no longer than that. How many there are changes no bit of
//! what is computed, so they may follow the clock.

use std::time::Duration;

/// Runs that are measured together, at most: to begin with them takes little beside them.
pub const PORTION: usize = 32;

/// Seconds of a run from which on nothing is tried: then it is worth while to meet, and a trial would be long.
const LONG: f64 = 2e-3;

/// Portions that are measured before another number is tried, and of that.
const TRIES: usize = 3;

/// What another number has to take of the time to be better.
const BETTER: f64 = 0.95;

/// Seconds of work until another number is tried again: what was best need not stay so.
const AGAIN: f64 = 10.0;

/// Floating-point operations of a run with which one thread begins rather than all.
const FEW: f64 = 2e6;

/// The threads of a plan.
#[derive(Debug)]
pub struct Crew {
    most: usize,
    count: usize,
    /// Whether the next number to be tried is a smaller one.
    fewer: bool,
    /// The number that was best so far, with the seconds of a run, while another is tried.
    best: Option<(usize, f64)>,
    /// The least seconds of a run with this number since it was chosen, in how many portions, and how long they took together.
    fastest: f64,
    portions: usize,
    worked: f64,
    /// Seconds of work until another number is tried.
    patience: f64,
}

impl Crew {
    /// Up to `most` threads for a plan of so many floating-point operations.
    pub fn new(most: usize, flops: f64) -> Self {
        let count = if flops < FEW { 1 } else { most };
        let fewer = count > 1;
        Self { most, count, fewer, best: None, fastest: f64::INFINITY, portions: 0, worked: 0.0, patience: 0.0 }
    }

    /// How many work now.
    pub fn count(&self) -> usize {
        self.count
    }

    /// So many runs took so long. Gives whether others work from now on.
    pub fn took(&mut self, runs: usize, time: Duration) -> bool {
        let (before, seconds) = (self.count, time.as_secs_f64());
        self.fastest = self.fastest.min(seconds / runs.max(1) as f64);
        self.portions += 1;
        self.worked += seconds;
        if self.portions >= TRIES {
            match self.best.take() {
                Some((_, pace)) if self.fastest < BETTER * pace => self.choose(self.count, 0.0),
                Some((count, _)) => {
                    self.fewer = !self.fewer;
                    self.choose(count, AGAIN);
                }
                None if self.worked >= self.patience && self.fastest < LONG => self.try_next(),
                None => {}
            }
        }
        self.count != before
    }

    /// Half as many or twice as many, where there are any.
    fn try_next(&mut self) {
        let next = if self.fewer { self.count / 2 } else { (2 * self.count).min(self.most) };
        if next == 0 || next == self.count {
            self.fewer = !self.fewer;
            return self.choose(self.count, AGAIN);
        }
        let tried = Some((self.count, self.fastest));
        self.choose(next, 0.0);
        self.best = tried;
    }

    fn choose(&mut self, count: usize, patience: f64) {
        (self.count, self.patience) = (count, patience);
        (self.fastest, self.portions, self.worked) = (f64::INFINITY, 0, 0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many work in each portion, where a run takes so many seconds by their number.
    fn counts(crew: &mut Crew, portions: usize, seconds: impl Fn(usize) -> f64) -> Vec<usize> {
        let portion = |_| {
            let count = crew.count();
            let changed = crew.took(PORTION, Duration::from_secs_f64(PORTION as f64 * seconds(count)));
            assert_eq!(changed, crew.count() != count);
            count
        };
        (0..portions).map(portion).collect()
    }

    /// Work that threads share, and what it costs them to meet.
    fn shared(work: f64, meeting: f64) -> impl Fn(usize) -> f64 {
        move |count| work / count as f64 + meeting * (count - 1) as f64
    }

    #[test]
    fn as_many_work_as_do_it_fastest() {
        for (most, flops, work, meeting, best) in [
            (2, 1e5, 3e-5, 1e-4, 1),
            (2, 3e7, 1e-3, 1e-4, 2),
            (2, 1e5, 1e-3, 1e-4, 2),
            (2, 3e7, 3e-5, 1e-4, 1),
            (16, 3e7, 1e-3, 5e-5, 4),
            (16, 1e5, 1e-3, 5e-5, 4),
            (12, 1e5, 1e-4, 1e-7, 12),
            (1, 1e5, 1e-4, 1e-4, 1),
        ] {
            let mut crew = Crew::new(most, flops);
            let counts = counts(&mut crew, 60, shared(work, meeting));
            let often = counts[30..].iter().filter(|&&count| count == best).count();
            assert!(often >= 24, "{most} threads, {work} s and {meeting} s: {counts:?}");
        }
    }

    #[test]
    fn long_runs_are_left_to_all() {
        assert!(counts(&mut Crew::new(16, 1e9), 1000, shared(1.0, 1.0)).iter().all(|&count| count == 16));
    }

    #[test]
    fn another_number_is_tried_seldom_and_taken_once_it_is_better() {
        let mut crew = Crew::new(2, 1e5);
        let alone = counts(&mut crew, 30_000, shared(3e-5, 1e-4));
        let tried = alone.iter().filter(|&&count| count == 2).count();
        // Half a minute of work.
        assert!((TRIES..=5 * TRIES).contains(&tried), "{tried} portions with two threads");
        counts(&mut crew, 30_000, shared(3e-5, 1e-6));
        assert_eq!(crew.count(), 2);
    }
}
