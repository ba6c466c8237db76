//! Saving the members of a run.

use super::run::Run;
use super::{Event, Member};
use crate::checkpoint::{self, Checkpoint, Saving, Which};
use crate::data::little_endian;
use crate::durable::Flush;
use crate::error::{Error, Result};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Checkpoints that are kept beside the best one.
const KEEP: usize = 2;

/// How long a disk gets between the last save and its repetition.
const PAUSE: Duration = Duration::from_secs(1);

/// What is known of the saves so far.
#[derive(Debug, Default)]
pub(super) struct Saved {
    /// When all were flushed the last time in this sitting.
    pub flushed: Option<Instant>,
    /// The checkpoint that was flushed last, of each member.
    held: BTreeMap<usize, PathBuf>,
    /// Why members that stopped early while others went on could not be saved.
    missing: Option<Error>,
}

impl Saved {
    /// Takes note of a save that failed, where it was the `last` of a member.
    pub fn note_missing(&mut self, last: bool, saved: &Result<String>) {
        if let (true, Err(error)) = (last, saved) {
            self.missing.get_or_insert(error.clone());
        }
    }
}

impl Run<'_, '_> {
    /// A disk that is full or gone does not end a run; a loss that is not finite does.
    ///
    /// # Errors
    /// What is no matter of a disk that is full or cannot be written.
    pub fn keep_going(&mut self, saved: Result<()>) -> Result<()> {
        match saved {
            Err(Error::Disk(why)) => {
                (self.observe)(Event::Warning(format!("this checkpoint was not saved: {why}; training goes on")))
            }
            other => other,
        }
    }

    pub fn elapsed(&self) -> Duration {
        self.before + self.sitting.elapsed()
    }

    pub fn checkpoint(&mut self, member: usize) -> Result<Checkpoint> {
        self.members[member].progress.elapsed_seconds = self.elapsed().as_secs_f64();
        let progress = self.members[member].progress.clone();
        let config = self.session.members().nth(member).unwrap_or(&self.session.config).clone();
        let parameters = self.session.parameters(member)?;
        Ok(Checkpoint { parameters, moments: self.session.moment_tensors(member)?, progress, config })
    }

    /// Saves some members; says where. A power cut can undo saves that follow each other within `train.sync_seconds`,
    /// but not one that `must` be safe, which the next may not be.
    ///
    /// # Errors
    /// Those of writing, where the checkpoint must be saved.
    pub fn save(&mut self, members: &[usize], must: bool) -> Result<String> {
        let wait = Duration::from_secs(self.session.config.train.sync_seconds as u64);
        let due = must || self.saved.flushed.is_none_or(|flushed| flushed.elapsed() >= wait);
        let flush = if due { Flush::Now } else { Flush::Later };
        if due {
            (self.observe)(Event::Flush)?;
        }
        let mut last = None;
        for &member in members {
            let saved = self.save_member(member, flush);
            last = self.spare(member, saved)?.or(last);
        }
        if due {
            self.saved.flushed = Some(Instant::now());
        }
        Ok(match (last, self.members.len()) {
            (Some(path), 1) => format!("saved {}", path.display()),
            _ => "every member is saved".to_owned(),
        })
    }

    /// Saves a member: the first rank does, the others come to what it came to.
    fn save_member(&mut self, member: usize, flush: Flush) -> Result<PathBuf> {
        let ranks = self.session.ranks().clone();
        if !ranks.are_several() {
            return self.write_member(member, flush);
        }
        self.compare_parameters(member)?;
        self.session.collect_moments()?;
        let written = if ranks.is_first() { self.write_member(member, flush) } else { Ok(PathBuf::new()) };
        let shown = written.map(|path| path.to_string_lossy().into_owned());
        ranks.outcome_of_first(shown).map(PathBuf::from)
    }

