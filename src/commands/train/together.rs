//! A run of several processes: what they have to have in common, and what is said of them.

use crate::checkpoint::{DataRecord, Progress};
use crate::commands::open;
use crate::config::{Config, keys};
use crate::data::Dataset;
use crate::data::handed::{self, Coming};
use crate::error::{Error, Result};
use crate::ranks::Ranks;
use crate::report::Report;
use crate::report::human::bytes;
use crate::session::Session;
use sha2::{Digest, Sha256};

/// The data that ranks train on. Where those of one machine are to read the same files in the same way the first of them does, and
/// hands what it has to the others; any other opens its source by itself.
///
/// # Errors
/// Those of [`open::data`] and of the exchange.
pub fn data(config: &Config, known: Option<&DataRecord>, (ranks, report): (&Ranks, &Report)) -> Result<Dataset> {
    let open = || open::data(config, known.map(DataRecord::known), report);
    if !ranks.are_several() {
        return open();
    }
    let own = way_of_reading(config, known).unwrap_or_default();
    let (all, beside) = (ranks.gather(&own)?, ranks.beside());
    if own == NOWHERE || beside.len() < 2 || beside.iter().any(|&rank| all[rank] != own) {
        return open();
    }
    if beside[0] == ranks.rank() {
        let mut opened = open();
        let (code, text) = match &mut opened {
            Ok(data) => (0, handed::head(data).unwrap_or_default()),
            Err(error) => (error.exit_code(), error.to_string()),
        };
        ranks.hand_over(&mut [code])?;
        ranks.hand_over_text(&text)?;
        if let Some(data) = opened.as_mut().ok().filter(|_| !text.is_empty()) {
            handed::blocks(data).into_iter().try_for_each(|block| ranks.hand_over(block))?;
        }
        return opened;
    }
    let mut code = [0];
    ranks.hand_over(&mut code)?;
    let text = ranks.hand_over_text("")?;
    match code {
        [0] if text.is_empty() => return open(),
        [0] => {}
        [code] => return Err(Error::of_code(code.into(), text)),
    }
    let Coming { blocks, data } = handed::coming(&text)?;
    let Some(mut data) = data else {
        // The others have to get theirs.
        blocks.into_iter().try_for_each(|bytes| ranks.hand_over(&mut vec![0; bytes]))?;
        return open();
    };
    handed::blocks(&mut data).into_iter().try_for_each(|block| ranks.hand_over(block))?;
    Ok(data)
}

/// Words of a hash, and those where there is none.
const WORDS: usize = 8;
const NOWHERE: [u32; WORDS] = [0; WORDS];

/// A hash of what data depend on: the program, the settings, the files that they name, and what a run that goes on knows. Nothing where
/// there are no files.
fn way_of_reading(config: &Config, known: Option<&DataRecord>) -> Option<[u32; WORDS]> {
    let (source, known) = (handed::source(&config.data)?, serde_json::to_string(&known).ok()?);
    let text = format!("{}\n{source}\n{known}\n{}", env!("CARGO_PKG_VERSION"), keys::tree(config));
    let mut words = NOWHERE;
    bytemuck::cast_slice_mut(&mut words).copy_from_slice(&Sha256::digest(text));
    Some(words)
}

/// Checks before the first step that all ranks are the same program with the same settings, data and place to go on from. How
/// products are tiled is taken from the first.
///
/// # Errors
/// [`crate::error::Error::Usage`] that names the rank and what differs; those of the exchange.
pub fn agree(session: &Session, from: Option<&Progress>) -> Result<()> {
    if !session.ranks().are_several() {
        return Ok(());
    }
    let mut facts = vec![("version of elbo".to_owned(), env!("CARGO_PKG_VERSION").to_owned())];
    for (at, config) in session.members().enumerate() {
        let member = if session.member_count() > 1 { format!(" of member {}", at + 1) } else { String::new() };
        let tree = keys::tree(config);
        let of_key = |key: String| {
            let value = keys::get(&tree, &key).map(ToString::to_string).unwrap_or_default();
            (format!("{key}{member}"), value)
        };
        facts.extend(keys::keys(&tree).into_iter().map(of_key));
    }
    facts.push(("hash of its data".to_owned(), session.record.hash.clone()));
    facts.push(("device".to_owned(), session.executor.name()));
    if let Some(progress) = from {
        facts.push(("step to go on from".to_owned(), progress.step.to_string()));
    }
    session.ranks().agree(&facts)
}

/// The threads that a rank takes where none were asked for: those of the machine, shared out among the ranks on it.
pub fn threads(asked: usize, ranks: &Ranks) -> usize {
    let (_, here) = ranks.place();
    if asked > 0 || !ranks.are_several() {
        return asked;
    }
    std::thread::available_parallelism().map_or(1, |all| all.get() / here.max(1)).max(1)
}

/// What is said of the ranks.
pub fn line(session: &Session) -> Option<String> {
    let count = session.ranks().count();
    let sent = bytes(session.bytes_exchanged() as u64);
    let how = if session.ranks().share_memory() { ", through memory that they share" } else { "" };
    (count > 1).then(|| format!("ranks    {count} processes; each sends {sent} a step{how}"))
}

/// What is another way where a run goes on with other ranks than it had.
pub fn changed(progress: &Progress, ranks: &Ranks) -> Option<String> {
    let (before, now) = ((progress.course.ranks as usize).max(1), ranks.count());
    let said = |count: usize| if count == 1 { "one process".to_owned() } else { format!("{count} ranks") };
    (progress.step > 0 && before != now).then(|| {
        format!(
            "the run was trained by {}; {} go on with the same examples and noise, but sums are rounded otherwise, so not with the \
             same bits",
            said(before),
            said(now)
        )
    })
}

#[cfg(test)]
mod tests;
