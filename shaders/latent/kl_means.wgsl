// The KL of each group of latent dimensions, a mean over the examples of the batch that count; one workgroup per group.

struct Params {
    groups: u32,
    size: u32,
    batch: u32,
    low: f32,
    high: f32,
}

@group(0) @binding(0) var<storage, read> stats: array<f32>;
@group(0) @binding(1) var<storage, read_write> means: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;
@group(1) @binding(1) var<uniform> steps: array<Step, MEMBERS>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    member = member_of(group);
    let index = linear_workgroup(group, groups);
    if index >= params.groups {
        return;
    }
    let latent = params.groups * params.size;
    let rows = min(steps[member].rows, params.batch);
    var sum = 0.0;
    for (var row = lane; row < rows; row += 64u) {
        for (var j = index * params.size; j < (index + 1u) * params.size; j += 1u) {
            let at = member * MEMBER_STATS + row * 2u * latent + j;
            sum += kl_term(stats[at], clamp(stats[at + latent], params.low, params.high));
        }
    }
    let total = workgroup_sum(sum, lane, 64u);
    if lane == 0u {
        means[member * MEMBER_MEANS + index] = total * steps[member].row_weight;
    }
}
