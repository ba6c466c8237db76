//! The losses that a model can be trained by, as graphs. Each term names its weight; [`super::weights`] has their values.
//!
//! Whatever is optimised, the first two terms of a graph are distortion and rate, so that runs can be compared.

use super::stack::{Forward, LatentSample, sum};
use super::terms::{self, Latents};
use super::weights::{self, DISTORTION, RATE, Weights};
use super::{Model, family, gan, likelihood};
use crate::config::{Bound, Config, ObjectiveConfig};
use crate::error::{Error, Result};
use crate::graph::group::{DECODER, ENCODER};
use crate::graph::op::KlPenalty;
use crate::graph::{Graph, Id, Op};

/// The term that is a bound of importance-weighted samples, for PIWAE the one that the decoder follows.
pub const BOUND: &str = "bound";
/// The term that shapes the rate.
const PENALTY: &str = "penalty";
/// What the terms begin with that are the rates of single stochastic layers; their number follows.
pub const LAYER_RATE: &str = "rate ";

impl Model {
    /// One training step by an objective: terms `distortion`, `rate` and, where something else is optimised, `bound`,
    /// `penalty` and the like.
    ///
    /// # Errors
    /// Those of [`Model::networks`], and of an objective with more weights than a step is told.
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
        let weights = Weights::of(objective);
        let pass = self.pass(graph, objective.samples)?;
        let (LatentSample { stats, .. }, clamp) = (pass.lowest(), self.clamp());
        let distortion = likelihood::distortion(graph, self, pass.out, pass.x)?;
        let rates = self.rates(graph, &pass)?;
        let rate = sum(graph, &rates)?;
        graph.term("distortion", distortion, weights.slot(DISTORTION)?);
        let latent = self.config.latent;
        let several = !pass.priors.is_empty();
        if objective.free_bits > 0.0 {
            self.check_free_group(objective.free_group, several)?;
        }
        let shape = match (objective.free_bits > 0.0, objective.capacity > 0.0) {
            (true, _) if several => {
                graph.report("rate", rate);
                let penalty = self.free_bits(graph, &pass, objective.free_bits, objective.free_group)?;
                graph.term(PENALTY, penalty, weights.slot(RATE)?);
                report_layers(graph, &rates);
                return self.further(graph, objective, &weights, &pass);
            }
            _ if objective.balance => {
                graph.report("rate", rate);
                let balanced = self.balanced(graph, &rates, weights.slot(weights::BALANCE)?)?;
                graph.term(PENALTY, balanced, weights.slot(RATE)?);
                report_layers(graph, &rates);
                return self.further(graph, objective, &weights, &pass);
            }
            (true, _) => KlPenalty::FreeBits { bound: objective.free_bits, size: objective.free_group },
            (_, true) => KlPenalty::Capacity { size: latent, weight: weights.slot(weights::CAPACITY)? },
            _ => {
                graph.term("rate", rate, weights.slot(RATE)?);
                report_layers(graph, &rates);
                return self.further(graph, objective, &weights, &pass);
            }
        };
        graph.report("rate", rate);
        let means = graph.add(Op::KlMeans { stats, clamp, size: shape.size() })?;
        let penalty = graph.add(Op::ShapedKl { stats, means, clamp, shape })?;
        graph.term(PENALTY, penalty, weights.slot(RATE)?);
        self.further(graph, objective, &weights, &pass)
    }

    /// Refuses groups of dimensions that do not divide a stochastic layer; where there are several, one that is larger than a layer
    /// is all of it. How many dimensions an image of latents has depends on the data.
    fn check_free_group(&self, group: usize, several: bool) -> Result<()> {
        let fits = |&latent: &usize| latent.is_multiple_of(group) || (several && group > latent);
        match self.latents().into_iter().find(|latent| !fits(latent)) {
            Some(latent) => Err(Error::Usage(format!(
                "objective.free_group = {group}: a stochastic layer has {latent} dimensions, and groups of them have to divide it"
            ))),
            None => Ok(()),
        }
    }

    /// The terms beside distortion and rate.
    fn further(&self, graph: &mut Graph, objective: &ObjectiveConfig, weights: &Weights, pass: &Forward) -> Result<()> {
        let latents = Latents::new(self, objective, pass);
        for (term, _) in terms::of(objective) {
            let rows = (term.rows)(graph, &latents)?;
            graph.term(term.name, rows, weights.slot(term.name)?);
        }
        Ok(())
    }

    /// A bound of importance-weighted samples, and for CIWAE the ELBO of the same samples beside it.
    fn weighted(&self, graph: &mut Graph, objective: &ObjectiveConfig) -> Result<()> {
        let (samples, groups) = (objective.samples, objective.groups);
        let weights = Weights::of(objective);
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
            graph.term("distortion", distortion, weights.slot(DISTORTION)?);
        } else {
            graph.report("distortion", distortion);
        }
        graph.report("rate", rate);
        match (of_all, of_groups, whole) {
            (_, Some(inner), Some(outer)) => {
                graph.term_of(BOUND, outer, weights.slot(weights::DECODER_BOUND)?, DECODER);
                graph.term_of("bound of groups", inner, weights.slot(weights::BOUND)?, ENCODER);
            }
            (Some(bound), ..) | (_, Some(bound), _) => graph.term(BOUND, bound, weights.slot(weights::BOUND)?),
            _ => {}
        }
        if objective.bound == Bound::Ciwae {
            graph.term("log ratio", ratio, weights.slot(weights::LOG_RATIO)?);
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

/// The loss with the weights that it has once all annealing is over, from distortion and rate, the bound where one is
/// minimised, and the other terms by their names: what looks at a whole batch has no value of another part of the data.
pub fn loss(
    weights: &Weights,
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
    // Every further term has the name of its weight.
    let further = weights.factors().filter(|(name, _)| ![DISTORTION, RATE].contains(name));
    let further = further.map(|(name, weight)| f64::from(weight) * of(name).unwrap_or(0.0));
    distortion + f64::from(objective.beta) * shaped + further.sum::<f64>()
}

/// What is minimised, in a line; `beta` is how its value is shown.
pub fn formula(config: &Config, beta: &str) -> String {
    (family::of(&config.model).formula)(config, beta)
}

/// The same of a variational autoencoder.
pub(super) fn of_elbo(config: &Config, beta: &str) -> String {
    let objective = &config.objective;
    if objective.features > 0.0 {
        return gan::formula(objective, beta);
    }
    let further = terms::of(objective).map(|(term, weight)| format!(" + {weight} x {}", term.words));
    main_part(objective, beta) + &further.collect::<String>()
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
        Bound::Elbo if objective.balance => {
            format!("distortion + {beta} x rate, balanced between groups while beta rises")
        }
        Bound::Elbo => format!("distortion + {beta} x rate"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Anneal;
    use crate::model::weights::{ADVERSARY, COVARIANCE, DENSITY_RATIO, MMD, TOTAL_CORRELATION, VARIANCE};

    #[test]
    fn the_loss_of_an_epoch_has_the_weights_of_its_end() {
        let elbo = |beta| ObjectiveConfig::elbo(beta);
        let others = [
            (PENALTY, 3.5),
            (TOTAL_CORRELATION, 0.5),
            (MMD, 0.25),
            (COVARIANCE, 0.5),
            (VARIANCE, 2.0),
            (DENSITY_RATIO, -1.0),
            (ADVERSARY, 0.75),
        ]
        .map(|(name, value)| (name.to_owned(), value));
        let ciwae = ObjectiveConfig { bound: Bound::Ciwae, share: 0.25, ..elbo(1.0) };
        for (objective, bound, expected) in [
            (ObjectiveConfig { anneal: Anneal::Linear, ..elbo(4.0) }, None, 10.0 + 4.0 * 3.0),
            (ObjectiveConfig { free_bits: 0.5, ..elbo(2.0) }, None, 10.0 + 2.0 * 3.5),
            (ObjectiveConfig { capacity: 5.0, ..elbo(100.0) }, None, 10.0 + 100.0 * 2.0),
            (ObjectiveConfig { tc: 6.0, ..elbo(1.0) }, None, 10.0 + 3.0 + 5.0 * 0.5),
            (ObjectiveConfig { mmd: 100.0, ..elbo(0.0) }, None, 10.0 + 100.0 * 0.25),
            (ObjectiveConfig { covariance: 10.0, variance: 5.0, ..elbo(1.0) }, None, 13.0 + 10.0 * 0.5 + 5.0 * 2.0),
            (ObjectiveConfig { factor: 3.0, ..elbo(1.0) }, None, 10.0 + 3.0 - 3.0),
            (ObjectiveConfig { adversary: 2.0, ..elbo(0.0) }, None, 10.0 + 2.0 * 0.75),
            (ObjectiveConfig { bound: Bound::Iwae, ..elbo(1.0) }, Some(12.0), 12.0),
            (ciwae, Some(12.0), 0.25 * 13.0 + 0.75 * 12.0),
        ] {
            // Without a weight of its own a term counts nothing.
            assert_eq!(
                loss(&Weights::of(&objective), &objective, [10.0, 3.0], bound, &others),
                expected,
                "{objective:?}"
            );
        }
    }
}
