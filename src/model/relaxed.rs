//! Latents that are categories, relaxed in training (Jang, Gu and Poole, "Categorical reparameterization with Gumbel-softmax",
//! 2017, arXiv 1611.01144; Maddison, Mnih and Teh, "The concrete distribution", 2017, arXiv 1611.00712), alone or beside latents
//! that are numbers.
//!
//! The encoder gives the logits of N variables of K categories each, and mean and log-variance of the numbers. A code has a 1
//! in the place of its category and 0 elsewhere, K places for each variable; the decoder reads all of them and then the numbers.
//! A category is drawn as the place of the largest log q + g, with noise g of Gumbel's distribution (Maddison et al., section
//! 2.1). Training puts softmax((log q + g)/τ) in its place (Jang et al., eq. 2), through which a gradient goes; the temperature τ
//! falls in the course of it. The rate is that of the categories, exactly:
//!
//! KL(q ‖ uniform) = Σ q log q + log K for each variable (Jang et al., section 3.2 have the same),
//!
//! so what is minimised in training is no bound of −log p(x): the relaxed code tells the decoder more than a category does.
//! Everything that a trained model is asked takes categories themselves: −ELBO of an evaluation is a bound again.
//!
//! With two normal deviates a and b the number ½(a² + b²) is exponentially distributed, and −log of it is Gumbel noise: it
//! comes from the streams from which all noise comes.
//!
//! Letters: B examples, S samples of each, R = B·S rows, N variables of K categories, G numbers, Z = N·K + G.

use super::family::Family;
use super::phases::Phase;
use super::stack::{Encoded, Networks};
use super::tasks::{DECODE, ENCODE, EVALUATE, IMPORTANCE, NATURAL, RECONSTRUCT, SAMPLE, Task};
use super::vae::{LOCATION, RATES};
use super::weights::{DISTORTION, RATE, Schedule, TEMPERATURE, Weight};
use super::{Model, Weights, likelihood};
use crate::config::{Config, ObjectiveConfig};
use crate::error::Result;
use crate::expr::Expr;
use crate::graph::{Axis, Graph, Id, Op, Reduction};
use crate::shape::Shape;

/// The place among the stochastic layers whose noise says which categories are drawn: no model has as many.
const GUMBEL: usize = 129;

/// The name of the input with the noise of categories where it is given, [B, 2·N·K].
pub const DEVIATES: &str = "deviates";

/// The family.
pub static FAMILY: Family = Family { phases, formula, tasks: TASKS, draws: SAMPLE };

/// What it can be asked.
static TASKS: &[Task] = &[
    Task { name: EVALUATE, takes_samples: false, build: |model, batch, _| model.evaluate_categories(batch) },
    Task { name: IMPORTANCE, takes_samples: true, build: Model::importance_of_categories },
    Task { name: RECONSTRUCT, takes_samples: false, build: |model, batch, _| model.reconstruct_categories(batch) },
    Task { name: SAMPLE, takes_samples: false, build: |model, batch, _| model.sample_categories(batch) },
    Task { name: ENCODE, takes_samples: false, build: |model, batch, _| model.encode_categories(batch) },
    Task { name: DECODE, takes_samples: false, build: |model, batch, _| model.decode(batch) },
    Task { name: NATURAL, takes_samples: false, build: |model, batch, _| model.natural(batch) },
];

/// The model, all of it by one loss.
fn phases(config: &Config) -> Vec<Phase> {
    vec![Phase {
        weights: weights(&config.objective),
        build: |model, _, weights, batch| model.train_relaxed(weights, batch),
        ..Phase::whole(config)
    }]
}

/// Those of the ELBO, and the temperature, which multiplies nothing.
fn weights(objective: &ObjectiveConfig) -> Weights {
    let [start, end] = objective.temperature;
    let schedule = Schedule::Fall { from: start / end, epochs: objective.temperature_epochs };
    Weights::of(objective).with(Weight { is_level: true, ..Weight::scheduled(TEMPERATURE, end, schedule) })
}

