//! VAE-GAN (Larsen, Sønderby, Larochelle and Winther, "Autoencoding beyond pixels using a learned similarity metric", 2016, arXiv
//! 1512.09300): a second player tells examples from what the decoder makes, and a reconstruction is near its example where the
//! player sees the same in both, in the features of one of its layers, rather than where their values agree.
//!
//! With D the player's verdict, f its features, x an example, x̃ its reconstruction (the mean of p(x|z) at a sample of the
//! posterior) and x′ the mean of p(x|z) at a draw of the prior, the losses are, as in algorithm 1 of the paper,
//!
//! - of the encoder (and of prior and posterior, where they are learned): β·rate + ½‖f(x) − f(x̃)‖²,
//! - of the decoder: γ·½‖f(x) − f(x̃)‖² − log D(x̃) − log D(x′),
//! - of the player: −⅓(log D(x) + log(1 − D(x̃)) + log(1 − D(x′))).
//!
//! Two things are not those of the paper. The decoder follows −log D, which does not saturate (Goodfellow et al., "Generative
//! adversarial nets", 2014, section 3), where the paper has log(1 − D). And the player's loss is a mean of three, so that the
//! learning rate does not depend on how many kinds there are.
//!
//! Encoder and decoder are one phase with terms of two groups, since both follow from one way through the networks; the player
//! is another. The distortion is only reported.
//!
//! Letters: B examples of the batch, D values of one, F features.

use super::phases::Phase;
use super::stack::{Forward, sum};
use super::weights::{
    DECODER, DISTORTION, ENCODER_FEATURES, FEATURES, INSTANCE_NOISE, RATE, Schedule, Weight, Weights,
};
use super::{Model, factor, likelihood, network};
use crate::config::{Config, ObjectiveConfig};
use crate::error::Result;
use crate::expr::Expr;
use crate::graph::{Axis, Graph, Group, Id, Op, Reduction};

/// Kinds of pictures that the player is shown: examples, reconstructions, and what is made of draws of the prior.
const KINDS: usize = 3;

/// What follows the loss of the encoder.
const ENCODER: Group = Group::Of(&["encoder", "posterior", "prior"]);
/// What follows that of the decoder.
const OF_DECODER: Group = Group::Of(&["decoder"]);

/// The model, then the player.
pub(super) fn phases(config: &Config) -> Vec<Phase> {
    let mut phases = factor::players(config, Model::tell_examples);
    phases[0].build = Model::deceive;
    let objective = &config.objective;
    for (at, phase) in phases.iter_mut().enumerate() {
        let mut weights = std::mem::take(&mut phase.weights);
        if at == 0 {
            let gamma = Weight { is_level: true, ..Weight::constant(FEATURES, objective.features) };
            weights =
                weights.with(Weight::constant(ENCODER_FEATURES, 1.0)).with(Weight::constant(DECODER, 1.0)).with(gamma);
        }
        phase.weights = with_noise(weights, objective);
    }
    phases
}

/// The weights with the level of the noise, where there is some.
fn with_noise(weights: Weights, objective: &ObjectiveConfig) -> Weights {
    if objective.instance_noise == 0.0 {
        return weights;
    }
    let schedule = match objective.instance_noise_epochs {
        0.0 => Schedule::Constant,
        epochs => Schedule::Vanish { epochs },
    };
    let level = Weight::scheduled(INSTANCE_NOISE, objective.instance_noise, schedule);
    weights.with(Weight { is_level: true, ..level })
}

/// What is minimised.
pub(super) fn formula(objective: &ObjectiveConfig, beta: &str) -> String {
    format!(
        "encoder {beta} x rate + distance of features; decoder {} x distance of features - log D (VAE-GAN)",
        objective.features
    )
}

/// What the player makes of the three kinds.
pub(super) struct Judged {
    /// Its features, [B, 3F].
    pub features: Id,
    /// Its logits, [B, 3].
    pub logits: Id,
}

impl Model {
    /// The losses of encoder and decoder.
    fn deceive(&self, _: &Config, weights: &Weights, batch: usize) -> Result<Graph> {
        let mut graph = Graph::training(batch);
        let (pass, Judged { features, logits }) = self.players_see(&mut graph, weights)?;
        let distortion = likelihood::distortion(&mut graph, self, pass.out, pass.x)?;
        let rates = self.rates(&mut graph, &pass)?;
        let rate = sum(&mut graph, &rates)?;
        // The slot of the distortion stays empty: it is no part of a loss.
        weights.slot(DISTORTION)?;
        graph.report("distortion", distortion);
        graph.term_of("rate", rate, weights.slot(RATE)?, ENCODER);
        let apart = distance(&mut graph, features)?;
        graph.term_of("features", apart, weights.slot(ENCODER_FEATURES)?, ENCODER);
        let deceit = deceit(&mut graph, logits)?;
        graph.report("deceit", deceit);
        let gamma = weights.slot(FEATURES)?;
        let both = graph.map([apart, deceit], |[apart, deceit]| Expr::weight(gamma) * apart + deceit)?;
        graph.term_of("decoder", both, weights.slot(DECODER)?, OF_DECODER);
        Ok(graph)
    }

