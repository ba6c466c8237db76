//! An adapter that wgpu reaches. This file and those below it are the only ones that name wgpu.
//!
//! Loading a plan makes its buffers, compiles its kernels and writes the params of all its steps into one uniform
//! buffer. Running it records every dispatch of many runs into one compute pass: a dispatch is a pipeline, the bind
//! group of its step, and two offsets, into the params and into the table of what changes from run to run.

mod check;
mod device;
mod fault;
mod memory;
mod pipeline;
mod profile;
mod texels;
mod turns;

pub use device::{Adapter, adapters};

use super::submission::{MAX_STEPS, SubmissionSize};
use super::{Counts, PlanId};
use crate::error::{Error, Result};
use crate::exec::adapter::AdapterKind;
use crate::kernels::{Access, Kernel, Members, StepScalars};
use crate::plan::{Plan, Role, Step, Target};
use device::Device;
use memory::{Held, Memory};
use pipeline::Pipelines;
use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::ops::Range;
use std::time::Instant;
use texels::Textures;
use turns::{Turn, submit};

/// Submissions that the device may be behind.
const SUBMISSIONS_IN_FLIGHT: usize = 2;
/// Bytes that are bound as `params`, and distance of the params of two steps: room for a table, and a multiple of the
/// alignment that every device allows.
const PARAMS_BYTES: u64 = 512;
/// Bytes that are bound as `steps` for each member.
const STEP_BYTES: u64 = size_of::<StepScalars>() as u64;
/// What every device can bind as a uniform.
const MAX_UNIFORM_BYTES: u64 = 1 << 16;
/// The alignment of rows of the table of steps that every device allows.
const STEP_ALIGNMENT: u64 = 256;

const _: () = assert!(crate::config::MAX_MEMBERS as u64 * STEP_BYTES <= MAX_UNIFORM_BYTES);

/// A device with its buffers and plans.
#[derive(Debug)]
pub struct Gpu {
    device: Device,
    memory: Memory,
    pipelines: Pipelines,
    /// The bytes of a table of steps, before they are written.
    rows: Vec<u8>,
    plans: Vec<Loaded>,
    /// Textures that were made.
    textures: u64,
    /// Submissions that may not have finished, the oldest first, with the plan that they run.
    in_flight: VecDeque<(wgpu::SubmissionIndex, Option<PlanId>)>,
    counts: Counts,
}

/// A plan, ready to run.
#[derive(Debug)]
struct Loaded {
    plan: Plan,
    buffers: Vec<Held>,
    dispatches: Vec<Dispatch>,
    uniforms: Uniforms,
    submission: SubmissionSize,
}

impl Loaded {
    /// The runs of these rows of its table of steps.
    fn turn(&self, rows: Range<usize>) -> Turn<'_> {
        Turn { uniforms: &self.uniforms, rows, dispatches: &self.dispatches }
    }
}

/// Group 1: the params of a plan's steps, and what changes from run to run.
#[derive(Debug, Clone)]
struct Uniforms {
    group: wgpu::BindGroup,
    /// One row for each run of a submission, with [`StepScalars`] for each member. One table is enough: a submission
    /// sees what was written before it, and the device keeps the order.
    table: wgpu::Buffer,
    members: usize,
}

impl Uniforms {
    /// Distance of two rows of the table.
    fn stride(&self) -> u64 {
        stride(self.members)
    }
}

fn stride(members: usize) -> u64 {
    (members as u64 * STEP_BYTES).next_multiple_of(STEP_ALIGNMENT)
}

/// What a binding of a step is bound to.
#[derive(Debug, Clone, PartialEq)]
struct Binding {
    buffer: wgpu::Buffer,
    /// The first word of the first member's copy, and how many a copy has.
    offset: usize,
    words: usize,
    /// Words between the copies of two members, 0 where they share one.
    stride: usize,
}

/// A step, ready to run.
#[derive(Debug, Clone)]
struct Dispatch {
    pipeline: wgpu::ComputePipeline,
    /// Group 0: the step's views.
    storage: wgpu::BindGroup,
    /// Group 2: the views that are read as textures, if there are any.
    texels: Option<wgpu::BindGroup>,
    /// What has to be copied into these textures first.
    copies: Vec<texels::Copy>,
    params_offset: u32,
    grid: [u32; 3],
}

impl Gpu {
    /// Opens an adapter. `checked` shaders check their indices and bound their loops: slower, and what tests use.
    ///
    /// # Errors
    /// [`Error::Device`] where the adapter cannot be opened or has no memory left.
    pub fn open(adapter: &Adapter, checked: bool) -> Result<Self> {
        let device = Device::open(adapter)?;
        let memory = Memory::new(&device)?;
        let pipelines = Pipelines::new(checked);
        let (rows, plans, in_flight) = (vec![], vec![], VecDeque::new());
        Ok(Self { device, memory, pipelines, rows, plans, textures: 0, in_flight, counts: Counts::default() })
    }

