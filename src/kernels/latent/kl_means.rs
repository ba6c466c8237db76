//! The KL of each group of latent dimensions, a mean over the examples of the batch that count, in nats.

use crate::kernels::sample::kl_term;
use crate::kernels::{Call, Kernel, f32s, f32s_mut, params, read, write};

params! {
    /// Shapes: stats \[B, 2Z\] = mean ‖ log-variance, means \[G\] with Z = G·n.
    pub struct Params {
        /// G, groups.
        pub groups: u32,
        /// n, neighbouring dimensions of a group.
        pub size: u32,
        /// B, examples of the batch.
        pub batch: u32,
        /// Lower bound of the log-variance.
        pub low: f32,
        /// Upper bound of the log-variance.
        pub high: f32,
    }
}

/// The kernel. Its outer axis is the groups; every part of it sees the whole batch.
pub static KERNEL: Kernel = Kernel {
    name: "kl_means",
    wgsl: include_str!("../../../shaders/latent/kl_means.wgsl"),
    bindings: &[read("stats"), write("means")],
    params: FIELDS,
    entry: &[],
    consts: &[],
    workgroup: [64, 1, 1],
    cpu,
    fast: None,
    sums: crate::kernels::short,
    loop_iterations: |asked| (loop_iterations(&asked.params()), "a smaller batch"),
    family: crate::kernels::Family::Alone,
};

/// One workgroup per group.
pub fn grid(p: &Params) -> [u32; 3] {
    crate::kernels::grid(p.groups as usize)
}

/// Iterations of the loops of a thread, at most ([`crate::kernels::MAX_LOOP_ITERATIONS`]): every 64th example, of each the dimensions of a
/// group.
fn loop_iterations(p: &Params) -> usize {
    (p.batch as usize).div_ceil(64) * (2 + p.size as usize)
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, step, reads, mut writes, .. } = call;
    let (stats, size) = (f32s(reads[0]), p.size as usize);
    let (latent, rows) = (p.groups as usize * size, step.rows.min(p.batch) as usize);
    for (group, mean) in range.zip(f32s_mut(writes[0])) {
        let of_row = |row: usize| -> f64 {
            let at = |j: usize| row * 2 * latent + j;
            let dimensions = group * size..(group + 1) * size;
            dimensions.map(|j| kl_term(stats[at(j)].into(), stats[at(j + latent)].clamp(p.low, p.high).into())).sum()
        };
        *mean = ((0..rows).map(of_row).sum::<f64>() * f64::from(step.row_weight)) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{assert_close, call, step};

    #[test]
    fn means_are_over_the_examples_that_count_and_sums_over_a_group() {
        let ln4 = 4.0_f32.ln();
        let stats = [1.0, 2.0, 0.0, ln4, 3.0, 0.0, 0.0, ln4, 99.0, 99.0, 99.0, 99.0];
        let wide = 0.5 * (3.0 - f64::from(ln4));
        for (groups, size, expected) in
            [(2, 1, vec![2.5, 1.0 + wide]), (1, 2, vec![(0.5 + 4.5 + 2.0 + 2.0 * wide) / 2.0])]
        {
            let p = Params { groups, size, batch: 3, low: -3.0, high: 3.0 };
            let mut means = vec![f32::NAN; groups as usize];
            cpu(call(0..groups as usize, &p, &[], &step(2), &[&stats], vec![&mut means]));
            assert_close(&means, &expected, 1e-6);
        }
    }
}
