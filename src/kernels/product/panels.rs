//! Products of matrices by packed panels, on the CPU engine, where the `gemm` crates are at a loss: the left matrix may be looked up
//! where its numbers lie ([`Gathered`]), so a convolution multiplies the stretches of an image that its pixels see, which need not be
//! written out as rows of a matrix before; and rows may lie far apart.
//!
//! Blocks follow Goto and van de Geijn (2008): a strip of B is packed into panels that stay in a core's second cache, and a few rows of
//! A pass by all of them, with their sums in registers.
//!
//! Each sum runs over k in blocks that follow from k alone, from the first to the last in each. So a product has the same bits however
//! it is divided by rows, and with vectors of any width whose products are added unrounded.

use super::gemm::Matrix;
use pulp::{NullaryFnOnce, Simd, WithSimd};
use std::cell::RefCell;
use std::ops::Range;

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

/// Longest sum that is made in registers.
const DEPTH: usize = 384;
/// Numbers of B that are packed at a time: they stay in a core's second cache.
const STRIP: usize = 64 << 10;
/// Tiles of rows up to which B is read where it lies: to pack it would take as long as to use it.
const FEW_TILES: usize = 2;
/// Neighbouring depths, in the mean, from which on rows are read where they lie rather than packed.
const NEIGHBOURS: usize = 8;
/// Rows that are made at a time where there are 32 registers for vectors, the most there are.
const MOST_ROWS: usize = 12;
/// Rows that are made at a time where there are 16.
const FEWER_ROWS: usize = 6;
/// Vectors of a panel.
const VECTORS: usize = 2;
/// Numbers of the longest cache line.
const LINE: usize = 16;

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
                    by_rows(simd, Tile { left, right, columns: columns.len(), places, add }, c);
                }
            }
        }
    }
}

const fn most_rows<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { MOST_ROWS } else { FEWER_ROWS }
}

/// The part of `count` things that belongs to one of `parts`, which differ by one at most.
fn share(count: usize, part: usize, parts: usize) -> Range<usize> {
    part * count / parts..(part + 1) * count / parts
}

/// So many numbers that begin where a line of the caches does.
fn room(buffer: &mut Vec<f32>, count: usize) -> &mut [f32] {
    if buffer.len() < count + LINE {
        buffer.resize(count + LINE, 0.0);
    }
    let first = buffer.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
    &mut buffer[first..first + count]
}

/// Some rows of A, [depth, rows]. Depths come by how far they lie behind a row's first number.
#[inline(always)]
fn pack_left<'a>(
    values: &[f32],
    rows: &[usize],
    depths: impl ExactSizeIterator<Item = usize>,
    buffer: &'a mut Vec<f32>,
) -> &'a [f32] {
    /// Rows whose numbers lie side by side.
    #[inline(always)]
    fn neighbours<const R: usize>(from: &[f32], depths: impl Iterator<Item = usize>, packed: &mut [f32]) {
        for (to, depth) in packed.as_chunks_mut::<R>().0.iter_mut().zip(depths) {
            *to = *from[depth..].first_chunk().expect("every row has all depths");
        }
    }
    let count = rows.len();
    let packed = room(buffer, count * depths.len());
    let from = &values[rows[0]..];
    if rows.windows(2).any(|pair| pair[0] + 1 != pair[1]) {
        for (to, depth) in packed.chunks_exact_mut(count).zip(depths) {
            to.iter_mut().zip(rows).for_each(|(to, row)| *to = values[row + depth]);
        }
        return packed;
    }
    match count {
        5 => neighbours::<5>(from, depths, packed),
        6 => neighbours::<6>(from, depths, packed),
        11 => neighbours::<11>(from, depths, packed),
        12 => neighbours::<12>(from, depths, packed),
        _ => {
            for (to, depth) in packed.chunks_exact_mut(count).zip(depths) {
                to.copy_from_slice(&from[depth..depth + count]);
            }
        }
    }
    packed
}

/// Some columns of B.
#[derive(Clone, Copy)]
struct Right<'a> {
    /// Panels, [depth, vectors of the panel] each, of which zeros fill the last vector.
    packed: &'a [f32],
    /// B itself, dense and row by row, for panels of whole vectors, and its columns.
    in_place: Option<(&'a [f32], usize)>,
    depth: usize,
}

