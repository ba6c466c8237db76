//! From a graph to steps: which kernel computes each group of operations, bound to what, with which grid.

use super::{Buffer, Plan, Role, Step, View, layout, memory, update, verify};
use crate::config::{Activation, Binarise, OptimizerConfig};
use crate::error::{Error, Result};
use crate::graph::fuse::{Group, fuse};
use crate::graph::grad::gradients;
use crate::graph::op::{Source, Variance};
use crate::graph::{Graph, Id, Op};
use crate::kernels::{self, Kernel, math};
use crate::shape::Shape;
use bytemuck::Pod;
use std::collections::{BTreeMap, BTreeSet};

/// What a plan is made for. A plan for one target is correct on every executor, and fast on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Devices whose threads run in parallel.
    Gpu,
    /// Drivers that emulate a device on the CPU: products without workgroup memory.
    Software,
    /// The CPU engine: each parameter is updated where its gradient was made.
    Cpu,
}

/// Sizes of what stays on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resident {
    /// Words of the data set.
    pub data_words: usize,
    /// Words of the order of examples.
    pub order_words: usize,
    /// Rows of the metrics buffer: steps whose terms are kept before the host reads them.
    pub metric_slots: usize,
}

/// Makes a plan that computes the graph's terms and outputs and, with an `optimizer`, updates the parameters.
pub fn lower(
    name: &str,
    mut graph: Graph,
    optimizer: Option<&OptimizerConfig>,
    resident: Resident,
    target: Target,
) -> Result<Plan> {
    let parameters: Vec<Id> = graph.ids().filter(|&id| matches!(graph.op(id), Op::Parameter { .. })).collect();
    let found = if optimizer.is_some() { gradients(&mut graph, &parameters)? } else { vec![] };
    let mut roots: Vec<Id> = graph.terms.iter().map(|term| term.rows).collect();
    roots.extend(graph.outputs.iter().map(|(_, id)| *id));
    roots.extend(found.iter().flatten());
    let (ranges, words) = layout(&graph.parameters);
    let plan = Plan {
        name: name.to_owned(),
        batch: graph.batch,
        buffers: vec![],
        steps: vec![],
        parameters: ranges,
        terms: graph.terms.iter().map(|term| term.name.clone()).collect(),
    };
    let mut lowering =
        Lowering { graph: &graph, target, resident, plan, parameter_words: words, places: BTreeMap::new() };
    lowering.fix_places(&parameters, &found)?;
    let groups = fuse(&graph, &roots);
    let live: BTreeSet<Id> = groups.iter().flat_map(|group| group.members()).collect();
    for group in groups {
        lowering.group(group, &live)?;
    }
    lowering.metrics();
    if let Some(config) = optimizer {
        update::steps(&mut lowering, config);
    }
    let plan = memory::share(lowering.plan);
    verify::verify(&plan)?;
    Ok(plan)
}

/// A plan under construction.
pub(super) struct Lowering<'a> {
    pub graph: &'a Graph,
    pub target: Target,
    resident: Resident,
    pub plan: Plan,
    pub parameter_words: usize,
    places: BTreeMap<Id, View>,
}

/// Everything about a step but its buffers.
pub(super) struct Shape4<'a> {
    pub kernel: &'static Kernel,
    pub consts: &'a [u32],
    pub outer: usize,
    pub unit: usize,
    pub grid: [u32; 3],
    pub what: &'a str,
}

