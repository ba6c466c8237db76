//! IN WHICH ORDER, in which buffers: a plan is plain data, comparable and printable, made without a device.
//!
//! [`lower`] turns a graph into steps, `levels` joins steps that one dispatch can compute, `memory` lets tensors that
//! are not needed at the same time share their place, [`verify`] rejects what no executor may run, [`tuning`] chooses how
//! products are tiled, [`print`] is what `elbo plan` shows.

pub mod cost;
mod fuse_dispatches;
pub mod lower;
mod memory;
pub mod print;
pub mod tuning;
mod update;
pub mod verify;

pub use lower::{Resident, Target, check_rounds, lower, unshared};
pub use update::{GRADIENT_NORM, Row, Stage, UpdateStep, reports_norm};

use crate::kernels::{Access, Asked, Kernel};

/// What a buffer is for. Buffers with a role other than `Slot` outlive a run and are shared by the plans of an executor.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// The data set, as stored.
    Data,
    /// Examples of the data set, as stored, where not all of them are on the device: each in the place of its position
    /// in the order, modulo the number of places.
    Window,
    /// The class of each example of the data set, for conditional models.
    Labels,
    /// The order in which examples are taken: indices into the data set.
    Order,
    /// All trainable tensors.
    Parameters,
    /// The gradient of all trainable tensors, laid out as they are.
    Gradients,
    /// The sum of the gradients of a batch that is computed in several runs, likewise.
    Total,
    /// The moving average of all trainable tensors, likewise.
    Average,
    /// The update rule's first moment (or momentum), laid out as the parameters.
    Moment1,
    /// The update rule's second moment, likewise.
    Moment2,
    /// One row of terms of the loss per step.
    Metrics,
    /// A tensor that the host writes.
    Input(String),
    /// A tensor that the host reads.
    Output(String),
    /// Words that never change, known when the plan is made; an executor fills them in when it loads the plan.
    Constants(Vec<u32>),
    /// Bound where a kernel, as it is configured, does not read a binding.
    Unbound,
    /// Bound where a kernel, as it is configured, does not write a binding.
    Discard,
    /// One intermediate tensor of one plan.
    Slot(usize),
    /// All intermediate tensors of one plan, on devices.
    Workspace,
}

impl Role {
    /// Whether all members of a plan bind the same buffer: the data set with its labels, constants, and what no kernel reads
    /// or writes.
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Data | Self::Labels | Self::Constants(_) | Self::Unbound | Self::Discard)
    }
}

/// One buffer of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buffer {
    /// What it is for.
    pub role: Role,
    /// Its size in 32-bit words.
    pub words: usize,
}

/// A part of a buffer that a step binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// Index into the plan's buffers.
    pub buffer: usize,
    /// First word; a multiple of [`ALIGNMENT`].
    pub offset: usize,
    /// Length in words.
    pub words: usize,
    /// Whether the step's outer axis divides it, so that a range of the axis concerns a range of the view.
    pub split: bool,
}

/// Offsets of bindings are multiples of this many words (256 bytes, the default limit of WebGPU).
pub const ALIGNMENT: usize = 64;

/// One dispatch.
#[derive(Debug, Clone)]
pub struct Step {
    /// How it is computed.
    pub kernel: &'static Kernel,
    /// Values of the kernel's compile-time constants.
    pub consts: Vec<u32>,
    /// The words of the kernel's params struct, then those of the entries of its table.
    pub params: Vec<u32>,
    /// What its bindings are bound to, in the kernel's order.
    pub views: Vec<View>,
    /// Extent of the kernel's outer axis.
    pub outer: usize,
    /// Ranges of the outer axis begin at multiples of this.
    pub unit: usize,
    /// Workgroups.
    pub grid: [u32; 3],
    /// What it computes, in the words of the graph.
    pub what: String,
}

