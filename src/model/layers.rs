//! Stacks of layers.

use crate::config::Activation;
use crate::error::Result;
use crate::graph::{Graph, Id, Op};
use crate::shape::Shape;

/// Declares the trainable tensors of affine layers through the given widths: `name.0`, `name.1`, …, the last one called
/// `name.head`. Each is [inputs + 1, outputs], the bias last.
pub fn declare(graph: &mut Graph, name: &str, widths: &[usize]) -> Result<Vec<Id>> {
    let last = widths.len() - 2;
    let layer = |(at, pair): (usize, &[usize])| {
        let name = if at == last { format!("{name}.head") } else { format!("{name}.{at}") };
        graph.parameter(&name, Shape::new(&[pair[0] + 1, pair[1]]))
    };
    widths.windows(2).enumerate().map(layer).collect()
}

/// A multilayer perceptron: affine maps with a non-linearity after each but the last, [R, in] → [R, out].
pub fn mlp(graph: &mut Graph, x: Id, weights: &[Id], activation: Activation) -> Result<Id> {
    let mut h = x;
    for (at, &w) in weights.iter().enumerate() {
        h = graph.add(Op::Affine { x: h, w })?;
        if at + 1 < weights.len() && activation != Activation::Identity {
            h = graph.add(Op::Activation { x: h, kind: activation })?;
        }
    }
    Ok(h)
}
