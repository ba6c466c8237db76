//! Standard MIDI files (MIDI Manufacturers Association, RP-001): what of one is notes, and notes as one.

use midly::num::{u4, u7, u15, u24, u28};
use midly::{EventIter, Format, Header, MetaMessage, MidiMessage, Smf, Timing, TrackEvent, TrackEventKind};

use super::{Music, Note, tidy};
use crate::error::{Error, Result};

/// The channel of percussion, whose notes are instruments; counted from 0.
const PERCUSSION: u8 = 9;
/// How loud notes are that are written.
const VELOCITY: u8 = 80;
/// About as many ticks of a beat as files have that are written.
const TICKS: usize = 480;

/// What was read of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Song {
    /// Its notes on the grid, in order.
    pub notes: Vec<Note>,
    /// Microseconds of a beat at its beginning, where it says so.
    pub tempo: Option<u32>,
    /// Notes of percussion that were left out.
    pub percussion: usize,
}

/// The notes of a file on a grid of so many steps of a beat, those of all tracks together; or what is wrong with it.
///
/// # Errors
/// That it is no MIDI file, is cut short or damaged, has no beats (SMPTE time), or holds several songs.
pub fn read(bytes: &[u8], grid: usize) -> std::result::Result<Song, String> {
    let (ticks, tracks) = tracks(bytes)?;
    let to_step = |tick: u64| (tick.saturating_mul(2 * grid as u64) + ticks) / (2 * ticks);
    let (mut song, mut tempo) = (Song { notes: vec![], tempo: None, percussion: 0 }, None::<(u64, u32)>);
    for (number, track) in tracks.into_iter().enumerate() {
        let mut now = 0_u64;
        // When each note of each channel began that still sounds.
        let mut sounding = vec![[None::<u64>; 128]; 16];
        let mut end = |begun: u64, now: u64, pitch: usize| {
            let (start, end) = (to_step(begun), to_step(now));
            song.notes.push(Note { start, pitch: pitch as u8, length: end.saturating_sub(start).max(1) });
        };
        for event in EventIter::new(track) {
            let event = event.map_err(|error| format!("track {}: {error}", number + 1))?;
            now += u64::from(event.delta.as_int());
            match event.kind {
                TrackEventKind::Midi { channel, message } => {
                    let (key, begins) = match message {
                        MidiMessage::NoteOn { key, vel } => (key, vel.as_int() > 0),
                        MidiMessage::NoteOff { key, .. } => (key, false),
                        _ => continue,
                    };
                    if channel.as_int() == PERCUSSION {
                        song.percussion += usize::from(begins);
                        continue;
                    }
                    let key = usize::from(key.as_int());
                    let place = &mut sounding[usize::from(channel.as_int())][key];
                    if let Some(begun) = place.take() {
                        end(begun, now, key);
                    }
                    *place = begins.then_some(now);
                }
                TrackEventKind::Meta(MetaMessage::Tempo(found)) if tempo.is_none_or(|(tick, _)| now < tick) => {
                    tempo = Some((now, found.as_int()));
                }
                _ => {}
            }
        }
        // What nothing ended lasts to the end of its track.
        for channel in sounding {
            for (pitch, begun) in channel.into_iter().enumerate() {
                if let Some(begun) = begun {
                    end(begun, now, pitch);
                }
            }
        }
    }
    song.notes = tidy(song.notes);
    song.tempo = tempo.map(|(_, tempo)| tempo).filter(|&tempo| tempo > 0);
    Ok(song)
}

/// Ticks of a beat, and the bytes of each track. A file that ends before the tracks do that it promises is cut short.
fn tracks(bytes: &[u8]) -> std::result::Result<(u64, Vec<&[u8]>), String> {
    let short = |what: String| format!("the file is cut short: {what}");
    let Some((b"MThd", rest)) = bytes.split_first_chunk() else {
        return Err("this is no MIDI file: it does not begin with MThd".into());
    };
    let Some((length, rest)) = rest.split_first_chunk() else { return Err(short("it ends in its header".into())) };
    let length = u32::from_be_bytes(*length) as usize;
    if length < 6 {
        return Err(format!("its header has {length} bytes, and there are 6 at least"));
    }
    let Some((header, mut rest)) = rest.split_at_checked(length) else {
        return Err(short("it ends in its header".into()));
    };
    let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let (format, count, timing) = (word(0), word(2), word(4));
    if format > 1 {
        return Err(format!(
            "it is of MIDI format {format}, which holds several songs; save each as a file of its own"
        ));
    }
    if timing >= 1 << 15 {
        return Err("its time is in frames and seconds (SMPTE), without beats; save it with ticks of a beat".into());
    }
    if timing == 0 {
        return Err("a beat has 0 ticks, so nothing in it takes time".into());
    }
    let mut tracks = Vec::new();
    while tracks.len() < usize::from(count) {
        let (found, number) = (tracks.len(), tracks.len() + 1);
        let Some((head, body)) = rest.split_first_chunk::<8>() else {
            return Err(short(format!("{found} of its {count} tracks are there")));
        };
        let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let Some((body, behind)) = body.split_at_checked(length) else {
            let there = body.len();
            return Err(short(format!("track {number} has {length} bytes, of which {there} are there")));
        };
        // Chunks of other kinds stand for nothing.
        if &head[..4] == b"MTrk" {
            tracks.push(body);
        }
        rest = behind;
    }
    Ok((u64::from(timing), tracks))
}

/// A file of notes that are [`tidy`], one track of a piano; `end` is the step at which it ends, where that is behind the last note.
///
/// # Errors
/// [`Error::Data`] where notes lie further apart than a file can say.
pub fn write(notes: &[Note], music: Music, end: u64) -> Result<Vec<u8>> {
    let far = || Error::Data("notes lie further apart than a MIDI file can say".into());
    // As many ticks as make a step a whole number of them.
    let step = (TICKS / music.grid).max(1);
    let mut marks: Vec<(u64, bool, u8)> = Vec::with_capacity(2 * notes.len());
    for note in notes {
        marks.push((note.start, true, note.pitch));
        marks.push((note.start.saturating_add(note.length), false, note.pitch));
    }
    // At one moment notes end before others begin.
    marks.sort_unstable();
    let event = |delta: u64, kind| {
        let delta = u32::try_from(delta.saturating_mul(step as u64)).ok().and_then(u28::try_from).ok_or_else(far)?;
        Ok(TrackEvent { delta, kind })
    };
    let tempo = MetaMessage::Tempo(u24::from(music.tempo));
    let mut track = vec![event(0, TrackEventKind::Meta(tempo))?];
    let mut now = 0;
    for (at, begins, pitch) in marks {
        let (key, channel) = (u7::from(pitch), u4::from(0));
        let message = if begins {
            MidiMessage::NoteOn { key, vel: u7::from(VELOCITY) }
        } else {
            MidiMessage::NoteOff { key, vel: u7::from(0) }
        };
        track.push(event(at - now, TrackEventKind::Midi { channel, message })?);
        now = at;
    }
    track.push(event(end.saturating_sub(now), TrackEventKind::Meta(MetaMessage::EndOfTrack))?);
    let timing = Timing::Metrical(u15::from((step * music.grid) as u16));
    let file = Smf { header: Header::new(Format::SingleTrack, timing), tracks: vec![track] };
    let mut bytes = Vec::new();
    file.write_std(&mut bytes).map_err(|error| Error::Bug(format!("writing MIDI: {error}")))?;
    Ok(bytes)
}
