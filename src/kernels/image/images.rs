//! What the kernels of convolutions share: which pixels of two images belong together.
//!
//! Images lie with their channels side by side in each pixel, [height, width, channels], and one after the other.

use std::ops::Range;

/// A fine and a coarse image: pixel q of the coarse one sees the pixels q·stride + tap − padding of the fine one, for
/// `kernel`×`kernel` taps. A convolution makes the coarse image of the fine one, a transposed convolution the other way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Images {
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
}

/// What is done for some channels of a pixel at once, which stay in registers.
pub trait OfChannels {
    /// For `N` channels from `first` on.
    fn these<const N: usize>(&mut self, first: usize);
}

/// Goes through all channels, as many at once as there are.
#[inline(always)]
pub fn through_channels(channels: usize, work: &mut impl OfChannels) {
    let mut first = 0;
    while first < channels {
        first += match channels - first {
            64.. => at_once::<64>(work, first),
            32.. => at_once::<32>(work, first),
            8.. => at_once::<8>(work, first),
            _ => at_once::<1>(work, first),
        };
    }
}

#[inline(always)]
fn at_once<const N: usize>(work: &mut impl OfChannels, first: usize) -> usize {
    work.these::<N>(first);
    N
}

/// How the pixels of the image that is made look into the other one once it has a frame of zeros: none of what they see lies outside.
#[derive(Debug)]
pub struct Windows {
    /// Height and width of the image with its frame.
    framed: [usize; 2],
    /// Height and width of the frame at its beginning.
    before: [usize; 2],
    /// Height and width of the image.
    within: [usize; 2],
    /// The pixels that are made, by the taps through which they see anything.
    pub phases: Vec<Phase>,
}

/// Pixels that see through the same taps.
#[derive(Debug)]
pub struct Phase {
    /// The pixels that are made.
    pub pixels: Vec<usize>,
    /// Of each of them, the first pixel of its window.
    pub windows: Vec<usize>,
    /// The taps, in the order of what is seen through them.
    pub taps: Vec<usize>,
    /// For each tap, how far behind the first pixel of the window lies what is seen through it.
    pub seen: Vec<usize>,
}

/// The same along one side: the places that are made, the first that each of them sees counted from the image's own first, and the taps.
struct Along {
    made: Vec<usize>,
    first: Vec<isize>,
    taps: Vec<usize>,
}

impl Windows {
    /// Numbers of an image with its frame.
    pub fn numbers(&self, channels: usize) -> usize {
        self.framed[0] * self.framed[1] * channels
    }

    /// Pairs of a pixel and a tap through which it looks, in an image.
    pub fn products(&self) -> usize {
        self.phases.iter().map(|phase| phase.pixels.len() * phase.taps.len()).sum()
    }

    /// Copies images into their frames, of which the zeros are there.
    pub fn fill(&self, images: &[f32], channels: usize, framed: &mut [f32]) {
        let line = self.framed[1] * channels;
        let [height, width] = [0, 1].map(|side| self.within[side].min(self.framed[side] - self.before[side]));
        let of_image = self.within[0] * self.within[1] * channels;
        for (from, to) in images.chunks_exact(of_image).zip(framed.chunks_exact_mut(self.numbers(channels))) {
            let lines = from.chunks_exact(self.within[1] * channels).zip(to[self.before[0] * line..].chunks_mut(line));
            for (from, to) in lines.take(height) {
                to[self.before[1] * channels..][..width * channels].copy_from_slice(&from[..width * channels]);
            }
        }
    }
}

/// Of each place along a side of an image what it sees: the place of the tap, and that of the other image.
pub type Seen = Vec<Vec<(usize, usize)>>;

impl Images {
    /// From the fields of a kernel's `Params`: height and width of both; kernel, stride and padding.
    pub fn new(fine: [u32; 2], coarse: [u32; 2], extents: [u32; 3]) -> Self {
        let ([fine, coarse], [kernel, stride, padding]) =
            ([fine, coarse].map(|side| side.map(|n| n as usize)), extents.map(|n| n as usize));
        Self { fine, coarse, kernel, stride, padding }
    }

    /// Multiplications of the product that a convolution of so many rows and channels stands for, or its gradient, those
    /// with zeros outside the images included.
    pub fn products(&self, rows: u32, channels: [u32; 2]) -> f64 {
        let [rows, a, b] = [rows, channels[0], channels[1]].map(f64::from);
        rows * (self.coarse_pixels() * self.taps()) as f64 * a * b
    }

