//! The built-in data set: handwritten-looking digits that the program draws itself, so that a first run needs no file.
//!
//! A digit is a few strokes through control points ([`shapes`]). Each example writes it with a hand of its own: points
//! wobble, the whole is warped, stretched, slanted and turned, and the pen has a width, a pressure and a brightness.
//! As in MNIST the result fits a box of about 20 × 20 pixels, is centred on its ink and is light on black.
//!
//! Only sums, products, quotients and square roots are used, which IEEE 754 rounds alike everywhere, so that every
//! machine draws the same bytes.

mod shapes;
#[cfg(test)]
mod tests;

use rayon::prelude::*;

use super::{Dataset, Format, Values};
use crate::error::{Error, Result};
use crate::rng::{Philox, Stream};

/// Width and height of a glyph in pixels.
pub const SIDE: usize = 28;
/// Digits that are drawn.
pub const CLASSES: usize = shapes::DIGITS.len();
/// The seed of the data set, apart from that of training: all runs see the same digits.
pub const SEED: u64 = 20;

const PIXELS: usize = SIDE * SIDE;
/// More would not fit the memory of most machines (784 bytes each).
const MAX_EXAMPLES: usize = 10_000_000;
/// Straight pieces that replace the curve between two control points.
const PIECES: usize = 6;
/// The longer side of the ink in pixels, of which the width of the pen is a part.
const BOX: f32 = 20.0;
/// The edge of a stroke fades over this many pixels.
const SOFTNESS: f32 = 1.5;

type Point = [f32; 2];

/// The data set `glyphs`: `examples` digits, of which the last sixth is the test part.
///
/// # Errors
/// [`Error::Usage`] for no or too many examples, or where validation would leave nothing to train on.
pub fn dataset(examples: usize, validation: usize) -> Result<Dataset> {
    if !(1..=MAX_EXAMPLES).contains(&examples) {
        return Err(Error::Usage(format!("data.examples = {examples}: glyphs draws 1 to {MAX_EXAMPLES} examples")));
    }
    let (pixels, labels) = draw(SEED, examples);
    let data = Dataset::new("glyphs", [1, SIDE, SIDE], Values::U8(pixels), Some(labels), examples / 6, validation)?;
    Ok(Dataset { format: Format::Glyphs, ..data })
}

/// Draws digits: pixels (examples × 28 × 28, light on black) and the digit that each shows.
///
/// Example i depends on `seed` and i alone, so the first n of m examples are the n examples.
pub fn draw(seed: u64, examples: usize) -> (Vec<u8>, Vec<u32>) {
    let mut pixels = vec![0; examples * PIXELS];
    let glyphs = pixels.par_chunks_exact_mut(PIXELS).enumerate();
    let labels = glyphs.map(|(index, glyph)| draw_one(seed, index as u32, glyph)).collect();
    (pixels, labels)
}

/// Draws one digit into its 784 pixels and returns which one it is.
fn draw_one(seed: u64, index: u32, pixels: &mut [u8]) -> u32 {
    let mut rng = Philox::new(seed, Stream::Glyphs, index, 0);
    let digit = below(&mut rng, shapes::DIGITS.len());
    let variants = shapes::DIGITS[digit];
    let shape = variants[below(&mut rng, variants.len())];
    let hand = Hand::new(&mut rng);
    let mut strokes: Vec<Vec<Point>> = shape.iter().map(|stroke| curve(&wobble(stroke, &hand, &mut rng))).collect();
    for point in strokes.iter_mut().flatten() {
        *point = hand.pose(*point);
    }
    fit(&mut strokes, &hand);
    ink(&strokes, &hand, pixels);
    digit as u32
}

