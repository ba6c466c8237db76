use super::*;
use crate::config::DataConfig;
use crate::data::FittedPreprocessing;
use crate::data::text::vocabulary::Vocabulary;

fn note(start: u64, length: u64, pitch: u8) -> Note {
    Note { start, pitch, length }
}

const MUSIC: Music = Music { grid: 4, tempo: 400_000 };

/// A melody with a chord, rests and lengths that are no single event.
fn melody() -> Vec<Note> {
    let all = [
        (3, 2, 60),
        (5, 2, 62),
        (7, 1, 64),
        (8, 40, 48),
        (8, 4, 64),
        (8, 4, 67),
        (30, 3, 65),
        (66, 64, 127),
        (67, 1, 0),
    ];
    all.map(|(start, length, pitch)| note(start, length, pitch)).to_vec()
}

/// Notes that are anything, on a grid.
fn random(seed: u64, count: usize) -> Vec<Note> {
    let mut state = seed;
    let mut next = |most: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % most
    };
    let mut start = 0;
    let notes = (0..count).map(|_| {
        start += next(9).saturating_sub(3);
        note(start, 1 + next(20), 50 + next(12) as u8)
    });
    tidy(notes.collect())
}

#[test]
fn notes_become_events_and_events_the_same_notes() {
    let notes = melody();
    let events = tokens(&notes, 4);
    let expected = "t3 d2 n60 t2 n62 t2 d1 n64 t1 d16 d16 d8 n48 d4 n64 n67 t16 t6 d3 n65 t16 t16 t4 d16 d16 d16 d16 n127 t1 d1 n0";
    assert_eq!(events.join(" "), expected);
    assert_eq!(super::notes(events.iter().map(String::as_str), 4), notes);
    for seed in 0..50 {
        let notes = random(seed, 60);
        let events = tokens(&notes, 3);
        assert_eq!(super::notes(events.iter().map(String::as_str), 3), notes, "{seed}");
    }
}

#[test]
fn any_events_are_notes_and_each_pitch_sounds_once_at_a_time() {
    let of = |text: &str| super::notes(text.split(' '), 4);
    assert_eq!(of("n60 n60 d0 n61 t2 n60 n200 x t d-1 n"), [note(0, 2, 60), note(0, 1, 61), note(2, 1, 60)]);
    assert_eq!(of("d2 d3 n1 d4 n2"), [note(0, 5, 1), note(0, 4, 2)]);
    assert_eq!(of("t18446744073709551615 t9 n1").len(), 1);
    assert_eq!(of(""), []);
    assert_eq!(tidy(vec![note(4, 2, 60), note(0, 8, 60), note(4, 3, 60)]), [note(0, 4, 60), note(4, 3, 60)]);
}

#[test]
fn windows_are_cut_between_notes_which_keep_their_place_in_a_beat() {
    for seed in 0..50 {
        let notes = random(seed, 80);
        let parts = windows(&notes, 4, 16);
        assert!(parts.len() > 5 && parts.iter().all(|part| part.len() <= 16), "{seed}: {parts:?}");
        let found: Vec<Note> = parts.iter().flat_map(|part| super::notes(part.iter().map(String::as_str), 4)).collect();
        assert_eq!(found.len(), notes.len());
        for (found, note) in found.iter().zip(&notes) {
            assert_eq!((found.pitch, found.start % 4), (note.pitch, note.start % 4), "{seed}");
        }
    }
    assert_eq!(windows(&melody(), 4, 100), [tokens(&melody(), 4)]);
}

#[test]
fn a_file_has_the_notes_that_were_written() {
    for grid in [1, 3, 4, 7, 12, 96] {
        for notes in [melody(), random(grid as u64, 200), vec![]] {
            let bytes = midi::write(&notes, Music { grid, tempo: 123_456 }, 0).unwrap();
            let song = midi::read(&bytes, grid).unwrap();
            assert_eq!(song, Song { notes, tempo: Some(123_456), percussion: 0 }, "{grid}");
        }
    }
}

/// A file of these tracks, with ticks of a beat.
fn file(format: u16, ticks: u16, tracks: &[&[u8]]) -> Vec<u8> {
    let mut bytes = b"MThd\0\0\0\x06".to_vec();
    for word in [format, tracks.len() as u16, ticks] {
        bytes.extend(word.to_be_bytes());
    }
    for track in tracks {
        bytes.extend(b"MTrk");
        bytes.extend((track.len() as u32).to_be_bytes());
        bytes.extend(*track);
    }
    bytes
}

#[test]
fn files_of_other_programs_are_read_by_their_tracks_ticks_and_channels() {
    // By hand: tempo 600,000; a note of 10 ticks that begins at tick 5; by running status and a velocity of 0 another one; one that
    // nothing ends; percussion.
    let tempo = b"\x00\xff\x51\x03\x09\x27\xc0\x00\xff\x2f\x00";
    let first = b"\x05\x90\x3c\x40\x0a\x80\x3c\x00\x05\x90\x3e\x40\x0a\x3e\x00\x00\x99\x24\x40\x00\xff\x2f\x00";
    let second = b"\x00\x91\x30\x40\x28\xff\x2f\x00";
    let song = midi::read(&file(1, 10, &[tempo, first, second]), 2).unwrap();
    // Half a beat is a step of 5 ticks.
    assert_eq!(song.notes, [note(0, 8, 48), note(1, 2, 60), note(4, 2, 62)]);
    assert_eq!((song.tempo, song.percussion), (Some(600_000), 1));
    // A note that is struck again ends the one before.
    let again = b"\x00\x90\x3c\x40\x0a\x90\x3c\x40\x0a\x80\x3c\x00\x00\xff\x2f\x00";
    assert_eq!(midi::read(&file(0, 10, &[again]), 1).unwrap().notes, [note(0, 1, 60), note(1, 1, 60)]);
}

