//! Buffers of the device: made within its limits, shared among plans, written and read by the host.

use super::device::Device;
use crate::error::{Error, Result};
use crate::plan::{ALIGNMENT, Buffer, Role};
use std::collections::BTreeMap;
use std::sync::mpsc;

/// Bytes that one transfer to the device takes: the driver keeps a copy of them until it is done.
const WRITE_PIECE: usize = 64 << 20;
/// Bytes that one transfer from the device takes: the size of the staging buffer.
const READ_PIECE: usize = 8 << 20;
/// More bindings than any kernel has.
const MAX_BINDINGS: usize = 8;

/// A buffer with the copies of all members one after the other.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub buffer: wgpu::Buffer,
    /// Words of a copy.
    pub words: usize,
    /// Words between the beginnings of two copies; 0 where all members share one.
    pub stride: usize,
}

/// All buffers that plans share.
#[derive(Debug)]
pub(super) struct Memory {
    roles: BTreeMap<Role, Held>,
    /// What the bindings that a kernel does not use are bound to, one for each binding: a buffer must not be bound
    /// twice in one dispatch if one of the bindings is written.
    unused: Vec<wgpu::Buffer>,
    staging: wgpu::Buffer,
    made: u64,
}

impl Memory {
    pub fn new(device: &Device) -> Result<Self> {
        let unused = (0..MAX_BINDINGS).map(|_| storage(device, 256, &Role::Unbound, 1)).collect::<Result<_>>()?;
        let staging = make(
            device,
            &wgpu::BufferDescriptor {
                label: Some("staging"),
                size: READ_PIECE as u64,
                usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            },
        )
        .map_err(|error| super::fault::translate(&error))?;
        Ok(Self { roles: BTreeMap::new(), unused, staging, made: MAX_BINDINGS as u64 + 1 })
    }

    /// How many buffers were made.
    pub fn made(&self) -> u64 {
        self.made
    }

    /// The buffer on the device for a buffer of a plan of `members` members: the one that is there, or a new one of zeros.
    ///
    /// # Errors
    /// [`Error::Device`] where the limits or the memory of the device are too small; [`Error::Bug`] where a buffer that
    /// outlives runs is there and shorter.
    pub fn get(&mut self, device: &Device, buffer: &Buffer, members: usize) -> Result<Held> {
        let Buffer { role, words } = buffer;
        match self.roles.get(role) {
            _ if is_unused(role) => return Ok(Held { buffer: self.unused[0].clone(), words: *words, stride: 0 }),
            Some(existing) if existing.words >= *words => return Ok(existing.clone()),
            // Nothing in a workspace outlives a run, so a plan may have a larger one.
            Some(existing) if !matches!(buffer.role, Role::Slot(_) | Role::Workspace) => {
                return Err(Error::Bug(format!("{role:?} has {} words, and a plan needs {words}", existing.words)));
            }
            _ => {}
        }
        let alone = members == 1 || role.is_shared();
        let stride = if alone { 0 } else { words.next_multiple_of(ALIGNMENT) };
        let copies = if alone { 1 } else { members };
        let bytes = 4 * (words + (copies - 1) * stride) as u64;
        let held = Held { buffer: storage(device, bytes, role, copies)?, words: *words, stride };
        self.made += 1;
        if let Role::Constants(words) = role {
            write(device, &held.buffer, 0, words)?;
        }
        self.roles.insert(role.clone(), held.clone());
        Ok(held)
    }

    /// What an unused binding is bound to.
    pub fn unused(&self, binding: usize) -> &wgpu::Buffer {
        &self.unused[binding]
    }

    /// The buffer with a role, which must have at least `end` words.
    ///
    /// # Errors
    /// [`Error::Bug`] where no loaded plan has such a buffer, or it is shorter.
    pub fn find(&self, role: &Role, end: usize) -> Result<Held> {
        match self.roles.get(role) {
            Some(held) if end <= held.words => Ok(held.clone()),
            Some(held) => Err(Error::Bug(format!("{role:?} has {} words, not {end}", held.words))),
            None => Err(Error::Bug(format!("no loaded plan has a buffer {role:?}"))),
        }
    }

