//! A formula as a function of WGSL.

use crate::expr::words::{Access, Program};
use crate::expr::{ALL, Binary, Expr, Instruction, Unary};
use std::fmt::Write;

/// The function `expression` of a program, as WGSL: `r` and `c` are the place, `i` its index in a dense tensor of
/// `columns` columns.
pub fn wgsl(words: &[u32], columns: u32) -> String {
    let program = Program::from_words(words);
    let operand = |k: usize| operand(k, program.operands[k], columns);
    format!("\nfn expression(r: u32, c: u32, i: u32) -> f32 {{\n{}}}\n", body(&program.expr, operand))
}

/// The function `formula` of a product's program, likewise: of the number of the product at the place (r, c), and of that of
/// another tensor there. Without a program it is never called.
pub fn way_out(words: &[u32]) -> String {
    let program = (!words.is_empty()).then(|| Program::from_words(words));
    let operand = |k: usize| ["product", "other"][k].to_owned();
    let body = program.map_or("    return product;\n".to_owned(), |program| body(&program.expr, operand));
    format!("\nfn formula(r: u32, c: u32, product: f32, other: f32) -> f32 {{\n{body}}}\n")
}

/// The statements that compute an expression.
fn body(f: &Expr, operand: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    for (at, instruction) in f.code().iter().enumerate() {
        let value = match *instruction {
            Instruction::Input(k) => operand(k),
            Instruction::Constant(value) => number(value),
            Instruction::Weight(index) => format!("steps[member].weights[{}][{}]", index / 4, index % 4),
            Instruction::Count => "f32(steps[member].rows)".to_owned(),
            Instruction::Row(n) => format!("f32(r % {n}u)"),
            Instruction::Column(ALL) => "f32(c)".to_owned(),
            Instruction::Column(n) => format!("f32(c % {n}u)"),
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
    writeln!(text, "    return v{};", f.code().len() - 1).expect("writing to a string cannot fail");
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
    let Access { share, rows, width, shift, reversed } = access;
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
        Some(shift) if reversed => {
            // What comes before the first column is one beyond the last, too: numbers without sign begin again.
            let column = if shift < 0 { format!("0u - c - {}u", -shift) } else { format!("{shift}u - c") };
            if shift + 1 >= columns as i32 && (shift as usize) < width {
                return format!("read_{name}({first} + {column})");
            }
            let index = format!("{first} + min({column}, {}u)", width - 1);
            format!("select(0.0, read_{name}({index}), {column} < {width}u)")
        }
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
