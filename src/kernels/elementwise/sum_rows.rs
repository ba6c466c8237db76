//! `y[r] = Σ_c x[r, c]`: [R, N] to [R].

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

/// The kernel; its outer axis are the rows.
pub static KERNEL: Kernel = Kernel {
    name: "sum_rows",
    wgsl: include_str!("../../../shaders/elementwise/sum_rows.wgsl"),
    bindings: &[read("x"), write("y")],
    params: FIELDS,
    entry: &[],
    consts: &[],
    workgroup: [64, 1, 1],
    cpu,
    fast: None,
    sums,
    loop_iterations: crate::kernels::few_iterations,
    family: crate::kernels::Family::Alone,
};

/// The grid of a dispatch: a workgroup for each row.
pub fn grid(params: &Params) -> [u32; 3] {
    crate::kernels::grid(params.rows as usize)
}

fn sums(asked: &Asked, size: &dyn Fn(usize) -> f64) -> Sum {
    Sum::of(asked.params::<Params>().width as usize, size(0))
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, reads, mut writes, .. } = call;
    let rows = f32s(reads[0]).chunks_exact(p.width as usize);
    for (y, row) in f32s_mut(writes[0]).iter_mut().zip(rows).take(range.len()) {
        *y = row.iter().map(|&x| f64::from(x)).sum::<f64>() as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{StepScalars, testing};
    use bytemuck::Zeroable;

    #[test]
    fn each_row_is_summed_by_itself() {
        let (params, step, mut y) = (Params { rows: 3, width: 2 }, StepScalars::zeroed(), [f32::NAN; 3]);
        let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        cpu(testing::call(0..1, &params, &[], &step, &[&x], vec![&mut y[..1]]));
        cpu(testing::call(1..3, &params, &[], &step, &[&x[2..]], vec![&mut y[1..]]));
        assert_eq!(y, [3.0, 7.0, 11.0]);
    }
}
