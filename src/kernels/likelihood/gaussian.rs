//! The Gaussian decoder: distortion = Σ ½log 2π + ½lv + ½(x − μ)²·exp(−lv) per row, which is −log p(x|z) in nats, and
//! its gradients dμ = g·(μ − x)·exp(−lv), dlv = g·½(1 − (x − μ)²·exp(−lv)).
//!
//! The log-variance lv is one constant, or learned: then it is clamped, and dlv = 0 where the clamp holds it.

use crate::kernels::{Call, Kernel, all_f32s_mut, f32s, math, params, read, vector, write};

params! {
    /// Shapes: out and dout \[R, D\], or \[R, 2D\] = μ ‖ log-variance if `LEARNED`; x \[B, D\]; g and distortion \[R\]
    /// with R = B·K.
    pub struct Params {
        /// R, rows: K samples for each example, one after the other.
        pub rows: u32,
        /// D, values per example.
        pub width: u32,
        /// K, samples per example.
        pub per_example: u32,
        /// Which weight of the loss belongs to the distortion, if `UNIFORM`.
        pub weight: u32,
        /// The log-variance, unless it is learned.
        pub log_variance: f32,
        /// Lower bound of a learned log-variance.
        pub low: f32,
        /// Upper bound of a learned log-variance.
        pub high: f32,
    }
}

/// The kernel. Its outer axis is the rows. `VALUE` and `GRAD` say which outputs are wanted (the other is not written);
/// with `UNIFORM` = 1 the gradient is that of a mean over the batch and `g` is not read.
pub static KERNEL: Kernel = Kernel {
    name: "gaussian",
    wgsl: include_str!("../../../shaders/likelihood/gaussian.wgsl"),
    bindings: &[read("out"), read("x"), read("g"), write("distortion"), write("dout")],
    params: FIELDS,
    entry: &[],
    consts: &["LEARNED", "VALUE", "GRAD", "UNIFORM"],
    workgroup: [64, 1, 1],
    cpu,
    fast: Some(fast),
    sums: crate::kernels::short,
    loop_iterations: crate::kernels::few_iterations,
    family: crate::kernels::Family::Alone,
};

/// ½log 2π.
const HALF_LOG_TWO_PI: f64 = 0.918_938_533_204_672_7;

