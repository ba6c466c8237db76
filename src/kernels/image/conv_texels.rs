//! [`crate::kernels::conv`] for drivers that emulate a device on the CPU eight lanes at a time: images and parameters are read as
//! textures (see [`crate::kernels::TEXELS_PER_ROW`]), and what a pixel sees reaches all lanes by shuffles.

use crate::kernels::conv::{self, Params};
use crate::kernels::{Kernel, read, texels, write};

/// The kernel; its outer axis are the rows. `GROUPS` are eight pixels each that a workgroup makes; `WHOLE_X` and `WHOLE_Y` say
/// that channels of the image that is read and of the one that is made are a multiple of four.
pub static KERNEL: Kernel = Kernel {
    name: "conv_texels",
    wgsl: include_str!("../../../shaders/image/conv_texels.wgsl"),
    bindings: &[texels(read("x")), texels(read("w")), texels(read("aux")), write("y")],
    params: conv::FIELDS,
    entry: &[],
    consts: &["UP", "TRANSPOSE", "EPILOGUE", "ACTIVATION", "GROUPS", "WHOLE_X", "WHOLE_Y"],
    workgroup: [LANES as u32, 1, 1],
    cpu: conv::cpu,
    fast: Some(conv::fast),
    sums: conv::sums,
    loop_iterations: conv::KERNEL.loop_iterations,
    family: crate::kernels::Family::Convolution(|asked| asked.params::<Params>().products()),
};

/// `GROUPS` for all devices: more of them compile longer.
pub const GROUPS: u32 = 4;

/// Threads of a workgroup.
const LANES: usize = 8;
/// Channels that a workgroup makes.
const COLUMNS: usize = 4 * LANES;

/// Whether the kernel is the faster one: it fetches four channels at once, and makes 32.
pub fn suits(p: &Params) -> bool {
    p.inputs >= 4 && p.outputs >= 8
}

/// The constants that follow the first four.
pub fn layout(p: &Params) -> [u32; 3] {
    let whole = |channels: u32| u32::from(channels.is_multiple_of(4));
    [GROUPS, whole(p.inputs), whole(p.outputs)]
}

/// The grid of a dispatch, as that of [`conv::grid`].
pub fn grid(p: &Params, consts: &[u32]) -> [u32; 3] {
    crate::kernels::grid(conv::workgroups(p, consts[0] == 1, [LANES * consts[4] as usize, COLUMNS]))
}
