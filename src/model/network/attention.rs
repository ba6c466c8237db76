//! Self-attention: what each place of an image or a sequence takes from all of them (Vaswani et al., "Attention is all you need",
//! 2017, arXiv 1706.03762, section 3.2).
//!
//! softmax(Q Kᵀ/√d) V of each head, of d numbers of queries, keys and values each
//!
//! It is made of products of computed tensors and of formulas alone (`graph/general.rs`), so that gradients and both executors follow.
//!
//! Letters: R rows of examples, P places of each, C channels of a place, H heads, d = C/H.

use crate::error::Result;
use crate::expr::Expr;
use crate::graph::{Axis, Graph, Id, Op, Reduction};

/// Which places are not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mask {
    /// All are.
    None,
    /// Those behind a place are not.
    Causal,
    /// Those that are 1 in a tensor [R, P] of zeros and ones are not; one of each row is 0 at least.
    Padding(Id),
}

/// What stands for a place that is not looked at: its exponential is exactly 0 beside that of any other.
pub const HIDDEN: f32 = -1e4;

/// What each place sees, [R·P, C], given queries, keys and values of all, side by side, [R·P, 3C]; heads stand side by side in
/// each of the three, as in `torch.nn.MultiheadAttention`. What is hidden changes no bit of what is made.
///
/// # Errors
/// None for channels that are a multiple of the heads.
pub fn attend(graph: &mut Graph, all: Id, places: usize, heads: usize, mask: Mask) -> Result<Id> {
    let (rows, channels) = (graph.shape(all).rows() / places, graph.shape(all).columns() / 3);
    // Matrices [d, P] of each head of each example: one plane of P numbers after the other.
    let all = graph.reshape(all, &[rows, places * 3 * channels])?;
    let planes = graph.add(Op::NchwNhwc { x: all, channels: 3 * channels, to_pixels: false })?;
    let part = |graph: &mut Graph, at: usize| {
        let part = graph.columns(planes, (at * channels * places) as i32, channels * places)?;
        graph.reshape(part, &[rows * channels, places])
    };
    let [queries, keys, values] = [part(graph, 0)?, part(graph, 1)?, part(graph, 2)?];
    let batch = rows * heads;
    let alike = graph.add(Op::Product { a: queries, b: keys, batch, transposed: [true, false] })?;
    let scale = 1.0 / ((channels / heads) as f32).sqrt();
    let shares = softmax(graph, alike, places, scale, mask)?;
    let seen = graph.add(Op::Product { a: values, b: shares, batch, transposed: [false, true] })?;
    let seen = graph.reshape(seen, &[rows, channels * places])?;
    let seen = graph.add(Op::NchwNhwc { x: seen, channels, to_pixels: true })?;
    graph.reshape(seen, &[rows * places, channels])
}

/// The shares that sum up to 1 in each row, [R·H·P, P], in proportion to exp(scale·x), and 0 of what is hidden.
fn softmax(graph: &mut Graph, x: Id, places: usize, scale: f32, mask: Mask) -> Result<Id> {
    let causal = || Expr::column().at_most(Expr::row(places));
    let open = |padding: Expr| padding.equal(0.0);
    let (kind, axis) = (Reduction::LogSumExp, Axis::Columns);
    match mask {
        Mask::None => {
            let all = graph.reduce_map(kind, axis, [x], |[x]| x * scale)?;
            graph.map([x, all], |[x, all]| (x * scale - all).exp())
        }
        Mask::Causal => {
            let all = graph.reduce_map(kind, axis, [x], |[x]| causal().select(x * scale, HIDDEN))?;
            graph.map([x, all], |[x, all]| causal().select((x * scale - all).exp(), 0.0))
        }
        Mask::Padding(padding) => {
            let all =
                graph.reduce_map(kind, axis, [x, padding], |[x, padding]| open(padding).select(x * scale, HIDDEN))?;
            graph.map([x, all, padding], |[x, all, padding]| open(padding).select((x * scale - all).exp(), 0.0))
        }
    }
}