/// What is minimised, in a line.
fn formula(config: &Config, beta: &str) -> String {
    let [start, end] = config.objective.temperature;
    let temperature = if start == end { format!("{end}") } else { format!("{start} to {end}") };
    format!("distortion + {beta} x rate, categories relaxed at temperature {temperature}")
}

/// What the encoder says of examples.
#[derive(Clone, Copy)]
struct Said {
    /// log q of each category, [B·N, K].
    log_q: Id,
    /// Mean and log-variance of the numbers, [B, 2G], where there are some.
    stats: Option<Id>,
}

/// Latents.
#[derive(Clone, Copy)]
struct Codes {
    /// log q of each category, in the row of the sample, [R·N, K].
    log_q: Id,
    /// What stands for the categories, [R·N, K].
    chosen: Id,
    /// Noise and sample of the numbers, [R, G].
    numbers: Option<[Id; 2]>,
    /// All, [R, Z].
    z: Id,
}

/// How the categories of a pass are made.
#[derive(Clone, Copy)]
enum Kind {
    /// Softmax at the temperature in this slot.
    Relaxed(usize),
    /// A 1 among zeros.
    Hard,
}

/// Gumbel noise of two tensors of standard normal deviates.
///
/// # Errors
/// A bug, where their shapes differ.
pub fn gumbel(graph: &mut Graph, deviates: [Id; 2]) -> Result<Id> {
    graph.map(deviates, |[a, b]| -(0.5 * (a.squared() + b.squared())).ln())
}

impl Model {
    /// Whether latents are categories, some or all.
    pub fn has_categories(&self) -> bool {
        self.config.variables().is_some()
    }

    /// N, K and G.
    fn extents(&self) -> [usize; 3] {
        let [variables, categories] = self.config.variables().expect("a model with categories");
        [variables, categories, self.config.latent - variables * categories]
    }

    /// A training step: terms `distortion` and `rate`.
    fn train_relaxed(&self, weights: &Weights, batch: usize) -> Result<Graph> {
        let mut graph = Graph::training(batch);
        let networks = self.declare(&mut graph)?;
        let x = self.gather(&mut graph)?;
        let class = self.class(&mut graph, &networks, x)?;
        let noise = self.category_noise(&mut graph, batch)?;
        self.add_relaxed(&mut graph, &networks, weights, (x, class), noise)?;
        Ok(graph)
    }

    /// The training loss of given inputs instead of the resident data: `x` [B, D], [`DEVIATES`] and, where there are numbers, `eps`
    /// [B, G]. For comparison with other implementations, of models without classes.
    ///
    /// # Errors
    /// None of a model with categories.
    pub fn train_relaxed_on_inputs(&self, config: &Config, batch: usize) -> Result<Graph> {
        let mut graph = Graph::new(batch);
        let networks = self.declare(&mut graph)?;
        let [variables, categories, numbers] = self.extents();
        let mut input =
            |name: &str, width: usize| graph.add(Op::Input { name: name.into(), shape: Shape::new(&[batch, width]) });
        let x = input("x", self.width)?;
        let deviates = input(DEVIATES, 2 * variables * categories)?;
        let eps = if numbers > 0 { Some(input("eps", numbers)?) } else { None };
        self.add_relaxed(&mut graph, &networks, &weights(&config.objective), (x, None), (deviates, eps))?;
        Ok(graph)
    }

    fn add_relaxed(
        &self,
        graph: &mut Graph,
        networks: &Networks,
        weights: &Weights,
        (x, class): (Id, Option<Id>),
        noise: (Id, Option<Id>),
    ) -> Result<()> {
        let said = self.said(graph, networks, x, class)?;
        let drawn = self.drawn_codes(graph, said, noise, Kind::Relaxed(weights.slot(TEMPERATURE)?))?;
        let distortion = self.distortion_of(graph, networks, x, drawn.z, class)?;
        graph.term("distortion", distortion, weights.slot(DISTORTION)?);
        let rate = self.rate_of_categories(graph, said)?;
        graph.term("rate", rate, weights.slot(RATE)?);
        Ok(())
    }

