// log N(z; 0, 1) − log N(z; mean, exp(lv)) of each row, Σ ½lv + ½(z − mean)²·exp(−lv) − ½z², or its gradient for the samples
// or for the statistics. One thread a row, of gradients one for each latent dimension of a row.

struct Params {
    rows: u32,
    latent: u32,
    per_example: u32,
    weight: u32,
    low: f32,
    high: f32,
}

@group(0) @binding(0) var<storage, read> z: array<f32>;
@group(0) @binding(1) var<storage, read> prior: array<f32>;
@group(0) @binding(2) var<storage, read> g: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;
@group(1) @binding(1) var<uniform> steps: array<Step, MEMBERS>;

// Values of OF.
const VALUE = 0u;
const SAMPLES = 1u;

fn sample_at(row: u32, column: u32) -> f32 {
    return z[member * MEMBER_Z + row * params.latent + column];
}

fn mean(row: u32, column: u32) -> f32 {
    return prior[member * MEMBER_PRIOR + row * 2u * params.latent + column];
}

fn log_variance(row: u32, column: u32) -> f32 {
    return prior[member * MEMBER_PRIOR + (row * 2u + 1u) * params.latent + column];
}

fn weight_of(row: u32) -> f32 {
    if UNIFORM == 1u {
        return row_gradient(steps[member], params.weight, row, params.per_example);
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
    if OF == VALUE {
        if index >= params.rows {
            return;
        }
        var sum = 0.0;
        for (var j = 0u; j < params.latent; j += 1u) {
            let lv = clamp(log_variance(index, j), params.low, params.high);
            let value = sample_at(index, j);
            let d = value - mean(index, j);
            sum += 0.5 * (lv + d * d * exp(-lv) - value * value);
        }
        y[member * MEMBER_Y + index] = sum;
        return;
    }
    let row = index / params.latent;
    let column = index % params.latent;
    if row >= params.rows {
        return;
    }
    let given = log_variance(row, column);
    let value = sample_at(row, column);
    let d = value - mean(row, column);
    let scaled = d * exp(-clamp(given, params.low, params.high));
    let weight = weight_of(row);
    if OF == SAMPLES {
        y[member * MEMBER_Y + index] = weight * (scaled - value);
        return;
    }
    let at = member * MEMBER_Y + row * 2u * params.latent + column;
    y[at] = -weight * scaled;
    let dlv = 0.5 * weight * (1.0 - d * scaled);
    y[at + params.latent] = select(dlv, 0.0, given < params.low || given > params.high);
}
