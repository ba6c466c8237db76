//! Going back to the last checkpoint where a loss is not finite.
//!
//! What follows from a checkpoint is always the same, and so is a failure. A member that goes back therefore goes on with
//! half the learning rate and with other noise; the order of the examples stays, since an epoch visits each of them once.
//! All members go back together, because they take the same steps: what the others then do once more has the same bits.

use super::Event;
use super::run::Run;
use crate::checkpoint::sweep::load_same_step;
use crate::checkpoint::{Checkpoint, load_latest};
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
    pub fn recover(&mut self, done: Result<()>) -> Result<()> {
        let Some((member, why)) = self.diverged.take() else { return done };
        // A member that stopped early in the very epoch that goes back has not stopped.
        self.members[member].progress.course.stopped = false;
        let alive = self.alive();
        for (&at, checkpoint) in alive.iter().zip(self.last_checkpoints(&alive)?) {
            self.session.restore(at, &checkpoint)?;
            // A second failure before the next checkpoint counts, too.
            let rollbacks = self.members[at].progress.course.rollbacks + u32::from(at == member);
            self.members[at].progress = checkpoint.progress;
            self.members[at].progress.course.rollbacks = rollbacks;
        }
        let epoch = self.at().epoch as usize;
        (self.observe)(Event::Back { member, why: &why, epoch, members: &alive })
    }

    /// The last checkpoints of these members, all of the same step.
    fn last_checkpoints(&mut self, members: &[usize]) -> Result<Vec<Checkpoint>> {
        let folders: Vec<PathBuf> = members.iter().map(|&at| self.members[at].checkpoints.clone()).collect();
        let (found, warnings) = match &folders[..] {
            [folder] => load_latest(folder).map(|(checkpoint, warnings)| (vec![checkpoint], warnings))?,
            _ => load_same_step(&folders)?,
        };
        for warning in warnings {
            (self.observe)(Event::Warning(warning))?;
        }
        if found.len() == members.len() { Ok(found) } else { Err(Error::Bug("a checkpoint for each member".into())) }
    }
}
