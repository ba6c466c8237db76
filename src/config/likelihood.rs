//! Likelihoods as a configuration has them: a word, the values that it is for, and the keys that belong to it. What each
//! computes is a file in `model/likelihood`.

use serde::{Deserialize, Serialize};

/// Values that an example consists of: what a likelihood wants, and what data are read for and judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain {
    /// Numbers from 0 to 1: black and white, or probabilities.
    Unit,
    /// Finite numbers.
    Numbers,
    /// The 256 levels of pictures, from 0 to 1.
    Levels,
    /// Whole numbers from 0 up.
    Counts,
    /// One of a few categories each, which a model is shown as a 1 among zeros.
    Categories,
    /// Columns of a table, each of a type of its own.
    Columns,
    /// Tokens of a text, each as its number.
    Tokens,
}

/// The values that a model wants, and the word of its likelihood, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Takes {
    /// The values.
    pub domain: Domain,
    /// Who wants them.
    pub likelihood: &'static str,
}

/// Writes the enumeration and what is known of each from one row: its comment, its word, its values, and the keys of
/// `[model]` that it reads.
macro_rules! likelihoods {
    ($($(#[$comment:meta])+ $name:ident = $word:literal, $domain:ident, $keys:expr;)+) => {
        /// The distribution of the data given the latent.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Likelihood {
            $($(#[$comment])+ #[serde(rename = $word)] $name,)+
        }

        impl Likelihood {
            /// Every likelihood there is.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// How configurations write it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $word),+ }
            }

            /// The values that it is for.
            pub fn domain(self) -> Domain {
                match self { $(Self::$name => Domain::$domain),+ }
            }

            /// The keys of `[model]` that other likelihoods ignore.
            pub fn keys(self) -> &'static [&'static str] {
                match self { $(Self::$name => &$keys),+ }
            }
        }
    };
}

likelihoods! {
    /// Independent Bernoulli per value, from logits.
    Bernoulli = "bernoulli", Unit, [];
    /// Independent normal per value with the fixed deviation `sigma`: half the squared error over sigma², and a constant.
    Gaussian = "gaussian", Numbers, ["sigma"];
    /// Independent Laplace per value with the fixed deviation `sigma`: the distance over sigma/√2, and a constant.
    Laplace = "laplace", Numbers, ["sigma"];
    /// Independent normal per value whose mean and log-variance the decoder gives.
    GaussianLearned = "gaussian-learned", Numbers, [];
    /// Independent normal per value with one deviation for all, which is learned.
    GaussianShared = "gaussian-shared", Numbers, ["sigma"];
    /// Images of 256 levels: for each pixel a mixture of discretised logistics.
    LogisticMixture = "logistic-mixture", Levels, ["components", "scales", "sigma"];
    /// Independent Poisson per value, from the logarithm of its rate: counts.
    Poisson = "poisson", Counts, [];
    /// Independent negative binomial per value, with a learned dispersion for each place: counts that vary more.
    NegativeBinomial = "negative-binomial", Counts, [];
    /// Negative binomial per value with zeros that are added, from a logit for each value: zero-inflated.
    ZeroInflatedNegativeBinomial = "zero-inflated-negative-binomial", Counts, [];
    /// Counts of items that are drawn one by one, from a logit for each item: what somebody chose, words of a text.
    Multinomial = "multinomial", Counts, [];
    /// Every value one of a few categories, from a logit for each: tokens, label maps, genotypes, answers.
    Categorical = "categorical", Categories, [];
    /// Each column of a table by its type: numeric with a learned variance, binary, category, count (Poisson).
    Heterogeneous = "heterogeneous", Columns, [];
    /// A sequence of tokens, each one of a vocabulary given those before it: text, molecules.
    Tokens = "tokens", Tokens, ["cell", "heads", "bidirectional", "embedding", "word_dropout"];
}

impl Takes {
    /// What a prior of codes takes.
    pub const CODES: Self = Self { domain: Domain::Counts, likelihood: "prior of codes" };

    /// Whether examples are what somebody chose, which is often kept as a list of pairs.
    pub fn is_of_choices(self) -> bool {
        self.likelihood == Likelihood::Multinomial.name()
    }
}

impl Likelihood {
    /// The values that it is for, as data are told them.
    pub fn takes(self) -> Takes {
        Takes { domain: self.domain(), likelihood: self.name() }
    }
}