    /// The device's name, how it is reached, and what it is.
    pub fn name(&self) -> String {
        self.device.summary.title()
    }

    /// See [`super::Executor::identity`].
    pub fn identity(&self) -> String {
        let summary = &self.device.summary;
        format!("{} [{}] {}", summary.name, summary.backend, summary.driver)
    }

    /// What plans should be made for.
    pub fn target(&self) -> Target {
        match self.device.summary.kind {
            AdapterKind::Software if self.device.eight_lanes => Target::Simd8,
            AdapterKind::Software => Target::Software,
            _ => Target::Gpu,
        }
    }

    /// See [`super::Executor::can_run`].
    pub fn can_run(&self, kernel: &Kernel) -> bool {
        self.device.eight_lanes || !kernel.needs_subgroups()
    }

    /// See [`super::Executor::most_words`].
    pub fn most_words(&self) -> usize {
        let limits = &self.device.limits;
        (limits.max_buffer_size.min(limits.max_storage_buffer_binding_size) / 4) as usize
    }

    /// See [`super::Executor::counts`].
    pub fn counts(&self) -> Counts {
        // The params and the table of steps of each plan.
        let uniform = 2 * self.plans.len() as u64;
        let allocations = self.memory.made() + uniform + self.textures;
        Counts { allocations, pipelines: self.pipelines.count() as u64, ..self.counts }
    }

    /// See [`super::Executor::plan`].
    pub fn plan(&self, id: PlanId) -> &Plan {
        &self.plans[id.0].plan
    }

    /// See [`super::Executor::load`].
    ///
    /// # Errors
    /// Those of [`super::Executor::load`].
    pub fn load(&mut self, plan: Plan) -> Result<PlanId> {
        if let Some(earlier) = self.plans.first().filter(|earlier| earlier.plan.members != plan.members) {
            let (has, members) = (earlier.plan.members, plan.members);
            return Err(Error::Bug(format!("plan {} has {members} members, earlier ones have {has}", plan.name)));
        }
        let get = |buffer| self.memory.get(&self.device, buffer, plan.members);
        let buffers = plan.buffers.iter().map(get).collect::<Result<Vec<_>>>()?;
        let params = plan.steps.iter().map(|step| &step.params[..]);
        let uniforms = self.uniforms(&plan.name, params, plan.members)?;
        let mut dispatches = Vec::with_capacity(plan.steps.len());
        let mut textures = Textures::new(plan.members);
        for (at, step) in plan.steps.iter().enumerate() {
            let bindings = step.views.iter().enumerate().map(|(binding, view)| {
                if memory::is_unused(&plan.buffers[view.buffer].role) {
                    Binding { buffer: self.memory.unused(binding).clone(), offset: 0, words: 4, stride: 0 }
                } else {
                    let Held { buffer, stride, .. } = buffers[view.buffer].clone();
                    Binding { buffer, offset: view.offset, words: view.words, stride }
                }
            });
            let bindings: Vec<_> = bindings.collect();
            dispatches.push(self.dispatch(step, &bindings, at, step.shared(), &mut textures)?);
        }
        self.device.healthy()?;
        self.textures += textures.count() as u64;
        let submission = SubmissionSize::guess(&plan, self.target());
        self.plans.push(Loaded { plan, buffers, dispatches, uniforms, submission });
        Ok(PlanId(self.plans.len() - 1))
    }

    /// See [`super::Executor::portion`].
    pub fn portion(&self, id: PlanId) -> usize {
        self.plans[id.0].submission.steps()
    }

    /// See [`super::Executor::fix_portion`].
    pub fn fix_portion(&mut self, id: PlanId, runs: usize) {
        self.plans[id.0].submission = SubmissionSize::fixed(runs);
    }

    /// See [`super::Executor::run`].
    ///
    /// # Errors
    /// Those of [`super::Executor::run`].
    pub fn run(&mut self, id: PlanId, steps: &[StepScalars]) -> Result<()> {
        let members = self.plans[id.0].plan.members;
        let mut rest = steps;
        while !rest.is_empty() {
            let portion;
            (portion, rest) = rest.split_at((self.portion(id) * members).min(rest.len()));
            self.run_portion(id, portion)?;
        }
        self.device.healthy()
    }

