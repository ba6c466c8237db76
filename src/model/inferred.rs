//! M2 (Kingma, Rezende, Mohamed and Welling, "Semi-supervised learning with deep generative models", 2014, arXiv 1406.5298): the
//! class y of an example is a latent beside z, and the labels of few examples say what it is of these.
//!
//! p(x, y, z) = p(y) p(z) p(x|y, z), p(y) = 1/C or the shares of the labelled examples, and q(y, z|x) = q(y|x) q(z|x, y), with a
//! classifier for q(y|x). The loss of an example whose class is known is (eq. 6)
//!
//! L(x, y) = E log q(z|x, y) − E log p(x|y, z) − log p(y) − log p(z)
//!
//! and of any other (eq. 7)
//!
//! U(x) = Σ q(y|x) L(x, y) + Σ q(y|x) log q(y|x),
//!
//! the sum over all classes, one sample of z each. To the mean of these over a batch comes α times the mean of −log q(y|x) over
//! its labelled examples (eq. 9, divided by the number of examples: the authors' 0.1·N is 0.1 here).
//!
//! The device has −1 for the label of an example that shows none, so that one graph serves batches of both kinds: the class of
//! such an example weighs q(y|x), that of a labelled one 1. Each example has C rows, one below the other, as it would have of C
//! samples.
//!
//! Letters: B examples of the batch, C classes, K samples, R = B·C·K rows, Z latent dimensions.

use super::family::Family;
use super::network::{self, Map};
use super::phases::Phase;
use super::stack::{Encoded, Networks};
use super::tasks::{CLASSIFY, DECODE, ENCODE, EVALUATE, IMPORTANCE, NATURAL, RECONSTRUCT, SAMPLE, SCORE, Task};
use super::vae::named;
use super::weights::{CLASSIFIER, DISTORTION, RATE, Weight};
use super::{Model, Weights, likelihood};
use crate::config::{ClassPrior, Condition, Config};
use crate::error::Result;
use crate::expr::Expr;
use crate::graph::{Axis, Elements, Graph, Group, Id, Op, Reduction};
use crate::shape::Shape;

/// The name of the output with log q(y|x) of each class, [B, C].
pub const CLASS_LOG_PROBABILITIES: &str = "class log-probabilities";

/// The name of the tensor with log p(y), which nothing trains.
pub(super) const CLASS_PRIOR: &str = "class_prior";

/// The family.
pub static FAMILY: Family = Family { phases, formula, tasks: TASKS, draws: SAMPLE };

/// What it can be asked.
static TASKS: &[Task] = &[
    Task { name: EVALUATE, takes_samples: false, build: |model, batch, _| model.evaluate_inferred(batch) },
    Task { name: IMPORTANCE, takes_samples: true, build: Model::importance_inferred },
    Task { name: SCORE, takes_samples: true, build: Model::score_inferred },
    Task { name: RECONSTRUCT, takes_samples: false, build: |model, batch, _| model.reconstruct(batch) },
    Task { name: SAMPLE, takes_samples: false, build: |model, batch, _| model.sample(batch) },
    Task { name: ENCODE, takes_samples: false, build: |model, batch, _| model.encode(batch) },
    Task { name: DECODE, takes_samples: false, build: |model, batch, _| model.decode(batch) },
    Task { name: NATURAL, takes_samples: false, build: |model, batch, _| model.natural(batch) },
    Task { name: CLASSIFY, takes_samples: false, build: |model, batch, _| model.classify(batch) },
];

/// The model, all of it by one loss.
fn phases(config: &Config) -> Vec<Phase> {
    let weights = Weights::of(&config.objective).with(Weight::constant(CLASSIFIER, config.objective.classify));
    vec![Phase {
        trains: Group::Except(&[CLASS_PRIOR]),
        weights,
        build: |model, _, weights, batch| model.train_inferred(weights, batch),
        ..Phase::whole(config)
    }]
}

/// What is minimised, in a line.
fn formula(config: &Config, beta: &str) -> String {
    format!(
        "distortion + {beta} x rate of latents and class + {} x -log q(y|x) of the labelled (M2)",
        config.objective.classify
    )
}

/// What a batch comes to as each of the classes.
struct Judged {
    /// log q(y|x), [B, C].
    log_q: Id,
    /// −log p(x|y, z), [B, C].
    distortion: Id,
    /// KL(q(z|x, y) ‖ p(z)) − log p(y), [B, C].
    rate: Id,
}

impl Model {
    /// Whether the class of an example is a latent.
    pub fn infers_classes(&self) -> bool {
        self.config.condition == Condition::Inferred
    }

    /// Whether the model must be told the class of an example to encode it.
    pub fn is_told_classes(&self) -> bool {
        self.classes > 0 && !self.infers_classes()
    }

