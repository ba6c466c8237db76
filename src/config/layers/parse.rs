//! Reading a layer in words.

use super::{Channels, Conv, Dense, Layer};
use crate::config::{Activation, nearest};

/// The slope of a leaky rectifier below 0 where none is given, that of `PyTorch`.
const LEAK: f32 = 0.01;

/// The largest kernel, stride and the most numbers or channels that a layer may have.
const MOST: [usize; 2] = [64, 1 << 20];

pub(super) const KINDS: [&str; 17] = [
    "dense",
    "conv",
    "conv-transpose",
    "depthwise",
    "squeeze-excite",
    "avg-pool",
    "upsample",
    "group-norm",
    "layer-norm",
    "pixel-norm",
    "batch-norm",
    "positions",
    "attention",
    "transformer",
    "dropout",
    "leaky-relu",
    "residual",
];

/// Layers that take nothing, and what is said where they are given something.
pub(super) const BARE: [(&str, Layer, &str); 4] = [
    ("layer-norm", Layer::LayerNorm, "it is over all numbers of an example"),
    ("pixel-norm", Layer::PixelNorm, "it is over the channels of each pixel"),
    ("batch-norm", Layer::BatchNorm, "it is over a batch"),
    ("positions", Layer::Positions, "there are as many as pixels"),
];

pub(super) const ACTIVATIONS: [(&str, Activation); 7] = [
    ("relu", Activation::Relu),
    ("tanh", Activation::Tanh),
    ("sigmoid", Activation::Sigmoid),
    ("silu", Activation::Silu),
    ("gelu", Activation::Gelu),
    ("gelu-erf", Activation::GeluErf),
    ("softplus", Activation::Softplus),
];

/// What an entry of a list says in words.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Word {
    /// A layer.
    Layer(Layer),
    /// `residual {` or `residual conv 64 kernel 1 stride 2 {`: a block begins, with a convolution on the way around it.
    Begin(Option<Conv>),
    /// `}`: it ends.
    End,
}

/// Reads an entry.
///
/// # Errors
/// What is wrong, in words that follow the layer's own: ``knows no `kernal`: did you mean `kernel`?``
pub(super) fn word(text: &str) -> Result<Word, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.split_first() {
        Some((&"residual", rest)) => skip(rest).map(Word::Begin),
        Some((&"}", [])) => Ok(Word::End),
        Some((&"}", rest)) => Err(format!("ends a block and takes nothing, not `{}`", rest.join(" "))),
        _ => Layer::parse(text).map(Word::Layer),
    }
}

