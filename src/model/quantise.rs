//! The VQ-VAE (van den Oord, Vinyals and Kavukcuoglu, "Neural discrete representation learning", 2017, arXiv 1711.00937): the
//! encoder gives a grid of vectors, for each of which the nearest code of a codebook stands. The decoder sees codes alone.
//!
//! The loss of an example is that of eq. 3, every term a sum over the example:
//!
//! −log p(x|e) + Σ ‖sg(z) − e‖² + β Σ ‖z − sg(e)‖²
//!
//! with z what the encoder gives, e the codes and sg what no gradient passes. The gradient for e is also that for z
//! (straight-through). The second term is for codes that follow the gradient; otherwise they follow averages
//! ([`super::codebook`]). The posterior is all in one code and the prior uniform, so that the rate is S·log K nats for every
//! example: −ELBO is the length of a description of the example by its codes and, given these, its values.
//!
//! Letters: B examples of the batch, D values of an example, S cells of its grid, K codes, Z numbers of a code, R = B·S.

use super::codebook::{self, Book, Found};
use super::family::Family;
use super::phases::Phase;
use super::stack::Networks;
use super::tasks::{DECODE, ENCODE, EVALUATE, RECONSTRUCT, SAMPLE, Task};
use super::weights::{CODEBOOK, COMMITMENT, DISTORTION, RATE, Weight};
use super::{Model, Weights, likelihood, network};
use crate::config::{Codebook as Follows, Config};
use crate::error::Result;
use crate::expr::Expr;
use crate::graph::{Axis, Elements, Graph, Id, Op, Reduction};
use crate::shape::Shape;

/// The name of what holds the codes of examples, as numbers counted from 0, [B, S]: an output where they are encoded, an input
/// where they are decoded.
pub const CODES: &str = "codes";

/// The family.
pub static FAMILY: Family = Family { phases, formula, tasks: TASKS, draws: SAMPLE };

/// What it can be asked.
static TASKS: &[Task] = &[
    Task { name: EVALUATE, takes_samples: false, build: |model, batch, _| model.evaluate_codes(batch) },
    Task { name: RECONSTRUCT, takes_samples: false, build: |model, batch, _| model.reconstruct_codes(batch) },
    Task { name: SAMPLE, takes_samples: false, build: |model, batch, _| model.decode_codes(batch) },
    Task { name: ENCODE, takes_samples: false, build: |model, batch, _| model.encode_codes(batch) },
    Task { name: DECODE, takes_samples: false, build: |model, batch, _| model.decode_codes(batch) },
];

/// The model, with its loss and its codebook.
fn phases(config: &Config) -> Vec<Phase> {
    let Config { model, objective, .. } = config;
    let weights = Weights::elbo(1.0).with(Weight::constant(COMMITMENT, objective.commitment));
    let weights = match model.codebook {
        Follows::Ema => weights,
        Follows::Gradient => weights.with(Weight::constant(CODEBOOK, 1.0)),
    };
    vec![Phase {
        trains: codebook::trained(model.codebook),
        weights,
        build: |model, _, weights, batch| model.train_codes(weights, batch),
        ..Phase::whole(config)
    }]
}

/// What is minimised, in a line.
fn formula(config: &Config, _: &str) -> String {
    let codes = match config.model.codebook {
        Follows::Ema => "; codes follow averages",
        Follows::Gradient => " + |sg(z) - e|^2",
    };
    format!("distortion + {} x |z - sg(e)|^2 (VQ-VAE){codes}", config.objective.commitment)
}

/// Examples, their codes, and what the decoder puts out.
struct Forward {
    x: Id,
    /// What the encoder gives, [R, Z].
    z: Id,
    found: Found,
    out: Id,
}

impl Model {
    /// Whether latents are codes of a codebook.
    pub fn has_codes(&self) -> bool {
        self.config.codes > 0
    }

    /// Height and width of the grid of codes of an example.
    pub fn grid(&self) -> [usize; 2] {
        network::grid(&self.config, self.shape).expect("a model's layers fit")
    }

    /// S, the codes of an example.
    pub fn cells(&self) -> usize {
        self.grid().iter().product()
    }

