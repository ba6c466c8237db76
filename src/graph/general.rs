//! The general operations: a small set from which anything can be written, closed under differentiation.
//!
//! - [`Op::Map`], a formula of the numbers in the same place of other tensors, which repeat along rows or columns where they
//!   are smaller; slices, concatenation, reversal, masks and one-hot rows are such formulas too;
//! - [`Op::Reduce`], such a formula added up (or its largest, or the place of its largest) along rows or columns;
//! - [`Op::Product`], products of matrices that are both computed, one for each of a batch;
//! - [`Op::TakeRows`], rows by their index, and [`Op::AddRows`], its gradient;
//! - [`Op::Reshape`] and [`Op::StopGradient`], which cost nothing.
//!
//! Formulas may be of any size: of those that are too much for one step, parts are stored before it (`graph/parts.rs`).
//!
//! A new term of a loss is written with them alone: shader, gradient and the function of the CPU engine follow.
//!
//! ```
//! # use elbo::graph::{Axis, Graph, Op, Reduction};
//! # use elbo::shape::Shape;
//! # fn main() -> elbo::error::Result<()> {
//! # let mut graph = Graph::new(8);
//! # let z = graph.add(Op::Input { name: "z".into(), shape: Shape::new(&[8, 3]) })?;
//! // Half the squared length of each row: [R, Z] to [R].
//! let energy = graph.reduce_map(Reduction::Sum, Axis::Columns, [z], |[z]| 0.5 * z.squared())?;
//! graph.term("energy", energy, 1);
//! # Ok(())
//! # }
//! ```

use super::{Graph, Id, Op};
use crate::error::{Error, Result};
use crate::expr::derivative::gradient;
use crate::expr::words::Access;
use crate::expr::{Expr, Instruction};
use crate::shape::Shape;

/// The most tensors that one step looks at for a formula: with what it makes, as many storage buffers as any device binds. Of
/// a formula of more, parts are stored by themselves.
pub const MAX_OPERANDS: usize = 7;

/// The longest formula that others are put into.
const MAX_CODE: usize = 64;

/// A tensor [rows, columns] that a formula describes, whether it is stored or not.
#[derive(Debug, Clone, PartialEq)]
pub struct Elements {
    /// The tensors that the formula looks at, and how.
    pub operands: Vec<(Id, Access)>,
    /// The formula.
    pub f: Expr,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
}

/// What becomes of many numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    /// Their sum.
    Sum,
    /// The largest. Its gradient goes to the first of those that are equally large.
    Max,
    /// The logarithm of the sum of their exponentials.
    LogSumExp,
    /// The place of the largest, counted from 0; of several the first. It has no gradient.
    ArgMax,
    /// The place of the smallest, likewise.
    ArgMin,
}

/// Along what is reduced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    /// All columns of a row, [R, N] → [R].
    Columns,
    /// So many neighbouring rows, column by column, [R, N] → [R/n, N].
    Rows(usize),
    /// So many rows that lie equally far apart, likewise: rows that are alike in [`Graph::tile`].
    Tiles(usize),
}

impl Axis {
    /// Rows that become one.
    pub fn rows(self) -> usize {
        match self {
            Self::Columns => 1,
            Self::Rows(size) | Self::Tiles(size) => size,
        }
    }
}

impl Elements {
    /// Its shape: one extent where there is one column, else two.
    pub fn shape(&self) -> Shape {
        matrix(self.rows, self.columns)
    }
}

/// A shape of one extent where there is one column, else of two.
pub(super) fn matrix(rows: usize, columns: usize) -> Shape {
    if columns == 1 { Shape::new(&[rows]) } else { Shape::new(&[rows, columns]) }
}

/// The shape that a reduction gives.
pub(super) fn reduced(of: &Elements, axis: Axis) -> Shape {
    match axis {
        Axis::Columns => Shape::new(&[of.rows]),
        Axis::Rows(size) | Axis::Tiles(size) => matrix(of.rows / size, of.columns),
    }
}

/// How a tensor is looked up where every place has its own number.
fn own(shape: Shape) -> Access {
    Access::own(shape.rows(), shape.columns())
}

