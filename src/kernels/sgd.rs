//! Stochastic gradient descent with momentum, as in PyTorch without dampening and Nesterov's variant:
//! b ← momentum·b + g, p ← p − lr·b.

use super::{Call, Kernel, f32s, f32s_mut, read, read_write};

super::params! {
    /// Constants of one use.
    pub struct Params {
        /// Parameters to update.
        pub count: u32,
        /// Decay of the momentum; counts where `MOMENTUM` is 1.
        pub momentum: f32,
        /// Weight decay, added to the gradient.
        pub weight_decay: f32,
    }
}

/// The kernel; `buffer` is used where `MOMENTUM` is 1, and gradients are multiplied with `factor[0]` where `CLIP` is 1.
pub static KERNEL: Kernel = Kernel {
    name: "sgd",
    wgsl: include_str!("../../shaders/sgd.wgsl"),
    bindings: &[read("grad"), read("factor"), read_write("param"), read_write("buffer")],
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
    let [param, buffer] = <[_; 2]>::try_from(writes).expect("param, buffer").map(f32s_mut);
    for i in 0..range.len() {
        let mut change = grad[i] * factor + p.weight_decay * param[i];
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

    #[test]
    fn two_steps_match_those_done_by_hand() {
        let params = Params { count: 1, momentum: 0.5, weight_decay: 0.25 };
        let step = StepScalars { lr: 0.5, ..StepScalars::zeroed() };
        // Gradients 4 and then 2, at p = 2 and the p that follows; clipped by a factor of 1/4 in the last two rows.
        for (momentum, clip, expected) in
            [(0, 0, [-0.25, -1.218_75]), (1, 0, [-0.25, -2.343_75]), (0, 1, [1.25, 0.843_75]), (1, 1, [1.25, 0.468_75])]
        {
            let (mut p, mut buffer) = ([2.0], [0.0]);
            for (g, expected) in [4.0, 2.0].into_iter().zip(expected) {
                let writes: Vec<&mut [f32]> = vec![&mut p, &mut buffer];
                cpu(testing::call(0..1, &params, &[momentum, clip], &step, &[&[g], &[0.25]], writes));
                assert_eq!(p, [expected], "MOMENTUM {momentum}, CLIP {clip}");
            }
        }
    }
}
