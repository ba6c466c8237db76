//! A codebook: K codes of D numbers each, of which the nearest stands for an output of the encoder (van den Oord, Vinyals and
//! Kavukcuoglu, "Neural discrete representation learning", 2017, arXiv 1711.00937).
//!
//! What codes follow is one of two:
//!
//! - **Averages** (appendix A.1 of the paper): N ← γN + (1 − γ)n and m ← γm + (1 − γ)Σz, with n the outputs z of the batch to which
//!   a code is the nearest. The code is m/Ñ, with Ñ = (N + ε)/(ΣN + Kε)·ΣN, Laplace's smoothing as in the authors' program.
//! - **The gradient** of ‖sg(z) − e‖². The code is the sum of a tensor that is trained and of one that is where it began, so that
//!   a code can begin again while the update rule goes on.
//!
//! A code is dead where N is at most a share of the even use ΣN/K. Dead codes begin again as outputs of the encoder for the batch,
//! before the nearest codes are looked for, and with twice the weight of one that is just dead: an unused one has log 2/(1 − γ) steps
//! to be found (after Dhariwal et al., "Jukebox", 2020, arXiv
//! 2005.00341, section 3.1, and Zeghidour et al., "`SoundStream`", 2021, arXiv 2107.03312, section III-C). All codes are dead
//! before the first step, so that is also how they begin. Only whole batches let codes begin again.
//!
//! All of this is part of the step: the state are tensors like parameters, which become what a step makes of them
//! ([`Graph::assign`]), and what is drawn is a function of seed and step.
//!
//! Letters: B examples of the batch, S cells of an example, R = B·S outputs of the encoder, K codes, D numbers of a code.

use super::network::batch_norm::RUNNING;
use super::parts::{Start, Tensor};
use crate::config::{Codebook as Follows, ModelConfig};
use crate::error::{Error, Result};
use crate::expr::Expr;
use crate::expr::words::Access;
use crate::graph::{Axis, Elements, Graph, Group, Id, Op, Reduction};

/// ε of Laplace's smoothing, as in the authors' program.
const SMOOTHING: f32 = 1e-5;
/// Whole numbers that single precision tells apart.
const MAX_ROWS: usize = 1 << 24;

/// The names of the tensors.
const SIZE: &str = "codebook.size";
const SUM: &str = "codebook.sum";
const START: &str = "codebook.start";
const CODES: &str = "codebook.codes";

/// The tensors of a codebook.
pub(super) fn tensors(config: &ModelConfig) -> Vec<Tensor> {
    let zeros = |name: &str, extents: &[usize]| Tensor::new(name, extents, Start::Constant(0.0));
    let matrix = [config.codes, config.latent];
    match (config.codes, config.codebook) {
        (0, _) => vec![],
        (_, Follows::Ema) => vec![zeros(SIZE, &matrix[..1]), zeros(SUM, &matrix)],
        (_, Follows::Gradient) => vec![zeros(SIZE, &matrix[..1]), zeros(START, &matrix), zeros(CODES, &matrix)],
    }
}

/// The names of these tensors.
pub fn names(config: &ModelConfig) -> Vec<String> {
    tensors(config).into_iter().map(|tensor| tensor.name).collect()
}

/// The codes that these tensors stand for, [K, D], as the graphs compute them.
pub fn values(config: &ModelConfig, tensors: &[&[f32]]) -> Vec<f32> {
    match *tensors {
        [_, start, moved] => start.iter().zip(moved).map(|(start, moved)| start + moved).collect(),
        [size, sums] => {
            let [count, smoothing] = [size.len() as f64, f64::from(SMOOTHING)];
            let total: f64 = size.iter().map(|&size| f64::from(size)).sum();
            let smooth = |size: f32| ((f64::from(size) + smoothing) / (total + count * smoothing) * total).max(1e-20);
            let code = |(sums, &size): (&[f32], &f32)| -> Vec<f32> {
                sums.iter().map(|&sum| (f64::from(sum) / smooth(size)) as f32).collect()
            };
            sums.chunks_exact(config.latent).zip(size).flat_map(code).collect()
        }
        _ => vec![],
    }
}

