//! Functions that give the same bits on every machine: nothing but +, −, ×, ÷ and the bits of numbers, which IEEE 754 lays
//! down to the last place. The functions of the standard library are those of the platform, and differ between platforms.
//!
//! They are exact to about 1e-15, which is more than a coder needs; what counts is that nobody gets another number.

use crate::config::Activation;

/// log 2 in two parts: the product of a small integer and the first is exact.
const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;

/// 1/k! from k = 13 down to 2.
const FACTORIALS: [f64; 12] = [
    1.0 / 6_227_020_800.0,
    1.0 / 479_001_600.0,
    1.0 / 39_916_800.0,
    1.0 / 3_628_800.0,
    1.0 / 362_880.0,
    1.0 / 40_320.0,
    1.0 / 5_040.0,
    1.0 / 720.0,
    1.0 / 120.0,
    1.0 / 24.0,
    1.0 / 6.0,
    1.0 / 2.0,
];

/// eˣ; 0 below −708, infinite above 709.
pub fn exp(x: f64) -> f64 {
    if x < -708.0 {
        return 0.0;
    }
    if x > 709.0 {
        return f64::INFINITY;
    }
    // x = n·log 2 + r with |r| ≤ ½ log 2, and the Taylor series of exp r.
    let n = (x * std::f64::consts::LOG2_E + 0.5).floor();
    let r = (x - n * LN2_HIGH) - n * LN2_LOW;
    let series = FACTORIALS.iter().fold(0.0, |sum, factor| sum * r + factor);
    let scale = f64::from_bits(((n as i64 + 1023) as u64) << 52);
    scale * (1.0 + (r + r * r * series))
}

/// log x of a normal number above 0; −∞ of 0 and of what is smaller than any normal number.
pub fn ln(x: f64) -> f64 {
    if x < f64::MIN_POSITIVE {
        return if x >= 0.0 { f64::NEG_INFINITY } else { f64::NAN };
    }
    if !x.is_finite() {
        return x;
    }
    // x = 2ⁿ·m with m from √½ to √2, and log m = 2 artanh s.
    let bits = x.to_bits();
    let n = (bits.wrapping_sub(std::f64::consts::FRAC_1_SQRT_2.to_bits()) as i64) >> 52;
    let m = f64::from_bits(bits.wrapping_sub((n << 52) as u64));
    let s = (m - 1.0) / (m + 1.0);
    let q = s * s;
    let series = (0..12).rev().fold(0.0, |sum, k| sum * q + 1.0 / f64::from(2 * k + 1));
    let n = n as f64;
    n * LN2_HIGH + (n * LN2_LOW + 2.0 * s * series)
}

/// log(1 + x) for x > −1.
pub fn ln_1p(x: f64) -> f64 {
    // The quotient makes up for what 1 + x loses.
    let whole = 1.0 + x;
    if whole == 1.0 { x } else { ln(whole) * (x / (whole - 1.0)) }
}

/// tanh x.
pub fn tanh(x: f64) -> f64 {
    let e = exp(-2.0 * x.abs());
    let size = (1.0 - e) / (1.0 + e);
    if x < 0.0 { -size } else { size }
}

/// 1/(1 + e⁻ˣ).
pub fn sigmoid(x: f64) -> f64 {
    let e = exp(-x.abs());
    (if x < 0.0 { e } else { 1.0 }) / (1.0 + e)
}

/// log(1 + eˣ).
pub fn softplus(x: f64) -> f64 {
    relu(x) + ln_1p(exp(-x.abs()))
}

/// The density of N(0, 1).
pub fn normal_density(x: f64) -> f64 {
    const ONE_OVER_ROOT_TWO_PI: f64 = 0.398_942_280_401_432_7;
    ONE_OVER_ROOT_TWO_PI * exp(-0.5 * x * x)
}

