// What each row gives to the gradient of scale and shift of group normalisation; a thread for each channel of each row.

struct Params {
    rows: u32,
    pixels: u32,
    channels: u32,
    groups: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> moments: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> parts: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    member = member_of(group);
    let i = linear_workgroup(group, groups) * 64u + lane;
    let row = i / params.channels;
    let channel = i % params.channels;
    if row >= params.rows {
        return;
    }
    let place = 2u * (row * params.groups + channel / (params.channels / params.groups));
    let mean = moments[member * MEMBER_MOMENTS + place];
    let factor = moments[member * MEMBER_MOMENTS + place + 1u];
    var scale = 0.0;
    var shift = 0.0;
    for (var pixel = 0u; pixel < params.pixels; pixel += 1u) {
        let at = (row * params.pixels + pixel) * params.channels + channel;
        let d = dy[member * MEMBER_DY + at];
        scale += d * (x[member * MEMBER_X + at] - mean) * factor;
        shift += d;
    }
    parts[member * MEMBER_PARTS + 2u * row * params.channels + channel] = scale;
    parts[member * MEMBER_PARTS + (2u * row + 1u) * params.channels + channel] = shift;
}
