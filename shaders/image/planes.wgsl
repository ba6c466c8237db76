// Images with their channels side by side in each pixel to images of one plane after the other, or back; one thread an
// element of y.

struct Params {
    rows: u32,
    pixels: u32,
    channels: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    member = member_of(group);
    let i = linear_workgroup(group, groups) * 256u + lane;
    let width = params.pixels * params.channels;
    if i < params.rows * width {
        let at = i % width;
        var source = at % params.pixels * params.channels + at / params.pixels;
        if TO_PIXELS == 1u {
            source = at % params.channels * params.pixels + at / params.channels;
        }
        y[member * MEMBER_Y + i] = x[member * MEMBER_X + i - at + source];
    }
}
