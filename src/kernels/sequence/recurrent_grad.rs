//! The way back through a layer of [`super::recurrent`], from the last step to the first. With dh the gradient of h', of gated units
//!
//! dn = dh·(1 − z)·(1 − n²), dz = dh·(h − n)·z·(1 − z), dr = dn·q·r·(1 − r), dq = dn·r
//!
//! are the gradients before the non-linearities, and that of h is dh·z and what dr, dz and dq give through the transposes of W¹, W² and
//! W³. Of a long short-term memory, with dc that of c' and what comes by h', dc + dh·o·(1 − tanh² c'), they are
//!
//! di = dc·g·i·(1 − i), df = dc·c·f·(1 − f), dg = dc·i·(1 − g²), do = dh·tanh c'·o·(1 − o)
//!
//! that of c is dc·f, and that of h what all four give through the transposes.

use super::TILE;
use super::recurrent::{Params, cell, kept, place_of, split};
use crate::config::Cell;
use crate::kernels::gemm::{self, Matrix};
use crate::kernels::{Asked, Call, Kernel, Sum, all_f32s_mut, f32s, read, vector, write};

/// The kernel; its outer axis are the rows. Shapes, with the letters of [`super::recurrent`]: dy [R, T, SH], before [R, T, H] and kept
/// [R, T, NH] as the layer has them, w [H + 1, GH]; d gates [R, T, GH] for what the gates are given, d hidden [R, T, GH] for what the
/// units before gave to them, which of a long short-term memory is the same and not written, d begun [R, SH] for what stood before the
/// first step.
pub static KERNEL: Kernel = Kernel {
    name: "recurrent_grad",
    wgsl: include_str!("../../../shaders/sequence/recurrent_grad.wgsl"),
    bindings: &[
        read("dy"),
        read("before"),
        read("kept"),
        read("w"),
        write("d_gates"),
        write("d_hidden"),
        write("d_begun"),
    ],
    params: super::recurrent::FIELDS,
    entry: &[],
    consts: &["CELL", "BACKWARD"],
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

/// Rounds of a thread: sums over its gates at each step, for all of its units.
fn loop_iterations(asked: &Asked) -> (usize, &'static str) {
    let p: Params = asked.params();
    let width = p.width as usize;
    let gates = cell(asked.consts[0]).gates();
    let of_unit = gates * (width.div_ceil(4) + 1 + TILE + 3) + TILE + 1;
    (p.steps as usize * (width.div_ceil(256) * of_unit + 2 * gates + 2), "shorter sequences or fewer units")
}

/// The errors of all steps come together in the first.
fn sums(asked: &Asked, size: &dyn Fn(usize) -> f64) -> Sum {
    let p: Params = asked.params();
    Sum::of(cell(asked.consts[0]).gates() * p.width as usize * p.steps as usize, size(0) * size(3).max(1.0))
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let (steps, width, cell) = (p.steps as usize, p.width as usize, cell(call.consts[0]));
    let (count, wide, all, numbers) = (cell.gates(), cell.gates() * width, cell.states() * width, kept(cell));
    let Call { range, reads, writes, consts, .. } = call;
    let [dy, before, kept, w] = [0, 1, 2, 3].map(|at| f32s(reads[at]));
    let [d_gates, d_hidden, d_begun] = all_f32s_mut(writes);
    for row in 0..range.len() {
        let mut behind = vec![0.0_f64; all];
        for time in (0..steps).rev() {
            let place = row * steps + place_of(time, steps, consts[1] == 1);
            let mut hidden = vec![0.0_f64; wide];
            for unit in 0..width {
                let number = |at: usize| f64::from(kept[(numbers * place + at) * width + unit]);
                let made = |at: usize| behind[at * width + unit] + f64::from(dy[place * all + at * width + unit]);
                let d = made(0);
                let mut put = |gate: usize, given: f64, value: f64| {
                    d_gates[(count * place + gate) * width + unit] = given as f32;
                    hidden[gate * width + unit] = value;
                };
                match cell {
                    Cell::Gru => {
                        let [r, z, n, q] = [0, 1, 2, 3].map(number);
                        let old = f64::from(before[place * width + unit]);
                        let dn = d * (1.0 - z) * (1.0 - n * n);
                        let dz = d * (old - n) * z * (1.0 - z);
                        let dr = dn * q * r * (1.0 - r);
                        [(dr, dr), (dz, dz), (dn, dn * r)]
                            .into_iter()
                            .enumerate()
                            .for_each(|(at, (a, b))| put(at, a, b));
                        behind[unit] = d * z;
                    }
                    Cell::Lstm | Cell::Transformer => {
                        let [i, f, g, o, old, bounded] = [0, 1, 2, 3, 4, 5].map(number);
                        let dc = made(1) + d * o * (1.0 - bounded * bounded);
                        let [di, df] = [dc * g * i * (1.0 - i), dc * old * f * (1.0 - f)];
                        let [dg, d_o] = [dc * i * (1.0 - g * g), d * bounded * o * (1.0 - o)];
                        [di, df, dg, d_o].into_iter().enumerate().for_each(|(at, value)| put(at, value, value));
                        (behind[unit], behind[width + unit]) = (0.0, dc * f);
                    }
                }
            }
            if cell == Cell::Gru {
                d_hidden[place * wide..].iter_mut().zip(&hidden).for_each(|(to, &value)| *to = value as f32);
            }
            for (k, dh) in behind[..width].iter_mut().enumerate() {
                let w = &w[k * wide..][..wide];
                *dh += hidden.iter().zip(w).map(|(hidden, &w)| hidden * f64::from(w)).sum::<f64>();
            }
        }
        d_begun[row * all..][..all].iter_mut().zip(&behind).for_each(|(to, &value)| *to = value as f32);
    }
}

/// A product for each step, of all rows of the range at once.
fn fast(call: Call) {
    let p: Params = call.params();
    let (steps, width, rows, cell) = (p.steps as usize, p.width as usize, call.range.len(), cell(call.consts[0]));
    let (wide, all, numbers) = (cell.gates() * width, cell.states() * width, kept(cell));
    let Call { reads, writes, consts, .. } = call;
    let [dy, before, kept, w] = [0, 1, 2, 3].map(|at| f32s(reads[at]));
    let [d_gates, d_hidden, d_begun] = all_f32s_mut(writes);
    d_begun[..rows * all].fill(0.0);
    // Turned once, or every product would gather its columns anew, which takes twice as long.
    let turned: Vec<f32> = (0..wide).flat_map(|gate| (0..width).map(move |k| w[k * wide + gate])).collect();
    let transposed = Matrix { values: &turned, rows: width, columns: 1 };
    let mut room = vec![0.0; width];
    // The gradients of the units of all rows, beside which their cells are not.
    let mut units = vec![0.0; if cell == Cell::Lstm { rows * width } else { 0 }];
    for time in (0..steps).rev() {
        let time = place_of(time, steps, consts[1] == 1);
        for row in 0..rows {
            let place = row * steps + time;
            let (dy, old) = (&dy[place * all..][..all], &before[place * width..][..width]);
            let kept = &kept[numbers * place * width..][..numbers * width];
            let d_gates = &mut d_gates[place * wide..][..wide];
            let past = &mut d_begun[row * all..][..all];
            match cell {
                Cell::Gru => {
                    gated_units([dy, old], kept, &mut room, [d_gates, &mut d_hidden[place * wide..][..wide], past]);
                }
                Cell::Lstm | Cell::Transformer => memory_units(dy, kept, &mut room, d_gates, past),
            }
        }
        let given = if cell == Cell::Lstm { &*d_gates } else { &*d_hidden };
        let left = Matrix { values: &given[time * wide..], rows: steps * wide, columns: 1 };
        if cell == Cell::Gru {
            gemm::product([rows, width, wide], left, transposed, d_begun, true);
        } else {
            gemm::product([rows, width, wide], left, transposed, &mut units, false);
            for (units, to) in units.chunks_exact(width).zip(d_begun.chunks_exact_mut(all)) {
                to[..width].copy_from_slice(units);
            }
        }
    }
}

/// The gradients of the gates of a row, and in place of that of its units (`past`) what goes past the gates. `d` is room for a row. Few
/// tensors at a time, or the compiler does not vectorise.
fn gated_units([dy, old]: [&[f32]; 2], kept: &[f32], d: &mut [f32], [d_gates, d_hidden, past]: [&mut [f32]; 3]) {
    let width = dy.len();
    let [r, z, n, q] = split(kept, width);
    let [of_r, of_z, of_n] = parts(d_gates, width);
    let [hidden_r, hidden_z, hidden_n] = parts(d_hidden, width);
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            vector::columns([&*past, dy], [&mut d[..]], |[dh, dy]| (0.0, [dh + dy]));
            vector::columns([&*d, z, n], [&mut of_n[..]], |[d, z, n]| (0.0, [d * (1.0 - z) * (1.0 - n * n)]));
            vector::columns([&*d, z, n, old], [&mut of_z[..]], |[d, z, n, old]| (0.0, [d * (old - n) * z * (1.0 - z)]));
            vector::columns([&*of_n, q, r], [&mut of_r[..]], |[dn, q, r]| (0.0, [dn * q * r * (1.0 - r)]));
            vector::columns([&*of_n, r], [hidden_n], |[dn, r]| (0.0, [dn * r]));
            vector::columns([&*d, z], [past], |[d, z]| (0.0, [d * z]));
        },
    );
    hidden_r.copy_from_slice(of_r);
    hidden_z.copy_from_slice(of_z);
}

