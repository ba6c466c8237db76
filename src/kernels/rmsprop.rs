//! RMSprop, not centred, as in PyTorch; from Hinton's course "Neural networks for machine learning", lecture 6e.
//!
//! v ← α·v + (1 − α)·g², p ← p − lr · g/(√v + eps), with momentum p ← p − lr·b, b ← momentum·b + g/(√v + eps).

use super::{Call, Kernel, f32s, f32s_mut, read, read_write};

super::params! {
    /// Constants of one use.
    pub struct Params {
        /// Parameters to update.
        pub count: u32,
        /// Decay of the mean square.
        pub alpha: f32,
        /// Added to the root of the mean square.
        pub eps: f32,
        /// Decay of the momentum; counts where `MOMENTUM` is 1.
        pub momentum: f32,
        /// Weight decay, added to the gradient.
        pub weight_decay: f32,
    }
}

/// The kernel; `buffer` is used where `MOMENTUM` is 1, and gradients are multiplied with `factor[0]` where `CLIP` is 1.
pub static KERNEL: Kernel = Kernel {
    name: "rmsprop",
    wgsl: include_str!("../../shaders/rmsprop.wgsl"),
    bindings: &[read("grad"), read("factor"), read_write("param"), read_write("v"), read_write("buffer")],
    params: FIELDS,
    entry: &[],
    consts: &["MOMENTUM", "CLIP"],
    workgroup: [256, 1, 1],
    cpu,
    fast: None,
};

/// The grid of a dispatch.
pub fn grid(params: &Params) -> [u32; 3] {
    super::grid((params.count as usize).div_ceil(256))
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, consts, step, reads, writes, .. } = call;
    let (momentum, clip) = (consts[0] == 1, consts[1] == 1);
    let factor = if clip { f32s(reads[1])[0] } else { 1.0 };
    let grad = f32s(reads[0]);
    let [param, v, buffer] = <[_; 3]>::try_from(writes).expect("param, v, buffer").map(f32s_mut);
    for i in 0..range.len() {
        let g = grad[i] * factor + p.weight_decay * param[i];
        v[i] = p.alpha * v[i] + (1.0 - p.alpha) * g * g;
        let mut change = g / (v[i].sqrt() + p.eps);
        if momentum {
            change += p.momentum * buffer[i];
            buffer[i] = change;
        }
        param[i] -= step.lr * change;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{StepScalars, testing};
    use bytemuck::Zeroable;

    /// With α = 0 the mean square is g², so that every step without momentum is ±lr: simple enough to do by hand.
    #[test]
    fn steps_have_the_length_of_the_learning_rate_and_momentum_adds_up() {
        let params = Params { count: 1, alpha: 0.0, eps: 0.0, momentum: 0.5, weight_decay: 0.0 };
        let step = StepScalars { lr: 0.1, ..StepScalars::zeroed() };
        for (momentum, expected) in [(0, [0.9, 0.8, 0.9]), (1, [0.9, 0.75, 0.775])] {
            let (mut p, mut v, mut buffer) = ([1.0], [0.0], [0.0]);
            for (g, expected) in [3.0, 0.2, -7.0].into_iter().zip(expected) {
                let writes: Vec<&mut [f32]> = vec![&mut p, &mut v, &mut buffer];
                cpu(testing::call(0..1, &params, &[momentum, 0], &step, &[&[g], &[]], writes));
                testing::assert_close(&p, &[expected], 1e-6);
            }
        }
    }

    #[test]
    fn the_mean_square_decays_and_gradients_are_clipped_and_decayed() {
        let params = Params { count: 1, alpha: 0.99, eps: 0.1, momentum: 0.0, weight_decay: 0.25 };
        let step = StepScalars { lr: 0.1, ..StepScalars::zeroed() };
        let (mut p, mut v) = ([2.0], [4.0]);
        let writes: Vec<&mut [f32]> = vec![&mut p, &mut v, &mut []];
        cpu(testing::call(0..1, &params, &[0, 1], &step, &[&[3.0], &[0.5]], writes));
        let square: f64 = 0.99 * 4.0 + 0.01 * 4.0;
        testing::assert_close(&v, &[square], 1e-6);
        testing::assert_close(&p, &[2.0 - 0.1 * 2.0 / (square.sqrt() + 0.1)], 1e-6);
    }
}
