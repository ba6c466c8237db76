// The gradient of group normalisation for x, (g − mean(g) − n·mean(g·n))/deviation with g = dy·scale and the normalised n;
// a workgroup for each group of each row.

struct Params {
    rows: u32,
    pixels: u32,
    channels: u32,
    groups: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> moments: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    member = member_of(group);
    let number = linear_workgroup(group, groups);
    let size = params.channels / params.groups;
    let count = params.pixels * size;
    let end = select(0u, count, number < params.rows * params.groups);
    let first = number / params.groups * params.pixels * params.channels;
    let channel0 = number % params.groups * size;
    let mean = moments[member * MEMBER_MOMENTS + min(2u * number, 2u * params.rows * params.groups - 2u)];
    let inverse = moments[member * MEMBER_MOMENTS + min(2u * number, 2u * params.rows * params.groups - 2u) + 1u];
    var sum_g = 0.0;
    var sum_gn = 0.0;
    for (var i = lane; i < end; i += 64u) {
        let channel = channel0 + i % size;
        let at = first + i / size * params.channels + channel;
        let g = dy[member * MEMBER_DY + at] * w[member * MEMBER_W + channel];
        sum_g += g;
        sum_gn += g * (x[member * MEMBER_X + at] - mean) * inverse;
    }
    let mean_g = workgroup_sum(sum_g, lane, 64u) / f32(count);
    workgroupBarrier();
    let mean_gn = workgroup_sum(sum_gn, lane, 64u) / f32(count);
    for (var i = lane; i < end; i += 64u) {
        let channel = channel0 + i % size;
        let at = first + i / size * params.channels + channel;
        let g = dy[member * MEMBER_DY + at] * w[member * MEMBER_W + channel];
        let normal = (x[member * MEMBER_X + at] - mean) * inverse;
        dx[member * MEMBER_DX + at] = (g - mean_g - normal * mean_gn) * inverse;
    }
}
