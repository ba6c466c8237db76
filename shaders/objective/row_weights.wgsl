// The gradient that a mean over the batch gives to each row: weight/(B·K), and 0 to rows that do not count.
// One thread per row.

struct Params {
    rows: u32,
    per_example: u32,
    weight: u32,
}

@group(0) @binding(0) var<storage, read_write> g: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;
@group(1) @binding(1) var<uniform> steps: array<Step, MEMBERS>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    member = member_of(group);
    let row = linear_workgroup(group, groups) * 64u + lane;
    if row < params.rows {
        g[member * MEMBER_G + row] = row_gradient(steps[member], params.weight, row, params.per_example);
    }
}
