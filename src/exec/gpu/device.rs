//! The adapters that wgpu finds, and a device opened on one of them.

use super::fault::Fault;
use crate::error::{Error, Result};
use crate::exec::adapter::{AdapterKind, AdapterSummary};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// A device that does not finish a submission within this time will not finish it at all.
const PATIENCE: Duration = Duration::from_secs(900);

/// An adapter of this machine.
#[derive(Debug)]
pub struct Adapter {
    adapter: wgpu::Adapter,
    /// What it is.
    pub summary: AdapterSummary,
}

/// All adapters that Vulkan, Metal or DX12 reach, in the order of their indices. Where none of these is installed the
/// list is empty.
pub fn adapters() -> Vec<Adapter> {
    let backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends,
        flags: wgpu::InstanceFlags::empty(),
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let found = pollster::block_on(instance.enumerate_adapters(backends));
    let summarised = found.into_iter().enumerate().map(|(index, adapter)| {
        let summary = summary(index, &adapter);
        Adapter { adapter, summary }
    });
    summarised.collect()
}

fn summary(index: usize, adapter: &wgpu::Adapter) -> AdapterSummary {
    let (info, limits) = (adapter.get_info(), adapter.limits());
    AdapterSummary {
        index,
        name: info.name,
        backend: match info.backend {
            wgpu::Backend::Vulkan => "Vulkan",
            wgpu::Backend::Metal => "Metal",
            wgpu::Backend::Dx12 => "DX12",
            other => other.to_str(),
        },
        kind: match info.device_type {
            wgpu::DeviceType::DiscreteGpu => AdapterKind::Discrete,
            wgpu::DeviceType::IntegratedGpu => AdapterKind::Integrated,
            wgpu::DeviceType::VirtualGpu => AdapterKind::Virtual,
            wgpu::DeviceType::Cpu => AdapterKind::Software,
            wgpu::DeviceType::Other => AdapterKind::Other,
        },
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
        max_buffer: limits.max_buffer_size,
        max_binding: limits.max_storage_buffer_binding_size,
    }
}

/// An open device with its queue.
#[derive(Debug)]
pub(super) struct Device {
    pub handle: wgpu::Device,
    pub queue: wgpu::Queue,
    pub limits: wgpu::Limits,
    pub summary: AdapterSummary,
    /// Whether shaders may count on subgroups of eight lanes.
    pub eight_lanes: bool,
    /// Whether passes can note when they begin and end.
    pub timestamps: bool,
    fault: Fault,
}

impl Device {
    /// Opens a device with the limits that WebGPU guarantees, but buffers as large as the adapter allows, and
    /// with timestamps where it has them.
    ///
    /// # Errors
    /// [`Error::Device`] where the adapter cannot be opened.
    pub fn open(adapter: &Adapter) -> Result<Self> {
        let summary = adapter.summary.clone();
        let limits = wgpu::Limits {
            max_buffer_size: summary.max_buffer,
            max_storage_buffer_binding_size: summary.max_binding,
            ..wgpu::Limits::default()
        };
        let info = adapter.adapter.get_info();
        let features = adapter.adapter.features() & (wgpu::Features::SUBGROUP | wgpu::Features::TIMESTAMP_QUERY);
        let subgroups = features.contains(wgpu::Features::SUBGROUP);
        let eight_lanes = subgroups && (info.subgroup_min_size, info.subgroup_max_size) == (8, 8);
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("elbo"),
            required_features: features,
            required_limits: limits,
            ..Default::default()
        };
        let (device, queue) = pollster::block_on(adapter.adapter.request_device(&descriptor)).map_err(|error| {
            Error::Device(format!("cannot open {}: {error}; use --adapter cpu or another driver", summary.title()))
        })?;
        let fault = Fault::default();
        let record = fault.clone();
        device.on_uncaptured_error(Arc::new(move |error| record.record(super::fault::translate(&error))));
        let (record, title) = (fault.clone(), summary.title());
        device.set_device_lost_callback(move |_, reason| record.record(super::fault::lost(&title, &reason)));
        let limits = device.limits();
        let timestamps = features.contains(wgpu::Features::TIMESTAMP_QUERY);
        Ok(Self { handle: device, queue, limits, summary, eight_lanes, timestamps, fault })
    }

    /// Runs `create` and gives the first error that the device raises meanwhile, also one of too little memory.
    pub fn guarded<T>(&self, create: impl FnOnce() -> T) -> std::result::Result<T, wgpu::Error> {
        use wgpu::ErrorFilter::{Internal, OutOfMemory, Validation};
        let scopes = [OutOfMemory, Validation, Internal].map(|filter| self.handle.push_error_scope(filter));
        let made = create();
        let errors = scopes.into_iter().rev().map(|scope| pollster::block_on(scope.pop())).collect::<Vec<_>>();
        errors.into_iter().flatten().next().map_or(Ok(made), Err)
    }

    /// The first error that the device raised outside of [`Device::guarded`].
    ///
    /// # Errors
    /// [`Error::Device`] that says what happened to it.
    pub fn healthy(&self) -> Result<()> {
        self.fault.check()
    }

    /// Waits until a submission has finished.
    ///
    /// # Errors
    /// [`Error::Device`] where the device is lost or does not answer; otherwise the first fault that it noted.
    pub fn wait(&self, submission: wgpu::SubmissionIndex) -> Result<()> {
        let wait = wgpu::PollType::Wait { submission_index: Some(submission), timeout: Some(PATIENCE) };
        // wgpu 30 panics when it learns here that the device is lost.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.handle.poll(wait)));
        let title = self.summary.title();
        match outcome {
            Ok(Ok(_)) => {}
            Ok(Err(wgpu::PollError::Timeout)) => self.fault.record(Error::Device(format!(
                "{title} has not answered for {} minutes: lower --batch, or use --adapter cpu",
                PATIENCE.as_secs() / 60
            ))),
            // A lost device takes no submissions, so there is none with this number.
            Ok(Err(wgpu::PollError::WrongSubmissionIndex(..))) | Err(_) => {
                self.fault.record(super::fault::lost(&title, ""));
            }
        }
        self.healthy()
    }
}
