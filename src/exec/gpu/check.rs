//! Single dispatches, whose results are compared with those of the kernels' twins.

use super::texels::Textures;
use super::{Binding, Dispatch, Gpu, Turn, Uniforms, memory, submit};
use crate::error::Result;
use crate::exec::{PlanId, compare, twin};
use crate::kernels::{Access, StepScalars};
use crate::plan::{ALIGNMENT, Role, Step};

/// A step that belongs to no plan, ready to run.
pub(super) struct Bound {
    pub uniforms: Uniforms,
    pub dispatch: Dispatch,
    /// What its bindings are bound to.
    bindings: Vec<Binding>,
}

impl Gpu {
    /// See [`crate::exec::Executor::check`]. The inputs of each step are read back just before it, so that an error
    /// does not carry over to the steps after it.
    ///
    /// # Errors
    /// [`Error::Device`] where the device is lost or does not answer.
    pub fn check(&mut self, id: PlanId, scalars: &[StepScalars]) -> Result<Option<String>> {
        self.write_steps(&self.plans[id.0].uniforms.clone(), scalars);
        for at in 0..self.plans[id.0].plan.steps.len() {
            let step = self.plans[id.0].plan.steps[at].clone();
            let mut expected = Vec::new();
            for member in 0..scalars.len() {
                let views = 0..step.views.len();
                expected
                    .push(views.map(|binding| self.read_view(id, &step, binding, member)).collect::<Result<Vec<_>>>()?);
            }
            let loaded = &self.plans[id.0];
            let one = std::slice::from_ref(&loaded.dispatches[at]);
            let submission = submit(&self.device, step.kernel.name, &[Turn::once(&loaded.uniforms, one)]);
            self.submitted(submission, None, 1);
            for (member, (expected, scalars)) in expected.iter_mut().zip(scalars).enumerate() {
                twin::call_whole(step.kernel.cpu, &step, scalars, expected);
                if let Some((binding, difference)) = self.difference(id, &step, member, expected)? {
                    let (kernel, what) = (step.kernel.name, &step.what);
                    return Ok(Some(format!(
                        "step {at} ({kernel}, {what}) differs at binding {binding}: {difference}"
                    )));
                }
            }
        }
        Ok(None)
    }

    /// The first binding in which what a step wrote for a member is not what is expected, and how it differs.
    fn difference(
        &mut self,
        id: PlanId,
        step: &Step,
        member: usize,
        expected: &[Vec<u32>],
    ) -> Result<Option<(&'static str, String)>> {
        let tolerance = compare::of_step(step, expected);
        for (binding, (access, view)) in step.accesses().enumerate() {
            if access == Access::Read || memory::is_unused(&self.plans[id.0].plan.buffers[view.buffer].role) {
                continue;
            }
            let found = self.read_view(id, step, binding, member)?;
            if let Some(difference) = compare::difference(&expected[binding], &found, tolerance) {
                return Ok(Some((step.kernel.bindings[binding].name, difference)));
            }
        }
        Ok(None)
    }

    /// What a binding of a step holds for a member; zeros where the kernel does not use it.
    fn read_view(&mut self, id: PlanId, step: &Step, binding: usize, member: usize) -> Result<Vec<u32>> {
        let view = step.views[binding];
        let loaded = &self.plans[id.0];
        if memory::is_unused(&loaded.plan.buffers[view.buffer].role) {
            return Ok(vec![0; view.words]);
        }
        let held = loaded.buffers[view.buffer].clone();
        self.read_back(&held.buffer, member * held.stride + view.offset, view.words)
    }

    /// Computes one step outside of any plan, for each of `members`: what it is told, and its bindings, which are bound
    /// to copies of these words, whatever the step's views say; what the step writes is copied back into them. All
    /// members have as many words.
    ///
    /// # Errors
    /// [`crate::error::Error::Device`] where the device has too little memory or fails; [`crate::error::Error::Bug`]
    /// where the driver refuses the kernel.
    pub fn dispatch_once(&mut self, step: &Step, members: &mut [(StepScalars, Vec<Vec<u32>>)]) -> Result<()> {
        let all: Vec<&[Vec<u32>]> = members.iter().map(|(_, buffers)| &buffers[..]).collect();
        let bound = self.bind(step, &all)?;
        self.run_bound(&bound, step, members)
    }

    /// A step outside of any plan, in copies of the buffers of each member.
    pub(super) fn bind(&mut self, step: &Step, members: &[&[Vec<u32>]]) -> Result<Bound> {
        let mut bindings = Vec::new();
        for binding in 0..step.views.len() {
            let words = members.first().map_or(0, |buffers| buffers[binding].len());
            let stride = if members.len() == 1 { 0 } else { words.next_multiple_of(ALIGNMENT) };
            let all = 4 * (words + (members.len() - 1) * stride) as u64;
            let buffer = memory::storage(&self.device, all, &Role::Slot(0), 1)?;
            for (member, buffers) in members.iter().enumerate() {
                memory::write(&self.device, &buffer, member * stride, &buffers[binding])?;
            }
            bindings.push(Binding { buffer, offset: 0, words, stride });
        }
        let uniforms = self.uniforms(step.kernel.name, std::iter::once(&step.params[..]), members.len())?;
        let dispatch = self.dispatch(step, &bindings, 0, 0, &mut Textures::new(members.len()))?;
        Ok(Bound { uniforms, dispatch, bindings })
    }

    /// Computes it and reads what it wrote.
    pub(super) fn run_bound(
        &mut self,
        bound: &Bound,
        step: &Step,
        members: &mut [(StepScalars, Vec<Vec<u32>>)],
    ) -> Result<()> {
        self.finish()?;
        let scalars: Vec<StepScalars> = members.iter().map(|(scalars, _)| *scalars).collect();
        self.write_steps(&bound.uniforms, &scalars);
        let one = std::slice::from_ref(&bound.dispatch);
        let submission = submit(&self.device, step.kernel.name, &[Turn::once(&bound.uniforms, one)]);
        self.submitted(submission, None, 1);
        for (member, (_, buffers)) in members.iter_mut().enumerate() {
            for ((declared, bound), words) in step.kernel.bindings.iter().zip(&bound.bindings).zip(buffers) {
                if declared.access != Access::Read {
                    *words = self.read_back(&bound.buffer, member * bound.stride, words.len())?;
                }
            }
        }
        Ok(())
    }
}
