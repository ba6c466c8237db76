//! Which neighbouring operations one kernel may compute together: peephole rules over the graph.
//!
//! The rules speak of operations alone; which kernel serves [`FusedOps`] is decided when a plan is made. Each operation
//! that is needed belongs to exactly one group, and groups come in an order in which each follows what it reads.

use super::grad::needs_input;
use super::op::Variance;
use super::{Clamp, Elements, Graph, Id, Op};
use crate::expr::words::Access;

/// Operations that are computed together.
#[expect(missing_docs, reason = "each variant says what its fields are")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FusedOps {
    /// One operation by itself.
    Single(Id),
    /// An affine map or a convolution and the non-linearity after it; the value before the non-linearity is never stored.
    AffineActivation { affine: Id, activation: Id },
    /// The gradient through an affine map or a convolution and on through the non-linearity before it.
    GradActivation { input: Id, activation: Id },
    /// A product and the formula after it, which alone reads it, in the same place, and at most one tensor beside it.
    ProductFormula { product: Id, formula: Id },
    /// A latent sample and the KL term of the same posterior.
    SampleKl { sample: Id, kl: Id },
    /// Both gradients of a posterior, under the same clamp, and their sum.
    PosteriorGrad { sum: Id, sample: Id, kl: Id },
    /// A likelihood term and its gradient, which share their inputs.
    LikelihoodGrad { value: Id, grad: Id },
    /// The same with the affine map that makes the decoder's output, one number per value: the output itself is never
    /// stored, and the likelihood term only as a mean over the batch.
    AffineLikelihood { affine: Id, value: Id, grad: Id },
}

impl FusedOps {
    /// The operations of the group.
    pub fn members(self) -> Vec<Id> {
        match self {
            Self::Single(id) => vec![id],
            Self::AffineActivation { affine, activation } => vec![affine, activation],
            Self::GradActivation { input, activation } => vec![input, activation],
            Self::ProductFormula { product, formula } => vec![product, formula],
            Self::SampleKl { sample, kl } => vec![sample, kl],
            Self::PosteriorGrad { sum, sample, kl } => vec![sample, kl, sum],
            Self::LikelihoodGrad { value, grad } => vec![value, grad],
            Self::AffineLikelihood { affine, value, grad } => vec![affine, value, grad],
        }
    }
}

/// Groups the operations that lead to `roots`; everything else is dropped.
pub fn fuse(graph: &Graph, roots: &[Id]) -> Vec<FusedOps> {
    let uses = count_uses(graph, roots);
    let single = |id: Id| uses[id.0 as usize] == 1;
    let live = |id: Id| uses[id.0 as usize] > 0;
    let mut group_of: Vec<Option<FusedOps>> = vec![None; graph.len()];
    for id in graph.ids().filter(|&id| live(id)) {
        let group = match *graph.op(id) {
            Op::Activation { x, kind }
                if matches!(graph.op(x), Op::Affine { .. } | Op::Conv { .. }) && single(x) && !needs_input(kind) =>
            {
                FusedOps::AffineActivation { affine: x, activation: id }
            }
            Op::Vjp { of, dy, .. }
                if matches!(graph.op(of), Op::Activation { .. }) && is_grad_input(graph, dy) && single(dy) =>
            {
                FusedOps::GradActivation { input: dy, activation: id }
            }
            Op::Map(ref of) => match product_of(graph, of, single) {
                Some(product) => FusedOps::ProductFormula { product, formula: id },
                None => FusedOps::Single(id),
            },
            Op::Kl { stats, clamp } => {
                let twin = |&other: &Id| matches!(*graph.op(other), Op::Sample { stats: s, clamp: c, .. } if s == stats && c == clamp);
                match graph.ids().filter(|&other| live(other)).find(twin) {
                    Some(sample) => FusedOps::SampleKl { sample, kl: id },
                    None => FusedOps::Single(id),
                }
            }
            Op::Add { a, b } if single(a) && single(b) => match (posterior(graph, a), posterior(graph, b)) {
                (Some(of_a), Some(of_b)) if of_a.0 == of_b.0 && of_a.1 != of_b.1 => {
                    let (sample, kl) = if of_a.1 { (b, a) } else { (a, b) };
                    FusedOps::PosteriorGrad { sum: id, sample, kl }
                }
                _ => FusedOps::Single(id),
            },
            Op::Vjp { of, dy, .. } if is_likelihood(graph.op(of)) && matches!(graph.op(dy), Op::RowWeights { .. }) => {
                with_value(graph, id, live, |op| op == graph.op(of))
            }
            _ => FusedOps::Single(id),
        };
        for member in group.members() {
            group_of[member.0 as usize] = Some(group);
        }
    }
    for id in graph.ids() {
        if let Some(group) = group_of[id.0 as usize].and_then(|group| with_affine(graph, &uses, group)) {
            for member in group.members() {
                group_of[member.0 as usize] = Some(group);
            }
        }
    }
    in_order(graph, &group_of)
}