impl<'a> Right<'a> {
    #[inline(always)]
    fn new<S: Simd>(b: Matrix<'a>, [depth, columns]: [usize; 2], in_place: bool, buffer: &'a mut Vec<f32>) -> Self {
        let lanes = S::F32_LANES;
        let packed = room(buffer, columns.next_multiple_of(lanes) * depth);
        let mut rest = &mut *packed;
        for first in (0..columns).step_by(VECTORS * lanes) {
            let count = (columns - first).min(VECTORS * lanes);
            let panel;
            (panel, rest) = rest.split_at_mut(count.next_multiple_of(lanes) * depth);
            if !(in_place && count.is_multiple_of(lanes)) {
                pack_panel::<S>(Matrix { values: &b.values[first * b.columns..], ..b }, count, depth, panel);
            }
        }
        Self { packed, in_place: in_place.then_some((b.values, b.rows)), depth }
    }

    /// The panel of `count` columns from `first` on.
    #[inline(always)]
    fn panel<S: Simd>(&self, first: usize, count: usize) -> Panel<'a> {
        match self.in_place {
            Some((values, apart)) if count.is_multiple_of(S::F32_LANES) => Panel::InPlace(&values[first..], apart),
            _ => {
                let width = count.next_multiple_of(S::F32_LANES);
                Panel::Packed(&self.packed[first * self.depth..][..width * self.depth])
            }
        }
    }
}

/// As many columns of B as are taken at once.
#[derive(Clone, Copy)]
enum Panel<'a> {
    /// One row behind the other.
    Packed(&'a [f32]),
    /// Rows that lie so far apart.
    InPlace(&'a [f32], usize),
}

#[inline(always)]
fn pack_panel<S: Simd>(b: Matrix, count: usize, depth: usize, panel: &mut [f32]) {
    let width = count.next_multiple_of(S::F32_LANES);
    if b.columns == 1 && count == width {
        for (d, to) in panel.chunks_exact_mut(width).enumerate() {
            S::as_mut_simd_f32s(to).0.copy_from_slice(S::as_simd_f32s(&b.values[d * b.rows..][..width]).0);
        }
        return;
    }
    let turned = if b.rows == 1 && b.columns >= depth { turn(b, count, depth, panel, width) } else { 0 };
    for (d, to) in panel.chunks_exact_mut(width).enumerate() {
        for (j, to) in to.iter_mut().enumerate().skip(turned) {
            *to = if j < count { b.values[d * b.rows + j * b.columns] } else { 0.0 };
        }
    }
}

/// Packs columns that lie as rows by squares of eight, where the processor can exchange the numbers of vectors; gives the number of
/// columns that this makes.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn turn(b: Matrix, count: usize, depth: usize, panel: &mut [f32], width: usize) -> usize {
    const SIDE: usize = 8;
    let Some(simd) = pulp::x86::V3::try_new() else { return 0 };
    let turned = count - count % SIDE;
    for first in (0..turned).step_by(SIDE) {
        let mut lines = [&[][..]; SIDE];
        for (j, line) in lines.iter_mut().enumerate() {
            *line = &b.values[(first + j) * b.columns..][..depth];
        }
        let whole = depth - depth % SIDE;
        for d in (0..whole).step_by(SIDE) {
            let mut square = [[0.0; SIDE]; SIDE];
            for (row, line) in square.iter_mut().zip(lines) {
                *row = *line[d..].first_chunk().expect("whole squares alone");
            }
            for (row, to) in transposed(simd, square).iter().zip(panel[d * width..].chunks_exact_mut(width)) {
                to[first..first + SIDE].copy_from_slice(row);
            }
        }
        for d in whole..depth {
            for (j, line) in lines.iter().enumerate() {
                panel[d * width + first + j] = line[d];
            }
        }
    }
    turned
}

#[cfg(not(target_arch = "x86_64"))]
fn turn(_: Matrix, _: usize, _: usize, _: &mut [f32], _: usize) -> usize {
    0
}

/// The transpose of a square: pairs of rows, pairs of those, then the halves.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn transposed(simd: pulp::x86::V3, square: [[f32; 8]; 8]) -> [[f32; 8]; 8] {
    use std::arch::x86_64::__m256;
    let avx = simd.avx;
    let x: [__m256; 8] = pulp::cast(square);
    let mut pairs = x;
    for i in [0, 2, 4, 6] {
        pairs[i] = avx._mm256_unpacklo_ps(x[i], x[i + 1]);
        pairs[i + 1] = avx._mm256_unpackhi_ps(x[i], x[i + 1]);
    }
    let mut fours = x;
    for i in [0, 4] {
        for j in [0, 1] {
            fours[i + 2 * j] = avx._mm256_shuffle_ps::<0x44>(pairs[i + j], pairs[i + j + 2]);
            fours[i + 2 * j + 1] = avx._mm256_shuffle_ps::<0xEE>(pairs[i + j], pairs[i + j + 2]);
        }
    }
    let mut rows = x;
    for i in 0..4 {
        rows[i] = avx._mm256_permute2f128_ps::<0x20>(fours[i], fours[i + 4]);
        rows[i + 4] = avx._mm256_permute2f128_ps::<0x31>(fours[i], fours[i + 4]);
    }
    pulp::cast(rows)
}

