//! From layers as a recipe has them to the steps of a network with all their shapes, and from those to a graph.

use crate::config::{Activation, Channels, Dense, Layer, ModelConfig};
use crate::error::{Error, Result};
use crate::graph::{Graph, Id, Op, Window};
use crate::shape::Shape;
use std::fmt;

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
    Planes {
        /// Channels.
        channels: usize,
        /// Whether pixels are made of planes.
        to_pixels: bool,
    },
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
    pub kind: Kind,
}

/// Kinds of trainable maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Every output depends on every input. Inputs or outputs may be those of an image.
    Dense {
        /// The image that is read, if it is one of a layer; the data are taken as they are stored.
        from: Option<Image>,
        /// The image that is made, if it is one.
        to: Option<Image>,
    },
    /// A convolution or a transposed one.
    Conv(Window),
}

impl Map {
    /// The shape of its parameter: a row for each input, through each tap, and the bias.
    pub fn shape(&self) -> Shape {
        Shape::new(&[self.taps() * self.inputs + 1, self.outputs])
    }

    /// Factors that an input and an output have: one for each tap of a convolution.
    pub fn taps(&self) -> usize {
        match self.kind {
            Kind::Dense { .. } => 1,
            Kind::Conv(window) => window.taps(),
        }
    }
}

/// What lies between two layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Between {
    /// Examples as the data set stores them: channels, height, width.
    Data([usize; 3]),
    Numbers(usize),
    Image(Image),
}

impl Between {
    fn count(self) -> usize {
        match self {
            Self::Data(shape) | Self::Image(shape) => shape.iter().product(),
            Self::Numbers(count) => count,
        }
    }
}

impl fmt::Display for Between {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data([_, 1, _]) | Self::Numbers(_) => write!(f, "{} numbers", self.count()),
            Self::Data([channels, height, width]) | Self::Image([height, width, channels]) => {
                write!(f, "{height}x{width}x{channels}")
            }
        }
    }
}

/// The most products that one sum of a convolution may have: software drivers end the loops of a thread after 65,535
/// rounds.
const MOST_PRODUCTS: usize = 1 << 15;

/// The most numbers of an image between two layers, for one example.
const MOST_NUMBERS: usize = 1 << 26;

/// The encoder, from examples of this shape (channels, height, width) to the mean and the log-variance of Z latents. The
/// class of an example, one of `classes`, joins what the first dense layer reads; 0 is for models without a condition.
///
/// # Errors
/// [`Error::Usage`] that names the layer, the one before it and what they give and take.
pub fn encoder(config: &ModelConfig, data: [usize; 3], classes: usize) -> Result<Vec<Step>> {
    Ok(with_class(plain_encoder(config, data)?, classes))
}

fn plain_encoder(config: &ModelConfig, data: [usize; 3]) -> Result<Vec<Step>> {
    let latent = 2 * config.latent;
    if config.encoder_layers.is_empty() {
        return Ok(perceptron("encoder", data.iter().product(), &config.hidden, latent, config.activation));
    }
    let mut network = Network::new("encoder", data, Between::Data(data));
    network.layers("model.encoder_layers", &config.encoder_layers, 0)?;
    network.dense(latent, None);
    Ok(network.finish())
}

/// The decoder, from Z latents to what the likelihood wants of examples of this shape: `outputs` numbers. `classes` as for
/// [`encoder`].
///
/// # Errors
/// As those of [`encoder`].
pub fn decoder(config: &ModelConfig, data: [usize; 3], outputs: usize, classes: usize) -> Result<Vec<Step>> {
    Ok(with_class(plain_decoder(config, data, outputs)?, classes))
}

/// A network whose first dense layer reads the class of the example too. The head of an encoder is dense, and so is the
/// first layer of a decoder, which is given numbers: there is always one.
fn with_class(mut steps: Vec<Step>, classes: usize) -> Vec<Step> {
    let dense = |step: &Step| matches!(step, Step::Map(Map { kind: Kind::Dense { .. }, .. }));
    if let (1.., Some(at)) = (classes, steps.iter().position(dense)) {
        if let Step::Map(map) = &mut steps[at] {
            map.inputs += classes;
        }
        steps.insert(at, Step::Class(classes));
    }
    steps
}

