//! From a graph to steps: which kernel computes each group of operations, bound to what, with which grid.

mod conv;
mod elementwise;
mod general;
mod leaves;
mod likelihood;
mod loop_limit;
mod mixture;
mod norm;
mod objective;
mod posterior;
pub(super) mod products;
mod recompute;
mod recurrent;
mod sums;
mod table;

use super::{Buffer, Plan, Role, Row, Step, UpdateStep, View, fuse_dispatches, layout, memory, update, verify};
use crate::error::{Error, Result};
use crate::graph::fuse::{FusedOps, fuse};
use crate::graph::general::join_formulas;
use crate::graph::grad::{derived_at, gradients};
use crate::graph::{Graph, Id, Op};
use crate::kernels::{self, Kernel, math};
use crate::shape::Shape;
use bytemuck::Pod;
pub use loop_limit::check_rounds;
use std::collections::{BTreeMap, BTreeSet};

/// What a plan is made for. A plan for one target is correct on every executor, and fast on its own; but plans for
/// `Lanes` have kernels that only such devices can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Devices whose threads run in parallel.
    Gpu,
    /// Drivers that emulate a device on the CPU: products without workgroup memory.
    Software,
    /// Those of them that run eight lanes as one vector register: operands are read as textures.
    Simd8,
    /// The CPU engine: each parameter is updated where its gradient was made.
    Cpu,
}

/// Sizes of what stays on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resident {
    /// Words of the data set, or of the window on it.
    pub data_words: usize,
    /// Examples that fit into the window ([`Role::Window`]); 0 where the whole data set is on the device.
    pub window: usize,
    /// Words of the order of examples.
    pub order_words: usize,
    /// Rows of the metrics buffer: steps whose terms are kept before the host reads them.
    pub metric_slots: usize,
}

/// Makes a plan that computes the graph's terms and outputs and, with an `ending`, updates the parameters.
///
/// # Errors
/// [`Error::Bug`] for a graph that no kernel computes; [`Error::Usage`] for sizes that a device of this kind would
/// leave unfinished.
pub fn lower(name: &str, graph: Graph, ending: Option<UpdateStep>, resident: Resident, target: Target) -> Result<Plan> {
    let plan = unshared(name, graph, ending, resident, target)?;
    // On the CPU engine a step costs nothing, and threads would have to meet wherever one tensor takes the place of
    // another.
    let plan = match target {
        Target::Cpu if ending.is_some_and(|ending| ending.recompute) => memory::share(plan),
        Target::Cpu => plan,
        _ => joined(plan, target),
    };
    verify::verify(&plan)?;
    Ok(plan)
}

fn joined(mut plan: Plan, target: Target) -> Plan {
    let steps = std::mem::take(&mut plan.steps);
    let groups = fuse_dispatches::group(target, steps, &plan.buffers, plan.batch);
    memory::place(plan, groups, target)
}