    /// The loss of the player.
    fn tell_examples(&self, config: &Config, weights: &Weights, batch: usize) -> Result<Graph> {
        let mut graph = Graph::training(batch);
        let (pass, Judged { logits, .. }) = self.players_see(&mut graph, weights)?;
        let loss = verdict(&mut graph, logits, config.objective.label_smoothing)?;
        graph.term(factor::PLAYER, loss, weights.slot(factor::PLAYER)?);
        pass.discriminator.keep(&mut graph)?;
        Ok(graph)
    }

    /// A batch through the model, and what the player makes of it.
    pub(super) fn players_see(&self, graph: &mut Graph, weights: &Weights) -> Result<(Forward, Judged)> {
        let networks = self.declare(graph)?;
        let pass = self.pass_of(graph, &networks, 1)?;
        let (batch, width) = (graph.batch, self.width);
        // The noise of the layers above the highest is nobody's latent.
        let above = self.latents().len();
        let noise = graph.add(Op::Noise { rows: batch, width: self.config.latent, layer: above })?;
        let draws = (self.prior().sample)(graph, self, &pass.prior, noise)?;
        let drawn = networks.decode(graph, draws, None)?;
        let [again, drawn] = [likelihood::mean(graph, self, pass.out)?, likelihood::mean(graph, self, drawn)?];
        // Three rows of an example, so that the player is asked once.
        let all = graph.concatenate(&[pass.x, again, drawn])?;
        let mut all = graph.reshape(all, &[KINDS * batch, width])?;
        if let Ok(level) = weights.slot(INSTANCE_NOISE) {
            let noise = graph.add(Op::Noise { rows: KINDS * batch, width, layer: above + 1 })?;
            all = graph.map([all, noise], |[all, noise]| all + Expr::weight(level) * noise)?;
        }
        let (steps, features) = network::discriminator(&self.config, self.shape)?;
        let ([first, rest], tensors) = (<[_; 2]>::from(steps.split_at(features)), &pass.discriminator.weights);
        let (own, others) = tensors.split_at(network::maps(first).count());
        let features = network::apply(graph, all, first, own, None)?;
        let logits = network::apply(graph, features, rest, others, None)?;
        let wide = KINDS * graph.shape(features).columns();
        let features = graph.reshape(features, &[batch, wide])?;
        let logits = graph.reshape(logits, &[batch, KINDS])?;
        Ok((pass, Judged { features, logits }))
    }
}

/// ½‖f(x) − f(x̃)‖² of each example, [B, 3F] → [B]: −log N(f(x); f(x̃), 1) but for a constant (eq. 7 of the paper).
///
/// # Errors
/// None for features of three kinds.
pub fn distance(graph: &mut Graph, features: Id) -> Result<Id> {
    let width = graph.shape(features).columns() / KINDS;
    let (own, again) = (graph.columns(features, 0, width)?, graph.columns(features, width as i32, width)?);
    graph.reduce_map(Reduction::Sum, Axis::Columns, [own, again], |[own, again]| 0.5 * (own - again).squared())
}

/// −log D(x̃) − log D(x′) of each example, [B, 3] → [B].
///
/// # Errors
/// None for logits of three kinds.
pub fn deceit(graph: &mut Graph, logits: Id) -> Result<Id> {
    graph.reduce_map(Reduction::Sum, Axis::Columns, [logits], |[logit]| {
        Expr::column().less(0.5).select(0.0, (-logit).softplus())
    })
}

/// The player's loss of each example, [B, 3] → [B]: −⅓(t·log D(x) + (1 − t)·log(1 − D(x)) + log(1 − D(x̃)) + log(1 − D(x′))), where
/// t = 1 − `smoothing` is the target of what is real (one-sided label smoothing; Salimans et al., "Improved techniques for training
/// GANs", 2016, section 3.4).
///
/// # Errors
/// None for logits of three kinds.
pub fn verdict(graph: &mut Graph, logits: Id, smoothing: f32) -> Result<Id> {
    graph.reduce_map(Reduction::Sum, Axis::Columns, [logits], |[logit]| {
        // −log D = softplus(−l) = softplus(l) − l, and −log(1 − D) = softplus(l).
        let real = Expr::column().less(0.5);
        (logit.clone().softplus() - real.select((1.0 - smoothing) * logit, 0.0)) * (1.0 / KINDS as f32)
    })
}
