
// Sums over a workgroup in a fixed order.

var<workgroup> lane_values: array<f32, 256>;

// The sum of `value` over the side·side invocations of a workgroup (side ≤ 16); complete in lane 0 only. A tree of two
// levels: barriers are dear on software drivers, and `side` additions in a row are cheap everywhere.
// Every invocation must come here, and only once per dispatch.
fn sum_lanes(lane: u32, side: u32, value: f32) -> f32 {
    lane_values[lane] = value;
    workgroupBarrier();
    var sum = 0.0;
    if lane < side {
        for (var i = 0u; i < side; i += 1u) {
            sum += lane_values[lane + i * side];
        }
    }
    workgroupBarrier();
    if lane < side {
        lane_values[lane] = sum;
    }
    workgroupBarrier();
    sum = 0.0;
    if lane == 0u {
        for (var i = 0u; i < side; i += 1u) {
            sum += lane_values[i];
        }
    }
    return sum;
}
