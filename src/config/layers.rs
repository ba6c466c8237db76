//! Layers as a recipe has them: a list whose entries are words, such as `"relu"` or `"conv 32 kernel 4 stride 2"`, or tables,
//! such as `{ conv = 32, kernel = 4, stride = 2 }` and `{ residual = ["silu", { conv = 32, kernel = 3, padding = 1 }] }`.
//! They are read once, into a tree. Before there were tables, a block stood between the words `residual {` and `}`; lists of
//! that kind are read as well.

mod check;
mod parse;
mod read;
mod write;

use super::Activation;
use std::ops::Deref;

/// The most layers of a list, with those of its blocks as often as they are repeated.
pub const MAX_LAYERS: usize = 256;

/// The deepest that blocks stand within each other.
const MAX_DEPTH: usize = 16;

/// The layers of an encoder or a decoder.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Layers(Vec<Layer>);

/// A layer of an encoder or a decoder.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each variant says what its fields are")]
pub enum Layer {
    /// Every output depends on every input: `dense 256`; for an image `dense 7x7x64`, height × width × channels, or
    /// `dense data/4x64`, a quarter of the height and the width of the data.
    Dense { to: Dense },
    /// `conv 32 kernel 3 stride 1 padding 0`: 32 channels; what is left out is as here, but for the kernel.
    Conv(Conv),
    /// `conv-transpose 32 kernel 4 stride 2 padding 1 output-padding 0`, as `PyTorch`'s `ConvTranspose2d`.
    ConvTranspose { conv: Conv, output_padding: usize },
    /// `depthwise 5 stride 1 padding 2`: a convolution of each channel by itself, with a kernel of 5×5; what is left out is as here,
    /// but for the padding, which is 0.
    Depthwise { kernel: usize, stride: usize, padding: usize },
    /// `squeeze-excite 8`: each channel times a number between 0 and 1 that the means of all channels give, by way of 8 numbers.
    SqueezeExcite { width: usize },
    /// `avg-pool 2`: the mean of 2×2 pixels; `avg-pool 3 stride 2` of 3×3, two pixels apart.
    AvgPool { kernel: usize, stride: usize },
    /// `upsample 2`: every pixel becomes 2×2.
    Upsample { factor: usize },
    /// `group-norm 8`: the numbers of an example in 8 groups of neighbouring channels, each with mean 0 and variance 1,
    /// then a scale and a shift for each channel.
    GroupNorm { groups: usize },
    /// `layer-norm`: the same with one group.
    LayerNorm,
    /// `pixel-norm`: the channels of each pixel by themselves, with mean 0 and variance 1, then a scale and a shift for each channel.
    PixelNorm,
    /// `batch-norm`: each channel with mean 0 and variance 1 over the examples of a batch, in a trained model by running moments, then a
    /// scale and a shift.
    BatchNorm,
    /// `positions`: numbers that are learned are added, others for each pixel.
    Positions,
    /// `attention 4`: every pixel looks at all others, by 4 heads, as `PyTorch`'s `MultiheadAttention`.
    Attention { heads: usize },
    /// `transformer 4 width 256`: a block of attention by 4 heads and of two maps of every pixel with 256 numbers between them, each
    /// behind a `pixel-norm` and added to what it is given.
    Transformer { heads: usize, width: usize },
    /// `dropout 0.1`: in training, a tenth of the numbers is 0, and the others are larger by as much.
    Dropout { rate: f32 },
    /// `leaky-relu 0.2`: what is below 0 becomes a fifth of it; without a number a hundredth, as `PyTorch`'s `LeakyReLU`.
    LeakyRelu { slope: f32 },
    /// A non-linearity by its name.
    Activation(Activation),
    /// Layers that belong together.
    Block(Block),
}

/// Layers that belong together: `{ residual = [...], skip = {...} }`, or `{ layers = [...] }`; `repeat = 3` has three of
/// them one after the other, each with parameters of its own, and a `name` is part of the names of these.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// What its parameters are called by.
    pub name: Option<String>,
    /// How often it follows itself, from 1 up.
    pub repeat: usize,
    /// What becomes of what it is given.
    pub kind: BlockKind,
    /// Its layers.
    pub layers: Vec<Layer>,
}

/// Kinds of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockKind {
    /// One layer after the other.
    Plain,
    /// What the block is given, or this convolution of it, is added to what it ends with.
    Residual(Option<Conv>),
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

impl Deref for Layers {
    type Target = [Layer];

    fn deref(&self) -> &[Layer] {
        &self.0
    }
}

impl Layers {
    /// How many layers there are, with those of blocks as often as they are repeated.
    pub fn count(&self) -> usize {
        count(self)
    }

    /// Whether a layer, also one within blocks, is such.
    pub fn has(&self, is: &dyn Fn(&Layer) -> bool) -> bool {
        has(self, is)
    }
}

fn has(layers: &[Layer], is: &dyn Fn(&Layer) -> bool) -> bool {
    layers.iter().any(|layer| is(layer) || matches!(layer, Layer::Block(block) if has(&block.layers, is)))
}

fn count(layers: &[Layer]) -> usize {
    let of = |layer: &Layer| match layer {
        Layer::Block(block) => block.repeat.saturating_mul(count(&block.layers)),
        _ => 1,
    };
    layers.iter().map(of).fold(0, usize::saturating_add)
}

impl Layer {
    /// Whether it gives what the likelihood wants.
    pub fn is_out(&self) -> bool {
        match self {
            Self::Dense { to } => *to == Dense::Out,
            Self::Conv(conv) | Self::ConvTranspose { conv, .. } => conv.channels == Channels::Out,
            _ => false,
        }
    }

    /// Whether what it is given, or what it gives, has to be an image; of a block, what goes around it.
    pub fn wants_image(&self) -> bool {
        match self {
            Self::Conv(_)
            | Self::ConvTranspose { .. }
            | Self::Depthwise { .. }
            | Self::SqueezeExcite { .. }
            | Self::AvgPool { .. }
            | Self::Upsample { .. }
            | Self::PixelNorm
            | Self::Positions
            | Self::Attention { .. }
            | Self::Transformer { .. }
            | Self::Dense { to: Dense::Image(_) | Dense::Part { .. } } => true,
            Self::Block(block) => matches!(block.kind, BlockKind::Residual(Some(_))),
            Self::Dense { to: Dense::Numbers(_) | Dense::Out }
            | Self::GroupNorm { .. }
            | Self::LayerNorm
            | Self::BatchNorm
            | Self::Dropout { .. }
            | Self::LeakyRelu { .. }
            | Self::Activation(_) => false,
        }
    }
}

impl Block {
    /// The key under which its layers stand.
    pub fn key(&self) -> &'static str {
        match self.kind {
            BlockKind::Plain => "layers",
            BlockKind::Residual(_) => "residual",
        }
    }
}

#[cfg(test)]
mod tests;
