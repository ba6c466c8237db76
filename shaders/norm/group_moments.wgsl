// The mean and one over the standard deviation of each group of channels over all pixels of a row; a workgroup for each.

struct Params {
    rows: u32,
    pixels: u32,
    channels: u32,
    groups: u32,
    eps: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> moments: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    member = member_of(group);
    let number = linear_workgroup(group, groups);
    let size = params.channels / params.groups;
    let count = params.pixels * size;
    let inside = number < params.rows * params.groups;
    let row = member * MEMBER_X + number / params.groups * params.pixels * params.channels;
    let first = row + number % params.groups * size;
    let end = select(0u, count, inside);
    var sum = 0.0;
    for (var i = lane; i < end; i += 64u) {
        sum += x[first + i / size * params.channels + i % size];
    }
    let mean = workgroup_sum(sum, lane, 64u) / f32(count);
    workgroupBarrier();
    var squares = 0.0;
    for (var i = lane; i < end; i += 64u) {
        let away = x[first + i / size * params.channels + i % size] - mean;
        squares += away * away;
    }
    let variance = workgroup_sum(squares, lane, 64u) / f32(count);
    if lane == 0u && inside {
        moments[member * MEMBER_MOMENTS + 2u * number] = mean;
        moments[member * MEMBER_MOMENTS + 2u * number + 1u] = 1.0 / sqrt(variance + params.eps);
    }
}
