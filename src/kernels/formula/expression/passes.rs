//! In what passes over a block the CPU engine computes a formula: sums, differences, products and quotients that only each
//! other read are one pass, on numbers that stay in registers, and so are functions of them, for which a pass leaves what it
//! has in the first cache.

use crate::expr::{At, Binary, Instruction, Unary};
use crate::kernels::math;
use pulp::Simd;

/// A pass over a block.
pub struct Pass {
    /// The instruction whose numbers it leaves.
    pub at: At,
    /// Where it leaves them.
    pub slot: usize,
    pub work: Work,
}

pub enum Work {
    One(Instruction),
    /// The numbers of an instruction, and what becomes of them one step after the other.
    Chain(At, Vec<With>),
}

/// A step, and the number that it is given, if it takes one.
type With = (Step, Option<Given>);

/// What a step is given: the number of an instruction, times one that is the same in all places where there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Given {
    pub at: At,
    pub times: Option<At>,
}

/// What becomes of a number, given another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Add,
    Subtract,
    /// It is subtracted from the other one.
    From,
    Multiply,
    Divide,
    /// It divides the other one.
    Under,
    /// There is no other one.
    Square,
    /// Nor here.
    Negate,
    /// Nor of a function of one number.
    Function(Unary),
}

/// The numbers that an instruction reads for a block: one for each place, or one for all.
#[derive(Clone, Copy)]
pub enum Values<'a> {
    Each(&'a [f32]),
    All(f32),
}

/// The passes of some code in their order, the slots that they need, and the slot of each instruction.
pub fn passes(code: &[Instruction]) -> (Vec<Pass>, Vec<usize>) {
    let mut uses = vec![0; code.len()];
    code.iter().flat_map(|instruction| instruction.reads()).for_each(|read| uses[read] += 1);
    let mut works: Vec<Option<Work>> = Vec::with_capacity(code.len());
    for (at, &instruction) in code.iter().enumerate() {
        let work = chained(code, &uses, &works, at);
        if let Some((from, begun, (step, with))) = work {
            // What is gone on with is no pass of its own, nor is what is multiplied where it is given.
            let before = if begun { works[from].take() } else { None };
            let given = with.map(|at| match scaled(code, &uses, &works, at) {
                Some(given) => {
                    works[at] = None;
                    given
                }
                None => Given { at, times: None },
            });
            works.push(Some(match before {
                Some(Work::Chain(start, steps)) => Work::Chain(start, [steps, vec![(step, given)]].concat()),
                _ => Work::Chain(from, vec![(step, given)]),
            }));
        } else {
            // A number that is the same everywhere is looked up where it is needed.
            works.push((at + 1 == code.len() || !is_constant(instruction)).then_some(Work::One(instruction)));
        }
    }
    for work in works.iter_mut().flatten() {
        if let Work::Chain(from, steps) = work
            && let [(Step::Function(f), _)] = steps[..]
        {
            *work = Work::One(Instruction::Unary(f, *from));
        }
    }
    in_slots(code.len(), works)
}

/// What a step is given where it is given nothing but a multiple of a number, which nobody else reads.
fn scaled(code: &[Instruction], uses: &[usize], works: &[Option<Work>], at: At) -> Option<Given> {
    match &works[at] {
        Some(Work::Chain(from, steps)) if uses[at] == 1 && !is_constant(code[*from]) => match steps[..] {
            [(Step::Multiply, Some(Given { at: by, times: None }))] if is_constant(code[by]) => {
                Some(Given { at: *from, times: Some(by) })
            }
            _ => None,
        },
        _ => None,
    }
}

