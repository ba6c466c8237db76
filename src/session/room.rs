//! Whether there is memory for a plan, before any is taken.

use super::{Purpose, Session, phases};
use crate::error::{Error, Result};
use crate::exec::Shortage;
use crate::plan::{Plan, Stage};
use crate::report::human::bytes;

impl Session {
    /// Refuses a plan that takes more memory than there is, and says what to lower, and how far.
    ///
    /// # Errors
    /// [`Error::Device`] in one line.
    pub(super) fn check_room(&self, plan: &Plan, purpose: Purpose) -> Result<()> {
        let Some(shortage @ Shortage { takes, has }) = self.executor.shortage(plan) else { return Ok(()) };
        let remedy = match purpose.phase() {
            _ if plan.members > 1 => "train fewer members side by side".into(),
            Some(phase) => self.smaller_step(plan, phase, shortage),
            None => "make the model smaller".into(),
        };
        let what =
            if purpose.phase().is_some() { "a step of training".to_owned() } else { format!("the plan {}", plan.name) };
        let (device, [takes, own, has]) = (self.executor.name(), [takes, plan.own_bytes(), has].map(bytes));
        let lack = if self.executor.is_host() {
            format!("takes {takes} of memory, {own} of it what lies between layers, and {device} has {has} for it")
        } else {
            format!("keeps {takes} between layers, in one buffer, and {device} allows one of {has}")
        };
        Err(Error::Device(format!("{what} of {} examples {lack}: {remedy}", plan.batch)))
    }

    /// What makes a step of training fit: a batch of so many examples, or keeping less of it.
    fn smaller_step(&self, plan: &Plan, phase: usize, Shortage { takes, has }: Shortage) -> String {
        let train = &self.config.train;
        let fits = |own: u64| {
            let lasting = takes.saturating_sub(plan.own_bytes());
            (has.saturating_sub(lasting) as f64 / own.max(1) as f64 * train.batch as f64) as usize
        };
        let mut remedies = Vec::new();
        let lowered = |batch: usize| format!("lower train.batch from {} to {batch} or less", train.batch);
        let batch = fits(plan.own_bytes());
        if batch > 0 {
            remedies.push(lowered(batch));
        }
        let mut other = self.config.clone();
        other.train.checkpointing = true;
        let target = self.executor.target();
        if !train.checkpointing
            && let Ok(less) =
                phases::plan_of(&self.model, &other, (phase, Stage::Whole), self.ranks.count(), (self.resident, target))
        {
            let batch = fits(less.own_bytes());
            remedies.push(match batch {
                0 => return "make the model smaller".into(),
                batch if batch >= train.batch => "set train.checkpointing = true".into(),
                batch => format!("set train.checkpointing = true and {}", lowered(batch)),
            });
        }
        if remedies.is_empty() { "make the model smaller".into() } else { remedies.join(", or ") }
    }
}
