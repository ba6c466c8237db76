//! What the device is told of an update: noise, learning rate, weights of the loss.

use crate::checkpoint::TrainerState;
use crate::config::{Config, Curve, NotFinite, OptimizerConfig, Reduction, ScheduleConfig};
use crate::data::batches::Batch;
use crate::kernels::StepScalars;
use crate::model::{Phase, phases};
use crate::ranks::Ranks;
use crate::rng::{Stream, key};
use bytemuck::Zeroable;
use std::ops::Range;

/// An update of the parameters, and where in a run it stands.
#[derive(Debug, Clone, Copy)]
pub struct Update {
    /// Its number over the whole run, from 0.
    pub step: u64,
    /// Updates of an epoch.
    pub per_epoch: usize,
    /// Its number among those whose terms are kept until the host reads them, from 0.
    pub slot: usize,
    /// The examples it is made of.
    pub batch: Batch,
}

impl Update {
    /// The positions of the batch that a rank takes, in all of its `parts` runs.
    pub fn positions(&self, parts: usize, ranks: &Ranks) -> Range<usize> {
        let [begin, end] =
            [0, parts].map(|part| (ranks.rank() * parts + part) * self.batch.rows / (ranks.count() * parts));
        self.batch.first + begin..self.batch.first + end
    }

    /// The part of the batch that one of the runs of this update takes. A batch that does not divide evenly is spread out, so
    /// that every update has as many runs.
    pub fn part(&self, part: usize, parts: usize) -> Batch {
        let Batch { first, rows } = self.batch;
        let [begin, end] = [part, part + 1].map(|part| part * rows / parts);
        // A run of no rows still looks at an example, which weighs nothing.
        Batch { first: (first + begin).min(first + rows - 1), rows: end - begin }
    }
}

/// What the device is told of one of the runs that make up an update by the first phase of a step.
pub fn scalars(config: &Config, course: &TrainerState, update: &Update, part: usize) -> StepScalars {
    scalars_of(config, &phases(config)[0], course, update, part)
}

/// What the device is told of one of the runs that make up a phase of an update; their terms go to rows of the metrics that
/// follow each other.
pub fn scalars_of(config: &Config, phase: &Phase, course: &TrainerState, update: &Update, part: usize) -> StepScalars {
    scalars_of_rank(config, phase, course, update, (part, &Ranks::default()))
}

/// The same on one of several ranks: the parts of a batch are those of rank 0, then those of rank 1, and so on, as if one process
/// took all of them.
pub fn scalars_of_rank(
    config: &Config,
    phase: &Phase,
    course: &TrainerState,
    update: &Update,
    (part, ranks): (usize, &Ranks),
) -> StepScalars {
    let parts = config.train.accumulate;
    let Batch { first, rows } = update.part(ranks.rank() * parts + part, ranks.count() * parts);
    let [correction1, correction2] = corrections(&phase.optimizer, phase.updates_before(update.step));
    // The gradient of a run is that of the mean over its rows.
    let share = match phase.optimizer.gradient {
        Reduction::Mean => rows as f32 / update.batch.rows as f32,
        Reduction::Sum => rows as f32,
    };
    StepScalars {
        step: update.step as u32,
        rows: rows as u32,
        first: first as u32,
        slot: (update.slot * parts + part) as u32,
        key: noise(config.train.seed, course),
        stream: Stream::Noise as u32,
        row_weight: if rows > 0 { 1.0 / rows as f32 } else { 0.0 },
        lr: learning_rate(config, phase.optimizer.lr, course, update),
        correction1,
        correction2,
        weights: phase.weights.at(update.step as f64 / update.per_epoch as f64, share),
        ..StepScalars::zeroed()
    }
}

/// The key of a run's noise, which is another one after each time that the run went back.
fn noise(seed: u64, course: &TrainerState) -> [u32; 2] {
    /// 2⁶⁴ divided by the golden ratio: multiples of it are spread over all words.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    key(seed.wrapping_add(SPREAD.wrapping_mul(course.rollbacks.into())))
}