    /// Standard normal noise of so many rows: of categories, [R, 2·N·K], and of numbers, [R, G].
    fn category_noise(&self, graph: &mut Graph, rows: usize) -> Result<(Id, Option<Id>)> {
        let [variables, categories, numbers] = self.extents();
        let deviates = graph.add(Op::Noise { rows, width: 2 * variables * categories, layer: GUMBEL })?;
        let eps = if numbers > 0 { Some(graph.add(Op::Noise { rows, width: numbers, layer: 0 })?) } else { None };
        Ok((deviates, eps))
    }

    fn said(&self, graph: &mut Graph, networks: &Networks, x: Id, class: Option<Id>) -> Result<Said> {
        let [variables, categories, numbers] = self.extents();
        let places = variables * categories;
        let Encoded { stats: out, .. } = self.encoder(graph, networks, x, class)?;
        let (logits, stats) = if numbers == 0 {
            (out, None)
        } else {
            let stats = graph.columns(out, places as i32, 2 * numbers)?;
            (graph.columns(out, 0, places)?, Some(stats))
        };
        let logits = graph.reshape(logits, &[graph.batch * variables, categories])?;
        let all = graph.reduce(Reduction::LogSumExp, Axis::Columns, logits)?;
        Ok(Said { log_q: graph.map([logits, all], |[logit, all]| logit - all)?, stats })
    }

    /// Gumbel noise of deviates [R, 2·N·K] → [R·N, K].
    fn category_gumbel(&self, graph: &mut Graph, deviates: Id, rows: usize) -> Result<Id> {
        let [variables, categories, _] = self.extents();
        let pairs = graph.reshape(deviates, &[rows * variables, 2 * categories])?;
        let (a, b) = (graph.columns(pairs, 0, categories)?, graph.columns(pairs, categories as i32, categories)?);
        gumbel(graph, [a, b])
    }

    /// Latents given examples.
    fn drawn_codes(&self, graph: &mut Graph, said: Said, noise: (Id, Option<Id>), kind: Kind) -> Result<Codes> {
        let [variables, categories, _] = self.extents();
        let rows = graph.shape(noise.0).rows();
        let log_q = if rows == graph.batch {
            said.log_q
        } else {
            let of_examples = graph.reshape(said.log_q, &[graph.batch, variables * categories])?;
            let repeated = graph.repeat(of_examples, rows)?;
            graph.reshape(repeated, &[rows * variables, categories])?
        };
        let noisy = self.category_gumbel(graph, noise.0, rows)?;
        let noisy = graph.map([log_q, noisy], |[log_q, noise]| log_q + noise)?;
        let chosen = match kind {
            Kind::Hard => self.hard(graph, noisy)?,
            Kind::Relaxed(slot) => {
                let cool = graph.map([noisy], |[noisy]| noisy / Expr::weight(slot))?;
                let all = graph.reduce(Reduction::LogSumExp, Axis::Columns, cool)?;
                graph.map([cool, all], |[cool, all]| (cool - all).exp())?
            }
        };
        let numbers = match (said.stats, noise.1) {
            (Some(stats), Some(eps)) => Some([eps, graph.add(Op::Sample { stats, eps, clamp: self.clamp() })?]),
            _ => None,
        };
        let z = self.side_by_side(graph, chosen, numbers.map(|[_, z]| z), rows)?;
        Ok(Codes { log_q, chosen, numbers, z })
    }

    /// The largest of each row as a 1 among zeros.
    fn hard(&self, graph: &mut Graph, scores: Id) -> Result<Id> {
        let best = graph.reduce(Reduction::ArgMax, Axis::Columns, scores)?;
        graph.one_hot(best, self.extents()[1])
    }

    /// What stands for categories, [R·N, K], and numbers, [R, G], as latents, [R, Z].
    fn side_by_side(&self, graph: &mut Graph, codes: Id, numbers: Option<Id>, rows: usize) -> Result<Id> {
        let codes = graph.reshape(codes, &[rows, self.config.places_of_categories()])?;
        match numbers {
            Some(numbers) => graph.concatenate(&[codes, numbers]),
            None => Ok(codes),
        }
    }

    fn distortion_of(&self, graph: &mut Graph, networks: &Networks, x: Id, z: Id, class: Option<Id>) -> Result<Id> {
        let out = networks.decode(graph, z, class)?;
        let out = likelihood::append_globals(graph, self, out, networks.shared)?;
        likelihood::distortion(graph, self, out, x)
    }

