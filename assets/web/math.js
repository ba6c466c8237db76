// Functions of one number that kernels share, in double precision.

export const sigmoid = (x) => 1 / (1 + Math.exp(-x));
export const softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
export const clamp = (x, low, high) => Math.min(Math.max(x, low), high);

// The share of the normal distribution below x: Abramowitz and Stegun 1964, 26.2.17.
function normalBelow(x) {
    const t = 1 / (1 + 0.2316419 * Math.abs(x));
    const series = 0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429)));
    const tail = 0.3989422804 * Math.exp(-0.5 * x * x) * t * series;
    return x >= 0 ? 1 - tail : tail;
}

/** Non-linearities by their codes in plans. */
export const ACTIVATIONS = [
    (x) => x,
    (x) => Math.max(x, 0),
    Math.tanh,
    sigmoid,
    (x) => x * sigmoid(x),
    (x) => 0.5 * x * (1 + Math.tanh(0.7978845608 * (x + 0.044715 * x * x * x))),
    softplus,
    (x) => x * normalBelow(x),
];

const gelu = (x) => Math.tanh(0.7978845608 * (x + 0.044715 * x * x * x));

/**
 * Derivatives by the same codes: of what goes in for silu and both forms of gelu, else of what came out.
 */
export const SLOPES = [
    () => 1,
    (y) => (y > 0 ? 1 : 0),
    (y) => 1 - y * y,
    (y) => y * (1 - y),
    (x) => sigmoid(x) * (1 + x * (1 - sigmoid(x))),
    (x) => 0.5 * (1 + gelu(x)) + 0.5 * x * (1 - gelu(x) ** 2) * 0.7978845608 * (1 + 0.134145 * x * x),
    (y) => 1 - Math.exp(-y),
    (x) => normalBelow(x) + x * 0.3989422804 * Math.exp(-0.5 * x * x),
];

/** log Γ(z) for z > 0, by Stirling's series and the recurrence. */
export function lnGamma(z) {
    let product = 1;
    for (; z < 16; z += 1) {
        product *= z;
    }
    const [inverse, square] = [1 / z, 1 / (z * z)];
    const series = inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680)));
    return (z - 0.5) * Math.log(z) - z + 0.5 * Math.log(2 * Math.PI) + series - Math.log(product);
}

/** log Σ exp of some numbers. */
export function logSumExp(values) {
    const largest = values.reduce((a, b) => Math.max(a, b), -Infinity);
    return largest + Math.log(values.reduce((sum, value) => sum + Math.exp(value - largest), 0));
}

export const HALF_LOG_TWO_PI = 0.5 * Math.log(2 * Math.PI);
