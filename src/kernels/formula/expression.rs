//! Formulas in kernels: as WGSL, for one place after the other, and for many places at once.

mod passes;
mod wgsl;

use crate::expr::words::{Access, Program};
use crate::expr::{Binary, Expr, Instruction, Unary};
use crate::kernels::{Call, StepScalars, Sum, f32s, math};
use passes::{AT_ONCE, Pass, Step, Values, Work, chain, function, is_constant, passes};
use pulp::Simd;
use std::ops::Range;
pub use wgsl::{way_out, wgsl};

/// Places that are computed at once on the CPU engine: what a formula's instructions leave for each other stays in the first
/// cache.
pub const BLOCK: usize = 2048;

/// What instructions leave for each other: a block of numbers in each slot.
pub type Scratch = Vec<Vec<f32>>;

/// A formula may take numbers of the size of its operands from each other, so that what is left is less than their rounding.
pub fn differences(words: &[u32], size: &dyn Fn(usize) -> f64) -> Sum {
    let operands = words[0] as usize;
    Sum::of(operands, (0..operands).map(size).fold(0.0, f64::max))
}

/// What a formula looks at in one call of a CPU function.
pub struct Formula<'a> {
    program: Program,
    reads: Vec<&'a [f32]>,
    step: &'a StepScalars,
    /// The row from which the parts of divided operands begin.
    first: usize,
    passes: Vec<Pass>,
    /// The slot in which each instruction leaves its numbers.
    slots: Vec<usize>,
}

impl<'a> Formula<'a> {
    /// The formula of a call whose constants end with a program. `first` is the row at which its range begins.
    pub fn new(call: &Call<'a>, words: &[u32], first: usize) -> Self {
        let reads = call.reads.iter().map(|words| f32s(words)).collect();
        let program = Program::from_words(words);
        let (passes, slots) = passes(program.expr.code());
        Self { program, reads, step: call.step, first, passes, slots }
    }

    /// The number of an operand at a place; 0 where it has none.
    fn operand(&self, k: usize, r: usize, c: usize) -> f32 {
        let (access, split) = self.program.operands[k];
        let Access { share, rows, width, .. } = access;
        let row = if split { r / share - self.first / share } else { r / share % rows };
        access.column(c).map_or(0.0, |column| self.reads[k][row * width + column])
    }

    /// The number at a place. `values` keeps its memory from call to call.
    pub fn at(&self, r: usize, c: usize, values: &mut Vec<f32>) -> f32 {
        at(&self.program.expr, self.step, [r, c], |k| self.operand(k, r, c), values)
    }

    /// A number that is the same in all places.
    #[inline(always)]
    fn constant(&self, leaf: Instruction) -> f32 {
        constant(self.step, leaf)
    }

    /// The numbers of the places in these rows and columns, at most [`BLOCK`] of them, row by row, into `out`. `scratch`
    /// keeps its memory from call to call.
    pub fn block(&self, rows: Range<usize>, columns: Range<usize>, scratch: &mut Scratch, out: &mut [f32]) {
        let most = self.slots.iter().max().map_or(0, |slot| slot + 1);
        if scratch.len() < most {
            scratch.resize(most, vec![0.0; BLOCK]);
        }
        let out = &mut out[..rows.len() * columns.len()];
        pulp::Arch::new().dispatch(Block { formula: self, rows, columns, scratch, out });
    }