    /// KL(q ‖ uniform) of each variable, [B·N].
    fn rates_of_variables(&self, graph: &mut Graph, said: Said) -> Result<Id> {
        let uniform = (self.extents()[1] as f32).ln();
        graph.reduce_map(Reduction::Sum, Axis::Columns, [said.log_q], |[log_q]| log_q.clone().exp() * (log_q + uniform))
    }

    /// The rate of examples, [B].
    fn rate_of_categories(&self, graph: &mut Graph, said: Said) -> Result<Id> {
        let rates = self.rates_of_variables(graph, said)?;
        let rates = graph.reshape(rates, &[graph.batch, self.extents()[0]])?;
        let rate = graph.reduce(Reduction::Sum, Axis::Columns, rates)?;
        let Some(stats) = said.stats else { return Ok(rate) };
        let of_numbers = graph.add(Op::Kl { stats, clamp: self.clamp() })?;
        graph.map([rate, of_numbers], |[rate, of_numbers]| rate + of_numbers)
    }

    /// Mean and log-variance of the numbers within the range of the model, [B, G] each.
    fn moments_of_numbers(&self, graph: &mut Graph, stats: Id) -> Result<[Id; 2]> {
        let (numbers, clamp) = (self.extents()[2], self.clamp());
        let mean = graph.columns(stats, 0, numbers)?;
        let log_variance = graph.columns(stats, numbers as i32, numbers)?;
        Ok([mean, graph.map([log_variance], |[v]| v.clamp(clamp.low, clamp.high))?])
    }

    /// The rate of each place, [B, Z]: that of a variable stands in the place of its first category, those of the others are 0.
    fn rates_of_places(&self, graph: &mut Graph, said: Said) -> Result<Id> {
        let rates = self.rates_of_variables(graph, said)?;
        let first = graph
            .map([said.log_q, rates], |[log_q, rate]| Expr::column().equal(0.0).select(rate, 0.0 * log_q.exp()))?;
        let numbers = match said.stats {
            None => None,
            Some(stats) => {
                let [mean, log_variance] = self.moments_of_numbers(graph, stats)?;
                Some(graph.map([mean, log_variance], |[m, v]| 0.5 * (m.squared() + v.clone().exp() - 1.0 - v))?)
            }
        };
        self.side_by_side(graph, first, numbers, graph.batch)
    }

    /// Evaluation of a batch by categories themselves: terms `distortion`, of one sample, and `rate`, both outputs too, [B], and
    /// [`RATES`] [B, Z].
    fn evaluate_categories(&self, batch: usize) -> Result<Graph> {
        let mut graph = Graph::new(batch);
        let networks = self.declare(&mut graph)?;
        let x = self.gather(&mut graph)?;
        let class = self.class(&mut graph, &networks, x)?;
        let noise = self.category_noise(&mut graph, batch)?;
        let said = self.said(&mut graph, &networks, x, class)?;
        let drawn = self.drawn_codes(&mut graph, said, noise, Kind::Hard)?;
        let distortion = self.distortion_of(&mut graph, &networks, x, drawn.z, class)?;
        let rate = self.rate_of_categories(&mut graph, said)?;
        let weights = Weights::elbo(1.0);
        graph.term("distortion", distortion, weights.slot(DISTORTION)?);
        graph.term("rate", rate, weights.slot(RATE)?);
        graph.output("distortion", distortion);
        graph.output("rate", rate);
        let rates = self.rates_of_places(&mut graph, said)?;
        graph.output(RATES, rates);
        Ok(graph)
    }

