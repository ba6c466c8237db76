//! Columns of different kinds beside each other: what the decoder says of each, and where it says it.
//!
//! An example is D places, of which every column takes the next few, in order. The decoder puts out O numbers:
//! first one for each place of the example (a mean, a logit, the logarithm of a rate), then a second number of the N
//! columns that have one, in order: the log-variance of a normal one, the log-dispersion of a negative binomial, the logit of
//! an added zero. Behind them stands a third number of the M columns that have one, and O = D + N + M. So a
//! table of numbers alone is laid out as a Gaussian with a learned variance is.
//! The form is that of Nazábal, Olmos, Ghahramani, Valera, "Handling incomplete heterogeneous data using VAEs", 2020,
//! section 3.1, with one decoder for all columns.

use super::Clamp;
use std::ops::Range;

/// Logarithms of Poisson rates are limited to this range before exp; the gradient outside is zero.
pub const LOG_RATE: Clamp = Clamp { low: -20.0, high: 20.0 };

/// Logarithms of inverse dispersions are limited to this range before exp; the gradient outside is zero. At the upper end
/// a negative binomial of small means is all but a Poisson distribution; one of mean exp 10 still has twice its variance.
pub const LOG_DISPERSION: Clamp = Clamp { low: -10.0, high: 10.0 };

/// The distribution of a column given the latent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distribution {
    /// A number: a normal distribution with mean and log-variance; one place.
    Normal,
    /// The same with a log-variance that is given: [`Columns::fixed_log_variance`].
    FixedNormal,
    /// 0 or 1, from a logit; one place.
    Bernoulli,
    /// A 1 among zeros: softmax of a logit for each place.
    Categorical,
    /// A whole number from 0 up, from the logarithm of its rate; one place.
    Poisson,
    /// The same with a larger variance, from the logarithms of its mean and of its inverse dispersion.
    NegativeBinomial,
    /// The same, but with some probability a zero whatever it would be: from the logarithm of the mean, the logit of that
    /// probability, and the logarithm of the inverse dispersion.
    ZeroInflated,
}

impl Distribution {
    /// Whether the decoder gives a second number, which stands behind all places.
    pub fn has_second(self) -> bool {
        matches!(self, Self::Normal | Self::NegativeBinomial | Self::ZeroInflated)
    }

    /// Whether it gives a third number, which stands behind all second ones.
    pub fn has_third(self) -> bool {
        self == Self::ZeroInflated
    }

    /// Whether it is one of counts, of which logarithms are decoded.
    pub fn is_count(self) -> bool {
        matches!(self, Self::Poisson | Self::NegativeBinomial | Self::ZeroInflated)
    }
}

/// One column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// How it is distributed.
    pub distribution: Distribution,
    /// Its places in an example.
    pub places: usize,
}

/// All columns of an example, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Columns {
    /// Each column.
    pub all: Vec<Column>,
    /// The range to which the log-variances of normal columns are limited.
    pub clamp: Clamp,
    /// The log-variance of fixed normal columns.
    pub fixed_log_variance: f32,
}

impl Columns {
    /// D, the places of an example.
    pub fn width(&self) -> usize {
        self.all.iter().map(|column| column.places).sum()
    }

    /// O, the numbers that the decoder puts out for an example.
    pub fn outputs(&self) -> usize {
        self.thirds() + self.all.iter().filter(|column| column.distribution.has_third()).count()
    }

    /// Where the third numbers begin in the decoder's output.
    fn thirds(&self) -> usize {
        self.width() + self.all.iter().filter(|column| column.distribution.has_second()).count()
    }

    /// The place of the third number of each column in the decoder's output, which only some have
    /// ([`Distribution::has_third`]).
    pub fn third_places(&self) -> Vec<Option<usize>> {
        let mut next = self.thirds()..;
        self.all.iter().map(|column| if column.distribution.has_third() { next.next() } else { None }).collect()
    }

    /// Every column with its places in an example and the place of its second number in the decoder's output, which only
    /// some have ([`Distribution::has_second`]).
    pub fn spans(&self) -> Vec<(Distribution, Range<usize>, Option<usize>)> {
        let (mut end, mut next) = (0, self.width());
        let span = |column: &Column| {
            let start = end;
            end += column.places;
            let second = column.distribution.has_second().then_some(next);
            next += usize::from(second.is_some());
            (column.distribution, start..end, second)
        };
        self.all.iter().map(span).collect()
    }
}
