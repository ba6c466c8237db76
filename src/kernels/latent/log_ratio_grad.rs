//! The gradient of log q(z|x) − log p(z) for the posterior's statistics, where the sample z is held: nothing for the mean,
//! −½ Σₖ g for each log-variance, and 0 where the clamp holds it.
//!
//! [`crate::kernels::log_ratio`] is Σ ½z² − ½eps² − ½lv. What z itself contributes, g·z, goes the way of every sample.

use crate::kernels::{Call, Kernel, f32s, f32s_mut, params, read, write};

params! {
    /// Shapes: stats and dstats \[B, 2Z\] = mean ‖ log-variance, g \[B·K\].
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

/// The kernel. Its outer axis is the examples.
pub static KERNEL: Kernel = Kernel {
    name: "log_ratio_grad",
    wgsl: include_str!("../../../shaders/latent/log_ratio_grad.wgsl"),
    bindings: &[read("stats"), read("g"), write("dstats")],
    params: FIELDS,
    entry: &[],
    consts: &[],
    workgroup: [64, 1, 1],
    cpu,
    fast: None,
    sums: crate::kernels::short,
    loop_iterations: crate::kernels::few_iterations,
    family: crate::kernels::Family::Alone,
};

/// One thread per latent dimension of an example.
pub fn grid(p: &Params) -> [u32; 3] {
    crate::kernels::grid((p.rows as usize * p.latent as usize).div_ceil(64))
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, reads, mut writes, .. } = call;
    let (stats, g, dstats) = (f32s(reads[0]), f32s(reads[1]), f32s_mut(writes[0]));
    let (latent, per_example) = (p.latent as usize, p.per_example as usize);
    for i in 0..range.len() {
        let sum: f64 = g[i * per_example..(i + 1) * per_example].iter().map(|&g| f64::from(g)).sum();
        for at in i * 2 * latent..(i * 2 + 1) * latent {
            let held = stats[at + latent] < p.low || stats[at + latent] > p.high;
            dstats[at] = 0.0;
            dstats[at + latent] = if held { 0.0 } else { (-0.5 * sum) as f32 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{call, step};

    #[test]
    fn samples_add_up_and_what_is_held_has_no_gradient() {
        let p = Params { rows: 2, latent: 2, per_example: 2, low: -1.0, high: 1.0 };
        let stats = [0.0, 0.0, 0.5, -2.0, 0.0, 0.0, 1.0, -1.0];
        let mut dstats = [f32::NAN; 8];
        cpu(call(0..2, &p, &[], &step(2), &[&stats, &[1.0, 3.0, -1.0, 0.5]], vec![&mut dstats]));
        assert_eq!(dstats, [0.0, 0.0, -2.0, 0.0, 0.0, 0.0, 0.25, 0.25]);
        let mut part = [f32::NAN; 4];
        cpu(call(1..2, &p, &[], &step(2), &[&stats[4..], &[-1.0, 0.5]], vec![&mut part]));
        assert_eq!(part, dstats[4..]);
    }
}
