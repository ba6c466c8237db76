//! The losses that a model can be trained by, as graphs, and the weights of their terms at each step.
//!
//! Whatever is optimised, the first two terms of a graph are distortion and rate, so that runs can be compared.

use super::stack::{Drawn, Pass, sum};
use super::vae::{DISTORTION_WEIGHT, Model, RATE_WEIGHT};
use super::{likelihood, pairs};
use crate::config::{Anneal, Bound, ObjectiveConfig};
use crate::error::Result;
use crate::graph::op::KlShape;
use crate::graph::{Graph, Id, Op};

/// The term that is a bound of importance-weighted samples, for PIWAE the one that the decoder follows.
pub const BOUND: &str = "bound";
/// The terms that shape the rate, and that compare the latents of a batch with each other.
const PENALTY: &str = "penalty";
const TOTAL_CORRELATION: &str = "total correlation";
const MMD: &str = "MMD";
/// What the terms begin with that are the rates of single stochastic layers; their number follows.
pub const LAYER_RATE: &str = "rate ";
/// Which of a step's weights multiplies the bound or the total correlation, or is the capacity.
const BOUND_WEIGHT: usize = 2;
/// Which of a step's weights multiplies the bound that only the decoder follows, or the discrepancy to the prior.
const DECODER_WEIGHT: usize = 3;

impl Model {
    /// One training step by an objective: terms `distortion`, `rate` and, where something else is optimised, `bound`,
    /// `penalty` and the like.
    pub fn train_by(&self, objective: &ObjectiveConfig, batch: usize) -> Result<Graph> {
        let mut graph = Graph::training(batch);
        if objective.bound.is_weighted() {
            self.weighted(&mut graph, objective)?;
        } else {
            self.penalised(&mut graph, objective)?;
        }
        Ok(graph)
    }

    /// The ELBO, its rate as it is or shaped.
    fn penalised(&self, graph: &mut Graph, objective: &ObjectiveConfig) -> Result<()> {
        let pass = self.pass(graph, objective.samples)?;
        let (Drawn { stats, .. }, clamp) = (pass.lowest(), self.clamp());
        let distortion = likelihood::distortion(graph, self, pass.out, pass.x)?;
        let rates = self.rates(graph, &pass)?;
        let rate = sum(graph, &rates)?;
        graph.term("distortion", distortion, DISTORTION_WEIGHT);
        let latent = self.config.latent;
        let shape = match (objective.free_bits > 0.0, objective.capacity > 0.0) {
            (true, _) => KlShape::FreeBits { bound: objective.free_bits, size: objective.free_group },
            (_, true) => KlShape::Capacity { size: latent },
            _ => {
                graph.term("rate", rate, RATE_WEIGHT);
                report_layers(graph, &rates);
                return self.of_pairs(graph, objective, &pass);
            }
        };
        graph.report("rate", rate);
        let means = graph.add(Op::KlMeans { stats, clamp, size: shape.size() })?;
        let penalty = graph.add(Op::ShapedKl { stats, means, clamp, shape })?;
        graph.term(PENALTY, penalty, RATE_WEIGHT);
        self.of_pairs(graph, objective, &pass)
    }

    /// Terms that compare the latents of a batch with each other.
    fn of_pairs(&self, graph: &mut Graph, objective: &ObjectiveConfig, pass: &Pass) -> Result<()> {
        let (Drawn { stats, z, .. }, clamp) = (pass.lowest(), self.clamp());
        if objective.tc != 1.0 {
            let correlation = pairs::total_correlation(graph, stats, z, clamp)?;
            graph.term(TOTAL_CORRELATION, correlation, BOUND_WEIGHT);
        }
        if objective.mmd > 0.0 {
            // Of two draws for each example the first is the noise of its latent.
            let prior = graph.add(Op::Noise { rows: 2 * graph.batch, width: self.config.latent, layer: 0 })?;
            let prior = (self.prior().sample)(graph, &pass.prior, prior)?;
            let discrepancy = pairs::mmd(graph, z, prior)?;
            graph.term(MMD, discrepancy, DECODER_WEIGHT);
        }
        Ok(())
    }

