// Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011) and what is made of its words: the same numbers as in elbo itself, so that
// a seed draws the same samples here and there.

// The upper 32 bits of a product of two words.
export function high(a, b) {
    const [a0, a1, b0, b1] = [a & 0xffff, a >>> 16, b & 0xffff, b >>> 16];
    const middle = a1 * b0 + ((a0 * b0) >>> 16);
    const carry = a0 * b1 + (middle & 0xffff);
    return (a1 * b1 + (middle >>> 16) + (carry >>> 16)) >>> 0;
}

/** Four random words for a counter of four words under a key of two. */
export function philox([c0, c1, c2, c3], [k0, k1]) {
    for (let round = 0; round < 10; round += 1) {
        const [h0, h1] = [high(c0, 0xd2511f53), high(c2, 0xcd9e8d57)];
        const [l0, l1] = [Math.imul(c0, 0xd2511f53) >>> 0, Math.imul(c2, 0xcd9e8d57) >>> 0];
        [c0, c1, c2, c3] = [(h1 ^ c1 ^ k0) >>> 0, l1, (h0 ^ c3 ^ k1) >>> 0, l0];
        [k0, k1] = [(k0 + 0x9e3779b9) >>> 0, (k1 + 0xbb67ae85) >>> 0];
    }
    return [c0, c1, c2, c3];
}

/** (k + 1/2)·2⁻²³ from the upper 23 bits: never 0 or 1. */
export function uniform(word) {
    return ((word >>> 9) + 0.5) / 8388608;
}

const NEAR = [
    2.8102264e-8, 3.4327394e-7, -3.523388e-6, -4.3915065e-6, 0.00021858087, -0.001253725, -0.0041776816, 0.24664073, 1.5014094,
];
const FAR = [
    -0.00020021426, 0.00010095056, 0.0013493432, -0.0036734284, 0.0057395077, -0.0076224613, 0.0094388705, 1.0016741, 2.8329768,
];

/** A standard normal deviate: the inverse of the distribution function by the polynomials of Giles (2012). */
export function normal(word) {
    const u = uniform(word);
    const w = -Math.log(4 * u * (1 - u));
    const [factors, x] = w < 5 ? [NEAR, w - 2.5] : [FAR, Math.sqrt(w) - 3];
    return Math.SQRT2 * factors.reduce((sum, factor) => factor + sum * x, 0) * (2 * u - 1);
}
