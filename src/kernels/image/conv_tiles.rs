//! [`crate::kernels::conv`] for devices whose threads run in parallel: a product by tiles of which a workgroup looks up what its pixels
//! see, stretch by stretch ([`crate::kernels::blocks`]).

use crate::kernels::blocks::{self, MANY, Tiling};
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
    [64, 16, 4, 4, 4],
    [32, 32, 4, 4, 8],
    [16, 32, 4, 4, 4],
    [16, 16, 4, 4, 4],
];

/// Whether half of the narrowest tile would be used.
pub fn suits(p: &Params) -> bool {
    p.outputs >= 8
}

/// The tilings from that which is guessed to be the fastest on a device that nobody measured.
pub fn tilings(p: &Params, up: bool) -> Vec<Tiling> {
    let apart = if up { p.stride } else { 1 };
    let depth = p.kernel.div_ceil(apart).pow(2) * p.inputs;
    let rounds = |tiling: &Tiling| (workgroups(p, up, tiling) as f64 / MANY as f64).max(1.0);
    blocks::by_time(TILINGS, |tiling| rounds(tiling) * blocks::time(*tiling, depth as usize))
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
    fn tiles_are_as_large_as_fill_a_device_and_no_wider_than_what_is_made() {
        let of = |rows: u32, side: u32, channels: u32| {
            let (stride, padding, kernel) = (1, 1, 3);
            #[rustfmt::skip]
            let p = Params {
                rows, inputs: channels, outputs: channels, fine_height: side, fine_width: side, coarse_height: side,
                coarse_width: side, kernel, stride, padding,
            };
            tilings(&p, false)[0][..2].to_vec()
        };
        assert_eq!(of(128, 32, 256), [128, 128]);
        assert_eq!(of(128, 32, 32), [256, 32]);
        assert_eq!(of(128, 32, 16)[1], 16);
        assert_eq!(of(2, 8, 32)[0], 16);
    }

    #[test]
    fn no_thread_loads_more_than_a_quad_of_each_operand() {
        for tiling in TILINGS {
            assert_eq!(blocks::quads(*tiling), [1, 1], "{tiling:?}");
        }
    }
}
