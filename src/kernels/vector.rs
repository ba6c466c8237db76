//! What the faster functions of the CPU engine share: loops that the compiler vectorises, sums in a fixed order.
//!
//! Everything here is to be inlined into a closure that [`pulp::Arch::dispatch`] runs, so that it is compiled for the
//! widest vectors of the processor.

/// Running sums of a row. Their number is fixed, so that a sum does not depend on the width of the vectors.
const LANES: usize = 16;

/// One value per lane for each of `N` inputs or outputs.
type Block<const N: usize> = [[f32; LANES]; N];

/// Runs `f` over the columns of a row: it takes one value of each input and gives a term and one value for each output.
/// The sum of the terms, in f32 for each lane and then in f64 over the lanes.
///
/// All inputs and outputs must have the same length.
#[inline(always)]
pub fn columns<const N: usize, const M: usize>(
    inputs: [&[f32]; N],
    mut outputs: [&mut [f32]; M],
    f: impl Fn([f32; N]) -> (f32, [f32; M]),
) -> f64 {
    let width = inputs[0].len();
    let whole = width - width % LANES;
    let mut sums = [0.0; LANES];
    for start in (0..whole).step_by(LANES) {
        let made = block(take(&inputs, start, LANES), &f);
        for (sum, term) in sums.iter_mut().zip(made.0) {
            *sum += term;
        }
        put(&mut outputs, start, LANES, &made.1);
    }
    // The last columns: the lanes beyond them compute something that nobody looks at.
    let rest = width - whole;
    let made = block(take(&inputs, whole, rest), &f);
    for (sum, term) in sums.iter_mut().zip(&made.0[..rest]) {
        *sum += term;
    }
    put(&mut outputs, whole, rest, &made.1);
    sums.iter().map(|&sum| f64::from(sum)).sum()
}

/// `f` in every lane: the terms and the outputs.
#[inline(always)]
fn block<const N: usize, const M: usize>(
    given: Block<N>,
    f: &impl Fn([f32; N]) -> (f32, [f32; M]),
) -> ([f32; LANES], Block<M>) {
    let (mut terms, mut made) = ([0.0; LANES], [[0.0; LANES]; M]);
    for lane in 0..LANES {
        let mut values = [0.0; N];
        for (value, given) in values.iter_mut().zip(&given) {
            *value = given[lane];
        }
        let (term, values) = f(values);
        terms[lane] = term;
        for (made, value) in made.iter_mut().zip(values) {
            made[lane] = value;
        }
    }
    (terms, made)
}

#[inline(always)]
fn take<const N: usize>(inputs: &[&[f32]; N], start: usize, count: usize) -> Block<N> {
    let mut block = [[0.0; LANES]; N];
    for (lanes, input) in block.iter_mut().zip(inputs) {
        lanes[..count].copy_from_slice(&input[start..start + count]);
    }
    block
}

#[inline(always)]
fn put<const M: usize>(outputs: &mut [&mut [f32]; M], start: usize, count: usize, block: &Block<M>) {
    for (output, lanes) in outputs.iter_mut().zip(block) {
        output[start..start + count].copy_from_slice(&lanes[..count]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_is_visited_once_whatever_the_length() {
        for length in [0, 1, 15, 16, 17, 32, 53] {
            let a: Vec<f32> = (0..length).map(|i| i as f32).collect();
            let mut doubled = vec![f32::NAN; length];
            let sum = columns([&a, &a], [&mut doubled], |[a, b]| (a + 1.0, [a + b]));
            assert_eq!(sum, a.iter().map(|a| f64::from(a + 1.0)).sum::<f64>());
            assert!(doubled.iter().zip(&a).all(|(d, a)| *d == 2.0 * a));
        }
    }
}
