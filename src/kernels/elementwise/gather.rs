//! A batch of examples as floats, optionally binarised: x\[r\] = data\[order\[position of r\]\].
//!
//! The data set stays where it is, in its own form (bytes packed into words, or floats); only the batch is expanded. Where
//! it is a window on the data set, the example at a position of the order is in the place position modulo W instead. A
//! missing value of a data set of floats is a NaN, and stays one: the shader hands it on as a word, since arithmetic may
//! assume that there is none.
//!
//! Dynamic binarisation draws each value from a Bernoulli distribution anew at every step, as in Burda, Grosse,
//! Salakhutdinov, "Importance Weighted Autoencoders", 2016, section 5.

use crate::kernels::{Call, Kernel, f32s, f32s_mut, params, read_u32, write_u32};
use crate::rng::{Stream, philox, uniform};

params! {
    /// Shapes: order \[examples\], data \[examples or places, stride\], x \[B, D\].
    pub struct Params {
        /// B, rows of the batch.
        pub rows: u32,
        /// D, values per example.
        pub width: u32,
        /// Places of the window; 0 where the whole data set is there.
        pub window: u32,
        /// Values from one example to the next.
        pub stride: u32,
    }
}

/// `SOURCE`: four bytes to a word, the first in the lowest bits; 0 to 255 stand for 0 to 1.
pub const BYTES: u32 = 0;
/// `SOURCE`: the bits of one float to a word.
pub const FLOATS: u32 = 1;

/// `BINARISE`: values stay as they are.
pub const KEEP: u32 = 0;
/// `BINARISE`: 1 from one half upwards, else 0.
pub const THRESHOLD: u32 = 1;
/// `BINARISE`: 1 with the probability that the value states, else 0.
pub const DYNAMIC: u32 = 2;

impl Params {
    /// Where an example is that stands at a position of the order.
    pub(super) fn place(&self, example: u32, position: usize) -> usize {
        if self.window == 0 { example as usize } else { position % self.window as usize }
    }
}

/// The kernel. Its outer axis is the rows of the batch.
pub static KERNEL: Kernel = Kernel {
    name: "gather",
    wgsl: include_str!("../../../shaders/elementwise/gather.wgsl"),
    bindings: &[read_u32("order"), read_u32("data"), write_u32("x")],
    params: FIELDS,
    entry: &[],
    consts: &["SOURCE", "BINARISE"],
    workgroup: [64, 1, 1],
    cpu,
    // Its view of words as bytes is that of a little-endian machine.
    fast: if cfg!(target_endian = "little") { Some(fast) } else { None },
    sums: crate::kernels::short,
    loop_iterations: crate::kernels::few_iterations,
    family: crate::kernels::Family::Alone,
};

/// One thread for four columns of a row.
pub fn grid(p: &Params) -> [u32; 3] {
    crate::kernels::grid((p.rows as usize * p.width.div_ceil(4) as usize).div_ceil(64))
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, consts, step, reads, mut writes, .. } = call;
    let (order, data, width) = (reads[0], reads[1], p.width as usize);
    let x = f32s_mut(writes[0]);
    for (r, row) in range.zip(x.chunks_exact_mut(width)) {
        let example = order[step.position(r)];
        for (column, value) in row.iter_mut().enumerate() {
            let counter = [Stream::Binarise as u32, step.step, example, column as u32 / 4];
            let random = || philox(counter, step.key)[column % 4];
            let source = p.place(example, step.position(r)) * p.stride as usize + column;
            *value = match consts[0] {
                BYTES => from_byte((data[source / 4] >> (8 * (source % 4))) & 0xff, consts[1], random),
                _ => from_float(f32::from_bits(data[source]), consts[1], random),
            };
        }
    }
}

#[inline(always)]
fn from_byte(byte: u32, binarise: u32, random: impl Fn() -> u32) -> f32 {
    match binarise {
        THRESHOLD => f32::from(byte >= 128),
        // random < byte/255 in integers: 255·2²⁴ just fits, and 255 always wins.
        DYNAMIC => f32::from((random() >> 8) * 255 < byte << 24),
        _ => byte as f32 / 255.0,
    }
}

