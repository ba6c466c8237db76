//! From layers as a recipe has them to the steps of a network: what each is given follows from those before it.

use super::{Image, Map, MapKind, Step};
use crate::config::{
    Activation, Block, BlockKind, Channels, Conv, Dense, Hierarchy, Layer, ModelConfig, Norm, Resolution, Sides,
};
use crate::error::{Error, Result};
use crate::graph::ConvGeometry;
use crate::model::posterior;
use std::collections::BTreeMap;
use std::fmt;

/// What is wrong with a layer, in words that follow its own.
type Checked<T> = std::result::Result<T, String>;

/// The most numbers of an image between two layers, for one example.
const MAX_NUMBERS: usize = 1 << 26;

/// The most products that a convolution adds up for a number, on the way in or back.
const MAX_PRODUCTS: usize = 1 << 20;

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

/// The encoder, from examples of this shape (channels, height, width) to the mean and the log-variance of Z latents, and the
/// context of the posterior, if it wants one. The class of an example, one of `classes`, joins what the first dense layer reads; 0 is for models without a condition.
///
/// # Errors
/// [`Error::Usage`] that names the layer, the one before it and what they give and take.
pub fn encoder(config: &ModelConfig, data: [usize; 3], classes: usize) -> Result<Vec<Step>> {
    Ok(with_class(plain_encoder(config, data)?, classes))
}

fn plain_encoder(config: &ModelConfig, data: [usize; 3]) -> Result<Vec<Step>> {
    if config.codes > 0 {
        return Ok(to_codes(config, data)?.0);
    }
    // Categories have a logit each, numbers mean and log-variance.
    let outputs = 2 * config.latent - config.places_of_categories();
    let outputs = outputs + (posterior::of(config.posterior).context)(config);
    if config.encoder_layers.is_empty() {
        return Ok(perceptron(config, "encoder", Between::Numbers(data.iter().product()), &config.hidden, outputs));
    }
    let mut network = Network::new("encoder", data, Between::Data(data));
    network.layers("model.encoder_layers", &config.encoder_layers, "what the encoder is given", 0)?;
    network.dense(outputs, None);
    Ok(network.finish())
}

/// The encoder of a model with codes: the numbers of a code for each pixel of the image that its layers end with, or where they
/// end with none, of a single code. Also what the decoder is given of it.
fn to_codes(config: &ModelConfig, data: [usize; 3]) -> Result<(Vec<Step>, Between)> {
    if config.encoder_layers.is_empty() {
        let steps =
            perceptron(config, "encoder", Between::Numbers(data.iter().product()), &config.hidden, config.latent);
        return Ok((steps, Between::Numbers(config.latent)));
    }
    let mut network = Network::new("encoder", data, Between::Data(data));
    network.layers("model.encoder_layers", &config.encoder_layers, "what the encoder is given", 0)?;
    network.settle();
    if let Between::Image([height, width, channels]) = network.at {
        let window = ConvGeometry::down([height, width], 1, 1, 0);
        let window = window.ok_or_else(|| Error::Bug("a pixel does not fit into an image".into()))?;
        let map = network.map(channels, config.latent, MapKind::Conv(window));
        network.steps.push(Step::Map(map));
        network.at = Between::Image([height, width, config.latent]);
    } else {
        network.dense(config.latent, None);
    }
    let at = network.at;
    Ok((network.finish(), at))
}

/// Height and width of the codes of an example: a grid, or a single one.
///
/// # Errors
/// As those of [`encoder`].
pub fn grid(config: &ModelConfig, data: [usize; 3]) -> Result<[usize; 2]> {
    Ok(match to_codes(config, data)?.1 {
        Between::Image([height, width, _]) => [height, width],
        Between::Numbers(_) | Between::Data(_) => [1, 1],
    })
}

/// The decoder, from Z latents to what the likelihood wants of examples of this shape: `outputs` numbers. `classes` as for
/// [`encoder`].
///
/// # Errors
/// As those of [`encoder`].
pub fn decoder(config: &ModelConfig, data: [usize; 3], outputs: usize, classes: usize) -> Result<Vec<Step>> {
    Ok(with_class(plain_decoder(config, data, outputs)?, classes))
}