/// How a tensor is looked up for one of `rows` rows and `columns` columns: extents of 1, and rows that go into the others
/// without a rest, repeat.
fn broadcast(shape: Shape, rows: usize, columns: usize) -> Option<Access> {
    let (own_rows, width) = (shape.rows(), shape.columns());
    let fits = own_rows > 0 && rows.is_multiple_of(own_rows) && (width == columns || width == 1);
    let shift = (width == columns).then_some(0);
    fits.then(|| Access { share: rows / own_rows, rows: own_rows, width, shift, reversed: false })
}

impl Graph {
    /// The formula `f` of tensors, element by element. Tensors of one column, [R], repeat along columns; of R/k rows each
    /// repeats for k neighbouring rows (samples of an example; with one row, for all).
    ///
    /// # Errors
    /// A bug, where shapes do not meet.
    pub fn map<const N: usize>(&mut self, inputs: [Id; N], f: impl FnOnce([Expr; N]) -> Expr) -> Result<Id> {
        let of = self.elements(inputs, f)?;
        self.add(Op::Map(of))
    }

    /// The same formula, reduced along an axis without being stored.
    ///
    /// # Errors
    /// As of [`Graph::map`].
    pub fn reduce_map<const N: usize>(
        &mut self,
        kind: Reduction,
        axis: Axis,
        inputs: [Id; N],
        f: impl FnOnce([Expr; N]) -> Expr,
    ) -> Result<Id> {
        let of = self.elements(inputs, f)?;
        self.add(Op::Reduce { of, kind, axis })
    }

    /// A tensor reduced along an axis.
    ///
    /// # Errors
    /// A bug, where the rows of a group do not go into all rows.
    pub fn reduce(&mut self, kind: Reduction, axis: Axis, x: Id) -> Result<Id> {
        self.reduce_map(kind, axis, [x], |[x]| x)
    }

    /// Columns `start` to `start + width` of a tensor. Those that lie outside of it are 0.
    ///
    /// # Errors
    /// None that depends on shapes.
    pub fn columns(&mut self, x: Id, start: i32, width: usize) -> Result<Id> {
        let shape = self.shape(x);
        let access = Access { shift: Some(start), ..own(shape) };
        let of = Elements { operands: vec![(x, access)], f: Expr::input(0), rows: shape.rows(), columns: width };
        self.add(Op::Map(of))
    }

    /// The columns of a tensor from the last to the first.
    ///
    /// # Errors
    /// None that depends on shapes.
    pub fn reverse(&mut self, x: Id) -> Result<Id> {
        let shape = self.shape(x);
        let (rows, columns) = (shape.rows(), shape.columns());
        let access = Access { shift: Some(columns as i32 - 1), reversed: true, ..own(shape) };
        self.add(Op::Map(Elements { operands: vec![(x, access)], f: Expr::input(0), rows, columns }))
    }

    /// Tensors of as many rows side by side, however many.
    ///
    /// # Errors
    /// A bug, where rows are not as many.
    pub fn concatenate(&mut self, parts: &[Id]) -> Result<Id> {
        if parts.len() > MAX_OPERANDS {
            // As many of each step as it takes, so that none of them stores more than it has to.
            let size = parts.len().div_ceil(MAX_OPERANDS).max(2);
            let wider = parts.chunks(size).map(|parts| self.concatenate(parts)).collect::<Result<Vec<Id>>>()?;
            return self.concatenate(&wider);
        }
        let width: usize = parts.iter().map(|&part| self.shape(part).columns()).sum();
        let rows = parts.first().map_or(0, |&part| self.shape(part).rows());
        let mut start = 0;
        let mut operands = Vec::new();
        for &part in parts {
            let shape = self.shape(part);
            if shape.rows() != rows {
                return Err(Error::Bug(format!("{shape} cannot stand beside {} others of {rows} rows", parts.len())));
            }
            operands.push((part, Access { shift: Some(-start), ..own(shape) }));
            start += shape.columns() as i32;
        }
        let f = (1..parts.len()).fold(Expr::input(0), |sum, k| sum + Expr::input(k));
        self.add(Op::Map(Elements { operands, f, rows, columns: width }))
    }

