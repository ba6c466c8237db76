//! Geometry of the latent space: ways between latents, and pictures of many dimensions in two.
//!
//! Latents are rows of Z numbers, flat and row-major.

mod gmm;
mod pca;
#[cfg(feature = "tsne")]
mod tsne;

pub use gmm::Gmm;
pub(crate) use gmm::cholesky;
pub use pca::{Pca, pca};
#[cfg(feature = "tsne")]
pub use tsne::{EPOCHS, tsne};

use crate::rng::quantile;

/// The latent at share `t` of the straight way from `a` to `b`.
pub fn linear(a: &[f32], b: &[f32], t: f32) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| (1.0 - t) * a + t * b).collect()
}

/// The latent at share `t` of the way from `a` to `b` along a great circle (White 2016, arXiv 1609.04468): the angle
/// grows evenly, and the length goes from that of `a` to that of `b`. Between latents that lie in the same or in
/// opposite directions, or one of which is zero, no circle is greater than others: there the way is straight.
pub fn spherical(a: &[f32], b: &[f32], t: f32) -> Vec<f32> {
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum::<f64>();
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    let angle = (dot(a, b) / lengths).clamp(-1.0, 1.0).acos();
    let sine = angle.sin();
    // The angle to a latent that is zero is no number.
    if sine.is_nan() || sine < 1e-4 {
        return linear(a, b, t);
    }
    let t = f64::from(t);
    let [from, to] = [((1.0 - t) * angle).sin() / sine, (t * angle).sin() / sine];
    a.iter().zip(b).map(|(&a, &b)| (from * f64::from(a) + to * f64::from(b)) as f32).collect()
}

/// `steps` numbers from `low` to `high`, both included; the middle where it is one.
pub fn between(low: f32, high: f32, steps: usize) -> Vec<f32> {
    match steps {
        1 => vec![0.5 * (low + high)],
        _ => (0..steps).map(|i| low + (high - low) * (i as f32 / (steps - 1) as f32)).collect(),
    }
}

/// Two-dimensional latents [side·side, 2] that cut the prior into equal shares: the inverse normal distribution function
/// of an even grid on the unit square (Kingma and Welling 2014, figure 4), row by row, the first dimension growing to
/// the right and the second upwards.
pub fn plane(side: usize) -> Vec<f32> {
    let at = |i: usize| quantile((i as f32 + 0.5) / side as f32);
    (0..side).rev().flat_map(|row| (0..side).flat_map(move |column| [at(column), at(row)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(z: &[f32]) -> f32 {
        z.iter().map(|x| x * x).sum::<f32>().sqrt()
    }

    #[test]
    fn ways_begin_and_end_where_they_should() {
        let (a, b) = ([1.0, 2.0, -0.5], [-0.3, 0.2, 4.0]);
        for way in [linear, spherical] {
            for (t, expected) in [(0.0, a), (1.0, b)] {
                for (found, expected) in way(&a, &b, t).iter().zip(expected) {
                    assert!((found - expected).abs() < 1e-6);
                }
            }
        }
    }

    #[test]
    fn a_spherical_way_keeps_the_length_and_turns_evenly() {
        let (a, b) = ([3.0, 0.0], [0.0, 3.0]);
        for (t, degrees) in [(0.25_f32, 22.5_f32), (0.5, 45.0), (2.0 / 3.0, 60.0)] {
            let z = spherical(&a, &b, t);
            assert!((length(&z) - 3.0).abs() < 1e-5, "{z:?}");
            assert!((z[1].atan2(z[0]).to_degrees() - degrees).abs() < 1e-3, "{z:?}");
            assert!(length(&linear(&a, &b, t)) < 2.8);
        }
    }

    #[test]
    fn where_no_circle_is_greater_than_others_the_way_is_straight() {
        for (a, b) in [([1.0, 1.0], [2.0, 2.0]), ([1.0, 0.0], [-1.0, 0.0]), ([0.0, 0.0], [1.0, 2.0])] {
            assert_eq!(spherical(&a, &b, 0.25), linear(&a, &b, 0.25), "{a:?} to {b:?}");
        }
    }

    #[test]
    fn the_plane_holds_equal_shares_of_the_prior() {
        let latents = plane(4);
        assert_eq!(latents.len(), 32);
        // Quantiles 1/8 and 3/8 of the standard normal distribution.
        for (at, expected) in [(0, [-1.150_349, 1.150_349]), (3, [1.150_349, 1.150_349]), (9, [-0.318_639, -0.318_639])]
        {
            for (found, expected) in latents[2 * at..2 * at + 2].iter().zip(expected) {
                assert!((found - expected).abs() < 1e-5, "{at}: {found} instead of {expected}");
            }
        }
    }

    #[test]
    fn steps_include_both_ends() {
        assert_eq!(between(-3.0, 3.0, 5), [-3.0, -1.5, 0.0, 1.5, 3.0]);
        assert_eq!(between(0.0, 1.0, 1), [0.5]);
    }
}
