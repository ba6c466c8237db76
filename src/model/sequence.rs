//! A variational autoencoder of sequences (Bowman et al., "Generating sentences from a continuous space", 2016, arXiv 1511.06349): a
//! recurrent encoder reads tokens up to their end and gives the posterior, a recurrent decoder says of each token how likely it
//! is, given the latents and the tokens before it.
//!
//! log p(x|z) = Σ log p(token in place t | z, tokens before t)
//!
//! The latents are told to the decoder twice: as what its units begin with, tanh of an affine map, and beside the token before
//! at each step. In training, tokens before are left out at random ([`ModelConfig::word_dropout`]) and shown as unknown, so that
//! the decoder cannot do without the latents (section 3.2 there).
//!
//! In place of recurrent layers there may be attention ([`Cell::Transformer`]): `sequence/transformer.rs`.
//!
//! Everything else is that of other variational autoencoders: posteriors, priors, objectives, importance weights.
//!
//! Letters: B examples of the batch, K samples of each, R = B·K rows, T places of an example, V tokens of the vocabulary, E numbers
//! of an embedding ([`ModelConfig::embedding`]), H units of a layer, each with G gates and S
//! numbers of state ([`Cell`]), Z latents.

mod transformer;

use super::family::{Family, phases};
use super::network::{Map, MapKind, Step};
use super::parts::{Start, Tensor};
use super::posterior;
use super::stack::Networks;
use super::tasks::{BEGIN, ENCODE, EVALUATE, EXPLAIN, IMPORTANCE, NEXT, SAMPLE, SCORE, Task};
use super::{LOGITS, Model, network, objective};
use crate::config::{Cell, ModelConfig};
use crate::data::text::vocabulary::{PADDING, UNKNOWN};
use crate::error::{Error, Result};
use crate::expr::Expr;
use crate::graph::op::Source;
use crate::graph::{Axis, Elements, Graph, Id, Op, Reduction};
use crate::shape::Shape;

/// The name of the input with the token before, [B].
pub const TOKEN: &str = "token";
/// The name of the input with what the decoder remembers, its layers side by side, [B, ΣSH].
pub const UNITS: &str = "units";
/// The name of the output with the same one step later, or at the beginning.
pub const NEXT_UNITS: &str = "next units";

/// The family.
pub static FAMILY: Family = Family { phases, formula: objective::of_elbo, tasks: TASKS, draws: SAMPLE };

/// What it can be asked.
static TASKS: &[Task] = &[
    Task { name: EVALUATE, takes_samples: false, build: |model, batch, _| model.evaluate(batch) },
    Task { name: IMPORTANCE, takes_samples: true, build: Model::importance },
    Task { name: SCORE, takes_samples: true, build: Model::score },
    Task { name: EXPLAIN, takes_samples: false, build: |model, batch, _| model.explain(batch) },
    Task { name: ENCODE, takes_samples: false, build: |model, batch, _| model.encode(batch) },
    Task { name: SAMPLE, takes_samples: false, build: |model, batch, _| model.draw_latents(batch) },
    Task { name: BEGIN, takes_samples: false, build: |model, batch, _| model.begin(batch) },
    Task { name: NEXT, takes_samples: false, build: |model, batch, _| model.next_token(batch) },
];

/// The widths of the decoder's layers.
fn decoder_widths(config: &ModelConfig) -> Vec<usize> {
    if config.decoder.is_empty() { config.hidden.iter().rev().copied().collect() } else { config.decoder.clone() }
}

/// The numbers that the decoder remembers from step to step: what its units are, of each layer with its cells behind them.
fn state_width(config: &ModelConfig) -> usize {
    config.cell.states() * decoder_widths(config).iter().sum::<usize>()
}

/// The tensors of the recurrent layers, from the data up and down again; none of other models.
pub(super) fn tensors(model: &Model) -> Vec<Tensor> {
    if !model.is_sequence() {
        return vec![];
    }
    let (config, vocabulary) = (&model.config, model.vocabulary());
    if config.cell == Cell::Transformer {
        return transformer::tensors(config, model.width, vocabulary);
    }
    let decoder = decoder_widths(config);
    let embedding =
        |name: &str| Tensor::new(format!("{name}.embedding"), &[vocabulary, config.embedding], Start::Normal(1.0));
    let begin = Tensor::map("decoder.begin", config.latent, state_width(config));
    let mut all = vec![embedding("encoder")];
    all.extend(layers(config.cell, "encoder", config.embedding, &config.hidden, config.bidirectional));
    all.push(embedding("decoder"));
    all.push(begin);
    all.extend(layers(config.cell, "decoder", config.embedding + config.latent, &decoder, false));
    all
}

