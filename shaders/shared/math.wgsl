
// Functions that WGSL leaves loose or lacks, with the formulas of src/kernels/math.rs.

const IDENTITY = 0u;
const RELU = 1u;
const TANH = 2u;
const SIGMOID = 3u;
const SILU = 4u;
const GELU = 5u;
const SOFTPLUS = 6u;
const GELU_ERF = 7u;

// log(1 + e) for e in [0, 1]: 2·artanh(e / (2 + e)) as a series; the argument is at most 1/3.
fn log1p_unit(e: f32) -> f32 {
    let s = e / (2.0 + e);
    let q = s * s;
    return 2.0 * s * (1.0 + q * (1.0 / 3.0 + q * (0.2 + q * (1.0 / 7.0 + q * (1.0 / 9.0 + q * (1.0 / 11.0
        + q * (1.0 / 13.0 + q * (1.0 / 15.0))))))));
}

// x, or 0 in place of a subnormal number, for what is kept from step to step.
fn lasting(x: f32) -> f32 {
    return select(x, 0.0, abs(x) < 0x1p-126);
}

fn lasting4(x: vec4<f32>) -> vec4<f32> {
    return select(x, vec4(0.0), abs(x) < vec4(0x1p-126));
}

fn softplus(x: f32) -> f32 {
    return max(x, 0.0) + log1p_unit(exp(-abs(x)));
}

fn sigmoid(x: f32) -> f32 {
    let e = exp(-abs(x));
    return select(e, 1.0, x >= 0.0) / (1.0 + e);
}

// A polynomial near zero, where 1 − exp(−2|x|) would cancel.
fn tanh_exact(x: f32) -> f32 {
    let q = x * x;
    let near = x * (1.0 + q * (-1.0 / 3.0 + q * (2.0 / 15.0 + q * (-17.0 / 315.0 + q * (62.0 / 2835.0)))));
    let e = exp(-2.0 * abs(x));
    let far = sign(x) * (1.0 - e) / (1.0 + e);
    return select(far, near, abs(x) < 0.25);
}

fn activate(kind: u32, x: f32) -> f32 {
    switch kind {
        case RELU: { return max(x, 0.0); }
        case TANH: { return tanh_exact(x); }
        case SIGMOID: { return sigmoid(x); }
        case SILU: { return x * sigmoid(x); }
        case GELU: { return 0.5 * x * (1.0 + tanh_exact(gelu_argument(x))); }
        case SOFTPLUS: { return softplus(x); }
        case GELU_ERF: { return x * normal_below(x, exp(-0.5 * x * x)); }
        default: { return x; }
    }
}

// The derivative, from the output y where that is enough (ReLU, tanh, sigmoid, softplus), else from the input x.
fn activate_derivative(kind: u32, v: f32) -> f32 {
    switch kind {
        case RELU: { return select(0.0, 1.0, v > 0.0); }
        case TANH: { return 1.0 - v * v; }
        case SIGMOID: { return v * (1.0 - v); }
        case SILU: { let s = sigmoid(v); return s * (1.0 + v * (1.0 - s)); }
        case GELU: {
            let t = tanh_exact(gelu_argument(v));
            return 0.5 * (1.0 + t) + 0.5 * v * (1.0 - t * t) * 0.7978845608 * (1.0 + 3.0 * 0.044715 * v * v);
        }
        case SOFTPLUS: { return 1.0 - exp(-v); }
        case GELU_ERF: { let e = exp(-0.5 * v * v); return normal_below(v, e) + 0.3989422804 * e * v; }
        default: { return 1.0; }
    }
}

// e^x − 1 − x, about x²/2 near 0, where the exact form would leave nothing but rounding.
fn exp_beyond_linear(x: f32) -> f32 {
    if abs(x) >= 0.5 {
        return exp(x) - 1.0 - x;
    }
    return x * x * (0.5 + x * (1.0 / 6.0 + x * (1.0 / 24.0 + x * (1.0 / 120.0 + x * (1.0 / 720.0 + x / 5040.0)))));
}

// e^x − 1.
fn exp_m1(x: f32) -> f32 {
    return x + exp_beyond_linear(x);
}

fn gelu_argument(x: f32) -> f32 {
    return 0.7978845608 * (x + 0.044715 * x * x * x);
}

// The share of the normal distribution below x, given e = exp(-x²/2): Abramowitz and Stegun 1964, 26.2.17.
fn normal_below(x: f32, e: f32) -> f32 {
    let t = 1.0 / (1.0 + 0.2316419 * abs(x));
    let series = 0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429)));
    let tail = 0.3989422804 * e * t * series;
    return select(tail, 1.0 - tail, x >= 0.0);
}