/// The learning rate of an update, which is `top` at the top of the schedule.
pub fn learning_rate(config: &Config, top: f32, course: &TrainerState, update: &Update) -> f32 {
    let schedule = &config.schedule;
    let per_epoch = update.per_epoch as f64;
    let warmup = f64::from(schedule.warmup) * per_epoch;
    let step = update.step as f64;
    let rising = if step < warmup { (step + 1.0) / warmup } else { 1.0 };
    let curve = match schedule.curve {
        Curve::Constant => 1.0,
        Curve::Steps => stepped(schedule, update.step / update.per_epoch.max(1) as u64),
        Curve::Cosine => {
            let whole = config.train.epochs as f64 * per_epoch - warmup;
            let done = ((step - warmup) / whole.max(1.0)).clamp(0.0, 1.0);
            let least = f64::from(schedule.min_factor);
            least + (1.0 - least) * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())
        }
        Curve::Plateau => {
            f64::from(schedule.gamma[0]).powi(course.reductions as i32).max(f64::from(schedule.min_factor))
        }
    };
    let lowered = match config.train.not_finite {
        NotFinite::Rollback => 0.5_f64.powi(course.rollbacks as i32),
        NotFinite::Stop | NotFinite::Skip => 1.0,
    };
    // The usual case stays free of rounding.
    (f64::from(top) * rising.min(1.0) * curve * lowered) as f32
}

/// The factor of the schedule `steps` after so many epochs.
fn stepped(schedule: &ScheduleConfig, epochs: u64) -> f64 {
    let passed = schedule.milestones.iter().filter(|&&after| after as u64 <= epochs).count();
    match (&schedule.gamma[..], passed) {
        (_, 0) => 1.0,
        ([factor], _) => f64::from(*factor).powi(passed as i32),
        (factors, _) => f64::from(factors[passed - 1]),
    }
}

