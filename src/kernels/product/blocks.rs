//! What kernels share that make products by tiles in workgroup memory and blocks in registers (`shaders/shared/blocks.wgsl`).

/// The constants of such a kernel, the last that it has: a tiling.
pub const NAMES: [&str; 5] = ["TILE_M", "TILE_N", "BLOCK_M", "BLOCK_N", "DEPTH"];

/// The shader's part.
pub(in crate::kernels) const WGSL: &str = include_str!("../../../shaders/shared/blocks.wgsl");

/// Values of [`NAMES`].
pub type Tiling = [u32; 5];

/// Workgroups that keep a large device busy: two for each of some hundred processors.
pub const MANY: usize = 192;

/// Threads of a workgroup.
const THREADS: u32 = 256;

/// Products that are summed up between two barriers.
fn stretch([tile_m, tile_n, block_m, block_n, depth]: Tiling) -> u32 {
    THREADS / (tile_m / block_m * (tile_n / block_n)) * depth
}

/// How long a workgroup takes for sums of so many products, for devices that nobody measured. The unit is a multiplication and addition
/// of a thread. A number out of workgroup memory counts as 2 of them, one out of a device's memory as 8, and two barriers with what is
/// looked up between them as 40. These are no measurements.
pub fn time(tiling: Tiling, depth: usize) -> f64 {
    let [tile_m, tile_n, block_m, block_n, each] = tiling.map(f64::from);
    let stretch = stretch(tiling);
    let products = each * (block_m * block_n + 2.0 * (block_m + block_n));
    let loads = f64::from(stretch) * (tile_m + tile_n) / f64::from(THREADS);
    depth.div_ceil(stretch as usize) as f64 * (products + 8.0 * loads + 40.0)
}

/// The tilings from that which takes the least time.
pub fn by_time(tilings: &[Tiling], time: impl Fn(&Tiling) -> f64) -> Vec<Tiling> {
    let mut all = tilings.to_vec();
    all.sort_by(|a, b| time(a).total_cmp(&time(b)));
    all
}

/// What each thread loads of A and B for a stretch, at most, in quads.
#[cfg(test)]
pub(in crate::kernels) fn quads(tiling: Tiling) -> [u32; 2] {
    [tiling[0], tiling[1]].map(|side| (side / 4 * stretch(tiling)).div_ceil(THREADS))
}
