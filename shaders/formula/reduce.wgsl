// A formula (see map.wgsl) reduced: ALONG 0 all columns of a row, ALONG 1 SIZE neighbouring rows, column by column, ALONG 2 SIZE rows
// that lie equally far apart. LANES threads, a power of two, share the SIZE numbers of an output; the 64/LANES outputs of a workgroup lie side by side.

const SUM = 0u;
const MAX = 1u;
const LOG_SUM_EXP = 2u;
const ARG_MAX = 3u;
const ARG_MIN = 4u;

const LOWEST = -0x1.fffffep+127f;

struct Params {
    rows: u32,
    columns: u32,
    outputs: u32,
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> c: array<f32>;
@group(0) @binding(3) var<storage, read> d: array<f32>;
@group(0) @binding(4) var<storage, read> e: array<f32>;
@group(0) @binding(5) var<storage, read> f: array<f32>;
@group(0) @binding(6) var<storage, read> g: array<f32>;
@group(0) @binding(7) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;
@group(1) @binding(1) var<uniform> steps: array<Step, MEMBERS>;

fn read_a(i: u32) -> f32 { return a[member * MEMBER_A + i]; }
fn read_b(i: u32) -> f32 { return b[member * MEMBER_B + i]; }
fn read_c(i: u32) -> f32 { return c[member * MEMBER_C + i]; }
fn read_d(i: u32) -> f32 { return d[member * MEMBER_D + i]; }
fn read_e(i: u32) -> f32 { return e[member * MEMBER_E + i]; }
fn read_f(i: u32) -> f32 { return f[member * MEMBER_F + i]; }
fn read_g(i: u32) -> f32 { return g[member * MEMBER_G + i]; }

// What is known of some of the numbers: their sum; the largest and its place; the largest and the sum of the exponentials of
// what the others are below it. Of the smallest, the largest of the negated numbers.
var<workgroup> known: array<vec2<f32>, 64>;

fn nothing() -> vec2<f32> {
    return select(vec2(LOWEST, 0.0), vec2(0.0, 0.0), KIND == SUM);
}

fn one(x: f32, place: u32) -> vec2<f32> {
    if KIND == SUM {
        return vec2(x, 0.0);
    } else if KIND == LOG_SUM_EXP {
        return vec2(x, 1.0);
    }
    return vec2(select(x, -x, KIND == ARG_MIN), f32(place));
}

fn both(p: vec2<f32>, q: vec2<f32>) -> vec2<f32> {
    if KIND == SUM {
        return p + q;
    } else if KIND == LOG_SUM_EXP {
        let largest = max(p.x, q.x);
        return vec2(largest, p.y * exp(p.x - largest) + q.y * exp(q.x - largest));
    }
    // Of equal numbers the one that comes first.
    let second = q.x > p.x || (q.x == p.x && q.y < p.y);
    return select(p, q, second);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    member = member_of(group);
    let beside = 64u / LANES;
    let output = linear_workgroup(group, groups) * beside + lane % beside;
    var found = nothing();
    if output < params.outputs {
        for (var at = lane / beside; at < SIZE; at += LANES) {
            if ALONG == 0u {
                found = both(found, one(expression(output, at, output * COLUMNS + at), at));
            } else {
                let first = output / COLUMNS;
                let row = select(first * SIZE + at, first + at * (params.rows / SIZE), ALONG == 2u);
                let column = output % COLUMNS;
                found = both(found, one(expression(row, column, row * COLUMNS + column), at));
            }
        }
    }
    if LANES > 1u {
        known[lane] = found;
        workgroupBarrier();
        for (var n = LANES / 2u; n > 0u; n /= 2u) {
            if lane < n * beside {
                known[lane] = both(known[lane], known[lane + n * beside]);
            }
            workgroupBarrier();
        }
        found = known[lane % beside];
    }
    if lane < beside && output < params.outputs {
        if KIND == SUM || KIND == MAX {
            y[member * MEMBER_Y + output] = found.x;
        } else if KIND == LOG_SUM_EXP {
            y[member * MEMBER_Y + output] = found.x + log(found.y);
        } else {
            y[member * MEMBER_Y + output] = found.y;
        }
    }
}
