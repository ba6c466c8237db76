//! Reverse-mode gradients: one short rule per operation, and one loop that adds up.

use super::general::{Reduction, of_map, of_reduced};
use super::{ConvGeometry, Graph, Group, Id, Op};
use crate::config::Activation;
use crate::error::{Error, Result};

/// Appends the gradient of the loss (the weighted sum of the graph's terms) and gives, for each of `wanted`, the node
/// that holds its gradient, or nothing where the loss does not depend on it.
///
/// # Errors
/// [`Error::Bug`] that names an operation on the way that has no derivative.
pub fn gradients(graph: &mut Graph, wanted: &[Id]) -> Result<Vec<Option<Id>>> {
    let terms = graph.terms.clone();
    let mut all: Vec<Option<Id>> = vec![None; wanted.len()];
    let mut audiences: Vec<Group> = Vec::new();
    for term in terms.iter().filter(|term| term.weight.is_some()) {
        if !audiences.contains(&term.of) {
            audiences.push(term.of);
        }
    }
    for of in audiences {
        let mut seeds = Vec::new();
        for term in terms.iter().filter(|term| term.of == of) {
            let Some(weight) = term.weight else { continue };
            let rows = graph.shape(term.rows).rows();
            seeds.push((term.rows, graph.add(Op::RowWeights { rows, weight })?));
        }
        // Way back for those that follow these terms; nothing is differentiated for the others.
        let follows = |id: &Id| match *graph.op(*id) {
            Op::Parameter { index } => of.contains(&graph.parameters[index].name),
            _ => true,
        };
        let (places, these): (Vec<usize>, Vec<Id>) =
            wanted.iter().copied().enumerate().filter(|(_, id)| follows(id)).unzip();
        for (place, found) in places.into_iter().zip(gradients_from(graph, &seeds, &these)?) {
            let Some(found) = found else { continue };
            accumulate(graph, &mut all, Id(place as u32), found)?;
        }
    }
    Ok(all)
}

/// Like [`gradients`], from given gradients of some nodes.
///
/// # Errors
/// Those of [`gradients`].
pub fn gradients_from(graph: &mut Graph, seeds: &[(Id, Id)], wanted: &[Id]) -> Result<Vec<Option<Id>>> {
    let count = graph.len();
    let mut depends = vec![false; count];
    for id in graph.ids() {
        let passes =
            !is_blind(graph.op(id)) && graph.op(id).inputs(graph).iter().any(|input| depends[input.0 as usize]);
        depends[id.0 as usize] = wanted.contains(&id) || passes;
    }
    let mut gradient: Vec<Option<Id>> = vec![None; count];
    for &(id, seed) in seeds {
        accumulate(graph, &mut gradient, id, seed)?;
    }
    for id in (0..count as u32).rev().map(Id) {
        let (Some(dy), true) = (gradient[id.0 as usize], depends[id.0 as usize]) else { continue };
        if wanted.contains(&id) && graph.op(id).inputs(graph).is_empty() {
            continue;
        }
        for (input, d) in local(graph, id, dy, &|input| depends[input.0 as usize])? {
            accumulate(graph, &mut gradient, input, d)?;
        }
    }
    Ok(wanted.iter().map(|id| gradient[id.0 as usize]).collect())
}

fn accumulate(graph: &mut Graph, gradient: &mut [Option<Id>], id: Id, d: Id) -> Result<()> {
    let slot = &mut gradient[id.0 as usize];
    *slot = Some(match *slot {
        Some(sum) => added(graph, sum, d)?,
        None => d,
    });
    Ok(())
}

/// The sum of two tensors of the same extents. Formulas are joined with what they are added to, in the extents in which they are
/// written.
fn added(graph: &mut Graph, a: Id, b: Id) -> Result<Id> {
    let is_formula = |graph: &Graph, id: Id| matches!(graph.op(id), Op::Map(_));
    if is_formula(graph, a) || is_formula(graph, b) {
        return graph.map([a, b], |[a, b]| a + b);
    }
    let under = |id: Id| match *graph.op(id) {
        Op::Reshape { x, .. } if is_formula(graph, x) => Some(graph.shape(x)),
        _ => None,
    };
    let Some(inner) = under(a).or_else(|| under(b)) else { return graph.add(Op::Add { a, b }) };
    let shape = graph.shape(a);
    let [a, b] = [a, b].map(|id| match *graph.op(id) {
        Op::Reshape { x, .. } if graph.shape(x) == inner => Ok(x),
        _ => graph.add(Op::Reshape { x: id, shape: inner }),
    });
    let sum = graph.map([a?, b?], |[a, b]| a + b)?;
    graph.add(Op::Reshape { x: sum, shape })
}

