//! Products of matrices by packed panels, on the CPU engine, where the `gemm` crates are at a loss: rows are multiplied with rows, B
//! transposed; the left matrix may be looked up
//! where its numbers lie ([`Gathered`]), so a convolution multiplies the stretches of an image that its pixels see, which need not be
//! written out as rows of a matrix before; and rows may lie far apart.
//!
//! Blocks follow Goto and van de Geijn (2008): a strip of B is packed into panels that stay in a core's second cache, and a few rows of
//! A pass by all of them, with their sums in registers.
//!
//! Each sum runs over k in blocks that follow from k alone, from the first to the last in each. So a product has the same bits however
//! it is divided by rows, and with vectors of any width whose products are added unrounded.

mod pack;
mod tile;

use super::gemm::Matrix;
use pack::{Right, pack_left};
use pulp::{Simd, WithSimd};
use std::cell::RefCell;
use std::ops::Range;
use tile::{MOST_ROWS, Rows, Tile, most_rows};

/// A matrix of which element (i, d) is `values[rows[i] + depths[d]]`.
#[derive(Debug, Clone, Copy)]
pub struct Gathered<'a> {
    /// What is looked up.
    pub values: &'a [f32],
    /// For each row, what is added to all depths.
    pub rows: &'a [usize],
    /// For each depth, what is added to all rows.
    pub depths: &'a [usize],
}

/// Longest sum that is made in registers, one product after the other: what rounding makes of it grows with the root of its length.
const DEPTH: usize = 192;
/// Numbers of B that are packed at a time: they stay in a core's second cache.
const STRIP: usize = 64 << 10;
/// Tiles of rows up to which B is read where it lies: to pack it would take as long as to use it.
const FEW_TILES: usize = 2;
/// Neighbouring depths, in the mean, from which on rows are read where they lie rather than packed.
const NEIGHBOURS: usize = 8;

/// `c` [m, n], dense and row-major, becomes a·b, or c + a·b with `add`; a is [m, k], b is [k, n]. One thread.
pub fn product([m, n, k]: [usize; 3], a: Matrix, b: Matrix, c: &mut [f32], add: bool) {
    run(&Plain { a, m, k, n }, b, n, c, add);
}

/// For each row i of A, n numbers of C from `places[i]` on become A·B, or C + A·B with `add`. B is [depths, n]. One thread.
pub fn gathered(a: Gathered, b: Matrix, n: usize, c: &mut [f32], places: &[usize], add: bool) {
    assert_eq!(a.rows.len(), places.len(), "each row has a place");
    run(&LookedUp { a, places }, b, n, c, add);
}

/// The left matrix, and where its rows' products go.
trait Left {
    /// Rows and depths.
    fn extents(&self) -> [usize; 2];
    fn values(&self) -> &[f32];
    fn row(&self, i: usize) -> usize;
    fn depth(&self, d: usize) -> usize;
    fn place(&self, i: usize) -> usize;
    /// Stretches of neighbouring depths, by the first of each and their number.
    fn stretches(&self, depths: Range<usize>, found: &mut Vec<(usize, usize)>);
}

struct Plain<'a> {
    a: Matrix<'a>,
    m: usize,
    k: usize,
    n: usize,
}

impl Left for Plain<'_> {
    fn extents(&self) -> [usize; 2] {
        [self.m, self.k]
    }

    fn values(&self) -> &[f32] {
        self.a.values
    }

    #[inline(always)]
    fn row(&self, i: usize) -> usize {
        i * self.a.rows
    }

    #[inline(always)]
    fn depth(&self, d: usize) -> usize {
        d * self.a.columns
    }

    fn place(&self, i: usize) -> usize {
        i * self.n
    }

    fn stretches(&self, depths: Range<usize>, found: &mut Vec<(usize, usize)>) {
        if self.a.columns == 1 {
            found.push((depths.start, depths.len()));
        } else {
            found.extend(depths.map(|d| (self.depth(d), 1)));
        }
    }
}

struct LookedUp<'a> {
    a: Gathered<'a>,
    places: &'a [usize],
}

impl Left for LookedUp<'_> {
    fn extents(&self) -> [usize; 2] {
        [self.a.rows.len(), self.a.depths.len()]
    }

    fn values(&self) -> &[f32] {
        self.a.values
    }

    #[inline(always)]
    fn row(&self, i: usize) -> usize {
        self.a.rows[i]
    }

    #[inline(always)]
    fn depth(&self, d: usize) -> usize {
        self.a.depths[d]
    }

    fn place(&self, i: usize) -> usize {
        self.places[i]
    }

    fn stretches(&self, depths: Range<usize>, found: &mut Vec<(usize, usize)>) {
        for &at in &self.a.depths[depths] {
            match found.last_mut() {
                Some((first, count)) if *first + *count == at => *count += 1,
                _ => found.push((at, 1)),
            }
        }
    }
}

/// Room for what is packed.
#[derive(Debug, Default)]
struct Packed {
    a: Vec<f32>,
    b: Vec<f32>,
    stretches: Vec<(usize, usize)>,
}

thread_local! {
    static PACKED: RefCell<Packed> = RefCell::default();
}

fn run<L: Left>(left: &L, b: Matrix, n: usize, c: &mut [f32], add: bool) {
    let [m, k] = left.extents();
    if k == 0 && !add {
        (0..m).for_each(|i| c[left.place(i)..][..n].fill(0.0));
    }
    if m > 0 && n > 0 && k > 0 {
        PACKED.with_borrow_mut(|packed| pulp::Arch::new().dispatch(Product { left, b, n, c, add, packed }));
    }
}

