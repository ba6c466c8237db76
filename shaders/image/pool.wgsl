// The sum, times a factor, of what each pixel sees of the other image: a rectangle of pixels. One thread an element of y.
//
// Pixel q of the coarse image sees the pixels q·stride to q·stride + kernel − 1 of the fine one, along both sides. UP says
// which of the two images y is.

struct Params {
    rows: u32,
    channels: u32,
    fine_height: u32,
    fine_width: u32,
    coarse_height: u32,
    coarse_width: u32,
    kernel: u32,
    stride: u32,
    factor: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    member = member_of(group);
    let i = linear_workgroup(group, groups) * 256u + lane;
    let fine = vec2(params.fine_height, params.fine_width);
    let coarse = vec2(params.coarse_height, params.coarse_width);
    let made = select(coarse, fine, UP == 1u);
    let source = select(fine, coarse, UP == 1u);
    let channel = i % params.channels;
    let pixel = i / params.channels % (made.x * made.y);
    let row = i / params.channels / (made.x * made.y);
    if row >= params.rows {
        return;
    }
    let at = vec2(pixel / made.y, pixel % made.y);
    var first = at * params.stride;
    var end = first + params.kernel;
    if UP == 1u {
        // Where the stride is larger than the kernel, there may be none.
        first = (max(at + 1u, vec2(params.kernel)) - params.kernel + params.stride - 1u) / params.stride;
        end = min(at / params.stride + 1u, coarse);
    }
    var sum = 0.0;
    for (var line = first.x; line < end.x; line += 1u) {
        for (var column = first.y; column < end.y; column += 1u) {
            sum += x[member * MEMBER_X + ((row * source.x + line) * source.y + column) * params.channels + channel];
        }
    }
    y[member * MEMBER_Y + i] = params.factor * sum;
}