    /// S·log K, the rate of every example in nats.
    pub fn rate_of_codes(&self) -> f64 {
        self.cells() as f64 * (self.config.codes as f64).ln()
    }

    /// A training step: terms `distortion`, `rate`, `commitment` and, of codes that follow the gradient, `codebook`.
    fn train_codes(&self, weights: &Weights, batch: usize) -> Result<Graph> {
        let mut graph = Graph::training(batch);
        let networks = self.declare(&mut graph)?;
        let pass = self.quantised(&mut graph, &networks)?;
        self.elbo_of_codes(&mut graph, weights, &pass)?;
        let wide = [batch, self.cells() * self.config.latent];
        let [z, e] = [pass.z, pass.found.codes].map(|id| graph.reshape(id, &wide));
        let (z, e) = (z?, e?);
        let [fixed, nearest] = [z, e].map(|id| graph.stop_gradient(id));
        let (fixed, nearest) = (fixed?, nearest?);
        let distance = |graph: &mut Graph, a: Id, b: Id| {
            graph.reduce_map(Reduction::Sum, Axis::Columns, [a, b], |[a, b]| (a - b).squared())
        };
        let commitment = distance(&mut graph, z, nearest)?;
        graph.term(COMMITMENT, commitment, weights.slot(COMMITMENT)?);
        if self.config.codebook == Follows::Gradient {
            let moves = distance(&mut graph, e, fixed)?;
            graph.term(CODEBOOK, moves, weights.slot(CODEBOOK)?);
        }
        Ok(graph)
    }

    /// The terms of −ELBO.
    fn elbo_of_codes(&self, graph: &mut Graph, weights: &Weights, pass: &Forward) -> Result<()> {
        let distortion = likelihood::distortion(graph, self, pass.out, pass.x)?;
        graph.term("distortion", distortion, weights.slot(DISTORTION)?);
        let f = Expr::constant(self.rate_of_codes() as f32);
        let rate = graph.add(Op::Map(Elements { operands: vec![], f, rows: graph.batch, columns: 1 }))?;
        graph.term("rate", rate, weights.slot(RATE)?);
        Ok(())
    }

    /// The outputs of the encoder for examples, [B, D] → [R, Z].
    fn to_cells(&self, graph: &mut Graph, networks: &Networks, x: Id) -> Result<Id> {
        let encoded = self.encoder(graph, networks, x, None)?;
        graph.reshape(encoded.stats, &[graph.batch * self.cells(), self.config.latent])
    }

    /// What the decoder puts out for codes, [R, Z].
    fn of_cells(&self, graph: &mut Graph, networks: &Networks, codes: Id) -> Result<Id> {
        let codes = graph.reshape(codes, &[graph.batch, self.cells() * self.config.latent])?;
        networks.decode(graph, codes, None)
    }

    /// A batch by way of its codes; in training the codebook learns.
    fn quantised(&self, graph: &mut Graph, networks: &Networks) -> Result<Forward> {
        let x = self.gather(graph)?;
        let z = self.to_cells(graph, networks, x)?;
        let book = Book::new(&networks.codebook)?;
        let found = if graph.training {
            book.learn(graph, &self.config, z)?
        } else {
            let codes = book.codes(graph)?;
            codebook::nearest(graph, z, codes)?
        };
        // The code itself, to the bit, with the gradient of z.
        let (fixed, code) = (graph.stop_gradient(z)?, graph.stop_gradient(found.codes)?);
        let through = graph.map([z, fixed, code], |[z, fixed, code]| (z - fixed) + code)?;
        let out = self.of_cells(graph, networks, through)?;
        let out = likelihood::append_globals(graph, self, out, networks.shared)?;
        Ok(Forward { x, z, found, out })
    }