struct Product<'a, L> {
    left: &'a L,
    b: Matrix<'a>,
    n: usize,
    c: &'a mut [f32],
    add: bool,
    packed: &'a mut Packed,
}

impl<L: Left> WithSimd for Product<'_, L> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { left, b, n, c, add, packed: Packed { a: room_of_a, b: room_of_b, stretches } } = self;
        let ([m, k], lanes) = (left.extents(), S::F32_LANES);
        let (tiles, blocks) = (m.div_ceil(most_rows::<S>()), k.div_ceil(DEPTH));
        for depths in (0..blocks).map(|block| share(k, block, blocks)) {
            stretches.clear();
            left.stretches(depths.clone(), stretches);
            let in_place = stretches.len() * NEIGHBOURS <= depths.len();
            let b_in_place = b.columns == 1 && tiles <= FEW_TILES;
            let vectors = n.div_ceil(lanes);
            let strips = (vectors * lanes * depths.len()).div_ceil(STRIP);
            for strip in (0..strips).map(|strip| share(vectors, strip, strips)) {
                let columns = strip.start * lanes..(strip.end * lanes).min(n);
                let b = Matrix { values: &b.values[depths.start * b.rows + columns.start * b.columns..], ..b };
                let right = Right::new::<S>(b, [depths.len(), columns.len()], b_in_place, room_of_b);
                for tile in (0..tiles).map(|tile| share(m, tile, tiles)) {
                    let (mut rows, mut places) = ([0; MOST_ROWS], [0; MOST_ROWS]);
                    let count = tile.len();
                    for ((row, place), i) in rows.iter_mut().zip(&mut places).zip(tile) {
                        (*row, *place) = (left.row(i), left.place(i) + columns.start);
                    }
                    let (values, rows, places) = (left.values(), &rows[..count], &places[..count]);
                    let left = if in_place {
                        Rows::InPlace { values, rows, stretches }
                    } else {
                        Rows::Packed(pack_left(values, rows, depths.clone().map(|d| left.depth(d)), room_of_a))
                    };
                    let add = add || depths.start > 0;
                    Tile { left, right, columns: columns.len(), places, add }.make(simd, c);
                }
            }
        }
    }
}

/// The part of `count` things that belongs to one of `parts`, which differ by one at most.
fn share(count: usize, part: usize, parts: usize) -> Range<usize> {
    part * count / parts..(part + 1) * count / parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::gemm::tests::{assert_right, normal};

    /// Extents on both sides of those of tiles, panels, blocks and strips.
    const EXTENTS: [[usize; 3]; 19] = [
        [1, 1, 1],
        [2, 16, 1],
        [13, 33, 1],
        [27, 400, 400],
        [9, 5, 2],
        [10, 7, 3],
        [5, 3, 7],
        [24, 1, 1100],
        [2, 784, 400],
        [10, 64, 200],
        [64, 40, 400],
        [6, 16, 192],
        [12, 32, 193],
        [13, 33, 40],
        [25, 24, 900],
        [64, 20, 30],
        [7, 200, 500],
        [785, 40, 20],
        [33, 17, 769],
    ];

    #[test]
    fn a_product_is_right_and_has_the_same_bits_however_its_rows_are_divided() {
        assert_right(product, &EXTENTS);
    }

    /// Depths that are neighbours by one, by five, by twelve and all; rows of which some are neighbours and one is there twice.
    #[test]
    fn rows_that_are_looked_up_have_the_bits_of_rows_that_are_written_out() {
        for ([m, n, k], neighbours) in
            EXTENTS.into_iter().flat_map(|extents| [1, 5, 12, 1 << 20].map(|by| (extents, by)))
        {
            let depths: Vec<usize> = (0..k).map(|d| d + 3 * (d / neighbours)).collect();
            let rows: Vec<usize> =
                (0..m).map(|i| if i % 20 < 13 { i } else { 4 * k + 7 * i } - usize::from(i == 2)).collect();
            let values = normal(4 * k + 8 * m + depths[k - 1] + 1, 1);
            let (b, start) = (normal(k * n, 2), normal(2 * m * n, 3));
            let places: Vec<usize> = (0..m).map(|i| (2 * i + 1) * n).rev().collect();
            let b = Matrix { values: &b, rows: n, columns: 1 };
            let written: Vec<f32> =
                rows.iter().flat_map(|row| depths.iter().map(move |depth| row + depth)).map(|at| values[at]).collect();
            for add in [false, true] {
                let mut found = start.clone();
                gathered(Gathered { values: &values, rows: &rows, depths: &depths }, b, n, &mut found, &places, add);
                let mut made: Vec<f32> = places.iter().flat_map(|&place| &start[place..place + n]).copied().collect();
                product([m, n, k], Matrix { values: &written, rows: k, columns: 1 }, b, &mut made, add);
                let mut expected = start.clone();
                for (&place, row) in places.iter().zip(made.chunks_exact(n)) {
                    expected[place..place + n].copy_from_slice(row);
                }
                assert!(found == expected, "[{m}, {n}, {k}], {neighbours} neighbours, add {add}");
            }
        }
    }

    #[test]
    fn a_sum_of_nothing_is_zero() {
        let nothing = Matrix { values: &[], rows: 2, columns: 1 };
        for (add, expected) in [(false, [0.0; 4]), (true, [1.0, 2.0, 3.0, 4.0])] {
            let mut c = [1.0, 2.0, 3.0, 4.0];
            product([2, 2, 0], nothing, nothing, &mut c, add);
            assert_eq!(c, expected);
        }
    }
}