/// The discriminator, from examples of this shape to a logit, and how many of its steps give its features.
///
/// # Errors
/// As those of [`encoder`].
pub fn discriminator(config: &ModelConfig, data: [usize; 3]) -> Result<(Vec<Step>, usize)> {
    let layers = &config.discriminator_layers;
    let place = "model.discriminator_layers";
    let last = if config.discriminator_features == 0 { layers.len() } else { config.discriminator_features };
    let made = |count: usize| {
        let mut network = Network::new("discriminator", data, Between::Data(data));
        let layers = &layers[..count.min(layers.len())];
        network.layers(place, layers, "what the discriminator is given", 0).map(|()| network)
    };
    let (features, mut network) = (made(last)?.steps.len(), made(layers.len())?);
    network.dense(1, None);
    Ok((network.finish(), features))
}

/// A network whose first dense layer reads the class of the example too. The head of an encoder is dense, and so is the
/// first layer of a decoder, which is given numbers: there is always one.
fn with_class(mut steps: Vec<Step>, classes: usize) -> Vec<Step> {
    let dense = |step: &Step| matches!(step, Step::Map(Map { kind: MapKind::Dense { .. }, .. }));
    if let (1.., Some(at)) = (classes, steps.iter().position(dense)) {
        if let Step::Map(map) = &mut steps[at] {
            map.inputs += classes;
        }
        steps.insert(at, Step::Class(classes));
    }
    steps
}

fn plain_decoder(config: &ModelConfig, data: [usize; 3], outputs: usize) -> Result<Vec<Step>> {
    let given = if config.codes > 0 { to_codes(config, data)?.1 } else { Between::Numbers(config.latent) };
    if config.decoder_layers.is_empty() {
        let backwards: Vec<usize> = config.hidden.iter().rev().copied().collect();
        let widths = if config.decoder.is_empty() { &backwards } else { &config.decoder };
        return Ok(perceptron(config, "decoder", Between::Numbers(given.count()), widths, outputs));
    }
    let mut network = Network::new("decoder", data, given);
    network.layers("model.decoder_layers", &config.decoder_layers, "what the decoder is given", outputs)?;
    if !network.has_out {
        network.dense(outputs, None);
    }
    Ok(network.finish())
}

/// The networks between a stochastic layer and the one above it, for each of those above the lowest, from the lowest up:
/// `encoder2` gives the statistics of q(z2|z1), `decoder2` those of p(z1|z2). In a ladder `encoder2` goes on from the last
/// hidden layer of the encoder, which is so many numbers wide and may be an image: `below`.
///
/// # Errors
/// [`Error::Usage`] where one of them is not written as it should be.
pub fn between(config: &ModelConfig, (below, image): (usize, Option<Image>)) -> Result<Vec<[Vec<Step>; 2]>> {
    let (mut hidden, mut latent, mut all) =
        (image.map_or(Between::Numbers(below), Between::Image), config.latent, Vec::new());
    for (level, above) in (2..).zip(config.levels()?) {
        let backwards: Vec<usize> = above.hidden.iter().rev().copied().collect();
        let inputs = match config.hierarchy {
            Hierarchy::Stacked => Between::Numbers(latent),
            Hierarchy::Ladder | Hierarchy::Residual => hidden,
        };
        let network = |name: &str, inputs: Between, widths: &[usize], latent: usize| {
            perceptron(config, &format!("{name}{level}"), inputs, widths, 2 * latent)
        };
        let mut encoder = network("encoder", inputs, &above.hidden, above.latent);
        // Behind an image stands the class, where the encoder below is told it.
        if let (Some(Step::Map(first)), Between::Image(_)) = (encoder.first_mut(), inputs) {
            first.inputs = below;
        }
        all.push([encoder, network("decoder", Between::Numbers(above.latent), &backwards, latent)]);
        hidden = above.hidden.last().map_or(hidden, |&width| Between::Numbers(width));
        latent = above.latent;
    }
    Ok(all)
}

/// Dense layers of these widths with the same normalisation and non-linearity after each but the last.
fn perceptron(config: &ModelConfig, name: &str, inputs: Between, widths: &[usize], outputs: usize) -> Vec<Step> {
    let mut network = Network::new(name, [1, 1, 1], inputs);
    for &width in widths {
        network.dense(width, None);
        let norm = match config.norm {
            Norm::None => None,
            Norm::Layer => Some(MapKind::Norm { groups: 1, pixels: 1 }),
            Norm::Batch => Some(MapKind::BatchNorm(1)),
        };
        if let Some(kind) = norm {
            let map = network.map(width, width, kind);
            network.steps.push(Step::Map(map));
        }
        if config.activation != Activation::Identity {
            network.steps.push(Step::Activation(config.activation));
        }
    }
    network.dense(outputs, None);
    network.finish()
}