/// Of an instruction that is a step of a chain: what it is a step from, whether that is in a chain already, the step, and the
/// instruction whose number it is given.
fn chained(
    code: &[Instruction],
    uses: &[usize],
    works: &[Option<Work>],
    at: At,
) -> Option<(At, bool, (Step, Option<At>))> {
    let steps = |read: At, times: usize| match &works[read] {
        Some(Work::Chain(_, steps)) if uses[read] == times => steps.len(),
        _ => 0,
    };
    let go_on =
        |read: At, times: usize, step: Step, with: Option<At>| Some((read, steps(read, times) > 0, (step, with)));
    let (f, a, b) = match code[at] {
        Instruction::Unary(Unary::Negate, a) => return go_on(a, 1, Step::Negate, None),
        Instruction::Unary(f, a) => return go_on(a, 1, Step::Function(f), None),
        Instruction::Binary(Binary::Multiply, a, b) if a == b => return go_on(a, 2, Step::Square, None),
        Instruction::Binary(f, a, b) => (f, a, b),
        _ => return None,
    };
    let [forward, backward] = match f {
        Binary::Add => [Step::Add; 2],
        Binary::Subtract => [Step::Subtract, Step::From],
        Binary::Multiply => [Step::Multiply; 2],
        Binary::Divide => [Step::Divide, Step::Under],
        _ => return None,
    };
    let is_scaled = |read: At| scaled(code, uses, works, read).is_some();
    let right = match (steps(a, 1), steps(b, 1)) {
        (0, 0) => is_constant(code[a]),
        (left, right) => right > left || (left == right && is_scaled(a) && !is_scaled(b)),
    };
    if right { go_on(b, 1, backward, Some(a)) } else { go_on(a, 1, forward, Some(b)) }
}

/// Whether an instruction is the same number in all places.
#[inline(always)]
pub fn is_constant(instruction: Instruction) -> bool {
    matches!(instruction, Instruction::Constant(_) | Instruction::Weight(_) | Instruction::Count)
}

/// A slot for each pass: one that nobody needs any more, else a new one.
fn in_slots(count: usize, works: Vec<Option<Work>>) -> (Vec<Pass>, Vec<usize>) {
    // Numbers that are the same everywhere are in no slot.
    let stored: Vec<bool> = works.iter().map(Option::is_some).collect();
    let reads = |work: &Work| -> Vec<At> {
        let mut all = match work {
            Work::One(instruction) => instruction.reads(),
            Work::Chain(start, steps) => {
                steps.iter().filter_map(|(_, with)| Some((*with)?.at)).chain([*start]).collect()
            }
        };
        all.retain(|&read| stored[read]);
        all
    };
    let mut last_use: Vec<At> = (0..count).collect();
    for (at, work) in works.iter().enumerate() {
        work.iter().flat_map(&reads).for_each(|read| last_use[read] = at);
    }
    let (mut passes, mut slots, mut free, mut most) = (Vec::new(), vec![0; count], vec![], 0);
    for (at, work) in works.into_iter().enumerate() {
        let Some(work) = work else { continue };
        let slot = free.pop().unwrap_or_else(|| {
            most += 1;
            most - 1
        });
        slots[at] = slot;
        // Only then may what was read last here be overwritten.
        let mut done = reads(&work);
        done.push(at);
        done.sort_unstable();
        done.dedup();
        free.extend(done.into_iter().filter(|&read| last_use[read] == at).map(|read| slots[read]));
        passes.push(Pass { at, slot, work });
    }
    (passes, slots)
}

/// How many steps are made in one pass: what they are given is looked up before.
pub const AT_ONCE: usize = 8;

/// What a chain is given in registers.
enum Vectors<'a, S: Simd> {
    Each(&'a [S::f32s]),
    All(S::f32s),
    /// Each times a number.
    Scaled(&'a [S::f32s], S::f32s),
}

/// A step, what it is given, and the number that this is multiplied with, if there is one.
pub type Told<'a> = (Step, Values<'a>, Option<f32>);

