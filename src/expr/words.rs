//! An expression and its operands as words: what a plan holds and a kernel is told.

use super::{Binary, Expr, Instruction, Unary};

/// How a tensor is looked up for the place (r, c) of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// Row r reads row r/share modulo `rows`: 1 where each row has its own, more where neighbours share one.
    pub share: usize,
    /// Rows of the tensor.
    pub rows: usize,
    /// Columns of the tensor.
    pub width: usize,
    /// Column c reads column c + shift, and 0 where there is no such column. Without a shift all read the first.
    pub shift: Option<i32>,
    /// Column c reads column shift − c instead.
    pub reversed: bool,
}

impl Access {
    /// How a tensor of these extents is looked up where every place has its own number.
    pub fn own(rows: usize, width: usize) -> Self {
        Self { share: 1, rows, width, shift: Some(0), reversed: false }
    }

    /// The column that column c reads, if there is one.
    pub fn column(&self, c: usize) -> Option<usize> {
        let column = match self.shift {
            None => 0,
            Some(shift) if self.reversed => i64::from(shift) - c as i64,
            Some(shift) => c as i64 + i64::from(shift),
        };
        (0..self.width as i64).contains(&column).then_some(column as usize)
    }
}

/// An expression with the way in which each operand is looked up.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    /// The operands; `split` says that a part of the outer axis binds its own part of the operand alone.
    pub operands: Vec<(Access, bool)>,
    /// The expression.
    pub expr: Expr,
}

/// Words of an operand.
const OPERAND: usize = 5;
/// Words of an instruction.
const INSTRUCTION: usize = 4;

const UNARY: [Unary; 9] = [
    Unary::Negate,
    Unary::Abs,
    Unary::Exp,
    Unary::Log,
    Unary::Log1p,
    Unary::Sqrt,
    Unary::Tanh,
    Unary::Sigmoid,
    Unary::Softplus,
];

const BINARY: [Binary; 9] = [
    Binary::Add,
    Binary::Subtract,
    Binary::Multiply,
    Binary::Divide,
    Binary::Max,
    Binary::Min,
    Binary::Less,
    Binary::AtMost,
    Binary::Equal,
];

/// Codes of instructions: those of functions follow.
const FIRST_UNARY: u32 = 16;
const FIRST_BINARY: u32 = 48;

impl Program {
    /// The program as words, to be read by [`Program::from_words`].
    pub fn words(&self) -> Vec<u32> {
        let mut words = vec![self.operands.len() as u32];
        for (access, split) in &self.operands {
            let Access { share, rows, width, shift, reversed } = *access;
            let flags = u32::from(shift.is_some()) + 2 * u32::from(*split) + 4 * u32::from(reversed);
            words.extend([share as u32, rows as u32, width as u32, shift.unwrap_or(0) as u32, flags]);
        }
        for &instruction in self.expr.code() {
            words.extend(encode(instruction));
        }
        words
    }

    /// The program of these words.
    ///
    /// # Panics
    /// Where they are not those of a program; a plan has no others.
    pub fn from_words(words: &[u32]) -> Self {
        let (operands, code) = words[1..].split_at(OPERAND * words[0] as usize);
        let operand = |words: &[u32]| {
            let [share, rows, width] = [0, 1, 2].map(|at| words[at] as usize);
            let shift = (words[4] & 1 == 1).then_some(words[3] as i32);
            (Access { share, rows, width, shift, reversed: words[4] & 4 == 4 }, words[4] & 2 == 2)
        };
        Self {
            operands: operands.chunks_exact(OPERAND).map(operand).collect(),
            expr: Expr { code: code.chunks_exact(INSTRUCTION).map(decode).collect() },
        }
    }
}

fn encode(instruction: Instruction) -> [u32; INSTRUCTION] {
    let words = |all: [usize; 3]| all.map(|at| at as u32);
    let (code, [a, b, c]) = match instruction {
        Instruction::Input(k) => (0, words([k, 0, 0])),
        Instruction::Constant(value) => (1, [value.to_bits(), 0, 0]),
        Instruction::Weight(index) => (2, words([index, 0, 0])),
        Instruction::Count => (3, [0; 3]),
        Instruction::Row(n) => (4, words([n, 0, 0])),
        Instruction::Column(n) => (5, words([n, 0, 0])),
        Instruction::Select(c, a, b) => (6, words([c, a, b])),
        Instruction::Unary(f, a) => {
            let code = UNARY.iter().position(|other| *other == f).expect("every function has a code");
            (FIRST_UNARY + code as u32, words([a, 0, 0]))
        }
        Instruction::Binary(f, a, b) => {
            let code = BINARY.iter().position(|other| *other == f).expect("every function has a code");
            (FIRST_BINARY + code as u32, words([a, b, 0]))
        }
    };
    [code, a, b, c]
}

fn decode(words: &[u32]) -> Instruction {
    let [a, b, c] = [1, 2, 3].map(|at| words[at] as usize);
    match words[0] {
        0 => Instruction::Input(a),
        1 => Instruction::Constant(f32::from_bits(words[1])),
        2 => Instruction::Weight(a),
        3 => Instruction::Count,
        4 => Instruction::Row(a),
        5 => Instruction::Column(a),
        6 => Instruction::Select(a, b, c),
        code if code >= FIRST_BINARY => Instruction::Binary(BINARY[(code - FIRST_BINARY) as usize], a, b),
        code => Instruction::Unary(UNARY[(code - FIRST_UNARY) as usize], a),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_say_all_of_a_program() {
        let [a, b] = [0, 1].map(Expr::input);
        let mut expr = a
            .clone()
            .less(b.clone())
            .select(-a.clone() * Expr::weight(2), Expr::row(3) - Expr::column() * Expr::column_of(5));
        for f in UNARY {
            expr = expr.unary(f) + Expr::count() * 0.25;
        }
        for f in BINARY {
            expr = expr.binary(f, &b);
        }
        let plain = Access::own(4, 3);
        let operands = vec![(plain, true), (Access { share: 2, rows: 2, width: 1, shift: None, ..plain }, false)];
        let shifted = (Access { shift: Some(-2), reversed: true, ..plain }, false);
        let program = Program { operands: [operands, vec![shifted]].concat(), expr };
        assert_eq!(Program::from_words(&program.words()), program);
    }
}
