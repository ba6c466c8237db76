//! The importance-weighted bound of groups of samples, −log (1/k) Σ w, with log w = −distortion − ratio, in nats (Burda,
//! Grosse, Salakhutdinov, "Importance weighted autoencoders", 2015, eq. 8), and its gradient for distortion and ratio,
//! which is the same for both: g·w/Σw.

use crate::kernels::{Call, Kernel, f32s, f32s_mut, params, read, write};

params! {
    /// Shapes: distortion and ratio \[B·M·k\], g \[B·M\], y \[B·M\] or, of the gradient, \[B·M·k\].
    pub struct Params {
        /// B·M, groups.
        pub groups: u32,
        /// k, samples of a group, one after the other.
        pub size: u32,
        /// M, groups of an example.
        pub per_example: u32,
        /// Which weight of the loss belongs to the bound, if `UNIFORM`.
        pub weight: u32,
    }
}

/// The kernel. Its outer axis is the examples. `GRAD` asks for the gradient; with `UNIFORM` = 1 that of the bound is that
/// of a mean over the batch, and `g` is not read.
pub static KERNEL: Kernel = Kernel {
    name: "bound",
    wgsl: include_str!("../../../shaders/objective/bound.wgsl"),
    bindings: &[read("distortion"), read("ratio"), read("g"), write("y")],
    params: FIELDS,
    entry: &[],
    consts: &["GRAD", "UNIFORM"],
    workgroup: [64, 1, 1],
    cpu,
    fast: None,
    sums: crate::kernels::short,
    loop_iterations: crate::kernels::few_iterations,
    family: crate::kernels::Family::Alone,
};

/// One thread per group.
pub fn grid(p: &Params) -> [u32; 3] {
    crate::kernels::grid((p.groups as usize).div_ceil(64))
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, consts, step, reads, mut writes, .. } = call;
    let [distortion, ratio, g] = [0, 1, 2].map(|i| f32s(reads[i]));
    let y = f32s_mut(writes[0]);
    let (size, per_example) = (p.size as usize, p.per_example as usize);
    for (i, group) in (range.start * per_example..range.end * per_example).enumerate() {
        let rows = i * size..(i + 1) * size;
        let weights: Vec<f64> = rows.clone().map(|row| -f64::from(distortion[row]) - f64::from(ratio[row])).collect();
        let largest = weights.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b));
        let sum: f64 = weights.iter().map(|weight| (weight - largest).exp()).sum();
        if consts[0] == 0 {
            y[i] = ((size as f64).ln() - largest - sum.ln()) as f32;
            continue;
        }
        let g = f64::from(if consts[1] == 1 { step.row_gradient(p.weight as usize, group, per_example) } else { g[i] });
        for (y, weight) in y[rows].iter_mut().zip(&weights) {
            *y = (g * (weight - largest).exp() / sum) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{assert_close, call, step};

    const P: Params = Params { groups: 4, size: 2, per_example: 2, weight: 1 };

    #[test]
    fn the_bound_of_weights_that_are_known_is_their_mean() {
        let ln = |x: f32| -x.ln();
        // Weights 1 and 3, 2 and 2, then ones far beyond what exp can hold.
        let distortion = [ln(1.0), ln(3.0), ln(2.0), ln(2.0), -900.0, -900.0, 900.0, 900.0];
        let mut y = [f32::NAN; 4];
        cpu(call(0..2, &P, &[0, 0], &step(2), &[&distortion, &[0.0; 8], &[]], vec![&mut y]));
        assert_close(&y, &[-2.0_f64.ln(), -2.0_f64.ln(), -900.0, 900.0], 1e-6);
        let mut part = [f32::NAN; 2];
        cpu(call(1..2, &P, &[0, 0], &step(2), &[&distortion[4..], &[0.0; 4], &[]], vec![&mut part]));
        assert_eq!(part, y[2..]);
    }

    #[test]
    fn the_gradient_is_the_share_of_each_weight_and_examples_that_do_not_count_have_none() {
        let ratio = [0.0, -(3.0_f32.ln()), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        let mut y = [f32::NAN; 8];
        cpu(call(0..2, &P, &[1, 0], &step(2), &[&[0.0; 8], &ratio, &[1.0, 2.0, 0.0, -4.0]], vec![&mut y]));
        assert_close(&y, &[0.25_f32, 0.75, 1.0, 1.0, 0.0, 0.0, -2.0, -2.0], 1e-6);
        cpu(call(0..2, &P, &[1, 1], &step(1), &[&[0.0; 8], &ratio, &[]], vec![&mut y]));
        // Weight 0.5 of the loss, two groups of one example that counts.
        assert_close(&y, &[0.0625_f32, 0.1875, 0.125, 0.125, 0.0, 0.0, 0.0, 0.0], 1e-6);
    }
}
