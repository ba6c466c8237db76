//! What kernels share that make products by tiles in workgroup memory and blocks in registers (`shaders/shared/blocks.wgsl`).

/// The constants of such a kernel, the last that it has: a tiling.
pub const NAMES: [&str; 5] = ["TILE_M", "TILE_N", "BLOCK_M", "BLOCK_N", "DEPTH"];

/// The shader's part.
pub(in crate::kernels) const WGSL: &str = include_str!("../../../shaders/shared/blocks.wgsl");

/// Values of [`NAMES`].
pub type Tiling = [u32; 5];

/// Workgroups that keep a large device busy: two for each of some hundred processors.
pub const MANY: usize = 192;

/// The tiling for devices that nobody measured, of those of which a result needs so many `workgroups`: the least time, if [`MANY`] of
/// them run at once, and a multiplication and addition, a number out of workgroup memory and a number out of a device's memory
/// take 1, 2 and 8.
pub fn guess(tilings: &[Tiling], workgroups: impl Fn(&Tiling) -> usize) -> Tiling {
    let time = |tiling: &Tiling| {
        let [tile_m, tile_n, block_m, block_n, _] = tiling.map(f64::from);
        let each = |height: f64, width: f64| 1.0 / height + 1.0 / width;
        let products = tile_m * tile_n * (1.0 + 2.0 * each(block_m, block_n) + 8.0 * each(tile_m, tile_n));
        (workgroups(tiling) as f64 / MANY as f64).max(1.0) * products
    };
    let least = tilings.iter().min_by(|a, b| time(a).total_cmp(&time(b)));
    *least.expect("there is a tiling")
}

/// Threads of a workgroup.
#[cfg(test)]
const THREADS: u32 = 256;

/// What each thread loads of A and B for a stretch, at most, in quads; more than 1 where threads make several rounds.
#[cfg(test)]
pub(in crate::kernels) fn quads([tile_m, tile_n, block_m, block_n, depth]: Tiling) -> [u32; 2] {
    let slices = THREADS / (tile_m / block_m * (tile_n / block_n));
    [tile_m, tile_n].map(|side| (side / 4 * slices * depth).div_ceil(THREADS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_as_large_as_fill_a_device_and_no_wider_than_what_is_made() {
        let tilings = [[128, 128, 8, 8, 8], [128, 32, 4, 4, 8], [16, 16, 4, 4, 2]];
        let of = |m: usize, n: usize| {
            guess(&tilings, |tiling| m.div_ceil(tiling[0] as usize) * n.div_ceil(tiling[1] as usize))
        };
        assert_eq!(of(100_000, 256)[..2], [128, 128]);
        assert_eq!(of(100_000, 32)[..2], [128, 32]);
        assert_eq!(of(128, 32)[..2], [16, 16]);
    }
}
