// The decoder of a table: distortion = Σ over columns of −log p(x|z) per row, each column by its own distribution, and
// its gradient. A column of which a place is missing, which is a NaN there, adds nothing and has no gradient.
// One workgroup per row, one thread per column.

struct Params {
    rows: u32,
    width: u32,
    outputs: u32,
    columns: u32,
    per_example: u32,
    weight: u32,
    low: f32,
    high: f32,
    rate_low: f32,
    rate_high: f32,
    dispersion_low: f32,
    dispersion_high: f32,
    fixed_log_variance: f32,
}

@group(0) @binding(0) var<storage, read> out: array<f32>;
// Words and no floats: what is missing is known by its bits, since arithmetic may assume that there is no NaN.
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read> columns: array<u32>;
@group(0) @binding(3) var<storage, read> g: array<f32>;
@group(0) @binding(4) var<storage, read_write> distortion: array<f32>;
@group(0) @binding(5) var<storage, read_write> dout: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;
@group(1) @binding(1) var<uniform> steps: array<Step, MEMBERS>;

fn gradient_of_row(row: u32) -> f32 {
    if GRAD == 0u {
        return 0.0;
    }
    if UNIFORM == 1u {
        return row_gradient(steps[member], params.weight, row, params.per_example);
    }
    return g[member * MEMBER_G + row];
}

fn given_at(at: u32) -> f32 {
    return out[member * MEMBER_OUT + at];
}

fn word_at(at: u32) -> u32 {
    return x[member * MEMBER_X + at];
}

fn put(at: u32, gradient: f32) {
    if GRAD == 1u {
        dout[member * MEMBER_DOUT + at] = gradient;
    }
}

// The first largest logit and the logarithm of Σ exp of all, of a category.
fn log_sum_exp(at: u32, places: u32) -> f32 {
    var largest = given_at(at);
    for (var i = 1u; i < places; i += 1u) {
        largest = max(largest, given_at(at + i));
    }
    var sum = 0.0;
    for (var i = 0u; i < places; i += 1u) {
        sum += exp(given_at(at + i) - largest);
    }
    return largest + log(sum);
}

fn category(at: u32, at_x: u32, places: u32, weight: f32) -> f32 {
    let total = log_sum_exp(at, places);
    var mass = 0.0;
    var term = 0.0;
    for (var i = 0u; i < places; i += 1u) {
        let value = bitcast<f32>(word_at(at_x + i));
        mass += value;
        term += value * (total - given_at(at + i));
    }
    for (var i = 0u; i < places; i += 1u) {
        put(at + i, weight * (mass * exp(given_at(at + i) - total) - bitcast<f32>(word_at(at_x + i))));
    }
    return term;
}

fn negative_binomial(at: u32, given: f32, at_theta: u32, value: f32, weight: f32) -> f32 {
    let any = given_at(at_theta);
    let l = clamp(given, params.rate_low, params.rate_high);
    let log_theta = clamp(any, params.dispersion_low, params.dispersion_high);
    let held = given < params.rate_low || given > params.rate_high;
    let theta_held = any < params.dispersion_low || any > params.dispersion_high;
    // θ·(m − x)/(θ + m) without θ + m, which may be large.
    let slope = (exp(l) - value) / (1.0 + exp(l - log_theta));
    put(at, select(weight * slope, 0.0, held));
    if GRAD == 1u {
        put(at_theta, select(weight * negative_binomial_slope(l, log_theta, value), 0.0, theta_held));
    }
    return negative_binomial_term(l, log_theta, value);
}

