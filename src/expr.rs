//! Element-wise expressions: what one number of a tensor is, given the numbers of other tensors in its place.
//!
//! An [`Expr`] is plain data, a list of instructions of which the last is the result. It is written as a formula, with
//! operators and functions:
//!
//! ```
//! use elbo::expr::Expr;
//!
//! let [mean, log_variance] = [Expr::input(0), Expr::input(1)];
//! let kl = 0.5 * (log_variance.clone().exp() + mean.clone() * mean - 1.0 - log_variance);
//! assert_eq!(kl.to_string(), "0.5 * (exp(b) + a * a - 1 - b)");
//! ```
//!
//! The graph holds expressions and differentiates them by the rules of [`derivative`]; a plan has them as words
//! ([`words`]), from which a kernel prints WGSL and the CPU engine computes. Neither graph nor kernels know each other;
//! both know this language.

pub mod derivative;
mod print;
pub mod words;

use std::collections::BTreeSet;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// The modulus of a column that is not counted in groups: more than any tensor has.
pub const ALL: usize = u32::MAX as usize;
/// The most weights of a loss that a step is told.
pub const MAX_WEIGHTS: usize = 8;

/// The index of an instruction within its expression.
pub type At = usize;

/// Functions of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unary {
    /// −x.
    Negate,
    /// |x|.
    Abs,
    /// eˣ.
    Exp,
    /// log x, for x > 0.
    Log,
    /// log(1 + x), for x > −1; exact near 0.
    Log1p,
    /// √x, for x ≥ 0.
    Sqrt,
    /// tanh x.
    Tanh,
    /// 1/(1 + e⁻ˣ).
    Sigmoid,
    /// log(1 + eˣ).
    Softplus,
}

/// Functions of two numbers. A comparison gives 1 where it holds and 0 elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binary {
    /// a + b.
    Add,
    /// a − b.
    Subtract,
    /// a·b.
    Multiply,
    /// a/b.
    Divide,
    /// The larger of both.
    Max,
    /// The smaller of both.
    Min,
    /// a < b.
    Less,
    /// a ≤ b.
    AtMost,
    /// a = b.
    Equal,
}

/// One instruction; those that it reads come before it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Instruction {
    /// The number of an operand in this place.
    Input(usize),
    /// A number that never changes; it is finite.
    Constant(f32),
    /// A weight of the step's loss, by its index.
    Weight(usize),
    /// How many examples of the batch count.
    Count,
    /// The row of this place, counted from 0, modulo a number.
    Row(usize),
    /// The column of this place, counted from 0, modulo a number ([`ALL`] where it is the column itself).
    Column(usize),
    /// A function of one number.
    Unary(Unary, At),
    /// A function of two numbers.
    Binary(Binary, At, At),
    /// The second where the first is not 0, else the third.
    Select(At, At, At),
}

/// A number in each place of a tensor, as a function of numbers in the same place of others.
#[must_use]
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Expr {
    code: Vec<Instruction>,
}

impl Instruction {
    /// The same instruction, what it reads found by `at`.
    fn moved(self, at: impl Fn(At) -> At) -> Self {
        match self {
            Self::Unary(f, a) => Self::Unary(f, at(a)),
            Self::Binary(f, a, b) => Self::Binary(f, at(a), at(b)),
            Self::Select(c, a, b) => Self::Select(at(c), at(a), at(b)),
            leaf => leaf,
        }
    }

    /// The instructions that it reads.
    pub fn reads(self) -> Vec<At> {
        match self {
            Self::Unary(_, a) => vec![a],
            Self::Binary(_, a, b) => vec![a, b],
            Self::Select(c, a, b) => vec![c, a, b],
            _ => vec![],
        }
    }
}

impl Expr {
    /// The number of the operand `k`.
    pub fn input(k: usize) -> Self {
        Self::leaf(Instruction::Input(k))
    }

    /// A number that never changes.
    ///
    /// # Panics
    /// Where it is not finite: shaders have no way to write that.
    pub fn constant(value: f32) -> Self {
        assert!(value.is_finite(), "a constant of an expression is finite, not {value}");
        Self::leaf(Instruction::Constant(value))
    }

