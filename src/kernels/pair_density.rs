//! log q(z of row i | x of row j) for all pairs of a batch, Σ over latent dimensions, in nats.

use super::{Call, Kernel, f32s, f32s_mut, params, read, write};

params! {
    /// Shapes: stats \[B, 2Z\] = mean ‖ log-variance, z \[B, Z\], pairs \[B, B\].
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
    name: "pair_density",
    wgsl: include_str!("../../shaders/pair_density.wgsl"),
    bindings: &[read("stats"), read("z"), write("pairs")],
    params: FIELDS,
    entry: &[],
    consts: &[],
    workgroup: [64, 1, 1],
    cpu,
    fast: None,
    sums: super::short,
    rounds: super::few_rounds,
    family: super::Family::Alone,
};

/// One thread per pair.
pub fn grid(p: &Params) -> [u32; 3] {
    super::grid((p.rows as usize * p.rows as usize).div_ceil(64))
}

/// log N(z; mean, exp(lv)) of one dimension, and (z − mean)/exp(lv).
pub(super) fn density(z: f32, mean: f32, lv: f32) -> (f64, f64) {
    let (u, lv) = (f64::from(z) - f64::from(mean), f64::from(lv));
    let scaled = u * (-lv).exp();
    (-0.5 * (u * scaled + lv + (2.0 * std::f64::consts::PI).ln()), scaled)
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, reads, mut writes, .. } = call;
    let (stats, z, pairs) = (f32s(reads[0]), f32s(reads[1]), f32s_mut(writes[0]));
    let (rows, latent) = (p.rows as usize, p.latent as usize);
    for i in 0..range.len() {
        for j in 0..rows {
            let of = |d: usize| {
                let at = j * 2 * latent + d;
                density(z[i * latent + d], stats[at], stats[at + latent].clamp(p.low, p.high)).0
            };
            pairs[i * rows + j] = (0..latent).map(of).sum::<f64>() as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{assert_close, call, step};

    #[test]
    fn densities_are_those_of_the_normal_distribution() {
        let p = Params { rows: 2, latent: 1, low: -1.0, high: 1.0 };
        let (stats, z) = ([0.0, 0.0, 1.0, 9.0], [0.0, 3.0]);
        let mut pairs = [f32::NAN; 4];
        cpu(call(0..2, &p, &[], &step(2), &[&stats, &z], vec![&mut pairs]));
        let half = 0.5 * (2.0 * std::f64::consts::PI).ln();
        let wide = |u: f64| -0.5 * (u * u * (-1.0_f64).exp() + 1.0) - half;
        assert_close(&pairs, &[-half, wide(-1.0), -4.5 - half, wide(2.0)], 1e-6);
    }
}
