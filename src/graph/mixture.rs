//! Mixtures of logistics: how many there are, and where the decoder says what of them.
//!
//! The decoder puts out planes of one number for each pixel: K logits, then for each component a mean for each channel,
//! then likewise log-scales. So a convolution gives each pixel K·(1 + 2C) channels. The distribution is that of Salimans,
//! Karpathy, Chen, Kingma, "`PixelCNN`++", 2017 (arXiv 1701.05517), section 2.1, with channels that are independent given
//! the component.

use super::Clamp;

/// Logarithms of scales are limited to this range before exp, where levels reach from −1 to 1; the gradient outside is
/// zero. The lower end is that of the paper's code.
pub const LOG_SCALE: Clamp = Clamp { low: -7.0, high: 7.0 };

/// A mixture for each pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mixture {
    /// K, components.
    pub components: usize,
    /// C, channels of a pixel.
    pub channels: usize,
}

impl Mixture {
    /// The numbers that the decoder puts out for examples of so many values.
    pub fn outputs(self, width: usize) -> usize {
        self.components * (width / self.channels + 2 * width)
    }
}
