//! The operations and their shape rules.
//!
//! Letters: B examples of the batch, K rows (samples) per example, R = B·K rows, D values per example, Z latent
//! dimensions, H width of a layer.

use super::columns::Columns;
use super::conv_geometry::{ConvGeometry, pixels};
use super::general::{Axis, Elements, Reduction, reduced};
use super::grad::{differentiable, reads};
use super::mixture::Mixture;
use super::{Graph, Id};
use crate::config::{Activation, Binarise, Cell, MAX_UNITS};
use crate::error::{Error, Result};
use crate::shape::Shape;
use std::sync::Arc;

/// The range to which log-variances are limited before exp; the gradient outside is zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clamp {
    /// Smallest log-variance.
    pub low: f32,
    /// Largest log-variance.
    pub high: f32,
}

/// How the resident data set stores an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Bytes, read as x/255.
    Bytes,
    /// f32.
    Floats,
    /// f32, numbers of tokens of a vocabulary of so many.
    Tokens(usize),
    /// A number for each column, f32: of so many categories, which become a one among zeros, or where that is 0 taken as it is.
    Codes(Arc<[u32]>),
    /// Only what is not zero, with its place: so many words for an example that is stored by itself.
    Sparse(usize),
}

/// The variance of a Gaussian likelihood.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Variance {
    /// The same log-variance everywhere, given.
    Fixed(f32),
    /// Per value: the second half of each row of the decoder's output is the log-variance.
    Learned(Clamp),
}

/// What becomes of the KL of each group of `size` neighbouring latent dimensions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum KlPenalty {
    /// At least `bound` nats in the batch's mean.
    FreeBits {
        /// What costs nothing, in nats.
        bound: f32,
        /// Dimensions of a group.
        size: usize,
    },
    /// Its distance from one of the step's weights, in the batch's mean.
    Capacity {
        /// Dimensions of a group.
        size: usize,
        /// Which weight.
        weight: usize,
    },
}

impl KlPenalty {
    /// Dimensions of a group.
    pub fn size(&self) -> usize {
        match *self {
            Self::FreeBits { size, .. } | Self::Capacity { size, .. } => size,
        }
    }
}

