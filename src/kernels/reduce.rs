//! A formula (see [`super::map`]) reduced along an axis: its sum, its largest number or the place of that, or the logarithm
//! of the sum of exponentials.

use super::expression::{BLOCK, Formula};
use super::{Call, Kernel, f32s_mut, read, write};
use std::ops::Range;

super::params! {
    /// Constants of one use.
    pub struct Params {
        /// R, of the formula.
        pub rows: u32,
        /// N, of the formula.
        pub columns: u32,
        /// Numbers that come out.
        pub outputs: u32,
    }
}

/// `ALONG` for all columns of a row, [R, N] → \[R\].
pub const COLUMNS: u32 = 0;
/// `ALONG` for `SIZE` neighbouring rows, column by column, [R, N] → [R/SIZE, N].
pub const ROWS: u32 = 1;

/// `KIND` for a sum.
pub const SUM: u32 = 0;
/// `KIND` for the largest number.
pub const MAX: u32 = 1;
/// `KIND` for the logarithm of the sum of exponentials.
pub const LOG_SUM_EXP: u32 = 2;
/// `KIND` for the place of the largest number, of several the first.
pub const ARG_MAX: u32 = 3;
/// `KIND` for the place of the smallest number, likewise.
pub const ARG_MIN: u32 = 4;

/// Constants before the words of the formula.
const CONSTS: usize = 5;

/// The kernel. Its outer axis are the rows of the formula or the groups of them, and of one group of all rows the columns.
/// `LANES` threads of a shader share what becomes one number.
pub static KERNEL: Kernel = Kernel {
    name: "reduce",
    wgsl: include_str!("../../shaders/reduce.wgsl"),
    bindings: &[read("a"), read("b"), read("c"), read("d"), read("e"), read("f"), read("g"), write("y")],
    params: FIELDS,
    entry: &[],
    consts: &["COLUMNS", "ALONG", "KIND", "SIZE", "LANES"],
    workgroup: [64, 1, 1],
    cpu,
    fast: Some(fast),
};

/// How many threads share what becomes one number. Where there are many such numbers or each is made of few, one thread is
/// enough; drivers that emulate a GPU are slow to let threads meet.
pub fn lanes(gpu: bool, outputs: usize, size: usize) -> u32 {
    match (gpu, outputs, size) {
        (_, _, 0..=16) | (_, 65_536.., _) | (false, 64.., _) => 1,
        (_, _, 0..=128) | (false, ..) => 8,
        _ => 64,
    }
}

/// The grid of a dispatch.
pub fn grid(params: &Params, consts: &[u32]) -> [u32; 3] {
    super::grid((params.outputs as usize).div_ceil(64 / consts[4] as usize))
}

/// Rounds of a thread: its share of what becomes one number.
pub fn rounds(consts: &[u32]) -> usize {
    (consts[3] as usize).div_ceil(consts[4] as usize)
}

/// What a call reduces.
struct Task<'a> {
    formula: Formula<'a>,
    along: u32,
    kind: u32,
    size: usize,
    columns: usize,
    /// Rows, groups of rows, or columns.
    range: Range<usize>,
    /// Whether the range is one of columns.
    across: bool,
}

impl<'a> Task<'a> {
    fn new(call: &Call<'a>) -> Self {
        let p: Params = call.params();
        let [columns, along, kind, size] = [0, 1, 2, 3].map(|at| call.consts[at]);
        let (columns, size) = (columns as usize, size as usize);
        let across = along == ROWS && size == p.rows as usize;
        let first = match (along, across) {
            (COLUMNS, _) => call.range.start,
            (_, true) => 0,
            _ => call.range.start * size,
        };
        let formula = Formula::new(call, &call.consts[CONSTS..], first);
        Self { formula, along, kind, size, columns, range: call.range.clone(), across }
    }

