//! The gradient of the parameters of a convolution, or with `UP` of a transposed one: [taps·inputs + 1, outputs], whose
//! last row is that of the bias. It comes in parts, each the sum over its own share of the pixels. `ROWS` are pairs of a tap and a
//! channel of the fine image that a thread sums up.

use crate::kernels::conv::{BLOCK, of_channels};
use crate::kernels::gemm::Matrix;
use crate::kernels::images::Images;
use crate::kernels::matmul::column_sums;
use crate::kernels::panels::{self, Gathered};
use crate::kernels::{Asked, Call, Kernel, Sum, f32s, f32s_mut, read, write};
use std::ops::Range;

crate::kernels::params! {
    /// Constants of one use.
    pub struct Params {
        /// R.
        pub rows: u32,
        /// Channels of the fine image.
        pub fine: u32,
        /// Channels of the coarse image.
        pub coarse: u32,
        /// Height of the fine image.
        pub fine_height: u32,
        /// Width of the fine image.
        pub fine_width: u32,
        /// Height of the coarse image.
        pub coarse_height: u32,
        /// Width of the coarse image.
        pub coarse_width: u32,
        /// Taps along each side.
        pub kernel: u32,
        /// Pixels of the fine image from one pixel of the coarse one to the next.
        pub stride: u32,
        /// By how many pixels the first taps lie outside the fine image.
        pub padding: u32,
        /// Parts.
        pub splits: u32,
    }
}

/// The kernel; its outer axis are the rows of all parts, one part after the other.
pub static KERNEL: Kernel = Kernel {
    name: "conv_weight",
    wgsl: include_str!("../../../shaders/image/conv_weight.wgsl"),
    bindings: &[read("x"), read("dy"), write("parts")],
    params: FIELDS,
    entry: &[],
    consts: &["UP", "ROWS"],
    workgroup: [64, 1, 1],
    cpu,
    fast: Some(fast),
    sums,
    loop_iterations: crate::kernels::few_iterations,
    family: crate::kernels::Family::Convolution(|asked| asked.params::<Params>().products()),
};

/// Threads of a workgroup.
const LANES: usize = 64;
/// The most of `ROWS`.
const MOST_ROWS: u32 = 4;
/// Channels of the coarse image that a thread sums up.
const COLUMNS: usize = 16;

impl Params {
    /// The two images.
    pub fn images(&self) -> Images {
        let (fine, coarse) = ([self.fine_height, self.fine_width], [self.coarse_height, self.coarse_width]);
        Images::new(fine, coarse, [self.kernel, self.stride, self.padding])
    }

    /// Multiplications of the product that a use stands for.
    pub fn products(&self) -> f64 {
        self.images().products(self.rows, [self.fine, self.coarse])
    }
}

/// `ROWS` for two images: no more than the pairs fill.
pub fn rows(p: &Params) -> u32 {
    (p.kernel * p.kernel * p.fine).div_ceil(LANES as u32).clamp(1, MOST_ROWS)
}

/// Workgroups that keep a large device busy.
pub const MANY: usize = 256;
/// The fewest pixels that a part is the sum of.
pub const FEWEST_PIXELS: usize = 64;
/// The most, well below what software drivers finish.
pub const MAX_PIXELS: usize = crate::kernels::MAX_LOOP_ITERATIONS / 4;

/// In how many parts a device sums up a gradient, each of so many workgroups: enough for many, of not too few and not too many pixels.
pub fn parts(p: &Params, groups: usize) -> usize {
    let rows = p.rows as usize;
    let (coarse, most) =
        (rows * p.images().coarse_pixels(), rows * p.images().coarse_pixels().max(p.images().fine_pixels()));
    let wanted = MANY.div_ceil(groups).min(coarse / FEWEST_PIXELS);
    wanted.max(most.div_ceil(MAX_PIXELS))
}