/// The networks of a residual hierarchy of groups of latents: see [`crate::model::topdown`].
#[derive(Debug, Clone)]
pub struct TopDown {
    /// The groups, from the data up.
    pub groups: Vec<GroupSteps>,
    /// From the image that the lowest group leaves to what the likelihood wants.
    pub output: Vec<Step>,
}

/// The networks of a group of latents, whose images have P pixels of C channels and of z latent dimensions.
#[derive(Debug, Clone)]
pub struct GroupSteps {
    /// Height and width of an image, whose product is P.
    pub sides: [usize; 2],
    /// z.
    pub latent: usize,
    /// From what the encoder has of the group below, or from the data, [P·C].
    pub encoder: Vec<Step>,
    /// From what is known by the groups above, and beside it what the encoder says, [P·2C], of the highest group the latter alone,
    /// to mean and log-variance of each pixel, [P·2z].
    pub posterior: Vec<Step>,
    /// From what is known by the groups above, [P·C], to mean and log-variance, [P·2z]; the highest group has none.
    pub prior: Option<Vec<Step>>,
    /// From latents, [P·z], to what they add to what is known, [P·C].
    pub latents: Vec<Step>,
    /// From ones among zeros of the class, [Y], to what it adds to what is known, [P·C]: of the highest group of a conditional model.
    pub classes: Option<Vec<Step>>,
    /// From what is known with them to what the group below is given.
    pub decoder: Vec<Step>,
}

/// The networks of a residual hierarchy for examples of this shape, of which the likelihood wants `outputs` numbers, of so many
/// `classes` that it is told, or 0.
///
/// # Errors
/// As those of [`encoder`].
pub fn top_down(config: &ModelConfig, data: [usize; 3], outputs: usize, classes: usize) -> Result<TopDown> {
    let (mut groups, mut at, mut channels) = (Vec::new(), Between::Data(data), None);
    let levels = resolutions(config, data)?;
    for (level, &([height, width], Resolution { groups: count, latent, cells, .. })) in levels.iter().enumerate() {
        let place = format!("model.resolutions[{level}]");
        for group in 0..count {
            let number = if groups.is_empty() { String::new() } else { (groups.len() + 1).to_string() };
            let (encoder_name, decoder_name) = (format!("encoder{number}"), format!("decoder{number}"));
            let mut encoder = Network::new(&encoder_name, data, at);
            if groups.is_empty() {
                let given = "what the encoder is given";
                encoder.layers("model.encoder_layers", &config.encoder_layers, given, 0)?;
                encoder.settle();
            } else if group == 0 {
                encoder.shrink([height, width], &place)?;
            }
            let wide = match encoder.at {
                Between::Image([high, wide, channels]) if [high, wide] == [height, width] => channels,
                other => {
                    return Err(Error::Usage(format!(
                        "{place} wants images of {height}x{width}, and model.encoder_layers end with {other}"
                    )));
                }
            };
            let channels = *channels.get_or_insert(wide);
            let image = Between::Image([height, width, channels]);
            encoder.cells("model.encoder_cell", &config.encoder_cell, cells)?;
            at = encoder.at;
            let highest = level + 1 == levels.len() && group + 1 == count;
            let head = |name: String, channels: usize, kernel: usize| {
                let mut network = Network::new(&name, data, Between::Image([height, width, channels]));
                network.steps.push(Step::Activation(Activation::Silu));
                network.same(2 * latent, kernel)?;
                Ok::<_, Error>(network.finish())
            };
            let both = if highest { channels } else { 2 * channels };
            let posterior = head(format!("{encoder_name}.posterior"), both, 3)?;
            let prior = if highest { None } else { Some(head(format!("{decoder_name}.prior"), channels, 1)?) };
            let latents_name = format!("{decoder_name}.latents");
            let mut latents = Network::new(&latents_name, data, Between::Image([height, width, latent]));
            latents.same(channels, 1)?;
            if highest {
                let map = latents.map(height * width, channels, MapKind::Positions);
                latents.steps.push(Step::Map(map));
            }
            let classes = (highest && classes > 0).then(|| {
                let name = format!("{decoder_name}.classes");
                let mut network = Network::new(&name, data, Between::Numbers(classes));
                network.dense(height * width * channels, Some([height, width, channels]));
                network.steps
            });
            let cells_name = format!("{decoder_name}.cells");
            let mut decoder = Network::new(&cells_name, data, image);
            decoder.cells("model.decoder_cell", &config.decoder_cell, cells)?;
            if let (0, Some(&(below, _))) = (group, level.checked_sub(1).and_then(|below| levels.get(below))) {
                decoder.grow(below, &place)?;
                decoder.cells("model.decoder_cell", &config.decoder_cell, 1)?;
            }
            groups.push(GroupSteps {
                sides: [height, width],
                latent,
                encoder: encoder.steps,
                posterior,
                prior,
                latents: latents.steps,
                classes,
                decoder: decoder.steps,
            });
        }
    }
    let ([height, width], _) = levels[0];
    let given = Between::Image([height, width, channels.unwrap_or(1)]);
    let mut output = Network::new("decoder", data, given);
    output.layers("model.decoder_layers", &config.decoder_layers, "what the decoder is given", outputs)?;
    if !output.has_out {
        output.dense(outputs, None);
    }
    Ok(TopDown { groups, output: output.finish() })
}

