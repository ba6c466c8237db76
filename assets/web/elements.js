// Kernels that look at one number, or one row, at a time. A kernel gets a call and the scalars of the run:
//
// - `p`, its params by name; `c`, its compile-time constants by name; `entries` of its table; `program`, the words of a formula;
// - `f` and `u`, its bindings by name, as floats and as words; those that it writes are among them.
//
// Meaning and names are those of the twins in elbo's src/kernels.

import { ACTIVATIONS } from "./math.js";
import { normal, philox, uniform } from "./random.js";

// The example in a row of the batch; rows that do not count repeat the last one.
const position = (s, row) => s.first + Math.min(row, Math.max(s.rows, 1) - 1);

const STREAM_BINARISE = 4;

/** The gradient that the mean over the batch, times a weight, gives to a row, of `each` rows for an example. */
export function rowGradient(s, weight, row, each) {
    return row < s.rows * each ? s.weights[weight] * s.row_weight / each : 0;
}

/** A batch of examples, which are bytes or floats, as they are or binarised. */
export function gather({ p, c, f, u }, s) {
    const bytes = c.SOURCE === 0;
    const pixels = new Uint8Array(u.data.buffer, u.data.byteOffset, u.data.byteLength);
    for (let row = 0; row < p.rows; row += 1) {
        const example = u.order[position(s, row)];
        let words = [];
        for (let column = 0; column < p.width; column += 1) {
            const at = example * p.stride + column;
            const value = bytes ? pixels[at] / 255 : f.data[at];
            let shown = value;
            if (c.BINARISE === 1 && !Number.isNaN(value)) {
                shown = value >= 0.5 ? 1 : 0;
            } else if (c.BINARISE === 2 && !Number.isNaN(value)) {
                if (column % 4 === 0) {
                    words = philox([STREAM_BINARISE, s.step, example, column / 4], s.key);
                }
                const word = words[column % 4];
                // Of bytes in whole numbers, as elbo has it.
                shown = (bytes ? (word >>> 8) * 255 < pixels[at] * 2 ** 24 : uniform(word) < value) ? 1 : 0;
            }
            f.x[row * p.width + column] = shown;
        }
    }
}

// The noise of one sample of an example.
function fill(s, stream, example, sample, row) {
    const blocks = Math.ceil(row.length / 4);
    for (let block = 0; block < blocks; block += 1) {
        const words = philox([stream, s.step, example, (Math.imul(sample, blocks) + block) >>> 0], s.key);
        for (let at = 4 * block; at < Math.min(4 * block + 4, row.length); at += 1) {
            row[at] = normal(words[at % 4]);
        }
    }
}

/** Standard normal noise for the latents of a stochastic layer. */
export function noise({ p, f, u }, s) {
    for (let row = 0; row < p.rows; row += 1) {
        const example = u.order[position(s, Math.floor(row / p.per_example))];
        const values = f.noise.subarray(row * p.width, (row + 1) * p.width);
        fill(s, (s.stream | (p.layer << 16)) >>> 0, example, s.sample + row % p.per_example, values);
    }
}

/** y = f(x). */
export function activation({ p, c, f: { x, y } }) {
    const of = ACTIVATIONS[c.ACTIVATION];
    for (let at = 0; at < p.count; at += 1) {
        y[at] = of(x[at]);
    }
}

/** The same numbers beside every row, or rows without them, or their sums. */
export function append({ p, c, f: { x, w, y } }) {
    const [wide, each] = [p.width + p.tail, p.tail / p.count];
    for (let row = 0; row < p.rows; row += 1) {
        if (c.OP === 0) {
            y.set(x.subarray(row * p.width, (row + 1) * p.width), row * wide);
            for (let at = 0; at < p.tail; at += 1) {
                y[row * wide + p.width + at] = w[Math.floor(at / each)];
            }
        } else if (c.OP === 1) {
            y.set(x.subarray(row * wide, row * wide + p.width), row * p.width);
        } else {
            for (let at = 0; at < p.count; at += 1) {
                const from = row * wide + p.width + at * each;
                y[row * p.count + at] = x.subarray(from, from + each).reduce((sum, value) => sum + value, 0);
            }
        }
    }
}

/** A vector spread over rows or columns. */
export function broadcast({ p, c, f: { v, y } }) {
    for (let at = 0; at < p.rows * p.width; at += 1) {
        y[at] = v[c.ALONG === 0 ? Math.floor(at / p.width) : at % p.width];
    }
}

/** Two tensors of one shape into one. */
export function combine({ p, c, f: { a, b, y } }) {
    for (let at = 0; at < p.count; at += 1) {
        y[at] = [() => p.alpha * a[at] + p.beta * b[at], () => a[at] * b[at], () => p.alpha * a[at]][c.OP]();
    }
}

/** Sums of rows. */
export function sum_rows({ p, f: { x, y } }) {
    for (let row = 0; row < p.rows; row += 1) {
        y[row] = x.subarray(row * p.width, (row + 1) * p.width).reduce((sum, value) => sum + value, 0);
    }
}

/** Sums of columns. */
export function sum_columns({ p, f: { x, y } }) {
    for (let column = 0; column < p.width; column += 1) {
        let sum = 0;
        for (let row = 0; row < p.rows; row += 1) {
            sum += x[row * p.width + column];
        }
        y[column] = sum;
    }
}

/** Rows by their index; an index that names no row takes zeros. */
export function take_rows({ p, c, f: { x, index, y } }) {
    if (c.ADD === 1) {
        throw new Error("take_rows: a gradient is no part of a page");
    }
    for (let row = 0; row < p.rows; row += 1) {
        const from = Math.floor(index[row]);
        const there = index[row] >= 0 && from < p.count;
        for (let column = 0; column < p.width; column += 1) {
            y[row * p.width + column] = there ? x[from * p.width + column] : 0;
        }
    }
}

/** Rows with the class of their example behind them, as a one among zeros. */
export function with_class({ p, c, f: { x, labels, y } }) {
    const wide = p.width + p.classes;
    for (let row = 0; row < p.rows; row += 1) {
        if (c.REMOVE === 1) {
            y.set(x.subarray(row * wide, row * wide + p.width), row * p.width);
            continue;
        }
        y.set(x.subarray(row * p.width, (row + 1) * p.width), row * wide);
        const label = Math.floor(labels[Math.floor(row / p.per_example)]);
        for (let place = 0; place < p.classes; place += 1) {
            y[row * wide + p.width + place] = place === label ? 1 : 0;
        }
    }
}

/** The means over the batch of the terms of the loss. */
export function batch_mean({ p, entries, f: { terms, metrics } }, s) {
    for (const entry of entries.slice(0, p.terms)) {
        const count = Math.min(p.batch, s.rows) * entry.per_example * entry.width;
        const sum = terms.subarray(entry.offset, entry.offset + count).reduce((all, value) => all + value, 0);
        metrics[s.slot * p.columns + entry.index] = sum * s.row_weight / entry.per_example;
    }
}

export { fill, position };