/// The gradients of a node's inputs, given the gradient `dy` of its output; only for inputs that `depends` admits.
fn local(graph: &mut Graph, id: Id, dy: Id, depends: &dyn Fn(Id) -> bool) -> Result<Vec<(Id, Id)>> {
    use Op::*;
    let op = graph.op(id).clone();
    if let Some(input) = constant_inputs(&op).into_iter().find(|&input| depends(input)) {
        return Err(Error::Bug(format!("{} has no gradient rule for its input {input:?}", op.name())));
    }
    let mut out = Vec::new();
    let mut give = |graph: &mut Graph, input: Id, op: Op| -> Result<()> {
        if depends(input) {
            out.push((input, graph.add(op)?));
        }
        Ok(())
    };
    match op {
        NchwNhwc { x, channels, to_pixels } => give(graph, x, NchwNhwc { x: dy, channels, to_pixels: !to_pixels })?,
        Pool { x, window, factor } => {
            give(graph, x, Pool { x: dy, window: ConvGeometry { up: !window.up, ..window }, factor })?;
        }
        Dropout { x, rate, layer } => give(graph, x, Dropout { x: dy, rate, layer })?,
        LogRatio { stats, z, .. } => {
            give(graph, stats, Vjp { of: id, input: 0, dy })?;
            if depends(z) {
                let columns = graph.shape(z).columns();
                let g = graph.add(BroadcastRows { v: dy, columns })?;
                out.push((z, graph.add(Multiply { a: g, b: z })?));
            }
        }
        // Both gradients are the same.
        Bound { distortion, ratio, .. } => {
            let d = graph.add(Vjp { of: id, input: 0, dy })?;
            out.extend([distortion, ratio].into_iter().filter(|&input| depends(input)).map(|input| (input, d)));
        }
        Add { a, b } => out.extend([a, b].into_iter().filter(|&input| depends(input)).map(|input| (input, dy))),
        Multiply { a, b } => {
            give(graph, a, Multiply { a: dy, b })?;
            give(graph, b, Multiply { a: dy, b: a })?;
        }
        Scale { x, factor } => give(graph, x, Scale { x: dy, factor })?,
        SumRows { x } => {
            let columns = graph.shape(x).columns();
            give(graph, x, BroadcastRows { v: dy, columns })?;
        }
        SumColumns { x } => {
            let rows = graph.shape(x).rows();
            give(graph, x, BroadcastColumns { v: dy, rows })?;
        }
        BroadcastRows { v, .. } => give(graph, v, SumRows { x: dy })?,
        BroadcastColumns { v, .. } => give(graph, v, SumColumns { x: dy })?,
        Map(ref of) => {
            for (k, &(input, _)) in of.operands.iter().enumerate().filter(|(_, (input, _))| depends(*input)) {
                out.extend(of_map(graph, of, dy, k)?.map(|d| (input, d)));
            }
        }
        Reduce { ref of, .. } => {
            for (k, &(input, _)) in of.operands.iter().enumerate().filter(|(_, (input, _))| depends(*input)) {
                out.extend(of_reduced(graph, id, dy, k)?.map(|d| (input, d)));
            }
        }
        // Of C = A·B it is dC·Bᵀ and Aᵀ·dC, and the transpose of that where the transpose is stored.
        Product { a, b, batch, transposed: [ta, tb] } => {
            let product = |a, b, transposed| Product { a, b, batch, transposed };
            let of_a = if ta { product(b, dy, [tb, true]) } else { product(dy, b, [false, !tb]) };
            let of_b = if tb { product(dy, a, [true, ta]) } else { product(a, dy, [!ta, false]) };
            for (input, op) in [(a, of_a), (b, of_b)].into_iter().filter(|(input, _)| depends(*input)) {
                out.push((input, shaped(graph, op, input)?));
            }
        }
        TakeRows { x, index } => {
            let rows = graph.shape(x).rows();
            if depends(x) {
                out.push((x, shaped(graph, AddRows { dy, index, rows }, x)?));
            }
        }
        AddRows { dy: added, index, .. } => {
            if depends(added) {
                out.push((added, shaped(graph, TakeRows { x: dy, index }, added)?));
            }
        }
        Reshape { x, .. } => {
            let shape = graph.shape(x);
            give(graph, x, Reshape { x: dy, shape })?;
        }
        StopGradient { .. } => {}
        _ if !differentiable(&op).is_empty() => {
            let inputs = op.inputs(graph);
            for &input in differentiable(&op) {
                give(graph, inputs[input], Vjp { of: id, input, dy })?;
            }
        }
        // Leaves have nothing further in, evaluation and gradient operations are never differentiated.
        _ => return Err(Error::Bug(format!("{} has no gradient rule", op.name()))),
    }
    Ok(out)
}