fn plain_decoder(config: &ModelConfig, data: [usize; 3], outputs: usize) -> Result<Vec<Step>> {
    if config.decoder_layers.is_empty() {
        let backwards: Vec<usize> = config.hidden.iter().rev().copied().collect();
        let widths = if config.decoder.is_empty() { &backwards } else { &config.decoder };
        return Ok(perceptron("decoder", config.latent, widths, outputs, config.activation));
    }
    let mut network = Network::new("decoder", data, Between::Numbers(config.latent));
    network.layers("model.decoder_layers", &config.decoder_layers, outputs)?;
    if !network.has_out {
        network.dense(outputs, None);
    }
    Ok(network.finish())
}

/// The networks between a stochastic layer and the one above it, for each of those above the lowest, from the lowest up:
/// `encoder2` gives the statistics of q(z2|z1), `decoder2` those of p(z1|z2).
///
/// # Errors
/// [`Error::Usage`] where one of them is not written as it should be.
pub fn between(config: &ModelConfig) -> Result<Vec<[Vec<Step>; 2]>> {
    let (mut below, mut all) = (config.latent, Vec::new());
    for (level, above) in (2..).zip(config.levels()?) {
        let backwards: Vec<usize> = above.hidden.iter().rev().copied().collect();
        let network = |name: &str, inputs: usize, widths: &[usize], latent: usize| {
            perceptron(&format!("{name}{level}"), inputs, widths, 2 * latent, config.activation)
        };
        all.push([
            network("encoder", below, &above.hidden, above.latent),
            network("decoder", above.latent, &backwards, below),
        ]);
        below = above.latent;
    }
    Ok(all)
}

/// Dense layers of these widths with the same non-linearity after each but the last.
fn perceptron(name: &str, inputs: usize, widths: &[usize], outputs: usize, activation: Activation) -> Vec<Step> {
    let mut network = Network::new(name, [1, 1, 1], Between::Numbers(inputs));
    for &width in widths {
        network.dense(width, None);
        if activation != Activation::Identity {
            network.steps.push(Step::Activation(activation));
        }
    }
    network.dense(outputs, None);
    network.finish()
}

/// A network under construction.
struct Network<'a> {
    name: &'a str,
    /// Channels, height and width of an example.
    data: [usize; 3],
    at: Between,
    steps: Vec<Step>,
    maps: usize,
    has_out: bool,
}

impl<'a> Network<'a> {
    fn new(name: &'a str, data: [usize; 3], at: Between) -> Self {
        Self { name, data, at, steps: vec![], maps: 0, has_out: false }
    }

    fn map(&mut self, inputs: usize, outputs: usize, kind: Kind) {
        let name = format!("{}.{}", self.name, self.maps);
        self.maps += 1;
        self.steps.push(Step::Map(Map { name, inputs, outputs, kind }));
    }

    fn dense(&mut self, outputs: usize, to: Option<Image>) {
        let from = match self.at {
            Between::Image(image) => Some(image),
            Between::Data(_) | Between::Numbers(_) => None,
        };
        self.map(self.at.count(), outputs, Kind::Dense { from, to });
        self.at = to.map_or(Between::Numbers(outputs), Between::Image);
    }

    /// The last map is the network's head.
    fn finish(mut self) -> Vec<Step> {
        let maps = self.steps.iter_mut().filter_map(|step| match step {
            Step::Map(map) => Some(map),
            Step::Activation(_) | Step::Class(_) | Step::Planes { .. } => None,
        });
        if let Some(head) = maps.last() {
            head.name = format!("{}.head", self.name);
        }
        self.steps
    }

