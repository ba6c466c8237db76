//! Scores of disentanglement: how far each latent follows one factor of variation, and each factor one latent.
//!
//! Codes are rows of Z numbers, means of posteriors; factors are rows of K whole numbers, the values that the examples were
//! made with. Every score lies between 0 and 1, and is a function of codes, factors and a seed alone.

mod dci;
mod factor_vae;
pub(crate) mod forest;
mod information;
mod sap;
#[cfg(test)]
mod tests;

pub use dci::{Dci, dci};
pub use factor_vae::factor_vae;
pub use information::{BINS, Information, binned, entropy, information};
pub use sap::{Sap, sap};

use crate::error::{Error, Result};

/// The fewest examples: fewer say nothing of factors with tens of values.
const LEAST: usize = 100;
/// The most values of a factor.
const MAX_VALUES: u32 = 10_000;

/// Codes of examples and the factors that they were made with.
#[derive(Debug, Clone, PartialEq)]
pub struct Examples {
    /// The codes, [N, Z].
    codes: Vec<f32>,
    /// Z, latent dimensions.
    latent: usize,
    /// The factors that vary, each with its values in all examples.
    factors: Vec<Varied>,
    /// Names of factors that have one value in all examples, of which no score can say anything.
    constant: Vec<String>,
}

/// A factor that varies.
#[derive(Debug, Clone, PartialEq)]
pub struct Varied {
    /// What it is called.
    pub name: String,
    /// The value in each example, [N], from 0 to `count` − 1, all of which occur.
    pub values: Vec<u32>,
    /// How many values occur.
    pub count: usize,
    /// Whether its values have an order; otherwise they are kinds.
    pub ordered: bool,
}

impl Examples {
    /// Puts codes, [N, Z], beside factors: each with a name, its value in every example, and whether values have an order.
    /// Values are numbered anew from 0 by their size.
    ///
    /// # Errors
    /// [`Error::Data`] where there are too few examples, latents or factors that vary for a score; [`Error::Diverged`] where
    /// codes are not finite.
    pub fn new(codes: Vec<f32>, latent: usize, factors: Vec<(String, Vec<u32>, bool)>) -> Result<Self> {
        let rows = codes.len() / latent.max(1);
        if rows < LEAST {
            return Err(Error::Data(format!(
                "scores of disentanglement take at least {LEAST} examples, and there are {rows}"
            )));
        }
        if latent < 2 {
            return Err(Error::Data(
                "scores of disentanglement compare latent dimensions, and the model has one; train with --latent 2 or more"
                    .into(),
            ));
        }
        if codes.iter().any(|code| !code.is_finite()) {
            return Err(Error::Diverged("codes of examples are not finite: the model has diverged".into()));
        }
        let (mut varied, mut constant) = (Vec::new(), Vec::new());
        for (name, values, ordered) in factors {
            if values.len() != rows {
                return Err(Error::Bug(format!("factor {name}: {} values of {rows} examples", values.len())));
            }
            let mut all = values.clone();
            all.sort_unstable();
            all.dedup();
            match all.len() {
                0 | 1 => constant.push(name),
                count if count > MAX_VALUES as usize => {
                    return Err(Error::Data(format!("factor {name} has {count} values; it can have {MAX_VALUES}")));
                }
                count => {
                    let place = |value: &u32| all.partition_point(|other| other < value) as u32;
                    varied.push(Varied { name, values: values.iter().map(place).collect(), count, ordered });
                }
            }
        }
        if varied.len() < 2 {
            return Err(Error::Data(format!(
                "scores of disentanglement compare factors, and {} of these examples vary: take more examples, or factors \
                 with several values",
                if varied.is_empty() { "none" } else { "only one" }
            )));
        }
        Ok(Self { codes, latent, factors: varied, constant })
    }

    /// Number of examples, N.
    pub fn len(&self) -> usize {
        self.codes.len() / self.latent
    }

    /// Whether there is no example, which [`Examples::new`] refuses.
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// Latent dimensions, Z.
    pub fn latent(&self) -> usize {
        self.latent
    }

    /// The factors that vary.
    pub fn factors(&self) -> &[Varied] {
        &self.factors
    }

    /// Names of factors that have one value in all examples.
    pub fn constant(&self) -> &[String] {
        &self.constant
    }

    /// One latent dimension of all examples, [N].
    fn column(&self, latent: usize) -> impl Iterator<Item = f32> + '_ {
        self.codes.iter().skip(latent).step_by(self.latent).copied()
    }

    /// Mean and variance of each latent dimension.
    fn moments(&self) -> Vec<[f64; 2]> {
        let rows = self.len() as f64;
        let of = |latent| {
            let mean = self.column(latent).map(f64::from).sum::<f64>() / rows;
            let variance = self.column(latent).map(|code| (f64::from(code) - mean).powi(2)).sum::<f64>() / rows;
            [mean, variance]
        };
        (0..self.latent).map(of).collect()
    }

    /// Where the held-out third begins: scores that fit something are measured on what they were not fitted to.
    fn held_out(&self) -> usize {
        self.len() - self.len() / 3
    }
}

/// The largest number and the second largest; the second is 0 where there is one.
fn top_two(numbers: impl Iterator<Item = f64>) -> [f64; 2] {
    numbers.fold([0.0_f64; 2], |[first, second], number| match number {
        _ if number > first => [number, first],
        _ => [first, second.max(number)],
    })
}
