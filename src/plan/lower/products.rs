//! Matrix products: affine maps and their gradients, with what happens to each element on the way out.

use super::general::text;
use super::{Dispatch, Lowering, Target};
use crate::config::Activation;
use crate::error::{Error, Result};
use crate::expr::words::Program;
use crate::graph::op::Variance;
use crate::graph::{Id, Op};
use crate::kernels::matmul::{self, ACTIVATE, BERNOULLI, DERIVE, Entry, FORMULA, GAUSSIAN, MEANING, PLAIN, Params};
use crate::kernels::{Kernel, MAX_TEXEL_WORDS, math, matmul_direct, matmul_texels};
use crate::plan::{Step, View};

/// The params of a product whose epilogue is no likelihood.
pub(super) const NO_LIKELIHOOD: Params = Params { jobs: 1, weight: 0, per_example: 1, log_variance: 0.0 };

/// Everything about a product but its extents.
pub(super) struct Product<'a> {
    pub p: Params,
    pub meaning: [u32; 6],
    pub views: [View; 5],
    pub unit: usize,
    pub what: &'a str,
}

/// How a target computes products: the kernel, the constants that say how, and the columns of C whose terms of a
/// likelihood come as one number.
#[derive(Debug, Clone)]
pub(in crate::plan) struct Variant {
    pub kernel: &'static Kernel,
    pub consts: Vec<u32>,
    pub width: usize,
}

/// How these products, side by side, are best computed. `meaning` are the constants that say what is computed, `views`
/// what is bound.
pub(in crate::plan) fn variant(target: Target, products: &[Entry], meaning: &[u32], views: &[View]) -> Variant {
    let texels = || fit_textures(views) && products.iter().all(|product| matmul_texels::suits(product, meaning));
    match target {
        Target::Simd8 if texels() => {
            let tiling = matmul_texels::USUAL;
            Variant { kernel: &matmul_texels::KERNEL, consts: tiling.to_vec(), width: tiling[1] as usize }
        }
        Target::Gpu => {
            let tiling = matmul::guess(products);
            Variant { kernel: &matmul::KERNEL, consts: tiling.to_vec(), width: tiling[1] as usize }
        }
        Target::Simd8 | Target::Software | Target::Cpu => {
            Variant { kernel: &matmul_direct::KERNEL, consts: vec![], width: matmul_direct::COLUMNS as usize }
        }
    }
}

/// Whether all that is bound fits into textures.
pub(super) fn fit_textures(views: &[View]) -> bool {
    views.iter().all(|view| view.words <= MAX_TEXEL_WORDS)
}

/// Makes `entries` the table of a step of this manner: numbers their workgroups and sets the grid.
pub(in crate::plan) fn lay_out(step: &mut Step, variant: &Variant, entries: &mut [Entry]) {
    let mut workgroups = 0;
    for entry in entries.iter_mut() {
        entry.first = workgroups;
        workgroups += match variant.kernel.name {
            "matmul" => matmul::tiles(entry, &variant.consts),
            "matmul_texels" => matmul_texels::tiles(entry, &variant.consts),
            _ => matmul_direct::tiles(entry),
        };
    }
    let program = step.consts.split_off(step.consts.len().min(step.kernel.consts.len()));
    step.kernel = variant.kernel;
    step.consts.truncate(MEANING);
    step.consts.extend(variant.consts.iter().chain(&program));
    step.params.truncate(variant.kernel.params.len());
    step.params[0] = entries.len() as u32;
    step.params.extend_from_slice(bytemuck::cast_slice(entries));
    step.grid = crate::kernels::grid(workgroups as usize);
}

