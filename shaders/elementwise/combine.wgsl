// Two tensors of the same shape into one, element by element: OP says how.

const WEIGHTED_SUM = 0u;
const PRODUCT = 1u;
const SCALED = 2u;

struct Params {
    count: u32,
    alpha: f32,
    beta: f32,
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    member = member_of(group);
    let i = linear_workgroup(group, groups) * 256u + lane;
    if i < params.count {
        if OP == WEIGHTED_SUM {
            y[member * MEMBER_Y + i] = params.alpha * a[member * MEMBER_A + i] + params.beta * b[member * MEMBER_B + i];
        } else if OP == PRODUCT {
            y[member * MEMBER_Y + i] = a[member * MEMBER_A + i] * b[member * MEMBER_B + i];
        } else {
            y[member * MEMBER_Y + i] = params.alpha * a[member * MEMBER_A + i];
        }
    }
}
