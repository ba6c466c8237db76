// The order in which an epoch visits examples: that of elbo, which shuffles by the functions of the crate `rand`.

import { high, philox } from "./random.js";

// Philox words one after the other.
function words(key, stream, epoch) {
    let [block, at, count] = [[], 4, 0];
    return () => {
        if (at === 4) {
            block = philox([stream, epoch, 0, count], key);
            [at, count] = [0, count + 1];
        }
        at += 1;
        return block[at - 1];
    };
}

// A whole number below `bound`: the upper word of a product, corrected once where it would be biased (Canon's method).
function below(bound, word) {
    const first = word();
    const low = Math.imul(first, bound) >>> 0;
    const result = high(first, bound);
    return low > 2 ** 32 - bound && low + high(word(), bound) >= 2 ** 32 ? result + 1 : result;
}

/** The examples of a range, each exactly once (Durstenfeld's shuffle, several indices from one random word). */
export function order([begin, end], { shuffle, key, streams }, epoch) {
    const all = Uint32Array.from({ length: end - begin }, (_, at) => begin + at);
    const word = words(key, streams.order, epoch);
    let [chunk, left] = [0, 1];
    for (let at = 0; shuffle && at < all.length; at += 1) {
        const next = at + 1;
        if (left === 0) {
            let bound = next;
            for (left = 1; bound * (next + left) < 2 ** 32; left += 1) {
                bound *= next + left;
            }
            chunk = below(bound, word);
        }
        left -= 1;
        const other = left === 0 ? chunk : chunk % next;
        chunk = Math.floor(chunk / next);
        [all[at], all[other]] = [all[other], all[at]];
    }
    return all;
}
