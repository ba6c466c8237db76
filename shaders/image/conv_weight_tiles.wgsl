// The gradient of a convolution's parameters, or of a transposed one's, as a product by tiles (shared/blocks.wgsl) with
// a matrix that is never stored: rows of the result are pairs of a tap and a channel of the fine image, its columns
// channels of the coarse one, and the sums run over pixels of the coarse image. It comes in parts: split s sums over its
// own share of the pixels, so that many workgroups have something to do. Nothing is scattered.
//
// x [R, pixels, inputs], dy [R, pixels, outputs], parts [splits, taps·inputs + 1, outputs]. Pixel q of the coarse image
// sees the pixels q·stride + tap − padding of the fine one; UP says that dy is the fine one. The last workgroups of a
// split make the last row of its part, the gradient of the bias.

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

// Channels whose bias a workgroup sums up, and threads for each of them.
const CHANNELS = 16u;
const SHARES = THREADS / CHANNELS;

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

// Pixels of a split's share.
struct Share {
    first: u32,
    end: u32,
}

fn share_of(pixels: u32, split: u32) -> Share {
    let share = (pixels + params.splits - 1u) / params.splits;
    return Share(min(split * share, pixels), min((split + 1u) * share, pixels));
}

// The sums of some channels of dy over a split's share of its pixels.
fn sum_bias(split: u32, output0: u32, thread: u32) {
    let size = select(vec2(params.coarse_height, params.coarse_width), vec2(params.fine_height, params.fine_width), UP == 1u);
    let outputs = select(params.coarse, params.fine, UP == 1u);
    let inputs = select(params.fine, params.coarse, UP == 1u);
    let share = share_of(params.rows * size.x * size.y, split);
    let output = output0 + thread % CHANNELS;
    var sum = 0.0;
    if output < outputs {
        for (var pixel = share.first + thread / CHANNELS; pixel < share.end; pixel += SHARES) {
            sum += dy[member * MEMBER_DY + pixel * outputs + output];
        }
    }
    tiles[thread].x = sum;
    workgroupBarrier();
    for (var n = SHARES / 2u; n > 0u; n /= 2u) {
        if thread < n * CHANNELS {
            tiles[thread].x += tiles[thread + n * CHANNELS].x;
        }
        workgroupBarrier();
    }
    if thread < CHANNELS && output < outputs {
        let before = params.kernel * params.kernel * inputs;
        parts[member * MEMBER_PARTS + (split * (before + 1u) + before) * outputs + output] = tiles[thread].x;
    }
}

// A pixel of the coarse image.
struct Pixel {
    example: u32,
    at: vec2<u32>,
}

fn pixel_of(number: u32) -> Pixel {
    let row = number / params.coarse_width;
    return Pixel(row / params.coarse_height, vec2(row % params.coarse_height, number % params.coarse_width));
}

// The pixel so many further.
fn further(pixel: Pixel, by: Pixel) -> Pixel {
    var next = Pixel(pixel.example + by.example, pixel.at + by.at);
    if next.at.y >= params.coarse_width {
        next.at = vec2(next.at.x + 1u, next.at.y - params.coarse_width);
    }
    if next.at.x >= params.coarse_height {
        next = Pixel(next.example + 1u, vec2(next.at.x - params.coarse_height, next.at.y));
    }
    return next;
}

// What a row of the result is: a tap, and how far its channel lies behind the first one of a corner. Both may be
// negative: additions wrap around, so the sum is right for every pixel inside.
struct Pair {
    tap: vec2<i32>,
    shift: u32,
}

fn pair_of(row: u32) -> Pair {
    let at = row / params.fine;
    let tap = vec2<i32>(vec2(at / params.kernel, at % params.kernel)) - i32(params.padding);
    return Pair(tap, u32(tap.x * i32(params.fine_width) + tap.y) * params.fine + row % params.fine);
}

// What a pair finds from a corner in the fine image, which begins at `begin`, where it is `there`.
fn found_value(pair: Pair, corner: vec2<i32>, begin: u32, there: bool) -> f32 {
    let inside = there && all(vec2<u32>(corner + pair.tap) < vec2(params.fine_height, params.fine_width));
    return select(0.0, fine_value(select(0u, begin + pair.shift, inside)), inside);
}