/// One workgroup per row.
pub fn grid(p: &Params) -> [u32; 3] {
    crate::kernels::grid(p.rows as usize)
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, consts, step, reads, writes, .. } = call;
    let [out, x, g] = [0, 1, 2].map(|i| f32s(reads[i]));
    let [distortion, dout] = all_f32s_mut(writes);
    let (width, per_example) = (p.width as usize, p.per_example as usize);
    let [learned, value, grad, uniform] = [0, 1, 2, 3].map(|i| consts[i] == 1);
    let stride = if learned { 2 * width } else { width };
    let first_example = range.start / per_example;
    for (i, r) in range.enumerate() {
        let x = &x[(r / per_example - first_example) * width..][..width];
        let out = &out[i * stride..][..stride];
        // Of one column: the difference μ − x, the precision exp(−lv), and lv before the clamp and after it.
        let column = |c: usize| {
            let given = if learned { out[width + c] } else { p.log_variance };
            let lv = f64::from(if learned { given.clamp(p.low, p.high) } else { given });
            (f64::from(out[c]) - f64::from(x[c]), (-lv).exp(), given, lv)
        };
        if value {
            let term =
                |(difference, precision, _, lv)| HALF_LOG_TWO_PI + 0.5 * (lv + difference * difference * precision);
            distortion[i] = (0..width).map(column).map(term).sum::<f64>() as f32;
        }
        if grad {
            let g = f64::from(if uniform { step.row_gradient(p.weight as usize, r, per_example) } else { g[i] });
            let dout = &mut dout[i * stride..][..stride];
            for c in 0..width {
                let (difference, precision, given, _) = column(c);
                dout[c] = (g * difference * precision) as f32;
                if learned {
                    let held = given < p.low || given > p.high;
                    let slope = g * 0.5 * (1.0 - difference * difference * precision);
                    dout[width + c] = if held { 0.0 } else { slope as f32 };
                }
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
    let [out, x, g] = [0, 1, 2].map(|i| f32s(reads[i]));
    let [distortion, dout] = all_f32s_mut(writes);
    let (width, per_example) = (p.width as usize, p.per_example as usize);
    let [learned, value, grad, uniform] = [0, 1, 2, 3].map(|i| consts[i] == 1);
    let stride = if learned { 2 * width } else { width };
    let first_example = range.start / per_example;
    for (i, r) in range.enumerate() {
        let x = &x[(r / per_example - first_example) * width..][..width];
        let out = &out[i * stride..][..stride];
        let g = match (grad, uniform) {
            (false, _) => 0.0,
            (true, true) => step.row_gradient(p.weight as usize, r, per_example),
            (true, false) => g[i],
        };
        let dout = if grad { &mut dout[i * stride..][..stride] } else { &mut [] };
        let sum = if learned { learned_row(&p, out, x, g, dout) } else { fixed_row(&p, out, x, g, dout) };
        if value {
            distortion[i] = (width as f64 * HALF_LOG_TWO_PI + sum) as f32;
        }
    }
}

/// Σ ½lv + ½(x − μ)²·exp(−lv) of a row with one variance; its gradient too, unless `dout` is empty.
#[inline(always)]
fn fixed_row(p: &Params, mu: &[f32], x: &[f32], g: f32, dout: &mut [f32]) -> f64 {
    let inverse = (-p.log_variance).exp();
    let squares = if dout.is_empty() {
        vector::columns([mu, x], [], |[mu, x]| ((mu - x) * (mu - x), []))
    } else {
        vector::columns([mu, x], [dout], |[mu, x]| ((mu - x) * (mu - x), [g * inverse * (mu - x)]))
    };
    0.5 * (f64::from(p.log_variance) * x.len() as f64 + f64::from(inverse) * squares)
}

/// The same of a row of μ ‖ log-variance.
#[inline(always)]
fn learned_row(p: &Params, out: &[f32], x: &[f32], g: f32, dout: &mut [f32]) -> f64 {
    let (mu, lv) = out.split_at(x.len());
    let (low, high) = (p.low, p.high);
    // Twice the term, its slope in μ, and its slope in lv.
    let column = |[mu, given, x]: [f32; 3]| {
        let lv = given.clamp(low, high);
        let scaled = (mu - x) * math::exp(-lv);
        let square = (mu - x) * scaled;
        let held = given < low || given > high;
        (lv + square, scaled, if held { 0.0 } else { 0.5 * (1.0 - square) })
    };
    let sum = if dout.is_empty() {
        vector::columns([mu, lv, x], [], |given| (column(given).0, []))
    } else {
        let (dmu, dlv) = dout.split_at_mut(x.len());
        vector::columns([mu, lv, x], [dmu, dlv], |given| {
            let (term, slope_mu, slope_lv) = column(given);
            (term, [g * slope_mu, g * slope_lv])
        })
    };
    0.5 * sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{assert_close, call, step};
    use crate::rng::{Philox, Stream};

    const X: [f32; 4] = [0.5, -1.0, 2.0, 0.0];

    fn params(log_variance: f32) -> Params {
        Params { rows: 4, width: 2, per_example: 2, weight: 0, log_variance, low: -3.0, high: 3.0 }
    }

    /// −log of the density of N(μ, exp(lv)) at x: the definition.
    fn minus_log_density(x: f32, mu: f32, lv: f32) -> f64 {
        let deviation = (f64::from(lv) / 2.0).exp();
        let u = (f64::from(x) - f64::from(mu)) / deviation;
        -((-0.5 * u * u).exp() / (deviation * (2.0 * std::f64::consts::PI).sqrt())).ln()
    }

    #[test]
    fn the_distortion_with_one_variance_is_minus_the_log_density() {
        let out = [0.5, -1.0, 1.0, 1.0, 2.5, -0.5, 0.0, 0.0];
        for lv in [0.0, -1.5] {
            let (mut distortion, mut dout) = ([f32::NAN; 4], [f32::NAN; 8]);
            let g = [1.0, 2.0, 0.0, -1.0];
            let reads: [&[f32]; 3] = [&out, &X, &g];
            cpu(call(0..4, &params(lv), &[0, 1, 1, 0], &step(2), &reads, vec![&mut distortion, &mut dout]));
            for r in 0..4 {
                let terms = (0..2).map(|c| minus_log_density(X[r / 2 * 2 + c], out[r * 2 + c], lv));
                assert_close(&[distortion[r]], &[terms.sum::<f64>() as f32], 1e-6);
            }
            let expected: Vec<f32> = (0..8).map(|i| g[i / 2] * (out[i] - X[i / 4 * 2 + i % 2]) * (-lv).exp()).collect();
            assert_close(&dout, &expected, 1e-6);
        }
    }

    /// Rows of means ‖ log-variances.
    const LEARNED: [f32; 16] = [0.5, -1.0, 0.0, 0.0, 1.0, 1.0, -1.0, 2.0, 2.5, -0.5, 0.3, 3.5, 0.0, 0.2, -3.5, -2.0];

    fn learned_loss(out: &[f32; 16], g: &[f32; 4]) -> f64 {
        let mut distortion = [f32::NAN; 4];
        let reads: [&[f32]; 3] = [out, &X, &[]];
        cpu(call(0..4, &params(0.0), &[1, 1, 0, 0], &step(2), &reads, vec![&mut distortion, &mut []]));
        distortion.iter().zip(g).map(|(&d, &g)| f64::from(d) * f64::from(g)).sum()
    }

    #[test]
    fn a_learned_variance_is_clamped_and_both_gradients_agree_with_central_differences() {
        let clamped = minus_log_density(X[2], 2.5, 0.3) + minus_log_density(X[3], -0.5, 3.0);
        assert!((learned_loss(&LEARNED, &[0.0, 0.0, 1.0, 0.0]) - clamped).abs() < 1e-5);
        let g = [1.0, -0.5, 2.0, 0.3];
        let differences: Vec<f32> = (0..16)
            .map(|i| {
                let (mut above, mut below) = (LEARNED, LEARNED);
                above[i] += 0.01;
                below[i] -= 0.01;
                ((learned_loss(&above, &g) - learned_loss(&below, &g)) / 0.02) as f32
            })
            .collect();
        let mut dout = [f32::NAN; 16];
        let reads: [&[f32]; 3] = [&LEARNED, &X, &g];
        cpu(call(0..4, &params(0.0), &[1, 0, 1, 0], &step(2), &reads, vec![&mut [], &mut dout]));
        assert_close(&dout, &differences, 2e-3);
        assert_eq!((dout[11], dout[14]), (0.0, 0.0));
    }

    #[test]
    fn a_range_of_rows_gets_its_own_examples_and_weights() {
        let out = [0.5, -1.0, 1.0, 1.0, 2.5, -0.5, 0.0, 0.0];
        let (mut distortion, mut dout) = ([f32::NAN; 4], [f32::NAN; 8]);
        let (p, s, consts) = (params(0.4), step(1), [0, 1, 1, 1]);
        cpu(call(0..4, &p, &consts, &s, &[&out, &X, &[]], vec![&mut distortion, &mut dout]));
        assert!(dout[..4].iter().any(|&d| d != 0.0) && dout[4..] == [0.0; 4]);
        let (mut part, mut dpart) = ([f32::NAN; 2], [f32::NAN; 4]);
        cpu(call(2..4, &p, &consts, &s, &[&out[4..], &X[2..], &[]], vec![&mut part, &mut dpart]));
        assert_eq!((&part[..], &dpart[..]), (&distortion[2..], &dout[4..]));
    }

    #[test]
    fn the_fast_function_agrees_with_the_twin_for_every_setting_and_range() {
        let mut rng = Philox::new(1, Stream::Choice, 0, 0);
        for (width, code) in [1, 16, 53, 784].into_iter().flat_map(|width| (0..16).map(move |code| (width, code))) {
            let consts = [code & 1, code >> 1 & 1, code >> 2 & 1, code >> 3];
            let stride = if consts[0] == 1 { 2 * width } else { width };
            let p = Params { rows: 6, width: width as u32, per_example: 2, weight: 1, ..params(-0.7) };
            let out: Vec<f32> = (0..6 * stride).map(|_| 2.0 * rng.normal()).collect();
            let x: Vec<f32> = (0..3 * width).map(|_| rng.uniform()).collect();
            let g: Vec<f32> = (0..6).map(|_| rng.normal()).collect();
            let compute = |function: fn(Call), start: usize, end: usize| {
                let (mut distortion, mut dout) = (vec![0.0; end - start], vec![0.0; (end - start) * stride]);
                let reads = [&out[start * stride..], &x[start / 2 * width..], &g[start..]];
                function(call(start..end, &p, &consts, &step(2), &reads, vec![&mut distortion, &mut dout]));
                [distortion, dout].concat()
            };
            let all = compute(fast, 0, 6);
            assert_close(&all, &compute(cpu, 0, 6), 1e-5);
            let (first, last) = (compute(fast, 0, 2), compute(fast, 2, 6));
            assert_close(&last, &compute(cpu, 2, 6), 1e-5);
            assert_eq!(all, [&first[..2], &last[..4], &first[2..], &last[4..]].concat(), "a range changes nothing");
        }
    }
}
