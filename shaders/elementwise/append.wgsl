// The same numbers beside every row, and the two ways back. OP says which.
// One workgroup per row.

const APPEND = 0u;
const FIRST = 1u;

struct Params {
    rows: u32,
    width: u32,
    tail: u32,
    count: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    member = member_of(group);
    let row = linear_workgroup(group, groups);
    if row >= params.rows {
        return;
    }
    let wide = params.width + params.tail;
    let each = params.tail / params.count;
    if OP == APPEND {
        for (var column = lane; column < params.width; column += 64u) {
            y[member * MEMBER_Y + row * wide + column] = x[member * MEMBER_X + row * params.width + column];
        }
        for (var column = lane; column < params.tail; column += 64u) {
            y[member * MEMBER_Y + row * wide + params.width + column] = w[member * MEMBER_W + column / each];
        }
    } else if OP == FIRST {
        for (var column = lane; column < params.width; column += 64u) {
            y[member * MEMBER_Y + row * params.width + column] = x[member * MEMBER_X + row * wide + column];
        }
    } else if params.count == 1u {
        // One number for all of the tail: the lanes add it up together.
        var sum = 0.0;
        for (var column = lane; column < params.tail; column += 64u) {
            sum += x[member * MEMBER_X + row * wide + params.width + column];
        }
        let total = workgroup_sum(sum, lane, 64u);
        if lane == 0u {
            y[member * MEMBER_Y + row] = total;
        }
    } else {
        for (var number = lane; number < params.count; number += 64u) {
            var sum = 0.0;
            for (var column = number * each; column < (number + 1u) * each; column += 1u) {
                sum += x[member * MEMBER_X + row * wide + params.width + column];
            }
            y[member * MEMBER_Y + row * params.count + number] = sum;
        }
    }
}
