//! Music: MIDI files as sequences of events on a grid of steps, and back.
//!
//! A beat, which is a quarter note, has a number of steps, to which notes are moved. A piece is its notes in their order, by these
//! events (a shift of time after Oore et al. 2018, arXiv 1808.03715; a length rather than an end after Huang and Yang 2020, arXiv
//! 2002.00212):
//!
//! | event | meaning |
//! |---|---|
//! | `t3` | time goes on by 3 steps; several add up |
//! | `d2` | notes from here on last 2 steps, at first a beat; several that follow each other add up |
//! | `n60` | the note of MIDI's number 60 begins |
//!
//! `t` and `d` go up to 4 beats. What a file has beside notes is not kept: instruments, loudness, pedals, changes of tempo.

pub mod midi;

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::text::{self, Kind, Line};
use super::{Dataset, Format, ReadOptions};
use crate::config::Damaged;
use crate::error::{Error, Result};
use midi::Song;

/// The most beats of one event of time.
const MAX_BEATS: u64 = 4;
/// The most beats from one note to the next, and of a note: longer ones are shortened, since a file of few bytes may name any.
const MAX_REST: u64 = 16;
const _: () = assert!(crate::config::OF_NOTE as u64 == 2 * (MAX_REST / MAX_BEATS) + 1);
/// Numbers of notes that MIDI has.
const PITCHES: u8 = 128;
/// Microseconds of a beat where nothing is said of it: 120 beats a minute.
pub const TEMPO: u32 = 500_000;

/// What time is to the events of a vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Music {
    /// Steps of a beat.
    pub grid: usize,
    /// Microseconds of a beat in files that are written.
    pub tempo: u32,
}

impl Music {
    /// What it says, in words.
    pub fn describe(&self) -> String {
        let beats = 6e7 / f64::from(self.tempo);
        format!("{} steps of a beat, written at {beats:.0} beats of a minute", self.grid)
    }
}

/// A note on the grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// The step at which it begins, from 0.
    pub start: u64,
    /// Its number in MIDI, 60 for the C in the middle.
    pub pitch: u8,
    /// The steps that it lasts, 1 at least.
    pub length: u64,
}

/// Whether the name of a file says that it is music.
pub fn is_name(end: &str) -> bool {
    matches!(end, "mid" | "midi")
}

/// Notes in the order of a piece, each pitch once at a time: of two that begin together the longer counts, and one that begins where the
/// same pitch still sounds ends that.
pub fn tidy(mut notes: Vec<Note>) -> Vec<Note> {
    // The longer first, of which the others are doubles.
    notes.sort_unstable_by_key(|note| (note.start, note.pitch, std::cmp::Reverse(note.length)));
    notes.dedup_by_key(|note| (note.start, note.pitch));
    let mut next = [u64::MAX; PITCHES as usize];
    for note in notes.iter_mut().rev() {
        if let Some(next) = next.get_mut(usize::from(note.pitch)) {
            note.length = note.length.min(*next - note.start).max(1);
            *next = note.start;
        }
    }
    notes
}

/// The events of a piece whose notes are [`tidy`].
pub fn tokens(notes: &[Note], grid: usize) -> Vec<String> {
    let mut piece = Piece::new(0, grid);
    for note in notes {
        piece.extend(note);
    }
    piece.tokens
}

/// Events of a piece, as notes are added to it.
struct Piece {
    tokens: Vec<String>,
    now: u64,
    length: u64,
    grid: u64,
}

impl Piece {
    /// One without notes, which begins at a step.
    fn new(start: u64, grid: usize) -> Self {
        Self { tokens: vec![], now: start, length: grid as u64, grid: grid as u64 }
    }

    fn extend(&mut self, note: &Note) {
        self.steps('t', note.start.saturating_sub(self.now));
        self.now = note.start;
        if note.length != self.length {
            self.steps('d', note.length);
            self.length = note.length;
        }
        self.tokens.push(format!("n{}", note.pitch));
    }

    fn steps(&mut self, mark: char, mut count: u64) {
        while count > 0 {
            let part = count.min(MAX_BEATS * self.grid);
            self.tokens.push(format!("{mark}{part}"));
            count -= part;
        }
    }
}

/// The notes that events stand for, whatever their order: what has no meaning is left out.
pub fn notes<'a>(tokens: impl Iterator<Item = &'a str>, grid: usize) -> Vec<Note> {
    let (mut notes, mut start, mut length, mut adds) = (Vec::new(), 0_u64, grid as u64, false);
    for token in tokens {
        let number = |mark| token.strip_prefix(mark).and_then(|rest| rest.parse::<u64>().ok());
        let is_length = number('d').is_some();
        if let Some(steps) = number('t') {
            start = start.saturating_add(steps);
        } else if let Some(steps) = number('d') {
            length = if adds { length.saturating_add(steps) } else { steps };
        } else if let Some(pitch) = number('n').filter(|&pitch| pitch < u64::from(PITCHES)) {
            notes.push(Note { start, pitch: pitch as u8, length: length.max(1) });
        }
        adds = is_length;
    }
    tidy(notes)
}

