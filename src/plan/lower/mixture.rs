//! Mixtures of logistics: their likelihood and their mean; and numbers that stand beside every row.

use super::{Dispatch, Lowering};
use crate::graph::mixture::{LOG_SCALE, Mixture};
use crate::graph::{Id, Op};
use crate::kernels::{append, logistic_mixture, logistic_mixture_mean};

impl Lowering<'_> {
    /// The likelihood of images of 256 levels, its gradient, or both.
    pub(super) fn logistic_mixture(&mut self, value: Option<Id>, grad: Option<Id>) {
        use logistic_mixture::{KERNEL, Params, grid};
        let Some(op) = grad.or(value).map(|id| self.graph.op(id).clone()) else { return };
        let (out, x, g, Mixture { components, channels, .. }) = match op {
            Op::LogisticMixture { out, x, mixture } => (out, x, None, mixture),
            Op::LogisticMixtureGrad { out, x, g, mixture } => (out, x, Some(g), mixture),
            _ => return,
        };
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

    /// Numbers beside every row, or one of the two ways back: then there is no `w`.
    pub(super) fn append(&mut self, id: Id, x: Id, w: Option<Id>) {
        use append::{APPEND, FIRST, KERNEL, Params, SUMS, grid};
        let (op, width, wide, count) = match *self.graph.op(id) {
            Op::Append { x, w, .. } => {
                (APPEND, self.shape(x).columns(), self.shape(id).columns(), self.shape(w).count())
            }
            Op::AppendGradInput { dy, width } => (FIRST, width, self.shape(dy).columns(), 1),
            Op::AppendGradWeight { dy, width, count } => (SUMS, width, self.shape(dy).columns(), count),
            _ => return,
        };
        let rows = self.shape(id).rows();
        let [r, d, tail, count] = [rows, width, wide - width, count].map(|n| n as u32);
        let p = Params { rows: r, width: d, tail, count };
        let w = match w {
            Some(w) => self.place(w),
            None => self.nothing(),
        };
        let views = vec![self.split(x), w, self.split(id)];
        let (unit, grid) = (self.unit(rows), grid(&p));
        let what = ["numbers beside each row", "rows without them", "sums of what stands beside"][op as usize];
        self.push(&Dispatch { kernel: &KERNEL, consts: &[op], outer: rows, unit, grid, what }, &p, views);
    }
}
