//! C = A·B, [m, k]·[k, n] → [m, n], with what surrounds a product in a network:
//!
//! - `TRANSPOSE_A`, `TRANSPOSE_B`: the operand is stored as its transpose;
//! - `BIAS`: B has one more row than the product needs, which is added to every row of C (forward pass);
//! - `ONES` (with `TRANSPOSE_A`): the last row of C is the column sums of B (gradient of the bias row);
//! - `EPILOGUE` 1: C = activation(A·B); 2: C = A·B times the activation's derivative at `aux` [m, n].
//!
//! [`super::matmul_direct`] is the same kernel for devices without real workgroups.

use super::gemm::{self, Matrix};
use super::{Binding, Call, Kernel, f32s, f32s_mut, math, params, read, write};

params! {
    /// Extents of the product.
    pub struct Params {
        /// Rows of C.
        pub m: u32,
        /// Columns of C.
        pub n: u32,
        /// Length of the sums.
        pub k: u32,
    }
}

pub(super) const BINDINGS: &[Binding] = &[read("a"), read("b"), read("aux"), write("c")];
pub(super) const CONSTS: &[&str] = &["TRANSPOSE_A", "TRANSPOSE_B", "BIAS", "ONES", "EPILOGUE", "ACTIVATION"];

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "matmul",
    wgsl: include_str!("../../shaders/matmul.wgsl"),
    bindings: BINDINGS,
    params: FIELDS,
    consts: CONSTS,
    workgroup: [256, 1, 1],
    cpu,
    fast: Some(fast),
};

/// One workgroup per 64×64 tile of C.
pub fn grid(p: &Params) -> [u32; 3] {
    [p.n.div_ceil(64), p.m.div_ceil(64), 1]
}

/// Outer axis: rows of C. `c` and `aux` are split, `a` too unless it is transposed; `b` is whole.
pub(super) fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, consts, reads, mut writes, .. } = call;
    let [transpose_a, transpose_b, bias, ones, epilogue, activation] = *consts else { unreachable!("six constants") };
    let (n, k) = (p.n as usize, p.k as usize);
    let (a, b, aux) = (f32s(reads[0]), f32s(reads[1]), f32s(reads[2]));
    let c = f32s_mut(writes[0]);
    let activation = math::from_code(activation);
    let stored = (p.m - ones) as usize;
    for row in range.clone() {
        for column in 0..n {
            let mut sum = if bias == 1 { f64::from(b[k * n + column]) } else { 0.0 };
            for depth in 0..k {
                let left = match (transpose_a, ones) {
                    (0, _) => a[(row - range.start) * k + depth],
                    (_, 1) if row == stored => 1.0,
                    _ => a[depth * stored + row],
                };
                let right = if transpose_b == 0 { b[depth * n + column] } else { b[column * k + depth] };
                sum += f64::from(left) * f64::from(right);
            }
            let at = (row - range.start) * n + column;
            c[at] = match epilogue {
                1 => math::activate(activation, sum as f32),
                2 => sum as f32 * math::derivative(activation, aux[at]),
                _ => sum as f32,
            };
        }
    }
}

/// The twin's meaning by way of the `gemm` crate: the bias first, the product added to it, then the epilogue.
pub(super) fn fast(call: Call) {
    let p: Params = call.params();
    let Call { range, consts, reads, mut writes, .. } = call;
    let [transpose_a, transpose_b, bias, ones, epilogue, activation] = *consts else { unreachable!("six constants") };
    let (n, k) = (p.n as usize, p.k as usize);
    let (a, b, aux) = (f32s(reads[0]), f32s(reads[1]), f32s(reads[2]));
    let c = f32s_mut(writes[0]);
    let stored = (p.m - ones) as usize;
    let rows = range.len() - usize::from(ones == 1 && range.end > stored);
    let left = match transpose_a {
        0 => Matrix { values: a, rows: k, columns: 1 },
        _ => Matrix { values: &a[range.start.min(a.len())..], rows: 1, columns: stored },
    };
    let right = match transpose_b {
        0 => Matrix { values: b, rows: n, columns: 1 },
        _ => Matrix { values: b, rows: 1, columns: k },
    };
    if bias == 1 {
        for row in c.chunks_exact_mut(n) {
            row.copy_from_slice(&b[k * n..(k + 1) * n]);
        }
    }
    gemm::product([rows, n, k], left, right, c, bias == 1);
    if rows < range.len() {
        column_sums(&b[..k * n], transpose_b == 1, &mut c[rows * n..]);
    }
    let activation = math::from_code(activation);
    match epilogue {
        1 => math::activate_all(activation, c),
        2 => math::derivative_all(activation, aux, c),
        _ => {}
    }
}

/// The sums over the rows of B, which lies row by row or, `transposed`, column by column.
fn column_sums(b: &[f32], transposed: bool, sums: &mut [f32]) {
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            let (n, k) = (sums.len(), b.len() / sums.len());
            if transposed {
                for (sum, row) in sums.iter_mut().zip(b.chunks_exact(k)) {
                    *sum = row.iter().sum();
                }
                return;
            }
            sums.fill(0.0);
            for row in b.chunks_exact(n) {
                for (sum, value) in sums.iter_mut().zip(row) {
                    *sum += value;
                }
            }
        },
    );
}
