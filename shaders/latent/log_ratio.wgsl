// log q(z|x) − log p(z) of each sample: Σ ½z² − ½eps² − ½lv. The constants of the two densities cancel.
// One thread per row.

struct Params {
    rows: u32,
    latent: u32,
    per_example: u32,
    low: f32,
    high: f32,
}

@group(0) @binding(0) var<storage, read> stats: array<f32>;
@group(0) @binding(1) var<storage, read> eps: array<f32>;
@group(0) @binding(2) var<storage, read> z: array<f32>;
@group(0) @binding(3) var<storage, read_write> ratio: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    member = member_of(group);
    let row = linear_workgroup(group, groups) * 64u + lane;
    if row >= params.rows {
        return;
    }
    let at_lv = (row / params.per_example * 2u + 1u) * params.latent;
    var sum = 0.0;
    for (var j = 0u; j < params.latent; j += 1u) {
        let e = eps[member * MEMBER_EPS + row * params.latent + j];
        let value = z[member * MEMBER_Z + row * params.latent + j];
        sum += 0.5 * (value * value - e * e - clamp(stats[member * MEMBER_STATS + at_lv + j], params.low, params.high));
    }
    ratio[member * MEMBER_RATIO + row] = sum;
}
