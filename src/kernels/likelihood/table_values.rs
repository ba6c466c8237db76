//! Rows of a table in another form, column by column.
//!
//! | kind | what an encoder is shown of a value | what is made of a decoder's output |
//! |---|---|---|
//! | normal | itself | itself, the mean; log-variances stay as they are |
//! | Bernoulli | itself | sigmoid, the probability of a 1 |
//! | categorical | itself | softmax, the probability of each level |
//! | Poisson, negative binomial | log(1 + x), since counts may be large | exp, the rate or mean; log-dispersions stay as they are |
//! | zero-inflated | likewise | exp·(1 − π), the mean with the added zeros; logits and log-dispersions stay as they are |
//!
//! An encoder is shown a 0 for what is missing, which is a NaN.

use crate::kernels::table::{BERNOULLI, CATEGORICAL, COLUMN, ZERO_INFLATED, has_second, has_third, is_count};
use crate::kernels::{Call, Kernel, f32s, f32s_mut, params, read_u32, write};

/// `TO`: what an encoder is shown.
pub const ENCODER: u32 = 0;
/// `TO`: means, probabilities and rates.
pub const MEANS: u32 = 1;

params! {
    /// Shapes: given and values \[R, W\]; columns as in [`crate::kernels::table`].
    pub struct Params {
        /// R, rows.
        pub rows: u32,
        /// W, numbers of a row: D places of an example, or O of a decoder's output.
        pub width: u32,
        /// C, columns.
        pub columns: u32,
        /// Lower bound of the logarithms of rates.
        pub rate_low: f32,
        /// Upper bound of the logarithms of rates.
        pub rate_high: f32,
    }
}

/// The kernel. Its outer axis is the rows.
pub static KERNEL: Kernel = Kernel {
    name: "table_values",
    wgsl: include_str!("../../../shaders/likelihood/table_values.wgsl"),
    bindings: &[read_u32("given"), read_u32("columns"), write("values")],
    params: FIELDS,
    entry: &[],
    consts: &["TO"],
    workgroup: [64, 1, 1],
    cpu,
    fast: None,
    sums: crate::kernels::short,
    loop_iterations: |asked| (loop_iterations(asked.columns, asked.consts), "fewer columns or categories"),
    family: crate::kernels::Family::Alone,
};

/// One workgroup per row.
pub fn grid(p: &Params) -> [u32; 3] {
    crate::kernels::grid(p.rows as usize)
}

/// Iterations of the loops of a thread, at most, as those of [`crate::kernels::table::KERNEL`]: softmax goes through its logits three
/// times.
fn loop_iterations(columns: &[u32], consts: &[u32]) -> usize {
    let of_column = |column: &[u32]| match (consts[0], column[0], column[2] as usize) {
        (ENCODER, _, places) => 2 + places,
        (_, CATEGORICAL, places) => 3 + 3 * places,
        _ => 1,
    };
    let longest = |columns: &[u32]| columns.chunks_exact(COLUMN).map(of_column).max().unwrap_or(0);
    columns.chunks(64 * COLUMN).map(longest).sum()
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, consts, reads, mut writes, .. } = call;
    let (given, width) = (f32s(reads[0]), p.width as usize);
    let rows = given.chunks_exact(width).zip(f32s_mut(writes[0]).chunks_exact_mut(width));
    for (given, values) in rows.take(range.len()) {
        for column in reads[1].chunks_exact(COLUMN) {
            let [place, places, lv, third] = [1, 2, 3, 4].map(|i| column[i] as usize);
            let span = place..place + places;
            if consts[0] == ENCODER {
                span.for_each(|at| values[at] = encoded(column[0], given[at]));
            } else if column[0] == CATEGORICAL {
                softmax(&given[span.clone()], &mut values[span]);
            } else {
                let rate = || f64::from(given[place].clamp(p.rate_low, p.rate_high)).exp();
                values[place] = match column[0] {
                    BERNOULLI => (1.0 / (1.0 + (-f64::from(given[place])).exp())) as f32,
                    ZERO_INFLATED => (rate() / (1.0 + f64::from(given[lv]).exp())) as f32,
                    kind if is_count(kind) => rate() as f32,
                    _ => given[place],
                };
                if has_second(column[0]) {
                    values[lv] = given[lv];
                }
                if has_third(column[0]) {
                    values[third] = given[third];
                }
            }
        }
    }
}

fn encoded(kind: u32, value: f32) -> f32 {
    match kind {
        _ if value.is_nan() => 0.0,
        kind if is_count(kind) => value.max(0.0).ln_1p(),
        _ => value,
    }
}

fn softmax(logits: &[f32], values: &mut [f32]) {
    let largest = logits.iter().fold(f64::NEG_INFINITY, |largest, &logit| largest.max(logit.into()));
    let part = |&logit: &f32| (f64::from(logit) - largest).exp();
    let sum: f64 = logits.iter().map(part).sum();
    values.iter_mut().zip(logits).for_each(|(value, logit)| *value = (part(logit) / sum) as f32);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::table::{FIXED, NORMAL, POISSON, layout};
    use crate::kernels::testing::{assert_close, call, floats, step};

    #[test]
    fn an_encoder_is_shown_zeros_for_what_is_missing_and_logarithms_of_counts() {
        let columns = layout(&[(NORMAL, 1), (POISSON, 1), (CATEGORICAL, 2)]);
        let p = Params { rows: 2, width: 4, columns: 3, rate_low: -9.0, rate_high: 9.0 };
        let given = [-1.5, 6.0, 0.0, 1.0, f32::NAN, f32::NAN, f32::NAN, f32::NAN];
        let mut values = [f32::NAN; 8];
        cpu(call(0..2, &p, &[ENCODER], &step(2), &[&given, floats(&columns)], vec![&mut values]));
        assert_close(&values, &[-1.5, 7.0_f32.ln(), 0.0, 1.0, 0.0, 0.0, 0.0, 0.0], 1e-6);
    }

    #[test]
    fn a_decoders_output_becomes_means_probabilities_and_rates() {
        let columns = layout(&[(NORMAL, 1), (CATEGORICAL, 3), (BERNOULLI, 1), (POISSON, 1), (FIXED, 1)]);
        let p = Params { rows: 1, width: 8, columns: 5, rate_low: -9.0, rate_high: 2.0 };
        let given = [0.5, 1.0, 0.0, 1.0, 0.0, 7.0, -3.0, 0.25];
        let mut values = [f32::NAN; 8];
        cpu(call(0..1, &p, &[MEANS], &step(1), &[&given, floats(&columns)], vec![&mut values]));
        let (high, low) = (1.0 / (2.0 + (-1.0_f32).exp()), 1.0 / (1.0 + 2.0 * 1.0_f32.exp()));
        assert_close(&values, &[0.5, high, low, high, 0.5, 2.0_f32.exp(), -3.0, 0.25], 1e-6);
    }
}