    /// The same pairs of pixels with the two images in each other's place, where pixels lie equally close in both: what is seen
    /// through a tap is seen through the tap that is as far from the other end.
    pub fn mirrored(&self) -> Option<Self> {
        let padding = self.kernel.checked_sub(1 + self.padding).filter(|_| self.stride == 1)?;
        Some(Self { fine: self.coarse, coarse: self.fine, padding, ..*self })
    }

    /// Taps.
    pub fn taps(&self) -> usize {
        self.kernel * self.kernel
    }

    /// Pixels of the fine image.
    pub fn fine_pixels(&self) -> usize {
        self.fine[0] * self.fine[1]
    }

    /// Pixels of the coarse image.
    pub fn coarse_pixels(&self) -> usize {
        self.coarse[0] * self.coarse[1]
    }

    /// The pixel of the fine image that a pixel of the coarse one sees through a tap, unless it lies outside.
    pub fn seen(&self, coarse: usize, tap: usize) -> Option<usize> {
        let [y, x] = [(coarse / self.coarse[1], tap / self.kernel), (coarse % self.coarse[1], tap % self.kernel)]
            .map(|(place, tap)| (place * self.stride + tap).checked_sub(self.padding));
        let (y, x) = (y.filter(|&y| y < self.fine[0])?, x.filter(|&x| x < self.fine[1])?);
        Some(y * self.fine[1] + x)
    }

    /// The pixel of the coarse image that sees a pixel of the fine one through a tap, if there is one.
    pub fn seen_by(&self, fine: usize, tap: usize) -> Option<usize> {
        let [y, x] = [(fine / self.fine[1], tap / self.kernel), (fine % self.fine[1], tap % self.kernel)]
            .map(|(place, tap)| (place + self.padding).checked_sub(tap).filter(|at| at.is_multiple_of(self.stride)));
        let (y, x) = (y? / self.stride, x? / self.stride);
        (y < self.coarse[0] && x < self.coarse[1]).then_some(y * self.coarse[1] + x)
    }

    /// Of each line of the image that is made the lines of the other one that it sees, with the line of the tap: of the coarse image,
    /// or `back` of the fine one those that see it. Pixels are seen by their line and by their column, each through a line and a column
    /// of taps.
    pub fn lines_seen(&self, back: bool) -> Seen {
        self.seen_along(0, back)
    }

    /// The same of columns.
    pub fn columns_seen(&self, back: bool) -> Seen {
        self.seen_along(1, back)
    }

    fn seen_along(&self, side: usize, back: bool) -> Seen {
        let down = |at: usize, tap: usize| {
            let seen = (at * self.stride + tap).checked_sub(self.padding).filter(|&seen| seen < self.fine[side]);
            seen.map(|seen| (tap, seen))
        };
        let up = |at: usize, tap: usize| {
            let apart = (at + self.padding).checked_sub(tap).filter(|apart| apart.is_multiple_of(self.stride))?;
            Some((tap, apart / self.stride)).filter(|&(_, seen)| seen < self.coarse[side])
        };
        let made = if back { self.fine[side] } else { self.coarse[side] };
        let of = |at: usize| {
            let taps = 0..self.kernel;
            if back {
                taps.filter_map(|tap| up(at, tap)).collect()
            } else {
                taps.filter_map(|tap| down(at, tap)).collect()
            }
        };
        (0..made).map(of).collect()
    }

    /// How pixels of the coarse image look into the fine one, or `back` those of the fine one into the coarse one.
    pub fn windows(&self, back: bool) -> Windows {
        let along = [0, 1].map(|side| self.along(side, back));
        let within = if back { self.coarse } else { self.fine };
        let wide = if back { self.fine[1] } else { self.coarse[1] };
        let all =
            |side: usize| along[side].iter().flat_map(|along| along.first.iter().map(move |first| (first, along)));
        let before = [0, 1].map(|side| all(side).map(|(first, _)| (-first).max(0) as usize).max().unwrap_or(0));
        let framed = [0, 1].map(|side| {
            let ends = all(side).map(|(first, along)| first + along.taps.len() as isize + before[side] as isize);
            // A frame holds its beginning, whatever is seen.
            ends.max().unwrap_or(0).max(before[side] as isize + 1) as usize
        });
        let place = |side: usize, first: isize| (first + before[side] as isize) as usize;
        let mut phases = Vec::new();
        for (y, x) in along[0].iter().flat_map(|y| along[1].iter().map(move |x| (y, x))) {
            let pairs = |ys: &[usize], xs: &[usize], line: usize| -> Vec<usize> {
                ys.iter().flat_map(|y| xs.iter().map(move |x| y * line + x)).collect()
            };
            let places = |along: &Along, side: usize| -> Vec<usize> {
                along.first.iter().map(|&first| place(side, first)).collect()
            };
            let [taps_y, taps_x]: [Vec<usize>; 2] = [y, x].map(|along| (0..along.taps.len()).collect());
            phases.push(Phase {
                pixels: pairs(&y.made, &x.made, wide),
                windows: pairs(&places(y, 0), &places(x, 1), framed[1]),
                taps: pairs(&y.taps, &x.taps, self.kernel),
                seen: pairs(&taps_y, &taps_x, framed[1]),
            });
        }
        Windows { framed, before, within, phases }
    }