/// Some rows of A.
#[derive(Clone, Copy)]
enum Rows<'a> {
    /// Where they lie.
    InPlace { values: &'a [f32], rows: &'a [usize], stretches: &'a [(usize, usize)] },
    /// Depth by depth.
    Packed(&'a [f32]),
}

/// As many rows of C as have their sums in registers.
struct Tile<'a> {
    left: Rows<'a>,
    right: Right<'a>,
    columns: usize,
    places: &'a [usize],
    add: bool,
}

/// Sums of R rows and V vectors of columns.
type Sums<S, const R: usize, const V: usize> = [[<S as Simd>::f32s; V]; R];

/// Makes a tile by the function for as many rows as it has.
#[inline(always)]
fn by_rows<S: Simd>(simd: S, tile: Tile, c: &mut [f32]) {
    struct Of<'a, S, const R: usize>(S, Tile<'a>, &'a mut [f32]);
    impl<S: Simd, const R: usize> NullaryFnOnce for Of<'_, S, R> {
        type Output = ();

        #[inline(always)]
        fn call(self) {
            self.1.make::<S, R>(self.0, self.2);
        }
    }
    macro_rules! rows {
        ($($count:literal)*) => {
            match tile.places.len() {
                $($count if $count <= most_rows::<S>() => simd.vectorize(Of::<S, $count>(simd, tile, c)),)*
                count => unreachable!("{count} rows in a tile"),
            }
        };
    }
    rows!(1 2 3 4 5 6 7 8 9 10 11 12);
}

/// Something for each of R rows and V vectors, with constants for both: sums in an array that is indexed otherwise do not stay in
/// registers.
macro_rules! unrolled {
    (|$i:ident, $v:ident| $body:expr) => {
        unrolled!(@ |$i, $v| $body; 0 1 2 3 4 5 6 7 8 9 10 11)
    };
    (@ |$i:ident, $v:ident| $body:expr; $($row:literal)*) => {
        $(if R > $row {
            const { assert!(R <= MOST_ROWS && V <= VECTORS) };
            let $i = $row;
            let $v = 0;
            $body;
            if V > 1 {
                let $v = 1;
                $body;
            }
        })*
    };
}

impl Tile<'_> {
    #[inline(always)]
    fn make<S: Simd, const R: usize>(&self, simd: S, c: &mut [f32]) {
        // Where each row is one stretch, it is looked for once for all panels.
        let mut lines = [&[][..]; R];
        let mut whole = None;
        if let Rows::InPlace { values, rows, stretches: &[stretch] } = self.left {
            find(values, rows, stretch, &mut lines);
            whole = Some(&lines);
        }
        for first in (0..self.columns).step_by(VECTORS * S::F32_LANES) {
            let count = (self.columns - first).min(VECTORS * S::F32_LANES);
            if count > S::F32_LANES {
                self.panel::<S, R, VECTORS>(simd, whole, first, count, c);
            } else {
                self.panel::<S, R, 1>(simd, whole, first, count, c);
            }
        }
    }

    #[inline(always)]
    fn panel<S: Simd, const R: usize, const V: usize>(
        &self,
        simd: S,
        whole: Option<&[&[f32]; R]>,
        first: usize,
        count: usize,
        c: &mut [f32],
    ) {
        let b = self.right.panel::<S>(first, count);
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        match (whole, self.left) {
            (Some(lines), _) => sums = of_lines(simd, sums, *lines, b, 0),
            (None, Rows::InPlace { values, rows, stretches }) => {
                let mut begin = 0;
                for &stretch in stretches {
                    let mut lines = [&[][..]; R];
                    find(values, rows, stretch, &mut lines);
                    sums = of_lines(simd, sums, lines, b, begin);
                    begin += stretch.1;
                }
            }
            (None, Rows::Packed(a)) => sums = of_packed(simd, sums, a, b),
        }
        unrolled!(|i, v| {
            let lanes = (v * S::F32_LANES).min(count)..((v + 1) * S::F32_LANES).min(count);
            let (row, sum) = (&mut c[self.places[i] + first..][lanes], sums[i][v]);
            if let [whole] = S::as_mut_simd_f32s(row).0 {
                *whole = if self.add { simd.add_f32s(*whole, sum) } else { sum };
            } else {
                let sum = if self.add { simd.add_f32s(simd.partial_load_f32s(row), sum) } else { sum };
                simd.partial_store_f32s(row, sum);
            }
        });
    }
}

