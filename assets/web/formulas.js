// Formulas: a plan has them as words, a list of operands and one of instructions of which the last is the result
// (elbo's src/expr/words.rs). Here they are followed, for many places at once, and rounded as shaders round.

import { sigmoid, softplus } from "./math.js";

const UNARY = [(x) => -x, Math.abs, Math.exp, Math.log, Math.log1p, Math.sqrt, Math.tanh, sigmoid, softplus];
const BINARY = [
    (a, b) => a + b,
    (a, b) => a - b,
    (a, b) => a * b,
    (a, b) => a / b,
    Math.max,
    Math.min,
    (a, b) => (a < b ? 1 : 0),
    (a, b) => (a <= b ? 1 : 0),
    (a, b) => (a === b ? 1 : 0),
];
const [FIRST_UNARY, FIRST_BINARY] = [16, 48];
// Places that are computed at once.
const BLOCK = 1024;
const TENSORS = ["a", "b", "c", "d", "e", "f", "g"];

// The operands and instructions of a program, and room for what instructions leave for each other.
function read(words) {
    const operands = [];
    let at = 1;
    for (let k = 0; k < words[0]; k += 1, at += 5) {
        const [share, rows, width, shift, flags] = words.slice(at, at + 5);
        operands.push({ share, rows, width, shift: flags & 1 ? shift | 0 : null, reversed: (flags & 4) !== 0 });
    }
    const code = [];
    for (; at < words.length; at += 4) {
        code.push({ kind: words[at], a: words[at + 1], b: words[at + 2], c: words[at + 3], values: new Float32Array(BLOCK) });
    }
    const float = new Float32Array(1);
    for (const instruction of code.filter(({ kind }) => kind === 1)) {
        new Uint32Array(float.buffer)[0] = instruction.a;
        instruction.values.fill(float[0]);
    }
    return { operands, code };
}

// What an operand has in some places; 0 where it has no such column.
function look({ share, rows, width, shift, reversed }, tensor, places, y) {
    for (let i = 0; i < places.count; i += 1) {
        const row = Math.floor(places.rows[i] / share) % rows;
        let column = 0;
        if (shift !== null) {
            column = reversed ? shift - places.columns[i] : places.columns[i] + shift;
        }
        y[i] = column >= 0 && column < width ? tensor[row * width + column] : 0;
    }
}

// The numbers of a formula in some places.
function evaluate({ operands, code }, f, s, places) {
    const { count, rows, columns } = places;
    for (const { kind, a, b, c, values: y } of code) {
        if (kind >= FIRST_BINARY) {
            const [of, x1, x2] = [BINARY[kind - FIRST_BINARY], code[a].values, code[b].values];
            for (let i = 0; i < count; i += 1) {
                y[i] = of(x1[i], x2[i]);
            }
        } else if (kind >= FIRST_UNARY) {
            const [of, x] = [UNARY[kind - FIRST_UNARY], code[a].values];
            for (let i = 0; i < count; i += 1) {
                y[i] = of(x[i]);
            }
        } else if (kind === 0) {
            look(operands[a], f[TENSORS[a]], places, y);
        } else if (kind === 2 || kind === 3) {
            y.fill(kind === 2 ? s.weights[a] : s.rows);
        } else if (kind === 4 || kind === 5) {
            for (let i = 0; i < count; i += 1) {
                y[i] = (kind === 4 ? rows[i] : columns[i]) % a;
            }
        } else if (kind === 6) {
            const [decides, yes, no] = [code[a].values, code[b].values, code[c].values];
            for (let i = 0; i < count; i += 1) {
                y[i] = decides[i] === 0 ? no[i] : yes[i];
            }
        }
    }
    return code[code.length - 1].values;
}

// Gives the numbers of a formula in places 0 to `total`, a block at a time, to `take(first, values, count)`.
function each(call, s, total, place, take) {
    call.formula ??= read(call.program);
    const places = { count: 0, rows: new Uint32Array(BLOCK), columns: new Uint32Array(BLOCK) };
    for (let first = 0; first < total; first += BLOCK) {
        places.count = Math.min(BLOCK, total - first);
        for (let i = 0; i < places.count; i += 1) {
            place(first + i, i, places);
        }
        take(first, evaluate(call.formula, call.f, s, places), places.count);
    }
}

/** A formula in each place of a tensor. */
export function map(call, s) {
    const { p, f: { y } } = call;
    const place = (at, i, { rows, columns }) => {
        rows[i] = Math.floor(at / p.columns);
        columns[i] = at % p.columns;
    };
    each(call, s, p.rows * p.columns, place, (first, values, count) => y.set(values.subarray(0, count), first));
}

const [COLUMNS, ROWS] = [0, 1];

// What becomes of some numbers: their sum, the largest, log Σ exp, the place of the largest or of the smallest.
function reduced(kind, numbers) {
    let [best, sum] = [0, 0];
    for (let at = 1; at < numbers.length; at += 1) {
        const better = kind === 4 ? numbers[at] < numbers[best] : numbers[at] > numbers[best];
        best = better ? at : best;
    }
    const largest = numbers[best];
    if (kind === 1 || kind >= 3) {
        return kind === 1 ? largest : best;
    }
    for (const number of numbers) {
        sum += kind === 0 ? number : Math.exp(number - largest);
    }
    return kind === 0 ? sum : largest + Math.log(sum);
}

/** A formula reduced along an axis. */
export function reduce(call, s) {
    const { p, c, f: { y } } = call;
    const [size, width] = [c.SIZE, p.columns];
    const [apart, between] = c.ALONG === ROWS ? [1, size] : [p.rows / size, 1];
    const numbers = new Float32Array(size);
    const place = (at, i, { rows, columns }) => {
        const [output, m] = [Math.floor(at / size), at % size];
        const along = c.ALONG === COLUMNS;
        rows[i] = along ? output : Math.floor(output / width) * between + m * apart;
        columns[i] = along ? m : output % width;
    };
    each(call, s, p.outputs * size, place, (first, values, count) => {
        for (let i = 0; i < count; i += 1) {
            const m = (first + i) % size;
            numbers[m] = values[i];
            if (m === size - 1) {
                y[Math.floor((first + i) / size)] = reduced(c.KIND, numbers);
            }
        }
    });
}