impl Layer {
    /// Reads a layer that is no block.
    ///
    /// # Errors
    /// Those of [`word`].
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let Some((&kind, rest)) = words.split_first() else { return Err("is empty".into()) };
        if let Some((_, activation)) = ACTIVATIONS.iter().find(|(name, _)| *name == kind) {
            return match rest {
                [] => Ok(Self::Activation(*activation)),
                _ => Err(format!("is a non-linearity and takes nothing, not `{}`", rest.join(" "))),
            };
        }
        if let Some((_, layer, why)) = BARE.iter().find(|(name, ..)| *name == kind) {
            return match rest {
                [] => Ok(layer.clone()),
                _ => Err(format!("takes nothing, not `{}`: {why}", rest.join(" "))),
            };
        }
        match kind {
            "dense" => match rest {
                [size] => Ok(Self::Dense { to: dense(size)? }),
                _ => Err("wants one size, such as `dense 256` or `dense 7x7x64`".into()),
            },
            "conv" => Ok(Self::Conv(conv(rest)?)),
            "conv-transpose" => {
                let known = [("kernel", None), ("stride", Some(1)), ("padding", Some(0)), ("output-padding", Some(0))];
                let [kernel, stride, padding, output_padding] = options(rest, known)?;
                let conv = Conv { channels: channels(rest)?, kernel, stride, padding };
                check_extents(kernel, stride, padding)?;
                if output_padding >= stride {
                    return Err(format!("wants an output-padding below its stride, which is {stride}"));
                }
                Ok(Self::ConvTranspose { conv, output_padding })
            }
            "depthwise" => {
                let kernel = number(rest, "the side of a kernel, such as `depthwise 5 padding 2`")?;
                let [stride, padding] = options(rest, [("stride", Some(1)), ("padding", Some(0))])?;
                check_extents(kernel, stride, padding)?;
                Ok(Self::Depthwise { kernel, stride, padding })
            }
            "squeeze-excite" => {
                let width = number(rest, "how many numbers are between, such as `squeeze-excite 8`")?;
                let [] = options(rest, [])?;
                Ok(Self::SqueezeExcite { width })
            }
            "avg-pool" => {
                let kernel = number(rest, "the side of a window, such as `avg-pool 2`")?;
                let [stride] = options(rest, [("stride", Some(kernel))])?;
                check_extents(kernel, stride, 0)?;
                Ok(Self::AvgPool { kernel, stride })
            }
            "upsample" => {
                let factor = number(rest, "how often each pixel is repeated, such as `upsample 2`")?;
                let [] = options(rest, [])?;
                if factor > MOST[0] {
                    return Err(format!("repeats each pixel up to {} times", MOST[0]));
                }
                Ok(Self::Upsample { factor })
            }
            "group-norm" => {
                let groups = number(rest, "a number of groups, such as `group-norm 8`")?;
                let [] = options(rest, [])?;
                Ok(Self::GroupNorm { groups })
            }
            "attention" => {
                let heads = number(rest, "a number of heads, such as `attention 4`")?;
                let [] = options(rest, [])?;
                Ok(Self::Attention { heads })
            }
            "transformer" => {
                let heads = number(rest, "a number of heads, such as `transformer 4 width 256`")?;
                let [width] = options(rest, [("width", None)])?;
                if !(1..=MOST[1]).contains(&width) {
                    return Err(format!("wants a width from 1 to {}", MOST[1]));
                }
                Ok(Self::Transformer { heads, width })
            }
            "dropout" => {
                let rate: Option<f32> = if rest.len() == 1 { rest[0].parse().ok() } else { None };
                let rate = rate.filter(|rate| (0.0..1.0).contains(rate));
                rate.map(|rate| Self::Dropout { rate })
                    .ok_or_else(|| "wants the share that is left out, from 0 to below 1, such as `dropout 0.1`".into())
            }
            "leaky-relu" => {
                let slope: Option<f32> = match rest {
                    [] => Some(LEAK),
                    [slope] => slope.parse().ok(),
                    _ => None,
                };
                let slope = slope.filter(|slope| *slope > 0.0 && *slope < 1.0);
                slope
                    .map(|slope| Self::LeakyRelu { slope })
                    .ok_or_else(|| "wants a slope for what is below 0, itself between 0 and 1, such as `leaky-relu 0.2`, or nothing".into())
            }
            _ => Err(unknown(kind)),
        }
    }
}

/// A convolution, by the words behind its name.
fn conv(words: &[&str]) -> Result<Conv, String> {
    let [kernel, stride, padding] = options(words, [("kernel", None), ("stride", Some(1)), ("padding", Some(0))])?;
    let channels = channels(words)?;
    check_extents(kernel, stride, padding)?;
    Ok(Conv { channels, kernel, stride, padding })
}

/// What lies on the way around a block, by the words behind `residual`.
fn skip(words: &[&str]) -> Result<Option<Conv>, String> {
    match words {
        ["{"] => Ok(None),
        ["conv", words @ .., "{"] => match conv(words)? {
            Conv { channels: Channels::Out, .. } => {
                Err("gives `out`, what the likelihood wants, and only the last layer of a decoder can".into())
            }
            conv => Ok(Some(conv)),
        },
        _ => Err("begins a block as `residual {` or, with a convolution on the way around it, as \
                  `residual conv 64 kernel 1 {`; a table does so too: { residual = [...], skip = { conv = 64, kernel = 1 } }"
            .into()),
    }
}

fn unknown(kind: &str) -> String {
    let all = || KINDS.into_iter().chain(ACTIVATIONS.into_iter().map(|(name, _)| name));
    let hint = nearest(kind, all()).map(|name| format!("; did you mean `{name}`?"));
    format!("is unknown{}", hint.unwrap_or_else(|| format!("; there are {}", all().collect::<Vec<_>>().join(", "))))
}

fn dense(size: &str) -> Result<Dense, String> {
    if size == "out" {
        return Ok(Dense::Out);
    }
    if let Some((of, channels)) = size.strip_prefix("data/").and_then(|rest| rest.split_once('x')) {
        let number = |text: &str| text.parse().ok().filter(|n| (1..=MOST[1]).contains(n));
        return match (number(of), number(channels)) {
            (Some(of), Some(channels)) => Ok(Dense::Part { of, channels }),
            _ => Err(format!("wants a part such as data/4x64 (a quarter of the sides, 64 channels), not `{size}`")),
        };
    }
    let numbers: Option<Vec<usize>> = size.split('x').map(|part| part.parse().ok().filter(|&n| n > 0)).collect();
    let fits = |numbers: &Vec<usize>| numbers.iter().try_fold(1_usize, |all, &n| all.checked_mul(n)) <= Some(MOST[1]);
    match numbers.filter(fits).as_deref() {
        Some(&[count]) => Ok(Dense::Numbers(count)),
        Some(&[height, width, channels]) => Ok(Dense::Image([height, width, channels])),
        _ => {
            Err(format!("wants a size such as 256, 7x7x64 (height x width x channels), data/4x64 or out, not `{size}`"))
        }
    }
}

