// The update of the parameters by RULE, one thread a parameter; then the means of the table's terms of the loss, by one
// workgroup each, or by its first thread alone. `first` and `second` are moments, touched only by rules that have them.

struct Params {
    count: u32,
    beta1: f32,
    beta2: f32,
    eps: f32,
    weight_decay: f32,
    batch: u32,
    columns: u32,
    terms: u32,
    table: array<Entry, 10>,
}

struct Entry {
    offset: u32,
    width: u32,
    per_example: u32,
    index: u32,
}

@group(0) @binding(0) var<storage, read> grad: array<f32>;
@group(0) @binding(1) var<storage, read> factor: array<f32>;
@group(0) @binding(2) var<storage, read> terms: array<f32>;
@group(0) @binding(3) var<storage, read_write> param: array<f32>;
@group(0) @binding(4) var<storage, read_write> first: array<f32>;
@group(0) @binding(5) var<storage, read_write> second: array<f32>;
@group(0) @binding(6) var<storage, read_write> metrics: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;
@group(1) @binding(1) var<uniform> steps: array<Step, MEMBERS>;

const SGD = 0u;
const RMSPROP = 1u;
const ADAM = 2u;
const ADAMW = 3u;

const NONE = 0u;
const THREAD = 1u;
const WORKGROUP = 2u;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    member = member_of(group);
    let number = linear_workgroup(group, groups);
    let updates = (params.count + 255u) / 256u;
    if number >= updates {
        if MEANS != NONE && number - updates < params.terms {
            mean(params.table[number - updates], lane);
        }
        return;
    }
    let i = number * 256u + lane;
    if i < params.count && last_part(steps[member], PARTS) {
        update(i);
    }
}

fn update(i: u32) {
    var g = grad[member * MEMBER_GRAD + i];
    var p = param[member * MEMBER_PARAM + i];
    let lr = steps[member].lr;
    if CLIP == 1u {
        // The gradient is no number: the update is left out.
        if factor[member * MEMBER_FACTOR] == 0.0 {
            return;
        }
        g *= factor[member * MEMBER_FACTOR];
    }
    if RULE == ADAMW {
        p -= lr * params.weight_decay * p;
    } else {
        g += params.weight_decay * p;
    }
    switch RULE {
        case SGD: { p -= lr * with_momentum(i, g); }
        case RMSPROP: { p -= lr * with_momentum(i, g / (sqrt(mean_square(i, g)) + params.eps)); }
        default: {
            let m = lasting(params.beta1 * first[member * MEMBER_FIRST + i] + (1.0 - params.beta1) * g);
            let v = mean_square(i, g);
            first[member * MEMBER_FIRST + i] = m;
            p -= lr / steps[member].correction1 * m / (sqrt(v) / sqrt(steps[member].correction2) + params.eps);
        }
    }
    param[member * MEMBER_PARAM + i] = p;
}

fn mean_square(i: u32, g: f32) -> f32 {
    let square = lasting(params.beta2 * second[member * MEMBER_SECOND + i] + (1.0 - params.beta2) * g * g);
    second[member * MEMBER_SECOND + i] = square;
    return square;
}

fn with_momentum(i: u32, change: f32) -> f32 {
    if MOMENTUM == 0u {
        return change;
    }
    let sum = lasting(change + params.beta1 * first[member * MEMBER_FIRST + i]);
    first[member * MEMBER_FIRST + i] = sum;
    return sum;
}

// As in batch_mean.wgsl, or without the other lanes.
fn mean(entry: Entry, lane: u32) {
    let lanes = select(1u, 256u, MEANS == WORKGROUP);
    let end = entry.offset + min(params.batch, steps[member].rows) * entry.per_example * entry.width;
    var sum = 0.0;
    if lane < lanes {
        for (var at = entry.offset + lane; at < end; at += lanes) {
            sum += terms[member * MEMBER_TERMS + at];
        }
    }
    if MEANS == WORKGROUP {
        sum = workgroup_sum(sum, lane, 256u);
    }
    if lane == 0u {
        let at = steps[member].slot * params.columns + entry.index;
        metrics[member * MEMBER_METRICS + at] = sum * steps[member].row_weight / f32(entry.per_example);
    }
}
