//! What lies within residual blocks, computed again on the way back in place of being kept (gradient checkpointing; Chen et al.,
//! "Training Deep Nets with Sublinear Memory Cost", 2016, arXiv 1604.06174).
//!
//! The same groups of operations are lowered a second time, just before the first step that needs what they make, and what they make
//! then lies in another place. Whatever was fused stays so, hence every bit.

use super::stored;
use crate::error::{Error, Result};
use crate::graph::fuse::FusedOps;
use crate::graph::{Graph, Id};
use std::collections::{BTreeMap, BTreeSet};

/// A residual block that is computed again.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cell {
    /// The group before which it is.
    pub before: usize,
    /// The groups that are lowered again, in their order.
    pub groups: Vec<usize>,
    /// What they make.
    pub tensors: Vec<Id>,
}

/// The cells of a graph, of whose operations the first `forward` are no gradients. What others than its own operations read on the way
/// forward, such as the sum at the end of a block, is kept.
///
/// # Errors
/// [`Error::Usage`] where a graph has no cells.
pub(super) fn cells(graph: &Graph, groups: &[FusedOps], roots: &[Id], forward: usize) -> Result<Vec<Cell>> {
    if graph.cells.is_empty() {
        return Err(Error::Usage(
            "train.checkpointing computes residual blocks again on the way back, and this model has none: leave it out, or put \
             layers into blocks, { residual = [...] }"
                .into(),
        ));
    }
    let cell_of = |id: Id| graph.cells.iter().position(|cell| cell.contains(&id));
    let is_back = |group: &FusedOps| group.members().iter().any(|id| id.0 as usize >= forward);
    let reads = |group: &FusedOps| -> BTreeSet<Id> {
        let members = group.members();
        let all = members.iter().flat_map(|&member| graph.op(member).inputs(graph)).map(|id| stored(graph, id));
        all.filter(|id| !members.contains(id)).collect()
    };
    let mut made_by: BTreeMap<Id, usize> = BTreeMap::new();
    let mut kept: BTreeSet<Id> = roots.iter().map(|&id| stored(graph, id)).collect();
    for (at, group) in groups.iter().enumerate().filter(|(_, group)| !is_back(group)) {
        let home = group.members().last().and_then(|&id| cell_of(id));
        made_by.extend(group.members().into_iter().filter(|&id| cell_of(id).is_some()).map(|id| (id, at)));
        kept.extend(reads(group).into_iter().filter(|&id| cell_of(id) != home));
    }
    made_by.retain(|id, _| !kept.contains(id));
    let mut found: BTreeMap<usize, (usize, BTreeSet<usize>, BTreeSet<Id>)> = BTreeMap::new();
    for (at, group) in groups.iter().enumerate().filter(|(_, group)| is_back(group)) {
        let mut wanted: Vec<Id> = reads(group).into_iter().collect();
        while let Some(id) = wanted.pop() {
            let (Some(&by), Some(home)) = (made_by.get(&id), cell_of(id)) else { continue };
            let (_, again, tensors) = found.entry(home).or_insert((at, BTreeSet::new(), BTreeSet::new()));
            tensors.insert(id);
            if again.insert(by) {
                wanted.extend(reads(&groups[by]));
            }
        }
    }
    let cell = |(before, groups, tensors): (usize, BTreeSet<usize>, BTreeSet<Id>)| Cell {
        before,
        groups: groups.into_iter().collect(),
        tensors: tensors.into_iter().collect(),
    };
    Ok(found.into_values().map(cell).collect())
}
