// A batch of examples as floats: example = order[position of the row], optionally binarised.
// One thread takes four columns of a row, which share a block of random words.

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

// Values of SOURCE and BINARISE.
const BYTES = 0u;
const THRESHOLD = 1u;
const DYNAMIC = 2u;

// The value at `index` of a data set of bytes, four to a word, the first in the lowest bits.
fn from_byte(index: u32, random: u32) -> f32 {
    let byte = (data[member * MEMBER_DATA + index / 4u] >> (8u * (index % 4u))) & 0xffu;
    if BINARISE == THRESHOLD {
        return select(0.0, 1.0, byte >= 128u);
    }
    if BINARISE == DYNAMIC {
        // random < byte/255 in integers: 255·2²⁴ just fits, and 255 always wins.
        return select(0.0, 1.0, (random >> 8u) * 255u < (byte << 24u));
    }
    return f32(byte) / 255.0;
}

// The word of a float. A missing value, which is a NaN, stays as it is.
fn from_float(index: u32, random: u32) -> u32 {
    let word = data[member * MEMBER_DATA + index];
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
    let place = select(example, at % max(params.window, 1u), params.window > 0u);
    var random = vec4<u32>(0u);
    if BINARISE == DYNAMIC {
        random = philox(vec4<u32>(STREAM_BINARISE, steps[member].step, example, block), steps[member].key);
    }
    let end = min(4u, params.width - block * 4u);
    for (var i = 0u; i < end; i += 1u) {
        let column = block * 4u + i;
        let source = place * params.stride + column;
        if SOURCE == BYTES {
            x[member * MEMBER_X + row * params.width + column] = bitcast<u32>(from_byte(source, random[i]));
        } else {
            x[member * MEMBER_X + row * params.width + column] = from_float(source, random[i]);
        }
    }
}
