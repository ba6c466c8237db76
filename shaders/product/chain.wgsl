// Steps that follow each other on the same rows, in one dispatch: a workgroup takes some examples through all of them.
// Meant for thin products (a latent space's neighbourhood), where a dispatch costs more than the arithmetic.
//
// Everything that is read and written lies in `values`; a workgroup reads there only what it wrote itself, or what was
// there before.

struct Op {
    kind: u32,
    n: u32,           // columns that are made, or latent dimensions
    k: u32,           // length of a product's sums
    per_example: u32, // rows for each example
    x: u32,           // where things lie in `values`, and a product's weights in `weights`
    y: u32,
    aux: u32,
    w: u32,
    option: u32,
    weight: u32,
    low: f32,
    high: f32,
}

struct Params {
    ops: u32,
    examples: u32,
    group: u32, // examples of a workgroup
    spare: u32,
    table: array<Op, 10>,
}

@group(0) @binding(0) var<storage, read> order: array<u32>;
@group(0) @binding(1) var<storage, read> weights: array<f32>;
@group(0) @binding(2) var<storage, read_write> values: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;
@group(1) @binding(1) var<uniform> steps: array<Step, MEMBERS>;

const PRODUCT = 0u;
const SAMPLE = 1u;
const POSTERIOR_GRAD = 2u;
const ACTIVATION = 3u;

const THREADS = 256u;

// Four rows of a product's left side, a depth in each element.
var<workgroup> stage: array<vec4<f32>, 768>;
// The parts of sums that several threads share.
var<workgroup> parts: array<vec4<f32>, 256>;

// The same with the places where the things of a member lie. It is told which: barriers depend on what an operation is, so
// that must come from the workgroup's number, of which a compiler knows that all threads have the same.
fn of_member(given: Op, own: u32) -> Op {
    var op = given;
    op.x += own * MEMBER_VALUES;
    op.y += own * MEMBER_VALUES;
    op.aux += own * MEMBER_VALUES;
    op.w += own * select(MEMBER_VALUES, MEMBER_WEIGHTS, op.kind == PRODUCT);
    return op;
}

fn load_rows(op: Op, row: u32, end: u32, depth: u32) -> vec4<f32> {
    var found = vec4<f32>();
    for (var i = 0u; i < 4u; i += 1u) {
        if row + i < end {
            found[i] = values[op.x + (row + i) * op.k + depth];
        }
    }
    return found;
}

fn store_rows(op: Op, row: u32, end: u32, column: u32, sums: vec4<f32>) {
    let has_bias = (op.option & 2u) != 0u;
    let epilogue = (op.option >> 2u) & 3u;
    let activation = op.option >> 4u;
    var bias = 0.0;
    if has_bias {
        bias = weights[op.w + op.k * op.n + column];
    }
    for (var i = 0u; i < 4u; i += 1u) {
        if row + i < end {
            let at = (row + i) * op.n + column;
            var value = sums[i] + bias;
            if epilogue == 1u {
                value = activate(activation, value);
            } else if epilogue == 2u {
                value *= activate_derivative(activation, values[op.aux + at]);
            }
            values[op.y + at] = value;
        }
    }
}

// Columns [first, first + width) of four rows. As many threads as there are share each column's sum; they take turns
// along it where the weights are transposed, so that neighbours always read neighbouring addresses.
fn columns(op: Op, row: u32, end: u32, first: u32, width: u32, thread: u32) {
    let transposed = (op.option & 1u) != 0u;
    let shares = THREADS / width;
    var column = thread % width;
    var share = thread / width;
    if transposed {
        column = thread / shares;
        share = thread % shares;
    }
    var sum = vec4<f32>();
    if thread < shares * width {
        var at = op.w + first + column;
        var stride = op.n;
        if transposed {
            at = op.w + (first + column) * op.k;
            stride = 1u;
        }
        for (var depth = share; depth < op.k; depth += shares) {
            sum += weights[at + depth * stride] * stage[depth];
        }
    }
    if shares == 1u {
        if thread < width {
            store_rows(op, row, end, first + thread, sum);
        }
        return;
    }
    parts[thread] = sum;
    workgroupBarrier();
    if thread < width {
        var total = vec4<f32>();
        for (var i = 0u; i < shares; i += 1u) {
            total += parts[select(i * width + thread, thread * shares + i, transposed)];
        }
        store_rows(op, row, end, first + thread, total);
    }
    workgroupBarrier();
}

