//! A formula (see [`crate::kernels::map`]) reduced along an axis: its sum, its largest number or the place of that, or the logarithm
//! of the sum of exponentials.

use crate::kernels::expression::{BLOCK, Formula, differences};
use crate::kernels::{Asked, Call, Kernel, Sum, f32s_mut, read, write};
use std::ops::Range;

crate::kernels::params! {
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
/// `ALONG` for `SIZE` rows that lie R/SIZE apart, likewise.
pub const TILES: u32 = 2;

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
    wgsl: include_str!("../../../shaders/formula/reduce.wgsl"),
    bindings: &[read("a"), read("b"), read("c"), read("d"), read("e"), read("f"), read("g"), write("y")],
    params: FIELDS,
    entry: &[],
    consts: &["COLUMNS", "ALONG", "KIND", "SIZE", "LANES"],
    workgroup: [64, 1, 1],
    cpu,
    fast: Some(fast),
    sums,
    loop_iterations,
    family: crate::kernels::Family::Alone,
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
    crate::kernels::grid((params.outputs as usize).div_ceil(64 / consts[4] as usize))
}

/// Of a sum; its terms are taken to be as large as the largest tensor that the formula looks at.
fn sums(asked: &Asked, size: &dyn Fn(usize) -> f64) -> Sum {
    let of_one = differences(&asked.consts[CONSTS..], size);
    match asked.consts[2] {
        SUM => Sum {
            length: of_one.length * asked.consts[3] as usize,
            ..Sum::of(asked.consts[3] as usize, of_one.magnitude)
        },
        _ => of_one,
    }
}

/// Rounds of a thread: its share of what becomes one number.
fn loop_iterations(asked: &Asked) -> (usize, &'static str) {
    ((asked.consts[3] as usize).div_ceil(asked.consts[4] as usize), "a smaller batch or narrower layers")
}

/// What a call reduces.
struct Task<'a> {
    formula: Formula<'a>,
    along: u32,
    kind: u32,
    size: usize,
    columns: usize,
    /// Rows from one of those that become one to the next, and from one that comes out to the next.
    apart: [usize; 2],
    /// Rows that come out, or of a single one columns.
    range: Range<usize>,
    /// Whether the range is one of columns.
    across: bool,
}

impl<'a> Task<'a> {
    fn new(call: &Call<'a>) -> Self {
        let p: Params = call.params();
        let [columns, along, kind, size] = [0, 1, 2, 3].map(|at| call.consts[at]);
        let (columns, size) = (columns as usize, size as usize);
        let across = along != COLUMNS && size == p.rows as usize;
        let first = match (along, across) {
            (COLUMNS, _) => call.range.start,
            (ROWS, false) => call.range.start * size,
            _ => 0,
        };
        let apart = if along == TILES { [p.rows as usize / size, 1] } else { [1, size] };
        let formula = Formula::new(call, &call.consts[CONSTS..], first);
        Self { formula, along, kind, size, columns, apart, range: call.range.clone(), across }
    }

    /// The place of the `m`-th number of the output `at` of the range.
    fn place(&self, at: usize, m: usize) -> (usize, usize) {
        match (self.along, self.across) {
            (COLUMNS, _) => (self.range.start + at, m),
            (_, true) => (m, self.range.start + at),
            _ => (self.row(self.range.start + at / self.columns, m), at % self.columns),
        }
    }

    /// The `m`-th of the rows that become the row `group`.
    fn row(&self, group: usize, m: usize) -> usize {
        group * self.apart[1] + m * self.apart[0]
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
    if task.along == COLUMNS {
        let (mut scratch, mut block) = (Vec::new(), vec![0.0; BLOCK]);
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
    by_columns(&task, y);
}

/// Column by column: what is known of each number that comes out meets one row after the other. Of tiles many rows that come
/// out lie side by side and are met together. How many rows a block has depends on the formula alone, so that a range has the
/// bits of the whole.
fn by_columns(task: &Task, y: &mut [f32]) {
    let (mut scratch, mut block) = (Vec::new(), vec![0.0; BLOCK]);
    let several = (BLOCK / task.columns).max(1);
    let columns = if task.across { task.range.clone() } else { 0..task.columns };
    let (groups, of_group) = if task.across { (0..1, 1) } else { (task.range.clone(), several) };
    let tiles = task.apart[1] == 1 && !task.across;
    let (together, rows_of_block) = if tiles { (of_group, 1) } else { (1, several) };
    for first in groups.clone().step_by(together) {
        let met = first..groups.end.min(first + together);
        for begin in columns.clone().step_by(BLOCK) {
            let across = begin..columns.end.min(begin + BLOCK);
            let count = met.len() * across.len();
            let mut known = Known::new(task.kind, count);
            for m in (0..task.size).step_by(rows_of_block) {
                let start = task.row(first, m);
                let rows = start..start + if tiles { met.len() } else { rows_of_block.min(task.size - m) };
                let values = &mut block[..rows.len() * across.len()];
                task.formula.block(rows, across.clone(), &mut scratch, values);
                known.add(m, values);
            }
            let place = (first - groups.start) * columns.len() + begin - columns.start;
            known.finish(&mut y[place..place + count]);
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
                            *sum += crate::kernels::math::exp_full(x - largest);
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

/// What is known of each of some numbers that come out after some rows: the sum; the largest with its place, of the smallest
/// that of the negated ones; the largest with the sum of the exponentials of what the others are below it.
struct Known {
    kind: u32,
    best: Vec<f32>,
    sums: Vec<f64>,
}

impl Known {
    fn new(kind: u32, columns: usize) -> Self {
        Self { kind, best: vec![f32::NEG_INFINITY; columns], sums: vec![0.0; columns] }
    }

    /// Meets rows of numbers, of which the first has the place `first`.
    fn add(&mut self, first: usize, numbers: &[f32]) {
        pulp::Arch::new().dispatch(Meeting { known: self, first, numbers });
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

/// Rows of numbers that are met: a closure of this size would not be compiled into the function for the processor's vectors.
struct Meeting<'a> {
    known: &'a mut Known,
    first: usize,
    numbers: &'a [f32],
}

impl pulp::NullaryFnOnce for Meeting<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { known: Known { kind, best, sums }, first, numbers } = self;
        match *kind {
            SUM => {
                for row in numbers.chunks_exact(sums.len()) {
                    for (sum, &x) in sums.iter_mut().zip(row) {
                        *sum += f64::from(x);
                    }
                }
            }
            LOG_SUM_EXP => {
                let before = best.clone();
                for row in numbers.chunks_exact(before.len()) {
                    for (best, &x) in best.iter_mut().zip(row) {
                        *best = best.max(x);
                    }
                }
                for ((sum, before), best) in sums.iter_mut().zip(before).zip(&*best) {
                    *sum *= f64::from(crate::kernels::math::exp_full(before - best));
                }
                for row in numbers.chunks_exact(best.len()) {
                    for ((sum, best), &x) in sums.iter_mut().zip(&*best).zip(row) {
                        *sum += f64::from(crate::kernels::math::exp_full(x - best));
                    }
                }
            }
            kind => {
                let sign = if kind == ARG_MIN { -1.0 } else { 1.0 };
                for (place, row) in (first..).zip(numbers.chunks_exact(best.len())) {
                    for ((best, at), &x) in best.iter_mut().zip(&mut *sums).zip(row) {
                        if sign * x > *best {
                            (*best, *at) = (sign * x, place as f64);
                        }
                    }
                }
            }
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
        assert!((reduced(LOG_SUM_EXP, &[1000.0, 1000.0]) - 1_000.693_1).abs() < 1e-4);
    }
}
