//! What a step asks of a device at least: the arithmetic of its product and the bytes that it has to move.
//!
//! Both follow from the plan alone, so they are the same whatever kernel does the work, and a rate made of them can be
//! compared between devices. A kernel may do more: read an operand several times, or compute a logarithm per element.

use super::{Plan, Role, Step, View};
use crate::kernels::{Access, Family, batch_mean, chain, matmul};
use bytemuck::Pod;
use std::ops::Add;

/// What a step, or several, ask for.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cost {
    /// Floating-point operations of products, 2·m·n·k each. What other kernels compute is not counted: they wait for
    /// memory.
    pub flops: f64,
    /// Bytes read once and bytes written once.
    pub bytes: f64,
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { flops: self.flops + other.flops, bytes: self.bytes + other.bytes }
    }
}

/// The cost of one run of a plan.
pub fn total(plan: &Plan) -> Cost {
    plan.steps.iter().map(|step| cost(plan, step)).fold(Cost::default(), Add::add)
}

/// The cost of a step of a plan, for all its members.
pub fn cost(plan: &Plan, step: &Step) -> Cost {
    let (one, members) = (of_one(plan, step), plan.members as f64);
    Cost { flops: one.flops * members, bytes: one.bytes * members }
}

fn of_one(plan: &Plan, step: &Step) -> Cost {
    match step.kernel.family {
        Family::Chain => chained(step),
        Family::Product => products(step) + terms(plan, step),
        Family::Convolution(products) => Cost { flops: 2.0 * products(&step.asked()), bytes: moved(plan, step) },
        Family::Link(_) | Family::Means | Family::Update(_) | Family::Alone => {
            Cost { flops: 0.0, bytes: moved(plan, step) }
        }
    }
}

/// Whether a step is one or several products, of the family of [`matmul`].
pub fn is_product(step: &Step) -> bool {
    matches!(step.kernel.family, Family::Product)
}

/// Floating-point operations of a step that is products; 0 of any other.
pub fn product_flops(step: &Step) -> f64 {
    if is_product(step) { products(step).flops } else { 0.0 }
}

/// Products side by side: each reads its operands and what its epilogue takes, and writes its result.
fn products(step: &Step) -> Cost {
    let per_example = step.params[PER_EXAMPLE].max(1) as f64;
    let one = |e: matmul::Entry| {
        let [m, n, k, bias, ones] = [e.m, e.n, e.k, step.consts[2], step.consts[3]].map(f64::from);
        let aux = match step.consts[4] {
            matmul::DERIVE => m * n,
            matmul::FORMULA if step.consts[5] == 1 => m * n,
            matmul::BERNOULLI | matmul::GAUSSIAN => m * n / per_example,
            _ => 0.0,
        };
        Cost { flops: e.flops(), bytes: 4.0 * ((m - ones) * k + (k + bias) * n + aux + m * n) }
    };
    table(step).into_iter().map(one).fold(Cost::default(), Add::add)
}

/// Which of the params of [`matmul`] are the rows for each example.
const PER_EXAMPLE: usize = 2;

/// The distortion's parts that a product with a likelihood writes.
fn terms(plan: &Plan, step: &Step) -> Cost {
    Cost { flops: 0.0, bytes: step.views.last().map_or(0.0, |view| 4.0 * touched(plan, view)) }
}

/// Steps in a chain: what goes from one to the next is counted, as it lies in memory.
fn chained(step: &Step) -> Cost {
    let examples = f64::from(step.params[1]);
    let one = |e: chain::Entry| {
        let [n, k, rows] = [e.n, e.k, e.per_example].map(f64::from);
        let rows = examples * rows;
        let (bias, epilogue) = (f64::from(e.option >> 1 & 1), e.option >> 2 & 3);
        match e.kind {
            chain::PRODUCT => {
                let aux = if epilogue == matmul::DERIVE { rows * n } else { 0.0 };
                let words = rows * k + (k + bias) * n + aux + rows * n;
                Cost { flops: 2.0 * rows * n * k, bytes: 4.0 * words }
            }
            // Statistics; noise and samples; the KL.
            chain::SAMPLE => Cost { flops: 0.0, bytes: 4.0 * (2.0 * examples * n + 2.0 * rows * n + examples) },
            // Statistics and their gradient; noise and the gradient of the samples.
            chain::POSTERIOR_GRAD => Cost { flops: 0.0, bytes: 4.0 * (4.0 * examples * n + 2.0 * rows * n) },
            _ => Cost { flops: 0.0, bytes: 4.0 * 2.0 * rows * n },
        }
    };
    table(step).into_iter().map(one).fold(Cost::default(), Add::add)
}

