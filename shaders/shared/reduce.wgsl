
// Sums over the lanes of a workgroup, in a fixed order.

var<workgroup> lane_sums: array<f32, 256>;

// The sum of `value` over `lanes` lanes (4, 16, 64 or 256: each level adds four numbers, since a barrier is dear on
// software drivers). Every lane of the workgroup calls it; before a kernel calls it again there is a barrier, since
// `lane_sums[0]` is still being read.
fn workgroup_sum(value: f32, lane: u32, lanes: u32) -> f32 {
    lane_sums[lane] = value;
    workgroupBarrier();
    for (var n = lanes / 4u; n > 0u; n /= 4u) {
        if lane < n {
            lane_sums[lane] = (lane_sums[lane] + lane_sums[lane + n]) + (lane_sums[lane + 2u * n] + lane_sums[lane + 3u * n]);
        }
        workgroupBarrier();
    }
    return lane_sums[0];
}
