//! Principal components: the directions in which points vary most.

/// Points seen along their two main directions.
#[derive(Debug, Clone, PartialEq)]
pub struct Pca {
    /// Coordinates of each point along the first and the second direction, from the points' mean.
    pub points: Vec<[f32; 2]>,
    /// The share of all variance that lies along each of the two directions.
    pub shares: [f64; 2],
}

/// Rounds of the iteration; it ends earlier when the direction no longer turns.
const ROUNDS: usize = 500;

/// Projects rows of `width` numbers onto their first two principal components (Pearson 1901). With fewer dimensions, or
/// points that do not vary, the coordinates along what is missing are zero.
///
/// The directions are found by power iteration, which needs neither the matrix of covariances nor its size in memory.
/// Each points to where its largest component is positive, so that the picture does not flip from call to call.
pub fn pca(rows: &[f32], width: usize) -> Pca {
    let count = (rows.len() / width).max(1) as f64;
    let mut mean = vec![0.0; width];
    for row in rows.chunks_exact(width) {
        mean.iter_mut().zip(row).for_each(|(mean, &x)| *mean += f64::from(x) / count);
    }
    let centred: Vec<f64> = rows.iter().enumerate().map(|(at, &x)| f64::from(x) - mean[at % width]).collect();
    let total: f64 = centred.iter().map(|x| x * x).sum();
    let mut found: Vec<Vec<f64>> = Vec::new();
    for _ in 0..width.min(2) {
        found.extend(direction(&centred, width, &found, total));
    }
    let along = |at: usize| -> Vec<f64> {
        let project = |axis: &Vec<f64>| centred.chunks_exact(width).map(|row| dot(row, axis)).collect();
        found.get(at).map_or_else(|| vec![0.0; rows.len() / width], project)
    };
    let axes = [along(0), along(1)];
    let share = |axis: &[f64]| if total > 0.0 { dot(axis, axis) / total } else { 0.0 };
    let points = axes[0].iter().zip(&axes[1]).map(|(&x, &y)| [x as f32, y as f32]).collect();
    Pca { points, shares: [share(&axes[0]), share(&axes[1])] }
}

/// The direction of the largest variance at right angles to those already found; none where nothing varies.
fn direction(centred: &[f64], width: usize, found: &[Vec<f64>], total: f64) -> Option<Vec<f64>> {
    // No axis of a network's latents lies at right angles to this but by accident.
    let start = (0..width).map(|i| 1.0 + 0.5 * (1.7 * i as f64).sin()).collect();
    let mut axis = unit(&perpendicular(start, found))?;
    for _ in 0..ROUNDS {
        let mut next = vec![0.0; width];
        for row in centred.chunks_exact(width) {
            let along = dot(row, &axis);
            next.iter_mut().zip(row).for_each(|(next, x)| *next += along * x);
        }
        let next = perpendicular(next, found);
        if dot(&next, &next).sqrt() <= 1e-12 * total {
            return None;
        }
        let next = unit(&next)?;
        let turned = 1.0 - dot(&next, &axis).abs();
        axis = next;
        if turned < 1e-14 {
            break;
        }
    }
    let largest = axis.iter().copied().fold(0.0_f64, |a, x| if x.abs() > a.abs() { x } else { a });
    Some(axis.iter().map(|x| x * largest.signum()).collect())
}

fn perpendicular(mut vector: Vec<f64>, found: &[Vec<f64>]) -> Vec<f64> {
    for axis in found {
        let along = dot(&vector, axis);
        vector.iter_mut().zip(axis).for_each(|(x, a)| *x -= along * a);
    }
    vector
}

fn unit(vector: &[f64]) -> Option<Vec<f64>> {
    let length = dot(vector, vector).sqrt();
    (length > 0.0).then(|| vector.iter().map(|x| x / length).collect())
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Philox, Stream};

    #[test]
    fn the_axes_of_a_turned_ellipsoid_are_found_in_order() {
        let mut rng = Philox::new(3, Stream::Choice, 0, 0);
        let (sine, cosine) = 0.6_f32.sin_cos();
        let mut rows = Vec::new();
        let mut expected = Vec::new();
        for _ in 0..2000 {
            let [u, v, w] = [3.0 * rng.normal(), rng.normal(), 0.1 * rng.normal()];
            expected.push([u, v]);
            rows.extend([5.0 + cosine * u - sine * v, -2.0 + sine * u + cosine * v, w]);
        }
        let found = pca(&rows, 3);
        assert!((found.shares[0] - 0.9).abs() < 0.02 && (found.shares[1] - 0.1).abs() < 0.02, "{:?}", found.shares);
        for (point, expected) in found.points.iter().zip(expected) {
            // The sample's own mean and axes are a little off those of the distribution.
            assert!((point[0] - expected[0]).abs() < 0.3 && (point[1] - expected[1]).abs() < 0.3, "{point:?}");
        }
    }

    #[test]
    fn what_does_not_vary_has_no_direction() {
        for (rows, width, shares) in
            [(vec![1.0, 2.0, 1.0, 2.0], 2, [0.0, 0.0]), (vec![1.0, 2.0, 4.0], 1, [1.0, 0.0]), (vec![], 3, [0.0, 0.0])]
        {
            let found = pca(&rows, width);
            assert_eq!((found.points.len(), found.shares), (rows.len() / width, shares));
            assert!(found.points.iter().all(|point| point[1] == 0.0));
        }
    }
}