    /// The maps of the classifier, from an example to C logits; none where classes are not inferred.
    pub fn classifier(&self) -> Vec<Map> {
        if !self.infers_classes() {
            return vec![];
        }
        network::beside("classifier", self.width, &self.config.classifier, self.classes)
    }

    /// The shape of log p(y) where it is a tensor.
    pub(super) fn class_prior(&self) -> Option<Shape> {
        let stored = self.infers_classes() && self.config.class_prior == ClassPrior::Labelled;
        stored.then(|| Shape::new(&[1, self.classes]))
    }

    /// log p(y) of all classes, [1, C].
    fn log_prior(&self, graph: &mut Graph, networks: &Networks) -> Result<Id> {
        let uniform = Expr::constant(-(self.classes as f32).ln());
        match networks.class_prior {
            Some(stored) => Ok(stored),
            None => graph.add(Op::Map(Elements { operands: vec![], f: uniform, rows: 1, columns: self.classes })),
        }
    }

    /// Logits of the classes of examples, [B, D] → [B, C].
    fn logits_of_classes(&self, graph: &mut Graph, networks: &Networks, x: Id) -> Result<Id> {
        let mut h = self.presentation().encoder_input(graph, x)?;
        for (at, &w) in networks.classifier.iter().enumerate() {
            h = graph.add(Op::Affine { x: h, w })?;
            if at + 1 < networks.classifier.len() {
                h = graph.add(Op::Activation { x: h, kind: self.config.activation })?;
            }
        }
        Ok(h)
    }

    /// log q(y|x) of examples, [B, D] → [B, C].
    fn log_classes(&self, graph: &mut Graph, networks: &Networks, x: Id) -> Result<Id> {
        let h = self.logits_of_classes(graph, networks, x)?;
        let all = graph.reduce(Reduction::LogSumExp, Axis::Columns, h)?;
        graph.map([h, all], |[logit, all]| logit - all)
    }

    /// The class that the classifier finds the likeliest, [B, D] → [B].
    pub(super) fn likeliest(&self, graph: &mut Graph, networks: &Networks, x: Id) -> Result<Id> {
        let log_q = self.log_classes(graph, networks, x)?;
        graph.reduce(Reduction::ArgMax, Axis::Columns, log_q)
    }

    /// What the encoder says of examples as each of the classes, [B, D] → [B·C, 2Z], and these classes, [B·C].
    fn encoded_as_all(&self, graph: &mut Graph, networks: &Networks, x: Id) -> Result<(Encoded, Id)> {
        let (rows, f) = (graph.batch * self.classes, Expr::row(self.classes));
        let class = graph.add(Op::Map(Elements { operands: vec![], f, rows, columns: 1 }))?;
        Ok((self.encoder(graph, networks, x, Some(class))?, class))
    }

    /// −log p(x|y, z) at latents with this noise, [R], and the statistics and latents of these rows.
    fn decoded_as_all(&self, graph: &mut Graph, networks: &Networks, x: Id, eps: Id) -> Result<(Id, [Id; 2])> {
        let (encoded, class) = self.encoded_as_all(graph, networks, x)?;
        let drawn = self.drawn(graph, networks, encoded, eps)?;
        let out = networks.decode(graph, drawn.z, Some(class))?;
        let out = likelihood::append_globals(graph, self, out, networks.shared)?;
        Ok((likelihood::distortion(graph, self, out, x)?, [drawn.stats, drawn.z]))
    }

    fn judged(&self, graph: &mut Graph, networks: &Networks, x: Id, eps: Id) -> Result<Judged> {
        let log_q = self.log_classes(graph, networks, x)?;
        let (distortion, [stats, _]) = self.decoded_as_all(graph, networks, x, eps)?;
        let rate = graph.add(Op::Kl { stats, clamp: self.clamp() })?;
        let by_class = [graph.batch, self.classes];
        let (rate, prior) = (graph.reshape(rate, &by_class)?, self.log_prior(graph, networks)?);
        let rate = graph.map([rate, prior], |[rate, prior]| rate - prior)?;
        Ok(Judged { log_q, distortion: graph.reshape(distortion, &by_class)?, rate })
    }

    /// A training step: terms `distortion`, `rate` and `classifier`.
    fn train_inferred(&self, weights: &Weights, batch: usize) -> Result<Graph> {
        let mut graph = Graph::training(batch);
        let networks = self.declare(&mut graph)?;
        let x = self.gather(&mut graph)?;
        let label = graph.add(Op::Class)?;
        let eps = graph.add(Op::Noise { rows: batch * self.classes, width: self.config.latent, layer: 0 })?;
        self.add_loss(&mut graph, &networks, weights, [x, label, eps])?;
        Ok(graph)
    }