// A channel of the coarse image at a pixel, where both are there.
fn channel_value(pixel: u32, channel: u32, there: bool) -> f32 {
    let inside = there && channel < params.coarse;
    return select(0.0, coarse_value(select(0u, pixel * params.coarse + channel, inside)), inside);
}

// Four pairs of four channels of a part.
fn store_block(split: u32, row: u32, column: u32, values: mat4x4<f32>) {
    let taps = params.kernel * params.kernel;
    let outputs = select(params.coarse, params.fine, UP == 1u);
    let inputs = select(params.fine, params.coarse, UP == 1u);
    let part = member * MEMBER_PARTS + split * (taps * inputs + 1u) * outputs;
    for (var i = 0u; i < 4u; i += 1u) {
        let pair = row + i;
        for (var j = 0u; j < 4u; j += 1u) {
            if pair < taps * params.fine && column + j < params.coarse {
                var at = pair * params.coarse + column + j;
                if UP == 1u {
                    at = (pair / params.fine * params.coarse + column + j) * params.fine + pair % params.fine;
                }
                parts[part + at] = values[i][j];
            }
        }
    }
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    member = member_of(group);
    let pairs = params.kernel * params.kernel * params.fine;
    let across = (params.coarse + TILE_N - 1u) / TILE_N;
    let of_sums = (pairs + TILE_M - 1u) / TILE_M * across;
    let outputs = select(params.coarse, params.fine, UP == 1u);
    let per_split = of_sums + (outputs + CHANNELS - 1u) / CHANNELS;
    let number = linear_workgroup(group, groups);
    let split = number / per_split;
    let tile = number % per_split;
    if split >= params.splits {
        return;
    }
    if tile >= of_sums {
        sum_bias(split, (tile - of_sums) * CHANNELS, thread);
        return;
    }
    let row0 = tile / across * TILE_M;
    let column0 = tile % across * TILE_N;
    let share = share_of(params.rows * params.coarse_height * params.coarse_width, split);

    // Each thread loads one quad of A at most, and one of B, from the same place of every stretch.
    let quad_a = thread % (TILE_M / 4u);
    let depth_a = thread / (TILE_M / 4u);
    let quad_b = thread % (TILE_N / 4u);
    let depth_b = thread / (TILE_N / 4u);
    let row = row0 + 4u * quad_a;
    let pair0 = pair_of(row);
    let pair1 = pair_of(row + 1u);
    let pair2 = pair_of(row + 2u);
    let pair3 = pair_of(row + 3u);
    let column = column0 + 4u * quad_b;
    var pixel = pixel_of(share.first + depth_a);
    let stretch = pixel_of(STRETCH);

    let place = place_of(thread);
    var sums = Block();
    for (var first = share.first; first < share.end; first += STRETCH) {
        if depth_a < STRETCH {
            let corner = pixel.at * params.stride;
            let begin = ((pixel.example * params.fine_height + corner.x) * params.fine_width + corner.y) * params.fine;
            let at = vec2<i32>(corner);
            let there = first + depth_a < share.end;
            tiles[depth_a * ROW_A + quad_a] = vec4<f32>(
                found_value(pair0, at, begin, there), found_value(pair1, at, begin, there),
                found_value(pair2, at, begin, there), found_value(pair3, at, begin, there));
            pixel = further(pixel, stretch);
        }
        if depth_b < STRETCH {
            let number = first + depth_b;
            let there = number < share.end;
            tiles[FIRST_B + depth_b * ROW_B + quad_b] = vec4<f32>(
                channel_value(number, column, there), channel_value(number, column + 1u, there),
                channel_value(number, column + 2u, there), channel_value(number, column + 3u, there));
        }
        workgroupBarrier();
        sums = add_stretch(sums, place);
        workgroupBarrier();
    }
    if SLICES > 1u {
        sums.first = add_slices(sums.first, place);
    }
    if place.slice == 0u {
        let row = row0 + 4u * place.quad_a;
        let column = column0 + 4u * place.quad_b;
        store_block(split, row, column, sums.first);
        if BLOCK_M == 8u {
            store_block(split, row + TILE_M / 2u, column, sums.high);
        }
        if BLOCK_N == 8u {
            store_block(split, row, column + TILE_N / 2u, sums.right);
            if BLOCK_M == 8u {
                store_block(split, row + TILE_M / 2u, column + TILE_N / 2u, sums.both);
            }
        }
    }
}
