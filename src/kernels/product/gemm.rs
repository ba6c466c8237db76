//! The one door to the `gemm` crates: their function takes raw pointers, this one takes slices and checks them.
#![expect(unsafe_code, reason = "gemm's interface is raw pointers; the bounds are checked here, once")]

use super::panels;

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

/// Numbers from one row or column to the next from which on a product is left to [`panels`]: gemm reads B where it lies, and rows that
/// far apart, by powers of two above all, take each other's places in the caches. [32, 256]·[256, 16384] is 1.3 times as fast there.
const FAR: usize = 4096;

/// The longest sum that gemm makes in one go whatever the other extents are.
const BLOCK: usize = 512;

/// `c` [m, n], dense and row-major, becomes a·b, or c + a·b with `add`; a is [m, k], b is [k, n]. One thread.
///
/// Each element's sum runs over k in an order that does not depend on m, so that a product divided by rows is the same
/// to the last bit. By the size of a product, gemm chooses between functions that sum in different orders (blocks along
/// k, matrix times vector); here every number of rows gets the same one.
///
/// What multiplies rows with rows, B transposed, is left to [`panels`] too: gemm takes longer for it where there are few rows.
pub fn product([m, n, k]: [usize; 3], a: Matrix, b: Matrix, c: &mut [f32], add: bool) {
    if m == 0 || n == 0 {
        return;
    }
    assert!(c.len() >= m * n, "C has room for the product");
    let far = [a.rows, a.columns, b.rows, b.columns].into_iter().any(|apart| apart >= FAR);
    if n > 1 && (far || b.rows == 1) {
        return panels::product([m, n, k], a, b, c, add);
    }
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
    for depth in (0..k).step_by(BLOCK) {
        let left = Matrix { values: &a.values[depth * a.columns..], ..a };
        let right = Matrix { values: &b.values[depth * b.rows..], ..b };
        let (extents, add) = ([m, n, BLOCK.min(k - depth)], add || depth > 0);
        match n {
            1 => column(extents, left, right, c, add),
            _ => matrices(extents, left, right, c, add),
        }
    }
}

/// A product with one column.
fn column([m, _, k]: [usize; 3], a: Matrix, b: Matrix, c: &mut [f32], add: bool) {
    for (row, c) in c[..m].iter_mut().enumerate() {
        let factors = |depth: usize| (a.values[row * a.rows + depth * a.columns], b.values[depth * b.rows]);
        let sum: f64 = (0..k).map(factors).map(|(a, b)| f64::from(a) * f64::from(b)).sum();
        *c = if add { *c + sum as f32 } else { sum as f32 };
    }
}

/// A product by gemm itself; no extent is 0.
fn matrices([m, n, k]: [usize; 3], a: Matrix, b: Matrix, c: &mut [f32], add: bool) {
    assert!(c.len() >= m * n, "C has room for the product");
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
pub(super) mod tests {
    use super::*;
    use crate::rng::{Philox, Stream};

    /// Normal numbers, as many for each stream as are asked for.
    pub fn normal(count: usize, stream: u32) -> Vec<f32> {
        let mut rng = Philox::new(5, Stream::Choice, stream, count as u32);
        (0..count).map(|_| rng.normal()).collect()
    }

    /// Holds products of these extents against double precision, and their bits against those of products of some rows each.
    pub fn assert_right(product: fn([usize; 3], Matrix, Matrix, &mut [f32], bool), extents: &[[usize; 3]]) {
        for &[m, n, k] in extents {
            let (a, b, start) = (normal(m * k, 1), normal(k * n, 2), normal(m * n, 3));
            // Both ways in which A and B may lie, and whether C is added to.
            for (a_transposed, b_transposed, add) in (0..8).map(|case| (case & 1 == 1, case & 2 == 2, case & 4 == 4)) {
                let (rows, columns) = if a_transposed { (1, m) } else { (k, 1) };
                let (b_rows, b_columns) = if b_transposed { (1, k) } else { (n, 1) };
                let right = Matrix { values: &b, rows: b_rows, columns: b_columns };
                let mut whole = start.clone();
                product([m, n, k], Matrix { values: &a, rows, columns }, right, &mut whole, add);
                let layout = format!("A transposed {a_transposed}, B transposed {b_transposed}, add {add}");
                let some = (0..m).step_by(m.div_ceil(32)).chain([m - 1]);
                for (i, j) in some.flat_map(|i| (0..n).map(move |j| (i, j))) {
                    let factors = |d: usize| (a[i * rows + d * columns], b[d * right.rows + j * right.columns]);
                    let sum: f64 = (0..k).map(factors).map(|(a, b)| f64::from(a) * f64::from(b)).sum();
                    let expected = sum + if add { f64::from(start[i * n + j]) } else { 0.0 };
                    let error = (f64::from(whole[i * n + j]) - expected).abs();
                    assert!(error < 1e-4, "[{m}, {n}, {k}] is {error:.1e} off at ({i}, {j}): {layout}");
                }
                for cut in [1, m / 3, m / 2, m - 1] {
                    let mut parts = start.clone();
                    let (top, bottom) = parts.split_at_mut(cut * n);
                    product([cut, n, k], Matrix { values: &a, rows, columns }, right, top, add);
                    let below = Matrix { values: a.get(cut * rows..).unwrap_or_default(), rows, columns };
                    product([m - cut, n, k], below, right, bottom, add);
                    assert!(whole == parts, "[{m}, {n}, {k}] cut at {cut}: {layout}");
                }
            }
        }
    }

    /// What gemm chooses by the size of a product (blocks along k below 64 rows and columns, dot products below 256
    /// elements, matrix times vector, outer products) must not be chosen by the number of rows.
    #[test]
    fn a_product_is_right_and_has_the_same_bits_however_its_rows_are_divided() {
        let extents = [
            [128, 400, 784],
            [64, 40, 400],
            [10, 7, 3],
            [785, 400, 128],
            [2, 784, 400],
            [33, 20, 400],
            [128, 64, 784],
            [128, 20, 400],
            [24, 20, 400],
            [24, 1, 1100],
            [9, 5, 2],
            [9, 5, 1],
            [12, 10, 4100],
            [12, 4100, 5],
        ];
        assert_right(product, &extents);
    }
}
