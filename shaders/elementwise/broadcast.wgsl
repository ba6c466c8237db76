// A vector spread over a matrix: one number for each row (ALONG 0) or for each column (ALONG 1).

struct Params {
    rows: u32,
    width: u32,
}

@group(0) @binding(0) var<storage, read> v: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    member = member_of(group);
    let i = linear_workgroup(group, groups) * 256u + lane;
    if i < params.rows * params.width {
        if ALONG == 0u {
            y[member * MEMBER_Y + i] = v[member * MEMBER_V + i / params.width];
        } else {
            y[member * MEMBER_Y + i] = v[member * MEMBER_V + i % params.width];
        }
    }
}
