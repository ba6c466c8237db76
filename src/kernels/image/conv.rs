//! Convolutions and transposed convolutions of images, [R, pixels, inputs] → [R, pixels, outputs]:
//!
//! - `UP`: the image that is made is the fine one of [`Images`], so this is a transposed convolution;
//! - `TRANSPOSE`: the parameters are those of the opposite map, whose gradient for its input this is; otherwise their last
//!   row, the bias, is added to every pixel;
//! - `EPILOGUE`, `ACTIVATION`: as in [`crate::kernels::matmul`], without the likelihoods;
//! - `ROWS`: pixels that a thread makes; `VECTORS`: how many times four of their channels.
//!
//! The parameters are one matrix [taps·inputs + 1, outputs], taps row by row, so that what surrounds affine maps
//! (update, initial values, checkpoints) is the same for convolutions.

use crate::kernels::gemm::{self, Matrix};
use crate::kernels::images::{Images, Windows};
use crate::kernels::matmul::{ACTIVATE, DERIVE};
use crate::kernels::panels::{self, Gathered};
use crate::kernels::{Asked, Call, Kernel, Sum, f32s, f32s_mut, math, read, write};
use std::borrow::Cow;

crate::kernels::params! {
    /// Constants of one use.
    pub struct Params {
        /// R.
        pub rows: u32,
        /// Channels of the image that is read.
        pub inputs: u32,
        /// Channels of the image that is made.
        pub outputs: u32,
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
    }
}

/// The kernel; its outer axis are the rows.
pub static KERNEL: Kernel = Kernel {
    name: "conv",
    wgsl: include_str!("../../../shaders/image/conv.wgsl"),
    bindings: &[read("x"), read("w"), read("aux"), write("y")],
    params: FIELDS,
    entry: &[],
    consts: &["UP", "TRANSPOSE", "EPILOGUE", "ACTIVATION", "ROWS", "VECTORS"],
    workgroup: [64, 1, 1],
    cpu,
    fast: Some(fast),
    sums,
    loop_iterations: |asked| (loop_iterations(&asked.params(), asked.consts), "fewer channels or a smaller kernel"),
    family: crate::kernels::Family::Convolution(|asked| asked.params::<Params>().products()),
};

/// `ROWS` for devices whose threads run in parallel.
pub const FEW_ROWS: u32 = 4;
/// `ROWS` for drivers that emulate them.
pub const MANY_ROWS: u32 = 8;

/// Threads of a workgroup.
const LANES: usize = 64;
/// The most of `VECTORS`.
const MOST_VECTORS: u32 = 4;

impl Params {
    /// The two images.
    pub fn images(&self) -> Images {
        let (fine, coarse) = ([self.fine_height, self.fine_width], [self.coarse_height, self.coarse_width]);
        Images::new(fine, coarse, [self.kernel, self.stride, self.padding])
    }

    /// Multiplications of the product that a use stands for.
    pub fn products(&self) -> f64 {
        self.images().products(self.rows, [self.inputs, self.outputs])
    }
}

/// `VECTORS` for an image: no more than its channels fill.
pub fn vectors(p: &Params) -> u32 {
    p.outputs.div_ceil(4).clamp(1, MOST_VECTORS)
}

/// The grid of a dispatch.
pub fn grid(p: &Params, consts: &[u32]) -> [u32; 3] {
    crate::kernels::grid(workgroups(p, consts[0] == 1, [LANES * consts[4] as usize, 4 * consts[5] as usize]))
}

/// Tiles of so many pixels that are seen through the same taps, and of so many channels.
pub(in crate::kernels) fn workgroups(p: &Params, up: bool, [pixels, channels]: [usize; 2]) -> usize {
    let images = p.images();
    let (apart, size) = if up { (images.stride, images.fine) } else { (1, images.coarse) };
    let cells = p.rows as usize * size[0].div_ceil(apart) * size[1].div_ceil(apart);
    apart * apart * cells.div_ceil(pixels) * (p.outputs as usize).div_ceil(channels)
}