impl Lowering<'_> {
    /// A product of the family of `matmul`, by the kernel that suits the target.
    pub(super) fn product(&mut self, [m, n, k]: [usize; 3], product: &Product) {
        let mut entries = [Entry::alone(m, n, k)];
        let Product { p, meaning, views, unit, what } = product;
        let variant = variant(self.target, &entries, meaning, views);
        let dispatch = Dispatch { kernel: variant.kernel, consts: meaning, outer: m, unit: *unit, grid: [1; 3], what };
        self.push(&dispatch, p, views.to_vec());
        let step = self.plan.steps.last_mut().expect("a step was just pushed");
        lay_out(step, &variant, &mut entries);
    }

    pub(super) fn affine(&mut self, x: Id, w: Id, out: Id, activation: Option<Activation>) {
        // Of images that are mapped pixel by pixel, a row for each pixel.
        let k = self.shape(w).rows() - 1;
        let m = self.shape(x).count() / k;
        let (epilogue, code) = activation.map_or((PLAIN, 0), |kind| (ACTIVATE, math::code(kind)));
        let views = [self.split(x), self.place(w), self.nothing(), self.split(out), self.sink()];
        let name = &self.parameter_name(w);
        let what = &activation.map_or(format!("{name}: x W + b"), |kind| format!("{name}: {kind:?}(x W + b)"));
        let meaning = [0, 0, 1, 0, epilogue, code];
        let extents = [m, self.shape(w).columns(), k];
        self.product(extents, &Product { p: NO_LIKELIHOOD, meaning, views, unit: self.unit(m), what });
    }

    pub(super) fn affine_grad_input(&mut self, dy: Id, w: Id, out: Id, activation: Option<(Id, Activation)>) {
        let k = self.shape(w).columns();
        let m = self.shape(dy).count() / k;
        let (epilogue, code) = activation.map_or((PLAIN, 0), |(_, kind)| (DERIVE, math::code(kind)));
        let aux = match activation {
            Some((v, _)) => self.split(v),
            None => self.nothing(),
        };
        let views = [self.split(dy), self.place(w), aux, self.split(out), self.sink()];
        let name = self.parameter_name(w);
        let what = &activation.map_or(format!("{name}: d input"), |(_, kind)| format!("{name}: d input, {kind:?}'"));
        let meaning = [0, 1, 0, 0, epilogue, code];
        let extents = [m, self.shape(w).rows() - 1, k];
        self.product(extents, &Product { p: NO_LIKELIHOOD, meaning, views, unit: self.unit(m), what });
    }

    pub(super) fn affine_grad_weight(&mut self, x: Id, dy: Id, out: Id) {
        let (inputs, outputs) = (self.shape(out).rows() - 1, self.shape(out).columns());
        let rows = self.shape(dy).count() / outputs;
        let views = [self.place(x), self.place(dy), self.nothing(), self.split(out), self.sink()];
        let meaning = [1, 0, 0, 1, PLAIN, 0];
        let product = Product { p: NO_LIKELIHOOD, meaning, views, unit: 1, what: "d W and d b" };
        self.product([inputs + 1, outputs, rows], &product);
    }

    /// The decoder's last product, the distortion and its gradient in one step; gives the parts of the distortion,
    /// [R, tiles], which stand for it in the metrics.
    pub(super) fn affine_likelihood(&mut self, affine: Id, value: Id, grad: Id) {
        let Op::Affine { x, w } = *self.graph.op(affine) else { return };
        let (target, g, epilogue, log_variance) = match self.graph.forward(grad) {
            (&Op::Bernoulli { x, .. }, Some((_, g))) => (x, g, BERNOULLI, 0.0),
            (&Op::Gaussian { x, variance: Variance::Fixed(log_variance), .. }, Some((_, g))) => {
                (x, g, GAUSSIAN, log_variance)
            }
            _ => return,
        };
        let [m, n, k] = [self.shape(x).rows(), self.shape(w).columns(), self.shape(x).columns()];
        let (_, _, weight) = self.row_gradient(Some(g));
        let meaning = [0, 0, 1, 0, epilogue, 0];
        let [a, b, aux, c] = [self.split(x), self.place(w), self.split(target), self.split(grad)];
        let tiles = n.div_ceil(variant(self.target, &[Entry::alone(m, n, k)], &meaning, &[a, b, aux, c]).width);
        let parts = View { split: true, ..self.scratch(m * tiles) };
        self.parts.insert(value, (parts, tiles));
        let p = Params { jobs: 1, weight, per_example: self.per_example(m), log_variance };
        let views = [a, b, aux, c, parts];
        let likelihood = if epilogue == BERNOULLI { "Bernoulli" } else { "Gaussian" };
        let what = &format!("{}: {likelihood}(x W + b)", self.parameter_name(w));
        self.product([m, n, k], &Product { p, meaning, views, unit: self.unit(m), what });
    }

    /// A product with a formula on its way out: the step of the product alone, which stores what the formula gives. The
    /// formula's first operand is then the number of the product, its second that of the other tensor, if it looks at one.
    pub(super) fn product_formula(&mut self, product: Id, formula: Id) -> Result<()> {
        let Op::Map(of) = self.graph.op(formula) else {
            return Err(Error::Bug(format!("{} is no formula", self.graph.op(formula).name())));
        };
        match self.graph.forward(product) {
            (&Op::Affine { x, w }, None) => self.affine(x, w, formula, None),
            (&Op::Affine { w, .. }, Some((0, dy))) => self.affine_grad_input(dy, w, formula, None),
            (&Op::Product { a, b, batch, transposed }, None) => {
                self.batched_product(formula, [a, b], batch, transposed);
            }
            (op, _) => return Err(Error::Bug(format!("{} is no product", op.name()))),
        }
        let other = of.operands.iter().find(|&&(id, _)| id != product);
        let aux = other.map(|&(id, _)| self.split(id));
        let expr = of.f.renumbered(|k| usize::from(of.operands[k].0 != product));
        let step = self.plan.steps.last_mut().expect("a step was just pushed");
        (step.consts[MEANING - 2], step.consts[MEANING - 1]) = (FORMULA, u32::from(aux.is_some()));
        step.what = format!("{}, a = {}", text(&expr), step.what);
        step.consts.extend(Program { operands: vec![], expr }.words());
        step.views[2] = aux.unwrap_or(step.views[2]);
        Ok(())
    }

    pub(super) fn parameter_name(&self, w: Id) -> String {
        match self.graph.op(w) {
            Op::Parameter { index } => self.graph.parameters[*index].name.clone(),
            other => other.name(),
        }
    }
}