/// Whether a node is the gradient of an affine map or a convolution for its input.
fn is_grad_input(graph: &Graph, id: Id) -> bool {
    matches!(graph.forward(id), (Op::Affine { .. } | Op::Conv { .. }, Some((0, _))))
}

/// The longest formula on the way out of a product, whose shader has it in several places.
const LONGEST: usize = 64;

/// The product that a formula can be computed with: nobody else reads it, and the formula looks at each of its numbers once and
/// decides nothing by it, since what is rounded in another order may fall on the other side of a jump. Of two the last, since
/// the other one has to be there.
fn product_of(graph: &Graph, of: &Elements, single: impl Fn(Id) -> bool) -> Option<Id> {
    let own = Access::own(of.rows, of.columns);
    let in_place = of.operands.len() <= 2 && of.operands.iter().all(|&(_, access)| access == own);
    let fits = in_place && of.f.code().len() <= LONGEST;
    let products = of.operands.iter().map(|&(id, _)| id).filter(|&id| single(id) && is_product(graph, id));
    let last = products.max().filter(|_| fits)?;
    let k = of.operands.iter().position(|&(id, _)| id == last)?;
    (!of.f.decides_by(k)).then_some(last)
}

/// Whether a node is one product of two matrices: an affine map, the gradient for its input, or of computed tensors.
fn is_product(graph: &Graph, id: Id) -> bool {
    match graph.forward(id) {
        (Op::Affine { .. }, None | Some((0, _))) => true,
        (&Op::Product { batch, .. }, None) => batch == 1,
        _ => false,
    }
}

/// Of a gradient of a sample or a KL term: the statistics with their clamp, and whether it is that of the KL.
fn posterior(graph: &Graph, id: Id) -> Option<((Id, Clamp), bool)> {
    match graph.forward(id) {
        (&Op::Sample { stats, clamp, .. }, Some(_)) => Some(((stats, clamp), false)),
        (&Op::Kl { stats, clamp }, Some(_)) => Some(((stats, clamp), true)),
        _ => None,
    }
}

fn is_likelihood(op: &Op) -> bool {
    matches!(op, Op::Bernoulli { .. } | Op::Gaussian { .. } | Op::Table { .. } | Op::LogisticMixture { .. })
}

/// A likelihood term and its gradient with the affine map before them, if nothing else reads the map's output and the
/// term is wanted for its mean alone.
fn with_affine(graph: &Graph, uses: &[usize], group: FusedOps) -> Option<FusedOps> {
    let FusedOps::LikelihoodGrad { value, grad } = group else { return None };
    let affine = match *graph.op(value) {
        Op::Bernoulli { logits, .. } => logits,
        Op::Gaussian { out, variance: Variance::Fixed(_), .. } => out,
        _ => return None,
    };
    let is_output = graph.outputs.iter().any(|&(_, id)| id == value || id == grad || id == affine);
    let only_here = uses[affine.0 as usize] == 2 && uses[value.0 as usize] == 1;
    let is_mean = graph.terms.iter().any(|term| term.rows == value);
    let fits = matches!(graph.op(affine), Op::Affine { .. }) && only_here && is_mean && !is_output;
    fits.then_some(FusedOps::AffineLikelihood { affine, value, grad })
}

fn with_value(graph: &Graph, grad: Id, live: impl Fn(Id) -> bool, is_value: impl Fn(&Op) -> bool) -> FusedOps {
    match graph.ids().find(|&other| live(other) && is_value(graph.op(other))) {
        Some(value) => FusedOps::LikelihoodGrad { value, grad },
        None => FusedOps::Single(grad),
    }
}

/// How often each node is read by a live node or wanted as a root.
pub(super) fn count_uses(graph: &Graph, roots: &[Id]) -> Vec<usize> {
    let mut uses = vec![0; graph.len()];
    for root in roots {
        uses[root.0 as usize] += 1;
    }
    for id in graph.ids().rev() {
        if uses[id.0 as usize] > 0 {
            for input in graph.op(id).inputs(graph) {
                uses[input.0 as usize] += 1;
            }
        }
    }
    uses
}

/// Each group once, as soon as everything it reads is there.
fn in_order(graph: &Graph, group_of: &[Option<FusedOps>]) -> Vec<FusedOps> {
    fn visit(graph: &Graph, group_of: &[Option<FusedOps>], done: &mut [bool], id: Id, out: &mut Vec<FusedOps>) {
        let Some(group) = group_of[id.0 as usize] else { return };
        if done[id.0 as usize] {
            return;
        }
        let members = group.members();
        for member in &members {
            done[member.0 as usize] = true;
        }
        for input in members.iter().flat_map(|&member| graph.op(member).inputs(graph)) {
            visit(graph, group_of, done, input, out);
        }
        out.push(group);
    }
    let mut done = vec![false; graph.len()];
    let mut out = Vec::new();
    for id in graph.ids() {
        visit(graph, group_of, &mut done, id, &mut out);
    }
    out
}
