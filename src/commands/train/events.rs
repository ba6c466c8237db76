//! Event files, which TensorBoard shows: the numbers of `metrics.csv` and the pictures of samples, by epoch.
//!
//! A file is a row of records: the length as 64 bits, its checksum, the bytes, their checksum, all from the lowest byte on; a checksum
//! is a CRC-32C (Castagnoli, RFC 3720, appendix B.4), turned by 15 bits and added to a number. The bytes of a record are an `Event`
//! in protocol buffers, of which the fields that are written here stand in [`Event`]. Formats: `TFRecord` and `event.proto` of TensorFlow.

use crate::durable;
use crate::error::{Error, Result};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// What the first record says, by which readers know the format.
const VERSION: &str = "brain.Event:2";

/// What happens at an epoch.
enum Event<'a> {
    /// Field 3: the version.
    Version,
    /// Field 7, 1: this file begins here, and what others say of later epochs counts no more.
    Start,
    /// Field 5, 1: a name (1) and a number (2).
    Scalar(&'a str, f32),
    /// Field 5, 1: a name (1) and a picture (4): height (1), width (2), channels (3), a PNG file (4).
    Picture(&'a str, [u32; 3], &'a [u8]),
}

/// A file of events that grows.
#[derive(Debug)]
pub struct Events {
    path: PathBuf,
    file: File,
    /// The epoch with which it begins: the pictures of the one before stand in another file.
    first: usize,
}

impl Events {
    /// Begins a file in a folder, which is made where it is not there, for the epochs from `epoch` on.
    ///
    /// # Errors
    /// [`Error::Disk`] where it cannot be written.
    pub fn begin(folder: &Path, epoch: usize) -> Result<Self> {
        durable::create_folder(folder)?;
        let seconds = now() as u64;
        let free = (0..).map(|at| folder.join(format!("events.out.tfevents.{seconds:010}.elbo.{at}")));
        for path in free {
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => {
                    let mut events = Self { path, file, first: epoch };
                    events.write(0, &Event::Version)?;
                    events.write(epoch, &Event::Start)?;
                    return Ok(events);
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::Disk(format!("cannot write {}: {error}", path.display()))),
            }
        }
        Err(Error::Bug("numbers have no end".into()))
    }

    /// Adds numbers of an epoch. What is no number is left out.
    ///
    /// # Errors
    /// [`Error::Disk`] where they cannot be written.
    pub fn numbers(&mut self, epoch: usize, numbers: &[(String, f64)]) -> Result<()> {
        let finite = numbers.iter().filter(|(_, number)| number.is_finite());
        finite.into_iter().try_for_each(|(name, number)| self.write(epoch, &Event::Scalar(name, *number as f32)))
    }

    /// Adds the picture of a PNG file; a file that is none, or is not there, is left out, and so is what a file before has: a run that
    /// goes on draws once more what it had drawn last.
    ///
    /// # Errors
    /// [`Error::Disk`] where it cannot be written.
    pub fn picture(&mut self, epoch: usize, name: &str, path: &Path) -> Result<()> {
        if epoch > 0 && epoch < self.first {
            return Ok(());
        }
        let Ok(png) = std::fs::read(path) else { return Ok(()) };
        let Some(extents) = extents(&png) else { return Ok(()) };
        self.write(epoch, &Event::Picture(name, extents, &png))
    }

    /// What follows is of this epoch, though later ones were written.
    ///
    /// # Errors
    /// [`Error::Disk`] where it cannot be written.
    pub fn go_back(&mut self, epoch: usize) -> Result<()> {
        self.first = self.first.min(epoch);
        self.write(epoch, &Event::Start)
    }

    fn write(&mut self, epoch: usize, event: &Event) -> Result<()> {
        let written = self.file.write_all(&record(&message(now(), epoch as u64, event)));
        written.map_err(|error| Error::Disk(format!("cannot write {}: {error}", self.path.display())))
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// Height, width and channels of a PNG file of grey or coloured pixels.
fn extents(png: &[u8]) -> Option<[u32; 3]> {
    let word = |at: usize| Some(u32::from_be_bytes(png.get(at..at + 4)?.try_into().ok()?));
    let channels = match png.get(25)? {
        0 => 1,
        2 => 3,
        _ => return None,
    };
    png.starts_with(b"\x89PNG").then_some([word(20)?, word(16)?, channels])
}

/// An event in protocol buffers: when it was (1), its epoch (2), and what it is.
fn message(seconds: f64, epoch: u64, event: &Event) -> Vec<u8> {
    let mut all = vec![1 << 3 | 1];
    all.extend(seconds.to_le_bytes());
    varint(&mut all, 2, epoch);
    let mut value = Vec::new();
    match event {
        Event::Version => bytes(&mut all, 3, VERSION.as_bytes()),
        Event::Start => {
            varint(&mut value, 1, 1);
            bytes(&mut all, 7, &value);
        }
        Event::Scalar(name, number) => {
            bytes(&mut value, 1, name.as_bytes());
            value.push(2 << 3 | 5);
            value.extend(number.to_le_bytes());
            bytes(&mut all, 5, &field(1, &value));
        }
        Event::Picture(name, extents, png) => {
            let mut picture = Vec::new();
            for (field, &extent) in (1..).zip(extents) {
                varint(&mut picture, field, extent.into());
            }
            bytes(&mut picture, 4, png);
            bytes(&mut value, 1, name.as_bytes());
            bytes(&mut value, 4, &picture);
            bytes(&mut all, 5, &field(1, &value));
        }
    }
    all
}

/// A field of a whole number.
fn varint(to: &mut Vec<u8>, field: u8, number: u64) {
    to.push(field << 3);
    base128(to, number);
}

/// A field of bytes.
fn bytes(to: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    to.push(field << 3 | 2);
    base128(to, bytes.len() as u64);
    to.extend(bytes);
}

fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    bytes(&mut all, number, content);
    all
}

