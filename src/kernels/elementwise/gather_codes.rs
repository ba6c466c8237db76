//! A batch of examples as floats, of which categories are stored as their numbers: what [`super::gather`] does, for rows of
//! tables with categories.
//!
//! A column of L categories is one number of a row, and a one among zeros in L places of an example. The data set stays as small
//! as its source; only the batch is spread out. A missing value is a NaN in all places of its column, and [`ALL`] a one in all
//! of them.

use super::gather::{Params, from_float};
use crate::kernels::{Call, Kernel, f32s_mut, read_u32, write_u32};
use crate::rng::{Stream, philox};

/// What stands for all categories at once.
pub const ALL: f32 = -1.0;

/// Words of a place in the binding `places`: the number of the stored row that it shows, and 0 where that is taken as it is,
/// otherwise one more than the category that the place stands for.
pub const PLACE: usize = 2;

/// The kernel. Its outer axis is the rows of the batch. Shapes: order \[examples\], data \[examples or places of the window,
/// stride\], places \[D, [`PLACE`]\], x \[B, D\].
pub static KERNEL: Kernel = Kernel {
    name: "gather_codes",
    wgsl: include_str!("../../../shaders/elementwise/gather_codes.wgsl"),
    bindings: &[read_u32("order"), read_u32("data"), read_u32("places"), write_u32("x")],
    params: super::gather::FIELDS,
    entry: &[],
    consts: &["BINARISE"],
    workgroup: [64, 1, 1],
    cpu,
    fast: None,
    sums: crate::kernels::short,
    loop_iterations: crate::kernels::few_iterations,
    family: crate::kernels::Family::Alone,
};

/// The words of the binding `places`, from the categories of each stored number; 0 where it is taken as it is.
pub fn layout(columns: &[u32]) -> Vec<u32> {
    let places = |(column, &categories): (u32, &u32)| {
        let all = if categories == 0 { 0..=0 } else { 1..=categories };
        all.flat_map(move |category| [column, category])
    };
    (0..).zip(columns).flat_map(places).collect()
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, consts, step, reads, mut writes, .. } = call;
    let [order, data, places] = [reads[0], reads[1], reads[2]];
    let width = p.width as usize;
    for (r, row) in range.zip(f32s_mut(writes[0]).chunks_exact_mut(width)) {
        let example = order[step.position(r)];
        let stored = &data[p.place(example, step.position(r)) * p.stride as usize..][..p.stride as usize];
        for (at, (x, place)) in row.iter_mut().zip(places.chunks_exact(PLACE)).enumerate() {
            let counter = [Stream::Binarise as u32, step.step, example, at as u32 / 4];
            let random = || philox(counter, step.key)[at % 4];
            let value = spread(f32::from_bits(stored[place[0] as usize]), place[1]);
            *x = from_float(value, consts[0], random);
        }
    }
}

/// What a place shows of a stored number.
#[inline(always)]
fn spread(number: f32, category: u32) -> f32 {
    match category {
        0 => number,
        _ if number.is_nan() => number,
        category => f32::from(u8::from(number == (category - 1) as f32 || number == ALL)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::gather::{DYNAMIC, KEEP, THRESHOLD};
    use crate::kernels::testing::{call, floats, step};

    #[test]
    fn categories_become_a_one_among_zeros_and_other_numbers_stay() {
        // A number, one of three categories, a number, one of two.
        let places = layout(&[0, 3, 0, 2]);
        assert_eq!(places, [0, 0, 1, 1, 1, 2, 1, 3, 2, 0, 3, 1, 3, 2]);
        let data = [0.25, 2.0, -7.0, 0.0, f32::NAN, f32::NAN, 1.5, -1.0];
        let p = Params { rows: 2, width: 7, window: 0, stride: 4 };
        let gathered = |binarise: u32, order: &[u32]| {
            let mut x = [f32::NAN; 14];
            cpu(call(0..2, &p, &[binarise], &step(2), &[floats(order), &data, floats(&places)], vec![&mut x]));
            x
        };
        let x = gathered(KEEP, &[1, 0]);
        assert!(x[..4].iter().all(|x| x.is_nan()), "what is missing is so in all places");
        assert_eq!(x[4..], [1.5, 1.0, 1.0, 0.25, 0.0, 0.0, 1.0, -7.0, 1.0, 0.0]);
        for binarise in [THRESHOLD, DYNAMIC] {
            let x = gathered(binarise, &[0, 0]);
            assert_eq!((&x[1..4], &x[5..7]), (&[0.0, 0.0, 1.0][..], &[1.0, 0.0][..]), "categories are binary");
            assert!([x[0], x[4]].iter().all(|x| [0.0, 1.0].contains(x)));
        }
    }

    #[test]
    fn in_a_window_an_example_is_where_its_position_is() {
        let (places, mut s) = (layout(&[2]), step(2));
        s.first = 4;
        // Positions 4 and 5 are in the places 1 and 2 of three.
        let p = Params { rows: 2, width: 2, window: 3, stride: 1 };
        let mut x = [f32::NAN; 4];
        let reads = [floats(&[9, 9, 9, 9, 7, 8]), &[5.0, 0.0, 1.0][..], floats(&places)];
        cpu(call(0..2, &p, &[KEEP], &s, &reads, vec![&mut x]));
        assert_eq!(x, [1.0, 0.0, 0.0, 1.0]);
    }
}
