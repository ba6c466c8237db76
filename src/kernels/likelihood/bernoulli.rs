//! The Bernoulli decoder from logits l: distortion = Σ max(l, 0) − l·x + log(1 + exp(−|l|)) per row, which is
//! −log p(x|z) in nats, and its gradient g·(sigmoid(l) − x).
//!
//! The usual stable form of the cross-entropy with logits; x may be any number in \[0, 1\].

use crate::kernels::{Call, Kernel, all_f32s_mut, f32s, math, params, read, vector, write};

params! {
    /// Shapes: logits and dlogits \[R, D\], x \[B, D\], g and distortion \[R\] with R = B·K.
    pub struct Params {
        /// R, rows: K samples for each example, one after the other.
        pub rows: u32,
        /// D, values per example.
        pub width: u32,
        /// K, samples per example.
        pub per_example: u32,
        /// Which weight of the loss belongs to the distortion, if `UNIFORM`.
        pub weight: u32,
    }
}

/// The kernel. Its outer axis is the rows. `VALUE` and `GRAD` say which outputs are wanted (the other is not written);
/// with `UNIFORM` = 1 the gradient is that of a mean over the batch and `g` is not read.
pub static KERNEL: Kernel = Kernel {
    name: "bernoulli",
    wgsl: include_str!("../../../shaders/likelihood/bernoulli.wgsl"),
    bindings: &[read("logits"), read("x"), read("g"), write("distortion"), write("dlogits")],
    params: FIELDS,
    entry: &[],
    consts: &["VALUE", "GRAD", "UNIFORM"],
    workgroup: [64, 1, 1],
    cpu,
    fast: Some(fast),
    sums: crate::kernels::short,
    loop_iterations: crate::kernels::few_iterations,
    family: crate::kernels::Family::Alone,
};

/// One workgroup per row.
pub fn grid(p: &Params) -> [u32; 3] {
    crate::kernels::grid(p.rows as usize)
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, consts, step, reads, writes, .. } = call;
    let [logits, x, g] = [0, 1, 2].map(|i| f32s(reads[i]));
    let [distortion, dlogits] = all_f32s_mut(writes);
    let (width, per_example) = (p.width as usize, p.per_example as usize);
    let (value, grad, uniform) = (consts[0] == 1, consts[1] == 1, consts[2] == 1);
    let first_example = range.start / per_example;
    for (i, r) in range.enumerate() {
        let x = &x[(r / per_example - first_example) * width..][..width];
        let row = i * width..(i + 1) * width;
        if value {
            let terms = logits[row.clone()].iter().zip(x).map(|(&l, &x)| {
                let (l, x) = (f64::from(l), f64::from(x));
                l.max(0.0) - l * x + (-l.abs()).exp().ln_1p()
            });
            distortion[i] = terms.sum::<f64>() as f32;
        }
        if grad {
            let g = if uniform { step.row_gradient(p.weight as usize, r, per_example) } else { g[i] };
            for ((d, &l), &x) in dlogits[row.clone()].iter_mut().zip(&logits[row]).zip(x) {
                *d = g * (math::sigmoid(l) - x);
            }
        }
    }
}

fn fast(call: Call) {
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || rows(call),
    );
}

