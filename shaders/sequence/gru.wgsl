// A recurrent layer of gated units over all steps of a sequence; a workgroup for four rows, which are the components of vectors.
// Of each unit one thread computes all steps; what the units were one step before is in the memory of the workgroup.

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

// The units of four rows one step before, up to a multiple of four of them.
var<workgroup> units: array<vec4<f32>, 1024>;

// The row of a component; those behind the last one repeat it, and what comes of them is stored nowhere.
fn row_of(first: u32, component: u32) -> u32 {
    return min(first + component, params.rows - 1u);
}

// Four numbers of the same unit in rows of `wide` numbers a step.
fn begun4(first: u32, unit: u32) -> vec4<f32> {
    let at = member * MEMBER_BEGUN + unit;
    let wide = params.width;
    return vec4<f32>(begun[at + row_of(first, 0u) * wide], begun[at + row_of(first, 1u) * wide],
                     begun[at + row_of(first, 2u) * wide], begun[at + row_of(first, 3u) * wide]);
}

fn gates4(first: u32, time: u32, column: u32) -> vec4<f32> {
    let wide = 3u * params.width;
    let at = member * MEMBER_GATES + time * wide + column;
    let row = params.steps * wide;
    return vec4<f32>(gates[at + row_of(first, 0u) * row], gates[at + row_of(first, 1u) * row],
                     gates[at + row_of(first, 2u) * row], gates[at + row_of(first, 3u) * row]);
}

fn y4(first: u32, time: u32, unit: u32) -> vec4<f32> {
    let at = member * MEMBER_Y + time * params.width + unit;
    let row = params.steps * params.width;
    return vec4<f32>(y[at + row_of(first, 0u) * row], y[at + row_of(first, 1u) * row],
                     y[at + row_of(first, 2u) * row], y[at + row_of(first, 3u) * row]);
}

fn w_at(input: u32, column: u32) -> f32 {
    return w[member * MEMBER_W + min(input, params.width) * 3u * params.width + column];
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

// One step of one unit in four rows.
fn unit_step(first: u32, time: u32, unit: u32) {
    let width = params.width;
    let r = sigmoid4(gates4(first, time, unit) + from_before(unit));
    let z = sigmoid4(gates4(first, time, width + unit) + from_before(width + unit));
    let q = from_before(2u * width + unit);
    let n = tanh4(gates4(first, time, 2u * width + unit) + r * q);
    let old = units[unit];
    let later = n + z * (old - n);
    for (var c = 0u; c < 4u; c += 1u) {
        let row = first + c;
        if row < params.rows {
            let place = row * params.steps + time;
            y[member * MEMBER_Y + place * width + unit] = later[c];
            if KEEP == 1u {
                before[member * MEMBER_BEFORE + place * width + unit] = old[c];
                let at = member * MEMBER_KEPT + place * 4u * width + unit;
                kept[at] = r[c];
                kept[at + width] = z[c];
                kept[at + 2u * width] = n[c];
                kept[at + 3u * width] = q[c];
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
            unit_step(first, time, j);
        }
        workgroupBarrier();
        // Each thread reads what it wrote itself.
        for (var j = lane; j < params.width; j += 256u) {
            units[j] = y4(first, time, j);
        }
        workgroupBarrier();
    }
}