/// How one example is written. Lengths are in units of the digit's height, the pen's in pixels.
struct Hand {
    /// How far control points are off, as a standard deviation.
    wobble: f32,
    /// Bends of the whole: coefficients of y² and xy in x, of x² and xy in y.
    warp: [f32; 4],
    /// Width over height, relative to the shape.
    stretch: f32,
    /// How far the top leans to the right.
    slant: f32,
    /// The tangent of half the angle of rotation: cosine and sine follow from it without a series.
    turn: f32,
    /// The size relative to the usual one.
    size: f32,
    /// The shift off the centre.
    shift: Point,
    /// Half the width of the pen in pixels.
    radius: f32,
    /// The relative change of the radius from the start of a stroke to its end.
    pressure: f32,
    /// The value of full ink, from 0 to 1.
    brightness: f32,
}

impl Hand {
    fn new(rng: &mut Philox) -> Self {
        Self {
            wobble: 0.010 + 0.028 * rng.uniform(),
            warp: std::array::from_fn(|_| 0.22 * spread(rng)),
            stretch: 1.0 + 0.15 * spread(rng),
            slant: 0.14 + 0.18 * spread(rng),
            turn: 0.045 * spread(rng),
            size: 0.97 + 0.04 * spread(rng),
            shift: std::array::from_fn(|_| 0.5 * spread(rng)),
            radius: (1.15 + 0.36 * spread(rng)).clamp(0.55, 2.3),
            pressure: 0.18 * spread(rng),
            brightness: 1.0 - 0.12 * rng.uniform(),
        }
    }

    /// Warps, stretches, slants and turns a point of the unit square; the result is relative to its centre.
    fn pose(&self, [x, y]: Point) -> Point {
        let (x, y) = (x - 0.5, y - 0.5);
        let [yy, xy_x, xx, xy_y] = self.warp;
        let (x, y) = (x + yy * y * y + xy_x * x * y, y + xx * x * x + xy_y * x * y);
        let x = self.stretch * x - self.slant * y;
        let (cos, sin) = (1.0 - self.turn * self.turn, 2.0 * self.turn);
        let norm = 1.0 / (1.0 + self.turn * self.turn);
        [(cos * x - sin * y) * norm, (sin * x + cos * y) * norm]
    }
}

/// The control points of a stroke as this hand hits them. A point that is given twice, a corner, stays one point.
fn wobble(stroke: &[Point], hand: &Hand, rng: &mut Philox) -> Vec<Point> {
    let mut hit: Vec<Point> = Vec::with_capacity(stroke.len());
    for (i, &[x, y]) in stroke.iter().enumerate() {
        if i > 0 && stroke[i - 1] == [x, y] {
            hit.push(hit[i - 1]);
        } else {
            hit.push([x + hand.wobble * spread(rng), y + hand.wobble * spread(rng)]);
        }
    }
    hit
}

/// The Catmull–Rom spline through the points, as a chain of straight pieces (Catmull and Rom 1974).
///
/// A point that follows itself becomes a corner: both neighbouring spans then end there as at the end of a stroke.
fn curve(points: &[Point]) -> Vec<Point> {
    let at = |i: usize| points[i.clamp(1, points.len()) - 1];
    let mut chain = vec![points[0]];
    for i in 1..points.len() {
        let (a, b, c, d) = (at(i - 1), at(i), at(i + 1), at(i + 2));
        if b == c {
            continue;
        }
        chain.extend((1..=PIECES).map(|piece| {
            let t = piece as f32 / PIECES as f32;
            std::array::from_fn(|k| {
                let (a, b, c, d) = (a[k], b[k], c[k], d[k]);
                let (linear, square, cube) = (c - a, 2.0 * a - 5.0 * b + 4.0 * c - d, 3.0 * (b - c) + d - a);
                b + 0.5 * t * (linear + t * (square + t * cube))
            })
        }));
    }
    chain
}

