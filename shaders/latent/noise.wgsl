// Standard normal noise for the latents, addressed by example, sample and column. One thread draws four columns.

struct Params {
    rows: u32,
    width: u32,
    per_example: u32,
    layer: u32, // which stochastic layer it is for, from 0
}

@group(0) @binding(0) var<storage, read> order: array<u32>;
@group(0) @binding(1) var<storage, read_write> noise: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;
@group(1) @binding(1) var<uniform> steps: array<Step, MEMBERS>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    member = member_of(group);
    let blocks = (params.width + 3u) / 4u;
    let index = linear_workgroup(group, groups) * 64u + lane;
    let row = index / blocks;
    let block = index % blocks;
    if row >= params.rows {
        return;
    }
    let example = order[member * MEMBER_ORDER + position(steps[member], row / params.per_example)];
    var s = steps[member];
    s.stream = s.stream | (params.layer << 16u);
    let values = noise_block(s, example, s.sample + row % params.per_example, blocks, block);
    let end = min(4u, params.width - block * 4u);
    for (var i = 0u; i < end; i += 1u) {
        noise[member * MEMBER_NOISE + row * params.width + block * 4u + i] = values[i];
    }
}
