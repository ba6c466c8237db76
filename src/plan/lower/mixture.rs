//! Mixtures of logistics: their likelihood and their mean; and numbers that stand beside every row.

use super::{Dispatch, Lowering};
use crate::graph::mixture::{LOG_SCALE, Mixture};
use crate::graph::{Id, Op};
use crate::kernels::{append, logistic_mixture, logistic_mixture_mean};
use crate::plan::View;

impl Lowering<'_> {
    /// The likelihood of images of 256 levels, its gradient, or both.
    pub(super) fn logistic_mixture(&mut self, value: Option<Id>, grad: Option<Id>) {
        use logistic_mixture::{KERNEL, Params, grid};
        let graph = self.graph;
        let Some((&Op::LogisticMixture { out, x, mixture }, back)) = grad.or(value).map(|id| graph.forward(id)) else {
            return;
        };
        let (g, Mixture { components, channels, .. }) = (back.map(|(_, g)| g), mixture);
        let rows = self.shape(out).rows();
        let (g, uniform, weight) = self.row_gradient(g);
        let mut views = vec![self.split(out), self.split(x), g];
        for wanted in [value, grad] {
            let view = match wanted {
                Some(id) => self.split(id),
                None => self.sink(),
            };
            views.push(view);
        }
        let p = Params {
            rows: rows as u32,
            pixels: (self.shape(x).columns() / channels) as u32,
            channels: channels as u32,
            components: components as u32,
            per_example: self.per_example(rows),
            weight,
            low: LOG_SCALE.low,
            high: LOG_SCALE.high,
        };
        let consts = [u32::from(value.is_some()), u32::from(grad.is_some()), uniform];
        let (unit, grid, what) = (self.unit(rows), grid(&p), "mixture of logistics");
        self.push(&Dispatch { kernel: &KERNEL, consts: &consts, outer: rows, unit, grid, what }, &p, views);
    }

    /// The mean of a mixture.
    pub(super) fn logistic_mixture_mean(&mut self, id: Id, out: Id, mixture: Mixture) {
        use logistic_mixture_mean::{KERNEL, Params, grid};
        let (rows, width) = (self.shape(id).rows(), self.shape(id).columns());
        let p = Params {
            rows: rows as u32,
            pixels: (width / mixture.channels) as u32,
            channels: mixture.channels as u32,
            components: mixture.components as u32,
            outputs: mixture.of_network(width) as u32,
        };
        let views = vec![self.split(out), self.split(id)];
        let (unit, grid, what) = (self.unit(rows), grid(&p), "mixture of logistics: mean");
        self.push(&Dispatch { kernel: &KERNEL, consts: &[], outer: rows, unit, grid, what }, &p, views);
    }

    /// Numbers beside every row, or one of the two ways back; that of the numbers is summed over the rows.
    pub(super) fn append(&mut self, id: Id) {
        use append::{APPEND, FIRST, KERNEL, Params, SUMS, grid};
        let (&Op::ConcatBroadcast { x, w, tail }, back) = self.graph.forward(id) else { return };
        let (op, of, count) = match back {
            None => (APPEND, x, self.shape(w).count()),
            Some((0, dy)) => (FIRST, dy, 1),
            Some((_, dy)) => (SUMS, dy, self.shape(w).count()),
        };
        let rows = self.shape(x).rows();
        let [r, width, tail, wide] = [rows, self.shape(x).columns(), tail, count].map(|n| n as u32);
        let p = Params { rows: r, width, tail, count: wide };
        let w = if op == APPEND { self.place(w) } else { self.nothing() };
        let of = self.split(of);
        let made = if op == SUMS { self.scratch(rows * count) } else { self.place(id) };
        let views = vec![of, w, View { split: true, ..made }];
        let (unit, grid) = (self.unit(rows), grid(&p));
        let what = ["numbers beside each row", "rows without them", "sums of what stands beside"][op as usize];
        self.push(&Dispatch { kernel: &KERNEL, consts: &[op], outer: rows, unit, grid, what }, &p, views);
        if op == SUMS {
            self.sum_of_rows(id, made, [rows, count]);
        }
    }
}