/// Two tensors for each layer: of what it reads, [in + 1, GH], and of its units one step before, [H + 1, GH]; its G gates stand side by
/// side and the bias is last, so that they are the transposes of `weight_ih` and `weight_hh` of `torch.nn.GRU` or `torch.nn.LSTM`. Two
/// more where a layer also reads from the end, `_reverse` there as here; layers above one of these read both.
fn layers(cell: Cell, name: &str, inputs: usize, widths: &[usize], both: bool) -> Vec<Tensor> {
    let directions: &[&str] = if both { &["", "_reverse"] } else { &[""] };
    let before = std::iter::once(inputs).chain(widths.iter().map(|width| directions.len() * width));
    let mut all = Vec::new();
    for (at, (inputs, &width)) in before.zip(widths).enumerate() {
        let start = Start::Uniform(1.0 / (width as f32).sqrt());
        for direction in directions {
            all.extend([("input", inputs), ("state", width)].map(|(kind, inputs)| {
                let name = format!("{name}.{at}.{kind}{direction}");
                Tensor::new(name, &[inputs + 1, cell.gates() * width], start)
            }));
        }
    }
    all
}

/// The trainable tensors of a graph, as [`tensors`] has them.
struct Parts<'a> {
    encoder_embedding: Id,
    encoder: &'a [Id],
    decoder_embedding: Id,
    begin: Id,
    decoder: &'a [Id],
}

impl<'a> Parts<'a> {
    fn of(model: &Model, all: &'a [Id]) -> Result<Self> {
        let tensors = 2 * model.config.hidden.len() * model.config.directions();
        match all {
            [encoder_embedding, rest @ ..] if rest.len() >= tensors + 2 => {
                let (encoder, rest) = rest.split_at(tensors);
                let (decoder_embedding, begin, decoder) = (rest[0], rest[1], &rest[2..]);
                Ok(Self { encoder_embedding: *encoder_embedding, encoder, decoder_embedding, begin, decoder })
            }
            _ => Err(Error::Bug("a model of sequences lacks its tensors".into())),
        }
    }
}

impl Model {
    /// Whether examples are sequences of tokens.
    pub fn is_sequence(&self) -> bool {
        matches!(self.source, Source::Tokens(_))
    }

    /// V, the numbers that a token may have; 0 of other models.
    pub fn vocabulary(&self) -> usize {
        if let Source::Tokens(count) = self.source { count } else { 0 }
    }

    /// The widths of the recurrent layers of the decoder, or within its blocks.
    pub fn decoder_units(&self) -> Vec<usize> {
        decoder_widths(&self.config)
    }

    /// The numbers that the decoder remembers from one token to the next.
    pub fn decoder_state(&self) -> usize {
        // The tokens so far, and how many.
        if self.config.cell == Cell::Transformer { self.width + 1 } else { state_width(&self.config) }
    }

    /// What reads the units of the last layer: of the encoder the heads of the posterior, of the decoder logits.
    pub(super) fn sequence_heads(&self) -> [Vec<Step>; 2] {
        let head = |name: &str, inputs: usize, outputs: usize| {
            vec![Step::Map(Map { name: name.into(), inputs, outputs, kind: MapKind::Dense { from: None, to: None } })]
        };
        let config = &self.config;
        let last = |widths: &[usize]| match config.cell {
            Cell::Gru | Cell::Lstm => widths.last().copied().unwrap_or(0),
            Cell::Transformer => config.embedding,
        };
        let outputs = 2 * config.latent + (posterior::of(config.posterior).context)(config);
        let decoder = decoder_widths(config);
        [
            head("encoder.head", config.directions() * last(&config.hidden), outputs),
            head("decoder.head", last(&decoder), self.vocabulary()),
        ]
    }

