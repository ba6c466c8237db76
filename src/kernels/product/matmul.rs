//! C = A·B, [m, k]·[k, n] → [m, n], with what surrounds a product in a network:
//!
//! - `TRANSPOSE_A`, `TRANSPOSE_B`: the operand is stored as its transpose;
//! - `BIAS`: B has one more row than the product needs, which is added to every row of C (forward pass);
//! - `ONES` (with `TRANSPOSE_A`): the last row of C is the column sums of B (gradient of the bias row);
//! - `EPILOGUE`: what happens to each element on its way out, see the constants of this module.
//!
//! The table holds several products that one dispatch computes side by side, each in its own range of workgroups; they
//! share the constants and the bindings, and their operands begin at the entries' offsets.
//!
//! [`crate::kernels::matmul_direct`] is the same kernel for devices without real workgroups.

use crate::expr::derivative::gradient;
use crate::expr::words::Program;
use crate::expr::{Expr, MAX_WEIGHTS};
use crate::kernels::gemm::{self, Matrix};
use crate::kernels::{
    Asked, Binding, Call, Kernel, StepScalars, Sum, entry, expression, f32s, f32s_mut, math, params, read, write,
};
use bytemuck::Zeroable;
use std::ops::Range;

params! {
    /// What all products of the table share.
    pub struct Params {
        /// How many products there are.
        pub jobs: u32,
        /// Which weight of the loss belongs to the likelihood.
        pub weight: u32,
        /// K, rows of C for each row of the likelihood's examples.
        pub per_example: u32,
        /// The log-variance of a Gaussian likelihood.
        pub log_variance: f32,
    }
}

entry! {
    /// One product.
    pub struct Entry {
        /// Rows of C.
        pub m: u32,
        /// Columns of C.
        pub n: u32,
        /// Length of the sums.
        pub k: u32,
        /// The product's first workgroup.
        pub first: u32,
        /// First word of A in its binding.
        pub a: u32,
        /// First word of B in its binding.
        pub b: u32,
        /// First word of `aux` in its binding.
        pub aux: u32,
        /// First word of C in its binding.
        pub c: u32,
    }
}

impl Entry {
    /// A product by itself.
    pub fn alone(m: usize, n: usize, k: usize) -> Self {
        Self { m: m as u32, n: n as u32, k: k as u32, first: 0, a: 0, b: 0, aux: 0, c: 0 }
    }

    /// Floating-point operations of the product.
    pub fn flops(&self) -> f64 {
        2.0 * f64::from(self.m) * f64::from(self.n) * f64::from(self.k)
    }
}

/// `EPILOGUE`: C = A·B.
pub const PLAIN: u32 = 0;
/// `EPILOGUE`: C = activation(A·B).
pub const ACTIVATE: u32 = 1;
/// `EPILOGUE`: C = A·B times the activation's derivative at `aux` [m, n].
pub const DERIVE: u32 = 2;
/// `EPILOGUE`: A·B are logits of a Bernoulli decoder for the examples `aux` [m/K, n]. C is the gradient of the batch's
/// mean distortion in the logits, and `terms` [m, tiles] are the distortion's parts from each tile of columns.
pub const BERNOULLI: u32 = 3;
/// `EPILOGUE`: likewise for the means of a Gaussian decoder with a fixed variance.
pub const GAUSSIAN: u32 = 4;
/// `EPILOGUE`: C = a formula of A·B, its first operand, and where `ACTIVATION` is 1 of `aux` [m, n], its second. The words of
/// the formula ([`Program`]), without operands, follow the constants.
pub const FORMULA: u32 = 5;

/// Whether an epilogue is a likelihood, whose terms are written too.
pub const fn is_likelihood(epilogue: u32) -> bool {
    matches!(epilogue, BERNOULLI | GAUSSIAN)
}

