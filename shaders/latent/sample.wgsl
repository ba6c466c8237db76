// Reparameterised draws z = mean + exp(lv/2)·eps from the posterior, and its KL to the prior N(0, 1).
// One workgroup per example: blocks of four columns of all its samples are shared out among the lanes.

struct Params {
    rows: u32,
    latent: u32,
    per_example: u32,
    low: f32,
    high: f32,
}

@group(0) @binding(0) var<storage, read> order: array<u32>;
@group(0) @binding(1) var<storage, read> stats: array<f32>;
@group(0) @binding(2) var<storage, read_write> eps: array<f32>;
@group(0) @binding(3) var<storage, read_write> z: array<f32>;
@group(0) @binding(4) var<storage, read_write> kl: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;
@group(1) @binding(1) var<uniform> steps: array<Step, MEMBERS>;

fn mean(row: u32, column: u32) -> f32 {
    return stats[member * MEMBER_STATS + row * 2u * params.latent + column];
}

fn log_variance(row: u32, column: u32) -> f32 {
    return clamp(stats[member * MEMBER_STATS + (row * 2u + 1u) * params.latent + column], params.low, params.high);
}

// Draws columns 4·block to 4·block + 3 of sample `draw` of the example in row `row`.
fn draw_block(row: u32, draw: u32, blocks: u32, block: u32) {
    var values = vec4<f32>(0.0);
    if DRAW == 1u {
        let example = order[member * MEMBER_ORDER + position(steps[member], row)];
        values = noise_block(steps[member], example, steps[member].sample + draw, blocks, block);
    }
    let end = min(4u, params.latent - block * 4u);
    for (var i = 0u; i < end; i += 1u) {
        let column = block * 4u + i;
        let index = (row * params.per_example + draw) * params.latent + column;
        if DRAW == 1u {
            eps[member * MEMBER_EPS + index] = values[i];
        } else {
            values[i] = eps[member * MEMBER_EPS + index];
        }
        z[member * MEMBER_Z + index] = mean(row, column) + exp(0.5 * log_variance(row, column)) * values[i];
    }
}

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
    let blocks = (params.latent + 3u) / 4u;
    for (var i = lane; i < params.per_example * blocks; i += 64u) {
        draw_block(row, i / blocks, blocks, i % blocks);
    }
    var sum = 0.0;
    for (var j = lane; j < params.latent; j += 64u) {
        sum += kl_term(mean(row, j), log_variance(row, j));
    }
    let total = workgroup_sum(sum, lane, 64u);
    if lane == 0u {
        kl[member * MEMBER_KL + row] = total;
    }
}