    /// A weight of the step's loss, by its index.
    pub fn weight(index: usize) -> Self {
        Self::leaf(Instruction::Weight(index))
    }

    /// How many examples of the batch count: fewer than the batch at the end of an epoch.
    pub fn count() -> Self {
        Self::leaf(Instruction::Count)
    }

    /// The row of this place, counted from 0, modulo `n`: the place within its group where `n` rows belong together.
    pub fn row(n: usize) -> Self {
        Self::leaf(Instruction::Row(n))
    }

    /// The column of this place, counted from 0.
    pub fn column() -> Self {
        Self::leaf(Instruction::Column(ALL))
    }

    /// The column of this place, counted from 0, modulo `n`: the place within its group where `n` columns belong together.
    pub fn column_of(n: usize) -> Self {
        Self::leaf(Instruction::Column(n))
    }

    fn leaf(instruction: Instruction) -> Self {
        Self { code: vec![instruction] }
    }

    /// The instructions, the result last.
    pub fn code(&self) -> &[Instruction] {
        &self.code
    }

    /// One more than the largest operand that is read.
    pub fn inputs(&self) -> usize {
        let operand = |instruction: &Instruction| match instruction {
            Instruction::Input(k) => k + 1,
            _ => 0,
        };
        self.code.iter().map(operand).max().unwrap_or(0)
    }

    /// Whether it is nothing but its first operand.
    pub fn is_identity(&self) -> bool {
        self.code == [Instruction::Input(0)]
    }

    /// Whether something is compared or chosen by what comes of the operand `k`, so that the result may jump.
    pub fn decides_by(&self, k: usize) -> bool {
        let mut depends: Vec<bool> = Vec::with_capacity(self.code.len());
        for &instruction in &self.code {
            let decides = match instruction {
                Instruction::Binary(Binary::Less | Binary::AtMost | Binary::Equal, a, b) => depends[a] || depends[b],
                Instruction::Select(c, ..) => depends[c],
                _ => false,
            };
            if decides {
                return true;
            }
            let reads = instruction.reads();
            depends.push(instruction == Instruction::Input(k) || reads.into_iter().any(|read| depends[read]));
        }
        false
    }

    /// Whether it looks at the column of a place.
    pub fn sees_column(&self) -> bool {
        self.code.iter().any(|instruction| matches!(instruction, Instruction::Column(_)))
    }

    /// Whether it looks at the row of a place.
    pub fn sees_row(&self) -> bool {
        self.code.iter().any(|instruction| matches!(instruction, Instruction::Row(_)))
    }

    /// Appends an instruction unless it is there, and gives its place. Sums with 0 and products with 1 are
    /// what they are.
    fn push(&mut self, mut instruction: Instruction) -> At {
        use Instruction::{Binary, Constant, Select, Unary};
        // What one decision chose, the same decision chooses again.
        if let Select(c, a, b) = &mut instruction {
            match self.code[*a] {
                Select(other, inner, _) if other == *c => *a = inner,
                _ => {}
            }
            match self.code[*b] {
                Select(other, _, inner) if other == *c => *b = inner,
                _ => {}
            }
        }
        let is = |at: At, value: f32| self.code[at] == Constant(value);
        let known = match instruction {
            Binary(self::Binary::Add, a, b) | Binary(self::Binary::Subtract, b, a) if is(a, 0.0) => Some(b),
            Binary(self::Binary::Add, a, b) if is(b, 0.0) => Some(a),
            Binary(self::Binary::Multiply, a, b) if is(a, 1.0) => Some(b),
            Binary(self::Binary::Multiply | self::Binary::Divide, a, b) if is(b, 1.0) => Some(a),
            Unary(self::Unary::Negate, a) => match self.code[a] {
                Unary(self::Unary::Negate, inner) => Some(inner),
                _ => None,
            },
            _ => None,
        };
        if let Some(at) = known.or_else(|| self.code.iter().position(|other| *other == instruction)) {
            return at;
        }
        self.code.push(instruction);
        self.code.len() - 1
    }

