//! The KL of each example as a loss that looks at its mean over the batch, or the gradient of that for the statistics.
//!
//! - Free bits, `CAPACITY` = 0: max(λ, KL) for each group of latent dimensions, where KL is the group's mean over the
//!   batch (Kingma et al., "Improving variational inference with inverse autoregressive flow", 2016).
//! - Capacity, `CAPACITY` = 1: |KL − C| with one group, where C is one of the step's weights (Burgess et al.,
//!   "Understanding disentangling in β-VAE", 2018, with the mean over the batch inside).
//!
//! Both are λ + s·(KL − λ) or s·(KL − C) of each example with a slope s that is that of the batch, so that the mean over
//! the batch and its gradient are those of the formula.

use crate::kernels::{Call, Kernel, f32s, f32s_mut, params, read, sample, write};

params! {
    /// Shapes: stats \[B, 2Z\] = mean ‖ log-variance, means \[Z/n\], g \[B\], y \[B\] or, of the gradient, \[B, 2Z\].
    pub struct Params {
        /// B, examples of the batch.
        pub rows: u32,
        /// Z, latent dimensions.
        pub latent: u32,
        /// n, neighbouring dimensions of a group.
        pub size: u32,
        /// Which weight of the loss belongs to the result, if `UNIFORM`.
        pub weight: u32,
        /// Which of the step's weights is the capacity, if `CAPACITY`.
        pub capacity: u32,
        /// λ, free nats of a group.
        pub bound: f32,
        /// Lower bound of the log-variance.
        pub low: f32,
        /// Upper bound of the log-variance.
        pub high: f32,
    }
}

/// The kernel. Its outer axis is the examples. `GRAD` asks for the gradient; with `UNIFORM` = 1 that of the result is that
/// of a mean over the batch, and `g` is not read.
pub static KERNEL: Kernel = Kernel {
    name: "shaped_kl",
    wgsl: include_str!("../../../shaders/latent/shaped_kl.wgsl"),
    bindings: &[read("stats"), read("means"), read("g"), write("y")],
    params: FIELDS,
    entry: &[],
    consts: &["CAPACITY", "GRAD", "UNIFORM"],
    workgroup: [64, 1, 1],
    cpu,
    fast: None,
    sums: crate::kernels::short,
    loop_iterations: |asked| (loop_iterations(&asked.params()), "fewer latent dimensions"),
    family: crate::kernels::Family::Alone,
};

/// One thread per example.
pub fn grid(p: &Params) -> [u32; 3] {
    crate::kernels::grid((p.rows as usize).div_ceil(64))
}

/// Iterations of the loops of a thread, at most ([`crate::kernels::MAX_LOOP_ITERATIONS`]): all groups, of each all dimensions.
fn loop_iterations(p: &Params) -> usize {
    let [latent, size] = [p.latent, p.size].map(|count| count as usize);
    latent / size * (2 + size)
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, consts, step, reads, mut writes, .. } = call;
    let [stats, means, g] = [0, 1, 2].map(|i| f32s(reads[i]));
    let y = f32s_mut(writes[0]);
    let (latent, size) = (p.latent as usize, p.size as usize);
    let (capacity, grad, uniform) = (consts[0] == 1, consts[1] == 1, consts[2] == 1);
    let (bound, below) = if capacity { (step.weights[p.capacity as usize], -1.0) } else { (p.bound, 0.0) };
    for (i, row) in range.enumerate() {
        let g = match (grad, uniform) {
            (false, _) => 0.0,
            (true, true) => f64::from(step.row_gradient(p.weight as usize, row, 1)),
            (true, false) => f64::from(g[i]),
        };
        let mut sum = 0.0;
        for (group, &mean) in means.iter().enumerate() {
            let slope = if mean > bound { 1.0 } else { below };
            let mut kl = 0.0;
            for j in group * size..(group + 1) * size {
                let (at_mean, at_lv) = (i * 2 * latent + j, (i * 2 + 1) * latent + j);
                let lv = stats[at_lv].clamp(p.low, p.high);
                kl += sample::kl_term(stats[at_mean].into(), lv.into());
                if grad {
                    let held = stats[at_lv] < p.low || stats[at_lv] > p.high;
                    let dlv = 0.5 * g * slope * f64::from(lv).exp_m1();
                    y[at_mean] = (g * slope * f64::from(stats[at_mean])) as f32;
                    y[at_lv] = if held { 0.0 } else { dlv as f32 };
                }
            }
            sum += slope * (kl - f64::from(bound)) + if capacity { 0.0 } else { f64::from(bound) };
        }
        if !grad {
            y[i] = sum as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::StepScalars;
    use crate::kernels::testing::{assert_close, call, step};

    /// Two examples of two dimensions, whose KLs are half the squares of the means: 2 and 0.5, then 8 and 0.
    const STATS: [f32; 8] = [2.0, 1.0, 0.0, 0.0, 4.0, 0.0, 0.0, 0.0];

    fn result(consts: [u32; 3], size: u32, means: &[f32], bound: f32, capacity: f32) -> Vec<f32> {
        let p = Params { rows: 2, latent: 2, size, weight: 1, capacity: 5, bound, low: -3.0, high: 3.0 };
        let mut y = vec![f32::NAN; if consts[1] == 1 { 8 } else { 2 }];
        let step = StepScalars { weights: [1.0, 0.5, 0.0, 0.0, 0.0, capacity, 0.0, 0.0], ..step(2) };
        cpu(call(0..2, &p, &consts, &step, &[&STATS, means, &[2.0, 4.0]], vec![&mut y]));
        y
    }

    #[test]
    fn the_mean_over_the_batch_is_that_of_the_formula() {
        let mean = |y: Vec<f32>| f32::midpoint(y[0], y[1]);
        assert_close(&[mean(result([0, 0, 0], 1, &[5.0, 0.25], 0.5, 0.0))], &[5.0_f32 + 0.5], 1e-6);
        assert_close(&[mean(result([0, 0, 0], 2, &[5.25], 6.0, 0.0))], &[6.0_f32], 1e-6);
        assert_close(&[mean(result([1, 0, 0], 2, &[5.25], 0.0, 6.0))], &[0.75_f32], 1e-6);
        assert_close(&[mean(result([1, 0, 0], 2, &[5.25], 0.0, 5.0))], &[0.25_f32], 1e-6);
    }

    #[test]
    fn the_gradient_has_the_slope_of_the_batch() {
        let y = result([0, 1, 0], 1, &[5.0, 0.25], 0.5, 0.0);
        assert_eq!(y, [4.0, 0.0, 0.0, 0.0, 16.0, 0.0, 0.0, 0.0]);
        let y = result([1, 1, 1], 2, &[5.25], 0.0, 6.0);
        // Weight 0.5 of a mean over two examples, downwards.
        assert_eq!(y, [-0.5, -0.25, -0.0, -0.0, -1.0, -0.0, -0.0, -0.0]);
    }
}
