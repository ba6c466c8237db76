//! Tuning: which tiling of a product or convolution is fastest, measured on the device that will compute it.
//!
//! What was measured once is kept in the user's cache folder, by device, driver, version of this program and shape. The
//! file is a convenience: one that is damaged, or that somebody else's program wrote, is as good as none.

use crate::durable;
use crate::error::{Error, Result};
use crate::exec::measure::time_judged;
use crate::exec::profile::Effort;
use crate::exec::selftest::cases::Case;
use crate::exec::{Executor, compare};
use crate::expr::MAX_WEIGHTS;
use crate::kernels::{Access, Family, StepScalars};
use crate::plan::cost::product_flops;
use crate::plan::tuning::{Tuning, candidates, key, tiling, with};
use crate::plan::{Plan, Step, Target, View};
use crate::rng::{Philox, Stream};
use bytemuck::Zeroable;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Mode {
    /// Nothing: the program's own guess.
    Off,
    /// What is not known yet, within three seconds. On a software driver only what is known already: there a candidate
    /// takes longer to compile than it could save.
    #[default]
    Auto,
    /// Everything anew, however long it takes.
    Full,
}

/// What `Mode::Auto` may take.
const BUDGET: Duration = Duration::from_secs(3);
/// How long each candidate is measured.
const EFFORT: Effort = Effort { repeats: 20, time: Duration::from_millis(25) };

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tuned {
    /// The choices for a plan's products and convolutions, measured now or before.
    pub tuning: Tuning,
    /// How many shapes were measured now.
    pub measured: usize,
    /// How many shapes there was no time for.
    pub left: usize,
    /// How many tilings gave other results than the program's own guess.
    pub wrong: usize,
}

/// Chooses tilings for the products and convolutions of a plan, those that there is most to compute of first. `cache` is the folder of what
/// was measured before, if there is one; what cannot be read or written there is not missed.
///
/// # Errors
/// Those of the executor.
pub fn tune(executor: &mut Executor, plan: &Plan, mode: Mode, cache: Option<&Path>) -> Result<Tuned> {
    let mut tuned = Tuned::default();
    if mode == Mode::Off {
        return Ok(tuned);
    }
    let mut known = cache.map(|folder| Known::read(folder, &executor.identity())).unwrap_or_default();
    let begun = Instant::now();
    for (key, step) in by_work(plan) {
        let before = known.tuning.0.get(&key).filter(|tiling| mode == Mode::Auto && candidates(step).contains(tiling));
        let chosen = if let Some(tiling) = before {
            tiling.clone()
        } else if mode == Mode::Auto && (executor.target() != Target::Gpu || begun.elapsed() >= BUDGET) {
            tuned.left += 1;
            continue;
        } else {
            let deadline = (mode == Mode::Auto).then(|| begun + BUDGET);
            let (tiling, all) = fastest(executor, step, deadline, &mut tuned.wrong)?;
            tuned.measured += 1;
            // What was chosen in haste serves this run and is looked at again in the next.
            if all {
                known.tuning.0.insert(key.clone(), tiling.clone());
            }
            tiling
        };
        tuned.tuning.0.insert(key, chosen);
    }
    if let Some(folder) = cache.filter(|_| tuned.measured > 0) {
        known.write(folder);
    }
    Ok(tuned)
}

/// The steps that have a choice, one of each key, from those whose products are the most.
fn by_work(plan: &Plan) -> Vec<(String, &Step)> {
    let mut all: Vec<(String, &Step, f64)> = Vec::new();
    for step in plan.steps.iter().filter(|step| candidates(step).len() > 1) {
        let work = match step.kernel.family {
            Family::Convolution(products) => 2.0 * products(&step.asked()),
            _ => product_flops(step),
        };
        let key = key(step);
        match all.iter_mut().find(|(known, ..)| *known == key) {
            Some((.., sum)) => *sum += work,
            None => all.push((key, step, work)),
        }
    }
    all.sort_by(|a, b| b.2.total_cmp(&a.2));
    all.into_iter().map(|(key, step, _)| (key, step)).collect()
}

