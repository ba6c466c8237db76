//! Accumulates Σ exp(log w) over samples without overflow, log w = −distortion − ratio: state\[b\] = (m, s), the largest
//! log w so far and s = Σ exp(log w − m).
//!
//! After K samples in all, log p(x) is estimated from below by m + log(s/K); see Burda, Grosse, Salakhutdinov,
//! "Importance Weighted Autoencoders", 2016, equation 8.

use crate::kernels::{Call, Kernel, f32s, f32s_mut, params, read, read_write};

params! {
    /// Shapes: distortion and ratio \[B·K\], state \[B, 2\].
    pub struct Params {
        /// B, examples of the batch.
        pub rows: u32,
        /// K, samples per example in this run.
        pub per_example: u32,
    }
}

/// The kernel. Its outer axis is the examples. When the step's first sample is 0 the state is started afresh.
pub static KERNEL: Kernel = Kernel {
    name: "log_mean_exp",
    wgsl: include_str!("../../../shaders/objective/log_mean_exp.wgsl"),
    bindings: &[read("distortion"), read("ratio"), read_write("state")],
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

/// One thread per example.
pub fn grid(p: &Params) -> [u32; 3] {
    crate::kernels::grid((p.rows as usize).div_ceil(64))
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, step, reads, mut writes, .. } = call;
    let (distortion, ratio) = (f32s(reads[0]), f32s(reads[1]));
    let per_example = p.per_example as usize;
    for (i, state) in f32s_mut(writes[0]).chunks_exact_mut(2).take(range.len()).enumerate() {
        let rows = i * per_example..(i + 1) * per_example;
        let log_weight = |row: usize| -distortion[row] - ratio[row];
        let mut maximum = rows.clone().map(log_weight).fold(f32::NEG_INFINITY, f32::max);
        let mut sum = 0.0;
        if step.sample != 0 {
            maximum = maximum.max(state[0]);
            sum = f64::from(state[1]) * f64::from(state[0] - maximum).exp();
        }
        sum += rows.map(|row| f64::from(log_weight(row) - maximum).exp()).sum::<f64>();
        state.copy_from_slice(&[maximum, sum as f32]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{assert_close, call, step};

    const DISTORTION: [f32; 6] = [1000.0, 1001.0, 998.5, 1.0, 2.0, 500.0];
    const RATIO: [f32; 6] = [10.0, 9.5, 12.0, -1.0, 0.5, 0.0];

    /// log Σ exp(log w), each relative to `base`.
    fn log_sum(rows: std::ops::Range<usize>, base: f64) -> f64 {
        let weight = |r: usize| (-f64::from(DISTORTION[r]) - f64::from(RATIO[r]) + base).exp();
        rows.map(weight).sum::<f64>().ln() - base
    }

    #[test]
    fn the_state_gives_the_log_of_a_sum_that_would_underflow() {
        let p = Params { rows: 2, per_example: 3 };
        let mut state = [f32::NAN; 4];
        cpu(call(0..2, &p, &[], &step(2), &[&DISTORTION, &RATIO], vec![&mut state]));
        assert_eq!((state[0], state[2]), (-1010.0, 0.0));
        let results = [state[0] + state[1].ln(), state[2] + state[3].ln()];
        assert_close(&results, &[log_sum(0..3, 1010.0) as f32, log_sum(3..6, 0.0) as f32], 1e-6);
    }

    #[test]
    fn several_runs_accumulate_whether_the_maximum_rises_or_not() {
        let p = Params { rows: 1, per_example: 1 };
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
            let mut state = [f32::NAN; 2];
            let mut s = step(1);
            for row in order {
                cpu(call(0..1, &p, &[], &s, &[&DISTORTION[row..], &RATIO[row..]], vec![&mut state]));
                s.sample += 1;
            }
            assert_close(&[state[0] + state[1].ln()], &[log_sum(0..3, 1010.0) as f32], 1e-6);
        }
    }
}
