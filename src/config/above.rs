//! Stochastic layers above the lowest, in words, and how a posterior goes through them.

use serde::{Deserialize, Serialize};

/// The most numbers in one of them.
const MOST: usize = 65;

/// How the posterior of several stochastic layers is put together; the generative model is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hierarchy {
    /// From the data up, each layer given a sample of the one below: q(z1|x) q(z2|z1) … (Burda et al. 2015).
    Stacked,
    /// From the top down, each layer given a sample of the one above and what the encoders say of the data (the ladder of
    /// Sønderby et al. 2016): q(zL|x) … q(z1|z2, x).
    Ladder,
}

impl Hierarchy {
    /// The word for it in a configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::Stacked => "stacked",
            Self::Ladder => "ladder",
        }
    }
}

/// A stochastic layer above the lowest: widths and latent dimensions joined by `-`, such as `100-100-50`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Above {
    /// Widths of the hidden layers from the layer below to this one (in a ladder from the last hidden layer below); those back
    /// are the same backwards.
    pub hidden: Vec<usize>,
    /// Its latent dimensions.
    pub latent: usize,
}

impl Above {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong, in words that follow the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected =
            || "is not allowed: it must be widths and, last, latent dimensions, such as 100-100-50".to_owned();
        let fits = |&width: &usize| (1..=super::MAX_WIDTH).contains(&width);
        let numbers: Option<Vec<usize>> =
            text.trim().split('-').map(|word| word.trim().parse().ok().filter(fits)).collect();
        match numbers {
            Some(mut numbers) if numbers.len() <= MOST => {
                let latent = numbers.pop().ok_or_else(expected)?;
                Ok(Self { hidden: numbers, latent })
            }
            _ => Err(expected()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_and_latent_dimensions_are_joined() {
        assert_eq!(Above::parse("100-90-50"), Ok(Above { hidden: vec![100, 90], latent: 50 }));
        assert_eq!(Above::parse("7"), Ok(Above { hidden: vec![], latent: 7 }));
        for text in ["", "100-", "0", "a-3", "3--4", "1048577", "-5"] {
            assert!(Above::parse(text).is_err(), "{text}");
        }
    }
}
