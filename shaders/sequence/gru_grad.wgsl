// The way back through a recurrent layer of gated units, from the last step to the first; a workgroup for four rows.
// The gradient of the units is kept in `d_begun`, where each thread changes the numbers of its own units alone.

struct Params {
    rows: u32,
    steps: u32,
    width: u32,
}

@group(0) @binding(0) var<storage, read> dy: array<f32>;
@group(0) @binding(1) var<storage, read> before: array<f32>;
@group(0) @binding(2) var<storage, read> kept: array<f32>;
@group(0) @binding(3) var<storage, read> w: array<f32>;
@group(0) @binding(4) var<storage, read_write> d_gates: array<f32>;
@group(0) @binding(5) var<storage, read_write> d_hidden: array<f32>;
@group(0) @binding(6) var<storage, read_write> d_begun: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

// The gradients of one gate of all units in four rows, up to a multiple of four of them.
var<workgroup> shared_gate: array<vec4<f32>, 1024>;

// The gradients of the gates of one unit at one step, and of the unit one step before by the way that goes past the gates.
fn unit_back(row: u32, time: u32, unit: u32) {
    let width = params.width;
    let place = row * params.steps + time;
    let at = member * MEMBER_KEPT + place * 4u * width + unit;
    let r = kept[at];
    let z = kept[at + width];
    let n = kept[at + 2u * width];
    let q = kept[at + 3u * width];
    let old = before[member * MEMBER_BEFORE + place * width + unit];
    let own = member * MEMBER_D_BEGUN + row * width + unit;
    var dh = dy[member * MEMBER_DY + place * width + unit];
    if time + 1u < params.steps {
        dh += d_begun[own];
    }
    let dn = dh * (1.0 - z) * (1.0 - n * n);
    let dz = dh * (old - n) * z * (1.0 - z);
    let dr = dn * q * r * (1.0 - r);
    let to = place * 3u * width + unit;
    d_gates[member * MEMBER_D_GATES + to] = dr;
    d_gates[member * MEMBER_D_GATES + to + width] = dz;
    d_gates[member * MEMBER_D_GATES + to + 2u * width] = dn;
    d_hidden[member * MEMBER_D_HIDDEN + to] = dr;
    d_hidden[member * MEMBER_D_HIDDEN + to + width] = dz;
    d_hidden[member * MEMBER_D_HIDDEN + to + 2u * width] = dn * r;
    d_begun[own] = dh * z;
}

// The gradients of a gate of one unit in four rows; rows behind the last one repeat it.
fn hidden4(first: u32, time: u32, column: u32) -> vec4<f32> {
    let wide = 3u * params.width;
    let at = member * MEMBER_D_HIDDEN + time * wide + column;
    let row = params.steps * wide;
    let last = params.rows - 1u;
    return vec4<f32>(d_hidden[at + min(first, last) * row], d_hidden[at + min(first + 1u, last) * row],
                     d_hidden[at + min(first + 2u, last) * row], d_hidden[at + min(first + 3u, last) * row]);
}

fn w_at(input: u32, gate: u32, unit: u32) -> f32 {
    let width = params.width;
    return w[member * MEMBER_W + input * 3u * width + gate * width + min(unit, width - 1u)];
}

// What one gate of all units gives to a unit of the step before.
fn through_gate(input: u32, gate: u32) -> vec4<f32> {
    var sum = vec4<f32>(0.0);
    for (var k = 0u; k < params.width; k += 4u) {
        sum += shared_gate[k] * w_at(input, gate, k);
        sum += shared_gate[k + 1u] * w_at(input, gate, k + 1u);
        sum += shared_gate[k + 2u] * w_at(input, gate, k + 2u);
        sum += shared_gate[k + 3u] * w_at(input, gate, k + 3u);
    }
    return sum;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    member = member_of(group);
    let first = linear_workgroup(group, groups) * 4u;
    let width = params.width;
    for (var back = 0u; back < params.steps; back += 1u) {
        let time = params.steps - 1u - back;
        for (var j = lane; j < width; j += 256u) {
            for (var row = first; row < min(first + 4u, params.rows); row += 1u) {
                unit_back(row, time, j);
            }
        }
        for (var gate = 0u; gate < 3u; gate += 1u) {
            // Each thread reads what it wrote itself.
            for (var j = lane; j < (width + 3u) / 4u * 4u; j += 256u) {
                let column = gate * width + min(j, width - 1u);
                shared_gate[j] = select(vec4<f32>(0.0), hidden4(first, time, column), j < width);
            }
            workgroupBarrier();
            for (var j = lane; j < width; j += 256u) {
                let sum = through_gate(j, gate);
                for (var c = 0u; c < 4u; c += 1u) {
                    if first + c < params.rows {
                        d_begun[member * MEMBER_D_BEGUN + (first + c) * width + j] += sum[c];
                    }
                }
            }
            workgroupBarrier();
        }
    }
}
