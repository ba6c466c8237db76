// The mean of a value per row over the batch, into the metrics. Rows that do not count are left out.
// One workgroup.

struct Params {
    rows: u32,
    per_example: u32,
    index: u32,
    columns: u32,
}

@group(0) @binding(0) var<storage, read> v: array<f32>;
@group(0) @binding(1) var<storage, read_write> metrics: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;
@group(1) @binding(1) var<uniform> step: Step;

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) lane: u32) {
    let end = min(params.rows, step.rows * params.per_example);
    var sum = 0.0;
    for (var row = lane; row < end; row += 256u) {
        sum += v[row];
    }
    let total = workgroup_sum(sum, lane, 256u);
    if lane == 0u {
        metrics[step.slot * params.columns + params.index] = total * step.row_weight / f32(params.per_example);
    }
}
