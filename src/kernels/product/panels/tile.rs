//! The innermost loops: some rows of A times the panels of a strip of B.

use super::pack::{Panel, Right};
use pulp::{NullaryFnOnce, Simd};

/// Rows that are made at a time where there are 32 registers for vectors, the most there are.
pub const MOST_ROWS: usize = 12;
/// Rows that are made at a time where there are 16.
const FEWER_ROWS: usize = 6;
/// Vectors of a panel.
pub const VECTORS: usize = 2;

/// Rows that a processor makes at a time.
pub const fn most_rows<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { MOST_ROWS } else { FEWER_ROWS }
}

/// Some rows of A.
#[derive(Clone, Copy)]
pub enum Rows<'a> {
    /// Where they lie.
    InPlace { values: &'a [f32], rows: &'a [usize], stretches: &'a [(usize, usize)] },
    /// Depth by depth.
    Packed(&'a [f32]),
}

/// As many rows of C as have their sums in registers.
pub struct Tile<'a> {
    pub left: Rows<'a>,
    /// The strip of B, and its columns.
    pub right: Right<'a>,
    pub columns: usize,
    /// For each row, where in C its first number of the strip goes.
    pub places: &'a [usize],
    /// Whether C is added to.
    pub add: bool,
}

/// Sums of R rows and V vectors of columns.
type Sums<S, const R: usize, const V: usize> = [[<S as Simd>::f32s; V]; R];

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
    /// Makes it, by the function for as many rows as it has.
    #[inline(always)]
    pub fn make<S: Simd>(self, simd: S, c: &mut [f32]) {
        struct Of<'a, S, const R: usize>(S, Tile<'a>, &'a mut [f32]);
        impl<S: Simd, const R: usize> NullaryFnOnce for Of<'_, S, R> {
            type Output = ();

            #[inline(always)]
            fn call(self) {
                self.1.make_rows::<S, R>(self.0, self.2);
            }
        }
        macro_rules! rows {
            ($($count:literal)*) => {
                match self.places.len() {
                    $($count if $count <= most_rows::<S>() => simd.vectorize(Of::<S, $count>(simd, self, c)),)*
                    count => unreachable!("{count} rows in a tile"),
                }
            };
        }
        rows!(1 2 3 4 5 6 7 8 9 10 11 12);
    }

    #[inline(always)]
    fn make_rows<S: Simd, const R: usize>(&self, simd: S, c: &mut [f32]) {
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