    /// The place of the `m`-th number of the output `at` of the range.
    fn place(&self, at: usize, m: usize) -> (usize, usize) {
        match (self.along, self.across) {
            (COLUMNS, _) => (self.range.start + at, m),
            (_, true) => (m, self.range.start + at),
            _ => ((self.range.start + at / self.columns) * self.size + m, at % self.columns),
        }
    }
}

fn cpu(mut call: Call) {
    let mut writes = std::mem::take(&mut call.writes);
    let (task, mut values) = (Task::new(&call), Vec::new());
    let outputs = task.range.len() * if task.along == COLUMNS || task.across { 1 } else { task.columns };
    for (at, y) in f32s_mut(writes[0]).iter_mut().enumerate().take(outputs) {
        let mut value = |m: usize| {
            let (r, c) = task.place(at, m);
            task.formula.at(r, c, &mut values)
        };
        let numbers: Vec<f32> = (0..task.size).map(&mut value).collect();
        *y = reduced(task.kind, &numbers);
    }
}

/// What becomes of some numbers, by the obvious loops.
fn reduced(kind: u32, numbers: &[f32]) -> f32 {
    let largest = numbers.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    match kind {
        SUM => numbers.iter().map(|&x| f64::from(x)).sum::<f64>() as f32,
        MAX => largest,
        LOG_SUM_EXP => {
            let sum: f64 = numbers.iter().map(|&x| f64::from(x - largest).exp()).sum();
            (f64::from(largest) + sum.ln()) as f32
        }
        ARG_MAX => place_of(numbers, |x, best| x > best),
        _ => place_of(numbers, |x, best| x < best),
    }
}

fn place_of(numbers: &[f32], better: impl Fn(f32, f32) -> bool) -> f32 {
    let mut best = 0;
    for (at, &x) in numbers.iter().enumerate() {
        if better(x, numbers[best]) {
            best = at;
        }
    }
    best as f32
}

/// The same with many places computed at once. What becomes one number is met in the same order whatever the range.
fn fast(mut call: Call) {
    let mut writes = std::mem::take(&mut call.writes);
    let task = Task::new(&call);
    let y = f32s_mut(writes[0]);
    let (mut scratch, mut block) = (Vec::new(), vec![0.0; BLOCK]);
    if task.along == COLUMNS {
        let several = (BLOCK / task.columns).max(1);
        let mut row_values = vec![0.0; task.columns];
        for first in task.range.clone().step_by(several) {
            let rows = first..task.range.end.min(first + several);
            let y = &mut y[first - task.range.start..][..rows.len()];
            if task.columns <= BLOCK {
                task.formula.block(rows, 0..task.columns, &mut scratch, &mut block);
                for (y, numbers) in y.iter_mut().zip(block.chunks_exact(task.columns)) {
                    *y = reduced_fast(task.kind, numbers);
                }
                continue;
            }
            for begin in (0..task.columns).step_by(BLOCK) {
                let columns = begin..task.columns.min(begin + BLOCK);
                task.formula.block(rows.clone(), columns.clone(), &mut scratch, &mut row_values[columns]);
            }
            y[0] = reduced_fast(task.kind, &row_values);
        }
        return;
    }
    // Column by column: a block of columns keeps what is known of each, and meets one row after the other.
    let (groups, columns) =
        if task.across { (0..1, task.range.clone()) } else { (task.range.clone(), 0..task.columns) };
    for (group, y) in groups.zip(y.chunks_exact_mut(columns.len())) {
        for begin in columns.clone().step_by(BLOCK) {
            let across = begin..columns.end.min(begin + BLOCK);
            let y = &mut y[begin - columns.start..][..across.len()];
            let mut known = Known::new(task.kind, across.len());
            let several = BLOCK / across.len();
            for first in (0..task.size).step_by(several) {
                let rows = group * task.size + first..group * task.size + task.size.min(first + several);
                let count = rows.len() * across.len();
                task.formula.block(rows, across.clone(), &mut scratch, &mut block[..count]);
                for (m, numbers) in (first..).zip(block[..count].chunks_exact(across.len())) {
                    known.add(m, numbers);
                }
            }
            known.finish(y);
        }
    }
}