/// Height and width of the images of each resolution.
fn resolutions(config: &ModelConfig, [_, high, wide]: [usize; 3]) -> Result<Vec<([usize; 2], Resolution)>> {
    let sides = |(at, resolution): (usize, Resolution)| match resolution.sides {
        Sides::Given(sides) => Ok((sides, resolution)),
        Sides::Part(of) if high.is_multiple_of(of) && wide.is_multiple_of(of) => {
            Ok(([high / of, wide / of], resolution))
        }
        Sides::Part(of) => Err(Error::Usage(format!(
            "model.resolutions[{at}] wants data whose sides are multiples of {of}, and they have {high}x{wide}: `data.resize` \
             changes those of pictures, and sides such as 14x14 stand for themselves"
        ))),
    };
    config.resolved()?.into_iter().enumerate().map(sides).collect()
}

/// A network under construction.
struct Network<'a> {
    name: &'a str,
    /// Channels, height and width of an example.
    data: [usize; 3],
    at: Between,
    steps: Vec<Step>,
    /// What maps are called by: the network's name, and within named blocks theirs behind it.
    scope: String,
    /// How many maps each scope has.
    counts: BTreeMap<String, usize>,
    has_out: bool,
}

impl<'a> Network<'a> {
    fn new(name: &'a str, data: [usize; 3], at: Between) -> Self {
        Self { name, data, at, steps: vec![], scope: name.to_owned(), counts: BTreeMap::new(), has_out: false }
    }

    /// A map under the next name.
    fn map(&mut self, inputs: usize, outputs: usize, kind: MapKind) -> Map {
        let count = self.counts.entry(self.scope.clone()).or_default();
        let name = format!("{}.{count}", self.scope);
        *count += 1;
        Map { name, inputs, outputs, kind }
    }

    fn dense(&mut self, outputs: usize, to: Option<Image>) {
        let from = match self.at {
            Between::Image(image) => Some(image),
            Between::Data(_) | Between::Numbers(_) => None,
        };
        let map = self.map(self.at.count(), outputs, MapKind::Dense { from, to });
        self.steps.push(Step::Map(map));
        self.at = to.map_or(Between::Numbers(outputs), Between::Image);
    }

    /// A convolution that keeps the sides of the image.
    fn same(&mut self, channels: usize, kernel: usize) -> Result<()> {
        let conv = Conv { channels: Channels::Number(channels), kernel, stride: 1, padding: kernel / 2 };
        self.convolve(conv)
    }

    fn convolve(&mut self, conv: Conv) -> Result<()> {
        let made =
            self.conv(conv, None, 0, "the image").map_err(|why| Error::Usage(format!("{}: {why}", self.name)))?;
        self.conv_step(made, conv.channels);
        Ok(())
    }

