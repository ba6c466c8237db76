//! Layers as a recipe writes them, each in a few words: `conv 32 kernel 4 stride 2 padding 1`, `relu`, `dense 256`.

use super::{Activation, nearest};
use std::fmt::{self, Display};

/// A layer of an encoder or a decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant says what its fields are")]
pub enum Layer {
    /// Every output depends on every input: `dense 256`; for an image `dense 7x7x64`, height × width × channels, or
    /// `dense data/4x64`, a quarter of the height and the width of the data.
    Dense { to: Dense },
    /// `conv 32 kernel 3 stride 1 padding 0`: 32 channels; what is left out is as here, but for the kernel.
    Conv { channels: Channels, kernel: usize, stride: usize, padding: usize },
    /// `conv-transpose 32 kernel 4 stride 2 padding 1 output-padding 0`, as `PyTorch`'s `ConvTranspose2d`.
    ConvTranspose { channels: Channels, kernel: usize, stride: usize, padding: usize, output_padding: usize },
    /// A non-linearity by its name.
    Activation(Activation),
}

/// What a dense layer gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dense {
    /// So many numbers.
    Numbers(usize),
    /// An image: height, width, channels.
    Image([usize; 3]),
    /// An image of a part of the height and of the width of the data, and so many channels.
    Part {
        /// How often it goes into the data's sides.
        of: usize,
        /// Channels.
        channels: usize,
    },
    /// All that the likelihood wants.
    Out,
}

/// How many channels a layer gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channels {
    /// So many.
    Number(usize),
    /// As many as the likelihood wants for a pixel.
    Out,
}

/// The largest kernel, stride and the most numbers or channels that a layer may have.
const MOST: [usize; 2] = [64, 1 << 20];

const KINDS: [&str; 3] = ["dense", "conv", "conv-transpose"];

const ACTIVATIONS: [(&str, Activation); 6] = [
    ("relu", Activation::Relu),
    ("tanh", Activation::Tanh),
    ("sigmoid", Activation::Sigmoid),
    ("silu", Activation::Silu),
    ("gelu", Activation::Gelu),
    ("softplus", Activation::Softplus),
];

impl Layer {
    /// Reads a layer.
    ///
    /// # Errors
    /// What is wrong, in words that follow the layer's own: ``knows no `kernal`: did you mean `kernel`?``
    pub fn parse(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let Some((&kind, rest)) = words.split_first() else { return Err("is empty".into()) };
        if let Some((_, activation)) = ACTIVATIONS.iter().find(|(name, _)| *name == kind) {
            return match rest {
                [] => Ok(Self::Activation(*activation)),
                _ => Err(format!("is a non-linearity and takes nothing, not `{}`", rest.join(" "))),
            };
        }
        match kind {
            "dense" => match rest {
                [size] => Ok(Self::Dense { to: dense(size)? }),
                _ => Err("wants one size, such as `dense 256` or `dense 7x7x64`".into()),
            },
            "conv" => {
                let [kernel, stride, padding] =
                    options(rest, [("kernel", None), ("stride", Some(1)), ("padding", Some(0))])?;
                let channels = channels(rest)?;
                check_extents(kernel, stride, padding)?;
                Ok(Self::Conv { channels, kernel, stride, padding })
            }
            "conv-transpose" => {
                let known = [("kernel", None), ("stride", Some(1)), ("padding", Some(0)), ("output-padding", Some(0))];
                let [kernel, stride, padding, output_padding] = options(rest, known)?;
                let channels = channels(rest)?;
                check_extents(kernel, stride, padding)?;
                if output_padding >= stride {
                    return Err(format!("wants an output-padding below its stride, which is {stride}"));
                }
                Ok(Self::ConvTranspose { channels, kernel, stride, padding, output_padding })
            }
            _ => Err(unknown(kind)),
        }
    }

    /// Whether it gives what the likelihood wants.
    pub fn is_out(self) -> bool {
        matches!(
            self,
            Self::Dense { to: Dense::Out }
                | Self::Conv { channels: Channels::Out, .. }
                | Self::ConvTranspose { channels: Channels::Out, .. }
        )
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

/// The values of options, which stand behind the channels as pairs of a name and a number; one without a default has to
/// be there.
fn options<const N: usize>(words: &[&str], known: [(&str, Option<usize>); N]) -> Result<[usize; N], String> {
    let (mut values, mut given) = (known.map(|(_, default)| default), [false; N]);
    for pair in words.get(1..).unwrap_or_default().chunks(2) {
        let at = known.iter().position(|(name, _)| *name == pair[0]).ok_or_else(|| {
            let names = known.map(|(name, _)| name);
            let hint = nearest(pair[0], names).map(|name| format!("; did you mean `{name}`?"));
            format!("knows no `{}`{}", pair[0], hint.unwrap_or_else(|| format!("; it takes {}", names.join(", "))))
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

impl Display for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(count) => count.fmt(f),
            Self::Out => f.write_str("out"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_read_with_their_defaults() {
        let conv = |channels, kernel, stride, padding| Layer::Conv { channels, kernel, stride, padding };
        for (text, expected) in [
            ("relu", Layer::Activation(Activation::Relu)),
            (" softplus ", Layer::Activation(Activation::Softplus)),
            ("dense 256", Layer::Dense { to: Dense::Numbers(256) }),
            ("dense 7x5x64", Layer::Dense { to: Dense::Image([7, 5, 64]) }),
            ("dense data/4x64", Layer::Dense { to: Dense::Part { of: 4, channels: 64 } }),
            ("dense out", Layer::Dense { to: Dense::Out }),
            ("conv 32 kernel 3", conv(Channels::Number(32), 3, 1, 0)),
            ("conv out padding 1 stride 2 kernel 4", conv(Channels::Out, 4, 2, 1)),
        ] {
            assert_eq!(Layer::parse(text), Ok(expected), "{text}");
        }
        let up = Layer::parse("conv-transpose 8 kernel 3 stride 2 padding 1 output-padding 1").unwrap();
        let channels = Channels::Number(8);
        assert_eq!(up, Layer::ConvTranspose { channels, kernel: 3, stride: 2, padding: 1, output_padding: 1 });
        assert!(!up.is_out() && Layer::parse("conv out kernel 1").unwrap().is_out());
    }

    #[test]
    fn what_is_no_layer_is_refused_with_what_was_probably_meant() {
        for (text, expected) in [
            ("", "is empty"),
            ("rleu", "did you mean `relu`"),
            ("cnov 3 kernel 3", "did you mean `conv`"),
            ("attention", "there are dense, conv, conv-transpose, relu"),
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
            let error = Layer::parse(text).expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
