// Kernels of decoders: −log p(x|z) in nats, gradients that pages train by, and means. See elements.js for what kernels are
// given.

import { rowGradient } from "./elements.js";
import { HALF_LOG_TWO_PI, clamp, lnGamma, logSumExp, sigmoid, softplus } from "./math.js";

// Adds up a term of each column of each row.
function rows({ p, c, f }, width, term) {
    if (c.GRAD === 1) {
        throw new Error("a gradient is no part of a page");
    }
    for (let row = 0; row < p.rows; row += 1) {
        const example = Math.floor(row / p.per_example);
        let sum = 0;
        for (let column = 0; column < width; column += 1) {
            sum += term(row, example, column);
        }
        f.distortion[row] = sum;
    }
}

// What each row of a gradient is multiplied by.
function rowWeights({ p, c, f }, s) {
    return (row) => (c.UNIFORM === 1 ? rowGradient(s, p.weight, row, p.per_example) : f.g[row]);
}

const bernoulliTerm = (l, x) => Math.max(l, 0) - l * x + Math.log1p(Math.exp(-Math.abs(l)));

const gaussianTerm = (difference, lv) => HALF_LOG_TWO_PI + 0.5 * (lv + difference * difference * Math.exp(-lv));

/** Zeros and ones from logits. */
export function bernoulli(call, s) {
    const { p: { width, per_example: each }, c, f: { logits, x, dlogits } } = call;
    if (c.VALUE === 1) {
        rows({ ...call, c: {} }, width, (row, example, at) => bernoulliTerm(logits[row * width + at], x[example * width + at]));
    }
    const weight = rowWeights(call, s);
    for (let at = 0; c.GRAD === 1 && at < call.p.rows * width; at += 1) {
        const row = Math.floor(at / width);
        dlogits[at] = weight(row) * (sigmoid(logits[at]) - x[Math.floor(row / each) * width + at % width]);
    }
}

/** Normal distributions with one log-variance or with a learned one. */
export function gaussian(call, s) {
    const { p, c, f: { out, x, dout } } = call;
    const [width, stride] = [p.width, c.LEARNED === 1 ? 2 * p.width : p.width];
    const variance = (row, at) => (c.LEARNED === 1 ? clamp(out[row * stride + width + at], p.low, p.high) : p.log_variance);
    if (c.VALUE === 1) {
        rows({ ...call, c: {} }, width, (row, example, at) => {
            return gaussianTerm(out[row * stride + at] - x[example * width + at], variance(row, at));
        });
    }
    const weight = rowWeights(call, s);
    for (let place = 0; c.GRAD === 1 && place < p.rows * width; place += 1) {
        const [row, at] = [Math.floor(place / width), place % width];
        const [to, lv] = [row * stride + at, variance(row, at)];
        const difference = out[to] - x[Math.floor(row / p.per_example) * width + at];
        const precision = Math.exp(-lv);
        dout[to] = weight(row) * difference * precision;
        if (c.LEARNED === 1) {
            const slope = weight(row) * 0.5 * (1 - difference * difference * precision);
            dout[to + width] = lv === out[to + width] ? slope : 0;
        }
    }
}

// log of the mass that a logistic distribution gives to a level.
function logMass(p, value, mean, given) {
    const inverse = Math.exp(-clamp(given, p.low, p.high));
    const centred = 2 * value - 1 - mean;
    const [a, b] = [inverse * (centred + 1 / 255), inverse * (centred - 1 / 255)];
    const [below, above] = [255 * value < 254.5, 255 * value > 0.5];
    const width = below && above ? Math.log(-Math.expm1(b - a)) : 0;
    return width - (below ? softplus(-a) : 0) - (above ? softplus(b) : 0);
}

/** The discretised mixture of logistics, pixel by pixel. */
export function logistic_mixture(call) {
    const { p, f: { out, x } } = call;
    const { pixels, channels, components } = p;
    const width = channels * pixels;
    const [means, outputs] = [components * pixels, components * (1 + 2 * channels) * pixels];
    const scales = means + components * width;
    rows(call, pixels, (row, example, at) => {
        const from = row * outputs;
        const [logits, seen] = [[], []];
        for (let k = 0; k < components; k += 1) {
            const logit = out[from + k * pixels + at];
            let mass = 0;
            for (let channel = 0; channel < channels; channel += 1) {
                const [place, value] = [k * width + channel * pixels + at, x[example * width + channel * pixels + at]];
                mass += Number.isNaN(value) ? 0 : logMass(p, value, out[from + means + place], out[from + scales + place]);
            }
            logits.push(logit);
            seen.push(logit + mass);
        }
        return logSumExp(logits) - logSumExp(seen);
    });
}

/** The mean of such a mixture. */
export function logistic_mixture_mean({ p, f: { out, mean } }) {
    const { pixels, components } = p;
    const width = p.channels * pixels;
    for (let at = 0; at < p.rows * width; at += 1) {
        const [from, place] = [Math.floor(at / width) * p.outputs, at % width];
        const logits = Array.from({ length: components }, (_, k) => out[from + k * pixels + place % pixels]);
        const all = logSumExp(logits);
        let sum = 0;
        logits.forEach((logit, k) => {
            sum += Math.exp(logit - all) * clamp(out[from + components * pixels + k * width + place], -1, 1);
        });
        mean[at] = 0.5 + 0.5 * sum;
    }
}

