//! A run of several processes: what they have to have in common, and what is said of them.

use crate::checkpoint::Progress;
use crate::config::keys;
use crate::error::Result;
use crate::ranks::Ranks;
use crate::report::human::bytes;
use crate::session::Session;

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
