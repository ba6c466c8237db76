//! Directions as a file keeps them, with the model that they belong to.

use super::Method;
use crate::durable;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The name of the file in a run's folder.
pub const FILE: &str = "attributes.json";

/// What was learnt of a model's attributes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attributes {
    /// SHA-256 of the parameters, in hex.
    pub model: String,
    /// Steps that the model was trained for.
    pub step: u64,
    /// The stochastic layer, counted from 1 for the lowest.
    pub layer: usize,
    /// How the directions were learnt.
    #[serde(flatten)]
    pub method: Method,
    /// The columns that are alike in both groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub balanced: Vec<String>,
    /// The data whose labels they were learnt from.
    pub data: String,
    /// The directions.
    pub attributes: Vec<Attribute>,
}

/// A direction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attribute {
    /// Its name.
    pub name: String,
    /// What examples with it are.
    pub with: String,
    /// What examples without it are.
    pub without: String,
    /// Rows without it and with it that it was learnt from.
    pub rows: [usize; 2],
    /// The way that a strength of 1 goes, [Z].
    pub direction: Vec<f64>,
    /// How well held-out rows are told apart, where there are any of both kinds.
    pub accuracy: Option<f64>,
    /// The share of the more frequent kind among them.
    pub chance: Option<f64>,
    /// The probability that of two of them the one with it lies further along.
    pub auroc: Option<f64>,
    /// Length of the direction.
    pub length: f64,
    /// The share of the variance of all codes that lies along it.
    pub share_of_variance: f64,
}

impl Attributes {
    /// The bytes of the file.
    ///
    /// # Errors
    /// [`Error::Bug`].
    pub fn to_json(&self) -> Result<Vec<u8>> {
        let text = serde_json::to_string_pretty(self).map_err(|why| Error::Bug(why.to_string()))?;
        Ok(format!("{text}\n").into_bytes())
    }

    /// Writes the file, in place of the one before.
    ///
    /// # Errors
    /// [`Error::Disk`].
    pub fn save(&self, path: &Path) -> Result<()> {
        durable::replace_file(path, &self.to_json()?)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Data`] that names it, where it cannot be read or makes no sense.
    pub fn load(path: &Path) -> Result<Self> {
        let complain = |what: String| Error::Data(format!("{}: {what}", path.display()));
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => {
                return Err(complain(
                    "there are no directions of attributes yet: learn some with `elbo attributes RUN`".into(),
                ));
            }
            Err(why) => return Err(complain(format!("cannot be read: {why}"))),
        };
        let found: Self = serde_json::from_slice(&text)
            .map_err(|why| complain(format!("this is no .json file that `elbo attributes` wrote: {why}")))?;
        let width = found.attributes.first().map_or(0, |first| first.direction.len());
        let whole = |it: &Attribute| it.direction.len() == width && it.direction.iter().all(|value| value.is_finite());
        if found.layer == 0 || width == 0 || !found.attributes.iter().all(whole) {
            return Err(complain("is damaged: its directions are no numbers of one length".into()));
        }
        Ok(found)
    }

    /// The attribute of this name. Of `column=level` the level is enough where no other attribute has it.
    ///
    /// # Errors
    /// [`Error::Usage`] that lists those that there are.
    pub fn named(&self, name: &str) -> Result<&Attribute> {
        let ends = |it: &&Attribute| it.name.split_once('=').is_some_and(|(_, level)| level == name);
        let mut others = self.attributes.iter().filter(ends);
        let found = self.attributes.iter().find(|it| it.name == name);
        found.or_else(|| others.next().filter(|_| others.next().is_none())).ok_or_else(|| {
            let known: Vec<&str> = self.attributes.iter().map(|it| it.name.as_str()).collect();
            Error::Usage(format!("--attribute {name}: there is no such attribute; there are {}", known.join(", ")))
        })
    }
}
