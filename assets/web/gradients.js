// Kernels that only a training step has: see elements.js for what they are given.

import { rowGradient } from "./elements.js";
import { clamp } from "./math.js";

/** The gradient of a loss in mean and log-variance, through the samples and through the KL divergence. */
export function posterior_grad({ p, c, f: { stats, eps, dz, g, dstats } }, s) {
    const latent = p.latent;
    for (let b = 0; b < p.rows; b += 1) {
        const given = c.UNIFORM === 1 ? rowGradient(s, p.weight, b, 1) : g[b];
        const weight = c.KL === 1 ? given : 0;
        for (let j = 0; j < latent; j += 1) {
            const [at, scale] = [2 * b * latent + j, (2 * b + 1) * latent + j];
            const lv = clamp(stats[scale], p.low, p.high);
            let [mean, variance] = [weight * stats[at], weight * 0.5 * Math.expm1(lv)];
            for (let k = 0; c.SAMPLED === 1 && k < p.per_example; k += 1) {
                const draw = (b * p.per_example + k) * latent + j;
                mean += dz[draw];
                variance += dz[draw] * eps[draw] * 0.5 * Math.exp(0.5 * lv);
            }
            dstats[at] = mean;
            dstats[scale] = lv === stats[scale] ? variance : 0;
        }
    }
}

const [SGD, RMSPROP, ADAMW] = [0, 1, 3];
// The smallest number that is kept from step to step: what is smaller becomes 0.
const LEAST = 2 ** -126;
const lasting = (x) => (Math.abs(x) < LEAST ? 0 : x);

const SUM = 0;

/** The sum of gradients over the runs of an update, or a moving average of the parameters over updates. */
export function accumulate({ p, c, f: { x, kept } }, s) {
    const parts = Math.max(c.PARTS, 1);
    const part = s.slot % parts;
    // An average of few values forgets where it began.
    const decay = Math.min(p.decay, (1 + s.step) / (10 + s.step));
    for (let at = 0; at < p.count; at += 1) {
        if (c.WHAT === SUM) {
            kept[at] = part === 0 ? x[at] : kept[at] + x[at];
        } else if (part === parts - 1) {
            kept[at] = lasting(kept[at] + (1 - decay) * (x[at] - kept[at]));
        }
    }
}

/** The update of the parameters by SGD, RMSprop, Adam or AdamW. */
export function update({ p, c, f: { grad, param, first, second } }, s) {
    if (c.CLIP === 1 || c.MEANS !== 0) {
        throw new Error("update: clipping and means are no part of a page");
    }
    const parts = Math.max(c.PARTS, 1);
    if (s.slot % parts !== parts - 1) {
        return;
    }
    const root = Math.sqrt(s.correction2);
    for (let at = 0; at < p.count; at += 1) {
        const value = param[at];
        const g = grad[at] + (c.RULE === ADAMW ? 0 : p.weight_decay * value);
        if (c.RULE !== SGD) {
            second[at] = lasting(p.beta2 * second[at] + (1 - p.beta2) * g * g);
        }
        if (c.RULE <= RMSPROP) {
            let change = c.RULE === SGD ? g : g / (Math.sqrt(second[at]) + p.eps);
            if (c.MOMENTUM === 1) {
                first[at] = lasting(change + p.beta1 * first[at]);
                change = first[at];
            }
            param[at] = value - s.lr * change;
            continue;
        }
        first[at] = lasting(p.beta1 * first[at] + (1 - p.beta1) * g);
        const kept = c.RULE === ADAMW ? value - s.lr * p.weight_decay * value : value;
        param[at] = kept - s.lr / s.correction1 * first[at] / (Math.sqrt(second[at]) / root + p.eps);
    }
}
