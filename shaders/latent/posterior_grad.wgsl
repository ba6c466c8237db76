// The gradient of a loss in the posterior's mean and log-variance: through its samples and through its KL to N(0, 1).
// One thread per latent dimension of an example.

struct Params {
    rows: u32,
    latent: u32,
    per_example: u32,
    weight: u32,
    low: f32,
    high: f32,
}

@group(0) @binding(0) var<storage, read> stats: array<f32>;
@group(0) @binding(1) var<storage, read> eps: array<f32>;
@group(0) @binding(2) var<storage, read> dz: array<f32>;
@group(0) @binding(3) var<storage, read> g: array<f32>;
@group(0) @binding(4) var<storage, read_write> dstats: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;
@group(1) @binding(1) var<uniform> steps: array<Step, MEMBERS>;

fn kl_gradient(row: u32) -> f32 {
    if UNIFORM == 1u {
        return row_gradient(steps[member], params.weight, row, 1u);
    }
    return g[member * MEMBER_G + row];
}

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
    let at_mean = row * 2u * params.latent + column;
    let at_lv = at_mean + params.latent;
    let given = stats[member * MEMBER_STATS + at_lv];
    let lv = clamp(given, params.low, params.high);
    var dmean = 0.0;
    var dlv = 0.0;
    if SAMPLED == 1u {
        for (var k = 0u; k < params.per_example; k += 1u) {
            let i = (row * params.per_example + k) * params.latent + column;
            dmean += dz[member * MEMBER_DZ + i];
            dlv += dz[member * MEMBER_DZ + i] * eps[member * MEMBER_EPS + i];
        }
        dlv *= 0.5 * exp(0.5 * lv);
    }
    if KL == 1u {
        let weight = kl_gradient(row);
        dmean += weight * stats[member * MEMBER_STATS + at_mean];
        dlv += weight * 0.5 * exp_m1(lv);
    }
    dstats[member * MEMBER_DSTATS + at_mean] = dmean;
    dstats[member * MEMBER_DSTATS + at_lv] = select(dlv, 0.0, given < params.low || given > params.high);
}