/// The fastest candidate of a step, and whether there was time to try all. The step's own tiling comes first, and the
/// others have to give its results; `wrong` counts those that do not.
fn fastest(
    executor: &mut Executor,
    step: &Step,
    deadline: Option<Instant>,
    wrong: &mut usize,
) -> Result<(Vec<u32>, bool)> {
    let own = tiling(step);
    let mut all = candidates(step);
    all.sort_by_key(|tiling| *tiling != own);
    let (mut best, mut expected, mut complete) = ((f64::INFINITY, own), None::<Vec<Vec<u32>>>, true);
    let mut case = case(step);
    let untuned = case.step.clone();
    for tiling in all {
        if best.0.is_finite() && deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            complete = false;
            break;
        }
        case.step = with(&untuned, &tiling);
        let step = &case.step;
        let mut judge = |found: &[Vec<u32>]| {
            let (first, tolerance) = (expected.get_or_insert_with(|| found.to_vec()), compare::of_step(step, found));
            let written =
                step.accesses().zip(first.iter().zip(found)).filter(|((access, _), _)| *access != Access::Read);
            written.into_iter().all(|(_, (first, words))| compare::difference(first, words, tolerance).is_none())
        };
        match time_judged(executor, &case, EFFORT, &mut judge)? {
            Some((timing, _)) if timing.median < best.0 => best = (timing.median, tiling),
            Some(_) => {}
            None => *wrong += 1,
        }
    }
    Ok((best.1, complete))
}

/// The step alone, on random numbers, in buffers of its own.
fn case(step: &Step) -> Case {
    let mut random = Philox::new(0, Stream::Choice, 0, 0);
    let mut buffers = Vec::new();
    let mut step = step.clone();
    for (at, view) in step.views.iter_mut().enumerate() {
        buffers.push((0..view.words).map(|_| (random.uniform() - 0.5).to_bits()).collect());
        *view = View { buffer: at, offset: 0, ..*view };
    }
    let scalars =
        StepScalars { rows: step.outer as u32, row_weight: 1.0, weights: [1.0; MAX_WEIGHTS], ..StepScalars::zeroed() };
    Case { step, scalars, buffers }
}

/// What is known of one device.
#[derive(Debug, Default)]
struct Known {
    device: String,
    tuning: Tuning,
    others: BTreeMap<String, Tuning>,
}

/// The file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct File {
    program: String,
    devices: BTreeMap<String, Tuning>,
}

const PROGRAM: &str = env!("CARGO_PKG_VERSION");
/// A file that is larger is something else.
const MAX_BYTES: u64 = 1 << 20;

fn path(folder: &Path) -> PathBuf {
    folder.join("tuning.json")
}

impl Known {
    fn read(folder: &Path, device: &str) -> Self {
        let path = path(folder);
        let fits = std::fs::metadata(&path).is_ok_and(|found| found.is_file() && found.len() <= MAX_BYTES);
        let text = if fits { std::fs::read(&path).unwrap_or_default() } else { vec![] };
        let file: File = serde_json::from_slice(&text).unwrap_or_default();
        let mut others = if file.program == PROGRAM { file.devices } else { BTreeMap::new() };
        let tuning = others.remove(device).unwrap_or_default();
        Self { device: device.to_owned(), tuning, others }
    }

