//! A recurrent layer over all steps of a sequence, of one of two cells. Gated units (Cho et al. 2014, arXiv 1406.1078) follow the
//! equations of `torch.nn.GRU`:
//!
//! r = σ(g¹ + h·W¹ + b¹), z = σ(g² + h·W² + b²), q = h·W³ + b³, n = tanh(g³ + r·q), h' = (1 − z)·n + z·h
//!
//! and a long short-term memory (Hochreiter and Schmidhuber 1997) those of `torch.nn.LSTM`:
//!
//! i = σ(g¹ + h·W¹ + b¹), f = σ(g² + h·W² + b²), g = tanh(g³ + h·W³ + b³), o = σ(g⁴ + h·W⁴ + b⁴), c' = f·c + i·g, h' = o·tanh c'
//!
//! What gates are given, g¹ and so on, comes from a product of all steps at once. Rows do not know each other.

use super::TILE;
use crate::config::Cell;
use crate::kernels::gemm::{self, Matrix};
use crate::kernels::{Asked, Call, Kernel, Sum, all_f32s_mut, f32s, math, read, vector, write};

crate::kernels::params! {
    /// Constants of one use.
    pub struct Params {
        /// R.
        pub rows: u32,
        /// T.
        pub steps: u32,
        /// H, at most [`crate::config::MAX_UNITS`], of which the memory of a workgroup holds four rows.
        pub width: u32,
    }
}

/// The kernel; its outer axis are the rows. With G gates of a cell ([`Cell::gates`]), S numbers of its state ([`Cell::states`]) and N
/// that are kept ([`kept`]), shapes are: gates [R, T, GH], begun [R, SH], w [H + 1, GH], the bias last, y [R, T, SH], units and behind
/// them what is in the cells, and with `KEEP` for the way back before [R, T, H], the units one step before, and kept [R, T, NH]: r, z,
/// n and q, or i, f, g, o, c and tanh c'. `CELL` is that of [`code`]; with `BACKWARD` the last step of the sequence is the first that is
/// read.
pub static KERNEL: Kernel = Kernel {
    name: "recurrent",
    wgsl: include_str!("../../../shaders/sequence/recurrent.wgsl"),
    bindings: &[read("gates"), read("begun"), read("w"), write("y"), write("before"), write("kept")],
    params: FIELDS,
    entry: &[],
    consts: &["KEEP", "CELL", "BACKWARD"],
    workgroup: [256, 1, 1],
    cpu,
    fast: Some(fast),
    sums,
    loop_iterations,
    family: crate::kernels::Family::Alone,
};

/// The constant that stands for a cell. A transformer does not recur and is never here: it stands where the last of them does.
pub fn code(cell: Cell) -> u32 {
    match cell {
        Cell::Gru => 0,
        Cell::Lstm | Cell::Transformer => 1,
    }
}

/// The cell that a constant stands for.
pub(super) fn cell(code: u32) -> Cell {
    if code == 0 { Cell::Gru } else { Cell::Lstm }
}

/// Numbers of each unit and step that the way back reads.
pub fn kept(cell: Cell) -> usize {
    match cell {
        Cell::Gru => 4,
        Cell::Lstm | Cell::Transformer => 6,
    }
}

/// The grid of a dispatch.
pub fn grid(p: &Params) -> [u32; 3] {
    crate::kernels::grid((p.rows as usize).div_ceil(TILE))
}

/// Rounds of a thread: the sums of its gates at each step, for all of its units.
fn loop_iterations(asked: &Asked) -> (usize, &'static str) {
    let p: Params = asked.params();
    let width = p.width as usize;
    let of_unit = cell(asked.consts[1]).gates() * (width.div_ceil(4) + 1) + 5;
    (p.steps as usize * (width.div_ceil(256) * (of_unit + 1) + 2), "shorter sequences or fewer units")
}

/// The errors of all steps come together in the last.
fn sums(asked: &Asked, size: &dyn Fn(usize) -> f64) -> Sum {
    let p: Params = asked.params();
    Sum::of(p.width as usize * p.steps as usize, size(1).max(1.0) * size(2))
}

