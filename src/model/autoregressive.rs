//! The prior of the codes of a VQ-VAE: an autoregressive model of their grid by masked convolutions (van den Oord et al.,
//! "Conditional image generation with `PixelCNN` decoders", 2016, arXiv 1606.05328), gated and residual, with the two stacks of
//! section 2.2.
//!
//! log p(codes) = Σ log p(code of cell i | codes of cells before i), cell by cell in the order in which rows are read.
//!
//! The vertical stack of a cell sees the rows above it, as wide as its kernels reach, the horizontal one the cells to its left
//! and what the vertical stack says of the cell; so no cell before is out of sight, as it is to one stack of masked kernels. A
//! layer has kernels of three cells a side. A mask is what a kernel does not have: each of its taps is the image moved by a row
//! or a cell, with zeros for what lies outside, and taps at or behind the cell itself do not exist. Layer 1:
//!
//! - vertical: the three cells above; horizontal: the cell to the left (a mask of type A);
//!
//! and later layers, of which each number of a cell knows nothing of the cell itself (type B):
//!
//! - vertical: these and the three cells of the own row; horizontal: the cell to the left and the own one.
//!
//! Each stack is gated, tanh(a)·sigmoid(b) with a and b two halves of what the kernel gives; the horizontal one is told what the
//! vertical kernel gives and, from layer 2 on, its gate goes through a kernel of one cell and is added to what the layer was given.
//!
//! A prior that is told classes adds to what a kernel of either stack gives the row of the class in a table of the layer (section
//! 2.3, eq. 4: V h with h a 1 among zeros).
//!
//! Letters: B examples of the batch, S cells of an example, R = B·S, K codes, C channels ([`ModelConfig::prior_width`]), L layers
//! ([`ModelConfig::prior_layers`]).

use super::family::Family;
use super::parts::{Start, Tensor};
use super::phases::Phase;
use super::quantise::CODES;
use super::tasks::{EVALUATE, NEXT, Task};
use super::weights::{DISTORTION, RATE};
use super::{Model, Weights};
use crate::config::{Activation, Config, ModelConfig};
use crate::error::Result;
use crate::expr::Expr;
use crate::graph::{Axis, Elements, Graph, Id, Op, Reduction};
use crate::shape::Shape;

/// The name of the input with the row of a cell of each example among those of all examples, counted from 0, [B].
pub const CELL: &str = "cell";
/// The name of the output with the logits of the codes of these cells, [B, K].
pub const LOGITS: &str = "logits";

/// What is minimised, in a line.
const FORMULA: &str = "-log p(codes), shown as the distortion; the rate is 0";

/// The family.
pub static FAMILY: Family = Family { phases, formula: |_, _| FORMULA.to_owned(), tasks: TASKS, draws: NEXT };

/// What it can be asked.
static TASKS: &[Task] = &[
    Task { name: EVALUATE, takes_samples: false, build: |model, batch, _| model.evaluate_prior_of_codes(batch) },
    Task { name: NEXT, takes_samples: false, build: |model, batch, _| model.next_code(batch) },
];

/// The tensors of a prior of codes, from the codes up; none of other models.
pub(super) fn tensors(config: &ModelConfig, classes: usize) -> Vec<Tensor> {
    let (codes, wide) = (config.prior_codes, config.prior_width);
    if codes == 0 {
        return vec![];
    }
    let layer = |layer: usize| {
        let [vertical, horizontal] = if layer == 1 { [3, 1] } else { [6, 2] };
        let maps = [
            Tensor::map(format!("prior.{layer}.vertical"), vertical * wide, 2 * wide),
            Tensor::map(format!("prior.{layer}.horizontal"), (horizontal + 2) * wide, 2 * wide),
            Tensor::map(format!("prior.{layer}.out"), wide, wide),
        ];
        // What each class adds to both stacks; at the start nothing.
        let told = Tensor::new(format!("prior.{layer}.class"), &[classes.max(1), 4 * wide], Start::Constant(0.0));
        maps.into_iter().chain((classes > 0).then_some(told))
    };
    let embedding = Tensor::new("prior.embedding", &[codes, wide], Start::Normal(1.0));
    let heads = [Tensor::map("prior.hidden", wide, wide), Tensor::map("prior.head", wide, codes)];
    std::iter::once(embedding).chain((1..=config.prior_layers).flat_map(layer)).chain(heads).collect()
}