/// The mass of N(0, 1) below x, by its series ½ + φ(x)·(x + x³/3 + x⁵/15 + …), to about 1e-15 of 1 (Marsaglia 2004,
/// "Evaluating the normal distribution", Journal of Statistical Software 11(4)).
pub fn normal_below(x: f64) -> f64 {
    if x < -8.3 {
        return 0.0;
    }
    if x > 8.3 {
        return 1.0;
    }
    let (q, mut term, mut sum, mut odd) = (x * x, x, x, 1.0);
    loop {
        odd += 2.0;
        term = term * q / odd;
        let next = sum + term;
        if next == sum || next.is_nan() {
            break;
        }
        sum = next;
    }
    (0.5 + normal_density(x) * sum).clamp(0.0, 1.0)
}

/// The larger of x and 0; of a NaN 0.
fn relu(x: f64) -> f64 {
    if x > 0.0 { x } else { 0.0 }
}

/// The non-linearity of a network.
pub fn activate(kind: Activation, x: f64) -> f64 {
    match kind {
        Activation::Identity => x,
        // A NaN stays one, so that it is noticed.
        Activation::Relu if x.is_nan() => x,
        Activation::Relu => relu(x),
        Activation::Tanh => tanh(x),
        Activation::Sigmoid => sigmoid(x),
        Activation::Silu => x * sigmoid(x),
        Activation::Gelu => {
            const ROOT_TWO_OVER_PI: f64 = 0.797_884_560_802_865_4;
            0.5 * x * (1.0 + tanh(ROOT_TWO_OVER_PI * (x + 0.044_715 * x * x * x)))
        }
        Activation::GeluErf => x * normal_below(x),
        Activation::Softplus => softplus(x),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_those_of_the_standard_library_to_the_last_places() {
        for at in -4000..4000 {
            let x = f64::from(at) * 0.0173;
            let near = |found: f64, expected: f64, what: &str| {
                let error = (found - expected).abs() / expected.abs().max(1.0);
                assert!(error < 4e-15, "{what}({x}): {found} instead of {expected}");
            };
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-14, "exp({x})");
            near(ln(x.exp()), x.exp().ln(), "ln of exp");
            near(ln_1p((-x.abs()).exp()), (-x.abs()).exp().ln_1p(), "ln_1p of exp");
            near(tanh(x), x.tanh(), "tanh");
            near(sigmoid(x), 1.0 / (1.0 + (-x).exp()), "sigmoid");
            near(softplus(x), x.max(0.0) + (-x.abs()).exp().ln_1p(), "softplus");
        }
        assert_eq!(
            [exp(-1e9), exp(1e9), exp(0.0), ln(1.0), ln(0.0)],
            [0.0, f64::INFINITY, 1.0, 0.0, f64::NEG_INFINITY]
        );
        assert!(exp(f64::NAN).is_nan() && ln(-1.0).is_nan() && activate(Activation::Relu, f64::NAN).is_nan());
    }

    /// Values of tables (Abramowitz and Stegun, table 26.1), and the symmetry.
    #[test]
    fn the_normal_distribution_is_that_of_the_tables() {
        for (x, below) in [
            (0.0, 0.5),
            (0.5, 0.691_462_461_274_013_1),
            (1.0, 0.841_344_746_068_542_9),
            (2.0, 0.977_249_868_051_820_8),
            (3.0, 0.998_650_101_968_369_9),
            (5.0, 0.999_999_713_348_428),
        ] {
            assert!((normal_below(x) - below).abs() < 2e-15, "{x}: {}", normal_below(x));
            assert!((normal_below(x) + normal_below(-x) - 1.0).abs() < 2e-15, "{x}");
        }
        assert_eq!([normal_below(-1e300), normal_below(1e300)], [0.0, 1.0]);
    }

    /// The bits themselves, so that a machine with another arithmetic fails here rather than at somebody's file. Python's floats
    /// come to the same by these formulas.
    #[test]
    fn the_bits_are_those_on_record() {
        let mut sum = 0_u64;
        for at in -300..300 {
            let x = f64::from(at) * 0.037;
            for value in [exp(x), ln(x * x + 0.1), tanh(x), softplus(x), normal_below(x)] {
                sum = sum.rotate_left(5) ^ value.to_bits();
            }
        }
        assert_eq!(sum, 0x75db_18ee_f08e_5c56, "{sum:#018x}");
    }
}
