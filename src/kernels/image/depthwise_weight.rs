//! The gradient of the parameters of a convolution of each channel by itself, [taps + 1, channels], whose last row is that of the
//! bias. It comes in parts, each the sum over its own share of the pixels.

use crate::kernels::images::{Images, OfChannels, through_channels};
use crate::kernels::{Asked, Call, Kernel, Sum, f32s, f32s_mut, read, write};

crate::kernels::params! {
    /// Constants of one use.
    pub struct Params {
        /// R.
        pub rows: u32,
        /// Channels of both images.
        pub channels: u32,
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
    name: "depthwise_weight",
    wgsl: include_str!("../../../shaders/image/depthwise_weight.wgsl"),
    bindings: &[read("x"), read("dy"), write("parts")],
    params: FIELDS,
    entry: &[],
    consts: &[],
    workgroup: [64, 1, 1],
    cpu,
    fast: Some(fast),
    sums,
    loop_iterations: crate::kernels::few_iterations,
    family: crate::kernels::Family::Alone,
};

impl Params {
    /// The two images.
    pub fn images(&self) -> Images {
        let (fine, coarse) = ([self.fine_height, self.fine_width], [self.coarse_height, self.coarse_width]);
        Images::new(fine, coarse, [self.kernel, self.stride, self.padding])
    }

    /// Numbers of a part.
    pub fn numbers(&self) -> usize {
        (self.images().taps() + 1) * self.channels as usize
    }

    /// Pixels that a part sums up at most.
    fn share(&self) -> usize {
        (self.rows as usize * self.images().coarse_pixels()).div_ceil(self.splits as usize)
    }
}

/// The grid of a dispatch.
pub fn grid(p: &Params) -> [u32; 3] {
    crate::kernels::grid((p.splits as usize * p.numbers()).div_ceil(64))
}

/// All pixels that a tap sees; the bias is seen as ones.
fn sums(asked: &Asked, size: &dyn Fn(usize) -> f64) -> Sum {
    Sum::of(asked.params::<Params>().share(), size(0).max(1.0) * size(1))
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, reads, mut writes, .. } = call;
    let (x, dy, images, channels) = (f32s(reads[0]), f32s(reads[1]), p.images(), p.channels as usize);
    let (taps, coarse, all) = (images.taps(), images.coarse_pixels(), p.rows as usize * images.coarse_pixels());
    for (at, row) in range.zip(f32s_mut(writes[0]).chunks_exact_mut(channels)) {
        let (split, tap) = (at / (taps + 1), at % (taps + 1));
        let pixels = (split * p.share()).min(all)..((split + 1) * p.share()).min(all);
        for (channel, sum) in row.iter_mut().enumerate() {
            let term = |pixel: usize| {
                let given = f64::from(dy[pixel * channels + channel]);
                if tap == taps {
                    return Some(given);
                }
                let seen = pixel / coarse * images.fine_pixels() + images.seen(pixel % coarse, tap)?;
                Some(given * f64::from(x[seen * channels + channel]))
            };
            *sum = pixels.clone().filter_map(term).sum::<f64>() as f32;
        }
    }
}

/// Each image by itself before it is added to the others, all taps of it while it is near.
fn fast(call: Call) {
    let p: Params = call.params();
    if p.splits > 1 {
        return cpu(call);
    }
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || by_images(call),
    );
}

#[inline(always)]
fn by_images(call: Call) {
    let p: Params = call.params();
    let Call { range, reads, mut writes, .. } = call;
    let (x, dy, images, channels) = (f32s(reads[0]), f32s(reads[1]), p.images(), p.channels as usize);
    let (fine, coarse) = (images.fine_pixels() * channels, images.coarse_pixels() * channels);
    let (lines, columns) = (images.lines_seen(false), images.columns_seen(false));
    // Of each tap, which pixel of the coarse image sees which of the fine one.
    let mut pairs: Vec<Vec<[usize; 2]>> = vec![vec![]; images.taps() + 1];
    for (y, line) in lines.iter().enumerate() {
        for (at, column) in columns.iter().enumerate() {
            let pixel = y * images.coarse[1] + at;
            for (tap_y, seen_y) in line {
                let through =
                    column.iter().map(|(tap, seen)| (tap_y * images.kernel + tap, seen_y * images.fine[1] + seen));
                through.for_each(|(tap, seen)| pairs[tap].push([pixel * channels, seen * channels]));
            }
            pairs[images.taps()].push([pixel * channels, usize::MAX]);
        }
    }
    let out = f32s_mut(writes[0]);
    out[..range.len() * channels].fill(0.0);
    for (x, dy) in x.chunks_exact(fine).zip(dy.chunks_exact(coarse)).take(p.rows as usize) {
        for (tap, row) in range.clone().zip(out.chunks_exact_mut(channels)) {
            let x = (tap < images.taps()).then_some(x);
            through_channels(channels, &mut Tap { row, x, dy, pairs: &pairs[tap] });
        }
    }
}

/// A tap, to whose sums an image adds what it gives; without `x` ones are seen.
struct Tap<'a> {
    row: &'a mut [f32],
    x: Option<&'a [f32]>,
    dy: &'a [f32],
    pairs: &'a [[usize; 2]],
}

impl OfChannels for Tap<'_> {
    #[inline(always)]
    fn these<const N: usize>(&mut self, first: usize) {
        let mut sums = [0.0_f32; N];
        for &[at, seen] in self.pairs {
            let dy = &self.dy[at + first..][..N];
            match self.x {
                Some(x) => {
                    let x = &x[seen + first..][..N];
                    sums.iter_mut().zip(x).zip(dy).for_each(|((sum, x), dy)| *sum += x * dy);
                }
                None => sums.iter_mut().zip(dy).for_each(|(sum, dy)| *sum += dy),
            }
        }
        self.row[first..first + N].iter_mut().zip(&sums).for_each(|(sum, value)| *sum += value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{StepScalars, testing};
    use bytemuck::Zeroable;

    #[test]
    fn each_tap_of_a_channel_has_what_it_saw() {
        let step = StepScalars::zeroed();
        let p = Params {
            rows: 2,
            channels: 1,
            fine_height: 2,
            fine_width: 2,
            coarse_height: 1,
            coarse_width: 1,
            kernel: 2,
            stride: 2,
            padding: 0,
            splits: 1,
        };
        let (x, dy) = ([1.0, 2.0, 3.0, 4.0, 10.0, 20.0, 30.0, 40.0], [1.0, 0.5]);
        for function in [cpu, fast] {
            let mut parts = [f32::NAN; 5];
            function(testing::call(0..5, &p, &[], &step, &[&x, &dy], vec![&mut parts]));
            assert_eq!(parts, [6.0, 12.0, 18.0, 24.0, 1.5]);
        }
    }
}
