//! Going back to the last checkpoint where a loss is not finite.
//!
//! What follows from a checkpoint is always the same, and so is a failure. A member that goes back therefore goes on with
//! half the learning rate and with other noise; the order of the examples stays, since an epoch visits each of them once.
//! All members go back together, because they take the same steps: what the others then do once more has the same bits.

use super::Event;
use super::run::Run;
use crate::checkpoint::sweep::load_same_step;
use crate::checkpoint::{self, Checkpoint, Progress, load_latest};
use crate::config::NotFinite;
use crate::error::{Error, Result};
use std::path::PathBuf;

/// How often a member goes back.
const MOST: u32 = 3;

impl Run<'_, '_> {
    /// Whether a member whose loss is not finite goes back once more.
    pub fn goes_back(&self, member: usize) -> bool {
        let wanted = self.session.config.train.not_finite == NotFinite::Rollback;
        wanted && self.members[member].progress.course.rollbacks < MOST
    }

    /// Goes back if an epoch ended because a member diverged; other outcomes stay what they are.
    ///
    /// # Errors
    /// What was done, where nothing is to be tried again.
    pub fn recover(&mut self, done: Result<()>) -> Result<()> {
        let Some((member, why)) = self.diverged.take() else { return done };
        // One that this very epoch stopped goes back as well: it may not be saved, and comes to the same end again.
        let back: Vec<usize> = self.running.iter().copied().filter(|&at| self.members[at].lost.is_none()).collect();
        for (&at, progress) in back.iter().zip(self.take_back(&back)?) {
            // A second failure before the next checkpoint counts, too.
            let rollbacks = self.members[at].progress.course.rollbacks + u32::from(at == member);
            self.members[at].progress = progress;
            self.members[at].progress.course.rollbacks = rollbacks;
        }
        // The course that the last flushed checkpoint is of may be given up.
        self.saved.flushed = None;
        let epoch = self.at().epoch as usize;
        (self.observe)(Event::Back { member, why: &why, epoch, members: &back })
    }

    /// Gives these members what they had in their last good checkpoints; gives how far they had come. Of several ranks the first reads
    /// them, and the others are told.
    fn take_back(&mut self, members: &[usize]) -> Result<Vec<Progress>> {
        let ranks = self.session.ranks().clone();
        let found = if ranks.is_first() { self.good_checkpoints(members) } else { Ok(vec![]) };
        let restored = found.and_then(|found| {
            members.iter().zip(&found).try_for_each(|(&at, checkpoint)| self.session.restore(at, checkpoint))?;
            Ok(found.into_iter().map(|checkpoint| checkpoint.progress).collect::<Vec<Progress>>())
        });
        if !ranks.are_several() {
            return restored;
        }
        let bug = |error: serde_json::Error| Error::Bug(error.to_string());
        let told = restored.and_then(|all| serde_json::to_string(&all).map_err(bug));
        let told = ranks.outcome_of_first(told)?;
        members.iter().try_for_each(|&at| self.session.take_from_first(at))?;
        serde_json::from_str(&told).map_err(bug)
    }

    /// The last checkpoints of these members, all of the same step. Where the run came back to them before, and failed
    /// again, they were ruined already, though their numbers were finite: then those before them, if there are any.
    fn good_checkpoints(&mut self, members: &[usize]) -> Result<Vec<Checkpoint>> {
        let folders: Vec<PathBuf> = members.iter().map(|&at| self.members[at].checkpoints.clone()).collect();
        let step = |found: &[Checkpoint]| found.first().map(|checkpoint| checkpoint.progress.step);
        let mut found = self.last_checkpoints(&folders)?;
        if let Some(again) = self.back_to.filter(|&before| step(&found) == Some(before))
            && checkpoint::give_up_from(&folders, again)?
        {
            found = self.last_checkpoints(&folders)?;
        }
        self.back_to = step(&found);
        if found.len() == members.len() { Ok(found) } else { Err(Error::Bug("a checkpoint for each member".into())) }
    }

    fn last_checkpoints(&mut self, folders: &[PathBuf]) -> Result<Vec<Checkpoint>> {
        let (found, warnings) = match folders {
            [folder] => load_latest(folder).map(|(checkpoint, warnings)| (vec![checkpoint], warnings))?,
            _ => load_same_step(folders)?,
        };
        for warning in warnings {
            (self.observe)(Event::Warning(warning))?;
        }
        Ok(found)
    }
}
