//! Networks by arithmetic that is the same everywhere: a graph for one example, one operation after the other, in double
//! precision, every sum in the order of its terms, and functions of [`super::portable`]. Engines that are made for speed
//! (GPUs, vectors of several widths, fused multiplications) round differently from machine to machine; a coder whose
//! probabilities differ by a single bit between writer and reader gives nonsense from there on.

use super::portable::{activate, exp, ln, ln_1p, sigmoid, softplus, tanh};
use crate::checkpoint::Tensor;
use crate::error::{Error, Result};
use crate::expr::{Binary, Expr, Instruction, Unary};
use crate::graph::{Axis, ConvGeometry, Elements, Graph, Id, Op, Reduction};
use std::collections::BTreeSet;

/// What is added to variances, as the kernels have it.
const EPS: f64 = 1e-5;

/// What one output of a graph takes, with the parameters of a model.
#[derive(Debug)]
pub struct Network {
    graph: Graph,
    /// Nodes that are computed, each after those that it reads.
    order: Vec<Id>,
    output: Id,
    parameters: Vec<Vec<f64>>,
}

/// What a network is given beside its parameters.
#[derive(Debug, Clone, Copy, Default)]
pub struct Given<'a> {
    /// The example where the graph reads a data set, [D].
    pub example: &'a [f32],
    /// Its class, or that as which is decoded.
    pub class: Option<u32>,
    /// The latent, where the graph is given one, [Z].
    pub latent: &'a [f64],
}

impl Network {
    /// The network that computes `output` in a graph for a batch of one.
    ///
    /// # Errors
    /// [`Error::Usage`] that names an operation which is not known here; [`Error::Data`] for a parameter that is missing or of another
    /// size.
    pub fn new(graph: Graph, output: &str, parameters: &[(String, Tensor)]) -> Result<Self> {
        let found = graph.outputs.iter().find(|(name, _)| name == output);
        let (_, output) = *found.ok_or_else(|| Error::Bug(format!("the graph puts out no `{output}`")))?;
        let mut needed = BTreeSet::from([output]);
        for id in graph.ids().rev() {
            if needed.contains(&id) {
                needed.extend(graph.op(id).inputs(&graph));
            }
        }
        if let Some(op) = needed.iter().map(|&id| graph.op(id)).find(|op| !is_known(op)) {
            return Err(Error::Usage(format!(
                "elbo compress computes networks by an arithmetic of its own, which is the same on every machine and knows no {}; \
                 with --lossy it takes this model",
                op.name()
            )));
        }
        let values = |parameter: &crate::graph::Parameter| {
            let named = parameters.iter().find(|(name, _)| *name == parameter.name);
            let fits = named.filter(|(_, tensor)| tensor.values.len() == parameter.shape.count());
            let (_, tensor) = fits.ok_or_else(|| {
                Error::Data(format!("the model has no parameter `{}` of {}", parameter.name, parameter.shape))
            })?;
            Ok(tensor.values.iter().map(|&value| f64::from(value)).collect())
        };
        let parameters = graph.parameters.iter().map(values).collect::<Result<_>>()?;
        Ok(Self { order: needed.into_iter().collect(), output, parameters, graph })
    }

    /// The output for one example.
    ///
    /// # Errors
    /// [`Error::Diverged`] where it is not finite.
    pub fn run(&self, given: Given) -> Result<Vec<f64>> {
        let mut made = vec![Vec::new(); self.graph.len()];
        for &id in &self.order {
            made[id.0 as usize] = self.make(id, &made, given)?;
        }
        let output = self.value(self.output, &made).to_vec();
        match output.iter().position(|value| !value.is_finite()) {
            Some(at) => Err(Error::Diverged(format!(
                "the network puts out {} in place {at}: the model has diverged",
                output[at]
            ))),
            None => Ok(output),
        }
    }

    /// The numbers of a node that was made.
    fn value<'a>(&'a self, id: Id, made: &'a [Vec<f64>]) -> &'a [f64] {
        match *self.graph.op(id) {
            Op::Parameter { index } => &self.parameters[index],
            Op::Reshape { x, .. } | Op::StopGradient { x } => self.value(x, made),
            _ => &made[id.0 as usize],
        }
    }

