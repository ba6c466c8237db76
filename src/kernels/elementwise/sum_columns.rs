//! `y[c] = Σ_r x[r, c]`: [R, N] to [N], as for the gradient of a bias.

use crate::kernels::{Asked, Call, Kernel, Sum, f32s, f32s_mut, read, write};

crate::kernels::params! {
    /// Constants of one use.
    pub struct Params {
        /// R.
        pub rows: u32,
        /// N.
        pub width: u32,
    }
}

/// The kernel; its outer axis are the columns, and x is bound whole.
pub static KERNEL: Kernel = Kernel {
    name: "sum_columns",
    wgsl: include_str!("../../../shaders/elementwise/sum_columns.wgsl"),
    bindings: &[read("x"), write("y")],
    params: FIELDS,
    entry: &[],
    consts: &[],
    workgroup: [COLUMNS as u32, LANES as u32, 1],
    cpu,
    fast: None,
    sums,
    loop_iterations: |asked| (loop_iterations(asked.params()), "a smaller batch"),
    family: crate::kernels::Family::Alone,
};

/// Columns of a workgroup.
const COLUMNS: usize = 32;
/// Threads of a column.
const LANES: usize = 8;

/// The grid of a dispatch.
pub fn grid(params: &Params) -> [u32; 3] {
    crate::kernels::grid((params.width as usize).div_ceil(COLUMNS))
}

/// Rounds of a thread: its share of the rows.
fn loop_iterations(p: Params) -> usize {
    (p.rows as usize).div_ceil(LANES)
}

fn sums(asked: &Asked, size: &dyn Fn(usize) -> f64) -> Sum {
    Sum::of(asked.params::<Params>().rows as usize, size(0))
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, reads, mut writes, .. } = call;
    let (x, width) = (f32s(reads[0]), p.width as usize);
    for (column, y) in range.zip(f32s_mut(writes[0])) {
        *y = (0..p.rows as usize).map(|row| f64::from(x[row * width + column])).sum::<f64>() as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{StepScalars, testing};
    use bytemuck::Zeroable;

    #[test]
    fn each_column_is_summed_by_itself() {
        let (params, step, mut y) = (Params { rows: 2, width: 3 }, StepScalars::zeroed(), [f32::NAN; 3]);
        let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        cpu(testing::call(0..1, &params, &[], &step, &[&x], vec![&mut y[..1]]));
        cpu(testing::call(1..3, &params, &[], &step, &[&x], vec![&mut y[1..]]));
        assert_eq!(y, [5.0, 7.0, 9.0]);
    }
}