/// The parameters that follow the gradient where there is a codebook.
pub(super) fn trained(follows: Follows) -> Group {
    match follows {
        Follows::Ema => Group::Except(&[SIZE, SUM, RUNNING]),
        Follows::Gradient => Group::Except(&[SIZE, START, RUNNING]),
    }
}

/// A codebook as it is in a graph.
pub(super) struct Book {
    /// N, how often each code is used in a batch, an average, [K].
    size: Id,
    /// m or, of codes that follow the gradient, where each began, [K, D].
    base: Id,
    /// What has become of that by the gradient, [K, D].
    moved: Option<Id>,
}

/// Where outputs of the encoder went.
#[derive(Debug, Clone, Copy)]
pub struct Found {
    /// The number of the nearest code of each, of several as near the lowest, [R].
    pub index: Id,
    /// These codes, [R, D].
    pub codes: Id,
}

impl Book {
    /// From the nodes of [`tensors`].
    ///
    /// # Errors
    /// A bug, where they are not as many.
    pub fn new(nodes: &[Id]) -> Result<Self> {
        match *nodes {
            [size, base] => Ok(Self { size, base, moved: None }),
            [size, base, moved] => Ok(Self { size, base, moved: Some(moved) }),
            _ => Err(Error::Bug(format!("a codebook of {} tensors", nodes.len()))),
        }
    }

    /// The codes, [K, D].
    ///
    /// # Errors
    /// None that depends on shapes.
    pub fn codes(&self, graph: &mut Graph) -> Result<Id> {
        if let Some(moved) = self.moved {
            return graph.map([self.base, moved], |[start, moved]| start + moved);
        }
        let total = total(graph, self.size)?;
        let codes = graph.shape(self.size).count() as f32;
        graph.map([self.base, self.size, total], |[sum, size, total]| {
            let smooth = (size + SMOOTHING) / (total.clone() + codes * SMOOTHING) * total;
            // Before the first step nothing is known of any code.
            sum / smooth.max(1e-20)
        })
    }

    /// The codebook with its dead codes begun again as some of the encoder's outputs z for whole batches, [R, D].
    fn renewed(&self, graph: &mut Graph, config: &ModelConfig, z: Id) -> Result<Self> {
        let (rows, batch, count) = (graph.shape(z).rows(), graph.batch, config.codes);
        let index = drawn(graph, rows, count)?;
        let taken = graph.add(Op::TakeRows { x: z, index })?;
        let total = total(graph, self.size)?;
        let least = config.codebook_restart / count as f32;
        let dead = |size: Expr, total: Expr| size.at_most(least * total) * Expr::count().equal(batch as f32);
        // Where none is to die, all begin with the weight of the even use.
        let share = if config.codebook_restart > 0.0 { (2.0 * config.codebook_restart).min(1.0) } else { 1.0 };
        let weight = share * rows as f32 / count as f32;
        let size = graph.map([self.size, total], |[size, total]| dead(size.clone(), total).select(weight, size))?;
        let inputs = [self.base, taken, self.size, total];
        let base = match self.moved {
            None => graph.map(inputs, |[sum, z, size, total]| dead(size, total).select(weight * finite(z), sum))?,
            Some(moved) => {
                let moved = graph.stop_gradient(moved)?;
                let [base, z, size, total] = inputs;
                graph.map([base, z, size, total, moved], |[start, z, size, total, moved]| {
                    dead(size, total).select(finite(z) - moved, start)
                })?
            }
        };
        Ok(Self { size, base, moved: self.moved })
    }

