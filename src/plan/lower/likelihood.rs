//! Likelihood terms and their gradients.

use super::{Dispatch, Lowering};
use crate::graph::op::Variance;
use crate::graph::{Id, Op};
use crate::kernels;

impl Lowering<'_> {
    /// A likelihood term, its gradient, or both.
    pub(super) fn likelihood(&mut self, value: Option<Id>, grad: Option<Id>) {
        let graph = self.graph;
        let Some((op, back)) = grad.or(value).map(|id| graph.forward(id)) else { return };
        let (&Op::Bernoulli { logits: out, x } | &Op::Gaussian { out, x, .. }) = op else { return };
        let g = back.map(|(_, g)| g);
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
        let (value, grad) = (u32::from(value.is_some()), u32::from(grad.is_some()));
        let (width, per_example) = (self.shape(x).columns() as u32, self.per_example(rows));
        let unit = self.unit(rows);
        match *op {
            Op::Bernoulli { .. } => {
                use kernels::bernoulli::{KERNEL, Params, grid};
                let p = Params { rows: rows as u32, width, per_example, weight };
                let (consts, grid) = ([value, grad, uniform], grid(&p));
                self.push(
                    &Dispatch { kernel: &KERNEL, consts: &consts, outer: rows, unit, grid, what: "Bernoulli" },
                    &p,
                    views,
                );
            }
            Op::Gaussian { variance, .. } => {
                use kernels::gaussian::{KERNEL, Params, grid};
                let (learned, log_variance, low, high) = match variance {
                    Variance::Fixed(log_variance) => (0, log_variance, 0.0, 0.0),
                    Variance::Learned(clamp) => (1, 0.0, clamp.low, clamp.high),
                };
                let p = Params { rows: rows as u32, width, per_example, weight, log_variance, low, high };
                let (consts, grid) = ([learned, value, grad, uniform], grid(&p));
                self.push(
                    &Dispatch { kernel: &KERNEL, consts: &consts, outer: rows, unit, grid, what: "Gaussian" },
                    &p,
                    views,
                );
            }
            _ => {}
        }
    }
}