    /// Importance weights of samples that are categories, p(x|z) p(z)/q(z|x); the output is that of [`Model::importance`].
    fn importance_of_categories(&self, batch: usize, samples: usize) -> Result<Graph> {
        let mut graph = Graph::new(batch);
        let networks = self.declare(&mut graph)?;
        let x = self.gather(&mut graph)?;
        let class = self.class(&mut graph, &networks, x)?;
        let ([variables, categories, _], rows) = (self.extents(), batch * samples);
        let noise = self.category_noise(&mut graph, rows)?;
        let said = self.said(&mut graph, &networks, x, class)?;
        let drawn = self.drawn_codes(&mut graph, said, noise, Kind::Hard)?;
        let distortion = self.distortion_of(&mut graph, &networks, x, drawn.z, class)?;
        let uniform = (categories as f32).ln();
        let of = [drawn.chosen, drawn.log_q];
        let ratio = graph.reduce_map(Reduction::Sum, Axis::Columns, of, |[code, log_q]| code * (log_q + uniform))?;
        let ratio = graph.reshape(ratio, &[rows, variables])?;
        let mut ratio = graph.reduce(Reduction::Sum, Axis::Columns, ratio)?;
        if let (Some(stats), Some([eps, z])) = (said.stats, drawn.numbers) {
            let of_numbers = graph.add(Op::LogRatio { stats, eps, z, clamp: self.clamp() })?;
            ratio = graph.map([ratio, of_numbers], |[ratio, of_numbers]| ratio + of_numbers)?;
        }
        let weights = graph.add(Op::LogMeanExp { distortion, ratio })?;
        graph.output("weights", weights);
        Ok(graph)
    }

    /// Examples through their most probable categories and the means of their numbers; the outputs are those of
    /// [`Model::reconstruct`].
    fn reconstruct_categories(&self, batch: usize) -> Result<Graph> {
        let mut graph = Graph::new(batch);
        let networks = self.declare(&mut graph)?;
        let x = self.gather(&mut graph)?;
        let class = self.class(&mut graph, &networks, x)?;
        let said = self.said(&mut graph, &networks, x, class)?;
        let codes = self.hard(&mut graph, said.log_q)?;
        let means = said.stats.map(|stats| graph.columns(stats, 0, self.extents()[2])).transpose()?;
        let z = self.side_by_side(&mut graph, codes, means, batch)?;
        self.decoded(&mut graph, &networks, z)?;
        graph.output("x", x);
        Ok(graph)
    }

    /// Categories that are all as likely, and numbers of N(0, 1), decoded; the outputs are those of [`Model::sample`].
    fn sample_categories(&self, batch: usize) -> Result<Graph> {
        let mut graph = Graph::new(batch);
        let networks = self.declare(&mut graph)?;
        let (deviates, eps) = self.category_noise(&mut graph, batch)?;
        let noise = self.category_gumbel(&mut graph, deviates, batch)?;
        let codes = self.hard(&mut graph, noise)?;
        let z = self.side_by_side(&mut graph, codes, eps, batch)?;
        self.decoded(&mut graph, &networks, z)?;
        graph.output("z", z);
        Ok(graph)
    }

    /// What the posterior is of a batch: outputs [`LOCATION`] [B, Z], the probability of each category and the means of the numbers,
    /// [`RATES`] [B, Z], and `stats` [B, 2Z], which begins with the first and goes on with log-variances: of a place of a category
    /// with probability q that of its 0 or 1, log q(1 − q).
    fn encode_categories(&self, batch: usize) -> Result<Graph> {
        let mut graph = Graph::new(batch);
        let networks = self.declare(&mut graph)?;
        let x = self.gather(&mut graph)?;
        let class = self.class(&mut graph, &networks, x)?;
        let said = self.said(&mut graph, &networks, x, class)?;
        let probabilities = graph.map([said.log_q], |[log_q]| log_q.exp())?;
        let variances = graph.map([probabilities], |[q]| (q.clone() * (1.0 - q)).max(1e-12).ln())?;
        let numbers = said.stats.map(|stats| self.moments_of_numbers(&mut graph, stats)).transpose()?;
        let location = self.side_by_side(&mut graph, probabilities, numbers.map(|[mean, _]| mean), batch)?;
        let spread = self.side_by_side(&mut graph, variances, numbers.map(|[_, variance]| variance), batch)?;
        let stats = graph.concatenate(&[location, spread])?;
        let rates = self.rates_of_places(&mut graph, said)?;
        graph.output("stats", stats);
        graph.output(LOCATION, location);
        graph.output(RATES, rates);
        Ok(graph)
    }
}