/// 1 − β1ᵗ and 1 − β2ᵗ for the step counted from 0, from the betas as the device knows them.
///
/// With epsilon-hat, a step is lr·√c2/c1 · m/(√v + eps): the device gets c1/√c2 and 1.
fn corrections(optimizer: &OptimizerConfig, step: u64) -> [f32; 2] {
    let [first, second] = [optimizer.beta1, optimizer.beta2].map(|beta| 1.0 - f64::from(beta).powf((step + 1) as f64));
    if optimizer.eps_hat { [(first / second.sqrt()) as f32, 1.0] } else { [first as f32, second as f32] }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Learning rates of updates of a run of 4 epochs of 10 updates.
    fn rates(change: impl Fn(&mut Config), course: TrainerState, steps: &[u64]) -> Vec<f32> {
        let mut config = Config::default();
        (config.optimizer.lr, config.train.epochs) = (1.0, 4);
        change(&mut config);
        let rate = |&step: &u64| {
            let update = Update { step, per_epoch: 10, slot: 0, batch: Batch { first: 0, rows: 4 } };
            learning_rate(&config, config.optimizer.lr, &course, &update)
        };
        steps.iter().map(rate).collect()
    }

    #[test]
    fn every_curve_is_what_it_is_called() {
        type Row = (&'static str, fn(&mut Config), Vec<u64>, Vec<f32>);
        let rows: Vec<Row> = vec![
            ("constant", |_| {}, vec![0, 9, 39], vec![1.0, 1.0, 1.0]),
            ("warm-up", |c| c.schedule.warmup = 0.4, vec![0, 1, 2, 3, 4], vec![0.25, 0.5, 0.75, 1.0, 1.0]),
            (
                "steps by one factor",
                |c| (c.schedule.curve, c.schedule.milestones) = (Curve::Steps, vec![1, 3]),
                vec![9, 10, 29, 30],
                vec![1.0, 0.1, 0.1, 0.01],
            ),
            (
                "steps by a factor each",
                |c| {
                    (c.schedule.curve, c.schedule.milestones) = (Curve::Steps, vec![1, 3]);
                    c.schedule.gamma = vec![0.72, 0.5];
                },
                vec![0, 10, 30, 39],
                vec![1.0, 0.72, 0.5, 0.5],
            ),
            ("cosine", |c| c.schedule.curve = Curve::Cosine, vec![0, 20, 40, 50], vec![1.0, 0.5, 0.0, 0.0]),
            (
                "cosine after a warm-up, to a tenth",
                |c| (c.schedule.curve, c.schedule.warmup, c.schedule.min_factor) = (Curve::Cosine, 2.0, 0.1),
                vec![9, 20, 30, 40],
                vec![0.5, 1.0, 0.55, 0.1],
            ),
            ("plateau", |c| c.schedule.curve = Curve::Plateau, vec![0, 39], vec![0.01, 0.01]),
            (
                "plateau to a limit",
                |c| (c.schedule.curve, c.schedule.min_factor) = (Curve::Plateau, 0.25),
                vec![0],
                vec![0.25],
            ),
        ];
        for (what, change, steps, expected) in rows {
            let found = rates(change, TrainerState { reductions: 2, ..TrainerState::default() }, &steps);
            let near = found.iter().zip(&expected).all(|(found, expected)| (found - expected).abs() < 1e-6);
            assert!(near, "{what}: {found:?}, expected {expected:?}");
        }
    }

    #[test]
    fn the_rates_of_the_iwae_paper_are_met() {
        let change = |c: &mut Config| {
            (c.optimizer.lr, c.schedule.curve) = (1e-3, Curve::Steps);
            c.schedule.milestones = vec![1, 4, 13, 40, 121, 364, 1093];
            c.schedule.gamma = vec![0.72, 0.52, 0.37, 0.27, 0.19, 0.14, 0.1];
        };
        let starts = [0, 10, 40, 130, 400, 1210, 3640, 10930];
        let found = rates(change, TrainerState::default(), &starts);
        for (i, rate) in found.iter().enumerate() {
            let tenths = (10.0_f64.powf(1.0 - i as f64 / 7.0) * 10.0).round() / 10.0;
            // The rate and its factor are each rounded to single precision.
            assert!((f64::from(*rate) / (1e-4 * tenths) - 1.0).abs() < 2e-7, "stage {}: {rate}", i + 1);
        }
    }

    #[test]
    fn going_back_halves_the_rate_and_changes_the_noise() {
        let course = |rollbacks| TrainerState { rollbacks, ..TrainerState::default() };
        for (rollbacks, expected) in [(0, 1.0), (1, 0.5), (3, 0.125)] {
            assert_eq!(rates(|_| {}, course(rollbacks), &[7]), [expected]);
            assert_eq!(noise(5, &course(rollbacks)) == key(5), rollbacks == 0);
        }
    }

    #[test]
    fn the_parts_of_a_batch_are_the_batch() {
        for (rows, parts) in [(32, 4), (7, 4), (3, 4), (5, 1)] {
            let update = Update { step: 0, per_epoch: 1, slot: 0, batch: Batch { first: 10, rows } };
            let all: Vec<Batch> = (0..parts).map(|part| update.part(part, parts)).collect();
            let examples = all.iter().flat_map(|batch| batch.first..batch.first + batch.rows);
            assert!(examples.eq(10..10 + rows), "{rows} in {parts}");
            assert!(all.iter().all(|batch| batch.rows <= rows.div_ceil(parts) && batch.first < 10 + rows));
        }
    }

    #[test]
    fn epsilon_hat_is_added_before_the_correction() {
        let (m, v, eps) = (0.3_f64, 0.04_f64, 1e-2_f64);
        let optimizer = |eps_hat| OptimizerConfig { eps_hat, ..Config::default().optimizer };
        let change = |[c1, c2]: [f32; 2]| m / f64::from(c1) / ((v / f64::from(c2)).sqrt() + eps);
        let [c1, c2] = corrections(&optimizer(false), 4).map(f64::from);
        let expected = c2.sqrt() / c1 * m / (v.sqrt() + eps);
        assert!((change(corrections(&optimizer(true), 4)) / expected - 1.0).abs() < 1e-6);
        assert!((change(corrections(&optimizer(false), 4)) / expected - 1.0).abs() > 1e-2);
    }
}
