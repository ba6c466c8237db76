// Products of matrices, convolutions and normalisation: see elements.js for what kernels are given. Sums are in double
// precision.

import { ACTIVATIONS, SLOPES } from "./math.js";

// Adds the products of a row of A with the columns of B, which is stored as its transpose.
function addTransposed(sums, left, right, k) {
    for (let j = 0; j < sums.length; j += 1) {
        let sum = sums[j];
        for (let d = 0, from = j * k; d < k; d += 1, from += 1) {
            sum += left[d] * right[from];
        }
        sums[j] = sum;
    }
}

/**
 * C = A·B with a bias, and a non-linearity or the slope of one; several such products side by side. With `ONES` the last row
 * of C are the sums of the columns of B.
 */
export function matmul_direct({ p, c, entries, f }) {
    if (c.EPILOGUE > 2) {
        throw new Error("matmul_direct: such a product is no part of a page");
    }
    const [of, slope] = [ACTIVATIONS[c.EPILOGUE === 1 ? c.ACTIVATION : 0], c.EPILOGUE === 2 ? SLOPES[c.ACTIVATION] : null];
    for (const { m, n, k, a, b, aux, c: at } of entries.slice(0, p.jobs)) {
        const [right, stored] = [f.b.subarray(b), m - c.ONES];
        const [sums, row] = [new Float64Array(n), new Float32Array(k)];
        for (let i = 0; i < m; i += 1) {
            sums.set(c.BIAS === 1 ? right.subarray(k * n, (k + 1) * n) : new Float64Array(n));
            for (let d = 0; d < k; d += 1) {
                const left = f.a[a + (c.TRANSPOSE_A === 1 ? d * stored + i : i * k + d)];
                row[d] = c.ONES === 1 && i === stored ? 1 : left;
            }
            if (c.TRANSPOSE_B === 1) {
                addTransposed(sums, row, right, k);
            }
            for (let d = 0; c.TRANSPOSE_B === 0 && d < k; d += 1) {
                const left = row[d];
                for (let j = 0, from = d * n; left !== 0 && j < n; j += 1, from += 1) {
                    sums[j] += left * right[from];
                }
            }
            for (let j = 0, to = i * n; j < n; j += 1, to += 1) {
                f.c[at + to] = slope ? sums[j] * slope(f.aux[aux + to]) : of(sums[j]);
            }
        }
    }
}

/** C = A·B for each of a batch of matrices. */
export function batched_product({ p: { batch, m, n, k }, c, f: { a, b, y } }) {
    for (let at = 0; at < batch * m * n; at += 1) {
        const [of, i, j] = [Math.floor(at / n / m), Math.floor(at / n) % m, at % n];
        let sum = 0;
        for (let d = 0; d < k; d += 1) {
            const left = a[of * m * k + (c.TRANSPOSE_A === 1 ? d * m + i : i * k + d)];
            sum += left * b[of * k * n + (c.TRANSPOSE_B === 1 ? j * k + d : d * n + j)];
        }
        y[at] = sum;
    }
}

// What each pixel of the image that is made sees of the other one: through each tap a pixel, or −1.
function seen(p, up, padding) {
    const [fine, coarse] = [[p.fine_height, p.fine_width], [p.coarse_height, p.coarse_width]];
    const [made, read] = up ? [fine, coarse] : [coarse, fine];
    const taps = p.kernel * p.kernel;
    const all = new Int32Array(made[0] * made[1] * taps);
    const place = (at, tap, extent) => {
        const found = up ? (at + padding - tap) / p.stride : at * p.stride + tap - padding;
        return Number.isInteger(found) && found >= 0 && found < extent ? found : -1;
    };
    for (let at = 0; at < all.length; at += 1) {
        const [pixel, tap] = [Math.floor(at / taps), at % taps];
        const y = place(Math.floor(pixel / made[1]), Math.floor(tap / p.kernel), read[0]);
        const x = place(pixel % made[1], tap % p.kernel, read[1]);
        all[at] = y < 0 || x < 0 ? -1 : y * read[1] + x;
    }
    return { all, taps, made: made[0] * made[1], read: read[0] * read[1] };
}