fn product(op: Op, from_row: u32, end: u32, thread: u32) {
    for (var row = from_row; row < end; row += 4u) {
        for (var depth = thread; depth < op.k; depth += THREADS) {
            stage[depth] = load_rows(op, row, end, depth);
        }
        workgroupBarrier();
        for (var first = 0u; first < op.n; first += THREADS) {
            columns(op, row, end, first, min(THREADS, op.n - first), thread);
        }
        workgroupBarrier();
    }
}

fn log_variance(op: Op, at: u32) -> f32 {
    return clamp(values[at], op.low, op.high);
}

// See `sample`: x are the posterior's statistics, aux the noise, y the samples, w the KL per example.
fn sample(op: Op, from_example: u32, end: u32, thread: u32) {
    let blocks = (op.n + 3u) / 4u;
    let each = op.per_example * blocks;
    for (var i = thread; i < (end - from_example) * each; i += THREADS) {
        let example = from_example + i / each;
        let draw = i % each / blocks;
        let block = i % blocks;
        var noise = vec4<f32>();
        if op.option == 1u {
            let position = member * MEMBER_ORDER + position(steps[member], example);
            noise = noise_block(steps[member], order[position], steps[member].sample + draw, blocks, block);
        }
        for (var j = 0u; j < min(4u, op.n - block * 4u); j += 1u) {
            let column = block * 4u + j;
            let at = (example * op.per_example + draw) * op.n + column;
            let statistics = op.x + example * 2u * op.n + column;
            if op.option == 1u {
                values[op.aux + at] = noise[j];
            } else {
                noise[j] = values[op.aux + at];
            }
            values[op.y + at] = values[statistics] + exp(0.5 * log_variance(op, statistics + op.n)) * noise[j];
        }
    }
    for (var example = from_example + thread; example < end; example += THREADS) {
        var sum = 0.0;
        for (var column = 0u; column < op.n; column += 1u) {
            let statistics = op.x + example * 2u * op.n + column;
            sum += kl_term(values[statistics], log_variance(op, statistics + op.n));
        }
        values[op.w + example] = sum;
    }
}

// See `posterior_grad`: w are the posterior's statistics, aux the noise, x the gradient of the samples.
fn posterior_grad(op: Op, from_example: u32, end: u32, thread: u32) {
    for (var i = thread; i < (end - from_example) * op.n; i += THREADS) {
        let example = from_example + i / op.n;
        let column = i % op.n;
        let at_mean = example * 2u * op.n + column;
        let at_lv = at_mean + op.n;
        let lv = log_variance(op, op.w + at_lv);
        var dmean = 0.0;
        var dlv = 0.0;
        if (op.option & 1u) != 0u {
            for (var k = 0u; k < op.per_example; k += 1u) {
                let at = (example * op.per_example + k) * op.n + column;
                dmean += values[op.x + at];
                dlv += values[op.x + at] * values[op.aux + at];
            }
            dlv *= 0.5 * exp(0.5 * lv);
        }
        if (op.option & 2u) != 0u {
            let weight = row_gradient(steps[member], op.weight, example, 1u);
            dmean += weight * values[op.w + at_mean];
            dlv += weight * 0.5 * exp_m1(lv);
        }
        let given = values[op.w + at_lv];
        values[op.y + at_mean] = dmean;
        values[op.y + at_lv] = select(dlv, 0.0, given < op.low || given > op.high);
    }
}

// Elements of x become those of y; `option` is the non-linearity.
fn activation(op: Op, from_row: u32, end: u32, thread: u32) {
    for (var i = from_row * op.n + thread; i < end * op.n; i += THREADS) {
        values[op.y + i] = activate(op.option, values[op.x + i]);
    }
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    member = member_of(group);
    let from_example = linear_workgroup(group, groups) * params.group;
    if from_example >= params.examples {
        return;
    }
    let end = min(from_example + params.group, params.examples);
    for (var i = 0u; i < params.ops; i += 1u) {
        let op = of_member(params.table[i], member_of(group));
        if op.kind == PRODUCT {
            product(op, from_example * op.per_example, end * op.per_example, thread);
        } else if op.kind == SAMPLE {
            sample(op, from_example, end, thread);
        } else if op.kind == POSTERIOR_GRAD {
            posterior_grad(op, from_example, end, thread);
        } else {
            activation(op, from_example * op.per_example, end * op.per_example, thread);
        }
        storageBarrier();
        workgroupBarrier();
    }
}
