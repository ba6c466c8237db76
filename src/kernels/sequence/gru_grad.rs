//! The way back through a layer of [`super::gru`], from the last step to the first. With dh the gradient of h':
//!
//! dn = dh·(1 − z)·(1 − n²), dz = dh·(h − n)·z·(1 − z), dr = dn·q·r·(1 − r), dq = dn·r
//!
//! are the gradients before the non-linearities, and that of h is dh·z and what dr, dz and dq give through the transposes of W¹, W² and W³.

use super::TILE;
use super::gru::{Params, split};
use crate::kernels::gemm::{self, Matrix};
use crate::kernels::{Asked, Call, Kernel, Sum, all_f32s_mut, f32s, read, vector, write};

/// The kernel; its outer axis are the rows. Shapes: dy [R, T, H], before [R, T, H] and kept [R, T, 4H] as [`super::gru`] has them, w
/// [H + 1, 3H]; d gates [R, T, 3H] for what the gates are given, d hidden [R, T, 3H] for what the units before gave to them, d begun
/// [R, H] for the units before the first step.
pub static KERNEL: Kernel = Kernel {
    name: "gru_grad",
    wgsl: include_str!("../../../shaders/sequence/gru_grad.wgsl"),
    bindings: &[
        read("dy"),
        read("before"),
        read("kept"),
        read("w"),
        write("d_gates"),
        write("d_hidden"),
        write("d_begun"),
    ],
    params: super::gru::FIELDS,
    entry: &[],
    consts: &[],
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

/// Rounds of a thread: sums over three gates at each step, for all of its units.
fn loop_iterations(asked: &Asked) -> (usize, &'static str) {
    let p: Params = asked.params();
    let width = p.width as usize;
    let of_unit = 3 * (width.div_ceil(4) + 1 + TILE + 3) + TILE + 1;
    (p.steps as usize * (width.div_ceil(256) * of_unit + 8), "shorter sequences or fewer units")
}

/// The errors of all steps come together in the first.
fn sums(asked: &Asked, size: &dyn Fn(usize) -> f64) -> Sum {
    let p: Params = asked.params();
    Sum::of(3 * p.width as usize * p.steps as usize, size(0) * size(3).max(1.0))
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let (steps, width) = (p.steps as usize, p.width as usize);
    let Call { range, reads, writes, .. } = call;
    let [dy, before, kept, w] = [0, 1, 2, 3].map(|at| f32s(reads[at]));
    let [d_gates, d_hidden, d_begun] = all_f32s_mut(writes);
    for row in 0..range.len() {
        let mut dh = vec![0.0_f64; width];
        for place in (row * steps..(row + 1) * steps).rev() {
            let mut hidden = vec![0.0_f64; 3 * width];
            for unit in 0..width {
                let [r, z, n, q] = [0, 1, 2, 3].map(|at| f64::from(kept[(4 * place + at) * width + unit]));
                let old = f64::from(before[place * width + unit]);
                let d = dh[unit] + f64::from(dy[place * width + unit]);
                let dn = d * (1.0 - z) * (1.0 - n * n);
                let dz = d * (old - n) * z * (1.0 - z);
                let dr = dn * q * r * (1.0 - r);
                for (at, (given, value)) in [(dr, dr), (dz, dz), (dn, dn * r)].into_iter().enumerate() {
                    d_gates[(3 * place + at) * width + unit] = given as f32;
                    d_hidden[(3 * place + at) * width + unit] = value as f32;
                    hidden[at * width + unit] = value;
                }
                dh[unit] = d * z;
            }
            for (k, dh) in dh.iter_mut().enumerate() {
                let w = &w[k * 3 * width..][..3 * width];
                *dh += hidden.iter().zip(w).map(|(hidden, &w)| hidden * f64::from(w)).sum::<f64>();
            }
        }
        d_begun[row * width..][..width].iter_mut().zip(&dh).for_each(|(to, &dh)| *to = dh as f32);
    }
}

/// A product for each step, of all rows of the range at once.
fn fast(call: Call) {
    let p: Params = call.params();
    let (steps, width, rows) = (p.steps as usize, p.width as usize, call.range.len());
    let Call { reads, writes, .. } = call;
    let [dy, before, kept, w] = [0, 1, 2, 3].map(|at| f32s(reads[at]));
    let [d_gates, d_hidden, d_begun] = all_f32s_mut(writes);
    d_begun[..rows * width].fill(0.0);
    // Turned once, or every product would gather its columns anew, which takes twice as long.
    let turned: Vec<f32> = (0..3 * width).flat_map(|gate| (0..width).map(move |k| w[k * 3 * width + gate])).collect();
    let transposed = Matrix { values: &turned, rows: width, columns: 1 };
    let mut room = vec![0.0; width];
    for time in (0..steps).rev() {
        for row in 0..rows {
            let place = row * steps + time;
            let given = [&dy[place * width..][..width], &before[place * width..][..width]];
            units(
                given,
                &kept[4 * place * width..][..4 * width],
                &mut room,
                [
                    &mut d_gates[3 * place * width..][..3 * width],
                    &mut d_hidden[3 * place * width..][..3 * width],
                    &mut d_begun[row * width..][..width],
                ],
            );
        }
        let left = Matrix { values: &d_hidden[3 * time * width..], rows: 3 * steps * width, columns: 1 };
        gemm::product([rows, width, 3 * width], left, transposed, d_begun, true);
    }
}

/// The gradients of the gates of a row, and in place of that of its units (`past`) what goes past the gates. `d` is room for a row. Few
/// tensors at a time, or the compiler does not vectorise.
fn units([dy, old]: [&[f32]; 2], kept: &[f32], d: &mut [f32], [d_gates, d_hidden, past]: [&mut [f32]; 3]) {
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

/// Three equal parts, to write.
fn parts(of: &mut [f32], width: usize) -> [&mut [f32]; 3] {
    let (first, rest) = of.split_at_mut(width);
    let (second, third) = rest.split_at_mut(width);
    [first, second, third]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::gru;
    use crate::kernels::{StepScalars, testing};
    use crate::rng::{Philox, Stream};
    use bytemuck::Zeroable;

    /// Against central differences of the forward kernel, for all that is given.
    #[test]
    fn gradients_are_the_slopes_of_the_layer() {
        let (p, step) = (Params { rows: 2, steps: 3, width: 2 }, StepScalars::zeroed());
        let mut rng = Philox::new(3, Stream::Choice, 0, 0);
        let mut draw = |count: usize| (0..count).map(|_| 0.7 * rng.normal()).collect::<Vec<f32>>();
        let mut given = [draw(36), draw(4), draw(18)];
        let dy = draw(12);
        let forward = |given: &[Vec<f32>; 3]| {
            let [mut y, mut before, mut kept] = [vec![0.0; 12], vec![0.0; 12], vec![0.0; 48]];
            let reads: [&[f32]; 3] = [&given[0], &given[1], &given[2]];
            let writes: Vec<&mut [f32]> = vec![&mut y, &mut before, &mut kept];
            (gru::KERNEL.cpu)(testing::call(0..2, &p, &[1], &step, &reads, writes));
            let loss: f64 = y.iter().zip(&dy).map(|(&y, &dy)| f64::from(y) * f64::from(dy)).sum();
            (loss, before, kept)
        };
        let (_, before, kept) = forward(&given);
        for function in [cpu, fast] {
            let [mut gates, mut hidden, mut begun] = [vec![f32::NAN; 36], vec![f32::NAN; 36], vec![f32::NAN; 4]];
            let reads: [&[f32]; 4] = [&dy, &before, &kept, &given[2]];
            function(testing::call(0..2, &p, &[], &step, &reads, vec![&mut gates, &mut hidden, &mut begun]));
            for (which, found) in [(0, &gates), (1, &begun)] {
                for at in 0..found.len() {
                    let kept = given[which][at];
                    let mut at_distance = |by: f32| {
                        given[which][at] = kept + by;
                        forward(&given).0
                    };
                    let slope = (at_distance(1e-2) - at_distance(-1e-2)) / 2e-2;
                    given[which][at] = kept;
                    assert!((f64::from(found[at]) - slope).abs() < 1e-3, "{which}, {at}: {} is not {slope}", found[at]);
                }
            }
            // What the units before gave to the gates is what gates are given, but for the reset of the last.
            let d_bias = |gate: usize| (0..6).map(|place| hidden[place * 6 + gate]).sum::<f32>();
            for at in 0..6 {
                let kept = given[2][12 + at];
                let mut at_distance = |by: f32| {
                    given[2][12 + at] = kept + by;
                    forward(&given).0
                };
                let slope = (at_distance(1e-2) - at_distance(-1e-2)) / 2e-2;
                given[2][12 + at] = kept;
                assert!((f64::from(d_bias(at)) - slope).abs() < 1e-3, "bias {at}");
            }
        }
    }
}
