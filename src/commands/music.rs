//! What commands that make examples do with a model of music: they write MIDI files, one for each piece in a folder, or one with all.

use super::files;
use crate::data::music::{self, Note, midi};
use crate::data::text::vocabulary::Vocabulary;
use crate::durable;
use crate::error::{Error, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Beats of silence before what follows in the same file, which begins with a multiple of so many.
const REST: u64 = 4;

/// A file to write: its name without an ending, and sequences that follow each other in it.
pub struct Piece {
    /// Such as `003`.
    pub name: String,
    /// Numbers of tokens of each.
    pub passages: Vec<Vec<u32>>,
}

impl Piece {
    /// The piece of this number.
    pub fn new(number: usize, passages: Vec<Vec<u32>>) -> Self {
        Self { name: format!("{number:03}"), passages }
    }
}

/// Whether `out` names one file; without an ending it is a folder.
///
/// # Errors
/// [`Error::Usage`] for files of other kinds.
pub fn is_file(out: &Path) -> Result<bool> {
    match out.extension() {
        Some(_) if !out.is_dir() => files::format("--out ", out, &["mid", "midi"]).map(|_| true),
        _ => Ok(false),
    }
}

/// The files that pieces go into: one, or each its own in a folder.
pub fn paths(out: &Path, pieces: &[Piece], in_one: bool) -> Vec<PathBuf> {
    if in_one {
        return vec![out.to_owned()];
    }
    pieces.iter().map(|piece| out.join(format!("{}.mid", piece.name))).collect()
}

/// Writes pieces into one file, one after the other, or each into a file of its own in the folder `out`. Gives the paths.
///
/// # Errors
/// [`Error::Disk`] where a file cannot be written; [`Error::Usage`] where the folder has pieces that these do not replace.
pub fn save(out: &Path, pieces: &[Piece], text: &Vocabulary, in_one: bool) -> Result<Vec<PathBuf>> {
    let paths = paths(out, pieces, in_one);
    let of = |pieces: &[Piece]| -> Result<Vec<u8>> {
        let all: Vec<&[u32]> = pieces.iter().flat_map(|piece| &piece.passages).map(Vec::as_slice).collect();
        bytes(&all, text)
    };
    if in_one {
        durable::replace_file(out, &of(pieces)?)?;
        return Ok(paths);
    }
    durable::create_folder(out)?;
    // What is written is a set: pieces of another one would be taken for a part of it.
    let other = |path: &PathBuf| path.extension().is_some_and(|end| end == "mid") && !paths.contains(path);
    let there = fs::read_dir(out).into_iter().flatten().flatten().map(|entry| entry.path());
    if let Some(other) = there.into_iter().find(other) {
        return Err(Error::Usage(format!(
            "{}: there is another piece already; name a new folder by --out",
            other.display()
        )));
    }
    for (path, piece) in paths.iter().zip(pieces.chunks(1)) {
        durable::replace_file(path, &of(piece)?)?;
    }
    Ok(paths)
}

/// A file of sequences that follow each other.
fn bytes(passages: &[&[u32]], text: &Vocabulary) -> Result<Vec<u8>> {
    let music = text.music.ok_or_else(|| Error::Bug("a model of music has no grid".into()))?;
    let (bar, mut all, mut start) = (REST * music.grid as u64, Vec::<Note>::new(), 0_u64);
    for codes in passages {
        let notes = text.notes(codes).into_iter();
        all.extend(notes.map(|note| Note { start: start.saturating_add(note.start), ..note }));
        let end = all.iter().map(|note| note.start.saturating_add(note.length)).max().unwrap_or(0).max(start);
        start = end.div_ceil(bar).saturating_add(1).saturating_mul(bar);
    }
    midi::write(&music::tidy(all), music, 0)
}
