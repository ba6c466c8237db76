//! C = A·B for each of a batch of matrices that are both computed; of A and B the transpose may be stored.

use crate::kernels::gemm::{Matrix, product};
use crate::kernels::{Asked, Call, Kernel, Sum, f32s, f32s_mut, read, write};

crate::kernels::params! {
    /// Extents, alike for all of the batch.
    pub struct Params {
        /// Products.
        pub batch: u32,
        /// Rows of C.
        pub m: u32,
        /// Columns of C.
        pub n: u32,
        /// Length of the sums.
        pub k: u32,
    }
}

/// The kernel; its outer axis are the products. Shapes: a [batch·m, k] or, with `TRANSPOSE_A`, [batch·k, m]; b [batch·k, n] or
/// [batch·n, k]; y [batch·m, n].
pub static KERNEL: Kernel = Kernel {
    name: "batched_product",
    wgsl: include_str!("../../../shaders/product/batched_product.wgsl"),
    bindings: &[read("a"), read("b"), write("y")],
    params: FIELDS,
    entry: &[],
    consts: &["TRANSPOSE_A", "TRANSPOSE_B"],
    workgroup: [64, 1, 1],
    cpu,
    fast: Some(fast),
    sums,
    loop_iterations,
    family: crate::kernels::Family::Alone,
};

/// The grid of a dispatch: a thread for four neighbours of a row of C.
pub fn grid(p: &Params) -> [u32; 3] {
    crate::kernels::grid((p.batch as usize * p.m as usize * (p.n as usize).div_ceil(4)).div_ceil(64))
}

/// The length of the sums.
fn loop_iterations(asked: &Asked) -> (usize, &'static str) {
    (asked.params::<Params>().k as usize, "narrower layers")
}

fn sums(asked: &Asked, size: &dyn Fn(usize) -> f64) -> Sum {
    Sum::of(asked.params::<Params>().k as usize, size(0) * size(1))
}

/// Distances between rows and between columns of a matrix of so many rows and columns, which may lie transposed.
fn strides(rows: usize, columns: usize, transposed: u32) -> (usize, usize) {
    if transposed == 1 { (1, rows) } else { (columns, 1) }
}

fn each(call: Call, multiply: impl Fn([usize; 3], Matrix, Matrix, &mut [f32])) {
    let p: Params = call.params();
    let Call { range, consts, reads, mut writes, .. } = call;
    let [m, n, k] = [p.m, p.n, p.k].map(|extent| extent as usize);
    let (a, b) = (f32s(reads[0]), f32s(reads[1]));
    let ((a_rows, a_columns), (b_rows, b_columns)) = (strides(m, k, consts[0]), strides(k, n, consts[1]));
    for (at, y) in f32s_mut(writes[0]).chunks_exact_mut(m * n).enumerate().take(range.len()) {
        let left = Matrix { values: &a[at * m * k..][..m * k], rows: a_rows, columns: a_columns };
        let right = Matrix { values: &b[at * k * n..][..k * n], rows: b_rows, columns: b_columns };
        multiply([m, n, k], left, right, y);
    }
}

fn cpu(call: Call) {
    each(call, |[m, n, k], a, b, y| {
        for (i, row) in y.chunks_exact_mut(n).enumerate().take(m) {
            for (j, y) in row.iter_mut().enumerate() {
                let factors = |d: usize| (a.values[i * a.rows + d * a.columns], b.values[d * b.rows + j * b.columns]);
                *y = (0..k).map(factors).map(|(a, b)| f64::from(a) * f64::from(b)).sum::<f64>() as f32;
            }
        }
    });
}

fn fast(call: Call) {
    each(call, |extents, a, b, y| product(extents, a, b, y, false));
}
