// dx = dy·f′, element by element; `v` is what the derivative is made from, the output or the input of the activation.

struct Params {
    count: u32,
}

@group(0) @binding(0) var<storage, read> dy: array<f32>;
@group(0) @binding(1) var<storage, read> v: array<f32>;
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    member = member_of(group);
    let i = linear_workgroup(group, groups) * 256u + lane;
    if i < params.count {
        let derivative = activate_derivative(ACTIVATION, v[member * MEMBER_V + i]);
        dx[member * MEMBER_DX + i] = dy[member * MEMBER_DY + i] * derivative;
    }
}
