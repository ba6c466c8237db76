// The discretised mixture of logistics for images of 256 levels: distortion = −Σ over pixels of log Σ over components k
// of π_k·Π over channels of the mass that a logistic distribution gives to the level, per row, and its gradient.
// A row of `out` is planes of pixels: K logits, then the means and then the log-scales, those of a component together.
// Levels reach from −1 to 1 here. A missing value, which is a NaN, has the mass 1. One workgroup per row.

// Half the distance from one level to the next.
const HALF_BIN = 0.003921568627;

struct Params {
    rows: u32,
    pixels: u32,
    channels: u32,
    components: u32,
    per_example: u32,
    weight: u32,
    low: f32,
    high: f32,
}

@group(0) @binding(0) var<storage, read> out: array<f32>;
// Words and no floats: what is missing is known by its bits.
@group(0) @binding(1) var<storage, read> x: array<u32>;
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

// The logarithm of the mass of a level, σ(a) − σ(b) = σ(a)·σ(−b)·(1 − exp(b − a)) between the edges a and b of its bin,
// and its slopes in the mean and in the log-scale. The first level has no lower edge and the last no upper one.
fn log_mass(value: f32, mean: f32, given: f32) -> vec3<f32> {
    let log_scale = clamp(given, params.low, params.high);
    let inverse = exp(-log_scale);
    let centred = 2.0 * value - 1.0 - mean;
    let width = 2.0 * HALF_BIN * inverse;
    let a = inverse * (centred + HALF_BIN);
    let b = inverse * (centred - HALF_BIN);
    let upper = select(0.0, 1.0, value < 254.5 / 255.0);
    let lower = select(0.0, 1.0, value > 0.5 / 255.0);
    let inner = upper * lower;
    let mass = inner * log(-exp_m1(-width)) - upper * softplus(-a) - lower * softplus(b);
    let along_a = upper * sigmoid(-a);
    let along_b = lower * sigmoid(b);
    let slope = b * along_b - a * along_a - inner * width / exp_m1(width);
    let held = given < params.low || given > params.high;
    return vec3<f32>(mass, inverse * (along_b - along_a), select(slope, 0.0, held));
}

// The logarithm of exp a + exp b.
fn log_add(a: f32, b: f32) -> f32 {
    return max(a, b) + log1p_unit(exp(-abs(a - b)));
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
    let pixels = params.pixels;
    let each = params.channels * pixels;
    let means = params.components * pixels;
    let scales = means + params.components * each;
    let at_row = row * (scales + params.components * each);
    let at_out = member * MEMBER_OUT + at_row;
    let at_dout = member * MEMBER_DOUT + at_row;
    let at_x = member * MEMBER_X + (row / params.per_example) * each;
    var sum = 0.0;
    for (var pixel = lane; pixel < pixels; pixel += 64u) {
        // Of all components together: before anything is seen, and with what is seen.
        var prior = -1e30;
        var joint = -1e30;
        for (var k = 0u; k < params.components; k += 1u) {
            let logit = out[at_out + k * pixels + pixel];
            var seen = logit;
            for (var c = 0u; c < params.channels; c += 1u) {
                let word = x[at_x + c * pixels + pixel];
                let at = k * each + c * pixels + pixel;
                var mass = vec3<f32>(0.0);
                if !is_missing(word) {
                    mass = log_mass(bitcast<f32>(word), out[at_out + means + at], out[at_out + scales + at]);
                }
                seen += mass.x;
                if GRAD == 1u {
                    dout[at_dout + means + at] = mass.y;
                    dout[at_dout + scales + at] = mass.z;
                }
            }
            prior = log_add(prior, logit);
            joint = log_add(joint, seen);
            if GRAD == 1u {
                dout[at_dout + k * pixels + pixel] = seen;
            }
        }
        sum += prior - joint;
        if GRAD == 1u {
            for (var k = 0u; k < params.components; k += 1u) {
                let at_logit = k * pixels + pixel;
                let share = exp(dout[at_dout + at_logit] - joint);
                dout[at_dout + at_logit] = weight * (exp(out[at_out + at_logit] - prior) - share);
                for (var c = 0u; c < params.channels; c += 1u) {
                    let at = k * each + c * pixels + pixel;
                    dout[at_dout + means + at] *= -weight * share;
                    dout[at_dout + scales + at] *= -weight * share;
                }
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
