//! The mean over the batch of a value per row, into the metrics:
//! metrics\[slot, index\] = Σ v\[r\]/(rows·K) over the rows of the examples that count.

use super::{Call, Kernel, f32s, f32s_mut, params, read, read_write};

params! {
    /// Shapes: v \[R\] with R = B·K, metrics \[slots, columns\].
    pub struct Params {
        /// R, rows: K samples for each example, one after the other.
        pub rows: u32,
        /// K, samples per example.
        pub per_example: u32,
        /// The column of the metrics to fill.
        pub index: u32,
        /// Columns of the metrics.
        pub columns: u32,
    }
}

/// The kernel. Its outer axis has one element: it is never shared out.
pub static KERNEL: Kernel = Kernel {
    name: "batch_mean",
    wgsl: include_str!("../../shaders/batch_mean.wgsl"),
    bindings: &[read("v"), read_write("metrics")],
    params: FIELDS,
    entry: &[],
    consts: &[],
    workgroup: [256, 1, 1],
    cpu,
    fast: None,
};

/// One workgroup.
pub fn grid(_: &Params) -> [u32; 3] {
    [1, 1, 1]
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { step, reads, mut writes, .. } = call;
    let rows = p.rows.min(step.rows * p.per_example) as usize;
    let sum: f64 = f32s(reads[0])[..rows].iter().map(|&v| f64::from(v)).sum();
    let weight = f64::from(step.row_weight) / f64::from(p.per_example);
    f32s_mut(writes[0])[(step.slot * p.columns + p.index) as usize] = (sum * weight) as f32;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{call, step};

    #[test]
    fn the_mean_leaves_out_rows_that_do_not_count_and_goes_to_its_slot() {
        let p = Params { rows: 6, per_example: 2, index: 1, columns: 3 };
        let mut s = step(2);
        s.slot = 1;
        let mut metrics = [-1.0; 9];
        cpu(call(0..1, &p, &[], &s, &[&[1.0, 2.0, 3.0, 6.0, 100.0, f32::NAN]], vec![&mut metrics]));
        assert_eq!(metrics, [-1.0, -1.0, -1.0, -1.0, 3.0, -1.0, -1.0, -1.0, -1.0]);
    }
}
