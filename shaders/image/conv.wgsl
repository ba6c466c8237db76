// A convolution of images, or a transposed one, as a product with a matrix that is never stored: every lane owns ROWS
// pixels of the result and VECTORS times four of its channels, and finds each factor by the place of its tap. Nothing is scattered.
//
// x [R, pixels, inputs], w [taps·inputs + 1, outputs], y [R, pixels, outputs]. Pixel q of the coarse image sees the
// pixels q·stride + tap − padding of the fine one. UP says which of the two images y is; TRANSPOSE that w is that of
// the opposite map, [taps·outputs + 1, inputs], whose gradient this is.
//
// A pixel of the fine image is seen only through every stride-th tap. The pixels of a workgroup lie a stride apart, so
// that all of them are seen through the same taps: they are of one phase.

struct Params {
    rows: u32,
    inputs: u32,
    outputs: u32,
    fine_height: u32,
    fine_width: u32,
    coarse_height: u32,
    coarse_width: u32,
    kernel: u32,
    stride: u32,
    padding: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> aux: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

const LANES = 64u;
const COLUMNS = 4u * VECTORS;
const OUTSIDE = 0xffffffffu;

// Where w holds the factor of an input channel and an output channel at a tap.
fn weight(tap: u32, input: u32, output: u32) -> f32 {
    let out = min(output, params.outputs - 1u);
    if TRANSPOSE == 1u {
        return w[member * MEMBER_W + (tap * params.outputs + out) * params.inputs + input];
    }
    return w[member * MEMBER_W + (tap * params.inputs + input) * params.outputs + out];
}

// One element of y on its way out.
fn store(at: u32, value: f32) {
    var out = value;
    if EPILOGUE == 1u {
        out = activate(ACTIVATION, value);
    } else if EPILOGUE == 2u {
        out *= activate_derivative(ACTIVATION, aux[member * MEMBER_AUX + at]);
    }
    y[member * MEMBER_Y + at] = out;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    member = member_of(group);
    // Distances between neighbouring pixels of a workgroup, in the image that is made and in the one that is read.
    let apart = select(1u, params.stride, UP == 1u);
    let read_apart = i32(select(params.stride, 1u, UP == 1u));
    let size = select(vec2(params.coarse_height, params.coarse_width), vec2(params.fine_height, params.fine_width), UP == 1u);
    let source = select(vec2(params.fine_height, params.fine_width), vec2(params.coarse_height, params.coarse_width), UP == 1u);
    let cells = (size + apart - 1u) / apart;
    let per_example = cells.x * cells.y;
    let tiles = (params.rows * per_example + LANES * ROWS - 1u) / (LANES * ROWS);
    let across = (params.outputs + COLUMNS - 1u) / COLUMNS;
    let number = linear_workgroup(group, groups);
    let column0 = number % across * COLUMNS;
    let tile = number / across % tiles;
    let phase = vec2(number / across / tiles / apart, number / across / tiles % apart);
    if phase.x >= apart {
        return;
    }
    var example = array<u32, ROWS>();
    var cell = array<vec2<u32>, ROWS>();
    for (var i = 0u; i < ROWS; i += 1u) {
        let at = (tile * ROWS + i) * LANES + lane;
        example[i] = at / per_example;
        cell[i] = vec2(at % per_example / cells.y, at % cells.y);
    }
    var sums = array<array<vec4<f32>, VECTORS>, ROWS>();
    let first = select(vec2(0u), (phase + params.padding) % params.stride, UP == 1u);
    for (var ky = first.x; ky < params.kernel; ky += apart) {
        for (var kx = first.y; kx < params.kernel; kx += apart) {
            let tap = vec2<i32>(vec2(ky, kx));
            var offset = tap - i32(params.padding);
            if UP == 1u {
                // A multiple of the stride, so that nothing is rounded.
                offset = (vec2<i32>(phase + params.padding) - tap) / i32(params.stride);
            }
            var place = array<u32, ROWS>();
            for (var i = 0u; i < ROWS; i += 1u) {
                let at = vec2<i32>(cell[i]) * read_apart + offset;
                let inside = all(at >= vec2(0)) && all(at < vec2<i32>(source)) && example[i] < params.rows;
                let pixel = (example[i] * source.x + u32(at.x)) * source.y + u32(at.y);
                place[i] = select(OUTSIDE, pixel * params.inputs, inside);
            }
            for (var input = 0u; input < params.inputs; input += 1u) {
                var right = array<vec4<f32>, VECTORS>();
                for (var v = 0u; v < VECTORS; v += 1u) {
                    let column = column0 + 4u * v;
                    let number = ky * params.kernel + kx;
                    right[v] = vec4<f32>(weight(number, input, column), weight(number, input, column + 1u),
                        weight(number, input, column + 2u), weight(number, input, column + 3u));
                }
                for (var i = 0u; i < ROWS; i += 1u) {
                    let inside = place[i] != OUTSIDE;
                    let value = x[member * MEMBER_X + select(0u, place[i] + input, inside)];
                    let left = select(0.0, value, inside);
                    for (var v = 0u; v < VECTORS; v += 1u) {
                        sums[i][v] += left * right[v];
                    }
                }
            }
        }
    }
    for (var i = 0u; i < ROWS; i += 1u) {
        let at = cell[i] * apart + phase;
        let pixel = (example[i] * size.x + at.x) * size.y + at.y;
        let stored = example[i] < params.rows && all(at < size);
        for (var v = 0u; v < VECTORS; v += 1u) {
            for (var j = 0u; j < 4u; j += 1u) {
                let column = column0 + 4u * v + j;
                if stored && column < params.outputs {
                    var value = sums[i][v][j];
                    if TRANSPOSE == 0u {
                        let taps = params.kernel * params.kernel;
                        value += w[member * MEMBER_W + taps * params.inputs * params.outputs + column];
                    }
                    store(pixel * params.outputs + column, value);
                }
            }
        }
    }
}
