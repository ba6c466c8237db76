//! How fast a device is at one step, and at best.
//!
//! Nothing is timed before it is known to be right: [`time`] compares with the twin first, on as many parts of the outer
//! axis as take a moment. Whoever chooses between variants of a kernel can give each an [`Effort`] and leave out those
//! that are [`Outcome::Wrong`].

use super::profile::{Clock, Effort, Timing};
use super::selftest::cases::{Case, Size, case, settings};
use super::{Executor, compare, twin};
use crate::error::{Error, Result};
use crate::kernels::matmul::Entry;
use crate::kernels::{Access, Kernel, matmul_texels};
use crate::plan::cost::{is_product, product_flops, table};
use crate::plan::{Plan, Step, Target};
use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

/// Operations that the twin may take for a check: a few tenths of a second.
const TWIN: f64 = 1e8;

/// The most parts of the outer axis that are checked, where not all of it is.
const PARTS: usize = 16;

/// Constants that every product kernel has, and that say what it computes rather than how.
const COMMON: [&str; 6] = ["TRANSPOSE_A", "TRANSPOSE_B", "BIAS", "ONES", "EPILOGUE", "ACTIVATION"];

/// What came of a measurement.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The step is right, and how long it takes.
    Right(Timing, Clock),
    /// The step differs from its twin, and how.
    Wrong(String),
}

/// Times the step of a case on a device, in buffers of its own, after comparing it with its twin.
///
/// # Errors
/// [`Error::Device`] where the device fails or has too little memory. A step that differs from its twin is no error:
/// [`Outcome::Wrong`].
pub fn time(executor: &mut Executor, case: &Case, effort: Effort) -> Result<Outcome> {
    let mut difference = None;
    let mut judge = |found: &[Vec<u32>]| {
        difference = differs(case, found);
        difference.is_none()
    };
    Ok(match (time_judged(executor, case, effort, &mut judge)?, difference) {
        (Some(found), _) => Outcome::Right(found.0, found.1),
        (None, difference) => Outcome::Wrong(difference.unwrap_or_default()),
    })
}

/// Times the step of a case, if `judge` finds what it left in its bindings right.
///
/// # Errors
/// [`Error::Device`] where the device fails or has too little memory.
pub fn time_judged(
    executor: &mut Executor,
    case: &Case,
    effort: Effort,
    mut judge: &mut dyn FnMut(&[Vec<u32>]) -> bool,
) -> Result<Option<(Timing, Clock)>> {
    let samples = match executor {
        Executor::Cpu(cpu) => cpu.time_case(case, effort, &mut judge),
        #[cfg(feature = "gpu")]
        Executor::Gpu(gpu) => gpu.time_case(case, effort, &mut judge),
    }?;
    Ok(samples.map(|samples| (Timing::of(samples.steps.into_iter().flatten().collect()), samples.clock)))
}

/// Times the step of a case as [`time`] does, and takes a step that differs from its twin for an error.
///
/// # Errors
/// [`Error::Bug`] where the step differs from its twin.
pub fn time_right(executor: &mut Executor, case: &Case, effort: Effort) -> Result<(Timing, Clock)> {
    match time(executor, case, effort)? {
        Outcome::Right(timing, clock) => Ok((timing, clock)),
        Outcome::Wrong(difference) => Err(Error::Bug(format!(
            "{} {:?}, {}, on {}: {difference}; nothing was timed",
            case.step.kernel.name,
            case.step.consts,
            case.step.what,
            executor.name()
        ))),
    }
}

/// How what a device computed differs from the twin, on parts of the outer axis.
fn differs(case: &Case, found: &[Vec<u32>]) -> Option<String> {
    let step = &case.step;
    let mut expected = case.buffers.clone();
    let tolerance = compare::of_step(step, &case.buffers);
    for range in parts(step) {
        twin::call(step.kernel.cpu, step, range.clone(), &case.scalars, &mut expected);
        for (i, (access, view)) in step.accesses().enumerate() {
            if access == Access::Read {
                continue;
            }
            let words = if view.split {
                let unit = view.words / (step.outer / step.unit);
                range.start / step.unit * unit..range.end / step.unit * unit
            } else {
                0..view.words
            };
            if let Some(difference) =
                compare::difference(&expected[i][words.clone()], &found[i][words.clone()], tolerance)
            {
                let (name, first) = (step.kernel.bindings[i].name, words.start);
                return Some(format!("differs from its twin at binding {name}, from word {first} on: {difference}"));
            }
        }
    }
    None
}

/// The outer axis, or the parts of it that the twin of a large product has the time for: its first and last unit, and
/// some between them.
fn parts(step: &Step) -> Vec<Range<usize>> {
    let units = step.outer / step.unit;
    let operations = product_flops(step);
    if operations <= TWIN || units <= PARTS {
        return std::iter::once(0..step.outer).collect();
    }
    let parts = (TWIN / operations * units as f64).clamp(2.0, PARTS as f64) as usize;
    let unit = |part: usize| part * (units - 1) / (parts - 1) * step.unit;
    (0..parts).map(|part| unit(part)..unit(part) + step.unit).collect()
}

/// The kernels of a plan that are products, each once.
pub fn products(plan: &Plan) -> Vec<&'static Kernel> {
    let mut found: Vec<&'static Kernel> = Vec::new();
    for step in plan.steps.iter().filter(|step| is_product(step)) {
        if found.iter().all(|kernel| kernel.name != step.kernel.name) {
            found.push(step.kernel);
        }
    }
    found
}

