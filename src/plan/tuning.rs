//! Which tiling each product and convolution of a plan uses, once somebody has measured.
//!
//! A product kernel has constants that say what is computed and others that say how. [`candidates`] are the ways that a
//! step could go; a [`Tuning`] holds those that were chosen, by what the step multiplies and not by where it stands, so
//! that it serves every plan with the same shapes. Another tiling sums in another order: it changes the last bits of a
//! result, so a run keeps the tuning that it began with.

use super::lower::products::{Variant, lay_out};
use super::{Plan, Step};
use crate::kernels::matmul::{self, Entry, is_likelihood};
use crate::kernels::{conv, conv_tiles, conv_weight, conv_weight_tiles, grid};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Chosen tilings, by [`key`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tuning(pub BTreeMap<String, Vec<u32>>);

impl Tuning {
    /// Gives every product and convolution of the plan its chosen tiling. What was not chosen, or is no candidate (any more), stays.
    pub fn apply(&self, plan: &mut Plan) {
        for step in &mut plan.steps {
            if let Some(tiling) = self.0.get(&key(step)).filter(|tiling| candidates(step).contains(tiling)) {
                *step = with(step, tiling);
            }
        }
    }
}

/// What a product or convolution does: its kernel, the constants that say what is computed, the extents.
pub fn key(step: &Step) -> String {
    let words = |words: &[u32]| words.iter().map(u32::to_string).collect::<Vec<_>>().join(".");
    let extents = match kind(step) {
        Some(Kind::Conv) => words(&step.params),
        // In how many parts a gradient comes is no matter of what it is.
        Some(Kind::ConvWeight) => words(&step.params[..step.params.len() - 1]),
        _ => entries(step).iter().map(|e| format!("{}x{}x{}", e.m, e.n, e.k)).collect::<Vec<_>>().join(" "),
    };
    let meaning = &step.consts[..meaning(step).min(step.consts.len())];
    format!("{} {} {extents}", step.kernel.name, words(meaning))
}

/// The tilings that a step could have, none if it is neither product nor convolution or has no choice. A step that sums a
/// likelihood's terms keeps the width of its tiles, since other steps rely on the number of sums. Convolutions may do without tiles:
/// then the constants are those of [`conv`] and [`conv_weight`]. Their tilings come in the order of the time that they are guessed to take,
/// the way without tiles as the second; gradients of parameters keep the number of their parts.
pub fn candidates(step: &Step) -> Vec<Vec<u32>> {
    let all = |tilings: &[[u32; 5]]| tilings.iter().map(|tiling| tiling.to_vec()).collect::<Vec<_>>();
    let and = |mut tilings: Vec<Vec<u32>>, plain: Vec<u32>| {
        tilings.insert(1, plain);
        tilings
    };
    match kind(step) {
        Some(Kind::Product) => {
            let mut tilings = all(matmul::TILINGS);
            tilings.retain(|tiling| !is_likelihood(step.consts[4]) || tiling[1] == step.consts[matmul::MEANING + 1]);
            tilings
        }
        Some(Kind::Conv) => {
            let p = step.asked().params();
            and(all(&conv_tiles::tilings(&p, step.consts[0] == 1)), vec![conv::FEW_ROWS, conv::vectors(&p)])
        }
        Some(Kind::ConvWeight) => {
            let p = step.asked().params();
            and(all(&conv_weight_tiles::tilings(&p, step.consts[0] == 1)), vec![conv_weight::rows(&p)])
        }
        None => vec![],
    }
}

/// The tiling that a step with [`candidates`] has.
pub fn tiling(step: &Step) -> Vec<u32> {
    step.consts[meaning(step)..step.kernel.consts.len()].to_vec()
}

/// The step with another of its [`candidates`].
pub fn with(step: &Step, tiling: &[u32]) -> Step {
    let mut other = step.clone();
    let tiled = tiling.len() == TILED;
    let consts = || [&step.consts[..meaning(step)], tiling].concat();
    match kind(step) {
        Some(Kind::Product) => {
            let variant = Variant { kernel: step.kernel, consts: tiling.to_vec(), width: tiling[1] as usize };
            lay_out(&mut other, &variant, &mut entries(step));
        }
        Some(Kind::Conv) => {
            let (p, consts) = (step.asked().params(), consts());
            other.grid = if tiled { conv_tiles::grid(&p, &consts) } else { conv::grid(&p, &consts) };
            other.kernel = if tiled { &conv_tiles::KERNEL } else { &conv::KERNEL };
            other.consts = consts;
        }
        Some(Kind::ConvWeight) => {
            let (p, consts): (conv_weight::Params, _) = (step.asked().params(), consts());
            let groups = if tiled { conv_weight_tiles::groups } else { conv_weight::groups };
            other.grid = grid(p.splits as usize * groups(&p, &consts));
            other.kernel = if tiled { &conv_weight_tiles::KERNEL } else { &conv_weight::KERNEL };
            other.consts = consts;
        }
        None => {}
    }
    other
}

/// Numbers of a tiling.
const TILED: usize = crate::kernels::blocks::NAMES.len();

/// Steps with a choice.
enum Kind {
    Product,
    Conv,
    ConvWeight,
}

fn kind(step: &Step) -> Option<Kind> {
    match step.kernel.name {
        "matmul" => Some(Kind::Product),
        "conv_tiles" => Some(Kind::Conv),
        "conv_weight_tiles" => Some(Kind::ConvWeight),
        _ => None,
    }
}

/// How many constants say what is computed.
fn meaning(step: &Step) -> usize {
    match kind(step) {
        Some(Kind::Conv) => conv_tiles::MEANING,
        Some(Kind::ConvWeight) => conv_weight_tiles::MEANING,
        _ => matmul::MEANING,
    }
}

/// The products of a step; none if it is another kernel's.
fn entries(step: &Step) -> Vec<Entry> {
    if step.kernel.entry != matmul::KERNEL.entry {
        return vec![];
    }
    let table = step.params[matmul::KERNEL.params.len()..].chunks_exact(matmul::KERNEL.entry.len());
    table.map(|words| bytemuck::pod_read_unaligned(bytemuck::cast_slice(words))).collect()
}