    /// All layers of a list. `out` are the numbers that the likelihood wants.
    fn layers(&mut self, key: &str, layers: &[String], out: usize) -> Result<()> {
        for (at, text) in layers.iter().enumerate() {
            let before = match at.checked_sub(1) {
                Some(before) => format!("`{}` before it", layers[before]),
                None => format!("what the {} is given", self.name),
            };
            let wrong = |why: String| Error::Usage(format!("{key}[{at}] `{text}` {why}"));
            let layer = Layer::parse(text).map_err(wrong)?;
            self.layer(layer, out, &before).map_err(wrong)?;
        }
        Ok(())
    }

    /// One layer, or what is wrong with it in words that follow its own; `before` is what comes before it.
    fn layer(&mut self, layer: Layer, out: usize, before: &str) -> std::result::Result<(), String> {
        match layer {
            Layer::Activation(kind) => self.steps.push(Step::Activation(kind)),
            Layer::Dense { to: Dense::Numbers(count) } => self.dense(count, None),
            Layer::Dense { to: Dense::Image(image) } => self.dense(image.iter().product(), Some(image)),
            Layer::Dense { to: Dense::Part { of, channels } } => {
                let [_, height, width] = self.data;
                if height == 1 {
                    return Err(format!("wants data that are images, and an example is {width} numbers in a row"));
                }
                if !height.is_multiple_of(of) || !width.is_multiple_of(of) {
                    return Err(format!(
                        "wants data whose sides are multiples of {of}, and they have {height}x{width}: `data.resize` changes \
                         those of pictures, and `dense 7x7x64` gives an image of any size"
                    ));
                }
                let image = [height / of, width / of, channels];
                self.dense(image.iter().product(), Some(image));
            }
            Layer::Dense { to: Dense::Out } => {
                self.has_out = true;
                self.dense(out, None);
            }
            Layer::Conv { channels, kernel, stride, padding } => {
                let [height, width, _] = self.image(before)?;
                let window = Window::down([height, width], kernel, stride, padding);
                let window = window.ok_or_else(|| {
                    let at = self.at;
                    format!("has a kernel of {kernel}x{kernel} that does not fit into {at}, which is {before}")
                })?;
                self.conv(window, channels, out, before)?;
            }
            Layer::ConvTranspose { channels, kernel, stride, padding, output_padding } => {
                let [height, width, _] = self.image(before)?;
                let window = Window::up([height, width], kernel, stride, padding, output_padding);
                let window = window.ok_or_else(|| format!("leaves nothing of {}, which is {before}", self.at))?;
                self.conv(window, channels, out, before)?;
            }
        }
        Ok(())
    }

    /// The image that a convolution reads.
    fn image(&mut self, before: &str) -> std::result::Result<Image, String> {
        match self.at {
            Between::Image(image) => Ok(image),
            Between::Data([channels, height, width]) if height > 1 => {
                if channels > 1 {
                    self.steps.push(Step::Planes { channels, to_pixels: true });
                }
                Ok([height, width, channels])
            }
            Between::Data(_) => Err(format!(
                "wants images, and an example is {} in a row: take images or arrays of examples × height × width, or \
                 give the model `hidden` widths instead of layers",
                self.at
            )),
            Between::Numbers(_) => Err(format!(
                "wants an image, and {before} gives {}: let a dense layer give one, such as `dense 7x7x64`",
                self.at
            )),
        }
    }

