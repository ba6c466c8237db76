// log Σ over the batch's posteriors of the density of a row's latent: one dimension after the other, then all together.
// One thread per number; see total_correlation.rs.

struct Params {
    rows: u32,
    latent: u32,
    low: f32,
    high: f32,
}

@group(0) @binding(0) var<storage, read> stats: array<f32>;
@group(0) @binding(1) var<storage, read> z: array<f32>;
@group(0) @binding(2) var<storage, read> pairs: array<f32>;
@group(0) @binding(3) var<storage, read_write> norms: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;
@group(1) @binding(1) var<uniform> steps: array<Step, MEMBERS>;

fn log_density(row: u32, j: u32, d: u32) -> f32 {
    if d == params.latent {
        return pairs[member * MEMBER_PAIRS + row * params.rows + j];
    }
    let at = member * MEMBER_STATS + j * 2u * params.latent + d;
    let lv = clamp(stats[at + params.latent], params.low, params.high);
    let u = z[member * MEMBER_Z + row * params.latent + d] - stats[at];
    return -0.5 * (u * u * exp(-lv) + lv + 1.8378770664093453);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    member = member_of(group);
    let index = linear_workgroup(group, groups) * 64u + lane;
    let row = index / (params.latent + 1u);
    let d = index % (params.latent + 1u);
    if row >= params.rows {
        return;
    }
    let n = max(min(steps[member].rows, params.rows), 1u);
    var largest = log_density(row, 0u, d);
    for (var j = 1u; j < n; j += 1u) {
        largest = max(largest, log_density(row, j, d));
    }
    var sum = 0.0;
    for (var j = 0u; j < n; j += 1u) {
        sum += exp(log_density(row, j, d) - largest);
    }
    norms[member * MEMBER_NORMS + index] = largest + log(sum);
}