/// The constants of every variant of a product kernel: C = A·B with nothing around it, operands stored as their
/// transposes or not.
pub fn variants(kernel: &Kernel, transposed: [bool; 2]) -> Vec<Vec<u32>> {
    let plain = [u32::from(transposed[0]), u32::from(transposed[1]), 0, 0, 0, 0];
    // What follows the constants that all products have tells the variants apart.
    let ways: BTreeSet<Vec<u32>> =
        settings(kernel).iter().map(|consts| consts[plain.len()..kernel.consts.len()].to_vec()).collect();
    ways.into_iter().map(|way| [&plain[..], &way].concat()).collect()
}

/// A product [m, k]·[k, n] of random numbers; none where the kernel does not compute products of this shape.
pub fn product_case(kernel: &'static Kernel, consts: &[u32], [m, n, k]: [usize; 3]) -> Option<Case> {
    let case = case(kernel, consts, Size { rows: m, width: n, depth: k })?;
    let entry = *table::<Entry>(&case.step).first()?;
    let suits = kernel.name != matmul_texels::KERNEL.name || matmul_texels::suits(&entry, consts);
    let asked = [m, n, k].map(|extent| extent as u32);
    ([entry.m, entry.n, entry.k] == asked && suits).then_some(case)
}

/// A variant of a product kernel for people: its name, and the constants that tell it from others, as in
/// `matmul tile_m=64 tile_n=32`.
pub fn variant_name(kernel: &Kernel, consts: &[u32]) -> String {
    let own = kernel.consts.iter().zip(consts).filter(|(name, _)| !COMMON.contains(name));
    let own = own.map(|(name, value)| format!("{}={value}", name.to_lowercase()));
    std::iter::once(kernel.name.to_owned()).chain(own).collect::<Vec<_>>().join(" ")
}

/// The best that a device was seen to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Peak {
    /// Floating-point operations per second, in a product.
    pub flops: f64,
    /// Bytes read and written per second, in a copy.
    pub bytes: f64,
    /// What was measured, in words.
    pub how: String,
}

/// Sides of the square products, each only if the one before it was quick.
const SIDES: [usize; 4] = [512, 1024, 2048, 4096];
/// What the largest product may take, in seconds: drivers reset a device that is busy for long.
const SLOW: f64 = 0.15;
/// A variant that takes more than this many times as long as the best one is not tried on larger products.
const BEHIND: f64 = 1.5;
/// How long each of them is measured.
const EFFORT: Effort = Effort { repeats: 10, time: Duration::from_millis(150) };

/// Measures the best of the variants of some product kernels, in sizes that fill the device, and a copy too large for
/// its caches. Takes a second or two.
///
/// # Errors
/// Those of [`time_right`].
pub fn peak(executor: &mut Executor, products: &[&'static Kernel]) -> Result<Peak> {
    let all =
        |kernel: &&'static Kernel| variants(kernel, [false; 2]).into_iter().map(|c| (*kernel, c)).collect::<Vec<_>>();
    let mut candidates: Vec<(&'static Kernel, Vec<u32>)> = products.iter().flat_map(all).collect();
    let (mut flops, mut best) = (0.0, String::new());
    for side in SIDES {
        let mut timed = Vec::new();
        for (kernel, consts) in candidates {
            let Some(case) = product_case(kernel, &consts, [side; 3]) else { continue };
            let (timing, _) = time_right(executor, &case, EFFORT)?;
            timed.push((timing.least, kernel, consts));
        }
        let Some((least, kernel, consts)) = timed.iter().min_by(|a, b| a.0.total_cmp(&b.0)) else { break };
        let rate = 2.0 * (side as f64).powi(3) / least;
        if rate > flops {
            (flops, best) = (rate, format!("{side}x{side}x{side} by {}", variant_name(kernel, consts)));
        }
        // Twice the side takes eight times as long.
        let bound = (least * BEHIND).min(SLOW / 8.0);
        candidates =
            timed.into_iter().filter(|(time, ..)| *time <= bound).map(|(_, kernel, consts)| (kernel, consts)).collect();
    }
    let words = if executor.target() == Target::Gpu { 1 << 25 } else { 1 << 24 };
    let copied = match executor {
        Executor::Cpu(cpu) => cpu.time_copy(words, EFFORT),
        #[cfg(feature = "gpu")]
        // Not every driver copies as fast as a kernel does.
        Executor::Gpu(gpu) => {
            let copied = gpu.time_copy(words, EFFORT)?;
            let (kernel, _) = time_right(executor, &copy(words), EFFORT)?;
            [copied, vec![kernel.least]].concat()
        }
    };
    let bytes = 8.0 * words as f64 / Timing::of(copied).least;
    let how = format!("a product {best} and a copy of {} MiB", words >> 18);
    Ok(Peak { flops, bytes, how })
}

/// A copy by a kernel.
#[cfg(feature = "gpu")]
fn copy(words: usize) -> Case {
    use crate::kernels::{StepScalars, combine};
    use crate::plan::View;
    use bytemuck::Zeroable;
    let params = combine::Params { count: words as u32, alpha: 1.0, beta: 0.0 };
    let view = |buffer, words, split| View { buffer, offset: 0, words, split };
    let step = Step {
        kernel: &combine::KERNEL,
        consts: vec![combine::SCALED],
        params: bytemuck::cast_slice(&[params]).to_vec(),
        views: vec![view(0, words, true), view(1, 4, false), view(2, words, true)],
        outer: words,
        unit: 1,
        grid: combine::grid(&params),
        what: format!("a copy of {words} words"),
    };
    let source = (0..words).map(|i| (i as f32).to_bits()).collect();
    Case { step, scalars: StepScalars::zeroed(), buffers: vec![source, vec![0; 4], vec![0; words]] }
}
