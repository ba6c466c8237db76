// The sum of squares in parts: workgroup p adds up its contiguous chunk of x, so that the order of the sum is fixed.

struct Params {
    count: u32,
    partials: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> partials: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    member = member_of(group);
    let part = linear_workgroup(group, groups);
    let chunk = (params.count + params.partials - 1u) / params.partials;
    let end = min((part + 1u) * chunk, params.count);
    var sum = 0.0;
    for (var i = part * chunk + lane; i < end; i += 256u) {
        sum += x[member * MEMBER_X + i] * x[member * MEMBER_X + i];
    }
    let total = workgroup_sum(sum, lane, 256u);
    if lane == 0u && part < params.partials {
        partials[member * MEMBER_PARTIALS + part] = total;
    }
}