    /// Looks for the nearest codes of the encoder's outputs z, [R, D], in training: dead codes begin again before, and codes
    /// that follow averages become what these outputs make of them at the end of the step.
    ///
    /// # Errors
    /// [`Error::Usage`] where rows are too many to be counted.
    pub fn learn(&self, graph: &mut Graph, config: &ModelConfig, z: Id) -> Result<Found> {
        let (rows, width) = (graph.shape(z).rows(), graph.shape(z).columns());
        if rows > MAX_ROWS {
            return Err(Error::Usage(format!(
                "a batch has {rows} codes, and up to {MAX_ROWS} can be told apart: take a smaller train.batch"
            )));
        }
        let z = graph.stop_gradient(z)?;
        let book = self.renewed(graph, config, z)?;
        let codes = book.codes(graph)?;
        let found = nearest(graph, z, codes)?;
        let cells = (rows / graph.batch) as f32;
        // Each output with a 1 behind it, and 0 for examples that do not count.
        let counted = Expr::row(rows).less(cells * Expr::count());
        let f = (finite(Expr::input(0)) + Expr::column().equal(width as f32)) * counted;
        let operands = vec![(z, Access::own(rows, width))];
        let dy = graph.add(Op::Map(Elements { operands, f, rows, columns: width + 1 }))?;
        let added = graph.add(Op::AddRows { dy, index: found.index, rows: config.codes })?;
        let (gamma, counts) = (config.codebook_decay, graph.columns(added, width as i32, 1)?);
        let size = graph.map([book.size, counts], |[size, count]| gamma * size + (1.0 - gamma) * count)?;
        graph.assign(self.size, size)?;
        let base = match self.moved {
            None => {
                let sums = graph.columns(added, 0, width)?;
                graph.map([book.base, sums], |[sum, z]| gamma * sum + (1.0 - gamma) * z)?
            }
            Some(_) => book.base,
        };
        graph.assign(self.base, base)?;
        Ok(found)
    }
}

/// The number, and 0 in the place of one that is none or beyond all bounds: what diverges in one step stays in no average.
fn finite(x: Expr) -> Expr {
    x.clone().abs().less(1e30).select(x, 0.0)
}

/// ΣN, [1].
fn total(graph: &mut Graph, size: Id) -> Result<Id> {
    let row = graph.as_row(size)?;
    graph.reduce(Reduction::Sum, Axis::Columns, row)
}

/// The nearest codes, [K, D], of vectors z, [R, D]: ‖z − e‖² is ‖z‖² − 2z·e + ‖e‖², of which the first is the same for all codes.
/// The distances pass no gradient.
///
/// # Errors
/// A bug, where vectors and codes are not of as many numbers.
pub fn nearest(graph: &mut Graph, z: Id, codes: Id) -> Result<Found> {
    let norms = graph.reduce_map(Reduction::Sum, Axis::Columns, [codes], |[e]| e.squared())?;
    let norms = graph.as_row(norms)?;
    let products = graph.add(Op::Product { a: z, b: codes, batch: 1, transposed: [false, true] })?;
    let index = graph
        .reduce_map(Reduction::ArgMin, Axis::Columns, [norms, products], |[norm, product]| norm - 2.0 * product)?;
    let codes = graph.add(Op::TakeRows { x: codes, index })?;
    Ok(Found { index, codes })
}

/// For each of K codes the number of one of R rows, [K], each as likely as any other: the first is drawn, the others follow at a
/// distance that is the same from each to the next (systematic sampling), so that no two codes have one row unless they are
/// more. The distance has no divisor in common with the cells of an example, so that all cells come up.
fn drawn(graph: &mut Graph, rows: usize, codes: usize) -> Result<Id> {
    let (batch, cells) = (graph.batch, rows / graph.batch);
    let apart = (1..=(rows / codes).max(1)).rev().find(|&apart| is_coprime(apart, cells)).unwrap_or(1);
    // The largest of equal draws is any of them: an example and, for that example, a cell.
    let noise = graph.add(Op::Noise { rows: batch, width: cells + 1, layer: 0 })?;
    let of_examples = graph.columns(noise, cells as i32, 1)?;
    let example = graph.reduce(Reduction::ArgMax, Axis::Rows(batch), of_examples)?;
    let of_cells = graph.columns(noise, 0, cells)?;
    let cell = graph.reduce(Reduction::ArgMax, Axis::Columns, of_cells)?;
    let cell = graph.add(Op::TakeRows { x: cell, index: example })?;
    let cell = graph.reshape(cell, &[1])?;
    let all = Access { share: codes, ..Access::own(1, 1) };
    let (cells, rows) = (cells as f32, rows as f32);
    let place = Expr::input(0) * cells + Expr::input(1) + apart as f32 * Expr::row(codes.min(rows as usize));
    let f = place.clone().less(rows).select(place.clone(), place - rows);
    graph.add(Op::Map(Elements { operands: vec![(example, all), (cell, all)], f, rows: codes, columns: 1 }))
}

fn is_coprime(a: usize, b: usize) -> bool {
    let (mut a, mut b) = (a, b);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a == 1
}
