//! N(0, 1) in every dimension (Kingma and Welling 2014). It has nothing to learn.

use super::Prior;
use crate::config;
use crate::error::Result;
use crate::graph::{Axis, Graph, Id, Reduction};

pub static PRIOR: Prior = Prior {
    kind: config::Prior::Standard,
    parameters: |_| vec![],
    encoded: false,
    log_prob: None,
    kl: None,
    sample: |_, _, _, noise| Ok(noise),
};

/// log N(z; 0, 1) of each row, [R, Z] → [R].
///
/// # Errors
/// None for latents [R, Z].
pub fn log_prob(graph: &mut Graph, z: Id) -> Result<Id> {
    let log_2pi = (2.0 * std::f32::consts::PI).ln();
    graph.reduce_map(Reduction::Sum, Axis::Columns, [z], |[z]| -0.5 * (z.squared() + log_2pi))
}
