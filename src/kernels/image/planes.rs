//! The same images with their channels side by side in each pixel, [R, pixels, channels], or as one plane after the
//! other, [R, channels, pixels], which is how data sets store them. `TO_PIXELS` makes pixels of planes, otherwise planes
//! are made of pixels.

use crate::kernels::{Call, Kernel, f32s, f32s_mut, read, write};

crate::kernels::params! {
    /// Constants of one use.
    pub struct Params {
        /// R.
        pub rows: u32,
        /// Pixels of an image.
        pub pixels: u32,
        /// Channels of an image.
        pub channels: u32,
    }
}

/// The kernel; its outer axis are the rows.
pub static KERNEL: Kernel = Kernel {
    name: "planes",
    wgsl: include_str!("../../../shaders/image/planes.wgsl"),
    bindings: &[read("x"), write("y")],
    params: FIELDS,
    entry: &[],
    consts: &["TO_PIXELS"],
    workgroup: [256, 1, 1],
    cpu,
    fast: None,
    sums: crate::kernels::short,
    loop_iterations: crate::kernels::few_iterations,
    family: crate::kernels::Family::Alone,
};

/// The grid of a dispatch.
pub fn grid(p: &Params) -> [u32; 3] {
    crate::kernels::grid((p.rows as usize * p.pixels as usize * p.channels as usize).div_ceil(256))
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { consts, reads, mut writes, .. } = call;
    let (x, width) = (f32s(reads[0]), (p.pixels * p.channels) as usize);
    // Images [inner, outer] become [outer, inner].
    let [outer, inner] =
        if consts[0] == 1 { [p.pixels, p.channels] } else { [p.channels, p.pixels] }.map(|n| n as usize);
    for (y, x) in f32s_mut(writes[0]).chunks_exact_mut(width).zip(x.chunks_exact(width)) {
        for (at, y) in y.iter_mut().enumerate() {
            *y = x[at % inner * outer + at / inner];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{StepScalars, testing};
    use bytemuck::Zeroable;

    #[test]
    fn pixels_become_planes_and_pixels_again() {
        let (p, step) = (Params { rows: 2, pixels: 3, channels: 2 }, StepScalars::zeroed());
        let pixels = [1.0, 10.0, 2.0, 20.0, 3.0, 30.0, 4.0, 40.0, 5.0, 50.0, 6.0, 60.0];
        let (mut planes, mut again) = ([f32::NAN; 12], [f32::NAN; 12]);
        cpu(testing::call(0..2, &p, &[0], &step, &[&pixels], vec![&mut planes]));
        assert_eq!(planes, [1.0, 2.0, 3.0, 10.0, 20.0, 30.0, 4.0, 5.0, 6.0, 40.0, 50.0, 60.0]);
        cpu(testing::call(0..2, &p, &[1], &step, &[&planes], vec![&mut again]));
        assert_eq!(again, pixels);
    }
}