/// 1/(1 + exp(−x)), exactly.
fn exact_sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Where a step stands in the sequence.
pub(super) fn place_of(time: usize, steps: usize, backward: bool) -> usize {
    if backward { steps - 1 - time } else { time }
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let (steps, width, keep, backward) = (p.steps as usize, p.width as usize, call.consts[0] == 1, call.consts[2] == 1);
    let cell = cell(call.consts[1]);
    let (wide, states, numbers) = (cell.gates() * width, cell.states(), kept(cell));
    let Call { range, reads, writes, .. } = call;
    let (gates, begun, w) = (f32s(reads[0]), f32s(reads[1]), f32s(reads[2]));
    let [y, before, kept] = all_f32s_mut(writes);
    for row in 0..range.len() {
        let mut state: Vec<f64> = begun[row * states * width..][..states * width].iter().map(|&h| h.into()).collect();
        for time in 0..steps {
            let place = row * steps + place_of(time, steps, backward);
            let from_before = |column: usize| {
                let sum: f64 = (0..width).map(|k| state[k] * f64::from(w[k * wide + column])).sum();
                sum + f64::from(w[width * wide + column])
            };
            let given = |column: usize| f64::from(gates[place * wide + column]);
            let mut next = vec![0.0; states * width];
            for unit in 0..width {
                let sum = |gate: usize| given(gate * width + unit) + from_before(gate * width + unit);
                let of_unit = match cell {
                    Cell::Gru => {
                        let [r, z] = [0, 1].map(|gate| exact_sigmoid(sum(gate)));
                        let q = from_before(2 * width + unit);
                        let n = (given(2 * width + unit) + r * q).tanh();
                        next[unit] = (1.0 - z) * n + z * state[unit];
                        vec![r, z, n, q]
                    }
                    Cell::Lstm | Cell::Transformer => {
                        let [i, f, o] = [0, 1, 3].map(|gate| exact_sigmoid(sum(gate)));
                        let (g, old) = (sum(2).tanh(), state[width + unit]);
                        next[width + unit] = f * old + i * g;
                        let bounded = next[width + unit].tanh();
                        next[unit] = o * bounded;
                        vec![i, f, g, o, old, bounded]
                    }
                };
                if keep {
                    before[place * width + unit] = state[unit] as f32;
                    for (at, value) in of_unit.into_iter().enumerate() {
                        kept[(numbers * place + at) * width + unit] = value as f32;
                    }
                }
            }
            y[place * states * width..].iter_mut().zip(&next).for_each(|(to, &value)| *to = value as f32);
            state = next;
        }
    }
}

/// A product for each step, of all rows of the range at once.
fn fast(call: Call) {
    let p: Params = call.params();
    let (steps, width, rows) = (p.steps as usize, p.width as usize, call.range.len());
    let (keep, cell, backward) = (call.consts[0] == 1, cell(call.consts[1]), call.consts[2] == 1);
    let at = |time: usize| place_of(time, steps, backward);
    let (wide, all, numbers) = (cell.gates() * width, cell.states() * width, kept(cell));
    let Call { reads, writes, .. } = call;
    let (gates, begun, w) = (f32s(reads[0]), f32s(reads[1]), f32s(reads[2]));
    let [y, before, kept] = all_f32s_mut(writes);
    let right = Matrix { values: w, rows: wide, columns: 1 };
    let bias = &w[width * wide..][..wide];
    let mut sums = vec![0.0; rows * wide];
    let mut unkept = vec![0.0; if keep { 0 } else { numbers * width }];
    let mut old = vec![0.0; all];
    for time in 0..steps {
        let left = match time {
            0 => Matrix { values: begun, rows: all, columns: 1 },
            _ => Matrix { values: &y[at(time - 1) * all..], rows: steps * all, columns: 1 },
        };
        gemm::product([rows, wide, width], left, right, &mut sums, false);
        for (row, sums) in sums.chunks_exact(wide).enumerate() {
            let place = row * steps + at(time);
            old.copy_from_slice(match time {
                0 => &begun[row * all..][..all],
                _ => &y[(row * steps + at(time - 1)) * all..][..all],
            });
            if keep {
                before[place * width..][..width].copy_from_slice(&old[..width]);
            }
            let kept = if keep { &mut kept[numbers * place * width..][..numbers * width] } else { &mut unkept[..] };
            let (gates, y) = (&gates[place * wide..][..wide], &mut y[place * all..][..all]);
            match cell {
                Cell::Gru => gated_units(gates, sums, bias, &old, y, kept),
                Cell::Lstm | Cell::Transformer => memory_units(gates, sums, bias, &old, y, kept),
            }
        }
    }
}

/// The units of a row one step later. Few tensors at a time, or the compiler does not vectorise.
fn gated_units(gates: &[f32], sums: &[f32], bias: &[f32], old: &[f32], y: &mut [f32], kept: &mut [f32]) {
    let width = old.len();
    let (both, rest) = kept.split_at_mut(2 * width);
    let (n, q) = rest.split_at_mut(width);
    let [two_gates, gn] = [&gates[..2 * width], &gates[2 * width..]];
    let [two_sums, sn] = [&sums[..2 * width], &sums[2 * width..]];
    let [two_biases, bn] = [&bias[..2 * width], &bias[2 * width..]];
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            let inputs = [two_gates, two_sums, two_biases];
            vector::columns(inputs, [&mut both[..]], |[gate, sum, bias]| (0.0, [sigmoid(gate + (sum + bias))]));
            let [r, z] = split(both, width);
            vector::columns([sn, bn], [&mut q[..]], |[sum, bias]| (0.0, [sum + bias]));
            vector::columns([gn, r, q], [&mut n[..]], |[gate, r, q]| (0.0, [math::tanh(gate + r * q)]));
            vector::columns([n, z, old], [y], |[n, z, old]| (0.0, [n + z * (old - n)]));
        },
    );
}