/// Iterations of the loops of a thread, at most ([`crate::kernels::MAX_LOOP_ITERATIONS`]): one for each channel of what it sees, through
/// those taps that are a stride apart where the fine image is made.
fn loop_iterations(p: &Params, consts: &[u32]) -> usize {
    let apart = if consts[0] == 1 { p.stride } else { 1 };
    let taps = p.kernel.div_ceil(apart) as usize;
    taps * (2 + taps * (2 + p.inputs as usize))
}

/// Where the parameters have the factor of an input channel and an output channel at a tap.
fn place(p: &Params, transpose: u32, [tap, input, output]: [usize; 3]) -> usize {
    let (inputs, outputs) = (p.inputs as usize, p.outputs as usize);
    if transpose == 1 { (tap * outputs + output) * inputs + input } else { (tap * inputs + input) * outputs + output }
}

pub(in crate::kernels) fn sums(asked: &Asked, size: &dyn Fn(usize) -> f64) -> Sum {
    let p: Params = asked.params();
    Sum::of((p.kernel * p.kernel * p.inputs) as usize, size(0) * size(1))
}

pub(in crate::kernels) fn cpu(call: Call) {
    let p: Params = call.params();
    let images = p.images();
    let [up, transpose, epilogue, activation, ..] = *call.consts else { unreachable!("there are more constants") };
    let Call { range, reads, mut writes, .. } = call;
    let [x, w, aux] = [0, 1, 2].map(|i| f32s(reads[i]));
    let y = f32s_mut(writes[0]);
    let activation = math::from_code(activation);
    let (inputs, outputs) = (p.inputs as usize, p.outputs as usize);
    let (pixels, source) = match up {
        1 => (images.fine_pixels(), images.coarse_pixels()),
        _ => (images.coarse_pixels(), images.fine_pixels()),
    };
    for at in 0..range.len() * pixels * outputs {
        let (row, pixel, output) = (at / outputs / pixels, at / outputs % pixels, at % outputs);
        let last = images.taps() * inputs * outputs;
        let mut sum = if transpose == 0 { f64::from(w[last + output]) } else { 0.0 };
        for tap in 0..images.taps() {
            let seen = if up == 1 { images.seen_by(pixel, tap) } else { images.seen(pixel, tap) };
            let Some(seen) = seen else { continue };
            for input in 0..inputs {
                let left = x[(row * source + seen) * inputs + input];
                sum += f64::from(left) * f64::from(w[place(&p, transpose, [tap, input, output])]);
            }
        }
        y[at] = match epilogue {
            ACTIVATE => math::activate(activation, sum as f32),
            DERIVE => sum as f32 * math::derivative(activation, aux[at]),
            _ => sum as f32,
        };
    }
}

/// Numbers of a block that should stay in a core's own cache.
pub(in crate::kernels) const BLOCK: usize = 1 << 16;

/// Fewer channels than this leave most of a vector empty.
const FEW_CHANNELS: usize = 8;
/// How many times the products that there are a pixel may look for, zeros of the frame included, before others give to it: around a small
/// coarse image, as that of the first layer of many a decoder, most of a window is frame.
const WASTE: usize = 2;