/// The plan of [`lower`] with every step by itself and every intermediate tensor in a buffer of its own.
///
/// # Errors
/// Those of [`lower`].
pub fn unshared(
    name: &str,
    mut graph: Graph,
    ending: Option<UpdateStep>,
    resident: Resident,
    target: Target,
) -> Result<Plan> {
    let parameters: Vec<Id> = graph.ids().filter(|&id| matches!(graph.op(id), Op::Parameter { .. })).collect();
    let (trained, forward) = (trained(&graph, &parameters, ending)?, graph.len());
    let wanted: Vec<Id> = trained.iter().map(|&at| parameters[at]).collect();
    let mut found = if ending.is_some() { gradients(&mut graph, &wanted)? } else { vec![] };
    let trained = with_assigned(&graph, trained, &mut found);
    copy_shared(&mut graph, &mut found)?;
    let mut roots: Vec<Id> = graph.terms.iter().map(|term| term.rows).collect();
    roots.extend(graph.outputs.iter().map(|(_, id)| *id));
    roots.extend(found.iter().flatten());
    join_formulas(&mut graph, &roots);
    let (ranges, words) = layout(&graph.parameters);
    let norm = ending.filter(|ending| update::reports_norm(ending.optimizer)).map(|_| update::GRADIENT_NORM);
    let terms: Vec<String> = graph.terms.iter().map(|term| &term.name[..]).chain(norm).map(str::to_owned).collect();
    let columns = terms.len();
    let plan = Plan {
        name: name.to_owned(),
        batch: graph.batch,
        members: 1,
        buffers: vec![],
        steps: vec![],
        parameters: ranges,
        terms,
    };
    let mut lowering = Lowering {
        graph: &graph,
        target,
        resident,
        plan,
        parameter_words: words,
        row: ending.and_then(|ending| ending.row).unwrap_or(Row { first: 0, columns }),
        places: BTreeMap::new(),
        parts: BTreeMap::new(),
        remembered: BTreeMap::new(),
        gone_back: BTreeMap::new(),
    };
    lowering.fix_places(&parameters, &trained, &found)?;
    if ending.is_none_or(|ending| !ending.stage.is_update()) {
        let groups = fuse(&graph, &roots);
        let live: BTreeSet<Id> = groups.iter().flat_map(|group| group.members()).collect();
        let again = if ending.is_some_and(|ending| ending.recompute) {
            recompute::cells(&graph, &groups, &roots, forward)?
        } else {
            vec![]
        };
        for (at, group) in groups.iter().enumerate() {
            for cell in again.iter().filter(|cell| cell.before == at) {
                // Where they were is free from here on.
                cell.tensors.iter().for_each(|id| _ = lowering.places.remove(id));
                cell.groups.iter().try_for_each(|&again| lowering.group(groups[again], &live))?;
            }
            lowering.group(*group, &live)?;
        }
        check_rounds(target, &lowering.plan.steps, &lowering.plan.buffers)?;
        lowering.means();
    }
    if let Some(ending) = &ending {
        update::steps(&mut lowering, ending);
    }
    Ok(lowering.plan)
}

/// The parameters that an ending changes, by their numbers; none without one.
fn trained(graph: &Graph, parameters: &[Id], ending: Option<UpdateStep>) -> Result<Vec<usize>> {
    let Some(UpdateStep { trains, .. }) = ending else { return Ok(vec![]) };
    let of_group = |&at: &usize| trains.contains(&graph.parameters[at].name);
    let found: Vec<usize> = (0..parameters.len()).filter(of_group).collect();
    if found.is_empty() {
        return Err(Error::Bug(format!("no parameter belongs to {trains:?}, so there is nothing to train")));
    }
    Ok(found)
}

/// What a parameter becomes lies where its gradient would: the places of the trained ones together with those, and what lies
/// there in their order.
fn with_assigned(graph: &Graph, mut trained: Vec<usize>, found: &mut Vec<Option<Id>>) -> Vec<usize> {
    for &(at, value) in &graph.assigned {
        let place = trained.partition_point(|&other| other < at);
        trained.insert(place, at);
        found.insert(place, Some(value));
    }
    trained
}

/// Gradients and outputs lie where the update and the host look for them. A tensor that already lies elsewhere (a
/// parameter, an input, or one that is wanted twice) is copied there.
fn copy_shared(graph: &mut Graph, gradients: &mut [Option<Id>]) -> Result<()> {
    let given = |&id: &Id| matches!(graph.op(id), Op::Parameter { .. } | Op::Input { .. });
    let mut placed: BTreeSet<Id> = graph.ids().filter(given).collect();
    gradients.iter_mut().flatten().for_each(|id| *id = stored(graph, *id));
    for at in 0..graph.outputs.len() {
        graph.outputs[at].1 = stored(graph, graph.outputs[at].1);
    }
    // No step may read and write one buffer, so a gradient of two parameters is copied for both from a third place.
    let all = gradients.to_vec();
    for id in gradients.iter_mut().flatten() {
        let shared = all.iter().flatten().filter(|other| *other == id).count() > 1;
        if shared || placed.contains(id) {
            *id = graph.add(Op::Scale { x: *id, factor: 1.0 })?;
        }
        placed.insert(*id);
    }
    for at in 0..graph.outputs.len() {
        let id = graph.outputs[at].1;
        if !placed.insert(id) {
            graph.outputs[at].1 = graph.add(Op::Scale { x: id, factor: 1.0 })?;
        }
    }
    Ok(())
}

/// The tensor whose numbers another one is, in other extents.
fn stored(graph: &Graph, id: Id) -> Id {
    match *graph.op(id) {
        Op::Reshape { x, .. } | Op::StopGradient { x } => stored(graph, x),
        _ => id,
    }
}