pub(in crate::kernels) const BINDINGS: &[Binding] = &[read("a"), read("b"), read("aux"), write("c"), write("terms")];
/// The constants that say what is computed; those that say how follow them.
pub const MEANING: usize = 6;

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "matmul",
    wgsl: include_str!("../../../shaders/product/matmul.wgsl"),
    bindings: BINDINGS,
    params: FIELDS,
    entry: ENTRY,
    consts: &[
        "TRANSPOSE_A",
        "TRANSPOSE_B",
        "BIAS",
        "ONES",
        "EPILOGUE",
        "ACTIVATION",
        "TILE_M",
        "TILE_N",
        "BLOCK_M",
        "BLOCK_N",
        "DEPTH",
    ],
    workgroup: [256, 1, 1],
    cpu,
    fast: Some(fast),
    sums: |asked, size| sums(asked, KERNEL.consts.len(), size),
    loop_iterations: crate::kernels::few_iterations,
    family: crate::kernels::Family::Product,
};

/// The kernel's tilings, `TILE_M`, `TILE_N`, `BLOCK_M`, `BLOCK_N` and `DEPTH`, from the one that does most arithmetic
/// for each load to the one that cuts a product in most parts.
pub const TILINGS: &[[u32; 5]] = &[
    [128, 128, 8, 8, 8],
    [128, 64, 8, 4, 8],
    [64, 64, 4, 4, 16],
    [32, 64, 4, 4, 8],
    [64, 32, 4, 4, 8],
    [32, 32, 4, 4, 4],
    [16, 32, 4, 4, 4],
    [16, 16, 4, 4, 2],
];

/// Workgroups that keep a large device busy.
const MANY: u32 = 96;

/// The tiling for devices that nobody measured: the largest tiles of which there are many, or else the smallest.
pub fn guess(products: &[Entry]) -> [u32; 5] {
    let many = |tiling: &&[u32; 5]| products.iter().map(|p| tiles(p, &tiling[..])).sum::<u32>() >= MANY;
    *TILINGS.iter().find(many).unwrap_or(&TILINGS[TILINGS.len() - 1])
}

/// Workgroups of a product.
pub fn tiles(p: &Entry, tiling: &[u32]) -> u32 {
    p.m.div_ceil(tiling[0]) * p.n.div_ceil(tiling[1])
}

/// Outer axis: rows of C; `c`, `aux` and `terms` are split, `a` too unless it is transposed; `b` is whole. With several
/// products in the table it has one element, and all is whole.
/// The products of a sum, of which a bias counts as one of a factor of 1. A formula, which follows so many `constants`, makes
/// more of what they are off by where it is steep, and may take numbers of the size of the other tensor from them.
pub fn sums(asked: &Asked, constants: usize, size: &dyn Fn(usize) -> f64) -> Sum {
    let longest = asked.entries::<Params, Entry>().iter().map(|entry| entry.k as usize).max().unwrap_or(0);
    let a = if asked.consts[3] == 1 { size(0).max(1.0) } else { size(0) };
    let sum = Sum::of(longest, a * size(1));
    if asked.consts[4] != FORMULA {
        return sum;
    }
    let formula = Program::from_words(&asked.consts[constants..]).expr;
    let other = if asked.consts[5] == 1 { size(2) } else { 0.0 };
    let steep = steepest(&formula, [(longest as f64).sqrt() * a * size(1), other]);
    Sum { magnitude: sum.magnitude * steep.max(1.0) + other, ..sum }
}

/// How steep a formula is in its first operand, about, where its operands are of these sizes.
fn steepest(formula: &Expr, sizes: [f64; 2]) -> f64 {
    let Some(slope) = gradient(formula, 0, sizes.len()) else { return 0.0 };
    let step = StepScalars { rows: 1, weights: [1.0; MAX_WEIGHTS], ..StepScalars::zeroed() };
    let parts = [-2.0, -1.0, -0.25, 0.25, 1.0, 2.0];
    let mut values = Vec::new();
    let places = parts.iter().flat_map(|x| parts.map(|y| [x * sizes[0], y * sizes[1], 1.0]));
    let slopes = places.map(|at| f64::from(expression::at(&slope, &step, [0, 0], |k| at[k] as f32, &mut values)));
    slopes.map(f64::abs).filter(|slope| slope.is_finite()).fold(0.0, f64::max)
}

