//! A convolution of each channel by itself, `y = Σ w[tap]·x + b` over the pixels that each pixel of the coarse image sees of the fine
//! one, [R, fine pixels, channels] to [R, coarse pixels, channels]; with `BACK` its gradient for the images that it reads, from the
//! coarse image to the fine one and without the bias. `w` is [taps + 1, channels], the bias last.

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
    }
}

/// The kernel; its outer axis are the rows.
pub static KERNEL: Kernel = Kernel {
    name: "depthwise",
    wgsl: include_str!("../../../shaders/image/depthwise.wgsl"),
    bindings: &[read("x"), read("w"), write("y")],
    params: FIELDS,
    entry: &[],
    consts: &["BACK"],
    workgroup: [256, 1, 1],
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
}

/// The grid of a dispatch.
pub fn grid(p: &Params, consts: &[u32]) -> [u32; 3] {
    let pixels = if consts[0] == 1 { p.images().fine_pixels() } else { p.images().coarse_pixels() };
    crate::kernels::grid((p.rows as usize * pixels * p.channels as usize).div_ceil(256))
}

/// All taps, and the bias, which is seen as a one.
fn sums(asked: &Asked, size: &dyn Fn(usize) -> f64) -> Sum {
    Sum::of(asked.params::<Params>().images().taps() + 1, size(0).max(1.0) * size(1))
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, consts, reads, mut writes, .. } = call;
    let (x, w, images, channels) = (f32s(reads[0]), f32s(reads[1]), p.images(), p.channels as usize);
    let back = consts[0] == 1;
    let (fine, coarse) = (images.fine_pixels(), images.coarse_pixels());
    let (source, made) = if back { (coarse, fine) } else { (fine, coarse) };
    for (at, y) in f32s_mut(writes[0]).iter_mut().enumerate().take(range.len() * made * channels) {
        let (row, pixel, channel) = (at / channels / made, at / channels % made, at % channels);
        let mut sum = if back { 0.0 } else { f64::from(w[images.taps() * channels + channel]) };
        for tap in 0..images.taps() {
            let seen = if back { images.seen_by(pixel, tap) } else { images.seen(pixel, tap) };
            if let Some(seen) = seen {
                let value = x[(row * source + seen) * channels + channel];
                sum += f64::from(value) * f64::from(w[tap * channels + channel]);
            }
        }
        *y = sum as f32;
    }
}

/// Pixel by pixel, all taps of some channels at once.
fn fast(call: Call) {
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || by_channels(call),
    );
}

#[inline(always)]
fn by_channels(call: Call) {
    let p: Params = call.params();
    let Call { range, consts, reads, mut writes, .. } = call;
    let (x, w, images, channels) = (f32s(reads[0]), f32s(reads[1]), p.images(), p.channels as usize);
    let back = consts[0] == 1;
    let [high, wide] = if back { images.coarse } else { images.fine };
    let (lines, columns) = (images.lines_seen(back), images.columns_seen(back));
    let bias = (!back).then(|| &w[images.taps() * channels..][..channels]);
    let mut made = f32s_mut(writes[0]).chunks_exact_mut(channels);
    for row in 0..range.len() {
        let x = &x[row * high * wide * channels..][..high * wide * channels];
        for line in &lines {
            for (column, y) in columns.iter().zip(&mut made) {
                let mut pixel = Pixel { y, bias, x, w, line, column, kernel: images.kernel, wide };
                through_channels(channels, &mut pixel);
            }
        }
    }
}

/// A pixel that is made, and what it sees: lines and columns of taps, and of the image that is read.
struct Pixel<'a> {
    y: &'a mut [f32],
    bias: Option<&'a [f32]>,
    x: &'a [f32],
    w: &'a [f32],
    line: &'a [(usize, usize)],
    column: &'a [(usize, usize)],
    kernel: usize,
    wide: usize,
}

impl OfChannels for Pixel<'_> {
    #[inline(always)]
    fn these<const N: usize>(&mut self, first: usize) {
        let channels = self.y.len();
        let mut sums = [0.0_f32; N];
        if let Some(bias) = self.bias {
            sums.copy_from_slice(&bias[first..first + N]);
        }
        for &(tap_line, line) in self.line {
            for &(tap, column) in self.column {
                let x = &self.x[(line * self.wide + column) * channels + first..][..N];
                let w = &self.w[(tap_line * self.kernel + tap) * channels + first..][..N];
                for ((sum, x), w) in sums.iter_mut().zip(x).zip(w) {
                    *sum += x * w;
                }
            }
        }
        self.y[first..first + N].copy_from_slice(&sums);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{StepScalars, testing};
    use bytemuck::Zeroable;

    #[test]
    fn channels_do_not_meet_and_the_edge_is_zero() {
        let step = StepScalars::zeroed();
        let p = Params {
            rows: 1,
            channels: 2,
            fine_height: 1,
            fine_width: 3,
            coarse_height: 1,
            coarse_width: 3,
            kernel: 3,
            stride: 1,
            padding: 1,
        };
        let x = [1.0, 10.0, 2.0, 20.0, 3.0, 30.0];
        // Taps of the lines above and below see nothing; the middle one has (4, 5, 6) and (1, 0, 0).
        let mut w = [7.0; 20];
        w[6..12].copy_from_slice(&[4.0, 1.0, 5.0, 0.0, 6.0, 0.0]);
        w[18..].copy_from_slice(&[0.5, 0.25]);
        for function in [cpu, fast] {
            let mut y = [f32::NAN; 6];
            function(testing::call(0..1, &p, &[0], &step, &[&x, &w], vec![&mut y]));
            assert_eq!(y, [5.0 + 12.0 + 0.5, 0.25, 4.0 + 10.0 + 18.0 + 0.5, 10.25, 8.0 + 15.0 + 0.5, 20.25]);
            // Backwards the taps stand the other way round.
            let mut dx = [f32::NAN; 6];
            function(testing::call(0..1, &p, &[1], &step, &[&x, &w], vec![&mut dx]));
            assert_eq!(dx, [5.0 + 8.0, 20.0, 6.0 + 10.0 + 12.0, 30.0, 12.0 + 15.0, 0.0]);
        }
    }
}