    /// Submits some runs; waits for them if it is not known yet how long they take.
    fn run_portion(&mut self, id: PlanId, steps: &[StepScalars]) -> Result<()> {
        let known = self.plans[id.0].submission.settled();
        self.make_room(if known { SUBMISSIONS_IN_FLIGHT - 1 } else { 0 })?;
        let begun = Instant::now();
        self.write_steps(&self.plans[id.0].uniforms.clone(), steps);
        let loaded = &self.plans[id.0];
        let runs = steps.len() / loaded.plan.members;
        let submission = submit(&self.device, &loaded.plan.name, &[loaded.turn(0..runs)]);
        self.submitted(submission, Some(id), runs * loaded.dispatches.len());
        if !known {
            self.finish()?;
            self.plans[id.0].submission.took(runs, begun.elapsed());
        }
        Ok(())
    }

    /// See [`super::Executor::finish`].
    ///
    /// # Errors
    /// Those of [`super::Executor::finish`].
    pub fn finish(&mut self) -> Result<()> {
        self.make_room(0)
    }

    /// See [`super::Executor::write_to`].
    ///
    /// # Errors
    /// Those of [`super::Executor::write_to`].
    pub fn write(&mut self, member: usize, role: &Role, offset: usize, words: &[u32]) -> Result<()> {
        let held = self.memory.find(role, offset + words.len())?;
        memory::write(&self.device, &held.buffer, member * held.stride + offset, words)
    }

    /// See [`super::Executor::read_from`].
    ///
    /// # Errors
    /// Those of [`super::Executor::read_from`].
    pub fn read(&mut self, member: usize, role: &Role, offset: usize, words: usize) -> Result<Vec<u32>> {
        let held = self.memory.find(role, offset + words)?;
        self.read_back(&held.buffer, member * held.stride + offset, words)
    }

    fn read_back(&mut self, buffer: &wgpu::Buffer, offset: usize, words: usize) -> Result<Vec<u32>> {
        let found = self.memory.read(&self.device, buffer, offset, words)?;
        self.in_flight.clear();
        self.counts.bytes_read += 4 * words as u64;
        Ok(found)
    }
}

impl Gpu {
    /// Waits until no more than `most` submissions are in flight.
    fn make_room(&mut self, most: usize) -> Result<()> {
        while self.in_flight.len() > most {
            let Some((oldest, plan)) = self.in_flight.pop_front() else { break };
            let begun = Instant::now();
            self.device.wait(oldest)?;
            if let Some(id) = plan {
                self.plans[id.0].submission.took_at_least(begun.elapsed());
            }
        }
        Ok(())
    }

    /// Takes note of a submission.
    fn submitted(&mut self, submission: wgpu::SubmissionIndex, plan: Option<PlanId>, dispatches: usize) {
        self.in_flight.push_back((submission, plan));
        self.counts.submissions += 1;
        self.counts.dispatches += dispatches as u64;
    }

