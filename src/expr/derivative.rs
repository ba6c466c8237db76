//! Derivatives of expressions: one rule per function, and one loop that goes back from the result.

use super::{At, Binary, Expr, Instruction, Unary};

/// What a small change of the operand `k` does to the result, times the operand `dy`, as an expression of the same
/// operands and `dy`; nothing where the result does not depend on `k`.
pub fn gradient(expr: &Expr, k: usize, dy: usize) -> Option<Expr> {
    let code = expr.code();
    let mut depends = vec![false; code.len()];
    for (at, &instruction) in code.iter().enumerate() {
        depends[at] = match instruction {
            Instruction::Input(operand) => operand == k,
            // What is compared, or decides, has no slope.
            Instruction::Binary(Binary::Less | Binary::AtMost | Binary::Equal, ..) => false,
            Instruction::Select(_, a, b) => depends[a] || depends[b],
            other => other.reads().into_iter().any(|read| depends[read]),
        };
    }
    let mut all = expr.clone();
    let mut adjoint: Vec<Option<At>> = vec![None; code.len()];
    adjoint[code.len() - 1] = Some(all.push(Instruction::Input(dy)));
    let mut found = None;
    for at in (0..code.len()).rev().filter(|&at| depends[at]) {
        let Some(d) = adjoint[at] else { continue };
        if code[at] == Instruction::Input(k) {
            found = Some(d);
        }
        for (read, d) in local(&mut all, code[at], at, d, &|read| depends[read]) {
            adjoint[read] = Some(match adjoint[read] {
                Some(sum) => all.push(Instruction::Binary(Binary::Add, sum, d)),
                None => d,
            });
        }
    }
    found.map(|at| all.ending(at))
}

/// The adjoints of what an instruction reads, given its own, `d`.
fn local(all: &mut Expr, instruction: Instruction, at: At, d: At, depends: &dyn Fn(At) -> bool) -> Vec<(At, At)> {
    use Instruction::Constant;
    fn binary(all: &mut Expr, f: Binary, a: At, b: At) -> At {
        all.push(Instruction::Binary(f, a, b))
    }
    fn unary(all: &mut Expr, f: Unary, a: At) -> At {
        all.push(Instruction::Unary(f, a))
    }
    let mut out = Vec::new();
    match instruction {
        Instruction::Unary(f, a) => {
            let one = all.push(Constant(1.0));
            let slope = match f {
                Unary::Negate => {
                    let d = unary(all, Unary::Negate, d);
                    return vec![(a, d)];
                }
                Unary::Abs => {
                    let (zero, minus) = (all.push(Constant(0.0)), all.push(Constant(-1.0)));
                    let below = binary(all, Binary::Less, a, zero);
                    all.push(Instruction::Select(below, minus, one))
                }
                Unary::Exp => at,
                Unary::Log => {
                    let d = binary(all, Binary::Divide, d, a);
                    return vec![(a, d)];
                }
                Unary::Log1p => {
                    let sum = binary(all, Binary::Add, one, a);
                    let d = binary(all, Binary::Divide, d, sum);
                    return vec![(a, d)];
                }
                Unary::Sqrt => {
                    let half = all.push(Constant(0.5));
                    binary(all, Binary::Divide, half, at)
                }
                Unary::Tanh => {
                    let square = binary(all, Binary::Multiply, at, at);
                    binary(all, Binary::Subtract, one, square)
                }
                Unary::Sigmoid => {
                    let rest = binary(all, Binary::Subtract, one, at);
                    binary(all, Binary::Multiply, at, rest)
                }
                Unary::Softplus => unary(all, Unary::Sigmoid, a),
            };
            out.push((a, binary(all, Binary::Multiply, d, slope)));
        }
        Instruction::Binary(f, a, b) => {
            let zero = all.push(Constant(0.0));
            match f {
                Binary::Add => out.extend([(a, d), (b, d)]),
                Binary::Subtract => out.extend([(a, d), (b, unary(all, Unary::Negate, d))]),
                Binary::Multiply => {
                    out.extend([(a, binary(all, Binary::Multiply, d, b)), (b, binary(all, Binary::Multiply, d, a))]);
                }
                Binary::Divide => {
                    let quotient = binary(all, Binary::Divide, d, b);
                    let of_b = binary(all, Binary::Multiply, quotient, at);
                    out.extend([(a, quotient), (b, unary(all, Unary::Negate, of_b))]);
                }
                // Of equal numbers the first counts.
                Binary::Max | Binary::Min => {
                    let (low, high) = if f == Binary::Max { (b, a) } else { (a, b) };
                    let first = binary(all, Binary::AtMost, low, high);
                    out.push((a, all.push(Instruction::Select(first, d, zero))));
                    out.push((b, all.push(Instruction::Select(first, zero, d))));
                }
                Binary::Less | Binary::AtMost | Binary::Equal => {}
            }
        }
        Instruction::Select(c, a, b) => {
            let zero = all.push(Constant(0.0));
            out.push((a, all.push(Instruction::Select(c, d, zero))));
            out.push((b, all.push(Instruction::Select(c, zero, d))));
        }
        Instruction::Input(_)
        | Constant(_)
        | Instruction::Weight(_)
        | Instruction::Count
        | Instruction::Row(_)
        | Instruction::Column(_) => {}
    }
    out.retain(|&(read, _)| depends(read));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(f: &Expr) -> String {
        gradient(f, 0, 9).map_or_else(|| "nothing".to_owned(), |g| g.to_string())
    }

    #[test]
    fn rules_are_those_of_calculus() {
        let [a, b] = [0, 1].map(Expr::input);
        for (f, expected) in [
            (a.clone() + b.clone(), "j"),
            (b.clone() - a.clone(), "-j"),
            (a.clone() * b.clone(), "j * b"),
            (a.clone().squared(), "j * a + j * a"),
            (b.clone() / a.clone(), "-(j / a * (b / a))"),
            (a.clone().exp(), "j * exp(a)"),
            (a.clone().ln(), "j / a"),
            (a.clone().tanh(), "j * (1 - tanh(a) * tanh(a))"),
            (a.clone().softplus(), "j * sigmoid(a)"),
            (a.clone().max(b.clone()), "select(b <= a, j, 0)"),
            (a.clone().less(b.clone()).select(a.clone(), b.clone()), "select(a < b, j, 0)"),
            (a.clone().less(b.clone()), "nothing"),
            (b.exp() + Expr::row(3), "nothing"),
        ] {
            assert_eq!(of(&f), expected, "{f}");
        }
    }
}
