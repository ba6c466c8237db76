//! y = a formula of the numbers in the same place of up to seven tensors, which repeat where they are smaller.

use crate::kernels::expression::{BLOCK, Formula, differences};
use crate::kernels::{Call, Kernel, f32s_mut, read, write};

crate::kernels::params! {
    /// Constants of one use.
    pub struct Params {
        /// R.
        pub rows: u32,
        /// N.
        pub columns: u32,
    }
}

/// The kernel; its outer axis are the rows. The constants are N and, behind it, the words of the formula
/// ([`crate::expr::words::Program`]), which say how each tensor is looked up too.
pub static KERNEL: Kernel = Kernel {
    name: "map",
    wgsl: include_str!("../../../shaders/formula/map.wgsl"),
    bindings: &[read("a"), read("b"), read("c"), read("d"), read("e"), read("f"), read("g"), write("y")],
    params: FIELDS,
    entry: &[],
    consts: &["COLUMNS"],
    workgroup: [256, 1, 1],
    cpu,
    fast: Some(fast),
    sums: |asked, size| differences(&asked.consts[1..], size),
    loop_iterations: crate::kernels::few_iterations,
    family: crate::kernels::Family::Alone,
};

/// The grid of a dispatch.
pub fn grid(params: &Params) -> [u32; 3] {
    crate::kernels::grid((params.rows as usize * params.columns as usize).div_ceil(256))
}

fn cpu(mut call: Call) {
    let p: Params = call.params();
    let writes = std::mem::take(&mut call.writes);
    let (formula, columns) = (Formula::new(&call, &call.consts[1..], call.range.start), p.columns as usize);
    let mut values = Vec::new();
    for y in writes {
        let rows = f32s_mut(y).chunks_exact_mut(columns);
        for (r, row) in call.range.clone().zip(rows) {
            row.iter_mut().enumerate().for_each(|(c, y)| *y = formula.at(r, c, &mut values));
        }
    }
}

/// Many places at once: rows as they are long, or several of short ones.
fn fast(mut call: Call) {
    let p: Params = call.params();
    let writes = std::mem::take(&mut call.writes);
    let (formula, columns) = (Formula::new(&call, &call.consts[1..], call.range.start), p.columns as usize);
    let (mut scratch, several) = (Vec::new(), (BLOCK / columns).max(1));
    for y in writes {
        let y = f32s_mut(y);
        for first in call.range.clone().step_by(several) {
            let rows = first..call.range.end.min(first + several);
            for begin in (0..columns).step_by(BLOCK) {
                let across = begin..columns.min(begin + BLOCK);
                let start = (first - call.range.start) * columns + begin;
                let out = &mut y[start..start + rows.len() * across.len()];
                formula.block(rows.clone(), across, &mut scratch, out);
            }
        }
    }
}
