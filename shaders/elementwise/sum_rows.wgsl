// y[r] = the sum of row r of x; a workgroup for each row.

struct Params {
    rows: u32,
    width: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    member = member_of(group);
    let row = linear_workgroup(group, groups);
    var sum = 0.0;
    if row < params.rows {
        for (var column = lane; column < params.width; column += 64u) {
            sum += x[member * MEMBER_X + row * params.width + column];
        }
    }
    let total = workgroup_sum(sum, lane, 64u);
    if lane == 0u && row < params.rows {
        y[member * MEMBER_Y + row] = total;
    }
}