fn reduced_fast(kind: u32, numbers: &[f32]) -> f32 {
    match kind {
        SUM => sum(numbers),
        LOG_SUM_EXP => {
            let largest = numbers.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let mut sums = [0.0; 16];
            pulp::Arch::new().dispatch(
                #[inline(always)]
                || {
                    for chunk in numbers.chunks(16) {
                        for (sum, &x) in sums.iter_mut().zip(chunk) {
                            *sum += super::math::exp_full(x - largest);
                        }
                    }
                },
            );
            (f64::from(largest) + sums.iter().map(|&sum: &f32| f64::from(sum)).sum::<f64>().ln()) as f32
        }
        _ => reduced(kind, numbers),
    }
}

/// The sum by sixteen running sums, in an order that depends on nothing but the count.
fn sum(numbers: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 16];
    for chunk in numbers.chunks(16) {
        for (sum, x) in sums.iter_mut().zip(chunk) {
            *sum += x;
        }
    }
    sums.iter().map(|&sum| f64::from(sum)).sum::<f64>() as f32
}

/// What is known of each of some columns after some rows: the sum; the largest with its place; the largest with the sum of the
/// exponentials of what the others are below it.
struct Known {
    kind: u32,
    best: Vec<f32>,
    sums: Vec<f64>,
}

impl Known {
    fn new(kind: u32, columns: usize) -> Self {
        let start = if kind == ARG_MIN { f32::INFINITY } else { f32::NEG_INFINITY };
        Self { kind, best: vec![start; columns], sums: vec![0.0; columns] }
    }

    fn add(&mut self, place: usize, numbers: &[f32]) {
        for ((best, sum), &x) in self.best.iter_mut().zip(&mut self.sums).zip(numbers) {
            match self.kind {
                SUM => *sum += f64::from(x),
                LOG_SUM_EXP if x > *best => {
                    *sum = *sum * f64::from(super::math::exp_full(*best - x)) + 1.0;
                    *best = x;
                }
                LOG_SUM_EXP => *sum += f64::from(super::math::exp_full(x - *best)),
                ARG_MIN if x < *best => (*best, *sum) = (x, place as f64),
                MAX | ARG_MAX if x > *best => (*best, *sum) = (x, place as f64),
                _ => {}
            }
        }
    }

    fn finish(self, y: &mut [f32]) {
        for ((y, best), sum) in y.iter_mut().zip(self.best).zip(self.sums) {
            *y = match self.kind {
                MAX => best,
                LOG_SUM_EXP => (f64::from(best) + sum.ln()) as f32,
                _ => sum as f32,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_equal_numbers_the_first_has_the_place() {
        let numbers = [1.0, 3.0, -2.0, 3.0, -2.0];
        for (kind, expected) in [(SUM, 3.0), (MAX, 3.0), (ARG_MAX, 1.0), (ARG_MIN, 2.0)] {
            assert_eq!(reduced(kind, &numbers), expected);
            assert_eq!(reduced_fast(kind, &numbers), expected);
            let (mut known, mut y) = (Known::new(kind, 1), [f32::NAN]);
            numbers.iter().enumerate().for_each(|(at, &x)| known.add(at, &[x]));
            known.finish(&mut y);
            assert_eq!(y, [expected]);
        }
        let exact = numbers.iter().map(|&x| f64::from(x).exp()).sum::<f64>().ln() as f32;
        for found in [reduced(LOG_SUM_EXP, &numbers), reduced_fast(LOG_SUM_EXP, &numbers)] {
            assert!((found - exact).abs() < 1e-6);
        }
        // Numbers whose exponentials would leave the range.
        assert!((reduced(LOG_SUM_EXP, &[1000.0, 1000.0]) - 1000.693_1).abs() < 1e-4);
    }
}