    fn add_loss(&self, graph: &mut Graph, networks: &Networks, weights: &Weights, of: [Id; 3]) -> Result<()> {
        let [x, label, eps] = of;
        let judged = self.judged(graph, networks, x, eps)?;
        add_bound(graph, weights, &judged, Some(label))?;
        let misjudged = misjudged(graph, judged.log_q, label)?;
        graph.term(CLASSIFIER, misjudged, weights.slot(CLASSIFIER)?);
        Ok(())
    }

    /// The training loss of given inputs instead of the resident data: inputs `x` [B, D], `label` [B], −1 where there is none, and
    /// `eps` [B·C, Z]. For comparison with other implementations.
    ///
    /// # Errors
    /// None of a model that infers classes.
    pub fn train_inferred_on_inputs(&self, config: &Config, batch: usize) -> Result<Graph> {
        let mut graph = Graph::new(batch);
        let networks = self.declare(&mut graph)?;
        let mut input =
            |name: &str, extents: &[usize]| graph.add(Op::Input { name: name.into(), shape: Shape::new(extents) });
        let latents = [batch * self.classes, self.config.latent];
        let of = [input("x", &[batch, self.width])?, input("label", &[batch])?, input("eps", &latents)?];
        self.add_loss(&mut graph, &networks, &phases(config)[0].weights, of)?;
        Ok(graph)
    }

    /// Evaluation of a batch whose labels nobody looks at: terms `distortion` and `rate`, and per example the outputs `distortion`
    /// [B], `rate` [B] and, as the class that the classifier finds the likeliest, `stats` [B, 2Z].
    pub(super) fn evaluate_inferred(&self, batch: usize) -> Result<Graph> {
        let mut graph = Graph::new(batch);
        let networks = self.declare(&mut graph)?;
        let x = self.gather(&mut graph)?;
        let eps = graph.add(Op::Noise { rows: batch * self.classes, width: self.config.latent, layer: 0 })?;
        let judged = self.judged(&mut graph, &networks, x, eps)?;
        add_bound(&mut graph, &Weights::elbo(1.0), &judged, None)?;
        let [distortion, rate] = [graph.terms[0].rows, graph.terms[1].rows];
        graph.output("distortion", distortion);
        graph.output("rate", rate);
        let class = graph.reduce(Reduction::ArgMax, Axis::Columns, judged.log_q)?;
        let encoded = self.encoder(&mut graph, &networks, x, Some(class))?;
        graph.output("stats", encoded.stats);
        Ok(graph)
    }

    /// Which class examples are of: output [`CLASS_LOG_PROBABILITIES`] [B, C].
    ///
    /// # Errors
    /// None of a model that infers classes.
    pub fn classify(&self, batch: usize) -> Result<Graph> {
        let mut graph = Graph::new(batch);
        let networks = self.declare(&mut graph)?;
        let x = self.gather_as_stored(&mut graph)?;
        let log_q = self.log_classes(&mut graph, &networks, x)?;
        graph.output(CLASS_LOG_PROBABILITIES, log_q);
        Ok(graph)
    }

    /// The classifier by itself, for export: output `logits` [B, C].
    ///
    /// # Errors
    /// None of a model that infers classes.
    pub fn class_logits(&self, batch: usize) -> Result<Graph> {
        let mut graph = Graph::new(batch);
        let networks = self.declare(&mut graph)?;
        let x = self.gather_as_stored(&mut graph)?;
        let logits = self.logits_of_classes(&mut graph, &networks, x)?;
        graph.output("logits", logits);
        Ok(graph)
    }

    /// The encoder by itself, for export: input [`CLASS`] [B], output `stats` [B, 2Z] of q(z|x, y) as that class.
    ///
    /// # Errors
    /// None of a model that infers classes.
    pub fn encode_as(&self, batch: usize) -> Result<Graph> {
        let mut graph = Graph::new(batch);
        let networks = self.declare(&mut graph)?;
        let x = self.gather(&mut graph)?;
        let class = self.given_class(&mut graph)?;
        let encoded = self.encoder(&mut graph, &networks, x, class)?;
        graph.output("stats", encoded.stats);
        Ok(graph)
    }