/** Convolutions and, with `UP`, transposed ones. */
export function conv(call) {
    const { p, c, f: { x, w, y } } = call;
    if (c.TRANSPOSE === 1 || c.EPILOGUE > 1) {
        throw new Error("conv: a gradient is no part of a page");
    }
    call.seen ??= seen(p, c.UP === 1, p.padding);
    const { all, taps, made, read } = call.seen;
    const { inputs, outputs } = p;
    const of = ACTIVATIONS[c.EPILOGUE === 1 ? c.ACTIVATION : 0];
    const [bias, sums] = [w.subarray(taps * inputs * outputs, (taps * inputs + 1) * outputs), new Float64Array(outputs)];
    for (let at = 0; at < p.rows * made; at += 1) {
        const [row, pixel] = [Math.floor(at / made), at % made];
        sums.set(bias);
        for (let tap = 0; tap < taps; tap += 1) {
            const from = all[pixel * taps + tap];
            for (let input = 0; from >= 0 && input < inputs; input += 1) {
                const left = x[(row * read + from) * inputs + input];
                for (let output = 0, k = (tap * inputs + input) * outputs; output < outputs; output += 1, k += 1) {
                    sums[output] += left * w[k];
                }
            }
        }
        for (let output = 0; output < outputs; output += 1) {
            y[at * outputs + output] = of(sums[output]);
        }
    }
}

/** Means of neighbouring pixels or, with `UP`, pixels that are repeated. */
export function pool(call) {
    const { p, c, f: { x, y } } = call;
    call.seen ??= seen(p, c.UP === 1, 0);
    const { all, taps, made, read } = call.seen;
    for (let at = 0; at < p.rows * made * p.channels; at += 1) {
        const [place, channel] = [Math.floor(at / p.channels), at % p.channels];
        const [row, pixel] = [Math.floor(place / made), place % made];
        let sum = 0;
        for (let tap = 0; tap < taps; tap += 1) {
            const from = all[pixel * taps + tap];
            sum += from < 0 ? 0 : x[(row * read + from) * p.channels + channel];
        }
        y[at] = p.factor * sum;
    }
}

/** Channels side by side in each pixel, or one plane after the other. */
export function planes({ p, c, f: { x, y } }) {
    const width = p.pixels * p.channels;
    const [outer, inner] = c.TO_PIXELS === 1 ? [p.pixels, p.channels] : [p.channels, p.pixels];
    for (let at = 0; at < p.rows * width; at += 1) {
        const place = at % width;
        y[at] = x[at - place + place % inner * outer + Math.floor(place / inner)];
    }
}

/** The mean and one over the standard deviation of each group of channels. */
export function group_moments({ p, f: { x, moments } }) {
    const [width, size] = [p.pixels * p.channels, p.channels / p.groups];
    for (let at = 0; at < p.rows * p.groups; at += 1) {
        const first = Math.floor(at / p.groups) * width + at % p.groups * size;
        const sum = (of) => {
            let all = 0;
            for (let pixel = 0; pixel < p.pixels; pixel += 1) {
                for (let channel = 0; channel < size; channel += 1) {
                    all += of(x[first + pixel * p.channels + channel]);
                }
            }
            return all / (p.pixels * size);
        };
        const mean = sum((value) => value);
        moments[2 * at] = mean;
        moments[2 * at + 1] = 1 / Math.sqrt(sum((value) => (value - mean) ** 2) + p.eps);
    }
}

/** Normalisation by such moments, with a scale and a shift for each channel. */
export function group_norm({ p, f: { x, w, moments, y } }) {
    const [width, size] = [p.pixels * p.channels, p.channels / p.groups];
    for (let at = 0; at < p.rows * width; at += 1) {
        const channel = at % p.channels;
        const group = Math.floor(at / width) * p.groups + Math.floor(channel / size);
        y[at] = (x[at] - moments[2 * group]) * moments[2 * group + 1] * w[channel] + w[p.channels + channel];
    }
}
