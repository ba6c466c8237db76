//! [`crate::kernels::update`] for drivers that fetch texels faster than words of storage (see [`crate::kernels::TEXELS_PER_ROW`]). It
//! takes a multiple of four parameters; the means of the loss's terms are added up by a thread each.

use crate::kernels::update::{ENTRY, FIELDS, Params, cpu, fast};
use crate::kernels::{Kernel, read, read_write, texels};

/// The kernel; see [`crate::kernels::update::KERNEL`].
pub static KERNEL: Kernel = Kernel {
    name: "update_texels",
    wgsl: include_str!("../../../shaders/optim/update_texels.wgsl"),
    bindings: &[
        texels(read("grad")),
        read("factor"),
        read("terms"),
        texels(read_write("param")),
        texels(read_write("first")),
        texels(read_write("second")),
        read_write("metrics"),
    ],
    params: FIELDS,
    entry: ENTRY,
    consts: crate::kernels::update::KERNEL.consts,
    workgroup: [256, 1, 1],
    cpu,
    fast: Some(fast),
    sums: crate::kernels::short,
    loop_iterations: crate::kernels::few_iterations,
    family: crate::kernels::Family::Update(grid),
};

/// The grid of a dispatch: a thread for four parameters, and one for each term.
pub fn grid(params: &Params) -> [u32; 3] {
    crate::kernels::grid((params.count / 4 + params.terms).div_ceil(256) as usize)
}
