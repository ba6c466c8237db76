// y = f(x), element by element; one thread an element.

struct Params {
    count: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    member = member_of(group);
    let i = linear_workgroup(group, groups) * 256u + lane;
    if i < params.count {
        y[member * MEMBER_Y + i] = activate(ACTIVATION, x[member * MEMBER_X + i]);
    }
}