/// The channels, which come first.
fn channels(words: &[&str]) -> Result<Channels, String> {
    match words.first() {
        Some(&"out") => Ok(Channels::Out),
        Some(word) => match word.parse() {
            Ok(count) if (1..=MOST[1]).contains(&count) => Ok(Channels::Number(count)),
            _ => Err(format!("wants a number of channels, or out, not `{word}`")),
        },
        None => Err("wants a number of channels, such as 32, or out".into()),
    }
}

/// A number above 0, which comes first; `what` says what it is.
fn number(words: &[&str], what: &str) -> Result<usize, String> {
    let number = words.first().and_then(|word| word.parse().ok());
    number.filter(|number| (1..=MOST[1]).contains(number)).ok_or_else(|| format!("wants {what}"))
}

/// The values of options, which stand behind the first word as pairs of a name and a number; one without a default has to
/// be there.
fn options<const N: usize>(words: &[&str], known: [(&str, Option<usize>); N]) -> Result<[usize; N], String> {
    let (mut values, mut given) = (known.map(|(_, default)| default), [false; N]);
    for pair in words.get(1..).unwrap_or_default().chunks(2) {
        let at = known.iter().position(|(name, _)| *name == pair[0]).ok_or_else(|| {
            let names = known.map(|(name, _)| name);
            let hint = nearest(pair[0], names).map(|name| format!("; did you mean `{name}`?"));
            let takes =
                || if N == 0 { "; it takes nothing more".into() } else { format!("; it takes {}", names.join(", ")) };
            format!("knows no `{}`{}", pair[0], hint.unwrap_or_else(takes))
        })?;
        if std::mem::replace(&mut given[at], true) {
            return Err(format!("says `{}` twice", pair[0]));
        }
        let value = pair.get(1).and_then(|word| word.parse().ok());
        values[at] = Some(value.ok_or_else(|| format!("wants a whole number after `{}`", pair[0]))?);
    }
    match values.iter().position(Option::is_none) {
        Some(at) => Err(format!("wants a {}, such as `{} 3`", known[at].0, known[at].0)),
        None => Ok(values.map(Option::unwrap_or_default)),
    }
}