const [NORMAL, FIXED, BERNOULLI, CATEGORICAL, POISSON, NEGATIVE_BINOMIAL, ZERO_INFLATED] = [0, 1, 2, 3, 4, 5, 6];

// The columns of a table: kind, first place, places, places of the second and the third number.
function columnsOf({ p, u }) {
    const at = (column) => u.columns.subarray(5 * column, 5 * column + 5);
    return Array.from({ length: p.columns }, (_, column) => [...at(column)]);
}

// The term of a column that is not missing.
function columnTerm(p, [kind, place, places, second, third], out, x) {
    const [value, seen] = [out[place], x[place]];
    if (kind === CATEGORICAL) {
        const total = logSumExp([...out.subarray(place, place + places)]);
        let term = 0;
        for (let at = place; at < place + places; at += 1) {
            term += x[at] * (total - out[at]);
        }
        return term;
    }
    if (kind === BERNOULLI) {
        return bernoulliTerm(value, seen);
    }
    const l = clamp(value, p.rate_low, p.rate_high);
    if (kind === POISSON) {
        return Math.exp(l) - l * seen + lnGamma(seen + 1);
    }
    if (kind === NEGATIVE_BINOMIAL || kind === ZERO_INFLATED) {
        const at = kind === ZERO_INFLATED ? third : second;
        const theta = Math.exp(clamp(out[at], p.dispersion_low, p.dispersion_high));
        const all = seen + theta;
        const term = lnGamma(seen + 1) + lnGamma(theta) - lnGamma(all) - theta * Math.log(theta) - seen * l
            + all * Math.log(theta + Math.exp(l));
        if (kind === NEGATIVE_BINOMIAL) {
            return term;
        }
        const logit = out[second];
        return seen > 0 ? term + softplus(logit) : softplus(-logit) - softplus(-term - logit);
    }
    return gaussianTerm(value - seen, kind === NORMAL ? clamp(out[second], p.low, p.high) : p.fixed_log_variance);
}

// The slopes of normal columns. A formula asks for them to learn what is missing: there alone they are 0.
function slopes({ p, c, f: { out, x, g, dout } }, columns) {
    if (c.UNIFORM === 1 || c.VALUE === 1 || columns.some(([kind]) => kind !== FIXED)) {
        throw new Error("table: such a gradient is no part of a page");
    }
    for (let at = 0; at < p.rows * p.outputs; at += 1) {
        const [row, place] = [Math.floor(at / p.outputs), at % p.outputs];
        const seen = x[Math.floor(row / p.per_example) * p.width + place];
        dout[at] = Number.isNaN(seen) ? 0 : g[row] * (out[at] - seen) * Math.exp(-p.fixed_log_variance);
    }
}

/** Columns of a table, each by its own distribution; what is missing adds nothing. */
export function table(call) {
    const { p, c, f: { out, x } } = call;
    const columns = columnsOf(call);
    if (c.GRAD === 1) {
        slopes(call, columns);
        return;
    }
    rows(call, columns.length, (row, example, at) => {
        const given = out.subarray(row * p.outputs, (row + 1) * p.outputs);
        const seen = x.subarray(example * p.width, (example + 1) * p.width);
        const [, place, places] = columns[at];
        const missing = seen.subarray(place, place + places).some(Number.isNaN);
        return missing ? 0 : columnTerm(p, columns[at], given, seen);
    });
}

function encoded(kind, value) {
    if (Number.isNaN(value)) {
        return 0;
    }
    return kind >= POISSON ? Math.log1p(Math.max(value, 0)) : value;
}

/** Rows of a table as an encoder is shown them, or what a decoder puts out as means. */
export function table_values(call) {
    const { p, c, f: { given, values } } = call;
    const columns = columnsOf(call);
    for (let row = 0; row < p.rows; row += 1) {
        const from = row * p.width;
        for (const [kind, place, places, second, third] of columns) {
            const logits = c.TO === 1 && kind === CATEGORICAL ? [...given.subarray(from + place, from + place + places)] : [];
            const total = logSumExp(logits);
            for (let at = from + place; at < from + place + places; at += 1) {
                if (c.TO === 0) {
                    values[at] = encoded(kind, given[at]);
                } else if (kind === CATEGORICAL) {
                    values[at] = Math.exp(given[at] - total);
                } else if (kind === BERNOULLI) {
                    values[at] = sigmoid(given[at]);
                } else {
                    const isRate = kind !== NORMAL && kind !== FIXED;
                    values[at] = isRate ? Math.exp(clamp(given[at], p.rate_low, p.rate_high)) : given[at];
                }
            }
            if (c.TO === 1 && (kind === NORMAL || kind === NEGATIVE_BINOMIAL || kind === ZERO_INFLATED)) {
                values[from + second] = given[from + second];
            }
            if (c.TO === 1 && kind === ZERO_INFLATED) {
                values[from + place] *= sigmoid(-given[from + second]);
                values[from + third] = given[from + third];
            }
        }
    }
}