    /// The numbers of an operand for a block, where they lie side by side and in their order.
    #[inline(always)]
    fn dense(&self, k: usize, rows: &Range<usize>, columns: &Range<usize>) -> Option<&'a [f32]> {
        let (Access { share, width, shift, rows: all, reversed }, split) = self.program.operands[k];
        let row = if split { rows.start - self.first } else { rows.start };
        let fits = rows.len() == 1 || columns.len() == width;
        let inside = shift == Some(0) && !reversed && columns.end <= width && share == 1 && (split || rows.end <= all);
        (fits && inside).then(|| &self.reads[k][row * width + columns.start..])
    }

    /// The numbers of an instruction for a block, which are many.
    #[inline(always)]
    fn values<'b>(
        &'b self,
        at: usize,
        rows: &Range<usize>,
        columns: &Range<usize>,
        scratch: &'b Scratch,
        count: usize,
    ) -> Values<'b> {
        let dense = match self.program.expr.code()[at] {
            leaf if is_constant(leaf) => return Values::All(self.constant(leaf)),
            Instruction::Input(k) => self.dense(k, rows, columns),
            _ => None,
        };
        Values::Each(&dense.unwrap_or(&scratch[self.slots[at]])[..count])
    }

    /// The numbers of an operand for a block.
    #[inline(always)]
    fn gather(&self, k: usize, rows: Range<usize>, columns: Range<usize>, out: &mut [f32]) {
        let (access, split) = self.program.operands[k];
        let Access { share, width, shift, rows: all, reversed } = access;
        let all = if split { usize::MAX } else { all };
        // Counted rather than divided for every row: which row is read, and for how many more it is the same.
        let (mut row, mut left) = (rows.start / share, share - rows.start % share);
        row = if split { row - self.first / share } else { row % all };
        // The first column that is read and all others in their order, or else one after the other.
        let begin = shift.filter(|_| !reversed).map(|shift| columns.start as i64 + i64::from(shift));
        let inside = begin.is_some_and(|begin| begin >= 0 && begin as usize + columns.len() <= width);
        for out in out.chunks_exact_mut(columns.len()) {
            let values = &self.reads[k][row * width..][..width];
            match begin {
                None if reversed => {
                    for (c, y) in columns.clone().zip(out) {
                        *y = access.column(c).map_or(0.0, |column| values[column]);
                    }
                }
                None => out.fill(values[0]),
                Some(begin) if inside => {
                    let values = &values[begin as usize..][..columns.len()];
                    out.iter_mut().zip(values).for_each(|(y, &x)| *y = x);
                }
                Some(begin) => {
                    for (column, y) in (begin..).zip(out) {
                        *y = if (0..width as i64).contains(&column) { values[column as usize] } else { 0.0 };
                    }
                }
            }
            left -= 1;
            if left == 0 {
                (row, left) = (if row + 1 == all { 0 } else { row + 1 }, share);
            }
        }
    }
}

/// The number of an expression at a place, given those of its operands. `values` keeps its memory from call to call.
pub fn at(
    f: &Expr,
    step: &StepScalars,
    [r, c]: [usize; 2],
    operand: impl Fn(usize) -> f32,
    values: &mut Vec<f32>,
) -> f32 {
    values.clear();
    for &instruction in f.code() {
        let value = match instruction {
            Instruction::Input(k) => operand(k),
            Instruction::Column(n) => (c % n) as f32,
            Instruction::Row(n) => (r % n) as f32,
            Instruction::Unary(f, a) => unary(f, values[a]),
            Instruction::Binary(f, a, b) => binary(f, values[a], values[b]),
            Instruction::Select(c, a, b) => {
                if values[c] == 0.0 {
                    values[b]
                } else {
                    values[a]
                }
            }
            leaf => constant(step, leaf),
        };
        values.push(value);
    }
    values[values.len() - 1]
}

/// A number that is the same in all places.
#[inline(always)]
fn constant(step: &StepScalars, leaf: Instruction) -> f32 {
    match leaf {
        Instruction::Constant(value) => value,
        Instruction::Weight(index) => step.weights[index],
        _ => step.rows as f32,
    }
}

/// Work on a block.
struct Block<'a, 'b> {
    formula: &'b Formula<'a>,
    rows: Range<usize>,
    columns: Range<usize>,
    scratch: &'b mut Scratch,
    out: &'b mut [f32],
}

impl pulp::WithSimd for Block<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { formula, rows, columns, scratch, out } = self;
        let code = formula.program.expr.code();
        let (count, last) = (out.len(), code.len() - 1);
        for pass in &formula.passes {
            let is_last = pass.at == last;
            let mut own = std::mem::take(&mut scratch[pass.slot]);
            let y = if is_last { &mut *out } else { &mut own[..count] };
            let value = |at: usize| formula.values(at, &rows, &columns, scratch, count);
            match &pass.work {
                Work::Chain(start, steps) => {
                    let mut given = [(Step::Negate, Values::All(0.0), None); AT_ONCE];
                    let constant = |at: usize| formula.constant(code[at]);
                    for (at, some) in steps.chunks(AT_ONCE).enumerate() {
                        for (given, &(step, with)) in given.iter_mut().zip(some) {
                            *given = (
                                step,
                                with.map_or(Values::All(0.0), |with| value(with.at)),
                                with.and_then(|with| with.times).map(constant),
                            );
                        }
                        chain(simd, (at == 0).then(|| value(*start)), &given[..some.len()], y);
                    }
                }
                &Work::One(instruction) => match instruction {
                    Instruction::Input(k) => match formula.dense(k, &rows, &columns) {
                        // What lies as it is wanted is read where it is.
                        Some(values) if is_last => y.copy_from_slice(&values[..count]),
                        Some(_) => {}
                        None => formula.gather(k, rows.clone(), columns.clone(), y),
                    },
                    Instruction::Column(n) => column_places(y, &columns, n),
                    Instruction::Row(n) => {
                        for (r, y) in rows.clone().zip(y.chunks_exact_mut(columns.len())) {
                            y.fill((r % n) as f32);
                        }
                    }
                    Instruction::Unary(f, a) => unary_all(f, value(a), y),
                    Instruction::Binary(f, a, b) => binary_all(f, value(a), value(b), y),
                    Instruction::Select(c, a, b) => select_all(value(c), [value(a), value(b)], y),
                    leaf if is_last => y.fill(formula.constant(leaf)),
                    _ => {}
                },
            }
            scratch[pass.slot] = own;
        }
    }
}

