//! [`crate::kernels::matmul`] for drivers that emulate a device on the CPU eight lanes at a time: operands are read as textures
//! (see [`crate::kernels::TEXELS_PER_ROW`]), and values of A reach all lanes by shuffles.
//!
//! A lane handles four neighbouring words at once, so not every product can be computed so: see [`suits`].

use crate::kernels::matmul::{ENTRY, Entry, FIELDS, MEANING, fast_or_twin, twin};
use crate::kernels::{Binding, Call, Kernel, MAX_LOOP_ITERATIONS, read, texels, write};

const BINDINGS: &[Binding] = &[texels(read("a")), texels(read("b")), texels(read("aux")), write("c"), write("terms")];

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "matmul_texels",
    wgsl: include_str!("../../../shaders/product/matmul_texels.wgsl"),
    bindings: BINDINGS,
    params: FIELDS,
    entry: ENTRY,
    consts: &["TRANSPOSE_A", "TRANSPOSE_B", "BIAS", "ONES", "EPILOGUE", "ACTIVATION", "TILE_M", "TILE_N", "DEPTH"],
    workgroup: [8, 1, 1],
    cpu,
    fast: Some(fast),
    sums: |asked, size| crate::kernels::matmul::sums(asked, KERNEL.consts.len(), size),
    loop_iterations: crate::kernels::few_iterations,
    family: crate::kernels::Family::Product,
};

/// The kernel's tilings, `TILE_M`, `TILE_N` and `DEPTH`, from the one that does most arithmetic for each load to the one
/// that is compiled fastest and cuts a product in most parts.
pub const TILINGS: &[[u32; 3]] = &[[64, 32, 4], [32, 32, 8], [16, 32, 8], [8, 32, 8]];

/// The tiling for devices that nobody measured. Larger tiles are a tenth faster and take twice as long to compile.
pub const USUAL: [u32; 3] = [32, 32, 8];

/// Workgroups of a product.
pub fn tiles(p: &Entry, tiling: &[u32]) -> u32 {
    p.m.div_ceil(tiling[0]) * p.n.div_ceil(tiling[1])
}

/// Whether the kernel computes a product: rows of the stored matrices and what precedes them in their bindings are
/// multiples of four words, and a thread with the shortest strides comes to the end of its sums.
pub fn suits(p: &Entry, consts: &[u32]) -> bool {
    let [transpose_a, transpose_b, _, ones] = [consts[0], consts[1], consts[2], consts[3]];
    let a_row = if transpose_a == 1 { p.m - ones } else { p.k };
    let b_row = if transpose_b == 1 { p.k } else { p.n };
    let whole = [a_row, b_row, p.n, p.a, p.b, p.aux, p.c].iter().all(|words| words.is_multiple_of(4));
    whole && p.k as usize <= 4 * MAX_LOOP_ITERATIONS
}

fn cpu(call: Call) {
    let width = call.consts[MEANING + 1];
    twin(call, width, KERNEL.consts.len());
}

fn fast(call: Call) {
    let width = call.consts[MEANING + 1];
    fast_or_twin(call, width, KERNEL.consts.len());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_products_whose_rows_are_whole_texels_are_suitable() {
        let plain = [0; 6];
        let (transposed, gradient) = ([0, 1, 0, 0, 0, 0], [1, 0, 0, 1, 0, 0]);
        let rows = [
            (Entry::alone(5, 8, 12), plain, true),
            (Entry::alone(5, 6, 12), plain, false),
            (Entry::alone(5, 8, 10), plain, false),
            (Entry::alone(5, 8, 10), transposed, false),
            (Entry::alone(9, 8, 7), gradient, true),
            (Entry::alone(8, 8, 7), gradient, false),
            (Entry { b: 2, ..Entry::alone(5, 8, 12) }, plain, false),
        ];
        for (entry, consts, expected) in rows {
            assert_eq!(suits(&entry, &consts), expected, "{entry:?} {consts:?}");
        }
    }

    #[test]
    fn the_shader_knows_how_long_rows_of_texels_are() {
        let text = include_str!("../../../shaders/shared/texels.wgsl");
        assert!(text.contains(&format!("const TEXELS_PER_ROW = {}u;", crate::kernels::TEXELS_PER_ROW)));
    }
}