/// One operation; passes match on it exhaustively.
#[expect(missing_docs, reason = "each variant says what its fields are")]
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// A trainable tensor.
    Parameter { index: usize },
    /// A tensor that the host writes.
    Input { name: String, shape: Shape },
    /// The batch's examples out of the resident data set, [B, D].
    Gather { width: usize, source: Source, binarise: Binarise },
    /// The class of each of the batch's examples, counted from 0, [B].
    Class,
    /// Standard normal deviates, [R, Z]; other ones for each stochastic layer, counted from 0.
    Noise { rows: usize, width: usize, layer: usize },
    /// What each of R rows weighs in the mean over the batch, times the loss weight `weight`, [R].
    RowWeights { rows: usize, weight: usize },
    /// x·W + b, [R, in]·[in + 1, out] → [R, out]; the last row of `w` is b.
    Affine { x: Id, w: Id },
    /// A convolution, or where the window goes up a transposed one, of images whose channels lie side by side in each
    /// pixel, [R, pixels·in], [taps·in + 1, out] → [R, pixels·out]; the last row of `w` is the bias.
    Conv { x: Id, w: Id, window: ConvGeometry },
    /// A convolution of each channel by itself, [R, pixels·C], [taps + 1, C] → [R, pixels·C]; the last row of `w` is the bias.
    Depthwise { x: Id, w: Id, window: ConvGeometry },
    /// Images of one plane after the other, as data sets store them, [R, channels·pixels], to images whose channels lie
    /// side by side in each pixel, or back.
    NchwNhwc { x: Id, channels: usize, to_pixels: bool },
    /// Each row with the class of its example behind it, as a one among zeros, [R, N], [B] → [R, N + classes].
    ConcatOneHot { x: Id, class: Id, classes: usize },
    /// The sum of what each pixel sees of the other image, times `factor`, in every channel by itself, [R, pixels·C] →
    /// [R, pixels·C]: means of neighbouring pixels, or where the window goes up, pixels that are repeated.
    Pool { x: Id, window: ConvGeometry, factor: f32 },
    /// Of each of `groups` groups of neighbouring channels, over all pixels, the mean and one over the standard deviation,
    /// [R, pixels·C] → [R, 2·groups].
    GroupMoments { x: Id, channels: usize, groups: usize },
    /// Group normalisation, (x − mean)/deviation·scale + shift, [R, pixels·C], [2, C], [R, 2·groups] → [R, pixels·C]; the
    /// rows of `w` are scale and shift (Wu and He 2018, arXiv 1803.08494). With one group it is layer normalisation.
    GroupNorm { x: Id, w: Id, moments: Id },
    /// A share `rate` of the numbers of x becomes 0, the others x/(1 − rate); which ones is drawn for the graph's `layer`-th
    /// layer of the kind, anew at every step (Srivastava et al. 2014). The gradient is the same operation.
    Dropout { x: Id, rate: f32, layer: usize },
    /// The non-linearity, element by element.
    Activation { x: Id, kind: Activation },
    /// mean + exp(log-variance/2)·eps, [S, 2Z], [R, Z] → [R, Z], with S = B or more rows of statistics (Kingma and Welling 2014, eq. 10).
    Sample { stats: Id, eps: Id, clamp: Clamp },
    /// KL(N(mean, variance) ‖ N(0, 1)) per row of statistics, [S, 2Z] → [S] (Kingma and Welling 2014, appendix B).
    Kl { stats: Id, clamp: Clamp },
    /// The mean over the batch of the KL of each of Z/size groups of neighbouring dimensions, [B, 2Z] → [Z/size]. It has no
    /// gradient rule.
    KlMeans { stats: Id, clamp: Clamp, size: usize },
    /// The KL per example, shaped by its means over the batch, [B, 2Z], [Z/size] → [B].
    ShapedKl { stats: Id, means: Id, clamp: Clamp, shape: KlPenalty },
    /// log q(z|x) − log N(z; 0, 1) per row, [S, 2Z], [R, Z], [R, Z] → [R].
    LogRatio { stats: Id, eps: Id, z: Id, clamp: Clamp },
    /// log N(z; 0, 1) − log N(z; mean, variance) per row, [R, Z], [R, 2Z] → [R]: added to `LogRatio` it puts the prior of a
    /// lower stochastic layer in the place of N(0, 1).
    LogPrior { z: Id, prior: Id, clamp: Clamp },
    /// The importance-weighted bound of each group of `size` samples, [R], [R] → [R/size].
    Bound { distortion: Id, ratio: Id, size: usize },
    /// Running log-mean-exp over samples of −distortion − ratio, [R], [R] → [B, 2] (maximum, sum). Evaluation only.
    LogMeanExp { distortion: Id, ratio: Id },
    /// −log Bernoulli(x; sigmoid(logits)) per row, [R, D], [B, D] → [R].
    Bernoulli { logits: Id, x: Id },
    /// −log N(x; mean, variance) per row, [R, D or 2D], [B, D] → [R].
    Gaussian { out: Id, x: Id, variance: Variance },
    /// −log p(x|z) per row of images of 256 levels, from a mixture of logistics for each pixel; a missing value (a NaN) adds
    /// nothing. [R, O], [B, D] → [R].
    LogisticMixture { out: Id, x: Id, mixture: Mixture },
    /// The mean of each value, out of a decoder's output, [R, O] → [R, D].
    LogisticMixtureMean { out: Id, mixture: Mixture },
    /// The same numbers beside each row, each standing for as many neighbours, [R, D], [N] → [R, D + tail].
    ConcatBroadcast { x: Id, w: Id, tail: usize },
    /// What an encoder is shown of the examples of a table, [B, D]: 0 for what is missing, log(1 + x) for a count.
    TableInput { x: Id, columns: Arc<Columns> },
    /// −log p(x|z) per row, of columns of which each has its own distribution; a column of which a place is missing (a
    /// NaN) adds nothing. [R, O], [B, D] → [R].
    Table { out: Id, x: Id, columns: Arc<Columns> },
    /// The mean of every place, out of a decoder's output, [R, O]: of a category the probability of each level. The
    /// log-variances stay.
    TableMean { out: Id, columns: Arc<Columns> },
    /// a + b.
    Add { a: Id, b: Id },
    /// a·b, element by element.
    Multiply { a: Id, b: Id },
    /// factor·x.
    Scale { x: Id, factor: f32 },
    /// Σ over columns, [R, N] → [R].
    SumRows { x: Id },
    /// Σ over rows, [R, N] → [N].
    SumColumns { x: Id },
    /// [R] → [R, columns]: each row filled with its number.
    BroadcastRows { v: Id, columns: usize },
    /// [N] → [rows, N]: each row a copy of v.
    BroadcastColumns { v: Id, rows: usize },
    /// A formula of the numbers in the same place of other tensors, [R, N].
    Map(Elements),
    /// A formula, [R, N], reduced along an axis: [R], or [R/n, N].
    Reduce { of: Elements, kind: Reduction, axis: Axis },
    /// For each of `batch` parts of the rows the product of two matrices that are both computed, [batch·m, k], [batch·k, n] →
    /// [batch·m, n]; of each matrix its transpose may be stored, [batch·k, m] or [batch·n, k].
    Product { a: Id, b: Id, batch: usize, transposed: [bool; 2] },
    /// Rows by their index, whole numbers below N, [N, W], [R] → [R, W].
    TakeRows { x: Id, index: Id },
    /// The gradient of `TakeRows` for its rows: each row dy is added to the row of its index, in the order of the rows, [R, W],
    /// [R] → [rows, W].
    AddRows { dy: Id, index: Id, rows: usize },
    /// A recurrent layer by the equations of `torch.nn.GRU` or `torch.nn.LSTM` over all T steps of rows, [R·T, GH], [R, SH],
    /// [H + 1, GH] → [R·T, SH], with G gates and S numbers of state of each unit: of what the gates are given at each step, what
    /// the units and behind them their cells are before the first step, and what the units give to the gates of the next, the bias
    /// as the last row. Backward, the last step of the sequence is the first that is read.
    Recurrent { cell: Cell, backward: bool, gates: Id, begun: Id, w: Id },
    /// The same numbers in other extents.
    Reshape { x: Id, shape: Shape },
    /// x, as something that no gradient passes.
    StopGradient { x: Id },
    /// The gradient of what `of` makes for its `input`-th input, counted from 0, given the gradient `dy` of what it makes;
    /// it has that input's shape. The table in `graph/grad.rs` says which inputs have one and what it reads.
    Vjp { of: Id, input: usize, dy: Id },
}