    /// How often the sides of one image go into those of another.
    fn factor(fine: [usize; 2], coarse: [usize; 2], place: &str) -> Result<usize> {
        let [high, wide] = [0, 1].map(|side| (fine[side] / coarse[side], fine[side] % coarse[side]));
        match (high, wide) {
            ((by, 0), (other, 0)) if by == other && by > 1 => Ok(by),
            _ => Err(Error::Usage(format!(
                "{place} has {}x{} pixels and the resolution below it {}x{}: both sides are to be divided by the same whole number",
                coarse[0], coarse[1], fine[0], fine[1]
            ))),
        }
    }

    /// To an image of these sides, each of whose pixels sees those of the finer one that it takes the place of.
    fn shrink(&mut self, to: [usize; 2], place: &str) -> Result<()> {
        let Between::Image([height, width, channels]) = self.at else { return Ok(()) };
        let by = Self::factor([height, width], to, place)?;
        self.convolve(Conv { channels: Channels::Number(channels), kernel: by, stride: by, padding: 0 })
    }

    /// To an image of these sides, in which every pixel is repeated.
    fn grow(&mut self, to: [usize; 2], place: &str) -> Result<()> {
        let Between::Image([height, width, _]) = self.at else { return Ok(()) };
        let by = Self::factor(to, [height, width], place)?;
        let window = ConvGeometry::up([height, width], by, by, 0, 0);
        let window = window.ok_or_else(|| Error::Bug("an image that is repeated has no pixels".into()))?;
        self.pool(window).map_err(|why| Error::Usage(format!("{place} {why}")))
    }

    /// Residual cells: what the layers make of an image is added to it.
    fn cells(&mut self, key: &str, layers: &[Layer], count: usize) -> Result<()> {
        let block = Block { name: None, repeat: 1, kind: BlockKind::Residual(None), layers: layers.to_vec() };
        for _ in 0..count {
            let wrong = |why: String| Error::Usage(format!("{key} {why}"));
            let kept = self.begin(None, "the image").map_err(wrong)?;
            self.layers(key, layers, "what the cell is given", 0)?;
            self.end(kept, &block).map_err(wrong)?;
        }
        Ok(())
    }

    /// The last map is the network's head.
    fn finish(mut self) -> Vec<Step> {
        let head = self.steps.iter_mut().rev().find_map(|step| match step {
            Step::Map(map) => Some(map),
            _ => None,
        });
        if let Some(head) = head {
            head.name = format!("{}.head", self.name);
        }
        self.steps
    }

    /// All layers of a list that stands at a place; `given` is what the first of them is given, and `out` are the numbers
    /// that the likelihood wants of a decoder.
    fn layers(&mut self, place: &str, layers: &[Layer], given: &str, out: usize) -> Result<()> {
        for (at, layer) in layers.iter().enumerate() {
            let here = format!("{place}[{at}]");
            let before = match at.checked_sub(1) {
                Some(before) => format!("`{}` before it", layers[before]),
                None => given.to_owned(),
            };
            if let Layer::Block(block) = layer {
                self.block(block, &here, &before, out)?;
                continue;
            }
            self.layer(layer, out, &before).map_err(|why| Error::Usage(format!("{here} `{layer}` {why}")))?;
        }
        Ok(())
    }

    /// A block at a place, as often as it is repeated.
    fn block(&mut self, block: &Block, here: &str, before: &str, out: usize) -> Result<()> {
        let inside = format!("{here}.{}", block.key());
        let wrong = |why: String| Error::Usage(format!("{here} `{block}` {why}"));
        let scope = self.scope.clone();
        if let Some(name) = &block.name {
            self.scope = format!("{scope}.{name}");
        }
        for turn in 0..block.repeat {
            let before = if turn == 0 { before } else { "the block before it" };
            match block.kind {
                BlockKind::Plain => self.layers(&inside, &block.layers, before, out)?,
                BlockKind::Residual(skip) => {
                    let kept = self.begin(skip, before).map_err(wrong)?;
                    self.layers(&inside, &block.layers, "what the block is given", out)?;
                    self.end(kept, block).map_err(wrong)?;
                }
            }
        }
        self.scope = scope;
        Ok(())
    }

