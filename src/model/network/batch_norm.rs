//! Batch normalisation (Ioffe and Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate
//! shift", 2015, arXiv 1502.03167): each channel has mean 0 and variance 1 over the examples of a batch and the pixels of their
//! images, then a scale and a shift.
//!
//! - In training with the moments of the batch: y = γ·(x − m)/√(v + ε) + β, of n numbers of a channel m = Σx/n, v = Σ(x − m)²/n. The
//!   gradient goes through both.
//! - Elsewhere with running ones, so that an example does not depend on those beside it. A step of training makes them
//!   (1 − α)·old + α·new ([`Graph::assign`]), of the variance with Σ(x − m)²/(n − 1), as `PyTorch`'s `BatchNorm1d` and
//!   `BatchNorm2d` do.
//!
//! Of a batch that is not whole only the rows of its examples count. One number alone has no variance: such a batch, the last of an
//! epoch, is normalised by the running moments, which stay what they are.
//!
//! Letters: R rows, of one or several for each of B examples, P pixels of C channels.

use super::{Map, MapKind, in_rows};
use crate::error::{Error, Result};
use crate::expr::Expr;
use crate::graph::{Axis, Graph, Id, Op, Reduction};
use crate::model::parts::{Start, Tensor};

/// What the names of running moments begin with.
pub const RUNNING: &str = "running";

/// ε, as in `PyTorch`.
pub const EPSILON: f32 = 1e-5;

/// α, likewise.
const MOMENTUM: f32 = 0.1;

/// Whole numbers that single precision tells apart.
const MAX_ROWS: usize = 1 << 24;

/// What the running moments of a map are called.
pub fn running_name(map: &str) -> String {
    format!("{RUNNING}.{map}")
}

/// The running moments of those of the maps that normalise batches: the mean of each channel, and its variance, [2, C].
pub fn running(maps: &[Map]) -> Vec<Tensor> {
    let maps = maps.iter().filter(|map| matches!(map.kind, MapKind::BatchNorm(_)));
    maps.map(|map| Tensor::new(running_name(&map.name), &[2, map.outputs], Start::Moments)).collect()
}

/// The two rows of a tensor [2, C], each [1, C].
fn halves(graph: &mut Graph, tensor: Id) -> Result<[Id; 2]> {
    let channels = graph.shape(tensor).columns();
    let row = graph.as_row(tensor)?;
    Ok([graph.columns(row, 0, channels)?, graph.columns(row, channels as i32, channels)?])
}

/// Normalises x, [R, P·C], with scale and shift `w`, [2, C], by the moments of the batch where it is trained, and else by the running
/// ones.
///
/// # Errors
/// A bug, where the graph has no running moments; [`Error::Usage`] where rows are too many to be counted.
pub(super) fn apply(graph: &mut Graph, map: &Map, pixels: usize, [x, w]: [Id; 2]) -> Result<Id> {
    let rows = graph.shape(x).rows();
    let running = graph.declared(&running_name(&map.name));
    let running = running.ok_or_else(|| Error::Bug(format!("{} has no running moments", map.name)))?;
    let x = in_rows(graph, x, [rows * pixels, map.outputs])?;
    let ([scale, shift], old) = (halves(graph, w)?, halves(graph, running)?);
    // Of each channel one number that x is multiplied by and one that is added, so that sums over a batch are of these alone.
    let times = |scale: Expr, variance: Expr| scale / (variance + EPSILON).sqrt();
    let (mean, scale, shift) = if graph.training {
        let of_example = rows / graph.batch * pixels;
        let [mean, variance] = of_batch(graph, x, pixels)?;
        follow(graph, running, [mean, variance], of_example)?;
        let scale = graph.map([scale, variance, old[1]], |[scale, variance, old]| {
            times(scale, is_one(of_example).select(old, variance))
        })?;
        // What is taken from x is for the sake of rounding: the mean's gradient goes by way of the shift.
        let around = graph.stop_gradient(mean)?;
        let shift = graph.map([shift, around, mean, old[0], scale], |[shift, around, mean, old, scale]| {
            shift + (around - is_one(of_example).select(old, mean)) * scale
        })?;
        (around, scale, shift)
    } else {
        let scale = graph.map([scale, old[1]], |[scale, variance]| times(scale, variance))?;
        (old[0], scale, shift)
    };
    let y = graph.map([x, mean, scale, shift], |[x, mean, scale, shift]| (x - mean) * scale + shift)?;
    graph.reshape(y, &[rows, pixels * map.outputs])
}

/// Whether a batch has one number of a channel, of so many in each example, which has no variance.
fn is_one(of_example: usize) -> Expr {
    (of_example as f32 * Expr::count()).less(1.5)
}

/// Mean and variance of each channel of x, [R·P, C], over all examples that count, each [1, C]. The variance passes no gradient to
/// the mean, whose share of it is 0.
fn of_batch(graph: &mut Graph, x: Id, pixels: usize) -> Result<[Id; 2]> {
    let all = graph.shape(x).rows();
    if all > MAX_ROWS {
        return Err(Error::Usage(format!(
            "a batch has {all} pixels to normalise, and up to {MAX_ROWS} can be told apart: take a smaller train.batch"
        )));
    }
    let mean = mean_of(graph, [x, x], pixels, |[x, _]| x)?;
    let around = graph.stop_gradient(mean)?;
    let variance = mean_of(graph, [x, around], pixels, |[x, around]| (x - around).squared())?;
    Ok([mean, variance])
}

/// The mean of a formula of a tensor [R·P, C], and of another that may have one row, over the examples that count, [1, C]: over the
/// pixels of a row first, so that there are many sums side by side.
fn mean_of(graph: &mut Graph, of: [Id; 2], pixels: usize, f: impl FnOnce([Expr; 2]) -> Expr) -> Result<Id> {
    let (all, channels) = (graph.shape(of[0]).rows(), graph.shape(of[0]).columns());
    let of_example = (all / graph.batch) as f32;
    let counted = |x: Expr| {
        let counting = of_example * Expr::count();
        Expr::row(all).less(counting.clone()).select(x * (1.0 / counting), 0.0)
    };
    let mut mean =
        graph.reduce_map(Reduction::Sum, Axis::Rows(if pixels > 1 { pixels } else { all }), of, |of| counted(f(of)))?;
    if pixels > 1 {
        mean = graph.reduce(Reduction::Sum, Axis::Rows(all / pixels), mean)?;
    }
    in_rows(graph, mean, [1, channels])
}

/// Lets running moments, [2, C], follow those of a batch, of so many numbers of a channel in each example. What diverges in one step
/// stays in no average.
fn follow(graph: &mut Graph, running: Id, [mean, variance]: [Id; 2], of_example: usize) -> Result<()> {
    let (shape, channels) = (graph.shape(running), graph.shape(mean).columns());
    let (old, new) = (graph.as_row(running)?, graph.concatenate(&[mean, variance])?);
    let next = graph.map([old, new], |[old, new]| {
        let n = of_example as f32 * Expr::count();
        let unbiased = Expr::column().less(channels as f32).select(1.0, n.clone() / (n - 1.0).max(1.0));
        let new = new * unbiased;
        let counts = is_one(of_example).select(0.0, new.clone().abs().less(1e30));
        counts.select((1.0 - MOMENTUM) * old.clone() + MOMENTUM * new, old)
    })?;
    let next = graph.add(Op::Reshape { x: next, shape })?;
    graph.assign(running, next)
}