/// The single phase, by −log p of the codes.
fn phases(config: &Config) -> Vec<Phase> {
    vec![Phase {
        weights: Weights::elbo(1.0),
        build: |model, _, weights, batch| model.train_prior_of_codes(weights, batch),
        ..Phase::whole(config)
    }]
}

impl Model {
    /// Whether it is a prior of the codes of a VQ-VAE, and no autoencoder: without latents, encoder and decoder.
    pub fn is_prior_of_codes(&self) -> bool {
        self.config.prior_codes > 0
    }

    /// S·log K, what S codes that are all as likely take, in nats.
    pub fn uniform_nats(&self) -> f64 {
        self.width as f64 * (self.config.prior_codes as f64).ln()
    }

    /// The tensors in the order of [`tensors`].
    pub(super) fn declare_prior_of_codes(&self, graph: &mut Graph) -> Result<Vec<Id>> {
        tensors(&self.config, self.classes)
            .into_iter()
            .map(|tensor| graph.parameter(&tensor.name, tensor.shape))
            .collect()
    }

    fn train_prior_of_codes(&self, weights: &Weights, batch: usize) -> Result<Graph> {
        let mut graph = Graph::training(batch);
        self.prior_terms(&mut graph, weights)?;
        Ok(graph)
    }

    /// Evaluation of a batch: terms `distortion`, which is −log p of the codes, and `rate`, which is 0; the same per example as
    /// outputs [B].
    pub(super) fn evaluate_prior_of_codes(&self, batch: usize) -> Result<Graph> {
        let mut graph = Graph::new(batch);
        self.prior_terms(&mut graph, &Weights::elbo(1.0))?;
        let [distortion, rate] = [graph.terms[0].rows, graph.terms[1].rows];
        graph.output("distortion", distortion);
        graph.output("rate", rate);
        Ok(graph)
    }

    /// What the next code may be: inputs [`CODES`] [B, S], of which those at and behind a cell say nothing, and [`CELL`] [B];
    /// output [`LOGITS`] [B, K] of these cells.
    pub(super) fn next_code(&self, batch: usize) -> Result<Graph> {
        let mut graph = Graph::new(batch);
        let parts = self.declare_prior_of_codes(&mut graph)?;
        let codes = graph.add(Op::Input { name: CODES.into(), shape: Shape::new(&[batch, self.width]) })?;
        let cell = graph.add(Op::Input { name: CELL.into(), shape: Shape::new(&[batch]) })?;
        let index = graph.reshape(codes, &[batch * self.width])?;
        let class = self.given_class(&mut graph)?;
        let known = self.known_before(&mut graph, &parts, index, class)?;
        let known = graph.add(Op::TakeRows { x: known, index: cell })?;
        let logits = head(&mut graph, &parts, known)?;
        graph.output(LOGITS, logits);
        Ok(graph)
    }

    fn prior_terms(&self, graph: &mut Graph, weights: &Weights) -> Result<()> {
        let parts = self.declare_prior_of_codes(graph)?;
        let codes = self.gather(graph)?;
        let index = graph.reshape(codes, &[graph.batch * self.width])?;
        let class = if self.classes > 0 { Some(graph.add(Op::Class)?) } else { None };
        let known = self.known_before(graph, &parts, index, class)?;
        let logits = head(graph, &parts, known)?;
        let all = graph.reduce(Reduction::LogSumExp, Axis::Columns, logits)?;
        let own = graph.reduce_map(Reduction::Sum, Axis::Columns, [logits, index], |[logit, code]| {
            code.equal(Expr::column()) * logit
        })?;
        let nats = graph.map([all, own], |[all, own]| all - own)?;
        let nats = graph.reshape(nats, &[graph.batch, self.width])?;
        let distortion = graph.reduce(Reduction::Sum, Axis::Columns, nats)?;
        graph.term("distortion", distortion, weights.slot(DISTORTION)?);
        let nothing = Elements { operands: vec![], f: Expr::constant(0.0), rows: graph.batch, columns: 1 };
        let rate = graph.add(Op::Map(nothing))?;
        graph.term("rate", rate, weights.slot(RATE)?);
        Ok(())
    }

