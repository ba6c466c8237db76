// `conv` for drivers that run a subgroup of eight lanes as one vector register and fetch texels much faster than words of
// storage. Same meaning. A workgroup is one subgroup that makes GROUPS times eight pixels of one phase and 32 channels: each
// lane owns four neighbouring channels of all of them. It loads what its own pixels of each group see, eight channels at a
// time, and hands that to all by shuffles.
//
// WHOLE_X and WHOLE_Y say that the channels of x and of y are a multiple of four: then four of them are a texel. As in
// `matmul_texels`, arrays are indexed by nothing but counters of loops that are as long as the array.

struct Params {
    rows: u32,
    inputs: u32,
    outputs: u32,
    fine_height: u32,
    fine_width: u32,
    coarse_height: u32,
    coarse_width: u32,
    kernel: u32,
    stride: u32,
    padding: u32,
}

@group(2) @binding(0) var x_texels: texture_2d_array<f32>;
@group(2) @binding(1) var w_texels: texture_2d_array<f32>;
@group(2) @binding(2) var aux_texels: texture_2d_array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

const LANES = 8u;
const OUTSIDE = 0xffffffffu;

// What the lane's pixel sees: eight channels in two fours.
alias Left = array<vec4<f32>, 2>;
// The lane's four channels of y for each of eight channels of x.
alias Right = array<vec4<f32>, 8>;

fn x_word(at: u32) -> f32 {
    return textureLoad(x_texels, texel(at / 4u), member, 0)[at % 4u];
}

fn w_word(at: u32) -> f32 {
    return textureLoad(w_texels, texel(at / 4u), member, 0)[at % 4u];
}

// Channels input…input + 7 of the pixel at `place`, zero for those that are not there.
fn load_left(place: u32, input: u32) -> Left {
    let inside = place != OUTSIDE;
    let pixel = select(0u, place, inside);
    var left = Left();
    for (var half = 0u; half < 2u; half += 1u) {
        let first = input + 4u * half;
        if WHOLE_X == 1u {
            let values = textureLoad(x_texels, texel((pixel + min(first, params.inputs - 4u)) / 4u), member, 0);
            left[half] = select(vec4<f32>(), values, inside && first < params.inputs);
        } else {
            for (var d = 0u; d < 4u; d += 1u) {
                let value = x_word(pixel + min(first + d, params.inputs - 1u));
                left[half][d] = select(0.0, value, inside && first + d < params.inputs);
            }
        }
    }
    return left;
}

// The factors of input…input + 7 for output…output + 3 at a tap, zero for channels that are not there.
fn load_right(tap: u32, input: u32, output: u32) -> Right {
    var right = Right();
    if TRANSPOSE == 0u {
        for (var d = 0u; d < 8u; d += 1u) {
            let row = (tap * params.inputs + min(input + d, params.inputs - 1u)) * params.outputs;
            var values = vec4<f32>();
            if WHOLE_Y == 1u {
                values = textureLoad(w_texels, texel((row + min(output, params.outputs - 4u)) / 4u), member, 0);
            } else {
                for (var j = 0u; j < 4u; j += 1u) {
                    values[j] = w_word(row + min(output + j, params.outputs - 1u));
                }
            }
            right[d] = select(values, vec4<f32>(), input + d >= params.inputs);
        }
    } else {
        for (var j = 0u; j < 4u; j += 1u) {
            let row = (tap * params.outputs + min(output + j, params.outputs - 1u)) * params.inputs;
            for (var half = 0u; half < 2u; half += 1u) {
                let first = input + 4u * half;
                var values = vec4<f32>();
                if WHOLE_X == 1u {
                    values = textureLoad(w_texels, texel((row + min(first, params.inputs - 4u)) / 4u), member, 0);
                } else {
                    for (var d = 0u; d < 4u; d += 1u) {
                        values[d] = w_word(row + min(first + d, params.inputs - 1u));
                    }
                }
                for (var d = 0u; d < 4u; d += 1u) {
                    right[4u * half + d][j] = select(values[d], 0.0, first + d >= params.inputs);
                }
            }
        }
    }
    return right;
}

// Four channels of a pixel of y on their way out.
fn store(pixel: u32, output: u32, values: vec4<f32>) {
    var other = vec4<f32>();
    if EPILOGUE == 2u && WHOLE_Y == 1u {
        other = textureLoad(aux_texels, texel((pixel + min(output, params.outputs - 4u)) / 4u), member, 0);
    }
    for (var j = 0u; j < 4u; j += 1u) {
        if output + j < params.outputs {
            let at = pixel + output + j;
            var value = values[j];
            if EPILOGUE == 1u {
                value = activate(ACTIVATION, value);
            } else if EPILOGUE == 2u {
                var v = other[j];
                if WHOLE_Y == 0u {
                    v = textureLoad(aux_texels, texel(at / 4u), member, 0)[at % 4u];
                }
                value *= activate_derivative(ACTIVATION, v);
            }
            y[member * MEMBER_Y + at] = value;
        }
    }
}

