
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
    return 0.5 * (mean * mean + exp(lv) - 1.0 - lv);
}