    /// Appends another expression and gives the place of its result. Its operand `k` becomes `operand(k)`.
    fn append(&mut self, other: &Self, mut operand: impl FnMut(&mut Self, usize) -> At) -> At {
        let mut places = Vec::with_capacity(other.code.len());
        for &instruction in &other.code {
            let at = match instruction {
                Instruction::Input(k) => operand(self, k),
                instruction => self.push(instruction.moved(|at| places[at])),
            };
            places.push(at);
        }
        places[places.len() - 1]
    }

    /// The same with the instruction `at` as its result, without what that does not need.
    fn ending(&self, at: At) -> Self {
        let mut needed = vec![false; self.code.len()];
        needed[at] = true;
        for place in (0..=at).rev() {
            if needed[place] {
                self.code[place].reads().into_iter().for_each(|read| needed[read] = true);
            }
        }
        let mut places = vec![0; self.code.len()];
        let mut code = Vec::new();
        for place in (0..=at).filter(|&place| needed[place]) {
            places[place] = code.len();
            code.push(self.code[place].moved(|read| places[read]));
        }
        Self { code }
    }

    /// A function of two expressions.
    fn binary(mut self, f: Binary, other: &Self) -> Self {
        let a = self.code.len() - 1;
        let b = self.append(other, |all, k| all.push(Instruction::Input(k)));
        let at = self.push(Instruction::Binary(f, a, b));
        self.ending(at)
    }

    fn unary(mut self, f: Unary) -> Self {
        let a = self.code.len() - 1;
        let at = self.push(Instruction::Unary(f, a));
        self.ending(at)
    }

    /// |x|.
    pub fn abs(self) -> Self {
        self.unary(Unary::Abs)
    }

    /// eˣ.
    pub fn exp(self) -> Self {
        self.unary(Unary::Exp)
    }

    /// log x, for x > 0.
    pub fn ln(self) -> Self {
        self.unary(Unary::Log)
    }

    /// log(1 + x), for x > −1.
    pub fn ln_1p(self) -> Self {
        self.unary(Unary::Log1p)
    }

    /// √x, for x ≥ 0. Its slope at 0 is infinite, also where a `select` around it takes the other branch: what is masked needs
    /// a number inside that is safe, and so do [`Expr::ln`] and quotients.
    pub fn sqrt(self) -> Self {
        self.unary(Unary::Sqrt)
    }

    /// tanh x.
    pub fn tanh(self) -> Self {
        self.unary(Unary::Tanh)
    }

    /// 1/(1 + e⁻ˣ).
    pub fn sigmoid(self) -> Self {
        self.unary(Unary::Sigmoid)
    }

    /// log(1 + eˣ).
    pub fn softplus(self) -> Self {
        self.unary(Unary::Softplus)
    }

    /// x².
    pub fn squared(self) -> Self {
        self.clone() * self
    }

    /// The larger of both.
    pub fn max(self, other: impl Into<Self>) -> Self {
        self.binary(Binary::Max, &other.into())
    }

    /// The smaller of both.
    pub fn min(self, other: impl Into<Self>) -> Self {
        self.binary(Binary::Min, &other.into())
    }

    /// x held in a range. Its derivative outside is 0, and 1 on the bounds.
    pub fn clamp(self, low: f32, high: f32) -> Self {
        self.max(low).min(high)
    }

    /// 1 where it is less than the other, else 0.
    pub fn less(self, other: impl Into<Self>) -> Self {
        self.binary(Binary::Less, &other.into())
    }

    /// 1 where it is at most the other, else 0.
    pub fn at_most(self, other: impl Into<Self>) -> Self {
        self.binary(Binary::AtMost, &other.into())
    }

    /// 1 where both are equal, else 0.
    pub fn equal(self, other: impl Into<Self>) -> Self {
        self.binary(Binary::Equal, &other.into())
    }

    /// `yes` where this is not 0, else `no`.
    pub fn select(mut self, yes: impl Into<Self>, no: impl Into<Self>) -> Self {
        let c = self.code.len() - 1;
        let [yes, no] = [yes.into(), no.into()];
        let a = self.append(&yes, |all, k| all.push(Instruction::Input(k)));
        let b = self.append(&no, |all, k| all.push(Instruction::Input(k)));
        let at = self.push(Instruction::Select(c, a, b));
        self.ending(at)
    }