/// Workgroups of one part.
pub fn groups(p: &Params, consts: &[u32]) -> usize {
    groups_of(p, consts[0] == 1, [LANES * consts[1] as usize, COLUMNS, LANES])
}

/// Workgroups of one part, each of so many pairs of a tap and a channel of the fine image with so many channels of the coarse one, or
/// of so many sums for the bias.
pub(in crate::kernels) fn groups_of(p: &Params, up: bool, [pairs, channels, biases]: [usize; 3]) -> usize {
    let outputs = if up { p.fine } else { p.coarse } as usize;
    let down = (p.images().taps() * p.fine as usize).div_ceil(pairs);
    down * (p.coarse as usize).div_ceil(channels) + outputs.div_ceil(biases)
}

/// What both functions take: the two images with their channels, and those of the map.
struct Maps<'a> {
    images: Images,
    fine: &'a [f32],
    coarse: &'a [f32],
    /// Channels of the fine and of the coarse image.
    channels: [usize; 2],
    dy: &'a [f32],
    up: bool,
    inputs: usize,
    outputs: usize,
    /// Whether the images are in each other's place ([`Images::mirrored`]), so that taps come the other way round.
    flipped: bool,
}

impl<'a> Maps<'a> {
    fn new(p: &Params, consts: &[u32], x: &'a [f32], dy: &'a [f32]) -> Self {
        let (images, up, channels) = (p.images(), consts[0] == 1, [p.fine as usize, p.coarse as usize]);
        let (fine, coarse) = if up { (dy, x) } else { (x, dy) };
        let [inputs, outputs] = if up { [channels[1], channels[0]] } else { channels };
        Self { images, fine, coarse, channels, dy, up, inputs, outputs, flipped: false }
    }

    /// With the images in each other's place, where that leaves fewer numbers to be looked up.
    fn cheaper(self) -> Self {
        match self.images.mirrored().filter(|_| !self.up && self.inputs >= 2 * self.outputs) {
            Some(images) => {
                let (channels, fine, coarse) = ([self.channels[1], self.channels[0]], self.coarse, self.fine);
                Self { images, channels, fine, coarse, up: true, flipped: true, ..self }
            }
            None => self,
        }
    }
}

/// The part of `count` things that belongs to a split.
fn share(count: usize, split: usize, splits: usize) -> Range<usize> {
    let share = count.div_ceil(splits);
    (split * share).min(count)..((split + 1) * share).min(count)
}

/// All pixels that a tap sees; the bias is seen as ones.
pub(in crate::kernels) fn sums(asked: &Asked, size: &dyn Fn(usize) -> f64) -> Sum {
    let p: Params = asked.params();
    let pixels = p.images().fine_pixels().max(p.images().coarse_pixels());
    Sum::of((p.rows as usize * pixels).div_ceil(p.splits as usize), size(0).max(1.0) * size(1))
}

pub(in crate::kernels) fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, consts, reads, mut writes, .. } = call;
    let m = Maps::new(&p, consts, f32s(reads[0]), f32s(reads[1]));
    let (per_part, splits, rows) = (m.images.taps() * m.inputs + 1, p.splits as usize, p.rows as usize);
    let [fine, coarse] = m.channels;
    for (at, row) in range.zip(f32s_mut(writes[0]).chunks_exact_mut(m.outputs)) {
        let (split, at) = (at / per_part, at % per_part);
        for (output, sum) in row.iter_mut().enumerate() {
            *sum = if at + 1 == per_part {
                let pixels = rows * if m.up { m.images.fine_pixels() } else { m.images.coarse_pixels() };
                share(pixels, split, splits).map(|pixel| f64::from(m.dy[pixel * m.outputs + output])).sum::<f64>()
                    as f32
            } else {
                let (tap, input) = (at / m.inputs, at % m.inputs);
                let (of_fine, of_coarse) = if m.up { (output, input) } else { (input, output) };
                let term = |pixel: usize| {
                    let (row, place) = (pixel / m.images.coarse_pixels(), pixel % m.images.coarse_pixels());
                    let seen = row * m.images.fine_pixels() + m.images.seen(place, tap)?;
                    Some(f64::from(m.fine[seen * fine + of_fine]) * f64::from(m.coarse[pixel * coarse + of_coarse]))
                };
                share(rows * m.images.coarse_pixels(), split, splits).filter_map(term).sum::<f64>() as f32
            };
        }
    }
}