    /// A step of a plan (its `at`-th) with these bindings. `shared` is that of [`Pipelines::get`], `textures` are those of
    /// the steps before it, which know how many members there are.
    fn dispatch(
        &mut self,
        step: &Step,
        bindings: &[Binding],
        at: usize,
        shared: u32,
        textures: &mut Textures,
    ) -> Result<Dispatch> {
        let most = self.device.limits.max_compute_workgroups_per_dimension;
        if step.grid.iter().any(|&extent| extent > most) {
            let (title, kernel, grid) = (self.name(), step.kernel.name, step.grid);
            return Err(Error::Device(format!(
                "{title} takes {most} workgroups in a row, and {kernel} needs {grid:?}: lower --batch"
            )));
        }
        let members = textures.members();
        let strides = bindings.iter().map(|bound| bound.stride as u32).collect();
        let all = Members { count: members as u32, strides };
        let pipeline = self.pipelines.get(&self.device, step.kernel, &step.consts, shared, &all)?;
        let bound = || step.kernel.bindings.iter().zip(bindings).zip(0..);
        let entries = bound().filter(|((binding, _), _)| binding.is_storage());
        let entries = entries.map(|((_, bound), binding)| wgpu::BindGroupEntry {
            binding,
            resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer: &bound.buffer,
                offset: 4 * bound.offset as u64,
                size: NonZeroU64::new(4 * (bound.words + (members - 1) * bound.stride) as u64),
            }),
        });
        let storage = self.bind_group(step.kernel, &pipeline.storage, &entries.collect::<Vec<_>>())?;
        let (mut texels, mut copies) = (vec![], vec![]);
        for ((_, bound), at) in bound().filter(|((binding, _), _)| binding.texels) {
            let (view, copy) = textures.get(&self.device, bound)?;
            texels.push((at, view));
            copies.extend(copy);
        }
        for ((binding, bound), _) in bound() {
            if binding.access != Access::Read {
                textures.overwritten(bound);
            }
        }
        let entries = texels.iter().map(|(binding, view)| wgpu::BindGroupEntry {
            binding: *binding,
            resource: wgpu::BindingResource::TextureView(view),
        });
        let entries: Vec<_> = entries.collect();
        let texels = pipeline.texels.map(|layout| self.bind_group(step.kernel, &layout, &entries)).transpose()?;
        let ([x, y, _], params_offset) = (step.grid, (at as u64 * PARAMS_BYTES) as u32);
        let grid = [x, y, members as u32];
        Ok(Dispatch { pipeline: pipeline.compiled, storage, texels, copies, params_offset, grid })
    }

    fn bind_group(
        &self,
        kernel: &Kernel,
        layout: &wgpu::BindGroupLayout,
        entries: &[wgpu::BindGroupEntry],
    ) -> Result<wgpu::BindGroup> {
        let descriptor = wgpu::BindGroupDescriptor { label: Some(kernel.name), layout, entries };
        let made = self.device.guarded(|| self.device.handle.create_bind_group(&descriptor));
        made.map_err(|error| fault::translate(&error))
    }

    /// Group 1 for steps with these params, for `members` members.
    fn uniforms<'a>(&self, label: &str, params: impl Iterator<Item = &'a [u32]>, members: usize) -> Result<Uniforms> {
        let mut bytes = Vec::new();
        for params in params {
            let start = bytes.len();
            bytes.extend_from_slice(bytemuck::cast_slice(params));
            bytes.resize(start + PARAMS_BYTES as usize, 0);
        }
        let buffer = uniform_buffer(&self.device, "params", bytes.len().max(PARAMS_BYTES as usize) as u64)?;
        self.device.queue.write_buffer(&buffer, 0, &bytes);
        let table = uniform_buffer(&self.device, "steps", stride(members) * MAX_STEPS as u64)?;
        let binding = |buffer, size| {
            wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset: 0, size: NonZeroU64::new(size) })
        };
        let group = self.device.handle.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(label),
            layout: &pipeline::uniforms(&self.device, members),
            entries: &[
                wgpu::BindGroupEntry { binding: 0, resource: binding(&buffer, PARAMS_BYTES) },
                wgpu::BindGroupEntry { binding: 1, resource: binding(&table, members as u64 * STEP_BYTES) },
            ],
        });
        Ok(Uniforms { group, table, members })
    }

    /// Fills the table of steps for the next submission.
    fn write_steps(&mut self, uniforms: &Uniforms, steps: &[StepScalars]) {
        self.rows.clear();
        for (run, members) in steps.chunks(uniforms.members).enumerate() {
            self.rows.extend_from_slice(bytemuck::cast_slice(members));
            self.rows.resize((run + 1) * uniforms.stride() as usize, 0);
        }
        self.device.queue.write_buffer(&uniforms.table, 0, &self.rows);
    }
}

/// Records a dispatch for a row of the table of steps.
fn dispatch_in(pass: &mut wgpu::ComputePass, uniforms: &Uniforms, dispatch: &Dispatch, run: u64) {
    pass.set_pipeline(&dispatch.pipeline);
    pass.set_bind_group(0, &dispatch.storage, &[]);
    pass.set_bind_group(1, &uniforms.group, &[dispatch.params_offset, (run * uniforms.stride()) as u32]);
    if let Some(texels) = &dispatch.texels {
        pass.set_bind_group(2, texels, &[]);
    }
    let [x, y, z] = dispatch.grid;
    pass.dispatch_workgroups(x, y, z);
}

/// A buffer that is bound as a uniform.
fn uniform_buffer(device: &Device, label: &str, bytes: u64) -> Result<wgpu::Buffer> {
    let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
    let descriptor = wgpu::BufferDescriptor { label: Some(label), size: bytes, usage, mapped_at_creation: false };
    memory::make(device, &descriptor).map_err(|error| fault::translate(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Buffer;
    use bytemuck::Zeroable;

    #[test]
    fn a_lost_device_is_an_error_that_says_what_to_do() {
        // The integration tests say where no adapter was found.
        for adapter in adapters() {
            let mut gpu = Gpu::open(&adapter, true).expect("the adapter opens");
            let buffers = vec![Buffer { role: Role::Data, words: 64 }];
            let none = Plan {
                buffers,
                name: String::new(),
                batch: 1,
                members: 1,
                steps: vec![],
                parameters: vec![],
                terms: vec![],
            };
            let id = gpu.load(none.clone()).expect("64 words fit");
            gpu.device.handle.destroy();
            let outcomes = [
                gpu.run(id, &vec![StepScalars::zeroed(); 300]),
                gpu.read(0, &Role::Data, 0, 64).map(drop),
                gpu.write(0, &Role::Data, 0, &[0; 64]),
                gpu.load(none).map(drop),
            ];
            for outcome in outcomes {
                assert!(matches!(&outcome, Err(Error::Device(text)) if text.contains("--resume")), "{outcome:?}");
            }
        }
    }
}