/// Brings the strokes to pixels: the longer side of the ink to the size of the hand, its centre of mass to the centre
/// of the picture, as far as a border of one pixel stays free.
fn fit(strokes: &mut [Vec<Point>], hand: &Hand) {
    let (mut low, mut high) = ([f32::INFINITY; 2], [f32::NEG_INFINITY; 2]);
    let (mut moment, mut length) = ([0.0; 2], 0.0);
    for stroke in strokes.iter() {
        for piece in stroke.windows(2) {
            let (from, to) = (piece[0], piece[1]);
            let (x, y) = (to[0] - from[0], to[1] - from[1]);
            let part = (x * x + y * y).sqrt();
            length += part;
            for k in 0..2 {
                moment[k] += part * 0.5 * (from[k] + to[k]);
                low[k] = low[k].min(from[k]).min(to[k]);
                high[k] = high[k].max(from[k]).max(to[k]);
            }
        }
    }
    let longer = (high[0] - low[0]).max(high[1] - low[1]);
    let scale = (hand.size * BOX - 2.0 * hand.radius) / longer;
    let reach = hand.radius * (1.0 + 0.5 * hand.pressure.abs()) + 0.5 * SOFTNESS;
    for point in strokes.iter_mut().flatten() {
        for k in 0..2 {
            let middle = 0.5 * (low[k] + high[k]);
            let wanted = scale * (middle - moment[k] / length) + hand.shift[k];
            let room = (0.5 * SIDE as f32 - 1.0 - 0.5 * scale * (high[k] - low[k]) - reach).max(0.0);
            point[k] = scale * (point[k] - middle) + wanted.clamp(-room, room) + 0.5 * SIDE as f32;
        }
    }
}

/// Draws the strokes: each pixel's value follows from the distance of its centre to the edge of the nearest stroke.
fn ink(strokes: &[Vec<Point>], hand: &Hand, pixels: &mut [u8]) {
    let mut edge = [f32::INFINITY; PIXELS];
    for stroke in strokes {
        let pieces = (stroke.len() - 1) as f32;
        for (i, piece) in stroke.windows(2).enumerate() {
            let place = (i as f32 + 0.5) / pieces - 0.5;
            approach(&mut edge, piece[0], piece[1], hand.radius * (1.0 + hand.pressure * place));
        }
    }
    for (pixel, distance) in pixels.iter_mut().zip(edge) {
        let cover = (0.5 - distance / SOFTNESS).clamp(0.0, 1.0);
        let smooth = cover * cover * (3.0 - 2.0 * cover);
        *pixel = (255.0 * hand.brightness * smooth + 0.5) as u8;
    }
}

/// Lowers the distances to the edge of a piece, a line with round ends of this radius, for the pixels it can reach.
fn approach(edge: &mut [f32; PIXELS], from: Point, to: Point, radius: f32) {
    let reach = radius + SOFTNESS;
    let first = |k: usize| ((from[k].min(to[k]) - reach).max(0.0) as usize).min(SIDE);
    let after = |k: usize| ((from[k].max(to[k]) + reach).max(0.0) as usize + 1).min(SIDE);
    let [along_x, along_y] = [to[0] - from[0], to[1] - from[1]];
    let per_square = 1.0 / (along_x * along_x + along_y * along_y).max(1e-12);
    for row in first(1)..after(1) {
        for column in first(0)..after(0) {
            let (x, y) = (column as f32 + 0.5 - from[0], row as f32 + 0.5 - from[1]);
            let t = ((x * along_x + y * along_y) * per_square).clamp(0.0, 1.0);
            let (x, y) = (x - t * along_x, y - t * along_y);
            let distance = (x * x + y * y).sqrt() - radius;
            let pixel = &mut edge[row * SIDE + column];
            *pixel = pixel.min(distance);
        }
    }
}

/// A deviate with mean 0 and variance 1 that is nearly normal but never beyond ±3: no digit is bent out of shape.
fn spread(rng: &mut Philox) -> f32 {
    2.0 * (rng.uniform() + rng.uniform() + rng.uniform() - 1.5)
}

/// A whole number below `count`, all equally probable.
fn below(rng: &mut Philox, count: usize) -> usize {
    ((rng.uniform() * count as f32) as usize).min(count - 1)
}
