//! The mean of a discretised mixture of logistics: ½ + ½·Σₖ πₖ·μₖ with each μₖ held between the first level, −1, and the
//! last, 1, since what lies beyond belongs to them. The layout is that of [`crate::kernels::logistic_mixture`]; the log-scales at its
//! end may be missing.

use crate::kernels::{Call, Kernel, f32s, f32s_mut, params, read, write};

params! {
    /// Shapes: out \[R, O\], mean \[R, C·P\].
    pub struct Params {
        /// R, rows.
        pub rows: u32,
        /// P, pixels.
        pub pixels: u32,
        /// C, channels.
        pub channels: u32,
        /// K, components.
        pub components: u32,
        /// O, numbers of a row of `out`: at least the K·(1 + C)·P logits and means.
        pub outputs: u32,
    }
}

/// The kernel. Its outer axis is the rows.
pub static KERNEL: Kernel = Kernel {
    name: "logistic_mixture_mean",
    wgsl: include_str!("../../../shaders/likelihood/logistic_mixture_mean.wgsl"),
    bindings: &[read("out"), write("mean")],
    params: FIELDS,
    entry: &[],
    consts: &[],
    workgroup: [64, 1, 1],
    cpu,
    fast: None,
    sums: crate::kernels::short,
    loop_iterations: |asked| (loop_iterations(&asked.params()), "lower model.components or data.resize"),
    family: crate::kernels::Family::Alone,
};

/// One workgroup per row.
pub fn grid(p: &Params) -> [u32; 3] {
    crate::kernels::grid(p.rows as usize)
}

/// Iterations of the loops of a thread, at most ([`crate::kernels::MAX_LOOP_ITERATIONS`]): its values, with all components twice.
fn loop_iterations(p: &Params) -> usize {
    let [pixels, components, channels] = [p.pixels, p.components, p.channels].map(|count| count as usize);
    (channels * pixels).div_ceil(64) * 2 * (1 + components)
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, reads, mut writes, .. } = call;
    let (components, pixels, width) = (p.components as usize, p.pixels as usize, (p.channels * p.pixels) as usize);
    let means = components * pixels;
    let rows = f32s(reads[0]).chunks_exact(p.outputs as usize).zip(f32s_mut(writes[0]).chunks_exact_mut(width));
    for (out, row) in rows.take(range.len()) {
        for (at, mean) in row.iter_mut().enumerate() {
            let logits = (0..components).map(|k| f64::from(out[k * pixels + at % pixels]));
            let largest = logits.clone().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = logits.map(|logit| (logit - largest).exp()).collect();
            let held = |k: usize| f64::from(out[means + k * width + at]).clamp(-1.0, 1.0);
            let sum: f64 = weights.iter().enumerate().map(|(k, weight)| weight * held(k)).sum();
            *mean = (0.5 + 0.5 * sum / weights.iter().sum::<f64>()) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{assert_close, call, step};

    #[test]
    fn components_count_by_their_weights_and_none_beyond_the_levels() {
        // Two pixels: logits of both components, means, log-scales where they are not shared.
        let out = [0.0, 3.0_f32.ln(), 0.0, 0.0, -0.5, 0.2, 7.0, -0.6, 0.0, 0.0, 0.0, 0.0];
        for outputs in [12, 8] {
            let p = Params { rows: 2, pixels: 2, channels: 1, components: 2, outputs };
            let out = out[..outputs as usize].repeat(2);
            let mut mean = [f32::NAN; 4];
            cpu(call(0..2, &p, &[], &step(2), &[&out], vec![&mut mean]));
            let one = [0.5 + 0.5 * 0.25, 0.5];
            assert_close(&mean, &[one, one].concat(), 1e-6);
        }
    }
}
