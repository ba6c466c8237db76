// y[r, c] = expression(r, c, i), a formula of the numbers in the same place of up to seven tensors. Its text is made of the
// step's program and appended, as constants are; it looks tensors up by read_a, read_b and so on. COLUMNS is known when a
// shader is compiled, so that no thread divides by a number in memory.

struct Params {
    rows: u32,
    columns: u32,
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

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    member = member_of(group);
    let i = linear_workgroup(group, groups) * 256u + lane;
    if i < params.rows * params.columns {
        y[member * MEMBER_Y + i] = expression(i / COLUMNS, i % COLUMNS, i);
    }
}
