//! [`super::adam`] for drivers that fetch texels faster than words of storage (see [`super::TEXELS_PER_ROW`]). It takes
//! a multiple of four parameters.

use super::adam::{FIELDS, Params, cpu, fast};
use super::{Kernel, read, read_write, texels};

/// The kernel; where `CLIP` is 1, gradients are multiplied with `factor[0]` first.
pub static KERNEL: Kernel = Kernel {
    name: "adam_texels",
    wgsl: include_str!("../../shaders/adam_texels.wgsl"),
    bindings: &[
        texels(read("grad")),
        read("factor"),
        texels(read_write("param")),
        texels(read_write("m")),
        texels(read_write("v")),
    ],
    params: FIELDS,
    entry: &[],
    consts: &["DECOUPLED", "CLIP"],
    workgroup: [256, 1, 1],
    cpu,
    fast: Some(fast),
};

/// The grid of a dispatch.
pub fn grid(params: &Params) -> [u32; 3] {
    super::grid((params.count as usize).div_ceil(4 * 256))
}