/// The twin's meaning by way of matrix products: each pixel that is made multiplies all that it sees by the parameters. Where it has
/// few channels, each pixel that is read gives to all those that see it.
pub(in crate::kernels) fn fast(call: Call) {
    let p: Params = call.params();
    let [up, transpose, epilogue, activation, ..] = *call.consts else { unreachable!("there are more constants") };
    let Call { range, reads, mut writes, .. } = call;
    let [x, w, aux] = [0, 1, 2].map(|i| f32s(reads[i]));
    let y = f32s_mut(writes[0]);
    let channels @ [inputs, outputs] = [p.inputs as usize, p.outputs as usize];
    let has_bias = transpose == 0;
    let bias = if has_bias { &w[p.images().taps() * inputs * outputs..] } else { &[] };
    let mut way = Way::new(&p.images(), up == 1, &Parameters { w, channels, transpose });
    let activation = math::from_code(activation);
    let (source, made) = match up {
        1 => (p.images().coarse_pixels(), p.images().fine_pixels()),
        _ => (p.images().fine_pixels(), p.images().coarse_pixels()),
    };
    let (source, made) = (source * inputs, made * outputs);
    // Some images after the others, which stay in a core's cache on their way from the bias to the epilogue.
    let at_once = (BLOCK / way.numbers(made, inputs).max(1)).clamp(1, range.len().max(1));
    for (at, y) in y[..range.len() * made].chunks_mut(at_once * made).enumerate() {
        let (first, count) = (at * at_once, y.len() / made);
        let x = &x[first * source..][..count * source];
        if has_bias {
            y.chunks_exact_mut(outputs).for_each(|pixel| pixel.copy_from_slice(bias));
        }
        match &mut way {
            Way::Looks(gather) => gather.make(channels, x, y, has_bias),
            Way::Gives(images, w) => {
                if !has_bias {
                    y.fill(0.0);
                }
                upwards(images, channels, count * images.coarse_pixels(), x, w, y);
            }
        }
        match epilogue {
            ACTIVATE => math::activate_all(activation, y),
            DERIVE => math::derivative_all(activation, &aux[first * made..][..count * made], y),
            _ => {}
        }
    }
}

/// How pixels come to what they are made of.
enum Way<'a> {
    /// They look for it.
    Looks(Gather<'a>),
    /// The pixels of the coarse image give it to them, each row of its channels multiplied by a matrix [inputs, taps·outputs].
    Gives(Images, Vec<f32>),
}

impl<'a> Way<'a> {
    fn new(images: &Images, up: bool, w: &Parameters<'a>) -> Self {
        let few = w.channels[1] < FEW_CHANNELS;
        let taps = 0..images.taps();
        let windows = images.windows(up);
        let wasteful = windows.products() > WASTE * images.coarse_pixels() * images.taps();
        match images.mirrored() {
            _ if up && (few || wasteful) => Self::Gives(*images, w.spread(&taps.collect::<Vec<_>>())),
            Some(mirrored) if few => Self::Gives(mirrored, w.spread(&taps.rev().collect::<Vec<_>>())),
            _ => Self::Looks(Gather::new(windows, w)),
        }
    }

    /// Numbers for each image that are at work at a time, where so many are made.
    fn numbers(&self, made: usize, inputs: usize) -> usize {
        match self {
            Self::Looks(gather) => made.max(gather.windows.numbers(inputs)),
            Self::Gives(..) => made,
        }
    }
}

/// A convolution by looking for what each pixel is made of.
struct Gather<'a> {
    windows: Windows,
    /// For each phase, a matrix [taps·inputs, outputs], and for each of its rows where in a window its factor lies.
    phases: Vec<(Cow<'a, [f32]>, Vec<usize>)>,
    framed: Vec<f32>,
    /// For each pixel of a phase, where its window begins and where it goes.
    places: [Vec<usize>; 2],
}

impl<'a> Gather<'a> {
    fn new(windows: Windows, w: &Parameters<'a>) -> Self {
        let inputs = w.channels[0];
        let phases = windows.phases.iter().map(|phase| (w.gathered(&phase.taps), of_channels(&phase.seen, inputs)));
        let phases = phases.collect();
        Self { windows, phases, framed: vec![], places: [vec![], vec![]] }
    }

