//! The transcendental functions with the formulas of `shaders/shared/math.wgsl`, so that both sides agree closely.

use crate::config::Activation;

/// The code of an activation in shaders (`const RELU` and so on).
pub const fn code(activation: Activation) -> u32 {
    match activation {
        Activation::Identity => 0,
        Activation::Relu => 1,
        Activation::Tanh => 2,
        Activation::Sigmoid => 3,
        Activation::Silu => 4,
        Activation::Gelu => 5,
        Activation::Softplus => 6,
        Activation::GeluErf => 7,
    }
}

/// The activation of a code.
pub fn from_code(code: u32) -> Activation {
    use Activation::{Gelu, GeluErf, Identity, Relu, Sigmoid, Silu, Softplus, Tanh};
    [Identity, Relu, Tanh, Sigmoid, Silu, Gelu, Softplus, GeluErf][code as usize]
}

/// x, or 0 in place of a subnormal number: processors take a hundred times as long for those. What is kept from step to step
/// and shrinks by a factor would come to one and stay there, since the smallest of them times 0.9 are themselves.
#[inline(always)]
pub fn lasting(x: f32) -> f32 {
    if x.abs() < f32::MIN_POSITIVE { 0.0 } else { x }
}

/// exp x in a form that loops vectorise, within 2 units in the last place; for functions of the CPU engine.
///
/// x is held in [−87.3, 88.3], so that neither zero nor infinity comes out; NaN stays NaN.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let [scale, r, rest] = exp_parts(x);
    scale + scale * (r + rest)
}

/// exp x − 1 likewise; near zero nothing cancels.
#[inline(always)]
pub fn exp_m1(x: f32) -> f32 {
    let [scale, r, rest] = exp_parts(x);
    scale * (r + rest) + (scale - 1.0)
}

/// exp x − 1 − x likewise: about x²/2 near zero, where exp x − 1 less x would leave nothing but rounding.
#[inline(always)]
pub fn exp_beyond_linear(x: f32) -> f32 {
    let [scale, r, rest] = exp_parts(x);
    // With a scale of 1, r is x.
    if scale == 1.0 { rest } else { scale * (r + rest) + ((scale - 1.0) - x) }
}

/// 2ⁿ, r and exp r − 1 − r with x = n·ln 2 + r: n is the integer nearest to x/ln 2, so |r| ≤ ½ln 2, and the Taylor
/// series of exp r up to r⁷ leaves out less than 6e-9.
#[inline(always)]
fn exp_parts(x: f32) -> [f32; 3] {
    // Added to a small number, this leaves the nearest integer in the low bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts; the product of an integer below 2⁸ and the first one is exact.
    const LN2_HIGH: f32 = 355.0 / 512.0;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.3, 88.3);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN2_HIGH) - n * LN2_LOW;
    // By halves rather than from one end: the parts do not wait for each other.
    let q = r * r;
    let tail = (1.0 / 24.0 + r * (1.0 / 120.0)) + q * (1.0 / 720.0 + r * (1.0 / 5040.0));
    let rest = q * (0.5 + r * (1.0 / 6.0)) + q * q * tail;
    // The low bits of `shifted` become the exponent; those of ROUND are shifted out.
    let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0_f32.to_bits()));
    [scale, r, rest]
}

/// log x of a normal number x > 0 in a form that loops vectorise: with x = 2ⁿ·m and m in [√½, √2),
/// log x = n·ln 2 + 2·artanh((m − 1)/(m + 1)).
#[inline(always)]
pub fn ln(x: f32) -> f32 {
    let bits = x.to_bits();
    let n = (bits.wrapping_sub(std::f32::consts::FRAC_1_SQRT_2.to_bits()) as i32) >> 23;
    let m = f32::from_bits(bits.wrapping_sub((n << 23) as u32));
    n as f32 * std::f32::consts::LN_2 + twice_artanh((m - 1.0) / (m + 1.0))
}

/// [`exp`] of any number: 0 and infinity where it leaves the range.
#[inline(always)]
pub fn exp_full(x: f32) -> f32 {
    let inside = exp(x);
    let low = if x < -87.3 { 0.0 } else { inside };
    if x > 88.7 { f32::INFINITY } else { low }
}