    /// Going down, all places see through all taps; going back those that are a stride apart see through the same, the last first.
    fn along(&self, side: usize, back: bool) -> Vec<Along> {
        if !back {
            let made: Vec<usize> = (0..self.coarse[side]).collect();
            let first = made.iter().map(|at| (at * self.stride) as isize - self.padding as isize).collect();
            return vec![Along { made, first, taps: (0..self.kernel).collect() }];
        }
        let phase = |at: usize| {
            let made: Vec<usize> = (at..self.fine[side]).step_by(self.stride).collect();
            let taps: Vec<usize> =
                ((at + self.padding) % self.stride..self.kernel).step_by(self.stride).rev().collect();
            let last = taps.first().copied().unwrap_or(0) as isize;
            let first =
                made.iter().map(|made| ((made + self.padding) as isize - last).div_euclid(self.stride as isize));
            Along { first: first.collect(), made, taps }
        };
        (0..self.stride.min(self.fine[side])).map(phase).collect()
    }

    /// Adds what coarse `pixels`, counted over all images, give to the fine ones: of each, a row of taps·`channels`
    /// numbers. Pixels come in order, so that every sum has one.
    #[inline(always)]
    pub fn add_to_seen(&self, rows: &[f32], channels: usize, pixels: Range<usize>, fine: &mut [f32]) {
        let (line, of_tap_row) = (self.fine[1] * channels, self.kernel * channels);
        for (pixel, row) in pixels.zip(rows.chunks_exact(self.kernel * of_tap_row)) {
            let (image, place) = (pixel / self.coarse_pixels(), pixel % self.coarse_pixels());
            let (y, x) = (place / self.coarse[1], place % self.coarse[1]);
            let begin = x as isize * (self.stride * channels) as isize - (self.padding * channels) as isize;
            let outside_before = (-begin).clamp(0, of_tap_row as isize) as usize;
            let end = (line as isize - begin).clamp(outside_before as isize, of_tap_row as isize) as usize;
            for (tap_y, given) in row.chunks_exact(of_tap_row).enumerate() {
                let fine_y = (y * self.stride + tap_y).checked_sub(self.padding).filter(|&y| y < self.fine[0]);
                if let (Some(fine_y), true) = (fine_y, outside_before < end) {
                    let from = ((image * self.fine[0] + fine_y) * line) as isize + begin + outside_before as isize;
                    let taken = &mut fine[from as usize..][..end - outside_before];
                    for (taken, given) in taken.iter_mut().zip(&given[outside_before..end]) {
                        *taken += given;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Images; 5] = [
        Images { fine: [5, 4], coarse: [3, 2], kernel: 3, stride: 2, padding: 1 },
        Images { fine: [6, 6], coarse: [3, 3], kernel: 2, stride: 2, padding: 0 },
        Images { fine: [3, 4], coarse: [3, 4], kernel: 3, stride: 1, padding: 1 },
        Images { fine: [4, 3], coarse: [3, 2], kernel: 2, stride: 1, padding: 0 },
        // Taps further out than the image is wide, and pixels that nobody sees.
        Images { fine: [2, 7], coarse: [2, 3], kernel: 2, stride: 3, padding: 1 },
    ];

    #[test]
    fn what_is_seen_is_seen_by() {
        for images in ALL {
            for tap in 0..images.taps() {
                let pairs = |of: &dyn Fn(usize) -> Option<(usize, usize)>, count: usize| {
                    let mut pairs: Vec<_> = (0..count).filter_map(of).collect();
                    pairs.sort_unstable();
                    pairs
                };
                let find = |seen: &Seen, at: usize, tap: usize| {
                    seen[at].iter().find(|(through, _)| *through == tap).map(|&(_, seen)| seen)
                };
                let sides = |back: bool, [made, source]: [usize; 2], at: usize| {
                    let line = find(&images.lines_seen(back), at / made, tap / images.kernel)?;
                    Some(line * source + find(&images.columns_seen(back), at % made, tap % images.kernel)?)
                };
                let wide = [images.coarse[1], images.fine[1]];
                let by_sides = |q: usize| Some((q, sides(false, wide, q)?));
                let back_by_sides = |f: usize| Some((sides(true, [wide[1], wide[0]], f)?, f));
                let seen = pairs(&|q| Some((q, images.seen(q, tap)?)), images.coarse_pixels());
                assert_eq!(seen, pairs(&by_sides, images.coarse_pixels()), "{images:?}, tap {tap}");
                assert_eq!(seen, pairs(&back_by_sides, images.fine_pixels()), "{images:?}, tap {tap}");
                let seen_by = pairs(&|f| Some((images.seen_by(f, tap)?, f)), images.fine_pixels());
                assert_eq!(seen, seen_by, "{images:?}, tap {tap}");
            }
        }
    }

    #[test]
    fn mirrored_images_have_the_same_pairs() {
        let found: Vec<_> = ALL.iter().filter_map(|images| Some((images, images.mirrored()?))).collect();
        assert_eq!(found.len(), 2);
        for (images, mirrored) in found {
            for (tap, pixel) in (0..images.taps()).flat_map(|tap| (0..images.coarse_pixels()).map(move |q| (tap, q))) {
                let other = images.taps() - 1 - tap;
                assert_eq!(images.seen(pixel, tap), mirrored.seen_by(pixel, other), "{images:?}, {pixel}, {tap}");
            }
        }
    }

    #[test]
    fn windows_hold_what_is_seen_and_zeros_outside() {
        for (images, back) in ALL.into_iter().flat_map(|images| [(images, false), (images, true)]) {
            let channels = 2;
            let pixels = [images.coarse_pixels(), images.fine_pixels()];
            let (made, within) = (pixels[usize::from(back)], pixels[usize::from(!back)]);
            let values: Vec<f32> = (1..=2 * within * channels).map(|i| i as f32).collect();
            let windows = images.windows(back);
            let numbers = windows.numbers(channels);
            let mut framed = vec![0.0; 2 * numbers];
            windows.fill(&values, channels, &mut framed);
            let mut found = vec![vec![]; made];
            for phase in &windows.phases {
                for (&pixel, window) in phase.pixels.iter().zip(&phase.windows) {
                    found[pixel].push(phase.taps.clone());
                    for (&tap, seen) in phase.taps.iter().zip(&phase.seen) {
                        let other = if back { images.seen_by(pixel, tap) } else { images.seen(pixel, tap) };
                        for at in 0..2 * channels {
                            let (image, channel) = (at / channels, at % channels);
                            let expected =
                                other.map_or(0.0, |other| values[(image * within + other) * channels + channel]);
                            let place = image * numbers + (window + seen) * channels + channel;
                            assert_eq!(framed[place], expected, "{images:?}, back {back}, {pixel}, {tap}");
                        }
                    }
                }
            }
            // Every pixel is made once, and taps that are left out show it nothing.
            for (pixel, phases) in found.iter().enumerate() {
                assert_eq!(phases.len(), 1, "{images:?}, back {back}, {pixel}");
                let seen = |&tap: &usize| if back { images.seen_by(pixel, tap) } else { images.seen(pixel, tap) };
                for tap in (0..images.taps()).filter(|tap| !phases[0].contains(tap)) {
                    assert_eq!(seen(&tap), None, "{images:?}, back {back}, {pixel}, {tap}");
                }
            }
        }
    }

    #[test]
    fn what_is_added_lands_where_it_is_seen() {
        for images in ALL {
            let channels = 3;
            let pixels = 0..2 * images.coarse_pixels();
            let rows: Vec<f32> = (0..pixels.len() * images.taps() * channels).map(|i| (i % 17) as f32).collect();
            let mut fine = vec![1.0; 2 * images.fine_pixels() * channels];
            images.add_to_seen(&rows, channels, pixels.clone(), &mut fine);
            for (at, found) in fine.iter().enumerate() {
                let (pixel, channel) = (at / channels, at % channels);
                let (image, place) = (pixel / images.fine_pixels(), pixel % images.fine_pixels());
                let given = |tap| {
                    let coarse = image * images.coarse_pixels() + images.seen_by(place, tap)?;
                    Some(rows[(coarse * images.taps() + tap) * channels + channel])
                };
                let expected = 1.0 + (0..images.taps()).filter_map(given).sum::<f32>();
                assert_eq!(*found, expected, "{images:?}, {at}");
            }
        }
    }
}