#[test]
fn what_is_no_music_is_refused_in_a_line() {
    let whole = midi::write(&melody(), MUSIC, 0).unwrap();
    for length in 0..whole.len() {
        let why = midi::read(&whole[..length], 4).unwrap_err();
        let expected = if length < 4 { "this is no MIDI file" } else { "the file is cut short: " };
        assert!(why.starts_with(expected) && !why.contains('\n'), "{length}: {why}");
    }
    // Bytes behind the tracks are nobody's.
    assert_eq!(midi::read(&[&whole[..], b"more"].concat(), 4).unwrap().notes, melody());
    for (bytes, why) in [
        (file(2, 10, &[]), "it is of MIDI format 2"),
        (file(0, 0xe728, &[]), "its time is in frames and seconds (SMPTE)"),
        (file(0, 0, &[]), "a beat has 0 ticks"),
        (file(0, 10, &[b"\x00\x3c\x40"]), "track 1: "),
        (file(0, 10, &[b"\x00\x90\x3c"]), "track 1: "),
        (b"MThd\0\0\0\x02\0\0".to_vec(), "its header has 2 bytes"),
        (b"RIFF\0\0\0\0".to_vec(), "this is no MIDI file"),
    ] {
        let found = midi::read(&bytes, 4).unwrap_err();
        assert!(found.starts_with(why) && !found.contains('\n'), "{found}");
    }
    // Whatever a byte is, nothing panics.
    for at in 0..whole.len() {
        for byte in [0, 0x7f, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = byte;
            let _ = midi::read(&bytes, 4).map(|song| tokens(&bounded(song.notes, 4).0, 4));
        }
    }
}

#[test]
fn notes_that_lie_far_apart_are_brought_together() {
    let (notes, changed) = bounded(vec![note(1_000_000, 900, 60), note(1_000_064, 1, 61), note(9_000_000, 1, 62)], 4);
    assert_eq!((notes, changed), (vec![note(64, 64, 60), note(128, 1, 61), note(192, 1, 62)], 3));
    assert_eq!(bounded(melody(), 4), (melody(), 0));
}

fn open(files: &[(&str, &[u8])], change: impl Fn(&mut DataConfig), known: Option<&Vocabulary>) -> Result<Dataset> {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    let mut config = crate::config::resolve(Some("music"), &[]).unwrap();
    let source = folder.path().display().to_string();
    config.data = DataConfig { source, shuffle: false, test: 0.0, validation: 0, ..config.data };
    change(&mut config.data);
    let known =
        known.map(|text| FittedPreprocessing { text: Some(text), floats: true, ..FittedPreprocessing::default() });
    crate::data::open(&config, known)
}

#[test]
fn a_folder_of_files_is_a_data_set_and_what_is_wrong_names_the_file() {
    let [long, short] = [random(1, 70), random(2, 3)].map(|notes| midi::write(&notes, MUSIC, 0).unwrap());
    let files = [("a.mid", &long[..]), ("b.MIDI", &short), ("notes.md", b"")];
    let data = open(&files, |_| (), None).unwrap();
    let text = data.text.clone().unwrap();
    assert_eq!((data.format, text.music), (Format::Music, Some(MUSIC)));
    let parts = windows(&random(1, 70), 4, 64);
    assert_eq!(data.len(), parts.len() + 1);
    assert_eq!(text.text(&data.tokens(0).unwrap()), parts[0].join(" "));
    assert_eq!(text.notes(&data.tokens(data.len() - 1).unwrap()), random(2, 3));
    assert_eq!((data.row(0), data.row(1), data.row(data.len() - 1)), (0, 0, 1));
    // Other music is read on the grid of the model.
    let other = open(&[("a.mid", &long)], |config| config.grid = 9, Some(&text)).unwrap();
    assert_eq!(other.text.unwrap().music, Some(MUSIC));
    // Music often comes with a text about it.
    assert_eq!(open(&[files[0], files[1], ("README.txt", b"text")], |_| (), None).unwrap().hash, data.hash);
    let silent = midi::write(&[], MUSIC, 0).unwrap();
    for (name, bytes, why) in
        [("c.mid", &long[..50], "c.mid: the file is cut short"), ("c.mid", &silent, "c.mid: there are no notes in it")]
    {
        let error = open(&[files[0], files[1], (name, bytes)], |_| (), None).unwrap_err().to_string();
        assert!(error.contains(why) && !error.contains('\n'), "{error}");
        if name == "c.mid" {
            let data = open(&[files[0], files[1], (name, bytes)], |c| c.damaged = Damaged::Skip, None).unwrap();
            assert!(data.notes.iter().any(|note| note.starts_with("1 files that cannot be read or have no notes")));
        }
    }
    let error = open(&files, |config| config.tokens = crate::config::Tokens::Bytes, None).unwrap_err().to_string();
    assert!(
        error.contains("this is music, of which data.tokens = bytes are no part; choose `--recipe music`"),
        "{error}"
    );
    let error = open(&[("b.mid", &short)], |_| (), None).unwrap_err().to_string();
    assert!(error.contains("it is a single example"), "{error}");
}
