// A convolution of each channel by itself, or its gradient for the images that it reads. One thread an element of y.
//
// x [R, pixels, channels], w [taps + 1, channels], y [R, pixels, channels]. Pixel q of the coarse image sees the pixels
// q·stride + tap − padding of the fine one. With BACK, y is the fine image, and the bias plays no part.

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
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    member = member_of(group);
    let i = linear_workgroup(group, groups) * 256u + lane;
    let fine = vec2(params.fine_height, params.fine_width);
    let coarse = vec2(params.coarse_height, params.coarse_width);
    let made = select(coarse, fine, BACK == 1u);
    let source = select(fine, coarse, BACK == 1u);
    let channel = i % params.channels;
    let pixel = i / params.channels % (made.x * made.y);
    let row = i / params.channels / (made.x * made.y);
    if row >= params.rows {
        return;
    }
    let at = vec2(pixel / made.y, pixel % made.y);
    let taps = params.kernel * params.kernel;
    var sum = 0.0;
    if BACK == 0u {
        sum = w[member * MEMBER_W + taps * params.channels + channel];
    }
    for (var tap = 0u; tap < taps; tap += 1u) {
        let through = vec2(tap / params.kernel, tap % params.kernel);
        var place = at * params.stride + through;
        // What lies outside is seen at a place beyond all others.
        var seen = place - params.padding;
        var inside = all(place >= vec2(params.padding));
        if BACK == 1u {
            place = at + params.padding;
            let apart = place - through;
            seen = apart / params.stride;
            inside = all(place >= through) && all(apart % params.stride == vec2(0u));
        }
        if inside && all(seen < source) {
            let read_at = ((row * source.x + seen.x) * source.y + seen.y) * params.channels + channel;
            sum += x[member * MEMBER_X + read_at] * w[member * MEMBER_W + tap * params.channels + channel];
        }
    }
    y[member * MEMBER_Y + i] = sum;
}
