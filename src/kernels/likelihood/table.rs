//! The decoder of a table: distortion = Σ over columns of −log p(x|z) per row, in nats, each column by its own
//! distribution, and its gradient.
//!
//! | kind | term | gradient |
//! |---|---|---|
//! | [`NORMAL`] | ½log 2π + ½lv + ½(x − μ)²·exp(−lv) | as in `gaussian`; lv is clamped, and its slope 0 where it is held |
//! | [`FIXED`] | the same with one lv for all | (μ − x)·exp(−lv) |
//! | [`BERNOULLI`] | log(1 + exp l) − l·x | sigmoid(l) − x |
//! | [`CATEGORICAL`] | Σ x·(logsumexp l − l) | Σx·softmax(l) − x |
//! | [`POISSON`] | exp l − l·x + log x! | exp l − x; l is clamped, and its slope 0 where it is held |
//! | [`NEGATIVE_BINOMIAL`] | log x! + log Γ(θ) − log Γ(x + θ) − θ·log θ − x·l + (x + θ)·log(θ + m) | θ·(m − x)/(θ + m); likewise |
//! | [`ZERO_INFLATED`] | n + log(1 + exp r), of 0 log(1 + exp r) − log(exp r + exp −n) | see below |
//!
//! The negative binomial has the mean m = exp l and the inverse dispersion θ, whose logarithm stands where a normal column
//! has its log-variance (Lopez, Regier, Cole, Jordan, Yosef 2018, "Deep generative modeling for single-cell
//! transcriptomics", methods). Its variance is m + m²/θ. A zero-inflated one (the same source) is 0 with the probability
//! π = sigmoid r whatever it would be, and otherwise negative binomial, whose term is n above; its second number is the logit r, its
//! third log θ. The slopes of n count in full where x > 0; of a 0 they count by its share that is no added zero,
//! q = sigmoid(−n − r), and the slope in r is π − 1 + q there, π elsewhere.
//!
//! A missing value is a NaN in any of a column's places: then the column adds nothing and has no gradient.

use crate::kernels::{Call, Kernel, all_f32s_mut, f32s, math, params, read, read_u32, write};

/// A normal distribution whose log-variance the decoder gives.
pub const NORMAL: u32 = 0;
/// A normal distribution with the log-variance of the params.
pub const FIXED: u32 = 1;
/// 0 or 1, from a logit.
pub const BERNOULLI: u32 = 2;
/// A 1 among zeros, from logits.
pub const CATEGORICAL: u32 = 3;
/// A whole number from 0 up, from the logarithm of its rate.
pub const POISSON: u32 = 4;
/// A whole number from 0 up, from the logarithm of its mean and that of its inverse dispersion.
pub const NEGATIVE_BINOMIAL: u32 = 5;
/// The same with zeros that are added: from the logarithm of its mean, a logit, and the logarithm of its inverse dispersion.
pub const ZERO_INFLATED: u32 = 6;

/// Whether a column of a kind has a second number behind all places: a log-variance, a log-dispersion or a logit.
pub fn has_second(kind: u32) -> bool {
    matches!(kind, NORMAL | NEGATIVE_BINOMIAL | ZERO_INFLATED)
}

/// Whether a column of a kind has a third number behind all second ones: a log-dispersion.
pub fn has_third(kind: u32) -> bool {
    kind == ZERO_INFLATED
}

/// Whether a column of a kind holds counts.
pub fn is_count(kind: u32) -> bool {
    matches!(kind, POISSON | NEGATIVE_BINOMIAL | ZERO_INFLATED)
}

/// Words of a column in the binding `columns`: kind, first place, places, places of its second and of its third number in a row
/// of `out`.
pub const COLUMN: usize = 5;