    fn conv(
        &mut self,
        window: Window,
        channels: Channels,
        out: usize,
        before: &str,
    ) -> std::result::Result<(), String> {
        let [height, width, inputs] = self.image_at();
        let (made, [_, data_high, data_wide]) = (window.made(), self.data);
        let outputs = match channels {
            Channels::Number(count) => count,
            Channels::Out if !out.is_multiple_of(data_high * data_wide) => {
                return Err(format!(
                    "makes as much for every pixel, and the likelihood wants {out} numbers for {data_high}x{data_wide} values: \
                     end with `dense out`"
                ));
            }
            Channels::Out if made == [data_high, data_wide] => out / (data_high * data_wide),
            Channels::Out => {
                let [high, wide] = made;
                return Err(format!(
                    "makes {high}x{wide} pixels of {height}x{width}x{inputs}, which is {before}, and the data have \
                     {data_high}x{data_wide}"
                ));
            }
        };
        if window.taps() * inputs.max(outputs) > MOST_PRODUCTS {
            return Err(format!(
                "adds up {} products for a number: up to {MOST_PRODUCTS} are possible; take fewer channels or a smaller kernel",
                window.taps() * inputs.max(outputs)
            ));
        }
        let numbers = made[0].checked_mul(made[1]).and_then(|pixels| pixels.checked_mul(outputs));
        if numbers.is_none_or(|numbers| numbers > MOST_NUMBERS) {
            return Err(format!(
                "makes an image of {}x{}x{outputs}: up to {MOST_NUMBERS} numbers are possible; take a smaller stride or fewer \
                 channels",
                made[0], made[1]
            ));
        }
        self.map(inputs, outputs, Kind::Conv(window));
        self.at = Between::Image([made[0], made[1], outputs]);
        if channels == Channels::Out {
            self.has_out = true;
            if outputs > 1 {
                self.steps.push(Step::Planes { channels: outputs, to_pixels: false });
            }
        }
        Ok(())
    }

    /// The image that lies before the layer, which [`Self::image`] found to be one.
    fn image_at(&self) -> Image {
        match self.at {
            Between::Image(image) => image,
            Between::Data([channels, height, width]) => [height, width, channels],
            Between::Numbers(count) => [1, 1, count],
        }
    }
}

/// Declares the trainable tensors of a network.
pub fn declare(graph: &mut Graph, steps: &[Step]) -> Result<Vec<Id>> {
    maps(steps).map(|map| graph.parameter(&map.name, map.shape())).collect()
}

/// The trainable maps of a network.
pub fn maps(steps: &[Step]) -> impl Iterator<Item = &Map> {
    steps.iter().filter_map(|step| match step {
        Step::Map(map) => Some(map),
        Step::Activation(_) | Step::Class(_) | Step::Planes { .. } => None,
    })
}

/// A network on a tensor [R, in], with its trainable tensors and the classes of the examples, [B], if it is conditional;
/// gives [R, out].
pub fn apply(graph: &mut Graph, x: Id, steps: &[Step], weights: &[Id], class: Option<Id>) -> Result<Id> {
    let (mut h, mut weights) = (x, weights.iter());
    for step in steps {
        h = match step {
            Step::Map(map) => {
                let w = *weights.next().ok_or_else(|| Error::Bug(format!("{} has no tensor", map.name)))?;
                match map.kind {
                    Kind::Dense { .. } => graph.add(Op::Affine { x: h, w })?,
                    Kind::Conv(window) => graph.add(Op::Conv { x: h, w, window })?,
                }
            }
            Step::Activation(kind) => graph.add(Op::Activation { x: h, kind: *kind })?,
            Step::Class(classes) => {
                let class = class.ok_or_else(|| Error::Bug("a conditional network is not told the classes".into()))?;
                graph.add(Op::WithClass { x: h, class, classes: *classes })?
            }
            Step::Planes { channels, to_pixels } => {
                graph.add(Op::Planes { x: h, channels: *channels, to_pixels: *to_pixels })?
            }
        };
    }
    Ok(h)
}