/// [`ln`] of any number: −∞ of 0, NaN of what is below.
#[inline(always)]
pub fn ln_full(x: f32) -> f32 {
    // What is subnormal is scaled by 2²⁴.
    let small = x < f32::MIN_POSITIVE;
    let (scale, shift) = if small { (16_777_216.0, -24.0 * std::f32::consts::LN_2) } else { (1.0, 0.0) };
    let inside = ln(x * scale) + shift;
    let low = if x > 0.0 {
        inside
    } else if x == 0.0 {
        f32::NEG_INFINITY
    } else {
        f32::NAN
    };
    if x == f32::INFINITY { x } else { low }
}

/// log(1 + x) for x > −1; exact near 0.
#[inline(always)]
pub fn ln_1p(x: f32) -> f32 {
    let near = log1p_unit(x);
    let far = ln_full(1.0 + x);
    if (-0.5..=1.0).contains(&x) { near } else { far }
}

/// log(1 + e) for e in [0, 1]: 2·artanh(e/(2 + e)) as a series; the argument is at most 1/3.
#[inline(always)]
pub fn log1p_unit(e: f32) -> f32 {
    twice_artanh(e / (2.0 + e))
}

/// 2·artanh s for s in [−1/3, 1/3].
#[inline(always)]
fn twice_artanh(s: f32) -> f32 {
    let q = s * s;
    let q4 = (q * q) * (q * q);
    let head = (1.0 + q * (1.0 / 3.0)) + q * q * (0.2 + q * (1.0 / 7.0));
    let tail = (1.0 / 9.0 + q * (1.0 / 11.0)) + q * q * (1.0 / 13.0 + q * (1.0 / 15.0));
    2.0 * s * (head + q4 * tail)
}

/// log(1 + e) and 1/(1 + e) for e in [0, 1], with one division for both.
#[inline(always)]
pub fn log1p_and_inverse(e: f32) -> (f32, f32) {
    let (one, two) = (1.0 + e, 2.0 + e);
    let inverse = 1.0 / (one * two);
    (twice_artanh(e * one * inverse), two * inverse)
}

/// log(1 + exp x).
#[inline(always)]
pub fn softplus(x: f32) -> f32 {
    softplus_from(x, (-x.abs()).exp())
}

/// log(1 + exp x), given e = exp(−|x|) by whichever function.
#[inline(always)]
pub fn softplus_from(x: f32, e: f32) -> f32 {
    x.max(0.0) + log1p_unit(e)
}

/// 1/(1 + exp(−x)).
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    sigmoid_from(x, (-x.abs()).exp())
}

/// 1/(1 + exp(−x)), given e = exp(−|x|) by whichever function.
#[inline(always)]
pub fn sigmoid_from(x: f32, e: f32) -> f32 {
    (if x >= 0.0 { 1.0 } else { e }) / (1.0 + e)
}

/// log Γ(z) for z > 0 in double precision: Stirling's series at z + n ≥ 16, where it leaves out 1e-15, and the recurrence.
pub fn ln_gamma(z: f64) -> f64 {
    let (mut z, mut product) = (z, 1.0_f64);
    while z < 16.0 {
        product *= z;
        z += 1.0;
    }
    let (inverse, square) = (1.0 / z, 1.0 / (z * z));
    let series = inverse * (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square / 1680.0)));
    (z - 0.5) * z.ln() - z + 0.5 * (2.0 * std::f64::consts::PI).ln() + series - product.ln()
}

/// Its derivative ψ(z), likewise.
pub fn digamma(z: f64) -> f64 {
    let (mut z, mut sum) = (z, 0.0);
    while z < 16.0 {
        sum -= 1.0 / z;
        z += 1.0;
    }
    let square = 1.0 / (z * z);
    let series = square * (1.0 / 12.0 - square * (1.0 / 120.0 - square * (1.0 / 252.0 - square / 240.0)));
    sum + z.ln() - 0.5 / z - series
}

/// The activation of `x`.
#[inline(always)]
pub fn activate(kind: Activation, x: f32) -> f32 {
    match kind {
        Activation::Identity => x,
        Activation::Relu => x.max(0.0),
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => sigmoid(x),
        Activation::Silu => x * sigmoid(x),
        Activation::Gelu => 0.5 * x * (1.0 + gelu_argument(x).tanh()),
        Activation::GeluErf => x * normal_below_from(x, (-0.5 * x * x).exp()),
        Activation::Softplus => softplus(x),
    }
}

