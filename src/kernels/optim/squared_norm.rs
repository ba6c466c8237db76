//! The sum of squares of a tensor in P parts: part p is Σ x² over the p-th contiguous chunk of ceil(count/P) elements.
//!
//! [`crate::kernels::clip_factor`] adds the parts up. The chunks depend on `count` and P alone, so the order of the sum is fixed.

use crate::kernels::{Call, Kernel, f32s, f32s_mut, read, write};

crate::kernels::params! {
    /// Constants of one use.
    pub struct Params {
        /// Elements of x.
        pub count: u32,
        /// P, the number of parts.
        pub partials: u32,
    }
}

/// The kernel; its outer axis are the parts, and x is bound whole.
pub static KERNEL: Kernel = Kernel {
    name: "squared_norm",
    wgsl: include_str!("../../../shaders/optim/squared_norm.wgsl"),
    bindings: &[read("x"), write("partials")],
    params: FIELDS,
    entry: &[],
    consts: &[],
    workgroup: [256, 1, 1],
    cpu,
    fast: None,
    sums: crate::kernels::short,
    loop_iterations: crate::kernels::few_iterations,
    family: crate::kernels::Family::Alone,
};

/// The grid of a dispatch: a workgroup for each part.
pub fn grid(params: &Params) -> [u32; 3] {
    crate::kernels::grid(params.partials as usize)
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, reads, mut writes, .. } = call;
    let (count, x) = (p.count as usize, f32s(reads[0]));
    let chunk = count.div_ceil(p.partials as usize);
    for (part, sum) in range.zip(f32s_mut(writes[0])) {
        let (start, end) = ((part * chunk).min(count), ((part + 1) * chunk).min(count));
        *sum = x[start..end].iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{StepScalars, testing};
    use bytemuck::Zeroable;

    #[test]
    fn parts_cover_every_element_once_and_may_be_empty() {
        let (x, step) = ([1.0, 2.0, 3.0, 4.0, 5.0, 99.0], StepScalars::zeroed());
        for (partials, expected) in [
            (1, &[55.0][..]),
            (2, &[14.0, 41.0]),
            (4, &[5.0, 25.0, 25.0, 0.0]),
            (7, &[1.0, 4.0, 9.0, 16.0, 25.0, 0.0, 0.0]),
        ] {
            let params = Params { count: 5, partials };
            let mut out = vec![f32::NAN; partials as usize];
            let (low, high) = out.split_at_mut(1);
            cpu(testing::call(0..1, &params, &[], &step, &[&x], vec![low]));
            cpu(testing::call(1..partials as usize, &params, &[], &step, &[&x], vec![high]));
            assert_eq!(out, expected);
        }
    }
}