impl Lowering<'_> {
    /// The buffer with a role, made when first asked for.
    pub fn buffer(&mut self, role: Role, words: usize) -> usize {
        if let Some(at) = self.plan.buffers.iter().position(|buffer| buffer.role == role) {
            return at;
        }
        self.plan.buffers.push(Buffer { role, words: words.max(4) });
        self.plan.buffers.len() - 1
    }

    /// A whole buffer as a view.
    pub fn whole(&mut self, role: Role, words: usize) -> View {
        let buffer = self.buffer(role, words);
        View { buffer, offset: 0, words: self.plan.buffers[buffer].words, split: false }
    }

    /// What an unused binding is bound to.
    pub fn nothing(&mut self) -> View {
        self.whole(Role::Nothing, 4)
    }

    /// What an unused binding that would be written is bound to.
    fn sink(&mut self) -> View {
        self.whole(Role::Sink, 4)
    }

    /// A new intermediate tensor.
    pub fn scratch(&mut self, words: usize) -> View {
        let slot = self.plan.buffers.len();
        let buffer = self.buffer(Role::Slot(slot), words);
        View { buffer, offset: 0, words, split: false }
    }

    pub fn push(&mut self, shape: &Shape4, params: &impl Pod, views: Vec<View>) {
        self.plan.steps.push(Step {
            kernel: shape.kernel,
            consts: shape.consts.to_vec(),
            params: words_of(params),
            views,
            outer: shape.outer,
            unit: shape.unit,
            grid: shape.grid,
            what: shape.what.to_owned(),
        });
    }

    /// Tensors whose place is given: parameters, their gradients, inputs and outputs.
    fn fix_places(&mut self, parameters: &[Id], gradients: &[Option<Id>]) -> Result<()> {
        let words = self.parameter_words;
        for (at, &id) in parameters.iter().enumerate() {
            let (offset, count) = (self.plan.parameters[at].offset, self.plan.parameters[at].count());
            let buffer = self.buffer(Role::Parameters, words);
            self.places.insert(id, View { buffer, offset, words: count, split: false });
            match gradients.get(at) {
                None => {}
                Some(None) => {
                    return Err(Error::Bug(format!("the loss does not depend on {}", self.plan.parameters[at].name)));
                }
                Some(Some(gradient)) => {
                    let buffer = self.buffer(Role::Gradients, words);
                    self.places.insert(*gradient, View { buffer, offset, words: count, split: false });
                }
            }
        }
        for (name, id) in &self.graph.outputs {
            let view = self.whole(Role::Output(name.clone()), self.graph.shape(*id).count());
            let words = self.graph.shape(*id).count();
            self.places.insert(*id, View { words, ..view });
        }
        for id in self.graph.ids() {
            if let Op::Input { name, shape } = self.graph.op(id) {
                let view = self.whole(Role::Input(name.clone()), shape.count());
                self.places.insert(id, View { words: shape.count(), ..view });
            }
        }
        Ok(())
    }

    /// Where a tensor lies.
    fn place(&mut self, id: Id) -> View {
        if let Some(&view) = self.places.get(&id) {
            return view;
        }
        let view = self.scratch(self.graph.shape(id).count());
        self.places.insert(id, view);
        view
    }

    /// A tensor that is divided along the outer axis.
    fn split(&mut self, id: Id) -> View {
        View { split: true, ..self.place(id) }
    }

    fn shape(&self, id: Id) -> Shape {
        self.graph.shape(id)
    }

    fn per_example(&self, rows: usize) -> u32 {
        (rows / self.graph.batch) as u32
    }

    /// Rows that must stay together: those of one example, where rows belong to examples.
    fn unit(&self, rows: usize) -> usize {
        if rows.is_multiple_of(self.graph.batch) { rows / self.graph.batch } else { 1 }
    }

    fn group(&mut self, group: Group, live: &BTreeSet<Id>) -> Result<()> {
        match group {
            Group::Single(id) => self.single(id, live),
            Group::AffineActivation { affine, activation } => {
                let (Op::Affine { x, w }, Op::Activation { kind, .. }) =
                    (self.graph.op(affine), self.graph.op(activation))
                else {
                    return Err(Error::Bug(format!("{group:?} has other members")));
                };
                self.affine(*x, *w, activation, Some(*kind));
                Ok(())
            }
            Group::GradActivation { input, activation } => {
                let (Op::AffineGradInput { dy, w }, Op::ActivationGrad { v, kind, .. }) =
                    (self.graph.op(input), self.graph.op(activation))
                else {
                    return Err(Error::Bug(format!("{group:?} has other members")));
                };
                self.affine_grad_input(*dy, *w, activation, Some((*v, *kind)));
                Ok(())
            }
            Group::SampleKl { sample, kl } => {
                self.sample(sample, Some(kl));
                Ok(())
            }
            Group::PosteriorGrad { sum, sample, kl } => {
                self.posterior_grad(sum, Some(sample), Some(kl));
                Ok(())
            }
            Group::LikelihoodGrad { value, grad } => {
                self.likelihood(Some(value), Some(grad));
                Ok(())
            }
        }
    }

    fn single(&mut self, id: Id, live: &BTreeSet<Id>) -> Result<()> {
        use Op::*;
        match *self.graph.op(id) {
            Parameter { .. } | Input { .. } => {}
            Gather { width, source, binarise } => self.gather(id, width, source, binarise),
            Noise { rows, width } => self.noise(id, rows, width),
            RowWeights { rows, weight } => self.row_weights(id, rows, weight, live),
            Affine { x, w } => self.affine(x, w, id, None),
            AffineGradInput { dy, w } => self.affine_grad_input(dy, w, id, None),
            AffineGradWeight { x, dy } => self.affine_grad_weight(x, dy, id),
            Op::Activation { x, kind } => self.elementwise(id, &kernels::activation::KERNEL, &[math::code(kind)], &[x]),
            ActivationGrad { dy, v, kind } => {
                self.elementwise(id, &kernels::activation_grad::KERNEL, &[math::code(kind)], &[dy, v]);
            }
            Sample { .. } => self.sample(id, None),
            SampleGrad { .. } => self.posterior_grad(id, Some(id), None),
            Kl { .. } => self.kl_alone(id)?,
            KlGrad { .. } => self.posterior_grad(id, None, Some(id)),
            LogRatio { .. } => self.log_ratio(id),
            LogMeanExp { distortion, ratio } => self.log_mean_exp(id, distortion, ratio),
            Bernoulli { .. } | Gaussian { .. } => self.likelihood(Some(id), None),
            BernoulliGrad { .. } | GaussianGrad { .. } => self.likelihood(None, Some(id)),
            Add { a, b } => self.combine(id, 0, a, Some(b), 1.0),
            Multiply { a, b } => self.combine(id, 1, a, Some(b), 1.0),
            Scale { x, factor } => self.combine(id, 2, x, None, factor),
            SumRows { x } => self.sum_rows(id, x),
            SumColumns { x } => self.sum_columns(id, x),
            BroadcastRows { v, .. } => self.broadcast(id, v, 0),
            BroadcastColumns { v, .. } => self.broadcast(id, v, 1),
        }
        Ok(())
    }

    fn order(&mut self) -> View {
        self.whole(Role::Order, self.resident.order_words)
    }

    fn gather(&mut self, id: Id, width: usize, source: Source, binarise: Binarise) {
        use kernels::gather::{KERNEL, Params, grid};
        let rows = self.graph.batch;
        let p = Params { rows: rows as u32, width: width as u32 };
        let consts = [
            u32::from(source == Source::Floats),
            match binarise {
                Binarise::None => 0,
                Binarise::Threshold => 1,
                Binarise::Dynamic => 2,
            },
        ];
        let views = vec![self.order(), self.whole(Role::Data, self.resident.data_words), self.split(id)];
        let shape = Shape4 { kernel: &KERNEL, consts: &consts, outer: rows, unit: 1, grid: grid(&p), what: "gather" };
        self.push(&shape, &p, views);
    }

    fn noise(&mut self, id: Id, rows: usize, width: usize) {
        use kernels::noise::{KERNEL, Params, grid};
        // `sample` draws its own noise; what remains is noise that something else reads.
        if self.drawn_by_sample(id) {
            return;
        }
        let p = Params { rows: rows as u32, width: width as u32, per_example: self.per_example(rows) };
        let views = vec![self.order(), self.split(id)];
        let unit = self.unit(rows);
        let shape = Shape4 { kernel: &KERNEL, consts: &[], outer: rows, unit, grid: grid(&p), what: "noise" };
        self.push(&shape, &p, views);
    }

    /// Whether a sample of a posterior reads this noise, and so makes it.
    fn drawn_by_sample(&self, noise: Id) -> bool {
        matches!(self.graph.op(noise), Op::Noise { .. })
            && self.graph.ids().any(|id| matches!(*self.graph.op(id), Op::Sample { eps, .. } if eps == noise))
    }

    fn row_weights(&mut self, id: Id, rows: usize, weight: usize, live: &BTreeSet<Id>) {
        use kernels::row_weights::{KERNEL, Params, grid};
        // Gradients of likelihoods and KL terms compute these weights themselves.
        let computes_them = |op: &Op| matches!(*op, Op::KlGrad { g, .. } | Op::BernoulliGrad { g, .. } | Op::GaussianGrad { g, .. } if g == id);
        let mut readers = live.iter().map(|&reader| self.graph.op(reader)).filter(|op| op.inputs().contains(&id));
        if readers.all(computes_them) {
            return;
        }
        let p = Params { rows: rows as u32, per_example: self.per_example(rows), weight: weight as u32 };
        let views = vec![self.split(id)];
        let unit = self.unit(rows);
        let shape = Shape4 { kernel: &KERNEL, consts: &[], outer: rows, unit, grid: grid(&p), what: "row weights" };
        self.push(&shape, &p, views);
    }

    /// The row gradient `g` as a kernel takes it: the view, whether it comes from the step, and its weight.
    fn row_gradient(&mut self, g: Option<Id>) -> (View, u32, u32) {
        match g.map(|g| (g, self.graph.op(g).clone())) {
            None => (self.nothing(), 1, 0),
            Some((_, Op::RowWeights { weight, .. })) => (self.nothing(), 1, weight as u32),
            Some((g, _)) => (self.split(g), 0, 0),
        }
    }

    /// Product of the family of `matmul`, by the kernel that suits the target.
    fn product(&mut self, p: kernels::matmul::Params, consts: &[u32], views: Vec<View>, unit: usize, what: &str) {
        use kernels::{matmul, matmul_direct};
        let (kernel, grid) = match self.target {
            Target::Gpu => (&matmul::KERNEL, matmul::grid(&p)),
            Target::Software | Target::Cpu => (&matmul_direct::KERNEL, matmul_direct::grid(&p)),
        };
        self.push(&Shape4 { kernel, consts, outer: p.m as usize, unit, grid, what }, &p, views);
    }

    fn affine(&mut self, x: Id, w: Id, out: Id, activation: Option<Activation>) {
        let (m, k) = (self.shape(x).rows(), self.shape(x).columns());
        let p = kernels::matmul::Params { m: m as u32, n: self.shape(w).columns() as u32, k: k as u32 };
        let (epilogue, code) = activation.map_or((0, 0), |kind| (1, math::code(kind)));
        let views = vec![self.split(x), self.place(w), self.nothing(), self.split(out)];
        let name = &self.parameter_name(w);
        let what = activation.map_or(format!("{name}: x W + b"), |kind| format!("{name}: {kind:?}(x W + b)"));
        self.product(p, &[0, 0, 1, 0, epilogue, code], views, self.unit(m), &what);
    }

    fn affine_grad_input(&mut self, dy: Id, w: Id, out: Id, activation: Option<(Id, Activation)>) {
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

    fn affine_grad_weight(&mut self, x: Id, dy: Id, out: Id) {
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

    fn sample(&mut self, sample: Id, kl: Option<Id>) {
        use kernels::sample::{KERNEL, Params, grid};
        let Op::Sample { stats, eps, clamp } = *self.graph.op(sample) else { return };
        let (rows, latent) = (self.shape(eps).rows(), self.shape(eps).columns());
        let p = Params {
            rows: self.graph.batch as u32,
            latent: latent as u32,
            per_example: self.per_example(rows),
            low: clamp.low,
            high: clamp.high,
        };
        let draw = u32::from(matches!(self.graph.op(eps), Op::Noise { .. }));
        let kl = match kl {
            Some(kl) => self.split(kl),
            None => View { split: true, ..self.scratch(self.graph.batch) },
        };
        let views = vec![self.order(), self.split(stats), self.split(eps), self.split(sample), kl];
        let outer = self.graph.batch;
        let shape = Shape4 { kernel: &KERNEL, consts: &[draw], outer, unit: 1, grid: grid(&p), what: "sample z, KL" };
        self.push(&shape, &p, views);
    }

    /// A KL term whose posterior is not sampled: the same kernel, whose samples nobody reads.
    fn kl_alone(&mut self, kl: Id) -> Result<()> {
        use kernels::sample::{KERNEL, Params, grid};
        let Op::Kl { stats, clamp } = *self.graph.op(kl) else {
            return Err(Error::Bug("only a KL term stands alone".into()));
        };
        let (batch, latent) = (self.graph.batch, self.shape(stats).columns() / 2);
        let p = Params { rows: batch as u32, latent: latent as u32, per_example: 1, low: clamp.low, high: clamp.high };
        let (eps, z) = (self.scratch(batch * latent), self.scratch(batch * latent));
        let [eps, z] = [eps, z].map(|view| View { split: true, ..view });
        let views = vec![self.order(), self.split(stats), eps, z, self.split(kl)];
        let shape = Shape4 { kernel: &KERNEL, consts: &[1], outer: batch, unit: 1, grid: grid(&p), what: "KL" };
        self.push(&shape, &p, views);
        Ok(())
    }

    fn posterior_grad(&mut self, out: Id, sample: Option<Id>, kl: Option<Id>) {
        use kernels::posterior_grad::{KERNEL, Params, grid};
        let nothing = self.nothing();
        let (mut views, mut g, mut rows) = (vec![nothing; 3], None, self.graph.batch);
        let mut limits = None;
        if let Some(Op::SampleGrad { stats, eps, dz, clamp }) = sample.map(|id| self.graph.op(id).clone()) {
            views = vec![self.split(stats), self.split(eps), self.split(dz)];
            rows = self.shape(eps).rows();
            limits = Some(clamp);
        }
        if let Some(Op::KlGrad { stats, g: rows_g, clamp }) = kl.map(|id| self.graph.op(id).clone()) {
            views[0] = self.split(stats);
            g = Some(rows_g);
            limits = Some(clamp);
        }
        let Some(clamp) = limits else { return };
        let (g, uniform, weight) = self.row_gradient(g);
        views.extend([g, self.split(out)]);
        let p = Params {
            rows: self.graph.batch as u32,
            latent: self.shape(out).columns() as u32 / 2,
            per_example: self.per_example(rows),
            weight,
            low: clamp.low,
            high: clamp.high,
        };
        let consts = [u32::from(sample.is_some()), u32::from(kl.is_some()), uniform];
        let (outer, grid) = (self.graph.batch, grid(&p));
        self.push(&Shape4 { kernel: &KERNEL, consts: &consts, outer, unit: 1, grid, what: "d posterior" }, &p, views);
    }

    fn log_ratio(&mut self, id: Id) {
        use kernels::log_ratio::{KERNEL, Params, grid};
        let Op::LogRatio { stats, eps, z, clamp } = *self.graph.op(id) else { return };
        let (rows, latent) = (self.shape(z).rows(), self.shape(z).columns());
        let p = Params {
            rows: rows as u32,
            latent: latent as u32,
            per_example: self.per_example(rows),
            low: clamp.low,
            high: clamp.high,
        };
        let views = vec![self.split(stats), self.split(eps), self.split(z), self.split(id)];
        let unit = self.unit(rows);
        let shape = Shape4 { kernel: &KERNEL, consts: &[], outer: rows, unit, grid: grid(&p), what: "log q(z|x)/p(z)" };
        self.push(&shape, &p, views);
    }

    fn log_mean_exp(&mut self, id: Id, distortion: Id, ratio: Id) {
        use kernels::log_mean_exp::{KERNEL, Params, grid};
        let outer = self.graph.batch;
        let p = Params { rows: outer as u32, per_example: self.per_example(self.shape(ratio).rows()) };
        let views = vec![self.split(distortion), self.split(ratio), self.split(id)];
        let shape = Shape4 { kernel: &KERNEL, consts: &[], outer, unit: 1, grid: grid(&p), what: "log-mean-exp" };
        self.push(&shape, &p, views);
    }

    /// A likelihood term, its gradient, or both.
    fn likelihood(&mut self, value: Option<Id>, grad: Option<Id>) {
        let Some(op) = grad.or(value).map(|id| self.graph.op(id).clone()) else { return };
        let (out, x, g) = match op {
            Op::Bernoulli { logits, x } => (logits, x, None),
            Op::BernoulliGrad { logits, x, g } => (logits, x, Some(g)),
            Op::Gaussian { out, x, .. } => (out, x, None),
            Op::GaussianGrad { out, x, g, .. } => (out, x, Some(g)),
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
        let (value, grad) = (u32::from(value.is_some()), u32::from(grad.is_some()));
        let (width, per_example) = (self.shape(x).columns() as u32, self.per_example(rows));
        let unit = self.unit(rows);
        match op {
            Op::Bernoulli { .. } | Op::BernoulliGrad { .. } => {
                use kernels::bernoulli::{KERNEL, Params, grid};
                let p = Params { rows: rows as u32, width, per_example, weight };
                let (consts, grid) = ([value, grad, uniform], grid(&p));
                self.push(
                    &Shape4 { kernel: &KERNEL, consts: &consts, outer: rows, unit, grid, what: "Bernoulli" },
                    &p,
                    views,
                );
            }
            Op::Gaussian { variance, .. } | Op::GaussianGrad { variance, .. } => {
                use kernels::gaussian::{KERNEL, Params, grid};
                let (learned, log_variance, low, high) = match variance {
                    Variance::Fixed(log_variance) => (0, log_variance, 0.0, 0.0),
                    Variance::Learned(clamp) => (1, 0.0, clamp.low, clamp.high),
                };
                let p = Params { rows: rows as u32, width, per_example, weight, log_variance, low, high };
                let (consts, grid) = ([learned, value, grad, uniform], grid(&p));
                self.push(
                    &Shape4 { kernel: &KERNEL, consts: &consts, outer: rows, unit, grid, what: "Gaussian" },
                    &p,
                    views,
                );
            }
            _ => {}
        }
    }

    /// Elements that must stay together, where the tensor's rows belong to examples.
    fn element_unit(&self, shape: Shape) -> usize {
        if shape.rows().is_multiple_of(self.graph.batch) { shape.count() / self.graph.batch } else { shape.columns() }
    }

    fn elementwise(&mut self, id: Id, kernel: &'static Kernel, consts: &[u32], inputs: &[Id]) {
        use kernels::activation::{Params, grid};
        let shape = self.shape(id);
        let p = Params { count: shape.count() as u32 };
        let mut views: Vec<View> = inputs.iter().map(|&input| self.split(input)).collect();
        views.push(self.split(id));
        let (outer, unit) = (shape.count(), self.element_unit(shape));
        self.push(&Shape4 { kernel, consts, outer, unit, grid: grid(&p), what: kernel.name }, &p, views);
    }

    fn combine(&mut self, id: Id, op: u32, a: Id, b: Option<Id>, alpha: f32) {
        use kernels::combine::{KERNEL, Params, grid};
        let shape = self.shape(id);
        let p = Params { count: shape.count() as u32, alpha, beta: 1.0 };
        let b = match b {
            Some(b) => self.split(b),
            None => self.nothing(),
        };
        let views = vec![self.split(a), b, self.split(id)];
        let (outer, unit, grid) = (shape.count(), self.element_unit(shape), grid(&p));
        self.push(&Shape4 { kernel: &KERNEL, consts: &[op], outer, unit, grid, what: "combine" }, &p, views);
    }

    fn sum_rows(&mut self, id: Id, x: Id) {
        use kernels::sum_rows::{KERNEL, Params, grid};
        let (rows, columns) = (self.shape(x).rows(), self.shape(x).columns());
        let p = Params { rows: rows as u32, width: columns as u32 };
        let views = vec![self.split(x), self.split(id)];
        let unit = self.unit(rows);
        let shape = Shape4 { kernel: &KERNEL, consts: &[], outer: rows, unit, grid: grid(&p), what: "sum of rows" };
        self.push(&shape, &p, views);
    }

    fn sum_columns(&mut self, id: Id, x: Id) {
        use kernels::sum_columns::{KERNEL, Params, grid};
        let (rows, columns) = (self.shape(x).rows(), self.shape(x).columns());
        let p = Params { rows: rows as u32, width: columns as u32 };
        let views = vec![self.place(x), self.split(id)];
        let shape =
            Shape4 { kernel: &KERNEL, consts: &[], outer: columns, unit: 1, grid: grid(&p), what: "sum of columns" };
        self.push(&shape, &p, views);
    }

    fn broadcast(&mut self, id: Id, v: Id, along: u32) {
        use kernels::broadcast::{KERNEL, Params, grid};
        let (rows, columns) = (self.shape(id).rows(), self.shape(id).columns());
        let p = Params { rows: rows as u32, width: columns as u32 };
        let v = if along == 0 { self.split(v) } else { self.place(v) };
        let views = vec![v, self.split(id)];
        let unit = self.unit(rows);
        let shape = Shape4 { kernel: &KERNEL, consts: &[along], outer: rows, unit, grid: grid(&p), what: "broadcast" };
        self.push(&shape, &p, views);
    }

    /// The mean of every term of the loss, into the step's row of the metrics.
    fn metrics(&mut self) {
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
            let shape = Shape4 { kernel: &KERNEL, consts: &[], outer: 1, unit: 1, grid: grid(&p), what: &what };
            self.push(&shape, &p, views);
        }
    }
}

/// A params struct as the words that a dispatch gets.
fn words_of(params: &impl Pod) -> Vec<u32> {
    bytemuck::bytes_of(params).chunks_exact(4).map(bytemuck::pod_read_unaligned).collect()
}
