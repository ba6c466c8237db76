//! What a likelihood is called where models leave the house: names of tensors, outputs of files, words of a card.

use crate::config::ModelConfig;
use crate::data::table::Encoding;
use crate::graph::Clamp;
use crate::model::library::{self, LIBRARY};

/// Names and words.
#[derive(Debug)]
pub struct Outside {
    /// What the decoder's last map is called: a name for each part of it.
    pub heads: &'static [&'static str],
    /// What the mean of p(x|z) is.
    pub mean: &'static str,
    /// What p(x|z) is computed from, where its mean says less.
    pub natural: Option<Natural>,
    /// What the decoder gives, in words of a card.
    pub gives: fn(&Gives) -> String,
    /// How the last lines of `decode` go on from the decoder's last map, in PyTorch.
    pub decode: fn(&Decode) -> Python,
}

/// What the decoder's file puts out beside the mean. Many probabilities are 0 or 1 in single precision (in onnxruntime from
/// logits of about -16 on), and their logarithms are lost; their logits are not.
#[derive(Debug, Clone, Copy)]
pub struct Natural {
    /// The name of the output.
    pub name: &'static str,
    /// What it is.
    pub what: &'static str,
    /// Why log p(x|z) is not computed from the mean.
    pub why: &'static str,
    /// −log p(x|z) of rows `x` from it, an expression of `NumPy` where a line is enough.
    pub distortion: Option<&'static str>,
}

impl Natural {
    /// Why logarithms of probabilities are not taken.
    pub(super) const ROUNDED: &str = "probabilities of less than about 1e-7 become 0 in single precision, those of 1 − 1e-8 become 1, and their \
         logarithms are infinite";
    /// Why logarithms of rates are not.
    pub(super) const LOGARITHM: &str = "it takes the logarithm, not its exponential";
    /// Why the mean is not enough.
    pub(super) const MORE: &str = "the mean alone does not say it";
}

/// What [`Outside::gives`] may have to say.
#[derive(Debug, Clone, Copy)]
pub struct Gives<'a> {
    /// The model.
    pub config: &'a ModelConfig,
    /// What was learned for all values at once, or the deviation of the configuration.
    pub sigma: f32,
    /// ` in units of the scaled numbers`, where numbers of the data were scaled.
    pub units: &'a str,
    /// The file that holds what is learned for all examples.
    pub file: &'a str,
}

/// What [`Outside::decode`] builds on.
#[derive(Clone, Copy)]
pub struct Decode<'a> {
    /// The model.
    pub config: &'a ModelConfig,
    /// Channels, height and width of an example.
    pub shape: [usize; 3],
    /// How rows became numbers, where they did.
    pub encoding: Option<&'a Encoding>,
    /// Log-variances that the decoder puts out.
    pub variances: usize,
    /// The decoder's last map under one of its names, as an expression.
    pub head: &'a dyn Fn(&str) -> String,
}

/// Lines of Python.
#[derive(Debug)]
pub struct Python {
    /// Functions that `decode` calls.
    pub functions: &'static str,
    /// The end of its body.
    pub lines: String,
}

impl Decode<'_> {
    /// Whether numbers of the data were scaled: units of the data are those of the model otherwise.
    pub fn scales(&self) -> bool {
        self.encoding.is_some_and(Encoding::scales)
    }

    /// The logarithms of the means of counts, as an expression: what the head of this name gives, or where means are shares of a
    /// library size, with that of the tensor beside the networks.
    pub fn log_means(&self, head: &str) -> String {
        let head = (self.head)(head);
        if library::is_observed(self.config) {
            return format!("({head}.log_softmax(1) + tensors[\"{LIBRARY}\"])");
        }
        head
    }

    /// From the model's units to those of the data, behind an expression.
    pub fn units(&self) -> &'static str {
        if self.scales() { " * scale + shift" } else { "" }
    }

    /// The log-variances of an expression within their range.
    pub fn held(&self, log_variances: &str) -> String {
        let Clamp { low, high } = super::columns::range(self.config);
        format!("{log_variances}.clamp({low}, {high})")
    }
}

impl Python {
    /// A body that ends with an expression.
    pub(super) fn returns(expression: &str) -> Self {
        Self { functions: "", lines: format!("    return {expression}\n") }
    }
}
