// The Gaussian decoder: distortion = Σ ½log 2π + ½lv + ½(x − mean)²·exp(−lv) per row, and its gradient.
// The log-variance lv is a constant or, if LEARNED, the second half of the decoder's row. One workgroup per row.

struct Params {
    rows: u32,
    width: u32,
    per_example: u32,
    weight: u32,
    log_variance: f32,
    low: f32,
    high: f32,
}

@group(0) @binding(0) var<storage, read> out: array<f32>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> g: array<f32>;
@group(0) @binding(3) var<storage, read_write> distortion: array<f32>;
@group(0) @binding(4) var<storage, read_write> dout: array<f32>;
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
    let at_row = row * params.width * (1u + LEARNED);
    let at_example = (row / params.per_example) * params.width;
    var sum = 0.0;
    for (var column = lane; column < params.width; column += 64u) {
        let at_mean = at_row + column;
        let at_lv = at_mean + params.width;
        var given = params.log_variance;
        var lv = given;
        if LEARNED == 1u {
            given = out[member * MEMBER_OUT + at_lv];
            lv = clamp(given, params.low, params.high);
        }
        let difference = out[member * MEMBER_OUT + at_mean] - x[member * MEMBER_X + at_example + column];
        let inverse = exp(-lv);
        let square = difference * difference * inverse;
        if VALUE == 1u {
            sum += gaussian_term(difference, lv);
        }
        if GRAD == 1u {
            dout[member * MEMBER_DOUT + at_mean] = weight * difference * inverse;
            if LEARNED == 1u {
                let held = given < params.low || given > params.high;
                dout[member * MEMBER_DOUT + at_lv] = select(weight * 0.5 * (1.0 - square), 0.0, held);
            }
        }
    }
    if VALUE == 1u {
        let total = workgroup_sum(sum, lane, 64u);
        if lane == 0u {
            distortion[member * MEMBER_DISTORTION + row] = total;
        }
    }
}
