//! Adam, and AdamW where `DECOUPLED` is 1.
//!
//! Kingma, Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1; Loshchilov, Hutter, "Decoupled
//! weight decay regularization", ICLR 2019, algorithm 2; arranged as in PyTorch:
//! m ← β1·m + (1 − β1)·g, v ← β2·v + (1 − β2)·g², p ← p − lr/c1 · m / (√v/√c2 + eps).
//!
//! c1 and c2, the corrections 1 − β^t, come from the host, since powers on a device are inexact. They have to be made
//! from the β that the device sees, an f32: 1 − 0.999 in f32 is off by 10⁻⁵, and that cancels only against the same β.

use super::{Call, Kernel, f32s, f32s_mut, read, read_write};

super::params! {
    /// Constants of one use.
    pub struct Params {
        /// Parameters to update.
        pub count: u32,
        /// Decay of the first moment.
        pub beta1: f32,
        /// Decay of the second moment.
        pub beta2: f32,
        /// Added to the root of the second moment.
        pub eps: f32,
        /// Weight decay: added to the gradient, or taken off the parameter where `DECOUPLED` is 1.
        pub weight_decay: f32,
    }
}

/// The kernel; where `CLIP` is 1, gradients are multiplied with `factor[0]` first.
pub static KERNEL: Kernel = Kernel {
    name: "adam",
    wgsl: include_str!("../../shaders/adam.wgsl"),
    bindings: &[read("grad"), read("factor"), read_write("param"), read_write("m"), read_write("v")],
    params: FIELDS,
    consts: &["DECOUPLED", "CLIP"],
    workgroup: [256, 1, 1],
    cpu,
    fast: Some(fast),
};

/// The grid of a dispatch.
pub fn grid(params: &Params) -> [u32; 3] {
    super::grid((params.count as usize).div_ceil(256))
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, consts, step, reads, writes, .. } = call;
    let (decoupled, clip) = (consts[0] == 1, consts[1] == 1);
    let factor = if clip { f32s(reads[1])[0] } else { 1.0 };
    let grad = f32s(reads[0]);
    let [param, m, v] = <[_; 3]>::try_from(writes).expect("param, m, v").map(f32s_mut);
    for i in 0..range.len() {
        let mut g = grad[i] * factor;
        if decoupled {
            param[i] -= step.lr * p.weight_decay * param[i];
        } else {
            g += p.weight_decay * param[i];
        }
        m[i] = p.beta1 * m[i] + (1.0 - p.beta1) * g;
        v[i] = p.beta2 * v[i] + (1.0 - p.beta2) * g * g;
        param[i] -= step.lr / step.correction1 * m[i] / (v[i].sqrt() / step.correction2.sqrt() + p.eps);
    }
}

/// The meaning of [`cpu`] on the processor's vectors, with one division for each element: what divides all of them is
/// inverted once.
fn fast(call: Call) {
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || update(call),
    );
}

#[inline(always)]
fn update(call: Call) {
    let p: Params = call.params();
    let Call { range, consts, step, reads, writes, .. } = call;
    let (decoupled, clip) = (consts[0] == 1, consts[1] == 1);
    let factor = if clip { f32s(reads[1])[0] } else { 1.0 };
    let [param, m, v] = <[_; 3]>::try_from(writes).expect("param, m, v").map(f32s_mut);
    let (lr, root, decay) = (step.lr / step.correction1, 1.0 / step.correction2.sqrt(), step.lr * p.weight_decay);
    let (rest1, rest2) = (1.0 - p.beta1, 1.0 - p.beta2);
    let moments = m[..range.len()].iter_mut().zip(&mut v[..range.len()]);
    for ((param, (m, v)), &g) in param.iter_mut().zip(moments).zip(f32s(reads[0])) {
        let (g, held) = if decoupled {
            (g * factor, *param - decay * *param)
        } else {
            (g * factor + p.weight_decay * *param, *param)
        };
        *m = p.beta1 * *m + rest1 * g;
        *v = p.beta2 * *v + rest2 * g * g;
        *param = held - lr * *m / (v.sqrt() * root + p.eps);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{StepScalars, testing};
    use bytemuck::Zeroable;

    /// Three steps in f64 by the formulas of the papers, with m̂ and v̂ made explicit.
    fn reference(decoupled: bool, clip: bool) -> f64 {
        let (mut p, mut m, mut v) = (0.5_f64, 0.0_f64, 0.0_f64);
        for (t, g) in [(1, 0.3), (2, -1.2), (3, 0.7)] {
            let mut g = if clip { g * 0.25 } else { g };
            if decoupled {
                p *= 1.0 - 0.01 * 0.1;
            } else {
                g += 0.1 * p;
            }
            m = 0.9 * m + 0.1 * g;
            v = 0.999 * v + 0.001 * g * g;
            let (m_hat, v_hat) = (m / (1.0 - 0.9_f64.powi(t)), v / (1.0 - 0.999_f64.powi(t)));
            p -= 0.01 * m_hat / (v_hat.sqrt() + 1e-3);
        }
        p
    }

    #[test]
    fn three_steps_are_those_of_the_papers() {
        let params = Params { count: 1, beta1: 0.9, beta2: 0.999, eps: 1e-3, weight_decay: 0.1 };
        for (decoupled, clip) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let (mut p, mut m, mut v) = ([0.5], [0.0], [0.0]);
            for (t, g) in [(1, 0.3), (2, -1.2), (3, 0.7)] {
                let step = StepScalars {
                    lr: 0.01,
                    correction1: (1.0 - f64::from(params.beta1).powi(t)) as f32,
                    correction2: (1.0 - f64::from(params.beta2).powi(t)) as f32,
                    ..StepScalars::zeroed()
                };
                let writes: Vec<&mut [f32]> = vec![&mut p, &mut m, &mut v];
                cpu(testing::call(0..1, &params, &[decoupled, clip], &step, &[&[g], &[0.25]], writes));
            }
            testing::assert_close(&p, &[reference(decoupled == 1, clip == 1)], 1e-6);
        }
    }
}