    fn write(self, folder: &Path) {
        let Self { device, tuning, others: mut devices } = self;
        devices.insert(device, tuning);
        let file = File { program: PROGRAM.to_owned(), devices };
        let text = serde_json::to_string_pretty(&file).unwrap_or_default();
        // Whoever cannot keep a result measures again next time.
        let _: std::result::Result<(), Error> =
            durable::create_folder(folder).and_then(|()| durable::replace_file(&path(folder), text.as_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(device: &str, choice: u32) -> Known {
        let tuning = Tuning([("a product".to_owned(), vec![choice])].into());
        Known { device: device.to_owned(), tuning, others: BTreeMap::new() }
    }

    /// A training step of a small model, for GPUs: tuning needs no GPU to be right.
    #[cfg(feature = "gpu")]
    fn small(encoder: &[&str]) -> Plan {
        use crate::config::{Config, Layers};
        use crate::graph::op::Source;
        use crate::model::Model;
        use crate::plan::{Resident, UpdateStep, lower};
        let mut config = Config::default();
        config.model.hidden = if encoder.is_empty() { vec![48] } else { vec![] };
        config.model.encoder_layers = Layers::words(encoder).expect("they are layers");
        let (model, binarise) = (config.model.clone(), config.data.binarise);
        let graph = Model {
            config: model,
            width: 800,
            shape: [2, 20, 20],
            source: Source::Bytes,
            binarise,
            columns: None,
            missing: false,
            classes: 0,
        }
        .train(16)
        .expect("shapes meet");
        let resident = Resident { data_words: 4, window: 0, order_words: 4, metric_slots: 1 };
        lower("train", graph, Some(UpdateStep::plain(&config.optimizer)), resident, Target::Gpu).expect("it is legal")
    }

    #[cfg(feature = "gpu")]
    #[test]
    fn every_product_gets_a_tiling_that_it_can_have_and_keeps_it() {
        use crate::exec::gpu::{Gpu, adapters};
        for adapter in adapters() {
            let mut executor = Executor::Gpu(Box::new(Gpu::open(&adapter, false).expect("it opens")));
            for plan in [small(&[]), small(&["conv 8 kernel 4 stride 4", "relu"])] {
                let folder = tempfile::tempdir().expect("there is room");
                assert_eq!(tune(&mut executor, &plan, Mode::Off, None), Ok(Tuned::default()));
                let full = tune(&mut executor, &plan, Mode::Full, Some(folder.path())).expect("it runs");
                let products: Vec<&Step> = plan.steps.iter().filter(|step| candidates(step).len() > 1).collect();
                assert_eq!((full.measured, full.left, full.wrong), (products.len(), 0, 0));
                assert_eq!(full.tuning.0.len(), products.len());
                for step in products {
                    assert!(candidates(step).contains(&full.tuning.0[&key(step)]), "{}", key(step));
                }
                let again = tune(&mut executor, &plan, Mode::Auto, Some(folder.path())).expect("it runs");
                assert_eq!((again.tuning, again.measured, again.left), (full.tuning, 0, 0));
            }
        }
    }

    #[test]
    fn what_was_measured_is_found_again_for_its_device_alone() {
        let folder = tempfile::tempdir().expect("there is room");
        known("one", 1).write(folder.path());
        let mut two = Known::read(folder.path(), "two");
        assert_eq!(two.tuning, Tuning::default());
        two.tuning = known("two", 2).tuning;
        two.write(folder.path());
        for (device, choice) in [("one", 1), ("two", 2)] {
            assert_eq!(Known::read(folder.path(), device).tuning, known(device, choice).tuning);
        }
    }

    #[test]
    fn a_file_that_is_damaged_or_another_version_s_is_as_good_as_none() {
        let folder = tempfile::tempdir().expect("there is room");
        known("one", 1).write(folder.path());
        let whole = std::fs::read_to_string(path(folder.path())).expect("it was written");
        for text in ["", "{", "[]", &whole[..whole.len() / 2], &whole.replace(PROGRAM, "0.0.0-older")] {
            std::fs::write(path(folder.path()), text).expect("it can be written");
            assert_eq!(Known::read(folder.path(), "one").tuning, Tuning::default(), "{text}");
        }
        std::fs::remove_file(path(folder.path())).expect("it is there");
        std::fs::create_dir(path(folder.path())).expect("it can be made");
        assert_eq!(Known::read(folder.path(), "one").tuning, Tuning::default());
        known("one", 1).write(folder.path());
    }
}
