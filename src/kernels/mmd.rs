//! The squared maximum mean discrepancy between the batch's latents and as many draws from the prior, as a number for each
//! example whose mean over the batch is the unbiased estimate (Gretton et al., "A kernel two-sample test", 2012, lemma 6),
//! or its gradient for the latents:
//!
//! Σⱼ≠ᵢ (k(zᵢ, zⱼ) + k(pᵢ, pⱼ))/(n − 1) − 2 Σⱼ k(zᵢ, pⱼ)/n, over the n examples that count.
//!
//! The kernel is the inverse multiquadratic one of Tolstikhin et al., "Wasserstein auto-encoders", 2018, in the sum over
//! scales of the authors' program: k(a, b) = Σ C/(C + |a − b|²), C = 2·Z·s for s in 0.1, 0.2, 0.5, 1, 2, 5, 10.

use super::{Call, Kernel, StepScalars, f32s, f32s_mut, params, read, write};

params! {
    /// Shapes: z \[B, Z\], prior \[2B, Z\], g \[B\], y \[B\] or, of the gradient, \[B, Z\].
    pub struct Params {
        /// B, examples of the batch.
        pub rows: u32,
        /// Z, latent dimensions.
        pub latent: u32,
        /// Which weight of the loss belongs to the result, if `UNIFORM`.
        pub weight: u32,
    }
}

/// Scales of the kernel.
const SCALES: [f64; 7] = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];

/// The kernel. Its outer axis is the examples; every part of it sees the whole batch. Of the draws from the prior every
/// second row is read: the first of each pair is the noise of the latent itself. `GRAD` asks for the gradient; with
/// `UNIFORM` = 1 that of the result is that of a mean over the batch, and `g` is not read.
pub static KERNEL: Kernel = Kernel {
    name: "mmd",
    wgsl: include_str!("../../shaders/mmd.wgsl"),
    bindings: &[read("z"), read("prior"), read("g"), write("y")],
    params: FIELDS,
    entry: &[],
    consts: &["GRAD", "UNIFORM"],
    workgroup: [64, 1, 1],
    cpu,
    fast: None,
    sums: super::short,
    rounds: |asked| (rounds(&asked.params(), asked.consts), "a smaller batch"),
    family: super::Family::Alone,
};

/// One workgroup per example.
pub fn grid(p: &Params) -> [u32; 3] {
    super::grid(p.rows as usize)
}

/// The most rounds that the loops of a thread make ([`super::MOST_ROUNDS`]). Each pair takes one for every dimension and
/// some for the scales of two or three similarities; a thread has every 64th pair of a row or, of the gradient, all pairs
/// of every 64th dimension.
pub fn rounds(p: &Params, consts: &[u32]) -> usize {
    let [rows, latent] = [p.rows, p.latent].map(|count| count as usize);
    let similarity = 1 + SCALES.len();
    match consts[0] {
        0 => rows.div_ceil(64) * (2 + latent + 3 * similarity),
        _ => latent.div_ceil(64) * (2 + rows * (2 + latent + 2 * similarity)),
    }
}

/// The similarity of two points of Z = `latent` coordinates whose squared distance is s, and its derivative for s.
pub fn similarity(s: f64, latent: usize) -> [f64; 2] {
    SCALES.iter().fold([0.0; 2], |[value, slope], scale| {
        let c = 2.0 * latent as f64 * scale;
        [value + c / (c + s), slope - c / (c + s).powi(2)]
    })
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, consts, step, reads, mut writes, .. } = call;
    let [z, prior, g] = [0, 1, 2].map(|i| f32s(reads[i]));
    let (latent, y) = (p.latent as usize, f32s_mut(writes[0]));
    let n = step.rows.min(p.rows) as usize;
    let z = |row: usize| &z[row * latent..][..latent];
    let drawn = |row: usize| &prior[(2 * row + 1) * latent..][..latent];
    let share = |row: usize| f64::from(if consts[1] == 1 { uniform(step, &p, row) } else { g[row] });
    let distance =
        |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum() };
    for (i, row) in range.enumerate() {
        let others = if row < n && n > 1 { 0..n } else { 0..0 };
        let (among, across) = (1.0 / (n.max(2) - 1) as f64, 1.0 / n.max(1) as f64);
        if consts[0] == 0 {
            let term = |j: usize| {
                let k = |a: &[f32], b: &[f32]| similarity(distance(a, b), latent)[0];
                let own = if j == row { 0.0 } else { among * (k(z(row), z(j)) + k(drawn(row), drawn(j))) };
                own - 2.0 * across * k(z(row), drawn(j))
            };
            y[i] = others.map(term).sum::<f64>() as f32;
            continue;
        }
        for column in 0..latent {
            let term = |j: usize| {
                let slope = |b: &[f32]| similarity(distance(z(row), b), latent)[1];
                let from = |b: &[f32]| f64::from(z(row)[column]) - f64::from(b[column]);
                let own = among * (share(row) + share(j)) * slope(z(j)) * 2.0 * from(z(j));
                own - 4.0 * across * share(row) * slope(drawn(j)) * from(drawn(j))
            };
            y[i * latent + column] = others.clone().map(term).sum::<f64>() as f32;
        }
    }
}

fn uniform(step: &StepScalars, p: &Params, row: usize) -> f32 {
    step.row_gradient(p.weight as usize, row, 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{assert_close, call, step};

    #[test]
    fn the_mean_is_the_unbiased_estimate_over_what_counts() {
        let p = Params { rows: 3, latent: 1, weight: 0 };
        // Of the prior's draws the second of each pair counts; the third example does not.
        let (z, prior) = ([0.0, 2.0, 99.0], [99.0, 1.0, 99.0, -1.0, 99.0, 99.0]);
        let k = |s: f64| similarity(s, 1)[0];
        let expected = k(4.0) + k(4.0) - (k(1.0) + k(1.0) + k(1.0) + k(9.0)) / 2.0;
        let mut y = [f32::NAN; 3];
        cpu(call(0..3, &p, &[0, 0], &step(2), &[&z, &prior, &[]], vec![&mut y]));
        assert_close(&[y[0] + y[1], y[2]], &[2.0 * expected, 0.0], 1e-6);
        let mut part = [f32::NAN];
        cpu(call(1..2, &p, &[0, 0], &step(2), &[&z, &prior, &[]], vec![&mut part]));
        assert_eq!(part[0], y[1]);
    }

    #[test]
    fn equal_points_are_as_similar_as_can_be() {
        assert_eq!(similarity(0.0, 3)[0], 7.0);
    }
}
