// y[c] = the sum of column c of x; a workgroup for 32 columns, whose rows it deals out to eight lanes a column.

struct Params {
    rows: u32,
    width: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

var<workgroup> sums: array<array<f32, 32>, 8>;

@compute @workgroup_size(32, 8)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_id) lane: vec3<u32>) {
    member = member_of(group);
    let column = linear_workgroup(group, groups) * 32u + lane.x;
    var sum = 0.0;
    if column < params.width {
        for (var row = lane.y; row < params.rows; row += 8u) {
            sum += x[member * MEMBER_X + row * params.width + column];
        }
    }
    sums[lane.y][lane.x] = sum;
    workgroupBarrier();
    if lane.y == 0u && column < params.width {
        for (var other = 1u; other < 8u; other += 1u) {
            sum += sums[other][lane.x];
        }
        y[member * MEMBER_Y + column] = sum;
    }
}
