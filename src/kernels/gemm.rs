//! The one door to the `gemm` crates: their function takes raw pointers, this one takes slices and checks them.
#![expect(unsafe_code, reason = "gemm's interface is raw pointers; the bounds are checked here, once")]

/// A matrix in a slice: element (i, j) is `values[i·rows + j·columns]`.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    /// The elements.
    pub values: &'a [f32],
    /// Distance between rows.
    pub rows: usize,
    /// Distance between columns.
    pub columns: usize,
}

/// `c` [m, n], dense and row-major, becomes a·b, or c + a·b with `add`; a is [m, k], b is [k, n]. One thread.
///
/// Each element's sum runs over k in an order that does not depend on m, so that a product divided by rows is the same
/// to the last bit.
pub fn product([m, n, k]: [usize; 3], a: Matrix, b: Matrix, c: &mut [f32], add: bool) {
    if m == 0 || n == 0 {
        return;
    }
    assert!(c.len() >= m * n, "C has room for the product");
    if m == 1 {
        // A single row would take another path through the crate and round differently: it is computed twice over.
        let mut twice = [&c[..n], &c[..n]].concat();
        product([2, n, k], Matrix { rows: 0, ..a }, b, &mut twice, add);
        c[..n].copy_from_slice(&twice[..n]);
        return;
    }
    if k == 0 {
        if !add {
            c[..m * n].fill(0.0);
        }
        return;
    }
    assert!((m - 1) * a.rows + (k - 1) * a.columns < a.values.len(), "A holds all rows and columns");
    assert!((k - 1) * b.rows + (n - 1) * b.columns < b.values.len(), "B holds all rows and columns");
    let stride = |s: usize| isize::try_from(s).expect("a slice is shorter than isize::MAX");
    // The kernels prefer a destination with contiguous columns, so they are given the transpose of everything.
    let function = gemm_f32::gemm::f32::get_gemm_fn();
    // SAFETY: all three matrices lie within their slices, as just asserted; c is borrowed mutably, so it overlaps
    // neither of the others; the elements are plain floats.
    unsafe {
        function(
            n,
            m,
            k,
            c.as_mut_ptr(),
            stride(n),
            1,
            add,
            b.values.as_ptr(),
            stride(b.rows),
            stride(b.columns),
            a.values.as_ptr(),
            stride(a.rows),
            stride(a.columns),
            1.0,
            1.0,
            false,
            false,
            false,
            gemm_common::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Philox, Stream};

    #[test]
    fn a_product_divided_by_rows_has_the_same_bits() {
        for [m, n, k] in [[128, 400, 784], [64, 40, 400], [10, 7, 3], [785, 400, 128], [2, 784, 400], [33, 20, 400]] {
            let mut rng = Philox::new(5, Stream::Choice, m as u32, n as u32);
            let a: Vec<f32> = (0..m * k).map(|_| rng.normal()).collect();
            let b: Vec<f32> = (0..k * n).map(|_| rng.normal()).collect();
            let right = Matrix { values: &b, rows: n, columns: 1 };
            // Both ways in which A may lie.
            for (rows, columns) in [(k, 1), (1, m)] {
                let mut whole = vec![0.0; m * n];
                product([m, n, k], Matrix { values: &a, rows, columns }, right, &mut whole, false);
                for cut in [1, m / 2, m - 1] {
                    let mut parts = vec![0.0; m * n];
                    let (top, bottom) = parts.split_at_mut(cut * n);
                    product([cut, n, k], Matrix { values: &a, rows, columns }, right, top, false);
                    let below = Matrix { values: &a[cut * rows..], rows, columns };
                    product([m - cut, n, k], below, right, bottom, false);
                    assert!(whole == parts, "[{m}, {n}, {k}] cut at {cut}");
                }
            }
        }
    }
}