impl Step {
    /// What the kernel's own functions are told of the step.
    pub fn asked(&self) -> Asked<'_> {
        Asked { params: &self.params, consts: &self.consts, columns: &[] }
    }

    /// Views with the access that the kernel has to them.
    pub fn accesses(&self) -> impl Iterator<Item = (Access, View)> + '_ {
        self.kernel.bindings.iter().zip(&self.views).map(|(binding, view)| (binding.access, *view))
    }

    /// The read bindings whose buffers it writes elsewhere, as bits: see [`Kernel::source_sharing`].
    pub fn shared(&self) -> u32 {
        let written = |buffer| self.accesses().any(|(access, view)| access != Access::Read && view.buffer == buffer);
        let reads = self.accesses().enumerate().filter(|(_, (access, _))| *access == Access::Read);
        reads.filter(|(_, (_, view))| written(view.buffer)).fold(0, |bits, (at, _)| bits | 1 << at)
    }
}

impl PartialEq for Step {
    fn eq(&self, other: &Self) -> bool {
        self.kernel.name == other.kernel.name
            && self.consts == other.consts
            && self.params == other.params
            && self.views == other.views
            && (self.outer, self.unit, self.grid) == (other.outer, other.unit, other.grid)
    }
}

/// Where a trainable tensor lies in the parameter buffer (and its gradient and moments in theirs).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterSlot {
    /// The parameter's name.
    pub name: String,
    /// Its extents.
    pub shape: Vec<usize>,
    /// First word.
    pub offset: usize,
}

impl ParameterSlot {
    /// Number of elements.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Steps in order, and the buffers they work in.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What the plan is for: `train`, `eval`.
    pub name: String,
    /// B, examples per run.
    pub batch: usize,
    /// How many models a run of the plan computes side by side. Steps, views and buffers are those of one of them; an
    /// executor keeps a copy of every buffer that is not shared ([`Role::is_shared`]) for each.
    pub members: usize,
    /// All buffers that the steps bind.
    pub buffers: Vec<Buffer>,
    /// Dispatches in order.
    pub steps: Vec<Step>,
    /// The layout of the parameter buffer.
    pub parameters: Vec<ParameterSlot>,
    /// Names of the columns of the metrics buffer: the terms of the loss, and [`GRADIENT_NORM`] where it is reported.
    pub terms: Vec<String>,
}

impl Plan {
    /// Words of the buffer with a role, 0 where the plan has none.
    pub fn words(&self, role: &Role) -> usize {
        self.buffers.iter().find(|buffer| buffer.role == *role).map_or(0, |buffer| buffer.words)
    }

    /// What all buffers take, those of every member.
    pub fn bytes(&self) -> u64 {
        self.buffers.iter().map(|buffer| self.bytes_of(buffer)).sum()
    }

    /// What one of its buffers takes, those of every member.
    pub fn bytes_of(&self, buffer: &Buffer) -> u64 {
        let copies = if buffer.role.is_shared() { 1 } else { self.members as u64 };
        4 * buffer.words as u64 * copies
    }

    /// What the buffers of intermediate tensors take, which no other plan shares.
    pub fn own_bytes(&self) -> u64 {
        let own = self.buffers.iter().filter(|buffer| matches!(buffer.role, Role::Slot(_) | Role::Workspace));
        own.map(|buffer| self.bytes_of(buffer)).sum()
    }

    /// Number of trainable values, without the gaps between tensors.
    pub fn parameter_count(&self) -> usize {
        self.parameters.iter().map(ParameterSlot::count).sum()
    }
}

/// Lays tensors out one after the other at aligned offsets; also gives the total in words.
pub fn layout(parameters: &[crate::graph::Parameter]) -> (Vec<ParameterSlot>, usize) {
    let mut offset = 0;
    let ranges = parameters.iter().map(|parameter| {
        let range = ParameterSlot { name: parameter.name.clone(), shape: parameter.shape.extents().to_vec(), offset };
        offset = (offset + range.count()).next_multiple_of(ALIGNMENT);
        range
    });
    (ranges.collect(), offset)
}
