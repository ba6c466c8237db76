//! Examples in files as one process tells another on its machine of them: where the files are, and which.

use std::fs::File;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Disk, Encoding, FileRows};
use crate::data::elements::Element;
use crate::data::handed::Identity;

/// All that is to be known of examples in files but their order.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    columns: usize,
    parts: Vec<ToldPart>,
    examples: usize,
    channels_last: Option<[usize; 3]>,
    encoding: Option<Encoding>,
}

/// The same of the rows of one file.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct ToldPart {
    name: String,
    /// Where it is opened.
    path: String,
    identity: Identity,
    scratch: bool,
    element: Element,
    start: u64,
    rows: usize,
}

impl FileRows {
    fn told(&self) -> Option<ToldPart> {
        let path = if self.scratch { path_of(&self.file)? } else { self.name.clone() };
        let (identity, name) = (Identity::of(&self.file)?, self.name.clone());
        let Self { scratch, element, start, rows, .. } = *self;
        Some(ToldPart { name, path, identity, scratch, element, start, rows })
    }

    fn as_told(told: ToldPart) -> Option<Self> {
        let ToldPart { name, path, identity, scratch, element, start, rows } = told;
        let file = File::open(path).ok().filter(|file| Identity::of(file).as_ref() == Some(&identity))?;
        Some(Self { name, file: super::read_in_pieces(file), scratch, element, start, rows })
    }
}

impl Disk {
    /// What other processes are told of it; nothing where they could not open its files.
    pub(in crate::data) fn told(&self) -> Option<Told> {
        Some(Told {
            columns: self.columns,
            parts: self.parts.iter().map(FileRows::told).collect::<Option<_>>()?,
            examples: self.len(),
            channels_last: self.channels_last,
            encoding: self.encoding.as_deref().cloned(),
        })
    }

    /// Examples of which another process tells, in an order that is yet to come; nothing where their files cannot be opened, or
    /// others are found there.
    pub(in crate::data) fn as_told(told: Told) -> Option<Self> {
        Some(Self {
            columns: told.columns,
            parts: told.parts.into_iter().map(FileRows::as_told).collect::<Option<_>>()?,
            order: vec![0; told.examples].into(),
            channels_last: told.channels_last,
            encoding: told.encoding.map(Arc::new),
        })
    }

    /// The row of each example.
    pub(in crate::data) fn order_mut(&mut self) -> &mut [u32] {
        Arc::make_mut(&mut self.order)
    }
}

/// By which path processes of this machine open a file that has no name, for as long as this one has it open.
#[cfg(target_os = "linux")]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere there is none")]
fn path_of(file: &File) -> Option<String> {
    use std::os::fd::AsRawFd;
    Some(format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()))
}

#[cfg(not(target_os = "linux"))]
fn path_of(_: &File) -> Option<String> {
    None
}