    /// Evaluation of a batch: terms `distortion` and `rate`, and per example the outputs `distortion` [B], `rate` [B] and
    /// [`CODES`] [B, S].
    pub(super) fn evaluate_codes(&self, batch: usize) -> Result<Graph> {
        let mut graph = Graph::new(batch);
        let networks = self.declare(&mut graph)?;
        let pass = self.quantised(&mut graph, &networks)?;
        self.elbo_of_codes(&mut graph, &Weights::elbo(1.0), &pass)?;
        let [distortion, rate] = [graph.terms[0].rows, graph.terms[1].rows];
        graph.output("distortion", distortion);
        graph.output("rate", rate);
        self.put_out(&mut graph, pass.found)?;
        Ok(graph)
    }

    fn put_out(&self, graph: &mut Graph, found: Found) -> Result<()> {
        let index = graph.reshape(found.index, &[graph.batch, self.cells()])?;
        graph.output(CODES, index);
        Ok(())
    }

    /// The codes of a batch: output [`CODES`] [B, S].
    pub(super) fn encode_codes(&self, batch: usize) -> Result<Graph> {
        let mut graph = Graph::new(batch);
        let networks = self.declare(&mut graph)?;
        let x = self.gather(&mut graph)?;
        let z = self.to_cells(&mut graph, &networks, x)?;
        let codes = Book::new(&networks.codebook)?.codes(&mut graph)?;
        let found = codebook::nearest(&mut graph, z, codes)?;
        self.put_out(&mut graph, found)?;
        Ok(graph)
    }

    /// What the encoder gives before codes are looked for: output `stats` [B, S·Z]. For export, which knows the codebook.
    ///
    /// # Errors
    /// None of a model with codes.
    pub fn encode_cells(&self, batch: usize) -> Result<Graph> {
        let mut graph = Graph::new(batch);
        let networks = self.declare(&mut graph)?;
        let x = self.gather(&mut graph)?;
        let encoded = self.encoder(&mut graph, &networks, x, None)?;
        graph.output("stats", encoded.stats);
        Ok(graph)
    }

    /// The way back from the numbers of codes: input `z` [B, S·Z], output `mean` of p(x|e).
    ///
    /// # Errors
    /// None of a model with codes.
    pub fn decode_cells(&self, batch: usize) -> Result<Graph> {
        let mut graph = Graph::new(batch);
        let networks = self.declare(&mut graph)?;
        let shape = Shape::new(&[batch, self.cells() * self.config.latent]);
        let z = graph.add(Op::Input { name: "z".into(), shape })?;
        let out = networks.decode(&mut graph, z, None)?;
        let mean = likelihood::mean(&mut graph, self, out)?;
        graph.output("mean", mean);
        Ok(graph)
    }

    /// Given codes, decoded: input [`CODES`] [B, S], output `mean` of p(x|e). Draws are decoded in the same way: whoever
    /// knows a prior of codes gives them.
    pub(super) fn decode_codes(&self, batch: usize) -> Result<Graph> {
        let mut graph = Graph::new(batch);
        let networks = self.declare(&mut graph)?;
        let shape = Shape::new(&[batch, self.cells()]);
        let index = graph.add(Op::Input { name: CODES.into(), shape })?;
        let index = graph.reshape(index, &[batch * self.cells()])?;
        let codes = Book::new(&networks.codebook)?.codes(&mut graph)?;
        let codes = graph.add(Op::TakeRows { x: codes, index })?;
        let out = self.of_cells(&mut graph, &networks, codes)?;
        let mean = likelihood::mean(&mut graph, self, out)?;
        graph.output("mean", mean);
        Ok(graph)
    }

    /// Reconstructions by way of the codes: outputs `x` [B, D] as presented and `mean` of p(x|e).
    pub(super) fn reconstruct_codes(&self, batch: usize) -> Result<Graph> {
        let mut graph = Graph::new(batch);
        let networks = self.declare(&mut graph)?;
        let x = self.gather(&mut graph)?;
        let z = self.to_cells(&mut graph, &networks, x)?;
        let codes = Book::new(&networks.codebook)?.codes(&mut graph)?;
        let found = codebook::nearest(&mut graph, z, codes)?;
        let out = self.of_cells(&mut graph, &networks, found.codes)?;
        let mean = likelihood::mean(&mut graph, self, out)?;
        graph.output("x", x);
        graph.output("mean", mean);
        Ok(graph)
    }
}