/// The entries of a step's table.
pub fn table<E: Pod>(step: &Step) -> Vec<E> {
    let words = step.params[step.kernel.params.len()..].chunks_exact(size_of::<E>() / 4);
    words.map(|entry| bytemuck::pod_read_unaligned(bytemuck::cast_slice(entry))).collect()
}

/// Bytes that a step moves, by its views.
fn moved(plan: &Plan, step: &Step) -> f64 {
    let means = matches!(step.kernel.family, Family::Means | Family::Update(_));
    let bindings = step.kernel.bindings.iter().zip(&step.views);
    let bytes = bindings.map(|(binding, view)| {
        // The terms of the loss lie apart, and the view reaches from the first to the last of them.
        if means && binding.name == "terms" {
            let numbers = |e: &batch_mean::Entry| plan.batch as f64 * f64::from(e.per_example * e.width);
            return 4.0 * table(step).iter().map(numbers).sum::<f64>();
        }
        let passes = if binding.access == Access::ReadWrite { 2.0 } else { 1.0 };
        4.0 * passes * touched(plan, view)
    });
    bytes.sum()
}

/// Words of a view that a run touches: all of them, but of what stays on the device only the batch's share.
fn touched(plan: &Plan, view: &View) -> f64 {
    let words = view.words as f64;
    match plan.buffers[view.buffer].role {
        Role::Unbound | Role::Discard => 0.0,
        Role::Order | Role::Labels => words.min(plan.batch as f64),
        // The order has a place for every example.
        Role::Data | Role::Window => words * (plan.batch as f64 / plan.words(&Role::Order).max(1) as f64).min(1.0),
        Role::Metrics => words.min(plan.terms.len() as f64),
        Role::Parameters
        | Role::Gradients
        | Role::Total
        | Role::Average
        | Role::Moment1
        | Role::Moment2
        | Role::Input(_)
        | Role::Output(_)
        | Role::Constants(_)
        | Role::Slot(_)
        | Role::Workspace => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{Kernel, conv, gather, update, words};
    use crate::plan::Buffer;

    /// A step in buffers of its own, of a plan for a batch of 10 of 1000 examples.
    fn alone(kernel: &'static Kernel, consts: &[u32], params: Vec<u32>, buffers: Vec<(Role, usize)>) -> Cost {
        let buffers: Vec<Buffer> = buffers.into_iter().map(|(role, words)| Buffer { role, words }).collect();
        let view = |(buffer, words)| View { buffer, offset: 0, words, split: false };
        let views = buffers.iter().map(|buffer| buffer.words).enumerate().map(view).collect();
        let (consts, what) = (consts.to_vec(), String::new());
        let step = Step { kernel, consts, params, views, outer: 1, unit: 1, grid: [1; 3], what };
        let (name, steps) = (String::new(), vec![step]);
        let (parameters, terms) = (vec![], vec![String::new()]);
        total(&Plan { name, batch: 10, members: 1, buffers, steps, parameters, terms })
    }

    #[test]
    fn products_cost_their_multiplications_and_additions_and_every_matrix_once() {
        let p = matmul::Params { jobs: 2, weight: 0, per_example: 1, log_variance: 0.0 };
        let entries = [matmul::Entry::alone(3, 4, 2), matmul::Entry::alone(5, 1, 1)];
        // The views reach over more than the matrices.
        let roles = [Role::Workspace, Role::Workspace, Role::Workspace, Role::Workspace, Role::Discard];
        let buffers = roles.map(|role| (role, 1000)).to_vec();
        let cost = |consts: [u32; 6]| alone(&matmul::KERNEL, &consts, words(&p, &entries), buffers.clone());
        let plain = Cost { flops: 48.0 + 10.0, bytes: 4.0 * f64::from(6 + 8 + 12 + 5 + 1 + 5) };
        assert_eq!(cost([0, 1, 0, 0, 0, 0]), plain);
        // A bias is a row more of B, a derivative is taken at as many places as C has.
        let more = Cost { bytes: plain.bytes + 4.0 * f64::from(4 + 1 + 12 + 5), ..plain };
        assert_eq!(cost([0, 0, 1, 0, matmul::DERIVE, 1]), more);
    }

    #[test]
    fn a_convolution_costs_what_each_of_its_pixels_multiplies() {
        let (fine_height, fine_width, coarse_height, coarse_width) = (6, 4, 3, 2);
        #[rustfmt::skip]
        let p = conv::Params {
            rows: 10, inputs: 2, outputs: 5, fine_height, fine_width, coarse_height, coarse_width, kernel: 2, stride: 2,
            padding: 0,
        };
        let buffers = vec![(Role::Slot(0), 480), (Role::Parameters, 45), (Role::Unbound, 4), (Role::Slot(1), 300)];
        let cost = alone(&conv::KERNEL, &[0, 0, 0, 0, 4], words::<_, u32>(&p, &[]), buffers);
        assert_eq!(cost, Cost { flops: 2.0 * 10.0 * 6.0 * 4.0 * 10.0, bytes: 4.0 * f64::from(480 + 45 + 300) });
    }

    #[test]
    fn a_chain_costs_what_its_steps_cost() {
        let p = chain::Params { ops: 2, examples: 10, group: 4, spare: 0 };
        let product = chain::Entry::product(&matmul::Entry::alone(0, 3, 2), 2, &[0, 0, 1, 0, 0, 0]);
        let entries = [product.expect("a chain computes it"), chain::Entry::activation(3, 2, &[1])];
        let buffers = vec![(Role::Order, 1000), (Role::Parameters, 500), (Role::Workspace, 7000)];
        let cost = alone(&chain::KERNEL, &[], words(&p, &entries), buffers);
        let product = 20 * 2 + (2 + 1) * 3 + 20 * 3;
        assert_eq!(cost, Cost { flops: 2.0 * 20.0 * 6.0, bytes: 4.0 * f64::from(product + 2 * 20 * 3) });
    }

    #[test]
    fn what_is_changed_in_place_is_read_and_written() {
        let (count, beta1, beta2, eps, weight_decay) = (100, 0.9, 0.99, 1e-8, 0.0);
        let p = update::Params { count, beta1, beta2, eps, weight_decay, batch: 10, columns: 1, terms: 1 };
        let term = batch_mean::Entry { offset: 0, width: 2, per_example: 3, index: 0 };
        let buffers = vec![
            (Role::Gradients, 100),
            (Role::Unbound, 4),
            (Role::Workspace, 9000),
            (Role::Parameters, 100),
            (Role::Moment1, 100),
            (Role::Moment2, 100),
            (Role::Metrics, 50),
        ];
        let cost = alone(&update::KERNEL, &[update::ADAM, 0, 0, 2], words(&p, &[term]), buffers);
        // Seven passes, the sixty numbers of a term, a column of the metrics.
        assert_eq!(cost, Cost { flops: 0.0, bytes: 4.0 * (700.0 + 60.0 + 2.0) });
    }

    #[test]
    fn a_batch_pays_for_its_own_examples_and_not_for_the_data_set() {
        let buffers = vec![(Role::Order, 1000), (Role::Data, 196_000), (Role::Slot(0), 7840)];
        let cost = alone(&gather::KERNEL, &[0, 0], vec![10, 784], buffers);
        // An index, 784 bytes in and 784 floats out for each example.
        assert_eq!(cost, Cost { flops: 0.0, bytes: 10.0 * (4.0 + 784.0 + 3136.0) });
    }
}
