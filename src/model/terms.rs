//! The terms of a loss beside distortion and rate, a row each. Graphs, the weights of a step and the line that says what is
//! minimised go by this list; what a term does not have a weight for is left out of all three.

use super::stack::Forward;
use super::weights::{ADVERSARY, COVARIANCE, DENSITY_RATIO, MMD, TOTAL_CORRELATION, VARIANCE};
use super::{Model, adversary, factor, pairs};
use crate::config::{Moments, ObjectiveConfig};
use crate::error::Result;
use crate::graph::{Graph, Id, Op};
use std::cell::OnceCell;

/// A term.
pub struct Term {
    /// Its name, which is that of its weight too.
    pub name: &'static str,
    /// Its weight; 0 leaves it out.
    pub weight: fn(&ObjectiveConfig) -> f32,
    /// What it is, behind its weight in the line that says what is minimised.
    pub words: &'static str,
    /// A number for each row, whose mean over the rows that count is the term.
    pub rows: fn(&mut Graph, &Latents) -> Result<Id>,
}

/// All terms, in the order in which a graph has them.
pub static TERMS: &[Term] = &[
    Term {
        name: DENSITY_RATIO,
        weight: |objective| objective.factor,
        words: "density ratio of a discriminator (FactorVAE)",
        rows: |graph, of| factor::logit(graph, of.pass.lowest().z, &of.pass.discriminator.weights),
    },
    Term {
        name: ADVERSARY,
        weight: |objective| objective.adversary,
        words: "-log D(z) of a discriminator of latents and prior (AAE)",
        rows: |graph, of| adversary::deceit(graph, of.pass.lowest().z, &of.pass.discriminator.weights),
    },
    Term {
        name: TOTAL_CORRELATION,
        weight: |objective| objective.tc - 1.0,
        words: "total correlation",
        rows: |graph, of| {
            let lowest = of.pass.lowest();
            pairs::total_correlation(graph, lowest.stats, lowest.z, of.model.clamp())
        },
    },
    Term { name: MMD, weight: |objective| objective.mmd, words: "MMD", rows: |graph, of| of.discrepancy(graph) },
    Term {
        name: COVARIANCE,
        weight: |objective| objective.covariance,
        words: "covariance (DIP-VAE)",
        rows: |graph, of| Ok(of.moments(graph)?[0]),
    },
    Term {
        name: VARIANCE,
        weight: |objective| objective.variance,
        words: "distance of variances from 1 (DIP-VAE)",
        rows: |graph, of| Ok(of.moments(graph)?[1]),
    },
];

/// The terms of an objective with their weights.
pub fn of(objective: &ObjectiveConfig) -> impl Iterator<Item = (&'static Term, f32)> {
    TERMS.iter().map(|term| (term, (term.weight)(objective))).filter(|(_, weight)| *weight != 0.0)
}

/// What terms are made of: the latents of a batch, and what several terms share.
pub struct Latents<'a> {
    model: &'a Model,
    objective: &'a ObjectiveConfig,
    pass: &'a Forward,
    moments: OnceCell<[Id; 2]>,
}

impl<'a> Latents<'a> {
    pub(super) fn new(model: &'a Model, objective: &'a ObjectiveConfig, pass: &'a Forward) -> Self {
        Self { model, objective, pass, moments: OnceCell::new() }
    }

    fn discrepancy(&self, graph: &mut Graph) -> Result<Id> {
        // Of two draws for each example the first is the noise of its latent.
        let draws = graph.add(Op::Noise { rows: 2 * graph.batch, width: self.model.config.latent, layer: 0 })?;
        let draws = (self.model.prior().sample)(graph, self.model, &self.pass.prior, draws)?;
        pairs::mmd(graph, self.pass.lowest().z, draws)
    }

    fn moments(&self, graph: &mut Graph) -> Result<[Id; 2]> {
        if let Some(known) = self.moments.get() {
            return Ok(*known);
        }
        let of_latents = (self.objective.covariance_of == Moments::Latents).then(|| self.model.clamp());
        let moments = pairs::moments(graph, self.pass.lowest().stats, self.model.config.latent, of_latents)?;
        Ok(*self.moments.get_or_init(|| moments))
    }
}