    /// What the last layer of the encoder is at the end of examples [B, T], [B, H]; where it reads both ways, behind it what it is at
    /// their beginning when it came from the end, [B, 2H]. Of attention it is the mean over the tokens of each, [B, E].
    pub(super) fn read_through(&self, graph: &mut Graph, networks: &Networks, x: Id) -> Result<Id> {
        if self.config.cell == Cell::Transformer {
            return transformer::encoded(graph, &self.config, &networks.recurrent, x);
        }
        let parts = Parts::of(self, &networks.recurrent)?;
        let (config, cell, places) = (&self.config, self.config.cell, self.width);
        let rows = graph.shape(x).rows();
        let index = graph.reshape(x, &[rows * places])?;
        let (mut below, mut layer) = (None, Vec::new());
        for (&width, maps) in config.hidden.iter().zip(parts.encoder.chunks_exact(2 * config.directions())) {
            let columns = cell.states() * width;
            let begun = Elements { operands: vec![], f: Expr::constant(0.0), rows, columns };
            let begun = graph.add(Op::Map(begun))?;
            layer = Vec::new();
            for (maps, backward) in maps.chunks_exact(2).zip([false, true]) {
                let gates = match below {
                    None => self.of_tokens(graph, parts.encoder_embedding, maps[0], index)?,
                    Some(x) => graph.add(Op::Affine { x, w: maps[0] })?,
                };
                let gates = if backward { shut(graph, cell, gates, index)? } else { gates };
                let states = graph.add(Op::Recurrent { cell, backward, gates, begun, w: maps[1] })?;
                layer.push(units(graph, cell, states)?);
            }
            below = Some(if layer.len() == 1 { layer[0] } else { graph.concatenate(&layer)? });
        }
        // Where the last token of each example stands among those of all.
        let count = graph
            .reduce_map(Reduction::Sum, Axis::Columns, [x], |[token]| token.equal(PADDING as f32).select(0.0, 1.0))?;
        let end = graph.map([count], |[count]| Expr::row(rows) * places as f32 + (count - 1.0).max(0.0))?;
        let index = graph.stop_gradient(end)?;
        let last = *layer.first().ok_or_else(|| Error::Bug("an encoder of sequences has no layer".into()))?;
        let last = graph.add(Op::TakeRows { x: last, index })?;
        let Some(&first) = layer.get(1) else { return Ok(last) };
        // The first place of each example.
        let width = graph.shape(first).columns();
        let all = graph.reshape(first, &[rows, places * width])?;
        let first = graph.columns(all, 0, width)?;
        graph.concatenate(&[last, first])
    }

    /// What the gates of the first layer are given of tokens, [R·T, GH]: the embedding of each through the layer's map, which is
    /// computed once for each token of the vocabulary, or where that has more, for each place.
    fn of_tokens(&self, graph: &mut Graph, embedding: Id, map: Id, index: Id) -> Result<Id> {
        if self.vocabulary() > MAX_MAPPED {
            let embedded = graph.add(Op::TakeRows { x: embedding, index })?;
            return graph.add(Op::Affine { x: embedded, w: map });
        }
        let all = graph.add(Op::Affine { x: embedding, w: map })?;
        graph.add(Op::TakeRows { x: all, index })
    }

    /// The logits of all tokens in each place of examples [B, T], given latents [R, Z] and the tokens before, [R·T, V].
    pub(super) fn told_before(&self, graph: &mut Graph, networks: &Networks, z: Id, x: Id) -> Result<Id> {
        let (rows, places) = (graph.shape(z).rows(), self.width);
        // What stands before the first token is the number of padding, which is a token before in no other place that counts.
        let before = graph.columns(x, -1, places)?;
        let before = graph.repeat(before, rows)?;
        let before = self.left_out(graph, before)?;
        let index = graph.reshape(before, &[rows * places])?;
        let index = graph.stop_gradient(index)?;
        if self.config.cell == Cell::Transformer {
            let h = transformer::decoded(graph, &self.config, &networks.recurrent, z, index)?;
            return token_logits(graph, networks, h);
        }
        let begun = self.begun(graph, networks, z)?;
        let states = self.decoded_states(graph, networks, z, index, &begun)?;
        let last = self.last_units(graph, &states)?;
        token_logits(graph, networks, last)
    }

