//! Networks as steps with all their shapes, and from those to a graph. [`build`] makes them of layers as a recipe has them;
//! [`attention`] is what pixels of an image, or places of a sequence, see of each other, [`batch_norm`] what examples of a batch
//! have in common.

pub mod attention;
pub mod batch_norm;
mod build;
#[cfg(test)]
mod tests;

use crate::config::Activation;
use crate::error::{Error, Result};
use crate::graph::{Axis, ConvGeometry, Graph, Id, Op, Reduction};
use crate::shape::Shape;
pub use build::{GroupSteps, TopDown, between, decoder, discriminator, encoder, grid, top_down};

/// Height, width and channels of an image.
pub type Image = [usize; 3];

/// One step of a network.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// A trainable map.
    Map(Map),
    /// A non-linearity.
    Activation(Activation),
    /// The class of the example, one of so many, joins what the next map reads.
    Class(usize),
    /// Between images as data sets store them, one plane after the other, and images whose channels lie side by side.
    NchwNhwc {
        /// Channels.
        channels: usize,
        /// Whether pixels are made of planes.
        to_pixels: bool,
    },
    /// Means of neighbouring pixels, or where the window goes up, pixels that are repeated.
    Pool(ConvGeometry),
    /// Of queries, keys and values of each pixel what it sees of all pixels: see [`attention::attend`].
    Attention {
        /// Heads.
        heads: usize,
        /// Pixels of the image.
        pixels: usize,
    },
    /// An image of so many pixels is kept, and what goes on is the mean over them of each channel.
    Squeeze(usize),
    /// The image that was kept last, each channel times its number.
    Excite(usize),
    /// What is below 0 times this slope, which is below 1.
    LeakyRelu(f32),
    /// In training, this share of the numbers is left out.
    Dropout(f32),
    /// A residual block begins, perhaps within another: what is here, or what this map makes of it, is added to what the
    /// block ends with.
    Begin(Option<Map>),
    /// The residual block that began last ends.
    End,
}

/// A trainable map and where its tensor belongs.
#[derive(Debug, Clone, PartialEq)]
pub struct Map {
    /// The name of its parameter.
    pub name: String,
    /// What it reads: numbers of an example, or channels of a pixel.
    pub inputs: usize,
    /// What it makes, likewise.
    pub outputs: usize,
    /// What kind of map it is.
    pub kind: MapKind,
}

/// Kinds of trainable maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapKind {
    /// Every output depends on every input. Inputs or outputs may be those of an image.
    Dense {
        /// The image that is read, if it is one of a layer; the data are taken as they are stored.
        from: Option<Image>,
        /// The image that is made, if it is one.
        to: Option<Image>,
    },
    /// A convolution or a transposed one.
    Conv(ConvGeometry),
    /// A convolution of each channel by itself; its inputs are 1.
    Depthwise(ConvGeometry),
    /// Group normalisation, or with one group layer normalisation, with a scale and a shift for each channel.
    Norm {
        /// Groups of neighbouring channels.
        groups: usize,
        /// Pixels of the image; numbers of an example are the channels of one pixel.
        pixels: usize,
    },
    /// The same dense map of every pixel, of so many.
    Pixels(usize),
    /// Layer normalisation of the channels of every pixel by itself, of so many.
    PixelNorm(usize),
    /// Normalisation of each channel over a batch and the pixels of its images, of so many: see [`batch_norm`].
    BatchNorm(usize),
    /// What is added to every pixel; its inputs are the pixels, its outputs their channels.
    Positions,
}

impl MapKind {
    /// Whether its tensor is a matrix of weights with the bias as its last row.
    pub fn is_affine(self) -> bool {
        matches!(self, Self::Dense { .. } | Self::Conv(_) | Self::Depthwise(_) | Self::Pixels(_))
    }

    /// Whether its tensor is a scale and a shift.
    pub fn is_norm(self) -> bool {
        matches!(self, Self::Norm { .. } | Self::PixelNorm(_) | Self::BatchNorm(_))
    }
}

