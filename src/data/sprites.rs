//! The built-in data set `sprites`: one shape on black, whose factors of variation are known, in the manner of dSprites
//! (Matthey, Higgins, Hassabis and Lerchner 2017). It is drawn, so that scores of disentanglement need no file.
//!
//! Every combination of shape, scale, rotation, x and y, and of colour where it is asked for, is a cell of a grid
//! ([`FACTORS`]). Example i is a cell that follows from i alone, and no two examples are the same cell: the grid is
//! gone through in a random order that is always the same.
//!
//! Pictures are black and white as those of dSprites: a pixel is lit where its centre lies in the shape, and edges are not
//! smoothed. Only sums, products, quotients and square roots are used, which IEEE 754 rounds alike everywhere, so that
//! every machine draws the same bytes.

#[cfg(test)]
mod tests;

use rayon::prelude::*;

use super::{Dataset, Format, Labels, Values};
use crate::config::Colour;
use crate::error::{Error, Result};
use crate::rng::{Stream, key, philox};

/// Width and height of a picture in pixels.
pub const SIDE: usize = 64;
/// The names of the shapes, which are the classes of the examples.
pub const SHAPES: [&str; 3] = ["square", "ellipse", "heart"];

/// Something that varies from picture to picture, independently of all else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Factor {
    /// What it is called.
    pub name: &'static str,
    /// How many values it takes, 0 to `count` − 1.
    pub count: usize,
    /// Whether its values have an order; otherwise they are kinds.
    pub ordered: bool,
}

/// The factors. Scales grow evenly from a half to the whole, rotations go counter-clockwise once around the circle, x grows to
/// the right and y downwards, two pixels a step. The last one is only there in colour.
pub const FACTORS: [Factor; 6] = [
    Factor { name: "shape", count: SHAPES.len(), ordered: false },
    Factor { name: "scale", count: 6, ordered: true },
    Factor { name: "rotation", count: 40, ordered: true },
    Factor { name: "x", count: 16, ordered: true },
    Factor { name: "y", count: 16, ordered: true },
    Factor { name: "colour", count: COLOURS.len(), ordered: false },
];

/// Red, yellow, green, cyan, blue, magenta.
const COLOURS: [[u8; 3]; 6] = [[255, 0, 0], [255, 255, 0], [0, 255, 0], [0, 255, 255], [0, 0, 255], [255, 0, 255]];

const PIXELS: usize = SIDE * SIDE;
/// Cells of the grid without colours, which is also the most examples.
const MAX_EXAMPLES: usize = 3 * 6 * 40 * 16 * 16;
/// The key of the order of the grid, apart from that of training: all runs see the same pictures.
const ORDER: u64 = 0x7370_7269;
/// Rounds of the network that orders the grid.
const ROUNDS: u32 = 6;
/// The centre of a shape is this far from the left and the upper border where x and y are 0.
const MARGIN: f64 = 17.0;
/// Half the side of the largest square in pixels.
const HALF: f64 = 10.0;
/// The half axes of the largest ellipse in pixels.
const AXES: [f64; 2] = [14.0, 7.5];
/// The unit of the curve of the largest heart in pixels.
const HEART: f64 = 10.5;
/// The height of the heart's centre of mass above the origin of its curve, in that unit.
const HEART_CENTRE: f64 = 0.2935;

/// The factors of pictures with or without colours.
pub fn factors(coloured: bool) -> &'static [Factor] {
    &FACTORS[..FACTORS.len() - usize::from(!coloured)]
}

/// The data set `sprites`: `examples` cells of the grid, of which the last sixth is the test part. Classes are the shapes.
///
/// # Errors
/// [`Error::Usage`] for no or too many examples, or where validation would leave nothing to train on.
pub fn dataset(examples: usize, colour: Colour, validation: usize) -> Result<Dataset> {
    if !(1..=MAX_EXAMPLES).contains(&examples) {
        return Err(Error::Usage(format!("data.examples = {examples}: sprites draws 1 to {MAX_EXAMPLES} examples")));
    }
    let coloured = colour == Colour::Rgb;
    let (pixels, shapes) = draw(examples, coloured);
    let shape = [if coloured { 3 } else { 1 }, SIDE, SIDE];
    let labels = Labels { of: shapes, names: Some(SHAPES.map(str::to_owned).to_vec()) };
    let data = Dataset::parted("sprites", shape, Values::U8(pixels), examples / 6, validation)?;
    Ok(Dataset { format: Format::Sprites, ..data.with_labels(Some(labels))?.hashed()? })
}

