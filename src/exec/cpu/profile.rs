//! Steps of a plan one by one, with a clock between them.

use super::{Buffers, Cpu, Loaded, equal_balances, run_on_copies, run_segment, segments};
use crate::error::Result;
use crate::exec::PlanId;
use crate::exec::profile::{Clock, Effort, Samples};
use crate::exec::selftest::cases::{Case, UNUSED_WORDS};
use crate::kernels::{Access, StepScalars};
use crate::plan::{Buffer, Plan, Role};
use rayon::prelude::*;
use std::mem;
use std::time::Instant;

impl Cpu {
    /// Seconds of each step of a plan, for all its members one after the other. The threads that work on it meet after every step,
    /// which in a run they do not: what a step takes there cannot be told from what the thread does before and after it.
    pub(in crate::exec) fn profile(&mut self, id: PlanId, scalars: &StepScalars, effort: Effort) -> Samples {
        let Loaded { plan, places, segments, crew, .. } = &self.plans[id.0];
        // A plan for devices runs step by step on copies.
        let singly = if segments.is_empty() { vec![] } else { segments::singly(plan) };
        let (pool, shared, members) = (&self.pool, &self.shared, &mut self.own);
        let threads = if crew.is_alone() { 1 } else { pool.current_num_threads() };
        let mut balance = equal_balances(&singly, threads);
        let mut samples = vec![vec![]; plan.steps.len()];
        pool.install(|| {
            let mut repeats = effort.begin();
            let mut rehearsal = true;
            while repeats.another() {
                for (at, (step, seconds)) in plan.steps.iter().zip(&mut samples).enumerate() {
                    let begun = Instant::now();
                    for own in &mut *members {
                        let mut buffers = Buffers { places, shared, own };
                        match singly.get(at) {
                            Some(segment) => run_segment(plan, segment, &mut balance[at], &mut buffers, scalars),
                            None => run_on_copies(plan, step, &mut buffers, scalars),
                        }
                    }
                    if !rehearsal {
                        seconds.push(begun.elapsed().as_secs_f64());
                    }
                }
                rehearsal = false;
                self.counts.dispatches += plan.steps.len() as u64;
            }
        });
        Samples { clock: Clock::Host, steps: samples }
    }

    /// Seconds of a copy of `words` words from one place to another, by all threads.
    pub(in crate::exec) fn time_copy(&self, words: usize, effort: Effort) -> Vec<f64> {
        let (from, mut to) = (vec![1_u32; words], vec![0_u32; words]);
        let share = words.div_ceil(self.pool.current_num_threads());
        let mut seconds = Vec::new();
        let mut repeats = effort.begin();
        while repeats.another() {
            let begun = Instant::now();
            self.pool.install(|| {
                to.par_chunks_mut(share).zip(from.par_chunks(share)).for_each(|(to, from)| to.copy_from_slice(from));
            });
            seconds.push(begun.elapsed().as_secs_f64());
        }
        // The first repeat was the rehearsal.
        seconds.split_off(1)
    }

    /// Computes a case in buffers of its own, with all threads, shows them to `judge`, and measures it if that says so.
    /// Nothing of it stays.
    pub(in crate::exec) fn time_case(
        &mut self,
        case: &Case,
        effort: Effort,
        judge: &mut dyn FnMut(&[Vec<u32>]) -> bool,
    ) -> Result<Option<Samples>> {
        // A case is one model, whatever the engine has loaded: that steps aside.
        let loaded = (mem::take(&mut self.plans), mem::take(&mut self.own), mem::take(&mut self.roles));
        let samples = self.time_alone(case, effort, judge);
        (self.plans, self.own, self.roles) = loaded;
        samples
    }

    fn time_alone(
        &mut self,
        case: &Case,
        effort: Effort,
        judge: &mut dyn FnMut(&[Vec<u32>]) -> bool,
    ) -> Result<Option<Samples>> {
        let id = self.load(alone(case))?;
        for (buffer, words) in self.own[0].iter_mut().zip(&case.buffers) {
            buffer.copy_from_slice(words);
        }
        self.run(id, &[case.scalars])?;
        let right = judge(&self.own[0]);
        Ok(right.then(|| self.profile(id, &case.scalars, effort)))
    }
}

/// A plan of the case's step, with a buffer for each binding.
fn alone(case: &Case) -> Plan {
    let mut step = case.step.clone();
    for (buffer, view) in step.views.iter_mut().enumerate() {
        (view.buffer, view.offset) = (buffer, 0);
    }
    // What is written and not divided cannot be shared out among threads, unless it is not used at all.
    if step.accesses().any(|(access, view)| access != Access::Read && !view.split && view.words > UNUSED_WORDS) {
        step.unit = step.outer;
    }
    let buffer = |(at, words): (usize, &Vec<u32>)| Buffer { role: Role::Slot(at), words: words.len() };
    let buffers = case.buffers.iter().enumerate().map(buffer).collect();
    Plan {
        name: step.what.clone(),
        batch: 1,
        members: 1,
        buffers,
        steps: vec![step],
        parameters: vec![],
        terms: vec![],
    }
}
