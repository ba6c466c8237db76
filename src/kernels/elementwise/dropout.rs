//! Dropout, [R, N]: a share `rate` of the numbers becomes 0 and the others grow by 1/(1 − rate), so that the mean stays
//! (Srivastava et al. 2014). Which ones is a function of step, layer, example, sample and column: the gradient, which is
//! the same kernel, draws them again instead of remembering them.

use crate::kernels::{Call, Kernel, f32s, f32s_mut, params, read, read_u32, write};
use crate::rng::{Stream, philox, uniform};

params! {
    /// Constants of one use.
    pub struct Params {
        /// R, rows: K samples for each example, one after the other.
        pub rows: u32,
        /// N.
        pub width: u32,
        /// K, samples per example.
        pub per_example: u32,
        /// Which layer of the model it is.
        pub layer: u32,
        /// The share that becomes 0.
        pub rate: f32,
        /// What the others are multiplied by.
        pub factor: f32,
    }
}

/// The kernel. Its outer axis is the rows.
pub static KERNEL: Kernel = Kernel {
    name: "dropout",
    wgsl: include_str!("../../../shaders/elementwise/dropout.wgsl"),
    bindings: &[read_u32("order"), read("x"), write("y")],
    params: FIELDS,
    entry: &[],
    consts: &[],
    workgroup: [64, 1, 1],
    cpu,
    fast: Some(fast),
    sums: crate::kernels::short,
    loop_iterations: crate::kernels::few_iterations,
    family: crate::kernels::Family::Alone,
};

/// One thread for four columns of a row.
pub fn grid(p: &Params) -> [u32; 3] {
    crate::kernels::grid((p.rows as usize * p.width.div_ceil(4) as usize).div_ceil(64))
}

fn fast(call: Call) {
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || cpu(call),
    );
}

#[inline(always)]
fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, step, reads, mut writes, .. } = call;
    let (width, per_example) = (p.width as usize, p.per_example as usize);
    let (stream, blocks) = (Stream::Dropout as u32 | p.layer << 8, p.width.div_ceil(4));
    let rows = f32s(reads[1]).chunks_exact(width).zip(f32s_mut(writes[0]).chunks_exact_mut(width));
    for (row, (x, y)) in range.zip(rows) {
        let example = reads[0][step.position(row / per_example)];
        let sample = step.sample + (row % per_example) as u32;
        for (block, (x, y)) in x.chunks(4).zip(y.chunks_mut(4)).enumerate() {
            let element = sample.wrapping_mul(blocks).wrapping_add(block as u32);
            let random = philox([stream, step.step, example, element], step.key);
            for ((y, x), word) in y.iter_mut().zip(x).zip(random) {
                *y = if uniform(word) < p.rate { 0.0 } else { p.factor * x };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{call, floats, step};

    const ORDER: [u32; 3] = [7, 4, 9];

    fn dropped(p: &Params, step: &crate::kernels::StepScalars) -> Vec<bool> {
        let count = (p.rows * p.width) as usize;
        let (x, mut y) = (vec![1.0; count], vec![f32::NAN; count]);
        let rows = 0..p.rows as usize;
        cpu(call(rows, p, &[], step, &[floats(&ORDER), &x], vec![&mut y]));
        assert!(y.iter().all(|&y| y == 0.0 || y == p.factor));
        y.into_iter().map(|y| y == 0.0).collect()
    }

    #[test]
    fn a_share_is_left_out_and_each_layer_step_example_and_sample_has_its_own() {
        let p = Params { rows: 3, width: 4001, per_example: 1, layer: 0, rate: 0.25, factor: 4.0 / 3.0 };
        let mut s = step(3);
        let first = dropped(&p, &s);
        let share = first.iter().filter(|&&out| out).count() as f64 / first.len() as f64;
        assert!((share - 0.25).abs() < 0.015, "{share}");
        let differs = |other: &[bool], what: &str| {
            let same = first.iter().zip(other).filter(|(a, b)| a == b).count() as f64 / first.len() as f64;
            // Of two draws of a quarter each, ten sixteenths are alike.
            assert!((same - 0.625).abs() < 0.03, "{what}: {same}");
        };
        differs(&dropped(&Params { layer: 1, ..p }, &s), "layer");
        assert_ne!(first[..4001], first[4001..8002], "examples");
        s.step += 1;
        differs(&dropped(&p, &s), "step");
        s.step -= 1;
        // Two samples of an example: the first is the one that is drawn alone.
        let both = dropped(&Params { rows: 2, per_example: 2, ..p }, &s);
        assert_eq!(both[..4001], first[..4001]);
        s.sample = 1;
        assert_eq!(both[4001..], dropped(&Params { rows: 1, ..p }, &s));
    }
}
