//! [`super::update`] for drivers that fetch texels faster than words of storage (see [`super::TEXELS_PER_ROW`]). It
//! takes a multiple of four parameters; the means of the loss's terms are added up by a thread each.

use super::update::{ENTRY, FIELDS, Params, cpu, fast};
use super::{Kernel, read, read_write, texels};

/// The kernel; see [`super::update::KERNEL`].
pub static KERNEL: Kernel = Kernel {
    name: "update_texels",
    wgsl: include_str!("../../shaders/update_texels.wgsl"),
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
    consts: super::update::KERNEL.consts,
    workgroup: [256, 1, 1],
    cpu,
    fast: Some(fast),
    sums: super::short,
    rounds: super::few_rounds,
    family: super::Family::Update(grid),
};

/// The grid of a dispatch: a thread for four parameters, and one for each term.
pub fn grid(params: &Params) -> [u32; 3] {
    super::grid((params.count / 4 + params.terms).div_ceil(256) as usize)
}
