// What each row gives to the gradient of scale and shift of group normalisation; a workgroup for 32
// channels of a row, whose pixels it deals out to eight lanes a channel.

struct Params {
    rows: u32,
    pixels: u32,
    channels: u32,
    groups: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> moments: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> parts: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

var<workgroup> sums: array<array<vec2<f32>, 32>, 8>;

@compute @workgroup_size(32, 8)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_id) lane: vec3<u32>) {
    member = member_of(group);
    let number = linear_workgroup(group, groups);
    let of_row = (params.channels + 31u) / 32u;
    let row = number / of_row;
    let channel = number % of_row * 32u + lane.x;
    let inside = row < params.rows && channel < params.channels;
    // Of the scale and of the shift.
    var sum = vec2(0.0);
    if inside {
        let place = 2u * (row * params.groups + channel / (params.channels / params.groups));
        let mean = moments[member * MEMBER_MOMENTS + place];
        let inverse = moments[member * MEMBER_MOMENTS + place + 1u];
        for (var pixel = lane.y; pixel < params.pixels; pixel += 8u) {
            let at = (row * params.pixels + pixel) * params.channels + channel;
            let normal = (x[member * MEMBER_X + at] - mean) * inverse;
            sum += dy[member * MEMBER_DY + at] * vec2(normal, 1.0);
        }
    }
    sums[lane.y][lane.x] = sum;
    workgroupBarrier();
    if lane.y == 0u && inside {
        for (var other = 1u; other < 8u; other += 1u) {
            sum += sums[other][lane.x];
        }
        parts[member * MEMBER_PARTS + 2u * row * params.channels + channel] = sum.x;
        parts[member * MEMBER_PARTS + (2u * row + 1u) * params.channels + channel] = sum.y;
    }
}