    /// The same with the expression `inner` in the place of the operand `k`. `renumber` says what becomes of the operands
    /// of either: (of the inner one, its number).
    pub fn with(&self, k: usize, inner: &Self, renumber: impl Fn(bool, usize) -> usize) -> Self {
        let mut all = Self::default();
        let at = all.append(self, |all, operand| {
            if operand == k {
                all.append(inner, |all, operand| all.push(Instruction::Input(renumber(true, operand))))
            } else {
                all.push(Instruction::Input(renumber(false, operand)))
            }
        });
        all.ending(at)
    }

    /// The operands that each instruction needs, and how many instructions it takes to compute it.
    pub fn needs(&self) -> Vec<(BTreeSet<usize>, usize)> {
        let mut cones: Vec<BTreeSet<At>> = Vec::with_capacity(self.code.len());
        for (at, instruction) in self.code.iter().enumerate() {
            let mut cone: BTreeSet<At> = instruction.reads().into_iter().flat_map(|read| cones[read].clone()).collect();
            cone.insert(at);
            cones.push(cone);
        }
        let operand = |&at: &At| match self.code[at] {
            Instruction::Input(k) => Some(k),
            _ => None,
        };
        cones.into_iter().map(|cone| (cone.iter().filter_map(operand).collect(), cone.len())).collect()
    }

    /// The part that ends with an instruction, and the rest, which reads it as the operand `k`.
    pub fn cut(&self, at: At, k: usize) -> [Self; 2] {
        let mut rest = self.clone();
        rest.code[at] = Instruction::Input(k);
        [self.ending(at), rest.ending(self.code.len() - 1)]
    }

    /// The same with its operands numbered anew.
    pub fn renumbered(&self, number: impl Fn(usize) -> usize) -> Self {
        self.with(usize::MAX, &Self::input(0), |_, operand| number(operand))
    }
}

impl From<f32> for Expr {
    fn from(value: f32) -> Self {
        Self::constant(value)
    }
}

macro_rules! operators {
    ($($trait:ident $method:ident $function:ident;)*) => {$(
        impl<T: Into<Expr>> $trait<T> for Expr {
            type Output = Expr;

            fn $method(self, other: T) -> Expr {
                self.binary(Binary::$function, &other.into())
            }
        }

        impl $trait<Expr> for f32 {
            type Output = Expr;

            fn $method(self, other: Expr) -> Expr {
                Expr::constant(self).binary(Binary::$function, &other)
            }
        }
    )*};
}

operators! {
    Add add Add;
    Sub sub Subtract;
    Mul mul Multiply;
    Div div Divide;
}

impl Neg for Expr {
    type Output = Self;

    fn neg(self) -> Self {
        self.unary(Unary::Negate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_is_printed_as_it_is_written_and_what_stands_twice_is_computed_once() {
        let [a, b] = [0, 1].map(Expr::input);
        let f = (a.clone() - b.clone()).exp() * (a.clone() - b.clone()) / (1.0 + (a.clone() - b).exp());
        assert_eq!(f.to_string(), "exp(a - b) * (a - b) / (1 + exp(a - b))");
        assert_eq!(f.code().len(), 8);
        assert_eq!((a.clone() * 1.0 + 0.0).to_string(), "a");
        assert_eq!((0.0 - a.clone()).to_string(), "0 - a");
        assert_eq!((-(-a.clone())).to_string(), "a");
        // As a tree it would have 2⁴⁰ leaves.
        let power = (0..40).fold(a, |x, _| x.squared());
        assert!(power.to_string().len() < 2000);
    }

    #[test]
    fn an_expression_takes_the_place_of_an_operand() {
        let [a, b, c] = [0, 1, 2].map(Expr::input);
        let outer = a.clone() * b.clone();
        let inner = (c + a).tanh();
        let joined = outer.with(1, &inner, |inner, operand| if inner { operand + 1 } else { operand });
        assert_eq!(joined.to_string(), "a * tanh(d + b)");
        assert_eq!((joined.inputs(), b.renumbered(|k| k + 4).to_string().as_str()), (4, "f"));
    }
}
