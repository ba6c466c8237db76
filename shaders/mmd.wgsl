// The squared MMD of latents and draws from the prior, a share for each example, or its gradient; see mmd.rs.
// One workgroup per example.

struct Params {
    rows: u32,
    latent: u32,
    weight: u32,
}

@group(0) @binding(0) var<storage, read> z: array<f32>;
@group(0) @binding(1) var<storage, read> prior: array<f32>;
@group(0) @binding(2) var<storage, read> g: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;
@group(1) @binding(1) var<uniform> steps: array<Step, MEMBERS>;

// Of the prior's draws every second one: the first of each pair is the noise of the latent itself.
fn drawn(row: u32, column: u32) -> f32 {
    return prior[member * MEMBER_PRIOR + (2u * row + 1u) * params.latent + column];
}

fn latent_of(row: u32, column: u32) -> f32 {
    return z[member * MEMBER_Z + row * params.latent + column];
}

// The sum over scales of C/(C + s), and of its derivative for s.
fn similarity(s: f32) -> vec2<f32> {
    var scales = array<f32, 7>(0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0);
    var sum = vec2<f32>(0.0);
    for (var i = 0u; i < 7u; i += 1u) {
        let c = 2.0 * f32(params.latent) * scales[i];
        sum += vec2<f32>(c / (c + s), -c / ((c + s) * (c + s)));
    }
    return sum;
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
    let row = linear_workgroup(group, groups);
    if row >= params.rows {
        return;
    }
    let n = min(steps[member].rows, params.rows);
    let counts = row < n && n > 1u;
    let among = 1.0 / f32(max(n, 2u) - 1u);
    let across = 1.0 / f32(max(n, 1u));
    if GRAD == 0u {
        var sum = 0.0;
        for (var j = lane; j < select(0u, n, counts); j += 64u) {
            var own = 0.0;
            var of_prior = 0.0;
            var other = 0.0;
            for (var d = 0u; d < params.latent; d += 1u) {
                let a = latent_of(row, d);
                let b = latent_of(j, d);
                let p = drawn(row, d);
                let q = drawn(j, d);
                own += (a - b) * (a - b);
                of_prior += (p - q) * (p - q);
                other += (a - q) * (a - q);
            }
            if j != row {
                sum += among * (similarity(own).x + similarity(of_prior).x);
            }
            sum -= 2.0 * across * similarity(other).x;
        }
        let total = workgroup_sum(sum, lane, 64u);
        if lane == 0u {
            y[member * MEMBER_Y + row] = total;
        }
        return;
    }
    for (var column = lane; column < params.latent; column += 64u) {
        var sum = 0.0;
        for (var j = 0u; j < select(0u, n, counts); j += 1u) {
            var own = 0.0;
            var other = 0.0;
            for (var d = 0u; d < params.latent; d += 1u) {
                let a = latent_of(row, d);
                own += (a - latent_of(j, d)) * (a - latent_of(j, d));
                other += (a - drawn(j, d)) * (a - drawn(j, d));
            }
            let a = latent_of(row, column);
            if j != row {
                sum += among * (row_share(row) + row_share(j)) * similarity(own).y * 2.0 * (a - latent_of(j, column));
            }
            sum -= 4.0 * across * row_share(row) * similarity(other).y * (a - drawn(j, column));
        }
        y[member * MEMBER_Y + row * params.latent + column] = sum;
    }
}
