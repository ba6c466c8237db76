//! Kernels for group and layer normalisation.

pub mod group_moments;
pub mod group_norm;
pub mod group_norm_grad;
pub mod group_norm_weight;
pub(super) mod groups;

#[cfg(test)]
mod tests {
    use super::{group_moments, group_norm, group_norm_grad, group_norm_weight};
    use crate::kernels::{Kernel, StepScalars, testing};
    use crate::rng::{Philox, Stream};
    use bytemuck::{Pod, Zeroable};

    const ROWS: usize = 3;

    /// What the twin and the faster function of a kernel write.
    fn both(kernel: &Kernel, p: &impl Pod, reads: &[&[f32]], count: usize) -> [Vec<f32>; 2] {
        [Some(kernel.cpu), kernel.fast].map(|function| {
            let mut made = vec![f32::NAN; count];
            let step = StepScalars::zeroed();
            (function.expect("it has both"))(testing::call(0..ROWS, p, &[], &step, reads, vec![&mut made]));
            made
        })
    }

    /// As layer normalisation has them: rows of one group that are no image, whole vectors or not.
    #[test]
    fn rows_of_one_group_are_what_their_twins_say() {
        let mut rng = Philox::new(1, Stream::Choice, 0, 0);
        for width in [1, 5, 16, 37, 300] {
            let mut drawn = |count: usize| (0..count).map(|_| 1.5 + rng.normal()).collect::<Vec<f32>>();
            let (x, dy, w) = (drawn(ROWS * width), drawn(ROWS * width), drawn(2 * width));
            let of_moments =
                group_moments::Params { rows: ROWS as u32, pixels: 1, channels: width as u32, groups: 1, eps: 0.01 };
            let p = group_norm::Params { rows: ROWS as u32, pixels: 1, channels: width as u32, groups: 1 };
            let [moments, found] = both(&group_moments::KERNEL, &of_moments, &[&x], 2 * ROWS);
            testing::assert_close(&found, &moments.iter().map(|&m| f64::from(m)).collect::<Vec<_>>(), 1e-5);
            for (kernel, reads, count) in [
                (&group_norm::KERNEL, &[&x[..], &w, &moments][..], ROWS * width),
                (&group_norm_grad::KERNEL, &[&x, &w, &moments, &dy], ROWS * width),
                (&group_norm_weight::KERNEL, &[&x, &moments, &dy], 2 * ROWS * width),
            ] {
                let [expected, found] = both(kernel, &p, reads, count);
                let expected: Vec<f64> = expected.iter().map(|&value| f64::from(value)).collect();
                testing::assert_close(&found, &expected, 2e-5);
            }
        }
    }
}
