//! What the kernels of group normalisation share: where the numbers of a group lie.
//!
//! Images lie with their channels side by side in each pixel. A group is some neighbouring channels of all pixels of a row.

/// The extents of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Pixels.
    pub pixels: usize,
    /// Channels of a pixel.
    pub channels: usize,
    /// Groups of channels.
    pub groups: usize,
}

impl Row {
    /// From the fields of a kernel's `Params`.
    pub fn new(pixels: u32, channels: u32, groups: u32) -> Self {
        let [pixels, channels, groups] = [pixels, channels, groups].map(|n| n as usize);
        Self { pixels, channels, groups }
    }

    /// Numbers of a row.
    pub fn width(&self) -> usize {
        self.pixels * self.channels
    }

    /// Channels of a group.
    pub fn size(&self) -> usize {
        self.channels / self.groups
    }

    /// Whether a row is one group of numbers that are no image, as layer normalisation has them.
    pub fn is_plain(&self) -> bool {
        self.pixels == 1 && self.groups == 1
    }

    /// Numbers of a group.
    pub fn count(&self) -> usize {
        self.pixels * self.size()
    }

    /// The group of a place of a row.
    pub fn group(&self, at: usize) -> usize {
        at % self.channels / self.size()
    }

    /// The places of a group in a row.
    pub fn places(self, group: usize) -> impl Iterator<Item = usize> + Clone {
        let of_pixel = move |pixel| (0..self.size()).map(move |c| pixel * self.channels + group * self.size() + c);
        (0..self.pixels).flat_map(of_pixel)
    }

    /// Of each channel, the number that its group has.
    pub fn spread(&self, of_groups: impl Fn(usize) -> f32, channels: &mut [f32]) {
        for (group, channels) in channels.chunks_exact_mut(self.size()).enumerate() {
            channels.fill(of_groups(group));
        }
    }

    /// For each channel, the sum over the pixels of `term` of the pixel's place and the channel: in single precision for
    /// some pixels, and these sums in double precision, so that it is fast and loses little.
    #[inline(always)]
    pub fn sums(&self, of_channels: &mut [f64], part: &mut [f32], term: impl Fn(usize, usize) -> f32) {
        of_channels.fill(0.0);
        for first in (0..self.pixels).step_by(PART) {
            part.fill(0.0);
            for pixel in first..self.pixels.min(first + PART) {
                let at = pixel * self.channels;
                for (channel, sum) in part.iter_mut().enumerate() {
                    *sum += term(at + channel, channel);
                }
            }
            for (sum, &part) in of_channels.iter_mut().zip(&*part) {
                *sum += f64::from(part);
            }
        }
    }

    /// For each group, the mean of its numbers out of the sums of its channels.
    pub fn means(&self, of_channels: &[f64], of_groups: &mut [f32]) {
        for (mean, sums) in of_groups.iter_mut().zip(of_channels.chunks_exact(self.size())) {
            *mean = (sums.iter().sum::<f64>() / self.count() as f64) as f32;
        }
    }
}

/// Pixels whose sum is taken in single precision.
const PART: usize = 64;
