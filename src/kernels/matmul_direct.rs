//! [`super::matmul`] for devices that emulate workgroups lane by lane: no workgroup memory, no barrier.

use super::Kernel;
use super::matmul::{BINDINGS, CONSTS, FIELDS, Params, cpu, fast};

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "matmul_direct",
    wgsl: include_str!("../../shaders/matmul_direct.wgsl"),
    bindings: BINDINGS,
    params: FIELDS,
    entry: &[],
    consts: CONSTS,
    workgroup: [8, 1, 1],
    cpu,
    fast: Some(fast),
};

/// One workgroup of 8 lanes, of 16 rows each, per 128×16 tile of C.
pub fn grid(p: &Params) -> [u32; 3] {
    [p.n.div_ceil(16), p.m.div_ceil(128), 1]
}
