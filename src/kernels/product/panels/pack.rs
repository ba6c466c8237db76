//! What is copied so that the innermost loops go through it from one end to the other.

use super::tile::VECTORS;
use crate::kernels::gemm::Matrix;
use pulp::Simd;

/// Numbers of the longest cache line.
const LINE: usize = 16;

/// Some rows of A, [depth, rows]. Depths come by how far they lie behind a row's first number.
#[inline(always)]
pub fn pack_left<'a>(
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
pub struct Right<'a> {
    /// Panels, [depth, vectors of the panel] each, of which zeros fill the last vector.
    packed: &'a [f32],
    /// B itself, dense and row by row, for panels of whole vectors, and its columns.
    in_place: Option<(&'a [f32], usize)>,
    depth: usize,
}

impl<'a> Right<'a> {
    /// Packs what is not read where it lies: B is [depth, columns], and where `in_place` says so it is dense and row by row.
    #[inline(always)]
    pub fn new<S: Simd>(b: Matrix<'a>, [depth, columns]: [usize; 2], in_place: bool, buffer: &'a mut Vec<f32>) -> Self {
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
    pub fn panel<S: Simd>(&self, first: usize, count: usize) -> Panel<'a> {
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
pub enum Panel<'a> {
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
    if b.columns == 1 {
        for (d, to) in panel.chunks_exact_mut(width).enumerate() {
            let (filled, rest) = to.split_at_mut(count);
            filled.copy_from_slice(&b.values[d * b.rows..][..count]);
            rest.fill(0.0);
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

/// So many numbers that begin where a line of the caches does.
fn room(buffer: &mut Vec<f32>, count: usize) -> &mut [f32] {
    if buffer.len() < count + LINE {
        buffer.resize(count + LINE, 0.0);
    }
    let first = buffer.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
    &mut buffer[first..first + count]
}