    /// What is known of each cell by the codes before it, [R] → [R, C], and the classes of the examples, [B], where they are told.
    fn known_before(&self, graph: &mut Graph, parts: &[Id], index: Id, class: Option<Id>) -> Result<Id> {
        let wide = self.config.prior_width;
        let class = class.map(|class| graph.repeat(class, graph.batch * self.width)).transpose()?;
        let class = class.map(|class| graph.reshape(class, &[graph.batch * self.width])).transpose()?;
        let embedded = graph.add(Op::TakeRows { x: parts[0], index })?;
        let (mut vertical, mut horizontal) = (embedded, embedded);
        let of_layer = 3 + usize::from(class.is_some());
        for (layer, maps) in parts[1..].chunks_exact(of_layer).take(self.config.prior_layers).enumerate() {
            let is_first = layer == 0;
            let above = self.down(graph, vertical)?;
            let rows = if is_first { vec![above] } else { vec![above, vertical] };
            let mut taps = Vec::new();
            for row in rows {
                taps.extend([self.right(graph, row, 1)?, row, self.right(graph, row, -1)?]);
            }
            let seen = graph.concatenate(&taps)?;
            let mut from_above = graph.add(Op::Affine { x: seen, w: maps[0] })?;
            let told = class.map(|index| graph.add(Op::TakeRows { x: maps[3], index })).transpose()?;
            if let Some(told) = told {
                let of_class = graph.columns(told, 0, 2 * wide)?;
                from_above = graph.add(Op::Add { a: from_above, b: of_class })?;
            }
            let left = self.right(graph, horizontal, 1)?;
            let seen = if is_first { vec![left, from_above] } else { vec![left, horizontal, from_above] };
            let seen = graph.concatenate(&seen)?;
            let mut both = graph.add(Op::Affine { x: seen, w: maps[1] })?;
            if let Some(told) = told {
                let of_class = graph.columns(told, 2 * wide as i32, 2 * wide)?;
                both = graph.add(Op::Add { a: both, b: of_class })?;
            }
            let gated = self.gated(graph, both)?;
            let out = graph.add(Op::Affine { x: gated, w: maps[2] })?;
            horizontal = if is_first { out } else { graph.add(Op::Add { a: horizontal, b: out })? };
            vertical = self.gated(graph, from_above)?;
        }
        Ok(horizontal)
    }

    /// tanh(a)·sigmoid(b) of rows a, b, [R, 2C] → [R, C].
    fn gated(&self, graph: &mut Graph, both: Id) -> Result<Id> {
        let wide = self.config.prior_width;
        let [a, b] = [0, wide].map(|start| graph.columns(both, start as i32, wide));
        graph.map([a?, b?], |[a, b]| a.tanh() * b.sigmoid())
    }

    /// Grids whose cells are those above them, with zeros in the first row, [R, C] → [R, C].
    fn down(&self, graph: &mut Graph, x: Id) -> Result<Id> {
        let ([_, height, width], wide) = (self.shape, self.config.prior_width);
        let grids = graph.reshape(x, &[graph.batch, height * width * wide])?;
        let moved = graph.columns(grids, -((width * wide) as i32), height * width * wide)?;
        graph.reshape(moved, &[graph.batch * height * width, wide])
    }

    /// Grids whose cells are those so many to their left, below 0 to their right, with zeros outside, [R, C] → [R, C].
    fn right(&self, graph: &mut Graph, x: Id, by: i32) -> Result<Id> {
        let ([_, height, width], wide) = (self.shape, self.config.prior_width);
        let rows = graph.reshape(x, &[graph.batch * height, width * wide])?;
        let moved = graph.columns(rows, -by * wide as i32, width * wide)?;
        graph.reshape(moved, &[graph.batch * height * width, wide])
    }
}

/// The logits of codes, of rows of what is known: [N, C] → [N, K].
fn head(graph: &mut Graph, parts: &[Id], known: Id) -> Result<Id> {
    let [.., hidden, head] = *parts else {
        return Err(crate::error::Error::Bug(format!("a prior of codes of {} tensors", parts.len())));
    };
    let relu = Activation::Relu;
    let known = graph.add(Op::Activation { x: known, kind: relu })?;
    let known = graph.add(Op::Affine { x: known, w: hidden })?;
    let known = graph.add(Op::Activation { x: known, kind: relu })?;
    graph.add(Op::Affine { x: known, w: head })
}