impl Map {
    /// The shape of its parameter: a row for each input, through each tap, and the bias; of a normalisation scale and shift; of
    /// positions a row for each.
    pub fn shape(&self) -> Shape {
        match self.kind {
            MapKind::Dense { .. } | MapKind::Conv(_) | MapKind::Depthwise(_) | MapKind::Pixels(_) => {
                Shape::new(&[self.taps() * self.inputs + 1, self.outputs])
            }
            MapKind::Norm { .. } | MapKind::PixelNorm(_) | MapKind::BatchNorm(_) => Shape::new(&[2, self.outputs]),
            MapKind::Positions => Shape::new(&[self.inputs, self.outputs]),
        }
    }

    /// Factors that an input and an output have: one for each tap of a convolution.
    pub fn taps(&self) -> usize {
        match self.kind {
            MapKind::Conv(window) | MapKind::Depthwise(window) => window.taps(),
            _ => 1,
        }
    }

    /// The map of a tensor [R, in] with its parameter; gives [R, out].
    fn apply(&self, graph: &mut Graph, x: Id, w: Id) -> Result<Id> {
        match self.kind {
            MapKind::Dense { .. } => graph.add(Op::Affine { x, w }),
            MapKind::Conv(window) => graph.add(Op::Conv { x, w, window }),
            MapKind::Depthwise(window) => graph.add(Op::Depthwise { x, w, window }),
            MapKind::Norm { groups, .. } => {
                let moments = graph.add(Op::GroupMoments { x, channels: self.outputs, groups })?;
                graph.add(Op::GroupNorm { x, w, moments })
            }
            MapKind::Pixels(pixels) => {
                let rows = graph.shape(x).rows();
                let x = in_rows(graph, x, [rows * pixels, self.inputs])?;
                let y = graph.add(Op::Affine { x, w })?;
                graph.reshape(y, &[rows, pixels * self.outputs])
            }
            MapKind::PixelNorm(pixels) => {
                let rows = graph.shape(x).rows();
                let x = in_rows(graph, x, [rows * pixels, self.outputs])?;
                let moments = graph.add(Op::GroupMoments { x, channels: self.outputs, groups: 1 })?;
                let y = graph.add(Op::GroupNorm { x, w, moments })?;
                graph.reshape(y, &[rows, pixels * self.outputs])
            }
            MapKind::BatchNorm(pixels) => batch_norm::apply(graph, self, pixels, [x, w]),
            MapKind::Positions => {
                let w = graph.as_row(w)?;
                graph.map([x, w], |[x, w]| x + w)
            }
        }
    }
}

/// A tensor in other extents; where it is another one in other extents, and that has these, that one.
fn in_rows(graph: &mut Graph, x: Id, extents: [usize; 2]) -> Result<Id> {
    match *graph.op(x) {
        Op::Reshape { x, .. } if graph.shape(x) == Shape::new(&extents) => Ok(x),
        _ => graph.reshape(x, &extents),
    }
}

/// The maps of a perceptron beside encoder and decoder: `name.0`, `name.1` and so on, and `name.head`.
pub fn beside(name: &str, inputs: usize, hidden: &[usize], outputs: usize) -> Vec<Map> {
    let kind = MapKind::Dense { from: None, to: None };
    let map = |(at, (&inputs, &outputs)): (usize, (&usize, &usize))| {
        let place = if at == hidden.len() { "head".to_owned() } else { at.to_string() };
        Map { name: format!("{name}.{place}"), inputs, outputs, kind }
    };
    std::iter::once(&inputs).chain(hidden).zip(hidden.iter().chain([&outputs])).enumerate().map(map).collect()
}

/// Declares the trainable tensors of a network.
///
/// # Errors
/// None for steps that [`encoder`] or [`decoder`] made; a name that is there already.
pub fn declare(graph: &mut Graph, steps: &[Step]) -> Result<Vec<Id>> {
    maps(steps).map(|map| graph.parameter(&map.name, map.shape())).collect()
}