/// The numbers of rows at neighbouring depths.
#[inline(always)]
fn find<'a, const R: usize>(
    values: &'a [f32],
    rows: &[usize],
    (first, depth): (usize, usize),
    lines: &mut [&'a [f32]; R],
) {
    for (line, row) in lines.iter_mut().zip(rows) {
        *line = &values[row + first..][..depth];
    }
}

/// Adds the products of one depth: of a number of each row, and the vectors of a row of B.
macro_rules! add_products {
    ($simd:ident, $sums:ident, $b:expr, |$i:ident| $a:expr) => {
        let b = $b;
        unrolled!(|$i, v| $sums[$i][v] = $simd.mul_add_e_f32s($simd.splat_f32s($a), b[v], $sums[$i][v]));
    };
}

/// Adds the products of lines of A, as long as each other, and the rows of a panel from `begin` on. Sums come and go by value, here and
/// below: so they stay in registers.
#[inline(always)]
fn of_lines<S: Simd, const R: usize, const V: usize>(
    simd: S,
    mut sums: Sums<S, R, V>,
    mut a: [&[f32]; R],
    b: Panel,
    begin: usize,
) -> Sums<S, R, V> {
    let depth = a[0].len();
    // The compiler then knows that no line is shorter.
    for line in &mut a {
        *line = &line[..depth];
    }
    match b {
        Panel::Packed(b) => {
            let b = &S::as_simd_f32s(b).0.as_chunks::<V>().0[begin..][..depth];
            for d in 0..depth {
                add_products!(simd, sums, &b[d], |i| a[i][d]);
            }
        }
        Panel::InPlace(b, apart) => {
            let b = &b[begin * apart..];
            for d in 0..depth {
                add_products!(simd, sums, S::as_simd_f32s(&b[d * apart..][..V * S::F32_LANES]).0, |i| a[i][d]);
            }
        }
    }
    sums
}

/// Adds the products of packed rows of A and a panel.
#[inline(always)]
fn of_packed<S: Simd, const R: usize, const V: usize>(
    simd: S,
    mut sums: Sums<S, R, V>,
    a: &[f32],
    b: Panel,
) -> Sums<S, R, V> {
    let a = a.as_chunks::<R>().0;
    match b {
        Panel::Packed(b) => {
            for (a, b) in a.iter().zip(S::as_simd_f32s(b).0.as_chunks::<V>().0) {
                add_products!(simd, sums, b, |i| a[i]);
            }
        }
        Panel::InPlace(b, apart) => {
            for (d, a) in a.iter().enumerate() {
                add_products!(simd, sums, S::as_simd_f32s(&b[d * apart..][..V * S::F32_LANES]).0, |i| a[i]);
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Philox, Stream};

    fn normal(count: usize, stream: u32) -> Vec<f32> {
        let mut rng = Philox::new(7, Stream::Choice, stream, count as u32);
        (0..count).map(|_| rng.normal()).collect()
    }

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
        [6, 16, 384],
        [12, 32, 385],
        [13, 33, 40],
        [25, 24, 900],
        [64, 20, 30],
        [7, 200, 500],
        [785, 40, 20],
        [33, 17, 769],
    ];

    #[test]
    fn a_product_is_right_and_has_the_same_bits_however_its_rows_are_divided() {
        for [m, n, k] in EXTENTS {
            let (a, b, start) = (normal(m * k, 1), normal(k * n, 2), normal(m * n, 3));
            // Both ways in which A and B may lie, and whether C is added to.
            for (a_transposed, b_transposed, add) in (0..8).map(|case| (case & 1 == 1, case & 2 == 2, case & 4 == 4)) {
                let (rows, columns) = if a_transposed { (1, m) } else { (k, 1) };
                let (b_rows, b_columns) = if b_transposed { (1, k) } else { (n, 1) };
                let right = Matrix { values: &b, rows: b_rows, columns: b_columns };
                let mut whole = start.clone();
                product([m, n, k], Matrix { values: &a, rows, columns }, right, &mut whole, add);
                let layout = format!("A transposed {a_transposed}, B transposed {b_transposed}, add {add}");
                for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
                    let factors = |d: usize| (a[i * rows + d * columns], b[d * right.rows + j * right.columns]);
                    let sum: f64 = (0..k).map(factors).map(|(a, b)| f64::from(a) * f64::from(b)).sum();
                    let expected = sum + if add { f64::from(start[i * n + j]) } else { 0.0 };
                    let error = (f64::from(whole[i * n + j]) - expected).abs();
                    assert!(error < 1e-4, "[{m}, {n}, {k}] is {error:.1e} off at ({i}, {j}): {layout}");
                }
                for cut in [1, m / 3, m / 2, m - 1].map(|cut| cut.min(m)) {
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