/// The steps in a few words each, for people: `784 → 400 relu`.
pub fn describe(steps: &[Step]) -> Vec<String> {
    let words = steps.iter().filter_map(|step| match step {
        Step::Map(Map { inputs, outputs, kind: Kind::Dense { from, to }, .. }) => {
            let side = |image: &Option<Image>, count: &usize| match image {
                Some([height, width, channels]) => format!("{height}x{width}x{channels}"),
                None => count.to_string(),
            };
            Some(format!("dense {} to {}", side(from, inputs), side(to, outputs)))
        }
        Step::Map(Map { inputs, outputs, kind: Kind::Conv(window), .. }) => {
            let ([from_high, from_wide], [high, wide]) = (window.source(), window.made());
            let kind = if window.up { "conv-transpose" } else { "conv" };
            Some(format!(
                "{kind} {from_high}x{from_wide}x{inputs} to {high}x{wide}x{outputs} (kernel {}, stride {}, padding {})",
                window.kernel, window.stride, window.padding
            ))
        }
        Step::Activation(kind) => Some(format!("{kind:?}").to_lowercase()),
        Step::Class(classes) => Some(format!("with one of {classes} classes")),
        Step::Planes { .. } => None,
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Likelihood};

    fn config(encoder: &[&str], decoder: &[&str]) -> ModelConfig {
        let [encoder_layers, decoder_layers] = [encoder, decoder].map(|list| list.iter().map(|&s| s.into()).collect());
        ModelConfig { hidden: vec![], latent: 5, encoder_layers, decoder_layers, ..Config::default().model }
    }

    fn shapes(steps: &[Step]) -> Vec<(&str, Vec<usize>)> {
        maps(steps).map(|map| (&map.name[..], map.shape().extents().to_vec())).collect()
    }

    #[test]
    fn widths_are_dense_layers_with_a_non_linearity_between_them() {
        let model = Config::default().model;
        let (encoder, decoder) =
            (encoder(&model, [1, 28, 28], 0).unwrap(), decoder(&model, [1, 28, 28], 784, 0).unwrap());
        assert_eq!(shapes(&encoder), [("encoder.0", vec![785, 400]), ("encoder.head", vec![401, 40])]);
        assert_eq!(shapes(&decoder), [("decoder.0", vec![21, 400]), ("decoder.head", vec![401, 784])]);
        assert_eq!(describe(&encoder), ["dense 784 to 400", "relu", "dense 400 to 40"]);
    }

    #[test]
    fn layers_are_given_the_shapes_of_those_before_them() {
        let conv = "conv 32 kernel 4 stride 2 padding 1";
        let up = "conv-transpose out kernel 4 stride 2 padding 1";
        let mut model = config(&[conv, "relu"], &["dense data/2x8", "relu", up]);
        let found = encoder(&model, [1, 28, 28], 0).unwrap();
        assert_eq!(shapes(&found), [("encoder.0", vec![17, 32]), ("encoder.head", vec![14 * 14 * 32 + 1, 10])]);
        let found = decoder(&model, [1, 28, 28], 784, 0).unwrap();
        assert_eq!(shapes(&found), [("decoder.0", vec![6, 14 * 14 * 8]), ("decoder.head", vec![129, 1])]);
        assert_eq!(found.len(), 3);
        // Colour begins and ends with a change of order, and a learned variance is a number more for each channel.
        model.likelihood = Likelihood::GaussianLearned;
        let found = encoder(&model, [3, 28, 28], 0).unwrap();
        assert_eq!(found[0], Step::Planes { channels: 3, to_pixels: true });
        assert_eq!(shapes(&found)[0].1, [49, 32]);
        let found = decoder(&model, [3, 28, 28], 2 * 3 * 784, 0).unwrap();
        assert_eq!(found[3], Step::Planes { channels: 6, to_pixels: false });
        assert_eq!(shapes(&found)[1].1, [129, 6]);
        // What gives no `out` is followed by a layer that does.
        let found = decoder(&config(&[], &["dense 2x2x3", "conv 4 kernel 2"]), [1, 3, 3], 9, 0).unwrap();
        assert_eq!(shapes(&found)[2], ("decoder.head", vec![5, 9]));
    }

    /// In a network of convolutions the first dense layer is the one behind them.
    #[test]
    fn the_class_joins_what_the_first_dense_layer_reads() {
        let model = Config::default().model;
        let (into, out) = (encoder(&model, [1, 28, 28], 10).unwrap(), decoder(&model, [1, 28, 28], 784, 10).unwrap());
        assert_eq!(shapes(&into), [("encoder.0", vec![795, 400]), ("encoder.head", vec![401, 40])]);
        assert_eq!(shapes(&out), [("decoder.0", vec![31, 400]), ("decoder.head", vec![401, 784])]);
        assert_eq!(describe(&into)[..2], ["with one of 10 classes", "dense 794 to 400"]);
        let model = config(&["conv 2 kernel 4 stride 4", "relu"], &["dense 4", "relu"]);
        let found = encoder(&model, [1, 8, 8], 3).unwrap();
        assert_eq!(shapes(&found), [("encoder.0", vec![17, 2]), ("encoder.head", vec![2 * 2 * 2 + 3 + 1, 10])]);
        assert_eq!(found[2], Step::Class(3));
        assert_eq!(shapes(&decoder(&model, [1, 8, 8], 64, 3).unwrap())[0], ("decoder.0", vec![5 + 3 + 1, 4]));
    }

    /// Of tables some columns want fewer numbers than others.
    #[test]
    fn out_is_as_many_numbers_as_the_likelihood_wants() {
        let found = decoder(&config(&[], &["dense 8", "relu", "dense out"]), [1, 1, 6], 8, 0).unwrap();
        assert_eq!(shapes(&found)[1], ("decoder.head", vec![9, 8]));
        let error =
            decoder(&config(&[], &["dense 1x6x2", "conv out kernel 1"]), [1, 1, 6], 8, 0).unwrap_err().to_string();
        assert!(error.contains("8 numbers for 1x6 values") && error.contains("`dense out`"), "{error}");
    }

    /// A side becomes 64 times as long.
    const UP: &str = "conv-transpose 1 kernel 64 stride 64";

    #[test]
    fn shapes_that_do_not_meet_name_both_layers_and_both_shapes() {
        type Row = (&'static [&'static str], &'static [&'static str], [usize; 3], &'static [&'static str]);
        let rows: &[Row] = &[
            (
                &["conv 8 kernel 4 stride 4", "relu", "conv 9 kernel 9"],
                &[],
                [1, 28, 28],
                &["encoder_layers[2] `conv 9 kernel 9`", "9x9", "7x7x8", "`relu` before it"],
            ),
            (
                &["conv 8 kernel 3"],
                &[],
                [1, 1, 36],
                &["encoder_layers[0] `conv 8 kernel 3`", "wants images", "36 numbers in a row", "hidden"],
            ),
            (
                &["dense 16", "conv 8 kernel 3"],
                &[],
                [1, 28, 28],
                &["encoder_layers[1]", "`dense 16` before it", "16 numbers", "dense 7x7x64"],
            ),
            (&["conv 9999 kernel 8", "conv 8 kernel 8"], &[], [1, 28, 28], &["encoder_layers[0]", "639936 products"]),
            (&[], &["conv 8 kernel 3"], [1, 28, 28], &["decoder_layers[0]", "5 numbers", "what the decoder is given"]),
            (
                &[],
                &["dense 7x7x4", "conv-transpose out kernel 4 stride 2 padding 1"],
                [1, 28, 28],
                &["decoder_layers[1]", "14x14", "7x7x4", "`dense 7x7x4` before it", "28x28"],
            ),
            (&[], &["dense data/4x4"], [1, 28, 30], &["decoder_layers[0]", "multiples of 4", "28x30", "data.resize"]),
            (&[], &["dense data/1x4"], [1, 1, 36], &["decoder_layers[0]", "images", "36 numbers in a row"]),
            (
                &[],
                &["dense 1x1x1", UP, UP, UP, UP, UP, UP],
                [1, 28, 28],
                &["decoder_layers[3]", "262144x262144x1", "numbers are possible"],
            ),
            (&[], &["dense 1x1x4", "conv-transpose 3 kernel 2 padding 1"], [1, 28, 28], &["leaves nothing of 1x1x4"]),
        ];
        for (into, out, data, words) in rows {
            let model = config(into, out);
            let error = encoder(&model, *data, 0).and_then(|_| decoder(&model, *data, data.iter().product(), 0));
            let error = error.expect_err(words[0]);
            let text = error.to_string();
            assert_eq!(error.exit_code(), 2, "{text}");
            assert!(words.iter().all(|word| text.contains(word)) && !text.contains('\n'), "{text}");
        }
    }
}
