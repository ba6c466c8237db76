//! Formulas in kernels: as WGSL, for one place after the other, and for many places at once.

use super::{Call, StepScalars, Sum, f32s, math};
use crate::expr::words::{Access, Program};
use crate::expr::{Binary, Instruction, Unary};
use std::fmt::Write;
use std::ops::Range;

/// Places that are computed at once on the CPU engine: what a formula's instructions leave for each other stays in the first
/// cache.
pub const BLOCK: usize = 1024;

/// What instructions leave for each other: a block of numbers in each slot.
pub type Scratch = Vec<Vec<f32>>;

/// The function `expression` of a program, as WGSL: `r` and `c` are the place, `i` its index in a dense tensor of
/// `columns` columns.
pub fn wgsl(words: &[u32], columns: u32) -> String {
    let program = Program::from_words(words);
    let mut text = "\nfn expression(r: u32, c: u32, i: u32) -> f32 {\n".to_owned();
    for (at, instruction) in program.expr.code().iter().enumerate() {
        let value = match *instruction {
            Instruction::Input(k) => operand(k, program.operands[k], columns),
            Instruction::Constant(value) => number(value),
            Instruction::Weight(index) => format!("steps[member].weights[{}][{}]", index / 4, index % 4),
            Instruction::Count => "f32(steps[member].rows)".to_owned(),
            Instruction::Row(n) => format!("f32(r % {n}u)"),
            Instruction::Column => "f32(c)".to_owned(),
            Instruction::Unary(f, a) => match f {
                Unary::Negate => format!("-v{a}"),
                Unary::Abs => format!("abs(v{a})"),
                Unary::Exp => format!("exp(v{a})"),
                Unary::Log => format!("log(v{a})"),
                Unary::Log1p => format!("log1p(v{a})"),
                Unary::Sqrt => format!("sqrt(v{a})"),
                Unary::Tanh => format!("tanh_exact(v{a})"),
                Unary::Sigmoid => format!("sigmoid(v{a})"),
                Unary::Softplus => format!("softplus(v{a})"),
            },
            Instruction::Binary(f, a, b) => match f {
                Binary::Add => format!("v{a} + v{b}"),
                Binary::Subtract => format!("v{a} - v{b}"),
                Binary::Multiply => format!("v{a} * v{b}"),
                Binary::Divide => format!("v{a} / v{b}"),
                Binary::Max => format!("max(v{a}, v{b})"),
                Binary::Min => format!("min(v{a}, v{b})"),
                Binary::Less => format!("select(0.0, 1.0, v{a} < v{b})"),
                Binary::AtMost => format!("select(0.0, 1.0, v{a} <= v{b})"),
                Binary::Equal => format!("select(0.0, 1.0, v{a} == v{b})"),
            },
            Instruction::Select(c, a, b) => format!("select(v{b}, v{a}, v{c} != 0.0)"),
        };
        writeln!(text, "    let v{at} = {value};").expect("writing to a string cannot fail");
    }
    writeln!(text, "    return v{};\n}}", program.expr.code().len() - 1).expect("writing to a string cannot fail");
    text
}

/// A number that WGSL reads as exactly this one. The largest ones are written by their bits, since readers of decimal digits
/// may find them too large.
fn number(value: f32) -> String {
    if value.abs() > 1e38 { format!("bitcast<f32>({}u)", value.to_bits()) } else { format!("{value:?}f") }
}

