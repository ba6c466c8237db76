// Accumulates Σ exp(log w) over samples without overflow, with log w = −distortion − ratio: state[b] = (m, s), the
// largest log w so far and the sum of exp(log w − m). One thread per example.

struct Params {
    rows: u32,
    per_example: u32,
}

@group(0) @binding(0) var<storage, read> distortion: array<f32>;
@group(0) @binding(1) var<storage, read> ratio: array<f32>;
@group(0) @binding(2) var<storage, read_write> state: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;
@group(1) @binding(1) var<uniform> steps: array<Step, MEMBERS>;

fn log_weight(row: u32) -> f32 {
    return -distortion[member * MEMBER_DISTORTION + row] - ratio[member * MEMBER_RATIO + row];
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    member = member_of(group);
    let example = linear_workgroup(group, groups) * 64u + lane;
    if example >= params.rows {
        return;
    }
    let start = example * params.per_example;
    let end = start + params.per_example;
    var maximum = log_weight(start);
    for (var row = start + 1u; row < end; row += 1u) {
        maximum = max(maximum, log_weight(row));
    }
    var sum = 0.0;
    // The first samples of an example start afresh; what the state holds then does not matter.
    if steps[member].sample != 0u {
        let before = state[member * MEMBER_STATE + 2u * example];
        maximum = max(maximum, before);
        sum = state[member * MEMBER_STATE + 2u * example + 1u] * exp(before - maximum);
    }
    for (var row = start; row < end; row += 1u) {
        sum += exp(log_weight(row) - maximum);
    }
    state[member * MEMBER_STATE + 2u * example] = maximum;
    state[member * MEMBER_STATE + 2u * example + 1u] = sum;
}
