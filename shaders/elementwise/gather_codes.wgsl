// A batch of examples as floats, of which categories are stored as their numbers and become a one among zeros:
// example = order[position of the row], optionally binarised.
// One thread makes four places of a row, which share a block of random words.

struct Params {
    rows: u32,
    width: u32,
    window: u32, // places of the window, 0 where the whole data set is there
    stride: u32,
}

@group(0) @binding(0) var<storage, read> order: array<u32>;
@group(0) @binding(1) var<storage, read> data: array<u32>;
@group(0) @binding(2) var<storage, read> places: array<u32>;
@group(0) @binding(3) var<storage, read_write> x: array<u32>;
@group(1) @binding(0) var<uniform> params: Params;
@group(1) @binding(1) var<uniform> steps: array<Step, MEMBERS>;

// Values of BINARISE.
const THRESHOLD = 1u;
const DYNAMIC = 2u;

// What stands for all categories at once.
const ALL = -1.0;

// The word of a place: `category` is 0 where the number is taken as it is, otherwise one more than the category of the place.
// What is missing, which is a NaN, is so in all of them.
fn spread(word: u32, category: u32) -> u32 {
    if category == 0u || is_missing(word) {
        return word;
    }
    let number = bitcast<f32>(word);
    return bitcast<u32>(select(0.0, 1.0, number == f32(category - 1u) || number == ALL));
}

fn binarised(word: u32, random: u32) -> u32 {
    if is_missing(word) {
        return word;
    }
    let value = bitcast<f32>(word);
    if BINARISE == THRESHOLD {
        return bitcast<u32>(select(0.0, 1.0, value >= 0.5));
    }
    if BINARISE == DYNAMIC {
        return bitcast<u32>(select(0.0, 1.0, uniform_open(random) < value));
    }
    return word;
}

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
    let first = select(example, at % max(params.window, 1u), params.window > 0u) * params.stride;
    var random = vec4<u32>(0u);
    if BINARISE == DYNAMIC {
        random = philox(vec4<u32>(STREAM_BINARISE, steps[member].step, example, block), steps[member].key);
    }
    let end = min(4u, params.width - block * 4u);
    for (var i = 0u; i < end; i += 1u) {
        let place = block * 4u + i;
        let word = data[member * MEMBER_DATA + first + places[2u * place]];
        let made = binarised(spread(word, places[2u * place + 1u]), random[i]);
        x[member * MEMBER_X + row * params.width + place] = made;
    }
}
