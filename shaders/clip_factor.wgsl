// What gradients are multiplied with so that their norm stays below `clip`, or 0 where it is no number; one workgroup.

struct Params {
    partials: u32,
    clip: f32,
}

@group(0) @binding(0) var<storage, read> partials: array<u32>;
@group(0) @binding(1) var<storage, read_write> factor: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

// A squared norm from here on counts as no number.
const MOST = 1e38;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    member = member_of(group);
    var sum = 0.0;
    var wrong = false;
    for (var i = lane; i < params.partials; i += 256u) {
        let word = partials[member * MEMBER_PARTIALS + i];
        sum += bitcast<f32>(word);
        // An exponent of ones: infinity, or no number. By its bits, since WGSL may assume that there is no such value.
        if (word & 0x7f800000u) == 0x7f800000u {
            wrong = true;
        }
    }
    let total = workgroup_sum(select(sum, MOST, wrong), lane, 256u);
    if lane == 0u {
        factor[member * MEMBER_FACTOR] = select(0.0, min(1.0, params.clip / (sqrt(total) + 1e-6)), total < MOST);
    }
}