/// The same of a long short-term memory; `past` becomes what goes to the cells one step before, and the gradient of the units before,
/// which is by the gates alone, is not written.
fn memory_units(dy: &[f32], kept: &[f32], room: &mut [f32], d_gates: &mut [f32], past: &mut [f32]) {
    let width = dy.len() / 2;
    let [i, f, g, o, old, bounded] = split(kept, width);
    let ([dy_h, dy_c], (past_h, past_c)) = (split(dy, width), past.split_at_mut(width));
    let (di, rest) = d_gates.split_at_mut(width);
    let [df, dg, d_o] = parts(rest, width);
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            vector::columns([&*past_h, dy_h], [&mut room[..]], |[dh, dy]| (0.0, [dh + dy]));
            vector::columns([&*room, bounded, o], [d_o], |[dh, c, o]| (0.0, [dh * c * o * (1.0 - o)]));
            vector::columns([&*room, bounded, o], [&mut past_h[..]], |[dh, c, o]| (0.0, [dh * o * (1.0 - c * c)]));
            vector::columns([&*past_h, &*past_c, dy_c], [&mut room[..]], |[by_h, dc, dy]| (0.0, [by_h + dc + dy]));
            vector::columns([&*room, g, i], [di], |[dc, g, i]| (0.0, [dc * g * i * (1.0 - i)]));
            vector::columns([&*room, old, f], [df], |[dc, old, f]| (0.0, [dc * old * f * (1.0 - f)]));
            vector::columns([&*room, i, g], [dg], |[dc, i, g]| (0.0, [dc * i * (1.0 - g * g)]));
            vector::columns([&*room, f], [past_c], |[dc, f]| (0.0, [dc * f]));
        },
    );
}