/// Whether the derivative needs the input; otherwise the output is enough.
pub const fn derivative_needs_input(kind: Activation) -> bool {
    matches!(kind, Activation::Silu | Activation::Gelu | Activation::GeluErf)
}

/// The derivative, from the output where that is enough (see [`derivative_needs_input`]), else from the input.
#[inline(always)]
pub fn derivative(kind: Activation, v: f32) -> f32 {
    match kind {
        Activation::Identity => 1.0,
        Activation::Relu => f32::from(v > 0.0),
        Activation::Tanh => 1.0 - v * v,
        Activation::Sigmoid => v * (1.0 - v),
        Activation::Silu => {
            let s = sigmoid(v);
            s * (1.0 + v * (1.0 - s))
        }
        Activation::Gelu => {
            let t = gelu_argument(v).tanh();
            0.5 * (1.0 + t) + 0.5 * v * (1.0 - t * t) * 0.797_884_6 * (1.0 + 3.0 * 0.044_715 * v * v)
        }
        Activation::GeluErf => gelu_erf_slope_from(v, (-0.5 * v * v).exp()),
        Activation::Softplus => 1.0 - (-v).exp(),
    }
}

/// Replaces every value by its activation, on the processor's vectors.
pub fn activate_all(kind: Activation, values: &mut [f32]) {
    match kind {
        Activation::Identity => {}
        Activation::Relu => vectorised(values, |x| x.max(0.0)),
        Activation::Tanh => vectorised(values, tanh),
        Activation::Sigmoid => vectorised(values, |x| sigmoid_from(x, exp(-x.abs()))),
        Activation::Silu => vectorised(values, |x| x * sigmoid_from(x, exp(-x.abs()))),
        Activation::Gelu => vectorised(values, |x| 0.5 * x * (1.0 + tanh(gelu_argument(x)))),
        Activation::GeluErf => vectorised(values, |x| x * normal_below_from(x, exp(-0.5 * x * x))),
        Activation::Softplus => vectorised(values, |x| softplus_from(x, exp(-x.abs()))),
    }
}

/// Multiplies every value of `dy` by the derivative at the same place of `v` (see [`derivative`]).
pub fn derivative_all(kind: Activation, v: &[f32], dy: &mut [f32]) {
    match kind {
        Activation::Identity => {}
        Activation::Relu => scaled(v, dy, |v| f32::from(v > 0.0)),
        Activation::Tanh => scaled(v, dy, |v| 1.0 - v * v),
        Activation::Sigmoid => scaled(v, dy, |v| v * (1.0 - v)),
        Activation::Softplus => scaled(v, dy, |v| 1.0 - exp(-v)),
        Activation::Silu => scaled(v, dy, |v| {
            let s = sigmoid_from(v, exp(-v.abs()));
            s * (1.0 + v * (1.0 - s))
        }),
        Activation::Gelu => scaled(v, dy, |v| derivative(Activation::Gelu, v)),
        Activation::GeluErf => scaled(v, dy, |v| gelu_erf_slope_from(v, exp(-0.5 * v * v))),
    }
}

#[inline(always)]
fn vectorised(values: &mut [f32], f: impl Fn(f32) -> f32) {
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            for value in values {
                *value = f(*value);
            }
        },
    );
}

#[inline(always)]
fn scaled(v: &[f32], dy: &mut [f32], f: impl Fn(f32) -> f32) {
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            for (d, &v) in dy.iter_mut().zip(v) {
                *d *= f(v);
            }
        },
    );
}

/// tanh by the formula of the shaders: a polynomial near zero, where 1 − exp(−2|x|) would cancel.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let q = x * x;
    let near = x * (1.0 + q * (-1.0 / 3.0 + q * (2.0 / 15.0 + q * (-17.0 / 315.0 + q * (62.0 / 2835.0)))));
    let e = exp(-2.0 * x.abs());
    let far = ((1.0 - e) / (1.0 + e)).copysign(x);
    if x.abs() < 0.25 { near } else { far }
}

#[inline(always)]
fn gelu_argument(x: f32) -> f32 {
    0.797_884_6 * (x + 0.044_715 * x * x * x)
}