/// Seven bits to a byte, the lowest first, each but the last marked.
fn base128(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

/// Bytes between their length and their checksums.
fn record(content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u64).to_le_bytes();
    [&length[..], &checksum(&length), content, &checksum(content)].concat()
}

fn checksum(content: &[u8]) -> [u8; 4] {
    crc32c(content).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// CRC-32C, with the polynomial's bits in the order in which bits arrive.
fn crc32c(content: &[u8]) -> u32 {
    let shift = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
    !content.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), shift))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3720, appendix B.4.
    #[test]
    fn checksums_are_those_of_the_standard() {
        let up: Vec<u8> = (0..32).collect();
        for (content, expected) in
            [(&[0; 32][..], 0x8a91_36aa), (&[0xff; 32], 0x62a8_ab43), (&up, 0x46dd_794e), (b"123456789", 0xe306_9283)]
        {
            assert_eq!(crc32c(content), expected);
        }
    }

    /// The bytes are those that TensorFlow's own `Event(wall_time=1.5, step=300, summary=…)` serialises to.
    #[test]
    fn an_event_is_the_message_that_readers_expect() {
        let time = [&[9][..], &1.5_f64.to_le_bytes()].concat();
        let scalar = message(1.5, 300, &Event::Scalar("rate", 2.0));
        let summary = [&[0x2a, 13, 0x0a, 11, 0x0a, 4][..], b"rate", &[0x15, 0, 0, 0, 0x40]].concat();
        assert_eq!(scalar, [&time[..], &[0x10, 0xac, 0x02], &summary].concat());
        assert_eq!(message(1.5, 0, &Event::Start)[11..], [0x3a, 2, 8, 1]);
        assert!(message(1.5, 0, &Event::Version).ends_with(b"\x1a\x0dbrain.Event:2"));
        let whole = record(&scalar);
        assert_eq!(whole.len(), scalar.len() + 16);
        assert_eq!(whole[..8], (scalar.len() as u64).to_le_bytes());
    }

    #[test]
    fn pictures_have_the_extents_of_their_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        crate::report::grid::single(&path, &[0.5; 3 * 4 * 5], [3, 4, 5]).unwrap();
        assert_eq!(extents(&std::fs::read(&path).unwrap()), Some([4, 5, 3]));
        assert_eq!(extents(b"GIF89a"), None);
        let mut events = Events::begin(folder.path(), 1).unwrap();
        events.picture(1, "samples", &path).unwrap();
        events.picture(1, "samples", &folder.path().join("none.png")).unwrap();
        let first = std::fs::read(&events.path).unwrap();
        events.numbers(2, &[("a".into(), f64::NAN)]).unwrap();
        assert_eq!(std::fs::read(&events.path).unwrap(), first, "what is no number is left out");
        assert_ne!(Events::begin(folder.path(), 2).unwrap().path, events.path, "none is written over");
    }
}
