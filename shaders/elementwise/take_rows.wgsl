// Rows by their index: y[r] = x[index[r]], or with ADD = 1 y[r] = the sum of the rows of x whose index is r, in their order.
// An index beyond the last row takes a row of zeros, and what has one is added nowhere.

struct Params {
    rows: u32,
    width: u32,
    count: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> index: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    member = member_of(group);
    let i = linear_workgroup(group, groups) * 256u + lane;
    if i >= params.rows * params.width {
        return;
    }
    let row = i / params.width;
    let column = i % params.width;
    var sum = 0.0;
    if ADD == 1u {
        for (var other = 0u; other < params.count; other += 1u) {
            if index[member * MEMBER_INDEX + other] == f32(row) {
                sum += x[member * MEMBER_X + other * params.width + column];
            }
        }
    } else {
        let taken = index[member * MEMBER_INDEX + row];
        if taken >= 0.0 && taken < f32(params.count) {
            sum = x[member * MEMBER_X + u32(taken) * params.width + column];
        }
    }
    y[member * MEMBER_Y + i] = sum;
}