/// The trainable maps of a network.
pub fn maps(steps: &[Step]) -> impl Iterator<Item = &Map> {
    steps.iter().filter_map(|step| match step {
        Step::Map(map) | Step::Begin(Some(map)) => Some(map),
        Step::Activation(_)
        | Step::Class(_)
        | Step::NchwNhwc { .. }
        | Step::Pool(_)
        | Step::Attention { .. }
        | Step::Squeeze(_)
        | Step::Excite(_)
        | Step::Dropout(_)
        | Step::LeakyRelu(_)
        | Step::Begin(None)
        | Step::End => None,
    })
}

/// A network on a tensor [R, in], with its trainable tensors and the classes of the examples, [B], if it is conditional;
/// gives [R, out]. Only graphs of training leave numbers out and normalise by a batch.
///
/// # Errors
/// None for steps and weights of one network and rows of its width.
pub fn apply(graph: &mut Graph, x: Id, steps: &[Step], weights: &[Id], class: Option<Id>) -> Result<Id> {
    let (mut h, mut kept, mut weights) = (x, Vec::new(), weights.iter());
    let mut map = |graph: &mut Graph, x: Id, map: &Map| match weights.next() {
        Some(&w) => map.apply(graph, x, w),
        None => Err(Error::Bug(format!("{} has no tensor", map.name))),
    };
    // How many blocks have begun, and where the outermost did.
    let (mut depth, mut begun) = (0, 0);
    for step in steps {
        if let (Step::Begin(_), 0) = (step, depth) {
            begun = graph.len();
        }
        depth += usize::from(matches!(step, Step::Begin(_)));
        h = match step {
            Step::Map(here) => map(graph, h, here)?,
            // Beside what it follows, where that is only written in other extents.
            Step::Activation(kind) => match *graph.op(h) {
                Op::Reshape { x, shape } => {
                    let x = graph.add(Op::Activation { x, kind: *kind })?;
                    graph.add(Op::Reshape { x, shape })?
                }
                _ => graph.add(Op::Activation { x: h, kind: *kind })?,
            },
            Step::Attention { heads, pixels } => {
                let (rows, wide) = (graph.shape(h).rows(), graph.shape(h).columns());
                let x = in_rows(graph, h, [rows * pixels, wide / pixels])?;
                let seen = attention::attend(graph, x, *pixels, *heads, attention::Mask::None)?;
                graph.reshape(seen, &[rows, wide / 3])?
            }
            Step::NchwNhwc { channels, to_pixels } => {
                graph.add(Op::NchwNhwc { x: h, channels: *channels, to_pixels: *to_pixels })?
            }
            Step::Class(classes) => {
                let class = class.ok_or_else(|| Error::Bug("a conditional network is not told the classes".into()))?;
                if graph.shape(class).rows() == graph.batch {
                    graph.add(Op::ConcatOneHot { x: h, class, classes: *classes })?
                } else {
                    // Each row has a class of its own: what was the same for all classes of an example is so no longer.
                    let rows = graph.shape(class).rows().max(graph.shape(h).rows());
                    for given in &mut kept {
                        *given = graph.repeat(*given, rows)?;
                    }
                    let (h, class) = (graph.repeat(h, rows)?, graph.repeat(class, rows)?);
                    let class = graph.one_hot(class, *classes)?;
                    graph.concatenate(&[h, class])?
                }
            }
            Step::Pool(window) => {
                let factor = if window.up { 1.0 } else { 1.0 / window.taps() as f32 };
                graph.add(Op::Pool { x: h, window: *window, factor })?
            }
            Step::Squeeze(pixels) => {
                let (rows, wide) = (graph.shape(h).rows(), graph.shape(h).columns());
                kept.push(h);
                let each = in_rows(graph, h, [rows * pixels, wide / pixels])?;
                let scale = 1.0 / *pixels as f32;
                graph.reduce_map(Reduction::Sum, Axis::Rows(*pixels), [each], |[x]| x * scale)?
            }
            Step::Excite(pixels) => {
                let squeezed =
                    kept.pop().ok_or_else(|| Error::Bug("an image is excited that was not squeezed".into()))?;
                let (rows, wide) = (graph.shape(squeezed).rows(), graph.shape(squeezed).columns());
                let each = in_rows(graph, squeezed, [rows * pixels, wide / pixels])?;
                let excited = graph.map([each, h], |[x, gate]| x * gate)?;
                graph.reshape(excited, &[rows, wide])?
            }
            Step::LeakyRelu(slope) => graph.map([h], |[x]| x.clone().max(x * *slope))?,
            Step::Dropout(rate) if graph.training => {
                // What has been added so far: each layer of the kind draws its own numbers.
                let layer = graph.ids().filter(|&id| matches!(graph.op(id), Op::Dropout { .. })).count();
                graph.add(Op::Dropout { x: h, rate: *rate, layer })?
            }
            Step::Dropout(_) => h,
            Step::Begin(skip) => {
                kept.push(match skip {
                    Some(skip) => map(graph, h, skip)?,
                    None => h,
                });
                h
            }
            Step::End => {
                let kept = kept.pop().ok_or_else(|| Error::Bug("a block ends that did not begin".into()))?;
                graph.add(Op::Add { a: kept, b: h })?
            }
        };
        if *step == Step::End {
            depth -= 1;
            if depth == 0 {
                graph.end_cell(begun);
            }
        }
    }
    Ok(h)
}

