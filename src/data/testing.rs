//! What the tests of several readers share.

use std::path::PathBuf;

use super::{Known, Request};
use crate::config::{DataConfig, Likelihood};

/// A file that `NumPy` or Pillow wrote.
pub fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/data").join(name)
}

/// Sources in their own order, all for training.
pub fn plain() -> DataConfig {
    DataConfig { shuffle: false, test: 0.0, ..DataConfig::default() }
}

/// A request for numbers as they are.
pub fn unscaled(config: &DataConfig) -> Request<'_> {
    Request { config, likelihood: Likelihood::Bernoulli, known: None }
}

/// A request for standardised tables.
pub fn standardised(config: &DataConfig) -> Request<'_> {
    Request { config, likelihood: Likelihood::Gaussian, known: None }
}

/// A request for a model that has been trained.
pub fn known<'a>(config: &'a DataConfig, known: Known<'a>) -> Request<'a> {
    Request { config, likelihood: Likelihood::Gaussian, known: Some(known) }
}
