// `conv_weight` for drivers that run a subgroup of eight lanes as one vector register and fetch texels much faster than
// words of storage. Same meaning. A workgroup is one subgroup that sums up GROUPS times eight neighbouring pairs of a tap and a
// channel of the fine image with 32 channels of the coarse one: each lane owns four neighbouring channels of these. It loads
// what one of eight pixels sees and hands that to all by shuffles.
//
// WHOLE_FINE and WHOLE_COARSE say that the channels of an image are a multiple of four: then four of them are a texel.

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

@group(2) @binding(0) var x_texels: texture_2d_array<f32>;
@group(2) @binding(1) var dy_texels: texture_2d_array<f32>;
@group(0) @binding(2) var<storage, read_write> parts: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

const LANES = 8u;
const OUTSIDE = 0xffffffffu;

// Eight pairs of the lane's pixel, in two fours.
alias Left = array<vec4<f32>, 2>;

fn fine_texel(at: u32) -> vec4<f32> {
    if UP == 1u {
        return textureLoad(dy_texels, texel(at), member, 0);
    }
    return textureLoad(x_texels, texel(at), member, 0);
}

fn coarse_texel(at: u32) -> vec4<f32> {
    if UP == 1u {
        return textureLoad(x_texels, texel(at), member, 0);
    }
    return textureLoad(dy_texels, texel(at), member, 0);
}

// A pixel of the coarse image: its line and column in units of the fine image, before it sees, and the first pixel of its
// fine image.
struct Pixel {
    place: vec2<i32>,
    image: u32,
    there: bool,
}

// Where the fine pixel that is seen through a tap begins, or OUTSIDE.
fn seen(pixel: Pixel, tap: u32) -> u32 {
    let at = pixel.place + vec2<i32>(vec2(tap / params.kernel, tap % params.kernel));
    let inside = pixel.there && all(at >= vec2(0)) && all(at < vec2<i32>(vec2(params.fine_height, params.fine_width)));
    let found = pixel.image + u32(at.x) * params.fine_width + u32(at.y);
    return select(OUTSIDE, found * params.fine, inside);
}

// Pairs row…row + 7 as the lane's pixel sees them.
fn load_left(pixel: Pixel, row: u32) -> Left {
    var left = Left();
    for (var half = 0u; half < 2u; half += 1u) {
        let first = row + 4u * half;
        if WHOLE_FINE == 1u {
            let place = seen(pixel, first / params.fine);
            let inside = place != OUTSIDE;
            left[half] = select(vec4<f32>(), fine_texel((select(0u, place, inside) + first % params.fine) / 4u), inside);
        } else {
            for (var i = 0u; i < 4u; i += 1u) {
                let place = seen(pixel, (first + i) / params.fine);
                let inside = place != OUTSIDE;
                let at = select(0u, place + (first + i) % params.fine, inside);
                left[half][i] = select(0.0, fine_texel(at / 4u)[at % 4u], inside);
            }
        }
    }
    return left;
}

// The lane's channels of a pixel of the coarse image.
fn load_right(pixel: u32, column: u32) -> vec4<f32> {
    if WHOLE_COARSE == 1u {
        return coarse_texel((pixel * params.coarse + min(column, params.coarse - 4u)) / 4u);
    }
    var right = vec4<f32>();
    for (var j = 0u; j < 4u; j += 1u) {
        let at = pixel * params.coarse + min(column + j, params.coarse - 1u);
        right[j] = coarse_texel(at / 4u)[at % 4u];
    }
    return right;
}

// The sum of a channel of dy over a split's share of its pixels.
fn bias(split: u32, output: u32) {
    let size = select(vec2(params.coarse_height, params.coarse_width), vec2(params.fine_height, params.fine_width), UP == 1u);
    let outputs = select(params.coarse, params.fine, UP == 1u);
    let inputs = select(params.fine, params.coarse, UP == 1u);
    let pixels = params.rows * size.x * size.y;
    let share = (pixels + params.splits - 1u) / params.splits;
    var sum = 0.0;
    for (var pixel = split * share; pixel < min((split + 1u) * share, pixels); pixel += 1u) {
        let at = pixel * outputs + min(output, outputs - 1u);
        sum += textureLoad(dy_texels, texel(at / 4u), member, 0)[at % 4u];
    }
    if output < outputs {
        let taps = params.kernel * params.kernel;
        parts[member * MEMBER_PARTS + (split * (taps * inputs + 1u) + taps * inputs) * outputs + output] = sum;
    }
}

@compute @workgroup_size(8)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    member = member_of(group);
    let taps = params.kernel * params.kernel;
    let down = (taps * params.fine + LANES * GROUPS - 1u) / (LANES * GROUPS);
    let across = (params.coarse + 4u * LANES - 1u) / (4u * LANES);
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
    let column = (tile % across * LANES + lane) * 4u;
    let row0 = tile / across * GROUPS * LANES;
    let per_example = params.coarse_height * params.coarse_width;
    let pixels = params.rows * per_example;
    let share = (pixels + params.splits - 1u) / params.splits;
    let begin = split * share;
    let end = min(begin + share, pixels);
    var sums = array<array<array<f32, 4>, LANES>, GROUPS>();
    for (var first = begin; first < end; first += LANES) {
        var right = array<vec4<f32>, LANES>();
        for (var d = 0u; d < LANES; d += 1u) {
            right[d] = select(load_right(min(first + d, pixels - 1u), column), vec4<f32>(), first + d >= end);
        }
        let own = first + lane;
        let place = vec2(own % per_example / params.coarse_width, own % params.coarse_width);
        let corner = vec2<i32>(place * params.stride) - i32(params.padding);
        let pixel = Pixel(corner, own / per_example * params.fine_height * params.fine_width, own < end);
        for (var g = 0u; g < GROUPS; g += 1u) {
            let left = load_left(pixel, row0 + g * LANES);
            for (var i = 0u; i < LANES; i += 1u) {
                var x = array<f32, LANES>();
                for (var d = 0u; d < LANES; d += 1u) {
                    x[d] = subgroupShuffle(left[i / 4u][i % 4u], d);
                }
                for (var j = 0u; j < 4u; j += 1u) {
                    var sum = sums[g][i][j];
                    for (var d = 0u; d < LANES; d += 1u) {
                        sum += x[d] * right[d][j];
                    }
                    sums[g][i][j] = sum;
                }
            }
        }
    }
    let inputs = select(params.fine, params.coarse, UP == 1u);
    let part = member * MEMBER_PARTS + split * (taps * inputs + 1u) * outputs;
    // This loop is not unrolled; for that every row moves to the front.
    for (var i = 0u; i < LANES; i += 1u) {
        for (var g = 0u; g < GROUPS; g += 1u) {
            let row = row0 + g * LANES + i;
            let s = sums[g][0];
            for (var j = 0u; j < 4u; j += 1u) {
                if row < taps * params.fine && column + j < params.coarse {
                    var at = row * params.coarse + column + j;
                    if UP == 1u {
                        at = (row / params.fine * params.coarse + column + j) * params.fine + row % params.fine;
                    }
                    parts[part + at] = s[j];
                }
            }
            for (var next = 1u; next < LANES; next += 1u) {
                sums[g][next - 1u] = sums[g][next];
            }
        }
    }
}
