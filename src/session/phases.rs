//! The phases of a training step on an executor: their plans, and how they take turns.

use super::{Purpose, Session};
use crate::config::{Config, NotFinite};
use crate::error::{Error, Result};
use crate::exec::PlanId;
use crate::graph::Graph;
use crate::kernels::StepScalars;
use crate::model::{Model, Phase, phases};
use crate::plan::{Plan, Resident, Row, Target, UpdateStep, lower, reports_norm};

impl Purpose {
    /// Which phase of a training step it is, if it is one.
    pub fn phase(self) -> Option<usize> {
        match self {
            Self::Train => Some(0),
            Self::Further(phase) => Some(phase),
            Self::Task { .. } => None,
        }
    }

    /// A phase of a training step.
    pub fn of_phase(phase: usize) -> Self {
        if phase == 0 { Self::Train } else { Self::Further(phase) }
    }
}

impl Session {
    /// The plans of all phases of a training step, in their order.
    ///
    /// # Errors
    /// Those of [`Session::plan`].
    pub fn phases(&mut self) -> Result<Vec<PlanId>> {
        (0..phases(&self.config).len()).map(|phase| self.plan(Purpose::of_phase(phase))).collect()
    }

    /// Runs phases of training steps one after the other: each with its plan and, run by run, what each member is told.
    ///
    /// # Errors
    /// Those of [`Session::run`].
    pub fn run_phases(&mut self, all: &[(PlanId, Vec<StepScalars>)]) -> Result<()> {
        let turns = all.chunk_by(|(a, _), (b, _)| a == b);
        let turns: Vec<(PlanId, Vec<StepScalars>)> =
            turns.map(|same| (same[0].0, same.iter().flat_map(|(_, told)| told).copied().collect())).collect();
        match &turns[..] {
            [(plan, told)] => self.run(*plan, told),
            turns => self.run_in_turn(turns),
        }
    }
}

/// The plan of a phase of a training step. The terms of all phases share a row of the metrics.
pub(super) fn plan(model: &Model, config: &Config, at: usize, resident: Resident, target: Target) -> Result<Plan> {
    let mut all = model.phase_graphs(config, config.train.batch / config.train.accumulate)?;
    let width = |(phase, graph): &(Phase, Graph)| graph.terms.len() + usize::from(reports_norm(&phase.optimizer));
    let widths: Vec<usize> = all.iter().map(width).collect();
    if at >= all.len() {
        return Err(Error::Bug(format!("a training step has {} phases, and no number {at}", all.len())));
    }
    let row = Row { first: widths[..at].iter().sum(), columns: widths.iter().sum() };
    let (phase, graph) = all.swap_remove(at);
    let ending = UpdateStep {
        optimizer: &phase.optimizer,
        parts: config.train.accumulate,
        skip: config.train.not_finite == NotFinite::Skip,
        trains: phase.trains,
        row: Some(row),
    };
    let name = if widths.len() == 1 { "train".to_owned() } else { format!("train {}", phase.name) };
    lower(&name, graph, Some(ending), resident, target)
}