#[inline(always)]
pub(super) fn from_float(value: f32, binarise: u32, random: impl Fn() -> u32) -> f32 {
    match binarise {
        // What is missing stays missing.
        THRESHOLD | DYNAMIC if value.is_nan() => value,
        THRESHOLD => f32::from(value >= 0.5),
        DYNAMIC => f32::from(uniform(random()) < value),
        _ => value,
    }
}

fn fast(call: Call) {
    let p: Params = call.params();
    let data = call.reads[1];
    let bytes = bytemuck::cast_slice(data);
    // Each way has a loop of its own, which the compiler turns into vectors.
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || match (call.consts[0], call.consts[1]) {
            (BYTES, THRESHOLD) => rows(call, p, false, bytes, byte::<THRESHOLD>),
            (BYTES, DYNAMIC) => rows(call, p, true, bytes, byte::<DYNAMIC>),
            (BYTES, _) => rows(call, p, false, bytes, byte::<KEEP>),
            (_, THRESHOLD) => rows(call, p, false, f32s(data), float::<THRESHOLD>),
            (_, DYNAMIC) => rows(call, p, true, f32s(data), float::<DYNAMIC>),
            _ => rows(call, p, false, f32s(data), float::<KEEP>),
        },
    );
}

#[inline(always)]
fn byte<const BINARISE: u32>(value: u8, random: u32) -> f32 {
    from_byte(value.into(), BINARISE, || random)
}

#[inline(always)]
fn float<const BINARISE: u32>(value: f32, random: u32) -> f32 {
    from_float(value, BINARISE, || random)
}