/// Draws pictures: pixels (examples × channels × 64 × 64, 0 or 255) and the shape that each shows. The first n of m examples
/// are the n examples.
pub fn draw(examples: usize, coloured: bool) -> (Vec<u8>, Vec<u32>) {
    let width = if coloured { 3 * PIXELS } else { PIXELS };
    let mut pixels = vec![0; examples * width];
    let pictures = pixels.par_chunks_exact_mut(width).enumerate();
    let shapes = pictures.map(|(number, picture)| {
        let values = values(number as u32, coloured);
        draw_one(&values, picture);
        values[0]
    });
    let shapes = shapes.collect();
    (pixels, shapes)
}

/// The value of each factor in example `number`, in the order of [`FACTORS`]. It follows from the number alone.
pub fn values(number: u32, coloured: bool) -> Vec<u32> {
    let factors = factors(coloured);
    let mut cell = cell(number, factors.iter().map(|factor| factor.count as u32).product());
    let mut values: Vec<u32> = factors
        .iter()
        .rev()
        .map(|factor| {
            let value = cell % factor.count as u32;
            cell /= factor.count as u32;
            value
        })
        .collect();
    values.reverse();
    values
}

/// The cell that comes at place `number` in the order of a grid of so many cells: a permutation.
///
/// It is a Feistel network on numbers of an even number of bits (Luby and Rackoff 1988); one that leads out of the grid is
/// followed until it leads back in (cycle walking, Black and Rogaway 2002).
fn cell(number: u32, cells: u32) -> u32 {
    let half = (u32::BITS - (cells - 1).leading_zeros()).div_ceil(2);
    let mask = (1_u32 << half) - 1;
    let mut at = number;
    loop {
        let (mut left, mut right) = (at >> half, at & mask);
        for round in 0..ROUNDS {
            let mixed = philox([Stream::Choice as u32, right, round, cells], key(ORDER))[0] & mask;
            (left, right) = (right, left ^ mixed);
        }
        at = left << half | right;
        if at < cells {
            return at;
        }
    }
}

/// Draws the picture of these values into its pixels, which are black.
fn draw_one(values: &[u32], picture: &mut [u8]) {
    let &[shape, scale, rotation, x, y, ..] = values else { return };
    let size = f64::from(5 + scale) / 10.0;
    let [cos, sin] = turn(rotation);
    let [x, y] = [x, y].map(|at| MARGIN + 2.0 * f64::from(at));
    let colour = values.get(5).map(|&colour| COLOURS[colour as usize]);
    for at in 0..PIXELS {
        // To the right and upwards from the centre of the shape, as it was before it was turned and made smaller.
        let [right, up] = [(at % SIDE) as f64 + 0.5 - x, y - (at / SIDE) as f64 - 0.5];
        let [right, up] = [(cos * right + sin * up) / size, (cos * up - sin * right) / size];
        if covers(shape, right, up) {
            match colour {
                None => picture[at] = 255,
                Some(colour) => (0..3).for_each(|channel| picture[channel * PIXELS + at] = colour[channel]),
            }
        }
    }
}

/// Whether the largest picture of a shape covers the point that lies so far from its centre of mass.
fn covers(shape: u32, right: f64, up: f64) -> bool {
    match shape {
        0 => right.abs() <= HALF && up.abs() <= HALF,
        1 => {
            let [x, y] = [right / AXES[0], up / AXES[1]];
            x * x + y * y <= 1.0
        }
        // The curve (x² + y² − 1)³ = x²y³.
        _ => {
            let [x, y] = [right / HEART, up / HEART + HEART_CENTRE];
            let ring = x * x + y * y - 1.0;
            ring * ring * ring <= x * x * y * y * y
        }
    }
}

/// Cosine and sine of so many fortieths of the circle. That of four, 36 degrees, is half the golden ratio; halves of an angle
/// are square roots, and multiples are products.
fn turn(steps: u32) -> [f64; 2] {
    let golden = f64::midpoint(1.0, 5.0_f64.sqrt());
    let half = |cos: f64| f64::midpoint(1.0, cos).sqrt();
    let cos = half(half(golden / 2.0));
    let sin = (1.0 - cos * cos).sqrt();
    (0..steps).fold([1.0, 0.0], |[x, y], _| [x * cos - y * sin, x * sin + y * cos])
}