    /// Words of a buffer, after everything that was submitted has finished.
    ///
    /// # Errors
    /// [`Error::Device`] where the device failed or does not answer.
    pub fn read(&self, device: &Device, buffer: &wgpu::Buffer, offset: usize, words: usize) -> Result<Vec<u32>> {
        let mut found = vec![0; words];
        let mut at = 4 * offset as u64;
        for piece in found.chunks_mut(READ_PIECE / 4) {
            let bytes = 4 * piece.len() as u64;
            let mut encoder = device.handle.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            encoder.copy_buffer_to_buffer(buffer, at, &self.staging, 0, bytes);
            let submission = device.queue.submit([encoder.finish()]);
            // An invalid copy leaves the staging buffer as it was.
            device.healthy()?;
            let mapped = self.staging.slice(..bytes);
            let (done, outcome) = mpsc::channel();
            mapped.map_async(wgpu::MapMode::Read, move |result| {
                // The receiver is gone if waiting failed.
                let _ = done.send(result);
            });
            device.wait(submission)?;
            let view = match outcome.try_recv() {
                Ok(Ok(())) => {
                    mapped.get_mapped_range().map_err(|error| Error::Bug(format!("reading back: {error}")))?
                }
                _ => return Err(Error::Device(format!("{} gave no data back", device.summary.title()))),
            };
            bytemuck::cast_slice_mut(piece).copy_from_slice(&view);
            drop(view);
            self.staging.unmap();
            at += bytes;
        }
        Ok(found)
    }
}

/// Overwrites words of a buffer. A transfer in several pieces waits for each, so that memory on the host stays low.
pub(super) fn write(device: &Device, buffer: &wgpu::Buffer, offset: usize, words: &[u32]) -> Result<()> {
    let mut at = 4 * offset as u64;
    for piece in words.chunks(WRITE_PIECE / 4) {
        device.queue.write_buffer(buffer, at, bytemuck::cast_slice(piece));
        at += 4 * piece.len() as u64;
        if words.len() > piece.len() {
            device.wait(device.queue.submit([]))?;
        }
    }
    device.healthy()
}

/// A new buffer of zeros for kernels that holds `copies` copies, if the device's limits and memory allow it.
pub(super) fn storage(device: &Device, bytes: u64, role: &Role, copies: usize) -> Result<wgpu::Buffer> {
    let largest = device.limits.max_buffer_size.min(device.limits.max_storage_buffer_binding_size);
    let (what, remedy) = meaning(role);
    let remedy = if copies > 1 { crate::exec::remedy(copies) } else { remedy };
    let title = device.summary.title();
    if bytes > largest {
        return Err(Error::Device(format!(
            "{what} would take {} in one buffer and {title} allows {}: {remedy}",
            size(bytes),
            size(largest)
        )));
    }
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
    // Whole texels, so that what a buffer holds can be copied into a texture.
    let padded = bytes.next_multiple_of(16);
    let descriptor = wgpu::BufferDescriptor { label: Some(what), size: padded, usage, mapped_at_creation: false };
    make(device, &descriptor).map_err(|error| match error {
        wgpu::Error::OutOfMemory { .. } => {
            Error::Device(format!("{title} has no memory left for {what}, {} more: {remedy}", size(bytes)))
        }
        other => super::fault::translate(&other),
    })
}

/// A new buffer, or why there is none.
pub(super) fn make(
    device: &Device,
    descriptor: &wgpu::BufferDescriptor,
) -> std::result::Result<wgpu::Buffer, wgpu::Error> {
    device.guarded(|| device.handle.create_buffer(descriptor))
}

/// Whether bindings with this role are those that a kernel does not use.
pub(super) fn is_unused(role: &Role) -> bool {
    matches!(role, Role::Unbound | Role::Discard)
}

/// A buffer in the words of a message, and what makes it smaller.
fn meaning(role: &Role) -> (&'static str, &'static str) {
    match role {
        Role::Data => ("the data set", "use fewer examples, or --adapter cpu"),
        Role::Window => ("the window on the data set", "lower data.window"),
        Role::Labels => ("the labels", "use fewer examples, or --adapter cpu"),
        Role::Order => ("the order of examples", "use fewer examples, or --adapter cpu"),
        Role::Parameters => ("the parameters", "make the model smaller"),
        Role::Gradients | Role::Total => ("the gradients", "make the model smaller"),
        Role::Average => ("the average of the parameters", "make the model smaller"),
        Role::Moment1 | Role::Moment2 => ("the state of the optimiser", "make the model smaller"),
        Role::Metrics => ("the metrics", "lower --batch"),
        Role::Input(_) => ("an input", "lower --batch"),
        Role::Output(_) => ("an output", "lower --batch"),
        Role::Constants(_) => ("constants of a kernel", "use fewer columns, or --adapter cpu"),
        Role::Unbound | Role::Discard => ("an unused binding", "use --adapter cpu"),
        Role::Slot(_) | Role::Workspace => ("intermediate results", "lower --batch, or make the model smaller"),
    }
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{bytes} bytes"),
        1_048_576..1_073_741_824 => format!("{:.0} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.1} GiB", bytes as f64 / 1_073_741_824.0),
    }
}