/// The meaning of [`cpu`] for data of one type, with the random words of many columns drawn at once.
#[inline(always)]
fn rows<T: Copy>(call: Call, p: Params, dynamic: bool, data: &[T], value: impl Fn(T, u32) -> f32) {
    let Call { range, step, reads, mut writes, .. } = call;
    let width = p.width as usize;
    let mut random = [[0; 4]; 16];
    let columns = random.as_flattened().len();
    for (r, row) in range.zip(f32s_mut(writes[0]).chunks_exact_mut(width)) {
        let example = reads[0][step.position(r)];
        let source = &data[p.place(example, step.position(r)) * p.stride as usize..][..width];
        for (part, (row, source)) in row.chunks_mut(columns).zip(source.chunks(columns)).enumerate() {
            if dynamic {
                for (i, words) in random.iter_mut().enumerate() {
                    let block = (part * columns / 4 + i) as u32;
                    *words = philox([Stream::Binarise as u32, step.step, example, block], step.key);
                }
            }
            for ((x, &given), &word) in row.iter_mut().zip(source).zip(random.as_flattened()) {
                *x = value(given, word);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::StepScalars;
    use crate::kernels::testing::{assert_close, call, floats, step};
    use crate::rng::Philox;

    /// Three examples of six bytes: they do not end at words.
    const PIXELS: [u8; 20] = [0, 255, 127, 128, 51, 1, 10, 20, 30, 40, 50, 60, 255, 255, 0, 0, 102, 204, 0, 0];

    #[test]
    fn bytes_are_picked_by_the_order_and_scaled_to_one() {
        let p = Params { rows: 3, width: 6, window: 0, stride: 6 };
        let mut x = [f32::NAN; 18];
        let mut s = step(2);
        s.first = 1;
        let data: Vec<u32> = PIXELS.chunks(4).map(|w| u32::from_le_bytes(w.try_into().unwrap())).collect();
        cpu(call(0..3, &p, &[BYTES, KEEP], &s, &[floats(&[1, 2, 0]), floats(&data)], vec![&mut x]));
        assert_eq!(x[..6], [1.0, 1.0, 0.0, 0.0, 0.4, 0.8]);
        assert_close(&x[6..12], &[0.0, 1.0, 127.0 / 255.0, 128.0 / 255.0, 0.2, 1.0 / 255.0], 1e-7);
        assert_eq!(x[6..12], x[12..], "a row that does not count repeats the last one");
        cpu(call(0..3, &p, &[BYTES, THRESHOLD], &s, &[floats(&[1, 2, 0]), floats(&data)], vec![&mut x]));
        assert_eq!(x[6..12], [0.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn floats_are_kept_or_cut_at_one_half() {
        let p = Params { rows: 2, width: 2, window: 0, stride: 2 };
        let data = [0.25, -3.0, 0.5, 0.499];
        for (binarise, expected) in [(KEEP, [0.5, 0.499, 0.25, -3.0]), (THRESHOLD, [1.0, 0.0, 0.0, 0.0])] {
            let mut x = [f32::NAN; 4];
            cpu(call(0..2, &p, &[FLOATS, binarise], &step(2), &[floats(&[1, 0]), &data], vec![&mut x]));
            assert_eq!(x, expected);
        }
    }

    #[test]
    fn in_a_window_an_example_is_where_its_position_is_and_rows_begin_at_words() {
        let mut s = step(2);
        s.first = 4;
        // Positions 4 and 5 are in the places 1 and 2 of three; the first word of each row is padded with one byte.
        let words = [0, 0, 0xee00_00ff, 0, 0xeeff_0000, 0].map(f32::from_bits);
        let p = Params { rows: 2, width: 3, window: 3, stride: 8 };
        let order = floats(&[9, 9, 9, 9, 7, 8]);
        for function in [cpu, fast] {
            let mut x = [f32::NAN; 6];
            function(call(0..2, &p, &[BYTES, KEEP], &s, &[order, &words], vec![&mut x]));
            assert_eq!(x, [1.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
        }
    }

    #[test]
    fn dynamic_binarisation_has_the_stated_probabilities_and_does_not_depend_on_the_batch() {
        let width = 4096;
        let p = Params { rows: 2, width, window: 0, stride: width };
        for (source, word) in [(BYTES, 0x3333_3333_u32), (FLOATS, 0.2_f32.to_bits())] {
            let data = vec![word; 3 * width as usize];
            let mut x = vec![f32::NAN; 2 * width as usize];
            cpu(call(0..2, &p, &[source, DYNAMIC], &step(2), &[floats(&[0, 2]), floats(&data)], vec![&mut x]));
            let mean = x.iter().sum::<f32>() / x.len() as f32;
            assert!(x.iter().all(|&v| v == 0.0 || v == 1.0) && (mean - 0.2).abs() < 0.02, "{mean}");
            let (first, second) = x.split_at(width as usize);
            assert_ne!(first, second);
            let mut alone = vec![f32::NAN; width as usize];
            cpu(call(0..1, &p, &[source, DYNAMIC], &step(2), &[floats(&[2, 0]), floats(&data)], vec![&mut alone]));
            assert_eq!(alone, second);
        }
        let mut sure = [f32::NAN; 4];
        let p = Params { rows: 1, width: 4, window: 0, stride: 4 };
        cpu(call(0..1, &p, &[BYTES, DYNAMIC], &step(1), &[floats(&[0]), floats(&[0xff00_00ff])], vec![&mut sure]));
        assert_eq!(sure, [1.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn the_fast_function_gives_the_bits_of_the_twin() {
        let mut rng = Philox::new(1, Stream::Choice, 0, 0);
        for (width, source, binarise) in [
            (1, BYTES, KEEP),
            (63, BYTES, KEEP),
            (784, BYTES, THRESHOLD),
            (3, BYTES, DYNAMIC),
            (64, BYTES, DYNAMIC),
            (785, BYTES, DYNAMIC),
            (65, FLOATS, KEEP),
            (17, FLOATS, THRESHOLD),
            (130, FLOATS, DYNAMIC),
        ] {
            let p = Params { rows: 5, width: width as u32, window: 0, stride: width as u32 };
            let data: Vec<f32> = match source {
                BYTES => (0..4 * width).map(|_| f32::from_bits((rng.uniform() * 4.0e9) as u32)).collect(),
                _ => (0..4 * width).map(|_| rng.uniform()).collect(),
            };
            let compute = |function: fn(Call), start: usize, end: usize| {
                let mut x = vec![f32::NAN; (end - start) * width];
                let reads = [floats(&[3, 0, 2, 1, 3]), &data[..]];
                let s = StepScalars { first: 1, ..step(4) };
                function(call(start..end, &p, &[source, binarise], &s, &reads, vec![&mut x]));
                x
            };
            assert_eq!(compute(fast, 0, 5), compute(cpu, 0, 5), "{width} {source} {binarise}");
            assert_eq!(compute(fast, 2, 4), compute(cpu, 2, 4), "{width} {source} {binarise}");
        }
    }
}
