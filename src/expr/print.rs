//! An expression as a formula, for plans and messages.

use super::{At, Binary, Expr, Instruction, Unary};
use std::fmt;

/// How tightly the parts of a formula hold together.
const SUM: u8 = 1;
const PRODUCT: u8 = 2;
const CALL: u8 = 3;

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is read twice is written twice, so that a text may be far longer than its expression.
        let mut sizes: Vec<usize> = Vec::with_capacity(self.code().len());
        for instruction in self.code() {
            let size = instruction.reads().into_iter().fold(1, |sum: usize, read| sum.saturating_add(sizes[read]));
            sizes.push(size);
        }
        match self.code().len() {
            0 => Ok(()),
            count => f.write_str(&formula(self.code(), &sizes, count - 1, 0).0),
        }
    }
}

/// What an operand is called: a, b, c.
pub fn letter(k: usize) -> char {
    char::from(b'a' + (k % 26) as u8)
}

/// Parts of a formula that is written whole, and how deep one that is longer is written.
const WHOLE: usize = 200;
const DEPTH: usize = 6;

/// The text of an instruction, `depth` levels into the formula, and how tightly it holds together.
fn formula(code: &[Instruction], sizes: &[usize], at: At, depth: usize) -> (String, u8) {
    if sizes[at] > WHOLE && depth >= DEPTH {
        return ("…".to_owned(), CALL);
    }
    let formula = |at: At| formula(code, sizes, at, depth + 1);
    let part = |at: At, least: u8| {
        let (text, binding) = formula(at);
        if binding < least { format!("({text})") } else { text }
    };
    let call = |name: &str, all: &[At]| {
        let all: Vec<String> = all.iter().map(|&at| formula(at).0).collect();
        (format!("{name}({})", all.join(", ")), CALL)
    };
    match code[at] {
        Instruction::Input(k) => (letter(k).to_string(), CALL),
        Instruction::Constant(value) => (value.to_string(), if value < 0.0 { SUM } else { CALL }),
        Instruction::Weight(index) => (format!("weight[{index}]"), CALL),
        Instruction::Count => ("count".to_owned(), CALL),
        Instruction::Row(n) => (format!("row % {n}"), PRODUCT),
        Instruction::Column(super::ALL) => ("column".to_owned(), CALL),
        Instruction::Column(n) => (format!("column % {n}"), PRODUCT),
        Instruction::Unary(Unary::Negate, a) => (format!("-{}", part(a, CALL)), PRODUCT),
        Instruction::Unary(function, a) => call(name(function), &[a]),
        Instruction::Binary(Binary::Max, a, b) => call("max", &[a, b]),
        Instruction::Binary(Binary::Min, a, b) => call("min", &[a, b]),
        Instruction::Binary(function, a, b) => {
            let (sign, left, right, binding) = match function {
                Binary::Add => ("+", SUM, SUM, SUM),
                Binary::Subtract => ("-", SUM, PRODUCT, SUM),
                Binary::Multiply => ("*", PRODUCT, CALL, PRODUCT),
                Binary::Divide => ("/", PRODUCT, CALL, PRODUCT),
                Binary::Less => ("<", SUM, SUM, 0),
                Binary::AtMost => ("<=", SUM, SUM, 0),
                _ => ("==", SUM, SUM, 0),
            };
            (format!("{} {sign} {}", part(a, left), part(b, right)), binding)
        }
        Instruction::Select(c, a, b) => call("select", &[c, a, b]),
    }
}

fn name(function: Unary) -> &'static str {
    match function {
        Unary::Negate => "-",
        Unary::Abs => "abs",
        Unary::Exp => "exp",
        Unary::Log => "log",
        Unary::Log1p => "log1p",
        Unary::Sqrt => "sqrt",
        Unary::Tanh => "tanh",
        Unary::Sigmoid => "sigmoid",
        Unary::Softplus => "softplus",
    }
}
