//! Sums of rows and columns, and the means that become metrics.

use super::{Dispatch, Lowering};
use crate::graph::Id;
use crate::kernels;
use crate::plan::Role;

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
        use kernels::sum_columns::{KERNEL, Params, grid};
        let (rows, columns) = (self.shape(x).rows(), self.shape(x).columns());
        let p = Params { rows: rows as u32, width: columns as u32 };
        let views = vec![self.place(x), self.split(id)];
        let dispatch =
            Dispatch { kernel: &KERNEL, consts: &[], outer: columns, unit: 1, grid: grid(&p), what: "sum of columns" };
        self.push(&dispatch, &p, views);
    }

    /// The mean of every term of the loss, into the step's row of the metrics.
    pub(super) fn metrics(&mut self) {
        use kernels::batch_mean::{KERNEL, Params, grid};
        let columns = self.graph.terms.len();
        for (index, term) in self.graph.terms.iter().enumerate() {
            let rows = self.shape(term.rows).rows();
            let p = Params {
                rows: rows as u32,
                per_example: self.per_example(rows),
                index: index as u32,
                columns: columns as u32,
            };
            let metrics = self.whole(Role::Metrics, columns * self.resident.metric_slots);
            let views = vec![self.place(term.rows), metrics];
            let what = format!("mean {}", term.name);
            let dispatch = Dispatch { kernel: &KERNEL, consts: &[], outer: 1, unit: 1, grid: grid(&p), what: &what };
            self.push(&dispatch, &p, views);
        }
    }
}
