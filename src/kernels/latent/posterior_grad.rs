//! The gradient of a loss in the posterior's mean and log-variance lv, through its samples and through its KL:
//!
//! dmean = Σₖ dz + g·mean, dlv = Σₖ dz·eps·½exp(lv/2) + g·½(exp(lv) − 1); dlv = 0 where the clamp holds lv.
//!
//! The derivatives of what [`crate::kernels::sample`] computes.

use crate::kernels::{Call, Kernel, f32s, f32s_mut, math, params, read, vector, write};

params! {
    /// Shapes: stats and dstats \[B, 2Z\] = mean ‖ log-variance, eps and dz \[B·K, Z\], g \[B\].
    pub struct Params {
        /// B, examples of the batch.
        pub rows: u32,
        /// Z, latent dimensions.
        pub latent: u32,
        /// K, samples per example.
        pub per_example: u32,
        /// Which weight of the loss belongs to the KL, if `UNIFORM`.
        pub weight: u32,
        /// Lower bound of the log-variance.
        pub low: f32,
        /// Upper bound of the log-variance.
        pub high: f32,
    }
}

/// The kernel. Its outer axis is the examples. `SAMPLED` and `KL` say which of the two paths counts (`eps` and `dz`,
/// and `g`, are not read otherwise); with `UNIFORM` = 1 the KL's gradient is that of a mean over the batch and `g` is
/// not read either.
pub static KERNEL: Kernel = Kernel {
    name: "posterior_grad",
    wgsl: include_str!("../../../shaders/latent/posterior_grad.wgsl"),
    bindings: &[read("stats"), read("eps"), read("dz"), read("g"), write("dstats")],
    params: FIELDS,
    entry: &[],
    consts: &["SAMPLED", "KL", "UNIFORM"],
    workgroup: [64, 1, 1],
    cpu,
    fast: Some(fast),
    sums: crate::kernels::short,
    loop_iterations: crate::kernels::few_iterations,
    family: crate::kernels::Family::Link(crate::kernels::chain::POSTERIOR_GRAD),
};

/// One thread per latent dimension of an example.
pub fn grid(p: &Params) -> [u32; 3] {
    crate::kernels::grid((p.rows as usize * p.latent as usize).div_ceil(64))
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, consts, step, reads, mut writes, .. } = call;
    let [stats, eps, dz, g] = [0, 1, 2, 3].map(|i| f32s(reads[i]));
    let dstats = f32s_mut(writes[0]);
    let (latent, per_example) = (p.latent as usize, p.per_example as usize);
    let (sampled, kl, uniform) = (consts[0] == 1, consts[1] == 1, consts[2] == 1);
    for (i, b) in range.enumerate() {
        for j in 0..latent {
            let (at_mean, at_lv) = (i * 2 * latent + j, (i * 2 + 1) * latent + j);
            let lv = f64::from(stats[at_lv].clamp(p.low, p.high));
            let (mut dmean, mut dlv) = (0.0, 0.0);
            if sampled {
                for k in 0..per_example {
                    let at = (i * per_example + k) * latent + j;
                    dmean += f64::from(dz[at]);
                    dlv += f64::from(dz[at]) * f64::from(eps[at]) * 0.5 * (0.5 * lv).exp();
                }
            }
            if kl {
                let g = f64::from(if uniform { step.row_gradient(p.weight as usize, b, 1) } else { g[i] });
                dmean += g * f64::from(stats[at_mean]);
                dlv += g * 0.5 * lv.exp_m1();
            }
            let held = stats[at_lv] < p.low || stats[at_lv] > p.high;
            dstats[at_mean] = dmean as f32;
            dstats[at_lv] = if held { 0.0 } else { dlv as f32 };
        }
    }
}

fn fast(call: Call) {
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || rows(call),
    );
}

