// Logarithms of gamma functions and their derivatives, less the part that grows: what is left is small, so differences of
// them keep their digits. Relative to the sum of the magnitudes, both are exact to a few units of single precision.

// log(1 + y) for y > −1.
fn log1p(y: f32) -> f32 {
    if y < -0.5 || y > 1.0 {
        return log(1.0 + y);
    }
    return log1p_unit(y);
}

// log Γ(z) − ((z − ½)·log z − z + ½log 2π) for z > 0: Binet's function, by its recurrence up to 8 and then by its series.
fn binet(start: f32) -> f32 {
    var z = start;
    var sum = 0.0;
    for (; z < 8.0; z += 1.0) {
        sum += (z + 0.5) * log1p(1.0 / z) - 1.0;
    }
    let inverse = 1.0 / z;
    let square = inverse * inverse;
    return sum + inverse * (1.0 / 12.0 - square * (1.0 / 360.0 - square / 1260.0));
}

// The derivative of log Γ at z > 0, less log z.
fn digamma_beyond_log(start: f32) -> f32 {
    var z = start;
    var sum = 0.0;
    for (; z < 8.0; z += 1.0) {
        sum += log1p(1.0 / z) - 1.0 / z;
    }
    let inverse = 1.0 / z;
    let square = inverse * inverse;
    return sum - inverse * (0.5 + inverse * (1.0 / 12.0 - square * (1.0 / 120.0 - square / 252.0)));
}

// log(a/b), given a/b − 1 from something better than the difference of the two.
fn log_quotient(a: f32, b: f32, beyond: f32) -> f32 {
    if beyond < -0.5 {
        return log(a / b);
    }
    return log1p(beyond);
}

// Negative binomial from the logarithms of its mean m and of its inverse dispersion θ, of a whole number x: −log of
// Γ(x + θ)/(Γ(θ)·x!)·(θ/(θ + m))^θ·(m/(θ + m))^x. With Binet's function what would cancel falls out, and what is left is
// small where m is near x, whichever of x and θ is the larger.
fn negative_binomial_term(l: f32, log_theta: f32, x: f32) -> f32 {
    let theta = exp(log_theta);
    let m = exp(l);
    if x < 0.5 {
        return theta * log1p(exp(l - log_theta));
    }
    let all = x + theta;
    let seen = x * log_quotient(x * (theta + m), m * all, (x - m) / m * (theta / all));
    let unseen = theta * log_quotient(theta + m, all, (m - x) / all);
    let rest = HALF_LOG_TWO_PI + 0.5 * (log(x) + log1p(x / theta));
    return seen + unseen + rest + binet(x) + binet(theta) - binet(all);
}

// Its slope in log θ. That in log m is θ·(m − x)/(θ + m).
fn negative_binomial_slope(l: f32, log_theta: f32, x: f32) -> f32 {
    let theta = exp(log_theta);
    let m = exp(l);
    let all = x + theta;
    let beyond = digamma_beyond_log(theta) - digamma_beyond_log(all);
    return theta * (beyond + log_quotient(theta + m, all, (m - x) / all) + (x - m) / (theta + m));
}
