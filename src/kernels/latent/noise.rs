//! Standard normal noise for the latents: a pure function of step, example, sample and column.
//!
//! So an example gets the same noise in whatever batch, range or run of a plan it is drawn.

use crate::kernels::{Call, Kernel, StepScalars, f32s_mut, math, params, read_u32, write};
use crate::rng::{normal, normal_by, philox};

params! {
    /// Shapes: order \[examples\], noise \[R, Z\] with R = B·K.
    pub struct Params {
        /// R, rows: K samples for each example, one after the other.
        pub rows: u32,
        /// Z, latent dimensions.
        pub width: u32,
        /// K, samples per example.
        pub per_example: u32,
        /// Which stochastic layer it is for, from 0.
        pub layer: u32,
    }
}

/// The kernel. Its outer axis is the rows.
pub static KERNEL: Kernel = Kernel {
    name: "noise",
    wgsl: include_str!("../../../shaders/latent/noise.wgsl"),
    bindings: &[read_u32("order"), write("noise")],
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

/// The bit of the stream's word from which on a stochastic layer counts.
const LAYER: u32 = 16;

/// One thread for four columns of a row.
pub fn grid(p: &Params) -> [u32; 3] {
    crate::kernels::grid((p.rows as usize * p.width.div_ceil(4) as usize).div_ceil(64))
}

/// Fills `row` (all latent dimensions) with the noise of one sample of an example.
pub(in crate::kernels) fn fill(step: &StepScalars, example: u32, sample: u32, row: &mut [f32]) {
    let blocks = row.len().div_ceil(4) as u32;
    for (block, values) in row.chunks_mut(4).enumerate() {
        let element = sample.wrapping_mul(blocks).wrapping_add(block as u32);
        let random = philox([step.stream, step.step, example, element], step.key);
        for (value, word) in values.iter_mut().zip(random) {
            *value = normal(word);
        }
    }
}

/// The same with a logarithm that vectorises, many words at once.
#[inline(always)]
pub(in crate::kernels) fn fill_fast(step: &StepScalars, example: u32, sample: u32, row: &mut [f32]) {
    let mut random = [[0; 4]; 16];
    let blocks = row.len().div_ceil(4) as u32;
    let first = sample.wrapping_mul(blocks);
    for (part, values) in row.chunks_mut(random.as_flattened().len()).enumerate() {
        let first = first.wrapping_add((part * random.len()) as u32);
        for (block, words) in random.iter_mut().take(values.len().div_ceil(4)).enumerate() {
            *words = philox([step.stream, step.step, example, first.wrapping_add(block as u32)], step.key);
        }
        for (value, &word) in values.iter_mut().zip(random.as_flattened()) {
            *value = normal_by(word, math::ln);
        }
    }
}

fn cpu(call: Call) {
    rows(call, fill);
}

fn fast(call: Call) {
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || rows(call, fill_fast),
    );
}

#[inline(always)]
fn rows(call: Call, fill: impl Fn(&StepScalars, u32, u32, &mut [f32])) {
    let p: Params = call.params();
    let Call { range, step, reads, mut writes, .. } = call;
    let step = &StepScalars { stream: step.stream | p.layer << LAYER, ..*step };
    let per_example = p.per_example as usize;
    for (r, row) in range.zip(f32s_mut(writes[0]).chunks_exact_mut(p.width as usize)) {
        let example = reads[0][step.position(r / per_example)];
        fill(step, example, step.sample + (r % per_example) as u32, row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{call, floats, step};
    use crate::rng::Stream;

    const ORDER: [u32; 3] = [7, 4, 9];

    #[test]
    fn noise_is_addressed_by_stream_step_example_and_element() {
        let p = Params { rows: 6, width: 5, per_example: 2, layer: 0 };
        let mut s = step(3);
        (s.sample, s.stream) = (10, Stream::Evaluate as u32);
        let mut noise = [f32::NAN; 30];
        cpu(call(0..6, &p, &[], &s, &[floats(&ORDER)], vec![&mut noise]));
        // Row 3 is sample 11 of example 4; its fifth column begins the second of two blocks.
        assert_eq!(noise[3 * 5 + 4], normal(philox([6, 3, 4, 11 * 2 + 1], s.key)[0]));
        assert_eq!(noise[3 * 5 + 2], normal(philox([6, 3, 4, 11 * 2], s.key)[2]));
        let mut part = [f32::NAN; 15];
        cpu(call(3..6, &p, &[], &s, &[floats(&ORDER)], vec![&mut part]));
        assert_eq!(part, noise[15..]);
        // Another layer has other noise.
        let mut above = [f32::NAN; 30];
        cpu(call(0..6, &Params { layer: 2, ..p }, &[], &s, &[floats(&ORDER)], vec![&mut above]));
        assert_eq!(above[3 * 5 + 4], normal(philox([6 + (2 << 16), 3, 4, 11 * 2 + 1], s.key)[0]));
    }

    #[test]
    fn samples_drawn_in_several_runs_are_those_drawn_at_once() {
        let mut s = step(1);
        let mut all = [f32::NAN; 12];
        cpu(call(
            0..4,
            &Params { rows: 4, width: 3, per_example: 4, layer: 0 },
            &[],
            &s,
            &[floats(&ORDER)],
            vec![&mut all],
        ));
        let mut late = [f32::NAN; 6];
        s.sample = 2;
        rows(
            call(
                0..2,
                &Params { rows: 2, width: 3, per_example: 2, layer: 0 },
                &[],
                &s,
                &[floats(&ORDER)],
                vec![&mut late],
            ),
            fill,
        );
        assert_eq!(late, all[6..]);
    }
}
