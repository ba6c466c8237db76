// Rows with the class of their example behind them, as a one among zeros, or rows without it; one thread an element of y.

struct Params {
    rows: u32,
    width: u32,
    classes: u32,
    per_example: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    member = member_of(group);
    let i = linear_workgroup(group, groups) * 256u + lane;
    let wide = params.width + params.classes;
    let made = select(wide, params.width, REMOVE == 1u);
    if i >= params.rows * made {
        return;
    }
    let row = i / made;
    let at = i % made;
    var value = 0.0;
    if REMOVE == 1u {
        value = x[member * MEMBER_X + row * wide + at];
    } else if at < params.width {
        value = x[member * MEMBER_X + row * params.width + at];
    } else if u32(labels[member * MEMBER_LABELS + row / params.per_example]) == at - params.width {
        value = 1.0;
    }
    y[member * MEMBER_Y + i] = value;
}
