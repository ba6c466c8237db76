//! Writing layers: in words for messages, as values for other formats, and as the text of a configuration.

use super::{Block, BlockKind, Channels, Conv, Dense, Layer, Layers};
use crate::config::Activation;
use serde::{Serialize, Serializer};
use std::fmt::{self, Display};
use toml::{Table, Value};

/// A layer as its keys, the kind first, or as a single word.
type Pairs = Vec<(&'static str, Value)>;

impl Serialize for Layers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value().serialize(serializer)
    }
}

impl Layers {
    /// The list as a value.
    pub fn value(&self) -> Value {
        Value::Array(self.iter().map(value).collect())
    }

    /// The list as TOML, a line for each layer.
    pub fn text(&self) -> String {
        let lines: Vec<String> = self.iter().map(|layer| format!("    {},\n", text(&Entry::of(layer)))).collect();
        if lines.is_empty() { "[]".into() } else { format!("[\n{}]", lines.concat()) }
    }
}

/// What stands in a list for a layer.
enum Entry<'a> {
    Word(String),
    Table(Pairs),
    Block(&'a Block),
}

impl<'a> Entry<'a> {
    fn of(layer: &'a Layer) -> Self {
        let number = |count: usize| Value::Integer(count as i64);
        match layer {
            Layer::Activation(kind) => Self::Word(word(*kind).into()),
            Layer::LayerNorm => Self::Word("layer-norm".into()),
            Layer::PixelNorm => Self::Word("pixel-norm".into()),
            Layer::BatchNorm => Self::Word("batch-norm".into()),
            Layer::Positions => Self::Word("positions".into()),
            Layer::Attention { heads } => Self::Table(vec![("attention", number(*heads))]),
            Layer::Transformer { heads, width } => {
                Self::Table(vec![("transformer", number(*heads)), ("width", number(*width))])
            }
            Layer::Dense { to } => Self::Table(vec![("dense", size(*to))]),
            Layer::Conv(conv) => Self::Table(convolution("conv", conv, 0)),
            Layer::ConvTranspose { conv, output_padding } => {
                Self::Table(convolution("conv-transpose", conv, *output_padding))
            }
            Layer::Depthwise { kernel, stride, padding } => {
                let options = [("stride", *stride, 1), ("padding", *padding, 0)];
                let options = options.into_iter().filter(|(_, value, usual)| value != usual);
                let options = options.map(|(key, value, _)| (key, number(value)));
                Self::Table([("depthwise", number(*kernel))].into_iter().chain(options).collect())
            }
            Layer::SqueezeExcite { width } => Self::Table(vec![("squeeze-excite", number(*width))]),
            Layer::AvgPool { kernel, stride } => {
                let stride = (stride != kernel).then(|| ("stride", number(*stride)));
                Self::Table([("avg-pool", number(*kernel))].into_iter().chain(stride).collect())
            }
            Layer::Upsample { factor } => Self::Table(vec![("upsample", number(*factor))]),
            Layer::GroupNorm { groups } => Self::Table(vec![("group-norm", number(*groups))]),
            Layer::Dropout { rate } => Self::Table(vec![("dropout", digits(*rate))]),
            Layer::LeakyRelu { slope } => Self::Table(vec![("leaky-relu", digits(*slope))]),
            Layer::Block(block) => Self::Block(block),
        }
    }
}

/// A number with the digits of single precision.
fn digits(number: f32) -> Value {
    Value::Float(number.to_string().parse().unwrap_or(f64::from(number)))
}

/// What a dense layer gives: a number, or sides and channels in words.
fn size(to: Dense) -> Value {
    match to {
        Dense::Numbers(count) => Value::Integer(count as i64),
        Dense::Image([height, width, channels]) => Value::String(format!("{height}x{width}x{channels}")),
        Dense::Part { of, channels } => Value::String(format!("data/{of}x{channels}")),
        Dense::Out => Value::String("out".into()),
    }
}

/// A convolution without what is left out of it.
fn convolution(kind: &'static str, conv: &Conv, output_padding: usize) -> Pairs {
    let channels = match conv.channels {
        Channels::Number(count) => Value::Integer(count as i64),
        Channels::Out => Value::String("out".into()),
    };
    let options = [
        ("kernel", conv.kernel, 0),
        ("stride", conv.stride, 1),
        ("padding", conv.padding, 0),
        ("output-padding", output_padding, 0),
    ];
    let options = options.into_iter().filter(|(_, value, usual)| value != usual);
    [(kind, channels)].into_iter().chain(options.map(|(key, value, _)| (key, Value::Integer(value as i64)))).collect()
}

/// The keys of a block beside its layers.
fn beside(block: &Block) -> Pairs {
    let skip = match &block.kind {
        BlockKind::Residual(Some(conv)) => Some(convolution("conv", conv, 0)),
        _ => None,
    };
    let skip = skip.map(|pairs| ("skip", table(pairs)));
    let repeat = (block.repeat > 1).then_some(("repeat", Value::Integer(block.repeat as i64)));
    let name = block.name.clone().map(|name| ("name", Value::String(name)));
    skip.into_iter().chain(repeat).chain(name).collect()
}

fn table(pairs: Pairs) -> Value {
    Value::Table(pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Table>())
}

fn value(layer: &Layer) -> Value {
    match Entry::of(layer) {
        Entry::Word(word) => Value::String(word),
        Entry::Table(pairs) => table(pairs),
        Entry::Block(block) => {
            let layers = Value::Array(block.layers.iter().map(value).collect());
            table([(block.key(), layers)].into_iter().chain(beside(block)).collect())
        }
    }
}

fn text(entry: &Entry) -> String {
    let pair = |(key, value): &(&str, Value)| match value {
        Value::Table(table) => {
            let pairs: Vec<String> = table.iter().map(|(key, value)| format!("{key} = {value}")).collect();
            format!("{key} = {{ {} }}", pairs.join(", "))
        }
        value => format!("{key} = {value}"),
    };
    match entry {
        Entry::Word(word) => format!("\"{word}\""),
        Entry::Table(pairs) => format!("{{ {} }}", pairs.iter().map(pair).collect::<Vec<_>>().join(", ")),
        Entry::Block(block) => {
            let layers: Vec<String> = block.layers.iter().map(|layer| text(&Entry::of(layer))).collect();
            let rest: Vec<String> = beside(block).iter().map(|given| format!(", {}", pair(given))).collect();
            format!("{{ {} = [{}]{} }}", block.key(), layers.join(", "), rest.concat())
        }
    }
}

/// How a configuration writes a non-linearity.
fn word(kind: Activation) -> &'static str {
    super::parse::ACTIVATIONS.iter().find(|(_, known)| *known == kind).map_or("identity", |(word, _)| word)
}

/// A layer in words: `conv 16 kernel 3`; of a block, how it begins.
impl Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Entry::of(self) {
            Entry::Word(word) => f.write_str(&word),
            Entry::Table(pairs) => f.write_str(&words(&pairs)),
            Entry::Block(block) => block.fmt(f),
        }
    }
}

impl Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            BlockKind::Plain => "layers",
            BlockKind::Residual(_) => "residual",
        })?;
        if let BlockKind::Residual(Some(conv)) = &self.kind {
            write!(f, " {}", words(&convolution("conv", conv, 0)))?;
        }
        if self.repeat > 1 {
            write!(f, " repeat {}", self.repeat)?;
        }
        self.name.iter().try_for_each(|name| write!(f, " name {name}"))
    }
}

fn words(pairs: &Pairs) -> String {
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    pairs.iter().map(|(key, value)| format!("{key} {}", word(value))).collect::<Vec<_>>().join(" ")
}
