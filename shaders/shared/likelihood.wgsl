
// Terms of −log p(x|z), in nats, of one value of an example.

const HALF_LOG_TWO_PI = 0.9189385332;

// Bernoulli from a logit, log(1 + exp l) − l·x; in this order nothing cancels for a confident logit that is right.
fn bernoulli_term(logit: f32, x: f32) -> f32 {
    return max(logit, 0.0) - logit * x + log1p_unit(exp(-abs(logit)));
}

// Gaussian, ½log 2π + ½lv + ½(x − mean)²·exp(−lv).
fn gaussian_term(difference: f32, log_variance: f32) -> f32 {
    return HALF_LOG_TWO_PI + 0.5 * (log_variance + difference * difference * exp(-log_variance));
}

// KL(N(mean, exp(lv)) ‖ N(0, 1)) of one dimension.
fn kl_term(mean: f32, lv: f32) -> f32 {
    return 0.5 * (mean * mean + exp_beyond_linear(lv));
}

// Poisson from the logarithm l of its rate, exp l − l·x + ln x!, of a whole number x. From 8 on ln x! is Stirling's
// series, and the terms that would cancel are taken together.
fn poisson_term(l: f32, x: f32) -> f32 {
    if x < 8.0 {
        var factorial = 1.0;
        for (var n = 2u; n <= u32(x); n += 1u) {
            factorial *= f32(n);
        }
        return exp(l) - l * x + log(factorial);
    }
    let inverse = 1.0 / x;
    let series = inverse * (1.0 / 12.0 - inverse * inverse / 360.0);
    return x * exp_beyond_linear(l - log(x)) + HALF_LOG_TWO_PI + 0.5 * log(x) + series;
}

// Kinds of columns of a table: normal with a log-variance of its own or with a fixed one, and the others.
const COLUMN_NORMAL = 0u;
const COLUMN_FIXED = 1u;
const COLUMN_BERNOULLI = 2u;
const COLUMN_CATEGORICAL = 3u;
const COLUMN_POISSON = 4u;
const COLUMN_NEGATIVE_BINOMIAL = 5u;
const COLUMN_ZERO_INFLATED = 6u;

// Whether a value is missing, which is a NaN: all bits of the exponent, and some below.
fn is_missing(word: u32) -> bool {
    return (word & 0x7fffffffu) > 0x7f800000u;
}