/// The events of a piece in windows of up to so many, cut between notes. The first begins where the piece does, each other one at the
/// beat of its first note, so that notes keep their place in a beat.
pub fn windows(notes: &[Note], grid: usize, most: usize) -> Vec<Vec<String>> {
    let (mut all, mut piece) = (Vec::new(), Piece::new(0, grid));
    for note in notes {
        let before = piece.tokens.len();
        piece.extend(note);
        if piece.tokens.len() > most && before > 0 {
            piece.tokens.truncate(before);
            let beat = note.start - note.start % grid as u64;
            let full = std::mem::replace(&mut piece, Piece::new(beat, grid));
            all.push(full.tokens);
            piece.extend(note);
        }
    }
    all.push(piece.tokens);
    // A trained model may have room for less than a note: what it has no place for is in no window.
    for window in &mut all {
        window.truncate(most);
    }
    all
}

/// Brings together notes that are far apart and ends those that last too long; gives how many that were.
fn bounded(mut notes: Vec<Note>, grid: usize) -> (Vec<Note>, usize) {
    let most = MAX_REST * grid as u64;
    let (mut changed, mut before, mut moved) = (0, 0, 0);
    for note in &mut notes {
        let rest = note.start - before;
        before = note.start;
        moved += rest.saturating_sub(most);
        changed += usize::from(rest > most) + usize::from(note.length > most);
        note.start -= moved;
        note.length = note.length.min(most);
    }
    (tidy(notes), changed)
}

/// Reads MIDI files, each of which is a piece.
///
/// # Errors
/// [`Error::Usage`] for a model that takes no music; [`Error::Data`] that names the file where one cannot be read or has no notes.
pub fn dataset(source: &Path, files: &[PathBuf], request: &ReadOptions) -> Result<Dataset> {
    let name = source.display().to_string();
    text::check_request(&name, Kind::Music, request)?;
    let known = request.known.and_then(|known| known.text).and_then(|text| text.music);
    let grid = known.map_or(request.config.grid, |music| music.grid);
    let (mut lines, mut names, mut tempos, mut notes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut percussion, mut shortened, mut left_out) = (0, 0, 0);
    for path in files {
        let complain = |what: String| Error::Data(format!("{}: {what}", path.display()));
        let song = match piece(path, grid, request) {
            Ok(song) => song,
            Err(_) if request.config.damaged == Damaged::Skip => {
                left_out += 1;
                continue;
            }
            Err(why) => return Err(complain(why)),
        };
        let (piece, changed) = bounded(song.notes, grid);
        (percussion, shortened) = (percussion + song.percussion, shortened + changed);
        tempos.push(song.tempo.unwrap_or(TEMPO));
        lines.push(Line { number: names.len(), tokens: tokens(&piece, grid), whole: true });
        names.push(path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned()));
    }
    for (count, what) in [
        (left_out, "files that cannot be read or have no notes were left out (data.damaged)"),
        (percussion, "notes of percussion (channel 10) were left out"),
        (shortened, "notes or rests of more than 16 beats were shortened to these"),
    ] {
        if count > 0 {
            notes.push(format!("{count} {what}"));
        }
    }
    if lines.is_empty() {
        return Err(Error::Data(format!("{name}: there is no MIDI file with notes in it")));
    }
    tempos.sort_unstable();
    let music = known.unwrap_or(Music { grid, tempo: tempos[tempos.len() / 2] });
    let data = text::finish(&name, lines, &Kind::Music.units(names), request, Some(music), notes)?;
    Ok(Dataset { format: Format::Music, ..data })
}

/// What a file holds; or what is wrong with it.
fn piece(path: &Path, grid: usize, request: &ReadOptions) -> std::result::Result<Song, String> {
    let bytes = fs::metadata(path).map_err(|error| format!("cannot be opened: {error}"))?.len();
    if bytes > request.memory() {
        return Err(format!("the file has more than data.memory = {} MiB", request.config.memory));
    }
    let bytes = fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
    let song = midi::read(&bytes, grid)?;
    match (song.notes.is_empty(), song.percussion) {
        (false, _) => Ok(song),
        (true, 0) => Err("there are no notes in it".into()),
        (true, count) => {
            Err(format!("there are no notes in it but {count} of percussion (channel 10), which are not taken"))
        }
    }
}

#[cfg(test)]
mod tests;