/// The twin's meaning by way of matrix products: what the pixels of the coarse image see, transposed, times the coarse
/// image, block by block. The blocks follow from the shapes, so that a part of the rows has the bits of the whole.
pub(in crate::kernels) fn fast(call: Call) {
    let p: Params = call.params();
    if p.splits > 1 {
        return cpu(call);
    }
    let Call { range, consts, reads, mut writes, .. } = call;
    let m = Maps::new(&p, consts, f32s(reads[0]), f32s(reads[1])).cheaper();
    let out = f32s_mut(writes[0]);
    let last = m.images.taps() * m.inputs;
    let rows = range.start.min(last)..range.end.min(last);
    let (sums, bias) = out.split_at_mut(rows.len() * m.outputs);
    if m.up && !rows.is_empty() {
        // Taps and channels of the fine image stand the other way round than the parameters.
        let [fine, coarse] = m.channels;
        let wanted = rows.start / coarse..rows.end.div_ceil(coarse);
        let all = m.images.taps();
        let taps = if m.flipped { all - wanted.end..all - wanted.start } else { wanted };
        let mut turned = vec![0.0; taps.len() * fine * coarse];
        pixel_sums(&p, &m, taps.start * fine..taps.end * fine, &mut turned);
        for (at, row) in rows.clone().zip(sums.chunks_exact_mut(fine)) {
            let (tap, of_coarse) = (at / coarse, at % coarse);
            let tap = if m.flipped { all - 1 - tap } else { tap } - taps.start;
            for (of_fine, sum) in row.iter_mut().enumerate() {
                *sum = turned[(tap * fine + of_fine) * coarse + of_coarse];
            }
        }
    } else {
        pixel_sums(&p, &m, rows, sums);
    }
    if range.end > last {
        let pixels =
            p.rows as usize * if consts[0] == 1 { p.images().fine_pixels() } else { p.images().coarse_pixels() };
        column_sums(&m.dy[..pixels * m.outputs], false, bias);
    }
}

/// Pixels of the coarse image whose windows are listed at a time: they are walked through for every few rows.
const MOST_WINDOWS: usize = 1 << 14;