params! {
    /// Shapes: out and dout \[R, O\]: a number for each place, then the second numbers of
    /// the columns that have one, then the third ones; x \[B, D\];
    /// columns \[C, [`COLUMN`]\]; g and distortion \[R\] with R = B·K.
    pub struct Params {
        /// R, rows: K samples for each example, one after the other.
        pub rows: u32,
        /// D, places of an example.
        pub width: u32,
        /// O, numbers of a row of the decoder's output.
        pub outputs: u32,
        /// C, columns.
        pub columns: u32,
        /// K, samples per example.
        pub per_example: u32,
        /// Which weight of the loss belongs to the distortion, if `UNIFORM`.
        pub weight: u32,
        /// Lower bound of log-variances.
        pub low: f32,
        /// Upper bound of log-variances.
        pub high: f32,
        /// Lower bound of the logarithms of rates.
        pub rate_low: f32,
        /// Upper bound of the logarithms of rates.
        pub rate_high: f32,
        /// Lower bound of log-dispersions.
        pub dispersion_low: f32,
        /// Upper bound of log-dispersions.
        pub dispersion_high: f32,
        /// The log-variance of columns that have none of their own.
        pub fixed_log_variance: f32,
    }
}

/// The kernel. Its outer axis is the rows. `VALUE` and `GRAD` say which outputs are wanted (the other is not written);
/// with `UNIFORM` = 1 the gradient is that of a mean over the batch and `g` is not read.
pub static KERNEL: Kernel = Kernel {
    name: "table",
    wgsl: include_str!("../../../shaders/likelihood/table.wgsl"),
    bindings: &[read("out"), read_u32("x"), read_u32("columns"), read("g"), write("distortion"), write("dout")],
    params: FIELDS,
    entry: &[],
    consts: &["VALUE", "GRAD", "UNIFORM"],
    workgroup: [64, 1, 1],
    cpu,
    fast: None,
    sums: crate::kernels::short,
    loop_iterations: |asked| (loop_iterations(asked.columns), "fewer columns or categories"),
    family: crate::kernels::Family::Alone,
};

/// One workgroup per row.
pub fn grid(p: &Params) -> [u32; 3] {
    crate::kernels::grid(p.rows as usize)
}

/// The words of the binding `columns`, from the kind and the places of each: one follows the other, and so do their
/// second numbers behind all places.
pub fn layout(columns: &[(u32, usize)]) -> Vec<u32> {
    let width: u32 = columns.iter().map(|(_, places)| *places as u32).sum();
    let seconds = columns.iter().filter(|(kind, _)| has_second(*kind)).count() as u32;
    let (mut place, mut second, mut third) = (0, width, width + seconds);
    let words = |&(kind, places): &(u32, usize)| {
        let words = [kind, place, places as u32, second, third];
        place += places as u32;
        second += u32::from(has_second(kind));
        third += u32::from(has_third(kind));
        words
    };
    columns.iter().flat_map(words).collect()
}

