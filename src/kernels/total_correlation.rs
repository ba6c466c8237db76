//! The total correlation of the aggregate posterior, as a number for each example, or its gradient:
//! log q(z) less the sum over dimensions of log q of each, with the minibatch-weighted estimate q(z) ∝ 1/n Σⱼ q(z|xⱼ) (Chen et al., "Isolating sources of
//! disentanglement in variational autoencoders", 2018, section 4.1), over the n examples of the batch that count.
//!
//! The paper's estimate divides by the number of all examples, too: a constant, which is left out and on which no gradient
//! depends.

use super::pair_density::density;
use super::{Call, Kernel, f32s, f32s_mut, params, read, write};

params! {
    /// Shapes: stats \[B, 2Z\] = mean ‖ log-variance, z \[B, Z\], pairs \[B, B\], norms \[B, Z + 1\], g \[B\], and y \[B\],
    /// \[B, Z\] or \[B, 2Z\].
    pub struct Params {
        /// B, examples of the batch.
        pub rows: u32,
        /// Z, latent dimensions.
        pub latent: u32,
        /// Which weight of the loss belongs to the result, if `UNIFORM`.
        pub weight: u32,
        /// Lower bound of the log-variance.
        pub low: f32,
        /// Upper bound of the log-variance.
        pub high: f32,
    }
}

/// `OF`: the value for each example.
pub const VALUE: u32 = 0;
/// `OF`: the gradient for the samples.
pub const SAMPLES: u32 = 1;
/// `OF`: the gradient for the statistics of the posteriors, where the samples are held.
pub const STATISTICS: u32 = 2;

/// The kernel. Its outer axis is the examples; every part of it sees the whole batch. The value reads `norms` alone. With
/// `UNIFORM` = 1 the gradient of the result is that of a mean over the batch, and `g` is not read.
pub static KERNEL: Kernel = Kernel {
    name: "total_correlation",
    wgsl: include_str!("../../shaders/total_correlation.wgsl"),
    bindings: &[read("stats"), read("z"), read("pairs"), read("norms"), read("g"), write("y")],
    params: FIELDS,
    entry: &[],
    consts: &["OF", "UNIFORM"],
    workgroup: [64, 1, 1],
    cpu,
    fast: None,
    sums: super::short,
    rounds: |asked| (rounds(&asked.params(), asked.consts), "a smaller batch"),
    family: super::Family::Alone,
};

/// One thread per example, or per latent dimension of one.
pub fn grid(p: &Params, of: u32) -> [u32; 3] {
    let columns = if of == VALUE { 1 } else { p.latent as usize };
    super::grid((p.rows as usize * columns).div_ceil(64))
}

/// The most rounds that the loops of a thread make ([`super::MOST_ROUNDS`]): all dimensions, or all other rows.
fn rounds(p: &Params, consts: &[u32]) -> usize {
    (if consts[0] == VALUE { p.latent } else { p.rows }) as usize
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, consts, step, reads, mut writes, .. } = call;
    let [stats, z, pairs, norms, g] = [0, 1, 2, 3, 4].map(|i| f32s(reads[i]));
    let y = f32s_mut(writes[0]);
    let (rows, latent) = (p.rows as usize, p.latent as usize);
    let n = (step.rows.min(p.rows) as usize).max(1);
    let norm = |row: usize, d: usize| f64::from(norms[row * (latent + 1) + d]);
    let share =
        |row: usize| f64::from(if consts[1] == 1 { step.row_gradient(p.weight as usize, row, 1) } else { g[row] });
    for (at, row) in range.enumerate() {
        if consts[0] == VALUE {
            let offset = (latent as f64 - 1.0) * (n as f64).ln();
            let value = norm(row, latent) - (0..latent).map(|d| norm(row, d)).sum::<f64>() + offset;
            y[at] = if row < n { value as f32 } else { 0.0 };
            continue;
        }
        for d in 0..latent {
            let mut sums = [0.0; 2];
            for other in 0..if row < n { n } else { 0 } {
                let (i, j) = if consts[0] == SAMPLES { (row, other) } else { (other, row) };
                let place = j * 2 * latent + d;
                let (mean, lv) = (stats[place], stats[place + latent].clamp(p.low, p.high));
                let (alone, scaled) = density(z[i * latent + d], mean, lv);
                let together = (f64::from(pairs[i * rows + j]) - norm(i, latent)).exp();
                let share = share(i) * (together - (alone - norm(i, d)).exp());
                let u = f64::from(z[i * latent + d]) - f64::from(mean);
                sums[0] += share * scaled;
                sums[1] += share * 0.5 * (u * scaled - 1.0);
            }
            if consts[0] == SAMPLES {
                y[at * latent + d] = -sums[0] as f32;
                continue;
            }
            let given = stats[row * 2 * latent + latent + d];
            y[at * 2 * latent + d] = sums[0] as f32;
            y[(at * 2 + 1) * latent + d] = if given < p.low || given > p.high { 0.0 } else { sums[1] as f32 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{assert_close, call, step};

    #[test]
    fn the_value_is_the_difference_of_the_estimates_and_one_dimension_has_none() {
        let p = Params { rows: 2, latent: 2, weight: 0, low: -1.0, high: 1.0 };
        let norms = [-1.0, -2.0, -4.0, 0.5, 0.25, 3.0];
        let mut y = [f32::NAN; 2];
        cpu(call(0..2, &p, &[VALUE, 0], &step(1), &[&[], &[], &[], &norms, &[]], vec![&mut y]));
        assert_close(&y, &[-1.0, 0.0], 1e-6);
        cpu(call(0..2, &p, &[VALUE, 0], &step(2), &[&[], &[], &[], &norms, &[]], vec![&mut y]));
        assert_close(&y, &[-1.0 + 2.0_f64.ln(), 2.25 + 2.0_f64.ln()], 1e-6);
        let p = Params { latent: 1, ..p };
        cpu(call(0..2, &p, &[VALUE, 0], &step(2), &[&[], &[], &[], &[-3.0, -3.0, 2.0, 2.0], &[]], vec![&mut y]));
        assert_eq!(y, [0.0, 0.0]);
    }
}
