// A batch of examples as floats, of which only what is not zero is stored: example = order[position of the row].
// One thread makes four places of a row. The places of an example's entries rise, so the first that concerns a thread is found
// by halving.

struct Params {
    rows: u32,
    width: u32,
    window: u32, // places of the window, 0 where the whole data set is there
    stride: u32,
}

@group(0) @binding(0) var<storage, read> order: array<u32>;
@group(0) @binding(1) var<storage, read> data: array<u32>;
@group(0) @binding(2) var<storage, read_write> x: array<u32>;
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
    let at = position(steps[member], row);
    let example = order[member * MEMBER_ORDER + at];
    let all = member * MEMBER_DATA;
    // Where the entries begin, and how many there are.
    var begin = 0u;
    var count = 0u;
    if params.window > 0u {
        let place = all + (at % params.window) * params.stride;
        begin = place + 1u;
        count = data[place];
    } else {
        begin = all + data[all + example];
        count = (data[all + example + 1u] - data[all + example]) / 2u;
    }
    // The first entry that is not before this thread's places.
    let first = block * 4u;
    var low = 0u;
    var high = count;
    while low < high {
        let middle = (low + high) / 2u;
        if data[begin + 2u * middle] < first {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    let end = min(first + 4u, params.width);
    for (var place = first; place < end; place += 1u) {
        var word = 0u;
        if low < count {
            if data[begin + 2u * low] == place {
                word = data[begin + 2u * low + 1u];
                low += 1u;
            }
        }
        x[member * MEMBER_X + row * params.width + place] = word;
    }
}
