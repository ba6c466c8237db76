//! Layers as a recipe writes them, each in a few words: `conv 32 kernel 4 stride 2 padding 1`, `relu`, `dense 256`.

mod parse;

use super::Activation;
use crate::error::{Error, Result};
use std::fmt::{self, Display};

/// A layer of an encoder or a decoder.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "each variant says what its fields are")]
pub enum Layer {
    /// Every output depends on every input: `dense 256`; for an image `dense 7x7x64`, height × width × channels, or
    /// `dense data/4x64`, a quarter of the height and the width of the data.
    Dense { to: Dense },
    /// `conv 32 kernel 3 stride 1 padding 0`: 32 channels; what is left out is as here, but for the kernel.
    Conv(Conv),
    /// `conv-transpose 32 kernel 4 stride 2 padding 1 output-padding 0`, as `PyTorch`'s `ConvTranspose2d`.
    ConvTranspose { conv: Conv, output_padding: usize },
    /// `avg-pool 2`: the mean of 2×2 pixels; `avg-pool 3 stride 2` of 3×3, two pixels apart.
    AvgPool { kernel: usize, stride: usize },
    /// `upsample 2`: every pixel becomes 2×2.
    Upsample { factor: usize },
    /// `group-norm 8`: the numbers of an example in 8 groups of neighbouring channels, each with mean 0 and variance 1,
    /// then a scale and a shift for each channel.
    GroupNorm { groups: usize },
    /// `layer-norm`: the same with one group.
    LayerNorm,
    /// `dropout 0.1`: in training, a tenth of the numbers is 0, and the others are larger by as much.
    Dropout { rate: f32 },
    /// `residual {`: what is here is added to what the block ends with; `residual conv 64 kernel 1 stride 2 {` adds a
    /// convolution of it.
    Begin { skip: Option<Conv> },
    /// `}`
    End,
    /// A non-linearity by its name.
    Activation(Activation),
}

/// A convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv {
    /// What it gives.
    pub channels: Channels,
    /// Taps along each side.
    pub kernel: usize,
    /// Pixels from one place of the kernel to the next.
    pub stride: usize,
    /// Pixels of zeros around the image.
    pub padding: usize,
}

/// What a dense layer gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dense {
    /// So many numbers.
    Numbers(usize),
    /// An image: height, width, channels.
    Image([usize; 3]),
    /// An image of a part of the height and of the width of the data, and its number of channels.
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

impl Layer {
    /// Whether it gives what the likelihood wants.
    pub fn is_out(self) -> bool {
        match self {
            Self::Dense { to } => to == Dense::Out,
            Self::Conv(conv) | Self::ConvTranspose { conv, .. } | Self::Begin { skip: Some(conv) } => {
                conv.channels == Channels::Out
            }
            _ => false,
        }
    }

    /// Whether what it is given, or what it gives, has to be an image.
    pub fn wants_image(self) -> bool {
        match self {
            Self::Conv(_)
            | Self::ConvTranspose { .. }
            | Self::AvgPool { .. }
            | Self::Upsample { .. }
            | Self::Begin { skip: Some(_) }
            | Self::Dense { to: Dense::Image(_) | Dense::Part { .. } } => true,
            Self::Dense { to: Dense::Numbers(_) | Dense::Out }
            | Self::GroupNorm { .. }
            | Self::LayerNorm
            | Self::Dropout { .. }
            | Self::Begin { skip: None }
            | Self::End
            | Self::Activation(_) => false,
        }
    }
}

/// All layers of the list under a key. What shapes they make shows when the data are known.
///
/// # Errors
/// [`Error::Usage`] that names the layer: it is unknown, it gives `out` and is not the last or not one of a decoder, or
/// a block does not begin and end as it should.
pub fn list(key: &str, texts: &[String], decoder: bool) -> Result<Vec<Layer>> {
    let mut all = Vec::with_capacity(texts.len());
    let mut begun: Option<usize> = None;
    for (at, text) in texts.iter().enumerate() {
        let wrong = |why: &str| Err(Error::Usage(format!("{key}[{at}] `{text}` {why}")));
        let layer = match Layer::parse(text) {
            Ok(layer) => layer,
            Err(why) => return wrong(&why),
        };
        match (layer, begun) {
            _ if layer.is_out() && !decoder => {
                return wrong("gives `out`, what the likelihood wants, and only a decoder can");
            }
            _ if layer.is_out() && at + 1 < texts.len() => {
                return wrong("gives `out`, what the likelihood wants, and has to be the last");
            }
            (Layer::Begin { .. }, Some(outer)) => {
                let outer = format!("begins a block within that of {key}[{outer}]: end that one with `}}` first");
                return wrong(&outer);
            }
            (Layer::Begin { .. }, None) => begun = Some(at),
            (Layer::End, None) => return wrong("ends a block that nothing began: `residual {` does"),
            (Layer::End, Some(first)) if first + 1 == at => return wrong("ends a block in which there is no layer"),
            (Layer::End, Some(_)) => begun = None,
            _ => {}
        }
        all.push(layer);
    }
    match begun {
        Some(at) => Err(Error::Usage(format!("{key}[{at}] `{}` begins a block that no `}}` ends", texts[at]))),
        None => Ok(all),
    }
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
    fn lists_that_do_not_hold_together_are_refused_by_the_layer() {
        for (texts, expected) in [
            (&["relu", "relo"][..], "layers[1] `relo` is unknown; did you mean `relu`?"),
            (
                &["dense out", "relu"],
                "layers[0] `dense out` gives `out`, what the likelihood wants, and has to be the last",
            ),
            (&["relu", "}"], "layers[1] `}` ends a block that nothing began"),
            (&["residual {", "relu", "}", "}"], "layers[3] `}` ends a block that nothing began"),
            (&["residual {", "}"], "layers[1] `}` ends a block in which there is no layer"),
            (&["relu", "residual {", "relu"], "layers[1] `residual {` begins a block that no `}` ends"),
            (
                &["residual {", "relu", "residual conv 8 kernel 1 {", "relu", "}", "}"],
                "layers[2] `residual conv 8 kernel 1 {` begins a block within that of layers[0]",
            ),
            (&["residual {", "dense out", "}"], "layers[1] `dense out` gives `out`"),
        ] {
            let texts: Vec<String> = texts.iter().map(|&text| text.into()).collect();
            let error = list("layers", &texts, true).expect_err(expected);
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().starts_with(expected) && !error.to_string().contains('\n'), "{error}");
        }
        let texts = ["conv out kernel 3".to_owned()];
        assert!(list("layers", &texts, false).unwrap_err().to_string().contains("only a decoder can"));
        assert_eq!(list("layers", &texts, true).unwrap().len(), 1);
        let blocks = ["residual {", "relu", "}", "residual {", "tanh", "}"].map(str::to_owned);
        assert_eq!(list("layers", &blocks, false).unwrap().len(), 6);
    }
}
