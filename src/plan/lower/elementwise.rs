//! Operations on one element at a time.

use super::{Dispatch, Lowering};
use crate::graph::Id;
use crate::kernels::{self, Kernel};
use crate::plan::View;
use crate::shape::Shape;

impl Lowering<'_> {
    /// Elements that must stay together, where the tensor's rows belong to examples.
    fn element_unit(&self, shape: Shape) -> usize {
        if shape.rows().is_multiple_of(self.graph.batch) { shape.count() / self.graph.batch } else { shape.columns() }
    }

    pub(super) fn elementwise(&mut self, id: Id, kernel: &'static Kernel, consts: &[u32], inputs: &[Id]) {
        use kernels::activation::{Params, grid};
        let shape = self.shape(id);
        let p = Params { count: shape.count() as u32 };
        let mut views: Vec<View> = inputs.iter().map(|&input| self.split(input)).collect();
        views.push(self.split(id));
        let (outer, unit) = (shape.count(), self.element_unit(shape));
        self.push(&Dispatch { kernel, consts, outer, unit, grid: grid(&p), what: kernel.name }, &p, views);
    }

    pub(super) fn combine(&mut self, id: Id, op: u32, a: Id, b: Option<Id>, alpha: f32) {
        use kernels::combine::{KERNEL, Params, grid};
        let shape = self.shape(id);
        let p = Params { count: shape.count() as u32, alpha, beta: 1.0 };
        let b = match b {
            Some(b) => self.split(b),
            None => self.nothing(),
        };
        let views = vec![self.split(a), b, self.split(id)];
        let (outer, unit, grid) = (shape.count(), self.element_unit(shape), grid(&p));
        self.push(&Dispatch { kernel: &KERNEL, consts: &[op], outer, unit, grid, what: "combine" }, &p, views);
    }

    pub(super) fn broadcast(&mut self, id: Id, v: Id, along: u32) {
        use kernels::broadcast::{KERNEL, Params, grid};
        let (rows, columns) = (self.shape(id).rows(), self.shape(id).columns());
        let p = Params { rows: rows as u32, width: columns as u32 };
        let v = if along == 0 { self.split(v) } else { self.place(v) };
        let views = vec![v, self.split(id)];
        let unit = self.unit(rows);
        let dispatch =
            Dispatch { kernel: &KERNEL, consts: &[along], outer: rows, unit, grid: grid(&p), what: "broadcast" };
        self.push(&dispatch, &p, views);
    }
}
