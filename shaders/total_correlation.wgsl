// The total correlation of the aggregate posterior, a share for each example, or its gradient for samples (OF = 1) or
// statistics (OF = 2); see total_correlation.rs. One thread per example, or per latent dimension of one.

struct Params {
    rows: u32,
    latent: u32,
    weight: u32,
    low: f32,
    high: f32,
}

@group(0) @binding(0) var<storage, read> stats: array<f32>;
@group(0) @binding(1) var<storage, read> z: array<f32>;
@group(0) @binding(2) var<storage, read> pairs: array<f32>;
@group(0) @binding(3) var<storage, read> norms: array<f32>;
@group(0) @binding(4) var<storage, read> g: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;
@group(1) @binding(1) var<uniform> steps: array<Step, MEMBERS>;

fn norm(row: u32, d: u32) -> f32 {
    return norms[member * MEMBER_NORMS + row * (params.latent + 1u) + d];
}

fn row_share(row: u32) -> f32 {
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
    let n = max(min(steps[member].rows, params.rows), 1u);
    if OF == 0u {
        if index < params.rows {
            var sum = norm(index, params.latent);
            for (var d = 0u; d < params.latent; d += 1u) {
                sum -= norm(index, d);
            }
            let offset = (f32(params.latent) - 1.0) * log(f32(n));
            y[member * MEMBER_Y + index] = select(0.0, sum + offset, index < n);
        }
        return;
    }
    let row = index / params.latent;
    let d = index % params.latent;
    if row >= params.rows {
        return;
    }
    var first = 0.0;
    var second = 0.0;
    let inside = row < n;
    for (var other = 0u; other < select(0u, n, inside); other += 1u) {
        // The latent of row i under the posterior of row j.
        let i = select(other, row, OF == 1u);
        let j = select(row, other, OF == 1u);
        let at = member * MEMBER_STATS + j * 2u * params.latent + d;
        let lv = clamp(stats[at + params.latent], params.low, params.high);
        let u = z[member * MEMBER_Z + i * params.latent + d] - stats[at];
        let scaled = u * exp(-lv);
        let density = -0.5 * (u * scaled + lv + 1.8378770664093453);
        let pair = exp(pairs[member * MEMBER_PAIRS + i * params.rows + j] - norm(i, params.latent));
        let share = row_share(i) * (pair - exp(density - norm(i, d)));
        first += share * scaled;
        second += share * 0.5 * (u * scaled - 1.0);
    }
    if OF == 1u {
        y[member * MEMBER_Y + index] = -first;
        return;
    }
    let at = row * 2u * params.latent + d;
    let lv = stats[member * MEMBER_STATS + at + params.latent];
    y[member * MEMBER_Y + at] = first;
    y[member * MEMBER_Y + at + params.latent] = select(second, 0.0, lv < params.low || lv > params.high);
}
