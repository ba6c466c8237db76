// The way back through a recurrent layer, from the last step to the first; a workgroup for four rows. CELL and BACKWARD as in `recurrent`.
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

const GATES: u32 = 3u + CELL;
const STATES: u32 = 1u + CELL;
const KEPT: u32 = 4u + 2u * CELL;

// The gradients of one gate of all units in four rows, up to a multiple of four of them.
var<workgroup> shared_gate: array<vec4<f32>, 1024>;

// Where a step stands in the sequence.
fn place_of(time: u32) -> u32 {
    return select(time, params.steps - 1u - time, BACKWARD == 1u);
}

fn kept_at(place: u32, unit: u32, at: u32) -> f32 {
    return kept[member * MEMBER_KEPT + (place * KEPT + at) * params.width + unit];
}

// The gradient of a number that the layer made, by what reads it and, but at the last step, by the step behind it.
fn made(row: u32, time: u32, column: u32) -> f32 {
    let wide = STATES * params.width;
    let given = dy[member * MEMBER_DY + (row * params.steps + place_of(time)) * wide + column];
    if time + 1u < params.steps {
        return given + d_begun[member * MEMBER_D_BEGUN + row * wide + column];
    }
    return given;
}

fn put_gate(place: u32, unit: u32, gate: u32, value: f32) {
    d_gates[member * MEMBER_D_GATES + (place * GATES + gate) * params.width + unit] = value;
}

fn put_hidden(place: u32, unit: u32, gate: u32, value: f32) {
    d_hidden[member * MEMBER_D_HIDDEN + (place * GATES + gate) * params.width + unit] = value;
}

// The gradients of the gates of one gated unit at one step, and of the unit one step before by the way that goes past the gates.
fn gated_back(row: u32, time: u32, unit: u32) {
    let place = row * params.steps + place_of(time);
    let r = kept_at(place, unit, 0u);
    let z = kept_at(place, unit, 1u);
    let n = kept_at(place, unit, 2u);
    let q = kept_at(place, unit, 3u);
    let old = before[member * MEMBER_BEFORE + place * params.width + unit];
    let dh = made(row, time, unit);
    let dn = dh * (1.0 - z) * (1.0 - n * n);
    let dz = dh * (old - n) * z * (1.0 - z);
    let dr = dn * q * r * (1.0 - r);
    put_gate(place, unit, 0u, dr);
    put_gate(place, unit, 1u, dz);
    put_gate(place, unit, 2u, dn);
    put_hidden(place, unit, 0u, dr);
    put_hidden(place, unit, 1u, dz);
    put_hidden(place, unit, 2u, dn * r);
    d_begun[member * MEMBER_D_BEGUN + row * params.width + unit] = dh * z;
}

// The same of a long short-term memory, whose units one step before are seen by the gates alone, which is added later.
fn memory_back(row: u32, time: u32, unit: u32) {
    let place = row * params.steps + place_of(time);
    let i = kept_at(place, unit, 0u);
    let f = kept_at(place, unit, 1u);
    let g = kept_at(place, unit, 2u);
    let o = kept_at(place, unit, 3u);
    let old = kept_at(place, unit, 4u);
    let bounded = kept_at(place, unit, 5u);
    let dh = made(row, time, unit);
    let dc = made(row, time, params.width + unit) + dh * o * (1.0 - bounded * bounded);
    put_gate(place, unit, 0u, dc * g * i * (1.0 - i));
    put_gate(place, unit, 1u, dc * old * f * (1.0 - f));
    put_gate(place, unit, 2u, dc * i * (1.0 - g * g));
    put_gate(place, unit, 3u, dh * bounded * o * (1.0 - o));
    let own = member * MEMBER_D_BEGUN + row * STATES * params.width + unit;
    d_begun[own] = 0.0;
    d_begun[own + params.width] = dc * f;
}

// What the units before gave to a gate of one unit; of a long short-term memory it is what the gate is given.
fn hidden_at(at: u32) -> f32 {
    if CELL == 0u {
        return d_hidden[member * MEMBER_D_HIDDEN + at];
    }
    return d_gates[member * MEMBER_D_GATES + at];
}

// The gradients of a gate of one unit in four rows; rows behind the last one repeat it.
fn hidden4(first: u32, time: u32, column: u32) -> vec4<f32> {
    let wide = GATES * params.width;
    let at = place_of(time) * wide + column;
    let row = params.steps * wide;
    let last = params.rows - 1u;
    return vec4<f32>(hidden_at(at + min(first, last) * row), hidden_at(at + min(first + 1u, last) * row),
                     hidden_at(at + min(first + 2u, last) * row), hidden_at(at + min(first + 3u, last) * row));
}

fn w_at(input: u32, gate: u32, unit: u32) -> f32 {
    let width = params.width;
    return w[member * MEMBER_W + (input * GATES + gate) * width + min(unit, width - 1u)];
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
                if CELL == 0u {
                    gated_back(row, time, j);
                } else {
                    memory_back(row, time, j);
                }
            }
        }
        for (var gate = 0u; gate < GATES; gate += 1u) {
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
                        d_begun[member * MEMBER_D_BEGUN + (first + c) * STATES * width + j] += sum[c];
                    }
                }
            }
            workgroupBarrier();
        }
    }
}