/// The same of a long short-term memory, with its cells behind the units.
fn memory_units(gates: &[f32], sums: &[f32], bias: &[f32], old: &[f32], y: &mut [f32], kept: &mut [f32]) {
    let width = old.len() / 2;
    let (active, rest) = kept.split_at_mut(4 * width);
    let (before, bounded) = rest.split_at_mut(width);
    let (h, c) = y.split_at_mut(width);
    before.copy_from_slice(&old[width..]);
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            for (gate, active) in active.chunks_exact_mut(width).enumerate() {
                let inputs = [gates, sums, bias].map(|all| &all[gate * width..][..width]);
                if gate == 2 {
                    vector::columns(inputs, [active], |[gate, sum, bias]| (0.0, [math::tanh(gate + (sum + bias))]));
                } else {
                    vector::columns(inputs, [active], |[gate, sum, bias]| (0.0, [sigmoid(gate + (sum + bias))]));
                }
            }
            let [i, f, g, o] = split(active, width);
            vector::columns([i, f, g, &*before], [&mut c[..]], |[i, f, g, old]| (0.0, [f * old + i * g]));
            vector::columns([&*c], [&mut bounded[..]], |[c]| (0.0, [math::tanh(c)]));
            vector::columns([o, &*bounded], [h], |[o, bounded]| (0.0, [o * bounded]));
        },
    );
}

/// 1/(1 + exp(−x)) in a form that loops vectorise.
#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    math::sigmoid_from(x, math::exp(-x.abs()))
}

/// Equal parts of `width` numbers.
pub(super) fn split<const N: usize>(of: &[f32], width: usize) -> [&[f32]; N] {
    std::array::from_fn(|at| &of[at * width..][..width])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{StepScalars, testing};
    use bytemuck::Zeroable;

    /// Two steps of one unit of each cell, worked out by the formulas of `PyTorch`.
    #[test]
    fn units_follow_the_equations_of_pytorch() {
        let step = StepScalars::zeroed();
        let p = Params { rows: 1, steps: 2, width: 1 };
        let (gates, begun, w) = ([0.5, -1.0, 2.0, 0.0, 1.0, -0.5], [0.25], [1.0, 2.0, -1.0, 0.1, 0.2, 0.3]);
        let mut h = 0.25_f64;
        let (mut expected, mut expected_kept) = (vec![], vec![]);
        for g in [[0.5, -1.0, 2.0], [0.0, 1.0, -0.5]] {
            let (r, z, q) = (exact_sigmoid(g[0] + h + 0.1), exact_sigmoid(g[1] + 2.0 * h + 0.2), 0.3 - h);
            let n = (g[2] + r * q).tanh();
            expected_kept.extend([r, z, n, q]);
            h = (1.0 - z) * n + z * h;
            expected.push(h);
        }
        for function in [cpu, fast] {
            let [mut y, mut before, mut kept] = [vec![f32::NAN; 2], vec![f32::NAN; 2], vec![f32::NAN; 8]];
            let reads: [&[f32]; 3] = [&gates, &begun, &w];
            function(testing::call(0..1, &p, &[1, 0, 0], &step, &reads, vec![&mut y, &mut before, &mut kept]));
            testing::assert_close(&y, &expected, 1e-6);
            testing::assert_close(&before, &[0.25, expected[0]], 1e-6);
            testing::assert_close(&kept, &expected_kept, 1e-6);
        }
        let (gates, begun) = ([0.5, -1.0, 2.0, 0.3, 0.0, 1.0, -0.5, -0.2], [0.25, -0.75]);
        let w = [1.0, 2.0, -1.0, 0.5, 0.1, 0.2, 0.3, 0.4];
        let [mut h, mut c] = [0.25_f64, -0.75];
        let (mut expected, mut expected_kept) = (vec![], vec![]);
        for g in [[0.5, -1.0, 2.0, 0.3], [0.0, 1.0, -0.5, -0.2]] {
            let (i, f) = (exact_sigmoid(g[0] + h + 0.1), exact_sigmoid(g[1] + 2.0 * h + 0.2));
            let (n, o) = ((g[2] - h + 0.3).tanh(), exact_sigmoid(g[3] + 0.5 * h + 0.4));
            let old = c;
            c = f * c + i * n;
            h = o * c.tanh();
            expected.extend([h, c]);
            expected_kept.extend([i, f, n, o, old, c.tanh()]);
        }
        for function in [cpu, fast] {
            let [mut y, mut before, mut kept] = [vec![f32::NAN; 4], vec![f32::NAN; 2], vec![f32::NAN; 12]];
            let reads: [&[f32]; 3] = [&gates, &begun, &w];
            function(testing::call(0..1, &p, &[1, 1, 0], &step, &reads, vec![&mut y, &mut before, &mut kept]));
            testing::assert_close(&y, &expected, 1e-6);
            testing::assert_close(&before, &[0.25, expected[0]], 1e-6);
            testing::assert_close(&kept, &expected_kept, 1e-6);
        }
    }
}
