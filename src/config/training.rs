//! `[schedule]`, and what `[train]` says of a run that does not go as planned.

use serde::{Deserialize, Serialize};

/// How the learning rate changes. What a kind has no use for is ignored by it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleConfig {
    /// Which curve the learning rate follows.
    pub curve: Curve,
    /// Epochs, or a fraction of one, in which the learning rate rises in a line from 0 to its curve.
    pub warmup: f32,
    /// `steps`: after which epochs the learning rate changes.
    pub milestones: Vec<usize>,
    /// What `optimizer.lr` is multiplied with: `steps` takes one factor for each of `milestones`, or a single one that is
    /// applied again each time; `plateau` takes a single one.
    pub gamma: Vec<f32>,
    /// `plateau`: epochs without a better score until the learning rate is lowered.
    pub wait: usize,
    /// `cosine`, `plateau`: the share of `optimizer.lr` below which the learning rate does not fall.
    pub min_factor: f32,
}

/// Curves of the learning rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Curve {
    /// One learning rate all the time.
    Constant,
    /// Another one after given epochs.
    Steps,
    /// Half a period of a cosine over all epochs (Loshchilov and Hutter 2017, without restarts).
    Cosine,
    /// Lower whenever the validation score has not become better for a while.
    Plateau,
}

/// What epochs are compared by, the smaller the better: of the validation part where there is one, else of what was trained
/// on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Monitor {
    /// −ELBO at β = 1 whatever is minimised, or the bound of importance weights where that is.
    Elbo,
    /// The loss with its weights at the end of all annealing. What looks at a whole batch (free bits, total correlation,
    /// MMD) enters as it was in training.
    Objective,
    /// −log p(x|z).
    Distortion,
    /// KL.
    Rate,
}

/// What is done when a loss is not finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotFinite {
    /// The run ends.
    Stop,
    /// The update is left out, and its loss does not count.
    Skip,
    /// The run goes back to its last checkpoint, with half the learning rate and other noise; three times at most.
    Rollback,
}

/// What becomes of the gradients of a batch's examples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reduction {
    /// Their mean.
    Mean,
    /// Their sum.
    Sum,
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self { curve: Curve::Constant, warmup: 0.0, milestones: vec![], gamma: vec![0.1], wait: 10, min_factor: 0.0 }
    }
}
