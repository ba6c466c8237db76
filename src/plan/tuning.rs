//! Which tiling each product of a plan uses, once somebody has measured.
//!
//! A product kernel has constants that say what is computed and others that say how. [`candidates`] are the ways that a
//! step could go; a [`Tuning`] holds those that were chosen, by what the step multiplies and not by where it stands, so
//! that it serves every plan with the same shapes. Another tiling sums in another order: it changes the last bits of a
//! result, so a run keeps the tuning that it began with.

use super::lower::products::{Variant, lay_out};
use super::{Plan, Step};
use crate::kernels::matmul::{Entry, KERNEL, MEANING, TILINGS, is_likelihood};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Chosen tilings, by [`key`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tuning(pub BTreeMap<String, Vec<u32>>);

impl Tuning {
    /// Gives every product of the plan its chosen tiling. What was not chosen, or is no candidate (any more), stays.
    pub fn apply(&self, plan: &mut Plan) {
        for step in &mut plan.steps {
            if let Some(tiling) = self.0.get(&key(step)).filter(|tiling| candidates(step).contains(tiling)) {
                *step = with(step, tiling);
            }
        }
    }
}

/// What a product step multiplies: its kernel, the constants that say what is computed, the extents of its products.
pub fn key(step: &Step) -> String {
    let meaning: String = step.consts.iter().take(MEANING).map(u32::to_string).collect::<Vec<_>>().join(".");
    let extents: Vec<String> = entries(step).iter().map(|e| format!("{}x{}x{}", e.m, e.n, e.k)).collect();
    format!("{} {meaning} {}", step.kernel.name, extents.join(" "))
}

/// The tilings that a step could have, none if it is no product or has no choice. A step that sums a likelihood's terms
/// keeps the width of its tiles, since other steps rely on the number of sums.
pub fn candidates(step: &Step) -> Vec<Vec<u32>> {
    let tilings: Vec<Vec<u32>> = match step.kernel.name {
        "matmul" => TILINGS.iter().map(|tiling| tiling.to_vec()).collect(),
        _ => vec![],
    };
    let keeps_width = |tiling: &Vec<u32>| !is_likelihood(step.consts[4]) || tiling[1] == step.consts[MEANING + 1];
    tilings.into_iter().filter(keeps_width).collect()
}

/// The step with another of its [`candidates`].
pub fn with(step: &Step, tiling: &[u32]) -> Step {
    let mut other = step.clone();
    let variant = Variant { kernel: step.kernel, consts: tiling.to_vec(), width: tiling[1] as usize };
    lay_out(&mut other, &variant, &mut entries(step));
    other
}

/// The products of a step; none if it is another kernel's.
fn entries(step: &Step) -> Vec<Entry> {
    if step.kernel.entry != KERNEL.entry {
        return vec![];
    }
    let table = step.params[KERNEL.params.len()..].chunks_exact(KERNEL.entry.len());
    table.map(|words| bytemuck::pod_read_unaligned(bytemuck::cast_slice(words))).collect()
}