    /// What an operation makes.
    fn make(&self, id: Id, made: &[Vec<f64>], given: Given) -> Result<Vec<f64>> {
        let value = |id: Id| self.value(id, made);
        let columns = |id: Id| self.graph.shape(id).columns();
        let each = |x: Id, f: &dyn Fn(f64) -> f64| value(x).iter().map(|&x| f(x)).collect();
        let class = || given.class.map(f64::from).ok_or_else(|| Error::Bug("a network is not told the class".into()));
        Ok(match *self.graph.op(id) {
            // They lie elsewhere: see `value`.
            Op::Parameter { .. } | Op::Reshape { .. } | Op::StopGradient { .. } => vec![],
            Op::Gather { .. } => given.example.iter().map(|&x| x.into()).collect(),
            Op::Input { ref name, .. } if name == "z" => given.latent.to_vec(),
            Op::Class | Op::Input { .. } => vec![class()?],
            Op::Affine { x, w } => rows(value(x), columns(x), &|x| affine(x, value(w))),
            Op::Conv { x, w, window } => conv(value(x), value(w), columns(w), window),
            Op::Depthwise { x, w, window } => depthwise(value(x), value(w), columns(w), window),
            Op::NchwNhwc { x, channels, to_pixels } => planes(value(x), channels, to_pixels),
            Op::ConcatOneHot { x, class, classes } => {
                let class = value(class)[0];
                let ones = (0..classes).map(|at| f64::from(u8::from(class == at as f64)));
                value(x).iter().copied().chain(ones).collect()
            }
            Op::Pool { x, window, factor } => pool(value(x), window, f64::from(factor)),
            Op::GroupMoments { x, channels, groups } => {
                rows(value(x), columns(x), &|x| self::moments(x, channels, groups))
            }
            Op::GroupNorm { x, w, moments } => {
                let (of_row, moments) = (columns(moments), value(moments));
                let all = value(x).chunks_exact(columns(x)).zip(moments.chunks_exact(of_row));
                all.flat_map(|(x, moments)| norm(x, value(w), moments)).collect()
            }
            Op::Product { a, b, batch, transposed } => {
                let sides = [a, b].map(|id| (value(id), columns(id)));
                products(sides, batch, transposed)
            }
            Op::Activation { x, kind } => each(x, &|x| activate(kind, x)),
            Op::Dropout { x, .. } => value(x).to_vec(),
            Op::Add { a, b } => value(a).iter().zip(value(b)).map(|(a, b)| a + b).collect(),
            Op::Multiply { a, b } => value(a).iter().zip(value(b)).map(|(a, b)| a * b).collect(),
            Op::Scale { x, factor } => each(x, &|x| x * f64::from(factor)),
            Op::ConcatBroadcast { x, w, tail } => {
                let w = value(w);
                let repeated = w.iter().flat_map(|&w_| std::iter::repeat_n(w_, tail / w.len()));
                value(x).iter().copied().chain(repeated).collect()
            }
            Op::TableInput { x, columns: ref of } => {
                let mut shown: Vec<f64> = each(x, &|x| if x.is_nan() { 0.0 } else { x });
                for (distribution, places, _) in of.spans() {
                    if distribution.is_count() {
                        shown[places].iter_mut().for_each(|x| *x = ln_1p(x.max(0.0)));
                    }
                }
                shown
            }
            Op::Map(ref of) => formula(of, &|id| value(id)),
            Op::Reduce { ref of, kind, .. } => {
                let all = formula(of, &|id| value(id));
                all.chunks_exact(of.columns).map(|row| reduced(kind, row)).collect()
            }
            ref op => return Err(Error::Bug(format!("{} is known and is not computed", op.name()))),
        })
    }
}

/// Whether an operation can be computed here.
fn is_known(op: &Op) -> bool {
    match op {
        Op::Parameter { .. }
        | Op::Reshape { .. }
        | Op::StopGradient { .. }
        | Op::Gather { .. }
        | Op::Class
        | Op::Affine { .. }
        | Op::Conv { .. }
        | Op::Depthwise { .. }
        | Op::NchwNhwc { .. }
        | Op::ConcatOneHot { .. }
        | Op::Pool { .. }
        | Op::GroupMoments { .. }
        | Op::GroupNorm { .. }
        | Op::Product { .. }
        | Op::Activation { .. }
        | Op::Dropout { .. }
        | Op::Add { .. }
        | Op::Multiply { .. }
        | Op::Scale { .. }
        | Op::ConcatBroadcast { .. }
        | Op::TableInput { .. } => true,
        Op::Input { name, .. } => name == "z" || name == crate::model::CLASS,
        Op::Map(of) => is_plain(&of.f),
        Op::Reduce { of, axis, .. } => is_plain(&of.f) && *axis == Axis::Columns,
        _ => false,
    }
}

/// Whether a formula depends on its operands and its place alone.
pub(crate) fn is_plain(f: &Expr) -> bool {
    !f.code().iter().any(|instruction| matches!(instruction, Instruction::Weight(_) | Instruction::Count))
}

/// What becomes of each row, of so many numbers.
fn rows(x: &[f64], columns: usize, f: &dyn Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    x.chunks_exact(columns).flat_map(f).collect()
}

