//! Planes that separate rows of codes: logistic regression and linear discriminant analysis.

use super::{Labelled, dot, product};
use crate::latent::cholesky;

/// The most steps of Newton's method.
const STEPS: usize = 100;

/// A step that changes the loss by less than this share of it is the last.
const STILL: f64 = 1e-12;

/// What is added to each variance before a matrix is solved for, as a share of the mean variance: no latent that is always the same
/// divides by 0.
const LEAST: f64 = 1e-12;

/// Normal and bias of the least ½ λ |w|² + Σ weight log(1 + exp(−y (w·z + b))), by Newton's method with halved steps. The bias is not
/// penalised, as in scikit-learn, whose C is 1/λ.
pub(super) fn logistic(of: Labelled, penalty: f64) -> (Vec<f64>, f64) {
    let wide = of.latent + 1;
    let mut at = vec![0.0; wide];
    let mut loss = loss_at(of, &at, penalty);
    for _ in 0..STEPS {
        let (gradient, curvature) = slopes(of, &at, penalty);
        let step = solved(curvature, &gradient);
        let mut share = 1.0;
        let (next, lower) = loop {
            let next: Vec<f64> = at.iter().zip(&step).map(|(at, step)| at - share * step).collect();
            let lower = loss_at(of, &next, penalty);
            if lower <= loss || share < 1e-9 {
                break (next, lower);
            }
            share *= 0.5;
        };
        // Where rounding lets no step go down, it is down.
        if lower > loss {
            break;
        }
        let change = loss - lower;
        (at, loss) = (next, lower);
        if change <= STILL * loss.abs() {
            break;
        }
    }
    let bias = at.pop().unwrap_or_default();
    (at, bias)
}

fn loss_at(of: Labelled, at: &[f64], penalty: f64) -> f64 {
    let (normal, bias) = at.split_at(of.latent);
    let sum: f64 = of
        .rows()
        .map(|(row, with, weight)| {
            let score = dot(normal, row) + bias[0];
            let margin = if with { score } else { -score };
            weight * ((-margin.abs()).exp().ln_1p() + (-margin).max(0.0))
        })
        .sum();
    0.5 * penalty * product(normal, normal) + sum
}

/// Gradient [Z + 1] and the lower half of the second derivatives [Z + 1, Z + 1] of the loss.
fn slopes(of: Labelled, at: &[f64], penalty: f64) -> (Vec<f64>, Vec<f64>) {
    let (latent, wide) = (of.latent, of.latent + 1);
    let (normal, bias) = at.split_at(latent);
    let (mut gradient, mut curvature) = (vec![0.0; wide], vec![0.0; wide * wide]);
    let mut row_and_one = vec![1.0; wide];
    for (row, with, weight) in of.rows() {
        row_and_one.iter_mut().zip(row).for_each(|(to, &from)| *to = f64::from(from));
        let probability = 1.0 / (1.0 + (-(dot(normal, row) + bias[0])).exp());
        let off = weight * (probability - f64::from(u8::from(with)));
        let bend = weight * probability * (1.0 - probability);
        for i in 0..wide {
            gradient[i] += off * row_and_one[i];
            let bent = bend * row_and_one[i];
            for j in 0..=i {
                curvature[i * wide + j] += bent * row_and_one[j];
            }
        }
    }
    for i in 0..latent {
        gradient[i] += penalty * normal[i];
        curvature[i * wide + i] += penalty;
    }
    (gradient, curvature)
}

/// Σ⁻¹ (m₁ − m₀), with Σ the covariance within both groups, shrunk towards a multiple of the identity.
pub(super) fn discriminant(of: Labelled, means: [&[f64]; 2], apart: &[f64], shrinkage: f64) -> Vec<f64> {
    let latent = of.latent;
    let (mut total, mut covariance) = (0.0, vec![0.0; latent * latent]);
    let mut off = vec![0.0; latent];
    for (row, with, weight) in of.rows() {
        total += weight;
        let mean = means[usize::from(with)];
        off.iter_mut().zip(row.iter().zip(mean)).for_each(|(off, (&value, mean))| *off = f64::from(value) - mean);
        for i in 0..latent {
            for j in 0..=i {
                covariance[i * latent + j] += weight * off[i] * off[j];
            }
        }
    }
    for value in &mut covariance {
        *value /= total;
    }
    let mean = (0..latent).map(|i| covariance[i * latent + i]).sum::<f64>() / latent as f64;
    for value in &mut covariance {
        *value *= 1.0 - shrinkage;
    }
    (0..latent).for_each(|i| covariance[i * latent + i] += shrinkage * mean);
    solved(covariance, apart)
}

/// x with A x = b, of a positive definite A [n, n] whose lower half is given.
fn solved(matrix: Vec<f64>, of: &[f64]) -> Vec<f64> {
    let width = of.len();
    let mean = (0..width).map(|i| matrix[i * width + i]).sum::<f64>() / width as f64;
    let factor = cholesky(matrix, width, (LEAST * mean).max(f64::MIN_POSITIVE));
    let mut x = of.to_vec();
    for i in 0..width {
        let known: f64 = (0..i).map(|k| factor[i * width + k] * x[k]).sum();
        x[i] = (x[i] - known) / factor[i * width + i];
    }
    for i in (0..width).rev() {
        let known: f64 = (i + 1..width).map(|k| factor[k * width + i] * x[k]).sum();
        x[i] = (x[i] - known) / factor[i * width + i];
    }
    x
}
