//! The means over the batch of the terms of the loss, into the metrics: for the entry e of the table
//! metrics\[slot, e.index\] = Σ terms\[e.offset + i\]/(rows·K), i below rows·K·e.width: the examples that count.

use crate::kernels::{Call, Kernel, StepScalars, entry, f32s, f32s_mut, params, read, read_write};

params! {
    /// Shapes: metrics \[slots, columns\].
    pub struct Params {
        /// B, examples of the batch.
        pub batch: u32,
        /// Columns of the metrics.
        pub columns: u32,
        /// Entries of the table that are used.
        pub terms: u32,
        /// Nothing: the table begins at the next multiple of four words.
        pub filler: u32,
    }
}

entry! {
    /// A term of the loss: numbers [B·K, width] that lie one after the other.
    pub struct Entry {
        /// Where it begins within `terms`, in words.
        pub offset: u32,
        /// Numbers that add up to the term of a row: 1, or more where a term comes as partial sums.
        pub width: u32,
        /// K, samples per example.
        pub per_example: u32,
        /// The column of the metrics to fill.
        pub index: u32,
    }
}

/// The kernel. Its outer axis has one element: it is never shared out.
pub static KERNEL: Kernel = Kernel {
    name: "batch_mean",
    wgsl: include_str!("../../../shaders/objective/batch_mean.wgsl"),
    bindings: &[read("terms"), read_write("metrics")],
    params: FIELDS,
    entry: ENTRY,
    consts: &[],
    workgroup: [256, 1, 1],
    cpu,
    fast: None,
    sums: crate::kernels::short,
    loop_iterations: crate::kernels::few_iterations,
    family: crate::kernels::Family::Means,
};

/// The grid of a dispatch: one workgroup a term.
pub fn grid(params: &Params) -> [u32; 3] {
    crate::kernels::grid(params.terms as usize)
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let entries = call.entries::<Params, Entry>();
    let Call { step, reads, mut writes, .. } = call;
    means(&entries, p.batch, p.columns, step, f32s(reads[0]), f32s_mut(writes[0]));
}

/// The means of the entries: `terms` is what they lie in, `metrics` \[slots, columns\] what they go to.
pub(in crate::kernels) fn means(
    entries: &[Entry],
    batch: u32,
    columns: u32,
    step: &StepScalars,
    terms: &[f32],
    metrics: &mut [f32],
) {
    for entry in entries {
        let count = batch.min(step.rows) * entry.per_example * entry.width;
        let values = &terms[entry.offset as usize..][..count as usize];
        let sum: f64 = values.iter().map(|&value| f64::from(value)).sum();
        let weight = f64::from(step.row_weight) / f64::from(entry.per_example);
        metrics[(step.slot * columns + entry.index) as usize] = (sum * weight) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{call, step};
    use crate::kernels::words;

    #[test]
    fn each_mean_leaves_out_rows_that_do_not_count_and_goes_to_its_column_of_the_slot() {
        let p = Params { batch: 3, columns: 3, terms: 2, filler: 0 };
        let table = [
            Entry { offset: 1, width: 1, per_example: 2, index: 1 },
            Entry { offset: 7, width: 2, per_example: 1, index: 0 },
        ];
        let unused = f32::NAN;
        let terms = [unused, 1.0, 2.0, 3.0, 6.0, 100.0, unused, 0.5, 1.0, 2.0, -8.5, unused, 100.0];
        let mut s = step(2);
        s.slot = 1;
        let mut metrics = [-1.0; 9];
        let params = words(&p, &table);
        cpu(Call { params: &params, ..call(0..1, &p, &[], &s, &[&terms], vec![&mut metrics]) });
        assert_eq!(metrics, [-1.0, -1.0, -1.0, -2.5, 3.0, -1.0, -1.0, -1.0, -1.0]);
    }
}
