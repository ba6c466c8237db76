//! `y = factor · Σ x` over the pixels that each pixel sees of the other image, [R, pixels, channels] both ways: means of
//! neighbouring pixels, and with `UP`, where the image that is made is the fine one of [`Images`], pixels that are repeated.
//! Each is the other's gradient.

use crate::kernels::images::Images;
use crate::kernels::{Call, Kernel, f32s, f32s_mut, read, write};
use std::ops::Range;

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
        /// Pixels of the fine image along each side that a pixel of the coarse one sees.
        pub kernel: u32,
        /// Pixels of the fine image from one pixel of the coarse one to the next.
        pub stride: u32,
        /// What every sum is multiplied by.
        pub factor: f32,
    }
}

/// The kernel; its outer axis are the rows.
pub static KERNEL: Kernel = Kernel {
    name: "pool",
    wgsl: include_str!("../../../shaders/image/pool.wgsl"),
    bindings: &[read("x"), write("y")],
    params: FIELDS,
    entry: &[],
    consts: &["UP"],
    workgroup: [256, 1, 1],
    cpu,
    fast: Some(fast),
    sums: crate::kernels::short,
    loop_iterations: crate::kernels::few_iterations,
    family: crate::kernels::Family::Alone,
};

impl Params {
    /// The two images.
    pub fn images(&self) -> Images {
        let (fine, coarse) = ([self.fine_height, self.fine_width], [self.coarse_height, self.coarse_width]);
        Images::new(fine, coarse, [self.kernel, self.stride, 0])
    }
}

/// The grid of a dispatch.
pub fn grid(p: &Params, consts: &[u32]) -> [u32; 3] {
    let pixels = if consts[0] == 1 { p.images().fine_pixels() } else { p.images().coarse_pixels() };
    crate::kernels::grid((p.rows as usize * pixels * p.channels as usize).div_ceil(256))
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, consts, reads, mut writes, .. } = call;
    let (x, images, channels, up) = (f32s(reads[0]), p.images(), p.channels as usize, consts[0] == 1);
    let (fine, coarse) = (images.fine_pixels(), images.coarse_pixels());
    let (source, made) = if up { (coarse, fine) } else { (fine, coarse) };
    for (at, y) in f32s_mut(writes[0]).iter_mut().enumerate().take(range.len() * made * channels) {
        let (row, pixel, channel) = (at / channels / made, at / channels % made, at % channels);
        let seen = |tap| if up { images.seen_by(pixel, tap) } else { images.seen(pixel, tap) };
        let value = |seen: usize| f64::from(x[(row * source + seen) * channels + channel]);
        *y = (f64::from(p.factor) * (0..images.taps()).filter_map(seen).map(value).sum::<f64>()) as f32;
    }
}

/// All channels of a pixel at once.
fn fast(call: Call) {
    let p: Params = call.params();
    let Call { range, consts, reads, mut writes, .. } = call;
    let (x, images, channels, up) = (f32s(reads[0]), p.images(), p.channels as usize, consts[0] == 1);
    let (source, made) = if up { (images.coarse, images.fine) } else { (images.fine, images.coarse) };
    let seen = |at: usize, side: usize| seen(&images, up, at, side);
    let mut pixels = f32s_mut(writes[0]).chunks_exact_mut(channels);
    for row in 0..range.len() {
        for (pixel, y) in pixels.by_ref().take(made[0] * made[1]).enumerate() {
            y.fill(0.0);
            for line in seen(pixel / made[1], 0) {
                for column in seen(pixel % made[1], 1) {
                    let from = ((row * source[0] + line) * source[1] + column) * channels;
                    for (y, x) in y.iter_mut().zip(&x[from..from + channels]) {
                        *y += x;
                    }
                }
            }
            for y in y {
                *y *= p.factor;
            }
        }
    }
}

/// The places along a side of the image that is read that a place of the other one sees.
fn seen(images: &Images, up: bool, at: usize, side: usize) -> Range<usize> {
    let (kernel, stride) = (images.kernel, images.stride);
    if up {
        (at + 1).saturating_sub(kernel).div_ceil(stride)..(at / stride + 1).min(images.coarse[side])
    } else {
        at * stride..at * stride + kernel
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{StepScalars, testing};
    use bytemuck::Zeroable;

    #[test]
    fn windows_become_means_and_pixels_are_repeated() {
        let step = StepScalars::zeroed();
        // The last column of the fine image is seen by nobody.
        let p = Params {
            rows: 1,
            channels: 2,
            fine_height: 2,
            fine_width: 5,
            coarse_height: 1,
            coarse_width: 2,
            kernel: 2,
            stride: 2,
            factor: 0.25,
        };
        let fine: Vec<f32> = (0..10).flat_map(|pixel| [pixel as f32, 100.0 * pixel as f32]).collect();
        for function in [cpu, fast] {
            let mut means = [f32::NAN; 4];
            function(testing::call(0..1, &p, &[0], &step, &[&fine], vec![&mut means]));
            assert_eq!(means, [3.0, 300.0, 5.0, 500.0]);
            let mut again = [f32::NAN; 20];
            let p = Params { factor: 1.0, ..p };
            function(testing::call(0..1, &p, &[1], &step, &[&means], vec![&mut again]));
            let line = [3.0, 300.0, 3.0, 300.0, 5.0, 500.0, 5.0, 500.0, 0.0, 0.0];
            assert_eq!(again, [line, line].concat()[..]);
        }
    }
}