/// A plan under construction.
pub(super) struct Lowering<'a> {
    pub graph: &'a Graph,
    pub target: Target,
    resident: Resident,
    pub plan: Plan,
    pub parameter_words: usize,
    /// Where the terms stand in a row of the metrics.
    pub row: Row,
    places: BTreeMap<Id, View>,
    /// Terms of the loss that are stored as partial sums, and how many there are for each row.
    parts: BTreeMap<Id, (View, usize)>,
    /// What recurrent layers keep for the way back: their units one step before, and their gates.
    remembered: BTreeMap<Id, [View; 2]>,
    /// What the way back through a recurrent layer gives to the gates by way of its units, by the layer and the gradient of what it
    /// makes.
    gone_back: BTreeMap<(Id, Id), View>,
}

/// Everything about a step but its params and its buffers.
pub(super) struct Dispatch<'a> {
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
        self.whole(Role::Unbound, 4)
    }

    /// What an unused binding that would be written is bound to.
    pub fn sink(&mut self) -> View {
        self.whole(Role::Discard, 4)
    }

    /// A new intermediate tensor.
    pub fn scratch(&mut self, words: usize) -> View {
        let slot = self.plan.buffers.len();
        let buffer = self.buffer(Role::Slot(slot), words);
        View { buffer, offset: 0, words, split: false }
    }

    /// Appends a step of a kernel without a table.
    pub fn push(&mut self, dispatch: &Dispatch, params: &impl Pod, views: Vec<View>) {
        self.push_table::<_, u32>(dispatch, params, &[], views);
    }

    /// Appends a step of a kernel with a table.
    pub fn push_table<P: Pod, E: Pod>(&mut self, dispatch: &Dispatch, params: &P, table: &[E], views: Vec<View>) {
        self.plan.steps.push(Step {
            kernel: dispatch.kernel,
            consts: dispatch.consts.to_vec(),
            params: kernels::words(params, table),
            views,
            outer: dispatch.outer,
            unit: dispatch.unit,
            grid: dispatch.grid,
            what: dispatch.what.to_owned(),
        });
    }

    /// Tensors whose place is given: parameters, the gradients of those that are trained, inputs and outputs.
    fn fix_places(&mut self, parameters: &[Id], trained: &[usize], gradients: &[Option<Id>]) -> Result<()> {
        let words = self.parameter_words;
        for (at, &id) in parameters.iter().enumerate() {
            let (offset, count) = (self.plan.parameters[at].offset, self.plan.parameters[at].count());
            let buffer = self.buffer(Role::Parameters, words);
            self.places.insert(id, View { buffer, offset, words: count, split: false });
            match trained.binary_search(&at).ok().map(|found| gradients[found]) {
                None => {}
                Some(None) => {
                    return Err(Error::Bug(format!("the loss does not depend on {}", self.plan.parameters[at].name)));
                }
                Some(Some(gradient)) => {
                    let buffer = self.buffer(Role::Gradients, words);
                    self.places.insert(gradient, View { buffer, offset, words: count, split: false });
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

    /// Where a tensor lies. Row weights are computed when this is first asked: whoever computes them itself never asks.
    fn place(&mut self, id: Id) -> View {
        let id = stored(self.graph, id);
        if let Some(&view) = self.places.get(&id) {
            return view;
        }
        let view = self.scratch(self.graph.shape(id).count());
        self.places.insert(id, view);
        if let Op::RowWeights { rows, weight } = *self.graph.op(id) {
            self.row_weights(view, rows, weight);
        }
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

    fn group(&mut self, group: FusedOps, live: &BTreeSet<Id>) -> Result<()> {
        match group {
            FusedOps::Single(id) => self.single(id, live),
            FusedOps::AffineActivation { affine, activation } => {
                match (self.graph.op(affine), self.graph.op(activation)) {
                    (Op::Affine { x, w }, Op::Activation { kind, .. }) => self.affine(*x, *w, activation, Some(*kind)),
                    (Op::Conv { x, w, window }, Op::Activation { kind, .. }) => {
                        self.conv(*x, *w, *window, activation, Some(*kind));
                    }
                    _ => return Err(Error::Bug(format!("{group:?} has other members"))),
                }
                Ok(())
            }
            FusedOps::GradActivation { input, activation } => {
                let (Op::Vjp { of, .. }, (&Op::Activation { kind, .. }, _)) =
                    (self.graph.op(activation), self.graph.forward(activation))
                else {
                    return Err(Error::Bug(format!("{group:?} has other members")));
                };
                let then = Some((derived_at(self.graph, *of), kind));
                match self.graph.forward(input) {
                    (&Op::Affine { w, .. }, Some((_, dy))) => self.affine_grad_input(dy, w, activation, then),
                    (&Op::Conv { w, window, .. }, Some((_, dy))) => {
                        self.conv_grad_input(dy, w, window, activation, then);
                    }
                    _ => return Err(Error::Bug(format!("{group:?} has other members"))),
                }
                Ok(())
            }
            // The CPU engine has vectorised functions for each, and its threads go on with their rows anyway.
            FusedOps::ProductFormula { product, formula } if self.target == Target::Cpu => {
                self.single(product, live)?;
                self.single(formula, live)
            }
            FusedOps::ProductFormula { product, formula } => self.product_formula(product, formula),
            FusedOps::SampleKl { sample, kl } => {
                self.sample(sample, Some(kl));
                Ok(())
            }
            FusedOps::PosteriorGrad { sum, sample, kl } => {
                self.posterior_grad(sum, Some(sample), Some(kl));
                Ok(())
            }
            FusedOps::LikelihoodGrad { value, grad } if matches!(self.graph.op(value), Op::Table { .. }) => {
                self.table(Some(value), Some(grad));
                Ok(())
            }
            FusedOps::LikelihoodGrad { value, grad } if matches!(self.graph.op(value), Op::LogisticMixture { .. }) => {
                self.logistic_mixture(Some(value), Some(grad));
                Ok(())
            }
            FusedOps::LikelihoodGrad { value, grad } => {
                self.likelihood(Some(value), Some(grad));
                Ok(())
            }
            // Likewise.
            FusedOps::AffineLikelihood { affine, value, grad } if self.target == Target::Cpu => {
                self.single(affine, live)?;
                self.likelihood(Some(value), Some(grad));
                Ok(())
            }
            FusedOps::AffineLikelihood { affine, value, grad } => {
                self.affine_likelihood(affine, value, grad);
                Ok(())
            }
        }
    }

    fn single(&mut self, id: Id, live: &BTreeSet<Id>) -> Result<()> {
        use Op::*;
        match *self.graph.op(id) {
            // What is stored already; the last two are nothing but other names for it.
            Parameter { .. } | Input { .. } | Reshape { .. } | StopGradient { .. } => {}
            Gather { width, ref source, binarise } => self.gather(id, width, source, binarise),
            Class => self.class(id),
            Noise { .. } => self.noise(id, live),
            // A gradient or an output, which has its place already; all others are made when they are asked for.
            RowWeights { rows, weight } => {
                if let Some(&view) = self.places.get(&id) {
                    self.row_weights(view, rows, weight);
                }
            }
            Affine { x, w } => self.affine(x, w, id, None),
            Conv { x, w, window } => self.conv(x, w, window, id, None),
            Depthwise { x, w, window } => self.depthwise(x, w, window, id, false),
            Pool { x, window, factor } => self.pool(id, x, window, factor),
            GroupMoments { x, channels, .. } => self.group_moments(id, x, channels),
            GroupNorm { x, w, moments } => self.group_norm(id, [x, w, moments]),
            Dropout { x, rate, layer } => self.dropout(id, x, rate, layer),
            NchwNhwc { x, channels, to_pixels } => self.planes(id, x, channels, to_pixels),
            ConcatOneHot { x, class, .. } => self.with_class(id, x, Some(class)),
            Op::Activation { x, kind } => self.elementwise(id, &kernels::activation::KERNEL, &[math::code(kind)], &[x]),
            Sample { .. } => self.sample(id, None),
            Kl { .. } => self.kl_alone(id)?,
            KlMeans { .. } => self.kl_means(id),
            ShapedKl { .. } => self.shaped_kl(id),
            LogRatio { .. } => self.log_ratio(id),
            LogPrior { .. } => self.log_prior(id),
            Bound { .. } => self.bound(id),
            LogMeanExp { distortion, ratio } => self.log_mean_exp(id, distortion, ratio),
            TableInput { x, .. } => self.table_values(id, x, kernels::table_values::ENCODER),
            TableMean { out, .. } => self.table_values(id, out, kernels::table_values::MEANS),
            LogisticMixture { .. } => self.logistic_mixture(Some(id), None),
            LogisticMixtureMean { out, mixture } => self.logistic_mixture_mean(id, out, mixture),
            ConcatBroadcast { .. } => self.append(id),
            Table { .. } => self.table(Some(id), None),
            Bernoulli { .. } | Gaussian { .. } => self.likelihood(Some(id), None),
            Add { a, b } => self.combine(id, 0, a, Some(b), 1.0),
            Multiply { a, b } => self.combine(id, 1, a, Some(b), 1.0),
            Scale { x, factor } => self.combine(id, 2, x, None, factor),
            SumRows { x } => self.sum_rows(id, x),
            SumColumns { x } => self.sum_columns(id, x),
            BroadcastRows { v, .. } => self.broadcast(id, v, 0),
            BroadcastColumns { v, .. } => self.broadcast(id, v, 1),
            Map(ref of) => self.formula(id, of),
            Reduce { ref of, kind, axis } => self.reduce(id, of, kind, axis),
            Product { a, b, batch, transposed } => self.batched_product(id, [a, b], batch, transposed),
            TakeRows { x, index } => self.take_rows(id, x, index, false),
            AddRows { dy, index, .. } => self.take_rows(id, dy, index, true),
            Recurrent { .. } => self.recurrent(id, live),
            Vjp { of, input, dy } => self.vjp(id, of, input, dy, live)?,
        }
        Ok(())
    }

    /// The gradient of a node for one of its inputs, by itself.
    fn vjp(&mut self, id: Id, of: Id, input: usize, dy: Id, live: &BTreeSet<Id>) -> Result<()> {
        use Op::*;
        match (self.graph.op(of), input) {
            (&Affine { w, .. }, 0) => self.affine_grad_input(dy, w, id, None),
            (&Affine { x, .. }, _) => self.affine_grad_weight(x, dy, id),
            (&Conv { w, window, .. }, 0) => self.conv_grad_input(dy, w, window, id, None),
            (&Conv { x, window, .. }, _) => self.conv_grad_weight(x, dy, window, id),
            (&Depthwise { w, window, .. }, 0) => self.depthwise(dy, w, window, id, true),
            (&Depthwise { x, window, .. }, _) => self.depthwise_grad_weight(x, dy, window, id),
            (&GroupNorm { x, w, moments }, 0) => self.group_norm_grad_input(id, [x, w, moments, dy]),
            (&GroupNorm { x, w, moments }, _) => {
                self.group_norm_grad_weight(id, [x, moments, dy], self.shape(w).columns());
            }
            (Recurrent { .. }, input) => self.recurrent_grad(id, (of, input, dy), live)?,
            (ConcatOneHot { .. }, _) => self.with_class(id, dy, None),
            (&Op::Activation { kind, .. }, _) => {
                let v = derived_at(self.graph, of);
                self.elementwise(id, &kernels::activation_grad::KERNEL, &[math::code(kind)], &[dy, v]);
            }
            (Sample { .. }, _) => self.posterior_grad(id, Some(id), None),
            (Kl { .. }, _) => self.posterior_grad(id, None, Some(id)),
            (ShapedKl { .. }, _) => self.shaped_kl(id),
            (LogRatio { .. }, _) => self.log_ratio_grad(id),
            (LogPrior { .. }, _) => self.log_prior(id),
            (Bound { .. }, _) => self.bound(id),
            (ConcatBroadcast { .. }, _) => self.append(id),
            (LogisticMixture { .. }, _) => self.logistic_mixture(None, Some(id)),
            (Table { .. }, _) => self.table(None, Some(id)),
            (Bernoulli { .. } | Gaussian { .. }, _) => self.likelihood(None, Some(id)),
            (op, input) => return Err(Error::Bug(format!("nothing computes the gradient {input} of {}", op.name()))),
        }
        Ok(())
    }

    /// The row gradient `g` as a kernel takes it: the view, whether it comes from the step, and its weight.
    fn row_gradient(&mut self, g: Option<Id>) -> (View, u32, u32) {
        match g.map(|g| (g, self.graph.op(g).clone())) {
            None => (self.nothing(), 1, 0),
            Some((_, Op::RowWeights { weight, .. })) => (self.nothing(), 1, weight as u32),
            Some((g, _)) => (self.split(g), 0, 0),
        }
    }
}