    /// The tensor below itself, `times` times: row r reads row r modulo R.
    ///
    /// # Errors
    /// None that depends on shapes.
    pub fn tile(&mut self, x: Id, times: usize) -> Result<Id> {
        let shape = self.shape(x);
        let (rows, columns) = (shape.rows() * times, shape.columns());
        self.add(Op::Map(Elements { operands: vec![(x, own(shape))], f: Expr::input(0), rows, columns }))
    }

    /// The tensor with each row repeated, so that there are `rows` of them: row r reads row r·R/rows, rounded down.
    ///
    /// # Errors
    /// A bug, where `rows` is no multiple of R.
    pub fn repeat(&mut self, x: Id, rows: usize) -> Result<Id> {
        let shape = self.shape(x);
        if shape.rows() == rows {
            return Ok(x);
        }
        let access = broadcast(shape, rows, shape.columns());
        let access = access.ok_or_else(|| Error::Bug(format!("{shape} does not repeat to {rows} rows")))?;
        self.add(Op::Map(Elements { operands: vec![(x, access)], f: Expr::input(0), rows, columns: shape.columns() }))
    }

    /// For each index a row of `classes` numbers, 1 in the column of that number and 0 elsewhere: [R] → [R, classes].
    ///
    /// # Errors
    /// None that depends on shapes.
    pub fn one_hot(&mut self, index: Id, classes: usize) -> Result<Id> {
        let rows = self.shape(index).count();
        let access = Access { shift: None, ..Access::own(rows, 1) };
        let f = Expr::input(0).equal(Expr::column());
        self.add(Op::Map(Elements { operands: vec![(index, access)], f, rows, columns: classes }))
    }

    /// The same numbers in other extents.
    ///
    /// # Errors
    /// A bug, where the extents hold more or fewer numbers.
    pub fn reshape(&mut self, x: Id, extents: &[usize]) -> Result<Id> {
        self.add(Op::Reshape { x, shape: Shape::new(extents) })
    }

    /// The numbers of a vector as one row.
    ///
    /// # Errors
    /// None that depends on shapes.
    pub fn as_row(&mut self, x: Id) -> Result<Id> {
        self.reshape(x, &[1, self.shape(x).count()])
    }

    /// The tensor as something that no gradient passes.
    ///
    /// # Errors
    /// None that depends on shapes.
    pub fn stop_gradient(&mut self, x: Id) -> Result<Id> {
        self.add(Op::StopGradient { x })
    }

    /// A formula of tensors, not yet an operation.
    fn elements<const N: usize>(&self, inputs: [Id; N], f: impl FnOnce([Expr; N]) -> Expr) -> Result<Elements> {
        let shapes = inputs.map(|id| self.shape(id));
        let rows = shapes.iter().map(Shape::rows).max().unwrap_or(1);
        let columns = shapes.iter().map(Shape::columns).max().unwrap_or(1);
        let mut operands = Vec::new();
        for (id, shape) in inputs.into_iter().zip(shapes) {
            let access = broadcast(shape, rows, columns);
            let access = access.ok_or_else(|| Error::Bug(format!("{shape} does not repeat to [{rows}, {columns}]")))?;
            operands.push((id, access));
        }
        let mut k = 0..;
        let f = f(inputs.map(|_| Expr::input(k.next().unwrap_or(0))));
        Ok(Elements { operands, f, rows, columns })
    }

    /// Whether the formula looks at what it says it looks at.
    pub(super) fn is_sound(&self, of: &Elements) -> bool {
        let fits = |&(id, access): &(Id, Access)| {
            let shape = self.shape(id);
            (access.rows, access.width) == (shape.rows(), shape.columns())
                && access.share > 0
                && of.rows.is_multiple_of(access.share * access.rows)
        };
        let (count, needed) = (of.operands.len(), of.f.inputs());
        of.rows > 0 && of.columns > 0 && needed <= count && of.operands.iter().all(fits)
    }
}

