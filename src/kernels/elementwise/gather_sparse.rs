//! A batch of examples as floats, of which only what is not zero is stored: what [`super::gather`] does, for compressed sparse
//! rows.
//!
//! The data set stays as small as its source; only the batch is spread out.

use super::gather::Params;
use crate::kernels::{Call, Kernel, f32s_mut, read_u32, write_u32};

/// The kernel. Its outer axis is the rows of the batch. Shapes: order \[examples\], x \[B, D\]. Data of all N examples are first
/// the word in which the entries of each begin, and where the last ones end, \[N + 1\], then place and value of every entry, the
/// places of an example rising; of a window \[places of the window, stride\]: how many entries, then place and value of each.
pub static KERNEL: Kernel = Kernel {
    name: "gather_sparse",
    wgsl: include_str!("../../../shaders/elementwise/gather_sparse.wgsl"),
    bindings: &[read_u32("order"), read_u32("data"), write_u32("x")],
    params: super::gather::FIELDS,
    entry: &[],
    consts: &[],
    workgroup: [64, 1, 1],
    cpu,
    fast: None,
    sums: crate::kernels::short,
    loop_iterations: crate::kernels::few_iterations,
    family: crate::kernels::Family::Alone,
};

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, step, reads, mut writes, .. } = call;
    let (order, data, width) = (reads[0], reads[1], p.width as usize);
    for (r, row) in range.zip(f32s_mut(writes[0]).chunks_exact_mut(width)) {
        let example = order[step.position(r)];
        let entries = if p.window == 0 {
            &data[data[example as usize] as usize..data[example as usize + 1] as usize]
        } else {
            let place = &data[p.place(example, step.position(r)) * p.stride as usize..];
            &place[1..][..2 * place[0] as usize]
        };
        row.fill(0.0);
        for entry in entries.chunks_exact(2) {
            row[entry[0] as usize] = f32::from_bits(entry[1]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{call, floats, step};

    /// Words as the buffer of a kernel holds them.
    fn words(all: &[u32]) -> Vec<f32> {
        all.iter().map(|&word| f32::from_bits(word)).collect()
    }

    const TWO: u32 = 2.0_f32.to_bits();
    const HALF: u32 = 0.5_f32.to_bits();

    #[test]
    fn entries_stand_among_zeros_and_an_example_may_have_none() {
        // Of three examples the second has nothing.
        let data = words(&[4, 8, 8, 10, 0, TWO, 3, HALF, 4, TWO]);
        let p = Params { rows: 3, width: 5, window: 0, stride: 9 };
        let mut x = [f32::NAN; 15];
        cpu(call(0..3, &p, &[], &step(3), &[floats(&[2, 1, 0]), &data], vec![&mut x]));
        assert_eq!(x, [0., 0., 0., 0., 2., 0., 0., 0., 0., 0., 2., 0., 0., 0.5, 0.]);
    }

    #[test]
    fn in_a_window_an_example_is_where_its_position_is() {
        let mut s = step(2);
        s.first = 4;
        // Positions 4 and 5 are in the places 1 and 2 of three.
        let data = words(&[9, 9, 9, 1, 1, TWO, 0, 7, 7]);
        let p = Params { rows: 2, width: 2, window: 3, stride: 3 };
        let mut x = [f32::NAN; 4];
        cpu(call(0..2, &p, &[], &s, &[floats(&[9, 9, 9, 9, 7, 8]), &data], vec![&mut x]));
        assert_eq!(x, [0.0, 2.0, 0.0, 0.0]);
    }
}