/// What reads an operand at the place (r, c), whose index in a dense tensor is i. An operand that is divided along the rows
/// has as many as there are, and is not begun again.
fn operand(k: usize, (access, divided): (Access, bool), columns: u32) -> String {
    let Access { share, rows, width, shift } = access;
    let name = crate::kernels::map::KERNEL.bindings[k].name;
    let row = match (share, divided) {
        (1, true) => "r".to_owned(),
        (1, false) => format!("(r % {rows}u)"),
        (share, true) => format!("(r / {share}u)"),
        (share, false) => format!("(r / {share}u % {rows}u)"),
    };
    let first = if width == 1 { row } else { format!("{row} * {width}u") };
    let inside = |shift: i32| shift >= 0 && shift as usize + columns as usize <= width;
    match shift {
        None => format!("read_{name}({first})"),
        Some(0) if width == columns as usize && share == 1 && divided => format!("read_{name}(i)"),
        Some(0) if inside(0) => format!("read_{name}({first} + c)"),
        Some(shift) if inside(shift) => format!("read_{name}({first} + c + {shift}u)"),
        // A column outside is 0; what is read for it is the last of the row, which is there.
        Some(shift) => {
            let column = if shift < 0 { format!("c - {}u", -shift) } else { format!("c + {shift}u") };
            let index = format!("{first} + min({column}, {}u)", width - 1);
            format!("select(0.0, read_{name}({index}), {column} < {width}u)")
        }
    }
}

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
    /// The slot in which each instruction leaves its numbers.
    slots: Vec<usize>,
}

impl<'a> Formula<'a> {
    /// The formula of a call whose constants end with a program. `first` is the row at which its range begins.
    pub fn new(call: &Call<'a>, words: &[u32], first: usize) -> Self {
        let reads = call.reads.iter().map(|words| f32s(words)).collect();
        let program = Program::from_words(words);
        let slots = slots(program.expr.code());
        Self { program, reads, step: call.step, first, slots }
    }

    /// The number of an operand at a place; 0 where it has none.
    fn operand(&self, k: usize, r: usize, c: usize) -> f32 {
        let (Access { share, rows, width, shift }, split) = self.program.operands[k];
        let row = if split { r / share - self.first / share } else { r / share % rows };
        let column = shift.map_or(0, |shift| c as i64 + i64::from(shift));
        if (0..width as i64).contains(&column) { self.reads[k][row * width + column as usize] } else { 0.0 }
    }

    /// The number at a place. `values` keeps its memory from call to call.
    pub fn at(&self, r: usize, c: usize, values: &mut Vec<f32>) -> f32 {
        values.clear();
        for &instruction in self.program.expr.code() {
            let value = match instruction {
                Instruction::Input(k) => self.operand(k, r, c),
                Instruction::Column => c as f32,
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
                leaf => self.constant(leaf),
            };
            values.push(value);
        }
        values[values.len() - 1]
    }

    /// A number that is the same in all places.
    fn constant(&self, leaf: Instruction) -> f32 {
        match leaf {
            Instruction::Constant(value) => value,
            Instruction::Weight(index) => self.step.weights[index],
            _ => self.step.rows as f32,
        }
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
        let (Access { share, width, shift, rows: all }, split) = self.program.operands[k];
        let row = if split { rows.start - self.first } else { rows.start };
        let fits = rows.len() == 1 || columns.len() == width;
        let inside = shift == Some(0) && columns.end <= width && share == 1 && (split || rows.end <= all);
        (fits && inside).then(|| &self.reads[k][row * width + columns.start..])
    }