    /// Tokens before [R, T], some of them unknown in training.
    fn left_out(&self, graph: &mut Graph, before: Id) -> Result<Id> {
        let rate = self.config.word_dropout;
        if !graph.training || rate == 0.0 {
            return Ok(before);
        }
        let (rows, columns) = (graph.shape(before).rows(), graph.shape(before).columns());
        let ones = graph.add(Op::Map(Elements { operands: vec![], f: Expr::constant(1.0), rows, columns }))?;
        let layer = graph.ids().filter(|&id| matches!(graph.op(id), Op::Dropout { .. })).count();
        let kept = graph.add(Op::Dropout { x: ones, rate, layer })?;
        graph.map([before, kept], |[before, kept]| {
            let is_token = before.clone().equal(PADDING as f32).select(0.0, 1.0);
            (kept.equal(0.0) * is_token).equal(1.0).select(UNKNOWN as f32, before)
        })
    }

    /// What units and cells of all layers begin with, [R, SH] each.
    fn begun(&self, graph: &mut Graph, networks: &Networks, z: Id) -> Result<Vec<Id>> {
        let parts = Parts::of(self, &networks.recurrent)?;
        let all = graph.add(Op::Affine { x: z, w: parts.begin })?;
        let all = graph.add(Op::Activation { x: all, kind: crate::config::Activation::Tanh })?;
        self.of_layers(graph, all)
    }

    /// The states of all layers side by side, [R, ΣSH], as those of each.
    fn of_layers(&self, graph: &mut Graph, all: Id) -> Result<Vec<Id>> {
        let widths = self.decoder_units();
        if widths.len() == 1 {
            return Ok(vec![all]);
        }
        let mut start = 0;
        let mut units = Vec::new();
        for width in widths {
            let width = self.config.cell.states() * width;
            units.push(graph.columns(all, start, width)?);
            start += width as i32;
        }
        Ok(units)
    }

    /// The states of each layer of the decoder after each step, [R·T, SH], given latents [R, Z] and tokens before [R·T].
    fn decoded_states(
        &self,
        graph: &mut Graph,
        networks: &Networks,
        z: Id,
        index: Id,
        begun: &[Id],
    ) -> Result<Vec<Id>> {
        let parts = Parts::of(self, &networks.recurrent)?;
        let [embedding, latent] = [self.config.embedding, self.config.latent];
        // Rows of one tensor: those of the embedding, and behind them those of the latents and the bias.
        let map = parts.decoder[0];
        let wide = graph.shape(map).columns();
        let row = graph.reshape(map, &[1, (embedding + latent + 1) * wide])?;
        let of_token = graph.columns(row, 0, embedding * wide)?;
        let of_token = graph.reshape(of_token, &[embedding, wide])?;
        let of_latent = graph.columns(row, (embedding * wide) as i32, (latent + 1) * wide)?;
        let of_latent = graph.reshape(of_latent, &[latent + 1, wide])?;
        let product = |a: Id| Op::Product { a, b: of_token, batch: 1, transposed: [false, false] };
        let tokens = if self.vocabulary() > MAX_MAPPED {
            let embedded = graph.add(Op::TakeRows { x: parts.decoder_embedding, index })?;
            graph.add(product(embedded))?
        } else {
            let all = graph.add(product(parts.decoder_embedding))?;
            graph.add(Op::TakeRows { x: all, index })?
        };
        let latents = graph.add(Op::Affine { x: z, w: of_latent })?;
        let gates = graph.map([tokens, latents], |[token, latent]| token + latent)?;
        recurrent(graph, self.config.cell, gates, parts.decoder, begun)
    }

    /// The units of the decoder's last layer, of the states of all.
    fn last_units(&self, graph: &mut Graph, states: &[Id]) -> Result<Id> {
        let last = *states.last().ok_or_else(|| Error::Bug("a decoder of sequences has no layer".into()))?;
        units(graph, self.config.cell, last)
    }

    /// Latents drawn from the prior: output `z` [B, Z].
    pub(super) fn draw_latents(&self, batch: usize) -> Result<Graph> {
        let mut graph = Graph::new(batch);
        let networks = self.declare(&mut graph)?;
        let [z, _] = self.sample_prior(&mut graph, &networks)?;
        graph.output("z", z);
        Ok(graph)
    }

