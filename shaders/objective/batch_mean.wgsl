// The means over the batch of the terms of the loss, into the metrics. Rows that do not count are left out.
// One workgroup a term.

struct Params {
    batch: u32,
    columns: u32,
    terms: u32,
    filler: u32,
    table: array<Entry, 10>,
}

struct Entry {
    offset: u32,
    width: u32,
    per_example: u32,
    index: u32,
}

@group(0) @binding(0) var<storage, read> terms: array<f32>;
@group(0) @binding(1) var<storage, read_write> metrics: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;
@group(1) @binding(1) var<uniform> steps: array<Step, MEMBERS>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    member = member_of(group);
    let number = linear_workgroup(group, groups);
    if number >= params.terms {
        return;
    }
    let entry = params.table[number];
    let end = entry.offset + min(params.batch, steps[member].rows) * entry.per_example * entry.width;
    var sum = 0.0;
    for (var at = entry.offset + lane; at < end; at += 256u) {
        sum += terms[member * MEMBER_TERMS + at];
    }
    let total = workgroup_sum(sum, lane, 256u);
    if lane == 0u {
        let at = steps[member].slot * params.columns + entry.index;
        metrics[member * MEMBER_METRICS + at] = total * steps[member].row_weight / f32(entry.per_example);
    }
}
