//! Columns of different kinds: their likelihood, what an encoder is shown of them, and their means.

use super::{Dispatch, Lowering};
use crate::graph::columns::{Columns, Distribution, LOG_DISPERSION, LOG_RATE};
use crate::graph::{Id, Op};
use crate::kernels::table::{self, BERNOULLI, CATEGORICAL, FIXED, NEGATIVE_BINOMIAL, NORMAL, POISSON, ZERO_INFLATED};
use crate::kernels::table_values;
use crate::plan::{Role, View};

impl Lowering<'_> {
    /// The likelihood of a table, its gradient, or both.
    pub(super) fn table(&mut self, value: Option<Id>, grad: Option<Id>) {
        let graph = self.graph;
        let Some((&Op::Table { out, x, ref columns }, back)) = grad.or(value).map(|id| graph.forward(id)) else {
            return;
        };
        let g = back.map(|(_, g)| g);
        let rows = self.shape(out).rows();
        let (g, uniform, weight) = self.row_gradient(g);
        let mut views = vec![self.split(out), self.split(x), self.columns(columns), g];
        for wanted in [value, grad] {
            let view = match wanted {
                Some(id) => self.split(id),
                None => self.sink(),
            };
            views.push(view);
        }
        let p = table::Params {
            rows: rows as u32,
            width: columns.width() as u32,
            outputs: columns.outputs() as u32,
            columns: columns.all.len() as u32,
            per_example: self.per_example(rows),
            weight,
            low: columns.clamp.low,
            high: columns.clamp.high,
            rate_low: LOG_RATE.low,
            rate_high: LOG_RATE.high,
            dispersion_low: LOG_DISPERSION.low,
            dispersion_high: LOG_DISPERSION.high,
            fixed_log_variance: columns.fixed_log_variance,
        };
        let consts = [u32::from(value.is_some()), u32::from(grad.is_some()), uniform];
        let (kernel, unit, grid) = (&table::KERNEL, self.unit(rows), table::grid(&p));
        self.push(&Dispatch { kernel, consts: &consts, outer: rows, unit, grid, what: "table" }, &p, views);
    }

    /// Rows of a table in another form.
    pub(super) fn table_values(&mut self, id: Id, given: Id, to: u32) {
        let (Op::TableInput { columns, .. } | Op::TableMean { columns, .. }) = self.graph.op(id).clone() else {
            return;
        };
        let shape = self.shape(id);
        let p = table_values::Params {
            rows: shape.rows() as u32,
            width: shape.columns() as u32,
            columns: columns.all.len() as u32,
            rate_low: LOG_RATE.low,
            rate_high: LOG_RATE.high,
        };
        let views = vec![self.split(given), self.columns(&columns), self.split(id)];
        let (outer, unit, grid) = (shape.rows(), self.unit(shape.rows()), table_values::grid(&p));
        let what = if to == table_values::ENCODER { "table: what is shown" } else { "table: means" };
        self.push(&Dispatch { kernel: &table_values::KERNEL, consts: &[to], outer, unit, grid, what }, &p, views);
    }

    /// The layout of columns, as kernels read it.
    fn columns(&mut self, columns: &Columns) -> View {
        let kind = |distribution| match distribution {
            Distribution::Normal => NORMAL,
            Distribution::FixedNormal => FIXED,
            Distribution::Bernoulli => BERNOULLI,
            Distribution::Categorical => CATEGORICAL,
            Distribution::Poisson => POISSON,
            Distribution::NegativeBinomial => NEGATIVE_BINOMIAL,
            Distribution::ZeroInflated => ZERO_INFLATED,
        };
        let kinds: Vec<_> = columns.all.iter().map(|column| (kind(column.distribution), column.places)).collect();
        let words = table::layout(&kinds);
        let count = words.len();
        self.whole(Role::Constants(words), count)
    }
}
