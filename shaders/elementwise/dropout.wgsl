// Dropout: some numbers become 0, drawn by step, layer, example, sample and column. One thread has four columns.

struct Params {
    rows: u32,
    width: u32,
    per_example: u32,
    layer: u32,
    rate: f32,
    factor: f32,
}

@group(0) @binding(0) var<storage, read> order: array<u32>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;
@group(1) @binding(1) var<uniform> steps: array<Step, MEMBERS>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    member = member_of(group);
    let blocks = (params.width + 3u) / 4u;
    let index = linear_workgroup(group, groups) * 64u + lane;
    let row = index / blocks;
    let block = index % blocks;
    if row >= params.rows {
        return;
    }
    let example = order[member * MEMBER_ORDER + position(steps[member], row / params.per_example)];
    let element = (steps[member].sample + row % params.per_example) * blocks + block;
    let stream = STREAM_DROPOUT | (params.layer << 8u);
    let random = philox(vec4<u32>(stream, steps[member].step, example, element), steps[member].key);
    let end = min(4u, params.width - block * 4u);
    for (var i = 0u; i < end; i += 1u) {
        let at = row * params.width + block * 4u + i;
        let kept = params.factor * x[member * MEMBER_X + at];
        y[member * MEMBER_Y + at] = select(kept, 0.0, uniform_open(random[i]) < params.rate);
    }
}
