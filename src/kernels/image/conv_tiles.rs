//! [`crate::kernels::conv`] for devices whose threads run in parallel: a product by tiles of which a workgroup looks up what its pixels
//! see, stretch by stretch ([`crate::kernels::blocks`]).

use crate::kernels::blocks::{self, Tiling};
use crate::kernels::conv::{self, Params};
use crate::kernels::{Kernel, few_iterations, read, write};

/// The kernel; its outer axis are the rows.
pub static KERNEL: Kernel = Kernel {
    name: "conv_tiles",
    wgsl: include_str!("../../../shaders/image/conv_tiles.wgsl"),
    bindings: &[read("x"), read("w"), read("aux"), write("y")],
    params: conv::FIELDS,
    entry: &[],
    consts: &["UP", "TRANSPOSE", "EPILOGUE", "ACTIVATION", "TILE_M", "TILE_N", "BLOCK_M", "BLOCK_N", "DEPTH"],
    workgroup: [256, 1, 1],
    cpu: conv::cpu,
    fast: Some(conv::fast),
    sums: conv::sums,
    loop_iterations: few_iterations,
    family: crate::kernels::Family::Convolution(|asked| asked.params::<Params>().products()),
};

/// The constants that say what is computed; a tiling follows them.
pub const MEANING: usize = 4;

/// The tilings: pixels by channels. Of channels there are few, so tiles are higher than wide. No thread loads more than a quad of A
/// and one of B for a stretch.
pub const TILINGS: &[Tiling] = &[
    [128, 128, 8, 8, 8],
    [128, 64, 8, 4, 8],
    [256, 32, 8, 4, 4],
    [128, 32, 4, 4, 8],
    [256, 16, 4, 4, 4],
    [64, 64, 4, 4, 16],
    [64, 32, 4, 4, 8],
    [32, 32, 4, 4, 4],
    [16, 32, 4, 4, 4],
    [16, 16, 4, 4, 2],
];

/// Whether half of the narrowest tile would be used.
pub fn suits(p: &Params) -> bool {
    p.outputs >= 8
}

/// The tiling for devices that nobody measured.
pub fn guess(p: &Params, up: bool) -> Tiling {
    blocks::guess(TILINGS, |tiling| workgroups(p, up, tiling))
}

/// The grid of a dispatch.
pub fn grid(p: &Params, consts: &[u32]) -> [u32; 3] {
    crate::kernels::grid(workgroups(p, consts[0] == 1, &consts[MEANING..]))
}

fn workgroups(p: &Params, up: bool, tiling: &[u32]) -> usize {
    conv::workgroups(p, up, [tiling[0] as usize, tiling[1] as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_thread_loads_more_than_a_quad_of_each_operand() {
        for tiling in TILINGS {
            assert_eq!(blocks::quads(*tiling), [1, 1], "{tiling:?}");
        }
    }
}
