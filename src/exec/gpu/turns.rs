//! Plans that take turns within one submission, as the phases of training steps do.

use super::{Device, Dispatch, Gpu, SUBMISSIONS_IN_FLIGHT, Uniforms, dispatch_in};
use crate::error::Result;
use crate::exec::PlanId;
use crate::kernels::StepScalars;
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Instant;

/// Runs of a plan that follow each other: one for each of these rows of its table of steps.
pub(super) struct Turn<'a> {
    pub uniforms: &'a Uniforms,
    pub rows: Range<usize>,
    pub dispatches: &'a [Dispatch],
}

impl<'a> Turn<'a> {
    /// One run, of the first row.
    pub fn once(uniforms: &'a Uniforms, dispatches: &'a [Dispatch]) -> Self {
        Self { uniforms, rows: 0..1, dispatches }
    }
}

/// Records the dispatches of all runs, one turn after the other, and submits them.
pub(super) fn submit(device: &Device, label: &str, turns: &[Turn]) -> wgpu::SubmissionIndex {
    let mut encoder = device.handle.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some(label) });
    let descriptor = wgpu::ComputePassDescriptor { label: Some(label), timestamp_writes: None };
    let mut pass: Option<wgpu::ComputePass> = None;
    let runs = turns.iter().flat_map(|turn| turn.rows.clone().map(move |row| (turn, row as u64)));
    for (&Turn { uniforms, dispatches, .. }, run) in runs {
        for dispatch in dispatches {
            if !dispatch.copies.is_empty() {
                // Copies come between passes, so this one ends.
                pass = None;
                dispatch.copies.iter().for_each(|copy| copy.record(&mut encoder));
            }
            let pass = pass.get_or_insert_with(|| encoder.begin_compute_pass(&descriptor).forget_lifetime());
            dispatch_in(pass, uniforms, dispatch, run);
        }
    }
    drop(pass);
    device.queue.submit([encoder.finish()])
}

impl Gpu {
    /// See [`crate::exec::Executor::run_in_turn`].
    ///
    /// # Errors
    /// Those of [`crate::exec::Executor::run`].
    pub fn run_in_turn(&mut self, turns: &[(PlanId, Vec<StepScalars>)]) -> Result<()> {
        let mut rest = turns;
        while let Some((id, steps)) = rest.first() {
            let (now, later) = rest.split_at(self.fitting(rest).max(1));
            // What is more than a portion by itself is divided.
            if now.len() == 1 {
                self.run(*id, steps)?;
            } else {
                self.submit_in_turn(now)?;
            }
            rest = later;
        }
        self.device.healthy()
    }

    /// How many turns go into one submission: no plan has more runs in it than its portion.
    fn fitting(&self, turns: &[(PlanId, Vec<StepScalars>)]) -> usize {
        let mut runs: BTreeMap<PlanId, usize> = BTreeMap::new();
        let fits = |(id, steps): &&(PlanId, Vec<StepScalars>)| {
            let runs = runs.entry(*id).or_default();
            *runs += steps.len() / self.plans[id.0].plan.members;
            *runs <= self.portion(*id)
        };
        turns.iter().take_while(fits).count()
    }

    /// Submits turns of several plans together. The time that they take counts as if it were each plan's own, so that as many
    /// rounds of all fit into a portion.
    fn submit_in_turn(&mut self, turns: &[(PlanId, Vec<StepScalars>)]) -> Result<()> {
        let mut told: BTreeMap<PlanId, Vec<StepScalars>> = BTreeMap::new();
        let mut rows = Vec::new();
        for (id, steps) in turns {
            let (members, told) = (self.plans[id.0].plan.members, told.entry(*id).or_default());
            rows.push(told.len() / members..(told.len() + steps.len()) / members);
            told.extend_from_slice(steps);
        }
        let known = told.keys().all(|id| self.plans[id.0].submission.settled());
        self.make_room(if known { SUBMISSIONS_IN_FLIGHT - 1 } else { 0 })?;
        let begun = Instant::now();
        for (id, steps) in &told {
            self.write_steps(&self.plans[id.0].uniforms.clone(), steps);
        }
        let turn = |((id, _), rows): (&(PlanId, _), &Range<usize>)| self.plans[id.0].turn(rows.clone());
        let all: Vec<Turn> = turns.iter().zip(&rows).map(turn).collect();
        let dispatches = all.iter().map(|turn| turn.rows.len() * turn.dispatches.len()).sum();
        let submission = submit(&self.device, &self.plans[turns[0].0.0].plan.name, &all);
        self.submitted(submission, Some(turns[0].0), dispatches);
        if !known {
            self.finish()?;
            for (id, steps) in &told {
                let loaded = &mut self.plans[id.0];
                loaded.submission.took(steps.len() / loaded.plan.members, begun.elapsed());
            }
        }
        Ok(())
    }
}
