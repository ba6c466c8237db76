// The gradient of log q(z|x) − log p(z) for the posterior's statistics, where z is held: −½ Σ g for the log-variance.
// One thread per latent dimension of an example.

struct Params {
    rows: u32,
    latent: u32,
    per_example: u32,
    low: f32,
    high: f32,
}

@group(0) @binding(0) var<storage, read> stats: array<f32>;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read_write> dstats: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    member = member_of(group);
    let index = linear_workgroup(group, groups) * 64u + lane;
    let row = index / params.latent;
    let column = index % params.latent;
    if row >= params.rows {
        return;
    }
    var sum = 0.0;
    for (var k = 0u; k < params.per_example; k += 1u) {
        sum += g[member * MEMBER_G + row * params.per_example + k];
    }
    let at = row * 2u * params.latent + column;
    let lv = stats[member * MEMBER_STATS + at + params.latent];
    dstats[member * MEMBER_DSTATS + at] = 0.0;
    dstats[member * MEMBER_DSTATS + at + params.latent] = select(-0.5 * sum, 0.0, lv < params.low || lv > params.high);
}
