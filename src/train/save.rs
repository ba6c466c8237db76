//! Saving the members of a run.

use super::run::Run;
use super::{Event, Member};
use crate::checkpoint::{self, Checkpoint, Which};
use crate::error::{Error, Result};
use std::path::PathBuf;
use std::time::Duration;

/// Checkpoints that are kept beside the best one.
const KEEP: usize = 2;

impl Run<'_, '_> {
    /// A disk that is full or gone does not end a run; a loss that is not finite does.
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
        let mut progress = self.members[member].progress.clone();
        progress.elapsed_seconds = self.elapsed().as_secs_f64();
        let config = self.session.members().nth(member).unwrap_or(&self.session.config).clone();
        let parameters = self.session.parameters(member)?;
        Ok(Checkpoint { parameters, moments: self.session.moment_tensors(member)?, progress, config })
    }

    /// Saves some members; says where.
    pub fn save(&mut self, members: &[usize]) -> Result<String> {
        let mut last = None;
        for &member in members {
            let saved = self.save_member(member);
            last = self.spare(member, saved)?.or(last);
        }
        Ok(match (last, self.members.len()) {
            (Some(path), 1) => format!("saved {}", path.display()),
            _ => "every member is saved".to_owned(),
        })
    }

    /// Saves a member, and marks the checkpoint of its best epoch.
    fn save_member(&mut self, member: usize) -> Result<PathBuf> {
        let checkpoint = self.checkpoint(member)?;
        let Member { progress, checkpoints, .. } = &self.members[member];
        let path = checkpoint::save(checkpoints, &checkpoint, KEEP)?;
        if progress.step_in_epoch == 0 && progress.best_epoch == Some(progress.epoch) {
            checkpoint::mark_best(checkpoints, &path)?;
        }
        Ok(path)
    }

    /// Ends the run: members that stopped early are as they were in their best epoch. Where its checkpoint could not be
    /// written, or has gone since, they stay as they are at the end, which is no reason to lose the run.
    pub fn finish(mut self) -> Result<Vec<Member>> {
        for at in 0..self.members.len() {
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
