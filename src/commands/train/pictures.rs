//! Pictures that a run leaves after its epochs: how the models do, on the same latents and examples each time.

use crate::commands::music::{self, Piece};
use crate::commands::{show, text};
use crate::durable::{self, Flush};
use crate::error::Result;
use crate::rng::{Philox, Stream};
use crate::session::{Choice, Session};
use crate::train::Member;
use std::path::PathBuf;

/// Classes of which a conditional model draws a row.
const CLASSES: usize = 32;

/// Samples and reconstructed examples in a picture.
const SAMPLES: usize = 64;
const COLUMNS: usize = 8;
const RECONSTRUCTIONS: usize = 32;

/// Lines that a model of sequences draws.
const LINES: usize = 32;

/// Samples from the prior, and reconstructions of examples that are not trained on, of every member that came so far,
/// into its folder. Of what users chose there is nothing to see.
///
/// # Errors
/// Those of the executor, of [`show::file`] and [`show::file_of_pairs`], and of writing.
pub fn draw(session: &mut Session, members: &[Member], folders: &[PathBuf], epoch: usize) -> Result<()> {
    if session.model.is_sequence() {
        return lines(session, members, folders, epoch);
    }
    if session.record.items.is_some() {
        return Ok(());
    }
    let seeds: Vec<u64> = session.members().map(|config| config.train.seed).collect();
    let shown: Vec<Vec<u32>> = seeds.iter().map(|&seed| examples(session, seed)).collect::<Result<_>>()?;
    let classes: Vec<u32> = (0..session.model.classes.min(CLASSES) as u32).collect();
    let samples = match classes[..] {
        [] => session.samples(SAMPLES, &seeds)?,
        _ => session.class_grid(&classes, COLUMNS, &seeds)?,
    };
    let pairs = session.reconstructions(&shown, None, &seeds)?;
    let (record, end) = (&session.record, show::extension(&session.record));
    // Epochs of small tables take less than a disk needs to say that it has a file; what was trained is in checkpoints.
    let flush = if epoch >= session.config.train.epochs { Flush::Now } else { Flush::Later };
    let at_rest = |member: &Member| member.lost.is_none() && member.progress.epoch as usize == epoch;
    for (at, _) in members.iter().enumerate().filter(|(_, member)| at_rest(member)) {
        let path = |kind: &str| folders[at].join("samples").join(format!("{kind}-{epoch:04}.{end}"));
        let names: Vec<&str> = record.classes.iter().flatten().map(String::as_str).collect();
        let names: Vec<&str> = classes.iter().flat_map(|&class| [names[class as usize]; COLUMNS]).collect();
        let marks = (show::CLASS, &show::of_classes(&names)[..]);
        let (drawn, shown) = (path("epoch"), path("reconstruction"));
        let (originals, reconstructions) = &pairs[at];
        let drawing = show::file(&drawn, &samples[at], marks, record, COLUMNS)?;
        durable::replace_file_with(&drawn, &drawing, flush)?;
        let showing = show::file_of_pairs(&shown, originals, reconstructions, record, COLUMNS)?;
        durable::replace_file_with(&shown, &showing, flush)?;
    }
    Ok(())
}

/// Lines that a model of sequences draws, and reconstructions of others, below each other. Several members side by side draw none.
fn lines(session: &mut Session, members: &[Member], folders: &[PathBuf], epoch: usize) -> Result<()> {
    let at_rest = |member: &Member| member.lost.is_none() && member.progress.epoch as usize == epoch;
    if session.member_count() > 1 || !members.first().is_some_and(at_rest) {
        return Ok(());
    }
    let seed = session.config.train.seed;
    let numbers: Vec<u32> = (0..LINES as u32).collect();
    let latents = session.latents(&numbers, seed)?;
    let drawn = session.spell(&latents, &numbers, Choice { temperature: 1.0, ..Choice::GREEDY }, seed)?;
    let shown = examples(session, seed)?;
    let pairs = text::pairs(session, &shown, 1, seed)?;
    let path = |kind: &str, end: &str| folders[0].join("samples").join(format!("{kind}-{epoch:04}.{end}"));
    if let Some(text) = session.record.text.as_ref().filter(|text| text.music.is_some()) {
        let drawn = Piece::new(0, drawn);
        let pairs = Piece::new(0, pairs.concat());
        music::save(&path("epoch", "mid"), &[drawn], text, true)?;
        return music::save(&path("reconstruction", "mid"), &[pairs], text, true).map(drop);
    }
    text::save(&path("epoch", "txt"), &session.texts(&drawn)?)?;
    let pairs = text::of_pairs(session, &pairs)?;
    let pairs: Vec<String> = pairs.into_iter().flat_map(|[a, b]| [a, b, String::new()]).collect();
    text::save(&path("reconstruction", "txt"), &pairs)
}

/// Examples to show: of the test part if there is one, else of validation, else of what is trained on.
fn examples(session: &Session, seed: u64) -> Result<Vec<u32>> {
    let data = session.data()?;
    let part = [&data.test, &data.validation, &data.train].into_iter().find(|part| !part.is_empty());
    let part = part.cloned().unwrap_or(0..1);
    let mut rng = Philox::new(seed, Stream::Choice, 0, 0);
    let pick = |_| part.start as u32 + (rng.uniform() * part.len() as f32) as u32 % part.len() as u32;
    Ok((0..RECONSTRUCTIONS.min(part.len())).map(pick).collect())
}