/// Iterations of the loops of a thread, at most ([`crate::kernels::MAX_LOOP_ITERATIONS`]). Its columns are every 64th, and lanes go
/// through loops together: of 64 columns the longest counts, and those of different kinds come one after the other.
fn loop_iterations(columns: &[u32]) -> usize {
    // Of a category the largest logit, two sums, and the slopes; a factorial below 8; recurrences up to 8, three for the
    // term of a negative binomial and two for its slope.
    let of_kind = |kind: u32, places: usize| match kind {
        CATEGORICAL => 4 * places + 3,
        POISSON => 7,
        NEGATIVE_BINOMIAL | ZERO_INFLATED => 5 * 9,
        _ => 0,
    };
    let longest = |columns: &[u32]| {
        let places = columns.chunks_exact(COLUMN).map(|column| column[2] as usize).max().unwrap_or(0);
        let kinds = [CATEGORICAL, POISSON, NEGATIVE_BINOMIAL, ZERO_INFLATED].map(|kind| {
            let alike = columns.chunks_exact(COLUMN).filter(|column| column[0] == kind);
            alike.map(|column| of_kind(kind, column[2] as usize)).max().unwrap_or(0)
        });
        // Whether a place is missing, and if one is, no slope for all of them.
        1 + 2 * (places + 1) + kinds.iter().sum::<usize>()
    };
    columns.chunks(64 * COLUMN).map(longest).sum()
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, consts, step, reads, writes, .. } = call;
    let [out, x, g] = [0, 1, 3].map(|i| f32s(reads[i]));
    let [distortion, dout] = all_f32s_mut(writes);
    let (width, outputs, per_example) = (p.width as usize, p.outputs as usize, p.per_example as usize);
    let (value, grad, uniform) = (consts[0] == 1, consts[1] == 1, consts[2] == 1);
    let first_example = range.start / per_example;
    for (i, r) in range.enumerate() {
        let x = &x[(r / per_example - first_example) * width..][..width];
        let out = &out[i * outputs..][..outputs];
        let g = match (grad, uniform) {
            (false, _) => 0.0,
            (true, true) => step.row_gradient(p.weight as usize, r, per_example),
            (true, false) => g[i],
        };
        let mut sum = 0.0;
        for column in reads[2].chunks_exact(COLUMN) {
            let [kind, place, places, lv, third] = [0, 1, 2, 3, 4].map(|i| column[i] as usize);
            let mut put = |at: usize, slope: f64| {
                if grad {
                    dout[i * outputs + at] = (f64::from(g) * slope) as f32;
                }
            };
            let span = place..place + places;
            if x[span.clone()].iter().any(|x| x.is_nan()) {
                span.for_each(|at| put(at, 0.0));
                if has_second(kind as u32) {
                    put(lv, 0.0);
                }
                if has_third(kind as u32) {
                    put(third, 0.0);
                }
                continue;
            }
            let x = &x[span.clone()];
            sum += match kind as u32 {
                CATEGORICAL => category(&out[span], x, |at, slope| put(place + at, slope)),
                ZERO_INFLATED => {
                    let [l, logit, log_theta] = [place, lv, third].map(|at| out[at]);
                    let (term, slopes) = zero_inflated(&p, [l, logit, log_theta], x[0]);
                    [place, lv, third].into_iter().zip(slopes).for_each(|(at, slope)| put(at, slope));
                    term
                }
                kind => single(&p, kind, grad, out[place], x[0], out.get(lv).copied(), |of_lv, slope| {
                    put(if of_lv { lv } else { place }, slope);
                }),
            };
        }
        if value {
            distortion[i] = sum as f32;
        }
    }
}

/// The term of a category; its slopes are handed over with their places.
fn category(logits: &[f32], x: &[f32], mut put: impl FnMut(usize, f64)) -> f64 {
    let largest = logits.iter().fold(f64::NEG_INFINITY, |largest, &logit| largest.max(logit.into()));
    let total = largest + logits.iter().map(|&logit| (f64::from(logit) - largest).exp()).sum::<f64>().ln();
    let mass: f64 = x.iter().map(|&x| f64::from(x)).sum();
    let mut term = 0.0;
    for (at, (&logit, &x)) in logits.iter().zip(x).enumerate() {
        let (log_p, x) = (f64::from(logit) - total, f64::from(x));
        term -= x * log_p;
        put(at, mass * log_p.exp() - x);
    }
    term
}

/// The term of a column of one place; its slopes are handed over, true for that of its second number.
fn single(
    p: &Params,
    kind: u32,
    grad: bool,
    given: f32,
    x: f32,
    lv: Option<f32>,
    mut put: impl FnMut(bool, f64),
) -> f64 {
    let (value, x) = (f64::from(given), f64::from(x));
    match kind {
        BERNOULLI => {
            put(false, 1.0 / (1.0 + (-value).exp()) - x);
            value.max(0.0) - value * x + (-value.abs()).exp().ln_1p()
        }
        POISSON => {
            let log_rate = f64::from(given.clamp(p.rate_low, p.rate_high));
            let held = given < p.rate_low || given > p.rate_high;
            put(false, if held { 0.0 } else { log_rate.exp() - x });
            log_rate.exp() - log_rate * x + math::ln_gamma(x + 1.0)
        }
        NEGATIVE_BINOMIAL => {
            let (term, [slope, of_theta]) = negative_binomial(p, [given, lv.unwrap_or_default()], x);
            put(false, slope);
            if grad {
                put(true, of_theta);
            }
            term
        }
        _ => {
            let lv = if kind == NORMAL { lv.unwrap_or_default() } else { p.fixed_log_variance };
            let clamped = if kind == NORMAL { lv.clamp(p.low, p.high) } else { lv };
            let (difference, precision) = (value - x, (-f64::from(clamped)).exp());
            put(false, difference * precision);
            if kind == NORMAL {
                let slope = 0.5 * (1.0 - difference * difference * precision);
                put(true, if clamped == lv { slope } else { 0.0 });
            }
            0.5 * ((2.0 * std::f64::consts::PI).ln() + f64::from(clamped) + difference * difference * precision)
        }
    }
}

