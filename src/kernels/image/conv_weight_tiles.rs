//! [`crate::kernels::conv_weight`] for devices whose threads run in parallel: a product by tiles ([`crate::kernels::blocks`]) of pairs of
//! a tap and a channel of the fine image, with the tilings of [`crate::kernels::conv_tiles`].

use crate::kernels::blocks::{self, MANY, Tiling};
use crate::kernels::conv_tiles::TILINGS;
use crate::kernels::conv_weight::{self, Params};
use crate::kernels::{Kernel, few_iterations, read, write};

/// The kernel; its outer axis are the rows of all parts.
pub static KERNEL: Kernel = Kernel {
    name: "conv_weight_tiles",
    wgsl: include_str!("../../../shaders/image/conv_weight_tiles.wgsl"),
    bindings: &[read("x"), read("dy"), write("parts")],
    params: conv_weight::FIELDS,
    entry: &[],
    consts: &["UP", "TILE_M", "TILE_N", "BLOCK_M", "BLOCK_N", "DEPTH"],
    workgroup: [256, 1, 1],
    cpu: conv_weight::cpu,
    fast: Some(conv_weight::fast),
    sums: conv_weight::sums,
    loop_iterations: few_iterations,
    family: crate::kernels::Family::Convolution(|asked| asked.params::<Params>().products()),
};

/// The constant that says what is computed; a tiling follows it.
pub const MEANING: usize = 1;

/// Channels whose bias a workgroup sums up.
const BIASES: usize = 16;

/// Whether half of the smallest tile would be used.
pub fn suits(p: &Params) -> bool {
    p.coarse >= 8 && p.kernel * p.kernel * p.fine >= 8
}

/// The tilings from that which is guessed to be the fastest on a device that nobody measured.
pub fn tilings(p: &Params, up: bool) -> Vec<Tiling> {
    blocks::by_time(TILINGS, |tiling| {
        let groups = groups(p, &[&[u32::from(up)], &tiling[..]].concat());
        let parts = conv_weight::parts(p, groups).max(1);
        let pixels = (p.rows as usize * p.images().coarse_pixels()).div_ceil(parts);
        let rounds = ((tiles(p, tiling) * parts) as f64 / MANY as f64).max(1.0);
        rounds * blocks::time(*tiling, pixels)
    })
}

/// Tiles of one part; its biases take next to no time.
fn tiles(p: &Params, tiling: &[u32]) -> usize {
    (p.images().taps() * p.fine as usize).div_ceil(tiling[0] as usize)
        * (p.coarse as usize).div_ceil(tiling[1] as usize)
}

/// Workgroups of one part.
pub fn groups(p: &Params, consts: &[u32]) -> usize {
    conv_weight::groups_of(p, consts[0] == 1, [consts[1] as usize, consts[2] as usize, BIASES])
}
