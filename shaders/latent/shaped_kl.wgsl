// The KL of each example, shaped by its mean over the batch, or its gradient; see shaped_kl.rs. One thread per example.

struct Params {
    rows: u32,
    latent: u32,
    size: u32,
    weight: u32,
    capacity: u32,
    bound: f32,
    low: f32,
    high: f32,
}

@group(0) @binding(0) var<storage, read> stats: array<f32>;
@group(0) @binding(1) var<storage, read> means: array<f32>;
@group(0) @binding(2) var<storage, read> g: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;
@group(1) @binding(1) var<uniform> steps: array<Step, MEMBERS>;

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
    var bound = params.bound;
    var below = 0.0;
    if CAPACITY == 1u {
        bound = loss_weight(steps[member], params.capacity);
        below = -1.0;
    }
    var share = row_gradient(steps[member], params.weight, row, 1u);
    if GRAD == 1u && UNIFORM == 0u {
        share = g[member * MEMBER_G + row];
    }
    var sum = 0.0;
    for (var first = 0u; first < params.latent; first += params.size) {
        let slope = select(below, 1.0, means[member * MEMBER_MEANS + first / params.size] > bound);
        var kl = 0.0;
        for (var j = first; j < first + params.size; j += 1u) {
            let at = row * 2u * params.latent + j;
            let mean = stats[member * MEMBER_STATS + at];
            let raw = stats[member * MEMBER_STATS + at + params.latent];
            let lv = clamp(raw, params.low, params.high);
            if GRAD == 1u {
                y[member * MEMBER_Y + at] = share * slope * mean;
                let held = raw < params.low || raw > params.high;
                y[member * MEMBER_Y + at + params.latent] = select(0.5 * share * slope * exp_m1(lv), 0.0, held);
            }
            kl += kl_term(mean, lv);
        }
        sum += slope * (kl - bound);
        if CAPACITY == 0u {
            sum += bound;
        }
    }
    if GRAD == 0u {
        y[member * MEMBER_Y + row] = sum;
    }
}