/// The term of a count x, and its slopes in the logarithm of the mean and in that of θ.
fn negative_binomial(p: &Params, [given, any]: [f32; 2], x: f64) -> (f64, [f64; 2]) {
    let l = f64::from(given.clamp(p.rate_low, p.rate_high));
    let held = given < p.rate_low || given > p.rate_high;
    let theta = f64::from(any.clamp(p.dispersion_low, p.dispersion_high)).exp();
    let theta_held = any < p.dispersion_low || any > p.dispersion_high;
    let (mean, all) = (l.exp(), x + theta);
    let beyond = math::digamma(theta) - math::digamma(all) - theta.ln() + (theta + mean).ln();
    let slopes = [theta * (mean - x) / (theta + mean), theta * (beyond + (x - mean) / (theta + mean))];
    let term = math::ln_gamma(x + 1.0) + math::ln_gamma(theta) - math::ln_gamma(all) - theta * theta.ln() - x * l
        + all * (theta + mean).ln();
    (term, [if held { 0.0 } else { slopes[0] }, if theta_held { 0.0 } else { slopes[1] }])
}

/// The same where zeros are added, and the slopes in the logarithm of the mean, in the logit and in the logarithm of θ.
fn zero_inflated(p: &Params, [given, logit, any]: [f32; 3], x: f32) -> (f64, [f64; 3]) {
    let (logit, x) = (f64::from(logit), f64::from(x));
    let (term, [of_mean, of_theta]) = negative_binomial(p, [given, any], x);
    let sigmoid = |l: f64| 1.0 / (1.0 + (-l).exp());
    let softplus = |l: f64| l.max(0.0) + (-l.abs()).exp().ln_1p();
    if x > 0.0 {
        return (term + softplus(logit), [of_mean, sigmoid(logit), of_theta]);
    }
    // log(exp r + exp −n) is r + log(1 + exp(−n − r)).
    let share = sigmoid(-term - logit);
    let value = softplus(logit) - logit - softplus(-term - logit);
    (value, [share * of_mean, sigmoid(logit) - 1.0 + share, share * of_theta])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{assert_close, call, floats, step};

    /// A column of each kind but the last in six places, one of them a category of two; seven outputs.
    fn columns() -> Vec<u32> {
        layout(&[(NORMAL, 1), (BERNOULLI, 1), (CATEGORICAL, 2), (FIXED, 1), (POISSON, 1)])
    }

    const P: Params = Params {
        rows: 2,
        width: 6,
        outputs: 7,
        columns: 5,
        per_example: 1,
        weight: 0,
        low: -1.0,
        high: 1.0,
        rate_low: -3.0,
        rate_high: 3.0,
        dispersion_low: -2.0,
        dispersion_high: 2.0,
        fixed_log_variance: 0.4,
    };
    const OUT: [f32; 14] = [0.5, -1.0, 0.3, 1.2, 2.0, 1.1, -0.4, 0.1, 0.2, 0.3, 0.4, 0.5, 3.5, 1.5];
    const X: [f32; 12] = [1.0, 1.0, 0.0, 1.0, 0.5, 4.0, 0.0, 0.0, 1.0, 0.0, -1.0, 30.0];

    fn compute(out: &[f32], x: &[f32], g: &[f32]) -> ([f32; 2], [f32; 14]) {
        let (mut distortion, mut dout, columns) = ([f32::NAN; 2], [f32::NAN; 14], columns());
        let reads = [out, x, floats(&columns), g];
        cpu(call(0..2, &P, &[1, 1, 0], &step(2), &reads, vec![&mut distortion, &mut dout]));
        (distortion, dout)
    }

    #[test]
    fn the_layout_gives_each_column_its_places_and_normal_ones_a_log_variance_behind_all() {
        let words = layout(&[(NORMAL, 1), (CATEGORICAL, 3), (NORMAL, 1)]);
        assert_eq!(words, [NORMAL, 0, 1, 5, 7, CATEGORICAL, 1, 3, 6, 7, NORMAL, 4, 1, 6, 7]);
        let words = layout(&[(ZERO_INFLATED, 1), (POISSON, 1), (NORMAL, 1), (ZERO_INFLATED, 1)]);
        let expected =
            [[ZERO_INFLATED, 0, 1, 4, 7], [POISSON, 1, 1, 5, 8], [NORMAL, 2, 1, 5, 8], [ZERO_INFLATED, 3, 1, 6, 8]];
        assert_eq!(words, expected.concat());
    }

    #[test]
    fn the_distortion_is_minus_the_logarithm_of_the_product_of_all_densities() {
        let (distortion, _) = compute(&OUT, &X, &[1.0, 1.0]);
        let density = |x: f64, mean: f64, lv: f64| {
            (-0.5 * (x - mean).powi(2) / lv.exp()).exp() / (2.0 * std::f64::consts::PI * lv.exp()).sqrt()
        };
        let product = density(1.0, 0.5, -0.4)
            * (1.0 / (1.0 + 1.0_f64.exp()))
            * (1.2_f64.exp() / (0.3_f64.exp() + 1.2_f64.exp()))
            * density(0.5, 2.0, 0.4)
            * (1.1_f64 * 4.0 - 1.1_f64.exp()).exp()
            / 24.0;
        assert_close(&distortion[..1], &[-product.ln()], 1e-6);
    }

    #[test]
    fn the_gradient_agrees_with_central_differences_and_is_zero_where_a_value_is_held_or_missing() {
        let mut x = X;
        (x[1], x[9]) = (f32::NAN, f32::NAN);
        let g = [2.0, -0.5];
        let (_, found) = compute(&OUT, &x, &g);
        let loss = |out: &[f32]| {
            let (distortion, _) = compute(out, &x, &g);
            distortion.iter().zip(g).map(|(&d, g)| f64::from(d) * f64::from(g)).sum::<f64>()
        };
        let slopes: Vec<f64> = (0..OUT.len())
            .map(|at| {
                let (mut above, mut below) = (OUT, OUT);
                (above[at], below[at]) = (OUT[at] + 0.01, OUT[at] - 0.01);
                (loss(&above) - loss(&below)) / f64::from(above[at] - below[at])
            })
            .collect();
        assert_close(&found, &slopes, 2e-3);
        // The flag that is missing, the category of which one place is, the rate and the log-variance that are held.
        assert_eq!([found[1], found[9], found[10], found[12], found[13]], [0.0; 5]);
    }

    /// Counts, logarithms of means and of inverse dispersions; the last of each pair is held.
    fn counts(out: &[f32; 6], x: &[f32; 3]) -> (f64, [f32; 6]) {
        let columns = layout(&[(NEGATIVE_BINOMIAL, 1); 3]);
        let p = Params { rows: 1, width: 3, outputs: 6, columns: 3, ..P };
        let (mut distortion, mut dout) = ([f32::NAN], [f32::NAN; 6]);
        let reads = [&out[..], x, floats(&columns), &[1.0]];
        cpu(call(0..1, &p, &[1, 1, 0], &step(1), &reads, vec![&mut distortion, &mut dout]));
        (distortion[0].into(), dout)
    }

    #[test]
    fn a_negative_binomial_is_a_poisson_distribution_whose_rate_is_drawn_from_a_gamma_distribution() {
        // With an inverse dispersion of 1 it is geometric: p·(1 − p)^x with p = 1/(1 + m).
        let p = |l: f64| 1.0 / (1.0 + l.exp());
        let geometric = |l: f64, x: f64| -(p(l).ln() + x * (1.0 - p(l)).ln());
        let (found, _) = counts(&[0.5, -1.0, 2.0, 0.0, 0.0, 0.0], &[0.0, 3.0, 40.0]);
        let expected = geometric(0.5, 0.0) + geometric(-1.0, 3.0) + geometric(2.0, 40.0);
        assert!((found - expected).abs() < 1e-4, "{found} is not {expected}");
        // With one of 2: (x + 1)·p²·(1 − p)^x with p = 2/(2 + m).
        let p = 2.0 / (2.0 + 1.5_f64.exp());
        let expected = -(8.0_f64.ln() + 2.0 * p.ln() + 7.0 * (1.0 - p).ln());
        let (found, _) = counts(&[1.5, 0.0, 0.0, 2.0_f32.ln(), 0.0, 0.0], &[7.0, f32::NAN, f32::NAN]);
        assert!((found - expected).abs() < 1e-5, "{found} is not {expected}");
    }

    #[test]
    fn the_slopes_of_a_negative_binomial_are_those_of_its_term() {
        let (out, x) = ([0.5, -1.0, 3.5, -0.7, 1.2, 2.5], [0.0, 9.0, 30.0]);
        let (_, found) = counts(&out, &x);
        for at in 0..6 {
            let (mut above, mut below) = (out, out);
            (above[at], below[at]) = (out[at] + 0.01, out[at] - 0.01);
            let slope = (counts(&above, &x).0 - counts(&below, &x).0) / f64::from(above[at] - below[at]);
            assert!((f64::from(found[at]) - slope).abs() < 2e-3 * slope.abs().max(1.0), "{at}: {} {slope}", found[at]);
        }
        assert_eq!([found[2], found[5]], [0.0; 2], "what is held has no slope");
    }

    /// Three counts, of which the first is `x`, from logarithms of means, logits and logarithms of inverse dispersions.
    fn inflated(out: &[f32; 9], x: f32) -> (f64, [f32; 9]) {
        let columns = layout(&[(ZERO_INFLATED, 1); 3]);
        let p = Params { rows: 1, width: 3, outputs: 9, columns: 3, ..P };
        let (mut distortion, mut dout) = ([f32::NAN], [f32::NAN; 9]);
        let reads = [&out[..], &[x, 0.0, f32::NAN], floats(&columns), &[1.0]];
        cpu(call(0..1, &p, &[1, 1, 0], &step(1), &reads, vec![&mut distortion, &mut dout]));
        (distortion[0].into(), dout)
    }

    /// −log(π·(x == 0) + (1 − π)·pmf(x)) with pmf of `scipy.stats.nbinom(θ, θ/(θ + m))` and π = `scipy.special.expit(r)`, for the
    /// first count and a 0 beside it.
    #[test]
    fn zeros_are_added_with_the_probability_of_the_logit() {
        let out = [0.5, -0.4, 1.0, -0.7, 1.2, 0.3, 0.2, -1.1, 0.9];
        for (x, expected) in [(0.0, 0.640_916_136_0), (1.0, 1.874_852_580_3), (12.0, 7.520_277_290_2)] {
            let (found, _) = inflated(&out, x);
            assert!((found - expected).abs() < 2e-6 * expected, "{x}: {found} is not {expected}");
        }
        // Zeros that are never added leave a negative binomial.
        let (found, _) = inflated(&[0.5, -0.4, 1.0, -40.0, -40.0, 0.0, 0.2, -1.1, 0.9], 3.0);
        let (plain, _) = counts(&[0.5, -0.4, 1.0, 0.2, -1.1, 0.9], &[3.0, 0.0, f32::NAN]);
        assert!((found - plain).abs() < 1e-6, "{found} is not {plain}");
    }

    #[test]
    fn the_slopes_of_a_zero_inflated_count_are_those_of_its_term() {
        let out = [0.5, -0.4, 1.0, -0.7, 1.2, 0.3, 0.2, -1.1, 0.9];
        for x in [0.0, 4.0] {
            let (_, found) = inflated(&out, x);
            for at in 0..9 {
                let (mut above, mut below) = (out, out);
                (above[at], below[at]) = (out[at] + 0.01, out[at] - 0.01);
                let slope = (inflated(&above, x).0 - inflated(&below, x).0) / f64::from(above[at] - below[at]);
                assert!((f64::from(found[at]) - slope).abs() < 2e-3, "{x}, {at}: {} and {slope}", found[at]);
            }
            assert_eq!([found[2], found[5], found[8]], [0.0; 3], "what is missing has no slope");
        }
        let (_, found) = inflated(&[3.5, 0.0, 0.0, 0.1, 0.0, 0.0, 2.5, 0.0, 0.0], 30.0);
        assert_eq!([found[0], found[6]], [0.0; 2], "what is held has no slope");
    }
}
