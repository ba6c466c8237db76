// `update` for drivers that fetch texels much faster than words of storage; one thread four parameters.

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

@group(2) @binding(0) var grad_texels: texture_2d_array<f32>;
@group(0) @binding(1) var<storage, read> factor: array<f32>;
@group(0) @binding(2) var<storage, read> terms: array<f32>;
@group(2) @binding(3) var param_texels: texture_2d_array<f32>;
@group(0) @binding(3) var<storage, read_write> param: array<vec4<f32>>;
@group(2) @binding(4) var first_texels: texture_2d_array<f32>;
@group(0) @binding(4) var<storage, read_write> first: array<vec4<f32>>;
@group(2) @binding(5) var second_texels: texture_2d_array<f32>;
@group(0) @binding(5) var<storage, read_write> second: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> metrics: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;
@group(1) @binding(1) var<uniform> steps: array<Step, MEMBERS>;

const SGD = 0u;
const RMSPROP = 1u;
const ADAMW = 3u;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    member = member_of(group);
    let i = linear_workgroup(group, groups) * 256u + lane;
    // Whatever all threads share is read before any of them is left out: then it is read once and not by each.
    var scale = 1.0;
    if CLIP == 1u {
        scale = factor[member * MEMBER_FACTOR];
    }
    let lr = steps[member].lr;
    let rate = lr / steps[member].correction1;
    let root = 1.0 / sqrt(steps[member].correction2);
    let quads = params.count / 4u;
    if i >= quads {
        // The threads after those that update add up the terms of the loss, each the numbers of one.
        if MEANS == 1u && i - quads < params.terms {
            mean(params.table[i - quads]);
        }
        return;
    }
    if scale == 0.0 || !last_part(steps[member], PARTS) {
        return;
    }
    let place = texel(i);
    var g = textureLoad(grad_texels, place, member, 0) * scale;
    var p = textureLoad(param_texels, place, member, 0);
    if RULE == ADAMW {
        p -= lr * params.weight_decay * p;
    } else {
        g += params.weight_decay * p;
    }
    if RULE != SGD {
        let square = lasting4(params.beta2 * textureLoad(second_texels, place, member, 0) + (1.0 - params.beta2) * g * g);
        second[member * MEMBER_SECOND / 4u + i] = square;
        if RULE == RMSPROP {
            g /= sqrt(square) + params.eps;
        } else {
            let m = lasting4(params.beta1 * textureLoad(first_texels, place, member, 0) + (1.0 - params.beta1) * g);
            first[member * MEMBER_FIRST / 4u + i] = m;
            param[member * MEMBER_PARAM / 4u + i] = p - rate * m / (sqrt(square) * root + params.eps);
            return;
        }
    }
    if MOMENTUM == 1u {
        g = lasting4(g + params.beta1 * textureLoad(first_texels, place, member, 0));
        first[member * MEMBER_FIRST / 4u + i] = g;
    }
    param[member * MEMBER_PARAM / 4u + i] = p - lr * g;
}

fn mean(entry: Entry) {
    let end = entry.offset + min(params.batch, steps[member].rows) * entry.per_example * entry.width;
    var sum = 0.0;
    for (var at = entry.offset; at < end; at += 1u) {
        sum += terms[member * MEMBER_TERMS + at];
    }
    let at = steps[member].slot * params.columns + entry.index;
    metrics[member * MEMBER_METRICS + at] = sum * steps[member].row_weight / f32(entry.per_example);
}
