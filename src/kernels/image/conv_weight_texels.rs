//! [`crate::kernels::conv_weight`] for drivers that emulate a device on the CPU eight lanes at a time: both images are read as
//! textures (see [`crate::kernels::TEXELS_PER_ROW`]), and what a pixel sees reaches all lanes by shuffles.

use crate::kernels::conv_weight::{self, Params};
use crate::kernels::{Kernel, read, texels, write};

/// The kernel; its outer axis are the rows of all parts. `GROUPS` are eight rows each that a workgroup sums up; `WHOLE_FINE` and
/// `WHOLE_COARSE` say that the channels of an image are a multiple of four.
pub static KERNEL: Kernel = Kernel {
    name: "conv_weight_texels",
    wgsl: include_str!("../../../shaders/image/conv_weight_texels.wgsl"),
    bindings: &[texels(read("x")), texels(read("dy")), write("parts")],
    params: conv_weight::FIELDS,
    entry: &[],
    consts: &["UP", "GROUPS", "WHOLE_FINE", "WHOLE_COARSE"],
    workgroup: [LANES as u32, 1, 1],
    cpu: conv_weight::cpu,
    fast: Some(conv_weight::fast),
    sums: conv_weight::sums,
    loop_iterations: crate::kernels::few_iterations,
    family: crate::kernels::Family::Convolution(|asked| asked.params::<Params>().products()),
};

/// Threads of a workgroup.
const LANES: usize = 8;
/// Channels of the coarse image that a workgroup sums up.
const COLUMNS: usize = 4 * LANES;

/// The constants that follow the first.
pub fn layout(p: &Params) -> [u32; 3] {
    let whole = |channels: u32| u32::from(channels.is_multiple_of(4));
    [crate::kernels::conv_texels::GROUPS, whole(p.fine), whole(p.coarse)]
}

/// Workgroups of one part.
pub fn groups(p: &Params, consts: &[u32]) -> usize {
    conv_weight::groups_of(p, consts[0] == 1, [LANES * consts[1] as usize, COLUMNS, LANES])
}
