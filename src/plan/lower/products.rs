//! Matrix products: affine maps and their gradients, with what happens to each element on the way out.

use super::{Dispatch, Lowering, Target};
use crate::config::Activation;
use crate::graph::{Id, Op};
use crate::kernels::{self, math};
use crate::plan::View;

impl Lowering<'_> {
    /// Product of the family of `matmul`, by the kernel that suits the target.
    fn product(&mut self, p: kernels::matmul::Params, consts: &[u32], views: Vec<View>, unit: usize, what: &str) {
        use kernels::{matmul, matmul_direct};
        let (kernel, grid) = match self.target {
            Target::Gpu => (&matmul::KERNEL, matmul::grid(&p)),
            Target::Software | Target::Cpu => (&matmul_direct::KERNEL, matmul_direct::grid(&p)),
        };
        self.push(&Dispatch { kernel, consts, outer: p.m as usize, unit, grid, what }, &p, views);
    }

    pub(super) fn affine(&mut self, x: Id, w: Id, out: Id, activation: Option<Activation>) {
        let (m, k) = (self.shape(x).rows(), self.shape(x).columns());
        let p = kernels::matmul::Params { m: m as u32, n: self.shape(w).columns() as u32, k: k as u32 };
        let (epilogue, code) = activation.map_or((0, 0), |kind| (1, math::code(kind)));
        let views = vec![self.split(x), self.place(w), self.nothing(), self.split(out)];
        let name = &self.parameter_name(w);
        let what = activation.map_or(format!("{name}: x W + b"), |kind| format!("{name}: {kind:?}(x W + b)"));
        self.product(p, &[0, 0, 1, 0, epilogue, code], views, self.unit(m), &what);
    }

    pub(super) fn affine_grad_input(&mut self, dy: Id, w: Id, out: Id, activation: Option<(Id, Activation)>) {
        let (m, k) = (self.shape(dy).rows(), self.shape(dy).columns());
        let p = kernels::matmul::Params { m: m as u32, n: self.shape(w).rows() as u32 - 1, k: k as u32 };
        let (epilogue, code) = activation.map_or((0, 0), |(_, kind)| (2, math::code(kind)));
        let aux = match activation {
            Some((v, _)) => self.split(v),
            None => self.nothing(),
        };
        let views = vec![self.split(dy), self.place(w), aux, self.split(out)];
        let name = self.parameter_name(w);
        let what = activation.map_or(format!("{name}: d input"), |(_, kind)| format!("{name}: d input, {kind:?}'"));
        self.product(p, &[0, 1, 0, 0, epilogue, code], views, self.unit(m), &what);
    }

    pub(super) fn affine_grad_weight(&mut self, x: Id, dy: Id, out: Id) {
        let (inputs, outputs, rows) = (self.shape(x).columns(), self.shape(dy).columns(), self.shape(x).rows());
        let p = kernels::matmul::Params { m: inputs as u32 + 1, n: outputs as u32, k: rows as u32 };
        let views = vec![self.place(x), self.place(dy), self.nothing(), self.split(out)];
        self.product(p, &[1, 0, 0, 1, 0, 0], views, 1, "d W and d b");
    }

    fn parameter_name(&self, w: Id) -> String {
        match self.graph.op(w) {
            Op::Parameter { index } => self.graph.parameters[*index].name.clone(),
            other => other.name(),
        }
    }
}