fn check_extents(kernel: usize, stride: usize, padding: usize) -> Result<(), String> {
    if !(1..=MOST[0]).contains(&kernel) || !(1..=MOST[0]).contains(&stride) {
        return Err(format!("wants a kernel and a stride from 1 to {}", MOST[0]));
    }
    if padding >= kernel {
        return Err(format!("wants a padding below its kernel, which is {kernel}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_read_with_their_defaults() {
        let conv = |channels, kernel, stride, padding| Conv { channels, kernel, stride, padding };
        for (text, expected) in [
            ("relu", Layer::Activation(Activation::Relu)),
            (" softplus ", Layer::Activation(Activation::Softplus)),
            ("dense 256", Layer::Dense { to: Dense::Numbers(256) }),
            ("dense 7x5x64", Layer::Dense { to: Dense::Image([7, 5, 64]) }),
            ("dense data/4x64", Layer::Dense { to: Dense::Part { of: 4, channels: 64 } }),
            ("dense out", Layer::Dense { to: Dense::Out }),
            ("conv 32 kernel 3", Layer::Conv(conv(Channels::Number(32), 3, 1, 0))),
            ("conv out padding 1 stride 2 kernel 4", Layer::Conv(conv(Channels::Out, 4, 2, 1))),
            ("depthwise 5", Layer::Depthwise { kernel: 5, stride: 1, padding: 0 }),
            ("depthwise 5 stride 2 padding 2", Layer::Depthwise { kernel: 5, stride: 2, padding: 2 }),
            ("squeeze-excite 8", Layer::SqueezeExcite { width: 8 }),
            ("avg-pool 2", Layer::AvgPool { kernel: 2, stride: 2 }),
            ("avg-pool 3 stride 2", Layer::AvgPool { kernel: 3, stride: 2 }),
            ("upsample 2", Layer::Upsample { factor: 2 }),
            ("group-norm 8", Layer::GroupNorm { groups: 8 }),
            ("layer-norm", Layer::LayerNorm),
            ("pixel-norm", Layer::PixelNorm),
            ("batch-norm", Layer::BatchNorm),
            ("positions", Layer::Positions),
            ("attention 4", Layer::Attention { heads: 4 }),
            ("transformer 4 width 256", Layer::Transformer { heads: 4, width: 256 }),
            ("leaky-relu", Layer::LeakyRelu { slope: 0.01 }),
            ("leaky-relu 0.2", Layer::LeakyRelu { slope: 0.2 }),
            ("dropout 0.1", Layer::Dropout { rate: 0.1 }),
            ("dropout 0", Layer::Dropout { rate: 0.0 }),
        ] {
            assert_eq!(Layer::parse(text), Ok(expected), "{text}");
        }
        let skip = conv(Channels::Number(64), 1, 2, 0);
        for (text, expected) in [
            ("residual {", Word::Begin(None)),
            ("residual conv 64 kernel 1 stride 2 {", Word::Begin(Some(skip))),
            ("}", Word::End),
        ] {
            assert_eq!(word(text), Ok(expected), "{text}");
        }
        let up = Layer::parse("conv-transpose 8 kernel 3 stride 2 padding 1 output-padding 1").unwrap();
        assert_eq!(up, Layer::ConvTranspose { conv: conv(Channels::Number(8), 3, 2, 1), output_padding: 1 });
        assert!(!up.is_out() && Layer::parse("conv out kernel 1").unwrap().is_out());
    }

    #[test]
    fn what_is_no_layer_is_refused_with_what_was_probably_meant() {
        for (text, expected) in [
            ("", "is empty"),
            ("rleu", "did you mean `relu`"),
            ("cnov 3 kernel 3", "did you mean `conv`"),
            ("recurrent", "there are dense, conv, conv-transpose, depthwise"),
            ("attention", "such as `attention 4`"),
            ("attention 0", "a number of heads"),
            ("attention 4 width 3", "knows no `width`; it takes nothing more"),
            ("transformer 4", "wants a width"),
            ("transformer 4 width 0", "a width from 1"),
            ("transformer width 4", "a number of heads"),
            ("pixel-norm 3", "takes nothing, not `3`: it is over the channels"),
            ("positions 49", "takes nothing, not `49`: there are as many"),
            ("groupnorm 8", "did you mean `group-norm`"),
            ("depthwise", "such as `depthwise 5 padding 2`"),
            ("depthwise 3 padding 3", "a padding below its kernel"),
            ("squeeze-excite 0", "such as `squeeze-excite 8`"),
            ("squeeze-excite 4 stride 2", "knows no `stride`"),
            ("avg-pool", "such as `avg-pool 2`"),
            ("avg-pool 65", "from 1 to 64"),
            ("avg-pool 2 padding 1", "it takes stride"),
            ("upsample 0", "such as `upsample 2`"),
            ("upsample 65", "up to 64 times"),
            ("upsample 2 bilinear", "knows no `bilinear`; it takes nothing more"),
            ("group-norm", "a number of groups"),
            ("layer-norm 3", "takes nothing"),
            ("dropout", "such as `dropout 0.1`"),
            ("dropout 1", "below 1"),
            ("leaky-relu 1", "such as `leaky-relu 0.2`"),
            ("leaky-relu nan", "itself between 0 and 1"),
            ("leaky-relu 0.1 0.2", "or nothing"),
            ("dropout nan", "below 1"),
            ("dropout 0.1 0.2", "such as `dropout 0.1`"),
            ("residual", "`residual {`"),
            ("residual dense 3 {", "`residual conv 64 kernel 1 {`"),
            ("residual conv 3 {", "wants a kernel"),
            ("residual conv out kernel 1 {", "only the last layer"),
            ("} relu", "takes nothing"),
            ("relu 3", "takes nothing"),
            ("dense", "wants one size"),
            ("dense 3 4", "wants one size"),
            ("dense 0", "not `0`"),
            ("dense 3x4", "height x width x channels"),
            ("dense data/0x4", "such as data/4x64"),
            ("dense 99999x99999x99999", "wants a size"),
            ("conv", "wants a kernel"),
            ("conv kernel 3", "knows no `3`"),
            ("conv 0 kernel 3", "number of channels"),
            ("conv 3", "wants a kernel"),
            ("conv 3 kernal 3", "did you mean `kernel`"),
            ("conv 3 kernel", "a whole number after `kernel`"),
            ("conv 3 kernel -1", "a whole number after `kernel`"),
            ("conv 3 kernel 0", "from 1 to 64"),
            ("conv 3 kernel 3 stride 0", "from 1 to 64"),
            ("conv 3 kernel 3 padding 3", "below its kernel"),
            ("conv 3 kernel 3 output-padding 1", "it takes kernel, stride, padding"),
            ("conv-transpose 3 kernel 3 output-padding 1", "below its stride"),
        ] {
            let error = word(text).expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