@compute @workgroup_size(8)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    member = member_of(group);
    // Distances between neighbouring pixels of a workgroup, in the image that is made and in the one that is read.
    let apart = select(1u, params.stride, UP == 1u);
    let read_apart = i32(select(params.stride, 1u, UP == 1u));
    let size = select(vec2(params.coarse_height, params.coarse_width), vec2(params.fine_height, params.fine_width), UP == 1u);
    let source = select(vec2(params.fine_height, params.fine_width), vec2(params.coarse_height, params.coarse_width), UP == 1u);
    let cells = (size + apart - 1u) / apart;
    let per_example = cells.x * cells.y;
    let tiles = (params.rows * per_example + LANES * GROUPS - 1u) / (LANES * GROUPS);
    let across = (params.outputs + 4u * LANES - 1u) / (4u * LANES);
    let number = linear_workgroup(group, groups);
    let output = (number % across * LANES + lane) * 4u;
    let tile = number / across % tiles;
    let phase = vec2(number / across / tiles / apart, number / across / tiles % apart);
    if phase.x >= apart {
        return;
    }
    var example = array<u32, GROUPS>();
    var cell = array<vec2<u32>, GROUPS>();
    for (var g = 0u; g < GROUPS; g += 1u) {
        let at = (tile * GROUPS + g) * LANES + lane;
        example[g] = at / per_example;
        cell[g] = vec2(at % per_example / cells.y, at % cells.y);
    }
    var sums = array<array<array<f32, 4>, LANES>, GROUPS>();
    if TRANSPOSE == 0u {
        let row = params.kernel * params.kernel * params.inputs * params.outputs;
        for (var j = 0u; j < 4u; j += 1u) {
            let bias = w_word(row + min(output + j, params.outputs - 1u));
            for (var g = 0u; g < GROUPS; g += 1u) {
                for (var i = 0u; i < LANES; i += 1u) {
                    sums[g][i][j] = bias;
                }
            }
        }
    }
    let first = select(vec2(0u), (phase + params.padding) % params.stride, UP == 1u);
    for (var ky = first.x; ky < params.kernel; ky += apart) {
        for (var kx = first.y; kx < params.kernel; kx += apart) {
            let tap = vec2<i32>(vec2(ky, kx));
            var offset = tap - i32(params.padding);
            if UP == 1u {
                // A multiple of the stride, so that nothing is rounded.
                offset = (vec2<i32>(phase + params.padding) - tap) / i32(params.stride);
            }
            var place = array<u32, GROUPS>();
            for (var g = 0u; g < GROUPS; g += 1u) {
                let at = vec2<i32>(cell[g]) * read_apart + offset;
                let inside = all(at >= vec2(0)) && all(at < vec2<i32>(source)) && example[g] < params.rows;
                let pixel = (example[g] * source.x + u32(at.x)) * source.y + u32(at.y);
                place[g] = select(OUTSIDE, pixel * params.inputs, inside);
            }
            for (var input = 0u; input < params.inputs; input += 8u) {
                let right = load_right(ky * params.kernel + kx, input, output);
                for (var g = 0u; g < GROUPS; g += 1u) {
                    let left = load_left(place[g], input);
                    for (var i = 0u; i < LANES; i += 1u) {
                        var x = array<f32, 8>();
                        for (var d = 0u; d < 8u; d += 1u) {
                            x[d] = subgroupShuffle(left[d / 4u][d % 4u], i);
                        }
                        for (var j = 0u; j < 4u; j += 1u) {
                            var sum = sums[g][i][j];
                            for (var d = 0u; d < 8u; d += 1u) {
                                sum += x[d] * right[d][j];
                            }
                            sums[g][i][j] = sum;
                        }
                    }
                }
            }
        }
    }
    // Where the lane's pixels are in y.
    var place = array<u32, GROUPS>();
    for (var g = 0u; g < GROUPS; g += 1u) {
        let at = cell[g] * apart + phase;
        let pixel = (example[g] * size.x + at.x) * size.y + at.y;
        place[g] = select(OUTSIDE, pixel * params.outputs, example[g] < params.rows && all(at < size));
    }
    // This loop is not unrolled, so that the code for a pixel's way out is there once for each group. For that every pixel
    // moves to the front.
    for (var i = 0u; i < LANES; i += 1u) {
        for (var g = 0u; g < GROUPS; g += 1u) {
            let pixel = subgroupShuffle(place[g], i);
            if pixel != OUTSIDE {
                let s = sums[g][0];
                store(pixel, output, vec4<f32>(s[0], s[1], s[2], s[3]));
            }
            for (var next = 1u; next < LANES; next += 1u) {
                sums[g][next - 1u] = sums[g][next];
            }
        }
    }
}