fn cpu(call: Call) {
    let width = call.consts[MEANING + 1];
    twin(call, width, KERNEL.consts.len());
}

/// The twin of all kernels of the family; `width` is the columns whose terms are added up, and a formula follows so many
/// `constants`.
pub(in crate::kernels) fn twin(call: Call, width: u32, constants: usize) {
    let (p, entries): (Params, Vec<Entry>) = (call.params(), call.entries::<Params, Entry>());
    let Call { range, consts, step, reads, mut writes, .. } = call;
    let (c, terms) = writes.split_at_mut(1);
    let (c, terms) = (f32s_mut(c[0]), f32s_mut(terms[0]));
    let formula = (consts[4] == FORMULA).then(|| Program::from_words(&consts[constants..]).expr);
    let formula = formula.as_ref();
    for e in &entries[..p.jobs as usize] {
        let rows = if p.jobs == 1 { range.clone() } else { 0..e.m as usize };
        let [a, b, aux] = [(0, e.a), (1, e.b), (2, e.aux)].map(|(i, offset)| f32s(&reads[i][offset as usize..]));
        one(&p, e, consts, formula, step, rows, [a, b, aux], &mut c[e.c as usize..], terms, width as usize);
    }
}

#[expect(clippy::too_many_arguments, reason = "all that surrounds a product")]
fn one(
    p: &Params,
    e: &Entry,
    consts: &[u32],
    formula: Option<&Expr>,
    step: &StepScalars,
    range: Range<usize>,
    [a, b, aux]: [&[f32]; 3],
    c: &mut [f32],
    terms: &mut [f32],
    width: usize,
) {
    let [transpose_a, transpose_b, bias, ones, epilogue, activation] = meaning(consts);
    let (n, k, stored) = (e.n as usize, e.k as usize, (e.m - ones) as usize);
    let activation = math::from_code(activation);
    let (per_example, parts) = (p.per_example.max(1) as usize, n.div_ceil(width));
    let first_example = range.start / per_example;
    let mut values = Vec::new();
    for (i, row) in range.clone().enumerate() {
        let mut distortion = vec![0.0; parts];
        for column in 0..n {
            let mut sum = if bias == 1 { f64::from(b[k * n + column]) } else { 0.0 };
            for depth in 0..k {
                let left = match (transpose_a, ones) {
                    (0, _) => a[i * k + depth],
                    (_, 1) if row == stored => 1.0,
                    _ => a[depth * stored + row],
                };
                let right = if transpose_b == 0 { b[depth * n + column] } else { b[column * k + depth] };
                sum += f64::from(left) * f64::from(right);
            }
            let (at, value) = (i * n + column, sum as f32);
            c[at] = match epilogue {
                ACTIVATE => math::activate(activation, value),
                DERIVE => value * math::derivative(activation, aux[at]),
                BERNOULLI | GAUSSIAN => {
                    let x = aux[(row / per_example - first_example) * n + column];
                    let weight = step.row_gradient(p.weight as usize, row, per_example);
                    let (term, slope) = likelihood(p, epilogue, value, x);
                    distortion[column / width] += term;
                    weight * slope
                }
                _ => formula.map_or(value, |formula| {
                    expression::at(formula, step, [row, column], |k| if k == 0 { value } else { aux[at] }, &mut values)
                }),
            };
        }
        if is_likelihood(epilogue) {
            let sums = distortion.iter().map(|&sum| sum as f32);
            terms[i * parts..(i + 1) * parts].iter_mut().zip(sums).for_each(|(term, sum)| *term = sum);
        }
    }
}

