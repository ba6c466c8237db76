//! The run's own data, opened when something has to be learnt from them.

use crate::checkpoint::Checkpoint;
use crate::commands::open;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::report::Report;

/// The data that a run was trained on.
pub struct Own<'a> {
    checkpoint: &'a Checkpoint,
    /// What is scored, which may be they.
    given: Option<&'a Dataset>,
    opened: Option<Dataset>,
}

impl<'a> Own<'a> {
    /// Those of a checkpoint; `given` are data that are open already.
    pub fn new(checkpoint: &'a Checkpoint, given: Option<&'a Dataset>) -> Self {
        let given = given.filter(|data| data.hash == checkpoint.progress.data.hash);
        Self { checkpoint, given, opened: None }
    }

    /// The data.
    ///
    /// # Errors
    /// [`Error::Data`] where they cannot be read, or are others by now; it ends with `advice`.
    pub fn get(&mut self, advice: &str, report: &Report) -> Result<&Dataset> {
        if let Some(given) = self.given {
            return Ok(given);
        }
        let advised = |error| match error {
            Error::Data(why) => Error::Data(format!("{why}; {advice}")),
            error => error,
        };
        if self.opened.is_none() {
            let (_, data) = open::dataset(self.checkpoint, None, None, None, report).map_err(advised)?;
            if data.hash != self.checkpoint.progress.data.hash {
                let why = format!("{}: the data are not those of the training", data.name);
                return Err(advised(Error::Data(why)));
            }
            self.opened = Some(data);
        }
        self.opened.as_ref().ok_or_else(|| Error::Bug("data that were opened are gone".into()))
    }
}
