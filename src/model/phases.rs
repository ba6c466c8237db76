//! What a step of training consists of: phases, one after the other on the same examples. A phase makes a loss of its own
//! smaller by changing one group of parameters; all others are constants to it. A model without players that disagree has a
//! single phase, which trains everything.
//!
//! A family says its phases ([`family::Family`]); plans, updates, metrics and checkpoints follow. Parameters that belong to no phase
//! keep their values.

use super::library::LIBRARY;
use super::network::batch_norm::RUNNING;
use super::prior::energy;
use super::{Model, Weights, family};
use crate::config::{Config, OptimizerConfig};
use crate::error::Result;
use crate::graph::{Graph, Group};

/// The graph of a phase for a batch of so many examples. Its terms ask the weights for their slots.
pub type Build = fn(&Model, &Config, &Weights, usize) -> Result<Graph>;

/// A part of a training step.
#[derive(Debug, Clone)]
pub struct Phase {
    /// What it is called where there are several.
    pub name: &'static str,
    /// The parameters that it changes. Those of different phases do not meet.
    pub trains: Group,
    /// How it changes them. The learning rate is that at the top of the schedule, which all phases follow alike.
    pub optimizer: OptimizerConfig,
    /// What the terms of its loss are multiplied by.
    pub weights: Weights,
    /// From one step in which it takes part to the next: 1 is every step.
    pub every: usize,
    /// Its loss. The first two terms of the first phase are distortion and rate.
    pub build: Build,
}

impl Phase {
    /// The phase that trains everything that follows a gradient by the objective.
    pub fn whole(config: &Config) -> Self {
        Self {
            name: "model",
            // What follows data by other ways, where a model has it.
            trains: Group::Except(&[energy::PARTITION, LIBRARY, RUNNING]),
            optimizer: config.optimizer.clone(),
            weights: Weights::of(&config.objective),
            every: 1,
            build: |model, config, _, batch| model.train_by(&config.objective, batch),
        }
    }

    /// Whether it takes part in a step, counted from 0.
    pub fn is_due(&self, step: u64) -> bool {
        step.is_multiple_of(self.every as u64)
    }

    /// In how many steps before this one it took part, if it does in this one.
    pub fn updates_before(&self, step: u64) -> u64 {
        step / self.every as u64
    }
}

/// The phases of a training step, in their order.
pub fn phases(config: &Config) -> Vec<Phase> {
    (family::of(&config.model).phases)(config)
}

impl Model {
    /// The graphs of all phases, each for `batch` examples.
    ///
    /// # Errors
    /// Those of the phases, and of shapes that do not meet.
    pub fn phase_graphs(&self, config: &Config, batch: usize) -> Result<Vec<(Phase, Graph)>> {
        let graph = |phase: Phase| (phase.build)(self, config, &phase.weights, batch).map(|graph| (phase, graph));
        phases(config).into_iter().map(graph).collect()
    }
}