/// Products of `batch` pairs of matrices, given with their columns; of each its transpose may be stored.
fn products(sides: [(&[f64], usize); 2], batch: usize, [ta, tb]: [bool; 2]) -> Vec<f64> {
    let [(a, wide_a), (b, wide_b)] = sides;
    let [high_a, high_b] = [a.len() / batch / wide_a, b.len() / batch / wide_b];
    let [m, k] = if ta { [wide_a, high_a] } else { [high_a, wide_a] };
    let n = if tb { high_b } else { wide_b };
    let mut made = Vec::with_capacity(batch * m * n);
    for (a, b) in a.chunks_exact(m * k).zip(b.chunks_exact(k * n)) {
        for (row, column) in (0..m).flat_map(|row| (0..n).map(move |column| (row, column))) {
            let term = |at: usize| {
                a[if ta { at * m + row } else { row * k + at }] * b[if tb { column * k + at } else { at * n + column }]
            };
            made.push((0..k).fold(0.0, |sum, at| sum + term(at)));
        }
    }
    made
}

/// x·W + b; the last row of `w` is b.
fn affine(x: &[f64], w: &[f64]) -> Vec<f64> {
    let outputs = w.len() / (x.len() + 1);
    let (weights, bias) = w.split_at(x.len() * outputs);
    let mut y = bias.to_vec();
    for (&x, row) in x.iter().zip(weights.chunks_exact(outputs)).filter(|(x, _)| **x != 0.0) {
        for (y, w) in y.iter_mut().zip(row) {
            *y += x * w;
        }
    }
    y
}

/// The pixel of the image that is read which a pixel of the one that is made sees through a tap.
fn seen(window: ConvGeometry, pixel: usize, tap: usize) -> Option<usize> {
    let (made, source) = (window.made(), window.source());
    let side = |side: usize, at: usize, tap: usize| {
        if window.up {
            let place = (at + window.padding).checked_sub(tap)?;
            let inside = place.is_multiple_of(window.stride) && place / window.stride < source[side];
            inside.then_some(place / window.stride)
        } else {
            (at * window.stride + tap).checked_sub(window.padding).filter(|&at| at < source[side])
        }
    };
    let row = side(0, pixel / made[1], tap / window.kernel)?;
    Some(row * source[1] + side(1, pixel % made[1], tap % window.kernel)?)
}

/// A convolution; channels lie side by side in each pixel.
fn conv(x: &[f64], w: &[f64], outputs: usize, window: ConvGeometry) -> Vec<f64> {
    let [source, made] = [window.source(), window.made()].map(|[height, width]| height * width);
    let (inputs, taps) = (x.len() / source, window.taps());
    let bias = &w[taps * inputs * outputs..];
    let mut y = Vec::with_capacity(made * outputs);
    for pixel in 0..made {
        let mut sums = bias.to_vec();
        for (tap, at) in (0..taps).filter_map(|tap| Some((tap, seen(window, pixel, tap)?))) {
            for (input, &x) in x[at * inputs..][..inputs].iter().enumerate() {
                let row = &w[(tap * inputs + input) * outputs..][..outputs];
                sums.iter_mut().zip(row).for_each(|(sum, w)| *sum += x * w);
            }
        }
        y.extend(sums);
    }
    y
}

/// A convolution of each channel by itself.
fn depthwise(x: &[f64], w: &[f64], channels: usize, window: ConvGeometry) -> Vec<f64> {
    let made = window.made().iter().product::<usize>();
    let sum = |(pixel, channel): (usize, usize)| {
        let seen = (0..window.taps()).filter_map(|tap| Some((tap, seen(window, pixel, tap)?)));
        let bias = w[window.taps() * channels + channel];
        seen.fold(bias, |sum, (tap, at)| sum + x[at * channels + channel] * w[tap * channels + channel])
    };
    (0..made).flat_map(|pixel| (0..channels).map(move |channel| (pixel, channel))).map(sum).collect()
}

/// Sums of what pixels see, times a factor.
fn pool(x: &[f64], window: ConvGeometry, factor: f64) -> Vec<f64> {
    let [source, made] = [window.source(), window.made()].map(|[height, width]| height * width);
    let channels = x.len() / source;
    let sum = |(pixel, channel): (usize, usize)| {
        let seen = (0..window.taps()).filter_map(|tap| seen(window, pixel, tap));
        factor * seen.fold(0.0, |sum, at| sum + x[at * channels + channel])
    };
    (0..made).flat_map(|pixel| (0..channels).map(move |channel| (pixel, channel))).map(sum).collect()
}

