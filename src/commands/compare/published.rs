//! Results from the literature, from `assets/published.toml`.

use crate::config::keys::shown;
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::{Table, Value};

/// What a result is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// −ELBO of the test part.
    NegElbo,
    /// −log p(x) of the test part, estimated by importance weighting.
    NegLogPx,
}

impl Metric {
    /// As in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::NegElbo => "neg_elbo",
            Self::NegLogPx => "neg_log_px",
        }
    }
}

/// One published result, in nats per example.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// What was trained.
    pub model: String,
    /// Where it stands.
    pub source: String,
    /// The data by a name of the file.
    pub data: String,
    /// Their hash.
    #[serde(skip)]
    pub hash: String,
    pub metric: Metric,
    /// Importance samples of the estimate.
    pub samples: Option<usize>,
    pub least: f64,
    pub most: f64,
    /// What was done otherwise than the settings can say.
    pub note: String,
    /// The authors' settings by the program's keys, as a tree of tables.
    pub set: Table,
}

impl Published {
    /// The figure, or from which to which.
    pub fn range(&self) -> String {
        let Self { least, most, .. } = self;
        if least == most { format!("{least:.2}") } else { format!("{least:.2} to {most:.2}") }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Hashes of data sets by their names.
    data: BTreeMap<String, String>,
    result: Vec<Published>,
}

/// All of them.
pub fn all() -> Vec<Published> {
    let File { data, mut result } =
        toml::from_str(include_str!("../../../assets/published.toml")).expect("the embedded file is read in the tests");
    for result in &mut result {
        result.hash = data.get(&result.data).cloned().unwrap_or_default();
    }
    result
}

/// Whether two values are the same setting.
pub fn same(a: &Value, b: &Value) -> bool {
    shown(a) == shown(b)
}
