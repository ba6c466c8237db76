//! Families of models: what a training step of one consists of, what is minimised, and what it can be asked. Each but
//! the first, which is here, is a file and a line in [`of`].

use super::phases::Phase;
use super::tasks::{
    DECODE, DESCEND, ENCODE, ENERGIES, EVALUATE, EXPLAIN, IMPORTANCE, IMPUTE, JUDGE, NATURAL, RECONSTRUCT, SAMPLE,
    SCORE, Task,
};
use super::{Model, adversary, autoregressive, factor, gan, inferred, objective, quantise, relaxed, sequence};
use crate::config::{Condition, Config, Hierarchy, Likelihood, ModelConfig};

/// A family.
pub struct Family {
    /// The phases of a training step, in their order.
    pub phases: fn(&Config) -> Vec<Phase>,
    /// What is minimised, in a line, given how β is shown.
    pub formula: fn(&Config, &str) -> String,
    /// What a trained model can be asked.
    pub tasks: &'static [Task],
    /// The name of the task by which it draws.
    pub draws: &'static str,
}

/// The family of a model.
pub fn of(model: &ModelConfig) -> &'static Family {
    match model.condition {
        _ if model.prior_codes > 0 => &autoregressive::FAMILY,
        _ if model.codes > 0 => &quantise::FAMILY,
        _ if model.likelihood == Likelihood::Tokens => &sequence::FAMILY,
        _ if !model.categories.is_empty() => &relaxed::FAMILY,
        Condition::Inferred => &inferred::FAMILY,
        _ if model.hierarchy == Hierarchy::Residual => &GROUPS,
        Condition::None | Condition::Label => &VAE,
    }
}

/// Variational autoencoders, with or without a player beside them.
static VAE: Family = Family { phases, formula: objective::of_elbo, tasks: TASKS, draws: SAMPLE };

/// Those whose latents are groups that add to an image: nothing decodes latents of the lowest layer alone.
static GROUPS: Family =
    Family { phases, formula: objective::of_elbo, tasks: TASKS.split_at(OF_LAYER).0, draws: SAMPLE };

/// What they can be asked; from [`OF_LAYER`] on what takes a decoder that reads the lowest stochastic layer alone.
static TASKS: &[Task] = &[
    Task { name: EVALUATE, takes_samples: false, build: |model, batch, _| model.evaluate(batch) },
    Task { name: IMPORTANCE, takes_samples: true, build: Model::importance },
    Task { name: SCORE, takes_samples: true, build: Model::score },
    Task { name: EXPLAIN, takes_samples: false, build: |model, batch, _| model.explain(batch) },
    Task { name: RECONSTRUCT, takes_samples: false, build: |model, batch, _| model.reconstruct(batch) },
    Task { name: SAMPLE, takes_samples: false, build: |model, batch, _| model.sample(batch) },
    Task { name: ENCODE, takes_samples: false, build: |model, batch, _| model.encode(batch) },
    Task { name: DESCEND, takes_samples: false, build: |model, batch, _| model.descend(batch) },
    Task { name: ENERGIES, takes_samples: false, build: |model, batch, _| model.energies(batch) },
    Task { name: DECODE, takes_samples: false, build: |model, batch, _| model.decode(batch) },
    Task { name: NATURAL, takes_samples: false, build: |model, batch, _| model.natural(batch) },
    Task { name: IMPUTE, takes_samples: true, build: Model::impute },
    Task { name: JUDGE, takes_samples: false, build: |model, batch, _| model.judge(batch) },
];

/// Where these begin.
const OF_LAYER: usize = 9;

/// The phases of a variational autoencoder.
pub(super) fn phases(config: &Config) -> Vec<Phase> {
    match &config.objective {
        objective if objective.factor > 0.0 => factor::phases(config),
        objective if objective.adversary > 0.0 => adversary::phases(config),
        objective if objective.features > 0.0 => gan::phases(config),
        _ => vec![Phase::whole(config)],
    }
}
