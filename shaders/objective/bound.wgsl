// The importance-weighted bound of each group of samples, or its gradient for their log weights; see bound.rs.
// One thread per group.

struct Params {
    groups: u32,
    size: u32,
    per_example: u32,
    weight: u32,
}

@group(0) @binding(0) var<storage, read> distortion: array<f32>;
@group(0) @binding(1) var<storage, read> ratio: array<f32>;
@group(0) @binding(2) var<storage, read> g: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;
@group(1) @binding(1) var<uniform> steps: array<Step, MEMBERS>;

fn log_weight(row: u32) -> f32 {
    return -(distortion[member * MEMBER_DISTORTION + row] + ratio[member * MEMBER_RATIO + row]);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    member = member_of(group);
    let index = linear_workgroup(group, groups) * 64u + lane;
    if index >= params.groups {
        return;
    }
    let first = index * params.size;
    var largest = log_weight(first);
    for (var k = 1u; k < params.size; k += 1u) {
        largest = max(largest, log_weight(first + k));
    }
    var sum = 0.0;
    for (var k = 0u; k < params.size; k += 1u) {
        sum += exp(log_weight(first + k) - largest);
    }
    if GRAD == 0u {
        y[member * MEMBER_Y + index] = log(f32(params.size)) - largest - log(sum);
        return;
    }
    var share = row_gradient(steps[member], params.weight, index, params.per_example);
    if UNIFORM == 0u {
        share = g[member * MEMBER_G + index];
    }
    for (var k = 0u; k < params.size; k += 1u) {
        y[member * MEMBER_Y + first + k] = share * exp(log_weight(first + k) - largest) / sum;
    }
}