    /// log p(y) of all classes by the parameters of a model that infers them, [C]: the shares of the labelled examples, or all alike.
    pub fn class_log_prior<'a>(&self, mut parameters: impl Iterator<Item = (&'a str, &'a [f32])>) -> Vec<f32> {
        let stored = parameters.find(|(name, _)| *name == CLASS_PRIOR).map(|(_, values)| values.to_vec());
        stored.unwrap_or_else(|| vec![-(self.classes as f32).ln(); self.classes])
    }

    /// Importance weights of latents alone: the sum over classes is that of p(x) = Σ p(y) p(x|y) itself. The output is that of
    /// [`Model::importance`].
    pub(super) fn importance_inferred(&self, batch: usize, samples: usize) -> Result<Graph> {
        let mut graph = Graph::new(batch);
        let networks = self.declare(&mut graph)?;
        let x = self.gather(&mut graph)?;
        let rows = batch * self.classes * samples;
        let eps = graph.add(Op::Noise { rows, width: self.config.latent, layer: 0 })?;
        self.add_weights(&mut graph, &networks, [x, eps], samples, "weights")?;
        Ok(graph)
    }

    /// The same with noise that is given, as [`Model::score`] takes it; it is alike for all classes.
    pub(super) fn score_inferred(&self, batch: usize, samples: usize) -> Result<Graph> {
        let mut graph = Graph::new(batch);
        let networks = self.declare(&mut graph)?;
        let x = self.gather_as_stored(&mut graph)?;
        let noise = self.given_noise(&mut graph, &named("noise", samples), samples)?[0];
        let noise = graph.reshape(noise, &[batch, samples * self.config.latent])?;
        let noise = graph.repeat(noise, batch * self.classes)?;
        let eps = graph.reshape(noise, &[batch * self.classes * samples, self.config.latent])?;
        self.add_weights(&mut graph, &networks, [x, eps], samples, &named("weights", samples))?;
        Ok(graph)
    }

    fn add_weights(
        &self,
        graph: &mut Graph,
        networks: &Networks,
        of: [Id; 2],
        samples: usize,
        name: &str,
    ) -> Result<()> {
        let [x, eps] = of;
        let batch = graph.batch;
        let (distortion, [stats, z]) = self.decoded_as_all(graph, networks, x, eps)?;
        let ratio = graph.add(Op::LogRatio { stats, eps, z, clamp: self.clamp() })?;
        let log = graph.map([distortion, ratio], |[distortion, ratio]| -distortion - ratio)?;
        // The classes of an example lie below each other, its samples side by side.
        let log = graph.reshape(log, &[batch * self.classes, samples])?;
        let prior = self.log_prior(graph, networks)?;
        let prior = graph.reshape(prior, &[self.classes])?;
        let prior = graph.tile(prior, batch)?;
        let log = graph.map([log, prior], |[log, prior]| log + prior)?;
        let all = graph.reduce(Reduction::LogSumExp, Axis::Rows(self.classes), log)?;
        let all = graph.reshape(all, &[batch * samples])?;
        let (distortion, ratio) = (graph.map([all], |[all]| -all)?, graph.map([all], |[all]| 0.0 * all)?);
        let weights = graph.add(Op::LogMeanExp { distortion, ratio })?;
        graph.output(name, weights);
        Ok(())
    }
}

/// Adds distortion and rate, which are −ELBO together, with the labels [B] where some are known: −1 where one is not.
fn add_bound(graph: &mut Graph, weights: &Weights, of: &Judged, label: Option<Id>) -> Result<()> {
    let &Judged { log_q, distortion, rate } = of;
    let (shares, surprise) = match label {
        None => (graph.map([log_q], |[log_q]| log_q.exp())?, log_q),
        Some(label) => {
            let unknown = |label: &Expr| label.clone().less(0.0);
            let shares = graph.map([log_q, label], |[log_q, label]| {
                unknown(&label).select(log_q.exp(), label.equal(Expr::column()))
            })?;
            // Of a class that is known there is nothing left to say.
            (shares, graph.map([log_q, label], |[log_q, label]| unknown(&label).select(log_q, 0.0))?)
        }
    };
    let sum = Reduction::Sum;
    let distortion = graph.reduce_map(sum, Axis::Columns, [shares, distortion], |[share, of]| share * of)?;
    let rate = graph.reduce_map(sum, Axis::Columns, [shares, rate, surprise], |[share, rate, surprise]| {
        share * (rate + surprise)
    })?;
    graph.term("distortion", distortion, weights.slot(DISTORTION)?);
    graph.term("rate", rate, weights.slot(RATE)?);
    Ok(())
}

/// −log q(y|x) of the labelled examples as a number for each example, [B, C], [B] → [B], whose mean over all examples that
/// count is its mean over those of them that are labelled; 0 where none is.
fn misjudged(graph: &mut Graph, log_q: Id, label: Id) -> Result<Id> {
    let batch = graph.batch;
    let counts = || Expr::row(batch).less(Expr::count());
    let labelled = graph.reduce_map(Reduction::Sum, Axis::Rows(batch), [label], |[label]| {
        counts().select(Expr::constant(0.0).at_most(label), 0.0)
    })?;
    let surprise = graph.reduce_map(Reduction::Sum, Axis::Columns, [log_q, label], |[log_q, label]| {
        label.equal(Expr::column()).select(-log_q, 0.0)
    })?;
    graph.map([surprise, labelled], |[surprise, labelled]| {
        counts().select(surprise * Expr::count() / labelled.max(1.0), 0.0)
    })
}
