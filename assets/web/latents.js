// Kernels of posteriors and priors: see elements.js for what they are given.

import { fill, position } from "./elements.js";
import { clamp } from "./math.js";

/** z = mean + exp(lv/2)·ε and its KL divergence from N(0, 1); with `DRAW` the noise is drawn. */
export function sample({ p, c, f: { stats, eps, z, kl }, u }, s) {
    const latent = p.latent;
    for (let b = 0; b < p.rows; b += 1) {
        const mean = stats.subarray(2 * b * latent, (2 * b + 1) * latent);
        const lv = stats.slice((2 * b + 1) * latent, (2 * b + 2) * latent).map((x) => clamp(x, p.low, p.high));
        for (let k = 0; k < p.per_example; k += 1) {
            const at = (b * p.per_example + k) * latent;
            if (c.DRAW === 1) {
                fill(s, s.stream, u.order[position(s, b)], s.sample + k, eps.subarray(at, at + latent));
            }
            for (let j = 0; j < latent; j += 1) {
                z[at + j] = mean[j] + Math.exp(0.5 * lv[j]) * eps[at + j];
            }
        }
        let sum = 0;
        for (let j = 0; j < latent; j += 1) {
            sum += 0.5 * (mean[j] * mean[j] + Math.expm1(lv[j]) - lv[j]);
        }
        kl[b] = sum;
    }
}

/** log q(z|x) − log p(z) of each sample, for the prior N(0, 1). */
export function log_ratio({ p, f: { stats, eps, z, ratio } }) {
    const latent = p.latent;
    for (let row = 0; row < p.rows; row += 1) {
        const lv = (2 * Math.floor(row / p.per_example) + 1) * latent;
        let sum = 0;
        for (let j = 0; j < latent; j += 1) {
            const [e, at] = [eps[row * latent + j], z[row * latent + j]];
            sum += 0.5 * (at * at - e * e - clamp(stats[lv + j], p.low, p.high));
        }
        ratio[row] = sum;
    }
}

/** What the prior of a lower stochastic layer makes of such a ratio. */
export function log_prior({ p, c, f: { z, prior, y } }) {
    if (c.OF !== 0) {
        throw new Error("log_prior: a gradient is no part of a page");
    }
    const latent = p.latent;
    for (let row = 0; row < p.rows; row += 1) {
        let sum = 0;
        for (let j = 0; j < latent; j += 1) {
            const lv = clamp(prior[(2 * row + 1) * latent + j], p.low, p.high);
            const at = z[row * latent + j];
            const d = at - prior[2 * row * latent + j];
            sum += 0.5 * (lv + d * d * Math.exp(-lv) - at * at);
        }
        y[row] = sum;
    }
}