    /// Every rank makes the same updates of the same numbers. That they came to the same parameters is seen before they are saved.
    fn compare_parameters(&mut self, member: usize) -> Result<()> {
        let mut hash = Sha256::new();
        for (_, tensor) in self.session.parameters(member)? {
            hash.update(bytemuck::cast_slice::<f32, u8>(&tensor.values));
        }
        let own: Vec<u32> = hash.finalize().chunks_exact(4).map(little_endian).collect();
        let all = self.session.ranks().gather(&own)?;
        match all.iter().position(|theirs| *theirs != all[0]) {
            Some(rank) => Err(Error::Device(format!(
                "the parameters of rank {rank} are no longer those of rank 0: the two compute differently; train on machines of one \
                 kind, or with --adapter cpu"
            ))),
            None => Ok(()),
        }
    }

    /// Writes a member's checkpoint, and marks that of its best epoch.
    fn write_member(&mut self, member: usize, flush: Flush) -> Result<PathBuf> {
        let checkpoint = self.checkpoint(member)?;
        let Member { progress, checkpoints, .. } = &self.members[member];
        let best = progress.step_in_epoch == 0 && progress.best_epoch == Some(progress.epoch);
        let held = self.saved.held.get(&member).map(PathBuf::as_path);
        let path = checkpoint::save_with(checkpoints, &checkpoint, Saving { keep: KEEP, flush, held, best })?;
        if flush == Flush::Now {
            self.saved.held.insert(member, path.clone());
        }
        Ok(path)
    }

    /// What a save came to that none comes after: where the disk failed, older checkpoints make room, and it is tried
    /// once more. Who is told that a run is done can rely on its model.
    ///
    /// # Errors
    /// Those of writing, after the last try.
    pub fn insist(&mut self, saved: Result<String>, members: &[usize]) -> Result<String> {
        let Err(Error::Disk(why)) = saved else { return saved };
        (self.observe)(Event::Warning(format!("the last checkpoint was not saved: {why}; trying once more")))?;
        self.saved.held.clear();
        for &member in members.iter().filter(|_| self.session.ranks().is_first()) {
            checkpoint::make_room(&self.members[member].checkpoints);
        }
        std::thread::sleep(PAUSE);
        match self.save(members, true) {
            Err(Error::Disk(why)) => {
                Err(Error::Disk(format!("the model was not saved: {why}; {}", self.left(members))))
            }
            other => other,
        }
    }

    /// What is left of members whose last state could not be saved.
    fn left(&self, members: &[usize]) -> String {
        let found = members.iter().find_map(|&member| checkpoint::find_latest(&self.members[member].checkpoints).ok());
        match found {
            None => "there is no whole checkpoint; make room, and begin again".to_owned(),
            Some((path, Checkpoint { progress, .. }, _)) => format!(
                "the last whole checkpoint is {}, after epoch {}, step {}; make room, and go on from there with --resume",
                path.display(),
                progress.epoch,
                progress.step
            ),
        }
    }

    /// Ends the run: members that stopped early are as they were in their best epoch. Where its checkpoint could not be
    /// written, or has gone since, they stay as they are at the end, which is no reason to lose the run.
    ///
    /// # Errors
    /// Those of the last save.
    pub fn finish(mut self) -> Result<Vec<Member>> {
        if let Some(error) = self.saved.missing.take() {
            return Err(error);
        }
        // Only the first rank answers for what was trained.
        let members = if self.session.ranks().is_first() { self.members.len() } else { 0 };
        for at in 0..members {
            let Member { progress, checkpoints, lost } = &self.members[at];
            if lost.is_some() || !progress.course.stopped {
                continue;
            }
            let found = checkpoint::locate(checkpoints, Which::Best).and_then(|path| checkpoint::load(&path));
            match found {
                Ok(best) if Some(best.progress.epoch) == progress.best_epoch => self.session.restore(at, &best)?,
                other => {
                    let why = other.err().map_or("it is of another epoch".to_owned(), |error| error.to_string());
                    let epoch = progress.best_epoch.unwrap_or(progress.epoch);
                    (self.observe)(Event::Warning(format!(
                        "the checkpoint of the best epoch, {epoch}, cannot be taken ({why}); the model is that of the last one"
                    )))?;
                }
            }
        }
        Ok(std::mem::take(&mut self.members))
    }
}