/// The gradient of a formula for its operand `k`, as a tensor like that operand; nothing where the formula does not depend on
/// it. The adjoint of each place is `dy`, a formula of the same operands and, behind them, of `beside`.
pub(super) fn of_operand(
    graph: &mut Graph,
    of: &Elements,
    k: usize,
    dy: &Expr,
    beside: &[(Id, Access)],
) -> Result<Option<Id>> {
    let marker = of.operands.len() + beside.len();
    let Some(slope) = gradient(&of.f, k, marker) else { return Ok(None) };
    let f = slope.with(marker, dy, |_, operand| operand);
    let (id, access) = of.operands[k];
    let operands = of.operands.iter().chain(beside).copied().collect();
    let all = pruned(&Elements { operands, f, ..of.clone() });
    // What one number was read for is added up: columns, then neighbouring rows, then rows of a tile.
    let tiles = of.rows / (access.share * access.rows);
    let repeats = access.shift.is_none() && of.columns > 1;
    let axes = [
        repeats.then_some(Axis::Columns),
        (access.share > 1).then_some(Axis::Rows(access.share)),
        (tiles > 1).then_some(Axis::Tiles(tiles)),
    ];
    let mut axes = axes.into_iter().flatten();
    let mut found = match (axes.next(), &all.operands[..]) {
        (Some(axis), _) => graph.add(Op::Reduce { of: all, kind: Reduction::Sum, axis })?,
        (None, &[(id, access)]) if all.f.is_identity() && access == Access::own(all.rows, all.columns) => id,
        (None, _) => graph.add(Op::Map(all))?,
    };
    for axis in axes {
        found = graph.reduce(Reduction::Sum, axis, found)?;
    }
    let columns = graph.shape(found).columns();
    let begun = access.shift.filter(|&shift| shift != 0 || access.reversed || access.width != columns);
    if let Some(shift) = begun {
        // The way back of a column c + shift is c − shift, and that of shift − c is itself.
        let shift = if access.reversed { shift } else { -shift };
        let back = Access { shift: Some(shift), reversed: access.reversed, ..own(graph.shape(found)) };
        let (rows, f) = (graph.shape(found).rows(), Expr::input(0));
        found = graph.add(Op::Map(Elements { operands: vec![(found, back)], f, rows, columns: access.width }))?;
    }
    let shape = graph.shape(id);
    if graph.shape(found) == shape { Ok(Some(found)) } else { graph.reshape(found, shape.extents()).map(Some) }
}

/// The gradient of a reduction `id`, whose adjoint is `dy`, for the operand `k` of its formula.
pub(super) fn of_reduced(graph: &mut Graph, id: Id, dy: Id, k: usize) -> Result<Option<Id>> {
    let Op::Reduce { of, kind, axis } = graph.op(id).clone() else { return Ok(None) };
    let count = of.operands.len();
    let [result, d] = [Expr::input(count), Expr::input(count + 1)];
    let (result_id, adjoint) = match kind {
        Reduction::Sum => (id, d),
        Reduction::LogSumExp => (id, d * (of.f.clone() - result).exp()),
        Reduction::Max => {
            let here = match axis {
                Axis::Columns => result.equal(Expr::column()),
                Axis::Rows(size) => result.equal(Expr::row(size)),
                // The first row of a tile from that of the first one, which is exact as long as a row has a number.
                Axis::Tiles(size) => {
                    let apart = of.rows / size;
                    (Expr::row(of.rows) - Expr::row(apart)).equal(result * apart as f32)
                }
            };
            // One place for the gradients of all operands.
            let largest = graph.shared(Op::Reduce { of: of.clone(), kind: Reduction::ArgMax, axis })?;
            (largest, here.select(d, 0.0))
        }
        Reduction::ArgMax | Reduction::ArgMin => return Ok(None),
    };
    let spread = |x: Id| {
        let access = match axis {
            Axis::Columns => Access { shift: None, ..Access::own(of.rows, 1) },
            Axis::Rows(size) => Access { share: size, ..Access::own(of.rows / size, of.columns) },
            Axis::Tiles(size) => Access::own(of.rows / size, of.columns),
        };
        (x, access)
    };
    of_operand(graph, &of, k, &adjoint, &[spread(result_id), spread(dy)])
}

/// The gradient of a formula that is stored, for its operand `k`.
pub(super) fn of_map(graph: &mut Graph, of: &Elements, dy: Id, k: usize) -> Result<Option<Id>> {
    let access = Access::own(of.rows, of.columns);
    of_operand(graph, of, k, &Expr::input(of.operands.len()), &[(dy, access)])
}