    fn make(&mut self, [inputs, outputs]: [usize; 2], x: &[f32], y: &mut [f32], add: bool) {
        let numbers = self.windows.numbers(inputs);
        let made: usize = self.windows.phases.iter().map(|phase| phase.pixels.len()).sum::<usize>() * outputs;
        let count = y.len() / made;
        // Frames are never written, so their zeros stay.
        self.framed.resize((count * numbers).max(self.framed.len()), 0.0);
        self.windows.fill(x, inputs, &mut self.framed);
        for (phase, (w, seen)) in self.windows.phases.iter().zip(&self.phases) {
            let [windows, places] = &mut self.places;
            windows.clear();
            places.clear();
            for image in 0..count {
                windows.extend(phase.windows.iter().map(|window| image * numbers + window * inputs));
                places.extend(phase.pixels.iter().map(|pixel| image * made + pixel * outputs));
            }
            let left = Gathered { values: &self.framed, rows: windows, depths: seen };
            let right = Matrix { values: w, rows: outputs, columns: 1 };
            panels::gathered(left, right, outputs, y, places, add);
        }
    }
}

/// For each pixel and each of its channels, where it lies.
pub(in crate::kernels) fn of_channels(pixels: &[usize], channels: usize) -> Vec<usize> {
    pixels.iter().flat_map(|pixel| pixel * channels..(pixel + 1) * channels).collect()
}

/// The parameters of a call.
struct Parameters<'a> {
    w: &'a [f32],
    channels: [usize; 2],
    transpose: u32,
}

impl<'a> Parameters<'a> {
    /// Of some taps, as a matrix [taps·inputs, outputs].
    fn gathered(&self, taps: &[usize]) -> Cow<'a, [f32]> {
        let [inputs, outputs] = self.channels;
        if self.transpose == 0 && taps.iter().copied().eq(0..taps.len()) {
            return Cow::Borrowed(&self.w[..taps.len() * inputs * outputs]);
        }
        self.laid_out(taps, |tap, input| (tap * inputs + input) * outputs).into()
    }

    /// Of some taps, as a matrix [inputs, taps·outputs].
    fn spread(&self, taps: &[usize]) -> Vec<f32> {
        let outputs = self.channels[1];
        self.laid_out(taps, |tap, input| (input * taps.len() + tap) * outputs)
    }

    /// With the factors of one of `taps` and an input channel for all output channels from `place` on.
    fn laid_out(&self, taps: &[usize], place: impl Fn(usize, usize) -> usize) -> Vec<f32> {
        let [inputs, outputs] = self.channels;
        let mut all = vec![0.0; taps.len() * inputs * outputs];
        for (at, &tap) in taps.iter().enumerate() {
            let of_tap = &self.w[tap * inputs * outputs..][..inputs * outputs];
            for input in 0..inputs {
                let row = &mut all[place(at, input)..][..outputs];
                if self.transpose == 0 {
                    row.copy_from_slice(&of_tap[input * outputs..][..outputs]);
                } else {
                    row.iter_mut().zip(of_tap[input..].iter().step_by(inputs)).for_each(|(to, from)| *to = *from);
                }
            }
        }
        all
    }
}

