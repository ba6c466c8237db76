//! Formulas that are too much for one step: parts of them are stored.
//!
//! A step binds no more than [`MAX_OPERANDS`] tensors to look at, and the text of a shader must not get so long that compilers
//! take minutes for it. A formula of more operands or instructions is cut: what ends with one of its instructions becomes a
//! tensor, which the rest looks at. The gradients of a formula, which look at more tensors than it does itself, need that too.

use super::general::{Elements, MAX_OPERANDS, matrix, pruned};
use super::{Graph, Id, Op};
use crate::error::Result;
use crate::expr::words::Access;
use crate::expr::{At, Expr, Instruction};
use std::collections::BTreeSet;

/// The longest formula of one step.
pub const LONGEST: usize = 256;

/// The operation as one that a step can compute; of a formula that is too much, parts are appended to the graph.
pub(super) fn bounded(graph: &mut Graph, op: Op) -> Result<Op> {
    let (Op::Map(ref of) | Op::Reduce { ref of, .. }) = op else { return Ok(op) };
    // What does not look at what it says it looks at is refused where shapes are.
    if !is_too_much(of) || !graph.is_sound(of) {
        return Ok(op);
    }
    let mut rest = pruned(of);
    while is_too_much(&rest) {
        let (at, part, access) = choice(&rest);
        let id = graph.shared(Op::Map(part))?;
        rest = cut(&rest, at, id, access);
    }
    Ok(match op {
        Op::Reduce { kind, axis, .. } => Op::Reduce { of: rest, kind, axis },
        _ => Op::Map(rest),
    })
}

fn is_too_much(of: &Elements) -> bool {
    of.operands.len() > MAX_OPERANDS || of.f.code().len() > LONGEST
}

/// A formula with one of its parts looked up where it is stored.
fn cut(of: &Elements, at: At, id: Id, access: Access) -> Elements {
    let [_, f] = of.f.cut(at, of.operands.len());
    let operands = of.operands.iter().copied().chain([(id, access)]).collect();
    pruned(&Elements { operands, f, ..of.clone() })
}

/// The instruction up to which a part is stored, that part, and how it is looked up.
fn choice(of: &Elements) -> (At, Elements, Access) {
    let needs = of.f.needs();
    let fits = |at: At| needs[at].0.len() <= MAX_OPERANDS && needs[at].1 <= LONGEST;
    let of_part = |at: At| {
        let (part, access) = part(of, &of.f.cut(at, 0)[0]);
        (at, part, access)
    };
    // Where a part stands for several operands that nothing else looks at, the smallest of such parts; of those of a size the
    // one that stands for most.
    if of.operands.len() > MAX_OPERANDS {
        let stands_for = |at: At| needs[at].0.len() - needs[at].0.intersection(&without(&of.f, at)).count();
        let parts =
            (0..needs.len() - 1).filter(|&at| fits(at) && needs[at].0.len() > 1 && stands_for(at) > 1).map(of_part);
        let best = parts.min_by_key(|(at, part, _)| (part.rows * part.columns, usize::MAX - stands_for(*at)));
        if let Some(best) = best {
            return best;
        }
    }
    // Else the first instruction that is too much gets the largest part of what it reads: each round leaves one less to
    // compute, and what reads nothing but stored parts is never too much.
    let first = (0..needs.len()).find(|&at| !fits(at)).unwrap_or(needs.len() - 1);
    let of_operands = needs[first].0.len() > MAX_OPERANDS;
    let size =
        |at: &At| if of_operands { (needs[*at].0.len(), needs[*at].1) } else { (needs[*at].1, needs[*at].0.len()) };
    let at = of.f.code()[first].reads().into_iter().max_by_key(size).unwrap_or(first);
    of_part(at)
}

/// The operands that are still looked at where an instruction is an operand itself.
fn without(f: &Expr, at: At) -> BTreeSet<usize> {
    let [_, rest] = f.cut(at, usize::MAX);
    let operand = |instruction: &Instruction| match *instruction {
        Instruction::Input(k) => Some(k),
        _ => None,
    };
    rest.code().iter().filter_map(operand).collect()
}

/// A part of a formula as a tensor that is no larger than it has to be, and how that is looked up: what is alike in all columns
/// is stored as one, and what neighbouring rows or tiles share is stored once.
fn part(of: &Elements, f: &Expr) -> (Elements, Access) {
    let all = pruned(&Elements { f: f.clone(), ..of.clone() });
    let alike = all.operands.iter().all(|(_, access)| access.shift.is_none()) && !f.sees_column();
    let columns = if alike { 1 } else { of.columns };
    // A single row goes with whatever the others repeat.
    let several = all.operands.iter().filter(|(_, access)| access.rows > 1);
    let shares: BTreeSet<(usize, usize)> = several.map(|(_, access)| (access.share, access.rows)).collect();
    let (share, rows) = match (shares.first(), shares.len()) {
        (Some(&shared), 1) if !f.sees_row() => shared,
        (None, _) if !f.sees_row() => (of.rows, 1),
        _ => (1, of.rows),
    };
    let operand = |&(id, access): &(Id, Access)| {
        let share = if (access.share, access.rows) == (share, rows) { 1 } else { access.share };
        (id, Access { share: if access.rows == 1 { rows } else { share }, ..access })
    };
    let operands = all.operands.iter().map(operand).collect();
    let stored = matrix(rows, columns);
    let shift = (!alike || of.columns == 1).then_some(0);
    let access = Access { share, rows: stored.rows(), width: stored.columns(), shift, reversed: false };
    (Elements { operands, f: all.f, rows, columns }, access)
}
