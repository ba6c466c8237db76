// What gradients are multiplied with so that their norm stays below `clip`; one workgroup.

struct Params {
    partials: u32,
    clip: f32,
}

@group(0) @binding(0) var<storage, read> partials: array<f32>;
@group(0) @binding(1) var<storage, read_write> factor: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    member = member_of(group);
    var sum = 0.0;
    for (var i = lane; i < params.partials; i += 256u) {
        sum += partials[member * MEMBER_PARTIALS + i];
    }
    let total = workgroup_sum(sum, lane, 256u);
    if lane == 0u {
        factor[member * MEMBER_FACTOR] = min(1.0, params.clip / (sqrt(total) + 1e-6));
    }
}
