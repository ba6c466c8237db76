//! How the pixels of two images belong together: what a convolution is, apart from its parameters.

/// A map between a fine and a coarse image, with their channels side by side in each pixel: pixel q of the coarse image
/// sees the pixels q·stride + tap − padding of the fine one. A convolution makes the coarse image of the fine one, a
/// transposed convolution the fine one of the coarse one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvGeometry {
    /// Height and width of the fine image.
    pub fine: [usize; 2],
    /// Height and width of the coarse image.
    pub coarse: [usize; 2],
    /// Taps along each side.
    pub kernel: usize,
    /// Pixels of the fine image from one pixel of the coarse one to the next.
    pub stride: usize,
    /// By how many pixels the first taps lie outside the fine image.
    pub padding: usize,
    /// Whether the fine image is made of the coarse one.
    pub up: bool,
}

impl ConvGeometry {
    /// A convolution of an image of this size; none where the kernel does not fit, or there is none, or no step.
    pub fn down(fine: [usize; 2], kernel: usize, stride: usize, padding: usize) -> Option<Self> {
        let side = |side: usize| {
            let whole = side.checked_add(padding.checked_mul(2)?)?;
            Some(whole.checked_sub(kernel).filter(|_| side > 0 && kernel > 0)?.checked_div(stride)? + 1)
        };
        let coarse = [side(fine[0])?, side(fine[1])?];
        Some(Self { fine, coarse, kernel, stride, padding, up: false })
    }

    /// A transposed convolution of an image of this size, as `PyTorch`'s `ConvTranspose2d`: `more` pixels are added to the
    /// right and below. None where nothing would be left, or there is no image, no kernel or no step.
    pub fn up(coarse: [usize; 2], kernel: usize, stride: usize, padding: usize, more: usize) -> Option<Self> {
        let side = |side: usize| {
            let steps = side.checked_sub(1).filter(|_| stride > 0 && kernel > 0)?.checked_mul(stride)?;
            let whole = steps.checked_add(kernel)?.checked_add(more)?;
            whole.checked_sub(padding.checked_mul(2)?).filter(|&side| side > 0)
        };
        let fine = [side(coarse[0])?, side(coarse[1])?];
        Some(Self { fine, coarse, kernel, stride, padding, up: true })
    }

    /// Pixels that a transposed convolution adds to the right and below, in height and width: the `more` of [`Self::up`].
    pub fn more(&self) -> [usize; 2] {
        [0, 1].map(|side| self.fine[side] + 2 * self.padding - (self.coarse[side] - 1) * self.stride - self.kernel)
    }

    /// Taps.
    pub fn taps(&self) -> usize {
        self.kernel * self.kernel
    }

    /// Whether each pixel sees itself alone, so that the map is a matrix product of all pixels.
    pub fn is_pointwise(&self) -> bool {
        (self.kernel, self.stride, self.padding) == (1, 1, 0)
    }

    /// Height and width of the image that is read.
    pub fn source(&self) -> [usize; 2] {
        if self.up { self.coarse } else { self.fine }
    }

    /// Height and width of the image that is made.
    pub fn made(&self) -> [usize; 2] {
        if self.up { self.fine } else { self.coarse }
    }
}

/// Pixels of an image.
pub fn pixels([height, width]: [usize; 2]) -> usize {
    height * width
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes that PyTorch's `Conv2d` and `ConvTranspose2d` give.
    #[test]
    fn sizes_are_those_of_pytorch() {
        for (side, kernel, stride, padding, expected) in [
            (28, 4, 2, 1, Some(14)),
            (7, 3, 2, 1, Some(4)),
            (8, 3, 2, 0, Some(3)),
            (5, 3, 1, 1, Some(5)),
            (2, 5, 1, 1, None),
            (8, 3, 0, 1, None),
            (8, 0, 1, 0, None),
            (0, 1, 1, 1, None),
            (8, 3, 1, usize::MAX, None),
        ] {
            let found = ConvGeometry::down([side, 28], kernel, stride, padding).map(|window| window.made()[0]);
            assert_eq!(found, expected, "{side}, kernel {kernel}, stride {stride}, padding {padding}");
        }
        for (side, kernel, stride, padding, more, expected) in [
            (7, 4, 2, 1, 0, Some(14)),
            (7, 3, 2, 1, 1, Some(14)),
            (4, 3, 2, 1, 0, Some(7)),
            (1, 7, 1, 0, 0, Some(7)),
            (1, 2, 1, 1, 0, None),
            (7, 4, 0, 1, 0, None),
            (7, 0, 2, 0, 3, None),
            (0, 4, 2, 1, 0, None),
            (7, 4, usize::MAX, 1, 0, None),
        ] {
            let found = ConvGeometry::up([side, 28], kernel, stride, padding, more);
            let what = format!("{side}, kernel {kernel}, stride {stride}, padding {padding}, {more} more");
            assert_eq!(found.map(|window| window.made()[0]), expected, "{what}");
            assert!(found.is_none_or(|window| window.more() == [more; 2]), "{what}");
        }
    }
}