/// For each of `columns`, a tap and a channel of the fine image, and each channel of the coarse one, the sum over the
/// pixels of the coarse image.
fn pixel_sums(p: &Params, m: &Maps, columns: Range<usize>, sums: &mut [f32]) {
    let [fine, coarse] = m.channels;
    if columns.is_empty() {
        return;
    }
    let windows = m.images.windows(false);
    let (numbers, phase) = (windows.numbers(fine), &windows.phases[0]);
    let (from, of_coarse) = (m.images.fine_pixels() * fine, m.images.coarse_pixels() * coarse);
    let at_once = (BLOCK / numbers).min(MOST_WINDOWS / phase.windows.len()).min(p.rows as usize).max(1);
    let seen = &of_channels(&phase.seen, fine)[columns];
    let places: Vec<usize> = (0..seen.len()).map(|row| row * coarse).collect();
    let windows_of = |image: usize| phase.windows.iter().map(move |window| image * numbers + window * fine);
    let all: Vec<usize> = (0..at_once).flat_map(windows_of).collect();
    let mut framed = vec![0.0; at_once * numbers];
    for first in (0..p.rows as usize).step_by(at_once) {
        let count = at_once.min(p.rows as usize - first);
        windows.fill(&m.fine[first * from..][..count * from], fine, &mut framed);
        let left = Gathered { values: &framed, rows: seen, depths: &all[..count * phase.windows.len()] };
        let right = Matrix { values: &m.coarse[first * of_coarse..], rows: coarse, columns: 1 };
        panels::gathered(left, right, coarse, sums, &places, first > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{StepScalars, testing};
    use bytemuck::Zeroable;

    #[test]
    fn every_tap_sums_what_is_seen_through_it() {
        let step = StepScalars::zeroed();
        let (fine_height, fine_width, coarse_height, coarse_width) = (2, 3, 1, 2);
        #[rustfmt::skip]
        let p = Params {
            rows: 1, fine: 1, coarse: 1, fine_height, fine_width, coarse_height, coarse_width, kernel: 2, stride: 1,
            padding: 0, splits: 1,
        };
        let (fine, coarse) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, 10.0]);
        let mut out = [f32::NAN; 5];
        cpu(testing::call(0..5, &p, &[0, 1], &step, &[&fine, &coarse], vec![&mut out]));
        assert_eq!(out, [21.0, 32.0, 54.0, 65.0, 11.0]);
        cpu(testing::call(0..5, &p, &[1, 1], &step, &[&coarse, &fine], vec![&mut out]));
        assert_eq!(out, [21.0, 32.0, 54.0, 65.0, 21.0]);
        let mut parts = [f32::NAN; 10];
        cpu(testing::call(0..10, &Params { splits: 2, ..p }, &[0, 1], &step, &[&fine, &coarse], vec![&mut parts]));
        assert_eq!(parts, [1.0, 2.0, 4.0, 5.0, 1.0, 20.0, 30.0, 50.0, 60.0, 10.0]);
    }

    #[test]
    fn every_way_of_gradients_gives_what_the_twin_gives() {
        let step = StepScalars::zeroed();
        let all = [
            ([3, 4], [3, 4], [3, 1, 1]),
            ([6, 8], [3, 4], [4, 2, 1]),
            ([4, 4], [1, 1], [4, 1, 0]),
            ([7, 5], [3, 2], [2, 3, 0]),
            ([3, 4], [7, 8], [3, 1, 3]),
        ];
        for (sides, ([fine, coarse], up)) in all
            .into_iter()
            .flat_map(|sides| [([6, 2], 0), ([2, 6], 0), ([3, 2], 1), ([5, 18], 1)].map(|of| (sides, of)))
        {
            let ([fine_height, fine_width], [coarse_height, coarse_width], [kernel, stride, padding]) = sides;
            #[rustfmt::skip]
            let p = Params {
                rows: 2, fine, coarse, fine_height, fine_width, coarse_height, coarse_width, kernel, stride, padding, splits: 1,
            };
            let values = |seed: usize, count: u32| -> Vec<f32> {
                (0..count as usize).map(|at| ((at * 7 + seed) % 11) as f32 - 5.0).collect()
            };
            let [of_fine, of_coarse] = [fine_height * fine_width * fine, coarse_height * coarse_width * coarse];
            let (inputs, outputs, x, dy) =
                if up == 1 { (coarse, fine, of_coarse, of_fine) } else { (fine, coarse, of_fine, of_coarse) };
            let (x, dy) = (values(1, 2 * x), values(2, 2 * dy));
            let rows = (kernel * kernel * inputs + 1) as usize;
            // Parts that begin and end within a tap.
            for range in [0..rows, 1..rows - 2, rows / 2..rows / 2 + 1, rows - 3..rows] {
                let [twin, made] = [cpu as fn(Call), fast].map(|function| {
                    let mut parts = vec![f32::NAN; range.len() * outputs as usize];
                    function(testing::call(range.clone(), &p, &[up, 1], &step, &[&x, &dy], vec![&mut parts]));
                    parts
                });
                assert_eq!(twin, made, "{inputs} to {outputs}, {sides:?}, up {up}, {range:?}");
            }
        }
    }
}
