// log q(z of row i | x of row j), Σ over latent dimensions; one thread per pair.

struct Params {
    rows: u32,
    latent: u32,
    low: f32,
    high: f32,
}

@group(0) @binding(0) var<storage, read> stats: array<f32>;
@group(0) @binding(1) var<storage, read> z: array<f32>;
@group(0) @binding(2) var<storage, read_write> pairs: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    member = member_of(group);
    let index = linear_workgroup(group, groups) * 64u + lane;
    let i = index / params.rows;
    let j = index % params.rows;
    if i >= params.rows {
        return;
    }
    var sum = 0.0;
    for (var d = 0u; d < params.latent; d += 1u) {
        let at = member * MEMBER_STATS + j * 2u * params.latent + d;
        let lv = clamp(stats[at + params.latent], params.low, params.high);
        let u = z[member * MEMBER_Z + i * params.latent + d] - stats[at];
        sum -= 0.5 * (u * u * exp(-lv) + lv + 1.8378770664093453);
    }
    pairs[member * MEMBER_PAIRS + index] = sum;
}