/// The steps in a few words each, for people: `dense 784 to 400`, `relu`.
pub fn describe(steps: &[Step]) -> Vec<String> {
    let words = steps.iter().filter_map(|step| match step {
        Step::Map(map) => Some(describe_map(map)),
        Step::Activation(kind) => Some(format!("{kind:?}").to_lowercase()),
        Step::Class(classes) => Some(format!("with one of {classes} classes")),
        Step::NchwNhwc { .. } => None,
        Step::Pool(window) => {
            let ([from_high, from_wide], [high, wide]) = (window.source(), window.made());
            let kind = if window.up { "upsample" } else { "avg-pool" };
            Some(format!("{kind} {from_high}x{from_wide} to {high}x{wide}"))
        }
        Step::Attention { heads, pixels } => Some(format!("attention of {pixels} pixels by {heads} heads")),
        Step::Squeeze(pixels) => Some(format!("squeeze {pixels} pixels")),
        Step::Excite(_) => Some("excite".into()),
        Step::LeakyRelu(slope) => Some(format!("leaky-relu {slope}")),
        Step::Dropout(rate) => Some(format!("dropout {rate}")),
        Step::Begin(None) => Some("residual {".into()),
        Step::Begin(Some(skip)) => Some(format!("residual {} {{", describe_map(skip))),
        Step::End => Some("}".into()),
    });
    words.collect()
}

fn describe_map(map: &Map) -> String {
    let Map { inputs, outputs, kind, .. } = map;
    match kind {
        MapKind::Dense { from, to } => {
            let side = |image: &Option<Image>, count: &usize| match image {
                Some([height, width, channels]) => format!("{height}x{width}x{channels}"),
                None => count.to_string(),
            };
            format!("dense {} to {}", side(from, inputs), side(to, outputs))
        }
        MapKind::Conv(window) => {
            let ([from_high, from_wide], [high, wide]) = (window.source(), window.made());
            let kind = if window.up { "conv-transpose" } else { "conv" };
            format!(
                "{kind} {from_high}x{from_wide}x{inputs} to {high}x{wide}x{outputs} (kernel {}, stride {}, padding {})",
                window.kernel, window.stride, window.padding
            )
        }
        MapKind::Depthwise(window) => {
            let ([from_high, from_wide], [high, wide]) = (window.source(), window.made());
            format!(
                "depthwise {from_high}x{from_wide}x{outputs} to {high}x{wide}x{outputs} (kernel {}, stride {}, padding {})",
                window.kernel, window.stride, window.padding
            )
        }
        MapKind::Norm { groups: 1, .. } => "layer-norm".into(),
        MapKind::Norm { groups, .. } => format!("group-norm {groups}"),
        MapKind::Pixels(pixels) => format!("each of {pixels} pixels {inputs} to {outputs}"),
        MapKind::PixelNorm(_) => "pixel-norm".into(),
        MapKind::BatchNorm(_) => "batch-norm".into(),
        MapKind::Positions => format!("positions of {inputs} pixels"),
    }
}
