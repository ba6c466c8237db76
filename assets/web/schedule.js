// What a training step is told: which examples, the learning rate, the weights of the loss. As elbo's src/train/schedule.rs
// has it, in double precision and rounded once.

// The share of its value that a weight has after so many epochs.
const SHARES = {
    constant: () => 1,
    rise: (past, { epochs }) => (epochs > 0 ? Math.min(past / epochs, 1) : 1),
    vanish: (past, { epochs }) => Math.max(1 - past / epochs, 0),
    until: (past, { epochs }) => (past < epochs ? 1 : 0),
    cycle: (past, { epochs, share }) => Math.min(past / epochs % 1 / share, 1),
    fall: (past, { epochs, from }) => (epochs > 0 ? from ** (1 - Math.min(past / epochs, 1)) : 1),
};

/** Steps of an epoch. */
export function stepsOf({ examples: [begin, end], batch }) {
    return Math.ceil((end - begin) / batch);
}

// What the learning rate is multiplied by after so many epochs.
function stepped({ milestones, gamma }, epochs) {
    const passed = milestones.filter((after) => after <= epochs).length;
    if (passed === 0) {
        return 1;
    }
    return gamma.length === 1 ? gamma[0] ** passed : gamma[passed - 1];
}

function learningRate({ rule, schedule, epochs }, step, each) {
    const warmup = schedule.warmup * each;
    const rising = step < warmup ? (step + 1) / warmup : 1;
    let curve = 1;
    if (schedule.curve === "steps") {
        curve = stepped(schedule, Math.floor(step / each));
    } else if (schedule.curve === "cosine") {
        const done = Math.min(Math.max((step - warmup) / Math.max(epochs * each - warmup, 1), 0), 1);
        curve = schedule.min_factor + (1 - schedule.min_factor) * 0.5 * (1 + Math.cos(Math.PI * done));
    }
    return Math.fround(rule.lr * Math.min(rising, 1) * curve * rule.lowered);
}

// 1 − βᵗ of both moments; with epsilon-hat the device gets c1/√c2 and 1.
function corrections({ betas, eps_hat: hat }, step) {
    const [first, second] = betas.map((beta) => 1 - beta ** (step + 1));
    return hat ? [Math.fround(first / Math.sqrt(second)), 1] : [first, second].map(Math.fround);
}

/** Scalars of one of the runs that make up a step; their terms go to rows of the metrics that follow each other. */
export function scalarsOf(told, step, part) {
    const { examples: [begin, end], batch, parts, rule } = told;
    const each = stepsOf(told);
    const slot = step % each;
    const size = Math.min(batch, end - begin - slot * batch);
    const [from, to] = [part, part + 1].map((at) => Math.floor(at * size / parts));
    const rows = to - from;
    const share = rule.sum ? rows : Math.fround(rows / size);
    const weights = new Array(8).fill(0);
    told.weights.forEach(({ value, level, schedule }, at) => {
        const now = Math.fround(value * SHARES[schedule.kind](step / each, schedule));
        weights[at] = level ? now : Math.fround(now * share);
    });
    const [correction1, correction2] = corrections(rule, step);
    return {
        step,
        rows,
        first: Math.min(slot * batch + from, slot * batch + size - 1),
        slot: slot * parts + part,
        key: told.noise,
        sample: 0,
        stream: told.streams.noise,
        row_weight: rows > 0 ? Math.fround(1 / rows) : 0,
        lr: learningRate(told, step, each),
        correction1,
        correction2,
        weights,
    };
}