    /// The numbers of an operand for a block.
    #[inline(always)]
    fn gather(&self, k: usize, rows: Range<usize>, columns: Range<usize>, out: &mut [f32]) {
        let (Access { share, width, shift, rows: all }, split) = self.program.operands[k];
        let all = if split { usize::MAX } else { all };
        // Counted rather than divided for every row: which row is read, and for how many more it is the same.
        let (mut row, mut left) = (rows.start / share, share - rows.start % share);
        row = if split { row - self.first / share } else { row % all };
        let begin = shift.map(|shift| columns.start as i64 + i64::from(shift));
        let inside = begin.is_some_and(|begin| begin >= 0 && begin as usize + columns.len() <= width);
        for out in out.chunks_exact_mut(columns.len()) {
            let values = &self.reads[k][row * width..][..width];
            match begin {
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

/// Work on a block. A closure of this size would not be compiled into the function for the processor's vectors.
struct Block<'a, 'b> {
    formula: &'b Formula<'a>,
    rows: Range<usize>,
    columns: Range<usize>,
    scratch: &'b mut Scratch,
    out: &'b mut [f32],
}

impl pulp::NullaryFnOnce for Block<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { formula, rows, columns, scratch, out } = self;
        let code = formula.program.expr.code();
        let (count, last) = (out.len(), code.len() - 1);
        for (at, &instruction) in code.iter().enumerate() {
            let slot = formula.slots[at];
            let mut own = std::mem::take(&mut scratch[slot]);
            let y = if at == last { &mut *out } else { &mut own[..count] };
            let value = |at: usize| match code[at] {
                Instruction::Constant(_) | Instruction::Weight(_) | Instruction::Count => {
                    Values::All(formula.constant(code[at]))
                }
                Instruction::Input(k) => match formula.dense(k, &rows, &columns) {
                    Some(values) => Values::Each(&values[..count]),
                    None => Values::Each(&scratch[formula.slots[at]][..count]),
                },
                _ => Values::Each(&scratch[formula.slots[at]][..count]),
            };
            match instruction {
                Instruction::Input(k) => match formula.dense(k, &rows, &columns) {
                    // What lies as it is wanted is read where it is.
                    Some(values) if at == last => y.copy_from_slice(&values[..count]),
                    Some(_) => {}
                    None => formula.gather(k, rows.clone(), columns.clone(), y),
                },
                Instruction::Column => places(y, rows.clone(), columns.clone(), |_, c| c as f32),
                Instruction::Row(n) => places(y, rows.clone(), columns.clone(), |r, _| (r % n) as f32),
                Instruction::Unary(f, a) => unary_all(f, value(a), y),
                Instruction::Binary(f, a, b) => binary_all(f, value(a), value(b), y),
                Instruction::Select(c, a, b) => select_all(value(c), [value(a), value(b)], y),
                leaf if at == last => y.fill(formula.constant(leaf)),
                _ => {}
            }
            scratch[slot] = own;
        }
    }
}

/// A slot for each instruction: one that nobody needs any more, else a new one.
fn slots(code: &[Instruction]) -> Vec<usize> {
    let mut last_use: Vec<usize> = (0..code.len()).collect();
    for (at, instruction) in code.iter().enumerate() {
        instruction.reads().into_iter().for_each(|read| last_use[read] = at);
    }
    let (mut slots, mut free, mut count) = (Vec::with_capacity(code.len()), vec![], 0);
    for at in 0..code.len() {
        slots.push(free.pop().unwrap_or_else(|| {
            count += 1;
            count - 1
        }));
        // Only then may what was read last here be overwritten.
        free.extend((0..=at).filter(|&read| last_use[read] == at).map(|read| slots[read]));
    }
    slots
}

#[inline(always)]
fn places(out: &mut [f32], rows: Range<usize>, columns: Range<usize>, value: impl Fn(usize, usize) -> f32) {
    for (r, out) in rows.zip(out.chunks_exact_mut(columns.len())) {
        for (c, y) in columns.clone().zip(out) {
            *y = value(r, c);
        }
    }
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

/// The numbers that an instruction reads for a block: one for each place, or one for all.
#[derive(Clone, Copy)]
enum Values<'a> {
    Each(&'a [f32]),
    All(f32),
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
    let none = Values::All(0.0);
    match f {
        Unary::Negate => all_of(x, none, y, |x, _| -x),
        Unary::Abs => all_of(x, none, y, |x, _| x.abs()),
        Unary::Exp => all_of(x, none, y, |x, _| math::exp_full(x)),
        Unary::Log => all_of(x, none, y, |x, _| math::ln_full(x)),
        Unary::Log1p => all_of(x, none, y, |x, _| math::ln_1p(x)),
        Unary::Sqrt => all_of(x, none, y, |x, _| x.sqrt()),
        Unary::Tanh => all_of(x, none, y, |x, _| math::tanh(x)),
        Unary::Sigmoid => all_of(x, none, y, |x, _| math::sigmoid_from(x, math::exp(-x.abs()))),
        Unary::Softplus => all_of(x, none, y, |x, _| math::softplus_from(x, math::exp(-x.abs()))),
    }
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
    let at = |values: Values, i: usize| match values {
        Values::Each(values) => values[i],
        Values::All(value) => value,
    };
    for (i, y) in y.iter_mut().enumerate() {
        *y = if at(c, i) == 0.0 { at(b, i) } else { at(a, i) };
    }
}
