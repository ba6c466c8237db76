//! A vector spread over [R, N]: `y[r, c] = v[r]` (`ALONG` 0) or `y[r, c] = v[c]` (`ALONG` 1).

use crate::kernels::{Call, Kernel, f32s, f32s_mut, read, write};

/// `ALONG` for a vector with one number for each row.
pub const ROWS: u32 = 0;
/// `ALONG` for a vector with one number for each column.
pub const COLUMNS: u32 = 1;

crate::kernels::params! {
    /// Constants of one use.
    pub struct Params {
        /// R.
        pub rows: u32,
        /// N.
        pub width: u32,
    }
}

/// The kernel; its outer axis are the rows, and v is bound whole where `ALONG` is [`COLUMNS`].
pub static KERNEL: Kernel = Kernel {
    name: "broadcast",
    wgsl: include_str!("../../../shaders/elementwise/broadcast.wgsl"),
    bindings: &[read("v"), write("y")],
    params: FIELDS,
    entry: &[],
    consts: &["ALONG"],
    workgroup: [256, 1, 1],
    cpu,
    fast: None,
    sums: crate::kernels::short,
    loop_iterations: crate::kernels::few_iterations,
    family: crate::kernels::Family::Alone,
};

/// The grid of a dispatch.
pub fn grid(params: &Params) -> [u32; 3] {
    crate::kernels::grid((params.rows as usize * params.width as usize).div_ceil(256))
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, consts, reads, mut writes, .. } = call;
    let (v, width) = (f32s(reads[0]), p.width as usize);
    for (r, row) in f32s_mut(writes[0]).chunks_exact_mut(width).enumerate().take(range.len()) {
        for (c, y) in row.iter_mut().enumerate() {
            *y = if consts[0] == ROWS { v[r] } else { v[c] };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{StepScalars, testing};
    use bytemuck::Zeroable;

    #[test]
    fn a_vector_fills_rows_or_columns() {
        let (params, step, v) = (Params { rows: 2, width: 3 }, StepScalars::zeroed(), [1.0, 2.0, 3.0]);
        for (along, expected) in [(ROWS, [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]), (COLUMNS, [1.0, 2.0, 3.0, 1.0, 2.0, 3.0])] {
            let mut y = [f32::NAN; 6];
            let (low, high) = y.split_at_mut(3);
            cpu(testing::call(0..1, &params, &[along], &step, &[&v], vec![low]));
            let rest = if along == ROWS { &v[1..] } else { &v };
            cpu(testing::call(1..2, &params, &[along], &step, &[rest], vec![high]));
            assert_eq!(y, expected);
        }
    }
}
