//! Reparameterised draws from the posterior, z = mean + exp(lv/2)·eps, and its KL divergence to the prior N(0, 1),
//! kl = Σ ½(mean² + exp(lv) − 1 − lv), where lv is the clamped log-variance.
//!
//! Source: Kingma, Welling, "Auto-Encoding Variational Bayes", 2014, section 2.4 and appendix B.

use crate::kernels::{
    Call, Kernel, all_f32s_mut, f32s, math, noise, params, read, read_u32, read_write, vector, write,
};

params! {
    /// Shapes: order \[examples\], stats \[B, 2Z\] = mean ‖ log-variance, eps and z \[B·K, Z\], kl \[B\] in nats.
    pub struct Params {
        /// B, examples of the batch.
        pub rows: u32,
        /// Z, latent dimensions.
        pub latent: u32,
        /// K, samples per example.
        pub per_example: u32,
        /// Lower bound of the log-variance.
        pub low: f32,
        /// Upper bound of the log-variance.
        pub high: f32,
    }
}

/// The kernel. Its outer axis is the examples. `DRAW` = 1 draws eps as [`noise`] does and stores it; with 0 it is given
/// and `order` is not read.
pub static KERNEL: Kernel = Kernel {
    name: "sample",
    wgsl: include_str!("../../../shaders/latent/sample.wgsl"),
    bindings: &[read_u32("order"), read("stats"), read_write("eps"), write("z"), write("kl")],
    params: FIELDS,
    entry: &[],
    consts: &["DRAW"],
    workgroup: [64, 1, 1],
    cpu,
    fast: Some(fast),
    sums: crate::kernels::short,
    loop_iterations: |asked| (loop_iterations(&asked.params()), "fewer samples or latent dimensions"),
    family: crate::kernels::Family::Link(crate::kernels::chain::SAMPLE),
};

/// One workgroup per example.
pub fn grid(p: &Params) -> [u32; 3] {
    crate::kernels::grid(p.rows as usize)
}

/// KL(N(mean, exp(lv)) ‖ N(0, 1)) of one dimension, in nats.
pub fn kl_term(mean: f64, lv: f64) -> f64 {
    0.5 * (mean * mean + lv.exp_m1() - lv)
}

/// Iterations of the loops of a thread, at most ([`crate::kernels::MAX_LOOP_ITERATIONS`]): its share of the blocks of all samples, of each
/// the generator's ten rounds and four columns; and its share of the dimensions.
fn loop_iterations(p: &Params) -> usize {
    let [latent, samples] = [p.latent, p.per_example].map(|count| count as usize);
    (samples * latent.div_ceil(4)).div_ceil(64) * (1 + 11 + 5) + latent.div_ceil(64)
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, consts, step, reads, writes, .. } = call;
    let (latent, per_example) = (p.latent as usize, p.per_example as usize);
    let [eps, z, kl] = all_f32s_mut(writes);
    for (i, b) in range.enumerate() {
        let (mean, lv) = f32s(reads[1])[i * 2 * latent..][..2 * latent].split_at(latent);
        let lv = |j: usize| lv[j].clamp(p.low, p.high);
        for k in 0..per_example {
            let at = (i * per_example + k) * latent;
            let eps = &mut eps[at..at + latent];
            if consts[0] == 1 {
                noise::fill(step, reads[0][step.position(b)], step.sample + k as u32, eps);
            }
            for j in 0..latent {
                z[at + j] = mean[j] + (0.5 * lv(j)).exp() * eps[j];
            }
        }
        let mut sum = 0.0;
        for j in 0..latent {
            let (mean, lv) = (f64::from(mean[j]), f64::from(lv(j)));
            sum += kl_term(mean, lv);
        }
        kl[i] = sum as f32;
    }
}

fn fast(call: Call) {
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || rows(call),
    );
}

/// The meaning of [`cpu`].
#[inline(always)]
fn rows(call: Call) {
    let p: Params = call.params();
    let Call { range, consts, step, reads, writes, .. } = call;
    let (latent, per_example) = (p.latent as usize, p.per_example as usize);
    let [eps, z, kl] = all_f32s_mut(writes);
    let examples = f32s(reads[1]).chunks_exact(2 * latent).zip(kl);
    for ((i, b), (stats, kl)) in range.enumerate().zip(examples) {
        let (mean, lv) = stats.split_at(latent);
        for k in 0..per_example {
            let at = (i * per_example + k) * latent;
            let eps = &mut eps[at..at + latent];
            if consts[0] == 1 {
                noise::fill_fast(step, reads[0][step.position(b)], step.sample + k as u32, eps);
            }
            vector::columns([mean, lv, eps], [&mut z[at..at + latent]], |[mean, lv, eps]| {
                (0.0, [mean + math::exp(0.5 * lv.clamp(p.low, p.high)) * eps])
            });
        }
        let sum = vector::columns([mean, lv], [], |[mean, lv]| {
            let lv = lv.clamp(p.low, p.high);
            (0.5 * (mean * mean + math::exp_beyond_linear(lv)), [])
        });
        *kl = sum as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{assert_close, call, floats, step};

    const ORDER: [u32; 3] = [5, 8, 2];

    #[test]
    fn the_kl_is_zero_for_the_prior_and_follows_the_formula_elsewhere() {
        let p = Params { rows: 3, latent: 2, per_example: 1, low: -2.0, high: 2.0 };
        let ln4 = 4.0_f32.ln();
        // The last row lies outside the clamp, on both sides.
        let stats = [0.0, 0.0, 0.0, 0.0, 3.0, -1.0, ln4, -ln4, 0.0, 0.0, 9.0, -9.0];
        let (mut eps, mut z, mut kl) = ([1.0, 1.0, -1.0, 2.0, 1.0, 1.0], [f32::NAN; 6], [f32::NAN; 3]);
        cpu(call(0..3, &p, &[0], &step(3), &[&[], &stats], vec![&mut eps, &mut z, &mut kl]));
        assert_close(&z, &[1.0, 1.0, 3.0 - 2.0, -1.0 + 0.5 * 2.0, 1_f32.exp(), (-1_f32).exp()], 1e-6);
        let row1 = 0.5 * (9.0 + 4.0 - 1.0 - ln4) + 0.5 * (1.0 + 0.25 - 1.0 + ln4);
        let row2 = 0.5 * (2_f32.exp() - 3.0) + 0.5 * ((-2_f32).exp() + 1.0);
        assert_close(&kl, &[0.0, row1, row2], 1e-6);
    }

    #[test]
    fn drawn_noise_is_that_of_the_noise_kernel_and_is_kept() {
        let p = Params { rows: 3, latent: 5, per_example: 2, low: -8.0, high: 8.0 };
        let s = step(3);
        let mut noise = [f32::NAN; 30];
        let n = noise::Params { rows: 6, width: 5, per_example: 2, layer: 0 };
        (noise::KERNEL.cpu)(call(0..6, &n, &[], &s, &[floats(&ORDER)], vec![&mut noise]));
        // Only rows 1 and 2, so that the range matters; means 0 and log-variances 0.
        let (mut eps, mut z, mut kl) = ([f32::NAN; 20], [f32::NAN; 20], [f32::NAN; 2]);
        cpu(call(1..3, &p, &[1], &s, &[floats(&ORDER), &[0.0; 20]], vec![&mut eps, &mut z, &mut kl]));
        assert_eq!(eps, noise[10..]);
        assert_eq!((z, kl), (eps, [0.0; 2]));
    }
}
