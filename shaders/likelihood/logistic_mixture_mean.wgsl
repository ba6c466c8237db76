// The mean of a discretised mixture of logistics, from 0 to 1: the means of its components by their weights, each held
// between the first level and the last. One workgroup per row, one thread per value.

struct Params {
    rows: u32,
    pixels: u32,
    channels: u32,
    components: u32,
    outputs: u32,
}

@group(0) @binding(0) var<storage, read> out: array<f32>;
@group(0) @binding(1) var<storage, read_write> mean: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    member = member_of(group);
    let row = linear_workgroup(group, groups);
    if row >= params.rows {
        return;
    }
    let width = params.channels * params.pixels;
    let means = params.components * params.pixels;
    let at_row = member * MEMBER_OUT + row * params.outputs;
    for (var value = lane; value < width; value += 64u) {
        let logits = at_row + value % params.pixels;
        var largest = out[logits];
        for (var k = 1u; k < params.components; k += 1u) {
            largest = max(largest, out[logits + k * params.pixels]);
        }
        var total = 0.0;
        var sum = 0.0;
        for (var k = 0u; k < params.components; k += 1u) {
            let weight = exp(out[logits + k * params.pixels] - largest);
            total += weight;
            sum += weight * clamp(out[at_row + means + k * width + value], -1.0, 1.0);
        }
        mean[member * MEMBER_MEAN + row * width + value] = 0.5 + 0.5 * sum / total;
    }
}
