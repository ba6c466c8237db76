//! The gradient that a mean over the batch, times a weight of the loss, gives to each row: weight/(rows·K), and 0 to
//! the rows of examples that do not count.

use crate::kernels::{Call, Kernel, f32s_mut, params, write};

params! {
    /// Shapes: g \[R\] with R = B·K.
    pub struct Params {
        /// R, rows: K samples for each example, one after the other.
        pub rows: u32,
        /// K, samples per example.
        pub per_example: u32,
        /// Which weight of the loss.
        pub weight: u32,
    }
}

/// The kernel. Its outer axis is the rows.
pub static KERNEL: Kernel = Kernel {
    name: "row_weights",
    wgsl: include_str!("../../../shaders/objective/row_weights.wgsl"),
    bindings: &[write("g")],
    params: FIELDS,
    entry: &[],
    consts: &[],
    workgroup: [64, 1, 1],
    cpu,
    fast: None,
    sums: crate::kernels::short,
    loop_iterations: crate::kernels::few_iterations,
    family: crate::kernels::Family::Alone,
};

/// One thread per row.
pub fn grid(p: &Params) -> [u32; 3] {
    crate::kernels::grid((p.rows as usize).div_ceil(64))
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, step, mut writes, .. } = call;
    for (r, g) in range.zip(f32s_mut(writes[0])) {
        *g = step.row_gradient(p.weight as usize, r, p.per_example as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{call, step};

    #[test]
    fn rows_that_count_share_the_weight_and_the_others_get_none() {
        let p = Params { rows: 6, per_example: 2, weight: 1 };
        let mut g = [f32::NAN; 6];
        cpu(call(0..6, &p, &[], &step(2), &[], vec![&mut g]));
        assert_eq!(g, [0.125, 0.125, 0.125, 0.125, 0.0, 0.0]);
        let mut part = [f32::NAN; 2];
        cpu(call(3..5, &p, &[], &step(2), &[], vec![&mut part]));
        assert_eq!(part, [0.125, 0.0]);
    }
}