/// The meaning of [`cpu`]: first the terms of the KL divergence, to which those of the samples are added.
#[inline(always)]
fn rows(call: Call) {
    let p: Params = call.params();
    let Call { range, consts, step, reads, mut writes, .. } = call;
    let [stats, eps, dz, g] = [0, 1, 2, 3].map(|i| f32s(reads[i]));
    let (latent, per_example) = (p.latent as usize, p.per_example as usize);
    let (sampled, kl, uniform) = (consts[0] == 1, consts[1] == 1, consts[2] == 1);
    let examples = stats.chunks_exact(2 * latent).zip(f32s_mut(writes[0]).chunks_exact_mut(2 * latent));
    for ((i, b), (stats, dstats)) in range.enumerate().zip(examples) {
        let ((mean, lv), (dmean, dlv)) = (stats.split_at(latent), dstats.split_at_mut(latent));
        let g = match (kl, uniform) {
            (false, _) => 0.0,
            (true, true) => step.row_gradient(p.weight as usize, b, 1),
            (true, false) => g[i],
        };
        // A log-variance outside its bounds is held there and has no gradient.
        let inside = |lv: f32| if lv < p.low || lv > p.high { 0.0 } else { 1.0 };
        vector::columns([mean, lv], [&mut *dmean, &mut *dlv], |[mean, lv]| {
            (0.0, [g * mean, inside(lv) * (g * 0.5 * math::exp_m1(lv.clamp(p.low, p.high)))])
        });
        for k in 0..if sampled { per_example } else { 0 } {
            let at = (i * per_example + k) * latent;
            let (eps, dz) = (&eps[at..at + latent], &dz[at..at + latent]);
            let draws = eps.iter().zip(dz).zip(lv);
            for ((dmean, dlv), ((&eps, &dz), &lv)) in dmean.iter_mut().zip(&mut *dlv).zip(draws) {
                *dmean += dz;
                *dlv += inside(lv) * (dz * eps * 0.5 * math::exp(0.5 * lv.clamp(p.low, p.high)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{assert_close, call, step};
    use crate::kernels::{StepScalars, sample};

    const B: usize = 2;
    const K: usize = 2;
    const Z: usize = 2;
    const EPS: [f32; B * K * Z] = [0.3, -1.2, 2.0, 0.1, -0.4, 0.9, 1.5, -0.7];
    const DZ: [f32; B * K * Z] = [0.5, -0.3, 1.1, 0.2, -0.8, 0.6, 0.4, -0.9];
    const G: [f32; B] = [0.7, 0.2];
    const STATS: [f32; B * 2 * Z] = [0.4, -0.6, 0.8, -1.0, 1.2, 0.1, -0.5, 0.3];

    fn gradient(stats: &[f32], consts: &[u32], g: &[f32], step: &StepScalars) -> Vec<f32> {
        let p = Params { rows: 2, latent: 2, per_example: 2, weight: 1, low: -3.0, high: 3.0 };
        let mut dstats = vec![f32::NAN; stats.len()];
        let reads: [&[f32]; 4] = [stats, &EPS, &DZ, g];
        cpu(call(0..B, &p, consts, step, &reads, vec![&mut dstats]));
        dstats
    }

    /// What the gradient belongs to: Σ dz·z + Σ g·kl, from the kernel whose derivative this is.
    fn loss(stats: &[f32], sampled: bool, kl: bool) -> f64 {
        let p = sample::Params { rows: 2, latent: 2, per_example: 2, low: -3.0, high: 3.0 };
        let (mut eps, mut z, mut rate) = (EPS, [0.0; B * K * Z], [0.0; B]);
        (sample::KERNEL.cpu)(call(0..B, &p, &[0], &step(2), &[&[], stats], vec![&mut eps, &mut z, &mut rate]));
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
        f64::from(u8::from(sampled)) * dot(&DZ, &z) + f64::from(u8::from(kl)) * dot(&G, &rate)
    }

    #[test]
    fn both_paths_agree_with_central_differences() {
        for (sampled, kl) in [(true, false), (false, true), (true, true)] {
            let consts = [u32::from(sampled), u32::from(kl), 0];
            let differences: Vec<f32> = (0..STATS.len())
                .map(|i| {
                    let (mut above, mut below) = (STATS, STATS);
                    above[i] += 0.01;
                    below[i] -= 0.01;
                    ((loss(&above, sampled, kl) - loss(&below, sampled, kl)) / 0.02) as f32
                })
                .collect();
            assert_close(&gradient(&STATS, &consts, &G, &step(2)), &differences, 2e-4);
        }
    }

    #[test]
    fn a_log_variance_held_by_the_clamp_gets_no_gradient() {
        let mut stats = STATS;
        (stats[2], stats[7]) = (3.5, -3.5);
        let dstats = gradient(&stats, &[1, 1, 0], &G, &step(2));
        assert_eq!((dstats[2], dstats[7]), (0.0, 0.0));
        assert!(dstats[3] != 0.0 && dstats[6] != 0.0);
    }

    #[test]
    fn a_uniform_gradient_is_the_weight_over_the_examples_that_count() {
        // One of two examples counts, so it weighs 1; weight 1 is 0.5.
        let given = gradient(&STATS, &[0, 1, 0], &[0.5, 0.0], &step(1));
        assert_eq!(gradient(&STATS, &[0, 1, 1], &[], &step(1)), given);
        assert_eq!(given[4..], [0.0; 4]);
    }
}
