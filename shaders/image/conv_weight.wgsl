// The gradient of a convolution's parameters, or of a transposed one's, in parts: split s sums over its own share of
// the pixels, so that many workgroups have something to do. Nothing is scattered.
//
// x [R, pixels, inputs], dy [R, pixels, outputs], parts [splits, taps·inputs + 1, outputs]. Pixel q of the coarse image
// sees the pixels q·stride + tap − padding of the fine one; UP says that dy is the fine one.
//
// A lane owns ROWS pairs of a tap and a channel of the fine image, with 16 channels of the coarse one. The last
// workgroups of a split make the last row of its part, the gradient of the bias.

struct Params {
    rows: u32,
    fine: u32, // channels of the fine image
    coarse: u32,
    fine_height: u32,
    fine_width: u32,
    coarse_height: u32,
    coarse_width: u32,
    kernel: u32,
    stride: u32,
    padding: u32,
    splits: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> parts: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

const LANES = 64u;
const VECTORS = 4u;
const COLUMNS = 16u;

fn fine_value(at: u32) -> f32 {
    if UP == 1u {
        return dy[member * MEMBER_DY + at];
    }
    return x[member * MEMBER_X + at];
}

fn coarse_value(at: u32) -> f32 {
    if UP == 1u {
        return x[member * MEMBER_X + at];
    }
    return dy[member * MEMBER_DY + at];
}

// The sum of a channel of dy over a split's share of its pixels.
fn bias(split: u32, output: u32) {
    let size = select(vec2(params.coarse_height, params.coarse_width), vec2(params.fine_height, params.fine_width), UP == 1u);
    let outputs = select(params.coarse, params.fine, UP == 1u);
    let inputs = select(params.fine, params.coarse, UP == 1u);
    let pixels = params.rows * size.x * size.y;
    let share = (pixels + params.splits - 1u) / params.splits;
    var sum = 0.0;
    if output < outputs {
        for (var pixel = split * share; pixel < min((split + 1u) * share, pixels); pixel += 1u) {
            sum += dy[member * MEMBER_DY + pixel * outputs + output];
        }
        let taps = params.kernel * params.kernel;
        parts[member * MEMBER_PARTS + (split * (taps * inputs + 1u) + taps * inputs) * outputs + output] = sum;
    }
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    member = member_of(group);
    let taps = params.kernel * params.kernel;
    let down = (taps * params.fine + LANES * ROWS - 1u) / (LANES * ROWS);
    let across = (params.coarse + COLUMNS - 1u) / COLUMNS;
    let sums_up = down * across;
    let outputs = select(params.coarse, params.fine, UP == 1u);
    let per_split = sums_up + (outputs + LANES - 1u) / LANES;
    let number = linear_workgroup(group, groups);
    let split = number / per_split;
    let tile = number % per_split;
    if split >= params.splits {
        return;
    }
    if tile >= sums_up {
        bias(split, (tile - sums_up) * LANES + lane);
        return;
    }
    let column0 = tile % across * COLUMNS;
    var tap = array<vec2<i32>, ROWS>();
    var channel = array<u32, ROWS>();
    for (var i = 0u; i < ROWS; i += 1u) {
        let row = (tile / across * ROWS + i) * LANES + lane;
        let at = row / params.fine;
        tap[i] = vec2<i32>(vec2(at / params.kernel, at % params.kernel)) - i32(params.padding);
        channel[i] = row % params.fine;
    }
    let pixels = params.rows * params.coarse_height * params.coarse_width;
    let share = (pixels + params.splits - 1u) / params.splits;
    let first = split * share;
    let end = min(first + share, pixels);
    var place = vec2(first / params.coarse_width % params.coarse_height, first % params.coarse_width);
    var example = first / params.coarse_width / params.coarse_height;
    let fine_size = vec2<i32>(vec2(params.fine_height, params.fine_width));
    var sums = array<array<vec4<f32>, VECTORS>, ROWS>();
    for (var pixel = first; pixel < end; pixel += 1u) {
        var right = array<vec4<f32>, VECTORS>();
        for (var v = 0u; v < VECTORS; v += 1u) {
            for (var j = 0u; j < 4u; j += 1u) {
                right[v][j] = coarse_value(pixel * params.coarse + min(column0 + 4u * v + j, params.coarse - 1u));
            }
        }
        for (var i = 0u; i < ROWS; i += 1u) {
            let at = vec2<i32>(place * params.stride) + tap[i];
            let inside = all(at >= vec2(0)) && all(at < fine_size);
            let seen = (example * params.fine_height + u32(at.x)) * params.fine_width + u32(at.y);
            let left = select(0.0, fine_value(select(0u, seen * params.fine + channel[i], inside)), inside);
            for (var v = 0u; v < VECTORS; v += 1u) {
                sums[i][v] += left * right[v];
            }
        }
        place.y += 1u;
        if place.y == params.coarse_width {
            place = vec2(place.x + 1u, 0u);
        }
        if place.x == params.coarse_height {
            place.x = 0u;
            example += 1u;
        }
    }
    let inputs = select(params.fine, params.coarse, UP == 1u);
    let part = member * MEMBER_PARTS + split * (taps * inputs + 1u) * outputs;
    for (var i = 0u; i < ROWS; i += 1u) {
        let row = (tile / across * ROWS + i) * LANES + lane;
        for (var v = 0u; v < VECTORS; v += 1u) {
            for (var j = 0u; j < 4u; j += 1u) {
                let column = column0 + 4u * v + j;
                if row < taps * params.fine && column < params.coarse {
                    var at = row * params.coarse + column;
                    if UP == 1u {
                        at = (row / params.fine * params.coarse + column) * params.fine + channel[i];
                    }
                    parts[part + at] = sums[i][v][j];
                }
            }
        }
    }
}