    /// One layer that is no block; `before` is what comes before it.
    fn layer(&mut self, layer: &Layer, out: usize, before: &str) -> Checked<()> {
        match *layer {
            Layer::Activation(kind) => self.steps.push(Step::Activation(kind)),
            Layer::Dropout { rate } => self.steps.push(Step::Dropout(rate)),
            Layer::LeakyRelu { slope } => self.steps.push(Step::LeakyRelu(slope)),
            Layer::Dense { to: Dense::Numbers(count) } => self.dense(count, None),
            Layer::Dense { to: Dense::Image(image) } => self.dense(image.iter().product(), Some(image)),
            Layer::Dense { to: Dense::Part { of, channels } } => {
                let image = self.part_of_data(of, channels)?;
                self.dense(image.iter().product(), Some(image));
            }
            Layer::Dense { to: Dense::Out } => {
                self.has_out = true;
                self.dense(out, None);
            }
            Layer::Conv(conv) => {
                let map = self.conv(conv, None, out, before)?;
                self.conv_step(map, conv.channels);
            }
            Layer::ConvTranspose { conv, output_padding } => {
                let map = self.conv(conv, Some(output_padding), out, before)?;
                self.conv_step(map, conv.channels);
            }
            Layer::AvgPool { kernel, stride } => {
                let [height, width, _] = self.image(before)?;
                let window = ConvGeometry::down([height, width], kernel, stride, 0);
                let at = self.at;
                let refused =
                    || format!("has windows of {kernel}x{kernel} that do not fit into {at}, which is {before}");
                self.pool(window.ok_or_else(refused)?)?;
            }
            Layer::Upsample { factor } => {
                let [height, width, _] = self.image(before)?;
                let window = ConvGeometry::up([height, width], factor, factor, 0, 0);
                self.pool(window.ok_or_else(|| format!("leaves nothing of {}, which is {before}", self.at))?)?;
            }
            Layer::Depthwise { kernel, stride, padding } => {
                let [height, width, channels] = self.image(before)?;
                let (at, window) = (self.at, ConvGeometry::down([height, width], kernel, stride, padding));
                let window = window.ok_or_else(|| {
                    format!("has a kernel of {kernel}x{kernel} that does not fit into {at}, which is {before}")
                })?;
                let image = bearable(window.made(), channels)?;
                let map = self.map(1, channels, MapKind::Depthwise(window));
                self.steps.push(Step::Map(map));
                self.at = Between::Image(image);
            }
            Layer::SqueezeExcite { width } => self.squeeze_excite(width, before)?,
            Layer::GroupNorm { groups } => self.norm(groups, before)?,
            Layer::LayerNorm => self.norm(1, before)?,
            Layer::PixelNorm => self.pixel_norm(before)?,
            Layer::BatchNorm => self.batch_norm(),
            Layer::Positions => {
                let [height, width, channels] = self.image(before)?;
                let map = self.map(height * width, channels, MapKind::Positions);
                self.steps.push(Step::Map(map));
            }
            Layer::Attention { heads } => self.attention(heads, before)?,
            Layer::Transformer { heads, width } => self.transformer(heads, width, before)?,
            Layer::Block(_) => return Err("is a block".into()),
        }
        Ok(())
    }

    /// An image of a part of the data's sides.
    fn part_of_data(&self, of: usize, channels: usize) -> Checked<Image> {
        let [_, height, width] = self.data;
        if height == 1 {
            return Err(format!("wants data that are images, and an example is {width} numbers in a row"));
        }
        if !height.is_multiple_of(of) || !width.is_multiple_of(of) {
            return Err(format!(
                "wants data whose sides are multiples of {of}, and they have {height}x{width}: `data.resize` changes those of \
                 pictures, and `dense 7x7x64` gives an image of any size"
            ));
        }
        Ok([height / of, width / of, channels])
    }

    /// Examples as layers see them: images with their channels side by side, or numbers.
    fn settle(&mut self) {
        self.at = match self.at {
            Between::Data([channels, height, width]) if height > 1 => {
                if channels > 1 {
                    self.steps.push(Step::NchwNhwc { channels, to_pixels: true });
                }
                Between::Image([height, width, channels])
            }
            Between::Data(_) => Between::Numbers(self.at.count()),
            settled => settled,
        };
    }

    /// The image that a layer reads.
    fn image(&mut self, before: &str) -> Checked<Image> {
        if let Between::Data([_, 1, _]) = self.at {
            return Err(format!(
                "wants images, and an example is {} in a row: take images or arrays of examples × height × width, or give \
                 the model `hidden` widths instead of layers",
                self.at
            ));
        }
        self.settle();
        match self.at {
            Between::Image(image) => Ok(image),
            _ => Err(format!(
                "wants an image, and {before} gives {}: let a dense layer give one, such as `dense 7x7x64`",
                self.at
            )),
        }
    }