/// Images between planes and pixels.
fn planes(x: &[f64], channels: usize, to_pixels: bool) -> Vec<f64> {
    let pixels = x.len() / channels;
    let [outer, inner] = if to_pixels { [pixels, channels] } else { [channels, pixels] };
    (0..x.len()).map(|at| x[at % inner * outer + at / inner]).collect()
}

/// Mean and one over the deviation of each group of channels.
fn moments(x: &[f64], channels: usize, groups: usize) -> Vec<f64> {
    let size = channels / groups;
    let count = (x.len() / groups) as f64;
    let of_group = |group: usize| {
        let values = || x.chunks_exact(channels).flat_map(move |pixel| &pixel[group * size..][..size]);
        let mean = values().fold(0.0, |sum, x| sum + x) / count;
        let variance = values().fold(0.0, |sum, x| sum + (x - mean) * (x - mean)) / count;
        [mean, 1.0 / (variance + EPS).sqrt()]
    };
    (0..groups).flat_map(of_group).collect()
}

/// Group normalisation; the rows of `w` are scale and shift.
fn norm(x: &[f64], w: &[f64], moments: &[f64]) -> Vec<f64> {
    let (channels, groups) = (w.len() / 2, moments.len() / 2);
    let one = |(at, x): (usize, &f64)| {
        let channel = at % channels;
        let group = channel / (channels / groups);
        (x - moments[2 * group]) * moments[2 * group + 1] * w[channel] + w[channels + channel]
    };
    x.iter().enumerate().map(one).collect()
}

/// A formula in all its places, of one that is plain ([`is_plain`]).
pub(crate) fn formula<'a>(of: &Elements, value: &dyn Fn(Id) -> &'a [f64]) -> Vec<f64> {
    let operands: Vec<&[f64]> = of.operands.iter().map(|&(id, _)| value(id)).collect();
    let mut values = Vec::new();
    let mut at = |r: usize, c: usize| {
        values.clear();
        for &instruction in of.f.code() {
            let value = match instruction {
                Instruction::Input(k) => {
                    let access = of.operands[k].1;
                    let row = r / access.share % access.rows;
                    access.column(c).map_or(0.0, |column| operands[k][row * access.width + column])
                }
                Instruction::Constant(value) => value.into(),
                Instruction::Column(n) => (c % n) as f64,
                Instruction::Row(n) => (r % n) as f64,
                Instruction::Unary(f, a) => unary(f, values[a]),
                Instruction::Binary(f, a, b) => binary(f, values[a], values[b]),
                Instruction::Select(c, a, b) => values[if values[c] == 0.0 { b } else { a }],
                // None in a formula that is plain.
                Instruction::Weight(_) | Instruction::Count => f64::NAN,
            };
            values.push(value);
        }
        values[values.len() - 1]
    };
    let mut made = Vec::with_capacity(of.rows * of.columns);
    for r in 0..of.rows {
        made.extend((0..of.columns).map(|c| at(r, c)));
    }
    made
}

fn unary(f: Unary, x: f64) -> f64 {
    match f {
        Unary::Negate => -x,
        Unary::Abs => x.abs(),
        Unary::Exp => exp(x),
        Unary::Log => ln(x),
        Unary::Log1p => ln_1p(x),
        Unary::Sqrt => x.sqrt(),
        Unary::Tanh => tanh(x),
        Unary::Sigmoid => sigmoid(x),
        Unary::Softplus => softplus(x),
    }
}

fn binary(f: Binary, a: f64, b: f64) -> f64 {
    let holds = |holds: bool| f64::from(u8::from(holds));
    match f {
        Binary::Add => a + b,
        Binary::Subtract => a - b,
        Binary::Multiply => a * b,
        Binary::Divide => a / b,
        Binary::Max => {
            if a > b {
                a
            } else {
                b
            }
        }
        Binary::Min => {
            if a < b {
                a
            } else {
                b
            }
        }
        Binary::Less => holds(a < b),
        Binary::AtMost => holds(a <= b),
        Binary::Equal => holds(a == b),
    }
}

/// A row that becomes one number.
fn reduced(kind: Reduction, row: &[f64]) -> f64 {
    let best = |better: fn(f64, f64) -> bool| {
        (1..row.len()).fold(0, |best, at| if better(row[at], row[best]) { at } else { best })
    };
    match kind {
        Reduction::Sum => row.iter().fold(0.0, |sum, x| sum + x),
        Reduction::Max => row[best(|a, b| a > b)],
        Reduction::LogSumExp => {
            let largest = row[best(|a, b| a > b)];
            largest + ln(row.iter().fold(0.0, |sum, x| sum + exp(x - largest)))
        }
        Reduction::ArgMax => best(|a, b| a > b) as f64,
        Reduction::ArgMin => best(|a, b| a < b) as f64,
    }
}