/// Three equal parts, to write.
fn parts(of: &mut [f32], width: usize) -> [&mut [f32]; 3] {
    let (first, rest) = of.split_at_mut(width);
    let (second, third) = rest.split_at_mut(width);
    [first, second, third]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::recurrent::{self, code};
    use crate::kernels::{StepScalars, testing};
    use crate::rng::{Philox, Stream};
    use bytemuck::Zeroable;

    const PARAMS: Params = Params { rows: 2, steps: 3, width: 2 };

    /// Σ y·dy of the forward kernel, and what it keeps.
    fn forward(cell: Cell, backward: u32, given: &[Vec<f32>; 3], dy: &[f32]) -> (f64, Vec<f32>, Vec<f32>) {
        let step = StepScalars::zeroed();
        let [mut y, mut before, mut kept] = [vec![0.0; dy.len()], vec![0.0; 12], vec![0.0; 12 * recurrent::kept(cell)]];
        let reads: [&[f32]; 3] = [&given[0], &given[1], &given[2]];
        let writes: Vec<&mut [f32]> = vec![&mut y, &mut before, &mut kept];
        (recurrent::KERNEL.cpu)(testing::call(0..2, &PARAMS, &[1, code(cell), backward], &step, &reads, writes));
        let loss: f64 = y.iter().zip(dy).map(|(&y, &dy)| f64::from(y) * f64::from(dy)).sum();
        (loss, before, kept)
    }

    /// Against central differences of the forward kernel, for all that is given.
    #[test]
    fn gradients_are_the_slopes_of_the_layer() {
        let step = StepScalars::zeroed();
        for (cell, backward) in [(Cell::Gru, 0), (Cell::Gru, 1), (Cell::Lstm, 0), (Cell::Lstm, 1)] {
            let (wide, all) = (2 * cell.gates(), 2 * cell.states());
            let mut rng = Philox::new(3, Stream::Choice, 0, 0);
            let mut draw = |count: usize| (0..count).map(|_| 0.7 * rng.normal()).collect::<Vec<f32>>();
            let mut given = [draw(6 * wide), draw(2 * all), draw(3 * wide)];
            let dy = draw(6 * all);
            let (_, before, kept) = forward(cell, backward, &given, &dy);
            for function in [cpu, fast] {
                let [mut gates, mut hidden] = [vec![f32::NAN; 6 * wide], vec![f32::NAN; 6 * wide]];
                let mut begun = vec![f32::NAN; 2 * all];
                let reads: [&[f32]; 4] = [&dy, &before, &kept, &given[2]];
                let writes: Vec<&mut [f32]> = vec![&mut gates, &mut hidden, &mut begun];
                function(testing::call(0..2, &PARAMS, &[code(cell), backward], &step, &reads, writes));
                let hidden = if cell == Cell::Lstm { &gates } else { &hidden };
                // What the units before gave to gates adds up to the gradient of the bias.
                let bias: Vec<f32> = (0..wide).map(|at| (0..6).map(|place| hidden[place * wide + at]).sum()).collect();
                for (which, start, found) in [(0, 0, &gates), (1, 0, &begun), (2, 2 * wide, &bias)] {
                    for at in 0..found.len() {
                        let kept = given[which][start + at];
                        let mut at_distance = |by: f32| {
                            given[which][start + at] = kept + by;
                            forward(cell, backward, &given, &dy).0
                        };
                        let slope = (at_distance(1e-2) - at_distance(-1e-2)) / 2e-2;
                        given[which][start + at] = kept;
                        let off = (f64::from(found[at]) - slope).abs();
                        assert!(off < 1e-3, "{cell:?} {backward} {which}, {at}: {} is not {slope}", found[at]);
                    }
                }
            }
        }
    }
}
