//! Compiled kernels, and the layouts by which they are given their buffers.

use super::device::Device;
use super::{PARAMS_BYTES, STEP_BYTES};
use crate::error::{Error, Result};
use crate::kernels::{Access, Kernel, Members};
use std::collections::BTreeMap;
use std::num::NonZeroU64;

/// A kernel with values of its constants.
#[derive(Debug, Clone)]
pub(super) struct Pipeline {
    pub compiled: wgpu::ComputePipeline,
    /// The layout of group 0.
    pub storage: wgpu::BindGroupLayout,
    /// The layout of group 2, if the kernel has one.
    pub texels: Option<wgpu::BindGroupLayout>,
}

/// All kernels that were compiled so far.
#[derive(Debug)]
pub(super) struct Pipelines {
    /// Whether shaders check their indices and bound their loops.
    checked: bool,
    compiled: BTreeMap<(&'static str, Vec<u32>, u32, Members), Pipeline>,
}

impl Pipelines {
    pub fn new(checked: bool) -> Self {
        Self { checked, compiled: BTreeMap::new() }
    }

    /// How many were compiled.
    pub fn count(&self) -> usize {
        self.compiled.len()
    }

    /// The kernel, compiled if it was not before. `shared` is that of [`Kernel::source_sharing`].
    ///
    /// # Errors
    /// [`Error::Bug`] where the driver refuses the kernel.
    pub fn get(
        &mut self,
        device: &Device,
        kernel: &'static Kernel,
        consts: &[u32],
        shared: u32,
        members: &Members,
    ) -> Result<Pipeline> {
        let key = (kernel.name, consts.to_vec(), shared, members.clone());
        if let Some(pipeline) = self.compiled.get(&key) {
            return Ok(pipeline.clone());
        }
        let compiled = device.guarded(|| self.compile(device, kernel, consts, shared, members)).map_err(|error| {
            let line = super::fault::translate(&error);
            Error::Bug(format!("kernel {} {:?} = {consts:?}: {line}", kernel.name, kernel.consts))
        })?;
        self.compiled.insert(key, compiled.clone());
        Ok(compiled)
    }

    fn compile(&self, device: &Device, kernel: &Kernel, consts: &[u32], shared: u32, members: &Members) -> Pipeline {
        let label = Some(kernel.name);
        let layout =
            |entries: &[_]| device.handle.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries });
        let bindings = || kernel.bindings.iter().zip(0..);
        let storage = bindings().filter(|(binding, _)| binding.is_storage()).map(|(binding, number)| {
            let read_only = binding.access == Access::Read && shared >> number & 1 == 0;
            entry(number, wgpu::BufferBindingType::Storage { read_only }, false, None)
        });
        let storage = layout(&storage.collect::<Vec<_>>());
        let texels = bindings().filter(|(binding, _)| binding.texels).map(|(_, number)| wgpu::BindGroupLayoutEntry {
            ty: super::texels::binding_type(),
            ..entry(number, wgpu::BufferBindingType::Uniform, false, None)
        });
        let texels: Vec<_> = texels.collect();
        let texels = (!texels.is_empty()).then(|| layout(&texels));
        let uniforms = uniforms(device, members.count as usize);
        let mut groups = vec![Some(&storage), Some(&uniforms)];
        groups.extend(texels.as_ref().map(Some));
        let layout = device.handle.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label,
            bind_group_layouts: &groups,
            immediate_size: 0,
        });
        let pipeline = device.handle.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label,
            layout: Some(&layout),
            module: &self.module(device, kernel, consts, shared, members),
            entry_point: Some("main"),
            // No kernel reads workgroup memory before it has written it.
            compilation_options: wgpu::PipelineCompilationOptions {
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache: None,
        });
        Pipeline { compiled: pipeline, storage, texels }
    }

    fn module(
        &self,
        device: &Device,
        kernel: &Kernel,
        consts: &[u32],
        shared: u32,
        members: &Members,
    ) -> wgpu::ShaderModule {
        let source = wgpu::ShaderSource::Wgsl(kernel.source_sharing(consts, members, shared).into());
        let descriptor = wgpu::ShaderModuleDescriptor { label: Some(kernel.name), source };
        if self.checked {
            return device.handle.create_shader_module(descriptor);
        }
        #[expect(unsafe_code, reason = "the checks cost up to a third of the speed, and the shaders are our own")]
        // SAFETY: what the checks would catch cannot happen.
        // - Storage: a shader guards every index with the extents in `params`. The lowering makes params and views of
        //   the same shapes, and `plan::verify` keeps views inside their buffers; the tests run every kernel between
        //   words that must stay as they are, and with the checks on.
        // - Data: the order names examples that exist, and rows that do not count repeat the last one that does.
        // - Workgroup memory: its indices are made of the index of the thread and of constants.
        // - Loops end: each counts up to an extent or down to zero.
        // - Division and shifts: divisors are extents, which are not zero; shifts are by less than 32 bits.
        // What checked and unchecked modules compute is the same bit for bit (`tests/it/kernels.rs`).
        unsafe {
            device.handle.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked())
        }
    }
}

/// The layout of group 1, the same for all kernels: `params`, and `steps` of all members. Layouts that are equal are
/// one to the device.
pub(super) fn uniforms(device: &Device, members: usize) -> wgpu::BindGroupLayout {
    let uniform = |binding, bytes| entry(binding, wgpu::BufferBindingType::Uniform, true, NonZeroU64::new(bytes));
    device.handle.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: Some("params and steps"),
        entries: &[uniform(0, PARAMS_BYTES), uniform(1, STEP_BYTES * members as u64)],
    })
}

fn entry(
    binding: u32,
    ty: wgpu::BufferBindingType,
    has_dynamic_offset: bool,
    min_binding_size: Option<NonZeroU64>,
) -> wgpu::BindGroupLayoutEntry {
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset, min_binding_size },
        count: None,
    }
}