    /// What the units of the decoder begin with: input `z` [B, Z], output [`NEXT_UNITS`] [B, ΣSH].
    pub(super) fn begin(&self, batch: usize) -> Result<Graph> {
        let mut graph = Graph::new(batch);
        let networks = self.declare(&mut graph)?;
        let z = graph.add(Op::Input { name: "z".into(), shape: Shape::new(&[batch, self.config.latent]) })?;
        let all = if self.config.cell == Cell::Transformer {
            transformer::begun(&mut graph, z, self.width)?
        } else {
            let units = self.begun(&mut graph, &networks, z)?;
            graph.concatenate(&units)?
        };
        graph.output(NEXT_UNITS, all);
        Ok(graph)
    }

    /// One step of the decoder: inputs `z` [B, Z], [`TOKEN`] [B] and [`UNITS`] [B, ΣSH], outputs [`LOGITS`] [B, V] and
    /// [`NEXT_UNITS`].
    pub(super) fn next_token(&self, batch: usize) -> Result<Graph> {
        let mut graph = Graph::new(batch);
        let networks = self.declare(&mut graph)?;
        let mut input =
            |name: &str, shape: &[usize]| graph.add(Op::Input { name: name.into(), shape: Shape::new(shape) });
        let z = input("z", &[batch, self.config.latent])?;
        let token = input(TOKEN, &[batch])?;
        let states = input(UNITS, &[batch, self.decoder_state()])?;
        let [last, all] = if self.config.cell == Cell::Transformer {
            transformer::next(&mut graph, &self.config, &networks.recurrent, [z, token, states])?
        } else {
            let begun = self.of_layers(&mut graph, states)?;
            let states = self.decoded_states(&mut graph, &networks, z, token, &begun)?;
            [self.last_units(&mut graph, &states)?, graph.concatenate(&states)?]
        };
        let logits = token_logits(&mut graph, &networks, last)?;
        graph.output(LOGITS, logits);
        graph.output(NEXT_UNITS, all);
        Ok(graph)
    }
}

/// The logits of all tokens from what the decoder's last layer makes.
fn token_logits(graph: &mut Graph, networks: &Networks, last: Id) -> Result<Id> {
    let (steps, weights) = &networks.decoders[0];
    network::apply(graph, last, steps, weights, None)
}

/// The most tokens of a vocabulary that are all mapped at every step, rather than those that stand in examples.
const MAX_MAPPED: usize = 1024;

/// The states of each layer after each step, [R·T, SH], from the gates of the first, the tensors of all and what each begins with.
fn recurrent(graph: &mut Graph, cell: Cell, gates: Id, tensors: &[Id], begun: &[Id]) -> Result<Vec<Id>> {
    let mut all: Vec<Id> = Vec::new();
    for (maps, &begun) in tensors.chunks_exact(2).zip(begun) {
        let gates = match all.last() {
            Some(&below) => {
                let x = units(graph, cell, below)?;
                graph.add(Op::Affine { x, w: maps[0] })?
            }
            None => gates,
        };
        all.push(graph.add(Op::Recurrent { cell, backward: false, gates, begun, w: maps[1] })?);
    }
    Ok(all)
}

/// The units of a layer, [R·T, H], out of its states, in which its cells stand behind them.
fn units(graph: &mut Graph, cell: Cell, states: Id) -> Result<Id> {
    let columns = graph.shape(states).columns();
    if cell.states() == 1 { Ok(states) } else { graph.columns(states, 0, columns / cell.states()) }
}

/// Far outside of what gates are given: a sigmoid of it is exactly 1, or of its negative exactly 0.
const SHUT: f32 = 1e4;

/// What gates are given, [R·T, GH], but where tokens [R·T] are padding, what leaves units at 0 that have not read anything yet: a layer
/// that comes from the end begins at the end of each sequence. Gated units keep what they are, a long short-term memory lets nothing in.
fn shut(graph: &mut Graph, cell: Cell, gates: Id, tokens: Id) -> Result<Id> {
    let width = graph.shape(gates).columns() / cell.gates();
    let (gate, held) = match cell {
        Cell::Gru => (1, SHUT),
        Cell::Lstm => (0, -SHUT),
        Cell::Transformer => return Err(Error::Bug("attention has no gates".into())),
    };
    graph.map([gates, tokens], |[given, token]| {
        let column = Expr::column();
        let behind = column.clone().less((gate * width) as f32).select(0.0, 1.0);
        let here = column.less(((gate + 1) * width) as f32).select(behind, 0.0);
        let padding = token.equal(PADDING as f32).select(here, 0.0);
        padding.equal(1.0).select(held, given)
    })
}