/// 1/√(2π).
const NORMAL: f32 = 0.398_942_3;

/// Φ(x), the share of the normal distribution below x, given e = exp(−x²/2) by whichever function: Abramowitz and Stegun
/// 1964, 26.2.17, whose error is less than 7.5e-8. The tail is a factor of e, so that it keeps its digits.
#[inline(always)]
fn normal_below_from(x: f32, e: f32) -> f32 {
    let t = 1.0 / (1.0 + 0.231_641_9 * x.abs());
    let series = 0.319_381_53 + t * (-0.356_563_78 + t * (1.781_477_9 + t * (-1.821_256 + t * 1.330_274_4)));
    let tail = NORMAL * e * t * series;
    if x >= 0.0 { 1.0 - tail } else { tail }
}

/// The derivative of x·Φ(x), likewise: Φ(x) + x·φ(x).
#[inline(always)]
fn gelu_erf_slope_from(x: f32, e: f32) -> f32 {
    normal_below_from(x, e) + NORMAL * e * x
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every 1/16 of a unit over the range in which the functions are exact, and beyond.
    fn points() -> impl Iterator<Item = f32> {
        (-2000..=2000).map(|i| i as f32 / 16.0 + 0.013)
    }

    #[test]
    fn exp_is_within_two_units_in_the_last_place_and_saturates_outside() {
        for x in points().filter(|x| (-87.0..=88.0).contains(x)).chain([-87.0, -0.0, 88.0, 1e-8, 0.346_573_6]) {
            let exact = f64::from(x).exp();
            let unit = f64::from(f32::EPSILON) * 2_f64.powf(exact.log2().floor());
            assert!((f64::from(exp(x)) - exact).abs() <= 2.0 * unit, "exp({x}) = {} is not {exact}", exp(x));
        }
        assert_eq!((exp(1e9), exp(f32::NEG_INFINITY)), (exp(88.3), exp(-87.3)));
        for x in points().filter(|x| x.abs() < 80.0).map(|x| 0.01 * x).chain([0.0, 1e-20, -1e-7, 3e-4]) {
            let exact = f64::from(x).exp_m1();
            assert!((f64::from(exp_m1(x)) - exact).abs() <= 3e-7 * exact.abs(), "exp_m1({x}) = {}", exp_m1(x));
            let x64 = f64::from(x);
            let exact = if x64.abs() < 1e-3 { x64 * x64 * (0.5 + x64 / 6.0 + x64 * x64 / 24.0) } else { exact - x64 };
            let found = f64::from(exp_beyond_linear(x));
            // Just outside of what is not scaled, at |x| = 0.35, a fifth of the digits cancels.
            assert!((found - exact).abs() <= 2e-6 * exact + 1e-44, "exp_beyond_linear({x}) = {found} is not {exact}");
        }
        assert!(exp(88.3).is_finite() && exp(-87.3) > 0.0 && exp(f32::NAN).is_nan());
    }

    #[test]
    fn ln_agrees_with_double_precision_from_the_smallest_normal_number_on() {
        let values = points().map(|x| exp(0.5 * x));
        for x in values.chain([f32::MIN_POSITIVE, 2.4e-7, 0.707, 0.7072, 0.999_999_94, 1.0, 1.414, 1.4143, 3e38]) {
            let exact = f64::from(x).ln();
            assert!((f64::from(ln(x)) - exact).abs() <= 2e-7 * exact.abs(), "ln({x}) = {} is not {exact}", ln(x));
        }
    }

    #[test]
    fn softplus_and_sigmoid_agree_with_double_precision_with_either_exp() {
        for x in points() {
            let e = exp(-x.abs());
            let exact = f64::from(x).max(0.0) + (-f64::from(x).abs()).exp().ln_1p();
            for softplus in [softplus(x), softplus_from(x, e)] {
                assert!((f64::from(softplus) - exact).abs() < 3e-7 * exact.abs() + 1e-37, "softplus({x}) = {softplus}");
            }
            let exact = 1.0 / (1.0 + (-f64::from(x)).exp());
            let (log, inverse) = log1p_and_inverse(e);
            let exact_log = f64::from(e).ln_1p();
            assert!((f64::from(log) - exact_log).abs() < 4e-7 * exact_log, "log(1 + {e}) = {log}");
            let from_inverse = if x >= 0.0 { inverse } else { e * inverse };
            for sigmoid in [sigmoid(x), sigmoid_from(x, e), from_inverse] {
                assert!((f64::from(sigmoid) - exact).abs() < 3e-7 * exact + 1e-37, "sigmoid({x}) = {sigmoid}");
            }
        }
        assert!(sigmoid(f32::NAN).is_nan() && softplus(f32::NAN).is_nan());
    }

    #[test]
    fn exp_ln_and_ln_1p_take_every_number() {
        for x in points().map(|x| 2.0 * x).chain([f32::INFINITY, f32::NEG_INFINITY]) {
            let (found, exact) = (exp_full(x), x.exp());
            assert!(found == exact || (found - exact).abs() <= 4e-7 * exact || exact < 1.3e-38 || x > 88.3, "exp {x}");
        }
        for x in points().map(f32::exp).chain([0.0, f32::INFINITY, 1e-40, 1e-45]) {
            let (found, exact) = (ln_full(x), x.ln());
            assert!(found == exact || (found - exact).abs() <= 3e-7 * exact.abs().max(1e-3), "ln {x}: {found} {exact}");
        }
        for x in points().filter(|&x| x > -0.999).chain([1e-8, -1e-8, 1e-30, -0.5, 1.0, 3e38]) {
            let (found, exact) = (ln_1p(x), x.ln_1p());
            assert!((found - exact).abs() <= 4e-7 * exact.abs(), "log(1 + {x}): {found} {exact}");
        }
        assert!(ln_full(-1.0).is_nan() && ln_full(f32::NAN).is_nan() && exp_full(f32::NAN).is_nan());
        assert_eq!(exp_full(1e9), f32::INFINITY);
    }

    #[test]
    fn the_logarithm_of_the_gamma_function_and_its_derivative_are_those_of_the_definition() {
        let mut factorial = 0.0;
        for n in 1..200 {
            let n = f64::from(n);
            assert!((ln_gamma(n) - factorial).abs() < 1e-12 * factorial.max(1.0), "{n}");
            factorial += n.ln();
        }
        assert!((ln_gamma(0.5) - std::f64::consts::PI.sqrt().ln()).abs() < 1e-13);
        // Euler's constant.
        assert!((digamma(1.0) + 0.577_215_664_901_532_9).abs() < 1e-13);
        for z in [1e-4, 0.3, 2.0, 17.0, 3e4] {
            let step = 1e-4 * z;
            let slope = (ln_gamma(z + step) - ln_gamma(z - step)) / (2.0 * step);
            assert!((digamma(z) - slope).abs() < 1e-6 * slope.abs(), "{z}: {} {slope}", digamma(z));
        }
    }

    #[test]
    fn the_exact_gelu_is_x_times_the_normal_distribution_function() {
        // Φ(x) = ½ + φ(x)·Σ x²ⁿ⁺¹/(1·3·5···(2n+1)), all terms of one sign.
        let below = |x: f64| {
            let (mut term, mut sum) = (x, 0.0);
            for n in 1..400 {
                sum += term;
                term *= x * x / f64::from(2 * n + 1);
            }
            0.5 + (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt() * sum
        };
        for x in points().map(|x| 0.06 * x).chain([0.0, 1e-6, -3e-5]) {
            let x64 = f64::from(x);
            let slope = below(x64) + x64 * (-0.5 * x64 * x64).exp() / (2.0 * std::f64::consts::PI).sqrt();
            let mut fast = [x];
            activate_all(Activation::GeluErf, &mut fast);
            let mut product = [2.0];
            derivative_all(Activation::GeluErf, &[x], &mut product);
            for (found, expected) in [
                (activate(Activation::GeluErf, x), x64 * below(x64)),
                (fast[0], x64 * below(x64)),
                (derivative(Activation::GeluErf, x), slope),
                (0.5 * product[0], slope),
            ] {
                // What the formula leaves out, and what single precision does of a series with terms up to 1.8 of both signs.
                let allowed = 2e-7 * x64.abs() + 1.2e-7 * expected.abs() + 3e-7;
                assert!((f64::from(found) - expected).abs() <= allowed, "{x}: {found} is not {expected}");
            }
        }
        assert_eq!(from_code(code(Activation::GeluErf)), Activation::GeluErf);
    }
}