impl Op {
    /// The nodes that the operation reads, in the order of its fields.
    pub fn inputs(&self, graph: &Graph) -> Vec<Id> {
        use Op::*;
        match *self {
            Parameter { .. } | Input { .. } | Gather { .. } | Class | Noise { .. } | RowWeights { .. } => vec![],
            Affine { x, w } | Conv { x, w, .. } | Depthwise { x, w, .. } | ConcatBroadcast { x, w, .. } => vec![x, w],
            GroupNorm { x, w, moments } => vec![x, w, moments],
            NchwNhwc { x, .. }
            | Reshape { x, .. }
            | StopGradient { x }
            | Pool { x, .. }
            | GroupMoments { x, .. }
            | Dropout { x, .. }
            | Activation { x, .. }
            | Scale { x, .. }
            | SumRows { x }
            | SumColumns { x }
            | TableInput { x, .. } => vec![x],
            ConcatOneHot { x, class, .. } => vec![x, class],
            Sample { stats, eps, .. } => vec![stats, eps],
            Kl { stats, .. } | KlMeans { stats, .. } => vec![stats],
            LogRatio { stats, eps, z, .. } => vec![stats, eps, z],
            LogMeanExp { distortion, ratio } | Bound { distortion, ratio, .. } => vec![distortion, ratio],
            LogPrior { z, prior, .. } => vec![z, prior],
            ShapedKl { stats, means, .. } => vec![stats, means],
            Bernoulli { logits, x } => vec![logits, x],
            Gaussian { out, x, .. } | Table { out, x, .. } | LogisticMixture { out, x, .. } => vec![out, x],
            TableMean { out, .. } | LogisticMixtureMean { out, .. } => vec![out],
            Add { a, b } | Multiply { a, b } | Product { a, b, .. } => vec![a, b],
            BroadcastRows { v, .. } | BroadcastColumns { v, .. } => vec![v],
            Map(ref of) | Reduce { ref of, .. } => of.operands.iter().map(|&(id, _)| id).collect(),
            TakeRows { x, index } => vec![x, index],
            AddRows { dy, index, .. } => vec![dy, index],
            Recurrent { gates, begun, w, .. } => vec![gates, begun, w],
            Vjp { of, input, dy } => reads(graph, of, input, dy),
        }
    }