// A zero is an added one, or one of the negative binomial distribution: `share` is the probability of the latter.
fn zero_inflated(at: u32, at_logit: u32, at_theta: u32, value: f32, weight: f32) -> f32 {
    let given = given_at(at);
    let any = given_at(at_theta);
    let logit = given_at(at_logit);
    let l = clamp(given, params.rate_low, params.rate_high);
    let log_theta = clamp(any, params.dispersion_low, params.dispersion_high);
    let held = given < params.rate_low || given > params.rate_high;
    let theta_held = any < params.dispersion_low || any > params.dispersion_high;
    let term = negative_binomial_term(l, log_theta, value);
    let is_zero = value < 0.5;
    let share = select(1.0, sigmoid(-term - logit), is_zero);
    let slope = (exp(l) - value) / (1.0 + exp(l - log_theta));
    put(at, select(weight * share * slope, 0.0, held));
    // 1 − π of a zero less its share, where the difference of π and 1 would cancel.
    put(at_logit, weight * select(sigmoid(logit), share - sigmoid(-logit), is_zero));
    if GRAD == 1u {
        put(at_theta, select(weight * share * negative_binomial_slope(l, log_theta, value), 0.0, theta_held));
    }
    if !is_zero {
        return term + softplus(logit);
    }
    // −log(π + (1 − π)·exp −n), of a small n from the difference of exp −n and 1.
    if term < 0.5 {
        return -log1p(sigmoid(-logit) * exp_m1(-term));
    }
    return softplus(-logit) - softplus(-term - logit);
}

// One column that is there: its term, and its gradients on the way.
fn present(kind: u32, at: u32, at_x: u32, places: u32, at_lv: u32, weight: f32) -> f32 {
    if kind == COLUMN_CATEGORICAL {
        return category(at, at_x, places, weight);
    }
    let given = given_at(at);
    let value = bitcast<f32>(word_at(at_x));
    if kind == COLUMN_BERNOULLI {
        put(at, weight * (sigmoid(given) - value));
        return bernoulli_term(given, value);
    }
    if kind == COLUMN_POISSON {
        let log_rate = clamp(given, params.rate_low, params.rate_high);
        let held = given < params.rate_low || given > params.rate_high;
        put(at, select(weight * (exp(log_rate) - value), 0.0, held));
        return poisson_term(log_rate, value);
    }
    if kind == COLUMN_NEGATIVE_BINOMIAL {
        return negative_binomial(at, given, at_lv, value, weight);
    }
    let difference = given - value;
    if kind == COLUMN_FIXED {
        put(at, weight * difference * exp(-params.fixed_log_variance));
        return gaussian_term(difference, params.fixed_log_variance);
    }
    let any = given_at(at_lv);
    let lv = clamp(any, params.low, params.high);
    let held = any < params.low || any > params.high;
    let scaled = difference * exp(-lv);
    put(at, weight * scaled);
    put(at_lv, select(weight * 0.5 * (1.0 - difference * scaled), 0.0, held));
    return gaussian_term(difference, lv);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    member = member_of(group);
    let row = linear_workgroup(group, groups);
    if row >= params.rows {
        return;
    }
    let weight = gradient_of_row(row);
    let at_row = row * params.outputs;
    let at_example = (row / params.per_example) * params.width;
    var sum = 0.0;
    for (var column = lane; column < params.columns; column += 64u) {
        let kind = columns[5u * column];
        let place = columns[5u * column + 1u];
        let places = columns[5u * column + 2u];
        let at_lv = at_row + columns[5u * column + 3u];
        let at_third = at_row + columns[5u * column + 4u];
        var missing = false;
        for (var i = 0u; i < places; i += 1u) {
            missing = missing || is_missing(word_at(at_example + place + i));
        }
        if missing {
            for (var i = 0u; i < places; i += 1u) {
                put(at_row + place + i, 0.0);
            }
            if kind == COLUMN_NORMAL || kind == COLUMN_NEGATIVE_BINOMIAL || kind == COLUMN_ZERO_INFLATED {
                put(at_lv, 0.0);
            }
            if kind == COLUMN_ZERO_INFLATED {
                put(at_third, 0.0);
            }
        } else if kind == COLUMN_ZERO_INFLATED {
            let value = bitcast<f32>(word_at(at_example + place));
            sum += zero_inflated(at_row + place, at_lv, at_third, value, weight);
        } else {
            sum += present(kind, at_row + place, at_example + place, places, at_lv, weight);
        }
    }
    if VALUE == 1u {
        let total = workgroup_sum(sum, lane, 64u);
        if lane == 0u {
            distortion[member * MEMBER_DISTORTION + row] = total;
        }
    }
}
