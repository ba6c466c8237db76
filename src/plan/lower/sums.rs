//! Sums of rows and columns, and the means that become metrics.

use super::{Dispatch, Lowering};
use crate::graph::Id;
use crate::kernels;
use crate::plan::{Role, View};

impl Lowering<'_> {
    pub(super) fn sum_rows(&mut self, id: Id, x: Id) {
        use kernels::sum_rows::{KERNEL, Params, grid};
        let (rows, columns) = (self.shape(x).rows(), self.shape(x).columns());
        let p = Params { rows: rows as u32, width: columns as u32 };
        let views = vec![self.split(x), self.split(id)];
        let unit = self.unit(rows);
        let dispatch =
            Dispatch { kernel: &KERNEL, consts: &[], outer: rows, unit, grid: grid(&p), what: "sum of rows" };
        self.push(&dispatch, &p, views);
    }

    pub(super) fn sum_columns(&mut self, id: Id, x: Id) {
        let (view, shape) = (self.place(x), self.shape(x));
        self.sum_of_rows(id, view, [shape.rows(), shape.columns()]);
    }

    /// The sum of the rows of a tensor that lies in a place.
    pub(super) fn sum_of_rows(&mut self, id: Id, x: View, [rows, columns]: [usize; 2]) {
        use kernels::sum_columns::{KERNEL, Params, grid};
        let p = Params { rows: rows as u32, width: columns as u32 };
        let views = vec![x, self.split(id)];
        let dispatch =
            Dispatch { kernel: &KERNEL, consts: &[], outer: columns, unit: 1, grid: grid(&p), what: "sum of columns" };
        self.push(&dispatch, &p, views);
    }

    /// The mean of every term of the loss, into the step's row of the metrics. A term may have been stored as partial
    /// sums.
    pub(super) fn means(&mut self) {
        use kernels::batch_mean::{Entry, KERNEL, Params, grid};
        let graph = self.graph;
        let p = Params { batch: graph.batch as u32, columns: self.row.columns as u32, terms: 1, filler: 0 };
        for (term, index) in graph.terms.iter().zip(self.row.first as u32..) {
            let (tensor, width) = match self.parts.get(&term.rows) {
                Some(&(parts, width)) => (parts, width),
                None => (self.place(term.rows), 1),
            };
            let per_example = self.per_example(graph.shape(term.rows).rows());
            let table = [Entry { offset: 0, width: width as u32, per_example, index }];
            let views = vec![View { split: false, ..tensor }, self.metrics()];
            let what = format!("mean {}", term.name);
            let dispatch = Dispatch { kernel: &KERNEL, consts: &[], outer: 1, unit: 1, grid: grid(&p), what: &what };
            self.push_table(&dispatch, &p, &table, views);
        }
    }

    /// The metrics: a row for each slot, a column for each term of the loss and of those that stand beside it.
    pub fn metrics(&mut self) -> View {
        self.whole(Role::Metrics, self.row.columns * self.resident.metric_slots)
    }
}
