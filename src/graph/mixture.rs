//! Mixtures of logistics: how many there are, and where the decoder says what of them.
//!
//! The decoder puts out planes of one number for each pixel: K logits, then for each component a mean for each channel,
//! then likewise log-scales. So a convolution gives each pixel K·(1 + 2C) channels. The distribution is that of Salimans,
//! Karpathy, Chen, Kingma, "`PixelCNN`++", 2017 (arXiv 1701.05517), section 2.1, with channels that are independent given
//! the component.
//!
//! Where scales are shared the network ends with the means, and the planes of log-scales that stand beside each row hold one
//! number each: the scale of a component and a channel in all pixels of all examples, as in Kingma, Salimans, Jozefowicz,
//! Chen, Sutskever, Welling, "Improved variational inference with inverse autoregressive flow", 2016 (arXiv 1606.04934).

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
    /// Whether log-scales are no part of what the network puts out.
    pub shared_scales: bool,
}

impl Mixture {
    /// The numbers of all planes, for examples of so many values.
    pub fn outputs(self, width: usize) -> usize {
        self.components * (width / self.channels + 2 * width)
    }

    /// Those that the decoder's network puts out.
    pub fn of_network(self, width: usize) -> usize {
        self.outputs(width) - self.beside(width)
    }

    /// Those that stand beside each row, the same for all.
    pub fn beside(self, width: usize) -> usize {
        if self.shared_scales { self.components * width } else { 0 }
    }
}
