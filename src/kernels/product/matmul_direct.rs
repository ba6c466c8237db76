//! [`crate::kernels::matmul`] for devices that emulate workgroups lane by lane: no workgroup memory, no barrier.

use crate::kernels::matmul::{BINDINGS, ENTRY, Entry, FIELDS, fast_or_twin, twin};
use crate::kernels::{Call, Kernel};

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "matmul_direct",
    wgsl: include_str!("../../../shaders/product/matmul_direct.wgsl"),
    bindings: BINDINGS,
    params: FIELDS,
    entry: ENTRY,
    consts: &["TRANSPOSE_A", "TRANSPOSE_B", "BIAS", "ONES", "EPILOGUE", "ACTIVATION"],
    workgroup: [8, 1, 1],
    cpu,
    fast: Some(fast),
    sums: |asked, size| crate::kernels::matmul::sums(asked, KERNEL.consts.len(), size),
    loop_iterations: |asked| {
        let longest = asked
            .entries::<crate::kernels::matmul::Params, Entry>()
            .iter()
            .map(|entry| entry.k as usize)
            .max()
            .unwrap_or(0);
        (longest, if asked.consts[0] == 1 { "a smaller batch" } else { "narrower layers" })
    },
    family: crate::kernels::Family::Product,
};

/// Rows of a workgroup's tile: 8 lanes of 16.
const ROWS: u32 = 128;
/// Columns of a workgroup's tile.
pub const COLUMNS: u32 = 16;

/// Workgroups of a product.
pub fn tiles(p: &Entry) -> u32 {
    p.m.div_ceil(ROWS) * p.n.div_ceil(COLUMNS)
}

fn cpu(call: Call) {
    twin(call, COLUMNS, KERNEL.consts.len());
}

fn fast(call: Call) {
    fast_or_twin(call, COLUMNS, KERNEL.consts.len());
}
