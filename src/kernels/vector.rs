//! What the faster functions of the CPU engine share: loops that the compiler vectorises, sums in a fixed order.
//!
//! Everything here is to be inlined into a closure that [`pulp::Arch::dispatch`] runs, so that it is compiled for the
//! widest vectors of the processor.

/// Running sums of a row. Their number is fixed, so that a sum does not depend on the width of the vectors.
const LANES: usize = 16;

/// Runs `f` over the columns of a row: it takes one value of each input and gives a term and one value for each output.
/// The sum of the terms, in f32 for each lane and then in f64 over the lanes.
///
/// All inputs and outputs must have the same length.
#[inline(always)]
pub fn columns<const N: usize, const M: usize>(
    inputs: [&[f32]; N],
    outputs: [&mut [f32]; M],
    f: impl Fn([f32; N]) -> (f32, [f32; M]),
) -> f64 {
    let mut sums = [0.0; LANES];
    let inputs = inputs.map(<[f32]>::as_chunks::<LANES>);
    let mut outputs = outputs.map(<[f32]>::as_chunks_mut::<LANES>);
    for block in 0..inputs[0].0.len() {
        let given = inputs.map(|(blocks, _)| blocks[block]);
        let mut made = [[0.0; LANES]; M];
        for lane in 0..LANES {
            let (term, values) = f(given.map(|values| values[lane]));
            sums[lane] += term;
            for (made, value) in made.iter_mut().zip(values) {
                made[lane] = value;
            }
        }
        for ((blocks, _), made) in outputs.iter_mut().zip(made) {
            blocks[block] = made;
        }
    }
    for lane in 0..inputs[0].1.len() {
        let (term, values) = f(inputs.map(|(_, rest)| rest[lane]));
        sums[lane] += term;
        for ((_, rest), value) in outputs.iter_mut().zip(values) {
            rest[lane] = value;
        }
    }
    sums.iter().map(|&sum| f64::from(sum)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_is_visited_once_whatever_the_length() {
        for length in [0, 1, 15, 16, 17, 32, 53] {
            let a: Vec<f32> = (0..length).map(|i| i as f32).collect();
            let mut doubled = vec![f32::NAN; length];
            let sum = columns([&a, &a], [&mut doubled], |[a, b]| (a, [a + b]));
            assert_eq!(sum, a.iter().sum::<f32>().into());
            assert!(doubled.iter().zip(&a).all(|(d, a)| *d == 2.0 * a));
        }
    }
}