fn upwards(images: &Images, [inputs, outputs]: [usize; 2], pixels: usize, x: &[f32], w: &[f32], y: &mut [f32]) {
    let columns = images.taps() * outputs;
    let right = Matrix { values: w, rows: columns, columns: 1 };
    let block = (BLOCK / columns).clamp(32, 1024).min(pixels);
    let mut given = vec![0.0; block * columns];
    for first in (0..pixels).step_by(block) {
        let rows = block.min(pixels - first);
        let left = Matrix { values: &x[first * inputs..], rows: inputs, columns: 1 };
        gemm::product([rows, columns, inputs], left, right, &mut given, false);
        let (given, y) = (&given[..rows * columns], &mut *y);
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || images.add_to_seen(given, outputs, first..first + rows, y),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{StepScalars, testing};
    use bytemuck::Zeroable;

    fn params(inputs: u32, outputs: u32, [kernel, stride, padding]: [u32; 3]) -> Params {
        let (fine_height, fine_width, coarse_height, coarse_width) = (3, 3, 2, 2);
        #[rustfmt::skip]
        let p = Params {
            rows: 1, inputs, outputs, fine_height, fine_width, coarse_height, coarse_width, kernel, stride, padding,
        };
        p
    }

    /// By hand: an image of the numbers 1 to 9 under a kernel of four taps, and the same kernel backwards.
    #[test]
    fn small_images_give_what_they_give_by_hand() {
        let step = StepScalars::zeroed();
        let w = [1.0, 10.0, 100.0, 1000.0, 0.5];
        let image: Vec<f32> = (1..10).map(|i| i as f32).collect();
        let mut y = [f32::NAN; 4];
        cpu(testing::call(
            0..1,
            &params(1, 1, [2, 1, 0]),
            &[0, 0, 0, 0, 4, 1],
            &step,
            &[&image, &w, &[]],
            vec![&mut y],
        ));
        assert_eq!(y, [5421.5, 6532.5, 8754.5, 9865.5]);
        let mut y = [f32::NAN; 9];
        let x = [1.0, 2.0, 3.0, 4.0];
        cpu(testing::call(0..1, &params(1, 1, [2, 1, 0]), &[1, 1, 0, 0, 4, 1], &step, &[&x, &w, &[]], vec![&mut y]));
        assert_eq!(y, [1.0, 12.0, 20.0, 103.0, 1234.0, 2040.0, 300.0, 3400.0, 4000.0]);
        // With a stride of two and padding, every pixel of the fine image is seen through its own tap.
        let mut y = [f32::NAN; 9];
        cpu(testing::call(0..1, &params(1, 1, [2, 2, 1]), &[1, 1, 0, 0, 4, 1], &step, &[&x, &w, &[]], vec![&mut y]));
        assert_eq!(y, [1000.0, 200.0, 2000.0, 30.0, 4.0, 40.0, 3000.0, 400.0, 4000.0]);
    }

    /// Few and many channels; images side by side, halved, collapsed to a pixel, seen through fewer taps than a stride has pixels, and from
    /// further outside than there are taps.
    #[test]
    fn every_way_of_convolutions_gives_what_the_twin_gives() {
        let step = StepScalars::zeroed();
        let all = [
            ([3, 5], [3, 5], [3, 1, 1]),
            ([6, 8], [3, 4], [4, 2, 1]),
            ([5, 7], [3, 4], [3, 2, 1]),
            ([4, 4], [1, 1], [4, 1, 0]),
            ([7, 5], [3, 2], [2, 3, 0]),
            ([3, 4], [7, 8], [3, 1, 3]),
        ];
        for (fine, coarse, [kernel, stride, padding]) in all {
            for [inputs, outputs] in [[6, 2], [2, 6], [3, 2], [3, 9], [10, 17]] {
                let ([fine_height, fine_width], [coarse_height, coarse_width]) = (fine, coarse);
                #[rustfmt::skip]
                let p = Params {
                    rows: 3, inputs, outputs, fine_height, fine_width, coarse_height, coarse_width, kernel, stride, padding,
                };
                for (up, transpose) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                    let pixels = [fine, coarse].map(|[height, width]| height * width);
                    let (source, made) = if up == 1 { (pixels[1], pixels[0]) } else { (pixels[0], pixels[1]) };
                    let values = |seed: usize, count: u32| -> Vec<f32> {
                        (0..count as usize).map(|at| ((at * 7 + seed) % 11) as f32 - 5.0).collect()
                    };
                    let w = values(2, kernel * kernel * inputs * outputs + outputs);
                    let x = values(1, 3 * source * inputs);
                    let [twin, fast] = [cpu as fn(Call), fast].map(|function| {
                        let mut y = vec![f32::NAN; (3 * made * outputs) as usize];
                        let consts = [up, transpose, 0, 0, 4, 4];
                        function(testing::call(0..3, &p, &consts, &step, &[&x, &w, &[]], vec![&mut y]));
                        y
                    });
                    // Whole numbers, so that no order of a sum rounds.
                    assert_eq!(
                        twin, fast,
                        "{inputs} to {outputs}, {fine:?} and {coarse:?}, up {up}, transposed {transpose}"
                    );
                }
            }
        }
    }
}
