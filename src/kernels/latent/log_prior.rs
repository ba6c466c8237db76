//! What the prior of a lower stochastic layer, p(z|above) = N(mean, exp(lv)), makes of a log ratio to N(0, 1), in nats:
//! log N(z; 0, 1) − log p(z|above) = Σ ½lv + ½(z − mean)²·exp(−lv) − ½z² of each row; with `OF` its gradient for the
//! samples or for the statistics of the prior.
//!
//! Added to [`crate::kernels::log_ratio`] it gives log q(z|below) − log p(z|above) (Burda, Grosse and Salakhutdinov 2015, eq. 1
//! and 4).

use crate::kernels::{Call, Kernel, f32s, f32s_mut, math, params, read, write};

params! {
    /// Shapes: z \[R, Z\], prior \[R, 2Z\] = mean ‖ log-variance, g \[R\], y \[R\], \[R, Z\] or \[R, 2Z\].
    pub struct Params {
        /// R, rows.
        pub rows: u32,
        /// Z, latent dimensions.
        pub latent: u32,
        /// K, rows for each example.
        pub per_example: u32,
        /// Which of the step's weights g is, where it is uniform.
        pub weight: u32,
        /// Lower bound of the log-variance.
        pub low: f32,
        /// Upper bound of the log-variance.
        pub high: f32,
    }
}

/// `OF`: the number itself.
pub const VALUE: u32 = 0;
/// `OF`: its gradient for the samples.
pub const SAMPLES: u32 = 1;
/// `OF`: its gradient for the statistics.
pub const STATISTICS: u32 = 2;

/// The kernel. Its outer axis is the rows. With `UNIFORM` g is what each row weighs in the step, and is not read.
pub static KERNEL: Kernel = Kernel {
    name: "log_prior",
    wgsl: include_str!("../../../shaders/latent/log_prior.wgsl"),
    bindings: &[read("z"), read("prior"), read("g"), write("y")],
    params: FIELDS,
    entry: &[],
    consts: &["OF", "UNIFORM"],
    workgroup: [64, 1, 1],
    cpu,
    fast: None,
    sums: crate::kernels::short,
    loop_iterations: |asked| {
        let of_value = asked.consts[0] == VALUE;
        (if of_value { asked.params::<Params>().latent as usize } else { 0 }, "fewer latent dimensions")
    },
    family: crate::kernels::Family::Alone,
};

/// One thread for each row, of gradients for each latent dimension of a row.
pub fn grid(p: &Params, of: u32) -> [u32; 3] {
    let columns = if of == VALUE { 1 } else { p.latent as usize };
    crate::kernels::grid((p.rows as usize * columns).div_ceil(64))
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, consts, step, reads, mut writes, .. } = call;
    let (latent, of) = (p.latent as usize, consts[0]);
    let width = [1, latent, 2 * latent][of as usize];
    let rows = f32s(reads[0]).chunks_exact(latent).zip(f32s(reads[1]).chunks_exact(2 * latent));
    for (at, ((r, (z, prior)), y)) in range.zip(rows).zip(f32s_mut(writes[0]).chunks_exact_mut(width)).enumerate() {
        let (mean, given) = prior.split_at(latent);
        let weight = match consts[1] {
            _ if of == VALUE => 0.0,
            1 => step.row_gradient(p.weight as usize, r, p.per_example as usize),
            _ => f32s(reads[2])[at],
        };
        let mut sum = 0.0;
        for j in 0..latent {
            let lv = given[j].clamp(p.low, p.high);
            let d = z[j] - mean[j];
            let scaled = d * math::exp(-lv);
            match of {
                VALUE => sum += f64::from(0.5 * (lv + d * scaled - z[j] * z[j])),
                SAMPLES => y[j] = weight * (scaled - z[j]),
                _ => {
                    y[j] = -weight * scaled;
                    y[latent + j] = if lv == given[j] { 0.5 * weight * (1.0 - d * scaled) } else { 0.0 };
                }
            }
        }
        if of == VALUE {
            y[0] = sum as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{assert_close, call, step};

    #[test]
    fn it_is_the_difference_of_two_log_densities() {
        let log_density = |z: f64, mean: f64, lv: f64| -0.5 * (lv + (z - mean).powi(2) * (-lv).exp());
        let (z, prior) = ([0.5, -1.0, 2.0, 0.25], [0.1, -0.4, 0.3, 5.0, -1.0, 0.0, -0.2, 0.7]);
        let p = Params { rows: 2, latent: 2, per_example: 1, weight: 0, low: -2.0, high: 1.5 };
        let mut y = [f32::NAN; 2];
        cpu(call(0..2, &p, &[VALUE, 0], &step(2), &[&z, &prior, &[]], vec![&mut y]));
        let term = |row: usize, j: usize| {
            let [z, mean, lv] = [z[row * 2 + j], prior[row * 4 + j], prior[row * 4 + 2 + j]].map(f64::from);
            log_density(z, 0.0, 0.0) - log_density(z, mean, lv.min(1.5))
        };
        assert_close(&y, &[term(0, 0) + term(0, 1), term(1, 0) + term(1, 1)], 1e-6);
        let mut part = [f32::NAN; 1];
        cpu(call(1..2, &p, &[VALUE, 0], &step(2), &[&z[2..], &prior[4..], &[]], vec![&mut part]));
        assert_eq!(part, y[1..]);
        let mut d = [f32::NAN; 8];
        cpu(call(0..2, &p, &[STATISTICS, 0], &step(2), &[&z, &prior, &[1.0, 2.0]], vec![&mut d]));
        assert_eq!(d[3], 0.0, "a log-variance that is held has no gradient");
    }
}
