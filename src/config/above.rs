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
    /// From the top down through groups of latents at several resolutions, with what is known so far as an image to which each group
    /// adds, and each posterior given relative to its prior (Vahdat and Kautz 2020, Child 2021); `model.resolutions` says which.
    Residual,
}

impl Hierarchy {
    /// The word for it in a configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::Stacked => "stacked",
            Self::Ladder => "ladder",
            Self::Residual => "residual",
        }
    }
}

/// The most groups of latents at one resolution, and cells beside each.
const MOST_GROUPS: usize = 64;

/// Height and width of the images at a resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sides {
    /// So many pixels.
    Given([usize; 2]),
    /// Those of the data, divided by this.
    Part(usize),
}

/// Groups of latents at one resolution of a residual hierarchy, in words such as `14x14 groups 6 latent 4 cells 2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolution {
    /// Height and width of the images there.
    pub sides: Sides,
    /// Groups of latents.
    pub groups: usize,
    /// Latent dimensions of each pixel in each of them.
    pub latent: usize,
    /// Residual cells between a group and the next, on the way up and on the way down.
    pub cells: usize,
}

impl Resolution {
    /// Reads one. What is left out is 1, but for the sides and the latent dimensions.
    ///
    /// # Errors
    /// What is wrong, in words that follow the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = || {
            "is not allowed: it must be sides, or a part of those of the data, then `latent` and, where they are not 1, `groups` and \
             `cells`, such as `14x14 groups 6 latent 4` or `data/2 latent 4`"
                .to_owned()
        };
        let number = |text: &str, most: usize| text.parse().ok().filter(|number| (1..=most).contains(number));
        let words: Vec<&str> = text.split_whitespace().collect();
        let (sides, rest) = words.split_first().ok_or_else(expected)?;
        let side = |text: &str| number(text, super::MAX_WIDTH).ok_or_else(expected);
        let sides = match (sides.strip_prefix("data/"), sides.split_once('x')) {
            (Some(of), _) => Sides::Part(side(of)?),
            (None, Some((height, width))) => Sides::Given([side(height)?, side(width)?]),
            (None, None) => return Err(expected()),
        };
        let known = [("groups", MOST_GROUPS), ("latent", super::MAX_WIDTH), ("cells", MOST_GROUPS)];
        let mut values = [Some(1), None, Some(1)];
        let mut given = [false; 3];
        for pair in rest.chunks(2) {
            let at = known.iter().position(|(name, _)| *name == pair[0]).ok_or_else(|| {
                let hint = super::nearest(pair[0], known.map(|(name, _)| name));
                let hint = hint
                    .map_or("it takes groups, latent and cells".to_owned(), |near| format!("did you mean `{near}`?"));
                format!("knows no `{}`; {hint}", pair[0])
            })?;
            if std::mem::replace(&mut given[at], true) {
                return Err(format!("says `{}` twice", pair[0]));
            }
            let (name, most) = known[at];
            let value = pair.get(1).and_then(|text| number(text, most));
            values[at] = Some(value.ok_or_else(|| format!("wants a whole number from 1 to {most} after `{name}`"))?);
        }
        let [Some(groups), Some(latent), Some(cells)] = values else { return Err(expected()) };
        Ok(Self { sides, groups, latent, cells })
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
        let resolution = |sides, groups, latent, cells| Ok(Resolution { sides, groups, latent, cells });
        assert_eq!(Resolution::parse("14x7 groups 6 latent 4 cells 2"), resolution(Sides::Given([14, 7]), 6, 4, 2));
        assert_eq!(Resolution::parse(" data/4  latent 3 "), resolution(Sides::Part(4), 1, 3, 1));
        for (text, expected) in [
            ("", "it must be sides"),
            ("data/0 latent 3", "it must be sides"),
            ("14 latent 3", "it must be sides"),
            ("14x latent 3", "it must be sides"),
            ("7x7", "it must be sides"),
            ("7x7 latent 0", "after `latent`"),
            ("7x7 latent", "after `latent`"),
            ("7x7 latent 3 groups 65", "from 1 to 64 after `groups`"),
            ("7x7 latent 3 group 2", "did you mean `groups`"),
            ("7x7 latent 3 latent 2", "says `latent` twice"),
        ] {
            assert!(Resolution::parse(text).is_err_and(|why| why.contains(expected)), "{text}");
        }
        for text in ["", "100-", "0", "a-3", "3--4", "1048577", "-5"] {
            assert!(Above::parse(text).is_err(), "{text}");
        }
    }
}
