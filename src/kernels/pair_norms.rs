//! log Σⱼ q(z of row i | x of row j), over the examples of the batch that count: of each latent dimension by itself, then of
//! all together.

use super::pair_density::density;
use super::{Call, Kernel, f32s, f32s_mut, params, read, write};

params! {
    /// Shapes: stats \[B, 2Z\] = mean ‖ log-variance, z \[B, Z\], pairs \[B, B\] of [`super::pair_density`],
    /// norms \[B, Z + 1\].
    pub struct Params {
        /// B, examples of the batch.
        pub rows: u32,
        /// Z, latent dimensions.
        pub latent: u32,
        /// Lower bound of the log-variance.
        pub low: f32,
        /// Upper bound of the log-variance.
        pub high: f32,
    }
}

/// The kernel. Its outer axis is the rows i; every part of it sees all statistics.
pub static KERNEL: Kernel = Kernel {
    name: "pair_norms",
    wgsl: include_str!("../../shaders/pair_norms.wgsl"),
    bindings: &[read("stats"), read("z"), read("pairs"), write("norms")],
    params: FIELDS,
    entry: &[],
    consts: &[],
    workgroup: [64, 1, 1],
    cpu,
    fast: None,
    sums: super::short,
    rounds: |asked| (rounds(&asked.params()), "a smaller batch"),
    family: super::Family::Alone,
};

/// One thread per number.
pub fn grid(p: &Params) -> [u32; 3] {
    super::grid((p.rows as usize * (p.latent as usize + 1)).div_ceil(64))
}

/// The most rounds that the loops of a thread make ([`super::MOST_ROUNDS`]): the largest of all pairs, then their sum.
fn rounds(p: &Params) -> usize {
    2 * p.rows as usize
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, step, reads, mut writes, .. } = call;
    let [stats, z, pairs] = [0, 1, 2].map(|i| f32s(reads[i]));
    let norms = f32s_mut(writes[0]);
    let (rows, latent) = (p.rows as usize, p.latent as usize);
    let n = (step.rows.min(p.rows) as usize).max(1);
    for i in 0..range.len() {
        for d in 0..=latent {
            let of = |j: usize| {
                let at = j * 2 * latent + d;
                if d == latent {
                    return f64::from(pairs[i * rows + j]);
                }
                density(z[i * latent + d], stats[at], stats[at + latent].clamp(p.low, p.high)).0
            };
            let largest = (0..n).map(of).fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = (0..n).map(|j| (of(j) - largest).exp()).sum();
            norms[i * (latent + 1) + d] = (largest + sum.ln()) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{assert_close, call, step};

    #[test]
    fn what_does_not_count_is_not_added() {
        let p = Params { rows: 3, latent: 1, low: -1.0, high: 1.0 };
        // Two posteriors N(0, 1) that count, and one far away that does not.
        let (stats, z, pairs) = ([0.0, 0.0, 0.0, 0.0, 5.0, 0.0], [0.0; 3], [-1.0, -1.0, 7.0].repeat(3));
        let mut norms = [f32::NAN; 6];
        cpu(call(0..3, &p, &[], &step(2), &[&stats, &z, &pairs], vec![&mut norms]));
        let alone = 2.0_f64.ln() - 0.5 * (2.0 * std::f64::consts::PI).ln();
        assert_close(&norms, &[alone, 2.0_f64.ln() - 1.0].repeat(3), 1e-6);
    }
}
