// The gradient of the parameters of a convolution of each channel by itself, in parts: split s sums over its own share of
// the pixels, so that many threads have something to do. One thread an element of a part.
//
// x [R, fine pixels, channels], dy [R, coarse pixels, channels], parts [splits, taps + 1, channels], whose last row is that of
// the bias. Pixel q of the coarse image sees the pixels q·stride + tap − padding of the fine one.

struct Params {
    rows: u32,
    channels: u32,
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

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    member = member_of(group);
    let i = linear_workgroup(group, groups) * 64u + lane;
    let fine = vec2(params.fine_height, params.fine_width);
    let taps = params.kernel * params.kernel;
    let channel = i % params.channels;
    let tap = i / params.channels % (taps + 1u);
    let split = i / params.channels / (taps + 1u);
    if split >= params.splits {
        return;
    }
    let of_image = params.coarse_height * params.coarse_width;
    let pixels = params.rows * of_image;
    let share = (pixels + params.splits - 1u) / params.splits;
    let through = vec2(tap / params.kernel, tap % params.kernel);
    var sum = 0.0;
    for (var pixel = split * share; pixel < min((split + 1u) * share, pixels); pixel += 1u) {
        let given = dy[member * MEMBER_DY + pixel * params.channels + channel];
        if tap == taps {
            sum += given;
            continue;
        }
        let row = pixel / of_image;
        let place = vec2(pixel % of_image / params.coarse_width, pixel % params.coarse_width) * params.stride + through;
        let seen = place - params.padding;
        if all(place >= vec2(params.padding)) && all(seen < fine) {
            let read_at = ((row * fine.x + seen.x) * fine.y + seen.y) * params.channels + channel;
            sum += x[member * MEMBER_X + read_at] * given;
        }
    }
    parts[member * MEMBER_PARTS + i] = sum;
}