/// Makes up to [`AT_ONCE`] steps with each number of `start`, or of what is in `y` already.
#[inline(always)]
pub fn chain<S: Simd>(simd: S, start: Option<Values>, steps: &[Told], y: &mut [f32]) {
    let mut given: [(Step, Vectors<S>); AT_ONCE] = [const { (Step::Negate, Vectors::Each(&[])) }; AT_ONCE];
    for (given, &(step, with, times)) in given.iter_mut().zip(steps) {
        *given = (step, vectors(simd, with, times));
    }
    let given = &given[..steps.len()];
    let begin = start.map(
        #[inline(always)]
        |start| vectors(simd, start, None),
    );
    let count = y.len();
    let (made, rest) = S::as_mut_simd_f32s(y);
    let whole = made.len() - made.len() % 8;
    for at in (0..whole).step_by(8) {
        eight(simd, begin.as_ref(), given, at, made);
    }
    for at in whole..made.len() {
        single(simd, begin.as_ref(), given, at, made);
    }
    for (at, y) in (count - rest.len()..).zip(rest) {
        let value = |values: Values| match values {
            Values::Each(values) => values[at],
            Values::All(value) => value,
        };
        *y = steps.iter().fold(start.map_or(*y, value), |x, &(step, with, times)| {
            let with = times.map_or(value(with), |times| value(with) * times);
            one(step, x, with)
        });
    }
}