    /// The operation's name, for messages and printed plans.
    pub fn name(&self) -> String {
        let text = format!("{self:?}");
        text.split([' ', '{', '(']).next().unwrap_or_default().to_owned()
    }
}

/// The shape of what an operation makes, or an error that names it and the shapes that do not meet.
///
/// # Errors
/// [`Error::Bug`] that names the operation and the shapes which do not meet.
pub fn infer(op: &Op, graph: &Graph) -> Result<Shape> {
    use Op::*;
    let shape = |id: Id| graph.shape(id);
    let need = |holds: bool| if holds { Ok(()) } else { Err(mismatch(op, graph)) };
    let per_example = |rows: usize| rows > 0 && rows.is_multiple_of(graph.batch.max(1));
    Ok(match *op {
        Parameter { index } => graph.parameters[index].shape,
        Input { shape, .. } => shape,
        Gather { width, .. } => Shape::new(&[graph.batch, width]),
        Class => Shape::new(&[graph.batch]),
        Noise { rows, width, .. } => {
            need(per_example(rows))?;
            Shape::new(&[rows, width])
        }
        RowWeights { rows, .. } => {
            need(per_example(rows))?;
            Shape::new(&[rows])
        }
        Affine { x, w } => {
            need(shape(x).columns() + 1 == shape(w).rows())?;
            Shape::new(&[shape(x).rows(), shape(w).columns()])
        }
        Conv { x, w, window } => {
            need(shape(x).columns() == pixels(window.source()) * channels_in(shape(w), window))?;
            Shape::new(&[shape(x).rows(), pixels(window.made()) * shape(w).columns()])
        }
        Depthwise { x, w, window } => {
            let channels = shape(w).columns();
            need(!window.up && shape(w).rows() == window.taps() + 1)?;
            need(shape(x).columns() == pixels(window.source()) * channels)?;
            Shape::new(&[shape(x).rows(), pixels(window.made()) * channels])
        }
        NchwNhwc { x, channels, .. } => {
            need(shape(x).columns().is_multiple_of(channels))?;
            shape(x)
        }
        ConcatOneHot { x, class, classes } => {
            need(shape(class) == Shape::new(&[graph.batch]) && per_example(shape(x).rows()))?;
            Shape::new(&[shape(x).rows(), shape(x).columns() + classes])
        }
        Pool { x, window, .. } => {
            let source = pixels(window.source());
            need(shape(x).columns().is_multiple_of(source) && window.padding == 0)?;
            Shape::new(&[shape(x).rows(), shape(x).columns() / source * pixels(window.made())])
        }
        GroupMoments { x, channels, groups } => {
            need(shape(x).columns().is_multiple_of(channels) && groups > 0 && channels.is_multiple_of(groups))?;
            Shape::new(&[shape(x).rows(), 2 * groups])
        }
        GroupNorm { x, w, moments } => {
            let channels = shape(w).columns();
            need(shape(w).rows() == 2 && fits_moments(shape(x), shape(moments), channels))?;
            shape(x)
        }
        Dropout { x, .. } => {
            need(per_example(shape(x).rows()))?;
            shape(x)
        }
        Activation { x, .. } | Scale { x, .. } | StopGradient { x } => shape(x),
        Sample { stats, eps, .. } | LogRatio { stats, eps, .. } => {
            need(shape(stats).columns() == 2 * shape(eps).columns())?;
            let of = shape(stats).rows();
            need(per_example(of) && shape(eps).rows() >= of && shape(eps).rows().is_multiple_of(of))?;
            match *op {
                LogRatio { z, .. } => {
                    need(shape(z) == shape(eps))?;
                    Shape::new(&[shape(eps).rows()])
                }
                _ => shape(eps),
            }
        }
        Kl { stats, .. } => {
            need(shape(stats).columns().is_multiple_of(2) && per_example(shape(stats).rows()))?;
            Shape::new(&[shape(stats).rows()])
        }
        KlMeans { stats, size, .. } => {
            let latent = shape(stats).columns() / 2;
            need(shape(stats).rows() == graph.batch && size > 0 && latent.is_multiple_of(size))?;
            Shape::new(&[latent / size])
        }
        ShapedKl { stats, means, shape: ref kind, .. } => {
            need(
                shape(stats).rows() == graph.batch && 2 * kind.size() * shape(means).count() == shape(stats).columns(),
            )?;
            Shape::new(&[graph.batch])
        }
        LogPrior { z, prior, .. } => {
            let [rows, latent] = [shape(z).rows(), shape(z).columns()];
            need(per_example(rows) && shape(prior) == Shape::new(&[rows, 2 * latent]))?;
            Shape::new(&[rows])
        }
        Bound { distortion, ratio, size } => {
            let groups = shape(ratio).rows() / size.max(1);
            need(shape(distortion) == shape(ratio) && groups * size == shape(ratio).rows() && per_example(groups))?;
            Shape::new(&[groups])
        }
        LogMeanExp { distortion, ratio } => {
            need(shape(distortion) == shape(ratio) && per_example(shape(ratio).rows()))?;
            Shape::new(&[graph.batch, 2])
        }
        Bernoulli { logits, x } => {
            need(shape(logits).columns() == shape(x).columns())?;
            likelihood_shape(op, graph, logits, x)?
        }
        Gaussian { out, x, variance } => {
            let halves = if matches!(variance, Variance::Learned(_)) { 2 } else { 1 };
            need(shape(out).columns() == halves * shape(x).columns())?;
            likelihood_shape(op, graph, out, x)?
        }
        LogisticMixture { out, x, mixture } => {
            let width = shape(x).columns();
            need(width.is_multiple_of(mixture.channels) && shape(out).columns() == mixture.outputs(width))?;
            likelihood_shape(op, graph, out, x)?
        }
        LogisticMixtureMean { out, mixture } => {
            let pixels = shape(out).columns() / mixture.of_network(mixture.channels);
            need(shape(out).columns() == mixture.of_network(mixture.channels * pixels))?;
            Shape::new(&[shape(out).rows(), mixture.channels * pixels])
        }
        ConcatBroadcast { x, w, tail } => {
            need(shape(w).count() > 0 && tail.is_multiple_of(shape(w).count()))?;
            Shape::new(&[shape(x).rows(), shape(x).columns() + tail])
        }
        TableInput { x, ref columns } => {
            need(shape(x) == Shape::new(&[graph.batch, columns.width()]))?;
            shape(x)
        }
        Table { out, x, ref columns } => {
            need(shape(out).columns() == columns.outputs() && shape(x).columns() == columns.width())?;
            likelihood_shape(op, graph, out, x)?
        }
        TableMean { out, ref columns } => {
            need(shape(out).columns() == columns.outputs())?;
            shape(out)
        }
        Add { a, b } | Multiply { a, b } => {
            need(shape(a) == shape(b))?;
            shape(a)
        }
        SumRows { x } => Shape::new(&[shape(x).rows()]),
        SumColumns { x } => Shape::new(&[shape(x).columns()]),
        BroadcastRows { v, columns } => Shape::new(&[shape(v).count(), columns]),
        BroadcastColumns { v, rows } => Shape::new(&[rows, shape(v).count()]),
        Map(ref of) => {
            need(graph.is_sound(of))?;
            of.shape()
        }
        Reduce { ref of, axis, .. } => {
            need(graph.is_sound(of) && axis.rows() > 0 && of.rows.is_multiple_of(axis.rows()))?;
            reduced(of, axis)
        }
        Product { a, b, batch, transposed } => {
            let [[m, k], [other, n]] = [(a, transposed[0]), (b, transposed[1])].map(|(id, transposed)| {
                let [rows, columns] = [shape(id).rows() / batch.max(1), shape(id).columns()];
                if transposed { [columns, rows] } else { [rows, columns] }
            });
            let whole = |id: Id| batch > 0 && shape(id).rows().is_multiple_of(batch);
            need(whole(a) && whole(b) && k == other)?;
            Shape::new(&[batch * m, n])
        }
        TakeRows { x, index } => Shape::new(&[shape(index).count(), shape(x).columns()]),
        AddRows { dy, index, rows } => {
            need(shape(dy).rows() == shape(index).count())?;
            Shape::new(&[rows, shape(dy).columns()])
        }
        Recurrent { cell, gates, begun, w, .. } => {
            let (rows, all, wide) = (shape(begun).rows(), shape(begun).columns(), shape(gates).columns());
            let width = all / cell.states();
            need(rows > 0 && shape(gates).rows().is_multiple_of(rows) && all == cell.states() * width)?;
            need(wide == cell.gates() * width && shape(w) == Shape::new(&[width + 1, wide]) && width <= MAX_UNITS)?;
            Shape::new(&[shape(gates).rows(), all])
        }
        Reshape { x, shape: new } => {
            need(shape(x).count() == new.count())?;
            new
        }
        Vjp { of, input, dy } => {
            need(shape(dy) == shape(of))?;
            let node = graph.op(of);
            match node.inputs(graph).get(input) {
                Some(&input_id) if differentiable(node).contains(&input) => shape(input_id),
                _ => return Err(Error::Bug(format!("{} has no gradient rule for its input {input}", node.name()))),
            }
        }
    })
}

/// Whether images of so many channels have these moments.
fn fits_moments(x: Shape, moments: Shape, channels: usize) -> bool {
    let groups = moments.columns() / 2;
    x.rows() == moments.rows() && x.columns().is_multiple_of(channels) && channels.is_multiple_of(groups)
}

/// The channels that a convolution with parameters of this shape reads.
fn channels_in(w: Shape, window: ConvGeometry) -> usize {
    (w.rows() - 1) / window.taps()
}

/// A likelihood gives one number per row of the decoder's output.
fn likelihood_shape(op: &Op, graph: &Graph, out: Id, x: Id) -> Result<Shape> {
    let (rows, examples) = (graph.shape(out).rows(), graph.shape(x).rows());
    let fits = examples == graph.batch && rows.is_multiple_of(examples.max(1));
    if fits { Ok(Shape::new(&[rows])) } else { Err(mismatch(op, graph)) }
}

fn mismatch(op: &Op, graph: &Graph) -> Error {
    let shapes: Vec<String> = op.inputs(graph).iter().map(|&id| graph.shape(id).to_string()).collect();
    Error::Bug(format!("{}: shapes {} do not meet (batch {})", op.name(), shapes.join(" and "), graph.batch))
}
