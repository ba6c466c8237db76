//! Where the buffers of an Arrow file lie, and the lengths that packed ones say they unpack to.
//!
//! `arrow-ipc` 60 panics where a buffer is not within its block. It takes as much memory as is stated before it unpacks a buffer, and
//! a length that is damaged ends the program. So they are looked at first: no codec packs more into a byte than [`MOST`].

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use arrow_ipc::{Block, root_as_footer, root_as_message};

use super::{Decoded, unreadable};

/// Zstd describes a block of 128 KiB in four bytes.
const MOST: i64 = 1 << 15;

/// What follows the footer: its length and the mark of the format.
const TAIL: i64 = 10;

/// Tells whether the packed buffers of a file can have the lengths that they state.
///
/// # Errors
/// That they cannot, or where the file has no such buffers where it says so.
pub fn check(file: &mut File) -> Decoded<()> {
    let size = file.metadata().map_err(unreadable)?.len() as i64;
    let tail = read(file, size, size - TAIL, 4)?;
    let length = i64::from(i32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]));
    let footer = read(file, size, size - TAIL - length, length)?;
    let footer = root_as_footer(&footer).map_err(unreadable)?;
    let blocks = [footer.dictionaries(), footer.recordBatches()];
    blocks.into_iter().flatten().try_for_each(|blocks| blocks.iter().try_for_each(|block| batch(file, size, *block)))
}

fn batch(file: &mut File, size: i64, block: Block) -> Decoded<()> {
    let header = read(file, size, block.offset(), block.metaDataLength().into())?;
    // Since version 0.15 a mark stands before the length of the message.
    let start = if header.starts_with(&[0xff; 4]) { 8 } else { 4 };
    let message = root_as_message(header.get(start..).unwrap_or_default()).map_err(unreadable)?;
    let of_dictionary = || message.header_as_dictionary_batch().and_then(|batch| batch.data());
    let Some(batch) = message.header_as_record_batch().or_else(of_dictionary) else { return Ok(()) };
    // Slices of the body are taken without a look at how long it is.
    let within = |from: i64, length: i64| {
        from >= 0 && length >= 0 && from.checked_add(length).is_some_and(|end| end <= block.bodyLength())
    };
    if batch.buffers().iter().flatten().any(|buffer| !within(buffer.offset(), buffer.length())) {
        return Err("cannot be read: the file is damaged".into());
    }
    if batch.compression().is_none() {
        return Ok(());
    }
    for buffer in batch.buffers().iter().flatten().filter(|buffer| buffer.length() >= 8) {
        let body = block.offset().checked_add(block.metaDataLength().into());
        let at = body.and_then(|body| body.checked_add(buffer.offset())).unwrap_or(i64::MAX);
        let prefix = read(file, size, at, 8)?;
        let stated = i64::from_le_bytes([
            prefix[0], prefix[1], prefix[2], prefix[3], prefix[4], prefix[5], prefix[6], prefix[7],
        ]);
        if stated > buffer.length().saturating_mul(MOST) {
            return Err("cannot be read: the file is damaged".into());
        }
    }
    Ok(())
}

/// So many bytes from a place on.
fn read(file: &mut File, size: i64, from: i64, length: i64) -> Decoded<Vec<u8>> {
    if from < 0 || length < 0 || from.checked_add(length).is_none_or(|end| end > size) {
        return Err("cannot be read: the file is damaged or has no end".into());
    }
    let mut bytes = vec![0; length as usize];
    file.seek(SeekFrom::Start(from as u64)).map_err(unreadable)?;
    file.read_exact(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}