/// The inputs of an operation for which there is a [`Op::Vjp`], in the order in which they are differentiated. What is
/// made from another input, as moments and what is remembered of a batch are, has none: the whole derivative is that of
/// the input it is made from. The means of a shaped KL say on which side of a bound the batch is, which does not change
/// with a small step.
pub fn differentiable(op: &Op) -> &'static [usize] {
    use Op::*;
    match op {
        Affine { .. } | Conv { .. } | Depthwise { .. } | GroupNorm { .. } | ConcatBroadcast { .. } => &[0, 1],
        LogPrior { .. } => &[1, 0],
        Recurrent { .. } => &[0, 1, 2],
        ConcatOneHot { .. }
        | Op::Activation { .. }
        | Sample { .. }
        | Kl { .. }
        | ShapedKl { .. }
        | LogRatio { .. }
        | Bound { .. }
        | Bernoulli { .. }
        | Gaussian { .. }
        | LogisticMixture { .. }
        | Table { .. } => &[0],
        Parameter { .. }
        | Input { .. }
        | Gather { .. }
        | Class
        | Noise { .. }
        | RowWeights { .. }
        | NchwNhwc { .. }
        | Pool { .. }
        | GroupMoments { .. }
        | Dropout { .. }
        | KlMeans { .. }
        | LogMeanExp { .. }
        | LogisticMixtureMean { .. }
        | TableInput { .. }
        | TableMean { .. }
        | Add { .. }
        | Multiply { .. }
        | Scale { .. }
        | SumRows { .. }
        | SumColumns { .. }
        | BroadcastRows { .. }
        | BroadcastColumns { .. }
        | Map(_)
        | Reduce { .. }
        | Product { .. }
        | TakeRows { .. }
        | AddRows { .. }
        | Reshape { .. }
        | StopGradient { .. }
        | Vjp { .. } => &[],
    }
}

/// What a [`Op::Vjp`] reads: all that the node reads and the gradient of what it makes, if nothing else is said here.
pub fn reads(graph: &Graph, of: Id, input: usize, dy: Id) -> Vec<Id> {
    match *graph.op(of) {
        Op::Affine { x, w } | Op::Conv { x, w, .. } | Op::Depthwise { x, w, .. } => {
            if input == 0 {
                vec![dy, w]
            } else {
                vec![x, dy]
            }
        }
        Op::GroupNorm { x, moments, .. } if input == 1 => vec![x, moments, dy],
        Op::Activation { .. } => vec![dy, derived_at(graph, of)],
        Op::ConcatOneHot { .. } | Op::ConcatBroadcast { .. } => vec![dy],
        // What the layer remembered is read too, which lies beside what it made.
        Op::Recurrent { w, .. } => vec![of, w, dy],
        Op::LogRatio { stats, .. } => vec![stats, dy],
        ref op => [op.inputs(graph), vec![dy]].concat(),
    }
}

/// Where the derivative of a non-linearity is looked up: its output or, for some kinds, its input.
pub fn derived_at(graph: &Graph, activation: Id) -> Id {
    match *graph.op(activation) {
        Op::Activation { x, kind } if needs_input(kind) => x,
        _ => activation,
    }
}

/// Inputs that a rule takes for constants: noise and observed data.
fn constant_inputs(op: &Op) -> Vec<Id> {
    match *op {
        Op::Sample { eps, .. } | Op::LogRatio { eps, .. } => vec![eps],
        Op::ConcatOneHot { class, .. } => vec![class],
        Op::TakeRows { index, .. } | Op::AddRows { index, .. } => vec![index],
        Op::Bernoulli { x, .. } | Op::Gaussian { x, .. } | Op::Table { x, .. } | Op::LogisticMixture { x, .. } => {
            vec![x]
        }
        _ => vec![],
    }
}

/// An operation as a tensor of the extents of another one, which has as many numbers.
fn shaped(graph: &mut Graph, op: Op, like: Id) -> Result<Id> {
    let made = graph.add(op)?;
    let shape = graph.shape(like);
    if graph.shape(made) == shape { Ok(made) } else { graph.add(Op::Reshape { x: made, shape }) }
}

/// Whether no gradient passes an operation, whatever it reads.
fn is_blind(op: &Op) -> bool {
    matches!(op, Op::StopGradient { .. } | Op::Reduce { kind: Reduction::ArgMax | Reduction::ArgMin, .. })
}

/// Whether the derivative needs the input of the non-linearity; otherwise its output is enough.
pub fn needs_input(kind: Activation) -> bool {
    matches!(kind, Activation::Silu | Activation::Gelu | Activation::GeluErf)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::Shape;

    /// Terms of two groups that alternate are differentiated once each.
    #[test]
    fn the_order_of_terms_of_different_groups_does_not_matter() {
        let [one, two] = [Group::Of(&["one"]), Group::Of(&["two"])];
        let weights_of = |groups: [Group; 3]| {
            let mut graph = Graph::new(2);
            let x = graph.add(Op::Input { name: "x".into(), shape: Shape::new(&[2, 3]) }).unwrap();
            let wanted = ["one.w", "two.w"].map(|name| graph.parameter(name, Shape::new(&[4, 1])).unwrap());
            for (of, weight) in groups.into_iter().zip(0..) {
                let w = wanted[usize::from(of == two)];
                let y = graph.add(Op::Affine { x, w }).unwrap();
                let rows = graph.add(Op::SumRows { x: y }).unwrap();
                graph.term_of("term", rows, weight, of);
            }
            let found = gradients(&mut graph, &wanted).unwrap();
            assert!(found.iter().all(Option::is_some));
            graph.ids().filter(|&id| matches!(graph.op(id), Op::RowWeights { .. })).count()
        };
        assert_eq!(weights_of([one, one, two]), 3);
        assert_eq!(weights_of([one, two, one]), 3);
    }
}