/// The columns of a block's places modulo a number: one row of them, which all others are like.
#[inline(always)]
fn column_places(out: &mut [f32], columns: &Range<usize>, n: usize) {
    let (first, others) = out.split_at_mut(columns.len());
    let mut column = columns.start % n;
    for y in first.iter_mut() {
        *y = column as f32;
        column = if column + 1 == n { 0 } else { column + 1 };
    }
    others.chunks_exact_mut(columns.len()).for_each(|row| row.copy_from_slice(first));
}

fn unary(f: Unary, x: f32) -> f32 {
    match f {
        Unary::Negate => -x,
        Unary::Abs => x.abs(),
        Unary::Exp => x.exp(),
        Unary::Log => x.ln(),
        Unary::Log1p => x.ln_1p(),
        Unary::Sqrt => x.sqrt(),
        Unary::Tanh => x.tanh(),
        Unary::Sigmoid => math::sigmoid(x),
        Unary::Softplus => math::softplus(x),
    }
}

#[inline(always)]
fn binary(f: Binary, a: f32, b: f32) -> f32 {
    match f {
        Binary::Add => a + b,
        Binary::Subtract => a - b,
        Binary::Multiply => a * b,
        Binary::Divide => a / b,
        Binary::Max => a.max(b),
        Binary::Min => a.min(b),
        Binary::Less => f32::from(a < b),
        Binary::AtMost => f32::from(a <= b),
        Binary::Equal => f32::from(a == b),
    }
}

/// Fills `y` with a function of numbers that are one for each place or one for all; what is one for all is known before the
/// loop, so that the compiler makes a loop of its own for each case.
#[inline(always)]
fn all_of(a: Values, b: Values, y: &mut [f32], f: impl Fn(f32, f32) -> f32) {
    match (a, b) {
        (Values::Each(a), Values::Each(b)) => {
            for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
                *y = f(a, b);
            }
        }
        (Values::Each(a), Values::All(b)) => {
            for (y, &a) in y.iter_mut().zip(a) {
                *y = f(a, b);
            }
        }
        (Values::All(a), Values::Each(b)) => {
            for (y, &b) in y.iter_mut().zip(b) {
                *y = f(a, b);
            }
        }
        (Values::All(a), Values::All(b)) => y.fill(f(a, b)),
    }
}

#[inline(always)]
fn unary_all(f: Unary, x: Values, y: &mut [f32]) {
    macro_rules! each {
        ($($kind:ident)*) => {
            match f { $(Unary::$kind => all_of(x, Values::All(0.0), y, |x, _| function(Unary::$kind, x)),)* }
        };
    }
    each!(Negate Abs Exp Log Log1p Sqrt Tanh Sigmoid Softplus);
}

#[inline(always)]
fn binary_all(f: Binary, a: Values, b: Values, y: &mut [f32]) {
    match f {
        Binary::Add => all_of(a, b, y, |a, b| a + b),
        Binary::Subtract => all_of(a, b, y, |a, b| a - b),
        Binary::Multiply => all_of(a, b, y, |a, b| a * b),
        Binary::Divide => all_of(a, b, y, |a, b| a / b),
        Binary::Max => all_of(a, b, y, f32::max),
        Binary::Min => all_of(a, b, y, f32::min),
        Binary::Less => all_of(a, b, y, |a, b| f32::from(a < b)),
        Binary::AtMost => all_of(a, b, y, |a, b| f32::from(a <= b)),
        Binary::Equal => all_of(a, b, y, |a, b| f32::from(a == b)),
    }
}

#[inline(always)]
fn select_all(c: Values, [a, b]: [Values; 2], y: &mut [f32]) {
    let c = match c {
        Values::Each(c) => c,
        Values::All(c) => return all_of(if c == 0.0 { b } else { a }, Values::All(0.0), y, |x, _| x),
    };
    let given = Values::Each(c);
    match (a, b) {
        (Values::Each(a), Values::Each(b)) => {
            for (((y, &c), &a), &b) in y.iter_mut().zip(c).zip(a).zip(b) {
                *y = if c == 0.0 { b } else { a };
            }
        }
        (Values::Each(_), Values::All(b)) => all_of(given, a, y, |c, a| if c == 0.0 { b } else { a }),
        (Values::All(a), Values::Each(_)) => all_of(given, b, y, |c, b| if c == 0.0 { b } else { a }),
        (Values::All(a), Values::All(b)) => all_of(given, Values::All(0.0), y, |c, _| if c == 0.0 { b } else { a }),
    }
}