/// The meaning of [`cpu`]. It works out the value whenever it works out the gradient: training wants both.
#[inline(always)]
fn rows(call: Call) {
    let p: Params = call.params();
    let Call { range, consts, step, reads, writes, .. } = call;
    let [logits, x, g] = [0, 1, 2].map(|i| f32s(reads[i]));
    let [distortion, dlogits] = all_f32s_mut(writes);
    let (width, per_example) = (p.width as usize, p.per_example as usize);
    let (value, grad, uniform) = (consts[0] == 1, consts[1] == 1, consts[2] == 1);
    let first_example = range.start / per_example;
    for (i, r) in range.enumerate() {
        let x = &x[(r / per_example - first_example) * width..][..width];
        let logits = &logits[i * width..][..width];
        let sum = if grad {
            let g = if uniform { step.row_gradient(p.weight as usize, r, per_example) } else { g[i] };
            vector::columns([logits, x], [&mut dlogits[i * width..][..width]], |[l, x]| {
                let e = math::exp(-l.abs());
                let (log, inverse) = math::log1p_and_inverse(e);
                let sigmoid = if l >= 0.0 { inverse } else { e * inverse };
                (l.max(0.0) - l * x + log, [g * (sigmoid - x)])
            })
        } else {
            vector::columns([logits, x], [], |[l, x]| (l.max(0.0) - l * x + math::log1p_unit(math::exp(-l.abs())), []))
        };
        if value {
            distortion[i] = sum as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{assert_close, call, step};
    use crate::rng::{Philox, Stream};

    const P: Params = Params { rows: 4, width: 3, per_example: 2, weight: 0 };
    const X: [f32; 6] = [1.0, 0.0, 0.25, 0.0, 1.0, 1.0];
    const LOGITS: [f32; 12] = [0.0, 0.0, 0.0, 2.0, -2.0, 1.0, 90.0, 90.0, -90.0, -1.0, 0.5, 3.0];

    /// −x·log p − (1 − x)·log(1 − p), with p = sigmoid(l): the definition.
    fn cross_entropy(l: f32, x: f32) -> f64 {
        let (l, x) = (f64::from(l), f64::from(x));
        x * (1.0 + (-l).exp()).ln() + (1.0 - x) * (1.0 + l.exp()).ln()
    }

    #[test]
    fn the_distortion_is_the_cross_entropy_of_each_row_with_its_example() {
        let expected: Vec<f32> = (0..4)
            .map(|r| (0..3).map(|c| cross_entropy(LOGITS[r * 3 + c], X[r / 2 * 3 + c])).sum::<f64>() as f32)
            .collect();
        assert_close(&expected[..1], &[3.0 * 2_f32.ln()], 1e-6);
        let mut distortion = [f32::NAN; 4];
        let reads: [&[f32]; 3] = [&LOGITS, &X, &[]];
        cpu(call(0..4, &P, &[1, 0, 0], &step(2), &reads, vec![&mut distortion, &mut []]));
        assert_close(&distortion, &expected, 1e-6);
        // Rows 2 and 3 alone: their part of x begins at example 1.
        let mut part = [f32::NAN; 2];
        let reads: [&[f32]; 3] = [&LOGITS[6..], &X[3..], &[]];
        cpu(call(2..4, &P, &[1, 0, 0], &step(2), &reads, vec![&mut part, &mut []]));
        assert_eq!(part, distortion[2..]);
    }

    #[test]
    fn the_gradient_is_the_derivative_of_the_cross_entropy_times_g() {
        let g = [1.0, 2.0, 0.0, -0.5];
        let expected: Vec<f32> = (0..12)
            .map(|i| {
                let x = X[i / 6 * 3 + i % 3];
                let slope = (cross_entropy(LOGITS[i] + 1e-2, x) - cross_entropy(LOGITS[i] - 1e-2, x)) / 2e-2;
                g[i / 3] * slope as f32
            })
            .collect();
        let mut dlogits = [f32::NAN; 12];
        let reads: [&[f32]; 3] = [&LOGITS, &X, &g];
        cpu(call(0..4, &P, &[0, 1, 0], &step(2), &reads, vec![&mut [], &mut dlogits]));
        assert_close(&dlogits, &expected, 2e-5);
    }

    #[test]
    fn a_uniform_gradient_is_shared_by_the_rows_of_the_examples_that_count() {
        // One of two examples counts; its two rows get 1/2 each.
        let (mut given, mut uniform) = ([f32::NAN; 12], [f32::NAN; 12]);
        let g = [0.5, 0.5, 0.0, 0.0];
        cpu(call(0..4, &P, &[0, 1, 0], &step(1), &[&LOGITS, &X, &g], vec![&mut [], &mut given]));
        cpu(call(0..4, &P, &[0, 1, 1], &step(1), &[&LOGITS, &X, &[]], vec![&mut [], &mut uniform]));
        assert_eq!(uniform, given);
        assert_eq!(uniform[0], 0.5 * (0.5 - 1.0));
    }

    #[test]
    fn the_fast_function_agrees_with_the_twin_for_every_setting_and_range() {
        let mut rng = Philox::new(1, Stream::Choice, 0, 0);
        for (width, code) in [1, 16, 53, 784].into_iter().flat_map(|width| (0..8).map(move |code| (width, code))) {
            let consts = [code & 1, code >> 1 & 1, code >> 2];
            let p = Params { rows: 6, width: width as u32, per_example: 2, weight: 1 };
            let logits: Vec<f32> = (0..6 * width).map(|_| 4.0 * rng.normal()).collect();
            let x: Vec<f32> = (0..3 * width).map(|_| rng.uniform()).collect();
            let g: Vec<f32> = (0..6).map(|_| rng.normal()).collect();
            let compute = |function: fn(Call), start: usize, end: usize| {
                let (mut distortion, mut dlogits) = (vec![0.0; end - start], vec![0.0; (end - start) * width]);
                let reads = [&logits[start * width..], &x[start / 2 * width..], &g[start..]];
                function(call(start..end, &p, &consts, &step(2), &reads, vec![&mut distortion, &mut dlogits]));
                [distortion, dlogits].concat()
            };
            let all = compute(fast, 0, 6);
            assert_close(&all, &compute(cpu, 0, 6), 1e-5);
            let (first, last) = (compute(fast, 0, 2), compute(fast, 2, 6));
            assert_close(&last, &compute(cpu, 2, 6), 1e-5);
            assert_eq!(all, [&first[..2], &last[..4], &first[2..], &last[4..]].concat(), "a range changes nothing");
        }
    }
}
