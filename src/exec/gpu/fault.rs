//! What a device raises, as errors of this crate.

use crate::error::{Error, Result};
use std::sync::{Arc, Mutex, PoisonError};

/// The first error that was raised where nobody waited for one.
#[derive(Debug, Clone, Default)]
pub(super) struct Fault(Arc<Mutex<Option<Error>>>);

impl Fault {
    /// Keeps the error, unless there is one already: the first is the cause, the others follow from it.
    pub fn record(&self, error: Error) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    /// The error, if there is one.
    ///
    /// # Errors
    /// [`Error::Device`] with the first fault that the driver told of.
    pub fn check(&self) -> Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone().map_or(Ok(()), Err)
    }
}

/// An error of wgpu in one line. What wgpu rejects as invalid is a mistake of this program.
pub(super) fn translate(error: &wgpu::Error) -> Error {
    let lines = error.to_string();
    let line = lines.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    match error {
        wgpu::Error::OutOfMemory { .. } => {
            Error::Device("the device is out of memory: lower --batch, or make the model smaller".to_owned())
        }
        wgpu::Error::Validation { .. } => Error::Bug(line),
        wgpu::Error::Internal { .. } => Error::Device(format!("the driver failed: {line}; use --adapter cpu")),
    }
}

/// The device is gone.
pub(super) fn lost(title: &str, reason: &str) -> Error {
    let reason = if reason.is_empty() { String::new() } else { format!(" ({})", reason.trim()) };
    Error::Device(format!(
        "{title} was lost{reason}: its driver was reset, ran out of memory or was removed; continue with --resume, with \
         a smaller --batch or with --adapter cpu"
    ))
}
