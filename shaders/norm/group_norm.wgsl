// y = (x − mean)/deviation·scale + shift, by the moments of an element's group; one thread an element.

struct Params {
    rows: u32,
    pixels: u32,
    channels: u32,
    groups: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> moments: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    member = member_of(group);
    let i = linear_workgroup(group, groups) * 256u + lane;
    let width = params.pixels * params.channels;
    if i >= params.rows * width {
        return;
    }
    let channel = i % params.channels;
    let place = 2u * (i / width * params.groups + channel / (params.channels / params.groups));
    let mean = moments[member * MEMBER_MOMENTS + place];
    let inverse = moments[member * MEMBER_MOMENTS + place + 1u];
    let scale = w[member * MEMBER_W + channel];
    let shift = w[member * MEMBER_W + params.channels + channel];
    y[member * MEMBER_Y + i] = (x[member * MEMBER_X + i] - mean) * inverse * scale + shift;
}