    /// The map of a convolution, or where pixels may be added to the right and below of a transposed one.
    fn conv(&mut self, conv: Conv, more: Option<usize>, out: usize, before: &str) -> Checked<(Map, Image)> {
        let Conv { channels, kernel, stride, padding } = conv;
        let [height, width, inputs] = self.image(before)?;
        let at = self.at;
        let window = match more {
            None => ConvGeometry::down([height, width], kernel, stride, padding).ok_or_else(|| {
                format!("has a kernel of {kernel}x{kernel} that does not fit into {at}, which is {before}")
            })?,
            Some(more) => ConvGeometry::up([height, width], kernel, stride, padding, more)
                .ok_or_else(|| format!("leaves nothing of {at}, which is {before}"))?,
        };
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
                    "makes {high}x{wide} pixels of {at}, which is {before}, and the data have {data_high}x{data_wide}"
                ));
            }
        };
        let products = kernel * kernel * inputs.max(outputs);
        if products > MAX_PRODUCTS {
            return Err(format!(
                "adds up {products} products for a number of {at}, which is {before}, or of what it makes: up to \
                 {MAX_PRODUCTS} are possible; take a smaller kernel or fewer channels"
            ));
        }
        let image = bearable(made, outputs)?;
        Ok((self.map(inputs, outputs, MapKind::Conv(window)), image))
    }

    fn conv_step(&mut self, (map, image): (Map, Image), channels: Channels) {
        let outputs = map.outputs;
        self.steps.push(Step::Map(map));
        self.at = Between::Image(image);
        if channels == Channels::Out {
            self.has_out = true;
            if outputs > 1 {
                self.steps.push(Step::NchwNhwc { channels: outputs, to_pixels: false });
            }
        }
    }

    fn pool(&mut self, window: ConvGeometry) -> Checked<()> {
        let channels = self.at.count() / window.source().iter().product::<usize>();
        self.at = Between::Image(bearable(window.made(), channels)?);
        self.steps.push(Step::Pool(window));
        Ok(())
    }

    /// Pixels and channels of what is normalised; numbers are the channels of one pixel.
    fn normalised(&mut self) -> (usize, usize) {
        self.settle();
        match self.at {
            Between::Image([height, width, channels]) => (height * width, channels),
            other => (1, other.count()),
        }
    }

    fn norm(&mut self, groups: usize, before: &str) -> Checked<()> {
        let (pixels, channels) = self.normalised();
        let what = if pixels == 1 { "numbers" } else { "channels" };
        if !channels.is_multiple_of(groups) {
            return Err(format!("wants {what} that are a multiple of {groups}, and {before} gives {}", self.at));
        }
        if pixels * channels == groups {
            return Err(format!("would leave nothing of {}, which is {before}: a group is one number", self.at));
        }
        let map = self.map(channels, channels, MapKind::Norm { groups, pixels });
        self.steps.push(Step::Map(map));
        Ok(())
    }

    fn pixel_norm(&mut self, before: &str) -> Checked<()> {
        let [height, wide, channels] = self.image(before)?;
        if channels == 1 {
            return Err(format!("would leave nothing of {}, which is {before}: a pixel is one number", self.at));
        }
        let map = self.map(channels, channels, MapKind::PixelNorm(height * wide));
        self.steps.push(Step::Map(map));
        Ok(())
    }

    fn batch_norm(&mut self) {
        let (pixels, channels) = self.normalised();
        let map = self.map(channels, channels, MapKind::BatchNorm(pixels));
        self.steps.push(Step::Map(map));
    }

    /// The same map of every pixel.
    fn of_pixels(&mut self, outputs: usize, before: &str) -> Checked<()> {
        let [height, wide, channels] = self.image(before)?;
        let image = bearable([height, wide], outputs)?;
        let map = self.map(channels, outputs, MapKind::Pixels(height * wide));
        self.steps.push(Step::Map(map));
        self.at = Between::Image(image);
        Ok(())
    }

    /// Queries, keys and values of every pixel, what each sees, and a map of that.
    fn attention(&mut self, heads: usize, before: &str) -> Checked<()> {
        let [height, wide, channels] = self.image(before)?;
        let (pixels, at) = (height * wide, self.at);
        if !channels.is_multiple_of(heads) {
            return Err(format!("wants channels that are a multiple of its {heads} heads, and {before} gives {at}"));
        }
        if pixels == 1 {
            return Err(format!("has nothing to look at in {at}, which is {before}: there is one pixel"));
        }
        let numbers = pixels.checked_mul(pixels).and_then(|pairs| pairs.checked_mul(heads));
        if numbers.is_none_or(|numbers| numbers > MAX_NUMBERS) {
            return Err(format!(
                "looks from every pixel of {at}, which is {before}, at every other with {heads} heads: up to {MAX_NUMBERS} such \
                 looks are possible; let a convolution with a stride make fewer pixels"
            ));
        }
        self.of_pixels(3 * channels, before)?;
        self.steps.push(Step::Attention { heads, pixels });
        self.at = at;
        self.of_pixels(channels, before)
    }

    /// x times sigmoid(map(relu(map(means of its channels)))).
    fn squeeze_excite(&mut self, width: usize, before: &str) -> Checked<()> {
        let [high, wide, channels] = self.image(before)?;
        // Of the one pixel that is left; no dense layer, which classes might join.
        let (kind, pixels) = (MapKind::Pixels(1), high * wide);
        self.steps.push(Step::Squeeze(pixels));
        for (inputs, outputs, then) in [(channels, width, Activation::Relu), (width, channels, Activation::Sigmoid)] {
            let map = self.map(inputs, outputs, kind);
            self.steps.extend([Step::Map(map), Step::Activation(then)]);
        }
        self.steps.push(Step::Excite(pixels));
        Ok(())
    }

    /// x + attention(norm(x)), and of that y + map(GELU(map(norm(y)))).
    fn transformer(&mut self, heads: usize, width: usize, before: &str) -> Checked<()> {
        let [.., channels] = self.image(before)?;
        self.steps.push(Step::Begin(None));
        self.pixel_norm(before)?;
        self.attention(heads, before)?;
        self.steps.extend([Step::End, Step::Begin(None)]);
        self.pixel_norm(before)?;
        self.of_pixels(width, before)?;
        self.steps.push(Step::Activation(Activation::GeluErf));
        self.of_pixels(channels, before)?;
        self.steps.push(Step::End);
        Ok(())
    }

    /// Begins a residual block and gives what it adds to at its end.
    fn begin(&mut self, skip: Option<Conv>, before: &str) -> Checked<Between> {
        self.settle();
        let (map, kept) = match skip {
            None => (None, self.at),
            Some(conv) => {
                let (map, image) = self.conv(conv, None, 0, before)?;
                (Some(map), Between::Image(image))
            }
        };
        self.steps.push(Step::Begin(map));
        Ok(kept)
    }

    fn end(&mut self, kept: Between, block: &Block) -> Checked<()> {
        if self.at != kept {
            let advice = match (self.at, kept) {
                (Between::Image(_), Between::Image(_)) => {
                    "let both be the same, as with a convolution on the way around such as \
                     `skip = { conv = 64, kernel = 1, stride = 2 }`"
                        .to_owned()
                }
                (_, Between::Numbers(count)) => format!("end the block with `dense {count}`"),
                (_, image) => format!("end the block with `dense {image}`"),
            };
            let last = block.layers.last().map_or(String::new(), |last| format!(", which it ends with in `{last}`,"));
            let keeps = if block.kind == BlockKind::Residual(None) { "which it is given" } else { "what `skip` makes" };
            return Err(format!("adds {}{last} to {kept}, {keeps}: {advice}", self.at));
        }
        self.steps.push(Step::End);
        Ok(())
    }
}

/// The image of so many pixels and channels, unless it is too large.
fn bearable([height, width]: [usize; 2], channels: usize) -> Checked<Image> {
    let numbers = height.checked_mul(width).and_then(|pixels| pixels.checked_mul(channels));
    if numbers.is_none_or(|numbers| numbers > MAX_NUMBERS) {
        return Err(format!(
            "makes an image of {height}x{width}x{channels}: up to {MAX_NUMBERS} numbers are possible; take a smaller stride or \
             fewer channels"
        ));
    }
    Ok([height, width, channels])
}
