//! Single dispatches, whose results are compared with those of the kernels' twins.

use super::{Gpu, memory, submit};
use crate::error::Result;
use crate::exec::{PlanId, compare, twin};
use crate::kernels::{Access, StepScalars};
use crate::plan::{Role, Step};

impl Gpu {
    /// See [`crate::exec::Executor::check`]. The inputs of each step are read back just before it, so that an error
    /// does not carry over to the steps after it.
    pub fn check(&mut self, id: PlanId, scalars: &[StepScalars]) -> Result<Option<String>> {
        let scalars = &scalars[0];
        self.write_steps(&[*scalars]);
        for at in 0..self.plans[id.0].plan.steps.len() {
            let step = self.plans[id.0].plan.steps[at].clone();
            let mut expected = Vec::new();
            for binding in 0..step.views.len() {
                expected.push(self.read_view(id, &step, binding)?);
            }
            let loaded = &self.plans[id.0];
            let one = std::slice::from_ref(&loaded.dispatches[at]);
            submit(&self.device, step.kernel.name, &loaded.uniforms, 1, one);
            self.counts.submissions += 1;
            self.counts.dispatches += 1;
            twin::call_whole(step.kernel.cpu, &step, scalars, &mut expected);
            for (binding, (access, view)) in step.accesses().enumerate() {
                if access == Access::Read || memory::is_unused(&self.plans[id.0].plan.buffers[view.buffer].role) {
                    continue;
                }
                let found = self.read_view(id, &step, binding)?;
                if let Some(difference) = compare::difference(&expected[binding], &found) {
                    let (kernel, what, name) = (step.kernel.name, &step.what, step.kernel.bindings[binding].name);
                    return Ok(Some(format!("step {at} ({kernel}, {what}) differs at binding {name}: {difference}")));
                }
            }
        }
        Ok(None)
    }

    /// What a binding of a step holds; zeros where the kernel does not use it.
    fn read_view(&mut self, id: PlanId, step: &Step, binding: usize) -> Result<Vec<u32>> {
        let view = step.views[binding];
        let loaded = &self.plans[id.0];
        if memory::is_unused(&loaded.plan.buffers[view.buffer].role) {
            return Ok(vec![0; view.words]);
        }
        let buffer = loaded.buffers[view.buffer].clone();
        self.read_back(&buffer, view.offset, view.words)
    }

    /// Computes one step outside of any plan: its bindings are bound to copies of `buffers`, one each, whatever its
    /// views say; what it writes is copied back into them.
    pub fn dispatch_once(&mut self, step: &Step, scalars: &StepScalars, buffers: &mut [Vec<u32>]) -> Result<()> {
        let mut views = Vec::new();
        for words in buffers.iter() {
            let copy = memory::storage(&self.device, 4 * words.len() as u64, &Role::Slot(0))?;
            memory::write(&self.device, &copy, 0, words)?;
            views.push((copy, 0, words.len()));
        }
        let uniforms = self.uniforms(step.kernel.name, std::iter::once(&step.params[..]))?;
        let dispatch = self.dispatch(step, &views, 0, 0)?;
        self.write_steps(&[*scalars]);
        submit(&self.device, step.kernel.name, &uniforms, 1, &[dispatch]);
        self.counts.submissions += 1;
        self.counts.dispatches += 1;
        for ((binding, words), (copy, ..)) in step.kernel.bindings.iter().zip(buffers).zip(&views) {
            if binding.access != Access::Read {
                *words = self.read_back(copy, 0, words.len())?;
            }
        }
        Ok(())
    }
}
