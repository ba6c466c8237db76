//! The general operations: formulas, reductions, products of computed tensors, rows by index.

use super::products::NO_LIKELIHOOD;
use super::{Dispatch, Lowering, Target};
use crate::expr::Expr;
use crate::expr::words::Program;
use crate::graph::general::MAX_OPERANDS;
use crate::graph::{Axis, Elements, Id, Reduction};
use crate::kernels::matmul::PLAIN;
use crate::kernels::{batched_product, map, reduce, take_rows};
use crate::plan::View;

/// The longest text of a formula in a printed plan.
const MAX_TEXT: usize = 60;

impl Lowering<'_> {
    pub(super) fn formula(&mut self, id: Id, of: &Elements) {
        let unit = self.unit(of.rows);
        let (mut views, program) = self.operands(of, Some(unit));
        views.push(self.split(id));
        let consts = [vec![of.columns as u32], program.words()].concat();
        let p = map::Params { rows: of.rows as u32, columns: of.columns as u32 };
        let (outer, grid, what) = (of.rows, map::grid(&p), &text(&of.f));
        self.push(&Dispatch { kernel: &map::KERNEL, consts: &consts, outer, unit, grid, what }, &p, views);
    }

    pub(super) fn reduce(&mut self, id: Id, of: &Elements, kind: Reduction, axis: Axis) {
        // The outer axis: rows that come out, and of a single one its columns. Rows of a tile come from everywhere.
        let groups = of.rows / axis.rows();
        let (along, size, rows_of_unit) = match axis {
            Axis::Columns => (reduce::COLUMNS, of.columns, Some(self.unit(groups))),
            Axis::Rows(size) if groups == 1 => (reduce::ROWS, size, None),
            Axis::Rows(size) => (reduce::ROWS, size, Some(self.unit(groups) * size)),
            Axis::Tiles(size) => (reduce::TILES, size, None),
        };
        let outputs = if axis == Axis::Columns { of.rows } else { groups * of.columns };
        let across = groups == 1 && axis != Axis::Columns;
        let (outer, unit) = if across { (of.columns, 1) } else { (groups, self.unit(groups)) };
        let (mut views, program) = self.operands(of, rows_of_unit);
        views.push(self.split(id));
        let (code, what) = match kind {
            Reduction::Sum => (reduce::SUM, "sum"),
            Reduction::Max => (reduce::MAX, "max"),
            Reduction::LogSumExp => (reduce::LOG_SUM_EXP, "log sum exp"),
            Reduction::ArgMax => (reduce::ARG_MAX, "argmax"),
            Reduction::ArgMin => (reduce::ARG_MIN, "argmin"),
        };
        let lanes = reduce::lanes(self.target == Target::Gpu, outputs, size);
        let consts = [vec![of.columns as u32, along, code, size as u32, lanes], program.words()].concat();
        let p = reduce::Params { rows: of.rows as u32, columns: of.columns as u32, outputs: outputs as u32 };
        let over = if axis == Axis::Columns { "columns" } else { "rows" };
        let what = &format!("{what} over {over} of {}", text(&of.f));
        let grid = reduce::grid(&p, &consts);
        self.push(&Dispatch { kernel: &reduce::KERNEL, consts: &consts, outer, unit, grid, what }, &p, views);
    }

    /// What a formula looks at, and the formula as a kernel is told it. An operand is divided along the outer axis where a
    /// part of it that is a multiple of `unit` rows needs a part of the operand.
    fn operands(&mut self, of: &Elements, unit: Option<usize>) -> (Vec<View>, Program) {
        let mut views = Vec::new();
        let mut operands = Vec::new();
        for &(id, access) in &of.operands {
            let whole = access.share * access.rows != of.rows;
            let split = !whole && unit.is_some_and(|unit| unit.is_multiple_of(access.share));
            views.push(View { split, ..self.place(id) });
            operands.push((access, split));
        }
        views.resize(MAX_OPERANDS, self.nothing());
        (views, Program { operands, expr: of.f.clone() })
    }

    /// Products of two computed tensors: a single one as those of layers are computed, several by a kernel of their own.
    pub(super) fn batched_product(&mut self, id: Id, [a, b]: [Id; 2], batch: usize, transposed: [bool; 2]) {
        let (rows, n) = (self.shape(id).rows(), self.shape(id).columns());
        let [ta, tb] = transposed;
        let k = if ta { self.shape(a).rows() / batch } else { self.shape(a).columns() };
        let m = rows / batch;
        if batch == 1 {
            let left = if ta { self.place(a) } else { self.split(a) };
            let views = [left, self.place(b), self.nothing(), self.split(id), self.sink()];
            let (unit, meaning) = (self.unit(m), [u32::from(ta), u32::from(tb), 0, 0, PLAIN, 0]);
            let what = "A B";
            self.product([m, n, k], &super::products::Product { p: NO_LIKELIHOOD, meaning, views, unit, what });
            return;
        }
        let p = batched_product::Params { batch: batch as u32, m: m as u32, n: n as u32, k: k as u32 };
        let consts = transposed.map(u32::from);
        let views = vec![self.split(a), self.split(b), self.split(id)];
        let unit = if batch.is_multiple_of(self.graph.batch) { batch / self.graph.batch } else { 1 };
        let grid = batched_product::grid(&p);
        let (kernel, what) = (&batched_product::KERNEL, "A B of each");
        self.push(&Dispatch { kernel, consts: &consts, outer: batch, unit, grid, what }, &p, views);
    }

    pub(super) fn take_rows(&mut self, id: Id, x: Id, index: Id, add: bool) {
        let (rows, width) = (self.shape(id).rows(), self.shape(id).columns());
        let p = take_rows::Params {
            rows: rows as u32,
            width: width as u32,
            count: if add { self.shape(index).count() } else { self.shape(x).rows() } as u32,
        };
        // Rows are added up wherever they come from; what is taken is a row for each index.
        let (x, index, unit) = if add {
            (self.place(x), self.place(index), 1)
        } else {
            (self.place(x), self.split(index), self.unit(rows))
        };
        let views = vec![x, index, self.split(id)];
        let (consts, what) = ([u32::from(add)], if add { "add rows" } else { "take rows" });
        let (kernel, grid) = (&take_rows::KERNEL, take_rows::grid(&p));
        self.push(&Dispatch { kernel, consts: &consts, outer: rows, unit, grid, what }, &p, views);
    }
}

/// A formula, cut where it is long.
pub(super) fn text(f: &Expr) -> String {
    let all = f.to_string();
    match all.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}…", &all[..end]),
        None => all,
    }
}
