//! log q(z|x) − log p(z) of each sample in nats: Σ ½z² − ½eps² − ½lv, for q = N(mean, exp(lv)), z = mean + exp(lv/2)·eps
//! and the prior N(0, 1). The constants ½log 2π of the two densities cancel.

use crate::kernels::{Call, Kernel, f32s, f32s_mut, params, read, write};

params! {
    /// Shapes: stats \[B, 2Z\] = mean ‖ log-variance, eps and z \[R, Z\], ratio \[R\] with R = B·K.
    pub struct Params {
        /// R, rows: K samples for each example, one after the other.
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

/// The kernel. Its outer axis is the rows; a range of them holds whole examples.
pub static KERNEL: Kernel = Kernel {
    name: "log_ratio",
    wgsl: include_str!("../../../shaders/latent/log_ratio.wgsl"),
    bindings: &[read("stats"), read("eps"), read("z"), write("ratio")],
    params: FIELDS,
    entry: &[],
    consts: &[],
    workgroup: [64, 1, 1],
    cpu,
    fast: None,
    sums: crate::kernels::short,
    loop_iterations: |asked| (asked.params::<Params>().latent as usize, "fewer latent dimensions"),
    family: crate::kernels::Family::Alone,
};

/// One thread per row.
pub fn grid(p: &Params) -> [u32; 3] {
    crate::kernels::grid((p.rows as usize).div_ceil(64))
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, reads, mut writes, .. } = call;
    let [stats, eps, z] = [0, 1, 2].map(|i| f32s(reads[i]));
    let (latent, per_example) = (p.latent as usize, p.per_example as usize);
    let first_example = range.start / per_example;
    for (i, (r, ratio)) in range.zip(f32s_mut(writes[0])).enumerate() {
        let lv = &stats[((r / per_example - first_example) * 2 + 1) * latent..][..latent];
        let terms = (0..latent).map(|j| {
            let (eps, z) = (f64::from(eps[i * latent + j]), f64::from(z[i * latent + j]));
            0.5 * (z * z - eps * eps - f64::from(lv[j].clamp(p.low, p.high)))
        });
        *ratio = terms.sum::<f64>() as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{assert_close, call};
    use crate::kernels::{sample, testing};

    /// log of the density of N(mean, exp(lv)).
    fn log_density(z: f32, mean: f32, lv: f32) -> f64 {
        let u = (f64::from(z) - f64::from(mean)) / (f64::from(lv) / 2.0).exp();
        -0.5 * (u * u + f64::from(lv) + (2.0 * std::f64::consts::PI).ln())
    }

    #[test]
    fn the_ratio_is_the_difference_of_the_two_log_densities() {
        let stats = [0.4, -0.6, 0.8, -1.0, 1.2, 0.1, -0.5, 5.0];
        let (low, high) = (-3.0, 3.0);
        let mut eps = [0.3, -1.2, 2.0, 0.1, -0.4, 0.9, 1.5, -0.7];
        let (mut z, mut kl) = ([f32::NAN; 8], [f32::NAN; 2]);
        let drawn = sample::Params { rows: 2, latent: 2, per_example: 2, low, high };
        let s = testing::step(2);
        (sample::KERNEL.cpu)(call(0..2, &drawn, &[0], &s, &[&[], &stats], vec![&mut eps, &mut z, &mut kl]));
        let expected: Vec<f32> = (0..4)
            .map(|r| {
                let column = |j: usize| {
                    let (z, at) = (z[r * 2 + j], r / 2 * 4 + j);
                    log_density(z, stats[at], stats[at + 2].min(high)) - log_density(z, 0.0, 0.0)
                };
                (column(0) + column(1)) as f32
            })
            .collect();
        let p = Params { rows: 4, latent: 2, per_example: 2, low, high };
        let mut ratio = [f32::NAN; 4];
        cpu(call(0..4, &p, &[], &s, &[&stats, &eps, &z], vec![&mut ratio]));
        assert_close(&ratio, &expected, 1e-5);
        let mut part = [f32::NAN; 2];
        cpu(call(2..4, &p, &[], &s, &[&stats[4..], &eps[4..], &z[4..]], vec![&mut part]));
        assert_eq!(part, ratio[2..]);
    }
}