    /// A bound of importance-weighted samples, and for CIWAE the ELBO of the same samples beside it.
    fn weighted(&self, graph: &mut Graph, objective: &ObjectiveConfig) -> Result<()> {
        let (samples, groups) = (objective.samples, objective.groups);
        let pass = self.pass(graph, samples)?;
        let distortion = likelihood::distortion(graph, self, pass.out, pass.x)?;
        let ratios = self.log_ratios(graph, &pass)?;
        let rates = self.rates_with(graph, &pass, &ratios)?;
        let rate = sum(graph, &rates)?;
        let ratio = sum(graph, &ratios)?;
        let mut bound = |size: usize| graph.add(Op::Bound { distortion, ratio, size });
        let (of_all, of_groups) = match objective.bound {
            Bound::Miwae | Bound::Piwae => (None, Some(bound(samples / groups)?)),
            Bound::Elbo | Bound::Iwae | Bound::Ciwae => (Some(bound(samples)?), None),
        };
        let whole = if objective.bound == Bound::Piwae { Some(bound(samples)?) } else { None };
        if objective.bound == Bound::Ciwae {
            graph.term("distortion", distortion, DISTORTION_WEIGHT);
        } else {
            graph.report("distortion", distortion);
        }
        graph.report("rate", rate);
        match (of_all, of_groups, whole) {
            (_, Some(inner), Some(outer)) => {
                graph.term_of(BOUND, outer, DECODER_WEIGHT, "decoder");
                graph.term_of("bound of groups", inner, BOUND_WEIGHT, "encoder");
            }
            (Some(bound), ..) | (_, Some(bound), _) => graph.term(BOUND, bound, BOUND_WEIGHT),
            _ => {}
        }
        if objective.bound == Bound::Ciwae {
            graph.term("log ratio", ratio, RATE_WEIGHT);
        }
        report_layers(graph, &rates);
        Ok(())
    }
}

/// Reports the rate of each of several stochastic layers.
fn report_layers(graph: &mut Graph, rates: &[Id]) {
    for (layer, &rate) in (1..).zip(rates).filter(|_| rates.len() > 1) {
        graph.report(&format!("{LAYER_RATE}{layer}"), rate);
    }
}

/// The weights of a step's terms after so many epochs.
pub fn weights_at(objective: &ObjectiveConfig, epochs: f64) -> [f32; 4] {
    if objective.bound.is_weighted() {
        let share = if objective.bound == Bound::Ciwae { objective.share } else { 0.0 };
        return [share, share, 1.0 - share, 1.0];
    }
    let mut weights = [1.0, annealed_beta(objective, epochs), 0.0, 0.0];
    weights[BOUND_WEIGHT] = capacity_at(objective, epochs).unwrap_or(objective.tc - 1.0);
    weights[DECODER_WEIGHT] = objective.mmd;
    weights
}

/// β after so many epochs; a bound of importance-weighted samples has none.
pub fn beta_at(objective: &ObjectiveConfig, epochs: f64) -> Option<f32> {
    (!objective.bound.is_weighted()).then(|| annealed_beta(objective, epochs))
}

fn annealed_beta(objective: &ObjectiveConfig, epochs: f64) -> f32 {
    let annealed = match objective.anneal {
        Anneal::None => 1.0,
        Anneal::Linear => risen(epochs, objective.anneal_epochs),
        Anneal::Cyclical => {
            let place = (epochs / f64::from(objective.anneal_epochs)).fract();
            (place / f64::from(objective.anneal_share)).min(1.0)
        }
    };
    (f64::from(objective.beta) * annealed) as f32
}

/// The capacity after so many epochs, where the rate has one.
pub fn capacity_at(objective: &ObjectiveConfig, epochs: f64) -> Option<f32> {
    let capacity = f64::from(objective.capacity) * risen(epochs, objective.capacity_epochs);
    (objective.capacity > 0.0).then_some(capacity as f32)
}

/// The loss with the weights that it has once all annealing is over, from distortion and rate, the bound where one is
/// minimised, and the other terms by their names: what looks at a whole batch has no value of another part of the data.
pub fn loss(
    objective: &ObjectiveConfig,
    [distortion, rate]: [f64; 2],
    bound: Option<f64>,
    others: &[(String, f64)],
) -> f64 {
    if let Some(bound) = bound {
        let share = if objective.bound == Bound::Ciwae { f64::from(objective.share) } else { 0.0 };
        return share * (distortion + rate) + (1.0 - share) * bound;
    }
    let of = |name: &str| others.iter().find(|(other, _)| other == name).map(|(_, value)| *value);
    let shaped = match (objective.free_bits > 0.0, objective.capacity > 0.0) {
        (true, _) => of(PENALTY).unwrap_or(rate),
        (_, true) => (rate - f64::from(objective.capacity)).abs(),
        _ => rate,
    };
    let correlation = f64::from(objective.tc - 1.0) * of(TOTAL_CORRELATION).unwrap_or(0.0);
    distortion + f64::from(objective.beta) * shaped + correlation + f64::from(objective.mmd) * of(MMD).unwrap_or(0.0)
}

/// How much of a rise in a line over `over` epochs is done.
fn risen(epochs: f64, over: f32) -> f64 {
    if over > 0.0 { (epochs / f64::from(over)).min(1.0) } else { 1.0 }
}

/// Which of a step's weights are weights: the others keep their value when all are scaled.
pub fn is_weight(objective: &ObjectiveConfig, which: usize) -> bool {
    objective.capacity == 0.0 || which != BOUND_WEIGHT
}