/// Without operands that the formula does not look at, and each once.
pub(super) fn pruned(of: &Elements) -> Elements {
    let mut operands: Vec<(Id, Access)> = Vec::new();
    let mut place = vec![0; of.operands.len()];
    for (k, operand) in of.operands.iter().enumerate() {
        if !of.f.code().contains(&Instruction::Input(k)) {
            continue;
        }
        place[k] = operands.iter().position(|other| other == operand).unwrap_or_else(|| {
            operands.push(*operand);
            operands.len() - 1
        });
    }
    Elements { operands, f: of.f.renumbered(|k| place[k]), rows: of.rows, columns: of.columns }
}

/// Puts formulas into the formulas that read them, where nobody else does, so that they are computed in one go. What is among
/// `roots` is wanted as it is.
pub fn join_formulas(graph: &mut Graph, roots: &[Id]) {
    let mut uses = super::fuse::count_uses(graph, roots);
    for id in graph.ids().filter(|id| uses[id.0 as usize] > 0).collect::<Vec<_>>() {
        while let Some((inner, joined)) = inlined(graph, id, &uses) {
            uses[inner.0 as usize] -= 1;
            if uses[inner.0 as usize] > 0 {
                graph.op(inner).inputs(graph).iter().for_each(|input| uses[input.0 as usize] += 1);
            }
            if let Op::Map(of) | Op::Reduce { of, .. } = graph.op_mut(id) {
                *of = joined;
            }
        }
    }
}

/// A formula that the formula of a node can take in, and the result.
fn inlined(graph: &Graph, id: Id, uses: &[usize]) -> Option<(Id, Elements)> {
    let (Op::Map(of) | Op::Reduce { of, .. }) = graph.op(id) else { return None };
    (0..of.operands.len()).find_map(|k| {
        let (inner_id, access) = of.operands[k];
        let inner = formula(graph, inner_id)?;
        if let Some(slice) = of_slice(&inner, access, of.columns) {
            let mut all = of.clone();
            all.operands[k] = (inner.operands[0].0, slice);
            return Some((inner_id, pruned(&all)));
        }
        let each_row = access.share == 1 && access.rows == of.rows && inner.rows == of.rows;
        let each_place = each_row && access.shift == Some(0) && !access.reversed && access.width == of.columns;
        let constant = each_row && inner.columns == 1 && inner.operands.is_empty() && !inner.f.sees_column();
        let cheap = inner.f.is_identity() || inner.operands.is_empty();
        let alone = uses[inner_id.0 as usize] == 1 || cheap;
        if !alone || !(each_place || constant) || inner.f.code().len() + of.f.code().len() > MAX_CODE {
            return None;
        }
        let count = of.operands.len();
        let f = of.f.with(k, &inner.f, |is_inner, operand| if is_inner { count + operand } else { operand });
        let operands = of.operands.iter().chain(&inner.operands).copied().collect();
        let all = pruned(&Elements { operands, f, ..of.clone() });
        (all.operands.len() <= MAX_OPERANDS).then_some((inner_id, all))
    })
}

/// How the tensor behind a slice of columns is looked up where all columns of the slice are looked up by `access`.
fn of_slice(inner: &Elements, access: Access, columns: usize) -> Option<Access> {
    let &[(_, own)] = &inner.operands[..] else { return None };
    let is_slice = inner.f.is_identity() && own.share == 1 && own.rows == inner.rows && own.shift.is_some();
    let all = access.shift == Some(0) && !access.reversed && access.width == columns && access.rows == inner.rows;
    (is_slice && all).then_some(Access { share: access.share, ..own })
}

/// A node as a formula, if it is one.
fn formula(graph: &Graph, id: Id) -> Option<Elements> {
    match *graph.op(id) {
        Op::Map(ref of) => Some(of.clone()),
        // weight/(examples that count · rows of each), where the row counts.
        Op::RowWeights { rows, weight } => {
            let counts = Expr::count() * (rows / graph.batch) as f32;
            let f = Expr::row(rows).less(counts.clone()).select(Expr::weight(weight) / counts, 0.0);
            Some(Elements { operands: vec![], f, rows, columns: 1 })
        }
        _ => None,
    }
}
