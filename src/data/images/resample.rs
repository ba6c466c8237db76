//! Images in other sizes, without a jagged edge.
//!
//! A pixel of the result is a weighted mean of those that it covers, with a triangle of weights: linear interpolation
//! where an image grows, and where it shrinks the triangle grows with the factor, so that every pixel counts. Sums have
//! a fixed order, so all machines get the same bytes.
//! Source: P. Heckbert, "Filtered image rescaling", Graphics Gems III, 1992.

use crate::config::Fit;

/// Planes of `from` pixels (width, height) as planes of `to` pixels.
pub fn fit(planes: &[f32], from: [usize; 2], to: [usize; 2], fit: Fit) -> Vec<f32> {
    if from == to {
        return planes.to_vec();
    }
    let whole = from.map(|extent| [0.0, extent as f64]);
    match fit {
        Fit::Exact | Fit::Stretch => scale(planes, from, whole, to),
        Fit::Crop => scale(planes, from, centre(from, to), to),
        Fit::Pad => {
            let inner = inside(from, to);
            framed(&scale(planes, from, whole, inner), inner, to)
        }
    }
}

/// The largest part of an image of `from` pixels, around its centre, with the proportions of `to`: begin and extent along
/// both axes.
fn centre(from: [usize; 2], to: [usize; 2]) -> [[f64; 2]; 2] {
    let factor = (0..2).map(|axis| from[axis] as f64 / to[axis] as f64).fold(f64::INFINITY, f64::min);
    [0, 1].map(|axis| {
        let extent = to[axis] as f64 * factor;
        [(from[axis] as f64 - extent) / 2.0, extent]
    })
}

/// The largest size within `to` with the proportions of `from`.
fn inside(from: [usize; 2], to: [usize; 2]) -> [usize; 2] {
    let factor = (0..2).map(|axis| to[axis] as f64 / from[axis] as f64).fold(f64::INFINITY, f64::min);
    [0, 1].map(|axis| ((from[axis] as f64 * factor).round() as usize).clamp(1, to[axis]))
}

/// Planes in the middle of larger, black ones.
fn framed(planes: &[f32], from: [usize; 2], to: [usize; 2]) -> Vec<f32> {
    let count = planes.len() / (from[0] * from[1]);
    let (left, top) = ((to[0] - from[0]) / 2, (to[1] - from[1]) / 2);
    let mut framed = vec![0.0; count * to[0] * to[1]];
    for (row, pixels) in planes.chunks_exact(from[0]).enumerate() {
        let (plane, y) = (row / from[1], row % from[1]);
        let begin = (plane * to[1] + top + y) * to[0] + left;
        framed[begin..begin + from[0]].copy_from_slice(pixels);
    }
    framed
}

/// A part of planes, given by begin and extent along both axes, at another size: first along rows, then along columns.
fn scale(planes: &[f32], from: [usize; 2], part: [[f64; 2]; 2], to: [usize; 2]) -> Vec<f32> {
    let (across, down) = (weights(from[0], part[0], to[0]), weights(from[1], part[1], to[1]));
    let mean = |weights: &Weights, sample: &dyn Fn(usize) -> f64| -> f64 {
        weights.of.iter().enumerate().map(|(at, weight)| weight * sample(weights.first + at)).sum()
    };
    let mut scaled = Vec::new();
    for plane in planes.chunks_exact(from[0] * from[1]) {
        let rows = plane.chunks_exact(from[0]);
        let rows: Vec<Vec<f64>> =
            rows.map(|row| across.iter().map(|weights| mean(weights, &|x| f64::from(row[x]))).collect()).collect();
        for weights in &down {
            scaled.extend((0..to[0]).map(|x| mean(weights, &|y| rows[y][x]) as f32));
        }
    }
    scaled
}

/// How much each of a few neighbours counts; the sum is 1.
struct Weights {
    first: usize,
    of: Vec<f64>,
}

/// The weights of every pixel of a result of `to` pixels, for a part of a row of `from` pixels.
fn weights(from: usize, [begin, extent]: [f64; 2], to: usize) -> Vec<Weights> {
    let step = extent / to as f64;
    let reach = step.max(1.0);
    let weigh = |pixel: usize| {
        let middle = begin + (pixel as f64 + 0.5) * step;
        let first = (middle - reach + 0.5).floor().max(0.0) as usize;
        let end = ((middle + reach + 0.5).floor().max(0.0) as usize).clamp(first + 1, from.max(first + 1));
        let triangle = |at: usize| (1.0 - ((at as f64 + 0.5 - middle) / reach).abs()).max(0.0);
        let mut of: Vec<f64> = (first..end.min(from)).map(triangle).collect();
        let sum: f64 = of.iter().sum();
        for weight in &mut of {
            *weight /= sum;
        }
        Weights { first, of }
    };
    (0..to).map(weigh).collect()
}