/// What is minimised, in a line; `beta` is how its value is shown.
pub fn formula(objective: &ObjectiveConfig, beta: &str) -> String {
    let tc = objective.tc - 1.0;
    let tc = if tc == 0.0 { String::new() } else { format!(" + {tc} x total correlation") };
    let mmd = if objective.mmd > 0.0 { format!(" + {} x MMD", objective.mmd) } else { String::new() };
    format!("{}{tc}{mmd}", main_part(objective, beta))
}

fn main_part(objective: &ObjectiveConfig, beta: &str) -> String {
    let (samples, groups) = (objective.samples, objective.groups);
    match objective.bound {
        Bound::Iwae => format!("-log mean of {samples} importance weights (IWAE)"),
        Bound::Miwae => format!("mean over {groups} groups of -log mean of {} weights (MIWAE)", samples / groups),
        Bound::Piwae => {
            format!(
                "decoder by {samples} importance weights, encoder by {groups} groups of {} (PIWAE)",
                samples / groups
            )
        }
        Bound::Ciwae => {
            format!("{} x -ELBO + {} x IWAE of {samples} samples (CIWAE)", objective.share, 1.0 - objective.share)
        }
        Bound::Elbo if objective.free_bits > 0.0 => format!(
            "distortion + {beta} x max(rate, {}) for each {}",
            objective.free_bits,
            if objective.free_group == 1 { "dimension".into() } else { format!("{} dimensions", objective.free_group) }
        ),
        Bound::Elbo if objective.capacity > 0.0 => format!("distortion + {beta} x |rate - {}|", objective.capacity),
        Bound::Elbo => format!("distortion + {beta} x rate"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loss_of_an_epoch_has_the_weights_of_its_end() {
        let elbo = |beta| ObjectiveConfig::elbo(beta);
        let others = [(PENALTY.to_owned(), 3.5), (TOTAL_CORRELATION.to_owned(), 0.5), (MMD.to_owned(), 0.25)];
        let ciwae = ObjectiveConfig { bound: Bound::Ciwae, share: 0.25, ..elbo(1.0) };
        for (objective, bound, expected) in [
            (ObjectiveConfig { anneal: Anneal::Linear, ..elbo(4.0) }, None, 10.0 + 4.0 * 3.0),
            (ObjectiveConfig { free_bits: 0.5, ..elbo(2.0) }, None, 10.0 + 2.0 * 3.5),
            (ObjectiveConfig { capacity: 5.0, ..elbo(100.0) }, None, 10.0 + 100.0 * 2.0),
            (ObjectiveConfig { tc: 6.0, ..elbo(1.0) }, None, 10.0 + 3.0 + 5.0 * 0.5),
            (ObjectiveConfig { mmd: 100.0, ..elbo(0.0) }, None, 10.0 + 100.0 * 0.25),
            (ObjectiveConfig { bound: Bound::Iwae, ..elbo(1.0) }, Some(12.0), 12.0),
            (ciwae, Some(12.0), 0.25 * 13.0 + 0.75 * 12.0),
        ] {
            // Without a weight of its own a term counts nothing.
            assert_eq!(loss(&objective, [10.0, 3.0], bound, &others), expected, "{objective:?}");
        }
    }

    #[test]
    fn weights_follow_their_schedules() {
        let elbo = ObjectiveConfig::elbo(4.0);
        let linear = ObjectiveConfig { anneal: Anneal::Linear, anneal_epochs: 2.0, ..elbo.clone() };
        let cyclical = ObjectiveConfig { anneal: Anneal::Cyclical, anneal_epochs: 4.0, ..elbo.clone() };
        let capacity = ObjectiveConfig { capacity: 10.0, capacity_epochs: 5.0, ..elbo.clone() };
        let ciwae = ObjectiveConfig { bound: Bound::Ciwae, share: 0.25, ..ObjectiveConfig::elbo(1.0) };
        for (objective, epochs, expected) in [
            (&elbo, 0.0, [1.0, 4.0, 0.0, 0.0]),
            (&linear, 0.0, [1.0, 0.0, 0.0, 0.0]),
            (&linear, 0.5, [1.0, 1.0, 0.0, 0.0]),
            (&linear, 7.0, [1.0, 4.0, 0.0, 0.0]),
            (&cyclical, 1.0, [1.0, 2.0, 0.0, 0.0]),
            (&cyclical, 3.5, [1.0, 4.0, 0.0, 0.0]),
            (&cyclical, 8.0, [1.0, 0.0, 0.0, 0.0]),
            (&capacity, 2.5, [1.0, 4.0, 5.0, 0.0]),
            (&capacity, 9.0, [1.0, 4.0, 10.0, 0.0]),
            (&ObjectiveConfig { tc: 6.0, mmd: 10.0, ..elbo.clone() }, 3.0, [1.0, 4.0, 5.0, 10.0]),
            (&ciwae, 3.0, [0.25, 0.25, 0.75, 1.0]),
        ] {
            assert_eq!(weights_at(objective, epochs), expected, "{objective:?} after {epochs}");
        }
    }
}