/// A value's term of the distortion and its derivative; the formulas of [`crate::kernels::bernoulli`] and [`crate::kernels::gaussian`].
fn likelihood(p: &Params, epilogue: u32, value: f32, x: f32) -> (f64, f32) {
    let (l, y) = (f64::from(value), f64::from(x));
    if epilogue == BERNOULLI {
        (l.max(0.0) - l * y + (-l.abs()).exp().ln_1p(), math::sigmoid(value) - x)
    } else {
        let log_variance = f64::from(p.log_variance);
        let square = (y - l).powi(2) * (-log_variance).exp();
        let half_log_two_pi = 0.5 * (2.0 * std::f64::consts::PI).ln();
        (half_log_two_pi + 0.5 * (log_variance + square), (value - x) * (-p.log_variance).exp())
    }
}

fn meaning(consts: &[u32]) -> [u32; MEANING] {
    consts[..MEANING].try_into().expect("as many constants as say what is computed")
}

/// The twin's meaning by way of the `gemm` crate: the bias first, the product added to it, then the epilogue. What the
/// CPU engine's own plans do not ask for is left to the twin.
fn fast(call: Call) {
    let width = call.consts[MEANING + 1];
    fast_or_twin(call, width, KERNEL.consts.len());
}

pub(in crate::kernels) fn fast_or_twin(call: Call, width: u32, constants: usize) {
    let p: Params = call.params();
    let [transpose_a, transpose_b, bias, ones, epilogue, activation] = meaning(call.consts);
    if p.jobs > 1 || epilogue == FORMULA || is_likelihood(epilogue) {
        return twin(call, width, constants);
    }
    let e: Entry = call.entries::<Params, Entry>()[0];
    let Call { range, reads, mut writes, .. } = call;
    let (n, k) = (e.n as usize, e.k as usize);
    let [a, b, aux] = [0, 1, 2].map(|i| f32s(reads[i]));
    let c = f32s_mut(writes[0]);
    let stored = (e.m - ones) as usize;
    let rows = range.len() - usize::from(ones == 1 && range.end > stored);
    let left = match transpose_a {
        0 => Matrix { values: a, rows: k, columns: 1 },
        _ => Matrix { values: &a[range.start.min(a.len())..], rows: 1, columns: stored },
    };
    let right = match transpose_b {
        0 => Matrix { values: b, rows: n, columns: 1 },
        _ => Matrix { values: b, rows: 1, columns: k },
    };
    let activation = math::from_code(activation);
    // Many rows a part after the other, which stays in a core's cache on its way from the bias to the epilogue.
    let at_once = (PART / n.max(1)).max(FEWEST_ROWS);
    let (made, sums) = c.split_at_mut(rows * n);
    for (at, c) in made.chunks_mut(at_once * n).enumerate() {
        let (first, count) = (at * at_once, c.len() / n);
        if bias == 1 {
            for row in c.chunks_exact_mut(n) {
                row.copy_from_slice(&b[k * n..(k + 1) * n]);
            }
        }
        let left = Matrix { values: &left.values[(first * left.rows).min(left.values.len())..], ..left };
        gemm::product([count, n, k], left, right, c, bias == 1);
        match epilogue {
            ACTIVATE => math::activate_all(activation, c),
            DERIVE => math::derivative_all(activation, &aux[first * n..], c),
            _ => {}
        }
    }
    if rows < range.len() {
        column_sums(&b[..k * n], transpose_b == 1, sums);
        match epilogue {
            ACTIVATE => math::activate_all(activation, sums),
            DERIVE => math::derivative_all(activation, &aux[rows * n..], sums),
            _ => {}
        }
    }
}

/// Numbers of C that are made at once.
const PART: usize = 1 << 15;
/// The fewest rows of C that are made at once where there are as many: B is laid out anew for each part.
const FEWEST_ROWS: usize = 512;

/// The sums over the rows of B, which lies row by row or, `transposed`, column by column.
pub(in crate::kernels) fn column_sums(b: &[f32], transposed: bool, sums: &mut [f32]) {
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
