// The Bernoulli decoder from logits: distortion = Σ log(1 + exp l) − l·x per row, and its gradient g·(sigmoid(l) − x).
// One workgroup per row.

struct Params {
    rows: u32,
    width: u32,
    per_example: u32,
    weight: u32,
}

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> g: array<f32>;
@group(0) @binding(3) var<storage, read_write> distortion: array<f32>;
@group(0) @binding(4) var<storage, read_write> dlogits: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;
@group(1) @binding(1) var<uniform> steps: array<Step, MEMBERS>;

fn gradient_of_row(row: u32) -> f32 {
    if GRAD == 0u {
        return 0.0;
    }
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
    let row = linear_workgroup(group, groups);
    if row >= params.rows {
        return;
    }
    let weight = gradient_of_row(row);
    let at_row = row * params.width;
    let at_example = (row / params.per_example) * params.width;
    var sum = 0.0;
    for (var column = lane; column < params.width; column += 64u) {
        let logit = logits[member * MEMBER_LOGITS + at_row + column];
        let value = x[member * MEMBER_X + at_example + column];
        if VALUE == 1u {
            sum += bernoulli_term(logit, value);
        }
        if GRAD == 1u {
            dlogits[member * MEMBER_DLOGITS + at_row + column] = weight * (sigmoid(logit) - value);
        }
    }
    if VALUE == 1u {
        let total = workgroup_sum(sum, lane, 64u);
        if lane == 0u {
            distortion[member * MEMBER_DISTORTION + row] = total;
        }
    }
}
