// A tensor that is kept from run to run: the sum of another over the runs of an update, or its moving average.

struct Params {
    count: u32,
    decay: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> kept: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;
@group(1) @binding(1) var<uniform> steps: array<Step, MEMBERS>;

const SUM = 0u;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    member = member_of(group);
    let i = linear_workgroup(group, groups) * 256u + lane;
    if i >= params.count {
        return;
    }
    let at = member * MEMBER_KEPT + i;
    let value = x[member * MEMBER_X + i];
    if WHAT == SUM {
        // What the last update left is not touched, since it may be anything.
        if first_part(steps[member], PARTS) {
            kept[at] = value;
        } else {
            kept[at] += value;
        }
    } else if last_part(steps[member], PARTS) {
        let t = f32(steps[member].step);
        let decay = min(params.decay, (1.0 + t) / (10.0 + t));
        kept[at] = lasting(kept[at] + (1.0 - decay) * (value - kept[at]));
    }
}
