//! A recurrent layer of gated units (Cho et al. 2014, arXiv 1406.1078) over all steps of a sequence, by the equations of
//! `torch.nn.GRU`:
//!
//! r = σ(g¹ + h·W¹ + b¹), z = σ(g² + h·W² + b²), q = h·W³ + b³, n = tanh(g³ + r·q), h' = (1 − z)·n + z·h
//!
//! The gates g come from a product of all steps at once. Rows do not know each other.

use super::TILE;
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

/// The kernel; its outer axis are the rows. Shapes: gates [R, T, 3H], begun [R, H], w [H + 1, 3H], the bias last, y [R, T, H], and
/// with `KEEP` for the way back before [R, T, H], the units one step before, and kept [R, T, 4H]: r, z, n and q.
pub static KERNEL: Kernel = Kernel {
    name: "gru",
    wgsl: include_str!("../../../shaders/sequence/gru.wgsl"),
    bindings: &[read("gates"), read("begun"), read("w"), write("y"), write("before"), write("kept")],
    params: FIELDS,
    entry: &[],
    consts: &["KEEP"],
    workgroup: [256, 1, 1],
    cpu,
    fast: Some(fast),
    sums,
    loop_iterations,
    family: crate::kernels::Family::Alone,
};

/// The grid of a dispatch.
pub fn grid(p: &Params) -> [u32; 3] {
    crate::kernels::grid((p.rows as usize).div_ceil(TILE))
}

/// Rounds of a thread: the sums of three gates at each step, for all of its units.
fn loop_iterations(asked: &Asked) -> (usize, &'static str) {
    let p: Params = asked.params();
    let width = p.width as usize;
    let of_unit = 3 * (width.div_ceil(4) + 1) + 5;
    (p.steps as usize * (width.div_ceil(256) * (of_unit + 1) + 2), "shorter sequences or fewer units")
}

/// The errors of all steps come together in the last.
fn sums(asked: &Asked, size: &dyn Fn(usize) -> f64) -> Sum {
    let p: Params = asked.params();
    Sum::of(p.width as usize * p.steps as usize, size(1).max(1.0) * size(2))
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let (steps, width, keep) = (p.steps as usize, p.width as usize, call.consts[0] == 1);
    let Call { range, reads, writes, .. } = call;
    let (gates, begun, w) = (f32s(reads[0]), f32s(reads[1]), f32s(reads[2]));
    let [y, before, kept] = all_f32s_mut(writes);
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    for row in 0..range.len() {
        let mut h: Vec<f64> = begun[row * width..][..width].iter().map(|&h| f64::from(h)).collect();
        for place in row * steps..(row + 1) * steps {
            let from_before = |column: usize| {
                let sum: f64 = h.iter().enumerate().map(|(k, h)| h * f64::from(w[k * 3 * width + column])).sum();
                sum + f64::from(w[width * 3 * width + column])
            };
            let gate = |column: usize| f64::from(gates[place * 3 * width + column]);
            let mut next = Vec::with_capacity(width);
            for unit in 0..width {
                let [r, z] = [unit, width + unit].map(|column| sigmoid(gate(column) + from_before(column)));
                let q = from_before(2 * width + unit);
                let n = (gate(2 * width + unit) + r * q).tanh();
                let new = (1.0 - z) * n + z * h[unit];
                y[place * width + unit] = new as f32;
                if keep {
                    before[place * width + unit] = h[unit] as f32;
                    for (at, value) in [r, z, n, q].into_iter().enumerate() {
                        kept[(4 * place + at) * width + unit] = value as f32;
                    }
                }
                next.push(new);
            }
            h = next;
        }
    }
}

/// A product for each step, of all rows of the range at once.
fn fast(call: Call) {
    let p: Params = call.params();
    let (steps, width, rows) = (p.steps as usize, p.width as usize, call.range.len());
    let keep = call.consts[0] == 1;
    let Call { reads, writes, .. } = call;
    let (gates, begun, w) = (f32s(reads[0]), f32s(reads[1]), f32s(reads[2]));
    let [y, before, kept] = all_f32s_mut(writes);
    let right = Matrix { values: w, rows: 3 * width, columns: 1 };
    let bias = &w[width * 3 * width..][..3 * width];
    let mut sums = vec![0.0; rows * 3 * width];
    let mut unkept = vec![0.0; if keep { 0 } else { 4 * width }];
    let mut old = vec![0.0; width];
    for time in 0..steps {
        let left = match time {
            0 => Matrix { values: begun, rows: width, columns: 1 },
            _ => Matrix { values: &y[(time - 1) * width..], rows: steps * width, columns: 1 },
        };
        gemm::product([rows, 3 * width, width], left, right, &mut sums, false);
        for (row, sums) in sums.chunks_exact(3 * width).enumerate() {
            let place = row * steps + time;
            old.copy_from_slice(match time {
                0 => &begun[row * width..][..width],
                _ => &y[(place - 1) * width..][..width],
            });
            if keep {
                before[place * width..][..width].copy_from_slice(&old);
            }
            let kept = if keep { &mut kept[4 * place * width..][..4 * width] } else { &mut unkept[..] };
            let gates = &gates[place * 3 * width..][..3 * width];
            units(gates, sums, bias, &old, &mut y[place * width..][..width], kept);
        }
    }
}

/// The units of a row one step later. Few tensors at a time, or the compiler does not vectorise.
fn units(gates: &[f32], sums: &[f32], bias: &[f32], old: &[f32], y: &mut [f32], kept: &mut [f32]) {
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

    /// `torch.nn.GRU(2, 2)` of `PyTorch` 2.x on gates that were computed apart; the numbers are worked out by its formulas.
    #[test]
    fn units_follow_the_equations_of_pytorch() {
        let step = StepScalars::zeroed();
        let p = Params { rows: 1, steps: 2, width: 1 };
        let (gates, begun, w) = ([0.5, -1.0, 2.0, 0.0, 1.0, -0.5], [0.25], [1.0, 2.0, -1.0, 0.1, 0.2, 0.3]);
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let mut h = 0.25_f64;
        let (mut expected, mut expected_kept) = (vec![], vec![]);
        for g in [[0.5, -1.0, 2.0], [0.0, 1.0, -0.5]] {
            let (r, z, q) = (sigmoid(g[0] + h + 0.1), sigmoid(g[1] + 2.0 * h + 0.2), 0.3 - h);
            let n = (g[2] + r * q).tanh();
            expected_kept.extend([r, z, n, q]);
            h = (1.0 - z) * n + z * h;
            expected.push(h);
        }
        for function in [cpu, fast] {
            let [mut y, mut before, mut kept] = [vec![f32::NAN; 2], vec![f32::NAN; 2], vec![f32::NAN; 8]];
            let reads: [&[f32]; 3] = [&gates, &begun, &w];
            function(testing::call(0..1, &p, &[1], &step, &reads, vec![&mut y, &mut before, &mut kept]));
            testing::assert_close(&y, &expected, 1e-6);
            testing::assert_close(&before, &[0.25, expected[0]], 1e-6);
            testing::assert_close(&kept, &expected_kept, 1e-6);
        }
    }
}