#[inline(always)]
fn vectors<S: Simd>(simd: S, values: Values<'_>, times: Option<f32>) -> Vectors<'_, S> {
    match (values, times) {
        (Values::Each(values), None) => Vectors::Each(S::as_simd_f32s(values).0),
        (Values::Each(values), Some(times)) => Vectors::Scaled(S::as_simd_f32s(values).0, simd.splat_f32s(times)),
        (Values::All(value), times) => Vectors::All(simd.splat_f32s(times.map_or(value, |times| value * times))),
    }
}

/// A function that makes the steps for so many vectors. Each has a name of its own, so that they stay in registers: of an array,
/// whichever loop goes over it, compilers keep a copy in memory.
macro_rules! tile {
    ($name:ident, $count:literal, $($x:ident $b:ident)*) => {
        #[inline(always)]
        fn $name<S: Simd>(
            simd: S,
            start: Option<&Vectors<S>>,
            steps: &[(Step, Vectors<S>)],
            at: usize,
            y: &mut [S::f32s],
        ) {
            let y = &mut y[at..at + $count];
            let ($(mut $x,)*) = match start {
                None => { let [$($b),*] = &*y else { return }; ($(*$b,)*) }
                Some(Vectors::Each(values) | Vectors::Scaled(values, _)) => {
                    let [$($b),*] = &values[at..at + $count] else { return };
                    ($(*$b,)*)
                }
                Some(Vectors::All(value)) => ($({ let $x = *value; $x },)*),
            };
            for (step, with) in steps {
                macro_rules! each {
                    (|$left:ident, $right:ident| $value:expr) => {
                        match with {
                            Vectors::Each(values) => {
                                let [$($b),*] = &values[at..at + $count] else { return };
                                $({ let ($left, $right) = ($x, *$b); $x = $value; })*
                            }
                            Vectors::All(value) => {
                                $({ let ($left, $right) = ($x, *value); $x = $value; })*
                            }
                            Vectors::Scaled(values, times) => {
                                let [$($b),*] = &values[at..at + $count] else { return };
                                $({ let ($left, $right) = ($x, simd.mul_f32s(*$b, *times)); $x = $value; })*
                            }
                        }
                    };
                }
                match step {
                    Step::Add => each!(|x, b| simd.add_f32s(x, b)),
                    Step::Subtract => each!(|x, b| simd.sub_f32s(x, b)),
                    Step::From => each!(|x, b| simd.sub_f32s(b, x)),
                    Step::Multiply => each!(|x, b| simd.mul_f32s(x, b)),
                    Step::Divide => each!(|x, b| simd.div_f32s(x, b)),
                    Step::Under => each!(|x, b| simd.div_f32s(b, x)),
                    Step::Square => { $($x = simd.mul_f32s($x, $x);)* }
                    Step::Negate => { $($x = simd.neg_f32s($x);)* }
                    // The compiler makes vectors of functions that are written for one number.
                    Step::Function(f) => {
                        { let [$($b),*] = &mut *y else { return }; $(*$b = $x;)* }
                        function_all(*f, bytemuck::cast_slice_mut::<S::f32s, f32>(y));
                        let [$($b),*] = &*y else { return };
                        $($x = *$b;)*
                    }
                }
            }
            let [$($b),*] = y else { return };
            $(*$b = $x;)*
        }
    };
}

tile!(eight, 8, x0 b0 x1 b1 x2 b2 x3 b3 x4 b4 x5 b5 x6 b6 x7 b7);
tile!(single, 1, x0 b0);

/// A step with one number.
#[inline(always)]
fn one(step: Step, x: f32, b: f32) -> f32 {
    match step {
        Step::Add => x + b,
        Step::Subtract => x - b,
        Step::From => b - x,
        Step::Multiply => x * b,
        Step::Divide => x / b,
        Step::Under => b / x,
        Step::Square => x * x,
        Step::Negate => -x,
        Step::Function(f) => function(f, x),
    }
}

/// A function of one number in the form that loops vectorise.
#[inline(always)]
pub fn function(f: Unary, x: f32) -> f32 {
    match f {
        Unary::Negate => -x,
        Unary::Abs => x.abs(),
        Unary::Exp => math::exp_full(x),
        Unary::Log => math::ln_full(x),
        Unary::Log1p => math::ln_1p(x),
        Unary::Sqrt => x.sqrt(),
        Unary::Tanh => math::tanh(x),
        Unary::Sigmoid => math::sigmoid_from(x, math::exp(-x.abs())),
        Unary::Softplus => math::softplus_from(x, math::exp(-x.abs())),
    }
}

/// Replaces each number by a function of it, in a loop for each function.
#[inline(always)]
fn function_all(f: Unary, values: &mut [f32]) {
    macro_rules! each {
        ($($kind:ident)*) => {
            match f {
                $(Unary::$kind => values.iter_mut().for_each(
                    #[inline(always)]
                    |x| *x = function(Unary::$kind, *x)
                ),)*
            }
        };
    }
    each!(Negate Abs Exp Log Log1p Sqrt Tanh Sigmoid Softplus);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::Expr;

    #[test]
    fn what_only_each_other_read_is_one_pass_and_no_slot_is_overwritten_that_is_still_read() {
        let [a, b] = [0, 1].map(Expr::input);
        let gelu = |x: Expr| {
            let cube = 0.044_715 * x.clone().squared() * x.clone();
            0.5 * x.clone() * (1.0 + (0.797_884_6 * (x + cube)).tanh())
        };
        let count = |f: &Expr| {
            passes(f.code()).0.iter().filter(|pass| !matches!(pass.work, Work::One(Instruction::Input(_)))).count()
        };
        for (f, expected) in [
            (gelu(a.clone()), 1),
            (a.clone() + b.clone(), 1),
            (-(1.0 / (a.clone() - b.clone()).squared()) * b.clone(), 1),
            ((a.clone() + b.clone()).exp() * (a.clone() + b.clone()), 2),
            (a.clone().max(b.clone()) * 2.0 - a.clone(), 2),
        ] {
            assert_eq!(count(&f), expected, "{f}");
            // Each pass finds what it reads where it was left.
            let (passes, slots) = passes(f.code());
            let mut holds: Vec<Option<At>> = vec![None; f.code().len()];
            for pass in &passes {
                let reads = match &pass.work {
                    Work::One(instruction) => instruction.reads(),
                    Work::Chain(start, steps) => {
                        steps.iter().filter_map(|(_, with)| Some((*with)?.at)).chain([*start]).collect()
                    }
                };
                for read in reads.into_iter().filter(|&read| !is_constant(f.code()[read])) {
                    assert_eq!(holds[slots[read]], Some(read), "{f}");
                    assert_ne!(slots[read], pass.slot, "{f}");
                }
                holds[pass.slot] = Some(pass.at);
            }
            assert_eq!(passes.last().expect("there is one").at, f.code().len() - 1);
        }
    }
}
