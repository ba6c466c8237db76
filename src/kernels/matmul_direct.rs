//! [`super::matmul`] for devices that emulate workgroups lane by lane: no workgroup memory, no barrier.

use super::matmul::{BINDINGS, ENTRY, Entry, FIELDS, fast_or_twin, twin};
use super::{Call, Kernel};

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "matmul_direct",
    wgsl: include_str!("../../shaders/matmul_direct.wgsl"),
    bindings: BINDINGS,
    params: FIELDS,
    entry: ENTRY,
    consts: &["TRANSPOSE_A", "TRANSPOSE_B", "BIAS", "ONES", "EPILOGUE", "ACTIVATION"],
    workgroup: [8, 1, 1],
    cpu,
    fast: Some(fast),
    sums: super::matmul::sums,
    rounds: |asked| {
        let longest =
            asked.entries::<super::matmul::Params, Entry>().iter().map(|entry| entry.k as usize).max().unwrap_or(0);
        (longest, if asked.consts[0] == 1 { "a smaller batch" } else { "narrower layers" })
    },
    family: super::Family::Product,
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
    twin(call, COLUMNS);
}

fn fast(call: Call) {
    fast_or_twin(call, COLUMNS);
}
