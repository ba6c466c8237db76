// What gradients are multiplied with so that their norm stays below `clip`; one workgroup. With `skip` above 0, 0 where the
// norm is that or more, or no number; without, such a gradient is to be noticed, and stays what it is. With REPORT = 1 the norm goes to the metrics too.

struct Params {
    partials: u32,
    clip: f32,
    skip: f32,
    columns: u32,
    index: u32,
}

@group(0) @binding(0) var<storage, read> partials: array<u32>;
@group(0) @binding(1) var<storage, read_write> factor: array<f32>;
@group(0) @binding(2) var<storage, read_write> metrics: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;
@group(1) @binding(1) var<uniform> steps: array<Step, MEMBERS>;

// A squared norm from here on counts as no number. The sum over 256 lanes of it is still one.
const MOST = 1e35;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    member = member_of(group);
    var sum = 0.0;
    for (var i = lane; i < params.partials; i += 256u) {
        let word = partials[member * MEMBER_PARTIALS + i];
        // An exponent of ones: infinity, or no number. By its bits, since WGSL may assume that there is no such value.
        if (word & 0x7f800000u) == 0x7f800000u {
            sum = MOST;
        } else {
            sum = min(sum + bitcast<f32>(word), MOST);
        }
    }
    let total = workgroup_sum(sum, lane, 256u);
    if lane == 0u {
        let norm = sqrt(total);
        let scale = min(1.0, params.clip / (norm + 1e-6));
        factor[member * MEMBER_FACTOR] = select(scale, 0.0, params.skip > 0.0 && (total >= MOST || norm >= params.skip));
        if REPORT == 1u {
            metrics[member * MEMBER_METRICS + steps[member].slot * params.columns + params.index] = norm;
        }
    }
}
