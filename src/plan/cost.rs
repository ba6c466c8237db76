//! What a step asks of a device at least: the arithmetic of its product and the bytes that it has to move.
//!
//! Both follow from the plan alone, so they are the same whatever kernel does the work, and a rate made of them can be
//! compared between devices. A kernel may do more: read an operand several times, or compute a logarithm per element.

use super::{Plan, Role, Step, View};
use crate::kernels::Access;
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

/// The cost of a step of a plan.
pub fn cost(plan: &Plan, step: &Step) -> Cost {
    let bytes = step.accesses().map(|(access, view)| {
        let passes = if access == Access::ReadWrite { 2.0 } else { 1.0 };
        4.0 * passes * touched(plan, &view)
    });
    Cost { flops: product(step).map_or(0.0, |[m, n, k]| 2.0 * m * n * k), bytes: bytes.sum() }
}

/// The extents m, n and k of a step that is a product: one whose params have these names.
pub fn product(step: &Step) -> Option<[f64; 3]> {
    let extent = |wanted: &str| {
        let at = step.kernel.params.iter().position(|(name, _)| *name == wanted)?;
        step.params.get(at).map(|&extent| f64::from(extent))
    };
    Some([extent("m")?, extent("n")?, extent("k")?])
}

/// Words of a view that a run touches: all of them, but of what stays on the device only the batch's share.
fn touched(plan: &Plan, view: &View) -> f64 {
    let words = view.words as f64;
    match plan.buffers[view.buffer].role {
        Role::Nothing | Role::Sink => 0.0,
        Role::Order => words.min(plan.batch as f64),
        // The order has a place for every example.
        Role::Data => words * (plan.batch as f64 / plan.words(&Role::Order).max(1) as f64).min(1.0),
        Role::Metrics => words.min(plan.terms.len() as f64),
        Role::Parameters
        | Role::Gradients
        | Role::Moment1
        | Role::Moment2
        | Role::Input(_)
        | Role::Output(_)
        | Role::Slot(_) => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{Kernel, adam, gather, matmul};
    use crate::plan::Buffer;

    /// A step in buffers of its own, of a plan for a batch of 10 of 1000 examples.
    fn alone(kernel: &'static Kernel, params: Vec<u32>, buffers: Vec<(Role, usize)>) -> Cost {
        let buffers: Vec<Buffer> = buffers.into_iter().map(|(role, words)| Buffer { role, words }).collect();
        let view = |(buffer, words)| View { buffer, offset: 0, words, split: false };
        let views = buffers.iter().map(|buffer| buffer.words).enumerate().map(view).collect();
        let (consts, what) = (vec![0; kernel.consts.len()], String::new());
        let step = Step { kernel, consts, params, views, outer: 1, unit: 1, grid: [1; 3], what };
        let (name, steps) = (String::new(), vec![step]);
        total(&Plan { name, batch: 10, buffers, steps, parameters: vec![], terms: vec![] })
    }

    #[test]
    fn a_product_costs_its_multiplications_and_additions_and_every_matrix_once() {
        let buffers = vec![(Role::Slot(0), 6), (Role::Parameters, 8), (Role::Nothing, 4), (Role::Slot(1), 12)];
        let cost = alone(&matmul::KERNEL, vec![3, 4, 2], buffers);
        assert_eq!(cost, Cost { flops: 48.0, bytes: 4.0 * (6 + 8 + 12) as f64 });
    }

    #[test]
    fn what_is_changed_in_place_is_read_and_written() {
        let roles = [Role::Gradients, Role::Nothing, Role::Parameters, Role::Moment1, Role::Moment2];
        let cost = alone(&adam::KERNEL, vec![100; 5], roles.map(|role| (role, 100)).to_vec());
        assert_eq!(cost, Cost { flops: 0.0, bytes: 4.0 * 700.0 });
    }

    #[test]
    fn a_batch_pays_for_its_own_examples_and_not_for_the_data_set() {
        let buffers = vec![(Role::Order, 1000), (Role::Data, 196_000), (Role::Slot(0), 7840)];
        let cost = alone(&gather::KERNEL, vec![10, 784], buffers);
        // An index, 784 bytes in and 784 floats out for each example.
        assert_eq!(cost, Cost { flops: 0.0, bytes: 10.0 * (4.0 + 784.0 + 3136.0) });
    }
}
