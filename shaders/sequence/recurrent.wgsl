// A recurrent layer over all steps of a sequence; a workgroup for four rows, which are the components of vectors.
// Of each unit one thread computes all steps; what the units were one step before is in the memory of the workgroup.
// Gated units (CELL 0) have three gates; those of a long short-term memory (CELL 1) have four, and a cell behind the unit.

struct Params {
    rows: u32,
    steps: u32,
    width: u32,
}

@group(0) @binding(0) var<storage, read> gates: array<f32>;
@group(0) @binding(1) var<storage, read> begun: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read_write> before: array<f32>;
@group(0) @binding(5) var<storage, read_write> kept: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

const GATES: u32 = 3u + CELL;
const STATES: u32 = 1u + CELL;
// Numbers that are kept of a unit at each step.
const KEPT: u32 = 4u + 2u * CELL;

// The units of four rows one step before, up to a multiple of four of them.
var<workgroup> units: array<vec4<f32>, 1024>;

// Where a step stands in the sequence, which a layer may read from its end (BACKWARD 1).
fn place_of(time: u32) -> u32 {
    return select(time, params.steps - 1u - time, BACKWARD == 1u);
}

// The row of a component; those behind the last one repeat it, and what comes of them is stored nowhere.
fn row_of(first: u32, component: u32) -> u32 {
    return min(first + component, params.rows - 1u);
}

// Four numbers of the same place among what units and cells begin with.
fn begun4(first: u32, column: u32) -> vec4<f32> {
    let at = member * MEMBER_BEGUN + column;
    let wide = STATES * params.width;
    return vec4<f32>(begun[at + row_of(first, 0u) * wide], begun[at + row_of(first, 1u) * wide],
                     begun[at + row_of(first, 2u) * wide], begun[at + row_of(first, 3u) * wide]);
}

fn gates4(first: u32, time: u32, column: u32) -> vec4<f32> {
    let wide = GATES * params.width;
    let at = member * MEMBER_GATES + place_of(time) * wide + column;
    let row = params.steps * wide;
    return vec4<f32>(gates[at + row_of(first, 0u) * row], gates[at + row_of(first, 1u) * row],
                     gates[at + row_of(first, 2u) * row], gates[at + row_of(first, 3u) * row]);
}

fn y4(first: u32, time: u32, column: u32) -> vec4<f32> {
    let wide = STATES * params.width;
    let at = member * MEMBER_Y + place_of(time) * wide + column;
    let row = params.steps * wide;
    return vec4<f32>(y[at + row_of(first, 0u) * row], y[at + row_of(first, 1u) * row],
                     y[at + row_of(first, 2u) * row], y[at + row_of(first, 3u) * row]);
}

fn w_at(input: u32, column: u32) -> f32 {
    return w[member * MEMBER_W + min(input, params.width) * GATES * params.width + column];
}

// What the units before give to one gate of a unit, for four rows, and its bias.
fn from_before(column: u32) -> vec4<f32> {
    var sum = vec4<f32>(0.0);
    for (var k = 0u; k < params.width; k += 4u) {
        sum += units[k] * w_at(k, column);
        sum += units[k + 1u] * w_at(k + 1u, column);
        sum += units[k + 2u] * w_at(k + 2u, column);
        sum += units[k + 3u] * w_at(k + 3u, column);
    }
    return sum + w_at(params.width, column);
}

fn sigmoid4(x: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(sigmoid(x.x), sigmoid(x.y), sigmoid(x.z), sigmoid(x.w));
}

fn tanh4(x: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(tanh_exact(x.x), tanh_exact(x.y), tanh_exact(x.z), tanh_exact(x.w));
}

// What a gate of a unit is given, before its non-linearity.
fn gate4(first: u32, time: u32, column: u32) -> vec4<f32> {
    return gates4(first, time, column) + from_before(column);
}

fn store(row: u32, time: u32, unit: u32, column: u32, value: f32) {
    y[member * MEMBER_Y + (row * params.steps + place_of(time)) * STATES * params.width + column + unit] = value;
}

fn keep(row: u32, time: u32, unit: u32, at: u32, value: f32) {
    kept[member * MEMBER_KEPT + ((row * params.steps + place_of(time)) * KEPT + at) * params.width + unit] = value;
}

// One step of one gated unit in four rows.
fn gated_step(first: u32, time: u32, unit: u32) {
    let width = params.width;
    let r = sigmoid4(gate4(first, time, unit));
    let z = sigmoid4(gate4(first, time, width + unit));
    let q = from_before(2u * width + unit);
    let n = tanh4(gates4(first, time, 2u * width + unit) + r * q);
    let old = units[unit];
    let later = n + z * (old - n);
    for (var c = 0u; c < 4u; c += 1u) {
        let row = first + c;
        if row < params.rows {
            store(row, time, unit, 0u, later[c]);
            if KEEP == 1u {
                before[member * MEMBER_BEFORE + (row * params.steps + place_of(time)) * width + unit] = old[c];
                keep(row, time, unit, 0u, r[c]);
                keep(row, time, unit, 1u, z[c]);
                keep(row, time, unit, 2u, n[c]);
                keep(row, time, unit, 3u, q[c]);
            }
        }
    }
}

// One step of one unit of a long short-term memory and of its cell in four rows. Of a cell one thread knows.
fn memory_step(first: u32, time: u32, unit: u32) {
    let width = params.width;
    let i = sigmoid4(gate4(first, time, unit));
    let f = sigmoid4(gate4(first, time, width + unit));
    let g = tanh4(gate4(first, time, 2u * width + unit));
    let o = sigmoid4(gate4(first, time, 3u * width + unit));
    var old = begun4(first, width + unit);
    if time > 0u {
        old = y4(first, time - 1u, width + unit);
    }
    let later = f * old + i * g;
    let bounded = tanh4(later);
    for (var c = 0u; c < 4u; c += 1u) {
        let row = first + c;
        if row < params.rows {
            store(row, time, unit, 0u, o[c] * bounded[c]);
            store(row, time, unit, width, later[c]);
            if KEEP == 1u {
                before[member * MEMBER_BEFORE + (row * params.steps + place_of(time)) * width + unit] = units[unit][c];
                keep(row, time, unit, 0u, i[c]);
                keep(row, time, unit, 1u, f[c]);
                keep(row, time, unit, 2u, g[c]);
                keep(row, time, unit, 3u, o[c]);
                keep(row, time, unit, 4u, old[c]);
                keep(row, time, unit, 5u, bounded[c]);
            }
        }
    }
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    member = member_of(group);
    let first = linear_workgroup(group, groups) * 4u;
    for (var j = lane; j < (params.width + 3u) / 4u * 4u; j += 256u) {
        units[j] = select(vec4<f32>(0.0), begun4(first, min(j, params.width - 1u)), j < params.width);
    }
    workgroupBarrier();
    for (var time = 0u; time < params.steps; time += 1u) {
        for (var j = lane; j < params.width; j += 256u) {
            if CELL == 0u {
                gated_step(first, time, j);
            } else {
                memory_step(first, time, j);
            }
        }
        workgroupBarrier();
        // Each thread reads what it wrote itself.
        for (var j = lane; j < params.width; j += 256u) {
            units[j] = y4(first, time, j);
        }
        workgroupBarrier();
    }
}
